"""What careful users of NumPy, PyTorch and JAX write for the steps of optimizers, penalties and the clipping of gradients.

Steps change their arrays. Each contender has copies of its own, from which every repetition begins anew with the clock stopped.
"""

from typing import Any

import numpy as np

from .rowidiom import Arrays, RowIdiom

Array = Any


def sgd(param: Array, grad: Array, buffer: Array) -> tuple[Array, Array]:
    buffer *= 0.9
    buffer += grad
    param -= 1e-3 * buffer
    return param, buffer


def adam(param: Array, grad: Array, m: Array, v: Array, step: int) -> tuple[Array, Array, Array]:
    m *= 0.9
    m += (1 - 0.9) * grad
    v *= 0.999
    v += (1 - 0.999) * (grad * grad)
    root = np.sqrt(v)
    root *= (1 - 0.999**step) ** -0.5
    root += 1e-8
    np.divide(m, root, out=root)
    root *= 1e-3 / (1 - 0.9**step)
    param -= root
    return param, m, v


def adamw(param: Array, grad: Array, m: Array, v: Array, step: int) -> tuple[Array, Array, Array]:
    param *= 1 - 1e-3 * 1e-2
    return adam(param, grad, m, v, step)


def rmsprop(param: Array, grad: Array, v: Array) -> tuple[Array, Array]:
    v *= 0.99
    v += (1 - 0.99) * (grad * grad)
    root = np.sqrt(v)
    root += 1e-8
    np.divide(grad, root, out=root)
    root *= 1e-2
    param -= root
    return param, v


def adagrad(param: Array, grad: Array, v: Array) -> tuple[Array, Array]:
    v += grad * grad
    root = np.sqrt(v)
    root += 1e-10
    np.divide(grad, root, out=root)
    root *= 1e-2
    param -= root
    return param, v


def clip_grad_norm(param: Array, limit: float) -> Array:
    norm = np.sqrt(np.vdot(param, param))
    scale = limit / (norm + 1e-6)
    if scale < 1:
        param *= scale
    return np.float64(norm)


def clip_grad_value(param: Array, limit: float) -> Array:
    return np.clip(param, -limit, limit, out=param)


def l1_penalty(x: Array) -> Array:
    return 0.5 * np.sum(np.abs(x))


def l1_penalty_with_grad(x: Array, out: Array = None) -> tuple[Array, Array]:
    grad = np.sign(x, out=out)
    grad *= 0.5
    return 0.5 * np.sum(np.abs(x)), grad


def l2_penalty(x: Array) -> Array:
    return 0.25 * np.vdot(x, x)


def l2_penalty_with_grad(x: Array, out: Array = None) -> tuple[Array, Array]:
    return 0.25 * np.vdot(x, x), np.multiply(x, x.dtype.type(0.5), out=out)


def torch_norm(torch: Any, param: Array, limit: float) -> Array:
    """PyTorch's own function, less the look for parameters."""
    norm = torch.linalg.vector_norm(param)
    param.mul_((limit / (norm + 1e-6)).clamp(max=1.0))
    return norm.double()


def torch_step(torch: Any, name: str, *arrays: Array, **options: Any) -> tuple[Array, ...]:
    """PyTorch's fused step, without what its optimizer does around it: of Adam the third, `step` counts it already."""
    param, grad, *state = arrays
    step = torch.tensor(3.0)
    lists = {"sgd": [state], "adagrad": [state, [step]]}.get(name) or [state[:1], state[1:], [], [step]]
    getattr(torch, f"_fused_{name}_")([param], [grad], *lists, **options)
    return arrays[:1] + arrays[2:]


def torch_rmsprop(torch: Any, param: Array, grad: Array, v: Array) -> tuple[Array, Array]:
    """PyTorch has no fused step of RMSprop."""
    v.mul_(0.99).addcmul_(grad, grad, value=1 - 0.99)
    param.addcdiv_(grad, v.sqrt().add_(1e-8), value=-1e-2)
    return param, v


def _state(x: Array, pieces: int) -> Arrays:
    """A gradient, and what was kept of others."""
    grad, v = x[::-1].copy(), np.square(x)
    return {"grad": grad, "m0": grad / 2, "v0": v, "param": x.copy(), "m": grad / 2, "v": v.copy()}


def _idiom(arguments: str, numpy: str, torch: str, jax: str, changed: str) -> RowIdiom:
    return RowIdiom(arguments, numpy, arrays=_state, torch=torch, jax=jax, changed=changed)


ADAM_OPTIONS = "lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, amsgrad=False, maximize=False"
ADAM_JAX = (
    "(lambda m, v: ({param} - 1e-3 / (1 - 0.9**3) * m / (jnp.sqrt(v / (1 - 0.999**3)) + 1e-8), m, v))"
    "(0.9 * m + (1 - 0.9) * grad, 0.999 * v + (1 - 0.999) * grad**2)"
)

STEPS = {
    "sgd_step": _idiom(
        "param, grad, m, momentum=0.9",
        "steps.sgd(param, grad, m)",
        "steps.torch_step(torch, 'sgd', param, grad, m, weight_decay=0.0, momentum=0.9, lr=1e-3, dampening=0.0, "
        "nesterov=False, maximize=False, is_first_step=False)",
        "(lambda m: (param - 1e-3 * m, m))(0.9 * m + grad)",
        "param m",
    ),
    "adam_step": _idiom(
        "param, grad, m, v, 3",
        "steps.adam(param, grad, m, v, 3)",
        f"steps.torch_step(torch, 'adam', param, grad, m, v, weight_decay=0.0, {ADAM_OPTIONS})",
        ADAM_JAX.replace("{param}", "param"),
        "param m v",
    ),
    "adamw_step": _idiom(
        "param, grad, m, v, 3",
        "steps.adamw(param, grad, m, v, 3)",
        f"steps.torch_step(torch, 'adamw', param, grad, m, v, weight_decay=1e-2, {ADAM_OPTIONS})",
        ADAM_JAX.replace("{param}", "param * (1 - 1e-3 * 1e-2)"),
        "param m v",
    ),
    "rmsprop_step": _idiom(
        "param, grad, v",
        "steps.rmsprop(param, grad, v)",
        "steps.torch_rmsprop(torch, param, grad, v)",
        "(lambda v: (param - 1e-2 * grad / (jnp.sqrt(v) + 1e-8), v))(0.99 * v + (1 - 0.99) * grad**2)",
        "param v",
    ),
    "adagrad_step": _idiom(
        "param, grad, v",
        "steps.adagrad(param, grad, v)",
        "steps.torch_step(torch, 'adagrad', param, grad, v, lr=1e-2, lr_decay=0.0, weight_decay=0.0, eps=1e-10, maximize=False)",
        "(lambda v: (param - 1e-2 * grad / (jnp.sqrt(v) + 1e-10), v))(v + grad**2)",
        "param v",
    ),
    "clip_grad_value": _idiom(
        "param, 1.0",
        "steps.clip_grad_value(param, 1.0)",
        "param.clamp_(-1.0, 1.0)",
        "jnp.clip(param, -1.0, 1.0)",
        "param",
    ),
}
"""By public function: those that change their arrays."""

OVER_ALL = {
    "clip_grad_norm": _idiom(
        "param, 1.0",
        "steps.clip_grad_norm(param, 1.0)",
        "steps.torch_norm(torch, param, 1.0)",
        "(lambda norm: (norm.astype(float), param * jnp.minimum(1.0 / (norm + 1e-6), 1)))(jnp.linalg.norm(param.ravel()))",
        "param",
    ),
    "l1_penalty": RowIdiom("x, 0.5", "steps.l1_penalty(x)", torch="0.5 * x.abs().sum()", jax="0.5 * jnp.abs(x).sum()"),
    "l1_penalty_with_grad": RowIdiom(
        "x, 0.5",
        "steps.l1_penalty_with_grad(x, out=out)",
        "np.zeros_like(x)",
        torch="(0.5 * x.abs().sum(), torch.mul(x.sign(), 0.5, out=out))",
        jax="(0.5 * jnp.abs(x).sum(), 0.5 * jnp.sign(x))",
    ),
    "l2_penalty": RowIdiom(
        "x, 0.5", "steps.l2_penalty(x)", torch="0.25 * torch.dot(x.ravel(), x.ravel())", jax="0.25 * (x * x).sum()"
    ),
    "l2_penalty_with_grad": RowIdiom(
        "x, 0.5",
        "steps.l2_penalty_with_grad(x, out=out)",
        "np.zeros_like(x)",
        torch="(0.25 * torch.dot(x.ravel(), x.ravel()), torch.mul(x, 0.5, out=out))",
        jax="(0.25 * (x * x).sum(), 0.5 * x)",
    ),
}
"""By public function: those whose numbers depend on all elements."""
