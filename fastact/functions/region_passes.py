"""How region losses are computed: a pass that sums over the pixels, a few numbers for each class, a pass that writes the gradient.

Where the classes' softmax fits the gradient's memory as the second pass reads it, the first leaves it there; else it is computed
again, a part of the pixels at a time. The sums are added in an order that follows from the shape alone.
"""

from typing import Any

import numpy as np

from fastact.calls.quiet import quietly
from fastact.functions.cross_entropy_requests import narrowed, rounded
from fastact.functions.region_kernels import gradient, sums
from fastact.functions.region_requests import PIECE, Request, Slab, check_shares, lies, loaded, slabs
from fastact.functions.softmax import softmax

over_classes: Any = softmax
BLOCK = 2048
"""Pixels of each class whose gradient one thread writes at a time."""


class _Room:
    """Memory for parts of the pixels, the same for all of them, and the numbers of the classes."""

    def __init__(self, request: Request) -> None:
        self.dtype = request.computed
        self.numbers = np.arange(request.classes, dtype=np.float64)
        self.ignored = np.array([request.ignored])
        self.memory = np.empty(0, self.dtype)

    def of(self, shape: tuple[int, ...]) -> Any:
        """An array of pixels that lie side by side, to be forgotten when the next one is asked for."""
        size = int(np.prod(shape))
        if self.memory.size < size:
            self.memory = np.empty(size, self.dtype)
        return self.memory[:size].reshape(shape)


def _view(array: Any, slab: Slab, dtype: Any) -> Any:
    """A part of an arranged array as images, classes and pixels, to be written to as it lies; ``None`` if it does not lie so."""
    chosen = array[slab.images, :, slab.lines]
    try:
        view = np.reshape(chosen, (*chosen.shape[:2], -1), copy=False)
    except ValueError:
        return None
    return view if lies(view, dtype) else None


def _side_by_side(view: Any) -> bool:
    return view is not None and view.strides[-1] == view.itemsize


def _softmax(request: Request, x: Any, slab: Slab, place: Any, room: _Room) -> Any:
    """The classes' softmax of a part of the pixels, in ``place`` if it can be read from there as it must be."""
    values = loaded(slab.of(x), room.dtype)
    p: Any = None if place is None else _view(place, slab, room.dtype)
    p = p if _side_by_side(p) else room.of(values.shape)
    quietly(over_classes.ufunc, values.transpose(0, 2, 1), out=p.transpose(0, 2, 1))
    return p


def class_sums(request: Request, place: Any = None) -> Any:
    """What each class of each image has in common with the target, misses and has too much: an array of three matrices.

    The softmax is left in ``place``, a gradient's memory, where it fits. ``ValueError`` if shares are none.
    """
    x, target, room = request.arranged(request.x), request.arranged_target(), _Room(request)
    place = None if place is None else request.arranged(place)
    ufunc = sums(request.kind)
    totals = np.zeros((ufunc.nout, *x.shape[:2]))
    for slab in slabs(x.shape):
        values = _softmax(request, x, slab, place, room) if request.softmax else loaded(slab.of(x), room.dtype)
        totals[:, slab.images] += _added(ufunc, values, loaded(slab.of(target), room.dtype), request, room)
    if len(totals) > 3 and quietly(np.add.reduce, totals[3], axis=None) != 0:
        check_shares(request.target, request.ignored)
    totals = totals[:3]
    return totals if request.per_image else quietly(np.add.reduce, totals, axis=1, keepdims=True)


def _added(ufunc: Any, values: Any, target: Any, request: Request, room: _Room) -> Any:
    """The sums over a part of the pixels."""
    pixels = values.shape[-1]
    total: Any = 0.0
    for first, last in ((0, pixels // PIECE * PIECE), (pixels // PIECE * PIECE, pixels)):
        if first == last:
            continue
        length = min(PIECE, last - first)
        parts = [a[..., first:last].reshape(*a.shape[:2], -1, length) for a in (values, target)]
        if request.kind == "labels":
            numbers = room.numbers.astype(room.dtype)[:, None, None]
            parts.append(np.broadcast_to(numbers, (request.classes, 1, length)))
        found = quietly(ufunc, *parts, room.ignored)
        total = total + quietly(np.add.reduce, np.array(found), axis=-1)
    return total


def outcome(request: Request, totals: Any, upstream: Any) -> tuple[Any, Any, Any]:
    """The loss, and the derivative by the probabilities of each class of each image: the slope, and what is extra at the target.

    ``upstream`` is a number, or has one for each of these.
    """
    with np.errstate(all="ignore"):
        both, missed, false = totals
        errors = request.alpha * false + request.beta * missed
        area = both + errors + request.smooth
        score, lost = np.where(area == 0, [[[1.0]], [[0.0]]], [both + request.smooth, errors] / area)
        counted = (both + missed != 0) | (request.absent == "count")
        weights = np.broadcast_to(request.weight, area.shape)
        factor, losses = (np.where(counted, a, 0.0) for a in (weights, weights * lost))
        if request.reduction == "mean":
            divisor = float(np.add.reduce(factor if request.absent == "skip" else weights, axis=None))
            loss = float(np.add.reduce(losses, axis=None)) / divisor if divisor else 0.0
            factor = factor / divisor if divisor else 0.0 * factor
        elif request.reduction == "sum":
            loss = float(np.add.reduce(losses, axis=None))
        else:
            loss = request.of_losses(losses)
        if upstream is not None:
            factor = factor * upstream
        slope = np.where(area == 0, 0.0, factor * request.alpha * score / area)
        extra = np.where(area == 0, 0.0, -factor * (lost + (request.alpha + request.beta) * score) / area)
        found = rounded(loss, request.dtype) if request.reduction != "none" else narrowed(loss, request.dtype)[()]
        return found, slope, extra


def write_gradient(request: Request, slope: Any, extra: Any, place: Any) -> None:
    """Write the gradient to the place that ``class_sums`` was given."""
    x, target, room = request.arranged(request.x), request.arranged_target(), _Room(request)
    place = request.arranged(place)
    for slab in slabs(x.shape):
        view = _view(place, slab, room.dtype)
        view = view if _side_by_side(view) else None
        if request.softmax:
            values = view if view is not None else _softmax(request, x, slab, None, room)
        else:
            values = _planes(slab.of(x), room)
        written = view
        if view is None:
            written = values if request.softmax else room.of(values.shape)
        images = slab.images if len(slope) > 1 else slice(None)
        _write(request, values, _planes(slab.of(target), room), slope[images], extra[images], written, room)
        if view is None:
            slab.put(place, written)


def _planes(values: Any, room: _Room) -> Any:
    """Pixels of the dtype that is computed in, side by side: as they lie, or a copy."""
    values = loaded(values, room.dtype)
    return values if _side_by_side(values) else np.ascontiguousarray(values)


def _write(request: Request, values: Any, target: Any, slope: Any, extra: Any, written: Any, room: _Room) -> None:
    """The gradient of a part of the pixels, in blocks that threads share."""
    ufunc = gradient(request.kind, request.softmax)
    labels, pixels = request.kind == "labels", values.shape[-1]
    numbers = [room.numbers] if labels else []
    for first, last in ((0, pixels // BLOCK * BLOCK), (pixels // BLOCK * BLOCK, pixels)):
        if first == last:
            continue
        length = min(BLOCK, last - first)
        x, t, y = (
            a[..., first:last].reshape(*a.shape[:2], -1, length).transpose(0, 2, 1, 3)
            for a in (values, target, written)
        )
        given = [x, t[:, :, 0] if labels else t, *numbers, slope[:, None], extra[:, None], room.ignored]
        quietly(ufunc, *given, out=y)
