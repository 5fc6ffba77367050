"""Softmax: results that are multiples of exponentials, of which each is computed once and kept until the sum is known.

A row of one chunk keeps its exponentials in a tile; a longer one in the output, unless that is the input, whose elements
may be needed once more: then they are computed twice.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import onepass
from fastact.kernels.across import write_columns
from fastact.kernels.along import (
    computed_elsewhere,
    write_row,
)
from fastact.kernels.blocks import STEP, block_loop, block_of, free_tile, new_tile, row_of, tile_bytes
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import gather, scatter, taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.limits import CHUNK, LANES, SEGMENT
from fastact.kernels.memory import (
    advance,
    as_address,
    copy_bytes,
    own_function_with_wide_vectors,
)
from fastact.kernels.onepass import (
    CHOSEN,
    GUESS,
    any_changed,
    column_constants,
    column_exponentials,
    column_guesses,
    column_scales,
    first_largest,
    row_exponentials,
    settled,
)
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.transposition import are_short_rows, as_columns, as_rows
from fastact.maths.logsumexp import level, reach, split

# What instances fill in; the values here serve the reader and the type checker.
SIZE, COMPUTED_SIZE = 4, 4
ZERO = np.float32(0)
formula = scale = known = small_tile = chunk_tile = tail_tile = lane_space = exponential_tile = row_tile = FILLED_IN
guess_tile = value_tile = fill_tail = fill_lowest = largest_lane = sum_of_lanes = find_larger = FILLED_IN
keep_exponentials = write_shares = FILLED_IN


def share_short_row(x: Any, step: Any, y: Any, y_step: Any, c: Any) -> None:
    """The results of a row of up to LANES elements, whose largest is no guess."""
    own_function_with_wide_vectors()
    tail, result, best, kept = tail_tile(), tail_tile(), lane_space(), lane_space()
    fill_tail(tail)
    gather(tail, x, step, c)
    fill_lowest(best)
    find_larger((tail, best), LANES, ())
    m = largest_lane(best)
    base, n = level(m)
    shift, floor = reach(n)
    keep_exponentials((tail, best, kept), LANES, (base, shift, floor))
    constants = scale(m, sum_of_lanes(kept), ZERO)
    write_shares((kept, result), LANES, constants)
    scatter(y, y_step, result, c)


def write_kept(kept: Any, y: Any, y_step: Any, c: Any, constants: Any) -> None:
    """A row's results from its exponentials; ``y`` may be where they are."""
    own_function_with_wide_vectors()
    tile, last = chunk_tile(), lane_space()
    if y_step == SIZE:
        whole = c // LANES * LANES
        write_shares((kept, y), whole, constants)
        if c <= CHUNK and whole < c:
            again = c - LANES
            write_shares((advance(kept, again * COMPUTED_SIZE), advance(y, again * SIZE)), LANES, constants)
        elif whole < c:
            copy_bytes(last, advance(kept, whole * COMPUTED_SIZE), (c - whole) * COMPUTED_SIZE)
            write_shares((last, tile), LANES, constants)
            copy_bytes(advance(y, whole * SIZE), tile, (c - whole) * SIZE)
    else:
        write_shares((kept, tile), (c + LANES - 1) // LANES * LANES, constants)
        scatter(y, y_step, tile, c)


def share_row(x: Any, step: Any, y: Any, y_step: Any, c: Any) -> None:
    """The results of a longer row."""
    kept, pitch = exponential_tile(), 0
    if c > CHUNK and y_step == SIZE == COMPUTED_SIZE and as_address(x) != as_address(y):
        kept, pitch = y, SIZE
    guess = first_largest(x, step)
    m, total = row_exponentials(x, step, c, kept, pitch, guess, y, y_step)
    chosen = settled(m, guess)
    if chosen != guess:
        m, total = row_exponentials(x, step, c, kept, pitch, chosen, y, y_step)
    if c <= CHUNK or pitch > 0:
        high, low = split(chosen, total)
        write_kept(kept, y, y_step, c, scale(chosen, high, low))
    else:
        state = chosen, ZERO, total
        write_row((x,), (step,), (y,), (y_step,), c, state + formula((), state) + (c * 1.0,), False)


def share_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """``(n)->(n)``, as ``along.map_rows``."""
    n, c = dims[0], dims[1]
    if computed_elsewhere(args, dims, steps, record):
        return
    for i in range(n):
        x, y = advance(args[0], i * steps[0]), advance(args[1], i * steps[1])
        if c <= LANES:
            share_short_row(x, steps[2], y, steps[3], c)
        elif c <= SEGMENT:
            share_row(x, steps[2], y, steps[3], c)
        else:
            options = (c * 1.0,)
            constants = known((x,), (steps[2],), c, options, y, 0) + options
            write_row((x,), (steps[2],), (y,), (steps[3],), c, constants, False)
    clear_fp_flags()


def write_kept_columns(
    kept: Any, y: Any, y_step: Any, y_core: Any, width: Any, block: Any, c: Any, constants: Any
) -> None:
    """The results of a block of columns from their exponentials."""
    own_function_with_wide_vectors()
    results = row_tile()
    scale, scale_rest = constants, row_of(constants, 1, block)
    direct = y_step == SIZE and width == block
    for k in range(c):
        e, place = row_of(kept, k, block), advance(y, k * y_core)
        if direct:
            write_shares((e, scale, scale_rest, place), block, ())
        else:
            write_shares((e, scale, scale_rest, results), block, ())
            scatter(place, y_step, results, width)


def share_block(
    x: Any,
    x_step: Any,
    x_core: Any,
    y: Any,
    y_step: Any,
    y_core: Any,
    width: Any,
    block: Any,
    c: Any,
    kept: Any,
    state: Any,
    constants: Any,
) -> None:
    """The results of a block of columns."""
    column_guesses(x, x_step, x_core, width, block, c, state)
    chosen = row_of(state, GUESS, block)
    column_exponentials(x, x_step, x_core, width, block, c, kept, chosen, state)
    if c > LANES and any_changed(state, block):
        chosen = row_of(state, CHOSEN, block)
        column_exponentials(x, x_step, x_core, width, block, c, kept, chosen, state)
    if c <= CHUNK:
        column_scales(chosen, state, constants, block)
        write_kept_columns(kept, y, y_step, y_core, width, block, c, constants)
    else:
        column_constants(chosen, state, constants, block)
        options = (c * 1.0,)
        write_columns((x,), (x_step,), (x_core,), (y,), (y_step,), (y_core,), width, block, c, kept, constants, options)


def share_columns(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """As ``share_rows``."""
    n, c = dims[0], dims[1]
    if taken_by_team(n * c, args, dims, steps, record):
        return
    state, constants = guess_tile(), value_tile()
    x_step, y_step, x_core, y_core = steps[0], steps[1], steps[2], steps[3]
    short = are_short_rows(x_step, x_core, c)
    widest = block_of(c, short)
    small = small_tile()
    kept = new_tile(c, short, small)
    for first in range(0, n, widest):
        width = min(widest, n - first)
        block = (width + STEP - 1) // STEP * STEP
        x, y = advance(args[0], first * x_step), advance(args[1], first * y_step)
        if short:
            tile = advance(kept, tile_bytes(c, True))
            as_columns(tile, x, x_step, x_core, width, block, c)
            share_block(tile, SIZE, block * SIZE, tile, SIZE, block * SIZE, block, block, c, kept, state, constants)
            as_rows(y, y_step, y_core, tile, width, block, c)
        else:
            share_block(x, x_step, x_core, y, y_step, y_core, width, block, c, kept, state, constants)
    free_tile(kept, small)
    clear_fp_flags()


def specialise_rows(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``share_rows`` for one op and dtype."""
    compute = FLOATS[dtype].computed_in
    filled = {"scale": kernel.scale, "write_shares": ElementLoop(kernel.share, [compute], [dtype])}
    return instance(share_rows, onepass.filled_in_rows(kernel, dtype) | filled)


def specialise_columns(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``share_columns`` for one op and dtype."""
    compute = FLOATS[dtype].computed_in
    filled = {"write_shares": block_loop(kernel.share, [compute] * 3, [dtype])}
    return instance(share_columns, onepass.filled_in_columns(kernel, dtype) | filled)
