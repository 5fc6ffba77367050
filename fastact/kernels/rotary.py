"""The inner loop of ``fastact.kinds.rotary``: rows of pairs, ``LANES`` pairs at a time, each read before it is written.

What is left over, or does not lie side by side, goes through tiles and the same vectors, so no result depends on its place.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastact.kernels import along, memory
from fastact.kernels.dtypes import FLOATS
from fastact.kernels.elementwise import gather, scatter, taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.intrinsics import I32
from fastact.kernels.maxout_vectors import Emitter
from fastact.kernels.memory import (
    advance,
    copy_bytes,
    own_function_with_wide_vectors,
)
from fastact.kernels.templates import FILLED_IN

LANES = 16
"""Pairs that are rotated at a time."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE, COMPUTED_SIZE, INTERLEAVED = 4, 4, False
rotate = pair_tile = result_tile = angle_tiles = FILLED_IN


def first_of(row: Any, k: Any) -> Any:
    """Where the first element of a row's pair ``k`` is, if elements lie side by side."""
    return advance(row, (2 * k if INTERLEAVED else k) * SIZE)


def pairs_to_tile(tile: Any, x: Any, step: Any, k: Any, m: Any, count: Any) -> None:
    """Copy pairs of a row of ``m`` to a tile of ``LANES``."""
    if INTERLEAVED:
        gather(tile, advance(x, 2 * k * step), step, 2 * count)
    else:
        gather(tile, advance(x, k * step), step, count)
        gather(advance(tile, LANES * SIZE), advance(x, (m + k) * step), step, count)


def pairs_from_tile(tile: Any, y: Any, step: Any, k: Any, m: Any, count: Any) -> None:
    """Copy them back."""
    if INTERLEAVED:
        scatter(advance(y, 2 * k * step), step, tile, 2 * count)
    else:
        scatter(advance(y, k * step), step, tile, count)
        scatter(advance(y, (m + k) * step), step, advance(tile, LANES * SIZE), count)


def rotated_row(x: Any, x_step: Any, cos: Any, sin: Any, y: Any, y_step: Any, m: Any) -> None:
    """Rotate the ``m`` pairs of a row."""
    own_function_with_wide_vectors()
    whole = 0
    if x_step == SIZE and y_step == SIZE:
        whole = m // LANES * LANES
        for k in range(0, whole, LANES):
            angle = k * COMPUTED_SIZE
            rotate(first_of(x, k), m, advance(cos, angle), advance(sin, angle), first_of(y, k))
    if whole < m:
        tile, results, angles = pair_tile(), result_tile(), angle_tiles()
        sines = advance(angles, LANES * COMPUTED_SIZE)
        for k in range(whole, m, LANES):
            count = min(LANES, m - k)
            pairs_to_tile(tile, x, x_step, k, m, count)
            copy_bytes(angles, advance(cos, k * COMPUTED_SIZE), count * COMPUTED_SIZE)
            copy_bytes(sines, advance(sin, k * COMPUTED_SIZE), count * COMPUTED_SIZE)
            rotate(tile, LANES, angles, sines, results)
            pairs_from_tile(results, y, y_step, k, m, count)


def rotated_rows(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Rotate the pairs of each row of each matrix; the last step of cosines and sines is that of neighbours."""
    n, r, c, m = dims[0], dims[1], dims[2], dims[3]
    if n > 1 and taken_by_team(n * r * c, args, dims, steps, record):
        return
    for i in range(n):
        x, y = advance(args[0], i * steps[0]), advance(args[3], i * steps[3])
        cos, sin = advance(args[1], i * steps[1]), advance(args[2], i * steps[2])
        for k in range(r):
            angles = advance(cos, k * steps[6]), advance(sin, k * steps[8])
            rotated_row(
                advance(x, k * steps[4]), steps[5], angles[0], angles[1], advance(y, k * steps[10]), steps[11], m
            )
    clear_fp_flags()


def rotation(dtype: str, interleaved: bool) -> Any:
    """An intrinsic that rotates ``LANES`` pairs: it takes where they are, how far apart halves are, both angles and the target."""
    elements, angles = Emitter(dtype, False), Emitter(FLOATS[dtype].computed_in, False)
    back = ir.Constant(ir.VectorType(I32, 2 * LANES), [k // 2 + k % 2 * LANES for k in range(2 * LANES)])

    @intrinsic
    def rotate(typing_context: Any, x: Any, apart: Any, cos: Any, sin: Any, y: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            x, apart, cos, sin, y = values
            if interleaved:
                halves = [elements.load(builder, elements.at(builder, x, k * LANES), LANES) for k in range(2)]
                a, b = (elements.every(builder, [(half, None) for half in halves], k, 2, LANES)[0] for k in range(2))
            else:
                a, b = (elements.load(builder, place, LANES) for place in (x, elements.at(builder, x, apart)))
            c, s = (angles.load(builder, place, LANES) for place in (cos, sin))
            first = builder.fsub(builder.fmul(a, c), builder.fmul(b, s))
            second = builder.fadd(builder.fmul(b, c), builder.fmul(a, s))
            if interleaved:
                elements.store(builder, y, builder.shuffle_vector(first, second, back))
            else:
                elements.store(builder, y, first)
                elements.store(builder, elements.at(builder, y, apart), second)
            return context.get_dummy_value()

        places = types.voidptr, types.intp, types.voidptr, types.voidptr, types.voidptr
        return types.void(*places), codegen

    return rotate


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``rotated_rows`` for one kernel and dtype."""
    size, computed_size = np.dtype(dtype).itemsize, np.dtype(FLOATS[dtype].computed_in).itemsize
    filled = along.common(dtype) | {
        "COMPUTED_SIZE": computed_size,
        "INTERLEAVED": kernel.interleaved,
        "rotate": rotation(dtype, kernel.interleaved),
        "pair_tile": memory.stack_space(2 * LANES * size),
        "result_tile": memory.stack_space(2 * LANES * size),
        "angle_tiles": memory.stack_space(2 * LANES * computed_size),
    }
    return instance(rotated_rows, filled)
