"""What careful users of NumPy and PyTorch write for the functions over rows, where it takes more than an expression.

NumPy's functions compute in the dtype of their arguments: in a wider one they are what errors are measured against.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = Any


def softmax(x: Array, axis: int = -1, out: Array = None) -> Array:
    y = np.subtract(x, x.max(axis, keepdims=True), out=out)
    np.exp(y, out=y)
    y /= y.sum(axis, keepdims=True)
    return y


def softmin(x: Array, axis: int = -1, out: Array = None) -> Array:
    return softmax(np.negative(x, out=out), axis, out)


def log_softmax(x: Array, axis: int = -1, out: Array = None) -> Array:
    y = np.subtract(x, x.max(axis, keepdims=True), out=out)
    y -= np.log(np.exp(y).sum(axis, keepdims=True))
    return y


def logsumexp(x: Array, axis: int = -1, out: Array = None) -> Array:
    largest = x.max(axis, keepdims=True)
    return np.add(largest.squeeze(axis), np.log(np.exp(x - largest).sum(axis)), out=out)


def softmax_backward(grad: Array, y: Array, axis: int = -1, out: Array = None) -> Array:
    return np.multiply(y, grad - (grad * y).sum(axis, keepdims=True), out=out)


def log_softmax_backward(grad: Array, y: Array, axis: int = -1, out: Array = None) -> Array:
    return np.subtract(grad, np.exp(y) * grad.sum(axis, keepdims=True), out=out)


def cross_entropy(x: Array, target: Array) -> Array:
    return np.mean(logsumexp(x) - x[np.arange(len(x)), target], dtype=x.dtype)


def cross_entropy_with_grad(x: Array, target: Array, out: Array = None) -> tuple[Array, Array]:
    rows = np.arange(len(x))
    grad = np.subtract(x, x.max(-1, keepdims=True), out=out)
    of_target = grad[rows, target]
    np.exp(grad, out=grad)
    total = grad.sum(-1, keepdims=True)
    loss = np.mean(np.log(total[:, 0]) - of_target, dtype=x.dtype)
    grad /= total
    grad[rows, target] -= 1
    grad /= x.dtype.type(len(x))
    return loss, grad


def linear_cross_entropy(hidden: Array, weight: Array, target: Array) -> Array:
    return cross_entropy(hidden @ weight.T, target)


def linear_cross_entropy_with_grad(hidden: Array, weight: Array, target: Array) -> tuple[Array, Array, Array]:
    loss, grad = cross_entropy_with_grad(hidden @ weight.T, target)
    return loss, grad @ weight, grad.T @ hidden


def maxout(x: Array, pieces: int, out: Array = None) -> Array:
    return np.max(x.reshape(*x.shape[:-1], -1, pieces), -1, out=out)


def maxout_with_index(x: Array, pieces: int) -> tuple[Array, Array]:
    groups = x.reshape(*x.shape[:-1], -1, pieces)
    which = groups.argmax(-1)
    return np.take_along_axis(groups, which[..., None], -1)[..., 0], which


def maxout_backward(grad: Array, which: Array, pieces: int, out: Array = None) -> Array:
    shape = (*grad.shape[:-1], grad.shape[-1] * pieces)
    scattered = np.zeros(shape, grad.dtype) if out is None else out
    scattered[...] = 0
    groups = scattered.reshape(*grad.shape, pieces)
    np.put_along_axis(groups, which[..., None].astype(np.intp), grad[..., None], -1)
    return scattered


def glu(x: Array, out: Array = None) -> Array:
    value, gate = np.split(x, 2, -1)
    return np.divide(value, 1 + np.exp(-gate), out=out)


def glu_backward(grad: Array, x: Array, out: Array = None) -> Array:
    value, gate = np.split(x, 2, -1)
    both = np.empty_like(x) if out is None else out
    by_value, by_gate = np.split(both, 2, -1)
    s = 1 / (1 + np.exp(-gate))
    np.multiply(grad, s, out=by_value)
    np.multiply(by_value * (1 - s), value, out=by_gate)
    return both


def torch_loss_and_gradient(torch: Any, x: Array, target: Array) -> tuple[Any, Any]:
    """PyTorch's loss and the gradient that autograd finds."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = x.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(leaf, target)
        loss.backward()
    return loss.detach(), leaf.grad


def torch_linear_loss_and_gradients(torch: Any, hidden: Array, weight: Array, target: Array) -> Sequence[Any]:
    """All logits by NumPy's ``matmul``, their loss and gradient by PyTorch, and two products more."""
    with torch.inference_mode(False):
        logits = torch.from_numpy(hidden @ weight.T)
    loss, gradient = torch_loss_and_gradient(torch, logits, target)
    grad = gradient.numpy()
    return loss, grad @ weight, grad.T @ hidden
