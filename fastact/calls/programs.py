"""How a function reaches a program over rows whose operands differ: arrays of rows, arrays that all rows share, options."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from fastact.calls.axes import Axis, checked_axis
from fastact.calls.checking import at_one_shape, checked_out, only_axis, sole
from fastact.calls.containers import is_container, refuse_masked, within
from fastact.calls.layout import Layout
from fastact.calls.order import empty_like_all
from fastact.calls.quiet import quietly
from fastact.calls.refusals import refuse_bfloat16, translated
from fastact.calls.row_ufuncs import KERNELS


def of_rows(
    ufunc: Any,
    rows: Mapping[str, Any],
    shared: Mapping[str, Any],
    options: Sequence[float],
    axis: Axis,
    out: Any,
) -> Any:
    """Call the ufunc of a program along one axis, or several as if they were one.

    Parameters
    ----------
    ufunc : numpy.ufunc
        From ``row_ufunc``; its first results are rows, and are returned, alone or before the numbers of each row.
    rows : mapping of str to array
        Operands that broadcast to one shape, by the names of the public function's parameters.
    shared : mapping of str to array
        Operands of the shape of the axes, which all rows have in common.
    options : sequence of float
        Values of the program's options.
    axis : int, tuple of int or None
        The axes in the broadcast shape; None stands for all.
    out : ndarray, tuple of ndarray or None
        Where the row results are written; a tuple, some of which may be ``None``, where there are several.
    """
    kernel = KERNELS[ufunc]
    written = len(kernel.rows_written)
    arrays = at_one_shape_of(rows)
    for x in arrays:
        refuse_bfloat16(x.dtype)
    shape = arrays[0].shape
    axes = axes_of(axis, len(shape))
    given = [as_rows(x, axes) for x in arrays]
    given += [of_one_row(name, x, shape, axes) for name, x in shared.items()]
    results = list(checked_outs(out, shape, written))
    numbers = [np.array(options, np.float64)] if options else []
    try:
        if any(result is None for result in results):
            dtype = result_dtype(ufunc, (*given, *numbers))
            results = [empty_like_all(arrays, dtype) if result is None else result for result in results]
        targets, indirect = places_of_rows(results, axes)
        nothing = (None,) * (kernel.outputs - written)
        found = quietly(ufunc, *given, *numbers, out=(*targets, *nothing))
    except TypeError as error:
        raise translated(error, {**rows, **shared}) from None
    put_back(results, indirect, axes)
    whole = tuple(result if out is not None or result.ndim else result[()] for result in results)
    return whole[0] if kernel.outputs == 1 else (*whole, *found[written:])


def at_one_shape_of(rows: Mapping[str, Any]) -> list[Any]:
    """Operands as arrays of the shape that all broadcast to."""
    arrays = {name: np.asarray(x) for name, x in rows.items()}
    first, *others = arrays.values()
    same = all(x.shape == first.shape for x in others)
    return list(arrays.values()) if same else at_one_shape(arrays)


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes of a row counted from the front, in order."""
    if type(axis) is int:
        return (only_axis(axis, ndim),)
    axis = checked_axis(axis)
    axes = tuple(sorted(normalize_axis_tuple(range(ndim) if axis is None else axis, ndim, "axis")))
    if not axes:
        raise ValueError(f"axis must name at least one axis, got {axis!r} for an array of {ndim} dimensions")
    return axes


def as_rows(x: Any, axes: tuple[int, ...]) -> Any:
    """An array with its rows along the last axis: a view, unless several axes do not lie as one."""
    last = _axes_last(x, axes)
    return last if len(axes) == 1 else last.reshape(*last.shape[: x.ndim - len(axes)], -1)


def _axes_last(x: Any, axes: tuple[int, ...]) -> Any:
    return x if axes[0] == x.ndim - len(axes) else np.moveaxis(x, axes, range(-len(axes), 0))


def of_one_row(name: str, x: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """An operand that all rows share as one row; ``ValueError`` if it has another shape than the axes."""
    x = np.asarray(x)
    wanted = tuple(shape[k] for k in axes)
    if x.shape != wanted:
        raise ValueError(f"{name} must have the shape {wanted}, got {x.shape}")
    return x.reshape(-1)


def checked_outs(out: Any, shape: tuple[int, ...], count: int) -> tuple[Any, ...]:
    """``out=`` as an array or ``None`` for each of so many results of a shape."""
    if out is None:
        return (None,) * count
    if count == 1:
        return (checked_out(sole(out), shape),)
    if not isinstance(out, tuple) or len(out) != count:
        raise TypeError(f"out must be a tuple of {count} arrays or None, got {type(out).__name__}")
    found = tuple(None if given is None else checked_out(given, shape) for given in out)
    for first, second in combinations([one for one in found if one is not None], 2):
        if np.may_share_memory(first, second) and np.shares_memory(first, second):
            raise ValueError("out must be arrays that do not overlap")
    return found


def result_place(out: Any, arrays: Sequence[Any], dtype: Any) -> Any:
    """Where results of a dtype are written: a checked ``out`` that they cast to, else an array that lies as the operands do."""
    if out is None:
        return empty_like_all(arrays, dtype)
    check_casts(dtype, out)
    return out


def check_casts(dtype: Any, out: Any) -> None:
    """``TypeError`` for an array that results of a dtype may not be written to."""
    if not np.can_cast(dtype, out.dtype, "same_kind"):
        raise TypeError(f"out must be of a dtype that {dtype} casts to as 'same_kind', got {out.dtype}")


def result_dtype(ufunc: Any, operands: Sequence[Any]) -> Any:
    """The dtype of a program's first result."""
    found = ufunc.resolve_dtypes((*(x.dtype for x in operands), *[None] * ufunc.nout))[ufunc.nin]
    refuse_bfloat16(found)
    return found


def places_of_rows(results: Sequence[Any], axes: tuple[int, ...]) -> tuple[list[Any], list[Any]]:
    """Where rows are written: views of the results, or, for those whose rows do not lie as one axis, other arrays, given again."""
    targets, indirect = [], []
    for result in results:
        place = as_rows(result, axes)
        apart = len(axes) > 1 and result.size and not np.shares_memory(place, result)
        targets.append(place)
        indirect.append(place if apart else None)
    return targets, indirect


def put_back(results: Sequence[Any], indirect: Sequence[Any], axes: tuple[int, ...]) -> None:
    """Copy rows that were written elsewhere to the results."""
    for result, rows in zip(results, indirect, strict=True):
        if rows is not None:
            places = _axes_last(result, axes)
            places[...] = rows.reshape(places.shape)


def contained(
    function: Callable[..., Any],
    rows: Mapping[str, Any],
    shared: Mapping[str, Any],
    options: Mapping[str, Any],
    results: Sequence[str] = ("...n",),
) -> Any:
    """Call ``function`` with operands some of which are containers; ``NotImplemented`` if none is.

    A mask hides elements that a mean, say, must not count, which a program cannot know: masked arrays are refused.
    """
    operands = {**rows, **shared}
    if not any(map(is_container, (*operands.values(), options.get("out")))):
        return NotImplemented
    refuse_masked(function, {**operands, "out": options.get("out")}, "counts every element")
    layout = Layout({**dict.fromkeys(rows, "...n"), **dict.fromkeys(shared, "n")}, tuple(results))
    return within(function, layout, operands, options)
