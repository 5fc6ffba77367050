"""The asv suite of rows: softmax and its relatives, cross-entropy, Maxout. A commit without a function reports n/a."""

from benchmarks.harness import case, cases
from benchmarks.tracked import Measured, Tracked, function_of, measure_all

ROWS = (
    "softmax",
    "log_softmax",
    "logsumexp",
    "softmax_backward",
    "log_softmax_backward",
    "cross_entropy",
    "cross_entropy_with_grad",
)
MAXOUT = ("maxout", "maxout_with_index", "maxout_backward")
PIECES = "num_pieces=4"
SHAPES = {"100000 x 8": (100_000, 8), "1000 x 1000": (1_000, 1_000)}


class Rows(Tracked):
    """One call that returns a fresh array, float32."""

    version = "2"
    params: tuple[tuple[str, ...], ...] = (ROWS, tuple(SHAPES))
    param_names = ("function", "rows x columns")

    def setup_cache(self) -> Measured:
        return measure_all(self.params, _contenders)


class Maxout(Rows):
    """The same over groups of four columns."""

    params = (MAXOUT, tuple(SHAPES))

    def setup_cache(self) -> Measured:
        return measure_all(self.params, _contenders)


def _contenders(function: str, shape: str) -> dict[str, case.Contender]:
    function_of(function)
    rows, columns = SHAPES[shape]
    op = function.removesuffix("_backward")
    direction, setting = "forward" if op == function else "backward", PIECES if function in MAXOUT else ""
    place = (op, direction, "float32", rows * columns, "fresh", (rows, columns), setting)
    return cases.contenders(case.Case(*place), ("numpy",))
