"""Score a classifier's logits: the temperature that calibrates them, the best five classes, and how well confidence is deserved.

Run as ``python examples/porting/scoring_after.py [ROWS]``.
"""

import sys

import numpy as np

import fastact as fa

SIZE = 2000
CLASSES = 1000


def given(rows):
    """Logits and labels, as np.load brings them from files that a model's run over a validation set has left."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, rows)
    logits = rng.standard_normal((rows, CLASSES), dtype=np.float32)
    logits[np.arange(rows), labels] += 3
    return 2 * logits, labels


def calibrated(logits, labels):
    temperatures = np.linspace(0.5, 3.0, 11)
    losses = [fa.cross_entropy(logits / float(t), labels) for t in temperatures]
    return temperatures[np.argmin(losses)], min(losses)


def calibration_error(confidence, right):
    """The mean distance of confidence from the share that is right, over ten bins of confidence."""
    bins = np.minimum((10 * confidence).astype(int), 9)
    difference = np.bincount(bins, weights=confidence - right, minlength=10)
    return np.abs(difference).sum() / len(bins)


def run(logits, labels):
    temperature, least = calibrated(logits, labels)
    p = fa.softmax(logits, scale=1 / temperature)
    values, classes = fa.top_k(p, 5)
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
