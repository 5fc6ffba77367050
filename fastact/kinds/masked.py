"""Kernels over rows of which some elements take no part, and whose elements are multiplied by a number first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from fastact.kernels.dtypes import DTYPES, FLOATS
from fastact.kinds.drawn import INTEGERS
from fastact.kinds.loop import Loop
from fastact.kinds.rows import WIDE, Formula, Once
from fastact.maths.scalar import parameters

OPTIONS = ("factor", "scale", "scale_rest")
"""Numbers of float64, the same for all rows: what elements are multiplied by as they are read, a power of two of either sign, or 0;
and what they are multiplied by after that, as a number of the precision of elements and a rest: 1 and 0 if that was all."""


@dataclass(frozen=True, eq=False)
class MaskedKernel:
    """What an inner loop computes of each row's elements that take part.

    Operands are the row, a weight of each element if the kernel has such, booleans that say which elements take part, how many of
    the first ones may, and the options. Formulas take by name the element ``x``, its weight ``b`` and its exponential ``e``, the
    options, the row's maximum ``m``, whether any element takes part, ``present``, as 1 or 0, and what follows from these.

    Attributes
    ----------
    name : str
        Name of the cache entry.
    level : Once
        What follows from the maximum.
    exponential, unscaled : callable
        Formulas of an element's exponential: the second where the scale is 1.
    terms : callable
        A formula of what is added up.
    sums : str
        Names of the sums, of float64.
    totals : Once
        What follows from the sums.
    writes : callable, optional
        A formula of the result at an element's place: of its exponential, which is kept then, or of the element itself.
    nothing : float
        The result where an element takes no part.
    gives : str
        Names of the constants that are results, one number for each row.
    weighted : bool
        Whether elements have weights; one whose weight is 0 takes no part.
    wide : bool
        Whether already the terms are added in float64.
    drawn : bool
        Whether a dropout follows: the first result is then the second, `writes`, times the option ``kept`` or 0, as random numbers
        of the elements' indices say. After the options there are an index for each row, that of its first element, and the integers
        of ``fastact.kinds.drawn``.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    level: Once
    exponential: Formula
    unscaled: Formula
    terms: Formula
    sums: str
    totals: Once
    writes: Formula | None = None
    nothing: float = 0.0
    gives: str = ""
    weighted: bool = False
    wide: bool = False
    drawn: bool = False
    cost: float = 0.6

    ndims = 2
    users = False
    flags: ClassVar[tuple[str, ...]] = ()
    own_options: ClassVar[tuple[str, ...]] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the rows of floats that are read."""
        return ("x", "b") if self.weighted else ("x",)

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options."""
        return (*OPTIONS, *["kept"] * self.drawn)

    @property
    def keeps(self) -> bool:
        """Whether results follow from exponentials."""
        return self.writes is not None and "e" in parameters(self.writes)

    @property
    def inputs(self) -> int:
        """Number of input operands."""
        return len(self.reads) + 3 + 2 * self.drawn

    @property
    def outputs(self) -> int:
        """Number of output operands."""
        return 1 + self.drawn if self.writes else len(self.gives.split())

    @property
    def signature(self) -> str:
        """The signature of its core dimensions, in NumPy's notation."""
        results = ",".join(["(n)" if self.writes else "()"] * self.outputs)
        draws = f",(),({len(INTEGERS)})" * self.drawn
        return ",".join(["(n)"] * len(self.reads)) + f",(n),(),({len(self.options)}){draws}->{results}"

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype."""
        return [Loop(dtype, self.operands(dtype)) for dtype in DTYPES]

    def operands(self, dtype: str) -> tuple[str, ...]:
        """The dtypes of all operands of a dtype's loop."""
        draws = ["int64"] * (2 * self.drawn)
        return (*[dtype] * len(self.reads), "bool", "int64", WIDE, *draws, *[dtype] * self.outputs)

    def constants(self, dtype: str) -> list[dict[str, str]]:
        """The dtypes of the constants that are known before and after each of `level`, the sums and `totals`, by name."""
        compute = FLOATS[dtype].computed_in
        known = [{"m": compute, "present": compute, "factor": compute, **dict.fromkeys(self.options[1:], WIDE)}]
        for step in (self.level, None, self.totals):
            names = step.names if step else self.sums
            wide = step.wide.split() if step else names.split()
            known.append(known[-1] | {name: WIDE if name in wide else compute for name in names.split()})
        return known

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import masked

            return masked.specialise(self, dtype)

        return {self.name: loop}
