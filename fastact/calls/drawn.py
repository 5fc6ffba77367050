"""How a function reaches a kernel of elements with random numbers: by rows of an array, with the index of the first of each."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from fastact.calls.order import empty_like_all
from fastact.calls.quiet import quietly

ROW = 2048
"""Elements of a row, where a longer one is cut: many rows are what threads share."""
PERIOD = 1 << 32
"""Indices that are so far apart have the same random number."""


def over_drawn(
    ufunc: Any,
    x: Any,
    axes: Sequence[int],
    key: int,
    threshold: int,
    options: Sequence[float],
    out: Any,
    origin: Sequence[int] | None = None,
    whole: Sequence[int] | None = None,
) -> Any:
    """Call the ufunc of a ``DrawnKernel`` over all elements of an array.

    Parameters
    ----------
    ufunc : numpy.ufunc
        Of a ``DrawnKernel``.
    x : ndarray
        The operand.
    axes : sequence of int
        The axes along which indices grow, in C's order; elements that differ along others only share a random number.
    key : int
        Of 64 bits.
    threshold : int
        What the kernel compares random numbers with, as int32.
    options : sequence of float
        Values of the kernel's options.
    out : ndarray or None
        Where results are written.
    origin, whole : sequence of int, optional
        Where in an array of which shape ``x`` is, if it is but a part.

    Returns
    -------
    ndarray
        Of the shape of ``x``, in ``out`` if that is given.
    """
    if out is None:
        dtype = result_dtype(ufunc, x.dtype)
        result = np.empty(x.shape, dtype) if x.flags.c_contiguous else empty_like_all([x], dtype)
    else:
        result = out
    numbers = np.array(options, np.float64)
    integers = as_int32(key), as_int32(key >> 32)
    if whole is None and len(axes) == x.ndim and x.flags.c_contiguous and result.flags.c_contiguous:
        if x.size < 2 * ROW:  # of a few elements the rest would take longer than the kernel
            given = np.array((*integers, 1, threshold))
            quietly(ufunc, x.reshape(-1), 0, given, numbers, out=result.reshape(-1))
            return result
        shape, pitch, first = [x.size], [1], 0
        xs, ys = x.reshape(-1), result.reshape(-1)
    else:
        pitches = index_steps(x.shape if whole is None else whole, axes)
        first = 0 if origin is None else sum(start * step for start, step in zip(origin, pitches, strict=True))
        shape, pitch, order = _joined(x, result, pitches)
        xs, ys = x.transpose(order).reshape(shape), np.reshape(result.transpose(order), shape, copy=False)
    given = np.array((*integers, as_int32(pitch[-1]), threshold))
    for rows, starts in _rows(shape, pitch):
        quietly(ufunc, rows(xs), starts + first, given, numbers, out=rows(ys))
    return result


@lru_cache(maxsize=64)
def result_dtype(ufunc: Any, dtype: Any) -> Any:
    """The dtype of the results for an operand of a dtype."""
    return ufunc.resolve_dtypes((dtype, *map(np.dtype, ("int64", "int64", "float64")), None))[-1]


def index_steps(shape: Sequence[int], axes: Sequence[int]) -> list[int]:
    """By how much the index grows along each axis of an array: in C's order along those of ``axes``, and not along others."""
    steps, following = [0] * len(shape), 1
    for axis in reversed(range(len(shape))):
        if axis in axes:
            steps[axis], following = following, following * shape[axis]
    return steps


def _joined(x: Any, result: Any, pitches: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Lengths and index steps of as few axes as the elements of both arrays can be walked along, and all axes in their order."""
    order = sorted(range(x.ndim), key=lambda axis: (-abs(result.strides[axis]), axis))
    shape, last = [1], (0, 0, 0)
    steps = [0]
    for axis in order:
        n, here = x.shape[axis], (x.strides[axis], result.strides[axis], pitches[axis])
        if n == 1:
            continue
        if shape[-1] == 1 or last == tuple(n * step for step in here):
            shape[-1] *= n
            steps[-1] = here[-1]
        else:
            shape.append(n)
            steps.append(here[-1])
        last = here
    return shape, steps, order


def _rows(shape: Sequence[int], steps: Sequence[int]) -> Iterator[tuple[Any, Any]]:
    """Views of arrays of a shape as rows of a handy length, each with the indices of the rows' first elements."""
    *outer, n = shape
    starts = row_starts(outer, steps)
    cut = n // ROW * ROW if n >= 2 * ROW else 0
    if cut:
        among = np.arange(0, cut, ROW) * steps[-1]
        yield lambda a: a[..., :cut].reshape(*outer, -1, ROW), starts[..., None] + among
    if n > cut and starts.size:
        yield lambda a: a[..., cut:], starts + cut * steps[-1]


def row_starts(shape: Sequence[int], steps: Sequence[int]) -> Any:
    """The index of the first element of each row, given by how much indices grow along each axis of rows."""
    starts = np.zeros(shape, np.int64)
    for axis, (count, step) in enumerate(zip(shape, steps, strict=False)):
        starts += (np.arange(count) * step).reshape(-1, *[1] * (len(shape) - axis - 1))
    return starts


def threshold_of(p: float) -> int:
    """What the int32 of an element is compared with that is dropped with a probability."""
    return min(round(p * PERIOD), PERIOD - 1) - PERIOD // 2


def as_int32(value: int) -> int:
    """The lowest 32 bits of an integer as a signed one."""
    return (value + PERIOD // 2) % PERIOD - PERIOD // 2
