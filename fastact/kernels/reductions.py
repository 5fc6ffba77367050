"""The inner loops of ``fastact.kinds.reductions``: a number of each row, or of each column of a matrix.

A row is taken in chunks of ``CHUNK`` elements, each in ``LANES`` lanes, which are then added as a tree; the columns of a matrix in
parts of ``PART`` rows. What chunks and parts add up to is added with the rounding error kept beside it, so that errors do not grow
with the number of elements. The order depends on the shape alone.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import lanes, memory
from fastact.kernels.along import contiguous, moved, plus
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import scatter, taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.jit import internal
from fastact.kernels.limits import CHUNK, LANES
from fastact.kernels.memory import advance, copy_bytes, own_function_with_wide_vectors
from fastact.kernels.prefetching import fetch_ahead
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.tuples import Each, Named, integers_at, operands_at, stack_spaces
from fastact.maths.simd import Scalar, select

STRETCH = 1024
"""Columns whose totals are updated before the next ones: all of them lie in the first-level cache."""
PART = 32
"""Rows that are added up before the error of the next addition is kept."""
FILLED = 64
"""Elements that are filled at a time."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE, ADDED_SIZE, RESULT_SIZE = 4, 8, 4
START, PADDED = (-0.0, -0.0), True
terms = collect = finish = join = numbers_of = FILLED_IN
places_of = core_steps = targets_of = target_steps = number_places = FILLED_IN
chunk_tiles = lane_spaces = total_spaces = result_spaces = FILLED_IN
add_elements = add_four = join_parts = finish_columns = FILLED_IN
fill_lanes = fill_tail = tree_of_lanes = load_wide = store_result = scatter_result = FILLED_IN


# One element of each loop.


def peak(best: Scalar, x: Scalar) -> Scalar:
    """The larger of the two, NaN if one is that; ``best`` where they are equal."""
    return select(x > best, x, select(x != x, x, best))


def collect_one(elements: Any, sums: Any, constants: Any) -> Any:
    """Collect an element's terms."""
    return collect_each((sums, terms(elements, constants)))


def collect_four(elements: Any, sums: Any, constants: Any) -> Any:
    """Collect the terms of an element of each of four rows, of two and two first."""
    a, b, c, d = elements
    two = collect_each((terms((a,), constants), terms((b,), constants)))
    others = collect_each((terms((c,), constants), terms((d,), constants)))
    return collect_each((sums, collect_each((two, others))))


def join_sum(parts: Any, totals: Any, constants: Any) -> Any:
    """Add a part to a total, and what that rounds away to the rest."""
    high, low = totals
    total = high + parts[0]
    added = total - high
    return total, low + ((high - (total - added)) + (parts[0] - added))


def join_sums(parts: Any, totals: Any, constants: Any) -> Any:
    """The same, and a second sum."""
    high, low, drift = totals
    total = high + parts[0]
    added = total - high
    return total, low + ((high - (total - added)) + (parts[0] - added)), drift + parts[1]


def join_best(parts: Any, totals: Any, constants: Any) -> Any:
    """The larger of the two."""
    return collect_each((totals, parts))


def finish_one(totals: Any, nothing: Any, constants: Any) -> Any:
    """The results that follow from totals."""
    return finish(totals, constants)


def filled_lanes(lane: Any) -> None:
    """Let lanes begin anew."""
    fill_lanes(lane)


def filled(place: Any, count: Any) -> None:
    """Let the sums of so many columns begin anew."""
    for i in range(0, count, FILLED):
        fill_lanes(advance(place, i * ADDED_SIZE))


def number_of(place: Any, step: Any, i: Any) -> Any:
    """A number of row ``i``."""
    return load_wide(advance(place, i * step))


def put_result(place: Any, step: Any, tile: Any, count: Any) -> None:
    """Write the results of columns to where they belong."""
    scatter_result(place, step, tile, count)


collect_each, tree_each, fill_each = Each("collect"), Each("tree_of_lanes"), Each(filled)
begin_each, store_each, put_each, move_each = Each(filled_lanes), Each("store_result"), Each(put_result), Each(moved)


def row_totals(x: Any, step: Any, c: Any, constants: Any) -> Any:
    """The totals of one row."""
    own_function_with_wide_vectors()
    tiles, sums = chunk_tiles(), lane_spaces()
    totals = START
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        chunk = contiguous(moved(x, step, start), step, count, tiles[0])
        whole = count // LANES * LANES
        begin_each((sums,))
        for i in range(0, whole, LANES):
            elements = advance(chunk, i * SIZE)
            fetch_ahead(elements, CHUNK * SIZE)
            add_elements((elements, *sums), LANES, constants)
        if whole < count:
            # Long before it is read: a vector cannot be loaded at once from several stores.
            if PADDED:
                fill_tail(tiles[1])
            copy_bytes(tiles[1], advance(chunk, whole * SIZE), (count - whole) * SIZE)
            add_elements((tiles[1], *sums), LANES if PADDED else count - whole, constants)
        totals = join(tree_each((sums,)), totals, ())
    return totals


def rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """The results of each row."""
    n, c = dims[0], dims[1]
    if n > 1 and taken_by_team(n * c, args, dims, steps, record):
        return
    (step,) = core_steps(steps)
    for i in range(n):
        (x,) = places_of(args, steps, i)
        totals = row_totals(x, step, c, numbers_of(args, steps, i))
        store_each((targets_of(args, steps, i), finish(totals, (c * 1.0,))))
    clear_fp_flags()


def stretch_results(
    x: Any, row_step: Any, step: Any, numbers: Any, r: Any, count: Any, targets: Any, y_steps: Any
) -> None:
    """The results of some columns."""
    own_function_with_wide_vectors()
    tiles, sums, totals, results = chunk_tiles(), lane_spaces(), total_spaces(), result_spaces()
    fill_each((totals, count))
    for start in range(0, r, PART):
        last = min(r, start + PART)
        fours = start + (last - start) // 4 * 4
        fill_each((sums, count))
        for k in range(start, fours, 4):
            place = advance(x, k * row_step)
            second = advance(place, row_step)
            third = advance(second, row_step)
            first_row = contiguous(place, step, count, tiles[0])
            second_row = contiguous(second, step, count, tiles[1])
            third_row = contiguous(third, step, count, tiles[2])
            fourth_row = contiguous(advance(third, row_step), step, count, tiles[3])
            add_four((first_row, second_row, third_row, fourth_row, *numbers, *sums), count, ())
        for k in range(fours, last):
            row = contiguous(advance(x, k * row_step), step, count, tiles[0])
            add_elements((row, *numbers, *sums), count, ())
        join_parts((*sums, *totals), count, ())
    finish_columns((*totals, *results), count, (r * 1.0,))
    put_each((targets, y_steps, results, count))


def columns(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """The results of the columns of each matrix; numbers of columns lie side by side."""
    n, r, c = dims[0], dims[1], dims[2]
    if n > 1 and taken_by_team(n * r * c, args, dims, steps, record):
        return
    row_step, step = core_steps(steps)
    y_steps = target_steps(steps)
    for i in range(n):
        (x,) = places_of(args, steps, i)
        numbers, targets = number_places(args, steps, i), targets_of(args, steps, i)
        for first in range(0, c, STRETCH):
            count = min(STRETCH, c - first)
            here, there = move_each((numbers, 8, first)), move_each((targets, y_steps, first))
            stretch_results(moved(x, step, first), row_step, step, here, r, count, there, y_steps)
    clear_fp_flags()


def no_numbers(args: Any, steps: Any, i: Any) -> Any:
    """Of a kernel that has none."""
    return ()


def one_number(args: Any, steps: Any, i: Any) -> Any:
    """The number of row ``i``."""
    return (number_of(args[1], steps[1], i),)


def _common(kind: Any, dtype: str) -> dict[str, Any]:
    """What instances of both templates have filled in."""
    reduction = kind.reduction
    added, result = reduction.added_in(dtype), kind.result_dtype(dtype)
    size, args, outputs = np.dtype(dtype).itemsize, kind.inputs + kind.outputs, kind.outputs
    number = np.dtype(added).type
    formulas = list(reduction.terms)
    copies = {"SIZE": size, "copy_element": memory.copy_element(size), "spread_element": memory.spread_element(size)}
    result_copies = {
        "SIZE": np.dtype(result).itemsize,
        "copy_element": memory.copy_element(np.dtype(result).itemsize),
    }
    return copies | {
        "ADDED_SIZE": np.dtype(added).itemsize,
        "START": (number(reduction.start),) * len(reduction.totals),
        "terms": Named(formulas, ("x",), reduction.numbers, [added] * len(formulas)),
        "collect": peak if reduction.largest else plus,
        "join": join_best if reduction.largest else (join_sum, join_sums)[len(formulas) - 1],
        "finish": Named(reduction.finish, reduction.totals, ("n",), [FLOATS[result].computed_in] * outputs),
        "places_of": operands_at([0]),
        "targets_of": operands_at(range(kind.inputs, args)),
        "fill_lanes": lanes.fill(added, reduction.start, FILLED),
        "tree_of_lanes": lanes.tree(added, LANES, "peak" if reduction.largest else "sum"),
        "load_wide": lanes.load("float64"),
        "store_result": lanes.store(result),
        "scatter_result": internal(instance(scatter, result_copies)),
    }


def specialise_rows(kind: Any, dtype: str) -> Callable[..., Any]:
    """``rows`` for one ``fastact.kinds.reductions.ReductionKernel`` and dtype."""
    reduction = kind.reduction
    added, size = reduction.added_in(dtype), np.dtype(dtype).itemsize
    sums = [added] * len(reduction.terms)
    filled = _common(kind, dtype) | {
        "PADDED": reduction.padding is not None,
        "fill_tail": lanes.fill(dtype, reduction.padding or -0.0, LANES),
        "core_steps": integers_at([kind.inputs + kind.outputs]),
        "numbers_of": one_number if reduction.numbers else no_numbers,
        "chunk_tiles": stack_spaces([CHUNK * size, LANES * size]),
        "lane_spaces": stack_spaces([LANES * np.dtype(added).itemsize] * len(sums)),
        "add_elements": ElementLoop(collect_one, [dtype, *sums], sums, updates=len(sums), constants=0),
    }
    return instance(rows, filled)


def specialise_columns(kind: Any, dtype: str) -> Callable[..., Any]:
    """``columns`` for one ``fastact.kinds.reductions.ReductionKernel`` and dtype."""
    reduction = kind.reduction
    added, result, size = reduction.added_in(dtype), kind.result_dtype(dtype), np.dtype(dtype).itemsize
    added_size = np.dtype(added).itemsize
    sums, totals, numbers = [added] * len(reduction.terms), [added] * len(reduction.totals), len(reduction.numbers)
    wide, args = ["float64"] * numbers, kind.inputs + kind.outputs
    common = _common(kind, dtype)
    filled = common | {
        "core_steps": integers_at([args, args + 1]),
        "target_steps": integers_at(range(args + 2 + numbers, args + 2 + numbers + kind.outputs)),
        "number_places": operands_at(range(1, 1 + numbers)),
        "chunk_tiles": stack_spaces([STRETCH * size] * 4),
        "lane_spaces": stack_spaces([STRETCH * added_size] * len(sums)),
        "total_spaces": stack_spaces([STRETCH * added_size] * len(totals)),
        "result_spaces": stack_spaces([STRETCH * np.dtype(result).itemsize] * kind.outputs),
        "add_elements": ElementLoop(collect_one, [dtype, *wide, *sums], sums, updates=len(sums), constants=numbers),
        "add_four": ElementLoop(collect_four, [*[dtype] * 4, *wide, *sums], sums, updates=len(sums), constants=numbers),
        "join_parts": ElementLoop(common["join"], [*sums, *totals], totals, updates=len(totals), constants=0),
        "finish_columns": ElementLoop(finish_one, totals, [result] * kind.outputs, constants=0),
    }
    return instance(columns, filled)
