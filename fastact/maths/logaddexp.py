"""``logaddexp`` and ``logaddexp2``: the larger operand and the logarithm of one plus the exponential of a difference.

``max(x, y) + log1p(exp(-abs(x - y)))``, and the same to base 2. The difference's rounding error is computed (Knuth's two-sum)
and its effect added, and so is that of the sum. float32 computes in float64, which its results need where the two parts cancel.

The coefficients are derived by ``tools/derive_coefficients.py``; each is the shortest decimal that reads back exactly.
"""

from fastact.maths.exp import exp2, exp_nonpositive
from fastact.maths.log import LOG1P_UNIT_FLOAT64
from fastact.maths.scalar import ByPrecision, Polynomial, scalar
from fastact.maths.simd import Scalar, absolute, fma, narrow, select, widen
from fastact.maths.sums import exact_sum

INFINITY = float("inf")

# q in log2(1 + u) = u / ln2 + u * u * q(u): degree 19 on 0 <= u <= 1, relative error 9.5e-18.
_LOG2_UNIT = Polynomial(
    -0.7213475204444739,
    0.48089834696157135,
    -0.36067376013108376,
    0.28853900516892433,
    -0.24044911337325153,
    0.20609849272967515,
    -0.1803293744127765,
    0.1602474484682149,
    -0.14399564984159843,
    0.1300324572273118,
    -0.11658758187905174,
    0.10150210398980551,
    -0.0829589492264007,
    0.06102747823005724,
    -0.03858460152858347,
    0.019965712607520152,
    -0.00799744435664971,
    0.002302316628094961,
    -0.0004209542220227822,
    3.654651575375165e-05,
)


@scalar
def _difference(x: Scalar, y: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """``(larger, d, rest)`` with ``d + rest = -abs(x - y)``, 0 for two equal infinities; NaN if an operand is."""
    T = type(x)
    above = x > y
    larger, smaller = select(above, x, y), select(above, y, x)
    d, rest = exact_sum(smaller, -larger)
    d = select(x == y, T(0.0), d)
    return larger, d, select(absolute(rest) < T(1.0), rest, T(0.0))


@scalar
def _added(larger: Scalar, first: Scalar, low: Scalar) -> Scalar:
    """``larger + first + low``, rounded nearly once."""
    T = type(larger)
    total, rest = exact_sum(larger, first)
    return total + select(absolute(total) < T(INFINITY), rest + low, T(0.0))


@scalar
def _by_rest(u: Scalar, rest: Scalar) -> Scalar:
    """How much ``log1p(u * exp(rest))`` is above ``log1p(u)``, for a tiny ``rest`` and ``0 <= u <= 1``, within 7 %."""
    T = type(u)
    return u * rest * fma(u, fma(u, T(0.5), T(-1.0)), T(1.0))


@scalar
def _logaddexp_float64(x: Scalar, y: Scalar) -> Scalar:
    """``logaddexp(x, y)`` for all x and y."""
    larger, d, rest = _difference(x, y)
    u = exp_nonpositive(d)
    return _added(larger, u, fma(u * u, LOG1P_UNIT_FLOAT64(u), _by_rest(u, rest)))


@scalar
def _logaddexp2_float64(x: Scalar, y: Scalar) -> Scalar:
    """``logaddexp2(x, y)`` for all x and y."""
    T = type(x)
    larger, d, rest = _difference(x, y)
    u = exp2(d)
    product = u * T(1.4426950408889634)
    low = fma(u, T(1.4426950408889634), -product) + fma(u, T(2.0355273740931033e-17), _by_rest(u, rest))
    return _added(larger, product, fma(u * u, _LOG2_UNIT(u), low))


@scalar
def _logaddexp_float32(x: Scalar, y: Scalar) -> Scalar:
    """``logaddexp(x, y)`` for all x and y."""
    return narrow(_logaddexp_float64(widen(x), widen(y)))


@scalar
def _logaddexp2_float32(x: Scalar, y: Scalar) -> Scalar:
    """``logaddexp2(x, y)`` for all x and y."""
    return narrow(_logaddexp2_float64(widen(x), widen(y)))


logaddexp = ByPrecision(float32=_logaddexp_float32, float64=_logaddexp_float64)
logaddexp2 = ByPrecision(float32=_logaddexp2_float32, float64=_logaddexp2_float64)
