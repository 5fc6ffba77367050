"""What NumPy refuses for its dtype, in the words of the public function: errors are translated, so that good calls ask nothing."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastact.kernels.dtypes import BFLOAT16, LISTED, NATIVE


def is_refused(dtype: Any) -> bool:
    """Whether no kernel takes a dtype, nor what it converts to."""
    return dtype.char not in NATIVE and dtype.kind not in "iub"


def refuse_bfloat16(dtype: Any) -> None:
    """``TypeError`` in NumPy's words for bfloat16, which no kernel over rows computes.

    The loops that these have for it raise one themselves. But before that NumPy may have begun to write: if it has made a copy of
    the array that a caller gave for results, it writes that back in any case.
    """
    if dtype.char == BFLOAT16:
        raise TypeError(f"ufunc is not supported for the input types {dtype}")


def check_operands(operands: Mapping[str, Any]) -> None:
    """``TypeError`` for the first operand of a dtype that no kernel takes."""
    for name, x in operands.items():
        dtype = getattr(x, "dtype", None)
        dtype = dtype if isinstance(dtype, np.dtype) else np.asarray(x).dtype
        if is_refused(dtype):
            raise TypeError(f"{name} must be {LISTED}, got {dtype}")


def translated(error: TypeError, operands: Mapping[str, Any]) -> TypeError:
    """The error of a ufunc as one that names the argument, if it is for the dtype of an operand or of ``out``.

    Parameters
    ----------
    error : TypeError
        What the ufunc has raised.
    operands : mapping of str to array
        What it was called with, by the names of the public function's parameters.
    """
    text = str(error)
    if text.startswith("Cannot cast ufunc") and " output " in text:
        made, given = getattr(error, "from_", None), getattr(error, "to", None)
        casting = getattr(error, "casting", "same_kind")
        return TypeError(f"out must be of a dtype that {made} casts to as {casting!r}, got {given}")
    if text.startswith("ufunc ") and "not supported for the input types" in text:
        try:
            check_operands(operands)
        except TypeError as found:
            return found
    return error
