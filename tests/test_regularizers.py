"""Penalties and the clipping of gradients: precision, PyTorch's results, lists, and what is refused."""

import math
from functools import partial

import numpy as np
import pytest

import fastact as fa
from fastact.functions.clipping import NORM_EPS
from tests.test_optimizers import refused, views

INF = np.inf
PENALTIES = {
    "l1": (fa.l1_penalty, fa.l1_penalty_with_grad, lambda x: abs(x), np.sign),
    "l2": (fa.l2_penalty, fa.l2_penalty_with_grad, lambda x: x * x / 2, lambda x: x),
}


def exact_sum(terms):
    """A sum without rounding errors."""
    return math.fsum(np.asarray(terms, np.float64).ravel().tolist())


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_keep_their_promise(name, dtype):
    alone, both, term, slope = PENALTIES[name]
    rng = np.random.default_rng(0)
    for shape, scale in (((), 1), ((7,), 1e-3), ((64, 65), 1), ((300_001,), 1e-2)):
        x = np.asarray(scale * rng.normal(size=shape), dtype)
        wide = x.astype(np.float64)
        expected = 0.5 * exact_sum(term(wide))
        value, grad = both(x, 0.5)
        assert value == alone(x, 0.5)
        assert value.dtype == grad.dtype == dtype
        assert abs(float(value) - expected) <= 2 * np.spacing(np.abs(np.asarray(expected, dtype)))
        np.testing.assert_array_equal(grad, (0.5 * slope(wide)).astype(dtype))
        precise = alone(x, 0.5, dtype="f8")
        assert abs(precise - expected) <= 2e-15 * expected
    for strength in (0.3, 1e-3):  # which no float32 is
        value, grad = both(x, strength)
        unit = np.spacing(np.abs((strength * slope(wide)).astype(dtype)))
        assert np.max(abs(grad - strength * slope(wide)) / unit) <= 2


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("name", PENALTIES)
def test_a_strength_that_is_infinite_in_the_parameters_precision(name, dtype):
    alone, both, *_ = PENALTIES[name]
    match = "strength must be a finite number of float32, in which is computed, got 1e"
    for x in (np.ones(3, dtype), [np.ones(3), np.ones(3, dtype)], np.ma.array(np.ones(3, dtype))):
        out = [np.full(3, 7.0), np.full(3, 7, dtype)] if isinstance(x, list) else np.full(3, 7, dtype)
        refused(ValueError, match, lambda x=x: alone(x, 1e39), [])
        refused(ValueError, match, lambda x=x, out=out: both(x, 1e39, out=out), list(out))
    assert np.isfinite(both(np.ones(3), 1e39)[0])


@pytest.mark.parametrize("name", PENALTIES)
def test_gradients_are_differences(name):
    alone, both, *_ = PENALTIES[name]
    x, h = np.random.default_rng(1).normal(size=9), 1e-6
    _, grad = both(x, 0.7)
    for i in range(9):
        step = h * (np.arange(9) == i)
        assert abs((alone(x + step, 0.7) - alone(x - step, 0.7)) / (2 * h) - grad[i]) < 1e-8


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_of_several_arrays(name):
    alone, both, term, slope = PENALTIES[name]
    rng = np.random.default_rng(2)
    params = {
        "w": rng.normal(size=(3, 4)),
        "b": rng.normal(size=5).astype("f4"),
        "none": np.zeros((0, 2)),
        "s": np.ones(()),
    }
    expected = 0.1 * sum(np.sum(term(x.astype("f8"))) for x in params.values())
    for given in (params, list(params.values()), tuple(params.values())):
        outs = [np.full_like(x, 77) for x in params.values()]
        for out in (None, dict(zip(params, outs, strict=True)) if isinstance(given, dict) else outs):
            value, grads = both(given, 0.1, out=out)
            np.testing.assert_allclose([value, alone(given, 0.1)], expected, rtol=1e-14)
            listed = list(grads.values()) if isinstance(given, dict) else grads
            for grad, x, place in zip(listed, params.values(), outs, strict=True):
                assert grad.dtype == x.dtype
                np.testing.assert_allclose(grad, 0.1 * slope(x), rtol=1e-6)
                assert out is None or grad is place
    x = [np.ones(3), np.ones(2)]
    assert both(x, 1.0, out=x)[1][0] is x[0]
    assert x[0].tolist() == [1, 1, 1]
    assert alone([], 1.0) == 0
    swapped = [np.float64([1, 2]), np.float64([3, 4])]
    _, (first, second) = both(swapped, 1.0, out=swapped[::-1])
    np.testing.assert_array_equal(first, slope(np.float64([1, 2])))
    np.testing.assert_array_equal(second, slope(np.float64([3, 4])))


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_that_are_refused(name):
    _, both, *_ = PENALTIES[name]
    params, frozen, both_places = [np.ones(3), np.ones(2)], np.zeros(2), np.zeros(3)
    frozen.flags.writeable = False
    for out, error, match in (
        ([np.zeros(3), frozen], ValueError, "out is read-only"),
        ([np.zeros(3)], ValueError, r"out must have the arrays that params has, \[0, 1\], got \[0\]"),
        ([np.zeros(3), np.zeros(2, "f4")], TypeError, "out must be an array of float64, got float32"),
        ([both_places, both_places[1:]], ValueError, r"out\[1\] must not overlap out\[0\]"),
    ):
        refused(error, match, partial(both, params, out=out), [*params, *out])
    for strength, error in (
        (-1.0, ValueError),
        (np.nan, ValueError),
        (INF, ValueError),
        ("much", TypeError),
        (True, TypeError),
    ):
        with pytest.raises(error, match="strength must be a finite number of at least 0"):
            both(np.ones(2), strength)
    with pytest.raises(TypeError, match="dtype must be"):
        both(np.ones(2), dtype=int)
    with pytest.raises(TypeError, match=r"params\[1\] must be float16, .* got complex128"):
        both([np.ones(2), np.ones(2, complex)])


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_of_special_values(name):
    _, both, _, slope = PENALTIES[name]
    x = np.float32([INF, -INF, 0, -0.0, 1e-45, 1])
    value, grad = both(x, 1.0)
    assert value == INF
    np.testing.assert_array_equal(grad, slope(x))
    value, grad = both(np.float32([np.nan, 1]), 1.0)
    assert np.isnan(value)
    assert np.isnan(grad).tolist() == [True, False]
    assert both(np.float32([3e38, 3e38]), 1.0)[0] == INF
    assert fa.l2_penalty(np.float32([1e30, 1e30]), 1e-30, dtype="f8") == pytest.approx(1e30)


# Clipping.


def test_the_norm_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        for limit in (0.0, 0.5, 3.0, 1e6, INF):
            grads = [rng.normal(size=shape).astype(dtype) for shape in ((30, 7), (5,), (), (0,))]
            theirs = [torch.nn.Parameter(torch.zeros(x.shape, dtype=getattr(torch, dtype))) for x in grads]
            for parameter, x in zip(theirs, grads, strict=True):
                parameter.grad = torch.from_numpy(x.copy())
            norm = fa.clip_grad_norm(grads, limit)
            assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs, limit)), rel=1e-6)
            for parameter, x in zip(theirs, grads, strict=True):
                np.testing.assert_allclose(x, parameter.grad.numpy(), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_norms_keep_their_promise(dtype):
    """The norm is that of an exact sum; each scaled element is its multiple, rounded once more than it must be."""
    rng = np.random.default_rng(1)
    for sizes in ((7,), (2048, 3), (300_001, 64, 5000)):
        grads = [rng.normal(size=n).astype(dtype) for n in sizes]
        exact = math.sqrt(math.fsum(float(x) ** 2 for g in grads for x in g))
        before = [g.astype(np.longdouble) for g in grads]
        norm = fa.clip_grad_norm(grads, 0.5)
        assert type(norm) is np.float64
        assert abs(norm - exact) <= 2 * np.spacing(exact)
        for g, old in zip(grads, before, strict=True):
            wanted = old * (0.5 / (np.longdouble(exact) + np.longdouble(NORM_EPS)))
            unit = np.spacing(np.maximum(abs(wanted).astype(dtype), np.finfo(dtype).tiny))
            assert np.max(abs(g - wanted) / unit) <= 2


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-160, 1e-140, 1e140, 1e160, 1e300])
def test_squares_neither_overflow_nor_vanish(scale):
    grads = [np.array([3.0, 0.0]) * scale, np.array([[-4.0]]) * scale]
    assert fa.clip_grad_norm(grads, INF) == pytest.approx(5 * scale, rel=1e-12 if scale > 1e-300 else 1e-2, abs=0)
    assert grads[0][0] == 3 * scale
    small = np.float32([3e-30, 4e-30])
    assert fa.clip_grad_norm(small, 1.0) == pytest.approx(5e-30, rel=1e-6, abs=0)
    large = np.float32([3e38, 3e38])
    assert fa.clip_grad_norm(large, 1.0) == pytest.approx(3e38 * 2**0.5, rel=1e-6)
    np.testing.assert_allclose(large, 0.5**0.5, rtol=1e-6)
    halves = np.float16([60000, 60000, 6e-8])
    assert fa.clip_grad_norm(halves, INF) == pytest.approx(60000 * 2**0.5, rel=1e-6)
    assert fa.clip_grad_norm(np.zeros(3), 0.0) == 0
    assert fa.clip_grad_norm([], 1.0) == 0
    assert fa.clip_grad_norm(np.full(4, 1.7e308), 1.0) == INF  # which is beyond float64


def test_the_norm_depends_on_no_layout_and_no_threads(threads):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(600, 700)).astype("f4")
    expected = fa.clip_grad_norm(x.copy(), INF)
    assert all(fa.clip_grad_norm(view, INF) == expected for view in views(x))
    for count in (1, 2, 4):
        with threads(count):
            y = x.copy()
            assert fa.clip_grad_norm(y, 1.0) == expected
            np.testing.assert_array_equal(y, x * np.float32(1 / (expected + NORM_EPS)))


@pytest.mark.parametrize("value", [np.nan, INF, -INF])
def test_gradients_that_are_not_finite(value):
    grads = {"a": np.ones(3), "b": np.ones((2, 3), "f4")}
    grads["b"][1, 2] = value
    arrays = list(grads.values())
    call = partial(fa.clip_grad_norm, grads, 1.0, error_if_nonfinite=True)
    refused(ValueError, rf"grads\['b'\] must be finite, got {value} at position \(1, 2\)", call, arrays)
    with np.errstate(all="raise"):
        norm = fa.clip_grad_norm(grads, 1.0)
    assert np.isnan(norm) if np.isnan(value) else norm == INF
    assert np.isnan(grads["b"][1, 2])
    assert np.isnan(grads["a"]).all() if np.isnan(value) else (grads["a"] == 0).all()
    huge = np.full(4, 1.7e308)
    refused(ValueError, "norm that is a finite", partial(fa.clip_grad_norm, huge, 1.0, error_if_nonfinite=True), [huge])
    assert fa.clip_grad_norm(np.ones(4), 1.0, error_if_nonfinite=True) == 2


def test_clipping_by_value():
    for dtype in ("float16", "float32", "float64"):
        special = np.array([0.5, -0.5, 3, -3, INF, -INF, np.nan, 0.0, -0.0], dtype)
        for view in (special.copy(), np.repeat(special, 2)[::2], special[::-1].copy()[::-1]):
            assert fa.clip_grad_value(view, 1.0) is view
            np.testing.assert_array_equal(view, np.clip(special, -1, 1))
    grads = {"a": np.array([5.0]), "b": np.array([[-7.0, 1.0]])}
    assert fa.clip_grad_value(grads, np.float32(2)) is grads
    assert grads["a"].tolist() == [2]
    assert grads["b"].tolist() == [[-2, 1]]
    assert fa.clip_grad_value(np.array([5.0, -INF]), INF).tolist() == [5, -INF]
    assert fa.clip_grad_value(np.array([5.0, -INF]), 0).tolist() == [0, 0]


@pytest.mark.parametrize("function", [fa.clip_grad_norm, fa.clip_grad_value])
def test_clipping_that_is_refused(function):
    frozen, good, whole = np.full(3, 9.0), np.full(2, 9.0), np.full(5, 9.0)
    frozen.flags.writeable = False
    for arrays, error, match in (
        ([good, frozen], ValueError, r"grads\[1\] is read-only"),
        ([good, np.full(2, 9)], TypeError, r"grads\[1\] must be an array of float16, .* got int64"),
        ([good, np.ma.array([9.0])], TypeError, r"grads\[1\] .*masked array"),
        ([whole[:3], whole[2:]], ValueError, r"grads\[1\] must not overlap grads\[0\]"),
        ([good, 9.0], TypeError, r"grads\[1\] must be an array, got float"),
    ):
        refused(error, match, partial(function, arrays, 1.0), arrays)
    for limit, error in ((-1.0, ValueError), (np.nan, ValueError), ("1", TypeError), (None, TypeError)):
        refused(error, "must be a number of at least 0", partial(function, good, limit), [good])
    with pytest.raises(TypeError, match="grads must be an array, or a list or dict of arrays, got float"):
        function(1.0, 1.0)
