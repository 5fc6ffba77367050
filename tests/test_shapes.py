"""No axis, no element, one element: every public function does what NumPy's reductions and ufuncs do."""

import re

import numpy as np
import pytest

import fastact as fa
from tests.calls import CALLS, RECORDS, REDUCING

SHAPES = [(), (1,), (1, 1), (0,), (3, 0), (0, 3), (0, 0), (2, 0, 4)]
AXES = [-1, 0, 1, None, (), (0,), (0, 1), (-1, 0)]
ROWWISE = [name for name, record in RECORDS.items() if record.axis == "several" and not name.endswith("_with_grad")]
ALONE = {"softmax": 1, "softmin": 1, "log_softmax": 0, "softmax_backward": 0}
OF_HALVES = {
    "logsumexp": lambda many: 0.5 + np.log(many),
    "entropy": lambda many: 0.5 * many * np.log(2),
    "entropy_with_logits": np.log,
}
EMPTY = {"logsumexp": -np.inf, "entropy": 0, "entropy_with_logits": 0}
"""What so many elements of 0.5 give where a row gives one number, and what none give."""
"""What an only element, 0.5, becomes; with gradients of 0.5, for an output of 1 or 0."""


@pytest.mark.parametrize("call", [call for call in CALLS if call.record.op], ids=str)
def test_elementwise(call):
    """Scalars come back as scalars, whatever they were; arrays keep their shape."""
    arrays = sum(isinstance(x, np.ndarray) for x in call.arrays)
    expected = call.results(lambda x: x.flat[:1])
    for scalar in (lambda x: x.flat[0], lambda x: np.asarray(x.flat[0])):
        for got, one in zip(call.results(scalar), expected, strict=True):
            assert isinstance(got, np.generic)
            assert got.dtype == one.dtype == np.float32
            assert got == one[0] or (got != got and one[0] != one[0])  # as xlogy of a negative number
    for got in call.results(lambda x: float(x.flat[0])):
        assert type(got) is np.float64
    for shape in SHAPES[1:]:
        for got in call.results(lambda x, shape=shape: np.full(shape, x.flat[0])):
            assert got.shape == shape
            assert got.dtype == np.float32
    assert arrays


def as_numpy_reduces(shape, axis):
    """The shape that is left, or the error."""
    try:
        return np.sum(np.zeros(shape), axis=axis).shape
    except (ValueError, np.exceptions.AxisError) as error:
        return type(error)


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ROWWISE)
def test_rows(name, shape, axis):
    x = np.full(shape, 0.5, np.float32)
    operands = (x, np.ones_like(x)) if name == "softmax_backward" else (x, 0 * x) if name.endswith("backward") else (x,)
    function, left = getattr(fa, name), as_numpy_reduces(shape, axis)
    if isinstance(left, type):
        with pytest.raises(left):
            function(*operands, axis=axis)
        return
    got = function(*operands, axis=axis)
    assert got.dtype == np.float32
    assert isinstance(got, np.ndarray) == bool(np.ndim(got))
    assert got.shape == (left if name in REDUCING else shape)
    if name in REDUCING:
        kept = function(x, axis=axis, keepdims=True)
        assert kept.shape == np.sum(x, axis=axis, keepdims=True).shape
        np.testing.assert_array_equal(kept.reshape(got.shape), got)
        many = x.size // got.size if got.size else 0
        assert np.allclose(got, OF_HALVES[name](many) if many else EMPTY[name], equal_nan=True)
    elif x.size == 1:
        assert (got == ALONE.get(name, 0)).all()
    for out in [np.full(np.shape(got), 7, np.float32)] * (np.ndim(got) > 0):
        assert function(*operands, axis=axis, out=out) is out
        np.testing.assert_array_equal(out, got)


def where(shape, axis):
    """The axis counted from the front; ``None`` if there is none."""
    return axis % len(shape) if -len(shape) <= axis < len(shape) else None


@pytest.mark.parametrize("axis", [-1, 0, 1, 2])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_halves_and_groups(shape, axis):
    """`glu` and `maxout` take an axis apart: there must be one, as for `numpy.sort`, and of nothing half is nothing."""
    x, position = np.full(shape, 0.5, np.float32), where(shape, axis)
    calls = {
        1: (lambda: fa.maxout(x, 1, axis), lambda: fa.maxout_with_index(x, 1, axis)[0]),
        2: (lambda: fa.glu(x, axis), lambda: fa.maxout(x, 2, axis), lambda: fa.maxout_with_index(x, 2, axis)[1]),
    }
    backward = (lambda: fa.glu_backward(1.0, x, axis), lambda: fa.maxout_backward(1.0, np.zeros(shape, int), 2, axis))
    if position is None:
        for call in (*calls[1], *calls[2], *backward):
            with pytest.raises(np.exceptions.AxisError):
                call()
        return
    for call in calls[1]:
        np.testing.assert_array_equal(call(), x)
    left, double = (tuple(int(n * by) if i == position else n for i, n in enumerate(shape)) for by in (0.5, 2))
    assert backward[1]().shape == double
    if shape[position] % 2:
        for call in (*calls[2], backward[0]):
            with pytest.raises(ValueError, match="length of axis"):
                call()
        return
    for call in calls[2]:
        assert call().shape == left
    assert backward[0]().shape == shape


@pytest.mark.parametrize("axis", [None, (0,), ()])
def test_halves_and_groups_are_of_one_axis(axis):
    x = np.ones(2)
    for call in (
        lambda: fa.glu(x, axis),
        lambda: fa.glu_backward(1.0, x, axis),
        lambda: fa.maxout(x, 2, axis),
        lambda: fa.maxout_with_index(x, 2, axis),
        lambda: fa.maxout_backward(1.0, np.zeros(1, int), 2, axis),
    ):
        with pytest.raises(TypeError, match="integer"):
            call()


LOSSES = {"mean": np.nan, "sum": 0.0}
"""Of no row."""


@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 4), (0, 0)], ids=str)
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_no_row(shape, dense, reduction):
    """The mean of nothing is NaN, its sum 0, and each row's loss nowhere; gradients have the shape of what they are of."""
    x = np.zeros(shape, np.float32)
    target = np.zeros(shape) if dense else np.zeros(shape[:-1], int)
    loss = fa.cross_entropy(x, target, reduction=reduction)
    for result in (loss, fa.cross_entropy_with_grad(x, target, reduction=reduction)[0]):
        assert result.dtype == np.float32
        assert result.shape == (shape[:-1] if reduction == "none" else ())
        if reduction in LOSSES:
            np.testing.assert_equal(float(result), LOSSES[reduction])
    _, grad, lse, argmax = fa.cross_entropy_with_grad(
        x, target, reduction=reduction, return_lse=True, return_argmax=True
    )
    assert (grad.shape, lse.shape, argmax.shape) == (shape, shape[:-1], shape[:-1])
    if reduction == "mean":
        assert fa.cross_entropy(x, target, empty=7.0) == 7
    moved = np.moveaxis(x, -1, 0), np.moveaxis(target, -1, 0) if dense else target
    assert fa.cross_entropy_with_grad(*moved, axis=0, reduction=reduction)[1].shape == moved[0].shape
    if dense:
        return
    weight, bias = np.ones((5, shape[-1]), np.float32), np.ones(5, np.float32)
    total, *gradients = fa.linear_cross_entropy_with_grad(x, weight, target, bias=bias, reduction=reduction)
    np.testing.assert_array_equal(total, loss)
    np.testing.assert_array_equal(fa.linear_cross_entropy(x, weight, target, reduction=reduction), loss)
    assert [g.shape for g in gradients] == [shape, weight.shape, bias.shape]
    assert not gradients[1].any()
    assert not gradients[2].any()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_one_row_and_of_no_feature(reduction):
    """Logits of one axis are one row; a layer without inputs has its bias for logits."""
    x, options = np.array([1.0, 2.0, 4.0]), {"reduction": reduction}
    expected, grad = (r[0] if np.ndim(r) else r for r in fa.cross_entropy_with_grad(x[None], [1], **options))
    loss, alone = fa.cross_entropy_with_grad(x, 1, **options)
    assert isinstance(loss, np.generic)
    assert loss == fa.cross_entropy(x, 1, **options) == expected
    np.testing.assert_array_equal(alone, grad)
    for rows, labels in ((np.zeros((1, 0)), [1]), (np.zeros(0), 1)):
        total, *gradients = fa.linear_cross_entropy_with_grad(
            rows, np.zeros((3, 0)), np.array(labels), bias=x, **options
        )
        assert np.ravel(total) == expected
        assert [g.shape for g in gradients] == [rows.shape, (3, 0), (3,)]
        np.testing.assert_allclose(gradients[2], grad)
    for one in ([5.0], 5.0):
        assert fa.softmax(one) == 1
    with pytest.raises(ValueError, match="logits must have an axis of classes"):
        fa.cross_entropy(1.0, 0)
    with pytest.raises(ValueError, match="hidden must have an axis of features"):
        fa.linear_cross_entropy(np.array(1.0), np.ones((2, 1)), np.array(0))


ELSEWHERE = (
    "accuracies",
    "biased",
    "binary-losses",
    "choosing",
    "distillation",
    "divergences",
    "dropout",
    "embedding",
    "gan-losses",
)
ELSEWHERE += ("hard-examples", "margin-losses", "multiclass-losses", "norms", "optimizers", "regression-losses")
ELSEWHERE += ("region-losses", "regularizers", "rotary")
"""Families whose shapes are tested in files of their own."""


def test_every_function_is_in_a_table():
    """Those of halves, of groups and of losses are called above by name, entropies with gradients in a file of their own."""
    named = {"glu", "glu_backward", "maxout", "maxout_with_index", "maxout_backward"}
    losses = {"cross_entropy", "cross_entropy_with_grad", "linear_cross_entropy", "linear_cross_entropy_with_grad"}
    others = {name for name, record in RECORDS.items() if record.family in ELSEWHERE}
    others |= {name for name in RECORDS if name.endswith("_backward_from_output")}  # ufuncs, in a file of their own
    others |= {"entropy_with_grad", "entropy_with_logits_with_grad"}
    assert named | losses | others == {name for name, record in RECORDS.items() if not record.op} - {*ROWWISE}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["hypot", "logaddexp", "logaddexp2", "power"])
def test_reductions_of_nothing_and_over_several_axes_are_numpys(name, dtype):
    x = (np.arange(-30, 30).reshape(3, 4, 5) / 8).astype(dtype)
    ours, theirs = getattr(fa, name), getattr(np, name)
    assert ours.identity == theirs.identity
    for a, options in (
        (x[:0], {}),
        (x[:1], {}),
        (x, {"axis": (0, 2)}),
        (x, {"axis": None, "keepdims": True}),
        (x, {"where": x > 0}),
        (x, {"where": False, "axis": -1}),
        (x, {"initial": 1.5}),
    ):
        try:
            expected = theirs.reduce(a.astype(np.float64), **options)
        except ValueError as error:
            with pytest.raises(ValueError, match=re.escape(str(error))):
                ours.reduce(a, **options)
            continue
        with np.errstate(all="ignore"):
            found = ours.reduce(a, **options)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected.astype(dtype), rtol=16 * np.finfo(dtype).eps)
