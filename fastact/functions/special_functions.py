"""Special functions: logarithms of odds, the normal distribution, relative entropies and the robust losses of SciPy.

The names and the order of operands are those of ``scipy.special``, and so is what becomes of zeros, infinities and NaN. Two of
its names mean something else in ``fastact``, or would be taken for it: ``kl_div``, which is a loss there, and ``huber``, whose
first operand is no prediction as that of ``huber_loss``. These ops are called ``kl_div_terms`` and ``huber_terms``.
"""

import math
from typing import Any

from fastact.functions.common import INF
from fastact.functions.elementwise import Op, register
from fastact.maths.log import log, log1p, log1p_scaled
from fastact.maths.log_parts import (
    DIVERGENCE_FLOAT64,
    log1p_parts,
    log_of_quotient,
    log_parts,
    quotient,
    sum_of_parts,
)
from fastact.maths.normal import erfc, log_ndtr, ndtr
from fastact.maths.scalar import ByPrecision, Constant, scalar
from fastact.maths.simd import Scalar, absolute, copysign, fma, maximum, minimum, narrow, select, sqrt, widen

NAN = math.nan

_TINY_ODDS = Constant(float32=2.0**-90, float64=2.0**-1000)
_ODDS_SCALE = Constant(float32=2.0**48, float64=2.0**100)
_ODDS_DOUBLINGS = Constant(float32=48, float64=100)


@scalar
def _product(x: Scalar, high: Scalar, low: Scalar) -> Scalar:
    """``x * (high + low)``; of an infinite x, its product with the first."""
    T = type(x)
    return fma(x, high, select(absolute(x) < T(INF), x * low, T(0)))


def _logit(x: Scalar) -> Scalar:
    T = type(x)
    # Of p and 1 - p the smaller is exact, and so is what is left of 1 without both, where that is little.
    smaller = minimum(x, T(1) - x)
    tiny = smaller < _TINY_ODDS(x)  # of which the inverse may be no number
    odds = fma(T(-2), smaller, T(1)) / select(tiny, smaller * _ODDS_SCALE(x), smaller)
    magnitude = log1p_scaled(odds, select(tiny, T(_ODDS_DOUBLINGS(x)), T(0)))
    magnitude = select(smaller > T(0), magnitude, select(smaller == T(0), T(INF), T(NAN)))
    return copysign(magnitude, x - T(0.5))


def _reference_logit(m: Any, x: Any) -> Any:
    middle = m.clip(x, 0.25, 0.75)
    return m.where((x > 0.25) & (x < 0.75), m.log1p((2 * middle - 1) / (1 - middle)), m.log(x) - m.log1p(-x))


register(
    Op(
        forward=_logit,
        reference=_reference_logit,
        summary="Logarithm of the odds, the inverse of `sigmoid`; NaN outside of [0, 1].",
        formula=r"\ln \frac{x}{1 - x}",
        limits={-INF: NAN, INF: NAN},
        shown_at=(0.125, 0.5, 0.75),
        cost=0.4,
    )
)


def _erfc(x: Scalar) -> Scalar:
    return erfc(x)


register(
    Op(
        forward=_erfc,
        reference=lambda m, x: m.erfc(x),
        summary="Complement of the error function, ``1 - erf(x)``, precise down to the smallest number.",
        formula=r"\frac{2}{\sqrt{\pi}} \int_x^\infty e^{-t^2}\,dt",
        limits={-INF: 2.0, INF: 0.0},
        cost=0.5,
    )
)


def _ndtr(x: Scalar) -> Scalar:
    return ndtr(x)


register(
    Op(
        forward=_ndtr,
        reference=lambda m, x: m.erfc(-x / m.sqrt(m.number(2))) / 2,
        summary="Cumulative function of the normal distribution.",
        formula=r"\Phi(x) = \frac{1}{\sqrt{2\pi}} \int_{-\infty}^x e^{-t^2/2}\,dt",
        limits={-INF: 0.0, INF: 1.0},
        cost=0.5,
    )
)


def _log_ndtr(x: Scalar) -> Scalar:
    return log_ndtr(x)


register(
    Op(
        forward=_log_ndtr,
        reference=lambda m, x: m.log_ndtr(x),
        summary="Logarithm of the normal distribution's cumulative function, precise in both tails.",
        formula=r"\ln \Phi(x)",
        limits={-INF: -INF, INF: 0.0},
        cost=0.8,
    )
)


def _entr(x: Scalar) -> Scalar:
    T = type(x)
    high, low = log_parts(x)
    return select(x == T(0), T(0), select(x < T(0), T(-INF), _product(-x, high, low)))


register(
    Op(
        forward=_entr,
        reference=lambda m, x: m.where(x < 0, -INF, m.where(x == 0, 0.0, -x * m.log(m.maximum(x, 0)))),
        summary="Term of an entropy, ``-x * log(x)``; 0 at 0, minus infinity below.",
        formula=r"-x \ln x",
        limits={-INF: -INF, INF: -INF},
        shown_at=(0.25, 0.5, 0.75),
        cost=0.5,
    )
)


def _xlogy(x: Scalar, y: Scalar) -> Scalar:
    T = type(x)
    high, low = log_parts(y)
    return select((x == T(0)) & (y == y), T(0), _product(x, high, low))


register(
    Op(
        forward=_xlogy,
        reference=lambda m, x, y: m.where((x == 0) & (y == y), 0.0, x * m.log(y)),
        summary="``x * log(y)``, and 0 where `x` is 0.",
        formula=r"\mathtt{x} \ln \mathtt{y}",
        limits={-INF: -INF, INF: INF},
        notes="Where `x` is 0 and `y` NaN the result is NaN, as in SciPy.",
        shown_at=(0.5, 2.0, 4.0),
        samples=((1.75,), (0.0078125,), (100.0,)),
        arrays=2,
        cost=0.5,
    )
)


def _xlog1py(x: Scalar, y: Scalar) -> Scalar:
    T = type(x)
    high, low = log1p_parts(y)
    return select((x == T(0)) & (y == y), T(0), _product(x, high, low))


register(
    Op(
        forward=_xlog1py,
        reference=lambda m, x, y: m.where((x == 0) & (y == y), 0.0, x * m.log1p(y)),
        summary="``x * log1p(y)``, precise where `y` is near zero, and 0 where `x` is 0.",
        formula=r"\mathtt{x} \ln(1 + \mathtt{y})",
        limits={-INF: -INF, INF: INF},
        notes="Where `x` is 0 and `y` NaN the result is NaN, as in SciPy.",
        shown_at=(0.5, 2.0, 4.0),
        samples=((1.75,), (0.0078125,), (-0.25,)),
        arrays=2,
        cost=0.6,
    )
)


@scalar
def _entropy_edges(x: Scalar, y: Scalar, value: Scalar, at_zero: Scalar) -> Scalar:
    """The value where both are above 0, ``at_zero`` where `x` is 0 and `y` not below, else infinity, and NaN of a NaN."""
    T = type(x)
    zero, zero_value = T(0), select(y >= T(0), at_zero, T(INF))
    found = select((x > zero) & (y > zero), value, select(x == zero, zero_value, T(INF)))
    return select((x == x) & (y == y), found, x + y)


@scalar
def _rel_entr_float32(x: Scalar, y: Scalar) -> Scalar:
    wide = widen(x)
    value = narrow(wide * log(wide / widen(y)))
    return _entropy_edges(x, y, value, type(x)(0))


@scalar
def _rel_entr_float64(x: Scalar, y: Scalar) -> Scalar:
    T = type(x)
    high, low = log_of_quotient(x, y)
    value = fma(x, high, x * low)
    of_infinities = select(x < T(INF), T(-INF), select(y < T(INF), T(INF), T(NAN)))
    return _entropy_edges(x, y, select((x < T(INF)) & (y < T(INF)), value, of_infinities), T(0))


_rel_entr_by_precision = ByPrecision(float32=_rel_entr_float32, float64=_rel_entr_float64)


def _rel_entr(x: Scalar, y: Scalar) -> Scalar:
    return _rel_entr_by_precision(x, y)


def _reference_quotient(m: Any, x: Any, y: Any) -> Any:
    """The logarithm of ``x / y`` for what is above 0, precise where the two are near each other."""
    both = (x > 0) & (y > 0)
    x, y = m.where(both, x, 1.0), m.where(both, m.finite(y), 1.0)
    near = (x > y / 2) & (x / 2 < y)
    return m.where(near, m.log1p(m.where(near, x - y, 0.0) / y), m.log(x) - m.log(y))


def _reference_rel_entr(m: Any, x: Any, y: Any) -> Any:
    value = m.where((x > 0) & (y > 0), x * _reference_quotient(m, x, y), m.where((x == 0) & (y >= 0), 0.0, INF))
    return m.where((x == x) & (y == y), value, x + y)


register(
    Op(
        forward=_rel_entr,
        reference=_reference_rel_entr,
        summary="Term of a relative entropy, ``x * log(x / y)``; 0 where `x` is 0, infinity where one is negative.",
        formula=r"\mathtt{x} \ln \frac{\mathtt{x}}{\mathtt{y}}",
        limits={-INF: INF, INF: INF},
        notes="Infinity over infinity is NaN, and infinity where `y` is 0 and `x` is not.",
        samples=((1.75,), (0.0078125,), (100.0,)),
        shown_at=(0.5, 2.0, 4.0),
        arrays=2,
        cost=1.2,
    )
)


@scalar
def _kl_div_float32(x: Scalar, y: Scalar) -> Scalar:
    T = type(x)
    wide_x, wide_y = widen(x), widen(y)
    # From -1 on the quotient says no more of x, which then counts nothing.
    excess = maximum((wide_x - wide_y) / wide_y, widen(-1.0 + 2.0**-53))
    value = narrow(fma(wide_x, log1p(excess), wide_y - wide_x))
    infinite = (x == T(INF)) | (y == T(INF))
    return _entropy_edges(x, y, select(infinite, T(NAN), value), y)


@scalar
def _kl_div_float64(x: Scalar, y: Scalar) -> Scalar:
    T = type(x)
    k, f, f_rest = quotient(x, y)
    high, low = sum_of_parts(k, f, f_rest)
    difference = x - y
    # Near each other it is y * ((1 + f) * log1p(f) - f), and y * f the difference.
    share = DIVERGENCE_FLOAT64(f)
    square = difference * f
    square_rest = fma(difference, f, -square) + difference * f_rest
    near = fma(square, share, square_rest * share)
    # Further apart: x * log(x / y) - (x - y), what the product and the difference lose put back.
    product = x * high
    lost = (maximum(x, y) - absolute(difference)) - minimum(x, y)
    lost = select(difference < T(0), -lost, lost)
    far = (product - difference) + (fma(x, low, fma(x, high, -product)) - lost)
    value = select(k == T(0), near, select(product < T(INF), far, product))
    infinite = (x == T(INF)) | (y == T(INF))
    return _entropy_edges(x, y, select(infinite, T(NAN), value), y)


_kl_div_by_precision = ByPrecision(float32=_kl_div_float32, float64=_kl_div_float64)


def _kl_div_terms(x: Scalar, y: Scalar) -> Scalar:
    return _kl_div_by_precision(x, y)


def _reference_kl_div(m: Any, x: Any, y: Any) -> Any:
    both = (x > 0) & (y > 0)
    infinite = both & ((x == INF) | (y == INF))
    a, b = m.where(both, m.finite(x), 1.0), m.where(both, m.finite(y), 1.0)
    f = (a - b) / b
    near = (abs(f) < 0.1) if m.series else (f != f)
    g = m.where(near, f, 0.0)
    # (1 + f) * log1p(f) - f = sum of (-f)**n / (n * (n - 1)) from n = 2 on
    series = b * sum((-g) ** n / (n * (n - 1)) for n in range(2, 20))
    value = m.where(near, series, a * _reference_quotient(m, a, b) - a + b)
    value = m.where(infinite, NAN, m.where(both, value, m.where((x == 0) & (y >= 0), y, INF)))
    return m.where((x == x) & (y == y), value, x + y)


register(
    Op(
        forward=_kl_div_terms,
        reference=_reference_kl_div,
        summary="``x * log(x / y) - x + y``, SciPy's ``kl_div``; `y` where `x` is 0, infinity where one is negative.",
        formula=r"\mathtt{x} \ln \frac{\mathtt{x}}{\mathtt{y}} - \mathtt{x} + \mathtt{y}",
        limits={-INF: INF, INF: NAN},
        notes="NaN of infinity, as in SciPy, and infinity where `y` is 0 and `x` is not.",
        samples=((1.75,), (0.0078125,), (100.0,)),
        shown_at=(0.5, 2.0, 4.0),
        arrays=2,
        cost=1.2,
    )
)


def _huber_terms(delta: Scalar, r: Scalar) -> Scalar:
    T = type(delta)
    size = absolute(r)
    value = select(size <= delta, T(0.5) * size * size, delta * fma(T(-0.5), delta, size))
    return select(delta < T(0), T(INF), value)


def _reference_huber(m: Any, x: Any, r: Any) -> Any:
    size = abs(r)
    return m.where(x < 0, INF, m.where(size <= x, r * r / 2, x * (size - m.finite(x) / 2)))


register(
    Op(
        forward=_huber_terms,
        reference=_reference_huber,
        summary="Huber's loss of a residual `r`, SciPy's ``huber``: a square up to `delta`, linear beyond.",
        formula=r"m \left(|\mathtt{r}| - \tfrac{1}{2} m\right),\ m = \min(|\mathtt{r}|, \mathtt{delta})",
        limits={-INF: INF, INF: 1.53125},
        notes="Infinity where `delta` is negative, whatever `r` is. `huber_loss` takes predictions and targets.",
        samples=((1.75,), (0.0078125,), (-100.0,)),
        shown_at=(0.5, 1.0, 4.0),
        arrays=2,
        cost=0.2,
    )
)


@scalar
def _pseudo_huber_float32(delta: Scalar, r: Scalar) -> Scalar:
    wide = widen(r)
    slope = wide / widen(delta)
    return narrow(wide * (wide / (sqrt(fma(slope, slope, widen(1.0))) + widen(1.0))))


@scalar
def _pseudo_huber_float64(delta: Scalar, r: Scalar) -> Scalar:
    T = type(delta)
    size = absolute(r)
    slope = size / delta
    root = sqrt(fma(slope, slope, T(1)))
    total = root + T(1)
    part = size / total
    # What the quotient and the sum lose; of steep ones the square may be no number.
    lost = fma(-part, T(1) - (total - root), fma(-part, total, size)) / total
    steep = slope > T(2.0**60)
    return fma(size, select(steep, delta, part), select(steep, T(0), size * lost))


_pseudo_huber_by_precision = ByPrecision(float32=_pseudo_huber_float32, float64=_pseudo_huber_float64)


def _pseudo_huber(delta: Scalar, r: Scalar) -> Scalar:
    T = type(delta)
    value = select(absolute(r) < T(INF), _pseudo_huber_by_precision(delta, r), absolute(r))
    value = select(delta == T(INF), T(NAN), value)
    value = select((delta == T(0)) | (r == T(0)), T(0), select(delta == delta, value, delta))
    return select(delta < T(0), T(INF), value)


def _reference_pseudo_huber(m: Any, x: Any, r: Any) -> Any:
    given = m.where(x > 0, x, 1.0)
    slope = abs(r) / given
    value = given * m.where(slope > 1e100, abs(r), abs(r) * (slope / (m.sqrt(1 + m.minimum(slope, 1e100) ** 2) + 1)))
    value = m.where(x == INF, NAN, m.where(x == x, value, x))
    return m.where(x < 0, INF, m.where((x == 0) | (r == 0), 0.0, value))


register(
    Op(
        forward=_pseudo_huber,
        reference=_reference_pseudo_huber,
        summary="Smooth Huber's loss of a residual `r`: a square near zero, of slope `delta` far from it.",
        formula=r"\mathtt{delta}^2 \left(\sqrt{1 + (\mathtt{r} / \mathtt{delta})^2} - 1\right)",
        limits={-INF: INF, INF: NAN},
        notes=(
            "0 where an operand is 0, also if the other is NaN, and infinity where `delta` is negative, whatever `r` is, "
            "as in SciPy."
        ),
        samples=((1.75,), (0.0078125,), (-100.0,)),
        shown_at=(0.5, 1.0, 4.0),
        arrays=2,
        cost=0.6,
    )
)
