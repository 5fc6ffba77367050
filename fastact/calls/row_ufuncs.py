"""The generalised ufuncs behind functions over rows, and what is known of them."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from fastact.kinds.rows import RowKernel, Sum
from fastact.maths.scalar import Product
from fastact.runtime.ufunc import attribute_name, make_ufunc

PUBLIC_MODULE = "fastact"

KERNELS: dict[Any, Any] = {}
"""The kernel of each generalised ufunc."""


PUBLIC: dict[Any, Any] = {}
"""The public function over each of them."""

SCALED: dict[Any, Callable[[], Any]] = {}
"""For some of them, what returns the ufunc of the same results times an option, ``scale``."""


def row_ufunc(kernel: Any, function: Any) -> Any:
    """The generalised ufunc behind ``function``, which gets it as an attribute."""
    ufunc = make_ufunc(kernel, attribute_name(kernel.name), function.__doc__ or "", PUBLIC_MODULE)
    function.ufunc = ufunc
    KERNELS[ufunc], PUBLIC[ufunc] = kernel, function
    return ufunc


def scaled_row_ufunc(name: str, passes: Sequence[Sum], writes: Callable[..., Any], function: Any) -> Any:
    """The generalised ufunc behind the ``function`` of a gradient and an output that also takes a ``scale``."""
    ufunc = row_ufunc(RowKernel(name, passes, writes, operands="grad output"), function)

    @cache
    def scaled() -> Any:
        kernel = RowKernel(
            f"{name}.scaled", passes, Product(writes, "scale"), operands="grad output", option_names="scale"
        )
        return make_ufunc(kernel, kernel.name, function.__doc__, PUBLIC_MODULE)

    SCALED[ufunc] = scaled
    return ufunc
