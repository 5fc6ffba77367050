"""The reductions of ``fastact.numpy``: what NumPy's are given and give, computed here where that is quicker.

Quick are arrays of float16, float32 and float64 of some size whose elements lie so that they need no copy. All else is handed to
NumPy's own functions as it came, and so is what they report: a result that is infinite, or NaN without an element that is.
"""

import math
from typing import Any

import numpy as np

from fastact.calls.quiet import quietly
from fastact.functions.reduction_calls import (
    LONG,
    SHORT,
    all_variances,
    arranged,
    best,
    direct,
    explained,
    in_pieces,
    is_cut,
    placed,
    sums,
    takes,
    variance,
    variances,
)
from fastact.functions.reductions import LARGEST, MEAN, SMALLEST, SUM, WIDE_MEAN, columns, rows
from fastact.runtime.threads import get_num_threads

_NO: Any = np._NoValue  # what NumPy's own signatures say where nothing is given
_FLOATS = frozenset("efd")

LEAST_SUM, LEAST_MEAN, LEAST_BEST, LEAST_VARIANCE, LEAST_PLACE = 4096, 2048, 16_384, 64, 2**19
"""Elements of the smallest arrays that are quicker computed here."""
LEAST_SIDE = 2**15
"""The same where there are several results."""
LEAST_CUT = 2**17
"""The same where their axes have to be arranged first."""
LEAST_ADDED, MOST_COMPARED = 128, 512
"""The fewest elements of a row that is quicker added up here, and the most of one that is quicker compared, on one thread."""
LEAST_ROWS, LEAST_COLUMNS = 32, 64
"""The fewest elements of a column, and columns, that are quicker added up here."""
MANY_SHORT = 4096
"""The fewest rows that are computed side by side, if they are short."""
LEAST_BETWEEN = 2048
"""The fewest rows of a matrix in whose columns NumPy seeks places so slowly, for they lie far apart, that it is quicker here."""


def sum(  # noqa: A001 - NumPy's name
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = _NO,
    initial: Any = _NO,
    where: Any = _NO,
) -> Any:
    """Sum of elements over an axis, over several, or over the whole array.

    As `numpy.sum`. Sums of float16, float32 and float64 are added in float64, and what an addition of their parts rounds away is
    kept: the error is a few units in float64's last place of the sum of magnitudes, and then one rounding to the dtype.
    """
    if type(a) is np.ndarray and initial is _NO and where is _NO and (out is None or type(out) is np.ndarray):
        if a.size >= LEAST_SUM and dtype is None and not _has_short_sides(a, axis):
            found = _added(a, axis, out, keepdims, SUM)
            if found is not None:
                return found
        return np.add.reduce(a, axis, dtype, out, **({} if keepdims is _NO else {"keepdims": keepdims}))
    return np.sum(a, **_given(axis=axis, dtype=dtype, out=out, keepdims=keepdims, initial=initial, where=where))


def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = _NO, *, where: Any = _NO) -> Any:
    """Arithmetic mean of elements over an axis, over several, or over the whole array.

    As `numpy.mean`, with sums as `sum` adds them; the quotient is rounded once.
    """
    if type(a) is np.ndarray and where is _NO and (out is None or type(out) is np.ndarray):
        if a.size >= LEAST_MEAN and dtype is None and not _has_short_sides(a, axis):
            found = _added(a, axis, out, keepdims, MEAN)
            if found is not None:
                return found
        return a.mean(axis, dtype, out, **({} if keepdims is _NO else {"keepdims": keepdims}))
    return np.mean(a, **_given(axis=axis, dtype=dtype, out=out, keepdims=keepdims, where=where))


def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = _NO,
    *,
    where: Any = _NO,
    mean: Any = _NO,
    correction: Any = _NO,
) -> Any:
    """Variance of elements over an axis, over several, or over the whole array.

    As `numpy.var`. Distances from the mean are computed and squared in float64, whatever the dtype, and the rounding of the mean
    itself is made up for.
    """
    return _spread(a, axis, dtype, out, ddof, keepdims, where, mean, correction, False)


def std(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = _NO,
    *,
    where: Any = _NO,
    mean: Any = _NO,
    correction: Any = _NO,
) -> Any:
    """Standard deviation of elements over an axis, over several, or over the whole array.

    As `numpy.std`: the root of what `var` computes, rounded once.
    """
    return _spread(a, axis, dtype, out, ddof, keepdims, where, mean, correction, True)


def max(  # noqa: A001 - NumPy's name
    a: Any, axis: Any = None, out: Any = None, keepdims: Any = _NO, initial: Any = _NO, where: Any = _NO
) -> Any:
    """Largest element over an axis, over several, or of the whole array.

    As `numpy.max`: NaN if an element is.
    """
    return _extreme(a, axis, out, keepdims, initial, where, LARGEST, np.max)


def min(  # noqa: A001 - NumPy's name
    a: Any, axis: Any = None, out: Any = None, keepdims: Any = _NO, initial: Any = _NO, where: Any = _NO
) -> Any:
    """Smallest element over an axis, over several, or of the whole array.

    As `numpy.min`: NaN if an element is.
    """
    return _extreme(a, axis, out, keepdims, initial, where, SMALLEST, np.min)


def amax(a: Any, axis: Any = None, out: Any = None, keepdims: Any = _NO, initial: Any = _NO, where: Any = _NO) -> Any:
    """`max` by its older name."""
    return _extreme(a, axis, out, keepdims, initial, where, LARGEST, np.amax)


def amin(a: Any, axis: Any = None, out: Any = None, keepdims: Any = _NO, initial: Any = _NO, where: Any = _NO) -> Any:
    """`min` by its older name."""
    return _extreme(a, axis, out, keepdims, initial, where, SMALLEST, np.amin)


def argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = _NO) -> Any:
    """Place of the first of the largest elements along an axis, or in the flattened array.

    As `numpy.argmax`: that of the first NaN if an element is. Quicker over an axis that is not the last.
    """
    return _place(a, axis, out, keepdims, np.argmax, LARGEST)


def argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = _NO) -> Any:
    """Place of the first of the smallest elements along an axis, or in the flattened array.

    As `numpy.argmin`: that of the first NaN if an element is. Quicker over an axis that is not the last.
    """
    return _place(a, axis, out, keepdims, np.argmin, SMALLEST)


def _spread(
    a: Any,
    axis: Any,
    dtype: Any,
    out: Any,
    ddof: Any,
    keepdims: Any,
    where: Any,
    mean: Any,
    correction: Any,
    root: bool,
) -> Any:
    """``var``, or ``std``, which is its root."""
    if type(a) is np.ndarray and where is _NO and mean is _NO and (out is None or type(out) is np.ndarray):
        if a.size >= LEAST_VARIANCE and dtype is None and not _has_short_sides(a, axis):
            found = _deviation(a, axis, out, keepdims, ddof, correction, root)
            if found is not None:
                return found
        if correction is _NO:
            theirs = a.std if root else a.var
            return theirs(axis, dtype, out, ddof, **({} if keepdims is _NO else {"keepdims": keepdims}))
    given = _given(axis=axis, dtype=dtype, out=out, keepdims=keepdims, where=where, mean=mean, correction=correction)
    if not (type(ddof) is int and ddof == 0):
        given["ddof"] = ddof
    return np.std(a, **given) if root else np.var(a, **given)


def _extreme(a: Any, axis: Any, out: Any, keepdims: Any, initial: Any, where: Any, reduction: Any, theirs: Any) -> Any:
    """``max`` or ``min``, by NumPy's function of either name."""
    if type(a) is np.ndarray and initial is _NO and where is _NO and (out is None or type(out) is np.ndarray):
        if a.size >= LONG or (a.size >= LEAST_BEST and axis is not None and a.ndim > 1):
            found = _compared(a, axis, out, keepdims, reduction)
            if found is not None:
                return found
        ufunc = np.maximum if reduction is LARGEST else np.minimum
        return ufunc.reduce(a, axis, None, out, **({} if keepdims is _NO else {"keepdims": keepdims}))
    return theirs(a, **_given(axis=axis, out=out, keepdims=keepdims, initial=initial, where=where))


def _given(**arguments: Any) -> dict[str, Any]:
    """The arguments that differ from the defaults: containers that overload NumPy's functions may not know all of them."""
    absent = {"axis": None, "dtype": None, "out": None}
    return {name: value for name, value in arguments.items() if value is not absent.get(name, _NO)}


def _has_short_sides(a: Any, axis: Any) -> bool:
    """Whether an array of several axes is too small to be worth a closer look."""
    return a.ndim > 1 and axis is not None and a.size < LEAST_SIDE and a.shape[-1] > SHORT


def _added(a: Any, axis: Any, out: Any, keepdims: Any, final: Any) -> Any:
    """A sum or mean computed here, or ``None``, and nothing is written, if it is left to NumPy."""
    dtype = a.dtype
    if dtype.char not in _FLOATS or not dtype.isnative:
        return None
    found = direct(a, axis)
    if found is not None:
        view, outer, n, inner = found
        if not _adds_quickly(outer, n, inner):
            return None
        if out is None and keepdims is _NO and not is_cut(outer, n, inner) and (n > SHORT or inner > 1):
            values = (rows if inner == 1 else columns)(final)(view)
            if math.isfinite(values) if values.ndim == 0 else np.isfinite(values).all():
                return values
    elif a.size < LEAST_CUT:
        return None
    return _arranged(a, axis, out, keepdims, lambda x: sums(x, final) if _adds_quickly(*x.shape) else None, True)


def _compared(a: Any, axis: Any, out: Any, keepdims: Any, reduction: Any) -> Any:
    """A largest or smallest element computed here, or ``None``, and nothing is written, if it is left to NumPy."""
    dtype = a.dtype
    if dtype.char not in _FLOATS or not dtype.isnative:
        return None
    found = direct(a, axis)
    if found is None:
        if a.size < LONG:
            return None
    else:
        view, outer, n, inner = found
        if not _compares_quickly(outer, n, inner):
            return None
        if inner == 1 and n > SHORT and outer > 1 and out is None and keepdims is _NO:
            return rows(reduction)(view)
    return _arranged(
        a, axis, out, keepdims, lambda x: best(x, reduction) if _compares_quickly(*x.shape) else None, False
    )


def _arranged(a: Any, axis: Any, out: Any, keepdims: Any, compute: Any, reports: bool) -> Any:
    """The same of arrays of any layout."""
    dtype = a.dtype
    if not (keepdims is _NO or type(keepdims) is bool):
        return None
    found = arranged(a, axis)
    keep = keepdims is True
    if found is None or (out is not None and not takes(out, a, found, keep, dtype)):
        return None
    values = compute(found.view)
    if values is None or (reports and not explained(values, found.view)):
        return None
    return placed(values, found, out, keep)


def _adds_quickly(outer: int, n: int, inner: int) -> bool:
    """Whether rows, or columns, are of a shape that is quicker added up here."""
    if inner == 1:
        return (n >= LEAST_ADDED and (outer == 1 or outer * n >= LEAST_SIDE)) or (n <= SHORT and outer >= MANY_SHORT)
    if inner < LEAST_COLUMNS:
        return in_pieces(outer, n, inner)
    return n >= LEAST_ROWS and outer * n * inner >= LEAST_SIDE


def _compares_quickly(outer: int, n: int, inner: int) -> bool:
    """The same of comparisons: NumPy's wait for memory as these do, but for rows that are short."""
    if inner == 1:
        if n <= MOST_COMPARED:
            return (n >= LEAST_COLUMNS and outer * n >= LEAST_SIDE) or (n <= SHORT and outer >= MANY_SHORT)
        return get_num_threads() > 1 and outer * n >= LONG
    return inner < LEAST_COLUMNS and in_pieces(outer, n, inner)


def _deviation(a: Any, axis: Any, out: Any, keepdims: Any, ddof: Any, correction: Any, root: bool) -> Any:
    """A variance, or its root, computed here, or ``None``, and nothing is written, if it is left to NumPy."""
    dtype = a.dtype
    if dtype.char not in _FLOATS or not dtype.isnative:
        return None
    if correction is not _NO:
        if ddof != 0:
            return None
        ddof = correction
    if type(ddof) not in (int, float):
        return None
    found = direct(a, axis)
    if found is not None:
        view, outer, n, inner = found
        if not _varies_quickly(outer, n, inner, ddof):
            return None
        if out is None and keepdims is _NO and not is_cut(outer, n, inner) and (n > SHORT or inner > 1):
            if view.ndim == 1:
                value = variance(view, ddof, root)
            else:
                value = quietly(all_variances, view, rows if inner == 1 else columns, n, ddof, root)
            if value is not None:
                return value
    elif a.size < LEAST_CUT:
        return None

    def compute(x: Any) -> Any:
        outer, n, inner = x.shape
        if not _varies_quickly(outer, n, inner, ddof):
            return None
        return quietly(_rounded, variances(x, sums(x, WIDE_MEAN), ddof), root, x.dtype)

    return _arranged(a, axis, out, keepdims, compute, True)


def _varies_quickly(outer: int, n: int, inner: int, ddof: float) -> bool:
    """As ``_adds_quickly`` of variances."""
    if n - ddof <= 0:
        return False
    if outer == inner == 1:
        return True
    if inner == 1:
        return (n >= LEAST_COLUMNS and outer * n >= LEAST_SIDE) or (n <= SHORT and outer >= MANY_SHORT)
    return in_pieces(outer, n, inner) or (n >= LEAST_ROWS <= inner and outer * n * inner >= LEAST_SIDE)


def _rounded(found: Any, root: bool, dtype: Any) -> Any:
    return np.asarray(np.sqrt(found) if root else found).astype(dtype)


def _place(a: Any, axis: Any, out: Any, keepdims: Any, theirs: Any, reduction: Any) -> Any:
    """``argmax`` or ``argmin``."""
    if type(a) is np.ndarray:
        if (
            a.size >= LEAST_PLACE
            and type(axis) is int
            and axis not in (-1, a.ndim - 1)
            and -a.ndim <= axis < a.ndim
            and a.shape[axis] >= LEAST_BETWEEN
            and a.dtype.char in _FLOATS
            and a.dtype.isnative
        ):
            found = _found_place(a, axis, out, keepdims, reduction, theirs)
            if found is not None:
                return found
        elif keepdims is _NO and out is None:
            return a.argmax(axis) if reduction is LARGEST else a.argmin(axis)
    return theirs(a, **_given(axis=axis, out=out, keepdims=keepdims))


def _found_place(a: Any, axis: int, out: Any, keepdims: Any, reduction: Any, theirs: Any) -> Any:
    """Places in columns; ``None`` if it is left to NumPy."""
    found = arranged(a, axis)
    keep = keepdims is True
    if found is None or not (keepdims is _NO or type(keepdims) is bool):
        return None
    if out is not None and not takes(out, a, found, keep, np.dtype(np.intp)):
        return None
    outer, _, inner = found.view.shape
    if outer > SHORT or inner < LEAST_COLUMNS:
        return None
    places = placed(np.stack([_in_columns(x, reduction, theirs) for x in found.view]), found, out, keep)
    return places if out is not None else np.ascontiguousarray(places)  # as NumPy's, however the array lies


def _in_columns(x: Any, reduction: Any, theirs: Any) -> Any:
    """The place in each column of a matrix: first that of the block of rows which holds it."""
    n, inner = x.shape
    height = int(n**0.5)
    blocks = n // height
    if n <= 2 * SHORT:
        return _in_few(x, best(x[None], reduction)[0])
    found = [best(x[: blocks * height].reshape(blocks, height, inner), reduction)]
    if blocks * height < n:
        found.append(best(x[None, blocks * height :], reduction))
    values = np.concatenate(found)
    block = theirs(values, axis=0)
    places = np.minimum(
        block * height + np.arange(height)[:, None], n - 1
    )  # beyond the end the last, which comes later
    within = x[places, np.arange(inner)]
    return block * height + _in_few(within, values[block, np.arange(inner)])


def _in_few(x: Any, values: Any) -> Any:
    """The first row of each column that holds its largest or smallest element, or NaN."""
    places, odd = np.zeros(len(values), np.intp), np.isnan(values)
    for k in range(len(x) - 1, -1, -1):
        np.copyto(places, k, where=x[k] == values)
    if odd.any():
        places[odd] = np.isnan(x[:, odd]).argmax(axis=0)
    return places
