"""Region losses and scores of containers: what masks hide counts nothing, and those of dask arrays are computed later."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from fastact.calls.checking import integer, only_axis, switch
from fastact.calls.containers import masked, within, without_masked
from fastact.calls.layout import Layout
from fastact.calls.lazy import in_one_task
from fastact.functions.region_requests import check_labels, check_shares

HIDDEN = -1
"""The label of what a mask hides: no class, and no share of one."""


def of_containers(function: Any, operands: dict[str, Any], options: dict[str, Any], gradient: bool) -> Any:
    """The loss of operands some of which are containers."""
    options["axis"] = integer("axis", options["axis"])
    binary, per_image = options["mode"] == "binary", switch("per_image", options["per_image"])
    whole = "..." if binary else "...n"
    labels = np.ndim(operands["target"]) < np.ndim(operands["input"])
    by_class = options["reduction"] == "none" and not binary and not per_image
    losses = "n" if by_class else ""
    operands |= {name: options.pop(name) for name in ("weight", "upstream") if options.get(name) is not None}
    axes = {"input": whole, "target": "..." if labels else whole, "weight": "n", "upstream": losses}
    # Losses of images and classes are arrays: their axes have no name in a layout.
    owners = ("input" if by_class else "", "input") if options["reduction"] == "none" else ()
    layout = Layout(axes, (losses, *[whole] * gradient), owners[: 1 + gradient])
    return within(function, layout, operands, options, partial(_of_masked, function), _lazily)


def _of_masked(function: Any, **arguments: Any) -> Any:
    """The loss as if masked classes were not there, nor pixels whose label is masked or of such a class, or all of whose are."""
    like, target, axis = arguments.pop("input"), arguments.pop("target"), arguments["axis"]
    hidden, unknown = np.ma.getmaskarray(like), np.ma.getmaskarray(target)
    x, labels, out = np.ma.getdata(like), np.asarray(np.ma.getdata(target)), arguments.get("out")
    for name in ("weight", "upstream"):
        if arguments.get(name) is not None:
            arguments[name] = np.ma.filled(arguments[name], 0)
    if out is not None:
        arguments["out"] = np.ma.getdata(out)
    of_softmax = arguments["mode"] == "multiclass" and arguments["from_logits"]
    off = _uncounted(hidden, unknown, labels, axis) if hidden.any() or unknown.any() else None
    if off is not None:
        x = without_masked(like, hidden, 0.0)
        labels, arguments["ignore_index"] = _hide(labels, off, arguments["ignore_index"], hidden, axis)
        if of_softmax:
            x = np.where(hidden & ~hidden.all(axis, keepdims=True), x.dtype.type(-np.inf), x)
    found = function(x, labels, **arguments)
    if not isinstance(found, tuple) or (out is None and not isinstance(like, np.ma.MaskedArray)):
        return found
    return found[0], masked(found[1], hidden, out, like)


def _uncounted(hidden: Any, unknown: Any, labels: Any, axis: int) -> Any:
    """Which elements of the target do not count; ``None`` if its shape is wrong, as the function itself will say."""
    if labels.shape == hidden.shape:
        return hidden | unknown
    if not hidden.ndim or labels.dtype.kind not in "iu":
        return None
    axis = only_axis(axis, hidden.ndim)
    classes = hidden.shape[axis]
    if not classes or labels.shape != hidden.shape[:axis] + hidden.shape[axis + 1 :]:
        return None
    known = np.expand_dims(np.clip(labels, 0, classes - 1).astype(np.intp), axis)
    of_hidden = np.take_along_axis(hidden, known, axis).squeeze(axis) & (labels >= 0) & (labels < classes)
    return unknown | of_hidden | hidden.all(axis)


def _hide(labels: Any, off: Any, ignored: int | None, hidden: Any, axis: int) -> tuple[Any, int]:
    """A target that says what does not count, and what says so there; an error for one that is wrong elsewhere."""
    if ignored is not None:
        off = off | (labels == ignored)
    sound = np.where(off, labels.dtype.type(0), labels)
    if labels.shape == hidden.shape:
        check_shares(sound)
    else:
        check_labels("target", sound, hidden.shape[axis], None)
    wide = labels if labels.dtype.kind == "f" else sound.astype(np.int64)
    return np.where(off, wide.dtype.type(HIDDEN), wide), HIDDEN


def _lazily(function: Any, layout: Layout, operands: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The loss of dask arrays, whose sums are over all pixels."""
    x = operands["input"]
    axis = only_axis(options["axis"], max(1, x.ndim))
    classes = () if options["mode"] == "binary" else (axis,)
    images = next((k for k in range(x.ndim) if k not in classes), None) if options["per_image"] else None
    small = [n if k in classes or k == images else min(n, 1) for k, n in enumerate(x.shape)]
    shapes = {"input": small, "target": small}
    if np.ndim(operands["target"]) < x.ndim:
        shapes["target"] = [n for k, n in enumerate(small) if k != axis]
    return in_one_task(function, operands, options, shapes, like="input")
