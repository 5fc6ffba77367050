"""What a row op's kernel is made of: the formulas that fill in the passes of ``kernels/along.py`` and ``kernels/across.py``."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fastact.kernels.dtypes import DTYPES
from fastact.kernels.limits import LABEL_DTYPES
from fastact.kinds.loop import Loop
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar


@scalar
def unchanged(x: Scalar, cap: Scalar) -> Scalar:
    """``x``."""
    return x


@dataclass(frozen=True)
class RowKernel:
    """What an inner loop computes for each row: from its exponentials, or a sum, or both, the results.

    Attributes
    ----------
    name : str
        Names the cache entries.
    finish : callable
        A compilable function of the row's state (see ``fastact.maths.logsumexp``) and sum. It returns six constants, or, for a
        kernel that reduces, the result.
    formula : callable, optional
        A compilable function of an element of each row operand, as it is, and the constants: the result at its place.
    term : callable, optional
        A compilable function of an element of each row operand and four constants: what is summed over the row.
    row_operands : int
        One or two.
    exponentials : bool
        Whether the state is needed.
    prepare : callable
        What is done to each element of the first operand before it enters the state or the sum, given also a parameter, the cap.
    padding : float
        What `prepare` makes -inf of.
    share, scale : callable, optional
        For a result that follows from an element's exponential: a compilable function of that and two constants, and one that
        returns these, given the maximum and the sum of the exponentials as two numbers of the row's precision.
    near : bool
        Whether `finish` is as precise from a state in the row's own precision, as that of a row of one chunk is.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    finish: Callable[..., Any]
    formula: Callable[..., Any] | None = None
    term: Callable[..., Any] | None = None
    row_operands: int = 1
    exponentials: bool = True
    prepare: Callable[..., Any] = unchanged
    padding: float = -math.inf
    share: Callable[..., Any] | None = None
    scale: Callable[..., Any] | None = None
    near: bool = False
    cost: float = 0.4

    outputs, ndims = 1, 2
    users = False

    @property
    def kind(self) -> str:
        """Whether each row gives a row, or one number."""
        return "map" if self.formula else "reduce"

    @property
    def inputs(self) -> int:
        """The number of input operands."""
        return self.row_operands

    @property
    def signature(self) -> str:
        """As NumPy writes it."""
        return ",".join(["(n)"] * self.row_operands) + ("->(n)" if self.formula else "->()")

    @property
    def loops(self) -> list[Loop]:
        """One for each dtype."""
        return [Loop(dtype, [dtype] * (self.inputs + 1)) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """What there is to compile: the kernel of rows, and that of columns."""

        def rows() -> Callable[..., Any]:
            from fastact.kernels import along, shares

            return (shares.specialise_rows if self.share else along.specialise)(self, dtype)

        def columns() -> Callable[..., Any]:
            from fastact.kernels import across, shares

            return (shares.specialise_columns if self.share else across.specialise)(self, dtype)

        return {self.name: rows, f"{self.name}.columns": columns}


@dataclass(frozen=True)
class EntropyKernel:
    """What an inner loop of cross-entropy computes: the kinds of target, and whether the gradient is wanted.

    Attributes
    ----------
    name : str
        Names the cache entries.
    finish, formula, term, weight_term, prepare, padding
        As in ``RowKernel``; ``weight_term`` is the part of `term` that is the target's.
    label, dense, grad : bool
        Whether there is a label, a dense target, a gradient.
    cost : float
        As in ``RowKernel``.
    """

    name: str
    finish: Callable[..., Any]
    formula: Callable[..., Any]
    term: Callable[..., Any] | None
    weight_term: Callable[..., Any]
    label: bool
    dense: bool
    grad: bool
    prepare: Callable[..., Any] = unchanged
    padding: float = -math.inf
    cost: float = 0.4

    inputs, ndims = 6, 4
    exponentials = True
    near = False
    users = False

    @property
    def outputs(self) -> int:
        """The number of output operands."""
        return 1 + self.grad

    @property
    def row_operands(self) -> int:
        """Logits, and a dense target."""
        return 1 + self.dense

    @property
    def signature(self) -> str:
        """Logits, label, weights, dense target, label to ignore, options; results and gradient."""
        return "(n),(),(n),(n),(),(8)->(4)" + (",(n)" if self.grad else "")

    @property
    def loops(self) -> list[Loop]:
        """One for each dtype of logits and of labels."""
        return [
            Loop(dtype, self._operands(dtype, label), label=kind)
            for dtype in DTYPES
            for kind, label in enumerate(LABEL_DTYPES)
            if self.label or label == "int64"
        ]

    def _operands(self, dtype: str, label: str) -> list[str]:
        return [dtype, label, "float64", dtype, "int64", "float64", "float64", *[dtype] * self.grad]

    def of_weights(self) -> "EntropyKernel":
        """The same kernel, to make the sum of the target's dense part from."""
        return replace(self, term=self.weight_term)

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """What there is to compile: the kernel of rows, and that of columns."""

        def rows() -> Callable[..., Any]:
            from fastact.kernels import cross_entropy

            return cross_entropy.specialise_rows(self, dtype)

        def columns() -> Callable[..., Any]:
            from fastact.kernels import cross_entropy

            return cross_entropy.specialise_columns(self, dtype)

        return {self.name: rows, f"{self.name}.columns": columns}


@dataclass(frozen=True)
class PartKernel:
    """One of the kernels of ``kernels/segments.py`` for a row kernel.

    Attributes
    ----------
    whole : RowKernel
        What a row's result is.
    dtype : str
        Of the row; a state, which is all that some of these kernels see, does not tell.
    template : str
        The kernel's name in ``kernels/segments.py``.
    signature : str
        As NumPy writes it.
    operands : str
        For each operand "x" if it is of the array's dtype, "d" if it is of float64.
    """

    whole: RowKernel
    dtype: str
    template: str
    signature: str
    operands: str

    users = False
    outputs = 1

    @property
    def name(self) -> str:
        """Names the cache entry."""
        return f"{self.whole.name}.{self.template}"

    @property
    def cost(self) -> float:
        """As in ``RowKernel``."""
        return self.whole.cost

    @property
    def inputs(self) -> int:
        """The number of input operands."""
        return len(self.operands) - 1

    @property
    def ndims(self) -> int:
        """The loop's dimension and those of the signature."""
        return 1 + len(set(re.findall(r"\w+", self.signature)))

    @property
    def loops(self) -> list[Loop]:
        """The one for the dtype."""
        return [Loop(self.dtype, [self.dtype if operand == "x" else "float64" for operand in self.operands])]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """What there is to compile."""

        def source() -> Callable[..., Any]:
            from fastact.kernels import segments

            return segments.specialise(self.whole, dtype, self.template)

        return {self.name: source}


def part_kernels(kernel: RowKernel, dtype: str) -> tuple[PartKernel, ...]:
    """Those for the states of segments, for what follows from them and, if there is a row to write, for the results."""
    x, rows = "x" * kernel.row_operands, ",".join(["(n)"] * kernel.row_operands)
    states = PartKernel(kernel, dtype, "segment_states", f"{rows}->(4)", x + "d")
    if kernel.kind == "reduce":
        return states, PartKernel(kernel, dtype, "row_result", "(k,4)->()", "dx")
    constants = PartKernel(kernel, dtype, "row_constants", "(k,4)->(6)", "dd")
    return states, constants, PartKernel(kernel, dtype, "segment_results", f"{rows},(6)->(n)", x + "dx")
