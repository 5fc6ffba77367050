"""What a public function is: one record that names it and says how it is called, what it promises, and what the same is in NumPy.

A call is made from a shape: that of the result, before any reduction. Each operand says what shape follows for it and which kind
of values it holds; who calls says what such values are (`Fill`): tests draw them, other tools place them where memory ends.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fastact.calls.widening import UPDATED

PUBLIC_MODULE = "fastact"

Shape = tuple[int, ...]
Fill = Callable[[str, Shape, Any, int], Any]
"""Makes an array of a kind, a shape and the dtype of the call; the integers of labels and choices are below the last argument."""

KINDS = ("values", "shares", "probabilities", "logarithms", "labels", "choices", "masks")
"""What an operand holds: numbers of either sign; numbers like probabilities; such between 0 and 1 only; logarithms of them; class
indices; indices of pieces, int32; booleans."""
INTEGERS = ("labels", "choices")


def whole(shape: Shape, axis: int) -> Shape:
    """The shape of the result."""
    return shape


def without_axis(shape: Shape, axis: int) -> Shape:
    """The shape of one number for each row."""
    return shape[:axis] + shape[axis + 1 :]


def without_last(shape: Shape, axis: int) -> Shape:
    """The shape of one number for each row along the last axis, of functions that know no other."""
    return shape[:-1]


def along_axis(shape: Shape, axis: int) -> Shape:
    """The shape of one row."""
    return shape[axis : axis + 1]


def times(pieces: int) -> Callable[[Shape, int], Shape]:
    """So many elements along the axis for each of the result."""
    return lambda shape, axis: (*shape[:axis], pieces * shape[axis], *shape[axis + 1 :])


@dataclass(frozen=True)
class Operand:
    """An array that a function is given."""

    kind: str = "values"
    """One of ``KINDS``."""
    shape: Callable[[Shape, int], Shape] = whole
    """Its shape, given that of the result and the axis, counted from the front."""
    below: int = 0
    """What labels and choices are below; 0 stands for the length of the axis."""

    def array(self, fill: Fill, shape: Shape, axis: int, dtype: Any) -> Any:
        """The array for a call whose result has a shape."""
        return fill(self.kind, self.shape(shape, axis), dtype, self.below or (shape[axis] if shape else 1))


X = Operand()
SHARES = Operand("shares")
LOGARITHMS = Operand("logarithms")
MASK = Operand("masks")
LABELS = Operand("labels", without_axis)
OF_EACH_CLASS = Operand("shares", along_axis)
OF_EACH_ROW = Operand("shares", without_axis)
ALONG_AXIS = Operand("values", along_axis)


@dataclass(frozen=True)
class Variant:
    """A way to call a function: keyword arguments, and operands other than usual."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Of these an ``Operand`` stands for such an array."""
    operands: Sequence[Operand] | None = None
    """In place of the function's own."""
    random: bool = False
    """Whether the results are drawn, and so the reference's are others."""
    alike: bool = False
    """Whether it differs from another variant by no more than a number or a kernel: tests that take long leave it out."""

    def __str__(self) -> str:
        shown = [f"{name}={'...' if isinstance(x, Operand) else x}" for name, x in self.options.items()]
        if self.operands is not None:
            shown.insert(0, "of " + " and ".join(operand.kind for operand in self.operands))
        return " ".join(shown)


def variants(*options: Mapping[str, Any]) -> list[Variant]:
    """The usual call, and those with each of these keyword arguments."""
    return [Variant(), *map(Variant, options)]


@dataclass(frozen=True, eq=False, repr=False)
class Function:
    """The record of one public function."""

    name: str
    make: Callable[[], Any]
    """Builds or finds the public function; nothing is compiled."""
    operands: Sequence[Operand]
    reference: Callable[..., Any]
    """The function in plain NumPy on float64 arrays, by a different and obviously right formula."""
    ulp: float | None
    """The promised largest error in float32, in units in the last place of what the docstring says: 0 for what only chooses,
    ``None`` where the error is that of matrix products."""
    double_ulp: float | None
    """The promised largest error in float64."""
    home: str
    """The module that defines it."""
    family: str
    """The page of the reference that it is on."""
    variants: Sequence[Variant] = (Variant(),)
    """Ways to call it that together run every kernel; the first is the usual one."""
    axis: str = ""
    """Which axes it takes: "one", or "several" together, whose elements make a row; "drawn" if it is a function of
    elements that takes several, along which it draws; empty if it has no such argument."""
    written: Sequence[int] = (0,)
    """Which of its results `out` takes."""
    state: bool = False
    """Whether its last result is no array but a number that the backward takes."""
    updated: Sequence[int | str] = ()
    """Which of its operands it writes to, and which options that are arrays: of an update in place. Its reference gives what they
    hold afterwards, and then what else is returned."""
    in_parts: bool = False
    """Whether rows that are long and few are computed in parts, by kernels of their own."""
    whole: bool = False
    """Whether all results depend on all elements, also where there is an axis: rows are then not computed by themselves."""
    pools: bool = False
    """Whether it takes statistics of what is at one place along the axis, of which there must then be more than one element."""
    in_memory_order: bool = False
    """Whether it adds elements in the order that they have in memory, so that last bits may differ between layouts."""
    masked: bool = True
    """Whether it takes masked arrays, whose masked elements then count nothing; else it refuses them."""
    op: Any = None
    """The elementwise op that it is the value of, or the gradient."""

    @cached_property
    def function(self) -> Any:
        """The public function."""
        found = self.make()
        found.__module__ = PUBLIC_MODULE
        return found

    @property
    def summary(self) -> str:
        """The first line of its docstring that is no signature."""
        lines = map(str.strip, (self.function.__doc__ or "").splitlines())
        return next((line for line in lines if line and not line.startswith(f"{self.name}(")), "")

    def arrays(self, results: Any) -> tuple[Any, ...]:
        """Those of its results that are arrays, or scalars of such."""
        found = results if isinstance(results, tuple) else (results,)
        return found[:-1] if self.state else found

    def results(self, operands: Sequence[Any], options: Mapping[str, Any]) -> tuple[Any, ...]:
        """The arrays that a call gives: of an update in place, what has been written to first, and then what else is returned."""
        found = self.arrays(self.function(*operands, **options))
        given: dict[Any, Any] = {**dict(enumerate(operands)), **options}
        written = tuple(given[key] for key in self.updated if key in given)
        return (*written, *(x for x in found if not any(x is operand for operand in written)))

    def arguments(
        self, variant: Variant, fill: Fill, shape: Shape, dtype: Any, axis: int = -1
    ) -> tuple[list[Any], dict[str, Any]]:
        """Operands and keyword arguments of a call whose result has a shape, before any reduction."""
        position = axis % len(shape) if shape else 0

        def made(x: Any) -> Any:
            return x.array(fill, shape, position, dtype) if isinstance(x, Operand) else x

        operands = [made(x) for x in (self.operands if variant.operands is None else variant.operands)]
        options = {name: made(x) for name, x in variant.options.items()}
        return operands, options | ({"axis": axis} if self.axis else {})


FUNCTIONS: dict[str, Function] = {}
"""The records of all functions but the elementwise ones, whose modules have been imported, by name in the order of definition."""


def register(record: Function) -> Function:
    """Add a record to ``FUNCTIONS``; its name becomes public."""
    if record.name in FUNCTIONS:
        raise ValueError(f"a function named {record.name!r} is registered already: {FUNCTIONS[record.name].home}")
    FUNCTIONS[record.name] = record
    if record.updated:
        UPDATED[record.name] = record.updated
    record.function  # noqa: B018 - which says from now on that it is public
    return record


def drawn(rng: Any, scale: float = 4.0) -> Fill:
    """Operands of random numbers."""

    def fill(kind: str, shape: Shape, dtype: Any, below: int) -> Any:
        if kind in INTEGERS:
            return rng.integers(0, max(1, below), shape).astype("int32" if kind == "choices" else "int64")
        if kind == "masks":
            return rng.random(shape) < 0.7
        if kind in ("shares", "probabilities"):
            return rng.random(shape).astype(dtype)
        if kind == "logarithms":
            return -rng.exponential(size=shape).astype(dtype)
        return rng.normal(scale=scale, size=shape).astype(dtype)

    return fill
