"""Entropy of distributions, given as probabilities or as logits."""

import math
from functools import partial
from typing import Any

import numpy as np

from fastact.calls.axes import Axis
from fastact.calls.checking import switch
from fastact.calls.row_ufuncs import row_ufunc
from fastact.calls.rows import over_rows
from fastact.functions.docs import documented
from fastact.functions.record import SHARES, Function, X, register, variants
from fastact.kinds.rows import Exponentials, Once, RowKernel, Sum
from fastact.maths.log import log
from fastact.maths.logsumexp import level, log_excess, reach, times_exp_at, total
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, select, widen


@scalar
def surprise(x: Scalar) -> Scalar:
    T = type(x)
    return select(x == T(0), T(0), -x * log(x))


@scalar
def _as_it_is(terms: Scalar) -> Scalar:
    return terms


@documented
def entropy(x: Any, axis: Axis = -1, keepdims: bool = False, out: Any = None, **ufunc_arguments: Any) -> Any:
    r"""Entropy of distributions that are given as probabilities, in nats.

    Parameters
    ----------
    <x>
        Probabilities; what is negative gives NaN.
    axis : int, tuple of int or None, default -1
        Over what is summed: one axis, several together, or the whole array.
    keepdims : bool, default False
        Leave the axes that are summed over in the result, with length 1.
    out : ndarray, optional
        Written to and returned.
    <ufunc_arguments>

    Returns
    -------
    ndarray or scalar
        Of the shape of `x` without `axis`, and of its dtype.

    <axis and dtype errors>

    See Also
    --------
    entropy_with_logits : that of a softmax, without computing it.
    entropy_with_grad : this and its gradient.

    Notes
    -----
    .. math:: -\sum_j x_j \ln x_j

    What is 0 adds 0. Nothing is normalised, as in the sum of ``scipy.special.entr``, and unlike in ``scipy.stats.entropy``. Error:
    at most 4 ULP of the sum of the terms' absolute values (4 in float64).

    References
    ----------
    C. E. Shannon, A Mathematical Theory of Communication, 1948.

    Examples
    --------
    >>> import fastact as fa
    >>> round(float(fa.entropy([0.5, 0.25, 0.25])), 4)
    1.0397
    """
    if keepdims is not False and switch("keepdims", keepdims):
        ufunc_arguments["keepdims"] = True
    return over_rows(_entropy_rows, (x,), axis, out, ufunc_arguments)


_entropy_rows = row_ufunc(
    RowKernel("entropy", [Sum("terms", surprise), Once("result", _as_it_is)], gives="result", cost=0.6), entropy
)


@scalar
def _distribution(m: Scalar, ties: Scalar, rest: Scalar) -> tuple[Any, ...]:
    """The constants of a row's probabilities, and of their logarithms."""
    T = type(m)
    base, level_n = level(m)
    shift, floor = reach(level_n)
    return log_excess(m, ties, rest), base, shift, floor, T(widen(1.0) / total(m, ties, rest))


DISTRIBUTION = Once("excess base shift floor share", _distribution, wide="excess")


@scalar
def _distance(x: Scalar, m: Scalar, base: Scalar, shift: Scalar, floor: Scalar, share: Scalar) -> Scalar:
    """What an element adds to the mean distance of logits from the largest."""
    return times_exp_at(x, (m - x) * share, base, shift, floor)


SPREAD = Sum("spread", _distance)


@scalar
def uncertainty(excess: Scalar, spread: Scalar, n: Scalar) -> Scalar:
    """The entropy in float64: neither term is negative; 0 of no class."""
    zero = widen(0.0)
    return select(n > zero, excess + spread, zero)


@documented
def entropy_with_logits(
    x: Any, axis: Axis = -1, keepdims: bool = False, out: Any = None, **ufunc_arguments: Any
) -> Any:
    r"""Entropy of the softmax of logits, in nats.

    Parameters
    ----------
    <x>
    axis : int, tuple of int or None, default -1
        Over what is summed: one axis, several together, or the whole array.
    keepdims : bool, default False
        Leave the axes that are summed over in the result, with length 1.
    out : ndarray, optional
        Written to and returned.
    <ufunc_arguments>

    Returns
    -------
    ndarray or scalar
        Of the shape of `x` without `axis`, and of its dtype.

    <axis and dtype errors>

    Notes
    -----
    .. math:: -\sum_j p_j \ln p_j, \quad p = \mathrm{softmax}(x)

    Computed is the mean distance of the logits from their `logsumexp`, as that of their largest and that from their largest:
    neither is negative. Error: at most 4 ULP (4 in float64), however certain the distribution. A row that holds NaN or +inf, or
    nothing but -inf, gives NaN.

    Examples
    --------
    >>> import fastact as fa
    >>> round(float(fa.entropy_with_logits([0.0, 0.0, 0.0, 0.0])), 4)
    1.3863
    """
    if keepdims is not False and switch("keepdims", keepdims):
        ufunc_arguments["keepdims"] = True
    return over_rows(_entropy_of_logits, (x,), axis, out, ufunc_arguments)


_entropy_of_logits = row_ufunc(
    RowKernel(
        "entropy_with_logits",
        [Exponentials(), DISTRIBUTION, SPREAD, Once("result", uncertainty)],
        gives="result",
        cost=0.8,
    ),
    entropy_with_logits,
)


def reference_entropy(x: Any, axis: Any = -1, keepdims: Any = False) -> Any:
    return np.sum(np.where(x == 0, 0.0, -x * np.log(np.where(x == 0, 1.0, x))), axis=axis, keepdims=keepdims)


def log_probabilities(x: Any, axis: Any = -1) -> Any:
    shifted = x - np.max(x, axis=axis, keepdims=True, initial=-math.inf)
    others = np.sum(np.where(shifted == 0, 0.0, np.exp(shifted)), axis=axis, keepdims=True)
    return shifted - np.log1p(others + (np.sum(shifted == 0, axis=axis, keepdims=True) - 1))


def reference_of_logits(x: Any, axis: Any = -1, keepdims: Any = False) -> Any:
    log_p = log_probabilities(x, axis)
    return np.sum(np.where(log_p == -math.inf, 0.0, -np.exp(log_p) * log_p), axis=axis, keepdims=keepdims)


_KEPT = variants({"keepdims": True})
_rows = partial(Function, home=__name__, family="entropies", variants=_KEPT, axis="several", in_parts=True)
register(_rows("entropy", lambda: entropy, operands=[SHARES], reference=reference_entropy, ulp=4.0, double_ulp=4.0))
register(
    _rows(
        "entropy_with_logits",
        lambda: entropy_with_logits,
        operands=[X],
        reference=reference_of_logits,
        ulp=4.0,
        double_ulp=4.0,
    )
)
