"""What careful users of NumPy and PyTorch write for norms of channels and of vectors, residual norms, and rotary positions."""

from typing import Any

import numpy as np

from . import normidioms
from .rowidiom import Arrays, RowIdiom

Array = Any
EPS = 1e-5


def normed(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Elements less their mean over their deviation, and one over that."""
    centred = x - x.mean(axes, keepdims=True)
    scale = 1 / np.sqrt(np.square(centred).mean(axes, keepdims=True) + x.dtype.type(EPS))
    centred *= scale
    return centred, scale


def norm(x: Array, axes: tuple[int, ...], weight: Array, bias: Array, out: Array = None) -> Array:
    y = np.multiply(normed(x, axes)[0], _of_channels(weight, x), out=out)
    y += _of_channels(bias, x)
    return y


def backward(grad: Array, x: Array, axes: tuple[int, ...], weight: Array) -> tuple[Array, Array, Array]:
    y, scale = normed(x, axes)
    others = tuple(axis for axis in range(x.ndim) if axis != 1)
    of_weight, of_bias = (grad * y).sum(others), grad.sum(others)
    grad = grad * _of_channels(weight, x)
    y *= (grad * y).mean(axes, keepdims=True)
    grad -= y
    grad -= grad.mean(axes, keepdims=True) + y.mean(axes, keepdims=True)
    grad *= scale
    return grad, of_weight, of_bias


def _of_channels(weight: Array, x: Array) -> Array:
    return weight.reshape(-1, *[1] * (x.ndim - 2))


def add_layer_norm(x: Array, residual: Array, weight: Array, bias: Array) -> tuple[Array, Array]:
    total = x + residual
    return normidioms.layer_norm(total, weight, bias), total


def add_rms_norm(x: Array, residual: Array, weight: Array) -> tuple[Array, Array]:
    total = x + residual
    return normidioms.rms_norm(total, weight), total


def l2_normalize(x: Array, out: Array = None) -> Array:
    length = np.sqrt(np.einsum("...i,...i->...", x, x))[..., None]
    return np.divide(x, np.maximum(length, x.dtype.type(1e-12)), out=out)


def l2_normalize_backward(grad: Array, x: Array, out: Array = None) -> Array:
    length = np.sqrt(np.einsum("...i,...i->...", x, x))[..., None]
    unit = x / length
    unit *= np.einsum("...i,...i->...", grad, unit)[..., None]
    y = np.subtract(grad, unit, out=out)
    y /= length
    return y


def rotary(x: Array, sign: int = 1, out: Array = None) -> Array:
    tokens, features = x.shape[-2:]
    angles = np.arange(tokens)[:, None] * 10000.0 ** (-np.arange(0, features, 2) / features)
    cos, sin = np.cos(angles).astype(x.dtype), (sign * np.sin(angles)).astype(x.dtype)
    y = np.empty_like(x) if out is None else out
    first, second = np.split(x, 2, -1)
    y[..., : features // 2] = first * cos - second * sin
    y[..., features // 2 :] = second * cos + first * sin
    return y


def alpha_dropout(x: Array, p: float, rng: Any, out: Array = None) -> Array:
    alpha = -1.7580993408473766
    scale = ((1 - p) * (1 + p * alpha**2)) ** -0.5
    kept = rng.random(x.shape, np.float64 if x.dtype == np.float64 else np.float32) >= p
    y = np.where(kept, x, x.dtype.type(alpha))
    y *= x.dtype.type(scale)
    return np.add(y, x.dtype.type(-scale * alpha * p), out=out)


def alpha_dropout_backward(grad: Array, p: float, mask: Array, out: Array = None) -> Array:
    y = np.multiply(grad, mask, out=out)
    y *= grad.dtype.type(((1 - p) * (1 + p * 1.7580993408473766**2)) ** -0.5)
    return y


def _channels(x: Array, pieces: int) -> Arrays:
    rng = np.random.default_rng(3)
    return {name: rng.normal(size=x.shape[1]).astype(x.dtype) for name in ("weight", "bias")}


def _channels_back(x: Array, pieces: int) -> Arrays:
    return {**_channels(x, pieces), "grad": x[::-1].copy()}


def _images(x: Array, pieces: int) -> Arrays:
    """Of one image, whose channels the rows are."""
    x = x[None]
    return {"x": x, **_channels(x, pieces)}


def _images_back(x: Array, pieces: int) -> Arrays:
    return {**_images(x, pieces), "grad": x[None, ::-1].copy()}


def _residual(x: Array, pieces: int) -> Arrays:
    rng = np.random.default_rng(3)
    shared = {name: rng.normal(size=x.shape[-1]).astype(x.dtype) for name in ("weight", "bias")}
    return {"residual": x[::-1].copy(), **shared}


def _grad(x: Array, pieces: int) -> Arrays:
    return {"grad": x[::-1].copy()}


def _drawn(x: Array, pieces: int) -> Arrays:
    rng = np.random.default_rng(3)
    return {"grad": x[::-1].copy(), "rng": rng, "key": 3, "mask": rng.random(x.shape) >= 0.1}


_LIKE_X = "np.zeros_like(x)"
_IMAGE_AXES, _IMAGE = "(0, 2)", "x, weight, bias"

ROWS = {
    "batch_norm": RowIdiom(
        "x, weight, bias, training=True",
        f"channels.norm(x, {_IMAGE_AXES}, weight, bias, out=out)",
        _LIKE_X,
        _images,
        torch="F.batch_norm(x, None, None, weight, bias, True)",
    ),
    "batch_norm_backward": RowIdiom(
        "grad, x, weight, training=True",
        f"channels.backward(grad, x, {_IMAGE_AXES}, weight)",
        arrays=_images_back,
    ),
    "instance_norm": RowIdiom(
        _IMAGE,
        "channels.norm(x, (2,), weight, bias, out=out)",
        _LIKE_X,
        _images,
        torch="F.instance_norm(x, None, None, weight, bias)",
    ),
    "instance_norm_backward": RowIdiom(
        "grad, x, weight", "channels.backward(grad, x, (2,), weight)", arrays=_images_back
    ),
    "group_norm": RowIdiom(
        "x, 1, weight, bias",
        "channels.norm(x, (1,), weight, bias, out=out)",
        _LIKE_X,
        _channels,
        torch="F.group_norm(x, 1, weight, bias)",
    ),
    "group_norm_backward": RowIdiom(
        "grad, x, 1, weight", "channels.backward(grad, x, (1,), weight)", arrays=_channels_back
    ),
    "add_layer_norm": RowIdiom(
        "x, residual, weight, bias",
        "channels.add_layer_norm(x, residual, weight, bias)",
        arrays=_residual,
        torch="(lambda total: (F.layer_norm(total, x.shape[-1:], weight, bias), total))(x + residual)",
    ),
    "add_rms_norm": RowIdiom(
        "x, residual, weight",
        "channels.add_rms_norm(x, residual, weight)",
        arrays=_residual,
        torch="(lambda total: (F.rms_norm(total, x.shape[-1:], weight, 1e-5), total))(x + residual)",
    ),
    "l2_normalize": RowIdiom("x", "channels.l2_normalize(x, out=out)", _LIKE_X, torch="F.normalize(x, dim=-1)"),
    "l2_normalize_backward": RowIdiom("grad, x", "channels.l2_normalize_backward(grad, x, out=out)", _LIKE_X, _grad),
    "rotary": RowIdiom("x", "channels.rotary(x, out=out)", _LIKE_X),
    "rotary_backward": RowIdiom("grad", "channels.rotary(grad, -1, out=out)", _LIKE_X, _grad),
    "alpha_dropout": RowIdiom(
        "x, 0.1, rng",
        "channels.alpha_dropout(x, 0.1, rng, out=out)",
        _LIKE_X,
        _drawn,
        random=True,
        torch="torch.alpha_dropout(x, 0.1, True)",
    ),
    "alpha_dropout_backward": RowIdiom(
        "grad, 0.1, key",
        "channels.alpha_dropout_backward(grad, 0.1, mask, out=out)",
        _LIKE_X,
        _drawn,
        random=True,
    ),
}
"""By public function."""
