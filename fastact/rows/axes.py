"""The ``axis`` argument of functions over rows: an integer, a tuple, or None for all."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

Axis = int | tuple[int, ...] | None


def over_axes(
    gufunc: Callable[..., Any], operands: tuple[Any, ...], axis: Axis, out: Any, arguments: dict[str, Any]
) -> Any:
    """Call a gufunc ``(n),...->(n)`` over several axes as if they were one.

    NumPy itself takes one axis. Several are moved to the end and made one, which copies them unless they lie so already.
    """
    arrays = np.broadcast_arrays(*operands)
    shape, ndim = arrays[0].shape, arrays[0].ndim
    axes = _normalised(axis, ndim)
    last = tuple(range(ndim - len(axes), ndim))
    moved = [np.moveaxis(array, axes, last) for array in arrays]
    kept = moved[0].shape[: ndim - len(axes)]
    together = math.prod(moved[0].shape[ndim - len(axes) :])
    result = gufunc(*(array.reshape(*kept, together) for array in moved), **arguments)
    result = np.moveaxis(result.reshape(moved[0].shape), last, axes)
    if not ndim:
        result = result[()]
    return result if out is None else _written(result, out, shape)


def reduce_axes(
    gufunc: Callable[..., Any], x: Any, axis: Axis, keepdims: bool, out: Any, arguments: dict[str, Any]
) -> Any:
    """Call a gufunc ``(n)->()`` over several axes as if they were one."""
    x = np.asarray(x)
    axes = _normalised(axis, x.ndim)
    kept = [k for k in range(x.ndim) if k not in axes]
    moved = x.transpose(*kept, *axes)
    together = math.prod(x.shape[k] for k in axes)
    result = gufunc(moved.reshape(*(x.shape[k] for k in kept), together), **arguments)
    if keepdims:
        result = np.expand_dims(result, axes)
    return result if out is None else _written(result, out, np.shape(result))


def is_scalar(x: Any) -> bool:
    """Whether ``x`` has no axis, in a form that takes no conversion to see."""
    return isinstance(x, int | float) or getattr(x, "ndim", None) == 0


def _normalised(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes counted from the front; a scalar has an only one where NumPy's reductions say so."""
    if ndim == 0 and axis in (0, -1):
        return ()
    return normalize_axis_tuple(range(ndim) if axis is None else axis, ndim, "axis")


def _written(result: Any, out: Any, shape: tuple[int, ...]) -> Any:
    (target,) = out if isinstance(out, tuple) else (out,)
    if np.shape(target) != shape:
        raise ValueError(f"out has shape {np.shape(target)}, the result has shape {shape}")
    np.copyto(target, result, casting="same_kind")
    return target
