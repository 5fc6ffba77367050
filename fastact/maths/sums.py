"""Sums with their rounding errors."""

from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar


@scalar
def exact_sum(a: Scalar, b: Scalar) -> tuple[Scalar, Scalar]:
    """``a + b`` and its rounding error, whichever is larger (Knuth, The Art of Computer Programming, volume 2, 4.2.2)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)
