"""NumPy's functions that choose elements, where NumPy has no ufunc of their names: `where` and `clip`."""

from functools import cache
from typing import Any

import numpy as np

from fastact.functions.shared import SHARED
from fastact.kernels.dtypes import NATIVE
from fastact.kinds.selecting import SelectingKernel
from fastact.kinds.sharing import SharingKernel
from fastact.runtime.standins import UnknownStructureError, ufunc_like
from fastact.runtime.ufunc import make_ufunc

SELECT_FROM, CLIP_FROM = 2000, 100_000
"""Numbers of elements from which on the functions here are quicker than NumPy's, which need no Python."""


@cache
def _select() -> np.ufunc:
    return make_ufunc(SelectingKernel(), "where", "Elements of one of two arrays.", __name__)


@cache
def _clip() -> np.ufunc:
    known: np.ufunc = np._core.umath.clip  # type: ignore[attr-defined]
    try:
        return ufunc_like(known, SharingKernel(*SHARED["clip"]), __name__)
    except UnknownStructureError:
        return known


def where(condition: Any, /, *operands: Any) -> Any:
    """As `numpy.where`; of floats, an array or a number each, it takes one or the other without a branch for each element."""
    kind = None
    if (
        len(operands) == 2
        and type(condition) is np.ndarray
        and condition.dtype.char == "?"
        and condition.size >= SELECT_FROM
    ):
        kind = _dtype_of_results(operands)
    return np.where(condition, *operands) if kind is None else _select()(condition, *operands, dtype=kind)


def clip(
    a: Any,
    a_min: Any = np._NoValue,
    a_max: Any = np._NoValue,
    out: Any = None,
    *,
    min: Any = np._NoValue,  # noqa: A002 - NumPy's name
    max: Any = np._NoValue,  # noqa: A002 - NumPy's name
    **given: Any,
) -> Any:
    """As `numpy.clip`; several threads share large arrays of floats out."""
    named = {name: bound for name, bound in (("min", min), ("max", max)) if bound is not np._NoValue}
    bounds = (min, max) if a_min is a_max is np._NoValue else (a_min, a_max)
    if (
        type(a) is np.ndarray
        and a.size >= CLIP_FROM
        and not (given or (named and bounds[0] is a_min))
        and a.dtype.char in NATIVE
        and _dtype_of_results(bounds) is not None
    ):
        return _clip()(a, *bounds, out=out)
    return np.clip(a, a_min, a_max, out, **named, **given)


def _dtype_of_results(operands: tuple[Any, Any]) -> Any:
    """The dtype of what comes of two operands if these are arrays or numbers, of floats that there are kernels for, or ``None``."""
    if type(operands[0]) in _SIMPLE and type(operands[1]) in _SIMPLE:
        return NATIVE.get(np.result_type(*operands).char)
    return None


_SIMPLE = {np.ndarray, int, float, bool, *(dtype.type for dtype in NATIVE.values())}
"""Types of operands that are what NumPy takes them for, and no container's."""
