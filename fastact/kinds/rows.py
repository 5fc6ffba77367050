"""Kernels over rows as programs: the passes over a row that yield its constants, and the formulas of what is written.

A formula names the elements and constants that it uses as its parameters. Which passes there are is all that is said here; how they
walk along a row, across columns or in the segments of a long row is the business of ``fastact.kernels``.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastact.kernels.dtypes import DTYPES, FLOATS
from fastact.kinds.loop import Loop
from fastact.maths.scalar import Product, compilable, parameters, scalar, single
from fastact.maths.simd import Scalar

WIDE = "float64"
"""The dtype of sums, of options, and of the number of a row's elements, which is the constant ``n``."""
STREAMED_COST = 0.6
"""Nanoseconds for a float32 element on one thread up to which rows of results that the caches cannot hold are written past them."""

Formula = Callable[..., Any]
Formulas = Formula | Product | Sequence[Formula | Product]
"""One, which may have several results, or several with one each; each may be multiplied by what has a name."""


@scalar
def unchanged(x: Scalar) -> Scalar:
    """``x``."""
    return x


@dataclass(frozen=True)
class Exponentials:
    """The pass that yields the state of a row's exponentials, ``m``, ``ties`` and ``rest`` (see ``fastact.maths.logsumexp``).

    Attributes
    ----------
    value : callable
        A formula of what is exponentiated.
    padding : float
        What `value` makes -inf of.
    """

    value: Formula = unchanged
    padding: float = -math.inf


@dataclass(frozen=True)
class Largest:
    """The pass that yields the largest of a value over a row, NaN passed over; of nothing it is -inf.

    Attributes
    ----------
    name : str
        Name of the constant.
    value : callable
        A formula of what is compared.
    padding : float
        What `value` makes -inf of.
    """

    name: str
    value: Formula = unchanged
    padding: float = -math.inf


@dataclass(frozen=True)
class Sum:
    """The pass that yields one or more sums over a row, of float64.

    Attributes
    ----------
    names : str
        Names of the sums.
    terms : callable, Product or sequence of such
        Formulas of an element's terms.
    wide : bool
        Whether already the terms are added in float64, and not only the sums of chunks: where terms cancel, as those of a mean.
    """

    names: str
    terms: Formulas
    wide: bool = False


@dataclass(frozen=True)
class Once:
    """What follows once per row from the constants known so far.

    Attributes
    ----------
    names : str
        Names of the new constants.
    formula : callable
        Returns the constant, or the constants.
    wide : str
        Names of those that are of float64; others are of the dtype that elements are computed in.
    """

    names: str
    formula: Formula
    wide: str = ""


Pass = Exponentials | Largest | Sum | Once


class Step(NamedTuple):
    """A pass of a program, with all that its schedules need to know."""

    kind: str
    """``"exponentials"``, ``"largest"``, ``"sum"`` or ``"once"``."""
    formula: Formulas
    names: tuple[str, ...]
    """Names of the constants that it adds."""
    results: tuple[str, ...]
    """Their dtypes."""
    elements: tuple[str, ...]
    """Names of the row operands that the formula reads."""
    operands: tuple[int, ...]
    """Their numbers."""
    constants: tuple[str, ...]
    """Names of the constants that are known before it, the options among them."""
    paddings: tuple[float, ...]
    """For each operand what makes its formula's value -inf beyond the end of a row."""
    added_in: str
    """The dtype that terms are added in."""


@dataclass(frozen=True, eq=False)
class RowKernel:
    """What an inner loop computes of each row.

    Attributes
    ----------
    name : str
        Names the cache entries.
    passes : sequence of Exponentials, Largest, Sum or Once
        The program.
    writes : callable, Product or sequence of such, optional
        Formulas of the results at an element's place.
    gives : str
        Names of the constants that are results, one number for each row.
    gives_wide : bool
        Whether these are of float64, and not of the dtype of the row.
    operands : str
        Names of the row operands.
    option_names : str
        Names of the options, of float64, which are the same for all rows.
    row_results : int
        Number of rows that `writes` writes.
    share, scale : callable, optional
        For a result that follows from an element's exponential: a compilable function of that and two constants, and one that
        returns these, given the maximum and the sum of the exponentials as two numbers of the row's precision.
    near : bool
        Whether the first `Once` is as precise from a state in the row's own precision, as that of a row of one chunk is.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    passes: Sequence[Pass]
    writes: Formulas | None = None
    gives: str = ""
    gives_wide: bool = False
    operands: str = "x"
    option_names: str = ""
    row_results: int = 1
    share: Formula | None = None
    scale: Formula | None = None
    near: bool = False
    cost: float = 0.4

    ndims = 2
    users = False

    def __post_init__(self) -> None:
        """Let Numba know the formulas."""
        formulas = (*(_formula(step) for step in self.passes), self.writes, self.share, self.scale)
        for formula, _ in single([formula for formula in formulas if formula is not None]):
            if formula not in compilable:
                scalar(formula)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the row operands."""
        return tuple(self.operands.split())

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options."""
        return tuple(self.option_names.split())

    @property
    def kind(self) -> str:
        """``"map"`` if each row gives a row, ``"reduce"`` if it gives numbers alone."""
        return "map" if self.writes else "reduce"

    @property
    def rows_written(self) -> range:
        """The numbers of the rows that are written."""
        return range(self.row_results if self.writes else 0)

    @property
    def padding(self) -> float:
        """What counts nothing in a row: an element whose exponential is 0, or 0 where there are none."""
        return next((step.padding for step in self.passes if isinstance(step, Exponentials | Largest)), 0.0)

    @property
    def inputs(self) -> int:
        """Number of input operands."""
        return len(self.reads) + bool(self.options)

    @property
    def outputs(self) -> int:
        """Number of output operands."""
        return len(self.rows_written) + len(self.gives.split())

    @property
    def signature(self) -> str:
        """The signature of its core dimensions, in NumPy's notation."""
        given = ["(n)"] * len(self.reads) + [f"({len(self.options)})"] * bool(self.options)
        return ",".join(given) + "->" + ",".join(["(n)"] * len(self.rows_written) + ["()"] * len(self.gives.split()))

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype."""
        streams, given = self.cost <= STREAMED_COST, len(self.gives.split())
        return [
            Loop(dtype, [*self._operands(dtype), *[self.given_dtype(dtype)] * given], streams=streams)
            for dtype in DTYPES
        ]

    def _operands(self, dtype: str) -> list[str]:
        return [*[dtype] * len(self.reads), *[WIDE] * bool(self.options), *[dtype] * len(self.rows_written)]

    def given_dtype(self, dtype: str) -> str:
        """The dtype of the numbers that are results."""
        return WIDE if self.gives_wide else dtype

    def steps(self, dtype: str) -> Iterator[Step]:
        """The passes, given the dtype of an array."""
        known: tuple[str, ...] = ()
        compute = FLOATS[dtype].computed_in
        for step in self.passes:
            formula, constants = _formula(step), (*known, *self.fixed(dtype))
            names: tuple[str, ...]
            results: tuple[str, ...]
            if isinstance(step, Exponentials):
                kind, names, results = "exponentials", ("m", "ties", "rest"), (compute, compute, WIDE)
            elif isinstance(step, Largest):
                kind, names, results = "largest", (step.name,), (compute,)
            elif isinstance(step, Sum):
                kind, names = "sum", tuple(step.names.split())
                results = (WIDE,) * len(names)
            else:
                kind, names, wide = "once", tuple(step.names.split()), step.wide.split()
                results = tuple(WIDE if name in wide else compute for name in names)
            used = parameters(formula)
            operands = () if kind == "once" else tuple(j for j, name in enumerate(self.reads) if name in used) or (0,)
            unknown = {*used} - {*self.reads} - {*constants}
            if unknown or (kind == "once" and {*used} & {*self.reads}):
                names_of = " and ".join(one.__name__ for one, _ in single(formula))
                raise ValueError(
                    f"{self.name}: {names_of} takes {sorted(unknown) or 'elements'}, known are {constants}"
                )
            elements = tuple(self.reads[j] for j in operands)
            paddings = tuple(self.padding if j == 0 else 0.0 for j in operands)
            added_in = WIDE if isinstance(step, Sum) and step.wide else compute
            yield Step(kind, formula, names, results, elements, operands, constants, paddings, added_in)
            known += names

    def constants(self, dtype: str) -> dict[str, str]:
        """The dtypes of all constants that are known after the passes, by name, the options among them."""
        found = {name: kind for step in self.steps(dtype) for name, kind in zip(step.names, step.results, strict=True)}
        return found | self.fixed(dtype)

    def fixed(self, dtype: str) -> dict[str, str]:  # noqa: ARG002 - those of labelled rows depend on it
        """The dtypes of the constants that are known before all passes."""
        return dict.fromkeys((*self.options, "n"), WIDE)

    def stages(self, dtype: str) -> list[tuple[Step, list[Step]]]:
        """The passes that walk over a row, each with what follows once per row after it."""
        found: list[tuple[Step, list[Step]]] = []
        for step in self.steps(dtype):
            if step.kind != "once":
                found.append((step, []))
            elif found:
                found[-1][1].append(step)
        return found

    def given(self, dtype: str) -> list[int]:
        """The places of the results among these."""
        names = list(self.constants(dtype))
        return [names.index(name) for name in self.gives.split()]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """Builders of the loops, by cache name: that of rows, and that of columns."""

        def rows() -> Callable[..., Any]:
            from fastact.kernels import along, shares

            return (shares.specialise_rows if self.share else along.specialise)(self, dtype)

        def columns() -> Callable[..., Any]:
            from fastact.kernels import columns, shares

            return (shares.specialise_columns if self.share else columns.specialise)(self, dtype)

        return {self.name: rows, f"{self.name}.columns": columns}


def _formula(step: Pass) -> Formulas:
    if isinstance(step, Exponentials | Largest):
        return step.value
    return step.terms if isinstance(step, Sum) else step.formula


@dataclass(frozen=True, eq=False)
class PartKernel:
    """One of the kernels of ``kernels/segments.py`` for a row kernel.

    Attributes
    ----------
    whole : RowKernel
        What a row's result is.
    dtype : str
        Of the row; constants, which are all that some of these kernels see, do not tell.
    part : str
        ``"pass"``, ``"constants"`` or ``"results"``.
    stage : int
        The number of the pass.
    signature : str
        As NumPy writes it.
    operands : str
        For each operand "x" if it is of the array's dtype, "d" if it is of float64.
    outputs : int
        Number of output operands.
    """

    whole: RowKernel
    dtype: str
    part: str
    stage: int
    signature: str
    operands: str
    outputs: int = 1

    users = False

    @property
    def name(self) -> str:
        """Name of the cache entry."""
        return f"{self.whole.name}.{self.part}{self.stage or ''}"

    @property
    def cost(self) -> float:
        """Nanoseconds per float32 element on one thread, roughly, of the whole kernel."""
        return self.whole.cost

    @property
    def inputs(self) -> int:
        """Number of input operands."""
        return len(self.operands) - self.outputs

    @property
    def ndims(self) -> int:
        """Number of dimensions: the loop's, and those of the signature."""
        return 1 + len(set(re.findall(r"\w+", self.signature)))

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of the row's dtype."""
        return [Loop(self.dtype, [self.dtype if operand == "x" else WIDE for operand in self.operands])]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def source() -> Callable[..., Any]:
            from fastact.kernels import segments

            if self.part == "results":
                return segments.specialise_results(self.whole, dtype)
            make = segments.specialise_pass if self.part == "pass" else segments.specialise_constants
            return make(self.whole, dtype, self.stage)

        return {self.name: source}


def stage_kernels(kernel: RowKernel, dtype: str) -> list[tuple[PartKernel, PartKernel]]:
    """For each pass over a row the kernel of its segments, and that of the constants that are known after it."""
    pairs = []
    for stage, (step, _) in enumerate(kernel.stages(dtype)):
        rows = len(step.operands)
        signature = ",".join([*["(n)"] * rows, "(v)"]) + "->(r)"
        states = PartKernel(kernel, dtype, "pass", stage, signature, "x" * rows + "dd")
        pairs.append((states, PartKernel(kernel, dtype, "constants", stage, "(s,r),(v)->(w)", "ddd")))
    return pairs


def results_kernel(kernel: RowKernel, dtype: str) -> PartKernel:
    """The kernel of the segments' results."""
    rows, written = len(kernel.reads), len(kernel.rows_written)
    signature = ",".join([*["(n)"] * rows, "(w)"]) + "->" + ",".join(["(n)"] * written)
    return PartKernel(kernel, dtype, "results", 0, signature, "x" * rows + "d" + "x" * written, written)
