"""The project's targets for speed, and which of them measured cells meet.

A target asks that a contender's time over fastact's, the median over the rounds, be at least some number in every
cell that it covers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.measure import Cell
from benchmarks.tables import table

STEEP = {"tanh", "mish", "softplus", "elu", "selu", "gelu_tanh", "log_sigmoid", "exp", "expm1", "erf"}
"""Where PyTorch is slow."""
GATED = {"sigmoid", "silu", "gelu"}
RELU_FAMILY = {"relu", "relu6", "leaky_relu", "hard_tanh", "hard_sigmoid", "hard_swish", "soft_shrink", "hard_shrink"}
RELU_FAMILY |= {"threshold", "prelu", "rrelu"}
EXPONENTIAL = STEEP | GATED | {"celu", "tanh_shrink", "quick_gelu"}
NUMPY_HAS = {"exp", "tanh", "expm1"}
SOME, HUGE = 100_000, 16_000_000


@dataclass(frozen=True)
class Target:
    """A least ratio, and the cells that must reach it."""

    what: str
    contender: str
    least: float
    covers: Callable[[Cell], bool]


def _main(
    ops: set[str] | None, low: float = 1e3, high: float = 1e6, variant: str = "out", dtype: str = "float32"
) -> Callable[[Cell], bool]:
    """Cells of some ops (all of them: ``None``) with sizes between two bounds."""
    return lambda cell: (
        (ops is None or cell["op"] in ops)
        and low <= cell["size"] <= high
        and (cell["variant"], cell["dtype"]) == (variant, dtype)
    )


TARGETS = [
    Target("10 elements: a call, against np.exp", "np.exp", 1 / 1.15, lambda cell: cell["dtype"] == "float32"),
    *(
        Target(f"float32 out=, {text}", "torch", least, covers)
        for text, least, covers in (
            ("1e3 to 1e6: tanh, mish, softplus, elu and such", 3.0, _main(STEEP)),
            ("1e3 to 1e6: sigmoid, silu, gelu", 1.3, _main(GATED)),
            ("1e3 to 1e6: piecewise linear", 1.0, _main(RELU_FAMILY)),
            ("16e6: all", 1.0, _main(None, HUGE, HUGE)),
        )
    ),
    Target("float32 fresh, 16e6: all", "torch", 2.5, _main(None, HUGE, HUGE, "fresh")),
    Target("float64 out=, 1e3 to 1e6: exponentials", "torch", 2.0, _main(EXPONENTIAL, dtype="float64")),
    Target("every cell", "numpy", 1.0, lambda cell: True),
    Target("float32 out=, from 1e5: exponentials", "numpy", 10.0, _main(EXPONENTIAL - NUMPY_HAS, 1e5, HUGE)),
    Target("float32 out=, from 1e5: exp, expm1, tanh", "numpy", 3.0, _main(NUMPY_HAS, 1e5, HUGE)),
    Target("in place", "out-of-place", 1 / 1.1, lambda cell: cell["size"] >= SOME),
    Target("strided", "contiguous", 1 / 3, lambda cell: cell["size"] >= SOME),
    Target("float16, 16e6", "float32", 1.0, lambda cell: cell["size"] == HUGE),
]


def report(cells: Sequence[Cell], markdown: bool = False) -> str:
    """A table of targets, forward and backward apart, with the cells that miss them below."""
    rows, missed = [], []
    for target in TARGETS:
        for direction in ("forward", "backward"):
            found = [cell for cell in cells if cell["direction"] == direction and _concerns(target, cell)]
            found.sort(key=lambda cell: float(cell["ratio"][target.contender][2]))
            if not found:
                continue
            met = [cell for cell in found if _verdict(target, cell) != "missed"]
            verdict = "met" if len(met) == len(found) else f"missed in {len(found) - len(met)}"
            if verdict == "met" and any(_verdict(target, cell) == "within spread" for cell in found):
                verdict = "met within spread"
            worst, median = (cell["ratio"][target.contender][2] for cell in (found[0], found[len(found) // 2]))
            measured = [f"{worst:.2f}", f"{median:.2f}", f"{len(met)}/{len(found)}", verdict]
            rows.append([f"{target.what}, {direction}", f"{target.contender} >= {target.least:.2f}", *measured])
            missed += [_miss(target, cell) for cell in found if cell not in met]
    if not rows:
        return "no cell that a target covers"
    head = ["target", "ratio", "worst", "median", "cells", "verdict"]
    text = table(head, rows, markdown)
    if missed:
        text += "\n\n" + table(["missed", "ratio", "wanted", "quartiles", "relu's time / fastact's"], missed, markdown)
    return text


def _concerns(target: Target, cell: Cell) -> bool:
    """Whether a target covers a cell; not a large one where PyTorch lacks an ``out`` and pays for fresh pages."""
    unfair = target.contender == "torch" and "torch" in cell["allocates"] and cell["size"] > 1_000_000
    return target.contender in cell["ratio"] and target.covers(cell) and not unfair


def _verdict(target: Target, cell: Cell) -> str:
    _, _, middle, high, _ = cell["ratio"][target.contender]
    return "met" if middle >= target.least else "within spread" if high >= target.least else "missed"


def _miss(target: Target, cell: Cell) -> list[str]:
    """A cell that misses a target; ``relu``'s ratio near one says that the memory sets the pace, not the op."""
    _, low, middle, high, _ = cell["ratio"][target.contender]
    name = f"{cell['op']} {cell['direction']} {cell['dtype']} {cell['size']:,} {cell['variant']}"
    roof = f"{cell['ratio']['relu'][2]:.2f}" if "relu" in cell["ratio"] else ""
    return [name, f"{middle:.2f} {target.contender}", f"{target.least:.2f}", f"{low:.2f}-{high:.2f}", roof]
