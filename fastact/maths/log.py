"""``log``, ``log2``, ``log10``, ``log1p`` and the cheaper forms of them that activations need.

The argument is split as ``2**k * (1 + f)`` with ``-0.25 <= f < 0.5`` (Cody and Waite, Software Manual for the
Elementary Functions, 1980; Muller, Elementary Functions, chapter 11, here without a division). Then
``log = k * ln2 + log1p(f)`` with ``log1p(f) = f + f * f * q(f)``, q a minimax polynomial. ``f`` is exact, and
``k * ln2`` is added last, in one fma. That the interval starts at 0.75 keeps ``f`` exact in ``log1p`` too where it
matters most, for k = 1 and the smallest results.

The coefficients are derived by ``tools/derive_coefficients.py``; each is the shortest decimal that reads back exactly.
ULP figures are measured errors: float32 over every bit pattern from 2**-31 to where the result saturates and over every
64th elsewhere, against float64; float64 over samples from every binade, against mpmath.
"""

from fastact.maths.scalar import ByPrecision, Constant, Polynomial, scalar
from fastact.maths.simd import (
    Scalar,
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

INFINITY, NAN = float("inf"), float("nan")

# q in log1p(f) = f + f * f * q(f), degree 8 and 19 on -0.25 <= f <= 0.5: relative error 4.9e-9 and 8.3e-18 of log1p(f).
LOG1P_FLOAT32 = Polynomial(
    -0.5,
    0.3333345055580139,
    -0.25000110268592834,
    0.19990848004817963,
    -0.1664687693119049,
    0.14477626979351044,
    -0.13163958489894867,
    0.10472629964351654,
    -0.045152951031923294,
)
LOG1P_FLOAT64 = Polynomial(
    -0.4999999999999997,
    0.3333333333333394,
    -0.25000000000019573,
    0.19999999999816936,
    -0.16666666662763824,
    0.14285714301350202,
    -0.1250000034897818,
    0.11111110796627283,
    -0.09999983788862474,
    0.09090889768006755,
    -0.08333731570891816,
    0.07693477667163186,
    -0.07138423132108589,
    0.0664231033272524,
    -0.062491872719139245,
    0.06087189062734377,
    -0.05977170156531726,
    0.050743618638153694,
    -0.02935410267649037,
    0.008056946376838174,
)

# The same on 0 <= f <= 1, degree 8 and 19: 5.3e-9 and 9.5e-18.
_LOG1P_UNIT_FLOAT32 = Polynomial(
    -0.4999993145465851,
    0.33330464363098145,
    -0.24958018958568573,
    0.19692100584506989,
    -0.153448686003685,
    0.10661091655492783,
    -0.057456690818071365,
    0.020085852593183517,
    -0.0032903586979955435,
)
LOG1P_UNIT_FLOAT64 = Polynomial(
    -0.4999999999999946,
    0.3333333333323526,
    -0.24999999993686292,
    0.19999999791558354,
    -0.16666662502061996,
    0.1428565893367262,
    -0.12499479879624117,
    0.11107507444188706,
    -0.09981020897529326,
    0.09013172723527473,
    -0.08081259122526677,
    0.07035635653880641,
    -0.0575034568892371,
    0.04230184369009758,
    -0.02674555106329284,
    0.013839686231173605,
    -0.0055436600449462895,
    0.0015959315270054244,
    -0.0002918016535468707,
    2.533391633995995e-05,
)

# q in log2(1 + f) = f / ln2 + f * f * q(f), and in log10 likewise: degree 8 and 19 on sqrt(1/2) <= 1 + f <= sqrt(2), relative
# error 4.6e-9 and 8e-18.
_LOG2_FLOAT32 = Polynomial(
    -0.7213473320007324,
    0.4808982014656067,
    -0.3606986701488495,
    0.28857141733169556,
    -0.2395673543214798,
    0.20448660850524902,
    -0.19139090180397034,
    0.18708787858486176,
    -0.11025509238243103,
)
_LOG2_FLOAT64 = Polynomial(
    -0.7213475204444822,
    0.4808983469629834,
    -0.3606737602218801,
    0.28853900817902123,
    -0.24044917354901718,
    0.20609929146764996,
    -0.1803368744123891,
    0.1602994488171562,
    -0.14426976266482733,
    0.1311543591186139,
    -0.1202178210348233,
    0.11096393248310231,
    -0.10315175344971621,
    0.09645752988452792,
    -0.08936597179233356,
    0.08164253515159643,
    -0.08191795576263626,
    0.09419892775990583,
    -0.08664727204685473,
    0.03776063674820101,
)
_LOG10_FLOAT32 = Polynomial(
    -0.21714718639850616,
    0.14476478099822998,
    -0.10858089476823807,
    0.08686868846416473,
    -0.07212285697460175,
    0.06155925244092941,
    -0.05756469443440437,
    0.05628181993961334,
    -0.03327259421348572,
)
_LOG10_FLOAT64 = Polynomial(
    -0.21714724095162607,
    0.14476482730108262,
    -0.10857362047570542,
    0.08685889638102022,
    -0.07238241367074472,
    0.06204206881678099,
    -0.05428680852935486,
    0.048254942390744314,
    -0.043429525815504966,
    0.03948139577210354,
    -0.03618917391798325,
    0.033403481250590124,
    -0.031051735495122496,
    0.02903649175852357,
    -0.026901988383550762,
    0.024577636531021824,
    -0.024659916961958704,
    0.028354658622200938,
    -0.026081095719455553,
    0.011366560946361483,
)


@scalar
def _log_scaled_float32(x: Scalar, doublings: Scalar) -> Scalar:
    """``log(x * 2**doublings)`` for a normal x."""
    T = type(x)
    pattern = bits(x)
    integer = type(pattern)
    above = subtract(pattern, integer(0x3F400000))  # less the bits of 0.75: k now stands in the exponent's place
    f = from_bits(subtract(pattern, bit_and(above, integer(-0x800000)))) - T(1.0)
    k = to_float(shift_right(above, 23)) + doublings
    # ln2 needs no low part: its rounding counts most where k is 1 or -1, and is 0.06 ULP there.
    return fma(k, T(0.6931471824645996), fma(f * f, LOG1P_FLOAT32(f), f))


@scalar
def _log_scaled_float64(x: Scalar, doublings: Scalar) -> Scalar:
    """``log(x * 2**doublings)`` for a normal x > 0."""
    T = type(x)
    pattern = bits(x)
    integer = type(pattern)
    # k plus the exponent's bias, in the exponent's place (the sum adds the bits of 1 less those of 0.75). Put into the
    # low bits of 2**52 it becomes a float without the conversion of 64-bit integers that AVX2 lacks.
    field = bit_and(add(pattern, integer(0x0008000000000000)), integer(0x7FF0000000000000))
    f = from_bits(add(subtract(pattern, field), integer(0x3FF0000000000000))) - T(1.0)
    k = from_bits(add(shift_right(field, 52), integer(0x4330000000000000))) - (T(4503599627371519.0) - doublings)
    return fma(k, T(0.6931471805599453), f + fma(k, T(2.3190468138462996e-17), f * f * LOG1P_FLOAT64(f)))


@scalar
def _log_normal_float32(x: Scalar) -> Scalar:
    """``log(x)`` for x >= 2**-126, infinity or NaN: 0.93 ULP."""
    T = type(x)
    return select(x < T(INFINITY), _log_scaled_float32(x, T(0.0)), x)


@scalar
def _log_normal_float64(x: Scalar) -> Scalar:
    """``log(x)`` for x >= 2**-1022, infinity or NaN: 0.92 ULP."""
    T = type(x)
    return select(x < T(INFINITY), _log_scaled_float64(x, T(0.0)), x)


log_normal = ByPrecision(float32=_log_normal_float32, float64=_log_normal_float64)


@scalar
def _with_edges(x: Scalar, result: Scalar) -> Scalar:
    """Put what a logarithm must be at 0, below it, at infinity and at NaN in the place of ``result``."""
    T = type(x)
    result = select(x < T(INFINITY), result, x)
    return select(x <= T(0.0), select(x < T(0.0), T(NAN), T(-INFINITY)), result)


@scalar
def _log_float32(x: Scalar) -> Scalar:
    """``log(x)`` for every x: 0.93 ULP."""
    T = type(x)
    subnormal = x < T(1.1754943508222875e-38)
    normal = select(subnormal, x * T(16777216.0), x)
    return _with_edges(x, _log_scaled_float32(normal, select(subnormal, T(-24.0), T(0.0))))


@scalar
def _log_float64(x: Scalar) -> Scalar:
    """``log(x)`` for every x: 0.92 ULP."""
    T = type(x)
    subnormal = x < T(2.2250738585072014e-308)
    normal = select(subnormal, x * T(18014398509481984.0), x)
    return _with_edges(x, _log_scaled_float64(normal, select(subnormal, T(-54.0), T(0.0))))


log = ByPrecision(float32=_log_float32, float64=_log_float64)


# log2 and log10 split the argument at the root of 1/2, so that k times the logarithm of 2 is never smaller than the rest, and a
# sum of the two has an exact rounding error. f times the logarithm of e is taken with its error too: a power of 2 gives a whole
# number, and a power of 10 is rounded to one.

_LOG2 = ByPrecision(float32=_LOG2_FLOAT32, float64=_LOG2_FLOAT64)
_LOG10 = ByPrecision(float32=_LOG10_FLOAT32, float64=_LOG10_FLOAT64)
_LOG2_E = Constant(float32=1.4426950216293335, float64=1.4426950408889634)
_LOG2_E_REST = Constant(float32=1.925963033500011e-08, float64=2.0355273740931033e-17)
_LOG10_E = Constant(float32=0.4342944920063019, float64=0.4342944819032518)
_LOG10_E_REST = Constant(float32=-1.0103049952192578e-08, float64=1.098319650216765e-17)
# The first part of log10(2) has so few bits that k times it is exact.
_LOG10_2 = Constant(float32=0.30103302001953125, float64=0.30102999566395283)
_LOG10_2_REST = Constant(float32=-3.024355464731343e-06, float64=2.8363394551044964e-14)
_SMALLEST_NORMAL = Constant(float32=1.1754943508222875e-38, float64=2.2250738585072014e-308)
_SUBNORMAL_DOUBLINGS = Constant(float32=24.0, float64=54.0)
_SUBNORMAL_FACTOR = Constant(float32=2.0**24, float64=2.0**54)


@scalar
def _split_at_root_float32(x: Scalar) -> tuple[Scalar, Scalar]:
    """``(k, f)`` with ``x = 2**k * (1 + f)`` and ``sqrt(1/2) <= 1 + f < sqrt(2)`` for a normal x > 0."""
    pattern = bits(x)
    integer = type(pattern)
    above = subtract(pattern, integer(0x3F3504F3))
    f = from_bits(subtract(pattern, bit_and(above, integer(-0x800000)))) - type(x)(1.0)
    return to_float(shift_right(above, 23)), f


@scalar
def _split_at_root_float64(x: Scalar) -> tuple[Scalar, Scalar]:
    """``(k, f)`` with ``x = 2**k * (1 + f)`` and ``sqrt(1/2) <= 1 + f < sqrt(2)`` for a normal x > 0."""
    T = type(x)
    pattern = bits(x)
    integer = type(pattern)
    # As in _log_scaled_float64: the sum adds the bits of 1 less those of the root of 1/2.
    field = bit_and(add(pattern, integer(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)), integer(0x7FF0000000000000))
    f = from_bits(add(subtract(pattern, field), integer(0x3FF0000000000000))) - T(1.0)
    return from_bits(add(shift_right(field, 52), integer(0x4330000000000000))) - T(4503599627371519.0), f


_split_at_root = ByPrecision(float32=_split_at_root_float32, float64=_split_at_root_float64)


@scalar
def split_at_root(x: Scalar) -> tuple[Scalar, Scalar]:
    """``(k, f)`` with ``x = 2**k * (1 + f)`` and ``sqrt(1/2) <= 1 + f < sqrt(2)`` for every x > 0 that is finite."""
    T = type(x)
    subnormal = x < _SMALLEST_NORMAL(x)
    k, f = _split_at_root(select(subnormal, x * _SUBNORMAL_FACTOR(x), x))
    return k - select(subnormal, _SUBNORMAL_DOUBLINGS(x), T(0.0)), f


@scalar
def _sum_of_parts(whole: Scalar, product: Scalar, rest: Scalar) -> Scalar:
    """``whole + product + rest``, rounded nearly once, where ``whole`` is 0 or larger than ``product``."""
    total = whole + product
    return total + (((whole - total) + product) + rest)


@scalar
def log2(x: Scalar) -> Scalar:
    """``log2(x)`` for every x: 0.99 ULP, 0.69 in float64."""
    k, f = split_at_root(x)
    product = f * _LOG2_E(x)
    rest = fma(f, _LOG2_E(x), -product)
    return _with_edges(x, _sum_of_parts(k, product, fma(f * f, _LOG2(f), fma(f, _LOG2_E_REST(x), rest))))


@scalar
def log10(x: Scalar) -> Scalar:
    """``log10(x)`` for every x: 0.88 ULP, 0.63 in float64."""
    k, f = split_at_root(x)
    product = f * _LOG10_E(x)
    rest = fma(f, _LOG10_E(x), -product)
    rest = fma(f * f, _LOG10(f), fma(f, _LOG10_E_REST(x), fma(k, _LOG10_2_REST(x), rest)))
    return _with_edges(x, _sum_of_parts(k * _LOG10_2(x), product, rest))


# log1p splits 1 + x, rounded, but then computes f from x itself: f = x * 2**-k + (2**-k - 1) in one fma, so that what
# 1 + x lost comes back. Where 2**-k would be subnormal, x is scaled down first; 1 no longer matters there. For
# x > 0 the sum is taken a little low: one that was rounded up to 1.5 would make k = 1, for which f is inexact if
# x < 0.5.


@scalar
def _log1p_scaled_float32(y: Scalar, doublings: Scalar) -> Scalar:
    """``log1p(y) + doublings * log(2)`` for a y above -1 and up to 1e30."""
    T = type(y)
    u = minimum(y + T(1.0), fma(y, T(1.0 - 2.0**-22), T(1.0)))
    above = subtract(bits(u), type(bits(y))(0x3F400000))
    exponent = bit_and(above, type(above)(-0x800000))
    power = from_bits(subtract(type(above)(0x3F800000), exponent))
    f = fma(y, power, power - T(1.0))
    k = to_float(shift_right(above, 23)) + doublings
    return fma(k, T(0.6931471824645996), fma(f * f, LOG1P_FLOAT32(f), f))


@scalar
def _log1p_float32(x: Scalar) -> Scalar:
    """``log1p(x)`` for every x: 0.93 ULP."""
    T = type(x)
    large = x > T(1e30)
    y = select(large, x * T(2.0**-32), x)
    result = _log1p_scaled_float32(y, select(large, T(32.0), T(0.0)))
    return select(x == T(0.0), x, _with_edges(x + T(1.0), result))


@scalar
def log1p_nonnegative_float32(x: Scalar) -> Scalar:
    """``log1p(x)`` for 0 <= x < 1e30 or NaN: 0.93 ULP."""
    return _log1p_scaled_float32(x, type(x)(0.0))


@scalar
def _log1p_scaled_float64(y: Scalar, doublings: Scalar) -> Scalar:
    """``log1p(y) + doublings * log(2)`` for a y above -1 and up to 1e300."""
    T = type(y)
    pattern = bits(minimum(y + T(1.0), fma(y, T(1.0 - 2.0**-51), T(1.0))))
    integer = type(pattern)
    field = bit_and(add(pattern, integer(0x0008000000000000)), integer(0x7FF0000000000000))
    power = from_bits(subtract(integer(0x7FE0000000000000), field))
    f = fma(y, power, power - T(1.0))
    k = from_bits(add(shift_right(field, 52), integer(0x4330000000000000))) - (T(4503599627371519.0) - doublings)
    return fma(k, T(0.6931471805599453), f + fma(k, T(2.3190468138462996e-17), f * f * LOG1P_FLOAT64(f)))


@scalar
def _log1p_float64(x: Scalar) -> Scalar:
    """``log1p(x)`` for every x: 0.91 ULP."""
    T = type(x)
    large = x > T(1e300)
    y = select(large, x * T(2.0**-64), x)
    result = _log1p_scaled_float64(y, select(large, T(64.0), T(0.0)))
    return select(x == T(0.0), x, _with_edges(x + T(1.0), result))


log1p = ByPrecision(float32=_log1p_float32, float64=_log1p_float64)
log1p_scaled = ByPrecision(float32=_log1p_scaled_float32, float64=_log1p_scaled_float64)


@scalar
def _log1p_unit_float32(u: Scalar) -> Scalar:
    """``log1p(u)`` for 0 <= u <= 1 or NaN, for ``softplus(x) = max(x, 0) + log1p_unit(exp(-abs(x)))``: 1.19 ULP."""
    return fma(u * u, _LOG1P_UNIT_FLOAT32(u), u)


@scalar
def _log1p_unit_float64(u: Scalar) -> Scalar:
    """``log1p(u)`` for 0 <= u <= 1 or NaN: 1.1 ULP."""
    return fma(u * u, LOG1P_UNIT_FLOAT64(u), u)


log1p_unit = ByPrecision(float32=_log1p_unit_float32, float64=_log1p_unit_float64)
