"""Region losses and scores in plain NumPy and float64: of masks written out, a class at a time."""

from typing import Any

import numpy as np


def region_loss(
    input: Any,  # noqa: A002 - PyTorch's name
    target: Any,
    *,
    alpha: float,
    beta: float,
    mode: str = "multiclass",
    from_logits: bool = True,
    smooth: float = 0.0,
    weight: Any = None,
    ignore_index: int | None = None,
    per_image: bool = False,
    absent: str = "zero",
    reduction: str = "mean",
    axis: int = -1,
    dtype: Any = None,
    upstream: Any = None,
) -> tuple[Any, Any, Any]:
    """The loss, its gradient, and the size of the gradient's terms."""
    x = np.expand_dims(input, 0) if mode == "binary" else np.moveaxis(input, axis, 0)
    p, t, counted = _masks(x, target, mode, from_logits, ignore_index, axis)
    pixels = tuple(range(1, x.ndim))
    over = pixels[1:] if per_image else pixels
    both, whole, truth = (np.sum(np.where(counted, a, 0.0), over, keepdims=True) for a in (p * t, p, t))
    area = both + alpha * (whole - both) + beta * (truth - both) + smooth
    score = np.where(area == 0, 1.0, (both + smooth) / area)
    found = np.ones(truth.shape, bool) if absent == "count" else truth != 0
    weights = np.ones(len(x)) if weight is None else np.asarray(weight, np.float64)
    weights = np.broadcast_to(weights.reshape(-1, *[1] * len(pixels)), score.shape)
    losses = np.where(found, weights * (1 - score), 0.0)
    factor = np.where(found, weights, 0.0)
    if reduction == "mean":
        total = np.sum(weights * found if absent == "skip" else weights)
        factor = factor / total if total else 0 * factor
        loss = np.sum(losses) / total if total else 0.0
    elif reduction == "sum":
        loss = np.sum(losses)
    else:
        losses = losses.reshape(len(x), *losses.shape[1 : 1 + bool(per_image and pixels)])
        loss = losses[0] if mode == "binary" else losses
        if loss.ndim == 2 and mode != "binary" and axis % x.ndim:
            loss = loss.T
    if upstream is not None:
        up = np.asarray(upstream, np.float64)
        if up.ndim:
            up = up[None] if mode == "binary" else up.T if up.ndim == 2 and axis % x.ndim else up
            up = up.reshape(up.shape + (1,) * (x.ndim - up.ndim))
        factor = factor * up
    by_p = np.where(area == 0, 0.0, -t / area + (both + smooth) / area**2 * (alpha + (1 - alpha - beta) * t))
    by_p = np.where(counted, factor * by_p, 0.0)
    terms = np.where(counted & (area != 0), abs(factor) * (t + score) / area, 0.0)
    grad, size = by_p, terms
    if from_logits and mode != "multiclass":
        slope = p / (1 + np.exp(x))  # p times one less p
        grad, size = (np.where(a == 0, 0.0, slope * a) for a in (by_p, terms))
    elif from_logits:
        mean, means = (np.sum(np.where(a == 0, 0.0, p * a), axis=0) for a in (by_p, terms))
        grad, size = (np.where(a == 0, 0.0, p * a) for a in (by_p - mean, terms + means))
    back = [a[0] if mode == "binary" else np.moveaxis(a, 0, axis) for a in (grad, size)]
    return loss, back[0], back[1]


def _masks(x: Any, target: Any, mode: str, from_logits: bool, ignore_index: Any, axis: int) -> tuple[Any, Any, Any]:
    """Probabilities, the target as such, and which pixels count, the classes first."""
    p = x
    if from_logits and mode == "multiclass":
        e = np.exp(x - np.max(x, axis=0, initial=-np.inf, keepdims=True))
        p = e / np.sum(e, axis=0)
    elif from_logits:
        p = 1 / (1 + np.exp(-x))
    target = np.asarray(target)
    if mode == "multiclass" and target.dtype.kind in "iu":
        counted = np.broadcast_to(target != ignore_index, x.shape)
        return p, np.stack([target == c for c in range(len(x))]).astype(float), counted
    target = target[None] if mode == "binary" else np.moveaxis(target, axis, 0)
    counted = target != ignore_index if ignore_index is not None else np.ones(x.shape, bool)
    return p, np.where(counted, target, 0).astype(float), counted


def score(
    prediction: Any,
    target: Any,
    *,
    dice: bool,
    num_classes: int | None = None,
    ignore_index: int | None = None,
    per_image: bool = False,
    empty: float = np.nan,
    reduction: str = "mean",
) -> Any:
    """The intersection over the union, or over the mean, of each class's two masks."""
    counted = target != ignore_index if ignore_index is not None else np.ones(target.shape, bool)
    if prediction.dtype.kind == "b":
        classes: Any = [True]
    else:
        seen = [int(max(a[counted], default=-1)) for a in (prediction, target)]
        classes = range(max(seen) + 1 if num_classes is None else num_classes)
    over = tuple(range(1, target.ndim)) if per_image else None
    scores = []
    for c in classes:
        ours, theirs = (prediction == c) & counted, (target == c) & counted
        both, either = np.sum(ours & theirs, axis=over), np.sum(ours | theirs, axis=over)
        value = 2 * both / (both + either) if dice else both / either
        scores.append(np.where(either == 0, empty, value))
    found = np.stack(scores, axis=-1) if scores else np.zeros((0,))
    if reduction == "none":
        return found[..., 0] if prediction.dtype.kind == "b" else found
    known = found[~np.isnan(found)]
    return np.mean(known) if known.size else np.nan
