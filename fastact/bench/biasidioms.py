"""What careful users of NumPy and PyTorch write for a bias and an activation, with which a layer ends."""

from typing import Any

import numpy as np

from .programidioms import CUBIC, FACTOR
from .rowidiom import Arrays, RowIdiom

Array = Any


def gelu_tanh(x: Array, bias: Array, out: Array = None) -> Array:
    """The usual approximation of gelu, which needs no error function."""
    total = x + bias
    y = np.multiply(total, total, out=out)
    y *= x.dtype.type(FACTOR * CUBIC)
    y += x.dtype.type(FACTOR)
    y *= total
    np.tanh(y, out=y)
    y += 1
    y *= total
    y *= x.dtype.type(0.5)
    return y


def gelu_tanh_backward(grad: Array, x: Array, bias: Array) -> tuple[Array, Array]:
    """The gradients by both."""
    total = x + bias
    squares = total * total
    t = np.tanh(total * (x.dtype.type(FACTOR) + x.dtype.type(FACTOR * CUBIC) * squares))
    slope = x.dtype.type(0.5 * FACTOR) * total * (1 - t * t) * (1 + x.dtype.type(3 * CUBIC) * squares)
    slope += x.dtype.type(0.5) * (1 + t)
    slope *= grad
    return slope, slope.sum(0)


def _bias(x: Array, pieces: int) -> Arrays:
    return {"bias": np.random.default_rng(3).normal(size=x.shape[-1]).astype(x.dtype)}


def _backward(x: Array, pieces: int) -> Arrays:
    return {**_bias(x, pieces), "grad": x[::-1].copy()}


ROWS = {
    "bias_activation": RowIdiom(
        "x, bias, 'gelu_tanh'",
        "biased.gelu_tanh(x, bias, out=out)",
        "np.zeros_like(x)",
        _bias,
        torch="F.gelu(x + bias, approximate='tanh')",
        jax="nn.gelu(x + bias, approximate=True)",
    ),
    "bias_activation_backward": RowIdiom(
        "grad, x, bias, 'gelu_tanh'",
        "biased.gelu_tanh_backward(grad, x, bias)",
        arrays=_backward,
        torch="(g := aten.gelu_backward(grad, x + bias, approximate='tanh'), g.sum(0))",
    ),
}
"""By public function."""
