"""The kernels of rows with a target, on the passes of ``along.py``; ``labelled_columns.py`` has those of rows side by side.

Operands: logits, label, weight of each class, a dense operand (probabilities, or the weights that smoothing needs), the label to
ignore, options, of which the last, what the gradient is multiplied by, may be another for each row; then the results, and, for
kernels with a gradient, the gradient, which may be the logits' own memory.

A label out of range gives NaN and leaves the gradient alone: Python finds it and raises.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import along, lanes, memory
from fastact.kernels.along import (
    computed_elsewhere,
    contiguous,
    write_row,
)
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import taken_by_team
from fastact.kernels.fields import LABEL
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.limits import ARGMAX, CHUNK, LANES, LOSS, LSE, WANT_ARGMAX, WANT_LSE, WANT_WEIGHT, WEIGHT
from fastact.kernels.memory import (
    advance,
    field,
    own_function_with_wide_vectors,
    zero_bytes,
)
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.tuples import Each, Named, integers_at, numbers_in, operands_at, picked
from fastact.maths.simd import select, widen

X, LABELS, WEIGHTS, DENSE, IGNORED, OPTIONS, OUTCOMES, GRAD = range(8)
"""The operands."""
INT64 = 3

# What instances fill in; the values here serve the reader and the type checker.
HAS_LABEL, HAS_DENSE, HAS_GRAD, HAS_STATE, SPARSE = True, False, False, True, False
SIZE, CORE = 4, 7
WANTED, ZEROED, SCALE = 5, 6, 7
SPARSE_COST = 32
"""Elements that take as long as a row of which one element is read, most often from memory."""
T: Any = np.float32
NAN = np.float32(np.nan)
ZERO = np.float32(0)
value = known = given = state_of = at_label_of = load_x = load_label = load_wide = store_x = store_wide = FILLED_IN
chunk_tile = lane_space = fill_zero = count_matches = sum_of_lanes = FILLED_IN
places_of = steps_within = targets_of = target_steps_within = options_stored = FILLED_IN


def match_one(elements: Any, found: Any, constants: Any) -> Any:
    """Count an element whose value equals the maximum, the first constant, or is NaN."""
    T = type(found[0])
    exponent = value(elements, constants[1:])
    return found[0] + select((exponent == constants[0]) | (exponent != exponent), T(1), T(0))


def switch(args: Any, steps: Any, k: Any) -> Any:
    """Option ``k``, the same for all rows."""
    return load_wide(advance(args[OPTIONS], k * steps[CORE + 3]))


def scale_of(args: Any, steps: Any, i: Any) -> Any:
    """What the gradient of row ``i`` is multiplied by."""
    return load_wide(advance(args[OPTIONS], i * steps[OPTIONS] + SCALE * steps[CORE + 3]))


def results_wanted(args: Any, steps: Any) -> Any:
    """The bits of what is wanted."""
    return int(switch(args, steps, WANTED))


def put_row(place: Any, step: Any, wanted: Any, loss: Any, weight: Any, lse: Any) -> None:
    """Write a row's results but for the index of its maximum."""
    store_wide(advance(place, LOSS * step), loss)
    if wanted & WANT_WEIGHT:
        store_wide(advance(place, WEIGHT * step), weight)
    if wanted & WANT_LSE:
        store_wide(advance(place, LSE * step), lse)


def first_match(x: Any, step: Any, c: Any, m: Any, constants: Any) -> Any:
    """The first index whose element equals ``m``, or is NaN."""
    own_function_with_wide_vectors()
    tile, found = chunk_tile(), lane_space()
    for start in range(0, c, CHUNK):
        count = min(CHUNK, c - start)
        chunk = contiguous(advance(x, start * step), step, count, tile)
        fill_zero(found)
        for i in range(0, count, LANES):
            count_matches((advance(chunk, i * SIZE), found), min(LANES, count - i), (m, *constants))
        if sum_of_lanes(found) > 0:
            for i in range(count):
                found_value = value((load_x(advance(chunk, i * SIZE)),), constants)
                if found_value == m or found_value != found_value:
                    return start + i
    return 0


def no_gradient(y: Any, step: Any, c: Any) -> None:
    """A row without a gradient."""
    if step == SIZE:
        zero_bytes(y, c * SIZE)
    else:
        for k in range(c):
            store_x(advance(y, k * step), ZERO)


def put_at(y: Any, step: Any, label: Any, number: Any) -> None:
    """Write what is at a row's label."""
    store_x(advance(y, label * step), number)


no_gradients, put_each = Each(no_gradient), Each(put_at)


def labelled_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """A row's loss, and its gradient."""
    n, c = dims[0], dims[1]
    if SPARSE:  # whose rows nobody reads
        if n > 1 and taken_by_team(n * SPARSE_COST, args, dims, steps, record):
            return
    elif computed_elsewhere(args, dims, steps, record):
        return
    x_core, w_core, d_core = steps[CORE], steps[CORE + 1], steps[CORE + 2]
    kind, ignored = field(record, LABEL), load_label(args[IGNORED], INT64)
    options = (*options_stored(args[OPTIONS], steps[CORE + 3]), c * 1.0)
    within, y_within, wanted = steps_within(steps), target_steps_within(steps), results_wanted(args, steps)
    for i in range(n):
        places, ys = places_of(args, steps, i), targets_of(args, steps, i)
        x, result, result_step = places[0], advance(args[OUTCOMES], i * steps[OUTCOMES]), steps[CORE + 4]
        label, weight, x_label, d_label = 0, widen(T(1)), ZERO, ZERO
        if HAS_LABEL:
            label = load_label(advance(args[LABELS], i * steps[LABELS]), kind)
            if label == ignored or label < 0 or label >= c:
                nothing = widen(ZERO) if label == ignored else widen(NAN)
                put_row(result, result_step, wanted, nothing, nothing, nothing)
                if wanted & WANT_ARGMAX:
                    store_wide(advance(result, ARGMAX * result_step), nothing)
                if HAS_GRAD and not SPARSE and label == ignored and switch(args, steps, ZEROED) == 0:
                    no_gradients((ys, y_within, c))
                continue
            x_label = load_x(advance(x, label * x_core))
            weight = load_wide(advance(args[WEIGHTS], i * steps[WEIGHTS] + label * w_core))
            if HAS_DENSE:
                d_label = load_x(advance(args[DENSE], i * steps[DENSE] + label * d_core))
        y, y_step = result, 0
        if HAS_GRAD and not SPARSE:
            y, y_step = ys[0], y_within[0]
        fixed = (x_label, weight, d_label, scale_of(args, steps, i), *options)
        constants = known(places, within, c, fixed, y, y_step) + fixed
        loss, lse = given(constants)
        put_row(result, result_step, wanted, loss, weight, lse)
        if HAS_STATE and wanted & WANT_ARGMAX:
            m, rest = state_of(constants)
            index = first_match(x, x_core, c, NAN if rest != rest else m, fixed)
            store_wide(advance(result, ARGMAX * result_step), index * 1.0)
        if HAS_GRAD:
            if not SPARSE:
                write_row(places, within, ys, y_within, c, constants, False)
            if HAS_LABEL:
                put_each((ys, y_within, label, at_label_of(constants)))
    clear_fp_flags()


def filled_in(kernel: Any, dtype: str) -> dict[str, Any]:
    """What instances for a kernel and dtype have filled in, in both layouts."""
    compute = FLOATS[dtype].computed_in
    number = np.dtype(compute).type
    operands = [X, DENSE][: len(kernel.reads)]
    grads = [GRAD + j for j in kernel.rows_written]
    core = kernel.inputs + kernel.outputs
    filled = {
        "HAS_LABEL": kernel.label,
        "HAS_DENSE": len(operands) > 1,
        "HAS_GRAD": len(grads) > 0,
        "HAS_STATE": kernel.has_state,
        "SPARSE": kernel.sparse,
        "CORE": core,
        "WANTED": len(kernel.options),
        "ZEROED": len(kernel.options) + 1,
        "SCALE": len(kernel.options) + 2,
        "COMPUTED_SIZE": np.dtype(compute).itemsize,
        "T": number,
        "NAN": number(np.nan),
        "ZERO": number(0),
        "load_x": lanes.load(dtype),
        "load_value": lanes.load(compute),
        "load_wide": lanes.load("float64"),
        "load_label": memory.load_label,
        "store_x": lanes.store(dtype),
        "store_value": lanes.store(compute),
        "store_wide": lanes.store("float64"),
        "places_of": operands_at(operands),
        "targets_of": operands_at(grads),
        "options_stored": numbers_in(["float64"] * len(kernel.options), "float64"),
    }
    if kernel.has_state:
        state = next(kernel.steps(dtype))
        filled["value"] = Named(state.formula, kernel.reads[:1], state.constants)
    return filled


def specialise_rows(kernel: Any, dtype: str) -> Callable[..., Any]:
    """The kernel of rows for one dtype."""
    compute = FLOATS[dtype].computed_in
    filled = along.filled_in(kernel, dtype) | filled_in(kernel, dtype)
    names, core = list(kernel.constants(dtype)), filled["CORE"]

    def places(*wanted: str) -> Any:
        return picked([names.index(name) for name in wanted])

    filled |= {
        "steps_within": integers_at([core, core + 2][: len(kernel.reads)]),
        "target_steps_within": integers_at([core + 5 + j for j in kernel.rows_written]),
        "given": places("loss", "lse"),
    }
    if kernel.has_state:
        filled["count_matches"] = ElementLoop(match_one, [dtype, compute], [compute], updates=1, constants=0)
        filled["state_of"] = places("m", "rest")
    if kernel.rows_written:
        filled["at_label_of"] = places(*kernel.at_label.split())
    return instance(labelled_rows, filled)
