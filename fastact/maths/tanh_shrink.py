"""``tanh_shrink(x) = x - tanh(x)``, which cancels near zero.

Below 1 a minimax polynomial for ``(x - tanh(x)) / x**3`` in ``x**2``; from 1 on ``(x - 1) + 2 e / (1 + e)`` with
``e = exp(-2 x)``, where the first difference is exact as long as it matters.

The coefficients are derived by ``tools/derive_coefficients.py``.
"""

from fastact.maths.exp import exp_nonpositive
from fastact.scalar import ByPrecision, Polynomial, scalar
from fastact.simd import Scalar, absolute, copysign, select

# (x - tanh(x)) / x**3 in s = x * x on [0, 1], degree 7 and 15: relative error 3.0e-8 and 5.6e-17, that of the rounded 1 / 3.
_TANH_SHRINK_FLOAT32 = Polynomial(0.3333333432674408, -0.13333413004875183, 0.053978562355041504, -0.021915365010499954, 0.008932418189942837, -0.0035389065742492676, 0.001158158527687192, -0.00020824377133976668)
_TANH_SHRINK_FLOAT64 = Polynomial(0.3333333333333333, -0.13333333333333144, 0.053968253968266905, -0.02186948853818945, 0.008863235565788557, -0.003592128291410864, 0.0014558348744158716, -0.0005900226149182205, 0.0002390858894733894, -9.673598003096312e-05, 3.880520692192695e-05, -1.5056350003416865e-05, 5.3267976592599405e-06, -1.5478551871255644e-06, 3.1315105263284003e-07, -3.177960527392165e-08)

_tanh_shrink_series = ByPrecision(float32=_TANH_SHRINK_FLOAT32, float64=_TANH_SHRINK_FLOAT64)


@scalar
def tanh_shrink(x: Scalar) -> Scalar:
    """``x - tanh(x)`` for every x: below 2 ULP."""
    T = type(x)
    magnitude = absolute(x)
    square = x * x
    near = x * (square * _tanh_shrink_series(square))
    e = exp_nonpositive(T(-2) * magnitude)
    far = (magnitude - T(1)) + (T(2) * e) / (T(1) + e)
    return select(magnitude < T(1), near, copysign(far, x))
