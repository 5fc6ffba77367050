"""Regularizers: L1 and L2 penalties with their gradients, and limits to the size of gradients, which are in ``clipping.py``."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from fastact.calls.checking import at_least_zero, knowing_names, representable, sole
from fastact.calls.containers import is_container
from fastact.calls.elements import over_elements
from fastact.functions.cross_entropy_requests import as_floats, loss_dtype, rounded
from fastact.functions.docs import documented
from fastact.functions.pointwise import gradient_array
from fastact.functions.record import FUNCTIONS, Function, Variant, X, register
from fastact.functions.regression_losses import sign
from fastact.functions.updates import is_several, keys_of, labels_of, like, listed, refuse_overlaps
from fastact.kinds.pointwise import PointwiseKernel
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, absolute, widen
from fastact.runtime.ufunc import make_ufunc


@scalar
def _magnitude(x: Scalar) -> Scalar:
    return widen(absolute(x))


@scalar
def _square(x: Scalar) -> Scalar:
    return widen(x) * widen(x)


def _l1_gradient(x: Scalar, strength: Scalar) -> Scalar:
    return type(x)(strength) * sign(x)


def _l2_gradient(x: Scalar, strength: Scalar) -> Scalar:
    return type(x)(strength) * x


@cache
def sum_ufunc(name: str, term: Callable[..., Any], number: str, *gradient: Callable[..., Any]) -> Any:
    """The ufunc of a sum over all elements, in float64, and of a gradient."""
    kernel = PointwiseKernel(name, "x", number, writes=gradient, terms=[term], sums="total", wide=True, cost=0.2)
    return make_ufunc(kernel, name, "Sums over elements.", __name__)


class Penalty(NamedTuple):
    """What a penalty adds up, and what it is for the containers of other libraries."""

    term: Callable[..., Any]
    gradient: Callable[..., Any]
    factor: float
    """What the sum is multiplied by, beside the strength."""
    loss: str
    """The loss for a target of zero that adds up the same."""


L1 = Penalty(_magnitude, _l1_gradient, 1.0, "l1_loss")
L2 = Penalty(_square, _l2_gradient, 0.5, "mse_loss")


PIECES = {
    "params": """\
params : array_like, or list or dict of ndarray
    The parameters; float16, float32 or float64, integers convert as in NumPy. A list that holds arrays is one of several.""",
    "dtype": """\
dtype : dtype, optional
    Of the penalty: float16, float32 or float64; that of the parameters by default.""",
    "out": """\
out : ndarray, or list or dict of ndarray, optional
    For the gradient, with the shapes and dtypes of `params`; may be `params` itself.""",
    "errors": """\
Raises
------
ValueError
    If an argument has a shape or value that is not allowed. Nothing has been written then.
TypeError
    If an argument has a type or dtype that is not allowed.""",
}
_documented = partial(documented, pieces=PIECES)


def _place(i: int, arrays: Sequence[Any], out: Any) -> Any:
    """Where the gradient of one array is written first: in ``out`` unless that would overwrite another array."""
    found = gradient_array(arrays[i], out, ())
    others = (x for j, x in enumerate(arrays) if j != i)
    return np.empty_like(arrays[i]) if any(np.may_share_memory(found, x) for x in others) else found


def _check_strength(strength: float, arrays: Sequence[Any]) -> None:
    """``ValueError`` if the strength is infinite in the precision of one of some arrays."""
    for x in arrays:
        representable("strength", strength, np.result_type(np.float32, x.dtype))


def _penalty(kind: Penalty, function: Any, params: Any, strength: Any, dtype: Any, out: Any, gradient: bool) -> Any:
    """A penalty, and its gradient if that is asked for."""
    factor = at_least_zero("strength", strength)
    if is_container(params) or is_container(out):
        loss = FUNCTIONS[f"{kind.loss}{'_with_grad' * gradient}"].function
        _check_strength(factor, [x for x in (params,) if isinstance(getattr(x, "dtype", None), np.dtype)])
        options = {"weight": factor * kind.factor, "reduction": "sum", "dtype": dtype}
        return loss(params, 0.0, **options, **({"out": out} if gradient else {}))
    several = is_several(params)
    keys = keys_of("params", params) if several else None
    labels, given = labels_of(keys), listed("params", params, "params", keys)
    arrays = [as_floats(f"params{k}", x) for k, x in zip(labels, given, strict=True)]
    _check_strength(factor, arrays)
    result = loss_dtype(dtype, np.result_type(np.float16, *arrays))
    places: list[list[Any]] = [[] for _ in arrays]
    outs: list[Any] = [None] * len(arrays)
    if gradient:
        outs = outs if out is None else listed("out", out if several else sole(out), "params", keys)
        places = [[_place(i, arrays, y)] for i, y in enumerate(outs)]
        refuse_overlaps([("out", k, y) for k, y in zip(labels, outs, strict=True) if y is not None], ("out",))
    ufunc = sum_ufunc(function.__name__, kind.term, "strength", *([kind.gradient] if gradient else []))
    total = sum(
        float(over_elements(ufunc, [x], x.shape, x.dtype, [factor], y)[0]) for x, y in zip(arrays, places, strict=True)
    )
    value = rounded(factor * kind.factor * total, result)
    if not gradient:
        return value
    for y, (grad,) in zip(outs, places, strict=True):
        if y is not None and y is not grad:
            np.copyto(y, grad)
    grads = [grad if y is None else y for y, (grad,) in zip(outs, places, strict=True)]
    return value, (like(params, grads) if several else grads[0][()] if out is None else grads[0])


@knowing_names
@_documented
def l1_penalty(params: Any, strength: float = 0.01, *, dtype: Any = None) -> Any:
    r"""The L1 penalty of parameters, the sum of their magnitudes.

    Parameters
    ----------
    <params>
    strength : float, default 0.01
        What the sum is multiplied by, at least 0.
    <dtype>

    Returns
    -------
    scalar
        The penalty of all parameters together.

    <errors>

    See Also
    --------
    l1_penalty_with_grad : With its gradient.

    Notes
    -----
    .. math:: \lambda \sum_i |x_i|

    Terms are added in float64.

    Error: at most 2 ULP.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> float(fa.l1_penalty([np.array([1.0, -2.0]), np.array([[3.0]])], 0.5))
    3.0
    """
    return _penalty(L1, l1_penalty, params, strength, dtype, None, gradient=False)


@knowing_names
@_documented
def l1_penalty_with_grad(params: Any, strength: float = 0.01, *, dtype: Any = None, out: Any = None) -> Any:
    r"""`l1_penalty` and its gradient, in one pass.

    Parameters
    ----------
    <params>
    strength : float, default 0.01
        What the sum is multiplied by, at least 0.
    <dtype>
    <out>

    Returns
    -------
    penalty : scalar
        The penalty of all parameters together.
    grad : ndarray, or list or dict of ndarray
        Its gradient, like `params`: 0 where a parameter is 0.

    <errors>

    See Also
    --------
    l1_penalty : The penalty alone.

    Notes
    -----
    .. math:: \lambda\,\mathrm{sign}(x_i)

    Error: at most 2 ULP.

    Examples
    --------
    >>> import fastact as fa
    >>> penalty, grad = fa.l1_penalty_with_grad([1.0, -2.0, 0.0], 0.5)
    >>> grad
    array([ 0.5, -0.5,  0. ])
    """
    return _penalty(L1, l1_penalty_with_grad, params, strength, dtype, out, gradient=True)


@knowing_names
@_documented
def l2_penalty(params: Any, strength: float = 0.01, *, dtype: Any = None) -> Any:
    r"""The L2 penalty of parameters, half the sum of their squares.

    Parameters
    ----------
    <params>
    strength : float, default 0.01
        What half the sum is multiplied by, at least 0.
    <dtype>

    Returns
    -------
    scalar
        The penalty of all parameters together.

    <errors>

    See Also
    --------
    l2_penalty_with_grad : With its gradient.

    Notes
    -----
    .. math:: \frac{\lambda}{2} \sum_i x_i^2

    Its gradient is what the `weight_decay` of an optimizer's step adds, which needs no pass of its own. Keras has no factor of one
    half. Terms are added in float64.

    Error: at most 2 ULP.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> float(fa.l2_penalty([np.array([1.0, -2.0]), np.array([[3.0]])], 0.5))
    3.5
    """
    return _penalty(L2, l2_penalty, params, strength, dtype, None, gradient=False)


@knowing_names
@_documented
def l2_penalty_with_grad(params: Any, strength: float = 0.01, *, dtype: Any = None, out: Any = None) -> Any:
    r"""`l2_penalty` and its gradient, in one pass.

    Parameters
    ----------
    <params>
    strength : float, default 0.01
        What half the sum is multiplied by, at least 0.
    <dtype>
    <out>

    Returns
    -------
    penalty : scalar
        The penalty of all parameters together.
    grad : ndarray, or list or dict of ndarray
        Its gradient, like `params`.

    <errors>

    See Also
    --------
    l2_penalty : The penalty alone.

    Notes
    -----
    .. math:: \lambda\,x_i

    Error: at most 2 ULP.

    Examples
    --------
    >>> import fastact as fa
    >>> penalty, grad = fa.l2_penalty_with_grad([1.0, -2.0, 0.0], 0.5)
    >>> grad
    array([ 0.5, -1. ,  0. ])
    """
    return _penalty(L2, l2_penalty_with_grad, params, strength, dtype, out, gradient=True)


def _l1_reference(params: Any, strength: float = 0.01) -> tuple[Any, Any]:
    return strength * np.sum(np.abs(params)), strength * np.sign(params)


def _l2_reference(params: Any, strength: float = 0.01) -> tuple[Any, Any]:
    return strength * np.sum(params**2) / 2, strength * params


def _register(function: Any, reference: Callable[..., Any], written: Sequence[int] = ()) -> None:
    register(
        Function(
            function.__name__,
            make=lambda: function,
            operands=[X],
            reference=reference,
            ulp=2.0,
            double_ulp=2.0,
            home=__name__,
            family="regularizers",
            variants=[Variant({"strength": 0.5})],
            written=written,
        )
    )


_register(l1_penalty, lambda *given, **options: _l1_reference(*given, **options)[0])
_register(l1_penalty_with_grad, _l1_reference, written=(1,))
_register(l2_penalty, lambda *given, **options: _l2_reference(*given, **options)[0])
_register(l2_penalty_with_grad, _l2_reference, written=(1,))
