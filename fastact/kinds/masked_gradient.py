"""Kernels over the gradients of rows of which some elements take no part."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kernels.dtypes import DTYPES
from fastact.kinds.drawn import INTEGERS
from fastact.kinds.loop import Loop
from fastact.kinds.masked import OPTIONS
from fastact.kinds.rows import WIDE, Formula
from fastact.maths.scalar import compilable, parameters, scalar


@dataclass(frozen=True, eq=False)
class MaskedGradientKernel:
    """What an inner loop computes of a gradient and an output, of each row's elements that take part.

    Operands are both rows, booleans that say which elements take part, how many of the first ones may, and the options of
    ``fastact.kinds.masked``, whose product multiplies each result. Of what takes no part nothing is added up, and the result is 0.

    Attributes
    ----------
    name : str
        Name of the cache entry.
    term : callable
        A formula of what is added up over the row.
    total : str
        Name of that sum, of float64.
    writes : callable
        A formula of the result at an element's place, before it is multiplied.
    flag_names : str
        Names of further rows of booleans, which formulas take as 1 and 0.
    option_names : str
        Names of further options, which formulas take in float64.
    drawn : bool
        Whether the only further row of booleans is no operand but drawn anew, as a dropout in front of the gradient did: after the
        options there are an index for each row, that of its first element, and the integers of ``fastact.kinds.drawn``.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    term: Formula
    total: str
    writes: Formula
    flag_names: str = ""
    option_names: str = ""
    drawn: bool = False
    cost: float = 0.4

    ndims = 2
    outputs = 1
    users = False
    weighted = False
    reads = ("grad", "output")

    def __post_init__(self) -> None:
        """Let Numba know the formulas, and refuse those that use anything else."""
        for formula, known in ((self.term, ()), (self.writes, (self.total,))):
            if formula not in compilable:
                scalar(formula)
            unknown = {*parameters(formula)} - {*self.reads, *self.flags, *self.own_options, *known}
            if unknown:
                raise ValueError(f"{self.name}: a formula takes {sorted(unknown)}")

    @property
    def flags(self) -> tuple[str, ...]:
        """Names of the rows of booleans but the first, which says what takes part."""
        return tuple(self.flag_names.split())

    @property
    def flag_operands(self) -> int:
        """Number of rows of booleans that are operands."""
        return 1 + (0 if self.drawn else len(self.flags))

    @property
    def own_options(self) -> tuple[str, ...]:
        """Names of the options that formulas may take."""
        return tuple(self.option_names.split())

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of all options in the order in which they are given."""
        return (*OPTIONS, *self.own_options)

    @property
    def inputs(self) -> int:
        """Number of input operands."""
        return len(self.reads) + self.flag_operands + 2 + 2 * self.drawn

    @property
    def signature(self) -> str:
        """The signature of its core dimensions, in NumPy's notation."""
        rows = ["(n)"] * (len(self.reads) + self.flag_operands)
        draws = f",(),({len(INTEGERS)})" * self.drawn
        return ",".join(rows) + f",(),({len(self.numbers)}){draws}->(n)"

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype."""
        return [Loop(dtype, self.operands(dtype)) for dtype in DTYPES]

    def operands(self, dtype: str) -> tuple[str, ...]:
        """The dtypes of all operands of a dtype's loop."""
        draws = ["int64"] * (2 * self.drawn)
        return (*[dtype] * len(self.reads), *["bool"] * self.flag_operands, "int64", WIDE, *draws, dtype)

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import masked_gradient

            return masked_gradient.specialise(self, dtype)

        return {self.name: loop}
