"""What a call of a norm of channels asks for: its operands as arrays of one dtype, numbers of channels, and where results go."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastact.calls.checking import broadcast_to, checked_out, only_axis, sole
from fastact.calls.containers import is_container, is_foreign, refuse_masked, within
from fastact.calls.layout import Layout
from fastact.calls.lazy import in_one_task
from fastact.calls.programs import check_casts
from fastact.calls.quiet import quietly
from fastact.calls.refusals import check_operands
from fastact.functions.channel_statistics import Lay, lay_of
from fastact.functions.norm_requests import checked_eps


class Request(NamedTuple):
    """A call that has been checked."""

    lay: Lay
    dtype: Any
    arrays: dict[str, Any]
    """What has pixels, as it is walked: ``x``, and ``grad`` where there is one."""
    weight: Any
    bias: Any
    """Of float64, 1 and 0 where none is given."""
    eps: float
    result: Any
    """What is returned."""
    target: Any
    """Where it is written, walked as the arrays are: a view of the result if that lies so."""

    def finished(self) -> Any:
        """The result, once its elements have been written."""
        places = self.result.transpose(self.lay.order)
        if not np.shares_memory(places, self.target):
            places[...] = self.target.reshape(places.shape)
        return self.result


def checked(
    pixels: Mapping[str, Any], axis: Any, weight: Any, bias: Any, eps: Any, out: Any, images_apart: bool
) -> Request:
    """Check a call, of ``x`` and perhaps ``grad``, but for what only some norms take."""
    arrays = {name: np.asarray(x) for name, x in pixels.items()}
    check_operands(arrays)
    x = arrays["x"]
    axis, eps = only_axis(axis, x.ndim), checked_eps(eps)
    for name, array in arrays.items():
        arrays[name] = broadcast_to(name, array, x.shape)
    numbers = {"weight": weight, "bias": bias}
    given = {name: of_channels(name, one, x.shape[axis]) for name, one in numbers.items() if one is not None}
    kinds = [array.dtype for array in (*arrays.values(), *given.values())]
    dtype = np.result_type(*kinds, np.float16)
    lay = lay_of(x, axis, images_apart)
    if out is None:
        result = np.empty_like(x, dtype, subok=False)
    else:
        result = checked_out(sole(out), x.shape)
        check_casts(dtype, result)
    places = result.transpose(lay.order)
    lies = result.dtype == dtype and places.flags.c_contiguous and not _overlaps(result, arrays)
    target = places.reshape(lay.shape) if lies else np.empty(lay.shape, dtype)
    walked = {name: lay.of(quietly(array.astype, dtype, copy=False)) for name, array in arrays.items()}
    wide = {name: quietly(one.astype, np.float64) for name, one in given.items()}
    return Request(lay, dtype, walked, wide.get("weight", 1.0), wide.get("bias", 0.0), eps, result, target)


def _overlaps(result: Any, arrays: Mapping[str, Any]) -> bool:
    """Whether the result lies partly where an operand does: what is exactly there is read before it is written."""
    return any(
        np.may_share_memory(result, x) and (result.ctypes.data, result.strides) != (x.ctypes.data, x.strides)
        for x in arrays.values()
    )


def of_channels(name: str, x: Any, channels: int) -> Any:
    """A number for each channel; ``ValueError`` for an array of another shape."""
    found = np.asarray(x)
    if found.shape != (channels,):
        raise ValueError(f"{name} must have the shape {(channels,)}, got {found.shape}")
    check_operands({name: found})
    return found


def contained_channels(
    function: Callable[..., Any],
    pixels: Mapping[str, Any],
    numbers: Mapping[str, Any],
    options: Mapping[str, Any],
    results: int = 1,
) -> Any:
    """Call ``function`` with operands some of which are containers; ``NotImplemented`` if none is."""
    operands = {**pixels, **numbers}
    if not any(map(is_container, (*operands.values(), options.get("out")))):
        return NotImplemented
    refuse_masked(function, {**operands, "out": options.get("out")}, "counts every element")
    owner = next((name for name, x in pixels.items() if is_foreign(x)), "")
    owners = () if any(map(is_foreign, numbers.values())) else (owner,) * results
    axes = ("...n", "n", "n")[:results]
    layout = Layout({**dict.fromkeys(pixels, "...n"), **dict.fromkeys(numbers, "n")}, axes, owners)
    return within(function, layout, operands, options, lazy=_lazily)


def _lazily(function: Any, layout: Any, operands: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Norms of dask arrays: computed by one task, from whole arrays."""
    if any(name.startswith("running") for name in operands) and options.get("training"):
        raise TypeError(
            "running_mean and running_var must be None where an operand is a dask array, which is computed later"
        )
    shapes = {name: np.shape(x) for name, x in operands.items()}
    return in_one_task(function, operands, options, shapes, like={0: "x"})
