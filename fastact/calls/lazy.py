"""Functions of dask arrays: nothing is computed at the call, which becomes part of the graph that dask computes.

dask is imported when it has been already, by whoever made the array.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from fastact.calls.layout import ROWS, Layout, broadcast_axes, core_axes
from fastact.calls.quiet import quietly

COMPUTE_SIZES = "call its compute_chunk_sizes() first"


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
    for name, x in arrays.items():
        _refuse_several_chunks(name, x, places[name])
    lead = _lead([arrays[name] for name in arrays if is_lazy(operands[name])])
    aligned, unknown = _with_lengths(_aligned(arrays, places, lead), places)
    sizes = {n: arrays[name].shape[k] for name in arrays for n, k in zip(names[name], places[name], strict=True)}
    options = {**options, **whole}
    if "axis" in options:  # a block has them last
        options["axis"] = -1 if together == 1 else tuple(range(-together, 0))
    samples = {
        name: np.zeros(
            (*((0,) if layout.operands[name].startswith(ROWS) else ()), *(x.shape[k] for k in places[name])), x.dtype
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
    axes = list(places.values()) + [
        core_axes(text, lead.ndim, axis) if text.startswith(ROWS) else tuple(range(-len(core), 0))
        for text, core in zip(layout.results, results, strict=True)
    ]
    computed = _dask().apply_gufunc(
        partial(call, function, tuple(arrays), options),
        f"{','.join(map(_bracketed, names.values()))}->{','.join(map(_bracketed, results))}",
        *aligned.values(),
        axes=axes,
        output_dtypes=dtypes if several else dtypes[0],
        output_sizes={n: size for n, size in made.items() if n not in inputs},
    )
    if not unknown:
        return computed
    cores = axes[len(arrays) :]
    back = [
        _without_lengths(x, core, unknown) for x, core in zip(computed if several else [computed], cores, strict=True)
    ]
    return tuple(back) if several else back[0]


def in_one_task(
    function: Any,
    operands: Mapping[str, Any],
    options: Mapping[str, Any],
    shapes: Mapping[str, Any],
    like: str | Mapping[int, str] = "",
) -> Any:
    """``function(**operands, **options)`` as dask arrays that one task computes from whole arrays.

    ``shapes`` are those of smaller operands of which the results differ in nothing but values, but for a second one, which has
    the shape and the blocks of the operand that it is ``like``; or for those that are, by their numbers.
    """
    refuse_out(options)
    for name, x in operands.items():
        if is_lazy(x):
            refuse_unknown_lengths(name, x, range(x.ndim))
    dask, array = import_module("dask"), _dask()
    arrays: dict[str, Any] = {name: x if is_lazy(x) else np.asarray(x) for name, x in operands.items()}
    samples = {name: np.zeros(shapes.get(name, x.shape), x.dtype) for name, x in arrays.items()}
    found = function(**samples, **options)
    whole = [x.rechunk(-1).to_delayed(optimize_graph=False).item() if is_lazy(x) else x for x in arrays.values()]
    task = dask.delayed(partial(call, function, tuple(arrays), dict(options)), pure=True)(*whole)
    several = isinstance(found, tuple)
    owners = like if isinstance(like, Mapping) else {1: like}
    results = []
    for i, one in enumerate(found if several else (found,)):
        whole_like = as_lazy(operands[owners[i]]) if i in owners else one
        result = array.from_delayed(task[i] if several else task, np.shape(whole_like), one.dtype)
        results.append(result.rechunk(whole_like.chunks) if i in owners else result)
    return tuple(results) if several else results[0]


def call(function: Callable[..., Any], names: tuple[str, ...], options: Mapping[str, Any], *operands: Any) -> Any:
    """Call a function by the names of its operands, in a form that pickles."""
    return function(**dict(zip(names, operands, strict=True)), **options)


def as_lazy(x: Any) -> Any:
    """A dask array, of one block unless it is one already."""
    return x if is_lazy(x) else _dask().from_array(np.asanyarray(x), chunks=-1)


def at_shape(name: str, x: Any, shape: tuple[Any, ...]) -> Any:
    """A number as it is, anything else as what it is broadcast to: times one, which keeps masks, as to repeat it would not.

    Along axes of unknown length it stays as it is.
    """
    if _is_number(x):
        return x
    added = len(shape) - np.ndim(x)
    own = (1,) * added + np.shape(x)
    wanted = tuple(1 if math.isnan(n) else n for n in shape)
    if added < 0 or any(m not in (1, n) and not math.isnan(n + m) for n, m in zip(shape, own, strict=True)):
        raise ValueError(f"{name} must broadcast to the shape {shape}, got {np.shape(x)}")
    if not added and all(math.isnan(n) or n == m for n, m in zip(shape, own, strict=True)):
        return x
    x = as_lazy(x)
    chunks = [x.chunks[k - added] if k >= added and own[k] == n else (n,) for k, n in enumerate(wanted)]
    return x * _dask().ones(wanted, dtype=x.dtype, chunks=tuple(chunks))


def full_shape(*shapes: tuple[Any, ...]) -> tuple[Any, ...]:
    """The shape that shapes broadcast to; the length of an axis is unknown, nan, where one of theirs is."""
    unknown = {k - len(shape) for shape in shapes for k, n in enumerate(shape) if math.isnan(n)}
    if not unknown:
        return np.broadcast_shapes(*shapes)
    known = [tuple(1 if k - len(shape) in unknown else n for k, n in enumerate(shape)) for shape in shapes]
    full = np.broadcast_shapes(*known)
    return tuple(math.nan if k - len(full) in unknown else n for k, n in enumerate(full))


def refuse_unknown_lengths(name: str, x: Any, axes: Iterable[int]) -> None:
    """``ValueError`` for a dask array whose blocks' lengths along these axes nobody knows."""
    for k in axes:
        if math.isnan(np.shape(x)[k]):
            raise ValueError(f"{name} has chunks of unknown length along axis {k}: {COMPUTE_SIZES}")


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


def _lead(lazy: Iterable[Any]) -> Any:
    """The array whose blocks others follow: of those with most axes one whose blocks' lengths are not known, if there is any."""
    return max(lazy, key=lambda x: (x.ndim, any(map(math.isnan, x.shape))))


def _refuse_several_chunks(name: str, x: Any, axes: tuple[int, ...]) -> None:
    """``ValueError`` for an array whose rows are not each in one block, of a length that is known."""
    refuse_unknown_lengths(name, x, axes)
    for k in axes:
        if x.numblocks[k] > 1:
            raise ValueError(f"{name} consists of multiple chunks along axis {k}, which must be in one: rechunk it")


def _aligned(arrays: Mapping[str, Any], places: Mapping[str, tuple[int, ...]], lead: Any) -> dict[str, Any]:
    """The arrays with the axes of their rows in the blocks of an array that is lazy already."""
    leading = next(name for name, x in arrays.items() if x is lead)
    blocks = [lead.chunks[k] for k in range(lead.ndim) if k not in places[leading]]
    aligned = {}
    for name, x in arrays.items():
        rows = [k for k in range(x.ndim) if k not in places[name]]
        wanted = {
            k: chunks
            for k, chunks in zip(reversed(rows), reversed(blocks), strict=False)
            if x.shape[k] > 1 and x.shape[k] == sum(chunks) and x.chunks[k] != chunks
        }
        aligned[name] = x.rechunk(wanted) if wanted else x
    return aligned


def _with_lengths(arrays: dict[str, Any], places: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, Any], set[int]]:
    """The arrays with some length for each block of rows whose length nobody knows; and which axes of rows these are.

    dask compares the lengths of operands, unknown ones too, which are nan and never equal. Axes are counted from the last.
    """
    rows = {name: [k for k in range(x.ndim) if k not in places[name]] for name, x in arrays.items()}
    unknown: set[int] = set()
    for i in range(1, 1 + max(map(len, rows.values()))):
        axes = {name: rows[name][-i] for name in arrays if i <= len(rows[name])}
        long = {name: k for name, k in axes.items() if arrays[name].shape[k] != 1}
        nameless = [name for name, k in long.items() if math.isnan(arrays[name].shape[k])]
        if nameless and (len(nameless) < len(long) or len({arrays[name].numblocks[k] for name, k in long.items()}) > 1):
            raise ValueError(
                f"{' and '.join(long)} may not be split alike, {nameless[0]} having chunks of unknown length "
                f"along axis {long[nameless[0]]}: {COMPUTE_SIZES}"
            )
        lengths = {arrays[name].shape[k] for name, k in long.items()}
        if not nameless and len(lengths) > 1:
            shapes = [f"{name} of shape {arrays[name].shape}" for name in axes]
            raise ValueError(f"the rows of {' and '.join(shapes)} do not broadcast")
        if nameless:
            unknown.add(i)
    found = {}
    for name, x in arrays.items():
        chunks = list(x.chunks)
        for i, k in enumerate(reversed(rows[name]), 1):
            if i in unknown and x.shape[k] != 1:
                chunks[k] = (2,) * x.numblocks[k]  # one would broadcast
        found[name] = _dask().Array(x.dask, x.name, tuple(chunks), meta=x) if unknown else x
    return found, unknown


def _without_lengths(x: Any, core: tuple[int, ...], unknown: set[int]) -> Any:
    """A result with blocks of rows of unknown length again."""
    rows = [k for k in range(x.ndim) if k - x.ndim not in core and k not in core]
    chunks = list(x.chunks)
    for i, k in enumerate(reversed(rows), 1):
        if i in unknown:
            chunks[k] = (math.nan,) * x.numblocks[k]
    return _dask().Array(x.dask, x.name, tuple(chunks), meta=x)
