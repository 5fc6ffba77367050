"""What a row op's kernel is made of: the formulas that fill in the passes of ``rows.py`` and ``columns.py``."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.engine.ufunc import DTYPES, Loop
from fastact.scalar import scalar
from fastact.simd import Scalar


@scalar
def unchanged(x: Scalar, cap: Scalar) -> Scalar:
    """``x``."""
    return x


@dataclass(frozen=True)
class RowKernel:
    """What an inner loop computes for each row: from its exponentials, or a sum, or both, the results.

    Attributes
    ----------
    name : str
        Names the cache entries.
    finish : callable
        A compilable function of the row's state (see ``fastact.maths.logsumexp``) and sum. It returns six constants, or, for a
        kernel that reduces, the result.
    formula : callable, optional
        A compilable function of an element of each row operand and the constants: the result at its place.
    term : callable, optional
        A compilable function of an element of each row operand and four constants: what is summed over the row.
    row_operands : int
        One or two.
    exponentials : bool
        Whether the state is needed.
    prepare : callable
        What is done to each element of the first operand before anything else, given also a parameter, the cap.
    padding : float
        What `prepare` makes -inf of.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    finish: Callable[..., Any]
    formula: Callable[..., Any] | None = None
    term: Callable[..., Any] | None = None
    row_operands: int = 1
    exponentials: bool = True
    prepare: Callable[..., Any] = unchanged
    padding: float = -math.inf
    cost: float = 0.4

    outputs, ndims = 1, 2
    salt = b""

    @property
    def kind(self) -> str:
        """Whether each row gives a row, or one number."""
        return "map" if self.formula else "reduce"

    @property
    def inputs(self) -> int:
        """The number of input operands."""
        return self.row_operands

    @property
    def signature(self) -> str:
        """As NumPy writes it."""
        return ",".join(["(n)"] * self.row_operands) + ("->(n)" if self.formula else "->()")

    @property
    def loops(self) -> list[Loop]:
        """One for each dtype."""
        return [Loop(dtype, [dtype] * (self.inputs + 1)) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """What there is to compile: the kernel of rows, and that of columns."""

        def rows() -> Callable[..., Any]:
            from fastact.engine import rows

            return rows.specialise(self, dtype)

        def columns() -> Callable[..., Any]:
            from fastact.engine import columns

            return columns.specialise(self, dtype)

        return {self.name: rows, f"{self.name}.columns": columns}
