"""Scores of predicted regions: how much they and the true ones overlap, class by class."""

import math
from functools import partial
from typing import Any

import numpy as np

from fastact.calls.checking import integer, number, switch
from fastact.calls.containers import is_container, within
from fastact.calls.layout import Layout
from fastact.calls.lazy import in_one_task
from fastact.calls.widening import taking_bfloat16
from fastact.functions import region_reference
from fastact.functions.cross_entropy_requests import check_reduction, loss_dtype, narrowed
from fastact.functions.docs import documented
from fastact.functions.record import Function, Operand, Variant, register
from fastact.functions.region_requests import check_labels

DOUBLE = np.dtype(np.float64)


@taking_bfloat16
@documented
def iou_score(
    prediction: Any,
    target: Any,
    *,
    num_classes: int | None = None,
    ignore_index: int | None = None,
    per_image: bool = False,
    empty: float = math.nan,
    reduction: str = "mean",
    dtype: Any = None,
) -> Any:
    r"""Intersection over union of predicted and true regions, the Jaccard score.

    <scores>

    Notes
    -----
    .. math:: \frac{|A_c \cap B_c|}{|A_c \cup B_c|}

    Pixels are counted exactly; a score and a mean are rounded like any division in float64.

    Examples
    --------
    >>> import fastact as fa
    >>> prediction, target = [[0, 0, 1], [1, 1, 2]], [[0, 1, 1], [1, 1, 0]]
    >>> fa.iou_score(prediction, target, reduction="none").round(4)
    array([0.3333, 0.75  , 0.    ])
    >>> round(float(fa.iou_score(prediction, target)), 4)
    0.3611
    """
    return _score(iou_score, False, prediction, target, locals())


@taking_bfloat16
@documented
def dice_score(
    prediction: Any,
    target: Any,
    *,
    num_classes: int | None = None,
    ignore_index: int | None = None,
    per_image: bool = False,
    empty: float = math.nan,
    reduction: str = "mean",
    dtype: Any = None,
) -> Any:
    r"""Dice score of predicted and true regions: what they have in common over the mean of both, the F1 score of pixels.

    <scores>

    Notes
    -----
    .. math:: \frac{2\,|A_c \cap B_c|}{|A_c| + |B_c|}

    Pixels are counted exactly; a score and a mean are rounded like any division in float64.

    Examples
    --------
    >>> import fastact as fa
    >>> prediction, target = [[0, 0, 1], [1, 1, 2]], [[0, 1, 1], [1, 1, 0]]
    >>> fa.dice_score(prediction, target, reduction="none").round(4)
    array([0.5   , 0.8571, 0.    ])
    >>> round(float(fa.dice_score(prediction, target)), 4)
    0.4524
    """
    return _score(dice_score, True, prediction, target, locals())


OPTIONS = ("num_classes", "ignore_index", "per_image", "empty", "reduction", "dtype")


def _score(function: Any, dice: bool, prediction: Any, target: Any, given: dict[str, Any]) -> Any:
    options = {name: given[name] for name in OPTIONS}
    if any(map(is_container, (prediction, target))):
        layout = Layout({"prediction": "...", "target": "..."}, ("",), ("",) if options["reduction"] == "none" else ())
        operands = {"prediction": prediction, "target": target}
        return within(function, layout, operands, options, partial(_of_masked, dice), _lazily)
    return _counted(dice, prediction, target, None, **options)


MOST_PAIRS = 2**14
"""Number of pairs of classes, of all images, up to which pixels are counted by pairs, in one table."""
PIECE = 2**16
"""Number of pixels whose pairs are counted at a time: what is in between stays in the cache."""


def _of_masked(dice: bool, prediction: Any, target: Any, **options: Any) -> Any:
    """The score as if the pixels were not there that either mask hides."""
    hidden = np.ma.getmaskarray(prediction) | np.ma.getmaskarray(target)
    return _counted(dice, np.ma.getdata(prediction), np.ma.getdata(target), hidden, **options)


def _lazily(function: Any, layout: Layout, operands: Any, options: Any) -> Any:
    """The score of dask arrays."""
    if options["reduction"] == "none" and options["num_classes"] is None:
        raise ValueError("num_classes must be given where scores of dask arrays are not reduced")
    shape = np.shape(operands["target"])
    small = [n if options["per_image"] and not k else min(n, 1) for k, n in enumerate(shape)]
    return in_one_task(function, operands, options, {"prediction": small, "target": small})


def _counted(
    dice: bool,
    prediction: Any,
    target: Any,
    hidden: Any,
    *,
    num_classes: Any,
    ignore_index: Any,
    per_image: Any,
    empty: Any,
    reduction: Any,
    dtype: Any,
) -> Any:
    """The score of plain arrays but for pixels that are hidden."""
    check_reduction(reduction, ("mean", "none"))
    per_image, empty, dtype = switch("per_image", per_image), number("empty", empty), loss_dtype(dtype, DOUBLE)
    prediction, target = _labels("prediction", prediction), _labels("target", target)
    if prediction.shape != target.shape:
        raise ValueError(f"prediction and target must have one shape, got {prediction.shape} and {target.shape}")
    binary = prediction.dtype.kind == "b" and target.dtype.kind == "b"
    if prediction.dtype.kind != target.dtype.kind and "b" in (prediction.dtype.kind, target.dtype.kind):
        raise TypeError(
            f"prediction and target must both hold booleans or integers, got {prediction.dtype} and {target.dtype}"
        )
    counted = None if hidden is None else ~hidden
    if ignore_index is not None:
        kept = target != integer("ignore_index", ignore_index, "an integer or None")
        counted = kept if counted is None else counted & kept
    per_image = per_image and target.ndim > 0
    images = target.shape[0] if per_image else 1
    image: Any = 0
    if per_image:
        image = np.broadcast_to(np.arange(images).reshape(-1, *[1] * (target.ndim - 1)), target.shape)
        image = image.reshape(-1) if counted is None else image[counted]
    if counted is not None:
        prediction, target = prediction[counted], target[counted]
    classes = 2 if binary else _classes(prediction, target, num_classes)
    both, either = _counts(image, images, prediction.reshape(-1), target.reshape(-1), classes)
    above, below = (2 * both, either) if dice else (both, either - both)
    scores = np.where(below == 0, empty, above / np.maximum(1, below))
    scores = scores[:, 1] if binary else scores
    if reduction == "mean":
        known = scores[~np.isnan(scores)]
        return narrowed(np.float64(np.mean(known) if known.size else math.nan), dtype)
    return narrowed(scores if per_image else scores[0], dtype)[()]


def _counts(image: Any, images: int, prediction: Any, target: Any, classes: int) -> tuple[Any, Any]:
    """How many pixels of each image are of each class in both, and how many in one plus in the other."""
    rows = images * classes
    if rows * classes <= MOST_PAIRS:
        pairs = np.zeros(rows * classes, np.intp)
        for start in range(0, target.size, PIECE):
            piece = slice(start, start + PIECE)
            which = image[piece] * classes if images > 1 else np.zeros((), np.intp)
            which = (which + prediction[piece]) * classes + target[piece]
            pairs += np.bincount(which.astype(np.intp, copy=False), minlength=pairs.size)
        table = pairs.reshape(images, classes, classes)
        return np.diagonal(table, axis1=1, axis2=2), table.sum(1) + table.sum(2)
    ours, theirs = (image * classes + labels.astype(np.intp, copy=False) for labels in (prediction, target))
    in_each = (np.bincount(of, minlength=rows) for of in (ours[ours == theirs], ours, theirs))
    both, of_ours, of_theirs = (found.reshape(images, classes) for found in in_each)
    return both, of_ours + of_theirs


def _labels(name: str, labels: Any) -> Any:
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iub":
        raise TypeError(f"{name} must hold integers (class indices) or booleans, got {labels.dtype}")
    return labels


def _classes(prediction: Any, target: Any, given: Any) -> int:
    """The number of classes; ``IndexError`` for a label beyond."""
    largest = max(int(labels.max()) if labels.size else -1 for labels in (prediction, target))
    classes = largest + 1 if given is None else integer("num_classes", given, "an integer or None")
    if classes < 0 or (given is not None and classes < 1):
        raise ValueError(f"num_classes must be at least 1, got {given}")
    for name, labels in (("prediction", prediction), ("target", target)):
        check_labels(name, labels, classes, None)
    return classes


REGIONS = Operand("labels", below=4)
WAYS = [
    Variant(),
    Variant({"num_classes": 5, "ignore_index": 1}),
    Variant({"per_image": True, "empty": 1.0}),
]

for _function, _dice in ((iou_score, False), (dice_score, True)):
    register(
        Function(
            _function.__name__,
            make=partial(lambda function: function, _function),
            operands=[REGIONS, REGIONS],
            reference=partial(region_reference.score, dice=_dice),
            ulp=0.0,
            double_ulp=0.0,
            home=__name__,
            family="region-losses",
            variants=WAYS,
            whole=True,
            written=(),
        )
    )
