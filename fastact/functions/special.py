"""Special functions: the normal distribution, odds and the terms of entropies, as SciPy has them."""

import math
from typing import Any

from fastact.functions.common import INF
from fastact.functions.elementwise import Op, register
from fastact.maths.entropies import entr, logit, rel_entr, xlog1py, xlogy
from fastact.maths.erf import erfc, ndtr
from fastact.maths.simd import Scalar


def _erfc(x: Scalar) -> Scalar:
    return erfc(x)


register(
    Op(
        forward=_erfc,
        reference=lambda m, x: m.erfc(x),
        summary="Complementary error function, one minus `erf`, precise where that is small.",
        formula=r"\frac{2}{\sqrt{\pi}} \int_x^\infty e^{-t^2}\,dt",
        limits={-INF: 2.0, INF: 0.0},
        ulp=1.0,
        cost=2.0,
    )
)


def _ndtr(x: Scalar) -> Scalar:
    return ndtr(x)


register(
    Op(
        forward=_ndtr,
        reference=lambda m, x: m.erfc(-x / m.sqrt(m.number(2))) / 2,
        summary="The normal distribution function.",
        formula=r"\frac{1}{\sqrt{2 \pi}} \int_{-\infty}^x e^{-t^2 / 2}\,dt",
        limits={-INF: 0.0, INF: 1.0},
        known_as=("norm_cdf",),
        ulp=1.0,
        cost=2.0,
    )
)


def _logit(x: Scalar) -> Scalar:
    return logit(x)


def _logit_reference(m: Any, x: Any) -> Any:
    return m.where(x < 0.25, m.log(x) - m.log1p(-x), -m.log1p((1 - 2 * x) / m.maximum(x, 0.125)))


register(
    Op(
        forward=_logit,
        reference=_logit_reference,
        summary="Logarithm of the odds, the inverse of `sigmoid`; NaN unless between 0 and 1.",
        formula=r"\ln \frac{x}{1 - x}",
        limits={-INF: math.nan, INF: math.nan},
        shown_at=(0.25, 0.5, 0.75),
        cost=0.7,
    )
)


def _entr(x: Scalar) -> Scalar:
    return entr(x)


register(
    Op(
        forward=_entr,
        reference=lambda m, x: m.where(
            x < 0, -INF, m.where(x > 0, -x * m.log(m.where(x > 0, x, 1.0)), 0.0 * m.finite(abs(x)))
        ),
        summary="The term of an entropy, 0 at 0; minus infinity below.",
        formula=r"-x \ln x",
        limits={-INF: -INF, INF: -INF},
        cost=0.3,
    )
)


def _xlogy(x: Scalar, y: Scalar) -> Scalar:
    return xlogy(x, y)


register(
    Op(
        forward=_xlogy,
        reference=lambda m, x, y: m.where(x == 0, 0 * y, x * m.log(y)),
        summary="`x` times the logarithm of `y`, 0 where `x` is.",
        formula=r"x \ln \mathtt{y}",
        limits={-INF: -INF, INF: INF},
        samples=((1.75,), (0.25,), (1.0,)),
        arrays=2,
        cost=0.3,
    )
)


def _xlog1py(x: Scalar, y: Scalar) -> Scalar:
    return xlog1py(x, y)


register(
    Op(
        forward=_xlog1py,
        reference=lambda m, x, y: m.where(x == 0, 0 * y, x * m.log1p(y)),
        summary="`x` times the logarithm of one plus `y`, 0 where `x` is.",
        formula=r"x \ln(1 + \mathtt{y})",
        limits={-INF: -INF, INF: INF},
        samples=((1.75,), (-0.25,), (1e-30,)),
        arrays=2,
        cost=0.35,
    )
)


def _rel_entr(x: Scalar, y: Scalar) -> Scalar:
    return rel_entr(x, y)


def _rel_entr_reference(m: Any, x: Any, y: Any) -> Any:
    positive = m.where(x > 0, x, 1.0)
    quotient = positive / y
    # Near 1 the difference is exact, and the quotient's logarithm is not.
    near = abs(quotient - 1) < 0.25
    log = m.where(near, m.log1p(m.where(near, (positive - y) / y, 0.0)), m.log(quotient))
    return m.where(x < 0, INF, m.where(x == 0, 0.0, x * log))


register(
    Op(
        forward=_rel_entr,
        reference=_rel_entr_reference,
        summary="The term of a relative entropy: 0 where only `x` is 0, infinity where an operand is below 0 or only `y` is 0.",
        formula=r"x \ln(x / \mathtt{y})",
        limits={-INF: INF, INF: INF},
        samples=((1.75,), (0.25,), (3e-5,)),
        arrays=2,
        ulp=2.5,
        cost=3.0,
    )
)
