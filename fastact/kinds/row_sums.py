"""Sums of the rows of a matrix by index: which rows belong together, and what they add up to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kernels.dtypes import DTYPES
from fastact.kinds.loop import Loop
from fastact.kinds.rows import WIDE

PLACES = "int64"


@dataclass(frozen=True, eq=False)
class GroupingKernel:
    """What an inner loop gives for the indices of n rows: the rows' numbers by index, and where those of each index begin.

    The second result has two elements more than there are indices: the numbers of rows with index i are those from its element i to
    its element i + 1 of the first. Rows of one index keep their order.

    Attributes
    ----------
    name : str
        Name of the cache entry.
    cost : float
        Nanoseconds per index, roughly; one thread computes it.
    """

    name: str
    cost: float = 2.0

    ndims = 2
    inputs, outputs = 1, 2
    users = False
    signature = "(n)->(n),(s)"

    @property
    def loops(self) -> list[Loop]:
        """The only inner loop; its dtype is what it is cached under."""
        return [Loop(WIDE, [PLACES] * 3)]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:  # noqa: ARG002 - the only one
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import row_sums

            return row_sums.grouping

        return {self.name: loop}


@dataclass(frozen=True, eq=False)
class RowSumsKernel:
    """What an inner loop adds up for a part of the rows in the order of their indices.

    Operands are the matrix, the two results of a ``GroupingKernel``, the table that the sums are written to, and of the part: its
    first row and its end in that order, the indices that these have, and whether zeros are written where an index has no rows. The
    table counts as an operand that is read, because each part writes to some of its rows only. What a part adds to the sums of its
    first and of its last index, if others add to these too, is the result.

    Attributes
    ----------
    name : str
        Name of the cache entry.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    cost: float = 0.2

    ndims = 3
    inputs, outputs = 9, 1
    users = False
    signature = "(n,d),(n),(s),(v,d),(),(),(),(),()->(e,d)"

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype of the matrix."""
        return [Loop(dtype, [dtype, PLACES, PLACES, dtype, *[PLACES] * 5, WIDE]) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import row_sums

            return row_sums.specialise(self, dtype)

        return {self.name: loop}
