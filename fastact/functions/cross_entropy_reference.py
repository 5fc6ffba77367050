"""Cross-entropy in plain NumPy and float64, by the formulas of a textbook: oracle, documentation, baseline."""

import math
from typing import Any

import numpy as np


def distribution(
    target: Any, classes: int, weight: Any = None, ignore_index: int = -100, label_smoothing: float = 0.0
) -> tuple[Any, Any, Any]:
    """The target as weighted probabilities, the classes last; which rows count; and what a mean divides each by."""
    target = np.asarray(target)
    weight = np.ones(classes) if weight is None else np.asarray(weight, np.float64)
    if target.dtype.kind == "f":
        counted = np.ones(target.shape[:-1], bool)
        probabilities, divisor = target.astype(np.float64), np.ones(target.shape[:-1])
    else:
        counted = target != ignore_index
        label = np.where(counted, target, 0)
        probabilities, divisor = (label[..., None] == np.arange(classes)).astype(np.float64), weight[label] * counted
    smoothed = probabilities * (1 - label_smoothing) + label_smoothing / classes
    return smoothed * weight, counted, divisor


def cross_entropy(
    logits: Any,
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    reduction: str = "mean",
    axis: int = -1,
    empty: float = math.nan,
    dtype: Any = None,
) -> Any:
    """The loss alone."""
    arguments = (weight, ignore_index, label_smoothing, z_loss, softcap, reduction, axis, empty)
    return np.asarray(_loss_and_gradient(logits, target, *arguments)[0], dtype)[()]


def cross_entropy_with_grad(
    logits: Any,
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    reduction: str = "mean",
    axis: int = -1,
    empty: float = math.nan,
    dtype: Any = None,
    upstream: Any = None,
) -> tuple[Any, Any]:
    """The loss and its gradient, times that with respect to the loss."""
    arguments = (weight, ignore_index, label_smoothing, z_loss, softcap, reduction, axis, empty)
    loss, grad, _ = _loss_and_gradient(logits, target, *arguments)
    if upstream is not None:
        behind = np.broadcast_to(np.asarray(upstream, np.float64), np.shape(loss))
        grad = np.moveaxis(np.moveaxis(grad, axis, -1) * behind[..., None], -1, axis)
    return np.asarray(loss, dtype)[()], grad


def _loss_and_gradient(
    logits: Any,
    target: Any,
    weight: Any,
    ignore_index: int,
    label_smoothing: float,
    z_loss: float,
    softcap: float | None,
    reduction: str,
    axis: int,
    empty: float,
) -> tuple[Any, Any, Any]:
    x = np.moveaxis(np.asarray(logits, np.float64), axis, -1)
    target = np.asarray(target)
    if target.dtype.kind == "f":
        target = np.moveaxis(target, axis, -1)
    q, counted, divisor = distribution(target, x.shape[-1], weight, ignore_index, label_smoothing)
    with np.errstate(all="ignore"):
        z = softcap * np.tanh(x / softcap) if softcap else x
        slope = cap_slope(x, softcap) if softcap else 1.0
        m = np.max(z, axis=-1, keepdims=True)
        e = np.exp(z - m)
        others = np.sum(np.where(z == m, 0.0, e), axis=-1, keepdims=True) + (np.sum(z == m, -1, keepdims=True) - 1)
        log_p = (z - m) - np.log1p(others)
        lse = (m + np.log1p(others))[..., 0]
        losses = np.where(counted, -np.sum(np.where(q == 0, 0.0, q * log_p), axis=-1) + z_loss * lse**2, 0.0)
        total = np.sum(divisor)
        share = 1.0 if reduction != "mean" else 1 / total if total else 0.0
        terms = np.stack([(np.sum(q, -1) + 2 * z_loss * lse)[..., None] * np.exp(log_p), -q]) * share
        terms = np.where(counted[..., None], terms * slope, 0.0)
        gradient = np.sum(terms, 0)
        loss = {
            "none": losses,
            "sum": np.sum(losses),
            "mean": empty if not counted.any() else np.sum(losses) / total,
        }[reduction]
    return loss, np.moveaxis(gradient, -1, axis), np.moveaxis(np.max(np.abs(terms), 0), -1, axis)


def cap_slope(x: Any, cap: float) -> Any:
    """The derivative of ``cap * tanh(x / cap)``; ``1 - tanh**2`` would lose every digit where the cap saturates."""
    e = np.exp(-2 * np.abs(x / cap))
    return 4 * e / (1 + e) ** 2


def largest_terms(logits: Any, target: Any, **arguments: Any) -> Any:
    """The largest term of each element of the gradient, what its error is measured by."""
    defaults = {
        "weight": None,
        "ignore_index": -100,
        "label_smoothing": 0.0,
        "z_loss": 0.0,
        "softcap": None,
        "reduction": "mean",
        "axis": -1,
        "empty": math.nan,
    }
    return _loss_and_gradient(logits, target, **{**defaults, **arguments})[2]


def linear_cross_entropy(hidden: Any, weight: Any, target: Any, *, bias: Any = None, **arguments: Any) -> Any:
    """The loss alone."""
    return linear_cross_entropy_with_grad(hidden, weight, target, bias=bias, **arguments)[0]


def linear_cross_entropy_with_grad(
    hidden: Any,
    weight: Any,
    target: Any,
    *,
    bias: Any = None,
    class_weight: Any = None,
    sample_weight: Any = None,
    ignore_index: int = -100,
    shift: int = 0,
    reduction: str = "mean",
    empty: float = math.nan,
    dtype: Any = None,
    upstream: Any = None,
    **arguments: Any,
) -> tuple[Any, ...]:
    """The loss and its gradients, row by row and then as it is reduced."""
    hidden, weight = np.asarray(hidden, np.float64), np.asarray(weight, np.float64)
    target = np.asarray(target).astype(np.int64)
    logits = hidden @ weight.T + (0.0 if bias is None else np.asarray(bias, np.float64))
    of_rows = np.broadcast_to(1.0 if sample_weight is None else np.asarray(sample_weight, np.float64), target.shape)
    if shift:
        kept = max(0, target.shape[-1] - shift)
        unused = np.zeros((*target.shape[:-1], target.shape[-1] - kept, weight.shape[0]))
        logits = np.concatenate([unused, logits[..., :kept, :]], axis=-2)
        target = np.where(np.arange(target.shape[-1]) < shift, ignore_index, target)
    target = np.where(of_rows == 0, ignore_index, target)
    arguments |= {"weight": class_weight, "ignore_index": ignore_index}
    losses, grad = cross_entropy_with_grad(logits, target, **arguments, reduction="none")
    losses, grad = losses * of_rows, grad * of_rows[..., None]
    total = np.sum(distribution(target, weight.shape[0], class_weight, ignore_index)[2] * of_rows)
    with np.errstate(all="ignore"):
        mean = np.divide(np.sum(losses), total) if np.any(losses) or total else empty
    loss = {"none": losses, "sum": np.sum(losses), "mean": mean}[reduction]
    behind = np.broadcast_to(np.asarray(1.0 if upstream is None else upstream, np.float64), np.shape(loss))
    grad = grad * behind[..., None] / (1.0 if reduction != "mean" else total or np.inf)
    if shift:
        grad = np.concatenate([grad[..., shift:, :], np.zeros_like(grad[..., : grad.shape[-2] - kept, :])], axis=-2)
    rows = grad.reshape(-1, grad.shape[-1])
    gradients = [grad @ weight, rows.T @ hidden.reshape(-1, hidden.shape[-1])]
    return np.asarray(loss, dtype)[()], *gradients, *([] if bias is None else [rows.sum(0)])
