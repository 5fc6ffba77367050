"""Losses of rows of many classes with a label each: of logarithms of probabilities, the focal loss, and of margins."""

import math
from typing import Any

import numpy as np

from fastact.functions.common import part
from fastact.functions.labelled_losses import (
    LOSS_ALONE,
    WITH_GRAD,
    WITH_GRAD_HESS,
    LabelledLoss,
    register,
)
from fastact.functions.options import Option
from fastact.functions.record import LOGARITHMS
from fastact.kinds.rows import Exponentials, Once, Sum
from fastact.maths.exp import exp, expm1
from fastact.maths.log import log
from fastact.maths.logsumexp import exp_at, level, log_excess, logsumexp, reach, total
from fastact.maths.scalar import ByPrecision, scalar
from fastact.maths.simd import Scalar, maximum, select, widen


def _nll_loss(x_label: Scalar, w_label: Scalar, scale: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    weight = widen(w_label)
    loss = -widen(x_label)
    return part(weight, loss), loss, type(x_label)(-scale * weight)


def _nothing(x: Scalar) -> Scalar:
    return type(x)(0)


register(
    LabelledLoss(
        "nll_loss",
        [Once("loss lse at_label", _nll_loss, wide="loss lse")],
        _nothing,
        reference=lambda x, hot: -np.where(hot, x, 0.0).sum(-1),
        reference_gradient=lambda x, hot: (-1.0 * hot,),
        summary="Negative log-likelihood of labels, from logarithms of probabilities.",
        formula="-x_y",
        derivative_formula=r"j = y\ ?\ -1 : 0",
        takes=LOGARITHMS,
        input_meaning="Logarithms of probabilities, as `log_softmax` returns them.",
        weighted_mean=True,
        sparse=True,
        notes="Of logits, `cross_entropy` is the same in one pass. Arguments are those of PyTorch's ``nll_loss``.",
        ulp=1.0,
        double_ulp=2.0,
        cost=0.05,
    )
)


@scalar
def _power(q: Scalar, gamma: Scalar) -> Scalar:
    """``q**gamma`` for q between 0 and 1; the exponential's argument would cost digits of the usual powers."""
    one = widen(1.0)
    power = select(q == widen(0.0), widen(0.0), exp(gamma * log(q)))
    power = select(gamma == one + one, q * q, select(gamma == one, q, power))
    return select(gamma == widen(0.0), one, power)


@scalar
def _likelihood_float32(
    x_label: Scalar, nll: Scalar, base: Scalar, shift: Scalar, floor: Scalar, whole: Scalar
) -> Scalar:
    """The label's probability, in float64."""
    return exp(-nll)


@scalar
def _likelihood_float64(
    x_label: Scalar, nll: Scalar, base: Scalar, shift: Scalar, floor: Scalar, whole: Scalar
) -> Scalar:
    """That of a row of float64: ``exp(-nll)`` would lose digits where it is small."""
    return exp_at(x_label, base, shift, floor) / whole


_likelihood = ByPrecision(float32=_likelihood_float32, float64=_likelihood_float64)


@scalar
def _negative_log(m: Scalar, ties: Scalar, rest: Scalar, x_label: Scalar) -> Scalar:
    """The negative logarithm of the label's probability, in float64."""
    return (widen(m) - widen(x_label)) + log_excess(m, ties, rest)


@scalar
def _focal_row(rest: Scalar, nll: Scalar, p: Scalar, gamma: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """The loss without weight, its derivative by the negative log-likelihood, and ``1 - p``, of a label of probability ``p``."""
    one, zero = widen(1.0), widen(0.0)
    q = -expm1(-nll)
    power = _power(q, gamma)
    loss = select(power == zero, power * p, power * nll)
    ratio = select(q == zero, one, nll / q)  # of a certain label both vanish
    slope = power * (one + select(p == zero, zero, gamma * p * ratio))
    unknown = select(rest == rest, zero, widen(math.nan))
    return loss + unknown, slope + unknown, q


@scalar
def _focal_loss(
    m: Scalar, ties: Scalar, rest: Scalar, x_label: Scalar, w_label: Scalar, gamma: Scalar, scale: Scalar
) -> tuple[Any, ...]:
    T = type(m)
    base, level_n = level(m)
    shift, floor = reach(level_n)
    whole = total(m, ties, rest)
    nll = _negative_log(m, ties, rest, x_label)
    loss, slope, q = _focal_row(rest, nll, _likelihood(x_label, nll, base, shift, floor, whole), gamma)
    by_p = scale * widen(w_label) * slope
    slope_of_p = T(by_p / whole)
    return part(widen(w_label), loss), logsumexp(m, ties, rest), base, shift, floor, slope_of_p, T(-by_p * q)


def _share_of_slope(x: Scalar, base: Scalar, shift: Scalar, floor: Scalar, slope_of_p: Scalar) -> Scalar:
    return exp_at(x, base, shift, floor) * slope_of_p


@scalar
def _focal_curved(
    m: Scalar, ties: Scalar, rest: Scalar, x_label: Scalar, w_label: Scalar, gamma: Scalar, scale: Scalar
) -> tuple[Any, ...]:
    T = type(m)
    one, zero = widen(1.0), widen(0.0)
    base, level_n = level(m)
    shift, floor = reach(level_n)
    whole = total(m, ties, rest)
    nll = _negative_log(m, ties, rest, x_label)
    p = _likelihood(x_label, nll, base, shift, floor, whole)
    loss, slope, q = _focal_row(rest, nll, p, gamma)
    factor = scale * widen(w_label)
    ratio = select(q == zero, one, nll / q)
    # The second derivative by the negative log-likelihood times q, which no power of q makes infinite.
    bend = _power(q, gamma) * gamma * select(p == zero, zero, p * ((one + one - nll) + (gamma - one) * ratio * p))
    at_label = factor * q * (bend + slope * p)
    by_square = select(q == zero, zero, factor * bend / q)
    return (
        part(widen(w_label), loss),
        logsumexp(m, ties, rest),
        base,
        shift,
        floor,
        T(one / whole),
        T(factor * slope / whole),
        T(factor * slope),
        T(by_square),
        T(-factor * slope * q),
        T(at_label),
    )


def _curvature(
    x: Scalar, base: Scalar, shift: Scalar, floor: Scalar, share: Scalar, slope: Scalar, by_square: Scalar
) -> Scalar:
    T = type(x)
    p = exp_at(x, base, shift, floor) * share
    return p * (by_square * p + slope * (T(1) - p))


CURVED = "loss lse base shift floor share slope_of_p slope by_square at_label hess_at_label"
GAMMA = Option(
    2.0,
    "How little counts what is classified well; with 0 it is cross-entropy.",
    "a finite number of at least 0",
    lambda g: 0 <= g < math.inf,
)


def _focal_parts(x: Any, hot: Any, gamma: float) -> tuple[Any, Any, Any, Any, Any]:
    others = np.where(hot, -np.inf, x)
    rest = np.logaddexp.reduce(others, axis=-1, keepdims=True)
    label = np.where(hot, x, 0.0).sum(-1, keepdims=True)
    nll = np.logaddexp(0, rest - label)
    q = np.exp(-np.logaddexp(0, label - rest))
    p = np.exp(np.where(hot, -nll, x - np.logaddexp(label, rest)))
    return nll, q, np.exp(-nll), np.where(q == 0, 1.0 * (gamma == 0), q**gamma), p


def _focal_reference(x: Any, hot: Any, gamma: float) -> Any:
    nll, _, _, power, _ = _focal_parts(x, hot, gamma)
    return np.where(power == 0, 0.0, power * nll)[..., 0]


def _focal_slope(x: Any, hot: Any, gamma: float) -> Any:
    nll, q, p, power, _ = _focal_parts(x, hot, gamma)
    return power * (1 + gamma * np.where(p == 0, 0.0, p * np.where(q == 0, 1.0, nll / q)))


def _focal_terms(x: Any, hot: Any, gamma: float) -> tuple[Any]:
    _, q, _, _, each = _focal_parts(x, hot, gamma)
    return (_focal_slope(x, hot, gamma) * np.where(hot, -q, each),)


def _focal_curvature(x: Any, hot: Any, gamma: float) -> tuple[Any, ...]:
    nll, q, p, power, each = _focal_parts(x, hot, gamma)
    left = np.where(q == 0, 1.0, q)
    bend = np.where((p == 0) | (q == 0), 0.0, gamma * power / left * p) * np.where(hot, q, each) ** 2
    slope = _focal_slope(x, hot, gamma) * np.where(hot, q * p, each)
    parts = (
        2 * bend,
        -bend * np.where(bend == 0, 0.0, nll),
        (gamma - 1) * bend * np.where(bend == 0, 0.0, p * nll / left),
    )
    return *parts, slope, -slope * np.where(hot, 0.0, each)


register(
    LabelledLoss(
        "focal_loss",
        [Exponentials(), Once("loss lse base shift floor slope_of_p at_label", _focal_loss, wide="loss lse")],
        _share_of_slope,
        curved=[Exponentials(), Once(CURVED, _focal_curved, wide="loss lse")],
        curvature=_curvature,
        reference=_focal_reference,
        reference_gradient=_focal_terms,
        reference_curvature=_focal_curvature,
        summary="Focal loss of many classes: cross-entropy that counts the less the better a row is classified.",
        formula=r"-(1 - p_y)^\gamma \ln p_y",
        derivative_formula=r"(1 - p_y)^\gamma \left(1 - \gamma\,\frac{p_y \ln p_y}{1 - p_y}\right) (p_j - [j = y])",
        curvature_formula=r"L'' (p_j - [j = y])^2 + L' p_j (1 - p_j)",
        options={"gamma": GAMMA},
        notes="The power is computed in float64 from what is left of 1, for every `gamma`; `weight` is what papers call alpha.\n"
        "Of float64 rows the error is ``-gamma * log(1 - p)`` ULP more, unless `gamma` is 0, 1 or 2.\n"
        "L is a row's loss as a function of the negative logarithm of the label's probability.",
        paper="T.-Y. Lin et al., Focal Loss for Dense Object Detection, arXiv:1708.02002.",
        samples=({"gamma": 0.5}, {"gamma": 0.0, "reduction": "none"}),
        ulp=12.0,
        double_ulp=16.0,
        cost=0.7,
    ),
    (LOSS_ALONE, WITH_GRAD, WITH_GRAD_HESS),
)


@scalar
def _entropy_curved(
    m: Scalar, ties: Scalar, rest: Scalar, x_label: Scalar, w_label: Scalar, scale: Scalar
) -> tuple[Any, ...]:
    """The constants of cross-entropy's curvature: those of the focal loss for a `gamma` of 0, without its powers."""
    T = type(m)
    nll = _negative_log(m, ties, rest, x_label)
    base, level_n = level(m)
    shift, floor = reach(level_n)
    q, factor = -expm1(-nll), scale * widen(w_label)
    whole = total(m, ties, rest)
    share, slope_of_p, zero = T(widen(1.0) / whole), T(factor / whole), T(0)
    lse = logsumexp(m, ties, rest)
    p = _likelihood(x_label, nll, base, shift, floor, whole)
    at_label, hess_at_label = T(-factor * q), T(factor * q * p)
    loss = part(widen(w_label), nll)
    return loss, lse, base, shift, floor, share, slope_of_p, T(factor), zero, at_label, hess_at_label


def _cross_entropy_terms(x: Any, hot: Any) -> tuple[Any]:
    _, q, _, _, each = _focal_parts(x, hot, 0.0)
    return (np.where(hot, -q, each),)


def _cross_entropy_curvature(x: Any, hot: Any) -> tuple[Any, Any]:
    _, q, p, _, each = _focal_parts(x, hot, 0.0)
    return np.where(hot, q * p, each), -np.where(hot, 0.0, each**2)


register(
    LabelledLoss(
        "cross_entropy",
        [],
        _share_of_slope,
        curved=[Exponentials(), Once(CURVED, _entropy_curved, wide="loss lse")],
        curvature=_curvature,
        reference=lambda x, hot: _focal_parts(x, hot, 0.0)[0][..., 0],
        reference_gradient=_cross_entropy_terms,
        reference_curvature=_cross_entropy_curvature,
        summary="Cross-entropy of labels.",
        formula=r"-\ln p_y",
        derivative_formula=r"p_j - [j = y]",
        curvature_formula=r"p_j (1 - p_j)",
        weighted_mean=True,
        notes="XGBoost's objective for many classes takes twice these second derivatives, LightGBM's them times C / (C - 1).",
        cost=0.5,
    ),
    (WITH_GRAD_HESS,),
)


MARGIN = Option(1.0, "By how much the label's score must be above the others'.")


@scalar
def _gap(x: Scalar, x_label: Scalar, margin: Scalar) -> Scalar:
    T = type(x)
    return maximum(T(margin) + (x - x_label), T(0))


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
    return np.where(hot, 0.0, np.maximum(margin + x - label, 0.0))


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
        notes="PyTorch's ``multi_margin_loss``. scikit-learn's hinge loss of many classes is `crammer_singer_loss`.",
        paper="J. Weston and C. Watkins, Support Vector Machines for Multi-Class Pattern Recognition, 1999.",
        samples=({"p": 2.0}, {"margin": 0.25, "reduction": "none"}),
        cost=0.3,
    )
)


def _other(x: Scalar, x_label: Scalar) -> Scalar:
    """An element that differs from the label's; else what counts nothing."""
    return select(x == x_label, type(x)(-math.inf), x)


def _tie(x: Scalar, x_label: Scalar) -> Scalar:
    T = type(x)
    return select(x == x_label, T(1), T(0))


@scalar
def _crammer_singer_loss(
    m: Scalar,
    ties: Scalar,
    rest: Scalar,
    same: Scalar,
    x_label: Scalar,
    w_label: Scalar,
    margin: Scalar,
    scale: Scalar,
) -> tuple[Any, ...]:
    """The largest other score is the label's own where two classes have that, and none is larger."""
    T = type(m)
    one, zero = widen(1.0), widen(0.0)
    own = (same > one + one / (one + one)) & (x_label > m)
    largest = select(own, x_label, m)
    gap = margin + (widen(largest) - widen(x_label))
    loss = select(gap > zero, gap, zero) + select((rest == rest) & (x_label == x_label), zero, widen(math.nan))
    count = select(own, same - one, widen(ties))
    active = select(gap > zero, scale * widen(w_label), zero)
    return part(widen(w_label), loss), gap, largest, T(active / count), T(zero - active)


def _crammer_singer_gradient(x: Scalar, largest: Scalar, part: Scalar) -> Scalar:
    return select(x == largest, part, type(x)(0))


def _largest_other(x: Any, hot: Any, margin: float) -> tuple[Any, Any]:
    others = np.where(hot, -np.inf, x)
    largest = others.max(-1, keepdims=True)
    gap = margin + largest - np.where(hot, x, 0.0).sum(-1, keepdims=True)
    chosen = ~hot & (others == largest)
    return np.maximum(gap, 0.0), chosen / np.maximum(1, chosen.sum(-1, keepdims=True))


register(
    LabelledLoss(
        "crammer_singer_loss",
        [
            Exponentials(_other),
            Sum("same", _tie),
            Once("loss lse largest part at_label", _crammer_singer_loss, wide="loss lse"),
        ],
        _crammer_singer_gradient,
        reference=lambda x, hot, margin: _largest_other(x, hot, margin)[0][..., 0],
        reference_gradient=lambda x, hot, margin: (
            (_largest_other(x, hot, margin)[0] > 0) * (_largest_other(x, hot, margin)[1] - hot),
        ),
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
