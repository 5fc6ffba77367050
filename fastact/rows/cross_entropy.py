"""Cross-entropy, with its gradient in the same pass: what the functions promise, and how their arguments reach the kernels."""

import math
import operator
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from fastact.containers import like, without_masked
from fastact.engine.rowkernel import EntropyKernel, RowKernel
from fastact.engine.threads import get_num_threads
from fastact.engine.ufunc import make_ufunc
from fastact.maths import entropy
from fastact.rows import long, reference
from fastact.rows.docs import documented
from fastact.rows.record import RowOp, register_row_op
from fastact.scalar import scalar
from fastact.simd import Scalar

REDUCTIONS = ("mean", "sum", "none")
LOSS, WEIGHT, LSE, ARGMAX, RESULTS = range(5)
"""A row's results, and how many there are."""

_NO_LABEL = np.zeros((), np.int64)


@cache
def _gufunc(label: bool, dense: bool, grad: bool, capped: bool) -> Any:
    """The generalised ufunc for a kind of target, with or without gradient, and for capped logits."""
    kernel = entropy_kernel(label, dense, grad, capped)
    return make_ufunc(kernel, kernel.name, "Rows of cross_entropy; see there.", __name__)


def entropy_kernel(label: bool, dense: bool, grad: bool, capped: bool) -> EntropyKernel:
    """What is behind it."""
    gradients = {
        (False, False): entropy.label_gradient,
        (True, False): entropy.dense_gradient,
        (False, True): entropy.capped_label_gradient,
        (True, True): entropy.capped_dense_gradient,
    }
    parts = {"smoothed": label and dense, "probabilities": not label, "gradient": grad, "capped": capped}
    return EntropyKernel(
        ".".join(["cross_entropy", *(name for name, used in parts.items() if used)]),
        finish=entropy.row_loss_capped if capped else entropy.row_loss if grad else entropy.row_loss_alone,
        formula=gradients[dense, capped],
        term=entropy.dense_term if dense else None,
        weight_term=entropy.dense_weight,
        label=label,
        dense=dense,
        grad=grad,
        prepare=entropy.capped if capped else entropy.uncapped,
        padding=math.nan if capped else -math.inf,
    )


class Request(NamedTuple):
    """The checked arguments of a call, in the form that the kernels take."""

    logits: Any
    """The classes last."""
    target: Any
    classes: int
    axis: int
    reduction: str
    ignore_index: int
    weight: Any
    weighted: bool = False
    """Whether the caller gave weights; else all are 1."""
    softcap: float = 0.0
    z_loss: float = 0.0
    label: bool = True
    keep: float = 1.0
    dense: Any = None
    """A dense target, the classes last: probabilities, or the weights that smoothing needs."""
    slope: float = 0.0
    offset: float = 0.0

    def gufunc(self, grad: bool) -> Any:
        """Who computes it."""
        return _gufunc(self.label, self.dense is not None, grad, self.softcap > 0)

    def is_long(self) -> bool:
        """Whether there are fewer rows than threads, each long, and nothing but labels, weights and z-loss to reckon with."""
        x = self.logits
        plain = self.label and self.dense is None and not self.softcap and x.dtype.isnative
        return plain and x.shape[-1] >= long.LONG and x.size // x.shape[-1] < get_num_threads()

    def operands(self, scale: float, argmax: bool) -> tuple[Any, ...]:
        """What the kernel is given; ``scale`` multiplies the gradient."""
        options = _array((self.keep, self.slope, self.offset, self.z_loss, scale, self.softcap, argmax), np.float64)
        dense = _constant_row(0.0, self.classes, self.logits.dtype) if self.dense is None else self.dense
        labels = self.target if self.label else _NO_LABEL
        return self.logits, labels, self.weight, dense, _array(self.ignore_index, np.int64), options


def compute(request: Request, scale: float, argmax: bool, grad: Any = None) -> Any:
    """The rows' results; a gradient, multiplied by ``scale``, is written to ``grad``."""
    if request.dense is not None and request.dense.dtype != request.logits.dtype:
        logits = request.logits.astype(request.dense.dtype)  # halves, computed as single floats in any case
        wide = None if grad is None else np.empty_like(logits)
        results = compute(request._replace(logits=logits), scale, argmax, wide)
        if grad is not None:
            with np.errstate(all="ignore"):
                grad[...] = wide
        return results
    if request.is_long():
        return _compute_long(request, scale, argmax, grad)
    operands = request.operands(scale, argmax)
    if grad is None:
        return request.gufunc(False)(*operands)
    return request.gufunc(True)(*operands, out=(None, grad))[0]


@scalar
def _state(m: Scalar, ties: Scalar, rest: Scalar, terms: Scalar) -> tuple[Any, ...]:
    return m, ties, rest, m, m, m


_LONG = RowKernel("cross_entropy.long", _state, entropy.label_gradient)


def _compute_long(request: Request, scale: float, argmax: bool, grad: Any) -> Any:
    """The same bits with the segments of each row shared out over the threads."""
    logits, weights = request.logits, request.weight
    if grad is not None:
        logits, weights = long.apart([logits, weights], grad)
    T, dtype = np.dtype("d" if logits.dtype.char == "d" else "f").type, logits.dtype.name
    results = np.zeros((*logits.shape[:-1], RESULTS))
    for row in np.ndindex(logits.shape[:-1]):
        x, label = logits[row], int(request.target[row])
        if not 0 <= label < request.classes or label == request.ignore_index:
            results[row] = 0 if label == request.ignore_index else np.nan
            if grad is not None:
                grad[row] = 0
            continue
        m, ties, rest = long.merged(_LONG, dtype, long.states(_LONG, [x]))[:3]
        weight, one, zero = weights[label], np.float64(1), np.float64(0)
        options = (one, zero, zero, np.float64(request.z_loss), np.float64(scale), np.float64(request.classes), T(0))
        with np.errstate(all="ignore"):
            outcome = entropy.row_loss(T(m), T(ties), rest, zero, zero, T(x[label]), weight, T(0), *options)
        loss, lse, *constants, at_label = outcome
        results[row] = loss, weight, lse, np.argmax(x) if argmax else 0
        if grad is not None:
            long.write(_LONG, [x], np.array(constants, np.float64), grad[row])
            grad[row][label] = at_label
    return results


@lru_cache(maxsize=64)
def _array(value: Any, dtype: Any) -> Any:
    """A small read-only array, kept for the next call."""
    array = np.array(value, dtype)
    array.flags.writeable = False
    return array


@lru_cache(maxsize=64)
def _constant_row(value: float, classes: int, dtype: Any) -> Any:
    """``classes`` times the same number, in the memory of one."""
    return np.broadcast_to(np.array(value, dtype), (classes,))


def checked(
    logits: Any,
    target: Any,
    weight: Any,
    ignore_index: int,
    label_smoothing: float,
    z_loss: float,
    softcap: float | None,
    reduction: str,
    axis: int,
) -> Request:
    """Check the arguments; ``ValueError`` and ``TypeError`` say which is wrong, what it was and what is allowed."""
    ignore_index = _checked_index(ignore_index)
    if isinstance(logits, np.ma.MaskedArray) or isinstance(target, np.ma.MaskedArray):
        logits, target = _without_masked(logits, target, ignore_index, axis)
    logits, target = np.asarray(logits), np.asarray(target)
    if logits.dtype.char not in "efd":
        if logits.dtype.kind not in "iub":
            raise TypeError(f"logits must be float16, float32 or float64, got {logits.dtype}")
        logits = logits.astype(np.result_type(logits.dtype, np.float16))
    if not logits.shape:
        raise ValueError("logits must have an axis of classes, got a scalar")
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(map(repr, REDUCTIONS))}, got {reduction!r}")
    if axis != -1:
        axis = normalize_axis_index(axis, logits.ndim)
        logits = np.moveaxis(logits, axis, -1)
    shape = logits.shape
    weights = _checked_weight(weight, shape[-1], np.float64 if logits.dtype.char == "d" else np.float32)
    request = Request(logits, target, shape[-1], axis, reduction, ignore_index, weights, weight is not None)
    if target.dtype.kind not in "iu":
        request = _with_probabilities(request)
    elif target.shape != shape[:-1]:
        raise ValueError(
            f"target of class indices must have shape {shape[:-1]} for these logits, got {target.shape}"
            + _meant(target, logits, axis)
        )
    if label_smoothing != 0 or z_loss != 0 or softcap is not None:
        request = _with_options(request, label_smoothing, z_loss, softcap)
    return request


def _without_masked(logits: Any, target: Any, ignore_index: int, axis: int) -> tuple[Any, Any]:
    """Logits in which masked classes have no share, and a target that ignores rows with a masked label."""
    logits, target = np.ma.asarray(logits), np.ma.asarray(target)
    masked, filled = np.ma.getmaskarray(target), without_masked(logits, logits.mask, -math.inf)
    if target.dtype.kind not in "iu":
        return filled, without_masked(target, masked, 0.0) if target.dtype.kind == "f" else target.data
    labels = target.data.astype(np.int64)  # a dtype that holds the index to ignore
    if target.dtype.kind == "u":
        labels = np.where(labels < 0, np.iinfo(np.int64).max, labels)
    position = normalize_axis_index(axis, logits.ndim)
    if logits.mask is not np.ma.nomask and target.shape == logits.shape[:position] + logits.shape[position + 1 :]:
        chosen = np.expand_dims(labels.clip(0, max(0, logits.shape[position] - 1)), position)
        masked = masked | np.take_along_axis(logits.mask, chosen, position).squeeze(position)
    return filled, np.where(masked, ignore_index, labels)


def _checked_index(ignore_index: Any) -> int:
    try:
        index = operator.index(ignore_index)
    except TypeError:
        raise TypeError(f"ignore_index must be an integer, got {ignore_index!r}") from None
    if not -(2**63) <= index < 2**63:
        raise ValueError(f"ignore_index must fit into 64 bits, got {index}")
    return index


def _meant(target: Any, logits: Any, axis: int) -> str:
    """What a target of the wrong shape or dtype seems to be, and how to convert it; empty if nobody knows."""
    labels = logits.shape[:-1]
    if target.shape == (*labels, 1):
        return "; drop its last axis: target[..., 0]"
    if target.shape == np.moveaxis(logits, -1, axis).shape and target.dtype.kind in "iub":
        return f"; one-hot rows are given as class indices, target.argmax(axis={axis}), or as floats"
    if target.dtype.kind == "f" and target.shape == labels and np.array_equal(target, np.round(target)):
        return "; class indices are given as integers: target.astype(int)"
    return ""


def _with_probabilities(request: Request) -> Request:
    """The request for a target of probabilities."""
    logits, target, axis = request.logits, request.target, request.axis
    if target.dtype.char not in "efd":
        raise TypeError(
            f"target must hold integers (class indices) or floats (probabilities), got {target.dtype}"
            + _meant(target, logits, axis)
        )
    shape = np.moveaxis(logits, -1, axis).shape
    if target.shape != shape:
        raise ValueError(
            f"target of class probabilities must have shape {shape} for these logits, got {target.shape}"
            + _meant(target, logits, axis)
        )
    if request.ignore_index >= 0:
        raise ValueError(f"ignore_index must be negative where the target is probabilities, got {request.ignore_index}")
    dense = np.moveaxis(target, axis, -1)
    if request.weighted:
        dense = dense * request.weight
    dense = dense.astype(_dense_dtype(logits, dense), copy=False)
    return request._replace(label=False, keep=0.0, dense=dense, slope=1.0)


def _with_options(request: Request, label_smoothing: float, z_loss: float, softcap: float | None) -> Request:
    """The request with what is added to the target or to the loss."""
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing must be between 0 and 1, got {label_smoothing!r}")
    if softcap is not None and not 0.0 < softcap < math.inf:
        raise ValueError(f"softcap must be None or a positive finite number, got {softcap!r}")
    if not math.isfinite(z_loss):
        raise ValueError(f"z_loss must be finite, got {z_loss!r}")
    request = request._replace(z_loss=float(z_loss), softcap=float(softcap or 0.0))
    keep, spread = 1.0 - label_smoothing, label_smoothing / max(1, request.classes)
    if not label_smoothing:
        return request
    if request.label:
        dtype = _dense_dtype(request.logits, request.weight) if request.weighted else request.logits.dtype
        return request._replace(keep=keep, dense=np.ascontiguousarray(request.weight, dtype), slope=spread)
    if not request.weighted:
        return request._replace(slope=keep, offset=spread)
    dense = request.dense * keep + spread * request.weight
    return request._replace(dense=dense.astype(_dense_dtype(request.logits, dense), copy=False))


def _dense_dtype(logits: Any, dense: Any) -> Any:
    """What a dense operand is given to a kernel in: the logits' dtype, but at least single floats unless it holds halves."""
    return logits.dtype if dense.dtype == np.float16 else np.result_type(logits.dtype, np.float32)


def _checked_weight(weight: Any, classes: int, dtype: Any) -> Any:
    if weight is None:
        return _constant_row(1.0, classes, dtype)
    weight = np.asarray(weight)
    if weight.dtype.kind not in "iuf":
        raise TypeError(f"weight must hold real numbers, got {weight.dtype}")
    if weight.shape != (classes,):
        raise ValueError(f"weight must have one element for each of the {classes} classes, got shape {weight.shape}")
    return weight.astype(dtype, copy=False)


def check_labels(request: Request) -> None:
    """``IndexError`` for the first label that is neither a class nor ignored."""
    target, classes, ignored = request.target, request.classes, int(request.ignore_index)
    if not request.label or not target.size or (target.min() >= 0 and target.max() < classes):
        return
    bad = (target < 0) | (target >= classes)
    if np.iinfo(target.dtype).min <= ignored <= np.iinfo(target.dtype).max:
        bad &= target != ignored
    if bad.any():
        position = tuple(int(i) for i in np.argwhere(bad)[0])
        where = position[0] if len(position) == 1 else position
        raise IndexError(
            f"label {target[position]} at position {where} is out of range for {classes} classes: "
            f"allowed are 0 to {classes - 1} and ignore_index={ignored}"
        )


def reduced(reduction: str, results: Any, dtype: Any, empty: float) -> Any:
    """The loss of the rows' losses."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(map(repr, REDUCTIONS))}, got {reduction!r}")
    if reduction == "none":
        return narrowed(results[..., LOSS], dtype)[()]
    if results.size == RESULTS:
        total, weight = results.item(LOSS), results.item(WEIGHT)
    else:
        rows = results.reshape(-1, RESULTS)
        total, weight = float(np.add.reduce(rows[:, LOSS])), float(np.add.reduce(rows[:, WEIGHT]))
    if reduction == "mean":
        total = empty if weight == total == 0 else total / weight if weight else total * math.inf
    return narrowed(np.float64(total), dtype)


def narrowed(values: Any, dtype: Any) -> Any:
    """Values in another dtype, without a warning: what is too large for it is infinite."""
    with np.errstate(all="ignore"):
        return values.astype(dtype, copy=False)


@documented
def cross_entropy(
    logits: Any,
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    reduction: str = "mean",
    axis: int = -1,
    empty: float = math.nan,
) -> Any:
    r"""Cross-entropy between logits and a target, in one pass over the logits.

    Parameters
    ----------
    <logits to softcap>
    reduction : {"mean", "sum", "none"}
        Of the rows' losses. With "mean" they are divided by the weights of their labels' classes.
    axis : int, default -1
        The axis of the classes (PyTorch's is 1).
    empty : float, default nan
        The mean if every row is ignored.

    Returns
    -------
    scalar or ndarray
        Of the dtype of `logits`; with ``reduction="none"`` of the shape of `logits` without `axis`.

    <label errors>

    See Also
    --------
    cross_entropy_with_grad : the loss and its gradient in one go.

    Notes
    -----
    .. math:: -\sum_c q_c \log \frac{e^{x_c}}{\sum_j e^{x_j}} + \mathtt{z\_loss} \left(\log \sum_j e^{x_j}\right)^2

    A row's loss is computed in float64 from float32 exponentials, the row's largest kept apart: at most 4 ULP (6 in float64),
    however small the loss or long the row. A row that holds NaN or +inf, or nothing but -inf, has the loss NaN. Semantics are
    those of PyTorch's ``torch.nn.functional.cross_entropy``, but for `axis`, and that a class of probability 0 adds 0 if its
    logit is -inf.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> logits = np.array([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    >>> round(float(fa.cross_entropy(logits, [0, 1])), 4)
    0.1672
    """
    arguments = (logits, target, weight, ignore_index, label_smoothing, z_loss, softcap, reduction, axis)
    if weight is None and softcap is None and axis == -1 and not (label_smoothing or z_loss) and _plain(logits, target):
        # For a few rows all other checks would take longer than the loss.
        gufunc, operands = _plain_call(logits.shape[-1], logits.dtype, ignore_index)
        results, dtype = gufunc(logits, target, *operands), logits.dtype
    else:
        request = checked(*arguments)
        results, dtype = compute(request, 1.0, False), request.logits.dtype
    loss = reduced(reduction, results, dtype, empty)
    # A label out of range makes NaN of its row, and nothing that the caller could see has been written.
    if reduction != "mean" or loss != loss:
        check_labels(checked(*arguments))
    return loss


def _plain(logits: Any, target: Any) -> bool:
    """Whether these are arrays that need no conversion, not large, class indices, and of shapes that fit."""
    return (
        type(logits) is type(target) is np.ndarray
        and logits.size < long.LONG
        and logits.dtype.char in "efd"
        and target.dtype.kind in "iu"
        and logits.ndim == target.ndim + 1
        and logits.shape[:-1] == target.shape
    )


@lru_cache(maxsize=64, typed=True)  # 1.0 is no index to ignore, though it equals 1
def _plain_call(classes: int, dtype: Any, ignore_index: int) -> tuple[Any, tuple[Any, ...]]:
    """Who computes a loss without options, and the operands after logits and labels."""
    request = checked(np.zeros((0, classes), dtype), np.zeros(0, int), None, ignore_index, 0.0, 0.0, None, "sum", -1)
    return request.gufunc(False), request.operands(1.0, False)[2:]


@documented
def cross_entropy_with_grad(
    logits: Any,
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    reduction: str = "mean",
    axis: int = -1,
    empty: float = math.nan,
    out: Any = None,
    return_lse: bool = False,
    return_argmax: bool = False,
) -> tuple[Any, ...]:
    r"""Cross-entropy and its gradient with respect to the logits, which are read from memory once.

    Parameters
    ----------
    <logits to softcap>
    reduction : {"mean", "sum", "none"}
        Of the rows' losses. With "none" the gradient of a row is that of its own loss.
    axis : int, default -1
        The axis of the classes (PyTorch's is 1).
    empty : float, default nan
        The mean if every row is ignored; the gradient is 0 then.
    out : ndarray, optional
        For the gradient, with the shape and dtype of `logits`; may be `logits` itself, and then nothing as large is allocated.
    return_lse, return_argmax : bool, default False
        Whether to return also each row's logsumexp, and the index of its largest logit; 0 in ignored rows.

    Returns
    -------
    loss : scalar or ndarray
        As `cross_entropy` returns it.
    grad : ndarray
        Of the shape and dtype of `logits`.
    lse, argmax : ndarray
        If asked for: of the shape of `logits` without `axis`.

    <label errors>

    Notes
    -----
    .. math:: \left(\sum_j q_j + 2\,\mathtt{z\_loss}\log\sum_j e^{x_j}\right) p_c - q_c

    Error of the gradient: at most 4 ULP of the larger of its two terms (6 in float64), and 1 more for each unit of `softcap`.
    At the label it is ``expm1(-loss)``, precise however small the loss.

    References
    ----------
    P.-L. Hsu et al., Liger Kernel: Efficient Triton Kernels for LLM Training, 2024.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> loss, grad = fa.cross_entropy_with_grad(np.array([[2.0, 0.0, 0.0]]), [0])
    >>> grad.round(4)
    array([[-0.213 ,  0.1065,  0.1065]])
    """
    request = checked(logits, target, weight, ignore_index, label_smoothing, z_loss, softcap, reduction, axis)
    grad = _gradient_array(request, out)
    check_labels(request)
    results = compute(request, gradient_scale(request), return_argmax, grad)
    extras = []
    if return_lse:
        extras.append(narrowed(results[..., LSE], request.logits.dtype)[()])
    if return_argmax:
        extras.append(results[..., ARGMAX].astype(np.intp)[()])
    whole = like(logits, np.moveaxis(grad, -1, request.axis)) if out is None else out
    if isinstance(logits, np.ma.MaskedArray) and out is None:
        whole = np.ma.array(whole, mask=logits.mask)
    return reduced(reduction, results, request.logits.dtype, empty), whole, *extras


def _gradient_array(request: Request, out: Any) -> Any:
    """Where the gradient goes, the classes last."""
    logits = request.logits
    if out is None:
        # In memory as the caller's logits are, so that their axis of classes stays where it was.
        return np.empty_like(logits)
    if not isinstance(out, np.ndarray) or out.dtype != logits.dtype:
        given = out.dtype if isinstance(out, np.ndarray) else type(out).__name__
        raise TypeError(f"out must be an array of {logits.dtype}, got {given}")
    shape = np.moveaxis(logits, -1, request.axis).shape
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape} for these logits, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    return np.moveaxis(out, request.axis, -1)


def gradient_scale(request: Request) -> float:
    """What a row's gradient is multiplied by, known from the labels alone."""
    if request.reduction != "mean":
        return 1.0
    if not request.label:
        total = float(math.prod(request.logits.shape[:-1]))
    else:
        counted = request.target != request.ignore_index
        if not request.weighted:
            total = float(np.count_nonzero(counted))
        else:
            total = float(np.sum(request.weight[request.target[counted]], dtype=np.float64))
    return 1.0 / total if total else 0.0


def _arguments(x: Any) -> tuple[Any, ...]:
    return x, np.zeros(len(x), np.int64)


register_row_op(RowOp(cross_entropy, reference.cross_entropy, 4.0, 6.0, _arguments))
register_row_op(RowOp(cross_entropy_with_grad, reference.cross_entropy_with_grad, 4.0, 6.0, _arguments))
