"""Teach a generator to draw handwritten digits: a generative adversarial network in NumPy, with fastact's activations and losses.

    python examples/gan.py                 # about a minute; draws what it learns to gan.png
    python examples/gan.py --kind hinge
    python examples/gan.py --quick         # a few seconds, for a first look
    python examples/gan.py --compare       # the time of a step, in turns with the same step in PyTorch

Two networks with hidden layers of leaky_relu, forward and backward passes written by hand: a generator makes 8 x 8 pixels of noise,
a discriminator is to tell them from the digits that come with scikit-learn, and the generator to mislead it. Both learn by Adam.
The picture has a row for each of some moments: the generator, averaged over its last steps, draws the same noise again. Needs
scikit-learn, rich and matplotlib besides fastact.

Matrix products, and fastact, run on as many threads as they take by themselves, as in a program that sets nothing.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import BarColumn, Progress, TimeRemainingColumn
from sklearn.datasets import load_digits

import fastact as fa

Array = npt.NDArray[np.float32]

KINDS = ("non_saturating", "saturating", "hinge", "least_squares")
SIDE = 8
PIXELS = SIDE * SIDE
SLOPE = 0.2
"""Of leaky_relu below zero."""
RATE, DECAYS, EPSILON = 2e-4, (0.5, 0.999), 1e-8
"""Adam's."""
AVERAGED = 0.999
"""The share of the averaged generator that a step leaves; of the first ones less."""


@dataclass(frozen=True)
class Size:
    """How large the networks are, and how long they learn."""

    noise: int
    hidden: tuple[int, ...]
    """Of both networks, those of the generator from its input to its output, of the discriminator the other way round."""
    batch: int
    steps: int


WHOLE = Size(noise=32, hidden=(128, 256), batch=64, steps=20_000)
QUICK = Size(noise=8, hidden=(32, 64), batch=32, steps=400)


# --- the networks ----------------------------------------------------------------------------------------------------


class Network:
    """Linear layers with leaky_relu between them. All parameters lie in one vector, as their gradients do."""

    def __init__(self, widths: Sequence[int], rows: int, rng: np.random.Generator) -> None:
        sizes = [(n + 1) * m for n, m in pairwise(widths)]
        self.values: Array = np.zeros(sum(sizes), np.float32)
        self.grads = np.zeros_like(self.values)
        self.weights, self.biases = self._views(self.values, widths)
        self.weight_grads, self.bias_grads = self._views(self.grads, widths)
        for weight in self.weights:
            weight[...] = math.sqrt(2 / len(weight)) * rng.standard_normal(weight.shape, dtype=np.float32)
        self.sums: list[Array] = [np.empty((rows, m), np.float32) for m in widths[1:]]
        self.sum_grads: list[Array] = [np.empty((rows, m), np.float32) for m in widths[:-1]]

    @staticmethod
    def _views(vector: Array, widths: Sequence[int]) -> tuple[list[Array], list[Array]]:
        """The weights and the biases of each layer in a vector of all."""
        weights, biases, start = [], [], 0
        for n, m in pairwise(widths):
            weights.append(vector[start : start + n * m].reshape(n, m))
            biases.append(vector[start + n * m : start + (n + 1) * m])
            start += (n + 1) * m
        return weights, biases

    def forward(self, x: Array) -> Array:
        """Map (n, inputs) to (n, outputs), which are overwritten by the next call."""
        self.inputs = [x]
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            y = np.matmul(x, weight, out=self.sums[i][: len(x)])
            y += bias
            if i < last:
                x = fa.leaky_relu(y, SLOPE, out=y)
                self.inputs.append(x)
        return y

    def backward(self, grad: Array, *, learn: bool = True, through: bool = False) -> Array:
        """From the gradient by the outputs find those by the parameters, if it is to learn, and by the inputs, if asked for."""
        for i in reversed(range(len(self.weights))):
            x = self.inputs[i]
            if learn:
                np.matmul(x.T, grad, out=self.weight_grads[i])
                np.sum(grad, axis=0, out=self.bias_grads[i])
            if i or through:
                grad = np.matmul(grad, self.weights[i].T, out=self.sum_grads[i][: len(x)])
            if i:  # of what leaky_relu was given, its result has the sign
                fa.leaky_relu_backward(grad, x, SLOPE, out=grad)
        return grad


class Adam:
    """Descends by the gradient's running mean over the root of that of its square."""

    def __init__(self, network: Network) -> None:
        self.values, self.grads = network.values, network.grads
        self.mean, self.square, self.spare = (np.zeros_like(self.values) for _ in range(3))
        self.steps = 0

    def step(self) -> None:
        """Take one step; the gradients are overwritten."""
        self.steps += 1
        first, second = DECAYS
        spare = np.multiply(self.grads, 1 - first, out=self.spare)
        self.mean *= first
        self.mean += spare
        np.square(self.grads, out=spare)
        spare *= 1 - second
        self.square *= second
        self.square += spare
        both = math.sqrt(1 - second**self.steps)
        np.sqrt(self.square, out=spare)
        spare += EPSILON * both
        np.divide(self.mean, spare, out=spare)
        spare *= RATE * both / (1 - first**self.steps)
        self.values -= spare


def averaged_share(steps: int) -> float:
    """What the step of that number leaves of the averaged generator."""
    return min(AVERAGED, steps / (steps + 10))


class Game:
    """A generator and a discriminator that learn from each other."""

    def __init__(self, digits: Array, size: Size, kind: str, seed: int) -> None:
        self.digits, self.kind, self.rng = digits, kind, np.random.default_rng(seed)
        batch, hidden = size.batch, size.hidden
        self.generator = Network((size.noise, *hidden, PIXELS), batch, self.rng)
        self.discriminator = Network((PIXELS, *reversed(hidden), 1), 2 * batch, self.rng)
        self.optimizers = Adam(self.generator), Adam(self.discriminator)
        self.averaged = self.generator.values.copy()
        self.both: Array = np.empty((2 * batch, PIXELS), np.float32)
        self.real, self.fake = self.both[:batch], self.both[batch:]
        self.noise: Array = np.empty((batch, size.noise), np.float32)
        self.judged: Array = np.empty((2 * batch, 1), np.float32)

    def step(self) -> tuple[float, float]:
        """Let both learn from a batch; the losses of the discriminator and of the generator."""
        batch, (of_generator, of_discriminator) = len(self.real), self.optimizers
        self.rng.standard_normal(out=self.noise, dtype=np.float32)
        np.take(self.digits, self.rng.integers(len(self.digits), size=batch), axis=0, out=self.real)
        sums = self.generator.forward(self.noise)
        fa.tanh(sums, out=self.fake)

        outputs, grads = self.discriminator.forward(self.both), (self.judged[:batch], self.judged[batch:])
        loss, *_ = fa.gan_discriminator_loss_with_grad(outputs[:batch], outputs[batch:], kind=self.kind, out=grads)
        self.discriminator.backward(self.judged)
        of_discriminator.step()

        outputs = self.discriminator.forward(self.fake)
        other, grad = fa.gan_generator_loss_with_grad(outputs, kind=self.kind, out=grads[0])
        grad = self.discriminator.backward(grad, learn=False, through=True)
        self.generator.backward(fa.tanh_backward(grad, sums, out=grad))
        of_generator.step()
        spare = np.subtract(self.generator.values, self.averaged, out=of_generator.spare)
        spare *= 1 - averaged_share(of_generator.steps)
        self.averaged += spare
        return float(loss), float(other)

    def draw(self, noise: Array) -> Array:
        """What the averaged generator makes of noise, from 0 to 1."""
        widths = noise.shape[1], *map(len, self.generator.biases)
        network = Network(widths, len(noise), np.random.default_rng())
        network.values[...] = self.averaged
        drawn: Array = (fa.tanh(network.forward(noise)) + 1) / 2
        return drawn


def load() -> Array:
    """The digits' pixels, (n, 64) from -1 to 1."""
    images, _ = load_digits(return_X_y=True)
    pixels: Array = (images / 8 - 1).astype(np.float32)
    return pixels


# --- what it learns --------------------------------------------------------------------------------------------------


SHOWN = 100
"""Steps from one change of the progress bar to the next."""
LEAST = 0.02
"""The share of what is drawn that a digit must have to count."""


@dataclass
class Moment:
    """How far both have come after some steps."""

    steps: int
    losses: tuple[float, float]
    """Means since the moment before, of the discriminator and of the generator."""
    drawn: Array
    """Of the same noise at each moment."""
    kinds: int
    """How many of the ten digits are drawn, by the real one that is nearest."""
    distance: float
    """From what is drawn to the nearest real digit, the mean over many."""


def moments(steps: int, count: int) -> list[int]:
    """The numbers of steps after which to look: none, and then each the same multiple of the one before, or nearly."""
    return [0, *sorted({round(n) for n in np.geomspace(max(1, steps / 200), steps, count - 1)})]


def train(game: Game, steps: int, noise: Array, count: int) -> Iterator[Moment]:
    """Let both learn, and look at some moments."""
    labels = load_digits(return_X_y=True)[1]
    more = np.random.default_rng(1).standard_normal((500, noise.shape[1]), dtype=np.float32)
    columns = BarColumn(), "step {task.completed}/{task.total}  losses {task.fields[losses]}", TimeRemainingColumn()
    with Progress(*columns, disable=not sys.stdout.isatty()) as progress:
        bar, done = progress.add_task("", total=steps, losses=""), 0
        for moment in moments(steps, count):
            losses: list[tuple[float, float]] = []
            for some in np.diff([*range(done, moment, SHOWN), moment]):
                losses += [game.step() for _ in range(some)]
                last = np.mean(losses[-some:], axis=0)
                progress.update(bar, advance=some, losses=" ".join(f"{loss:.3f}" for loss in last))
            done = moment
            distances = _distances(game.draw(more) * 2 - 1, game.digits)
            shares = np.bincount(labels[distances.argmin(axis=1)], minlength=10) / len(more)
            distance = float(np.sqrt(np.maximum(distances.min(axis=1), 0)).mean())
            first, second = np.mean(losses, axis=0) if losses else (math.nan, math.nan)
            yield Moment(done, (first, second), game.draw(noise), int(np.count_nonzero(shares >= LEAST)), distance)


def _distances(a: Array, b: Array) -> Array:
    """The squared distance of each row of one from each row of another."""
    found: Array = (a * a).sum(axis=1)[:, None] - 2 * a @ b.T + (b * b).sum(axis=1)
    return found


def table(found: Sequence[Moment]) -> str:
    """The losses, a line for each moment."""
    lines = [f"{'step':>8}{'discriminator':>16}{'generator':>12}{'digits drawn':>15}{'distance':>11}"]
    lines += [f"{m.steps:>8}{m.losses[0]:>16.4f}{m.losses[1]:>12.4f}{m.kinds:>12}/10{m.distance:>11.2f}" for m in found]
    return "\n".join(lines)


def picture(found: Sequence[Moment], path: Path) -> None:
    """Draw a row for each moment and a column for each noise."""
    from matplotlib.figure import Figure

    rows, columns = len(found), len(found[0].drawn)
    sheet = np.ones((rows * (SIDE + 1) - 1, columns * (SIDE + 1) - 1), np.float32)
    for i, moment in enumerate(found):
        for j, pixels in enumerate(moment.drawn):
            sheet[i * (SIDE + 1) :, j * (SIDE + 1) :][:SIDE, :SIDE] = 1 - pixels.reshape(SIDE, SIDE)
    figure = Figure(figsize=(0.45 * columns + 0.8, 0.45 * rows), layout="constrained")
    axes = figure.subplots()
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_yticks([i * (SIDE + 1) + (SIDE - 1) / 2 for i in range(rows)], [f"{m.steps:,}" for m in found])
    axes.set_xticks([])
    axes.set_ylabel("steps")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.savefig(path, dpi=120)


# --- the same in PyTorch ---------------------------------------------------------------------------------------------


class TorchGame:
    """A game's copy in PyTorch."""

    def __init__(self, game: Game) -> None:
        import torch

        self.torch, self.kind = torch, game.kind
        self.digits, self.noise = torch.from_numpy(game.digits), game.noise.shape
        self.generator = torch.nn.Sequential(*self._layers(game.generator), torch.nn.Tanh())
        self.discriminator = torch.nn.Sequential(*self._layers(game.discriminator))
        options: dict[str, Any] = {"lr": RATE, "betas": DECAYS, "eps": EPSILON, "fused": True}
        self.optimizers = [
            torch.optim.Adam(network.parameters(), **options) for network in (self.generator, self.discriminator)
        ]
        self.averaged, self.steps = [x.detach().clone() for x in self.generator.parameters()], 0

    def _layers(self, network: Network) -> list[Any]:
        found: list[Any] = []
        for weight, bias in zip(network.weights, network.biases, strict=True):
            layer = self.torch.nn.Linear(*weight.shape)
            layer.weight.data, layer.bias.data = self.torch.tensor(weight.T.copy()), self.torch.tensor(bias)
            found += [layer, self.torch.nn.LeakyReLU(SLOPE)]
        return found[:-1]

    def losses(self, real: Any, fake: Any) -> tuple[Any, Any]:
        """The discriminator's loss of its outputs, and the generator's of those for what it has made."""
        functional = self.torch.nn.functional
        if self.kind == "hinge":
            return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean(), -fake.mean()
        if self.kind == "least_squares":
            return ((real - 1).square().mean() + fake.square().mean()) / 2, (fake - 1).square().mean() / 2
        generator = functional.softplus(-fake) if self.kind == "non_saturating" else functional.logsigmoid(-fake)
        return functional.softplus(-real).mean() + functional.softplus(fake).mean(), generator.mean()

    def step(self) -> tuple[float, float]:
        """Let both learn from a batch; the losses of the discriminator and of the generator."""
        torch, batch = self.torch, self.noise[0]
        return self.learn(self.digits[torch.randint(len(self.digits), (batch,))], torch.randn(self.noise))

    def learn(self, real: Any, noise: Any) -> tuple[float, float]:
        """Let both learn from digits and noise."""
        torch, (of_generator, of_discriminator) = self.torch, self.optimizers
        self.steps += 1
        fake = self.generator(noise)
        outputs = self.discriminator(torch.cat([real, fake.detach()]))
        loss, _ = self.losses(outputs[: len(real)], outputs[len(real) :])
        of_discriminator.zero_grad()
        loss.backward()
        of_discriminator.step()
        outputs = self.discriminator(fake)
        _, other = self.losses(outputs, outputs)
        parameters = list(self.generator.parameters())
        for parameter, grad in zip(parameters, torch.autograd.grad(other, parameters), strict=True):
            parameter.grad = grad
        of_generator.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.averaged, parameters, 1 - averaged_share(self.steps))
        return loss.item(), other.item()


def compare(game: Game, rounds: int, steps: int) -> None:
    """Time some steps of both in turns, and print what one takes, and the ratio."""
    contenders: dict[str, Callable[[], object]] = {"PyTorch": TorchGame(game).step, "fastact": game.step}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(rounds + 1):
        for name, step in contenders.items():
            start = time.perf_counter()
            for _ in range(steps):
                step()
            if i:  # the first round is for caches
                times[name].append((time.perf_counter() - start) / steps)
    for name, found in times.items():
        print(
            f"{name:>8}: {1e6 * statistics.median(found):7.0f} us a step by median, {1e6 * statistics.mean(found):7.0f} by mean"
        )
    median, mean = (of(times["PyTorch"]) / of(times["fastact"]) for of in (statistics.median, statistics.mean))
    print(
        f"PyTorch takes {median:.2f} times as long by medians, {mean:.2f} by means, of {rounds} rounds of {steps} steps."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=KINDS, default="non_saturating", help="of the losses (default %(default)s)")
    parser.add_argument("--steps", type=int, help=f"default {WHOLE.steps}, or {QUICK.steps}")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights, of batches and noise")
    parser.add_argument("--picture", type=Path, default=Path("gan.png"), help="default %(default)s; also .svg or .pdf")
    parser.add_argument("--rows", type=int, default=8, help="of the picture")
    parser.add_argument("--columns", type=int, default=16, help="of the picture")
    parser.add_argument("--quick", action="store_true", help="small networks and few steps; need not learn well")
    parser.add_argument("--compare", action="store_true", help="learn nothing: time steps in turns with PyTorch's")
    options = parser.parse_args(arguments)
    for name in ("steps", "rows", "columns"):
        if (given := getattr(options, name)) is not None and given < (2 if name == "rows" else 1):
            parser.error(f"--{name} must be at least {2 if name == 'rows' else 1}, got {given}")

    size = QUICK if options.quick else WHOLE
    game = Game(load(), size, options.kind, options.seed)
    game.step()  # compiles what it calls, or loads it from the cache
    game = Game(load(), size, options.kind, options.seed)
    if options.compare:
        compare(game, *((3, 5) if options.quick else (30, 100)))
        return 0
    steps = options.steps or size.steps
    noise = np.random.default_rng(options.seed + 1).standard_normal((options.columns, size.noise), dtype=np.float32)
    start = time.perf_counter()
    found = list(train(game, steps, noise, options.rows))
    seconds = time.perf_counter() - start
    print(table(found))
    print(
        f"{steps} steps in {seconds:.1f} s, {1e6 * seconds / steps:.0f} us each, with {fa.get_num_threads()} threads for fastact."
    )
    picture(found, options.picture)
    print(f"What was drawn on the way is in {options.picture}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
