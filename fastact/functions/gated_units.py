"""Gated linear units: an activation of one operand, the gate, times another, the value; and glu, over the halves of an array.

swiglu, geglu and reglu are records like those in ``activations/``, with two arrays: the public functions are the ufuncs. glu
splits one array, so it is a function over such a ufunc.
"""

import math
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import numpy as np

from fastact.calls.checking import broadcast_to, checked_out, integer, knowing_names, only_axis, sole
from fastact.calls.containers import is_container, masked, whole_owner, within
from fastact.calls.layout import Layout
from fastact.calls.lazy import at_shape, lazily
from fastact.calls.order import empty_like_all, made_like
from fastact.calls.quiet import quietly
from fastact.calls.refusals import translated
from fastact.functions import record
from fastact.functions.common import INF, unless_nan
from fastact.functions.elementwise import Op, register
from fastact.functions.record import Function, Operand, X, times
from fastact.kinds.elementwise import Kernel
from fastact.kinds.rowwise import RowwiseKernel
from fastact.maths.erf import gelu, gelu_derivative
from fastact.maths.scalar import scalar
from fastact.maths.sigmoid import LOWEST, sigmoid, sigmoid_and_derivative, silu_and_derivative, times_sigmoid
from fastact.maths.simd import Scalar, maximum, minimum, select
from fastact.runtime.ufunc import make_ufunc

SHAZEER = "Shazeer (2020), GLU variants improve transformer, arXiv:2002.05202."

NOTES = """\
The activation is rounded before it is multiplied, so a value of infinity times an activation of zero is NaN, as in
``F.{torch}(gate) * value``{but}; and an activation too small for a normal number has fewer digits, which a large value shows."""


def _swiglu(gate: Scalar, value: Scalar) -> Scalar:
    T = type(gate)
    bounded = minimum(maximum(gate, LOWEST(gate)), T(64))
    return select(gate > T(64), gate, times_sigmoid(bounded, bounded, T(0))) * value


def _swiglu_derivative(gate: Scalar, value: Scalar) -> tuple[Scalar, Scalar]:
    silu, slope = silu_and_derivative(gate)
    return slope * value, silu


def _swiglu_reference_derivative(m: Any, x: Any, value: Any) -> tuple[Any, Any]:
    s = 1 / (1 + m.exp(-x))
    return value * s, value * (m.where(abs(x) > 1e6, 0.0, m.finite(x)) / (2 + m.exp(x) + m.exp(-x)))


register(
    Op(
        forward=_swiglu,
        derivative=_swiglu_derivative,
        reference=lambda m, x, value: m.where(x > 1e6, x, m.finite(x) / (1 + m.exp(-x))) * value,
        reference_derivative=_swiglu_reference_derivative,
        summary="Gated linear unit with silu: ``silu(gate) * value``.",
        formula=r"\mathtt{gate}\,\sigma(\mathtt{gate}) \cdot \mathtt{value}",
        derivative_formula=(
            r"\mathtt{value}\,\sigma(\mathtt{gate})\,(1 + \mathtt{gate}\,\sigma(-\mathtt{gate}))",
            r"\mathtt{gate}\,\sigma(\mathtt{gate})",
        ),
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.75},
        paper=SHAZEER,
        notes=NOTES.format(torch="silu", but="; a gate of minus infinity gives zero, where that is NaN"),
        samples=((1.75,), (1.0,), (-1.9921875,), (-0.0078125,)),
        gradients=2,
        arrays=2,
        ulp=3.0,
        cost=0.29,
    )
)


def _geglu(gate: Scalar, value: Scalar) -> Scalar:
    return gelu(gate) * value


def _geglu_derivative(gate: Scalar, value: Scalar) -> tuple[Scalar, Scalar]:
    # The compiler finds the parts that the two have in common.
    return gelu_derivative(gate) * value, gelu(gate)


def _geglu_reference_derivative(m: Any, x: Any, value: Any) -> tuple[Any, Any]:
    density = m.exp(-x * x / 2) / m.sqrt(2 * m.pi)
    slope = m.where(abs(x) > 1e6, 0.0, m.finite(x)) * density
    return value * (m.erfc(-x / m.sqrt(m.number(2))) / 2), value * slope


register(
    Op(
        forward=_geglu,
        derivative=_geglu_derivative,
        reference=lambda m, x, value: m.where(x > 1e6, x, m.finite(x) * m.erfc(-x / m.sqrt(m.number(2))) / 2) * value,
        reference_derivative=_geglu_reference_derivative,
        summary="Gated linear unit with gelu: ``gelu(gate) * value``.",
        formula=r"\mathtt{gate}\,\Phi(\mathtt{gate}) \cdot \mathtt{value}",
        derivative_formula=(
            r"\mathtt{value}\,(\Phi(\mathtt{gate}) + \mathtt{gate}\,\varphi(\mathtt{gate}))",
            r"\mathtt{gate}\,\Phi(\mathtt{gate})",
        ),
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.75},
        paper=SHAZEER,
        notes=NOTES.format(torch="gelu", but="; a gate of minus infinity gives zero, where that is NaN"),
        samples=((1.75,), (1.0,), (-1.9921875,), (-0.0078125,)),
        gradients=2,
        arrays=2,
        ulp=3.5,
        cost=0.7,
    )
)


def _reglu(gate: Scalar, value: Scalar) -> Scalar:
    T = type(gate)
    return maximum(gate, T(0)) * value


def _reglu_derivative(gate: Scalar, value: Scalar) -> tuple[Scalar, Scalar]:
    T = type(gate)
    return unless_nan(gate, select(gate > T(0), T(1), T(0))) * value, maximum(gate, T(0))


register(
    Op(
        forward=_reglu,
        derivative=_reglu_derivative,
        reference=lambda m, x, value: m.where(x > 0, x, 0 * m.finite(x)) * value,
        reference_derivative=lambda m, x, value: (m.where(x > 0, 1.0, 0.0 * m.finite(x)) * value,),
        summary="Gated linear unit with relu: ``relu(gate) * value``.",
        formula=r"\max(\mathtt{gate}, 0) \cdot \mathtt{value}",
        derivative_formula=(r"\mathtt{gate} > 0\ ?\ \mathtt{value} : 0", r"\max(\mathtt{gate}, 0)"),
        limits={-INF: 0.0, INF: INF},
        derivative_limits={-INF: 0.0, INF: 1.75},
        kinks={0.0: 0.0},
        paper=SHAZEER,
        notes=NOTES.format(torch="relu", but=""),
        samples=((1.75,), (1.0,), (-1.9921875,)),
        gradients=2,
        arrays=2,
        ulp=0.5,
        derivative_ulp=0.5,
        cost=0.14,
    )
)


@scalar
def _glu(gate: Scalar, value: Scalar) -> Scalar:
    return sigmoid(gate) * value


@scalar
def _glu_derivative(gate: Scalar, value: Scalar) -> tuple[Scalar, Scalar]:
    s, slope = sigmoid_and_derivative(gate)
    return slope * value, s


GLU = Kernel("glu", _glu, inputs=2, cost=0.29)
GLU_BACKWARD = Kernel("glu_backward", _glu_derivative, inputs=3, outputs=2, cost=0.35, times_gradient=True)


@cache
def _ufuncs(kernel: Kernel) -> tuple[np.ufunc, np.ufunc]:
    """The ufunc of a kernel, and a generalised one over rows: NumPy hands it many short ones in one call, worth threads."""
    rows = RowwiseKernel(kernel)
    return make_ufunc(kernel, kernel.name, "", "fastact"), make_ufunc(rows, kernel.name, "", "fastact")


@knowing_names
def glu(x: Any, axis: int = -1, out: Any = None) -> Any:
    r"""Gated linear unit: the first half of an axis times the sigmoid of the second, the gate.

    Parameters
    ----------
    x : array_like
        float16, float32 or float64; integers and booleans convert as for ``np.exp(x)``.
    axis : int, default -1
        The axis that is halved.
    out : ndarray, optional
        Written to and returned.

    Returns
    -------
    ndarray
        Of the shape of `x` with `axis` half as long, and its dtype; NaN where an operand is NaN. It lies in memory as an
        elementwise expression of the halves does.

    Raises
    ------
    ValueError
        If the length of the axis is odd.
    numpy.exceptions.AxisError
        If there is no such axis.
    TypeError
        For complex, string and object arrays, and if `axis` is no integer.

    Notes
    -----
    .. math:: a\,\sigma(b),\ (a, b) = \mathtt{x}

    Limits: at a gate of minus infinity the sigmoid is 0, at plus infinity 1; it is rounded before it is multiplied, so infinity
    times zero is NaN, as in PyTorch. Error: at most 3 units in the last place, where the sigmoid is a normal number; float16 rounds
    the float32 result once.

    References
    ----------
    Dauphin, Fan, Auli & Grangier (2017), Language modeling with gated convolutional networks, arXiv:1612.08083.

    Examples
    --------
    >>> import fastact as fa
    >>> float(fa.glu([3.0, 0.0])[0])
    1.5
    """
    out = sole(out)
    if (type(x) is not np.ndarray and is_container(x)) or isinstance(out, np.ma.MaskedArray):
        return within(glu, _GLU, {"x": x}, {"axis": integer("axis", axis), "out": out}, _glu_of_masked)
    x = np.asarray(x)
    axis, half = _half(x, axis)
    shape = (*x.shape[:axis], half, *x.shape[axis + 1 :])
    ufunc, over_rows = _ufuncs(GLU)
    value, gate = _halves(x, axis, half)
    if out is not None:
        checked_out(out, shape)
    try:
        if not (_in_rows(x, axis, half) and (out is None or _in_rows(out, axis, half))):
            result = ufunc(gate, value, out)
            return result if out is None else out
        value, gate = _rows(x, axis, 2)
        (result,) = (None,) if out is None else _rows(out, axis, 1)
        result = over_rows(gate, value, result)
    except TypeError as error:
        raise translated(error, {"x": x}) from None
    return result.reshape(shape) if out is None else out


_GLU = Layout({"x": "...n"}, ("...h",))


def _glu_of_masked(x: Any, axis: int, out: Any) -> Any:
    """Masked where either half is."""
    mask = np.ma.getmaskarray(x)
    value, gate = _halves(mask, *_half(mask, axis))
    result = glu(np.ma.getdata(x), axis, None if out is None else np.ma.getdata(out))
    return masked(result, value | gate, out, x)


def _reference_glu(x: Any, axis: int = -1) -> Any:
    value, gate = np.split(x, 2, axis)
    return value / (1 + np.exp(-gate))


_HALVES = Operand(shape=times(2))
_over_halves = partial(Function, home=__name__, family="gated_units", axis="one")
record.register(_over_halves("glu", lambda: glu, [_HALVES], _reference_glu, 3.0, 3.0))


@knowing_names
def glu_backward(grad: Any, x: Any, axis: int = -1, out: Any = None) -> Any:
    r"""Gradient of `glu`: both halves in one pass.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `glu`; broadcasts to its shape, along `axis` too.
    x : array_like
        What `glu` was given.
    axis : int, default -1
        The axis that is halved.
    out : ndarray, optional
        Written to and returned; may be `x` itself.

    Returns
    -------
    ndarray
        Of the shape of `x` and the dtype of both; it lies in memory as an elementwise expression of `grad` and the halves does.

    Raises
    ------
    ValueError
        If the length of the axis is odd.
    numpy.exceptions.AxisError
        If there is no such axis.
    TypeError
        For complex, string and object arrays, and if `axis` is no integer.

    Notes
    -----
    .. math:: (\mathtt{grad}\,\sigma(b),\ \mathtt{grad}\,a\,\sigma(b)(1 - \sigma(b))),\ (a, b) = \mathtt{x}

    Error: at most 4 units in the last place, where the sigmoid is a normal number; float16 rounds the float32 result once.

    References
    ----------
    Dauphin, Fan, Auli & Grangier (2017), Language modeling with gated convolutional networks, arXiv:1612.08083.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.glu_backward([1.0, 1.0], [1.0, 2.0, 0.0, 3.0]).round(4)
    array([0.5   , 0.9526, 0.25  , 0.0904])
    """
    out = sole(out)
    plain = type(grad) is type(x) is np.ndarray and (out is None or type(out) is np.ndarray)
    if not plain and (is_container(x) or is_container(grad) or isinstance(out, np.ma.MaskedArray)):
        operands, options = {"grad": grad, "x": x}, {"axis": only_axis(axis, np.ndim(x)) - np.ndim(x), "out": out}
        layout = _GLU_BACKWARD
        if np.ndim(grad) != np.ndim(x):
            layout = layout._replace(owners=whole_owner(operands))
        return within(glu_backward, layout, operands, options, _glu_backward_of_masked, _glu_backward_lazily)
    weak = grad if isinstance(grad, int | float) else np.asarray(grad)  # of a Python number NumPy takes the value alone
    grad, x = np.asarray(grad), np.asarray(x)
    axis, half = _half(x, axis)
    shape = (*x.shape[:axis], half, *x.shape[axis + 1 :])
    ufunc, over_rows = _ufuncs(GLU_BACKWARD)
    if grad.ndim and grad.shape != shape:
        weak = grad = broadcast_to("grad", grad, shape)
    if out is not None:
        result = checked_out(out, x.shape)
    elif x.flags.c_contiguous:
        result = np.empty(x.shape, np.result_type(weak, x, np.float16))
    else:
        dtype = np.result_type(weak, x, np.float16)
        result = made_like(empty_like_all([grad, _halves(x, axis, half)[0]], dtype), x.shape, dtype)
    try:
        if (
            _in_rows(x, axis, half)
            and _in_rows(result, axis, half)
            and grad.shape == shape
            and _in_rows(grad, axis, half)
        ):
            (grad,), (value, gate), (grad_value, grad_gate) = (
                _rows(grad, axis, 1),
                _rows(x, axis, 2),
                _rows(result, axis, 2),
            )
            over_rows(grad, gate, value, grad_gate, grad_value)
        else:
            (value, gate), (grad_value, grad_gate) = _halves(x, axis, half), _halves(result, axis, half)
            quietly(ufunc, weak, gate, value, grad_gate, grad_value)
    except TypeError as error:
        raise translated(error, {"grad": grad, "x": x}) from None
    return result


_GLU_BACKWARD = Layout({"grad": "...h", "x": "...n"}, ("...n",))


def _glu_backward_of_masked(grad: Any, x: Any, axis: int, out: Any) -> Any:
    """Both parts of an element's gradient are masked where its gradient or either half is."""
    hidden = np.ma.getmaskarray(x)
    position, half = _half(hidden, axis)
    value, gate = _halves(hidden, position, half)
    mask = np.broadcast_to(np.ma.getmaskarray(grad), value.shape) | value | gate
    plain = None if out is None else np.ma.getdata(out)
    result = glu_backward(np.ma.getdata(grad), np.ma.getdata(x), axis, plain)
    return masked(result, np.concatenate([mask, mask], position), out, x if isinstance(x, np.ma.MaskedArray) else grad)


def _glu_backward_lazily(function: Any, layout: Layout, operands: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Call the backward with dask arrays, the gradient at its full shape: blocks of a row have one length."""
    x, axis = operands["x"], options["axis"]
    position, half = _half(x, axis)
    shape = (*x.shape[:position], half, *x.shape[position + 1 :])
    return lazily(function, layout, {"grad": at_shape("grad", operands["grad"], shape), "x": x}, options)


LONG = 1 << 18
"""Rows from so many elements on are worth threads each."""


def _half(x: Any, axis: int) -> tuple[int, int]:
    """The axis counted from the front, and half its length."""
    position = only_axis(axis, x.ndim)
    half, odd = divmod(x.shape[position], 2)
    if odd:
        raise ValueError(f"the length of axis {axis} must be even, to be halved, got {x.shape[position]}")
    return position, half


def _halves(x: Any, axis: int, half: int) -> tuple[Any, Any]:
    before = (slice(None),) * axis
    return x[(*before, slice(None, half))], x[(*before, slice(half, None))]


def _in_rows(x: Any, axis: int, half: int) -> bool:
    """Whether the halves of an array are many short rows, each contiguous."""
    if type(x) is not np.ndarray or not x.flags.c_contiguous or not x.flags.aligned:
        return False
    many, length = math.prod(x.shape[:axis]), half * math.prod(x.shape[axis + 1 :])
    return bool(many > 1 and 0 < length < LONG)


def _rows(x: Any, axis: int, parts: int) -> tuple[Any, ...]:
    """The parts of each row as arrays of two dimensions, views of a contiguous array."""
    split = x.reshape(math.prod(x.shape[:axis]), parts, -1)
    return tuple(split[:, i] for i in range(parts))


def _reference_glu_backward(grad: Any, x: Any, axis: int = -1) -> Any:
    value, gate = np.split(x, 2, axis)
    halves = 1 / (1 + np.exp(-gate)), value / (2 + np.exp(gate) + np.exp(-gate))
    return np.concatenate([grad * half for half in halves], axis)


record.register(_over_halves("glu_backward", lambda: glu_backward, [X, _HALVES], _reference_glu_backward, 4.0, 4.0))
