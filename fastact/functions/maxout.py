"""Maxout: the largest of each group of neighbouring channels, its index, and the gradient.

Splitting an axis into groups and pieces is a view, and so is what the kernels want: the pieces last, or last but one where
NumPy would otherwise call them for many short rows.
"""

import math
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from fastact.calls.checking import broadcast_to, checked_out, integer, knowing_names, only_axis, sole
from fastact.calls.containers import is_container, masked, whole_owner, within, without_masked
from fastact.calls.layout import Layout
from fastact.calls.lazy import at_shape, lazily
from fastact.calls.order import empty_like_all, made_like
from fastact.calls.refusals import refuse_bfloat16, translated
from fastact.functions.record import Function, Operand, Variant, X, register, times
from fastact.kernels.dtypes import NATIVE
from fastact.kernels.limits import MOST_PIECES
from fastact.kinds.maxout import PieceKernel
from fastact.runtime.ufunc import make_ufunc

LONG, MANY = 1 << 18, 16
"""Rows of groups from so many on are worth threads each, if there are too few of them to share out."""


@knowing_names
def maxout(x: Any, num_pieces: int, axis: int = -1, out: Any = None) -> Any:
    r"""The largest of each group of ``num_pieces`` neighbours along an axis.

    Parameters
    ----------
    x : array_like
        float16, float32 or float64; integers and booleans convert as for ``np.exp(x)``.
    num_pieces : int
        How many neighbours make a group; it must divide the length of the axis.
    axis : int, default -1
        The axis of the channels.
    out : ndarray, optional
        Written to and returned.

    Returns
    -------
    ndarray
        Of the shape of `x` with `axis` shorter by the factor ``num_pieces``, and its dtype; NaN where a piece is NaN. Its axes
        follow each other in memory as those of `x` do.

    Raises
    ------
    ValueError
        If ``num_pieces`` is not positive or does not divide the length of the axis.
    numpy.exceptions.AxisError
        If there is no such axis.
    TypeError
        For complex, string and object arrays, and if ``num_pieces`` or ``axis`` is no integer.

    Notes
    -----
    .. math:: y_c = \max_{j < k} x_{ck + j}

    The result is one of the pieces, bit by bit: of equal ones, such as zeros of either sign, the first.

    References
    ----------
    Goodfellow, Warde-Farley, Mirza, Courville & Bengio (2013), Maxout networks, arXiv:1302.4389.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.maxout([1.0, 3.0, 2.0, -1.0], 2)
    array([3., 2.])
    """
    return _largest(x, num_pieces, axis, False, (sole(out),))


@knowing_names
def maxout_with_index(x: Any, num_pieces: int, axis: int = -1, out: Any = None) -> tuple[Any, Any]:
    r"""What `maxout` returns, and which piece of its group each is.

    Parameters
    ----------
    x : array_like
        float16, float32 or float64; integers and booleans convert as for ``np.exp(x)``.
    num_pieces : int
        How many neighbours make a group; it must divide the length of the axis.
    axis : int, default -1
        The axis of the channels.
    out : tuple of ndarray, optional
        Two arrays, written to and returned.

    Returns
    -------
    y : ndarray
        As from `maxout`.
    which : ndarray of int32
        Numbers from 0 to ``num_pieces - 1``, of the shape of ``y``: of equal pieces the first one's, and the first NaN's, as from
        `numpy.argmax`.

    Raises
    ------
    ValueError
        If ``num_pieces`` is not positive or does not divide the length of the axis.
    numpy.exceptions.AxisError
        If there is no such axis.
    TypeError
        For complex, string and object arrays, and if ``num_pieces`` or ``axis`` is no integer.

    Notes
    -----
    .. math:: y_c = x_{ck + w_c},\ w_c = \mathrm{argmax}_{j < k}\, x_{ck + j}

    References
    ----------
    Goodfellow, Warde-Farley, Mirza, Courville & Bengio (2013), Maxout networks, arXiv:1302.4389.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.maxout_with_index([1.0, 3.0, 2.0, -1.0], 2)
    (array([3., 2.]), array([1, 0], dtype=int32))
    """
    outs = (None, None) if out is None else out
    if not isinstance(outs, tuple) or len(outs) != 2:
        raise TypeError(f"out must be a tuple of two arrays, got {out!r}")
    result: tuple[Any, Any] = _largest(x, num_pieces, axis, True, outs)
    return result


@knowing_names
def maxout_backward(grad: Any, which: Any, num_pieces: int, axis: int = -1, out: Any = None) -> Any:
    r"""Gradient of `maxout`: to the largest piece of each group ``grad``, to the others zero.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `maxout`; broadcasts to the shape of ``which``, along `axis` too.
    which : array_like of int
        What `maxout_with_index` returned. A number that is none of a piece's leaves the whole group zero.
    num_pieces : int
        How many neighbours make a group.
    axis : int, default -1
        The axis of the channels.
    out : ndarray, optional
        Written to, all of it, and returned.

    Returns
    -------
    ndarray
        Of the shape of `maxout`'s argument and the dtype of ``grad``. Its axes follow each other in memory as those of
        ``grad * which`` do.

    Raises
    ------
    ValueError
        If ``num_pieces`` is not positive.
    numpy.exceptions.AxisError
        If there is no such axis.
    TypeError
        For complex, string and object arrays, and if ``num_pieces``, ``axis`` or ``which`` is not of integers.

    Notes
    -----
    .. math:: \mathrm{grad\_x}_{ck + j} = [j = w_c]\, \mathtt{grad}_c

    References
    ----------
    Goodfellow, Warde-Farley, Mirza, Courville & Bengio (2013), Maxout networks, arXiv:1302.4389.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.maxout_backward([5.0, 6.0], [1, 0], 2)
    array([0., 5., 6., 0.])
    """
    out = sole(out)
    plain = type(grad) is type(which) is np.ndarray and (out is None or type(out) is np.ndarray)
    if not plain and (is_container(grad) or is_container(which) or isinstance(out, np.ma.MaskedArray)):
        layout = Layout({"grad": "...g", "which": "...g"}, ("...n",))
        given, ndim = {"grad": grad, "which": which}, np.ndim(which)
        options = {"num_pieces": _pieces(num_pieces), "axis": only_axis(axis, ndim) - ndim, "out": out}
        if np.ndim(grad) != ndim:
            layout = layout._replace(owners=whole_owner(given))
        return within(maxout_backward, layout, given, options, _backward_of_masked, _backward_lazily)
    grad, which = np.asarray(grad), _indices(which)
    if which.dtype.kind not in "iu":
        raise TypeError(f"which must be of integers, got {which.dtype}")
    position = only_axis(axis, which.ndim)
    pieces = _pieces(num_pieces)
    length = which.shape[position] * pieces
    shape = (*which.shape[:position], length, *which.shape[position + 1 :])
    grad = broadcast_to("grad", grad, which.shape)
    refuse_bfloat16(grad.dtype)
    if out is not None:
        result = checked_out(out, shape)
    else:
        promoted = np.result_type(grad, np.float16)
        dtype = NATIVE.get(promoted.char, NATIVE["d"])  # the ufunc refuses the others
        if which.flags.c_contiguous:
            result = np.empty(shape, dtype)
        else:
            result = made_like(empty_like_all([grad, which], np.int32), shape, dtype)
    if not np.can_cast(which.dtype, np.int32):
        which = np.where((which >= 0) & (which < pieces), which.astype(np.int32), np.int32(-1))
    which = which.astype(np.int32, copy=False)
    operands, rows = _arranged((result, grad, which), position, pieces)
    try:
        _ufunc(min(pieces, MOST_PIECES + 1), True, True, rows)(*operands[1:], operands[0])
    except TypeError as error:
        raise translated(error, {"grad": grad}) from None
    return result


def _backward_of_masked(grad: Any, which: Any, num_pieces: int, axis: int, out: Any) -> Any:
    """All pieces of a group are masked where its gradient or its index is."""
    data, plain = (np.ma.getdata(grad), _indices(which)), None if out is None else np.ma.getdata(out)
    result = maxout_backward(*data, num_pieces, axis, plain)
    mask = np.broadcast_to(np.ma.getmaskarray(grad), np.shape(which)) | np.ma.getmaskarray(which)
    return masked(result, np.repeat(mask, num_pieces, axis), out, grad)


def _backward_lazily(function: Any, layout: Layout, operands: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Call the backward with dask arrays, the gradient at its full shape: blocks of a row have one length."""
    which = operands["which"]
    full = {"grad": at_shape("grad", operands["grad"], np.shape(which)), "which": which}
    return lazily(function, layout, full, options)


def _largest(given: Any, num_pieces: int, axis: int, index: bool, outs: tuple[Any, ...]) -> Any:
    if (type(given) is not np.ndarray and is_container(given)) or any(
        isinstance(out, np.ma.MaskedArray) for out in outs
    ):
        function, out = (maxout_with_index, outs) if index else (maxout, outs[0])
        layout = Layout({"x": "...n"}, ("...g", "...g")[: len(outs)])
        options = {
            "num_pieces": num_pieces,
            "axis": integer("axis", axis),
            "out": None if all(out is None for out in outs) else out,
        }
        return within(function, layout, {"x": given}, options, partial(_largest_unmasked, index=index))
    x = np.asarray(given)
    refuse_bfloat16(x.dtype)
    position = only_axis(axis, x.ndim)
    pieces = _pieces(num_pieces)
    groups, left = divmod(x.shape[position], pieces)
    if left:
        raise ValueError(
            f"num_pieces must divide the length of axis {axis}, {x.shape[position]}, got {pieces}; "
            f"allowed are {', '.join(str(n) for n in range(1, x.shape[position] + 1) if x.shape[position] % n == 0)}"
        )
    shape = (*x.shape[:position], groups, *x.shape[position + 1 :])
    places: tuple[Any, ...] = tuple(None if out is None else checked_out(out, shape) for out in outs)
    if not x.flags.c_contiguous and x.dtype.kind in "iubf":
        # NumPy would have the groups side by side, whatever the axis.
        dtypes = np.result_type(x, np.float16), np.int32
        pairs = zip(places, dtypes, strict=False)
        places = tuple(made_like(x, shape, dtype) if place is None else place for place, dtype in pairs)
    operands, rows = _arranged((x, *places), position, pieces)
    try:
        results = _ufunc(min(pieces, MOST_PIECES + 1), index, False, rows)(*operands)
    except TypeError as error:
        raise translated(error, {"x": x}) from None
    results = results if index else (results,)
    pairs = zip(results, places, strict=True)
    finished = tuple(result.reshape(shape) if place is None else place for result, place in pairs)
    return finished if index else finished[0]


def _largest_unmasked(x: Any, num_pieces: int, axis: int, out: Any, index: bool) -> Any:
    """The largest of those pieces that are not masked; masked where all are."""
    outs: tuple[Any, ...] = ((None, None) if out is None else out) if index else (out,)
    mask = np.ma.getmaskarray(x)
    plain = tuple(None if out is None else np.ma.getdata(out) for out in outs)
    found = _largest(without_masked(x, mask, -np.inf), num_pieces, axis, index, plain)
    results: tuple[Any, ...] = found if index else (found,)
    group = normalize_axis_index(axis, mask.ndim) + 1
    shape = results[0].shape
    pieces = mask.reshape(*shape[:group], num_pieces, *shape[group:])
    if index:
        # Of a masked piece and one of -inf, which are equal to the kernel, the first may be the masked one.
        chosen = np.take_along_axis(pieces, np.expand_dims(results[1].astype(np.intp), group), group).squeeze(group)
        np.copyto(results[1], pieces.argmin(group), where=chosen, casting="same_kind")
    every = pieces.all(axis=group)
    largest = masked(results[0], every, outs[0], x)
    return (largest, masked(results[1], every, outs[1])) if index else largest


def _arranged(arrays: tuple[Any, ...], position: int, pieces: int) -> tuple[list[Any], bool]:
    """Views of an array of pieces, the first, and of arrays of groups or ``None``, as a kernel takes them; and which kernel."""
    whole, *reduced = arrays
    before, length, after = whole.shape[:position], whole.shape[position], whole.shape[position + 1 :]
    groups = length // pieces
    if all(a is None or a.flags.c_contiguous for a in arrays):  # fewer dimensions for NumPy to go through
        many, inner = math.prod(before) * groups, math.prod(after)
        if inner == 1:
            return [whole.reshape(many, pieces), *(a if a is None else a.reshape(many) for a in reduced)], False
        split = whole.reshape(many, pieces, inner)
        reduced = [a if a is None else a.reshape(many, inner) for a in reduced]
    else:
        split = np.moveaxis(whole.reshape(*before, groups, pieces, *after), position + 1, -2)
        many, inner = math.prod(split.shape[:-2]), split.shape[-1]
    rows = many > 1 and (inner < LONG or many >= MANY)
    return [split if rows else split.swapaxes(-1, -2), *reduced], rows


@cache
def _ufunc(pieces: int, index: bool, backward: bool, rows: bool) -> np.ufunc:
    kernel = PieceKernel(pieces if pieces <= MOST_PIECES else 0, index, backward, rows)
    return make_ufunc(kernel, kernel.name.partition(".")[0], "", "fastact")


def _pieces(num_pieces: Any) -> int:
    pieces = integer("num_pieces", num_pieces, "a positive integer")
    if pieces < 1:
        raise ValueError(f"num_pieces must be a positive integer, got {num_pieces!r}")
    return pieces


def _indices(which: Any) -> Any:
    """The indices as an array; an empty list is one of integers, as where NumPy is given one."""
    array = np.asarray(which)
    return array.astype(np.int32) if not array.size and isinstance(which, list | tuple) else array


def _reference(x: Any, num_pieces: int, axis: int = -1) -> Any:
    return _reference_with_index(x, num_pieces, axis)[0]


def _reference_with_index(x: Any, num_pieces: int, axis: int = -1) -> tuple[Any, Any]:
    axis %= x.ndim
    pieces = x.reshape(*x.shape[:axis], -1, num_pieces, *x.shape[axis + 1 :])
    which = np.argmax(pieces, axis + 1, keepdims=True)
    return np.take_along_axis(pieces, which, axis + 1).squeeze(axis + 1), which.squeeze(axis + 1).astype(np.int32)


def _reference_backward(grad: Any, which: Any, num_pieces: int, axis: int = -1) -> Any:
    axis %= which.ndim
    chosen = np.expand_dims(which, axis + 1) == np.arange(num_pieces).reshape(-1, *[1] * (which.ndim - 1 - axis))
    grad = np.expand_dims(np.broadcast_to(grad, which.shape), axis + 1)
    shape = (*which.shape[:axis], which.shape[axis] * num_pieces, *which.shape[axis + 1 :])
    return np.where(chosen, grad, 0.0).reshape(shape)


PIECES = (2, 3, 12, *(k for k in range(1, MOST_PIECES + 1) if k not in (2, 3)))
"""Each number of pieces up to ``MOST_PIECES`` has kernels of its own, and one stands for all the others."""
_over_groups = partial(Function, home=__name__, family="maxout", axis="one", ulp=0.0, double_ulp=0.0)
_GROUPS, _CHOICES = [[Operand(shape=times(k))] for k in PIECES], [[X, Operand("choices", below=k)] for k in PIECES]
_LARGEST, _GRADIENT = (
    [Variant({"num_pieces": k}, of, alike=k not in PIECES[:3]) for k, of in zip(PIECES, operands, strict=True)]
    for operands in (_GROUPS, _CHOICES)
)

register(_over_groups("maxout", lambda: maxout, _GROUPS[0], _reference, variants=_LARGEST))
register(
    _over_groups(
        "maxout_with_index",
        lambda: maxout_with_index,
        _GROUPS[0],
        _reference_with_index,
        variants=_LARGEST,
        written=(0, 1),
    )
)
register(_over_groups("maxout_backward", lambda: maxout_backward, _CHOICES[0], _reference_backward, variants=_GRADIENT))
