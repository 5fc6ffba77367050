"""How a function reaches a kernel over all elements of its operands: as rows of one length, wherever the elements lie.

The sums of rows are added in float64 and in order, so they have the same bits in every layout and on
any number of threads. Operands that lie as the kernel takes them are not copied; of others as much at a time as fits a cache.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastact.calls.quiet import quietly

ROW = 2048
"""Elements of a row: those of several operands stay in the first-level cache from one pass to the next."""
SLAB = 64 * ROW
"""Elements that are converted at a time."""


def rows_dtype(dtype: Any, operands: Iterable[Any]) -> Any:
    """The dtype of a kernel's rows for an input of a dtype: halves would round operands that are more precise."""
    wider = any(x.dtype.kind == "f" and x.dtype.itemsize > 2 for x in operands)
    return np.dtype(np.float32) if dtype == np.float16 and wider else dtype


def over_elements(
    ufunc: Any,
    operands: Sequence[Any],
    shape: tuple[int, ...],
    dtype: Any,
    options: Sequence[float],
    results: Sequence[Any],
) -> Any:
    """Call the ufunc of a pointwise kernel over all elements of some arrays.

    Parameters
    ----------
    ufunc : numpy.ufunc
        Of a ``PointwiseKernel``: its first results are rows, the others sums over each row.
    operands : sequence of ndarray
        They broadcast to the shape, and are converted to the dtype.
    shape : tuple of int
        The shape of the results.
    dtype : dtype
        What the kernel's rows are of.
    options : sequence of float
        Values of the kernel's options.
    results : sequence of ndarray
        Where the rows are written, in any dtype and layout; they may be operands, but not overlap with them otherwise.

    Returns
    -------
    ndarray
        The sums of each of the numbers, of float64.
    """
    operands = [x if x.shape == shape else np.broadcast_to(x, shape) for x in operands]
    given, size = np.array(options, np.float64), math.prod(shape)
    as_they_lie = all(_lies(x, dtype) for x in (*operands, *results))
    if as_they_lie and 0 < size <= ROW:  # of a few elements the rest would take longer than the kernel
        vectors = [x.reshape(-1) for x in (*operands, *results)]
        outs = (*vectors[len(operands) :], *[None] * (ufunc.nout - len(results)))
        found = quietly(ufunc, *vectors[: len(operands)], given, out=outs)
        return np.array(found[len(results) :] if isinstance(found, tuple) else [found][len(results) :], np.float64)
    step = size if as_they_lie else SLAB
    numbers = [np.zeros((ufunc.nout - len(results), 0))]
    for start in range(0, size, max(1, step)):
        numbers += _slab(ufunc, operands, slice(start, min(size, start + step)), dtype, given, results)
    return quietly(np.add.reduce, np.concatenate(numbers, axis=1), axis=1)


def _slab(
    ufunc: Any, operands: Sequence[Any], here: slice, dtype: Any, options: Any, results: Sequence[Any]
) -> list[Any]:
    """The rows of some elements, counted in C's order, and their numbers, those of the last, shorter row apart."""
    inputs = [x.reshape(-1)[here] if _lies(x, dtype) else quietly(_copied, x, here, dtype) for x in operands]
    outputs = [y.reshape(-1)[here] if _lies(y, dtype) else np.empty(here.stop - here.start, dtype) for y in results]
    size, count = here.stop - here.start, ufunc.nout - len(results)
    whole = size // ROW * ROW
    numbers = []
    for start, stop, row in ((0, whole, ROW), (whole, size, size - whole)):
        if start < stop:
            xs, ys = ([x[start:stop].reshape(-1, row) for x in vectors] for vectors in (inputs, outputs))
            found = quietly(ufunc, *xs, options, out=(*ys, *[None] * count))
            found = found if isinstance(found, tuple) else (found,)
            numbers.append(np.array(found[len(results) :], np.float64).reshape(count, len(xs[0])))
    for y, result in zip(outputs, results, strict=True):
        if not _lies(result, dtype):
            quietly(_store, result, here, y)
    return numbers


def _lies(x: Any, dtype: Any) -> bool:
    """Whether an array's elements lie in memory as a kernel takes them."""
    return bool(x.dtype == dtype and x.flags.c_contiguous and x.flags.aligned)


def _copied(x: Any, here: slice, dtype: Any) -> Any:
    """Some elements of an array of any layout."""
    if not any(x.strides):
        return np.full(here.stop - here.start, x[(0,) * x.ndim], dtype)
    flat = x.reshape(-1) if x.flags.c_contiguous else x.flat
    return flat[here].astype(dtype)


def _store(result: Any, here: slice, values: Any) -> None:
    """Write some elements of an array of any layout."""
    result.flat[here] = values
