"""What becomes of the results of rows with a target: their mean or sum, arrays of them, and where a gradient goes."""

import math
from typing import Any

import numpy as np

from fastact.calls.checking import checked_out, sole
from fastact.calls.order import arranged_like, empty_like_all, made_like
from fastact.calls.quiet import quietly
from fastact.functions.cross_entropy_requests import Request, rounded
from fastact.kernels.limits import LOSS, RESULTS, WEIGHT

MANY_ROWS = 1024
"""Of so many rows the results lie apart by kind."""


def row_results(shape: tuple[int, ...]) -> Any:
    """An array for the results of rows of that shape; ``None`` for few, which NumPy allocates sooner.

    One kind of result after the other: sums read them in order, and what is not read but by who asks costs no time.
    """
    return np.moveaxis(np.empty((RESULTS, *shape)), 0, -1) if math.prod(shape) >= MANY_ROWS else None


def among_all(values: Any, rows: Any, shape: tuple[int, ...]) -> Any:
    """Something of each row: as it is, or, if ``rows`` leaves out some, with zeros for these."""
    if rows is None:
        return values
    every = np.zeros((math.prod(shape), *values.shape[1:]), values.dtype)
    every[rows] = values
    return every.reshape(*shape, *values.shape[1:])


def of_rows(results: Any, which: int, dtype: Any) -> Any:
    """One of the rows' results, as an array of its own."""
    with np.errstate(all="ignore"):
        return results[..., which].astype(dtype)[()]


def as_rows(values: Any, request: Request) -> Any:
    """Something of each row, all of them, as it would lie in memory if it were summed over the classes."""
    if np.ndim(values) < 2:
        return values
    of_logits = request.logits[..., 0] if request.classes else values
    return arranged_like([of_logits, request.target] if request.label else [of_logits], values)


def reduced(
    reduction: str, results: Any, dtype: Any, empty: float, weighted: bool = False, all_count: bool = False
) -> Any:
    """The loss of the rows' losses, whose labels' weights are 1 or, if ignored, 0 unless they are ``weighted``.

    If ``all_count`` all are 1, and are not among the results.
    """
    if reduction == "none":
        return of_rows(results, LOSS, dtype)
    if results.size == RESULTS:
        total, weight = results.item(LOSS), 1.0 if all_count else results.item(WEIGHT)
    else:
        losses = results[..., LOSS].reshape(-1)
        # The order of additions, and so the last bit, must not depend on who left out the rows that add nothing.
        weights = None if all_count else results[..., WEIGHT].reshape(-1)
        if weights is None:
            weight = float(losses.size)
        elif weighted:
            counted = (losses != 0) | (weights != 0)
            losses, weight = losses[counted], float(quietly(np.add.reduce, weights[counted]))
        else:
            weight = float(np.add.reduce(weights))
            losses = losses if weight == len(losses) else losses[weights != 0]
        total = float(quietly(np.add.reduce, losses))
    if reduction == "mean":
        total = empty if weight == total == 0 else total / weight if weight else total * math.inf
    return rounded(total, dtype)


def check_out(request: Request, out: Any) -> None:
    """``ValueError`` and ``TypeError`` for an ``out`` that the gradient does not fit."""
    if out is None:
        return
    check_gradient_out(out, np.moveaxis(request.logits, -1, request.axis).shape, request.logits.dtype)


def check_gradient_out(out: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """``ValueError`` and ``TypeError`` for an ``out`` that is no array of a shape and dtype, in either byte order."""
    if not isinstance(out, np.ndarray) or out.dtype.char != dtype.char:
        given = out.dtype if isinstance(out, np.ndarray) else type(out).__name__
        raise TypeError(f"out must be an array of {dtype}, got {given}")
    checked_out(out, shape)


def places(out: Any, derivatives: int) -> list[Any]:
    """What each derivative is written to, an array or ``None``."""
    if derivatives < 2:
        return [sole(out)] * derivatives
    outs = [None, None] if out is None else list(out) if isinstance(out, tuple) else []
    if len(outs) != 2:
        given = f"{len(outs)} arrays" if isinstance(out, tuple) else type(out).__name__
        raise TypeError(f"out must be a tuple of two arrays, for the gradient and the second derivative, got {given}")
    if isinstance(outs[0], np.ndarray) and isinstance(outs[1], np.ndarray) and np.may_share_memory(outs[0], outs[1]):
        raise ValueError("out must be two arrays that do not overlap")
    return outs


def gradient_array(request: Request, out: Any, mostly_zero: bool) -> tuple[Any, bool]:
    """Where the gradient goes, the classes last, and whether that is zero already."""
    logits = request.logits
    if out is not None:
        return np.moveaxis(out, request.axis, -1), False
    if 0 in logits.strides:
        # Axes that are repeated follow each other in the caller's order, which they do not show here.
        whole = empty_like_all([np.moveaxis(logits, -1, request.axis)], logits.dtype)
        return np.moveaxis(whole, request.axis, -1), False
    if not mostly_zero:
        # In memory as the caller's logits are, so that their axis of classes stays where it was.
        return np.empty_like(logits), False
    # The same of zeros: the system has large ones at hand, and what nobody writes to costs nothing.
    return made_like(logits, logits.shape, logits.dtype, np.zeros), True
