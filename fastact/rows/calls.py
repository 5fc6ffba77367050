"""How a function over rows reaches its kernel, whatever it is given: masked arrays, other containers, scalars, several axes."""

import inspect
from functools import cache, reduce
from typing import Any

import numpy as np

from fastact.calling import UFUNC_ARGUMENTS, refuse_unknown, sole
from fastact.containers import is_container, masked, within, without_masked
from fastact.layout import Layout
from fastact.rows.axes import Axis, is_scalar, over_axes, reduce_axes
from fastact.rows.long import along
from fastact.rows.record import KERNELS, PUBLIC


def over_rows(ufunc: Any, operands: tuple[Any, ...], axis: Axis, out: Any, arguments: dict[str, Any]) -> Any:
    """Call the generalised ufunc of a row kernel along one axis, or over several as if they were one."""
    if arguments or type(out) is tuple:
        out = sole(out)
        refuse_unknown(PUBLIC[ufunc].__name__, arguments, _allowed(PUBLIC[ufunc]))
    if type(axis) is int and type(operands[0]) is type(operands[-1]) is np.ndarray and operands[0].ndim:
        return along(ufunc, operands, axis, out, arguments)  # for short rows the questions below would take as long
    if any(map(is_container, operands)):
        return _within(ufunc, operands, axis, out, arguments)
    if type(axis) is int and not all(map(is_scalar, operands)):
        return along(ufunc, operands, axis, out, arguments)
    if KERNELS[ufunc].kind == "reduce":
        keepdims = arguments.pop("keepdims", False)
        return reduce_axes(ufunc, operands[0], axis, keepdims, out, arguments)
    return over_axes(ufunc, operands, axis, out, arguments)


@cache
def _allowed(function: Any) -> list[str]:
    """The keyword arguments of a public function over rows: a mask of what to compute is not among them."""
    named = list(inspect.signature(function).parameters)[:-1]
    return [*named, *(name for name in UFUNC_ARGUMENTS if name != "where")]


def _within(ufunc: Any, operands: tuple[Any, ...], axis: Axis, out: Any, arguments: dict[str, Any]) -> Any:
    """The same of containers."""
    function = PUBLIC[ufunc]
    names = function.__code__.co_varnames[: len(operands)]
    result = "...n" if KERNELS[ufunc].kind == "map" else "...k" if arguments.get("keepdims") else "..."
    layout = Layout(dict.fromkeys(names, "...n"), (result,))

    def left(*, axis: Axis, out: Any, **given: Any) -> Any:
        return _without_masked(ufunc, tuple(given.pop(name) for name in names), axis, out, given)

    options = {"axis": axis, "out": out, **arguments}
    return within(function, layout, dict(zip(names, operands, strict=True)), options, left)


def _without_masked(ufunc: Any, operands: tuple[Any, ...], axis: Axis, out: Any, arguments: dict[str, Any]) -> Any:
    """The same of masked arrays: what is masked in one counts in no row, and stays masked, as does what no element counts in."""
    kernel = KERNELS[ufunc]
    nothing = kernel.padding if kernel.exponentials else 0.0
    mask: Any = reduce(np.logical_or, map(np.ma.getmaskarray, operands))
    filled = tuple(without_masked(operand, mask, nothing) for operand in operands)
    keepdims = arguments.get("keepdims", False)
    result = over_rows(ufunc, filled, axis, None if out is None else np.ma.getdata(out), arguments)
    if kernel.kind == "reduce":
        mask = mask.all(axis=axis, keepdims=keepdims)
    return masked(result, mask, out)
