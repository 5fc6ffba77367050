"""Every elementwise op: one block each, holding what it computes, its derivative, the reference for both, and the record.

Scalar functions are written on ``simd`` and ``maths`` and compile to branch-free SIMD loops. A reference takes the maths
namespace ``m`` first: NumPy's functions on float64 arrays (``fastact.reference``), or mpmath's in the tests. It is a different
formula, chosen to be obviously right. A reference derivative returns the terms that add up to the derivative.

Conventions: NaN in gives NaN out; at infinity an op returns its limit; a tail is scaled last, so that a product with a
subnormal factor is still right.
"""

import math
from typing import Any

import numpy as np

from fastact.maths.erf import erf, gelu, gelu_derivative
from fastact.maths.exp import exp, exp_nonpositive, expm1, expm1_nonpositive
from fastact.maths.log import log, log1p, log1p_unit
from fastact.maths.sigmoid import (
    lowest,
    mish,
    mish_derivative,
    sigmoid,
    sigmoid_derivative,
    times_sigmoid,
    times_sigmoid_derivative,
)
from fastact.maths.tanh import tanh, tanh_shrink
from fastact.registry import Op, register
from fastact.scalar import ByPrecision, scalar
from fastact.simd import Scalar, absolute, copysign, fma, maximum, minimum, select, sqrt, widen

INF = math.inf


@scalar
def unless_nan(x: Scalar, value: Scalar) -> Scalar:
    """``value``, or ``x`` itself where it is NaN: piecewise constant derivatives would forget it."""
    return select(x == x, value, x)


def number(parameter: Any) -> Any:
    """A parameter as something to compare: a number as it is, anything else as an array."""
    return parameter if isinstance(parameter, int | float) else np.asarray(parameter)


def require(condition: Any, message: str, *given: Any) -> None:
    """Raise ``ValueError`` unless the condition holds for every element of a parameter."""
    if not (condition if isinstance(condition, bool) else np.all(condition)):
        raise ValueError(f"{message}, got {', '.join(map(str, given))}")


# --- exponentials and logarithms -------------------------------------------------------------------------------------


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


# --- piecewise linear ------------------------------------------------------------------------------------------------


def _relu(x: Scalar) -> Scalar:
    T = type(x)
    return maximum(x, T(0))


def _relu_derivative(x: Scalar) -> Scalar:
    T = type(x)
    return unless_nan(x, select(x > T(0), T(1), T(0)))


register(
    Op(
        forward=_relu,
        derivative=_relu_derivative,
        reference=lambda m, x: m.where(x > 0, x, 0 * m.finite(x)),
        reference_derivative=lambda m, x: (m.where(x > 0, 1.0, 0.0 * m.finite(x)),),
        summary="Rectified linear unit.",
        formula=r"\max(x, 0)",
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        kinks={0.0: 0.0},
        paper="Nair & Hinton (2010), Rectified linear units improve restricted Boltzmann machines.",
        cost=0.1,
    )
)


def _relu6(x: Scalar) -> Scalar:
    T = type(x)
    return minimum(maximum(x, T(0)), T(6))


def _relu6_derivative(x: Scalar) -> Scalar:
    T = type(x)
    return unless_nan(x, select((x > T(0)) & (x < T(6)), T(1), T(0)))


register(
    Op(
        forward=_relu6,
        derivative=_relu6_derivative,
        reference=lambda m, x: m.clip(x, 0.0, 6.0),
        reference_derivative=lambda m, x: (m.where((x > 0) & (x < 6), 1.0, 0.0 * m.finite(x)),),
        summary="Rectified linear unit, capped at six.",
        formula=r"\min(\max(x, 0), 6)",
        limits={-INF: 0.0, INF: 6.0},
        derivative_limits={-INF: 0.0, INF: 0.0},
        kinks={0.0: 0.0, 6.0: 0.0},
        paper="Krizhevsky (2010), Convolutional deep belief networks on CIFAR-10.",
        cost=0.1,
    )
)


def _leaky_relu(x: Scalar, negative_slope: Scalar = 0.01) -> Scalar:
    T = type(x)
    return select(x > T(0), x, T(negative_slope) * x)


def _leaky_relu_derivative(x: Scalar, negative_slope: Scalar) -> Scalar:
    T = type(x)
    return unless_nan(x, select(x > T(0), T(1), negative_slope))


register(
    Op(
        forward=_leaky_relu,
        derivative=_leaky_relu_derivative,
        reference=lambda m, x, negative_slope: m.where(x > 0, x, negative_slope * x),
        reference_derivative=lambda m, x, negative_slope: (m.where(x > 0, 1.0, negative_slope + 0.0 * m.finite(x)),),
        summary="Rectified linear unit with a small slope below zero.",
        formula=r"x > 0\ ?\ x : \mathtt{negative\_slope} \cdot x",
        limits={-INF: -INF, INF: INF},
        derivative_limits={-INF: 0.01, INF: 1.0},
        kinks={0.0: 0.01},
        paper="Maas, Hannun & Ng (2013), Rectifier nonlinearities improve neural network acoustic models.",
        samples=((), (0.5,), (2.0,)),
        cost=0.14,
    )
)


def _prelu(x: Scalar, weight: Scalar) -> Scalar:
    T = type(x)
    return select(x > T(0), x, T(weight) * x)


def _prelu_derivative(x: Scalar, weight: Scalar) -> tuple[Scalar, Scalar]:
    T = type(x)
    return unless_nan(x, select(x > T(0), T(1), weight)), select(x > T(0), T(0), x)


def _prelu_backward(ufunc: Any) -> Any:
    def prelu_backward(grad: Any, x: Any, weight: Any) -> tuple[Any, Any]:
        grad_x, grad_weight = ufunc(grad, x, weight)
        return _sum_to(grad_x, np.shape(x)), _sum_to(grad_weight, np.shape(weight))

    return prelu_backward


def _sum_to(grad: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the axes along which its operand was broadcast."""
    added = grad.ndim - len(shape)
    stretched = [added + i for i, n in enumerate(shape) if n == 1 and grad.shape[added + i] != 1]
    axes = (*range(added), *stretched)
    return grad.sum(axis=axes, keepdims=True).reshape(shape)[()] if axes else grad


register(
    Op(
        forward=_prelu,
        derivative=_prelu_derivative,
        reference=lambda m, x, weight: m.where(x > 0, x, weight * x),
        reference_derivative=lambda m, x, weight: (m.where(x > 0, 1.0, weight + 0.0 * m.finite(x)),),
        summary="Rectified linear unit with a learnt slope below zero, which broadcasts against `x`.",
        formula=r"x > 0\ ?\ x : \mathtt{weight} \cdot x",
        limits={-INF: -INF, INF: INF},
        derivative_limits={-INF: 0.25, INF: 1.0},
        kinks={0.0: 0.25},
        paper="He, Zhang, Ren & Sun (2015), Delving deep into rectifiers, arXiv:1502.01852.",
        samples=((0.25,), (-1.5,)),
        gradients=2,
        public_backward=_prelu_backward,
        cost=0.14,
    )
)


RRELU_LOWER, RRELU_UPPER = 1 / 8, 1 / 3


def _rrelu(x: Scalar, lower: Scalar = RRELU_LOWER, upper: Scalar = RRELU_UPPER) -> Scalar:
    T = type(x)
    return select(x > T(0), x, T(0.5) * (T(lower) + T(upper)) * x)


def _rrelu_derivative(x: Scalar, lower: Scalar, upper: Scalar) -> Scalar:
    T = type(x)
    return unless_nan(x, select(x > T(0), T(1), T(0.5) * (lower + upper)))


def _check_rrelu(lower: Any, upper: Any) -> None:
    require(number(lower) <= number(upper), "lower must not exceed upper", lower, upper)


def _public_rrelu(at_mean: Any) -> Any:
    def rrelu(
        x: Any,
        lower: Any = RRELU_LOWER,
        upper: Any = RRELU_UPPER,
        training: bool = False,
        rng: Any = None,
        out: Any = None,
        **ufunc_arguments: Any,
    ) -> Any:
        if not training:
            return at_mean(x, lower, upper, out, **ufunc_arguments)
        _check_rrelu(lower, upper)
        x = np.asanyarray(x)
        dtype = np.result_type(x, np.float16) if x.dtype.kind in "biuf" else x.dtype
        draws = np.random.default_rng(rng).random(x.shape, dtype=np.float64 if dtype == np.float64 else np.float32)
        slopes = (lower + (upper - lower) * draws).astype(dtype)
        return at_mean.ufunc(x, slopes, slopes, out, **ufunc_arguments), slopes

    return rrelu


def _public_rrelu_backward(at_mean: Any) -> Any:
    def rrelu_backward(
        grad: Any,
        x: Any,
        lower: Any = RRELU_LOWER,
        upper: Any = RRELU_UPPER,
        slopes: Any = None,
        out: Any = None,
        **ufunc_arguments: Any,
    ) -> Any:
        if slopes is not None:
            return at_mean.ufunc(grad, x, slopes, slopes, out, **ufunc_arguments)
        return at_mean(grad, x, lower, upper, out, **ufunc_arguments)

    return rrelu_backward


register(
    Op(
        forward=_rrelu,
        derivative=_rrelu_derivative,
        reference=lambda m, x, lower, upper: m.where(x > 0, x, (lower + upper) / 2 * x),
        reference_derivative=lambda m, x, lower, upper: (m.where(x > 0, 1.0, (lower + upper) / 2 + 0.0 * m.finite(x)),),
        summary="Randomised leaky rectified linear unit: a random slope below zero in training, its mean otherwise.",
        formula=r"x > 0\ ?\ x : s x,\ s \sim U(\mathtt{lower}, \mathtt{upper})",
        limits={-INF: -INF, INF: INF},
        derivative_limits={-INF: (1 / 8 + 1 / 3) / 2, INF: 1.0},
        kinks={0.0: (1 / 8 + 1 / 3) / 2},
        paper="Xu, Wang, Chen & Li (2015), Empirical evaluation of rectified activations, arXiv:1505.00853.",
        check=_check_rrelu,
        samples=((), (0.25, 0.5)),
        public=_public_rrelu,
        public_backward=_public_rrelu_backward,
        extra={
            "training : bool, default False": "Draw a slope per element and return ``(y, slopes)``.",
            "rng : None, int or numpy.random.Generator": "Source of the slopes; a seed gives the same slopes on any machine "
            "and with any number of threads.",
        },
        extra_backward={"slopes : ndarray, optional": "What `rrelu` returned in training; without it, the mean slope."},
        cost=0.14,
    )
)


def _hard_tanh(x: Scalar, min_val: Scalar = -1.0, max_val: Scalar = 1.0) -> Scalar:
    T = type(x)
    return minimum(maximum(x, T(min_val)), T(max_val))


def _hard_tanh_derivative(x: Scalar, min_val: Scalar, max_val: Scalar) -> Scalar:
    T = type(x)
    return unless_nan(x, select((x > min_val) & (x < max_val), T(1), T(0)))


register(
    Op(
        forward=_hard_tanh,
        derivative=_hard_tanh_derivative,
        reference=lambda m, x, min_val, max_val: m.clip(x, min_val, max_val),
        reference_derivative=lambda m, x, min_val, max_val: (
            m.where((x > min_val) & (x < max_val), 1.0, 0.0 * m.finite(x)),
        ),
        summary="The identity, clipped to an interval.",
        formula=r"\min(\max(x, \mathtt{min\_val}), \mathtt{max\_val})",
        limits={-INF: -1.0, INF: 1.0},
        derivative_limits={-INF: 0.0, INF: 0.0},
        kinks={-1.0: 0.0, 1.0: 0.0},
        paper="Collobert (2004), Large scale machine learning.",
        check=lambda min_val, max_val: require(
            number(min_val) <= number(max_val), "min_val must not exceed max_val", min_val, max_val
        ),
        samples=((), (-2.0, 0.5)),
        cost=0.14,
    )
)


@scalar
def clipped_sixth(x: Scalar) -> Scalar:
    """``min(max(x + 3, 0), 6) / 6``, with 1 / 6 in two parts to spare its rounding error."""
    T = type(x)
    clipped = minimum(maximum(x + T(3), T(0)), T(6))
    sixth = T(1 / 6)
    return fma(clipped, sixth, clipped * T(SIXTH_ERROR + (1 / 6 - widen(sixth))))


SIXTH_ERROR = 9.25185853854297e-18  # what 1/6 is more than its float64


def _hard_sigmoid(x: Scalar) -> Scalar:
    return clipped_sixth(x)


def _hard_sigmoid_derivative(x: Scalar) -> Scalar:
    T = type(x)
    return unless_nan(x, select(absolute(x) < T(3), T(1 / 6), T(0)))


register(
    Op(
        forward=_hard_sigmoid,
        derivative=_hard_sigmoid_derivative,
        reference=lambda m, x: m.clip((x + 3) / 6, 0.0, 1.0),
        reference_derivative=lambda m, x: (m.where((x > -3) & (x < 3), 1 / m.number(6), 0.0 * m.finite(x)),),
        summary="Piecewise linear approximation of the sigmoid.",
        formula=r"\min(\max(x + 3, 0), 6) / 6",
        limits={-INF: 0.0, INF: 1.0},
        derivative_limits={-INF: 0.0, INF: 0.0},
        kinks={-3.0: 0.0, 3.0: 0.0},
        paper="Courbariaux, Bengio & David (2015), BinaryConnect, arXiv:1511.00363.",
        cost=0.11,
    )
)


def _hard_swish(x: Scalar) -> Scalar:
    T = type(x)
    return maximum(x, T(-3)) * clipped_sixth(x)


def _hard_swish_derivative(x: Scalar) -> Scalar:
    T = type(x)
    inside = fma(x, T(1 / 3), T(0.5))
    return select(x <= T(-3), T(0), select(x >= T(3), T(1), inside))


register(
    Op(
        forward=_hard_swish,
        derivative=_hard_swish_derivative,
        reference=lambda m, x: m.where(x > -3, x * m.clip((x + 3) / 6, 0.0, 1.0), 0.0 * m.finite(x)),
        reference_derivative=lambda m, x: (
            m.where((x > -3) & (x < 3), m.finite(x) / 3, 0.0 * m.finite(x)),
            m.where(x >= 3, 1.0, m.where(x > -3, 0.5, 0.0)),
        ),
        summary="Piecewise quadratic approximation of silu.",
        formula=r"x \min(\max(x + 3, 0), 6) / 6",
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        kinks={-3.0: 0.0, 3.0: 1.0},
        paper="Howard et al. (2019), Searching for MobileNetV3, arXiv:1905.02244.",
        cost=0.11,
    )
)


def _soft_shrink(x: Scalar, lambd: Scalar = 0.5) -> Scalar:
    T = type(x)
    return select(absolute(x) <= T(lambd), T(0), x - copysign(T(lambd), x))


def _shrink_derivative(x: Scalar, lambd: Scalar) -> Scalar:
    T = type(x)
    return unless_nan(x, select(absolute(x) <= lambd, T(0), T(1)))


def _check_lambd(lambd: Any) -> None:
    require(number(lambd) >= 0, "lambd must not be negative", lambd)


def _shrink_reference_derivative(m: Any, x: Any, lambd: Any) -> tuple[Any]:
    return (m.where(abs(x) > lambd, 1.0, 0.0 * m.finite(x)),)


register(
    Op(
        forward=_soft_shrink,
        derivative=_shrink_derivative,
        reference=lambda m, x, lambd: m.where(x > lambd, x - lambd, m.where(x < -lambd, x + lambd, 0.0 * m.finite(x))),
        reference_derivative=_shrink_reference_derivative,
        summary="Shrink towards zero by `lambd`.",
        formula=r"\mathrm{sign}(x) \max(|x| - \mathtt{lambd}, 0)",
        limits={-INF: -INF, INF: INF},
        derivative_limits={-INF: 1.0, INF: 1.0},
        kinks={-0.5: 0.0, 0.5: 0.0},
        paper="Donoho (1995), De-noising by soft-thresholding.",
        check=_check_lambd,
        samples=((), (0.0,), (1.25,)),
        cost=0.14,
    )
)


def _hard_shrink(x: Scalar, lambd: Scalar = 0.5) -> Scalar:
    T = type(x)
    return select(absolute(x) <= T(lambd), T(0), x)


register(
    Op(
        forward=_hard_shrink,
        derivative=_shrink_derivative,
        reference=lambda m, x, lambd: m.where(abs(x) > lambd, x, 0.0 * m.finite(x)),
        reference_derivative=_shrink_reference_derivative,
        summary="Zero within `lambd` of zero, the identity elsewhere.",
        formula=r"|x| > \mathtt{lambd}\ ?\ x : 0",
        limits={-INF: -INF, INF: INF},
        derivative_limits={-INF: 1.0, INF: 1.0},
        kinks={-0.5: 0.0, 0.5: 0.0},
        paper="Donoho & Johnstone (1994), Ideal spatial adaptation by wavelet shrinkage.",
        check=_check_lambd,
        samples=((), (0.0,), (1.25,)),
        cost=0.13,
    )
)


def _threshold(x: Scalar, threshold: Scalar, value: Scalar) -> Scalar:
    return select(x <= threshold, value, x)


def _threshold_derivative(x: Scalar, threshold: Scalar, value: Scalar) -> Scalar:
    T = type(x)
    return unless_nan(x, select(x <= threshold, T(0), T(1)))


register(
    Op(
        forward=_threshold,
        derivative=_threshold_derivative,
        reference=lambda m, x, threshold, value: m.where(x > threshold, x, value + 0.0 * m.finite(x)),
        reference_derivative=lambda m, x, threshold, value: (m.where(x > threshold, 1.0, 0.0 * m.finite(x)),),
        summary="The identity above `threshold`, `value` elsewhere.",
        formula=r"x > \mathtt{threshold}\ ?\ x : \mathtt{value}",
        limits={-INF: -1.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        kinks={0.5: 0.0},
        paper="The generalised rectifier of Collobert, Kavukcuoglu & Farabet (2011), Torch7.",
        samples=((0.5, -1.0),),
        cost=0.14,
    )
)


# --- exponential linear units ----------------------------------------------------------------------------------------


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
        limits={-INF: -1.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        kinks={0.0: 1.0},
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
        limits={-INF: -SELU_SCALE * SELU_ALPHA, INF: INF},
        derivative_limits={-INF: 0.0, INF: SELU_SCALE},
        kinks={0.0: SELU_SCALE * SELU_ALPHA},
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
        limits={-INF: -1.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        paper="Barron (2017), Continuously differentiable exponential linear units, arXiv:1704.07483.",
        check=lambda alpha: require(number(alpha) != 0, "alpha must not be zero", alpha),
        samples=((), (2.0,)),
        cost=0.34,
    )
)


# --- sigmoids --------------------------------------------------------------------------------------------------------


def _sigmoid(x: Scalar) -> Scalar:
    return sigmoid(x)


def _sigmoid_derivative(x: Scalar) -> Scalar:
    return sigmoid_derivative(x)


register(
    Op(
        forward=_sigmoid,
        derivative=_sigmoid_derivative,
        reference=lambda m, x: 1 / (1 + m.exp(-x)),
        reference_derivative=lambda m, x: (1 / (2 + m.exp(x) + m.exp(-x)),),
        summary="Logistic sigmoid.",
        formula=r"\sigma(x) = \frac{1}{1 + e^{-x}}",
        limits={-INF: 0.0, INF: 1.0},
        derivative_limits={-INF: 0.0, INF: 0.0},
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
        formula=r"\ln \sigma(x) = -\ln(1 + e^{-x})",
        limits={-INF: -INF, INF: 0.0},
        derivative_limits={-INF: 1.0, INF: 0.0},
        cost=0.27,
    )
)


def _softplus(x: Scalar) -> Scalar:
    T = type(x)
    return maximum(x, T(0)) + log1p_unit(exp_nonpositive(-absolute(x)))


def _softplus_derivative(x: Scalar) -> Scalar:
    return sigmoid(x)


register(
    Op(
        forward=_softplus,
        derivative=_softplus_derivative,
        reference=lambda m, x: m.logaddexp(0.0, x),
        reference_derivative=lambda m, x: (1 / (1 + m.exp(-x)),),
        summary="Smooth approximation of the rectified linear unit.",
        formula=r"\ln(1 + e^x)",
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        paper="Dugas, Bengio, Belisle, Nadeau & Garcia (2001), Incorporating second-order functional knowledge.",
        cost=0.27,
    )
)


def _tanh(x: Scalar) -> Scalar:
    return tanh(x)


def _tanh_derivative(x: Scalar) -> Scalar:
    T = type(x)
    return T(4) * sigmoid_derivative(T(2) * x)


register(
    Op(
        forward=_tanh,
        derivative=_tanh_derivative,
        reference=lambda m, x: m.tanh(x),
        reference_derivative=lambda m, x: (4 / (2 + m.exp(2 * x) + m.exp(-2 * x)),),
        summary="Hyperbolic tangent.",
        formula=r"\tanh x",
        limits={-INF: -1.0, INF: 1.0},
        derivative_limits={-INF: 0.0, INF: 0.0},
        cost=0.28,
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
        limits={-INF: -INF, INF: INF},
        derivative_limits={-INF: 1.0, INF: 1.0},
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
        limits={-INF: -1.0, INF: 1.0},
        derivative_limits={-INF: 0.0, INF: 0.0},
        paper="Bergstra, Desjardins, Lamblin & Bengio (2009), Quadratic polynomials learn better image features.",
        cost=0.18,
    )
)


# --- gated by a sigmoid or a distribution function -------------------------------------------------------------------


def _silu(x: Scalar) -> Scalar:
    T = type(x)
    bounded = minimum(maximum(x, lowest(x)), T(64))
    return select(x > T(64), x, times_sigmoid(bounded, bounded, T(0)))


def _silu_derivative(x: Scalar) -> Scalar:
    T = type(x)
    bounded = minimum(maximum(x, lowest(x)), T(64))
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
        formula=r"x\,\sigma(x)",
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
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
    x = minimum(maximum(x, T(1 / QUICK_GELU_SLOPE) * lowest(x)), T(64))
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
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
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
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        paper="Hendrycks & Gimpel (2016), arXiv:1606.08415.",
        cost=0.68,
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
    x = minimum(maximum(x, gelu_tanh_lowest(x)), T(64))
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


gelu_tanh_lowest = ByPrecision(
    float32=scalar(lambda x: np.float32(-10.9)), float64=scalar(lambda x: np.float64(-21.597))
)


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
        formula=r"\tfrac{x}{2}\left(1 + \tanh\left(\sqrt{2/\pi}\,(x + 0.044715\,x^3)\right)\right)",
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
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
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
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
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        paper="Barron (2021), Squareplus: a softplus-like algebraic rectifier, arXiv:2112.11687.",
        check=lambda b: require(number(b) >= 0, "b must not be negative", b),
        samples=((), (1.0,)),
        cost=0.73,
    )
)
