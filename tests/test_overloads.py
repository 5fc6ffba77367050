"""Public functions inside the user's own ``@njit`` code: the same bits as outside."""

import numba
import numpy as np
import pytest

import fastact as fa
from fastact import table
from tests.conftest import CASES, REPRESENTATIVES

pytestmark = pytest.mark.usefixtures("overloads")


def first(results):
    return results[0] if isinstance(results, tuple) else results


def calls(case):
    """A compiled function that calls an op with arrays, parameters by default, and scalars, parameters by name."""
    arrays = "g, x" if case.backward else "x"
    elements = "g[0], x[0]" if case.backward else "x[0]"
    parameters = list(map(float, case.parameters()))
    by_name = "".join(f", {name}={p!r}" for name, p in zip(case.op.parameters, parameters, strict=True))
    by_default = "".join(f", {p!r}" for p in case.op.samples[0])
    if case.op.is_ufunc:  # what takes no parameters takes more arrays
        by_default = "".join(f", np.full_like(x, {p!r})" for p in parameters)
        by_name = "".join(f", np.full_like(x, {p!r})[0]" for p in parameters)
    scope = {"f": case.function, "np": np}
    exec(f"def compiled(g, x):\n    return f({arrays}{by_default}), f({elements}{by_name})", scope)
    return numba.njit(scope["compiled"])


SOME = [case for i, case in enumerate(CASES) if i % 4 == 0 or case in REPRESENTATIVES]


@pytest.mark.parametrize("case", SOME, ids=str)
def test_the_same_bits_as_the_ufunc(case, same_bits):
    """Some of every number of operands, in one dtype each: what is compiled around a formula is the same for all, and not kept."""
    if case.op.gradients > case.op.arrays and case.backward:
        pytest.skip("returns sums over broadcast axes; not offered inside njit")
    compiled = calls(case)
    at = list(fa.ops).index(case.op.name) + case.backward
    dtype = ("float32", "float64")[at % 2]
    operands = case.operands(300, dtype)
    g, x = operands[0], operands[case.backward]
    expected = case.at(x, grad=g)
    whole, element = map(first, compiled(g, x))
    same_bits(whole, expected, f"{case.name} of a {dtype} array")
    assert type(element) is float or np.asarray(element).dtype == dtype
    same_bits(np.asarray(element, dtype), expected[0], f"{case.name} of a {dtype} scalar")


def test_parameters_by_position(same_bits):
    @numba.njit
    def compiled(x):
        return fa.elu(x, 0.3), fa.hard_tanh(x, -2.0, max_val=0.5), fa.elu_backward(1.0, x, 0.3), fa.elu(x[0], 0.3)

    x = np.linspace(-3, 3, 50)
    expected = fa.elu(x, 0.3), fa.hard_tanh(x, -2.0, 0.5), fa.elu_backward(1.0, x, 0.3), fa.elu(x[0], 0.3)
    same_bits(compiled(x), expected)


def test_layouts_and_shapes(same_bits):
    @numba.njit
    def compiled(x):
        return fa.silu(x)

    a = np.linspace(-6, 6, 60).reshape(3, 4, 5)
    for x in (a, a.T, a[:, ::2], a[0], a[::-1, 0], np.asfortranarray(a)):
        same_bits(compiled(x), np.ascontiguousarray(fa.silu(x)))


def test_integers_compute_in_float64():
    @numba.njit
    def compiled(i, a):
        return fa.silu(i), fa.silu(a), fa.elu(i, 2), fa.silu_backward(1, i)

    scalar, array, with_parameter, backward = compiled(-2, np.arange(-3, 3))
    assert scalar == fa.silu(-2.0)
    np.testing.assert_array_equal(array, fa.silu(np.arange(-3.0, 3.0)))
    assert array.dtype == np.float64
    assert with_parameter == fa.elu(-2.0, 2.0)
    assert backward == fa.silu_backward(1.0, -2.0)


def test_gradients_broadcast_as_scalars():
    @numba.njit
    def compiled(g, x):
        return fa.silu_backward(g, x)

    x = np.linspace(-2, 2, 9)
    np.testing.assert_array_equal(compiled(2.0, x), fa.silu_backward(2.0, x))
    np.testing.assert_array_equal(compiled(x, 0.5), fa.silu_backward(x, 0.5))


def test_gates_take_two_arrays(same_bits):
    @numba.njit
    def compiled(gate, value):
        return fa.swiglu(gate, value), fa.swiglu(gate, 0.5), *fa.geglu_backward(2.0, gate, value)

    gate, value = np.linspace(-3, 3, 60).reshape(6, 10), np.linspace(5, -4, 60).reshape(10, 6).T
    expected = fa.swiglu(gate, value), fa.swiglu(gate, 0.5), *fa.geglu_backward(2.0, gate, value)
    same_bits(compiled(gate, value), tuple(map(np.ascontiguousarray, expected)))


def test_inside_prange():
    @numba.njit(parallel=True)
    def compiled(x):
        out = np.empty_like(x)
        for i in numba.prange(x.size):
            out[i] = fa.gelu(x[i]) + fa.leaky_relu(x[i], negative_slope=0.5)
        return out

    x = np.linspace(-5, 5, 10_001)
    np.testing.assert_array_equal(compiled(x), fa.gelu(x) + fa.leaky_relu(x, 0.5))


def test_unknown_parameters_do_not_compile():
    @numba.njit
    def compiled(x):
        return fa.elu(x, beta=2.0)

    with pytest.raises((numba.core.errors.TypingError, TypeError)):
        compiled(1.0)


ROWWISE = ("softmax", "log_softmax", "logsumexp")


@numba.njit
def rows(x):
    return fa.softmax(x), fa.log_softmax(x, axis=-1), fa.logsumexp(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_over_rows_keep_their_promise(dtype):
    """Of one row and of several, whatever the layout; the sums are not added in the order of the kernels."""
    rng = np.random.default_rng(0)
    for shape in ((1,), (7,), (1000,), (5, 33), (3, 2500)):
        for x in (4 * rng.normal(size=shape), rng.normal(size=shape) + 1e4, rng.uniform(-90, 90, shape)):
            x = x.astype(dtype)
            for layout in (x, np.repeat(x, 2, -1)[..., ::2], np.asfortranarray(x)):
                for name, got in zip(ROWWISE, rows(layout), strict=True):
                    record = table.function(name)
                    with np.errstate(all="ignore"):
                        expected = record.reference(x.astype(np.longdouble))
                    scale = abs(expected)
                    if name == "logsumexp":
                        scale = np.maximum(1, np.maximum(scale, abs(x).max(-1, initial=0)))
                    assert np.shape(got) == np.shape(expected)
                    assert np.asarray(got).dtype == dtype or not np.ndim(got)
                    unit = np.maximum(np.spacing(scale.astype(dtype)), np.finfo(dtype).smallest_subnormal)
                    allowed = record.ulp if dtype == "float32" else record.double_ulp
                    assert np.max(abs(got - expected) / unit) <= allowed
    for got, expected in zip(rows(np.empty((4, 0), dtype)), ((4, 0), (4, 0), (4,)), strict=True):
        assert got.shape == expected
        assert (got == -np.inf).all()


def test_special_rows_are_what_they_are_outside():
    inf, nan = np.inf, np.nan
    for row in ([inf, 0, 1], [-inf] * 3, [nan, 0, 1], [nan, inf, 1], [-inf, 0, 0], [3e38, -3e38, 3e38], [20, 0, 0]):
        x = np.float32([row, row])
        for got, expected in zip(rows(x), (fa.softmax(x), fa.log_softmax(x), fa.logsumexp(x)), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("fa.softmax(x, axis=0)", "softmax takes the last axis here, as a constant"),
        ("fa.logsumexp(x.reshape(1, 2, 3))", "logsumexp takes arrays of float32 or float64 of one or two dimensions"),
        ("fa.log_softmax(1.0)", "log_softmax takes arrays of float32 or float64"),
        ("fa.softmax(x, where=x > 0)", "where"),
    ],
)
def test_what_rows_are_not_taken_is_said_at_compile_time(call, message):
    scope = {"fa": fa}
    exec(f"def compiled(x):\n    return {call}", scope)
    with pytest.raises(numba.core.errors.TypingError, match=message):
        numba.njit(scope["compiled"])(np.ones((2, 3)))


NUMPYS = """
import sys, warnings
warnings.simplefilter("error")
import numba, numpy
import fastact.numpy as np
if FIRST:
    [getattr(np, name) for name in np.replaced]
x, failed = numpy.linspace(0.1, 1, 10), []
calls = {"where": "np.where(x > 0, x, 0.0)", "clip": "np.clip(x, 0.0, 1.0)"}
for name in np.replaced:
    call = calls.get(name, f"np.{name}({', '.join('x' * getattr(getattr(numpy, name), 'nin', 1))})")
    results = []
    for module in (numpy, np):
        scope = {"np": module}
        exec(f"def f(x): return {call}", scope)
        try:
            results.append(numba.njit(scope["f"])(x))
        except Exception as error:
            results.append(type(error))
    if not numpy.array_equal(*results) or (type(results[0]) is type and name != "select"):
        failed.append((name, results))
print(failed)
"""


@pytest.mark.parametrize("first", [True, False])
def test_functions_of_numpys_names_are_those_of_numba(python, first):
    """Built before Numba compiles anything, or while it does."""
    assert python(NUMPYS.replace("FIRST", str(first))) == "[]"
