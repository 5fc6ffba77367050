"""The inner loop of a function that stands in for one of NumPy's: as ``elementwise.py``, and results tell what they came about by.

Formulas raise exception flags for numbers that a ``select`` throws away, and compute in other steps than NumPy. So the flags that
NumPy looks at after a loop are not those of the computation. They follow from operands and results: NaN from a number is invalid,
infinity from what is finite an overflow or a division by zero, and a tiny result, of functions that are not exact there, an
underflow. Results are looked at while the first-level cache holds them. What those of two operands mean, of powers of 2 or of
halves, is not as simple: NumPy's own loop is asked, which computes the few elements again, and raises what it raises.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import elementwise, lanes, memory
from fastact.kernels.elementwise import (
    TILE_BYTES,
    gather,
    gather_padded,
    scatter,
    taken_by_team,
    tile_pointers,
    tiled,
    vector_loop,
)
from fastact.kernels.fields import NUMPYS, NUMPYS_DATA
from fastact.kernels.flags import (
    clear_all_fp_flags,
    clear_fp_flags,
    raise_fp_flags,
    raised_all_fp_flags,
    raised_fp_flags,
)
from fastact.kernels.instance import instance
from fastact.kernels.jit import internal
from fastact.kernels.memory import (
    advance,
    as_address,
    as_pointer,
    call_loop,
    field,
    own_function_with_wide_vectors,
    set_integer,
    set_pointer,
)
from fastact.kernels.overlap import ANY_ORDER, ONE_BY_ONE, required_order
from fastact.kernels.templates import FILLED_IN

GROUP = 64
"""Elements that are looked at together."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE, INPUTS, ARGS, TILE, BLOCK, ASKS = 4, 1, 2, TILE_BYTES // 4, 32, False
operand_tiles = group_tiles = group_operands = group_results = steps_of_group = one_integer = places = FILLED_IN
fill_group = unusual_group = unusual_block = exceptions = FILLED_IN


def reporting(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Compute ``dims[0]`` elements, and put up the flags that NumPy would."""
    n = dims[0]
    order = required_order(args, steps, n, ARGS, INPUTS, SIZE)
    if order == ONE_BY_ONE:  # as in ``reduce``: each result is an operand of the next
        numpys(args, dims, steps, record)
        return
    if order == ANY_ORDER and taken_by_team(n, args, dims, steps, record):
        return
    before, found = raised_fp_flags(), 0
    kept = order != ANY_ORDER
    for j in range(INPUTS):
        kept = kept or as_address(args[j]) == as_address(args[INPUTS])
    groups = n // GROUP * GROUP
    for start in range(0, groups, TILE):
        found |= whole_groups(args, start, min(groups, start + TILE), steps, kept, record, found)
    if groups < n:
        found |= part_of_a_group(args, groups, n - groups, steps, record, found)
    clear_fp_flags()
    raise_fp_flags(before | found)


@internal
def numpys(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Let NumPy's own loop compute."""
    call_loop(field(record, NUMPYS), args, dims, steps, as_pointer(field(record, NUMPYS_DATA)))


def whole_groups(args: Any, first: Any, last: Any, steps: Any, kept: Any, record: Any, known: Any) -> Any:
    """Compute a tile of elements, which are ``kept`` where results replace them; the exceptions."""
    own_function_with_wide_vectors()
    found, space, group = 0, operand_tiles(), group_tiles()
    if kept:
        for j in range(INPUTS):
            gather(advance(space, j * TILE_BYTES), advance(args[j], first * steps[j]), steps[j], last - first)
    tiled(args, first, last, steps, False)
    for start in range(first, last, GROUP):
        y = advance(args[INPUTS], start * steps[INPUTS])
        if steps[INPUTS] != SIZE:
            gather(group, y, steps[INPUTS], GROUP)
            y = group
        if unusual_group(y):
            operands = places()
            for j in range(INPUTS):
                if kept:
                    set_pointer(operands, j, advance(space, j * TILE_BYTES + (start - first) * SIZE))
                else:
                    x = advance(group, (1 + j) * GROUP * SIZE)
                    gather(x, advance(args[j], start * steps[j]), steps[j], GROUP)
                    set_pointer(operands, j, x)
            set_pointer(operands, INPUTS, y)
            found |= meaning(operands, steps, GROUP, record, known | found)
    return found


def part_of_a_group(args: Any, first: Any, count: Any, steps: Any, record: Any, known: Any) -> Any:
    """Compute fewer elements than a group has, in tiles of their own; the exceptions."""
    own_function_with_wide_vectors()
    found, space, pointers = 0, group_tiles(), tile_pointers()
    padded = (count + BLOCK - 1) // BLOCK * BLOCK
    for j in range(ARGS):
        tile = advance(space, j * GROUP * SIZE)
        set_pointer(pointers, j, tile)
        if j < INPUTS:
            gather_padded(tile, advance(args[j], first * steps[j]), steps[j], count)
    vector_loop(pointers, padded)
    results, odd = advance(space, INPUTS * GROUP * SIZE), False
    for i in range(0, padded, BLOCK):
        odd = odd or unusual_block(advance(results, i * SIZE))
    scatter(advance(args[INPUTS], first * steps[INPUTS]), steps[INPUTS], results, count)
    if odd:
        operands, whole = places(), group_operands()
        for j in range(ARGS):
            tile = advance(whole, j * GROUP * SIZE)
            fill_group(tile)
            gather(tile, advance(space, j * GROUP * SIZE), SIZE, count)
            set_pointer(operands, j, tile)
        found = meaning(operands, steps, count, record, known)
    return found


def meaning(operands: Any, steps: Any, count: Any, record: Any, known: Any) -> Any:
    """The exceptions that the first ``count`` results of a group stand for, but for those that are known already.

    NumPy's loop is told where an operand is one number: some have shorter ways for that.
    """
    found = exceptions(operands) & ~known
    if ASKS and found != 0:
        set_pointer(operands, INPUTS, group_results())
        in_group, dims = steps_of_group(), one_integer()
        for j in range(ARGS):
            set_integer(in_group, j, 0 if j < INPUTS and steps[j] == 0 else SIZE)
        set_integer(dims, 0, count)
        clear_fp_flags()  # of this package's computation; NumPy's may be on x87 too
        earlier = raised_all_fp_flags()
        clear_all_fp_flags()
        numpys(operands, dims, in_group, record)
        found = earlier | raised_all_fp_flags()
        clear_all_fp_flags()
    return found


def specialise(kind: Any, dtype: str) -> Callable[..., Any]:
    """``reporting`` for one ``fastact.kinds.reporting.ReportingKernel`` and dtype."""
    size, args = np.dtype(dtype).itemsize, kind.inputs + kind.outputs
    usual = elementwise.filled_in(kind, dtype)
    filled = usual | {
        # Of halves NumPy reports an underflow where the rounding of its result, which is of float32, loses something.
        "ASKS": kind.asks or (dtype == "float16" and kind.tiny != 0),
        "operand_tiles": memory.stack_space(kind.inputs * TILE_BYTES),
        "group_tiles": memory.stack_space(args * GROUP * size),
        "group_operands": memory.stack_space(args * GROUP * size),
        "group_results": memory.stack_space(GROUP * size),
        "places": memory.stack_pointers(args),
        "steps_of_group": memory.stack_integers(args),
        "one_integer": memory.stack_integers(1),
        "fill_group": memory.fill_with_ones(size, GROUP),
        "unusual_group": lanes.unusual(dtype, GROUP, kind.tiny != 0),
        "unusual_block": lanes.unusual(dtype, usual["BLOCK"], kind.tiny != 0),
        "exceptions": lanes.exceptions(dtype, kind.inputs, kind.infinite, kind.tiny),
    }
    return instance(reporting, filled)
