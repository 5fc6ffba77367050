"""What the reductions of ``fastact.numpy`` collect: a block for each."""

from functools import cache
from typing import Any

from fastact.kinds.reductions import Reduction, ReductionKernel
from fastact.kinds.rows import unchanged
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, absolute, select, widen
from fastact.runtime.ufunc import make_ufunc

INFINITY = float("inf")


@scalar
def _wide(x: Scalar) -> Scalar:
    return widen(x)


@scalar
def _total(high: Scalar, low: Scalar) -> Scalar:
    """Both, but for an infinity, beside which ``low`` is NaN; a sum of nothing but -0.0 is 0.0, as NumPy's."""
    return select(absolute(high) < INFINITY, high + low, high) + 0.0


@scalar
def _mean(high: Scalar, low: Scalar, n: Scalar) -> Scalar:
    return _total(high, low) / n


SUM = Reduction("reductions.sum", (_wide,), _total, padding=-0.0)
MEAN = Reduction("reductions.mean", (_wide,), _mean, padding=-0.0)
WIDE_MEAN = Reduction("reductions.wide_mean", (_wide,), _mean, padding=-0.0, wide=True)


@scalar
def _parts(high: Scalar, low: Scalar) -> tuple[Scalar, Scalar]:
    return high, _total(high, low) - high


PARTS = Reduction("reductions.parts", (_wide,), _parts, padding=-0.0, outputs=2, wide=True)
"""A sum as two numbers, for a row or a column that is added up in several pieces."""


@scalar
def _square_distance(x: Scalar, mean: Scalar) -> Scalar:
    distance = widen(x) - mean
    return distance * distance


@scalar
def _distance(x: Scalar, mean: Scalar) -> Scalar:
    return widen(x) - mean


@scalar
def _squares(high: Scalar, low: Scalar, drift: Scalar) -> tuple[Scalar, Scalar]:
    return _total(high, low), drift


SQUARES = Reduction(
    "reductions.squares", (_square_distance, _distance), _squares, number_names="mean", outputs=2, wide=True, cost=0.15
)
"""The sum of squared distances from a number near the mean, and that of the distances, which says how near."""


@scalar
def _negative(x: Scalar) -> Scalar:
    return -x


@scalar
def _best(best: Scalar) -> Scalar:
    return best


@scalar
def _worst(best: Scalar) -> Scalar:
    return -best


LARGEST = Reduction("reductions.largest", (unchanged,), _best, largest=True, padding=-INFINITY, cost=0.07)
SMALLEST = Reduction("reductions.smallest", (_negative,), _worst, largest=True, padding=INFINITY, cost=0.07)


@cache
def rows(reduction: Reduction) -> Any:
    """The generalised ufunc of a reduction along the last axis."""
    return _ufunc(ReductionKernel(reduction, columns=False))


@cache
def columns(reduction: Reduction) -> Any:
    """The generalised ufunc of a reduction over the last axis but one."""
    return _ufunc(ReductionKernel(reduction, columns=True))


def _ufunc(kernel: ReductionKernel) -> Any:
    return make_ufunc(kernel, kernel.name, "A reduction.", __name__)
