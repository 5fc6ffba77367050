"""Kernels over rows that have a label, or a dense target: a program as in ``rows.py`` that also knows what is at the label."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kernels.dtypes import DTYPES, FLOATS
from fastact.kernels.limits import LABEL_DTYPES, RESULTS
from fastact.kinds.loop import Loop
from fastact.kinds.rows import WIDE, Exponentials, RowKernel

LAST = ("wanted", "zeroed", "scale")
"""The last options, which the schedules read: which of a row's results are wanted beside its loss, as bits; whether the gradient's
memory is zero already, so that ignored rows need not be touched; and what the gradient is multiplied by, which may be another for
each row."""


@dataclass(frozen=True, eq=False)
class LabelledKernel(RowKernel):
    """What an inner loop computes of each row of logits and its target.

    Its constants ``x_label``, ``d_label`` and ``w_label`` are the logit, the dense operand and the weight at the label; without a
    label 0, 0 and 1. ``scale`` is what the row's gradient is multiplied by. The program must yield ``loss`` and ``lse``, two
    numbers of each row, and for each row that is written what it holds at the label.

    Attributes
    ----------
    label : bool
        Whether there is a label.
    at_label : str
        Names of the constants that are the results at the label, one for each row that is written.
    sparse : bool
        Whether the rows that are written are zero but at the label: their memory is zero already.
    """

    label: bool = True
    at_label: str = "at_label"
    sparse: bool = False

    ndims = 4

    @property
    def inputs(self) -> int:
        """Number of input operands: logits, label, weights, dense target, label to ignore, options."""
        return 6

    @property
    def outputs(self) -> int:
        """Number of output operands: the results, and a row."""
        return 1 + len(self.rows_written)

    @property
    def has_state(self) -> bool:
        """Whether the first pass finds the largest logit, of which the index may be asked for."""
        return bool(self.passes) and isinstance(self.passes[0], Exponentials)

    @property
    def signature(self) -> str:
        """The signature of its core dimensions, in NumPy's notation."""
        options = len(self.options) + len(LAST)
        return f"(n),(),(n),(n),(),({options})->({RESULTS})" + ",(n)" * len(self.rows_written)

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype of logits and of labels."""
        return [
            Loop(dtype, [dtype, label, WIDE, dtype, "int64", WIDE, WIDE, *[dtype] * len(self.rows_written)], label=kind)
            for dtype in DTYPES
            for kind, label in enumerate(LABEL_DTYPES)
            if self.label or label == "int64"
        ]

    def fixed(self, dtype: str) -> dict[str, str]:
        """The dtypes of the constants that are known before all passes."""
        compute = FLOATS[dtype].computed_in
        return {"x_label": compute, "w_label": WIDE, "d_label": compute, "scale": WIDE, **super().fixed(dtype)}

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """Builders of the loops, by cache name: that of rows, and that of columns."""

        def rows() -> Callable[..., Any]:
            from fastact.kernels import labelled

            return labelled.specialise_rows(self, dtype)

        def columns() -> Callable[..., Any]:
            from fastact.kernels import labelled_columns

            return labelled_columns.specialise_columns(self, dtype)

        return {self.name: rows, f"{self.name}.columns": columns}
