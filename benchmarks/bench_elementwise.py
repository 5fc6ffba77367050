"""The asv suite of elementwise ops: ``asv run --python=same --quick`` for a look, ``make dashboard`` for the pages.

It must load for old commits too, so the ops are named here; a commit without one reports n/a. With
``FASTACT_BENCH_ALL=1`` every op runs, not one of each kind.
"""

import os

from benchmarks.harness import case, cases, idioms
from benchmarks.tracked import Measured, Tracked, function_of, measure_all

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
OPS = tuple(idioms.IDIOMS) if os.environ.get("FASTACT_BENCH_ALL") else ONE_OF_EACH_KIND


class Elementwise(Tracked):
    """One call into ``out``, float32."""

    version = "2"
    params = (OPS, ("forward", "backward"), (10_000, 1_000_000))
    param_names = ("op", "direction", "size")

    def setup_cache(self) -> Measured:
        return measure_all(self.params, _contenders)


class Overhead(Tracked):
    """A call on ten elements: what is not computation."""

    version = "2"
    params = (("relu", "leaky_relu", "relu_backward"),)
    param_names = ("function",)
    unit = "ns/call"

    def setup_cache(self) -> Measured:
        return measure_all(self.params, _ten_elements, per_call=True)


def _contenders(op: str, direction: str, size: int) -> dict[str, case.Contender]:
    measured = case.Case(op, direction, "float32", size)
    function_of(measured.name)
    return cases.contenders(measured, peers=("numpy",))


def _ten_elements(function: str) -> dict[str, case.Contender]:
    op = function.removesuffix("_backward")
    return _contenders(op, "forward" if op == function else "backward", 10)
