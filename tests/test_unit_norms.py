"""Rows of length one: values, gradients, rows of zeros, the largest and smallest numbers, layouts, PyTorch's results."""

import numpy as np
import pytest

import fastact as fa


def operands(shape, dtype="float32"):
    rng = np.random.default_rng(0)
    return rng.normal(size=shape).astype(dtype), rng.normal(size=shape).astype(dtype)


@pytest.mark.parametrize("shape", [(3, 7), (5, 1500), (300, 5), (2, 3, 64)])
def test_values(shape):
    x, _ = operands(shape)
    wide = x.astype(np.float64)
    expected = wide / np.sqrt(np.einsum("...i,...i->...", wide, wide))[..., None]
    got = fa.l2_normalize(x)
    assert np.all(abs(got - expected) <= np.spacing(abs(expected).astype(np.float32)))


def test_large_small_and_zero_rows():
    x = np.array([[3e38, 4e37], [3e-40, 4e-40], [0, 0], [np.inf, 1], [np.nan, 1]], np.float32)
    got = fa.l2_normalize(x, eps=0.0)
    np.testing.assert_allclose(got[:2], [[0.991228, 0.132164], [0.6, 0.8]], rtol=1e-4)
    assert np.isnan(got[2]).all()
    np.testing.assert_array_equal(fa.l2_normalize(x)[2], 0.0)
    np.testing.assert_array_equal(got[3], [np.nan, 0])
    assert np.isnan(got[4]).all()
    np.testing.assert_allclose(fa.l2_normalize_backward(np.ones_like(x), x)[2], 1e12)
    with pytest.raises(ValueError, match="eps must not be negative"):
        fa.l2_normalize(x, eps=-1.0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_as_pytorch(dtype):
    torch = pytest.importorskip("torch")
    x, grad = operands((7, 30), dtype)
    leaf = torch.from_numpy(x.astype(np.float64)).requires_grad_()
    y = torch.nn.functional.normalize(leaf, dim=-1)
    y.backward(torch.from_numpy(grad.astype(np.float64)))
    limit = 2 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(fa.l2_normalize(x), y.detach().numpy(), rtol=limit)
    np.testing.assert_allclose(fa.l2_normalize_backward(grad, x), leaf.grad.numpy(), rtol=limit, atol=limit)


def test_layouts_and_threads(threads, same_bits):
    x, grad = operands((400, 600))
    with threads(1):
        expected = fa.l2_normalize(x), fa.l2_normalize_backward(grad, x)
    for n in (1, 2):
        with threads(n):
            for lay in (np.asarray, np.asfortranarray, lambda a: np.repeat(a, 2, 1)[:, ::2]):
                got = fa.l2_normalize(lay(x)), fa.l2_normalize_backward(lay(grad), lay(x))
                same_bits(tuple(map(np.ascontiguousarray, got)), expected)
    both = x.T.reshape(20, 30, 400)
    same_bits(fa.l2_normalize(both, axis=(0, 1)).reshape(600, 400).T, expected[0])
    assert fa.l2_normalize(x, out=x) is x
    same_bits(x, expected[0])
