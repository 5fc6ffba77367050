"""What the choice of an activation does: gradients that vanish in a deep network, and units that die, on handwritten digits.

    python examples/choosing.py            # some minutes; the figures of docs/choosing.md
    python examples/choosing.py --quick    # seconds: fewer activations, layers and epochs
    python examples/choosing.py --write    # keep the figures, for the page; with names, those of some activations

Networks learn the 8 x 8 pixel digits that come with scikit-learn, by stochastic gradient descent with momentum. First deep ones
of equal layers, whose weights have variance 1/n or 2/n for n inputs: the root mean square of the gradient in each layer before
anything is learnt, and how many held-out digits are read after some epochs. Then a shallow one, at several rates: its hidden units
with a derivative of exactly 0 for every training digit are dead. No gradient reaches their weights, and only a change of the layers
below can revive them.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # comes with scikit-learn

import fastact as fa

Array = npt.NDArray[np.float32]

KEPT = Path(__file__).with_suffix(".json")
NONE = "\N{EN DASH}"
CLASSES, BATCH, MOMENTUM = 10, 256, 0.9
GAINS = (1, 2)
"""A weight's variance times the number of inputs: 1 keeps the size of what layers give, 2 that of what relu leaves."""


@dataclass(frozen=True)
class Size:
    """How large the experiments are."""

    activations: Sequence[str]
    depth: int
    width: int
    epochs: int
    deep_rates: Sequence[float]
    """Of these the better counts."""
    hidden: int
    rates: Sequence[float]


ACTIVATIONS = [name for name, op in fa.ops.items() if op.is_activation]
WHOLE = Size(ACTIVATIONS, 30, 64, 10, (0.01, 0.05), 128, (0.1, 0.3, 0.5, 1.0))
QUICK = Size(("sigmoid", "relu", "selu"), 12, 32, 2, (0.01,), 32, (0.1, 0.3))


class Network:
    """Hidden layers of one width with one activation, then a linear layer: from pixels to a score per digit."""

    def __init__(self, name: str, widths: Sequence[int], gain: float, rng: np.random.Generator) -> None:
        op = fa.ops[name]
        self.value, self.backward = getattr(fa, name), getattr(fa, f"{name}_backward")
        self.parameters = tuple(op.recorded_at.values())
        self.weights: list[Array] = [
            (np.sqrt(gain / n) * rng.standard_normal((n, m))).astype(np.float32) for n, m in pairwise(widths)
        ]
        self.biases: list[Array] = [np.zeros(m, np.float32) for m in widths[1:]]
        self.velocities: list[Array] = [np.zeros_like(p) for p in (*self.weights, *self.biases)]

    def through(self, grad: Array, i: int) -> Array:
        """The gradient with respect to the sums of a layer, of that with respect to its outputs."""
        grads = self.backward(grad, self.sums[i], *self.parameters)
        found: Array = grads[0] if isinstance(grads, tuple) else grads  # a learnt parameter has one of its own
        return found

    def scores(self, x: Array) -> Array:
        """Map pixels to scores, and keep the inputs of each layer and of each activation."""
        self.inputs: list[Array] = [x]
        self.sums: list[Array] = []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            with np.errstate(over="ignore", invalid="ignore"):  # a network may diverge
                self.sums.append(self.inputs[-1] @ weight + bias)
            self.inputs.append(self.value(self.sums[-1], *self.parameters))
        return self.sums[-1]

    def gradients(self, grad: Array) -> Iterator[Array]:
        """The loss's gradient with respect to the sums of each layer, the last layer first."""
        for i in reversed(range(len(self.weights))):
            yield grad
            if i:
                grad = self.through(grad @ self.weights[i].T, i - 1)

    def learn(self, x: Array, labels: Any, rate: float) -> None:
        """Take one step down the loss of a batch."""
        _, grad = fa.cross_entropy_with_grad(self.scores(x), labels)
        sums = list(self.gradients(grad))[::-1]
        steps = [a.T @ g for a, g in zip(self.inputs, sums, strict=False)] + [g.sum(axis=0) for g in sums]
        for parameter, velocity, step in zip((*self.weights, *self.biases), self.velocities, steps, strict=True):
            velocity *= MOMENTUM
            velocity -= rate * step
            parameter += velocity

    def dead(self, x: Array) -> int | None:
        """How many hidden units have a derivative of 0 for every input; ``None`` if the network has diverged."""
        if not np.isfinite(self.scores(x)).all():
            return None
        slopes = [self.through(np.ones_like(sums), i) for i, sums in enumerate(self.sums[:-1])]
        return sum(int(np.count_nonzero(~slope.any(axis=0))) for slope in slopes)


def train(network: Network, digits: Any, epochs: int, rate: float) -> float:
    """Learn, at a rate that falls to nothing; the share of held-out digits that are read then."""
    rng = np.random.default_rng(1)
    with np.errstate(over="ignore", invalid="ignore"):  # a network that diverges reads nothing then
        for epoch in range(epochs):
            order = rng.permutation(len(digits.x))
            for some in np.split(order, range(BATCH, len(order), BATCH)):
                network.learn(digits.x[some], digits.labels[some], rate * (1 - epoch / epochs))
        return float(np.mean(network.scores(digits.held_out_x).argmax(axis=1) == digits.held_out_labels))


def deep(name: str, size: Size, digits: Any) -> dict[str, Any]:
    """The gradients in deep networks before they learn, from the first layer to the last, and what they read afterwards."""
    found = {}
    for gain in GAINS:
        widths = [digits.x.shape[1], *[size.width] * size.depth, CLASSES]
        make = partial(Network, name, widths, gain)
        network = make(np.random.default_rng(0))
        _, grad = fa.cross_entropy_with_grad(network.scores(digits.x), digits.labels)
        root_mean_squares = [float(np.sqrt(np.mean(np.square(g, dtype=np.float64)))) for g in network.gradients(grad)]
        read = max(train(make(np.random.default_rng(0)), digits, size.epochs, rate) for rate in size.deep_rates)
        finite = [g if math.isfinite(g) else None for g in root_mean_squares]
        found[str(gain)] = {"gradients": finite[:0:-1], "read": read}
    return found


def shallow(name: str, size: Size, digits: Any) -> dict[str, Any]:
    """At each rate the dead units before and after learning, and what is read."""
    found = {}
    for rate in size.rates:
        network = Network(name, [digits.x.shape[1], size.hidden, size.hidden, CLASSES], 2.0, np.random.default_rng(0))
        before = network.dead(digits.x)
        read = train(network, digits, size.epochs, rate)
        found[f"{rate:g}"] = {"before": before, "after": network.dead(digits.x), "read": read}
    return found


def measure(size: Size) -> dict[str, Any]:
    """All figures, of both experiments."""
    from digits import load  # beside this script
    from rich.progress import track

    digits = load()
    mean, deviation = digits.x.mean(), digits.x.std()
    digits.x, digits.held_out_x = (digits.x - mean) / deviation, (digits.held_out_x - mean) / deviation
    found: dict[str, Any] = {"deep": {}, "shallow": {}}
    for name in track(size.activations, "activations", disable=not sys.stdout.isatty()):
        found["deep"][name] = deep(name, size, digits)
        found["shallow"][name] = shallow(name, size, digits)
    shape = {"depth": size.depth, "width": size.width, "epochs": size.epochs, "hidden": 2 * size.hidden}
    rates = {"deep_rates": list(size.deep_rates), "digits": len(digits.x), "held_out": len(digits.held_out_x)}
    return found | shape | rates


def keep(found: dict[str, Any], some: bool) -> None:
    """Keep figures: all, or those of some activations among what is kept of the others, in the order of the records."""
    if some and KEPT.exists():
        kept = json.loads(KEPT.read_text(encoding="utf-8"))
        for part in ("deep", "shallow"):
            both = kept[part] | found[part]
            found[part] = {name: both[name] for name in ACTIVATIONS if name in both}
    KEPT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def relative(gradients: Sequence[float | None]) -> list[float]:
    """Gradients over that of the last layer; empty if that, or one of them, is zero or not finite."""
    found = [gradient for gradient in gradients if gradient]
    return [gradient / found[-1] for gradient in found] if len(found) == len(gradients) else []


def deep_table(found: dict[str, Any]) -> str:
    """What became of gradients in deep networks: how much smaller, or larger, they are in the first layer than in the last."""
    depth = found["depth"]
    some = [1, depth // 3, 2 * depth // 3]
    rows = [
        ["", *(f"layer {i}" for i in some), *(f"{what}, {gain}/n" for gain in GAINS for what in ("per layer", "read"))]
    ]
    rows.append([":--", *["--:"] * (len(rows[0]) - 1)])
    for name, by_gain in found["deep"].items():
        row = [f"`{name}`"]
        for gain, figures in by_gain.items():
            over_last = relative(figures["gradients"])
            row += [f"{over_last[i - 1]:.1e}" if over_last else NONE for i in some if gain == "1"]
            row += [f"{over_last[0] ** (1 / (depth - 1)):.2f}" if over_last else NONE, f"{figures['read']:.0%}"]
        rows.append(row)
    return _table(rows)


def shallow_table(found: dict[str, Any], some: Sequence[str]) -> str:
    """How many units of shallow networks are dead, with some activations."""
    rates = list(next(iter(found["shallow"].values())))
    rows = [["", "before", *(f"after, {rate}" for rate in rates), *(f"read, {rate}" for rate in rates)]]
    rows.append([":--", *["--:"] * (len(rows[0]) - 1)])
    for name in some:
        figures = [found["shallow"][name][rate] for rate in rates]
        after = ["diverged" if of["after"] is None else str(of["after"]) for of in figures]
        rows.append([f"`{name}`", str(figures[0]["before"]), *after, *(f"{of['read']:.0%}" for of in figures)])
    return _table(rows)


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    """Run both experiments and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="an activation, such as gelu; default all")
    parser.add_argument("--quick", action="store_true", help="fewer activations, layers and epochs")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {KEPT.name}")
    options = parser.parse_args()
    if unknown := set(options.names) - set(ACTIVATIONS):
        parser.error(f"no such activation: {', '.join(sorted(unknown))}; there are {', '.join(ACTIVATIONS)}")
    if options.quick and options.write:
        parser.error("--write keeps whole runs, not --quick ones")
    with fa.threads(1), threadpool_limits(1):  # small products, and the same figures on any number of processors
        size = QUICK if options.quick else WHOLE
        found = measure(replace(size, activations=options.names or size.activations))
    if options.write:
        keep(found, bool(options.names))
    print(f"Gradients by layer over those of layer {found['depth']}, of weights with variance 1/n, and digits read:\n")
    print(deep_table(found))
    print(f"\nDead units of {found['hidden']}, before and after learning at several rates, and held-out digits read:\n")
    print(shallow_table(found, list(found["shallow"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
