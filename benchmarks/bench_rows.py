"""The asv suite of rows: softmax and its relatives, cross-entropy, Maxout. A commit without a function reports n/a."""

from benchmarks.cases import Contender
from benchmarks.rows import MAXOUT, ROWS, row_arrays, row_contenders
from benchmarks.tracked import Measured, Tracked, measure_all

SHAPES = {"100000 x 8": (100_000, 8), "1000 x 1000": (1_000, 1_000)}


class Rows(Tracked):
    """One call that returns a fresh array, float32."""

    version = "1"
    params: tuple[tuple[str, ...], ...] = (tuple(ROWS), tuple(SHAPES))
    param_names = ("function", "rows x columns")

    def setup_cache(self) -> Measured:
        return measure_all(self.params, _contenders)


class Maxout(Rows):
    """The same over groups of four columns."""

    params = (tuple(MAXOUT), tuple(SHAPES))

    def setup_cache(self) -> Measured:
        return measure_all(self.params, _contenders)


def _contenders(function: str, shape: str) -> dict[str, Contender]:
    return row_contenders(function, row_arrays(*SHAPES[shape]))
