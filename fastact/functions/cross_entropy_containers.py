"""Losses of containers: what masks hide is left out of them, and those of dask arrays stay lazy.

Both compute the loss of each row by the function itself, and the mean, or the sum, of the rows that count here.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from fastact.calls.checking import broadcast_to, integer, number, only_axis, switch
from fastact.calls.containers import is_container, masked, within, without_masked
from fastact.calls.layout import Layout
from fastact.calls.lazy import at_shape, is_lazy, lazily, summed
from fastact.functions.cross_entropy_requests import (
    as_target,
    check_reduction,
    checked_index,
    checked_options,
    checked_shift,
    checked_weight,
    loss_dtype,
    narrowed,
    times_upstream,
)
from fastact.maths.losses import NO_CLASS

Options = Mapping[str, Any]
SUMMARIES = ("mean", "sum")


def are_contained(*operands: Any) -> bool:
    """Whether any operand is in a container."""
    return any(type(x) is not np.ndarray and x is not None and is_container(x) for x in operands)


@np.errstate(all="ignore")
def loss_of_containers(
    function: Callable[..., Any], given: Options, name: str = "logits", weighted: bool = True
) -> Any:
    """Call a loss of rows with the arguments in ``given``, some of which are containers.

    ``name`` is that of the operand that holds the rows; ``weighted`` says whether a mean divides by the weights of labels.
    """
    operands, options = split_call(function, given, (name, "target", "weight", "upstream"))
    operands["target"] = as_known_target(operands["target"], np.ndim(operands[name]) - 1)
    labels = np.ndim(operands["target"]) < np.ndim(operands[name])
    row = "" if options["reduction"] in SUMMARIES else "..."
    extras = [options.get(extra) for extra in ("return_lse", "return_argmax")]
    results = (row, *["...n"] * derivatives_of(function), *("..." for asked in extras if asked))
    axes = {name: "...n", "target": "..." if labels else "...n", "weight": "n", "upstream": row}
    unmasked, lazy = partial(_unmasked_loss, function, name, weighted), partial(_lazy_loss, name, weighted)
    return within(function, Layout(axes, results), operands, options, unmasked, lazy)


def derivatives_of(function: Callable[..., Any]) -> int:
    """How many derivatives a function returns along with the loss."""
    name = function.__name__
    return 2 if name.endswith("_with_grad_hess") else int(name.endswith("_with_grad"))


def split_call(function: Any, given: Options, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A call's operands, and its other arguments, of which those that are read here are sound."""
    known = inspect.signature(function).parameters
    options = {name: given[name] for name in known if name not in names and name in given}
    if "softcap" in options:
        checked_options(options["label_smoothing"], options["z_loss"], options["softcap"])
        options |= {"empty": number("empty", options["empty"])}
    check_reduction(options["reduction"])
    options |= {"ignore_index": checked_index(options["ignore_index"])}
    options |= {name: switch(name, options[name]) for name in ("return_lse", "return_argmax") if name in options}
    options |= {"axis": integer("axis", options["axis"])} if "axis" in options else {}
    options |= {"shift": checked_shift(options["shift"])} if "shift" in options else {}
    return {name: given.get(name) for name in names}, options


def as_known_target(target: Any, rows: int) -> Any:
    """The target as it is in a container, else as an array; ``ValueError`` for labels of pandas some of which are missing."""
    if not is_container(target):
        return as_target(target, rows)
    labels = getattr(getattr(target, "dtype", None), "numpy_dtype", None)
    if labels is not None and labels.kind in "iu" and target.isna().any():
        raise ValueError("target has missing values (NA): fill them with ignore_index to ignore these rows")
    return target


def dtype_of_loss(operands: Options, options: Options) -> Any:
    """What a loss is rounded to; ``TypeError`` for a dtype that is none of floats."""
    names = [name for name in ("logits", "input", "hidden") if name in operands]
    given = [operands[name] for name in (*names, *(["weight"] if names == ["hidden"] else []))]
    kinds = [x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype for x in given]
    return loss_dtype(options["dtype"], np.result_type(*kinds, np.float16))


def _row_weights(
    loss: Any, target: Any = None, weight: Any = None, sample_weight: Any = None, ignore_index: int = -100
) -> Any:
    """What the mean divides by, for each row's loss: nothing for a masked one, nor for a label that is ignored."""
    counted = ~np.ma.getmaskarray(loss)
    if target is None:
        return counted.astype(np.float64)
    target = np.ma.getdata(target)
    counted &= target != ignore_index
    factors = np.ones(()) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if weight is not None:
        factors = np.asarray(weight, np.float64)[np.where(counted, target, 0)] * factors
    return np.where(counted, factors, 0.0)


def _mean(total: Any, weight: Any, empty: float) -> Any:
    """The mean of a sum, infinite where only rows of weight zero have lost anything; ``empty`` where no row counts."""
    with np.errstate(all="ignore"):
        return np.where(weight == 0, np.where(total == 0, empty, total * np.inf), np.divide(total, weight))[()]


def _unmasked_loss(
    function: Callable[..., Any],
    name: str,
    weighted: bool,
    target: Any,
    weight: Any = None,
    out: Any = None,
    **options: Any,
) -> Any:
    """The loss as if masked classes were not there, nor rows whose label is masked, or where all classes are."""
    like, derivatives = options.pop(name), derivatives_of(function)
    keeps_mask = isinstance(like, np.ma.MaskedArray) or out is not None
    logits, target = np.ma.asarray(like), np.ma.asarray(target)
    options["weight"] = np.ma.filled(weight, 0) if isinstance(weight, np.ma.MaskedArray) else weight
    outs = list(out) if isinstance(out, tuple) else [out] * derivatives
    plain = {} if out is None else {"out": tuple(map(_data, out)) if isinstance(out, tuple) else _data(out)}
    if not _is_sound(logits, target, options):
        return function(logits.data, target.data, **plain, **options)  # which says what is wrong
    axis, reduction, empty = options["axis"], options["reduction"], options.get("empty", math.nan)
    checked_weight(options["weight"], logits.shape[axis], "weight")
    upstream = options.pop("upstream", None)
    dtype = dtype_of_loss({name: logits}, options)
    hidden, unknown = np.ma.getmaskarray(logits), np.ma.getmaskarray(target)
    if target.ndim == logits.ndim:
        off = (hidden | unknown).all(axis)
        off = off | masked_rows("upstream", upstream, off.shape)
        labels, wanted = None, without_masked(target, hidden | unknown, 0.0)
    else:
        off = unknown | _at_label(hidden, target.data, axis) | masked_rows("upstream", upstream, target.shape)
        labels = wanted = labels_that_count(target, off, options["ignore_index"])
    x = without_masked(logits, hidden, 0.0)
    alone = hidden.all(axis, keepdims=True)
    x = np.where(hidden & ~alone, x.dtype.type(-np.inf if options.get("softcap") is None else NO_CLASS), x)
    options |= {"reduction": "none", "dtype": np.float64}  # rows are summed before they are rounded
    counts = np.ma.array(off, mask=off), labels, options["weight"] if weighted else None
    weight = np.sum(_row_weights(*counts, ignore_index=options["ignore_index"]))
    if derivatives:
        scale = times_upstream(
            _reciprocal(weight) if reduction == "mean" else 1.0, _data(upstream), reduction, off.shape
        )
        options |= {**plain, "upstream": np.where(off, 0.0, scale)}
    loss, *rest = _smoothed_rows(function, x, wanted, hidden, options)
    loss = np.ma.array(np.where(off, loss.dtype.type(0), loss), mask=off)
    total = np.sum(loss.data, dtype=np.float64)
    if keeps_mask:
        rest[:derivatives] = [
            masked(slope, hidden, own, like) for slope, own in zip(rest[:derivatives], outs, strict=True)
        ]
    if options.get("return_lse"):
        rest[1] = narrowed(rest[1], dtype)
    rest[derivatives:] = [masked(values, off, None) for values in rest[derivatives:]]
    if reduction == "none":
        loss = masked(narrowed(loss.data, dtype)[()], off, None)
    else:
        loss = narrowed(_mean(total, weight, empty) if reduction == "mean" else total, dtype)
    return (loss, *rest) if rest else loss


def _data(x: Any) -> Any:
    """What an operand holds under its mask, if it has one."""
    return np.ma.getdata(x) if isinstance(x, np.ma.MaskedArray) else x


def masked_rows(name: str, x: Any, shape: tuple[int, ...]) -> Any:
    """Which rows of a shape are masked in an operand, or all if that is one number."""
    return broadcast_to(name, np.ma.getmaskarray(x), shape) if isinstance(x, np.ma.MaskedArray) else False


def _is_sound(logits: Any, target: Any, options: Options) -> bool:
    """Whether shapes and kinds are such that masks can be heeded; if not, the function itself will raise."""
    axis = options["axis"]
    if not logits.ndim or logits.dtype.kind not in "iubf":
        return False
    axis = normalize_axis_index(axis, logits.ndim)
    dense = target.ndim == logits.ndim
    shape = logits.shape if dense else logits.shape[:axis] + logits.shape[axis + 1 :]
    return bool(target.shape == shape and target.dtype.kind in ("f" if dense else "iu"))


def _at_label(hidden: Any, labels: Any, axis: int) -> Any:
    """Whether the class of a row's label is masked."""
    classes = hidden.shape[axis]
    if not classes:
        return np.zeros(labels.shape, bool)
    known = (labels >= 0) & (labels < classes)
    chosen = np.expand_dims(np.where(known, labels, 0).astype(np.int64), axis)
    return known & np.take_along_axis(hidden, chosen, axis).squeeze(axis)


def labels_that_count(target: Any, off: Any, ignore_index: int) -> Any:
    """Labels of a dtype that holds the index to ignore, which takes the place of those that do not count."""
    given = np.ma.getdata(target)
    labels = given.astype(np.int64)
    if target.dtype.kind == "u" and np.any((labels < 0) & ~off):
        return np.where(off, given.dtype.type(0), given)  # one is no class, and the function says which
    return np.where(off, ignore_index, labels)


def _smoothed_rows(function: Callable[..., Any], x: Any, wanted: Any, hidden: Any, options: Options) -> list[Any]:
    """Losses and gradients of the rows, what is smoothed being spread over the classes that are not masked."""
    smoothing, axis = options.get("label_smoothing", 0.0), options["axis"]
    if not smoothing:
        return listed(function(x, wanted, **options))
    even = ~hidden / np.maximum(1, np.sum(~hidden, axis, keepdims=True))
    options = {**options, "label_smoothing": 0.0}
    if wanted.ndim == x.ndim:
        return listed(function(x, (1 - smoothing) * wanted + smoothing * even, **options))
    results = listed(function(x, wanted, **options))
    counted = wanted != options["ignore_index"]
    options |= {name: False for name in ("return_lse", "return_argmax") if name in options}
    options |= {"ignore_index": -1} | ({"out": None} if "out" in options else {})
    for i, spread in enumerate(listed(function(x, even.astype(x.dtype), **options))):
        part = np.where(counted if i == 0 else np.expand_dims(counted, axis), spread, spread.dtype.type(0))
        if i == 0:
            results[0] = (1 - smoothing) * results[0] + smoothing * part
        else:
            results[i][...] = (1 - smoothing) * results[i] + smoothing * part
    return results


def listed(results: Any) -> list[Any]:
    """The results of a function, be it one or several."""
    return list(results) if isinstance(results, tuple) else [results]


def _scaled(grad: Any, scale: Any) -> Any:
    """A gradient times a number."""
    with np.errstate(all="ignore"):
        return (grad * scale).astype(grad.dtype)


def _lazy_loss(
    name: str, weighted: bool, function: Callable[..., Any], layout: Layout, operands: Options, options: Options
) -> Any:
    """The loss of dask arrays: that of each row by blocks, and its mean or sum as dask reduces."""
    reduction = options["reduction"]
    check_shapes(function, name, layout, operands, options)
    operands, upstream = without_upstream(operands, options)
    if reduction not in SUMMARIES:
        return lazily(function, layout, operands, options)
    dtype = dtype_of_loss(operands, options)
    layout = layout._replace(results=("...", *layout.results[1:]))
    rows = {**options, "reduction": "none", "dtype": np.float64}  # which are summed before they are rounded
    loss, *rest = listed(lazily(function, layout, operands, rows))
    labels = operands["target"] if layout.operands["target"] == "..." else None
    total, scale = lazily_summed(loss, labels, operands.get("weight") if weighted else None, options, dtype)
    for i in range(derivatives_of(function)):
        rest[i] = scaled_lazily(rest[i], scale * upstream)
    if options.get("return_lse"):
        rest[1] = rest[1].map_blocks(narrowed, dtype, dtype=dtype)
    return (total, *rest) if rest else total


def without_upstream(operands: Options, options: Options) -> tuple[dict[str, Any], Any]:
    """The operands without the gradient with respect to a mean or sum, and that; those of rows have one for each of them."""
    operands = dict(operands)
    if "upstream" not in operands:
        return operands, 1.0
    upstream, reduction = operands.pop("upstream"), options["reduction"]
    if reduction not in SUMMARIES:
        rows = next(operands[name] for name in ("logits", "input", "target") if name in operands)
        shape = list(np.shape(rows))
        if "hidden" not in operands:
            del shape[only_axis(options["axis"], len(shape))]
        return {**operands, "upstream": at_shape("upstream", upstream, tuple(shape))}, 1.0
    if not is_lazy(upstream):
        return operands, times_upstream(1.0, upstream, reduction, ())
    if upstream.ndim or upstream.dtype.kind not in "iubf":
        times_upstream(1.0, np.zeros(upstream.shape, upstream.dtype), reduction, ())  # which says what is wrong
    return operands, upstream.astype(np.float64)


def check_shapes(function: Any, name: str, layout: Layout, operands: Options, options: Options) -> None:
    """Let the function refuse a target of a wrong shape, as it does one of plain arrays: a block would be told of blocks."""
    axes, shape, target = layout.operands["target"], np.shape(operands[name]), np.shape(operands["target"])
    if not shape or any(map(math.isnan, (*shape, *target))):
        return
    axis = only_axis(options.get("axis", -1), len(shape))
    if target != (shape if axes == layout.operands[name] else shape[:axis] + shape[axis + 1 :]):
        arrays = {name: x if hasattr(x, "dtype") else np.asarray(x) for name, x in operands.items()}
        function(**{name: np.broadcast_to(np.zeros((), x.dtype), x.shape) for name, x in arrays.items()}, **options)


def lazily_summed(
    loss: Any, labels: Any, class_weight: Any, options: Options, dtype: Any, sample_weight: Any = None
) -> tuple[Any, Any]:
    """The mean or sum of the rows' losses, and what gradients are multiplied by."""
    total = summed(loss)
    if options["reduction"] == "sum":
        return total.map_blocks(narrowed, dtype, dtype=dtype), 1.0
    operands = {"loss": loss, "target": labels, "weight": class_weight if labels is not None else None}
    operands = {name: x for name, x in {**operands, "sample_weight": sample_weight}.items() if x is not None}
    layout = Layout({"loss": "...", "target": "...", "weight": "c", "sample_weight": "..."}, ("...",))
    index = {"ignore_index": options["ignore_index"]}
    weight = summed(lazily(_row_weights, layout, operands, index))
    mean = total.map_blocks(_mean, weight, options.get("empty", math.nan), dtype=np.float64)
    scale = weight.map_blocks(_reciprocal, dtype=np.float64)
    return mean.map_blocks(narrowed, dtype, dtype=dtype), scale


def scaled_lazily(grad: Any, scale: Any) -> Any:
    """A gradient times a number, either of which may be lazy."""
    return grad.map_blocks(_scaled, scale, dtype=grad.dtype)


def _reciprocal(weight: Any) -> Any:
    with np.errstate(all="ignore"):
        return 1 / weight if weight else np.float64(1.0)
