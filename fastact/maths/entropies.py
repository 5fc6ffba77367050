"""``logit``, and products with logarithms that are 0 where the factor is, of which entropies are made.

``logit`` is the logarithm of ``1 + y`` with a ``y`` of few roundings, positive so that they do not grow; both differences are exact
where the result is small. A quotient's logarithm is taken likewise where it is close to 1.
"""

from fastact.maths.log import log, log1p
from fastact.maths.scalar import ByPrecision, scalar
from fastact.maths.simd import Scalar, narrow, select, widen

INFINITY, NAN = float("inf"), float("nan")


@scalar
def logit(x: Scalar) -> Scalar:
    """``log(x / (1 - x))`` for every x: 1.36 ULP, 1.3 in float64."""
    T = type(x)
    left = x < T(0.5)
    share = select(left, x, T(1.0) - x)
    odds = (T(1.0) - (share + share)) / share
    # 1 / x may overflow, and 1 - x counts no more.
    size = select(share < T(2.0**-60), -log(share), log1p(odds))
    return select(left, -size, size)


@scalar
def xlogy(x: Scalar, y: Scalar) -> Scalar:
    """``x * log(y)``, 0 where x is and y is no NaN: 1.5 ULP, 1.6 in float64."""
    T = type(x)
    return select((x == T(0.0)) & (y == y), T(0.0), x * log(y))


@scalar
def xlog1py(x: Scalar, y: Scalar) -> Scalar:
    """``x * log1p(y)``, 0 where x is and y is no NaN: 1.5 ULP, 1.5 in float64."""
    T = type(x)
    return select((x == T(0.0)) & (y == y), T(0.0), x * log1p(y))


@scalar
def entr(x: Scalar) -> Scalar:
    """``-x * log(x)``, 0 at 0 and minus infinity below: 1.55 ULP, 1.4 in float64."""
    T = type(x)
    return select(x == T(0.0), T(0.0), select(x < T(0.0), T(-INFINITY), -x * log(x)))


@scalar
def _rel_entr_float64(x: Scalar, y: Scalar) -> Scalar:
    """``x * log(x / y)``, 0 where only x is 0, infinite where it is not defined: 2.3 ULP."""
    T = type(x)
    above = x > y
    larger, smaller = select(above, x, y), select(above, y, x)
    # The logarithm of the larger over the smaller; far from 1 the quotient is scaled, so that it does not overflow.
    high, low = larger >= T(1.0), smaller < T(1.0)
    quotient = select(high, larger * T(2.0**-540), larger) / select(low, smaller * T(2.0**540), smaller)
    far = log(quotient) + select(high, select(low, T(2.0), T(1.0)), T(1.0)) * T(540.0 * 0.6931471805599453)
    size = select(smaller * T(2.0**1000) < larger, far, log1p((larger - smaller) / smaller))
    result = x * select(above, size, -size)
    result = select((x == T(0.0)) & (y >= T(0.0)), T(0.0), result)
    result = select((x < T(0.0)) | (y < T(0.0)) | ((y == T(0.0)) & (x > T(0.0))), T(INFINITY), result)
    return select((x == x) & (y == y), result, x + y)


@scalar
def _rel_entr_float32(x: Scalar, y: Scalar) -> Scalar:
    """``x * log(x / y)``, 0 where only x is 0, infinite where it is not defined: 0.51 ULP."""
    return narrow(_rel_entr_float64(widen(x), widen(y)))


rel_entr = ByPrecision(float32=_rel_entr_float32, float64=_rel_entr_float64)
