"""Exponential linear units."""

from typing import Any

from fastact.functions.common import INF, real, require
from fastact.functions.elementwise import FromOutput, Op, register
from fastact.functions.properties import Traits
from fastact.maths.exp import exp, exp_nonpositive, expm1, expm1_nonpositive
from fastact.maths.simd import Scalar, minimum, select


def _elu(x: Scalar, alpha: Scalar = 1.0) -> Scalar:
    T = type(x)
    return select(x > T(0), x, T(alpha) * expm1_nonpositive(minimum(x, T(0))))


def _elu_derivative(x: Scalar, alpha: Scalar) -> Scalar:
    T = type(x)
    return select(x > T(0), T(1), alpha * exp_nonpositive(minimum(x, T(0))))


def _elu_from_output(output: Scalar, alpha: Scalar) -> Scalar:
    T = type(output)
    return select(output > T(0), T(1), output + alpha)


def _check_alpha(alpha: Any) -> None:
    require(
        real("alpha", alpha) >= 0,
        "alpha must not be negative where the output is to tell the sign of the input",
        alpha,
    )


register(
    Op(
        forward=_elu,
        derivative=_elu_derivative,
        reference=lambda m, x, alpha: m.where(x > 0, x, alpha * m.expm1(m.minimum(x, 0.0))),
        reference_derivative=lambda m, x, alpha: (m.where(x > 0, 1.0, alpha * m.exp(m.minimum(x, 0.0))),),
        summary="Exponential linear unit.",
        formula=r"x > 0\ ?\ x : \mathtt{alpha}\,(e^x - 1)",
        derivative_formula=r"x > 0\ ?\ 1 : \mathtt{alpha}\,e^x",
        limits={-INF: -1.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        from_output=FromOutput(
            _elu_from_output,
            lambda m, y, alpha: m.where(y > 0, 1.0, y + alpha),
            r"y > 0\ ?\ 1 : y + \mathtt{alpha}",
            "Towards -inf the output rounds to ``-alpha`` and keeps ever less of the derivative: with ``alpha = 1`` it is more "
            "than 1 % off from ``x = -12.7`` on, and 0 from -16.9 on (-32.8 and -37 in float64). The difference is at most "
            "2**-24 (2**-53).",
            check=_check_alpha,
        ),
        traits=Traits(smoothness=1),
        notes="With another `alpha` than 1 there is a kink at 0, where `alpha` is the derivative that was chosen.",
        paper="Clevert, Unterthiner & Hochreiter (2015), arXiv:1511.07289.",
        samples=((), (0.3,), (-1.5,)),
        cost=0.2,
    )
)

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def _selu(x: Scalar) -> Scalar:
    T = type(x)
    return select(x > T(0), T(SELU_SCALE) * x, T(SELU_SCALE * SELU_ALPHA) * expm1_nonpositive(minimum(x, T(0))))


def _selu_derivative(x: Scalar) -> Scalar:
    T = type(x)
    return select(x > T(0), T(SELU_SCALE), T(SELU_SCALE * SELU_ALPHA) * exp_nonpositive(minimum(x, T(0))))


def _selu_from_output(output: Scalar) -> Scalar:
    T = type(output)
    return select(output > T(0), T(SELU_SCALE), output + T(SELU_SCALE * SELU_ALPHA))


register(
    Op(
        forward=_selu,
        derivative=_selu_derivative,
        reference=lambda m, x: m.where(
            x > 0, SELU_SCALE * x, m.number(SELU_SCALE * SELU_ALPHA) * m.expm1(m.minimum(x, 0.0))
        ),
        reference_derivative=lambda m, x: (
            m.where(x > 0, SELU_SCALE, m.number(SELU_SCALE * SELU_ALPHA) * m.exp(m.minimum(x, 0.0))),
        ),
        summary="Scaled exponential linear unit, self-normalising.",
        formula=r"\lambda\,(x > 0\ ?\ x : \alpha(e^x - 1)),\ \lambda \approx 1.0507,\ \alpha \approx 1.6733",
        derivative_formula=r"x > 0\ ?\ \lambda : \lambda \alpha\,e^x",
        limits={-INF: -SELU_SCALE * SELU_ALPHA, INF: INF},
        derivative_limits={-INF: 0.0, INF: SELU_SCALE},
        kinks={0.0: SELU_SCALE * SELU_ALPHA},
        from_output=FromOutput(
            _selu_from_output,
            lambda m, y: m.where(y > 0, SELU_SCALE, y + m.number(SELU_SCALE * SELU_ALPHA)),
            r"y > 0\ ?\ \lambda : y + \lambda \alpha",
            "Towards -inf the output rounds to its limit and keeps ever less of the derivative: it is more than 1 % off from "
            "``x = -12`` on, and 0 from -16.9 on (-32.1 and -37 in float64). The difference is at most 2**-22 (2**-51).",
        ),
        traits=Traits(fixed_point=(0.0, 1.0)),
        paper="Klambauer, Unterthiner, Mayr & Hochreiter (2017), arXiv:1706.02515.",
        cost=0.18,
    )
)


def _celu(x: Scalar, alpha: Scalar = 1.0) -> Scalar:
    T = type(x)
    negative = minimum(x, T(0))
    return select(x > T(0), x, T(alpha) * expm1(negative / T(alpha)))


def _celu_derivative(x: Scalar, alpha: Scalar) -> Scalar:
    T = type(x)
    return select(x > T(0), T(1), exp(minimum(x, T(0)) / alpha))


def _celu_from_output(output: Scalar, alpha: Scalar) -> Scalar:
    T = type(output)
    return select(output > T(0), T(1), output / alpha + T(1))


register(
    Op(
        forward=_celu,
        derivative=_celu_derivative,
        reference=lambda m, x, alpha: m.where(x > 0, x, alpha * m.expm1(m.minimum(x, 0.0) / alpha)),
        reference_derivative=lambda m, x, alpha: (m.where(x > 0, 1.0, m.exp(m.minimum(x, 0.0) / alpha)),),
        summary="Continuously differentiable exponential linear unit.",
        formula=r"x > 0\ ?\ x : \mathtt{alpha}\,(e^{x / \mathtt{alpha}} - 1)",
        derivative_formula=r"x > 0\ ?\ 1 : e^{x / \mathtt{alpha}}",
        limits={-INF: -1.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        from_output=FromOutput(
            _celu_from_output,
            lambda m, y, alpha: m.where(y > 0, 1.0, y / alpha + 1),
            r"y > 0\ ?\ 1 : y / \mathtt{alpha} + 1",
            "Towards -inf the output rounds to ``-alpha`` and keeps ever less of the derivative: with ``alpha = 1`` it is more "
            "than 1 % off from ``x = -12.7`` on, and 0 from -16.9 on (-32.8 and -37 in float64). The difference is at most "
            "2**-24 (2**-53).",
        ),
        traits=Traits(smoothness=1),
        paper="Barron (2017), Continuously differentiable exponential linear units, arXiv:1704.07483.",
        check=lambda alpha: require(real("alpha", alpha) != 0, "alpha must not be zero", alpha),
        notes="With an infinite `alpha`, of which the limit is the identity, negative `x` give NaN, and the derivative 1.",
        samples=((), (2.0,)),
        cost=0.34,
    )
)
