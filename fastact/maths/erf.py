"""``erf``, and what gelu needs of the normal distribution: products with its cumulative function.

Three approximations, all without branches or tables:

- ``erf(x) = x + x * p(x * x)`` near zero, and further out ``1 - p(abs(x))**4`` (or ``**8``): the root of ``erfc`` is
  nearly flat, so a short polynomial reaches it, and raising it to the power costs two or three multiplications where an
  exponential would cost a dozen operations (after Hastings, Approximations for Digital Computers, 1955, who took
  ``1 - p(x)**-16``).
- The lower tail of the normal distribution is ``exp(-t * t / 2) * R(t)`` with a smooth ``R``, Mills' ratio over
  ``sqrt(2 * pi)`` (Cody, Rational Chebyshev approximations for the error function, 1969), so that the tail keeps its
  relative precision.
- The exponential is reduced as in ``fastact.maths.exp``.

``R`` is a quotient, ``1 / (t + 3)`` or ``1.25 / (t + 2.5)``, times a polynomial in it; what rounding did to the quotient is
computed and corrected to first order. (In float32 0.65 ULP were to be had by evaluating in float64, at 1.4 times the time.)

The coefficients are derived by ``tools/derive_coefficients.py``.
ULP figures: float32 over every bit pattern from ``2**-14`` to where the function saturates and one in 37 elsewhere,
against SciPy in float64; float64 over at least 20000 samples, against mpmath.
"""

from fastact.maths.scalar import ByPrecision, Polynomial, scalar
from fastact.maths.simd import Scalar, absolute, bits, copysign, fma, from_bits, maximum, minimum, select, shift_left

# p in erf(x) = x + x * p(x * x): degree 5 for |x| <= 1 and 12 for |x| <= 1.25, relative errors of erf 4.4e-8, 3.8e-17.
# The first coefficient is given, as it alone decides where x is tiny.
_ERF_NEAR_FLOAT32 = Polynomial(
    0.12837916612625122,
    -0.37612417340278625,
    0.11280694603919983,
    -0.026723064482212067,
    0.004929268267005682,
    -0.0005673865671269596,
)
_ERF_NEAR_FLOAT64 = Polynomial(
    0.1283791670955126,
    -0.3761263890318329,
    0.11283791670933103,
    -0.02686617064172084,
    0.005223977599295332,
    -0.0008548325852235502,
    0.00012055299563225426,
    -1.4925012873990679e-05,
    1.6453778747710502e-06,
    -1.6290598334466642e-07,
    1.434303429287487e-08,
    -1.0395123549634954e-09,
    4.6181540549317914e-11,
)
# erfc(x)**(1/4), degree 8 on 1 <= x <= 4: error of erf 8.8e-9.
# erfc(s + 2.5)**(1/8), degree 16 on -1.25 <= s <= 3.5: error of erf 1.8e-17.
_ERFC_ROOT_FLOAT32 = Polynomial(
    1.0021296739578247,
    -0.2933579981327057,
    -0.09377586096525192,
    -0.017002174630761147,
    0.04348864033818245,
    -0.012614233419299126,
    0.0007411448750644922,
    0.00018289742001798004,
    -2.2568126951227896e-05,
)
_ERFC_ROOT_FLOAT64 = Polynomial(
    0.37687115680278055,
    -0.2521588733275386,
    0.03989208130916066,
    0.010425687572505603,
    -0.0037385889686002913,
    -9.86706533396146e-05,
    0.00017284666862657345,
    -1.3589112267664168e-05,
    -4.037251271896365e-06,
    6.361977931221446e-07,
    5.7183170318177045e-08,
    -1.591879453277175e-08,
    -8.254147667091474e-10,
    4.5633162876431085e-10,
    -2.7336212481342376e-11,
    -4.925620799839763e-12,
    8.668612375213274e-13,
)

# p in expm1(-v / 2) = v * p(v), degree 5 on |v| <= ln2: error 3.2e-9 of exp(-v / 2). The first coefficient is given.
_HALF_EXPM1_FLOAT32 = Polynomial(
    -0.5,
    0.1249999850988388,
    -0.020833153277635574,
    0.0026042682584375143,
    -0.000261516630416736,
    2.1591102267848328e-05,
)
# q in expm1(-v / 2) = -v / 2 + v * v * q(v), degree 9 on |v| <= ln2: error 3.7e-18 of exp(-v / 2).
_HALF_EXPM1_FLOAT64 = Polynomial(
    0.12500000000000028,
    -0.020833333333333082,
    0.0026041666666580493,
    -0.00026041666667094064,
    2.1701388974538815e-05,
    -1.5500991833291404e-06,
    9.68808326784752e-08,
    -5.382335562624214e-09,
    2.6982614055395816e-10,
    -1.2210623817553571e-11,
)

# p in exp(t * t / 2) * Phi(-t) = (1 + middle + v * p(v)) * q / 2 with q = 1.25 / (t + 2.5) and v = q - 7/32: degree 8 on
# 0 <= t <= 14.4, relative error 1.7e-8, or as much of the smallest normal number where t * Phi(-t) is less. The middle
# stands apart as the correction of rounding errors is added to it.
_TAIL_MIDDLE_FLOAT32 = 0.04723431169986725
_TAIL_FLOAT32 = Polynomial(
    2.5625076293945312,
    3.4276576042175293,
    -0.09180940687656403,
    -6.863288879394531,
    -0.7797447443008423,
    19.42005157470703,
    -7.583368301391602,
    -51.007850646972656,
    66.01286315917969,
)
# The derivative of q * (1 + middle + v * p(v)) by q, over 1.25, in v: within 10 %, which is enough to correct a rounding
# error that was multiplied by 1.25.
_TAIL_SENSITIVITY_FLOAT32 = Polynomial(1.4, 5.32)
# p in exp(t * t / 2) * Phi(-t) = (1 + middle + v * p(v)) * q / 2 with q = 1 / (t + 3) and v = q - 9/64: degree 21 on
# 0.75 <= t <= 39, relative error 2.0e-17. The middle stands apart as the correction of rounding errors is added to it.
_TAIL_MIDDLE_FLOAT64 = 0.309860732664726
_TAIL_FLOAT64 = Polynomial(
    5.292617986512804,
    14.875456757725386,
    22.483251861213038,
    -12.409175553777231,
    -114.43635437248639,
    -21.759905480559627,
    671.2629249998787,
    109.02668998545832,
    -4872.1270939835695,
    2617.8101839812325,
    37708.08810853324,
    -70695.66196755029,
    -240955.92029346543,
    1105665.9033223032,
    281094.3245825556,
    -12431631.929312387,
    24374458.276733696,
    90621605.6341266,
    -431815170.56233287,
    -220105369.98455995,
    3178028831.5725546,
    -1853826948.2382443,
)
# The derivative of that by -log(t + 3), over q / 2, in v: within 2 %, which is enough to correct a rounding error.
_TAIL_SENSITIVITY_FLOAT64 = Polynomial(2.08, 15.4, 49.0)
# p in Phi(x) = 1/2 + x * p(x * x), and in the derivative of gelu likewise: degree 9 for |x| <= 0.75, relative error
# 6.3e-17, nearly all of it the rounding of the first coefficient.
_CENTRE_FLOAT64 = Polynomial(
    0.3989422804014327,
    -0.06649038006691134,
    0.00997355701031211,
    -0.0011873282204418326,
    0.00011543473192893783,
    -9.444877564103374e-06,
    6.666165199262992e-07,
    -4.2326524148666405e-08,
    3.277229054350859e-09,
    -4.893385343637471e-10,
)
_CENTRE_DERIVATIVE_FLOAT64 = Polynomial(
    0.7978845608028654,
    -0.2659615202676262,
    0.05984134206021711,
    -0.009498625721635425,
    0.001154346842038861,
    -0.00011333564655680522,
    9.322749786998676e-06,
    -6.579672714794077e-07,
    3.910783204738649e-08,
    -1.3482786544670898e-09,
)


@scalar
def _erf_float32(x: Scalar) -> Scalar:
    """``erf(x)`` for every x: 1.54 ULP."""
    T = type(x)
    magnitude = absolute(x)
    near = fma(x, _ERF_NEAR_FLOAT32(x * x), x)
    root = _ERFC_ROOT_FLOAT32(minimum(magnitude, T(4.0)))  # erf(4) rounds to 1
    square = root * root
    return select(magnitude < T(1.0), near, copysign(fma(-square, square, T(1.0)), x))


@scalar
def _erf_float64(x: Scalar) -> Scalar:
    """``erf(x)`` for every x: 1.3 ULP."""
    T = type(x)
    magnitude = absolute(x)
    near = fma(x, _ERF_NEAR_FLOAT64(x * x), x)
    root = _ERFC_ROOT_FLOAT64(minimum(magnitude, T(6.0)) - T(2.5))  # erf(6) rounds to 1
    square = root * root
    square = square * square
    return select(magnitude < T(1.25), near, copysign(fma(-square, square, T(1.0)), x))


erf = ByPrecision(float32=_erf_float32, float64=_erf_float64)


@scalar
def _tail_parts_float32(x: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar, Scalar, Scalar]:
    """``(t, q, p, v, e, power)``: ``t`` is ``min(abs(x), 14.7)``, ``(q + q * p) * (1 + v * e) * power = 2**65 * Phi(-t)``.

    The factor keeps ``power`` normal where the result is subnormal. ``(1 + v * e) * power = 2**64 * exp(-t * t / 2)``.
    """
    T = type(x)
    t = minimum(absolute(x), T(14.7))
    shifted = fma(t * t, T(-0.7213475108146667), T(12583103.0))  # 1.5 * 2**23 + 127 + 64
    n = shifted - T(12583103.0)
    # The first part of twice ln2 has 16 bits, so that n times it is exact, and the square is added unrounded.
    v = fma(n, T(2.857213530660374e-06), fma(t, t, n * T(1.38629150390625)))
    # 1.25 times the relative error of q, from the sum's rounding, which is exact, and the quotient's residual.
    total = t + T(2.5)
    q = T(1.25) / total
    residual = fma(-q, t - (total - T(2.5)), fma(-q, total, T(1.25)))
    offset = q - T(0.21875)
    middle = fma(residual, _TAIL_SENSITIVITY_FLOAT32(offset), T(_TAIL_MIDDLE_FLOAT32))
    p = fma(offset, _TAIL_FLOAT32(offset), middle)
    return t, q, p, v, _HALF_EXPM1_FLOAT32(v), from_bits(shift_left(bits(shifted), 23))


@scalar
def _gelu_float32(x: Scalar) -> Scalar:
    """``x * Phi(x) = max(x, 0) - abs(x) * Phi(-abs(x))`` for every x, 0 at minus infinity: 1.77 ULP."""
    T = type(x)
    t, q, p, v, e, power = _tail_parts_float32(x)
    # t * power is exact; what it is multiplied with is kept unrounded, so that the tail is rounded no more often than Phi.
    scaled = t * power
    growth = fma(fma(p, v, v), e, p)  # (1 + p) * (1 + v * e) - 1
    ratio = fma(q, growth, q)
    tail = fma(scaled, ratio, scaled * fma(q, growth, q - ratio))
    return fma(tail, T(-(2.0**-65)), maximum(x, T(0.0)))


@scalar
def _gelu_derivative_float32(x: Scalar) -> Scalar:
    """``Phi(x) + x * phi(x)`` for every x, ``phi`` the density of Phi: 2.4 ULP of the larger term."""
    T = type(x)
    t, q, p, v, e, power = _tail_parts_float32(x)
    ratio = fma(T(-0.7978845608028654), t, fma(q, p, q))
    tail = fma(ratio * v, e, ratio) * power * T(2.0**-65)
    return select(x < T(0.0), tail, T(1.0) - tail)


@scalar
def _tail_parts_float64(x: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar, Scalar]:
    """``(t, q, p, e, power)``: ``t`` is ``min(abs(x), 39)``, ``(q + q * p) * (1 + e) * power = 2**81 * Phi(-t)``.

    That holds for ``t >= 0.75``. The factor keeps ``power`` normal where the result is subnormal.
    ``(1 + e) * power = 2**80 * exp(-t * t / 2)``.
    """
    T = type(x)
    t = minimum(absolute(x), T(39.0))
    square = t * t
    shifted = fma(square, T(-0.7213475204444817), T(6755399441056847.0))  # 1.5 * 2**52 + 1023 + 80
    n = shifted - T(6755399441056847.0)
    # The argument is v + rest, unrounded: n has so few bits that the first fma is exact.
    high = fma(n, T(1.3862943611202354), square)
    low = fma(n, T(-3.447888905122967e-13), fma(t, t, -square))
    v = high + low
    rest = low - (v - high)
    e = fma(T(-0.5), v, fma(v * v, _HALF_EXPM1_FLOAT64(v), T(-0.5) * rest))
    # What rounding did to 1 / (t + 3), to first order and relative: the quotient's residual, then the sum's error
    # (Knuth's TwoSum). What follows from it for the ratio is a polynomial of q.
    total = t + T(3.0)
    part = total - t
    lost = (t - (total - part)) + (T(3.0) - part)
    q = T(1.0) / total
    residual = fma(-q, lost, fma(-q, total, T(1.0)))
    offset = q - T(0.140625)
    p = fma(offset, _TAIL_FLOAT64(offset), fma(residual, _TAIL_SENSITIVITY_FLOAT64(offset), T(_TAIL_MIDDLE_FLOAT64)))
    return t, q, p, e, from_bits(shift_left(bits(shifted), 52))


@scalar
def _combined(p: Scalar, e: Scalar) -> Scalar:
    """``(1 + p) * (1 + e) - 1``, with what the sum of p and e loses put back."""
    total = p + e
    return total + fma(p, e, (p - total) + e)


@scalar
def _gelu_float64(x: Scalar) -> Scalar:
    """``x * Phi(x) = max(x, 0) - abs(x) * Phi(-abs(x))`` for every x, 0 at minus infinity: 1.9 ULP."""
    T = type(x)
    t, q, p, e, power = _tail_parts_float64(x)
    # t * power is exact and its product with q is kept unrounded, so that the tail is rounded no more often than Phi.
    scaled = t * power
    product = scaled * q
    tail = product + fma(product, _combined(p, e), fma(scaled, q, -product))
    far = fma(tail, T(-(2.0**-81)), maximum(x, T(0.0)))
    return select(t < T(0.75), x * fma(x, _CENTRE_FLOAT64(x * x), T(0.5)), far)


@scalar
def _gelu_derivative_float64(x: Scalar) -> Scalar:
    """``Phi(x) + x * phi(x)`` for every x, ``phi`` the density of Phi: 2.9 ULP of the larger term."""
    T = type(x)
    t, q, p, e, power = _tail_parts_float64(x)
    q = q * T(2.0**-81)
    ratio = fma(T(-0.3989422804014327 * 2.0**-80), t, fma(q, p, q))
    tail = fma(ratio, e, ratio)
    far = select(x < T(0.0), tail * power, fma(-tail, power, T(1.0)))
    return select(t < T(0.75), fma(x, _CENTRE_DERIVATIVE_FLOAT64(x * x), T(0.5)), far)


gelu = ByPrecision(float32=_gelu_float32, float64=_gelu_float64)
gelu_derivative = ByPrecision(float32=_gelu_derivative_float32, float64=_gelu_derivative_float64)
