"""Gated units: what the tables of tests do not ask of swiglu, geglu and reglu, and all of glu."""

import numpy as np
import pytest

import fastact as fa
from fastact import reference, table
from tests.ulp import ulp_error

GATES = ("swiglu", "geglu", "reglu")
ACTIVATIONS = {"swiglu": "silu", "geglu": "gelu", "reglu": "relu"}
MEASURED = {  # the largest errors found with both operands at random: of the value and of the two gradients
    "swiglu": (2.5, 3.4, 1.8),
    "geglu": (2.6, 3.4, 1.8),
    "reglu": (0.5, 0.0, 0.0),
    "glu": (2.4, 3.0, 1.8),
}


def operands(size, seed=0):
    """Gates from every binade in which anything happens, and values of every sign and size."""
    rng = np.random.default_rng(seed)
    gate = rng.choice([-1, 1], size) * 2.0 ** rng.uniform(-12, 6.2, size)
    value = rng.choice([-1, 1], size) * 2.0 ** rng.uniform(-10, 10, size)
    return gate.astype(np.float32), value.astype(np.float32)


def exact(name, gate, value):
    """The value and both gradients in float64, each with its largest term."""
    gate, value = gate.astype(np.float64), value.astype(np.float64)
    if name == "glu":
        sigmoid, slope = 1 / (1 + np.exp(-gate)), 1 / (2 + np.exp(gate) + np.exp(-gate))
        return [(result, abs(result)) for result in (value * sigmoid, value * slope, sigmoid)]
    terms = reference.derivative_terms(name, gate, value)
    by_gate, of_one = sum(terms), reference.value(name, gate, 1.0)
    result = reference.value(name, gate, value)
    return [(result, abs(result)), (by_gate, np.max(np.abs([by_gate, *terms]), 0)), (of_one, abs(of_one))]


@pytest.mark.parametrize("name", [*GATES, "glu"])
def test_errors_with_both_operands_at_random(name):
    gate, value = operands(400_000)
    ones = np.ones_like(gate)
    if name == "glu":
        both = np.concatenate([value, gate])
        by_value, by_gate = np.split(fa.glu_backward(ones, both), 2)
        results = fa.glu(both), by_gate, by_value
    else:
        results = getattr(fa, name)(gate, value), *getattr(fa, f"{name}_backward")(ones, gate, value)
    for result, (right, largest), bound in zip(results, exact(name, gate, value), MEASURED[name], strict=True):
        normal = abs(right / np.maximum(abs(value), 1)) > 1e-36  # the activation is rounded before it is multiplied
        errors = ulp_error(result[normal], right[normal], np.float32, largest[normal])
        assert errors.max() <= bound


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_errors_of_glu_are_as_promised(dtype):
    gate, value = (a.astype(dtype) for a in operands(100_000))
    both, wide = np.concatenate([value, gate]), gate.astype(np.longdouble)
    sigmoid, slope = 1 / (1 + np.exp(-wide)), 1 / (2 + np.exp(wide) + np.exp(-wide))
    exact = {"glu": value * sigmoid, "glu_backward": np.concatenate([sigmoid, value * slope])}
    got = {"glu": fa.glu(both), "glu_backward": fa.glu_backward(np.ones_like(gate), both)}
    for name, right in exact.items():
        assert np.all(abs(got[name] - right) <= table.function(name).ulp * np.spacing(abs(right).astype(dtype)))


@pytest.mark.parametrize("name", GATES)
def test_value_is_the_activation_times_the_other(name, dtype, same_bits):
    gate, value = (a.astype(dtype) for a in operands(3000))
    activation = getattr(fa, ACTIVATIONS[name])
    if dtype == "float16":
        gate, value = gate.astype(np.float32), value.astype(np.float32)
    with np.errstate(all="ignore"):
        same_bits(getattr(fa, name)(gate, value), activation(gate) * value, f"{name} is the composition")


@pytest.mark.parametrize("name", GATES)
def test_infinities_and_nan_are_those_of_the_formula(name, dtype):
    special = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan], dtype)
    gate, value = (a.reshape(-1) for a in np.meshgrid(special, special))
    with np.errstate(invalid="ignore"):
        expected = getattr(fa, ACTIVATIONS[name])(gate) * value
    np.testing.assert_array_equal(getattr(fa, name)(gate, value), expected)
    assert np.isnan(getattr(fa, name)(np.asarray(-np.inf, dtype), np.asarray(np.inf, dtype)))
    for place in range(3):
        given = [np.ones(5, dtype) for _ in range(3)]
        given[place][2] = np.nan
        results = getattr(fa, f"{name}_backward")(*given)
        assert np.isnan(results[0]).tolist() == [False, False, True, False, False]
        assert np.isnan(results[1]).tolist() == [False, False, place < 2, False, False], "not of the value itself"


def test_matches_torch(dtype):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    gate, value = operands(500)
    for name in GATES:
        leaves = [torch.tensor(a.astype(np.float64), requires_grad=True) for a in (gate, value)]
        y = getattr(functional, ACTIVATIONS[name])(leaves[0]) * leaves[1]
        y.sum().backward()
        got = getattr(fa, name)(gate, value), *getattr(fa, f"{name}_backward")(np.ones_like(gate), gate, value)
        for mine, theirs in zip(got, (y.detach(), *(leaf.grad for leaf in leaves)), strict=True):
            np.testing.assert_allclose(mine, theirs.numpy(), rtol=2e-5, atol=1e-6)


def test_gradient_by_the_value_matches_differences():
    gate, value = np.linspace(-6, 6, 200), np.linspace(3, -2, 200)
    for name in GATES:
        function = getattr(fa, name)
        by_value = getattr(fa, f"{name}_backward")(1.0, gate, value)[1]
        np.testing.assert_allclose(by_value, (function(gate, value + 1) - function(gate, value - 1)) / 2, atol=1e-13)


def test_gradients_into_out(dtype, same_bits):
    gate, value = (a.astype(dtype) for a in operands(100))
    expected = fa.swiglu_backward(value, gate, value)
    got = fa.swiglu_backward(value.copy(), gate, value, out=(gate, value))
    assert got[0] is gate
    assert got[1] is value
    same_bits(got, expected)


SHAPES = [
    ((10,), 0),
    ((7, 10), -1),
    ((10, 7), 0),
    ((40, 600, 5), 1),
    ((3, 4, 6, 5), -2),
    ((300, 8), 1),
    ((0, 4), 1),
    ((4, 0), 0),
]


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_glu_is_the_product_of_halves(shape, axis, dtype, same_bits):
    rng = np.random.default_rng(0)
    x = (3 * rng.normal(size=shape)).astype(dtype)
    a, b = np.split(x, 2, axis)
    grad = rng.normal(size=a.shape).astype(dtype)
    y, grad_x = fa.glu(x, axis), fa.glu_backward(grad, x, axis)
    assert y.dtype == grad_x.dtype == x.dtype
    tolerance = 4 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(y, reference.glu(x, axis), rtol=tolerance, atol=0)
    np.testing.assert_allclose(grad_x, reference.glu_backward(grad, x, axis), rtol=tolerance, atol=0)
    if dtype != "float16":
        same_bits(y, a * fa.sigmoid(b))
    for layout in (np.asfortranarray, lambda a: np.repeat(a, 2, -1)[..., ::2], lambda a: a[::-1].copy()[::-1]):
        same_bits(fa.glu(layout(x), axis), y)
        same_bits(fa.glu_backward(layout(grad), layout(x), axis), grad_x)
        out, back = layout(np.full_like(y, 7)), layout(np.full_like(x, 7))
        assert fa.glu(x, axis, out) is out
        assert fa.glu_backward(grad, x, axis, out=back) is back
        same_bits(out, y)
        same_bits(back, grad_x)
    in_place = x.copy()
    same_bits(fa.glu_backward(grad, in_place, axis, out=in_place), grad_x)


def test_glu_on_threads(dtype, threads, same_bits):
    for shape, axis in (((700, 600), 1), ((600, 700), 0), ((600_000,), 0), ((3, 1_000_000), 1)):
        x = np.random.default_rng(0).normal(size=shape).astype(dtype)
        a = np.split(x, 2, axis)[0]
        with threads(1):
            expected = fa.glu(x, axis), fa.glu_backward(a, x, axis)
        for n in (2, 3):
            with threads(n):
                same_bits((fa.glu(x, axis), fa.glu_backward(a, x, axis)), expected, f"{n} threads")


def test_glu_conversions():
    assert fa.glu([4, 0]).tolist() == [2.0]
    for code in "?bBhHiIlLqQ":
        x = np.array([1, 0], code)
        assert fa.glu(x).dtype == fa.glu_backward(np.ones(1, code), x).dtype == np.exp(x).dtype
    x = np.ones((3, 4), np.float32)
    assert fa.glu_backward(1.0, x).dtype == np.float32
    np.testing.assert_array_equal(fa.glu_backward(1.0, x), fa.glu_backward(np.ones((3, 2), np.float32), x))


def test_glu_refuses():
    with pytest.raises(ValueError, match="the length of axis -1 must be even, to be halved, got 5"):
        fa.glu(np.ones((4, 5)))
    with pytest.raises(ValueError, match="axis 0 must be even"):
        fa.glu_backward(1.0, np.ones((3, 4)), 0)
    with pytest.raises(np.exceptions.AxisError):
        fa.glu(np.ones(4), 1)
    with pytest.raises(np.exceptions.AxisError):
        fa.glu(1.0)
    with pytest.raises(ValueError, match="out must have the shape"):
        fa.glu(np.ones(4), out=np.ones(4))
    with pytest.raises(ValueError, match="broadcast"):
        fa.glu_backward(np.ones(3), np.ones(4))
    for wrong in (np.ones(4, complex), np.array(["a", "b"]), np.array([1.0, 2.0], object)):
        with pytest.raises(TypeError):
            fa.glu(wrong)
        with pytest.raises(TypeError):
            fa.glu_backward(1.0, wrong)
