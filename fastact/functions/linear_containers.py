"""The loss of a linear layer of containers: what masks hide is left out of it, and that of dask arrays stays lazy."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from fastact.calls.containers import masked, within
from fastact.calls.layout import Layout
from fastact.calls.lazy import as_lazy, at_shape, call, cast, is_lazy, lazily, refuse_unknown_lengths, summed
from fastact.functions.cross_entropy_containers import (
    SUMMARIES,
    Options,
    as_known_target,
    check_shapes,
    derivatives_of,
    dtype_of_loss,
    labels_that_count,
    lazily_summed,
    listed,
    masked_rows,
    scaled_lazily,
    split_call,
    without_upstream,
)
from fastact.functions.cross_entropy_requests import narrowed

ROWS = ("hidden", "target", "sample_weight", "upstream")
"""Operands of which each row has its own."""


@np.errstate(all="ignore")
def linear_loss_of_containers(function: Callable[..., Any], given: Options) -> Any:
    """Call `linear_cross_entropy` or `linear_cross_entropy_with_grad` with operands some of which are containers."""
    names = ("hidden", "weight", "target", "bias", "class_weight", "sample_weight", "upstream")
    operands, options = split_call(function, given, names)
    operands["target"] = as_known_target(operands["target"], np.ndim(operands["hidden"]) - 1)
    row = "" if options["reduction"] in SUMMARIES else "..."
    axes = {"hidden": "...f", "weight": "cf", "target": "...", "bias": "c", "class_weight": "c"}
    axes |= {"sample_weight": "...", "upstream": row}
    gradients = [axes[name] for name in _learnt(function, operands)]
    layout = Layout(axes, (row, *gradients), ("hidden", *_learnt(function, operands)) if gradients else ())
    return within(function, layout, operands, options, partial(_unmasked_linear_loss, function), _lazy_linear_loss)


def _learnt(function: Callable[..., Any], operands: Options) -> list[str]:
    """The operands that a function of a linear layer returns gradients for."""
    if not derivatives_of(function):
        return []
    return ["hidden", "weight", *(["bias"] if operands.get("bias") is not None else [])]


def _unmasked_linear_loss(function: Callable[..., Any], hidden: Any, weight: Any, target: Any, **arguments: Any) -> Any:
    """The loss with zeros for what is masked in the layer, and without rows whose label, or whole input, is masked."""
    operands = {"hidden": hidden, "weight": weight, **arguments}
    for name in ("hidden", "weight", "bias", "class_weight", "sample_weight", "upstream"):
        if isinstance(operands.get(name), np.ma.MaskedArray):
            operands[name] = np.ma.filled(operands[name], 0)
    labels, off = np.ma.getdata(target), np.ma.getmaskarray(target)
    if labels.dtype.kind in "iu" and np.ndim(hidden) and labels.shape == np.shape(hidden)[:-1]:
        for name in ("sample_weight", "upstream"):
            off = off | masked_rows(name, arguments.get(name), off.shape)
        if np.shape(hidden)[-1]:
            off = off | _moved_by(arguments["shift"], np.ma.getmaskarray(hidden).all(-1))
        labels = labels_that_count(np.ma.asarray(target), off, arguments["ignore_index"]) if off.any() else labels
    results = listed(function(target=labels, **operands))
    if arguments["reduction"] == "none":
        results[0] = masked(results[0], off, None)
    given = {"hidden": hidden, "weight": weight, **arguments}
    for i, name in enumerate(_learnt(function, given), 1):
        if isinstance(given[name], np.ma.MaskedArray):
            results[i] = np.ma.array(results[i], mask=np.ma.getmaskarray(given[name]))
    return tuple(results) if len(results) > 1 else results[0]


def _moved_by(shift: int, rows: Any) -> Any:
    """What is known of each hidden state, at the place of the label that it predicts."""
    if not (shift and rows.ndim):
        return rows
    moved = np.zeros_like(rows)
    moved[..., shift:] = rows[..., : max(0, rows.shape[-1] - shift)]
    return moved


def _lazy_linear_loss(function: Callable[..., Any], layout: Layout, operands: Options, options: Options) -> Any:
    """The loss of dask arrays; the gradients of what all rows share are summed over the blocks of rows."""
    check_shapes(function, "hidden", layout, operands, options)
    if options["shift"]:
        return _lazily_shifted(function, layout, operands, options)
    summary = options["reduction"] in SUMMARIES
    operands, upstream = without_upstream(operands, options)
    if "sample_weight" in operands:
        operands["sample_weight"] = at_shape("sample_weight", operands["sample_weight"], np.shape(operands["target"]))
    labels, class_weight, sample_weight = (operands.get(name) for name in ("target", "class_weight", "sample_weight"))
    dtype = dtype_of_loss(operands, options)
    rows = {**options, "reduction": "none", "dtype": np.float64 if summary else dtype}
    if len(layout.results) == 1:
        loss = lazily(function, layout._replace(results=("...",)), operands, rows)
        return lazily_summed(loss, labels, class_weight, options, dtype, sample_weight)[0] if summary else loss
    kind = dtype_of_loss(operands, {"dtype": None})
    if (
        kind == np.float16
    ):  # blocks' gradients are summed before they are rounded; the layer multiplies as float32 anyway
        wide = {name: operands[name] for name in ("hidden", "weight")}
        wide = {name: (x if is_lazy(x) else np.asanyarray(x)).astype(np.float32) for name, x in wide.items()}
        operands = {**operands, **wide}
    loss, *gradients = _lazy_gradients(function, operands, rows)
    if summary:
        weight = None if class_weight is None else as_lazy(class_weight).rechunk(-1)
        loss, scale = lazily_summed(loss, as_lazy(labels), weight, options, dtype, sample_weight)
        gradients = [scaled_lazily(gradient, scale * upstream) for gradient in gradients]
    return loss, *(gradient.map_blocks(narrowed, kind, dtype=kind) for gradient in gradients)


def _lazily_shifted(function: Callable[..., Any], layout: Layout, operands: Options, options: Options) -> Any:
    """The loss of hidden states each of which predicts a later label, as that of those that do, and zeros for the others."""
    array, target = import_module("dask.array"), operands["target"]
    shape, last, shift = np.shape(target), np.ndim(target) - 1, options["shift"]
    refuse_unknown_lengths("target", target, range(len(shape)))
    kept, left = dict(operands), max(0, shape[last] - shift)
    for name in ROWS[1:]:
        if np.ndim(kept.get(name, 0)):
            kept[name] = at_shape(name, kept[name], shape)[..., shape[last] - left :]
    kept["hidden"] = kept["hidden"][..., :left, :]
    results = listed(_lazy_linear_loss(function, layout, kept, {**options, "shift": 0}))
    if options["reduction"] not in SUMMARIES:
        unused = array.zeros((*shape[:last], shape[last] - left), dtype=results[0].dtype)
        whole = array.concatenate([unused, results[0]], axis=-1)
        results[0] = whole.rechunk(target.chunks) if is_lazy(target) else whole
    if len(results) > 1:
        features = results[1].shape[-1]
        unused = array.zeros((*shape[:last], shape[last] - left, features), dtype=results[1].dtype)
        whole = array.concatenate([results[1], unused], axis=-2)
        results[1] = whole.rechunk(operands["hidden"].chunks) if is_lazy(operands["hidden"]) else whole
    return tuple(results) if len(results) > 1 else results[0]


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
    own = {name: as_lazy(operands[name]) for name in ROWS[2:] if np.ndim(operands.get(name, 0))}
    if own:
        refuse_unknown_lengths("target", target, range(target.ndim))
    shared = {name: x for name, x in operands.items() if name not in ("hidden", "target", *own)}
    nothing = {name: np.zeros(x.shape, x.dtype) if is_lazy(x) else x for name, x in shared.items()}
    nothing |= {name: np.zeros(0, x.dtype) for name, x in {"target": target, **own}.items()}
    sample = function(hidden=np.zeros((0, features), hidden.dtype), **nothing, **options)
    if hidden.ndim != 2:
        hidden = hidden.reshape(-1, features)
    own = {name: x if x.ndim == 1 else x.reshape(-1) for name, x in {"target": target, **own}.items()}
    hidden = hidden if is_lazy(operands["hidden"]) else hidden.rechunk({0: own["target"].chunks[0]})
    own = {"hidden": hidden} | {name: x.rechunk({0: hidden.chunks[0]}) for name, x in own.items()}
    once = [x.rechunk(-1).to_delayed(optimize_graph=False).item() if is_lazy(x) else x for x in shared.values()]
    block = dask.delayed(partial(call, function, (*own, *shared), options), nout=len(sample), pure=True)
    blocks = [
        block(*rows, *once)
        for rows in zip(*(x.to_delayed(optimize_graph=False).ravel() for x in own.values()), strict=True)
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
