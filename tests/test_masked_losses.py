"""Losses of masked logits, labels and layers, and of halves in containers."""

from functools import partial

import numpy as np
import pytest

import fastact as fa
from tests.combinations import covering
from tests.containers import in_dask, in_masked_rows


def test_masked_classes_and_labels_count_nothing():
    x = np.ma.array([[0.0, 1.0, 2.0, 5.0], [1.0, 2.0, 3.0, 4.0]], mask=[[0, 0, 0, 1], [0, 1, 0, 0]])
    rows = [fa.cross_entropy([[0.0, 1.0, 2.0]], [0]), fa.cross_entropy([[1.0, 3.0, 4.0]], [1])]
    loss, grad = fa.cross_entropy_with_grad(x, [0, 2])
    assert loss == fa.cross_entropy(x, [0, 2]) == pytest.approx(sum(rows) / 2)
    np.testing.assert_array_equal(grad.mask, x.mask)
    assert np.ma.sum(grad, axis=1).tolist() == pytest.approx([0, 0])
    assert fa.cross_entropy(x, [0, 1]) == pytest.approx(rows[0])  # the second row's label is masked
    assert fa.cross_entropy(x, np.ma.array([0, 2], mask=[0, 1])) == pytest.approx(rows[0])
    assert fa.cross_entropy(x.T, [0, 2], axis=0) == pytest.approx(sum(rows) / 2)
    q = np.ma.array(np.eye(4)[[0, 2]], mask=x.mask)
    assert fa.cross_entropy(x, q) == pytest.approx(sum(rows) / 2)


MASKED_LOSSES = {
    "labels": {},
    "weights": {"weight": np.linspace(0.5, 2, 10)},
    "smoothing": {"label_smoothing": 0.2},
    "smoothing and weights": {"label_smoothing": 0.2, "weight": np.linspace(0.5, 2, 10), "z_loss": 0.01},
    "capped": {"softcap": 2.0},
    "all": {"softcap": 3.0, "label_smoothing": 0.3, "z_loss": 0.1},
}
LOSSES = {"options": MASKED_LOSSES, "dense": [False, True], "axis": [0, -1], "reduction": ["none", "sum", "mean"]}


@pytest.mark.parametrize(tuple(LOSSES), [tuple(row.values()) for row in covering(3, LOSSES)], ids=str)
def test_masked_losses_are_those_of_what_is_left(options, dense, axis, reduction):
    """Row by row, as if masked classes were not there; no row with a masked label counts."""
    options = dict(MASKED_LOSSES[options])
    rng = np.random.default_rng(3)
    x, mask = rng.normal(size=(6, 10)).astype("f4"), rng.random((6, 10)) < 0.3
    mask[2], mask[3, 4], mask[4, 1] = True, True, False
    labels = np.ma.array([0, 1, 2, 4, 1, -100], mask=[1, 0, 0, 0, 0, 0])
    mask[1, 1] = False
    q = np.ma.array(rng.random((6, 10)).astype("f4"), mask=rng.random((6, 10)) < 0.2)
    q[5] = np.ma.masked
    losses, off, grad, lse = np.zeros(6), np.zeros(6, bool), np.zeros((6, 10)), np.zeros(6)
    weights = np.zeros(6)
    for i in range(6):
        left = np.flatnonzero(~mask[i])
        off[i] = (mask[i] | q.mask[i]).all() if dense else labels.mask[i] or (labels[i] >= 0 and mask[i, labels[i]])
        if off[i] or (not dense and labels[i] < 0):
            continue
        target = q[i, left].filled(0)[None] if dense else [list(left).index(labels[i])]
        given = options | ({"weight": options["weight"][left]} if "weight" in options else {})
        loss, gradient, sums = fa.cross_entropy_with_grad(
            x[i, left][None], target, **given, reduction="none", return_lse=True
        )
        losses[i], grad[i, left], lse[i] = loss.item(), gradient, sums.item()
        weights[i] = 1 if dense or "weight" not in options else options["weight"][labels[i]]
    scale = 1 / weights.sum() if reduction == "mean" else 1
    turned = (lambda a: a.T) if axis == 0 else (lambda a: a)
    given = turned(np.ma.array(x, mask=mask)), turned(q) if dense else labels
    got = fa.cross_entropy_with_grad(*given, axis=axis, reduction=reduction, return_lse=True, **options)
    alone = fa.cross_entropy(*given, axis=axis, reduction=reduction, **options)
    out = np.empty_like(given[0].data)
    fa.cross_entropy_with_grad(*given, axis=axis, reduction=reduction, out=out, **options)
    expected = losses if reduction == "none" else losses.sum() * scale
    np.testing.assert_allclose(np.ma.filled(got[0], 0), expected, rtol=3e-6)
    np.testing.assert_allclose(np.ma.filled(alone, 0), expected, rtol=3e-6)
    np.testing.assert_allclose(turned(got[1]).filled(0), grad * scale, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(turned(got[1]).mask, mask)
    np.testing.assert_allclose(turned(out)[~mask], (grad * scale)[~mask], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(got[2].mask, off)
    np.testing.assert_allclose(got[2].filled(0), lse, rtol=3e-6)
    if reduction == "none":
        np.testing.assert_array_equal(got[0].mask, off)
        np.testing.assert_array_equal(alone.mask, off)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_masked_layers_count_as_zeros_and_masked_rows_not_at_all(reduction):
    rng = np.random.default_rng(0)
    hidden = np.ma.array(rng.normal(size=(6, 4)), mask=rng.random((6, 4)) < 0.2)
    hidden[1] = np.ma.masked
    weight = np.ma.array(rng.normal(size=(5, 4)), mask=rng.random((5, 4)) < 0.2)
    bias = np.ma.array(rng.normal(size=5), mask=[1, 0, 0, 0, 0])
    labels = np.ma.array([0, 1, 2, 3, 4, 0], mask=[0, 0, 0, 1, 0, 0])
    off = np.array([0, 1, 0, 1, 0, 0], bool)
    loss, *gradients = fa.linear_cross_entropy_with_grad(hidden, weight, labels, bias=bias, reduction=reduction)
    left = hidden.filled(0)[~off], weight.filled(0), labels.data[~off]
    expected, *right = fa.linear_cross_entropy_with_grad(*left, bias=bias.filled(0), reduction=reduction)
    alone = fa.linear_cross_entropy(hidden, weight, labels, bias=bias, reduction=reduction)
    for got in (loss, alone):
        np.testing.assert_allclose(got.compressed() if reduction == "none" else got, expected, rtol=1e-12)
        if reduction == "none":
            np.testing.assert_array_equal(got.mask, off)
    assert not gradients[0][off].filled(0).any()
    for got, wanted, operand in zip(
        (gradients[0][~off], *gradients[1:]), right, (hidden[~off], weight, bias), strict=True
    ):
        np.testing.assert_array_equal(got.mask, operand.mask)
        np.testing.assert_allclose(got.compressed(), wanted[~operand.mask], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "u4", "i8", "u8"])
def test_masked_labels_of_any_dtype(dtype):
    """The index to ignore need not fit theirs, nor the number of classes."""
    x = np.random.default_rng(0).normal(size=(3, 300))
    labels = np.ma.array([0, 1, 2], mask=[0, 1, 0], dtype=dtype)
    assert fa.cross_entropy(x, labels) == fa.cross_entropy(x[::2], [0, 2])
    assert fa.cross_entropy(np.ma.array(x, mask=x > 9), labels) == fa.cross_entropy(x[::2], [0, 2])


def test_masked_targets_are_checked_as_others_are():
    x = np.ma.array(np.eye(3), mask=np.eye(3) == 5)
    for mask in (np.ma.nomask, np.eye(3) == 1):
        with pytest.raises(TypeError, match="target must hold integers"):
            fa.cross_entropy(x, np.ma.array(np.eye(3, dtype=bool), mask=mask))
    with pytest.raises(IndexError, match="out of range for 3 classes"):
        fa.cross_entropy(x, np.ma.array([0, 1, 2**64 - 100], mask=[0, 1, 0], dtype="u8"))


@pytest.mark.parametrize("wrap", [lambda a: a, np.ma.array, in_masked_rows, partial(in_dask, rows=2)])
@pytest.mark.parametrize("dtype", [None, "f4"])
def test_losses_of_halves_are_rounded_once(wrap, dtype):
    """A row's loss is too large for them, the mean is not."""
    x, labels = np.zeros((6, 2), np.float16), np.array([1, 0, 0, 0, 0, 0])
    x[0] = [6e4, -6e4]
    expected = (12e4 + 5 * np.log(2)) / 6
    for function in (fa.cross_entropy, fa.cross_entropy_with_grad):
        got = function(wrap(x), labels, dtype=dtype)
        loss = got[0] if isinstance(got, tuple) else got
        assert np.asarray(loss).dtype == (dtype or "f2")
        assert float(loss) == pytest.approx(expected, rel=1e-3 if dtype is None else 1e-6)
    lse = fa.cross_entropy_with_grad(wrap(x), labels, dtype=dtype, return_lse=True)[2]
    assert lse.dtype == (dtype or "f2")
    layer = fa.linear_cross_entropy_with_grad(wrap(x), np.eye(2, dtype=np.float16), labels, dtype=dtype)[0]
    assert np.asarray(layer).dtype == (dtype or "f2")
    assert float(layer) == pytest.approx(expected, rel=1e-3 if dtype is None else 1e-6)


def test_the_gradient_of_masked_logits_is_masked():
    """Where nothing is, too."""
    for mask in (np.ma.nomask, np.zeros((2, 3), bool)):
        loss, grad = fa.cross_entropy_with_grad(np.ma.array(np.ones((2, 3)), mask=mask), [0, 1], reduction="none")
        assert type(loss) is type(grad) is np.ma.MaskedArray
    assert type(fa.cross_entropy_with_grad(np.ones((2, 3)), np.ma.array([0, 1]))[1]) is np.ndarray


def test_masked_labels_are_named_as_they_were_given():
    labels = np.ma.array([0, 1, 2**64 - 3], mask=[1, 0, 0], dtype="u8")
    for x in (np.ma.array(np.eye(3)), np.eye(3)):
        with pytest.raises(IndexError, match="label 18446744073709551613 at position 2 is out of range"):
            fa.cross_entropy(x, labels)
