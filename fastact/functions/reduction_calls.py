"""How arrays of any shape reach the kernels of reductions: with an outer, a reduced and an inner axis, in pieces if large.

What is cut, and where, depends on the shape and the layout alone, so that results have the same bits on any number of threads.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from fastact.calls.quiet import quietly
from fastact.functions.reductions import LARGEST, PARTS, SQUARES, WIDE_MEAN, columns, rows
from fastact.kernels.limits import SEGMENT

SHORT = 16
"""Rows that are so short are computed side by side."""
SIDE = 512
"""So many of them; and columns are made so many, if there are fewer, by taking several rows as one."""
FOLDED = 64
"""The most columns that are made more."""
LONG = 2**20
"""From so many elements on a row, or a matrix whose columns are reduced, is cut into pieces for several threads."""
MOST_PIECES = 16
"""The most pieces of a matrix's rows, which each have sums of all columns."""
WIDE, BLOCK = 2**14, 2**10
"""From so many columns on a matrix is cut into blocks of columns and not of rows; and how many columns are a block."""
FINITE = {char: float(np.finfo(char).max) for char in "efd"}
"""The largest number of each dtype."""


class Arranged(NamedTuple):
    """An array with three axes: what is reduced is the second."""

    view: Any
    shape: tuple[int, ...]
    """Of the results, in the order in which axes lie in memory."""
    order: tuple[int, ...] | None
    """How their axes are then ordered; ``None`` if as they are."""
    axes: tuple[int, ...]
    """The axes of the array that are reduced."""


def arranged(x: Any, axis: Any) -> Arranged | None:
    """An array arranged for a reduction without a copy; ``None`` if that is not possible, or the axis is none."""
    ndim = x.ndim
    if axis is None or (ndim == 1 and type(axis) is int and -1 <= axis < 1):
        if x.flags.forc:
            return Arranged(x.reshape(1, -1, 1, order="A"), (), None, tuple(range(ndim)))
        axes = tuple(range(ndim))
    else:
        given = axis if type(axis) is tuple else (axis,)
        if not all(type(k) is int and -ndim <= k < ndim for k in given):
            return None
        axes = tuple(sorted(k % ndim for k in given))
        if not axes or len({*axes}) < len(axes):
            return None
    if x.flags.c_contiguous:
        order = tuple(range(ndim))
    else:
        order = tuple(sorted(range(ndim), key=lambda k: (-abs(x.strides[k]), k)))
        if x.strides[order[-1]] != x.itemsize:
            return None
    places = sorted(order.index(k) for k in axes)
    first, last = places[0], places[-1] + 1
    if last - first != len(places):
        return None
    y = x.transpose(order)
    try:
        view = y.reshape(math.prod(y.shape[:first]), -1, math.prod(y.shape[last:]), copy=False)
    except ValueError:
        return None
    kept = [k for k in order if k not in axes]
    back = None if kept == sorted(kept) else tuple(sorted(range(len(kept)), key=kept.__getitem__))
    return Arranged(view, tuple(x.shape[k] for k in kept), back, axes)


def direct(x: Any, axis: Any) -> tuple[Any, int, int, int] | None:
    """What a kernel takes as it is, and the numbers of outer, reduced and inner elements; ``None`` if it has to be arranged.

    Of one inner element what is reduced is the last axis, else the last but one.
    """
    if not x.flags.c_contiguous:
        return None
    ndim = x.ndim
    if axis is None or (ndim == 1 and type(axis) is int and -1 <= axis < 1):
        return x.reshape(-1), 1, x.size, 1
    if type(axis) is int and x.size:
        shape = x.shape
        if axis in (-1, ndim - 1):
            return x, x.size // shape[-1], shape[-1], 1
        if shape[-1] > 1 and (axis == ndim - 2 or (axis == -2 and ndim > 1)):
            return x, x.size // (shape[-1] * shape[-2]), shape[-2], shape[-1]
    return None


def placed(values: Any, found: Arranged, out: Any, keepdims: bool) -> Any:
    """Results as NumPy returns them: a scalar if there is one, in the axes' order, in ``out`` if that is given."""
    result = values.reshape(found.shape)
    if found.order is not None:
        result = result.transpose(found.order)
    if keepdims:
        result = np.expand_dims(result, found.axes)
    if out is not None:
        np.copyto(out, result)
        return out
    if not result.ndim:
        return result[()]
    return result if result.flags.owndata else result.copy(order="K")  # one that may be resized, as NumPy's


def takes(out: Any, x: Any, found: Arranged, keepdims: bool, dtype: Any) -> bool:
    """Whether results can be written to ``out`` as they are: what else is given is NumPy's business."""
    kept = tuple(1 if k in found.axes else n for k, n in enumerate(x.shape) if keepdims or k not in found.axes)
    return (
        type(out) is np.ndarray
        and out.dtype == dtype
        and out.dtype.isnative
        and out.shape == kept
        and out.flags.writeable
    )


def in_pieces(outer: int, n: int, inner: int) -> bool:
    """Whether it is worth it to reduce a matrix in pieces: it is large, or its rows are so short that several are taken as one."""
    return outer == 1 and inner < WIDE and (n * inner >= LONG or (1 < inner <= FOLDED and n * inner >= SEGMENT))


def is_cut(outer: int, n: int, inner: int) -> bool:
    """Whether a kernel does not take a matrix as a whole: in pieces, or in blocks of columns."""
    return in_pieces(outer, n, inner) or (outer == 1 and inner >= WIDE)


def sums(x: Any, final: Any) -> Any:
    """What follows from the sums over the second of three axes: ``final`` of them, a kind of sum or mean."""
    outer, n, inner = x.shape
    if not in_pieces(outer, n, inner):
        return _whole(x, final, ())[0]
    high, low = quietly(_sum_of_parts, *_pieces(x[0], PARTS, ()))
    return quietly(_finished, final, high + low, n, x.dtype)


def best(x: Any, reduction: Any) -> Any:
    """The largest, or the smallest, of the second of three axes."""
    outer, n, inner = x.shape
    if not in_pieces(outer, n, inner):
        return _whole(x, reduction, ())[0]
    (found,) = _pieces(x[0], reduction, ())
    return _whole(found[None], reduction, ())[0]


def variances(x: Any, mean: Any, ddof: float) -> Any:
    """The variances over the second of three axes, in float64, given means that are of float64."""
    outer, n, inner = x.shape
    if not in_pieces(outer, n, inner):
        squares, drift = _whole(x, SQUARES, (mean,))
    else:
        squares, drift = _pieces(x[0], SQUARES, (mean,))
        squares, _ = quietly(_sum_of_parts, squares, np.zeros_like(squares))
        drift = quietly(np.add.reduce, drift, axis=0)
    return quietly(_variance, squares, drift, n, ddof)


def variance(x: Any, ddof: float, root: bool) -> Any:
    """The variance of one row, or its root, in the row's dtype; ``None`` if it is not finite there."""
    mean = rows(WIDE_MEAN)(x)
    squares, drift = rows(SQUARES)(x, mean)
    n, off = len(x), float(drift)
    value = (float(squares) - off * off / n) / (n - ddof)
    if not value <= FINITE[x.dtype.char]:
        return None
    value = max(0.0, value)
    return x.dtype.type(math.sqrt(value) if root else value)


def all_variances(x: Any, ufunc: Any, n: int, ddof: float, root: bool) -> Any:
    """The same of all rows or columns, which ``ufunc`` of a reduction reduces."""
    squares, drift = ufunc(SQUARES)(x, ufunc(WIDE_MEAN)(x))
    found = _variance(squares, drift, n, ddof)
    result = (np.sqrt(found, out=found) if root else found).astype(x.dtype, copy=False)
    return result if np.isfinite(result).all() else None


def _variance(squares: Any, drift: Any, n: int, ddof: float) -> Any:
    """The distances are from a mean that is rounded: what they sum to says how far it is off."""
    return np.maximum((squares - drift * drift / n) / (n - ddof), 0.0)


def _finished(final: Any, total: Any, n: int, dtype: Any) -> Any:
    value = total / n if "mean" in final.name else total
    return np.asarray(value).astype(np.float64 if final.wide else dtype)


def _whole(x: Any, reduction: Any, numbers: tuple[Any, ...]) -> tuple[Any, ...]:
    """The results of all rows or columns at once."""
    outer, n, inner = x.shape
    if outer == 1 and inner >= WIDE:
        return _blocks_of_columns(x[0], reduction, numbers)
    if inner > 1:
        found = columns(reduction)(x, *numbers)
    elif n <= SHORT and outer >= 2 * SIDE:
        return _side_by_side(x[:, :, 0], reduction, numbers)
    else:
        found = rows(reduction)(x[:, :, 0], *(number.reshape(outer) for number in numbers))
    return found if isinstance(found, tuple) else (found,)


def _blocks_of_columns(x: Any, reduction: Any, numbers: tuple[Any, ...]) -> tuple[Any, ...]:
    """The results of the columns of a wide matrix."""
    n, inner = x.shape
    whole = inner // BLOCK * BLOCK
    dtype = np.float64 if reduction.wide else x.dtype
    results = tuple(np.empty((1, inner), dtype) for _ in range(reduction.outputs))
    for first, last, width in ((0, whole, BLOCK), (whole, inner, inner - whole)):
        if first < last:
            matrices = x[:, first:last].reshape(n, -1, width, copy=False).transpose(1, 0, 2)
            given = [number.reshape(inner)[first:last].reshape(-1, width) for number in numbers]
            columns(reduction)(matrices, *given, out=tuple(r[0, first:last].reshape(-1, width) for r in results))
    return results


def _side_by_side(x: Any, reduction: Any, numbers: tuple[Any, ...]) -> tuple[Any, ...]:
    """The results of short rows, as columns of matrices."""
    height, n = x.shape
    whole = height // SIDE * SIDE
    dtype = np.float64 if reduction.wide else x.dtype
    results = tuple(np.empty(height, dtype) for _ in range(reduction.outputs))
    for first, last, side in ((0, whole, SIDE), (whole, height, height - whole)):
        if first < last:
            matrices = x[first:last].reshape(-1, side, n).transpose(0, 2, 1)
            given = [number.reshape(height)[first:last].reshape(-1, side) for number in numbers]
            columns(reduction)(matrices, *given, out=tuple(r[first:last].reshape(-1, side) for r in results))
    return results


def _pieces(x: Any, reduction: Any, numbers: tuple[Any, ...]) -> tuple[Any, ...]:
    """The results of the columns of pieces of a matrix, one below the other."""
    n, inner = x.shape
    size, folded = x.itemsize, 1
    if inner < SIDE and n > 1 and x.strides == (inner * size, size):
        folded = max(1, SIDE // inner)
    if inner == 1:
        folded = SEGMENT
    lines = n // folded
    height = max(1, SEGMENT // (folded * inner), 1 if inner == 1 else -(-lines // MOST_PIECES))
    blocks = lines // height
    cuts = (
        (0, blocks * height * folded, blocks, folded),
        (blocks * height * folded, lines * folded, 1, folded),
        (lines * folded, n, 1, 1),
    )
    found = []
    for first, last, count, fold in cuts:
        if first < last:
            part = x[first:last]
            if inner == 1:
                matrix = part.reshape(-1, fold if fold > 1 else last - first, 1)
                results = _whole(matrix, reduction, tuple(np.broadcast_to(m.reshape(1), len(matrix)) for m in numbers))
            else:
                matrix = part.reshape(count, -1, fold * inner)
                results = _whole(matrix, reduction, tuple(np.tile(m.reshape(inner), fold) for m in numbers))
            found.append([result.reshape(-1, inner) for result in results])
    return tuple(np.concatenate(results) for results in zip(*found, strict=True))


def _sum_of_parts(high: Any, low: Any) -> Any:
    """The sum of all parts of each column, as two numbers."""
    return _whole(np.concatenate([high, low])[None], PARTS, ())


def explained(values: Any, x: Any) -> bool:
    """Whether results are finite, or NaN because an element is: nothing for NumPy to report."""
    odd = ~np.isfinite(values)
    if not odd.any():
        return True
    if not np.isnan(values[odd]).all():
        return False
    return bool(np.isnan(best(x, LARGEST).reshape(values.shape)[odd]).all())
