"""``power``.

``2**(y * log2(x))``, with ``log2(x)`` so exact that the product, which may reach 1075, keeps the result's last place (Tang,
Table-lookup algorithms for elementary functions and their error analysis, 1991; Sibidanov, Zimmermann and Glondu, The
CORE-MATH project, 2022). With ``x = 2**k * m`` and ``s = (m - 1) / (m + 1)``, ``log2(m)`` is ``2 / ln2 * atanh(s)``: the
quotient's square is below 0.03, so few terms of the series have to be carried as a number and a rest, and there is no table.
In float64 what the sums leave is 2**-65 of the logarithm; float32 computes in float64, without rests.

The coefficients are derived by ``tools/derive_coefficients.py``; each is the shortest decimal that reads back exactly.
"""

from fastact.maths.exp import ANCHOR, HALVES_SCALE, exp2_fraction, power_in_two
from fastact.maths.exp import power as power_of_two
from fastact.maths.log import split_at_root
from fastact.maths.scalar import ByPrecision, Polynomial, scalar
from fastact.maths.simd import Scalar, absolute, copysign, fma, maximum, minimum, narrow, rint, select, widen

INFINITY, NAN = float("inf"), float("nan")

# q in atanh(s) = s + s**3 * (1/3 + s * s * q(s * s)): degree 7 for s <= (sqrt(2) - 1)**2, error 7.6e-23 of atanh(s).
# q in log2((1 + s) / (1 - s)) = s * q(s * s): degree 4, relative error 4.2e-12; 2**r: degree 7 on |r| <= 1/2, 4.7e-11.
_ATANH = Polynomial(
    0.1999999999999999,
    0.1428571428572192,
    0.11111111108894893,
    0.09090909421989894,
    0.07692279214967054,
    0.06668132213855318,
    0.05837891238128731,
    0.05990868203827419,
)
_LOG2_SINGLE = Polynomial(
    2.885390081790074, 0.9617966733514537, 0.577083583099863, 0.4116728371545536, 0.3407278172385774
)
_EXP2_SINGLE = Polynomial(
    1.0,
    0.6931471807044852,
    0.24022651066635886,
    0.05550410366150147,
    0.00961803812639685,
    0.0013333934961481603,
    0.00015466757618781576,
    1.5196173341034678e-05,
)

_THIRD, _THIRD_REST = 0.3333333333333333, 1.850371707708594e-17
_TWO_LOG2_E, _TWO_LOG2_E_REST = 2.8853900817779268, 4.0710547481862066e-17


@scalar
def _log2_with_rest(x: Scalar) -> tuple[Scalar, Scalar]:
    """``log2(x)`` for a finite x > 0 as a sum, with a relative error of 2**-65."""
    T = type(x)
    k, f = split_at_root(x)
    # The quotient, by a reciprocal that one division gives: what it lacks is computed.
    total = f + T(2.0)
    total_rest = f - (total - T(2.0))
    reciprocal = T(1.0) / total
    s = f * reciprocal
    s_rest = (fma(-s, total, f) - s * total_rest) * reciprocal
    square = s * s
    square_rest = fma(s, s, -square) + (s + s) * s_rest
    part = square * _ATANH(square)
    slope = T(_THIRD) + part
    slope_rest = ((T(_THIRD) - slope) + part) + T(_THIRD_REST)
    cube = s * square
    cube_rest = fma(s, square, -cube) + fma(s, square_rest, s_rest * square)
    product = cube * slope
    product_rest = fma(cube, slope, -product) + fma(cube, slope_rest, cube_rest * slope)
    atanh = s + product
    atanh_rest = ((s - atanh) + product) + (s_rest + product_rest)
    scaled = atanh * T(_TWO_LOG2_E)
    scaled_rest = fma(atanh, T(_TWO_LOG2_E), -scaled) + fma(atanh, T(_TWO_LOG2_E_REST), atanh_rest * T(_TWO_LOG2_E))
    whole = k + scaled
    return whole, ((k - whole) + scaled) + scaled_rest


@scalar
def _exponent(x: Scalar, y: Scalar, product: Scalar, limit: Scalar) -> Scalar:
    """``y * log2(abs(x))``, given that product for a finite x other than 0, between the limits and not NaN without cause."""
    T = type(x)
    a = absolute(x)
    product = select((a == T(0.0)) | (a == T(INFINITY)), select((a == T(0.0)) == (y < T(0.0)), limit, -limit), product)
    product = minimum(maximum(product, -limit), limit)
    product = select((a == T(1.0)) & (y == y), T(0.0), product)
    return select((x == x) & (y == y), product, x + y)


@scalar
def _with_sign(x: Scalar, y: Scalar, size: Scalar) -> Scalar:
    """Make of ``abs(x)**y`` what ``x**y`` is: for negative ``x``, and where NaN to the 0 and 1 to the NaN are 1."""
    T = type(x)
    whole = rint(y) == y
    odd = whole & (rint(y * T(0.5)) != y * T(0.5))
    result = select(odd, copysign(size, x), size)
    result = select((x < T(0.0)) & (x > T(-INFINITY)) & (y == y) & (rint(y) != y), T(NAN), result)
    return select((x == T(1.0)) | (y == T(0.0)), T(1.0), result)


@scalar
def _power_float64(x: Scalar, y: Scalar) -> Scalar:
    """``x**y`` for all x and y: 1.28 ULP."""
    T = type(x)
    log, log_rest = _log2_with_rest(absolute(x))
    product = y * log
    rest = fma(y, log, -product) + y * log_rest
    exponent = _exponent(x, y, product, T(1100.0))
    rest = select(exponent == product, rest, T(0.0))
    anchor = ANCHOR(x) + HALVES_SCALE(x)
    shifted = exponent + anchor
    half, other = power_in_two(shifted)
    fraction = exp2_fraction(exponent - (shifted - anchor))
    return _with_sign(x, y, fma(fraction, rest * T(0.6931471805599453), fraction) * half * other)


@scalar
def _power_float32(x: Scalar, y: Scalar) -> Scalar:
    """``x**y`` for all x and y: 0.51 ULP."""
    base, y_wide = widen(x), widen(y)
    T = type(base)
    k, f = split_at_root(absolute(base))
    s = f / (f + T(2.0))
    log = fma(s, _LOG2_SINGLE(s * s), k)
    exponent = _exponent(base, y_wide, y_wide * log, T(200.0))
    shifted = exponent + ANCHOR(base)
    fraction = _EXP2_SINGLE(exponent - (shifted - ANCHOR(base)))
    return _with_sign(x, y, narrow(fraction * power_of_two(shifted)))


power = ByPrecision(float32=_power_float32, float64=_power_float64)
