"""What a row op's kernel is made of: the formulas that fill in the passes of ``rows.py`` and ``columns.py``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.engine.ufunc import DTYPES, Loop
from fastact.scalar import scalar
from fastact.simd import Scalar


@scalar
def unchanged(x: Scalar) -> Scalar:
    """``x``."""
    return x


@dataclass(frozen=True)
class RowKernel:
    """``(n)->(n)``: each element's result from the element and constants that follow from the row's exponentials.

    Attributes
    ----------
    name : str
        Names the cache entries.
    finish : callable
        A compilable function of the row's state (see ``fastact.maths.logsumexp``) that returns the constants.
    formula : callable
        A compilable function of one element and the constants.
    constants : int
        Their number.
    prepare : callable
        What is done to each element first.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    finish: Callable[..., Any]
    formula: Callable[..., Any]
    constants: int
    prepare: Callable[..., Any] = unchanged
    cost: float = 0.4

    signature = "(n)->(n)"
    inputs, outputs, ndims = 1, 1, 2
    salt = b""

    @property
    def loops(self) -> list[Loop]:
        """One for each dtype."""
        return [Loop(dtype, [dtype, dtype]) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """What there is to compile: the kernel of rows, and that of columns."""

        def rows() -> Callable[..., Any]:
            from fastact.engine import rows

            return rows.specialise(self, dtype)

        def columns() -> Callable[..., Any]:
            from fastact.engine import columns

            return columns.specialise(self, dtype)

        return {self.name: rows, f"{self.name}.columns": columns}
