"""Losses of regions: what is refused, by which words, and that nothing is written then."""

import numpy as np
import pytest

import fastact as fa
from tests.test_region_losses import drawn

REFUSED = {
    "mode": (ValueError, "mode must be one of 'multiclass', 'multilabel', 'binary', got 'both'", {"mode": "both"}),
    "absent": (ValueError, "absent must be one of 'zero', 'skip', 'count', got None", {"absent": None}),
    "reduction": (ValueError, "reduction must be one of 'mean', 'sum', 'none'", {"reduction": "batchmean"}),
    "smooth": (ValueError, "smooth must be a finite number of at least 0, got -1", {"smooth": -1}),
    "weight": (ValueError, "weight must have one element for each of the 3 classes", {"weight": np.ones(4)}),
    "a weight's dtype": (TypeError, "weight must hold real numbers, got complex128", {"weight": np.ones(3) * 1j}),
    "ignore_index": (TypeError, "ignore_index must be an integer or None, got 0.5", {"ignore_index": 0.5}),
    "dtype": (TypeError, "dtype must be float16, float32, float64 or None", {"dtype": "int8"}),
    "upstream": (ValueError, "upstream must be a number where the loss is one", {"upstream": np.ones(3)}),
    "upstreams": (
        ValueError,
        r"upstream must broadcast to the shape \(3,\), got \(4,\)",
        {"upstream": np.ones(4), "reduction": "none"},
    ),
    "an upstream's dtype": (TypeError, "upstream must hold real numbers", {"upstream": 1j}),
    "out": (TypeError, "out must be an array of float32, got float64", {"out": np.ones((2, 3, 30))}),
    "from_logits": (TypeError, "from_logits must be True or False", {"from_logits": "yes"}),
    "a name": (TypeError, r"unexpected keyword argument 'dim', which is called 'axis' here", {"dim": 1}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_options_that_are_refused(what):
    error, words, given = REFUSED[what]
    x, target = drawn((2, 3, 30), 1, "multiclass")
    with pytest.raises(error, match=words):
        fa.dice_loss_with_grad(x, target, **{"axis": 1, **given})
    with pytest.raises(ValueError, match="alpha must be a finite number of at least 0, got -1"):
        fa.tversky_loss(x, target, axis=1, alpha=-1)
    with pytest.raises(ValueError, match="weight must be None in the mode 'binary'"):
        fa.dice_loss(x, x > 0, mode="binary", weight=[1.0])


@pytest.mark.parametrize(
    ("mode", "target", "error", "words"),
    [
        ("multiclass", [[0, 1], [3, 0]], IndexError, r"label 3 at position \(1, 0\) of target is out of range for 3"),
        ("multiclass", [[0, 1], [-1, 0]], IndexError, "allowed are 0 to 2 and ignore_index=7"),
        ("multiclass", [0, 1], ValueError, r"must have shape \(2, 2\) for this input, got \(2,\)"),
        ("multiclass", [[0.0, 1.0], [1.0, 0.0]], ValueError, r"target\.astype\(int\)"),
        ("multiclass", np.zeros((2, 3, 2), bool), TypeError, r"target\.argmax\(axis=1\)"),
        ("multiclass", np.full((2, 3, 2), 2.0), ValueError, r"between 0 and 1, got 2.0 at position \(0, 0, 0\)"),
        ("multilabel", np.full((2, 3, 2), -0.5), ValueError, "target must hold numbers between 0 and 1, got -0.5"),
        ("binary", np.zeros((2, 3)), ValueError, r"target must have the shape of the input, \(2, 3, 2\)"),
        ("binary", np.zeros((2, 3, 2), complex), TypeError, "target must hold real numbers"),
    ],
)
def test_targets_that_are_refused(mode, target, error, words):
    """Nothing is written then."""
    x = np.ones((2, 3, 2), np.float32)
    out = np.full_like(x, 7)
    for call in (
        lambda: fa.dice_loss(x, target, mode=mode, axis=1, ignore_index=7),
        lambda: fa.dice_loss_with_grad(x, target, mode=mode, axis=1, ignore_index=7),
        lambda: fa.dice_loss_with_grad(x, target, mode=mode, axis=1, ignore_index=7, out=out),
        lambda: fa.dice_loss_with_grad(x, target, mode=mode, axis=1, ignore_index=7, out=x),
    ):
        with pytest.raises(error, match=words):
            call()
    assert (out == 7).all()
    assert (x == 1).all()
