"""An elementwise kernel over many short rows in one call: a generalised ufunc.

NumPy calls an elementwise loop once for each row that it cannot merge with the next, and a short row is not worth threads. Given
rows as a core dimension it passes all of them at once, and the driver shares them out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kinds.elementwise import Kernel
from fastact.kinds.loop import Loop


@dataclass(frozen=True, eq=False, repr=False)
class RowwiseKernel:
    """A kernel of whole rows over one of elements."""

    elements: Kernel

    ndims, users = 2, False

    @property
    def name(self) -> str:
        """Name of the cache entry."""
        return f"{self.elements.name}.rows"

    @property
    def inputs(self) -> int:
        """Number of input operands."""
        return self.elements.inputs

    @property
    def outputs(self) -> int:
        """Number of output operands."""
        return self.elements.outputs

    @property
    def cost(self) -> float:
        """Delegates to the elementwise kernel: threads pay by the number of elements."""
        return self.elements.cost

    @property
    def loops(self) -> list[Loop]:
        """Delegates to the elementwise kernel."""
        return self.elements.loops

    @property
    def signature(self) -> str:
        """The signature of its core dimensions, in NumPy's notation."""
        return ",".join(["(n)"] * self.inputs) + "->" + ",".join(["(n)"] * self.outputs)

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""

        def rows() -> Callable[..., Any]:
            from fastact.kernels import rowwise

            return rowwise.specialise(self.elements, dtype)

        return {self.name: rows}
