"""Kernels of columns made of the passes of ``across.py``: a program's formulas, loops and memory are filled in."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from fastact.kernels import lanes, memory, transposition
from fastact.kernels.across import (
    MOST_LANE_BYTES,
    STATE_ROWS,
    add_chunk,
    after,
    copied,
    copy_one,
    exponential_states,
    first_one,
    join_one,
    largest_one,
    largest_values,
    level_one,
    nothing_yet,
    number_one,
    once,
    once_one,
    program_columns,
    sums_of_terms,
)
from fastact.kernels.along import (
    add_one,
    add_term,
    larger,
    no_options,
    options_at_first,
    plus,
    write_one,
)
from fastact.kernels.blocks import (
    ROW_BYTES,
    SMALL_BYTES,
    STEP,
    TILE_BYTES,
    Layout,
    add_lane,
    block_loop,
    block_of,
    block_row,
    free_tile,
    loop_of_groups,
    lowest_row,
    new_tile,
    row_of,
    stored_row,
    tile_bytes,
    tree_of_lanes,
    zero_row,
    zero_wide_row,
)
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementwise import gather, scatter
from fastact.kernels.instance import instance, shared_parts
from fastact.kernels.jit import internal
from fastact.kernels.limits import LANES
from fastact.kernels.transposition import as_columns, as_rows
from fastact.kernels.tuples import Named, integers_at, numbers_in, operands_at, picked, rows_at, stack_spaces


@cache
def common(dtype: str, operands: int, tiles: int) -> dict[str, Any]:
    """What instances of all kernels of so many operands and tiles have filled in: sizes, memory, lanes, loops without a formula."""
    compute = FLOATS[dtype].computed_in
    size, computed_size = np.dtype(dtype).itemsize, np.dtype(compute).itemsize
    most = ROW_BYTES // computed_size
    one, wide = [compute], ["float64"]
    filled = transposition.filled_in(dtype) | {
        "STEP": STEP,
        "SIZE": size,
        "COMPUTED_SIZE": computed_size,
        "TILES": tiles,
        "ALONE": operands == 1,
        "MOST": most,
        "TILE_ROWS": TILE_BYTES // (STEP * computed_size),
        "ZERO": np.dtype(compute).type(0),
        "copy_element": memory.copy_element(size),
        "spread_element": memory.spread_element(size),
        "small_tile": memory.stack_space(SMALL_BYTES),
        "row_tile": memory.stack_space(most * computed_size),
        "lane_tile": memory.stack_space(LANES * most * computed_size),
        "state_tile": memory.stack_space(STATE_ROWS * most * computed_size),
        "fill_step": lanes.fill(dtype, 0.0, STEP),
        "lowest_step": lanes.fill(compute, -np.inf, STEP),
        "zero_step": lanes.fill(compute, 0.0, STEP),
        "zero_wide_step": lanes.fill("float64", 0.0, STEP),
        "find_level": block_loop(level_one, one * 2, one * 4, 1),
        "add_lanes": block_loop(add_lane, one * 2, one, 1),
        "add_chunks": block_loop(add_chunk, one + wide, wide, 1),
        "first_states": block_loop(first_one, one * 3, one * 2 + wide),
        "join_states": block_loop(join_one, one * 5 + wide, one * 2 + wide, 3),
    }
    tiles_of = block_of, tile_bytes, new_tile, free_tile, as_columns, as_rows
    rows_of = block_row, row_of, stored_row, zero_row, zero_wide_row, lowest_row, tree_of_lanes
    return filled | shared_parts((*tiles_of, *rows_of, gather, scatter, plus), filled)


def formula_of(formula: Any, elements: Sequence[str], layout: Layout, step: Any, **more: Any) -> Named:
    """A formula whose constants are the rows that it uses, and the options."""
    options = [name for name in step if name not in layout.dtypes]
    return Named(formula, elements, [*layout.used(formula), *options], **more)


def summing(step: Any, dtype: str, names: Sequence[str], layout: Layout, shared: dict[str, Any]) -> dict[str, Any]:
    """What a pass that yields sums has filled in."""
    sums = [step.added_in] * len(step.names)
    size = np.dtype(step.added_in).itemsize
    lane_bytes = LANES * ROW_BYTES // np.dtype(FLOATS[dtype].computed_in).itemsize * size
    used = layout.used(step.formula)
    filled = {
        "LANE_BYTES": lane_bytes * len(sums),
        "HEAPED": lane_bytes * len(sums) > MOST_LANE_BYTES,
        "lane_space": memory.stack_space(min(lane_bytes * len(sums), MOST_LANE_BYTES)),
        "lanes_at": rows_at(range(len(sums)), lane_bytes),
        "terms": formula_of(step.formula, names, layout, step.constants, results=sums),
        "add_terms": loop_of_groups(add_term, [dtype] * len(names), [layout.dtypes[name] for name in used], sums),
        "COMPUTED_SIZE": size,
        "zero_step": lanes.fill(step.added_in, 0.0, STEP),
        "add_lanes": block_loop(add_lane, [step.added_in] * 2, [step.added_in], 1),
        "add_chunks": block_loop(add_chunk, [step.added_in, "float64"], ["float64"], 1),
    }
    apart = {name: value for name, value in shared.items() if name not in ("row_of", "zero_row", "tree_of_lanes")}
    return filled | shared_parts((row_of, zero_row, tree_of_lanes), apart | filled)


def program(kernel: Any, dtype: str, layout: Layout, shared: dict[str, Any]) -> Any:
    """The function of all passes of a kernel over a block."""
    compute = FLOATS[dtype].computed_in
    computed_size = np.dtype(compute).itemsize
    most = ROW_BYTES // computed_size
    steps = list(kernel.steps(dtype))
    before = internal(instance(nothing_yet, shared))
    if next((step.kind for step in steps if step.kind != "once"), "") != "exponentials":
        before = internal(instance(copied, shared))
    for k, step in enumerate(steps):
        numbers = step.operands if 0 in step.operands else (0, *step.operands)
        names = [kernel.reads[j] for j in numbers]
        operands = [dtype] * len(names)
        used = layout.used(step.formula)
        kinds = [layout.dtypes[name] for name in used]
        own = {
            "earlier": before,
            "take": picked(numbers),
            "row_tiles": stack_spaces([most * computed_size] * len(names)),
            "known_rows": layout.rows(used),
            "own_rows": layout.rows(step.names),
            "ALONE": len(names) == 1,
            "NEAR": False,
        }
        following: Any = once
        if step.kind == "exponentials":
            best = [compute]
            own |= {
                "NEAR": kernel.near,
                "value": formula_of(step.formula, names, layout, step.constants),
                "find_larger": loop_of_groups(larger, operands, kinds, best),
                "find_largest": loop_of_groups(largest_one, operands * 4, kinds, best),
                "copy_larger": loop_of_groups(copy_one, operands, kinds, best, [dtype]),
                "add_exponentials": loop_of_groups(add_one, operands, [*best * 4, *kinds], best * 2),
            }
            following = exponential_states
        elif step.kind == "largest":
            own |= {
                "value": formula_of(step.formula, names, layout, step.constants),
                "find_larger": loop_of_groups(larger, operands, kinds, [compute]),
            }
            following = largest_values
        elif step.kind == "sum":
            own |= summing(step, dtype, names, layout, shared)
            following = sums_of_terms
        else:
            near = [compute if name == "rest" else layout.dtypes[name] for name in used]
            own |= {
                "NEAR": kernel.near and k == 1,
                "formula": formula_of(step.formula, (), layout, step.constants, results=step.results),
                "finish": loop_of_groups(once_one, (), kinds, (), step.results),
                "finish_near": loop_of_groups(once_one, (), near, (), step.results),
            }
        own["following"] = internal(instance(following, shared | own))
        before = internal(instance(after, shared | own))
    return before


def filled_in(kernel: Any, dtype: str) -> dict[str, Any]:
    """What instances for a kernel and dtype have filled in: formulas, passes and memory."""
    compute = FLOATS[dtype].computed_in
    size, computed_size = np.dtype(dtype).itemsize, np.dtype(compute).itemsize
    most = ROW_BYTES // computed_size
    inputs, outputs, args = len(kernel.reads), len(kernel.rows_written), kernel.inputs + kernel.outputs
    tiles = max(inputs, 2) if outputs <= 1 else inputs + outputs
    every = kernel.constants(dtype)
    names = tuple(every)
    layout = Layout({name: every[name] for name in names if name not in (*kernel.options, "n")}, computed_size)
    shared = common(dtype, inputs, tiles)
    targets = range(kernel.inputs, kernel.inputs + outputs)
    gives = kernel.gives.split()
    number_size = np.dtype(kernel.given_dtype(dtype)).itemsize
    given = range(args - len(gives), args)
    filled = shared | {
        "layout": layout,
        "MAPS": outputs > 0,
        "GIVES": len(given) > 0,
        "COMPACT": (size,) * inputs,
        "COMPACT_RESULTS": (size,) * outputs,
        "OPTION_OPERAND": inputs,
        "OPTION_STEP": args + inputs,
        "known": program(kernel, dtype, layout, shared),
        "value_tile": memory.stack_space(max(1, layout.height) * most * computed_size),
        "row_tiles": stack_spaces([most * computed_size] * inputs),
        "result_tiles": stack_spaces([most * computed_size] * outputs),
        "number_tiles": stack_spaces([most * number_size] * len(given)),
        "scatter_number": internal(
            instance(scatter, {"SIZE": number_size, "copy_element": memory.copy_element(number_size)})
        ),
        "places_of": operands_at(range(inputs)),
        "steps_of": integers_at(range(inputs)),
        "cores_of": integers_at(range(args, args + inputs)),
        "targets_of": operands_at(targets),
        "target_steps_of": integers_at(targets),
        "target_cores_of": integers_at(range(args + kernel.inputs, args + kernel.inputs + outputs)),
        "numbers_of": operands_at(given),
        "number_steps_of": integers_at(given),
        "options_of": options_at_first if kernel.options else no_options,
        "options_stored": numbers_in(["float64"] * len(kernel.options), "float64"),
        "tiles_at": rows_at(range(inputs), 1),
        "target_tiles_at": rows_at(range(outputs) if outputs <= 1 else range(inputs, tiles), 1),
        "given_rows": layout.rows(gives),
        "constants_given": picked(range(len(gives))),
        "write_numbers": loop_of_groups(
            number_one, (), [every[name] for name in gives], (), [kernel.given_dtype(dtype)] * len(gives)
        ),
    }
    if outputs:
        used = layout.used(kernel.writes)
        filled |= {
            "known_rows": layout.rows(used),
            "result": formula_of(kernel.writes, kernel.reads, layout, names),
            "write_elements": loop_of_groups(
                write_one, [dtype] * inputs, [layout.dtypes[name] for name in used], (), [dtype] * outputs
            ),
        }
    return filled


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """A kernel of columns for one program and dtype."""
    return instance(program_columns, filled_in(kernel, dtype))
