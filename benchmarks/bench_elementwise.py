"""The asv suite: ``asv run``, ``asv continuous main HEAD``, ``asv run --python=same --quick`` for a look.

It must load for old commits too, so the ops are named here; a commit without one reports n/a. Kernels are compiled in
``setup``, in a cache of the commit's own (``__init__.py``). With ``FASTACT_BENCH_ALL=1`` every op runs, not one of
each kind.
"""

import os
from collections.abc import Callable
from typing import Any

from benchmarks.cases import Case, Contender, contenders
from benchmarks.idioms import IDIOMS
from benchmarks.measure import measure

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


def _pair(op: str, direction: str, size: int) -> dict[str, Contender]:
    """Both contenders of a case, fastact and NumPy, ready to be timed."""
    import fastact

    record = fastact.ops.get(op)
    if record is None or (direction == "backward" and record.derivative is None):
        raise NotImplementedError(f"this commit has no {op} {direction}")
    pair = contenders(Case(op, direction, "float32", size), peers=("numpy",))
    for contender in pair.values():
        contender.result()
    return pair


class Elementwise:
    """One call into ``out``, float32."""

    version = "1"
    timeout = 120
    params = (OPS, ("forward", "backward"), (10_000, 1_000_000))
    param_names = ("op", "direction", "size")

    def setup(self, op: str, direction: str, size: int) -> None:
        fastact = _pair(op, direction, size)["fastact"]
        self.run: Callable[[], Any] = _compiled(fastact)

    def time_fastact(self, *_: object) -> None:
        self.run()


class ToNumPy:
    """NumPy's time over fastact's: machines differ less in it than in seconds. Higher is better."""

    version = "1"
    timeout = 120
    params = (OPS, ("forward", "backward"), (100_000,))
    param_names = ("op", "direction", "size")
    unit = "NumPy's time / fastact's"

    def setup(self, op: str, direction: str, size: int) -> None:
        self.pair = _pair(op, direction, size)

    def track_ratio(self, op: str, direction: str, size: int) -> float:
        cell = measure(Case(op, direction, "float32", size), self.pair, rounds=9)
        return float(cell["ratio"]["numpy"][2])


class Overhead:
    """A call on ten elements: what is not computation."""

    version = "1"
    params = (("relu", "leaky_relu", "relu_backward"),)
    param_names = ("function",)

    def setup(self, function: str) -> None:
        op = function.removesuffix("_backward")
        self.run = _compiled(_pair(op, "forward" if op == function else "backward", 10)["fastact"])

    def time_call(self, *_: object) -> None:
        self.run()


class Import:
    """In a fresh interpreter each time."""

    version = "1"

    def timeraw_fastact(self) -> str:
        return "import fastact"

    def timeraw_numpy(self) -> str:
        return "import numpy"

    def timeraw_first_call(self) -> str:
        """With the kernel in the disk cache, after asv's first sample."""
        return "import fastact, numpy; fastact.gelu(numpy.ones(10, numpy.float32))"


def _compiled(contender: Contender) -> Callable[[], Any]:
    function: Callable[[], Any] = eval(f"lambda: {contender.statement}", dict(contender.names))
    return function
