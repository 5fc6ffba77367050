"""How functions over rows reach kernels of which some elements take no part: ``where``, ``causal`` and ``scale``."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache, partial, reduce
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from fastact.calls.axes import Axis, checked_axis, over_axes, reduce_axes
from fastact.calls.checking import (
    at_one_shape,
    broadcast_to,
    checked_out,
    finite,
    refuse_unknown,
    representable,
    sole,
    switch,
)
from fastact.calls.containers import is_container, is_foreign, masked, whole_owner, within
from fastact.calls.layout import Layout
from fastact.calls.lazy import at_shape, full_shape, lazily, refuse_unknown_lengths
from fastact.calls.long_rows import WEAK, loop_dtypes, order_of
from fastact.calls.order import empty_like_all
from fastact.calls.quiet import quietly
from fastact.calls.refusals import translated
from fastact.calls.rows import allowed, from_the_back, over_rows
from fastact.calls.widening import in_float32
from fastact.kernels.dtypes import FLOATS
from fastact.kinds.masked import MaskedKernel
from fastact.kinds.masked_gradient import MaskedGradientKernel

_TRUE = np.array(True)


def over_masked_rows(
    kernel: MaskedKernel | MaskedGradientKernel,
    ufunc: Any,
    function: Any,
    operands: Mapping[str, Any],
    axis: Axis,
    out: Any,
    arguments: dict[str, Any],
    sign: float = 1.0,
) -> Any:
    """Call the ufunc of a masked kernel along one axis, or over several as if they were one.

    Parameters
    ----------
    kernel : MaskedKernel or MaskedGradientKernel
        What is computed.
    ufunc : numpy.ufunc
        Its ufunc.
    function : callable
        The public function, whose own ufunc says in which dtype to compute.
    operands : mapping of str to array
        The rows, and their weights if they have such, by the names of the function's parameters.
    axis : int, tuple of int or None
        The axis in the broadcast shape of these.
    out : ndarray or None
        Where the first result is written.
    arguments : dict
        The other keyword arguments.
    sign : float
        What elements are multiplied by beside ``scale``.
    """
    given = dict(arguments)
    try:
        return _over_masked_rows(kernel, ufunc, function, operands, axis, out, arguments, sign)
    except TypeError as error:
        return in_float32(function, error, (), {**operands, "axis": axis, "out": out, **given})


def _over_masked_rows(
    kernel: MaskedKernel | MaskedGradientKernel,
    ufunc: Any,
    function: Any,
    operands: Mapping[str, Any],
    axis: Axis,
    out: Any,
    arguments: dict[str, Any],
    sign: float,
) -> Any:
    """The same for dtypes that kernels take."""
    out = sole(out)
    refuse_unknown(function.__name__, arguments, allowed(function))
    axis, where, scale = checked_axis(axis), arguments.pop("where", True), arguments.pop("scale", 1.0)
    flags = {name: arguments.pop(name) for name in kernel.flags}
    numbers = {name: arguments.pop(name) for name in kernel.own_options}
    causal = switch("causal", arguments.pop("causal", False))
    return_sign = switch("return_sign", arguments.pop("return_sign", False))
    scale = finite("scale", scale)
    if where is True and scale == 1 and not causal and not kernel.weighted and not flags:
        return over_rows(function.ufunc, tuple(operands.values()), axis, out, arguments)
    if any(map(is_container, (*operands.values(), where, *flags.values(), out))):
        options = {"axis": axis, "out": out, "scale": scale, "causal": causal, **numbers, **arguments}
        if return_sign:
            options["return_sign"] = True
        call = partial(over_masked_rows, kernel, ufunc, function, sign=sign)
        return _within(call, kernel, function, {**operands, "where": where, **flags}, options)
    keepdims = arguments.pop("keepdims", False)
    try:
        kinds = loop_dtypes(function.ufunc, [_alike(operands)] * function.ufunc.nin, arguments)
    except TypeError as error:
        raise translated(error, operands) from None
    arrays = _at_one_shape(operands, kinds[0])
    shape, dtype, signs = arrays[0].shape, kinds[-1], list[Any]()
    arrays += [booleans(name, x, shape) for name, x in {"where": where, **flags}.items()]
    representable("scale", scale, FLOATS[dtype.name].computed)
    if causal:
        axis = axis_of_keys(axis, len(shape))
    given = scale_options(scale * sign, dtype)
    if numbers:
        given = np.append(given, [*numbers.values()])
    along = partial(_along, ufunc, loop_signature(kernel, dtype), causal, given, signs)
    if kernel.writes:
        if type(axis) is int and shape:  # for short rows the questions of several axes would take as long
            axis = normalize_axis_index(axis, len(shape))
            likes = arrays[: len(operands)]
            result = empty_like_all(likes, dtype, order_of(arguments)) if out is None else checked_out(out, shape)
            along(arrays, axis, result, arguments)
            return result
        return over_axes(along, arrays, axis, out, dtype, arguments, likes=len(operands))
    result = reduce_axes(along, arrays, axis, keepdims, out, dtype, arguments)
    if not signs:
        return result
    sign_of_sum = np.reshape(signs[0], np.shape(result))[()]
    return (result, sign_of_sum) if return_sign else _without_negative(result, sign_of_sum)


def _without_negative(result: Any, signs: Any) -> Any:
    """The result with NaN where the sum that it is the logarithm of is negative."""
    if np.ndim(result):
        np.copyto(result, np.nan, where=signs < 0)
    elif signs < 0:
        return result.dtype.type(np.nan)
    return result


def _along(
    ufunc: Any,
    signature: tuple[Any, ...],
    causal: bool,
    options: Any,
    signs: list[Any],
    arrays: Sequence[Any],
    axis: int,
    out: Any,
    arguments: dict[str, Any],
) -> Any:
    """Call a masked kernel along one axis of arrays of one shape; a second result is left in ``signs``."""
    x = arrays[0]
    last = x.ndim - 1
    moved = arrays if axis in (-1, last) else [np.moveaxis(array, axis, -1) for array in arrays]
    place = out if moved is arrays or out is None or out.ndim <= last else np.moveaxis(out, axis, -1)
    counts = counts_of(x.shape, axis, causal)
    nothing = (None,) * (ufunc.nout - 1)
    casting = arguments.get("casting", "same_kind")
    try:
        found = ufunc(*moved, counts, options, out=(place, *nothing), signature=signature, casting=casting)
    except TypeError as error:
        raise translated(error, {}) from None
    if nothing:
        signs += found[1:]
        return found[0]
    return found


def counts_of(shape: tuple[int, ...], axis: int, causal: bool) -> Any:
    """How many of the first elements of each row along an axis may take part."""
    keys = shape[axis]
    if not causal:
        return np.array(keys)
    counts = np.arange(keys - shape[-2] + 1, keys + 1).reshape(*[1] * (len(shape) - 2), -1, 1)
    return np.moveaxis(counts, axis, -1)[..., 0]


@cache
def loop_signature(kernel: MaskedKernel | MaskedGradientKernel, dtype: Any) -> tuple[Any, ...]:
    """The dtypes of a kernel's loop for rows of a dtype, as ufuncs take them."""
    return tuple(map(np.dtype, kernel.operands(dtype.name)))


@lru_cache(256)
def scale_options(factor: float, dtype: Any) -> Any:
    """A factor as ``fastact.kinds.masked.OPTIONS`` has it."""
    computed = FLOATS[dtype.name].computed
    size = abs(factor)
    high = float(computed.type(size))
    exact = not size or math.frexp(size)[0] == 0.5
    return np.array([factor, 1.0, 0.0] if exact else [np.sign(factor), high, size - high])


def _alike(operands: Mapping[str, Any]) -> Any:
    """Something of the dtype that operands promote to."""
    kinds = [x if type(x) in WEAK else np.asarray(x).dtype for x in operands.values()]
    if len(kinds) == 1:
        return next(iter(operands.values()))
    return np.empty(0, np.result_type(*kinds))


def _at_one_shape(operands: Mapping[str, Any], dtype: Any) -> list[Any]:
    arrays = {name: quietly(np.asarray, x, dtype) if type(x) in WEAK else np.asarray(x) for name, x in operands.items()}
    return at_one_shape(arrays) if len(arrays) > 1 else list(arrays.values())


def booleans(name: str, given: Any, shape: tuple[int, ...]) -> Any:
    """Booleans of that name, such as which elements take part, at the shape of the rows."""
    flags = _TRUE if given is True else np.asarray(given)
    if flags.dtype != bool:
        raise TypeError(f"{name} must hold booleans, got {flags.dtype}")
    return flags if flags.shape == shape else broadcast_to(name, flags, shape)


def axis_of_keys(axis: Axis, ndim: int) -> int:
    """The axis of keys, which is not that of queries."""
    if isinstance(axis, int) and ndim > 1 and (found := normalize_axis_index(axis, ndim)) != ndim - 2:
        return found
    raise ValueError(
        f"causal takes queries along axis -2 of x and keys along another one, got {ndim} axes and axis={axis}"
    )


def _within(
    call: Callable[..., Any],
    kernel: MaskedKernel | MaskedGradientKernel,
    function: Any,
    operands: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Any:
    """Call a function with operands some of which are containers."""
    if not options.get("subok", True):  # masks are heeded still
        operands = {
            name: np.asarray(x) if isinstance(x, np.ndarray) and is_foreign(x) else x for name, x in operands.items()
        }
    rows = {name: x for name, x in operands.items() if name not in ("where", *kernel.flags)}
    try:
        shape = full_shape(*map(np.shape, rows.values()))
    except ValueError:
        shape = ()  # which the call refuses
    if len(rows) > 1 and shape:
        options = {**options, "axis": from_the_back(options["axis"], len(shape))}
    result = "...n" if kernel.writes else "...k" if options.get("keepdims") else "..."
    results = 1 + options.get("return_sign", False)
    owners = whole_owner(rows) if len(rows) > 1 else tuple(rows)
    layout = Layout(dict.fromkeys(operands, "...n"), (result,) * results, owners * results)

    def left(*, axis: Axis, out: Any, **given: Any) -> Any:
        flags = {name: np.ma.filled(given[name], False) for name in kernel.flags}
        found = {name: given.pop(name) for name in operands if name not in flags}
        return _without_masked(call, found, axis, out, {**given, **flags})

    return within(function, layout, operands, options, left, partial(_lazily, tuple(rows)))


def _without_masked(
    call: Callable[..., Any], operands: Mapping[str, Any], axis: Axis, out: Any, options: dict[str, Any]
) -> Any:
    """The same of masked arrays: what is masked takes no part, and stays masked, as does what no element counts in."""
    rows = {name: x for name, x in operands.items() if name != "where"}
    hidden: Any = reduce(np.logical_or, map(np.ma.getmaskarray, rows.values()))
    like = next((x for x in rows.values() if isinstance(x, np.ma.MaskedArray)), None)
    keep = np.ma.filled(operands["where"], False) & ~hidden
    plain = {name: np.ma.getdata(x) for name, x in rows.items()}
    results = call(plain, axis, None if out is None else np.ma.getdata(out), {**options, "where": keep})
    if like is None and not isinstance(out, np.ma.MaskedArray):
        return results if out is None else out
    several = isinstance(results, tuple)
    whole = np.shape(results[0] if several else results)
    if whole != hidden.shape:
        hidden = hidden.all(axis=axis, keepdims=options.get("keepdims", False))
    if out is None and not options.get("subok", True):
        return results
    first, *rest = results if several else (results,)
    found = (masked(first, hidden, out, like), *(masked(x, hidden, None, like) for x in rest))
    return found if several else found[0]


def _lazily(
    names: Sequence[str],
    function: Any,
    layout: Layout,
    operands: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Any:
    """Call a function with dask arrays at their full shape, in whose blocks queries have no number: by a mask of all."""
    shape = full_shape(*(np.shape(operands[name]) for name in names))
    operands, options = dict(operands), dict(options)
    if options.pop("causal", False):
        axis = axis_of_keys(options["axis"], len(shape))
        for name in names:
            refuse_unknown_lengths(name, operands[name], (axis, len(shape) - 2))
        queries, keys = shape[-2], shape[axis]
        place = [1] * len(shape)
        place[-2], place[axis] = queries, keys
        before = np.tri(queries, keys, keys - queries, dtype=bool)
        operands["where"] = operands["where"] & (before if axis > len(shape) - 2 else before.T).reshape(place)
    return lazily(function, layout, {name: at_shape(name, x, shape) for name, x in operands.items()}, options)
