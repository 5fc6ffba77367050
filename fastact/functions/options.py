"""Numbers that a loss takes: their defaults, what they mean, and which are allowed."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fastact.calls.checking import number, representable
from fastact.kernels.dtypes import FLOATS


class Option(NamedTuple):
    """A number that a loss takes."""

    default: Any
    meaning: str
    allowed: str = "a finite number"
    within: Callable[[float], bool] = math.isfinite
    """Whether a number is allowed."""

    def checked(self, name: str, value: Any) -> float:
        """The number; ``TypeError`` and ``ValueError`` say what is allowed."""
        found = (
            float(value)
            if isinstance(self.default, bool) and isinstance(value, bool)
            else number(name, value, self.allowed)
        )
        if not self.within(found):
            raise ValueError(f"{name} must be {self.allowed}, got {value!r}")
        return found


def check_representable(numbers: Mapping[str, float], dtype: Any) -> None:
    """``ValueError`` for a finite number that is infinite in what arrays of a dtype are computed in."""
    for name, value in numbers.items():
        if math.isfinite(value):
            representable(name, value, FLOATS[dtype.name].computed)
