"""Cross-entropy of the hardest rows alone: online hard example mining, or bootstrapping."""

import math
from typing import Any, NamedTuple

import numpy as np

from fastact.calls.checking import integer, number, one_of, only_axis, sole
from fastact.calls.containers import is_container, refuse_masked, within
from fastact.calls.layout import Layout
from fastact.calls.lazy import in_one_task
from fastact.calls.quiet import quietly
from fastact.calls.widening import taking_bfloat16
from fastact.functions.cross_entropy import cross_entropy, cross_entropy_with_grad
from fastact.functions.cross_entropy_reference import cross_entropy as reference_loss
from fastact.functions.cross_entropy_reference import cross_entropy_with_grad as reference_gradient
from fastact.functions.cross_entropy_requests import Request, check_labels, labelled, loss_dtype, rounded
from fastact.functions.cross_entropy_results import check_out
from fastact.functions.docs import documented
from fastact.functions.record import LABELS, OF_EACH_CLASS, Function, X, register, variants


@taking_bfloat16
@documented
def ohem_cross_entropy(
    input: Any,  # noqa: A002 - the name that all losses give it
    target: Any,
    *,
    threshold: float | None = 0.7,
    fraction: float | None = None,
    min_kept: int = 0,
    preset: str | None = None,
    weight: Any = None,
    ignore_index: int = -100,
    axis: int = -1,
    dtype: Any = None,
) -> Any:
    r"""Mean cross-entropy of the rows that are hardest to classify.

    Parameters
    ----------
    <ohem to axis>
    dtype : dtype, optional
        Of the loss: float16, float32 or float64; that of `input` by default.

    Returns
    -------
    scalar
        Of `dtype`; NaN if no row is kept.

    <label errors>

    <ohem notes>

    Examples
    --------
    >>> import fastact as fa
    >>> logits = [[4.0, 0.0], [0.0, 1.0], [0.5, 0.0], [0.0, 0.0]]
    >>> round(float(fa.ohem_cross_entropy(logits, [0, 0, 0, 0], threshold=0.7)), 4)
    0.8268
    >>> round(float(fa.ohem_cross_entropy(logits, [0, 0, 0, 0], fraction=0.25)), 4)
    1.3133
    """
    if any(map(is_container, (input, target, weight))):
        return _of_containers(ohem_cross_entropy, locals(), ("",))
    request, choice = _checked(input, target, threshold, fraction, min_kept, preset, weight, ignore_index, axis)
    dtype = loss_dtype(dtype, request.logits.dtype)
    losses, counted = _losses(request)
    kept = _kept(losses, counted, choice)
    return _mean(losses, kept, choice, dtype)


@taking_bfloat16
@documented
def ohem_cross_entropy_with_grad(
    input: Any,  # noqa: A002
    target: Any,
    *,
    threshold: float | None = 0.7,
    fraction: float | None = None,
    min_kept: int = 0,
    preset: str | None = None,
    weight: Any = None,
    ignore_index: int = -100,
    axis: int = -1,
    dtype: Any = None,
    out: Any = None,
) -> tuple[Any, Any]:
    r"""`ohem_cross_entropy` and its gradient with respect to `input`.

    Parameters
    ----------
    <ohem to axis>
    dtype : dtype, optional
        Of the loss: float16, float32 or float64; that of `input` by default.
    out : ndarray, optional
        For the gradient, with the shape and dtype of `input`; may be `input` itself.

    Returns
    -------
    loss : scalar
        Of `dtype`; NaN if no row is kept.
    grad : ndarray
        Of the shape and dtype of `input`; 0 in rows that are not kept.

    <label errors>

    <ohem notes>

    Examples
    --------
    >>> import fastact as fa
    >>> logits = [[4.0, 0.0], [0.0, 1.0], [0.5, 0.0], [0.0, 0.0]]
    >>> loss, grad = fa.ohem_cross_entropy_with_grad(logits, [0, 0, 0, 0], fraction=0.25)
    >>> grad.round(4)
    array([[ 0.    ,  0.    ],
           [-0.7311,  0.7311],
           [ 0.    ,  0.    ],
           [ 0.    ,  0.    ]])
    """
    if any(map(is_container, (input, target, weight, out))):
        outcome: tuple[Any, Any] = _of_containers(ohem_cross_entropy_with_grad, locals(), ("", "...n"))
        return outcome
    request, choice = _checked(input, target, threshold, fraction, min_kept, preset, weight, ignore_index, axis)
    dtype, out = loss_dtype(dtype, request.logits.dtype), sole(out)
    check_out(request, out)
    losses, counted = _losses(request)
    kept = _kept(losses, counted, choice)
    labels = np.where(kept, request.target.astype(np.int64, copy=False), request.ignore_index)
    whole = np.moveaxis(request.logits, -1, request.axis)
    class_weight = quietly(np.divide, request.weight, max(1, _divisor(kept, choice)))
    _, grad = cross_entropy_with_grad(
        whole,
        labels,
        weight=class_weight,
        ignore_index=request.ignore_index,
        reduction="sum",
        axis=request.axis,
        out=out,
    )
    return _mean(losses, kept, choice, dtype), grad


def _of_containers(function: Any, given: dict[str, Any], results: tuple[str, ...]) -> Any:
    """The loss of operands some of which are containers; masked labels are told by `ignore_index` better than by a mask."""
    operands = {name: given.pop(name) for name in ("input", "target", "weight")}
    refuse_masked(function, {**operands, "out": given.get("out")}, "chooses among all rows")
    layout = Layout({"input": "...n", "target": "...", "weight": "n"}, results)
    return within(function, layout, operands, given, lazy=_lazily)


def _lazily(function: Any, layout: Layout, operands: Any, options: Any) -> Any:
    """The loss of dask arrays, of which all rows must be known before any is chosen."""
    shape = np.shape(operands["input"])
    axis = only_axis(options["axis"], max(1, len(shape)))
    small = [n if k == axis else min(n, 1) for k, n in enumerate(shape)]
    shapes = {"input": small, "target": [n for k, n in enumerate(small) if k != axis]}
    return in_one_task(function, operands, options, shapes, like="input")


OPENMMLAB, BISENET, DEEPLAB = PRESETS = ("openmmlab", "bisenet", "deeplab")
OF_EACH_IMAGE, SIXTEENTH, SHARE_OF_ALL = 100_000, 16, 0.2
"""What these keep at least: rows of an image, a part of those that count, a share of all."""


class Choice(NamedTuple):
    """Which rows are kept."""

    bound: float | None
    """The loss that a row must exceed; ``None`` if a share of the rows is kept."""
    share: float
    """The least share of the rows that count."""
    least: int
    """The least number of rows."""
    preset: str | None = None
    """Whose definition it is, of ``PRESETS``."""


def _checked(
    x: Any,
    target: Any,
    threshold: float | None,
    fraction: float | None,
    min_kept: int,
    preset: str | None,
    weight: Any,
    ignore_index: int,
    axis: int,
) -> tuple[Request, Choice]:
    """The request, and which rows to keep."""
    least = integer("min_kept", min_kept)
    if least < 0:
        raise ValueError(f"min_kept must be at least 0, got {min_kept!r}")
    if preset is not None:
        one_of("preset", preset, PRESETS)
        if least:
            raise ValueError(f"min_kept must be 0 where preset={preset!r} says what is kept, got {min_kept!r}")
        if fraction is not None and preset != DEEPLAB:
            raise ValueError(f"fraction must be None with preset={preset!r}, got {fraction!r}")
        if preset == DEEPLAB and fraction is None:
            fraction = SHARE_OF_ALL
    if fraction is not None:
        share = number("fraction", fraction, "None or a number above 0 and at most 1")
        if not 0.0 < share <= 1.0:
            raise ValueError(f"fraction must be None or a number above 0 and at most 1, got {fraction!r}")
        choice = Choice(None, share, least, preset)
    elif threshold is None:
        raise ValueError("threshold and fraction must not both be None")
    else:
        bound = number("threshold", threshold, "None or a number above 0 and at most 1")
        if not 0.0 < bound <= 1.0:
            raise ValueError(f"threshold must be None or a number above 0 and at most 1, got {threshold!r}")
        choice = Choice(-math.log(bound), 0.0, least, preset)
    request = labelled(x, target, weight, ignore_index, "none", axis)
    check_labels(request)
    return request, choice


def _losses(request: Request) -> tuple[Any, Any]:
    """The rows' losses, in float64, and which rows count."""
    whole = np.moveaxis(request.logits, -1, request.axis)
    losses = cross_entropy(
        whole,
        request.target,
        weight=request.weight if request.weighted else None,
        ignore_index=request.ignore_index,
        reduction="none",
        axis=request.axis,
        dtype=np.float64,
    )
    return np.asarray(losses), np.asarray(request.target != request.ignore_index)


def _kept(losses: Any, counted: Any, choice: Choice) -> Any:
    """Which rows are kept: those above a loss, or the largest, found without sorting; of equal ones the first."""
    every = bool(np.all(counted))
    among = losses.reshape(-1) if every else losses[counted]
    unknown = np.isnan(among)
    needed = _needed(choice, losses.shape, among.size)
    chosen = np.zeros(among.shape, bool) if choice.bound is None else among > choice.bound
    if np.count_nonzero(chosen | unknown) < needed:
        key = np.where(unknown, math.inf, among) if np.any(unknown) else among
        border = np.partition(key, among.size - needed)[among.size - needed]
        chosen = key > border
        ties = np.flatnonzero(key == border)[: needed - np.count_nonzero(chosen)]
        chosen[ties] = True
    chosen |= unknown  # which must show
    if every:
        return chosen.reshape(losses.shape)
    kept = np.zeros(losses.shape, bool)
    kept[counted] = chosen
    return kept


def _needed(choice: Choice, shape: tuple[int, ...], counted: int) -> int:
    """The least number of rows to keep, of rows of that shape, of which so many count."""
    rows = math.prod(shape)
    if choice.preset == OPENMMLAB:
        images = shape[0] if len(shape) > 1 else 1
        return max(0, min(OF_EACH_IMAGE * images, counted - 1))
    if choice.preset == BISENET:
        return counted // SIXTEENTH
    if choice.preset == DEEPLAB:
        return min(int(choice.share * rows), counted)
    return min(max(choice.least, math.ceil(choice.share * counted)), counted)


def _divisor(kept: Any, choice: Choice) -> int:
    """What the mean divides the sum by."""
    if choice.preset == OPENMMLAB:
        return int(kept.size)
    return int(choice.share * kept.size) if choice.preset == DEEPLAB else int(np.count_nonzero(kept))


def _mean(losses: Any, kept: Any, choice: Choice, dtype: Any) -> Any:
    divisor = _divisor(kept, choice)
    total = float(quietly(np.add.reduce, losses[kept]))
    return rounded(total / divisor if divisor else math.nan, dtype)


def _reference(gradient: bool, x: Any, target: Any, **given: Any) -> Any:
    axis, ignored = only_axis(given.get("axis", -1), np.ndim(x)), given.get("ignore_index", -100)
    arguments = {"weight": given.get("weight"), "ignore_index": ignored, "axis": axis}
    losses = np.asarray(reference_loss(x, target, reduction="none", **arguments))
    order = np.argsort(-np.where(target == ignored, -np.inf, losses), axis=None, kind="stable")
    rows = np.count_nonzero(target != ignored)
    preset: Any = given.get("preset")
    fraction, many = given.get("fraction"), 0
    all_rows = int((fraction or 0.2) * losses.size)
    if preset == "deeplab":
        many = all_rows
    elif fraction is not None:
        many = math.ceil(fraction * rows)
    else:
        many = int(np.count_nonzero((losses > -math.log(given.get("threshold", 0.7))) & (target != ignored)))
    least = {"openmmlab": min(100_000 * (len(losses) if losses.ndim > 1 else 1), rows - 1), "bisenet": rows // 16}
    many = min(rows, max(many, least.get(preset, given.get("min_kept", 0))))
    kept = np.zeros(losses.shape, bool)
    kept.reshape(-1)[order[:many]] = True
    divisor = {"openmmlab": losses.size, "deeplab": all_rows}.get(preset, many)
    loss = losses[kept].sum() / divisor if divisor else math.nan
    if not gradient:
        return loss
    _, grad = reference_gradient(x, np.where(kept, target, ignored), reduction="sum", **arguments)
    return loss, grad / max(1, divisor)


_WAYS = variants(
    {"threshold": 0.25},
    {"fraction": 0.25},
    {"threshold": 0.125, "min_kept": 5, "ignore_index": 1},
    {"fraction": 0.5, "weight": OF_EACH_CLASS},
    {"preset": OPENMMLAB},
    {"preset": BISENET},
    {"preset": DEEPLAB, "fraction": 0.5},
)
for _function, _gradient in ((ohem_cross_entropy, False), (ohem_cross_entropy_with_grad, True)):
    register(
        Function(
            _function.__name__,
            lambda function=_function: function,  # type: ignore[misc]
            operands=[X, LABELS],
            reference=lambda *a, gradient=_gradient, **k: _reference(gradient, *a, **k),
            ulp=8.0,
            double_ulp=8.0,
            home=__name__,
            family="hard-examples",
            variants=_WAYS,
            axis="one",
            masked=False,
            whole=True,
            written=(1,) if _gradient else (),
        )
    )
