"""How results lie in memory: their axes follow each other as those of NumPy's elementwise expressions of the same operands do."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def empty_like_all(operands: Sequence[Any], dtype: Any, order: Any = "K") -> Any:
    """An array of the operands' broadcast shape, as ``np.add(*operands)`` would lie in memory: its iterator makes it."""
    if len(operands) == 1 and order == "K" and 0 not in operands[0].strides:
        return np.empty_like(operands[0], dtype)  # which takes an axis that is repeated for the innermost
    given, arrays = len(operands), [*operands, None]
    flags: list[Any] = [["readonly"]] * given + [["writeonly", "allocate", "no_subtype"]]
    dtypes = [None] * given + [dtype]
    return np.nditer(arrays, ["zerosize_ok", "refs_ok"], flags, dtypes, order).operands[-1]


def made_like(x: Any, shape: Sequence[int], dtype: Any, make: Callable[..., Any] = np.empty) -> Any:
    """What ``make`` makes of a shape, its axes following each other in memory as those of ``x`` do."""
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    return make([shape[axis] for axis in order], dtype).transpose(np.argsort(order))


def arranged_like(operands: Sequence[Any], values: Any) -> Any:
    """Values of the operands' broadcast shape as an elementwise expression's result would lie: as they are, or a copy."""
    if values.ndim < 2:
        return values
    result = empty_like_all(operands, values.dtype)
    if result.strides == values.strides:
        return values
    result[...] = values
    return result
