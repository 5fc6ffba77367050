"""Products with the logistic sigmoid that stay right in its tail, for silu, mish and the approximations of gelu."""

from fastact.maths.exp import _SCALED_EXP_FLOAT32, _SCALED_EXP_FLOAT64
from fastact.scalar import ByPrecision, scalar
from fastact.simd import Scalar, absolute, bits, copysign, fma, from_bits, maximum, minimum, select, shift_left


@scalar
def _exp_parts_float32(x: Scalar, correction: Scalar) -> tuple[Scalar, Scalar]:
    """``(p, power)`` with ``p * power = exp(x + correction)`` for x <= 60 or NaN; ``power`` is a power of two, ``p`` about 2**-24.

    ``y * exp(x)`` is ``y * p * power``: rounded in a subnormal result only once, where ``exp(x)`` alone may have no bits left.
    """
    T = type(x)
    x = maximum(x, T(-104.0))
    shifted = fma(x, T(1.4426950216293335), T(12583063.0))  # 1.5 * 2**23 + 127 + 24
    n = shifted - T(12583063.0)
    r = fma(n, T(-0.6931471824645996), x)
    r = fma(n, T(1.9046542121259336e-09), r) + correction
    return _SCALED_EXP_FLOAT32(r), from_bits(shift_left(bits(shifted), 23))


@scalar
def _exp_parts_float64(x: Scalar, correction: Scalar) -> tuple[Scalar, Scalar]:
    """``(p, power)`` with ``p * power = exp(x + correction)`` for x <= 600 or NaN; ``power`` is a power of two, ``p`` about 2**-56."""
    T = type(x)
    x = maximum(x, T(-746.0))
    shifted = fma(x, T(1.4426950408889634), T(6755399441056823.0))  # 1.5 * 2**52 + 1023 + 56
    n = shifted - T(6755399441056823.0)
    r = fma(n, T(-0.6931471805599453), x)
    r = fma(n, T(-2.3190468138462996e-17), r) + correction
    return _SCALED_EXP_FLOAT64(r), from_bits(shift_left(bits(shifted), 52))


exp_parts = ByPrecision(float32=_exp_parts_float32, float64=_exp_parts_float64)


@scalar
def tail_product(x: Scalar, p: Scalar, power: Scalar) -> Scalar:
    """``x * (p * power)`` for the parts of an exponential: in the tail the power comes last, elsewhere ``x`` may be tiny."""
    T = type(x)
    return select(x < T(-40), maximum(x, T(-1e6)) * p * power, x * (p * power))


@scalar
def times_sigmoid(x: Scalar, z: Scalar, correction: Scalar) -> Scalar:
    """``x * sigmoid(z + correction)`` for ``x`` and ``z`` of one sign, ``correction`` a rounding error of ``z``."""
    T = type(x)
    p, power = exp_parts(-absolute(z), -copysign(T(1), z) * correction)
    return select(x < T(0), tail_product(x, p, power), x) / fma(p, power, T(1))


@scalar
def times_sigmoid_derivative(x: Scalar, z: Scalar, correction: Scalar, slope: Scalar) -> Scalar:
    """``sigmoid(z) + x * slope * sigmoid'(z)``, the derivative of ``x * sigmoid(z)`` for ``slope = dz/dx``."""
    T = type(x)
    p, power = exp_parts(-absolute(z), -copysign(T(1), z) * correction)
    e = p * power
    r = T(1) / (T(1) + e)
    # Where the bounds hold, the exponential is zero: infinity times zero would be NaN.
    steepness = minimum(maximum(x * slope, T(-1e6)), T(1e6))
    return r * fma(steepness * p * power, r, select(x < T(0), e, T(1)))
