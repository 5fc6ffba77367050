"""The inner loop of ``fastact.kinds.drawn``: rows of elements, each with a random number of its index.

An index is that of the element in the whole array, whatever part of it a row is, so numbers depend neither on how the array lies in
memory nor on who computes what.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import memory
from fastact.kernels.along import (
    contiguous,
    options_at_first,
)
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import scatter, stream_bytes, streams, taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.memory import (
    advance,
    as_address,
    field,
    own_function_with_wide_vectors,
    stack_space,
)
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.tuples import Named, numbers_in
from fastact.maths.hashing import drawn
from fastact.maths.simd import add, multiply, select

TILE = 1024
"""Elements that are copied at a time if they do not lie side by side."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE = 4
result = write_elements = write_flags = operand_tile = result_tile = options_of = FILLED_IN


def one_flag(elements: Any, nothing: Any, constants: Any) -> Any:
    """1 if the random number of an element reaches the threshold, else 0; the last constant is its number in the row."""
    first, pitch, low, high, threshold, number = constants
    draw = drawn(add(first, multiply(number, pitch)), low, high)
    return select(draw >= threshold, np.int32(1), np.int32(0))


def draw_flags(place: Any, c: Any, first: Any, integers: Any) -> None:
    """Write a boolean for each element of a row whose first one has an index: whether its random number reaches the threshold."""
    own_function_with_wide_vectors()
    low, high, pitch, threshold = field(integers, 0), field(integers, 1), field(integers, 2), field(integers, 3)
    known = np.int32(first), np.int32(pitch), np.int32(low), np.int32(high), np.int32(threshold)
    write_flags((place,), c, known)


WRITE_FLAGS = ElementLoop(one_flag, [], ["bool"], constants=0, counted=True)
"""What ``write_flags`` is in each instance."""


def one_element(elements: Any, nothing: Any, constants: Any) -> Any:
    """What is written for an element; the last constant is its number in the row."""
    first, pitch, low, high = constants[:4]
    number = (drawn(add(first, multiply(constants[-1], pitch)), low, high),)
    return result(elements, number + constants[4:-1])


def one_row(
    x: Any, step: Any, y: Any, y_step: Any, c: Any, first: Any, integers: Any, options: Any, streamed: Any
) -> None:
    """Write the results of a row whose first element has an index."""
    own_function_with_wide_vectors()
    tile, written = operand_tile(), result_tile()
    low, high, pitch, threshold = field(integers, 0), field(integers, 1), field(integers, 2), field(integers, 3)
    for start in range(0, c, TILE):
        count = min(TILE, c - start)
        here = contiguous(advance(x, start * step), step, count, tile)
        place = advance(y, start * y_step)
        there = place if y_step == SIZE and not streamed else written
        index = np.int32(first + start * pitch)
        known = index, np.int32(pitch), np.int32(low), np.int32(high), np.int32(threshold)
        write_elements((here, there), count, known + options)
        if y_step == SIZE and streamed:
            stream_bytes(place, written, count * SIZE)
        elif y_step != SIZE:
            scatter(place, y_step, written, count)


def drawn_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """The results of each row."""
    n, c = dims[0], dims[1]
    if n > 1 and taken_by_team(n * c, args, dims, steps, record):
        return
    options, streamed = options_of(args, steps), streams(record)
    for i in range(n):
        x, y = advance(args[0], i * steps[0]), advance(args[4], i * steps[4])
        first = field(advance(args[1], i * steps[1]), 0)
        one_row(x, steps[5], y, steps[8], c, first, args[2], options, streamed and as_address(x) != as_address(y))
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``drawn_rows`` for one kernel and dtype."""
    size, args = np.dtype(dtype).itemsize, kernel.inputs + kernel.outputs
    filled = {
        "SIZE": size,
        "result": Named(kernel.writes, ("x",), kernel.constants),
        "write_elements": ElementLoop(one_element, [dtype], [dtype], constants=0, counted=True),
        "operand_tile": stack_space(TILE * size),
        "result_tile": stack_space(TILE * size),
        "copy_element": memory.copy_element(size),
        "spread_element": memory.spread_element(size),
        # Core steps come operand by operand: of the row, of the integers, of the options, of the result.
        "OPTION_OPERAND": 3,
        "OPTION_STEP": args + 2,
        "options_of": options_at_first,
        "options_stored": numbers_in(["float64"] * len(kernel.options), "float64"),
    }
    return instance(drawn_rows, filled)
