"""Rows made vectors of length one, and the gradient of that."""

from functools import partial
from typing import Any

import numpy as np

from fastact.calls.axes import Axis
from fastact.calls.checking import knowing_names
from fastact.calls.row_ufuncs import row_ufunc
from fastact.functions.docs import documented
from fastact.functions.norm_requests import norm_rows
from fastact.functions.record import Function, Variant, X, register
from fastact.kinds.rows import Once, RowKernel, Sum
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, maximum, select, sqrt, widen


@scalar
def _square(x: Scalar) -> Scalar:
    wide = widen(x)
    return wide * wide


@scalar
def _divisor(squares: Scalar, eps: Scalar) -> Scalar:
    return maximum(sqrt(squares), eps)


@scalar
def _unit(x: Scalar, divisor: Scalar) -> Scalar:
    T = type(x)
    return T(widen(x) / divisor)


LENGTH: list[Any] = [Sum("squares", _square, wide=True), Once("divisor", _divisor, wide="divisor")]


@knowing_names
@documented
def l2_normalize(x: Any, *, axis: Axis = -1, eps: float = 1e-12, out: Any = None) -> Any:
    r"""Rows over their Euclidean length, or over `eps` if that is more.

    Parameters
    ----------
    <x>
    axis : int, tuple of int or None, default -1
        The axes of a row: one, several together, or all. PyTorch's default is 1.
    eps : float, default 1e-12
        The least that a row is divided by; not negative.
    out : ndarray, optional
        Written to and returned; may be `x` itself.

    <rows like x>

    <norm errors>

    Notes
    -----
    .. math:: \frac{x_i}{\max(\sqrt{\sum_j x_j^2}, \epsilon)}

    Error: at most 1 ULP (64 in float64). Of zeros the result is zeros, unless `eps` is 0: then it is NaN.

    <limits of a length>

    Examples
    --------
    >>> import fastact as fa
    >>> fa.l2_normalize([[3.0, 4.0]])
    array([[0.6, 0.8]])
    """
    return norm_rows(l2_normalize, _l2_normalize, {"x": x}, {}, axis, eps, out)


@scalar
def _product(grad: Scalar, x: Scalar) -> Scalar:
    return widen(grad) * widen(x)


@scalar
def _along(products: Scalar, squares: Scalar, divisor: Scalar) -> Scalar:
    """What an element is multiplied by and taken from the gradient: nothing where `eps` is divided by, which is constant."""
    return select(sqrt(squares) < divisor, widen(0.0), products / (divisor * divisor))


@scalar
def _gradient(grad: Scalar, x: Scalar, divisor: Scalar, along: Scalar) -> Scalar:
    T = type(x)
    return T((widen(grad) - widen(x) * along) / divisor)


@knowing_names
@documented
def l2_normalize_backward(grad: Any, x: Any, *, axis: Axis = -1, eps: float = 1e-12, out: Any = None) -> Any:
    r"""Gradient of `l2_normalize` with respect to its input.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `l2_normalize`.
    x : array_like
        Its input; both broadcast.
    axis : int, tuple of int or None, default -1
        As it was given to the forward function.
    eps : float, default 1e-12
        Likewise.
    out : ndarray, optional
        Written to and returned; may be `grad` or `x` itself.

    <rows like x>

    <norm errors>

    Notes
    -----
    .. math:: \frac{1}{\lVert x \rVert} \left(g_i - x_i \frac{\sum_j g_j x_j}{\lVert x \rVert^2}\right)

    Where the length is less than `eps` it is ``grad / eps``; of zeros it is NaN where `eps` is 0. Error: at most 2 ULP of the
    larger term (64 in float64).

    <limits of a length>

    Examples
    --------
    >>> import fastact as fa
    >>> fa.l2_normalize_backward([[1.0, 0.0]], [[3.0, 4.0]]).round(4)
    array([[ 0.128, -0.096]])
    """
    return norm_rows(l2_normalize_backward, _l2_normalize_backward, {"grad": grad, "x": x}, {}, axis, eps, out)


_l2_normalize = row_ufunc(RowKernel("l2_normalize", LENGTH, _unit, option_names="eps"), l2_normalize)
BACKWARD: list[Any] = [
    Sum("squares products", [_square, _product], wide=True),
    Once("divisor", _divisor, wide="divisor"),
    Once("along", _along, wide="along"),
]
_l2_normalize_backward = row_ufunc(
    RowKernel("l2_normalize_backward", BACKWARD, _gradient, operands="grad x", option_names="eps", cost=0.6),
    l2_normalize_backward,
)


def _reference(x: Any, axis: Any = -1, eps: float = 1e-12) -> Any:
    return x / np.maximum(np.linalg.norm(x, axis=axis, keepdims=True), eps)


def _reference_backward(grad: Any, x: Any, axis: Any = -1, eps: float = 1e-12) -> Any:
    length = np.linalg.norm(x, axis=axis, keepdims=True)
    unit = x / np.maximum(length, eps)
    tangent = grad - np.where(length < eps, 0.0, unit * np.sum(grad * unit, axis=axis, keepdims=True))
    return tangent / np.maximum(length, eps)


_norm = partial(Function, home=__name__, family="norms", axis="one", masked=False, double_ulp=64.0)
_VARIANTS = [Variant(), Variant({"eps": 4.0}, alike=True)]
register(_norm("l2_normalize", lambda: l2_normalize, [X], _reference, 1.0, variants=_VARIANTS))
register(
    _norm("l2_normalize_backward", lambda: l2_normalize_backward, [X, X], _reference_backward, 2.0, variants=_VARIANTS)
)
