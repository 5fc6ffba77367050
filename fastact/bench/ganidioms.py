"""What careful users of NumPy, PyTorch and JAX write for the losses of generative adversarial networks, of the usual kind."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .lossidioms import decaying, sigmoid, softplus
from .rowidiom import Arrays, RowIdiom, only_x

Array = Any


def _as_fake(x: Array) -> Array:
    """The mean loss of outputs that should say that samples are generated."""
    return softplus(x, decaying(x)).mean()


def _as_real(x: Array) -> Array:
    return _as_fake(-x)


def _as_fake_with_grad(x: Array, out: Array = None) -> tuple[Array, Array]:
    exponential = decaying(x)
    grad = sigmoid(x, exponential, out)
    grad *= 1 / x.size
    return softplus(x, exponential).mean(), grad


def _as_real_with_grad(x: Array, out: Array = None) -> tuple[Array, Array]:
    loss, grad = _as_fake_with_grad(-x, out)
    return loss, np.negative(grad, out=grad)


def gan_generator_loss(x: Array) -> Array:
    return _as_real(x)


def gan_generator_loss_with_grad(x: Array, out: Array = None) -> tuple[Array, Array]:
    return _as_real_with_grad(x, out)


def gan_discriminator_loss(x: Array, fake: Array) -> Array:
    return _as_real(x) + _as_fake(fake)


def gan_discriminator_loss_with_grad(
    x: Array, fake: Array, out: tuple[Array, Array] = (None, None)
) -> tuple[Array, Array, Array]:
    of_real, grad_real = _as_real_with_grad(x, out[0])
    of_fake, grad_fake = _as_fake_with_grad(fake, out[1])
    return of_real + of_fake, grad_real, grad_fake


def torch_loss_and_gradients(torch: Any, loss_of: Callable[..., Any], *operands: Array) -> tuple[Any, ...]:
    """The loss, and the gradients that autograd finds."""
    with torch.inference_mode(False), torch.enable_grad():
        leaves = [x.detach().requires_grad_() for x in operands]
        loss = loss_of(*leaves)
        loss.backward()
    return (loss.detach(), *(leaf.grad for leaf in leaves))


def _pairs(x: Array, pieces: int) -> Arrays:
    return {"fake": np.random.default_rng(2).standard_normal(x.shape, dtype=np.float32).astype(x.dtype)}


GENERATOR, DISCRIMINATOR = "-{}(x).mean()", "-({0}(x).mean() + {0}(-fake).mean())"
"""With the name of the logarithm of a sigmoid, which libraries have."""


def _idioms(
    name: str, arguments: str, loss: str, out: str, arrays: Callable[[Array, int], Arrays]
) -> dict[str, RowIdiom]:
    """Those of a loss and of the loss with its gradients."""
    torch, jax = loss.format("F.logsigmoid"), loss.format("nn.log_sigmoid")
    by = tuple(range(arguments.count(",") + 1))
    gradients = f"jax.value_and_grad(lambda {arguments}: {jax}, {by})({arguments})"
    return {
        name: RowIdiom(arguments, f"gans.{name}({arguments})", "", arrays, torch=torch, jax=jax),
        f"{name}_with_grad": RowIdiom(
            arguments,
            f"gans.{name}_with_grad({arguments}, out=out)",
            out,
            arrays,
            torch=f"gans.torch_loss_and_gradients(torch, lambda {arguments}: {torch}, {arguments})",
            jax=gradients,
        ),
    }


LOSSES = {
    **_idioms("gan_generator_loss", "x", GENERATOR, "np.zeros_like(x)", only_x),
    **_idioms("gan_discriminator_loss", "x, fake", DISCRIMINATOR, "(np.zeros_like(x), np.zeros_like(fake))", _pairs),
}
"""By public function."""
