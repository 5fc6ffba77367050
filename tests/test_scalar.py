"""Scalar formulas mean the same in plain Python as they do compiled."""

from fractions import Fraction

import numba
import numpy as np
import pytest

from fastact.functions import gelus, rectifiers
from fastact.kernels import jit
from fastact.maths import simd
from fastact.maths.scalar import ByPrecision, Constant, Polynomial
from fastact.maths.simd import (
    absolute,
    add,
    bit_and,
    bits,
    copysign,
    fma,
    from_bits,
    maximum,
    minimum,
    narrow,
    pow2,
    rint,
    select,
    shift_left,
    shift_right,
    sqrt,
    subtract,
    to_float,
    to_int,
    widen,
)  # fmt: skip

CUBIC = Polynomial(0.5, -1.25, 3.0, 0.125)
CONSTANT = Polynomial(2.5)
THIRD = Constant(float32=0.3333333432674408, float64=1 / 3)
precise = ByPrecision(float32=lambda x: x + x, float64=lambda x: x * x)


@pytest.fixture(scope="module", autouse=True)
def taught():
    from numba.extending import register_jitable

    for function in (precise.float32, precise.float64):
        register_jitable(function)
    jit.register()


def floats(a, b, c):
    return (
        fma(a, b, c), rint(a), sqrt(absolute(a)), absolute(a), copysign(a, b), select(a < b, a, c), minimum(a, b),
        maximum(a, b), from_bits(bits(a)), CUBIC(a), CONSTANT(a), THIRD(a), precise(a), widen(a), narrow(a),
    )  # fmt: skip


def integers(i, j):
    return (
        add(i, j), subtract(i, j), bit_and(i, j), shift_left(i, 3), shift_left(i, 23), shift_right(i, 5), to_float(i),
    )  # fmt: skip


def conversions(x, n):
    return bits(x), to_int(x), to_float(to_int(x)), pow2(n)


def check(function, rows, same_bits):
    compiled = numba.njit(error_model="numpy")(function)
    for row in rows:
        with np.errstate(all="ignore"):
            plain = function(*row)
        for i, (got, expected) in enumerate(zip(compiled(*row), plain, strict=True)):
            kind = np.asarray(expected).dtype
            assert np.asarray(got).dtype.kind == kind.kind
            if kind.kind == "f":
                same_bits(np.asarray(got, kind), np.asarray(expected), f"result {i} of {function.__name__}{row}")
            else:
                assert int(got) == int(expected), f"result {i} of {function.__name__}{row}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float_operations(dtype, same_bits):
    info, T = np.finfo(dtype), np.dtype(dtype).type
    edges = [
        0.0,
        -0.0,
        1.0,
        -1.5,
        2.5,
        1 / 3,
        np.inf,
        -np.inf,
        np.nan,
        info.max,
        -info.max,
        info.tiny,
        info.smallest_subnormal,
    ]
    edges += [float(np.sqrt(info.max)), float(info.eps), 1 + float(info.eps)]
    rng = np.random.default_rng(0)
    rows = [tuple(map(T, row)) for row in rng.choice(edges, (400, 3))]
    rows += [tuple(map(T, row)) for row in rng.normal(size=(200, 3))]
    rows += [(T(x), T(1 / 3), T(-x / 3)) for x in rng.normal(size=100)]  # products that cancel
    check(floats, rows, same_bits)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integer_operations_wrap_in_their_own_width(dtype, same_bits):
    info, T = np.iinfo(dtype), np.dtype(dtype).type
    edges = [0, 1, -1, 2, 12345, -98765, info.max, info.min, info.max - 1, info.min + 1]
    rows = [(T(i), T(j)) for i in edges for j in edges]
    check(integers, rows, same_bits)
    assert type(add(T(info.max), T(1))) is T


@pytest.mark.parametrize(("dtype", "integer"), [("float32", "int32"), ("float64", "int64")])
def test_conversions(dtype, integer, same_bits):
    T, Int = np.dtype(dtype).type, np.dtype(integer).type
    lowest, highest = (-126, 127) if dtype == "float32" else (-1022, 1023)
    xs = [0.0, -0.0, 1.0, -7.0, 1000.0, -123456.0, 2.0**22, -(2.0**22)]
    rows = [(T(x), Int(n)) for x in xs for n in (lowest, lowest + 1, -1, 0, 1, highest)]
    check(conversions, rows, same_bits)
    assert pow2(Int(5)) == 32
    assert type(pow2(Int(0))) is T


def test_fma_rounds_once():
    for T in (np.float32, np.float64):
        x = T(1) + np.finfo(T).eps
        assert fma(x, x, T(-1) - 2 * np.finfo(T).eps) == np.finfo(T).eps ** 2
        with np.errstate(over="ignore"):
            assert fma(np.finfo(T).max, T(2), -np.finfo(T).max) == np.finfo(T).max
    # Half-way cases that a detour over float64 would round twice.
    a, b, c = np.float32(1 + 2**-12), np.float32(1 + 2**-12), np.float32(2**-60)
    assert fma(a, b, c) == np.float32(1 + 2**-11 + 2**-23)


def test_minimum_and_maximum_pass_a_nan_first_argument():
    nan, one = np.float32("nan"), np.float32(1)
    assert np.isnan(minimum(nan, one))
    assert np.isnan(maximum(nan, one))
    assert (minimum(one, nan), maximum(one, nan)) == (1, 1)


def test_polynomials_are_horners_rule_in_the_argument_type():
    for T in (np.float32, np.float64):
        assert type(CUBIC(T(2))) is T
        assert CUBIC(T(2)) == 0.5 - 2.5 + 12 + 1
        assert CONSTANT(T(7)) == 2.5


def test_precision_is_chosen_by_type():
    assert (precise(np.float32(3)), precise(np.float64(3))) == (6, 9)
    for T in (np.float32, np.float64):
        assert type(THIRD(T(7))) is T
        assert THIRD(T(7)) == T(1) / T(3)


def test_every_function_of_simd_is_lowered():
    from fastact.kernels.intrinsics import PRIMITIVES

    public = {
        f for name, f in vars(simd).items() if callable(f) and getattr(f, "__module__", "") == "fastact.maths.simd"
    }
    public = {f for f in public if not f.__name__.startswith("_")}
    lowered = set(PRIMITIVES) | {select}
    assert public == lowered, "give each function of fastact.maths.simd an instruction in kernels/intrinsics.py"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_formulas_give_the_ufuncs_bits_without_a_compiler(case, dtype, same_bits):
    T = np.dtype(dtype).type
    formula = case.op.derivative if case.backward else case.op.forward
    big = 1e30 if dtype == "float32" else 1e300
    xs = np.array(
        [
            -np.inf,
            -big,
            -90,
            -20.3,
            -3,
            -1.1,
            -0.3,
            -1e-20,
            -0.0,
            0,
            1e-6,
            0.5,
            0.9,
            2.7,
            6,
            31,
            88,
            big,
            np.inf,
            np.nan,
        ]
    )
    xs = xs.astype(dtype)
    parameters = case.parameters(dtype)
    with np.errstate(all="ignore"):
        plain = [formula(x, *parameters) for x in xs]
    plain = [p[0] if isinstance(p, tuple) else p for p in plain]
    if case.op.completes is not None and not case.backward:  # what the formula leaves, a second one computes
        with np.errstate(all="ignore"):
            plain = [case.op.completes(p) if abs(p) > 2 else p for p in plain]
    assert {type(p) for p in plain} == {T}, "a formula must stay in the type of its argument"
    same_bits(np.array(plain), case.at(xs), f"{formula.__name__} in plain Python")


def test_rounding_errors_of_constants():
    linear, cubic = Fraction(gelus.GELU_TANH_LINEAR), Fraction(gelus.GELU_TANH_CUBIC)
    assert float(linear * Fraction(0.044715) - cubic) == gelus.GELU_TANH_CUBIC_ERROR
    assert float(Fraction(1, 6) - Fraction(1 / 6)) == rectifiers.SIXTH_ERROR
