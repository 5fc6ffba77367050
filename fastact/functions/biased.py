"""A bias and an activation in one pass over memory, and the gradients by both."""

import inspect
from collections.abc import Mapping
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np

from fastact.calls.axes import Axis
from fastact.calls.checking import number, refuse_unknown
from fastact.calls.containers import is_container, masked, refuse_masked, within
from fastact.calls.layout import Layout
from fastact.calls.programs import of_rows
from fastact.calls.row_ufuncs import KERNELS
from fastact.calls.widening import taking_bfloat16
from fastact.functions.cross_entropy_requests import as_floats
from fastact.functions.docs import documented
from fastact.functions.elementwise import OPS, Op, reference_gradient, reference_value
from fastact.functions.norm_gradients import over_rows
from fastact.functions.norm_requests import lazily_whole, plain
from fastact.functions.norms import beside
from fastact.functions.record import ALONG_AXIS, Function, Variant, X, register
from fastact.functions.shared_gradients import SharedGradients
from fastact.kernels.templates import FILLED_IN, clone
from fastact.kinds.rows import RowKernel
from fastact.maths.scalar import scalar
from fastact.runtime.ufunc import make_ufunc


@taking_bfloat16
@documented
def bias_activation(
    x: Any, bias: Any, activation: Any = "gelu", *, axis: Axis = -1, out: Any = None, **parameters: float
) -> Any:
    r"""An activation of ``x + bias``, in one pass over memory: what follows the matrix product of a layer.

    Parameters
    ----------
    <x>
    bias : array_like
        What is added to each element of a row: of the shape of `x` along `axis`.
    activation : str or function, default "gelu"
        An activation of fastact's, or its name; any but `prelu`, whose slope is learnt too.
    axis : int, tuple of int or None, default -1
        The axes of a row: one, several together in the order in which `x` has them, or all. The channels of images that are
        along axis 1 have ``axis=1``.
    out : ndarray, optional
        Written to and returned; may be `x` itself.
    **parameters : float
        Those of the activation, such as ``negative_slope``.

    <rows like x>

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is not an axis of `x`.
    ValueError
        If an argument has a shape or value that is not allowed. Nothing has been written then.
    TypeError
        If an argument has a type or dtype that is not allowed.

    See Also
    --------
    bias_activation_backward : The gradients.

    Notes
    -----
    .. math:: f(x_i + b_i)

    The sum is rounded to the precision that is computed in, float32 for float16, and so the result is that of
    ``activation(x + bias)``, but for float16, which is rounded once. Error: that of the activation for that sum, for
    most at most 2 ULP. `warmup` compiles it for "gelu" and "elu"; for others the first call does.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.bias_activation([[1.0, -1.0], [2.0, 0.5]], [0.5, -0.5], "relu")
    array([[1.5, 0. ],
           [2.5, 0. ]])
    >>> fa.bias_activation([[-1.0, 1.0]], [0.0, 1.0], fa.leaky_relu, negative_slope=0.5)
    array([[-0.5,  2. ]])
    """
    op = _op_of(activation)
    values = _values(bias_activation, op, parameters)
    operands = plain({"x": x}, {"bias": bias}, axis, 0.0)
    if operands is not None and out is None:  # of a few rows the questions below would take as long as the kernel
        return _forward_ufunc(op)(*operands, *_numbers(values))
    if is_container(x) or is_container(bias) or is_container(out):
        layout = Layout({"x": "...n", "bias": "n"}, ("...n",))
        call: Any = partial(bias_activation, **{"activation": activation, **parameters})
        left = partial(_of_masked, call)
        return within(call, layout, {"x": x, "bias": bias}, {"axis": axis, "out": out}, left)
    given = {"x": as_floats("x", x)}, {"bias": as_floats("bias", bias)}
    return of_rows(_forward_ufunc(op), *given, values, axis, out)


@taking_bfloat16
@documented
def bias_activation_backward(
    grad: Any,
    x: Any,
    bias: Any,
    activation: Any = "gelu",
    *,
    axis: Axis = -1,
    out: Any = None,
    **parameters: float,
) -> tuple[Any, Any]:
    r"""Gradients of `bias_activation` with respect to its input and the bias.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `bias_activation`.
    x : array_like
        Its input; both broadcast.
    bias : array_like
        As it was given to the forward function.
    activation : str or function, default "gelu"
        Likewise.
    axis : int, tuple of int or None, default -1
        Likewise.
    out : ndarray, optional
        For the gradient by the input; may be `grad` or `x` itself.
    **parameters : float
        Those of the activation.

    Returns
    -------
    grad_x : ndarray
        Of the broadcast shape of `grad` and `x` and of their dtype.
    grad_bias : ndarray
        Of the shape of `bias`.

    <norm errors>

    Notes
    -----
    .. math:: g_{ij} f'(x_{ij} + b_j), \quad \sum_i g_{ij} f'(x_{ij} + b_j)

    The sums over all rows are added up while the gradient by the input is written: those of 16 rows at a time in the precision
    that is computed in, then in float64, and the bits depend on the shape alone, not on the number of threads. At a kink the
    derivative is that of the activation. Error: that of the activation's gradient; of the bias's at most 8 ULP of the sum of the
    terms' magnitudes (8 in float64).

    Examples
    --------
    >>> import fastact as fa
    >>> fa.bias_activation_backward([[1.0, 1.0], [3.0, 1.0]], [[1.0, -1.0], [2.0, 2.0]], [0.5, -0.5], "relu")
    (array([[1., 0.],
           [3., 1.]]), array([4., 1.]))
    """
    op = _op_of(activation)
    values = _values(bias_activation_backward, op, parameters)
    rows = {"grad": grad, "x": x}
    if any(map(is_container, (grad, x, bias, out))):
        refuse_masked(bias_activation_backward, {**rows, "bias": bias, "out": out}, "adds up every element")
        call: Any = partial(bias_activation_backward, **{"activation": activation, **parameters})
        layout = Layout({"grad": "...n", "x": "...n", "bias": "n"}, ("...n", "n"))
        found: tuple[Any, Any] = within(
            call, layout, {**rows, "bias": bias}, {"axis": axis, "out": out}, lazy=lazily_whole
        )
        return found
    rows = {name: as_floats(name, one) for name, one in rows.items()}
    return _gradients_of(op).of(rows, {"bias": as_floats("bias", bias)}, values, axis, out)


def _op_of(activation: Any) -> Op:
    """The record of an activation, given by name or as the function."""
    name = activation if isinstance(activation, str) else getattr(activation, "__name__", None)
    op = OPS.get(name) if isinstance(name, str) else None
    if op is None or not op.is_activation or op.gradients > 1:
        allowed = ", ".join(name for name, one in OPS.items() if one.is_activation and one.gradients == 1)
        raise ValueError(f"activation must be one of {allowed}, by name or as the function, got {activation!r}")
    return op


def _values(function: Any, op: Op, parameters: Mapping[str, Any]) -> tuple[float, ...]:
    """The values of an activation's parameters, in order."""
    if parameters.keys() - op.parameters.keys():
        named = list(inspect.signature(function).parameters)[:-1]
        refuse_unknown(function.__name__, parameters, [*named, *op.parameters])
    missing = op.parameters.keys() - op.defaults.keys() - parameters.keys()
    if missing:
        raise TypeError(f"{op.name} needs {', '.join(sorted(missing))}")
    given = {**op.defaults, **parameters}
    values = tuple(number(name, given[name]) for name in op.parameters)
    if op.check is not None:
        op.check(*values)
    return values


@lru_cache(256)
def _numbers(values: tuple[float, ...]) -> tuple[Any, ...]:
    """The values of parameters as a kernel takes them."""
    return (np.array(values),) if values else ()


def _of_masked(call: Any, x: Any, bias: Any, axis: Axis, out: Any) -> Any:
    """The result under the masks of both operands."""
    result = call(np.ma.getdata(x), np.ma.getdata(bias), axis=axis, out=None if out is None else np.ma.getdata(out))
    hidden = np.ma.getmaskarray(x) | beside(result, np.ma.getmaskarray(bias), axis)
    return masked(result, hidden, out, x if isinstance(x, np.ma.MaskedArray) else None)


# Formulas, in which an activation and its parameters are filled in.

activation_of = slope_of = FILLED_IN


def _value(x: Any, bias: Any) -> Any:
    return activation_of(x + bias)


def _value_p(x: Any, bias: Any, p: Any) -> Any:
    T = type(x)
    return activation_of(x + bias, T(p))


def _value_p_q(x: Any, bias: Any, p: Any, q: Any) -> Any:
    T = type(x)
    return activation_of(x + bias, T(p), T(q))


def _gradient(grad: Any, x: Any, bias: Any) -> Any:
    return grad * slope_of(x + bias)


def _gradient_p(grad: Any, x: Any, bias: Any, p: Any) -> Any:
    T = type(x)
    return grad * slope_of(x + bias, T(p))


def _gradient_p_q(grad: Any, x: Any, bias: Any, p: Any, q: Any) -> Any:
    T = type(x)
    return grad * slope_of(x + bias, T(p), T(q))


_VALUES, _GRADIENTS = (_value, _value_p, _value_p_q), (_gradient, _gradient_p, _gradient_p_q)
"""By the number of parameters."""


def formula_of(op: Op, *, backward: bool) -> Any:
    """The scalar function of a row's elements and an activation's parameters, which it takes by name."""
    template = (_GRADIENTS if backward else _VALUES)[len(op.parameters)]
    operands = ("grad", "x", "bias") if backward else ("x", "bias")
    scope = {"activation_of": op.forward, "slope_of": op.derivative}
    return scalar(clone(template, scope, (*operands, *op.parameters)))


@cache
def _forward_ufunc(op: Op) -> Any:
    kernel = RowKernel(
        f"bias_activation.{op.name}",
        (),
        formula_of(op, backward=False),
        operands="x bias",
        option_names=" ".join(op.parameters),
        cost=op.cost + 0.1,
    )
    ufunc = make_ufunc(kernel, kernel.name, "Rows of an activation of a sum.", __name__)
    KERNELS[ufunc] = kernel
    return ufunc


@cache
def _gradients_of(op: Op) -> SharedGradients:
    formula, names = formula_of(op, backward=True), " ".join(op.parameters)
    return SharedGradients(
        f"bias_activation_backward.{op.name}", formula, formula, "grad x bias", names, cost=op.cost + 0.2
    )


def _reference(x: Any, bias: Any, activation: str = "gelu", axis: Any = -1, **parameters: float) -> Any:
    return reference_value(OPS[activation], x + beside(x, bias, axis), **parameters)


def _reference_backward(
    grad: Any, x: Any, bias: Any, activation: str = "gelu", axis: Any = -1, **parameters: float
) -> tuple[Any, Any]:
    by_sum = reference_gradient(OPS[activation], grad, x + beside(x, bias, axis), **parameters)
    return by_sum, over_rows(by_sum, axis)


_VARIANTS = [Variant(), Variant({"activation": "elu"}, alike=True)]
_biased = partial(Function, home=__name__, family="biased", axis="one", variants=_VARIANTS)
register(_biased("bias_activation", lambda: bias_activation, [X, ALONG_AXIS], _reference, 2.0, 2.0))
register(
    _biased(
        "bias_activation_backward",
        lambda: bias_activation_backward,
        [X, X, ALONG_AXIS],
        _reference_backward,
        8.0,
        8.0,
        whole=True,
        masked=False,
    )
)
