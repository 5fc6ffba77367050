"""What careful users of NumPy, PyTorch and JAX write for the losses of labelled rows, for accuracies, distillation and entropies.

NumPy's functions compute in the dtype of their arguments and index the labels' elements; none makes an array of ones and zeros.
Means are those of all rows. Of equal scores, which are not among the benchmark's, the accuracies decide otherwise than fastact.
"""

from typing import Any

import numpy as np

from .lossidioms import idioms_of
from .rowidiom import Arrays, RowIdiom, labels
from .rowidioms import log_softmax, logsumexp, softmax

Array = Any
Both = tuple[Array, Array]

BEST = 5
"""Scores among which a label counts as found."""
TEMPERATURE = 2.0
"""Of the distillation."""


def _of_labels(x: Array, target: Array) -> Array:
    return x[np.arange(len(x)), target]


def _share(chosen: Array, like: Array) -> Array:
    """The share of rows that are chosen."""
    return like.dtype.type(np.count_nonzero(chosen) / len(chosen))


def exponentials(x: Array, target: Array, out: Array = None) -> tuple[Array, Array, Array]:
    """A softmax before it is divided, the sums to divide it by, and the rows' cross-entropies."""
    y = np.subtract(x, x.max(-1, keepdims=True), out=out)
    of_labels = _of_labels(y, target)
    np.exp(y, out=y)
    total = y.sum(-1)
    return y, total, np.log(total) - of_labels


def nll_loss(x: Array, target: Array) -> Array:
    return -_of_labels(x, target).mean()


def nll_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    if out is not None:
        out.fill(0)
    grad = np.zeros_like(x) if out is None else out
    grad[np.arange(len(x)), target] = -1 / len(x)
    return nll_loss(x, target), grad


def focal_loss(x: Array, target: Array) -> Array:
    loss = logsumexp(x) - _of_labels(x, target)
    return (loss * np.square(np.expm1(-loss))).mean()


def focal_slope(loss: Array) -> Both:
    """The improbability of labels whose cross-entropies are given, and the slope of the focal loss by these; gamma is 2."""
    improbable = -np.expm1(-loss)
    return improbable, improbable * (improbable + 2 * loss * (1 - improbable))


def focal_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    grad, total, loss = exponentials(x, target, out)
    improbable, slope = focal_slope(loss)
    slope /= len(x)
    grad *= (slope / total)[:, None]
    grad[np.arange(len(x)), target] = -slope * improbable
    return (loss * np.square(improbable)).mean(), grad


def _gaps(x: Array, target: Array, out: Array = None) -> Array:
    """By how much classes come nearer than 1 to the label's score, which itself is 0."""
    gaps = np.subtract(x, _of_labels(x, target)[:, None] - 1, out=out)
    np.maximum(gaps, 0, out=gaps)
    gaps[np.arange(len(x)), target] = 0
    return gaps


def multi_margin_loss(x: Array, target: Array) -> Array:
    return _gaps(x, target).mean()


def multi_margin_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    grad = _gaps(x, target, out)
    loss = grad.mean()
    near = grad > 0
    np.multiply(near, 1 / x.size, out=grad, dtype=x.dtype)
    grad[np.arange(len(x)), target] = np.count_nonzero(near, axis=-1) * (-1 / x.size)
    return loss, grad


def _nearest(x: Array, target: Array) -> Both:
    """Which class has the largest score but for the label's, and what that lacks to be 1 below the label's."""
    others = x.copy()
    others[np.arange(len(x)), target] = -np.inf
    nearest = others.argmax(-1)
    return nearest, 1 + _of_labels(others, nearest) - _of_labels(x, target)


def crammer_singer_loss(x: Array, target: Array) -> Array:
    return np.maximum(_nearest(x, target)[1], 0).mean()


def crammer_singer_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    nearest, gap = _nearest(x, target)
    if out is not None:
        out.fill(0)
    grad, rows = np.zeros_like(x) if out is None else out, np.arange(len(x))
    slope = (gap > 0) * (1 / len(x))
    grad[rows, nearest] = slope
    grad[rows, target] = -slope
    return np.maximum(gap, 0).mean(), grad


def zero_one_loss(x: Array, target: Array) -> Array:
    return _share(x.argmax(-1) != target, x)


def accuracy(x: Array, target: Array) -> Array:
    return _share(x.argmax(-1) == target, x)


def top_k_accuracy(x: Array, target: Array) -> Array:
    above = np.count_nonzero(x > _of_labels(x, target)[:, None], axis=-1)
    return _share(above < BEST, x)


def _hardest(losses: Array) -> Array:
    """Which quarter of the rows has the largest losses."""
    first = len(losses) - -(-len(losses) // 4)
    return np.argpartition(losses, first)[first:]


def ohem_cross_entropy(x: Array, target: Array) -> Array:
    losses = logsumexp(x) - _of_labels(x, target)
    return losses[_hardest(losses)].mean()


def ohem_cross_entropy_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    grad, total, losses = exponentials(x, target, out)
    hardest, share = _hardest(losses), np.zeros_like(losses)
    share[hardest] = 1 / len(hardest)
    grad *= (share / total)[:, None]
    grad[np.arange(len(x)), target] -= share
    return losses[hardest].mean(), grad


def _cooled(x: Array, out: Array = None) -> Array:
    return np.divide(x, TEMPERATURE, out=out)


def _cross_entropy(log_p: Array, teacher: Array) -> Array:
    return (TEMPERATURE**2 / -len(log_p)) * (teacher * log_p).sum()


def distillation_loss(x: Array, target: Array) -> Array:
    student, teacher = _cooled(x), _cooled(target)
    return _cross_entropy(log_softmax(student, out=student), softmax(teacher, out=teacher))


def distillation_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    grad, teacher = _cooled(x, out), _cooled(target)
    loss = _cross_entropy(log_softmax(grad, out=grad), softmax(teacher, out=teacher))
    np.exp(grad, out=grad)
    grad -= teacher
    grad *= TEMPERATURE / len(x)
    return loss, grad


def sizes_of_distillation(x: Array, target: Array) -> Array:
    """The larger of the two probabilities that the gradient is the difference of, by which errors are measured."""
    return np.maximum(softmax(_cooled(x)), softmax(_cooled(target))) * (TEMPERATURE / len(x))


def entropy(x: Array, out: Array = None) -> Array:
    terms = np.log(x)
    terms *= x
    total = terms.sum(-1, out=out)
    return np.negative(total, out=total)


def entropy_with_logits(x: Array, out: Array = None) -> Array:
    y = np.subtract(x, x.max(-1, keepdims=True))
    e = np.exp(y)
    total = e.sum(-1)
    y *= e
    return np.subtract(np.log(total), y.sum(-1) / total, out=out)


def entropy_with_grad(x: Array, out: Array = None) -> Both:
    logs = np.log(x)
    value = np.negative(np.vdot(x, logs))
    grad = np.add(logs, 1, out=out)
    return value, np.negative(grad, out=grad)


def entropy_with_logits_with_grad(x: Array, out: Array = None) -> Both:
    log_p = log_softmax(x, out=out)
    p = np.exp(log_p)
    entropies = -(p * log_p).sum(-1, keepdims=True)
    log_p += entropies
    log_p *= p
    return entropies.sum(), np.negative(log_p, out=log_p)


def sizes_of_entropy(x: Array) -> Array:
    """How large the terms of the gradient by logits are, by which errors are measured."""
    log_p = log_softmax(x)
    p = np.exp(log_p)
    return p * (-log_p - (p * log_p).sum(-1, keepdims=True))


def _logarithms(x: Array, pieces: int) -> Arrays:
    return {"x": log_softmax(x), **labels(x, pieces)}


def _probabilities(x: Array, pieces: int) -> Arrays:
    return {"x": softmax(x)}


def _teacher(x: Array, pieces: int) -> Arrays:
    return {"target": np.random.default_rng(2).standard_normal(x.shape, dtype=np.float32).astype(x.dtype)}


def _scores(name: str, torch: str, jax: str) -> dict[str, RowIdiom]:
    """That of a score without a gradient."""
    return {name: RowIdiom("x, target", f"labelled.{name}(x, target)", arrays=labels, torch=torch, jax=jax)}


LABEL = "jnp.take_along_axis(x, target[:, None], -1)"
HOT = "(target[:, None] == jnp.arange(x.shape[-1]))"
LOSSES_OF_ROWS = f"(nn.logsumexp(x, -1) - {LABEL}[:, 0])"
COOLED = f"F.cross_entropy(x / {TEMPERATURE}, (target / {TEMPERATURE}).softmax(-1)) * {TEMPERATURE**2}"
AMONG_BEST = f"((x > {LABEL}).sum(-1) < {BEST})"
HERE = {"home": "labelled"}

OF_ROWS = 'x, reduction="sum"'
TORCH, JAX = "losses.torch_loss_and_gradient(torch, lambda x: {}, x)", "jax.value_and_grad(lambda x: {})(x)"

LOSSES = {
    "entropy_with_grad": RowIdiom(
        OF_ROWS,
        "labelled.entropy_with_grad(x, out=out)",
        "np.zeros_like(x)",
        _probabilities,
        torch=TORCH.format("-(x * x.log()).sum()"),
        jax=JAX.format("-(x * jnp.log(x)).sum()"),
    ),
    "entropy_with_logits_with_grad": RowIdiom(
        OF_ROWS,
        "labelled.entropy_with_logits_with_grad(x, out=out)",
        "np.zeros_like(x)",
        torch=TORCH.format("-(x.softmax(-1) * x.log_softmax(-1)).sum()"),
        jax=JAX.format("-(nn.softmax(x) * nn.log_softmax(x)).sum()"),
    ),
    **idioms_of("nll_loss", _logarithms, "F.nll_loss(x, target)", f"-{LABEL}.mean()", **HERE),
    **idioms_of(
        "focal_loss",
        labels,
        '(lambda loss: (loss * torch.expm1(-loss).square()).mean())(F.cross_entropy(x, target, reduction="none"))',
        f"(lambda loss: (loss * jnp.square(jnp.expm1(-loss))).mean())({LOSSES_OF_ROWS})",
        **HERE,
    ),
    **idioms_of(
        "multi_margin_loss",
        labels,
        "F.multi_margin_loss(x, target)",
        f"jnp.where({HOT}, 0, jnp.maximum(1 + x - {LABEL}, 0)).mean()",
        **HERE,
    ),
    **idioms_of(
        "crammer_singer_loss",
        labels,
        "(lambda label: F.relu(1 + x.scatter(-1, label, -torch.inf).max(-1).values - x.gather(-1, label)[:, 0]).mean())"
        "(target[:, None])",
        f"jnp.maximum(1 + jnp.where({HOT}, -jnp.inf, x).max(-1) - {LABEL}[:, 0], 0).mean()",
        **HERE,
    ),
    **_scores(
        "zero_one_loss",
        "(x.argmax(-1) != target).to(x.dtype).mean()",
        "(x.argmax(-1) != target).mean(dtype=x.dtype)",
    ),
    **_scores(
        "accuracy",
        "(x.argmax(-1) == target).to(x.dtype).mean()",
        "(x.argmax(-1) == target).mean(dtype=x.dtype)",
    ),
    **_scores(
        "top_k_accuracy",
        f"((x > x.gather(-1, target[:, None])).sum(-1) < {BEST}).to(x.dtype).mean()",
        f"{AMONG_BEST}.mean(dtype=x.dtype)",
    ),
    **idioms_of(
        "ohem_cross_entropy",
        labels,
        'F.cross_entropy(x, target, reduction="none").topk(-(-len(x) // 4)).values.mean()',
        f"lax.top_k({LOSSES_OF_ROWS}, -(-len(x) // 4))[0].mean()",
        ", fraction=0.25",
        **HERE,
    ),
    **idioms_of(
        "distillation_loss",
        _teacher,
        COOLED,
        f"-{TEMPERATURE**2} * (nn.softmax(target / {TEMPERATURE}) * nn.log_softmax(x / {TEMPERATURE})).sum(-1).mean()",
        f", temperature={TEMPERATURE}",
        **HERE,
    ),
}
"""By public function: those of which a result depends on all rows."""

ENTROPIES = {
    "entropy": RowIdiom(
        "x",
        "labelled.entropy(x, out=out)",
        "x.max(-1)",
        _probabilities,
        scipy="special.entr(x).sum(-1, out=out)",
        torch="torch.sum(x * x.log(), -1, out=out).neg_()",
        jax="-(x * jnp.log(x)).sum(-1)",
    ),
    "entropy_with_logits": RowIdiom(
        "x",
        "labelled.entropy_with_logits(x, out=out)",
        "x.max(-1)",
        torch="-(x.softmax(-1) * x.log_softmax(-1)).sum(-1)",
        jax="-(nn.softmax(x) * nn.log_softmax(x)).sum(-1)",
    ),
}
"""By public function: those of rows."""
