"""``fastact.elementwise``: functions of the user's own as ufuncs."""

import contextlib
import enum
import functools
import math
import os
import re
import subprocess
import sys
import types
import warnings
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pytest

import fastact as fa
from fastact.runtime.fingerprint import fingerprint

pytestmark = pytest.mark.usefixtures("overloads")

X = np.linspace(-3, 3, 201, dtype=np.float32)
LARGE = 300_000
"""Elements that are shared out over threads."""


@fa.elementwise
def shifted(x):
    """The logarithm of one plus a square."""
    return fa.log1p(x * x)


@fa.elementwise(derivative=lambda x, alpha, beta: alpha * beta * fa.sigmoid(beta * x))
def scaled_softplus(x, alpha=2.0, beta=0.5):
    T = type(x)
    return T(alpha) * fa.softplus(T(beta) * x)


def test_without_parameters_it_is_a_ufunc():
    assert isinstance(shifted, np.ufunc)
    assert (shifted.__name__, shifted.__module__) == ("shifted", __name__)
    assert "logarithm of one plus a square" in shifted.__doc__
    np.testing.assert_array_equal(shifted(X), fa.log1p(X * X))
    assert shifted(X).dtype == np.float32
    assert shifted(np.float16(2)).dtype == np.float16
    assert shifted(np.arange(3)).dtype == np.float64
    out = np.empty_like(X)
    assert shifted(X, out=out) is out


def test_parameters_and_defaults():
    assert scaled_softplus.ufunc.nin == 3
    expected = 2 * fa.softplus(X / 2)
    np.testing.assert_allclose(scaled_softplus(X), expected, rtol=1e-6)
    np.testing.assert_array_equal(scaled_softplus(X, 2.0, beta=0.5), scaled_softplus(X))
    np.testing.assert_array_equal(scaled_softplus(X, beta=np.full((2, 1), 0.5, np.float32))[1], scaled_softplus(X))
    with pytest.raises(TypeError, match=r"\bx\b"):
        scaled_softplus()
    with pytest.raises(TypeError, match="gamma"):
        scaled_softplus(X, gamma=1)


def test_derivative_becomes_backward():
    backward = scaled_softplus.backward
    assert (backward.__name__, backward.__module__) == ("scaled_softplus_backward", __name__)
    np.testing.assert_allclose(backward(3.0, X), 3 * fa.sigmoid(X / 2), rtol=1e-6)
    np.testing.assert_allclose(backward(X, X, 1.0, 1.0), X * fa.sigmoid(X), rtol=1e-6)
    assert not hasattr(fa.elementwise(lambda x: x), "backward")


def test_a_parameter_without_default_is_needed():
    @fa.elementwise
    def scaled(x, factor):
        return x * factor

    np.testing.assert_array_equal(scaled(X, 2.0), 2 * X)
    np.testing.assert_array_equal(scaled(X, factor=X), X * X)
    with pytest.raises(TypeError, match="'factor'"):
        scaled(X)


def test_math_and_numpy_functions():
    uses_math = fa.elementwise(lambda x: math.exp(-x) + math.sin(x))
    uses_numpy = fa.elementwise(lambda x: np.exp(-x) + np.sin(x))
    uses_ops = fa.elementwise(lambda x: fa.exp(-x) + fa.relu(x) * fa.hard_tanh(x, max_val=2.0))
    x = X.astype(np.float64)
    np.testing.assert_allclose(uses_math(x), np.exp(-x) + np.sin(x), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(uses_numpy(x), np.exp(-x) + np.sin(x), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(uses_ops(x), fa.exp(-x) + fa.relu(x) * fa.hard_tanh(x, max_val=2.0), rtol=1e-15)


def test_branches_and_helpers():
    def helper(x):
        return x * x

    import numba

    helper = numba.njit(helper)

    @fa.elementwise
    def piecewise(x):
        return helper(x) if x > 1 else -x

    np.testing.assert_array_equal(piecewise(X), np.where(X > 1, X * X, -X))


def kept(folder, name):
    return len(list(folder.rglob(f"*{name}*.o")))


def test_closures_keep_their_values_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTACT_CACHE_DIR", str(tmp_path))

    def power(n):
        @fa.elementwise
        def by(x):
            return x**n

        return by

    x = X[:5].astype("f8")
    for n in (2, 3, 2):
        np.testing.assert_allclose(power(n)(x), x**n, rtol=1e-15)
    assert kept(tmp_path, "by") == 2, "one file for each value, and the third finds the first's"


SCALE = 1.0
TABLE = np.array([1.0, 2.0])
PAIR = (1.0, 2)
PointAB, PointBA = namedtuple("Point", "a b"), namedtuple("Point", "b a")
POINT, Point = PointAB(2.0, 3.0), PointAB
Kind = enum.Enum("Kind", {"A": 1.0})


def scaled_by_helper(x):
    return SCALE * x


VALUES = {
    "a global": (lambda: fa.elementwise(lambda x: x * SCALE), "SCALE", [2.0, 3.0]),
    "an array": (lambda: fa.elementwise(lambda x: x * TABLE[0]), "TABLE", [np.array([2.0]), np.array([3.0])]),
    "a tuple": (lambda: fa.elementwise(lambda x: x * PAIR[1]), "PAIR", [(1.0, 2.0), (1.0, 3.0)]),
    "a global of a helper": (lambda: fa.elementwise(lambda x: scaled_by_helper(x)), "SCALE", [2.0, 3.0]),
    "an enumeration": (
        lambda: fa.elementwise(lambda x: x * Kind.A.value),
        "Kind",
        [enum.Enum("Kind", {"A": value}) for value in (2.0, 3.0)],
    ),
    "a named tuple": (
        lambda: fa.elementwise(lambda x: x * POINT.a),
        "POINT",
        [PointAB(2.0, 3.0), PointBA(2.0, 3.0)],
    ),
    "the type of a named tuple": (
        lambda: fa.elementwise(lambda x: x * Point(2.0, 3.0).a),
        "Point",
        [PointAB, PointBA],
    ),
    "an attribute of a module": (lambda: fa.elementwise(lambda x: x * settings.SCALE), "settings.SCALE", [2.0, 3.0]),
}

settings = types.ModuleType("settings")
settings.SCALE = 1.0


@pytest.mark.parametrize("kind", VALUES)
def test_what_compiled_code_holds_is_part_of_the_key(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTACT_CACHE_DIR", str(tmp_path))
    make, place, values = VALUES[kind]
    for value, expected in zip([*values, values[0]], [2.0, 3.0, 2.0], strict=True):
        monkeypatch.setattr(*((settings, "SCALE", value) if "." in place else (sys.modules[__name__], place, value)))
        assert make()(np.float64(1)) == expected
    assert kept(tmp_path, "lambda") == 2


def test_defaults_of_helpers_and_options_of_numba_are_part_of_the_key():
    def helper(x, k=2.0):
        return x * k

    first = fingerprint(lambda x: helper(x))
    helper.__defaults__ = (3.0,)
    assert fingerprint(lambda x: helper(x)) != first
    fast, exact = numba.njit(fastmath=True)(helper), numba.njit(helper)
    assert len({fingerprint(lambda x, f=f: f(x)) for f in (fast, exact)}) == 2
    assert fingerprint(lambda x: x + 1) == fingerprint(lambda x: x + 1), "the place of the code is no part of it"


def test_what_cannot_be_told_is_kept_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTACT_CACHE_DIR", str(tmp_path))
    strange = object()

    @fa.elementwise
    def unknown(x, p=strange):
        return x

    assert fingerprint(unknown.__wrapped__) is None or kept(tmp_path, "unknown") == 0
    cell = []
    assert fingerprint(lambda x: x + len(cell)) is None
    foreign = numba.cfunc("float64(float64)")(lambda x: 2 * x)  # has the module of its class, Numba's
    assert fingerprint(lambda x: foreign(x)) is None


def test_addresses_are_kept_nowhere(tmp_path, monkeypatch):
    """Compiled code holds the address of a foreign function, which another process, or another such function, has not."""
    monkeypatch.setenv("FASTACT_CACHE_DIR", str(tmp_path))

    def times(k):
        @numba.cfunc("float64(float64)")
        def foreign(x):
            return x * k

        return fa.elementwise(lambda x: foreign(x))

    assert [times(k)(2.0) for k in (3.0, 5.0)] == [6.0, 10.0]
    assert kept(tmp_path, "lambda") == 0


def test_what_a_wrapper_says_of_itself_is_not_believed():
    def make(k):
        @functools.wraps(math.sin)
        def helper(x):
            return x * k

        return lambda x: helper(x)

    assert fingerprint(make(2.0)) != fingerprint(make(3.0))
    assert fa.elementwise(make(2.0))(3.0) == 6.0


def test_the_key_of_a_function_without_a_file(python, tmp_path):
    code = """
import sys, numpy as np, fastact as fa
double = fa.elementwise(lambda x: x * 2)
print(double(np.float32(3)), "numba" in sys.modules)
"""
    assert python(code, FASTACT_CACHE_DIR=tmp_path) == "6.0 True"
    assert python(code, FASTACT_CACHE_DIR=tmp_path) == "6.0 False"


def test_lambdas_of_one_line_are_told_apart(tmp_path, monkeypatch):
    """They share file, line and name: all that tells them apart is their code."""
    monkeypatch.setenv("FASTACT_CACHE_DIR", str(tmp_path))
    one, two = fa.elementwise(lambda x: x + 1), fa.elementwise(lambda x: x + 2)
    assert (one(np.float32(1)), two(np.float32(1))) == (2, 3)
    values = [fa.elementwise(f)(np.float32(1)) for f in (lambda x: x * 3, lambda x: x * 4)]
    assert values == [3, 4]


@pytest.mark.parametrize(
    "wrong",
    [lambda: 1, lambda *x: 1, lambda x, *rest: x, lambda x, *, k=1: x, lambda x, **k: x],
    ids=["no argument", "*x", "*rest", "keyword-only", "**k"],
)
def test_wrong_signatures(wrong):
    with pytest.raises(TypeError, match="positional arguments"):
        fa.elementwise(wrong)
    with pytest.raises(TypeError, match="positional arguments"):
        fa.elementwise(derivative=wrong)(lambda x: x)


def test_what_is_no_function_is_refused():
    async def later(x):
        return x

    def several(x):
        yield x

    for wrong in (3, "x", np.exp, abs, fa.relu, later, several):
        with pytest.raises(TypeError, match="must be a Python function"):
            fa.elementwise(wrong)
    with pytest.raises(TypeError, match="as many arguments as forward, which takes 2"):
        fa.elementwise(derivative=lambda x: x)(lambda x, p=1.0: x)


@pytest.mark.parametrize(("size", "dtype"), [(1, "float16"), (10, "float32"), (LARGE + 1, "float64")])
def test_what_numba_cannot_compile_is_the_callers_error(size, dtype):
    @fa.elementwise
    def impossible(x):
        return x.nonsense

    x = np.ones(size, dtype)
    for _ in range(2):
        with pytest.raises(fa.CompilationError, match="impossible") as caught:
            impossible(x)
        assert caught.value.__cause__ is not None, "the cause says what Numba did not like"
    assert isinstance(caught.value, RuntimeError)


def test_what_returns_no_number_is_the_callers_error():
    for wrong in (lambda x: "text", lambda x: (x, x), lambda x: (x, x, x)):
        with pytest.raises(fa.CompilationError):
            fa.elementwise(wrong)(X)
    with pytest.raises(TypeError, match="must return a number, got None"):
        fa.elementwise(lambda x: None)(X)


@pytest.mark.parametrize("error", [NotImplementedError("later"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
@pytest.mark.parametrize("x", [1.0, np.ones(7, np.float32)], ids=["scalar", "array"])
def test_what_only_raises(error, x):
    kind, arguments = type(error), error.args

    def stub(x):
        raise kind(*arguments)

    with pytest.raises(kind) as caught:
        fa.elementwise(stub)(x)
    assert caught.value.args == arguments


def test_an_exception_while_another_is_handled():
    @fa.elementwise
    def small(x):
        if x > 10:
            raise ValueError("large")
        return x

    def in_handler():
        try:
            raise KeyError("first")
        except KeyError:
            small(X + 20)

    def at_exit():
        with contextlib.ExitStack() as stack:
            stack.callback(small, 20.0)
            raise KeyError("first")

    for call in (in_handler, at_exit):
        with pytest.raises(ValueError, match="large") as caught:
            call()
        assert isinstance(caught.value.__context__, KeyError)


def test_the_interpreter_is_refused():
    """Compiled code would wait for ever for what it prints."""

    def printing(x):
        print(x)
        return x

    def in_python(x):
        with numba.objmode(y="float64"):
            y = x + 1
        return y * x

    for formula in (printing, in_python):
        with pytest.raises(fa.CompilationError, match="may not use the interpreter"):
            fa.elementwise(formula)(X)


LAYOUTS = {
    "one": lambda x: x[-1:],
    "contiguous": lambda x: x,
    "strided": lambda x: np.repeat(x, 2)[::2],
    "two-dimensional": lambda x: np.repeat(x.reshape(-1, 10), 2, axis=1)[:, ::2],
    "converted": lambda x: x.astype(">f4"),
    "buffered integers": lambda x: np.minimum(x, 1e4).astype(np.int32),
}


def root(x):
    """Square root of what is not negative."""
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x**0.5


def asserts(x):
    assert x >= 0, "negative"
    return x + 1


def falls_through(x):  # noqa: RET503 - that it returns nothing else is what is tested
    if x >= 0:
        return x * 2


class OwnError(Exception):
    pass


def raises_own(x):
    for _ in range(3):
        if x < 0:
            raise OwnError
    return x


def slope_of_root(x):
    if x < 0:
        raise ValueError("no slope")
    return 0.5 / x**0.5


RAISE = {
    "ValueError": (fa.elementwise(root), ValueError, "is negative"),
    "assert": (fa.elementwise(asserts), AssertionError, "negative"),
    "no return": (fa.elementwise(falls_through), TypeError, "must return a number, got None"),
    "an exception of its own": (fa.elementwise(raises_own), OwnError, None),
    "from a helper": (fa.elementwise(lambda x: x / 1 if x >= 0 else x / raises_own(x)), OwnError, None),
    "with a parameter": (fa.elementwise(lambda x, p=1.0: asserts(x) * p), AssertionError, "negative"),
    "backward": (fa.elementwise(derivative=slope_of_root)(lambda x: x).backward, ValueError, "no slope"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [10, 30_000, LARGE])
@pytest.mark.parametrize("kind", RAISE)
def test_exceptions_reach_the_caller(kind, size, layout):
    """With their type and message, however often NumPy calls the loop for one call of the ufunc, and wherever the element is."""
    op, error, message = RAISE[kind]
    for place in (-1, size // 2):
        x = np.arange(1, size + 1, dtype=np.float32)
        x[place] = -x[place]
        x = LAYOUTS[layout](x)
        if x.min() >= 0:
            continue
        operands = (x, x) if kind == "backward" else (x,)
        with pytest.raises(error, match=message) as caught:
            op(*operands)
        assert caught.type is error
        assert np.isfinite(op(*map(np.abs, operands))).all(), "the next call is not haunted"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_comes_before_a_failure_is_written(dtype):
    op, out = RAISE["ValueError"][0], np.full(4, 77, dtype)
    with pytest.raises(ValueError, match=r"-1\.0 is negative"):
        op(np.array([4, 9, -1, -2], dtype), out=out)
    np.testing.assert_array_equal(out, np.array([2, 3, 77, 77], dtype))


def test_what_does_not_raise_is_vectorised_as_before():
    from fastact.maths.scalar import scalar
    from fastact.runtime import failing

    assert not failing.can_fail(scalar(lambda x: fa.softplus(x) if x > 0 else x / 0), "float32", 1, False)
    assert failing.can_fail(scalar(asserts), "float32", 1, False)


def test_exceptions_in_several_threads_at_once():
    op = RAISE["ValueError"][0]

    def many(sign):
        x = sign * np.arange(1, 20_001, dtype=np.int64)
        raised = 0
        for _ in range(50):
            try:
                op(x)
            except ValueError:
                raised += 1
        return raised

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(many, [1, -1, 1, -1])) == [0, 50, 0, 50]


@pytest.mark.parametrize("size", [1, 20_000, LARGE + 1])
def test_a_failed_compilation_is_never_lost(size):
    """NumPy calls the loop for each piece of an array that it converts; each time an exception waits to be raised already."""
    op = fa.elementwise(lambda x: x.nonsense)
    for _ in range(3):
        with pytest.raises(fa.CompilationError, match="nonsense"):
            op(np.ones(size, np.int64))


def test_special_values_raise_no_warnings():
    with np.errstate(all="raise"):
        shifted(np.array([np.nan, np.inf, -np.inf, 1e38, 1e-45, 0.0, -0.0], np.float32))


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


@pytest.mark.parametrize("formula", FORMULAS)
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


@pytest.mark.parametrize("size", [10, LARGE])
def test_exceptions_come_before_the_rules_of_arithmetic(size):
    """A formula's own exception is raised beside divisions by zero, which raise none; complex numbers divide as in Python."""

    @fa.elementwise
    def checked(x):
        if x < 0:
            raise ValueError("negative")
        return 1 / x

    x = np.zeros(size)
    np.testing.assert_array_equal(checked(x), np.full(size, np.inf))
    x[-1] = -1
    with np.errstate(all="raise"), pytest.raises(ValueError, match="negative"):
        checked(x)
    with pytest.raises(ZeroDivisionError):
        fa.elementwise(lambda x: abs(1j / complex(x, 0.0)))(x)


@pytest.mark.parametrize("formula", ["math.ldexp(x, 3)", "math.frexp(x)[0]", "np.nextafter(x, 9.0)", "math.gamma(x)"])
def test_kept_kernels_find_the_functions_of_numba(formula, python, tmp_path):
    """They are functions in C, of which a process that has compiled nothing knows only if somebody tells it."""
    code = f"import math, numpy as np, fastact as fa\nprint(fa.elementwise(lambda x: {formula})(np.ones(3)))"
    first, second = (python(code, FASTACT_CACHE_DIR=tmp_path) for _ in range(2))
    assert first == second


def test_large_arrays_on_threads(threads, same_bits):
    x = np.random.default_rng(0).normal(size=LARGE + 1).astype(np.float32)
    with threads(1):
        expected = [scaled_softplus(x), shifted(x), scaled_softplus.backward(x, x)]
    for n in (2, 3):
        with threads(n):
            same_bits(scaled_softplus(x), expected[0])
            same_bits(shifted(x), expected[1])
            same_bits(scaled_softplus.backward(x, x), expected[2])


def test_layouts(same_bits):
    x = np.random.default_rng(0).normal(size=(37, 40)).astype(np.float32)
    expected = scaled_softplus(x)
    same_bits(scaled_softplus(np.asfortranarray(x)), expected)
    same_bits(scaled_softplus(np.repeat(x, 2, axis=1)[:, ::2]), expected)
    y = x.copy()
    same_bits(scaled_softplus(y, out=y), expected)


def test_an_edit_of_the_users_file_compiles_anew(python, tmp_path):
    script = tmp_path / "mine.py"
    use = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import numpy as np, mine
print(mine.f(np.float32(3)), "numba" in sys.modules)
"""
    for factor in (2, 2, 3):
        script.write_text(f"import fastact as fa\n\n\n@fa.elementwise\ndef f(x):\n    return x * {factor}\n")
        seen = [python(use, FASTACT_CACHE_DIR=tmp_path / "cache", PYTHONDONTWRITEBYTECODE="1") for _ in range(2)]
        assert [line.split()[0] for line in seen] == [f"{factor * 3.0}"] * 2
        assert seen[1].split()[1] == "False", "the second process loads what the first compiled"


def test_nothing_is_left_of_what_was_raised(python):
    """The interpreter looks for asynchronous exceptions at every call, but not for ever, and no profiler hangs."""
    code = """
import cProfile, sys
import numpy as np, fastact as fa

def root(x):
    if x < 0:
        raise ValueError("negative")
    return x**0.5

op = fa.elementwise(root)
x = np.arange(-30_000, 30_000)
for profiled in (False, True, True):
    profile = cProfile.Profile()
    if profiled:
        profile.enable()
    for _ in range(3):
        try:
            op(x)
        except ValueError as error:
            assert str(error) == "negative" and type(error) is ValueError
        else:
            raise SystemExit("nothing was raised")
        assert op(np.float64(4)) == 2 and fa.silu(0.0) == 0
    profile.disable()
print("right")
"""
    assert python(code) == "right"
    assert python(code, FASTACT_CACHE_DIR="off") == "right"


def test_nobody_catches_an_exception(tmp_path):
    """Its type and message are printed at the end of the program."""
    for call in ("op(-1.0)", "op(np.arange(-20_000, 5))"):
        code = (
            f"import numpy as np, fastact as fa\nfrom tests.test_custom import root\nop = fa.elementwise(root)\n{call}"
        )
        path = os.pathsep.join([str(Path(fa.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
        env = dict(os.environ, PYTHONPATH=path, FASTACT_CACHE_DIR=str(tmp_path))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=300)
        assert done.returncode == 1
        assert done.stderr.count("Traceback") == 1
        assert re.search(r"^ValueError: -\d+\.0 is negative$", done.stderr, re.M), done.stderr
