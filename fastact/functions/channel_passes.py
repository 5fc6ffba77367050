"""The kernels of norms of channels: sums over a channel's plane, or over columns if channels lie last, and what is written.

A plane's sums are about its own mean, those of columns about the first row, and both are moved to the mean of all that belongs
together (`fastact.functions.channel_statistics`). What is written for an element follows from numbers of its channel.
"""

from functools import cache
from typing import Any

from fastact.functions import norm_passes as passes
from fastact.functions.norm_passes import distance, square
from fastact.kinds.column_sums import ColumnSumsKernel
from fastact.kinds.planes import PlanesKernel
from fastact.kinds.rows import RowKernel, Sum
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, fma, widen
from fastact.runtime.ufunc import make_ufunc


@scalar
def _square_distance(x: Scalar, near: Scalar, rest: Scalar) -> Scalar:
    return square(distance(x, near, rest))


@scalar
def _itself(grad: Scalar) -> Scalar:
    return grad


@scalar
def _product(grad: Scalar, x: Scalar, near: Scalar, rest: Scalar) -> Scalar:
    return grad * distance(x, near, rest)


PLANE = RowKernel(
    "channel_moments",
    [*passes.MEAN, Sum("squares", _square_distance)],
    gives="total squares",
    gives_wide=True,
    cost=0.3,
)
PLANE_BACKWARD = RowKernel(
    "channel_moments_backward",
    [*passes.MEAN, Sum("squares slopes products", [_square_distance, _itself, _product])],
    operands="grad x",
    gives="total squares slopes products",
    gives_wide=True,
    cost=0.5,
)


@scalar
def _moments(x: Scalar, first: Scalar) -> tuple[Any, ...]:
    d = widen(x) - widen(first)
    return d, d * d


@scalar
def _moments_backward(grad: Scalar, x: Scalar, first: Scalar) -> tuple[Any, ...]:
    d, g = widen(x) - widen(first), widen(grad)
    return d, d * d, g, g * d


COLUMNS = ColumnSumsKernel("channel_columns", "total squares", _moments, operands="x first")
COLUMNS_BACKWARD = ColumnSumsKernel(
    "channel_columns_backward", "total squares slopes products", _moments_backward, operands="grad x first"
)


@scalar
def _normed(x: Scalar, near: Scalar, rest: Scalar, scale: Scalar, bias: Scalar) -> Scalar:
    T = type(x)
    return fma((x - T(near)) - T(rest), T(scale), T(bias))


@scalar
def _gradient(
    grad: Scalar, x: Scalar, near: Scalar, rest: Scalar, scale: Scalar, along: Scalar, level: Scalar
) -> Scalar:
    T = type(x)
    return fma(grad, T(scale), -T(level)) - ((x - T(near)) - T(rest)) * T(along)


NUMBERS, NUMBERS_BACKWARD = "near rest scale bias", "near rest scale along level"
"""What is known of each channel when an element is written."""
WRITE = PlanesKernel("channel_norm", _normed, "x", number_names=NUMBERS, option_names="unused")
WRITE_BACKWARD = PlanesKernel(
    "channel_norm_backward", _gradient, "grad x", number_names=NUMBERS_BACKWARD, option_names="unused"
)
WRITE_ROWS = RowKernel("channel_norm_rows", [], _normed, operands=f"x {NUMBERS}", cost=0.3)
WRITE_ROWS_BACKWARD = RowKernel(
    "channel_norm_rows_backward", [], _gradient, operands=f"grad x {NUMBERS_BACKWARD}", cost=0.4
)


@cache
def ufunc_of(kernel: Any) -> Any:
    """The ufunc of one of these kernels."""
    return make_ufunc(kernel, kernel.name, "A part of a norm of channels.", __name__)
