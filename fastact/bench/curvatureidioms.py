"""What careful users of NumPy, PyTorch and JAX write for losses with their gradients and second derivatives, in one go.

An automatic derivative would take a pass for each class, so all of them write the formulas down.
"""

from typing import Any

import numpy as np

from .labelledidioms import HOT, LABEL, exponentials, focal_slope
from .lossidioms import AGAINST, decaying, focal_parts, labels_of_two, sigmoid, signs, softplus
from .rowidiom import RowIdiom, labels

Array = Any
All = tuple[Array, Array, Array]
Derivatives = tuple[Array, Array]

NEW: Derivatives = (None, None)
"""Where derivatives go that are given no place."""


def _derivatives(x: Array, out: Derivatives) -> All:
    """The sigmoid, its derivative, both written to ``out``, and the softplus."""
    exponential = decaying(x)
    divisor = 1 + exponential
    slope = np.divide(exponential, divisor, out=out[1])
    slope /= divisor
    return sigmoid(x, exponential, out[0]), slope, softplus(x, exponential)


def binary_cross_entropy_with_logits_with_grad_hess(x: Array, target: Array, out: Derivatives = NEW) -> All:
    grad, hess, loss = _derivatives(x, out)
    grad -= target
    loss -= x * target
    for derivative in (grad, hess):
        derivative *= 1 / x.size
    return loss.mean(), grad, hess


def logistic_loss_with_grad_hess(x: Array, target: Array, out: Derivatives = NEW) -> All:
    margin = x * target
    np.negative(margin, out=margin)
    grad, hess, loss = _derivatives(margin, out)
    grad *= target
    grad *= -1 / x.size
    hess *= 1 / x.size
    return loss.mean(), grad, hess


def focal_bend(improbable: Array, loss: Array) -> Array:
    """The second derivative of the focal loss by cross-entropies; gamma is 2."""
    return 2 * (1 - improbable) * (2 * improbable + loss * (1 - 2 * improbable))


def sigmoid_focal_loss_with_grad_hess(x: Array, target: Array, out: Derivatives = NEW) -> All:
    sign, weight, improbable, loss = focal_parts(x, target)
    probable = 1 - improbable
    slope = np.multiply(loss, probable, out=out[0])
    slope *= 2
    slope += improbable
    slope *= improbable
    hess = np.multiply(improbable, focal_bend(improbable, loss), out=out[1])
    hess += slope * probable
    loss *= np.square(improbable)
    loss *= weight
    improbable *= weight
    improbable *= 1 / x.size
    slope *= improbable
    hess *= improbable
    sign *= -1
    slope *= sign
    return loss.mean(), slope, hess


def cross_entropy_with_grad_hess(x: Array, target: Array, out: Derivatives = NEW) -> All:
    grad, total, loss = exponentials(x, target, out[0])
    grad /= total[:, None]
    hess = np.subtract(1, grad, out=out[1])
    hess *= grad
    grad[np.arange(len(x)), target] -= 1
    for derivative in (grad, hess):
        derivative *= 1 / len(x)
    return loss.mean(), grad, hess


def focal_loss_with_grad_hess(x: Array, target: Array, out: Derivatives = NEW) -> All:
    grad, total, loss = exponentials(x, target, out[0])
    improbable, slope = focal_slope(loss)
    bend = focal_bend(improbable, loss) / len(x)
    slope /= len(x)
    rows = np.arange(len(x))
    grad /= total[:, None]
    hess = np.multiply(grad, (bend - slope)[:, None], out=out[1])
    hess += slope[:, None]
    hess *= grad
    hess[rows, target] = improbable * (bend * improbable + slope * (1 - improbable))
    grad *= slope[:, None]
    grad[rows, target] = -slope * improbable
    return (loss * np.square(improbable)).mean(), grad, hess


def sizes_of_terms(name: str, x: Array, target: Array) -> Array:
    """How large the terms of a focal loss's second derivative are, which has either sign: by these errors are measured."""
    if name.startswith("sigmoid"):
        _, weight, improbable, loss = focal_parts(x, target)
        squares, products = weight * np.square(improbable), weight * improbable * (1 - improbable)
    else:
        p, total, loss = exponentials(x, target)
        p /= total[:, None]
        products = p * (1 - p)
        p[np.arange(len(x)), target] -= 1
        squares, loss, improbable = np.square(p), loss[:, None], focal_slope(loss)[0][:, None]
    probable = 1 - improbable
    bend = 2 * probable * (2 * improbable + loss * np.maximum(probable, improbable))
    slope = improbable * (improbable + 2 * loss * probable)
    return (squares * bend + products * slope) / loss.size


def torch_of_two_classes(functional: Any, x: Array, target: Array) -> All:
    p = x.sigmoid()
    loss = functional.binary_cross_entropy_with_logits(x, target)
    return loss, (p - target).div_(x.numel()), (p * (1 - p)).div_(x.numel())


def torch_of_signs(functional: Any, x: Array, target: Array) -> All:
    p = (-target * x).sigmoid_()
    hess = (p * (1 - p)).div_(x.numel())
    return functional.soft_margin_loss(x, target), p.mul_(target).div_(-x.numel()), hess


def torch_focal_of_two_classes(functional: Any, x: Array, target: Array) -> All:
    sign = 2 * target - 1
    loss, improbable = functional.softplus(-sign * x), (-sign * x).sigmoid()
    weight = (0.5 - 0.25 * sign).mul_(improbable)
    slope = improbable * (improbable + 2 * loss * (1 - improbable))
    hess = weight * (focal_bend(improbable, loss) * improbable + slope * (1 - improbable))
    return (weight * loss * improbable).mean(), (-sign * weight * slope).div_(x.numel()), hess.div_(x.numel())


def torch_of_labels(functional: Any, x: Array, target: Array) -> All:
    p, label = x.softmax(-1), target[:, None]
    hess = (p * (1 - p)).div_(len(x))
    p.scatter_(-1, label, p.gather(-1, label) - 1)
    return functional.cross_entropy(x, target), p.div_(len(x)), hess


def torch_focal_of_labels(functional: Any, x: Array, target: Array) -> All:
    loss = functional.cross_entropy(x, target, reduction="none")[:, None]
    p, improbable = x.softmax(-1), -(-loss).expm1()
    slope = improbable * (improbable + 2 * loss * (1 - improbable)) / len(x)
    bend = focal_bend(improbable, loss) / len(x)
    hess, label = p * (slope + (bend - slope) * p), target[:, None]
    hess.scatter_(-1, label, improbable * (bend * improbable + slope * (1 - improbable)))
    grad = p.mul_(slope).scatter_(-1, label, -slope * improbable)
    return (loss * improbable.square()).mean(), grad, hess


def _idiom(name: str, arrays: Any, torch: str, jax: str) -> dict[str, RowIdiom]:
    """That of a loss with two derivatives."""
    name = f"{name}_with_grad_hess"
    statement = f"curved.{name}(x, target, out=out)"
    both = "(np.zeros_like(x), np.zeros_like(x))"
    torch = f"curved.{torch}(F, x, target)"
    return {name: RowIdiom("x, target", statement, both, arrays, torch=torch, jax=jax)}


SLOPE, BEND = "q * (q + 2 * loss * (1 - q))", "2 * (1 - q) * (2 * q + loss * (1 - 2 * q))"
"""Of the focal loss by a cross-entropy, given what its label's probability leaves of 1."""

LOSSES = {
    **_idiom(
        "binary_cross_entropy_with_logits",
        labels_of_two,
        "torch_of_two_classes",
        "((nn.softplus(x) - x * target).mean(), (nn.sigmoid(x) - target) / x.size, nn.sigmoid(x) * nn.sigmoid(-x) / x.size)",
    ),
    **_idiom(
        "logistic_loss",
        signs,
        "torch_of_signs",
        "(nn.softplus(-target * x).mean(), -target * nn.sigmoid(-target * x) / x.size, nn.sigmoid(x) * nn.sigmoid(-x) / x.size)",
    ),
    **_idiom(
        "sigmoid_focal_loss",
        labels_of_two,
        "torch_focal_of_two_classes",
        "(lambda loss, q, weight, sign: ("
        "(weight * loss * q**2).mean(), "
        f"-sign * weight * q * {SLOPE} / x.size, "
        f"weight * q * (q * {BEND} + (1 - q) * {SLOPE}) / x.size))"
        f"(nn.softplus({AGAINST}), nn.sigmoid({AGAINST}), 0.75 - 0.5 * target, 2 * target - 1)",
    ),
    **_idiom(
        "cross_entropy",
        labels,
        "torch_of_labels",
        f"(lambda p: ((nn.logsumexp(x, -1) - {LABEL}[:, 0]).mean(), (p - {HOT}) / len(x), p * (1 - p) / len(x)))"
        "(nn.softmax(x))",
    ),
    **_idiom(
        "focal_loss",
        labels,
        "torch_focal_of_labels",
        "(lambda p, hot, loss: (lambda q: ("
        "(loss * q**2).mean(), "
        f"{SLOPE} * (p - hot) / len(x), "
        f"({BEND} * (p - hot)**2 + {SLOPE} * p * (1 - p)) / len(x)))(-jnp.expm1(-loss)))"
        f"(nn.softmax(x), {HOT}, nn.logsumexp(x, -1)[:, None] - {LABEL})",
    ),
}
"""By public function."""
