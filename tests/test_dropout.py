"""Dropout: what is dropped follows from the key alone, is random enough, and is found again by the backward."""

import math

import numpy as np
import pytest

import fastact as fa
from fastact import reference
from fastact.calls.drawn import ROW

SHAPE = (6, 5, 7, 4)
AXES = [None, 0, 3, -1, (0, 1), (1, 0), (0, -1), (1, 2), ()]
LAYOUTS = {
    "C": lambda x: x,
    "Fortran": np.asfortranarray,
    "reversed": lambda x: x[::-1, :, ::-1].copy()[::-1, :, ::-1],
    "strided": lambda x: np.repeat(x, 3, -1)[..., ::3],
    "moved": lambda x: np.ascontiguousarray(np.moveaxis(x, 1, -1)).swapaxes(1, 3).swapaxes(2, 3),
    "swapped bytes": lambda x: x.astype(x.dtype.newbyteorder()),
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
}
DROP = {"dropout": fa.dropout, "alpha_dropout": fa.alpha_dropout}


def kept(shape, p, rng, axis=None):
    """Which elements are kept."""
    return fa.dropout(np.ones(shape, np.float32), p, rng, axis=axis)[0] != 0


def normal(shape, dtype=np.float32):
    return np.random.default_rng(7).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", DROP)
def test_layouts_and_axes(name, axis, layout):
    x = LAYOUTS[layout](normal(SHAPE))
    assert x.shape == SHAPE
    y, key = DROP[name](x, 0.4, 3, axis=axis)
    expected, same = getattr(reference, name)(np.ascontiguousarray(x), p=0.4, rng=3, axis=axis)
    assert key == same
    np.testing.assert_allclose(y, expected, rtol=4e-7, atol=4e-7 * (name == "alpha_dropout"))
    out = LAYOUTS[layout](np.zeros(SHAPE, np.float32)) if layout != "broadcast" else np.zeros(SHAPE, np.float32)
    assert DROP[name](x, 0.4, 3, axis=axis, out=out)[0] is out
    np.testing.assert_array_equal(out, y)
    backward = getattr(fa, f"{name}_backward")(x, 0.4, key, axis=axis)
    np.testing.assert_allclose(
        backward, getattr(reference, f"{name}_backward")(np.ascontiguousarray(x), p=0.4, key=key, axis=axis), rtol=4e-7
    )


@pytest.mark.parametrize("size", [0, 1, 63, ROW - 1, ROW, ROW + 1, 2 * ROW - 1, 2 * ROW, 3 * ROW + 5, 300_001])
def test_sizes_and_threads(size):
    x = normal(size)
    with fa.threads(1):
        y, key = fa.dropout(x, 0.3, 11)
    with fa.threads(2):
        for _ in range(3):
            again, same = fa.dropout(x, 0.3, 11)
            assert same == key
            np.testing.assert_array_equal(again, y)
    np.testing.assert_allclose(y, reference.dropout(x, p=0.3, rng=11)[0], rtol=2e-7)
    np.testing.assert_array_equal(fa.dropout_backward(x, 0.3, key), y)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", DROP)
def test_dtypes_drop_the_same_and_round_once(name, dtype):
    x = normal((40, 50), dtype)
    y, _ = DROP[name](x, 0.3, 5)
    assert y.dtype == dtype
    wide = getattr(reference, name)(x.astype(np.float64), p=0.3, rng=5)[0]
    error = np.abs(y - wide) / np.spacing(np.maximum(np.abs(wide), 0.3 * (name == "alpha_dropout")).astype(dtype))
    assert error.max() <= (0.51 if dtype == "float16" else 2)


def test_integers_convert_as_in_numpy():
    for given, dtype in ((np.int8, np.float16), (np.int16, np.float32), (np.int64, np.float64), (bool, np.float16)):
        assert fa.dropout(np.ones((2, 3), given), 0.5, 0)[0].dtype == dtype
    y, key = fa.dropout([1, 2, 3], 0.0, 0)
    assert y.tolist() == [1.0, 2.0, 3.0]
    assert isinstance(key, int)
    assert isinstance(fa.dropout(1.5, 0.5, 0)[0], np.float64)


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_rate(p):
    """In standard deviations of a binomial's, for each seed and over all."""
    n = 400_000
    deviations = [(n * p - np.count_nonzero(~kept(n, p, seed))) / math.sqrt(n * p * (1 - p)) for seed in range(20)]
    assert max(map(abs, deviations)) < 4
    assert 0.4 < np.std(deviations) < 1.6


def chi_squared(patterns, count):
    """Of numbers below ``count`` that should be alike, in standard deviations from what is expected."""
    found = np.bincount(patterns, minlength=count)
    expected = len(patterns) / count
    return (np.sum((found - expected) ** 2 / expected) - (count - 1)) / math.sqrt(2 * (count - 1))


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 7, 8, 16, 64, 100, 1024, ROW, 4096, 65536])
def test_neighbours_are_independent(lag):
    n, scale = 500_000, 2 / math.sqrt(500_000)
    for seed in range(3):
        signs = 1.0 - 2 * kept(n, 0.5, seed)
        assert abs(np.mean(signs[lag:] * signs[:-lag])) < 2.2 * scale


def test_patterns_of_neighbours_are_alike():
    for seed in range(5):
        bits = kept((60_000, 8), 0.5, seed)
        assert abs(chi_squared(np.packbits(bits), 256)) < 4


def test_seeds_are_independent():
    """Also seeds and keys that are alike, and the calls of one generator."""
    rng, n = np.random.default_rng(0), 200_000
    masks = [kept(n, 0.5, seed) for seed in range(6)] + [kept(n, 0.5, rng) for _ in range(6)]
    ones = np.ones(n, np.float32)
    masks += [fa.dropout_backward(ones, 0.5, key) != 0 for key in (0, 1, 2, 3, 2**31, 2**32, 2**33, 2**62)]
    signs = 1.0 - 2 * np.array(masks)
    correlations = signs @ signs.T / n - np.eye(len(signs))
    correlations[0, 6] = correlations[6, 0] = 0  # the generator's first call has the seed 0 as well
    assert np.abs(correlations).max() * math.sqrt(n) < 4.5
    assert (masks[0] == masks[6]).all()


def test_mean_is_preserved():
    x = normal(1_000_000) + 1
    for p in (0.1, 0.5, 0.8):
        y, _ = fa.dropout(x, p, 2)
        assert abs(y.mean(dtype=np.float64) - x.mean(dtype=np.float64)) < 4 * math.sqrt(2 * p / (1 - p) / x.size)


def test_alpha_dropout_preserves_mean_and_variance():
    x = normal(1_000_000)
    x = (x - x.mean()) / x.std()
    for p in (0.05, 0.2, 0.5):
        y, _ = fa.alpha_dropout(x, p, 4)
        assert abs(y.mean(dtype=np.float64)) < 0.006
        assert abs(y.var(dtype=np.float64) - 1) < 0.01


@pytest.mark.parametrize("name", DROP)
def test_torch_has_the_same_values(name):
    """Where both libraries keep an element, and where both drop it."""
    torch = pytest.importorskip("torch")
    x = torch.linspace(-2, 2, 50, requires_grad=True)
    for p in (0.0, 0.25, 0.7, 1.0):
        theirs = getattr(torch.nn.functional, name)(x, p, training=True)
        (slopes,) = torch.autograd.grad(theirs.sum(), x)
        ours, key = DROP[name](x.detach().numpy(), p, 0)
        gradient = getattr(fa, f"{name}_backward")(np.ones(50, np.float32), p, key)
        both = (gradient != 0) & (slopes.numpy() != 0)
        np.testing.assert_allclose(ours[both], theirs.detach().numpy()[both], rtol=2e-6, atol=2e-6)
        np.testing.assert_allclose(gradient[both], slopes.numpy()[both], rtol=2e-6)
        neither = (gradient == 0) & (slopes.numpy() == 0)
        np.testing.assert_allclose(ours[neither], theirs.detach().numpy()[neither], rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", DROP)
def test_none_and_all(name):
    x = normal((3, 700))
    y, key = DROP[name](x, 0, np.random.default_rng(0))
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(getattr(fa, f"{name}_backward")(x, 0.0, key), x)
    y, key = DROP[name](x, 1, np.random.default_rng(0))
    assert not y.any()
    assert not getattr(fa, f"{name}_backward")(x, 1.0, key).any()


@pytest.mark.parametrize("name", DROP)
def test_evaluation_copies_and_draws_nothing(name):
    x, rng = normal((3, 700)), np.random.default_rng(5)
    before = rng.bit_generator.state
    y, key = DROP[name](x, 0.5, rng, training=False)
    assert key is None
    assert y is not x
    assert not np.shares_memory(y, x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(getattr(fa, f"{name}_backward")(x, 0.5, key), x)
    assert rng.bit_generator.state == before


def test_slices_are_dropped_whole():
    """As channels are in images of either layout: the same ones for the same key."""
    x = np.ones((8, 16, 9, 11), np.float32)
    y, key = fa.dropout(x, 0.5, 3, axis=(0, 1))
    each = y[:, :, 0, 0]
    assert {*np.unique(each)} == {0, 2}
    np.testing.assert_array_equal(y, np.broadcast_to(each[..., None, None], x.shape))
    last, _ = fa.dropout(np.ascontiguousarray(np.moveaxis(x, 1, -1)), 0.5, 3, axis=(0, -1))
    np.testing.assert_array_equal(np.moveaxis(last, -1, 1), y)
    np.testing.assert_array_equal(fa.dropout_backward(x, 0.5, key, axis=(0, 1)), y)
    np.testing.assert_array_equal(each, fa.dropout(np.ones((8, 16), np.float32), 0.5, 3)[0])


def test_special_values():
    x = np.array([np.nan, np.inf, -np.inf, 1e-45, 3e38] * 40, np.float32)
    y, key = fa.dropout(x, 0.5, 0)
    keep = fa.dropout_backward(np.ones(200), 0.5, key) != 0
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(y, x * np.where(keep, np.float32(2), np.float32(0)))
    assert np.isnan(fa.alpha_dropout(x, 0.5, 0)[0][::5]).all()


def test_in_place_and_overlapping():
    for size in (50, 3 * ROW + 7, 300_000):
        x = normal(size + 1)
        expected, key = fa.dropout(x[:-1], 0.5, 1)
        for place in (x.copy(), x.copy()):
            assert fa.dropout(place[:-1], 0.5, 1, out=place[:-1])[0].base is place
            np.testing.assert_array_equal(place[:-1], expected)
        place = x.copy()
        fa.dropout(place[:-1], 0.5, 1, out=place[1:])
        np.testing.assert_array_equal(place[1:], expected)
        place = x.copy()
        fa.dropout_backward(place[:-1], 0.5, key, out=place[:-1])
        np.testing.assert_array_equal(place[:-1], expected)


BAD = {
    "p below": ({"p": -0.1}, ValueError, r"p must be a number from 0 to 1, got -0\.1"),
    "p above": ({"p": 1.5}, ValueError, r"p must be a number from 0 to 1, got 1\.5"),
    "p nan": ({"p": math.nan}, ValueError, "p must be a number from 0 to 1, got nan"),
    "p word": ({"p": "half"}, TypeError, "p must be a number from 0 to 1, got 'half'"),
    "complex": ({"x": np.ones(3, complex)}, TypeError, "x must be float16, float32, float64, .* got complex128"),
    "axis": ({"axis": 2}, np.exceptions.AxisError, "axis 2 is out of bounds"),
    "axes twice": ({"axis": (0, 0)}, ValueError, "repeated axis"),
    "axis of floats": ({"axis": 0.5}, TypeError, "axis must be an integer, a tuple of integers or None"),
    "out of another shape": ({"out": np.zeros(4)}, ValueError, r"out must have the shape \(3,\), got \(4,\)"),
    "out of integers": ({"out": np.zeros(3, int)}, TypeError, "out must be of floats, got int64"),
    "out list": ({"out": [0, 0, 0]}, TypeError, "out must be an array, got list"),
    "training": ({"training": "no"}, TypeError, "training must be True or False, got 'no'"),
}


@pytest.mark.parametrize("name", DROP)
@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_draw_nothing(name, case):
    change, error, message = BAD[case]
    rng = np.random.default_rng(0)
    before, given = rng.bit_generator.state, {"x": np.ones(3), "p": 0.5, "rng": rng} | change
    with pytest.raises(error, match=message):
        DROP[name](**given)
    assert rng.bit_generator.state == before


def test_bad_sources_and_keys():
    for rng in ("seed", 1.5):
        with pytest.raises(TypeError, match=r"rng must be a numpy\.random\.Generator, a seed or None, got"):
            fa.dropout(np.ones(3), 0.5, rng)
    with pytest.raises(ValueError, match=r"rng must be a numpy\.random\.Generator, a seed or None, got -1"):
        fa.dropout(np.ones(3), 0.5, -1)
    with pytest.raises(TypeError, match=r"key must be an integer, or None where nothing was dropped, got 1\.5"):
        fa.dropout_backward(np.ones(3), 0.5, 1.5)
    for key in (-1, 2**63):
        with pytest.raises(ValueError, match=r"key must be what the forward function returned, .* got"):
            fa.dropout_backward(np.ones(3), 0.5, key)


def test_blocks_of_dask_drop_what_the_whole_drops():
    da = pytest.importorskip("dask.array")
    x = normal((30, 40))
    for axis in (None, 0, 1):
        for chunks in ((7, 11), (30, 5), (30, 40)):
            rng = np.random.default_rng(9)
            lazy, key = fa.dropout(da.from_array(x, chunks=chunks), 0.5, rng, axis=axis)
            expected, same = fa.dropout(x, 0.5, 9, axis=axis)
            assert key == same
            np.testing.assert_array_equal(lazy.compute(), expected)
            np.testing.assert_array_equal(lazy.compute(), expected)


def test_masked_arrays_keep_their_masks():
    """Also in a masked `out` of an operand that is none, in place or not."""
    x, hidden = normal((4, 5, 6)), np.random.default_rng(1).random((4, 5, 6)) < 0.3
    plain, key = fa.dropout(x, 0.5, 2)
    y, _ = fa.dropout(np.ma.array(x, mask=hidden), 0.5, 2)
    np.testing.assert_array_equal(y.mask, hidden)
    np.testing.assert_array_equal(y.compressed(), plain[~hidden])
    out = np.ma.array(np.zeros_like(x), mask=hidden)
    assert fa.dropout_backward(x, 0.5, key, out=out) is out
    assert not out.mask.any()
    np.testing.assert_array_equal(out.data, plain)
