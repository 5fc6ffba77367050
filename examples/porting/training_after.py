"""Train a network of one hidden layer, with layer norm and SiLU, by cross-entropy and Adam.

Run as ``python examples/porting/training_after.py [STEPS]``.
"""

import sys

import numpy as np

import fastact as fa

SIZE = 40
BATCH, INPUTS, HIDDEN, CLASSES = 256, 784, 256, 10


def given(steps):
    """Batches of inputs with their labels: each class is noise around a point of its own."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLASSES, INPUTS), dtype=np.float32)
    labels = rng.integers(0, CLASSES, (steps, BATCH))
    return centres[labels] + 8 * rng.standard_normal((steps, BATCH, INPUTS), dtype=np.float32), labels


def run(inputs, labels):
    rng = np.random.default_rng(1)
    shapes = (INPUTS, HIDDEN), (HIDDEN, CLASSES)
    first, last = (rng.standard_normal(shape, dtype=np.float32) / shape[0] ** 0.5 for shape in shapes)
    params = [first, np.ones(HIDDEN, np.float32), np.zeros(HIDDEN, np.float32), last]
    m, v = ([np.zeros_like(param) for param in params] for _ in range(2))
    losses = []
    for step, (x, y) in enumerate(zip(inputs, labels, strict=True), 1):
        before = x @ params[0]
        normed = fa.layer_norm(before, params[1], params[2])
        hidden = fa.silu(normed)
        loss, grad = fa.cross_entropy_with_grad(hidden @ params[3], y)
        of_last, grad = hidden.T @ grad, grad @ params[3].T
        grad = fa.silu_backward(grad, normed)
        grad, of_weight, of_bias = fa.layer_norm_backward(grad, before, params[1])
        grads = [x.T @ grad, of_weight, of_bias, of_last]
        fa.adam_step(params, grads, m, v, step)
        losses.append(loss)
    return {"first loss": losses[0], "last loss": losses[-1], "weights": np.abs(params[0]).mean()}


if __name__ == "__main__":
    size = int(sys.argv[1]) if len(sys.argv) > 1 else SIZE
    for name, value in run(*given(size)).items():
        print(f"{name:>18}: {value:.4f}")
