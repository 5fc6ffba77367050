"""The asv suite of rows: softmax and its relatives, cross-entropy, Maxout. A commit without a function reports n/a."""

from benchmarks.rows import MAXOUT, ROWS, row_arrays, row_contenders
from benchmarks.tracked import Pair, Samples, unit

SHAPES = {"100000 x 8": (100_000, 8), "1000 x 1000": (1_000, 1_000)}


class Rows:
    """One call that returns a fresh array, float32."""

    version = "1"
    timeout = 120
    params: tuple[tuple[str, ...], ...] = (tuple(ROWS), tuple(SHAPES))
    param_names = ("function", "rows x columns")

    def setup(self, function: str, shape: str) -> None:
        rows, columns = SHAPES[shape]
        self.pair = Pair(row_contenders(function, row_arrays(rows, columns)), rows * columns)

    @unit("ns/element")
    def track_nanoseconds(self, *_: object) -> Samples:
        return self.pair.nanoseconds()

    @unit("fastact's time / NumPy's")
    def track_ratio(self, *_: object) -> Samples:
        return self.pair.ratio()


class Maxout(Rows):
    """The same over groups of four columns."""

    params = (tuple(MAXOUT), tuple(SHAPES))
