"""The inner loop of ``fastact.kinds.planes``: pixels side by side, a block at a time, whose sums stay in the first-level cache.

The terms of a pixel's classes are added in the order of these, those of ``GROUP`` classes in the precision that is computed in, the
groups' sums in float64. No pixel's result depends on another.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import lanes, memory
from fastact.kernels.along import (
    add_term,
    moved,
    no_options,
    options_at_first,
    write_one,
)
from fastact.kernels.column_sums import row_number
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.memory import (
    advance,
    own_function_with_wide_vectors,
    zero_bytes,
)
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.tuples import Each, Named, integers_at, numbers_in, operands_at
from fastact.maths.simd import Scalar, widen

BLOCK, GROUP = 1024, 32
"""Pixels of a block, and classes of a group."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE, COMPUTED_SIZE, SUMS = 4, 4, True
T: Any = np.float32
terms = result = add_terms = add_group = narrow_totals = write_elements = FILLED_IN
planes_of = plane_steps = rows_of = numbers_of = number_steps = target_of = target_step = FILLED_IN
options_of = options_stored = total_tile = group_tile = FILLED_IN

advance_each, move_each, number_each = Each(advance), Each(moved), Each(row_number)


def add_wide(part: Scalar, total: Scalar) -> Scalar:
    """Add a group's sum to the pixel's."""
    return total + widen(part)


def narrowed(total: Scalar) -> Scalar:
    """A pixel's sum in the precision that is computed in."""
    return T(total)


def one_block(
    planes: Any,
    steps: Any,
    rows: Any,
    numbers: Any,
    inner: Any,
    ys: Any,
    y_steps: Any,
    c: Any,
    count: Any,
    options: Any,
) -> None:
    """The results of a block of pixels."""
    own_function_with_wide_vectors()
    totals, group = total_tile(), group_tile()
    if SUMS:
        zero_bytes(totals, count * 8)
        for first in range(0, c, GROUP):
            zero_bytes(group, count * COMPUTED_SIZE)
            for k in range(first, min(c, first + GROUP)):
                elements = move_each((planes, steps, k)) + rows
                add_terms((*elements, group), count, number_each((numbers, inner, k)) + options)
            add_group((group, totals), count, ())
        narrow_totals((totals, group), count, ())
    for k in range(c):
        elements = move_each((planes, steps, k)) + rows
        targets = move_each((ys, y_steps, k))
        write_elements((*elements, group, *targets), count, number_each((numbers, inner, k)) + options)


def planes_of_pixels(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """The results of each set of pixels."""
    n, c, pixels = dims[0], dims[1], dims[2]
    if n > 1 and taken_by_team(n * c * pixels, args, dims, steps, record):
        return
    options, within, inner, y_within = (
        options_of(args, steps),
        plane_steps(steps),
        number_steps(steps),
        target_step(steps),
    )
    for i in range(n):
        planes, rows, numbers = planes_of(args, steps, i), rows_of(args, steps, i), numbers_of(args, steps, i)
        targets = target_of(args, steps, i)
        for first in range(0, pixels, BLOCK):
            count, offset = min(BLOCK, pixels - first), first * SIZE
            here, beside, there = (
                advance_each((planes, offset)),
                advance_each((rows, offset)),
                advance_each((targets, offset)),
            )
            one_block(here, within, beside, numbers, inner, there, y_within, c, count, options)
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``planes_of_pixels`` for one kernel and dtype."""
    compute = FLOATS[dtype].computed_in
    planes, reads, numbers = len(kernel.planes.split()), len(kernel.reads), len(kernel.numbers)
    args = kernel.inputs + 1
    # Core steps come operand by operand: two of each plane, one of each other.
    first_number = args + planes + reads
    constants = (*kernel.numbers, *kernel.options)
    elements = [dtype] * reads
    filled = {
        "SIZE": np.dtype(dtype).itemsize,
        "COMPUTED_SIZE": np.dtype(compute).itemsize,
        "SUMS": kernel.term is not None,
        "T": np.dtype(compute).type,
        "load_wide": lanes.load("float64"),
        "planes_of": operands_at(range(planes)),
        "plane_steps": integers_at(range(args, args + 2 * planes, 2)),
        "rows_of": operands_at(range(planes, reads)),
        "numbers_of": operands_at(range(reads, reads + numbers)),
        "number_steps": integers_at(range(first_number, first_number + numbers)),
        "target_of": operands_at([args - 1]),
        "target_step": integers_at([first_number + numbers + 1]),
        "OPTION_OPERAND": reads + numbers,
        "OPTION_STEP": first_number + numbers,
        "options_of": options_at_first if kernel.options else no_options,
        "options_stored": numbers_in(["float64"] * len(kernel.options), "float64"),
        "total_tile": memory.stack_space(BLOCK * 8),
        "group_tile": memory.stack_space(BLOCK * np.dtype(compute).itemsize),
        "terms": Named(kernel.term or kernel.writes, kernel.reads, constants, [compute]),
        "result": Named(kernel.writes, (*kernel.reads, kernel.total), constants),
        "add_terms": ElementLoop(add_term, [*elements, compute], [compute], updates=1, constants=0),
        "add_group": ElementLoop(add_wide, [compute, "float64"], ["float64"], updates=1),
        "narrow_totals": ElementLoop(narrowed, ["float64"], [compute]),
        "write_elements": ElementLoop(write_one, [*elements, compute], [dtype], constants=0),
    }
    return instance(planes_of_pixels, filled)
