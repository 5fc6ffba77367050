"""The softmax family: one block per op."""

from fastact.engine.rowkernel import RowKernel
from fastact.engine.ufunc import make_ufunc
from fastact.maths.exp import exp
from fastact.maths.logsumexp import exp_at, level, log_excess, logsumexp as _logsumexp, reach, reciprocal, total
from fastact.scalar import scalar
from fastact.simd import Scalar, fma, widen


@scalar
def _softmax_constants(m, ties, rest, _):
    T = type(m)
    base, n = level(m)
    shift, floor = reach(n)
    scale, scale_rest = reciprocal(total(m, ties, rest), m)
    return base, shift, floor, scale, scale_rest, T(0)


@scalar
def _softmax(x, _, base, shift, floor, scale, scale_rest, u, cap):
    e = exp_at(x, base, shift, floor)
    return fma(e, scale, e * scale_rest)


@scalar
def _log_softmax_constants(m, ties, rest, _):
    T = type(m)
    return m, T(log_excess(m, ties, rest)), T(0), T(0), T(0), T(0)


@scalar
def _log_softmax(x, _, m, excess, r, s, t, u, cap):
    return (x - m) - excess


@scalar
def _negative(x, cap):
    return -x


@scalar
def _lse(m, ties, rest, _):
    T = type(m)
    return T(_logsumexp(m, ties, rest))


@scalar
def _product(grad, output, p, q, r, s):
    return grad * output


@scalar
def _sum_only(m, ties, rest, total):
    T = type(m)
    return T(total), T(0), T(0), T(0), T(0), T(0)


@scalar
def _softmax_backward(grad, output, dot, q, r, s, t, u, cap):
    return output * (grad - dot)


@scalar
def _first(grad, output, p, q, r, s):
    return grad


@scalar
def _log_softmax_backward(grad, output, total, q, r, s, t, u, cap):
    return grad - exp(output) * total


def mk(k):
    return make_ufunc(k, k.name, "doc", "fastact")


softmax = mk(RowKernel("softmax", _softmax_constants, _softmax))
softmin = mk(RowKernel("softmin", _softmax_constants, _softmax, prepare=_negative, padding=float("inf")))
log_softmax = mk(RowKernel("log_softmax", _log_softmax_constants, _log_softmax))
logsumexp = mk(RowKernel("logsumexp", _lse))
softmax_backward = mk(RowKernel("softmax_backward", _sum_only, _softmax_backward, _product, 2, False))
log_softmax_backward = mk(RowKernel("log_softmax_backward", _sum_only, _log_softmax_backward, _first, 2, False))
