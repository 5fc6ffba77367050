"""The kernels of cross-entropy: a program for each kind of target, and what a request's rows come to."""

from functools import cache
from typing import Any

import numpy as np

from fastact.calls import long_rows
from fastact.functions.cross_entropy_requests import OPTIONS, Request, narrowed
from fastact.functions.cross_entropy_results import row_results
from fastact.kernels.limits import RESULTS, WANT_ARGMAX
from fastact.kinds.labelled import LabelledKernel
from fastact.kinds.rows import Exponentials, Once, Sum
from fastact.maths import losses
from fastact.runtime.threads import get_num_threads
from fastact.runtime.ufunc import make_ufunc

BLOCK_ELEMENTS = 2**18
"""Number of halves that are widened at a time."""


@cache
def _gufunc(label: bool, dense: bool, grad: bool, capped: bool) -> Any:
    """The generalised ufunc for a kind of target, with or without gradient, and for capped logits."""
    kernel = entropy_kernel(label, dense, grad, capped)
    return make_ufunc(kernel, kernel.name, "Rows of cross_entropy; see there.", __name__)


@cache
def entropy_kernel(label: bool, dense: bool, grad: bool, capped: bool) -> LabelledKernel:
    """The kernel for a kind of target: the maximum and the sum of exponentials, the dense part's terms, and what follows."""
    logit = Exponentials(losses.capped_logit, padding=losses.NO_CLASS) if capped else Exponentials()
    passes: list[Any] = [logit, Once("top top_slope", losses.capped_label if capped else losses.uncapped_label)]
    if dense:
        both = losses.capped_dense_terms if capped else losses.dense_terms
        one = losses.capped_dense_term if capped else losses.dense_term
        passes += [
            Once("excess", losses.rounded_excess),
            Sum("terms dense_sum", both) if grad else Sum("terms", one),
        ]
    if not grad:
        passes.append(Once("loss lse", losses.dense_loss_alone if dense else losses.label_loss_alone, wide="loss lse"))
    elif dense:
        names = "loss lse base shift floor slope_of_p q_slope q_offset at_label"
        passes.append(Once(names, losses.dense_loss, wide="loss lse"))
    else:
        passes.append(Once("loss lse base shift floor slope_of_p at_label", losses.label_loss, wide="loss lse"))
    gradients: dict[tuple[bool, bool], Any] = {
        (False, False): losses.label_gradient,
        (True, False): losses.dense_gradient,
        (False, True): losses.capped_label_gradient,
        (True, True): losses.capped_dense_gradient,
    }
    parts = {"smoothed": label and dense, "probabilities": not label, "gradient": grad, "capped": capped}
    return LabelledKernel(
        ".".join(["cross_entropy", *(name for name, used in parts.items() if used)]),
        passes,
        gradients[dense, capped] if grad else None,
        operands="x dense" if dense else "x",
        option_names=" ".join(OPTIONS),
        label=label,
    )


def gufunc(request: Request, grad: bool) -> Any:
    """The gufunc for this request."""
    return _gufunc(request.label, request.dense is not None, grad, request.softcap > 0)


def compute(request: Request, scale: Any, wanted: int, grad: Any = None, zeroed: bool = False) -> Any:
    """The rows' results; a gradient, multiplied by ``scale``, is written to ``grad``, which is zero already if ``zeroed``.

    ``scale`` is a number, or an array of one for each row; ``wanted`` has the bits of what is wanted beside the loss.
    """
    if request.dense is not None and request.dense.dtype != request.logits.dtype:
        return _compute_widened(request, scale, wanted, grad)
    if _is_long(request):
        return _compute_long(request, scale, wanted, grad)
    operands, results = request.operands(scale, wanted, zeroed), row_results(request.logits.shape[:-1])
    if grad is None:
        return gufunc(request, False)(*operands, out=results)
    return gufunc(request, True)(*operands, out=(results, grad))[0]


def _compute_widened(request: Request, scale: Any, wanted: int, grad: Any) -> Any:
    """Compute halves beside a dense target of single floats, which they are widened to, a block of rows at a time."""
    logits, target, dense = request.logits, request.target, request.dense
    if logits.ndim == 1:
        row = request._replace(logits=logits[None], target=target[None], dense=dense if request.label else dense[None])
        return _compute_widened(row, scale, wanted, None if grad is None else grad[None])[0]
    if grad is not None:
        logits, target, dense = long_rows.apart([logits, target, dense], grad)
    results = np.empty((*logits.shape[:-1], RESULTS))
    step = max(1, BLOCK_ELEMENTS * len(logits) // max(1, logits.size))
    for first in range(0, len(logits), step):
        rows = slice(first, first + step)
        block = request._replace(logits=logits[rows].astype(dense.dtype), target=target[rows])
        if not request.label:
            block = block._replace(dense=dense[rows])
        own = scale[rows] if isinstance(scale, np.ndarray) else scale
        results[rows] = compute(block, own, wanted, None if grad is None else block.logits)
        if grad is not None:
            grad[rows] = narrowed(block.logits, grad.dtype)
    return results


def _is_long(request: Request) -> bool:
    """Whether there are fewer rows than threads, each long, and nothing but labels, weights and z-loss to reckon with."""
    x = request.logits
    plain = request.label and request.dense is None and not request.softcap and x.dtype.isnative
    return plain and x.shape[-1] >= long_rows.LONG and x.size // x.shape[-1] < get_num_threads()


@np.errstate(all="ignore")
def _compute_long(request: Request, scale: Any, wanted: int, grad: Any) -> Any:
    """Compute each row with its segments shared out over the threads, to the same bits."""
    logits, weights = request.logits, request.weight
    if grad is not None:
        logits, weights = long_rows.apart([logits, weights], grad)
    kernel = entropy_kernel(True, False, grad is not None, False)
    names = list(kernel.constants(logits.dtype.name))
    results = np.zeros((*logits.shape[:-1], RESULTS))
    for row in np.ndindex(logits.shape[:-1]):
        x, label = logits[row], int(request.target[row])
        if not 0 <= label < request.classes or label == request.ignore_index:
            results[row] = 0 if label == request.ignore_index else np.nan
            if grad is not None:
                grad[row] = 0
            continue
        own = float(scale[row]) if isinstance(scale, np.ndarray) else scale
        known = long_rows.constants(kernel, [x], [x[label], weights[label], 0.0, own, *request.options()])
        loss, lse = known[names.index("loss")], known[names.index("lse")]
        results[row] = loss, weights[label], lse, np.argmax(x) if wanted & WANT_ARGMAX else 0
        if grad is not None:
            long_rows.write(kernel, [x], known, grad[row])
            grad[row][label] = known[names.index("at_label")]
    return results
