"""The softmax family: values against the reference, edges, and the same bits for every layout, axis and number of threads."""

import numpy as np
import pytest

import fastact as fa
from fastact import table
from tests.conftest import DTYPES

FAMILY = [record for record in table.functions().values() if record.family == "softmax"]
SHAPES = [(3, 1000), (2, 5), (4, 64), (5, 3000), (40, 10), (70, 1100), (300, 15), (3, 33, 9), (9, 8, 21, 2)]
KINDS = {
    "random": lambda rng, shape: 4 * rng.normal(size=shape),
    "shifted": lambda rng, shape: 4 * rng.normal(size=shape) + 1e4,
    "peaked": lambda rng, shape: 2 * rng.normal(size=shape) + 80 * (rng.random(shape) < 0.02),
    "near-uniform": lambda rng, shape: 1 + 1e-3 * rng.normal(size=shape),
    "wide": lambda rng, shape: rng.uniform(-90, 90, size=shape),
    "late": lambda rng, shape: 4 * rng.normal(size=shape) + 60 * (np.arange(shape[-1]) > 0.9 * shape[-1]),
    "later": lambda rng, shape: 4 * rng.normal(size=shape) + 30 * (np.arange(shape[-1]) > 0.9 * shape[-1]),
    "huge": lambda rng, shape: 2.0**21 + rng.integers(-60, 60, shape),
}


def operands(row_op, kind, shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    largest = float(np.finfo(dtype).max) / 2
    x = np.clip(KINDS[kind](rng, shape), -largest, largest).astype(dtype)
    if not row_op.name.endswith("_backward"):
        return [x]
    forward = fa.softmax if row_op.name == "softmax_backward" else fa.log_softmax
    return [rng.normal(size=shape).astype(dtype), forward(x)]


def scale_of(row_op, arrays, expected, axis):
    """What each element's error is measured by, as the docstring says."""
    if row_op.name == "logsumexp":
        return np.maximum(1, np.maximum(abs(expected), abs(arrays[0]).max(axis)))
    if row_op.name == "softmax_backward":
        grad, output = arrays
        return output * (abs(grad) + np.sum(abs(grad * output), axis, keepdims=True))
    if row_op.name == "log_softmax_backward":
        grad, output = arrays
        return abs(grad) + np.exp(output) * np.sum(abs(grad), axis, keepdims=True)
    return abs(expected)


@pytest.fixture(params=FAMILY, ids=lambda row_op: row_op.name)
def row_op(request):
    return request.param


def by_pairs(kinds):
    """Of kind, shape and dtype any two take all their values together, and each dtype its turn with both."""
    return pytest.mark.parametrize(
        ("kind", "shape", "dtype"),
        [
            (kind, shape, DTYPES[(i + j) % len(DTYPES)])
            for i, kind in enumerate(kinds)
            for j, shape in enumerate(SHAPES)
        ],
        ids=str,
    )


@by_pairs(KINDS)
def test_values(row_op, kind, shape, dtype):
    for axis in range(-1, len(shape) - 1):
        arrays = operands(row_op, kind, shape, dtype)
        got = row_op.function(*arrays, axis=axis)
        assert got.dtype == np.dtype(dtype)
        wide = [a.astype(np.longdouble) for a in arrays]
        expected = row_op.reference(*wide, axis=axis)
        scale = scale_of(row_op, wide, expected, axis)
        info = np.finfo(dtype)
        unit = np.maximum(np.spacing(scale.astype(dtype)).astype(np.longdouble), float(info.smallest_subnormal))
        worst = float(np.max(abs(got.astype(np.longdouble) - expected) / unit))
        assert worst <= {"float16": 1.1, "float32": row_op.ulp, "float64": row_op.double_ulp}[dtype], (
            f"{worst} ULP along axis {axis}"
        )


@by_pairs(["random", "late", "random"])
def test_bits_do_not_depend_on_the_layout(row_op, kind, shape, dtype, same_bits, threads):
    for axis in range(len(shape)):
        arrays = operands(row_op, kind, shape, dtype)
        with threads(1):
            expected = row_op.function(*(np.ascontiguousarray(np.moveaxis(a, axis, -1)) for a in arrays))
        if expected.ndim == len(shape):
            expected = np.moveaxis(expected, -1, axis)
        spread = [np.repeat(a, 2, axis=-1)[..., ::2] for a in arrays]
        backwards = [np.ascontiguousarray(a[..., ::-1])[..., ::-1] for a in arrays]
        columns = [np.asfortranarray(a) for a in arrays]
        swapped = [a.astype(a.dtype.newbyteorder()) for a in arrays]
        for layout in (arrays, spread, backwards, columns, swapped):
            same_bits(row_op.function(*layout, axis=axis), expected)
        with threads(3):
            same_bits(row_op.function(*arrays, axis=axis), expected)


def test_threads_split_rows_and_columns(row_op, dtype, same_bits, threads):
    for shape, axis in (((400, 1030), 1), ((1030, 400), 0), ((60_000, 7), 1)):
        arrays = operands(row_op, "random", shape, dtype)
        with threads(1):
            expected = row_op.function(*arrays, axis=axis)
        for n in (2, 3):
            with threads(n):
                same_bits(row_op.function(*arrays, axis=axis), expected)


def test_in_place_and_out(row_op, dtype, same_bits):
    for shape, axis in (((5, 2100), 1), ((40, 50), 0), ((7, 3), 1)):
        arrays = operands(row_op, "random", shape, dtype)
        expected = row_op.function(*arrays, axis=axis)
        out = np.empty_like(expected)
        assert row_op.function(*arrays, axis=axis, out=out) is out
        same_bits(out, expected)
        if expected.shape == shape:
            for k in range(len(arrays)):
                copies = [a.copy() for a in arrays]
                row_op.function(*copies, axis=axis, out=copies[k])
                same_bits(copies[k], expected)
            base = np.concatenate([arrays[0], arrays[0]])
            row_op.function(
                base[: shape[0]], *arrays[1:], axis=axis, out=base[1 : shape[0] + 1]
            )  # NumPy copies a partial overlap
            same_bits(base[1 : shape[0] + 1], expected)


def test_in_place_allocates_nothing():
    import tracemalloc

    x = np.zeros((64, 5000), np.float32)
    fa.softmax(x, out=x)
    tracemalloc.start()
    try:
        fa.softmax(x, out=x)
        assert tracemalloc.get_traced_memory()[1] < x.nbytes / 10
    finally:
        tracemalloc.stop()


def test_several_axes(row_op, dtype):
    arrays = operands(row_op, "random", (3, 4, 5, 6), dtype)
    flat = [np.moveaxis(a, (1, 3), (2, 3)).reshape(3, 5, 24) for a in arrays]
    expected = row_op.function(*flat)
    got = row_op.function(*arrays, axis=(1, 3))
    if expected.ndim == 3:
        got, expected = np.moveaxis(got, (1, 3), (2, 3)), expected.reshape(3, 5, 4, 6)
    assert np.array_equal(got, expected)
    whole = row_op.function(*arrays, axis=None)
    assert np.array_equal(np.ravel(whole), np.ravel(row_op.function(*(a.reshape(-1) for a in arrays))))
    out = np.empty_like(whole)
    if out.ndim:
        assert row_op.function(*arrays, axis=None, out=out) is out
        assert np.array_equal(out, whole)
        with pytest.raises(ValueError, match="shape"):
            row_op.function(*arrays, axis=(0, 1), out=np.empty((2, 2), dtype))


def test_logsumexp_keeps_dimensions():
    x = np.arange(24.0).reshape(2, 3, 4)
    assert fa.logsumexp(x, axis=1, keepdims=True).shape == (2, 1, 4)
    assert fa.logsumexp(x, axis=(0, 2), keepdims=True).shape == (1, 3, 1)
    assert fa.logsumexp(x, axis=None, keepdims=True).shape == (1, 1, 1)
    assert np.ndim(fa.logsumexp(x, axis=None)) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dominating_class_keeps_its_precision(dtype):
    for others in (1, 5, 2000):
        x = np.array([20] + [0] * others, dtype)
        expected = -np.log1p(others * np.exp(np.float64(-20)))
        for got in (fa.log_softmax(x)[0], fa.log_softmax(np.tile(x, (40, 1)), axis=1)[7, 0]):
            assert abs(float(got) - expected) <= 2 * abs(np.spacing(got))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_shift_changes_nothing_else(dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 200)).astype(dtype)
    shifted = x + np.dtype(dtype).type(1e4)
    same = (shifted - np.dtype(dtype).type(1e4)).astype(dtype)  # what the shift's rounding has left
    for function in (fa.softmax, fa.log_softmax):
        a, b = function(shifted), function(same)
        assert np.max(abs(a - b) / np.spacing(abs(b))) <= 4


ROWS_LIKE_PYTORCH = [
    ([np.inf, 0.0, 1.0], [np.nan] * 3, np.inf),
    ([np.inf, np.inf, 1.0], [np.nan] * 3, np.inf),
    ([-np.inf] * 3, [np.nan] * 3, -np.inf),
    ([np.nan, 0.0, 1.0], [np.nan] * 3, np.nan),
    ([np.nan, np.inf, 1.0], [np.nan] * 3, np.nan),
    ([np.nan, -np.inf, -np.inf], [np.nan] * 3, np.nan),
    ([-np.inf, 0.0, 0.0], [0.0, 0.5, 0.5], np.log(2)),
    ([3e38, -3e38, 3e38], [0.5, 0.0, 0.5], 3e38),
    ([-3e38, -3e38, -3.4e38], [0.5, 0.5, 0.0], -3e38),
    ([0.0], [1.0], 0.0),
]


@pytest.mark.parametrize(("row", "expected", "total"), ROWS_LIKE_PYTORCH, ids=str)
@pytest.mark.parametrize("copies", [1, 40])
@pytest.mark.parametrize("length", [0, 70, 1500])
def test_edges(row, expected, total, copies, length):
    """Alone, among columns, and behind a tail of -inf that reaches into further lanes and chunks."""
    tail = [-np.inf] * length
    x = np.tile(np.float32(row + tail), (copies, 1))
    expected = np.float32(expected + ([0.0] * length if not np.isnan(expected[0]) else [np.nan] * length))
    for layout in (x, np.asfortranarray(x)):
        got = fa.softmax(layout)
        assert np.allclose(got, expected, equal_nan=True), got[0]
        some = ~(expected == 0)
        assert np.allclose(fa.log_softmax(layout)[:, some], np.log(expected[some]), equal_nan=True, atol=1e-6)
        assert (fa.log_softmax(layout)[:, ~some] < -1e30).all()
        assert np.allclose(fa.logsumexp(layout), np.float32(total), equal_nan=True)
        assert np.allclose(fa.softmin(-layout), expected, equal_nan=True)


def test_no_warnings():
    with np.errstate(all="raise"):
        for row, _, _ in ROWS_LIKE_PYTORCH:
            x = np.tile(np.float32(row), (40, 1))
            fa.softmax(x)
            fa.softmax(x, axis=0)
            fa.logsumexp(x)


def test_empty(dtype):
    assert fa.softmax(np.empty((0, 5), dtype)).shape == (0, 5)
    assert fa.softmax(np.empty((5, 0), dtype)).shape == (5, 0)
    assert np.array_equal(fa.logsumexp(np.empty((3, 0), dtype)), [-np.inf] * 3)
    assert fa.logsumexp(np.empty((0, 3), dtype)).shape == (0,)


def test_the_error_does_not_grow_with_the_row(threads):
    rng = np.random.default_rng(0)
    for x in (rng.normal(size=3 * 10**6).astype(np.float32), np.full(3 * 10**6, 0.1, np.float32)):
        exact = np.log(np.sum(np.exp(x.astype(np.float64))))
        results = []
        for n in (1, 2):
            with threads(n):
                results.append(fa.logsumexp(x))
        assert results[0] == results[1]
        assert abs(float(results[0]) - exact) <= np.spacing(np.float32(exact))
        p = np.exp(x[:1000].astype(np.float64) - exact)
        assert np.max(abs(fa.softmax(x)[:1000] - p) / np.spacing(p.astype(np.float32))) <= 4


def test_sums_of_long_rows_written_into_them(threads, same_bits):
    """A sum may lie under a row that is still to be read."""
    rows = np.random.default_rng(0).normal(size=(3, 530_001)).astype(np.float32)
    expected = fa.logsumexp(rows)
    for place in ((2, slice(0, 3)), (1, slice(0, 3)), (slice(0, 3), 0)):
        x = rows.copy()
        with threads(4):
            same_bits(fa.logsumexp(x, out=x[place]), expected)


def test_a_long_row_is_split_over_threads(row_op, dtype, same_bits, threads):
    arrays = operands(row_op, "random", (530_001,), dtype)
    with threads(1):
        expected = row_op.function(*arrays)
    with threads(3):
        same_bits(row_op.function(*arrays), expected)
        same_bits(row_op.function(*(np.repeat(a, 2)[::2] for a in arrays)), expected)
        two = [np.stack([a, a], axis=1) for a in arrays]
        same_bits(row_op.function(*two, axis=0)[..., 1], expected)
        out = np.empty_like(expected)
        assert row_op.function(*arrays, out=out) is out
        same_bits(out, expected)
        if expected.ndim:
            copy = arrays[0].copy()
            row_op.function(copy, *arrays[1:], out=copy)
            same_bits(copy, expected)
            base = np.concatenate([arrays[0], arrays[0][:7]])
            row_op.function(base[:-7], *arrays[1:], out=base[7:])
            same_bits(base[7:], expected)
    with threads(3), pytest.raises(ValueError, match="shape"):
        row_op.function(*arrays, out=np.empty((2, 2), dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["softmax_backward", "log_softmax_backward"])
def test_gradients_of_outputs_that_underflow(name, dtype):
    """What is too small for a normal number may be large again times a gradient."""
    row_op, rng, most = table.function(name), np.random.default_rng(2), np.finfo(dtype).maxexp
    for shape in ((1, 5), (40, 33), (3, 1100)):
        exponents = -1.3 * most * np.log(2) * rng.random(shape)
        exponents[:, 0] = -np.inf
        output = (exponents if name == "log_softmax_backward" else np.exp(exponents)).astype(dtype)
        grad = rng.normal(size=shape) * 2.0 ** rng.integers(-most + 9, most - 9, shape)
        grad = np.where(rng.random(shape) < 0.5, 0, grad).astype(dtype)
        wide = [grad.astype(np.longdouble), output.astype(np.longdouble)]
        expected = row_op.reference(*wide)
        scale = scale_of(row_op, wide, expected, -1).astype(dtype)
        allowed = row_op.ulp if dtype == "float32" else row_op.double_ulp
        for axis in (-1, 0):
            turned = grad if axis else np.ascontiguousarray(grad.T), output if axis else np.ascontiguousarray(output.T)
            got = row_op.function(*turned, axis=axis)
            assert np.all(abs((got if axis else got.T) - expected) <= allowed * np.spacing(scale))


def test_gradients_against_differences():
    rng = np.random.default_rng(1)
    x, grad = rng.normal(size=(4, 9)), rng.normal(size=(4, 9))
    for forward, backward in ((fa.softmax, fa.softmax_backward), (fa.log_softmax, fa.log_softmax_backward)):
        got = backward(grad, forward(x))
        for k in range(9):
            step = np.zeros(9)
            step[k] = 1e-6
            difference = np.sum(grad * (forward(x + step) - forward(x - step)), axis=-1) / 2e-6
            assert np.allclose(got[:, k], difference, atol=1e-8)


def test_dtypes_and_errors(row_op):
    arrays = operands(row_op, "random", (4, 5), "float64")
    with pytest.raises(TypeError):
        row_op.function(*(a.astype(complex) for a in arrays))
    with pytest.raises(TypeError):
        row_op.function(*(a.astype(str) for a in arrays))
    with pytest.raises(np.exceptions.AxisError):
        row_op.function(*arrays, axis=2)
    with pytest.raises(np.exceptions.AxisError):
        row_op.function(*arrays, axis=(0, 2))
    with pytest.raises(np.exceptions.AxisError):
        row_op.function(*(a[0, 0] for a in arrays), axis=1)
    integers = [np.arange(6).reshape(2, 3)] * len(arrays)
    assert row_op.function(*integers).dtype == np.float64
    assert row_op.function(*(a.astype(np.int8) for a in integers)).dtype == np.float16
    assert isinstance(row_op.function.ufunc, np.ufunc)
    read_only = arrays[0].copy()
    read_only.flags.writeable = False
    row_op.function(read_only, *arrays[1:])
    if row_op.name != "logsumexp":
        with pytest.raises(ValueError, match="read-only"):
            row_op.function(*arrays, out=read_only)


@pytest.mark.parametrize("function", [fa.softmax, fa.softmin, fa.log_softmax, fa.logsumexp])
def test_scalars_and_empty_arrays_over_every_axis(function):
    """As NumPy's reductions: a scalar is a row of one, an empty array gives what has its shape."""
    for axis in (None, -1, 0, ()):
        for x in (3.0, np.float32(3), np.array(3.0, "f2")):
            got = function(x, axis=axis)
            assert np.shape(got) == ()
            assert got.dtype == np.asarray(x).dtype
            assert got == {"softmax": 1, "softmin": 1, "log_softmax": 0, "logsumexp": 3}[function.__name__]
    with pytest.raises(np.exceptions.AxisError):
        function(3.0, axis=1)
    for shape in ((0, 3, 4), (3, 0, 4), (3, 4, 0)):
        x = np.zeros(shape)
        for axis in (None, 0, 1, -1, (0, 1), (1, 2), (0, 1, 2)):
            expected = np.sum(x, axis=axis).shape if function is fa.logsumexp else shape
            assert np.shape(function(x, axis=axis)) == expected
