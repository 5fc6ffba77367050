"""NumPy's own inner loops, shared out over the team of threads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastact.kernels.dtypes import DTYPES
from fastact.kinds.loop import Loop


@dataclass(frozen=True, eq=False, repr=False)
class SharingKernel:
    """A kernel that lets NumPy's own loop compute, by several threads where elements are many.

    Attributes
    ----------
    inputs : int
        Number of operands that are read, all of one dtype; one result is written, of the same.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    inputs: int
    cost: float

    outputs = 1
    signature = ""
    ndims = 1
    users = False

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype."""
        return [Loop(dtype, [dtype] * (self.inputs + self.outputs)) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name, which all functions of so many operands share."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import sharing

            return sharing.specialise(self.inputs, np.dtype(dtype).itemsize)

        return {f"shared_{self.inputs}": loop}
