"""The passes of ``along.py`` over rows that lie side by side: a block of columns at a time, vectors across the columns.

This is how a softmax over the first axis of an array runs, and one over a last axis of a few classes. Elements are added in the
order of ``along.py``, lane by lane, so that both give the same bits. What is one number for a row is a row of a tile here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import lanes, memory, transposition
from fastact.kernels.along import CHUNK, LANES, larger, write_one
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import gather, scatter, taken_by_team
from fastact.kernels.instance import instance
from fastact.kernels.memory import (
    advance,
    allocate,
    as_address,
    clear_fp_flags,
    copy_bytes,
    own_function_with_wide_vectors,
    release,
)
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.transposition import are_short_rows, as_columns, as_rows, transposed_width
from fastact.maths.logsumexp import add_exponential, joined, level, reach
from fastact.maths.simd import Scalar, maximum, widen

STEP = 32
"""A block is a multiple of so many columns wide."""
ROW_BYTES, TILE_BYTES = 1024, 384 * 1024
"""Bytes of the widest block's rows, and of the tile that a chunk of a block must fit into. Memory is read and written in pieces of
a block's width, so these should be long, the more where a power of two lies between them; but the tile must stay in the
second-level cache, and what is kept of each lane on a small stack."""
SMALL_BYTES = 8192
"""A tile of so many bytes is on the stack, where it costs nothing."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE, COMPUTED_SIZE, TWO, NEAR = 4, 4, False, False
MOST = ROW_BYTES // COMPUTED_SIZE
TILE_ROWS = TILE_BYTES // (STEP * COMPUTED_SIZE)
ZERO = np.float32(0)
prepare = finish = formula = term = column_states = column_sums = small_tile = row_tile = lane_tile = FILLED_IN
state_tile = constant_tile = lowest_step = zero_step = zero_wide_step = fill_step = find_larger = FILLED_IN
find_largest = copy_larger = find_level = add_exponentials = add_terms = add_lanes = add_chunks = FILLED_IN
first_states = join_states = finish_rows = finish_near = write_elements = FILLED_IN

BEST, BASE, SHIFT, FLOOR, TIED, M, TIES, REST, TOTAL, STATE_ROWS = 0, 1, 2, 3, 4, 5, 6, 7, 9, 11
"""Rows of a block's state; REST and TOTAL are of float64 and may take two."""

CONSTANTS = 6


# One element of each pass that along.py does not have in this form: here a row's constants are operands.


def copy_one(x: Scalar, best: Scalar, cap: Scalar) -> tuple[Scalar, Scalar]:
    """Keep an element, and the larger of it and the column's best."""
    return maximum(best, prepare(x, cap)), x


def largest_one(a: Scalar, b: Scalar, c: Scalar, d: Scalar, best: Scalar, cap: Scalar) -> Scalar:
    """The largest of four elements and the column's best."""
    low, high = maximum(prepare(a, cap), prepare(b, cap)), maximum(prepare(c, cap), prepare(d, cap))
    return maximum(best, maximum(low, high))


def level_one(m: Scalar, best: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """The largest so far, and its level."""
    largest = maximum(m, best)
    base, n = level(largest)
    shift, floor = reach(n)
    return largest, base, shift, floor


def add_one(
    x: Scalar, m: Scalar, base: Scalar, shift: Scalar, floor: Scalar, rest: Scalar, ties: Scalar, cap: Scalar
) -> tuple[Scalar, Scalar]:
    """Add an element to its column's sum."""
    return add_exponential(prepare(x, cap), rest, ties, m, base, shift, floor)


def add_term(a: Scalar, b: Scalar, p: Scalar, q: Scalar, r: Scalar, s: Scalar, total: Scalar, cap: Scalar) -> Scalar:
    """Add an element's term to its column's sum."""
    return total + term(prepare(a, cap), b, p, q, r, s)


def add_lane(other: Scalar, lane: Scalar) -> Scalar:
    """Add two lanes."""
    return lane + other


def add_chunk(part: Scalar, total: Scalar) -> Scalar:
    """Add a chunk's sum to the column's."""
    return total + widen(part)


def first_one(largest: Scalar, part_ties: Scalar, part_rest: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """The first chunk's state."""
    return largest, part_ties, widen(part_rest)


def join_one(
    largest: Scalar, part_ties: Scalar, part_rest: Scalar, m: Scalar, ties: Scalar, rest: Scalar
) -> tuple[Scalar, Scalar, Scalar]:
    """Join a chunk's state to the column's."""
    return joined(m, ties, rest, largest, part_ties, widen(part_rest))


def row_of(tile: Any, k: Any, block: Any) -> Any:
    """Row ``k`` of a tile of computed values, as wide as the block."""
    return advance(tile, k * block * COMPUTED_SIZE)


def stored_row(tile: Any, k: Any, block: Any) -> Any:
    """Row ``k`` of a tile of values as they are stored, as wide as the block."""
    return advance(tile, k * block * SIZE)


def sums_of(state: Any, block: Any) -> Any:
    """The rows of a block's state that results follow from."""
    return row_of(state, M, block), row_of(state, TIES, block), row_of(state, REST, block), row_of(state, TOTAL, block)


def constant_rows(constants: Any, block: Any) -> Any:
    """The rows of a block's constants."""
    p, q, r = constants, row_of(constants, 1, block), row_of(constants, 2, block)
    return p, q, r, row_of(constants, 3, block), row_of(constants, 4, block), row_of(constants, 5, block)


def zero_row(row: Any, block: Any) -> None:
    """Write zeros to a row of computed values."""
    for i in range(0, block, STEP):
        zero_step(advance(row, i * COMPUTED_SIZE))


def zero_wide_row(row: Any, block: Any) -> None:
    """Write zeros to a row of float64."""
    for i in range(0, block, STEP):
        zero_wide_step(advance(row, i * 8))


def lowest_row(row: Any, block: Any) -> None:
    """Write -inf to a row of computed values."""
    for i in range(0, block, STEP):
        lowest_step(advance(row, i * COMPUTED_SIZE))


def block_of(c: Any, short: Any) -> Any:
    """How many columns make a block if there are ``c`` classes, or how many short rows."""
    most = STEP * max(1, min(MOST // STEP, TILE_ROWS // max(1, c)))
    return min(most, transposed_width(c)) if short else most


def tile_bytes(c: Any, short: Any) -> Any:
    """Bytes of a chunk of a block."""
    return min(c, CHUNK) * block_of(c, short) * COMPUTED_SIZE


def second_tile(tile: Any, c: Any) -> Any:
    """The second of the tiles that blocks of short rows have."""
    return advance(tile, tile_bytes(c, True))


def new_tile(c: Any, short: Any, small: Any) -> Any:
    """Memory for a chunk of a block, twice for short rows: ``small`` if that is enough."""
    size = tile_bytes(c, short) * (2 if short else 1)
    return small if size <= SMALL_BYTES else allocate(size)


def free_tile(tile: Any, small: Any) -> None:
    """Free what ``new_tile`` allocated."""
    if as_address(tile) != as_address(small):
        release(tile)


def block_row(x: Any, step: Any, width: Any, block: Any, tile: Any) -> Any:
    """``width`` elements of one row, ``step`` bytes apart, as a full block: in place if they are one, else in ``tile``."""
    if step == SIZE and width == block:
        return x
    if width < block:
        fill_step(advance(tile, (block - STEP) * SIZE))
    gather(tile, x, step, width)
    return tile


def tree_of_lanes(sums: Any, used: Any, block: Any) -> None:
    """Add so many lanes into the first, in the order of ``lanes.tree``."""
    half = LANES // 2
    while half > 0:
        for j in range(half, used):
            add_lanes((row_of(sums, j, block), row_of(sums, j - half, block)), block, ())
        used = min(used, half)
        half = half // 2


def larger_of_columns(x: Any, core_step: Any, block: Any, count: Any, best: Any, cap: Any) -> Any:
    """Find the largest of rows that are whole blocks, four at a time; how many of them have been looked at."""
    for k in range(3, count, 4):
        place = advance(x, (k - 3) * core_step)
        second, third, fourth = advance(place, core_step), advance(place, 2 * core_step), advance(place, 3 * core_step)
        find_largest((place, second, third, fourth, best), block, (cap,))
    return count // 4 * 4


def exponential_states(
    x: Any, step: Any, core_step: Any, width: Any, block: Any, c: Any, tile: Any, state: Any, cap: Any
) -> None:
    """The states of a block of columns' exponentials; leaves the last chunk of ``x`` in ``tile``."""
    own_function_with_wide_vectors()
    sums = lane_tile()
    best, base, shift, floor = (
        row_of(state, BEST, block),
        row_of(state, BASE, block),
        row_of(state, SHIFT, block),
        row_of(state, FLOOR, block),
    )
    tied, m, ties, rest = (
        row_of(state, TIED, block),
        row_of(state, M, block),
        row_of(state, TIES, block),
        row_of(state, REST, block),
    )
    lowest_row(m, block)
    zero_row(ties, block)
    zero_wide_row(rest, block)
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        lowest_row(best, block)
        seen = 0
        if as_address(x) == as_address(tile):  # short rows need no copy
            seen = larger_of_columns(x, core_step, block, count, best, cap)
        for k in range(seen, count):
            place, row = advance(x, (start + k) * core_step), stored_row(tile, k, block)
            if step == SIZE and width == block:
                copy_larger((place, best, row), block, (cap,))
            else:
                find_larger((block_row(place, step, width, block, row), best), block, (cap,))
        find_level((m, best, base, shift, floor), block, ())
        used = min(LANES, count)
        for j in range(used):
            zero_row(row_of(sums, j, block), block)
        zero_row(tied, block)
        for k in range(count):
            lane = row_of(sums, k % LANES, block)
            add_exponentials((stored_row(tile, k, block), best, base, shift, floor, lane, tied), block, (cap,))
        tree_of_lanes(sums, used, block)
        if NEAR and c <= CHUNK:
            copy_bytes(rest, sums, block * COMPUTED_SIZE)
        elif start == 0:
            first_states((best, tied, sums, m, ties, rest), block, ())
        else:
            join_states((best, tied, sums, m, ties, rest), block, ())


def copied_columns(
    x: Any, step: Any, core_step: Any, width: Any, block: Any, c: Any, tile: Any, state: Any, cap: Any
) -> None:
    """For an op without exponentials: only leaves a first chunk of ``x`` in ``tile``, as later passes expect."""
    own_function_with_wide_vectors()
    best = row_of(state, BEST, block)
    lowest_row(best, block)
    zero_row(row_of(state, M, block), block)
    zero_row(row_of(state, TIES, block), block)
    zero_wide_row(row_of(state, REST, block), block)
    if as_address(x) == as_address(tile):
        return
    for k in range(min(c, CHUNK)):
        place, row = advance(x, k * core_step), stored_row(tile, k, block)
        if step == SIZE and width == block:
            copy_larger((place, best, row), block, (cap,))
        else:
            block_row(place, step, width, block, row)


def sums_of_terms(
    a: Any,
    a_step: Any,
    a_core: Any,
    b: Any,
    b_step: Any,
    b_core: Any,
    width: Any,
    block: Any,
    c: Any,
    tile: Any,
    state: Any,
    constants: Any,
    cap: Any,
) -> None:
    """The sums over a block of columns of ``term(a, b, *constants)``; ``tile`` holds ``a`` if that is one chunk."""
    own_function_with_wide_vectors()
    sums, a_row, b_row = lane_tile(), row_tile(), row_tile()
    p, q, r, s, _, _ = constant_rows(constants, block)
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        used = min(LANES, count)
        for j in range(used):
            zero_row(row_of(sums, j, block), block)
        for k in range(count):
            a_place = stored_row(tile, k, block)
            if c > CHUNK:
                a_place = block_row(advance(a, (start + k) * a_core), a_step, width, block, a_row)
            b_place = block_row(advance(b, (start + k) * b_core), b_step, width, block, b_row)
            add_terms((a_place, b_place, p, q, r, s, row_of(sums, k % LANES, block)), block, (cap,))
        tree_of_lanes(sums, used, block)
        add_chunks((sums, row_of(state, TOTAL, block)), block, ())


def no_sums(
    a: Any,
    a_step: Any,
    a_core: Any,
    b: Any,
    b_step: Any,
    b_core: Any,
    width: Any,
    block: Any,
    c: Any,
    tile: Any,
    state: Any,
    constants: Any,
    cap: Any,
) -> None:
    """For an op without a sum of its own."""


def write_columns(
    a: Any,
    a_step: Any,
    a_core: Any,
    b: Any,
    b_step: Any,
    b_core: Any,
    y: Any,
    y_step: Any,
    y_core: Any,
    width: Any,
    block: Any,
    c: Any,
    tile: Any,
    constants: Any,
    cap: Any,
) -> None:
    """The results of a block of columns, one element from one of each operand and the column's constants."""
    own_function_with_wide_vectors()
    a_row, b_row, results = row_tile(), row_tile(), row_tile()
    known = constant_rows(constants, block)
    direct = y_step == SIZE and width == block
    for k in range(c):
        a_place = stored_row(tile, k, block)
        if c > CHUNK:
            a_place = block_row(advance(a, k * a_core), a_step, width, block, a_row)
        b_place = a_place
        if TWO:
            b_place = block_row(advance(b, k * b_core), b_step, width, block, b_row)
        y_place = advance(y, k * y_core)
        if direct:
            write_elements((a_place, b_place, *known, y_place), block, (cap,))
        else:
            write_elements((a_place, b_place, *known, results), block, (cap,))
            scatter(y_place, y_step, results, width)


def finish_map(state: Any, constants: Any, block: Any, c: Any) -> None:
    """The constants of a block of columns."""
    own_function_with_wide_vectors()
    if NEAR and c <= CHUNK:
        near = row_of(state, BEST, block), row_of(state, TIED, block), row_of(state, REST, block)
        finish_near((*near, *constant_rows(constants, block)), block, (ZERO,))
    else:
        finish_rows((*sums_of(state, block), *constant_rows(constants, block)), block, ())


def map_block(
    a: Any,
    a_step: Any,
    a_core: Any,
    b: Any,
    b_step: Any,
    b_core: Any,
    y: Any,
    y_step: Any,
    y_core: Any,
    width: Any,
    block: Any,
    c: Any,
    tile: Any,
    state: Any,
    constants: Any,
) -> None:
    """The results of a block of columns."""
    column_states(a, a_step, a_core, width, block, c, tile, state, ZERO)
    column_sums(a, a_step, a_core, b, b_step, b_core, width, block, c, tile, state, constants, ZERO)
    finish_map(state, constants, block, c)
    write_columns(a, a_step, a_core, b, b_step, b_core, y, y_step, y_core, width, block, c, tile, constants, ZERO)


def map_columns(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """As ``along.map_rows``."""
    n, c = dims[0], dims[1]
    if taken_by_team(n * c, args, dims, steps, record):
        return
    state, constants = state_tile(), constant_tile()
    last = 1 + TWO
    core = last + 1
    a_step, b_step, y_step = steps[0], steps[last - 1], steps[last]
    a_core, b_core, y_core = steps[core], steps[core + last - 1], steps[core + last]
    short = are_short_rows(a_step, a_core, c)
    widest = block_of(c, short)
    small = small_tile()
    tile = new_tile(c, short, small)
    for first in range(0, n, widest):
        width = min(widest, n - first)
        block = (width + STEP - 1) // STEP * STEP
        a, b = advance(args[0], first * a_step), advance(args[last - 1], first * b_step)
        y = advance(args[last], first * y_step)
        zero_wide_row(row_of(state, TOTAL, block), block)
        if short:
            more = second_tile(tile, c)
            as_columns(tile, a, a_step, a_core, width, block, c)
            if TWO:
                as_columns(more, b, b_step, b_core, width, block, c)
            core = block * SIZE
            map_block(tile, SIZE, core, more, SIZE, core, tile, SIZE, core, block, block, c, tile, state, constants)
            as_rows(y, y_step, y_core, tile, width, block, c)
        else:
            map_block(a, a_step, a_core, b, b_step, b_core, y, y_step, y_core, width, block, c, tile, state, constants)
    free_tile(tile, small)
    clear_fp_flags()


def finish_reduction(state: Any, results: Any, block: Any) -> None:
    """The results of a block of columns."""
    own_function_with_wide_vectors()
    finish_rows((*sums_of(state, block), results), block, ())


def reduce_columns(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """As ``along.reduce_rows``."""
    n, c = dims[0], dims[1]
    if taken_by_team(n * c, args, dims, steps, record):
        return
    state, results = state_tile(), row_tile()
    short = are_short_rows(steps[0], steps[2], c)
    widest = block_of(c, short)
    small = small_tile()
    tile = new_tile(c, short, small)
    for first in range(0, n, widest):
        width = min(widest, n - first)
        block = (width + STEP - 1) // STEP * STEP
        x = advance(args[0], first * steps[0])
        zero_wide_row(row_of(state, TOTAL, block), block)
        if short:
            as_columns(tile, x, steps[0], steps[2], width, block, c)
            column_states(tile, SIZE, block * SIZE, block, block, c, tile, state, ZERO)
        else:
            column_states(x, steps[0], steps[2], width, block, c, tile, state, ZERO)
        finish_reduction(state, results, block)
        scatter(advance(args[1], first * steps[1]), steps[1], results, width)
    free_tile(tile, small)
    clear_fp_flags()


def block_loop(formula: Any, reads: list[str], writes: list[str], updates: int = 0) -> ElementLoop:
    """A loop over a row of a block."""
    return ElementLoop(formula, reads, writes, updates=updates, multiple=STEP)


def filled_in(kernel: Any, dtype: str) -> dict[str, Any]:
    """What instances for a kernel and dtype have filled in: formulas, passes and memory."""
    compute = FLOATS[dtype].computed_in
    size, computed_size = np.dtype(dtype).itemsize, np.dtype(compute).itemsize
    most = ROW_BYTES // computed_size
    one, wide = [compute], ["float64"]
    results = one * CONSTANTS if kernel.formula else [dtype]
    return transposition.filled_in(dtype) | {
        "STEP": STEP,
        "SIZE": size,
        "COMPUTED_SIZE": computed_size,
        "TWO": kernel.row_operands > 1,
        "NEAR": kernel.near,
        "MOST": most,
        "TILE_ROWS": TILE_BYTES // (STEP * computed_size),
        "ZERO": np.dtype(compute).type(0),
        "prepare": kernel.prepare,
        "formula": kernel.formula,
        "term": kernel.term,
        "copy_element": memory.copy_element(size),
        "spread_element": memory.spread_element(size),
        "small_tile": memory.stack_space(SMALL_BYTES),
        "row_tile": memory.stack_space(most * computed_size),
        "lane_tile": memory.stack_space(LANES * most * computed_size),
        "state_tile": memory.stack_space(STATE_ROWS * most * computed_size),
        "constant_tile": memory.stack_space(CONSTANTS * most * computed_size),
        "fill_step": lanes.fill(dtype, 0.0, STEP),
        "lowest_step": lanes.fill(compute, -np.inf, STEP),
        "zero_step": lanes.fill(compute, 0.0, STEP),
        "zero_wide_step": lanes.fill("float64", 0.0, STEP),
        "find_larger": block_loop(larger, [dtype, compute], one, 1),
        "find_largest": block_loop(largest_one, [*[dtype] * 4, compute], one, 1),
        "copy_larger": block_loop(copy_one, [dtype, compute], [compute, dtype], 1),
        "find_level": block_loop(level_one, one * 2, one * 4, 1),
        "add_exponentials": block_loop(add_one, [dtype, *one * 6], one * 2, 2),
        "add_terms": block_loop(add_term, [dtype, dtype, *one * 5], one, 1),
        "add_lanes": block_loop(add_lane, one * 2, one, 1),
        "add_chunks": block_loop(add_chunk, one + wide, wide, 1),
        "first_states": block_loop(first_one, one * 3, one * 2 + wide),
        "join_states": block_loop(join_one, one * 5 + wide, one * 2 + wide, 3),
        "finish_rows": block_loop(kernel.finish, one * 2 + wide * 2, results),
        "finish_near": block_loop(kernel.finish, one * 3, results),
        "write_elements": block_loop(write_one, [dtype, dtype, *one * CONSTANTS], [dtype]),
        "column_states": exponential_states if kernel.exponentials else copied_columns,
        "column_sums": sums_of_terms if kernel.term else no_sums,
    }


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """A kernel of columns for one op and dtype."""
    return instance({"map": map_columns, "reduce": reduce_columns}[kernel.kind], filled_in(kernel, dtype))
