"""Sums per column of matrices of any height, on all threads, in float64: the bits depend on the matrix alone."""

from functools import cache
from typing import Any

import numpy as np

from fastact.kinds.column_sums import ColumnSumsKernel
from fastact.runtime.ufunc import make_ufunc

BLOCK = 2**16
"""Elements that make a block of rows, which one thread adds up."""
LEAST_ROWS = 64
"""Rows that a block has at least: what is kept of each block is two words for each column."""


@cache
def _ufunc(kernel: ColumnSumsKernel) -> Any:
    return make_ufunc(kernel, kernel.name, "Sums per column of blocks of rows.", __name__)


def column_sums(kernel: ColumnSumsKernel, matrices: tuple[Any, ...], numbers: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    """Add up a kernel's terms over all rows.

    Parameters
    ----------
    kernel : ColumnSumsKernel
        What is added up.
    matrices : tuple of ndarray
        The operands, of one dtype, each of the shape (rows, columns) or, if it is the same for all rows, (columns,).
    numbers : tuple of ndarray
        The numbers of each row, of the shape (rows,).

    Returns
    -------
    tuple of ndarray
        The sums, of float64 and of the shape (columns,).
    """
    shape = np.broadcast_shapes(*(m.shape for m in matrices))
    rows, columns = shape
    matrices = tuple(np.broadcast_to(m, shape) for m in matrices)
    height = max(LEAST_ROWS, BLOCK // max(1, columns))
    whole = rows // height
    partial = np.zeros((kernel.outputs, whole + 1, columns))
    ufunc = _ufunc(kernel)
    with np.errstate(all="ignore"):
        for first, last, target in ((0, whole, partial[:, :whole]), (whole, whole + 1, partial[:, whole:])):
            rows_here = slice(first * height, min(rows, last * height))
            blocks = [_as_blocks(m[rows_here], last - first) for m in matrices]
            inner = [_as_blocks(np.asarray(n, np.float64)[rows_here], last - first) for n in numbers]
            if last > first:
                ufunc(*blocks, *inner, out=tuple(target))
        return tuple(partial.sum(axis=1))


def _as_blocks(rows: Any, blocks: int) -> Any:
    """Rows as so many blocks of one height; no copy is made, since only the first axis is split."""
    return rows.reshape(blocks, -1, *rows.shape[1:]) if blocks > 1 else rows[None]
