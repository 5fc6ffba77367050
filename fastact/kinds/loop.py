"""One inner loop of a ufunc."""

from collections.abc import Sequence
from typing import NamedTuple


class Loop(NamedTuple):
    """One of a ufunc's inner loops."""

    dtype: str
    """What it is compiled for."""
    operands: Sequence[str]
    """The dtypes of the operands, which NumPy converts to."""
    label: int = 0
    """The kind of an integer operand, which the kernel reads as it is."""
