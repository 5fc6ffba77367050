"""Blocks of rows that lie side by side: how wide they are, the tiles that hold them, and where their constants lie."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.elementwise import gather
from fastact.kernels.limits import CHUNK, LANES
from fastact.kernels.memory import advance, allocate, as_address, release
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.transposition import transposed_width
from fastact.kernels.tuples import rows_at
from fastact.maths.scalar import parameters
from fastact.maths.simd import Scalar

STEP = 32
"""A block is a multiple of so many columns wide."""
ROW_BYTES, TILE_BYTES = 1024, 384 * 1024
"""Bytes of the widest block's rows, and of the tile that a chunk of a block must fit into. Memory is read and written in pieces of
a block's width, so these should be long, the more where a power of two lies between them; but the tile must stay in the
second-level cache, and what is kept of each lane on a small stack."""
SMALL_BYTES = 8192
"""A tile of so many bytes is on the stack, where it costs nothing."""

# What instances fill in; the values here serve the reader and the type checker.
SIZE, COMPUTED_SIZE, TILES = 4, 4, 1
MOST = ROW_BYTES // COMPUTED_SIZE
TILE_ROWS = TILE_BYTES // (STEP * COMPUTED_SIZE)
lowest_step = zero_step = zero_wide_step = fill_step = add_lanes = FILLED_IN


def row_of(tile: Any, k: Any, block: Any) -> Any:
    """Row ``k`` of a tile of computed values, as wide as the block."""
    return advance(tile, k * block * COMPUTED_SIZE)


def stored_row(tile: Any, k: Any, block: Any) -> Any:
    """Row ``k`` of a tile of values as they are stored, as wide as the block."""
    return advance(tile, k * block * SIZE)


def zero_row(row: Any, block: Any) -> None:
    """Write zeros to a row of computed values."""
    for i in range(0, block, STEP):
        zero_step(advance(row, i * COMPUTED_SIZE))


def zero_wide_row(row: Any, block: Any) -> None:
    """Write zeros to a row of float64."""
    for i in range(0, block, STEP):
        zero_wide_step(advance(row, i * 8))


def lowest_row(row: Any, block: Any) -> None:
    """Write -inf to a row of computed values."""
    for i in range(0, block, STEP):
        lowest_step(advance(row, i * COMPUTED_SIZE))


def block_of(c: Any, short: Any) -> Any:
    """How many columns make a block if there are ``c`` classes, or how many short rows."""
    most = STEP * max(1, min(MOST // STEP, TILE_ROWS // max(1, c)))
    return min(most, transposed_width(c)) if short else most


def tile_bytes(c: Any, short: Any) -> Any:
    """Bytes of a chunk of a block."""
    return min(c, CHUNK) * block_of(c, short) * COMPUTED_SIZE


def new_tile(c: Any, short: Any, small: Any) -> Any:
    """Memory for a chunk of a block, for short rows of each operand and result: ``small`` if that is enough."""
    size = tile_bytes(c, short) * (TILES if short else 1)
    return small if size <= SMALL_BYTES else allocate(size)


def free_tile(tile: Any, small: Any) -> None:
    """Free what ``new_tile`` allocated."""
    if as_address(tile) != as_address(small):
        release(tile)


def block_row(x: Any, step: Any, width: Any, block: Any, tile: Any) -> Any:
    """``width`` elements of one row, ``step`` bytes apart, as a full block: in place if they are one, else in ``tile``."""
    if (step == SIZE and width == block) or as_address(x) == as_address(tile):
        return x
    if width < block:
        fill_step(advance(tile, (block - STEP) * SIZE))
    gather(tile, x, step, width)
    return tile


def add_lane(other: Scalar, lane: Scalar) -> Scalar:
    """Add two lanes."""
    return lane + other


def tree_of_lanes(sums: Any, used: Any, block: Any) -> None:
    """Add so many lanes into the first, in the order of ``lanes.tree``."""
    half = LANES // 2
    while half > 0:
        for j in range(half, used):
            add_lanes((row_of(sums, j, block), row_of(sums, j - half, block)), block, ())
        used = min(used, half)
        half = half // 2


class Layout:
    """Where the constants of a block lie in their tile.

    Attributes
    ----------
    dtypes : dict
        The dtype of each constant that is known after some passes, by name; the options are not among them.
    """

    def __init__(self, dtypes: dict[str, str], computed_size: int) -> None:
        self.dtypes, self.computed_size = dtypes, computed_size
        sizes = [np.dtype(dtype).itemsize // computed_size for dtype in dtypes.values()]
        self.offsets = dict(zip(dtypes, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True)) if sizes else {}
        self.height = sum(sizes)
        """Number of rows of elements as they are computed."""

    def rows(self, names: Sequence[str]) -> Any:
        """An intrinsic that returns the rows of some constants."""
        return rows_at([self.offsets[name] for name in names], self.computed_size)

    def used(self, formula: Any) -> list[str]:
        """The names of the constants that a formula uses."""
        return [name for name in self.dtypes if formula is not None and name in parameters(formula)]


def block_loop(formula: Any, reads: Sequence[str], writes: Sequence[str], updates: int = 0) -> ElementLoop:
    """A loop over a row of a block."""
    return ElementLoop(formula, reads, writes, updates=updates, multiple=STEP)


def loop_of_groups(
    formula: Any, elements: Sequence[str], constants: Sequence[str], updates: Sequence[str], writes: Sequence[str] = ()
) -> ElementLoop:
    """A loop over a row of a block whose formula takes elements, what is updated, and constants."""
    return ElementLoop(
        formula,
        [*elements, *constants, *updates],
        [*updates, *writes],
        updates=len(updates),
        multiple=STEP,
        constants=len(constants),
    )
