"""The inner loop that NumPy calls, written once for every op, arity and dtype.

``kernel`` decides where an array's elements go: to other threads, straight through the vector loop, or through tiles
that make strided and broadcast operands contiguous. ``specialise`` clones it for one op and dtype.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from fastact.engine import memory
from fastact.engine.memory import advance, call_loop, clear_fp_flags, field, set_pointer, wide_vectors
from fastact.engine.records import ENTRY, PARALLEL_FROM

TILE_BYTES = 4096
"""One operand's tile. Five of them, the most an op has, fit a 32 KiB first-level cache."""

# What specialise() fills in for each clone; the values here only serve the reader and the type checker.
SIZE, INPUTS, ARGS, TILE = 4, 1, 2, TILE_BYTES // 4
element_loop: Any = None
copy_element: Any = None
tiles: Any = None
tile_pointers: Any = None


def kernel(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Compute ``dims[0]`` elements; the C type is NumPy's inner loop."""
    wide_vectors()
    n = dims[0]
    if n >= field(record, PARALLEL_FROM):
        call_loop(field(record, ENTRY), args, n, steps, record)
        return
    contiguous = True
    for j in range(ARGS):
        contiguous = contiguous and steps[j] == SIZE
    if contiguous or n == 1:
        element_loop(args, n)
    else:
        space = tiles()
        pointers = tile_pointers()
        for start in range(0, n, TILE):
            count = min(TILE, n - start)
            for j in range(ARGS):
                operand = advance(args[j], start * steps[j])
                tile = advance(space, j * TILE_BYTES)
                if steps[j] == SIZE:
                    set_pointer(pointers, j, operand)
                else:
                    set_pointer(pointers, j, tile)
                    # A broadcast operand (step 0) keeps the tile of the first round, which is never the shorter one.
                    if j < INPUTS and (steps[j] != 0 or start == 0):
                        for i in range(count):
                            copy_element(advance(tile, i * SIZE), advance(operand, i * steps[j]))
            element_loop(pointers, count)
            for j in range(INPUTS, ARGS):
                if steps[j] != SIZE:
                    operand = advance(args[j], start * steps[j])
                    tile = advance(space, j * TILE_BYTES)
                    for i in range(count):
                        copy_element(advance(operand, i * steps[j]), advance(tile, i * SIZE))
    clear_fp_flags()


def specialise(
    formula: Callable[..., Any], dtype: str, inputs: int, outputs: int, times_gradient: bool
) -> Callable[..., Any]:
    """Clone ``kernel`` for one formula and dtype: a function with its own globals, which Numba freezes when it compiles."""
    args = inputs + outputs
    size = np.dtype(dtype).itemsize
    namespace = dict(
        globals(),
        SIZE=size,
        INPUTS=inputs,
        ARGS=args,
        TILE=TILE_BYTES // size,
        element_loop=memory.ElementLoop(formula, dtype, inputs, outputs, times_gradient).intrinsic(),
        copy_element=memory.copy_element(size),
        tiles=memory.stack_space(args * TILE_BYTES),
        tile_pointers=memory.stack_pointers(args),
    )
    return FunctionType(kernel.__code__, namespace, kernel.__name__)
