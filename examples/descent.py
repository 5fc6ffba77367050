"""Three kinds of gradient descent, side by side: on all digits at once, on one at a time, and on small batches.

    python examples/descent.py                        # about half a minute; writes descent.png
    python examples/descent.py --picture descent.svg
    python examples/descent.py --compare              # the same in plain NumPy: results, seconds, and which part takes them
    python examples/descent.py --quick                # a few seconds, for a first look

A network with one hidden layer reads the 8 x 8 pixel digits that come with scikit-learn. Each kind starts from the same weights
and takes the same number of passes over the digits, but for descent on all of them, whose steps are so few that it may take more.
The picture has the loss of all digits over the passes and over the seconds, which tell different stories:

- *Batch* descent follows the true gradient. A step is exact, smooth, and dear: all digits are looked at to move once.
- *Stochastic* descent moves after each digit. A pass brings the most progress and takes the longest, as matrix products of one row
  are slow; at a constant rate it never settles, for each digit pulls its own way.
- *Mini-batch* descent is nearly as frugal with digits and nearly as quick a pass: its products are large enough for the
  processor, its steps many, and its noise is averaged.

Needs scikit-learn and rich besides fastact, and matplotlib for the picture. Matrix products, and fastact, run on as many threads as
they take by themselves.
"""

import argparse
import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import BarColumn, Progress, TimeRemainingColumn
from sklearn.datasets import load_digits

import fastact as fa

Array = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

PIXELS, HIDDEN, CLASSES = 64, 128, 10
SHARES = {"matrix products": "product", "activation": "activation", "loss": "loss", "update": "update"}
"""Parts of a step as they are printed, and as they are timed."""


@dataclass(frozen=True)
class Kind:
    """A kind of gradient descent."""

    name: str
    batch: int
    """Digits of a step; 0 stands for all."""
    rate: float
    more: int = 1
    """How many times as many passes it takes."""


KINDS = Kind("batch", 0, 0.5, more=5), Kind("stochastic", 1, 0.01), Kind("mini-batch", 32, 0.05)


# --- what is computed besides matrix products ------------------------------------------------------------------------


class Plain:
    """In NumPy."""

    name = "NumPy"

    def activation(self, x: Array) -> Array:
        """The rectifier."""
        found: Array = np.maximum(x, 0)
        return found

    def activation_backward(self, grad: Array, x: Array) -> Array:
        """Its gradient, in place."""
        grad *= x > 0
        return grad

    def loss(self, logits: Array, labels: Labels) -> tuple[float, Array]:
        """The mean cross-entropy, and its gradient in place of the logits."""
        rows = np.arange(len(labels))
        logits -= logits.max(axis=1, keepdims=True)
        own = logits[rows, labels]
        np.exp(logits, out=logits)
        sums = logits.sum(axis=1, keepdims=True)
        logits /= sums
        logits[rows, labels] -= 1
        logits /= len(labels)
        return float((np.log(sums[:, 0]) - own).mean()), logits

    def update(self, values: list[Array], grads: list[Array], rate: float) -> None:
        """A step down, in place."""
        for value, grad in zip(values, grads, strict=True):
            grad *= np.float32(rate)
            value -= grad


class Fast(Plain):
    """On fastact."""

    name = "fastact"

    def activation(self, x: Array) -> Array:
        """The rectifier."""
        found: Array = fa.relu(x)
        return found

    def activation_backward(self, grad: Array, x: Array) -> Array:
        """Its gradient, in place."""
        found: Array = fa.relu_backward(grad, x, out=grad)
        return found

    def loss(self, logits: Array, labels: Labels) -> tuple[float, Array]:
        """The mean cross-entropy, and its gradient in place of the logits."""
        loss, grad = fa.cross_entropy_with_grad(logits, labels, out=logits)
        return float(loss), grad

    def update(self, values: list[Array], grads: list[Array], rate: float) -> None:
        """A step down, in place."""
        fa.sgd_step(values, grads, lr=rate)


class Clock:
    """Adds up the seconds of each part."""

    def __init__(self) -> None:
        self.seconds = defaultdict[str, float](float)

    def timed(self, part: str, function: Callable[..., Any], *given: Any) -> Any:
        """What the function returns."""
        start = time.perf_counter()
        found = function(*given)
        self.seconds[part] += time.perf_counter() - start
        return found


class Network:
    """From 64 pixels to a score per digit, by way of a hidden layer."""

    def __init__(self, maths: Plain, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.maths, self.clock = maths, Clock()
        self.values: list[Array] = [
            rng.normal(scale=math.sqrt(2 / PIXELS), size=(PIXELS, HIDDEN)).astype(np.float32),
            np.zeros(HIDDEN, np.float32),
            rng.normal(scale=math.sqrt(1 / HIDDEN), size=(HIDDEN, CLASSES)).astype(np.float32),
            np.zeros(CLASSES, np.float32),
        ]

    def logits(self, x: Array) -> Array:
        """The scores of some digits; keeps what the gradient needs."""
        w, b, v, c = self.values
        self.x, self.h = x, self.clock.timed("product", lambda: x @ w + b)
        self.a = self.clock.timed("activation", self.maths.activation, self.h)
        found: Array = self.clock.timed("product", lambda: self.a @ v + c)
        return found

    def learn(self, x: Array, labels: Labels, rate: float) -> float:
        """Take one step down the loss of some digits, and return that loss."""
        timed = self.clock.timed
        loss, grad = timed("loss", self.maths.loss, self.logits(x), labels)
        of_v, of_c = timed("product", lambda: (self.a.T @ grad, grad.sum(axis=0)))
        back = timed("product", lambda: grad @ self.values[2].T)
        back = timed("activation", self.maths.activation_backward, back, self.h)
        of_w, of_b = timed("product", lambda: (self.x.T @ back, back.sum(axis=0)))
        timed("update", self.maths.update, self.values, [of_w, of_b, of_v, of_c], rate)
        return float(loss)


# --- descent ---------------------------------------------------------------------------------------------------------


@dataclass
class Descent:
    """The course of one kind: the loss of all digits after so many passes over them, and after so many seconds."""

    kind: Kind
    network: Network
    order: np.random.Generator
    seconds: list[float] = field(default_factory=lambda: [0.0])
    losses: list[float] = field(default_factory=list)
    steps: int = 0

    def measure(self, x: Array, labels: Labels) -> None:
        """Note the loss of all digits, off the clock."""
        self.losses.append(float(fa.cross_entropy(self.network.logits(x), labels)))

    def descend(self, x: Array, labels: Labels) -> None:
        """Take the steps of one pass, in an order of its own."""
        start = time.perf_counter()
        order, batch = self.order.permutation(len(x)), self.kind.batch or len(x)
        for first in range(0, len(x), batch):
            chosen = order[first : first + batch]
            self.network.learn(x[chosen], labels[chosen], self.kind.rate)
            self.steps += 1
        self.seconds.append(self.seconds[-1] + time.perf_counter() - start)


def load(digits: int | None = None) -> tuple[Array, Labels]:
    """Pixels from 0 to 1, and labels, of all digits or of the first so many."""
    images, labels = load_digits(return_X_y=True)
    return (images[:digits] / 16).astype(np.float32), labels[:digits].astype(np.int64)


def run(maths: Plain, x: Array, labels: Labels, passes: int, seed: int) -> list[Descent]:
    """Each kind of descent from the same weights, the clock at rest while losses are looked at."""
    columns = "{task.description:>18}", BarColumn(), "pass {task.completed}/{task.total}  loss {task.fields[loss]:.4f}"
    descents = [Descent(kind, Network(maths, seed), np.random.default_rng(seed)) for kind in KINDS]
    with Progress(*columns, TimeRemainingColumn(), disable=not sys.stdout.isatty()) as progress:
        for descent in descents:
            count = passes * descent.kind.more
            bar = progress.add_task(f"{maths.name} {descent.kind.name}", total=count, loss=math.nan)
            descent.measure(x, labels)
            descent.network.clock = Clock()
            for _ in range(count):
                descent.descend(x, labels)
                kept, descent.network.clock = descent.network.clock, Clock()
                descent.measure(x, labels)
                descent.network.clock = kept
                progress.update(bar, advance=1, loss=descent.losses[-1])
    return descents


def compile_kernels() -> None:
    """Compile what will be called, or load it from the cache, before any clock starts."""
    fa.warmup(["relu", "relu_backward", "cross_entropy", "cross_entropy_with_grad", "sgd_step"], ["float32"])


# --- what is shown ---------------------------------------------------------------------------------------------------


def report(descents: list[Descent]) -> None:
    """Print what each kind took and reached, and which part took the time."""
    print(f"{'':12}{'passes':>8}{'steps':>8}{'seconds':>9}{'loss':>8}   share of " + ", ".join(SHARES))
    for descent in descents:
        seconds, clock = descent.seconds[-1], descent.network.clock.seconds
        parts = ", ".join(f"{clock[part] / seconds:.0%}" for part in SHARES.values())
        passes = len(descent.losses) - 1
        print(f"{descent.kind.name:12}{passes:8}{descent.steps:8}{seconds:9.2f}{descent.losses[-1]:8.4f}   {parts}")


def draw(descents: list[Descent], path: Path) -> None:
    """Draw the losses over passes, and over seconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    over_passes, over_seconds = figure.subplots(1, 2, sharey=True)
    for descent in descents:
        label = f"{descent.kind.name}, {descent.kind.batch or 'all'} a step"
        over_passes.plot(range(len(descent.losses)), descent.losses, label=label)
        over_seconds.plot(descent.seconds[1:], descent.losses[1:], label=label)
    over_passes.set(xlabel="passes over the digits", ylabel="cross-entropy of all digits", yscale="log")
    over_passes.set_xlim(0, max(len(d.losses) - 1 for d in descents if d.kind.more == 1))
    over_seconds.set(xlabel="seconds", xscale="log")
    over_passes.legend(frameon=False)
    for axes in (over_passes, over_seconds):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def compare(x: Array, labels: Labels, passes: int, seed: int) -> int:
    """Descend with fastact and in plain NumPy; whether both arrive at the same losses."""
    found = {maths.name: run(maths, x, labels, passes, seed) for maths in (Fast(), Plain())}
    for name, descents in found.items():
        print(f"\n{name}")
        report(descents)
    print()
    same = True
    for ours, theirs in zip(*found.values(), strict=True):
        ratio = theirs.seconds[-1] / ours.seconds[-1]
        print(
            f"{ours.kind.name}: NumPy takes {ratio:.2f} times as long; losses {ours.losses[-1]:.5f}, {theirs.losses[-1]:.5f}"
        )
        same &= math.isclose(ours.losses[-1], theirs.losses[-1], rel_tol=0.05, abs_tol=1e-3)
    return 0 if same else 1


def positive(text: str) -> int:
    """Read a number of at least 1 from the command line."""
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def main() -> int:
    """Run the command line; the exit status is 1 if a kind does not learn to read, or NumPy arrives somewhere else."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=positive, help="over the digits (default 40, or 3)")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights and of the order of the digits")
    parser.add_argument(
        "--picture", type=Path, default=Path("descent.png"), help="default descent.png; also .svg or .pdf"
    )
    parser.add_argument("--compare", action="store_true", help="do the same in plain NumPy, and draw nothing")
    parser.add_argument("--quick", action="store_true", help="few digits and passes; need not learn well")
    options = parser.parse_args()
    x, labels = load(300 if options.quick else None)
    passes = options.passes or (3 if options.quick else 40)
    compile_kernels()
    if options.compare:
        return compare(x, labels, passes, options.seed)
    descents = run(Fast(), x, labels, passes, options.seed)
    report(descents)
    draw(descents, options.picture)
    print(f"The losses over passes and over seconds: {options.picture}")
    return 0 if options.quick or all(descent.losses[-1] < 0.3 for descent in descents) else 1


if __name__ == "__main__":
    raise SystemExit(main())
