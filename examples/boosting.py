"""Boost trees on losses that LightGBM does not have: a custom objective is one call of fastact.

    python examples/boosting.py                    # a few seconds
    python examples/boosting.py --gamma 0.5
    python examples/boosting.py --quick

LightGBM asks an objective for each row's first and second derivatives, which `cross_entropy_with_grad_hess` and
`focal_loss_with_grad_hess` return. Three models read the digits that come with scikit-learn: one with LightGBM's own
objective for many classes, one with the same loss by fastact, whose trees must read as many digits within a few, and one
with the focal loss. What an objective costs is timed beside the same in plain NumPy. Needs lightgbm and scikit-learn.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from rich.progress import BarColumn, Progress, TimeRemainingColumn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastact as fa

Array = npt.NDArray[np.float64]
Objective = Callable[[Array, Any], tuple[Array, Array]]

CLASSES = 10
ALIKE = 0.01
"""By how much the shares of digits read with the same loss may differ: LightGBM scales second derivatives its own way."""
ROUNDS = 31
"""Calls of each objective that are timed."""


def cross_entropy(scores: Array, data: Any) -> tuple[Array, Array]:
    """The objective that LightGBM has as well."""
    _, grad, hess = fa.cross_entropy_with_grad_hess(scores, data.get_label().astype(int), reduction="none")
    return grad, hess


def focal(scores: Array, data: Any, gamma: float) -> tuple[Array, Array]:
    """The focal loss; its second derivative may be negative, and trees want it positive."""
    labels = data.get_label().astype(int)
    _, grad, hess = fa.focal_loss_with_grad_hess(scores, labels, gamma=gamma, reduction="none")
    return grad, np.maximum(hess, 1e-6, out=hess)


def in_numpy(scores: Array, data: Any) -> tuple[Array, Array]:
    """Cross-entropy's derivatives as they are written by hand."""
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    grad = p.copy()
    grad[np.arange(len(p)), data.get_label().astype(int)] -= 1
    return grad, p * (1 - p)


def train(objective: str | Objective, digits: Any, rounds: int, seed: int, show: Callable[[], None]) -> float:
    """Boost, and return the share of held-out digits that are read."""
    x, held_out, labels, held_out_labels = digits
    parameters = {
        "objective": objective,
        "num_class": CLASSES,
        "num_leaves": 15,
        "learning_rate": 0.2,
        "verbosity": -1,
        "seed": seed,
        "deterministic": True,
        "num_threads": 2,
    }
    model = lightgbm.train(parameters, lightgbm.Dataset(x, labels), rounds, callbacks=[lambda _: show()])
    return float(fa.accuracy(np.asarray(model.predict(held_out)), held_out_labels))


def timed(objectives: dict[str, Objective], rows: int, seed: int) -> dict[str, float]:
    """Median milliseconds of a call of each objective, in turns."""
    rng = np.random.default_rng(seed)
    scores, data = rng.normal(size=(rows, CLASSES)), lightgbm.Dataset(np.zeros((rows, 1)))
    data.set_label(rng.integers(0, CLASSES, rows))
    times: dict[str, list[float]] = {name: [] for name in objectives}
    for _ in range(ROUNDS):
        for name, objective in objectives.items():
            start = time.perf_counter()
            objective(scores, data)
            times[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(values) for name, values in times.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; the exit status is 1 if the same loss does not read as many digits."""
    parser = argparse.ArgumentParser(description="Boost trees with objectives by fastact.")
    parser.add_argument("--rounds", type=int, help="trees for each class (default 60, or 8)")
    parser.add_argument("--gamma", type=float, default=1.0, help="of the focal loss (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="few trees")
    options = parser.parse_args(arguments)
    rounds = options.rounds or (8 if options.quick else 60)
    digits = train_test_split(*load_digits(return_X_y=True), test_size=0.3, random_state=options.seed)
    objectives: dict[str, str | Objective] = {
        "LightGBM's own": "multiclass",
        "cross-entropy by fastact": cross_entropy,
        f"focal loss, gamma {options.gamma:g}": partial(focal, gamma=options.gamma),
    }
    shares = {}
    columns = "{task.description:>24}", BarColumn(), "tree {task.completed}/{task.total}"
    with Progress(*columns, TimeRemainingColumn(), disable=not sys.stdout.isatty()) as progress:
        for name, objective in objectives.items():
            bar = progress.add_task(name, total=rounds)
            shares[name] = train(objective, digits, rounds, options.seed, partial(progress.advance, bar))
    for name, share in shares.items():
        print(f"{name:>24}: {share:.1%} of {len(digits[1])} held-out digits read")
    rows = 2_000 if options.quick else 100_000
    cost = timed({"fastact": cross_entropy, "NumPy": in_numpy}, rows, options.seed)
    print(
        f"An objective of {rows:,} rows: {cost['fastact']:.2f} ms by fastact, {cost['NumPy']:.2f} ms in NumPy, "
        f"{cost['NumPy'] / cost['fastact']:.1f} times as long"
    )
    own, same, *_ = shares.values()
    return int(abs(own - same) > ALIKE and not options.quick)


if __name__ == "__main__":
    sys.exit(main())
