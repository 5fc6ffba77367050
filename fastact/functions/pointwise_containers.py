"""Losses of single elements of containers: what masks hide is left out of them, and those of dask arrays stay lazy."""

import inspect
import math
from functools import partial
from typing import Any

import numpy as np

from fastact.calls.checking import broadcast_to
from fastact.calls.containers import masked, within
from fastact.calls.layout import Layout
from fastact.calls.lazy import lazily, refuse_out, summed
from fastact.functions.cross_entropy_requests import loss_dtype, narrowed, rounded

OPERANDS = ("input", "target", "weight", "pos_weight", "upstream")
"""Names of what may be an array."""


def of_containers(function: Any, operands: dict[str, Any], options: dict[str, Any], derivatives: int) -> Any:
    """The loss of operands some of which are containers."""
    row = "..." if options["reduction"] == "none" else ""
    axes = dict.fromkeys(operands, "...") | ({"upstream": row} if "upstream" in operands else {})
    layout = Layout(axes, (row, *["..."] * derivatives))
    return within(function, layout, operands, options, partial(_of_masked, function), _lazily)


def _of_masked(function: Any, **arguments: Any) -> Any:
    """The loss as if what any operand hides were not there."""
    out, reduction, ignored = arguments.get("out"), arguments["reduction"], arguments.get("ignore_index")
    like = arguments["input"]
    operands = {name: arguments.pop(name) for name in OPERANDS if arguments.get(name) is not None}
    shape = np.shape(like)
    hidden = np.zeros(shape, bool)
    for name, x in operands.items():
        hidden |= broadcast_to(name, np.ma.getmaskarray(x), shape) if np.ndim(x) else np.ma.getmaskarray(x)
    plain = {name: np.asarray(np.ma.getdata(x)) for name, x in operands.items()}
    for name, x in plain.items():
        if np.ma.isMA(operands[name]) or name in ("input", "target"):
            plain[name] = np.where(hidden, x.dtype.type(name != "input"), x)
    plain["weight"] = np.where(hidden, 0, plain.get("weight", np.ones((), np.float16)))
    counted = ~hidden & (plain["target"] != ignored)
    divisor = {"mean": np.count_nonzero(counted), "batchmean": shape[0] if shape else 1}.get(reduction, 1)
    if reduction != "none":
        dtype = loss_dtype(arguments["dtype"], np.result_type(plain["input"].dtype, np.float16))
        arguments |= {"reduction": "sum", "dtype": np.float64}
        if "upstream" in inspect.signature(function).parameters:
            plain["upstream"] = np.divide(plain.get("upstream", 1.0), divisor or 1)
    outs = list(out) if isinstance(out, tuple) else [out, out]
    if out is not None:
        arguments["out"] = tuple(map(_data_of, out)) if isinstance(out, tuple) else _data_of(out)
    found = function(**plain, **arguments)
    loss, *grads = found if isinstance(found, tuple) else (found,)
    if reduction == "none":
        loss = masked(loss, hidden, None, like)
    else:
        loss = rounded(float(loss) / divisor if divisor else math.nan, dtype)
    return (loss, *(masked(g, hidden, o, like) for g, o in zip(grads, outs, strict=False))) if grads else loss


def _data_of(out: Any) -> Any:
    """The memory under an ``out``, if there is one."""
    return None if out is None else np.ma.getdata(out)


def _lazily(function: Any, layout: Layout, operands: dict[str, Any], options: dict[str, Any]) -> Any:
    """The loss of dask arrays: those of elements by blocks, and their mean or sum as dask reduces."""
    refuse_out(options)
    reduction = options["reduction"]
    if reduction == "none":
        return lazily(function, layout, operands, options)
    upstream = operands.get("upstream", 1.0)
    operands = {name: x for name, x in operands.items() if name != "upstream"}
    x = operands["input"]
    dtype = loss_dtype(options["dtype"], np.result_type(x.dtype, np.float16))
    layout = Layout(dict.fromkeys(operands, "..."), ("...",) * len(layout.results))
    found = lazily(function, layout, operands, {**options, "reduction": "none", "dtype": np.float64})
    losses, *grads = found if isinstance(found, tuple) else (found,)
    total = summed(losses)
    divisor: Any = 1.0
    if reduction == "batchmean":
        divisor = x.shape[0] if x.ndim else 1
    elif reduction == "mean":
        each = {"x": losses, "target": operands["target"]}
        counts = lazily(
            _counted, Layout(dict.fromkeys(each, "..."), ("...",)), each, {"ignored": options.get("ignore_index")}
        )
        divisor = summed(counts)
    mean = (total / divisor).map_blocks(narrowed, dtype, dtype=dtype)
    return (mean, *((g * (upstream / divisor)).astype(g.dtype) for g in grads)) if grads else mean


def _counted(x: Any, target: Any, ignored: int | None) -> Any:
    """One for each element that counts."""
    return (
        np.broadcast_to(target != ignored, np.shape(x)).astype(np.float64)
        if ignored is not None
        else np.ones(np.shape(x))
    )
