"""The inner loop of ``fastact.kinds.masked_gradient``: a sum over what takes part of each row, then a result at each place.

The sum is added in the order of ``along.py``. A row is in the first-level cache when its results are written.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import along, lanes, memory
from fastact.kernels.along import (
    advance_each,
    contiguous,
    moved,
)
from fastact.kernels.drawn import WRITE_FLAGS, draw_flags
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import gather, scatter, taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.jit import internal
from fastact.kernels.limits import CHUNK, LANES
from fastact.kernels.masked import SMALL, write_nothing
from fastact.kernels.memory import (
    advance,
    allocate,
    field,
    own_function_with_wide_vectors,
    release,
    zero_bytes,
)
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.tuples import Each, Named, integers_at, numbers_in, operands_at, stack_spaces
from fastact.maths.simd import select, widen

# What instances fill in; the values here serve the reader and the type checker.
SIZE, COUNT, NUMBERS, RESULT, CORE, RESULT_STEP = 4, 3, 4, 5, 6, 10
DRAWN = False
ZERO = np.float32(0)
term = result = add_kept = write_kept = FILLED_IN
places_of = steps_within = flags_of = flag_steps = options_stored = FILLED_IN
chunk_tiles = drawn_tile = flag_tiles = result_tile = lane_space = nothing_place = FILLED_IN
contiguous_flag = gather_flag = load_flag = stair_tile = fill_ones = fill_zero = fill_nothing = sum_of_lanes = FILLED_IN

move_each, contiguous_each, flag_each = Each(moved), Each(contiguous), Each("contiguous_flag")


def add_one(elements: Any, sums: Any, constants: Any) -> Any:
    """Add an element's term if it takes part; whether it does comes first."""
    return sums[0] + select(elements[0] != 0, term(elements[1:], constants), ZERO)


def write_one(elements: Any, nothing: Any, constants: Any) -> Any:
    """The result at an element's place, times the first constant; 0 if it takes no part."""
    found = result(elements[1:], constants)
    return select(elements[0] != 0, found * type(found)(constants[0]), ZERO)


def first_flags(place: Any, step: Any, start: Any, count: Any, taken: Any, tile: Any, stairs: Any) -> Any:
    """Booleans of a chunk side by side, false from the row's element ``taken`` on; ``stairs`` are CHUNK times 1, then 0."""
    valid = max(0, min(count, taken - start))
    if step == 0:  # one for the whole row, which costs no writes
        return advance(stairs, CHUNK - valid if load_flag(place) != 0 else CHUNK)
    here = advance(place, start * step)
    if valid == count:
        return contiguous_flag(here, step, count, tile)
    gather_flag(tile, here, step, valid)
    zero_bytes(advance(tile, valid), count - valid)
    return tile


def flags_of_chunk(flags: Any, steps: Any, start: Any, count: Any, taken: Any, tiles: Any, stairs: Any) -> Any:
    """Each row's booleans for a chunk; the first also say that an element is not beyond ``taken``."""
    first = first_flags(flags[0], steps[0], start, count, taken, tiles[0], stairs)
    others = flag_each((move_each((flags[1:], steps[1:], start)), steps[1:], count, tiles[1:]))
    return (first, *others)


def sum_of_row(
    places: Any, steps: Any, flags: Any, flags_within: Any, c: Any, taken: Any, stairs: Any, constants: Any
) -> Any:
    """The sum over a row of the terms of what takes part, in float64."""
    own_function_with_wide_vectors()
    tiles, bytes_, sums = chunk_tiles(), flag_tiles(), lane_space()
    total = widen(ZERO)
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        chunks = contiguous_each((move_each((places, steps, start)), steps, count, tiles))
        kept = flags_of_chunk(flags, flags_within, start, count, taken, bytes_, stairs)
        fill_zero(sums)
        for k in range(0, count, LANES):
            here = advance_each((kept, k)) + advance_each((chunks, k * SIZE))
            add_kept((*here, sums), min(LANES, count - k), constants)
        total += widen(sum_of_lanes(sums))
    return total


def write_row(
    places: Any,
    steps: Any,
    flags: Any,
    flags_within: Any,
    y: Any,
    y_step: Any,
    c: Any,
    taken: Any,
    stairs: Any,
    constants: Any,
) -> None:
    """The results of a row's first elements."""
    own_function_with_wide_vectors()
    tiles, bytes_, results = chunk_tiles(), flag_tiles(), result_tile()
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        chunks = contiguous_each((move_each((places, steps, start)), steps, count, tiles))
        kept = flags_of_chunk(flags, flags_within, start, count, taken, bytes_, stairs)
        if y_step == SIZE:
            write_kept((*kept, *chunks, advance(y, start * SIZE)), count, constants)
        else:
            write_kept((*kept, *chunks, results), count, constants)
            scatter(advance(y, start * y_step), y_step, results, count)


def masked_gradients(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Each row's results."""
    n, c = dims[0], dims[1]
    if n > 1 and taken_by_team(n * c, args, dims, steps, record):
        return
    options = options_stored(args[NUMBERS], steps[CORE + COUNT])
    known = (options[0] * (options[1] + options[2]), *options[3:])
    nothing, within, flags_within, y_step = nothing_place(), steps_within(steps), flag_steps(steps), steps[RESULT_STEP]
    stairs, draws = stair_tile(), nothing
    if DRAWN:
        draws = drawn_tile()
        if c > SMALL:
            draws = allocate(c)
    fill_nothing(nothing)
    fill_ones(stairs)
    zero_bytes(advance(stairs, CHUNK), CHUNK)
    for i in range(n):
        places, flags, y = places_of(args, steps, i), flags_of(args, steps, i), advance(args[RESULT], i * steps[RESULT])
        taken = max(0, min(c, field(advance(args[COUNT], i * steps[COUNT]), 0)))
        whole = c  # of a short row all is computed: where it ends is hard to foresee, and costs more than it spares
        if c > CHUNK:
            whole = min(c, (taken + LANES - 1) // LANES * LANES)
        all_flags, all_within = flags, flags_within
        if DRAWN:
            draw_flags(draws, whole, field(advance(args[NUMBERS + 1], i * steps[NUMBERS + 1]), 0), args[NUMBERS + 2])
            all_flags, all_within = (flags[0], draws), (flags_within[0], 1)
        total = sum_of_row(places, within, all_flags, all_within, whole, taken, stairs, known)
        write_row(places, within, all_flags, all_within, y, y_step, whole, taken, stairs, (*known, total))
        if y_step == SIZE:
            zero_bytes(advance(y, whole * SIZE), (c - whole) * SIZE)
        else:
            write_nothing(y, y_step, whole, c, nothing)
    if DRAWN and c > SMALL:
        release(draws)
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``masked_gradients`` for one kernel and dtype."""
    computed = FLOATS[dtype].computed_in
    size = np.dtype(dtype).itemsize
    rows, flags, args = len(kernel.reads), kernel.flag_operands, kernel.inputs + kernel.outputs
    names, constants = (*kernel.flags, *kernel.reads), ("scale", *kernel.own_options)
    elements = [*["bool"] * (1 + len(kernel.flags)), *[dtype] * rows]
    of_bytes = {"SIZE": 1, "copy_element": memory.copy_element(1), "spread_element": memory.spread_element(1)}
    filled = along.common(dtype) | {
        "COUNT": rows + flags,
        "NUMBERS": rows + flags + 1,
        "RESULT": kernel.inputs,
        "CORE": args,
        "RESULT_STEP": args + rows + flags + 1 + kernel.drawn,
        "DRAWN": kernel.drawn,
        "term": Named(kernel.term, names, constants),
        "result": Named(kernel.writes, names, (*constants, kernel.total)),
        "add_kept": ElementLoop(add_one, [*elements, computed], [computed], updates=1, constants=0),
        "write_kept": ElementLoop(write_one, elements, [dtype], constants=0),
        "places_of": operands_at(range(rows)),
        "steps_within": integers_at(range(args, args + rows)),
        "flags_of": operands_at(range(rows, rows + flags)),
        "flag_steps": integers_at(range(args + rows, args + rows + flags)),
        "options_stored": numbers_in(["float64"] * len(kernel.numbers), "float64"),
        "chunk_tiles": stack_spaces([CHUNK * size] * rows),
        "flag_tiles": stack_spaces([CHUNK] * (1 + len(kernel.flags))),
        "drawn_tile": memory.stack_space(SMALL),
        "write_flags": WRITE_FLAGS,
        "result_tile": memory.stack_space(CHUNK * size),
        "stair_tile": memory.stack_space(2 * CHUNK),
        "fill_ones": lanes.fill("bool", 1, CHUNK),
        "load_flag": lanes.load("bool"),
        "nothing_place": memory.stack_space(size),
        "contiguous_flag": internal(instance(contiguous, of_bytes)),
        "gather_flag": internal(instance(gather, of_bytes)),
        "fill_nothing": lanes.fill(dtype, 0.0, 1),
    }
    return instance(masked_gradients, filled)
