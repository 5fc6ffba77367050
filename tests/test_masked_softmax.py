"""The softmax family where some elements take no part: `where`, `causal` and `scale`, and `logsumexp`'s `b`."""

import mpmath
import numpy as np
import pytest

import fastact as fa
from fastact import table
from tests.containers import in_dask, in_pandas, in_xarray

FUNCTIONS = ("softmax", "softmin", "log_softmax", "logsumexp")
NOTHING = {"softmax": 0.0, "softmin": 0.0, "log_softmax": -np.inf, "logsumexp": -np.inf}
"""Results of what takes no part, and of rows without any element that does."""
KINDS = {
    "random": lambda rng, shape: 4 * rng.normal(size=shape),
    "shifted": lambda rng, shape: 4 * rng.normal(size=shape) + 1e4,
    "peaked": lambda rng, shape: 2 * rng.normal(size=shape) + 80 * (rng.random(shape) < 0.02),
    "near-uniform": lambda rng, shape: 1 + 1e-3 * rng.normal(size=shape),
    "wide": lambda rng, shape: rng.uniform(-90, 90, size=shape),
    "large": lambda rng, shape: 2.0**19 + rng.integers(-60, 60, shape),
}
SCALES = (1.0, 0.125, -1.0, 0.37109375, -1.7021484375, 3.3, 1 / 3, 17.7, 1e-3)
"""Powers of two, numbers whose products with float64 have no more bits than a longdouble, and others, for float32."""
SHAPES = [(4, 7), (3, 64), (3, 100), (2, 1000), (2, 2500)]


def masks(rng, shape):
    keep = rng.random(shape) < 0.6
    keep[..., 0] = True
    return keep


def exact(name, x, keep, scale):
    """The function of the elements that take part, row by row, and what its errors are measured by, in extended precision."""
    results, units = np.empty(x.shape, np.longdouble), np.empty(x.shape, np.longdouble)
    for row, kept, result, unit in zip(x, keep, results, units, strict=True):
        z = row[kept].astype(np.longdouble) * np.longdouble(-scale if name == "softmin" else scale)
        largest = z.max()
        e = np.exp(z - largest)
        others = np.sum(e[z != largest]) + (np.sum(z == largest) - 1)
        if name == "logsumexp":
            result[...] = largest + np.log1p(others)
            unit[...] = max(1, abs(result[0]), abs(z).max())
            continue
        result[...] = unit[...] = 0
        result[kept] = (z - largest) - np.log1p(others) if name == "log_softmax" else e / np.sum(e)
        unit[kept] = abs(result[kept])
    return (results[:, 0], units[:, 0]) if name == "logsumexp" else (results, units)


def promised(name, dtype):
    record = table.function(name)
    return {"float16": 1.1, "float32": record.ulp, "float64": record.double_ulp}[dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_values(name, kind, dtype):
    """As precise as without a mask, and with a scale as precise as if the product were exact."""
    rng, worst = np.random.default_rng(0), {}
    info = np.finfo(dtype)
    for shape in SHAPES:
        for scale in SCALES if dtype == "float32" else SCALES[:5]:
            x = np.clip(KINDS[kind](rng, shape), -float(info.max) / 4, float(info.max) / 4).astype(dtype)
            keep = masks(rng, shape)
            expected, unit = exact(name, x, keep, scale)
            got = getattr(fa, name)(x, where=keep, scale=scale)
            assert got.dtype == x.dtype
            if name != "logsumexp":
                assert (got[~keep] == NOTHING[name]).all()
                got = np.where(keep, got, x.dtype.type(0))
            smallest = float(info.smallest_subnormal)
            spacing = np.maximum(np.spacing(unit.astype(dtype)).astype(np.longdouble), smallest)
            with np.errstate(over="ignore"):
                same = got == expected.astype(dtype)  # infinite halves
            error = np.where(same, 0, abs(got.astype(np.longdouble) - expected) / spacing)
            worst[shape, scale] = float(error.max())
    assert max(worst.values()) <= promised(name, dtype), max(worst.items(), key=lambda item: item[1])


def test_rounding_the_product_would_cost_more():
    """The scaled function is nearer to the truth than that of products that are rounded once."""
    rng = np.random.default_rng(0)
    x, keep = (100 * rng.normal(size=(4, 50))).astype(np.float32), np.ones((4, 50), bool)
    expected, unit = exact("softmax", x, keep, 0.3)
    spacing = np.maximum(np.spacing(unit.astype(np.float32)), np.finfo(np.float32).smallest_subnormal)
    ours, rounded = fa.softmax(x, scale=0.3), fa.softmax(np.float32(0.3) * x)
    assert np.max(abs(ours - expected) / spacing) <= promised("softmax", "float32")
    assert np.max(abs(rounded - expected) / spacing) > 5 * promised("softmax", "float32")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_mask_leaves_the_function_of_the_rest(name):
    """Whatever the masked elements hold; and a mask of all changes nothing, not even where all is -inf."""
    function, rng = getattr(fa, name), np.random.default_rng(0)
    for length in (5, 64, 70, 1100):
        x, keep = rng.normal(size=(6, length)).astype(np.float32), masks(rng, (6, length))
        keep[3] = False
        for garbage in (np.nan, np.inf, -np.inf, 3e38):
            got = function(np.where(keep, x, np.float32(garbage)), where=keep)
            for i in range(6):
                row = got[i] if name == "logsumexp" else got[i][keep[i]]
                np.testing.assert_allclose(row, function(x[i][keep[i]]), rtol=3e-6, atol=1e-6)
                if name != "logsumexp":
                    assert (got[i][~keep[i]] == NOTHING[name]).all()
            assert np.all(got[3] == NOTHING[name])
    specials = [[1, 2, 3], [-np.inf] * 3, [np.inf, 1, 2], [-np.inf, 1, 2], [np.nan, 1, 2], [np.inf] * 3, [np.nan] * 3]
    x = np.float32(specials)
    for keep in (np.ones(3, bool), np.ones((7, 1), bool), [[True, True, True]]):
        np.testing.assert_allclose(function(x, where=keep), function(x), rtol=1e-6)
    wider = np.c_[x, np.full((7, 2), 9, np.float32)]
    got = function(wider, where=[True, True, True, False, False])
    if name == "logsumexp":
        np.testing.assert_allclose(got, function(x), rtol=1e-6)
    else:
        np.testing.assert_allclose(got[:, :3], function(x), rtol=1e-6)
        assert (got[:, 3:] == NOTHING[name]).all(), "also beside NaN"


def test_defaults_given_are_the_plain_call(same_bits):
    x = np.random.default_rng(0).normal(size=(4, 100)).astype(np.float32)
    for name in FUNCTIONS:
        function = getattr(fa, name)
        same_bits(function(x, where=True, scale=1, causal=False), function(x))
        same_bits(function(x, scale=np.float64(1.0)), function(x))
    for backward in (fa.softmax_backward, fa.log_softmax_backward):
        same_bits(backward(x, x, scale=1), backward(x, x))


def lower(queries, keys):
    return np.arange(keys) <= np.arange(queries)[:, None] + (keys - queries)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (3, 8), (8, 3), (1, 70), (70, 70), (2, 0), (0, 3), (65, 1100)])
def test_causal(name, queries, keys, threads, same_bits):
    """As with the mask as an array, for keys along the last axis and others; the last query takes all keys."""
    function, rng = getattr(fa, name), np.random.default_rng(0)
    x = rng.normal(size=(2, 3, queries, keys)).astype(np.float32)
    before = lower(queries, keys)
    got = function(x, causal=True, scale=0.7)
    np.testing.assert_allclose(got, function(x, where=before, scale=0.7), rtol=1e-6, atol=1e-7)
    if name != "logsumexp":
        assert (np.broadcast_to(before, x.shape) | (got == NOTHING[name])).all()
    keep = rng.random((2, 1, queries, keys)) < 0.5
    both = function(x, causal=True, where=keep)
    np.testing.assert_allclose(both, function(x, where=before & keep), rtol=1e-6, atol=1e-7)
    keys_first = np.ascontiguousarray(x.transpose(3, 0, 2, 1))
    again = function(keys_first, axis=0, causal=True, scale=0.7)
    same_bits(again.transpose((0, 2, 1) if name == "logsumexp" else (1, 3, 2, 0)), got)
    with threads(2):
        same_bits(function(x, causal=True, scale=0.7), got)


def test_causal_takes_no_memory_of_a_mask():
    import tracemalloc

    x, out = np.zeros((1000, 1000), np.float32), np.empty((1000, 1000), np.float32)
    fa.softmax(x, causal=True, out=out)
    tracemalloc.start()
    try:
        fa.softmax(x, causal=True, out=out)
        assert tracemalloc.get_traced_memory()[1] < 50_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_threads_and_places(name, threads, same_bits):
    """The bits depend neither on the number of threads, nor on the layout, nor on where results go."""
    function, rng = getattr(fa, name), np.random.default_rng(0)
    for shape in ((4000, 64), (300, 1100), (3, 200_000)):
        x, keep = rng.normal(size=shape).astype(np.float32), rng.random(shape) < 0.7
        with threads(1):
            expected = function(x, where=keep, scale=0.3)
        for n in (2, 3):
            with threads(n):
                same_bits(function(x, where=keep, scale=0.3), expected)
        columns = np.asfortranarray(x), np.asfortranarray(keep)
        same_bits(function(columns[0], where=columns[1], scale=0.3), expected)
        same_bits(function(x, where=np.repeat(keep, 2, 1)[:, ::2], scale=0.3), expected)
        same_bits(function(np.repeat(x, 2, 1)[:, ::2], where=keep, scale=0.3), expected)
        if name != "logsumexp":
            copy = x.copy()
            assert function(copy, where=keep, scale=0.3, out=copy) is copy
            same_bits(copy, expected)
            assert function(columns[0], where=keep).flags.f_contiguous


@pytest.mark.parametrize("name", FUNCTIONS)
def test_masks_broadcast_as_numpys(name, same_bits):
    function, rng = getattr(fa, name), np.random.default_rng(0)
    x = rng.normal(size=(3, 4, 5))
    for shape in ((5,), (4, 1), (3, 1, 5), (1, 1, 1), ()):
        keep = rng.random(shape) < 0.6
        full = np.broadcast_to(keep, x.shape).copy()
        for axis in (-1, 0, 1, None, (0, 2), (2, 1)):
            same_bits(function(x, axis, where=keep), function(x, axis, where=full))
            same_bits(function(x, axis, where=keep.tolist()), function(x, axis, where=full))
    flat = function(x.reshape(-1), where=full.reshape(-1))
    np.testing.assert_array_equal(np.ravel(function(x, None, where=full)), np.ravel(flat))
    assert np.shape(function(2.0, where=True, scale=3.0)) == ()
    assert function(np.float32(2.0), where=np.False_) == NOTHING[name]
    assert function([[1, 2], [3, 4]], where=[True, False]).dtype == np.float64
    if name == "logsumexp":
        assert function(x, (0, 2), keepdims=True, where=full).shape == (1, 4, 1)
    assert function(np.zeros((0, 3)), where=[True, False, True]).shape == function(np.zeros((0, 3))).shape


WRONG = {
    "a mask of another shape": (
        {"where": np.ones((2, 4), bool)},
        ValueError,
        r"where must broadcast to the shape \(2, 3\)",
    ),
    "a mask of more axes": ({"where": np.ones((2, 2, 3), bool)}, ValueError, "where must broadcast"),
    "a mask of integers": ({"where": [1, 0, 1]}, TypeError, "where must hold booleans, got int64"),
    "an infinite scale": ({"scale": np.inf}, ValueError, "scale must be a finite number, got inf"),
    "no number": ({"scale": np.nan}, ValueError, "scale must be a finite number, got nan"),
    "a boolean scale": ({"scale": True}, TypeError, "scale must be a finite number, got True"),
    "a scale for each": ({"scale": np.ones(3)}, TypeError, "scale must be a finite number"),
    "a scale too large": ({"scale": 1e300}, ValueError, r"scale must be a finite number of float32.*got 1e\+300"),
    "causal in words": ({"causal": "yes"}, TypeError, "causal must be True or False, got 'yes'"),
    "queries as keys": ({"causal": True, "axis": 0}, ValueError, "causal takes queries along axis -2"),
    "queries and keys": ({"causal": True, "axis": (0, 1)}, ValueError, "causal takes queries along axis -2"),
    "all as keys": ({"causal": True, "axis": None}, ValueError, "causal takes queries along axis -2"),
    "an axis too many": ({"where": True, "scale": 2.0, "axis": 2}, np.exceptions.AxisError, "out of bounds"),
    "a wrong out": ({"scale": 2.0, "out": np.empty((3, 3), "f4")}, ValueError, "out must have the shape"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("case", WRONG)
def test_errors_name_the_argument_and_write_nothing(name, case):
    options, error, message = WRONG[case]
    out = np.full((2,) if name == "logsumexp" else (2, 3), 7, np.float32)
    with pytest.raises(error, match=message):
        getattr(fa, name)(np.zeros((2, 3), np.float32), **{"out": out, **options})
    assert (out == 7).all()


def test_one_axis_has_no_queries():
    with pytest.raises(ValueError, match="got 1 axes"):
        fa.softmax(np.zeros(3), causal=True)
    with pytest.raises(TypeError, match="x must be float16, float32 or float64, got complex128"):
        fa.softmax(np.zeros(3, complex), scale=2.0)
    for backward in (fa.softmax_backward, fa.log_softmax_backward):
        with pytest.raises(ValueError, match="scale must be a finite number"):
            backward(np.zeros(3), np.zeros(3), scale=np.inf)
        with pytest.raises(ValueError, match="scale must be a finite number of float32"):
            backward(np.zeros(3, "f4"), np.zeros(3, "f4"), scale=1e300)


def test_no_warnings():
    x = np.float32([[np.inf, -np.inf, 1], [np.nan, 3e38, -3e38], [-np.inf] * 3, [1e-45, 0, -1e-45]])
    with np.errstate(all="raise"):
        for scale in (1.0, 0.3, -3.0, 0.0, 1e38, 1e-38):
            for keep in (True, x > 0, False, [True, False, True]):
                for name in FUNCTIONS:
                    getattr(fa, name)(x, where=keep, scale=scale)
                fa.logsumexp(x, where=keep, scale=scale, b=[1.0, -1.0, np.inf], return_sign=True)


def test_scales_at_their_ends():
    x = np.float32([[1.0, 2.0, 4.0]])
    np.testing.assert_array_equal(fa.softmax(x, scale=0.0), np.full((1, 3), 1 / 3, "f4"))
    np.testing.assert_allclose(fa.logsumexp(x, scale=0), np.log(3), rtol=1e-6)
    np.testing.assert_allclose(fa.softmax(x, scale=1e-42), 1 / 3, rtol=1e-6)
    np.testing.assert_array_equal(fa.softmax(x, scale=1e30), [[0, 0, 1]])
    np.testing.assert_array_equal(fa.softmin(x, scale=1e30), [[1, 0, 0]])
    np.testing.assert_array_equal(fa.softmax(np.float32([3e38, 1]), scale=10.0), [np.nan] * 2)
    np.testing.assert_array_equal(fa.softmax(np.float32([-3e38, 1]), scale=10.0), [0, 1])
    np.testing.assert_array_equal(fa.softmax(np.float16([6e4, 5e4]), scale=10.0), [1, 0])  # computed in float32
    np.testing.assert_array_equal(fa.log_softmax(np.float32([-np.inf, 1]), scale=0.3), [-np.inf, 0])
    np.testing.assert_array_equal(fa.softmax(np.float32([np.inf, 1]), scale=-0.3), [0, 1])
    scale, x = 1 + 5.5e-8, np.repeat(np.float32([0, -13]), [1, 10**6])  # a float32 of it would be 1
    np.testing.assert_allclose(fa.softmax(x, scale=scale)[0], 1 / (1 + 1e6 * np.exp(-13 * scale)), rtol=2.5e-7)


def differences(function, x, grad):
    found = np.empty_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-6
        with np.errstate(invalid="ignore"):
            change = grad * (function(x + step) - function(x - step))
        found[i] = np.nansum(change) / 2e-6
    return found


@pytest.mark.parametrize("options", [{}, {"scale": -0.7}, {"scale": 2.0}], ids=str)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_gradients(name, options):
    """What takes no part has gradient 0; its `grad`, on which no finite loss depends, is 0 for log_softmax."""
    rng = np.random.default_rng(0)
    function, backward = getattr(fa, name), getattr(fa, f"{name}_backward")
    x, grad, keep = rng.normal(size=(4, 6)), rng.normal(size=(4, 6)), rng.random((4, 6)) < 0.6
    keep[1] = False
    output = function(x, where=keep, **options)
    if name == "log_softmax":
        assert (backward(grad, output, **options)[~keep] == 0).all()
        grad = np.where(keep, grad, 0)
    got = backward(grad, output, **options)
    expected = differences(lambda x: function(x, where=keep, **options), x, grad)
    np.testing.assert_allclose(got, expected, atol=1e-8)
    assert (got[~keep] == 0).all()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_against_pytorch(name):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, grad = (rng.normal(size=(2, 3, 8, 8)).astype(np.float32) for _ in range(2))
    for options, keep in (({"causal": True}, lower(8, 8)), ({}, rng.random((2, 1, 1, 8)) < 0.8)):
        mask = {} if options else {"where": keep}
        tensor = torch.tensor(x, requires_grad=True)
        hidden = torch.tensor(np.broadcast_to(~keep, x.shape).copy())
        result = getattr(torch, name)((tensor * 0.35).masked_fill(hidden, -torch.inf), -1)
        result.masked_fill(hidden, 0.0).backward(torch.tensor(grad))
        got = getattr(fa, name)(x, scale=0.35, **options, **mask)
        np.testing.assert_allclose(got, result.detach().numpy(), rtol=1e-5, atol=1e-6)
        given = np.where(hidden.numpy(), np.float32(0), grad)
        back = getattr(fa, f"{name}_backward")(given, got, scale=0.35)
        np.testing.assert_allclose(back, tensor.grad.numpy(), rtol=1e-4, atol=1e-6)


# The weights of logsumexp.


def weighted(x, b, scale=1.0):
    """The logarithm of the magnitude of the sum, and its sign, in 60 digits."""
    with mpmath.workdps(60):
        pairs = zip(x.tolist(), b.tolist(), strict=True)
        total = mpmath.fsum(mpmath.mpf(w) * mpmath.exp(mpmath.mpf(v) * mpmath.mpf(scale)) for v, w in pairs)
        return (float(mpmath.log(abs(total))) if total else -np.inf), float(mpmath.sign(total))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weighted_values(dtype):
    rng = np.random.default_rng(0)
    for length in (1, 3, 64, 300, 1500):
        for scale in (1.0, -0.37):
            x, b = (4 * rng.normal(size=(3, length))).astype(dtype), rng.normal(size=(3, length)).astype(dtype)
            got, signs = fa.logsumexp(x, b=b, scale=scale, return_sign=True)
            assert got.dtype == signs.dtype == x.dtype
            for i in range(3):
                expected, sign = weighted(x[i], b[i], scale)
                largest = np.maximum(1, np.maximum(abs(expected), abs(scale * x[i]).max()))
                lost = np.sum(abs(b[i]) * np.exp(scale * x[i] - expected)) * 4 * 2.0**-53
                assert abs(got[i] - expected) <= lost + promised("logsumexp", dtype) * np.spacing(largest.astype(dtype))
                assert signs[i] == sign


def test_terms_that_cancel():
    """Of float32 they are computed in float64."""
    x, b = np.float32([10, 10 + 2**-14, 3]), np.float32([1, -1, 1e-3])
    expected, sign = weighted(x, b)
    got, signs = fa.logsumexp(x, b=b, return_sign=True)
    assert abs(got - expected) <= 1e-6
    assert signs == sign == -1
    assert np.isnan(fa.logsumexp(x, b=b))


def test_weights_as_in_scipy():
    special = pytest.importorskip("scipy.special")
    rng = np.random.default_rng(0)
    inf, nan = np.inf, np.nan
    x = np.array([[1, 2, 3], [inf, 1, 2], [inf, inf, 1], [-inf, -inf, -inf], [nan, 1, 2], [nan, inf, 1], [-inf, 1, 1]])
    for b in ([1, 1, 1], [0, 1, 1], [1, -1, 0], [-1, -1, -1], [0, 0, 0], [1, 1, -1], 2.0):
        for return_sign in (True, False):
            counted = np.where(np.equal(b, 0), -inf, x)  # as SciPy means it, but not where the rest is infinite
            with np.errstate(all="ignore"):
                expected = special.logsumexp(counted, axis=-1, b=np.asarray(b, float), return_sign=return_sign)
            got = fa.logsumexp(x, b=b, return_sign=return_sign)
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12, err_msg=str(b))
    x, b = rng.normal(size=(3, 1, 5)), rng.normal(size=(4, 1))
    for axis in (0, 1, 2, -1, None, (0, 2)):
        for keepdims in (False, True):
            options = {"axis": axis, "keepdims": keepdims, "return_sign": True, "b": b}
            for g, e in zip(fa.logsumexp(x, **options), special.logsumexp(x, **options), strict=True):
                assert np.shape(g) == np.shape(e)
                np.testing.assert_allclose(g, e, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_infinite_weights(dtype):
    """They count however small an exponential is, but that of minus infinity, which is 0."""
    inf = np.inf
    for x, b, expected, sign in (
        ([0, 1000], inf, inf, 1),
        ([0, 1000], [-inf, 1], inf, -1),
        ([1000, 0, 1], [1, inf, inf], inf, 1),
        ([0, 1000], [inf, -inf], np.nan, np.nan),
        ([-inf, 0], [inf, 1], np.nan, np.nan),
        ([np.nan, 0], [inf, 1], np.nan, np.nan),
    ):
        got = fa.logsumexp(np.array(x, dtype), b=np.array(b, dtype), return_sign=True)
        np.testing.assert_array_equal(got, (expected, sign))


def test_signs_masks_and_outs_of_weights():
    x, keep = np.random.default_rng(0).normal(size=(5, 9)), np.random.default_rng(1).random((5, 9)) < 0.5
    keep[2] = False
    got, signs = fa.logsumexp(x, return_sign=True, where=keep)
    np.testing.assert_allclose(got, fa.logsumexp(x, where=keep), rtol=1e-14)
    assert signs.tolist() == [1, 1, 0, 1, 1]
    np.testing.assert_allclose(fa.logsumexp(x, b=keep.astype(float)), got, rtol=1e-14)
    garbage = np.where(keep, 1.0, np.nan)
    np.testing.assert_array_equal(fa.logsumexp(x, b=garbage, where=keep), got)
    out = np.empty(5)
    assert fa.logsumexp(x, b=-1.0, out=out) is out
    assert np.isnan(out).all()
    assert fa.logsumexp(x, b=-1.0, return_sign=True, out=out)[0] is out
    np.testing.assert_allclose(out, fa.logsumexp(x), rtol=1e-14)
    assert fa.logsumexp(x.astype("f4"), b=2).dtype == np.float32
    assert fa.logsumexp(x.astype("f4"), b=np.float64(2)).dtype == np.float64
    with pytest.raises(ValueError, match=r"x of shape \(5, 9\) and b of shape \(4,\) do not broadcast"):
        fa.logsumexp(x, b=np.ones(4))
    with pytest.raises(TypeError, match="return_sign must be True or False"):
        fa.logsumexp(x, return_sign="yes")


# Containers: `where` is an operand like others.


def test_masked_arrays():
    """What is masked takes no part, be it in the array or in the mask, and stays masked if it is in the array."""
    rng = np.random.default_rng(0)
    x, keep, hidden = rng.normal(size=(4, 6)), rng.random((4, 6)) < 0.7, rng.random((4, 6)) < 0.3
    hidden[1] = True
    expected = fa.softmax(x, where=keep & ~hidden)
    for where in (keep, np.ma.array(keep, mask=rng.random((4, 6)) < 0)):
        got = fa.softmax(np.ma.array(np.where(hidden, np.nan, x), mask=hidden), where=where)
        np.testing.assert_array_equal(got.mask, hidden)
        np.testing.assert_array_equal(got.filled(0), np.where(hidden, 0, expected))
    np.testing.assert_array_equal(fa.softmax(x, where=np.ma.array(keep, mask=hidden)), expected)
    total = fa.logsumexp(np.ma.array(x, mask=hidden), where=keep)
    np.testing.assert_array_equal(total.mask, hidden.all(-1))
    triangle = fa.softmax(np.ma.array(x, mask=hidden), causal=True)
    np.testing.assert_array_equal(triangle.filled(0), np.where(hidden, 0, fa.softmax(x, where=~hidden, causal=True)))


def test_other_containers():
    """Results are put back like `x`, not like the mask, and causal blocks of dask count queries from the first."""
    rng = np.random.default_rng(0)
    x, keep = rng.normal(size=(6, 10)).astype(np.float32), rng.random((6, 10)) < 0.7
    expected = fa.softmax(x, where=keep, scale=0.3, causal=True)
    options = {"scale": 0.3, "causal": True}
    for wrap in (in_pandas, in_xarray, in_dask):
        for where, wanted in (
            (keep, expected),
            (wrap(keep), expected),
            (keep[:1], fa.softmax(x, where=keep[:1], **options)),
        ):
            got = fa.softmax(wrap(x), where=where, **options)
            assert type(got) is type(wrap(x))
            np.testing.assert_allclose(np.asarray(got), wanted, rtol=2e-6, atol=1e-7)
    assert type(fa.softmax(x, where=in_pandas(keep))) is np.ndarray
    lazy = fa.logsumexp(in_dask(x), b=in_dask(x), return_sign=True, causal=True)
    for got, wanted in zip(lazy, fa.logsumexp(x, b=x, return_sign=True, causal=True), strict=True):
        np.testing.assert_allclose(got.compute(scheduler="synchronous"), wanted, rtol=2e-6)
    with pytest.raises(ValueError, match="where must broadcast"):
        fa.softmax(in_dask(x), where=np.ones((2, 10), bool))
