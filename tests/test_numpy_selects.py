"""where, select and clip of fastact.numpy: NumPy's results, dtypes, layouts and errors."""

import itertools

import numpy
import pytest

import fastact.numpy as fnp
from fastact.functions import numpy_selects
from fastact.kernels.dtypes import DTYPES

clip, select, where = fnp.clip, fnp.select, fnp.where
RNG = numpy.random.default_rng(0)
SIZES = (5, 2000, 2047, 70_001)
SPECIAL = (numpy.nan, -numpy.nan, numpy.inf, -0.0, 6e-8)


def numbers(n, dtype):
    x = RNG.standard_normal(n).astype(dtype)
    x[: len(SPECIAL)] = numpy.array(SPECIAL[:n], dtype)
    return x


def same(got, expected):
    """Whether both are the same bits of the same type, in the same order in memory."""
    assert type(got) is type(expected)
    assert (got.dtype, got.shape, got.strides) == (expected.dtype, expected.shape, expected.strides)
    numpy.testing.assert_array_equal(got.view(f"u{got.itemsize}"), expected.view(f"u{got.itemsize}"))


def outcome(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_where(dtype, n, threads):
    x, y = numbers(n, dtype), numbers(n, dtype)
    condition = x > 0
    with threads(4):
        for pair in (
            (x, y),
            (x, 0.0),
            (0, y),
            (numpy.float32(2), y),
            (x, True),
            (x.astype(">f4"), y),
            (x, numpy.arange(n)),
        ):
            same(where(condition, *pair), numpy.where(condition, *pair))
            same(
                where(condition[::2], *(p[::2] if numpy.ndim(p) else p for p in pair)),
                numpy.where(condition, *pair)[::2].copy(),
            )
        same(where(condition[::-1], x, y[::-1]), numpy.where(condition[::-1], x, y[::-1]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_where_of_several_axes(dtype):
    x = numbers(60_000, dtype).reshape(100, 600)
    rows, columns = x[:, :1] > 0, x[0] > 0
    for condition, a, b in (
        (x > 0, x, -x),
        (numpy.repeat(rows, 30, 1), x[:, :30], 0.5),
        (columns[None].repeat(9, 0), x[:9], x[9]),
        ((x > 0).T, x.T, (-x).T),
        (numpy.asfortranarray(x > 0), numpy.asfortranarray(x), 1.0),
        ((x > 0)[:, ::2], x[:, 1::2], x[:, ::2]),
    ):
        same(where(condition, a, b), numpy.where(condition, a, b))


def test_what_is_no_float_goes_to_numpy():
    n = 3000
    condition, x = RNG.random(n) > 0.5, RNG.random(n)
    for args in (
        (condition,),
        (condition, x),
        (condition, [1.0] * n, x),
        (condition.astype(int), x, 0.0),
        (condition, numpy.arange(n), 0),
        (condition, x * 1j, x),
        (condition, x.astype("g"), x),
        (condition, 1.0, numpy.array(["a"] * n)),
        (condition, x, x[:7]),
        (condition, numpy.ma.array(x), x),
        (condition.tolist(), x, x),
        (condition, x, None),
        (condition, x, x, x),
    ):
        got, expected = outcome(where, *args), outcome(numpy.where, *args)
        assert type(got) is type(expected)
        numpy.testing.assert_array_equal(got, expected)


def test_nothing_is_reported():
    x = numpy.frombuffer(b"\x01\x7c" * 4000, "f2")  # signalling NaNs
    with numpy.errstate(all="raise"):
        assert numpy.isnan(where(x > 0, x, x)).all()
        assert numpy.isnan(select([x > 0, x > 1], [x, x], x)).all()


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_select(dtype, n, threads):
    x, y = numbers(n, dtype), numbers(n, dtype)
    above, below = x > 0.5, y < 0
    with threads(4):
        for args in (
            ([above], [x]),
            ([above, below], [x, y], -0.0),
            ([above, below], [1, 2], x),
            ([below, above, below], [x, 0.25, -x], numpy.float32(2)),
            ([above[::-1], below], [x[::-1], True], y),
            ([above, below], [x.astype(">f4"), numpy.arange(n)], y),
        ):
            same(select(*args), numpy.select(*args))
        steps = [above[::2], below[::2]], [x[::2], y[::2]]
        same(select(*steps), numpy.select(*steps))
    tall = numpy.resize(x, (50, 60)).T
    args = [tall > 0, tall < -1], [tall, 3]
    same(select(*args), numpy.select(*args))


@pytest.mark.parametrize(
    "args",
    [
        ([], []),
        ([True], [1.0, 2.0]),
        ([numpy.ones(3000, bool)], [numpy.arange(3000)]),
        ([numpy.ones(3000, bool)], [[1.5] * 3000]),
        ([numpy.ones(3000, bool)], [numpy.ones((2, 3000))]),
        ([numpy.ones(3000, bool)], [numpy.ones(7)]),
        ([numpy.ones(3000, bool), numpy.ones(4000, bool)], [numpy.ones(3000), 2.0]),
        ([numpy.ones(3000, bool), numpy.ones(3000, int)], [numpy.ones(3000), 2.0]),
        ([numpy.ones(3000, bool)], [1.5], None),
        ([numpy.ones(3000, bool)], [1.5], 1j),
        ((numpy.ones(3000, bool),), (numpy.ones(3000, "f4"),), 2.0),
        (numpy.ones((2, 3000), bool), numpy.ones((2, 3000)), 0.0),
        ([numpy.ones(3000, bool)], ["a"]),
    ],
)
def test_what_select_leaves_to_numpy(args):
    got, expected = outcome(select, *args), outcome(numpy.select, *args)
    assert type(got) is type(expected)
    numpy.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_clip(dtype, threads, monkeypatch):
    monkeypatch.setattr(numpy_selects, "CLIP_FROM", 2000)
    given = itertools.product(
        SIZES, ((-0.5, 0.5), (0, numpy.float64(0.25)), (None, 0.5), (-0.5, None), (None, None), (1, -1), (numpy.nan, 0))
    )
    for n, bounds in given:
        x = numbers(n, dtype)
        with threads(4):
            same(clip(x, *bounds), numpy.clip(x, *bounds))
            if bounds != (None, None):
                same(clip(x, min=bounds[0], max=bounds[1]), numpy.clip(x, min=bounds[0], max=bounds[1]))
            same(clip(x[::2], *bounds), numpy.clip(x[::2], *bounds))
            out = x.copy()
            got, expected = (outcome(function, x, *bounds, out=out) for function in (clip, numpy.clip))
            assert (got is out) == (expected is out)
    x = numbers(9000, dtype).reshape(90, 100)
    same(clip(x, x[0], 1.0), numpy.clip(x, x[0], 1.0))


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((0.5,), {}),
        ((0.5,), {"max": 1}),
        ((0.5, 1), {"min": 1}),
        ((0, 1), {"min": 0, "max": 1}),
        ((), {"min": 1}),
        ((0, 1), {"dtype": "f4"}),
        ((0, 1), {"dtype": "f4", "casting": "unsafe"}),
        ((0, 1), {"where": False, "out": numpy.zeros(3000)}),
        (([0.0] * 3000, 1), {}),
        ((0, 1j), {}),
        (("a", 1), {}),
        ((0, 1), {"wrong": 1}),
        ((0, 1), {"out": numpy.zeros(2)}),
        ((0, 1), {"out": "a"}),
    ],
)
def test_clip_means_what_it_means_in_numpy(args, kwargs, monkeypatch):
    monkeypatch.setattr(numpy_selects, "CLIP_FROM", 2000)
    x = numbers(3000, "f8")
    got, expected = outcome(clip, x, *args, **kwargs), outcome(numpy.clip, x, *args, **kwargs)
    assert type(got) is type(expected)
    numpy.testing.assert_array_equal(got, expected)


def test_bounds_that_have_no_common_dtype_are_numpys_business(monkeypatch):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    monkeypatch.setattr(numpy_selects, "CLIP_FROM", 2000)
    x = numbers(3000, "f8")
    for bounds in ((numpy.float16(0), numpy.array(1, ml_dtypes.bfloat16)), (numpy.array("1970", "M8[s]"), 1.0)):
        got, expected = outcome(clip, x, *bounds), outcome(numpy.clip, x, *bounds)
        assert type(got) is type(expected)
        numpy.testing.assert_array_equal(got, expected)
