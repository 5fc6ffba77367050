"""How often predictions are right: the zero-one loss, accuracy, and accuracy among the best few."""

import math
from functools import cache, partial
from typing import Any

import numpy as np

from fastact.calls.checking import as_integer, only_axis
from fastact.calls.containers import masked, within
from fastact.calls.layout import Layout
from fastact.calls.quiet import quietly
from fastact.calls.widening import taking_bfloat16
from fastact.functions.cross_entropy_containers import are_contained, loss_of_containers, split_call
from fastact.functions.cross_entropy_requests import (
    Request,
    check_labels,
    checked_weight,
    labelled,
    loss_dtype,
    rounded,
)
from fastact.functions.cross_entropy_results import as_rows, reduced, row_results
from fastact.functions.docs import documented
from fastact.functions.record import LABELS, OF_EACH_CLASS, Function, X, register, variants
from fastact.kernels.limits import LOSS, LSE, WANT_LSE, WANT_WEIGHT
from fastact.kinds.labelled import LabelledKernel
from fastact.kinds.rows import Once, Sum
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, select, widen
from fastact.runtime.ufunc import make_ufunc

MOST = 2**31
"""More classes than any row has."""


@scalar
def _rank_terms(x: Scalar, x_label: Scalar) -> tuple[Scalar, Scalar]:
    """Whether an element is above the label's, as NaN is above all that is not, and whether they are equal, as NaN are."""
    T = type(x)
    unknown = x_label != x_label
    equal = (x == x_label) | (unknown & (x != x))
    return select((x <= x_label) | unknown, T(0), T(1)), select(equal, T(1), T(0))


@scalar
def _score_of_rank(above: Scalar, equal: Scalar, w_label: Scalar, k: Scalar, wrong: Scalar) -> tuple[Scalar, Scalar]:
    """The label's weight if it is among the best `k`, or if it is not; and 1 if that depends on which of equals come first."""
    one, zero = widen(1.0), widen(0.0)
    among = select(above < k, one, zero)
    counted = select(wrong > zero, one - among, among) > zero
    return select(counted, widen(w_label), zero), among * select(above + equal > k, one, zero)


@cache
def _ufunc() -> Any:
    passes: list[Any] = [Sum("above equal", _rank_terms), Once("loss lse", _score_of_rank, wide="loss lse")]
    kernel = LabelledKernel("label_scores", passes, option_names="k wrong", cost=0.2)
    return make_ufunc(kernel, kernel.name, "Whether labels are among the best few, and whether ties decide.", __name__)


@taking_bfloat16
@documented
def zero_one_loss(
    input: Any,  # noqa: A002 - the name that all losses give it
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    axis: int = -1,
    dtype: Any = None,
) -> Any:
    r"""Share of rows that are classified wrongly.

    Parameters
    ----------
    <scores to axis>
    dtype : dtype, optional
        Of the result: float16, float32 or float64; that of `input` by default, float64 for predicted classes.

    Returns
    -------
    scalar or ndarray
        Of `dtype`; with ``reduction="none"`` for each row the weight of its label, 1 without `weight`, or 0,
        which it is where the row is ignored.

    <label errors>

    See Also
    --------
    accuracy : the share that is classified rightly.

    Notes
    -----
    .. math:: [\arg\max_j x_j \ne y]

    Of classes that share the largest score the first is predicted, as ``argmax`` does; NaN is larger than all. Error: at most 1 ULP
    (2 in float64).

    Examples
    --------
    >>> import fastact as fa
    >>> float(fa.zero_one_loss([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [0.5, 1.5]], [0, 1, 1, 1]))
    0.25
    """
    return _score(zero_one_loss, locals(), 1, wrong=True)


@taking_bfloat16
@documented
def accuracy(
    input: Any,  # noqa: A002
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    axis: int = -1,
    dtype: Any = None,
) -> Any:
    r"""Share of rows that are classified rightly.

    Parameters
    ----------
    <scores to axis>
    dtype : dtype, optional
        Of the result: float16, float32 or float64; that of `input` by default, float64 for predicted classes.

    Returns
    -------
    scalar or ndarray
        Of `dtype`; with ``reduction="none"`` for each row the weight of its label, 1 without `weight`, or 0,
        which it is where the row is ignored.

    <label errors>

    See Also
    --------
    top_k_accuracy : the share whose label is among the best few.

    Notes
    -----
    .. math:: [\arg\max_j x_j = y]

    Of classes that share the largest score the first is predicted, as ``argmax`` does; NaN is larger than all. Error: at most 1 ULP
    (2 in float64). With `weight` set to the reciprocals of the classes' frequencies it is the balanced accuracy.

    Examples
    --------
    >>> import fastact as fa
    >>> float(fa.accuracy([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [0.5, 1.5]], [0, 1, 1, 1]))
    0.75
    """
    return _score(accuracy, locals(), 1, wrong=False)


@taking_bfloat16
@documented
def top_k_accuracy(
    input: Any,  # noqa: A002
    target: Any,
    *,
    k: int = 5,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    axis: int = -1,
    dtype: Any = None,
) -> Any:
    r"""Share of rows whose label is among the classes with the `k` largest scores.

    Parameters
    ----------
    <scores to axis>
    k : int, default 5
        At least 1. With as many as there are classes every row is right.
    dtype : dtype, optional
        Of the result: float16, float32 or float64; that of `input` by default, float64 for predicted classes.

    Returns
    -------
    scalar or ndarray
        Of `dtype`; with ``reduction="none"`` for each row the weight of its label, 1 without `weight`, or 0,
        which it is where the row is ignored.

    <label errors>

    Notes
    -----
    .. math:: [\#\{j : x_j > x_y\} + \#\{j < y : x_j = x_y\} < k]

    Nothing is sorted: one pass counts what is above the label's score. Of equal scores the first count as larger; NaN is larger
    than all. Error: at most 1 ULP (2 in float64).

    Examples
    --------
    >>> import fastact as fa
    >>> float(fa.top_k_accuracy([[0.5, 0.25, 0.125], [0.125, 0.5, 0.25]], [1, 0], k=2))
    0.5
    """
    count = as_integer(k)
    if count is None or count < 1:
        raise (TypeError if count is None else ValueError)(f"k must be an integer of at least 1, got {k!r}")
    return _score(top_k_accuracy, locals(), min(count, MOST), wrong=False)


def _score(function: Any, given: dict[str, Any], k: int, *, wrong: bool) -> Any:
    """Which rows have their label among the best `k`, or have not, and the mean or sum of that."""
    x, target, ignored, reduction = (given[name] for name in ("input", "target", "ignore_index", "reduction"))
    if k == 1 and np.ndim(x) == np.ndim(target) and np.asanyarray(x).dtype.kind in "iu":
        return _score_of_predictions(function, given, wrong)
    if are_contained(x, target, given["weight"]):
        return loss_of_containers(function, given, "input")
    request = labelled(x, target, given["weight"], ignored, reduction, given["axis"])
    dtype = loss_dtype(given["dtype"], request.logits.dtype)
    all_count = check_labels(request) == 0 and not request.weighted
    wanted = WANT_LSE if all_count else WANT_LSE | WANT_WEIGHT
    operands = request.beside((float(k), float(wrong)), wanted=wanted)
    results = _ufunc()(*operands, out=(row_results(request.target.shape),))
    tied = results[..., LSE] > 0
    if np.any(tied):
        among = _among_best(request, tied, k)
        labels = request.target[tied]
        results[tied, LOSS] = np.where(among != wrong, request.weight[labels], 0.0)
    found = reduced(reduction, results, dtype, math.nan, request.weighted, all_count)
    return as_rows(found, request) if reduction == "none" else found


def _score_of_predictions(function: Any, given: dict[str, Any], wrong: bool) -> Any:
    """As `_score` of classes that were predicted, in place of the scores of each; what is masked does not count."""
    operands, options = split_call(function, given, ("input", "target", "weight"))
    operands["weight"] = np.ma.filled(given["weight"], 0) if np.ma.isMA(given["weight"]) else given["weight"]
    only_axis(options["axis"], np.ndim(given["input"]) + 1)
    dtype = loss_dtype(options["dtype"], np.dtype(np.float64))
    if options["reduction"] != "none" or not are_contained(given["input"], given["target"]):
        arrays = {name: x if np.ma.isMA(x) or x is None else np.asarray(x) for name, x in operands.items()}
        return _of_predictions(wrong, dtype, options, **arrays)
    layout = Layout({"input": "...", "target": "...", "weight": "n"}, ("...",))
    own = partial(_of_predictions, wrong, dtype, options)
    return within(own, layout, operands, {}, own)


def _of_predictions(
    wrong: bool,
    dtype: Any,
    options: dict[str, Any],
    input: Any,  # noqa: A002
    target: Any,
    weight: Any = None,
) -> Any:
    """The score of classes in arrays, or in masked ones."""
    if np.shape(target) != np.shape(input):
        raise ValueError(f"target must have the shape {np.shape(input)} of the predictions, got {np.shape(target)}")
    if np.asanyarray(target).dtype.kind not in "iu":
        raise TypeError(f"target must hold integers (class indices), got {np.asanyarray(target).dtype}")
    hidden = np.ma.getmaskarray(input) | np.ma.getmaskarray(target)
    labels, ignored = np.asarray(np.ma.getdata(target)), options["ignore_index"]
    if np.any(hidden):
        labels = np.where(hidden, ignored, labels.astype(np.int64))
    counted = ~hidden & (labels != ignored)
    each = counted * 1.0
    if weight is not None:
        weight = checked_weight(weight, np.size(weight), "weight")
        check_labels(Request(None, labels, len(weight), -1, options["reduction"], ignored, weight))
        each = np.where(counted, weight[np.where(counted, labels, 0)], 0.0)
    right = np.asarray(np.ma.getdata(input)) == labels
    losses = np.where((right != wrong) & counted, each, 0.0)
    if options["reduction"] == "none":
        losses = losses.astype(dtype)[()]
        return masked(losses, hidden, None, input) if np.ma.isMA(input) or np.ma.isMA(target) else losses
    total = float(quietly(np.add.reduce, losses.reshape(-1), dtype=np.float64))
    divisor = 1.0
    if options["reduction"] == "mean":
        divisor = float(quietly(np.add.reduce, each.reshape(-1), dtype=np.float64))
    return rounded(total / divisor if divisor else total * math.inf, dtype)


def _among_best(request: Any, tied: Any, k: int) -> Any:
    """Whether the labels of these rows are among the best `k`; among equals the first are better."""
    rows, labels = request.logits[tied], request.target[tied][:, None]
    own = np.take_along_axis(rows, labels, -1)
    unknown = np.isnan(own)
    equal = (rows == own) | (unknown & np.isnan(rows))
    better = ~((rows <= own) | unknown) | (equal & (np.arange(rows.shape[-1]) < labels))
    return np.count_nonzero(better, -1) < k


def _reference(best: int, wrong: bool, x: Any, target: Any, **given: Any) -> Any:
    k, axis = given.get("k", best), given.get("axis", -1)
    rows = np.moveaxis(np.asarray(x, np.float64), axis, -1)
    order = np.lexsort((-rows, ~np.isnan(rows)), axis=-1)[..., :k]  # NaN first
    counted = target != given.get("ignore_index", -100)
    right = np.any(order == np.asarray(target)[..., None], axis=-1)
    weight = given.get("weight")
    each = counted * (1.0 if weight is None else np.asarray(weight, np.float64)[np.where(counted, target, 0)])
    losses = (right != wrong) * each
    if given.get("reduction") == "none":
        return losses
    return losses.sum() / (1.0 if given.get("reduction") == "sum" else each.sum())


_WAYS = variants({"reduction": "none"}, {"weight": OF_EACH_CLASS}, {"reduction": "sum", "ignore_index": 1})
_record = partial(
    Function, operands=[X, LABELS], ulp=1.0, double_ulp=2.0, home=__name__, family="accuracies", axis="one", written=()
)
register(
    _record("zero_one_loss", lambda: zero_one_loss, reference=partial(_reference, 1, True), variants=_WAYS),
)
register(
    _record("accuracy", lambda: accuracy, reference=partial(_reference, 1, False), variants=_WAYS),
)
register(
    _record(
        "top_k_accuracy",
        lambda: top_k_accuracy,
        reference=partial(_reference, 5, False),
        variants=[*_WAYS, *variants({"k": 2})[1:]],
    ),
)
