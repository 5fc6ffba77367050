"""The inner loop of ``where``: elements of one of two operands, whole vectors at a time, whatever the condition looks like.

NumPy's own takes a branch for each element, which costs a processor that guesses wrong some 5 ns. The result lies over no operand,
or, of ``select``, just where the last one does.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import memory
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import TILE_BYTES, gather, scatter, taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.memory import advance, own_function_with_wide_vectors, set_pointer
from fastact.kernels.templates import FILLED_IN
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, select

CONDITION, OPERANDS = 0, 4
"""The place of the condition among the operands, of which the last is the result; and how many there are."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE, TILE = 4, TILE_BYTES // 4
choose = copy_flag = spread_flag = tiles = tile_pointers = FILLED_IN


@scalar
def one_of_two(condition: Scalar, x: Scalar, y: Scalar) -> Scalar:
    """An element of the result."""
    return select(condition != 0, x, y)


def selecting(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Compute ``dims[0]`` elements; the C type is NumPy's inner loop."""
    n = dims[0]
    if taken_by_team(n, args, dims, steps, record):
        return
    for start in range(0, n, TILE):
        one_tile(args, start, min(TILE, n - start), steps)
    clear_fp_flags()


def one_tile(args: Any, first: Any, count: Any, steps: Any) -> None:
    """Compute ``count`` elements from number ``first`` on, through tiles where operands do not lie side by side."""
    own_function_with_wide_vectors()
    space, pointers = tiles(), tile_pointers()
    for j in range(OPERANDS):
        operand, tile = advance(args[j], first * steps[j]), advance(space, j * TILE_BYTES)
        set_pointer(pointers, j, tile)
        if j == CONDITION:
            if steps[j] == 1:
                set_pointer(pointers, j, operand)
            else:
                gather_flags(tile, operand, steps[j], count)
        elif steps[j] == SIZE:
            set_pointer(pointers, j, operand)
        elif j < OPERANDS - 1:
            gather(tile, operand, steps[j], count)
    choose(pointers, count)
    last = OPERANDS - 1
    if steps[last] != SIZE:
        scatter(advance(args[last], first * steps[last]), steps[last], advance(space, last * TILE_BYTES), count)


def gather_flags(tile: Any, operand: Any, step: Any, count: Any) -> None:
    """Copy ``count`` booleans that lie ``step`` bytes apart into a tile."""
    if step == 0:
        spread_flag(tile, operand, count)
    else:
        for i in range(count):
            copy_flag(advance(tile, i), advance(operand, i * step))


def specialise(dtype: str) -> Callable[..., Any]:
    """``selecting`` for one dtype."""
    size = np.dtype(dtype).itemsize
    filled = {
        "SIZE": size,
        "TILE": TILE_BYTES // size,
        "choose": ElementLoop(one_of_two, ["bool", dtype, dtype], [dtype]).over_operands(),
        "copy_element": memory.copy_element(size),
        "spread_element": memory.spread_element(size),
        "copy_flag": memory.copy_element(1),
        "spread_flag": memory.spread_element(1),
        "tiles": memory.stack_space(OPERANDS * TILE_BYTES),
        "tile_pointers": memory.stack_pointers(OPERANDS),
    }
    return instance(selecting, filled)
