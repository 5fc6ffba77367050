"""Short rows as columns and back: a block of rows is transposed in squares that fit the registers.

Element by element it would take longer than what is computed of them.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastact.kernels.elementwise import gather, scatter
from fastact.kernels.intrinsics import I32, I64
from fastact.kernels.lanes import prefetch, prefetch_for_writing
from fastact.kernels.memory import advance, own_function_with_wide_vectors
from fastact.kernels.templates import FILLED_IN

LONGEST = 128
"""Rows of up to so many elements are transposed."""
TILE_BYTES = 16 * 1024
"""Bytes of a block of transposed rows as they are computed: two such should stay in the first-level cache."""
SMALLEST = 4
"""Side of the smallest square."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE, COMPUTED_SIZE, LARGE, STEP = 4, 4, True, 32
fill_step = large_square = middle_square = small_square = FILLED_IN


def square(size: int, side: int) -> Any:
    """An intrinsic that transposes a square of elements of ``size`` bytes, given addresses and distances of rows in bytes."""
    kind = ir.VectorType(ir.IntType(8 * size), side)

    @intrinsic
    def transpose(typing_context: Any, target: Any, target_row: Any, source: Any, source_row: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            target, target_row, source, source_row = values

            def place(base: Any, row: Any, i: int) -> Any:
                return builder.bitcast(builder.gep(base, [builder.mul(row, I64(i))]), kind.as_pointer())

            lines = [builder.load(place(source, source_row, i), align=1) for i in range(side)]
            half = side // 2
            while half:
                lines = _exchanged(builder, lines, half)
                half //= 2
            for i, line in enumerate(lines):
                builder.store(line, place(target, target_row, i), align=1)
            return context.get_dummy_value()

        return types.void(types.voidptr, types.intp, types.voidptr, types.intp), codegen

    return transpose


def _exchanged(builder: Any, lines: list[Any], half: int) -> list[Any]:
    """Exchange the blocks of ``half`` x ``half`` elements that lie off the diagonal of each square of twice the side."""
    side = len(lines)
    upper = [j if not j & half else side + j - half for j in range(side)]
    lower = [j + half if not j & half else side + j for j in range(side)]
    exchanged = list(lines)
    for i in range(side):
        if not i & half:
            pair = lines[i], lines[i + half]
            exchanged[i] = builder.shuffle_vector(*pair, _mask(upper))
            exchanged[i + half] = builder.shuffle_vector(*pair, _mask(lower))
    return exchanged


def _mask(indices: list[int]) -> Any:
    return ir.Constant(ir.VectorType(I32, len(indices)), indices)


def in_squares(
    target: Any, target_row: Any, source: Any, source_row: Any, rows: Any, columns: Any, to_read: Any, to_write: Any
) -> None:
    """Write ``columns`` rows of ``rows`` elements each, given as many the other way round; at least SMALLEST of both.

    Of the squares that fit the largest are taken; where they do not go into a length, the last two overlap. Memory is asked for
    what lies so many bytes ahead, to be read or written with the next block, unless that is 0.
    """
    own_function_with_wide_vectors()
    shorter = min(rows, columns)
    side = SMALLEST
    if LARGE and shorter >= 16:
        side = 16
    elif shorter >= 8:
        side = 8
    for i in range(0, rows, side):
        first = min(i, rows - side)
        for k in range(0, columns, side):
            column = min(k, columns - side)
            place = advance(target, column * target_row + first * SIZE)
            given = advance(source, first * source_row + column * SIZE)
            if to_read != 0:
                for j in range(side):
                    prefetch(advance(given, j * source_row + to_read))
            if to_write != 0:
                for j in range(side):
                    prefetch_for_writing(advance(place, j * target_row + to_write))
            if LARGE and side == 16:
                large_square(place, target_row, given, source_row)
            elif side == 8:
                middle_square(place, target_row, given, source_row)
            else:
                small_square(place, target_row, given, source_row)


def are_short_rows(step: Any, core_step: Any, c: Any) -> Any:
    """Whether rows of ``c`` elements, which lie ``core_step`` bytes apart, are better transposed than computed where they are."""
    return c <= LONGEST and core_step == SIZE and step != SIZE


def transposed_width(c: Any) -> Any:
    """How many rows make a block."""
    return max(1, TILE_BYTES // (STEP * COMPUTED_SIZE * max(1, c))) * STEP


def as_columns(tile: Any, x: Any, step: Any, core_step: Any, width: Any, block: Any, c: Any) -> None:
    """Copy ``width`` rows into a tile of ``c`` rows of ``block`` elements; what is beyond them is 0."""
    if width < block:
        for k in range(c):
            fill_step(advance(tile, ((k + 1) * block - STEP) * SIZE))
    if core_step == SIZE and min(width, c) >= SMALLEST:
        in_squares(tile, block * SIZE, x, step, width, c, block * step, 0)
    else:
        for k in range(c):
            gather(advance(tile, k * block * SIZE), advance(x, k * core_step), step, width)


def as_rows(y: Any, step: Any, core_step: Any, tile: Any, width: Any, block: Any, c: Any) -> None:
    """Copy such a tile to the rows that it stands for."""
    if core_step == SIZE and min(width, c) >= SMALLEST:
        in_squares(y, step, tile, block * SIZE, c, width, 0, block * step)
    else:
        for k in range(c):
            scatter(advance(y, k * core_step), step, advance(tile, k * block * SIZE), width)


def filled_in(dtype: str) -> dict[str, Any]:
    """What instances of the functions above have filled in for one dtype, besides what they share with ``across.py``."""
    size = np.dtype(dtype).itemsize
    return {
        "LARGE": size < 8,
        "small_square": square(size, 4),
        "middle_square": square(size, 8),
        "large_square": square(size, 16),
    }
