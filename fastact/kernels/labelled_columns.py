"""The kernels of rows with a target that lie side by side: a block of columns at a time, on the passes of ``across.py``."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import columns, lanes
from fastact.kernels.across import as_columns_each, as_rows_each, copied, instead_each, write_columns
from fastact.kernels.blocks import (
    STEP,
    Layout,
    block_loop,
    block_of,
    block_row,
    free_tile,
    loop_of_groups,
    new_tile,
    stored_row,
    tile_bytes,
    zero_row,
    zero_wide_row,
)
from fastact.kernels.columns import formula_of
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementwise import taken_by_team
from fastact.kernels.fields import LABEL
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.jit import internal
from fastact.kernels.labelled import (
    DENSE,
    GRAD,
    IGNORED,
    INT64,
    LABELS,
    OPTIONS,
    OUTCOMES,
    WEIGHTS,
    X,
    filled_in,
    no_gradients,
    put_row,
    results_wanted,
    scale_of,
)
from fastact.kernels.limits import ARGMAX, CHUNK, WANT_ARGMAX
from fastact.kernels.memory import (
    advance,
    field,
    own_function_with_wide_vectors,
)
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.transposition import are_short_rows
from fastact.kernels.tuples import Each, integers_at
from fastact.maths.simd import Scalar, bit_and, bits, from_bits, select, widen

ONES: dict[str, Any] = {
    "float32": np.uint32(2**32 - 1).view(np.float32),
    "float64": np.uint64(2**64 - 1).view(np.float64),
}
"""Numbers whose bits are all 1."""

# What instances fill in; the values here serve the reader and the type checker.
HAS_LABEL, HAS_DENSE, HAS_GRAD, HAS_STATE, SPARSE = True, False, False, True, False
SIZE, COMPUTED_SIZE, CORE, COMPACT, COMPACT_RESULTS = 4, 4, 7, (4,), (4,)
T: Any = np.float32
NAN = np.float32(np.nan)
ZERO = np.float32(0)
value = known = load_x = load_label = load_wide = store_x = load_value = store_value = store_wide = FILLED_IN
ones_step = mask_row = places_of = targets_of = options_stored = row_tile = index_tile = mask_tile = value_tile = (
    FILLED_IN
)
small_tile = keep_chunk = find_last = pick_rows = state_rows = result_rows = at_label_row = FILLED_IN
steps_of = cores_of = target_steps_of = target_cores_of = tiles_at = target_tiles_at = FILLED_IN


def put_row_at(y: Any, step: Any, label: Any, row: Any, j: Any) -> None:
    """Write what is at the label of column ``j`` of a block, from the block's row of such."""
    store_x(advance(y, label * step), load_value(advance(row, j * COMPUTED_SIZE)))


def last_one(elements: Any, index: Any, constants: Any) -> Any:
    """Index ``k`` if the element's value equals the maximum, or is NaN where the row holds one."""
    m, rest, k = constants[:3]
    exponent = value(elements, constants[3:])
    hit = select(rest == rest, exponent == m, exponent != exponent)
    # No choice between the old index and the new one, which would be a store under a mask; see ``simd.fmax``.
    return index[0] + select(hit, k - index[0], type(k)(0.0))


def replaced(values: Any, first: Any) -> Any:
    """The values with another first one."""
    return (first, *values[1:])


def picks_of_block(
    args: Any,
    steps: Any,
    record: Any,
    first: Any,
    x: Any,
    outer: Any,
    core: Any,
    width: Any,
    block: Any,
    c: Any,
    constants: Any,
    mask: Any,
) -> Any:
    """What is at the labels of a block of columns, zeros where there is none; and what their gradients are multiplied by.

    ``x`` is where the block's logits are, ``outer`` and ``core`` how many bytes apart. ``mask`` is given zeros where the label is
    ignored, and ones. The result is how many are ignored.
    """
    ignored, left_out = load_label(args[IGNORED], INT64), 0
    x_row, w_row, d_row, scale_row = pick_rows(constants, block)
    zero_row(x_row, block)
    zero_wide_row(w_row, block)
    zero_row(d_row, block)
    if HAS_GRAD:
        zero_wide_row(scale_row, block)
        for j in range(width):
            store_wide(advance(scale_row, j * 8), scale_of(args, steps, first + j))
    if HAS_LABEL:
        dense = advance(args[DENSE], first * steps[DENSE])
        labels, labels_step, kind = advance(args[LABELS], first * steps[LABELS]), steps[LABELS], field(record, LABEL)
        weights, weights_step = advance(args[WEIGHTS], first * steps[WEIGHTS]), steps[WEIGHTS]
        for i in range(0, block, STEP):
            ones_step(advance(mask, i * COMPUTED_SIZE))
        for j in range(width):
            label = load_label(advance(labels, j * labels_step), kind)
            place = j * COMPUTED_SIZE
            if label == ignored:
                store_value(advance(mask, place), ZERO)
                left_out += 1
            if label >= 0 and label < c:
                store_value(advance(x_row, place), load_x(advance(x, j * outer + label * core)))
                weight = load_wide(advance(weights, j * weights_step + label * steps[CORE + 1]))
                store_wide(advance(w_row, j * 8), weight)
                if HAS_DENSE:
                    d_place = advance(dense, j * steps[DENSE] + label * steps[CORE + 2])
                    store_value(advance(d_row, place), load_x(d_place))
    return left_out


def masked_one(mask: Scalar, y: Scalar) -> Scalar:
    """The gradient where the mask has ones, else 0, whatever it is."""
    return from_bits(bit_and(bits(mask), bits(y)))


def clear_columns(y: Any, core: Any, c: Any, block: Any, mask: Any) -> None:
    """Write zeros to the columns of a block that the mask leaves out."""
    for k in range(c):
        mask_row((mask, advance(y, k * core)), block, ())


put_rows, clear_each = Each(put_row_at), Each(clear_columns)


def labelled_block(
    args: Any, steps: Any, record: Any, first: Any, width: Any, block: Any, c: Any, short: Any, tile: Any
) -> None:
    """The losses of a block of columns, or of short rows as such, and their gradients; ``tile`` is memory for a chunk of them."""
    own_function_with_wide_vectors()
    constants, indices, row, mask = value_tile(), index_tile(), row_tile(), mask_tile()
    places, ys = places_of(args, steps, first), targets_of(args, steps, first)
    outer, cores, y_outer, y_cores = steps_of(steps), cores_of(steps), target_steps_of(steps), target_cores_of(steps)
    options = (*options_stored(args[OPTIONS], steps[CORE + 3]), c * 1.0)
    wide = width
    if short:
        tiles = tiles_at(tile, tile_bytes(c, True))
        as_columns_each((tiles, places, outer, cores, width, block, c))
        places, outer, cores, wide = tiles, COMPACT, instead_each((COMPACT, block * SIZE)), block
    elif c <= CHUNK and not SPARSE:
        # Read row by row, which the processor foresees; labels jump from row to row.
        keep_chunk(places, outer, cores, width, block, c, tile, constants, options)
        places, outer, cores = replaced(places, tile), replaced(outer, SIZE), replaced(cores, block * SIZE)
    left_out = picks_of_block(
        args, steps, record, first, places[0], outer[0], cores[0], width, block, c, constants, mask
    )
    wanted = results_wanted(args, steps)
    known(places, outer, cores, wide, block, c, tile, constants, options)
    if HAS_STATE and wanted & WANT_ARGMAX:
        zero_row(indices, block)
        m, rest = state_rows(constants, block)
        for k in range(c - 1, -1, -1):
            place = stored_row(tile, k, block)
            if c > CHUNK:
                place = block_row(advance(places[0], k * cores[0]), outer[0], width, block, row)
            find_last((place, m, rest, indices), block, (T(k), *options))
    if HAS_GRAD:
        if short:
            targets, y_within = (
                target_tiles_at(tile, tile_bytes(c, True)),
                instead_each((COMPACT_RESULTS, block * SIZE)),
            )
            write_columns(
                places, outer, cores, targets, COMPACT_RESULTS, y_within, wide, block, c, tile, constants, options
            )
            if left_out > 0:
                clear_each((targets, y_within, c, block, mask))
                left_out = 0
            as_rows_each((ys, y_outer, y_cores, targets, width, block, c))
        else:
            write_columns(places, outer, cores, ys, y_outer, y_cores, wide, block, c, tile, constants, options)
            if left_out > 0 and y_outer == COMPACT_RESULTS and width == block:
                clear_each((ys, y_cores, c, block, mask))
                left_out = 0
    put_block(args, steps, record, first, width, block, c, constants, indices, left_out > 0)


def put_block(
    args: Any,
    steps: Any,
    record: Any,
    first: Any,
    width: Any,
    block: Any,
    c: Any,
    constants: Any,
    indices: Any,
    uncleared: Any,
) -> None:
    """Write the results of a block of columns, and what differs from its neighbours in each column's gradient.

    ``uncleared`` says whether the gradients of ignored labels are not 0 yet.
    """
    losses, lses, weights = result_rows(constants, block)
    result, step, core_step = advance(args[OUTCOMES], first * steps[OUTCOMES]), steps[OUTCOMES], steps[CORE + 4]
    labels, labels_step, kind = advance(args[LABELS], first * steps[LABELS]), steps[LABELS], field(record, LABEL)
    ignored, wanted = load_label(args[IGNORED], INT64), results_wanted(args, steps)
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
                ys, y_cores = targets_of(args, steps, first + j), target_cores_of(steps)
                if label == ignored:
                    if uncleared:
                        no_gradients((ys, y_cores, c))  # also where it was zero: its neighbours' passes went over it
                elif label >= 0 and label < c:
                    put_rows((ys, y_cores, label, at_label_row(constants, block), j))
        put_row(advance(result, j * step), core_step, wanted, loss, weight, lse)
    if HAS_STATE and wanted & WANT_ARGMAX:
        for j in range(width):
            index = widen(load_value(advance(indices, j * COMPUTED_SIZE)))
            if HAS_LABEL and load_label(advance(labels, j * labels_step), kind) == ignored:
                index = widen(ZERO)
            store_wide(advance(result, j * step + ARGMAX * core_step), index)


def labelled_columns(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """As ``labelled_rows``."""
    n, c = dims[0], dims[1]
    if taken_by_team(n * c, args, dims, steps, record):
        return
    short = are_short_rows(steps[X], steps[CORE], c)
    widest = block_of(c, short)
    small = small_tile()
    tile = new_tile(c, short, small)
    for first in range(0, n, widest):
        width = min(widest, n - first)
        labelled_block(args, steps, record, first, width, (width + STEP - 1) // STEP * STEP, c, short, tile)
    free_tile(tile, small)
    clear_fp_flags()


def specialise_columns(kernel: Any, dtype: str) -> Callable[..., Any]:
    """The kernel of columns for one dtype."""
    compute = FLOATS[dtype].computed_in
    filled = columns.filled_in(kernel, dtype) | filled_in(kernel, dtype)
    layout: Layout = filled["layout"]
    operands, core = [X, DENSE][: len(kernel.reads)], filled["CORE"]
    grads = [GRAD + j for j in kernel.rows_written]
    filled |= {
        "steps_of": integers_at(operands),
        "cores_of": integers_at([core, core + 2][: len(operands)]),
        "target_steps_of": integers_at(grads),
        "target_cores_of": integers_at([core + 5 + j for j in kernel.rows_written]),
        "pick_rows": layout.rows(["x_label", "w_label", "d_label", "scale"]),
        "result_rows": layout.rows(["loss", "lse", "w_label"]),
        "index_tile": filled["row_tile"],
        "mask_tile": filled["row_tile"],
        "ones_step": lanes.fill(compute, ONES[compute], STEP),
        "mask_row": block_loop(masked_one, [compute, dtype], [dtype], 1),
        "keep_chunk": internal(instance(copied, filled)),
    }
    if kernel.has_state:
        state = next(kernel.steps(dtype))
        filled["state_rows"] = layout.rows(["m", "rest"])
        filled["value"] = formula_of(state.formula, kernel.reads[:1], layout, state.constants)
        filled["find_last"] = loop_of_groups(last_one, [dtype], [compute, "float64"], [compute])
    if grads:
        filled["at_label_row"] = layout.rows(kernel.at_label.split())
    return instance(labelled_columns, filled)
