"""Ufuncs of operands that broadcast: whole rows go to the team, where NumPy hands them to one thread one after the other.

NumPy calls the inner loop of a ufunc once for each row of an operand that is repeated, such as a slope for each channel, and a loop
knows of no row but its own. A generalised ufunc of the same formula is given all rows at once.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from fastact.calls.quiet import quietly
from fastact.kernels.dtypes import DTYPES
from fastact.kernels.templates import FILLED_IN, clone
from fastact.kinds.elementwise import Kernel
from fastact.kinds.rows import RowKernel
from fastact.maths.scalar import scalar
from fastact.runtime.ufunc import make_ufunc

MANY, LEAST = 2**15, 64
"""Elements of a result from which on rows are handed over together, and those that a row has at least."""
NAMES = ("a", "b", "c", "d")
"""Of operands, in a formula of rows."""


def spread(kernel: Kernel, operands: Sequence[Any], out: Any) -> Any:
    """The result of an elementwise kernel's operands, one of which is repeated; ``NotImplemented`` where NumPy's way is as good.

    Parameters
    ----------
    kernel : Kernel
        Of one result.
    operands : sequence of ndarray or number
        As the ufunc takes them.
    out : ndarray or None
        Where the result is written.
    """
    whole = max(operands, key=np.size)
    if type(whole) is not np.ndarray or whole.size < MANY or not _is_plain(whole, whole):
        return NotImplemented
    sizes = [np.size(a) for a in operands]
    if not any(1 < size < whole.size for size in sizes) or not all(_fits(a, whole) for a in operands):
        return NotImplemented
    if out is not None and not (_is_plain(out, whole) and out.flags.writeable and _is_apart(out, operands)):
        return NotImplemented
    joined = _joined(whole.shape, [np.shape(a) for a in operands])
    shape = [n for n, _ in joined]
    if shape[-1] < LEAST:
        return NotImplemented
    result = np.empty(whole.shape, whole.dtype) if out is None else out
    rows = []
    for k, a in enumerate(operands):
        own = [n if there[k] else 1 for n, there in joined]
        rows.append(np.broadcast_to(np.ascontiguousarray(a, whole.dtype).reshape(own), shape))
    quietly(_ufunc_of_rows(kernel), *rows, out=result.reshape(shape))
    return result


def _is_plain(a: Any, whole: Any) -> bool:
    """Whether an array is one of floats that lies side by side, like the whole one."""
    if type(a) is not np.ndarray or a.shape != whole.shape or a.dtype != whole.dtype:
        return False
    return bool(a.dtype.name in DTYPES and a.dtype.isnative and a.flags.aligned and a.flags.c_contiguous)


def _fits(a: Any, whole: Any) -> bool:
    """Whether an operand is a number, or an array that is whole or is repeated along axes of the whole one."""
    if type(a) in (int, float):
        return True
    if type(a) is not np.ndarray or a.dtype != whole.dtype or a.ndim > whole.ndim:
        return False
    if a.shape == whole.shape:
        return _is_plain(a, whole)
    return all(n in (1, m) for n, m in zip(reversed(a.shape), reversed(whole.shape), strict=False))


def _is_apart(out: Any, operands: Sequence[Any]) -> bool:
    """Whether no operand lies where the result is written, but for those that are the same array."""
    arrays = [a for a in operands if type(a) is np.ndarray]
    same = [a.ctypes.data == out.ctypes.data and a.shape == out.shape for a in arrays]
    return not any(np.may_share_memory(a, out) for a, is_same in zip(arrays, same, strict=True) if not is_same)


def _joined(shape: tuple[int, ...], operands: Sequence[tuple[int, ...]]) -> list[tuple[int, tuple[bool, ...]]]:
    """Axes as few as they may be, each with its length and whether each operand, of which these are the shapes, has it."""
    joined: list[tuple[int, tuple[bool, ...]]] = []
    padded = [(1,) * (len(shape) - len(one)) + tuple(one) for one in operands]
    for k, n in enumerate(shape):
        there = tuple(one[k] == n for one in padded)
        if n == 1:
            continue
        if joined and joined[-1][1] == there:
            joined[-1] = (joined[-1][0] * n, there)
        else:
            joined.append((n, there))
    return joined


# Formulas of as many elements as a kernel has operands.

formula = FILLED_IN


def _of_two(a: Any, b: Any) -> Any:
    return formula(a, b)


def _of_three(a: Any, b: Any, c: Any) -> Any:
    return formula(a, b, c)


def _gradient_of_two(a: Any, b: Any) -> Any:
    return a * formula(b)


def _gradient_of_three(a: Any, b: Any, c: Any) -> Any:
    return a * formula(b, c)


def _gradient_of_four(a: Any, b: Any, c: Any, d: Any) -> Any:
    return a * formula(b, c, d)


_VALUES = {2: _of_two, 3: _of_three}
_GRADIENTS = {2: _gradient_of_two, 3: _gradient_of_three, 4: _gradient_of_four}
"""By the number of operands."""


@cache
def _ufunc_of_rows(kernel: Kernel) -> Any:
    """The generalised ufunc of a kernel's formula."""
    template = (_GRADIENTS if kernel.times_gradient else _VALUES)[kernel.inputs]
    written = scalar(clone(template, {"formula": kernel.formula}))
    names = " ".join(NAMES[: kernel.inputs])
    rows = RowKernel(f"{kernel.name}.rows", (), written, operands=names, cost=kernel.cost)
    return make_ufunc(rows, rows.name, "An elementwise formula of whole rows.", __name__)
