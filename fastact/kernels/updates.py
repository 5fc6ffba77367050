"""The inner loop of ``fastact.kinds.updates``: each element of all operands is read once, and what becomes of it is written once.

Operands differ in their dtypes and in how their elements lie. Those that do not lie side by side go through tiles.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import memory
from fastact.kernels.along import (
    moved,
    options_at_first,
)
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.memory import (
    advance,
    own_function_with_wide_vectors,
)
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.tuples import Each, Named, integers_at, numbers_in, operands_at, stack_spaces

TILE = 512
"""Elements of each operand that are copied at a time; ten operands of float64 take 40 KiB."""

# What instances fill in; the values here serve the reader and the type checker.
ARGS, SIZES, RESULT_SIZES, ALL_SIZES = 2, (4,), (4,), (4, 4)
results = compute = places_of = targets_of = place_steps = target_steps = all_steps = FILLED_IN
tiles = result_tiles = FILLED_IN

copy_2, copy_4, copy_8 = (memory.copy_element(size) for size in (2, 4, 8))


def one_element(elements: Any, nothing: Any, numbers: Any) -> Any:
    """What is written for an element of each operand."""
    return results(elements, numbers)


def copied(target: Any, target_step: Any, source: Any, source_step: Any, count: Any, size: Any) -> None:
    """Copy elements of so many bytes from and to places that lie steps apart."""
    if size == 2:
        for i in range(count):
            copy_2(advance(target, i * target_step), advance(source, i * source_step))
    elif size == 4:
        for i in range(count):
            copy_4(advance(target, i * target_step), advance(source, i * source_step))
    else:
        for i in range(count):
            copy_8(advance(target, i * target_step), advance(source, i * source_step))


def side_by_side(place: Any, step: Any, size: Any, count: Any, tile: Any) -> Any:
    """The elements themselves if they lie side by side, else a copy in ``tile``."""
    if step == size:
        return place
    copied(tile, size, place, step, count, size)
    return tile


def room(place: Any, step: Any, size: Any, tile: Any) -> Any:
    """Where to write results that belong to a place: there if they lie side by side, else in ``tile``."""
    return place if step == size else tile


def put(place: Any, step: Any, size: Any, count: Any, tile: Any) -> None:
    """Copy results to where they belong, unless they have been written there."""
    if step != size:
        copied(place, step, tile, size, count, size)


def differs(step: Any, size: Any) -> Any:
    """1 for elements that do not lie side by side."""
    return 0 if step == size else 1


move_each, aside_each, room_each, put_each = Each(moved), Each(side_by_side), Each(room), Each(put)
differ_each = Each(differs)


def whole(operands: Any, n: Any, numbers: Any) -> None:
    """Update elements that lie side by side."""
    own_function_with_wide_vectors()
    compute(operands, n, numbers)


def in_tiles(places: Any, steps: Any, targets: Any, y_steps: Any, n: Any, numbers: Any) -> None:
    """Update elements some of which do not."""
    spaces, rooms = tiles(), result_tiles()
    for start in range(0, n, TILE):
        count = min(TILE, n - start)
        here, there = move_each((places, steps, start)), move_each((targets, y_steps, start))
        elements = aside_each((here, steps, SIZES, count, spaces))
        written = room_each((there, y_steps, RESULT_SIZES, rooms))
        whole(elements + written, count, numbers)
        put_each((there, y_steps, RESULT_SIZES, count, written))


def update(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Update ``dims[0]`` elements of each operand."""
    n = dims[0]
    if taken_by_team(n, args, dims, steps, record):
        return
    numbers = options_at_first(args, steps)
    places, targets = places_of(args, steps, 0), targets_of(args, steps, 0)
    if sum(differ_each((all_steps(steps), ALL_SIZES))) == 0:
        whole(places + targets, n, numbers)
    else:
        in_tiles(places, place_steps(steps), targets, target_steps(steps), n, numbers)
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``update`` for one kernel and dtype."""
    reads, writes = ([kernel.stored(x, dtype) for x in names] for names in (kernel.reads, kernel.writes))
    sizes, result_sizes = (tuple(np.dtype(x).itemsize for x in dtypes) for dtypes in (reads, writes))
    count, args = len(reads), kernel.inputs + kernel.outputs
    filled = {
        "SIZES": sizes,
        "RESULT_SIZES": result_sizes,
        "ALL_SIZES": sizes + result_sizes,
        "results": Named(kernel.formula, kernel.reads, kernel.numbers, [FLOATS[x].computed_in for x in writes]),
        "compute": ElementLoop(one_element, reads, writes, constants=0),
        "places_of": operands_at(range(count)),
        "targets_of": operands_at(range(count + 1, args)),
        "place_steps": integers_at(range(count)),
        "target_steps": integers_at(range(count + 1, args)),
        "all_steps": integers_at([*range(count), *range(count + 1, args)]),
        "tiles": stack_spaces([TILE * size for size in sizes]),
        "result_tiles": stack_spaces([TILE * size for size in result_sizes]),
        "OPTION_OPERAND": count,
        "OPTION_STEP": args,
        "options_stored": numbers_in(["float64"] * len(kernel.numbers), "float64"),
    }
    return instance(update, filled)
