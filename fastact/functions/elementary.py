"""NumPy's functions of one array, and the error function."""

import math

from fastact.functions.common import INF
from fastact.functions.elementwise import Op, StandIn, register
from fastact.kernels.limits import DIVIDE, OVER, UNDER
from fastact.maths.arctan import arctan
from fastact.maths.erf import erf
from fastact.maths.exp import exp, exp2, expm1
from fastact.maths.hyperbolic import cosh, sinh
from fastact.maths.log import log, log1p, log2, log10
from fastact.maths.roots import cbrt
from fastact.maths.simd import Scalar
from fastact.maths.trigonometric import cos, cos_far, sin, sin_far


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
        stands_in=StandIn("log", infinite=DIVIDE, wide=True),
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
        stands_in=StandIn("log1p", infinite=DIVIDE, tiny=UNDER, wide=True),
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


def _exp2(x: Scalar) -> Scalar:
    return exp2(x)


register(
    Op(
        forward=_exp2,
        reference=lambda m, x: m.exp2(x),
        summary="Exponential function to base 2.",
        formula=r"2^x",
        limits={-INF: 0.0, INF: INF},
        ulp=1.0,
        cost=0.17,
        stands_in=StandIn("exp2", infinite=OVER, tiny=UNDER, asks=True),
    )
)


def _log2(x: Scalar) -> Scalar:
    return log2(x)


register(
    Op(
        forward=_log2,
        reference=lambda m, x: m.log2(x),
        summary="Logarithm to base 2; NaN below zero.",
        formula=r"\log_2 x",
        limits={-INF: math.nan, INF: INF},
        ulp=1.0,
        cost=0.3,
        stands_in=StandIn("log2", infinite=DIVIDE, wide=True),
    )
)


def _log10(x: Scalar) -> Scalar:
    return log10(x)


register(
    Op(
        forward=_log10,
        reference=lambda m, x: m.log10(x),
        summary="Logarithm to base 10; NaN below zero.",
        formula=r"\log_{10} x",
        limits={-INF: math.nan, INF: INF},
        ulp=1.0,
        cost=0.3,
        stands_in=StandIn("log10", infinite=DIVIDE, wide=True),
    )
)


def _sinh(x: Scalar) -> Scalar:
    return sinh(x)


register(
    Op(
        forward=_sinh,
        reference=lambda m, x: m.sinh(x),
        summary="Hyperbolic sine.",
        formula=r"\tfrac{1}{2} (e^x - e^{-x})",
        limits={-INF: -INF, INF: INF},
        ulp=1.0,
        cost=0.4,
        stands_in=StandIn("sinh", infinite=OVER, tiny=UNDER, wide=True),
    )
)


def _cosh(x: Scalar) -> Scalar:
    return cosh(x)


register(
    Op(
        forward=_cosh,
        reference=lambda m, x: m.cosh(x),
        summary="Hyperbolic cosine.",
        formula=r"\tfrac{1}{2} (e^x + e^{-x})",
        limits={-INF: INF, INF: INF},
        ulp=1.0,
        cost=0.35,
        stands_in=StandIn("cosh", infinite=OVER, wide=True),
    )
)


def _sin(x: Scalar) -> Scalar:
    return sin(x)


register(
    Op(
        forward=_sin,
        completes=sin_far,
        reference=lambda m, x: m.sin(x),
        summary="Sine.",
        formula=r"\sin x",
        limits={-INF: math.nan, INF: math.nan},
        ulp=1.0,
        cost=0.4,
        stands_in=StandIn("sin", tiny=UNDER),
    )
)


def _cos(x: Scalar) -> Scalar:
    return cos(x)


register(
    Op(
        forward=_cos,
        completes=cos_far,
        reference=lambda m, x: m.cos(x),
        summary="Cosine.",
        formula=r"\cos x",
        limits={-INF: math.nan, INF: math.nan},
        ulp=1.0,
        cost=0.4,
        stands_in=StandIn("cos"),
    )
)


def _arctan(x: Scalar) -> Scalar:
    return arctan(x)


register(
    Op(
        forward=_arctan,
        known_as=("atan",),
        reference=lambda m, x: m.arctan(x),
        summary="Inverse tangent.",
        formula=r"\arctan x",
        limits={-INF: -math.pi / 2, INF: math.pi / 2},
        ulp=1.0,
        cost=0.5,
        stands_in=StandIn("arctan", tiny=UNDER, wide=True),
    )
)


def _cbrt(x: Scalar) -> Scalar:
    return cbrt(x)


register(
    Op(
        forward=_cbrt,
        reference=lambda m, x: m.cbrt(x),
        summary="Cube root.",
        formula=r"\sqrt[3]{x}",
        limits={-INF: -INF, INF: INF},
        ulp=1.0,
        cost=0.4,
        stands_in=StandIn("cbrt", wide=True),
    )
)
