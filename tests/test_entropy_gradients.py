"""Entropies along with their gradients: precision, PyTorch's autograd, differences, layouts, masks and what is refused."""

from functools import partial

import mpmath as mp
import numpy as np
import pytest

import fastact as fa
from fastact.functions.entropy_gradients import PROGRAMS
from tests.containers import in_dask
from tests.placement import ways_to_lie

NAMES = list(PROGRAMS)
LOGITS = "entropy_with_logits_with_grad"
AXES = (-1, 0, 1, None, (0, 2), (2, 1), ())


def drawn(name, shape, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    if name == LOGITS:
        return (rng.normal(size=shape) * 10.0 ** rng.uniform(-2, 2, shape)).astype(dtype)
    return rng.random(shape).astype(dtype)


def units(got, exact, scale, dtype, beside=0.0):
    """The error in units in the last place of a scale, all of them numbers of many digits."""
    tiny = float(np.finfo(dtype).smallest_subnormal)
    errors = [
        max(0.0, float(abs(mp.mpf(float(g)) - e)) - beside * tiny) / float(np.spacing(np.dtype(dtype).type(abs(s))))
        for g, e, s in zip(np.ravel(got), exact, scale, strict=True)
    ]
    return max(errors)


def exactly(row):
    """The entropy of a row of logits, its gradient, and the size of the gradient's terms, to hundreds of digits."""
    with mp.workprec(1200):
        row = [mp.mpf(float(x)) for x in row]
        gaps = [max(row) - x for x in row]
        total = mp.fsum(mp.exp(-d) for d in gaps)
        p = [mp.exp(-d) / total for d in gaps]
        mean = mp.fsum(a * d for a, d in zip(p, gaps, strict=True))
        grads = [a * (d - mean) for a, d in zip(p, gaps, strict=True)]
        return mp.log(total) + mean, grads, [a * (d + mean) for a, d in zip(p, gaps, strict=True)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_of_logits(dtype):
    """However certain the distribution is: rows in which all classes are near each other, and in which one dominates."""
    x = drawn(LOGITS, (40, 30), dtype)
    rng = np.random.default_rng(1)
    x[:20] = rng.normal(size=(20, 30)) * 10.0 ** rng.uniform(-3, 2.5, (20, 1))
    x[0], x[0, 3] = 0, 80 if dtype == "float32" else 700
    values, grads = fa.entropy_with_logits_with_grad(x)
    for row, value, grad in zip(x, values, grads, strict=True):
        entropy, slopes, scale = exactly(row)
        assert units(value, [entropy], [entropy], dtype, beside=32) <= 4
        assert units(grad, slopes, scale, dtype, beside=32) <= 4
        assert units(fa.entropy_with_logits(row), [entropy], [entropy], dtype, beside=32) <= 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_of_probabilities(dtype):
    """Also near 1/e, where the derivative is 0, of the smallest and of what is no probability."""
    rng = np.random.default_rng(2)
    near = np.exp(-1) * (1 + rng.normal(size=300) * 10.0 ** -rng.uniform(1, 7, 300))
    p = np.concatenate([np.exp(-rng.exponential(20, 300)), rng.random(300), near, [1e-45, 1e-40, 1, 2, 3e38]])
    p = p.astype(dtype)
    _, grad = fa.entropy_with_grad(p)
    with mp.workprec(200):
        slopes = [-(mp.log(mp.mpf(float(x))) + 1) for x in p]
    assert units(grad, slopes, slopes, dtype) <= 4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_gradients_are_those_of_autograd(name, axis, reduction):
    torch = pytest.importorskip("torch")
    x = drawn(name, (3, 4, 5)) if name != LOGITS else np.random.default_rng(0).normal(size=(3, 4, 5))
    axes = tuple(range(3)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    leaf = torch.from_numpy(x).requires_grad_()
    p = leaf
    if name == LOGITS and axes:
        p = (leaf - leaf.logsumexp(axes, keepdim=True)).exp()
    elif name == LOGITS:
        p = leaf.softmax(-1) * 0 + 1 + 0 * leaf  # rows of one class
    theirs = torch.special.entr(p).sum(axes) if axes else torch.special.entr(p)
    upstream = np.random.default_rng(1).normal(size=theirs.shape if reduction == "none" else ())
    theirs = {"none": lambda: theirs, "mean": theirs.mean, "sum": theirs.sum}[reduction]()
    theirs.backward(torch.from_numpy(np.asarray(upstream)))
    value, grad = getattr(fa, name)(x, axis=axis, reduction=reduction, upstream=upstream)
    assert np.shape(value) == tuple(theirs.shape)
    np.testing.assert_allclose(value, theirs.detach().numpy(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(grad, leaf.grad.numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_differences(name):
    x = np.abs(np.random.default_rng(3).normal(size=(3, 5))) + 0.05
    _, grad = getattr(fa, name)(x, reduction="sum")
    value = getattr(fa, name.removesuffix("_with_grad"))
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = 1e-5
        assert grad[place] == pytest.approx((value(x + step).sum() - value(x - step).sum()) / 2e-5, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_are_those_of_the_function_alone(name, dtype, same_bits):
    alone = getattr(fa, name.removesuffix("_with_grad"))
    for shape in ((40, 30), (3, 4, 5), (7, 2000), (30, 70_000)):
        x = drawn(name, shape, dtype)
        for axis in (-1, 0):
            same_bits(getattr(fa, name)(x, axis=axis)[0], alone(x, axis=axis))


@pytest.mark.parametrize("name", NAMES)
def test_halves_are_computed_in_single_floats(name):
    x = drawn(name, (50, 30), "float16")
    value, grad = getattr(fa, name)(x)
    wide, slope = getattr(fa, name)(x.astype("float32"), dtype="float64")
    np.testing.assert_array_equal(value, wide.astype("float16"))
    np.testing.assert_array_equal(grad, slope.astype("float16"))
    assert getattr(fa, name)(x, dtype="float64")[0].dtype == "float64"
    assert getattr(fa, name)([1, 0])[1].dtype == getattr(fa, name)(np.array([1, 0]))[1].dtype == "float64"


@pytest.mark.parametrize("name", NAMES)
def test_bits_depend_on_neither_layout_nor_threads(name, same_bits):
    x = drawn(name, (60, 50, 70), "float32")
    function = getattr(fa, name)
    for axis in (-1, 1, 0, (0, 1), None):
        whole = function(x, axis=axis)
        for how, placed in ways_to_lie(x):
            if how != "byte-swapped":
                same_bits(function(placed, axis=axis), whole, how)
        for threads in (1, 2):
            with fa.threads(threads):
                same_bits(function(x, axis=axis), whole, f"{threads} threads")


@pytest.mark.parametrize("name", NAMES)
def test_out(name, same_bits):
    function = getattr(fa, name)
    x = drawn(name, (6, 7, 8), "float32")
    for axis in AXES:
        whole = function(x, axis=axis)
        for order in "CF":
            out = np.full(x.shape, 7, x.dtype, order=order)
            got = function(x, axis=axis, out=out)
            assert got[1] is out
            same_bits(got, whole)
        place = np.array(x, order="F")
        got = function(place, axis=axis, out=place)
        assert got[1] is place
        same_bits(got, whole, "in place")
        buffer = np.concatenate([x, x[:1]])
        same_bits(function(buffer[:-1], axis=axis, out=buffer[1:]), whole, "partly in place")


def test_special_values():
    value, grad = fa.entropy_with_grad([0.0, 1.0, 0.5])
    assert value == pytest.approx(np.log(2) / 2)
    np.testing.assert_allclose(grad, [np.inf, -1, np.log(2) - 1])
    value, grad = fa.entropy_with_grad([[-0.5, 1.0], [np.nan, 1.0], [np.inf, 1.0]])
    assert np.isnan(value[:2]).all()
    np.testing.assert_array_equal(grad, [[np.nan, -1], [np.nan, -1], [-np.inf, -1]])
    value, grad = fa.entropy_with_logits_with_grad([[0.0, -np.inf], [0.0, -1e300], [-np.inf, 3.0]])
    assert not value.any()
    assert not grad.any()
    for row in ([0.0, np.nan], [np.nan, np.nan], [np.inf, 0.0], [-np.inf, np.nan], [-np.inf, -np.inf]):
        value, grad = fa.entropy_with_logits_with_grad(np.float32([row, [0, 0]]))
        assert np.isnan(value[0])
        assert np.isnan(grad[0]).all()
        assert value[1] == np.float32(np.log(2))
        assert not grad[1].any()


@pytest.mark.parametrize("name", NAMES)
def test_shapes_of_nothing(name):
    function = getattr(fa, name)
    for shape, axis in (((0,), -1), ((3, 0), -1), ((3, 0), 0), ((), None), ((), -1), ((2, 0, 4), (0, 1)), ((2, 3), ())):
        x = np.full(shape, 0.5, np.float32)
        value, grad = function(x, axis=axis)
        assert np.shape(value) == np.sum(x, axis=axis).shape
        assert (grad.shape, grad.dtype) == (shape, "float32")
        assert x.size or not np.any(value)
    assert np.isnan(function(np.zeros((0, 3)), reduction="mean")[0])
    assert function(np.zeros((0, 3)), reduction="sum")[0] == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("axis", [-1, 0, None])
def test_masked_elements_count_nothing(name, reduction, axis):
    x = drawn(name, (6, 7), "float64")
    mask = np.random.default_rng(4).random(x.shape) < 0.3
    mask[2], mask[:, 1] = True, True
    function = partial(getattr(fa, name), axis=axis, reduction=reduction)
    garbage = np.where(mask, np.nan, x)
    value, grad = function(np.ma.array(garbage, mask=mask))
    np.testing.assert_array_equal(np.ma.getmaskarray(grad), mask)
    lines = {-1: [(k, slice(None)) for k in range(6)], 0: [(slice(None), k) for k in range(7)], None: [...]}[axis]
    found, counted = [], 0
    for line in lines:
        left = x[line][~mask[line]] if line is not ... else x[~mask]
        if left.size:
            own, slope = getattr(fa, name)(left)
            counted += 1
            found.append(own)
            divisor = {"mean": sum(not mask[line].all() for line in lines), "sum": 1, "none": 1}[reduction]
            np.testing.assert_allclose(np.ma.getdata(grad)[line][~mask[line]] * divisor, slope, rtol=1e-12)
        else:
            found.append(np.ma.masked)
    each = np.ma.array([0.0 if f is np.ma.masked else f for f in found], mask=[f is np.ma.masked for f in found])
    expected = {"none": each if axis is not None else each[0], "mean": each.mean(), "sum": each.sum()}[reduction]
    np.testing.assert_allclose(np.ma.filled(value, -1), np.ma.filled(expected, -1), rtol=1e-12)
    out = np.ma.array(np.zeros_like(x))
    assert function(np.ma.array(garbage, mask=mask), out=out)[1] is out
    np.testing.assert_array_equal(np.ma.getmaskarray(out), mask)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_containers(name, reduction):
    dask = pytest.importorskip("dask.array")
    xarray = pytest.importorskip("xarray")
    x = drawn(name, (6, 7))
    upstream = np.linspace(-1, 1, 6) if reduction == "none" else 0.25
    whole = getattr(fa, name)(x, reduction=reduction, upstream=upstream)
    lazy = getattr(fa, name)(in_dask(x), reduction=reduction, upstream=upstream)
    assert all(isinstance(a, dask.Array) for a in lazy)
    for got, expected in zip(lazy, whole, strict=True):
        np.testing.assert_array_equal(got.compute(), expected)
    named = getattr(fa, name)(xarray.DataArray(x, dims=("a", "b")), reduction=reduction, upstream=upstream)
    assert named[1].dims == ("a", "b")
    np.testing.assert_array_equal(named[0], whole[0])
    np.testing.assert_array_equal(named[1], whole[1])


@pytest.mark.parametrize("name", NAMES)
def test_refusals(name):
    function, x = getattr(fa, name), np.full((2, 3), 0.5)
    out = np.full((2, 3), 7.0)
    for error, words, given in (
        (ValueError, "reduction must be one of 'mean', 'sum', 'none', got 'max'", {"reduction": "max"}),
        (ValueError, r"upstream must broadcast to the shape \(2,\), got \(3,\)", {"upstream": [1.0, 2.0, 3.0]}),
        (ValueError, r"upstream must be a number .* got shape \(2,\)", {"upstream": [1.0, 2.0], "reduction": "mean"}),
        (TypeError, "upstream must hold real numbers, got complex128", {"upstream": 1j}),
        (TypeError, "axis must be an integer, a tuple of integers or None, got 0.5", {"axis": 0.5}),
        (np.exceptions.AxisError, "axis 2 is out of bounds", {"axis": 2}),
        (ValueError, "duplicate value in 'axis'|repeated axis", {"axis": (0, -2)}),
        (TypeError, "dtype must be float16, float32, float64 or None, got 'int8'", {"dtype": "int8"}),
    ):
        with pytest.raises(error, match=words):
            function(x, out=out, **given)
    with pytest.raises(TypeError, match="out must be an array of float64, got float32"):
        function(x, out=np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"out must have the shape \(2, 3\), got \(3, 2\)"):
        function(x, out=np.zeros((3, 2)))
    with pytest.raises(TypeError, match="input must be"):
        function(np.array(["a"]), out=out)
    assert (out == 7).all()
