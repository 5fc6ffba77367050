"""A linear layer and cross-entropy in one, by blocks of rows: the logits of all rows never exist at once."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastact.calls.checking import number
from fastact.calls.order import arranged_like
from fastact.calls.quiet import quietly
from fastact.functions import cross_entropy_reference
from fastact.functions.cross_entropy_containers import are_contained, linear_loss_of_containers
from fastact.functions.cross_entropy_kernels import gufunc
from fastact.functions.cross_entropy_requests import (
    Request,
    as_target,
    check_labels,
    checked,
    loss_dtype,
    meant,
    narrowed,
    with_scale,
)
from fastact.functions.cross_entropy_results import among_all, reduced
from fastact.functions.docs import documented
from fastact.functions.record import Function, Operand, X, register, variants
from fastact.kernels.dtypes import LISTED, NATIVE
from fastact.kernels.limits import RESULTS

BLOCKS, LARGEST_BLOCK = 12, 2**26
"""A block of logits takes a twelfth of what all would, and at most so many bytes."""
SLICE_BYTES = 2**21
"""What the product of a block's gradient and hidden states may take before it is added to the weight's gradient."""


class _Layer(NamedTuple):
    """The checked arguments of a call, rows flattened, in the dtype that is computed in."""

    hidden: Any
    weight: Any
    bias: Any
    request: Request
    """The request to cross-entropy for all rows, with logits that take no memory."""
    dtype: Any
    """What hidden states and weight promote to."""
    counted: Any
    """Which rows these are of all: those whose label is not ignored; ``None`` if none is."""
    given: tuple[Any, Any]
    """Hidden states and target as the caller's arrays, which results lie in memory as."""

    def blocks(self) -> Iterator[tuple[slice, Request]]:
        """The rows of each block, and the request for it, whose logits are in the buffer that all blocks share."""
        rows, classes = self.hidden.shape[0], self.weight.shape[0]
        fit = LARGEST_BLOCK // max(1, classes * self.hidden.itemsize)
        size = max(1, min(-(-rows // BLOCKS), fit))
        buffer = np.empty((min(size, rows), classes), self.hidden.dtype)
        for first in range(0, rows, size):
            block = slice(first, min(first + size, rows))
            logits = quietly(np.matmul, self.hidden[block], self.weight.T, out=buffer[: block.stop - first])
            if self.bias is not None:
                quietly(np.add, logits, self.bias, out=logits)
            yield block, self.request._replace(logits=logits, target=self.request.target[block])


def _layer(
    hidden: Any,
    weight: Any,
    target: Any,
    bias: Any,
    class_weight: Any,
    ignore_index: int,
    label_smoothing: float,
    z_loss: float,
    softcap: float | None,
    reduction: str,
) -> _Layer:
    """Check the arguments; ``ValueError`` and ``TypeError`` say which is wrong, what it was and what is allowed."""
    hidden, weight = np.asarray(hidden), np.asarray(weight)
    target = as_target(target, hidden.ndim - 1)
    for name, array in (("hidden", hidden), ("weight", weight)):
        if array.dtype.char not in NATIVE:
            raise TypeError(f"{name} must be {LISTED}, got {array.dtype}")
    if hidden.ndim < 1:
        raise ValueError("hidden must have an axis of features, got a scalar")
    if weight.ndim != 2 or weight.shape[1] != hidden.shape[-1]:
        raise ValueError(f"weight must have shape (classes, {hidden.shape[-1]}), got {weight.shape}")
    labels = hidden.shape[:-1]
    advice = meant(target, labels, (*labels, len(weight)), -1, floats=False)
    if target.dtype.kind not in "iu":
        raise TypeError(f"target must hold integers (class indices), got {target.dtype}{advice}")
    if target.shape != labels:
        raise ValueError(f"target must have shape {labels} for these hidden states, got {target.shape}{advice}")
    promoted = np.result_type(hidden, weight)
    dtype = np.result_type(promoted, np.float32)  # NumPy multiplies matrices of float16 element by element
    if bias is not None:
        bias = np.asarray(bias)
        if bias.dtype.kind not in "iuf":
            raise TypeError(f"bias must hold real numbers, got {bias.dtype}")
        if bias.shape != weight.shape[:1]:
            raise ValueError(f"bias must have shape {weight.shape[:1]}, got {bias.shape}")
        bias = narrowed(bias, dtype)
    nothing = np.broadcast_to(np.zeros((), dtype), (*target.shape, weight.shape[0]))
    options = (ignore_index, label_smoothing, z_loss, softcap, reduction)
    request = checked(nothing, target, class_weight, *options, axis=-1, weight_name="class_weight")
    ignored, counted = check_labels(request), None
    given = hidden, target
    hidden, target = hidden.reshape(target.size, hidden.shape[-1]), target.reshape(-1)
    if ignored:
        counted = np.flatnonzero(target != request.ignore_index)
        hidden, target = hidden[counted], target[counted]
    request = request._replace(logits=nothing, target=target)  # to each block its own
    return _Layer(
        hidden.astype(dtype, copy=False), weight.astype(dtype, copy=False), bias, request, promoted, counted, given
    )


@documented
def linear_cross_entropy(
    hidden: Any,
    weight: Any,
    target: Any,
    *,
    bias: Any = None,
    class_weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    reduction: str = "mean",
    empty: float = math.nan,
    dtype: Any = None,
) -> Any:
    r"""Cross-entropy of ``hidden @ weight.T + bias``, without ever holding all of these logits.

    Parameters
    ----------
    <hidden to class_weight>
    ignore_index, label_smoothing, z_loss, softcap, reduction, empty
        As in `cross_entropy`.
    dtype : dtype, optional
        Of the loss; by default what `hidden` and `weight` promote to.

    Returns
    -------
    scalar or ndarray
        The loss, of `dtype`.

    <label errors>

    Notes
    -----
    Logits are made for a block of rows at a time, a twelfth of all rows or 64 MiB, in a buffer that all blocks share; float16 is
    multiplied as float32. For the logits that the product gives, a loss is as exact as that of `cross_entropy`.

    <losses paper>

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> hidden, weight = np.eye(2), np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    >>> round(float(fa.linear_cross_entropy(hidden, weight, [0, 1])), 4)
    0.5514
    """
    if are_contained(hidden, weight, target, bias, class_weight):
        return linear_loss_of_containers(linear_cross_entropy, locals())
    empty = number("empty", empty)
    layer = _layer(
        hidden, weight, target, bias, class_weight, ignore_index, label_smoothing, z_loss, softcap, reduction
    )
    dtype = loss_dtype(dtype, layer.dtype)
    results = np.empty((layer.hidden.shape[0], RESULTS))
    for block, request in layer.blocks():
        gufunc(request, False)(*request.operands(1.0, False), out=results[block])
    return _loss(layer, results, dtype, empty)


def _loss(layer: _Layer, results: Any, dtype: Any, empty: float) -> Any:
    loss = reduced(layer.request.reduction, results, dtype, empty, layer.request.weighted)
    if layer.request.reduction != "none":
        return loss
    hidden, target = layer.given
    every = among_all(loss, layer.counted, target.shape).reshape(target.shape)
    return arranged_like([hidden[..., 0] if hidden.size else every, target], every)[()]


@documented
def linear_cross_entropy_with_grad(
    hidden: Any,
    weight: Any,
    target: Any,
    *,
    bias: Any = None,
    class_weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    reduction: str = "mean",
    empty: float = math.nan,
    dtype: Any = None,
) -> tuple[Any, ...]:
    r"""Cross-entropy of ``hidden @ weight.T + bias`` and its gradients, without ever holding all of these logits.

    Parameters
    ----------
    <hidden to class_weight>
    ignore_index, label_smoothing, z_loss, softcap, reduction, empty
        As in `cross_entropy`. With ``reduction="none"`` the gradients are those of the sum.
    dtype : dtype, optional
        Of the loss; by default what `hidden` and `weight` promote to, as the gradients are in any case.

    Returns
    -------
    loss : scalar or ndarray
        As `linear_cross_entropy` returns it.
    grad_hidden : ndarray, shape of `hidden`
    grad_weight : ndarray, shape of `weight`
        Each lies in memory as what it is the gradient of.
    grad_bias : ndarray, shape of `bias`
        Only if `bias` was given.

    <label errors>

    Notes
    -----
    Beside the gradients themselves, a block of logits is all that is allocated: their gradient is written over them.

    <losses paper>

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> loss, grad_hidden, grad_weight = fa.linear_cross_entropy_with_grad(np.eye(2), np.eye(2), [0, 1])
    >>> grad_hidden.round(3)
    array([[-0.134,  0.134],
           [ 0.134, -0.134]])
    """
    if are_contained(hidden, weight, target, bias, class_weight):
        outcome: tuple[Any, ...] = linear_loss_of_containers(linear_cross_entropy_with_grad, locals())
        return outcome
    empty = number("empty", empty)
    layer = _layer(
        hidden, weight, target, bias, class_weight, ignore_index, label_smoothing, z_loss, softcap, reduction
    )
    dtype = loss_dtype(dtype, layer.dtype)
    results = np.empty((layer.hidden.shape[0], RESULTS))
    grad_hidden, grad_weight = np.empty_like(layer.hidden), np.empty_like(layer.weight)
    grad_bias = None if layer.bias is None else np.zeros(layer.bias.shape)
    request, scale = with_scale(layer.request, 0)
    layer = layer._replace(request=request)
    for block, request in layer.blocks():
        # The gradient is written over the logits.
        _, grad = gufunc(request, True)(*request.operands(scale, False), out=(results[block], request.logits))
        quietly(np.matmul, grad, layer.weight, out=grad_hidden[block])
        if block.start == 0:
            quietly(np.matmul, grad.T, layer.hidden[block], out=grad_weight)
        else:
            quietly(_add_product, grad_weight, grad, layer.hidden[block])
        if grad_bias is not None:
            quietly(_add_column_sums, grad_bias, grad)
    if not results.size:
        grad_weight[...] = 0
    given = layer.given[0]
    grad_hidden = among_all(narrowed(grad_hidden, layer.dtype), layer.counted, given.shape[:-1]).reshape(given.shape)
    loss, grad_hidden = _loss(layer, results, dtype, empty), arranged_like([given], grad_hidden)
    rest = [grad_weight, *([] if grad_bias is None else [grad_bias])]
    return loss, grad_hidden, *(narrowed(gradient, layer.dtype) for gradient in rest)


def _add_product(total: Any, grad: Any, hidden: Any) -> None:
    """``total += grad.T @ hidden``, some classes at a time, so that the product takes little memory."""
    classes = max(1, SLICE_BYTES // max(1, hidden.shape[1] * hidden.itemsize))
    product = np.empty((min(classes, total.shape[0]), total.shape[1]), total.dtype)
    for first in range(0, total.shape[0], classes):
        part = total[first : first + classes]
        part += np.matmul(grad[:, first : first + classes].T, hidden, out=product[: len(part)])


def _add_column_sums(total: Any, grad: Any) -> None:
    """``total += grad.sum(0)``, in float64."""
    total += np.add.reduce(grad, axis=0, dtype=np.float64)


CLASSES = 7
_WEIGHT = Operand(shape=lambda shape, axis: (CLASSES, shape[-1]))
_OF_EACH_CLASS = Operand("shares", lambda shape, axis: (CLASSES,))
_LABELS = Operand("labels", lambda shape, axis: shape[:-1], CLASSES)
_layer_loss = partial(
    Function,
    home=__name__,
    family="cross-entropy",
    operands=[X, _WEIGHT, _LABELS],
    ulp=None,
    double_ulp=None,
    variants=variants(
        {"label_smoothing": 0.125, "reduction": "sum"},
        {"softcap": 30.0, "bias": _OF_EACH_CLASS, "ignore_index": 2},
        {"label_smoothing": 0.25, "softcap": 5.0, "bias": _OF_EACH_CLASS},
        {"class_weight": _OF_EACH_CLASS, "label_smoothing": 0.125, "z_loss": 0.5},
        {"reduction": "none", "bias": _OF_EACH_CLASS},
    ),
    written=(),
)

register(
    _layer_loss(
        "linear_cross_entropy",
        make=lambda: linear_cross_entropy,
        reference=cross_entropy_reference.linear_cross_entropy,
    )
)
register(
    _layer_loss(
        "linear_cross_entropy_with_grad",
        make=lambda: linear_cross_entropy_with_grad,
        reference=cross_entropy_reference.linear_cross_entropy_with_grad,
    )
)
