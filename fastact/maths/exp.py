"""``exp``, ``exp2``, ``expm1`` and the cheaper forms of them that activations need.

All of them reduce the argument as Cody and Waite did (Software Manual for the Elementary Functions, 1980; Muller,
Elementary Functions, chapter 11): ``x = n * ln2 + r`` with ``n`` the nearest integer to ``x / ln2``, then
``exp(x) = 2**n * exp(r)``, with a minimax polynomial for ``exp(r)``. Three things make it short:

- ``n`` comes from adding ``1.5 * 2**23`` (``2**52``) and the exponent's bias, which leaves the biased ``n`` in the low
  bits of the sum, so that a single shift makes ``2**n`` of it: no rounding, no conversion, no addition of the bias;
- ``ln2`` is taken as its nearest float plus a rest: ``x`` and ``n`` times the first are multiples of so large a unit
  that their difference is exact;
- where results may be subnormal, the polynomial carries a factor ``2**-24`` (``2**-56``), so that the power of two it
  is multiplied with stays normal and the product is rounded once.

The coefficients are derived by ``tools/derive_coefficients.py``; each is the shortest decimal that reads back exactly.
ULP figures are measured errors: float32 over every bit pattern from 2**-31 to where the result saturates and over every
64th elsewhere, against float64; float64 over samples from every binade, against mpmath.
"""

from fastact.maths.scalar import ByPrecision, Constant, Polynomial, scalar
from fastact.maths.simd import Scalar, bit_and, bits, fma, from_bits, maximum, minimum, select, shift_left, subtract

INFINITY = float("inf")

# Degree 6 and 11 on |r| <= ln2 / 2: relative error 3.1e-9 and 3.7e-18. SCALED: times 2**-24 or 2**-56.
_EXP_FLOAT32 = Polynomial(
    1.0, 1.0, 0.4999999403953552, 0.1666652262210846, 0.04166828840970993, 0.008368532173335552, 0.0013818616280332208
)
_EXP_FLOAT64 = Polynomial(
    1.0,
    1.0,
    0.5000000000000011,
    0.16666666666666466,
    0.0416666666665288,
    0.008333333333470156,
    0.0013888888943699507,
    0.00019841269546413737,
    2.4801493172014892e-05,
    2.7557558303456975e-06,
    2.7630194417919465e-07,
    2.5007278099068583e-08,
)
_SCALED_EXP_FLOAT32 = Polynomial(
    5.960464477539063e-08,
    5.960464477539063e-08,
    2.9802318834981634e-08,
    9.934021605317866e-09,
    2.4836235290592867e-09,
    4.988033874830933e-10,
    8.23653714676631e-11,
)
_SCALED_EXP_FLOAT64 = Polynomial(
    1.3877787807814457e-17,
    1.3877787807814457e-17,
    6.938893903907244e-18,
    2.312964634635715e-18,
    5.782411586570224e-19,
    1.1564823173368594e-19,
    1.9274705364696203e-20,
    2.7535292860278083e-21,
    3.4418985955818177e-22,
    3.8243794663685125e-23,
    3.834459752205458e-24,
    3.4704569910987946e-25,
)

# Degree 6 and 11 on |r| <= 1/2: relative error 3.0e-9 and 4.1e-18.
_EXP2_FLOAT32 = Polynomial(
    1.0,
    0.6931471824645996,
    0.24022647738456726,
    0.05550359934568405,
    0.009618505835533142,
    0.0013390806270763278,
    0.00015326471475418657,
)
_EXP2_FLOAT64 = Polynomial(
    1.0,
    0.6931471805599453,
    0.24022650695910108,
    0.05550410866482172,
    0.009618129107601608,
    0.0013333558146546365,
    0.000154035304490305,
    1.525273363392721e-05,
    1.321543883925134e-06,
    1.0178160063847939e-07,
    7.0732324225434075e-09,
    4.4388600819256245e-10,
)


# q in expm1(r) = r + r * r * q(r): degree 5 and 9 on log(0.75) <= r <= log(1.5), relative error 3.8e-10 and 2.0e-17
# of expm1(r); degree 4 and 9 on |r| <= ln2 / 2 (NONPOSITIVE), 1.4e-8 and 1.9e-17.
_EXPM1_FLOAT32 = Polynomial(
    0.5, 0.16666670143604279, 0.04166658967733383, 0.008332042023539543, 0.001391781959682703, 0.00020942470291629434
)
_EXPM1_FLOAT64 = Polynomial(
    0.49999999999999994,
    0.16666666666667318,
    0.041666666666678974,
    0.00833333333266211,
    0.0013888888886072687,
    0.00019841272040052523,
    2.4801577693806764e-05,
    2.755440626302639e-06,
    2.758829087131762e-07,
    2.6425374845881955e-08,
)
_EXPM1_NONPOSITIVE_FLOAT32 = Polynomial(
    0.4999999701976776, 0.1666654646396637, 0.04166744649410248, 0.00836624950170517, 0.0013869669055566192
)
_EXPM1_NONPOSITIVE_FLOAT64 = Polynomial(
    0.5000000000000006,
    0.1666666666666665,
    0.041666666666576244,
    0.008333333333359793,
    0.001388888893138308,
    0.00019841269771268832,
    2.4801505634648685e-05,
    2.755736856801934e-06,
    2.762587413978893e-07,
    2.5064293680278603e-08,
)

_EXP = ByPrecision(float32=_EXP_FLOAT32, float64=_EXP_FLOAT64)
_SCALED_EXP = ByPrecision(float32=_SCALED_EXP_FLOAT32, float64=_SCALED_EXP_FLOAT64)
exp2_fraction = ByPrecision(float32=_EXP2_FLOAT32, float64=_EXP2_FLOAT64)
_EXPM1 = ByPrecision(float32=_EXPM1_FLOAT32, float64=_EXPM1_FLOAT64)
EXPM1_NONPOSITIVE = ByPrecision(float32=_EXPM1_NONPOSITIVE_FLOAT32, float64=_EXPM1_NONPOSITIVE_FLOAT64)

LOG2E = Constant(float32=1.4426950216293335, float64=1.4426950408889634)
LN2 = Constant(float32=0.6931471824645996, float64=0.6931471805599453)
LN2_REST = Constant(float32=-1.9046542121259336e-09, float64=2.3190468138462996e-17)
ANCHOR = Constant(float32=12583039.0, float64=6755399441056767.0)  # 1.5 * 2**23 + 127 and 1.5 * 2**52 + 1023
_FRACTION_BITS = Constant(float32=23, float64=52)


@scalar
def power(shifted: Scalar) -> Scalar:
    """``2.0**n`` for ``shifted = ANCHOR + n``."""
    return from_bits(shift_left(bits(shifted), _FRACTION_BITS(shifted)))


@scalar
def reduced(x: Scalar, scale: Scalar) -> tuple[Scalar, Scalar]:
    """``(shifted, r)`` with ``x = n * ln2 + r``, ``abs(r) <= ln2 / 2`` and ``shifted = ANCHOR + n + scale``."""
    anchor = ANCHOR(x) + scale
    shifted = fma(x, LOG2E(x), anchor)
    n = shifted - anchor
    return shifted, fma(n, -LN2_REST(x), fma(n, -LN2(x), x))


_EXP_LOWEST = Constant(float32=-104.0, float64=-746.0)  # beyond these exp is 0 or infinity
_FACTORS_HIGHEST = Constant(
    float32=174.0, float64=1416.0
)  # up to here two powers of two are enough, from its negative on
_EXP_HIGHEST = Constant(float32=89.0, float64=710.0)
HALVES_SCALE = Constant(float32=127.0, float64=1023.0)
_SCALED_EXP_SCALE = Constant(float32=24.0, float64=56.0)


@scalar
def power_in_two(shifted: Scalar) -> tuple[Scalar, Scalar]:
    """Two powers of two with the product ``2.0**n``, for ``shifted = ANCHOR + HALVES_SCALE + n``."""
    T = type(shifted)
    # n reaches from -251 to 251: exponent fields floor((n + 254) / 2) and the rest of n + 254 (n from -2043 to 2043, and
    # n + 2046). The mask is infinity's field.
    i = bits(shifted)
    half = bit_and(shift_left(i, _FRACTION_BITS(shifted) - 1), bits(T(INFINITY)))
    return from_bits(half), from_bits(subtract(shift_left(i, _FRACTION_BITS(shifted)), half))


@scalar
def _exp_in_two(x: Scalar) -> tuple[Scalar, Scalar]:
    """Two factors of ``exp(x)``, of which the second is a power of two, for ``abs(x)`` up to ``_FACTORS_HIGHEST``."""
    shifted, r = reduced(x, HALVES_SCALE(x))
    half, other = power_in_two(shifted)
    return _EXP(r) * half, other


@scalar
def exp(x: Scalar) -> Scalar:
    """``exp(x)`` for every x: 0.90 ULP, 0.86 in float64."""
    factor, power_of_two = _exp_in_two(minimum(maximum(x, _EXP_LOWEST(x)), _EXP_HIGHEST(x)))
    return factor * power_of_two


@scalar
def times_exp(a: Scalar, x: Scalar, b: Scalar) -> Scalar:
    """``a * exp(x) + b``, precise also where the exponential alone underflows, or overflows.

    Beyond ``_FACTORS_HIGHEST`` that counts as infinite, below its negative as 0.
    """
    T = type(x)
    highest = _FACTORS_HIGHEST(x)
    factor, power_of_two = _exp_in_two(minimum(maximum(x, -highest), highest))
    factor = select(x < -highest, T(0.0), select(x > highest, T(INFINITY), factor))
    return fma(factor, a * power_of_two, b)


@scalar
def exp_nonpositive(x: Scalar) -> Scalar:
    """``exp(x)`` for x <= 0 or NaN, down to the subnormal results and 0: 0.90 ULP, 0.86 in float64."""
    shifted, r = reduced(maximum(x, _EXP_LOWEST(x)), _SCALED_EXP_SCALE(x))
    return _SCALED_EXP(r) * power(shifted)


_EXP2_LOWEST = Constant(float32=-151.0, float64=-1076.0)  # beyond these exp2 is 0 or infinity
_EXP2_HIGHEST = Constant(float32=129.0, float64=1025.0)


@scalar
def exp2(x: Scalar) -> Scalar:
    """``exp2(x)`` for every x: 0.88 ULP, 0.71 in float64."""
    x = minimum(maximum(x, _EXP2_LOWEST(x)), _EXP2_HIGHEST(x))
    anchor = ANCHOR(x) + HALVES_SCALE(x)
    shifted = x + anchor
    half, other = power_in_two(shifted)
    return exp2_fraction(x - (shifted - anchor)) * half * other


# expm1(x) = 2**n * expm1(r) + (2**n - 1). With n = 1 and r near its lower end the sum cancels most. So n is chosen
# log2(1.5) - 0.5 low, which keeps -0.25 <= expm1(r) <= 0.5 and its last bit small enough for 1 ULP in float32. (In
# float64 the rounding of r, which has no low part, adds to it.)

_EXPM1_LOWEST = Constant(float32=-18.0, float64=-38.0)  # below it expm1 is -1
_EXPM1_LARGE = Constant(float32=17.0, float64=37.0)
_EXPM1_TINY_SQUARE = Constant(float32=1e-30, float64=1e-60)
_LARGEST_POWER = Constant(float32=2.0**127, float64=2.0**1023)


@scalar
def expm1(x: Scalar) -> Scalar:
    """``expm1(x)`` for every x: 0.95 ULP, 1.23 in float64."""
    T = type(x)
    x = minimum(maximum(x, _EXPM1_LOWEST(x)), _EXP_HIGHEST(x))
    anchor = ANCHOR(x) - T(1.0)
    shifted = fma(x, LOG2E(x), T(-0.08496250072115618)) + anchor
    n = shifted - anchor
    r = fma(n, -LN2_REST(x), fma(n, -LN2(x), x))
    square = r * r
    small = fma(square, _EXPM1(r), r)
    # Half of the result, as 2**128 is no float; but halves of tiny ones would lose bits, and a zero its sign.
    half_power = power(shifted)
    # A large power swallows the 0.5, but not without effect on the sum: there it is taken from the other factor.
    large = x > _EXPM1_LARGE(x)
    inverse = from_bits(subtract(bits(_LARGEST_POWER(x)), bits(half_power)))
    small = select(large, fma(inverse, T(-0.5), small), small)
    half = fma(half_power, small, select(large, half_power, half_power - T(0.5)))
    return select(square < _EXPM1_TINY_SQUARE(x), x, half + half)


@scalar
def expm1_nonpositive(x: Scalar) -> Scalar:
    """``expm1(x)`` for x <= 0 or NaN, except that -0.0 gives 0.0: 0.95 ULP, 1.14 in float64."""
    T = type(x)
    shifted, r = reduced(maximum(x, _EXPM1_LOWEST(x)), T(0.0))
    whole = power(shifted)
    return fma(whole, fma(r * r, EXPM1_NONPOSITIVE(r), r), whole - T(1.0))
