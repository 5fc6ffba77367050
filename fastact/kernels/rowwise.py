"""The inner loop of ``RowwiseKernel``: calls the elementwise one for each row, or for many short ones."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import elementwise as elements_loop
from fastact.kernels import memory
from fastact.kernels.elementwise import TILE_BYTES, taken_by_team
from fastact.kernels.fields import SERIAL
from fastact.kernels.instance import instance
from fastact.kernels.jit import internal
from fastact.kernels.memory import advance, as_address, as_pointer, copy_bytes, field, set_integer, set_pointer
from fastact.kernels.templates import FILLED_IN

SHORT = 128
"""Rows of fewer elements take longer to call for than to copy."""
WHOLE = 16
"""Elements from which on a row is copied at once."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE, INPUTS, ARGS, TILE = 4, 1, 2, TILE_BYTES // 4
elementwise = row_pointers = row_dims = row_steps = tiles = copy_element = FILLED_IN


def rowwise(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Compute ``dims[0]`` rows of ``dims[1]`` elements; the C type is NumPy's inner loop."""
    n, c = dims[0], dims[1]
    if n > 1 and taken_by_team(n * c, args, dims, steps, record):
        return
    serial = field(record, SERIAL)
    if serial == 0:  # this is the serial record
        serial = as_address(record)
    if 0 < c < SHORT:
        in_blocks(args, n, c, steps, as_pointer(serial))
        return
    pointers, count, within = row_pointers(), row_dims(), row_steps()
    set_integer(count, 0, c)
    for j in range(ARGS):
        set_integer(within, j, steps[ARGS + j])
    for i in range(n):
        for j in range(ARGS):
            set_pointer(pointers, j, advance(args[j], i * steps[j]))
        elementwise(pointers, count, within, as_pointer(serial))


def in_blocks(args: Any, n: Any, c: Any, steps: Any, record: Any) -> None:
    """Compute short rows as one, many at a time: what does not lie so already is copied to tiles, and from there."""
    pointers, count, within, space = row_pointers(), row_dims(), row_steps(), tiles()
    for j in range(ARGS):
        set_integer(within, j, SIZE)
    each = TILE // c
    for start in range(0, n, each):
        rows = min(each, n - start)
        set_integer(count, 0, rows * c)
        for j in range(ARGS):
            place, tile = advance(args[j], start * steps[j]), advance(space, j * TILE * SIZE)
            if steps[ARGS + j] == SIZE and steps[j] == c * SIZE:
                set_pointer(pointers, j, place)
            else:
                set_pointer(pointers, j, tile)
                if j < INPUTS:
                    copy_rows(tile, c * SIZE, SIZE, place, steps[j], steps[ARGS + j], rows, c)
        elementwise(pointers, count, within, record)
        for j in range(INPUTS, ARGS):
            if steps[ARGS + j] != SIZE or steps[j] != c * SIZE:
                place, tile = advance(args[j], start * steps[j]), advance(space, j * TILE * SIZE)
                copy_rows(place, steps[j], steps[ARGS + j], tile, c * SIZE, SIZE, rows, c)


def copy_rows(
    target: Any, target_row: Any, target_step: Any, source: Any, source_row: Any, source_step: Any, rows: Any, c: Any
) -> None:
    """Copy rows of ``c`` elements: each at once, or, if they are very short, column by column."""
    if c >= WHOLE and target_step == SIZE and source_step == SIZE:
        for i in range(rows):
            copy_bytes(advance(target, i * target_row), advance(source, i * source_row), c * SIZE)
    else:
        for k in range(c):
            column, given = advance(target, k * target_step), advance(source, k * source_step)
            for i in range(rows):
                copy_element(advance(column, i * target_row), advance(given, i * source_row))


def specialise(elements: Any, dtype: str) -> Callable[..., Any]:
    """``rowwise`` for one elementwise kernel and dtype."""
    args, size = elements.inputs + elements.outputs, np.dtype(dtype).itemsize
    filled = {
        "SIZE": size,
        "INPUTS": elements.inputs,
        "ARGS": args,
        "TILE": TILE_BYTES // size,
        "elementwise": internal(elements_loop.specialise(elements, dtype)),
        "row_pointers": memory.stack_pointers(args),
        "row_dims": memory.stack_integers(1),
        "row_steps": memory.stack_integers(args),
        "tiles": memory.stack_space(args * TILE_BYTES),
        "copy_element": memory.copy_element(size),
    }
    return instance(rowwise, filled)
