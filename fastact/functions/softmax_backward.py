"""The gradients of softmax and its logarithm with respect to their inputs."""

from functools import cache, partial
from typing import Any

import numpy as np

from fastact.calls.axes import Axis
from fastact.calls.checking import finite, switch
from fastact.calls.masked_rows import over_masked_rows
from fastact.calls.row_ufuncs import PUBLIC, scaled_row_ufunc
from fastact.calls.rows import over_rows
from fastact.functions.docs import documented, with_keywords
from fastact.functions.masked_softmax import MASKING
from fastact.functions.record import LOGARITHMS, MASK, SHARES, Function, X, register, variants
from fastact.kinds.masked_gradient import MaskedGradientKernel
from fastact.kinds.rows import Sum
from fastact.maths.exp import times_exp
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, select
from fastact.runtime.ufunc import make_ufunc

INFINITY = float("inf")

_row = partial(Function, home=__name__, family="softmax", axis="several", in_parts=True)


def _backward(
    ufunc: Any, masked: MaskedGradientKernel, grad: Any, output: Any, axis: Axis, out: Any, arguments: dict[str, Any]
) -> Any:
    """The gradient by the kernel of all elements, or by that of those that take part."""
    if arguments:
        where, causal = arguments.pop("where", True), switch("causal", arguments.pop("causal", False))
        if where is not True or causal:
            operands = {"grad": grad, "output": output}
            arguments |= {"where": where, "causal": causal}
            return over_masked_rows(masked, _masked_ufunc(masked), PUBLIC[ufunc], operands, axis, out, arguments)
        if "scale" in arguments:
            arguments["scale"] = finite("scale", arguments["scale"])
    return over_rows(ufunc, (grad, output), axis, out, arguments)


@cache
def _masked_ufunc(kernel: MaskedGradientKernel) -> Any:
    return make_ufunc(kernel, kernel.name, "Gradients of rows of some of their elements.", __name__)


@scalar
def _product(grad: Scalar, output: Scalar) -> Scalar:
    return grad * output


@scalar
def _softmax_backward_element(grad: Scalar, output: Scalar, product: Scalar) -> Scalar:
    return output * (grad - type(grad)(product))


@documented
@with_keywords(**MASKING)
def softmax_backward(grad: Any, output: Any, axis: Axis = -1, out: Any = None, **ufunc_arguments: Any) -> Any:
    r"""Gradient of `softmax` with respect to its input.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `softmax`.
    output : array_like
        That output. Both broadcast, along `axis` too; `axis` counts in the broadcast shape.
    <grad and output>
    <where to causal of a gradient>
    <ufunc_arguments>

    <rows like both>

    <axis and dtype errors>
    <mask errors of a gradient>

    Notes
    -----
    .. math:: \mathtt{scale} \cdot y_i \left(g_i - \sum_j g_j y_j\right)

    Error: at most 4 ULP of ``scale * output * (abs(grad) + sum(abs(grad * output)))`` (6 in float64). Where `output` is 0, as
    that of an element that takes no part, so is the gradient, if `grad` is finite there. Given the mask of
    the forward function it is 0 there whatever `grad` and `output` hold.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.softmax_backward([1.0, 0.0], [0.5, 0.5])
    array([ 0.25, -0.25])
    """
    return _backward(_softmax_backward, _MASKED_SOFTMAX, grad, output, axis, out, ufunc_arguments)


_softmax_backward = scaled_row_ufunc(
    "softmax_backward", [Sum("product", _product)], _softmax_backward_element, softmax_backward
)


_MASKED_SOFTMAX = MaskedGradientKernel("softmax_backward.masked", _product, "product", _softmax_backward_element)


def _reference_softmax_backward(grad: Any, output: Any, axis: Axis = -1, where: Any = True, scale: float = 1.0) -> Any:
    grad, output = np.where(where, grad, 0.0), np.where(where, output, 0.0)
    return scale * output * (grad - np.sum(grad * output, axis=axis, keepdims=True))


_VARIANTS = variants({"scale": -0.3}, {"where": MASK})
register(
    _row(
        "softmax_backward",
        lambda: softmax_backward,
        [X, SHARES],
        _reference_softmax_backward,
        4.0,
        6.0,
        variants=_VARIANTS,
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
@with_keywords(**MASKING)
def log_softmax_backward(grad: Any, output: Any, axis: Axis = -1, out: Any = None, **ufunc_arguments: Any) -> Any:
    r"""Gradient of `log_softmax` with respect to its input.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `log_softmax`.
    output : array_like
        That output. Both broadcast, along `axis` too; `axis` counts in the broadcast shape.
    <grad and output>
    <where to causal of a gradient>
    <ufunc_arguments>

    <rows like both>

    <axis and dtype errors>
    <mask errors of a gradient>

    Notes
    -----
    .. math:: \mathtt{scale} \left(g_i - e^{y_i} \sum_j g_j\right)

    Error: at most 4 ULP of ``scale * (abs(grad) + exp(output) * sum(abs(grad)))`` (6 in float64). Where `output` is -inf, as
    that of an element that takes no part, the gradient is 0, and `grad` should be: it counts in the sum, as in PyTorch, whose
    gradient there is `grad`. With the mask of the forward function it does not count.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.log_softmax_backward([1.0, 0.0], fa.log_softmax([0.0, 0.0]))
    array([ 0.5, -0.5])
    """
    return _backward(_log_softmax_backward, _MASKED_LOG_SOFTMAX, grad, output, axis, out, ufunc_arguments)


_log_softmax_backward = scaled_row_ufunc(
    "log_softmax_backward", [Sum("total", _gradient_alone)], _log_softmax_backward_element, log_softmax_backward
)


_MASKED_LOG_SOFTMAX = MaskedGradientKernel(
    "log_softmax_backward.masked", _gradient_alone, "total", _log_softmax_backward_element
)


def _reference_log_backward(grad: Any, output: Any, axis: Axis = -1, where: Any = True, scale: float = 1.0) -> Any:
    total = np.sum(np.where(where, grad, 0.0), axis=axis, keepdims=True)
    return np.where(where & (output != -INFINITY), scale * (grad - np.exp(output) * total), 0.0)


register(
    _row(
        "log_softmax_backward",
        lambda: log_softmax_backward,
        [X, LOGARITHMS],
        _reference_log_backward,
        4.0,
        6.0,
        variants=_VARIANTS,
    )
)
