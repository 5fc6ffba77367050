"""Kernels that rotate pairs of a row's elements by angles whose cosines and sines are given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kernels.dtypes import DTYPES, FLOATS
from fastact.kinds.loop import Loop


@dataclass(frozen=True, eq=False)
class RotaryKernel:
    """What an inner loop makes of matrices of rows: of each pair its rotation by the angle of its row and number.

    Operands are the matrix, and the cosines and the sines of each row's angles, in the precision that is computed in.

    Attributes
    ----------
    name : str
        Name of the cache entry.
    interleaved : bool
        Whether neighbours are a pair; otherwise a pair's elements are half a row apart.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    interleaved: bool
    cost: float = 0.2

    inputs, outputs = 3, 1
    ndims = 4
    users = False
    signature = "(r,n),(r,m),(r,m)->(r,n)"

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype."""
        return [Loop(dtype, (dtype, *[FLOATS[dtype].computed_in] * 2, dtype)) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import rotary

            return rotary.specialise(self, dtype)

        return {self.name: loop}
