"""What careful users of NumPy, PyTorch and JAX write for the Lovasz losses: pixels are rows, classes the last axis.

They sort the errors of all pixels, of each class, as the paper's authors do. Counts are integers, and their quotients float64 where
that is to be had: neighbouring ones are nearly equal.
"""

from typing import Any

import numpy as np

from .lossidioms import idioms_of
from .rowidiom import Arrays, labels
from .rowidioms import softmax

Array = Any
Both = tuple[Array, Array]


def _of_class(errors: Array, own: Array) -> Both:
    """The extension of a class's Jaccard loss at errors, and its gradient."""
    order = np.argsort(-errors)
    truth = own[order]
    jaccard = 1 - (truth.sum() - np.cumsum(truth)) / (truth.sum() + np.cumsum(~truth))
    slopes = np.empty_like(errors)
    slopes[order] = np.diff(jaccard, prepend=0.0)
    return errors @ slopes, slopes


def lovasz_softmax_loss(x: Array, target: Array) -> Array:
    p, present = softmax(x), np.unique(target)
    losses = [_of_class(np.abs((target == c) - p[:, c]), target == c)[0] for c in present]
    return np.mean(losses, dtype=x.dtype)


def _slopes(p: Array, target: Array) -> Both:
    """The loss, and its derivatives by the probabilities."""
    present, slopes, losses = np.unique(target), np.zeros_like(p), []
    for c in present:
        own = target == c
        loss, slope = _of_class(np.where(own, 1 - p[:, c], p[:, c]), own)
        losses.append(loss)
        slopes[:, c] = np.where(own, -slope, slope)
    slopes *= 1 / len(present)
    return np.mean(losses, dtype=p.dtype), slopes


def lovasz_softmax_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    p = softmax(x, out=out)
    loss, slopes = _slopes(p, target)
    slopes -= np.sum(slopes * p, -1, keepdims=True)
    p *= slopes
    return loss, p


def sizes_of_terms(x: Array, target: Array) -> Array:
    """How large the terms are that the gradient by logits is made of, by which errors are measured."""
    p = softmax(x)
    sizes = np.abs(_slopes(p, target)[1])
    return p * (sizes + np.sum(sizes * p, -1, keepdims=True))


def _hinges(x: Array, target: Array) -> Array:
    return np.maximum(np.where(target == 1, 1 - x, 1 + x), 0).ravel()


def lovasz_hinge_loss(x: Array, target: Array) -> Array:
    return _of_class(_hinges(x, target), target.ravel() == 1)[0]


def lovasz_hinge_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    errors, own = _hinges(x, target), target.ravel() == 1
    loss, slopes = _of_class(errors, own)
    grad = np.empty_like(x) if out is None else out
    grad[...] = np.where(errors > 0, np.where(own, -slopes, slopes), 0).reshape(x.shape)
    return loss, grad


def extension(maths: Any, errors: Array, own: Array) -> Array:
    """The mean extension of the classes that there are, of columns of errors, in JAX's functions or NumPy's."""
    order = maths.argsort(-errors, axis=0)
    truth = maths.take_along_axis(own, order, axis=0)
    total = truth.sum(0)
    jaccard = 1 - (total - maths.cumsum(truth, axis=0)) / (total + maths.cumsum(~truth, axis=0))
    steps = maths.diff(jaccard, axis=0, prepend=maths.zeros((1, own.shape[1]), jaccard.dtype))
    each = (maths.take_along_axis(errors, order, axis=0) * steps).sum(0)
    return (maths.where(total > 0, each, 0).sum() / (total > 0).sum()).astype(errors.dtype)


def torch_extension(torch: Any, errors: Array, own: Array) -> Array:
    """The same in PyTorch's."""
    ordered, order = errors.sort(dim=0, descending=True)
    truth = own.gather(0, order)
    total = truth.sum(0)
    jaccard = 1 - (total - truth.cumsum(0)).double() / (total + (~truth).cumsum(0))
    steps = jaccard.diff(dim=0, prepend=jaccard.new_zeros(1, own.shape[1])).to(errors.dtype)
    return torch.where(total > 0, (ordered * steps).sum(0), 0).sum() / (total > 0).sum()


def torch_softmax(torch: Any, x: Array, target: Array) -> Array:
    """PyTorch's loss of classes."""
    p, own = x.softmax(-1), torch.nn.functional.one_hot(target, x.shape[-1]).bool()
    return torch_extension(torch, torch.where(own, 1 - p, p), own)


def torch_hinge(torch: Any, x: Array, target: Array) -> Array:
    """PyTorch's loss of one class."""
    own = target == 1
    errors = torch.where(own, 1 - x, 1 + x).relu()
    return torch_extension(torch, errors.reshape(-1, 1), own.reshape(-1, 1))


def _sides(x: Array, pieces: int) -> Arrays:
    """Logits of which no two have the same error, and labels of two classes."""
    rng = np.random.default_rng(2)
    return {"x": rng.normal(size=x.shape).astype(x.dtype), "target": rng.integers(0, 2, x.shape)}


LOSSES = {
    **idioms_of(
        "lovasz_softmax_loss",
        labels,
        "lovasz.torch_softmax(torch, x, target)",
        "(lambda p, own: lovasz.extension(jnp, jnp.where(own, 1 - p, p), own))"
        "(nn.softmax(x), target[:, None] == jnp.arange(x.shape[-1]))",
        home="lovasz",
    ),
    **idioms_of(
        "lovasz_hinge_loss",
        _sides,
        "lovasz.torch_hinge(torch, x, target)",
        "lovasz.extension(jnp, jnp.maximum(jnp.where(target == 1, 1 - x, 1 + x), 0).reshape(-1, 1), (target == 1).reshape(-1, 1))",
        home="lovasz",
    ),
}
"""By public function."""
