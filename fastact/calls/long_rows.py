"""A few very long rows: their segments are shared out over the threads, which otherwise take whole rows."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from fastact.calls.checking import checked_out, representable
from fastact.calls.order import empty_like_all
from fastact.calls.refusals import refuse_bfloat16
from fastact.calls.row_ufuncs import KERNELS, SCALED
from fastact.kernels.dtypes import FLOATS, NATIVE
from fastact.kernels.limits import SEGMENT
from fastact.kinds.rows import PartKernel, RowKernel, results_kernel, stage_kernels
from fastact.runtime.threads import get_num_threads
from fastact.runtime.ufunc import make_ufunc

LONG = 2**19
"""From this length on a row is worth the calls that it takes to compute it in parts."""

WEAK = (int, float)
"""Python's numbers, of which NumPy takes the value alone: they never widen arrays."""


def along(ufunc: Any, operands: Sequence[Any], axis: int, out: Any, arguments: dict[str, Any]) -> Any:
    """Call the generalised ufunc of a row kernel along one axis of operands of one shape, in parts where that uses more threads."""
    x = operands[0]
    if arguments and "scale" in arguments:
        return _with_scale(ufunc, operands, axis, out, arguments)
    if type(x) is np.ndarray and x.size >= LONG and not arguments and _is_long(KERNELS[ufunc], operands, axis, out):
        return _in_parts(ufunc, operands, axis, out)
    if out is None and KERNELS[ufunc].kind == "map":
        out = _like(ufunc, operands, axis, arguments)
    elif out is not None and type(x) is np.ndarray:
        refuse_bfloat16(x.dtype)
    if axis == -1:
        return ufunc(*operands, out=out, **arguments)
    return ufunc(*operands, out=out, axis=axis, **arguments)


def _with_scale(ufunc: Any, operands: Sequence[Any], axis: int, out: Any, arguments: dict[str, Any]) -> Any:
    """The same of the results times a number, which is an option of another ufunc's."""
    arrays = [np.asarray(operand) for operand in operands]
    dtype = loop_dtypes(ufunc, operands, arguments)[-1]
    axis = normalize_axis_index(axis, arrays[0].ndim)
    if out is None:
        out = empty_like_all(arrays, dtype, order_of(arguments))
    options = np.array([representable("scale", arguments["scale"], FLOATS[dtype.name].computed)])
    moved = [np.moveaxis(x, axis, -1) for x in (*arrays, checked_out(out, arrays[0].shape))]
    kinds = (*[dtype] * len(arrays), options.dtype, dtype)
    casting = arguments.get("casting", "same_kind")
    SCALED[ufunc]()(*moved[:-1], options, out=moved[-1], signature=kinds, casting=casting)
    return out


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
    refuse_bfloat16(found[-1])
    return found


def _is_long(kernel: RowKernel, operands: Sequence[Any], axis: int, out: Any) -> bool:
    """Whether these are plain arrays of the same dtype and shape, of fewer rows than threads, each row long, with one result."""
    x = operands[0]
    given = [*operands, *([] if out is None else [out])]
    return (
        kernel.outputs == 1
        and -x.ndim <= axis < x.ndim
        and x.shape[axis] >= LONG
        and x.size // x.shape[axis] < get_num_threads()
        and x.dtype.char in NATIVE
        and x.dtype.isnative
        and all(type(a) is np.ndarray and a.dtype == x.dtype for a in given)
        and all(a.shape == x.shape for a in operands)
        and (out is None or out.flags.writeable)
    )


class _Stage(NamedTuple):
    """A pass over a long row: the numbers of its operands, how many numbers it yields for each segment, and its kernels."""

    operands: tuple[int, ...]
    states: int
    known: int
    """Number of the constants that are known after it."""
    find: Any
    follow: Any


@cache
def _stages(kernel: RowKernel, dtype: str) -> list[_Stage]:
    found = []
    for (step, later), parts in zip(kernel.stages(dtype), stage_kernels(kernel, dtype), strict=True):
        after = len(step.constants) + len(step.names) + sum(len(once.names) for once in later)
        found.append(_Stage(step.operands, len(step.results), after, *(_part(part) for part in parts)))
    return found


@cache
def _results(kernel: RowKernel, dtype: str) -> Any:
    return _part(results_kernel(kernel, dtype))


def _part(kernel: PartKernel) -> Any:
    return make_ufunc(kernel, kernel.name, "Segments of a long row.", __name__)


def constants(kernel: RowKernel, rows: list[Any], fixed: Sequence[float]) -> Any:
    """The constants of a row, given the row of each operand and what is known before all passes."""
    known = np.array([*fixed, rows[0].size], np.float64)
    for stage in _stages(kernel, rows[0].dtype.name):
        found = np.empty((math.ceil(rows[0].size / SEGMENT), stage.states))
        used = [rows[j] for j in stage.operands]
        for parts, target in zip(_segments(used), _halves(found, rows[0].size), strict=True):
            stage.find(*parts, known, out=target)
        known = stage.follow(found, known, out=np.empty(stage.known))
    return known


def write(kernel: RowKernel, rows: list[Any], known: Any, target: Any) -> None:
    """Write a row's results to ``target``."""
    for *parts, out in _segments([*rows, target]):
        _results(kernel, rows[0].dtype.name)(*parts, known, out=out)


@np.errstate(all="ignore")
def _in_parts(ufunc: Any, operands: Sequence[Any], axis: int, out: Any) -> Any:
    """Compute each row pass by pass, with the bits of the whole row at once."""
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
        known = constants(kernel, rows, ())
        if kernel.kind == "reduce":
            (given,) = kernel.given(dtype)
            places[row] = known[given]
        else:
            write(kernel, rows, known, places[row])
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
