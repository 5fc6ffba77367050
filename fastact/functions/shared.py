"""NumPy's functions that wait for memory, or are as quick in NumPy as one thread can be: several threads share them out."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np


class Shared(NamedTuple):
    """What has to be known of one of NumPy's ufuncs to let several threads compute it."""

    inputs: int
    """Number of operands."""
    cost: float
    """Nanoseconds per float32 element on one thread, roughly."""


SHARED = {
    "sqrt": Shared(1, 0.12),
    "square": Shared(1, 0.06),
    "reciprocal": Shared(1, 0.12),
    "maximum": Shared(2, 0.1),
    "minimum": Shared(2, 0.1),
    "clip": Shared(3, 0.1),
}
"""By the name of NumPy's ufunc. (`numpy.clip` is a function that calls one.)"""


@cache
def numpy_is_wide() -> bool:
    """Whether NumPy computes float64 by Intel's library for short vectors (SVML), where the processor has some of 512 bits.

    Many of its functions are quicker there than what can be made of a formula for all processors, and as exact. Packages of NumPy
    may be built without it, which nothing in them tells. But an underflow of the arc tangent of the least number does, for SVML
    reports none. It has to be asked before a loop of NumPy's is replaced.
    """
    known: Any = np._core._multiarray_umath  # type: ignore[attr-defined]
    if not known.__cpu_features__.get("AVX512_SKX", False):
        return False
    reported: list[str] = []
    with np.errstate(all="ignore", under="call", call=lambda kind, flags: reported.append(kind)):
        np.arctan(np.full(8, 5e-324))
    return not reported
