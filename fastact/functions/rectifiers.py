"""Piecewise linear and quadratic ops: the rectifiers, the hard sigmoids and the shrinks."""

from typing import Any

from fastact.functions.common import INF, real, require, unless_nan
from fastact.functions.elementwise import FromOutput, Op, register
from fastact.functions.prelu_gradient import (
    public_prelu_backward,
    reference_prelu_backward,
    slope_by_weight,
    slope_by_x,
)
from fastact.functions.properties import Traits
from fastact.functions.random_slopes import (
    RRELU_LOWER,
    RRELU_UPPER,
    check_rrelu,
    public_rrelu,
    public_rrelu_backward,
    reference_rrelu_backward,
)
from fastact.functions.record import SHARES, Operand, Variant, along_axis
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, absolute, copysign, fma, maximum, minimum, select, widen


def _relu(x: Scalar) -> Scalar:
    T = type(x)
    return maximum(x, T(0))


def _relu_derivative(x: Scalar) -> Scalar:
    T = type(x)
    return unless_nan(x, select(x > T(0), T(1), T(0)))


def _relu_from_output(output: Scalar) -> Scalar:
    return _relu_derivative(output)


register(
    Op(
        forward=_relu,
        derivative=_relu_derivative,
        reference=lambda m, x: m.where(x > 0, x, 0 * m.finite(x)),
        reference_derivative=lambda m, x: (m.where(x > 0, 1.0, 0.0 * m.finite(x)),),
        summary="Rectified linear unit.",
        formula=r"\max(x, 0)",
        derivative_formula=r"x > 0\ ?\ 1 : 0",
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        kinks={0.0: 0.0},
        from_output=FromOutput(
            _relu_from_output,
            lambda m, y: m.where(y > 0, 1.0, 0.0 * m.finite(y)),
            r"y > 0\ ?\ 1 : 0",
            "Nothing is lost: this is what `relu_backward` gives.",
            ulp=0.0,
        ),
        traits=Traits(),
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
        derivative_formula=r"0 < x < 6\ ?\ 1 : 0",
        limits={-INF: 0.0, INF: 6.0},
        derivative_limits={-INF: 0.0, INF: 0.0},
        kinks={0.0: 0.0, 6.0: 0.0},
        traits=Traits(),
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


def _leaky_relu_from_output(output: Scalar, negative_slope: Scalar) -> Scalar:
    return _leaky_relu_derivative(output, negative_slope)


def _check_slope(negative_slope: Any) -> None:
    require(
        real("negative_slope", negative_slope) >= 0,
        "negative_slope must not be negative where the output is to tell the sign of the input",
        negative_slope,
    )


register(
    Op(
        forward=_leaky_relu,
        derivative=_leaky_relu_derivative,
        reference=lambda m, x, negative_slope: m.where(x > 0, x, negative_slope * x),
        reference_derivative=lambda m, x, negative_slope: (m.where(x > 0, 1.0, negative_slope + 0.0 * m.finite(x)),),
        summary="Rectified linear unit with a small slope below zero.",
        known_as=("lrelu",),
        formula=r"x > 0\ ?\ x : \mathtt{negative\_slope} \cdot x",
        derivative_formula=r"x > 0\ ?\ 1 : \mathtt{negative\_slope}",
        limits={-INF: -INF, INF: INF},
        derivative_limits={-INF: 0.01, INF: 1.0},
        kinks={0.0: 0.01},
        from_output=FromOutput(
            _leaky_relu_from_output,
            lambda m, y, negative_slope: m.where(y > 0, 1.0, negative_slope + 0.0 * m.finite(y)),
            r"y > 0\ ?\ 1 : \mathtt{negative\_slope}",
            "Nothing is lost: this is what `leaky_relu_backward` gives.",
            check=_check_slope,
            ulp=1.0,
        ),
        traits=Traits(),
        paper="Maas, Hannun & Ng (2013), Rectifier nonlinearities improve neural network acoustic models.",
        samples=((), (0.5,), (2.0,)),
        cost=0.14,
    )
)


def _prelu(x: Scalar, weight: Scalar) -> Scalar:
    T = type(x)
    return select(x > T(0), x, T(weight) * x)


def _prelu_derivative(x: Scalar, weight: Scalar) -> tuple[Scalar, Scalar]:
    return slope_by_x(x, weight), slope_by_weight(x)


register(
    Op(
        forward=_prelu,
        derivative=_prelu_derivative,
        reference=lambda m, x, weight: m.where(x > 0, x, weight * x),
        reference_derivative=lambda m, x, weight: (m.where(x > 0, 1.0, weight + 0.0 * m.finite(x)),),
        summary="Rectified linear unit with a learnt slope below zero, which broadcasts against `x`.",
        formula=r"x > 0\ ?\ x : \mathtt{weight} \cdot x",
        derivative_formula=(r"x > 0\ ?\ 1 : \mathtt{weight}", r"x > 0\ ?\ 0 : x"),
        limits={-INF: -INF, INF: INF},
        derivative_limits={-INF: 0.25, INF: 1.0},
        kinks={0.0: 0.25},
        traits=Traits(),
        paper="He, Zhang, Ren & Sun (2015), Delving deep into rectifiers, arXiv:1502.01852.",
        samples=((0.25,), (-1.5,)),
        gradients=2,
        public_backward=public_prelu_backward,
        reference_backward=reference_prelu_backward,
        variants_backward=[Variant({"weight": Operand(shape=along_axis)})],
        cost=0.14,
    )
)


def _rrelu(x: Scalar, lower: Scalar = RRELU_LOWER, upper: Scalar = RRELU_UPPER) -> Scalar:
    T = type(x)
    return select(x > T(0), x, T(0.5) * (T(lower) + T(upper)) * x)


def _rrelu_derivative(x: Scalar, lower: Scalar, upper: Scalar) -> Scalar:
    T = type(x)
    return unless_nan(x, select(x > T(0), T(1), T(0.5) * (lower + upper)))


register(
    Op(
        forward=_rrelu,
        derivative=_rrelu_derivative,
        reference=lambda m, x, lower, upper: m.where(x > 0, x, (lower + upper) / 2 * x),
        reference_derivative=lambda m, x, lower, upper: (m.where(x > 0, 1.0, (lower + upper) / 2 + 0.0 * m.finite(x)),),
        summary="Randomised leaky rectified linear unit: a random slope below zero in training, its mean otherwise.",
        known_as=("randomized_leaky_relu",),
        formula=r"x > 0\ ?\ x : s x,\ s \sim U(\mathtt{lower}, \mathtt{upper})",
        derivative_formula=r"x > 0\ ?\ 1 : s",
        limits={-INF: -INF, INF: INF},
        derivative_limits={-INF: (1 / 8 + 1 / 3) / 2, INF: 1.0},
        kinks={0.0: (1 / 8 + 1 / 3) / 2},
        traits=Traits(),
        paper="Xu, Wang, Chen & Li (2015), Empirical evaluation of rectified activations, arXiv:1505.00853.",
        check=check_rrelu,
        samples=((), (0.25, 0.5)),
        public=public_rrelu,
        public_backward=public_rrelu_backward,
        reference_backward=reference_rrelu_backward,
        variants=[Variant({"training": True, "rng": 0}, random=True)],
        variants_backward=[Variant({"slopes": SHARES})],
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
        derivative_formula=r"\mathtt{min\_val} < x < \mathtt{max\_val}\ ?\ 1 : 0",
        limits={-INF: -1.0, INF: 1.0},
        derivative_limits={-INF: 0.0, INF: 0.0},
        kinks={-1.0: 0.0, 1.0: 0.0},
        traits=Traits(),
        paper="Collobert (2004), Large scale machine learning.",
        check=lambda min_val, max_val: require(
            real("min_val", min_val) <= real("max_val", max_val), "min_val must not exceed max_val", min_val, max_val
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
        derivative_formula=r"-3 < x < 3\ ?\ 1/6 : 0",
        limits={-INF: 0.0, INF: 1.0},
        derivative_limits={-INF: 0.0, INF: 0.0},
        kinks={-3.0: 0.0, 3.0: 0.0},
        traits=Traits(),
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
        known_as=("hard_silu",),
        formula=r"x \min(\max(x + 3, 0), 6) / 6",
        derivative_formula=r"|x| < 3\ ?\ (2 x + 3) / 6 : (x > 0\ ?\ 1 : 0)",
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        kinks={-3.0: 0.0, 3.0: 1.0},
        traits=Traits(turns=(-1.5,)),
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
    require(real("lambd", lambd) >= 0, "lambd must not be negative", lambd)


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
        derivative_formula=r"|x| > \mathtt{lambd}\ ?\ 1 : 0",
        limits={-INF: -INF, INF: INF},
        derivative_limits={-INF: 1.0, INF: 1.0},
        kinks={-0.5: 0.0, 0.5: 0.0},
        traits=Traits(),
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
        derivative_formula=r"|x| > \mathtt{lambd}\ ?\ 1 : 0",
        limits={-INF: -INF, INF: INF},
        derivative_limits={-INF: 1.0, INF: 1.0},
        kinks={-0.5: 0.0, 0.5: 0.0},
        traits=Traits(),
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
        known_as=("thresholded_relu",),
        formula=r"x > \mathtt{threshold}\ ?\ x : \mathtt{value}",
        derivative_formula=r"x > \mathtt{threshold}\ ?\ 1 : 0",
        limits={-INF: -1.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        kinks={0.5: 0.0},
        traits=Traits(fixed_point=(-0.295026, 1.15597)),
        paper="The generalised rectifier of Collobert, Kavukcuoglu & Farabet (2011), Torch7.",
        samples=((0.5, -1.0),),
        cost=0.14,
    )
)
