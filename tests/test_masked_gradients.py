"""The gradients of the softmax family where some elements take no part: `where` and `causal`, with `scale`."""

import numpy as np
import pytest

import fastact as fa

NAMES = ("softmax", "log_softmax")


def lower(queries, keys):
    return np.arange(keys) <= np.arange(queries)[:, None] + (keys - queries)


def reference(name, grad, output, keep, scale):
    """In float64, with what takes no part left out of every sum."""
    grad, output = np.where(keep, grad, 0).astype(float), np.where(keep, output, 0).astype(float)
    if name == "softmax":
        found = output * (grad - np.sum(grad * output, axis=-1, keepdims=True))
    else:
        found = grad - np.exp(output) * np.sum(grad, axis=-1, keepdims=True)
    return np.where(keep, scale * found, 0)


def operands(name, shape, keep, dtype="f4", **options):
    """A gradient and an output, and of each one that holds something else where an element takes no part."""
    rng = np.random.default_rng(0)
    x, grad = (rng.normal(size=shape).astype(dtype) for _ in range(2))
    output = getattr(fa, name)(x, where=keep, **options)
    hidden = ~np.broadcast_to(keep, shape)
    garbage = rng.choice([np.nan, np.inf, -np.inf, 6e4], size=shape).astype(dtype)
    return grad, output, np.where(hidden, garbage, grad), np.where(hidden, garbage, output)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_what_takes_no_part_does_not_matter(name, dtype):
    """Of rows shorter than a step, of whole steps, of several chunks, and of rows without any that does."""
    backward, unit = getattr(fa, f"{name}_backward"), float(np.finfo(dtype).eps)
    for length in (1, 5, 64, 70, 1100, 2100):
        keep = np.random.default_rng(1).random((6, length)) < 0.6
        keep[2], keep[3] = False, True
        grad, output, *given = operands(name, (6, length), keep, dtype, scale=0.3)
        got = backward(*given, where=keep, scale=0.3)
        assert got.dtype == dtype
        expected = reference(name, grad, output, keep, 0.3)
        np.testing.assert_allclose(got, expected, rtol=4 * unit, atol=16 * unit)
        assert (got[~keep] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_mask_of_all_changes_no_bit(name, same_bits):
    backward = getattr(fa, f"{name}_backward")
    for length in (3, 64, 250, 3000):
        grad, output, *_ = operands(name, (5, length), True)
        for scale in (1.0, 0.3, -2.0):
            same_bits(
                backward(grad, output, where=np.ones(length, bool), scale=scale), backward(grad, output, scale=scale)
            )
    same_bits(backward(grad, output, where=True, causal=False), backward(grad, output))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (3, 8), (8, 3), (1, 70), (70, 70), (0, 3), (2, 0), (65, 1100)])
def test_causal(name, queries, keys, same_bits):
    """As with the mask as an array, for keys along the last axis and others, and beside another mask."""
    backward, before = getattr(fa, f"{name}_backward"), lower(queries, keys)
    shape = (2, 3, queries, keys)
    *_, grad, output = operands(name, shape, before, scale=0.7)
    got = backward(grad, output, causal=True, scale=0.7)
    same_bits(got, backward(grad, output, where=before, scale=0.7))
    assert (np.broadcast_to(before, shape) | (got == 0)).all()
    keep = np.random.default_rng(2).random((2, 1, queries, keys)) < 0.5
    same_bits(backward(grad, output, causal=True, where=keep), backward(grad, output, where=before & keep))
    turned = (np.ascontiguousarray(x.transpose(3, 0, 2, 1)) for x in (grad, output))
    same_bits(backward(*turned, axis=0, causal=True, scale=0.7).transpose(1, 3, 2, 0), got)


@pytest.mark.parametrize("name", NAMES)
def test_threads_and_places(name, threads, same_bits):
    """The bits depend neither on the number of threads, nor on the layout, nor on where results go."""
    backward = getattr(fa, f"{name}_backward")
    for shape in ((4000, 64), (300, 1100), (3, 200_000)):
        keep = np.random.default_rng(3).random(shape) < 0.7
        grad, output, *_ = operands(name, shape, keep)
        with threads(1):
            expected = backward(grad, output, where=keep, scale=0.3)
            triangle = backward(grad, output, causal=True)
        for n in (2, 3):
            with threads(n):
                same_bits(backward(grad, output, where=keep, scale=0.3), expected)
                same_bits(backward(grad, output, causal=True), triangle)
        columns = np.asfortranarray(grad), np.asfortranarray(output)
        got = backward(*columns, where=np.asfortranarray(keep), scale=0.3)
        assert got.flags.f_contiguous
        same_bits(got, expected)
        apart, flipped = np.repeat(grad, 2, 1)[:, ::2], np.ascontiguousarray(output[:, ::-1])[:, ::-1]
        same_bits(backward(apart, flipped, where=np.repeat(keep, 2, 1)[:, ::2], scale=0.3), expected)
        for place in (grad.copy(), output.copy()):
            given = (place, output) if np.array_equal(place, grad) else (grad, place)
            assert backward(*given, where=keep, scale=0.3, out=place) is place
            same_bits(place, expected)


@pytest.mark.parametrize("name", NAMES)
def test_masks_and_operands_broadcast(name, same_bits):
    backward, rng = getattr(fa, f"{name}_backward"), np.random.default_rng(4)
    grad, output, *_ = operands(name, (3, 4, 5), True, "f8")
    for shape in ((5,), (4, 1), (3, 1, 5), (1, 1, 1), ()):
        keep = rng.random(shape) < 0.6
        full = np.broadcast_to(keep, grad.shape).copy()
        for axis in (-1, 0, 1, None, (0, 2), (2, 1)):
            same_bits(backward(grad, output, axis, where=keep), backward(grad, output, axis, where=full))
        same_bits(backward(grad, output, where=keep.tolist()), backward(grad, output, where=full))
    whole = np.broadcast_to(grad[0, 0], grad.shape)
    same_bits(backward(grad[0, 0], output, where=keep), backward(whole, output, where=keep))
    assert backward(1, output.astype("f4"), where=keep).dtype == np.float32
    assert backward(2.0, 0.5, where=True) == (0.5 if name == "softmax" else 2 - 2 * np.exp(0.5))
    assert backward(2.0, 0.5, where=np.False_) == 0
    with pytest.raises(ValueError, match=r"grad of shape \(2,\) and output of shape \(3,\) do not broadcast"):
        backward(np.ones(2), np.ones(3), where=[True])


@pytest.mark.parametrize("name", NAMES)
def test_against_pytorch(name):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    x, grad = (rng.normal(size=(2, 3, 8, 8)).astype(np.float32) for _ in range(2))
    for options, keep in (({"causal": True}, lower(8, 8)), ({}, rng.random((2, 1, 8, 8)) < 0.7)):
        keep[..., 0] = True
        given = options or {"where": keep}
        tensor, hidden = torch.tensor(x, requires_grad=True), torch.tensor(np.broadcast_to(~keep, x.shape).copy())
        result = getattr(torch, name)((tensor * 0.35).masked_fill(hidden, -torch.inf), -1)
        result.masked_fill(hidden, 0.0).backward(torch.tensor(grad))
        output = getattr(fa, name)(x, scale=0.35, **given)
        back = getattr(fa, f"{name}_backward")(grad, output, scale=0.35, **given)
        np.testing.assert_allclose(back, tensor.grad.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_errors_write_nothing(name):
    backward, x = getattr(fa, f"{name}_backward"), np.zeros((2, 3), np.float32)
    wrong = [
        ({"where": np.ones((2, 4), bool)}, ValueError, r"where must broadcast to the shape \(2, 3\)"),
        ({"where": [1, 0, 1]}, TypeError, "where must hold booleans, got int64"),
        ({"where": [True], "scale": np.inf}, ValueError, "scale must be a finite number, got inf"),
        ({"where": [True], "scale": 1e300}, ValueError, "scale must be a finite number of float32"),
        ({"causal": "yes"}, TypeError, "causal must be True or False, got 'yes'"),
        ({"causal": True, "axis": 0}, ValueError, "causal takes queries along axis -2"),
        ({"where": [True], "axis": 2}, np.exceptions.AxisError, "out of bounds"),
        ({"where": [True], "mask": [True]}, TypeError, "'mask', which is called 'where' here"),
    ]
    for options, error, message in wrong:
        out = np.full((2, 3), 7, np.float32)
        with pytest.raises(error, match=message):
            backward(x, x, out=out, **options)
        assert (out == 7).all()
    with pytest.raises(ValueError, match="out must have the shape"):
        backward(x, x, where=[True], out=np.empty((3, 3), "f4"))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dropout_behind_softmax(dtype, threads, same_bits):
    """With what it kept, and the mask of softmax beside it, as in two steps; what is dropped may have any gradient."""
    rng, unit = np.random.default_rng(7), float(np.finfo(dtype).eps)
    for shape in ((6, 5), (6, 70), (3, 2100), (2000, 130)):
        where, kept = rng.random(shape) < 0.8, rng.random(shape) < 0.75
        where[1], kept[2] = False, False
        grad, output, *_ = operands("softmax", shape, where, dtype, scale=0.3)
        given = np.where(kept & where, grad, np.array(np.nan, dtype))
        with threads(1):
            got = fa.softmax_backward(given, output, keep=kept, p=0.25, where=where, scale=0.3)
        behind = np.where(kept, grad, 0).astype(float) / 0.75
        np.testing.assert_allclose(got, reference("softmax", behind, output, where, 0.3), rtol=4 * unit, atol=16 * unit)
        assert got.dtype == dtype
        assert (got[1] == 0).all()
        assert (got[2] == 0).all()
        with threads(2):
            same_bits(fa.softmax_backward(given, output, keep=kept, p=0.25, where=where, scale=0.3), got)
        columns = (np.asfortranarray(x) for x in (given, output))
        same_bits(fa.softmax_backward(*columns, keep=kept, p=0.25, where=np.asfortranarray(where), scale=0.3), got)
    same_bits(fa.softmax_backward(grad, output, keep=True), fa.softmax_backward(grad, output))
    same_bits(fa.softmax_backward(grad, output, keep=None, p=0), fa.softmax_backward(grad, output))
    assert (fa.softmax_backward(grad, output, keep=False, p=1.0) == 0).all()


def test_dropout_against_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(8)
    x, grad = (rng.normal(size=(2, 3, 8, 8)).astype(np.float32) for _ in range(2))
    kept = rng.random(x.shape) < 0.6
    tensor = torch.tensor(x, requires_grad=True)
    result = (tensor * 0.35).masked_fill(torch.tensor(~lower(8, 8)), -torch.inf).softmax(-1)
    (result * torch.tensor(kept) / 0.6).backward(torch.tensor(grad))
    output = fa.softmax(x, scale=0.35, causal=True)
    got = fa.softmax_backward(grad, output, scale=0.35, causal=True, keep=kept, p=0.4)
    np.testing.assert_allclose(got, tensor.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_dropout_errors_write_nothing():
    x = np.zeros((2, 3), np.float32)
    wrong = [
        ({"keep": np.ones((2, 4), bool)}, ValueError, r"keep must broadcast to the shape \(2, 3\)"),
        ({"keep": [1, 0, 1]}, TypeError, "keep must hold booleans, got int64"),
        ({"keep": True, "p": 1.5}, ValueError, "p must be between 0 and 1, got 1.5"),
        ({"keep": True, "p": "half"}, TypeError, "p must be a number, got 'half'"),
        ({"p": 0.5}, ValueError, "p needs keep"),
    ]
    for options, error, message in wrong:
        out = np.full((2, 3), 7, np.float32)
        with pytest.raises(error, match=message):
            fa.softmax_backward(x, x, out=out, **options)
        assert (out == 7).all()
    with pytest.raises(TypeError, match="'keep'"):
        fa.log_softmax_backward(x, x, keep=True)


def test_containers():
    """What a mask of an array hides takes no part, and stays masked; results are put back like the gradient."""
    from tests.containers import in_dask, in_pandas, in_xarray

    rng = np.random.default_rng(6)
    keep, hidden = rng.random((6, 9)) < 0.7, rng.random((6, 9)) < 0.3
    grad, output, *_ = operands("softmax", (6, 9), keep)
    expected = fa.softmax_backward(grad, output, where=keep & ~hidden, causal=True)
    got = fa.softmax_backward(np.ma.array(grad, mask=hidden), output, where=keep, causal=True)
    np.testing.assert_array_equal(got.mask, hidden)
    np.testing.assert_array_equal(got.filled(0), expected)
    expected = fa.softmax_backward(grad, output, where=keep, causal=True, scale=0.3)
    for wrap in (in_pandas, in_xarray, in_dask):
        got = fa.softmax_backward(wrap(grad), wrap(output), where=wrap(keep), causal=True, scale=0.3)
        assert type(got) is type(wrap(grad))
        np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-5, atol=1e-7)


def test_no_warnings():
    x = np.float32([[np.inf, -np.inf, 1], [np.nan, 3e38, -3e38], [1e-45, 0, -1e-45]])
    with np.errstate(all="raise"):
        for keep in (x > 0, False, [True, False, True]):
            fa.softmax_backward(x, x, where=keep, scale=0.3)
            fa.log_softmax_backward(x, x, where=keep, causal=True)


def test_dropout_of_containers():
    from tests.containers import in_dask, in_pandas, in_xarray

    rng = np.random.default_rng(9)
    kept, hidden = rng.random((6, 9)) < 0.7, rng.random((6, 9)) < 0.3
    grad, output, *_ = operands("softmax", (6, 9), True)
    expected = fa.softmax_backward(grad, output, keep=kept, p=0.3)
    for wrap in (in_pandas, in_xarray, in_dask):
        got = fa.softmax_backward(wrap(grad), wrap(output), keep=wrap(kept), p=0.3)
        assert type(got) is type(wrap(grad))
        np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-5, atol=1e-7)
    expected = fa.softmax_backward(grad, output, keep=kept, p=0.3, where=~hidden)
    got = fa.softmax_backward(np.ma.array(grad, mask=hidden), output, keep=kept, p=0.3)
    np.testing.assert_array_equal(got.mask, hidden)
    np.testing.assert_array_equal(got.filled(0), expected)
