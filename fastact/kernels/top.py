"""The inner loop of ``fastact.kinds.top``: whatever is better than the worst of the best so far is a candidate.

64 elements at a time are compared with that bound, and after the first of a row few are beyond it. Candidates are collected, in the
order of the row, until their room is full; then the best of them are kept, and there is a new bound. It is found by bisection, so
no order of the elements makes it slow. Elements are compared as integers that follow each other as they do, zeros of either sign
being the same, and so all NaN.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import lanes, memory
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementwise import gather, taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.lanes import first_bit
from fastact.kernels.memory import (
    advance,
    allocate,
    field,
    own_function_with_wide_vectors,
    release,
    set_field,
)
from fastact.kernels.templates import FILLED_IN
from fastact.maths.simd import bits, from_bits

BLOCK = 64
"""Elements that are compared at a time."""
ROOM = 128
"""Candidates that there is room for besides twice as many as are wanted; at least two blocks."""
FEW = 24
"""So many are put in order by insertion."""
LOWEST = -(2**63)
"""Is less than every key."""

# What instances fill in; the values here serve the reader and the type checker.
T: Any = np.float32
INTEGER: Any = np.int32
SIZE, SIGN, MAGNITUDE, LARGEST = 4, 31, 0x7FFFFFFF, True
load_x = copy_element = spread_element = beyond = block_tile = FILLED_IN


def key_of(x: Any) -> Any:
    """An integer that is larger the better an element is."""
    i = bits(x + T(0)) + 0
    key = i ^ ((i >> SIGN) & MAGNITUDE)
    if x != x:
        key = MAGNITUDE - 1
    return key if LARGEST else ~key


def element_of(key: Any) -> Any:
    """An element with a key."""
    i = key if LARGEST else ~key
    return from_bits(INTEGER(i ^ ((i >> SIGN) & MAGNITUDE)))


def worst_of_best(keys: Any, m: Any, k: Any) -> Any:
    """A bound that at least ``k`` of ``m`` keys reach, and at most so many exceed."""
    own_function_with_wide_vectors()
    low, high = field(keys, 0), field(keys, 0)
    for i in range(1, m):
        low, high = min(low, field(keys, i)), max(high, field(keys, i))
    while low < high:
        middle = (low | high) - ((low ^ high) >> 1)  # of the two, rounded up, which their sum may be too large for
        reached = 0
        for i in range(m):
            reached += 1 if field(keys, i) >= middle else 0
        if reached == k:
            return middle
        if reached > k:
            low = middle
        else:
            high = middle - 1
    return low


def keep_best(keys: Any, numbers: Any, m: Any, k: Any) -> Any:
    """Keep the best ``k`` of ``m`` candidates, in their order; the worst of their keys."""
    bound = worst_of_best(keys, m, k)
    exceed = 0
    for i in range(m):
        exceed += 1 if field(keys, i) > bound else 0
    equal, kept, worst = k - exceed, 0, field(keys, 0)
    first = True
    for i in range(m):
        key = field(keys, i)
        if key > bound or (key == bound and equal > 0):
            equal -= 1 if key == bound else 0
            worst = key if first else min(worst, key)
            first = False
            set_field(keys, kept, key)
            set_field(numbers, kept, field(numbers, i))
            kept += 1
    return worst


def insert(keys: Any, numbers: Any, first: Any, end: Any) -> None:
    """Put some candidates in order, the best first, equal ones as they are."""
    for i in range(first + 1, end):
        key, number, j = field(keys, i), field(numbers, i), i
        while j > first and field(keys, j - 1) < key:
            set_field(keys, j, field(keys, j - 1))
            set_field(numbers, j, field(numbers, j - 1))
            j -= 1
        set_field(keys, j, key)
        set_field(numbers, j, number)


def merged(keys: Any, numbers: Any, first: Any, middle: Any, end: Any, into: Any, into_numbers: Any) -> None:
    """Merge two neighbouring runs that are in order."""
    i, j = first, middle
    for place in range(first, end):
        left = j >= end or (i < middle and field(keys, i) >= field(keys, j))
        source = i if left else j
        set_field(into, place, field(keys, source))
        set_field(into_numbers, place, field(numbers, source))
        i += 1 if left else 0
        j += 0 if left else 1


def in_order(keys: Any, numbers: Any, k: Any, spare: Any, spare_numbers: Any) -> Any:
    """Put candidates in order, the best first, equal ones as they are; whether they are in the spare room then."""
    for first in range(0, k, FEW):
        insert(keys, numbers, first, min(first + FEW, k))
    swapped, run = False, FEW
    while run < k:
        a, b = (spare, spare_numbers) if swapped else (keys, numbers)
        c, d = (keys, numbers) if swapped else (spare, spare_numbers)
        for first in range(0, k, 2 * run):
            merged(a, b, first, min(first + run, k), min(first + 2 * run, k), c, d)
        swapped = not swapped
        run *= 2
    return swapped


def best_of_row(x: Any, step: Any, n: Any, k: Any, keys: Any, numbers: Any, room: Any, most: Any) -> Any:
    """Find candidates among which the best ``k`` elements of a row are, in its order: these, unless at most ``most``; how many."""
    own_function_with_wide_vectors()
    tile = block_tile()
    m, worst, bound, is_open = 0, LOWEST, T(0), True
    for start in range(0, n, BLOCK):
        count = min(BLOCK, n - start)
        block = advance(x, start * step)
        if step != SIZE or count < BLOCK:
            gather(tile, block, step, count)
            block = tile
        found = -1 if is_open else beyond(block, bound)
        if count < BLOCK:
            found &= (1 << count) - 1
        if found == 0:
            continue
        while found != 0:
            i = first_bit(found)
            found &= found - 1
            key = key_of(load_x(advance(block, i * SIZE)))
            if key > worst:
                set_field(keys, m, key)
                set_field(numbers, m, start + i)
                m += 1
        if m > room - BLOCK:
            worst, m = keep_best(keys, numbers, m, k), k
            bound = element_of(worst)
            if LARGEST and bound != bound:
                break
            is_open = bound != bound
    if m > max(k, most):
        keep_best(keys, numbers, m, k)
        m = k
    return m


def top_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """The best elements of each row."""
    count, n = dims[0], dims[1]
    if count > 1 and taken_by_team(count * n, args, dims, steps, record):
        return
    k, ordered = field(args[1], 0), field(args[1], 1) != 0
    step, y_step, place_step = steps[4], steps[6], steps[7]
    room = 2 * k + ROOM
    space = allocate((2 * room + 2 * k) * 8)
    keys, numbers = space, advance(space, room * 8)
    spare, spare_numbers = advance(space, 2 * room * 8), advance(space, (2 * room + k) * 8)
    for row in range(count):
        x, y, places = (
            advance(args[0], row * steps[0]),
            advance(args[2], row * steps[2]),
            advance(args[3], row * steps[3]),
        )
        m = best_of_row(x, step, n, k, keys, numbers, room, FEW if ordered else 0)
        found = spare_numbers if ordered and in_order(keys, numbers, m, spare, spare_numbers) else numbers
        for j in range(k):
            number = field(found, j)
            copy_element(advance(y, j * y_step), advance(x, number * step))
            set_field(advance(places, j * place_step), 0, number)
    release(space)
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``top_rows`` for one kernel and dtype."""
    size, computed = np.dtype(dtype).itemsize, FLOATS[dtype].computed_in
    wide = computed == "float64"
    filled = {
        "T": np.dtype(computed).type,
        "INTEGER": np.int64 if wide else np.int32,
        "SIZE": size,
        "SIGN": 63 if wide else 31,
        "MAGNITUDE": 2**63 - 1 if wide else 2**31 - 1,
        "LARGEST": kernel.largest,
        "load_x": lanes.load(dtype),
        "copy_element": memory.copy_element(size),
        "spread_element": memory.spread_element(size),
        "beyond": lanes.beyond(dtype, ">" if kernel.largest else "<"),
        "block_tile": memory.stack_space(BLOCK * size),
    }
    return instance(top_rows, filled)
