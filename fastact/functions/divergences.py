"""Divergences of distributions, element by element: Kullback and Leibler's, Jensen and Shannon's."""

from typing import Any

import numpy as np

from fastact.functions.options import Option
from fastact.functions.pointwise import PointwiseLoss, Target, register
from fastact.functions.record import LOGARITHMS, Operand
from fastact.maths.exp import exp
from fastact.maths.log import log, log1p
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, absolute, select

DISTRIBUTION = Operand("shares")
LOG_TARGET = Option(False, "Whether `target` holds logarithms.", "True or False", lambda given: given in (0.0, 1.0))


def _kl_div(x: Scalar, target: Scalar, log_target: Scalar) -> Scalar:
    T = type(x)
    given = log_target > 0.0
    p = select(given, exp(target), target)
    logarithm = select(given, target, log(target))
    return select((p == T(0)) & (x == x), T(0), p * (logarithm - x))


def _kl_derivative(x: Scalar, target: Scalar, log_target: Scalar) -> Scalar:
    T = type(x)
    return select(log_target > 0.0, -exp(target), T(0) - target)


def _kl_parts(target: Any, log_target: float) -> tuple[Any, Any]:
    return (np.exp(target), target) if log_target else (target, np.log(target))


def _kl_reference(x: Any, target: Any, log_target: float) -> Any:
    p, logarithm = _kl_parts(target, log_target)
    return np.where((p == 0) & ~np.isnan(x), 0.0, p * (logarithm - x))


register(
    PointwiseLoss(
        value=_kl_div,
        derivative=_kl_derivative,
        reference=_kl_reference,
        reference_derivative=lambda x, target, log_target: (-_kl_parts(target, log_target)[0] + 0.0 * x,),
        summary="Kullback-Leibler divergence of the target from logarithms of probabilities, element by element.",
        formula=r"t\,(\ln t - x)",
        derivative_formula=r"-t",
        target=Target(DISTRIBUTION, "Probabilities, or their logarithms with `log_target`; one of 0 adds 0."),
        takes=LOGARITHMS,
        input_meaning="Logarithms of probabilities, as `log_softmax` returns them.",
        options={"log_target": LOG_TARGET},
        reductions=("batchmean",),
        notes="A divergence of distributions is the sum over their elements. Batchmean is its mean over a batch, and mean is\n"
        "none of distributions. Arguments are those of PyTorch's ``kl_div``. The error is in units of the larger of the\n"
        "two terms.",
        paper="S. Kullback and R. A. Leibler, On Information and Sufficiency, 1951.",
        cost=0.7,
    )
)


@scalar
def _term(share: Scalar, ratio: Scalar) -> Scalar:
    """``share * log(ratio)``; 0 of 0."""
    T = type(share)
    return select(share == T(0), T(0), share * log(ratio))


def _js_div(x: Scalar, target: Scalar) -> Scalar:
    T = type(x)
    total = x + target
    u = (x - target) / total
    # Near each other the two terms cancel but for this: log(1 - u**2) + 2 u atanh(u).
    near = T(0.25) * total * (log1p(-u * u) + u * (log1p(u) - log1p(-u)))
    far = T(0.5) * (_term(x, T(2) * x / total) + _term(target, T(2) * target / total))
    return select(total == T(0), T(0), select(absolute(u) < T(0.5), near, far))


def _js_derivative(x: Scalar, target: Scalar) -> Scalar:
    T = type(x)
    total = x + target
    u = (x - target) / total
    slope = T(0.5) * select(absolute(u) < T(0.5), log1p(u), log(T(2) * x / total))
    return select(total == T(0), T(0), slope)


def _js_reference(x: Any, target: Any) -> Any:
    middle = (x + target) / 2
    both = (
        np.where(p == 0, 0.0, p * np.log(np.where(p == 0, 1.0, p) / np.where(middle == 0, 1.0, middle)))
        for p in (x, target)
    )
    return sum(both) / 2


def _js_terms(x: Any, target: Any) -> tuple[Any]:
    middle = np.where(x + target == 0, 1.0, x + target) / 2
    return (np.where(x + target == 0, 0.0, np.log(x / middle) / 2),)


register(
    PointwiseLoss(
        value=_js_div,
        derivative=_js_derivative,
        reference=_js_reference,
        reference_derivative=_js_terms,
        summary="Jensen-Shannon divergence of two distributions, element by element.",
        formula=r"\tfrac{1}{2} \left(x \ln \frac{2 x}{x + t} + t \ln \frac{2 t}{x + t}\right)",
        derivative_formula=r"\tfrac{1}{2} \ln \frac{2 x}{x + t}",
        target=Target(DISTRIBUTION, "Probabilities."),
        takes=DISTRIBUTION,
        input_meaning="Probabilities.",
        reductions=("batchmean",),
        kinks="Where input and target are 0 the derivative is 0; where the input alone is, -inf.",
        notes="It is symmetric and at most ln 2 in sum, and keeps its digits where the distributions are nearly equal. SciPy's\n"
        "``jensenshannon`` is the root of the sum.",
        paper="J. Lin, Divergence Measures Based on the Shannon Entropy, 1991.",
        ulp=10.0,
        double_ulp=10.0,
        cost=1.5,
    )
)
