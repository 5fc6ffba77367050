"""The checked arguments of region losses, and how their arrays are walked: a part of the pixels at a time, the classes first."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastact.calls.checking import at_least_zero, first_place, integer, one_of, only_axis, switch
from fastact.calls.quiet import quietly
from fastact.functions.cross_entropy_requests import (
    as_floats,
    as_reals,
    as_target,
    check_reduction,
    checked_weight,
    loss_dtype,
    meant,
    times_upstream,
)
from fastact.functions.cross_entropy_results import check_gradient_out
from fastact.kernels.dtypes import FLOATS, NATIVE

MODES = ("multiclass", "multilabel", "binary")
ABSENT = ("zero", "skip", "count")

SLAB = 2**21
"""Elements that are taken at a time."""
PIECE = 2**16
"""Pixels of a class that are summed in one go; longer ones are shared out over the threads piece by piece."""

NOTHING = math.nan
"""The label to ignore where there is none: no label equals it."""


class Request(NamedTuple):
    """The checked arguments of a call."""

    x: Any
    target: Any
    mode: str
    axis: int
    """Counted from the front; of no meaning if binary."""
    classes: int
    kind: str
    """What the kernels are given: "labels", "shares" or, of single classes, "logits"."""
    softmax: bool
    """Whether probabilities are the softmax of the input."""
    ignored: float
    smooth: float
    alpha: float
    beta: float
    weight: Any
    """Of each class, of float64."""
    per_image: bool
    absent: str
    reduction: str
    dtype: Any

    @property
    def computed(self) -> Any:
        """The dtype that is computed in."""
        return np.dtype(FLOATS[self.x.dtype.name].computed)

    def arranged(self, array: Any) -> Any:
        """A view of an array like the input: images, classes, then the axes of the pixels, of which there is at least one."""
        if self.mode == "binary":
            array = array[None] if array.ndim else array[None, None]
        else:
            array = np.moveaxis(array, self.axis, 0)
        if array.ndim == 1:
            return array[None, :, None]
        if array.ndim == 2:
            return np.moveaxis(array, 0, 1)[..., None] if self.per_image else array[None]
        return np.moveaxis(array, 0, 1)

    def arranged_target(self) -> Any:
        """As ``arranged``, of the target, labels with an axis of classes of length 1."""
        if self.kind == "labels":
            return self.arranged(np.expand_dims(self.target, self.axis))
        return self.arranged(self.target)

    def of_losses(self, values: Any) -> Any:
        """Something of each image and class in the order of the input's axes, without what it does not distinguish."""
        if not self.per_image or (self.mode != "binary" and self.x.ndim < 2) or not self.x.ndim:
            values = values[0]
        elif self.mode != "binary" and not self.axis:
            values = values.T
        return values[..., 0] if self.mode == "binary" else values

    def as_losses(self, upstream: Any) -> Any:
        """A gradient by the loss: a number, or where that has some for images and classes, as ``of_losses`` is given them."""
        if self.reduction != "none":
            return times_upstream(1.0, upstream, self.reduction, ())
        images = len(self.arranged(self.x)) if self.per_image else 1
        numbers = self.of_losses(np.arange(images * self.classes).reshape(images, self.classes))
        values = np.empty(images * self.classes)
        values[numbers] = times_upstream(1.0, upstream, self.reduction, numbers.shape)
        return values.reshape(images, self.classes)


def checked(
    x: Any,
    target: Any,
    *,
    alpha: Any,
    beta: Any,
    mode: Any,
    from_logits: Any,
    smooth: Any,
    weight: Any,
    ignore_index: Any,
    per_image: Any,
    absent: Any,
    reduction: Any,
    axis: Any,
    dtype: Any,
) -> Request:
    """Check the arguments; ``ValueError`` and ``TypeError`` say which is wrong, what it was and what is allowed."""
    one_of("mode", mode, MODES)
    one_of("absent", absent, ABSENT)
    check_reduction(reduction)
    from_logits, per_image = switch("from_logits", from_logits), switch("per_image", per_image)
    alpha, beta, smooth = (at_least_zero(*pair) for pair in (("alpha", alpha), ("beta", beta), ("smooth", smooth)))
    ignored = NOTHING if ignore_index is None else float(integer("ignore_index", ignore_index, "an integer or None"))
    x = as_floats("input", x)
    binary = mode == "binary"
    axis = only_axis(axis, max(1, x.ndim) if binary else x.ndim)
    classes = 1 if binary else x.shape[axis]
    if mode == "multiclass":
        target, kind = _of_classes(x, target, axis), "labels"
        if target.dtype.kind == "f":
            kind = "shares"
        else:
            check_labels("target", target, classes, ignore_index)
    else:
        target, kind = as_reals("target", target), "logits" if from_logits else "shares"
        if target.shape != x.shape:
            raise ValueError(f"target must have the shape of the input, {x.shape}, got {target.shape}")
    if binary and weight is not None:
        raise ValueError("weight must be None in the mode 'binary', which has no classes")
    weights = checked_weight(weight, classes, "weight")
    given = x, target, mode, axis, classes, kind, from_logits and mode == "multiclass"
    return Request(
        *given, ignored, smooth, alpha, beta, weights, per_image, absent, reduction, loss_dtype(dtype, x.dtype)
    )


def _of_classes(x: Any, target: Any, axis: int) -> Any:
    """The target of classes that exclude each other: labels or shares."""
    target, labels = as_target(target, x.ndim - 1), x.shape[:axis] + x.shape[axis + 1 :]
    if target.dtype.kind in "iu":
        if target.shape != labels:
            raise ValueError(
                f"target of class indices must have shape {labels} for this input, got {target.shape}"
                + meant(target, labels, x.shape, axis)
            )
        return target
    if target.dtype.char not in NATIVE:
        raise TypeError(
            f"target must hold integers (class indices) or floats (probabilities), got {target.dtype}"
            + meant(target, labels, x.shape, axis)
        )
    if target.shape != x.shape:
        raise ValueError(
            f"target of class probabilities must have the shape of the input, {x.shape}, got {target.shape}"
            + meant(target, labels, x.shape, axis)
        )
    return target


def check_labels(name: str, labels: Any, classes: int, ignored: Any) -> None:
    """``IndexError`` for the first label that is neither a class nor ignored."""
    if not labels.size or (labels.min() >= 0 and labels.max() < classes):
        return
    beyond = (labels < 0) | (labels >= classes)
    if ignored is not None:
        beyond &= labels != ignored
    if not beyond.any():
        return
    position, where = first_place(beyond)
    known = f"allowed are 0 to {classes - 1}" if classes else "there is none"
    also = f" and ignore_index={ignored}" if ignored is not None else ""
    raise IndexError(f"label {labels[position]}{where} of {name} is out of range for {classes} classes: {known}{also}")


def check_shares(target: Any, ignored: float = NOTHING) -> None:
    """``ValueError`` for the first number that is neither ignored nor between 0 and 1."""
    beyond = ((target < 0) | (target > 1)) & (target != ignored)
    if beyond.any():
        position, where = first_place(beyond)
        raise ValueError(f"target must hold numbers between 0 and 1, got {target[position]}{where}")


def gradient_array(request: Request, out: Any) -> Any:
    """Where the gradient is written first: in a sound ``out`` unless that would overwrite what is read later."""
    x = request.x
    if out is None:
        return np.empty_like(x)
    check_gradient_out(out, x.shape, x.dtype)
    place, source = ((a.__array_interface__["data"][0], a.strides, a.dtype) for a in (out, x))
    if np.may_share_memory(out, request.target) or (np.may_share_memory(out, x) and place != source):
        return np.empty_like(x)
    return out


class Slab(NamedTuple):
    """Which pixels are taken at a time: some images, or some of the first axis of pixels of one."""

    images: slice
    lines: slice

    def of(self, array: Any) -> Any:
        """These of an arranged array, as images, classes and pixels: a view if there is one."""
        chosen = array[self.images, :, self.lines]
        return chosen.reshape(*chosen.shape[:2], math.prod(chosen.shape[2:]))

    def put(self, array: Any, values: Any) -> None:
        """Write these of an arranged array."""
        chosen = array[self.images, :, self.lines]
        quietly(np.copyto, chosen, values.reshape(chosen.shape), casting="same_kind")


def slabs(shape: tuple[int, ...]) -> Iterator[Slab]:
    """The parts of an arranged array, which depend on its shape alone."""
    images, classes, lines = shape[:3]
    line = classes * math.prod(shape[3:])
    if not math.prod(shape):
        return
    if line * lines <= SLAB:
        several = SLAB // (line * lines)
        for first in range(0, images, several):
            yield Slab(slice(first, first + several), slice(None))
        return
    several = max(1, SLAB // line)
    for image in range(images):
        for first in range(0, lines, several):
            yield Slab(slice(image, image + 1), slice(first, first + several))


def lies(values: Any, dtype: Any) -> bool:
    """Whether kernels take pixels as they lie: of the dtype, in the machine's byte order, and aligned."""
    return bool(values.dtype == dtype and values.dtype.isnative and values.flags.aligned)


def loaded(values: Any, dtype: Any) -> Any:
    """Pixels as kernels take them: as they lie, or a copy."""
    return values if lies(values, dtype) else quietly(values.astype, dtype)
