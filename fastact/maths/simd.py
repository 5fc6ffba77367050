"""The machine operations that scalar formulas need and Python lacks.

Each function is written here in plain Python, which says what it means on one NumPy scalar and lets a formula run
without a compiler. ``fastact.kernels.intrinsics`` lowers the same names to LLVM instructions that vectorise.
All take and return ``numpy.float32`` or ``numpy.float64`` scalars unless they say otherwise.
"""

from typing import Any

import numpy as np

Scalar = Any
"""A ``numpy.float32`` or ``numpy.float64`` scalar, or the integer that holds its bits."""

INT_OF = {np.dtype(np.float32): np.int32, np.dtype(np.float64): np.int64}
FLOAT_OF = {np.dtype(np.int32): np.float32, np.dtype(np.int64): np.float64}


def fma(a: Scalar, b: Scalar, c: Scalar) -> Scalar:
    """``a * b + c``, rounded once."""
    float_type = type(a)
    from fractions import Fraction

    if not (np.isfinite(a) and np.isfinite(b)):
        return float_type(a * b + c)
    if not np.isfinite(c):
        return c
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    if exact == 0:
        return float_type(a * b + c)
    return _round_once(exact, float_type)


def _round_once(exact: Any, float_type: type) -> Scalar:
    """The ``float_type`` nearest to the fraction ``exact``: a detour over float64 alone would round twice."""
    fraction = type(exact)
    try:
        nearest = float_type(float(exact))
    except OverflowError:
        return float_type(np.inf if exact > 0 else -np.inf)
    if not np.isfinite(nearest):
        return nearest
    neighbours = [nearest, np.nextafter(nearest, float_type(-np.inf)), np.nextafter(nearest, float_type(np.inf))]
    finite = [x for x in neighbours if np.isfinite(x)]
    return min(finite, key=lambda x: (abs(fraction(float(x)) - exact), int(bits(x)) & 1))


def rint(x: Scalar) -> Scalar:
    """The nearest integer as a float, ties to even."""
    return np.rint(x)


def sqrt(x: Scalar) -> Scalar:
    """The square root, rounded once."""
    return np.sqrt(x)


def absolute(x: Scalar) -> Scalar:
    """``x`` with its sign bit cleared, also for NaN."""
    return np.abs(x)


def copysign(x: Scalar, y: Scalar) -> Scalar:
    """The magnitude of ``x`` with the sign bit of ``y``."""
    return np.copysign(x, y)


def select(condition: Any, a: Scalar, b: Scalar) -> Scalar:
    """``a if condition else b`` with both sides evaluated: never a branch."""
    return a if condition else b


def minimum(x: Scalar, y: Scalar) -> Scalar:
    """The smaller of the two; ``x`` when it is NaN."""
    return y if y < x else x


def maximum(x: Scalar, y: Scalar) -> Scalar:
    """The larger of the two; ``x`` when it is NaN."""
    return y if y > x else x


def fmax(x: Scalar, y: Scalar) -> Scalar:
    """The larger of the two; the other one where one is NaN. Which of two zeros it is does not matter to those who call it.

    Where a result replaces an operand in memory, a choice between the two would be merged into a store under a mask, which AMD's
    processors take many times as long for as for a store. On x86 this is a choice if ``x`` is NaN, for ``y`` then.
    """
    return y if y > x or x != x else x


def bits(x: Scalar) -> Scalar:
    """The bit pattern of a float as a signed integer of the same width."""
    return x.view(INT_OF[x.dtype])


def from_bits(i: Scalar) -> Scalar:
    """The float that a signed integer's bit pattern stands for."""
    return i.view(FLOAT_OF[i.dtype])


def to_int(x: Scalar) -> Scalar:
    """An integral float as a signed integer of the same width; out of range it is any number."""
    return INT_OF[x.dtype](x) if np.abs(x) < 2.0**31 else INT_OF[x.dtype](0)


def to_float(i: Scalar) -> Scalar:
    """A signed integer as a float of the same width."""
    return FLOAT_OF[i.dtype](i)


def add(i: Scalar, j: Scalar) -> Scalar:
    """The sum of two integers, wrapping, in their own width (``i + j`` would promote int32 to int64)."""
    return _wrap(int(i) + int(j), type(i))


def subtract(i: Scalar, j: Scalar) -> Scalar:
    """The difference of two integers, wrapping, in their own width."""
    return _wrap(int(i) - int(j), type(i))


def multiply(i: Scalar, j: Scalar) -> Scalar:
    """The product of two integers, wrapping, in the width of ``i``."""
    return _wrap(int(i) * int(j), type(i))


def bit_and(i: Scalar, j: Scalar) -> Scalar:
    """The bitwise and of two integers in their own width."""
    return i & j


def bit_xor(i: Scalar, j: Scalar) -> Scalar:
    """The bitwise exclusive or of two integers in their own width."""
    return i ^ j


def shift_left(i: Scalar, count: int) -> Scalar:
    """``i << count``, wrapping, in the width of ``i``."""
    return _wrap(int(i) << int(count), type(i))


def shift_right(i: Scalar, count: int) -> Scalar:
    """``i >> count``, copying the sign bit, in the width of ``i``."""
    return type(i)(int(i) >> int(count))


def shift_right_filling(i: Scalar, count: int) -> Scalar:
    """``i >> count``, filling in zeros, in the width of ``i``."""
    width = 8 * np.dtype(type(i)).itemsize
    return _wrap((int(i) & (2**width - 1)) >> int(count), type(i))


def _wrap(value: int, int_type: type) -> Scalar:
    width = 8 * np.dtype(int_type).itemsize
    value &= 2**width - 1
    return int_type(value - 2**width if value >> (width - 1) else value)


def pow2(n: Scalar) -> Scalar:
    """``2.0**n`` for an integer ``n`` in the normal range of the float of its width."""
    shift, bias = (23, 127) if n.dtype == np.int32 else (52, 1023)
    return from_bits(_wrap((int(n) + bias) << shift, type(n)))


def widen(x: Scalar) -> Scalar:
    """``x`` as ``numpy.float64``."""
    return np.float64(x)


def narrow(x: Scalar) -> Scalar:
    """``x`` rounded to ``numpy.float32``."""
    return np.float32(x)
