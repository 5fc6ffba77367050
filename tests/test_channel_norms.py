"""Norms of channels and their gradients: values, running statistics, large means, layouts, threads, PyTorch's results, errors."""

import numpy as np
import pytest

import fastact as fa
from fastact import table

EPS = float(np.finfo(np.float32).eps)
LAYOUTS = {
    "images, channels, pixels": lambda a: a,
    "channels last": lambda a: np.ascontiguousarray(np.moveaxis(a, 1, -1)).transpose(0, -1, *range(1, a.ndim - 1)),
    "channels first": lambda a: np.ascontiguousarray(np.moveaxis(a, 1, 0)).swapaxes(0, 1),
    "spread": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "reversed": lambda a: a[:, :, ::-1].copy()[:, :, ::-1],
    "swapped bytes": lambda a: a.astype(a.dtype.newbyteorder()),
}


def calls(groups=2):
    """Each norm and its gradients, as functions of their arrays and keyword arguments."""
    return {
        "batch": (
            lambda x, *rest, **options: fa.batch_norm(x, *rest, training=True, **options),
            lambda g, x, *rest, **options: fa.batch_norm_backward(g, x, *rest, training=True, **options),
        ),
        "group": (
            lambda x, *rest, **options: fa.group_norm(x, groups, *rest, **options),
            lambda g, x, *rest, **options: fa.group_norm_backward(g, x, groups, *rest, **options),
        ),
        "instance": (fa.instance_norm, fa.instance_norm_backward),
    }


def rows_of(name, x, groups=2):
    """An array with each set of elements that has statistics of its own as a row of its last axis."""
    if name == "batch":
        return np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    return x.reshape(len(x), groups if name == "group" else x.shape[1], -1)


def normed(name, x, weight, bias, eps=1e-5):
    """What a norm gives, in float64, by numbers that have been centred twice."""
    x = np.asarray(x, np.float64)
    rows = rows_of(name, x - x.flat[0])
    rows = rows - rows.mean(-1, keepdims=True)
    rows = rows - rows.mean(-1, keepdims=True)
    rows = rows / np.sqrt((rows * rows).mean(-1, keepdims=True) + eps)
    whole = (
        rows.reshape(x.shape) if name != "batch" else np.moveaxis(rows.reshape(x.shape[1], len(x), *x.shape[2:]), 0, 1)
    )
    beside = (-1, *[1] * (x.ndim - 2))
    return whole * np.reshape(weight, beside) + np.reshape(bias, beside)


def operands(shape, dtype="float32", scale=1.0, offset=0.0):
    rng = np.random.default_rng(0)
    x, grad = (rng.normal(size=shape) * scale + offset).astype(dtype), rng.normal(size=shape).astype(dtype)
    return x, grad, *(rng.normal(size=shape[1]).astype(dtype) for _ in range(2))


@pytest.mark.parametrize("name", calls())
@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_and_gradients_in_every_layout(name, layout):
    x, grad, weight, bias = operands((5, 6, 7, 9))
    forward, backward = calls()[name]
    lay = LAYOUTS[layout]
    given = lay(x), lay(grad)
    got, expected = forward(given[0], weight, bias), normed(name, x, weight, bias)
    np.testing.assert_allclose(got, expected, rtol=3 * EPS, atol=4 * EPS * np.abs(expected).max())
    assert got.dtype == np.float32
    reference = table.function(f"{name}_norm_backward").reference
    options = {"batch": {"training": True}, "group": {"num_groups": 2}, "instance": {}}[name]
    wide = reference(*(a.astype(np.float64) for a in (grad, x)), weight=weight.astype(np.float64), **options)
    for mine, other in zip(backward(given[1], given[0], weight), wide, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=8 * EPS * np.abs(other).max())
    for out in (np.empty_like(given[0]), np.empty((9, 7, 6, 5), np.float32).T):
        assert forward(given[0], weight, bias, out=out) is out
        np.testing.assert_array_equal(out, got)
    if given[0].dtype.isnative:
        assert forward(given[0], weight, bias, out=given[0]) is given[0]
        np.testing.assert_array_equal(given[0], got)


@pytest.mark.parametrize("name", calls())
@pytest.mark.parametrize("layout", ["images, channels, pixels", "channels last"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_large_mean_costs_no_digits(name, layout, dtype):
    """A mean of 1e4 and a deviation of 1e-2."""
    x, grad, weight, bias = operands((4, 4, 300), dtype, 1e-2, 1e4)
    expected = normed(name, x, weight, bias, eps=0.0)
    got = calls()[name][0](LAYOUTS[layout](x), weight, bias, eps=0.0)
    limit = 4 * EPS if dtype == "float32" else 1e-9
    np.testing.assert_allclose(got, expected, rtol=0, atol=limit * np.abs(expected).max())
    shifted = (x - np.dtype(dtype).type(1e4)).astype(dtype)
    backward = calls()[name][1]
    for mine, near in zip(backward(grad, LAYOUTS[layout](x), weight), backward(grad, shifted, weight), strict=True):
        np.testing.assert_allclose(mine, near, rtol=0, atol=1e-5 * np.abs(near).max())


@pytest.mark.parametrize("layout", ["images, channels, pixels", "channels last"])
@pytest.mark.parametrize("name", calls())
def test_threads(name, layout, threads, same_bits):
    x, grad, weight, bias = operands((12, 16, 40, 41))
    forward, backward = calls()[name]
    x, grad = LAYOUTS[layout](x), LAYOUTS[layout](grad)
    with threads(1):
        expected = forward(x, weight, bias), *backward(grad, x, weight)
    for n in (2, 3):
        with threads(n):
            same_bits((forward(x, weight, bias), *backward(grad, x, weight)), expected, f"{n} threads")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(4, 3, 5, 6), (20, 3), (2, 3, 50)])
@pytest.mark.parametrize("layout", ["images, channels, pixels", "channels last"])
def test_batch_norm_as_pytorch(training, shape, layout):
    torch = pytest.importorskip("torch")
    x, grad, weight, bias = operands(shape)
    rng = np.random.default_rng(3)
    mean, variance = rng.normal(size=3).astype("f4"), rng.random(3).astype("f4") + np.float32(0.5)
    leaves = [torch.from_numpy(a.copy()).requires_grad_() for a in (x, weight, bias)]
    running = [torch.from_numpy(a.copy()) for a in (mean, variance)]
    y = torch.nn.functional.batch_norm(leaves[0], *running, *leaves[1:], training, 0.3, 1e-3)
    y.backward(torch.from_numpy(grad))
    ours = mean.copy(), variance.copy()
    lay = LAYOUTS[layout]
    got = fa.batch_norm(lay(x), weight, bias, *ours, training=training, momentum=0.3, eps=1e-3)
    np.testing.assert_allclose(got, y.detach().numpy(), rtol=1e-5, atol=2e-6)
    for mine, other in zip(ours, running, strict=True):
        np.testing.assert_allclose(mine, other.numpy(), rtol=3e-7)
    gradients = fa.batch_norm_backward(lay(grad), lay(x), weight, mean, variance, training=training, eps=1e-3)
    for mine, leaf in zip(gradients, leaves, strict=True):
        np.testing.assert_allclose(mine, leaf.grad.numpy(), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("groups", [1, 2, 6, None])
def test_group_and_instance_norm_as_pytorch(groups):
    torch = pytest.importorskip("torch")
    x, grad, weight, bias = operands((4, 6, 5, 7))
    leaves = [torch.from_numpy(a.copy()).requires_grad_() for a in (x, weight, bias)]
    if groups:
        y = torch.nn.functional.group_norm(leaves[0], groups, *leaves[1:])
    else:
        y = torch.nn.functional.instance_norm(leaves[0], None, None, *leaves[1:])
    y.backward(torch.from_numpy(grad))
    forward, backward = calls(groups)["group" if groups else "instance"]
    np.testing.assert_allclose(forward(x, weight, bias), y.detach().numpy(), rtol=1e-5, atol=2e-6)
    for mine, leaf in zip(backward(grad, x, weight), leaves, strict=True):
        np.testing.assert_allclose(mine, leaf.grad.numpy(), rtol=1e-4, atol=2e-5)


def test_running_statistics_of_halves_are_updated_in_float64():
    x = np.arange(8, dtype=np.float16).reshape(4, 2)
    mean, variance = np.zeros(2, np.float16), np.ones(2, np.float16)
    fa.batch_norm(x, None, None, mean, variance, training=True)
    np.testing.assert_array_equal(mean, (0.1 * x.astype(float).mean(0)).astype(np.float16))
    np.testing.assert_array_equal(variance, (0.9 + 0.1 * x.astype(float).var(0, ddof=1)).astype(np.float16))


@pytest.mark.parametrize("name", calls())
def test_halves_are_rounded_once(name, same_bits):
    x, grad, weight, bias = operands((4, 6, 11), "float16")
    wide = [a.astype(np.float32) for a in (x, grad, weight, bias)]
    forward, backward = calls()[name]
    for layout in ("images, channels, pixels", "channels last"):
        lay = LAYOUTS[layout]
        same_bits(forward(lay(x), weight, bias), forward(lay(wide[0]), *wide[2:]).astype(np.float16))
        got, expected = backward(lay(grad), lay(x), weight), backward(lay(wide[1]), lay(wide[0]), wide[2])
        same_bits(got, tuple(one.astype(np.float16) for one in expected))


@pytest.mark.parametrize("name", calls())
def test_what_is_not_finite_stays_in_its_channel(name):
    x, grad, weight, bias = operands((3, 4, 30))
    forward, backward = calls(4)[name]
    clean = forward(x, weight, bias)
    x[1, 2, 5] = np.nan
    got = forward(x, weight, bias)
    np.testing.assert_array_equal(got[:, [0, 1, 3]], clean[:, [0, 1, 3]])
    assert np.isnan(got[1, 2]).all()
    assert np.isnan(backward(grad, x, weight)[1][2])
    assert np.isfinite(backward(grad, x, weight)[1][[0, 1, 3]]).all()


@pytest.mark.parametrize("shape", [(0, 4, 3), (2, 4, 0), (2, 0, 3)])
def test_nothing(shape):
    x = np.ones(shape, np.float32)
    channels = shape[1]
    for y in (
        fa.instance_norm(x),
        fa.group_norm(x, 1),
        fa.batch_norm(x, None, None, np.ones(channels), np.ones(channels)),
    ):
        assert y.shape == shape
    for grad_x, *others in (fa.instance_norm_backward(x, x), fa.group_norm_backward(x, x, 1)):
        assert grad_x.shape == shape
        for other in others:
            np.testing.assert_array_equal(other, np.zeros(channels, np.float32))
    with pytest.raises(ValueError, match=r"more than one element for each channel in training, got 0|must have"):
        fa.batch_norm(np.ones((0, 4), np.float32), training=True)


def test_what_is_refused_writes_nothing():
    x, grad, weight, _ = operands((3, 4, 5))
    out, mean, variance = np.full_like(x, 7), np.full(4, 7.0), np.full(4, 7.0)
    locked = np.ones(4)
    locked.flags.writeable = False
    train = {"training": True, "running_mean": mean, "running_var": variance, "out": out}
    wrong = [
        (ValueError, "weight must have the shape", {"weight": np.ones(3)}),
        (ValueError, "eps must not be negative", {"eps": -1.0}),
        (TypeError, "training must be True or False", {"training": "yes"}),
        (ValueError, "momentum must be a finite number", {"momentum": np.nan}),
        (ValueError, "running_mean must have the shape", {"running_mean": np.ones(3)}),
        (TypeError, "running_var must be an array of floats", {"running_var": [1.0] * 4}),
        (TypeError, "running_mean must be an array of floats", {"running_mean": np.ones(4, int)}),
        (ValueError, "running_var is read-only", {"running_var": locked}),
        (ValueError, "running_mean is missing", {"running_mean": None}),
        (ValueError, "running_var overlaps running_mean", {"running_var": mean}),
        (ValueError, "running_mean overlaps the result", {"running_mean": out[0, :, 0]}),
        (ValueError, "out must have the shape", {"out": np.empty((3, 4))}),
        (TypeError, "same_kind", {"out": np.empty((3, 4, 5), int)}),
        (np.exceptions.AxisError, "axis 3", {"axis": 3}),
        (TypeError, "bias must not be a masked array", {"bias": np.ma.array(np.ones(4))}),
        (TypeError, "'dim', which is called 'axis' here", {"dim": 1}),
    ]
    for error, match, options in wrong:
        with pytest.raises(error, match=match):
            fa.batch_norm(x, **train | options)
    for call in (lambda: fa.batch_norm(x, out=out), lambda: fa.batch_norm_backward(grad, x, weight, out=out)):
        with pytest.raises(ValueError, match="must both be given without training"):
            call()
    with pytest.raises(ValueError, match="more than one element"):
        fa.batch_norm(x[:1, :, :1], **train | {"out": None})
    with pytest.raises(ValueError, match="grad must broadcast"):
        fa.instance_norm_backward(grad[:2], x, out=out)
    for groups, error in ((3, ValueError), (0, ValueError), (-2, ValueError), (2.0, TypeError)):
        with pytest.raises(error, match="num_groups must be"):
            fa.group_norm(x, groups, out=out)
    with pytest.raises(TypeError, match="x must be float16, float32 or float64, got complex128"):
        fa.instance_norm(x.astype(complex))
    assert (out == 7).all()
    assert (mean == 7).all()
    assert (variance == 7).all()


@pytest.mark.parametrize("place", [0, 1, 500])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_element_unlike_its_channel_costs_no_digits(place, order):
    """Distances are not taken from a single element."""
    x = np.random.default_rng(0).normal(size=(1000, 3))
    x[place] = 1e6
    wide = x.astype(np.longdouble)
    exact = (wide - wide.mean(0)) / np.sqrt(wide.var(0) + np.longdouble(1e-5))
    found = fa.batch_norm(np.asarray(x, order=order), training=True)
    np.testing.assert_allclose(found, exact.astype(float), rtol=0, atol=1e-13 * abs(exact).max())


def test_statistics_that_hold_an_element_more_than_once_are_not_updated():
    x = np.ones((4, 3), np.float32)
    for which in (0, 1):
        running = [np.zeros(3), np.ones(3)]
        running[which] = np.lib.stride_tricks.as_strided(np.ones(3), (3,), (0,))
        name = ("running_mean", "running_var")[which]
        with pytest.raises(ValueError, match=f"{name} must not hold an element more than once"):
            fa.batch_norm(x, running_mean=running[0], running_var=running[1], training=True)
        assert (running[which] == 1).all()
