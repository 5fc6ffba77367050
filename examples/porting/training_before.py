"""Train a network of one hidden layer, with layer norm and SiLU, by cross-entropy and Adam.

Run as ``python examples/porting/training_before.py [STEPS]``.
"""

import sys

import numpy as np

SIZE = 40
BATCH, INPUTS, HIDDEN, CLASSES = 256, 784, 256, 10


def given(steps):
    """Batches of inputs with their labels: each class is noise around a point of its own."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLASSES, INPUTS), dtype=np.float32)
    labels = rng.integers(0, CLASSES, (steps, BATCH))
    return centres[labels] + 8 * rng.standard_normal((steps, BATCH, INPUTS), dtype=np.float32), labels


def layer_norm(x, weight, bias):
    mean = x.mean(axis=1, keepdims=True)
    deviation = np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    normed = (x - mean) / deviation
    return normed * weight + bias, normed, deviation


def layer_norm_backward(grad, normed, deviation, weight):
    g = grad * weight
    g = g - g.mean(axis=1, keepdims=True) - normed * (g * normed).mean(axis=1, keepdims=True)
    return g / deviation, (grad * normed).sum(axis=0), grad.sum(axis=0)


def cross_entropy(logits, labels):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.log(p[rows, labels]).mean()
    p[rows, labels] -= 1
    return loss, p / len(labels)


def adam(params, grads, m, v, step, lr=1e-3, b1=0.9, b2=0.999):
    for i in range(len(params)):
        m[i] = b1 * m[i] + (1 - b1) * grads[i]
        v[i] = b2 * v[i] + (1 - b2) * grads[i] ** 2
        params[i] -= lr * (m[i] / (1 - b1**step)) / (np.sqrt(v[i] / (1 - b2**step)) + 1e-8)


def run(inputs, labels):
    rng = np.random.default_rng(1)
    shapes = (INPUTS, HIDDEN), (HIDDEN, CLASSES)
    first, last = (rng.standard_normal(shape, dtype=np.float32) / shape[0] ** 0.5 for shape in shapes)
    params = [first, np.ones(HIDDEN, np.float32), np.zeros(HIDDEN, np.float32), last]
    m, v = ([np.zeros_like(param) for param in params] for _ in range(2))
    losses = []
    for step, (x, y) in enumerate(zip(inputs, labels, strict=True), 1):
        before = x @ params[0]
        normed, rows, deviation = layer_norm(before, params[1], params[2])
        s = 1 / (1 + np.exp(-normed))
        hidden = normed * s
        loss, grad = cross_entropy(hidden @ params[3], y)
        of_last, grad = hidden.T @ grad, grad @ params[3].T
        grad = grad * (s + hidden * (1 - s))
        grad, of_weight, of_bias = layer_norm_backward(grad, rows, deviation, params[1])
        grads = [x.T @ grad, of_weight, of_bias, of_last]
        adam(params, grads, m, v, step)
        losses.append(loss)
    return {"first loss": losses[0], "last loss": losses[-1], "weights": np.abs(params[0]).mean()}


if __name__ == "__main__":
    size = int(sys.argv[1]) if len(sys.argv) > 1 else SIZE
    for name, value in run(*given(size)).items():
        print(f"{name:>18}: {value:.4f}")
