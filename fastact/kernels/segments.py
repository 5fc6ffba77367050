"""Kernels for a single long row whose segments are shared out over threads: passes, what follows from them, results.

Segments are the rows of a matrix, so the driver needs to know nothing new. What is computed for each, and in which order it
is put together, is what ``along.py`` does for a whole row: the bits are the same. Constants travel as rows of float64.
"""

from collections.abc import Callable
from typing import Any

from fastact.kernels import along
from fastact.kernels.along import (
    plus_each,
    write_row,
)
from fastact.kernels.elementwise import taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.jit import internal
from fastact.kernels.memory import (
    advance,
)
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.tuples import Named, integers_at, numbers_in, operands_at, picked, put_numbers
from fastact.maths.logsumexp import merged
from fastact.maths.simd import maximum

# What instances fill in; the values here serve the reader and the type checker.
ROWS, ARGS = 1, 3
constants_stored = states_stored = places_of = steps_within = targets_of = target_steps_within = FILLED_IN
following = combined = onces = before = formula = without_fixed = fixed = FILLED_IN


def segment_pass(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """What a pass finds in each segment, given the constants before it."""
    n, c = dims[0], dims[1]
    if n > 1 and taken_by_team(n * c, args, dims, steps, record):
        return
    within = steps_within(steps)
    for i in range(n):
        places = places_of(args, steps, i)
        constants = constants_stored(advance(args[ROWS], i * steps[ROWS]), steps[ARGS + ROWS])
        found = following(places, within, c, constants, places[0], 0)
        put_numbers(advance(args[ROWS + 1], i * steps[ROWS + 1]), steps[ARGS + ROWS + 1], found)
    clear_fp_flags()


def combined_states(first: Any, second: Any) -> Any:
    """The state of two parts of a row."""
    m0, ties0, rest0 = first
    m, ties, rest = second
    return merged(m0, ties0, rest0, m, ties, rest)


def combined_largest(first: Any, second: Any) -> Any:
    """The larger of what two parts of a row hold."""
    return (maximum(first[0], second[0]),)


def combined_sums(first: Any, second: Any) -> Any:
    """The sums of two parts of a row."""
    return plus_each((first, second))


COMBINED = {"exponentials": combined_states, "largest": combined_largest, "sum": combined_sums}


def unchanged(constants: Any, options: Any) -> Any:
    """Where nothing follows."""
    return constants


def then(constants: Any, options: Any) -> Any:
    """One more constant, or some, that follow once per row."""
    known = before(constants, options)
    return known + formula((), known + options)


def row_constants(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """The constants of a row after a pass, from what it has found in each segment and the constants before it."""
    for i in range(dims[0]):
        place, step, part = advance(args[0], i * steps[0]), steps[3], steps[4]
        found = states_stored(place, part)
        for k in range(1, dims[1]):
            found = combined(found, states_stored(advance(place, k * step), part))
        known = constants_stored(advance(args[1], i * steps[1]), steps[5])
        options = fixed(known)
        constants = onces(without_fixed(known) + found, options)
        put_numbers(advance(args[2], i * steps[2]), steps[6], constants + options)
    clear_fp_flags()


def segment_results(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """The results of each segment, given all constants."""
    n, c = dims[0], dims[1]
    if n > 1 and taken_by_team(n * c, args, dims, steps, record):
        return
    within, y_within = steps_within(steps), target_steps_within(steps)
    for i in range(n):
        constants = constants_stored(advance(args[ROWS], i * steps[ROWS]), steps[ARGS + ROWS])
        write_row(places_of(args, steps, i), within, targets_of(args, steps, i), y_within, c, constants, False)
    clear_fp_flags()


def specialise_pass(kernel: Any, dtype: str, stage: int) -> Callable[..., Any]:
    """``segment_pass`` for one of the passes that walk over a row."""
    step, _ = kernel.stages(dtype)[stage]
    shared = along.common(dtype)
    dtypes = kernel.constants(dtype)
    rows = len(step.operands)
    filled = shared | {
        "ROWS": rows,
        "ARGS": rows + 2,
        "places_of": operands_at(range(rows)),
        "steps_within": integers_at(range(rows + 2, 2 * rows + 2)),
        "constants_stored": numbers_in([dtypes[name] for name in step.constants], "float64"),
        "following": internal(along.walking(step, dtype, shared)),
    }
    return instance(segment_pass, filled)


def specialise_constants(kernel: Any, dtype: str, stage: int) -> Callable[..., Any]:
    """``row_constants`` for what such a pass has found."""
    step, later = kernel.stages(dtype)[stage]
    dtypes = kernel.constants(dtype)
    known = len(step.constants) - len(kernel.fixed(dtype))
    chain: Any = internal(unchanged)
    for once in later:
        named = Named(once.formula, (), once.constants, once.results)
        chain = internal(instance(then, {"before": chain, "formula": named}))
    filled = {
        "constants_stored": numbers_in([dtypes[name] for name in step.constants], "float64"),
        "states_stored": numbers_in(step.results, "float64"),
        "without_fixed": picked(range(known)),
        "fixed": picked(range(known, len(step.constants))),
        "combined": COMBINED[step.kind],
        "onces": chain,
    }
    return instance(row_constants, filled)


def specialise_results(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``segment_results`` for a kernel and a dtype."""
    rows, outputs = len(kernel.reads), len(kernel.rows_written)
    args = rows + 1 + outputs
    return instance(
        segment_results,
        along.filled_in(kernel, dtype)
        | {
            "ROWS": rows,
            "ARGS": args,
            "constants_stored": numbers_in(list(kernel.constants(dtype).values()), "float64"),
            "places_of": operands_at(range(rows)),
            "steps_within": integers_at(range(args, args + rows)),
            "targets_of": operands_at(range(rows + 1, args)),
            "target_steps_within": integers_at(range(args + rows + 1, 2 * args)),
        },
    )
