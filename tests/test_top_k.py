"""The best few of rows: the order of ties and NaN, every layout and length, integers, parts of long rows, threads."""

import numpy as np
import pytest

import fastact as fa
from fastact.functions import choosing


def expected(x, k, largest=True, in_order=True):
    """Indices of a vector's best, by a sort of value, then index; NaN above all."""
    keys = [(1, 0.0) if v != v else (0, v) for v in x.tolist()]
    order = sorted(range(len(x)), key=lambda i: keys[i])
    if largest:
        order = sorted(order, key=lambda i: (-keys[i][0], -keys[i][1]))
    return np.array(order[:k] if in_order else sorted(order[:k]), np.int64)


def kinds(n, rng):
    """Vectors that make it easy and hard."""
    x = rng.normal(size=n)
    return {
        "random": x,
        "rising": np.sort(x),
        "falling": np.sort(x)[::-1],
        "few values": rng.integers(-2, 3, n) * rng.choice([1.0, -1.0], n),
        "constant": np.full(n, -1.5),
        "NaN": np.where(rng.random(n) < 0.5, np.nan, x),
        "nothing but NaN": np.full(n, np.nan),
        "special": rng.choice([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 6e-8, -6e-8], n),
    }


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("n", [1, 2, 23, 64, 65, 200, 1500])
def test_the_best_of_every_kind_of_row(n, largest, dtype):
    rng = np.random.default_rng(n)
    for kind, x in kinds(n, rng).items():
        x = x.astype(dtype)
        for k in sorted({0, 1, min(5, n), n // 2, n}):
            for in_order in (True, False):
                with np.errstate(all="raise"):
                    values, indices = fa.top_k(x, k, largest=largest, sorted=in_order)
                np.testing.assert_array_equal(indices, expected(x, k, largest, in_order), f"{kind}, k={k}")
                assert values.tobytes() == x[indices].tobytes()
                assert (values.dtype, indices.dtype) == (np.dtype(dtype), np.int64)


@pytest.mark.parametrize("largest", [True, False])
def test_values_are_those_of_torch(largest):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(7, 3, 900)).astype(np.float32)
    x[0, :, ::7] = np.nan
    for axis, k in ((-1, 40), (0, 3), (1, 2)):
        theirs = torch.topk(torch.from_numpy(x), k, dim=axis, largest=largest)
        values, indices = fa.top_k(x, k, axis=axis, largest=largest)
        np.testing.assert_array_equal(values, theirs.values.numpy())
        np.testing.assert_array_equal(np.take_along_axis(x, indices, axis), values)


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"])
@pytest.mark.parametrize("largest", [True, False])
def test_integers_are_exact(kind, largest):
    rng = np.random.default_rng(1)
    low, high = (0, 1) if kind == "bool" else (np.iinfo(kind).min, np.iinfo(kind).max)
    x = rng.integers(low, high, (4, 50), endpoint=True, dtype=kind if kind != "bool" else "int8").astype(kind)
    x[:, 7], x[:, 9], x[:, 11] = low, high, high
    if high > 2**53:
        x[:, 13] = high - 1  # the same as a float
    values, indices = fa.top_k(x, 6, largest=largest)
    assert values.dtype == x.dtype
    for row, found, places in zip(x, values, indices, strict=True):
        order = sorted(range(50), key=lambda i: (-int(row[i]) if largest else int(row[i]), i))[:6]
        assert places.tolist() == order
        np.testing.assert_array_equal(found, row[order])
    most, where = fa.max_with_index(x)
    np.testing.assert_array_equal(most, x.max(axis=-1))
    np.testing.assert_array_equal(where, x.argmax(axis=-1))


def test_layouts(dtype):
    x = np.random.default_rng(2).normal(size=(6, 10, 300)).astype(dtype)
    for axis in (0, 1, 2, -1, -3):
        rows = np.moveaxis(x, axis, -1)
        whole = [[expected(v, 4) for v in part] for part in rows]
        indices = np.moveaxis(np.array(whole), -1, axis)
        spread = np.zeros((12, 30, 300), dtype)[::2, ::3]
        spread[...] = x
        backwards = x[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]
        for lying in (x, np.asfortranarray(x), spread, backwards, x.astype(x.dtype.newbyteorder())):
            values, found = fa.top_k(lying, 4, axis=axis)
            np.testing.assert_array_equal(found, indices)
            np.testing.assert_array_equal(values, np.take_along_axis(x, indices, axis))
    same = np.broadcast_to(x[0, 0], (5, 300))
    np.testing.assert_array_equal(fa.top_k(same, 3)[1], np.tile(expected(x[0, 0], 3), (5, 1)))
    assert fa.top_k([[3, 1], [2, 5]], 1)[0].tolist() == [[3], [5]]


@pytest.mark.parametrize("largest", [True, False])
def test_parts_of_long_rows(largest, threads):
    n, rng = choosing.LONG + 77, np.random.default_rng(3)
    rows = [rng.normal(size=n), rng.integers(0, 40, n), np.where(rng.random(n) < 1e-4, np.nan, 0.0)]
    x = np.array(rows, np.float32)
    x[0, -1] = 9.0 if largest else -9.0
    with threads(2):
        for in_order in (True, False):
            values, indices = fa.top_k(x, 50, largest=largest, sorted=in_order)
            for row, places, found in zip(x, indices, values, strict=True):
                np.testing.assert_array_equal(places, expected(row, 50, largest, in_order))
                np.testing.assert_array_equal(found, row[places])


def test_any_number_of_threads(threads, dtype):
    x = np.random.default_rng(4).normal(size=(300, 2000)).astype(dtype)
    with threads(1):
        alone = fa.top_k(x, 20)
    for number in (2, 4):
        with threads(number):
            for a, b in zip(fa.top_k(x, 20), alone, strict=True):
                np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(alone[0], -np.sort(-x, axis=-1)[:, :20])


def test_the_largest_and_its_index(dtype):
    x = np.random.default_rng(5).normal(size=(30, 40, 70)).astype(dtype)
    x[3, 4, 5:7] = np.nan
    for axis in (0, 1, 2):
        for keepdims in (True, False):
            values, indices = fa.max_with_index(x, axis=axis, keepdims=keepdims)
            np.testing.assert_array_equal(values, x.max(axis=axis, keepdims=keepdims))
            np.testing.assert_array_equal(indices, x.argmax(axis=axis, keepdims=keepdims))
    value, index = fa.max_with_index(x[0, 0])
    assert isinstance(value, np.generic)
    assert (value, index) == (x[0, 0].max(), x[0, 0].argmax())


def test_nothing_to_choose_from():
    for shape in ((0, 5), (3, 0, 5)):
        values, indices = fa.top_k(np.empty(shape), 2)
        assert values.shape == indices.shape == (*shape[:-1], 2)
    assert fa.top_k(np.empty((3, 0)), 0)[0].shape == (3, 0)
    assert fa.top_k(np.ones((3, 4)), 0)[1].shape == (3, 0)
    with pytest.raises(ValueError, match="x must have at least one element along axis 1, got"):
        fa.max_with_index(np.empty((3, 0)))


REFUSED = [
    (
        lambda: fa.top_k([1.0, 2.0], 3),
        ValueError,
        "k must be at least 0 and at most the 2 elements along axis 0, got 3",
    ),
    (lambda: fa.top_k([1.0, 2.0], -1), ValueError, "got -1"),
    (lambda: fa.top_k([1.0, 2.0], 1.0), TypeError, "k must be an integer, got 1.0"),
    (lambda: fa.top_k([1.0, 2.0], True), TypeError, "k must be an integer"),
    (lambda: fa.top_k([1.0, 2.0], 1, largest="no"), TypeError, "largest must be True or False"),
    (lambda: fa.top_k([1.0, 2.0], 1, sorted=None), TypeError, "sorted must be True or False"),
    (lambda: fa.top_k(np.ones(3, np.longdouble), 1), TypeError, "x must be float16, float32 or float64"),
    (lambda: fa.top_k(1.0, 1), np.exceptions.AxisError, "axis -1"),
    (lambda: fa.top_k([1.0], 1, dim=0), TypeError, "which is called 'axis' here"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
