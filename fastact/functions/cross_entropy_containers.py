"""Losses of containers: what masks hide is left out of them, and those of dask arrays stay lazy.

Both compute the loss of each row by the function itself, and the mean, or the sum, of the rows that count here.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from fastact.calls.checking import integer, number, only_axis, switch
from fastact.calls.containers import is_container, masked, within, without_masked
from fastact.calls.layout import Layout
from fastact.calls.lazy import as_lazy, call, cast, is_lazy, lazily, refuse_unknown_lengths, summed
from fastact.functions.cross_entropy_requests import (
    as_target,
    check_reduction,
    checked_index,
    checked_options,
    loss_dtype,
    narrowed,
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
    operands, options = _split(function, given, (name, "target", "weight"))
    operands["target"] = _target(operands["target"], np.ndim(operands[name]) - 1)
    labels = np.ndim(operands["target"]) < np.ndim(operands[name])
    row = "" if options["reduction"] in SUMMARIES else "..."
    extras = [options.get(name) for name in ("return_lse", "return_argmax")]
    results = (row, *["...n"] * _derivatives(function), *("..." for asked in extras if asked))
    layout = Layout({name: "...n", "target": "..." if labels else "...n", "weight": "n"}, results)
    unmasked, lazy = partial(_unmasked_loss, function, name, weighted), partial(_lazy_loss, name, weighted)
    return within(function, layout, operands, options, unmasked, lazy)


@np.errstate(all="ignore")
def linear_loss_of_containers(function: Callable[..., Any], given: Options) -> Any:
    """Call `linear_cross_entropy` or `linear_cross_entropy_with_grad` with operands some of which are containers."""
    operands, options = _split(function, given, ("hidden", "weight", "target", "bias", "class_weight"))
    operands["target"] = _target(operands["target"], np.ndim(operands["hidden"]) - 1)
    row = "" if options["reduction"] in SUMMARIES else "..."
    axes = {"hidden": "...f", "weight": "cf", "target": "...", "bias": "c", "class_weight": "c"}
    gradients = [axes[name] for name in _learnt(function, operands)]
    layout = Layout(axes, (row, *gradients), ("hidden", *_learnt(function, operands)) if gradients else ())
    return within(function, layout, operands, options, partial(_unmasked_linear_loss, function), _lazy_linear_loss)


def _learnt(function: Callable[..., Any], operands: Options) -> list[str]:
    """The operands that a function of a linear layer returns gradients for."""
    if not _derivatives(function):
        return []
    return ["hidden", "weight", *(["bias"] if operands.get("bias") is not None else [])]


def _derivatives(function: Callable[..., Any]) -> int:
    """How many derivatives a function returns."""
    name = function.__name__
    return 2 if name.endswith("_with_grad_hess") else int(name.endswith("_with_grad"))


def _split(function: Any, given: Options, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A call's operands, and its other arguments, of which those that are read here are sound."""
    options = {
        name: given[name] for name in inspect.signature(function).parameters if name not in names and name in given
    }
    if "softcap" in options:
        checked_options(options["label_smoothing"], options["z_loss"], options["softcap"])
        options |= {"empty": number("empty", options["empty"])}
    check_reduction(options["reduction"])
    options |= {"ignore_index": checked_index(options["ignore_index"])}
    options |= {name: switch(name, options[name]) for name in ("return_lse", "return_argmax") if name in options}
    options |= {"axis": integer("axis", options["axis"])} if "axis" in options else {}
    return {name: given[name] for name in names}, options


def _target(target: Any, rows: int) -> Any:
    """The target as it is in a container, else as an array; ``ValueError`` for labels of pandas some of which are missing."""
    if not is_container(target):
        return as_target(target, rows)
    labels = getattr(getattr(target, "dtype", None), "numpy_dtype", None)
    if labels is not None and labels.kind in "iu" and target.isna().any():
        raise ValueError("target has missing values (NA): fill them with ignore_index to ignore these rows")
    return target


def _dtype_of_loss(operands: Options, options: Options) -> Any:
    """What a loss is rounded to; ``TypeError`` for a dtype that is none of floats."""
    names = [name for name in ("logits", "input", "hidden") if name in operands]
    given = [operands[name] for name in (*names, *(["weight"] if names == ["hidden"] else []))]
    kinds = [x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype for x in given]
    return loss_dtype(options["dtype"], np.result_type(*kinds, np.float16))


def _row_weights(loss: Any, target: Any = None, weight: Any = None, ignore_index: int = -100) -> Any:
    """What the mean divides by, for each row's loss: nothing for a masked one, nor for a label that is ignored."""
    counted = ~np.ma.getmaskarray(loss)
    if target is None:
        return counted.astype(np.float64)
    target = np.ma.getdata(target)
    counted &= target != ignore_index
    if weight is None:
        return counted.astype(np.float64)
    weight = np.asarray(weight, np.float64)
    return np.where(counted, weight[np.where(counted, target, 0)], 0.0)


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
    like = options.pop(name)
    keeps_mask = isinstance(like, np.ma.MaskedArray) or out is not None
    logits, target = np.ma.asarray(like), np.ma.asarray(target)
    options["weight"] = np.ma.filled(weight, 0) if isinstance(weight, np.ma.MaskedArray) else weight
    outs = list(out) if isinstance(out, tuple) else [out] * _derivatives(function)
    plain = {} if out is None else {"out": _data_of(out)}
    if not _is_sound(logits, target, options):
        return function(logits.data, target.data, **plain, **options)  # which says what is wrong
    axis, reduction, empty = options["axis"], options["reduction"], options.get("empty", math.nan)
    dtype = _dtype_of_loss({name: logits}, options)
    hidden, unknown = np.ma.getmaskarray(logits), np.ma.getmaskarray(target)
    if target.ndim == logits.ndim:
        off = (hidden | unknown).all(axis)
        labels, wanted = None, without_masked(target, hidden | unknown, 0.0)
    else:
        off = unknown | _at_label(hidden, target.data, axis)
        labels = wanted = _labels_that_count(target, off, options["ignore_index"])
    x = without_masked(logits, hidden, 0.0)
    alone = hidden.all(axis, keepdims=True)
    x = np.where(hidden & ~alone, x.dtype.type(-np.inf if options.get("softcap") is None else NO_CLASS), x)
    options |= {"reduction": "none", "dtype": np.float64}  # rows are summed before they are rounded
    if _derivatives(function):
        options |= plain
    loss, *rest = _smoothed_rows(function, x, wanted, hidden, options)
    loss = np.ma.array(np.where(off, loss.dtype.type(0), loss), mask=off)
    weights = _row_weights(loss, labels, options["weight"] if weighted else None, options["ignore_index"])
    total, weight = np.sum(loss.data, dtype=np.float64), np.sum(weights)
    scale = _reciprocal(weight) if reduction == "mean" else 1.0
    derivatives = _derivatives(function)
    for i, own in enumerate(outs[:derivatives]):
        rest[i] = _scaled(rest[i], np.where(np.expand_dims(off, axis), 0.0, scale), own)
        rest[i] = masked(rest[i], hidden, own, like) if keeps_mask else rest[i]
    if options.get("return_lse"):
        rest[1] = narrowed(rest[1], dtype)
    rest[derivatives:] = [masked(values, off, None) for values in rest[derivatives:]]
    if reduction == "none":
        loss = masked(narrowed(loss.data, dtype)[()], off, None)
    else:
        loss = narrowed(_mean(total, weight, empty) if reduction == "mean" else total, dtype)
    return (loss, *rest) if rest else loss


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


def _labels_that_count(target: Any, off: Any, ignore_index: int) -> Any:
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
        return _listed(function(x, wanted, **options))
    even = ~hidden / np.maximum(1, np.sum(~hidden, axis, keepdims=True))
    options = {**options, "label_smoothing": 0.0}
    if wanted.ndim == x.ndim:
        return _listed(function(x, (1 - smoothing) * wanted + smoothing * even, **options))
    results = _listed(function(x, wanted, **options))
    counted = wanted != options["ignore_index"]
    options |= {name: False for name in ("return_lse", "return_argmax") if name in options}
    options |= {"ignore_index": -1} | ({"out": None} if "out" in options else {})
    for i, spread in enumerate(_listed(function(x, even.astype(x.dtype), **options))):
        part = np.where(counted if i == 0 else np.expand_dims(counted, axis), spread, spread.dtype.type(0))
        if i == 0:
            results[0] = (1 - smoothing) * results[0] + smoothing * part
        else:
            results[i][...] = (1 - smoothing) * results[i] + smoothing * part
    return results


def _listed(results: Any) -> list[Any]:
    return list(results) if isinstance(results, tuple) else [results]


def _data_of(out: Any) -> Any:
    """The memory under an ``out``, or under each of a tuple."""
    return tuple(map(_data_of, out)) if isinstance(out, tuple) else None if out is None else np.ma.getdata(out)


def _scaled(grad: Any, scale: Any, out: Any) -> Any:
    """A gradient times what a mean divides by, in ``out`` if there is one."""
    with np.errstate(all="ignore"):
        finished = (grad * scale).astype(grad.dtype)
    if out is None:
        return finished
    np.copyto(np.ma.getdata(out), finished, casting="equiv")
    return np.ma.getdata(out)


def _unmasked_linear_loss(function: Callable[..., Any], hidden: Any, weight: Any, target: Any, **arguments: Any) -> Any:
    """The loss with zeros for what is masked in the layer, and without rows whose label, or whole input, is masked."""
    operands = {"hidden": hidden, "weight": weight, **arguments}
    for name in ("hidden", "weight", "bias", "class_weight"):
        if isinstance(operands.get(name), np.ma.MaskedArray):
            operands[name] = np.ma.filled(operands[name], 0)
    labels, off = np.ma.getdata(target), np.ma.getmaskarray(target)
    rows = np.ma.getmaskarray(hidden).all(-1) if np.ndim(hidden) and np.shape(hidden)[-1] else np.zeros((), bool)
    if labels.dtype.kind in "iu" and labels.shape == np.shape(hidden)[:-1]:
        off = off | rows
        labels = _labels_that_count(np.ma.asarray(target), off, arguments["ignore_index"]) if off.any() else labels
    results = _listed(function(target=labels, **operands))
    if arguments["reduction"] == "none":
        results[0] = masked(results[0], off, None)
    given = {"hidden": hidden, "weight": weight, **arguments}
    for i, name in enumerate(_learnt(function, given), 1):
        if isinstance(given[name], np.ma.MaskedArray):
            results[i] = np.ma.array(results[i], mask=np.ma.getmaskarray(given[name]))
    return tuple(results) if len(results) > 1 else results[0]


def _lazy_loss(
    name: str, weighted: bool, function: Callable[..., Any], layout: Layout, operands: Options, options: Options
) -> Any:
    """The loss of dask arrays: that of each row by blocks, and its mean or sum as dask reduces."""
    reduction = options["reduction"]
    _check_shapes(function, name, layout, operands, options)
    if reduction not in SUMMARIES:
        return lazily(function, layout, operands, options)
    dtype = _dtype_of_loss(operands, options)
    layout = layout._replace(results=("...", *layout.results[1:]))
    rows = {**options, "reduction": "none", "dtype": np.float64}  # which are summed before they are rounded
    loss, *rest = _listed(lazily(function, layout, operands, rows))
    labels = operands["target"] if layout.operands["target"] == "..." else None
    total, scale = _lazily_summed(loss, labels, operands.get("weight") if weighted else None, options, dtype)
    for i in range(_derivatives(function)):
        rest[i] = _scaled_lazily(rest[i], scale)
    if options.get("return_lse"):
        rest[1] = rest[1].map_blocks(narrowed, dtype, dtype=dtype)
    return (total, *rest) if rest else total


def _check_shapes(function: Any, name: str, layout: Layout, operands: Options, options: Options) -> None:
    """Let the function refuse a target of a wrong shape, as it does one of plain arrays: a block would be told of blocks."""
    axes, shape, target = layout.operands["target"], np.shape(operands[name]), np.shape(operands["target"])
    if not shape or any(map(math.isnan, (*shape, *target))):
        return
    axis = only_axis(options.get("axis", -1), len(shape))
    if target != (shape if axes == layout.operands[name] else shape[:axis] + shape[axis + 1 :]):
        arrays = {name: x if hasattr(x, "dtype") else np.asarray(x) for name, x in operands.items()}
        function(**{name: np.broadcast_to(np.zeros((), x.dtype), x.shape) for name, x in arrays.items()}, **options)


def _lazily_summed(loss: Any, labels: Any, class_weight: Any, options: Options, dtype: Any) -> tuple[Any, Any]:
    """The mean or sum of the rows' losses, and what gradients are multiplied by."""
    total = summed(loss)
    if options["reduction"] == "sum":
        return total.map_blocks(narrowed, dtype, dtype=dtype), 1.0
    operands = {"loss": loss, "target": labels, "weight": class_weight if labels is not None else None}
    operands = {name: x for name, x in operands.items() if x is not None}
    layout = Layout({"loss": "...", "target": "...", "weight": "c"}, ("...",))
    index = {"ignore_index": options["ignore_index"]}
    weight = summed(lazily(_row_weights, layout, operands, index))
    mean = total.map_blocks(_mean, weight, options.get("empty", math.nan), dtype=np.float64)
    scale = weight.map_blocks(_reciprocal, dtype=np.float64)
    return mean.map_blocks(narrowed, dtype, dtype=dtype), scale


def _scaled_lazily(grad: Any, scale: Any) -> Any:
    return grad.map_blocks(_scaled, scale, None, dtype=grad.dtype)


def _reciprocal(weight: Any) -> Any:
    with np.errstate(all="ignore"):
        return 1 / weight if weight else np.float64(1.0)


def _lazy_linear_loss(function: Callable[..., Any], layout: Layout, operands: Options, options: Options) -> Any:
    """The loss of dask arrays; the gradients of what all rows share are summed over the blocks of rows."""
    labels, class_weight = operands["target"], operands.get("class_weight")
    summary = options["reduction"] in SUMMARIES
    _check_shapes(function, "hidden", layout, operands, options)
    dtype = _dtype_of_loss(operands, options)
    rows = {**options, "reduction": "none", "dtype": np.float64 if summary else dtype}
    if len(layout.results) == 1:
        loss = lazily(function, layout._replace(results=("...",)), operands, rows)
        return _lazily_summed(loss, labels, class_weight, options, dtype)[0] if summary else loss
    kind = _dtype_of_loss(operands, {"dtype": None})
    if (
        kind == np.float16
    ):  # blocks' gradients are summed before they are rounded; the layer multiplies as float32 anyway
        wide = {name: operands[name] for name in ("hidden", "weight")}
        wide = {name: (x if is_lazy(x) else np.asanyarray(x)).astype(np.float32) for name, x in wide.items()}
        operands = {**operands, **wide}
    loss, *gradients = _lazy_gradients(function, operands, rows)
    if summary:
        weight = None if class_weight is None else as_lazy(class_weight).rechunk(-1)
        loss, scale = _lazily_summed(loss, as_lazy(labels), weight, options, dtype)
        gradients = [_scaled_lazily(gradient, scale) for gradient in gradients]
    return loss, *(gradient.map_blocks(narrowed, kind, dtype=kind) for gradient in gradients)


def _lazy_gradients(function: Callable[..., Any], operands: Options, options: Options) -> list[Any]:
    """The rows' losses, and the gradients of their sum."""
    dask, array = import_module("dask"), import_module("dask.array")
    hidden, target = as_lazy(operands["hidden"]), as_lazy(operands["target"])
    shape, features = target.shape, hidden.shape[-1]
    if hidden.numblocks[-1] > 1:
        raise ValueError("hidden consists of multiple chunks along its axis of features: rechunk it to one")
    if hidden.ndim != 2 or len({is_lazy(operands[name]) for name in ("hidden", "target")}) > 1:
        refuse_unknown_lengths("hidden", hidden, range(hidden.ndim))
        refuse_unknown_lengths("target", target, range(target.ndim))
    shared = {name: x for name, x in operands.items() if name not in ("hidden", "target")}
    nothing = {name: np.zeros(x.shape, x.dtype) if is_lazy(x) else x for name, x in shared.items()}
    empty = np.zeros((0, features), hidden.dtype), np.zeros((0,), target.dtype)
    sample = function(hidden=empty[0], target=empty[1], **nothing, **options)
    if hidden.ndim != 2:
        hidden, target = hidden.reshape(-1, features), target.reshape(-1)
    hidden = hidden if is_lazy(operands["hidden"]) else hidden.rechunk({0: target.chunks[0]})
    target = target.rechunk({0: hidden.chunks[0]})
    once = [x.rechunk(-1).to_delayed(optimize_graph=False).item() if is_lazy(x) else x for x in shared.values()]
    block = dask.delayed(partial(call, function, ("hidden", "target", *shared), options), nout=len(sample), pure=True)
    blocks = [
        block(*pair, *once)
        for pair in zip(*(x.to_delayed(optimize_graph=False).ravel() for x in (hidden, target)), strict=True)
    ]
    found = []
    for i, result in enumerate(sample):
        each = hidden.chunks[0] if i < 2 else [None] * len(blocks)
        parts = [
            array.from_delayed(part[i], result.shape if n is None else (n, *result.shape[1:]), result.dtype)
            for n, part in zip(each, blocks, strict=True)
        ]
        if i < 2:
            whole = array.concatenate(parts)
            found.append(whole if len(shape) == 1 else whole.reshape(*shape, *result.shape[1:]))
        else:
            found.append(cast(summed(array.stack(parts), 0), result.dtype))
    return found
