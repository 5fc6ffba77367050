"""What the kernels of maxout are: the largest of each group of pieces, with or without its index, and the gradient of that."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kernels.dtypes import DTYPES
from fastact.kinds.loop import Loop


@dataclass(frozen=True)
class PieceKernel:
    """What an inner loop computes for each group.

    Attributes
    ----------
    pieces : int
        How many pieces a group has; 0 for a kernel of more than ``MOST_PIECES``, which is told when it is called.
    index : bool
        Whether there is an index as well: of the largest piece or, in the gradient, of where it goes.
    backward : bool
        Whether it is the gradient.
    rows : bool
        Whether a core operand is a row of groups, whose pieces are rows too, or one group.
    """

    pieces: int
    index: bool
    backward: bool = False
    rows: bool = False

    cost = 0.06
    users = False

    @property
    def name(self) -> str:
        """Name of the cache entry."""
        stem = "maxout_backward" if self.backward else "maxout_with_index" if self.index else "maxout"
        return f"{stem}.{self.pieces or 'any'}{'.rows' * self.rows}"

    @property
    def inputs(self) -> int:
        """Number of input operands."""
        return 1 + self.backward

    @property
    def outputs(self) -> int:
        """Number of output operands."""
        return 1 + (self.index and not self.backward)

    @property
    def ndims(self) -> int:
        """Number of dimensions that NumPy passes to the inner loop."""
        return 2 + self.rows

    @property
    def signature(self) -> str:
        """The signature of its core dimensions, in NumPy's notation."""
        group, one = ("(k,b)", "(b)") if self.rows else ("(k)", "()")
        return f"{one},{one}->{group}" if self.backward else f"{group}->{one}" + f",{one}" * self.index

    @property
    def loops(self) -> list[Loop]:
        """The inner loop of each dtype."""
        if self.backward:
            return [Loop(dtype, [dtype, "int32", dtype]) for dtype in DTYPES]
        return [Loop(dtype, [dtype, dtype, *["int32"] * self.index]) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def loop() -> Callable[..., Any]:
            from fastact.kernels import maxout

            return maxout.specialise(self, dtype)

        return {self.name: loop}
