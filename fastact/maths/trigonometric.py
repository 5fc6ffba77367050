"""``sin`` and ``cos``, for every argument.

``x = n * pi/2 + r`` with ``pi/2`` in three parts, so that the first difference is exact (Cody and Waite, Software Manual for the
Elementary Functions, 1980; Muller, Elementary Functions, chapter 11); ``r`` is carried with a second part, and of the minimax
polynomials of ``sin(r)`` and ``cos(r)`` the parity of ``n`` chooses. That is right up to ``_FAR``. Arguments beyond are given
back as they are, and computed apart, since few arrays have any: ``sin_far`` and ``cos_far`` multiply those bits of ``2/pi`` that
leave something other than a multiple of 4 (Payne and Hanek, Radian reduction for trigonometric functions, 1983), which a table
holds for each 16 binades as the sum of four numbers.

The coefficients and the table are derived by ``tools/derive_coefficients.py``; each is the shortest decimal that reads back
exactly.
"""

from fastact.maths.scalar import ByPrecision, Constant, Polynomial, scalar
from fastact.maths.simd import (
    Scalar,
    absolute,
    add,
    bit_and,
    bit_xor,
    bits,
    fma,
    from_bits,
    narrow,
    rint,
    select,
    shift_left,
    shift_right,
    subtract,
    widen,
)
from fastact.maths.sums import exact_sum
from fastact.maths.two_over_pi import PART_1, PART_2, PART_3, PART_4

# q in sin(r) = r + r**3 * q(r * r): degree 2 and 5 for r <= 0.79, relative error 4.2e-9 and 4.1e-18.
# q in cos(r) = 1 - r**2 / 2 + r**4 * q(r * r): the same, 1.3e-10 and 6.1e-20.
_SIN_FLOAT32 = Polynomial(-0.16666653752326965, 0.008332106284797192, -0.00019507882825564593)
_SIN_FLOAT64 = Polynomial(
    -0.16666666666666627,
    0.008333333333321128,
    -0.00019841269828771983,
    2.7557313330274614e-06,
    -2.5050701138019153e-08,
    1.589347339814888e-10,
)
_COS_FLOAT32 = Polynomial(0.04166664555668831, -0.0013887303648516536, 2.443120138195809e-05)
_COS_FLOAT64 = Polynomial(
    0.04166666666666659,
    -0.0013888888888872167,
    2.480158728827462e-05,
    -2.7557314007270145e-07,
    2.087567682134051e-09,
    -1.1357263146447785e-11,
)

_SIN = ByPrecision(float32=_SIN_FLOAT32, float64=_SIN_FLOAT64)
_COS = ByPrecision(float32=_COS_FLOAT32, float64=_COS_FLOAT64)
_TWO_OVER_PI = Constant(float32=0.6366197466850281, float64=0.6366197723675814)
_HALF_PI = Constant(float32=1.5707963705062866, float64=1.5707963267948966)
_HALF_PI_REST = Constant(float32=-4.371138828673793e-08, float64=6.123233995736766e-17)
_HALF_PI_LAST = Constant(float32=-1.7151245100059124e-15, float64=-1.4973849048591833e-33)
_WHOLE = Constant(float32=1.5 * 2.0**23, float64=1.5 * 2.0**52)
_SIGN_FROM_BIT_1 = Constant(float32=30, float64=62)
_FAR = Constant(float32=2.0**20, float64=2.0**30)


@scalar
def _of_quadrant(i: Scalar, r: Scalar, rest: Scalar) -> Scalar:
    """``sin(i * pi/2 + r + rest)`` for ``abs(r)`` up to ``pi/4`` or little more."""
    T = type(r)
    integer = type(i)
    square = r * r
    half = square * T(0.5)
    sine = r + fma(r * square, _SIN(square), fma(-half, rest, rest))
    whole = T(1.0) - half
    cosine = whole + fma(square * square, _COS(square), fma(-r, rest, (T(1.0) - whole) - half))
    value = select(bit_and(i, integer(1)) == integer(0), sine, cosine)
    sign = bit_and(shift_left(i, _SIGN_FROM_BIT_1(r)), bits(T(-0.0)))
    return from_bits(bit_xor(bits(value), sign))


@scalar
def _reduced(a: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """``(i, r, rest)`` with ``a = i * pi/2 + r + rest``, of which ``i`` is right in the last bits; for ``0 <= a <= _FAR``."""
    shifted = fma(a, _TWO_OVER_PI(a), _WHOLE(a))
    n = shifted - _WHOLE(a)
    first = fma(n, -_HALF_PI(a), a)
    product = n * -_HALF_PI_REST(a)
    product_rest = fma(n, -_HALF_PI_REST(a), -product)
    r, rest = exact_sum(first, product)
    return bits(shifted), r, fma(n, -_HALF_PI_LAST(a), rest + product_rest)


@scalar
def _far_reduced(a: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """The same for a finite ``a`` of 1 or more, in float64."""
    pattern = bits(a)
    integer = type(pattern)
    window = bit_and(shift_right(subtract(shift_right(pattern, 52), integer(1023)), 4), integer(63))
    scaled = from_bits(subtract(pattern, shift_left(window, 56)))
    b, c, d, e = PART_1(window), PART_2(window), PART_3(window), PART_4(window)
    first = scaled * b
    first_rest = fma(scaled, b, -first)
    second = scaled * c
    second_rest = fma(scaled, c, -second)
    third = scaled * d
    last = fma(scaled, e, fma(scaled, d, -third))
    total, rest_1 = exact_sum(_modulo_4(first), _modulo_4(first_rest))
    total, rest_2 = exact_sum(total, _modulo_4(second))
    n = rint(total)
    total, rest_3 = exact_sum(total - n, second_rest)
    total, rest_4 = exact_sum(total, third)
    total, rest_1 = exact_sum(total, rest_1)
    total, rest_2 = exact_sum(total, rest_2)
    rest = ((rest_3 + rest_4) + (rest_1 + rest_2)) + last
    quarter = total + rest
    quarter_rest = (total - quarter) + rest
    r = quarter * _HALF_PI(a)
    rest = fma(quarter, _HALF_PI(a), -r) + fma(quarter, _HALF_PI_REST(a), quarter_rest * _HALF_PI(a))
    return bits(n + _WHOLE(a)), r, rest


@scalar
def _modulo_4(x: Scalar) -> Scalar:
    """What is left of ``x`` over the nearest multiple of 4."""
    T = type(x)
    return fma(rint(x * T(0.25)), T(-4.0), x)


@scalar
def _signed(x: Scalar, value: Scalar) -> Scalar:
    """``value``, or its negative if ``x`` is negative."""
    return from_bits(bit_xor(bits(value), bit_and(bits(x), bits(type(x)(-0.0)))))


@scalar
def sin(x: Scalar) -> Scalar:
    """``sin(x)`` for ``abs(x) <= _FAR`` or NaN, else x itself: 0.91 ULP, 0.68 in float64."""
    a = absolute(x)
    i, r, rest = _reduced(a)
    return select(a > _FAR(x), x, _signed(x, _of_quadrant(i, r, rest)))


@scalar
def cos(x: Scalar) -> Scalar:
    """``cos(x)`` for ``abs(x) <= _FAR`` or NaN, else x itself: 0.95 ULP, 0.71 in float64."""
    a = absolute(x)
    i, r, rest = _reduced(a)
    return select(a > _FAR(x), x, _of_quadrant(add(i, type(i)(1)), r, rest))


@scalar
def _sin_far_float64(x: Scalar) -> Scalar:
    """``sin(x)`` for ``abs(x) >= 1``, NaN for infinities."""
    i, r, rest = _far_reduced(absolute(x))
    return _signed(x, _of_quadrant(i, r, rest))


@scalar
def _cos_far_float64(x: Scalar) -> Scalar:
    """``cos(x)`` for ``abs(x) >= 1``, NaN for infinities."""
    i, r, rest = _far_reduced(absolute(x))
    return _of_quadrant(add(i, type(i)(1)), r, rest)


@scalar
def _sin_far_float32(x: Scalar) -> Scalar:
    """``sin(x)`` for ``abs(x) >= 1``, NaN for infinities."""
    return narrow(_sin_far_float64(widen(x)))


@scalar
def _cos_far_float32(x: Scalar) -> Scalar:
    """``cos(x)`` for ``abs(x) >= 1``, NaN for infinities."""
    return narrow(_cos_far_float64(widen(x)))


_sin_far = ByPrecision(float32=_sin_far_float32, float64=_sin_far_float64)
_cos_far = ByPrecision(float32=_cos_far_float32, float64=_cos_far_float64)


@scalar
def sin_far(x: Scalar) -> Scalar:
    """``sin(x)`` of what ``sin`` gives back."""
    return _sin_far(x)


@scalar
def cos_far(x: Scalar) -> Scalar:
    """``cos(x)`` of what ``cos`` gives back."""
    return _cos_far(x)
