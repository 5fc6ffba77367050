"""Other libraries' containers of arrays, in functions that are more than a ufunc: what they are given and give back.

Ufuncs need nothing of this: NumPy and the containers agree on what to do. Of generalised ufuncs dask knows what to do; xarray
refuses them, and pandas takes the columns of a frame for its rows.
"""

from typing import Any

import numpy as np


def is_container(x: Any) -> bool:
    """Whether ``x`` handles ufuncs itself, but not generalised ones: neither an array nor lazy."""
    kind = type(x)
    if issubclass(kind, np.ndarray) or not hasattr(kind, "__array_ufunc__"):
        return False
    graph = getattr(x, "__dask_graph__", None)
    return graph is None or graph() is None


def without_masked(operand: Any, mask: Any, nothing: float) -> Any:
    """The data of an array, masked or not, as floats, with ``nothing`` in place of what a mask hides."""
    data = np.ma.getdata(operand)
    data = data.astype(np.result_type(data.dtype, np.float16), copy=False)
    return np.where(mask, data.dtype.type(nothing), data)


def masked(result: Any, mask: Any, out: Any) -> Any:
    """The result under a mask; or ``out``, to whose data it has been written, with the mask if it takes one."""
    if out is None:
        return np.ma.array(result, mask=mask) if np.ndim(result) else np.ma.masked if mask else result
    if isinstance(out, np.ma.MaskedArray):
        out.mask = mask
    return out


def like(x: Any, result: Any) -> Any:
    """``result`` in a container like ``x``: a tensor; a data array or a frame, if its shape is that of ``x``; else as it is."""
    if isinstance(x, np.ndarray) or not isinstance(result, np.ndarray):
        return result
    if not is_container(x):
        wrap = getattr(x, "__array_wrap__", None)
        return result if wrap is None else wrap(result)
    if result.shape != np.shape(x):
        return result
    if hasattr(x, "__array_wrap__"):
        return x.__array_wrap__(result)
    filled = x.astype(result.dtype)
    filled[:] = result
    return filled
