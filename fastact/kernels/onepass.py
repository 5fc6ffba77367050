"""The sum of a row's exponentials in one pass, for rows of up to ``SEGMENT`` elements: each is read from memory once.

The passes of ``along.py`` look for the maximum before they take exponentials at its level. Here the largest of the first
``LANES`` elements stands in for it, and the maximum is found on the way. It may be larger by ``MARGIN``: exponentials at a level
that is too low are as precise, and do not overflow. Only a row whose maximum is beyond that is computed anew, at its own level.

Exponentials are added ``LANES`` at a time as a tree that ends at ``SUMS`` lanes, which collect those of a chunk in float64: in
float32 one large element would spoil a sum for all that follow. The order is the same along rows and across columns, and so
are the bits. ``shares.py`` makes softmax of it.
"""

from typing import Any

import numpy as np

from fastact.kernels import along, columns, lanes, memory
from fastact.kernels.across import larger_of_columns, largest_one, once_one
from fastact.kernels.along import (
    AHEAD,
    contiguous,
    larger,
)
from fastact.kernels.blocks import (
    ROW_BYTES,
    Layout,
    block_loop,
    block_row,
    loop_of_groups,
    lowest_row,
    row_of,
    zero_row,
    zero_wide_row,
)
from fastact.kernels.columns import formula_of
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.limits import CHUNK, LANES
from fastact.kernels.memory import advance, copy_bytes, own_function_with_wide_vectors
from fastact.kernels.prefetching import fetch_ahead, own_ahead
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.tuples import Named
from fastact.maths.logsumexp import HUGE, exp_at, level, reach, split
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, absolute, fmax, select, widen

SUMS = 16
MARGIN = 40.0
"""So far above the level a row may reach: ``exp(40)`` times ``SEGMENT`` is far from any overflow, its reciprocal from underflow."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE, COMPUTED_SIZE = 4, 4
ZERO = np.float32(0)
value = chunk_tile = tail_tile = lane_space = sum_space = row_tile = lane_tile = wide_tile = fill_tail = FILLED_IN
fill_lowest = fill_zero = zero_sums = largest_lane = add_widened = total_of_sums = load_number = find_larger = FILLED_IN
find_level = keep_first = keep_exponentials = settle = add_rows = add_wide_rows = add_chunks = copy_row = FILLED_IN
split_total = scale_rows = finish = share_rows = FILLED_IN

GUESS, BASE, SHIFT, FLOOR, BEST, CHOSEN, CHANGED, HIGH, LOW, TIES = range(10)
TOTAL, GUESS_ROWS = 10, 12
"""Rows of a block's state; TOTAL is of float64 and may take two."""


@scalar
def settled(m: Scalar, guess: Scalar) -> Scalar:
    """The maximum whose level the exponentials are to be taken at: ``guess`` if that is near enough."""
    T = type(m)
    near = (m - guess <= T(MARGIN)) & (absolute(m) < T(HUGE)) & (absolute(guess) < T(HUGE))
    return select(near, guess, m)


# One element of each pass. Along a row the constants are scalars and come last; across columns they are operands.


def keep_along(x: Scalar, best: Scalar, base: Scalar, shift: Scalar, floor: Scalar) -> tuple[Scalar, Scalar]:
    """The larger of an element and the best so far, and its exponential."""
    exponent = value((x,), ())
    return fmax(best, exponent), exp_at(exponent, base, shift, floor)


def keep_across(x: Scalar, base: Scalar, shift: Scalar, floor: Scalar, best: Scalar) -> tuple[Scalar, Scalar]:
    """As ``keep_along``."""
    return keep_along(x, best, base, shift, floor)


def keep_first_across(x: Scalar, base: Scalar, shift: Scalar, floor: Scalar) -> Scalar:
    """As ``keep_across`` for the first elements, which are no larger than the guess."""
    return exp_at(value((x,), ()), base, shift, floor)


def add_two(a: Scalar, b: Scalar) -> Scalar:
    """A sum of a tree of lanes."""
    return a + b


def copy_one(a: Scalar) -> Scalar:
    """A lane without a partner."""
    return a


def level_one(guess: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """A column's level."""
    base, n = level(guess)
    shift, floor = reach(n)
    return base, shift, floor


def settle_one(m: Scalar, guess: Scalar) -> tuple[Scalar, Scalar]:
    """The maximum to use, and whether that is another one."""
    T = type(m)
    chosen = settled(m, guess)
    return chosen, select(chosen == guess, T(0.0), T(1.0))


def first_largest(x: Any, step: Any) -> Any:
    """The largest of the first LANES elements of a row."""
    own_function_with_wide_vectors()
    best = lane_space()
    fill_lowest(best)
    find_larger((contiguous(x, step, LANES, chunk_tile()), best), LANES, ())
    return largest_lane(best)


def row_exponentials(x: Any, step: Any, c: Any, kept: Any, pitch: Any, guess: Any, y: Any, y_step: Any) -> Any:
    """A row's maximum and the sum of its exponentials at the level of ``guess``.

    The exponentials of a chunk are left in ``kept``, those of the next one ``pitch`` bytes per element after it. Memory is asked
    for ``y``, where the results will go.
    """
    own_function_with_wide_vectors()
    tile, tail, last, best, sums = chunk_tile(), tail_tile(), lane_space(), lane_space(), sum_space()
    base, n = level(guess)
    shift, floor = reach(n)
    fill_lowest(best)
    total = widen(ZERO)
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        chunk = contiguous(advance(x, start * step), step, count, tile)
        place = advance(kept, start * pitch)
        whole = count // LANES * LANES
        zero_sums(sums)
        for i in range(0, whole, LANES):
            row, elements = advance(place, i * COMPUTED_SIZE), advance(chunk, i * SIZE)
            fetch_ahead(elements, AHEAD)
            if y_step == SIZE:
                own_ahead(advance(y, (start + i) * SIZE), AHEAD if pitch > 0 else 0)
            keep_exponentials((elements, best, row), LANES, (base, shift, floor))
            add_widened(row, sums)
        if whole < count and pitch == 0 and count >= LANES:
            # The last LANES elements once more, which spares the copies of a few; zeros follow them.
            fill_zero(advance(place, count * COMPUTED_SIZE))
            again = count - LANES
            pointers = (advance(chunk, again * SIZE), best, advance(place, again * COMPUTED_SIZE))
            keep_exponentials(pointers, LANES, (base, shift, floor))
            add_widened(advance(place, whole * COMPUTED_SIZE), sums)
        elif whole < count:
            fill_tail(tail)
            copy_bytes(tail, advance(chunk, whole * SIZE), (count - whole) * SIZE)
            keep_exponentials((tail, best, last), LANES, (base, shift, floor))
            add_widened(last, sums)
            copy_bytes(advance(place, whole * COMPUTED_SIZE), last, (count - whole) * COMPUTED_SIZE)
        total += total_of_sums(sums)
    return largest_lane(best), total


def column_guesses(x: Any, step: Any, core_step: Any, width: Any, block: Any, c: Any, state: Any) -> None:
    """The largest of the first elements of each column."""
    own_function_with_wide_vectors()
    guess, tile = row_of(state, GUESS, block), row_tile()
    lowest_row(guess, block)
    count, seen = min(c, LANES), 0
    if step == SIZE and width == block:
        seen = larger_of_columns(x, core_step, block, count, guess, (), ())
    for k in range(seen, count):
        find_larger((block_row(advance(x, k * core_step), step, width, block, tile), guess), block, ())


def column_exponentials(
    x: Any, step: Any, core_step: Any, width: Any, block: Any, c: Any, kept: Any, guess: Any, state: Any
) -> None:
    """As ``row_exponentials`` for a block of columns; ``kept`` holds those of the last chunk."""
    own_function_with_wide_vectors()
    sums, wide, tile = lane_tile(), wide_tile(), row_tile()
    best, total = row_of(state, BEST, block), row_of(state, TOTAL, block)
    base, shift, floor = row_of(state, BASE, block), row_of(state, SHIFT, block), row_of(state, FLOOR, block)
    find_level((guess, base, shift, floor), block, ())
    copy_bytes(best, row_of(state, GUESS, block), block * COMPUTED_SIZE)
    high, low = row_of(state, HIGH, block), row_of(state, LOW, block)
    zero_wide_row(total, block)
    for start in range(0, c, LANES):
        used, first = min(LANES, c - start), start % CHUNK
        kept_rows = row_of(kept, first, block)
        for k in range(used):
            place = block_row(advance(x, (start + k) * core_step), step, width, block, tile)
            if start == 0:
                keep_first((place, base, shift, floor, row_of(kept_rows, k, block)), block, ())
            else:
                keep_exponentials((place, base, shift, floor, best, row_of(kept_rows, k, block)), block, ())
        if c <= LANES:
            add_tree(kept_rows, sums, used, 1, block)
            copy_bytes(high, sums, block * COMPUTED_SIZE)
            zero_row(low, block)
        else:
            add_tree(kept_rows, sums, used, SUMS, block)
            if first == 0:
                zero_wide_row(wide, block * SUMS)
            for j in range(min(SUMS, used)):
                add_chunks((row_of(sums, j, block), wide_row(wide, j, block)), block, ())
            if first + LANES == CHUNK or start + LANES >= c:
                add_wide_tree(wide, block)
                add_wide_rows((wide, total), block, ())
    if c > LANES:
        split_total((best, total, high, low), block, ())


def wide_row(tile: Any, k: Any, block: Any) -> Any:
    """Row ``k`` of a tile of float64, as wide as the block."""
    return advance(tile, k * block * 8)


def add_wide_tree(wide: Any, block: Any) -> None:
    """Add the lanes of float64 into the first, in the order of ``lanes.tree``."""
    half = SUMS // 2
    while half > 0:
        for j in range(half):
            add_wide_rows((wide_row(wide, j + half, block), wide_row(wide, j, block)), block, ())
        half = half // 2


def add_tree(rows: Any, sums: Any, used: Any, left: Any, block: Any) -> None:
    """Add up to LANES rows in the order of ``lanes.tree`` until ``left`` are left, in ``sums``."""
    half = LANES // 2
    while half >= max(used, left + 1):
        half = half // 2
    source, copied = rows, False
    while half >= left:
        for j in range(min(half, used)):
            if j + half < used:
                pair = (row_of(source, j, block), row_of(source, j + half, block), row_of(sums, j, block))
                add_rows(pair, block, ())
            elif not copied:
                copy_row((row_of(source, j, block), row_of(sums, j, block)), block, ())
        source, copied = sums, True
        used = min(half, used)
        half = half // 2


def any_changed(state: Any, block: Any) -> Any:
    """Whether a column's maximum is beyond the margin."""
    settle(
        (
            row_of(state, BEST, block),
            row_of(state, GUESS, block),
            row_of(state, CHOSEN, block),
            row_of(state, CHANGED, block),
        ),
        block,
        (),
    )
    changed = False
    for i in range(block):
        if load_number(advance(row_of(state, CHANGED, block), i * COMPUTED_SIZE)) > ZERO:
            changed = True
    return changed


def column_constants(chosen: Any, state: Any, constants: Any, block: Any) -> None:
    """The constants of a block of columns."""
    own_function_with_wide_vectors()
    ties = row_of(state, TIES, block)
    zero_row(ties, block)
    finish((chosen, ties, row_of(state, TOTAL, block), *share_rows(constants, block)), block, ())


def column_scales(chosen: Any, state: Any, constants: Any, block: Any) -> None:
    """What the exponentials of a block of columns are multiplied with."""
    own_function_with_wide_vectors()
    sums = row_of(state, HIGH, block), row_of(state, LOW, block)
    scale_rows((chosen, *sums, constants, row_of(constants, 1, block)), block, ())


def filled_in_rows(kernel: Any, dtype: str) -> dict[str, Any]:
    """What instances for a kernel and dtype have filled in along rows, on top of what those of ``along.py`` have."""
    compute = FLOATS[dtype].computed_in
    computed_size = np.dtype(compute).itemsize
    state, shares = kernel.steps(dtype)
    return along.filled_in(kernel, dtype) | {
        "COMPUTED_SIZE": computed_size,
        "value": Named(state.formula, kernel.reads, ()),
        "formula": Named(shares.formula, (), state.names, shares.results),
        "fill_tail": lanes.fill(dtype, kernel.padding, LANES),
        "find_larger": ElementLoop(larger, [dtype, compute], [compute], updates=1, constants=0),
        "exponential_tile": memory.stack_space((CHUNK + LANES) * computed_size),
        "sum_space": memory.stack_space(SUMS * 8),
        "zero_sums": lanes.fill("float64", 0.0, SUMS),
        "add_widened": lanes.add_widened(compute, LANES, SUMS),
        "total_of_sums": lanes.tree("float64", SUMS, "sum"),
        "keep_exponentials": ElementLoop(keep_along, [dtype, compute], [compute] * 2, updates=1),
    }


def filled_in_columns(kernel: Any, dtype: str) -> dict[str, Any]:
    """What instances for a kernel and dtype have filled in across columns, on top of what those of ``across.py`` have."""
    compute = FLOATS[dtype].computed_in
    computed_size = np.dtype(compute).itemsize
    most = ROW_BYTES // computed_size
    one, wide = [compute], ["float64"]
    state, shares = kernel.steps(dtype)
    layout = Layout(dict(zip(state.names + shares.names, state.results + shares.results, strict=True)), computed_size)
    return columns.filled_in(kernel, dtype) | {
        "load_number": lanes.load(compute),
        "wide_tile": memory.stack_space(SUMS * most * 8),
        "guess_tile": memory.stack_space(GUESS_ROWS * most * computed_size),
        "value": Named(state.formula, kernel.reads, ()),
        "find_larger": loop_of_groups(larger, [dtype], (), one),
        "find_largest": loop_of_groups(largest_one, [dtype] * 4, (), one),
        "find_level": block_loop(level_one, one, one * 3),
        "keep_first": block_loop(keep_first_across, [dtype, *one * 3], one),
        "keep_exponentials": block_loop(keep_across, [dtype, *one * 4], one * 2, 1),
        "add_rows": block_loop(add_two, one * 2, one),
        "add_wide_rows": block_loop(add_two, wide * 2, wide, 1),
        "copy_row": block_loop(copy_one, one, one),
        "split_total": block_loop(split, one + wide, one * 2),
        "scale_rows": block_loop(kernel.scale, one * 3, one * 2),
        "settle": block_loop(settle_one, one * 2, one * 2),
        "formula": formula_of(shares.formula, (), layout, state.names, results=shares.results),
        "finish": loop_of_groups(once_one, (), state.results, (), shares.results),
        "share_rows": layout.rows(shares.names),
    }
