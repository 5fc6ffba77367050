"""Kernels over blocks of rows that write rows and add up columns in one pass: the gradients of a norm and of its weight.

The program of a row is that of ``fastact.kinds.rows``. While the row's results are written, terms of its elements are added to the
sums of their columns, over all rows of the block.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kernels.dtypes import DTYPES
from fastact.kinds.loop import Loop
from fastact.kinds.rows import WIDE, Formulas, RowKernel
from fastact.maths.scalar import compilable, scalar, single


@dataclass(frozen=True, eq=False)
class RowBlocksKernel(RowKernel):
    """What an inner loop computes of each row of a block, and adds up for each of its columns.

    Attributes
    ----------
    adds : sequence of callable or Product
        Formulas of an element's terms, of the operands and the constants of its row.
    sums : str
        Names of the sums, which are of float64.
    shared : str
        Names of the last operands, those that all rows have in common.
    """

    adds: Formulas = ()
    sums: str = ""
    shared: str = ""

    ndims = 3

    def __post_init__(self) -> None:
        """Let Numba know the formulas."""
        super().__post_init__()
        for formula, _ in single(self.adds):
            if formula not in compilable:
                scalar(formula)

    @property
    def totals(self) -> tuple[str, ...]:
        """Names of the sums."""
        return tuple(self.sums.split())

    @property
    def matrices(self) -> int:
        """Number of operands that have rows."""
        return len(self.reads) - len(self.shared.split())

    @property
    def outputs(self) -> int:
        """Number of output operands."""
        return len(self.rows_written) + len(self.totals)

    @property
    def signature(self) -> str:
        """The signature of its core dimensions, in NumPy's notation."""
        given = ["(r,n)"] * self.matrices + ["(n)"] * (len(self.reads) - self.matrices)
        given += [f"({len(self.options)})"] * bool(self.options)
        return ",".join(given) + "->" + ",".join([*["(r,n)"] * len(self.rows_written), *["(n)"] * len(self.totals)])

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype."""
        return [Loop(dtype, [*self._operands(dtype), *[WIDE] * len(self.totals)]) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import row_blocks

            return row_blocks.specialise(self, dtype)

        return {self.name: loop}
