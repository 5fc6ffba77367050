"""fastact.numpy and accelerate: NumPy's names, results, dtypes, exceptions and errors, computed here."""

import copy
import ctypes
import itertools
import pickle
import sys
import threading

import numpy
import pytest

import fastact as fa
import fastact.numpy as fnp
from fastact import acceleration
from fastact.functions.elementwise import OPS
from fastact.functions.shared import SHARED, numpy_is_wide
from fastact.runtime import standins
from fastact.table import stand_ins

NAMES = [name for name in fnp.replaced if isinstance(getattr(numpy, name), numpy.ufunc)]
UNARY = [name for name in NAMES if getattr(numpy, name).nin == 1]
BINARY = [name for name in NAMES if getattr(numpy, name).nin == 2]
OURS = {op.stands_in.name: op.name for op in OPS.values() if op.stands_in}
"""Our functions by the names of NumPy's that they stand in for."""
WIDE = {op.stands_in.name for op in OPS.values() if op.stands_in and op.stands_in.wide} if numpy_is_wide() else set()
"""Functions of NumPy's whose own loop of float64 is shared out."""
SPURIOUS = {("exp", 1e-45), ("cos", 1e-45)}
"""NumPy reports an underflow, of a square on the way, though the result is 1."""
SPURIOUS_KINDS = {"logaddexp": {"underflow", "invalid value"}, "logaddexp2": {"underflow", "invalid value"}}
"""Of the exponential of a difference, though the result is the larger operand; and of comparing with NaN, which is the result."""
UNREPORTED = {"arctan", "expm1", "log1p", "sinh"} if numpy_is_wide() else set()
"""Functions of which NumPy's loops for vectors of 512 bits report no underflow of a subnormal number that is nearly its value."""
SPECIAL = {
    "float16": (100, -100, 6e4, 0, -0.0, -1, -2, 6e-8, 2.03e-5, numpy.nan, numpy.inf, -numpy.inf),
    "float32": (1e4, -1e4, 88.8, -104, 0, -0.0, -1, -2, 1e-45, numpy.nan, numpy.inf, -numpy.inf),
    "float64": (1e4, -1e4, 709.9, -745.2, 0, -0.0, -1, -2, 5e-324, numpy.nan, numpy.inf, -numpy.inf),
}


@pytest.fixture
def reported():
    """A function that calls another and returns its result, and which exceptions were reported."""

    def call(function, *args, **kwargs):
        found = []
        with numpy.errstate(all="call", call=lambda kind, flags: found.append(kind)):
            result = function(*args, **kwargs)
        return result, found

    return call


@pytest.fixture
def accelerated():
    with fa.accelerate() as active:
        yield active


def pattern(results):
    """What does not depend on the last digit."""
    return numpy.where(numpy.isfinite(results), numpy.sign(results), results)


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("name", UNARY)
def test_exceptions_are_those_of_numpy(name, kind, reported):
    ours, theirs = getattr(fnp, name), getattr(numpy, name)
    for n in (1, 7, 64, 1000, 3000):
        for number in SPECIAL[kind]:
            for place in {0, n // 2, n - 1}:
                x = numpy.full(n, 0.5, kind)
                x[place] = number
                (got, own), (expected, known) = reported(ours, x), reported(theirs, x)
                known = [] if (name, number) in SPURIOUS else known
                if name in UNREPORTED and (number == 1e-45 or (number == 5e-324 and name == "expm1")):
                    known = ["underflow"]
                assert own == known, (n, number, place)
                numpy.testing.assert_array_equal(pattern(got), pattern(expected))
                inside = x.copy()
                assert reported(ours, inside, out=inside)[1] == known, (n, number, place, "in place")
                apart = numpy.zeros(2 * n, kind)[::2]
                assert reported(ours, numpy.repeat(x, 2)[::2], out=apart)[1] == known, (n, number, place, "strided")


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("name", BINARY)
def test_exceptions_of_pairs_are_those_of_numpy(name, kind, reported):
    ours, theirs, spurious = getattr(fnp, name), getattr(numpy, name), SPURIOUS_KINDS.get(name, set())
    for n, pair in itertools.product((1, 70, 1300), itertools.product((*SPECIAL[kind], 2, 0.5), repeat=2)):
        operands = [numpy.full(n, 1.5, kind) for _ in pair]
        for x, number in zip(operands, pair, strict=True):
            x[n // 2] = number
        (got, own), (expected, known) = reported(ours, *operands), reported(theirs, *operands)
        numpy.testing.assert_array_equal(pattern(got), pattern(expected), err_msg=str(pair))
        assert set(own) <= set(known), (n, pair)
        if not (numpy_is_wide() and name == "power" and pair in ((0, -numpy.inf), (-0.0, -numpy.inf))):
            assert set(known) - set(own) <= spurious, (n, pair)
        apart = numpy.zeros(2 * n, kind)[::2]
        assert reported(ours, *operands, out=apart)[1] == own, (n, pair, "strided")
        again = [x.copy() for x in operands]
        ends = reported(ours, *operands, out=operands[0])
        if kind == "float64" and name in WIDE:  # NumPy's own power has other last digits, and exceptions, in place
            got, own = reported(theirs, *again, out=again[0])
        assert ends[1] == own, (n, pair, "in place")
        numpy.testing.assert_array_equal(operands[0], got)


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("name", BINARY)
def test_reductions_and_shifted_views_are_computed_in_order(name, kind):
    ours, theirs = getattr(fnp, name), getattr(numpy, name)
    x = numpy.linspace(0.5, 1.5, 300).astype(kind)
    for method in ("reduce", "accumulate"):
        numpy.testing.assert_array_equal(getattr(ours, method)(x), getattr(theirs, method)(x))
    with numpy.errstate(over="ignore"):
        numpy.testing.assert_array_equal(ours.reduceat(x, [0, 7, 9, 250]), theirs.reduceat(x, [0, 7, 9, 250]))
    numpy.testing.assert_allclose(
        ours.outer(x[:9], x), theirs.outer(x[:9], x), rtol=2e-3 if kind == "float16" else 1e-6
    )
    expected = ours(x[1:], x[1:])
    shifted = x.copy()
    got = ours(shifted[1:], shifted[1:], out=shifted[:-1])
    numpy.testing.assert_allclose(got, expected, rtol=3e-16 if kind == "float64" and name in WIDE else 0)
    counted = numpy.zeros(3, kind)
    ours.at(counted, [0, 0, 2], numpy.ones(3, kind))
    numpy.testing.assert_array_equal(counted[1], 0)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_large_reductions_are_those_of_numpy(name, threads):
    x = numpy.random.default_rng(0).standard_normal(2_000_000)
    with threads(4):
        for method in ("reduce", "accumulate"):
            got, expected = (getattr(getattr(module, name), method)(x) for module in (fnp, numpy))
            numpy.testing.assert_array_equal(got, expected)


def test_exact_powers_of_2_underflow_where_those_of_numpy_do(reported):
    for x in (numpy.float32(-130), numpy.float64(-1060)):
        assert reported(fnp.exp2, x) == reported(numpy.exp2, x)
        assert reported(fnp.exp2, x - x.dtype.type(0.5))[1] == ["underflow"]


def test_several_exceptions_of_one_call_are_all_reported(reported, threads):
    base, exponent = numpy.full(1000, 1.5), numpy.full(1000, 0.5)
    for place, pair in {3: (1e300, 2.0), 400: (0.0, -1.0), 700: (-1.0, 0.5), 999: (1e-300, 2.0)}.items():
        base[place], exponent[place] = pair
    known = reported(numpy.power, base, exponent)[1]
    assert len(known) == 4
    with threads(1):
        assert reported(fnp.power, base, exponent)[1] == known


CAUSES = {
    "tanh": (numpy.inf,),
    "exp": (1e4,),
    "expm1": (1e4,),
    "hypot": (1.7e308, 1.7e308),
    "power": (-2.0, 0.5),
    "square": (1e300,),
    "reciprocal": (0.0,),
}
"""Operands that are reported."""
SILENT = {"maximum", "minimum", "logaddexp", "logaddexp2"}
"""Functions that report nothing, or not what NumPy does."""


@pytest.mark.parametrize("name", sorted(set(NAMES) - SILENT))
def test_exceptions_in_any_chunk_reach_the_caller(name, reported, threads):
    ours, theirs = getattr(fnp, name), getattr(numpy, name)
    operands = [numpy.full(200_000, 0.5) for _ in range(ours.nin)]
    for place in (0, 1000, 99_000, 150_000, 199_999):
        for x, number in zip(operands, CAUSES.get(name, (-2.0,)), strict=True):
            x[place] = number
        with threads(4):
            assert reported(ours, *operands)[1] == reported(theirs, *operands)[1], place
        for x in operands:
            x[place] = 0.5
        with threads(4):
            assert not reported(ours, *operands)[1]


HALVES = {
    "square": (6e4,),
    "reciprocal": (6e-8,),
    "sqrt": (-1.0,),
    "expm1": (2.03e-5,),
    "log1p": (2.03e-5,),
    "exp": (-16.0,),
    "sinh": (100.0,),
    "power": (100.0, -2.5),
    "hypot": (6e4, 6e4),
}
"""Operands of float16 that are reported, most of them by what NumPy says of the rounding of its results."""


@pytest.mark.parametrize("name", HALVES)
def test_exceptions_of_halves_in_any_chunk_reach_the_caller(name, reported, threads):
    """Which NumPy does not raise where vector code does."""
    ours, theirs = getattr(fnp, name), getattr(numpy, name)
    operands = [numpy.full(300_000, 0.5, "f2") for _ in HALVES[name]]
    known = []
    for place in (0, 70_001, 150_000, 299_990, 299_999):
        for x, number in zip(operands, HALVES[name], strict=True):
            x[place] = number
        known = reported(theirs, *operands)[1]
        with threads(4):
            for _ in range(5):
                assert reported(ours, *operands)[1] == known, place
        for x in operands:
            x[place] = 0.5
        with threads(4):
            assert not reported(ours, *operands)[1]
    assert known


def test_exceptions_of_all_inner_loops_of_a_call_are_reported(reported):
    x = numpy.full((4, 300), 0.5)
    x[0, 7], x[2, 3] = 0, -1
    out = numpy.empty((4, 600))[:, ::2]
    assert reported(fnp.log, x, out=out)[1] == reported(numpy.log, x, out=out)[1] == ["divide by zero", "invalid value"]


def test_exceptions_of_conversions_are_kept(reported):
    x = numpy.full(100_000, 1e300)
    kwargs = {"dtype": "f4", "casting": "same_kind"}
    assert reported(fnp.log, x, **kwargs)[1] == reported(numpy.log, x, **kwargs)[1] == ["overflow"]


def test_errstate_can_raise():
    with numpy.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide by zero encountered in log"):
        fnp.log(0.0)
    with pytest.warns(RuntimeWarning, match="overflow encountered in exp"):
        fnp.exp(1e4)


@pytest.mark.parametrize("name", NAMES)
def test_results_are_as_accurate_as_ours_and_of_numpys_dtypes(name):
    ours, theirs = getattr(fnp, name), getattr(numpy, name)
    assert type(ours) is numpy.ufunc
    assert ours is not theirs
    assert (ours.types, ours.nin, ours.nout, ours.identity) == (theirs.types, theirs.nin, theirs.nout, theirs.identity)
    assert (ours.__name__, ours.__doc__) == (theirs.__name__, theirs.__doc__)
    x = numpy.linspace(0.1, 3, 1001)
    for kind in ("f2", "f4", "f8"):
        a = [x.astype(kind)] * ours.nin
        known = theirs if name in SHARED or (kind == "f8" and name in WIDE) else getattr(fa, OURS[name])
        assert ours(*a).tobytes() == known(*a).tobytes()
    numbers = [True, numpy.int8(1), numpy.uint16(2), 3, 0.5, numpy.longdouble(0.5), [0.5, 1], numpy.float32(2)]
    for number in [*numbers, *[0.5j] * ("D->D" in theirs.types)]:
        got, expected = (outcome(ufunc, *[number] * ours.nin) for ufunc in (ours, theirs))
        if isinstance(expected, tuple):
            assert got == expected
            continue
        assert type(got) is type(expected)
        assert got.dtype == expected.dtype
        numpy.testing.assert_allclose(got, expected, rtol=2e-3 if got.dtype == "f2" else 1e-6)
    given = {"where": x > 1, "out": numpy.zeros_like(x)}
    got = ours(*[x] * ours.nin, **given).copy()
    given["out"] = numpy.zeros_like(x)
    numpy.testing.assert_allclose(got, theirs(*[x] * ours.nin, **given), rtol=1e-14)
    for bad in (["a"], numpy.array([None]), numpy.datetime64("2020")):
        assert outcome(ours, *[bad] * ours.nin) == outcome(theirs, *[bad] * ours.nin)


@pytest.mark.skipif(not numpy_is_wide(), reason="NumPy has no loops of Intel's library here")
def test_numpys_loops_of_float64_are_shared_out_where_they_are_quicker(python, threads):
    x = numpy.random.default_rng(0).standard_normal(300_000)
    for name in sorted(WIDE):
        a, theirs = [x] * getattr(fnp, name).nin, getattr(numpy, name)
        with numpy.errstate(all="ignore"), threads(4):
            assert getattr(fnp, name)(*a).tobytes() == theirs(*a).tobytes()
            with fa.accelerate():
                assert theirs(*a).tobytes() == getattr(fnp, name)(*a).tobytes()
    code = """
import numpy as np
import fastact as fa
import fastact.numpy as fnp
from fastact.functions.shared import numpy_is_wide
x = np.linspace(0.1, 3, 1001)
print(numpy_is_wide(), fnp.log(x).tobytes() == fa.log(x).tobytes(), fnp.power(x, x).tobytes() == fa.power(x, x).tobytes())
"""
    assert python(code, NPY_DISABLE_CPU_FEATURES="AVX512_SKX X86_V4") == "False True True"


def outcome(ufunc, *operands):
    """The result of a call that is no array, or the kind and words of its error."""
    try:
        return ufunc(*operands)
    except Exception as error:
        return type(error), str(error)


def test_the_namespace_is_numpys():
    assert set(numpy.__all__) < set(fnp.__all__)
    assert set(stand_ins()) < set(fnp.replaced)
    for name in numpy.__all__:
        assert (getattr(fnp, name) is getattr(numpy, name)) == (name not in fnp.replaced), name
    assert fnp.linalg is numpy.linalg
    assert "exp" in dir(fnp)
    with pytest.raises(AttributeError, match=r"'fastact\.numpy' has no attribute 'exq', nor has numpy"):
        fnp.exq  # noqa: B018
    names = {}
    exec("from fastact.numpy import *", names)
    assert names["exp"] is fnp.exp


def test_ufuncs_of_the_namespace_pickle():
    assert pickle.loads(pickle.dumps(fnp.exp)) is fnp.exp
    assert pickle.loads(pickle.dumps(numpy.exp)) is numpy.exp


def test_numpys_own_ufuncs_compute_with_our_kernels(accelerated):
    x = numpy.linspace(0.1, 3, 100_001)
    for name in NAMES:
        operands = [x] * getattr(numpy, name).nin
        assert getattr(numpy, name)(*operands).tobytes() == getattr(fnp, name)(*operands).tobytes()
        for kind in SPECIAL:
            assert f"numpy.{name} of {kind}" in accelerated.replaced
    assert not accelerated.refused
    assert "numpy.clip of float32" in accelerated.replaced
    numpy.testing.assert_array_equal(numpy.clip(x, 1, 2), numpy.minimum(numpy.maximum(x, 1), 2))
    large = numpy.linspace(-1, 1, 3_000_000)
    expected = numpy.where(abs(large) < 0.5, large, numpy.sign(large) / 2)
    numpy.testing.assert_array_equal(numpy.clip(large, -0.5, 0.5), expected)
    assert numpy.exp(1j) == pytest.approx(0.5403023058681398 + 0.8414709848078965j, abs=0)


def test_the_last_one_to_stop_gives_numpys_loops_back():
    before = {name: standins.numpy_loops(getattr(numpy, name)) for name in NAMES}

    def unchanged():
        return {name: standins.numpy_loops(getattr(numpy, name)) for name in NAMES} == before

    first = fa.accelerate()
    second = fa.accelerate()
    numpy.exp(numpy.ones(3))
    first.stop()
    first.stop()
    assert not unchanged()
    assert "stopped" in repr(first)
    assert "active" in repr(second)
    second.stop()
    assert unchanged()
    assert first.replaced == second.replaced
    with fa.accelerated():
        assert not unchanged()
    assert unchanged()
    with pytest.raises(KeyError), fa.accelerated():
        raise KeyError
    assert unchanged()


def test_an_acceleration_is_stopped_once(accelerated):
    for duplicate in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="belongs to one process"):
            duplicate(accelerated)


def test_threads_may_compute_while_loops_are_replaced():
    x = numpy.linspace(-5, 5, 5000)
    known = {numpy.exp(x).tobytes(), fnp.exp(x).tobytes()}
    wrong, done = [], threading.Event()

    def compute():
        while not done.is_set():
            if numpy.exp(x).tobytes() not in known:
                wrong.append(1)

    callers = [threading.Thread(target=compute) for _ in range(3)]
    for caller in callers:
        caller.start()
    for _ in range(100):
        with fa.accelerate():
            numpy.exp(x)
    done.set()
    for caller in callers:
        caller.join()
    assert not wrong


def test_an_unknown_structure_is_refused_and_left_alone(monkeypatch):
    class Moved(ctypes.Structure):
        _fields_ = [("more", ctypes.c_int), *standins._Parts._fields_]

    before = standins.numpy_loops(numpy.exp)
    monkeypatch.setattr(acceleration, "_made", {})
    with monkeypatch.context() as patched:
        patched.setattr(standins, "_Parts", Moved)
        with fa.accelerate() as active:
            assert active.replaced == ()
            assert set(active.refused) == set(stand_ins())
            assert "keeps the loops of ufuncs in another place" in active.refused["exp"]
            assert "refused" in repr(active)
        with pytest.warns(
            RuntimeWarning, match=r"fastact\.numpy\.exp is NumPy's own: numpy .* keeps the loops"
        ) as seen:
            assert fnp._built("exp") is numpy.exp
        assert len(seen) == 1
    assert standins.numpy_loops(numpy.exp) == before


def test_a_loop_that_numpy_does_not_call_is_refused(monkeypatch):
    monkeypatch.setattr(acceleration, "_made", {})
    monkeypatch.setattr(standins, "replace_loop", lambda *arguments: None)
    with fa.accelerate() as active:
        assert active.replaced == ()
        assert "does not call a loop that was replaced" in active.refused["exp"]


def test_what_somebody_else_has_replaced_since_is_left_alone():
    ours = fa.accelerate()
    loop = next(one for one in acceleration._made["exp"] if one.dtype == "float32")
    others = next(known.function for known in standins.numpy_loops(numpy.sin) if known.signature == loop.signature)
    standins.replace_loop(numpy.exp, others, loop.signature)
    try:
        ours.stop()
        assert standins.numpy_loops(numpy.exp)[loop.place].function == others
        assert not loop.give_back()
    finally:
        standins.replace_loop(numpy.exp, loop.before.function, loop.signature)


def test_nothing_is_compiled_before_it_is_called(python):
    code = """
import sys, fastact as fa, fastact.numpy
fa.accelerate()
fastact.numpy.exp
print("numba" in sys.modules, "llvmlite" in sys.modules)
"""
    assert python(code) == "False False"


def test_numpys_own_loops_serve_parts_of_numpy_that_are_imported_meanwhile(python, tmp_path):
    """`numpy.random` calls `numpy.maximum` when it is imported, and whatever compiles a kernel needs `numpy.random`."""
    code = """
import sys, numpy as np, fastact as fa
assert "numpy.random" not in sys.modules
with fa.accelerate():
    np.random.default_rng(0)
    assert "numba" not in sys.modules
    np.maximum(np.ones(3), 2.0)
    print("numba" in sys.modules)
"""
    assert python(code, XDG_CACHE_HOME=tmp_path) == "True"


def test_a_forked_child_goes_on(python):
    code = """
import os, numpy as np, fastact as fa
active = fa.accelerate()
x = np.linspace(0, 1, 200_000)
expected = np.exp(x).tobytes()
child = os.fork()
if not child:
    os._exit(0 if np.exp(x).tobytes() == expected else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert python(code) == "0"


PROGRAM = """
import sys, numpy as np
print(__name__, sys.argv[1:], np.exp(np.float64(1)) == {expected!r})
sys.exit(int(sys.argv[-1]))
"""


@pytest.mark.parametrize("module", [False, True])
def test_the_command_runs_a_program(tmp_path, capfd, monkeypatch, module):
    import subprocess

    (tmp_path / "program.py").write_text(PROGRAM.format(expected=float(fnp.exp(1.0))))
    target = ["-m", "program"] if module else [str(tmp_path / "program.py")]
    done = subprocess.run(
        [sys.executable, "-m", "fastact", "run", "--verbose", *target, "--option", "3"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout.strip() == "__main__ ['--option', '3'] True"
    assert "exp" in done.stderr


def test_the_command_wants_a_file_that_exists(capsys):
    from fastact.__main__ import main

    with pytest.raises(SystemExit) as stopped:
        main(["run", "no such file.py"])
    assert stopped.value.code == 2
    assert "cannot read no such file.py" in capsys.readouterr().err


DOMAINS = """
import sys
import numpy
import fastact as fa
import fastact.numpy as fnp
if FIRST:
    numpy.ma.array
names = [name for name in fnp.replaced if isinstance(getattr(numpy, name), numpy.ufunc) and getattr(numpy, name).nin == 1]
[getattr(fnp, name) for name in names]
[fa.log, fa.log2, fa.log10]
x = numpy.ma.array([-2.0, -1.0, 0.0, 1.0, 4.0], mask=[0, 0, 0, 0, 1])
numpy.seterr(all="ignore")
for name in names:
    expected = getattr(numpy, name)(x)
    for function in [getattr(fnp, name), *([getattr(fa, name)] if name.startswith("log") else [])]:
        got = function(x)
        assert type(got) is type(expected)
        assert (numpy.ma.getmaskarray(got) == numpy.ma.getmaskarray(expected)).all(), name
        numpy.testing.assert_allclose(got.compressed(), expected.compressed(), rtol=1e-14)
        out = numpy.ma.zeros(5)
        assert function(x, out=out) is out
        assert (numpy.ma.getmaskarray(out) == numpy.ma.getmaskarray(expected)).all(), name
print(numpy.ma.getmaskarray(fnp.log(x)).tolist())
"""


@pytest.mark.parametrize("first", [True, False])
def test_masked_arrays_know_where_a_function_is_defined(python, first):
    """Whether they have been imported before a function is built, or later."""
    assert python(DOMAINS.replace("FIRST", str(first))) == "[True, True, True, False, True]"


def test_nothing_is_reported_of_what_numpy_computes_in_a_shorter_way(reported):
    """Its power by one exponent; and what fills the rest of a group is no operand."""
    for kind in ("f4", "f8"):
        tiny = numpy.full(70, numpy.finfo(kind).tiny / 8, kind)
        for exponent in (1.0, 2.0, -1.0):
            y = numpy.array(exponent, kind)
            assert reported(fnp.power, tiny, y)[1] == reported(numpy.power, tiny, y)[1]
            assert reported(fnp.power, tiny[:5], y)[1] == reported(numpy.power, tiny[:5], y)[1]
