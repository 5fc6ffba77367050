"""Ignored rows count nothing, whatever they hold: results are those of the rows that are left, the gradient there is zero."""

import numpy as np
import pytest

import fastact as fa
from tests.combinations import covering
from tests.conftest import DTYPES

SHAPES = {
    "few": ((7, 12), -1),
    "side by side": ((300, 11), -1),
    "many short": ((5000, 10), -1),
    "many": ((2500, 120), -1),
    "long": ((300, 1100), -1),
    "along the first axis": ((30, 4000), 0),
    "along the middle": ((5, 20, 1000), 1),
    "in a row": ((2, 2**19 + 3), -1),
}
SHARES = (0.3, 0.6, 0.94, 1.0)
OPTIONS = {
    "plain": {},
    "weighted": {"weighted": True},
    "smoothed": {"label_smoothing": 0.1, "z_loss": 0.01},
    "weighted and smoothed": {"weighted": True, "label_smoothing": 0.1},
}


def compiles_little(row):
    """Smoothed labels in one dtype: their kernels take longest to compile."""
    return row["dtype"] == "float32" or "smoothed" not in row["given"]


BY_PAIRS = {"case": SHAPES, "share": SHARES, "index": (-100, 3), "given": OPTIONS, "dtype": DTYPES}


def problem(shape, axis, share, dtype, index=-100, seed=0):
    """Logits that are not finite where rows are ignored, labels, and which rows count."""
    rng = np.random.default_rng(seed)
    rows = np.moveaxis((3 * rng.normal(size=shape)).astype(dtype), axis, -1)
    target = rng.integers(0, rows.shape[-1], rows.shape[:-1])
    target[target == index] = (index + 1) % rows.shape[-1]
    counted = rng.random(target.shape) >= share
    target[~counted] = index
    rows[~counted] = rng.choice([np.nan, np.inf, -np.inf], (np.count_nonzero(~counted), rows.shape[-1]))
    return np.ascontiguousarray(np.moveaxis(rows, -1, axis)), target, counted


@pytest.mark.parametrize(
    tuple(BY_PAIRS), [tuple(row.values()) for row in covering(2, BY_PAIRS, compiles_little)], ids=str
)
def test_as_if_they_were_not_there(case, share, index, given, dtype, same_bits):
    shape, axis = SHAPES[case]
    logits, target, counted = problem(shape, axis, share, dtype, index)
    options = dict(OPTIONS[given])
    if options.pop("weighted", False):
        options["weight"] = 0.5 + np.random.default_rng(1).random(shape[axis])
    options |= {"ignore_index": index, "reduction": "none"}
    left = np.moveaxis(logits, axis, -1)[counted]
    more = {"return_lse": True, "return_argmax": True}
    expected = fa.cross_entropy_with_grad(left, target[counted], **options, **more)
    before = logits.copy()
    for out in (None, np.full_like(logits, 7), logits):
        loss, grad, lse, argmax = fa.cross_entropy_with_grad(logits, target, axis=axis, out=out, **options, **more)
        assert out is None or grad is out
        assert grad.strides == logits.strides
        grad = np.moveaxis(grad, axis, -1)
        same_bits((loss[counted], grad[counted], lse[counted], argmax[counted]), expected)
        assert not any(np.any(a[~counted]) for a in (loss, grad, lse, argmax))
    logits = before
    same_bits(fa.cross_entropy(logits, target, axis=axis, **options), loss)
    for reduction in ("mean", "sum"):
        options["reduction"] = reduction
        want = fa.cross_entropy_with_grad(left, target[counted], **options)
        loss, grad = fa.cross_entropy_with_grad(logits, target, axis=axis, **options)
        alone = fa.cross_entropy(logits, target, axis=axis, **options)
        same_bits(np.asarray(alone), np.asarray(loss))
        same_bits(np.asarray(loss), np.asarray(want[0]))
        same_bits(np.moveaxis(grad, axis, -1)[counted], want[1])
        assert not np.any(np.moveaxis(grad, axis, -1)[~counted])


def test_other_layouts(same_bits):
    """Byte orders, views and labels of which NumPy makes copies."""
    logits, target, _ = problem((4000, 10), -1, 0.9, "float32")
    expected = fa.cross_entropy_with_grad(logits, target)
    wide = np.full((8000, 20), 7, "f4")
    views = wide[::2, ::2], wide[::-2, 1::2], np.asfortranarray(logits)
    for view in views:
        view[...] = logits
        got = fa.cross_entropy_with_grad(view, target)
        same_bits((np.asarray(got[0]), got[1]), (np.asarray(expected[0]), expected[1]))
        same_bits(np.asarray(fa.cross_entropy(view, target)), np.asarray(expected[0]))
    for order in ("<f4", ">f4"):
        for labels in (target.astype(">i8"), target.astype("i1"), np.repeat(target, 2)[::2], np.asfortranarray(target)):
            loss, grad = fa.cross_entropy_with_grad(logits.astype(order), labels)
            assert loss == expected[0]
            assert np.array_equal(grad, expected[1])
            assert fa.cross_entropy(logits.astype(order), labels) == expected[0]
    x = wide[:4000, :10]
    x[...] = logits
    loss, _ = fa.cross_entropy_with_grad(x[:-1], target[:-1], out=x[1:])  # a gradient that lies over other rows
    same_bits(x[1:], fa.cross_entropy_with_grad(logits[:-1], target[:-1])[1])


@pytest.mark.parametrize("rows", [3, 40, 5000])
@pytest.mark.parametrize("index", [-100, 2])
@pytest.mark.parametrize("wrong", [4, -1, 2**40])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_wrong_label_among_ignored_ones(rows, index, wrong, reduction):
    logits, target = np.zeros((rows, 4), np.float32), np.full(rows, index)
    target[rows // 2] = wrong
    out, options = np.full_like(logits, 7), {"ignore_index": index, "reduction": reduction}
    text = rf"label {wrong} at position {rows // 2} is out of range for 4 classes: .*ignore_index={index}"
    with pytest.raises(IndexError, match=text):
        fa.cross_entropy(logits, target, **options)
    with pytest.raises(IndexError, match=text):
        fa.cross_entropy_with_grad(logits, target, out=out, **options)
    assert (out == 7).all()
    with pytest.raises(IndexError, match=text):
        fa.linear_cross_entropy(logits, np.zeros((4, 4), "f4"), target, **options)


def test_a_wrong_label_of_nested_rows():
    nested = np.zeros((2, 3), int)
    nested[1, 0] = 9
    with pytest.raises(IndexError, match=r"label 9 at position \(1, 0\) is out of range for 4 classes"):
        fa.linear_cross_entropy(np.ones((2, 3, 5)), np.ones((4, 5)), nested)


@pytest.mark.parametrize("share", SHARES)
def test_a_linear_layer(share, same_bits):
    rng = np.random.default_rng(2)
    for dtype in ("float16", "float32"):
        hidden, weight = rng.normal(size=(30, 20, 8)).astype(dtype), rng.normal(size=(50, 8)).astype(dtype)
        target, bias = rng.integers(0, 50, (30, 20)), rng.normal(size=50)
        counted = rng.random(target.shape) >= share
        target[~counted], hidden[~counted] = -100, np.nan
        for options in ({}, {"reduction": "sum", "bias": bias}, {"reduction": "none", "label_smoothing": 0.1}):
            got = fa.linear_cross_entropy_with_grad(hidden, weight, target, **options)
            want = fa.linear_cross_entropy_with_grad(hidden[counted], weight, target[counted], **options)
            loss, grad, *rest = got
            alone = fa.linear_cross_entropy(hidden, weight, target, **options)
            same_bits(np.asarray(alone), np.asarray(loss))
            same_bits(np.asarray(loss[counted] if loss.ndim else loss), np.asarray(want[0]))
            same_bits(grad[counted], want[1])
            same_bits(tuple(rest), tuple(want[2:]))
            assert not np.any(grad[~counted])
            assert not loss.ndim or not np.any(loss[~counted])
