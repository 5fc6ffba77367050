"""What careful users of NumPy and PyTorch write for norms of rows and their gradients.

PyTorch's gradients are given the statistics that its forward pass has saved; ours and NumPy's compute them.
"""

from typing import Any

import numpy as np

from .rowidiom import Arrays, RowIdiom

Array = Any
EPS = 1e-5


def layer_norm(x: Array, weight: Array, bias: Array, out: Array = None) -> Array:
    y = np.subtract(x, x.mean(-1, keepdims=True), out=out)
    y /= np.sqrt(np.einsum("...i,...i->...", y, y)[..., None] / x.dtype.type(x.shape[-1]) + x.dtype.type(EPS))
    y *= weight
    y += bias
    return y


def rms_norm(x: Array, weight: Array, out: Array = None) -> Array:
    squares = np.einsum("...i,...i->...", x, x)[..., None] / x.dtype.type(x.shape[-1])
    y = np.divide(x, np.sqrt(squares + x.dtype.type(EPS)), out=out)
    y *= weight
    return y


def layer_norm_backward(grad: Array, x: Array, weight: Array) -> tuple[Array, Array, Array]:
    normed = x - x.mean(-1, keepdims=True)
    scale = 1 / np.sqrt(
        np.einsum("...i,...i->...", normed, normed)[..., None] / x.dtype.type(x.shape[-1]) + x.dtype.type(EPS)
    )
    normed *= scale
    grad_x = grad * weight
    product = np.einsum("...i,...i->...", grad_x, normed)[..., None] / x.dtype.type(x.shape[-1])
    grad_x -= grad_x.mean(-1, keepdims=True)
    grad_x -= normed * product
    grad_x *= scale
    return grad_x, np.einsum("ij,ij->j", grad, normed), grad.sum(0)


def rms_norm_backward(grad: Array, x: Array, weight: Array) -> tuple[Array, Array]:
    scale = 1 / np.sqrt(np.einsum("...i,...i->...", x, x)[..., None] / x.dtype.type(x.shape[-1]) + x.dtype.type(EPS))
    normed = x * scale
    grad_x = grad * weight
    grad_x -= normed * (np.einsum("...i,...i->...", grad_x, normed)[..., None] / x.dtype.type(x.shape[-1]))
    grad_x *= scale
    return grad_x, np.einsum("ij,ij->j", grad, normed)


def _shared(x: Array, pieces: int) -> Arrays:
    rng = np.random.default_rng(3)
    return {name: rng.normal(size=x.shape[-1]).astype(x.dtype) for name in ("weight", "bias")}


def _backward(x: Array, pieces: int) -> Arrays:
    mean = x.mean(-1, keepdims=True, dtype=np.float64)
    scale = 1 / np.sqrt(x.var(-1, keepdims=True, dtype=np.float64) + EPS)
    saved = {"mean": mean.astype(x.dtype), "scale": scale.astype(x.dtype)}
    return {**_shared(x, pieces), **saved, "grad": x[::-1].copy()}


NORMS = {
    "layer_norm": RowIdiom(
        "x, weight, bias",
        "norms.layer_norm(x, weight, bias, out=out)",
        "np.zeros_like(x)",
        _shared,
        torch="F.layer_norm(x, x.shape[-1:], weight, bias)",
    ),
    "layer_norm_backward": RowIdiom(
        "grad, x, weight",
        "norms.layer_norm_backward(grad, x, weight)",
        arrays=_backward,
        torch="aten.native_layer_norm_backward(grad, x, x.shape[-1:], mean, scale, weight, bias, [True, True, True])",
    ),
    "rms_norm": RowIdiom(
        "x, weight",
        "norms.rms_norm(x, weight, out=out)",
        "np.zeros_like(x)",
        _shared,
        torch="F.rms_norm(x, x.shape[-1:], weight, 1e-5)",
    ),
    "rms_norm_backward": RowIdiom("grad, x, weight", "norms.rms_norm_backward(grad, x, weight)", arrays=_backward),
}
"""By public function."""
