"""The gradients of entropies, along with these, in one pass over the rows: of probabilities, and of logits."""

import math
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from fastact.calls.axes import Axis, checked_axis
from fastact.calls.checking import sole
from fastact.calls.containers import is_container, masked, within, without_masked
from fastact.calls.layout import Layout
from fastact.calls.lazy import in_one_task, lazily
from fastact.calls.order import arranged_like, empty_like_all
from fastact.calls.quiet import quietly
from fastact.calls.widening import taking_bfloat16
from fastact.functions.cross_entropy_requests import (
    Request,
    as_floats,
    check_reduction,
    loss_dtype,
    rounded,
    times_upstream,
)
from fastact.functions.cross_entropy_results import check_gradient_out, of_rows, row_results
from fastact.functions.docs import documented
from fastact.functions.entropies import (
    DISTRIBUTION,
    SPREAD,
    log_probabilities,
    reference_entropy,
    reference_of_logits,
    surprise,
    uncertainty,
)
from fastact.functions.record import SHARES, Function, Variant, X, register
from fastact.kernels.limits import LOSS
from fastact.kinds.labelled import LabelledKernel
from fastact.kinds.rows import Exponentials, Once, Sum
from fastact.maths.log import log
from fastact.maths.logsumexp import times_exp_at
from fastact.maths.scalar import ByPrecision, scalar
from fastact.maths.simd import Scalar, fma, select
from fastact.runtime.ufunc import make_ufunc


@scalar
def _times_e_float32(p: Scalar) -> tuple[Scalar, Scalar]:
    """``p * e``, rounded, and what that lacks."""
    T = type(p)
    y = p * T(2.7182817459106445)
    return y, fma(p, T(8.254840366817007e-08), fma(p, T(2.7182817459106445), -y))


@scalar
def _times_e_float64(p: Scalar) -> tuple[Scalar, Scalar]:
    """``p * e``, rounded, and what that lacks."""
    T = type(p)
    y = p * T(2.718281828459045)
    return y, fma(p, T(1.4456468917292502e-16), fma(p, T(2.718281828459045), -y))


_times_e = ByPrecision(float32=_times_e_float32, float64=_times_e_float64)


def _slope(x: Scalar, scale: Scalar) -> Scalar:
    """``-(log(x) + 1)``, near 1/e as the logarithm of a product: there the sum would have none but rounded digits."""
    T = type(x)
    y, rest = _times_e(x)
    near = (x > T(0.125)) & (x < T(1))
    return -(log(select(near, y, x)) + select(near, rest / y, T(1))) * T(scale)


@scalar
def _twice(terms: Scalar) -> tuple[Scalar, Scalar]:
    return terms, terms


@scalar
def _entropy_twice(excess: Scalar, spread: Scalar, n: Scalar) -> tuple[Scalar, Scalar]:
    entropy = uncertainty(excess, spread, n)
    return entropy, entropy


def _slope_of_logit(
    x: Scalar,
    m: Scalar,
    base: Scalar,
    shift: Scalar,
    floor: Scalar,
    share: Scalar,
    spread: Scalar,
    scale: Scalar,
) -> Scalar:
    """``-p * (log(p) + H)``, both terms less the row's logsumexp, in which they agree."""
    T = type(x)
    slope = times_exp_at(x, ((m - x) - T(spread)) * share * T(scale), base, shift, floor)
    return slope + (share - share)  # NaN in the whole row where that has no distribution


# What stands for the loss of a row is its entropy; there is neither a label nor a logsumexp.
PROGRAMS: dict[str, Any] = {
    "entropy_with_grad": ([Sum("terms", surprise), Once("loss lse", _twice, wide="loss lse")], _slope),
    "entropy_with_logits_with_grad": (
        [Exponentials(), DISTRIBUTION, SPREAD, Once("loss lse", _entropy_twice, wide="loss lse")],
        _slope_of_logit,
    ),
}
NOTHING = {"entropy_with_grad": 0.0, "entropy_with_logits_with_grad": -math.inf}
"""What adds nothing, in the place of what a mask hides."""


@cache
def _ufunc(name: str) -> Any:
    passes, writes = PROGRAMS[name]
    kernel = LabelledKernel(name, passes, writes, label=False, at_label="", cost=1.2)
    return make_ufunc(kernel, name, "Rows of entropies, and their gradients.", __name__)


@taking_bfloat16
@documented
def entropy_with_grad(
    input: Any,  # noqa: A002 - the name that all losses give it
    *,
    axis: Axis = -1,
    reduction: str = "none",
    dtype: Any = None,
    upstream: Any = None,
    out: Any = None,
) -> Any:
    r"""`entropy` and its gradient with respect to probabilities, in one pass.

    Parameters
    ----------
    input : array_like
        Probabilities, float16, float32 or float64; integers convert as in NumPy. What is negative gives NaN.
    <entropies with gradient>

    Notes
    -----
    .. math:: H = -\sum_j x_j \ln x_j, \quad \frac{\partial H}{\partial x_i} = -(\ln x_i + 1)

    At 0 the derivative is its limit, infinity, as PyTorch's of ``torch.special.entr``. Nothing is normalised, nor is the gradient
    that of a sum that stays 1. Error: of the entropy at most 4 ULP of the sum of the terms' absolute values (4 in float64), of the
    gradient at most 4 ULP (4 in float64), also near 1/e, where it is 0.

    Examples
    --------
    >>> import fastact as fa
    >>> value, grad = fa.entropy_with_grad([0.5, 0.25, 0.25])
    >>> round(float(value), 4)
    1.0397
    >>> grad.round(4)
    array([-0.3069,  0.3863,  0.3863])
    """
    return _called(entropy_with_grad, input, axis, reduction, dtype, upstream, out)


@taking_bfloat16
@documented
def entropy_with_logits_with_grad(
    input: Any,  # noqa: A002
    *,
    axis: Axis = -1,
    reduction: str = "none",
    dtype: Any = None,
    upstream: Any = None,
    out: Any = None,
) -> Any:
    r"""`entropy_with_logits` and its gradient with respect to the logits, in one pass.

    Parameters
    ----------
    input : array_like
        Logits, float16, float32 or float64; integers convert as in NumPy.
    <entropies with gradient>

    Notes
    -----
    .. math:: H = -\sum_j p_j \ln p_j, \quad \frac{\partial H}{\partial x_i} = -p_i\,(\ln p_i + H), \quad p = \mathrm{softmax}(x)

    Computed is :math:`p_i\,(d_i - \sum_j p_j d_j)` with the distances d of the logits from the largest, so that nothing cancels
    where one class dominates. At -inf the derivative is 0. Error: of the entropy at most 4 ULP (4 in float64), of the gradient
    at most 4 ULP of :math:`p_i\,(d_i + \sum_j p_j d_j)` (4 in float64), or 32 of the smallest subnormal numbers. A row
    that holds NaN or +inf, or nothing but -inf, gives NaN.

    Examples
    --------
    >>> import fastact as fa
    >>> value, grad = fa.entropy_with_logits_with_grad([2.0, 0.0, 0.0])
    >>> round(float(value), 4)
    0.6656
    >>> grad.round(4)
    array([-0.3353,  0.1676,  0.1676])
    """
    return _called(entropy_with_logits_with_grad, input, axis, reduction, dtype, upstream, out)


def _called(function: Any, x: Any, axis: Axis, reduction: str, dtype: Any, upstream: Any, out: Any) -> Any:
    """The entropies of rows and their gradient, after the arguments have been checked."""
    check_reduction(reduction)
    axis, out = checked_axis(axis), sole(out)
    if any(map(is_container, (x, upstream, out))):
        options = {"axis": axis, "reduction": reduction, "dtype": dtype, "out": out}
        row = "..." if reduction == "none" else ""
        layout = Layout({"input": "...n", "upstream": row}, (row, "...n"))
        operands = {"input": x, "upstream": upstream}
        return within(function, layout, operands, options, partial(_of_masked, function), _lazily)
    x = as_floats("input", x)
    scalar_axes = not x.ndim and axis in (0, -1)  # as NumPy's reductions take them
    axes = () if scalar_axes else normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim, "axis")
    dtype = loss_dtype(dtype, x.dtype)
    if out is not None:
        check_gradient_out(out, x.shape, x.dtype)
    kept = tuple(k for k in range(x.ndim) if k not in axes)
    shape = tuple(x.shape[k] for k in kept)
    count = math.prod(shape)
    scale = times_upstream(1.0 / count if count and reduction == "mean" else 1.0, upstream, reduction, shape)
    grad = empty_like_all([x], x.dtype) if out is None else out
    last = tuple(range(x.ndim - len(axes), x.ndim))
    given, places = (np.moveaxis(a, axes, last) for a in (x, grad))
    whole = (*shape, math.prod(x.shape[k] for k in axes))
    rows, target = given.reshape(whole), places.reshape(whole)
    entropies = _rows(function.__name__, rows, scale, target)
    if not np.may_share_memory(target, grad):
        np.copyto(places, target.reshape(places.shape))
    if reduction == "none":
        one = given[(..., *[0] * len(axes))] if x.size else entropies[..., LOSS]
        value = arranged_like([one], of_rows(entropies, LOSS, dtype))[()]
    else:
        total = float(quietly(np.add.reduce, entropies[..., LOSS].reshape(-1)))
        value = rounded(total / count if count else math.nan, dtype) if reduction == "mean" else rounded(total, dtype)
    return value, grad if out is not None or grad.ndim else grad[()]


def _rows(name: str, rows: Any, scale: Any, target: Any) -> Any:
    """The entropies of rows, whose gradients are written to ``target``."""
    request = Request(rows, None, rows.shape[-1], -1, "none", -100, np.broadcast_to(1.0, rows.shape[-1:]), label=False)
    operands = request.beside((), scale)
    return quietly(_ufunc(name), *operands, out=(row_results(rows.shape[:-1]), target))[0]


def _of_masked(function: Any, **arguments: Any) -> Any:
    """The same of masked arrays: what is masked counts nothing and has a gradient of 0, as have rows of nothing else."""
    like, out, upstream = arguments.pop("input"), arguments.get("out"), arguments.get("upstream")
    hidden, axis = np.ma.getmaskarray(like), arguments["axis"]
    x = without_masked(like, hidden, NOTHING[function.__name__])
    unknown = hidden.all(axis=axis)
    if arguments["reduction"] == "none" and isinstance(upstream, np.ma.MaskedArray):
        unknown = unknown | np.broadcast_to(np.ma.getmaskarray(upstream), np.shape(unknown))
    off = np.expand_dims(unknown, normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim))
    x = np.where(off, x.dtype.type(1), x)  # whose entropies are not NaN, and are left out
    reduction, dtype = arguments["reduction"], loss_dtype(arguments["dtype"], x.dtype)
    if isinstance(upstream, np.ma.MaskedArray):
        arguments["upstream"] = np.ma.filled(upstream, 0)
    factor = 1.0 if arguments.get("upstream") is None else arguments["upstream"]
    count = np.size(unknown) - np.count_nonzero(unknown)
    if reduction != "none":
        number = times_upstream(1.0 / count if count and reduction == "mean" else 1.0, factor, reduction, ())
        factor = number
    arguments |= {"reduction": "none", "dtype": np.float64, "upstream": factor}
    arguments["out"] = None if out is None else np.ma.getdata(out)
    values, grad = function(x, **arguments)
    np.copyto(grad, 0, where=hidden | off)
    with np.errstate(all="ignore"):
        if reduction == "none":
            value = masked(np.asarray(values).astype(dtype)[()], unknown, None)
        else:
            total = float(np.sum(np.where(unknown, 0.0, values)))
            value = rounded(total if reduction == "sum" else total / count if count else math.nan, dtype)
    if out is None and not isinstance(like, np.ma.MaskedArray):
        return value, grad
    return value, masked(grad, hidden, out, like)


def _lazily(function: Any, layout: Layout, operands: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The same of dask arrays: of rows by blocks, a mean or sum of all rows in one task."""
    if layout.results[0]:
        return lazily(function, layout, operands, options)
    x = operands["input"]
    axes = normalize_axis_tuple(range(x.ndim) if options["axis"] is None else options["axis"], x.ndim)
    small = [n if k in axes else min(n, 1) for k, n in enumerate(x.shape)]
    return in_one_task(function, operands, options, {"input": small}, like="input")


def _reference(logits: bool, x: Any, axis: Any = -1, reduction: str = "none", upstream: Any = None) -> Any:
    values = (reference_of_logits if logits else reference_entropy)(x, axis, keepdims=True)
    if logits:
        log_p = log_probabilities(x, axis)
        grad = np.where(log_p == -math.inf, 0.0, -np.exp(log_p) * (log_p + values))
    else:
        grad = -(np.log(x) + 1)
    found = np.squeeze(values, axis if axis is not None else tuple(range(np.ndim(x))))
    scale = 1.0 / found.size if reduction == "mean" else 1.0
    if upstream is not None:
        scale = scale * (np.reshape(upstream, values.shape) if np.ndim(upstream) else upstream)
    total = {"none": lambda: found[()], "sum": found.sum, "mean": found.mean}[reduction]()
    return total, grad * scale


for _function, _logits in ((entropy_with_grad, False), (entropy_with_logits_with_grad, True)):
    register(
        Function(
            _function.__name__,
            partial(lambda function: function, _function),
            operands=[X if _logits else SHARES],
            reference=partial(_reference, _logits),
            ulp=4.0,
            double_ulp=4.0,
            home=__name__,
            family="entropies",
            variants=[
                Variant(),
                Variant({"reduction": "mean", "upstream": 2.5}, alike=True),
                Variant({"reduction": "sum"}, alike=True),
            ],
            axis="several",
            written=(1,),
        )
    )
