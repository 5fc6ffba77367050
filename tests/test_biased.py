"""A bias and an activation in one pass: every activation, axes and layouts, gradients of both, threads, and what is refused."""

import numpy as np
import pytest

import fastact as fa
from fastact.functions.biased import formula_of
from fastact.functions.elementwise import OPS

NAMES = [name for name, op in OPS.items() if op.is_activation and op.gradients == 1]
COMPILED = ["relu", "gelu", "leaky_relu", "hard_tanh", "hard_swish"]
"""Activations with no, one and two parameters."""
SHAPE = (3, 4, 5, 6)
AXES = [-1, 0, 1, 2, (1, 2), (2, 3), (0, 3), None]


def drawn(*shapes, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(scale=2, size=shape).astype(dtype) for shape in shapes]


def given(name):
    """The parameters of an activation that has no defaults, or others than these."""
    op = OPS[name]
    sample = next((one for one in reversed(op.samples) if one), ())
    return dict(zip(op.parameters, sample, strict=False))


def beside(bias, ndim, axis):
    axes = range(ndim) if axis is None else [k % ndim for k in np.atleast_1d(axis)]
    shape = iter(bias.shape)
    return bias.reshape([next(shape) if k in axes else 1 for k in range(ndim)])


def core(shape, axis):
    axes = sorted(range(len(shape)) if axis is None else (k % len(shape) for k in np.atleast_1d(axis)))
    return tuple(shape[k] for k in axes), tuple(k for k in range(len(shape)) if k not in axes)


@pytest.mark.parametrize("name", NAMES)
def test_every_formula_is_that_of_the_sum(name):
    """As plain Python, which needs no compiler."""
    op, parameters = OPS[name], given(name)
    values = [np.float32(p) for p in (*parameters.values(), *op.defaults.values())][: len(op.parameters)]
    for x in np.float32([-3.5, -0.25, 0.0, 0.75, 2.0]):
        total = x + np.float32(0.5)
        assert formula_of(op, backward=False)(x, np.float32(0.5), *values) == op.forward(total, *values)
        slope = op.derivative(total, *values)
        assert formula_of(op, backward=True)(np.float32(3), x, np.float32(0.5), *values) == np.float32(3) * slope


@pytest.mark.parametrize("name", COMPILED)
def test_is_the_activation_of_the_sum(name, same_bits):
    x, grad, bias = drawn((37, 70), (37, 70), 70)
    parameters = given(name)
    plain = [np.float32(p) for p in parameters.values()]
    same_bits(fa.bias_activation(x, bias, name, **parameters), getattr(fa, name)(x + bias, *plain))
    same_bits(fa.bias_activation(x, bias, getattr(fa, name), **parameters), getattr(fa, name)(x + bias, *plain))
    by_x, by_bias = fa.bias_activation_backward(grad, x, bias, name, **parameters)
    expected = getattr(fa, f"{name}_backward")(grad, x + bias, *plain)
    same_bits(by_x, expected)
    size = np.abs(expected.astype(float)).sum(0) + 1e-30
    assert np.max(np.abs(by_bias - expected.astype(float).sum(0)) / size) < 8 * 2.0**-24


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("axis", AXES, ids=str)
def test_axes_and_layouts(axis, order, dtype):
    own, others = core(SHAPE, axis)
    x, grad, bias = (np.asarray(a, order=order) for a in drawn(SHAPE, SHAPE, own, dtype=dtype))
    total = x.astype("float64") + beside(bias, 4, axis).astype("float64")
    tolerance = {"rtol": 2e-3 if dtype == "float16" else 2e-6, "atol": 2e-3 if dtype == "float16" else 2e-6}
    y = fa.bias_activation(x, bias, "silu", axis=axis)
    assert y.dtype == dtype
    assert y.strides == np.exp(x).strides
    np.testing.assert_allclose(y, fa.silu(total), **tolerance)
    expected = fa.silu_backward(grad.astype("float64"), total)
    out = np.empty_like(x)
    for target in (None, out, grad.copy(order="K")):
        by_x, by_bias = fa.bias_activation_backward(grad, x, bias, "silu", axis=axis, out=target)
        assert target is None or by_x is target
        np.testing.assert_allclose(by_x, expected, **tolerance)
        assert by_bias.shape == own
        assert by_bias.dtype == dtype
        np.testing.assert_allclose(by_bias, expected.sum(others), rtol=tolerance["rtol"], atol=20 * tolerance["atol"])


@pytest.mark.parametrize("axis", [-1, 1])
def test_bits_depend_neither_on_layout_nor_threads(axis, threads, same_bits):
    shape = (16, 32, 24, 40)
    x, grad, bias = drawn(shape, shape, shape[axis])
    with threads(1):
        y, both = fa.bias_activation(x, bias, axis=axis), fa.bias_activation_backward(grad, x, bias, axis=axis)
    for count in (2, 5):
        with threads(count):
            same_bits(fa.bias_activation(x, bias, axis=axis), y)
            same_bits(fa.bias_activation_backward(grad, x, bias, axis=axis), both)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    for other in (np.asfortranarray(x), np.moveaxis(last, -1, 1), np.repeat(x, 2, 0)[::2]):
        same_bits(fa.bias_activation(other, bias, axis=axis), y)
        same_bits(fa.bias_activation_backward(grad, other, bias, axis=axis), both)


def test_in_place_and_of_nothing():
    x, bias = drawn((9, 33), 33)
    expected = fa.gelu(x + bias)
    assert fa.bias_activation(x, bias, out=x) is x
    np.testing.assert_array_equal(x, expected)
    assert fa.bias_activation(np.zeros((0, 3)), np.zeros(3)).shape == (0, 3)
    by_x, by_bias = fa.bias_activation_backward(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(3))
    assert by_x.shape == (0, 3)
    np.testing.assert_array_equal(by_bias, np.zeros(3))
    by_x, by_bias = fa.bias_activation_backward(np.zeros((2, 3, 0)), np.zeros((2, 3, 0)), np.ones(3), axis=1)
    assert by_x.shape == (2, 3, 0)
    np.testing.assert_array_equal(by_bias, np.zeros(3))


def test_float16_is_rounded_once():
    x, bias = drawn((50, 64), 64, dtype="float16")
    wide = fa.gelu(x.astype("float64") + bias.astype("float64"))
    error = np.abs(fa.bias_activation(x, bias) - wide) / np.spacing(np.maximum(np.abs(wide), 1e-4).astype("float16"))
    assert error.max() <= 0.51


def test_masked_elements_stay_masked():
    x, bias = drawn((4, 5), 5)
    mask = np.arange(20).reshape(4, 5) % 3 == 0
    y = fa.bias_activation(np.ma.array(x, mask=mask), np.ma.array(bias, mask=[0, 1, 0, 0, 0]), "relu")
    np.testing.assert_array_equal(y.mask, mask | (np.arange(5) == 1))
    np.testing.assert_array_equal(y.data[~y.mask], fa.relu(x + bias)[~y.mask])
    with pytest.raises(TypeError, match="x must not be a masked array: bias_activation_backward"):
        fa.bias_activation_backward(x, np.ma.array(x, mask=mask), bias)


@pytest.mark.parametrize("function", [fa.bias_activation, lambda *a, **k: fa.bias_activation_backward(a[0], *a, **k)])
def test_what_is_refused(function):
    x, bias = drawn((4, 5), 5)
    with pytest.raises(ValueError, match=r"activation must be one of elu, .*, got 'prelu'"):
        function(x, bias, "prelu")
    with pytest.raises(
        ValueError, match=r"activation must be one of elu, .*by name or as the function, got <ufunc 'exp'>"
    ):
        function(x, bias, np.exp)
    with pytest.raises(
        TypeError, match=r"unexpected keyword argument 'alpha'.*allowed are .*bias, activation, axis, out$"
    ):
        function(x, bias, "relu", alpha=1.0)
    with pytest.raises(TypeError, match="alpha must be a number, got 'a'"):
        function(x, bias, "elu", alpha="a")
    with pytest.raises(TypeError, match="threshold needs value"):
        function(x, bias, "threshold", threshold=1.0)
    with pytest.raises(ValueError, match="min_val must not exceed max_val"):
        function(x, bias, "hard_tanh", min_val=2.0, max_val=1.0)
    with pytest.raises(ValueError, match=r"bias must have the shape \(5,\), got \(4,\)"):
        function(x, np.zeros(4))
    with pytest.raises(np.exceptions.AxisError):
        function(x, bias, axis=2)
    with pytest.raises(TypeError, match="out"):
        function(x, bias, out=np.zeros((4, 5), int))
    out = np.full((4, 5), 7, "float32")
    with pytest.raises(TypeError, match="complex"):
        function(x.astype(complex), bias, out=out)
    assert (out == 7).all()
