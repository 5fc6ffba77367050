"""Learn to read handwritten digits twice: with fastact's activations, and with the same in plain NumPy and SciPy.

    python examples/digits.py                      # about half a minute
    python examples/digits.py --activation mish
    python examples/digits.py --quick              # a few seconds, for a first look

A network with two hidden layers, its forward and backward pass written by hand, learns the 8 x 8 pixel digits that come
with scikit-learn. Both versions start from the same weights and see the same batches; they differ in who computes the
activation, its gradient, and the exponentials and logarithms of the loss. NumPy gets its best form: activations without
temporary arrays, and nothing computed twice. Needs scikit-learn, SciPy and rich besides fastact.

Matrix products of both versions and the activations of fastact run on as many threads as they take by themselves, as in a
program that sets nothing; ``--threads`` sets one number for both. NumPy has only one thread for activations.
"""

import argparse
import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.progress import BarColumn, Progress, TimeRemainingColumn
from scipy.special import erf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_info, threadpool_limits  # comes with scikit-learn

import fastact as fa

Array = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

CLASSES = 10
BATCH = 256
RATE, MOMENTUM = 0.1, 0.9
REQUIRED = 0.97
"""The share of held-out digits that both versions must read correctly."""


# --- the two contestants ---------------------------------------------------------------------------------------------
#
# value(x, y, kept) writes f(x) to y; gradient(grad, x, y, kept) multiplies grad by f'(x). All arrays are (n, units);
# kept is two of them, in which a value may leave what its gradient needs again. A gradient may also write over y.


@dataclass(frozen=True)
class Maths:
    """Who computes the activation, its gradient, and the loss's exponentials and logarithms."""

    name: str
    value: Callable[[Array, Array, Array], object]
    gradient: Callable[[Array, Array, Array, Array], object]
    exp: np.ufunc
    log: np.ufunc


def with_fastact(activation: str) -> Maths:
    """One call for the value and one for the gradient: each passes over its arrays once, and keeps nothing."""
    value, backward = getattr(fa, activation), getattr(fa, f"{activation}_backward")
    return Maths(
        name="fastact",
        value=lambda x, y, kept: value(x, out=y),
        gradient=lambda grad, x, y, kept: backward(grad, x, out=grad),
        exp=fa.exp,
        log=fa.log,
    )


def with_numpy(activation: str) -> Maths:
    """One pass over the arrays for each step of the formula."""
    value, gradient = NUMPY[activation]
    return Maths("NumPy", value, gradient, exp=np.exp, log=np.log)


def gelu(x: Array, y: Array, kept: Array) -> None:
    """``x P(x)``, with the normal distribution function ``P(x) = (1 + erf(x / sqrt(2))) / 2``, which is kept."""
    cdf = np.multiply(x, math.sqrt(0.5), out=kept[0])
    erf(cdf, out=cdf)
    cdf += 1
    cdf *= 0.5
    np.multiply(x, cdf, out=y)


def gelu_gradient(grad: Array, x: Array, y: Array, kept: Array) -> None:
    """``P(x) + x p(x)``, with the normal density ``p(x) = exp(-x**2 / 2) / sqrt(2 pi)``."""
    cdf, slope = kept
    np.square(x, out=slope)
    slope *= -0.5
    np.exp(slope, out=slope)
    slope *= 1 / math.sqrt(2 * math.pi)
    slope *= x
    slope += cdf
    grad *= slope


def silu(x: Array, y: Array, kept: Array) -> None:
    """``x s``, with the sigmoid ``s = (1 + tanh(x / 2)) / 2``: NumPy has a fast tanh, and it never overflows."""
    s = np.multiply(x, 0.5, out=kept[0])
    np.tanh(s, out=s)
    s += 1
    s *= 0.5
    np.multiply(x, s, out=y)


def silu_gradient(grad: Array, x: Array, y: Array, kept: Array) -> None:
    """``s + x s (1 - s)``, which is ``s + y - s y``."""
    s, product = kept
    np.multiply(s, y, out=product)
    s += y
    s -= product
    grad *= s


def mish(x: Array, y: Array, kept: Array) -> None:
    """``x t``, with ``t = tanh(log(1 + e))`` and ``e = exp(x)``; that is ``t = n / (n + 2)`` with ``n = e (e + 2)``."""
    e, t = kept
    np.minimum(x, 20, out=e)  # from here on t is 1, and n must not overflow
    np.exp(e, out=e)
    np.add(e, 2, out=t)
    t *= e
    np.add(t, 2, out=y)
    t /= y
    np.multiply(x, t, out=y)


def mish_gradient(grad: Array, x: Array, y: Array, kept: Array) -> None:
    """``t + x (1 - t**2) e / (1 + e)``, which is ``t + (x - y t) e / (1 + e)``."""
    e, t = kept
    y *= t
    np.subtract(x, y, out=y)
    y *= e
    e += 1
    y /= e
    y += t
    grad *= y


def tanh(x: Array, y: Array, kept: Array) -> None:
    """NumPy's own."""
    np.tanh(x, out=y)


def tanh_gradient(grad: Array, x: Array, y: Array, kept: Array) -> None:
    """``1 - y**2``."""
    np.square(y, out=y)
    np.subtract(1, y, out=y)
    grad *= y


NUMPY = {
    "gelu": (gelu, gelu_gradient),
    "silu": (silu, silu_gradient),
    "mish": (mish, mish_gradient),
    "tanh": (tanh, tanh_gradient),
}


# --- the network -----------------------------------------------------------------------------------------------------


@dataclass
class Clock:
    """Adds up the seconds spent inside its ``with`` blocks."""

    seconds: float = 0.0
    started: float = 0.0

    def __enter__(self) -> None:
        self.started = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.seconds += time.perf_counter() - self.started


class Linear:
    """``y = x @ weight + bias``."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        scale = math.sqrt(2 / inputs)
        self.weight: Array = scale * rng.standard_normal((inputs, outputs), dtype=np.float32)
        self.bias: Array = np.zeros(outputs, np.float32)
        self.grad_weight, self.grad_bias = np.zeros_like(self.weight), np.zeros_like(self.bias)
        self.weight_velocity, self.bias_velocity = np.zeros_like(self.weight), np.zeros_like(self.bias)
        self.y: Array = np.empty((0, outputs), np.float32)
        self.grad_x: Array = np.empty((0, inputs), np.float32)

    def forward(self, x: Array) -> Array:
        """Map (n, inputs) to (n, outputs)."""
        if len(x) != len(self.y):
            self.y, self.grad_x = np.empty((len(x), self.y.shape[1]), np.float32), np.empty_like(x)
        self.x = x
        np.matmul(x, self.weight, out=self.y)
        self.y += self.bias
        return self.y

    def backward(self, grad: Array) -> Array:
        """Map the loss's gradient with respect to y, (n, outputs), to that with respect to x, (n, inputs)."""
        np.matmul(self.x.T, grad, out=self.grad_weight)
        np.sum(grad, axis=0, out=self.grad_bias)
        return np.matmul(grad, self.weight.T, out=self.grad_x)

    def step(self, rate: float) -> None:
        """Descend, with momentum."""
        for value, grad, velocity in (
            (self.weight, self.grad_weight, self.weight_velocity),
            (self.bias, self.grad_bias, self.bias_velocity),
        ):
            grad *= rate
            velocity *= MOMENTUM
            velocity -= grad
            value += velocity


class Activation:
    """``y = f(x)``, element by element, on the clock."""

    def __init__(self, maths: Maths, clock: Clock) -> None:
        self.maths, self.clock = maths, clock
        self.y: Array = np.empty((0, 0), np.float32)

    def forward(self, x: Array) -> Array:
        """Map (n, units) to (n, units)."""
        if x.shape != self.y.shape:
            self.y, self.kept = np.empty_like(x), np.empty((2, *x.shape), np.float32)
        self.x = x
        with self.clock:
            self.maths.value(x, self.y, self.kept)
        return self.y

    def backward(self, grad: Array) -> Array:
        """Turn the loss's gradient with respect to y into that with respect to x, in place."""
        with self.clock:
            self.maths.gradient(grad, self.x, self.y, self.kept)
        return grad


class Network:
    """Linear, activation, linear, activation, linear: from 64 pixels to a score per digit."""

    def __init__(self, maths: Maths, hidden: int, pixels: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.maths = maths
        self.total, self.in_activations = Clock(), Clock()
        self.layers: list[Linear | Activation] = [
            Linear(pixels, hidden, rng),
            Activation(maths, self.in_activations),
            Linear(hidden, hidden, rng),
            Activation(maths, self.in_activations),
            Linear(hidden, CLASSES, rng),
        ]

    def scores(self, x: Array) -> Array:
        """Map pixels, (n, 64), to scores, (n, 10)."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def learn(self, x: Array, labels: Labels, rate: float) -> float:
        """Take one step down the loss of a batch, and return that loss."""
        loss, grad = cross_entropy(self.scores(x), labels, self.maths)
        for layer in reversed(self.layers):
            grad = layer.backward(grad)
        for layer in self.layers:
            if isinstance(layer, Linear):
                layer.step(rate)
        return loss

    def accuracy(self, x: Array, labels: Labels) -> float:
        """Return the share of digits that score highest for what they are."""
        return float(np.mean(self.scores(x).argmax(axis=1) == labels))


def cross_entropy(scores: Array, labels: Labels, maths: Maths) -> tuple[float, Array]:
    """Return the mean of ``-log(softmax(scores))`` at the labels, and its gradient, which overwrites the scores."""
    rows = np.arange(len(scores))
    scores -= scores.max(axis=1, keepdims=True)  # the largest is 0: no exponential overflows
    scores -= maths.log(maths.exp(scores).sum(axis=1, keepdims=True))  # log(softmax)
    loss = -float(scores[rows, labels].mean())
    grad = maths.exp(scores, out=scores)
    grad[rows, labels] -= 1
    grad /= len(scores)
    return loss, grad


# --- the digits ------------------------------------------------------------------------------------------------------


@dataclass
class Digits:
    """Pixels, (n, 64) from 0 to 1, and labels, (n,): those to learn from, and those held out to be examined on."""

    x: Array
    labels: Labels
    held_out_x: Array
    held_out_labels: Labels


def load() -> Digits:
    """Hold out a fifth of the digits, always the same; learn from the others, also shifted by a pixel each way."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 8, 8)
    kept, held_out, kept_labels, held_out_labels = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=0
    )
    padded = np.pad(kept, ((0, 0), (1, 1), (1, 1)))  # (n, 10, 10)
    shifted = [padded[:, i : i + 8, j : j + 8] for i, j in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))]
    return Digits(
        np.concatenate(shifted).reshape(-1, 64),
        np.tile(kept_labels, len(shifted)),
        held_out.reshape(-1, 64),
        held_out_labels,
    )


# --- the race --------------------------------------------------------------------------------------------------------


def batches(digits: Digits, epoch: int, seed: int) -> Iterator[tuple[Array, Labels]]:
    """Yield the digits in full batches, in an order that depends on nothing but the epoch and the seed."""
    order = np.random.default_rng([seed, epoch]).permutation(len(digits.x))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        chosen = order[start : start + BATCH]
        yield digits.x[chosen], digits.labels[chosen]


def train(networks: list[Network], digits: Digits, epochs: int, seed: int) -> None:
    """Train the networks epoch by epoch in turn, so that whatever else the machine does meets all of them alike."""
    columns = "{task.description:>8}", BarColumn(), "epoch {task.completed}/{task.total}  loss {task.fields[loss]:.4f}"
    with Progress(*columns, TimeRemainingColumn(), disable=not sys.stdout.isatty()) as progress:
        bars = [progress.add_task(network.maths.name, total=epochs, loss=math.nan) for network in networks]
        for epoch in range(epochs):
            rate = RATE * (1 - epoch / epochs)
            for network, bar in zip(networks, bars, strict=True):
                with network.total:
                    losses = [network.learn(x, labels, rate) for x, labels in batches(digits, epoch, seed)]
                progress.update(bar, advance=1, loss=np.mean(losses))


def compile_kernels(activation: str) -> None:
    """Compile what will be called, or load it from the cache of an earlier run, before any clock starts."""
    names = ["exp", "log", activation, f"{activation}_backward"]
    clock = Clock()
    with clock:
        fa.warmup(names, ["float32"])
    print(
        f"Compiled {', '.join(names)}, or loaded them from the cache, before the clock starts: {clock.seconds:.1f} s."
    )


@contextlib.contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Give matrix products and fastact this many threads; without a number as many as they take by themselves."""
    if threads is None:
        yield
        return
    with fa.threads(threads), threadpool_limits(threads, user_api="blas"):
        yield


def blas_threads() -> int:
    """Return how many threads matrix products have: NumPy's library for them, and SciPy's, agree."""
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)


def positive(text: str) -> int:
    """Read a number of at least 1 from the command line."""
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def main() -> int:
    """Run the comparison; the exit status is 1 if a version does not learn to read."""
    parser = argparse.ArgumentParser(description="Train one network with fastact and with NumPy, and compare.")
    parser.add_argument("--activation", choices=NUMPY, default="gelu")
    parser.add_argument("--epochs", type=positive, help="passes over the digits (default 150, or 15)")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights and the batches")
    text = "for matrix products and for fastact (default: as many as each takes by itself)"
    parser.add_argument("--threads", type=positive, help=text)
    parser.add_argument("--quick", action="store_true", help="a smaller network and few epochs; need not learn well")
    options = parser.parse_args()
    hidden, epochs = (64, 15) if options.quick else (256, 150)
    epochs = options.epochs or epochs

    compile_kernels(options.activation)
    digits = load()
    networks = [
        Network(maths, hidden, digits.x.shape[1], options.seed)
        for maths in (with_fastact(options.activation), with_numpy(options.activation))
    ]
    with limited(options.threads):
        print(
            f"Training a 64-{hidden}-{hidden}-10 network with {options.activation} in float32: {epochs} epochs of "
            f"{len(digits.x)} digits in batches of {BATCH}; threads: {fa.get_num_threads()} for fastact, "
            f"{blas_threads()} for matrix products."
        )
        train(networks, digits, epochs, options.seed)

    accuracies = [network.accuracy(digits.held_out_x, digits.held_out_labels) for network in networks]
    for network, accuracy in zip(networks, accuracies, strict=True):
        total, part = network.total.seconds, network.in_activations.seconds
        print(
            f"{network.maths.name:>8}: {accuracy:.1%} of {len(digits.held_out_x)} held-out digits read; "
            f"{total:6.2f} s, of which {part:6.2f} s ({part / total:.0%}) in activations"
        )
    ours, theirs = networks
    print(
        f"fastact: {accuracies[0]:.1%} in {ours.total.seconds:.1f} s; NumPy: {accuracies[1]:.1%} in "
        f"{theirs.total.seconds:.1f} s: {theirs.total.seconds / ours.total.seconds:.1f}x as fast, "
        f"activations {theirs.in_activations.seconds / ours.in_activations.seconds:.1f}x"
    )
    return int(min(accuracies) < REQUIRED and not options.quick)


if __name__ == "__main__":
    sys.exit(main())
