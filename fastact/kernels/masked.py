"""The inner loop of ``fastact.kinds.masked``: rows of which some elements take no part.

A row is read once: what takes part is copied to a tile, as it is computed, and -inf, whose exponential is 0, stands there for all
else. The tile stays in the cache, is filled up to whole steps of ``LANES`` elements, and is walked twice more: for the sums, which
are added in the order of ``along.py``, and for the results.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import along, lanes, memory
from fastact.kernels.along import (
    advance_each,
    contiguous,
    moved,
    plus,
)
from fastact.kernels.drawn import WRITE_FLAGS, draw_flags
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import scatter, taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.jit import internal
from fastact.kernels.limits import CHUNK, LANES
from fastact.kernels.memory import (
    advance,
    allocate,
    as_address,
    field,
    own_function_with_wide_vectors,
    release,
)
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.tuples import Each, Named, integers_at, numbers_in, operands_at, picked, rows_at, stack_spaces
from fastact.maths.simd import fmax, select, widen

SMALL = 1024
"""Rows of up to so many elements have their tiles on the stack."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE, COMPUTED_SIZE, ARGS, MASK, COUNT, NUMBERS, CORE = 4, 4, 5, 1, 2, 3, 5
TILE_SIZES, COMPACT_RESULTS = (4,), (4,)
MAPS, WEIGHTED, KEEPS, DRAWN = True, False, False, False
LOWEST, ZERO, ONE = np.float32(-np.inf), np.float32(0), np.float32(1)
NO_SUMS = (0.0,)
chunk_tile = mask_tile = weight_tile = result_tiles = small_tiles = lane_space = lane_spaces = nothing_place = FILLED_IN
contiguous_mask = load_mask = fill_lowest = fill_weights = fill_zero = fill_nothing = copy_element = FILLED_IN
sums_of_scaled = sums_of_unscaled = spread_element = largest_lane = sum_of_lanes = take_in = exponential = terms = (
    compute
) = result = FILLED_IN
write_elements = flag_tile = targets_of = target_steps = level = totals = given = tiles_at = numbers_of = (
    options_stored
) = store_number = FILLED_IN

plus_each, widen_each, zero_each, sum_each = Each(plus), Each(widen), Each("fill_zero"), Each("sum_of_lanes")
move_each, scatter_each, store_each = Each(moved), Each(scatter), Each("store_number")


# One element of each pass.


def taken_one(elements: Any, best: Any, constants: Any) -> Any:
    """The larger of an element that takes part and the best so far, and what stands in the tile."""
    x, keep = elements
    own = select(keep != 0, x * constants[0], LOWEST)
    return fmax(best[0], own), own


def taken_with_weight(elements: Any, best: Any, constants: Any) -> Any:
    """As ``taken_one``, and the weight, which is 0 where the element takes no part."""
    x, b, keep = elements
    weight = select(keep != 0, b, ZERO)
    own = select(weight != ZERO, x * constants[0], LOWEST)
    return fmax(best[0], own), own, weight


def computed_one(elements: Any, sums: Any, constants: Any) -> Any:
    """The sums with an element's terms, and its exponential if that is kept."""
    e = exponential(elements, constants)
    found = plus_each((sums, terms((*elements, e), constants)))
    if KEEPS:
        return (*found, e)
    return found


def result_one(elements: Any, nothing: Any, constants: Any) -> Any:
    """The result at an element's place."""
    return result(elements, constants)


def taken_in(args: Any, steps: Any, i: Any, c: Any, tiles: Any, sign: Any) -> Any:
    """Copy the elements of a row that take part to its tile, and their weights to another; the largest of them."""
    own_function_with_wide_vectors()
    chunk, weights, keeps, best = chunk_tile(), weight_tile(), mask_tile(), lane_space()
    x, b, mask = advance(args[0], i * steps[0]), advance(args[1], i * steps[1]), advance(args[MASK], i * steps[MASK])
    x_step, b_step, mask_step = steps[CORE], steps[CORE + 1], steps[CORE + MASK]
    fill_lowest(best)
    if c % LANES != 0:
        fill_lowest(advance(tiles[0], c // LANES * LANES * COMPUTED_SIZE))
        if WEIGHTED:
            fill_weights(advance(tiles[1], c // LANES * LANES * COMPUTED_SIZE))
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        own = contiguous(advance(x, start * x_step), x_step, count, chunk)
        kept = contiguous_mask(advance(mask, start * mask_step), mask_step, count, keeps)
        weight = own
        if WEIGHTED:
            weight = contiguous(advance(b, start * b_step), b_step, count, weights)
        for k in range(0, count, LANES):
            here, targets = advance(own, k * SIZE), advance_each((tiles, (start + k) * COMPUTED_SIZE))
            if WEIGHTED:
                take_in(
                    (here, advance(weight, k * SIZE), advance(kept, k), best, *targets), min(LANES, count - k), (sign,)
                )
            else:
                take_in((here, advance(kept, k), best, *targets), min(LANES, count - k), (sign,))
    return largest_lane(best)


def sums_of_row(tiles: Any, c: Any, constants: Any) -> Any:
    """The sums over a row, in float64; leaves the exponentials in the tile if they are kept."""
    own_function_with_wide_vectors()
    sums, found = lane_spaces(), NO_SUMS
    for start in range(0, c, CHUNK):
        zero_each((sums,))
        for k in range(start, min(c, start + CHUNK), LANES):
            here = advance_each((tiles, k * COMPUTED_SIZE))
            if KEEPS:
                compute((*here, *sums, here[0]), LANES, constants)
            else:
                compute((*here, *sums), LANES, constants)
        found = plus_each((found, widen_each((sum_each((sums,)),))))
    return found


def dropped_one(elements: Any, nothing: Any, constants: Any) -> Any:
    """The result at an element's place behind a dropout that has kept it or not, and without one."""
    e, kept = elements
    own = result((e,), constants)
    T = type(own)
    return own * select(kept != 0, T(constants[5]), T(0)), own


def write_row(tiles: Any, ys: Any, y_steps: Any, c: Any, constants: Any) -> None:
    """A row's results from its tiles: in place as far as whole steps go, if they lie side by side."""
    own_function_with_wide_vectors()
    results, whole = result_tiles(), 0
    if y_steps == COMPACT_RESULTS:
        whole = c // LANES * LANES
        write_elements(tiles + ys, whole, constants)
    for start in range(whole, c, CHUNK):
        count = min(CHUNK, c - start)
        here, padded = move_each((tiles, TILE_SIZES, start)), (count + LANES - 1) // LANES * LANES
        write_elements(here + results, padded, constants)
        scatter_each((move_each((ys, y_steps, start)), y_steps, results, count))


def any_kept(mask: Any, step: Any, c: Any) -> Any:
    """Whether any element of a row takes part."""
    found = False
    for k in range(c):
        found = found or load_mask(advance(mask, k * step)) != 0
    return found


def write_nothing(y: Any, y_step: Any, first: Any, c: Any, nothing: Any) -> None:
    """Write what stands where no element takes part, from ``first`` on."""
    if y_step == SIZE:
        spread_element(advance(y, first * SIZE), nothing, c - first)
    else:
        for k in range(first, c):
            copy_element(advance(y, k * y_step), nothing)


def write_nothing_where_masked(y: Any, y_step: Any, mask: Any, mask_step: Any, c: Any, nothing: Any) -> None:
    """The same where the mask says so."""
    for k in range(c):
        if load_mask(advance(mask, k * mask_step)) == 0:
            copy_element(advance(y, k * y_step), nothing)


def finish_row(y: Any, y_step: Any, mask: Any, mask_step: Any, count: Any, c: Any, scale: Any, nothing: Any) -> None:
    """Write what stands where no element of a row takes part."""
    if scale != scale:  # NaN throughout, but where the mask hides it
        write_nothing_where_masked(y, y_step, mask, mask_step, count, nothing)
    write_nothing(y, y_step, count, c, nothing)


finish_each = Each(finish_row)


def masked_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Each row's results, of the elements that take part."""
    n, c = dims[0], dims[1]
    if n > 1 and taken_by_team(n * c, args, dims, steps, record):
        return
    options = options_stored(args[NUMBERS], steps[CORE + MASK + 1])
    nothing, small = nothing_place(), small_tiles()
    fill_nothing(nothing)
    room = (c + LANES - 1) // LANES * LANES
    space = small
    if c > SMALL:
        space = allocate(2 * room * COMPUTED_SIZE)
    tiles, mask_step, y_steps = tiles_at(space, room), steps[CORE + MASK], target_steps(steps)
    flags = small
    if DRAWN:
        flags = flag_tile()
        if c > SMALL:
            flags = advance(space, room * COMPUTED_SIZE)
    for i in range(n):
        mask = advance(args[MASK], i * steps[MASK])
        count = max(0, min(c, field(advance(args[COUNT], i * steps[COUNT]), 0)))
        m, present = taken_in(args, steps, i, count, tiles, options[0]), ONE
        if m == LOWEST and not any_kept(mask, mask_step, count):
            present = ZERO
        first = (m, present, *options)
        levelled = first + level((), first)
        sums = NO_SUMS
        if options[1] == 1 and options[2] == 0:
            sums = sums_of_unscaled(tiles, count, levelled)
        else:
            sums = sums_of_scaled(tiles, count, levelled)
        summed = levelled + sums
        constants = summed + totals((), summed)
        if MAPS:
            ys: Any = targets_of(args, steps, i)
            read: Any = (tiles[0],)
            if DRAWN:
                first_index = field(advance(args[NUMBERS + 1], i * steps[NUMBERS + 1]), 0)
                draw_flags(flags, count, first_index, args[NUMBERS + 2])
                read = (tiles[0], flags)
            write_row(read, ys, y_steps, count, constants)
            finish_each((ys, y_steps, mask, mask_step, count, c, constants[-1], nothing))
        else:
            store_each((numbers_of(args, steps, i), given(constants)))
    if as_address(space) != as_address(small):
        release(space)
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``masked_rows`` for one kernel and dtype."""
    computed = FLOATS[dtype].computed_in
    size, computed_size = np.dtype(dtype).itemsize, np.dtype(computed).itemsize
    number = np.dtype(computed).type
    rows, args = len(kernel.reads), kernel.inputs + kernel.outputs
    before, levelled, summed, every = (list(names) for names in kernel.constants(dtype))
    dtypes = kernel.constants(dtype)[-1]
    kind = "float64" if kernel.wide else computed
    sums = [kind] * len(kernel.sums.split())
    tiles = [computed] * rows
    used = ["e"] if kernel.keeps else ["x"]
    written, first_result = kernel.outputs if kernel.writes else 0, args + rows + 2 + kernel.drawn
    shared = along.common(dtype)
    of_bytes = {"SIZE": 1, "copy_element": memory.copy_element(1), "spread_element": memory.spread_element(1)}
    filled = shared | {
        "COMPUTED_SIZE": computed_size,
        "ARGS": args,
        "MASK": rows,
        "COUNT": rows + 1,
        "NUMBERS": rows + 2,
        "CORE": args,
        "DRAWN": kernel.drawn,
        "MAPS": kernel.writes is not None,
        "WEIGHTED": kernel.weighted,
        "KEEPS": kernel.keeps,
        "ONE": number(1),
        "NO_SUMS": (0.0,) * len(sums),
        "mask_tile": memory.stack_space(CHUNK),
        "weight_tile": memory.stack_space(CHUNK * size),
        "result_tiles": stack_spaces([CHUNK * size] * written),
        "TILE_SIZES": (computed_size, *[1] * kernel.drawn),
        "COMPACT_RESULTS": (size,) * written,
        "targets_of": operands_at(range(kernel.inputs, kernel.inputs + written)),
        # Core steps come operand by operand: of rows and mask, of the options, of the integers if there are such, of the results.
        "target_steps": integers_at(range(first_result, first_result + written)),
        "small_tiles": memory.stack_space(2 * SMALL * computed_size),
        "lane_spaces": stack_spaces([LANES * np.dtype(kind).itemsize] * len(sums)),
        "nothing_place": memory.stack_space(size),
        "contiguous_mask": internal(instance(contiguous, of_bytes)),
        "load_mask": lanes.load("bool"),
        "fill_weights": lanes.fill(computed, 0.0, LANES),
        "fill_zero": lanes.fill(kind, 0.0, LANES),
        "fill_nothing": lanes.fill(dtype, kernel.nothing, 1),
        "sum_of_lanes": lanes.tree(kind, LANES, "sum"),
        "take_in": ElementLoop(
            taken_with_weight if kernel.weighted else taken_one,
            [*[dtype] * rows, "bool", computed],
            [computed, *tiles],
            updates=1,
            constants=0,
        ),
        "terms": Named(kernel.terms, (*kernel.reads, "e"), levelled, sums),
        "compute": ElementLoop(
            computed_one,
            [*tiles, *sums],
            [*sums, *[computed] * kernel.keeps],
            updates=len(sums),
            constants=0,
        ),
        "level": Named(kernel.level.formula, (), before, [dtypes[name] for name in kernel.level.names.split()]),
        "totals": Named(kernel.totals.formula, (), summed, [dtypes[name] for name in kernel.totals.names.split()]),
        "given": picked([every.index(name) for name in kernel.gives.split()]),
        "tiles_at": rows_at(range(rows), computed_size),
        "numbers_of": operands_at(range(kernel.inputs, args)),
        "options_stored": numbers_in([dtypes[name] for name in kernel.options], "float64"),
        "store_number": lanes.store(dtype),
    }
    for name, formula in (("sums_of_scaled", kernel.exponential), ("sums_of_unscaled", kernel.unscaled)):
        named = Named(formula, kernel.reads, levelled)
        filled[name] = internal(instance(sums_of_row, filled | {"exponential": named}))
    if kernel.writes is not None:
        formula, reads = (dropped_one, [computed, "bool"]) if kernel.drawn else (result_one, [computed])
        filled |= {
            "result": Named(kernel.writes, used, every),
            "write_elements": ElementLoop(formula, reads, [dtype] * written, constants=0),
            "write_flags": WRITE_FLAGS,
            "flag_tile": memory.stack_space(SMALL),
        }
    return instance(masked_rows, filled)
