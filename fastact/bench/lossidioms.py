"""What careful users of NumPy, PyTorch and JAX write for the losses of single elements: their values, and with gradients.

NumPy's functions compute in the dtype of their arguments, in place where they can, and in as few passes as are needed. Targets of
two classes are labels, in the arguments' dtype: 0 and 1 for cross-entropies and the focal loss, -1 and 1 for margins. Divergences
are those of rows, of which the mean is taken; of all other losses it is that of all elements.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .rowidiom import Arrays, RowIdiom
from .rowidioms import log_softmax, softmax

Array = Any
Both = tuple[Array, Array]

ALPHA = 0.25
"""The positive class's weight in the focal loss, whose gamma is 2."""
LOG_FLOOR, LEAST_VARIANCE = -100.0, 1e-12
"""PyTorch's bounds of the cross-entropy of probabilities and of its gradient's divisor."""


def softplus(x: Array, exponential: Array) -> Array:
    """``log(1 + exp(x))``, written over the exponential of ``-abs(x)``."""
    np.log1p(exponential, out=exponential)
    exponential += np.maximum(x, 0)
    return exponential


def decaying(x: Array) -> Array:
    """``exp(-abs(x))``, which never overflows."""
    exponential = np.abs(x)
    np.negative(exponential, out=exponential)
    return np.exp(exponential, out=exponential)


def sigmoid(x: Array, exponential: Array, out: Array = None) -> Array:
    """The logistic function, given the exponential of ``-abs(x)``."""
    return np.divide(np.where(x < 0, exponential, 1), 1 + exponential, out=out)


def _per_element(grad: Array) -> Array:
    grad *= 1 / grad.size
    return grad


def _per_row(grad: Array) -> Array:
    grad *= 1 / len(grad)
    return grad


def binary_cross_entropy_with_logits(x: Array, target: Array) -> Array:
    loss = softplus(x, decaying(x))
    loss -= x * target
    return loss.mean()


def binary_cross_entropy_with_logits_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    exponential = decaying(x)
    grad = sigmoid(x, exponential, out)
    grad -= target
    loss = softplus(x, exponential)
    loss -= x * target
    return loss.mean(), _per_element(grad)


def binary_cross_entropy(x: Array, target: Array) -> Array:
    positive, negative = np.log(x), np.negative(x)
    np.log1p(negative, out=negative)
    for part, share in ((positive, target), (negative, 1 - target)):
        np.maximum(part, LOG_FLOOR, out=part)
        part *= share
    positive += negative
    return -positive.mean()


def binary_cross_entropy_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    grad = np.subtract(1, x, out=out)
    grad *= x
    np.maximum(grad, LEAST_VARIANCE, out=grad)
    np.divide(x - target, grad, out=grad)
    return binary_cross_entropy(x, target), _per_element(grad)


def logistic_loss(x: Array, target: Array) -> Array:
    margin = x * target
    np.negative(margin, out=margin)
    return softplus(margin, decaying(margin)).mean()


def logistic_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    margin = x * target
    np.negative(margin, out=margin)
    exponential = decaying(margin)
    grad = sigmoid(margin, exponential, out)
    grad *= target
    grad *= -1 / grad.size
    return softplus(margin, exponential).mean(), grad


def _lacking(x: Array, target: Array) -> Array:
    """What is missing from a margin of one, or less than nothing."""
    margin = x * target
    return np.subtract(1, margin, out=margin)


def hinge_loss(x: Array, target: Array) -> Array:
    lacking = _lacking(x, target)
    return np.maximum(lacking, 0, out=lacking).mean()


def hinge_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    lacking = _lacking(x, target)
    grad = np.multiply(lacking > 0, target, out=out)
    grad *= -1 / grad.size
    return np.maximum(lacking, 0, out=lacking).mean(), grad


def squared_hinge_loss(x: Array, target: Array) -> Array:
    lacking = _lacking(x, target)
    np.maximum(lacking, 0, out=lacking)
    return np.square(lacking, out=lacking).mean()


def squared_hinge_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    lacking = _lacking(x, target)
    np.maximum(lacking, 0, out=lacking)
    grad = np.multiply(lacking, target, out=out)
    grad *= -2 / grad.size
    return np.square(lacking, out=lacking).mean(), grad


def focal_parts(x: Array, target: Array) -> tuple[Array, Array, Array, Array]:
    """The label's sign, its class's weight, its improbability, and its cross-entropy."""
    sign = 2 * target
    sign -= 1
    weight = target * (2 * ALPHA - 1)
    weight += 1 - ALPHA
    margin = x * sign
    np.negative(margin, out=margin)
    exponential = decaying(margin)
    improbable = sigmoid(margin, exponential)
    return sign, weight, improbable, softplus(margin, exponential)


def sigmoid_focal_loss(x: Array, target: Array) -> Array:
    _, weight, improbable, loss = focal_parts(x, target)
    loss *= np.square(improbable, out=improbable)
    loss *= weight
    return loss.mean()


def sigmoid_focal_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    sign, weight, improbable, loss = focal_parts(x, target)
    grad = np.subtract(1, improbable, out=out)
    grad *= loss
    grad *= 2
    grad += improbable
    weight *= np.square(improbable, out=improbable)
    grad *= weight
    grad *= sign
    grad *= -1 / grad.size
    loss *= weight
    return loss.mean(), grad


def mse_loss(x: Array, target: Array) -> Array:
    difference = x - target
    return np.square(difference, out=difference).mean()


def mse_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    grad = np.subtract(x, target, out=out)
    loss = np.square(grad).mean()
    grad *= 2 / grad.size
    return loss, grad


def l1_loss(x: Array, target: Array) -> Array:
    difference = x - target
    return np.abs(difference, out=difference).mean()


def l1_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    grad = np.subtract(x, target, out=out)
    loss = np.abs(grad).mean()
    return loss, _per_element(np.sign(grad, out=grad))


def huber_loss(x: Array, target: Array) -> Array:
    size = x - target
    np.abs(size, out=size)
    near = np.minimum(size, 1)
    size -= 0.5 * near
    size *= near
    return size.mean()


def huber_loss_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    loss = x - target
    grad = np.clip(loss, -1, 1, out=out)
    loss -= 0.5 * grad
    loss *= grad
    return loss.mean(), _per_element(grad)


smooth_l1_loss, smooth_l1_loss_with_grad = huber_loss, huber_loss_with_grad


def log_cosh(x: Array, target: Array) -> Array:
    size = x - target
    np.abs(size, out=size)
    decaying = -2 * size
    np.exp(decaying, out=decaying)
    np.log1p(decaying, out=decaying)
    size += decaying
    size -= math.log(2)
    return size.mean()


def log_cosh_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    grad = np.subtract(x, target, out=out)
    return log_cosh(x, target), _per_element(np.tanh(grad, out=grad))


def kl_div(x: Array, target: Array) -> Array:
    loss = np.log(target)
    loss -= x
    loss *= target
    return loss.sum() / len(x)


def kl_div_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    return kl_div(x, target), _per_row(np.negative(target, out=out))


def js_div(x: Array, target: Array) -> Array:
    return js_div_with_grad(x, target)[0]


def js_div_with_grad(x: Array, target: Array, out: Array = None) -> Both:
    middle = x + target
    middle *= 0.5
    grad, loss = np.divide(x, middle, out=out), np.divide(target, middle, out=middle)
    np.log(grad, out=grad)
    np.log(loss, out=loss)
    loss *= target
    loss += x * grad
    grad *= 0.5 / len(x)
    return 0.5 * loss.sum() / len(x), grad


def torch_sigmoid_focal_loss(functional: Any, x: Array, target: Array) -> Any:
    """As torchvision has it."""
    p = x.sigmoid()
    improbable = p + target - 2 * p * target
    loss = functional.binary_cross_entropy_with_logits(x, target, reduction="none") * improbable**2
    return ((1 - ALPHA + (2 * ALPHA - 1) * target) * loss).mean()


def torch_log_cosh(functional: Any, x: Array, target: Array) -> Any:
    difference = x - target
    return (difference + functional.softplus(-2 * difference) - math.log(2)).mean()


def torch_js_div(x: Array, target: Array) -> Any:
    middle = 0.5 * (x + target)
    return 0.5 * (x * (x / middle).log() + target * (target / middle).log()).sum() / len(x)


def torch_loss_and_gradient(torch: Any, loss_of: Callable[[Any], Any], x: Array) -> tuple[Any, Any]:
    """The loss, and the gradient that autograd finds."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = x.detach().requires_grad_()
        loss = loss_of(leaf)
        loss.backward()
    return loss.detach(), leaf.grad


def labels_of_two(x: Array, pieces: int) -> Arrays:
    return {"target": np.random.default_rng(2).integers(0, 2, x.shape).astype(x.dtype)}


def signs(x: Array, pieces: int) -> Arrays:
    return {"target": 2 * labels_of_two(x, pieces)["target"] - 1}


def _of_probabilities(x: Array, pieces: int) -> Arrays:
    return {"x": sigmoid(x, decaying(x)), **labels_of_two(x, pieces)}


def _numbers(x: Array, pieces: int) -> Arrays:
    return {"target": np.random.default_rng(2).standard_normal(x.shape, dtype=np.float32).astype(x.dtype)}


def _distributions(x: Array, pieces: int) -> Arrays:
    return {"x": softmax(x), "target": softmax(_numbers(x, pieces)["target"])}


def _of_logarithms(x: Array, pieces: int) -> Arrays:
    return {"x": log_softmax(x), "target": softmax(_numbers(x, pieces)["target"])}


def idioms_of(
    name: str,
    arrays: Callable[[Array, int], Arrays],
    torch: str,
    jax: str,
    options: str = "",
    home: str = "losses",
) -> dict[str, RowIdiom]:
    """Those of a loss and of the loss with its gradient, given the statements of PyTorch and JAX for the loss.

    NumPy's functions are those of that name in the namespace ``home``.
    """
    arguments = f"x, target{options}"
    gradient = f"losses.torch_loss_and_gradient(torch, lambda x: {torch}, x)"
    return {
        name: RowIdiom(arguments, f"{home}.{name}(x, target)", "", arrays, torch=torch, jax=jax),
        f"{name}_with_grad": RowIdiom(
            arguments,
            f"{home}.{name}_with_grad(x, target, out=out)",
            "np.zeros_like(x)",
            arrays,
            torch=gradient,
            jax=f"jax.value_and_grad(lambda x: {jax})(x)",
        ),
    }


BATCHMEAN = ', reduction="batchmean"'
AGAINST = "(1 - 2 * target) * x"
"""The logit of what is no label's class."""
HUBER = "jnp.where(jnp.abs(x - target) < 1, 0.5 * jnp.square(x - target), jnp.abs(x - target) - 0.5).mean()"

LOSSES = {
    **idioms_of(
        "binary_cross_entropy_with_logits",
        labels_of_two,
        "F.binary_cross_entropy_with_logits(x, target)",
        "(nn.softplus(x) - x * target).mean()",
    ),
    **idioms_of(
        "binary_cross_entropy",
        _of_probabilities,
        "F.binary_cross_entropy(x, target)",
        "-(target * jnp.maximum(jnp.log(x), -100) + (1 - target) * jnp.maximum(jnp.log1p(-x), -100)).mean()",
    ),
    **idioms_of("logistic_loss", signs, "F.soft_margin_loss(x, target)", "nn.softplus(-target * x).mean()"),
    **idioms_of("hinge_loss", signs, "F.relu(1 - target * x).mean()", "jnp.maximum(1 - target * x, 0).mean()"),
    **idioms_of(
        "squared_hinge_loss",
        signs,
        "F.relu(1 - target * x).square().mean()",
        "jnp.square(jnp.maximum(1 - target * x, 0)).mean()",
    ),
    **idioms_of(
        "sigmoid_focal_loss",
        labels_of_two,
        "losses.torch_sigmoid_focal_loss(F, x, target)",
        f"((0.75 - 0.5 * target) * nn.sigmoid({AGAINST}) ** 2 * nn.softplus({AGAINST})).mean()",
    ),
    **idioms_of("mse_loss", _numbers, "F.mse_loss(x, target)", "jnp.square(x - target).mean()"),
    **idioms_of("l1_loss", _numbers, "F.l1_loss(x, target)", "jnp.abs(x - target).mean()"),
    **idioms_of("huber_loss", _numbers, "F.huber_loss(x, target)", HUBER),
    **idioms_of("smooth_l1_loss", _numbers, "F.smooth_l1_loss(x, target)", HUBER),
    **idioms_of(
        "log_cosh",
        _numbers,
        "losses.torch_log_cosh(F, x, target)",
        f"(jnp.logaddexp(x - target, target - x) - {math.log(2)}).mean()",
    ),
    **idioms_of(
        "kl_div",
        _of_logarithms,
        f"F.kl_div(x, target{BATCHMEAN})",
        "(target * (jnp.log(target) - x)).sum() / len(x)",
        BATCHMEAN,
    ),
    **idioms_of(
        "js_div",
        _distributions,
        "losses.torch_js_div(x, target)",
        "0.5 * (x * jnp.log(2 * x / (x + target)) + target * jnp.log(2 * target / (x + target))).sum() / len(x)",
        BATCHMEAN,
    ),
}
"""By public function."""
