"""How a function over rows reaches its kernel, whatever it is given: masked arrays, other containers, scalars, several axes."""

import inspect
from collections.abc import Mapping
from functools import cache, partial, reduce
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from fastact.calls.axes import Axis, checked_axis, is_scalar, over_axes, reduce_axes
from fastact.calls.checking import UFUNC_ARGUMENTS, refuse_unknown, sole
from fastact.calls.containers import is_container, is_foreign, masked, whole_owner, within, without_masked
from fastact.calls.layout import Layout
from fastact.calls.lazy import at_shape, full_shape, lazily
from fastact.calls.long_rows import WEAK, along, loop_dtypes
from fastact.calls.quiet import quietly
from fastact.calls.refusals import translated
from fastact.calls.row_ufuncs import KERNELS, PUBLIC
from fastact.calls.widening import in_float32


def over_rows(ufunc: Any, operands: tuple[Any, ...], axis: Axis, out: Any, arguments: dict[str, Any]) -> Any:
    """Call the generalised ufunc of a row kernel along one axis, or over several as if they were one."""
    try:
        if arguments or type(out) is tuple:
            out = sole(out)
            refuse_unknown(PUBLIC[ufunc].__name__, arguments, allowed(PUBLIC[ufunc]))
        x, last = operands[0], operands[-1]
        hides = out is not None and isinstance(out, np.ma.MaskedArray)
        same = type(x) is type(last) is np.ndarray and (x is last or x.shape == last.shape)
        if type(axis) is int and same and x.ndim and not hides:
            return along(ufunc, operands, axis, out, arguments)  # for short rows the questions below would take as long
        axis = checked_axis(axis)
        if hides or any(map(is_container, operands)):
            return _within(ufunc, operands, axis, out, arguments)
        if len(operands) == 1 and type(axis) is int and not is_scalar(x):
            return along(ufunc, operands, axis, out, arguments)
        keepdims = arguments.get("keepdims", False)
        others = {name: x for name, x in arguments.items() if name != "keepdims"}
        kinds = loop_dtypes(ufunc, operands, arguments)
        arrays = _broadcast(ufunc, operands, kinds)
        if type(axis) is int and arrays[0].ndim:
            return along(ufunc, arrays, axis, out, others)
        if KERNELS[ufunc].kind == "reduce":
            return reduce_axes(partial(along, ufunc), arrays, axis, keepdims, out, kinds[-1], others)
        return over_axes(partial(along, ufunc), arrays, axis, out, kinds[-1], others)
    except TypeError as error:
        names = dict(zip(_names(ufunc, operands), operands, strict=True))
        return in_float32(PUBLIC[ufunc], translated(error, names), operands, {"axis": axis, "out": out, **arguments})


def _broadcast(ufunc: Any, operands: tuple[Any, ...], kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """The operands as arrays of one shape, a Python number in the dtype that it is computed in.

    NumPy itself broadcasts the axes of a generalised ufunc's rows only, and counts ``axis`` in each operand for itself.
    """
    pairs = zip(operands, kinds, strict=False)
    arrays = tuple(quietly(np.asarray, x, kind) if type(x) in WEAK else np.asarray(x) for x, kind in pairs)
    if len(arrays) == 1:
        return arrays
    try:
        return tuple(np.broadcast_arrays(*arrays))
    except ValueError:
        raise _mismatch(ufunc, operands) from None


def _mismatch(ufunc: Any, operands: tuple[Any, ...]) -> ValueError:
    shapes = [f"{name} of shape {np.shape(x)}" for name, x in zip(_names(ufunc, operands), operands, strict=True)]
    return ValueError(f"{' and '.join(shapes)} do not broadcast")


def _names(ufunc: Any, operands: tuple[Any, ...]) -> tuple[str, ...]:
    names: tuple[str, ...] = PUBLIC[ufunc].__code__.co_varnames
    return names[: len(operands)]


@cache
def allowed(function: Any) -> list[str]:
    """The keyword arguments of a public function over rows: a mask of what to compute is not among those of ufuncs."""
    named = list(inspect.signature(function).parameters)[:-1]
    return [*named, *(name for name in UFUNC_ARGUMENTS if name != "where")]


def _within(ufunc: Any, operands: tuple[Any, ...], axis: Axis, out: Any, arguments: dict[str, Any]) -> Any:
    """Call the ufunc of a row kernel with operands some of which are containers."""
    if not arguments.get("subok", True):  # masks are heeded still
        bare = [np.asarray(x) if isinstance(x, np.ndarray) and is_foreign(x) else x for x in operands]
        if not any(map(is_container, (*bare, out))):
            return over_rows(ufunc, tuple(bare), axis, out, arguments)
        operands = tuple(bare)
    function, names = PUBLIC[ufunc], _names(ufunc, operands)
    result = "...n" if KERNELS[ufunc].kind == "map" else "...k" if arguments.get("keepdims") else "..."
    owners: tuple[str, ...] = ()
    if len({np.shape(x) for x in operands}) > 1:
        try:
            shape = full_shape(*map(np.shape, operands))
        except ValueError:
            raise _mismatch(ufunc, operands) from None
        axis = from_the_back(axis, len(shape))
        owners = whole_owner(dict(zip(names, operands, strict=True)))
    layout = Layout(dict.fromkeys(names, "...n"), (result,), owners)

    def left(*, axis: Axis, out: Any, **given: Any) -> Any:
        return _without_masked(ufunc, tuple(given.pop(name) for name in names), axis, out, given)

    options = {"axis": axis, "out": out, **arguments}
    return within(function, layout, dict(zip(names, operands, strict=True)), options, left, _lazily)


def from_the_back(axis: Axis, ndim: int) -> Axis:
    """The axes of the broadcast shape in the numbers that name them in each operand that has them."""
    places = tuple(k - ndim for k in normalize_axis_tuple(range(ndim) if axis is None else axis, ndim, "axis"))
    return places[0] if isinstance(axis, int) else places


def _lazily(function: Any, layout: Layout, operands: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Call a function with dask arrays at their full shape: blocks of a row have one length."""
    shape = full_shape(*map(np.shape, operands.values()))
    return lazily(function, layout, {name: at_shape(name, x, shape) for name, x in operands.items()}, options)


def _without_masked(ufunc: Any, operands: tuple[Any, ...], axis: Axis, out: Any, arguments: dict[str, Any]) -> Any:
    """The same of masked arrays: what is masked in one counts in no row, and stays masked, as does what no element counts in."""
    kernel = KERNELS[ufunc]
    like = next((x for x in operands if isinstance(x, np.ma.MaskedArray)), None)
    if like is None:  # but ``out`` is one
        return masked(over_rows(ufunc, operands, axis, np.ma.getdata(out), arguments), False, out)
    nothing = kernel.padding
    mask: Any = reduce(np.logical_or, map(np.ma.getmaskarray, operands))
    filled = tuple(without_masked(operand, mask, nothing) for operand in operands)
    keepdims = arguments.get("keepdims", False)
    result = over_rows(ufunc, filled, axis, None if out is None else np.ma.getdata(out), arguments)
    if kernel.kind == "reduce":
        mask = mask.all(axis=axis, keepdims=keepdims)
    return result if out is None and not arguments.get("subok", True) else masked(result, mask, out, like)
