"""``tanh`` and ``tanh_shrink``.

Near zero ``a + a**3 * q(a * a)``, elsewhere ``1 - 2 / (exp(2 * a) + 1)``, for ``a = abs(x)``: there an error in the
quotient counts little. Both are computed and one is selected; one division. (The split is that of Cody and Waite,
Software Manual for the Elementary Functions, 1980.) The exponential is reduced as in ``fastact.maths.exp``, for half
the argument.

The coefficients are derived by ``tools/derive_coefficients.py``; each is the shortest decimal that reads back exactly.
ULP figures are measured errors: float32 over every bit pattern from 2**-31 to where the result saturates and over every
64th elsewhere, against float64; float64 over samples from every binade, against mpmath.
"""

from fastact.maths.exp import ANCHOR, LN2, LOG2E, power
from fastact.maths.scalar import ByPrecision, Constant, Polynomial, scalar
from fastact.maths.simd import Scalar, absolute, copysign, fma, minimum, select

# q in tanh(a) = a + a**3 * q(a * a): degree 4 for a <= 0.625 and 9 for a <= 0.55, relative error 4.5e-9 and 2.0e-17.
_NEAR_FLOAT32 = Polynomial(
    -0.3333328068256378, 0.13331405818462372, -0.05373651906847954, 0.020628193393349648, -0.005692341364920139
)
_NEAR_FLOAT64 = Polynomial(
    -0.33333333333332316,
    0.13333333333168917,
    -0.053968253876153324,
    0.021869485976174167,
    -0.008863194519078644,
    0.0035917197992374516,
    -0.0014532171907247274,
    0.0005791381476564221,
    -0.00021030404890295815,
    5.102250730807327e-05,
)

# exp(2 * w) / 2 for |w| <= ln2 / 4, degree 6 and 11: relative error 3.1e-9 and 3.7e-18.
_HALF_EXP_FLOAT32 = Polynomial(
    0.5, 1.0, 0.9999998807907104, 0.6666609048843384, 0.33334630727767944, 0.13389651477336884, 0.044219572097063065
)
_HALF_EXP_FLOAT64 = Polynomial(
    0.5,
    1.0,
    1.0000000000000022,
    0.6666666666666586,
    0.3333333333322304,
    0.1333333333355225,
    0.04444444461983842,
    0.012698412509704791,
    0.0031745911260179062,
    0.0007054734925684985,
    0.00014146659541974766,
    2.560745277344623e-05,
)

# q in a - tanh(a) = a**3 * q(a * a) for a <= 1.02, degree 7 and 15: relative error 3.0e-8 and 5.6e-17
# (that of rounding 1 / 3).
_SHRINK_FLOAT32 = Polynomial(
    0.3333333432674408,
    -0.13333404064178467,
    0.05397622287273407,
    -0.02189713716506958,
    0.00887035857886076,
    -0.00343512580730021,
    0.0010743687162175775,
    -0.00018213871226180345,
)
_SHRINK_FLOAT64 = Polynomial(
    0.3333333333333333,
    -0.13333333333332476,
    0.053968253967591605,
    -0.021869488515868084,
    0.008863235202357003,
    -0.003592124824721641,
    0.0014558136041237198,
    -0.0005899338967167262,
    0.00023882588184893967,
    -9.619101638809611e-05,
    3.79842863059434e-05,
    -1.4174688807090467e-05,
    4.66807206408637e-06,
    -1.2225461072277174e-06,
    2.1769818201435384e-07,
    -1.9179637881046886e-08,
)

_NEAR = ByPrecision(float32=_NEAR_FLOAT32, float64=_NEAR_FLOAT64)
_HALF_EXP = ByPrecision(float32=_HALF_EXP_FLOAT32, float64=_HALF_EXP_FLOAT64)
_SHRINK = ByPrecision(float32=_SHRINK_FLOAT32, float64=_SHRINK_FLOAT64)
_NEAR_END = Constant(float32=0.625, float64=0.55)
_ONE_FROM = Constant(float32=10.0, float64=20.0)  # tanh is 1 from 9.02 or 19.07 on


@scalar
def _gap(a: Scalar) -> Scalar:
    """``1 - tanh(a)`` for a >= 0.5 or NaN, precise enough for ``tanh``.

    ln2 needs no low part, as the result shrinks while n grows.
    """
    T = type(a)
    a = minimum(a, _ONE_FROM(a))
    shifted = fma(a, T(2.0) * LOG2E(a), ANCHOR(a))
    w = fma(shifted - ANCHOR(a), T(-0.5) * LN2(a), a)
    return T(1.0) / fma(power(shifted), _HALF_EXP(w), T(0.5))


@scalar
def tanh(x: Scalar) -> Scalar:
    """``tanh(x)`` for every x: 1.37 ULP, 1.65 in float64."""
    T = type(x)
    a = absolute(x)
    square = a * a
    near = fma(a * square, _NEAR(square), a)
    return copysign(select(a < _NEAR_END(x), near, T(1.0) - _gap(a)), x)


@scalar
def tanh_shrink(x: Scalar) -> Scalar:
    """``x - tanh(x)`` for every x: 1.94 ULP, 1.9 in float64."""
    T = type(x)
    a = absolute(x)
    square = a * a
    # The cube's rounding errors are added back: there are two, and the polynomial has its own.
    cube = a * square
    cube_rest = fma(a, fma(a, a, -square), fma(a, square, -cube))
    quotient = _SHRINK(square)
    near = fma(cube, quotient, cube_rest * quotient)
    return copysign(select(a < T(1.02), near, (a - T(1.0)) + _gap(a)), x)
