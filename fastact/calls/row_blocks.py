"""How a function reaches a kernel of blocks of rows: a matrix is cut by its shape alone, the blocks' sums are added in order."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from fastact.calls.axes import Axis
from fastact.calls.programs import (
    as_rows,
    at_one_shape_of,
    axes_of,
    checked_outs,
    of_one_row,
    places_of_rows,
    put_back,
    result_dtype,
    result_place,
)
from fastact.calls.quiet import quietly
from fastact.calls.refusals import translated
from fastact.kinds.row_blocks import RowBlocksKernel
from fastact.runtime.ufunc import make_ufunc

BLOCK, LEAST_ROWS, MOST_BLOCKS = 2**14, 16, 64
"""Elements that make a block of rows, which one thread computes, rows that it has at least, and how many blocks there are at most
unless there are twice as many."""


@cache
def blocks_ufunc(kernel: RowBlocksKernel) -> Any:
    """The ufunc of a kernel."""
    return make_ufunc(kernel, kernel.name, "Blocks of rows, and sums of their columns.", __name__)


def height_of(rows: int, columns: int) -> int:
    """How many rows are in a block: a power of two."""
    wanted = max(LEAST_ROWS, BLOCK // max(1, columns), -(-rows // MOST_BLOCKS))
    return 1 << (wanted.bit_length() - 1)


def row_blocks(
    kernel: RowBlocksKernel,
    matrices: Sequence[Any],
    shared: Sequence[Any],
    options: Sequence[float],
    results: Sequence[Any],
) -> Any:
    """Write each row's results, and add up the columns.

    Parameters
    ----------
    kernel : RowBlocksKernel
        What is computed.
    matrices : sequence of ndarray
        The operands that have rows, of the shape (rows, columns).
    shared : sequence of ndarray
        Those that all rows have in common, of the shape (columns,).
    options : sequence of float
        Values of the kernel's options.
    results : sequence of ndarray
        Where the rows are written, of the shape (rows, columns); they may be operands.

    Returns
    -------
    ndarray
        The sums of each of the kernel's terms, of float64 and of the shape (sums, columns).
    """
    rows, columns = results[0].shape
    height = height_of(rows, columns)
    whole = rows // height
    partial = np.empty((len(kernel.totals), -(-rows // height), columns))
    ufunc, end = blocks_ufunc(kernel), whole * height
    numbers = (np.array(options, np.float64),) if kernel.options else ()
    if whole:  # no copy is made: only the first axis is split
        split = (whole, height, columns)
        blocks = [[m[:end].reshape(split) for m in several] for several in (matrices, results)]
        quietly(ufunc, *blocks[0], *shared, *numbers, out=(*blocks[1], *partial[:, :whole]))
    if end < rows:
        last = [[m[end:] for m in several] for several in (matrices, results)]
        quietly(ufunc, *last[0], *shared, *numbers, out=(*last[1], *partial[:, whole]))
    return quietly(np.add.reduce, partial, axis=1)


def gradients_of_rows(
    kernel: RowBlocksKernel,
    rows: Mapping[str, Any],
    shared: Mapping[str, Any],
    options: Sequence[float],
    axis: Axis,
    out: Any,
) -> tuple[Any, ...]:
    """The gradient that a kernel of one result writes for each row, and its sums in the shape of a row.

    Parameters
    ----------
    kernel : RowBlocksKernel
        What is computed.
    rows : mapping of str to array
        Operands that broadcast to one shape, by the names of the public function's parameters.
    shared : mapping of str to array
        Operands of the shape of the axes, which all rows have in common.
    options : sequence of float
        Values of the kernel's options.
    axis : int, tuple of int or None
        The axes of a row in the broadcast shape; None stands for all.
    out : ndarray or None
        Where the rows are written.
    """
    arrays = at_one_shape_of(rows)
    shape = arrays[0].shape
    axes = axes_of(axis, len(shape))
    common = [of_one_row(name, x, shape, axes) for name, x in shared.items()]
    try:
        result, dtype = gradient_place(blocks_ufunc(kernel), arrays, (*common, *[np.empty(0)] * bool(options)), out)
    except TypeError as error:
        raise translated(error, {**rows, **shared}) from None
    (target,), indirect = places_of_rows([result], axes)
    matrices = [_matrix(as_rows(x, axes)) for x in arrays]
    place = _matrix(target)
    sums = row_blocks(kernel, matrices, common, options, [place])
    if not np.shares_memory(place, target) and place.size:
        target[...] = place.reshape(target.shape)
    put_back([result], indirect, axes)
    core = tuple(shape[k] for k in axes)
    return (result, *(quietly(one.astype, dtype).reshape(core) for one in sums))


def gradient_place(ufunc: Any, arrays: Sequence[Any], others: Sequence[Any], out: Any) -> tuple[Any, Any]:
    """Where a gradient of the operands' shape is written, and the dtype of all gradients; ``out`` if that holds it."""
    (result,) = checked_outs(out, arrays[0].shape, 1)
    dtype = result_dtype(ufunc, (*arrays, *others))
    return result_place(result, arrays, dtype), dtype


def _matrix(rows: Any) -> Any:
    """Rows along the last axis as those of a matrix: a view where they lie evenly, else a copy."""
    return (
        rows if rows.ndim == 2 else rows.reshape(-1, rows.shape[-1]) if rows.size else rows.reshape(0, rows.shape[-1])
    )
