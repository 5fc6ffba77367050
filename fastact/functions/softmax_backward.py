"""The gradients of softmax and its logarithm with respect to their inputs."""

from functools import cache, partial
from typing import Any

import numpy as np

from fastact.calls.axes import Axis
from fastact.calls.checking import finite, number, switch
from fastact.calls.masked_rows import over_masked_rows
from fastact.calls.row_ufuncs import PUBLIC, scaled_row_ufunc
from fastact.calls.rows import over_rows
from fastact.functions.docs import documented, with_keywords
from fastact.functions.masked_softmax import MASKING
from fastact.functions.record import LOGARITHMS, MASK, SHARES, Function, Variant, X, register, variants
from fastact.kinds.masked_gradient import MaskedGradientKernel
from fastact.kinds.rows import Sum
from fastact.maths.exp import times_exp
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, select
from fastact.runtime.ufunc import make_ufunc

INFINITY = float("inf")

_row = partial(Function, home=__name__, family="softmax", axis="several", in_parts=True)


def _backward(
    ufunc: Any,
    masked: MaskedGradientKernel,
    grad: Any,
    output: Any,
    axis: Axis,
    out: Any,
    arguments: dict[str, Any],
    dropped: MaskedGradientKernel | None = None,
) -> Any:
    """The gradient by the kernel of all elements, by that of those that take part, or by that of those that are kept."""
    if arguments:
        where, causal = arguments.pop("where", True), switch("causal", arguments.pop("causal", False))
        if dropped and (keep := arguments.pop("keep", None)) is not None:
            masked, p = dropped, _probability(arguments.pop("p", 0.0))
            arguments |= {"keep": keep, "p": p}
        elif dropped and _probability(arguments.pop("p", 0.0)):
            raise ValueError("p needs keep, which says what dropout has kept")
        if where is not True or causal or "keep" in arguments:
            operands = {"grad": grad, "output": output}
            arguments |= {"where": where, "causal": causal}
            return over_masked_rows(masked, _masked_ufunc(masked), PUBLIC[ufunc], operands, axis, out, arguments)
        if "scale" in arguments:
            arguments["scale"] = finite("scale", arguments["scale"])
    return over_rows(ufunc, (grad, output), axis, out, arguments)


def _probability(p: Any) -> float:
    found = number("p", p)
    if not 0 <= found <= 1:
        raise ValueError(f"p must be between 0 and 1, got {p!r}")
    return found


@cache
def _masked_ufunc(kernel: MaskedGradientKernel) -> Any:
    return make_ufunc(kernel, kernel.name, "Gradients of rows of some of their elements.", __name__)


@scalar
def _product(grad: Scalar, output: Scalar) -> Scalar:
    return grad * output


@scalar
def _softmax_backward_element(grad: Scalar, output: Scalar, product: Scalar) -> Scalar:
    return output * (grad - type(grad)(product))


@scalar
def _kept(grad: Scalar, keep: Scalar, p: Scalar) -> Scalar:
    """The gradient behind a dropout: 0 where it has not kept an element."""
    T = type(grad)
    return select(keep != 0, grad * T(1 / (1 - p)), T(0))


@scalar
def _kept_product(grad: Scalar, output: Scalar, keep: Scalar, p: Scalar) -> Scalar:
    return _kept(grad, keep, p) * output


@scalar
def _kept_element(grad: Scalar, output: Scalar, product: Scalar, keep: Scalar, p: Scalar) -> Scalar:
    return output * (_kept(grad, keep, p) - type(grad)(product))


@documented
@with_keywords(**MASKING, keep=None, p=0.0)
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
    keep : array_like of bool, optional
        Which elements of `output` a dropout has kept, if there was one behind softmax; broadcasts to the shape of both.
        `grad` is then with respect to the dropout's result, and `output` what softmax gave.
    p : float, default 0.0
        The probability with which that has dropped elements: those kept were multiplied by ``1 / (1 - p)``.
    <ufunc_arguments>

    <rows like both>

    <axis and dtype errors>
    <mask errors of a gradient>

    Notes
    -----
    .. math:: \mathtt{scale} \cdot y_i \left(g_i - \sum_j g_j y_j\right)

    With `keep`, :math:`g_i` is ``grad / (1 - p)`` of an element that was kept, and 0 of others: dropout and softmax go back in one
    pass.
    Error: at most 4 ULP of ``scale * output * (abs(grad) + sum(abs(grad * output)))`` (6 in float64). Where `output` is 0, as
    that of an element that takes no part, so is the gradient, if `grad` is finite there. Given the mask of
    the forward function it is 0 there whatever `grad` and `output` hold.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.softmax_backward([1.0, 0.0], [0.5, 0.5])
    array([ 0.25, -0.25])
    """
    return _backward(_softmax_backward, _MASKED_SOFTMAX, grad, output, axis, out, ufunc_arguments, _DROPPED_SOFTMAX)


_softmax_backward = scaled_row_ufunc(
    "softmax_backward", [Sum("product", _product)], _softmax_backward_element, softmax_backward
)


_MASKED_SOFTMAX = MaskedGradientKernel("softmax_backward.masked", _product, "product", _softmax_backward_element)
_DROPPED_SOFTMAX = MaskedGradientKernel(
    "softmax_backward.dropped", _kept_product, "product", _kept_element, flag_names="keep", option_names="p"
)


def reference_softmax_backward(
    grad: Any,
    output: Any,
    axis: Axis = -1,
    where: Any = True,
    scale: float = 1.0,
    keep: Any = True,
    p: float = 0.0,
) -> Any:
    grad, output = np.where(where & np.asarray(keep), grad, 0.0) / (1 - p), np.where(where, output, 0.0)
    return scale * output * (grad - np.sum(grad * output, axis=axis, keepdims=True))


_VARIANTS = variants({"scale": -0.3}, {"where": MASK})
_DROPPED = Variant({"keep": MASK, "p": 0.25})
register(
    _row(
        "softmax_backward",
        lambda: softmax_backward,
        [X, SHARES],
        reference_softmax_backward,
        4.0,
        6.0,
        variants=[*_VARIANTS, _DROPPED],
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
