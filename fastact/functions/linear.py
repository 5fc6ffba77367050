"""A linear layer and cross-entropy in one, by blocks of rows: the logits of all rows never exist at once."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastact.calls.checking import broadcast_to, number
from fastact.calls.order import arranged_like
from fastact.calls.quiet import quietly
from fastact.calls.widening import taking_bfloat16
from fastact.functions import cross_entropy_reference
from fastact.functions.cross_entropy_containers import are_contained
from fastact.functions.cross_entropy_kernels import gufunc
from fastact.functions.cross_entropy_requests import (
    Request,
    as_reals,
    as_target,
    check_labels,
    checked,
    checked_shift,
    loss_dtype,
    meant,
    narrowed,
    times_upstream,
    with_scale,
)
from fastact.functions.cross_entropy_results import among_all, reduced
from fastact.functions.docs import documented
from fastact.functions.linear_containers import linear_loss_of_containers
from fastact.functions.record import Function, Operand, Variant, X, register, variants
from fastact.kernels.dtypes import LISTED, NATIVE
from fastact.kernels.limits import LOSS, RESULTS, WANT_WEIGHT, WEIGHT

BLOCKS, LARGEST_BLOCK = 12, 2**26
"""A block of logits takes a twelfth of what all would, and at most so many bytes."""
SLICE_BYTES = 2**21
"""What the product of a block's gradient and hidden states may take before it is added to the weight's gradient."""


class _Layer(NamedTuple):
    """The checked arguments of a call: matrices in the dtype that is computed in, and what is of each row that counts."""

    hidden: Any
    """All hidden states as a matrix, in the caller's dtype."""
    weight: Any
    bias: Any
    request: Request
    """The request to cross-entropy for the rows that count, with logits that take no memory."""
    dtype: Any
    """What hidden states and weight promote to."""
    counted: Any
    """Which of all labels these rows have; ``None`` if all."""
    shift: int
    sample_weight: Any
    """Of these rows, of float64; ``None`` if each is 1."""
    given: tuple[Any, Any]
    """Hidden states and target as the caller's arrays, which results lie in memory as."""

    @property
    def rows(self) -> int:
        """How many rows count."""
        size: int = self.request.target.size
        return size

    def blocks(self) -> Iterator[tuple[slice, Any, Any, Request]]:
        """The rows of each block, where their hidden states are, these, and the request for them.

        The logits are in a buffer that all blocks share.
        """
        classes = self.weight.shape[0]
        fit = LARGEST_BLOCK // max(1, classes * self.weight.itemsize)
        size = max(1, min(-(-self.rows // BLOCKS), fit))
        buffer = np.empty((min(size, self.rows), classes), self.weight.dtype)
        for first in range(0, self.rows, size):
            block = slice(first, min(first + size, self.rows))
            place = self.place(block)
            hidden = self.hidden[place].astype(self.weight.dtype, copy=False)
            logits = quietly(np.matmul, hidden, self.weight.T, out=buffer[: block.stop - first])
            if self.bias is not None:
                quietly(np.add, logits, self.bias, out=logits)
            yield block, place, hidden, self.request._replace(logits=logits, target=self.request.target[block])

    def place(self, block: slice) -> Any:
        """Where the hidden states of a block's rows are: as a slice, of which NumPy makes no copy, if they follow each other."""
        if self.counted is None:
            return block
        at = self.counted[block] - self.shift
        return slice(int(at[0]), int(at[-1]) + 1) if at[-1] - at[0] == at.size - 1 else at

    def of_rows(self, values: Any) -> Any:
        """Those of the rows that count, of something that each label has."""
        return values.reshape(-1) if self.counted is None else values.reshape(-1)[self.counted]


def _layer(
    hidden: Any,
    weight: Any,
    target: Any,
    bias: Any,
    class_weight: Any,
    sample_weight: Any,
    ignore_index: int,
    label_smoothing: float,
    z_loss: float,
    softcap: float | None,
    shift: int,
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
    shift = checked_shift(shift)
    if shift and not target.ndim:
        raise ValueError(f"shift must be 0 where target has no axis, got {shift}")
    promoted = np.result_type(hidden, weight)
    dtype = np.result_type(promoted, np.float32)  # NumPy multiplies matrices of float16 element by element
    if bias is not None:
        bias = np.asarray(bias)
        if bias.dtype.kind not in "iuf":
            raise TypeError(f"bias must hold real numbers, got {bias.dtype}")
        if bias.shape != weight.shape[:1]:
            raise ValueError(f"bias must have shape {weight.shape[:1]}, got {bias.shape}")
        bias = narrowed(bias, dtype)
    if sample_weight is not None:
        sample_weight = broadcast_to("sample_weight", as_reals("sample_weight", sample_weight), target.shape)
    nothing = np.broadcast_to(np.zeros((), dtype), (*target.shape, weight.shape[0]))
    options = (ignore_index, label_smoothing, z_loss, softcap, reduction)
    request = checked(nothing, target, class_weight, *options, axis=-1, weight_name="class_weight")
    used = target[..., shift:] if shift else target
    counted = _counted(check_labels(request._replace(target=used), shift), request, shift, sample_weight)
    request = request._replace(logits=nothing, target=target.reshape(-1))  # to each block its own
    matrix = hidden.reshape(target.size, hidden.shape[-1])
    weight = weight.astype(dtype, copy=False)
    layer = _Layer(matrix, weight, bias, request, promoted, counted, shift, None, (hidden, target))
    if counted is not None:
        layer = layer._replace(request=request._replace(target=request.target[counted]))
    if sample_weight is not None:
        layer = layer._replace(sample_weight=_of_unit(narrowed(layer.of_rows(sample_weight), np.float64), reduction))
    return layer


def _counted(ignored: int, request: Request, shift: int, sample_weight: Any) -> Any:
    """The places of the labels that count; ``None`` if all do."""
    if not (ignored or shift or sample_weight is not None):
        return None
    counts = np.asarray(request.target != request.ignore_index)
    if shift:
        counts[..., :shift] = False
    if sample_weight is not None:
        counts = counts & (sample_weight != 0)
    found = np.flatnonzero(counts)
    return None if found.size == counts.size else found


def _of_unit(sample_weight: Any, reduction: str) -> Any:
    """The weights; those of a mean times a power of two by which the largest is about one: the inverse of a sum is then finite."""
    if reduction != "mean" or not sample_weight.size:
        return sample_weight
    _, exponent = math.frexp(np.max(np.abs(sample_weight)))
    return quietly(np.ldexp, sample_weight, -exponent)


@taking_bfloat16
@documented
def linear_cross_entropy(
    hidden: Any,
    weight: Any,
    target: Any,
    *,
    bias: Any = None,
    class_weight: Any = None,
    sample_weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    shift: int = 0,
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
    <shift>
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
    multiplied as float32. Rows that do not count take no part in any product. No copy is made of `hidden`, but of a block's rows
    where they do not follow each other. For the logits that the product gives, a loss is as exact as that of `cross_entropy`.

    <losses paper>

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> hidden, weight = np.eye(2), np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    >>> round(float(fa.linear_cross_entropy(hidden, weight, [0, 1])), 4)
    0.5514
    """
    if are_contained(hidden, weight, target, bias, class_weight, sample_weight):
        return linear_loss_of_containers(linear_cross_entropy, locals())
    empty = number("empty", empty)
    options = (ignore_index, label_smoothing, z_loss, softcap, shift, reduction)
    layer = _layer(hidden, weight, target, bias, class_weight, sample_weight, *options)
    dtype = loss_dtype(dtype, layer.dtype)
    results = np.empty((layer.rows, RESULTS))
    for block, _, _, request in layer.blocks():
        gufunc(request, False)(*request.operands(1.0, WANT_WEIGHT), out=results[block])
    return _loss(layer, results, dtype, empty)


def _loss(layer: _Layer, results: Any, dtype: Any, empty: float) -> Any:
    """The loss of the rows that count, each of which is multiplied by its weight first, as what the mean divides by is."""
    reduction = layer.request.reduction
    if layer.sample_weight is not None:
        for column in (LOSS, WEIGHT):
            quietly(np.multiply, results[:, column], layer.sample_weight, out=results[:, column])
    loss = reduced(reduction, results, dtype, empty, layer.request.weighted or layer.sample_weight is not None)
    if reduction != "none":
        return loss
    hidden, target = layer.given
    every = among_all(loss, layer.counted, target.shape).reshape(target.shape)
    return arranged_like([hidden[..., 0] if hidden.size else every, target], every)[()]


@taking_bfloat16
@documented
def linear_cross_entropy_with_grad(
    hidden: Any,
    weight: Any,
    target: Any,
    *,
    bias: Any = None,
    class_weight: Any = None,
    sample_weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    shift: int = 0,
    reduction: str = "mean",
    empty: float = math.nan,
    dtype: Any = None,
    upstream: Any = None,
) -> tuple[Any, ...]:
    r"""Cross-entropy of ``hidden @ weight.T + bias`` and its gradients, without ever holding all of these logits.

    Parameters
    ----------
    <hidden to class_weight>
    ignore_index, label_smoothing, z_loss, softcap, reduction, empty
        As in `cross_entropy`. With ``reduction="none"`` the gradients are those of the sum.
    <shift>
    dtype : dtype, optional
        Of the loss; by default what `hidden` and `weight` promote to, as the gradients are in any case.
    upstream : float or array_like, optional
        The gradient with respect to the loss, 1 by default: a number, or with ``reduction="none"`` one for each row, which
        broadcasts to the shape of the loss. The gradients are those of the sum of the losses times that.

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
    Beside the gradients themselves, a block of logits is all that is allocated: their gradient is written over them. Where the
    rows of a block do not follow each other, so are their hidden states, and the gradients of these.

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
    if are_contained(hidden, weight, target, bias, class_weight, sample_weight, upstream):
        outcome: tuple[Any, ...] = linear_loss_of_containers(linear_cross_entropy_with_grad, locals())
        return outcome
    empty = number("empty", empty)
    options = (ignore_index, label_smoothing, z_loss, softcap, shift, reduction)
    layer = _layer(hidden, weight, target, bias, class_weight, sample_weight, *options)
    dtype = loss_dtype(dtype, layer.dtype)
    layer, scale = _with_scale(layer, upstream)
    results = np.empty((layer.rows, RESULTS))
    grad_weight = np.empty_like(layer.weight)
    grad_bias = None if layer.bias is None else np.zeros(layer.bias.shape)
    grad_hidden = (np.empty if layer.counted is None else np.zeros)(layer.hidden.shape, layer.dtype)
    for block, place, states, request in layer.blocks():
        own = scale[block] if isinstance(scale, np.ndarray) else scale
        # The gradient is written over the logits.
        _, grad = gufunc(request, True)(*request.operands(own, WANT_WEIGHT), out=(results[block], request.logits))
        if isinstance(place, slice) and grad.dtype == layer.dtype:
            quietly(np.matmul, grad, layer.weight, out=grad_hidden[place])
        else:
            grad_hidden[place] = narrowed(quietly(np.matmul, grad, layer.weight), layer.dtype)
        if block.start == 0:
            quietly(np.matmul, grad.T, states, out=grad_weight)
        else:
            quietly(_add_product, grad_weight, grad, states)
        if grad_bias is not None:
            quietly(_add_column_sums, grad_bias, grad)
    if not results.size:
        grad_weight[...] = 0
    given = layer.given[0]
    loss, grad_hidden = _loss(layer, results, dtype, empty), arranged_like([given], grad_hidden.reshape(given.shape))
    rest = [grad_weight, *([] if grad_bias is None else [grad_bias])]
    return loss, grad_hidden, *(narrowed(gradient, layer.dtype) for gradient in rest)


def _with_scale(layer: _Layer, upstream: Any) -> tuple[_Layer, Any]:
    """The layer, and what its rows' gradients are multiplied by: a number, or one for each row that counts."""
    request, scale = with_scale(layer.request, 0, layer.sample_weight)
    whole = times_upstream(scale, upstream, request.reduction, layer.given[1].shape)
    if isinstance(whole, np.ndarray):
        whole = layer.of_rows(whole)
    if layer.sample_weight is not None:
        whole = quietly(np.multiply, layer.sample_weight, whole)
    return layer._replace(request=request), whole


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
_OF_EACH_ROW = Operand("shares", lambda shape, axis: shape[:-1])
_LABELS = Operand("labels", lambda shape, axis: shape[:-1], CLASSES)
_layer_loss = partial(
    Function,
    home=__name__,
    family="cross-entropy",
    operands=[X, _WEIGHT, _LABELS],
    ulp=None,
    double_ulp=None,
    written=(),
)
WAYS = variants(
    {"label_smoothing": 0.125, "reduction": "sum"},
    {"softcap": 30.0, "bias": _OF_EACH_CLASS, "ignore_index": 2},
    {"label_smoothing": 0.25, "softcap": 5.0, "bias": _OF_EACH_CLASS},
    {"class_weight": _OF_EACH_CLASS, "label_smoothing": 0.125, "z_loss": 0.5},
    {"reduction": "none", "bias": _OF_EACH_CLASS},
    {"sample_weight": _OF_EACH_ROW, "class_weight": _OF_EACH_CLASS, "shift": 1},
    {"sample_weight": _OF_EACH_ROW, "reduction": "none", "shift": 2, "bias": _OF_EACH_CLASS},
)

register(
    _layer_loss(
        "linear_cross_entropy",
        make=lambda: linear_cross_entropy,
        reference=cross_entropy_reference.linear_cross_entropy,
        variants=WAYS,
    )
)
register(
    _layer_loss(
        "linear_cross_entropy_with_grad",
        make=lambda: linear_cross_entropy_with_grad,
        reference=cross_entropy_reference.linear_cross_entropy_with_grad,
        variants=[
            *WAYS,
            Variant({"upstream": 2.5, "sample_weight": _OF_EACH_ROW}),
            Variant({"upstream": _OF_EACH_ROW, "reduction": "none", "shift": 1}),
        ],
    )
)
