"""One of two operands for each element, by a condition."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kernels.dtypes import DTYPES
from fastact.kinds.loop import Loop


@dataclass(frozen=True, eq=False, repr=False)
class SelectingKernel:
    """A kernel of a boolean operand and two others, of which it takes the first where the boolean is true."""

    name: str = "where"
    cost: float = 0.15
    """Nanoseconds per float32 element on one thread, roughly: decides when threads pay."""

    inputs, outputs = 3, 1
    signature = ""
    ndims = 1
    users = False

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype."""
        return [Loop(dtype, ["bool", dtype, dtype, dtype]) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import selecting

            return selecting.specialise(dtype)

        return {self.name: loop}
