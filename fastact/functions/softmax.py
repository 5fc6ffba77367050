"""The softmax family: one block per op, its formulas above the function that the world sees.

Where some elements take no part, or all are multiplied by a number first, ``masked_softmax.py`` computes.

Each function is a generalised ufunc, ``softmax.ufunc``, under a signature with an axis. A row's exponentials are collected as
``fastact.maths.logsumexp`` describes; what follows from them is written here.
"""

from functools import partial
from typing import Any

import numpy as np

from fastact.calls.axes import LAST, Axis
from fastact.calls.checking import switch
from fastact.calls.long_rows import LONG
from fastact.calls.refusals import translated
from fastact.calls.row_ufuncs import row_ufunc
from fastact.calls.rows import over_rows
from fastact.calls.widening import in_float32
from fastact.functions.docs import documented, with_keywords
from fastact.functions.masked_softmax import MASKING, WEIGHTING, masked_softmax
from fastact.functions.record import MASK, SHARES, Function, Variant, X, register, variants
from fastact.kernels.dtypes import NATIVE
from fastact.kinds.rows import Exponentials, Once, RowKernel
from fastact.maths.logsumexp import exp_at, level, near_excess, reach, reciprocal, split, total
from fastact.maths.logsumexp import logsumexp as _logsumexp
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, absolute, fma, select

INFINITY, NAN = float("inf"), float("nan")

_row = partial(Function, home=__name__, family="softmax", axis="several", in_parts=True)


@scalar
def _softmax_scale(m: Scalar, high: Scalar, low: Scalar) -> tuple[Scalar, Scalar]:
    T = type(m)
    return reciprocal(select(absolute(m) < T(INFINITY), high, T(NAN)), low)


@scalar
def _softmax_constants(m: Scalar, ties: Scalar, rest: Scalar) -> tuple[Scalar, ...]:
    base, n = level(m)
    shift, floor = reach(n)
    high, low = split(m, total(m, ties, rest))
    scale, scale_rest = reciprocal(high, low)
    return base, shift, floor, scale, scale_rest


@scalar
def _softmax_share(e: Scalar, scale: Scalar, scale_rest: Scalar) -> Scalar:
    return fma(e, scale, e * scale_rest)


@scalar
def _softmax_element(
    x: Scalar, base: Scalar, shift: Scalar, floor: Scalar, scale: Scalar, scale_rest: Scalar
) -> Scalar:
    return _softmax_share(exp_at(x, base, shift, floor), scale, scale_rest)


_SHARES = Once("base shift floor scale scale_rest", _softmax_constants)


@documented
@with_keywords(**MASKING)
def softmax(x: Any, axis: Axis = -1, out: Any = None, **ufunc_arguments: Any) -> Any:
    r"""Exponentials along an axis, divided by their sum.

    Parameters
    ----------
    <x>
    axis : int, tuple of int or None, default -1
        What sums to 1: one axis, several together, or the whole array.
    out : ndarray, optional
        Written to and returned; may be `x` itself.
    <where to causal>
    <ufunc_arguments>

    <rows like x>

    <axis and dtype errors>
    <mask errors>

    Notes
    -----
    .. math:: \frac{e^{x_i}}{\sum_j e^{x_j}}

    Error: at most 6 units in the last place (ULP) of each element (8 in float64), also far below the maximum, whatever the
    row's length, and with `scale` that of the exact product. A row that holds NaN or +inf, or nothing but -inf, is NaN throughout,
    as in PyTorch. The result is 0 where an element takes no part, so that rows without any are 0. The bits depend neither on the
    layout nor on the number of threads.

    References
    ----------
    J. S. Bridle, Probabilistic interpretation of feedforward classification network outputs, 1990.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.softmax([1.0, 2.0, 3.0]).round(4)
    array([0.09  , 0.2447, 0.6652])
    """
    if (
        axis is LAST
        and type(x) is np.ndarray
        and x.ndim
        and x.flags.c_contiguous
        and x.size < LONG
        and not ufunc_arguments
        and (out is None or x.dtype.char in NATIVE)
    ):
        try:
            return _softmax(x, out=out)  # for ten classes another call would cost a third more
        except TypeError as error:
            return in_float32(softmax, translated(error, {"x": x}), (x,), {"out": out})
    if ufunc_arguments and not MASKING.keys().isdisjoint(ufunc_arguments):
        return masked_softmax(softmax, x, axis, out, ufunc_arguments)
    return over_rows(_softmax, (x,), axis, out, ufunc_arguments)


_softmax = row_ufunc(
    RowKernel("softmax", [Exponentials(), _SHARES], _softmax_element, share=_softmax_share, scale=_softmax_scale),
    softmax,
)


def reference_softmax(x: Any, axis: Axis = -1, where: Any = True, scale: float = 1.0) -> Any:
    x = np.where(where, scale * x, -INFINITY)
    e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-INFINITY))
    return np.where(where, e / np.sum(e, axis=axis, keepdims=True), 0.0)


_MASKED = [Variant(), Variant({"where": MASK}), Variant({"where": MASK, "scale": -0.7}, alike=True)]
register(_row("softmax", lambda: softmax, [X], reference_softmax, 6.0, 8.0, variants=_MASKED))


@scalar
def _negative(x: Scalar) -> Scalar:
    return -x


@scalar
def _softmin_element(
    x: Scalar, base: Scalar, shift: Scalar, floor: Scalar, scale: Scalar, scale_rest: Scalar
) -> Scalar:
    return _softmax_element(-x, base, shift, floor, scale, scale_rest)


@documented
@with_keywords(**MASKING)
def softmin(x: Any, axis: Axis = -1, out: Any = None, **ufunc_arguments: Any) -> Any:
    r"""Softmax of ``-x``: the smallest element gets the largest share.

    Parameters
    ----------
    <x>
    axis : int, tuple of int or None, default -1
        What sums to 1: one axis, several together, or the whole array.
    out : ndarray, optional
        Written to and returned; may be `x` itself.
    <where to causal>
    <ufunc_arguments>

    <rows like x>

    <axis and dtype errors>
    <mask errors>

    Notes
    -----
    .. math:: \frac{e^{-x_i}}{\sum_j e^{-x_j}}

    Error: at most 6 ULP of each element (8 in float64). A row that holds NaN or -inf, or nothing but +inf, is NaN throughout. The
    result is 0 where an element takes no part, so that rows without any are 0.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.softmin([1.0, 2.0, 3.0]).round(4)
    array([0.6652, 0.2447, 0.09  ])
    """
    if ufunc_arguments and not MASKING.keys().isdisjoint(ufunc_arguments):
        return masked_softmax(softmin, x, axis, out, ufunc_arguments, sign=-1.0)
    return over_rows(_softmin, (x,), axis, out, ufunc_arguments)


_softmin = row_ufunc(
    RowKernel(
        "softmin",
        [Exponentials(_negative, padding=INFINITY), _SHARES],
        _softmin_element,
        share=_softmax_share,
        scale=_softmax_scale,
    ),
    softmin,
)


def _reference_softmin(x: Any, axis: Axis = -1, where: Any = True, scale: float = 1.0) -> Any:
    return reference_softmax(-x, axis, where, scale)


_OTHER = [Variant(), Variant({"where": MASK, "scale": 2.0}, alike=True)]
register(_row("softmin", lambda: softmin, [X], _reference_softmin, 6.0, 8.0, variants=_OTHER))


@scalar
def _log_softmax_excess(m: Scalar, ties: Scalar, rest: Scalar) -> Scalar:
    return near_excess(m, ties, type(m)(rest))


@scalar
def _log_softmax_element(x: Scalar, m: Scalar, excess: Scalar) -> Scalar:
    return (x - m) - excess


@documented
@with_keywords(**MASKING)
def log_softmax(x: Any, axis: Axis = -1, out: Any = None, **ufunc_arguments: Any) -> Any:
    r"""Logarithm of softmax, precise where one element dominates.

    Parameters
    ----------
    <x>
    axis : int, tuple of int or None, default -1
        Over what the exponentials sum to 1: one axis, several together, or the whole array.
    out : ndarray, optional
        Written to and returned; may be `x` itself.
    <where to causal>
    <ufunc_arguments>

    <rows like x>

    <axis and dtype errors>
    <mask errors>

    Notes
    -----
    .. math:: x_i - \log \sum_j e^{x_j}

    The dominating element is ``-log1p(sum of the others)``: ``[20, 0, 0]`` gives -4.12e-09 where others give 0. Error: at most
    6 ULP of each element. A row that holds NaN or +inf, or nothing but -inf, is NaN throughout, as in PyTorch;
    where only this element is -inf, so is the result. It is -inf as well where an element takes no part, throughout in rows without
    any.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> float(fa.log_softmax(np.float32([20, 0, 0]))[0])
    -4.1223073843355e-09
    """
    if (
        axis is LAST
        and type(x) is np.ndarray
        and x.ndim
        and x.flags.c_contiguous
        and x.size < LONG
        and not ufunc_arguments
        and (out is None or x.dtype.char in NATIVE)
    ):
        try:
            return _log_softmax(x, out=out)  # for ten classes another call would cost a third more
        except TypeError as error:
            return in_float32(log_softmax, translated(error, {"x": x}), (x,), {"out": out})
    if ufunc_arguments and not MASKING.keys().isdisjoint(ufunc_arguments):
        return masked_softmax(log_softmax, x, axis, out, ufunc_arguments, "log_softmax")
    return over_rows(_log_softmax, (x,), axis, out, ufunc_arguments)


_log_softmax = row_ufunc(
    RowKernel("log_softmax", [Exponentials(), Once("excess", _log_softmax_excess)], _log_softmax_element, near=True),
    log_softmax,
)


def _reference_log_softmax(x: Any, axis: Axis = -1, where: Any = True, scale: float = 1.0) -> Any:
    x = np.where(where, scale * x, -INFINITY)
    shifted = x - np.max(x, axis=axis, keepdims=True, initial=-INFINITY)
    others = np.sum(np.where(shifted == 0, 0.0, np.exp(shifted)), axis=axis, keepdims=True)
    ties = np.sum(shifted == 0, axis=axis, keepdims=True)
    return np.where(where, shifted - np.log1p(others + (ties - 1)), -INFINITY)


register(_row("log_softmax", lambda: log_softmax, [X], _reference_log_softmax, 6.0, 6.0, variants=_MASKED))


@scalar
def _logsumexp_result(m: Scalar, ties: Scalar, rest: Scalar) -> Scalar:
    T = type(m)
    return T(_logsumexp(m, ties, rest))


@documented
@with_keywords(**MASKING, **WEIGHTING)
def logsumexp(x: Any, axis: Axis = -1, keepdims: bool = False, out: Any = None, **ufunc_arguments: Any) -> Any:
    r"""Logarithm of the sum of exponentials.

    Parameters
    ----------
    <x>
    axis : int, tuple of int or None, default -1
        Over what is summed: one axis, several together, or the whole array.
    keepdims : bool, default False
        Leave the axes that are summed over in the result, with length 1.
    out : ndarray, optional
        Written to and returned.
    <where to causal>
    b : array_like, optional
        A weight of each exponential, of any sign; both broadcast, and `axis` counts in the broadcast shape. An element whose weight
        is 0 takes no part.
    return_sign : bool, default False
        Return the sign of the sum as well, and the logarithm of its magnitude.
    <ufunc_arguments>

    Returns
    -------
    ndarray or scalar
        Of the shape of `x` without `axis`, and of its dtype.

    <axis and dtype errors>
    <mask errors>

    Notes
    -----
    .. math:: \log \sum_j e^{x_j}

    Error: at most 1.5 ULP of the largest of 1, maximum and result (2.5 in float64), whatever the row's length. A row that holds NaN
    gives NaN, else one that holds +inf gives +inf; one without elements that take part, or of nothing but -inf, gives -inf.

    With `b` it is :math:`\log \lvert \sum_j b_j e^{x_j} \rvert`, as in SciPy: -inf where the sum is 0, whose sign is 0, and NaN
    where it is negative unless `return_sign` is true. Terms are computed and added in float64: what they lose where they cancel is
    a part in 10**15 of the sum of their magnitudes.

    Examples
    --------
    >>> import fastact as fa
    >>> round(float(fa.logsumexp([1000.0, 1000.0])), 4)
    1000.6931
    """
    if keepdims is not False and switch("keepdims", keepdims):
        ufunc_arguments["keepdims"] = True
    if ufunc_arguments and not WEIGHTING.keys().isdisjoint(ufunc_arguments):
        return masked_softmax(logsumexp, x, axis, out, ufunc_arguments, "weighted")
    if ufunc_arguments and not MASKING.keys().isdisjoint(ufunc_arguments):
        return masked_softmax(logsumexp, x, axis, out, ufunc_arguments, "logsumexp")
    return over_rows(_logsumexp_rows, (x,), axis, out, ufunc_arguments)


_logsumexp_rows = row_ufunc(
    RowKernel("logsumexp", [Exponentials(), Once("result", _logsumexp_result)], gives="result", cost=0.2), logsumexp
)


def _reference_logsumexp(
    x: Any, axis: Any = -1, keepdims: Any = False, where: Any = True, scale: float = 1.0, b: Any = None
) -> Any:
    options = {"axis": axis, "keepdims": keepdims, "where": where}
    if b is not None:
        return np.log(np.abs(np.sum(b * np.exp(scale * x), **options)))
    return np.logaddexp.reduce(scale * x, initial=-INFINITY, **options)


_REDUCED = [
    *variants({"keepdims": True}, {"where": MASK}),
    Variant({"b": SHARES, "return_sign": True}),
    Variant({"where": MASK, "scale": 0.3, "b": SHARES}, alike=True),
]
register(_row("logsumexp", lambda: logsumexp, [X], _reference_logsumexp, 1.5, 2.5, variants=_REDUCED))
