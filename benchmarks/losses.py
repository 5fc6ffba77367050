"""Losses with their gradients against the best that PyTorch and NumPy have: ``python -m benchmarks.losses``.

Logits of a segmentation and of a classifier, and sixteen million logits of two classes. The contenders take turns; a figure is the
median over the rounds of a contender's time over fastact's, with the quartiles. PyTorch's time is that of forward and backward; its
pool spins after each call, so a turn begins with a pause. ``memory`` is fastact's reglu of input and target, which reads and writes
as much and computes next to nothing.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import fastact as fa
from benchmarks.harness import peers
from benchmarks.turns import Call, Cells, Medians, command

SHAPES = (16, 21, 256, 256), (8192, 1000), 16_000_000
QUICK = (2, 5, 32, 32), (64, 100), 10_000

PAGE = """\
<!-- Written by python -m benchmarks.losses --page: do not edit. -->
# Losses with their gradients, beside PyTorch and NumPy

The loss and its gradient of {segmentation} logits (a segmentation, whose classes are the second axis), of {classifier}
(a classifier), and of {binary} elements. Contenders take turns; figures are how many times as long PyTorch's forward
and backward, or the best that is known in NumPy, take: the median over {rounds} rounds, and the quartiles. Under *memory*,
how long a function takes that reads and writes as much and computes next to nothing: 1 would be the speed of the memory.
Accuracies have no gradient.

{table}

{conditions}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    prog, contenders = "python -m benchmarks.losses", ("PyTorch", "NumPy", "memory")
    return command(prog, __doc__, "loss", contenders, _makers, _page, arguments)


def _makers(quick: bool) -> list[Callable[[], Cells]]:
    segmentation, classifier, binary = QUICK if quick else SHAPES
    return [partial(_of_pixels, segmentation), partial(_of_rows, classifier), partial(_of_two_classes, binary)]


def _page(quick: bool, medians: Medians) -> str:
    """The page without its figures."""
    segmentation, classifier, binary = QUICK if quick else SHAPES
    given = {"segmentation": " x ".join(map(str, segmentation)), "classifier": " x ".join(map(str, classifier))}
    return PAGE.format(
        **given, binary=f"{binary:,}", **{name: f"{{{name}}}" for name in ("rounds", "table", "conditions")}
    )


def _of_pixels(shape: tuple[int, ...]) -> Cells:
    """Losses of an image's pixels, the classes second."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype("f4")
    y = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    out, hot = np.empty_like(x), np.moveaxis(np.eye(shape[1], dtype="f4")[y], -1, 1).copy()
    calls: Cells = {
        "cross_entropy, pixels": {
            "fastact": lambda: fa.cross_entropy_with_grad(x, y, axis=1, out=out),
            "NumPy": lambda: _cross_entropy(x, hot, out),
        },
        "focal_loss, pixels": {
            "fastact": lambda: fa.focal_loss_with_grad(x, y, axis=1, out=out),
            "NumPy": lambda: _focal(x, hot, out),
        },
        "dice_loss, pixels": {
            "fastact": lambda: fa.dice_loss_with_grad(x, y, axis=1, out=out),
            "NumPy": lambda: _dice(x, hot, out),
        },
        "ohem_cross_entropy, pixels": {
            "fastact": lambda: fa.ohem_cross_entropy_with_grad(x, y, fraction=0.25, axis=1, out=out),
        },
    }
    few = slice(0, max(1, shape[0] // 4))  # each contender sorts, most of them all there is
    part, part_out = x[few].copy(), out[few].copy()
    calls["lovasz_softmax_loss, a quarter of the pixels"] = {
        "fastact": lambda: fa.lovasz_softmax_loss_with_grad(part, y[few], axis=1, out=part_out),
        "NumPy": lambda: _lovasz(part, hot[few], part_out),
    }
    torch = peers.module("torch")
    if torch is not None:
        functional = torch.nn.functional
        leaf, labels = torch.tensor(x, requires_grad=True), torch.tensor(y)
        one_hot = torch.tensor(hot)
        few_logits = torch.tensor(part, requires_grad=True)

        def lovasz(logits: Any) -> Any:
            """The paper's loss: a sort of all pixels for each class."""
            losses = []
            for p, own in zip(logits.softmax(1).movedim(1, 0), one_hot[few].movedim(1, 0), strict=True):
                errors, order = (own - p).abs().flatten().sort(descending=True)
                truth = own.flatten()[order]
                jaccard = 1 - (truth.sum() - truth.cumsum(0)) / (truth.sum() + (1 - truth).cumsum(0))
                losses.append(errors @ torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]]))
            return sum(losses) / len(losses)

        def dice(logits: Any) -> Any:
            p = logits.softmax(1)
            axes = (0, 2, 3)
            score = 2 * (p * one_hot).sum(axes) / (p.sum(axes) + one_hot.sum(axes))
            return (1 - score).mean()

        def ohem(logits: Any) -> Any:
            nll = functional.cross_entropy(logits, labels, reduction="none").flatten()
            return nll.topk(len(nll) // 4, sorted=False).values.mean()

        calls["cross_entropy, pixels"]["PyTorch"] = _backward(leaf, lambda z: functional.cross_entropy(z, labels))
        calls["focal_loss, pixels"]["PyTorch"] = _backward(leaf, partial(_torch_focal, torch, labels))
        calls["dice_loss, pixels"]["PyTorch"] = _backward(leaf, dice)
        calls["lovasz_softmax_loss, a quarter of the pixels"]["PyTorch"] = _backward(few_logits, lovasz)
        calls["ohem_cross_entropy, pixels"]["PyTorch"] = _backward(leaf, ohem)
    return calls


def _of_rows(shape: tuple[int, int]) -> Cells:
    """Losses of a classifier's rows."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=shape).astype("f4"), rng.integers(0, shape[1], shape[0])
    out, hot, log_p = np.empty_like(x), np.eye(shape[1], dtype="f4")[y], fa.log_softmax(x)
    calls: Cells = {
        "cross_entropy": {
            "fastact": lambda: fa.cross_entropy_with_grad(x, y, out=out),
            "NumPy": lambda: _cross_entropy(x, hot, out),
        },
        "nll_loss": {
            "fastact": lambda: fa.nll_loss_with_grad(log_p, y),
            "NumPy": lambda: _nll(log_p, y),
        },
        "focal_loss": {
            "fastact": lambda: fa.focal_loss_with_grad(x, y, out=out),
            "NumPy": lambda: _focal(x, hot, out),
        },
        "multi_margin_loss": {
            "fastact": lambda: fa.multi_margin_loss_with_grad(x, y, out=out),
            "NumPy": lambda: _multi_margin(x, y, out),
        },
        "crammer_singer_loss": {
            "fastact": lambda: fa.crammer_singer_loss_with_grad(x, y, out=out),
            "NumPy": lambda: _crammer_singer(x, y, out),
        },
        "accuracy": {
            "fastact": lambda: fa.accuracy(x, y),
            "NumPy": lambda: np.mean(x.argmax(-1) == y),
        },
        "top_k_accuracy": {
            "fastact": lambda: fa.top_k_accuracy(x, y),
            "NumPy": lambda: np.mean(np.any(np.argpartition(x, -5)[:, -5:] == y[:, None], -1)),
        },
    }
    torch = peers.module("torch")
    if torch is not None:
        functional = torch.nn.functional
        leaf, labels, logs = (
            torch.tensor(x, requires_grad=True),
            torch.tensor(y),
            torch.tensor(log_p, requires_grad=True),
        )

        calls["cross_entropy"]["PyTorch"] = _backward(leaf, lambda z: functional.cross_entropy(z, labels))
        calls["nll_loss"]["PyTorch"] = _backward(logs, lambda z: functional.nll_loss(z, labels))
        calls["focal_loss"]["PyTorch"] = _backward(leaf, partial(_torch_focal, torch, labels))
        calls["multi_margin_loss"]["PyTorch"] = _backward(leaf, lambda z: functional.multi_margin_loss(z, labels))
        calls["accuracy"]["PyTorch"] = lambda: (leaf.detach().argmax(-1) == labels).float().mean()
        calls["top_k_accuracy"]["PyTorch"] = lambda: (
            (leaf.detach().topk(5).indices == labels[:, None]).any(-1).float().mean()
        )
    return calls


def _of_two_classes(size: int) -> Cells:
    """Losses of single elements."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=size).astype("f4"), rng.integers(0, 2, size).astype("f4")
    out = np.empty_like(x)
    functions = {
        name: getattr(fa, f"{name}_with_grad")
        for name in ("binary_cross_entropy_with_logits", "sigmoid_focal_loss", "hinge_loss", "mse_loss")
    }
    calls: Cells = {
        f"{name}, {size:,}": {
            "fastact": lambda function=function: function(x, y, out=out),  # type: ignore[misc]
            "memory": lambda: fa.reglu(x, y, out=out),
        }
        for name, function in functions.items()
    }
    calls[f"binary_cross_entropy_with_logits, {size:,}"]["NumPy"] = lambda: _binary(x, y, out)
    torch = peers.module("torch")
    if torch is not None:
        functional = torch.nn.functional
        leaf, labels = torch.tensor(x, requires_grad=True), torch.tensor(y)

        calls[f"binary_cross_entropy_with_logits, {size:,}"]["PyTorch"] = _backward(
            leaf, lambda z: functional.binary_cross_entropy_with_logits(z, labels)
        )
        calls[f"mse_loss, {size:,}"]["PyTorch"] = _backward(leaf, lambda z: functional.mse_loss(z, labels))
    return calls


def _backward(leaf: Any, loss: Callable[[Any], Any]) -> Call:
    """PyTorch's loss of a tensor, and its gradient."""

    def call() -> None:
        leaf.grad = None
        loss(leaf).backward()

    return call


def _torch_focal(torch: Any, labels: Any, logits: Any) -> Any:
    nll = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    return ((1 - (-nll).exp()) ** 2 * nll).mean()


def _cross_entropy(x: Any, hot: Any, out: Any) -> Any:
    """The loss and its gradient as careful users of NumPy write them, the classes second."""
    np.subtract(x, x.max(1, keepdims=True), out=out)
    of_label = np.sum(out * hot, 1)
    np.exp(out, out=out)
    total = out.sum(1, keepdims=True)
    loss = np.mean(np.log(total[:, 0]) - of_label)
    out /= total
    out -= hot
    out *= x.dtype.type(1 / of_label.size)
    return loss


def _focal(x: Any, hot: Any, out: Any) -> Any:
    np.subtract(x, x.max(1, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(1, keepdims=True)
    p = np.sum(out * hot, 1, keepdims=True)
    nll, q = -np.log(p), 1 - p
    out -= hot
    out *= (q * q + 2 * q * p * nll) / p.size
    return np.mean(q * q * nll)


def _dice(x: Any, hot: Any, out: Any) -> Any:
    axes = tuple(k for k in range(x.ndim) if k != 1)
    np.subtract(x, x.max(1, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(1, keepdims=True)
    both = np.sum(out * hot, axes, keepdims=True)
    sums = np.sum(out, axes, keepdims=True) + np.sum(hot, axes, keepdims=True)
    slope = hot * (-2 / sums / x.shape[1])
    slope += 2 * both / sums**2 / x.shape[1]
    slope -= np.sum(slope * out, 1, keepdims=True)
    out *= slope
    return np.mean(1 - 2 * both / sums)


def _lovasz(x: Any, hot: Any, out: Any) -> Any:
    np.subtract(x, x.max(1, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(1, keepdims=True)
    slopes, loss = np.empty_like(out), 0.0
    for c in range(x.shape[1]):
        own = hot[:, c].ravel() == 1
        errors = np.abs(own - out[:, c].ravel())
        order = np.argsort(-errors)
        truth = own[order]
        jaccard = 1 - (truth.sum() - np.cumsum(truth)) / (truth.sum() + np.cumsum(~truth))
        steps = np.diff(jaccard, prepend=0.0)
        loss += errors[order] @ steps
        slope = np.empty(own.size, out.dtype)
        slope[order] = steps / x.shape[1]
        slopes[:, c] = np.where(own, -slope, slope).reshape(out[:, c].shape)
    slopes -= np.sum(slopes * out, 1, keepdims=True)
    out *= slopes
    return loss / x.shape[1]


def _nll(log_p: Any, y: Any) -> Any:
    rows, grad = np.arange(len(y)), np.zeros_like(log_p)
    grad[rows, y] = -1 / len(y)
    return -log_p[rows, y].mean(), grad


def _multi_margin(x: Any, y: Any, out: Any) -> Any:
    rows = np.arange(len(y))
    np.subtract(x, x[rows, y][:, None] - 1, out=out)
    np.maximum(out, 0, out=out)
    out[rows, y] = 0
    loss = out.mean()
    np.greater(out, 0, out=out)
    out *= x.dtype.type(1 / x.size)
    out[rows, y] = -out.sum(1)
    return loss


def _crammer_singer(x: Any, y: Any, out: Any) -> Any:
    rows = np.arange(len(x))
    np.copyto(out, x)
    out[rows, y] = -np.inf
    nearest = out.argmax(-1)
    gaps = np.maximum(0, 1 + out[rows, nearest] - x[rows, y])
    out[...] = 0
    out[rows, nearest] = (gaps > 0) / x.dtype.type(len(x))
    out[rows, y] = -out[rows, nearest]
    return gaps.mean()


def _binary(x: Any, y: Any, out: Any) -> Any:
    e = np.abs(x)
    np.negative(e, out=e)
    np.exp(e, out=e)
    loss = np.mean(np.maximum(x, 0) - x * y + np.log1p(e))
    np.divide(np.where(x < 0, e, 1), 1 + e, out=out)
    out -= y
    out *= x.dtype.type(1 / x.size)
    return loss


if __name__ == "__main__":
    raise SystemExit(main())
