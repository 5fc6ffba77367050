"""The inner loop that NumPy calls, written once for every op, arity and dtype.

``kernel`` decides where an array's elements go: to other threads, straight through the vector loop, or through tiles
that make every other operand contiguous. All elements pass through one copy of the vector loop, whole blocks at a time, so a
result depends neither on its position nor on the array's layout. ``specialise`` makes it for one op and dtype.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import flags, memory
from fastact.kernels.elementloop import INTERLEAVE, ElementLoop
from fastact.kernels.fields import ENTRY, PARALLEL_FROM, STREAM_FROM
from fastact.kernels.instance import instance
from fastact.kernels.jit import internal
from fastact.kernels.memory import (
    advance,
    as_address,
    call_loop,
    copy_bytes,
    field,
    own_function_with_wide_vectors,
    set_pointer,
    stream_line,
)
from fastact.kernels.overlap import ANY_ORDER, ONE_BY_ONE, required_order
from fastact.kernels.templates import FILLED_IN

TILE_BYTES = 4096
"""One operand's tile. Five of them, the most an op has, fit a 32 KiB first-level cache."""

LINE_BYTES, ALIGN_FROM = 64, 2048
"""Arrays of so many elements or more are worth starting at a cache line of the output: NumPy's large arrays start 16 bytes into
one, and stores across two lines take up to a quarter longer."""

BLOCK_BYTES = 64 * INTERLEAVE
"""What the vector loop takes at a time: as many of the widest registers as it interleaves."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE, INPUTS, ARGS, TILE, BLOCK = 4, 1, 2, TILE_BYTES // 4, BLOCK_BYTES // 4
UNARY, REDUCIBLE = True, False
element_loop = copy_element = spread_element = fill_with_ones = copy_first = tiles = clear_fp_flags = tile_pointers = (
    FILLED_IN
)


@internal
def taken_by_team(elements: Any, args: Any, dims: Any, steps: Any, record: Any) -> Any:
    """Hand a call over to the team of threads if its elements are many; whether it was."""
    many = elements >= field(record, PARALLEL_FROM)
    if many:
        call_loop(field(record, ENTRY), args, dims, steps, record)
    return many


@internal
def streams(record: Any) -> Any:
    """Whether a call writes more than the caches hold, so that results are better written past them."""
    return field(record, STREAM_FROM) == 0


@internal
def stream_bytes(target: Any, source: Any, count: Any) -> None:
    """As ``copy_bytes``, past the caches as far as whole lines go."""
    first = min(count, -as_address(target) % LINE_BYTES)
    last = first + (count - first) // LINE_BYTES * LINE_BYTES
    if first > 0:
        copy_bytes(target, source, first)
    for i in range(first, last, LINE_BYTES):
        stream_line(advance(target, i), advance(source, i))
    if last < count:
        copy_bytes(advance(target, last), advance(source, last), count - last)


def kernel(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Compute ``dims[0]`` elements; the C type is NumPy's inner loop."""
    n = dims[0]
    order = ANY_ORDER
    if REDUCIBLE or n >= field(record, PARALLEL_FROM):
        order = required_order(args, steps, n, ARGS, INPUTS, SIZE)
    if order == ANY_ORDER and taken_by_team(n, args, dims, steps, record):
        return
    if order == ONE_BY_ONE:
        for i in range(n):
            tiled(args, i, i + 1, steps, False)
        clear_fp_flags()
        return
    contiguous, streamed = True, UNARY and streams(record)
    for j in range(ARGS):
        if steps[j] != SIZE:
            contiguous = False
            streamed = streamed and j < INPUTS
    if UNARY and as_address(args[0]) == as_address(args[1]):
        streamed = False  # the lines that are written are those that have just been read
    first = 0
    if n >= ALIGN_FROM and (contiguous or streamed):
        first = -as_address(args[ARGS - 1]) % LINE_BYTES // SIZE
        tiled(args, 0, first, steps, False)
    last = first
    if contiguous and not streamed:
        last = first + (n - first) // BLOCK * BLOCK
        if first < last:
            pointers = tile_pointers()
            for j in range(ARGS):
                set_pointer(pointers, j, advance(args[j], first * SIZE))
            vector_loop(pointers, last - first)
    if last < n:
        tiled(args, last, n, steps, streamed)
    clear_fp_flags()


def vector_loop(pointers: Any, n: Any) -> None:
    """Compute ``n`` contiguous elements, a multiple of ``BLOCK``."""
    own_function_with_wide_vectors()
    element_loop(pointers, n)


def tiled(args: Any, first: Any, n: Any, steps: Any, streamed: Any) -> None:
    """Compute elements ``first`` to ``n`` of operands with any steps, through tiles padded to whole blocks.

    Results that are ``streamed``, which lie side by side, go to memory past the caches.
    """
    space = tiles()
    pointers = tile_pointers()
    for start in range(first, n, TILE):
        count = min(TILE, n - start)
        padded = (count + BLOCK - 1) // BLOCK * BLOCK
        for j in range(ARGS):
            operand = advance(args[j], start * steps[j])
            tile = advance(space, j * TILE_BYTES)
            if steps[j] == SIZE and count == padded and not (streamed and j >= INPUTS):
                set_pointer(pointers, j, operand)
            else:
                set_pointer(pointers, j, tile)
                # A broadcast operand (step 0) keeps its first tile, which is never the shorter one.
                if j < INPUTS and (steps[j] != 0 or start == first):
                    gather_padded(tile, operand, steps[j], count)
        vector_loop(pointers, padded)
        for j in range(INPUTS, ARGS):
            operand, tile = advance(args[j], start * steps[j]), advance(space, j * TILE_BYTES)
            if streamed:
                stream_bytes(operand, tile, count * SIZE)
            elif steps[j] != SIZE or count != padded:
                scatter(operand, steps[j], tile, count)


def gather_padded(tile: Any, operand: Any, step: Any, count: Any) -> None:
    """As ``gather``, and fill the rest of the tile's last block with ones."""
    whole = (count - 1) // BLOCK * BLOCK
    if step == SIZE:
        if whole > 0:
            copy_bytes(tile, operand, whole * SIZE)
        copy_first(advance(tile, whole * SIZE), advance(operand, whole * SIZE), count - whole)
    else:
        fill_with_ones(advance(tile, whole * SIZE))
        gather(tile, operand, step, count)


def gather(tile: Any, operand: Any, step: Any, count: Any) -> None:
    """Copy ``count`` elements that lie ``step`` bytes apart into a tile."""
    if step == SIZE:
        copy_bytes(tile, operand, count * SIZE)
    elif step == 0:
        spread_element(tile, operand, count)
    else:
        for i in range(count):
            copy_element(advance(tile, i * SIZE), advance(operand, i * step))


def scatter(operand: Any, step: Any, tile: Any, count: Any) -> None:
    """Copy ``count`` elements of a tile to places that lie ``step`` bytes apart."""
    if step == SIZE:
        copy_bytes(operand, tile, count * SIZE)
    else:
        for i in range(count):
            copy_element(advance(operand, i * step), advance(tile, i * SIZE))


def filled_in(kind: Any, dtype: str) -> dict[str, Any]:
    """What instances for a kernel and dtype have filled in."""
    inputs, outputs = kind.inputs, kind.outputs
    args = inputs + outputs
    size = np.dtype(dtype).itemsize
    block = BLOCK_BYTES // max(size, 4)
    return {
        "SIZE": size,
        "INPUTS": inputs,
        "ARGS": args,
        "TILE": TILE_BYTES // size,
        "BLOCK": block,
        "UNARY": inputs == outputs == 1,
        "REDUCIBLE": (inputs, outputs) == (2, 1),  # as NumPy defines ``reduce`` and ``accumulate``
        "element_loop": ElementLoop(
            kind.formula,
            [dtype] * inputs,
            [dtype] * outputs,
            times_gradient=kind.times_gradient,
            multiple=block,
            completes=kind.completes,
        ).over_operands(),
        "copy_element": memory.copy_element(size),
        "spread_element": memory.spread_element(size),
        "fill_with_ones": memory.fill_with_ones(size, block),
        "copy_first": memory.copy_first(size, block),
        "clear_fp_flags": flags.clear_all_fp_flags if kind.users else flags.clear_fp_flags,
        "tiles": memory.stack_space(args * TILE_BYTES),
        "tile_pointers": memory.stack_pointers(args),
    }


def specialise(kind: Any, dtype: str) -> Callable[..., Any]:
    """``kernel`` for one ``fastact.kinds.elementwise.Kernel`` and dtype."""
    return instance(kernel, filled_in(kind, dtype))
