"""``fastact.elementwise``: functions of the user's own as ufuncs."""

import math

import numpy as np
import pytest

import fastact as fa

pytestmark = pytest.mark.usefixtures("overloads")

X = np.linspace(-3, 3, 201, dtype=np.float32)


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


def test_closures_keep_their_values_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTACT_CACHE_DIR", str(tmp_path))

    def power(n):
        @fa.elementwise
        def by(x):
            return x**n

        return by

    square, cube = power(2), power(3)
    np.testing.assert_array_equal(square(X[:5].astype("f8")), X[:5].astype("f8") ** 2)
    np.testing.assert_allclose(cube(X[:5].astype("f8")), X[:5].astype("f8") ** 3, rtol=1e-15)
    assert not list(tmp_path.rglob("*by*.o")), "a closure's values are in no file's digest: it stays off the disk"


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
    for wrong in (3, "x", np.exp, abs, fa.relu):
        with pytest.raises(TypeError, match="must be a Python function"):
            fa.elementwise(wrong)
    with pytest.raises(TypeError, match="as many arguments as forward, which takes 2"):
        fa.elementwise(derivative=lambda x: x)(lambda x, p=1.0: x)


@pytest.mark.parametrize("size", [1, 10, 1_000_001])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
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
    for wrong in (lambda x: "text", lambda x: None, lambda x: (x, x)):
        with pytest.raises(fa.CompilationError):
            fa.elementwise(wrong)(X)


def test_special_values_raise_no_warnings():
    with np.errstate(all="raise"):
        shifted(np.array([np.nan, np.inf, -np.inf, 1e38, 1e-45, 0.0, -0.0], np.float32))


def test_large_arrays_on_threads(threads, same_bits):
    x = np.random.default_rng(0).normal(size=1_000_001).astype(np.float32)
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
