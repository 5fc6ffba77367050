"""What the blocks of several ops share."""

import math
from typing import Any

import numpy as np

from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, select

INF = math.inf


@scalar
def unless_nan(x: Scalar, value: Scalar) -> Scalar:
    """``value``, or ``x`` itself where it is NaN: piecewise constant derivatives would forget it."""
    return select(x == x, value, x)


def real(name: str, parameter: Any) -> Any:
    """A parameter as something to compare: a number as it is, anything else as an array; ``TypeError`` unless of real numbers."""
    if isinstance(parameter, int | float):
        return parameter
    array = np.asarray(parameter)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be a real number or an array of such, got {parameter!r}")
    return array


def require(condition: Any, message: str, *given: Any) -> None:
    """Raise ``ValueError`` unless the condition holds for every element of a parameter."""
    if not (condition if isinstance(condition, bool) else np.all(condition)):
        raise ValueError(f"{message}, got {', '.join(map(str, given))}")


@scalar
def part(weight: Scalar, loss: Scalar) -> Scalar:
    """A part of a loss; nothing of an infinite one is 0."""
    T = type(weight)
    return select((weight == T(0)) & (loss == loss), T(0), weight * loss)
