"""What careful users of NumPy, PyTorch and JAX write for losses and scores of regions: pixels are rows, classes the last axis.

A class that no pixel of the target is of loses nothing. What a class has in common with the target is summed over the labels'
elements alone. Scores are of four classes and come from one table of counts.
"""

from typing import Any

import numpy as np

from .lossidioms import idioms_of
from .rowidiom import Arrays, RowIdiom, labels
from .rowidioms import softmax

Array = Any
Both = tuple[Array, Array]

ALPHA, BETA = 0.3, 0.7
WEIGHTS: dict[str, tuple[float, float]] = {
    "dice_loss": (0.5, 0.5),
    "jaccard_loss": (1, 1),
    "tversky_loss": (ALPHA, BETA),
}
"""What the losses count false and missed pixels by."""
CLASSES = 4
"""Of the scores."""


def _scores(p: Array, target: Array, alpha: float, beta: float) -> tuple[Array, Array, Array, Array]:
    """The labels' probabilities; of each class the score and what it is a part of, and whether it is in the target."""
    of_labels, both = p[np.arange(len(p)), target], np.zeros(p.shape[-1], p.dtype)
    np.add.at(both, target, of_labels)
    present = np.bincount(target, minlength=p.shape[-1]).astype(p.dtype)
    area = both + alpha * (p.sum(0) - both) + beta * (present - both)
    return of_labels, both / area, area, present > 0


def _tversky(x: Array, target: Array, alpha: float, beta: float) -> Array:
    _, score, _, present = _scores(softmax(x), target, alpha, beta)
    return np.where(present, 1 - score, 0).mean(dtype=x.dtype)


def _slopes(p: Array, target: Array, alpha: float, beta: float) -> tuple[Array, Array, Array]:
    """The loss; of each class its derivative by a probability, and by how much less that is at a label, times what that has."""
    of_labels, score, area, present = _scores(p, target, alpha, beta)
    factor = np.where(present, 1 / area, 0) / len(area)
    extra = factor * (1 - (1 - alpha - beta) * score)
    loss = np.where(present, 1 - score, 0).mean(dtype=p.dtype)
    return loss, factor * (alpha * score), extra[target] * of_labels


def _tversky_with_grad(x: Array, target: Array, alpha: float, beta: float, out: Array = None) -> Both:
    grad = softmax(x, out=out)
    loss, slope, extra = _slopes(grad, target, alpha, beta)
    grad *= slope - (grad @ slope - extra)[:, None]
    grad[np.arange(len(x)), target] -= extra
    return loss, grad


def sizes_of_terms(name: str, x: Array, target: Array) -> Array:
    """How large the terms are that the gradient of a loss is made of, by which errors are measured."""
    sizes = softmax(x)
    _, slope, extra = _slopes(sizes, target, *WEIGHTS[name])
    sizes *= slope + (sizes @ slope + extra)[:, None]
    sizes[np.arange(len(x)), target] += extra
    return sizes


def dice_loss(x: Array, target: Array) -> Array:
    return _tversky(x, target, *WEIGHTS["dice_loss"])


def dice_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    return _tversky_with_grad(x, target, *WEIGHTS["dice_loss"], out)


def jaccard_loss(x: Array, target: Array) -> Array:
    return _tversky(x, target, *WEIGHTS["jaccard_loss"])


def jaccard_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    return _tversky_with_grad(x, target, *WEIGHTS["jaccard_loss"], out)


def tversky_loss(x: Array, target: Array) -> Array:
    return _tversky(x, target, *WEIGHTS["tversky_loss"])


def tversky_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    return _tversky_with_grad(x, target, *WEIGHTS["tversky_loss"], out)


def torch_tversky(torch: Any, x: Array, target: Array, alpha: float, beta: float) -> Any:
    p = x.softmax(-1)
    classes = p.shape[-1]
    both = p.new_zeros(classes).index_add(0, target, p.gather(-1, target[:, None])[:, 0])
    present = torch.bincount(target, minlength=classes)
    area = both + alpha * (p.sum(0) - both) + beta * (present - both)
    return torch.where(present > 0, 1 - both / area, 0).mean()


def _counts(x: Array, target: Array, bincount: Any) -> tuple[Array, Array]:
    """Of each class the pixels that are predicted rightly, and those that are predicted plus those that are true."""
    table = bincount((CLASSES * target + x).reshape(-1), minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    return table.diagonal(), table.sum(0) + table.sum(1)


def iou_score(x: Array, target: Array, like: Array) -> Array:
    both, sizes = _counts(x, target, np.bincount)
    return _mean(both, sizes - both, like)


def dice_score(x: Array, target: Array, like: Array) -> Array:
    both, sizes = _counts(x, target, np.bincount)
    return _mean(2 * both, sizes, like)


def _mean(part: Array, whole: Array, like: Array) -> Array:
    """The mean ratio of counts, which halves have no room for."""
    ratios = np.divide(part, whole, dtype=np.promote_types(like.dtype, np.float32))
    return np.nanmean(ratios).astype(like.dtype)


def torch_score(torch: Any, dice: bool, x: Array, target: Array, like: Array) -> Any:
    both, sizes = _counts(x, target, torch.bincount)
    part = both.to(torch.promote_types(like.dtype, torch.float32))
    return (2 * part / sizes if dice else part / (sizes - both)).nanmean().to(like.dtype)


def _maps(x: Array, pieces: int) -> Arrays:
    """Two maps of labels, and an empty array of the dtype of the score."""
    rng = np.random.default_rng(2)
    prediction, target = rng.integers(0, CLASSES, (2, *x.shape))
    return {"x": prediction, "target": target, "like": np.empty(0, x.dtype)}


def _loss(name: str, options: str = "") -> dict[str, RowIdiom]:
    """Those of a loss, and of the loss with its gradient."""
    alpha, beta = WEIGHTS[name]
    jax = (
        "(lambda p, hot: (lambda both, present: jnp.where(present > 0, "
        f"1 - both / (both + {alpha} * (p.sum(0) - both) + {beta} * (present - both)), 0).mean())"
        "(jnp.where(hot, p, 0).sum(0), hot.sum(0)))"
        "(nn.softmax(x), target[:, None] == jnp.arange(x.shape[-1]))"
    )
    torch = f"regions.torch_tversky(torch, x, target, {alpha}, {beta})"
    return idioms_of(name, labels, torch, jax, options, home="regions")


def _score(name: str, dice: bool) -> dict[str, RowIdiom]:
    """That of a score."""
    arguments, ratio = f"x, target, num_classes={CLASSES}, dtype=like.dtype", "both / (sizes - both)"
    numpy, torch = f"regions.{name}(x, target, like)", f"regions.torch_score(torch, {dice}, x, target, like)"
    jax = (
        f"(lambda ours, theirs: (lambda both, sizes: jnp.nanmean({'2 * both / sizes' if dice else ratio}))"
        '((ours & theirs).sum((0, 1)).astype(jnp.promote_types(like.dtype, "float32")), '
        "ours.sum((0, 1)) + theirs.sum((0, 1))))"
        f"(x[..., None] == jnp.arange({CLASSES}), target[..., None] == jnp.arange({CLASSES})).astype(like.dtype)"
    )
    return {name: RowIdiom(arguments, numpy, arrays=_maps, torch=torch, jax=jax)}


LOSSES = {
    **_loss("dice_loss"),
    **_loss("jaccard_loss"),
    **_loss("tversky_loss", f", alpha={ALPHA}, beta={BETA}"),
    **_score("iou_score", dice=False),
    **_score("dice_score", dice=True),
}
"""By public function."""
