"""``arctan``.

``arctan(a) = pi / 2 - arctan(1 / a)`` takes every argument to ``0 <= t <= 1``, with one division (Cody and Waite, Software
Manual for the Elementary Functions, 1980; Muller, Elementary Functions, chapter 11), and there ``t + t**3 * q(t * t)`` with a
minimax polynomial. What rounding did to the quotient, and to the difference from ``pi / 2``, is computed and added.

The coefficients are derived by ``tools/derive_coefficients.py``; each is the shortest decimal that reads back exactly.
"""

from fastact.maths.scalar import ByPrecision, Constant, Polynomial, scalar
from fastact.maths.simd import Scalar, absolute, copysign, fma, maximum, minimum, select

# q in arctan(t) = t + t**3 * q(t * t): degree 8 and 19 on 0 <= t <= 1, relative error 2.6e-9 and 4.6e-18.
_ARCTAN_FLOAT32 = Polynomial(
    -0.33333298563957214,
    0.1999852955341339,
    -0.14264017343521118,
    0.10950899869203568,
    -0.08399397879838943,
    0.05788347125053406,
    -0.031099436804652214,
    0.010870123282074928,
    -0.001783151994459331,
)
_ARCTAN_FLOAT64 = Polynomial(
    -0.3333333333333307,
    0.1999999999995175,
    -0.14285714282588238,
    0.11111111007347978,
    -0.09090907007921627,
    0.07692279890473684,
    -0.06666404436723897,
    0.058805298904562944,
    -0.05253527158745014,
    0.04722349681936547,
    -0.04219247144351478,
    0.0366432349412079,
    -0.029905869890448952,
    0.021987232239531463,
    -0.0139027257276789,
    0.007197990362139299,
    -0.0028856631729485306,
    0.0008315783515945783,
    -0.0001522151730266066,
    1.3230402048766557e-05,
)

_ARCTAN = ByPrecision(float32=_ARCTAN_FLOAT32, float64=_ARCTAN_FLOAT64)
_HALF_PI = Constant(float32=1.5707963705062866, float64=1.5707963267948966)
_HALF_PI_REST = Constant(float32=-4.371139000186241e-08, float64=6.123233995736766e-17)
_LARGEST = Constant(float32=2.0**120, float64=2.0**1000)  # no residual of its quotient is subnormal


@scalar
def arctan(x: Scalar) -> Scalar:
    """``arctan(x)`` for every x: 0.99 ULP, 0.68 in float64."""
    T = type(x)
    a = minimum(absolute(x), _LARGEST(x))
    far = a > T(1.0)
    large = maximum(a, T(1.0))
    quotient = T(1.0) / large
    t = select(far, quotient, a)
    square = t * t
    cube = t * square
    slope = _ARCTAN(square)
    # Times the derivative by the quotient, which matters where that is close to 1.
    error = fma(-quotient, large, T(1.0)) * quotient * fma(square, T(-0.4), T(0.9))
    whole = _HALF_PI(x) - quotient
    rest = ((_HALF_PI(x) - whole) - quotient) + (_HALF_PI_REST(x) - error)
    return copysign(select(far, whole + fma(-cube, slope, rest), fma(cube, slope, t)), x)
