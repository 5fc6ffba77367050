"""The inner loop of ``fastact.kinds.pointwise``: contiguous rows, each read once; terms are added in the order of ``along.py``."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import lanes
from fastact.kernels.along import (
    advance_each,
    no_options,
    options_at_first,
    plus,
)
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.limits import CHUNK, LANES
from fastact.kernels.memory import (
    own_function_with_wide_vectors,
)
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.tuples import Each, Named, numbers_in, operands_at, stack_spaces
from fastact.maths.simd import widen

# What instances fill in; the values here serve the reader and the type checker.
SIZE, NO_SUMS = 4, (0.0,)
terms = results = compute = lane_spaces = fill_zero = sum_of_lanes = FILLED_IN
places_of = targets_of = totals_of = options_of = store_total = FILLED_IN

plus_each, widen_each, zero_each, sum_each = Each(plus), Each(widen), Each("fill_zero"), Each("sum_of_lanes")
store_each = Each("store_total")


def one_element(elements: Any, sums: Any, constants: Any) -> Any:
    """The sums with an element's terms, and what is written for it."""
    return plus_each((sums, terms(elements, constants))) + results(elements, constants)


def one_row(places: Any, targets: Any, c: Any, constants: Any) -> Any:
    """Write a row's results, and return its sums."""
    own_function_with_wide_vectors()
    sums, totals = lane_spaces(), NO_SUMS
    for start in range(0, c, CHUNK):
        end = min(c, start + CHUNK)
        zero_each((sums,))
        for i in range(start, end, LANES):
            here, there = advance_each((places, i * SIZE)), advance_each((targets, i * SIZE))
            compute(here + sums + there, min(LANES, end - i), constants)
        totals = plus_each((totals, widen_each((sum_each((sums,)),))))
    return totals


def pointwise_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """The results and the sums of each row."""
    n, c = dims[0], dims[1]
    if n > 1 and taken_by_team(n * c, args, dims, steps, record):
        return
    options = options_of(args, steps)
    for i in range(n):
        totals = one_row(places_of(args, steps, i), targets_of(args, steps, i), c, options)
        store_each((totals_of(args, steps, i), totals))
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``pointwise_rows`` for one kernel and dtype."""
    compute_in = FLOATS[dtype].computed_in
    rows, written, totals = len(kernel.reads), len(kernel.writes), len(kernel.totals)
    args = kernel.inputs + kernel.outputs
    summed_in = "float64" if kernel.wide else compute_in
    sums = [summed_in] * totals
    names = kernel.reads, kernel.options
    filled = {
        "SIZE": np.dtype(dtype).itemsize,
        "NO_SUMS": (0.0,) * totals,
        "terms": Named(kernel.terms, *names, results=sums),
        "results": Named(kernel.writes, *names, results=[compute_in] * written),
        "compute": ElementLoop(
            one_element, [*[dtype] * rows, *sums], [*sums, *[dtype] * written], updates=totals, constants=0
        ),
        "lane_spaces": stack_spaces([LANES * np.dtype(summed_in).itemsize] * totals),
        "fill_zero": lanes.fill(summed_in, 0.0, LANES),
        "sum_of_lanes": lanes.tree(summed_in, LANES, "sum"),
        "places_of": operands_at(range(rows)),
        "targets_of": operands_at(range(rows + 1, rows + 1 + written)),
        "totals_of": operands_at(range(rows + 1 + written, args)),
        "store_total": lanes.store("float64"),
        "OPTION_OPERAND": rows,
        "OPTION_STEP": args + rows,
        "options_of": options_at_first if kernel.options else no_options,
        "options_stored": numbers_in(["float64"] * len(kernel.options), "float64"),
    }
    return instance(pointwise_rows, filled)
