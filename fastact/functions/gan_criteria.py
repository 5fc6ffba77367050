"""What generative adversarial networks are trained by: the formula of an element's loss, and the kinds of losses made of them.

Every formula is of a discriminator's output and of what that should be: 1 for real samples and 0 for others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastact.functions.binary_losses import both_losses, both_sigmoids
from fastact.functions.common import part, unless_nan
from fastact.kinds.rows import Formula
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, maximum, select, widen


@dataclass(frozen=True, eq=False)
class Criterion:
    """The loss of one output."""

    name: str
    """Of its kernels."""
    value: Formula
    """On ``fastact.maths``, of ``x`` and of ``target``, which is a float64."""
    derivative: Formula
    """By ``x``, likewise."""
    reference: Callable[[Any, float], Any]
    """The loss in plain NumPy on float64 arrays, by a different and obviously right formula."""
    reference_derivative: Callable[[Any, float], tuple[Any, ...]]
    """The derivative in plain NumPy as a tuple of the terms that add up to it."""
    cost: float
    """Nanoseconds per float32 element on one thread, roughly; decides when threads pay."""


@scalar
def _cross_entropy(x: Scalar, target: Scalar) -> Scalar:
    T = type(x)
    real, fake = both_losses(x)
    return part(T(target), real) + part(T(1.0 - target), fake)


@scalar
def _cross_entropy_derivative(x: Scalar, target: Scalar) -> Scalar:
    T = type(x)
    p, q = both_sigmoids(x)
    return T(1.0 - target) * p - T(target) * q


def _shares(target: float, real: Any, fake: Any) -> tuple[Any, ...]:
    """What counts of two numbers, times how much it counts: 0 times infinity would be none."""
    return tuple(share * x for share, x in ((target, real), (1 - target, fake)) if share)


CROSS_ENTROPY = Criterion(
    "gan_cross_entropy",
    _cross_entropy,
    _cross_entropy_derivative,
    reference=lambda x, target: sum(_shares(target, np.logaddexp(0, -x), np.logaddexp(0, x))),
    reference_derivative=lambda x, target: _shares(target, -np.exp(-np.logaddexp(0, x)), np.exp(-np.logaddexp(0, -x))),
    cost=0.5,
)


@scalar
def _distance(x: Scalar, target: Scalar) -> Scalar:
    """``x - target``, with the digits of the target that the precision of ``x`` has no room for."""
    T = type(x)
    near = T(target)
    return (x - near) - T(target - widen(near))


@scalar
def _least_squares(x: Scalar, target: Scalar) -> Scalar:
    distance = _distance(x, target)
    return type(x)(0.5) * distance * distance


@scalar
def _least_squares_derivative(x: Scalar, target: Scalar) -> Scalar:
    return _distance(x, target)


LEAST_SQUARES = Criterion(
    "gan_least_squares",
    _least_squares,
    _least_squares_derivative,
    reference=lambda x, target: (x - target) ** 2 / 2,
    reference_derivative=lambda x, target: (x - target,),
    cost=0.1,
)


@scalar
def _sign(x: Scalar, target: Scalar) -> Scalar:
    """1 for the target 1, and -1 for 0."""
    T = type(x)
    return select(target > 0.0, T(1), T(-1))


@scalar
def _hinge(x: Scalar, target: Scalar) -> Scalar:
    T = type(x)
    return maximum(T(1) - _sign(x, target) * x, T(0))


@scalar
def _hinge_derivative(x: Scalar, target: Scalar) -> Scalar:
    T = type(x)
    sign = _sign(x, target)
    margin = T(1) - sign * x
    return select(margin > T(0), -sign, select(margin == margin, T(0), margin))


HINGE = Criterion(
    "gan_hinge",
    _hinge,
    _hinge_derivative,
    reference=lambda x, target: np.maximum(1 - (2 * target - 1) * x, 0),
    reference_derivative=lambda x, target: (
        np.where(np.isnan(x), x, np.where((2 * target - 1) * x < 1, 1 - 2 * target, 0.0)),
    ),
    cost=0.1,
)


@scalar
def _linear(x: Scalar, target: Scalar) -> Scalar:
    return -_sign(x, target) * x


@scalar
def _linear_derivative(x: Scalar, target: Scalar) -> Scalar:
    return unless_nan(x, -_sign(x, target))


LINEAR = Criterion(
    "gan_linear",
    _linear,
    _linear_derivative,
    reference=lambda x, target: (1 - 2 * target) * x,
    reference_derivative=lambda x, target: (np.where(np.isnan(x), x, 1 - 2 * target),),
    cost=0.1,
)


class Kind(NamedTuple):
    """What a discriminator and a generator are to make small."""

    discriminator: Criterion
    """Of the outputs for real samples, whose target is 1, and for generated ones, whose target is 0."""
    generator: Criterion
    """Of the outputs for generated samples."""
    target: float = 1.0
    """What the generator wants them to be, or, with a sign of -1, not to be."""
    sign: float = 1.0
    smooths: bool = True
    """Whether there is anything between both targets."""


KINDS = {
    "non_saturating": Kind(CROSS_ENTROPY, CROSS_ENTROPY),
    "saturating": Kind(CROSS_ENTROPY, CROSS_ENTROPY, target=0.0, sign=-1.0),
    "hinge": Kind(HINGE, LINEAR, smooths=False),
    "least_squares": Kind(LEAST_SQUARES, LEAST_SQUARES),
    "wasserstein": Kind(LINEAR, LINEAR, smooths=False),
}
"""By the name that users give."""
