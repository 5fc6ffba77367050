"""Norms of rows and their gradients: values, large means, sums over rows, layouts, threads, PyTorch's results, errors."""

import numpy as np
import pytest

import fastact as fa

NORMS = {"layer_norm": ("weight", "bias"), "rms_norm": ("weight",)}
EPS = float(np.finfo(np.float32).eps)
ADDED = 1e-5


def normed(name, x, weight=1.0, bias=0.0, eps=ADDED):
    """What a norm gives along the last axis, in float64, by moments about zero of numbers that have been centred first."""
    x = np.asarray(x, np.float64)
    if name == "layer_norm":
        x = x - np.mean(x - x[..., :1], axis=-1, keepdims=True) - x[..., :1]
    power = np.einsum("...i,...i->...", x, x)[..., None] / x.shape[-1]
    return x / np.sqrt(power + eps) * weight + bias


def operands(name, shape, dtype="float32", seed=0, offset=0.0):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=shape) + offset).astype(dtype)
    return x, [rng.normal(size=shape[-1]).astype(dtype) for _ in NORMS[name]], rng.normal(size=shape).astype(dtype)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (5, 100), (4, 1500), (2, 70_000), (300, 5), (2, 3, 64)])
def test_values(name, shape):
    x, shared, _ = operands(name, shape)
    for given in ([], shared[:1], shared):
        got = getattr(fa, name)(x, *given)
        wide = [one.astype(np.float64) for one in given]
        expected = normed(name, x, *wide)
        terms = abs(expected - (wide[1] if len(wide) > 1 else 0)) + (abs(wide[1]) if len(wide) > 1 else 0)
        assert got.dtype == np.float32
        assert np.all(abs(got - expected) <= 3 * EPS * terms + 1e-45)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_large_mean_costs_no_digits(dtype):
    """A mean of 1e4 and a deviation of 1e-2: what the elements differ by is all that counts."""
    x, _, grad = operands("layer_norm", (8, 4096), dtype)
    x = (x * 1e-2 + 1e4).astype(dtype)
    expected = normed("layer_norm", x, eps=0.0)
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(
        fa.layer_norm(x, eps=0.0), expected, rtol=4 * eps, atol=4 * eps * (dtype == "float64") * 1e6
    )
    shifted = (x - dtype_of(dtype)(1e4)).astype(dtype)  # exact: they are that close
    for got, near in zip(fa.layer_norm_backward(grad, x), fa.layer_norm_backward(grad, shifted), strict=True):
        np.testing.assert_allclose(got, near, rtol=1e-5, atol=1e-5 * abs(near).max())


def dtype_of(name):
    return np.dtype(name).type


@pytest.mark.parametrize("name", NORMS)
def test_halves_are_rounded_once(name, same_bits):
    x, shared, grad = operands(name, (6, 130), "float16")
    wide = [a.astype(np.float32) for a in (x, *shared)]
    same_bits(getattr(fa, name)(x, *shared), getattr(fa, name)(*wide).astype(np.float16))
    backward = getattr(fa, f"{name}_backward")
    expected = backward(grad.astype(np.float32), *wide[:2])
    same_bits(backward(grad, x, shared[0])[0], expected[0].astype(np.float16))
    big = np.full((4, 64), 6e4, np.float16)  # whose squares and sums are no halves
    np.testing.assert_allclose(fa.rms_norm(big), 1.0)
    np.testing.assert_array_equal(fa.layer_norm(big), 0.0)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("shape", [(3, 4), (70, 9), (33, 1500)])
def test_gradients_match_differences(name, shape):
    """In random directions of the input, the weight and the bias, of a function in float64 that is not the one tested."""
    x, shared, grad = operands(name, shape, "float64")
    rng = np.random.default_rng(5)
    got = getattr(fa, f"{name}_backward")(grad, x, shared[0])
    places = [x, *shared]
    assert [g.shape for g in got] == [p.shape for p in places]
    for i, gradient in enumerate(got):
        direction = rng.normal(size=places[i].shape)
        step, values = 1e-5, []
        for sign in (1, -1):
            moved = [p + sign * step * direction if j == i else p for j, p in enumerate(places)]
            values.append(np.sum(grad * normed(name, *moved)))
        slope = np.sum(gradient * direction)
        assert abs((values[0] - values[1]) / (2 * step) - slope) <= 1e-7 * np.sum(abs(gradient * direction))


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("axis", [1, (1,), (2, 3), (-1, 1), (0, 2), None])
def test_axes(name, axis, same_bits):
    """Several axes are those of one row, in the order in which the array has them."""
    x, _, grad = operands(name, (4, 3, 5, 6))
    axes = tuple(
        sorted(np.arange(4)[list(axis) if isinstance(axis, tuple) else slice(None) if axis is None else [axis]])
    )
    core = tuple(x.shape[k] for k in axes)
    rng = np.random.default_rng(2)
    shared = [rng.normal(size=core).astype(np.float32) for _ in NORMS[name]]
    last = range(4 - len(axes), 4)

    def rows(a):
        return np.moveaxis(a, axes, last).reshape(-1, int(np.prod(core)))

    flat = [one.reshape(-1) for one in shared]
    got = getattr(fa, name)(x, *shared, axis=axis)
    same_bits(rows(got), getattr(fa, name)(np.ascontiguousarray(rows(x)), *flat))
    backward = getattr(fa, f"{name}_backward")
    got = backward(grad, x, shared[0], axis=axis)
    expected = backward(*(np.ascontiguousarray(rows(a)) for a in (grad, x)), flat[0])
    same_bits((rows(got[0]), *(g.reshape(-1) for g in got[1:])), expected)
    assert [g.shape for g in got[1:]] == [core] * len(shared)
    for out in (np.empty_like(x), np.empty((6, 5, 3, 4), np.float32).T):
        assert backward(grad, x, shared[0], axis=axis, out=out)[0] is out
        same_bits(np.ascontiguousarray(out), np.ascontiguousarray(got[0]))
        assert getattr(fa, name)(x, *shared, axis=axis, out=out) is out
        same_bits(np.ascontiguousarray(rows(out)), getattr(fa, name)(np.ascontiguousarray(rows(x)), *flat))


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layouts_and_threads(name, dtype, threads, same_bits):
    x, shared, grad = operands(name, (403, 1100), dtype)
    forward, backward = getattr(fa, name), getattr(fa, f"{name}_backward")
    with threads(1):
        expected = forward(x, *shared), *backward(grad, x, shared[0])
    laid = {
        "columns": lambda a: np.asfortranarray(a),
        "reversed": lambda a: a[:, ::-1].copy()[:, ::-1],
        "spread": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    }
    for n in (1, 2, 3):
        with threads(n):
            same_bits((forward(x, *shared), *backward(grad, x, shared[0])), expected, f"{n} threads")
    for how, lay in laid.items():
        with threads(2):
            got = forward(lay(x), *shared), *backward(lay(grad), lay(x), shared[0])
            same_bits(tuple(map(np.ascontiguousarray, got)), expected, how)
    for i in (0, 1):
        given = [grad.copy(), x.copy()]
        assert backward(*given, shared[0], out=given[i])[0] is given[i]
        same_bits(given[i], expected[1], "in place")
    buffer = x.copy()
    assert forward(buffer, *shared, out=buffer) is buffer
    same_bits(buffer, expected[0], "in place")


def test_sums_over_rows_do_not_lose_digits():
    """Of 20,000 rows, whose sum in single floats would be wrong in the third digit."""
    x, shared, grad = operands("layer_norm", (20_000, 24))
    grad = abs(grad)
    got = fa.layer_norm_backward(grad, x, shared[0])
    hat = normed("layer_norm", x)
    wide = grad.astype(np.float64)
    assert np.all(abs(got[1] - np.sum(wide * hat, 0)) <= 2 * EPS * np.sum(abs(wide * hat), 0))
    assert np.all(abs(got[2] - np.sum(wide, 0)) <= 2 * EPS * np.sum(wide, 0))


@pytest.mark.parametrize("name", NORMS)
def test_of_a_sum(name, same_bits):
    x, shared, residual = operands(name, (12, 300))
    got = getattr(fa, f"add_{name}")(x, residual, *shared)
    total = x + residual
    same_bits(got, (getattr(fa, name)(total, *shared), total))
    given = x.copy(), residual.copy()
    results = getattr(fa, f"add_{name}")(*given, *shared, out=given)
    assert all(result is array for result, array in zip(results, given, strict=True))
    same_bits(given, got, "in place")
    row = residual[0]
    same_bits(getattr(fa, f"add_{name}")(x, row)[0], getattr(fa, f"add_{name}")(x, np.broadcast_to(row, x.shape))[0])


@pytest.mark.parametrize("name", NORMS)
def test_as_pytorch(name):
    torch = pytest.importorskip("torch")
    x, shared, grad = operands(name, (37, 200))
    leaves = [torch.from_numpy(a).requires_grad_() for a in (x, *shared)]
    y = getattr(torch.nn.functional, name)(leaves[0], (200,), *leaves[1:], eps=ADDED)
    y.backward(torch.from_numpy(grad))
    np.testing.assert_allclose(getattr(fa, name)(x, *shared), y.detach().numpy(), rtol=1e-5, atol=1e-6)
    for got, leaf in zip(getattr(fa, f"{name}_backward")(grad, x, shared[0]), leaves, strict=True):
        np.testing.assert_allclose(got, leaf.grad.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NORMS)
def test_what_is_not_finite_stays_in_its_row(name):
    x, shared, grad = operands(name, (6, 100))
    clean = getattr(fa, name)(x, *shared)
    x[1, 3], x[4, 0] = np.nan, np.inf
    got = getattr(fa, name)(x, *shared)
    np.testing.assert_array_equal(got[[0, 2, 3, 5]], clean[[0, 2, 3, 5]])
    assert np.isnan(got[1]).all()
    assert np.isnan(got[4]).all() if name == "layer_norm" else np.isnan(got[4, 0])
    gradients = getattr(fa, f"{name}_backward")(grad, x, shared[0])
    assert np.isnan(gradients[0][1]).all()
    assert np.isfinite(gradients[0][[0, 2, 3, 5]]).all()
    assert np.isnan(gradients[1]).all() or name == "rms_norm"


@pytest.mark.parametrize("name", NORMS)
def test_the_smallest_numbers(name):
    """Whose squares vanish beside eps."""
    tiny = np.float32(1e-40) * np.arange(1, 9, dtype=np.float32)[None]
    np.testing.assert_allclose(getattr(fa, name)(tiny), normed(name, tiny), rtol=1e-3, atol=3e-45)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("shape", [(0, 5), (4, 0), (0, 0), (2, 0, 3)])
def test_nothing(name, shape):
    x = np.ones(shape, np.float32)
    assert getattr(fa, name)(x).shape == shape
    grad_x, *others = getattr(fa, f"{name}_backward")(x, x)
    assert grad_x.shape == shape
    for other in others:
        np.testing.assert_array_equal(other, np.zeros(shape[-1:], np.float32))
    assert getattr(fa, f"add_{name}")(x, x)[1].shape == shape


@pytest.mark.parametrize("name", NORMS)
def test_what_is_refused(name):
    x, _, grad = operands(name, (3, 4))
    out = np.full_like(x, 7)
    calls = {
        name: lambda **given: getattr(fa, name)(x, out=out, **given),
        f"add_{name}": lambda **given: getattr(fa, f"add_{name}")(x, x, out=(out, out), **given),
        f"{name}_backward": lambda **given: getattr(fa, f"{name}_backward")(grad, x, out=out, **given),
    }
    for call in calls.values():
        with pytest.raises(ValueError, match=r"weight must have the shape \(4,\), got \(3,\)"):
            call(weight=np.ones(3))
        for eps, error in (
            (-1.0, ValueError),
            (np.nan, ValueError),
            (np.inf, ValueError),
            ("a", TypeError),
            (True, TypeError),
        ):
            with pytest.raises(error, match="eps must"):
                call(eps=eps)
        with pytest.raises(ValueError, match="axis must name at least one axis"):
            call(axis=())
        with pytest.raises(TypeError, match="weight"):
            call(weight=np.ma.array(np.ones(4)))
        with pytest.raises(TypeError, match=r"unexpected keyword argument 'dim', which is called 'axis' here"):
            call(dim=1)
    for bad in (np.empty((4, 3), np.float32), np.empty((3, 4), int)):
        with pytest.raises((ValueError, TypeError)):
            getattr(fa, name)(x, out=bad)
        with pytest.raises((ValueError, TypeError), match=r"out|cast"):
            getattr(fa, f"{name}_backward")(grad, x, out=bad)
    with pytest.raises(ValueError, match="do not broadcast"):
        getattr(fa, f"{name}_backward")(grad[:2], x)
    with pytest.raises(TypeError, match="out must be a tuple of 2"):
        getattr(fa, f"add_{name}")(x, x, out=out)
    with pytest.raises(np.exceptions.AxisError):
        getattr(fa, name)(np.float32(1))
    assert (out == 7).all()


def test_the_limits_of_squares_are_those_that_are_documented():
    """With an `eps` of 0, elements above the smallest lose nothing; of zeros `l2_normalize` has no direction to give."""
    with np.errstate(all="ignore"):
        for dtype, scale, digits in (("f4", 2e-19, 1e-6), ("f8", 2e-154, 1e-14)):
            row = np.array([1.0, 2.0, 4.0])
            x = (row * scale).astype(dtype)
            np.testing.assert_allclose(fa.rms_norm(x, eps=0), row / np.sqrt(7), rtol=digits)
            np.testing.assert_allclose(fa.layer_norm(x, eps=0), fa.layer_norm(row, eps=0), rtol=digits, atol=digits)
            np.testing.assert_allclose(fa.l2_normalize(x, eps=0), row / np.sqrt(21), rtol=digits)
        assert np.isnan(fa.l2_normalize(np.zeros(3), eps=0)).all()
        assert (fa.l2_normalize(np.zeros(3)) == 0).all()
        assert np.isnan(fa.layer_norm([1.7e308, 1.6e308, 1.5e308])).all()
    for function in (fa.rms_norm, fa.add_layer_norm, fa.layer_norm_backward, fa.batch_norm, fa.group_norm_backward):
        text = " ".join(function.__doc__.split())
        assert "Elements below 1e-19 (of float64: 1e-154)" in text
        assert "NaN where a sum of elements" in text
    for function in (fa.l2_normalize, fa.l2_normalize_backward):
        assert "below 1e-154" in function.__doc__
