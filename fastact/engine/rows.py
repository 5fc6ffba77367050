"""Passes over one row, written once for every row op and dtype: the state of its exponentials, sums, and what is written.

A row is taken in chunks of ``CHUNK`` elements, a chunk in steps of ``LANES``: lane j collects the elements j, j + LANES, and so on,
then the lanes are added as a tree, and the chunks in order in float64. ``columns.py`` adds in the same order. So a result depends
neither on the layout, nor on the number of threads, nor on how wide the machine's vectors are, and the error does not grow
with the row.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.engine import lanes, memory
from fastact.engine.jit import internal
from fastact.engine.elementloop import ElementLoop
from fastact.engine.loops import gather, scatter
from fastact.engine.memory import (
    advance,
    call_loop,
    clear_fp_flags,
    copy_bytes,
    field,
    own_function_with_wide_vectors,
)
from fastact.engine.records import COLUMNS, ENTRY, PARALLEL_FROM
from fastact.engine.templates import clone
from fastact.maths.logsumexp import add_exponential, joined, level, reach
from fastact.scalar import scalar
from fastact.simd import Scalar, maximum, widen

LANES, CHUNK = 64, 1024
LEAST_COLUMNS, LEAST_ROW = 8, 16
"""So many rows side by side make a block of columns worth it, and rows shorter than so many elements make bad vectors."""

# What specialise() fills in for each clone; the values here serve the reader and the type checker.
SIZE = 4
LOWEST, ZERO = np.float32(-np.inf), np.float32(0)
prepare: Any = None
finish: Any = None
formula: Any = None
chunk_tile: Any = None
tail_tile: Any = None
lane_space: Any = None
fill_tail: Any = None
fill_lowest: Any = None
fill_zero: Any = None
largest_lane: Any = None
sum_of_lanes: Any = None
find_larger: Any = None
add_exponentials: Any = None
write_elements: Any = None


def larger(x: Scalar, best: Scalar) -> Scalar:
    """The larger of the two; ``best`` when ``x`` is NaN."""
    return maximum(best, prepare(x))


def add_one(
    x: Scalar, rest: Scalar, ties: Scalar, m: Scalar, base: Scalar, shift: Scalar, floor: Scalar
) -> tuple[Scalar, Scalar]:
    return add_exponential(prepare(x), rest, ties, m, base, shift, floor)


def write_one_2(x: Scalar, a: Scalar, b: Scalar) -> Scalar:
    return formula(prepare(x), a, b)


def write_one_4(x: Scalar, a: Scalar, b: Scalar, c: Scalar, d: Scalar) -> Scalar:
    return formula(prepare(x), a, b, c, d)


def contiguous(x: Any, step: Any, count: Any, tile: Any) -> Any:
    """The elements themselves if they lie side by side, else a copy in ``tile``."""
    if step == SIZE:
        return x
    gather(tile, x, step, count)
    return tile


def exponential_state(x: Any, step: Any, c: Any) -> Any:
    """The state of a row's exponentials, as ``fastact.maths.logsumexp`` defines it."""
    own_function_with_wide_vectors()
    tile, tail = chunk_tile(), tail_tile()
    best, rests, tied = lane_space(), lane_space(), lane_space()
    m, ties, rest = LOWEST, ZERO, widen(ZERO)
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        chunk = contiguous(advance(x, start * step), step, count, tile)
        whole = count // LANES * LANES
        fill_lowest(best)
        for i in range(0, whole, LANES):
            find_larger((advance(chunk, i * SIZE), best), LANES, ())
        if whole < count:
            fill_tail(tail)
            copy_bytes(tail, advance(chunk, whole * SIZE), (count - whole) * SIZE)
            find_larger((tail, best), LANES, ())
        largest = maximum(m, largest_lane(best))
        base, n = level(largest)
        shift, floor = reach(n)
        fill_zero(rests)
        fill_zero(tied)
        for i in range(0, whole, LANES):
            add_exponentials((advance(chunk, i * SIZE), rests, tied), LANES, (largest, base, shift, floor))
        if whole < count:
            add_exponentials((tail, rests, tied), LANES, (largest, base, shift, floor))
        part_ties, part_rest = sum_of_lanes(tied), widen(sum_of_lanes(rests))
        if start == 0:
            m, ties, rest = largest, part_ties, part_rest
        else:
            m, ties, rest = joined(m, ties, rest, largest, part_ties, part_rest)
    return m, ties, rest


def write_row(x: Any, x_step: Any, y: Any, y_step: Any, c: Any, constants: Any) -> None:
    """Write a row's results, one element from one element and the row's constants."""
    own_function_with_wide_vectors()
    tile, tail = chunk_tile(), tail_tile()
    if x_step == SIZE and y_step == SIZE:
        whole = c // LANES * LANES
        write_elements((x, y), whole, constants)
        if whole < c:
            copy_bytes(tail, advance(x, whole * SIZE), (c - whole) * SIZE)
            write_elements((tail, tail), LANES, constants)
            copy_bytes(advance(y, whole * SIZE), tail, (c - whole) * SIZE)
    else:
        for start in range(0, c, CHUNK):
            count = min(CHUNK, c - start)
            gather(tile, advance(x, start * x_step), x_step, count)
            write_elements((tile, tile), (count + LANES - 1) // LANES * LANES, constants)
            scatter(advance(y, start * y_step), y_step, tile, count)


def beside(step: Any, n: Any, c: Any) -> Any:
    """Whether rows are better computed side by side: they lie so, or are short, and there are enough of them."""
    return n >= LEAST_COLUMNS and (step == SIZE or c < LEAST_ROW)


def map_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """``(n)->(n)``: each row's results from its elements and the state of its exponentials."""
    n, c = dims[0], dims[1]
    if beside(steps[0], n, c):
        call_loop(field(record, COLUMNS), args, dims, steps, record)
        return
    if n > 1 and n * c >= field(record, PARALLEL_FROM):
        call_loop(field(record, ENTRY), args, dims, steps, record)
        return
    for i in range(n):
        x, y = advance(args[0], i * steps[0]), advance(args[1], i * steps[1])
        m, ties, rest = exponential_state(x, steps[2], c)
        write_row(x, steps[2], y, steps[3], c, finish(m, ties, rest))
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """Clone a kernel, and what it calls, for one op and dtype."""
    compute = "float64" if dtype == "float64" else "float32"
    number = np.dtype(compute).type
    size = np.dtype(dtype).itemsize
    lane_space = memory.stack_space(LANES * np.dtype(compute).itemsize)
    scope: dict[str, Any] = {
        "SIZE": size,
        "LOWEST": number(-np.inf),
        "ZERO": number(0),
        "prepare": kernel.prepare,
        "formula": kernel.formula,
        "finish": kernel.finish,
        "copy_element": memory.copy_element(size),
        "spread_element": memory.spread_element(size),
        "chunk_tile": memory.stack_space(CHUNK * size),
        "tail_tile": memory.stack_space(LANES * size),
        "lane_space": lane_space,
        "fill_tail": lanes.fill(dtype, -np.inf, LANES),
        "fill_lowest": lanes.fill(compute, -np.inf, LANES),
        "fill_zero": lanes.fill(compute, 0.0, LANES),
        "largest_lane": lanes.tree(compute, LANES, "max"),
        "sum_of_lanes": lanes.tree(compute, LANES, "sum"),
    }
    write_one = {2: write_one_2, 4: write_one_4}[kernel.constants]
    for name, template, reads, writes, updates in (
        ("find_larger", larger, [dtype, compute], [compute], 1),
        ("add_exponentials", add_one, [dtype, compute, compute], [compute, compute], 2),
        ("write_elements", write_one, [dtype], [dtype], 0),
    ):
        loop = ElementLoop(scalar(clone(template, scope)), reads, writes, updates=updates)
        scope[name] = loop.over_pointers()
    for template in (gather, scatter, contiguous, beside, exponential_state, write_row, map_rows):
        scope[template.__name__] = internal(clone(template, scope))
    clone_of_kernel: Callable[..., Any] = scope["map_rows"]
    return clone_of_kernel
