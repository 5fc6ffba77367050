"""Kernels over the elements of contiguous rows that write and add up in one pass: what a loss of single elements is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastact.kernels.dtypes import DTYPES
from fastact.kinds.loop import Loop
from fastact.kinds.rows import WIDE, Formulas
from fastact.maths.scalar import compilable, parameters, scalar, single


@dataclass(frozen=True, eq=False)
class PointwiseKernel:
    """What an inner loop writes for each element of a row, and adds up over the row.

    Attributes
    ----------
    name : str
        Name of the cache entry.
    operands : str
        Names of the rows that are read.
    option_names : str
        Names of the options, of float64, which are the same for all rows.
    writes : sequence of callable or Product
        Formulas of what is written, a row each.
    terms : sequence of callable or Product
        Formulas of what is added up.
    sums : str
        Names of the sums, of float64.
    wide : bool
        Whether each term is added in float64, not only each chunk of them: formulas may return float64 then.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    operands: str
    option_names: str
    writes: Sequence[Formulas] = ()
    terms: Sequence[Formulas] = ()
    sums: str = ""
    wide: bool = False
    cost: float = 0.4

    ndims = 2
    users = False

    def __post_init__(self) -> None:
        """Let Numba know the formulas, and refuse those that use anything else."""
        for formula, _ in single([*self.writes, *self.terms]):
            if formula not in compilable:
                scalar(formula)
        unknown = {*parameters([*self.writes, *self.terms])} - {*self.reads} - {*self.options}
        if unknown:
            raise ValueError(f"{self.name}: formulas take {sorted(unknown)}, known are {(*self.reads, *self.options)}")

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the rows that are read."""
        return tuple(self.operands.split())

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options."""
        return tuple(self.option_names.split())

    @property
    def totals(self) -> tuple[str, ...]:
        """Names of the sums."""
        return tuple(self.sums.split())

    @property
    def inputs(self) -> int:
        """Number of input operands."""
        return len(self.reads) + 1

    @property
    def outputs(self) -> int:
        """Number of output operands."""
        return len(self.writes) + len(self.totals)

    @property
    def signature(self) -> str:
        """The signature of its core dimensions, in NumPy's notation."""
        given = [*["(n)"] * len(self.reads), f"({len(self.options)})"]
        return ",".join(given) + "->" + ",".join([*["(n)"] * len(self.writes), *["()"] * len(self.totals)])

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype of the rows."""
        rows, written = len(self.reads), len(self.writes)
        return [Loop(d, [*[d] * rows, WIDE, *[d] * written, *[WIDE] * len(self.totals)]) for d in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import pointwise

            return pointwise.specialise(self, dtype)

        return {self.name: loop}
