"""Exponential linear units."""

from fastact.functions.common import INF, real, require
from fastact.functions.elementwise import Op, register
from fastact.functions.properties import Traits
from fastact.maths.exp import exp, exp_nonpositive, expm1, expm1_nonpositive
from fastact.maths.simd import Scalar, minimum, select


def _elu(x: Scalar, alpha: Scalar = 1.0) -> Scalar:
    T = type(x)
    return select(x > T(0), x, T(alpha) * expm1_nonpositive(minimum(x, T(0))))


def _elu_derivative(x: Scalar, alpha: Scalar) -> Scalar:
    T = type(x)
    return select(x > T(0), T(1), alpha * exp_nonpositive(minimum(x, T(0))))


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
        traits=Traits(smoothness=1),
        paper="Barron (2017), Continuously differentiable exponential linear units, arXiv:1704.07483.",
        check=lambda alpha: require(real("alpha", alpha) != 0, "alpha must not be zero", alpha),
        samples=((), (2.0,)),
        cost=0.34,
    )
)
