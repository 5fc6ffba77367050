"""Dropout: elements, or slices such as channels, that are left out at random in training; and its gradients."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from fastact.calls.axes import Axis, checked_axis
from fastact.calls.checking import checked_out, integer, number, sole, switch
from fastact.calls.containers import is_container, masked, within
from fastact.calls.drawn import PERIOD, index_steps, over_drawn, result_dtype, threshold_of
from fastact.calls.layout import Layout
from fastact.calls.lazy import refuse_out, refuse_unknown_lengths
from fastact.calls.widening import taking_bfloat16
from fastact.functions.docs import documented
from fastact.functions.exponential import SELU_ALPHA, SELU_SCALE
from fastact.functions.record import PUBLIC_MODULE, Function, Variant, X, register
from fastact.kinds.drawn import DrawnKernel
from fastact.maths.hashing import FIRST_FACTOR, SECOND_FACTOR, SHIFTS
from fastact.maths.simd import Scalar, fma, select
from fastact.runtime.ufunc import attribute_name, make_ufunc

KEYS = 2**63
"""Keys are below this, so that they are integers of any array and file."""


def _kept(x: Scalar, draw: Scalar, threshold: Scalar, scale: Scalar) -> Scalar:
    T = type(x)
    return x * select(draw >= threshold, T(scale), T(0))


def _kept_or_saturated(
    x: Scalar, draw: Scalar, threshold: Scalar, scale: Scalar, kept: Scalar, dropped: Scalar
) -> Scalar:
    T = type(x)
    keep = draw >= threshold
    return fma(x, select(keep, T(scale), T(0)), select(keep, T(kept), T(dropped)))


@taking_bfloat16
@documented
def dropout(
    x: Any, p: float, rng: Any, *, training: bool = True, axis: Axis = None, out: Any = None
) -> tuple[Any, int | None]:
    r"""Zero elements at random in training, and scale the others so that the mean stays.

    Parameters
    ----------
    <x>
    p : float
        The probability of being dropped, from 0 to 1, which takes steps of 2**-32.
    <rng to out>

    Returns
    -------
    y : ndarray
        Of the shape of `x` and its dtype; it lies in memory as ``np.exp(x)`` does.
    <key>

    <dropout errors>

    See Also
    --------
    dropout_backward : The gradient.
    alpha_dropout : For networks of `selu`.

    Notes
    -----
    .. math:: y_i = \frac{x_i m_i}{1 - p}, \quad m_i \sim \mathrm{Bernoulli}(1 - p)

    <draws>

    NaN stays NaN, dropped or not, and a dropped infinity becomes NaN, as in PyTorch. Error: at most 2 ULP (2 in float64).

    References
    ----------
    N. Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, JMLR 15, 2014.
    J. Tompson et al., Efficient Object Localization Using Convolutional Networks, arXiv:1411.4280 (channels).

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> y, key = fa.dropout(np.ones(8), 0.5, np.random.default_rng(3))
    >>> y
    array([2., 0., 2., 2., 0., 0., 2., 0.])
    >>> fa.dropout_backward(np.ones(8), 0.5, key)
    array([2., 0., 2., 2., 0., 0., 2., 0.])

    Whole channels of images:

    >>> y, key = fa.dropout(np.ones((2, 3, 4, 4)), 0.5, np.random.default_rng(3), axis=(0, 1))
    >>> y.mean((2, 3))
    array([[2., 0., 2.],
           [2., 0., 0.]])
    """
    return _in_training(_dropped, x, p, rng, training, axis, out)


@taking_bfloat16
@documented
def dropout_backward(grad: Any, p: float, key: int | None, *, axis: Axis = None, out: Any = None) -> Any:
    r"""Gradient of `dropout` with respect to its input.

    Parameters
    ----------
    <grad to out of dropout>

    Returns
    -------
    ndarray
        Of the shape of `grad` and its dtype; it lies in memory as ``np.exp(grad)`` does.

    <dropout errors>

    Notes
    -----
    .. math:: \frac{g_i m_i}{1 - p}

    with the :math:`m_i` of the forward pass, which are computed once more. Error: at most 2 ULP (2 in float64).

    Examples
    --------
    >>> import fastact as fa
    >>> y, key = fa.dropout([1.0, 2.0, 3.0, 4.0], 0.5, 0)
    >>> fa.dropout_backward([1.0, 1.0, 1.0, 1.0], 0.5, key) * [1.0, 2.0, 3.0, 4.0] == y
    array([ True,  True,  True,  True])
    """
    return _applied(_dropped, "grad", grad, probability(p), given_key(key), axis, out)


@taking_bfloat16
@documented
def alpha_dropout(
    x: Any, p: float, rng: Any, *, training: bool = True, axis: Axis = None, out: Any = None
) -> tuple[Any, int | None]:
    r"""Set elements at random to what `selu` saturates at, and keep a mean of 0 and a variance of 1.

    Parameters
    ----------
    <x>
    p : float
        The probability of being dropped, from 0 to 1, which takes steps of 2**-32.
    <rng to out>

    Returns
    -------
    y : ndarray
        Of the shape of `x` and its dtype; it lies in memory as ``np.exp(x)`` does.
    <key>

    <dropout errors>

    See Also
    --------
    alpha_dropout_backward : The gradient.

    Notes
    -----
    .. math:: y_i = a \left(m_i x_i - (1 - m_i) \alpha' + \alpha' p\right), \quad
              a = \left((1 - p) (1 + p \alpha'^2)\right)^{-1/2}, \quad m_i \sim \mathrm{Bernoulli}(1 - p)

    with :math:`\alpha' = \lambda \alpha \approx 1.7581`, below zero what `selu` saturates at. With ``p=1`` all results are 0, as in
    PyTorch.

    <draws>

    NaN stays NaN, dropped or not. Error: at most 2 ULP of the larger term (2 in float64).

    References
    ----------
    G. Klambauer et al., Self-Normalizing Neural Networks, arXiv:1706.02515.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> x = np.random.default_rng(0).normal(size=100_000)
    >>> y, key = fa.alpha_dropout(x, 0.2, np.random.default_rng(1))
    >>> round(float(y.std()), 2)
    1.0
    """
    return _in_training(_saturated, x, p, rng, training, axis, out)


@taking_bfloat16
@documented
def alpha_dropout_backward(grad: Any, p: float, key: int | None, *, axis: Axis = None, out: Any = None) -> Any:
    r"""Gradient of `alpha_dropout` with respect to its input.

    Parameters
    ----------
    <grad to out of dropout>

    Returns
    -------
    ndarray
        Of the shape of `grad` and its dtype; it lies in memory as ``np.exp(grad)`` does.

    <dropout errors>

    Notes
    -----
    .. math:: a\, g_i m_i

    with the :math:`a` and :math:`m_i` of the forward pass. Error: at most 2 ULP (2 in float64).

    Examples
    --------
    >>> import fastact as fa
    >>> y, key = fa.alpha_dropout([1.0, 2.0], 0.0, 0)
    >>> fa.alpha_dropout_backward([1.0, -1.0], 0.0, key)
    array([ 1., -1.])
    """
    return _applied(_unsaturated, "grad", grad, probability(p), given_key(key), axis, out)


Kind = Callable[[float], tuple[Any, tuple[float, ...]]]
"""The ufunc for a probability, and the values of its options."""

SATURATED = SELU_SCALE * SELU_ALPHA
"""The value of `selu` at minus infinity, but for its sign."""


def _dropped(p: float) -> tuple[Any, tuple[float, ...]]:
    return _dropout, (kept_scale(p),)


def kept_scale(p: float) -> float:
    """What is kept is multiplied by."""
    return 1 / (1 - p) if p < 1 else 0.0


def _saturated(p: float) -> tuple[Any, tuple[float, ...]]:
    scale = 1 / math.sqrt((1 - p) * (1 + p * SATURATED**2)) if p < 1 else 0.0
    return _alpha_dropout, (scale, scale * SATURATED * p, -scale * SATURATED * (1 - p))


def _unsaturated(p: float) -> tuple[Any, tuple[float, ...]]:
    return _dropout, _saturated(p)[1][:1]


def _ufunc(kernel: DrawnKernel, function: Any) -> Any:
    """The ufunc of a kernel, which is behind a public function."""
    function.ufunc = make_ufunc(kernel, attribute_name(kernel.name), function.__doc__, PUBLIC_MODULE)
    return function.ufunc


_dropout = _ufunc(DrawnKernel("dropout", _kept, "scale"), dropout)
_alpha_dropout = _ufunc(DrawnKernel("alpha_dropout", _kept_or_saturated, "scale kept dropped"), alpha_dropout)


def probability(p: Any) -> float:
    found = number("p", p, "a number from 0 to 1")
    if not 0 <= found <= 1:
        raise ValueError(f"p must be a number from 0 to 1, got {p!r}")
    return found


class Key:
    """The key of a call, which is given, or drawn when everything has been checked: when it is first asked for."""

    def __init__(self, key: int | None = None, generator: Any = None) -> None:
        self.key, self.generator = key, generator

    def asked(self) -> int | None:
        """The key, or ``None`` where nothing is dropped."""
        if self.generator is not None:
            self.key, self.generator = int(self.generator.integers(KEYS)), None
        return self.key


def given_key(key: Any) -> Key:
    """A key that the forward function has returned."""
    if key is None:
        return Key()
    found = integer("key", key, "an integer, or None where nothing was dropped")
    if not 0 <= found < KEYS:
        raise ValueError(f"key must be what the forward function returned, from 0 to 2**63 - 1, got {key!r}")
    return Key(found)


def drawn_key(rng: Any, training: Any) -> Key:
    """The key that a generator will give, or none where nothing is trained."""
    key = Key()
    if switch("training", training):
        try:
            key.generator = np.random.default_rng(rng)
        except (TypeError, ValueError) as error:
            raise type(error)(f"rng must be a numpy.random.Generator, a seed or None, got {rng!r}") from None
    return key


def _in_training(kind: Kind, x: Any, p: Any, rng: Any, training: Any, axis: Any, out: Any) -> tuple[Any, int | None]:
    """The result and its key."""
    p, key = probability(p), drawn_key(rng, training)
    return _applied(kind, "x", x, p, key, axis, out), key.asked()


def _applied(kind: Kind, name: str, x: Any, p: float, key: Key, axis: Any, out: Any) -> Any:
    """What a kernel makes of an array or a container."""
    out = sole(out)
    if is_container(x) or is_container(out):
        given: dict[str, Any] = {"kind": kind, "name": name, "p": p, "key": key}
        plain, lazy = partial(_of_array, **given), partial(_of_lazy, **given)
        layout = Layout({"x": "..."}, ("...",))
        return within(plain, layout, {"x": x}, {"axis": axis, "out": out}, partial(_of_masked, plain), lazy)
    return _of_array(x, axis, out, kind, name, p, key)


def _of_array(
    x: Any,
    axis: Any,
    out: Any,
    kind: Kind,
    name: str,
    p: float,
    key: Key,
    origin: tuple[int, ...] | None = None,
    whole: tuple[int, ...] | None = None,
) -> Any:
    """The result of an array, or of a part of one that begins at ``origin``."""
    x = np.asarray(x)
    if x.dtype.kind not in "biuf" or x.dtype.char == "g":
        raise TypeError(f"{name} must be float16, float32, float64, of integers or booleans, got {x.dtype}")
    axes = _axes(axis, x.ndim)
    if out is not None:
        checked_out(out, x.shape)
        if out.dtype.kind != "f":
            raise TypeError(f"out must be of floats, got {out.dtype}")
        if np.may_share_memory(x, out) and not _is_same_place(x, out):
            x = x.copy()
    found = key.asked()
    dropped = 0.0 if found is None else p
    ufunc, options = kind(dropped)
    result = over_drawn(ufunc, x, axes, found or 0, threshold_of(dropped), options, out, origin, whole)
    return result if out is not None or result.ndim else result[()]


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axis = checked_axis(axis)
    return normalize_axis_tuple(axis, ndim, "axis")


def _is_same_place(x: Any, y: Any) -> bool:
    """Whether each element of one lies where that of the other lies."""
    places = [(a.__array_interface__["data"][0], a.strides, a.dtype) for a in (x, y)]
    return bool(places[0] == places[1])


def _of_masked(plain: Any, x: Any, axis: Any, out: Any) -> Any:
    """The result under the mask of an operand."""
    result = plain(np.ma.getdata(x), axis, None if out is None else np.ma.getdata(out))
    return masked(result, np.ma.getmaskarray(x), out, x)


def _of_lazy(
    function: Any, layout: Layout, operands: Any, options: Any, kind: Kind, name: str, p: float, key: Key
) -> Any:
    """The result of a dask array: each block's elements have the indices that they have in the whole."""
    refuse_out(options)
    x = operands["x"]
    axes = _axes(options["axis"], x.ndim)
    refuse_unknown_lengths(name, x, range(x.ndim))
    dtype = result_dtype(kind(p)[0], x.dtype)
    given = {"axis": axes, "name": name, "kind": kind, "p": p, "key": Key(key.asked()), "whole": x.shape}
    return x.map_blocks(partial(_of_block, given), dtype=dtype, meta=np.empty((0,) * x.ndim, dtype))


def _of_block(given: dict[str, Any], block: Any, block_info: Any = None) -> Any:
    origin = tuple(start for start, _ in block_info[0]["array-location"])
    plain: Any = partial(_of_array, origin=origin, **{k: v for k, v in given.items() if k != "axis"})
    return _of_masked(plain, block, given["axis"], None) if np.ma.isMA(block) else plain(block, given["axis"], None)


def reference_keep(shape: tuple[int, ...], p: float, key: int, axis: Axis) -> Any:
    """Which elements are kept, from the same arithmetic of 32 bits in integers of 64."""
    axes = normalize_axis_tuple(range(len(shape)) if axis is None else axis, len(shape))
    steps = index_steps(shape, axes)
    indices = sum(np.indices(shape)[k] * step for k, step in enumerate(steps)) if shape else np.zeros((), int)
    number = np.asarray(indices).astype(np.uint64)
    low, high, bits = np.uint64(key % PERIOD), np.uint64(key // PERIOD), np.uint64(PERIOD - 1)
    for turn in (number ^ low, None):
        number = ((number + high) & bits) if turn is None else turn
        for shift, factor in zip(SHIFTS, (FIRST_FACTOR, SECOND_FACTOR), strict=True):
            number = ((number ^ (number >> np.uint64(shift))) * np.uint64(factor)) & bits
    return (number ^ np.uint64(PERIOD // 2)) >= round(p * PERIOD)  # as the kernel's integers are, with a sign


def _reference(x: Any, p: float, rng: Any, training: bool = True, axis: Axis = None) -> Any:
    key = int(np.random.default_rng(rng).integers(KEYS))
    return _reference_backward(x, p, key, axis), key


def _reference_backward(grad: Any, p: float, key: int, axis: Axis = None) -> Any:
    return grad * reference_keep(grad.shape, p, key, axis) / (1 - p)


def _reference_alpha(x: Any, p: float, rng: Any, training: bool = True, axis: Axis = None) -> Any:
    key = int(np.random.default_rng(rng).integers(KEYS))
    replaced = np.where(reference_keep(x.shape, p, key, axis), x, -SATURATED)
    return (replaced + SATURATED * p) / np.sqrt(1 - p + SATURATED**2 * p * (1 - p)), key


def _reference_alpha_backward(grad: Any, p: float, key: int, axis: Axis = None) -> Any:
    keep = reference_keep(grad.shape, p, key, axis)
    return grad * keep / np.sqrt(1 - p + SATURATED**2 * p * (1 - p))


_function = partial(Function, operands=[X], ulp=2.0, double_ulp=2.0, home=__name__, family="dropout", axis="drawn")
_FORWARD = [Variant({"p": 0.3, "rng": 0}), Variant({"p": 0.75, "rng": 1}, alike=True)]
_BACKWARD = [Variant({"p": 0.3, "key": 123456789012345}), Variant({"p": 0.75, "key": 5}, alike=True)]
register(_function("dropout", lambda: dropout, reference=_reference, variants=_FORWARD, state=True))
register(_function("dropout_backward", lambda: dropout_backward, reference=_reference_backward, variants=_BACKWARD))
register(_function("alpha_dropout", lambda: alpha_dropout, reference=_reference_alpha, variants=_FORWARD, state=True))
register(
    _function(
        "alpha_dropout_backward",
        lambda: alpha_dropout_backward,
        reference=_reference_alpha_backward,
        variants=_BACKWARD,
    )
)
