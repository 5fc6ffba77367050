"""The inner loop of ``fastact.kinds.sampling``: the sums of a row's exponentials, chunk by chunk, and of a chunk's one by one.

A random number is sought among the chunks' running sums, and then in one chunk, whose exponentials are computed again; where there
are many random numbers, all chunks' running sums are kept. Both give the same. Sums are of float64, and an element of probability 0
adds nothing to them, so it is never the first whose sum exceeds a number.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import lanes, memory
from fastact.kernels.along import (
    contiguous,
)
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.limits import CHUNK, LANES
from fastact.kernels.memory import (
    advance,
    allocate,
    own_function_with_wide_vectors,
    release,
    set_field,
)
from fastact.kernels.templates import FILLED_IN
from fastact.maths.exp import exp_nonpositive
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, fmax, widen

FEW_CHUNKS = 4
"""Random numbers are sought in chunks that are computed anew, unless there is one for so many of them."""

# What instances fill in; the values here serve the reader and the type checker.
T: Any = np.float32
SIZE, COMPUTED_SIZE = 4, 4
chunk_tile = exponential_tile = lane_space = fill_lowest = fill_zero = largest_lane = sum_of_lanes = FILLED_IN
find_larger = add_exponentials = write_exponentials = load_wide = store_wide = load_computed = FILLED_IN
copy_element = spread_element = FILLED_IN


@scalar
def _larger(x: Scalar, best: Scalar) -> Scalar:
    return fmax(best, x)


@scalar
def _exponential(x: Scalar, m: Scalar, factor: Scalar) -> Scalar:
    """Of a logit, relative to the largest."""
    return exp_nonpositive((x - m) * factor)


@scalar
def _add(x: Scalar, total: Scalar, m: Scalar, factor: Scalar) -> Scalar:
    return total + _exponential(x, m, factor)


def largest(x: Any, step: Any, n: Any) -> Any:
    """The largest logit."""
    own_function_with_wide_vectors()
    tile, best = chunk_tile(), lane_space()
    fill_lowest(best)
    for start in range(0, n, CHUNK):
        count = min(CHUNK, n - start)
        chunk = contiguous(advance(x, start * step), step, count, tile)
        for i in range(0, count, LANES):
            find_larger((advance(chunk, i * SIZE), best), min(LANES, count - i), ())
    return largest_lane(best)


def chunk_sums(x: Any, step: Any, n: Any, m: Any, factor: Any, sums: Any) -> Any:
    """Write the running sums of chunks, and return the last."""
    own_function_with_wide_vectors()
    tile, terms, total = chunk_tile(), lane_space(), 0.0
    for start in range(0, n, CHUNK):
        count = min(CHUNK, n - start)
        chunk = contiguous(advance(x, start * step), step, count, tile)
        fill_zero(terms)
        for i in range(0, count, LANES):
            add_exponentials((advance(chunk, i * SIZE), terms), min(LANES, count - i), (m, factor))
        total += widen(sum_of_lanes(terms))
        store_wide(advance(sums, start // CHUNK * 8), total)
    return total


def running_sums(x: Any, step: Any, count: Any, m: Any, factor: Any, sums: Any) -> None:
    """Write the running sums of a chunk's exponentials."""
    own_function_with_wide_vectors()
    tile, terms, total = chunk_tile(), exponential_tile(), 0.0
    write_exponentials((contiguous(x, step, count, tile), terms), count, (m, factor))
    for i in range(count):
        total += widen(load_computed(advance(terms, i * COMPUTED_SIZE)))
        store_wide(advance(sums, i * 8), total)


def first_above(sums: Any, count: Any, bound: Any) -> Any:
    """The first running sum above a bound; the first that is as large as the last if none is."""
    last = load_wide(advance(sums, (count - 1) * 8))
    exceeded = last > bound
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        value = load_wide(advance(sums, middle * 8))
        if (exceeded and value > bound) or (not exceeded and value >= last):
            high = middle
        else:
            low = middle + 1
    return low


def draw_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """What is drawn of each row."""
    rows, n = dims[0], dims[1]
    if rows > 1 and taken_by_team(rows * n, args, dims, steps, record):
        return
    step, u_step, y_step = steps[4], steps[5], steps[7]
    factor, draws = T(load_wide(args[2])), int(load_wide(advance(args[2], 8)))
    chunks = (n + CHUNK - 1) // CHUNK
    keeps = draws * FEW_CHUNKS > chunks
    space = allocate((chunks + (n if keeps else CHUNK)) * 8)
    sums, kept = space, advance(space, chunks * 8)
    for row in range(rows):
        x, uniforms, y = (
            advance(args[0], row * steps[0]),
            advance(args[1], row * steps[1]),
            advance(args[3], row * steps[3]),
        )
        m = largest(x, step, n)
        total = chunk_sums(x, step, n, m, factor, sums)
        is_softmax = total > 0.0  # which is NaN else
        if is_softmax and keeps:
            for start in range(0, n, CHUNK):
                count = min(CHUNK, n - start)
                running_sums(advance(x, start * step), step, count, m, factor, advance(kept, start * 8))
        for j in range(draws):
            found = -1
            if is_softmax:
                bound = load_wide(advance(uniforms, j * u_step)) * total
                chunk = first_above(sums, chunks, bound)
                start = chunk * CHUNK
                count = min(CHUNK, n - start)
                if chunk > 0:
                    bound -= load_wide(advance(sums, (chunk - 1) * 8))
                place = kept
                if keeps:
                    place = advance(kept, start * 8)
                else:
                    running_sums(advance(x, start * step), step, count, m, factor, kept)
                found = start + first_above(place, count, bound)
            set_field(advance(y, j * y_step), 0, found)
    release(space)
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``draw_rows`` for one dtype."""
    size, compute = np.dtype(dtype).itemsize, FLOATS[dtype].computed_in
    computed_size = np.dtype(compute).itemsize
    filled = {
        "T": np.dtype(compute).type,
        "SIZE": size,
        "COMPUTED_SIZE": computed_size,
        "chunk_tile": memory.stack_space(CHUNK * size),
        "exponential_tile": memory.stack_space(CHUNK * computed_size),
        "lane_space": memory.stack_space(LANES * computed_size),
        "fill_lowest": lanes.fill(compute, -np.inf, LANES),
        "fill_zero": lanes.fill(compute, 0.0, LANES),
        "largest_lane": lanes.tree(compute, LANES, "max"),
        "sum_of_lanes": lanes.tree(compute, LANES, "sum"),
        "find_larger": ElementLoop(_larger, [dtype, compute], [compute], updates=1),
        "add_exponentials": ElementLoop(_add, [dtype, compute], [compute], updates=1),
        "write_exponentials": ElementLoop(_exponential, [dtype], [compute]),
        "load_wide": lanes.load("float64"),
        "store_wide": lanes.store("float64"),
        "load_computed": lanes.load(compute),
        "copy_element": memory.copy_element(size),
        "spread_element": memory.spread_element(size),
    }
    return instance(draw_rows, filled)
