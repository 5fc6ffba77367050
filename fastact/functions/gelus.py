"""The input times a sigmoid or a distribution function: silu, the gelus, mish; and squareplus, of their shape."""

import math
from typing import Any

from fastact.functions.common import INF, real, require
from fastact.functions.elementwise import Op, register
from fastact.functions.properties import Traits
from fastact.maths.erf import gelu, gelu_derivative
from fastact.maths.scalar import Constant, scalar
from fastact.maths.sigmoid import LOWEST, mish, mish_derivative, times_sigmoid, times_sigmoid_derivative
from fastact.maths.simd import Scalar, absolute, fma, maximum, minimum, select, sqrt, widen

# Where x sigmoid(x) has its minimum and its largest slope: x sigmoid(a x) is the same function, on another scale.
SILU_TURN, SILU_STEEPEST = -1.2784645427610738, 2.3993572805154677


def _silu(x: Scalar) -> Scalar:
    T = type(x)
    bounded = minimum(maximum(x, LOWEST(x)), T(64))
    return select(x > T(64), x, times_sigmoid(bounded, bounded, T(0)))


def _silu_derivative(x: Scalar) -> Scalar:
    T = type(x)
    bounded = minimum(maximum(x, LOWEST(x)), T(64))
    return times_sigmoid_derivative(bounded, T(0), bounded, T(0))


def _times_sigmoid_terms(m: Any, x: Any, z: Any, slope: Any) -> tuple[Any, Any]:
    """The two terms of the derivative of ``x * sigmoid(z)``, with their limit at infinity."""
    return 1 / (1 + m.exp(-z)), m.where(abs(z) > 1e6, 0.0, m.finite(x * slope)) / (2 + m.exp(z) + m.exp(-z))


register(
    Op(
        forward=_silu,
        derivative=_silu_derivative,
        reference=lambda m, x: m.finite(x) / (1 + m.exp(-x)),
        reference_derivative=lambda m, x: _times_sigmoid_terms(m, x, x, 1.0),
        summary="Sigmoid-weighted linear unit, also called swish.",
        known_as=("swish",),
        formula=r"x\,\sigma(x)",
        derivative_formula=r"\sigma(x) + x\,\sigma(x)\,\sigma(-x)",
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        traits=Traits(turns=(SILU_TURN,), steepest=SILU_STEEPEST),
        paper="Elfwing, Uchibe & Doya (2017), arXiv:1702.03118; Ramachandran, Zoph & Le (2017), arXiv:1710.05941.",
        cost=0.26,
    )
)

QUICK_GELU_SLOPE = 1.702


@scalar
def quick_gelu_argument(x: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """``x`` within the bounds where it matters, ``z = 1.702 x`` and the rounding error of ``z``."""
    T = type(x)
    slope = T(QUICK_GELU_SLOPE)
    x = minimum(maximum(x, T(1 / QUICK_GELU_SLOPE) * LOWEST(x)), T(64))
    z = slope * x
    return x, z, fma(slope, x, -z) + T(QUICK_GELU_SLOPE - widen(slope)) * x


def _quick_gelu(x: Scalar) -> Scalar:
    T = type(x)
    bounded, z, correction = quick_gelu_argument(x)
    return select(x > T(64), x, times_sigmoid(bounded, z, correction))


def _quick_gelu_derivative(x: Scalar) -> Scalar:
    _, z, correction = quick_gelu_argument(x)
    return times_sigmoid_derivative(z, correction, z, correction)


register(
    Op(
        forward=_quick_gelu,
        derivative=_quick_gelu_derivative,
        reference=lambda m, x: m.finite(x) / (1 + m.exp(-QUICK_GELU_SLOPE * x)),
        reference_derivative=lambda m, x: _times_sigmoid_terms(m, x, QUICK_GELU_SLOPE * x, QUICK_GELU_SLOPE),
        summary="The sigmoid approximation of gelu.",
        formula=r"x\,\sigma(1.702\,x)",
        derivative_formula=r"\sigma(1.702\,x) + 1.702\,x\,\sigma(1.702\,x)\,\sigma(-1.702\,x)",
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        traits=Traits(turns=(SILU_TURN / QUICK_GELU_SLOPE,), steepest=SILU_STEEPEST / QUICK_GELU_SLOPE),
        paper="Hendrycks & Gimpel (2016), arXiv:1606.08415.",
        cost=0.31,
    )
)


def _gelu(x: Scalar) -> Scalar:
    return gelu(x)


def _gelu_derivative(x: Scalar) -> Scalar:
    return gelu_derivative(x)


def _gelu_reference_derivative(m: Any, x: Any) -> tuple[Any, Any]:
    density = m.exp(-x * x / 2) / m.sqrt(2 * m.pi)
    return m.erfc(-x / m.sqrt(m.number(2))) / 2, m.where(abs(x) > 1e6, 0.0, m.finite(x)) * density


register(
    Op(
        forward=_gelu,
        derivative=_gelu_derivative,
        reference=lambda m, x: m.finite(x) * m.erfc(-x / m.sqrt(m.number(2))) / 2,
        reference_derivative=_gelu_reference_derivative,
        summary="Gaussian error linear unit, exact: `x` times the normal distribution function.",
        formula=r"x\,\Phi(x) = \tfrac{x}{2}\,\mathrm{erfc}(-x / \sqrt{2})",
        derivative_formula=r"\Phi(x) + x\,\varphi(x),\ \varphi(x) = \tfrac{1}{\sqrt{2 \pi}}\,e^{-x^2 / 2}",
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        traits=Traits(turns=(-0.7517915246935645,), steepest=math.sqrt(2)),
        paper="Hendrycks & Gimpel (2016), arXiv:1606.08415.",
        cost=0.49,
    )
)

# gelu_tanh(x) = x * sigmoid(z) with z = 2 sqrt(2 / pi) (x + 0.044715 x**3) = x * (LINEAR + CUBIC * x**2).
GELU_TANH_LINEAR = 2 * math.sqrt(2 / math.pi)
GELU_TANH_CUBIC = GELU_TANH_LINEAR * 0.044715
GELU_TANH_CUBIC_ERROR = 3.3591871225076503e-19  # what the product of the two is more than its float64


@scalar
def gelu_tanh_argument(x: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """``x`` within the bounds where it matters, the argument ``z`` of the sigmoid, its rounding error, and ``CUBIC * x**2``.

    The exponential turns an absolute error of ``z`` into a relative one, and ``z`` reaches -100 before the result
    underflows, so ``z`` needs twice the precision: error-free products by fma, and Knuth's TwoSum for the sum.
    """
    T = type(x)
    x = minimum(maximum(x, GELU_TANH_LOWEST(x)), T(64))
    linear, cubic = T(GELU_TANH_LINEAR), T(GELU_TANH_CUBIC)
    square = x * x
    square_error = fma(x, x, -square)
    term = cubic * square
    total = linear + term
    virtual = total - linear
    total_error = (linear - (total - virtual)) + (term - virtual)
    z = x * total
    low = fma(cubic, square, -term) + fma(cubic, square_error, T(GELU_TANH_LINEAR - widen(linear)))
    low = fma(T(GELU_TANH_CUBIC - widen(cubic) + GELU_TANH_CUBIC_ERROR), square, low) + total_error
    return x, z, fma(x, low, fma(x, total, -z)), term


GELU_TANH_LOWEST = Constant(float32=-10.9, float64=-21.597)


def _gelu_tanh(x: Scalar) -> Scalar:
    T = type(x)
    bounded, z, correction, _ = gelu_tanh_argument(x)
    return select(x > T(64), x, times_sigmoid(bounded, z, correction))


def _gelu_tanh_derivative(x: Scalar) -> Scalar:
    x, z, correction, term = gelu_tanh_argument(x)
    xslope = fma(x + x, term, z)  # x times the derivative of LINEAR x + CUBIC x**3
    return times_sigmoid_derivative(xslope, fma(x + x, term, z - xslope) + correction, z, correction)


def _gelu_tanh_z(m: Any, x: Any) -> Any:
    return m.number(GELU_TANH_LINEAR) * (x + m.number(0.044715) * x * x * x)


def _gelu_tanh_reference_derivative(m: Any, x: Any) -> tuple[Any, Any]:
    x = m.clip(x, -1e4, 1e4)
    slope = m.number(GELU_TANH_LINEAR) * (1 + 3 * m.number(0.044715) * x**2)
    return _times_sigmoid_terms(m, x, _gelu_tanh_z(m, x), slope)


register(
    Op(
        forward=_gelu_tanh,
        derivative=_gelu_tanh_derivative,
        reference=lambda m, x: m.finite(x) / (1 + m.exp(-_gelu_tanh_z(m, m.clip(x, -1e4, 1e4)))),
        reference_derivative=_gelu_tanh_reference_derivative,
        summary="The hyperbolic tangent approximation of gelu.",
        known_as=("gelu_new", "gelu_approximate"),
        formula=r"\tfrac{x}{2}\left(1 + \tanh\left(\sqrt{2/\pi}\,(x + 0.044715\,x^3)\right)\right)",
        derivative_formula=r"\tfrac{1}{2}(1 + \tanh u) + \tfrac{x}{2} u' (1 - \tanh^2 u),\ u = \sqrt{2/\pi}\,(x + 0.044715\,x^3)",
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        traits=Traits(turns=(-0.7524614220710163,), steepest=1.4185040087908284),
        paper="Hendrycks & Gimpel (2016), arXiv:1606.08415.",
        cost=0.58,
    )
)


def _mish(x: Scalar) -> Scalar:
    return mish(x)


def _mish_derivative(x: Scalar) -> Scalar:
    return mish_derivative(x)


def _mish_reference_derivative(m: Any, x: Any) -> tuple[Any, Any]:
    t = m.tanh(m.logaddexp(0.0, x))
    sech2 = 1 / m.cosh(m.minimum(m.logaddexp(0.0, x), 300.0)) ** 2
    return t, m.where(abs(x) > 1e6, 0.0, m.finite(x)) * sech2 / (1 + m.exp(-x))


register(
    Op(
        forward=_mish,
        derivative=_mish_derivative,
        reference=lambda m, x: m.finite(x) * m.tanh(m.logaddexp(0.0, x)),
        reference_derivative=_mish_reference_derivative,
        summary="Self-regularised smooth activation.",
        formula=r"x \tanh(\ln(1 + e^x))",
        derivative_formula=r"\tanh s + x\,\sigma(x)\,(1 - \tanh^2 s),\ s = \ln(1 + e^x)",
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        traits=Traits(turns=(-1.192431214515495,), steepest=1.4905711794854284),
        paper="Misra (2019), arXiv:1908.08681.",
        cost=0.49,
    )
)


@scalar
def squareplus_parts(x: Scalar, b: Scalar) -> tuple[Scalar, Scalar]:
    """``squareplus(x, b)`` and ``sqrt(x**2 + b)``; rounding errors are carried along, as plain formulas reach 2.7 ULP."""
    T = type(x)
    magnitude = minimum(absolute(x), T(1e18))  # the square of more would overflow
    square = fma(magnitude, magnitude, b)
    root = sqrt(square)
    safe_root = maximum(root, T(1e-30))
    root_error = fma(-root, root, square) + (fma(magnitude, magnitude, b - square))
    total = root + magnitude
    total_error = (magnitude - (total - root)) + root_error * (T(0.5) / safe_root)
    r = T(1) / maximum(total, T(1e-30))
    r_error = r * fma(-r, total_error, fma(-r, total, T(1)))
    half_b = T(0.5) * b
    return select(x < T(0), fma(half_b, r, half_b * r_error), fma(T(0.5), total_error, T(0.5) * total)), root


def _squareplus(x: Scalar, b: Scalar = 4.0) -> Scalar:
    T = type(x)
    y, _ = squareplus_parts(x, T(b))
    # Beyond the bound of the parts, b adds nothing on the right and little on the left.
    far = select(x > T(0), x, T(0.25) * T(b) / absolute(x))
    return select(absolute(x) > T(1e18), far, y)


def _squareplus_derivative(x: Scalar, b: Scalar) -> Scalar:
    T = type(x)
    y, root = squareplus_parts(x, b)
    far = select(x > T(0), T(1), T(0.25) * b / absolute(x) / absolute(x))
    return select(absolute(x) > T(1e15), far, select(root == T(0), T(0.5), y / root))


def _squareplus_reference_derivative(m: Any, x: Any, b: Any) -> tuple[Any]:
    root = m.sqrt(x * x + b)
    return (m.where(x > 1e18, 1.0, m.where(x < 0, b / (2 * root * (root - x)), (1 + m.finite(x) / root) / 2)),)


register(
    Op(
        forward=_squareplus,
        derivative=_squareplus_derivative,
        reference=lambda m, x, b: m.where(x < 0, b / (2 * (m.sqrt(x * x + b) - x)), (x + m.sqrt(x * x + b)) / 2),
        reference_derivative=_squareplus_reference_derivative,
        summary="Algebraic approximation of softplus.",
        formula=r"\tfrac{1}{2}\left(x + \sqrt{x^2 + \mathtt{b}}\right)",
        derivative_formula=r"\tfrac{1}{2}\left(1 + x / \sqrt{x^2 + \mathtt{b}}\right)",
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        traits=Traits(),
        paper="Barron (2021), Squareplus: a softplus-like algebraic rectifier, arXiv:2112.11687.",
        check=lambda b: require(real("b", b) >= 0, "b must not be negative", b),
        samples=((), (1.0,)),
        cost=0.73,
    )
)
