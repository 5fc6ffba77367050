"""The inner loops of ``fastact.kinds.row_sums``: rows are counted by index and put in order, and added up index by index.

So each sum is written once, by one thread, after it has been added up in float64 where the first-level cache is; of float64 what
each addition rounds off is added up beside it. Rows lie anywhere in the matrix, so those after the next are asked for.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import memory
from fastact.kernels.along import (
    contiguous,
)
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import LINE_BYTES, scatter, taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.lanes import prefetch
from fastact.kernels.memory import (
    advance,
    field,
    own_function_with_wide_vectors,
    set_field,
    zero_bytes,
)
from fastact.kernels.templates import FILLED_IN
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, select, widen

STRETCH = 1024
"""Columns that are added up at a time: their sums stay in the first-level cache."""
AHEAD = 6
"""How many rows before it is added a row is asked for."""
MOST_LINES = 16
"""Cache lines that are asked for of a row; the processor sees the others coming."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE = 4
element_tile = result_tile = sum_tile = rest_tile = add_elements = round_sums = widen_sums = FILLED_IN
copy_element = spread_element = FILLED_IN


def grouping(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Rows by index, and where each index begins: two passes, which count and place."""
    count, n, s = dims[0], dims[1], dims[2]
    for k in range(count):
        indices, order, starts = (
            advance(args[0], k * steps[0]),
            advance(args[1], k * steps[1]),
            advance(args[2], k * steps[2]),
        )
        zero_bytes(starts, s * 8)
        for i in range(n):
            place = field(advance(indices, i * steps[3]), 0) + 2
            set_field(starts, place, field(starts, place) + 1)
        total = 0
        for place in range(2, s):
            total += field(starts, place)
            set_field(starts, place, total)
        for i in range(n):
            # The end of the index before, where this one begins, moves on to where it ends.
            place = field(advance(indices, i * steps[3]), 0) + 1
            end = field(starts, place)
            set_field(order, end, i)
            set_field(starts, place, end + 1)


@scalar
def _add(x: Scalar, total: Scalar, rest: Scalar) -> tuple[Scalar, Scalar]:
    """The sum of a float32 or float16 and of those before it, in float64."""
    return total + widen(x), rest


@scalar
def _add_exactly(x: Scalar, total: Scalar, rest: Scalar) -> tuple[Scalar, Scalar]:
    """The same of a float64, with what is rounded off (Knuth's two-sum; Neumaier 1974)."""
    larger = total + x
    own = larger - total
    return larger, rest + ((total - (larger - own)) + (x - own))


@scalar
def _rounded(total: Scalar, rest: Scalar) -> Scalar:
    """A sum with its rest, which is NaN once the sum is infinite."""
    return select(rest == rest, total + rest, total)


def ask_for_row(place: Any, size: Any) -> None:
    """Ask for so many bytes."""
    for line in range(0, min(size, MOST_LINES * LINE_BYTES), LINE_BYTES):
        prefetch(advance(place, line))


def add_rows(
    x: Any, row_step: Any, step: Any, count: Any, order: Any, first: Any, end: Any, last: Any, sums: Any, rests: Any
) -> None:
    """Add up a stretch of the rows ``first`` to ``end`` in order; there are rows up to ``last``."""
    own_function_with_wide_vectors()
    zero_bytes(sums, count * 8)
    zero_bytes(rests, count * 8)
    tile = element_tile()
    for i in range(first, end):
        ask_for_row(advance(x, field(order, min(i + AHEAD, last - 1)) * row_step), count * SIZE)
        place = advance(x, field(order, i) * row_step)
        add_elements((contiguous(place, step, count, tile), sums, rests), count, ())


def sum_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """The sums of each part of the rows."""
    parts, n, d = dims[0], dims[1], dims[2]
    if parts > 1 and taken_by_team(parts * n * d, args, dims, steps, record):
        return
    row_step, step, table_step, y_step, edge_step = steps[10], steps[11], steps[14], steps[15], steps[16]
    sums, rests, tile = sum_tile(), rest_tile(), result_tile()
    for part in range(parts):
        x, order, starts, table = args[0], args[1], args[2], args[3]
        first, end = field(advance(args[4], part * steps[4]), 0), field(advance(args[5], part * steps[5]), 0)
        index, last = field(advance(args[6], part * steps[6]), 0), field(advance(args[7], part * steps[7]), 0)
        empty = field(advance(args[8], part * steps[8]), 0)
        edges = advance(args[9], part * steps[9])
        for r in range(index, last + 1):
            begins, ends = field(starts, r), field(starts, r + 1)
            here, there = max(begins, first), min(ends, end)
            if here >= there and (empty == 0 or begins < ends or r == last):
                continue
            for start in range(0, d, STRETCH):
                count = min(STRETCH, d - start)
                add_rows(advance(x, start * step), row_step, step, count, order, here, there, end, sums, rests)
                if here == begins and there == ends:
                    y = advance(table, r * table_step + start * y_step)
                    if y_step == SIZE:
                        round_sums((sums, rests, y), count, ())
                    else:
                        round_sums((sums, rests, tile), count, ())
                        scatter(y, y_step, tile, count)
                else:
                    edge = advance(edges, (0 if r == index else 1) * edge_step + start * 8)
                    widen_sums((sums, rests, edge), count, ())
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``sum_rows`` for one dtype."""
    size, wide = np.dtype(dtype).itemsize, "float64"
    add = _add_exactly if dtype == wide else _add
    filled = {
        "SIZE": size,
        "copy_element": memory.copy_element(size),
        "spread_element": memory.spread_element(size),
        "element_tile": memory.stack_space(STRETCH * size),
        "result_tile": memory.stack_space(STRETCH * size),
        "sum_tile": memory.stack_space(STRETCH * 8),
        "rest_tile": memory.stack_space(STRETCH * 8),
        "add_elements": ElementLoop(add, [dtype, wide, wide], [wide, wide], updates=2),
        "round_sums": ElementLoop(_rounded, [wide, wide], [dtype]),
        "widen_sums": ElementLoop(_rounded, [wide, wide], [wide]),
    }
    return instance(sum_rows, filled)
