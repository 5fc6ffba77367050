"""``cbrt`` and ``hypot``.

``cbrt`` takes ``x**(-1/3)`` from the bits of ``x``, as a third of them is nearly its exponent and logarithm (Kahan,
Computing a real cube root, 1991), improves it twice by Householder's iteration of order 4, without a division, and corrects
``x * y**2`` by what its cube, computed with its rounding error, lacks.

``hypot`` computes in float64 for float32; in float64 it scales by powers of two where squares would overflow or
underflow (Borges, Algorithm 1014: an improved algorithm for hypot(x, y), 2020, corrects further).
"""

from fastact.maths.scalar import ByPrecision, Constant, scalar
from fastact.maths.simd import (
    Scalar,
    absolute,
    add,
    bits,
    copysign,
    fma,
    from_bits,
    narrow,
    select,
    shift_left,
    shift_right,
    sqrt,
    widen,
)

INFINITY = float("inf")

_DROPPED_BITS = Constant(float32=9, float64=29)
_INTEGER_TO_FLOAT = Constant(float32=0x4B000000, float64=0x4330000000000000)  # the bits of 2**23 and 2**52
_FLOAT_OF_INTEGER = Constant(float32=2.0**23, float64=2.0**52)
# 4/3 of the exponent's bias, a little less so that errors of either sign are as large: in units of the last bit kept
_FIRST_GUESS = Constant(float32=2.0**23 + 2773270.0, float64=2.0**52 + 11441504915.0)
_SMALL = Constant(float32=2.0**-60, float64=2.0**-900)
_UP = Constant(float32=2.0**90, float64=2.0**300)
_DOWN = Constant(float32=2.0**-30, float64=2.0**-100)


@scalar
def _closer(x: Scalar, y: Scalar) -> Scalar:
    """An approximation ``y`` of ``x**(-1/3)`` with its relative error to the fourth power."""
    T = type(x)
    e = fma(-(x * y) * y, y, T(1.0))
    return fma(y * e, fma(e, fma(e, T(14.0 / 81.0), T(2.0 / 9.0)), T(1.0 / 3.0)), y)


@scalar
def cbrt(x: Scalar) -> Scalar:
    """``cbrt(x)`` for every x: 0.51 ULP, 0.51 in float64."""
    T = type(x)
    a = absolute(x)
    small = a < _SMALL(x)
    a = select(small, a * _UP(x), a)
    pattern = bits(a)
    integer = type(pattern)
    count = from_bits(add(shift_right(pattern, _DROPPED_BITS(x)), integer(_INTEGER_TO_FLOAT(x)))) - _FLOAT_OF_INTEGER(x)
    guess = fma(count, T(-1.0 / 3.0), _FIRST_GUESS(x))
    y = _closer(a, _closer(a, from_bits(shift_left(bits(guess), _DROPPED_BITS(x)))))
    square = y * y
    root = a * square
    root_square = root * root
    rest = fma(-root_square, root, a) - fma(root, root, -root_square) * root
    root = fma(rest, square * T(1.0 / 3.0), root)
    root = select(small, root * _DOWN(x), root)
    return select(x == T(0.0), x, select(absolute(x) == T(INFINITY), x, copysign(root, x)))


@scalar
def _hypot_float32(x: Scalar, y: Scalar) -> Scalar:
    """``hypot(x, y)`` for all x and y: 0.51 ULP."""
    a, b = widen(x), widen(y)
    root = narrow(sqrt(fma(a, a, b * b)))
    T = type(x)
    infinite = (absolute(x) == T(INFINITY)) | (absolute(y) == T(INFINITY))
    return select(infinite, T(INFINITY), root)


@scalar
def _hypot_float64(x: Scalar, y: Scalar) -> Scalar:
    """``hypot(x, y)`` for all x and y: 1.00 ULP."""
    T = type(x)
    a, b = absolute(x), absolute(y)
    larger, smaller = select(a > b, a, b), select(a > b, b, a)
    high, low = larger > T(2.0**500), larger < T(2.0**-500)
    scale = select(high, T(2.0**-600), select(low, T(2.0**600), T(1.0)))
    inverse = select(high, T(2.0**600), select(low, T(2.0**-600), T(1.0)))
    larger, smaller = larger * scale, smaller * scale
    root = sqrt(fma(larger, larger, smaller * smaller)) * inverse
    return select((a == T(INFINITY)) | (b == T(INFINITY)), T(INFINITY), root)


hypot = ByPrecision(float32=_hypot_float32, float64=_hypot_float64)
