"""Score a classifier's logits: the temperature that calibrates them, the best five classes, and how well confidence is deserved.

Run as ``python examples/porting/scoring_before.py [ROWS]``.
"""

import sys

import numpy as np

SIZE = 2000
CLASSES = 1000


def given(rows):
    """Logits and labels, as np.load brings them from files that a model's run over a validation set has left."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, rows)
    logits = rng.standard_normal((rows, CLASSES), dtype=np.float32)
    logits[np.arange(rows), labels] += 3
    return 2 * logits, labels


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def loss(logits, labels):
    p = softmax(logits)
    return -np.log(p[np.arange(len(labels)), labels]).mean()


def calibrated(logits, labels):
    temperatures = np.linspace(0.5, 3.0, 11)
    losses = [loss(logits / t, labels) for t in temperatures]
    return temperatures[np.argmin(losses)], min(losses)


def best(p, k):
    order = np.argsort(-p, axis=1)[:, :k]
    return np.take_along_axis(p, order, axis=1), order


def calibration_error(confidence, right):
    """The mean distance of confidence from the share that is right, over ten bins of confidence."""
    bins = np.minimum((10 * confidence).astype(int), 9)
    difference = np.bincount(bins, weights=confidence - right, minlength=10)
    return np.abs(difference).sum() / len(bins)


def run(logits, labels):
    temperature, least = calibrated(logits, labels)
    p = softmax(logits / temperature)
    values, classes = best(p, 5)
    right = classes == labels[:, None]
    return {
        "temperature": temperature,
        "loss": least,
        "right at once": right[:, 0].mean(),
        "among the five": right.any(axis=1).mean(),
        "calibration error": calibration_error(values[:, 0], right[:, 0]),
    }


if __name__ == "__main__":
    size = int(sys.argv[1]) if len(sys.argv) > 1 else SIZE
    for name, value in run(*given(size)).items():
        print(f"{name:>18}: {value:.4f}")
