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
def uncapped(x: Scalar, cap: Scalar) -> Scalar:
    """``x``."""
    return x


@scalar
def dense_term(x: Scalar, d: Scalar, m: Scalar, excess: Scalar, slope: Scalar, offset: Scalar) -> Scalar:
    """One class's part of the loss. A class with nothing of the target adds nothing, even if its logit is -inf."""
    T = type(x)
    q = fma(slope, d, offset)
    return select(q == T(0.0), T(0.0), q * ((m - x) + excess))


@scalar
def dense_weight(x: Scalar, d: Scalar, m: Scalar, excess: Scalar, slope: Scalar, offset: Scalar) -> Scalar:
    """What is summed for the target's dense part, ``slope * sum(d) + offset * classes``: unrounded if all weights are 1."""
    return d


@scalar
def row_loss(
    m: Scalar,
    ties: Scalar,
    rest: Scalar,
    terms: Scalar,
    dense_sum: Scalar,
    x_label: Scalar,
    w_label: Scalar,
    d_label: Scalar,
    keep: Scalar,
    slope: Scalar,
    offset: Scalar,
    z_loss: Scalar,
    scale: Scalar,
    classes: Scalar,
    cap: Scalar,
) -> tuple[Any, ...]:
    """A row's loss and logsumexp, six constants for its gradient, and the gradient at the label; the options are float64."""
    T = type(m)
    base, n = level(m)
    shift, floor = reach(n)
    q_label = keep * widen(w_label)
    lse = logsumexp(m, ties, rest)
    nll = (widen(m) - widen(x_label)) + log_excess(m, ties, rest)
    loss = terms + select(q_label == widen(0.0), widen(0.0), q_label * nll) + z_loss * lse * lse
    loss = loss + select(rest == rest, widen(0.0), widen(NAN))
    # The gradient is scale * ((sum of q + 2 * z_loss * lse) * p - q). At the label p is nearly 1 when the loss is small: the
    # difference is taken before the exponential.
    other = fma(slope, dense_sum, offset * classes) + widen(2.0) * z_loss * lse
    slope_of_p = T(scale * (q_label + other) / total(m, ties, rest))
    dense_label = fma(slope, widen(d_label), offset)
    at_label = scale * (q_label * expm1(-nll) + (other * exp(-nll) - dense_label))
    return loss, lse, base, shift, floor, slope_of_p, T(scale * slope), T(scale * offset), T(at_label)


@scalar
def row_loss_alone(m: Scalar, *others: Scalar) -> tuple[Any, ...]:
    """The same where no gradient is wanted: the compiler drops what only that needs."""
    loss, lse, _, _, _, _, _, _, _ = row_loss(m, *others)
    return loss, lse, m, m, m, m, m, m, m


@scalar
def row_loss_capped(
    m: Scalar, ties: Scalar, rest: Scalar, terms: Scalar, dense_sum: Scalar, x_label: Scalar, *others: Scalar
) -> tuple[Any, ...]:
    """The same for capped logits; ``x_label`` is as it was before."""
    at_cap = capped(x_label, others[-1])
    loss, lse, base, shift, floor, p, t, u, at_label = row_loss(m, ties, rest, terms, dense_sum, at_cap, *others)
    return loss, lse, base, shift, floor, p, t, u, at_label * cap_slope(x_label, others[-1])


@scalar
def label_gradient(
    x: Scalar,
    d: Scalar,
    base: Scalar,
    shift: Scalar,
    floor: Scalar,
    slope_of_p: Scalar,
    slope: Scalar,
    offset: Scalar,
    cap: Scalar,
) -> Scalar:
    """The gradient at a class that is not the label's."""
    return exp_at(x, base, shift, floor) * slope_of_p


@scalar
def dense_gradient(
    x: Scalar,
    d: Scalar,
    base: Scalar,
    shift: Scalar,
    floor: Scalar,
    slope_of_p: Scalar,
    slope: Scalar,
    offset: Scalar,
    cap: Scalar,
) -> Scalar:
    """The gradient at a class that has a dense part of the target."""
    return fma(exp_at(x, base, shift, floor), slope_of_p, -fma(slope, d, offset))


@scalar
def capped_label_gradient(x: Scalar, *others: Scalar) -> Scalar:
    """``label_gradient`` of capped logits."""
    return label_gradient(capped(x, others[-1]), *others) * cap_slope(x, others[-1])


@scalar
def capped_dense_gradient(x: Scalar, *others: Scalar) -> Scalar:
    """``dense_gradient`` of capped logits."""
    return dense_gradient(capped(x, others[-1]), *others) * cap_slope(x, others[-1])
