"""The inner loop of ``fastact.kinds.row_blocks``: blocks of rows, each row walked as in ``along.py``, the columns added up.

The terms of ``GROUP`` rows are added in the precision that is computed in, the groups' sums in float64, in the memory that the
block's are returned in. Blocks are what threads share; how many rows are in one is the caller's business.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels.along import (
    advance_each,
    filled_in,
    gather_each,
    move_each,
    plus_each,
    scatter_each,
)
from fastact.kernels.column_sums import zero_each
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.limits import CHUNK
from fastact.kernels.memory import (
    allocate,
    own_function_with_wide_vectors,
    release,
    zero_bytes,
)
from fastact.kernels.planes import add_wide
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.tuples import Each, Named, integers_at, operands_at, rows_at

GROUP = 16
"""Rows of a group."""

# What instances fill in; the values here serve the reader and the type checker.
COMPACT, COMPACT_RESULTS, TOTALS, COMPUTED_SIZE = (4,), (4,), 1, 4
terms = result = known = matrices_of = shared_of = row_steps = steps_within = FILLED_IN
targets_of = target_rows = target_steps_within = sums_of = options_of = chunk_tiles = result_tiles = write_and_add = (
    parts_in
) = add_group = FILLED_IN


def write_and_add_one(elements: Any, sums: Any, constants: Any) -> Any:
    """The sums with an element's terms, and what is written for it."""
    return plus_each((sums, terms(elements, constants))) + result(elements, constants)


def part_added(part: Any, total: Any, count: Any) -> None:
    """Add the sums of a group to those of the block."""
    add_group((part, total), count, ())


add_each = Each(part_added)


def one_row(places: Any, steps: Any, ys: Any, y_steps: Any, sums: Any, c: Any, constants: Any) -> None:
    """Write a row's results, and add its elements' terms to the group's sums of their columns."""
    own_function_with_wide_vectors()
    if steps == COMPACT and y_steps == COMPACT_RESULTS:
        write_and_add(places + sums + ys, c, constants)
        return
    tiles, results = chunk_tiles(), result_tiles()
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        gather_each((tiles, move_each((places, steps, start)), steps, count))
        write_and_add(tiles + advance_each((sums, start * COMPUTED_SIZE)) + results, count, constants)
        scatter_each((move_each((ys, y_steps, start)), y_steps, results, count))


def blocks_of_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """The results of each block's rows, and the sums of its columns."""
    n, r, c = dims[0], dims[1], dims[2]
    if n > 1 and taken_by_team(n * r * c, args, dims, steps, record):
        return
    options = (*options_of(args, steps), c * 1.0)
    rows, within, y_rows, y_within = (
        row_steps(steps),
        steps_within(steps),
        target_rows(steps),
        target_steps_within(steps),
    )
    memory = allocate(TOTALS * c * COMPUTED_SIZE)
    parts = parts_in(memory, c)
    for b in range(n):
        matrices, shared = matrices_of(args, steps, b), shared_of(args, steps, b)
        ys, sums = targets_of(args, steps, b), sums_of(args, steps, b)
        zero_each((sums, c))
        for first in range(0, r, GROUP):
            zero_bytes(memory, TOTALS * c * COMPUTED_SIZE)
            for i in range(first, min(r, first + GROUP)):
                here, there = move_each((matrices, rows, i)) + shared, move_each((ys, y_rows, i))
                constants = known(here, within, c, options, here[0], 0) + options
                one_row(here, within, there, y_within, parts, c, constants)
            add_each((parts, sums, c))
    release(memory)
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``blocks_of_rows`` for one kernel and dtype."""
    inputs, written, totals = len(kernel.reads), len(kernel.rows_written), len(kernel.totals)
    args = kernel.inputs + kernel.outputs
    compute, names = FLOATS[dtype].computed_in, tuple(kernel.constants(dtype))
    added, computed_size = [compute] * totals, np.dtype(compute).itemsize
    # Core steps come operand by operand: two of each matrix, one of each other.
    matrices = kernel.matrices
    first_shared = args + 2 * matrices
    after = first_shared + inputs - matrices
    targets = after + bool(kernel.options)
    filled = filled_in(kernel, dtype) | {
        "OPTION_STEP": after,
        "TOTALS": totals,
        "COMPUTED_SIZE": computed_size,
        "terms": Named(kernel.adds, kernel.reads, names, added),
        "result": Named(kernel.writes, kernel.reads, names, [compute] * written),
        "matrices_of": operands_at(range(matrices)),
        "shared_of": operands_at(range(matrices, inputs)),
        "row_steps": integers_at(range(args, first_shared, 2)),
        "steps_within": integers_at([*range(args + 1, first_shared, 2), *range(first_shared, after)]),
        "target_rows": integers_at(range(targets, targets + 2 * written, 2)),
        "target_steps_within": integers_at(range(targets + 1, targets + 2 * written, 2)),
        "sums_of": operands_at(range(kernel.inputs + written, args)),
        "write_and_add": ElementLoop(
            write_and_add_one,
            [*[dtype] * inputs, *added],
            [*added, *[dtype] * written],
            updates=totals,
            constants=0,
        ),
        "parts_in": rows_at(range(totals), computed_size),
        "add_group": ElementLoop(add_wide, [compute, "float64"], ["float64"], updates=1),
    }
    return instance(blocks_of_rows, filled)
