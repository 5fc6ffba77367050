"""What careful users of NumPy and PyTorch write for dropout, with what the forward pass leaves for the backward."""

from typing import Any

import numpy as np

from .rowidiom import Arrays, RowIdiom
from .rowidioms import softmax

Array = Any
P = 0.1


def dropout(x: Array, p: float, rng: Any, out: Array = None) -> tuple[Array, Array]:
    """The result and the mask."""
    mask = rng.random(x.shape, np.float64 if x.dtype == np.float64 else np.float32) >= p
    y = np.multiply(x, mask, out=out)
    y *= x.dtype.type(1 / (1 - p))
    return y, mask


def dropout_backward(grad: Array, p: float, mask: Array, out: Array = None) -> Array:
    """The gradient."""
    y = np.multiply(grad, mask, out=out)
    y *= grad.dtype.type(1 / (1 - p))
    return y


def softmax_dropout(x: Array, p: float, rng: Any) -> tuple[Array, Array, Array]:
    """What goes on, what softmax gives, and the mask."""
    output = softmax(x)
    y, mask = dropout(output, p, rng)
    return y, output, mask


def softmax_dropout_backward(grad: Array, y: Array, p: float, mask: Array, out: Array = None) -> Array:
    """The gradient."""
    g = dropout_backward(grad, p, mask, out)
    g -= np.einsum("...i,...i->...", g, y)[..., None]
    g *= y
    return g


def _source(x: Array, pieces: int) -> Arrays:
    return {"rng": np.random.default_rng(3)}


def _masked(x: Array, pieces: int) -> Arrays:
    return {"grad": x[::-1].copy(), "key": 3, "mask": np.random.default_rng(3).random(x.shape) >= P}


def _behind_softmax(x: Array, pieces: int) -> Arrays:
    return {**_masked(x, pieces), "y": softmax(x)}


ROWS = {
    "dropout": RowIdiom(
        f"x, {P}, rng",
        f"drops.dropout(x, {P}, rng, out=out)",
        "np.zeros_like(x)",
        _source,
        random=True,
        torch=f"torch.native_dropout(x, {P}, True)",
    ),
    "dropout_backward": RowIdiom(
        f"grad, {P}, key",
        f"drops.dropout_backward(grad, {P}, mask, out=out)",
        "np.zeros_like(x)",
        _masked,
        random=True,
        torch=f"aten.native_dropout_backward(grad, mask, 1 / (1 - {P}))",
    ),
    "softmax_dropout": RowIdiom(
        f"x, {P}, rng",
        f"drops.softmax_dropout(x, {P}, rng)",
        arrays=_source,
        random=True,
        torch=f"(y := torch.softmax(x, -1), torch.native_dropout(y, {P}, True))",
    ),
    "softmax_dropout_backward": RowIdiom(
        f"grad, y, {P}, key",
        f"drops.softmax_dropout_backward(grad, y, {P}, mask, out=out)",
        "np.zeros_like(x)",
        _behind_softmax,
        random=True,
        torch=f"aten._softmax_backward_data(aten.native_dropout_backward(grad, mask, 1 / (1 - {P})), y, -1, x.dtype)",
    ),
}
"""By public function."""
