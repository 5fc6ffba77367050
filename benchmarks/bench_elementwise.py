"""The asv suite of elementwise ops: ``asv run --python=same --quick`` for a look, ``make dashboard`` for the pages.

It must load for old commits too, so the ops are named here; a commit without one reports n/a. With
``FASTACT_BENCH_ALL=1`` every op runs, not one of each kind.
"""

import os

from benchmarks.cases import Case, Contender, contenders
from benchmarks.idioms import IDIOMS
from benchmarks.tracked import Pair, Samples, function_of, unit

ONE_OF_EACH_KIND = (
    "relu",
    "leaky_relu",
    "hard_swish",
    "exp",
    "log1p",
    "elu",
    "sigmoid",
    "softplus",
    "tanh",
    "gelu",
    "mish",
)
OPS = tuple(IDIOMS) if os.environ.get("FASTACT_BENCH_ALL") else ONE_OF_EACH_KIND


def _contenders(op: str, direction: str, size: int) -> dict[str, Contender]:
    case = Case(op, direction, "float32", size)
    function_of(case.name)
    return contenders(case, peers=("numpy",))


class Elementwise:
    """One call into ``out``, float32."""

    version = "2"
    timeout = 120
    params = (OPS, ("forward", "backward"), (10_000, 1_000_000))
    param_names = ("op", "direction", "size")

    def setup(self, op: str, direction: str, size: int) -> None:
        self.pair = Pair(_contenders(op, direction, size), size)

    @unit("ns/element")
    def track_nanoseconds(self, *_: object) -> Samples:
        return self.pair.nanoseconds()

    @unit("fastact's time / NumPy's")
    def track_ratio(self, *_: object) -> Samples:
        return self.pair.ratio()


class Overhead:
    """A call on ten elements: what is not computation."""

    version = "2"
    params = (("relu", "leaky_relu", "relu_backward"),)
    param_names = ("function",)

    def setup(self, function: str) -> None:
        op = function.removesuffix("_backward")
        self.pair = Pair(_contenders(op, "forward" if op == function else "backward", 10), elements=1)

    @unit("ns/call")
    def track_nanoseconds(self, *_: object) -> Samples:
        return self.pair.nanoseconds()

    @unit("fastact's time / NumPy's")
    def track_ratio(self, *_: object) -> Samples:
        return self.pair.ratio()
