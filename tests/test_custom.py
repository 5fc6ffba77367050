"""``fastact.elementwise``: functions of the user's own as ufuncs, their signatures, parameters and derivatives."""

import math

import numba
import numpy as np
import pytest

import fastact as fa

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


def test_special_values_raise_no_warnings():
    with np.errstate(all="raise"):
        shifted(np.array([np.nan, np.inf, -np.inf, 1e38, 1e-45, 0.0, -0.0], np.float32))


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
