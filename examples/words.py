"""Learn vectors for words from the company they keep: skip-grams with negative samples, by hand in NumPy.

    python examples/words.py                 # about a minute; prints the nearest neighbours of some words
    python examples/words.py --like file error
    python examples/words.py --compare       # the time of a step and of its parts, in turns with plain NumPy
    python examples/words.py --quick         # a few seconds, for a first look

The text is the docstrings of the standard library that runs this. A word's vector is to give the words within a few places of it a
high score with *their* vectors, and words drawn at random a low one: the loss is the binary cross-entropy of these scores. A step's
gradients are rows that belong to a few hundred words, often to the same one several times, and are added up word by word:
`fa.embedding_backward`, which NumPy has as ``np.add.at``. In the end the vectors are examined: words of each pair that
was held out must be nearer to each other than words that were drawn at random are. Needs rich besides fastact.

T. Mikolov et al., Distributed Representations of Words and Phrases and their Compositionality, arXiv:1310.4546.
"""

import argparse
import collections
import math
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import BarColumn, Progress, TimeRemainingColumn
from transformer import docstrings

import fastact as fa

Array = npt.NDArray[np.float32]
Words = npt.NDArray[np.int64]

RATE = 0.05
WINDOW = 4
"""How many places away a neighbour may be."""
HELD_OUT = 0.02
"""The share of pairs that nothing is learnt from."""
KNOWN = "file", "error", "string", "number", "thread", "returns", "true"


@dataclass(frozen=True)
class Size:
    """How large the vectors are, and how long is learnt."""

    letters: int
    width: int
    batch: int
    negatives: int
    steps: int
    least: int
    """How often a word must occur."""


WHOLE = Size(letters=1_500_000, width=100, batch=2048, negatives=6, steps=3000, least=8)
QUICK = Size(letters=100_000, width=32, batch=512, negatives=4, steps=150, least=5)


# --- the text --------------------------------------------------------------------------------------------------------


@dataclass
class Text:
    """Words by frequency, and pairs of them that stand near each other."""

    words: list[str]
    shares: npt.NDArray[np.float64]
    """How often negative samples are what words: by the three-quarter power of their frequencies."""
    pairs: Words
    """(n, 2): a word, and one within ``WINDOW`` places of it."""
    held_out: Words


def load(size: Size, seed: int) -> Text:
    """The words of the docstrings, and their pairs in an order that depends on the seed alone."""
    found = re.findall(r"[a-z]{2,}", "\n".join(docstrings(size.letters)).lower())
    counts = collections.Counter(found)
    words = [word for word, count in counts.most_common() if count >= size.least]
    number = {word: i for i, word in enumerate(words)}
    text = np.array([number[word] for word in found if word in number])
    share = np.array([counts[word] for word in words]) / len(text)
    rng = np.random.default_rng(seed)
    # Words as frequent as "the" say little of their neighbours: most of them are left out.
    text = text[rng.random(len(text)) < np.sqrt(1e-3 / share)[text]]
    pairs = np.concatenate([np.stack([text[:-k], text[k:]], 1) for k in range(1, WINDOW + 1)])
    pairs = rng.permutation(np.concatenate([pairs, pairs[:, ::-1]]))
    powers = share**0.75
    held_out = round(HELD_OUT * len(pairs))
    return Text(words, powers / powers.sum(), pairs[held_out:], pairs[:held_out])


# --- what is computed besides products -------------------------------------------------------------------------------


class Plain:
    """In NumPy."""

    name = "NumPy"

    def loss(self, scores: Array, near: Array) -> tuple[float, Array]:
        """The mean binary cross-entropy, and its gradient."""
        e = np.exp(-np.abs(scores))
        losses = np.maximum(scores, 0) - scores * near + np.log1p(e)
        grad = np.where(scores < 0, e, 1) / (1 + e) - near
        grad *= np.float32(1 / grad.size)
        return float(losses.mean()), grad

    def sums(self, rows: Array, words: Words, count: int) -> Array:
        """The sum of the rows that belong to each of so many words."""
        found = np.zeros((count, rows.shape[-1]), np.float32)
        np.add.at(found, words, rows)
        return found

    def update(self, values: list[Array], grads: list[Array], squares: list[Array]) -> None:
        """A step of Adagrad, in place."""
        for value, grad, square in zip(values, grads, squares, strict=True):
            square += grad * grad
            value -= RATE * grad / (np.sqrt(square) + np.float32(1e-10))


class Fast(Plain):
    """On fastact."""

    name = "fastact"

    def loss(self, scores: Array, near: Array) -> tuple[float, Array]:
        """The mean binary cross-entropy, and its gradient."""
        loss, grad = fa.binary_cross_entropy_with_logits_with_grad(scores, near)
        return float(loss), grad

    def sums(self, rows: Array, words: Words, count: int) -> Array:
        """The sum of the rows that belong to each of so many words."""
        found: Array = fa.embedding_backward(rows, words, count)
        return found

    def update(self, values: list[Array], grads: list[Array], squares: list[Array]) -> None:
        """A step of Adagrad, in place."""
        fa.adagrad_step(values, grads, squares, lr=RATE)


class Vectors:
    """Of each word one vector for itself, and one as others' neighbour."""

    def __init__(self, text: Text, size: Size, seed: int, maths: Plain) -> None:
        rng = np.random.default_rng(seed)
        self.text, self.size, self.maths = text, size, maths
        count = len(text.words)
        self.values = [rng.uniform(-0.5, 0.5, (count, size.width)).astype(np.float32) / size.width for _ in range(2)]
        self.squares: list[Array] = [np.zeros_like(value) for value in self.values]
        self.near = np.zeros((size.batch, 1 + size.negatives), np.float32)
        self.near[:, 0] = 1
        self.seconds = collections.defaultdict[str, float](float)

    def _timed(self, part: str, function: Callable[..., Any], *given: Any) -> Any:
        start = time.perf_counter()
        found = function(*given)
        self.seconds[part] += time.perf_counter() - start
        return found

    def learn(self, pairs: Words, negatives: Words) -> float:
        """Take a step down the loss of some pairs, each with words drawn at random; that loss."""
        own, other = self.values
        words, neighbours = pairs[:, 0], np.concatenate([pairs[:, 1:], negatives], 1)
        a, b = self._timed("lookup", lambda: (own[words], other[neighbours]))
        scores = self._timed("products", lambda: (b @ a[:, :, None])[:, :, 0])
        loss, grad = self._timed("loss", self.maths.loss, scores, self.near)
        of_a, of_b = self._timed("products", lambda: ((grad[:, None] @ b)[:, 0], grad[:, :, None] * a[:, None]))
        count, width = own.shape
        of_own = self._timed("sums", self.maths.sums, of_a, words, count)
        rows, flat = of_b.reshape(-1, width), neighbours.reshape(-1)
        of_other = self._timed("sums", self.maths.sums, rows, flat, count)
        self._timed("update", self.maths.update, self.values, [of_own, of_other], self.squares)
        return float(loss)

    def batches(self, steps: int, rng: np.random.Generator) -> Sequence[tuple[Words, Words]]:
        """Pairs, and words drawn by frequency, for so many steps."""
        size, text = self.size, self.text
        starts = rng.integers(0, max(1, len(text.pairs) - size.batch), steps)
        drawn = rng.choice(len(text.words), (steps, size.batch, size.negatives), p=text.shares)
        return [(text.pairs[start : start + size.batch], other) for start, other in zip(starts, drawn, strict=True)]

    def directions(self) -> Array:
        """The words' vectors, all of length 1."""
        own = self.values[0]
        found: Array = own / np.linalg.norm(own, axis=1, keepdims=True)
        return found

    def nearer(self, rng: np.random.Generator) -> float:
        """How often the words of a pair that was held out are nearer than the first is to a word drawn at random."""
        unit, pairs = self.directions(), self.text.held_out
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        drawn = rng.choice(len(unit), len(pairs), p=self.text.shares)
        first, second, other = unit[pairs[:, 0]], unit[pairs[:, 1]], unit[drawn]
        return float(np.mean((first * second).sum(axis=1) > (first * other).sum(axis=1)))

    def like(self, word: str, count: int = 6) -> list[str]:
        """The nearest neighbours of a word."""
        unit, number = self.directions(), self.text.words.index(word)
        _, found = fa.top_k(unit @ unit[number], count + 1)
        return [self.text.words[i] for i in found if i != number][:count]


def train(vectors: Vectors, steps: int, rng: np.random.Generator) -> list[float]:
    """Take so many steps; the losses."""
    columns = BarColumn(), "step {task.completed}/{task.total}  loss {task.fields[loss]:.3f}", TimeRemainingColumn()
    losses: list[float] = []
    with Progress(*columns, disable=not sys.stdout.isatty()) as progress:
        bar = progress.add_task("", total=steps, loss=math.nan)
        while len(losses) < steps:
            for pairs, negatives in vectors.batches(min(50, steps - len(losses)), rng):
                losses.append(vectors.learn(pairs, negatives))
            progress.update(bar, completed=len(losses), loss=statistics.mean(losses[-50:]))
    return losses


def compare(text: Text, size: Size, seed: int, rounds: int, steps: int = 20) -> int:
    """Time steps in turns with plain NumPy's; whether both learn the same."""
    contenders = [Vectors(text, size, seed, maths) for maths in (Fast(), Plain())]
    times: dict[str, list[float]] = {vectors.maths.name: [] for vectors in contenders}
    losses: dict[str, float] = {}
    for k in range(rounds + 1):
        given = contenders[0].batches(steps, np.random.default_rng([seed, k]))
        for vectors in contenders if k % 2 else contenders[::-1]:
            start = time.perf_counter()
            losses[vectors.maths.name] = statistics.mean(vectors.learn(*batch) for batch in given)
            if k:
                times[vectors.maths.name].append((time.perf_counter() - start) / steps)
            else:  # the first turn compiles
                vectors.seconds.clear()
    for vectors in contenders:
        name, whole = vectors.maths.name, sum(vectors.seconds.values())
        parts = ", ".join(f"{part} {seconds / whole:.0%}" for part, seconds in vectors.seconds.items())
        middle, mean = (1e3 * f(times[name]) for f in (statistics.median, statistics.mean))
        print(f"{name:>8}: {middle:6.2f} ms a step by median, {mean:6.2f} by mean; {parts}")
    ours, theirs = (times[vectors.maths.name] for vectors in contenders)
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    print(f"NumPy takes {ratio:.2f} times as long, by the median of {rounds} rounds of {steps} steps.")
    return 0 if math.isclose(*losses.values(), rel_tol=1e-3) else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if words that stand together are not nearer than others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--like", nargs="+", metavar="WORD", help="print the neighbours of these words")
    parser.add_argument("--seed", type=int, default=0, help="of the first vectors, of pairs and samples")
    parser.add_argument("--compare", action="store_true", help="learn little: time steps in turns with plain NumPy's")
    parser.add_argument("--quick", action="store_true", help="little text and few steps; need not learn well")
    options = parser.parse_args(arguments)
    size = QUICK if options.quick else WHOLE
    text = load(size, options.seed)
    unknown = [word for word in options.like or () if word not in text.words]
    if unknown:
        parser.error(f"argument --like: the text has no word {unknown[0]!r}, or too seldom")
    print(f"{len(text.words):,} words, {len(text.pairs):,} pairs to learn from, {len(text.held_out):,} held out.")
    if options.compare:
        return compare(text, size, options.seed, 3 if options.quick else 21)
    rng = np.random.default_rng(options.seed)
    vectors = Vectors(text, size, options.seed, Fast())
    start = time.perf_counter()
    losses = train(vectors, size.steps, rng)
    print(f"{len(losses)} steps in {time.perf_counter() - start:.1f} s, loss {statistics.mean(losses[-50:]):.3f}")
    for word in options.like or [word for word in KNOWN if word in text.words]:
        print(f"{word:>10}: {', '.join(vectors.like(word))}")
    share = vectors.nearer(rng)
    print(f"{share:.1%} of the pairs that were held out are nearer to each other than to a word drawn at random.")
    return 0 if options.quick or share > 0.7 else 1


if __name__ == "__main__":
    raise SystemExit(main())
