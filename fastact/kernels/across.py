"""The passes of ``along.py`` over rows that lie side by side: a block of columns at a time, vectors across the columns.

This is how a softmax over the first axis of an array runs, and one over a last axis of a few classes. Elements are added in the
order of ``along.py``, lane by lane, so that both give the same bits. What is one number for a row is a row of a tile here: the
constants of a block lie in a tile of their own, each at the place that ``Layout`` gives it.
"""

from typing import Any

import numpy as np

from fastact.kernels.along import (
    moved,
    plus,
)
from fastact.kernels.blocks import (
    STEP,
    block_of,
    block_row,
    free_tile,
    lowest_row,
    new_tile,
    row_of,
    stored_row,
    tile_bytes,
    tree_of_lanes,
    zero_row,
    zero_wide_row,
)
from fastact.kernels.elementwise import LINE_BYTES, scatter, taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.lanes import prefetch, prefetch_for_writing
from fastact.kernels.limits import CHUNK, LANES
from fastact.kernels.memory import (
    advance,
    allocate,
    as_address,
    copy_bytes,
    own_function_with_wide_vectors,
    release,
)
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.transposition import are_short_rows, as_columns, as_rows
from fastact.kernels.tuples import Each
from fastact.maths.logsumexp import joined, level, reach
from fastact.maths.simd import Scalar, fmax, widen

# What instances fill in; the values here serve the reader and the type checker.
SIZE, COMPUTED_SIZE, NEAR, ALONE, MAPS, GIVES = 4, 4, False, True, True, False
COMPACT, COMPACT_RESULTS = (4,), (4,)
ZERO = np.float32(0)
value = terms = result = formula = earlier = following = take = known = small_tile = row_tile = lane_tile = FILLED_IN
row_tiles = result_tiles = number_tiles = state_tile = value_tile = own_rows = known_rows = FILLED_IN
find_larger = find_largest = copy_larger = find_level = FILLED_IN
add_exponentials = add_terms = lane_space = lanes_at = add_chunks = first_states = join_states = finish = (
    finish_near
) = FILLED_IN
write_elements = write_numbers = places_of = steps_of = cores_of = targets_of = target_steps_of = FILLED_IN
target_cores_of = numbers_of = number_steps_of = options_of = options_stored = tiles_at = target_tiles_at = FILLED_IN
given_rows = constants_given = FILLED_IN

ROWS_AHEAD = 2
"""Rows ahead of the one that is read or written that are asked for."""
HEAPED, LANE_BYTES = False, 0
MOST_LANE_BYTES = 65536
"""Bytes of sums that may be on the stack of a server's thread."""

BEST, BASE, SHIFT, FLOOR, TIED, STATE_ROWS = range(6)
"""Rows that a block's exponentials need while they are added."""


# One element of each pass that along.py does not have.


def copy_one(elements: Any, best: Any, constants: Any) -> tuple[Any, Any]:
    """Keep an element, and the larger of its value and the column's best."""
    return fmax(best[0], value(elements, constants)), elements[0]


def largest_one(elements: Any, best: Any, constants: Any) -> Any:
    """The largest of four elements and the column's best."""
    a, b, c, d = elements
    low = fmax(value((a,), constants), value((b,), constants))
    return fmax(best[0], fmax(low, fmax(value((c,), constants), value((d,), constants))))


def level_one(m: Scalar, best: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """The largest so far, and its level."""
    largest = fmax(best, m)
    base, n = level(largest)
    shift, floor = reach(n)
    return largest, base, shift, floor


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


def once_one(elements: Any, nothing: Any, constants: Any) -> Any:
    """What follows from a column's constants."""
    return formula(elements, constants)


def row_at(place: Any, step: Any, core_step: Any, k: Any, width: Any, block: Any, tile: Any) -> Any:
    """As ``block_row`` for row ``k`` of an operand."""
    return block_row(advance(place, k * core_step), step, width, block, tile)


def larger_of_columns(x: Any, core_step: Any, block: Any, count: Any, best: Any, known: Any, options: Any) -> Any:
    """Find the largest of rows that are whole blocks, four at a time; how many of them have been looked at."""
    for k in range(3, count, 4):
        place = advance(x, (k - 3) * core_step)
        second, third, fourth = advance(place, core_step), advance(place, 2 * core_step), advance(place, 3 * core_step)
        find_largest((place, second, third, fourth, *known, best), block, options)
    return count // 4 * 4


def fetch_row(place: Any, core_step: Any, k: Any, c: Any, block: Any) -> None:
    """Ask for the row that lies ``ROWS_AHEAD`` further than row ``k``, if there is one: the processor does not foresee it."""
    if k + ROWS_AHEAD < c:
        row = advance(place, (k + ROWS_AHEAD) * core_step)
        for line in range(0, block * SIZE, LINE_BYTES):
            prefetch(advance(row, line))


def own_row(place: Any, core_step: Any, k: Any, c: Any, block: Any) -> None:
    """As ``fetch_row`` for what will be written."""
    if k + ROWS_AHEAD < c:
        row = advance(place, (k + ROWS_AHEAD) * core_step)
        for line in range(0, block * SIZE, LINE_BYTES):
            prefetch_for_writing(advance(row, line))


def others_at(places: Any, steps: Any, cores: Any, k: Any, width: Any, block: Any, tiles: Any) -> Any:
    """Row ``k`` of all operands but the first."""
    return row_at_each((places[1:], steps[1:], cores[1:], k, width, block, tiles[1:]))


def elements_at(
    places: Any, steps: Any, cores: Any, k: Any, width: Any, block: Any, c: Any, kept: Any, tiles: Any
) -> Any:
    """Row ``k`` of all operands; that of the first is in ``kept`` if that is one chunk."""
    first = stored_row(kept, k, block)
    if c > CHUNK:
        first = row_at(places[0], steps[0], cores[0], k, width, block, tiles[0])
    return (first, *others_at(places, steps, cores, k, width, block, tiles))


row_at_each, plus_each, scatter_each = Each(row_at), Each(plus), Each(scatter)
as_columns_each, as_rows_each = Each(as_columns), Each(as_rows)


# Passes. Each is given the operands' places, outer steps and core steps, how wide the block is, the first operand's tile, the
# tile of the constants, and the options.


def nothing_yet(
    places: Any, steps: Any, cores: Any, width: Any, block: Any, c: Any, tile: Any, constants: Any, options: Any
) -> None:
    """Before the first pass."""


def after(
    places: Any, steps: Any, cores: Any, width: Any, block: Any, c: Any, tile: Any, constants: Any, options: Any
) -> None:
    """One more pass."""
    earlier(places, steps, cores, width, block, c, tile, constants, options)
    following(take(places), take(steps), take(cores), width, block, c, tile, constants, options)


def once(
    places: Any, steps: Any, cores: Any, width: Any, block: Any, c: Any, tile: Any, constants: Any, options: Any
) -> None:
    """What follows once per column from its constants."""
    own_function_with_wide_vectors()
    rows = known_rows(constants, block) + own_rows(constants, block)
    if NEAR and c <= CHUNK:
        finish_near(rows, block, options)
    else:
        finish(rows, block, options)


def exponential_states(
    places: Any, steps: Any, cores: Any, width: Any, block: Any, c: Any, tile: Any, constants: Any, options: Any
) -> None:
    """The states of a block of columns' exponentials; leaves the last chunk of the first operand in ``tile``."""
    own_function_with_wide_vectors()
    sums, state, tiles = lane_tile(), state_tile(), row_tiles()
    x, step, core_step = places[0], steps[0], cores[0]
    m, ties, rest = own_rows(constants, block)
    known = known_rows(constants, block)
    best, tied = row_of(state, BEST, block), row_of(state, TIED, block)
    if NEAR and c <= CHUNK:
        best, tied = m, ties
    levels = row_of(state, BASE, block), row_of(state, SHIFT, block), row_of(state, FLOOR, block)
    lowest_row(m, block)
    zero_row(ties, block)
    zero_wide_row(rest, block)
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        lowest_row(best, block)
        seen = 0
        if ALONE and as_address(x) == as_address(tile):  # short rows need no copy
            seen = larger_of_columns(x, core_step, block, count, best, known, options)
        for k in range(seen, count):
            others = others_at(places, steps, cores, start + k, width, block, tiles)
            place, row = advance(x, (start + k) * core_step), stored_row(tile, k, block)
            if step == SIZE and width == block:
                fetch_row(x, core_step, start + k, c, block)
                copy_larger((place, *others, *known, best, row), block, options)
            else:
                find_larger((block_row(place, step, width, block, row), *others, *known, best), block, options)
        find_level((m, best, *levels), block, ())
        used = min(LANES, count)
        for j in range(used):
            zero_row(row_of(sums, j, block), block)
        zero_row(tied, block)
        for k in range(count):
            lane = row_of(sums, k % LANES, block)
            elements = (stored_row(tile, k, block), *others_at(places, steps, cores, start + k, width, block, tiles))
            add_exponentials((*elements, best, *levels, *known, lane, tied), block, options)
        tree_of_lanes(sums, used, block)
        if NEAR and c <= CHUNK:
            copy_bytes(rest, sums, block * COMPUTED_SIZE)
        elif start == 0:
            first_states((best, tied, sums, m, ties, rest), block, ())
        else:
            join_states((best, tied, sums, m, ties, rest), block, ())


def largest_values(
    places: Any, steps: Any, cores: Any, width: Any, block: Any, c: Any, tile: Any, constants: Any, options: Any
) -> None:
    """The largest values of a block of columns."""
    own_function_with_wide_vectors()
    tiles, known = row_tiles(), known_rows(constants, block)
    (best,) = own_rows(constants, block)
    lowest_row(best, block)
    for k in range(c):
        elements = elements_at(places, steps, cores, k, width, block, c, tile, tiles)
        find_larger((*elements, *known, best), block, options)


def copied(
    places: Any, steps: Any, cores: Any, width: Any, block: Any, c: Any, tile: Any, constants: Any, options: Any
) -> None:
    """Leave a first chunk of the first operand in ``tile``, as passes expect it there."""
    own_function_with_wide_vectors()
    x = places[0]
    if as_address(x) == as_address(tile) or c > CHUNK:
        return
    for k in range(c):
        place, row = advance(x, k * cores[0]), stored_row(tile, k, block)
        if steps[0] == SIZE and width == block:
            fetch_row(x, cores[0], k, c, block)
            copy_bytes(row, place, block * SIZE)
        else:
            block_row(place, steps[0], width, block, row)


def sums_of_terms(
    places: Any, steps: Any, cores: Any, width: Any, block: Any, c: Any, tile: Any, constants: Any, options: Any
) -> None:
    """The sums over a block of columns of the terms of their elements."""
    own_function_with_wide_vectors()
    lane_memory, tiles = lane_space(), row_tiles()
    if HEAPED:
        lane_memory = allocate(LANE_BYTES)
    sums = lanes_at(lane_memory, 1)
    known, totals = known_rows(constants, block), own_rows(constants, block)
    zero_wide_each((totals, block))
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        used = min(LANES, count)
        for j in range(used):
            zero_each((row_each((sums, j, block)), block))
        for k in range(count):
            elements = elements_at(places, steps, cores, start + k, width, block, c, tile, tiles)
            add_terms((*elements, *known, *row_each((sums, k % LANES, block))), block, options)
        add_each((sums, totals, used, block))
    if HEAPED:
        release(lane_memory)


def add_chunk_to(sums: Any, total: Any, used: Any, block: Any) -> None:
    """Add the lanes of a chunk's sum, and that to the columns'."""
    tree_of_lanes(sums, used, block)
    add_chunks((sums, total), block, ())


own_each = Each(own_row)
row_each, zero_each, zero_wide_each, add_each = Each(row_of), Each(zero_row), Each(zero_wide_row), Each(add_chunk_to)


def write_columns(
    places: Any,
    steps: Any,
    cores: Any,
    ys: Any,
    y_steps: Any,
    y_cores: Any,
    width: Any,
    block: Any,
    c: Any,
    tile: Any,
    constants: Any,
    options: Any,
) -> None:
    """The results of a block of columns, one element of each from one of each operand and the column's constants."""
    own_function_with_wide_vectors()
    tiles, results, known = row_tiles(), result_tiles(), known_rows(constants, block)
    direct = y_steps == COMPACT_RESULTS and width == block
    for k in range(c):
        elements = elements_at(places, steps, cores, k, width, block, c, tile, tiles)
        targets = moved_each((ys, y_cores, k))
        if direct:
            own_each((ys, y_cores, k, c, block))
            write_elements((*elements, *known, *targets), block, options)
        else:
            write_elements((*elements, *known, *results), block, options)
            scatter_each((targets, y_steps, results, width))


def instead(one: Any, other: Any) -> Any:
    """``other``."""
    return other


scatter_numbers = Each("scatter_number")
moved_each, instead_each = Each(moved), Each(instead)


def program_columns(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """As ``along.program_rows``."""
    n, c = dims[0], dims[1]
    if taken_by_team(n * c, args, dims, steps, record):
        return
    constants, small = value_tile(), small_tile()
    options = (*options_of(args, steps), c * 1.0)
    outer, cores, y_outer, y_cores = steps_of(steps), cores_of(steps), target_steps_of(steps), target_cores_of(steps)
    short = are_short_rows(outer[0], cores[0], c)
    widest = block_of(c, short)
    tile = new_tile(c, short, small)
    for first in range(0, n, widest):
        width = min(widest, n - first)
        block = (width + STEP - 1) // STEP * STEP
        places, ys = places_of(args, steps, first), targets_of(args, steps, first)
        if short:
            tiles, targets = tiles_at(tile, tile_bytes(c, True)), target_tiles_at(tile, tile_bytes(c, True))
            as_columns_each((tiles, places, outer, cores, width, block, c))
            within = instead_each((COMPACT, block * SIZE))
            known(tiles, COMPACT, within, block, block, c, tile, constants, options)
            if MAPS:
                y_within = instead_each((COMPACT_RESULTS, block * SIZE))
                write_columns(
                    tiles,
                    COMPACT,
                    within,
                    targets,
                    COMPACT_RESULTS,
                    y_within,
                    block,
                    block,
                    c,
                    tile,
                    constants,
                    options,
                )
                as_rows_each((ys, y_outer, y_cores, targets, width, block, c))
        else:
            known(places, outer, cores, width, block, c, tile, constants, options)
            if MAPS:
                write_columns(places, outer, cores, ys, y_outer, y_cores, width, block, c, tile, constants, options)
        if GIVES:
            put_numbers(args, steps, first, width, block, constants, options)
    free_tile(tile, small)
    clear_fp_flags()


def put_numbers(args: Any, steps: Any, first: Any, width: Any, block: Any, constants: Any, options: Any) -> None:
    """Write the numbers that are results of a block of columns."""
    own_function_with_wide_vectors()
    numbers = number_tiles()
    write_numbers((*given_rows(constants, block), *numbers), block, options)
    scatter_numbers((numbers_of(args, steps, first), number_steps_of(steps), numbers, width))


def number_one(elements: Any, nothing: Any, constants: Any) -> Any:
    """The constants themselves."""
    return constants_given(constants)
