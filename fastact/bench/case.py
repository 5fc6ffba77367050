"""What is measured, a case, and who takes part in it, its contenders."""

import timeit
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DIRECTIONS = ("forward", "backward")
DTYPES = ("float32", "float64", "float16")
SIZES = (10, 1_000, 10_000, 100_000, 1_000_000, 16_000_000)
VARIANT_SIZES = {
    "out": SIZES,
    "fresh": SIZES,
    "in-place": (100_000, 1_000_000),
    "strided": (100_000, 1_000_000),
    "half": SIZES[-1:],
}
"""``half`` is float16 against float32; the sizes are those that are measured by default."""


@dataclass(frozen=True)
class Case:
    """One thing to measure."""

    op: str
    direction: str
    dtype: str
    size: int
    variant: str = "out"
    shape: tuple[int, ...] = ()
    """Of the array that an op over rows reads, ``size`` elements; elementwise ops take a vector."""
    setting: str = ""
    """An argument beyond the arrays, as it is written in a call: ``"axis=0"``."""

    @property
    def name(self) -> str:
        """The public function's name."""
        return self.op if self.direction == "forward" else f"{self.op}_backward"

    def __str__(self) -> str:
        where = " x ".join(map(str, self.shape)) or f"{self.size:.0e}"
        return " ".join(filter(None, (self.name, self.setting, self.dtype, where, self.variant)))


@dataclass(frozen=True)
class Contender:
    """A statement to time, and the names in it."""

    statement: str
    names: Mapping[str, Any] = field(repr=False)
    prepare: str = ""
    """Run before each repetition, with the clock stopped."""

    def timer(self) -> timeit.Timer:
        """A timer of the bare statement: no function call stands between it and the clock."""
        return timeit.Timer(self.statement, self.prepare or "pass", globals=dict(self.names))

    def result(self) -> Any:
        """What the statement returns, or wrote to ``out`` if it returns nothing."""
        names = dict(self.names)
        exec(self.prepare, names)
        returned = eval(self.statement, names)
        return names["out"] if returned is None else returned


def allocates(case: Case, contender: Contender) -> bool:
    """Whether a contender of an ``out`` case returns a fresh array all the same, for want of an ``out``."""
    return case.variant == "out" and "out)" not in contender.statement
