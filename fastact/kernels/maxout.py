"""The inner loops of maxout, written once for every number of pieces and dtype.

A block is as many groups as a vector has lanes. Where a group's pieces lie side by side, the block is loaded as whole vectors and
taken apart by shuffles; where groups lie side by side, vectors run across them. Vectors are written out in LLVM's terms,
because its vectoriser takes apart groups of two and of four, but loads those of other sizes one element at a time.

The larger of two pieces is the second if it is greater, or the only NaN; of equals it is the first. Applied to neighbours
this gives the same piece in any bracketing, so all loops give the same bits: those of the piece itself.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import memory
from fastact.kernels.elementwise import gather, scatter, taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.jit import internal
from fastact.kernels.limits import MOST_PIECES
from fastact.kernels.maxout_vectors import INDEX_SIZE, SHORT_LANES, VECTOR_BYTES, ZEROED_BYTES, Emitter
from fastact.kernels.memory import (
    advance,
    as_address,
    own_function_with_wide_vectors,
    zero_bytes,
)
from fastact.kernels.templates import FILLED_IN

# What instances fill in; the values here serve the reader and the type checker.
SIZE, LANES, COLUMNS, PIECES, INDEX = 4, 16, 32, 2, False
ARGS = 2
dense_block = short_block = column_block = one_group = set_piece = piece_tile = result_tile = index_tile = FILLED_IN
copy_element = spread_element = gather_index = scatter_index = groups = FILLED_IN


def largest(x: Any, x_step: Any, core: Any, y: Any, y_step: Any, w: Any, w_step: Any, n: Any, k: Any) -> None:
    """The largest of ``k`` pieces, ``core`` bytes apart, for ``n`` groups; ``w`` takes their indices if there are any."""
    own_function_with_wide_vectors()
    count = PIECES if PIECES > 0 else k
    dense = core == SIZE and x_step == count * SIZE
    columns = x_step == SIZE and not dense
    width = COLUMNS if columns else LANES
    if n < width or not (dense or columns or PIECES > 0):
        for i in range(n):
            one_group(advance(x, i * x_step), core, count, advance(y, i * y_step), advance(w, i * w_step))
        return
    y_tile, w_tile, x_tile = result_tile(), index_tile(), piece_tile()
    direct = y_step == SIZE and (w_step == INDEX_SIZE or not INDEX)
    # The first block and the last may overlap others, which then write the same again: all between are aligned.
    aligned = -as_address(y) % VECTOR_BYTES // SIZE
    start, following = 0, aligned if direct and 0 < aligned < width else width
    while start < n:
        first = min(start, n - width)
        source = advance(x, first * x_step)
        target, chosen = y_tile, w_tile
        if direct:
            target, chosen = advance(y, first * SIZE), advance(w, first * w_step)
        if columns:
            column_block(source, core, count, target, chosen)
        else:
            if not dense:
                for j in range(count):
                    for i in range(LANES):
                        copy_element(advance(x_tile, (i * count + j) * SIZE), advance(source, i * x_step + j * core))
                source = x_tile
            if PIECES > 0 or count >= LANES:
                dense_block(source, count, target, chosen)
            else:
                short_block(source, count, target, chosen)
                if LANES > SHORT_LANES:
                    source = advance(source, SHORT_LANES * x_step)
                    target, chosen = advance(target, SHORT_LANES * SIZE), advance(chosen, SHORT_LANES * INDEX_SIZE)
                    short_block(source, count, target, chosen)
        if not direct:
            scatter(advance(y, first * y_step), y_step, y_tile, width)
            if INDEX:
                scatter_index(advance(w, first * w_step), w_step, w_tile, width)
        start, following = following, following + width


def place(g: Any, g_step: Any, w: Any, w_step: Any, out: Any, out_step: Any, core: Any, n: Any, k: Any) -> None:
    """Write each of ``n`` gradients to the piece of its group that has the index, and zeros to the others."""
    own_function_with_wide_vectors()
    count = PIECES if PIECES > 0 else k
    dense = PIECES > 0 and core == SIZE and out_step == count * SIZE
    columns = out_step == SIZE and not dense
    width = COLUMNS if columns else LANES
    if core == SIZE and out_step == count * SIZE and not dense:
        together = max(1, ZEROED_BYTES // out_step)
        for start in range(0, n, together):
            stop = min(start + together, n)
            zero_bytes(advance(out, start * out_step), (stop - start) * out_step)
            for i in range(start, stop):
                set_piece(advance(g, i * g_step), advance(w, i * w_step), advance(out, i * out_step), count)
        return
    if n < width or not (dense or columns):
        for i in range(n):
            one_group(advance(g, i * g_step), advance(w, i * w_step), advance(out, i * out_step), core, count)
        return
    g_tile, w_tile = result_tile(), index_tile()
    start = 0
    while start < n:
        if start + width > n:
            start = n - width
        gradients, indices = advance(g, start * g_step), advance(w, start * w_step)
        if g_step != SIZE:
            gather(g_tile, gradients, g_step, width)
            gradients = g_tile
        if w_step != INDEX_SIZE:
            gather_index(w_tile, indices, w_step, width)
            indices = w_tile
        target = advance(out, start * out_step)
        if columns:
            column_block(gradients, indices, target, core, count)
        else:
            dense_block(gradients, indices, target)
        start += width


# NumPy's inner loops: of groups, and of rows of groups.


def largest_of_groups(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """``(k)->()`` and ``(k)->(),()``."""
    n, k = dims[0], dims[1]
    if n > 1 and taken_by_team(n * k, args, dims, steps, record):
        return
    last = ARGS - 1
    groups(args[0], steps[0], steps[ARGS], args[1], steps[1], args[last], steps[last], n, k)
    clear_fp_flags()


def largest_of_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """``(k,b)->(b)`` and ``(k,b)->(b),(b)``."""
    n, k, b = dims[0], dims[1], dims[2]
    if n > 1 and taken_by_team(n * k * b, args, dims, steps, record):
        return
    last = ARGS - 1
    for i in range(n):
        groups(
            advance(args[0], i * steps[0]),
            steps[ARGS + 1],
            steps[ARGS],
            advance(args[1], i * steps[1]),
            steps[ARGS + 2],
            advance(args[last], i * steps[last]),
            steps[ARGS + 1 + last],
            b,
            k,
        )
    clear_fp_flags()


def place_in_groups(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """``(),()->(k)``."""
    n, k = dims[0], dims[1]
    if n > 1 and taken_by_team(n * k, args, dims, steps, record):
        return
    groups(args[0], steps[0], args[1], steps[1], args[2], steps[2], steps[3], n, k)
    clear_fp_flags()


def place_in_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """``(b),(b)->(k,b)``."""
    n, b, k = dims[0], dims[1], dims[2]
    if n > 1 and taken_by_team(n * k * b, args, dims, steps, record):
        return
    for i in range(n):
        groups(
            advance(args[0], i * steps[0]),
            steps[3],
            advance(args[1], i * steps[1]),
            steps[4],
            advance(args[2], i * steps[2]),
            steps[6],
            steps[5],
            b,
            k,
        )
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """A kernel for one dtype."""
    size = np.dtype(dtype).itemsize
    lanes = VECTOR_BYTES // max(size, 4)
    emit = Emitter(dtype, kernel.index)
    filled: dict[str, Any] = {
        "SIZE": size,
        "LANES": lanes,
        "COLUMNS": 2 * lanes,
        "PIECES": kernel.pieces,
        "INDEX": kernel.index,
        "ARGS": kernel.inputs + kernel.outputs,
        "copy_element": memory.copy_element(size),
        "spread_element": memory.spread_element(size),
        "result_tile": memory.stack_space(2 * lanes * size),
        "index_tile": memory.stack_space(2 * lanes * INDEX_SIZE),
        "piece_tile": memory.stack_space(MOST_PIECES * lanes * size),
    }
    of_indices = {
        "SIZE": INDEX_SIZE,
        "copy_element": memory.copy_element(INDEX_SIZE),
        "spread_element": memory.spread_element(INDEX_SIZE),
    }
    if kernel.backward:
        filled |= {
            "dense_block": emit.placed(kernel.pieces, lanes),
            "column_block": emit.placed_columns(2 * lanes),
            "one_group": emit.placed_one(),
            "set_piece": emit.set_piece(),
        }
    else:
        dense = emit.largest(kernel.pieces, lanes) if kernel.pieces else emit.largest_of_many(lanes)
        filled |= {
            "dense_block": dense,
            "short_block": emit.largest_of_many(SHORT_LANES),
            "column_block": emit.largest_columns(2 * lanes, kernel.pieces),
            "one_group": emit.largest_one(),
        }
    filled |= {
        "gather_index": internal(instance(gather, of_indices)),
        "scatter_index": internal(instance(scatter, of_indices)),
        "groups": place if kernel.backward else largest,
    }
    templates = {
        (False, False): largest_of_groups,
        (False, True): largest_of_rows,
        (True, False): place_in_groups,
        (True, True): place_in_rows,
    }
    return instance(templates[kernel.backward, kernel.rows], filled)
