"""Logarithms in two parts, a rounded number and a rest, for products with them, and for sums that cancel.

The argument is split as in ``fastact.maths.log``, with its polynomial: ``log1p(f) = f - f * f / 2 + f * f * rest(f)``. What
rounding takes from the first two terms and from ``k * ln2`` is kept, so that the sum of the parts is off by a small
share of what ``f**3 / 3`` loses. The rest may be as large as a twentieth of the first part.
"""

from fastact.maths.log import INFINITY, LOG1P_FLOAT32, LOG1P_FLOAT64, NAN
from fastact.maths.scalar import ByPrecision, Constant, Polynomial, scalar
from fastact.maths.simd import (
    Scalar,
    absolute,
    add,
    bit_and,
    bits,
    fma,
    from_bits,
    minimum,
    select,
    shift_right,
    subtract,
    to_float,
)

# The polynomial of log1p plus a half: what it is but for the term -f * f / 2.
_REST_FLOAT32 = Polynomial(LOG1P_FLOAT32.coefficients[0] + 0.5, *LOG1P_FLOAT32.coefficients[1:])
_REST_FLOAT64 = Polynomial(LOG1P_FLOAT64.coefficients[0] + 0.5, *LOG1P_FLOAT64.coefficients[1:])
log1p_rest = ByPrecision(float32=_REST_FLOAT32, float64=_REST_FLOAT64)
"""``(log1p(f) - f + f * f / 2) / (f * f)`` for -0.25 <= f <= 0.5."""

# q in (1 + f) * log1p(f) - f = f * f * q(f), degree 20 on -0.25 <= f <= 0.5: relative error 7.8e-19. The first is given.
DIVERGENCE_FLOAT64 = Polynomial(
    0.5,
    -0.16666666666666666,
    0.08333333333333358,
    -0.05000000000000794,
    0.03333333333325728,
    -0.023809523807850418,
    0.01785714286369665,
    -0.013888889041897376,
    0.011111110987046764,
    -0.009090901907089168,
    0.007575748543299728,
    -0.006410433934655699,
    0.005495036102320961,
    -0.004759920052807302,
    0.0041556511119830095,
    -0.00367611377940922,
    0.0033610173969928847,
    -0.0031141596955090315,
    0.0025393387333073484,
    -0.0014362400145090564,
    0.000389707759861076,
)

_LN2 = Constant(float32=0.6931471824645996, float64=0.6931471805599453)
_LN2_REST = Constant(float32=-1.9046542121259336e-09, float64=2.3190468138462996e-17)
_SMALLEST_NORMAL = Constant(float32=2.0**-126, float64=2.0**-1022)
_ENLARGED = Constant(float32=2.0**24, float64=2.0**54)
_ENLARGED_BY = Constant(float32=24.0, float64=54.0)


@scalar
def _exponent_float32(x: Scalar) -> tuple[Scalar, Scalar]:
    """``(k, power)`` with ``0.75 <= x * power < 1.5`` and ``power = 2**-k``, for x from ``2**-126`` to ``2**126``."""
    above = subtract(bits(x), type(bits(x))(0x3F400000))
    exponent = bit_and(above, type(above)(-0x800000))
    return to_float(shift_right(above, 23)), from_bits(subtract(type(above)(0x3F800000), exponent))


@scalar
def _exponent_float64(x: Scalar) -> tuple[Scalar, Scalar]:
    """``(k, power)`` with ``0.75 <= x * power < 1.5`` and ``power = 2**-k``, for x from ``2**-1022`` to ``2**1022``."""
    pattern = bits(x)
    integer = type(pattern)
    field = bit_and(add(pattern, integer(0x0008000000000000)), integer(0x7FF0000000000000))
    k = from_bits(add(shift_right(field, 52), integer(0x4330000000000000))) - type(x)(4503599627371519.0)
    return k, from_bits(subtract(integer(0x7FE0000000000000), field))


_exponent = ByPrecision(float32=_exponent_float32, float64=_exponent_float64)


@scalar
def _fraction_float32(x: Scalar) -> tuple[Scalar, Scalar]:
    """``(k, m)`` with ``x = 2**k * m`` and ``0.75 <= m < 1.5``, for a normal x."""
    pattern = bits(x)
    above = subtract(pattern, type(pattern)(0x3F400000))
    return to_float(shift_right(above, 23)), from_bits(subtract(pattern, bit_and(above, type(above)(-0x800000))))


@scalar
def _fraction_float64(x: Scalar) -> tuple[Scalar, Scalar]:
    """``(k, m)`` with ``x = 2**k * m`` and ``0.75 <= m < 1.5``, for a normal x > 0."""
    pattern = bits(x)
    integer = type(pattern)
    field = bit_and(add(pattern, integer(0x0008000000000000)), integer(0x7FF0000000000000))
    k = from_bits(add(shift_right(field, 52), integer(0x4330000000000000))) - type(x)(4503599627371519.0)
    return k, from_bits(add(subtract(pattern, field), integer(0x3FF0000000000000)))


_fraction = ByPrecision(float32=_fraction_float32, float64=_fraction_float64)


@scalar
def fraction(x: Scalar) -> tuple[Scalar, Scalar]:
    """``(k, m)`` with ``x = 2**k * m`` and ``0.75 <= m < 1.5``, for a finite x > 0, subnormal or not."""
    small = x < _SMALLEST_NORMAL(x)
    k, m = _fraction(select(small, x * _ENLARGED(x), x))
    return select(small, k - _ENLARGED_BY(x), k), m


@scalar
def sum_of_parts(k: Scalar, f: Scalar, f_rest: Scalar) -> tuple[Scalar, Scalar]:
    """``k * log(2) + log1p(f + f_rest)`` for a whole k and -0.25 <= f <= 0.5, of which ``f_rest`` is less than a last place."""
    T = type(f)
    square = f * f
    near = fma(f, T(-0.5) * f, f)
    lost = fma(f, T(-0.5) * f, f - near)
    lost = fma(square, log1p_rest(f), lost + f_rest * fma(f, T(-0.75), T(1.0)))
    high = fma(k, _LN2(f), near)
    return high, (fma(k, _LN2(f), -high) + near) + fma(k, _LN2_REST(f), lost)


@scalar
def log_parts(x: Scalar) -> tuple[Scalar, Scalar]:
    """``log(x)`` for every x; where it is not finite, the first part is it and the second is 0."""
    T = type(x)
    k, m = fraction(x)
    high, low = sum_of_parts(k, m - T(1.0), T(0.0))
    return _with_edges(x, high, low, x < T(0.0), x == T(0.0))


@scalar
def _with_edges(x: Scalar, high: Scalar, low: Scalar, below: bool, at: bool) -> tuple[Scalar, Scalar]:
    """Put what a logarithm must be at its pole, below it, at infinity and at NaN in the place of its parts."""
    T = type(x)
    usual = x < T(INFINITY)
    high = select(at, T(-INFINITY), select(usual, high, x))
    return select(below, T(NAN), high), select(usual & (not at), low, T(0.0))


@scalar
def log1p_parts(x: Scalar) -> tuple[Scalar, Scalar]:
    """``log1p(x)`` for every x; where it is not finite, the first part is it and the second is 0."""
    T = type(x)
    # The largest are scaled, where the power of two that undoes the exponent would be subnormal; there 1 counts nothing.
    large = x > _LARGE(x)
    y = select(large, x * T(2.0**-8), x)
    k, power = _exponent(minimum(y + T(1.0), fma(y, _BELOW_ONE(x), T(1.0))))
    high, low = sum_of_parts(select(large, k + T(8.0), k), fma(y, power, power - T(1.0)), T(0.0))
    tiny = absolute(x) < _TINY(x)
    return _with_edges(x, select(tiny, x, high), select(tiny, T(0.0), low), x < T(-1.0), x == T(-1.0))


_LARGE = Constant(float32=1e30, float64=1e300)
_BELOW_ONE = Constant(float32=1.0 - 2.0**-22, float64=1.0 - 2.0**-51)
_TINY = Constant(float32=1e-30, float64=1e-300)


@scalar
def quotient(x: Scalar, y: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """``(k, f, f_rest)`` with ``x / y = 2**k * (1 + f + f_rest)`` for finite x, y > 0, where -0.26 < f < 0.51.

    Where k is 0, ``f + f_rest`` is ``(x - y) / y``, of which nothing cancels.
    """
    T = type(x)
    of_x, top = fraction(x)
    of_y, bottom = fraction(y)
    low, high = top < bottom * T(0.75), top >= bottom * T(1.5)
    top = select(low, top + top, select(high, top * T(0.5), top))
    k = (of_x - of_y) + select(low, T(-1.0), select(high, T(1.0), T(0.0)))
    difference, inverse = top - bottom, T(1.0) / bottom  # the difference is exact, as neither is twice the other
    f = difference * inverse
    return k, f, fma(-f, bottom, difference) * inverse


@scalar
def log_of_quotient(x: Scalar, y: Scalar) -> tuple[Scalar, Scalar]:
    """``log(x / y)`` for finite x, y > 0."""
    k, f, f_rest = quotient(x, y)
    return sum_of_parts(k, f, f_rest)
