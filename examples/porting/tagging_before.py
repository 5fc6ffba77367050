"""Tag documents by the mean of their words' vectors, learnt by the Dice loss, which suits rare tags, and Adagrad.

Run as ``python examples/porting/tagging_before.py [STEPS]``.
"""

import sys

import numpy as np

SIZE = 30
BATCH, LENGTH, WORDS, WIDTH, TAGS = 512, 24, 10_000, 64, 100


def given(steps):
    """Batches of documents as words' numbers, and their tags as zeros and ones: each of four tags brings six words of its own."""
    rng = np.random.default_rng(0)
    own = rng.integers(0, TAGS, (steps, BATCH, 4))
    tags = np.zeros((steps, BATCH, TAGS), np.float32)
    np.put_along_axis(tags, own, 1, axis=2)
    words = np.repeat(own, LENGTH // 4, axis=2) + TAGS * rng.integers(0, WORDS // TAGS, (steps, BATCH, LENGTH))
    return words, tags


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def dice_loss(scores, tags):
    p = sigmoid(scores)
    both = 2 * (p * tags).sum(axis=0) + 1
    either = (p + tags).sum(axis=0) + 1
    grad = (both / either**2 - 2 * tags / either) / TAGS
    return (1 - both / either).mean(), grad * p * (1 - p)


def sums(rows, words):
    found = np.zeros((WORDS, WIDTH), np.float32)
    np.add.at(found, words, rows)
    return found


def adagrad(params, grads, squares, lr=0.3):
    for param, grad, square in zip(params, grads, squares, strict=True):
        square += grad**2
        param -= lr * grad / (np.sqrt(square) + 1e-10)


def dice_score(scores, tags):
    p = scores > 0
    return 2 * (p * tags).sum() / (p.sum() + tags.sum())


def run(words, tags):
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((WORDS, WIDTH), dtype=np.float32)
    weight = rng.standard_normal((WIDTH, TAGS), dtype=np.float32) / WIDTH**0.5
    squares = [np.zeros_like(vectors), np.zeros_like(weight)]
    losses = []
    for document, tag in zip(words, tags, strict=True):
        means = vectors[document].mean(axis=1)
        scores = means @ weight
        loss, grad = dice_loss(scores, tag)
        rows = np.repeat(grad @ weight.T / LENGTH, LENGTH, axis=0)
        grads = [sums(rows, document.reshape(-1)), means.T @ grad]
        adagrad([vectors, weight], grads, squares)
        losses.append(loss)
    return {"first loss": losses[0], "last loss": losses[-1], "dice score": dice_score(scores, tag)}


if __name__ == "__main__":
    size = int(sys.argv[1]) if len(sys.argv) > 1 else SIZE
    for name, value in run(*given(size)).items():
        print(f"{name:>18}: {value:.4f}")
