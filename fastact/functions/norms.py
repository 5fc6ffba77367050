"""Norms of rows: by mean and variance, and by the root of the mean square, alone or of the sum that a residual connection makes."""

from functools import partial
from typing import Any

import numpy as np

from fastact.calls.axes import Axis
from fastact.calls.checking import knowing_names
from fastact.calls.row_ufuncs import row_ufunc
from fastact.functions import norm_passes as passes
from fastact.functions.docs import documented
from fastact.functions.norm_requests import norm_rows
from fastact.functions.record import ALONG_AXIS, Function, Variant, X, register
from fastact.kinds.rows import RowKernel


@knowing_names
@documented
def layer_norm(
    x: Any, weight: Any = None, bias: Any = None, *, axis: Axis = -1, eps: float = 1e-5, out: Any = None
) -> Any:
    r"""Rows less their mean, over their standard deviation, times a weight, plus a bias.

    Parameters
    ----------
    <x>
    weight : array_like, optional
        A factor for each element of a row: of the shape of `x` along `axis`; 1 by default.
    bias : array_like, optional
        What is added to each element of a row, of the same shape; 0 by default.
    <norm axis to out>

    <rows like x>

    <norm errors>

    See Also
    --------
    add_layer_norm : of a sum, which is returned too.
    rms_norm : without the mean.

    Notes
    -----
    .. math:: \frac{x_i - \mu}{\sqrt{\sigma^2 + \epsilon}} w_i + b_i, \quad
        \mu = \tfrac{1}{n} \sum_j x_j, \ \sigma^2 = \tfrac{1}{n} \sum_j (x_j - \mu)^2

    The mean is a sum in float64, and the variance is that of distances from it: a mean that is a million times the deviation costs
    float32 no digits. float16 is computed in float32. Error: at most 6 ULP of ``abs(y - bias) + abs(bias)``, the result's two terms
    (32 in float64). A row that holds NaN or an infinity is NaN.

    <limits of a norm>

    References
    ----------
    J. L. Ba, J. R. Kiros, G. E. Hinton, Layer Normalization, arXiv:1607.06450.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.layer_norm([[1.0, 2.0, 3.0]]).round(4)
    array([[-1.2247,  0.    ,  1.2247]])
    """
    return norm_rows(layer_norm, _layer_norm, {"x": x}, {"weight": weight, "bias": bias}, axis, eps, out)


@knowing_names
@documented
def rms_norm(x: Any, weight: Any = None, *, axis: Axis = -1, eps: float = 1e-5, out: Any = None) -> Any:
    r"""Rows over the root of their mean square, times a weight.

    Parameters
    ----------
    <x>
    weight : array_like, optional
        A factor for each element of a row: of the shape of `x` along `axis`; 1 by default.
    <norm axis to out>

    <rows like x>

    <norm errors>

    See Also
    --------
    add_rms_norm : of a sum, which is returned too.
    layer_norm : less the mean.

    Notes
    -----
    .. math:: \frac{x_i}{\sqrt{\tfrac{1}{n} \sum_j x_j^2 + \epsilon}} w_i

    float16 is computed in float32. PyTorch's `eps` is that of the dtype if none is given. Error: at most 6 ULP (32 in float64).
    A row that holds NaN is NaN, and so is what is infinite; the rest of a row with an infinity is 0.

    <limits of a norm>

    References
    ----------
    B. Zhang, R. Sennrich, Root Mean Square Layer Normalization, arXiv:1910.07467.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.rms_norm([[3.0, 4.0]], [1.0, 2.0]).round(4)
    array([[0.8485, 2.2627]])
    """
    return norm_rows(rms_norm, _rms_norm, {"x": x}, {"weight": weight}, axis, eps, out)


@knowing_names
@documented
def add_layer_norm(
    x: Any,
    residual: Any,
    weight: Any = None,
    bias: Any = None,
    *,
    axis: Axis = -1,
    eps: float = 1e-5,
    out: Any = None,
) -> tuple[Any, Any]:
    r"""`layer_norm` of the sum of two arrays, and the sum, in one pass over memory: what follows a residual connection.

    Parameters
    ----------
    <x>
    residual : array_like
        What is added to `x`; both broadcast.
    weight : array_like, optional
        A factor for each element of a row: of the shape of the sum along `axis`; 1 by default.
    bias : array_like, optional
        What is added to each element of a row, of the same shape; 0 by default.
    <norm axis and eps>
    <outs of a norm of a sum>

    <norm of a sum>

    <norm errors>

    See Also
    --------
    layer_norm : of one array.

    Notes
    -----
    What `layer_norm` gives for ``x + residual``; of float16 the sum that is normed has not been rounded to it. Error: at most 6 ULP
    of the result's two terms (32 in float64).

    <limits of a norm>

    Examples
    --------
    >>> import fastact as fa
    >>> normed, total = fa.add_layer_norm([[1.0, 2.0, 4.0]], [[0.0, 0.0, -1.0]])
    >>> normed.round(4), total
    (array([[-1.2247,  0.    ,  1.2247]]), array([[1., 2., 3.]]))
    """
    rows, shared = {"x": x, "residual": residual}, {"weight": weight, "bias": bias}
    found: tuple[Any, Any] = norm_rows(add_layer_norm, _add_layer_norm, rows, shared, axis, eps, out)
    return found


@knowing_names
@documented
def add_rms_norm(
    x: Any, residual: Any, weight: Any = None, *, axis: Axis = -1, eps: float = 1e-5, out: Any = None
) -> tuple[Any, Any]:
    r"""`rms_norm` of the sum of two arrays, and the sum, in one pass over memory: what follows a residual connection.

    Parameters
    ----------
    <x>
    residual : array_like
        What is added to `x`; both broadcast.
    weight : array_like, optional
        A factor for each element of a row: of the shape of the sum along `axis`; 1 by default.
    <norm axis and eps>
    <outs of a norm of a sum>

    <norm of a sum>

    <norm errors>

    See Also
    --------
    rms_norm : of one array.

    Notes
    -----
    What `rms_norm` gives for ``x + residual``; of float16 the sum that is normed has not been rounded to it. Error: at most 6 ULP
    (32 in float64).

    <limits of a norm>

    Examples
    --------
    >>> import fastact as fa
    >>> normed, total = fa.add_rms_norm([[1.0, 2.0]], [[2.0, 2.0]], [1.0, 2.0])
    >>> normed.round(4), total
    (array([[0.8485, 2.2627]]), array([[3., 4.]]))
    """
    rows = {"x": x, "residual": residual}
    found: tuple[Any, Any] = norm_rows(add_rms_norm, _add_rms_norm, rows, {"weight": weight}, axis, eps, out)
    return found


_layer_norm = row_ufunc(
    RowKernel("layer_norm", passes.LAYER, passes.layer_normed, operands="x weight bias", option_names="eps", cost=0.5),
    layer_norm,
)
_rms_norm = row_ufunc(
    RowKernel("rms_norm", passes.RMS, passes.rms_normed, operands="x weight", option_names="eps"), rms_norm
)
_add_layer_norm = row_ufunc(
    RowKernel(
        "add_layer_norm",
        passes.ADD_LAYER,
        passes.ADD_LAYER_WRITES,
        operands="x residual weight bias",
        option_names="eps",
        row_results=2,
        cost=0.6,
    ),
    add_layer_norm,
)
_add_rms_norm = row_ufunc(
    RowKernel(
        "add_rms_norm",
        passes.ADD_RMS,
        passes.ADD_RMS_WRITES,
        operands="x residual weight",
        option_names="eps",
        row_results=2,
        cost=0.5,
    ),
    add_rms_norm,
)


def beside(x: Any, shared: Any, axis: Any) -> Any:
    """What all rows share at the dimensions of an array."""
    if shared is None:
        return None
    axes = np.atleast_1d(np.arange(x.ndim)[list(axis) if isinstance(axis, tuple) else axis])
    return np.reshape(shared, [n if k in axes else 1 for k, n in enumerate(x.shape)])


def reference_layer_norm(x: Any, weight: Any = None, bias: Any = None, axis: Any = -1, eps: float = 1e-5) -> Any:
    normed = (x - np.mean(x, axis=axis, keepdims=True)) / np.sqrt(np.var(x, axis=axis, keepdims=True) + eps)
    normed = normed if weight is None else normed * beside(x, weight, axis)
    return normed if bias is None else normed + beside(x, bias, axis)


def reference_rms_norm(x: Any, weight: Any = None, axis: Any = -1, eps: float = 1e-5) -> Any:
    normed = x / np.sqrt(np.mean(x * x, axis=axis, keepdims=True) + eps)
    return normed if weight is None else normed * beside(x, weight, axis)


def _reference_add_layer_norm(
    x: Any, residual: Any, weight: Any = None, bias: Any = None, axis: Any = -1, eps: float = 1e-5
) -> tuple[Any, Any]:
    return reference_layer_norm(x + residual, weight, bias, axis, eps), x + residual


def _reference_add_rms_norm(
    x: Any, residual: Any, weight: Any = None, axis: Any = -1, eps: float = 1e-5
) -> tuple[Any, Any]:
    return reference_rms_norm(x + residual, weight, axis, eps), x + residual


EPS, WEIGHT = {"eps": 0.5}, {"weight": ALONG_AXIS}
_BOTH = WEIGHT | {"bias": ALONG_AXIS}
_norm = partial(
    Function,
    home=__name__,
    family="norms",
    axis="one",
    masked=False,
    ulp=6.0,
    double_ulp=32.0,
    variants=[Variant(), Variant(WEIGHT), Variant(EPS, alike=True)],
)
register(
    _norm(
        "layer_norm",
        lambda: layer_norm,
        [X],
        reference_layer_norm,
        variants=[Variant(), Variant(WEIGHT), Variant(_BOTH), Variant(EPS, alike=True)],
    )
)
register(_norm("rms_norm", lambda: rms_norm, [X], reference_rms_norm))
register(
    _norm(
        "add_layer_norm",
        lambda: add_layer_norm,
        [X, X],
        _reference_add_layer_norm,
        variants=[Variant(), Variant(_BOTH)],
        written=(0, 1),
    )
)
register(_norm("add_rms_norm", lambda: add_rms_norm, [X, X], _reference_add_rms_norm, written=(0, 1)))
