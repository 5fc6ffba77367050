"""``tanh_shrink(x) = x - tanh(x)``, which cancels near zero.

Below 1 it is ``x**3 * (1/3 + s * q(s))`` with ``s = x * x`` and a minimax polynomial ``q``; ``x**3`` and ``1/3`` are taken in two
parts, so that only the last operation rounds. From 1 on it is ``(x - 1) + 2 * sigmoid(-2 x)``, where the first difference is
exact as long as it matters.

The coefficients are derived by ``tools/derive_coefficients.py``.
"""

from fastact.maths.sigmoid import sigmoid
from fastact.scalar import ByPrecision, Polynomial, scalar
from fastact.simd import Scalar, absolute, copysign, fma, select, widen

# q on 0 <= s <= 1, degree 6 and 14: relative error of the whole 5.8e-9 and 1.5e-17.
_TANH_SHRINK_FLOAT32 = Polynomial(
    -0.13333317637443542,
    0.05396418273448944,
    -0.021833231672644615,
    0.008706874214112759,
    -0.003218629164621234,
    0.0009313837508670986,
    -0.0001448941620765254,
)
_TANH_SHRINK_FLOAT64 = Polynomial(
    -0.13333333333333172,
    0.05396825396808657,
    -0.021869488530036847,
    0.008863235416157434,
    -0.00359212677235719,
    0.0014558251938691011,
    -0.0005899811890367887,
    0.00023896218046088593,
    -9.647285389484388e-05,
    3.840399908063275e-05,
    -1.462091461604633e-05,
    4.998398217986257e-06,
    -1.384269951423957e-06,
    2.647606202985423e-07,
    -2.5342366271552397e-08,
)

_polynomial = ByPrecision(float32=_TANH_SHRINK_FLOAT32, float64=_TANH_SHRINK_FLOAT64)

THIRD_ERROR = 1.850371707708594e-17
"""What 1/3 is more than the float64 nearest to it."""


@scalar
def tanh_shrink(x: Scalar) -> Scalar:
    """``x - tanh(x)`` for every x."""
    T = type(x)
    square = x * x
    cube = x * square
    cube_error = fma(x, square, -cube) + x * fma(x, x, -square)
    third = T(1 / 3)
    rest = fma(square, _polynomial(square), T(THIRD_ERROR + (1 / 3 - widen(third))))
    near = fma(cube, third, fma(cube, rest, cube_error * third))
    magnitude = absolute(x)
    far = (magnitude - T(1)) + T(2) * sigmoid(T(-2) * magnitude)
    return select(magnitude < T(1), near, copysign(far, x))
