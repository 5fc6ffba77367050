"""`fastact.special`: SciPy's names, defaults and special values; against SciPy where it is installed, else against what it gave."""

import inspect
import pickle

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

import fastact as fa
from fastact import special
from tests.ulp import units

NAN, INF = float("nan"), float("inf")
OF_ONE = ("entr", "erf", "erfc", "expit", "expm1", "log1p", "log_expit", "log_ndtr", "logit", "ndtr")
OF_TWO = ("huber", "kl_div", "pseudo_huber", "rel_entr", "xlog1py", "xlogy")
OVER_ROWS = ("log_softmax", "logsumexp", "softmax")
EDGES = (-INF, -1.0, -0.0, 0.0, 0.25, 1.0, 2.0, INF, NAN)

OF_ONE_AT_EDGES = {
    "entr": (-INF, -INF, 0.0, 0.0, 0.34657359027997264, 0.0, -1.3862943611198906, -INF, NAN),
    "erfc": (
        2.0,
        1.8427007929497148,
        1.0,
        1.0,
        0.7236736098317631,
        0.15729920705028513,
        0.004677734981047266,
        0.0,
        NAN,
    ),
    "log_ndtr": (
        *(-INF, -1.8410216450092634, -0.6931471805599453, -0.6931471805599453, -0.5129840754094305),
        *(-0.1727537790234499, -0.023012909328963486, 0.0, NAN),
    ),
    "logit": (NAN, NAN, -INF, -INF, -1.0986122886681098, INF, NAN, NAN, NAN),
    "ndtr": (0.0, 0.15865525393145705, 0.5, 0.5, 0.5987063256829237, 0.8413447460685429, 0.9772498680518208, 1.0, NAN),
}
"""What SciPy gives at ``EDGES``."""

OF_TWO_AT_EDGES = {
    "huber": {
        (-1.0, NAN): INF,
        (-INF, 1.0): INF,
        (0.0, 2.0): 0.0,
        (0.0, INF): NAN,
        (INF, INF): INF,
        (INF, 2.0): 2.0,
        (1.0, -INF): INF,
        (1.0, NAN): NAN,
        (NAN, 1.0): NAN,
    },
    "kl_div": {
        (0.0, 0.0): 0.0,
        (0.0, 2.0): 2.0,
        (0.0, INF): INF,
        (0.0, -1.0): INF,
        (-1.0, 1.0): INF,
        (1.0, 0.0): INF,
        (1.0, INF): NAN,
        (INF, 1.0): NAN,
        (INF, INF): NAN,
        (NAN, -1.0): NAN,
        (-1.0, NAN): NAN,
        (1.0, 1.0): 0.0,
    },
    "pseudo_huber": {
        (-1.0, NAN): INF,
        (0.0, NAN): 0.0,
        (NAN, 0.0): 0.0,
        (0.0, INF): 0.0,
        (1.0, INF): INF,
        (INF, 1.0): NAN,
        (INF, 0.0): 0.0,
        (1.0, NAN): NAN,
        (NAN, 1.0): NAN,
        (1.0, 1.0): 0.41421356237309503,
    },
    "rel_entr": {
        (0.0, 0.0): 0.0,
        (0.0, INF): 0.0,
        (0.0, -1.0): INF,
        (-1.0, 1.0): INF,
        (1.0, 0.0): INF,
        (1.0, -1.0): INF,
        (1.0, INF): -INF,
        (INF, 1.0): INF,
        (INF, INF): NAN,
        (NAN, -1.0): NAN,
        (-1.0, NAN): NAN,
        (1.0, 1.0): 0.0,
    },
    "xlog1py": {
        (0.0, -2.0): 0.0,
        (0.0, INF): 0.0,
        (0.0, NAN): NAN,
        (1.0, -1.0): -INF,
        (1.0, -2.0): NAN,
        (INF, 0.0): NAN,
        (NAN, 1.0): NAN,
        (1.0, INF): INF,
    },
    "xlogy": {
        (0.0, -2.0): 0.0,
        (0.0, 0.0): 0.0,
        (0.0, INF): 0.0,
        (0.0, NAN): NAN,
        (1.0, 0.0): -INF,
        (-1.0, 0.0): INF,
        (1.0, -1.0): NAN,
        (INF, 1.0): NAN,
        (INF, 2.0): INF,
        (NAN, 1.0): NAN,
    },
}
"""What SciPy gives where one of the operands is at an edge."""

WEIGHTED = [
    ([1, 2], [1, -1], 1.5413248546129181, -1.0),
    ([1, 2], [0, 0], -INF, 0.0),
    ([1, 1], [1, -1], -INF, 0.0),
    ([1, INF], [1, 0], 1.0, 1.0),
    ([1, NAN], [1, 0], 1.0, 1.0),
    ([1, 2], [0, -1], 2.0, -1.0),
    (1.0, [1, 2], 2.09861228866811, 1.0),
    ([INF, INF], [1, -1], NAN, NAN),
    ([INF, 1], [-1, 1], INF, -1.0),
    ([-INF, -INF], [1, 2], -INF, 0.0),
    ([-INF, 0], [-1, 1], 0.0, 1.0),
    ([[1.0], [2.0]], [1, 2, 3.0], 4.105021156746278, 1.0),
]
"""Operands of logsumexp, its weights, and what SciPy gives: the logarithm and the sign."""


@pytest.fixture(scope="module")
def scipys():
    return pytest.importorskip("scipy.special")


def same(got, expected, dtype="float64", message=""):
    rtol = 4 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(np.asarray(got, float), np.asarray(expected, float), rtol=rtol, atol=0, err_msg=message)


def test_nothing_is_missing_and_all_is_told():
    assert sorted(special.__all__) == sorted((*OF_ONE, *OF_TWO, *OVER_ROWS))
    assert set(special.__all__) <= set(dir(special))
    for name in (*OF_ONE, *OF_TWO):
        function = getattr(special, name)
        assert isinstance(function, np.ufunc)
        assert function.nin == 1 + (name in OF_TWO)
        assert function.__name__ == name
        assert f"special.{name}(" in function.__doc__ or f"fa.{name}(" in function.__doc__
        assert pickle.loads(pickle.dumps(function)) is function
    assert special.erfc is fa.erfc
    assert special.huber.__module__ == "fastact.special"


def test_a_name_that_is_not_there_says_what_is():
    with pytest.raises(AttributeError, match=r"'fastact\.special' has no attribute 'gammaln'; .*expit.*logsumexp"):
        special.gammaln  # noqa: B018 - that is the test
    with pytest.raises(AttributeError) as raised:
        special._private  # noqa: B018
    assert "expit" not in str(raised.value)


@pytest.mark.parametrize("name", OVER_ROWS)
def test_signatures_are_scipys(name, scipys):
    ours, theirs = (inspect.signature(getattr(module, name)).parameters.values() for module in (special, scipys))
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]


@pytest.mark.parametrize("name", OF_ONE_AT_EDGES)
def test_edges_of_one_operand(name, dtype):
    if dtype != "float16":
        same(getattr(special, name)(np.array(EDGES, dtype)), OF_ONE_AT_EDGES[name], dtype)


@pytest.mark.parametrize("name", OF_TWO_AT_EDGES)
def test_edges_of_two_operands(name, dtype):
    if dtype != "float16":
        x, y = np.array(list(OF_TWO_AT_EDGES[name]), dtype).T
        for size in (1, 40):
            got = getattr(special, name)(np.repeat(x, size), np.repeat(y, size))
            same(got, np.repeat(list(OF_TWO_AT_EDGES[name].values()), size), dtype, f"{x} and {y}")


@pytest.mark.parametrize("name", [*OF_ONE, *OF_TWO])
def test_scipy_agrees_at_edges(name, dtype, scipys):
    if dtype == "float16":
        return
    edges = np.array(EDGES, dtype)
    operands = [edges] if name in OF_ONE else np.meshgrid(edges, edges, indexing="ij")
    with np.errstate(all="ignore"):
        same(getattr(special, name)(*operands), getattr(scipys, name)(*operands), dtype)


@pytest.mark.parametrize("name", [*OF_ONE, *OF_TWO])
def test_scipy_agrees_elsewhere(name, scipys):
    rng = np.random.default_rng(0)
    x, y = rng.random(2000), rng.exponential(size=2000)
    operands = [np.concatenate([x, y, -y])] if name in OF_ONE else [x, y]
    with np.errstate(all="ignore"):
        expected = getattr(scipys, name)(*operands)
    # kl_div of SciPy cancels where the two are near each other.
    np.testing.assert_allclose(getattr(special, name)(*operands), expected, rtol=1e-12, atol=1e-14 * (name == "kl_div"))


def _kl_div(x, y):
    return x * mp.log(x / y) - x + y


def _pseudo_huber(delta, r):
    return r**2 / (mp.sqrt(1 + (r / delta) ** 2) + 1)


EXACT = {
    "huber": lambda delta, r: r**2 / 2 if abs(r) <= delta else delta * (abs(r) - delta / 2),
    "kl_div": _kl_div,
    "pseudo_huber": _pseudo_huber,
    "rel_entr": lambda x, y: x * mp.log(x / y),
    "xlog1py": lambda x, y: x * mp.log1p(y),
    "xlogy": lambda x, y: x * mp.log(y),
}


def pairs(dtype, count):
    """Positive pairs: of all sizes, near each other, a few units apart, at the ratios where formulas change, subnormal."""
    rng = np.random.default_rng(4)
    info = np.finfo(dtype)
    y = (2.0 ** rng.uniform(info.minexp - info.nmant + 2, info.maxexp - 1, count)).astype(dtype)
    sizes = (2.0 ** rng.uniform(info.minexp - info.nmant + 2, info.maxexp - 1, count)).astype(dtype)
    unit = (2.0 ** rng.uniform(-20, 20, count)).astype(dtype)
    near = unit * (1 + rng.choice([-1, 1], count) * 2.0 ** rng.uniform(-info.nmant, 0, count)).astype(dtype)
    beside = unit + rng.integers(-9, 10, count) * np.spacing(unit)
    ratios = unit * (rng.choice([0.5, 0.75, 1.5, 2.0], count) * (1 + rng.normal(size=count) * 1e-4)).astype(dtype)
    halves = y * rng.uniform(0.4, 2.5, count).astype(dtype)
    x = np.concatenate([sizes, near, beside, ratios, halves]).astype(dtype)
    y = np.concatenate([y, unit, unit, unit, y])
    usable = (x > 0) & (y > 0) & np.isfinite(x) & np.isfinite(y)
    return x[usable], y[usable]


@pytest.mark.parametrize("name", OF_TWO)
def test_two_operands_keep_the_promised_error(name, dtype):
    """Over pairs of all sizes, and near the zeros of what cancels."""
    if dtype == "float16":
        return
    x, y = pairs(dtype, 200)
    got = getattr(special, name)(x, y)
    largest = float(np.finfo(dtype).max)
    with mp.workdps(100):
        for a, b, result in zip(x, y, got, strict=True):
            exact = EXACT[name](mpf(float(a)), mpf(float(b)))
            if abs(exact) >= largest:
                assert abs(result) >= 0.99 * largest
                continue
            unit = np.spacing(np.asarray(abs(float(exact)), dtype))
            error = abs(mpf(float(result)) - exact) / mpf(float(unit))
            assert error <= 2, f"{name}({a!r}, {b!r}) is {result!r}, not {mpmath.nstr(exact, 20)}: {float(error)} ULP"


def test_tails_are_precise():
    """Where a formula that rounds its argument, or takes the logarithm of what it gives, has lost everything."""
    for x in (8.0, 20.0, 26.5):
        assert units(special.erfc(np.array([x])), np.array([float(mp.erfc(x))]), float(mp.erfc(x)), "float64") <= 2
    assert special.erfc(np.float32(10.05)) > 0
    for x in (-1e3, -40.0, -5.0):
        with mp.workdps(40):
            exact = float(mp.log(mp.erfc(-mpf(x) / mp.sqrt(2)) / 2))
        np.testing.assert_allclose(special.log_ndtr(x), exact, rtol=5e-16)
        np.testing.assert_allclose(special.log_ndtr(np.float32(x)), exact, rtol=3e-7)
    assert special.log_ndtr(np.float32(-1e19)) == np.float32(-5e37)
    assert special.log_ndtr(38.0) == pytest.approx(-2.885428360e-316, rel=1e-7)
    near = 0.5 + 2.0**-40
    assert special.logit(near) == 2.0**-38
    assert special.logit(5e-324) == pytest.approx(-744.4400719213812, rel=1e-15)
    assert special.kl_div(1 + 2.0**-50, 1.0) == pytest.approx(2.0**-101, rel=1e-14)


@pytest.mark.parametrize(("a", "b", "value", "sign"), WEIGHTED, ids=str)
def test_weighted_sums_are_scipys(a, b, value, sign):
    same(special.logsumexp(a, b=b, return_sign=True), (value, sign))
    same(special.logsumexp(a, b=b), NAN if sign < 0 else value)


def test_the_whole_array_is_the_default():
    x = np.arange(6.0).reshape(2, 3)
    total = float(np.log(np.exp(x).sum()))
    same(special.logsumexp(x), total)
    same(special.logsumexp(x, 0), np.log(np.exp(x).sum(0)))
    same(special.logsumexp(x, (0, 1), keepdims=True), [[total]])
    same(special.softmax(x), np.exp(x) / np.exp(x).sum())
    same(special.softmax(x, axis=0), np.exp(x) / np.exp(x).sum(0))
    same(special.log_softmax(x), x - total)
    same(special.log_softmax(x, axis=1), x - np.log(np.exp(x).sum(1, keepdims=True)))
    value, sign = special.logsumexp(x, axis=1, b=[[1.0], [-1.0]], keepdims=True, return_sign=True)
    same(value, np.log(np.exp(x).sum(1, keepdims=True)))
    same(sign, [[1.0], [-1.0]])


def test_of_nothing_is_what_scipy_says():
    assert special.logsumexp([]) == -INF
    assert special.logsumexp([], b=[]) == -INF
    assert (special.logsumexp(np.zeros((0, 3)), axis=0) == -INF).all()
    for function in (special.softmax, special.log_softmax):
        with pytest.raises(ValueError, match="zero-size array"):
            function([])
        with pytest.raises(ValueError, match="zero-size array"):
            function(np.zeros((0, 3)), axis=0)
        assert function(np.zeros((0, 3)), axis=1).shape == (0, 3)


def test_infinities_over_rows():
    assert special.logsumexp([-INF, -INF]) == -INF
    assert special.logsumexp([INF, 1]) == INF
    for function in (special.softmax, special.log_softmax):
        assert np.isnan(function([-INF, -INF])).all()
    same(special.softmax([-INF, 0.0]), [0.0, 1.0])
    same(special.log_softmax([-INF, 0.0]), [-INF, 0.0])


def test_dtypes_are_scipys():
    single, double = np.float32([1, 2]), np.float64([1, 2])
    for function in (special.softmax, special.log_softmax, special.logsumexp):
        for x in (np.float16([1, 2]), single, double):
            assert function(x).dtype == x.dtype
    for a, b, dtype in ((single, double, "f8"), (single, 2, "f4"), (single, 2.5, "f4"), (double, single, "f8")):
        assert special.logsumexp(a, b=b).dtype == dtype
    for integers in (np.int8([1, 2]), np.array([True, False]), [1, 2]):
        assert special.logsumexp(integers).dtype == np.float64
        assert special.logsumexp(integers, b=integers).dtype == np.float64


@pytest.mark.parametrize("name", OVER_ROWS)
def test_complex_numbers_are_refused_by_name(name):
    for x in ([1j, 2], np.complex64([1, 2]), 1j):
        with pytest.raises(TypeError, match=rf"fastact\.special\.{name} takes real numbers"):
            getattr(special, name)(x)
    if name == "logsumexp":
        with pytest.raises(TypeError, match="takes real numbers"):
            special.logsumexp([1.0, 2.0], b=[1j, 2])


def test_without_scipy_and_without_a_compiler_until_called(python):
    """The module needs no SciPy, and to import it, or to look at a function, compiles nothing."""
    code = (
        "import sys\n"
        "sys.modules['scipy'] = None\n"
        "import fastact.special as special\n"
        "heavy = {'numba', 'llvmlite'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "for name in special.__all__: getattr(special, name)\n"
        "assert 'numba' not in sys.modules\n"
        "from fastact.special import *\n"
        "print(float(xlogy(2.0, 1.0)), float(logsumexp([[0.0, 0.0], [0.0, 0.0]], b=0.25)))\n"
        "assert not [name for name in sys.modules if name.startswith('scipy.')]\n"
    )
    assert python(code) == "0.0 0.0"
