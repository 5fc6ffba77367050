"""What careful users of NumPy and PyTorch write for the gradients of activations from their saved outputs."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .rowidiom import Arrays, RowIdiom

SELU = 1.6732632423543772, 1.0507009873554805


def _saved(value: Callable[[Any], Any]) -> Callable[[Any, int], Arrays]:
    """A gradient, and the output for an array."""
    return lambda x, pieces: {"grad": x[::-1].copy(), "y": value(x).astype(x.dtype)}


def _elu(x: Any) -> Any:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _idiom(value: Callable[[Any], Any], numpy: str, torch: str) -> RowIdiom:
    return RowIdiom("grad, y", numpy, "np.zeros_like(x)", _saved(value), torch=f"aten.{torch}, grad_input=out)")


ROWS = {
    f"{name}_backward_from_output": idiom
    for name, idiom in {
        "sigmoid": _idiom(
            lambda x: 1 / (1 + np.exp(-x)),
            "np.multiply(grad, y * (1 - y), out=out)",
            "sigmoid_backward.grad_input(grad, y",
        ),
        "tanh": _idiom(np.tanh, "np.multiply(grad, 1 - y * y, out=out)", "tanh_backward.grad_input(grad, y"),
        "relu": _idiom(
            lambda x: np.maximum(x, 0),
            "np.multiply(grad, y > 0, out=out)",
            "threshold_backward.grad_input(grad, y, 0",
        ),
        "leaky_relu": _idiom(
            lambda x: np.where(x > 0, x, 0.01 * x),
            "np.where(y > 0, grad, 0.01 * grad)",
            "leaky_relu_backward.grad_input(grad, y, 0.01, True",
        ),
        "elu": _idiom(
            _elu,
            "np.multiply(grad, np.where(y > 0, 1, y + 1), out=out)",
            "elu_backward.grad_input(grad, 1, 1, 1, True, y",
        ),
        "celu": _idiom(
            _elu,
            "np.multiply(grad, np.where(y > 0, 1, y + 1), out=out)",
            "elu_backward.grad_input(grad, 1, 1, 1, True, y",
        ),
        "selu": _idiom(
            lambda x: SELU[1] * np.where(x > 0, x, SELU[0] * np.expm1(np.minimum(x, 0))),
            f"np.multiply(grad, np.where(y > 0, {SELU[1]}, y + {SELU[0] * SELU[1]}), out=out)",
            f"elu_backward.grad_input(grad, {SELU[0]}, {SELU[1]}, 1, True, y",
        ),
        "softplus": RowIdiom(
            "grad, y",
            "np.multiply(grad, -np.expm1(-y), out=out)",
            "np.zeros_like(x)",
            _saved(lambda x: np.logaddexp(0, x)),
        ),
    }.items()
}
"""By public function. PyTorch's softplus has a gradient from its input alone."""
