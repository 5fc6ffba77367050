"""Hinge losses of rows of many classes with a label each, as of support vector machines."""

import math
from typing import Any

import numpy as np

from fastact.functions.common import part
from fastact.functions.labelled_losses import LabelledLoss, register
from fastact.functions.options import Option
from fastact.kinds.rows import Largest, Once, Sum
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, maximum, select, widen

MARGIN = Option(1.0, "By how much the label's score must be above the others'.")


@scalar
def _gap(x: Scalar, x_label: Scalar, margin: Scalar) -> Scalar:
    T = type(x)
    distance = select(x == x_label, T(0), x - x_label)  # also of scores that are both infinite
    return maximum(T(margin) + distance, T(0))


@scalar
def _violations(x: Scalar, x_label: Scalar, margin: Scalar, p: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """An element's part of the loss and of the label's derivative, if it differs from the label's; else 1 of those that do not."""
    T = type(x)
    tie, gap = x == x_label, _gap(x, x_label, margin)
    squared = p > 1.5
    part = select(squared, gap * gap, gap)
    slope = select(squared, T(2) * gap, select(gap > T(0), T(1), gap))
    return select(tie, T(0), part), select(tie, T(0), slope), select(tie, T(1), T(0))


@scalar
def _multi_margin_loss(
    violation: Scalar,
    active: Scalar,
    ties: Scalar,
    x_label: Scalar,
    w_label: Scalar,
    margin: Scalar,
    p: Scalar,
    scale: Scalar,
    n: Scalar,
) -> tuple[Any, ...]:
    """What ties with the label lose is added here: the label itself, one of them, loses nothing."""
    T = type(x_label)
    one, zero = widen(1.0), widen(0.0)
    gap = select(margin > zero, margin, zero)
    squared = p > 1.5
    each = widen(w_label) / n
    others = ties - one
    loss = part(each, violation + others * select(squared, gap * gap, gap))
    slope = active + others * select(squared, (one + one) * gap, select(gap > zero, one, zero))
    return loss, violation, T(scale * each), T(zero - scale * each * slope)


def _multi_margin_gradient(x: Scalar, x_label: Scalar, margin: Scalar, p: Scalar, factor: Scalar) -> Scalar:
    T = type(x)
    gap = _gap(x, x_label, margin)
    return factor * select(p > 1.5, T(2) * gap, select(gap > T(0), T(1), gap))


def _gaps(x: Any, hot: Any, margin: float) -> Any:
    label = np.where(hot, x, 0.0).sum(-1, keepdims=True)
    distance = np.where(x == label, 0.0, x - label)
    return np.where(hot, 0.0, np.maximum(margin + distance, 0.0))


def _multi_margin_reference(x: Any, hot: Any, p: float, margin: float) -> Any:
    return (_gaps(x, hot, margin) ** p).mean(-1)


def _multi_margin_terms(x: Any, hot: Any, p: float, margin: float) -> tuple[Any, Any]:
    gaps = _gaps(x, hot, margin)
    slopes = p * gaps ** (p - 1) * (gaps > 0) / x.shape[-1]
    return slopes, -(hot * slopes.sum(-1, keepdims=True))


register(
    LabelledLoss(
        "multi_margin_loss",
        [
            Sum("violation active ties", _violations),
            Once("loss lse factor at_label", _multi_margin_loss, wide="loss lse"),
        ],
        _multi_margin_gradient,
        reference=_multi_margin_reference,
        reference_gradient=_multi_margin_terms,
        summary="Hinge loss of many classes, of all that come too near to the label's score.",
        formula=r"\frac{1}{C} \sum_{j \ne y} \max(0, \mathtt{margin} - x_y + x_j)^p",
        derivative_formula=r"\frac{p}{C} \max(0, \mathtt{margin} - x_y + x_j)^{p - 1}, \quad"
        r" j = y:\ -\sum_{k \ne y} \frac{\partial L}{\partial x_k}",
        input_meaning="Scores.",
        scale=lambda losses, classes, p, margin: np.maximum(losses, max(margin, 0.0) ** p / classes),
        scale_meaning="the loss, or of what ties lose if that is more, likewise",
        options={"p": Option(1.0, "The power, 1 or 2.", "1 or 2", lambda p: p in (1, 2)), "margin": MARGIN},
        kinks="Where a score is just the margin below the label's, its derivative is 0.",
        notes="PyTorch's ``multi_margin_loss``, but that NaN is not passed over, and infinite scores may be equal like others. "
        "scikit-learn's hinge loss of many classes is `crammer_singer_loss`. Masked classes lose nothing, but count in C.",
        paper="J. Weston and C. Watkins, Support Vector Machines for Multi-Class Pattern Recognition, 1999.",
        samples=({"p": 2.0}, {"margin": 0.25, "reduction": "none"}),
        cost=0.3,
    )
)


def _other(x: Scalar, x_label: Scalar) -> Scalar:
    """An element that differs from the label's; else what counts nothing."""
    return select(x == x_label, type(x)(-math.inf), x)


@scalar
def _equals(x: Scalar, x_label: Scalar, m: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """Whether an element is as large as the largest other score, and as the label's; and NaN if it is that."""
    T = type(x)
    same, zero, one = x == x_label, T(0), T(1)
    return select(same, zero, select(x == m, one, zero)), select(same, one, zero), select(x == x, zero, x)


@scalar
def _crammer_singer_loss(
    m: Scalar,
    ties: Scalar,
    same: Scalar,
    unknown: Scalar,
    x_label: Scalar,
    w_label: Scalar,
    margin: Scalar,
    scale: Scalar,
) -> tuple[Any, ...]:
    """The largest other score is the label's own where two classes have that, and none is larger."""
    T = type(m)
    one, zero = widen(1.0), widen(0.0)
    own = (same > one + one / (one + one)) & (x_label >= m)
    largest = select(own, x_label, m)
    gap = margin + select(own, zero, widen(m) - widen(x_label))
    loss = select(gap > zero, gap, zero) + unknown
    count = select(own, same - one, ties)
    active = select(gap > zero, scale * widen(w_label), zero) + unknown
    return part(widen(w_label), loss), gap, largest, T(active / count), T(zero - active)


def _crammer_singer_gradient(x: Scalar, largest: Scalar, part: Scalar) -> Scalar:
    return select((x == largest) | (part != part), part, type(x)(0))


def _largest_other(x: Any, hot: Any, margin: float) -> tuple[Any, Any]:
    others = np.where(hot, -np.inf, x)
    largest = others.max(-1, keepdims=True)
    gap = margin + largest - np.where(hot, x, 0.0).sum(-1, keepdims=True)
    chosen = ~hot & (others == largest)
    return np.maximum(gap, 0.0), chosen / np.maximum(1, chosen.sum(-1, keepdims=True))


def _crammer_singer_terms(x: Any, hot: Any, margin: float) -> tuple[Any]:
    gap, chosen = _largest_other(x, hot, margin)
    return ((gap > 0) * (chosen - hot),)


register(
    LabelledLoss(
        "crammer_singer_loss",
        [
            Largest("m", _other),
            Sum("ties same unknown", _equals),
            Once("loss lse largest part at_label", _crammer_singer_loss, wide="loss lse"),
        ],
        _crammer_singer_gradient,
        reference=lambda x, hot, margin: _largest_other(x, hot, margin)[0][..., 0],
        reference_gradient=_crammer_singer_terms,
        summary="Hinge loss of many classes, of the one that comes nearest to the label's score.",
        formula=r"\max(0, \mathtt{margin} + \max_{j \ne y} x_j - x_y)",
        derivative_formula=r"L > 0\ ?\ [j = \arg\max_{k \ne y} x_k] - [j = y] : 0",
        input_meaning="Scores.",
        scale=lambda losses, classes, margin: np.maximum(losses, max(margin, 0.0)),
        scale_meaning="the loss, or of the margin if that is more,",
        options={"margin": MARGIN},
        kinks="Classes that share the largest score share its derivative evenly; at a loss of 0 all are 0.",
        notes="scikit-learn's ``hinge_loss`` for more than two classes.",
        paper="K. Crammer and Y. Singer, On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines, 2001.",
        samples=({"margin": 0.25},),
        cost=0.5,
    )
)
