"""How a function reaches a kernel of blocks of rows: a matrix is cut by its shape alone, the blocks' sums are added in order."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from fastact.calls.quiet import quietly
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
    height, given = height_of(rows, columns), np.array(options, np.float64)
    whole = rows // height
    partial = np.empty((len(kernel.totals), -(-rows // height), columns))
    ufunc, end = blocks_ufunc(kernel), whole * height
    if whole:  # no copy is made: only the first axis is split
        split = (whole, height, columns)
        blocks = [[m[:end].reshape(split) for m in several] for several in (matrices, results)]
        quietly(ufunc, *blocks[0], *shared, given, out=(*blocks[1], *partial[:, :whole]))
    if end < rows:
        last = [[m[end:] for m in several] for several in (matrices, results)]
        quietly(ufunc, *last[0], *shared, given, out=(*last[1], *partial[:, whole]))
    return quietly(np.add.reduce, partial, axis=1)
