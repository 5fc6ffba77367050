"""Find handwritten digits in photographs, pixel by pixel: cross-entropy and Dice loss train a network written by hand in NumPy.

    python examples/segmentation.py                       # about half a minute
    python examples/segmentation.py --picture scenes.png  # images, truths and predictions side by side
    python examples/segmentation.py --torch               # times a step against the same step in PyTorch, in turns
    python examples/segmentation.py --quick               # a few seconds, for a first look

Scenes are pieces of the two photographs that come with scikit-learn, with digits of its 8 x 8 pixel images painted over them at
twice the size, in any light colour, so that the truth is known for each pixel: background, or which digit. A network with two
hidden layers sees a window of 24 x 24 grey pixels, and says what each of the 8 x 8 in its middle is. It is examined on scenes from
other parts of the photographs, with digits that it has not seen. Needs scikit-learn, SciPy and rich besides fastact, Pillow for the
photographs, and matplotlib for a picture.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import BarColumn, Progress, TimeRemainingColumn
from scipy.ndimage import zoom
from sklearn.datasets import load_digits, load_sample_images

import fastact as fa

Array = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]

DIGITS = (0, 1, 4, 7)
NAMES = ("background", *map(str, DIGITS))
CLASSES = len(NAMES)
SIDE, DIGIT = 96, 16
"""Pixels of the side of a scene, and of a digit."""
TILE, WINDOW = 8, 24
"""Pixels of the side of what a window's prediction is for, and of the window."""
DUSK = 0.6
"""What is left of the photographs' light: on a white sky one would see no digit."""
INK = 0.5
"""How much of a pixel must be painted for it to be the digit's."""
BATCH, RATE, MOMENTUM = 256, 0.2, 0.9
REQUIRED = 0.7
"""The least IoU that each class must have in the end."""


# --- scenes ----------------------------------------------------------------------------------------------------------


@dataclass
class Scenes:
    """Colours, (scenes, 96, 96, 3) from 0 to 1, and the class of each pixel."""

    images: Array
    labels: Labels

    def windows(self) -> Any:
        """What the network sees of each tile, grey: a view (scenes, 12, 12, 24, 24)."""
        margin = (WINDOW - TILE) // 2
        padded = np.pad(self.images.mean(-1), ((0, 0), (margin, margin), (margin, margin)), mode="reflect")
        return np.lib.stride_tricks.sliding_window_view(padded, (WINDOW, WINDOW), axis=(1, 2))[:, ::TILE, ::TILE]

    def tiles(self) -> Labels:
        """The labels of each tile, (scenes, 12, 12, 64)."""
        several = SIDE // TILE
        rows = self.labels.reshape(-1, several, TILE, several, TILE)
        return np.ascontiguousarray(rows.transpose(0, 1, 3, 2, 4)).reshape(-1, several, several, TILE * TILE)


def scenes(count: int, held_out: bool, rng: np.random.Generator) -> Scenes:
    """Paint digits over pieces of the photographs: the right quarter of these, and every fifth digit, are held out."""
    photographs = [np.float32(DUSK / 255) * image for image in load_sample_images().images]
    pixels, which = load_digits(return_X_y=True)
    kept = (np.arange(len(which)) % 5 == 0) == held_out
    drawn = {digit: pixels[kept & (which == digit)].reshape(-1, 8, 8) / 16 for digit in DIGITS}
    images = np.empty((count, SIDE, SIDE, 3), np.float32)
    labels = np.zeros((count, SIDE, SIDE), np.uint8)
    for image, label in zip(images, labels, strict=True):
        photograph = photographs[rng.integers(len(photographs))]
        height, width, _ = photograph.shape
        border = 3 * width // 4
        first, last = (border, width) if held_out else (0, border)
        top, left = rng.integers(0, height - SIDE), rng.integers(first, last - SIDE)
        image[...] = photograph[top : top + SIDE, left : left + SIDE]
        for row, column in np.argwhere(rng.random((4, 4)) < 0.7) * (SIDE // 4):
            chosen = rng.integers(len(DIGITS))
            digit = drawn[DIGITS[chosen]]
            ink = np.clip(zoom(digit[rng.integers(len(digit))], DIGIT / 8, order=1), 0, 1)
            place = tuple(slice(k, k + DIGIT) for k in (row, column) + TILE * rng.integers(0, 2, 2))
            colour = 1 - rng.random(3) / 4
            image[place] += ink[..., None] * (colour - image[place])
            label[place][ink > INK] = chosen + 1
    return Scenes(images, labels)


def batches(scenes: Scenes, rng: np.random.Generator) -> Iterator[tuple[Array, Labels]]:
    """Yield all windows and their labels in full batches, in a random order."""
    windows, tiles = scenes.windows(), scenes.tiles()
    order = rng.permutation(tiles.shape[0] * tiles.shape[1] * tiles.shape[2])
    for start in range(0, len(order) - BATCH + 1, BATCH):
        chosen = np.unravel_index(order[start : start + BATCH], tiles.shape[:3])
        yield standardised(windows[chosen].reshape(BATCH, -1)), tiles[chosen]


def standardised(windows: Array) -> Array:
    """Windows with a mean of 0 and about the same contrast."""
    windows = windows - windows.mean(axis=1, keepdims=True)
    windows /= windows.std(axis=1, keepdims=True) + np.float32(0.1)
    return windows


# --- the network -----------------------------------------------------------------------------------------------------


class Network:
    """Two hidden layers, from the pixels of windows to a score for each class at each pixel of their tiles."""

    def __init__(self, hidden: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        widths = [WINDOW**2, hidden, hidden, TILE**2 * CLASSES]
        self.weights: list[Array] = [
            (np.sqrt(2 / n) * rng.standard_normal((n, m))).astype(np.float32) for n, m in pairwise(widths)
        ]
        self.biases: list[Array] = [np.zeros(m, np.float32) for m in widths[1:]]
        self.velocities: list[Array] = [np.zeros_like(p) for p in self.parameters]

    @property
    def parameters(self) -> list[Array]:
        """All that is learnt."""
        return [*self.weights, *self.biases]

    def scores(self, windows: Array) -> Array:
        """Map windows to scores, (n, 64, classes), and keep the inputs of each layer and of each activation."""
        self.inputs: list[Array] = [windows]
        self.sums: list[Array] = []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            sums = self.inputs[-1] @ weight
            sums += bias
            self.sums.append(sums)
            if len(self.sums) < len(self.weights):
                self.inputs.append(fa.silu(sums))
        return self.sums[-1].reshape(-1, TILE**2, CLASSES)

    def gradients(self, grad: Array) -> list[Array]:
        """Map the loss's gradient with respect to the scores to those with respect to all parameters."""
        grad = grad.reshape(len(grad), -1)
        of_weights, of_biases = [], []
        for i in reversed(range(len(self.weights))):
            of_weights.append(self.inputs[i].T @ grad)
            of_biases.append(grad.sum(axis=0))
            if i:
                grad = grad @ self.weights[i].T
                fa.silu_backward(grad, self.sums[i - 1], out=grad)
        return [*reversed(of_weights), *reversed(of_biases)]

    def learn(self, windows: Array, labels: Labels, rate: float) -> float:
        """Take one step down the loss of a batch, and return that loss."""
        loss, grad = both_losses(self.scores(windows), labels)
        for parameter, velocity, step in zip(self.parameters, self.velocities, self.gradients(grad), strict=True):
            velocity *= MOMENTUM
            step *= rate
            velocity -= step
            parameter += velocity
        return loss

    def predict(self, scenes: Scenes) -> Labels:
        """Return the class that scores highest at each pixel."""
        windows = scenes.windows()
        found = []
        for one in windows:
            scores = self.scores(standardised(one.reshape(-1, WINDOW**2)))
            several = SIDE // TILE
            tiles = scores.argmax(axis=-1).astype(np.uint8).reshape(several, several, TILE, TILE)
            found.append(tiles.transpose(0, 2, 1, 3).reshape(SIDE, SIDE))
        return np.stack(found)


def both_losses(scores: Array, labels: Labels) -> tuple[float, Array]:
    """Return the sum of cross-entropy and Dice loss, and its gradient."""
    entropy, grad = fa.cross_entropy_with_grad(scores, labels)
    dice, other = fa.dice_loss_with_grad(scores, labels)
    grad += other
    return float(entropy) + float(dice), grad


# --- the same in PyTorch ---------------------------------------------------------------------------------------------


def torch_step(network: Network) -> Callable[[Array, Labels], float]:
    """Return a step of the same network, from the same weights, as it is written in PyTorch."""
    torch: Any = import_module("torch")
    functional = torch.nn.functional
    layers: list[Any] = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        linear = torch.nn.Linear(*weight.shape)
        linear.weight.data, linear.bias.data = torch.from_numpy(weight.T.copy()), torch.from_numpy(bias.copy())
        layers += [linear, torch.nn.SiLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)

    def dice(scores: Any, labels: Any) -> Any:
        p = scores.softmax(-1)
        t = functional.one_hot(labels, CLASSES).to(p.dtype)
        both, area, truth = (p * t).sum((0, 1)), (p + t).sum((0, 1)), t.sum((0, 1))
        return torch.where(truth > 0, 1 - 2 * both / area, 0).mean()

    def step(windows: Array, labels: Labels) -> float:
        optimizer.zero_grad()
        scores = model(torch.from_numpy(windows)).reshape(-1, TILE**2, CLASSES)
        truth = torch.from_numpy(labels).long()
        loss = functional.cross_entropy(scores.reshape(-1, CLASSES), truth.reshape(-1)) + dice(scores, truth)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def compare(hidden: int, data: Scenes, rounds: int, seed: int) -> None:
    """Print what a step takes with fastact and with PyTorch, each with the threads that it takes by itself, in turns."""
    network = Network(hidden, seed)
    steps: dict[str, Callable[[Array, Labels], float]] = {
        "PyTorch": torch_step(network),
        "fastact": lambda x, labels: network.learn(x, labels, RATE),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    losses: dict[str, float] = {}
    given = [batch for batch, _ in zip(batches(data, np.random.default_rng(seed)), range(10), strict=False)]
    for turn in range(rounds + 3):
        for name, step in steps.items():
            started = time.perf_counter()
            losses[name] = step(*given[turn % len(given)])
            seconds[name].append(time.perf_counter() - started)
    ratios = [theirs / ours for ours, theirs in list(zip(seconds["fastact"], seconds["PyTorch"], strict=True))[3:]]
    for name, times in seconds.items():
        print(f"{name:>8}: {1e3 * statistics.median(times[3:]):6.2f} ms a step, loss {losses[name]:.4f} in the end")
    print(
        f"fastact is {statistics.median(ratios):.2f}x as fast, on average {statistics.mean(ratios):.2f}x, "
        f"in {len(ratios)} turns"
    )


# --- what comes of it ------------------------------------------------------------------------------------------------

COLOURS = np.array([[38, 38, 46], [230, 159, 0], [86, 180, 233], [0, 158, 115], [204, 121, 167]], np.uint8)
"""Of the classes."""


def draw(data: Scenes, predicted: Labels, path: Path, most: int = 4) -> None:
    """Save a picture of some scenes: image, truth and prediction side by side."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    rows = min(most, len(predicted))
    figure, axes = pyplot.subplots(rows, 3, figsize=(6, 2 * rows + 0.4), squeeze=False, layout="constrained")
    for row, image, truth, found in zip(axes, data.images, data.labels, predicted, strict=False):
        for axis, shown in zip(row, (image, COLOURS[truth], COLOURS[found]), strict=True):
            axis.imshow(shown, interpolation="nearest")
            axis.set_axis_off()
    for axis, title in zip(axes[0], ("image", "truth", "prediction"), strict=True):
        axis.set_title(title, fontsize=10)
    handles = [Patch(color=colour / 255, label=name) for name, colour in zip(NAMES, COLOURS, strict=True)]
    figure.legend(handles=handles, loc="outside lower center", ncols=CLASSES, fontsize=8, frameon=False)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def table(before: Array, after: Array) -> str:
    """The IoU of each class before and after learning."""
    rows = [f"{'':>12}  before  after"]
    pairs = zip((*NAMES, "mean"), (*before, before.mean()), (*after, after.mean()), strict=True)
    rows += [f"{name:>12}  {old:6.3f} {new:6.3f}" for name, old, new in pairs]
    return "\n".join(rows)


def train(network: Network, data: Scenes, epochs: int, seed: int) -> None:
    """Train epoch by epoch, at a rate that falls to nothing."""
    columns = BarColumn(), "epoch {task.completed}/{task.total}  loss {task.fields[loss]:.4f}", TimeRemainingColumn()
    with Progress(*columns, disable=not sys.stdout.isatty()) as progress:
        bar = progress.add_task("", total=epochs, loss=float("nan"))
        for epoch in range(epochs):
            rng = np.random.default_rng([seed, epoch])
            rate = RATE * (1 - epoch / epochs)
            losses = [network.learn(*batch, rate) for batch in batches(data, rng)]
            progress.update(bar, advance=1, loss=float(np.mean(losses)))


def positive(text: str) -> int:
    """Read a number of at least 1 from the command line."""
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Train and examine; the exit status is 1 if a class is not found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=positive, help="passes over the scenes (default 6, or 2)")
    parser.add_argument("--seed", type=int, default=0, help="of scenes, first weights and batches")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw some scenes that were held out")
    parser.add_argument("--torch", action="store_true", help="time a step against PyTorch's instead")
    parser.add_argument("--quick", action="store_true", help="few scenes and epochs; need not learn well")
    options = parser.parse_args(arguments)
    count, hidden, epochs, rounds = (20, 64, 2, 5) if options.quick else (300, 128, 6, 100)

    rng = np.random.default_rng(options.seed)
    data, held_out = scenes(count, False, rng), scenes(max(4, count // 10), True, rng)
    if options.torch:
        compare(hidden, data, rounds, options.seed)
        return 0
    network = Network(hidden, options.seed)
    before = fa.iou_score(network.predict(held_out), held_out.labels, num_classes=CLASSES, reduction="none", empty=0.0)
    both_losses(network.scores(data.windows()[0, 0].reshape(-1, WINDOW**2)), data.tiles()[0, 0])  # compiles
    network.gradients(np.zeros((SIDE // TILE, TILE**2, CLASSES), np.float32))
    started = time.perf_counter()
    train(network, data, options.epochs or epochs, options.seed)
    seconds = time.perf_counter() - started
    predicted = network.predict(held_out)
    after = fa.iou_score(predicted, held_out.labels, num_classes=CLASSES, reduction="none", empty=0.0)
    print(
        f"IoU of {len(predicted)} held-out scenes, after {options.epochs or epochs} epochs of {count} in {seconds:.1f} s:"
    )
    print(table(before, after))
    if options.picture:
        draw(held_out, predicted, options.picture)
        print(f"The picture is in {options.picture}.")
    return int(after.min() < REQUIRED and not options.quick)


if __name__ == "__main__":
    sys.exit(main())
