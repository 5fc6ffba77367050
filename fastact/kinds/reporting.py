"""What a kernel computes that stands in for one of NumPy's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastact.kinds.elementwise import Kernel
from fastact.kinds.sharing import SharingKernel


@dataclass(frozen=True, eq=False, repr=False)
class ReportingKernel(Kernel):
    """An elementwise kernel whose results raise the floating-point exceptions that NumPy's would.

    Attributes
    ----------
    infinite : int
        The exceptions that an infinite result of finite numbers stands for, or may: ``OVER``, ``DIVIDE`` of
        ``fastact.kernels.limits``.
    tiny : int
        The exception that a result below the least normal number, of numbers that are not 0, stands for: ``UNDER``, or 0.
    asks : bool
        Whether NumPy's own loop is asked which exceptions such results mean.
    shared : frozenset of str
        The dtypes that NumPy's own loop computes, by several threads where elements are many.
    """

    infinite: int = 0
    tiny: int = 0
    asks: bool = False
    shared: frozenset[str] = frozenset()

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """The builder of the loop, by its cache name."""
        if dtype in self.shared:
            return SharingKernel(self.inputs, self.cost).sources(dtype)

        def loop() -> Callable[..., Any]:
            from fastact.kernels import reporting

            return reporting.specialise(self, dtype)

        return {self.name: loop}
