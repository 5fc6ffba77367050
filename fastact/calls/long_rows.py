"""A few very long rows: their segments are shared out over the threads, which otherwise take whole rows."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from fastact.calls.checking import checked_out
from fastact.calls.order import empty_like_all
from fastact.calls.row_ufuncs import KERNELS
from fastact.kernels.dtypes import NATIVE
from fastact.kernels.limits import SEGMENT
from fastact.kinds.rows import part_kernels
from fastact.runtime.threads import get_num_threads
from fastact.runtime.ufunc import make_ufunc

LONG = 2**19
"""From this length on a row is worth the calls that it takes to compute it in parts."""

WEAK = (int, float)
"""Python's numbers, of which NumPy takes the value alone: they never widen arrays."""


def along(ufunc: Any, operands: Sequence[Any], axis: int, out: Any, arguments: dict[str, Any]) -> Any:
    """Call the generalised ufunc of a row kernel along one axis of operands of one shape, in parts where that uses more threads."""
    x = operands[0]
    if type(x) is np.ndarray and x.size >= LONG and not arguments and _is_long(operands, axis, out):
        return _in_parts(ufunc, operands, axis, out)
    if out is None and KERNELS[ufunc].kind == "map":
        out = _like(ufunc, operands, axis, arguments)
    if axis == -1:
        return ufunc(*operands, out=out, **arguments)
    return ufunc(*operands, out=out, axis=axis, **arguments)


def _like(ufunc: Any, operands: Sequence[Any], axis: int, arguments: dict[str, Any]) -> Any:
    """An array for results that lie in memory as the operands do, as an elementwise expression's would.

    NumPy would have the elements of a row side by side, whatever the axis, so that rows that lie side by side were written apart.
    ``None`` leaves it to NumPy.
    """
    x, last = operands[0], operands[-1]
    if not arguments and type(x) is np.ndarray:
        if axis == -1 and x.flags.c_contiguous and (x is last or last.flags.c_contiguous):
            return None
        alike = x is last or (x.strides == last.strides and x.dtype.char == last.dtype.char)
        if alike and x.dtype.char in NATIVE and 0 not in x.strides:
            return np.empty_like(x, NATIVE[x.dtype.char])
    elif not arguments and len(operands) == 1 and axis == -1:
        return None  # a list becomes an array in NumPy's usual order
    arrays = [np.asarray(operand) for operand in operands]
    return empty_like_all(arrays, loop_dtypes(ufunc, operands, arguments)[-1], order_of(arguments))


def order_of(arguments: dict[str, Any]) -> str:
    """The ``order`` of a ufunc's arguments."""
    return arguments.get("order") or "K"


def loop_dtypes(ufunc: Any, operands: Sequence[Any], arguments: dict[str, Any]) -> tuple[Any, ...]:
    """The dtypes of operands and result that a ufunc computes in; it raises what the call would raise of dtypes."""
    x, last = operands[0], operands[-1]
    if not arguments and type(x) is type(last) is np.ndarray and x.dtype.char == last.dtype.char in NATIVE:
        return (NATIVE[x.dtype.char],) * (len(operands) + 1)  # asking NumPy takes longer than a row
    kinds = [type(x) if type(x) in WEAK else np.asarray(x).dtype for x in operands]
    choice = {name: arguments[name] for name in ("signature", "casting") if arguments.get(name) is not None}
    if arguments.get("dtype") is not None:
        choice["signature"] = (*[None] * len(operands), np.dtype(arguments["dtype"]))
    found: tuple[Any, ...] = ufunc.resolve_dtypes((*kinds, None), **choice)
    return found


def _is_long(operands: Sequence[Any], axis: int, out: Any) -> bool:
    """Whether these are plain arrays of the same dtype and shape, of fewer rows than threads, each row long."""
    x = operands[0]
    given = [*operands, *([] if out is None else [out])]
    return (
        -x.ndim <= axis < x.ndim
        and x.shape[axis] >= LONG
        and x.size // x.shape[axis] < get_num_threads()
        and x.dtype.char in NATIVE
        and x.dtype.isnative
        and all(type(a) is np.ndarray and a.dtype == x.dtype for a in given)
        and all(a.shape == x.shape for a in operands)
        and (out is None or out.flags.writeable)
    )


@cache
def _gufuncs(kernel: Any, dtype: str) -> tuple[Any, ...]:
    parts = part_kernels(kernel, dtype)
    return tuple(make_ufunc(part, part.name, "Segments of a long row.", __name__) for part in parts)


def states(kernel: Any, rows: list[Any]) -> Any:
    """The states of a row's segments, given the row of each operand."""
    found = np.empty((math.ceil(rows[0].size / SEGMENT), 4))
    for parts, target in zip(_segments(rows), _halves(found, rows[0].size), strict=True):
        _gufuncs(kernel, rows[0].dtype.name)[0](*parts, out=target)
    return found


def merged(kernel: Any, dtype: str, segments: Any) -> Any:
    """What the kernel makes of the states of a row's segments: its result, or the constants of its elements."""
    return _gufuncs(kernel, dtype)[1](segments)


def write(kernel: Any, rows: list[Any], constants: Any, target: Any) -> None:
    """Write a row's results to ``target``."""
    for *parts, out in _segments([*rows, target]):
        _gufuncs(kernel, rows[0].dtype.name)[2](*parts, constants, out=out)


@np.errstate(all="ignore")
def _in_parts(ufunc: Any, operands: Sequence[Any], axis: int, out: Any) -> Any:
    """The same bits as the whole row at once."""
    kernel = KERNELS[ufunc]
    dtype = operands[0].dtype.name
    moved = [np.moveaxis(a, axis, -1) for a in operands]
    kept = moved[0].shape[:-1]
    shape = kept if kernel.kind == "reduce" else operands[0].shape
    if out is not None:
        checked_out(out, shape)
    if kernel.kind == "reduce":
        result = places = np.empty(kept, operands[0].dtype) if out is None else out
    else:
        result = empty_like_all(operands, operands[0].dtype) if out is None else out
        places = np.moveaxis(result, axis, -1)
    moved = apart(moved, places)
    for row in np.ndindex(kept):
        rows = [a[row] for a in moved]
        found = merged(kernel, dtype, states(kernel, rows))
        if kernel.kind == "reduce":
            places[row] = found
        else:
            write(kernel, rows, found, places[row])
    return result if out is not None or result.ndim else result[()]


def apart(operands: list[Any], out: Any) -> list[Any]:
    """The operands, those as copies that may lie under ``out`` elsewhere than at the same places: parts are written one by one."""
    return [a.copy() if np.may_share_memory(a, out) and not _same(a, out) else a for a in operands]


def _same(a: Any, b: Any) -> bool:
    return bool(a.__array_interface__["data"] == b.__array_interface__["data"] and a.strides == b.strides)


def _segments(rows: list[Any]) -> list[list[Any]]:
    """Rows as matrices of whole segments, and what is left over as matrices of one row."""
    whole = rows[0].size // SEGMENT * SEGMENT
    pieces = [[row[:whole].reshape(-1, SEGMENT) for row in rows]]
    if whole < rows[0].size:
        pieces.append([row[whole:].reshape(1, -1) for row in rows])
    return pieces


def _halves(states: Any, length: int) -> list[Any]:
    whole = length // SEGMENT
    return [states[:whole]] + ([states[whole:]] if whole < len(states) else [])
