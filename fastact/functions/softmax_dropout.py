"""Softmax with a dropout behind it in one pass over the scores, the inside of attention in training, and its gradient."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from fastact.calls.checking import finite, only_axis, representable, sole, switch
from fastact.calls.containers import is_container, refuse_masked, within
from fastact.calls.drawn import as_int32, index_steps, row_starts, threshold_of
from fastact.calls.layout import Layout
from fastact.calls.lazy import in_one_task
from fastact.calls.masked_rows import axis_of_keys, booleans, counts_of, loop_signature, scale_options
from fastact.calls.programs import at_one_shape_of, checked_outs, result_dtype, result_place
from fastact.calls.quiet import quietly
from fastact.calls.refusals import check_operands
from fastact.calls.widening import taking_bfloat16
from fastact.functions.docs import documented
from fastact.functions.dropout import KEYS, Key, drawn_key, given_key, kept_scale, probability, reference_keep
from fastact.functions.masked_softmax import KERNELS
from fastact.functions.record import MASK, SHARES, Function, Variant, X, register
from fastact.functions.softmax import reference_softmax
from fastact.functions.softmax_backward import reference_softmax_backward
from fastact.kernels.dtypes import FLOATS
from fastact.kinds.masked import MaskedKernel
from fastact.kinds.masked_gradient import MaskedGradientKernel
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, select
from fastact.runtime.ufunc import make_ufunc


@taking_bfloat16
@documented
def softmax_dropout(
    x: Any,
    p: float,
    rng: Any,
    *,
    axis: int = -1,
    training: bool = True,
    where: Any = True,
    scale: float = 1.0,
    causal: bool = False,
    out: Any = None,
) -> tuple[Any, Any, int | None]:
    r"""`softmax`, and `dropout` of it, in one pass over memory: what attention does with its scores in training.

    Parameters
    ----------
    x : array_like
        Scores; float16, float32 or float64; integers and booleans convert as for ``np.exp(x)``.
    p : float
        The probability of being dropped, from 0 to 1, which takes steps of 2**-32.
    rng : numpy.random.Generator, int or None
        A generator, of which one number is asked, or a seed of one; ``None`` stands for a fresh one.
    axis : int, default -1
        What sums to 1 before elements are dropped.
    training : bool, default True
        Without training nothing is dropped and nothing drawn: `y` is like `output`, and `key` is ``None``.
    <where to causal>
    out : tuple of ndarray or None, optional
        For `y` and `output`; may be `x` itself.

    Returns
    -------
    y : ndarray
        What goes on, of the shape of `x` and its dtype.
    output : ndarray
        Likewise: what `softmax` gives, which the gradient is computed from.
    key : int or None
        What the backward needs to find the same elements: from 0 to 2**63 - 1.

    <dropout errors>

    See Also
    --------
    softmax_dropout_backward : The gradient.

    Notes
    -----
    .. math:: y_i = \frac{m_i}{1 - p} \frac{e^{x_i}}{\sum_j e^{x_j}}, \quad m_i \sim \mathrm{Bernoulli}(1 - p)

    ``fa.dropout(fa.softmax(x), p, rng)`` drops the same elements. Error: at most 8 ULP of both results (10 in float64).

    Examples
    --------
    >>> import fastact as fa
    >>> y, output, key = fa.softmax_dropout([[0.0, 0.0, 0.0, 0.0]], 0.5, 4)
    >>> y, output
    (array([[0. , 0. , 0.5, 0. ]]), array([[0.25, 0.25, 0.25, 0.25]]))
    >>> fa.softmax_dropout_backward([[1.0, 1.0, 1.0, 2.0]], output, 0.5, key)
    array([[-0.125, -0.125,  0.375, -0.125]])
    """
    p, key = probability(p), drawn_key(rng, training)
    given = {"axis": axis, "scale": scale, "causal": causal, "out": out}
    y, output = _forward(x, where, p=p, key=key, **given)
    return y, output, key.asked()


def _forward(x: Any, where: Any, *, axis: Any, scale: Any, causal: Any, out: Any, p: float, key: Key) -> Any:
    """Both results."""
    outs = out if isinstance(out, tuple) else (out,)
    if any(map(is_container, (x, where, *outs))):
        refuse_masked(softmax_dropout, {"x": x, "where": where, "out": out}, "counts what its where says")
        layout = Layout({"x": "...n", "where": "...n"}, ("...n", "...n"), ("x", "x"))
        options = {"axis": axis, "scale": scale, "causal": causal, "out": out}
        call = partial(_forward, p=p, key=key)
        return within(call, layout, {"x": x, "where": where}, options, lazy=_in_a_task)
    arrays = [np.asarray(x)]
    rows = _rows_of(_FORWARD, arrays, where, axis, scale, causal)
    results = tuple(result_place(one, arrays, rows.dtype) for one in checked_outs(out, arrays[0].shape, 2))
    rows.compute(arrays, results, p, key)
    return results


@taking_bfloat16
@documented
def softmax_dropout_backward(
    grad: Any,
    output: Any,
    p: float,
    key: int | None,
    *,
    axis: int = -1,
    where: Any = True,
    scale: float = 1.0,
    causal: bool = False,
    out: Any = None,
) -> Any:
    r"""Gradient of `softmax_dropout` with respect to its input.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to `y`.
    output : array_like
        What softmax gave; both broadcast to one shape, which is that of the forward pass.
    p : float
        As it was given to the forward function.
    key : int or None
        What the forward function returned.
    axis : int, default -1
        As it was given to the forward function.
    <where to causal of a gradient>
    out : ndarray, optional
        Written to and returned; may be `grad` or `output` itself.

    <rows like both>

    <dropout errors>

    Notes
    -----
    .. math:: \mathtt{scale} \cdot s_i \left(g_i \frac{m_i}{1 - p} - \sum_j g_j \frac{m_j}{1 - p} s_j\right)

    with the :math:`m_i` of the forward pass, which are computed once more: there is no mask to keep. Error: at most 4 ULP of
    ``scale * output * (abs(grad) + sum(abs(grad * output))) / (1 - p)`` (6 in float64).

    Examples
    --------
    >>> import fastact as fa
    >>> y, output, key = fa.softmax_dropout([0.0, 0.0], 0.0, 0)
    >>> fa.softmax_dropout_backward([1.0, 0.0], output, 0.0, key)
    array([ 0.25, -0.25])
    """
    options = {"axis": axis, "scale": scale, "causal": causal, "out": out}
    return _backward(grad, output, where, p=probability(p), key=given_key(key), **options)


def _backward(
    grad: Any, output: Any, where: Any, *, axis: Any, scale: Any, causal: Any, out: Any, p: float, key: Key
) -> Any:
    """The gradient."""
    out = sole(out)
    operands = {"grad": grad, "output": output}
    if any(map(is_container, (grad, output, where, out))):
        refuse_masked(softmax_dropout_backward, {**operands, "where": where, "out": out}, "takes masks as where")
        layout = Layout(dict.fromkeys(("grad", "output", "where"), "...n"), ("...n",))
        options = {"axis": axis, "scale": scale, "causal": causal, "out": out}
        call = partial(_backward, p=p, key=Key(key.asked()))
        return within(call, layout, {**operands, "where": where}, options, lazy=_in_a_task)
    arrays = at_one_shape_of(operands)
    rows = _rows_of(_BACKWARD, arrays, where, axis, scale, causal)
    results = [result_place(one, arrays, rows.dtype) for one in checked_outs(out, arrays[0].shape, 1)]
    rows.compute(arrays, results, p, key)
    return results[0]


class _Rows(NamedTuple):
    """What a call asks for, checked."""

    kernel: MaskedKernel | MaskedGradientKernel
    dtype: Any
    """Of the rows."""
    axis: int
    flags: Any
    """Which elements take part, at the shape of the rows."""
    scale: float
    causal: bool

    def compute(self, arrays: Sequence[Any], results: Sequence[Any], p: float, key: Key) -> None:
        """Call the kernel's ufunc; a number is drawn for the key now, when all has been checked."""
        shape, found = arrays[0].shape, key.asked()
        number, dropped = (0, 0.0) if found is None else (found, p)
        steps = index_steps(shape, range(len(shape)))
        others = [k for k in range(len(shape)) if k != self.axis]
        first = row_starts([shape[k] for k in others], [steps[k] for k in others])
        integers = as_int32(number), as_int32(number >> 32), as_int32(steps[self.axis]), threshold_of(dropped)
        numbers = np.append(scale_options(self.scale, self.dtype), kept_scale(dropped))
        counts = counts_of(shape, self.axis, self.causal)
        rows = [np.moveaxis(one, self.axis, -1) for one in (*arrays, self.flags)]
        places = tuple(np.moveaxis(one, self.axis, -1) for one in results)
        signature = loop_signature(self.kernel, self.dtype)
        given = *rows, counts, numbers, first, np.array(integers)
        quietly(_ufunc(self.kernel), *given, out=places, signature=signature, casting="same_kind")


def _rows_of(kernel: Any, arrays: Sequence[Any], where: Any, axis: Any, scale: Any, causal: Any) -> _Rows:
    """The arguments, checked."""
    shape = arrays[0].shape
    axis = only_axis(axis, len(shape))
    causal, scale = switch("causal", causal), finite("scale", scale)
    flags = booleans("where", where, shape)
    if causal:
        axis = axis_of_keys(axis, len(shape))
    integers = np.empty(0, np.int64)
    names = ("x",) if len(arrays) == 1 else ("grad", "output")
    check_operands(dict(zip(names, arrays, strict=True)))
    dtype = result_dtype(_ufunc(kernel), (*arrays, flags, integers, np.empty(0), integers, integers))
    representable("scale", scale, FLOATS[dtype.name].computed)
    return _Rows(kernel, dtype, axis, flags, scale, causal)


def _in_a_task(function: Any, _: Layout, operands: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The results of dask arrays, computed by one task: an index counts in the whole."""
    rows = {name: x for name, x in operands.items() if name != "where"}
    shape = np.broadcast_shapes(*map(np.shape, rows.values()))
    owner = next(name for name, x in rows.items() if np.shape(x) == shape)
    few = dict.fromkeys(operands, (0,) * len(shape))
    return in_one_task(function, operands, options, few, like={0: owner, 1: owner})


@scalar
def _kept(grad: Scalar, keep: Scalar, kept: Scalar) -> Scalar:
    T = type(grad)
    return grad * select(keep != 0, T(kept), T(0))


@scalar
def _kept_product(grad: Scalar, output: Scalar, keep: Scalar, kept: Scalar) -> Scalar:
    return _kept(grad, keep, kept) * output


@scalar
def _kept_element(grad: Scalar, output: Scalar, product: Scalar, keep: Scalar, kept: Scalar) -> Scalar:
    return output * (_kept(grad, keep, kept) - type(grad)(product))


_FORWARD = replace(KERNELS["softmax"], name="softmax_dropout", drawn=True, cost=0.9)
_BACKWARD = MaskedGradientKernel(
    "softmax_dropout_backward",
    _kept_product,
    "product",
    _kept_element,
    flag_names="keep",
    option_names="kept",
    drawn=True,
    cost=0.6,
)


@cache
def _ufunc(kernel: MaskedKernel | MaskedGradientKernel) -> Any:
    return make_ufunc(kernel, kernel.name, "Rows of some of their elements, and a dropout.", __name__)


def _reference(x: Any, p: float, rng: Any, axis: int = -1, where: Any = True, scale: float = 1.0) -> Any:
    key = int(np.random.default_rng(rng).integers(KEYS))
    output = reference_softmax(x, axis, where, scale)
    return output * reference_keep(x.shape, p, key, None) / (1 - p), output, key


def _reference_backward(
    grad: Any, output: Any, p: float, key: int, axis: int = -1, where: Any = True, scale: float = 1.0
) -> Any:
    keep = reference_keep(grad.shape, p, key, None)
    return reference_softmax_backward(grad, output, axis, where, scale, keep, p)


_function = partial(Function, home=__name__, family="dropout", axis="one", masked=False, whole=True)
_DRAWN, _GIVEN = {"p": 0.3, "rng": 0}, {"p": 0.3, "key": 123456789012345}
_MASKED = {"where": MASK, "scale": -0.7}
register(
    _function(
        "softmax_dropout",
        lambda: softmax_dropout,
        [X],
        _reference,
        8.0,
        10.0,
        variants=[Variant(_DRAWN), Variant(_DRAWN | _MASKED, alike=True)],
        written=(0, 1),
        state=True,
    )
)
register(
    _function(
        "softmax_dropout_backward",
        lambda: softmax_dropout_backward,
        [X, SHARES],
        _reference_backward,
        4.0,
        6.0,
        variants=[Variant(_GIVEN), Variant(_GIVEN | _MASKED, alike=True)],
    )
)
