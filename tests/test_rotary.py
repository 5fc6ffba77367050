"""Rotary position embedding: values, conventions, positions, layouts, threads, errors, containers."""

import mpmath
import numpy as np
import pytest

import fastact as fa
from tests.containers import in_dask, in_pandas, in_xarray

BOTH = pytest.mark.parametrize("interleaved", [False, True])


def paired(x, interleaved):
    return (x[..., 0::2], x[..., 1::2]) if interleaved else np.split(x, 2, -1)


def exact(x, positions, theta, interleaved, sign=1):
    """The last axis of a matrix of tokens rotated in 40 digits, and the magnitudes that errors are measured by."""
    result, sizes = np.empty(x.shape), np.empty(x.shape)
    halves, targets, units = (paired(a, interleaved) for a in (x, result, sizes))
    with mpmath.workdps(40):
        for t, p in enumerate(positions):
            for i in range(x.shape[-1] // 2):
                angle = sign * mpmath.mpf(float(p)) * mpmath.mpf(theta) ** (mpmath.mpf(-2 * i) / x.shape[-1])
                c, s = mpmath.cos(angle), mpmath.sin(angle)
                a, b = (mpmath.mpf(float(half[t, i])) for half in halves)
                targets[0][t, i], targets[1][t, i] = float(a * c - b * s), float(b * c + a * s)
                units[0][t, i], units[1][t, i] = float(abs(a * c) + abs(b * s)), float(abs(b * c) + abs(a * s))
    return result, sizes


@BOTH
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_values(dtype, interleaved):
    """Also at far positions, whose angles a float32 could not hold."""
    rng = np.random.default_rng(0)
    for features in (2, 8, 70):
        for positions in (range(5), [1_000_003, 16_777_217, 3, 0, 99_991]):
            x = rng.normal(size=(5, features)).astype(dtype)
            for function, sign in ((fa.rotary, 1), (fa.rotary_backward, -1)):
                got = function(x, positions, interleaved=interleaved, theta=500.0)
                expected, sizes = exact(x, positions, 500.0, interleaved, sign)
                assert got.dtype == dtype
                spacing = np.spacing(sizes.astype(dtype)).astype(float)
                # Of float64 the angle itself is rounded, to a part of itself.
                angle = 0 if dtype != "float64" else 4 * 2.0**-53 * np.array(positions)[:, None] * abs(x).max()
                assert (abs(got - expected) <= 2 * spacing + angle).all()


@BOTH
def test_the_papers_matrix(interleaved):
    """Blocks of two by two on the diagonal, of neighbours or of elements half a row apart."""
    d, p, x = 6, 5, np.arange(1.0, 7.0)
    matrix = np.zeros((d, d))
    for i in range(d // 2):
        first, second = (2 * i, 2 * i + 1) if interleaved else (i, i + d // 2)
        angle = p * 10000 ** (-2 * i / d)
        matrix[first, [first, second]] = np.cos(angle), -np.sin(angle)
        matrix[second, [first, second]] = np.sin(angle), np.cos(angle)
    np.testing.assert_allclose(fa.rotary(x, p, interleaved=interleaved), matrix @ x, rtol=1e-14)
    np.testing.assert_allclose(fa.rotary_backward(x, p, interleaved=interleaved), matrix.T @ x, rtol=1e-14)


def test_as_pytorch():
    """As Hugging Face's models and Llama's own code have it, and the gradients of these."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x, grad = (rng.normal(size=(2, 3, 7, 8)).astype(np.float32) for _ in range(2))
    frequencies = 1.0 / (10000 ** (torch.arange(0, 8, 2).double() / 8))
    angles = torch.outer(torch.arange(7).double(), frequencies)
    halves = torch.tensor(x, requires_grad=True)
    cos, sin = (torch.cat([f(angles)] * 2, -1).float() for f in (torch.cos, torch.sin))
    turned = halves * cos + torch.cat([-halves[..., 4:], halves[..., :4]], -1) * sin
    turned.backward(torch.tensor(grad))
    np.testing.assert_allclose(fa.rotary(x), turned.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fa.rotary_backward(grad), halves.grad.numpy(), rtol=1e-5, atol=1e-6)
    neighbours = torch.tensor(x, requires_grad=True)
    product = torch.view_as_complex(neighbours.reshape(2, 3, 7, 4, 2)) * torch.polar(torch.ones(7, 4), angles.float())
    turned = torch.view_as_real(product).flatten(3)
    turned.backward(torch.tensor(grad))
    np.testing.assert_allclose(fa.rotary(x, interleaved=True), turned.detach().numpy(), rtol=1e-5, atol=1e-6)
    back = fa.rotary_backward(grad, interleaved=True)
    np.testing.assert_allclose(back, neighbours.grad.numpy(), rtol=1e-5, atol=1e-6)


@BOTH
def test_gradient_matches_differences(interleaved):
    rng = np.random.default_rng(2)
    x, grad = rng.normal(size=(2, 3, 6)), rng.normal(size=(2, 3, 6))
    options = {"positions": [4, 0, 7], "interleaved": interleaved, "theta": 50.0}
    found = np.empty_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 0.5
        found[i] = np.sum(grad * (fa.rotary(x + step, **options) - fa.rotary(x - step, **options)))
    np.testing.assert_allclose(fa.rotary_backward(grad, **options), found, atol=1e-12)


@BOTH
def test_products_depend_on_distances_alone(interleaved):
    rng = np.random.default_rng(3)
    q, k = rng.normal(size=(2, 64))
    near = fa.rotary(q, 5, interleaved=interleaved) @ fa.rotary(k, 2, interleaved=interleaved)
    far = fa.rotary(q, 1_000_005, interleaved=interleaved) @ fa.rotary(k, 1_000_002, interleaved=interleaved)
    assert abs(near - far) < 1e-8


@BOTH
def test_layouts_and_axes(interleaved, same_bits):
    """Wherever features and tokens are, and however elements lie, the bits are the same."""
    x = np.random.default_rng(4).normal(size=(3, 40, 5, 36)).astype(np.float32)
    options = {"interleaved": interleaved}
    expected = fa.rotary(x, position_axis=1, **options)
    for axes in ((0, 2, 1, 3), (3, 1, 2, 0), (1, 3, 0, 2), (2, 0, 3, 1)):
        for lies in (np.ascontiguousarray, np.asfortranarray):
            turned = lies(x.transpose(axes))
            got = fa.rotary(turned, axis=axes.index(3), position_axis=axes.index(1) - 4, **options)
            assert got.strides == np.exp(turned).strides
            same_bits(got.transpose(np.argsort(axes)), expected)
    flipped = np.ascontiguousarray(x[:, :, :, ::-1])[:, :, :, ::-1]
    apart = np.repeat(x, 2, 3)[..., ::2]
    swapped = x.astype(x.dtype.newbyteorder())
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    for given in (flipped, apart, swapped, unaligned, x[:, ::-1][:, ::-1]):
        got = fa.rotary(given, position_axis=1, **options)
        assert got.dtype == np.float32
        same_bits(got, expected)
    out = np.full((3, 40, 5, 72), 7, np.float32)
    assert fa.rotary(x, position_axis=1, out=out[..., ::2], **options).base is out
    same_bits(out[..., ::2], expected)
    assert (out[..., 1::2] == 7).all()
    copy = x.copy()
    assert fa.rotary(copy, position_axis=1, out=copy, **options) is copy
    same_bits(copy, expected)
    shifted = np.concatenate([x.ravel(), x.ravel()[:36]])
    over = shifted[36:].reshape(x.shape)
    fa.rotary(shifted[:-36].reshape(x.shape), position_axis=1, out=over, **options)
    same_bits(over, expected)
    some = x.copy()
    fa.rotary(some[..., :8], position_axis=1, out=some[..., :8], **options)
    same_bits(some, np.concatenate([fa.rotary(x[..., :8], position_axis=1, **options), x[..., 8:]], -1))


@BOTH
def test_threads(interleaved, threads, same_bits):
    """Many sequences, one long one, and one whose heads come after tokens."""
    for shape, place in (((4, 8, 200, 64), -2), ((1, 5000, 64), -2), ((1, 3000, 4, 32), 1)):
        x = np.random.default_rng(5).normal(size=shape).astype(np.float32)
        with threads(1):
            expected = fa.rotary(x, position_axis=place, interleaved=interleaved)
        for n in (2, 3):
            with threads(n):
                same_bits(fa.rotary(x, position_axis=place, interleaved=interleaved), expected)


def test_positions(same_bits):
    """One for all, one for each token, or of more axes; integers of any dtype and numbers between them."""
    x = np.random.default_rng(6).normal(size=(20, 3, 5, 8))
    whole = fa.rotary(x)
    same_bits(fa.rotary(x, range(5)), whole)
    for dtype in ("int8", "uint64", "float32", "float16"):
        same_bits(fa.rotary(x, np.arange(5, dtype=dtype)), whole)
    same_bits(fa.rotary(x, np.arange(5)[::-1])[..., ::-1, :], fa.rotary(x[..., ::-1, :]))
    same_bits(fa.rotary(x, 2)[:, :, 2], whole[:, :, 2])
    for i in range(5):
        same_bits(fa.rotary(x[:, :, i : i + 1], [i]), whole[:, :, i : i + 1])  # as a decoder does
        same_bits(fa.rotary(x[0, 0, i], i), whole[0, 0, i])
    each = np.random.default_rng(7).integers(0, 100, (20, 1, 5))
    got = fa.rotary(x, each)
    for i in range(20):
        same_bits(got[i], fa.rotary(x[i], each[i, 0]))
    same_bits(fa.rotary(x, np.broadcast_to(each, (20, 3, 5))), got)
    np.testing.assert_allclose(fa.rotary(x[0, 0, 0], 0.5), fa.rotary(fa.rotary(x[0, 0, 0], 0.25), 0.25), rtol=1e-12)
    same_bits(fa.rotary(x[0, 0, 0]), x[0, 0, 0])
    many = np.arange(300_000)
    far = fa.rotary(np.ones((300_000, 4), np.float32))  # a table that is not kept
    same_bits(far, fa.rotary(np.ones((300_000, 4), np.float32), many))
    same_bits(far[-1], fa.rotary(np.ones(4, np.float32), 299_999))


def test_large_tables_are_not_kept():
    from fastact.functions import rotary

    rotary._kept_angles.cache_clear()
    fa.rotary(np.ones((rotary.KEPT // 2 + 1, 2), np.float16))
    assert rotary._kept_angles.cache_info().currsize == 0
    fa.rotary(np.ones((3, 2), np.float16))
    cos, _ = rotary._kept_angles(3, "", (), 2, 10000.0, np.dtype("float32"), 1.0)
    assert rotary._kept_angles.cache_info().hits == 1
    assert cos.shape == (3, 1)


@BOTH
def test_special_values_and_empty_arrays(interleaved):
    options = {"interleaved": interleaved}
    with np.errstate(all="raise"):
        x = np.float32([[np.nan, 1, 1, 1], [np.inf, 0, 1, 2], [1e-45, 3e38, 3e38, -3e38]])
        got = fa.rotary(x, **options)
        assert np.isnan(got[0]).sum() == 2
        assert np.isfinite(fa.rotary(np.float32([1e-45, -1e-45]), 3)).all()
        for shape in ((0, 4), (3, 0), (0, 0), (2, 0, 3, 4), (0,), (40, 2, 0, 4)):
            assert fa.rotary(np.zeros(shape, "f4"), **options).shape == shape
    assert fa.rotary([[1, 2], [3, 4]], **options).dtype == np.float64
    assert fa.rotary(np.int8([[1, 2]]), **options).dtype == np.float16


WRONG = {
    "an odd length": (lambda out: fa.rotary(np.zeros((2, 3)), out=out), ValueError, "axis 1 must be even.* got 3"),
    "no axis": (lambda out: fa.rotary(1.0), np.exceptions.AxisError, "out of bounds"),
    "an axis too many": (lambda out: fa.rotary(out, axis=2, out=out), np.exceptions.AxisError, "out of bounds"),
    "tokens too far": (lambda out: fa.rotary(out, position_axis=5, out=out), np.exceptions.AxisError, "position_axis"),
    "one axis for both": (
        lambda out: fa.rotary(out, position_axis=1, out=out),
        ValueError,
        "position_axis must be another axis than 1",
    ),
    "positions of another number": (
        lambda out: fa.rotary(out, [1, 2, 3], out=out),
        ValueError,
        r"positions must broadcast to the shape \(2,\), got \(3,\)",
    ),
    "positions of more axes": (
        lambda out: fa.rotary(out, np.zeros((2, 4)), out=out),
        ValueError,
        r"positions must broadcast to the shape \(2,\), got \(2, 4\)",
    ),
    "complex positions": (lambda out: fa.rotary(out, [1j, 2], out=out), TypeError, "positions must hold real numbers"),
    "theta of 0": (
        lambda out: fa.rotary(out, theta=0, out=out),
        ValueError,
        "theta must be positive and finite, got 0",
    ),
    "an infinite theta": (lambda out: fa.rotary(out, theta=np.inf, out=out), ValueError, "theta must be positive and"),
    "theta in words": (lambda out: fa.rotary(out, theta="10k", out=out), TypeError, "theta must be a positive number"),
    "a convention": (
        lambda out: fa.rotary(out, interleaved="halves", out=out),
        TypeError,
        "interleaved must be True or",
    ),
    "complex numbers": (lambda out: fa.rotary(np.zeros((2, 4), complex), out=out), TypeError, "x must be"),
    "a mask": (lambda out: fa.rotary(np.ma.zeros((2, 4)), out=out), TypeError, "x must not be a masked array"),
    "a wrong out": (lambda out: fa.rotary(np.zeros((3, 4)), out=out), ValueError, "out must have the shape"),
    "a narrow out": (lambda out: fa.rotary(np.zeros((2, 4)), out=out.astype(int)), TypeError, "cast"),
    "PyTorch's name": (lambda out: fa.rotary_backward(out, dim=1), TypeError, "'dim', which is called 'axis' here"),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_write_nothing(case):
    call, error, message = WRONG[case]
    out = np.full((2, 4), 7.0)
    with pytest.raises(error, match=message):
        call(out)
    assert (out == 7).all()


def test_containers():
    """Positions are those of the whole array, also where blocks of dask's hold some of the tokens."""
    x = np.random.default_rng(8).normal(size=(6, 10)).astype(np.float32)
    for axis in (-1, 0):
        for positions in (None, 3, np.arange(x.shape[1 + axis])[::-1]):
            expected = fa.rotary(x, positions, axis=axis)
            for wrap in (in_pandas, in_xarray, *([in_dask] if axis else [])):
                got = fa.rotary(wrap(x), positions, axis=axis)
                assert type(got) is type(wrap(x))
                np.testing.assert_array_equal(np.asarray(got), expected)
    da = pytest.importorskip("dask.array")
    x = np.random.default_rng(9).normal(size=(4, 12, 3, 8))
    lazy = da.from_array(x, chunks=(2, 5, 3, 8))
    got = fa.rotary(lazy, position_axis=1, interleaved=True)
    assert got.chunks == lazy.chunks
    np.testing.assert_array_equal(got.compute(scheduler="synchronous"), fa.rotary(x, position_axis=1, interleaved=True))


def test_angles_are_exact_enough():
    """At positions of ten million, cosines of float32 are those of the exact angle, rounded."""
    x = np.zeros((1, 64), np.float32)
    x[:, :32] = 1
    got = fa.rotary(x, 10_000_019)[0, :32]
    with mpmath.workdps(40):
        turns = [mpmath.mpf(10000) ** (mpmath.mpf(-i) / 32) for i in range(32)]
        expected = [float(mpmath.cos(10_000_019 * turn)) for turn in turns]
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-7 / 2)


def test_masked_positions_are_refused():
    x = np.ones((3, 4), np.float32)
    for function in (fa.rotary, fa.rotary_backward):
        with pytest.raises(TypeError, match=f"positions must not be a masked array: {function.__name__} rotates"):
            function(x, np.ma.array([0, 1, 2], mask=[False, True, False]))
