"""Sums of the rows of a matrix by index, on all threads: the bits depend on the rows alone."""

from functools import cache
from typing import Any

import numpy as np

from fastact.calls.quiet import quietly
from fastact.kinds.row_sums import GroupingKernel, RowSumsKernel
from fastact.runtime.ufunc import make_ufunc

PART = 2**16
"""Elements of the rows that one thread adds up at a time, roughly."""
LEAST_ROWS = 32
"""Rows of a part, at least: two rows of float64 are kept of each."""


@cache
def _grouping() -> Any:
    kernel = GroupingKernel("grouping")
    return make_ufunc(kernel, kernel.name, "Rows in the order of their indices.", __name__)


@cache
def _row_sums() -> Any:
    kernel = RowSumsKernel("row_sums")
    return make_ufunc(kernel, kernel.name, "Sums of rows by index.", __name__)


def row_sums(x: Any, indices: Any, table: Any, *, zeros: bool) -> None:
    """Write the sum of the rows of each index to a table.

    Parameters
    ----------
    x : ndarray
        The rows: two axes, in the dtype of the table.
    indices : ndarray
        Of int64, one for each row, from 0 to the number of rows of the table: rows of the latter count nothing.
    table : ndarray
        Written to; two axes, aligned and native, and not where `x` is.
    zeros : bool
        Whether the table holds zeros already.
    """
    n, width = x.shape
    count = len(table)
    if width == 1 and x.dtype.itemsize < 8:  # whose sums, in float64, need no order
        sums = quietly(np.bincount, indices, x[:, 0], count + 1)[:count]
        quietly(np.copyto, table[:, 0], sums, casting="same_kind")
        return
    order, starts = np.empty(n, np.int64), np.empty(count + 3, np.int64)
    _grouping()(indices, out=(order, starts))
    counted = int(starts[count])
    height = max(LEAST_ROWS, PART // max(1, width))
    if counted <= height:
        quietly(_row_sums(), x, order, starts, table, 0, counted, 0, count, int(not zeros), out=np.empty((2, width)))
        return
    bounds = np.append(np.arange(0, counted, height), counted)
    at = np.searchsorted(starts[: count + 1], bounds[1:-1], side="right") - 1
    first, last = np.append(0, at), np.append(at, count)
    edges = np.empty((len(first), 2, width))
    parts = bounds[:-1], bounds[1:], first, last, int(not zeros)
    quietly(_row_sums(), x, order, starts, table, *parts, out=edges)
    _join(edges, starts, bounds, first, last, table)


def _join(edges: Any, starts: Any, bounds: Any, first: Any, last: Any, table: Any) -> None:
    """Add up, in order, what several parts have added to the sum of one index."""
    before = starts[first] < bounds[:-1]
    after = starts[last] < bounds[1:]
    after[-1] = False
    alone = first == last
    used = np.stack([before | (after & alone), after & ~alone], axis=1)
    of = np.stack([first, last], axis=1)[used]
    if len(of):
        begins = np.flatnonzero(np.append(True, of[1:] != of[:-1]))
        sums = quietly(np.add.reduceat, edges[used], begins, axis=0)
        table[of[begins]] = quietly(sums.astype, table.dtype)
