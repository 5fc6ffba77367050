"""Rotary position embedding: pairs of each token's features turn by an angle that grows with its position."""

import math
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from fastact.calls.checking import broadcast_to, checked_out, integer, knowing_names, number, only_axis, sole, switch
from fastact.calls.containers import is_container, refuse_masked, within
from fastact.calls.layout import Layout
from fastact.calls.lazy import at_shape, lazily
from fastact.calls.order import empty_like_all
from fastact.calls.programs import check_casts
from fastact.calls.quiet import quietly
from fastact.functions.cross_entropy_requests import as_floats, as_reals
from fastact.functions.docs import documented
from fastact.functions.record import Function, Operand, register, times, variants
from fastact.kernels.dtypes import FLOATS
from fastact.kinds.rotary import RotaryKernel
from fastact.runtime.ufunc import make_ufunc

KEPT = 2**20
"""Tables of more angles are not kept for the next call."""
FEW = 16
"""Of fewer matrices the rows are what threads share."""
KERNELS = {False: RotaryKernel("rotary.halves", False), True: RotaryKernel("rotary.interleaved", True)}

_PIECES = {
    "positions to out": """\
positions : array_like, optional
    Positions of the tokens, of any real numbers: one for all, or one for each along `position_axis`, or, with more axes, what
    broadcasts to the shape without `axis`. By default 0 to n - 1 along `position_axis`.
axis : int, default -1
    The axis of features; its length is even.
position_axis : int, optional
    The axis of tokens; by default the one before `axis`, or after it if that is the first. An array of one axis is a token at
    position 0.
theta : float, default 10000.0
    The base of the angles, positive.
interleaved : bool, default False
    Whether neighbours are a pair, as in the paper and in Llama's own code, and not the features ``i`` and ``i + d / 2``, as in
    Hugging Face's Transformers: weights trained for the one are wrong for the other.
out : ndarray, optional
    Written to and returned; may be the first operand itself.""",
    "errors": """\
Raises
------
numpy.exceptions.AxisError
    If there is no such axis.
ValueError
    If the length of `axis` is odd, both axes are the same, `positions` do not broadcast, or `theta` is not positive and finite.
TypeError
    For complex, string, object and masked arrays, and for arguments of another type.""",
}


@cache
def _ufunc(interleaved: bool) -> Any:
    kernel = KERNELS[interleaved]
    return make_ufunc(kernel, kernel.name, "Rotations of pairs of each row's elements.", __name__)


def _angles(positions: Any, features: int, theta: float, dtype: Any, sign: float) -> tuple[Any, Any]:
    """Cosines and sines of each position's angles, which are of float64."""
    turns = theta ** (np.arange(0, features, 2) / -max(1, features))
    angles = quietly(np.multiply, np.asarray(positions, np.float64)[..., None], turns)
    return quietly(np.cos, angles).astype(dtype), (sign * quietly(np.sin, angles)).astype(dtype)


@lru_cache(8)
def _kept_angles(
    positions: int | bytes, kind: str, shape: tuple[int, ...], features: int, theta: float, dtype: Any, sign: float
) -> tuple[Any, Any]:
    """The same of positions by their bytes, or of the first ones."""
    given = np.arange(positions) if isinstance(positions, int) else np.frombuffer(positions, kind).reshape(shape)
    return _angles(given, features, theta, dtype, sign)


def _tables(positions: Any, n: int, features: int, theta: float, dtype: Any, sign: float) -> tuple[Any, Any]:
    """The angles of positions, or of 0 to n - 1 if there are none; small tables are kept."""
    rest = features, theta, dtype, sign
    if (n if positions is None else positions.size) * features > KEPT:
        return _angles(np.arange(n) if positions is None else positions, *rest)
    if positions is None:
        return _kept_angles(n, "", (), *rest)
    return _kept_angles(positions.tobytes(), positions.dtype.str, positions.shape, *rest)


def _rotated(
    function: Callable[..., Any],
    name: str,
    x: Any,
    positions: Any,
    axis: int,
    position_axis: int | None,
    theta: float,
    interleaved: bool,
    out: Any,
    sign: float,
) -> Any:
    out, turned = sole(out), switch("interleaved", interleaved)
    base = number("theta", theta, "a positive number")
    if not 0 < base < math.inf:
        raise ValueError(f"theta must be positive and finite, got {theta!r}")
    if isinstance(positions, np.ma.MaskedArray) or is_container(x) or is_container(out):
        options = {"axis": axis, "theta": base, "interleaved": turned, "out": out}
        return _within(function, name, x, positions, position_axis, options)
    x = np.asarray(x)
    axis, place = _axes(x.ndim, axis, position_axis)
    features = x.shape[axis]
    if features % 2:
        raise ValueError(f"the length of axis {axis} must be even, as pairs of {name} are rotated, got {features}")
    x = as_floats(name, x)
    moved, last, tokens = _moved(x, axis, -1), x.ndim - 1, place - (place > axis)
    if positions is not None:
        positions = _along_tokens(positions, moved.shape[:-1], tokens)
    if out is not None:
        check_casts(x.dtype, checked_out(out, x.shape))
    computed = _computed(x.dtype)
    tables = _tables(positions, x.shape[place] if last else 1, features, base, computed, sign)
    if positions is None and last:
        tables = tuple(t.reshape(len(t), *[1] * (last - 1 - tokens), t.shape[-1]) for t in tables)
    result = empty_like_all([x], x.dtype) if out is None else out
    given = moved, *tables, _moved(result, axis, -1)
    if (
        last and math.prod(moved.shape[:-2]) >= FEW
    ):  # matrices of a sequence each; their rows are as many in each operand
        whole = (*moved.shape[:-1], features // 2)
        alike = (t if t.shape[tokens - last - 1 :] == whole[tokens:] else np.broadcast_to(t, whole) for t in tables)
        given = tuple(_moved(t, t.ndim - 1 - last + tokens, -2) for t in (moved, *alike, given[-1]))
    else:
        given = tuple(t[..., None, :] for t in given)
    signature = (x.dtype, computed, computed, x.dtype)
    quietly(_ufunc(turned), *given[:3], out=given[3], signature=signature, casting="same_kind")
    return result


@cache
def _computed(dtype: Any) -> Any:
    """What rows of a dtype are computed in."""
    return FLOATS[dtype.name].computed


def _moved(x: Any, axis: int, to: int) -> Any:
    """The array with an axis moved to the last or the last but one, if it is not there."""
    return x if axis == x.ndim + to else np.moveaxis(x, axis, to)


def _axes(ndim: int, axis: int, position_axis: int | None) -> tuple[int, int]:
    """The axes of features and of tokens, counted from the front; of an array of one axis both are that."""
    axis = only_axis(axis, ndim)
    if ndim == 1 and position_axis is None:
        return axis, axis
    place = (axis - 1 if axis else 1) if position_axis is None else integer("position_axis", position_axis)
    place = normalize_axis_index(place, ndim, "position_axis")
    if place == axis:
        raise ValueError(f"position_axis must be another axis than {axis}, that of features, got {position_axis}")
    return axis, place


def _along_tokens(positions: Any, shape: tuple[int, ...], place: int) -> Any:
    """Positions as an array that broadcasts to a shape: those of one axis lie along ``place``."""
    positions = as_reals("positions", positions)
    if positions.ndim == 1 and len(shape) > 1:
        broadcast_to("positions", positions, shape[place : place + 1])
        positions = positions.reshape(-1, *[1] * (len(shape) - 1 - place))
    broadcast_to("positions", positions, shape)
    return positions


def _within(
    function: Callable[..., Any],
    name: str,
    x: Any,
    positions: Any,
    position_axis: int | None,
    options: Mapping[str, Any],
) -> Any:
    """Rotate what is in a container, whose blocks of tokens do not know their positions: those are given."""
    refuse_masked(function, {name: x, "positions": positions, "out": options["out"]}, "rotates pairs of elements")
    shape = np.shape(x)
    axis, place = _axes(len(shape), options["axis"], position_axis)
    rows = (*shape[:axis], *shape[axis + 1 :])
    if positions is None:
        positions = np.arange(shape[place]) if rows else 0
    if not is_container(positions):
        positions = _along_tokens(positions, rows, place - (place > axis))
    operands = {name: x, "positions": positions}
    given = {**options, "axis": axis - len(shape)}
    layout = Layout({name: "...n", "positions": "..."}, ("...n",))
    if len(rows) == 1:
        given["position_axis"] = place - len(shape)
    return within(function, layout, operands, given, None, partial(_lazily, rows))


def _lazily(
    rows: tuple[int, ...], function: Any, layout: Layout, operands: Mapping[str, Any], options: Mapping[str, Any]
) -> Any:
    """Rotate dask arrays, whose blocks have their features last."""
    options = {name: value for name, value in options.items() if name != "position_axis"}
    positions = at_shape("positions", operands["positions"], rows)
    return lazily(function, layout, {**operands, "positions": positions}, options)


@knowing_names
@partial(documented, pieces=_PIECES)
def rotary(
    x: Any,
    positions: Any = None,
    axis: int = -1,
    position_axis: int | None = None,
    theta: float = 10000.0,
    interleaved: bool = False,
    out: Any = None,
) -> Any:
    r"""Rotary position embedding of queries or keys.

    Parameters
    ----------
    x : array_like
        Queries or keys, such as (batch, heads, tokens, features); float16, float32 or float64; integers convert as for
        ``np.exp(x)``.
    <positions to out>

    Returns
    -------
    ndarray
        Of the shape of `x` and its dtype; it lies in memory as ``np.exp(x)`` does.

    <errors>

    Notes
    -----
    .. math:: (a \cos \phi - b \sin \phi,\ b \cos \phi + a \sin \phi),\quad \phi = p\, \mathtt{theta}^{-2i/d}

    for the pair number ``i`` of ``d / 2`` at position ``p``. Angles, their cosines and sines are of float64, and rounded once to
    the precision that is computed in: far positions turn as precisely as near ones. Error: at most 2 ULP of
    ``abs(a * cos) + abs(b * sin)``. Products of a query and a key depend on the difference of their positions alone. To rotate
    some of the features, give views of these, also as `out`. Tables of up to a million angles are kept for the next calls.

    References
    ----------
    J. Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, arXiv:2104.09864.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.rotary([[1.0, 0.0], [1.0, 0.0]]).round(4)
    array([[1.    , 0.    ],
           [0.5403, 0.8415]])
    """
    return _rotated(rotary, "x", x, positions, axis, position_axis, theta, interleaved, out, 1.0)


@knowing_names
@partial(documented, pieces=_PIECES)
def rotary_backward(
    grad: Any,
    positions: Any = None,
    axis: int = -1,
    position_axis: int | None = None,
    theta: float = 10000.0,
    interleaved: bool = False,
    out: Any = None,
) -> Any:
    r"""Gradient of `rotary` with respect to its input: the rotation by the negative angle.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `rotary`.
    <positions to out>

    Returns
    -------
    ndarray
        Of the shape of `grad` and its dtype; it lies in memory as ``np.exp(grad)`` does.

    <errors>

    Notes
    -----
    .. math:: (a \cos \phi + b \sin \phi,\ b \cos \phi - a \sin \phi)

    Angles are those of `rotary`. Error: at most 2 ULP of ``abs(a * cos) + abs(b * sin)``. As rotations are orthogonal, it
    undoes `rotary`.

    References
    ----------
    J. Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, arXiv:2104.09864.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.rotary_backward(fa.rotary([1.0, 2.0], 3), 3).round(12)
    array([1., 2.])
    """
    return _rotated(rotary_backward, "grad", grad, positions, axis, position_axis, theta, interleaved, out, -1.0)


def _reference(
    x: Any, positions: Any = None, axis: int = -1, theta: float = 1e4, interleaved: bool = False, sign: int = 1
) -> Any:
    """As multiplication of complex numbers; positions are one for all, or those of the axis beside that of features."""
    axis %= x.ndim
    rows = np.moveaxis(x, axis, -1)
    place = max(0, axis - 1)
    n, d = rows.shape[place] if rows.ndim > 1 else 1, rows.shape[-1]
    p = np.arange(n) if positions is None else np.broadcast_to(positions, n)
    angles = np.outer(p, theta ** (-2 * np.arange(d // 2) / max(1, d)))
    angles = angles.reshape(-1, *[1] * (max(0, rows.ndim - 2 - place)), d // 2) if rows.ndim > 1 else angles[0]
    a, b = (rows[..., 0::2], rows[..., 1::2]) if interleaved else np.split(rows, 2, -1)
    turned = (a + 1j * b) * np.exp(sign * 1j * angles)
    parts = turned.real, turned.imag
    joined = np.stack(parts, -1).reshape(rows.shape) if interleaved else np.concatenate(parts, -1)
    return np.moveaxis(joined, -1, axis)


_PAIRS = Operand(shape=times(2))
_record = partial(
    Function,
    operands=[_PAIRS],
    ulp=2.0,
    double_ulp=2.0,
    home=__name__,
    family="rotary",
    variants=variants({"interleaved": True, "positions": 3}),
    axis="one",
    whole=True,
    masked=False,
)
register(_record("rotary", lambda: rotary, reference=_reference))
register(_record("rotary_backward", lambda: rotary_backward, reference=partial(_reference, sign=-1)))
