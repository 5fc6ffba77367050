"""Softmax and a dropout behind it in one pass: what both functions give one after the other, and gradients."""

import numpy as np
import pytest

import fastact as fa

SHAPES = [(3, 5), (2, 4, 7, 64), (5, 1025), (3, 2050), (2, 3, 70, 130)]
OPTIONS = {"plain": {}, "scale": {"scale": 0.3}, "negative": {"scale": -0.3}, "causal": {"causal": True}}


def drawn(shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).normal(scale=3, size=shape).astype(dtype)


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_is_both_one_after_the_other(shape, options, masks, dtype, same_bits):
    x, given = drawn(shape, dtype), dict(OPTIONS[options])
    if masks:
        given["where"] = np.random.default_rng(1).random(shape) < 0.7
    y, output, key = fa.softmax_dropout(x, 0.3, 5, **given)
    plain = fa.softmax(x, **given)
    if given:
        same_bits(output, plain)
    else:
        np.testing.assert_allclose(output, plain, rtol=1e-3 if dtype == "float16" else 1e-6)
    after, same = fa.dropout(output, 0.3, 5)
    assert key == same
    seen = output > np.finfo(dtype).smallest_normal  # below, halves of both round apart
    np.testing.assert_array_equal((y == 0)[seen], (after == 0)[seen])
    np.testing.assert_allclose(y, after, rtol=2e-3 if dtype == "float16" else 3e-7, atol=2e-7 * (dtype == "float16"))
    grad = drawn(shape, dtype, 2)
    got = fa.softmax_dropout_backward(grad, output, 0.3, key, **given)
    keep = fa.dropout(np.ones(shape, "float32"), 0.3, 5)[0] != 0
    expected = fa.softmax_backward(grad, output, keep=keep, p=0.3, **given)
    np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-3 if dtype == "float16" else 1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_axes_and_layouts(axis, same_bits):
    x, grad = drawn((6, 70, 9)), drawn((6, 70, 9), seed=1)
    y, output, key = fa.softmax_dropout(x, 0.4, 3, axis=axis)
    np.testing.assert_allclose(output, fa.softmax(x, axis), rtol=1e-6)
    np.testing.assert_array_equal(y == 0, fa.dropout(x, 0.4, 3)[0] == 0)
    back = fa.softmax_dropout_backward(grad, output, 0.4, key, axis=axis)
    for layout in (np.asfortranarray, lambda a: np.repeat(a, 2, 0)[::2], lambda a: a[::-1].copy()[::-1]):
        same_bits(fa.softmax_dropout(layout(x), 0.4, 3, axis=axis)[:2], (y, output))
        same_bits(fa.softmax_dropout_backward(layout(grad), layout(output), 0.4, key, axis=axis), back)
    outs = np.empty_like(x, order="F"), x.copy()
    got = fa.softmax_dropout(outs[1], 0.4, 3, axis=axis, out=outs)
    assert got[0] is outs[0]
    assert got[1] is outs[1]
    same_bits(outs, (y, output))


def test_threads_give_the_same_bits(threads, same_bits):
    x, grad = drawn((8, 8, 64, 96)), drawn((8, 8, 64, 96), seed=1)
    with threads(1):
        y, output, key = fa.softmax_dropout(x, 0.1, 3, causal=True)
        back = fa.softmax_dropout_backward(grad, output, 0.1, key, causal=True)
    with threads(3):
        same_bits(fa.softmax_dropout(x, 0.1, 3, causal=True)[:2], (y, output))
        same_bits(fa.softmax_dropout_backward(grad, output, 0.1, key, causal=True), back)


def test_gradient_is_that_of_differences():
    x, grad = drawn((4, 9), "float64"), drawn((4, 9), "float64", 1)
    _, output, key = fa.softmax_dropout(x, 0.4, 3, scale=0.7)
    got = fa.softmax_dropout_backward(grad, output, 0.4, key, scale=0.7)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-6
        up, down = (np.sum(grad * fa.softmax_dropout(x + s, 0.4, 3, scale=0.7)[0]) for s in (step, -step))
        assert abs((up - down) / 2e-6 - got[i]) < 1e-8


def test_nothing_is_dropped_without_training_or_probability(same_bits):
    x = drawn((5, 40))
    y, output, key = fa.softmax_dropout(x, 0.5, None, training=False)
    assert key is None
    same_bits(y, output)
    y, output, key = fa.softmax_dropout(x, 0.0, 1)
    same_bits(y, output)
    same_bits(fa.softmax_dropout_backward(x, output, 0.0, key), fa.softmax_dropout_backward(x, output, 0.5, None))
    assert not fa.softmax_dropout(x, 1.0, 1)[0].any()
    assert not fa.softmax_dropout_backward(x, output, 1.0, 5).any()


def test_rows_that_are_masked_or_not_a_number():
    x = np.array([[1.0, 2.0, np.nan], [1.0, 2.0, 3.0]])
    where = np.array([[True, True, True], [False, False, False]])
    y, output, _ = fa.softmax_dropout(x, 0.5, 1, where=where)
    assert np.isnan(y[0]).all()
    assert np.isnan(output[0]).all()
    assert not y[1].any()
    assert not output[1].any()


def test_what_is_refused():
    x = drawn((4, 5))
    for p in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="p must be a number from 0 to 1"):
            fa.softmax_dropout(x, p, 0)
    with pytest.raises((TypeError, ValueError), match="rng must be"):
        fa.softmax_dropout(x, 0.1, "seed")
    with pytest.raises(ValueError, match="key must be what the forward"):
        fa.softmax_dropout_backward(x, x, 0.1, -1)
    with pytest.raises(TypeError, match="where must hold booleans"):
        fa.softmax_dropout(x, 0.1, 0, where=np.ones(5))
    with pytest.raises(ValueError, match="where must broadcast"):
        fa.softmax_dropout(x, 0.1, 0, where=np.ones(4, bool))
    with pytest.raises(np.exceptions.AxisError):
        fa.softmax_dropout(x, 0.1, 0, axis=2)
    with pytest.raises(ValueError, match="causal takes queries along axis -2"):
        fa.softmax_dropout(x, 0.1, 0, axis=0, causal=True)
    with pytest.raises(TypeError, match="must not be a masked array"):
        fa.softmax_dropout(np.ma.array(x, mask=x > 0), 0.1, 0)
    out = np.full((4, 5), 7, "float32")
    with pytest.raises(ValueError, match="out must be arrays that do not overlap"):
        fa.softmax_dropout(x, 0.1, 0, out=(out, out))
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match="scale"):
        fa.softmax_dropout(x, 0.1, generator, scale=np.inf, out=(out, None))
    with pytest.raises(ValueError, match="out must have the shape"):
        fa.softmax_dropout(x, 0.1, generator, out=(out[:2], None))
    with pytest.raises(TypeError, match="same_kind"):
        fa.softmax_dropout(x, 0.1, generator, out=(out, np.empty((4, 5), int)))
    assert (out == 7).all()
    assert generator.integers(100) == np.random.default_rng(0).integers(100)
