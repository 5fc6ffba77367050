"""``fastact.elementwise``: arithmetic follows NumPy's rules, raises nothing, and is the same in vectors and on threads."""

import math
import warnings

import numpy as np
import pytest

import fastact as fa

pytestmark = pytest.mark.usefixtures("overloads")
LARGE = 300_000
"""Elements that are shared out over threads."""


def every_operator(x, y):
    order = (x < y) + (x <= y) + (x > y) + (x >= y) + (x == y) + (x != y)
    return +x - y + x * y + x / y + x // y + x % y + x**y + pow(x, y) + abs(-x) + min(x, y) + max(x, y) + order


def powers_by_integers(x, y):
    return x**-1 + x**3 + x ** int(y) + 10 ** int(y) + int(x) ** int(y) + np.power(int(x), int(y))


def integers(x, y):
    i, j = int(x), int(y)
    bits = (i & j) | (i ^ ~j)
    return (
        i
        + j
        - i * j
        + i / j
        + i // j
        + i % j
        + (i << j)
        + (i >> j)
        + bits
        + abs(i)
        + math.gcd(i, j)
        + round(x) // round(y)
    )


def numpys_integers(x, y):
    i, j = math.floor(x), math.ceil(y)
    return np.floor_divide(i, j) + np.remainder(i, j) + np.fmod(i, j) + math.trunc(x) // math.trunc(y)


def math_functions_of_one(x, y):
    inverse = math.acos(x) + math.acosh(x) + math.asin(x) + math.asinh(x) + math.atan(x) + math.atanh(x)
    trigonometric = math.cos(x) + math.sin(x) + math.tan(x) + math.cosh(x) + math.sinh(x) + math.tanh(x)
    exponential = (
        math.exp(x) + math.expm1(x) + math.log(x) + math.log10(x) + math.log1p(x) + math.log2(x) + math.sqrt(x)
    )
    special = math.erf(x) + math.erfc(x) + math.gamma(x) + math.lgamma(x) + math.degrees(x) + math.radians(x)
    kind = math.isfinite(x) + math.isinf(x) + math.isnan(x) + math.fabs(x)
    return inverse + trigonometric + exponential + special + kind + math.frexp(x)[0] + math.frexp(x)[1]


def math_functions_of_two(x, y):
    return math.atan2(x, y) + math.hypot(x, y) + math.pow(x, y) + math.copysign(x, y) + math.ldexp(x, int(y))


def numpy_functions(x, y):
    steps = (
        np.nextafter(x, y) + np.spacing(x) + np.ldexp(x, 3) + np.copysign(x, y) + np.sign(x) + np.trunc(x) + np.rint(x)
    )
    exponential = np.exp(x) + np.exp2(x) + np.log(x) + np.log2(x) + np.logaddexp(x, y) + np.sqrt(x) + np.reciprocal(x)
    divided = np.divide(x, y) + np.floor_divide(x, y) + np.remainder(x, y) + np.fmod(x, y) + np.power(x, y)
    return steps + exponential + divided + np.arctan2(x, y) + np.hypot(x, y) + np.maximum(x, y) + np.fmin(x, y)


def one_by_one(x, y):
    assert y != 77
    return x % y


FORMULAS = {
    **{
        formula.__name__: fa.elementwise(formula)
        for formula in (
            every_operator,
            powers_by_integers,
            integers,
            numpys_integers,
            math_functions_of_one,
            math_functions_of_two,
            numpy_functions,
            one_by_one,
        )
    },
    "x // y": fa.elementwise(lambda x, y: x // y),
    "x % y": fa.elementwise(lambda x, y: x % y),
    "divmod": fa.elementwise(lambda x, y: divmod(x, y)[1]),
    "numpy.fmod": fa.elementwise(lambda x, y: np.fmod(x, y)),
    "a gradient": fa.elementwise(derivative=lambda x, y: x % y)(lambda x, y: x).backward,
}


@pytest.mark.parametrize(
    ("formula", "dtype"),
    [
        (formula, dtype)
        for i, formula in enumerate(FORMULAS)
        for dtype in (
            "float64",
            ("float16", "float32")[i % 2],
        )  # what a formula comes to is compiled for the widest, too
    ],
)
def test_arithmetic_never_warns(formula, dtype, threads, same_bits):
    """Whatever is computed of whatever numbers, one at a time or many, in vectors or on threads; and the results are the same."""
    info = np.finfo(dtype)
    numbers = [0.0, 0.5, 1.0, 2.5, 100.0, 1e4, info.eps, info.tiny, info.smallest_subnormal, info.max, np.inf, np.nan]
    x, y = (side.reshape(-1) for side in np.meshgrid(*[np.array([*numbers, *np.negative(numbers)], dtype)] * 2))
    op = FORMULAS[formula]
    operands = (x, x, y) if formula == "a gradient" else (x, y)
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        expected = np.array([op(*pair) for pair in zip(*operands, strict=True)])
        same_bits(op(*operands), expected)
        for n in (1, 3):
            with threads(n):
                same_bits(op(*(np.resize(operand, LARGE) for operand in operands)), np.resize(expected, LARGE))


SMALLEST, NEAREST = -(2.0**63), 2.0**63
RULES = {
    "1 / x": (0.0, np.inf),
    "x / 0": (-1.0, -np.inf),
    "x / x": (0.0, np.nan),
    "1 / 0": (0.0, np.inf),
    "x // 0": (1.0, np.inf),
    "x % 0": (1.0, np.nan),
    "x ** -1": (0.0, np.inf),
    "x ** -1.0": (0.0, np.inf),
    "x ** -2": (-0.0, np.inf),
    "x ** 0.5": (-1.0, np.nan),
    "x ** int(-x)": (1e30, 0.0),
    "math.log(x)": (0.0, -np.inf),
    "math.log(x - 1)": (0.0, np.nan),
    "math.sqrt(x)": (-1.0, np.nan),
    "math.exp(x)": (1e3, np.inf),
    "math.acos(x)": (2.0, np.nan),
    "x * x": (1e200, np.inf),
    "int(x) / 0": (1.0, np.inf),
    "int(x) // 0": (1.0, 0.0),
    "int(x) % 0": (1.0, 0.0),
    "0 // int(x)": (0.0, 0.0),
    "int(x) ** -1": (2.0, 0.0),
    "int(x) ** -3": (-1.0, -1.0),
    "0 ** int(x)": (-1.0, SMALLEST),
    "2 ** int(x)": (64.0, 0.0),
    "3 ** int(x)": (40.0, float(3**40 - 2**64)),
    "int(x) * 4": (2.0**62, 0.0),
    "int(x) + 1": (2.0**63, SMALLEST),
    "int(x)": (np.nan, 0.0),
    "int(x) - 0": (np.inf, NEAREST),
    "int(-x)": (1e30, SMALLEST),
    "round(x)": (1e30, NEAREST),
    "math.floor(x)": (-np.inf, SMALLEST),
    "1 << int(x)": (64.0, 0.0),
    "2 << int(x)": (-1.0, 0.0),
    "-8 >> int(x)": (64.0, -1.0),
}
"""An expression, a number and what comes of it, in float64; nothing is raised."""


@pytest.mark.parametrize("size", [1, 100, LARGE])
def test_arithmetic_follows_numpy(size, threads):
    cases = "".join(f"    if rule == {i}:\n        return float({text})\n" for i, text in enumerate(RULES))
    scope = {"math": math}
    exec(f"def follow(x, rule):\n{cases}    return 0.0", scope)
    follow = fa.elementwise(scope["follow"])
    x, expected = (np.resize(side, max(size, len(RULES))) for side in zip(*RULES.values(), strict=True))
    rules = np.resize(np.arange(float(len(RULES))), x.size)
    with threads(3), np.errstate(all="raise"):
        got = follow(x, rules) if size > 1 else np.array([follow(*pair) for pair in zip(x, rules, strict=True)])
    wrong = {text: got[i] for i, text in enumerate(RULES) if not np.array_equal(got[i], expected[i], equal_nan=True)}
    assert not wrong
    np.testing.assert_array_equal(got, expected)


def test_arithmetic_is_no_reason_to_compute_one_by_one():
    from fastact.maths.scalar import scalar
    from fastact.runtime import failing

    for formula in (
        lambda x, y: x // y + x**-1,
        lambda x, y: x ** int(y),
        lambda x, y: int(x) // int(y) + int(x) ** int(y),
        lambda x, y: 1 / x + math.log(y),
    ):
        assert not failing.can_fail(scalar(formula), "float64", 2, False)
    assert failing.can_fail(scalar(one_by_one), "float64", 2, False)
