"""The row family, Maxout and cross-entropy: their arguments, and what careful users of NumPy write instead.

fastact's function and NumPy's take the same arguments, by name from ``row_arrays`` or ``hidden_arrays``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.cases import Contender
from benchmarks.tracked import function_of

Array = Any
PIECES = 4
"""Per group of Maxout; divides the number of columns."""


def softmax(x: Array) -> Array:
    y = np.exp(x - x.max(-1, keepdims=True))
    y /= y.sum(-1, keepdims=True)
    return y


def log_softmax(x: Array) -> Array:
    y = x - x.max(-1, keepdims=True)
    y -= np.log(np.exp(y).sum(-1, keepdims=True))
    return y


def logsumexp(x: Array) -> Array:
    largest = x.max(-1, keepdims=True)
    return largest[..., 0] + np.log(np.exp(x - largest).sum(-1))


def softmax_backward(grad: Array, y: Array) -> Array:
    return y * (grad - (grad * y).sum(-1, keepdims=True))


def log_softmax_backward(grad: Array, y: Array) -> Array:
    return grad - np.exp(y) * grad.sum(-1, keepdims=True)


def cross_entropy(x: Array, target: Array) -> Array:
    return np.mean(logsumexp(x) - x[np.arange(len(x)), target], dtype=x.dtype)


def cross_entropy_with_grad(x: Array, target: Array) -> tuple[Array, Array]:
    rows = np.arange(len(x))
    shifted = x - x.max(-1, keepdims=True)
    grad = np.exp(shifted)
    total = grad.sum(-1, keepdims=True)
    loss = np.mean(np.log(total[:, 0]) - shifted[rows, target], dtype=x.dtype)
    grad /= total
    grad[rows, target] -= 1
    grad /= x.dtype.type(len(x))
    return loss, grad


def linear_cross_entropy(hidden: Array, weight: Array, target: Array) -> Array:
    return cross_entropy(hidden @ weight.T, target)


def linear_cross_entropy_with_grad(hidden: Array, weight: Array, target: Array) -> tuple[Array, Array, Array]:
    loss, grad = cross_entropy_with_grad(hidden @ weight.T, target)
    return loss, grad @ weight, grad.T @ hidden


def maxout(x: Array, pieces: int) -> Array:
    return x.reshape(*x.shape[:-1], -1, pieces).max(-1)


def maxout_with_index(x: Array, pieces: int) -> tuple[Array, Array]:
    groups = x.reshape(*x.shape[:-1], -1, pieces)
    which = groups.argmax(-1)
    return np.take_along_axis(groups, which[..., None], -1)[..., 0], which


def maxout_backward(grad: Array, which: Array, pieces: int) -> Array:
    groups = np.zeros((*grad.shape, pieces), grad.dtype)
    np.put_along_axis(groups, which[..., None].astype(np.intp), grad[..., None], -1)
    return groups.reshape(*grad.shape[:-1], -1)


@dataclass(frozen=True)
class RowOp:
    """How a function is called, and NumPy's function of the same arguments."""

    arguments: str
    numpy: Callable[..., Any]


ROWS = {
    "softmax": RowOp("x", softmax),
    "log_softmax": RowOp("x", log_softmax),
    "logsumexp": RowOp("x", logsumexp),
    "softmax_backward": RowOp("grad, probabilities", softmax_backward),
    "log_softmax_backward": RowOp("grad, logarithms", log_softmax_backward),
    "cross_entropy": RowOp("x, target", cross_entropy),
    "cross_entropy_with_grad": RowOp("x, target", cross_entropy_with_grad),
}
MAXOUT = {
    "maxout": RowOp("x, pieces", maxout),
    "maxout_with_index": RowOp("x, pieces", maxout_with_index),
    "maxout_backward": RowOp("grad_of_groups, which, pieces", maxout_backward),
}
LINEAR = {
    "linear_cross_entropy": RowOp("hidden, weight, target", linear_cross_entropy),
    "linear_cross_entropy_with_grad": RowOp("hidden, weight, target", linear_cross_entropy_with_grad),
}


def row_contenders(name: str, arrays: Mapping[str, Any]) -> dict[str, Contender]:
    """The contenders for one function, fastact and NumPy; ``NotImplementedError`` if this commit lacks it."""
    op = {**ROWS, **MAXOUT, **LINEAR}[name]
    functions = {"fastact": function_of(name), "numpy": op.numpy}
    return {who: Contender(f"f({op.arguments})", {**arrays, "f": f}) for who, f in functions.items()}


def logits_arrays(rows: int, classes: int) -> dict[str, Any]:
    """Arguments by name for cross-entropy."""
    rng = np.random.default_rng(1)
    return {"x": rng.standard_normal((rows, classes), dtype=np.float32), "target": rng.integers(0, classes, rows)}


@lru_cache(maxsize=1)
def row_arrays(rows: int, columns: int) -> dict[str, Any]:
    """Arguments by name for ``ROWS`` and ``MAXOUT``."""
    arrays = logits_arrays(rows, columns)
    x, grad = arrays["x"], arrays["x"][::-1].copy()
    return arrays | {
        "grad": grad,
        "probabilities": softmax(x),
        "logarithms": log_softmax(x),
        "grad_of_groups": np.ascontiguousarray(grad[:, : columns // PIECES]),
        "which": maxout_with_index(x, PIECES)[1],
        "pieces": PIECES,
    }


def hidden_arrays(rows: int, width: int, classes: int) -> dict[str, Any]:
    """Arguments by name for ``LINEAR``; the weight is (classes, width), as PyTorch's layers keep it."""
    rng = np.random.default_rng(1)
    return {
        "hidden": rng.standard_normal((rows, width), dtype=np.float32),
        "weight": rng.random((classes, width), dtype=np.float32),
        "target": rng.integers(0, classes, rows),
    }
