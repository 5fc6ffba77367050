"""The passes of ``rows.py`` over rows that lie side by side: a block of columns at a time, vectors across the columns.

This is how a softmax over the first axis of an array runs, and one over a last axis of a few classes. Elements are added in the
order of ``rows.py``, lane by lane, so that both give the same bits.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.engine import lanes, memory
from fastact.engine.elementloop import ElementLoop
from fastact.engine.jit import internal
from fastact.engine.loops import gather, scatter
from fastact.engine.memory import advance, call_loop, clear_fp_flags, field, own_function_with_wide_vectors
from fastact.engine.records import ENTRY, PARALLEL_FROM
from fastact.engine.rows import CHUNK, LANES, larger, write_one_2, write_one_4
from fastact.engine.templates import clone
from fastact.maths.logsumexp import add_exponential, joined, level, reach
from fastact.scalar import scalar
from fastact.simd import Scalar, maximum, widen

BLOCK_BYTES = 128
"""Of each row as it is computed, two cache lines: fewer would waste memory's pages, more the second-level cache."""

# What specialise() fills in for each clone; the values here serve the reader and the type checker.
SIZE, COMPUTED_SIZE, WIDTH = 4, 4, 32
prepare: Any = None
finish: Any = None
formula: Any = None
finish_block: Any = None
x_tile: Any = None
result_tile: Any = None
rest_tile: Any = None
state_tile: Any = None
constant_tile: Any = None
fill_lowest: Any = None
fill_zero: Any = None
fill_zero_wide: Any = None
fill_row: Any = None
find_larger: Any = None
copy_larger: Any = None
find_level: Any = None
add_exponentials: Any = None
add_lanes: Any = None
join_states: Any = None
finish_rows: Any = None
write_elements: Any = None

BEST, BASE, SHIFT, FLOOR, TIED, M, TIES, REST, STATE_FIELDS = 0, 1, 2, 3, 4, 5, 6, 7, 9
"""Rows of the state's tile, each as wide as a block; REST is of float64 and takes two."""


def copy_one(x: Scalar, best: Scalar) -> tuple[Scalar, Scalar]:
    return maximum(best, prepare(x)), x


def level_one(m: Scalar, best: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    largest = maximum(m, best)
    base, n = level(largest)
    shift, floor = reach(n)
    return largest, base, shift, floor


def add_one(
    x: Scalar, m: Scalar, base: Scalar, shift: Scalar, floor: Scalar, rest: Scalar, ties: Scalar
) -> tuple[Scalar, Scalar]:
    return add_exponential(prepare(x), rest, ties, m, base, shift, floor)


def add_lane(other: Scalar, lane: Scalar) -> Scalar:
    return lane + other


def join_one(
    largest: Scalar, part_ties: Scalar, part_rest: Scalar, m: Scalar, ties: Scalar, rest: Scalar
) -> tuple[Scalar, Scalar, Scalar]:
    return joined(m, ties, rest, largest, part_ties, widen(part_rest))


def row_of(tile: Any, k: Any) -> Any:
    """Row ``k`` of a tile of computed values."""
    return advance(tile, k * WIDTH * COMPUTED_SIZE)


def block_row(x: Any, step: Any, width: Any, tile: Any) -> Any:
    """``width`` elements of one row, ``step`` bytes apart, as a full block: in place if they are one, else copied to ``tile``."""
    if step == SIZE and width == WIDTH:
        return x
    if width < WIDTH:
        fill_row(tile)
    gather(tile, x, step, width)
    return tile


def column_states(x: Any, step: Any, core_step: Any, width: Any, c: Any, tile: Any, state: Any) -> None:
    """The states of a block of columns' exponentials; leaves the last chunk of ``x`` in ``tile``."""
    own_function_with_wide_vectors()
    rests = rest_tile()
    best, base, shift, floor = row_of(state, BEST), row_of(state, BASE), row_of(state, SHIFT), row_of(state, FLOOR)
    tied, m, ties, rest = row_of(state, TIED), row_of(state, M), row_of(state, TIES), row_of(state, REST)
    fill_lowest(m)
    fill_zero(ties)
    fill_zero_wide(rest)
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        fill_lowest(best)
        for k in range(count):
            place, row = advance(x, (start + k) * core_step), advance(tile, k * WIDTH * SIZE)
            if step == SIZE and width == WIDTH:
                copy_larger((place, best, row), WIDTH, ())
            else:
                find_larger((block_row(place, step, width, row), best), WIDTH, ())
        find_level((m, best, base, shift, floor), WIDTH, ())
        used = min(LANES, count)
        for j in range(used):
            fill_zero(row_of(rests, j))
        fill_zero(tied)
        for k in range(count):
            row, lane = advance(tile, k * WIDTH * SIZE), row_of(rests, k % LANES)
            add_exponentials((row, best, base, shift, floor, lane, tied), WIDTH, ())
        half = LANES // 2
        while half > 0:
            for j in range(half, used):
                add_lanes((row_of(rests, j), row_of(rests, j - half)), WIDTH, ())
            used = min(used, half)
            half = half // 2
        join_states((best, tied, rests, m, ties, rest), WIDTH, ())


def write_block(x: Any, x_step: Any, x_core: Any, y: Any, y_step: Any, y_core: Any, width: Any, c: Any) -> None:
    """The results of a block of columns, one element from one element and its column's constants."""
    own_function_with_wide_vectors()
    tile, state, results = x_tile(), state_tile(), result_tile()
    column_states(x, x_step, x_core, width, c, tile, state)
    constants = finish_block(state, constant_tile())
    for k in range(c):
        place = advance(y, k * y_core)
        # The tile still holds the last chunk, for most arrays the only one.
        source = advance(tile, k * WIDTH * SIZE)
        if c > CHUNK:
            source = block_row(advance(x, k * x_core), x_step, width, tile)
        if y_step == SIZE and width == WIDTH:
            write_elements((source, *constants, place), WIDTH, ())
        else:
            write_elements((source, *constants, results), WIDTH, ())
            scatter(place, y_step, results, width)


def finish_block_2(state: Any, constants: Any) -> Any:
    """The constants of a block's columns."""
    a, b = constants, row_of(constants, 1)
    finish_rows((row_of(state, M), row_of(state, TIES), row_of(state, REST), a, b), WIDTH, ())
    return a, b


def finish_block_4(state: Any, constants: Any) -> Any:
    """The constants of a block's columns."""
    a, b, c, d = constants, row_of(constants, 1), row_of(constants, 2), row_of(constants, 3)
    finish_rows((row_of(state, M), row_of(state, TIES), row_of(state, REST), a, b, c, d), WIDTH, ())
    return a, b, c, d


def map_columns(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """``(n)->(n)``, as ``rows.map_rows``."""
    n, c = dims[0], dims[1]
    if n * c >= field(record, PARALLEL_FROM):
        call_loop(field(record, ENTRY), args, dims, steps, record)
        return
    for first in range(0, n, WIDTH):
        x, y = advance(args[0], first * steps[0]), advance(args[1], first * steps[1])
        write_block(x, steps[0], steps[2], y, steps[1], steps[3], min(WIDTH, n - first), c)
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """Clone a kernel, and what it calls, for one op and dtype."""
    compute = "float64" if dtype == "float64" else "float32"
    size, computed_size = np.dtype(dtype).itemsize, np.dtype(compute).itemsize
    width = BLOCK_BYTES // computed_size
    row = width * computed_size
    constants = kernel.constants
    scope: dict[str, Any] = {
        "SIZE": size,
        "COMPUTED_SIZE": computed_size,
        "WIDTH": width,
        "prepare": kernel.prepare,
        "formula": kernel.formula,
        "copy_element": memory.copy_element(size),
        "spread_element": memory.spread_element(size),
        "x_tile": memory.stack_space(CHUNK * width * size),
        "result_tile": memory.stack_space(width * size),
        "rest_tile": memory.stack_space(LANES * row),
        "state_tile": memory.stack_space(STATE_FIELDS * row),
        "constant_tile": memory.stack_space(constants * row),
        "fill_row": lanes.fill(dtype, 0.0, width),
        "fill_lowest": lanes.fill(compute, -np.inf, width),
        "fill_zero": lanes.fill(compute, 0.0, width),
        "fill_zero_wide": lanes.fill("float64", 0.0, width),
    }
    one = [compute]
    write_one, finish_block = {2: (write_one_2, finish_block_2), 4: (write_one_4, finish_block_4)}[constants]
    for name, formula, reads, writes, updates in (
        ("find_larger", clone(larger, scope), [dtype, compute], one, 1),
        ("copy_larger", clone(copy_one, scope), [dtype, compute], [compute, dtype], 1),
        ("find_level", level_one, one * 2, one * 4, 1),
        ("add_exponentials", clone(add_one, scope), [dtype, *one * 6], one * 2, 2),
        ("add_lanes", add_lane, one * 2, one, 1),
        ("join_states", join_one, [*one * 5, "float64"], [*one * 2, "float64"], 3),
        ("finish_rows", kernel.finish, [*one * 2, "float64"], one * constants, 0),
        ("write_elements", clone(write_one, scope), [dtype, *one * constants], [dtype], 0),
    ):
        scope[name] = ElementLoop(scalar(formula), reads, writes, updates=updates).over_pointers()
    for template in (gather, scatter, row_of, block_row, column_states, finish_block, write_block, map_columns):
        scope[template.__name__] = internal(clone(template, scope))
        if template is finish_block:
            scope["finish_block"] = scope[template.__name__]
    clone_of_kernel: Callable[..., Any] = scope["map_columns"]
    return clone_of_kernel
