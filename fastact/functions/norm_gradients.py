"""The gradients of norms of rows, in one pass over memory: by the input row by row, by weight and bias as sums over all rows."""

from functools import partial
from typing import Any

import numpy as np

from fastact.calls.axes import Axis
from fastact.calls.checking import knowing_names
from fastact.calls.containers import is_container, is_foreign, refuse_masked, within
from fastact.calls.layout import Layout
from fastact.calls.programs import at_one_shape_of
from fastact.calls.quiet import quietly
from fastact.calls.row_blocks import gradients_of_rows, row_blocks
from fastact.functions import norm_passes as passes
from fastact.functions.docs import documented
from fastact.functions.norm_requests import GRADIENTS, checked_eps, completed, lazily_whole, plain
from fastact.functions.norms import EPS, WEIGHT, beside
from fastact.functions.record import Function, Variant, X, register
from fastact.kinds.row_blocks import RowBlocksKernel


@knowing_names
@documented
def layer_norm_backward(
    grad: Any, x: Any, weight: Any = None, *, axis: Axis = -1, eps: float = 1e-5, out: Any = None
) -> tuple[Any, Any, Any]:
    r"""Gradients of `layer_norm` with respect to its input, weight and bias.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `layer_norm`.
    x : array_like
        Its input; both broadcast.
    weight : array_like, optional
        As it was given to the forward function.
    <norm axis and eps>
    <out of a norm's gradient>

    Returns
    -------
    grad_x : ndarray
        Of the shape of `x` and its dtype.
    grad_weight, grad_bias : ndarray
        Of the shape of `x` along `axis`, also where there is no weight or bias.

    <norm errors>

    Notes
    -----
    .. math:: \frac{1}{s} \left(g_i - \bar{g} - \hat{x}_i \tfrac{1}{n} \sum_j g_j \hat{x}_j\right), \quad
        g_i = \frac{\partial L}{\partial y_i} w_i, \ \hat{x}_i = \frac{x_i - \mu}{s}, \ s = \sqrt{\sigma^2 + \epsilon}

    The statistics are computed anew, while the row is in the cache. The gradients of weight and bias are sums of
    :math:`\frac{\partial L}{\partial y_i} \hat{x}_i` and of :math:`\frac{\partial L}{\partial y_i}` over all rows: those of 16
    rows at a time are added in float64, and the bits depend on the shape alone, not on the number of threads. Error: at most 8 ULP
    of the sum of the absolute values of the terms (32 in float64).

    <limits of a norm>

    Examples
    --------
    >>> import fastact as fa
    >>> grad_x, grad_weight, grad_bias = fa.layer_norm_backward([[1.0, 0.0, 0.0]], [[1.0, 2.0, 4.0]])
    >>> grad_x.round(4), grad_weight.round(4), grad_bias
    (array([[ 0.2291, -0.3436,  0.1145]]), array([-1.069,  0.   ,  0.   ]), array([1., 0., 0.]))
    """
    found: tuple[Any, Any, Any] = _gradients(
        layer_norm_backward, _LAYER, {"grad": grad, "x": x}, weight, axis, eps, out
    )
    return found


@knowing_names
@documented
def rms_norm_backward(
    grad: Any, x: Any, weight: Any = None, *, axis: Axis = -1, eps: float = 1e-5, out: Any = None
) -> tuple[Any, Any]:
    r"""Gradients of `rms_norm` with respect to its input and weight.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `rms_norm`.
    x : array_like
        Its input; both broadcast.
    weight : array_like, optional
        As it was given to the forward function.
    <norm axis and eps>
    <out of a norm's gradient>

    Returns
    -------
    grad_x : ndarray
        Of the shape of `x` and its dtype.
    grad_weight : ndarray
        Of the shape of `x` along `axis`, also where there is no weight.

    <norm errors>

    Notes
    -----
    .. math:: \frac{1}{s} \left(g_i - \hat{x}_i \tfrac{1}{n} \sum_j g_j \hat{x}_j\right), \quad
        g_i = \frac{\partial L}{\partial y_i} w_i, \ \hat{x}_i = \frac{x_i}{s}, \ s = \sqrt{\tfrac{1}{n} \sum_j x_j^2 + \epsilon}

    The mean square is computed anew, while the row is in the cache. The gradient of the weight is the sum of
    :math:`\frac{\partial L}{\partial y_i} \hat{x}_i` over all rows: those of 16 rows at a time are added in float64, and the bits
    depend on the shape alone, not on the number of threads. Error: at most 8 ULP of the sum of the absolute values of the terms
    (32 in float64).

    <limits of a norm>

    Examples
    --------
    >>> import fastact as fa
    >>> grad_x, grad_weight = fa.rms_norm_backward([[1.0, 1.0]], [[3.0, 4.0]], [1.0, 2.0])
    >>> grad_x.round(4), grad_weight.round(4)
    (array([[-0.0905,  0.0679]]), array([0.8485, 1.1314]))
    """
    found: tuple[Any, Any] = _gradients(rms_norm_backward, _RMS, {"grad": grad, "x": x}, weight, axis, eps, out)
    return found


_LAYER = RowBlocksKernel(
    "layer_norm_backward",
    passes.LAYER_BACKWARD,
    [passes.layer_gradient],
    operands="grad x weight",
    option_names="eps",
    shared="weight",
    adds=passes.LAYER_COLUMNS,
    sums="weight bias",
    cost=0.9,
)
_RMS = RowBlocksKernel(
    "rms_norm_backward",
    passes.RMS_BACKWARD,
    [passes.rms_gradient],
    operands="grad x weight",
    option_names="eps",
    shared="weight",
    adds=passes.RMS_COLUMNS,
    sums="weight",
    cost=0.7,
)


def _gradients(function: Any, kernel: Any, rows: Any, weight: Any, axis: Axis, eps: Any, out: Any) -> Any:
    """The gradient by the input, and those that are sums over all rows."""
    operands = {**rows, "weight": weight}
    quick = plain(rows, {"weight": weight}, axis, eps) if out is None else None
    if quick is not None:
        *arrays, row = quick
        shape, result = arrays[0].shape, np.empty(arrays[0].shape, row.dtype)
        matrix = (-1, shape[-1]) if result.size else (0, shape[-1])
        sums = row_blocks(kernel, [x.reshape(matrix) for x in arrays], (row,), (eps,), [result.reshape(matrix)])
        return (result, *quietly(sums.astype, row.dtype))
    if any(map(is_container, (*operands.values(), out))):
        refuse_masked(function, {**operands, "out": out}, "counts every element")
        kinds = GRADIENTS[: 1 + len(kernel.totals)]
        owner = next((name for name, x in rows.items() if is_foreign(x)), "")
        owners = () if is_foreign(weight) else (owner,) * len(kinds)
        layout = Layout({"grad": "...n", "x": "...n", "weight": "n"}, kinds, owners)
        return within(function, layout, operands, {"axis": axis, "eps": eps, "out": out}, lazy=lazily_whole)
    given = completed({"x": at_one_shape_of(rows)[0]}, {"weight": weight}, axis)
    return gradients_of_rows(kernel, rows, given, (checked_eps(eps),), axis, out)


def over_rows(x: Any, axis: Any) -> Any:
    """The sum over all rows."""
    axes = np.atleast_1d(np.arange(x.ndim)[list(axis) if isinstance(axis, tuple) else axis])
    return np.sum(x, axis=tuple(k for k in range(x.ndim) if k not in axes))


def _reference_layer(grad: Any, x: Any, weight: Any = None, axis: Any = -1, eps: float = 1e-5) -> Any:
    g = grad if weight is None else grad * beside(x, weight, axis)
    deviation = np.sqrt(np.var(x, axis=axis, keepdims=True) + eps)
    normed = (x - np.mean(x, axis=axis, keepdims=True)) / deviation
    means = [np.mean(term, axis=axis, keepdims=True) for term in (g, g * normed)]
    grad_x = (g - means[0] - normed * means[1]) / deviation
    return grad_x, over_rows(grad * normed, axis), over_rows(grad, axis)


def _reference_rms(grad: Any, x: Any, weight: Any = None, axis: Any = -1, eps: float = 1e-5) -> Any:
    g = grad if weight is None else grad * beside(x, weight, axis)
    deviation = np.sqrt(np.mean(x * x, axis=axis, keepdims=True) + eps)
    grad_x = (g - x / deviation * np.mean(g * x / deviation, axis=axis, keepdims=True)) / deviation
    return grad_x, over_rows(grad * x / deviation, axis)


_gradient = partial(
    Function,
    operands=[X, X],
    home=__name__,
    family="norms",
    axis="one",
    masked=False,
    whole=True,
    ulp=8.0,
    double_ulp=32.0,
    variants=[Variant(), Variant(WEIGHT), Variant(EPS, alike=True)],
)
register(_gradient("layer_norm_backward", lambda: layer_norm_backward, reference=_reference_layer))
register(_gradient("rms_norm_backward", lambda: rms_norm_backward, reference=_reference_rms))
