"""The ``axis`` argument of functions over rows: an integer, a tuple, or None for all."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from fastact.calls.checking import as_integer, checked_out
from fastact.calls.long_rows import order_of
from fastact.calls.order import empty_like_all

Axis = int | tuple[int, ...] | None

Call = Callable[[Sequence[Any], int, Any, dict[str, Any]], Any]
"""Computes along one axis: given arrays of one shape, the axis, where the result goes, or ``None``, and a ufunc's arguments."""

LAST = -1
"""The axis by default. An argument that *is* it needs no other check: no number or array that merely equals it is."""


def checked_axis(axis: Any) -> Axis:
    """An axis, some of them, or ``None`` for all; ``TypeError`` for anything else."""
    if axis is None:
        return None
    given = axis if isinstance(axis, tuple) else (axis,)
    found = tuple(number for number in map(as_integer, given) if number is not None)
    if len(found) != len(given):
        raise TypeError(f"axis must be an integer, a tuple of integers or None, got {axis!r}")
    return found if isinstance(axis, tuple) else found[0]


def over_axes(
    along: Call,
    arrays: Sequence[Any],
    axis: Axis,
    out: Any,
    dtype: Any,
    arguments: dict[str, Any],
    likes: int | None = None,
) -> Any:
    """Compute rows from rows of arrays of one shape over several axes as if they were one.

    NumPy itself takes one axis. Neighbours are made one, others are moved to the end before, which copies them unless they lie so
    already. A fresh result, of that dtype, lies in memory as an elementwise expression's of the first `likes` arrays would.
    """
    shape, ndim = arrays[0].shape, arrays[0].ndim
    axes = _normalised(axis, ndim)
    result = empty_like_all(arrays[:likes], dtype, order_of(arguments)) if out is None else checked_out(out, shape)
    views = [_as_one(array, axes) for array in (*arrays, result)]
    if all(view is not None for view in views):
        along(views[:-1], axes[0], views[-1], arguments)
        return result
    last = tuple(range(ndim - len(axes), ndim))
    given = [np.moveaxis(array, axes, last) for array in arrays]
    rows = (*given[0].shape[: ndim - len(axes)], math.prod(given[0].shape[ndim - len(axes) :]))
    places = np.moveaxis(result, axes, last)
    together = _viewed(places, rows)
    computed = along([array.reshape(rows) for array in given], -1, together, arguments)
    if together is None:
        np.copyto(places, computed.reshape(places.shape), casting=arguments.get("casting", "same_kind"))
    return result if out is not None or ndim else result[()]


def reduce_axes(
    along: Call, arrays: Sequence[Any], axis: Axis, keepdims: bool, out: Any, dtype: Any, arguments: dict[str, Any]
) -> Any:
    """Compute a number from rows of arrays of one shape over several axes as if they were one.

    A fresh result lies as ``np.sum``'s of the first array would.
    """
    x = arrays[0]
    axes = _normalised(axis, x.ndim)
    kept = [k for k in range(x.ndim) if k not in axes]
    moved = [array.transpose(*kept, *axes) for array in arrays]
    shape = moved[0].shape[: len(kept)]
    whole = tuple(1 if k in axes else n for k, n in enumerate(x.shape)) if keepdims else shape
    if out is None:
        one = moved[0][(..., *[0] * len(axes))] if x.size else np.empty(shape)
        result = target = empty_like_all([one], dtype, order_of(arguments))
    else:
        result = checked_out(out, whole)
        target = np.squeeze(result, axes) if keepdims else result
    views = [_as_one(array, axes) for array in arrays]
    if all(view is not None for view in views):
        along(views, axes[0], target, arguments)
    else:
        rows = (*shape, math.prod(x.shape[k] for k in axes))
        along([array.reshape(rows) for array in moved], -1, target, arguments)
    if out is not None:
        return out
    return np.expand_dims(result, axes) if keepdims else result[()]


def is_scalar(x: Any) -> bool:
    """Whether ``x`` has no axis, in a form that takes no conversion to see."""
    return isinstance(x, int | float) or getattr(x, "ndim", None) == 0


def _normalised(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes counted from the front; a scalar has an only one where NumPy's reductions say so."""
    if ndim == 0 and axis in (0, -1):
        return ()
    return normalize_axis_tuple(range(ndim) if axis is None else axis, ndim, "axis")


def _as_one(array: Any, axes: tuple[int, ...]) -> Any:
    """A view in which axes that follow each other are one, at the place of the first; ``None`` if there is none."""
    if not axes or axes != tuple(range(axes[0], axes[0] + len(axes))):
        return None
    shape, end = array.shape, axes[-1] + 1
    return _viewed(array, (*shape[: axes[0]], math.prod(shape[axes[0] : end]), *shape[end:]))


def _viewed(array: Any, shape: tuple[int, ...]) -> Any:
    """A view of an array in another shape; ``None`` where that would be a copy."""
    try:
        return np.reshape(array, shape, copy=False)
    except ValueError:
        return None
