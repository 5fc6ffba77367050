"""What a call of a norm asks for: its operands as rows, weights of ones where none is given, and the ufunc's results."""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from fastact.calls.axes import Axis
from fastact.calls.checking import finite
from fastact.calls.lazy import in_one_task
from fastact.calls.programs import at_one_shape_of, axes_of, contained, of_rows
from fastact.calls.refusals import refuse_bfloat16

FLOAT64, NATIVE = np.dtype(np.float64), "efd"


def norm_rows(
    function: Any,
    ufunc: Any,
    rows: Mapping[str, Any],
    shared: Mapping[str, Any],
    axis: Axis,
    eps: Any,
    out: Any,
) -> Any:
    """Call the ufunc of a norm; of what all rows share, ``weight`` and ``bias``, either may be ``None``."""
    operands = plain(rows, shared, axis, eps) if out is None else None
    if operands is not None:
        return ufunc(*operands, constant((1,), FLOAT64, eps))
    results = ("...n",) * ufunc.nout
    found = contained(function, rows, shared, {"axis": axis, "eps": eps, "out": out}, results)
    if found is not NotImplemented:
        return found
    return of_rows(ufunc, rows, completed(rows, shared, axis), (checked_eps(eps),), axis, out)


def plain(rows: Mapping[str, Any], shared: Mapping[str, Any], axis: Axis, eps: Any) -> tuple[Any, ...] | None:
    """All operands of a call for arrays of one shape and dtype whose rows lie one after the other; ``None`` for others.

    Of a few rows the questions that others raise would take longer than the kernel.
    """
    arrays = (*rows.values(), *(given for given in shared.values() if given is not None))
    if type(axis) is not int or type(eps) is not float or not all(type(a) is np.ndarray for a in arrays):
        return None
    x = arrays[0]
    dtype, shape = x.dtype, x.shape
    if not (shape and axis in (-1, x.ndim - 1) and 0.0 <= eps < math.inf and dtype.char in NATIVE and dtype.isnative):
        return None
    for i, a in enumerate(arrays):
        if (
            a.dtype != dtype
            or a.shape != (shape if i < len(rows) else shape[-1:])
            or not (a.flags.c_contiguous and a.flags.aligned)
        ):
            return None
    others = (
        constant(shape[-1:], dtype, 0.0 if name == "bias" else 1.0) if given is None else given
        for name, given in shared.items()
    )
    return (*rows.values(), *others)


def checked_eps(eps: Any) -> float:
    """The number that is added to a variance; ``ValueError`` if it is negative or not finite."""
    found = finite("eps", eps)
    if found < 0:
        raise ValueError(f"eps must not be negative, got {eps!r}")
    return found


def completed(rows: Mapping[str, Any], shared: Mapping[str, Any], axis: Axis) -> dict[str, Any]:
    """What all rows share, with ones for a weight and zeros for a bias that is ``None``."""
    for x in map(np.asarray, rows.values()):
        refuse_bfloat16(x.dtype)
    if all(given is not None for given in shared.values()):
        return dict(shared)
    x = at_one_shape_of(rows)[0]
    shape = tuple(x.shape[k] for k in axes_of(axis, x.ndim))
    dtype = x.dtype.newbyteorder("=") if x.dtype.kind == "f" else np.dtype(np.float16)
    return {
        name: constant(shape, dtype, 0.0 if name == "bias" else 1.0) if given is None else given
        for name, given in shared.items()
    }


@lru_cache(64)
def constant(shape: tuple[int, ...], dtype: Any, value: float) -> Any:
    """An array of one number, which is not to be written to."""
    found = np.full(shape, value, dtype)
    found.flags.writeable = False
    return found


def lazily_whole(function: Any, layout: Any, operands: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Gradients of dask arrays, some of which are sums over all rows: computed by one task."""
    ndim = np.ndim(operands["x"])
    axes = axes_of(options["axis"], ndim)
    few = tuple(n if k in axes else 0 for k, n in enumerate(np.shape(operands["x"])))
    shapes = dict.fromkeys(("grad", "x"), few)
    return in_one_task(function, operands, options, shapes, like={0: "x"})


GRADIENTS = ("...n", "n", "n")
"""The axes of the gradients by the input, the weight and the bias."""
