"""Products with the logistic sigmoid, and mish, that stay right where the sigmoid underflows but the product does not yet.

With ``E = exp(-z)`` the sigmoid is ``1 / (1 + E)``. Numerator and denominator are computed times a power of two that keeps ``E``
finite in the left tail, and the result is scaled back last: it is rounded once, subnormal or not, and no tail needs a formula
of its own. One exponential and one division serve value and derivative.

The argument reduction and the polynomials are those of ``fastact.maths.exp``.
"""

from fastact.maths.exp import (
    _SCALED_EXP_FLOAT32,
    _SCALED_EXP_FLOAT64,
    _SCALED_EXP_MINUS_FLOAT32,
    _SCALED_EXP_MINUS_FLOAT64,
)
from fastact.scalar import ByPrecision, scalar
from fastact.simd import Scalar, bits, fma, from_bits, maximum, minimum, select, shift_left


@scalar
def _small_exp_minus_float32(z: Scalar, correction: Scalar) -> tuple[Scalar, Scalar]:
    """``(exp(-z - correction), 1.0)``, both times 2**-56, for -110 <= z <= 64 or NaN."""
    T = type(z)
    shifted = fma(z, T(-1.4426950216293335), T(12583007.0))  # 1.5 * 2**23 + 127 - 32
    n = shifted - T(12583007.0)
    v = fma(n, T(0.6931471824645996), z)
    v = fma(n, T(-1.9046542121259336e-09), v) + correction
    return _SCALED_EXP_MINUS_FLOAT32(v) * from_bits(shift_left(bits(shifted), 23)), T(2.0**-56)


@scalar
def _small_exp_minus_float64(z: Scalar, correction: Scalar) -> tuple[Scalar, Scalar]:
    """``(exp(-z - correction), 1.0)``, both times 2**-120, for -752 <= z <= 64 or NaN."""
    T = type(z)
    shifted = fma(z, T(-1.4426950408889634), T(6755399441056703.0))  # 1.5 * 2**52 + 1023 - 64
    n = shifted - T(6755399441056703.0)
    v = fma(n, T(0.6931471805599453), z)
    v = fma(n, T(2.3190468138462996e-17), v) + correction
    return _SCALED_EXP_MINUS_FLOAT64(v) * from_bits(shift_left(bits(shifted), 52)), T(2.0**-120)


_small_exp_minus = ByPrecision(float32=_small_exp_minus_float32, float64=_small_exp_minus_float64)


@scalar
def _lowest_float32(x: Scalar) -> Scalar:
    """Where ``z * sigmoid(z)`` has underflowed."""
    T = type(x)
    return T(-110.0)


@scalar
def _lowest_float64(x: Scalar) -> Scalar:
    """Where ``z * sigmoid(z)`` has underflowed."""
    T = type(x)
    return T(-752.0)


lowest = ByPrecision(float32=_lowest_float32, float64=_lowest_float64)


@scalar
def times_sigmoid(x: Scalar, z: Scalar, correction: Scalar) -> Scalar:
    """``x * sigmoid(z + correction)`` for ``x`` and ``z`` of one sign and ``lowest <= z``; ``correction`` is ``z``'s rounding error."""
    T = type(x)
    small, one = _small_exp_minus(minimum(z, T(64)), correction)
    return select(x > T(64), x, x / (one + small) * one)


@scalar
def times_sigmoid_derivative(x: Scalar, z: Scalar, correction: Scalar, slope: Scalar) -> Scalar:
    """``sigmoid(z) + x * slope * sigmoid'(z)`` with ``slope = dz/dx``, for arguments as above."""
    T = type(x)
    small, one = _small_exp_minus(minimum(z, T(64)), correction)
    r = T(1) / (one + small)
    # sigmoid = one * r and 1 - sigmoid = small * r
    return r * fma(minimum(x, T(64)) * slope, small * r, T(1)) * one


@scalar
def _large_exp_float32(x: Scalar) -> tuple[Scalar, Scalar]:
    """``(exp(x), 1.0)``, both times 2**40, for -110 <= x <= 40 or NaN."""
    T = type(x)
    shifted = fma(x, T(1.4426950216293335), T(12583103.0))  # 1.5 * 2**23 + 127 + 24 + 40
    n = shifted - T(12583103.0)
    r = fma(n, T(-0.6931471824645996), x)
    r = fma(n, T(1.9046542121259336e-09), r)
    return _SCALED_EXP_FLOAT32(r) * from_bits(shift_left(bits(shifted), 23)), T(2.0**40)


@scalar
def _large_exp_float64(x: Scalar) -> tuple[Scalar, Scalar]:
    """``(exp(x), 1.0)``, both times 2**80, for -752 <= x <= 40 or NaN."""
    T = type(x)
    shifted = fma(x, T(1.4426950408889634), T(6755399441056903.0))  # 1.5 * 2**52 + 1023 + 56 + 80
    n = shifted - T(6755399441056903.0)
    r = fma(n, T(-0.6931471805599453), x)
    r = fma(n, T(-2.3190468138462996e-17), r)
    return _SCALED_EXP_FLOAT64(r) * from_bits(shift_left(bits(shifted), 52)), T(2.0**80)


_large_exp = ByPrecision(float32=_large_exp_float32, float64=_large_exp_float64)


@scalar
def mish(x: Scalar) -> Scalar:
    """``x * tanh(log(1 + w)) = x * n / (n + 2)`` with ``w = exp(x)`` and ``n = w * (w + 2)``; scaled like the above."""
    T = type(x)
    bounded = minimum(maximum(x, lowest(x)), T(40))
    large, one = _large_exp(bounded)
    w = large * (T(1) / one)
    product = bounded * large * (w + T(2)) / fma(w, w + T(2), T(2)) * (T(1) / one)
    return select(x > T(39), x, product)


@scalar
def mish_derivative(x: Scalar) -> Scalar:
    """``n / d + x * 4 w (1 + w) / d**2`` with ``d = n + 2``."""
    T = type(x)
    bounded = minimum(maximum(x, lowest(x)), T(40))
    large, one = _large_exp(bounded)
    w = large * (T(1) / one)
    r = T(1) / fma(w, w + T(2), T(2))
    steep = T(4) * bounded * large * (T(1) + w)
    return r * fma(steep, r, large * (w + T(2))) * (T(1) / one)
