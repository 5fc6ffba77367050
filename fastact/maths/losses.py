"""The formulas of cross-entropy: what a row's loss and gradient are, in terms of the state of its exponentials.

With a target distribution ``q`` over the classes, ``loss = sum(q * (lse - x)) + z_loss * lse**2``, ``lse`` the row's logsumexp. The
label's part of ``q`` is kept apart from the dense part, ``slope * d + offset``.
"""

import struct
from typing import Any

from fastact.maths.exp import exp, expm1
from fastact.maths.logsumexp import NAN, exp_at, level, log_excess, logsumexp, reach, total
from fastact.maths.scalar import Constant, scalar
from fastact.maths.sigmoid import LOWEST, sigmoid_of_sum
from fastact.maths.simd import Scalar, absolute, bits, fma, minimum, select, widen
from fastact.maths.tanh import tanh

(NO_CLASS,) = struct.unpack("<d", struct.pack("<Q", 0xFFF9_6800_0000_0000))
"""A NaN that no arithmetic makes. It stands for a logit that is -inf after the cap, which makes finite what was -inf before."""
_NO_CLASS_BITS = Constant(float32=0xFFCB_4000 - 2**32, float64=0xFFF9_6800_0000_0000 - 2**64)


@scalar
def _is_no_class(x: Scalar) -> Scalar:
    """Whether ``x`` is ``NO_CLASS``, in whatever precision."""
    return bits(x) == type(bits(x))(_NO_CLASS_BITS(x))


@scalar
def capped(x: Scalar, cap: Scalar) -> Scalar:
    """``cap * tanh(x / cap)``; -inf for ``NO_CLASS``, which adds nothing to a row's sums."""
    return select(_is_no_class(x), type(x)(-float("inf")), cap * tanh(x / cap))


@scalar
def cap_slope(x: Scalar, cap: Scalar) -> Scalar:
    """The derivative of ``capped``, ``1 / cosh(x / cap)**2``, as ``4 * s * (1 - s)`` with ``s = sigmoid(-2 * abs(x / cap))``.

    ``1 - tanh**2`` would lose every digit where the cap saturates. What the quotient's rounding takes away is carried along:
    it would be a relative error of the exponential.
    """
    T = type(x)
    a = absolute(x)
    ratio = a / cap
    lowest = T(-0.5) * LOWEST(x)
    rest = select(ratio < lowest, fma(-ratio, cap, a) / cap, T(0.0))
    s = sigmoid_of_sum(T(-2.0) * minimum(ratio, lowest), T(-2.0) * rest)
    return select(_is_no_class(x), T(0.0), T(4.0) * fma(-s, s, s))


@scalar
def capped_logit(x: Scalar, cap: Scalar) -> Scalar:
    """``capped`` for a cap of float64."""
    return capped(x, type(x)(cap))


@scalar
def capped_label(x_label: Scalar, cap: Scalar) -> tuple[Scalar, Scalar]:
    """The label's logit after the cap, and the cap's slope there."""
    T = type(x_label)
    return capped(x_label, T(cap)), cap_slope(x_label, T(cap))


@scalar
def uncapped_label(x_label: Scalar) -> tuple[Scalar, Scalar]:
    """The label's logit as it is, and the slope 1."""
    return x_label, type(x_label)(1.0)


@scalar
def rounded_excess(m: Scalar, ties: Scalar, rest: Scalar) -> Scalar:
    """``log_excess`` in the precision of the elements."""
    return type(m)(log_excess(m, ties, rest))


@scalar
def dense_term(x: Scalar, dense: Scalar, m: Scalar, excess: Scalar, slope: Scalar, offset: Scalar) -> Scalar:
    """One class's part of the loss. A class with nothing of the target adds nothing, even if its logit is -inf."""
    T = type(x)
    q = fma(T(slope), dense, T(offset))
    return select(q == T(0.0), T(0.0), q * ((m - x) + excess))


@scalar
def dense_terms(
    x: Scalar, dense: Scalar, m: Scalar, excess: Scalar, slope: Scalar, offset: Scalar
) -> tuple[Scalar, Scalar]:
    """That, and what is summed for the target's dense part, ``slope * sum(dense) + offset * n``: unrounded if all weights are 1."""
    return dense_term(x, dense, m, excess, slope, offset), dense


@scalar
def capped_dense_term(
    x: Scalar, dense: Scalar, m: Scalar, excess: Scalar, slope: Scalar, offset: Scalar, cap: Scalar
) -> Scalar:
    """``dense_term`` of capped logits."""
    return dense_term(capped_logit(x, cap), dense, m, excess, slope, offset)


@scalar
def capped_dense_terms(
    x: Scalar, dense: Scalar, m: Scalar, excess: Scalar, slope: Scalar, offset: Scalar, cap: Scalar
) -> tuple[Scalar, Scalar]:
    """``dense_terms`` of capped logits."""
    return dense_terms(capped_logit(x, cap), dense, m, excess, slope, offset)


@scalar
def dense_loss(
    m: Scalar,
    ties: Scalar,
    rest: Scalar,
    terms: Scalar,
    dense_sum: Scalar,
    top: Scalar,
    top_slope: Scalar,
    w_label: Scalar,
    d_label: Scalar,
    keep: Scalar,
    slope: Scalar,
    offset: Scalar,
    z_loss: Scalar,
    scale: Scalar,
    n: Scalar,
) -> tuple[Any, ...]:
    """A row's loss and logsumexp, the constants of its gradient, and the gradient at the label; the options are float64."""
    T = type(m)
    base, level_n = level(m)
    shift, floor = reach(level_n)
    q_label = keep * widen(w_label)
    lse = logsumexp(m, ties, rest)
    nll = (widen(m) - widen(top)) + log_excess(m, ties, rest)
    loss = terms + select(q_label == widen(0.0), widen(0.0), q_label * nll) + z_loss * lse * lse
    loss = loss + select(rest == rest, widen(0.0), widen(NAN))
    # The gradient is scale * ((sum of q + 2 * z_loss * lse) * p - q). At the label p is nearly 1 when the loss is small: the
    # difference is taken before the exponential.
    other = fma(slope, dense_sum, offset * n) + widen(2.0) * z_loss * lse
    slope_of_p = T(scale * (q_label + other) / total(m, ties, rest))
    dense_label = fma(slope, widen(d_label), offset)
    at_label = T(scale * (q_label * expm1(-nll) + (other * exp(-nll) - dense_label))) * top_slope
    return loss, lse, base, shift, floor, slope_of_p, T(scale * slope), T(scale * offset), at_label


@scalar
def dense_loss_alone(
    m: Scalar,
    ties: Scalar,
    rest: Scalar,
    terms: Scalar,
    top: Scalar,
    w_label: Scalar,
    d_label: Scalar,
    keep: Scalar,
    slope: Scalar,
    offset: Scalar,
    z_loss: Scalar,
    scale: Scalar,
    n: Scalar,
) -> tuple[Any, ...]:
    """The first two of these where no gradient is wanted: the compiler drops what only that needs."""
    none = widen(0.0)
    return dense_loss(m, ties, rest, terms, none, top, top, w_label, d_label, keep, slope, offset, z_loss, scale, n)[:2]


@scalar
def label_loss(
    m: Scalar,
    ties: Scalar,
    rest: Scalar,
    top: Scalar,
    top_slope: Scalar,
    w_label: Scalar,
    keep: Scalar,
    slope: Scalar,
    offset: Scalar,
    z_loss: Scalar,
    scale: Scalar,
    n: Scalar,
) -> tuple[Any, ...]:
    """``dense_loss`` without a dense part, whose constants the gradient does not need."""
    T = type(m)
    base, level_n = level(m)
    shift, floor = reach(level_n)
    q = keep * widen(w_label)
    lse, sum_of_all = logsumexp(m, ties, rest), total(m, ties, rest)
    nll = (widen(m) - widen(top)) + log_excess(m, ties, rest)
    loss = select(q == widen(0.0), widen(0.0), q * nll) + z_loss * lse * lse
    loss = loss + select(rest == rest, widen(0.0), widen(NAN))
    # What z_loss adds to the factor of p is at the label a term as of any other class.
    other = widen(2.0) * z_loss * lse
    by_z_loss = T(scale * other / sum_of_all) * exp_at(top, base, shift, floor)
    at_label = (T(scale * (q * expm1(-nll))) + by_z_loss) * top_slope
    return loss, lse, base, shift, floor, T(scale * (q + other) / sum_of_all), at_label


@scalar
def label_loss_alone(
    m: Scalar,
    ties: Scalar,
    rest: Scalar,
    top: Scalar,
    w_label: Scalar,
    keep: Scalar,
    slope: Scalar,
    offset: Scalar,
    z_loss: Scalar,
    scale: Scalar,
    n: Scalar,
) -> tuple[Any, ...]:
    """The first two of these."""
    return label_loss(m, ties, rest, top, top, w_label, keep, slope, offset, z_loss, scale, n)[:2]


@scalar
def label_gradient(x: Scalar, base: Scalar, shift: Scalar, floor: Scalar, slope_of_p: Scalar) -> Scalar:
    """The gradient at a class that is not the label's."""
    return exp_at(x, base, shift, floor) * slope_of_p


@scalar
def dense_gradient(
    x: Scalar,
    dense: Scalar,
    base: Scalar,
    shift: Scalar,
    floor: Scalar,
    slope_of_p: Scalar,
    q_slope: Scalar,
    q_offset: Scalar,
) -> Scalar:
    """The gradient at a class that has a dense part of the target."""
    return fma(exp_at(x, base, shift, floor), slope_of_p, -fma(q_slope, dense, q_offset))


@scalar
def capped_label_gradient(
    x: Scalar, base: Scalar, shift: Scalar, floor: Scalar, slope_of_p: Scalar, cap: Scalar
) -> Scalar:
    """``label_gradient`` of capped logits."""
    T = type(x)
    return label_gradient(capped(x, T(cap)), base, shift, floor, slope_of_p) * cap_slope(x, T(cap))


@scalar
def capped_dense_gradient(
    x: Scalar,
    dense: Scalar,
    base: Scalar,
    shift: Scalar,
    floor: Scalar,
    slope_of_p: Scalar,
    q_slope: Scalar,
    q_offset: Scalar,
    cap: Scalar,
) -> Scalar:
    """``dense_gradient`` of capped logits."""
    T = type(x)
    part = dense_gradient(capped(x, T(cap)), dense, base, shift, floor, slope_of_p, q_slope, q_offset)
    return part * cap_slope(x, T(cap))
