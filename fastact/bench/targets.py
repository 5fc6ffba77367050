"""The project's targets for speed, and which of them measured cells meet.

A target asks that a contender's time over fastact's, the median over the rounds, be at least some number in every
cell that it covers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .measure import Cell
from .report import place
from .tables import table

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
    """Cells of some elementwise ops (all of them: ``None``) with sizes between two bounds."""
    return lambda cell: (
        "shape" not in cell
        and (ops is None or cell["op"] in ops)
        and low <= cell["size"] <= high
        and (cell["variant"], cell["dtype"]) == (variant, dtype)
    )


def _shaped(op: str, *shape: int, variant: str = "out", setting: str = "") -> Callable[[Cell], bool]:
    """The cell of a function over rows for an array of a shape."""
    return lambda cell: (
        (cell["op"], cell["direction"], cell["dtype"], cell["variant"]) == (op, "forward", "float32", variant)
        and tuple(cell.get("shape", ())) == shape
        and (not setting or cell.get("setting") == setting)
    )


def _rows() -> Iterator[Target]:
    """The targets of the row family, for the cells of ``cases.SHAPED``."""
    wide = ((1024, 32_000), (256, 128_256))
    losses = [(shape, "torch", 8.0) for shape in wide] + [(shape, "numpy", 15.0) for shape in wide]
    losses += [(shape, "reading", 0.6) for shape in wide]
    losses += [((8192, 1000), "torch", 2.0), ((65_536, 10), "torch", 6.0), ((1, 10), "torch", 1.5)]
    for shape, contender, least in losses:
        yield Target(f"cross_entropy of {shape}", contender, least, _shaped("cross_entropy", *shape, variant="fresh"))
    for shape in wide:
        yield Target(f"loss and gradient of {shape}", "torch", 8.0, _shaped("cross_entropy_with_grad", *shape))
    for shape in ((4096, 1000), (512, 32_000), (1, 10)):
        for op in ("softmax", "log_softmax"):
            for contender, least in (
                (("torch", 1.3), ("scipy", 5.0)) if shape[0] == 1 else (("torch", 1.5), ("scipy", 8.0))
            ):
                yield Target(f"{op} of {shape}", contender, least, _shaped(op, *shape))
    for array, axis in (((1000, 8192), "axis=0"), ((16, 21, 256, 256), "axis=1")):
        yield Target(f"softmax of {array}, {axis}", "torch", 2.0, _shaped("softmax", *array, setting=axis))
    for pieces, of_numpy, of_torch in ((2, 40.0, 3.0), (4, 20.0, 2.0)):
        covers = _shaped("maxout", HUGE, setting=f"num_pieces={pieces}")
        yield Target(f"maxout, {pieces} pieces, 16e6", "numpy", of_numpy, covers)
        yield Target(f"maxout, {pieces} pieces, 16e6", "torch", of_torch, covers)
    yield Target("swiglu, float32 out=, 1e6", "torch", 1.7, _main({"swiglu"}, 1e6, 1e6))
    layer = _shaped("linear_cross_entropy_with_grad", 2048, 1024, 32_000, variant="fresh")
    yield Target("linear_cross_entropy, gradients, 2048 x 1024 x 32000", "torch", 1.0, layer)


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
    Target("every cell of an elementwise op", "numpy", 1.0, lambda cell: "shape" not in cell),
    Target("float32 out=, from 1e5: exponentials", "numpy", 10.0, _main(EXPONENTIAL - NUMPY_HAS, 1e5, HUGE)),
    Target("float32 out=, from 1e5: exp, expm1, tanh", "numpy", 3.0, _main(NUMPY_HAS, 1e5, HUGE)),
    Target("in place", "out-of-place", 1 / 1.1, lambda cell: cell["size"] >= SOME),
    Target("strided", "contiguous", 1 / 3, lambda cell: cell["size"] >= SOME),
    Target("float16, 16e6", "float32", 1.0, lambda cell: cell["size"] == HUGE),
    *_rows(),
]

EXTRA_MEMORY = 0.1
"""What ``linear_cross_entropy_with_grad`` may allocate beyond its results, as a part of all logits."""


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
            way = ", backward" if direction == "backward" else ""
            rows.append([f"{target.what}{way}", f"{target.contender} >= {target.least:.2f}", *measured])
            missed += [_miss(target, cell) for cell in found if cell not in met]
    rows += [_memory(cell["extra_memory"]) for cell in cells if "extra_memory" in cell]
    if not rows:
        return "no cell that a target covers"
    head = ["target", "ratio", "worst", "median", "cells", "verdict"]
    text = table(head, rows, markdown)
    if missed:
        text += "\n\n" + table(["missed", "ratio", "wanted", "quartiles", "relu's time / fastact's"], missed, markdown)
    return text


def _concerns(target: Target, cell: Cell) -> bool:
    """Whether a target covers a cell; not a large vector where PyTorch lacks an ``out`` and pays for fresh pages."""
    allocating = target.contender == "torch" and "torch" in cell["allocates"] and "shape" not in cell
    unfair = allocating and cell["size"] > 1_000_000
    return target.contender in cell["ratio"] and target.covers(cell) and not unfair


def _memory(extra: float) -> list[str]:
    """The row of what ``linear_cross_entropy_with_grad`` allocates."""
    share, met = f"{extra:.3f}", extra < EXTRA_MEMORY
    what, wanted = "linear_cross_entropy: memory beyond the results / logits", f"< {EXTRA_MEMORY:.2f}"
    return [what, wanted, share, share, f"{int(met)}/1", "met" if met else "missed in 1"]


def _verdict(target: Target, cell: Cell) -> str:
    _, _, middle, high, _ = cell["ratio"][target.contender]
    return "met" if middle >= target.least else "within spread" if high >= target.least else "missed"


def _miss(target: Target, cell: Cell) -> list[str]:
    """A cell that misses a target; ``relu``'s ratio near one says that the memory sets the pace, not the op."""
    _, low, middle, high, _ = cell["ratio"][target.contender]
    name = " ".join(place(cell))
    roof = f"{cell['ratio']['relu'][2]:.2f}" if "relu" in cell["ratio"] else ""
    return [name, f"{middle:.2f} {target.contender}", f"{target.least:.2f}", f"{low:.2f}-{high:.2f}", roof]
