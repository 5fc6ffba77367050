"""How results lie in memory, and in which byte order: as those of NumPy's elementwise expressions of the same operands."""

import numpy as np
import pytest

import fastact as fa
from tests.combinations import covering
from tests.conftest import DTYPES

SHAPE = (4, 6, 8)
rng = np.random.default_rng(0)


def swapped(a):
    return a.astype(a.dtype.newbyteorder())


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "swapped": swapped,
    "swapped Fortran": lambda a: swapped(np.asfortranarray(a)),
    "axes in another order": lambda a: np.ascontiguousarray(a.transpose(1, 0, 2)).transpose(1, 0, 2),
    "strided": lambda a: np.repeat(np.asfortranarray(a), 2, axis=1)[:, ::2],
    "backwards": lambda a: np.asfortranarray(a[::-1, :, ::-1])[::-1, :, ::-1],
}
"""How an operand may lie in memory."""
PARTS = {
    "all of it": lambda a: a,
    "one for all along the axis": None,
    "one row": lambda a: a[:1],
    "fewer axes": lambda a: a[0],
    "a number": lambda a: float(a[0, 0, 0]),
}
"""What is given of an operand that broadcasts."""
AXES = (-1, 0, 1, (0, 1), (2, 0), (1,), (), None)


def part(name, a, axis):
    """That part; along several axes the one element is that of each."""
    if PARTS[name] is not None:
        return PARTS[name](a)
    axes = range(a.ndim) if axis is None else np.atleast_1d(np.array(axis, int)) % a.ndim
    return a[tuple(slice(0, 1) if k in axes else slice(None) for k in range(a.ndim))]


def values(dtype):
    return rng.normal(size=SHAPE).astype(dtype)


def check(got, like, expected=None):
    """Of the shape and dtype and in memory as ``like``, in the machine's byte order, and of these values."""
    assert (got.shape, got.dtype) == (like.shape, like.dtype)
    assert got.dtype.isnative
    if like.size:
        assert got.strides == like.strides
    if expected is not None:
        np.testing.assert_array_equal(got, expected)


ALONE = {"layout": LAYOUTS, "axis": AXES, "dtype": (*DTYPES, "int16"), "name": ("softmax", "softmin", "log_softmax")}


def is_cheap(row):
    """Other dtypes than float32 with one function only: where results lie depends on neither, and each pair is a kernel."""
    return row["dtype"] in ("float32", "int16") or row["name"] == "softmax"


@pytest.mark.parametrize(tuple(ALONE), [tuple(row.values()) for row in covering(2, ALONE, is_cheap)], ids=str)
def test_rows_of_one_operand(layout, axis, dtype, name):
    function, x = getattr(fa, name), (4 * values("float32")).astype(dtype)
    placed = LAYOUTS[layout](x)
    expected = function(x, axis=axis)
    check(function(placed, axis=axis), np.tanh(placed), expected)
    for order in "CFAK":
        check(function(placed, axis=axis, order=order), np.tanh(placed, order=order), expected)
    if name == "softmax":
        wide = function(placed, axis=axis, dtype="float64")
        check(wide, np.tanh(placed, dtype="float64"), function(x.astype("float64"), axis=axis))
    check(function(placed[:, :0], axis=axis), np.tanh(placed[:, :0]))


SUMMED = {"layout": LAYOUTS, "axis": AXES, "dtype": DTYPES, "keepdims": (False, True)}


@pytest.mark.parametrize(tuple(SUMMED), [tuple(row.values()) for row in covering(2, SUMMED)], ids=str)
def test_rows_that_become_numbers(layout, axis, dtype, keepdims):
    x = values(dtype)
    placed = LAYOUTS[layout](x)
    got, like = (f(placed, axis=axis, keepdims=keepdims) for f in (fa.logsumexp, np.max))
    assert (got.shape, got.dtype) == (like.shape, np.dtype(dtype))
    assert np.asarray(got).dtype.isnative
    longer = [k for k, n in enumerate(got.shape) if n > 1]
    assert [got.strides[k] for k in longer] == [like.strides[k] for k in longer]
    np.testing.assert_array_equal(got, fa.logsumexp(x, axis=axis, keepdims=keepdims))


BACKWARDS = {
    "grad": LAYOUTS,
    "output": LAYOUTS,
    "of grad": PARTS,
    "of output": PARTS,
    "axis": AXES,
    "dtype": DTYPES,
    "other": DTYPES,
    "name": ("softmax_backward", "log_softmax_backward"),
}


def has_all_elements(row):
    """And one of two dtypes for each function: each is a kernel to compile."""
    narrow, wide = ("float16", "float32") if row["name"] == "softmax_backward" else ("float32", "float64")
    return "all of it" in (row["of grad"], row["of output"]) and {row["dtype"], row["other"]} <= {narrow, wide}


def pairs(options, allowed=lambda row: True, most=100):
    """So many rows that options take their values together often: of these many, any two cover more than time allows."""
    drawn = np.random.default_rng(1)
    rows = []
    while len(rows) < most:
        row = {name: list(choices)[drawn.integers(len(choices))] for name, choices in options.items()}
        if allowed(row) and tuple(row.values()) not in rows:
            rows.append(tuple(row.values()))
    return rows


@pytest.mark.parametrize("row", pairs(BACKWARDS, has_all_elements), ids=lambda row: "-".join(map(str, row)))
def test_rows_of_two_operands(row, same_bits):
    """They broadcast along the axis too, and ``axis`` counts in the broadcast shape; byte orders make no difference."""
    grad_layout, output_layout, of_grad, of_output, axis, dtype, other, name = row
    function = getattr(fa, name)
    grad = part(of_grad, LAYOUTS[grad_layout](values(dtype)), axis)
    output = part(of_output, LAYOUTS[output_layout](-abs(values(other))), axis)
    like = np.multiply(grad, output)
    full = [np.ascontiguousarray(np.broadcast_to(a, SHAPE), like.dtype.newbyteorder("=")) for a in (grad, output)]
    expected = function(*full, axis=axis)
    got = function(grad, output, axis=axis)
    check(got, like)
    same_bits(got, expected)
    for kind in (like.dtype, like.dtype.newbyteorder()):
        out = np.full(SHAPE, 7, kind)
        assert function(grad, output, axis=axis, out=out) is out
        np.testing.assert_array_equal(out, expected)
    wide = "float32" if name == "softmax_backward" else "float64"
    widened = tuple(a if isinstance(a, float) else a.astype(wide) for a in (grad, output))
    check(function(*widened, axis=axis), np.multiply(*widened))


def gated(grad, x, axis):
    """An elementwise expression of a gradient and the first half of an array."""
    return np.multiply(grad, np.split(x, 2, axis)[0])


def axes_in_memory(a):
    return np.argsort([-abs(s) for s in a.strides], kind="stable").tolist()


PARTED = {"layout": LAYOUTS, "other": LAYOUTS, "axis": (0, 1, -1), "dtype": DTYPES}


@pytest.mark.parametrize(tuple(PARTED), [tuple(row.values()) for row in covering(2, PARTED)], ids=str)
def test_halves_and_groups(layout, other, axis, dtype):
    x = values(dtype)
    placed = LAYOUTS[layout](x)
    y = fa.glu(placed, axis)
    check(y, np.multiply(*np.split(placed, 2, axis)), fa.glu(x, axis))
    grad = LAYOUTS[other](np.broadcast_to(y, y.shape)) if other != "axes in another order" else np.asfortranarray(y)
    for given in (grad, np.take(grad, [0], axis), grad[0], 0.5):
        if np.ndim(given) == 2 and axis == 0:
            given = np.float32(2)
        like = gated(given, placed, axis)
        back = fa.glu_backward(given, placed, axis)
        assert back.dtype == like.dtype
        assert back.dtype.isnative
        assert axes_in_memory(back) == axes_in_memory(like)
        full = np.array(np.broadcast_to(given, y.shape), like.dtype.newbyteorder("="), order="C")
        np.testing.assert_array_equal(back, fa.glu_backward(full, x.astype(full.dtype), axis))
    largest, which = fa.maxout_with_index(placed, 2, axis)
    for result in (largest, which, fa.maxout(placed, 2, axis)):
        assert result.dtype.isnative
        assert axes_in_memory(result) == axes_in_memory(placed)
    np.testing.assert_array_equal(largest, fa.maxout(x, 2, axis))
    for given in (grad, np.take(grad, [0], axis), 0.5):
        like = np.multiply(given, which)
        back = fa.maxout_backward(given, which, 2, axis)
        assert back.dtype.isnative
        assert axes_in_memory(back) == axes_in_memory(like)
        full = np.array(np.broadcast_to(given, which.shape), back.dtype, order="C")
        np.testing.assert_array_equal(back, fa.maxout_backward(full, np.ascontiguousarray(which), 2, axis))


LOSSES = {
    "layout": LAYOUTS,
    "target": ("labels", "swapped labels", "probabilities", "swapped probabilities"),
    "axis": (0, 1, -1),
    "dtype": DTYPES,
    "options": ("plain", "weighted", "smoothed"),
    "ignored": (False, True),
}
OPTIONS = {
    "plain": {},
    "weighted": {"weight": np.arange(1.0, 9).astype(">f4")},
    "smoothed": {"label_smoothing": 0.1, "softcap": 4.0},
}


def compiles_little(row):
    """Each dtype with one kind of target: where results lie depends on neither."""
    if row["options"] == "smoothed":
        return row["dtype"] == "float32" and "labels" in row["target"]
    return row["dtype"] == "float32" or "labels" in row["target"]


@pytest.mark.parametrize(tuple(LOSSES), [tuple(row.values()) for row in covering(2, LOSSES, compiles_little)], ids=str)
def test_losses(layout, target, axis, dtype, options, ignored, same_bits):
    """The gradient lies as the logits do, losses as a sum over classes would; all of them in the machine's byte order."""
    x, given = values(dtype), dict(OPTIONS[options])
    placed, classes = LAYOUTS[layout](x), SHAPE[axis]
    if "weight" in given:
        given["weight"] = given["weight"][:classes]
    if "labels" in target:
        y = rng.integers(0, classes, np.delete(SHAPE, axis)).astype(np.int16)
        y[rng.random(y.shape) < 0.9 * ignored] = -100
    else:
        y = rng.random(SHAPE).astype(dtype)
    native, y = y, swapped(y) if "swapped" in target else y
    asked = {"axis": axis, "return_lse": True, "return_argmax": True, **given}
    for reduction in ("mean", "none"):
        expected = fa.cross_entropy_with_grad(x, native, reduction=reduction, **asked)
        loss, grad, *rest = fa.cross_entropy_with_grad(placed, y, reduction=reduction, **asked)
        same_bits((loss, grad, *rest), expected)
        check(grad, np.tanh(placed))
        alone = loss
        if dtype == "float32" and options != "smoothed":
            alone = fa.cross_entropy(placed, y, reduction=reduction, axis=axis, **given)
            same_bits(np.asarray(alone), np.asarray(loss))
        like = np.max(placed, axis)
        if np.ndim(y) == np.ndim(like):
            like = np.add(like, y)
        for result in (loss, alone, *rest):
            assert np.asarray(result).dtype.isnative
            assert np.ndim(result) == 0 or axes_in_memory(result) == axes_in_memory(like)
        for kind in (grad.dtype, grad.dtype.newbyteorder()):
            for out in (np.full(SHAPE, 7, kind), np.full(SHAPE, 7, kind, order="F"), np.array(placed, kind)):
                operand = out if np.array_equal(out, x) else placed  # in place, too
                got = fa.cross_entropy_with_grad(operand, y, reduction=reduction, out=out, **asked)
                assert got[1] is out
                np.testing.assert_array_equal(out, expected[1])


def test_a_long_row_and_many_rows_in_another_byte_order(threads, same_bits):
    """Shared out over threads, and with few rows that are not ignored."""
    for shape in ((2, 2**19 + 3), (5000, 10)):
        x = rng.normal(size=shape).astype("f4")
        y = np.where(rng.random(shape[0]) < 0.8, -100, 3) if shape[0] > 2 else np.array([3, 5])
        with threads(3):
            expected = fa.cross_entropy_with_grad(x, y)
            for out in (None, np.zeros(shape, ">f4"), swapped(x)):
                got = fa.cross_entropy_with_grad(
                    swapped(x) if out is None or not out.any() else out, swapped(y), out=out
                )
                same_bits((got[0], got[1].astype("f4")), expected)
            for operand in (swapped(x), np.asfortranarray(x), x):
                for axis in (-1, 1, (1,)):
                    same_bits(fa.softmax(operand, axis=axis), fa.softmax(x))
                check(fa.softmax(operand, axis=None), np.tanh(operand), fa.softmax(x, axis=None))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_linear_layer(layout, ignored, dtype, same_bits):
    """Each gradient lies as what it is of."""
    hidden, weight = values(dtype), rng.normal(size=(5, SHAPE[-1])).astype(dtype)
    target = rng.integers(0, 5, SHAPE[:-1])
    target[rng.random(target.shape) < 0.4 * ignored] = -100
    placed, matrix = LAYOUTS[layout](hidden), LAYOUTS[layout](weight[None])[0]
    for reduction in ("mean", "none"):
        options = {"reduction": reduction, "bias": swapped(weight[:, 0])}
        expected = fa.linear_cross_entropy_with_grad(hidden, weight, target, **options)
        got = fa.linear_cross_entropy_with_grad(placed, matrix, swapped(target), **options)
        for g, e in zip(got, expected, strict=True):
            assert np.asarray(g).dtype.isnative
            np.testing.assert_allclose(g, e, rtol=40 * np.finfo(dtype).eps, atol=40 * np.finfo(dtype).eps)
        assert axes_in_memory(got[1]) == axes_in_memory(placed)
        assert axes_in_memory(got[2]) == axes_in_memory(matrix)
        alone = fa.linear_cross_entropy(placed, matrix, target, **options)
        for loss in (got[0], alone):
            assert np.ndim(loss) == 0 or axes_in_memory(loss) == axes_in_memory(np.add(placed[..., 0], target))


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_repeated_axes_follow_each_other_as_those_of_an_elementwise_result(axis):
    x = np.broadcast_to(np.arange(4.0), (2, 3, 4))
    expected = np.exp(x).strides
    for result in (fa.softmax(x, axis), fa.log_softmax(x, axis), fa.softmax_backward(x, x, axis)):
        assert result.strides == expected
    if isinstance(axis, int):
        labels = np.zeros(np.delete(x.shape, axis), int)
        assert fa.cross_entropy_with_grad(x, labels, axis=axis)[1].strides == expected


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_results_of_lists_are_contiguous(axis):
    given = np.zeros((2, 3, 4)).tolist()
    assert fa.softmax(given, axis).flags.c_contiguous
    assert fa.softmax_backward(given, given, axis).flags.c_contiguous
