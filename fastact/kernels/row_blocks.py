"""The inner loop of ``fastact.kinds.row_blocks``: blocks of rows, each row walked as in ``along.py``, its columns added up in float64.

The sums stay in the memory that the block's are returned in, which is in the first-level cache for most rows. Blocks are what threads
share; how many rows are in one is the caller's business.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels.along import (
    CHUNK,
    advance_each,
    filled_in,
    gather_each,
    move_each,
    plus_each,
    scatter_each,
    widen_each,
)
from fastact.kernels.column_sums import zero_each
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import taken_by_team
from fastact.kernels.instance import instance
from fastact.kernels.memory import clear_fp_flags, own_function_with_wide_vectors
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.tuples import Named, integers_at, operands_at

# What instances fill in; the values here serve the reader and the type checker.
COMPACT, COMPACT_RESULTS = (4,), (4,)
terms = result = known = places_of = row_steps = steps_within = FILLED_IN
targets_of = target_rows = target_steps_within = sums_of = options_of = chunk_tiles = result_tiles = write_and_add = FILLED_IN


def write_and_add_one(elements: Any, sums: Any, constants: Any) -> Any:
    """The sums with an element's terms, and what is written for it."""
    return plus_each((sums, widen_each((terms(elements, constants),)))) + result(elements, constants)


def one_row(places: Any, steps: Any, ys: Any, y_steps: Any, sums: Any, c: Any, constants: Any) -> None:
    """Write a row's results, and add its elements' terms to the sums of their columns."""
    own_function_with_wide_vectors()
    if steps == COMPACT and y_steps == COMPACT_RESULTS:
        write_and_add(places + sums + ys, c, constants)
        return
    tiles, results = chunk_tiles(), result_tiles()
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        gather_each((tiles, move_each((places, steps, start)), steps, count))
        write_and_add(tiles + advance_each((sums, start * 8)) + results, count, constants)
        scatter_each((move_each((ys, y_steps, start)), y_steps, results, count))


def blocks_of_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """The results of each block's rows, and the sums of its columns."""
    n, r, c = dims[0], dims[1], dims[2]
    if n > 1 and taken_by_team(n * r * c, args, dims, steps, record):
        return
    options = (*options_of(args, steps), c * 1.0)
    rows, within, y_rows, y_within = row_steps(steps), steps_within(steps), target_rows(steps), target_steps_within(steps)
    for b in range(n):
        places, ys, sums = places_of(args, steps, b), targets_of(args, steps, b), sums_of(args, steps, b)
        zero_each((sums, c))
        for i in range(r):
            here, there = move_each((places, rows, i)), move_each((ys, y_rows, i))
            constants = known(here, within, c, options, here[0], 0) + options
            one_row(here, within, there, y_within, sums, c, constants)
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``blocks_of_rows`` for one kernel and dtype."""
    inputs, written, totals = len(kernel.reads), len(kernel.rows_written), len(kernel.totals)
    args = kernel.inputs + kernel.outputs
    size, wide, names = np.dtype(dtype).itemsize, ["float64"] * totals, tuple(kernel.constants(dtype))
    # Core steps come operand by operand: two of each matrix, one of the options.
    after = args + 2 * inputs
    targets = after + bool(kernel.options)
    filled = filled_in(kernel, dtype) | {
        "OPTION_STEP": after,
        "terms": Named(kernel.adds, kernel.reads, names, wide),
        "result": Named(kernel.writes, kernel.reads, names, [FLOATS[dtype].computed_in] * written),
        "row_steps": integers_at(range(args, after, 2)),
        "steps_within": integers_at(range(args + 1, after, 2)),
        "target_rows": integers_at(range(targets, targets + 2 * written, 2)),
        "target_steps_within": integers_at(range(targets + 1, targets + 2 * written, 2)),
        "sums_of": operands_at(range(kernel.inputs + written, args)),
        "write_and_add": ElementLoop(
            write_and_add_one,
            [*[dtype] * inputs, *wide],
            [*wide, *[dtype] * written],
            updates=totals,
            constants=0,
        ),
    }
    return instance(blocks_of_rows, filled)
