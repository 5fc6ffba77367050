"""The gradients of softmax and its logarithm with respect to their inputs."""

from functools import partial
from typing import Any

import numpy as np

from fastact.calls.axes import Axis
from fastact.calls.checking import finite
from fastact.calls.row_ufuncs import scaled_row_ufunc
from fastact.calls.rows import over_rows
from fastact.functions.docs import documented, with_keywords
from fastact.functions.record import LOGARITHMS, SHARES, Function, X, register, variants
from fastact.kinds.rows import Sum
from fastact.maths.exp import times_exp
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, select

INFINITY = float("inf")

_row = partial(Function, home=__name__, family="softmax", axis="several", in_parts=True)


@scalar
def _product(grad: Scalar, output: Scalar) -> Scalar:
    return grad * output


@scalar
def _softmax_backward_element(grad: Scalar, output: Scalar, product: Scalar) -> Scalar:
    return output * (grad - type(grad)(product))


@documented
@with_keywords(scale=1.0)
def softmax_backward(grad: Any, output: Any, axis: Axis = -1, out: Any = None, **ufunc_arguments: Any) -> Any:
    r"""Gradient of `softmax` with respect to its input.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `softmax`.
    output : array_like
        That output. Both broadcast, along `axis` too; `axis` counts in the broadcast shape.
    <grad and output>
    scale : float, default 1.0
        As it was given to the forward function; finite.
    <ufunc_arguments>

    <rows like both>

    <axis and dtype errors>
    ValueError
        If `scale` is not finite.

    Notes
    -----
    .. math:: \mathtt{scale} \cdot y_i \left(g_i - \sum_j g_j y_j\right)

    Error: at most 4 ULP of ``scale * output * (abs(grad) + sum(abs(grad * output)))`` (6 in float64). Where `output` is 0, as
    that of an element that takes no part, so is the gradient.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.softmax_backward([1.0, 0.0], [0.5, 0.5])
    array([ 0.25, -0.25])
    """
    if "scale" in ufunc_arguments:
        ufunc_arguments["scale"] = finite("scale", ufunc_arguments["scale"])
    return over_rows(_softmax_backward, (grad, output), axis, out, ufunc_arguments)


_softmax_backward = scaled_row_ufunc(
    "softmax_backward", [Sum("product", _product)], _softmax_backward_element, softmax_backward
)


def _reference_softmax_backward(grad: Any, output: Any, axis: Axis = -1, scale: float = 1.0) -> Any:
    return scale * output * (grad - np.sum(grad * output, axis=axis, keepdims=True))


_SCALED = variants({"scale": -0.3})
register(
    _row(
        "softmax_backward",
        lambda: softmax_backward,
        [X, SHARES],
        _reference_softmax_backward,
        4.0,
        6.0,
        variants=_SCALED,
    )
)


@scalar
def _gradient_alone(grad: Scalar) -> Scalar:
    return grad


@scalar
def _log_softmax_backward_element(grad: Scalar, output: Scalar, total: Scalar) -> Scalar:
    T = type(grad)
    return select(output == T(-INFINITY), T(0.0), times_exp(-T(total), output, grad))


@documented
@with_keywords(scale=1.0)
def log_softmax_backward(grad: Any, output: Any, axis: Axis = -1, out: Any = None, **ufunc_arguments: Any) -> Any:
    r"""Gradient of `log_softmax` with respect to its input.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `log_softmax`.
    output : array_like
        That output. Both broadcast, along `axis` too; `axis` counts in the broadcast shape.
    <grad and output>
    scale : float, default 1.0
        As it was given to the forward function; finite.
    <ufunc_arguments>

    <rows like both>

    <axis and dtype errors>
    ValueError
        If `scale` is not finite.

    Notes
    -----
    .. math:: \mathtt{scale} \left(g_i - e^{y_i} \sum_j g_j\right)

    Error: at most 4 ULP of ``scale * (abs(grad) + exp(output) * sum(abs(grad)))`` (6 in float64). Where `output` is -inf, as
    that of an element that takes no part, the gradient is 0, and `grad` should be: it counts in the sum, as in PyTorch, whose
    gradient there is `grad`.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.log_softmax_backward([1.0, 0.0], fa.log_softmax([0.0, 0.0]))
    array([ 0.5, -0.5])
    """
    if "scale" in ufunc_arguments:
        ufunc_arguments["scale"] = finite("scale", ufunc_arguments["scale"])
    return over_rows(_log_softmax_backward, (grad, output), axis, out, ufunc_arguments)


_log_softmax_backward = scaled_row_ufunc(
    "log_softmax_backward", [Sum("total", _gradient_alone)], _log_softmax_backward_element, log_softmax_backward
)


def _reference_log_backward(grad: Any, output: Any, axis: Axis = -1, scale: float = 1.0) -> Any:
    whole = scale * (grad - np.exp(output) * np.sum(grad, axis=axis, keepdims=True))
    return np.where(output == -INFINITY, 0.0, whole)


register(
    _row(
        "log_softmax_backward",
        lambda: log_softmax_backward,
        [X, LOGARITHMS],
        _reference_log_backward,
        4.0,
        6.0,
        variants=_SCALED,
    )
)
