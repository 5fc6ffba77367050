"""``sinh`` and ``cosh``.

With ``a = abs(x) = n * ln2 + r`` as in ``fastact.maths.exp`` both are ``2**(n - 1) * (exp(r) + 4**-n * -+exp(-r))``, and the two
exponentials share the polynomials of ``cosh(r)`` and ``sinh(r)`` (Tang, Table-driven implementation of the expm1 function,
1992, has the idea; here there is no table). 1 and ``r`` are added exactly, and ``r`` has a second part. For ``a < 1``, where
the two exponentials cancel, ``sinh(a) = a + a**3 * q(a * a)``.

The coefficients are derived by ``tools/derive_coefficients.py``; each is the shortest decimal that reads back exactly.
"""

from fastact.maths.exp import ANCHOR, LN2, LN2_REST, LOG2E, power
from fastact.maths.scalar import ByPrecision, Constant, Polynomial, scalar
from fastact.maths.simd import Scalar, absolute, copysign, fma, minimum, select

# q in sinh(a) = a + a**3 * q(a * a): degree 3 and 7 for a <= 1 (NEAR), relative error 3.0e-10 and 1.1e-19; degree 2 and 4 for
# a <= ln2 / 2, 4.6e-11 and 2.7e-19. q in cosh(a) = 1 + a * a * q(a * a) there: 9.8e-11 and 3.5e-18.
_SINH_NEAR_FLOAT32 = Polynomial(0.1666666716337204, 0.00833331048488617, 0.0001984289410756901, 2.7822295578516787e-06)
_SINH_NEAR_FLOAT64 = Polynomial(
    0.16666666666666666,
    0.008333333333333573,
    0.0001984126984106117,
    2.755731931008076e-06,
    2.505208941625838e-08,
    1.6061338571000907e-10,
    7.503314457355024e-13,
    6.47376667247567e-15,
)
_SINH_FLOAT32 = Polynomial(0.1666666716337204, 0.00833317544311285, 0.00019974085444118828)
_SINH_FLOAT64 = Polynomial(
    0.16666666666666677, 0.008333333333321376, 0.00019841269886865798, 2.755724337989045e-06, 2.5109352916695064e-08
)
_COSH_FLOAT32 = Polynomial(0.5, 0.041666459292173386, 0.0013935425085946918)
_COSH_FLOAT64 = Polynomial(
    0.5000000000000013, 0.041666666666510456, 0.0013888888948359753, 2.480148850245203e-05, 2.7631811202138415e-07
)

_SINH_NEAR = ByPrecision(float32=_SINH_NEAR_FLOAT32, float64=_SINH_NEAR_FLOAT64)
_SINH = ByPrecision(float32=_SINH_FLOAT32, float64=_SINH_FLOAT64)
_COSH = ByPrecision(float32=_COSH_FLOAT32, float64=_COSH_FLOAT64)
_HIGHEST = Constant(float32=90.0, float64=711.0)  # beyond it both are infinite
_SMALL_FROM = Constant(float32=30.0, float64=60.0)  # the other exponential counts no more


@scalar
def _parts(a: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """``(half, whole, rest, other)``: ``cosh`` and ``sinh`` of ``a >= 0`` are ``2 * half * (whole + (rest +- other))``."""
    T = type(a)
    a = minimum(a, _HIGHEST(a))
    shifted = fma(a, LOG2E(a), ANCHOR(a))
    n = shifted - ANCHOR(a)
    first = fma(n, -LN2(a), a)
    r = fma(n, -LN2_REST(a), first)
    tail = fma(n, -LN2_REST(a), first - r)
    square = r * r
    even = square * _COSH(square)
    odd = fma(r * square, _SINH(square), tail)
    inverse_square = power(fma(minimum(n, _SMALL_FROM(a)), T(-2.0), ANCHOR(a)))
    whole = T(1.0) + r
    rest = ((T(1.0) - whole) + r) + (even + odd)
    return power(shifted - T(2.0)), whole, rest, inverse_square * ((T(1.0) - r) + (even - odd))


@scalar
def cosh(x: Scalar) -> Scalar:
    """``cosh(x)`` for every x: 0.96 ULP, 0.82 in float64."""
    half, whole, rest, other = _parts(absolute(x))
    result = half * (whole + (rest + other))
    return result + result


@scalar
def sinh(x: Scalar) -> Scalar:
    """``sinh(x)`` for every x: 0.73 ULP, 0.58 in float64."""
    T = type(x)
    a = absolute(x)
    square = a * a
    near = fma(a * square, _SINH_NEAR(square), a)
    half, whole, rest, other = _parts(a)
    result = half * (whole + (rest - other))
    return copysign(select(a < T(1.0), near, result + result), x)
