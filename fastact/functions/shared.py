"""NumPy's functions that wait for memory, or are as quick in NumPy as one thread can be: several threads share them out."""

from typing import NamedTuple


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
