"""Reductions as NumPy has them: what is collected of a row's elements, or of a matrix's column by column."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kernels.dtypes import DTYPES, FLOATS
from fastact.kinds.loop import Loop
from fastact.kinds.rows import WIDE, Formula
from fastact.maths.scalar import compilable, parameters, scalar, single


@dataclass(frozen=True, eq=False)
class Reduction:
    """What a reduction collects, and what follows from that.

    Attributes
    ----------
    name : str
        Begins the names of the cache entries.
    terms : sequence of callable
        Formulas of an element ``x``, and of numbers, that are added up in float64; or one of what is compared.
    finish : callable
        A formula of the totals, and of the number ``n`` of elements. Of sums the totals are ``high`` and ``low``, the first one and
        what its additions have rounded away, and ``drift``, the second one. Of what is compared it is ``best``, the largest.
    largest : bool
        Whether terms are compared and not added. NaN counts as the largest.
    padding : float, optional
        An element whose term changes no other number, if there is one.
    number_names : str
        Names of numbers, of float64, that belong to each row, or to each column.
    outputs : int
        Number of results.
    wide : bool
        Whether results are of float64, and not of the dtype of elements.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    terms: tuple[Formula, ...]
    finish: Formula
    largest: bool = False
    padding: float | None = None
    number_names: str = ""
    outputs: int = 1
    wide: bool = False
    cost: float = 0.1

    def __post_init__(self) -> None:
        """Let Numba know the formulas."""
        for formula, _ in single([*self.terms, self.finish]):
            if formula not in compilable:
                scalar(formula)
        unknown = {*parameters(self.terms)} - {"x", *self.numbers} | {*parameters(self.finish)} - {*self.totals, "n"}
        if unknown:
            raise ValueError(f"{self.name}: the formulas take {sorted(unknown)}")

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the numbers."""
        return tuple(self.number_names.split())

    @property
    def totals(self) -> tuple[str, ...]:
        """Names of the totals."""
        return ("best",) if self.largest else ("high", "low", "drift")[: len(self.terms) + 1]

    def added_in(self, dtype: str) -> str:
        """The dtype of terms and totals."""
        return FLOATS[dtype].computed_in if self.largest else WIDE

    @property
    def start(self) -> float:
        """What changes no other number: of sums it is -0.0, for the sum of nothing but such is one."""
        return -math.inf if self.largest else -0.0


@dataclass(frozen=True, eq=False)
class ReductionKernel:
    """The inner loop of a reduction.

    Attributes
    ----------
    reduction : Reduction
        What is collected.
    columns : bool
        Whether of a matrix column by column, and not of a row.
    """

    reduction: Reduction
    columns: bool

    users = False

    @property
    def name(self) -> str:
        """Name of the cache entry."""
        return f"{self.reduction.name}.{'columns' if self.columns else 'rows'}"

    @property
    def cost(self) -> float:
        """As `Reduction` says."""
        return self.reduction.cost

    @property
    def ndims(self) -> int:
        """Number of dimensions: the loop's, and those of the signature."""
        return 3 if self.columns else 2

    @property
    def inputs(self) -> int:
        """Number of input operands."""
        return 1 + len(self.reduction.numbers)

    @property
    def outputs(self) -> int:
        """Number of output operands."""
        return self.reduction.outputs

    @property
    def signature(self) -> str:
        """The signature of its core dimensions, in NumPy's notation."""
        matrix, number = ("(r,n)", "(n)") if self.columns else ("(n)", "()")
        given = [matrix, *[number] * len(self.reduction.numbers)]
        return ",".join(given) + "->" + ",".join([number] * self.outputs)

    def result_dtype(self, dtype: str) -> str:
        """The dtype of the results."""
        return WIDE if self.reduction.wide else dtype

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype."""
        numbers = [WIDE] * len(self.reduction.numbers)
        return [Loop(dtype, [dtype, *numbers, *[self.result_dtype(dtype)] * self.outputs]) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import reductions

            return (reductions.specialise_columns if self.columns else reductions.specialise_rows)(self, dtype)

        return {self.name: loop}
