"""Kernels over pixels of several classes, each class a plane: a sum over the classes of each pixel, then a result at each place.

A class has numbers of its own, and there may be rows that all classes share, such as labels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kernels.dtypes import DTYPES
from fastact.kinds.loop import Loop
from fastact.kinds.rows import WIDE, Formula
from fastact.maths.scalar import compilable, parameters, scalar


@dataclass(frozen=True, eq=False)
class PlanesKernel:
    """What an inner loop writes for each class of each pixel; the pixels of a class lie side by side.

    Attributes
    ----------
    name : str
        Name of the cache entry.
    writes : callable
        The formula of a result, which may take ``total``.
    planes : str
        Names of the operands that each class has pixels of.
    shared : str
        Names of the operands that all classes share.
    number_names : str
        Names of each class's numbers, of float64.
    option_names : str
        Names of the options, of float64, which are the same for all.
    term : callable, optional
        The formula of what is added up over the classes of a pixel.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    writes: Formula
    planes: str
    shared: str = ""
    number_names: str = ""
    option_names: str = ""
    term: Formula | None = None
    cost: float = 0.3

    ndims = 3
    outputs = 1
    users = False
    total = "total"
    """The name by which the formula of what is written takes the sum over the classes."""

    def __post_init__(self) -> None:
        """Let Numba know the formulas, and refuse those that use anything else."""
        for formula in filter(None, (self.term, self.writes)):
            if formula not in compilable:
                scalar(formula)
            known = (*self.reads, *self.numbers, *self.options, *[self.total] * (self.term not in (None, formula)))
            unknown = {*parameters(formula)} - {*known}
            if unknown:
                raise ValueError(f"{self.name}: a formula takes {sorted(unknown)}, known are {known}")

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of what has pixels: planes, then rows."""
        return (*self.planes.split(), *self.shared.split())

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of each class's numbers."""
        return tuple(self.number_names.split())

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options."""
        return tuple(self.option_names.split())

    @property
    def inputs(self) -> int:
        """Number of input operands."""
        return len(self.reads) + len(self.numbers) + 1

    @property
    def signature(self) -> str:
        """The signature of its core dimensions, in NumPy's notation."""
        given = [*["(c,n)"] * len(self.planes.split()), *["(n)"] * len(self.shared.split())]
        return ",".join([*given, *["(c)"] * len(self.numbers), f"({len(self.options)})"]) + "->(c,n)"

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype of the pixels."""
        wide = [WIDE] * (len(self.numbers) + 1)
        return [Loop(dtype, [*[dtype] * len(self.reads), *wide, dtype]) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import planes

            return planes.specialise(self, dtype)

        return {self.name: loop}
