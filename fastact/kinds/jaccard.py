"""Kernels over the pixels of a class each: what the Lovasz extension of its Jaccard loss weighs their errors by."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kinds.loop import Loop
from fastact.kinds.rows import WIDE


@dataclass(frozen=True, eq=False)
class JaccardKernel:
    """What an inner loop writes for each pixel of a class, and what it gives for the class.

    Operands are values and labels of pixels, and the class's number, the label to ignore, NaN if there is none, and a scale. A
    pixel's error is what its value lacks of 1 if it is of the class, else its value; not less than 0. The class's loss is the sum
    of the errors, from the largest to the smallest, each times what the Jaccard loss grows by when its pixel is added to the false
    ones. Written is the derivative by the value: that growth, or its negative for a pixel of the class, times the scale.

    Attributes
    ----------
    name : str
        Name of the cache entry.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    cost: float = 6.0

    ndims = 2
    inputs, outputs = 5, 2
    users = False
    signature = "(n),(n),(),(),()->(n),()"

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype of the pixels: halves are widened before."""
        return [Loop(dtype, [dtype, dtype, WIDE, WIDE, WIDE, dtype, WIDE]) for dtype in ("float32", "float64")]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import jaccard

            return jaccard.specialise(self, dtype)

        return {self.name: loop}
