"""The NumPy maths that activations are made of: exponentials, logarithms and the error function."""

import math

from fastact.functions.common import INF
from fastact.functions.elementwise import Op, StandIn, register
from fastact.kernels.limits import DIVIDE, OVER, UNDER
from fastact.maths.erf import erf
from fastact.maths.exp import exp, expm1
from fastact.maths.log import log, log1p
from fastact.maths.simd import Scalar


def _exp(x: Scalar) -> Scalar:
    return exp(x)


register(
    Op(
        forward=_exp,
        reference=lambda m, x: m.exp(x),
        summary="Exponential function.",
        formula=r"e^x",
        limits={-INF: 0.0, INF: INF},
        ulp=1.0,
        cost=0.19,
        stands_in=StandIn("exp", infinite=OVER, tiny=UNDER),
    )
)


def _expm1(x: Scalar) -> Scalar:
    return expm1(x)


register(
    Op(
        forward=_expm1,
        reference=lambda m, x: m.expm1(x),
        summary="Exponential function minus one, precise near zero.",
        formula=r"e^x - 1",
        limits={-INF: -1.0, INF: INF},
        ulp=1.0,
        cost=0.23,
        stands_in=StandIn("expm1", infinite=OVER, tiny=UNDER),
    )
)


def _log(x: Scalar) -> Scalar:
    return log(x)


register(
    Op(
        forward=_log,
        reference=lambda m, x: m.log(x),
        summary="Natural logarithm; NaN below zero.",
        formula=r"\ln x",
        limits={-INF: math.nan, INF: INF},
        ulp=1.0,
        cost=0.26,
        stands_in=StandIn("log", infinite=DIVIDE),
    )
)


def _log1p(x: Scalar) -> Scalar:
    return log1p(x)


register(
    Op(
        forward=_log1p,
        reference=lambda m, x: m.log1p(x),
        summary="Natural logarithm of one plus `x`, precise near zero; NaN below -1.",
        formula=r"\ln(1 + x)",
        limits={-INF: math.nan, INF: INF},
        ulp=1.0,
        cost=0.32,
        stands_in=StandIn("log1p", infinite=DIVIDE, tiny=UNDER),
    )
)


def _erf(x: Scalar) -> Scalar:
    return erf(x)


register(
    Op(
        forward=_erf,
        reference=lambda m, x: m.erf(x),
        summary="Error function.",
        formula=r"\frac{2}{\sqrt{\pi}} \int_0^x e^{-t^2}\,dt",
        limits={-INF: -1.0, INF: 1.0},
        cost=0.2,
    )
)
