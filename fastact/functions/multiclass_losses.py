"""Losses of rows of many classes with a label each: of logarithms of probabilities, the focal loss, and curvatures."""

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
from fastact.kinds.rows import Exponentials, Once
from fastact.maths.exp import exp, expm1
from fastact.maths.log import log
from fastact.maths.logsumexp import exp_at, level, log_excess, logsumexp, reach, total
from fastact.maths.scalar import ByPrecision, scalar
from fastact.maths.simd import Scalar, select, widen


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
