"""Kernels that find the largest few elements of rows, or the smallest."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kernels.dtypes import DTYPES
from fastact.kinds.loop import Loop

PLACES = "int64"


@dataclass(frozen=True, eq=False)
class TopKernel:
    """What an inner loop finds: the best elements of each row and their indices, as many as there is room for.

    NaN is larger than all; of equal elements the first is better. The second operand, which all rows share, says how many are
    wanted, and whether the best comes first; else they come as they follow each other in the row.

    Attributes
    ----------
    name : str
        Name of the cache entry.
    largest : bool
        Whether large elements are good, or small ones.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    largest: bool
    cost: float = 0.1

    ndims = 2
    inputs, outputs = 2, 2
    users = False
    signature = "(n),(o)->(k),(k)"

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype."""
        return [Loop(dtype, [dtype, PLACES, dtype, PLACES]) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import top

            return top.specialise(self, dtype)

        return {self.name: loop}
