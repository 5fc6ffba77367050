"""How a function reaches a program over rows whose operands differ: arrays of rows, arrays that all rows share, options."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastact.calls.checking import at_one_shape, checked_out, only_axis, sole
from fastact.calls.containers import is_container, refuse_masked, within
from fastact.calls.layout import Layout
from fastact.calls.order import empty_like_all
from fastact.calls.quiet import quietly
from fastact.calls.row_ufuncs import KERNELS


def of_rows(
    ufunc: Any,
    rows: Mapping[str, Any],
    shared: Mapping[str, Any],
    options: Sequence[float],
    axis: int,
    out: Any,
) -> Any:
    """Call the ufunc of a program along one axis.

    Parameters
    ----------
    ufunc : numpy.ufunc
        From ``row_ufunc``; its first result is a row, and is returned, alone or before the numbers of each row.
    rows : mapping of str to array
        Operands that broadcast to one shape, by the names of the public function's parameters.
    shared : mapping of str to array
        Operands of the length of the axis, which all rows have in common.
    options : sequence of float
        Values of the program's options.
    axis : int
        The axis in the broadcast shape.
    out : ndarray or None
        Where the row results are written.
    """
    arrays = _at_one_shape(rows)
    shape = next(iter(arrays.values())).shape
    axis = only_axis(axis, len(shape))
    given = [np.moveaxis(x, axis, -1) for x in arrays.values()]
    for name, x in shared.items():
        x = np.asarray(x)
        if x.shape != shape[axis : axis + 1]:
            raise ValueError(f"{name} must have the shape {shape[axis : axis + 1]}, got {x.shape}")
        given.append(x)
    numbers = [np.array(options, np.float64)] if options else []
    kernel = KERNELS[ufunc]
    result = checked_out(sole(out), shape) if out is not None else None
    if result is None:
        kinds = [x.dtype for x in (*given, *numbers)]
        dtype = ufunc.resolve_dtypes((*kinds, *[None] * ufunc.nout))[ufunc.nin]
        result = empty_like_all(list(arrays.values()), dtype)
    nothing = (None,) * (kernel.outputs - 1)
    found = quietly(ufunc, *given, *numbers, out=(np.moveaxis(result, axis, -1), *nothing))
    result = result if out is not None or result.ndim else result[()]
    return result if kernel.outputs == 1 else (result, *found[1:])


def _at_one_shape(rows: Mapping[str, Any]) -> dict[str, Any]:
    return dict(zip(rows, at_one_shape({name: np.asarray(x) for name, x in rows.items()}), strict=True))


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
