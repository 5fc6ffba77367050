"""Passes over one row, written once for every program and dtype: the state of its exponentials, sums, and what is written.

A row is taken in chunks of ``CHUNK`` elements, a chunk in steps of ``LANES``: lane j collects the elements j, j + LANES, and so on,
then the lanes are added as a tree, and the chunks in order in float64, and so are the segments of ``SEGMENT`` elements that
the chunks of a long row make. ``across.py`` and, for one row shared out over threads, ``segments.py`` add in the same order. So a
result depends neither on the layout, nor on the number of threads, nor on how wide the machine's vectors are, and the error
does not grow with the row.

A pass is given the places of the row's operands, the steps between their elements, and the constants that are known so far,
each a tuple; it returns the constants that it adds to these. ``fastact.kinds.rows`` says what the passes are.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from fastact.kernels import lanes, memory
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import gather, scatter, stream_bytes, streams, taken_by_team
from fastact.kernels.fields import COLUMNS
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance, shared_parts
from fastact.kernels.jit import internal
from fastact.kernels.limits import CHUNK, LANES, SEGMENT
from fastact.kernels.memory import (
    advance,
    as_address,
    call_loop,
    copy_bytes,
    field,
    own_function_with_wide_vectors,
)
from fastact.kernels.prefetching import fetch_ahead, own_ahead
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.transposition import LONGEST
from fastact.kernels.tuples import Each, Named, integers_at, numbers_in, operands_at, picked, stack_spaces
from fastact.maths.logsumexp import add_exponential, joined, level, merged, reach
from fastact.maths.simd import fmax, maximum, widen

AHEAD = 2048
"""How many bytes ahead of those in hand memory is asked for, where a pass moves more of it than it computes."""
LEAST_COLUMNS = 8
"""Number of rows, side by side or transposed, from which on a block of columns is worth it."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE, COMPACT, NO_SUMS = 4, (4,), (0.0,)
LOWEST, ZERO = np.float32(-np.inf), np.float32(0)
MAPS, OPTION_OPERAND, OPTION_STEP, COMPACT_RESULTS = True, 1, 3, (4,)
value = terms = result = formula = known = following = earlier = take = places_of = steps_within = FILLED_IN
targets_of = target_steps_within = numbers_of = options_of = options_stored = given = store_number = FILLED_IN
chunk_tiles = tail_tiles = result_tiles = chunk_tile = tail_tile = lane_space = lane_spaces = fill_tails = FILLED_IN
fill_lowest = fill_zero = largest_lane = sum_of_lanes = find_larger = add_exponentials = add_terms = FILLED_IN
write_elements = FILLED_IN


# One element of each pass: of the operands, of what is updated, and the constants. ``across.py`` has the same.


def larger(elements: Any, best: Any, constants: Any) -> Any:
    """The larger of the two; ``best`` when the value is NaN."""
    return fmax(best[0], value(elements, constants))


def add_one(elements: Any, sums: Any, constants: Any) -> Any:
    """Add an element to the sums of a state; the first constants are the maximum and its level."""
    m, base, shift, floor = constants[:4]
    return add_exponential(value(elements, constants[4:]), sums[0], sums[1], m, base, shift, floor)


def plus(total: Any, term: Any) -> Any:
    """The sum of two numbers."""
    return total + term


def add_term(elements: Any, sums: Any, constants: Any) -> Any:
    """Add an element's terms to the sums."""
    return plus_each((sums, terms(elements, constants)))


def write_one(elements: Any, nothing: Any, constants: Any) -> Any:
    """One result of each row that is written."""
    return result(elements, constants)


def moved(place: Any, step: Any, index: Any) -> Any:
    """The place of an element."""
    return advance(place, index * step)


def contiguous(x: Any, step: Any, count: Any, tile: Any) -> Any:
    """The elements themselves if they lie side by side, else a copy in ``tile``."""
    if step == SIZE:
        return x
    gather(tile, x, step, count)
    return tile


def room(y: Any, step: Any, tile: Any) -> Any:
    """Where to write results that belong to ``y``: there if they lie side by side, else in ``tile``."""
    return y if step == SIZE else tile


def put(y: Any, step: Any, tile: Any, count: Any) -> None:
    """Copy results to where they belong, unless they have been written there."""
    if step != SIZE:
        scatter(y, step, tile, count)


def fetch_first(elements: Any, distance: Any) -> None:
    """As ``fetch_ahead`` for the first operand: the others are often a row that all rows share, which the cache holds."""
    fetch_ahead(elements[0], distance)


def stream(y: Any, tile: Any, count: Any) -> None:
    """Write results, of which there are so many, past the caches."""
    stream_bytes(y, tile, count * SIZE)


def apart(places: Any, ys: Any) -> Any:
    """Whether no result is written to an operand's own memory."""
    for y in ys:
        for place in places:
            if as_address(y) == as_address(place):
                return False
    return True


advance_each, move_each, contiguous_each, copy_each = Each(advance), Each(moved), Each(contiguous), Each(copy_bytes)
gather_each, scatter_each, fetch_each, own_each = Each(gather), Each(scatter), Each(fetch_ahead), Each(own_ahead)
store_each, room_each, put_each, stream_each = Each("store_number"), Each(room), Each(put), Each(stream)
plus_each, widen_each, sum_each, zero_each = Each(plus), Each(widen), Each("sum_of_lanes"), Each("fill_zero")


def no_constants(places: Any, steps: Any, c: Any, options: Any, y: Any, y_step: Any) -> Any:
    """What is known before the first pass."""
    return ()


def after(places: Any, steps: Any, c: Any, options: Any, y: Any, y_step: Any) -> Any:
    """The constants that one more pass adds to, and what it adds."""
    constants = earlier(places, steps, c, options, y, y_step)
    return constants + following(take(places), take(steps), c, constants + options, y, y_step)


def after_once(places: Any, steps: Any, c: Any, options: Any, y: Any, y_step: Any) -> Any:
    """The constants known so far, and what follows once per row from them."""
    constants = earlier(places, steps, c, options, y, y_step)
    return constants + formula((), constants + options)


def exponential_state(places: Any, steps: Any, c: Any, constants: Any, y: Any, y_step: Any) -> Any:
    """The state of a row's exponentials, as ``fastact.maths.logsumexp`` defines it.

    Memory is asked for ``y``, where a row of results will go, if these lie side by side and it can hold them until then.
    """
    m, ties, rest = segment_state(places, steps, min(c, SEGMENT), constants, y, y_step if c <= SEGMENT else 0)
    for start in range(SEGMENT, c, SEGMENT):
        later, count = move_each((places, steps, start)), min(SEGMENT, c - start)
        next_m, next_ties, next_rest = segment_state(later, steps, count, constants, y, 0)
        m, ties, rest = merged(m, ties, rest, next_m, next_ties, next_rest)
    return m, ties, rest


def segment_state(places: Any, steps: Any, c: Any, constants: Any, y: Any, y_step: Any) -> Any:
    """The state of one segment."""
    own_function_with_wide_vectors()
    tiles, tails = chunk_tiles(), tail_tiles()
    best, rests, tied = lane_space(), lane_space(), lane_space()
    m, ties, rest = LOWEST, ZERO, widen(ZERO)
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        chunks = contiguous_each((move_each((places, steps, start)), steps, count, tiles))
        whole = count // LANES * LANES
        if whole < count:
            # Long before it is read: a vector cannot be loaded at once from several stores.
            fill_tails(tails)
            copy_each((tails, advance_each((chunks, whole * SIZE)), (count - whole) * SIZE))
        fill_lowest(best)
        for i in range(0, whole, LANES):
            find_larger((*advance_each((chunks, i * SIZE)), best), LANES, constants)
        if whole < count:
            find_larger((*tails, best), LANES, constants)
        largest = maximum(m, largest_lane(best))
        base, n = level(largest)
        shift, floor = reach(n)
        fill_zero(rests)
        fill_zero(tied)
        known = (largest, base, shift, floor, *constants)
        for i in range(0, whole, LANES):
            elements = advance_each((chunks, i * SIZE))
            fetch_each((elements, CHUNK * SIZE))
            if y_step == SIZE:
                own_ahead(advance(y, (start + i) * SIZE), 0)
            add_exponentials((*elements, rests, tied), LANES, known)
        if whole < count:
            add_exponentials((*tails, rests, tied), LANES, known)
        part_ties, part_rest = sum_of_lanes(tied), widen(sum_of_lanes(rests))
        if start == 0:
            m, ties, rest = largest, part_ties, part_rest
        else:
            m, ties, rest = joined(m, ties, rest, largest, part_ties, part_rest)
    return m, ties, rest


def largest_value(places: Any, steps: Any, c: Any, constants: Any, y: Any, y_step: Any) -> Any:
    """The largest value of a row's elements."""
    own_function_with_wide_vectors()
    tiles, tails, best = chunk_tiles(), tail_tiles(), lane_space()
    fill_lowest(best)
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        chunks = contiguous_each((move_each((places, steps, start)), steps, count, tiles))
        whole = count // LANES * LANES
        if whole < count:
            fill_tails(tails)
            copy_each((tails, advance_each((chunks, whole * SIZE)), (count - whole) * SIZE))
        for i in range(0, whole, LANES):
            find_larger((*advance_each((chunks, i * SIZE)), best), LANES, constants)
        if whole < count:
            find_larger((*tails, best), LANES, constants)
    return (largest_lane(best),)


def sums_of_terms(places: Any, steps: Any, c: Any, constants: Any, y: Any, y_step: Any) -> Any:
    """The sums over a row of the terms of its elements, in float64."""
    totals = segment_sums(places, steps, min(c, SEGMENT), constants, y, y_step)
    for start in range(SEGMENT, c, SEGMENT):
        later, count = move_each((places, steps, start)), min(SEGMENT, c - start)
        totals = plus_each((totals, segment_sums(later, steps, count, constants, y, y_step)))
    return totals


def segment_sums(places: Any, steps: Any, c: Any, constants: Any, y: Any, y_step: Any) -> Any:
    """The sums over one segment."""
    own_function_with_wide_vectors()
    tiles, tails, sums = chunk_tiles(), tail_tiles(), lane_spaces()
    totals = NO_SUMS
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        chunks = contiguous_each((move_each((places, steps, start)), steps, count, tiles))
        whole = count // LANES * LANES
        zero_each((sums,))
        for i in range(0, whole, LANES):
            elements = advance_each((chunks, i * SIZE))
            fetch_each((elements, CHUNK * SIZE))
            add_terms(elements + sums, LANES, constants)
        if whole < count:
            # Lanes beyond the end add terms of their own, so they have sums of their own.
            copy_each((tails, advance_each((chunks, whole * SIZE)), (count - whole) * SIZE))
            add_terms(tails + sums, count - whole, constants)
        totals = plus_each((totals, widen_each((sum_each((sums,)),))))
    return totals


def write_row(places: Any, steps: Any, ys: Any, y_steps: Any, c: Any, constants: Any, streamed: Any) -> None:
    """Write a row's results, one element of each from one element of each operand and the row's constants.

    Results that are ``streamed``, and lie side by side, go to memory past the caches.
    """
    own_function_with_wide_vectors()
    tiles, results = chunk_tiles(), result_tiles()
    streamed = streamed and y_steps == COMPACT_RESULTS and apart(places, ys)
    if steps == COMPACT and y_steps == COMPACT_RESULTS and not streamed:
        whole = c // LANES * LANES
        for i in range(0, whole, LANES):
            targets, elements = advance_each((ys, i * SIZE)), advance_each((places, i * SIZE))
            own_each((targets, AHEAD))
            fetch_first(elements, AHEAD)
            write_elements(elements + targets, LANES, constants)
        if whole < c and c >= LANES and apart(places, ys):
            again = (c - LANES) * SIZE  # what an operand still holds can be computed twice, which spares the copies
            write_elements(advance_each((places, again)) + advance_each((ys, again)), LANES, constants)
        elif whole < c:
            rest = (c - whole) * SIZE
            copy_each((tiles, advance_each((places, whole * SIZE)), rest))
            write_elements(tiles + results, LANES, constants)
            copy_each((advance_each((ys, whole * SIZE)), results, rest))
    else:
        for start in range(0, c, CHUNK):
            count = min(CHUNK, c - start)
            here, there = move_each((places, steps, start)), move_each((ys, y_steps, start))
            if count % LANES == 0 and not streamed:
                targets = room_each((there, y_steps, results))
                write_elements(contiguous_each((here, steps, count, tiles)) + targets, count, constants)
                put_each((there, y_steps, results, count))
                continue
            if count % LANES == 0:
                write_elements(contiguous_each((here, steps, count, tiles)) + results, count, constants)
            else:
                gather_each((tiles, here, steps, count))
                write_elements(tiles + results, (count + LANES - 1) // LANES * LANES, constants)
            if streamed:
                stream_each((there, results, count))
            else:
                scatter_each((there, y_steps, results, count))


def beside(step: Any, n: Any, c: Any) -> Any:
    """Whether rows are better computed side by side: they lie so, or are short, and there are enough of them."""
    return n >= LEAST_COLUMNS and c <= SEGMENT and (step == SIZE or c <= LONGEST)


def computed_elsewhere(args: Any, dims: Any, steps: Any, record: Any) -> Any:
    """Hand rows over to the kernel across columns, or to the team, where that is better; whether they were."""
    n, c = dims[0], dims[1]
    across = beside(steps[0], n, c)
    if across:
        call_loop(field(record, COLUMNS), args, dims, steps, record)
    return across or (n > 1 and taken_by_team(n * c, args, dims, steps, record))


def program_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Each row's results: rows from its elements and what its passes make of it, and numbers from the latter alone."""
    n, c = dims[0], dims[1]
    if computed_elsewhere(args, dims, steps, record):
        return
    options = (*options_of(args, steps), c * 1.0)
    within, y_within, streamed = steps_within(steps), target_steps_within(steps), streams(record)
    for i in range(n):
        places, ys = places_of(args, steps, i), targets_of(args, steps, i)
        y, y_step = places[0], 0
        if MAPS and not streamed:
            y, y_step = ys[0], y_within[0]
        constants = known(places, within, c, options, y, y_step) + options
        if MAPS:
            write_row(places, within, ys, y_within, c, constants, streamed)
        store_each((numbers_of(args, steps, i), given(constants)))
    clear_fp_flags()


def no_options(args: Any, steps: Any) -> Any:
    """Of a kernel that has none."""
    return ()


def options_at_first(args: Any, steps: Any) -> Any:
    """The options, of float64, the same for all rows."""
    return options_stored(args[OPTION_OPERAND], steps[OPTION_STEP])


@cache
def common(dtype: str) -> dict[str, Any]:
    """What instances of all kernels have filled in for a dtype: sizes, memory, lanes, and helpers, compiled once a process."""
    compute = FLOATS[dtype].computed_in
    number, size, computed_size = np.dtype(compute).type, np.dtype(dtype).itemsize, np.dtype(compute).itemsize
    filled = {
        "SIZE": size,
        "LOWEST": number(-np.inf),
        "ZERO": number(0),
        "copy_element": memory.copy_element(size),
        "spread_element": memory.spread_element(size),
        "chunk_tile": memory.stack_space(CHUNK * size),
        "tail_tile": memory.stack_space(LANES * size),
        "lane_space": memory.stack_space(LANES * computed_size),
        "fill_lowest": lanes.fill(compute, -np.inf, LANES),
        "fill_zero": lanes.fill(compute, 0.0, LANES),
        "largest_lane": lanes.tree(compute, LANES, "max"),
        "sum_of_lanes": lanes.tree(compute, LANES, "sum"),
    }
    return filled | shared_parts((gather, scatter, contiguous, moved, fetch_ahead, own_ahead, plus, room, put), filled)


def walking(step: Any, dtype: str, shared: dict[str, Any]) -> Any:
    """The function of a pass that walks over a row."""
    compute, size = FLOATS[dtype].computed_in, np.dtype(dtype).itemsize
    operands = [dtype] * len(step.elements)
    own = {
        "chunk_tiles": stack_spaces([CHUNK * size] * len(operands)),
        "tail_tiles": stack_spaces([LANES * size] * len(operands)),
    }
    if step.kind in ("exponentials", "largest"):
        own |= {
            "value": Named(step.formula, step.elements, step.constants),
            "fill_tails": lanes.fill_each(dtype, step.paddings, LANES),
            "find_larger": ElementLoop(larger, [*operands, compute], [compute], updates=1, constants=0),
        }
        if step.kind == "largest":
            return instance(largest_value, shared | own)
        state = [compute] * 2
        own["add_exponentials"] = ElementLoop(add_one, [*operands, *state], state, updates=2, constants=0)
        return instance(exponential_state, shared | own)
    sums = [step.added_in] * len(step.results)
    added = {
        "terms": Named(step.formula, step.elements, step.constants, sums),
        "NO_SUMS": (0.0,) * len(sums),
        "lane_spaces": stack_spaces([LANES * np.dtype(step.added_in).itemsize] * len(sums)),
        "fill_zero": lanes.fill(step.added_in, 0.0, LANES),
        "sum_of_lanes": lanes.tree(step.added_in, LANES, "sum"),
        "add_terms": ElementLoop(add_term, [*operands, *sums], sums, updates=len(sums), constants=0),
    }
    return instance(sums_of_terms, shared | own | added)


def program(kernel: Any, dtype: str, shared: dict[str, Any]) -> Any:
    """The function of all passes of a kernel: what is known of a row after them."""
    before = internal(no_constants)
    for step in kernel.steps(dtype):
        own: dict[str, Any] = {"earlier": before}
        if step.kind == "once":
            own |= {"formula": Named(step.formula, (), step.constants, step.results)}
            before = internal(instance(after_once, shared | own))
        else:
            own |= {"take": picked(step.operands), "following": internal(walking(step, dtype, shared))}
            before = internal(instance(after, shared | own))
    return before


def filled_in(kernel: Any, dtype: str) -> dict[str, Any]:
    """What instances for a kernel and dtype have filled in: formulas, passes and memory."""
    size = np.dtype(dtype).itemsize
    inputs, outputs, args = len(kernel.reads), len(kernel.rows_written), kernel.inputs + kernel.outputs
    shared = common(dtype)
    targets = range(kernel.inputs, kernel.inputs + outputs)
    filled = shared | {
        "MAPS": outputs > 0,
        "COMPACT": (size,) * inputs,
        "COMPACT_RESULTS": (size,) * outputs,
        "OPTION_OPERAND": inputs,
        "OPTION_STEP": args + inputs,
        "known": program(kernel, dtype, shared),
        "chunk_tiles": stack_spaces([CHUNK * size] * inputs),
        "result_tiles": stack_spaces([CHUNK * size] * outputs),
        "places_of": operands_at(range(inputs)),
        "steps_within": integers_at(range(args, args + inputs)),
        "targets_of": operands_at(targets),
        "target_steps_within": integers_at(range(args + kernel.inputs, args + kernel.inputs + outputs)),
        "numbers_of": operands_at(range(args - len(kernel.gives.split()), args)),
        "options_of": options_at_first if kernel.options else no_options,
        "options_stored": numbers_in(["float64"] * len(kernel.options), "float64"),
        "given": picked(kernel.given(dtype)),
        "store_number": lanes.store(kernel.given_dtype(dtype)),
    }
    if outputs:
        names = tuple(kernel.constants(dtype))
        filled |= {
            "result": Named(kernel.writes, kernel.reads, names),
            "write_elements": ElementLoop(write_one, [dtype] * inputs, [dtype] * outputs, constants=0),
        }
    return filled


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """A kernel of rows for one program and dtype."""
    return instance(program_rows, filled_in(kernel, dtype))
