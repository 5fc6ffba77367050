"""What careful users of NumPy and PyTorch write for dropout, with what the forward pass leaves for the backward."""

from typing import Any

import numpy as np

from .rowidiom import Arrays, RowIdiom

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


def _source(x: Array, pieces: int) -> Arrays:
    return {"rng": np.random.default_rng(3)}


def _masked(x: Array, pieces: int) -> Arrays:
    return {"grad": x[::-1].copy(), "key": 3, "mask": np.random.default_rng(3).random(x.shape) >= P}


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
}
"""By public function."""
