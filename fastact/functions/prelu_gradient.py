"""The gradient of prelu: that of the input, and that of the weight, which is summed over the axes along which it was broadcast."""

import math
from functools import partial
from typing import Any

import numpy as np

from fastact.calls.checking import checked_out
from fastact.calls.containers import at_one_shape, is_foreign, masked, within
from fastact.calls.layout import Layout, broadcast_axes
from fastact.calls.lazy import refuse_out, sum_to
from fastact.calls.order import empty_like_all
from fastact.calls.quiet import quietly
from fastact.calls.refusals import refuse_bfloat16, translated
from fastact.calls.widening import taking_bfloat16
from fastact.functions.common import unless_nan
from fastact.functions.op_calls import elementwise, weak
from fastact.functions.shared_gradients import SharedGradients
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, select

LARGE = 2**14
"""Elements from which on both gradients take one pass."""
MANY = 4096
"""A sum of so many elements is worth some thought."""


def public_prelu_backward(ufunc: Any) -> Any:
    @taking_bfloat16
    def prelu_backward(grad: Any, x: Any, weight: Any, out: Any = None) -> tuple[Any, Any]:
        if not (type(grad) is type(x) is type(weight) is np.ndarray) and any(map(is_foreign, (grad, x, weight))):
            operands = {"grad": grad, "x": x, "weight": weight}
            lazy = partial(_lazy_gradients, ufunc)
            gradients: tuple[Any, Any] = within(prelu_backward, _PRELU_BACKWARD, operands, {"out": out}, lazy=lazy)
            return gradients
        weight = weak(weight)
        shapes = np.shape(x), np.shape(weight)
        arrays = at_one_shape(grad, x, weight)
        for a in arrays:
            if type(a) is np.ndarray:
                refuse_bfloat16(a.dtype)
        try:
            found: tuple[Any, Any] = quietly(_prelu_gradients, ufunc, arrays, shapes, _pair(out, shapes))
        except TypeError as error:
            raise translated(error, {"grad": grad, "x": x, "weight": weight}) from None
        return found

    return prelu_backward


def _prelu_gradients(ufunc: Any, operands: tuple[Any, ...], shapes: tuple[Any, Any], outs: tuple[Any, Any]) -> Any:
    """Both gradients of operands of which the last two have these shapes."""
    full = np.broadcast_shapes(np.shape(operands[0]), *shapes)
    together = _of_large(ufunc, operands, shapes, full, outs)
    if together is not None:
        return together
    direct = tuple(given if shape == full else None for given, shape in zip(outs, shapes, strict=True))
    if shapes == (full, full):
        return ufunc(*operands, out=direct)
    if not _are_halves(*operands):
        grads = ufunc(*operands, out=direct)
        return _sum_to(grads[0], shapes[0], outs[0]), _sum_to(grads[1], shapes[1], outs[1])
    # Products that are summed are not rounded to halves first: they would overflow, or vanish.
    grads = ufunc(*operands, out=direct, dtype=np.float32)
    return tuple(_sum_to(*of, np.float16) for of in zip(grads, shapes, outs, strict=True))


@scalar
def slope_by_x(x: Scalar, weight: Scalar) -> Scalar:
    """The derivative of prelu by its input."""
    T = type(x)
    return unless_nan(x, select(x > T(0), T(1), weight))


@scalar
def slope_by_weight(x: Scalar) -> Scalar:
    """The derivative of prelu by its weight."""
    T = type(x)
    return select(x > T(0), T(0), x)


@scalar
def _by_x(grad: Scalar, x: Scalar, weight: Scalar) -> Scalar:
    return grad * slope_by_x(x, weight)


@scalar
def _by_weight(grad: Scalar, x: Scalar) -> Scalar:
    return grad * slope_by_weight(x)


_TOGETHER = SharedGradients("prelu_backward.shared", _by_x, _by_weight, "grad x weight", cost=0.3)


def _of_large(
    ufunc: Any, operands: tuple[Any, ...], shapes: tuple[Any, Any], full: tuple[int, ...], outs: Any
) -> tuple[Any, Any] | None:
    """Both gradients in one pass, of large arrays whose slopes belong to neighbouring axes; ``None`` of others."""
    if math.prod(full) < LARGE or shapes[0] != full or any(isinstance(a, np.ma.MaskedArray) for a in operands):
        return None
    padded = (1,) * (len(full) - len(shapes[1])) + tuple(shapes[1])
    axes = tuple(k for k, n in enumerate(padded) if n > 1)
    if axes and axes != tuple(range(axes[0], axes[-1] + 1)):
        return None
    kinds = [type(a) if type(a) in (int, float) else np.asarray(a).dtype for a in operands]
    dtype = ufunc.resolve_dtypes((*kinds, None, None))[-1]
    grad, x, weight = (quietly(np.asarray, a, dtype) for a in operands)
    grad = np.broadcast_to(grad, full)
    if not axes:
        by_x, by_weight = _of_one_slope(grad, x, weight, outs[0])
    else:
        shared = weight.reshape(tuple(full[k] for k in axes))
        by_x, by_weight = _TOGETHER.of({"grad": grad, "x": x}, {"weight": shared}, (), axes, outs[0])
    by_weight = by_weight.reshape(shapes[1])
    if outs[1] is None:
        return by_x, by_weight[()]
    quietly(np.copyto, outs[1], by_weight, casting="same_kind")
    return by_x, outs[1]


def _of_one_slope(grad: Any, x: Any, weight: Any, out: Any) -> tuple[Any, Any]:
    """Both gradients where all elements have the same slope: of a few parts, which threads share."""
    result = empty_like_all([grad, x], x.dtype) if out is None else out
    parts = 1
    while x.size % (2 * parts) == 0 and x.size >= 2 * parts * MANY:
        parts *= 2
    shape = parts, 1, x.size // parts
    place = result.reshape(shape) if result.flags.c_contiguous else None
    rows = {"grad": np.ascontiguousarray(grad).reshape(shape), "x": np.ascontiguousarray(x).reshape(shape)}
    by_x, by_weight = _TOGETHER.of(rows, {"weight": weight.reshape(1)}, (), 1, place)
    if place is None:
        quietly(np.copyto, result, by_x.reshape(x.shape), casting="same_kind")
    return result, by_weight


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


def reference_prelu_backward(m: Any, grad: Any, x: Any, weight: Any) -> tuple[Any, Any]:
    by_weight, shape = grad * m.where(x > 0, 0.0, x), np.shape(weight)
    before = by_weight.ndim - len(shape)
    summed = tuple(k for k in range(by_weight.ndim) if k < before or shape[k - before] == 1)
    return grad * m.where(x != x, x, m.where(x > 0, 1.0, weight)), np.sum(by_weight, summed).reshape(shape)
