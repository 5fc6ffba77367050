"""Scores of predicted regions, against scikit-learn's, and what they refuse."""

import numpy as np
import pytest

import fastact as fa
from fastact import reference


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 5, (3, 20, 21))
    return np.where(rng.random(target.shape) < 0.7, target, rng.integers(0, 5, target.shape)), target


def test_scores_are_those_of_scikit_learn(maps):
    metrics = pytest.importorskip("sklearn.metrics")
    prediction, target = (a.reshape(-1) for a in maps)
    for ours, theirs in ((fa.iou_score, metrics.jaccard_score), (fa.dice_score, metrics.f1_score)):
        np.testing.assert_allclose(ours(*maps, reduction="none"), theirs(target, prediction, average=None), rtol=1e-15)
        assert ours(*maps) == pytest.approx(theirs(target, prediction, average="macro"), rel=1e-14)
        some = (a == 2 for a in maps)
        assert ours(*some) == pytest.approx(theirs(target == 2, prediction == 2), rel=1e-15)


def test_scores_are_those_of_the_losses(maps):
    """Of probabilities that are 0 and 1."""
    prediction, target = maps
    certain = (prediction[..., None] == np.arange(5)).astype(float)
    for score, loss in ((fa.iou_score, fa.jaccard_loss), (fa.dice_score, fa.dice_loss)):
        for per_image in (False, True):
            losses = loss(certain, target, from_logits=False, reduction="none", per_image=per_image)
            np.testing.assert_allclose(
                score(prediction, target, reduction="none", per_image=per_image), 1 - losses, rtol=1e-14
            )


@pytest.mark.parametrize("name", ["iou_score", "dice_score"])
def test_what_neither_holds(name, maps):
    score = getattr(fa, name)
    prediction, target = (np.where(a == 3, 0, a) for a in maps)
    each = score(prediction, target, reduction="none")
    assert np.isnan(each[3])
    assert score(prediction, target) == np.mean(each[[0, 1, 2, 4]])
    assert score(prediction, target, empty=1) == pytest.approx((np.nansum(each) + 1) / 5)
    assert np.isnan(score(prediction, target, num_classes=7, reduction="none")[3::2]).all()
    nothing = np.zeros((2, 0), int)
    assert np.isnan(score(nothing, nothing))
    assert score(nothing, nothing, num_classes=3, reduction="none", empty=0.5).tolist() == [0.5] * 3
    assert np.isnan(score(np.zeros(4, bool), np.zeros(4, bool)))
    assert score(np.zeros(4, bool), np.zeros(4, bool), empty=1.0) == 1


@pytest.mark.parametrize("name", ["iou_score", "dice_score"])
def test_what_is_left_out(name, maps):
    """Ignored and masked pixels, whatever is predicted there."""
    score, (prediction, target) = getattr(fa, name), maps
    off = np.random.default_rng(1).random(target.shape) < 0.3
    expected = score(prediction[~off], target[~off], reduction="none", num_classes=5)
    hidden = np.where(off, 255, target)
    got = score(np.where(off, 77, prediction), hidden, ignore_index=255, num_classes=5, reduction="none")
    np.testing.assert_array_equal(got, expected)
    for given in ((np.ma.array(prediction, mask=off), target), (prediction, np.ma.array(target, mask=off))):
        np.testing.assert_array_equal(score(*given, num_classes=5, reduction="none"), expected)
    assert score(prediction, hidden, ignore_index=255, per_image=True) == pytest.approx(
        reference.__getattr__(name)(prediction, hidden, ignore_index=255, per_image=True)
    )


def test_shapes_and_dtypes(maps):
    prediction, target = maps
    assert fa.iou_score(*maps, per_image=True, reduction="none").shape == (3, 5)
    assert fa.iou_score(prediction == 1, target == 1, per_image=True, reduction="none").shape == (3,)
    assert fa.iou_score(prediction.astype("u1"), target.astype("i2")) == fa.iou_score(*maps)
    assert fa.iou_score(*maps, dtype="f4").dtype == np.float32
    assert type(fa.iou_score(*maps)) is np.float64
    for per_image in (False, True):
        assert fa.iou_score(1, 1, per_image=per_image) == 1
        assert np.isnan(fa.iou_score(np.zeros((0, 3), int), np.zeros((0, 3), int), per_image=per_image))


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (([0, 5], [0, 1], {"num_classes": 3}), IndexError, "label 5 at position 1 of prediction is out of range"),
        (([0, 1], [0, -1], {}), IndexError, "label -1 at position 1 of target is out of range for 2 classes"),
        (([0, 1], [0], {}), ValueError, r"prediction and target must have one shape, got \(2,\) and \(1,\)"),
        (([0.0, 1.0], [0, 1], {}), TypeError, "prediction must hold integers"),
        (([True], [1], {}), TypeError, "must both hold booleans or integers, got bool and int64"),
        (([0], [0], {"num_classes": 0}), ValueError, "num_classes must be at least 1, got 0"),
        (([0], [0], {"reduction": "sum"}), ValueError, "reduction must be one of 'mean', 'none'"),
        (([0], [0], {"per_image": 2}), TypeError, "per_image must be True or False"),
        (([0], [0], {"empty": "nan"}), TypeError, "empty must be a number"),
    ],
)
def test_what_is_refused(given, error, words):
    prediction, target, options = given
    for function in (fa.iou_score, fa.dice_score):
        with pytest.raises(error, match=words):
            function(prediction, target, **options)
