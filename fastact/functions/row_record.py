"""What an op over rows is: a function with an axis over a generalised ufunc, and its reference."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.calls.row_ufuncs import PUBLIC_MODULE


@dataclass(frozen=True)
class RowOp:
    """The record of one op over rows. Its docstring holds formula, edges, error and paper."""

    function: Any
    """The public function."""
    reference: Callable[..., Any]
    """The same in plain NumPy on float64 arrays, by a different and obviously right formula."""
    ulp: float
    """The promised largest error in float32, in units in the last place of what the docstring says."""
    double_ulp: float
    """The same in float64."""
    arguments: Callable[[Any], tuple[Any, ...]]
    """Makes arguments to call it with from a matrix of the dtype in question."""

    @property
    def name(self) -> str:
        """The public name."""
        return str(self.function.__name__)

    @property
    def home(self) -> str:
        """The module that defines the function."""
        return str(self.function.__globals__["__name__"])

    @property
    def summary(self) -> str:
        """One sentence."""
        return (self.function.__doc__ or "").partition("\n")[0]


ROW_OPS: dict[str, RowOp] = {}
"""Every op over rows by name, in the order of definition."""


def register_row_op(op: RowOp) -> RowOp:
    """Add an op to ``ROW_OPS``; its name becomes public."""
    op.function.__module__ = PUBLIC_MODULE
    ROW_OPS[op.name] = op
    return op
