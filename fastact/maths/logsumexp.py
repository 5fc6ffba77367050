"""Sums of exponentials of a row, as softmax, its logarithm and cross-entropy need them.

A row's exponentials are taken relative to a *level* near the row's maximum: the multiple of ln2 nearest to it. Then
``exp(x - level)`` is ``2**(n - n_level) * exp(r)`` with the reduction ``x = n * ln2 + r`` of ``exp`` itself: no difference is
rounded before it is exponentiated (that error would be a relative one of the result), and a sum moves to
the level of a larger maximum by a power of two, exactly.

The state of a row is ``(m, ties, rest)``: the maximum so far, how many elements equal it, and the sum of ``exp(x - level)`` over
all the others in float64. That the maximum is left out of the sum keeps the logarithm precise where one class dominates.
"""

from fastact.maths.exp import _EXP_FLOAT64, _SCALED_EXP_FLOAT32, _SCALED_EXP_FLOAT64, EXPM1_NONPOSITIVE, exp
from fastact.maths.log import log1p, log1p_nonnegative_float32
from fastact.maths.scalar import ByPrecision, scalar
from fastact.maths.simd import (
    Scalar,
    absolute,
    bits,
    fma,
    from_bits,
    maximum,
    minimum,
    pow2,
    rint,
    select,
    shift_left,
    to_int,
    widen,
)

INFINITY, NAN = float("inf"), float("nan")
LN2, LN2_REST = 0.6931471805599453, 2.3190468138462996e-17

HUGE = 1048576.0
"""From this maximum on the level is the maximum: ``n`` would take too many bits, and all differences that matter are exact."""


@scalar
def level(m: Scalar) -> tuple[Scalar, Scalar]:
    """The level of a maximum as ``base + n * ln2``."""
    T = type(m)
    huge = absolute(m) >= T(HUGE)
    # An infinite maximum must not make NaN of the finite elements, which count nothing beside it.
    base = select(huge, finite(m), T(0.0))
    return base, select(huge, T(0.0), rint(m * T(1.4426950408889634)))


@scalar
def _finite_float32(m: Scalar) -> Scalar:
    return maximum(minimum(m, type(m)(3.4028234663852886e38)), type(m)(-3.4028234663852886e38))


@scalar
def _finite_float64(m: Scalar) -> Scalar:
    return maximum(minimum(m, type(m)(1.7976931348623157e308)), type(m)(-1.7976931348623157e308))


finite = ByPrecision(float32=_finite_float32, float64=_finite_float64)


@scalar
def _reach_float32(n: Scalar) -> tuple[Scalar, Scalar]:
    """What ``exp_at`` adds to find its power of two, and the floor from which on it is 0."""
    T = type(n)
    return T(12583063.0) - n, (n - T(151.0)) * T(0.6931471824645996)  # 1.5 * 2**23 + 127 + 24, as in exp_nonpositive


@scalar
def _reach_float64(n: Scalar) -> tuple[Scalar, Scalar]:
    T = type(n)
    return T(6755399441056823.0) - n, (n - T(1079.0)) * T(LN2)


reach = ByPrecision(float32=_reach_float32, float64=_reach_float64)


@scalar
def _exp_parts_float32(x: Scalar, base: Scalar, shift: Scalar, floor: Scalar) -> tuple[Scalar, Scalar]:
    """Two factors of ``exp(x - level)`` for x up to the maximum, or NaN: the latter a power of two, 0 below the floor."""
    T = type(x)
    d = maximum(x - base, floor)
    shifted = fma(d, T(1.4426950216293335), shift)
    n = shifted - shift
    r = fma(n, T(-0.6931471824645996), d)
    r = fma(n, T(1.9046542121259336e-09), r)
    return _SCALED_EXP_FLOAT32(r), from_bits(shift_left(bits(shifted), 23))


@scalar
def _exp_parts_float64(x: Scalar, base: Scalar, shift: Scalar, floor: Scalar) -> tuple[Scalar, Scalar]:
    """The same in float64."""
    T = type(x)
    d = maximum(x - base, floor)
    shifted = fma(d, T(1.4426950408889634), shift)
    n = shifted - shift
    r = fma(n, T(-0.6931471805599453), d)
    r = fma(n, T(-2.3190468138462996e-17), r)
    return _SCALED_EXP_FLOAT64(r), from_bits(shift_left(bits(shifted), 52))


_exp_parts = ByPrecision(float32=_exp_parts_float32, float64=_exp_parts_float64)


@scalar
def exp_at(x: Scalar, base: Scalar, shift: Scalar, floor: Scalar) -> Scalar:
    """``exp(x - level)`` for x up to the maximum, or NaN; 0 below the floor."""
    part, power = _exp_parts(x, base, shift, floor)
    return part * power


@scalar
def times_exp_at(x: Scalar, factor: Scalar, base: Scalar, shift: Scalar, floor: Scalar) -> Scalar:
    """``factor * exp(x - level)``, what is small last, so that one rounding takes a small product's digits.

    The factor may be infinite where the other is 0.
    """
    T = type(x)
    part, power = _exp_parts(x, base, shift, floor)
    far = power < T(1)  # of a part of 2**-24 or less
    product = part * select(far, factor, power) * select(far, power, factor)
    return select(x - base <= floor, T(0), product)


@scalar
def add_exponential(
    x: Scalar, rest: Scalar, ties: Scalar, m: Scalar, base: Scalar, shift: Scalar, floor: Scalar
) -> tuple[Scalar, Scalar]:
    """Add one element to the sum of the others, or to the number of those that equal the maximum ``m``."""
    T = type(x)
    at_top = x == m
    return rest + select(at_top, T(0.0), exp_at(x, base, shift, floor)), ties + select(at_top, T(1.0), T(0.0))


@scalar
def top(m: Scalar) -> Scalar:
    """``exp(m - level)`` in float64: what an element that equals the maximum adds. 0 at -inf."""
    base, n = level(m)
    distance = fma(widen(n), widen(-LN2), widen(m) - widen(base))
    e = _EXP_FLOAT64(fma(widen(n), widen(-LN2_REST), distance))  # reduced already
    return select(m < finite(m), widen(0.0), e)


@scalar
def joined(
    m0: Scalar, ties0: Scalar, rest0: Scalar, m: Scalar, ties: Scalar, rest: Scalar
) -> tuple[Scalar, Scalar, Scalar]:
    """The state of a row up to here and that of its next part, whose level is that of the maximum of both."""
    T = type(m)
    base0, n0 = level(m0)
    base, n = level(m)
    grown = m > m0
    carried = rest0 + select(grown, widen(ties0) * top(m0), widen(0.0))
    steps = widen(n0 - n)
    # Between levels on the same base the factor is a power of two, and exact.
    distance = fma(steps, widen(LN2_REST), fma(steps, widen(LN2), widen(base0) - widen(base)))
    factor = select(base0 == base, pow2(to_int(maximum(steps, widen(-1000.0)))), exp(distance))
    return m, ties + select(grown, T(0.0), ties0), fma(carried, factor, rest)


@scalar
def merged(
    m0: Scalar, ties0: Scalar, rest0: Scalar, m1: Scalar, ties1: Scalar, rest1: Scalar
) -> tuple[Scalar, Scalar, Scalar]:
    """The state of two parts of a row, each at a level of its own."""
    if m1 >= m0:
        return joined(m0, ties0, rest0, m1, ties1, rest1)
    return joined(m1, ties1, rest1, m0, ties0, rest0)


@scalar
def total(m: Scalar, ties: Scalar, rest: Scalar) -> Scalar:
    """The sum of ``exp(x - level)`` over the row, in float64; NaN where the row's maximum is infinite."""
    T = type(m)
    return select(absolute(m) < T(INFINITY), fma(widen(ties), top(m), rest), widen(NAN))


@scalar
def split(m: Scalar, total: Scalar) -> tuple[Scalar, Scalar]:
    """A sum in float64 as two floats of the type of ``m``."""
    T = type(m)
    high = T(total)
    return high, T(total - widen(high))


@scalar
def log_excess(m: Scalar, ties: Scalar, rest: Scalar) -> Scalar:
    """``logsumexp(row) - m`` in float64, precise however small; NaN where the row's maximum is infinite."""
    T = type(m)
    excess = log1p(rest / top(m) + widen(ties - T(1.0)))
    return select(absolute(m) < T(INFINITY), excess, widen(NAN))


@scalar
def _near_excess_float32(m: Scalar, ties: Scalar, rest: Scalar) -> Scalar:
    """``log_excess`` of a sum ``rest`` in the row's own precision: three roundings more than the sum's."""
    T = type(m)
    base, n = level(m)
    # exp(level - m) - 1: divides the sum by what an element that equals the maximum would add.
    r = fma(n, T(-1.9046542121259336e-09), fma(n, T(0.6931471824645996), base - m))
    e = fma(r * r, EXPM1_NONPOSITIVE(r), r)
    return select(absolute(m) < T(INFINITY), log1p_nonnegative_float32(fma(rest, e, rest) + (ties - T(1.0))), T(NAN))


@scalar
def _near_excess_float64(m: Scalar, ties: Scalar, rest: Scalar) -> Scalar:
    """``log_excess``."""
    return log_excess(m, ties, rest)


near_excess = ByPrecision(float32=_near_excess_float32, float64=_near_excess_float64)


@scalar
def logsumexp(m: Scalar, ties: Scalar, rest: Scalar) -> Scalar:
    """``logsumexp(row)`` in float64: the maximum where that is infinite, NaN if there is a NaN."""
    T = type(m)
    return select(absolute(m) < T(INFINITY), widen(m) + log_excess(m, ties, rest), widen(m) + rest)


@scalar
def reciprocal(high: Scalar, low: Scalar) -> tuple[Scalar, Scalar]:
    """``1 / (high + low)`` as a float and a rest: rounding it would cost every element of the row 1 ULP."""
    inverse = type(high)(1.0) / high
    return inverse, fma(-inverse, low, fma(-inverse, high, type(high)(1.0))) * inverse
