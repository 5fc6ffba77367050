"""The generalised ufuncs behind functions over rows, and what is known of them."""

from typing import Any

from fastact.runtime.ufunc import attribute_name, make_ufunc

PUBLIC_MODULE = "fastact"

KERNELS: dict[Any, Any] = {}
"""The kernel of each generalised ufunc."""


PUBLIC: dict[Any, Any] = {}
"""The public function over each of them."""


def row_ufunc(kernel: Any, function: Any) -> Any:
    """The generalised ufunc behind ``function``, which gets it as an attribute."""
    ufunc = make_ufunc(kernel, attribute_name(kernel.name), function.__doc__ or "", PUBLIC_MODULE)
    function.ufunc = ufunc
    KERNELS[ufunc], PUBLIC[ufunc] = kernel, function
    return ufunc
