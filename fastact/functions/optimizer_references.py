"""Steps of optimizers in plain NumPy: what becomes of the parameters, and of what is kept, as new arrays."""

from typing import Any

import numpy as np


def _decayed(grad: Any, weight_decay: float, param: Any) -> Any:
    return grad + weight_decay * param if weight_decay else grad


def sgd(
    param: Any,
    grad: Any,
    momentum_buffer: Any = None,
    *,
    lr: float = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    first: bool = False,
) -> tuple[Any, ...]:
    """Gradient descent."""
    grad = _decayed(grad, weight_decay, param)
    if not momentum:
        return param - lr * grad, momentum_buffer
    buffer = grad if first else momentum * momentum_buffer + (1 - dampening) * grad
    return param - lr * (grad + momentum * buffer if nesterov else buffer), buffer


def adam(
    param: Any,
    grad: Any,
    m: Any,
    v: Any,
    step: int,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    max_v: Any = None,
) -> tuple[Any, ...]:
    """Adam, of the means' corrected values."""
    grad = _decayed(grad, weight_decay, param)
    m = betas[0] * m + (1 - betas[0]) * grad
    v = betas[1] * v + (1 - betas[1]) * grad**2
    largest = v if max_v is None else np.maximum(v, max_v)
    direction = m / (1 - betas[0] ** step) / (np.sqrt(largest / (1 - betas[1] ** step)) + eps)
    return param - lr * direction, m, v, *(() if max_v is None else (largest,))


def adamw(param: Any, grad: Any, m: Any, v: Any, step: int, *, weight_decay: float = 1e-2, **options: Any) -> Any:
    """Adam of parameters that have shrunk."""
    shrunk = (1 - options.get("lr", 1e-3) * weight_decay) * param
    return adam(shrunk, grad, m, v, step, **options)


def rmsprop(
    param: Any,
    grad: Any,
    square_avg: Any,
    *,
    grad_avg: Any = None,
    momentum_buffer: Any = None,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
) -> tuple[Any, ...]:
    """RMSprop: then the mean of gradients and the buffer, if there are such."""
    grad = _decayed(grad, weight_decay, param)
    square_avg = alpha * square_avg + (1 - alpha) * grad**2
    variance, more = square_avg, []
    if grad_avg is not None:
        more = [alpha * grad_avg + (1 - alpha) * grad]
        variance = np.maximum(square_avg - more[0] ** 2, 0)
    direction = grad / (np.sqrt(variance) + eps)
    if momentum:
        direction = momentum * momentum_buffer + direction
        more.append(direction)
    return param - lr * direction, square_avg, *more


def adagrad(
    param: Any,
    grad: Any,
    state_sum: Any,
    step: int = 1,
    *,
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
) -> tuple[Any, ...]:
    """Adagrad."""
    grad = _decayed(grad, weight_decay, param)
    total = state_sum + grad**2
    return param - lr / (1 + (step - 1) * lr_decay) * grad / (np.sqrt(total) + eps), total
