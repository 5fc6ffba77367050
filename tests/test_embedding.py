"""Sums of rows by index: NumPy's and PyTorch's, a row of a million terms, layouts, threads, and what is refused."""

import math

import numpy as np
import pytest

import fastact as fa
from tests.calls import LABEL_DTYPES

PROMISED = 1


def drawn(rows, width, count, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, width)).astype(dtype), rng.integers(0, count, rows)


def sums(grad, indices, count):
    """Each sum by itself, exactly, and that of the magnitudes."""
    total, magnitude = np.zeros((2, count, grad.shape[-1]))
    for v in range(count):
        for j in range(grad.shape[-1]):
            terms = grad[indices == v, j].astype(float).tolist()
            total[v, j], magnitude[v, j] = math.fsum(terms), math.fsum(map(abs, terms))
    return total, magnitude


def check(got, grad, indices):
    total, magnitude = sums(grad, indices, len(got))
    unit = np.spacing(np.maximum(magnitude, np.finfo(got.dtype).tiny).astype(got.dtype)).astype(float)
    assert got.dtype == grad.dtype
    assert np.max(abs(got.astype(float) - total) / unit, initial=0) <= PROMISED


@pytest.mark.parametrize(
    "shape", [(0, 3, 4), (1, 1, 1), (7, 5, 3), (300, 7, 40), (3000, 129, 3), (70, 2100, 6)], ids=str
)
def test_sums_are_exact_to_the_promise(shape, dtype):
    rows, width, count = shape
    grad, indices = drawn(rows, width, count, dtype)
    check(fa.embedding_backward(grad, indices, count), grad, indices)


def test_a_row_of_a_million_terms():
    """In which plain float32 sums would stop growing, and plain float64 ones would lose the small terms."""
    grad = np.full((1_000_001, 2), 0.1, np.float32)
    grad[0] = 2.0**24
    got = fa.embedding_backward(grad, np.full(len(grad), 3), 5)
    exact = 2.0**24 + 1e6 * float(np.float32(0.1))
    assert abs(got[3].astype(float) - exact).max() <= 0.5 * float(np.spacing(np.float32(exact)))
    wide = np.full((200_002, 1), 1e-3)
    wide[0], wide[-1] = 1e13, -1e13
    got = fa.embedding_backward(wide, np.zeros(len(wide), int), 1)
    assert abs(got[0, 0] - 200.0) < 2e-3  # one unit of the sum of magnitudes
    assert not np.any(fa.embedding_backward(grad, np.full(len(grad), 3), 5)[[0, 1, 2, 4]])


@pytest.mark.parametrize("padding", [None, 0, 3, -1])
def test_gradients_are_those_of_autograd(padding):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    grad, indices = rng.normal(size=(4, 9, 5)), rng.integers(0, 6, (4, 9))
    weight = torch.zeros(6, 5, dtype=torch.float64, requires_grad=True)
    found = torch.nn.functional.embedding(torch.from_numpy(indices), weight, padding_idx=padding)
    found.backward(torch.from_numpy(grad))
    got = fa.embedding_backward(grad, indices, 6, padding_index=padding)
    np.testing.assert_allclose(got, weight.grad.numpy(), rtol=1e-14, atol=1e-14)


def test_gradients_match_differences():
    rng = np.random.default_rng(2)
    weight, behind, indices = rng.normal(size=(5, 3)), rng.normal(size=(8, 3)), rng.integers(0, 5, 8)
    direction = rng.normal(size=weight.shape)

    def value(step):
        return np.sum(np.sin((weight + step * direction)[indices]) * behind)

    grad = fa.embedding_backward(np.cos(weight[indices]) * behind, indices, 5)
    step = 1e-6
    assert (value(step) - value(-step)) / (2 * step) == pytest.approx(np.sum(grad * direction), rel=1e-8)


@pytest.mark.parametrize("indices", ["uniform", "of few", "of one", "in order"])
def test_the_same_bits_on_any_number_of_threads(indices, threads, same_bits, dtype):
    rng = np.random.default_rng(3)
    rows, count = 30_000, 500
    grad = rng.normal(size=(rows, 33)).astype(dtype)
    places = {
        "uniform": rng.integers(0, count, rows),
        "of few": np.minimum(rng.zipf(1.3, rows) - 1, count - 1),
        "of one": np.full(rows, 77),
        "in order": np.sort(rng.integers(0, count, rows)),
    }[indices]
    expected = np.zeros((count, 33))
    np.add.at(expected, places, grad.astype(float))
    with threads(1):
        alone = fa.embedding_backward(grad, places, count)
    tolerance = 4 * float(np.finfo(dtype).eps) * math.sqrt(rows)
    np.testing.assert_allclose(alone.astype(float), expected, rtol=tolerance, atol=100 * tolerance)
    for number in (2, 4):
        with threads(number):
            for _ in range(5):
                same_bits(fa.embedding_backward(grad, places, count), alone)


def test_padding_counts_nothing_and_other_rows_as_before(threads, same_bits):
    grad, indices = drawn(20_000, 32, 40)
    for padding in (0, 17, 39):
        with threads(2):
            got = fa.embedding_backward(grad, indices, 40, padding_index=padding)
        kept = indices != padding
        expected = fa.embedding_backward(grad[kept], indices[kept], 40)
        same_bits(got, expected)
        assert not got[padding].any()
    assert not fa.embedding_backward(grad, np.full(len(grad), 2), 40, padding_index=2).any()


@pytest.mark.parametrize("kind", LABEL_DTYPES)
def test_indices_of_any_integer_dtype_and_shape(kind):
    grad, indices = drawn(60, 4, 9)
    expected = fa.embedding_backward(grad, indices, 9)
    shaped = indices.astype(kind).reshape(3, 4, 5)
    np.testing.assert_array_equal(fa.embedding_backward(grad.reshape(3, 4, 5, 4), shaped, 9), expected)
    swapped = indices.astype(np.dtype(kind).newbyteorder())
    np.testing.assert_array_equal(fa.embedding_backward(grad, swapped, 9), expected)


def test_layouts(dtype, same_bits):
    grad, indices = drawn(50, 30, 8, dtype)
    expected = fa.embedding_backward(grad, indices, 8)
    spread = np.zeros((100, 90), dtype)[::2, ::3]
    spread[...] = grad
    for lying in (
        np.asfortranarray(grad),
        grad[::-1, ::-1].copy()[::-1, ::-1],
        spread,
        grad.astype(grad.dtype.newbyteorder()),
    ):
        same_bits(fa.embedding_backward(lying, np.repeat(indices, 2)[::2], 8), expected)
    same_bits(
        fa.embedding_backward(np.broadcast_to(grad[0], (50, 30)), indices, 8),
        fa.embedding_backward(np.tile(grad[0], (50, 1)), indices, 8),
    )
    same_bits(fa.embedding_backward(grad.tolist(), indices.tolist(), 8).astype(dtype), expected)
    shared = np.zeros((50, 30), dtype)
    shared[...] = grad
    for out in (
        np.full((8, 30), 7, dtype),
        np.full((30, 8), 7, dtype).T,
        np.full((16, 60), 7, dtype)[::2, ::-2],
        shared[:8],
    ):
        given = shared if np.may_share_memory(out, shared) else grad
        assert fa.embedding_backward(given, indices, 8, out=out) is out
        same_bits(np.ascontiguousarray(out), expected)


def test_special_values(dtype):
    grad = np.array([[np.inf, np.nan, -np.inf], [-np.inf, 1, -np.inf], [1, 2, 3], [-0.0, 0, 5]], dtype)
    with np.errstate(all="raise"):
        got = fa.embedding_backward(grad, [0, 0, 1, 3], 4)
    np.testing.assert_array_equal(got, np.array([[np.nan, np.nan, -np.inf], [1, 2, 3], [0, 0, 0], [0, 0, 5]], dtype))
    largest = np.finfo(dtype).max
    with np.errstate(all="raise"):
        assert fa.embedding_backward(np.array([[largest], [largest]]), [0, 0], 1)[0, 0] == np.inf
        tiny = np.full((3, 1), np.finfo(dtype).smallest_subnormal)
        assert fa.embedding_backward(tiny, [0, 0, 0], 1)[0, 0] == 3 * tiny[0, 0]


def test_many_zeros_are_not_written_twice():
    """A table that is large enough to be fresh memory, and nearly empty."""
    grad, indices = drawn(40, 64, 200_000)
    got = fa.embedding_backward(grad, indices, 200_000)
    assert got.nbytes > 2**25
    rows = np.flatnonzero(got.any(axis=1))
    np.testing.assert_array_equal(rows, np.unique(indices))


def test_nothing_to_add_up():
    assert fa.embedding_backward(np.empty((0, 3)), [], 2).tolist() == [[0] * 3] * 2
    assert fa.embedding_backward(np.empty((4, 0)), [0, 1, 1, 0], 2).shape == (2, 0)
    assert fa.embedding_backward(np.empty((0, 3)), np.empty(0, int), 0).shape == (0, 3)
    assert fa.embedding_backward([1.0, 2.0], 1, 2).tolist() == [[0, 0], [1, 2]]  # one index


REFUSED = {
    "too large": (([[1.0]] * 3, [0, 5, 9], 5), {}, IndexError, r"indices must be from 0 to 4, got 5 at position 1"),
    "negative": (
        ([[[1.0]] * 2] * 2, [[0, 1], [-1, 9]], 5),
        {},
        IndexError,
        r"from 0 to 4, got -1 at position \(1, 0\)",
    ),
    "huge": (([[1.0]], np.array([2**64 - 1], np.uint64), 5), {}, IndexError, "got 18446744073709551615 at position 0"),
    "of no rows": (([[1.0]], [0], 0), {}, IndexError, "indices must be none, as there are no rows, got 0"),
    "floats": (([[1.0]], [0.0], 5), {}, TypeError, "indices must hold integers, got float64"),
    "shape": (([[1.0]], [0, 1], 5), {}, ValueError, r"grad must have the shape \(2,\) of indices and one axis more"),
    "a number": ((1.0, 0, 5), {}, ValueError, "grad must have the shape"),
    "count": (([[1.0]], [0], -1), {}, ValueError, "num_embeddings must be at least 0, got -1"),
    "no count": (([[1.0]], [0], 1.5), {}, TypeError, "num_embeddings must be an integer, got 1.5"),
    "padding": (
        ([[1.0]], [0], 5),
        {"padding_index": 5},
        ValueError,
        "padding_index must be at least -5 and less than 5, got 5",
    ),
    "no padding": (([[1.0]], [0], 5), {"padding_index": 0.5}, TypeError, "padding_index must be an integer or None"),
    "complex": (([[1j]], [0], 5), {}, TypeError, "grad must be"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    operands, options, error, words = REFUSED[case]
    out = np.full((5, 1), 7.0)
    for given in ({}, {"out": out} if operands[2] == 5 else {}):
        with pytest.raises(error, match=words):
            fa.embedding_backward(*operands, **options, **given)
    assert (out == 7).all()


@pytest.mark.parametrize("rest", [(), (1,), (5,), (2, 3), (0,)], ids=str)
def test_segments_of_any_number_of_axes(rest, dtype):
    rng = np.random.default_rng(5)
    x, indices = rng.normal(size=(6, 50, *rest)).astype(dtype), rng.integers(0, 9, (6, 50))
    expected = np.zeros((9, *rest))
    np.add.at(expected, indices, x.astype(float))
    got = fa.segment_sum(x, indices, 9)
    assert (got.shape, got.dtype) == ((9, *rest), np.dtype(dtype))
    np.testing.assert_allclose(got, expected, rtol=4 * float(np.finfo(dtype).eps), atol=20 * float(np.finfo(dtype).eps))
    out = np.full((9, *rest), 7, dtype)
    assert fa.segment_sum(x, indices, 9, out=out) is out
    np.testing.assert_array_equal(out, got)


def test_segments_are_refused_as_indices_are():
    out = np.full(3, 7.0)
    with pytest.raises(IndexError, match="indices must be from 0 to 2, got 3 at position 1"):
        fa.segment_sum([1.0, 2.0], [0, 3], 3, out=out)
    with pytest.raises(ValueError, match=r"x must have the shape \(2,\) of indices before other axes, got \(3,\)"):
        fa.segment_sum([1.0, 2.0, 3.0], [0, 1], 3, out=out)
    assert (out == 7).all()
    assert fa.segment_sum([np.float32(3e38)] * 2, [0, 0], 1)[0] == np.inf


@pytest.mark.parametrize("kind", LABEL_DTYPES)
def test_one_hot_of_any_integers(kind):
    indices = np.random.default_rng(0).integers(0, 5, (3, 4)).astype(kind)
    got = fa.one_hot(indices, 5)
    assert got.dtype == np.float32
    expected = np.eye(5)[indices.astype(int)]
    np.testing.assert_array_equal(got, expected)
    out = np.full(got.shape, 9, "int8", order="F")
    assert fa.one_hot(indices, 5, dtype="int8", out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_one_hot_of_scalars_nothing_and_lists():
    np.testing.assert_array_equal(fa.one_hot(2, 4), [0, 0, 1, 0])
    assert fa.one_hot([], 4).shape == (0, 4)
    assert fa.one_hot([], 0, dtype=bool).dtype == bool
    assert fa.one_hot(np.array([[1]]), 2, dtype="float64").dtype == np.float64
    table = np.array([[1, 0], [0, 1]])
    fa.one_hot(table[0], 2, dtype=table.dtype, out=table)  # of which the indices are a part
    np.testing.assert_array_equal(table, [[0, 1], [1, 0]])


def test_what_one_hot_refuses():
    out = np.full((3, 4), 7.0)
    with pytest.raises(IndexError, match=r"indices must be from 0 to 3, got 4 at position 1"):
        fa.one_hot([0, 4, -1], 4, out=out)
    with pytest.raises(ValueError, match=r"out must have the shape \(2, 4\)"):
        fa.one_hot([0, 1], 4, out=out)
    with pytest.raises(TypeError, match="indices must hold integers, got float64"):
        fa.one_hot([0.5, 1, 2], 4, out=out)
    with pytest.raises(TypeError, match="dtype must be of numbers or booleans, got <U0"):
        fa.one_hot([0, 1], 4, dtype=str)
    with pytest.raises(ValueError, match="num_classes must be at least 0, got -1"):
        fa.one_hot([0], -1)
    with pytest.raises(TypeError, match="out must hold floats, or be of float32, got int64"):
        fa.one_hot([0, 1, 2], 4, out=np.zeros((3, 4), "int64"))
    with pytest.raises(TypeError, match="masked"):
        fa.one_hot(np.ma.array([0, 1], mask=[0, 1]), 2)
    assert (out == 7).all()


def test_one_hot_of_dask_is_lazy():
    array = pytest.importorskip("dask.array")
    indices = np.random.default_rng(0).integers(0, 5, (30, 4))
    lazy = fa.one_hot(array.from_array(indices, chunks=(7, 2)), 5)
    assert lazy.shape == (30, 4, 5)
    assert lazy.dtype == np.float32
    np.testing.assert_array_equal(lazy.compute(), fa.one_hot(indices, 5))


def test_one_hot_of_no_dtype_is_of_the_default():
    assert fa.one_hot([1], 2, dtype=None).dtype == fa.one_hot([1], 2).dtype == np.float32
