"""Choosing among the elements of rows: the best few, and the best."""

from functools import cache, partial
from typing import Any

import numpy as np

from fastact.calls.checking import integer, knowing_names, only_axis, switch
from fastact.calls.containers import is_container, refuse_masked, within
from fastact.calls.layout import Layout
from fastact.calls.quiet import quietly
from fastact.functions.cross_entropy_requests import as_floats, as_reals
from fastact.functions.record import Function, Variant, X, register, variants
from fastact.kinds.top import TopKernel
from fastact.runtime.ufunc import make_ufunc

LONG, FEW_ROWS = 2**17, 16
"""Rows of so many elements, if there are fewer than so many, are taken in parts, for which there are threads."""
PART = 2**15
EXACT = 2**53
"""Integers up to here are floats."""


@knowing_names
def top_k(x: Any, k: int, *, axis: int = -1, largest: bool = True, sorted: bool = True) -> Any:  # noqa: A002
    r"""The `k` largest elements along an axis and their indices, or the smallest.

    Parameters
    ----------
    x : array_like
        Floats, integers or booleans.
    k : int
        How many; from 0 to the length of the axis.
    axis : int, default -1
        The axis of what is chosen from.
    largest : bool, default True
        Whether the largest are chosen, or the smallest.
    sorted : bool, default True
        Whether the best comes first; else they follow each other as in `x`.

    Returns
    -------
    values : ndarray
        Of the dtype of `x` and its shape, but for `k` along `axis`.
    indices : ndarray of int64
        Where they are along `axis`.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is not an axis of `x`.
    ValueError
        If `k` is negative or more than there are.
    TypeError
        For complex, string, object and masked arrays, and an argument of a type that is not allowed.

    See Also
    --------
    max_with_index : the first of them.
    top_k_accuracy : how often a label is among them.

    Notes
    -----
    .. math:: v_1 \ge v_2 \ge \dots \ge v_k \ge x_j \quad \text{for all others}

    The order is that of a stable sort: of equal elements the first is better, also where the smallest are chosen, and zeros of
    either sign are equal. NaN is larger than all, as for PyTorch and ``np.sort``. PyTorch says nothing of the order of equal
    elements, and leaves unsorted results in any order. Values are elements of `x`, bit by bit.

    Elements are compared with the worst of the best so far, many at a time, so a row is mostly read once.

    Examples
    --------
    >>> import fastact as fa
    >>> values, indices = fa.top_k([0.5, 2.0, -1.0, 2.0], 3)
    >>> values
    array([2. , 2. , 0.5])
    >>> indices
    array([1, 3, 0])
    """
    return _chosen(top_k, x, {"k": k, "axis": axis, "largest": largest, "sorted": sorted})


@knowing_names
def max_with_index(x: Any, *, axis: int = -1, keepdims: bool = False) -> Any:
    r"""The largest element along an axis and its index.

    Parameters
    ----------
    x : array_like
        Floats, integers or booleans.
    axis : int, default -1
        The axis of what is chosen from.
    keepdims : bool, default False
        Whether the results keep the axis, with length 1.

    Returns
    -------
    values : scalar or ndarray
        Of the dtype of `x` and its shape without `axis`: what ``np.max`` gives.
    indices : scalar or ndarray of int64
        Where they are along `axis`: what ``np.argmax`` gives.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is not an axis of `x`.
    ValueError
        If there are no elements along the axis.
    TypeError
        For complex, string, object and masked arrays, and an argument of a type that is not allowed.

    See Also
    --------
    top_k : several of them.

    Notes
    -----
    .. math:: \max_j x_j, \quad \arg\max_j x_j

    Of equal elements, such as zeros of either sign, the first is taken; NaN is larger than all. One pass gives both.

    Examples
    --------
    >>> import fastact as fa
    >>> values, indices = fa.max_with_index([[1.0, 3.0], [5.0, 5.0]])
    >>> values, indices
    (array([3., 5.]), array([1, 0]))
    """
    return _chosen(max_with_index, x, {"axis": axis, "keepdims": keepdims})


@cache
def _ufunc(largest: bool) -> Any:
    kernel = TopKernel("top_k" if largest else "bottom_k", largest)
    return make_ufunc(kernel, kernel.name, "The best elements of rows and their indices.", __name__)


def _chosen(function: Any, x: Any, given: dict[str, Any]) -> Any:
    """The best elements of an array, or of what is in a container."""
    if is_container(x):
        refuse_masked(function, {"x": x}, "counts every element")
        axes = "..." if given.get("keepdims") is False else "...k"
        return within(function, Layout({"x": "...n"}, (axes, axes)), {"x": x}, given)
    x = as_reals("x", x)
    axis = only_axis(given["axis"], x.ndim)
    n = x.shape[axis]
    k = given.get("k", 1)
    k = k if type(k) is int else integer("k", k)
    largest, ordered = switch("largest", given.get("largest", True)), switch("sorted", given.get("sorted", True))
    keeps = switch("keepdims", given.get("keepdims", True))
    if not n and "k" not in given:
        raise ValueError(f"x must have at least one element along axis {axis}, got the shape {x.shape}")
    if not 0 <= k <= n:
        raise ValueError(f"k must be at least 0 and at most the {n} elements along axis {axis}, got {k}")
    rows = x if axis == x.ndim - 1 else np.moveaxis(x, axis, -1)
    values, indices = _of_rows(rows, k, largest, ordered)
    if not keeps:
        return values[..., 0][()], indices[..., 0][()]
    if axis == x.ndim - 1:
        return values, indices
    return np.moveaxis(values, -1, axis), np.moveaxis(indices, -1, axis)


def _of_rows(x: Any, k: int, largest: bool, ordered: bool) -> tuple[Any, Any]:
    """The best ``k`` along the last axis."""
    if x.dtype.kind == "f" and x.dtype.itemsize <= 8:
        return _of_floats(as_floats("x", x), k, largest, ordered)
    if x.dtype.kind == "f":
        as_floats("x", x)  # which says what is allowed
    if x.dtype.itemsize == 8 and x.size and (int(x.min()) < -EXACT or int(x.max()) > EXACT):
        # ~x is as -x, but of no integer too large.
        indices = np.argsort(~x if largest else x, axis=-1, kind="stable")[..., :k]
        indices = indices if ordered else np.sort(indices, axis=-1)
    else:
        indices = _of_floats(as_floats("x", x), k, largest, ordered)[1]
    return np.take_along_axis(x, indices, -1).astype(x.dtype.newbyteorder("="), copy=False), indices


def _of_floats(x: Any, k: int, largest: bool, ordered: bool) -> tuple[Any, Any]:
    """The same of floats in the machine's byte order."""
    n, rows = x.shape[-1], x.shape[:-1]
    count = x.size // n if n else 0
    if n >= LONG and count < FEW_ROWS and k <= PART // 64:
        return _in_parts(x, k, largest, ordered)
    values, indices = np.empty((*rows, k), x.dtype), np.empty((*rows, k), np.int64)
    if values.size:
        quietly(_ufunc(largest), x, np.array((k, ordered), np.int64), out=(values, indices))
    return values, indices


def _in_parts(x: Any, k: int, largest: bool, ordered: bool) -> tuple[Any, Any]:
    """The best of the best of parts, which follow each other as the parts do, so that the first of equal ones is found."""
    n, rows = x.shape[-1], x.shape[:-1]
    parts = n // PART
    first, rest = x[..., : parts * PART].reshape(*rows, parts, PART), x[..., parts * PART :]
    values, indices = _of_floats(first, k, largest, False)
    indices += np.arange(parts)[:, None] * PART
    values, indices = values.reshape(*rows, parts * k), indices.reshape(*rows, parts * k)
    more = min(k, rest.shape[-1])
    if more:
        others, places = _of_floats(rest, more, largest, False)
        values = np.concatenate((values, others), axis=-1)
        indices = np.concatenate((indices, places + parts * PART), axis=-1)
    values, chosen = _of_floats(values, k, largest, ordered)
    return values, np.take_along_axis(indices, chosen, -1)


def _reference(
    x: Any,
    axis: int = -1,
    k: int = 1,
    largest: bool = True,
    sorted: bool = True,  # noqa: A002
    keepdims: bool = True,
) -> Any:
    indices = np.argsort(-x if largest else x, axis=axis, kind="stable").take(np.arange(k), axis)
    indices = indices if sorted else np.sort(indices, axis=axis)
    values = np.take_along_axis(x, indices, axis)
    return (values, indices) if keepdims else (values.squeeze(axis), indices.squeeze(axis))


_record = partial(
    Function,
    operands=[X],
    ulp=0.0,
    double_ulp=0.0,
    home=__name__,
    family="choosing",
    axis="one",
    written=(),
    masked=False,
)
register(
    _record(
        "top_k",
        lambda: top_k,
        reference=_reference,
        variants=[
            Variant({"k": 1}),  # as any axis has
            Variant({"k": 1, "largest": False}),
            Variant({"k": 1, "sorted": False}, alike=True),
        ],
    )
)
register(
    _record(
        "max_with_index",
        lambda: max_with_index,
        reference=partial(_reference, keepdims=False),
        variants=variants({"keepdims": True}),
    )
)
