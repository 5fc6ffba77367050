"""What a call of cross-entropy asks for: its arguments, checked, in the form that the kernels take."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fastact.calls.checking import at_position, broadcast_to, integer, number, one_of, only_axis
from fastact.calls.quiet import quietly
from fastact.functions.options import check_representable
from fastact.kernels.dtypes import DTYPES, FLOATS, LISTED, NATIVE
from fastact.kinds.labelled import LAST

REDUCTIONS = ("mean", "sum", "none")

OPTIONS = ("keep", "slope", "offset", "z_loss", "cap")
"""Names of the kernels' options, before those of ``LAST``. The dense part of a row's target is ``slope * dense + offset``; the
label's part is ``keep``."""

_NO_LABEL = np.zeros((), np.int64)


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
    """Of float64, whatever the logits are: kernels use one number of it for each row."""
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

    def options(self) -> tuple[float, ...]:
        """The numbers that ``OPTIONS`` names."""
        return self.keep, self.slope, self.offset, self.z_loss, self.softcap

    def operands(self, scale: Any, wanted: int, zeroed: bool = False) -> tuple[Any, ...]:
        """What the kernel is given; ``scale`` multiplies the gradient, whose memory is zero already if ``zeroed``.

        It is a number, or an array of one for each row.
        """
        return self.beside(self.options(), scale, wanted, zeroed)

    def beside(
        self, options: tuple[float, ...], scale: Any = 1.0, wanted: int = 0, zeroed: bool = False
    ) -> tuple[Any, ...]:
        """What a kernel of labelled rows is given that takes these options."""
        numbers: Any
        if isinstance(scale, np.ndarray):
            numbers = np.empty((*scale.shape, len(options) + len(LAST)))
            numbers[..., :-1], numbers[..., -1] = (*options, wanted, zeroed), scale
        else:
            numbers = _array((*options, wanted, zeroed, scale), np.float64)
        dense = _constant_row(0.0, self.classes, self.logits.dtype) if self.dense is None else self.dense
        labels = self.target if self.label else _NO_LABEL
        return self.logits, labels, self.weight, dense, _array(self.ignore_index, np.int64), numbers


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
    weight_name: str = "weight",
    name: str = "logits",
    allowed: Sequence[str] = REDUCTIONS,
) -> Request:
    """Check the arguments; ``ValueError`` and ``TypeError`` say which is wrong, what it was and what is allowed."""
    ignore_index = checked_index(ignore_index)
    label_smoothing, z_loss, softcap = checked_options(label_smoothing, z_loss, softcap)
    check_reduction(reduction, allowed)
    logits = as_floats(name, logits)
    if z_loss:
        check_representable({"z_loss": z_loss}, logits.dtype)
    if not logits.shape:
        raise ValueError(f"{name} must have an axis of classes, got a scalar")
    if type(axis) is not int or axis != -1:
        axis = only_axis(axis, logits.ndim)
        logits = np.moveaxis(logits, axis, -1)
    shape = logits.shape
    target = as_target(target, len(shape) - 1)
    weights = checked_weight(weight, shape[-1], weight_name)
    request = Request(logits, target, shape[-1], axis, reduction, ignore_index, weights, weight is not None)
    if target.dtype.kind not in "iu":
        request = _with_probabilities(request)
    elif target.shape != shape[:-1]:
        raise ValueError(
            f"target of class indices must have shape {shape[:-1]} for {_THESE[name]}, got {target.shape}"
            + meant(target, shape[:-1], np.moveaxis(logits, -1, axis).shape, axis)
        )
    if label_smoothing or z_loss or softcap:
        request = _with_options(request, label_smoothing, z_loss, softcap)
    return request


_THESE = {"logits": "these logits", "input": "this input"}


def labelled(
    x: Any, target: Any, weight: Any, ignore_index: int, reduction: str, axis: int, allowed: Sequence[str] = REDUCTIONS
) -> Request:
    """The request of a loss whose target can only be labels; checks its arguments as ``checked`` does."""
    check_reduction(reduction, allowed)
    target = as_target(target, np.ndim(x) - 1)
    if target.dtype.kind not in "iu":
        whole = np.shape(x)
        one = only_axis(axis, len(whole)) if whole else 0
        raise TypeError(
            f"target must hold integers (class indices), got {target.dtype}"
            + meant(target, whole[:one] + whole[one + 1 :], whole, axis, floats=False)
        )
    return checked(x, target, weight, ignore_index, 0.0, 0.0, None, reduction, axis, name="input", allowed=allowed)


def as_target(target: Any, rows: int) -> Any:
    """A target as an array, which has ``rows`` axes if it holds labels; empty lists are labels, as NumPy takes them for indices."""
    if type(target) is np.ndarray:
        return target
    array = np.asarray(target)
    is_empty_list = isinstance(target, list | tuple) and not array.size and array.ndim == rows
    return array.astype(np.intp) if is_empty_list else array


def check_reduction(reduction: Any, allowed: Sequence[str] = REDUCTIONS) -> None:
    """``ValueError`` for what is no reduction."""
    one_of("reduction", reduction, allowed)


def as_floats(name: str, x: Any) -> Any:
    """An operand as an array of floats in the machine's byte order, as NumPy would convert it at each call of a kernel."""
    x = np.asarray(x)
    if x.dtype.char in NATIVE:
        return x if x.dtype.isnative else x.astype(NATIVE[x.dtype.char])
    if x.dtype.kind not in "iub":
        raise TypeError(f"{name} must be {LISTED}, got {x.dtype}")
    return x.astype(np.result_type(x.dtype, np.float16))


def as_reals(name: str, x: Any) -> Any:
    """An operand as an array of real numbers."""
    x = np.asarray(x)
    if x.dtype.kind not in "iubf":
        raise TypeError(f"{name} must hold real numbers, got {x.dtype}")
    return x


def checked_index(ignore_index: Any) -> int:
    """The label to ignore."""
    index = ignore_index if type(ignore_index) is int else integer("ignore_index", ignore_index)
    if not -(2**63) <= index < 2**63:
        raise ValueError(f"ignore_index must fit into 64 bits, got {index}")
    return index


def checked_shift(shift: Any) -> int:
    """How many places further labels are than what predicts them."""
    found = shift if type(shift) is int else integer("shift", shift)
    if found < 0:
        raise ValueError(f"shift must be at least 0, got {found}")
    return found


def checked_options(label_smoothing: Any, z_loss: Any, softcap: Any) -> tuple[float, float, float]:
    """What is added to the target or to the loss, as numbers; no cap is 0."""
    if softcap is None and type(label_smoothing) is type(z_loss) is float and not (label_smoothing or z_loss):
        return 0.0, 0.0, 0.0  # of few rows the questions below would take a tenth of the time
    smoothing = number("label_smoothing", label_smoothing, "a number between 0 and 1")
    if not 0.0 <= smoothing <= 1.0:
        raise ValueError(f"label_smoothing must be between 0 and 1, got {label_smoothing!r}")
    times = number("z_loss", z_loss, "a finite number")
    if not math.isfinite(times):
        raise ValueError(f"z_loss must be finite, got {z_loss!r}")
    if softcap is None:
        return smoothing, times, 0.0
    cap = number("softcap", softcap, "None or a positive finite number")
    if not 0.0 < cap < math.inf:
        raise ValueError(f"softcap must be None or a positive finite number, got {softcap!r}")
    return smoothing, times, cap


def meant(target: Any, labels: tuple[int, ...], whole: tuple[int, ...], axis: int, floats: bool = True) -> str:
    """What a target of the wrong shape or dtype seems to be, and how to convert it; empty if nobody knows.

    ``labels`` is the shape that labels have, ``whole`` that of one-hot rows, which ``floats`` says may be given as floats.
    """
    if target.shape == (*labels, 1) and target.shape != whole:
        return "; drop its last axis: target[..., 0]"
    if target.shape == whole and target.dtype.kind in "iub":
        return f"; one-hot rows are given as class indices, target.argmax(axis={axis})" + ", or as floats" * floats
    if target.dtype.kind == "f" and target.shape == labels and np.array_equal(target, np.round(target)):
        return "; class indices are given as integers: target.astype(int)"
    if target.dtype.kind == "b" and target.shape == labels:
        return "; labels of two classes, False and True, are given as integers: target.astype(int)"
    return ""


def _with_probabilities(request: Request) -> Request:
    """The request for a target of probabilities."""
    logits, target, axis = request.logits, request.target, request.axis
    shape = np.moveaxis(logits, -1, axis).shape
    if target.dtype.char not in NATIVE:
        raise TypeError(
            f"target must hold integers (class indices) or floats (probabilities), got {target.dtype}"
            + meant(target, logits.shape[:-1], shape, axis)
        )
    if target.shape != shape:
        raise ValueError(
            f"target of class probabilities must have shape {shape} for these logits, got {target.shape}"
            + meant(target, logits.shape[:-1], shape, axis)
        )
    if request.ignore_index >= 0:
        raise ValueError(f"ignore_index must be negative where the target is probabilities, got {request.ignore_index}")
    dense = np.moveaxis(target, axis, -1)
    if request.weighted:
        dtype = np.result_type(logits.dtype, np.float32)
        # As float64, where the weights need it, and rounded once.
        with np.errstate(all="ignore"):
            dense = np.multiply(
                dense, _exactly(request.weight, dtype), out=np.empty_like(dense, dtype), casting="same_kind"
            )
    elif target.dtype != np.float16:
        dense = narrowed(dense, np.result_type(logits.dtype, np.float32))
    else:
        dense = dense.astype(logits.dtype, copy=False)
    return request._replace(label=False, keep=0.0, dense=dense, slope=1.0)


def _with_options(request: Request, label_smoothing: float, z_loss: float, softcap: float) -> Request:
    """The request with what is added to the target or to the loss."""
    limits = np.finfo(FLOATS[request.logits.dtype.name].computed)
    # A cap too large for the kernel's precision leaves the logits as they are, one too small makes zeros of them.
    softcap = 0.0 if softcap > float(limits.max) else max(softcap, float(limits.tiny)) if softcap else 0.0
    request = request._replace(z_loss=z_loss, softcap=softcap)
    keep, spread = 1.0 - label_smoothing, label_smoothing / max(1, request.classes)
    if not label_smoothing:
        return request
    if request.label:
        return request._replace(keep=keep, dense=_smoothing_weights(request), slope=spread)
    if not request.weighted:
        return request._replace(slope=keep, offset=spread)
    with np.errstate(all="ignore"):
        dense = request.dense * keep
        dense += (spread * request.weight).astype(dense.dtype)
    return request._replace(dense=dense)


def _smoothing_weights(request: Request) -> Any:
    """The classes' weights as the dense operand that smoothed labels need."""
    dense = _exactly(request.weight, request.logits.dtype)
    if dense.dtype != request.logits.dtype:
        dense = narrowed(dense, np.result_type(request.logits.dtype, np.float32))
    return np.ascontiguousarray(dense)


def _exactly(values: Any, dtype: Any) -> Any:
    """The values in that dtype if it holds them, else as they are."""
    as_told = narrowed(values, dtype)
    return as_told if np.array_equal(as_told, values) else values


def checked_weight(weight: Any, classes: int, name: str) -> Any:
    if weight is None:
        return _constant_row(1.0, classes, np.float64)
    weight = np.asarray(weight)
    if weight.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got {weight.dtype}")
    if weight.shape != (classes,):
        raise ValueError(f"{name} must have one element for each of the {classes} classes, got shape {weight.shape}")
    return weight if weight.dtype == np.float64 else narrowed(weight, np.float64)  # of longer floats some are too large


@lru_cache(maxsize=16)
def _unsigned(dtype: Any) -> Any:
    return np.dtype(dtype.str.replace("i", "u"))


def check_labels(request: Request, shift: int = 0) -> int:
    """Raise ``IndexError`` for the first label that is neither a class nor ignored; how many rows are ignored.

    The target is the caller's without so many of the first along the last axis, in whose numbers the error speaks.
    """
    target, classes, ignored = request.target, request.classes, request.ignore_index
    if not request.label:
        return 0
    if target.dtype.kind == "i" and classes > np.iinfo(target.dtype).max:
        beyond = target < 0  # none is too large
    else:
        beyond = target.view(_unsigned(target.dtype)) >= classes  # as negative labels are, read so
    found, is_class = np.count_nonzero(beyond), 0 <= ignored < classes
    count = int(np.count_nonzero(target == ignored)) if found or is_class else 0
    if found > (0 if is_class else count):
        position = tuple(int(i) for i in np.argwhere(beyond & (target != ignored))[0])
        shown = (*position[:-1], position[-1] + shift) if shift else position
        where = at_position(shown)
        known = f"allowed are 0 to {classes - 1} and" if classes else "allowed is"
        raise IndexError(
            f"label {target[position]}{where} is out of range for {classes} classes: {known} ignore_index={ignored}"
        )
    return count


def with_scale(request: Request, ignored: int, sample_weight: Any = None) -> tuple[Request, float]:
    """The request, and what a row's gradient is multiplied by, known from the labels alone, of which so many are ignored.

    Of rows with a weight each, none of which is ignored, it is what their gradients are multiplied by besides that.
    """
    if request.reduction != "mean":
        return request, 1.0
    total = total_weight(request, ignored, sample_weight)
    if 0.0 < abs(total) < SMALLEST_INVERTIBLE:
        request, total = _magnified(request, total)
    return request, 1.0 / total if total else 0.0


def total_weight(request: Request, ignored: int, sample_weight: Any = None) -> float:
    """What a mean divides by: the number of rows that count, or the sum of their weights; so many rows are ignored."""
    if not request.label:
        return float(math.prod(request.logits.shape[:-1]))
    if not request.weighted and sample_weight is None:
        return float(request.target.size - ignored)
    labels = request.target[request.target != request.ignore_index] if ignored else request.target
    weights = request.weight[labels].reshape(-1)
    if sample_weight is not None:
        weights = quietly(np.multiply, weights, sample_weight.reshape(-1))
    return float(quietly(np.add.reduce, weights))


def times_upstream(scale: float, upstream: Any, reduction: str, shape: tuple[int, ...]) -> Any:
    """What gradients are multiplied by, given that of the loss, whose rows have a shape: a number, or an array of such."""
    if upstream is None:
        return scale
    upstream = as_reals("upstream", upstream)
    if reduction != "none":
        if upstream.ndim:
            raise ValueError(f"upstream must be a number where the loss is one, got shape {upstream.shape}")
        return scale * float(upstream)
    whole = broadcast_to("upstream", upstream, shape)
    return whole.astype(np.float64) if whole.ndim else float(whole)


SMALLEST_INVERTIBLE = 2.0**-1023
"""The reciprocals of smaller numbers are infinite, or nearly so."""


def _magnified(request: Request, total: float) -> tuple[Request, float]:
    """The request for the same mean with weights times a power of two by which their total is about one, and that total."""
    total, exponent = math.frexp(total)
    with np.errstate(all="ignore"):
        weight, z_loss = (np.ldexp(x, -exponent) for x in (request.weight, np.float64(request.z_loss)))
    request = request._replace(weight=weight, z_loss=float(z_loss))
    return request if request.dense is None else request._replace(dense=_smoothing_weights(request)), total


def loss_dtype(dtype: Any, default: Any) -> Any:
    """The dtype of a loss; ``TypeError`` for one that is none of floats."""
    if dtype is None:
        return default
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.char not in NATIVE:
        raise TypeError(f"dtype must be {', '.join(DTYPES)} or None, got {dtype!r}")
    return NATIVE[found.char]


_NORMAL = {kind: (float(np.finfo(kind).tiny), float(np.finfo(kind).max)) for kind in NATIVE}
"""The smallest and the largest normal number of each dtype, by its character."""


def rounded(value: float, dtype: Any) -> Any:
    """A number as a scalar of a dtype, without a warning: what is too large for it is infinite."""
    tiny, largest = _NORMAL[dtype.char]
    if tiny <= abs(value) <= largest or value == 0.0:
        return dtype.type(value)  # to switch off warnings takes longer than the rest of a call for one row
    return narrowed(np.float64(value), dtype)


def narrowed(values: Any, dtype: Any) -> Any:
    """Values in another dtype, without a warning: what is too large for it is infinite."""
    with np.errstate(all="ignore"):
        return values.astype(dtype, copy=False)
