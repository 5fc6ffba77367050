"""Sums per column over all rows of a matrix: the gradient of what every row is multiplied with, or of what is added to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kernels.dtypes import DTYPES
from fastact.kinds.loop import Loop
from fastact.kinds.rows import WIDE, Formula
from fastact.maths.scalar import compilable, parameters, scalar


@dataclass(frozen=True, eq=False)
class ColumnSumsKernel:
    """What an inner loop adds up for each column of a block of rows.

    Attributes
    ----------
    name : str
        Name of the cache entry.
    names : str
        Names of the sums, which are of float64.
    terms : callable
        A formula of an element's term, or terms: of the element of each operand, and of the numbers of its row.
    operands : str
        Names of the matrices.
    number_names : str
        Names of the numbers, of float64, of which each row has its own.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    names: str
    terms: Formula
    operands: str
    number_names: str = ""
    cost: float = 0.3

    ndims = 3
    users = False

    def __post_init__(self) -> None:
        """Let Numba know the formula, and refuse one that uses anything else."""
        if self.terms not in compilable:
            scalar(self.terms)
        unknown = {*parameters(self.terms)} - {*self.reads} - {*self.numbers}
        if unknown:
            raise ValueError(f"{self.name}: the terms take {sorted(unknown)}, known are {(*self.reads, *self.numbers)}")

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the matrices."""
        return tuple(self.operands.split())

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of each row's numbers."""
        return tuple(self.number_names.split())

    @property
    def inputs(self) -> int:
        """Number of input operands."""
        return len(self.reads) + len(self.numbers)

    @property
    def outputs(self) -> int:
        """Number of output operands."""
        return len(self.names.split())

    @property
    def signature(self) -> str:
        """The signature of its core dimensions, in NumPy's notation."""
        given = [*["(r,n)"] * len(self.reads), *["(r)"] * len(self.numbers)]
        return ",".join(given) + "->" + ",".join(["(n)"] * self.outputs)

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype of the matrices."""
        wide = [WIDE] * (len(self.numbers) + self.outputs)
        return [Loop(dtype, [*[dtype] * len(self.reads), *wide]) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import column_sums

            return column_sums.specialise(self, dtype)

        return {self.name: loop}
