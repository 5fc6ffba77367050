"""The logistic sigmoid, products with it, and mish: right also where the sigmoid underflows but the product does not yet.

With ``E = exp(-z)`` the sigmoid is ``1 / (1 + E)``. Numerator and denominator are computed times a power of two that keeps ``E``
finite in the left tail, and a product is scaled back last: it is rounded once, subnormal or not, and no tail needs a formula of
its own. ``E = A * (1 + t)`` with ``A`` a power of two enters the denominator as ``(1 + A) + A * t``, so that it is not rounded
before. One exponential and one division serve value and derivative.

The argument reduction and the polynomials are those of ``fastact.maths.exp``.
"""

from fastact.maths.exp import ANCHOR, EXPM1_NONPOSITIVE, LN2, LN2_REST, LOG2E, power, reduced
from fastact.maths.scalar import Constant, scalar
from fastact.maths.simd import Scalar, absolute, copysign, fma, maximum, minimum, select

LOWEST = Constant(float32=-110.0, float64=-752.0)
"""Where ``z * sigmoid(z)`` has underflowed."""

_LEFT_SCALE = Constant(float32=-32.0, float64=-64.0)
_LEFT_ONE = Constant(float32=2.0**-32, float64=2.0**-64)


@scalar
def exp_minus_parts(z: Scalar, correction: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """``(A, t, one)`` with ``A * (1 + t) = exp(-z - correction) * one``, for ``LOWEST <= z <= 64`` or NaN."""
    anchor = ANCHOR(z) + _LEFT_SCALE(z)
    shifted = fma(z, -LOG2E(z), anchor)
    n = shifted - anchor
    # The small terms first: r is then rounded once.
    r = fma(n, -LN2(z), -z) + fma(n, -LN2_REST(z), -correction)
    return power(shifted), fma(r * r, EXPM1_NONPOSITIVE(r), r), _LEFT_ONE(z)


@scalar
def one_plus_exp_minus(A: Scalar, t: Scalar, one: Scalar) -> Scalar:
    """``one + A * (1 + t)``, with what ``one + A`` loses when ``A`` is large."""
    total = one + A
    return total + fma(A, t, one - (total - A))


@scalar
def sigmoid_of_sum(z: Scalar, correction: Scalar) -> Scalar:
    """``1 / (1 + exp(-z - correction))`` for ``LOWEST <= z <= 64`` or NaN; ``correction`` is what rounding took from ``z``."""
    A, t, one = exp_minus_parts(z, correction)
    return one / one_plus_exp_minus(A, t, one)


@scalar
def sigmoid(x: Scalar) -> Scalar:
    """``1 / (1 + exp(-x))`` for every x."""
    T = type(x)
    return sigmoid_of_sum(minimum(maximum(x, LOWEST(x)), T(64)), T(0))


@scalar
def sigmoid_derivative(x: Scalar) -> Scalar:
    """``s * (1 - s)`` for every x, from the sigmoid's smaller value ``s``: the subtraction then amplifies no error."""
    s = sigmoid(-absolute(x))
    return fma(-s, s, s)


@scalar
def times_sigmoid(x: Scalar, z: Scalar, correction: Scalar) -> Scalar:
    """``x * sigmoid(z + correction)`` for ``x <= 64`` and ``z >= LOWEST`` of one sign; ``correction`` is ``z``'s rounding error."""
    T = type(x)
    A, t, one = exp_minus_parts(minimum(z, T(64)), correction)
    return x / one_plus_exp_minus(A, t, one) * one


@scalar
def times_sigmoid_derivative(xslope: Scalar, xslope_error: Scalar, z: Scalar, correction: Scalar) -> Scalar:
    """``s + xslope * s * (1 - s)`` with ``s = sigmoid(z + correction)`` and ``xslope = x * dz/dx``, for ``z`` as above."""
    T = type(z)
    A, t, one = exp_minus_parts(minimum(z, T(64)), correction)
    d = one_plus_exp_minus(A, t, one)
    r = T(1) / d
    r_error = r * fma(-d, r, T(1))
    # s = one * r; of the two forms of 1 - s the better one on each side
    complement = select(z < T(0), fma(-one, r, T(1)), fma(A, t, A) * r)
    total = fma(xslope, complement, fma(xslope_error, complement, T(1)))
    return fma(total, r, total * r_error) * one


@scalar
def silu_and_derivative(x: Scalar) -> tuple[Scalar, Scalar]:
    """``x * s`` and ``s + x * s * (1 - s)`` with ``s = sigmoid(x)``, for every x: the two share a reciprocal."""
    T = type(x)
    bounded = minimum(maximum(x, LOWEST(x)), T(64))
    A, t, one = exp_minus_parts(bounded, T(0))
    d = one_plus_exp_minus(A, t, one)
    r = T(1) / d
    r_error = r * fma(-d, r, T(1))
    complement = select(bounded < T(0), fma(-one, r, T(1)), fma(A, t, A) * r)
    total = fma(bounded, complement, T(1))
    silu = select(x > T(64), x, fma(bounded, r, bounded * r_error) * one)
    return silu, fma(total, r, total * r_error) * one


@scalar
def sigmoid_and_derivative(x: Scalar) -> tuple[Scalar, Scalar]:
    """``s = sigmoid(x)`` and ``s * (1 - s)``, for every x, both from the sigmoid's smaller value."""
    T = type(x)
    s = sigmoid(-absolute(x))
    return select(x < T(0), s, T(1) - s), fma(-s, s, s)


_MISH_SCALE = Constant(float32=40.0, float64=80.0)
_MISH_ONE = Constant(float32=2.0**40, float64=2.0**80)


@scalar
def exp_parts(x: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """``(A, t, one)`` with ``A * (1 + t) = exp(x) * one``, for ``LOWEST <= x <= 40`` or NaN."""
    shifted, r = reduced(x, _MISH_SCALE(x))
    return power(shifted), fma(r * r, EXPM1_NONPOSITIVE(r), r), _MISH_ONE(x)


@scalar
def mish(x: Scalar) -> Scalar:
    """``x * tanh(log(1 + w))`` with ``w = exp(x)``, for every x.

    ``tanh(log(1 + w))`` is ``1 - 2 / d`` and, for the left tail, ``w * (1 - w * (1 + w) / d)`` with ``d = (1 + w)**2 + 1``. The
    rounding errors of ``1 + w``, ``d``, the quotient and the difference are carried along: the function is a
    difference of like terms around zero, and its plain form reaches 2.4 ULP there.
    """
    T = type(x)
    bounded = minimum(maximum(x, LOWEST(x)), T(22))
    A, t, one = exp_parts(bounded)
    scale = T(1) / one
    left = x < T(-1.5)
    A1 = A * scale
    w1 = fma(A1, t, T(1) + A1)
    w1_error = fma(A1, t, (T(1) + A1) - w1)
    d = fma(w1, w1, T(1))
    d_error = fma(w1 + w1, w1_error, fma(w1, w1, T(1) - d))
    w = fma(A1, t, A1)
    share = select(left, fma(w, w, w), T(2))
    q = share / d
    q_error = fma(-q, d_error, fma(-q, d, share)) * (T(0.5) * q)
    q_error = select(left, T(0), q_error)
    rest = T(1) - q
    rest_error = ((T(1) - rest) - q) - q_error
    factor = select(left, fma(bounded * A, t, bounded * A), bounded * one)
    # The sum of two zeros may have lost their sign.
    return select(x > T(22), x, copysign(fma(factor, rest, factor * rest_error) * scale, x))


@scalar
def mish_derivative(x: Scalar) -> Scalar:
    """``w / d * (1 + w / 2 + x * (1 + w) / d)`` with ``d = 1 + w + w**2 / 2``, for every x.

    Left of 1 ``(1 + w) / d`` is taken as ``1 - (w**2 / 2) / d``, which leaves the ``x`` that dominates unrounded.
    """
    T = type(x)
    bounded = minimum(maximum(x, LOWEST(x)), T(22))
    A, t, one = exp_parts(bounded)
    scale = T(1) / one
    w = fma(A, t, A) * scale
    half_square = T(0.5) * w * w
    d = T(1) + fma(T(0.5) * w, w, w)
    r = T(1) / d
    left = fma(-bounded * half_square, r, bounded)
    right = bounded * (T(1) + w) * r
    total = fma(A, t, A) * (select(x < T(1), left, right) + fma(T(0.5), w, T(1)))
    return fma(total, r, total * (r * fma(-d, r, T(1)))) * scale
