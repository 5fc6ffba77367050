"""Functions of dask arrays: nothing is computed at the call, which becomes part of the graph that dask computes.

dask is imported when it has been already, by whoever made the array.
"""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from fastact.layout import ROWS, Layout, broadcast_axes, core_axes
from fastact.quiet import quietly


def is_lazy(x: Any) -> bool:
    """Whether ``x`` is a dask array."""
    return hasattr(type(x), "__dask_graph__") and type(x).__module__.startswith("dask.array")


def holds_lazy(x: Any) -> bool:
    """Whether ``x`` is a dask array or a container of one."""
    graph = getattr(x, "__dask_graph__", None)
    return graph is not None and graph() is not None


def lazily(
    function: Callable[..., Any], layout: Layout, operands: Mapping[str, Any], options: Mapping[str, Any]
) -> Any:
    """``function(**operands, **options)`` as dask arrays, block by block of rows; with several results a tuple of them.

    Only numbers and arrays of no row are computed with at once: that finds the results' dtypes, and raises what is wrong.
    """
    refuse_out(options)
    whole = {name: x for name, x in operands.items() if _is_number(x)}
    arrays = {name: as_lazy(x) for name, x in operands.items() if name not in whole}
    axis = options.get("axis", -1)
    places = {name: core_axes(layout.operands[name], x.ndim, axis) for name, x in arrays.items()}
    together = max((len(places[name]) for name in arrays if layout.operands[name].startswith(ROWS)), default=1)
    names = {name: _core_names(layout.operands[name], together if places[name] else 0) for name in arrays}
    sizes = {n: arrays[name].shape[k] for name in arrays for n, k in zip(names[name], places[name], strict=True)}
    options = {**options, **whole}
    if "axis" in options:  # a block has them last
        options["axis"] = -1 if together == 1 else tuple(range(-together, 0))
    samples = {
        name: np.zeros(
            (*((0,) if layout.operands[name].startswith(ROWS) else ()), *map(sizes.get, names[name])), x.dtype
        )
        for name, x in arrays.items()
    }
    found = function(**samples, **options)
    several = isinstance(found, tuple)
    found = found if several else (found,)
    results = [_core_names(axes, together) for axes in layout.results]
    for array, core in zip(found, results, strict=True):
        sizes |= dict(zip(core, array.shape[array.ndim - len(core) :], strict=True))
    made = {n: sizes[n] for core in results for n in core} if any(results) else {}
    inputs = {n for core in names.values() for n in core}
    dtypes = [array.dtype for array in found]
    lead = max((x for x in operands.values() if is_lazy(x)), key=lambda x: x.ndim)
    axes = list(places.values()) + [
        core_axes(text, lead.ndim, axis) if text.startswith(ROWS) else tuple(range(-len(core), 0))
        for text, core in zip(layout.results, results, strict=True)
    ]
    return _dask().apply_gufunc(
        partial(call, function, tuple(arrays), options),
        f"{','.join(map(_bracketed, names.values()))}->{','.join(map(_bracketed, results))}",
        *_aligned(arrays, places, lead),
        axes=axes,
        output_dtypes=dtypes if several else dtypes[0],
        output_sizes={n: size for n, size in made.items() if n not in inputs},
    )


def call(function: Callable[..., Any], names: tuple[str, ...], options: Mapping[str, Any], *operands: Any) -> Any:
    """Call a function by the names of its operands, in a form that pickles."""
    return function(**dict(zip(names, operands, strict=True)), **options)


def as_lazy(x: Any) -> Any:
    """A dask array, of one block unless it is one already."""
    return x if is_lazy(x) else _dask().from_array(np.asanyarray(x), chunks=-1)


def at_shape(x: Any, shape: tuple[int, ...]) -> Any:
    """A number as it is, anything else as what it is broadcast to: times one, which keeps masks, as to repeat it would not."""
    if _is_number(x) or np.shape(x) == shape:
        return x
    x = as_lazy(x)
    added = len(shape) - x.ndim
    chunks = [x.chunks[k - added] if k >= added and x.shape[k - added] == n else (n,) for k, n in enumerate(shape)]
    return x * _dask().ones(shape, dtype=x.dtype, chunks=tuple(chunks))


def refuse_out(options: Mapping[str, Any]) -> None:
    """``TypeError`` for an ``out`` that a dask array would be written to, which is computed later."""
    if options.get("out") is not None:
        raise TypeError("out must be None where an operand is a dask array, which is computed later")


def sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    """The sum over those axes along which something of the shape has been broadcast."""
    axes = broadcast_axes(x.shape, shape)
    return cast(summed(x, axes, True).reshape(shape), x.dtype) if axes else x


def summed(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum in float64, block by block as dask's own, but without a warning of what is too large."""
    return _dask().reduction(x, _block_sum, _block_sum, axis, keepdims, np.float64)


def cast(x: Any, dtype: Any) -> Any:
    """An array in that dtype, without a warning of what is too large, or too small, for it."""
    return x if x.dtype == dtype else x.map_blocks(partial(quietly, _cast), dtype, dtype=dtype)


def _block_sum(block: Any, axis: Any, keepdims: bool) -> Any:
    return quietly(np.sum, block, axis=axis, keepdims=keepdims, dtype=np.float64)


def _cast(block: Any, dtype: Any) -> Any:
    return block.astype(dtype)


def _dask() -> Any:
    return import_module("dask.array")


def _is_number(x: Any) -> bool:
    """Whether ``x`` goes with all blocks as it is: it promotes as a number does."""
    return isinstance(x, int | float | np.generic)


def _core_names(axes: str, together: int) -> list[str]:
    letters = axes.removeprefix(ROWS)
    if letters and axes.startswith(ROWS):
        return [f"{letters}{i}" for i in range(together)]
    return [f"{letter}0" for letter in letters]


def _bracketed(names: list[str]) -> str:
    return f"({','.join(names)})"


def _aligned(arrays: Mapping[str, Any], places: Mapping[str, tuple[int, ...]], lead: Any) -> list[Any]:
    """The arrays with the axes of their rows in the blocks of an array that is lazy already."""
    leading = next(name for name, x in arrays.items() if x is lead)
    blocks = [lead.chunks[k] for k in range(lead.ndim) if k not in places[leading]]
    aligned = []
    for name, x in arrays.items():
        rows = [k for k in range(x.ndim) if k not in places[name]]
        wanted = {
            k: chunks
            for k, chunks in zip(reversed(rows), reversed(blocks), strict=False)
            if x.shape[k] > 1 and x.shape[k] == sum(chunks) and x.chunks[k] != chunks
        }
        aligned.append(x.rechunk(wanted) if wanted else x)
    return aligned
