"""What ignored rows cost: ``python -m benchmarks.ignored``.

Of most labels, 94 in 100 by default, `ignore_index` says that their rows count nothing, as in masked language models. A figure is
the time of a call with all rows over that of a call with the others alone, plus that of zeros for the gradient where there is one:
1 is the best there can be. What it takes to leave out the rows before the call, by NumPy, is not in it. Calls take turns.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import fastact as fa
from benchmarks.harness import machine, tables

CASES = (
    ((64, 10), -1, "float32"),
    ((1024, 10), -1, "float32"),
    ((100_000, 10), -1, "float32"),
    ((4096, 1000), -1, "float32"),
    ((4096, 1000), -1, "float16"),
    ((2048, 32_000), -1, "float32"),
    ((100, 4096), 0, "float32"),
    ((10, 100_000), 0, "float32"),
)
LAYER = (2048, 256, 8000)
"""Rows, features and classes."""

Call = Callable[[], Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ignored", description=__doc__)
    parser.add_argument("--share", type=float, default=0.94, help="how many rows are ignored (default: 0.94)")
    parser.add_argument("--rounds", type=int, default=51)
    parser.add_argument("--quick", action="store_true", help="three rounds of the small cases")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args(arguments)
    if not 0 <= options.share < 1:
        parser.error(f"--share must be at least 0 and below 1, got {options.share}")
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    cases = CASES[:2] if options.quick else CASES
    rounds = 3 if options.quick else options.rounds
    rows: list[tuple[str, ...]] = []
    for shape, axis, dtype in cases:
        calls = _of_logits(shape, axis, dtype, options.share)
        rows += [(f"{name}, {shape}, axis {axis}, {dtype}", *_figures(pair, rounds)) for name, pair in calls.items()]
    if not options.quick:
        rows += [(f"{name}, {LAYER}", *_figures(pair, 9)) for name, pair in _of_a_layer(options.share).items()]
    print(tables.table(("call", "all rows", "without the ignored", "ratio"), rows, options.markdown))
    busy = machine.busy()
    if busy:
        print(f"\n{busy}")
    return 0


def _labels(rng: Any, rows: int, classes: int, share: float) -> Any:
    labels = rng.integers(0, classes, rows)
    labels[rng.permutation(rows)[: int(share * rows)]] = -100
    return labels


def _of_logits(shape: tuple[int, ...], axis: int, dtype: str, share: float) -> dict[str, tuple[Call, Call]]:
    """Calls with all rows, and what they are measured against."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(dtype)
    y = _labels(rng, x.size // shape[axis], shape[axis], share)
    counted = y != -100
    left = np.ascontiguousarray(x[counted] if axis else x[:, counted])
    labels, out, left_out = y[counted], np.empty_like(x), np.empty_like(left)
    ignored = np.empty((np.count_nonzero(~counted), shape[axis]), dtype)

    def with_zeros() -> None:
        fa.cross_entropy_with_grad(left, labels, axis=axis, out=left_out)
        ignored.fill(0)

    def with_fresh_zeros() -> None:
        fa.cross_entropy_with_grad(left, labels, axis=axis)
        np.empty_like(ignored).fill(0)

    return {
        "cross_entropy": (lambda: fa.cross_entropy(x, y, axis=axis), lambda: fa.cross_entropy(left, labels, axis=axis)),
        "with_grad, out=": (lambda: fa.cross_entropy_with_grad(x, y, axis=axis, out=out), with_zeros),
        "with_grad": (lambda: fa.cross_entropy_with_grad(x, y, axis=axis), with_fresh_zeros),
    }


def _of_a_layer(share: float) -> dict[str, tuple[Call, Call]]:
    """The same of a linear layer, whose zeros are few."""
    rng = np.random.default_rng(0)
    rows, features, classes = LAYER
    hidden, weight = rng.normal(size=(rows, features)).astype("f4"), rng.normal(size=(classes, features)).astype("f4")
    y = _labels(rng, rows, classes, share)
    left, labels = hidden[y != -100], y[y != -100]
    functions = fa.linear_cross_entropy, fa.linear_cross_entropy_with_grad
    return {f.__name__: (partial(f, hidden, weight, y), partial(f, left, weight, labels)) for f in functions}


def _figures(calls: tuple[Call, Call], rounds: int) -> tuple[str, ...]:
    """Median microseconds of both, and the median of their ratios."""
    for call in calls * 2:
        call()
    times = np.empty((rounds, 2))
    for row in times:
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            row[i] = 1e6 * (time.perf_counter() - start)
    first, second = (statistics.median(column) for column in times.T)
    return f"{first:.0f} us", f"{second:.0f} us", f"{statistics.median(times[:, 0] / times[:, 1]):.2f}"


if __name__ == "__main__":
    raise SystemExit(main())
