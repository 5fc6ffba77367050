"""The Lovasz losses in plain NumPy and float64, a class of an image at a time, by the formulas of the paper."""

from typing import Any

import numpy as np


def extension(errors: Any, own: Any) -> tuple[Any, Any]:
    """The Lovasz extension of the Jaccard loss at errors of pixels, and its gradient.

    Equal errors share their derivatives evenly, among pixels of the region and among others, as if those of it came first.
    """
    order = np.lexsort((~own, -errors))
    truth = own[order]
    intersection = (truth.sum() - np.cumsum(truth)).astype(np.longdouble)  # neighbours of which are nearly equal
    union = truth.sum() + np.cumsum(~truth)
    jaccard = 1 - intersection / union
    steps = np.diff(jaccard, prepend=np.longdouble(0))
    gradient = np.empty(errors.shape)
    gradient[order] = steps
    keys = np.stack([errors, own], axis=-1)
    _, group = np.unique(keys, axis=0, return_inverse=True)
    shared = np.bincount(group.reshape(-1), gradient) / np.bincount(group.reshape(-1))
    gradient = shared[group.reshape(-1)]
    return np.sum(errors * gradient), np.where((errors == 0) & ~own, 0.0, gradient)


def lovasz_softmax(
    input: Any,  # noqa: A002 - PyTorch's name
    target: Any,
    *,
    classes: str = "present",
    ignore_index: int | None = None,
    per_image: bool = False,
    reduction: str = "mean",
    axis: int = -1,
    upstream: Any = None,
    probabilities: Any = None,
) -> tuple[Any, Any]:
    """The loss and its gradient; of probabilities, where they are given, as they have been rounded."""
    x = np.moveaxis(np.asarray(input, np.float64), axis, 0)
    e = np.exp(x - np.max(x, axis=0, initial=-np.inf, keepdims=True))
    p = e / np.sum(e, axis=0) if probabilities is None else np.moveaxis(probabilities, axis, 0)
    labels = np.asarray(target)
    counted = labels != ignore_index if ignore_index is not None else np.ones(labels.shape, bool)
    parts: list[Any] = [(i,) for i in range(len(labels))] if per_image and labels.ndim else [(...,)]
    losses, found = np.zeros((len(parts), len(x))), np.zeros((len(parts), len(x)), bool)
    slopes = np.zeros(p.shape)
    for i, part in enumerate(parts):
        for c in range(len(x)):
            where = np.zeros(labels.shape, bool)
            where[part] = counted[part]
            own = labels[where] == c
            found[i, c] = own.any() if classes == "present" else True
            if found[i, c] and own.size:
                errors = np.where(own, 1 - p[c][where], p[c][where]).astype(p.dtype).astype(np.float64)
                losses[i, c], gradient = extension(errors, own)
                slopes[c, ...][where] = np.where(own, -gradient, gradient)
    losses = np.where(found, losses, 0.0)
    factor = found * 1.0
    if reduction == "mean":
        factor = factor / np.maximum(1, found.sum(1, keepdims=True)) / max(1, len(parts))
    each = losses if per_image and labels.ndim else losses[0]
    loss = np.sum(losses * factor) if reduction != "none" else each
    if each.ndim == 2 and axis % x.ndim == 0 and reduction == "none":
        loss = each.T
    if upstream is not None:
        up = np.asarray(upstream, np.float64)
        up = up.T if up.ndim == 2 and axis % x.ndim == 0 else up
        factor = factor * up
    for i, part in enumerate(parts):
        for c in range(len(x)):
            slopes[(c, *part)] *= factor[i, c]
    p = p.astype(np.float64)
    grad = np.where(slopes == 0, 0.0, p * slopes) - p * np.sum(np.where(slopes == 0, 0.0, p * slopes), axis=0)
    return loss, np.moveaxis(np.where(counted, grad, 0.0), 0, axis)


def lovasz_hinge(
    input: Any,  # noqa: A002
    target: Any,
    *,
    ignore_index: int | None = None,
    per_image: bool = False,
    reduction: str = "mean",
    upstream: Any = None,
) -> tuple[Any, Any]:
    """The loss and its gradient."""
    x, truth = np.asarray(input, np.float64), np.asarray(target)
    counted = truth != ignore_index if ignore_index is not None else np.ones(x.shape, bool)
    each = per_image and x.ndim > 0
    losses, grad = [], np.zeros(x.shape)
    for i in range(len(x)) if each else [...]:
        here = counted[i]
        own, slope = truth[i][here] == 1, np.zeros(np.shape(x[i]))
        errors = np.where(own, 1 - x[i][here], 1 + x[i][here]).astype(np.asarray(input).dtype).astype(np.float64)
        loss, gradient = extension(np.maximum(errors, 0), own) if own.size else (0.0, 0.0)
        slope[here] = np.where(errors > 0, np.where(own, -gradient, gradient), 0.0)
        losses.append(loss)
        grad[i] = slope
    total = np.array(losses) if each else np.array(losses[0])
    if reduction != "none":
        grad = grad / (max(1, total.size) if reduction == "mean" else 1)
        total = np.sum(total) / (max(1, total.size) if reduction == "mean" else 1)
    if upstream is not None:
        up = np.asarray(upstream, np.float64)
        grad = grad * up.reshape(up.shape + (1,) * (x.ndim - up.ndim) if up.ndim else ())
    return total, grad
