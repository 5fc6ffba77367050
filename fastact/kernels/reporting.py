"""The inner loop of a function that stands in for one of NumPy's: as ``elementwise.py``, and results tell what they came about by.

Formulas raise exception flags for numbers that a ``select`` throws away, and compute in other steps than NumPy. So the flags that
NumPy looks at after a loop are not those of the computation. They follow from operands and results: NaN from a number is invalid,
infinity from what is finite an overflow or a division by zero, and a tiny result, of functions that are not exact there, an
underflow. Tiles of results are looked at while the first-level cache holds them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import elementwise, lanes, memory
from fastact.kernels.elementwise import TILE_BYTES, gather, taken_by_team, tiled
from fastact.kernels.flags import clear_fp_flags, raise_fp_flags, raised_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.memory import (
    advance,
    as_address,
    copy_bytes,
    own_function_with_wide_vectors,
)
from fastact.kernels.overlap import ANY_ORDER, ONE_BY_ONE, required_order
from fastact.kernels.templates import FILLED_IN

GROUP = 64
"""Elements that are looked at together."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE, TILE = 4, TILE_BYTES // 4
operand_tile = result_tile = tail_of_operands = tail_of_results = fill_group = unusual = exceptions = FILLED_IN


def reporting(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Compute ``dims[0]`` elements, and put up the flags that NumPy would."""
    n = dims[0]
    order = required_order(args, steps, n, 2, 1, SIZE)
    if order == ANY_ORDER and taken_by_team(n, args, dims, steps, record):
        return
    before, found, length = raised_fp_flags(), 0, TILE
    if order == ONE_BY_ONE:
        length = 1
    kept = order != ANY_ORDER or as_address(args[0]) == as_address(args[1])
    for start in range(0, n, length):
        found |= one_tile(args, start, min(n, start + length), steps, kept)
    clear_fp_flags()
    raise_fp_flags(before | found)


def one_tile(args: Any, first: Any, last: Any, steps: Any, kept: Any) -> Any:
    """Compute a tile of elements, which are ``kept`` where results replace them; the exceptions."""
    count, space = last - first, operand_tile()
    x, step = advance(args[0], first * steps[0]), steps[0]
    if kept:
        gather(space, x, step, count)
        x, step = space, SIZE
    tiled(args, first, last, steps, False)
    return looked_at(x, step, advance(args[1], first * steps[1]), steps[1], count)


def looked_at(x: Any, step: Any, y: Any, y_step: Any, count: Any) -> Any:
    """The exceptions that results stand for."""
    own_function_with_wide_vectors()
    found, whole = 0, count // GROUP * GROUP
    xs, ys = tail_of_operands(), tail_of_results()
    if y_step != SIZE:
        space = result_tile()
        gather(space, y, y_step, count)
        y = space
    for i in range(0, whole, GROUP):
        if unusual(advance(y, i * SIZE)):
            place = advance(x, i * step)
            if step != SIZE:
                gather(xs, place, step, GROUP)
                place = xs
            found |= exceptions(place, advance(y, i * SIZE))
    if whole < count:
        fill_group(ys)
        copy_bytes(ys, advance(y, whole * SIZE), (count - whole) * SIZE)
        if unusual(ys):
            fill_group(xs)
            gather(xs, advance(x, whole * step), step, count - whole)
            found |= exceptions(xs, ys)
    return found


def specialise(kind: Any, dtype: str) -> Callable[..., Any]:
    """``reporting`` for one ``fastact.kinds.reporting.ReportingKernel`` and dtype."""
    size = np.dtype(dtype).itemsize
    filled = elementwise.filled_in(kind, dtype) | {
        "operand_tile": memory.stack_space(TILE_BYTES),
        "result_tile": memory.stack_space(TILE_BYTES),
        "tail_of_operands": memory.stack_space(GROUP * size),
        "tail_of_results": memory.stack_space(GROUP * size),
        "fill_group": memory.fill_with_ones(size, GROUP),
        "unusual": lanes.unusual(dtype, kind.tiny != 0),
        "exceptions": lanes.exceptions(dtype, kind.infinite, kind.tiny),
    }
    return instance(reporting, filled)
