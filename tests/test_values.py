"""Values against the reference, dtypes of results, and the ways to give parameters."""

import inspect

import numpy as np
import pytest

import fastact as fa
from fastact import reference
from tests.conftest import CASES, DTYPES, REPRESENTATIVES


def first(results):
    return results[0] if isinstance(results, tuple) else results


def given(case, dtype, size=2000):
    return case.operands(size, dtype)[: 1 + case.backward]


def test_matches_the_reference_for_every_sample_of_parameters(case, dtype, close):
    for sample in case.op.samples:
        arrays = given(case, dtype)
        parameters = case.parameters(dtype, sample)
        got = first(case.ufunc(*arrays, *parameters))
        close(case, got, arrays[-1], parameters, grad=arrays[0] if case.backward else 1.0)


def test_matches_the_public_reference(case, close):
    arrays = given(case, "float64", 50)
    parameters = case.parameters()
    got = first(case.ufunc(*arrays, *parameters))
    with np.errstate(all="ignore"):
        expected = first(getattr(reference, case.name)(*arrays, *parameters))
    assert expected.dtype == np.float64
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_backward_is_grad_times_derivative(differentiable, dtype, cases, same_bits):
    case = cases[f"{differentiable.name}_backward"]
    grad, *rest = case.operands(500, dtype)
    with np.errstate(all="ignore"):
        expected = grad * np.asarray(case.ufunc(np.ones_like(grad), *rest))
    same_bits(np.asarray(case.ufunc(grad, *rest)), expected, "backward must multiply the derivative by grad, once")


def test_loops_for_every_dtype(case):
    operands = case.ufunc.nin, case.ufunc.nout
    assert case.ufunc.types == ["->".join(code * n for n in operands) for code in "efd"]


@pytest.mark.parametrize("case", REPRESENTATIVES, ids=str)
def test_integers_and_booleans_convert_as_in_numpy(case):
    """By the types of the loops, which are alike."""
    x = {code: np.array([0, 1], dtype=code) for code in "?bBhHiIlLqQ"}
    got = {code: first(case.function(*[x[code]] * (1 + case.backward), *case.op.samples[0])) for code in x}
    expected = {code: (x[code] * 0.5 if case.op.parameters else np.exp(x[code])).dtype for code in x}
    wrong = {x[code].dtype.name: got[code].dtype.name for code in x if got[code].dtype != expected[code]}
    assert not wrong, f"the docstring promises NumPy's conversions; {case.name} converts {wrong}"
    for code in x:
        np.testing.assert_array_equal(got[code], case.at(x[code].astype(got[code].dtype), grad=x[code]))


def test_python_scalars_give_numpy_scalars(case):
    kinds = [(1.0, np.float64), (1, np.float64), (np.float32(1), np.float32)]
    for one, kind in [*kinds, *[(np.float16(1), np.float16)] * (case in REPRESENTATIVES)]:
        got = case.function(*[one] * (1 + case.backward), *case.op.samples[0])
        for result in got if isinstance(got, tuple) else (got,):
            assert type(result) is kind, f"{case.name}({one!r}) is a {type(result)}"


@pytest.mark.parametrize(
    ("parametrised", "dtype"),
    [
        (case, dtype)
        for case in CASES
        if not case.op.is_ufunc
        for dtype in DTYPES
        if dtype == "float32" or case in REPRESENTATIVES
    ],
    ids=str,
)
def test_parameters_by_position_name_default_and_array(parametrised, dtype, same_bits):
    """Without parameters there is a kernel of its own, made in the same way of every formula: few are compiled in every dtype."""
    case = parametrised
    for sample in case.op.samples:
        arrays = given(case, dtype, 60)
        parameters = [float(p) for p in case.parameters(sample=sample)]
        expected = case.function(*arrays, *parameters)
        named = dict(zip(case.op.parameters, parameters, strict=True))
        same_bits(case.function(*arrays, **named), expected)
        same_bits(case.function(*arrays, parameters[0], **dict(list(named.items())[1:])), expected)
        if sample == () or len(sample) < len(parameters):
            same_bits(case.function(*arrays, *sample), expected, "a default differs from the record's")
        with_arrays = case.function(*arrays, *(np.full(60, p, dtype) for p in parameters))
        if case.name != "prelu_backward":
            same_bits(with_arrays, expected)
            column = case.function(*arrays, *(np.full((4, 1), p, dtype) for p in parameters))
            same_bits(column, np.broadcast_to(expected, (4, 60)))


def test_parameters_that_vary_by_element(parametrised, same_bits):
    case = parametrised
    operands = case.operands(40, "float64")
    got = np.asarray(case.ufunc(*operands))
    each = np.stack([np.asarray(case.ufunc(*row)) for row in zip(*operands, strict=True)], axis=-1)
    same_bits(got, each)


def test_signature_and_reference_take_the_same_parameters(parametrised):
    names = [name for name in inspect.signature(parametrised.function).parameters if name in parametrised.op.parameters]
    assert names == list(parametrised.op.parameters)


@pytest.mark.parametrize(
    ("x_shape", "weight_shape"),
    [
        ((4, 3, 5), ()),
        ((4, 3, 5), (1,)),
        ((4, 3, 5), (5,)),
        ((4, 3, 5), (3, 1)),
        ((4, 3, 5), (4, 1, 1)),
        ((7,), (7,)),
        ((3, 1), (1, 4)),
        ((5,), (2, 5)),
        ((), ()),
        ((0, 3), (3,)),
    ],
)
def test_prelu_backward_sums_over_broadcast_axes(x_shape, weight_shape, dtype, same_bits):
    rng = np.random.default_rng(3)
    x, weight = (np.asarray(rng.normal(size=shape)).astype(dtype) for shape in (x_shape, weight_shape))
    shape = np.broadcast_shapes(x_shape, weight_shape)
    grad = np.asarray(rng.normal(size=shape)).astype(dtype)
    grad_x, grad_weight = fa.prelu_backward(grad, x, weight)
    assert (np.shape(grad_x), np.shape(grad_weight)) == (x_shape, weight_shape)
    assert (grad_x.dtype, grad_weight.dtype) == (x.dtype, x.dtype)
    full_x, full_weight, g = np.broadcast_to(x, shape), np.broadcast_to(weight, shape), grad.astype(np.float64)
    expected_x = sum_to(g * np.where(full_x > 0, 1.0, full_weight), x_shape)
    expected_weight = sum_to(g * np.where(full_x > 0, 0.0, full_x), weight_shape)
    tolerance = 50 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(grad_x, expected_x, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(grad_weight, expected_weight, rtol=tolerance, atol=tolerance)
    outs = np.full(x_shape, 7, dtype), np.full(weight_shape, 7, dtype)
    for given in (outs, (outs[0], None), (None, outs[1])):
        got = fa.prelu_backward(grad, x, weight, out=given)
        assert all(g is o for g, o in zip(got, given, strict=True) if o is not None)
        same_bits(got, (grad_x, grad_weight), "with out=")
    in_place = fa.prelu_backward(grad, x, weight, out=(x, weight))
    assert in_place[0] is x
    assert in_place[1] is weight
    same_bits(in_place, (grad_x, grad_weight), "in place")


def test_prelu_backward_refuses_an_out_that_does_not_fit():
    x, weight = np.ones((4, 3), np.float32), np.ones(3, np.float32)
    fitting = np.empty_like(x), np.empty_like(weight)
    for out in (fitting[0], list(fitting), fitting[:1]):
        with pytest.raises(TypeError, match="tuple"):
            fa.prelu_backward(x, x, weight, out=out)
    for out in ((fitting[0], np.empty(1)), (fitting[0], np.empty((4, 3))), (np.empty((2, 4, 3)), None)):
        with pytest.raises(ValueError, match="must have the shape"):
            fa.prelu_backward(x, x, weight, out=out)
    for out in ((np.empty((4, 3), int), None), (None, np.empty(3, int))):
        with pytest.raises(TypeError, match="same_kind"):
            fa.prelu_backward(x, x, weight, out=out)
    wide = np.empty((4, 3)), np.empty(3)
    fa.prelu_backward(x, x, weight, out=wide)
    np.testing.assert_array_equal(wide[0], 1)
    np.testing.assert_array_equal(wide[1], 0)


def sum_to(array, shape):
    """The sum over the axes that broadcasting added or stretched, one axis at a time."""
    while array.ndim > len(shape):
        array = array.sum(axis=0)
    for axis, n in enumerate(shape):
        if n == 1:
            array = array.sum(axis=axis, keepdims=True)
    return array


def test_rrelu_training_draws_reproducible_slopes(dtype, threads, same_bits):
    x = np.random.default_rng(0).normal(size=(331, 997)).astype(dtype)
    y, slopes = fa.rrelu(x, 0.1, 0.4, training=True, rng=42)
    assert y.dtype == slopes.dtype == x.dtype
    assert slopes.shape == x.shape
    assert (slopes >= np.asarray(0.1, dtype)).all()
    assert (slopes <= np.asarray(0.4, dtype)).all()
    assert np.unique(slopes).size > 100, "every element draws a slope of its own"
    np.testing.assert_allclose(y, np.where(x > 0, x, slopes * x), rtol=2 * float(np.finfo(dtype).eps))
    with threads(1):
        same_bits(fa.rrelu(x, 0.1, 0.4, True, 42), (y, slopes), "the slopes depend on the number of threads")
    same_bits(fa.rrelu(x, 0.1, 0.4, training=True, rng=np.random.default_rng(42)), (y, slopes))
    assert (fa.rrelu(x, 0.1, 0.4, training=True, rng=43)[1] != slopes).any()
    assert (fa.rrelu(x, training=True)[1] != fa.rrelu(x, training=True)[1]).any(), "without a seed, slopes are fresh"
    grad = np.ones_like(x)
    expected = np.where(x > 0, np.ones_like(x), slopes)
    np.testing.assert_array_equal(fa.rrelu_backward(grad, x, slopes=slopes), expected)


def test_rrelu_training_takes_scalars_integers_and_out():
    y, slope = fa.rrelu(-1.0, training=True, rng=1)
    assert y == -slope
    assert 1 / 8 <= slope <= 1 / 3
    y, slopes = fa.rrelu(np.array([-1, 2]), training=True, rng=1)
    assert y.dtype == slopes.dtype == np.float64
    out = np.empty(2)
    assert fa.rrelu(np.array([-1, 2]), training=True, rng=1, out=out)[0] is out
    np.testing.assert_array_equal(out, y)
