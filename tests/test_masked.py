"""Masked arrays: what is masked counts nowhere, and is masked in the result."""

import inspect
import itertools
from functools import partial

import numpy as np
import pytest

import fastact as fa
from fastact.calls.layout import broadcast_axes
from tests.calls import CALLS, REDUCING
from tests.containers import (
    MASK,
    X,
    in_masked,
)


def halved(mask, axis):
    either = np.logical_or(*np.split(mask, 2, axis))
    return np.concatenate([either, either], axis)


def groups(mask, k, axis):
    split = np.moveaxis(mask, axis, -1)
    return np.moveaxis(split.reshape(*split.shape[:-1], -1, k).all(-1), -1, axis)


MASKS = {
    "glu": lambda call, axis, mask: np.logical_or(*np.split(mask, 2, axis)),
    "glu_backward": lambda call, axis, mask: (
        halved(in_masked(call.arrays[1]).mask, axis) | np.concatenate([mask] * 2, axis)
    ),
    "maxout": lambda call, axis, mask: groups(mask, call.options["num_pieces"], axis),
    "maxout_with_index": lambda call, axis, mask: groups(mask, call.options["num_pieces"], axis),
    "maxout_backward": lambda call, axis, mask: np.repeat(mask, call.options["num_pieces"], axis),
    # As NumPy's masked arrays have it, what is no number, or infinite.
    **dict.fromkeys(("log", "log2", "log10"), lambda call, axis, mask: mask | (np.asarray(call.arrays[0]) <= 0)),
}
"""The masks of results that are not masked as their first operands are."""


def is_loss_of_rows(record):
    """Whether it is a loss whose masks mean more than that an element does not count; tests of masked losses have these."""
    return "cross_entropy" in record.name or (
        record.axis and "reduction" in inspect.signature(record.function).parameters
    )


@pytest.mark.parametrize("call", [call for call in CALLS if not is_loss_of_rows(call.record)], ids=str)
def test_masked(call):
    """What counts for an element of the result is not masked; the results know nothing of what is under the mask."""
    if not call.record.masked:
        with pytest.raises(TypeError, match="must not be a masked array"):
            call.results(in_masked)
        return
    axis = call.options.get("axis", -1)
    for k, (got, other) in enumerate(zip(call.results(in_masked), call.results(in_masked_garbage), strict=True)):
        plain = np.asarray(call.results()[k])
        if call.record.whole and k == 0:
            mask = np.zeros(plain.shape, bool)
        elif plain.shape == () or call.name in REDUCING:
            mask = MASK.all(axis=axis if call.record.axis else None, keepdims=call.options.get("keepdims", False))
        elif call.name == "prelu_backward" and k == 1:
            mask = MASK.all(0)
        else:
            mask = MASKS.get(call.name, lambda call, axis, mask: mask)(call, axis, in_masked(call.arrays[0]).mask)
        np.testing.assert_array_equal(np.ma.getmaskarray(got), mask)
        np.testing.assert_array_equal(np.ma.filled(got, 0), np.ma.filled(other, 0))
        if call.name in fa.ops or (call.record.op and k == 0):
            np.testing.assert_array_equal(got.data[~mask], plain[~mask])
    if call.name.startswith("glu"):
        np.testing.assert_array_equal(got.data[~mask], plain[~mask])


def in_masked_garbage(array):
    masked = in_masked(array.copy())
    masked.data[masked.mask] = np.nan if array.dtype.kind == "f" else 1
    return masked


def test_masked_gradients_of_maxout_and_glu_into_out():
    x, grad = in_masked(X), np.ma.array(np.ones((6, 5), np.float32), mask=MASK[:, :5])
    which = np.zeros((6, 5), np.int32)
    calls = [partial(fa.glu, x), partial(fa.maxout, x, 2), partial(fa.glu_backward, grad, x)]
    for call in [*calls, partial(fa.maxout_backward, grad, which, 2)]:
        expected = call()
        out, plain = np.ma.zeros(expected.shape, np.float32), np.zeros(expected.shape, np.float32)
        assert call(out=out) is out
        np.testing.assert_array_equal(out.mask, expected.mask)
        np.testing.assert_array_equal(out.compressed(), expected.compressed())
        assert call(out=plain) is plain
        np.testing.assert_array_equal(plain[~expected.mask], expected.compressed())


def test_masked_elements_count_in_no_gradient_of_a_slope():
    """However their gradient, their place or their slope is masked."""
    x, grad, weight = -np.ones((4, 3)), np.ones((4, 3)), np.full(3, 0.5)
    mask = np.zeros((4, 3), bool)
    mask[0, 0] = mask[:, 2] = True
    out = np.ma.zeros(3)
    for operands in (
        (np.ma.array(grad, mask=mask), x, weight),
        (grad, np.ma.array(x, mask=mask), weight),
        (grad, x, np.ma.array(np.broadcast_to(weight, (4, 3)), mask=mask)),
    ):
        by_x, by_weight = fa.prelu_backward(*operands)
        assert by_x.tolist() == [[None, 0.5, None], *[[0.5, 0.5, None]] * 3]
        assert by_weight.sum(axis=0).tolist() == [-3, -4, None] if by_weight.ndim == 2 else [-3, -4, None]
    fa.prelu_backward(grad, np.ma.array(x, mask=mask), weight, out=(None, out))
    assert out.tolist() == [-3, -4, None]


@pytest.mark.parametrize("name", [f"{name}_backward" for name, op in fa.ops.items() if op.gradients > 1])
def test_masks_of_several_gradients(name):
    """Where an operand is masked, at the shape of each result, which hides a sum if it hides all of its terms."""
    shapes = [(2, 3), (3,), (2, 1), ()]
    for given in itertools.product(shapes, repeat=3):
        if np.broadcast_shapes(*given) != (2, 3):
            continue
        for hiding in itertools.product([False, True], repeat=3):
            masks = [np.zeros(shape, bool) for shape in given]
            for mask, hides in zip(masks, hiding, strict=True):
                mask.flat[:1] = hides
            operands = [np.full(shape, value) for shape, value in zip(given, (1.0, -1.0, 0.5), strict=True)]
            together = zip(operands, masks, hiding, strict=True)
            with np.errstate(all="raise"):
                results = getattr(fa, name)(*(np.ma.array(x, mask=m) if hides else x for x, m, hides in together))
            either = np.logical_or.reduce(np.broadcast_arrays(*masks))
            for result, shape in zip(results, given[1:], strict=True):
                expected = either
                if name == "prelu_backward":
                    summed = broadcast_axes((2, 3), shape)
                    expected = either.all(axis=summed, keepdims=True).reshape(shape) if summed else either
                np.testing.assert_array_equal(np.ma.getmaskarray(result), expected)


def test_masked_parameters_mask_the_whole_result():
    """Where they alone are masked, and of less than the full shape."""
    x, parameter = np.ones((2, 3)), np.ma.array([0.1, 0.2, 0.3], mask=[1, 0, 0])
    for got in (
        fa.leaky_relu(x, parameter),
        fa.leaky_relu_backward(x, x, parameter),
        fa.rrelu(x, 0.1, parameter),
        fa.rrelu_backward(x, x, 0.1, parameter),
        fa.rrelu_backward(x, x, parameter, 0.5),
        fa.rrelu_backward(x, x, slopes=parameter),
    ):
        assert got.mask.tolist() == [[True, False, False]] * 2


ROWS = {
    "softmax": fa.softmax,
    "softmin": fa.softmin,
    "log_softmax": fa.log_softmax,
    "softmax_backward": lambda x, **axis: fa.softmax_backward(x, x, **axis),
    "log_softmax_backward": lambda x, **axis: fa.log_softmax_backward(x, x, **axis),
    "logsumexp": fa.logsumexp,
}


@pytest.mark.parametrize("axis", [0, -1, None, (0, 1)])
@pytest.mark.parametrize(
    ("call", "dtype"), [*itertools.product(ROWS, ("f4", "i2")), ("softmax", "f2"), ("softmax", "f8")]
)
def test_masked_elements_count_in_no_row(call, axis, dtype, same_bits):
    """Each row is computed as if they were not there."""
    rng = np.random.default_rng(0)
    masked = np.ma.masked_array((X * 3).astype(dtype), rng.random(X.shape) < 0.3)
    masked[3] = np.ma.masked
    got = ROWS[call](masked, axis=axis)
    lines = [(masked, got)]
    if axis in (0, -1):
        lines = zip(*(a.T if axis == 0 else a for a in (masked, got)), strict=True)
    for line, result in lines:
        if call == "logsumexp":
            assert (result is np.ma.masked) == bool(line.mask.all())
        else:
            np.testing.assert_array_equal(result.mask, line.mask)
        if not line.mask.all():
            left = result.compressed() if np.ndim(result) else np.asarray(result)
            np.testing.assert_allclose(
                left, ROWS[call](line.compressed()), rtol=2e-3 if dtype == "f2" else 1e-5, atol=1e-4
            )
    if np.ndim(got):
        out = np.ma.zeros(got.shape, got.dtype)
        assert ROWS[call](masked, axis=axis, out=out) is out
        same_bits(out.compressed(), got.compressed())
        np.testing.assert_array_equal(out.mask, got.mask)


def test_masked_pieces_are_never_the_largest():
    x = np.ma.array([[1.0, 9.0, 2.0, 3.0], [5.0, 6.0, 7.0, 8.0]], mask=[[0, 1, 0, 0], [1, 1, 0, 0]])
    for got in (fa.maxout(x, 2), fa.maxout_with_index(x, 2)[0]):
        assert got.tolist() == [[1.0, 3.0], [None, 8.0]]
    assert fa.maxout_with_index(x, 2)[1].tolist() == [[0, 1], [None, 1]]
    assert fa.maxout(x.T, 2, axis=0).tolist() == fa.maxout(x, 2).T.tolist()


def test_a_masked_piece_is_not_chosen_among_infinite_ones():
    x = np.ma.array([[5.0, -np.inf], [-np.inf, 5.0], [np.nan, 1.0], [1.0, 2.0]], mask=[[1, 0], [0, 1], [0, 1], [1, 1]])
    out = np.zeros((4, 1)), np.zeros((4, 1), np.int32)
    fa.maxout_with_index(x, 2, out=out)
    for which in (fa.maxout_with_index(x, 2)[1], fa.maxout_with_index(x.T, 2, axis=0)[1].T, out[1]):
        assert which[:3].tolist() == [[1], [0], [0]]
    middle = np.ma.array([1.0, -np.inf, -np.inf], mask=[1, 1, 0])
    assert fa.maxout_with_index(middle, 3)[1].tolist() == [2]


INTO = {
    "softmax": (fa.softmax, (2, 4)),
    "softmax of all": (partial(fa.softmax, axis=None), (2, 4)),
    "softmax_backward": (lambda x, out: fa.softmax_backward(x, x, out=out), (2, 4)),
    "broadcast gradient": (lambda x, out: fa.softmax_backward(1.0, x, out=out), (2, 4)),
    "logsumexp": (fa.logsumexp, (2,)),
    "logsumexp of all": (partial(fa.logsumexp, axis=None), ()),
    "cross_entropy_with_grad": (lambda x, out: fa.cross_entropy_with_grad(x, [0, 1], out=out)[1], (2, 4)),
    "in a tuple": (lambda x, out: fa.cross_entropy_with_grad(x, [0, 1], out=(out,))[1], (2, 4)),
    "mostly ignored": (lambda x, out: fa.cross_entropy_with_grad(x, [-100, -100], out=out)[1], (2, 4)),
    "maxout": (lambda x, out: fa.maxout(x, 2, out=out), (2, 2)),
    "maxout_with_index": (lambda x, out: fa.maxout_with_index(x, 2, out=(out, None))[0], (2, 2)),
    "maxout_backward": (lambda x, out: fa.maxout_backward(x, np.zeros((2, 4), int), 2, out=out), (2, 8)),
    "glu": (fa.glu, (2, 2)),
    "glu_backward": (lambda x, out: fa.glu_backward(x[:, :2], x, out=out), (2, 4)),
}


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("call", INTO)
def test_the_mask_of_out_is_written_as_by_ufuncs(call, hard):
    """As one of its own: not what it has shared, hard or not, nor what was masked before."""
    function, shape = INTO[call]
    x = np.arange(8.0).reshape(2, 4)
    for given in (x, np.ma.array(x), np.ma.array(x, mask=[[False] * 4, [True] * 4])):
        before = np.ones(shape, bool)
        out = np.ma.array(np.zeros(shape), mask=before, hard_mask=hard, copy=False)
        other = np.ma.array(np.zeros(shape), mask=before, copy=False)
        view = out[...]
        with np.errstate(all="raise"):
            assert function(given, out=out) is out
        masks = np.ma.getmaskarray(given).all() if not shape else np.zeros(shape, bool)
        if shape and np.ma.is_masked(given):
            masks[1] = True
        np.testing.assert_array_equal(out.mask, masks)
        assert out.mask.shape == shape
        assert before.all()
        assert other.mask.all()
        assert view.mask.all()
        if given is x:
            plain = np.zeros(shape)
            np.testing.assert_array_equal(out.data, function(x, out=plain))
        assert not np.may_share_memory(out.mask, np.ma.getmaskarray(given))


def test_masked_results_keep_the_rest_of_what_they_are_made_of():
    """As those of ``np.exp``."""

    class Own(np.ma.MaskedArray):
        pass

    x = np.ma.array(np.ones((2, 4)), mask=np.eye(2, 4), fill_value=7.0).view(Own)
    for got in (
        fa.softmax(x),
        fa.log_softmax_backward(1.0, x),
        fa.logsumexp(x),
        fa.glu(x),
        fa.glu_backward(1.0, x),
        fa.maxout(x, 2),
        fa.maxout_with_index(x, 2)[0],
        fa.cross_entropy_with_grad(x, [3, 3])[1],
    ):
        assert type(got) is type(np.exp(x)) is Own
        assert got.fill_value == np.exp(x).fill_value == 7.0
        assert not np.may_share_memory(got.mask, x.mask)
