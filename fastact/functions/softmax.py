"""The softmax family: one block per op, its formulas above the function that the world sees.

Each function is a generalised ufunc, ``softmax.ufunc``, under a signature with an axis. A row's exponentials are collected as
``fastact.maths.logsumexp`` describes; what follows from them is written here.
"""

from functools import partial
from typing import Any

import numpy as np

from fastact.calls.axes import LAST, Axis
from fastact.calls.checking import switch
from fastact.calls.long_rows import LONG
from fastact.calls.row_ufuncs import row_ufunc
from fastact.calls.rows import over_rows
from fastact.functions.docs import documented
from fastact.functions.record import LOGARITHMS, SHARES, Function, X, register, variants
from fastact.kinds.rows import Exponentials, Once, RowKernel, Sum
from fastact.maths.exp import times_exp
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
def softmax(x: Any, axis: Axis = -1, out: Any = None, **ufunc_arguments: Any) -> Any:
    r"""Exponentials along an axis, divided by their sum.

    Parameters
    ----------
    <x>
    axis : int, tuple of int or None, default -1
        What sums to 1: one axis, several together, or the whole array.
    out : ndarray, optional
        Written to and returned; may be `x` itself.
    <ufunc_arguments>

    <rows like x>

    <axis and dtype errors>

    Notes
    -----
    .. math:: \frac{e^{x_i}}{\sum_j e^{x_j}}

    Error: at most 6 units in the last place (ULP) of each element (8 in float64), also far below the maximum, whatever the
    row's length. A row that holds NaN or +inf, or nothing but -inf, is NaN throughout, as in PyTorch. The bits depend neither on
    the layout nor on the number of threads.

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
    ):
        return _softmax(x, out=out)  # for ten classes another call would cost a third more
    return over_rows(_softmax, (x,), axis, out, ufunc_arguments)


_softmax = row_ufunc(
    RowKernel("softmax", [Exponentials(), _SHARES], _softmax_element, share=_softmax_share, scale=_softmax_scale),
    softmax,
)


def _reference_softmax(x: Any, axis: Axis = -1) -> Any:
    e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-INFINITY))
    return e / np.sum(e, axis=axis, keepdims=True)


register(_row("softmax", lambda: softmax, [X], _reference_softmax, 6.0, 8.0))


@scalar
def _negative(x: Scalar) -> Scalar:
    return -x


@scalar
def _softmin_element(
    x: Scalar, base: Scalar, shift: Scalar, floor: Scalar, scale: Scalar, scale_rest: Scalar
) -> Scalar:
    return _softmax_element(-x, base, shift, floor, scale, scale_rest)


@documented
def softmin(x: Any, axis: Axis = -1, out: Any = None, **ufunc_arguments: Any) -> Any:
    r"""Softmax of ``-x``: the smallest element gets the largest share.

    Parameters
    ----------
    <x>
    axis : int, tuple of int or None, default -1
        What sums to 1: one axis, several together, or the whole array.
    out : ndarray, optional
        Written to and returned; may be `x` itself.
    <ufunc_arguments>

    <rows like x>

    <axis and dtype errors>

    Notes
    -----
    .. math:: \frac{e^{-x_i}}{\sum_j e^{-x_j}}

    Error: at most 6 ULP of each element (8 in float64). A row that holds NaN or -inf, or nothing but +inf, is NaN throughout.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.softmin([1.0, 2.0, 3.0]).round(4)
    array([0.6652, 0.2447, 0.09  ])
    """
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
register(_row("softmin", lambda: softmin, [X], lambda x, axis=-1: _reference_softmax(-x, axis), 6.0, 8.0))


@scalar
def _log_softmax_excess(m: Scalar, ties: Scalar, rest: Scalar) -> Scalar:
    return near_excess(m, ties, type(m)(rest))


@scalar
def _log_softmax_element(x: Scalar, m: Scalar, excess: Scalar) -> Scalar:
    return (x - m) - excess


@documented
def log_softmax(x: Any, axis: Axis = -1, out: Any = None, **ufunc_arguments: Any) -> Any:
    r"""Logarithm of softmax, precise where one element dominates.

    Parameters
    ----------
    <x>
    axis : int, tuple of int or None, default -1
        Over what the exponentials sum to 1: one axis, several together, or the whole array.
    out : ndarray, optional
        Written to and returned; may be `x` itself.
    <ufunc_arguments>

    <rows like x>

    <axis and dtype errors>

    Notes
    -----
    .. math:: x_i - \log \sum_j e^{x_j}

    The dominating element is ``-log1p(sum of the others)``: ``[20, 0, 0]`` gives -4.12e-09 where others give 0. Error: at most
    6 ULP of each element. A row that holds NaN or +inf, or nothing but -inf, is NaN throughout, as in PyTorch;
    where only this element is -inf, so is the result.

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
    ):
        return _log_softmax(x, out=out)  # for ten classes another call would cost a third more
    return over_rows(_log_softmax, (x,), axis, out, ufunc_arguments)


_log_softmax = row_ufunc(
    RowKernel("log_softmax", [Exponentials(), Once("excess", _log_softmax_excess)], _log_softmax_element, near=True),
    log_softmax,
)


def _reference_log_softmax(x: Any, axis: Axis = -1) -> Any:
    shifted = x - np.max(x, axis=axis, keepdims=True, initial=-INFINITY)
    others = np.sum(np.where(shifted == 0, 0.0, np.exp(shifted)), axis=axis, keepdims=True)
    ties = np.sum(shifted == 0, axis=axis, keepdims=True)
    return shifted - np.log1p(others + (ties - 1))


register(_row("log_softmax", lambda: log_softmax, [X], _reference_log_softmax, 6.0, 6.0))


@scalar
def _logsumexp_result(m: Scalar, ties: Scalar, rest: Scalar) -> Scalar:
    T = type(m)
    return T(_logsumexp(m, ties, rest))


@documented
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
    <ufunc_arguments>

    Returns
    -------
    ndarray or scalar
        Of the shape of `x` without `axis`, and of its dtype.

    <axis and dtype errors>

    Notes
    -----
    .. math:: \log \sum_j e^{x_j}

    Error: at most 1 ULP of the largest of 1, maximum and result (2 in float64), whatever the row's length. A row that holds NaN
    gives NaN, else one that holds +inf gives +inf; an empty one, or one of nothing but -inf, gives -inf.

    Examples
    --------
    >>> import fastact as fa
    >>> round(float(fa.logsumexp([1000.0, 1000.0])), 4)
    1000.6931
    """
    if keepdims is not False and switch("keepdims", keepdims):
        ufunc_arguments["keepdims"] = True
    return over_rows(_logsumexp_rows, (x,), axis, out, ufunc_arguments)


_logsumexp_rows = row_ufunc(
    RowKernel("logsumexp", [Exponentials(), Once("result", _logsumexp_result)], gives="result", cost=0.2), logsumexp
)


def _reference_logsumexp(x: Any, axis: Any = -1, keepdims: Any = False) -> Any:
    return np.logaddexp.reduce(x, axis=axis, keepdims=keepdims)


_KEPT = variants({"keepdims": True})
register(_row("logsumexp", lambda: logsumexp, [X], _reference_logsumexp, 1.0, 2.0, variants=_KEPT))


@scalar
def _product(grad: Scalar, output: Scalar) -> Scalar:
    return grad * output


@scalar
def _softmax_backward_element(grad: Scalar, output: Scalar, product: Scalar) -> Scalar:
    return output * (grad - type(grad)(product))


@documented
def softmax_backward(grad: Any, output: Any, axis: Axis = -1, out: Any = None, **ufunc_arguments: Any) -> Any:
    r"""Gradient of `softmax` with respect to its input.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `softmax`.
    output : array_like
        That output. Both broadcast, along `axis` too; `axis` counts in the broadcast shape.
    <grad and output>
    <ufunc_arguments>

    <rows like both>

    <axis and dtype errors>

    Notes
    -----
    .. math:: y_i \left(g_i - \sum_j g_j y_j\right)

    Error: at most 4 ULP of ``output * (abs(grad) + sum(abs(grad * output)))`` (6 in float64).

    Examples
    --------
    >>> import fastact as fa
    >>> fa.softmax_backward([1.0, 0.0], [0.5, 0.5])
    array([ 0.25, -0.25])
    """
    return over_rows(_softmax_backward, (grad, output), axis, out, ufunc_arguments)


_softmax_backward = row_ufunc(
    RowKernel(
        "softmax_backward",
        [Sum("product", _product)],
        _softmax_backward_element,
        operands="grad output",
    ),
    softmax_backward,
)


def _reference_softmax_backward(grad: Any, output: Any, axis: Axis = -1) -> Any:
    return output * (grad - np.sum(grad * output, axis=axis, keepdims=True))


register(_row("softmax_backward", lambda: softmax_backward, [X, SHARES], _reference_softmax_backward, 4.0, 6.0))


@scalar
def _gradient_alone(grad: Scalar) -> Scalar:
    return grad


@scalar
def _log_softmax_backward_element(grad: Scalar, output: Scalar, total: Scalar) -> Scalar:
    return times_exp(-type(grad)(total), output, grad)


@documented
def log_softmax_backward(grad: Any, output: Any, axis: Axis = -1, out: Any = None, **ufunc_arguments: Any) -> Any:
    r"""Gradient of `log_softmax` with respect to its input.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `log_softmax`.
    output : array_like
        That output. Both broadcast, along `axis` too; `axis` counts in the broadcast shape.
    <grad and output>
    <ufunc_arguments>

    <rows like both>

    <axis and dtype errors>

    Notes
    -----
    .. math:: g_i - e^{y_i} \sum_j g_j

    Error: at most 4 ULP of ``abs(grad) + exp(output) * sum(abs(grad))`` (6 in float64).

    Examples
    --------
    >>> import fastact as fa
    >>> fa.log_softmax_backward([1.0, 0.0], fa.log_softmax([0.0, 0.0]))
    array([ 0.5, -0.5])
    """
    return over_rows(_log_softmax_backward, (grad, output), axis, out, ufunc_arguments)


_log_softmax_backward = row_ufunc(
    RowKernel(
        "log_softmax_backward",
        [Sum("total", _gradient_alone)],
        _log_softmax_backward_element,
        operands="grad output",
    ),
    log_softmax_backward,
)


def _reference_log_backward(grad: Any, output: Any, axis: Axis = -1) -> Any:
    return grad - np.exp(output) * np.sum(grad, axis=axis, keepdims=True)


register(_row("log_softmax_backward", lambda: log_softmax_backward, [X, LOGARITHMS], _reference_log_backward, 4.0, 6.0))
