"""The dtypes of arrays that functions have kernels for; integers promote to them as they do for ``np.exp``."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Dtype:
    """A dtype of floats.

    Attributes
    ----------
    name : str
        As NumPy knows it.
    computed_in : str
        The dtype that formulas compute elements in; results are rounded once.
    relative_cost : float
        Time per element, that of float32 being 1.
    """

    name: str
    computed_in: str
    relative_cost: float

    @property
    def native(self) -> Any:
        """The dtype in the machine's byte order."""
        return np.dtype(self.name)

    @property
    def computed(self) -> Any:
        """The dtype that formulas compute elements in."""
        return np.dtype(self.computed_in)


FLOATS = {
    dtype.name: dtype
    for dtype in (
        Dtype("float16", computed_in="float32", relative_cost=1.2),
        Dtype("float32", computed_in="float32", relative_cost=1.0),
        Dtype("float64", computed_in="float64", relative_cost=2.5),
    )
}
"""In the order in which NumPy tries a ufunc's loops."""

DTYPES = tuple(FLOATS)
NATIVE = {dtype.native.char: dtype.native for dtype in FLOATS.values()}
"""The dtype of results by the character of the operands', which may be of either byte order."""

BFLOAT16 = "E"
"""The character of ml_dtypes's bfloat16, which is computed in float32: by ``fastact.kernels.widened``, or from widened copies."""

LISTED = f"{', '.join(DTYPES[:-1])} or {DTYPES[-1]}"
"""For messages that say what is allowed."""
