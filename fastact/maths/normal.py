"""``erfc``, the normal distribution's cumulative function and its logarithm, on the tail that ``erf.py`` approximates.

Of ``erfc(x) = 2 * Phi(-sqrt(2) * x)`` neither the exponent nor Mills' ratio may see a rounded ``sqrt(2) * x``: the exponent takes
``x * x``, unrounded, and the sum in the ratio's quotient takes what the product loses.

``log(Phi(-t)) = -t * t / 2 + log(R(t))``, of which both terms have one sign, so that nothing cancels; the square is added
unrounded. The polynomial of ``R`` was fitted as far as ``Phi`` is a number. What it is off further out is less than the last place
of the square there. On the right it is ``log1p(-Phi(-t))``, by the same logarithm.

ULP figures: float32 over every bit pattern, but for ``log_ndtr`` over those from -8 to -1/8 and from 1/8 to 14.7; float64 over at
least 10000 samples, against mpmath.
"""

from fastact.maths.erf import (
    _CENTRE_FLOAT64,
    _ERF_NEAR_FLOAT64,
    _HALF_EXPM1_FLOAT32,
    _HALF_EXPM1_FLOAT64,
    _TAIL_FLOAT64,
    _TAIL_MIDDLE_FLOAT32,
    _TAIL_MIDDLE_FLOAT64,
    _TAIL_SENSITIVITY_FLOAT32,
    _TAIL_SENSITIVITY_FLOAT64,
    _combined,
    _tail_parts_float64,
)
from fastact.maths.log import LOG1P_FLOAT32, LOG1P_FLOAT64
from fastact.maths.log_parts import _exponent
from fastact.maths.scalar import ByPrecision, Polynomial, scalar
from fastact.maths.simd import (
    Scalar,
    absolute,
    bits,
    fma,
    from_bits,
    minimum,
    select,
    shift_left,
)

# p as in ``erf.py``, of degree 9: relative error 4.6e-9. With degree 8 a few float32 results are more than 2 ULP off.
_TAIL_FLOAT32 = Polynomial(
    2.5625076293945312,
    3.4276695251464844,
    -0.09180457890033722,
    -6.86639928817749,
    -0.7736279368400574,
    19.65266990661621,
    -8.518115043640137,
    -55.58583450317383,
    97.39836883544922,
    -46.41716384887695,
)


@scalar
def _ratio_float32(total: Scalar, lost: Scalar) -> tuple[Scalar, Scalar]:
    """``(q, p)`` with ``exp(t * t / 2) * Phi(-t) = (q + q * p) / 2`` for ``t = total + lost - 2.5``."""
    T = type(total)
    q = T(1.25) / total
    residual = fma(-q, lost, fma(-q, total, T(1.25)))
    offset = q - T(0.21875)
    middle = fma(residual, _TAIL_SENSITIVITY_FLOAT32(offset), T(_TAIL_MIDDLE_FLOAT32))
    return q, fma(offset, _TAIL_FLOAT32(offset), middle)


@scalar
def _ratio_float64(total: Scalar, lost: Scalar) -> tuple[Scalar, Scalar]:
    """``(q, p)`` with ``exp(t * t / 2) * Phi(-t) = (q + q * p) / 2`` for ``t = total + lost - 3``, at least 0.75."""
    T = type(total)
    q = T(1.0) / total
    residual = fma(-q, lost, fma(-q, total, T(1.0)))
    offset = q - T(0.140625)
    sensitivity = fma(residual, _TAIL_SENSITIVITY_FLOAT64(offset), T(_TAIL_MIDDLE_FLOAT64))
    return q, fma(offset, _TAIL_FLOAT64(offset), sensitivity)


@scalar
def _power_float32(x: Scalar, y: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """``(v, taken, e, power)`` with ``(1 + v * e) * power = 2**64 * exp((taken - x * y) / 2)``, for a product up to 216.

    ``taken`` is what rounding took from v.
    """
    T = type(x)
    square = x * y
    shifted = fma(square, T(-0.7213475108146667), T(12583103.0))  # 1.5 * 2**23 + 127 + 64
    n = shifted - T(12583103.0)
    # The first part of twice ln2 has 16 bits, so that this fma is exact.
    high = fma(n, T(1.38629150390625), square)
    low = fma(n, T(2.857213530660374e-06), fma(x, y, -square))
    v = high + low
    return v, low - (v - high), _HALF_EXPM1_FLOAT32(v), from_bits(shift_left(bits(shifted), 23))


@scalar
def _power_float64(x: Scalar, y: Scalar) -> tuple[Scalar, Scalar]:
    """``(e, power)`` with ``(1 + e) * power = 2**80 * exp(-x * y / 2)``, for a product up to 1521."""
    T = type(x)
    square = x * y
    shifted = fma(square, T(-0.7213475204444817), T(6755399441056847.0))  # 1.5 * 2**52 + 1023 + 80
    n = shifted - T(6755399441056847.0)
    high = fma(n, T(1.3862943611202354), square)
    low = fma(n, T(-3.447888905122967e-13), fma(x, y, -square))
    v = high + low
    rest = low - (v - high)
    e = fma(T(-0.5), v, fma(v * v, _HALF_EXPM1_FLOAT64(v), T(-0.5) * rest))
    return e, from_bits(shift_left(bits(shifted), 52))


@scalar
def _erfc_float32(x: Scalar) -> Scalar:
    """``erfc(x)`` for every x: 1.92 ULP."""
    T = type(x)
    a = minimum(absolute(x), T(10.4))
    total = fma(a, T(1.4142135381698608), T(2.5))
    q, p = _ratio_float32(total, fma(a, T(2.4203234972766944e-08), fma(a, T(1.4142135381698608), T(2.5) - total)))
    v, _, e, power = _power_float32(a, a + a)
    tail = fma(q, fma(fma(p, v, v), e, p), q) * power * T(2.0**-64)
    return select(x < T(0.0), T(2.0) - tail, tail)


@scalar
def _erfc_float64(x: Scalar) -> Scalar:
    """``erfc(x)`` for every x: 1.5 ULP."""
    T = type(x)
    a = minimum(absolute(x), T(27.5))
    total = fma(a, T(1.4142135623730951), T(3.0))
    lost = fma(a, T(1.4142135623730951), T(3.0) - total)
    q, p = _ratio_float64(total, fma(a, T(-9.667293313452913e-17), lost))
    e, power = _power_float64(a, a + a)
    q = q * T(2.0**-80)
    tail = fma(q, _combined(p, e), q) * power
    near = fma(-x, _ERF_NEAR_FLOAT64(x * x), T(0.5) - x) + T(0.5)
    return select(a < T(0.5625), near, select(x < T(0.0), T(2.0) - tail, tail))


erfc = ByPrecision(float32=_erfc_float32, float64=_erfc_float64)


@scalar
def _ndtr_float32(x: Scalar) -> Scalar:
    """``Phi(x)`` for every x: 1.96 ULP."""
    T = type(x)
    t = minimum(absolute(x), T(14.7))
    total = t + T(2.5)
    q, p = _ratio_float32(total, t - (total - T(2.5)))
    v, _, e, power = _power_float32(t, t)
    tail = fma(q, fma(fma(p, v, v), e, p), q) * power * T(2.0**-65)
    return select(x < T(0.0), tail, T(1.0) - tail)


@scalar
def _ndtr_float64(x: Scalar) -> Scalar:
    """``Phi(x)`` for every x: 1.9 ULP."""
    T = type(x)
    t, q, p, e, power = _tail_parts_float64(x)
    q = q * T(2.0**-81)
    tail = fma(q, _combined(p, e), q)
    far = select(x < T(0.0), tail * power, fma(-tail, power, T(1.0)))
    return select(t < T(0.75), fma(x, _CENTRE_FLOAT64(x * x), T(0.5)), far)


ndtr = ByPrecision(float32=_ndtr_float32, float64=_ndtr_float64)


@scalar
def _log_ndtr_float32(x: Scalar) -> Scalar:
    """``log(Phi(x))`` for every x: 1.9 ULP."""
    T = type(x)
    t = minimum(absolute(x), T(1e18))
    total = t + T(2.5)
    q, p = _ratio_float32(total, t - (total - T(2.5)))
    bounded = minimum(t, T(14.7))
    v, taken, e, power = _power_float32(bounded, bounded)
    q = T(0.5) * q
    left = x < T(0.0)
    # The logarithm of the ratio on the left, and of 1 minus the tail on the right, with what rounding took from the ratio,
    # and from the square where 1 minus the tail is all there is.
    product = select(left, T(0.0), fma(p, v, v))
    growth = fma(product, e, p)
    share = fma(q, growth, q)
    scaled = select(left, T(1.0), power * T(-(2.0**-64)))
    rest = fma(q, fma(product, e, p - growth), fma(q, growth, q - share))
    rest = fma(share, select(left, T(0.0), T(-0.5) * taken), rest)
    ratio, rest = share * scaled, rest * scaled
    argument = select(left, ratio, T(1.0) + ratio)
    k, scale = _exponent(argument)
    f = fma(ratio, scale, select(left, T(0.0), scale) - T(1.0))
    log = fma(k, T(0.6931471824645996), fma(f * f, LOG1P_FLOAT32(f), rest / argument) + f)
    root = select(left, x, T(0.0))
    return fma(T(-0.5) * root, root, log)


@scalar
def _log_ndtr_float64(x: Scalar) -> Scalar:
    """``log(Phi(x))`` for every x: 1.4 ULP."""
    T = type(x)
    t = minimum(absolute(x), T(1e160))
    total = t + T(3.0)
    part = total - t
    q, p = _ratio_float64(total, (t - (total - part)) + (T(3.0) - part))
    bounded = minimum(t, T(39.0))
    e, power = _power_float64(bounded, bounded)
    q = T(0.5) * q
    left, near = x < T(0.0), t < T(0.75)
    far = left & (not near)
    growth = select(left, p, _combined(p, e))
    share = fma(q, growth, q)
    scaled = select(left, T(1.0), power * T(-(2.0**-80)))
    ratio, rest = share * scaled, fma(q, growth, q - share) * scaled
    slope = _CENTRE_FLOAT64(x * x)
    centre = fma(x, slope, T(0.5))
    rest = select(near, fma(x, slope, T(0.5) - centre), rest)
    argument = select(near, centre, select(left, ratio, T(1.0) + ratio))
    k, scale = _exponent(argument)
    plain = left | near
    f = fma(select(plain, argument, ratio), scale, select(plain, T(0.0), scale) - T(1.0))
    log = f + fma(k, T(2.3190468138462996e-17), fma(f * f, LOG1P_FLOAT64(f), rest / argument))
    root = select(far, x, T(0.0))
    return fma(T(-0.5) * root, root, fma(k, T(0.6931471805599453), log))


log_ndtr = ByPrecision(float32=_log_ndtr_float32, float64=_log_ndtr_float64)
