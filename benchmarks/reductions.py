"""NumPy's reductions beside those of `fastact.numpy`: ``python -m benchmarks.reductions``.

Each by dtype, shape and axis, at the default number of threads.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from benchmarks.turns import Cells, command

PAGE = """\
<!-- Written by python -m benchmarks.reductions --page: do not edit. -->
# NumPy's reductions, and those of fastact.numpy

How many times as long NumPy's own function takes as that of `fastact.numpy`: the median over {rounds} rounds in turns, and the
quartiles. Where NumPy is as quick, as of small arrays and of most comparisons, its own loop computes. Sums of float32
are added in float64, and those of float64 with what additions of their parts round away: errors are a few units in the last place
of the sum of magnitudes, so that more digits may be wrong of a sum that cancels, as with NumPy.

{table}

{conditions}
"""
DTYPES = ("float32", "float64")
NAMES = ("sum", "mean", "var", "std", "max", "min", "argmax", "argmin")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    return command(
        "python -m benchmarks.reductions", __doc__, "call", ("NumPy",), _makers, lambda quick, medians: PAGE, arguments
    )


def _makers(quick: bool) -> list[Callable[[], Cells]]:
    sizes = (10, 10_000) if quick else (10, 100, 1000, 10_000, 100_000, 1_000_000, 16_000_000)
    shapes: list[tuple[int, ...]] = [(size,) for size in sizes]
    shapes += [(100, 100)] if quick else [(100, 100), (1000, 1000), (4000, 4000), (100_000, 10), (100, 100_000)]
    return [
        partial(_calls, shape, dtype, axis)
        for shape in shapes
        for axis in ((None,) if len(shape) == 1 else (None, 0, -1))
        for dtype in DTYPES
    ]


def _calls(shape: tuple[int, ...], dtype: str, axis: int | None) -> Cells:
    import fastact.numpy as fnp  # which older versions, beside whom asv imports this module, lack

    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    where = f"{' x '.join(f'{n:,}' for n in shape)} of {dtype}, axis {axis}"
    return {
        f"{name}, {where}": {
            "fastact": partial(getattr(fnp, name), x, axis=axis),
            "NumPy": partial(getattr(np, name), x, axis=axis),
        }
        for name in NAMES
    }


if __name__ == "__main__":
    raise SystemExit(main())
