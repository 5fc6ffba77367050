"""Passes over one row, written once for every row op and dtype: the state of its exponentials, a sum, and what is written.

A row is taken in chunks of ``CHUNK`` elements, a chunk in steps of ``LANES``: lane j collects the elements j, j + LANES, and so on,
then the lanes are added as a tree, and the chunks in order in float64, and so are the segments of ``SEGMENT`` elements that
the chunks of a long row make. ``across.py`` and, for one row shared out over threads, ``segments.py`` add in the same order. So a
result depends neither on the layout, nor on the number of threads, nor on how wide the machine's vectors are, and the error
does not grow with the row.

Every pass takes two row operands ``a`` and ``b``; what only has one gives it twice.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import lanes, memory
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import LINE_BYTES, gather, scatter, taken_by_team
from fastact.kernels.fields import COLUMNS
from fastact.kernels.instance import instance
from fastact.kernels.lanes import prefetch, prefetch_for_writing
from fastact.kernels.limits import SEGMENT
from fastact.kernels.memory import (
    advance,
    as_address,
    call_loop,
    clear_fp_flags,
    copy_bytes,
    field,
    own_function_with_wide_vectors,
)
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.transposition import LONGEST
from fastact.maths.logsumexp import add_exponential, joined, level, merged, reach
from fastact.maths.simd import Scalar, maximum, widen

LANES, CHUNK = 64, 1024
AHEAD = 2048
"""How many bytes ahead of those in hand memory is asked for, where a pass moves more of it than it computes."""
LEAST_COLUMNS = 8
"""So many rows, side by side or transposed, make a block of columns worth it."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE, TWO = 4, False
LOWEST, ZERO = np.float32(-np.inf), np.float32(0)
prepare = finish = formula = term = row_state = row_sum = chunk_tile = tail_tile = lane_space = fill_tail = FILLED_IN
fill_lowest = fill_zero = largest_lane = sum_of_lanes = find_larger = add_exponentials = add_terms = FILLED_IN
write_elements = store_result = FILLED_IN


# One element of each pass. The constants of a row come last; `cap` is a parameter of `prepare`.


def larger(x: Scalar, best: Scalar, cap: Scalar) -> Scalar:
    """The larger of the two; ``best`` when ``x`` is NaN."""
    return maximum(best, prepare(x, cap))


def add_one(
    x: Scalar, rest: Scalar, ties: Scalar, m: Scalar, base: Scalar, shift: Scalar, floor: Scalar, cap: Scalar
) -> tuple[Scalar, Scalar]:
    """Add an element to the sums."""
    return add_exponential(prepare(x, cap), rest, ties, m, base, shift, floor)


def add_term(a: Scalar, b: Scalar, total: Scalar, p: Scalar, q: Scalar, r: Scalar, s: Scalar, cap: Scalar) -> Scalar:
    """Add an element's term to the sum."""
    return total + term(prepare(a, cap), b, p, q, r, s)


def write_one(
    a: Scalar, b: Scalar, p: Scalar, q: Scalar, r: Scalar, s: Scalar, t: Scalar, u: Scalar, cap: Scalar
) -> Scalar:
    """One result."""
    return formula(a, b, p, q, r, s, t, u, cap)


def contiguous(x: Any, step: Any, count: Any, tile: Any) -> Any:
    """The elements themselves if they lie side by side, else a copy in ``tile``."""
    if step == SIZE:
        return x
    gather(tile, x, step, count)
    return tile


def fetch_ahead(place: Any, distance: Any) -> None:
    """Ask for the LANES elements that lie so many bytes ahead: the processor's own look does not go beyond long formulas."""
    for line in range(distance, distance + LANES * SIZE, LINE_BYTES):
        prefetch(advance(place, line))


def own_ahead(place: Any, distance: Any) -> None:
    """As ``fetch_ahead`` for what will be written."""
    for line in range(distance, distance + LANES * SIZE, LINE_BYTES):
        prefetch_for_writing(advance(place, line))


def exponential_state(x: Any, step: Any, c: Any, cap: Any, y: Any, y_step: Any) -> Any:
    """The state of a row's exponentials, as ``fastact.maths.logsumexp`` defines it.

    Memory is asked for ``y``, where a row of results will go, if these lie side by side and it can hold them until then.
    """
    m, ties, rest = segment_state(x, step, min(c, SEGMENT), cap, y, y_step if c <= SEGMENT else 0)
    for start in range(SEGMENT, c, SEGMENT):
        place, count = advance(x, start * step), min(SEGMENT, c - start)
        next_m, next_ties, next_rest = segment_state(place, step, count, cap, y, 0)
        m, ties, rest = merged(m, ties, rest, next_m, next_ties, next_rest)
    return m, ties, rest


def segment_state(x: Any, step: Any, c: Any, cap: Any, y: Any, y_step: Any) -> Any:
    """The state of one segment."""
    own_function_with_wide_vectors()
    tile, tail = chunk_tile(), tail_tile()
    best, rests, tied = lane_space(), lane_space(), lane_space()
    m, ties, rest = LOWEST, ZERO, widen(ZERO)
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        chunk = contiguous(advance(x, start * step), step, count, tile)
        whole = count // LANES * LANES
        if whole < count:
            # Long before it is read: a vector cannot be loaded at once from several stores.
            fill_tail(tail)
            copy_bytes(tail, advance(chunk, whole * SIZE), (count - whole) * SIZE)
        fill_lowest(best)
        for i in range(0, whole, LANES):
            find_larger((advance(chunk, i * SIZE), best), LANES, (cap,))
        if whole < count:
            find_larger((tail, best), LANES, (cap,))
        largest = maximum(m, largest_lane(best))
        base, n = level(largest)
        shift, floor = reach(n)
        fill_zero(rests)
        fill_zero(tied)
        for i in range(0, whole, LANES):
            place = advance(chunk, i * SIZE)
            fetch_ahead(place, CHUNK * SIZE)
            if y_step == SIZE:
                own_ahead(advance(y, (start + i) * SIZE), 0)
            add_exponentials((place, rests, tied), LANES, (largest, base, shift, floor, cap))
        if whole < count:
            add_exponentials((tail, rests, tied), LANES, (largest, base, shift, floor, cap))
        part_ties, part_rest = sum_of_lanes(tied), widen(sum_of_lanes(rests))
        if start == 0:
            m, ties, rest = largest, part_ties, part_rest
        else:
            m, ties, rest = joined(m, ties, rest, largest, part_ties, part_rest)
    return m, ties, rest


def no_state(x: Any, step: Any, c: Any, cap: Any, y: Any, y_step: Any) -> Any:
    """For an op without exponentials."""
    return ZERO, ZERO, widen(ZERO)


def sum_of_terms(a: Any, a_step: Any, b: Any, b_step: Any, c: Any, constants: Any, cap: Any) -> Any:
    """The sum over a row of ``term(a, b, *constants)``, in float64."""
    total = segment_sum(a, a_step, b, b_step, min(c, SEGMENT), constants, cap)
    for start in range(SEGMENT, c, SEGMENT):
        a_place, b_place = advance(a, start * a_step), advance(b, start * b_step)
        total += segment_sum(a_place, a_step, b_place, b_step, min(SEGMENT, c - start), constants, cap)
    return total


def segment_sum(a: Any, a_step: Any, b: Any, b_step: Any, c: Any, constants: Any, cap: Any) -> Any:
    """The sum over one segment."""
    own_function_with_wide_vectors()
    a_tile, b_tile, a_tail, b_tail, sums = chunk_tile(), chunk_tile(), tail_tile(), tail_tile(), lane_space()
    p, q, r, s = constants
    total = widen(ZERO)
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        a_chunk = contiguous(advance(a, start * a_step), a_step, count, a_tile)
        b_chunk = contiguous(advance(b, start * b_step), b_step, count, b_tile)
        whole = count // LANES * LANES
        fill_zero(sums)
        for i in range(0, whole, LANES):
            add_terms((advance(a_chunk, i * SIZE), advance(b_chunk, i * SIZE), sums), LANES, (p, q, r, s, cap))
        if whole < count:
            # Lanes beyond the end add terms of their own, so they have sums of their own.
            copy_bytes(a_tail, advance(a_chunk, whole * SIZE), (count - whole) * SIZE)
            copy_bytes(b_tail, advance(b_chunk, whole * SIZE), (count - whole) * SIZE)
            add_terms((a_tail, b_tail, sums), count - whole, (p, q, r, s, cap))
        total += widen(sum_of_lanes(sums))
    return total


def no_sum(a: Any, a_step: Any, b: Any, b_step: Any, c: Any, constants: Any, cap: Any) -> Any:
    """For an op without a sum of its own."""
    return widen(ZERO)


def write_row(a: Any, a_step: Any, b: Any, b_step: Any, y: Any, y_step: Any, c: Any, constants: Any, cap: Any) -> None:
    """Write a row's results, one element from one element of each operand and the row's constants."""
    own_function_with_wide_vectors()
    p, q, r, s, t, u = constants
    scalars = (p, q, r, s, t, u, cap)
    a_tile, b_tile = chunk_tile(), chunk_tile()
    if a_step == SIZE and b_step == SIZE and y_step == SIZE:
        whole = c // LANES * LANES
        for i in range(0, whole, LANES):
            target = advance(y, i * SIZE)
            own_ahead(target, AHEAD)
            fetch_ahead(advance(a, i * SIZE), AHEAD)
            write_elements((advance(a, i * SIZE), advance(b, i * SIZE), target), LANES, scalars)
        if whole < c and c >= LANES and as_address(y) != as_address(a) and (not TWO or as_address(y) != as_address(b)):
            again = (c - LANES) * SIZE  # what an operand still holds can be computed twice, which spares the copies
            write_elements((advance(a, again), advance(b, again), advance(y, again)), LANES, scalars)
        elif whole < c:
            rest = (c - whole) * SIZE
            copy_bytes(a_tile, advance(a, whole * SIZE), rest)
            if TWO:
                copy_bytes(b_tile, advance(b, whole * SIZE), rest)
            write_elements((a_tile, b_tile, a_tile), LANES, scalars)
            copy_bytes(advance(y, whole * SIZE), a_tile, rest)
    else:
        for start in range(0, c, CHUNK):
            count = min(CHUNK, c - start)
            gather(a_tile, advance(a, start * a_step), a_step, count)
            if TWO:
                gather(b_tile, advance(b, start * b_step), b_step, count)
            write_elements((a_tile, b_tile, a_tile), (count + LANES - 1) // LANES * LANES, scalars)
            scatter(advance(y, start * y_step), y_step, a_tile, count)


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


def map_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """``(n)->(n)`` or ``(n),(n)->(n)``: a row's results from its elements and what its state and sum amount to."""
    n, c = dims[0], dims[1]
    if computed_elsewhere(args, dims, steps, record):
        return
    last = 1 + TWO
    core = last + 1
    for i in range(n):
        a, b = advance(args[0], i * steps[0]), advance(args[last - 1], i * steps[last - 1])
        y = advance(args[last], i * steps[last])
        m, ties, rest = row_state(a, steps[core], c, ZERO, y, steps[core + last])
        total = row_sum(a, steps[core], b, steps[core + last - 1], c, (ZERO, ZERO, ZERO, ZERO), ZERO)
        write_row(
            a,
            steps[core],
            b,
            steps[core + last - 1],
            y,
            steps[core + last],
            c,
            finish(m, ties, rest, total),
            ZERO,
        )
    clear_fp_flags()


def reduce_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """``(n)->()``: a row's one result."""
    n, c = dims[0], dims[1]
    if computed_elsewhere(args, dims, steps, record):
        return
    for i in range(n):
        m, ties, rest = row_state(advance(args[0], i * steps[0]), steps[2], c, ZERO, args[1], 0)
        store_result(advance(args[1], i * steps[1]), finish(m, ties, rest, widen(ZERO)))
    clear_fp_flags()


def filled_in(kernel: Any, dtype: str) -> dict[str, Any]:
    """What instances for a kernel and dtype have filled in: formulas, passes and memory."""
    compute = FLOATS[dtype].computed_in
    number = np.dtype(compute).type
    size = np.dtype(dtype).itemsize
    return {
        "SIZE": size,
        "TWO": kernel.row_operands > 1,
        "LOWEST": number(-np.inf),
        "ZERO": number(0),
        "prepare": kernel.prepare,
        "formula": kernel.formula,
        "finish": kernel.finish,
        "term": kernel.term,
        "copy_element": memory.copy_element(size),
        "spread_element": memory.spread_element(size),
        "chunk_tile": memory.stack_space(CHUNK * size),
        "tail_tile": memory.stack_space(LANES * size),
        "lane_space": memory.stack_space(LANES * np.dtype(compute).itemsize),
        "fill_tail": lanes.fill(dtype, kernel.padding, LANES),
        "fill_lowest": lanes.fill(compute, -np.inf, LANES),
        "fill_zero": lanes.fill(compute, 0.0, LANES),
        "largest_lane": lanes.tree(compute, LANES, "max"),
        "sum_of_lanes": lanes.tree(compute, LANES, "sum"),
        "store_result": lanes.store(dtype),
        "find_larger": ElementLoop(larger, [dtype, compute], [compute], updates=1),
        "add_exponentials": ElementLoop(add_one, [dtype, compute, compute], [compute, compute], updates=2),
        "add_terms": ElementLoop(add_term, [dtype, dtype, compute], [compute], updates=1),
        "write_elements": ElementLoop(write_one, [dtype, dtype], [dtype]),
        "row_state": exponential_state if kernel.exponentials else no_state,
        "row_sum": sum_of_terms if kernel.term else no_sum,
    }


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """A kernel of rows for one op and dtype."""
    return instance({"map": map_rows, "reduce": reduce_rows}[kernel.kind], filled_in(kernel, dtype))
