"""Piecewise linear and quadratic ops: the rectifiers, the hard sigmoids and the shrinks."""

import math
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from fastact.calls.checking import UFUNC_ARGUMENTS, checked_out, refuse_unknown, switch
from fastact.calls.containers import at_one_shape, is_foreign, is_tensor, masked, within
from fastact.calls.layout import Layout, broadcast_axes
from fastact.calls.lazy import lazily, refuse_out, refuse_unknown_lengths, sum_to
from fastact.calls.quiet import quietly
from fastact.functions.common import INF, real, require, unless_nan
from fastact.functions.elementwise import Op, elementwise, register
from fastact.functions.properties import Traits
from fastact.functions.record import SHARES, Operand, Variant, along_axis
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, absolute, copysign, fma, maximum, minimum, select, widen


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


register(
    Op(
        forward=_leaky_relu,
        derivative=_leaky_relu_derivative,
        reference=lambda m, x, negative_slope: m.where(x > 0, x, negative_slope * x),
        reference_derivative=lambda m, x, negative_slope: (m.where(x > 0, 1.0, negative_slope + 0.0 * m.finite(x)),),
        summary="Rectified linear unit with a small slope below zero.",
        known_as=("lrelu",),
        formula=r"x > 0\ ?\ x : \mathtt{negative\_slope} \cdot x",
        limits={-INF: -INF, INF: INF},
        derivative_limits={-INF: 0.01, INF: 1.0},
        kinks={0.0: 0.01},
        traits=Traits(),
        paper="Maas, Hannun & Ng (2013), Rectifier nonlinearities improve neural network acoustic models.",
        samples=((), (0.5,), (2.0,)),
        cost=0.14,
    )
)


MANY = 4096
"""A sum of so many elements is worth some thought."""


def _prelu(x: Scalar, weight: Scalar) -> Scalar:
    T = type(x)
    return select(x > T(0), x, T(weight) * x)


def _prelu_derivative(x: Scalar, weight: Scalar) -> tuple[Scalar, Scalar]:
    T = type(x)
    return unless_nan(x, select(x > T(0), T(1), weight)), select(x > T(0), T(0), x)


def _prelu_backward(ufunc: Any) -> Any:
    def prelu_backward(grad: Any, x: Any, weight: Any, out: Any = None) -> tuple[Any, Any]:
        if not (type(grad) is type(x) is type(weight) is np.ndarray) and any(map(is_foreign, (grad, x, weight))):
            operands = {"grad": grad, "x": x, "weight": weight}
            lazy = partial(_lazy_gradients, ufunc)
            gradients: tuple[Any, Any] = within(prelu_backward, _PRELU_BACKWARD, operands, {"out": out}, lazy=lazy)
            return gradients
        shapes = np.shape(x), np.shape(weight)
        arrays = at_one_shape(grad, x, weight)
        found: tuple[Any, Any] = quietly(_prelu_gradients, ufunc, arrays, shapes, _pair(out, shapes))
        return found

    return prelu_backward


def _prelu_gradients(ufunc: Any, operands: tuple[Any, ...], shapes: tuple[Any, Any], outs: tuple[Any, Any]) -> Any:
    """Both gradients of operands of which the last two have these shapes."""
    full = np.broadcast_shapes(np.shape(operands[0]), *shapes)
    direct = tuple(given if shape == full else None for given, shape in zip(outs, shapes, strict=True))
    if shapes == (full, full):
        return ufunc(*operands, out=direct)
    if not _are_halves(*operands):
        grads = ufunc(*operands, out=direct)
        return _sum_to(grads[0], shapes[0], outs[0]), _sum_to(grads[1], shapes[1], outs[1])
    # Products that are summed are not rounded to halves first: they would overflow, or vanish.
    grads = ufunc(*operands, out=direct, dtype=np.float32)
    return tuple(_sum_to(*of, np.float16) for of in zip(grads, shapes, outs, strict=True))


def _are_halves(*operands: Any) -> bool:
    """Whether their products are float16, in either byte order."""
    kinds = [a if type(a) in (bool, int, float) else getattr(a, "dtype", None) for a in operands]
    if not any(getattr(k, "type", None) is np.float16 for k in kinds):
        return False
    return all(isinstance(k, (np.dtype, int, float)) for k in kinds) and bool(np.result_type(*kinds) == np.float16)


_PRELU_BACKWARD = Layout({"grad": "...", "x": "...", "weight": "..."}, ("...", "..."), owners=("x", "weight"))


def _lazy_gradients(
    ufunc: Any, function: Any, layout: Layout, operands: dict[str, Any], options: dict[str, Any]
) -> tuple[Any, Any]:
    """Both gradients of dask arrays, summed as those of others."""
    refuse_out(options)
    by_x, by_weight = elementwise(ufunc, operands, {})
    return sum_to(by_x, np.shape(operands["x"])), sum_to(by_weight, np.shape(operands["weight"]))


def _pair(out: Any, shapes: tuple[Any, Any]) -> tuple[Any, Any]:
    """``out=`` as an array or ``None`` for each gradient, both checked before either is written to.

    NumPy's ufuncs would also take one that is too large.
    """
    if out is None:
        return None, None
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError("out must be a tuple (grad_x, grad_weight) of arrays or None")
    for name, given, shape in zip(("x", "weight"), out, shapes, strict=True):
        if given is None:
            continue
        checked_out(given, shape, f"out for grad_{name}")
        if not np.can_cast(np.float16, given.dtype, "same_kind"):
            raise TypeError(
                f"out for grad_{name} must be of floats, to which those cast as 'same_kind', got {given.dtype}"
            )
    return out


def _sum_to(grad: Any, shape: tuple[int, ...], out: Any, dtype: Any = None) -> Any:
    """Sum a gradient over the axes along which its operand was broadcast, in that or its own dtype, and into ``out`` if given."""
    axes = broadcast_axes(grad.shape, shape)
    if not axes:
        return grad if out is not None or dtype is None else grad.astype(dtype)
    if isinstance(grad, np.ma.MaskedArray):  # which leaves masked elements out
        total = grad.sum(axis=axes, keepdims=True, dtype=np.float64)
    else:
        total = _sum(np.asarray(grad), axes)
    total = total.reshape(shape).astype(grad.dtype if dtype is None else dtype)
    if out is None:
        return total[()]
    np.copyto(out, total, casting="same_kind")
    return masked(out, np.ma.getmaskarray(total), out)


def _sum(array: Any, axes: tuple[int, ...]) -> Any:
    """The sum over these axes in float64, whatever the array's layout."""
    array = np.ascontiguousarray(array)
    if array.size < MANY:
        return np.add.reduce(array, axis=axes, dtype=np.float64)
    shape: list[int] = []
    summed: list[bool] = []
    for axis, n in enumerate(array.shape):  # neighbours that are summed, or not, are one axis
        if summed and summed[-1] == (axis in axes):
            shape[-1] *= n
        else:
            shape.append(n)
            summed.append(axis in axes)
    array = array.reshape(shape)
    for axis in reversed(range(len(shape))):
        if summed[axis]:
            array = _sum_along(array, axis)
    return array


def _sum_along(array: Any, axis: int) -> Any:
    """The sum over one axis in float64, many rows in parts: then error, and time, grow with the root of their number only."""
    if axis == array.ndim - 1:  # which NumPy does in parts of its own
        return np.add.reduce(array, axis=axis, dtype=np.float64)
    before, n, after = array.shape[:axis], array.shape[axis], array.shape[axis + 1 :]
    part = math.isqrt(n)
    head, tail = np.split(array, [n // part * part], axis=axis)
    sums = np.add.reduce(head.reshape(*before, n // part, part, *after), axis=axis, dtype=np.float64)
    return np.add.reduce(sums, axis=axis) + np.add.reduce(tail, axis=axis, dtype=np.float64)


def _reference_prelu_backward(m: Any, grad: Any, x: Any, weight: Any) -> tuple[Any, Any]:
    by_weight, shape = grad * m.where(x > 0, 0.0, x), np.shape(weight)
    before = by_weight.ndim - len(shape)
    summed = tuple(k for k in range(by_weight.ndim) if k < before or shape[k - before] == 1)
    return grad * m.where(x > 0, 1.0, weight), np.sum(by_weight, summed).reshape(shape)


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
        traits=Traits(),
        paper="He, Zhang, Ren & Sun (2015), Delving deep into rectifiers, arXiv:1502.01852.",
        samples=((0.25,), (-1.5,)),
        gradients=2,
        public_backward=_prelu_backward,
        reference_backward=_reference_prelu_backward,
        variants_backward=[Variant({"weight": Operand(shape=along_axis)})],
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
    require(real("lower", lower) <= real("upper", upper), "lower must not exceed upper", lower, upper)


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
        if ufunc_arguments:
            refuse_unknown("rrelu", ufunc_arguments, _RRELU_KEYWORDS)
        if training is False or not switch("training", training):
            return at_mean(x, lower, upper, out, **ufunc_arguments)
        _check_rrelu(lower, upper)
        lower, upper = real("lower", lower), real("upper", upper)
        if is_foreign(x):
            operands, options = {"x": x}, {"lower": lower, "upper": upper, "training": True, "rng": rng, "out": out}
            return within(rrelu, _RRELU, operands, options | ufunc_arguments, lazy=partial(_lazy_rrelu, at_mean.ufunc))
        x = np.asanyarray(x)
        dtype = np.result_type(x, np.float16) if x.dtype.kind in "biuf" else x.dtype
        draws = np.random.default_rng(rng).random(x.shape, dtype=np.float64 if dtype == np.float64 else np.float32)
        slopes = quietly(_slopes, draws, lower, upper, dtype)
        result = at_mean.ufunc(x, slopes, slopes, out=out, **ufunc_arguments)
        return result, masked(slopes, x.mask, None, x) if isinstance(x, np.ma.MaskedArray) else slopes

    return rrelu


_RRELU = Layout({"x": "..."}, ("...", "..."))
_RRELU_KEYWORDS = ("lower", "upper", "training", "rng", "out", *UFUNC_ARGUMENTS)
_RRELU_BACKWARD_KEYWORDS = ("lower", "upper", "slopes", "out", *UFUNC_ARGUMENTS)


def _slopes(draws: Any, lower: Any, upper: Any, dtype: Any) -> Any:
    """Slopes between two bounds, for draws between 0 and 1."""
    return (lower + (upper - lower) * draws).astype(dtype)


def _lazy_rrelu(
    ufunc: Any, function: Any, layout: Layout, operands: dict[str, Any], options: dict[str, Any]
) -> tuple[Any, Any]:
    """The same of a dask array: each block draws its own slopes, for which the generator is asked once."""
    refuse_out(options)
    x, lower, upper = operands["x"], options["lower"], options["upper"]
    refuse_unknown_lengths("x", x, range(x.ndim))
    seed = np.random.default_rng(options["rng"]).integers(2**63)
    draws = import_module("dask.array").random.default_rng(seed).random(x.shape, chunks=x.chunks)
    of = {"draws": draws, "lower": lower, "upper": upper}
    layout, dtype = Layout(dict.fromkeys(of, "..."), ("...",)), np.result_type(x.dtype, np.float16)
    slopes = lazily(partial(quietly, _slopes), layout, of, {"dtype": dtype})
    return ufunc(x, slopes, slopes), slopes


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
        if ufunc_arguments:
            refuse_unknown("rrelu_backward", ufunc_arguments, _RRELU_BACKWARD_KEYWORDS)
        if slopes is not None and (is_tensor(grad) or is_tensor(x)):
            operands = {"grad": grad, "x": x, "lower": slopes, "upper": slopes}
            return elementwise(at_mean.ufunc, operands, {"out": out, **ufunc_arguments})
        if slopes is not None:
            return at_mean.ufunc(*at_one_shape(grad, x, slopes, slopes), out=out, **ufunc_arguments)
        return at_mean(grad, x, lower, upper, out, **ufunc_arguments)

    return rrelu_backward


def _reference_rrelu_backward(m: Any, grad: Any, x: Any, lower: Any, upper: Any, slopes: Any = None) -> Any:
    return grad * m.where(x > 0, 1.0, (lower + upper) / 2 if slopes is None else slopes)


register(
    Op(
        forward=_rrelu,
        derivative=_rrelu_derivative,
        reference=lambda m, x, lower, upper: m.where(x > 0, x, (lower + upper) / 2 * x),
        reference_derivative=lambda m, x, lower, upper: (m.where(x > 0, 1.0, (lower + upper) / 2 + 0.0 * m.finite(x)),),
        summary="Randomised leaky rectified linear unit: a random slope below zero in training, its mean otherwise.",
        known_as=("randomized_leaky_relu",),
        formula=r"x > 0\ ?\ x : s x,\ s \sim U(\mathtt{lower}, \mathtt{upper})",
        limits={-INF: -INF, INF: INF},
        derivative_limits={-INF: (1 / 8 + 1 / 3) / 2, INF: 1.0},
        kinks={0.0: (1 / 8 + 1 / 3) / 2},
        traits=Traits(),
        paper="Xu, Wang, Chen & Li (2015), Empirical evaluation of rectified activations, arXiv:1505.00853.",
        check=_check_rrelu,
        samples=((), (0.25, 0.5)),
        public=_public_rrelu,
        public_backward=_public_rrelu_backward,
        reference_backward=_reference_rrelu_backward,
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
        limits={-INF: -1.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.0},
        kinks={0.5: 0.0},
        traits=Traits(fixed_point=(-0.295026, 1.15597)),
        paper="The generalised rectifier of Collobert, Kavukcuoglu & Farabet (2011), Torch7.",
        samples=((0.5, -1.0),),
        cost=0.14,
    )
)
