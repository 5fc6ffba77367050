"""NumPy's functions that choose elements, where NumPy has no ufunc of their names: `where`, `select` and `clip`."""

import contextlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from fastact.functions.shared import SHARED
from fastact.kernels.dtypes import NATIVE
from fastact.kinds.selecting import SelectingKernel
from fastact.kinds.sharing import SharingKernel
from fastact.runtime.standins import stand_in
from fastact.runtime.ufunc import make_ufunc

SELECT_FROM, CLIP_FROM = 2000, 100_000
"""Numbers of elements from which on the functions here are quicker than NumPy's, which need no Python."""


@cache
def _select() -> np.ufunc:
    return make_ufunc(SelectingKernel(), "where", "Elements of one of two arrays.", __name__)


@cache
def _clip() -> np.ufunc:
    return stand_in("clip", np._core.umath.clip, SharingKernel(*SHARED["clip"]), __name__, 3)  # type: ignore[attr-defined]


def where(condition: Any, /, *operands: Any) -> Any:
    """As `numpy.where`; of floats, an array or a number each, it takes one or the other without a branch for each element."""
    kind = _dtype_of_results(operands) if len(operands) == 2 and _are_many(condition) else None
    return (
        np.where(condition, *operands)
        if kind is None
        else _select()(condition, *operands, signature=(bool, kind, kind, kind))
    )


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """As `numpy.select`; of floats, arrays or numbers, it takes one or the other without a branch for each element."""
    kind = None
    if type(condlist) is type(choicelist) is list and len(condlist) == len(choicelist) > 0:
        values = (*choicelist, default)
        if all(map(_are_many, condlist)) and len({*map(np.shape, (*condlist, *values))} - {()}) == 1:
            kind = _dtype_of_results(values)
    if kind is None:
        return np.select(condlist, choicelist, default)
    found, result = default, np.empty(condlist[0].shape, kind)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        found = _select()(condition, choice, found, out=result, signature=(bool, kind, kind, kind))
    return result


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
    if type(a) is np.ndarray and a.size >= CLIP_FROM and a.dtype.char in NATIVE and not given:
        placed = [bound for bound in (a_min, a_max) if bound is not np._NoValue]
        bounds = tuple(named.values()) or tuple(placed)
        if len(bounds) == 2 and not (named and placed) and _dtype_of_results((a, *bounds)) is not None:
            return _clip()(a, *bounds, out=out)
    return np.clip(a, a_min, a_max, out, **named, **given)


def _are_many(condition: Any) -> bool:
    """Whether a condition is an array of so many booleans that it is worth it."""
    return type(condition) is np.ndarray and condition.dtype.char == "?" and condition.size >= SELECT_FROM


def _dtype_of_results(operands: tuple[Any, ...]) -> Any:
    """The dtype of what comes of operands if these are arrays or numbers, of floats that there are kernels for, or ``None``."""
    if all(type(operand) in _SIMPLE for operand in operands):
        with contextlib.suppress(TypeError):  # there is none, of which NumPy says what it has to say
            return NATIVE.get(np.result_type(*operands).char)
    return None


_SIMPLE = {np.ndarray, int, float, bool, *(dtype.type for dtype in NATIVE.values())}
"""Types of operands that are what NumPy takes them for, and no container's."""

EXAMPLES: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "clip": lambda x: (x, 0, 1),
    "select": lambda x: ([x > 0, x > 1], [x, 2.0]),
    "where": lambda x: (x > 0, x, 1.0),
}
"""What the functions are called with where they are compiled ahead or tried: of an array of floats, which is large enough."""
