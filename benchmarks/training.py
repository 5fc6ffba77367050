"""The parts of a training step beside PyTorch and NumPy: ``python -m benchmarks.training``.

Norms and their gradients, a step of Adam, the gradient of an embedding, the best of rows, draws, dropout, attention's inside.
PyTorch is given what its own forward pass would have saved. ``memory`` is how long NumPy takes to copy as many bytes as are
read and written, ``two calls`` how long fastact takes where each of two parts is a call of its own.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import fastact as fa
from benchmarks.harness import biasidioms, choiceidioms, dropoutidioms, normidioms, peers, stepidioms
from benchmarks.turns import Call, Cells, command

PAGE = """\
<!-- Written by python -m benchmarks.training --page: do not edit. -->
# The parts of a training step, beside PyTorch and NumPy

All float32. Contenders take turns at their default numbers of threads; figures are how many times as long PyTorch, or the best
that is known in NumPy, takes: the median over {rounds} rounds, and the quartiles. Under *memory*, how long a copy takes that moves
as many bytes: 1 would be the speed of the memory. Under *two calls*, how long fastact takes where each of two parts is a call of
its own.

{table}

{conditions}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    prog, contenders = "python -m benchmarks.training", ("PyTorch", "NumPy", "two calls", "memory")
    return command(prog, __doc__, "part", contenders, _makers, lambda quick, medians: PAGE, arguments)


def _makers(quick: bool) -> list[Callable[[], Cells]]:
    if quick:
        return [
            partial(_norms, [(8, 16)]),
            partial(_bias, (8, 16)),
            partial(_batch_norm, (2, 3, 4, 4)),
            partial(_adam, [1000]),
            partial(_embedding, [(100, 8, 50)]),
            partial(_choosing, [(5, 4, 100)], (4, 50)),
            partial(_dropout, 1000),
            partial(_attention, (1, 2, 8, 8)),
        ]
    return [
        partial(_norms, [(256, 768), (4096, 1024)]),
        partial(_bias, (256, 3072)),
        partial(_batch_norm, (64, 64, 56, 56)),
        partial(_adam, [1_000_000, 25_000_000]),
        partial(_embedding, [(100_000, 100, 20_000), (1_000_000, 64, 500_000)]),
        partial(_choosing, [(5, 5, 51865), (50, 256, 128256)], (64, 50257)),
        partial(_dropout, 16_000_000),
        partial(_attention, (8, 12, 256, 256)),
    ]


def _torch() -> Any:
    return peers.module("torch")


def _copy(moved: int) -> Call:
    """A copy that reads and writes so many float32 together."""
    source, target = np.zeros((2, max(1, moved // 2)), np.float32)
    return lambda: np.copyto(target, source)


def _norms(shapes: Sequence[tuple[int, int]]) -> Cells:
    cells: Cells = {}
    for shape in shapes:
        rng = np.random.default_rng(0)
        x, grad = rng.normal(size=(2, *shape)).astype("f4")
        weight, bias = rng.normal(size=(2, shape[1])).astype("f4")
        out, size = np.empty_like(x), " x ".join(map(str, shape))
        cells |= {
            f"layer_norm, {size}": {
                "fastact": partial(fa.layer_norm, x, weight, bias, out=out),
                "NumPy": partial(normidioms.layer_norm, x, weight, bias, out=out),
            },
            f"layer_norm_backward, {size}": {
                "fastact": partial(fa.layer_norm_backward, grad, x, weight),
                "NumPy": partial(normidioms.layer_norm_backward, grad, x, weight),
            },
            f"rms_norm, {size}": {
                "fastact": partial(fa.rms_norm, x, weight, out=out),
                "NumPy": partial(normidioms.rms_norm, x, weight, out=out),
            },
            f"rms_norm_backward, {size}": {
                "fastact": partial(fa.rms_norm_backward, grad, x, weight),
                "NumPy": partial(normidioms.rms_norm_backward, grad, x, weight),
            },
        }
        if torch := _torch():
            f, tx, tg, tw, tb = torch.nn.functional, *map(torch.tensor, (x, grad, weight, bias))
            _, mean, scale = torch.native_layer_norm(tx, shape[1:], tw, tb, 1e-5)
            leaf = tx.clone().requires_grad_()
            factor = tw.clone().requires_grad_()
            y = f.rms_norm(leaf, shape[1:], factor, 1e-5)
            backward = partial(torch.ops.aten.native_layer_norm_backward, tg, tx, shape[1:], mean, scale, tw, tb)
            cells[f"layer_norm, {size}"]["PyTorch"] = partial(f.layer_norm, tx, shape[1:], tw, tb)
            cells[f"layer_norm_backward, {size}"]["PyTorch"] = partial(backward, [True] * 3)
            cells[f"rms_norm, {size}"]["PyTorch"] = partial(f.rms_norm, tx, shape[1:], tw, 1e-5)
            cells[f"rms_norm_backward, {size}"]["PyTorch"] = partial(
                torch.autograd.grad, y, (leaf, factor), tg, retain_graph=True
            )
    return cells


def _bias(shape: tuple[int, int]) -> Cells:
    rng = np.random.default_rng(0)
    x, grad = rng.normal(size=(2, *shape)).astype("f4")
    bias, size = rng.normal(size=shape[1]).astype("f4"), " x ".join(map(str, shape))
    out, total = np.empty_like(x), x + bias
    forward, backward = (f"{name}, {size}" for name in ("bias and gelu_tanh", "its gradients"))

    def two_calls() -> None:
        np.add(x, bias, out=out)
        fa.gelu_tanh(out, out=out)

    def two_calls_backward() -> None:
        fa.gelu_tanh_backward(grad, total, out=out)
        out.sum(0)

    cells: Cells = {
        forward: {
            "fastact": partial(fa.bias_activation, x, bias, "gelu_tanh", out=out),
            "NumPy": partial(biasidioms.gelu_tanh, x, bias, out=out),
            "two calls": two_calls,
        },
        backward: {
            "fastact": partial(fa.bias_activation_backward, grad, x, bias, "gelu_tanh", out=out),
            "NumPy": partial(biasidioms.gelu_tanh_backward, grad, x, bias),
            "two calls": two_calls_backward,
        },
    }
    if torch := _torch():
        tx, tg, tb = map(torch.tensor, (x, grad, bias))
        gelu_backward = torch.ops.aten.gelu_backward
        cells[forward]["PyTorch"] = lambda: torch.nn.functional.gelu(tx + tb, approximate="tanh")
        cells[backward]["PyTorch"] = lambda: gelu_backward(tg, tx + tb, approximate="tanh").sum(0)
    return cells


def _numpy_batch_norm(x: Any, grad: Any, weight: Any, bias: Any, out: Any) -> Any:
    """Forward and backward, of a training step."""
    n, others = x.size // x.shape[1], (0, 2, 3)
    w, b = weight[:, None, None], bias[:, None, None]
    normed = x - x.mean(axis=others, keepdims=True)
    variance = np.einsum("ncij,ncij->c", normed, normed) / x.dtype.type(n)
    scale = (1 / np.sqrt(variance + x.dtype.type(1e-5)))[:, None, None]
    normed *= scale
    y = np.multiply(normed, w, out=out)
    y += b
    of_weight, of_bias = np.einsum("ncij,ncij->c", grad, normed), grad.sum(axis=others)
    grad_x = normed
    grad_x *= (-of_weight / x.dtype.type(n))[:, None, None]
    grad_x += grad
    grad_x -= (of_bias / x.dtype.type(n))[:, None, None]
    grad_x *= scale * w
    return y, grad_x, of_weight, of_bias


def _batch_norm(shape: tuple[int, ...]) -> Cells:
    rng = np.random.default_rng(0)
    x, grad = rng.normal(size=(2, *shape)).astype("f4")
    weight, bias = rng.normal(size=(2, shape[1])).astype("f4")
    out, back = np.empty_like(x), np.empty_like(x)

    def fastact() -> None:
        fa.batch_norm(x, weight, bias, training=True, out=out)
        fa.batch_norm_backward(grad, x, weight, training=True, out=back)

    calls: dict[str, Call] = {"fastact": fastact, "NumPy": partial(_numpy_batch_norm, x, grad, weight, bias, out)}
    if torch := _torch():
        leaf, w, b = (torch.tensor(a, requires_grad=True) for a in (x, weight, bias))
        tg, batch_norm = torch.tensor(grad), torch.nn.functional.batch_norm
        calls["PyTorch"] = lambda: torch.autograd.grad(batch_norm(leaf, None, None, w, b, True), (leaf, w, b), tg)
    return {f"batch_norm and its gradient, {' x '.join(map(str, shape))}": calls}


def _adam(sizes: Sequence[int]) -> Cells:
    cells: Cells = {}
    for size in sizes:
        param, grad, m, v = (np.random.default_rng(0).random((4, size), "f4") - np.float32(0.5)) * np.float32(1e-2)
        np.square(v, out=v)
        name = f"adam_step, {size:,}"
        cells[name] = {
            "fastact": partial(fa.adam_step, param, grad, m, v, 3),
            "NumPy": partial(stepidioms.adam, param, grad, m, v, 3),
            "memory": _copy(7 * size),
        }
        if torch := _torch():
            values = torch.tensor(param, requires_grad=True)
            values.grad = torch.tensor(grad)
            optimizer = torch.optim.Adam([values], fused=True)
            cells[name]["PyTorch"] = optimizer.step
    return cells


def _embedding(shapes: Sequence[tuple[int, int, int]]) -> Cells:
    cells: Cells = {}
    for hits, width, count in shapes:
        rng = np.random.default_rng(0)
        grad, indices = rng.normal(size=(hits, width)).astype("f4"), rng.integers(0, count, hits)
        name = f"embedding_backward, {hits:,} rows of {width} into {count:,}"
        cells[name] = {
            "fastact": partial(fa.embedding_backward, grad, indices, count),
            "NumPy": partial(choiceidioms.sums_by_index, grad, indices, count),
        }
        if torch := _torch():
            tg, ti = torch.tensor(grad), torch.tensor(indices)
            cells[name]["PyTorch"] = partial(torch.ops.aten.embedding_dense_backward, tg, ti, count, -1, False)
    return cells


def _choosing(tops: Sequence[tuple[int, int, int]], draws: tuple[int, int]) -> Cells:
    rng, torch, cells = np.random.default_rng(0), _torch(), Cells()
    for k, rows, classes in tops:
        x, name = rng.normal(size=(rows, classes)).astype("f4"), f"top_k, {k} of {rows} x {classes}"
        cells[name] = {"fastact": partial(fa.top_k, x, k), "NumPy": partial(choiceidioms.top_k, x, k)}
        if torch:
            cells[name]["PyTorch"] = partial(torch.topk, torch.tensor(x), k)
    logits, name = rng.normal(size=draws).astype("f4"), f"sample_categorical, {draws[0]} x {draws[1]}"
    cells[name] = {
        "fastact": partial(fa.sample_categorical, logits, rng),
        "NumPy": partial(choiceidioms.draw, logits, rng),
    }
    if torch:
        tensor = torch.tensor(logits)
        cells[name]["PyTorch"] = lambda: torch.multinomial(torch.softmax(tensor, -1), 1)
    return cells


def _dropout(size: int) -> Cells:
    rng = np.random.default_rng(0)
    x = rng.random(size, "f4")
    out = np.empty_like(x)
    calls: dict[str, Call] = {
        "fastact": partial(fa.dropout, x, 0.1, rng, out=out),
        "NumPy": lambda: np.multiply(x, (rng.random(x.shape, "f4") >= np.float32(0.1)) * np.float32(1 / 0.9), out=out),
        "memory": _copy(2 * size),
    }
    if torch := _torch():
        calls["PyTorch"] = partial(torch.nn.functional.dropout, torch.tensor(x), 0.1)
    return {f"dropout, {size:,}": calls}


def _attention(shape: tuple[int, int, int, int]) -> Cells:
    rng = np.random.default_rng(0)
    scores, grad = rng.normal(size=(2, *shape)).astype("f4")
    weights, out = fa.softmax(scores, scale=0.125, causal=True), np.empty_like(scores)
    hidden = ~np.tri(*shape[-2:], dtype=bool)

    def numpy() -> None:
        np.multiply(scores, np.float32(0.125), out=out)
        np.copyto(out, -np.inf, where=hidden)
        np.subtract(out, out.max(-1, keepdims=True), out=out)
        np.exp(out, out=out)
        np.divide(out, out.sum(-1, keepdims=True), out=out)

    def numpy_backward() -> None:
        np.subtract(grad, np.einsum("...i,...i->...", grad, weights)[..., None], out=out)
        np.multiply(out, weights, out=out)
        np.multiply(out, np.float32(0.125), out=out)

    forward, backward = (
        f"{name} of scaled, causal scores, {' x '.join(map(str, shape))}" for name in ("softmax", "its gradient")
    )
    cells: Cells = {
        forward: {"fastact": partial(fa.softmax, scores, scale=0.125, causal=True, out=out), "NumPy": numpy},
        backward: {
            "fastact": partial(fa.softmax_backward, grad, weights, scale=0.125, causal=True, out=out),
            "NumPy": numpy_backward,
        },
    }
    dropped, undropped = (f"{name}, with a dropout" for name in (forward, backward))
    y, own = np.empty_like(scores), np.empty_like(scores)
    _, _, key = fa.softmax_dropout(scores, 0.1, rng, scale=0.125, causal=True, out=(y, own))
    kept = rng.random(shape, "f4") >= np.float32(0.1)

    def two_calls() -> None:
        fa.softmax(scores, scale=0.125, causal=True, out=own)
        fa.dropout(own, 0.1, rng, out=y)

    def two_calls_backward() -> None:
        fa.dropout_backward(grad, 0.1, key, out=out)
        fa.softmax_backward(out, weights, scale=0.125, causal=True, out=out)

    def numpy_dropped() -> None:
        numpy()
        dropoutidioms.dropout(out, 0.1, rng, out=y)

    def numpy_undropped() -> None:
        dropoutidioms.softmax_dropout_backward(grad, weights, 0.1, kept, out=out)
        np.multiply(out, np.float32(0.125), out=out)

    scaled: dict[str, Any] = {"scale": 0.125, "causal": True}
    cells[dropped] = {
        "fastact": partial(fa.softmax_dropout, scores, 0.1, rng, out=(y, own), **scaled),
        "NumPy": numpy_dropped,
        "two calls": two_calls,
    }
    cells[undropped] = {
        "fastact": partial(fa.softmax_dropout_backward, grad, weights, 0.1, key, out=out, **scaled),
        "NumPy": numpy_undropped,
        "two calls": two_calls_backward,
    }
    if torch := _torch():
        ts, tg, tw, mask = map(torch.tensor, (scores, grad, weights, hidden))
        cells[forward]["PyTorch"] = lambda: torch.softmax((ts * 0.125).masked_fill_(mask, float("-inf")), -1)
        softmax_backward = torch.ops.aten._softmax_backward_data
        cells[backward]["PyTorch"] = lambda: softmax_backward(tg, tw, -1, torch.float32).mul_(0.125)
        dropout, dropout_backward, tk = torch.native_dropout, torch.ops.aten.native_dropout_backward, torch.tensor(kept)
        cells[dropped]["PyTorch"] = lambda: dropout(cells[forward]["PyTorch"](), 0.1, True)
        cells[undropped]["PyTorch"] = lambda: softmax_backward(
            dropout_backward(tg, tk, 1 / 0.9), tw, -1, torch.float32
        ).mul_(0.125)
    return cells


if __name__ == "__main__":
    raise SystemExit(main())
