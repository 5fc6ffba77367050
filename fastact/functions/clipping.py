"""Clipping of gradients, in place: by the norm of all together, or element by element."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from fastact.calls.checking import first_place, knowing_names, number, switch
from fastact.calls.elements import over_elements
from fastact.calls.quiet import quietly
from fastact.functions.docs import documented
from fastact.functions.record import Function, Variant, X, register
from fastact.functions.regularizers import sum_ufunc
from fastact.functions.updates import checked, in_order, keys_of, labels_of, run
from fastact.kinds.updates import UpdateKernel
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, maximum, minimum, widen

NORM_EPS = 1e-6
"""PyTorch's: is added to the norm that gradients are divided by."""
LARGEST, SMALLEST = 1e300, 1e-280
"""Sums of squares beyond which they may have overflowed, or lost digits: they are added again, of scaled elements."""


@scalar
def _scaled_square(x: Scalar, scale: Scalar) -> Scalar:
    return (widen(x) * scale) * (widen(x) * scale)


PIECES = {
    "errors": """\
Raises
------
ValueError
    If the limit is not allowed, an array is read-only, or arrays overlap. Nothing has been written then, to any array of a list.
TypeError
    If an argument has a type or dtype that is not allowed; masked arrays are not.""",
    "grads": """\
grads : ndarray, or list or dict of ndarray
    The gradients, float16, float32 or float64 of any layout and shape: changed in place.""",
}
_documented = partial(documented, pieces=PIECES)


def _scaled(grads: Scalar, scale: Scalar) -> Scalar:
    return type(grads)(scale) * grads


def _clipped(grads: Scalar, limit: Scalar) -> Scalar:
    T = type(grads)
    return maximum(minimum(grads, T(limit)), T(-limit))


SCALED = UpdateKernel("clip_grad_norm", _scaled, "grads", "grads", "scale", cost=0.1)
CLIPPED = UpdateKernel("clip_grad_value", _clipped, "grads", "grads", "limit", cost=0.1)


def _norm(arrays: Sequence[Any]) -> float:
    """The root of the sum of all squares."""

    def squares(scale: float) -> float:
        ufunc = sum_ufunc("clip_grad_norm.squares", _scaled_square, "scale")
        return sum(float(over_elements(ufunc, [x], x.shape, x.dtype, [scale], [])[0]) for x in arrays)

    total = squares(1.0)
    if SMALLEST < total < LARGEST or math.isnan(total) or not any(x.dtype.char == "d" for x in arrays):
        return math.sqrt(total)
    largest = max(float(quietly(np.max, quietly(np.abs, x), initial=0.0)) for x in arrays)
    if not 0 < largest < math.inf:
        return largest
    scale = math.ldexp(1.0, min(1000, -math.frexp(largest)[1]))  # a power of two: scaled elements have the same digits
    return math.sqrt(squares(scale)) / scale


def _limit(name: str, value: Any) -> float:
    found = number(name, value, "a number of at least 0")
    if not found >= 0:
        raise ValueError(f"{name} must be a number of at least 0, got {value!r}")
    return found


@knowing_names
@_documented
def clip_grad_norm(grads: Any, max_norm: float, *, error_if_nonfinite: bool = False) -> Any:
    r"""Scale gradients, in place, so that the norm of all together is at most a limit, and return the norm that they had.

    Parameters
    ----------
    <grads>
    max_norm : float
        The largest norm that is left as it is, at least 0.
    error_if_nonfinite : bool, default False
        Whether a gradient that is infinite or NaN is an error. Otherwise, as in PyTorch, a norm that is infinite makes all finite
        gradients 0, and one that is NaN makes all NaN.

    Returns
    -------
    float64
        The Euclidean norm of all gradients together, before they were scaled.

    <errors>

    See Also
    --------
    clip_grad_value : Limits each element.

    Notes
    -----
    .. math:: g_i \cdot \min\!\left(1, \frac{c}{\|g\|_2 + 10^{-6}}\right)

    As PyTorch's. The norm is computed in float64 in one pass, in an order that depends on the shapes alone, and does not overflow
    or vanish unless it is itself beyond float64. Gradients that need no scaling are not written to.

    Error: at most 2 ULP.

    References
    ----------
    R. Pascanu et al., On the difficulty of training recurrent neural networks, arXiv:1211.5063.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> grads = [np.array([3.0, 0.0]), np.array([[4.0]])]
    >>> float(fa.clip_grad_norm(grads, 1.0))
    5.0
    >>> grads[0].round(4), grads[1].round(4)
    (array([0.6, 0. ]), array([[0.8]]))
    """
    limit, strict = _limit("max_norm", max_norm), switch("error_if_nonfinite", error_if_nonfinite)
    arrays = checked({"grads": grads}, ("grads",))
    norm = _norm(arrays["grads"])
    if strict and not math.isfinite(norm):
        for label, x in zip(labels_of(keys_of("grads", grads)), arrays["grads"], strict=True):
            if not (finite := np.isfinite(x)).all():
                position, where = first_place(~finite)
                raise ValueError(f"grads{label} must be finite, got {x[position]}{where}")
        raise ValueError("grads must have a norm that is a finite number of float64")
    scale = limit / (norm + NORM_EPS) if limit < math.inf else 1.0
    if not scale >= 1:
        run(SCALED, arrays, in_order(SCALED, {"scale": scale}))
    return np.float64(norm)


@knowing_names
@_documented
def clip_grad_value(grads: Any, clip_value: float) -> Any:
    r"""Limit each element of gradients, in place.

    Parameters
    ----------
    <grads>
    clip_value : float
        The largest magnitude that is left as it is, at least 0.

    Returns
    -------
    ndarray, or list or dict of ndarray
        `grads` itself.

    <errors>

    See Also
    --------
    clip_grad_norm : Limits the norm, which keeps the direction.

    Notes
    -----
    .. math:: \min(\max(g_i, -c), c)

    NaN remains.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> fa.clip_grad_value(np.array([0.5, -4.0]), 1.0)
    array([ 0.5, -1. ])
    """
    limit = {"limit": _limit("clip_value", clip_value)}
    run(CLIPPED, checked({"grads": grads}, ("grads",)), in_order(CLIPPED, limit))  # a limit may be infinite
    return grads


def _norm_reference(grads: Any, max_norm: float) -> tuple[Any, Any]:
    norm = np.sqrt(np.sum(grads**2))
    return grads * np.minimum(max_norm / (norm + NORM_EPS), 1), norm


register(
    Function(
        "clip_grad_norm",
        make=lambda: clip_grad_norm,
        operands=[X],
        reference=_norm_reference,
        ulp=2.0,
        double_ulp=2.0,
        home=__name__,
        family="regularizers",
        variants=[Variant({"max_norm": 0.5})],
        written=(),
        updated=(0,),
        masked=False,
    )
)
register(
    Function(
        "clip_grad_value",
        make=lambda: clip_grad_value,
        operands=[X],
        reference=lambda grads, clip_value: np.clip(grads, -clip_value, clip_value),
        ulp=0.0,
        double_ulp=0.0,
        home=__name__,
        family="regularizers",
        variants=[Variant({"clip_value": 0.5})],
        written=(),
        updated=(0,),
        masked=False,
    )
)
