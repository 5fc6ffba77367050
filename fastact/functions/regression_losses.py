"""Losses of numbers: squared, absolute, and what lies between the two."""

import math
from typing import Any

import numpy as np

from fastact.functions.common import unless_nan
from fastact.functions.options import Option
from fastact.functions.pointwise import PointwiseLoss, register
from fastact.maths.exp import exp_nonpositive, expm1_nonpositive
from fastact.maths.log import log1p, log1p_unit
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, absolute, copysign, maximum, minimum, select
from fastact.maths.tanh import tanh


def positive(value: float) -> bool:
    """Whether a number is positive and finite."""
    return 0.0 < value < math.inf


@scalar
def sign(difference: Scalar) -> Scalar:
    """The sign of a number: 0 of zero, NaN of NaN."""
    T = type(difference)
    return unless_nan(difference, select(difference == T(0), T(0), copysign(T(1), difference)))


def _mse_loss(x: Scalar, target: Scalar) -> Scalar:
    difference = x - target
    return difference * difference


def _mse_derivative(x: Scalar, target: Scalar) -> Scalar:
    return type(x)(2) * (x - target)


register(
    PointwiseLoss(
        value=_mse_loss,
        derivative=_mse_derivative,
        reference=lambda x, target: (x - target) ** 2,
        reference_derivative=lambda x, target: (2 * (x - target),),
        summary="Squared error.",
        formula=r"(x - t)^2",
        derivative_formula=r"2\,(x - t)",
        notes="PyTorch's ``mse_loss``; its gradient is that of the square, without a factor of one half.",
        cost=0.1,
    )
)


def _l1_loss(x: Scalar, target: Scalar) -> Scalar:
    return absolute(x - target)


def _l1_derivative(x: Scalar, target: Scalar) -> Scalar:
    return sign(x - target)


register(
    PointwiseLoss(
        value=_l1_loss,
        derivative=_l1_derivative,
        reference=lambda x, target: np.abs(x - target),
        reference_derivative=lambda x, target: (np.sign(x - target),),
        summary="Absolute error.",
        formula=r"|x - t|",
        derivative_formula=r"\mathrm{sign}(x - t)",
        kinks="Where input and target are equal the derivative is 0.",
        cost=0.1,
    )
)


def _huber_loss(x: Scalar, target: Scalar, delta: Scalar) -> Scalar:
    T = type(x)
    size = absolute(x - target)
    return select(size <= T(delta), T(0.5) * size * size, T(delta) * (size - T(0.5) * T(delta)))


def _huber_derivative(x: Scalar, target: Scalar, delta: Scalar) -> Scalar:
    T = type(x)
    return minimum(maximum(x - target, T(-delta)), T(delta))


register(
    PointwiseLoss(
        value=_huber_loss,
        derivative=_huber_derivative,
        reference=lambda x, target, delta: np.where(
            abs(x - target) <= delta, (x - target) ** 2 / 2, delta * (abs(x - target) - delta / 2)
        ),
        reference_derivative=lambda x, target, delta: (np.clip(x - target, -delta, delta),),
        summary="Huber's loss: half the square of small errors, a multiple of large ones.",
        formula=r"|d| \le \delta\ ?\ \tfrac{1}{2} d^2 : \delta\,(|d| - \tfrac{1}{2} \delta),\ d = x - t",
        derivative_formula=r"\min(\max(d, -\delta), \delta)",
        options={"delta": Option(1.0, "Where the square ends.", "a positive finite number", positive)},
        notes="`smooth_l1_loss` is the same divided by its ``beta``.",
        paper="P. J. Huber, Robust Estimation of a Location Parameter, 1964.",
        samples=({"delta": 0.25},),
        cost=0.15,
    )
)


def _smooth_l1_loss(x: Scalar, target: Scalar, beta: Scalar) -> Scalar:
    T = type(x)
    size = absolute(x - target)
    return select(size < T(beta), T(0.5) * size * size / T(beta), size - T(0.5) * T(beta))


def _smooth_l1_derivative(x: Scalar, target: Scalar, beta: Scalar) -> Scalar:
    T = type(x)
    difference = x - target
    return select(absolute(difference) < T(beta), difference / T(beta), sign(difference))


def _smooth_l1_reference(x: Any, target: Any, beta: float) -> Any:
    size = abs(x - target)
    return np.where(size < beta, size**2 / (2 * max(beta, 1e-300)), size - beta / 2)


register(
    PointwiseLoss(
        value=_smooth_l1_loss,
        derivative=_smooth_l1_derivative,
        reference=_smooth_l1_reference,
        reference_derivative=lambda x, target, beta: (np.clip((x - target) / max(beta, 1e-300), -1, 1),),
        summary="Absolute error with a square in place of the kink.",
        formula=r"|d| < \beta\ ?\ \tfrac{1}{2} d^2 / \beta : |d| - \tfrac{1}{2} \beta,\ d = x - t",
        derivative_formula=r"|d| < \beta\ ?\ d / \beta : \mathrm{sign}(d)",
        options={
            "beta": Option(
                1.0,
                "Where the square ends; with 0 it is `l1_loss`.",
                "a finite number of at least 0",
                lambda b: 0 <= b < math.inf,
            )
        },
        paper="R. Girshick, Fast R-CNN, arXiv:1504.08083.",
        samples=({"beta": 0.5}, {"beta": 0.0}),
        cost=0.15,
    )
)


def _log_cosh(x: Scalar, target: Scalar) -> Scalar:
    T = type(x)
    size = absolute(x - target)
    e = expm1_nonpositive(-size)
    near = log1p(T(0.5) * e * e / (T(1) + maximum(e, T(-0.75))))  # log1p(cosh(d) - 1)
    far = size + (log1p_unit(exp_nonpositive(T(-2) * size)) - T(math.log(2)))
    return select(size < T(1), near, far)


def _log_cosh_derivative(x: Scalar, target: Scalar) -> Scalar:
    return tanh(x - target)


register(
    PointwiseLoss(
        value=_log_cosh,
        derivative=_log_cosh_derivative,
        reference=lambda x, target: np.where(
            abs(x - target) < 1,
            np.log1p(2 * np.sinh(np.clip(x - target, -1, 1) / 2) ** 2),
            np.logaddexp(x - target, target - x) - np.log(2),
        ),
        reference_derivative=lambda x, target: (np.tanh(x - target),),
        summary="Logarithm of the error's hyperbolic cosine: half the square of small errors, about the size of large ones.",
        formula=r"\ln \cosh(x - t)",
        derivative_formula=r"\tanh(x - t)",
        ulp=6.0,
        double_ulp=6.0,
    )
)
