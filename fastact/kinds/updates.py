"""Kernels that update several arrays in place, element by element: the steps of optimizers, and the clipping of gradients."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fastact.kernels.dtypes import DTYPES, FLOATS
from fastact.kinds.loop import Loop
from fastact.kinds.rows import WIDE, Formula
from fastact.maths.scalar import compilable, parameters, scalar


@dataclass(frozen=True, eq=False)
class UpdateKernel:
    """What an inner loop writes for each element of some arrays, from the elements at that place and from numbers.

    Attributes
    ----------
    name : str
        Name of the cache entry.
    formula : callable
        Of an element of each operand and of the numbers, by name: what is written, a tuple unless it is one result.
    operands : str
        Names of the arrays that are read.
    written : str
        Names of those that are written, in the order of the formula's results.
    number_names : str
        Names of the numbers, of float64, which are the same for all elements.
    state : str
        Names of the operands that are as precise as what is computed: of float32 where the others are of float16.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    formula: Formula
    operands: str
    written: str
    number_names: str
    state: str = ""
    cost: float = 0.5

    # Numbers are the only operand with a core dimension: what it is long does not make a call larger.
    ndims = 1
    users = False

    def __post_init__(self) -> None:
        """Let Numba know the formula, and refuse one that uses anything else."""
        if self.formula not in compilable:
            scalar(self.formula)
        unknown = {*parameters(self.formula)} - {*self.reads} - {*self.numbers}
        if unknown:
            raise ValueError(
                f"{self.name}: the formula takes {sorted(unknown)}, known are {(*self.reads, *self.numbers)}"
            )

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the arrays that are read."""
        return tuple(self.operands.split())

    @cached_property
    def writes(self) -> tuple[str, ...]:
        """Names of the arrays that are written."""
        return tuple(self.written.split())

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """Names of the numbers."""
        return tuple(self.number_names.split())

    @property
    def inputs(self) -> int:
        """Number of input operands."""
        return len(self.reads) + 1

    @property
    def outputs(self) -> int:
        """Number of output operands."""
        return len(self.writes)

    @property
    def signature(self) -> str:
        """The signature of its core dimensions, in NumPy's notation."""
        return ",".join([*["()"] * len(self.reads), "(k)"]) + "->" + ",".join(["()"] * len(self.writes))

    def stored(self, name: str, dtype: str) -> str:
        """The dtype of an operand, in the loop of a dtype."""
        return FLOATS[dtype].computed_in if name in self.state.split() else dtype

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype."""
        return [
            Loop(d, [*(self.stored(x, d) for x in self.reads), WIDE, *(self.stored(x, d) for x in self.writes)])
            for d in DTYPES
        ]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import updates

            return updates.specialise(self, dtype)

        return {self.name: loop}
