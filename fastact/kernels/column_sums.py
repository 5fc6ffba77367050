"""The inner loop of ``fastact.kinds.column_sums``: a block of rows, added up column by column in float64.

The rows are walked one after the other, a stretch of columns at a time whose sums stay in the first-level cache. Blocks are what
threads share; how many rows are in one depends on the matrix alone, and so do the bits.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import lanes, memory
from fastact.kernels.along import (
    contiguous,
    moved,
    plus,
)
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.memory import (
    advance,
    own_function_with_wide_vectors,
)
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.tuples import Each, Named, integers_at, operands_at, stack_spaces
from fastact.maths.simd import widen

STRETCH = 1024
"""Columns whose sums are updated before the next ones: 8 KiB for each sum."""

# What instances fill in; the values here serve the reader and the type checker.
terms = places_of = row_steps = column_steps = targets_of = target_steps = numbers_of = number_steps = FILLED_IN
stretch_tiles = sum_tiles = add_terms = load_wide = store_wide = FILLED_IN


def add_term(elements: Any, sums: Any, numbers: Any) -> Any:
    """Add an element's terms to its column's sums."""
    return plus_each((sums, widen_each((terms(elements, numbers),))))


def zeroed(sums: Any, count: Any) -> None:
    """Write zeros to sums."""
    memory.zero_bytes(sums, count * 8)


def row_number(place: Any, step: Any, i: Any) -> Any:
    """The number of row ``i``."""
    return load_wide(advance(place, i * step))


def stored(target: Any, step: Any, sums: Any, count: Any) -> None:
    """Write sums to where they belong."""
    for j in range(count):
        store_wide(advance(target, j * step), load_wide(advance(sums, j * 8)))


plus_each, widen_each, move_each, zero_each = Each(plus), Each(widen), Each(moved), Each(zeroed)
contiguous_each, number_each, store_each = Each(contiguous), Each(row_number), Each(stored)


def add_stretch(
    places: Any, rows: Any, columns: Any, numbers: Any, steps: Any, r: Any, count: Any, targets: Any, y_steps: Any
) -> None:
    """The sums of a stretch of columns over all rows of a block."""
    own_function_with_wide_vectors()
    tiles, sums = stretch_tiles(), sum_tiles()
    zero_each((sums, count))
    for i in range(r):
        elements = contiguous_each((move_each((places, rows, i)), columns, count, tiles))
        add_terms(elements + sums, count, number_each((numbers, steps, i)))
    store_each((targets, y_steps, sums, count))


def column_sums(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """The sums of each block of rows."""
    n, r, c = dims[0], dims[1], dims[2]
    if n > 1 and taken_by_team(n * r * c, args, dims, steps, record):
        return
    rows, columns, y_steps, inner = row_steps(steps), column_steps(steps), target_steps(steps), number_steps(steps)
    for i in range(n):
        places, targets, numbers = places_of(args, steps, i), targets_of(args, steps, i), numbers_of(args, steps, i)
        for first in range(0, c, STRETCH):
            count = min(STRETCH, c - first)
            here, there = move_each((places, columns, first)), move_each((targets, y_steps, first))
            add_stretch(here, rows, columns, numbers, inner, r, count, there, y_steps)
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``column_sums`` for one kernel and dtype."""
    size, inputs, args = np.dtype(dtype).itemsize, len(kernel.reads), kernel.inputs + kernel.outputs
    wide = ["float64"] * kernel.outputs
    numbers, targets = range(inputs, kernel.inputs), range(kernel.inputs, args)
    # Core steps come operand by operand: two of each matrix, one of each other.
    others = args + 2 * inputs
    filled = {
        "SIZE": size,
        "copy_element": memory.copy_element(size),
        "spread_element": memory.spread_element(size),
        "load_wide": lanes.load("float64"),
        "store_wide": lanes.store("float64"),
        "terms": Named(kernel.terms, kernel.reads, kernel.numbers, wide),
        "places_of": operands_at(range(inputs)),
        "row_steps": integers_at(range(args, others, 2)),
        "column_steps": integers_at(range(args + 1, others, 2)),
        "numbers_of": operands_at(numbers),
        "number_steps": integers_at(range(others, others + len(numbers))),
        "targets_of": operands_at(targets),
        "target_steps": integers_at(range(others + len(numbers), others + len(numbers) + len(targets))),
        "stretch_tiles": stack_spaces([STRETCH * size] * inputs),
        "sum_tiles": stack_spaces([STRETCH * 8] * kernel.outputs),
        "add_terms": ElementLoop(add_term, [*[dtype] * inputs, *wide], wide, updates=len(wide), constants=0),
    }
    return instance(column_sums, filled)
