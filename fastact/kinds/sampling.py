"""Kernels that draw from the softmax of rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kernels.dtypes import DTYPES
from fastact.kinds.loop import Loop
from fastact.kinds.rows import WIDE

PLACES = "int64"


@dataclass(frozen=True, eq=False)
class SamplingKernel:
    """What an inner loop draws: for each of a row's random numbers the element where the sum of probabilities exceeds it.

    The third operand, which all rows share, holds what logits are multiplied by and how many random numbers a row has. A row that
    has no softmax gives -1.

    Attributes
    ----------
    name : str
        Name of the cache entry.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    cost: float = 0.4

    ndims = 2
    inputs, outputs = 3, 1
    users = False
    signature = "(n),(s),(o)->(s)"

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype of the logits."""
        return [Loop(dtype, [dtype, WIDE, WIDE, PLACES]) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import sampling

            return sampling.specialise(self, dtype)

        return {self.name: loop}
