"""What an elementwise kernel computes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kernels.dtypes import DTYPES
from fastact.kinds.loop import Loop

STREAMED_COST = 0.25
"""Nanoseconds for a float32 element on one thread up to which results that the caches cannot hold are written past them."""


@dataclass(frozen=True, eq=False, repr=False)
class Kernel:
    """What an elementwise inner loop computes.

    Attributes
    ----------
    name : str
        Names the cache entry; unique among kernels of one source.
    formula : callable
        A compilable function of one element of each input (without the gradient, for a backward kernel).
    inputs, outputs : int
        Number of operands.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    times_gradient : bool
        The first input is a gradient that multiplies each result.
    users : bool
        The formula is a user's: it may raise exceptions, and it depends on more than this package.
    completes : callable, optional
        A compilable function of one result that is larger than 2 in magnitude: such are operands that the formula has left.
    parameters : int
        Number of inputs, the last, that are parameters rather than arrays: float32 beside arrays of bfloat16, too few digits.
    before_compiling : callable, optional
        What is called before a user's formula is compiled.
    """

    name: str
    formula: Callable[..., Any]
    inputs: int
    outputs: int = 1
    cost: float = 0.2
    times_gradient: bool = False
    users: bool = False
    completes: Callable[..., Any] | None = None
    parameters: int = 0
    before_compiling: Callable[[], object] | None = None

    signature = ""
    ndims = 1

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype."""
        streams = self.inputs == self.outputs == 1 and self.cost <= STREAMED_COST
        return [Loop(dtype, [dtype] * (self.inputs + self.outputs), streams=streams) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import elementwise

            return elementwise.specialise(self, dtype)

        return {self.name: loop}
