"""How a function over rows reaches its kernel, whatever it is given: masked arrays, other containers, scalars, several axes."""

from functools import reduce
from typing import Any

import numpy as np

from fastact.containers import is_container, like, masked, without_masked
from fastact.rows.axes import Axis, is_scalar, over_axes, reduce_axes
from fastact.rows.long import along
from fastact.rows.record import KERNELS


def over_rows(ufunc: Any, operands: tuple[Any, ...], axis: Axis, out: Any, arguments: dict[str, Any]) -> Any:
    """Call the generalised ufunc of a row kernel along one axis, or over several as if they were one."""
    if type(axis) is int and type(operands[0]) is type(operands[-1]) is np.ndarray and operands[0].ndim:
        return along(ufunc, operands, axis, out, arguments)  # for short rows the questions below would take as long
    if any(isinstance(operand, np.ma.MaskedArray) for operand in operands):
        return _without_masked(ufunc, operands, axis, out, arguments)
    if any(map(is_container, operands)):
        result = over_rows(ufunc, tuple(map(np.asarray, operands)), axis, out, arguments)
        return like(next(filter(is_container, operands)), result)
    if type(axis) is int and not all(map(is_scalar, operands)):
        return along(ufunc, operands, axis, out, arguments)
    if KERNELS[ufunc].kind == "reduce":
        keepdims = arguments.pop("keepdims", False)
        return reduce_axes(ufunc, operands[0], axis, keepdims, out, arguments)
    return over_axes(ufunc, operands, axis, out, arguments)


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
