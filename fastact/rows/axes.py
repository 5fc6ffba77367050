"""The ``axis`` argument of functions over rows: an integer, a tuple, or None for all."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from fastact.containers import is_container, like

Axis = int | tuple[int, ...] | None


def over_axes(
    gufunc: Callable[..., Any], operands: tuple[Any, ...], axis: Axis, out: Any, arguments: dict[str, Any]
) -> Any:
    """Call a gufunc ``(n),...->(n)`` over several axes as if they were one.

    NumPy itself takes one axis. Several are moved to the end and made one, which copies them unless they lie so already.
    """
    if any(map(is_container, operands)):
        result = over_axes(gufunc, tuple(map(np.asarray, operands)), axis, out, arguments)
        return like(next(filter(is_container, operands)), result)
    arrays = np.broadcast_arrays(*operands, subok=True)
    shape, ndim = arrays[0].shape, arrays[0].ndim
    axes = normalize_axis_tuple(range(ndim) if axis is None else axis, ndim, "axis")
    last = tuple(range(ndim - len(axes), ndim))
    moved = [np.moveaxis(array, axes, last) for array in arrays]
    kept = moved[0].shape[: ndim - len(axes)]
    result = gufunc(*(array.reshape(*kept, -1) for array in moved), **arguments)
    result = np.moveaxis(result.reshape(moved[0].shape), last, axes)
    return like(operands[0], result) if out is None else _written(result, out, shape)


def reduce_axes(
    gufunc: Callable[..., Any], x: Any, axis: Axis, keepdims: bool, out: Any, arguments: dict[str, Any]
) -> Any:
    """Call a gufunc ``(n)->()`` over several axes as if they were one."""
    given, x = x, np.asanyarray(x)
    axes = normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim, "axis")
    kept = [k for k in range(x.ndim) if k not in axes]
    moved = x.transpose(*kept, *axes)
    result = gufunc(moved.reshape(*(x.shape[k] for k in kept), -1), **arguments)
    if keepdims:
        result = np.expand_dims(result, axes)
    return like(given, result) if out is None else _written(result, out, np.shape(result))


def _written(result: Any, out: Any, shape: tuple[int, ...]) -> Any:
    (target,) = out if isinstance(out, tuple) else (out,)
    if np.shape(target) != shape:
        raise ValueError(f"out has shape {np.shape(target)}, the result has shape {shape}")
    np.copyto(target, result, casting="same_kind")
    return target
