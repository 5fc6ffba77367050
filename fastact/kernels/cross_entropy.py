"""The kernels of cross-entropy, by rows and by columns, on the passes of ``along.py`` and ``across.py``.

Operands: logits, label, weight of each class, a dense operand (probabilities, or the weights that smoothing needs), the label to
ignore, options; then the results, and, for kernels with a gradient, the gradient, which may be the logits' own memory.

A label out of range gives NaN and leaves the gradient alone: Python finds it and raises.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import across, along, lanes, memory
from fastact.kernels.across import (
    CONSTANTS,
    REST,
    ROW_BYTES,
    STATE_ROWS,
    STEP,
    TIES,
    TOTAL,
    M,
    block_loop,
    block_of,
    block_row,
    constant_rows,
    free_tile,
    new_tile,
    row_of,
    second_tile,
    stored_row,
    write_columns,
    zero_row,
    zero_wide_row,
)
from fastact.kernels.along import CHUNK, LANES, computed_elsewhere, contiguous, write_row
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import taken_by_team
from fastact.kernels.fields import LABEL
from fastact.kernels.instance import instance
from fastact.kernels.jit import internal
from fastact.kernels.memory import advance, clear_fp_flags, field, own_function_with_wide_vectors, zero_bytes
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.transposition import are_short_rows, as_columns, as_rows
from fastact.maths.logsumexp import log_excess
from fastact.maths.simd import Scalar, select, widen

LOSS, WEIGHT, LSE, ARGMAX = 0, 1, 2, 3
"""A row's results, of float64."""
KEEP, SLOPE, OFFSET, Z_LOSS, SCALE, CAP, WANT_ARGMAX, ZEROED = range(8)
"""The options, of float64. The dense part of a row's target is ``slope * dense + offset``; the label's part is ``keep``. The last
says that the gradient's memory is zero already, so that ignored rows need not be touched."""

X, LABELS, WEIGHTS, DENSE, IGNORED, OPTIONS, RESULTS, GRAD = range(8)
"""The operands."""

# What instances fill in; the values here serve the reader and the type checker.
HAS_LABEL, HAS_DENSE, HAS_GRAD = True, False, False
SIZE, COMPUTED_SIZE, CORE = 4, 4, 7
T: Any = np.float32
NAN = np.float32(np.nan)
ZERO = np.float32(0)
prepare = finish = row_state = row_sum = row_dense_sum = load_x = load_label = load_wide = store_x = FILLED_IN
store_wide = chunk_tile = lane_space = fill_zero = count_matches = sum_of_lanes = FILLED_IN


def match_one(x: Scalar, found: Scalar, m: Scalar, cap: Scalar) -> Scalar:
    """Count an element that equals the maximum, or is NaN."""
    T = type(found)
    value = prepare(x, cap)
    return found + select((value == m) | (value != value), T(1), T(0))


def option(args: Any, steps: Any, k: Any) -> Any:
    """Option ``k``, the same for all rows."""
    return load_wide(advance(args[OPTIONS], k * steps[CORE + 3]))


def put_row(place: Any, step: Any, loss: Any, weight: Any, lse: Any) -> None:
    """Write a row's results but for the index of its maximum."""
    store_wide(place, loss)
    store_wide(advance(place, step), weight)
    store_wide(advance(place, 2 * step), lse)


def first_match(x: Any, step: Any, c: Any, m: Any, cap: Any) -> Any:
    """The first index whose element equals ``m``, or is NaN."""
    own_function_with_wide_vectors()
    tile, found = chunk_tile(), lane_space()
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        chunk = contiguous(advance(x, start * step), step, count, tile)
        fill_zero(found)
        for i in range(0, count, LANES):
            count_matches((advance(chunk, i * SIZE), found), min(LANES, count - i), (m, cap))
        if sum_of_lanes(found) > 0:
            for i in range(count):
                value = prepare(load_x(advance(chunk, i * SIZE)), cap)
                if value == m or value != value:
                    return start + i
    return 0


def no_gradient(y: Any, step: Any, c: Any) -> None:
    """A row without a gradient."""
    if step == SIZE:
        zero_bytes(y, c * SIZE)
    else:
        for k in range(c):
            store_x(advance(y, k * step), ZERO)


def entropy_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """A row's loss, and its gradient."""
    n, c = dims[0], dims[1]
    if computed_elsewhere(args, dims, steps, record):
        return
    x_core, w_core, d_core = steps[CORE], steps[CORE + 1], steps[CORE + 2]
    cap, kind, ignored = T(option(args, steps, CAP)), field(record, LABEL), load_label(args[IGNORED], INT64)
    for i in range(n):
        x, dense = advance(args[X], i * steps[X]), advance(args[DENSE], i * steps[DENSE])
        result, result_step = advance(args[RESULTS], i * steps[RESULTS]), steps[CORE + 4]
        label, weight, x_label, d_label = 0, widen(T(1)), ZERO, ZERO
        if HAS_LABEL:
            label = load_label(advance(args[LABELS], i * steps[LABELS]), kind)
            if label == ignored or label < 0 or label >= c:
                nothing = widen(ZERO) if label == ignored else widen(NAN)
                put_row(result, result_step, nothing, nothing, nothing)
                store_wide(advance(result, ARGMAX * result_step), nothing)
                if HAS_GRAD and label == ignored and option(args, steps, ZEROED) == 0:
                    no_gradient(advance(args[GRAD], i * steps[GRAD]), steps[CORE + 5], c)
                continue
            x_label = load_x(advance(x, label * x_core))
            weight = load_wide(advance(args[WEIGHTS], i * steps[WEIGHTS] + label * w_core))
            if HAS_DENSE:
                d_label = load_x(advance(dense, label * d_core))
        slope, offset = T(option(args, steps, SLOPE)), T(option(args, steps, OFFSET))
        y, y_step = result, 0
        if HAS_GRAD:
            y, y_step = advance(args[GRAD], i * steps[GRAD]), steps[CORE + 5]
        m, ties, rest = row_state(x, x_core, c, cap, y, y_step)
        terms, dense_sum = widen(ZERO), widen(ZERO)
        if HAS_DENSE:
            constants = (m, T(log_excess(m, ties, rest)), slope, offset)
            terms = row_sum(x, x_core, dense, d_core, c, constants, cap)
            if HAS_GRAD:
                dense_sum = row_dense_sum(x, x_core, dense, d_core, c, constants, cap)
        loss, lse, p, q, r, s, t, u, at_label = finish(
            m,
            ties,
            rest,
            terms,
            dense_sum,
            x_label,
            weight,
            d_label,
            option(args, steps, KEEP),
            option(args, steps, SLOPE),
            option(args, steps, OFFSET),
            option(args, steps, Z_LOSS),
            option(args, steps, SCALE),
            c * 1.0,
            cap,
        )
        put_row(result, result_step, loss, weight, lse)
        if option(args, steps, WANT_ARGMAX) != 0:
            index = first_match(x, x_core, c, NAN if rest != rest else m, cap)
            store_wide(advance(result, ARGMAX * result_step), index * 1.0)
        if HAS_GRAD:
            write_row(x, x_core, dense, d_core, y, y_step, c, (p, q, r, s, t, u), cap)
            if HAS_LABEL:
                store_x(advance(y, label * y_step), at_label)
    clear_fp_flags()


MORE_CONSTANTS = CONSTANTS + 4
X_LABEL, D_LABEL, AT_LABEL, INDEX = range(CONSTANTS, MORE_CONSTANTS)
"""Further rows of a block's constants."""
LOSSES, LSES, WEIGHTS_AT_LABELS, DENSE_SUMS = 0, 2, 4, TOTAL
"""Rows of a block's results, of float64, which may take two; the last is where a sum of terms is left."""

column_states = column_sums = column_dense_sums = row_tile = state_tile = constant_tile = result_tile = FILLED_IN
small_tile = start_constants = finish_rows = find_last = load_value = store_value = FILLED_IN
INT64 = 3


def excess_one(m: Scalar, ties: Scalar, rest: Scalar, slope: Scalar, offset: Scalar) -> Any:
    """The constants of the sum over the dense part."""
    T = type(m)
    return m, T(log_excess(m, ties, rest)), slope, offset


def last_one(x: Scalar, m: Scalar, rest: Scalar, index: Scalar, k: Scalar, cap: Scalar) -> Scalar:
    """Index ``k`` if the element equals the maximum, or is NaN where the row holds one."""
    value = prepare(x, cap)
    hit = select(rest == rest, value == m, value != value)
    return select(hit, k, index)


def entropy_block(
    args: Any, steps: Any, record: Any, first: Any, width: Any, block: Any, c: Any, short: Any, kept: Any
) -> None:
    """The losses of a block of columns, or of short rows as such, and their gradients; ``kept`` is memory for a chunk of them."""
    own_function_with_wide_vectors()
    state, constants, results, row = state_tile(), constant_tile(), result_tile(), row_tile()
    x, dense = advance(args[X], first * steps[X]), advance(args[DENSE], first * steps[DENSE])
    x_core, w_core, d_core = steps[CORE], steps[CORE + 1], steps[CORE + 2]
    cap, slope, offset = (
        T(option(args, steps, CAP)),
        T(option(args, steps, SLOPE)),
        T(option(args, steps, OFFSET)),
    )
    for k in range(MORE_CONSTANTS):
        zero_row(row_of(constants, k, block), block)
    zero_wide_row(row_of(state, TOTAL, block), block)
    zero_wide_row(row_of(results, DENSE_SUMS, block), block)
    zero_wide_row(row_of(results, WEIGHTS_AT_LABELS, block), block)
    if HAS_LABEL:
        labels, labels_step, kind = advance(args[LABELS], first * steps[LABELS]), steps[LABELS], field(record, LABEL)
        weights, weights_step = advance(args[WEIGHTS], first * steps[WEIGHTS]), steps[WEIGHTS]
        x_row, d_row = row_of(constants, X_LABEL, block), row_of(constants, D_LABEL, block)
        w_row = row_of(results, WEIGHTS_AT_LABELS, block)
        for j in range(width):
            label = load_label(advance(labels, j * labels_step), kind)
            if label >= 0 and label < c:
                place = j * COMPUTED_SIZE
                store_value(advance(x_row, place), load_x(advance(x, j * steps[X] + label * x_core)))
                weight = load_wide(advance(weights, j * weights_step + label * w_core))
                store_wide(advance(w_row, j * 8), weight)
                if HAS_DENSE:
                    store_value(advance(d_row, place), load_x(advance(dense, j * steps[DENSE] + label * d_core)))
    x_step, d_step, tile, wide = steps[X], steps[DENSE], kept, width
    if short:
        wide = block
        as_columns(tile, x, x_step, x_core, width, block, c)
        x, x_step, x_core = tile, SIZE, block * SIZE
        if HAS_DENSE:
            more = second_tile(tile, c)
            as_columns(more, dense, d_step, d_core, width, block, c)
            dense, d_step, d_core = more, SIZE, block * SIZE
    column_states(x, x_step, x_core, wide, block, c, tile, state, cap)
    m, ties, rest = row_of(state, M, block), row_of(state, TIES, block), row_of(state, REST, block)
    known = constant_rows(constants, block)
    if HAS_DENSE:
        start_constants((m, ties, rest, *known[:4]), block, (slope, offset))
        column_sums(x, x_step, x_core, dense, d_step, d_core, wide, block, c, tile, state, constants, cap)
        if HAS_GRAD:
            column_dense_sums(x, x_step, x_core, dense, d_step, d_core, wide, block, c, tile, results, constants, cap)
    if option(args, steps, WANT_ARGMAX) != 0:
        for k in range(c - 1, -1, -1):
            place = stored_row(tile, k, block)
            if c > CHUNK:
                place = block_row(advance(x, k * x_core), x_step, wide, block, row)
            find_last((place, m, rest, row_of(constants, INDEX, block)), block, (T(k), cap))
    finish_rows(
        (
            m,
            ties,
            rest,
            row_of(state, TOTAL, block),
            row_of(results, DENSE_SUMS, block),
            row_of(constants, X_LABEL, block),
            row_of(results, WEIGHTS_AT_LABELS, block),
            row_of(constants, D_LABEL, block),
            row_of(results, LOSSES, block),
            row_of(results, LSES, block),
            *known,
            row_of(constants, AT_LABEL, block),
        ),
        block,
        (
            option(args, steps, KEEP),
            option(args, steps, SLOPE),
            option(args, steps, OFFSET),
            option(args, steps, Z_LOSS),
            option(args, steps, SCALE),
            c * 1.0,
            cap,
        ),
    )
    if HAS_GRAD:
        y, y_step, y_core = advance(args[GRAD], first * steps[GRAD]), steps[GRAD], steps[CORE + 5]
        place, step, core = y, y_step, y_core
        if short:
            place, step, core = tile, SIZE, block * SIZE
        write_columns(x, x_step, x_core, dense, d_step, d_core, place, step, core, wide, block, c, tile, constants, cap)
        if short:
            as_rows(y, y_step, y_core, tile, width, block, c)
    put_block(args, steps, record, first, width, block, c, constants, results)


def put_block(
    args: Any, steps: Any, record: Any, first: Any, width: Any, block: Any, c: Any, constants: Any, results: Any
) -> None:
    """Write the results of a block of columns, and what differs from its neighbours in each column's gradient."""
    losses, lses = row_of(results, LOSSES, block), row_of(results, LSES, block)
    weights, at_label = row_of(results, WEIGHTS_AT_LABELS, block), row_of(constants, AT_LABEL, block)
    result, step, core_step = advance(args[RESULTS], first * steps[RESULTS]), steps[RESULTS], steps[CORE + 4]
    labels, labels_step, kind = advance(args[LABELS], first * steps[LABELS]), steps[LABELS], field(record, LABEL)
    ignored = load_label(args[IGNORED], INT64)
    for j in range(width):
        loss, lse = load_wide(advance(losses, j * 8)), load_wide(advance(lses, j * 8))
        weight = widen(T(1))
        if HAS_LABEL:
            weight = load_wide(advance(weights, j * 8))
            label = load_label(advance(labels, j * labels_step), kind)
            if label == ignored or label < 0 or label >= c:
                loss = widen(ZERO) if label == ignored else widen(NAN)
                weight, lse = loss, loss
            if HAS_GRAD:
                y, y_core = advance(args[GRAD], (first + j) * steps[GRAD]), steps[CORE + 5]
                if label == ignored:
                    no_gradient(y, y_core, c)  # also where it was zero: its neighbours' passes went over it
                elif label >= 0 and label < c:
                    store_x(advance(y, label * y_core), load_value(advance(at_label, j * COMPUTED_SIZE)))
        put_row(advance(result, j * step), core_step, loss, weight, lse)
    if option(args, steps, WANT_ARGMAX) != 0:
        indices = row_of(constants, INDEX, block)
        for j in range(width):
            index = widen(load_value(advance(indices, j * COMPUTED_SIZE)))
            if HAS_LABEL and load_label(advance(labels, j * labels_step), kind) == ignored:
                index = widen(ZERO)
            store_wide(advance(result, j * step + ARGMAX * core_step), index)


def entropy_columns(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """As ``entropy_rows``."""
    n, c = dims[0], dims[1]
    if taken_by_team(n * c, args, dims, steps, record):
        return
    short = are_short_rows(steps[X], steps[CORE], c)
    widest = block_of(c, short)
    small = small_tile()
    tile = new_tile(c, short, small)
    for first in range(0, n, widest):
        width = min(widest, n - first)
        entropy_block(args, steps, record, first, width, (width + STEP - 1) // STEP * STEP, c, short, tile)
    free_tile(tile, small)
    clear_fp_flags()


def filled_in(kernel: Any, dtype: str) -> dict[str, Any]:
    """What instances for a kernel and dtype have filled in, in both layouts."""
    compute = FLOATS[dtype].computed_in
    number = np.dtype(compute).type
    return {
        "HAS_LABEL": kernel.label,
        "HAS_DENSE": kernel.dense,
        "HAS_GRAD": kernel.grad,
        "CORE": 7 + kernel.grad,
        "COMPUTED_SIZE": np.dtype(compute).itemsize,
        "T": number,
        "NAN": number(np.nan),
        "ZERO": number(0),
        "finish": kernel.finish,
        "load_x": lanes.load(dtype),
        "load_value": lanes.load(compute),
        "load_wide": lanes.load("float64"),
        "load_label": memory.load_label,
        "store_x": lanes.store(dtype),
        "store_value": lanes.store(compute),
        "store_wide": lanes.store("float64"),
    }


def specialise_rows(kernel: Any, dtype: str) -> Callable[..., Any]:
    """The kernel of rows for one dtype."""
    compute = FLOATS[dtype].computed_in
    filled = along.filled_in(kernel, dtype) | filled_in(kernel, dtype)
    filled["count_matches"] = ElementLoop(match_one, [dtype, compute], [compute], updates=1)
    if kernel.dense and kernel.grad:
        filled["row_dense_sum"] = internal(instance(along.sum_of_terms, along.filled_in(kernel.of_weights(), dtype)))
    return instance(entropy_rows, filled)


def specialise_columns(kernel: Any, dtype: str) -> Callable[..., Any]:
    """The kernel of columns for one dtype."""
    compute = FLOATS[dtype].computed_in
    one, wide = [compute], ["float64"]
    results = wide * 2 + one * 7
    filled = across.filled_in(kernel, dtype) | filled_in(kernel, dtype)
    filled |= {
        "constant_tile": memory.stack_space(MORE_CONSTANTS * ROW_BYTES),
        "result_tile": memory.stack_space(STATE_ROWS * ROW_BYTES),
        "start_constants": block_loop(excess_one, one * 2 + wide, one * 4),
        "find_last": block_loop(last_one, [dtype, compute, "float64", compute], one, 1),
        "finish_rows": block_loop(kernel.finish, one * 2 + wide * 3 + one + wide + one, results),
    }
    if kernel.dense and kernel.grad:
        sums = instance(across.sums_of_terms, across.filled_in(kernel.of_weights(), dtype))
        filled["column_dense_sums"] = internal(sums)
    return instance(entropy_columns, filled)
