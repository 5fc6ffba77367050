"""The sigmoid, its logarithm and its relatives."""

from typing import Any

from fastact.functions.common import INF
from fastact.functions.elementwise import FromOutput, Op, StandIn, register
from fastact.functions.properties import Traits
from fastact.functions.record import SHARES
from fastact.maths.exp import exp_nonpositive, expm1_nonpositive
from fastact.maths.log import log1p_unit
from fastact.maths.sigmoid import sigmoid, sigmoid_derivative
from fastact.maths.simd import Scalar, absolute, copysign, maximum, minimum
from fastact.maths.tanh import tanh, tanh_shrink


def _sigmoid(x: Scalar) -> Scalar:
    return sigmoid(x)


def _sigmoid_derivative(x: Scalar) -> Scalar:
    return sigmoid_derivative(x)


def _sigmoid_from_output(output: Scalar) -> Scalar:
    T = type(output)
    return output * (T(1) - output)


register(
    Op(
        forward=_sigmoid,
        derivative=_sigmoid_derivative,
        reference=lambda m, x: 1 / (1 + m.exp(-x)),
        reference_derivative=lambda m, x: (1 / (2 + m.exp(x) + m.exp(-x)),),
        summary="Logistic sigmoid.",
        known_as=("expit", "logistic"),
        formula=r"\sigma(x) = \frac{1}{1 + e^{-x}}",
        derivative_formula=r"\sigma(x)\,\sigma(-x)",
        limits={-INF: 0.0, INF: 1.0},
        derivative_limits={-INF: 0.0, INF: 0.0},
        from_output=FromOutput(
            _sigmoid_from_output,
            lambda m, y: y * (1 - y),
            r"y (1 - y)",
            "Towards +inf the output rounds to 1 and keeps ever less of the derivative: it is more than 1 % off from ``x = 12`` "
            "on, and 0 from 16.6 on (32 and 36.7 in float64). The difference is at most 2**-23 (2**-52).",
            SHARES,
        ),
        traits=Traits(),
        paper="Verhulst (1845), Recherches mathematiques sur la loi d'accroissement de la population.",
        cost=0.24,
    )
)


def _log_sigmoid(x: Scalar) -> Scalar:
    T = type(x)
    return minimum(x, T(0)) - log1p_unit(exp_nonpositive(-absolute(x)))


def _log_sigmoid_derivative(x: Scalar) -> Scalar:
    return sigmoid(-x)


register(
    Op(
        forward=_log_sigmoid,
        derivative=_log_sigmoid_derivative,
        reference=lambda m, x: -m.logaddexp(0.0, -x),
        reference_derivative=lambda m, x: (1 / (1 + m.exp(x)),),
        summary="Logarithm of the logistic sigmoid.",
        known_as=("log_expit",),
        formula=r"\ln \sigma(x) = -\ln(1 + e^{-x})",
        derivative_formula=r"\sigma(-x)",
        limits={-INF: -INF, INF: 0.0},
        derivative_limits={-INF: 1.0, INF: 0.0},
        traits=Traits(),
        cost=0.27,
    )
)


def _softplus(x: Scalar) -> Scalar:
    T = type(x)
    return maximum(x, T(0)) + log1p_unit(exp_nonpositive(-absolute(x)))


def _softplus_derivative(x: Scalar) -> Scalar:
    return sigmoid(x)


def _softplus_from_output(output: Scalar) -> Scalar:
    T = type(output)
    return -expm1_nonpositive(minimum(-output, T(0)))


register(
    Op(
        forward=_softplus,
        derivative=_softplus_derivative,
        reference=lambda m, x: m.logaddexp(0.0, x),
        reference_derivative=lambda m, x: (1 / (1 + m.exp(-x)),),
        summary="Smooth approximation of the rectified linear unit.",
        formula=r"\ln(1 + e^x)",
        derivative_formula=r"\sigma(x)",
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        from_output=FromOutput(
            _softplus_from_output,
            lambda m, y: -m.expm1(m.minimum(-y, 0.0)),
            r"1 - e^{-y}",
            "Nothing is lost in the tails: as a function of `x` it is at most 4 ULP off.",
            SHARES,
        ),
        traits=Traits(),
        paper="Dugas, Bengio, Belisle, Nadeau & Garcia (2001), Incorporating second-order functional knowledge.",
        cost=0.27,
    )
)


def _tanh(x: Scalar) -> Scalar:
    return tanh(x)


def _tanh_derivative(x: Scalar) -> Scalar:
    T = type(x)
    return T(4) * sigmoid_derivative(T(2) * x)


def _tanh_from_output(output: Scalar) -> Scalar:
    T = type(output)
    return (T(1) - output) * (T(1) + output)


register(
    Op(
        forward=_tanh,
        derivative=_tanh_derivative,
        reference=lambda m, x: m.tanh(x),
        reference_derivative=lambda m, x: (4 / (2 + m.exp(2 * x) + m.exp(-2 * x)),),
        summary="Hyperbolic tangent.",
        formula=r"\tanh x",
        derivative_formula=r"1 - \tanh^2 x",
        limits={-INF: -1.0, INF: 1.0},
        derivative_limits={-INF: 0.0, INF: 0.0},
        from_output=FromOutput(
            _tanh_from_output,
            lambda m, y: (1 - y) * (1 + y),
            r"1 - y^2",
            "Towards both ends the output rounds to 1 and keeps ever less of the derivative: it is more than 1 % off from "
            "``abs(x) = 6.7`` on, and 0 from 9 on (16.7 and 19 in float64). The difference is at most 2**-23 (2**-51).",
        ),
        traits=Traits(),
        cost=0.28,
        stands_in=StandIn("tanh"),
    )
)


def _tanh_shrink(x: Scalar) -> Scalar:
    return tanh_shrink(x)


def _tanh_shrink_derivative(x: Scalar) -> Scalar:
    t = tanh(x)
    return t * t


def _tanh_shrink_reference(m: Any, x: Any) -> Any:
    # x - tanh(x) loses every digit near zero; the first terms of its series keep them there.
    near = x * x * x * (1 / m.number(3) - x**2 * (2 / m.number(15) - x**2 * (17 / m.number(315) - x**2 * 62 / 2835)))
    return m.where(abs(x) < m.tanh_shrink_series_below, near, x - m.tanh(x))


register(
    Op(
        forward=_tanh_shrink,
        derivative=_tanh_shrink_derivative,
        reference=_tanh_shrink_reference,
        reference_derivative=lambda m, x: (m.tanh(x) ** 2,),
        summary="The part of `x` that the hyperbolic tangent removes.",
        formula=r"x - \tanh x",
        derivative_formula=r"\tanh^2 x",
        limits={-INF: -INF, INF: INF},
        derivative_limits={-INF: 1.0, INF: 1.0},
        traits=Traits(),
        cost=0.45,
    )
)


def _softsign(x: Scalar) -> Scalar:
    T = type(x)
    magnitude = minimum(absolute(x), T(1e30))  # where the result is 1 already; infinity over infinity would be NaN
    return copysign(magnitude / (T(1) + magnitude), x)


def _softsign_derivative(x: Scalar) -> Scalar:
    T = type(x)
    r = T(1) / (T(1) + absolute(x))
    return r * r


register(
    Op(
        forward=_softsign,
        derivative=_softsign_derivative,
        reference=lambda m, x: m.finite(x) / (1 + abs(m.finite(x))),
        reference_derivative=lambda m, x: (1 / (1 + abs(x)) ** 2,),
        summary="A sigmoid with polynomial tails.",
        formula=r"\frac{x}{1 + |x|}",
        derivative_formula=r"\frac{1}{(1 + |x|)^2}",
        limits={-INF: -1.0, INF: 1.0},
        derivative_limits={-INF: 0.0, INF: 0.0},
        traits=Traits(smoothness=1),
        paper="Bergstra, Desjardins, Lamblin & Bengio (2009), Quadratic polynomials learn better image features.",
        cost=0.18,
    )
)
