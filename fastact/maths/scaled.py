"""Exponentials of a row whose elements are multiplied by a number first, as attention does and a temperature.

The product is carried as a rounded number and a rest, so that what follows is that of the product itself: rounding 100 would
cost its exponential 50 units in the last place. Levels are those of ``fastact.maths.logsumexp``, but the maximum is known before
the first exponential is taken.
"""

from fastact.maths.exp import _EXP_FLOAT64, exp_nonpositive
from fastact.maths.log import log, log1p
from fastact.maths.logsumexp import INFINITY, LN2, LN2_REST, NAN, exp_at, finite, reach, reciprocal, split
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, absolute, fma, rint, select, widen

FAR = 4096.0
"""From this maximum on the level is the maximum: the square of a product's rest is no longer small, but all differences that matter
are exact."""


@scalar
def scaled(x: Scalar, scale: Scalar, scale_rest: Scalar) -> tuple[Scalar, Scalar]:
    """``x`` times the sum of two numbers of float64, as a rounded number and a rest, which of an infinite one is no number."""
    T = type(x)
    p = T(scale) * x
    return p, fma(T(scale_rest), x, fma(T(scale), x, -p))


@scalar
def scaled_level(m: Scalar, scale: Scalar, scale_rest: Scalar) -> tuple[Scalar, ...]:
    """The level of a row with the maximum ``m``, and what an element that equals it adds, which is of float64."""
    T = type(m)
    p, rest = scaled(m, scale, scale_rest)
    rest = select(absolute(p) < T(INFINITY), rest, T(0.0))
    far = absolute(p) >= T(FAR)
    base, base_rest = select(far, finite(p), T(0.0)), select(far, rest, T(0.0))
    n = select(far, T(0.0), rint(p * T(1.4426950408889634)))
    shift, floor = reach(n)
    distance = fma(widen(n), widen(-LN2), widen(p) - widen(base)) + (widen(rest) - widen(base_rest))
    top = _EXP_FLOAT64(fma(widen(n), widen(-LN2_REST), distance))  # reduced already, unless the maximum is infinite
    return p, rest, base, base_rest, shift, floor, top


@scalar
def scaled_exp(
    x: Scalar,
    scale: Scalar,
    scale_rest: Scalar,
    base: Scalar,
    base_rest: Scalar,
    shift: Scalar,
    floor: Scalar,
) -> Scalar:
    """The exponential of a scaled element relative to the level, of an element up to the maximum, or NaN."""
    T = type(x)
    p, rest = scaled(x, scale, scale_rest)
    d, f = p - base, rest - base_rest
    h = d + f
    e = exp_at(h, T(0.0), shift, floor)
    return select(d <= floor, T(0.0), fma(e, f - (h - d), e))


@scalar
def unscaled_exp(x: Scalar, base: Scalar, shift: Scalar, floor: Scalar) -> Scalar:
    """The same of an element as it is, to the same bits."""
    return exp_at(x, base, shift, floor)


@scalar
def tied(x: Scalar, m: Scalar, e: Scalar) -> tuple[Scalar, Scalar]:
    """What an element adds to the sum of the others, and to the number of those that equal the maximum."""
    T = type(x)
    return select(x == m, T(0.0), e), select(x == m, T(1.0), T(0.0))


@scalar
def scaled_share(p: Scalar, top: Scalar, rest: Scalar, ties: Scalar, present: Scalar) -> tuple[Scalar, Scalar]:
    """What exponentials are multiplied by, as a number and a rest: 0 where there is no element."""
    T = type(p)
    high, low = split(p, fma(ties, top, rest))
    inverse, inverse_rest = reciprocal(select(absolute(p) < T(INFINITY), high, T(NAN)), low)
    empty = present == T(0.0)
    return select(empty, T(0.0), inverse), select(empty, T(0.0), inverse_rest)


@scalar
def share(e: Scalar, inverse: Scalar, inverse_rest: Scalar) -> Scalar:
    """An exponential times these."""
    return fma(e, inverse, e * inverse_rest)


@scalar
def _excess(p: Scalar, top: Scalar, rest: Scalar, ties: Scalar) -> Scalar:
    """The row's logsumexp less its maximum, in float64; NaN where that is infinite."""
    T = type(p)
    return select(absolute(p) < T(INFINITY), log1p(rest / top + (ties - widen(1.0))), widen(NAN))


@scalar
def scaled_excess(p: Scalar, top: Scalar, rest: Scalar, ties: Scalar, present: Scalar) -> Scalar:
    """The same, but 0 where there is no element."""
    return select(present == type(p)(0.0), widen(0.0), _excess(p, top, rest, ties))


@scalar
def scaled_log_share(x: Scalar, scale: Scalar, scale_rest: Scalar, p: Scalar, p_rest: Scalar, excess: Scalar) -> Scalar:
    """A scaled element less the row's logsumexp, ``p + p_rest + excess``."""
    product, rest = scaled(x, scale, scale_rest)
    return select(product == type(x)(-INFINITY), product - excess, (product - p) + ((rest - p_rest) - excess))


@scalar
def scaled_logsumexp(p: Scalar, p_rest: Scalar, top: Scalar, rest: Scalar, ties: Scalar) -> Scalar:
    """The row's logsumexp in float64: the maximum where that is infinite, NaN if there is a NaN."""
    finite = widen(p) + (widen(p_rest) + _excess(p, top, rest, ties))
    return select(absolute(p) < type(p)(INFINITY), finite, widen(p) + rest)


@scalar
def weighted_level(m: Scalar, scale: Scalar, scale_rest: Scalar) -> tuple[Scalar, Scalar]:
    """The scaled maximum in float64, and its exponential relative to itself: that of infinity is infinite."""
    top = widen(m) * (scale + scale_rest)
    return top, select(top == widen(INFINITY), top, widen(1.0))


@scalar
def weighted_exp(x: Scalar, b: Scalar, scale: Scalar, scale_rest: Scalar, top: Scalar, at_top: Scalar) -> Scalar:
    """``b`` times the exponential of a scaled element relative to the maximum, in float64."""
    wide = widen(x)
    p = wide * (scale + scale_rest)
    e = select(p == top, at_top, exp_nonpositive(p - top))
    # An infinite weight counts however small the exponential is.
    e = select((e == widen(0.0)) & (absolute(widen(b)) == widen(INFINITY)), widen(1.0), e)
    return widen(b) * select(wide == widen(-INFINITY), widen(0.0), e)


@scalar
def weighted_term(e: Scalar) -> Scalar:
    """The weighted exponential itself."""
    return e


@scalar
def log_of_sum(top: Scalar, total: Scalar) -> tuple[Scalar, Scalar]:
    """The logarithm of a sum's magnitude, which is relative to the exponential of ``top``, and the sign of the sum."""
    zero = widen(0.0)
    sign = select(total > zero, widen(1.0), select(total < zero, widen(-1.0), total))
    return select(total == zero, widen(-INFINITY), top + log(absolute(total))), sign
