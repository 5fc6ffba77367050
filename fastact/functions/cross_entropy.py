"""Cross-entropy, with its gradient in the same pass: what the functions promise, and how their arguments reach the kernels."""

import math
from functools import lru_cache, partial
from typing import Any

import numpy as np

from fastact.calls import long_rows
from fastact.calls.axes import LAST
from fastact.calls.checking import number, sole, switch
from fastact.calls.containers import masked
from fastact.calls.widening import in_float32, taking_bfloat16
from fastact.functions import cross_entropy_reference
from fastact.functions.cross_entropy_containers import are_contained, loss_of_containers
from fastact.functions.cross_entropy_kernels import compute, gufunc
from fastact.functions.cross_entropy_requests import (
    Request,
    check_labels,
    check_reduction,
    checked,
    loss_dtype,
    times_upstream,
    with_scale,
)
from fastact.functions.cross_entropy_results import (
    among_all,
    as_rows,
    check_out,
    gradient_array,
    of_rows,
    reduced,
    row_results,
)
from fastact.functions.docs import documented
from fastact.functions.record import (
    LABELS,
    OF_EACH_CLASS,
    OF_EACH_ROW,
    SHARES,
    Function,
    Variant,
    X,
    register,
    variants,
)
from fastact.kernels.dtypes import NATIVE
from fastact.kernels.limits import ARGMAX, LSE, WANT_ARGMAX, WANT_LSE, WANT_WEIGHT

FEW, MANY = 256, 2048
"""With so many rows it pays to leave out the ignored ones, if they are known to be many; and to look whether they are."""
SHORT_BYTES = 2048
"""Of rows of so many bytes those that count are better copied: a kernel looks at each that is ignored, and writes its results."""


def few_rows(logits: Any, target: Any, ignore_index: int) -> Any:
    """Which of all rows are not ignored, if these are better computed as an array of their own; else ``None``."""
    classes, itemsize = logits.shape[-1], logits.itemsize
    side_by_side = logits.strides[-1] != itemsize
    if not logits.size or (not side_by_side and classes * itemsize > SHORT_BYTES):
        return None  # the kernel passes over them
    counted = target != ignore_index
    # Elements that lie apart take longer to copy than to compute.
    least = 4 if side_by_side and classes >= 16 else 2
    return np.flatnonzero(counted) if least * np.count_nonzero(counted) <= target.size else None


def _only(x: Any, rows: Any) -> Any:
    """The chosen rows of logits, the classes last."""
    if x.flags.c_contiguous:
        return x.reshape(-1, x.shape[-1]).take(rows, axis=0)
    if x.ndim == 2 and x.flags.f_contiguous:
        return x.T.take(rows, axis=1).T
    return x[np.unravel_index(rows, x.shape[:-1])]


@documented
def cross_entropy(
    logits: Any,
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    reduction: str = "mean",
    axis: int = -1,
    empty: float = math.nan,
    dtype: Any = None,
) -> Any:
    r"""Cross-entropy between logits and a target, in one pass over the logits.

    Parameters
    ----------
    <logits to softcap>
    reduction : {"mean", "sum", "none"}
        Of the rows' losses. With "mean" they are divided by the weights of their labels' classes.
    axis : int, default -1
        The axis of the classes (PyTorch's is 1).
    empty : float, default nan
        The mean if every row is ignored.
    dtype : dtype, optional
        Of the loss: float16, float32 or float64; that of `logits` by default. With float32 a sum that is too large for float16 is
        no inf, and a mean of float16 logits keeps its digits.

    Returns
    -------
    scalar or ndarray
        Of `dtype`; with ``reduction="none"`` of the shape of `logits` without `axis`, and in memory as a sum over that would lie.

    <label errors>

    See Also
    --------
    cross_entropy_with_grad : the loss and its gradient in one go.

    Notes
    -----
    .. math:: -\sum_c q_c \log \frac{e^{x_c}}{\sum_j e^{x_j}} + \mathtt{z\_loss} \left(\log \sum_j e^{x_j}\right)^2

    A row's loss is computed in float64 from float32 exponentials, the row's largest kept apart: at most 6 ULP, however small the
    loss or long the row, and with a cap two units in the last place of `softcap`, which capped logits are off by. A row that
    holds NaN or +inf, or nothing but -inf, has the loss NaN. Semantics are those of PyTorch's
    ``torch.nn.functional.cross_entropy``, but for `axis`, and that a class of probability 0 adds 0 if its logit is -inf.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> logits = np.array([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    >>> round(float(fa.cross_entropy(logits, [0, 1])), 4)
    0.1672
    """
    if not (type(logits) is type(target) is np.ndarray and weight is None) and are_contained(logits, target, weight):
        given = locals()
        try:
            return loss_of_containers(cross_entropy, given)
        except TypeError as error:
            return in_float32(cross_entropy, error, (), given)
    if type(empty) is not float:
        empty = number("empty", empty)
    arguments = (logits, target, weight, ignore_index, label_smoothing, z_loss, softcap, reduction, axis)
    if (
        weight is None
        and softcap is None
        and axis is LAST
        and type(label_smoothing) is type(z_loss) is float
        and not (label_smoothing or z_loss)
        and type(ignore_index) is int
        and _plain(logits, target)
    ):
        # For a few rows all other checks would take longer than the loss.
        check_reduction(reduction)
        x, labels, rows = logits, target, None
        plain, operands, kind = _plain_call(logits.shape[-1], logits.dtype, ignore_index)
        if target.size >= MANY:
            rows = few_rows(logits, target, ignore_index)
        if rows is not None:
            x, labels = _only(logits, rows), target.reshape(-1)[rows]
        results, weighted = plain(x, labels, *operands, out=row_results(labels.shape)), False
    else:
        try:
            request = checked(*arguments)
        except TypeError as error:
            names = ("logits", "target", *(cross_entropy.__kwdefaults__ or ()))
            given = dict(zip(names, (*arguments, empty, dtype), strict=True))
            return in_float32(cross_entropy, error, (), given)
        request, rows = _counted(request, None)
        results, kind, weighted = compute(request, 1.0, WANT_WEIGHT), request.logits.dtype, request.weighted
    loss = reduced(reduction, results, kind if dtype is None else loss_dtype(dtype, kind), empty, weighted)
    # A label out of range makes NaN of its row, and nothing that the caller could see has been written.
    if reduction == "mean" and loss == loss:
        return loss
    request = checked(*arguments)
    check_labels(request)
    return loss if reduction != "none" else as_rows(among_all(loss, rows, request.logits.shape[:-1]), request)


def _plain(logits: Any, target: Any) -> bool:
    """Whether these are arrays that need no conversion, not large, class indices, and of shapes that fit."""
    return (
        type(logits) is type(target) is np.ndarray
        and logits.size < long_rows.LONG
        and logits.dtype.char in NATIVE
        and target.dtype.kind in "iu"
        and logits.ndim == target.ndim + 1
        and logits.shape[:-1] == target.shape
    )


@lru_cache(maxsize=64)
def _plain_call(classes: int, dtype: Any, ignore_index: int) -> tuple[Any, tuple[Any, ...], Any]:
    """Who computes a loss without options, the operands after logits and labels, and the loss's dtype."""
    request = checked(np.zeros((0, classes), dtype), np.zeros(0, int), None, ignore_index, 0.0, 0.0, None, "sum", -1)
    return gufunc(request, False), request.operands(1.0, WANT_WEIGHT)[2:], request.logits.dtype


def _counted(request: Request, ignored: int | None) -> tuple[Request, Any]:
    """The request without ignored rows where that is better, and which rows are left; ``ignored`` is their number, if known."""
    rows, size = None, request.target.size
    if request.label and (size >= MANY if ignored is None else size >= FEW and 2 * ignored >= size):
        rows = few_rows(request.logits, request.target, request.ignore_index)
    if rows is not None:
        request = request._replace(logits=_only(request.logits, rows), target=request.target.reshape(-1)[rows])
    return request, rows


@taking_bfloat16
@documented
def cross_entropy_with_grad(
    logits: Any,
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    reduction: str = "mean",
    axis: int = -1,
    empty: float = math.nan,
    dtype: Any = None,
    upstream: Any = None,
    out: Any = None,
    return_lse: bool = False,
    return_argmax: bool = False,
) -> tuple[Any, ...]:
    r"""Cross-entropy and its gradient with respect to the logits, which are read from memory once.

    Parameters
    ----------
    <logits to softcap>
    reduction : {"mean", "sum", "none"}
        Of the rows' losses. With "none" the gradient of a row is that of its own loss.
    axis : int, default -1
        The axis of the classes (PyTorch's is 1).
    empty : float, default nan
        The mean if every row is ignored; the gradient is 0 then.
    dtype : dtype, optional
        Of the loss, and of what `return_lse` asks for; that of `logits` by default. The gradient has that of `logits` in any case.
    upstream : float or array_like, optional
        The gradient with respect to the loss, 1 by default: a number, or with ``reduction="none"`` one for each row, which
        broadcasts to the shape of the loss. The gradient is multiplied by it before it is rounded.
    out : ndarray, optional
        For the gradient, with the shape and dtype of `logits`, in either byte order; may be `logits` itself, and then nothing as
        large is allocated if their order is the machine's.
    return_lse, return_argmax : bool, default False
        Whether to return also each row's logsumexp, and the index of its largest logit; 0 in ignored rows.

    Returns
    -------
    loss : scalar or ndarray
        As `cross_entropy` returns it.
    grad : ndarray
        Of the shape and dtype of `logits`, in the machine's byte order; it lies in memory as they do.
    lse, argmax : ndarray
        If asked for: of the shape of `logits` without `axis`.

    <label errors>

    Notes
    -----
    .. math:: \left(\sum_j q_j + 2\,\mathtt{z\_loss}\log\sum_j e^{x_j}\right) p_c - q_c

    Error of the gradient: at most 4 ULP of the larger of its two terms (6 in float64), or, where `z_loss` makes the two parts of
    the factor of ``p`` cancel, of the larger of these times ``p``; with a cap ``4 + 2 * softcap`` more.
    At the label it is ``expm1(-loss)``, precise however small the loss.

    References
    ----------
    P.-L. Hsu et al., Liger Kernel: Efficient Triton Kernels for LLM Training, 2024.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> loss, grad = fa.cross_entropy_with_grad(np.array([[2.0, 0.0, 0.0]]), [0])
    >>> grad.round(4)
    array([[-0.213 ,  0.1065,  0.1065]])
    """
    out = sole(out)
    plain = type(logits) is type(target) is np.ndarray and weight is None and upstream is None
    if not plain and are_contained(logits, target, weight, upstream):
        outcome: tuple[Any, ...] = loss_of_containers(cross_entropy_with_grad, locals())
        return outcome
    if type(empty) is not float:
        empty = number("empty", empty)
    if return_lse is not False or return_argmax is not False:
        return_lse, return_argmax = switch("return_lse", return_lse), switch("return_argmax", return_argmax)
    request = checked(logits, target, weight, ignore_index, label_smoothing, z_loss, softcap, reduction, axis)
    dtype = loss_dtype(dtype, request.logits.dtype)
    check_out(request, out)
    written = out
    if isinstance(out, np.ma.MaskedArray):
        out = np.ma.getdata(out)
    ignored = check_labels(request)
    request, scale = with_scale(request, ignored)
    shape = request.logits.shape[:-1]
    scale = times_upstream(scale, upstream, reduction, shape)
    counted, rows = _counted(request, ignored)
    grad, zeroed = gradient_array(request, out, 2 * ignored > request.target.size)
    all_count = not request.weighted and not (request.label and ignored and rows is None)
    wanted = return_lse * WANT_LSE | return_argmax * WANT_ARGMAX | (not all_count) * WANT_WEIGHT
    if rows is None:
        results = compute(request, scale, wanted, grad, zeroed)
    else:
        own = scale.reshape(-1)[rows] if isinstance(scale, np.ndarray) else scale
        results = compute(counted, own, wanted, counted.logits)
        if not zeroed:
            grad[...] = 0
        _put(grad, rows, counted.logits)
    loss = reduced(reduction, results, dtype, empty, request.weighted, all_count)
    if reduction == "none":
        loss = as_rows(among_all(loss, rows, shape), request)
    extras = []
    if return_lse:
        extras.append(as_rows(among_all(of_rows(results, LSE, dtype), rows, shape), request))
    if return_argmax:
        extras.append(as_rows(among_all(of_rows(results, ARGMAX, np.intp), rows, shape), request))
    whole = (
        masked(out, False, written)
        if out is not None
        else grad
        if request.axis == -1
        else np.moveaxis(grad, -1, request.axis)
    )
    return loss, whole, *extras


def _put(grad: Any, rows: Any, values: Any) -> None:
    """Write those rows of a gradient, of all rows, the classes last."""
    if grad.flags.c_contiguous:
        grad.reshape(-1, grad.shape[-1])[rows] = values
    else:
        grad[np.unravel_index(rows, grad.shape[:-1])] = values


WAYS = [
    *variants(
        {"label_smoothing": 0.25, "softcap": 5.0, "ignore_index": 1},
        {"weight": OF_EACH_CLASS, "z_loss": 0.5},
        {"weight": OF_EACH_CLASS, "label_smoothing": 0.125, "reduction": "sum"},
        {"reduction": "none"},
    ),
    Variant({}, [X, SHARES]),
    Variant({"label_smoothing": 0.125}, alike=True),
    Variant({"softcap": 30.0}, alike=True),
    Variant({"softcap": 30.0}, [X, SHARES], alike=True),
]
"""With labels and with probabilities: together every kind of kernel."""
_loss = partial(Function, home=__name__, family="cross-entropy", operands=[X, LABELS], axis="one", in_parts=True)

register(
    _loss(
        "cross_entropy",
        make=lambda: cross_entropy,
        reference=cross_entropy_reference.cross_entropy,
        ulp=6.0,
        double_ulp=6.0,
        variants=WAYS,
        written=(),
    )
)
register(
    _loss(
        "cross_entropy_with_grad",
        make=lambda: cross_entropy_with_grad,
        reference=cross_entropy_reference.cross_entropy_with_grad,
        ulp=4.0,
        double_ulp=6.0,
        variants=[
            *WAYS,
            Variant({"return_lse": True, "return_argmax": True}),
            Variant({"upstream": 2.5}),
            Variant({"upstream": OF_EACH_ROW, "reduction": "none", "label_smoothing": 0.25}),
        ],
        written=(1,),
    )
)
