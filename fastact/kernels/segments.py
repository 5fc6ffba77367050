"""Kernels for a single long row whose segments are shared out over threads: states, constants, results.

Segments are the rows of a matrix, so the driver needs to know nothing new. What is computed for each, and in which order it
is put together, is what ``along.py`` does for a whole row: the bits are the same.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import along, lanes
from fastact.kernels.along import write_row
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementwise import taken_by_team
from fastact.kernels.instance import instance
from fastact.kernels.memory import advance, clear_fp_flags
from fastact.kernels.templates import FILLED_IN
from fastact.maths.logsumexp import merged
from fastact.maths.simd import widen

STATE, CONSTANTS = 4, 6
"""A segment's state is its maximum, ties, rest and sum of terms; all are stored as float64."""

# What instances fill in; the values here serve the reader and the type checker.
TWO = False
ZERO = np.float32(0)
T: Any = np.float32
finish = row_state = row_sum = load_wide = store_wide = store_result = FILLED_IN


def segment_states(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """``(n)->(4)`` or ``(n),(n)->(4)``: the state of each segment."""
    n, c = dims[0], dims[1]
    if n > 1 and taken_by_team(n * c, args, dims, steps, record):
        return
    last = 1 + TWO
    core = last + 1
    for i in range(n):
        a, b = advance(args[0], i * steps[0]), advance(args[last - 1], i * steps[last - 1])
        m, ties, rest = row_state(a, steps[core], c, ZERO, args[last], 0)
        total = row_sum(a, steps[core], b, steps[core + last - 1], c, (ZERO, ZERO, ZERO, ZERO), ZERO)
        place, step = advance(args[last], i * steps[last]), steps[core + last]
        store_wide(place, widen(m))
        store_wide(advance(place, step), widen(ties))
        store_wide(advance(place, 2 * step), rest)
        store_wide(advance(place, 3 * step), total)
    clear_fp_flags()


def merge_states(place: Any, step: Any, part: Any, c: Any) -> Any:
    """The state of the whole row."""
    m, ties, rest, total = ZERO, ZERO, widen(ZERO), widen(ZERO)
    for k in range(c):
        state = advance(place, k * step)
        next_m, next_ties = T(load_wide(state)), T(load_wide(advance(state, part)))
        next_rest, next_total = load_wide(advance(state, 2 * part)), load_wide(advance(state, 3 * part))
        if k == 0:
            m, ties, rest, total = next_m, next_ties, next_rest, next_total
        else:
            m, ties, rest = merged(m, ties, rest, next_m, next_ties, next_rest)
            total += next_total
    return m, ties, rest, total


def row_constants(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """``(k,4)->(6)``: what follows from the states of a row's segments."""
    for i in range(dims[0]):
        m, ties, rest, total = merge_states(advance(args[0], i * steps[0]), steps[2], steps[3], dims[1])
        p, q, r, s, t, u = finish(m, ties, rest, total)
        place, step = advance(args[1], i * steps[1]), steps[4]
        store_wide(place, widen(p))
        store_wide(advance(place, step), widen(q))
        store_wide(advance(place, 2 * step), widen(r))
        store_wide(advance(place, 3 * step), widen(s))
        store_wide(advance(place, 4 * step), widen(t))
        store_wide(advance(place, 5 * step), widen(u))
    clear_fp_flags()


def row_result(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """``(k,4)->()``: the result of a row."""
    for i in range(dims[0]):
        m, ties, rest, total = merge_states(advance(args[0], i * steps[0]), steps[2], steps[3], dims[1])
        store_result(advance(args[1], i * steps[1]), finish(m, ties, rest, total))
    clear_fp_flags()


def segment_results(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """``(n),(6)->(n)`` or ``(n),(n),(6)->(n)``: the results of each segment."""
    n, c = dims[0], dims[1]
    if n > 1 and taken_by_team(n * c, args, dims, steps, record):
        return
    known = 1 + TWO
    core = known + 2
    for i in range(n):
        a, b = advance(args[0], i * steps[0]), advance(args[known - 1], i * steps[known - 1])
        place, step = advance(args[known], i * steps[known]), steps[core + known]
        constants = (
            T(load_wide(place)),
            T(load_wide(advance(place, step))),
            T(load_wide(advance(place, 2 * step))),
            T(load_wide(advance(place, 3 * step))),
            T(load_wide(advance(place, 4 * step))),
            T(load_wide(advance(place, 5 * step))),
        )
        y, y_step = advance(args[known + 1], i * steps[known + 1]), steps[core + known + 1]
        write_row(a, steps[core], b, steps[core + known - 1], y, y_step, c, constants, ZERO)
    clear_fp_flags()


def specialise(kernel: Any, dtype: str, template: str) -> Callable[..., Any]:
    """One of the kernels above for a row kernel and a dtype."""
    filled = {
        "T": FLOATS[dtype].computed.type,
        "load_wide": lanes.load("float64"),
        "store_wide": lanes.store("float64"),
    }
    return instance(globals()[template], along.filled_in(kernel, dtype) | filled)
