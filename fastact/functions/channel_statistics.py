"""Arrays of channels as planes or as columns, the sums over these as statistics of what belongs together, and what is written.

Where the channels' axis lies in memory decides: a channel's elements behind it are a plane, which is a row to a kernel; if it
lies last, a row of the matrix holds each channel once. No array is copied that lies in order, whatever the order of its axes.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastact.calls.column_sums import column_sums
from fastact.calls.quiet import quietly
from fastact.functions.channel_passes import (
    COLUMNS,
    COLUMNS_BACKWARD,
    PLANE,
    PLANE_BACKWARD,
    WRITE,
    WRITE_BACKWARD,
    WRITE_ROWS,
    WRITE_ROWS_BACKWARD,
    ufunc_of,
)

SEEN = 9
"""Rows whose median is typical of a matrix."""
ROW = 1024
"""Elements that several short rows of channels are made one of."""


class Lay(NamedTuple):
    """How an array is walked: its axes in their order in memory, as images of channels' planes, or of rows of channels."""

    order: tuple[int, ...]
    images: int
    channels: int
    pixels: int
    last: bool
    """Whether the channels lie last."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Images, and planes or rows of each."""
        inner = (self.pixels, self.channels) if self.last else (self.channels, self.pixels)
        return self.images, *inner

    def of(self, x: Any) -> Any:
        """An array so walked: a view if it lies densely in that order, else a copy."""
        return np.ascontiguousarray(x.transpose(self.order)).reshape(self.shape)


def lay_of(x: Any, axis: int, images_apart: bool) -> Lay:
    """How an array is walked; ``images_apart`` says that each image, along the first axis, has statistics of its own."""
    order = tuple(sorted(range(x.ndim), key=lambda k: -abs(x.strides[k])))
    first = (0,) if images_apart and axis else ()
    others = tuple(k for k in order if k not in first)
    images = x.shape[0] if first else 1
    last = others[-1] == axis and x.ndim > 1
    if last:
        return Lay((*first, *others), images, x.shape[axis], _number(x, others[:-1]), True)
    if images_apart:
        others = (axis, *(k for k in others if k != axis))
    at = others.index(axis)
    images *= _number(x, others[:at])
    return Lay((*first, *others), images, x.shape[axis], _number(x, others[at + 1 :]), False)


def _number(x: Any, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[k] for k in axes)


class Sums(NamedTuple):
    """Of each image's channels: mean, squares of distances from it, gradient, and its products with these, of float64."""

    mean: Any
    squares: Any
    slopes: Any
    products: Any

    def together(self, pixels: int, axes: tuple[int, ...]) -> "Sums":
        """The same of all that belongs together, along axes that are kept."""
        mean = np.mean(self.mean, axis=axes, keepdims=True)
        apart = self.mean - mean
        squares = np.sum(self.squares + pixels * apart * apart, axis=axes, keepdims=True)
        slopes = np.sum(self.slopes, axis=axes, keepdims=True)
        return Sums(mean, squares, slopes, np.sum(self.products + apart * self.slopes, axis=axes, keepdims=True))

    def times(self, factor: Any) -> "Sums":
        """The same of a gradient times a factor."""
        return self._replace(slopes=self.slopes * factor, products=self.products * factor)


def sums_of(lay: Lay, x: Any, grad: Any = None) -> Sums:
    """The sums over each image's channels, given arrays so walked."""
    zeros = np.zeros((lay.images, lay.channels))
    given = (x,) if grad is None else (grad, x)
    if not lay.pixels or not x.size:
        return Sums(zeros, zeros, zeros, zeros)
    if not lay.last:
        found = quietly(ufunc_of(PLANE if grad is None else PLANE_BACKWARD), *given)
        mean = found[0] / lay.pixels
        return Sums(mean, *found[1:]) if grad is not None else Sums(mean, found[1], zeros, zeros)
    kernel = COLUMNS if grad is None else COLUMNS_BACKWARD
    typical = np.stack([_typical(image) for image in x])
    images = [column_sums(kernel, (*(a[i] for a in given), typical[i])) for i in range(lay.images)]
    total, squares, *others = (np.stack(kind) for kind in zip(*images, strict=True))
    shift = total / lay.pixels
    slopes, products = others or (zeros, zeros)
    squares = np.maximum(squares - total * shift, 0.0)
    return Sums(typical + shift, squares, slopes, products - shift * slopes)


def _typical(rows: Any) -> Any:
    """A row of elements like those of their columns, from which these have small distances: the median of some.

    Of a single row an element that is unlike its column would cost the sums of squares their last digits.
    """
    count = min(SEEN, len(rows))
    count -= 1 - count % 2
    return np.partition(rows[:: len(rows) // count][:count], count // 2, axis=0)[count // 2]


def write(lay: Lay, operands: Sequence[Any], numbers: Sequence[Any], target: Any) -> None:
    """Write what follows for each element from the mean, a number of float64 of each image's channels, and other such numbers."""
    if not target.size:
        return
    mean, *others = (np.broadcast_to(number, (lay.images, lay.channels)) for number in numbers)
    narrow = np.float64 if operands[0].dtype == np.float64 else np.float32
    near = mean.astype(narrow)
    known = (near.astype(np.float64), mean - near, *others)
    backward = len(operands) > 1
    if lay.last:
        ufunc = ufunc_of(WRITE_ROWS_BACKWARD if backward else WRITE_ROWS)
        several = _several(lay)
        shape = (lay.images, lay.pixels // several, several * lay.channels)
        rows = (np.tile(number, several)[:, None].astype(narrow) for number in known)
        ufunc(*(a.reshape(shape) for a in operands), *rows, out=target.reshape(shape), casting="same_kind")
        return
    planes = (lay.images * lay.channels, 1, lay.pixels)
    columns = (np.ascontiguousarray(number).reshape(-1, 1) for number in known)
    ufunc = ufunc_of(WRITE_BACKWARD if backward else WRITE)
    ufunc(*(a.reshape(planes) for a in operands), *columns, np.zeros(1), out=target.reshape(planes))


def _several(lay: Lay) -> int:
    """How many rows of channels are taken as one: a power of two that divides their number."""
    several = 1
    while 2 * several * lay.channels <= ROW and lay.pixels % (2 * several) == 0:
        several *= 2
    return several
