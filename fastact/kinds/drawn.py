"""Kernels over elements each of which has a random number, computed from its index and a key where it is used."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kernels.dtypes import DTYPES
from fastact.kinds.loop import Loop
from fastact.kinds.rows import WIDE, Formula
from fastact.maths.scalar import compilable, parameters, scalar

INTEGERS = ("low", "high", "pitch", "threshold")
"""What the integer operand holds, each as 32 bits: the halves of the key, by how much the index grows from an element to the next,
and what random numbers are compared with."""


@dataclass(frozen=True, eq=False)
class DrawnKernel:
    """What an inner loop writes for each element of a row.

    Its operands are the row, the index of the first element, the integers, and the options.

    Attributes
    ----------
    name : str
        Name of the cache entry.
    writes : callable
        The formula of what is written. Its parameters are among `x`, the element; `draw`, its random number, an int32; `threshold`;
        and the options.
    option_names : str
        Names of the options, of float64, which are the same for all rows.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    writes: Formula
    option_names: str
    cost: float = 0.4

    inputs, outputs = 4, 1
    ndims = 2
    users = False

    def __post_init__(self) -> None:
        """Let Numba know the formula, and refuse one that uses anything else."""
        if self.writes not in compilable:
            scalar(self.writes)
        unknown = {*parameters(self.writes)} - {"x", *self.constants}
        if unknown:
            raise ValueError(f"{self.name}: the formula takes {sorted(unknown)}, known are {('x', *self.constants)}")

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options."""
        return tuple(self.option_names.split())

    @property
    def constants(self) -> tuple[str, ...]:
        """Names of all that the formula may use beside the element."""
        return "draw", "threshold", *self.options

    @property
    def signature(self) -> str:
        """The signature of its core dimensions, in NumPy's notation."""
        return f"(n),(),({len(INTEGERS)}),({len(self.options)})->(n)"

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype of the row."""
        return [Loop(dtype, [dtype, "int64", "int64", WIDE, dtype], streams=True) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import drawn

            return drawn.specialise(self, dtype)

        return {self.name: loop}
