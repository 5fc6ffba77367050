"""Losses of two classes: cross-entropy of logits and of probabilities, logistic and hinge losses of labels, the focal loss."""

import math
from typing import Any

import numpy as np

from fastact.functions.common import part
from fastact.functions.options import Option
from fastact.functions.pointwise import PROBABILITIES, SIGNS, PointwiseLoss, register
from fastact.functions.record import SHARES
from fastact.maths.exp import exp, exp_nonpositive
from fastact.maths.log import log, log1p, log1p_unit
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, absolute, fma, maximum, select, widen

LOGITS = "Logits."
SMOOTHING = Option(
    0.0,
    "Between 0 and 1: moves targets this part of the way to one half.",
    "a number between 0 and 1",
    lambda s: 0 <= s <= 1,
)


@scalar
def both_losses(x: Scalar) -> tuple[Scalar, Scalar]:
    """``-log(sigmoid(x))`` and ``-log(sigmoid(-x))``."""
    T = type(x)
    rest = log1p_unit(exp_nonpositive(-absolute(x)))
    return maximum(-x, T(0)) + rest, maximum(x, T(0)) + rest


@scalar
def both_sigmoids(x: Scalar) -> tuple[Scalar, Scalar]:
    """``sigmoid(x)`` and ``sigmoid(-x)``, each with all its digits."""
    T = type(x)
    e = exp_nonpositive(-absolute(x))
    large = T(1) / (T(1) + e)
    return select(x < T(0), e * large, large), select(x < T(0), large, e * large)


@scalar
def smoothed(target: Scalar, label_smoothing: Scalar) -> tuple[Scalar, Scalar]:
    """The probabilities of both classes, moved towards one half; each has all its digits."""
    T = type(target)
    keep, half = T(1.0 - label_smoothing), T(0.5 * label_smoothing)
    return fma(target, keep, half), fma(T(1) - target, keep, half)


@scalar
def sign_of(target: Scalar) -> Scalar:
    """The label as -1 or 1."""
    T = type(target)
    return select(target > T(0), T(1), T(-1))


@scalar
def shares(x: Scalar, target: Scalar, label_smoothing: Scalar, pos_weight: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """The weight of the class that the logit speaks against, which its size costs; of both; and of the other."""
    T = type(x)
    y, rest = smoothed(target, label_smoothing)
    positive, negative = y * T(pos_weight), x < T(0)
    return select(negative, positive, rest), positive + rest, select(negative, rest, positive)


def _binary_cross_entropy_with_logits(x: Scalar, target: Scalar, label_smoothing: Scalar, pos_weight: Scalar) -> Scalar:
    T, size = type(x), absolute(x)
    against, whole, _ = shares(x, target, label_smoothing, pos_weight)
    cost = select(against == T(0), T(0), against * size)  # nothing of an infinite logit; NaN is in the other part
    return fma(whole, log1p_unit(exp_nonpositive(-size)), cost)


def _binary_cross_entropy_with_logits_derivative(
    x: Scalar, target: Scalar, label_smoothing: Scalar, pos_weight: Scalar
) -> Scalar:
    T = type(x)
    against, _, other = shares(x, target, label_smoothing, pos_weight)
    e = exp_nonpositive(-absolute(x))
    slope = fma(-other, e, against) / (T(1) + e)
    return select(x < T(0), -slope, slope)


def _binary_cross_entropy_with_logits_second(
    x: Scalar, target: Scalar, label_smoothing: Scalar, pos_weight: Scalar
) -> Scalar:
    T = type(x)
    y, rest = smoothed(target, label_smoothing)
    p, q = both_sigmoids(x)
    return (rest + y * T(pos_weight)) * (p * q)


def _smoothed(target: Any, label_smoothing: float) -> Any:
    return target * (1 - label_smoothing) + label_smoothing / 2


def _softplus(x: Any) -> Any:
    return np.logaddexp(0, x)


def _sigmoid(x: Any) -> Any:
    return np.exp(-np.logaddexp(0, -x))


def _weighed(weight: Any, loss: Any) -> Any:
    return np.where((weight == 0) & ~np.isnan(loss), 0.0, weight * np.where(weight == 0, 1.0, loss))


def _bce_reference(x: Any, target: Any, label_smoothing: float, pos_weight: Any) -> Any:
    y = _smoothed(target, label_smoothing)
    return _weighed(y * pos_weight, _softplus(-x)) + _weighed(1 - y, _softplus(x))


def _bce_terms(x: Any, target: Any, label_smoothing: float, pos_weight: Any) -> tuple[Any, Any]:
    y = _smoothed(target, label_smoothing)
    return (1 - y) * _sigmoid(x), -y * pos_weight * _sigmoid(-x)


def _bce_second(x: Any, target: Any, label_smoothing: float, pos_weight: Any) -> tuple[Any, Any]:
    y, both = _smoothed(target, label_smoothing), _sigmoid(x) * _sigmoid(-x)
    return (1 - y) * both, y * pos_weight * both


register(
    PointwiseLoss(
        value=_binary_cross_entropy_with_logits,
        derivative=_binary_cross_entropy_with_logits_derivative,
        second_derivative=_binary_cross_entropy_with_logits_second,
        reference=_bce_reference,
        reference_derivative=_bce_terms,
        reference_second=_bce_second,
        second_formula=r"(1 - t + w_+\,t)\,\sigma(x)\,\sigma(-x)",
        summary="Cross-entropy of two classes, or of many that exclude each other in nothing, from logits.",
        formula=r"-w_+\,t \ln \sigma(x) - (1 - t) \ln \sigma(-x)",
        derivative_formula=r"(1 - t)\,\sigma(x) - w_+\,t\,\sigma(-x)",
        target=PROBABILITIES,
        input_meaning=LOGITS,
        options={"label_smoothing": SMOOTHING},
        operands={
            "pos_weight": "A factor of the positive part of the loss, such as one for each class along the last axis."
        },
        ignores=True,
        notes="PyTorch's, with `label_smoothing` and `ignore_index` besides: a mean is over the elements that count. Of two\n"
        "classes it is `cross_entropy` with the logits ``[0, x]``.",
        samples=({"label_smoothing": 0.25},),
        cost=0.6,
    )
)

LOG_FLOOR = -100.0
"""PyTorch's: a probability of zero costs this much, not infinity."""
LEAST_VARIANCE = 1e-12
"""PyTorch's: the gradient divides by no less."""


def _binary_cross_entropy(x: Scalar, target: Scalar, label_smoothing: Scalar) -> Scalar:
    T = type(x)
    y, rest = smoothed(target, label_smoothing)
    return -(y * maximum(log(x), T(LOG_FLOOR)) + rest * maximum(log1p(-x), T(LOG_FLOOR)))


def _binary_cross_entropy_derivative(x: Scalar, target: Scalar, label_smoothing: Scalar) -> Scalar:
    T = type(x)
    y, _ = smoothed(target, label_smoothing)
    return (x - y) / maximum(x * (T(1) - x), T(LEAST_VARIANCE))


def _probability_reference(x: Any, target: Any, label_smoothing: float) -> Any:
    y = _smoothed(target, label_smoothing)
    return -(y * np.maximum(np.log(x), LOG_FLOOR) + (1 - y) * np.maximum(np.log1p(-x), LOG_FLOOR))


def _probability_terms(x: Any, target: Any, label_smoothing: float) -> tuple[Any, Any]:
    y = _smoothed(target, label_smoothing)
    variance = np.maximum(x * (1 - x), LEAST_VARIANCE)
    return x / variance, -y / variance


register(
    PointwiseLoss(
        value=_binary_cross_entropy,
        derivative=_binary_cross_entropy_derivative,
        reference=_probability_reference,
        reference_derivative=_probability_terms,
        summary="Cross-entropy of two classes, from probabilities.",
        formula=r"-t \max(\ln x, -100) - (1 - t) \max(\ln(1 - x), -100)",
        derivative_formula=r"\frac{x - t}{\max(x\,(1 - x), 10^{-12})}",
        target=PROBABILITIES,
        takes=SHARES,
        input_meaning="Probabilities; the loss of what is none is NaN.",
        options={"label_smoothing": SMOOTHING},
        ignores=True,
        notes="The bounds are PyTorch's. From logits use `binary_cross_entropy_with_logits`, which is precise for all of them.",
        samples=({"label_smoothing": 0.25},),
        cost=0.7,
    )
)


def _logistic_loss(x: Scalar, target: Scalar) -> Scalar:
    positive, _ = both_losses(sign_of(target) * x)
    return positive


def _logistic_derivative(x: Scalar, target: Scalar) -> Scalar:
    T, sign = type(x), sign_of(target)
    margin = sign * x
    e = exp_nonpositive(-absolute(margin))
    return -sign * (select(margin < T(0), T(1), e) / (T(1) + e))


def _logistic_second(x: Scalar, target: Scalar) -> Scalar:
    p, q = both_sigmoids(sign_of(target) * x)
    return p * q


def _signs(target: Any) -> Any:
    return np.where(target > 0, 1.0, -1.0)


register(
    PointwiseLoss(
        value=_logistic_loss,
        derivative=_logistic_derivative,
        second_derivative=_logistic_second,
        reference_second=lambda x, target: (_sigmoid(x) * _sigmoid(-x) + 0.0 * target,),
        second_formula=r"\sigma(x)\,\sigma(-x)",
        reference=lambda x, target: _softplus(-_signs(target) * x),
        reference_derivative=lambda x, target: (-_signs(target) * _sigmoid(-_signs(target) * x),),
        summary="Logistic loss of labels.",
        formula=r"\ln(1 + e^{-t x})",
        derivative_formula=r"-t\,\sigma(-t x)",
        target=SIGNS,
        input_meaning=LOGITS,
        ignores=True,
        notes="With labels 0 and 1 it is `binary_cross_entropy_with_logits`; PyTorch's ``soft_margin_loss`` takes -1 and 1.",
        cost=0.5,
    )
)


def _hinge_loss(x: Scalar, target: Scalar) -> Scalar:
    T = type(x)
    return maximum(T(1) - sign_of(target) * x, T(0))


def _hinge_derivative(x: Scalar, target: Scalar) -> Scalar:
    T = type(x)
    sign = sign_of(target)
    margin = T(1) - sign * x
    return select(margin > T(0), -sign, select(margin == margin, T(0), margin))


def _margin(x: Any, target: Any) -> Any:
    return np.maximum(1 - _signs(target) * x, 0)


register(
    PointwiseLoss(
        value=_hinge_loss,
        derivative=_hinge_derivative,
        reference=_margin,
        reference_derivative=lambda x, target: (np.where(_margin(x, target) > 0, -_signs(target), 0.0 * x),),
        summary="Hinge loss of labels, as of support vector machines.",
        formula=r"\max(1 - t x, 0)",
        derivative_formula=r"t x < 1\ ?\ -t : 0",
        target=SIGNS,
        input_meaning="Decisions, positive for one class.",
        ignores=True,
        kinks="At a margin of 1 the derivative is 0.",
        cost=0.15,
    )
)


def _squared_hinge_loss(x: Scalar, target: Scalar) -> Scalar:
    T = type(x)
    margin = maximum(T(1) - sign_of(target) * x, T(0))
    return margin * margin


def _squared_hinge_derivative(x: Scalar, target: Scalar) -> Scalar:
    T = type(x)
    sign = sign_of(target)
    return T(0) - T(2) * sign * maximum(T(1) - sign * x, T(0))


register(
    PointwiseLoss(
        value=_squared_hinge_loss,
        derivative=_squared_hinge_derivative,
        reference=lambda x, target: _margin(x, target) ** 2,
        reference_derivative=lambda x, target: (-2 * _signs(target) * _margin(x, target),),
        summary="Square of the hinge loss of labels.",
        formula=r"\max(1 - t x, 0)^2",
        derivative_formula=r"-2\,t \max(1 - t x, 0)",
        target=SIGNS,
        input_meaning="Decisions, positive for one class.",
        ignores=True,
        cost=0.15,
    )
)


FORGOTTEN = 2000.0
"""Of a larger exponent nothing is left in any dtype."""


@scalar
def modulation(reach: Scalar, rest: Scalar, gamma: Scalar) -> Scalar:
    """``exp(-gamma * (reach + rest))``, with all digits of the product: an error of the exponent is one of the result's ratio."""
    T = type(reach)
    bounded = select(reach > T(1e30), T(1e30), reach)  # 0 times infinity would be none
    whole = T(gamma)
    product = whole * bounded
    error = fma(whole, bounded, -product) + T(gamma - widen(whole)) * bounded + whole * rest
    return select(product > T(FORGOTTEN), T(0), exp(-product) * exp(-error))


def _sigmoid_focal_loss(x: Scalar, target: Scalar, alpha: Scalar, gamma: Scalar) -> Scalar:
    T = type(x)
    rest = log1p_unit(exp_nonpositive(-absolute(x)))
    up, down = maximum(x, T(0)), maximum(-x, T(0))
    hard, easy = modulation(up, rest, gamma), modulation(down, rest, gamma)
    one, other = select(alpha < 0.0, 1.0, alpha), select(alpha < 0.0, 1.0, 1.0 - alpha)
    return part(target * T(one) * hard, down + rest) + part((T(1) - target) * T(other) * easy, up + rest)


def _sigmoid_focal_derivative(x: Scalar, target: Scalar, alpha: Scalar, gamma: Scalar) -> Scalar:
    T = type(x)
    rest = log1p_unit(exp_nonpositive(-absolute(x)))
    up, down = maximum(x, T(0)), maximum(-x, T(0))
    hard, easy = modulation(up, rest, gamma), modulation(down, rest, gamma)
    one, other = select(alpha < 0.0, 1.0, alpha), select(alpha < 0.0, 1.0, 1.0 - alpha)
    p, q = both_sigmoids(x)
    positive = hard * (part(T(gamma) * p, down + rest) + q)
    negative = easy * (part(T(gamma) * q, up + rest) + p)
    return (T(1) - target) * T(other) * negative - target * T(one) * positive


@scalar
def _focal_bend(p: Scalar, q: Scalar, loss: Scalar, gamma: Scalar) -> Scalar:
    """The second derivative over ``p * q * q**gamma``, of the loss of a label of probability ``p``."""
    T = type(p)
    ratio = select(q == T(0), T(1), loss / q)
    # Where p is 0 the loss may be infinite, and its product with p is none.
    return T(1) + T(gamma) * (T(2) - loss + T(gamma) * part(p, ratio))


def _sigmoid_focal_second(x: Scalar, target: Scalar, alpha: Scalar, gamma: Scalar) -> Scalar:
    T = type(x)
    rest = log1p_unit(exp_nonpositive(-absolute(x)))
    up, down = maximum(x, T(0)), maximum(-x, T(0))
    hard, easy = modulation(up, rest, gamma), modulation(down, rest, gamma)
    one, other = select(alpha < 0.0, 1.0, alpha), select(alpha < 0.0, 1.0, 1.0 - alpha)
    p, q = both_sigmoids(x)
    positive = part(target * T(one) * hard * (p * q), _focal_bend(p, q, down + rest, gamma))
    negative = part((T(1) - target) * T(other) * easy * (p * q), _focal_bend(q, p, up + rest, gamma))
    return positive + negative


def _focal_parts(x: Any, target: Any, alpha: float, gamma: float) -> tuple[Any, Any, Any, Any]:
    one, other = (1.0, 1.0) if alpha < 0 else (alpha, 1 - alpha)
    hard, easy = (np.exp(-gamma * np.minimum(_softplus(z), 1e300)) for z in (x, -x))
    return target * one, (1 - target) * other, hard, easy


def _focal_reference(x: Any, target: Any, alpha: float, gamma: float) -> Any:
    one, other, hard, easy = _focal_parts(x, target, alpha, gamma)
    return _weighed(one * hard, _softplus(-x)) + _weighed(other * easy, _softplus(x))


def _focal_terms(x: Any, target: Any, alpha: float, gamma: float) -> tuple[Any, ...]:
    one, other, hard, easy = _focal_parts(x, target, alpha, gamma)
    p, q = _sigmoid(x), _sigmoid(-x)
    positive = hard * (_weighed(gamma * p, _softplus(-x)) + q)
    return other * easy * (_weighed(gamma * q, _softplus(x)) + p), -one * positive


def _focal_second(x: Any, target: Any, alpha: float, gamma: float) -> tuple[Any, ...]:
    one, other, hard, easy = _focal_parts(x, target, alpha, gamma)
    p, q = _sigmoid(x), _sigmoid(-x)
    terms = []
    for weight, power, sure, left, loss in (
        (one, hard, p, q, _softplus(-x)),
        (other, easy, q, p, _softplus(x)),
    ):
        factor = weight * power * p * q
        ratio = np.where(left == 0, 1.0, loss / np.where(left == 0, 1.0, left))
        terms += [factor * (1 + 2 * gamma), -gamma * _weighed(factor, loss), factor * gamma**2 * _weighed(sure, ratio)]
    return tuple(terms)


register(
    PointwiseLoss(
        value=_sigmoid_focal_loss,
        derivative=_sigmoid_focal_derivative,
        second_derivative=_sigmoid_focal_second,
        reference_second=_focal_second,
        second_formula=r"t = 1:\ \alpha\,\sigma(x)\,\sigma(-x)^{\gamma + 1} \left(1 + \gamma \left(2 + \ln \sigma(x)"
        r" - \gamma\,\frac{\sigma(x) \ln \sigma(x)}{\sigma(-x)}\right)\right)",
        reference=_focal_reference,
        reference_derivative=_focal_terms,
        summary="Focal loss of two classes, from logits: cross-entropy that counts the less the better an element is classified.",
        formula=r"-\alpha\,t\,\sigma(-x)^\gamma \ln \sigma(x) - (1 - \alpha)\,(1 - t)\,\sigma(x)^\gamma \ln \sigma(-x)",
        derivative_formula=r"(1 - \alpha)(1 - t)\,\sigma(x)^\gamma (\sigma(x) - \gamma\,\sigma(-x) \ln \sigma(-x))"
        r" - \alpha\,t\,\sigma(-x)^\gamma (\sigma(-x) - \gamma\,\sigma(x) \ln \sigma(x))",
        target=PROBABILITIES,
        input_meaning=LOGITS,
        options={
            "alpha": Option(
                0.25,
                "The positive class's share of the weight; a negative number gives both the weight 1.",
                "a number of at most 1",
                lambda a: a <= 1,
            ),
            "gamma": Option(
                2.0,
                "How little counts what is classified well; with 0 it is cross-entropy.",
                "a finite number of at least 0",
                lambda g: 0 <= g < math.inf,
            ),
        },
        ignores=True,
        notes="The powers are computed in log space, so that none vanishes too early, also for `gamma` below 1. The defaults are\n"
        "torchvision's. Of a target between 0 and 1 the loss is the mixture of that of both labels, as in optax; torchvision\n"
        "mixes the probabilities within the power.",
        paper="T.-Y. Lin et al., Focal Loss for Dense Object Detection, arXiv:1708.02002.",
        ulp=8.0,
        double_ulp=8.0,
        samples=({"alpha": -1.0, "gamma": 0.5}, {"gamma": 0.0}),
        cost=1.5,
    )
)
