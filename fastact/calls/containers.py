"""Other libraries' containers of arrays, in functions that are more than a ufunc: what they are given and give back.

Ufuncs of one result need nothing of this: NumPy and the containers agree on what to do. Functions over an axis, with a sum or
with several results say in a `Layout` how their axes correspond. With that, pandas, xarray, matrices and tensors are taken out
of their containers and results put back (`within`), and what is asked of dask arrays becomes part of their graph
(``fastact.calls.lazy``). What a mask hides is each function's own affair.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from fastact.calls.layout import ROWS, Layout, core_axes
from fastact.calls.lazy import is_lazy, lazily


def is_container(x: Any) -> bool:
    """Whether ``x`` is more than an array, a number or a list of them."""
    kind = type(x)
    if kind is np.ndarray or issubclass(kind, np.generic):
        return False
    return hasattr(kind, "__array_ufunc__") or hasattr(kind, "__array_wrap__")


def is_foreign(x: Any) -> bool:
    """Whether ``x`` is a container other than a masked array, of which NumPy's ufuncs know what to do."""
    return is_container(x) and not isinstance(x, np.ma.MaskedArray)


def is_tensor(x: Any) -> bool:
    """Whether ``x`` leaves ufuncs to NumPy, and takes their results back.

    Of PyTorch's tensors NumPy warns then, for they do so in a way that it deprecates.
    """
    return is_container(x) and not hasattr(type(x), "__array_ufunc__")


def within(
    function: Callable[..., Any],
    layout: Layout,
    operands: Mapping[str, Any],
    options: Mapping[str, Any],
    masked: Callable[..., Any] | None = None,
    lazy: Callable[..., Any] = lazily,
) -> Any:
    """Call ``function(**operands, **options)`` with operands some of which are containers.

    ``masked`` is called instead where some are masked arrays, and ``lazy(function, layout, operands, options)`` where some are
    dask arrays, inside other containers too. Operands that are ``None`` are left out.
    """
    operands = {name: x for name, x in operands.items() if x is not None}
    if any(is_foreign(x) and not is_lazy(x) for x in operands.values()):
        plain = {name: _taken_out(x) for name, x in operands.items()}
        if any(map(is_container, plain.values())):
            results = within(function, layout, plain, options, masked, lazy)
        else:
            results = function(**plain, **options)
        several = isinstance(results, tuple)
        back = _put_back(results if several else (results,), layout, operands, options)
        return back if several else back[0]
    if any(map(is_lazy, operands.values())):
        return lazy(function, layout, operands, options)
    if masked is None:
        return function(**operands, **options)
    return masked(**operands, **options)


def refuse_masked(function: Callable[..., Any], operands: Mapping[str, Any], why: str) -> None:
    """``TypeError`` for an operand that is a masked array, of a function of which ``why`` says what it does to all elements."""
    for name, x in operands.items():
        if isinstance(x, np.ma.MaskedArray):
            raise TypeError(f"{name} must not be a masked array: {function.__name__} {why}")


def whole_owner(operands: Mapping[str, Any]) -> tuple[str, ...]:
    """A layout's ``owners`` for a result with all axes of all operands: the first container that has them, else none."""
    ndim = max(map(np.ndim, operands.values()))
    whole = [name for name, x in operands.items() if _takes_back(x) and np.ndim(x) == ndim]
    return (whole[0] if whole else "",)


def without_masked(operand: Any, mask: Any, nothing: float) -> Any:
    """The data of an array, masked or not, as floats, with ``nothing`` in place of what a mask hides."""
    data = np.ma.getdata(operand)
    data = data.astype(np.result_type(data.dtype, np.float16), copy=False)
    return np.where(mask, data.dtype.type(nothing), data)


def masked(result: Any, mask: Any, out: Any, like: Any = None) -> Any:
    """The result under a mask, with the rest of a masked array that it is ``like``; or ``out``, to which it has been written.

    A masked ``out`` takes the mask as NumPy's ufuncs write it: as one of its own, whatever it has shared with others, and hard
    or not.
    """
    if isinstance(out, np.ma.MaskedArray):
        own = np.ma.array(np.ma.getdata(out), mask=np.array(np.broadcast_to(mask, out.shape), bool))
        return out.__array_wrap__(out, (np.positive, (own,), 0))
    if out is not None:
        return out
    if not np.ndim(result):
        return np.ma.masked if mask else result
    whole = like.__array_wrap__(result) if isinstance(like, np.ma.MaskedArray) else np.ma.array(result)
    whole.mask = mask
    return whole


def at_one_shape(*operands: Any) -> tuple[Any, ...]:
    """The operands of a ufunc, masked ones at the shape that all broadcast to.

    Of three or more NumPy combines the masks of those only that hide something, and theirs may be of less than the result.
    """
    if not any(isinstance(x, np.ma.MaskedArray) for x in operands) or any(map(is_foreign, operands)):
        return operands
    try:
        shape = np.broadcast_shapes(*map(np.shape, operands))
    except ValueError:
        return operands  # which the ufunc refuses
    return tuple(_broadcast(x, shape) if isinstance(x, np.ma.MaskedArray) and x.shape != shape else x for x in operands)


def _broadcast(x: Any, shape: tuple[int, ...]) -> Any:
    """A masked array at a larger shape, in the memory that it has, its mask aside."""
    whole = x.__array_wrap__(np.broadcast_to(np.ma.getdata(x), shape))
    whole.mask = np.broadcast_to(np.ma.getmaskarray(x), shape)
    return whole


def _taken_out(x: Any) -> Any:
    """The array, lazy or masked if it is so, in a container."""
    if not is_foreign(x) or is_lazy(x):
        return x
    if hasattr(x, "dims") and hasattr(x, "data"):  # xarray, perhaps of a dask array
        return x.data
    array = np.asarray(x)
    if array.dtype == object and hasattr(x, "to_numpy"):  # pandas' columns that may hold NA
        dtypes = [getattr(dtype, "numpy_dtype", dtype) for dtype in (x.dtypes if x.ndim == 2 else [x.dtype])]
        if all(isinstance(dtype, np.dtype) and dtype.kind in "iubf" for dtype in dtypes):
            return x.to_numpy(dtype=np.result_type(*dtypes), na_value=np.nan)
    return array


def _put_back(
    results: tuple[Any, ...], layout: Layout, operands: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[Any, ...]:
    """The results in containers like their operands', but those that have been written to ``out``."""
    out = options.get("out")
    outs = out if isinstance(out, tuple) else (out,)
    axis = options.get("axis", -1)
    back = []
    for i, (result, axes) in enumerate(zip(results, layout.results, strict=True)):
        x, given = _owner(i, axes, layout, operands)
        if x is None or any(result is array for array in outs if array is not None):
            back.append(result)
        else:
            back.append(_like(x, result, _origins(given, np.ndim(x), axes, np.ndim(result), axis)))
    return tuple(back)


def _owner(i: int, axes: str, layout: Layout, operands: Mapping[str, Any]) -> tuple[Any, str]:
    """The container that a result is put back like, and its axes; ``None`` if there is none."""
    names = [name for name, given in layout.operands.items() if given == axes]
    if axes.startswith(ROWS) or not axes:
        names += [name for name, given in layout.operands.items() if given.startswith(ROWS)]
    if layout.owners:
        names = [layout.owners[i]]
    for name in names:
        x = operands.get(name)
        if _takes_back(x):
            return x, layout.operands[name]
    return None, ""


def _takes_back(x: Any) -> bool:
    """Whether results are put back like ``x``: not like labels, pandas' indices, which hold no values, nor its bare arrays."""
    if not is_foreign(x) or is_lazy(x):
        return False
    return isinstance(x, np.ndarray) or hasattr(x, "iloc") or hasattr(x, "dims") or is_tensor(x)


def _origins(given: str, given_ndim: int, axes: str, ndim: int, axis: Any) -> list[tuple[int, bool] | None]:
    """For each axis of a result, the axis of the operand that it comes from, and whether its labels still hold."""
    before, after = core_axes(given, given_ndim, axis), core_axes(axes, ndim, axis)
    rows_before = [k for k in range(given_ndim) if k not in before]
    rows_after = [k for k in range(ndim) if k not in after]
    origins: list[tuple[int, bool] | None] = [None] * ndim
    for k, origin in zip(reversed(rows_after), reversed(rows_before), strict=False):
        origins[k] = origin, True
    if len(before) == len(after):
        same = given.removeprefix(ROWS) == axes.removeprefix(ROWS)
        for k, origin in zip(after, before, strict=True):
            origins[k] = origin, same
    elif given.startswith(ROWS) and not axes.startswith(ROWS):  # of rows that have been added up
        letters = given.removeprefix(ROWS)
        for k, letter in enumerate(axes):
            origins[k] = (before[letters.index(letter)], True) if letter in letters else (k, False)
    return origins


def _like(x: Any, result: Any, origins: list[tuple[int, bool] | None]) -> Any:
    """``result`` in a container like ``x``, with the names and labels of the axes that its own come from."""
    kept = [
        origin[0] if origin is not None and origin[1] and n == np.shape(x)[origin[0]] else None
        for n, origin in zip(np.shape(result), origins, strict=True)
    ]
    if isinstance(x, np.ndarray):
        if not np.ndim(result):
            return result
        if isinstance(x, np.matrix) and result.ndim < 2:  # which has rows and columns, even of one
            result = np.expand_dims(result, [k for k in (0, 1) if k not in kept])
        return x.__array_wrap__(result)
    if hasattr(x, "iloc"):
        return _like_pandas(x, result, kept)
    if hasattr(x, "dims") and hasattr(x, "coords"):
        if None in origins:  # an axis without a name
            return result
        dims = [x.dims[origin[0]] for origin in origins if origin is not None]
        whole = {x.dims[k] for k in kept if k is not None}
        coords = {name: coord for name, coord in x.coords.items() if whole.issuperset(coord.dims)}
        return type(x)(result, dims=dims, coords=coords, name=x.name, attrs=x.attrs)
    return x.__array_wrap__(np.asarray(result))  # as an array also what has no axis: tensors take no numbers


def _like_pandas(x: Any, result: Any, kept: list[int | None]) -> Any:
    """A frame, a series or a number; what pandas has no container for stays an array."""
    if np.ndim(result) not in (1, 2) or is_lazy(result):
        return result
    names = ("index", "columns") if np.ndim(result) == 2 else ("index",)
    labels = {name: x.axes[k] for name, k in zip(names, kept, strict=True) if k is not None}
    if np.ndim(result) == x.ndim:
        return type(x)(result, **labels).__finalize__(x)
    return import_module("pandas").Series(result, **labels)
