"""The passes over a row that yield its statistics, and what norms and their gradients write: of `layer_norm` and `rms_norm`.

The mean is a float64 sum's. It is kept as a number of the row's precision and the rest, and an element's distance from it is
that from both: what has a large mean loses none of its digits.
"""

from collections.abc import Sequence
from typing import Any

from fastact.kinds.rows import Once, Sum, unchanged
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, fma, sqrt, widen


@scalar
def _mean(total: Scalar, n: Scalar) -> Scalar:
    return total / n


@scalar
def _rest(total: Scalar, n: Scalar, near: Scalar) -> Scalar:
    return total / n - widen(near)


@scalar
def distance(x: Scalar, near: Scalar, rest: Scalar) -> Scalar:
    """How far an element is from the mean."""
    return (x - near) - rest


@scalar
def square(x: Scalar) -> Scalar:
    """``x`` times itself."""
    return x * x


@scalar
def _square_distance(x: Scalar, near: Scalar, rest: Scalar) -> Scalar:
    return square(distance(x, near, rest))


@scalar
def inverse_deviation(squares: Scalar, n: Scalar, eps: Scalar) -> Scalar:
    """One over the root of the mean square."""
    return 1 / sqrt(squares / n + eps)


def mean_of(term: Any) -> list[Any]:
    """The passes that yield the mean of terms as ``near`` and ``rest``."""
    return [Sum("total", term, wide=True), Once("near", _mean), Once("rest", _rest)]


MEAN = mean_of(unchanged)
SCALE = Once("scale", inverse_deviation)
LAYER: list[Any] = [*MEAN, Sum("squares", _square_distance), SCALE]
RMS: list[Any] = [Sum("squares", square), SCALE]


@scalar
def layer_normed(x: Scalar, weight: Scalar, bias: Scalar, near: Scalar, rest: Scalar, scale: Scalar) -> Scalar:
    """An element of `layer_norm`."""
    return fma(distance(x, near, rest) * scale, weight, bias)


@scalar
def rms_normed(x: Scalar, weight: Scalar, scale: Scalar) -> Scalar:
    """An element of `rms_norm`."""
    return x * scale * weight


# Gradients: of what is normed, a row's own are g = grad * weight, and the normed elements are d * scale.


@scalar
def _slope(grad: Scalar, weight: Scalar) -> Scalar:
    return grad * weight


@scalar
def _layer_product(grad: Scalar, x: Scalar, weight: Scalar, near: Scalar, rest: Scalar) -> Scalar:
    return grad * weight * distance(x, near, rest)


@scalar
def _rms_product(grad: Scalar, x: Scalar, weight: Scalar) -> Scalar:
    return grad * weight * x


@scalar
def _along(products: Scalar, scale: Scalar, n: Scalar) -> Scalar:
    """What an element's distance from the mean is multiplied by, once scaled: how much the gradient lengthens the row."""
    return products / n * widen(scale) * widen(scale)


@scalar
def _level(slopes: Scalar, n: Scalar) -> Scalar:
    """The mean of the row's gradient."""
    return slopes / n


LAYER_BACKWARD: list[Any] = [
    *MEAN,
    Sum("squares slopes products", [_square_distance, _slope, _layer_product]),
    SCALE,
    Once("along", _along),
    Once("level", _level),
]
RMS_BACKWARD: list[Any] = [Sum("squares products", [square, _rms_product]), SCALE, Once("along", _along)]


@scalar
def layer_gradient(
    grad: Scalar,
    x: Scalar,
    weight: Scalar,
    near: Scalar,
    rest: Scalar,
    scale: Scalar,
    along: Scalar,
    level: Scalar,
) -> Scalar:
    """An element of the gradient of `layer_norm` by its input."""
    return (fma(grad, weight, -level) - distance(x, near, rest) * along) * scale


@scalar
def rms_gradient(grad: Scalar, x: Scalar, weight: Scalar, scale: Scalar, along: Scalar) -> Scalar:
    """An element of the gradient of `rms_norm` by its input."""
    return fma(grad, weight, -(x * along)) * scale


@scalar
def _layer_weight(grad: Scalar, x: Scalar, near: Scalar, rest: Scalar, scale: Scalar) -> Scalar:
    return grad * (distance(x, near, rest) * scale)


@scalar
def _rms_weight(grad: Scalar, x: Scalar, scale: Scalar) -> Scalar:
    return grad * (x * scale)


@scalar
def _itself(grad: Scalar) -> Scalar:
    return grad


LAYER_COLUMNS: Sequence[Any] = (_layer_weight, _itself)
RMS_COLUMNS: Sequence[Any] = (_rms_weight,)


# Of a residual connection: what is normed is a sum.


@scalar
def _added(x: Scalar, residual: Scalar) -> Scalar:
    return x + residual


@scalar
def _added_square_distance(x: Scalar, residual: Scalar, near: Scalar, rest: Scalar) -> Scalar:
    return square(distance(x + residual, near, rest))


@scalar
def _added_square(x: Scalar, residual: Scalar) -> Scalar:
    return square(x + residual)


@scalar
def _added_layer_normed(
    x: Scalar, residual: Scalar, weight: Scalar, bias: Scalar, near: Scalar, rest: Scalar, scale: Scalar
) -> Scalar:
    return layer_normed(x + residual, weight, bias, near, rest, scale)


@scalar
def _added_rms_normed(x: Scalar, residual: Scalar, weight: Scalar, scale: Scalar) -> Scalar:
    return rms_normed(x + residual, weight, scale)


ADD_LAYER: list[Any] = [*mean_of(_added), Sum("squares", _added_square_distance), SCALE]
ADD_RMS: list[Any] = [Sum("squares", _added_square), SCALE]
ADD_LAYER_WRITES: Sequence[Any] = (_added_layer_normed, _added)
ADD_RMS_WRITES: Sequence[Any] = (_added_rms_normed, _added)
