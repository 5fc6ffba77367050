"""The reductions of fastact.numpy: NumPy's results, types, warnings and errors, with errors that are no larger."""

import inspect
import math
import pickle
import warnings

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastact.numpy as fnp
from fastact.functions import numpy_reductions, reduction_calls

NAMES = fnp._REDUCTIONS
DTYPES = ("float16", "float32", "float64")
ADDING, PLACES = ("sum", "mean", "var", "std"), ("argmax", "argmin")
SHAPES = {
    "one row": (1001,),
    "a long row": (2**13 + 1029,),
    "columns": (50, 90),
    "wide": (40, 1300),
    "tall": (3007, 5),
    "short rows": (1345, 7),
    "rows": (70, 150),
    "planes": (35, 33, 70),
    "a plane of columns": (3, 64, 70),
}
LAYOUTS = {
    "C": lambda x: x,
    "Fortran": numpy.asfortranarray,
    "reversed": lambda x: x[::-1],
    "every other": lambda x: numpy.repeat(x, 2, axis=0)[::2],
    "read-only": lambda x: numpy.broadcast_to(x, x.shape),
    "turned": lambda x: numpy.ascontiguousarray(x.T).T,
    "wider rows": lambda x: numpy.concatenate([x, x], axis=-1)[..., : x.shape[-1]],
    "steps within rows": lambda x: numpy.repeat(x, 2, axis=-1)[..., ::2],
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
}


SMALL = {
    reduction_calls: {"LONG": 2**13, "SEGMENT": 1024, "SIDE": 64, "WIDE": 1200, "BLOCK": 64},
    numpy_reductions: {
        "LONG": 2**13,
        "MANY_SHORT": 130,
        **dict.fromkeys(("LEAST_SUM", "LEAST_MEAN", "LEAST_BEST", "LEAST_VARIANCE", "LEAST_PLACE"), 64),
        **dict.fromkeys(("LEAST_SIDE", "LEAST_CUT", "LEAST_BETWEEN"), 64),
    },
}


@pytest.fixture
def small(monkeypatch):
    """Small arrays go the ways of large ones."""
    for module, sizes in SMALL.items():
        for name, size in sizes.items():
            monkeypatch.setattr(module, name, size)


def axes_of(shape):
    """Every axis, from either end, several, and all."""
    ndim = len(shape)
    several = [tuple(range(ndim)), ()] + ([(0, 1), (1, 2), (2, 0), (-1, -2)] if ndim == 3 else [])
    return [None, *range(-ndim, ndim), *several]


def numbers(shape, dtype, seed=0):
    return (numpy.random.default_rng(seed).standard_normal(shape) / 64 + 1).astype(dtype)


def exactly(name, x, axis):
    """The result with more digits than float64 has, where the machine has them."""
    wide = x.astype(numpy.longdouble)
    return getattr(numpy, name)(wide, axis=axis)


def outcome(function, *args, **kwargs):
    """What a call returns or raises, what it warns of, and what it reports."""
    found = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with numpy.errstate(all="call", call=lambda kind, flags: found.append(kind)):
            try:
                result = function(*args, **kwargs)
            except Exception as error:
                return type(error), str(error), [], []
    return type(result), result, [(w.category, str(w.message)) for w in caught], found


def same(ours, theirs, *args, **kwargs):
    """Both have the same outcome."""
    own, known = outcome(ours, *args, **kwargs), outcome(theirs, *args, **kwargs)
    assert own[0] is known[0]
    assert own[2:] == known[2:]
    if isinstance(own[1], str):
        assert own[1] == known[1]
    else:
        assert numpy.shape(own[1]) == numpy.shape(known[1])
        kind = complex if numpy.iscomplexobj(known[1]) else float
        numpy.testing.assert_allclose(*(numpy.asarray(r[1]).astype(kind) for r in (own, known)), rtol=1e-5)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_results_are_those_of_numpy(name, dtype, shape):
    """Comparisons give the same; errors of sums are no larger than NumPy's, or half a unit in the last place and a little more."""
    ours, theirs = getattr(fnp, name), getattr(numpy, name)
    x = numbers(shape, dtype)
    for axis in axes_of(shape):
        if name in PLACES and type(axis) is tuple:
            continue
        with numpy.errstate(over="ignore"):  # float16
            got, known = ours(x, axis=axis), theirs(x, axis=axis)
        assert type(got) is type(known), axis
        assert got.dtype == known.dtype
        assert got.shape == known.shape
        if name not in ADDING:
            assert numpy.array_equal(got, known), axis
            continue
        right = exactly(name, x, axis)
        finite = numpy.isfinite(known)
        assert (numpy.isfinite(got) >= finite).all()
        with numpy.errstate(over="ignore"):
            units = numpy.spacing(numpy.abs(right).astype(dtype)[finite]).astype(float)
        error, other = (numpy.abs(r[finite].astype(numpy.longdouble) - right[finite]) / units for r in (got, known))
        allowed = 3.0 if dtype == "float64" else 0.501
        assert (error <= numpy.maximum(other, allowed)).all(), (axis, error.max(), other.max())
        if error.size >= 30:
            assert error.mean() <= max(other.mean(), 0.7), (axis, error.mean(), other.mean())


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_axes_of_one_element(name, dtype):
    ours, theirs = getattr(fnp, name), getattr(numpy, name)
    for shape in (
        (700, 1),
        (1, 700),
        (9, 700, 1),
        (9000, 1),
        (1, 9000),
        (1, 9000, 1),
        (90, 100, 1),
        (90, 1, 100),
        (1, 90, 100),
        (1, 1, 9000),
        (9000, 1, 1),
    ):
        x = numbers(shape, dtype)
        for axis in axes_of(shape):
            if name in PLACES and type(axis) is tuple:
                continue
            with numpy.errstate(over="ignore"):  # float16
                got, known = ours(x, axis=axis), theirs(x, axis=axis)
            assert type(got) is type(known)
            assert (got.dtype, got.shape) == (known.dtype, known.shape)
            right = exactly(name, x, axis) if name in ADDING else known
            finite = numpy.isfinite(known)
            close = {"rtol": 5e-2, "atol": 1e-6} if dtype == "float16" else {"rtol": 1e-4, "atol": 1e-9}
            numpy.testing.assert_allclose(got[finite], right[finite], **close)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NAMES)
def test_layouts(name, layout):
    ours, theirs = getattr(fnp, name), getattr(numpy, name)
    for shape in ((50, 90), (36, 33, 70), (9000,)):
        x = LAYOUTS[layout](numbers(shape, "float32"))
        for axis in axes_of(shape):
            if name in PLACES and type(axis) is tuple:
                continue
            got, known = ours(x, axis=axis), theirs(x, axis=axis)
            assert type(got) is type(known)
            assert got.dtype == known.dtype
            assert got.strides == known.strides
            numpy.testing.assert_allclose(got, theirs(x.astype(float), axis=axis), rtol=1e-4, atol=1e-7)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_keepdims_and_out(name, dtype):
    """Means of float16 that NumPy writes to ``out`` it rounds in another way than those that it returns."""
    ours, theirs = getattr(fnp, name), getattr(numpy, name)
    close = {"rtol": 2e-3 if dtype == "float16" and name in ADDING else 0, "atol": 0}
    for shape in ((50, 90), (30, 23, 70)):
        x = numbers(shape, dtype)
        for axis in (None, 0, 1, -1):
            for keepdims in (False, True):
                known = theirs(x, axis=axis, keepdims=keepdims)
                got = ours(x, axis=axis, keepdims=keepdims)
                assert type(got) is type(known)
                assert got.shape == known.shape
                assert got.flags.owndata == known.flags.owndata
                out = numpy.full_like(known, 7)
                assert ours(x, axis=axis, keepdims=keepdims, out=out) is out
                numpy.testing.assert_allclose(out, got, **close)
                apart = numpy.zeros((*known.shape, 2), known.dtype)[..., 0]
                assert ours(x, axis=axis, keepdims=keepdims, out=apart) is apart
                assert numpy.array_equal(apart, out)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", NAMES)
def test_out_may_overlap_what_is_reduced(name):
    if name in PLACES:
        return
    x = numbers((80, 80), "float32")
    expected = getattr(fnp, name)(x, axis=0)
    inside = x.copy()
    assert getattr(fnp, name)(inside, axis=0, out=inside[3]).base is inside
    assert numpy.array_equal(inside[3], expected)


BIG = numbers((100, 100), "float32")
CALLS = {
    "an axis too many": ((BIG, 2), {}),
    "an axis below": ((BIG, -3), {}),
    "an axis twice": ((BIG, (0, 0)), {}),
    "an axis twice, from both ends": ((BIG, (1, -1)), {}),
    "no axis": ((BIG, "a"), {}),
    "half an axis": ((BIG, 0.5), {}),
    "a NumPy integer": ((BIG, numpy.int64(1)), {}),
    "a boolean": ((BIG, True), {}),
    "integers": ((numpy.arange(10_000).reshape(100, 100), 0), {}),
    "complex numbers": ((BIG + 1j, 0), {}),
    "booleans": ((BIG > 0, 0), {}),
    "objects": ((BIG[:3].astype(object), 0), {}),
    "longdouble": ((BIG.astype(numpy.longdouble), 0), {}),
    "a list": (([[1.0, 2.0], [3.0, 5.0]], 0), {}),
    "a number": ((3.0,), {}),
    "no dimension": ((numpy.array(3.0),), {}),
    "no dimension, axis 0": ((numpy.array(3.0), 0), {}),
    "nothing": ((numpy.zeros(0, numpy.float32),), {}),
    "no columns": ((numpy.zeros((5, 0)), 0), {}),
    "no rows": ((numpy.zeros((0, 5)), 0), {}),
    "many empty rows": ((numpy.zeros((5000, 0)), 1), {}),
    "out of another shape": ((BIG, 0), {"out": numpy.zeros(7, numpy.float32)}),
    "out of another dtype": ((BIG, 0), {"out": numpy.zeros(100)}),
    "out of integers": ((BIG, 0), {"out": numpy.zeros(100, numpy.int8)}),
    "out that is no array": ((BIG, 0), {"out": [1]}),
    "keepdims of 1": ((BIG, 0), {"keepdims": 1}),
    "another argument": ((BIG, 0), {"wrong": 1}),
    "text": ((numpy.array(["a", "b"]),), {}),
}
OTHERS = {
    "where": ({"where": BIG > 0, "initial": 0.0}, ("sum", "max", "min")),
    "where alone": ({"where": BIG > 0}, ("sum", "mean", "var", "std", "max")),
    "where nothing": ({"where": BIG > 9}, ("sum", "mean", "var", "std")),
    "initial": ({"initial": 5.0}, ("sum", "max", "min")),
    "dtype": ({"dtype": numpy.float64}, ADDING),
    "a narrower dtype": ({"dtype": "float16"}, ADDING),
    "ddof": ({"ddof": 1}, ("var", "std")),
    "half a ddof": ({"ddof": 0.5}, ("var", "std")),
    "all ddof": ({"ddof": 10_000, "axis": None}, ("var", "std")),
    "more ddof": ({"ddof": 101, "axis": 0}, ("var", "std")),
    "correction": ({"correction": 1}, ("var", "std")),
    "correction and ddof": ({"correction": 1, "ddof": 1}, ("var", "std")),
    "a mean": ({"mean": BIG.mean(axis=0, keepdims=True)}, ("var", "std")),
}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("case", CALLS)
@pytest.mark.parametrize("name", NAMES)
def test_other_arguments_are_numpys_business(name, case):
    args, kwargs = CALLS[case]
    same(getattr(fnp, name), getattr(numpy, name), *args, **kwargs)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("case", "name"), [(case, name) for case, (_, names) in OTHERS.items() for name in names])
def test_other_ways_to_reduce(case, name):
    kwargs = {"axis": 0} | OTHERS[case][0]
    same(getattr(fnp, name), getattr(numpy, name), BIG, **kwargs)


@pytest.mark.usefixtures("small")
def test_out_that_cannot_be_written_to():
    out = numpy.zeros(100, numpy.float32)
    out.flags.writeable = False
    for name in NAMES:
        same(getattr(fnp, name), getattr(numpy, name), BIG, 0, out=out)


HUGE = {"float16": 6e4, "float32": 3e38, "float64": 1.7e308}
INSERTED = {
    "NaN": (numpy.nan,),
    "infinity": (numpy.inf,),
    "minus infinity": (-numpy.inf,),
    "both infinities": (numpy.inf, -numpy.inf),
    "an infinity and NaN": (numpy.inf, numpy.nan),
}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("shape", [(1000,), (2**13 + 5,), (50, 90), (2000, 6)])
@pytest.mark.parametrize("case", INSERTED)
@pytest.mark.parametrize("name", NAMES)
def test_special_values_and_what_is_reported(name, case, shape):
    """What a row holds decides; of an infinity before NaN NumPy's order decides what is reported."""
    for dtype in DTYPES[1:]:
        x = numbers(shape, dtype)
        places = [x.size // 3 + i * x.shape[-1] if x.ndim > 1 else x.size // 3 + i for i in range(2)]
        for place, number in zip(places, INSERTED[case], strict=False):
            x.flat[place] = number
        for axis in (None, 0, -1):
            own, known = (outcome(getattr(module, name), x, axis) for module in (fnp, numpy))
            assert own[0] is known[0]
            assert own[2] == known[2]
            if case != "an infinity and NaN":
                assert {*own[3]} == {*known[3]}, (dtype, axis)
            odd = ~numpy.isfinite(known[1])
            assert numpy.array_equal(numpy.asarray(own[1])[odd], numpy.asarray(known[1])[odd], equal_nan=True)
            numpy.testing.assert_allclose(own[1], known[1], rtol=1e-3, atol=1e-6)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1000,), (50, 90), (2000, 6)])
def test_an_overflow_is_reported(shape, dtype):
    x = numpy.full(shape, HUGE[dtype], dtype)
    for axis in (None, 0, -1):
        got, expected = (outcome(module.sum, x, axis) for module in (fnp, numpy))
        assert numpy.array_equal(got[1], expected[1])
        assert got[3] == expected[3] != []
    with pytest.warns(RuntimeWarning, match="overflow encountered in reduce"):
        fnp.sum(x)
    with numpy.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        fnp.sum(x, axis=0)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("zeros", [(0.0,), (-0.0,), (0.0, -0.0), (1.5, -1.5)])
def test_signs_of_zeros(zeros, dtype):
    for shape in ((1000,), (2**13 + 6,), (64, 90), (90, 64), (2000, 6)):
        x = numpy.resize(numpy.array(zeros, dtype), shape)
        for axis in (None, 0, -1):
            for name in ("sum", "mean"):
                got, known = getattr(fnp, name)(x, axis=axis), getattr(numpy, name)(x, axis=axis)
                assert numpy.array_equal(got == 0, known == 0)
                assert numpy.array_equal(numpy.signbit(got), numpy.signbit(known)), (name, shape, axis)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("dtype", DTYPES)
def test_subnormal_numbers_are_added(dtype):
    least = numpy.finfo(dtype).smallest_subnormal
    for shape in ((1000,), (100, 80)):
        x = numpy.full(shape, least)
        assert fnp.sum(x) == least.astype(float) * x.size
        assert fnp.max(x) == fnp.mean(x) == least
        assert numpy.array_equal(fnp.sum(x, axis=0), numpy.full(x.shape[1:], least * numpy.array(x.shape[0], dtype)))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(100,), (2**13 + 77,), (70, 80), (6, 3000), (3000, 6)])
def test_variance_of_what_has_a_large_mean(shape, dtype):
    """Also where the mean's own rounding is larger than the deviation."""
    rng = numpy.random.default_rng(3)
    for level, deviation in ((1e4, 1e-2), (1e6, 1.0), (-3e7, 3.0)):
        x = (level + deviation * rng.standard_normal(shape)).astype(dtype)
        right = numpy.var(x.astype(numpy.longdouble), axis=-1)
        numpy.testing.assert_allclose(fnp.var(x, axis=-1).astype(float), right.astype(float), rtol=1e-6)
        numpy.testing.assert_allclose(fnp.std(x, axis=-1).astype(float) ** 2, right.astype(float), rtol=1e-6)
    assert not fnp.var(numpy.full(shape, 0.1, dtype)).any()


@pytest.mark.usefixtures("small")
def test_float16_is_rounded_once():
    x = numpy.full((300, 300), 0.1, "float16")
    assert fnp.sum(x[0], axis=0) == numpy.float16(300 * float(x[0, 0]))
    assert fnp.sum(x, axis=1)[5] == numpy.float16(300 * float(x[0, 0]))
    assert fnp.mean(x) == x[0, 0]
    assert fnp.sum(x) == numpy.float16(90_000 * float(x[0, 0]))
    y = (numpy.arange(90_000).reshape(300, 300) % 512).astype("float16")  # whose squares are beyond its range
    assert fnp.var(y) == numpy.float16(numpy.var(y.astype(float)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e30, 1e30), min_size=3, max_size=200),
    st.integers(4096, 9000),
    st.sampled_from(["float32", "float64"]),
    st.integers(0, 10),
)
def test_sums_are_at_least_as_precise_as_numpys(values, length, dtype, seed):
    """Whatever cancels: errors are NumPy's at most, or a rounding of the result, or 2**-51 of what is added."""
    x = numpy.resize(numpy.array(values, dtype), length)
    numpy.random.default_rng(seed).shuffle(x)
    right = math.fsum(x.tolist())
    known = abs(float(numpy.sum(x)) - right)
    unit = float(numpy.spacing(numpy.array(abs(right), dtype)))
    within = 2.0**-51 * float(numpy.abs(x.astype(float)).sum())  # of 22 additions, one after the other, of a chunk
    assert abs(float(fnp.sum(x)) - right) <= max(known, unit, within)


@pytest.mark.parametrize("shape", [(40_000, 70), (40_000, 3), (700_000,), (3_000_000,), (3, 90_000, 64)])
@pytest.mark.parametrize("name", ["sum", "mean"])
def test_what_additions_round_away_is_kept(name, shape):
    """Small numbers beside a large one, whose last place they do not reach: as many of them as make many last places."""
    x = numpy.full(shape, 1 / 3)
    axis = max(0, x.ndim - 2)
    number = 0 if x.ndim == 1 else (*[0] * axis, 0)
    x[number] = 2.0**56
    n = shape[axis]
    right = math.fsum([2.0**56, *[1 / 3] * (n - 1)]) / (n if name == "mean" else 1)
    got = getattr(fnp, name)(x, axis=axis)
    numpy.testing.assert_allclose(numpy.ravel(got)[0], right, rtol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_bits_do_not_depend_on_the_number_of_threads(name, dtype, threads):
    for shape in ((2**20 + 70_003,), (1200, 900), (220_000, 5)):
        x = numbers(shape, dtype, 1) / (64 if dtype == "float16" else 1)
        for axis in (None, 0, -1):
            with threads(1):
                expected = getattr(fnp, name)(x, axis=axis)
            for number in (2, 5):
                with threads(number):
                    assert numpy.array_equal(getattr(fnp, name)(x, axis=axis), expected), (shape, axis)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("shape", [(100, 90), (16, 600), (600, 70), (3, 60, 90)])
@pytest.mark.parametrize("name", PLACES)
def test_the_first_of_equal_elements_and_of_nans(name, shape):
    rng = numpy.random.default_rng(4)
    for dtype in DTYPES:
        x = rng.integers(0, 5, shape).astype(dtype)
        x[rng.random(shape) < 3e-3] = numpy.nan
        x[..., 5] = 0.0
        x[..., ::2, 5] = -0.0
        for axis in range(x.ndim):
            got, known = getattr(fnp, name)(x, axis=axis), getattr(numpy, name)(x, axis=axis)
            assert numpy.array_equal(got, known)
            assert got.dtype == known.dtype


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", PLACES)
def test_places_lie_in_order(name):
    for turned in (numpy.asfortranarray(numbers((64, 80, 4), "f4")), numbers((90, 70, 80), "f4").transpose(2, 1, 0)):
        for axis in (0, 1, 2):
            for keepdims in (False, True):
                got, known = (getattr(module, name)(turned, axis=axis, keepdims=keepdims) for module in (fnp, numpy))
                assert got.flags.c_contiguous
                assert got.flags.owndata
                assert numpy.array_equal(got, known)


def test_kernels_compute_what_is_large(monkeypatch):
    """In pieces or not: results are more precise than NumPy's."""
    x = numpy.full((40_000, 70), 0.1, "float32")
    assert abs(fnp.sum(x, axis=0)[0] - 4000) < 1e-3 < abs(numpy.sum(x, axis=0)[0] - 4000)
    assert len(numpy.unique(fnp.sum(x, axis=0))) == 1
    called = []
    real = reduction_calls._pieces
    monkeypatch.setattr(reduction_calls, "_pieces", lambda *args: called.append(args) or real(*args))
    fnp.sum(numpy.ones(2**20))
    fnp.mean(numpy.ones((30_000, 5)), axis=0)
    assert len(called) == 2
    fnp.sum(numpy.ones(2**20 - 1))
    assert len(called) == 2


class Subclass(numpy.ndarray):
    """One of NumPy's arrays by another name."""


class Overloaded:
    """A container that overloads NumPy's functions, and knows two arguments."""

    def __array_function__(self, function, types, args, kwargs):
        assert {*kwargs} <= {"axis", "keepdims"}
        return function.__name__, len(args), kwargs


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", NAMES)
def test_containers_are_handed_on(name):
    ours, theirs = getattr(fnp, name), getattr(numpy, name)
    x = numbers((100, 100), "float32")
    view = x.view(Subclass)
    got, known = ours(view, axis=0), theirs(view, axis=0)
    assert type(got) is type(known) is Subclass
    masked = numpy.ma.masked_greater(x, 1.01)
    got, known = ours(masked, axis=1), theirs(masked, axis=1)
    assert type(got) is type(known)
    assert numpy.array_equal(numpy.ma.getdata(got), numpy.ma.getdata(known))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = numpy.asmatrix(x)
    assert ours(matrix, axis=0).shape == theirs(matrix, axis=0).shape == (1, 100)
    assert ours(Overloaded(), axis=0) == (theirs.__name__, 1, {"axis": 0})
    assert ours(Overloaded(), keepdims=True) == (theirs.__name__, 1, {"keepdims": True})
    assert ours(Overloaded()) == (theirs.__name__, 1, {})


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", NAMES)
def test_dask_arrays_stay_lazy(name):
    array = pytest.importorskip("dask.array")
    x = numbers((100, 100), "float64")
    got = getattr(fnp, name)(array.from_array(x, chunks=40), axis=0)
    assert isinstance(got, array.Array)
    numpy.testing.assert_allclose(got.compute(), getattr(numpy, name)(x, axis=0), rtol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_signatures_are_numpys(name):
    own, known = (inspect.signature(getattr(module, name)) for module in (fnp, numpy))
    assert [(p.name, p.kind, p.default) for p in own.parameters.values()] == [
        (p.name, p.kind, p.default) for p in known.parameters.values()
    ]
    assert pickle.loads(pickle.dumps(getattr(fnp, name))) is getattr(fnp, name)
