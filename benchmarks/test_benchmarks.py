"""The benchmarks under pytest: run once as tests, timed with ``pytest benchmarks --benchmark-only --benchmark-enable``.

A group holds the contenders of one case. The test proper: whoever takes part computes the same.
"""

import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import bench_elementwise, bench_memory, bench_programs, bench_rows
from benchmarks.harness import accuracy, case, cases, idioms, measure, peers, rowidioms, rows, targets

ROOT = Path(__file__).resolve().parent.parent
SMALL, LARGE = 1_000, 1_000_000
ROUNDS = 20
"""Calls of what changes its operands."""
LARGE_LAYER = 100_000
"""The matrix product of a linear layer takes longer than all the rest."""


def pytest_generate_tests(metafunc: Any) -> None:
    """Parametrise without importing pytest, which asv's environments lack although asv imports this module."""
    if "benchmark" in metafunc.fixturenames:
        timed = metafunc.config.getoption("benchmark_enable")
        present = [peer for peer in peers.PEERS if peers.installed(peer)]
        pairs = [
            (one, name)
            for one in _cases(timed)
            for name in ("fastact", *(peer for peer in present if cases.has(peer, one)))
        ]
        metafunc.parametrize(("one", "name"), pairs, ids=[f"{one.name}-{one.size}-{name}" for one, name in pairs])


def _cases(timed: bool) -> list[case.Case]:
    """Every function, with ``out`` where it has one."""
    sizes = (SMALL, LARGE) if timed else (SMALL,)
    both = cases.every_case(cases.op_names(), case.DIRECTIONS, ("float32",), sizes, ("fresh", "out"))
    found = {(one.name, one.size): one for one in both}.values()
    return [one for one in found if not (one.op.startswith("linear_") and one.size > LARGE_LAYER)]


def test_contender(benchmark: Any, one: case.Case, name: str) -> None:
    benchmark.group = f"{one.name} {one.size}"
    among = [peer for peer in peers.PEERS if peer == name]
    with peers.equal_terms(1 if benchmark.disabled else 2, among):
        found = cases.contenders(one, among)
        expected = _copies(found["fastact"].result())
        names, prepare = dict(found[name].names), found[name].prepare
        run = eval(f"lambda: {found[name].statement}", names)
        if prepare:  # what the call changes is as it was
            returned = benchmark.pedantic(run, setup=lambda: exec(prepare, names), rounds=ROUNDS)
        else:
            returned = benchmark(run)
        idiom = rows.idiom_of(one.name)
        if idiom is not None and idiom.random:
            return
        got = _copies(found[name].names["out"] if returned is None else returned)
        for part, wanted in zip(got, expected, strict=not prepare):  # others return their state as well
            recorded = one.op in cases.op_names() and rows.idiom_of(one.name) == rows.AS_RECORDED  # of float64
            assert part.dtype == wanted.dtype or recorded, "it computes in another dtype: no fair comparison"
            np.testing.assert_allclose(part, wanted, rtol=2e-3, atol=2e-5)


def _copies(result: Any) -> list[Any]:
    return [np.copy(part) for part in accuracy.parts(result)]


def test_every_idiom_is_for_an_op() -> None:
    assert set(idioms.IDIOMS) <= set(cases.op_names()), "fastact/bench/idioms.py names ops that the registry lacks"


def test_every_function_over_rows_is_a_case() -> None:
    from fastact import table

    over_rows = {name for name, record in table.functions().items() if record.op is None}
    assert {*rows.ROWS, *rows.others()} == over_rows, (
        "fastact/bench/rows.py does not have the functions that fastact has"
    )


def test_targets_name_ops() -> None:
    assert set(cases.op_names()) >= targets.EXPONENTIAL | targets.RELU_FAMILY


def test_op_without_an_idiom(monkeypatch: Any) -> None:
    monkeypatch.delitem(idioms.IDIOMS, "leaky_relu")
    for direction in case.DIRECTIONS:
        found = cases.contenders(case.Case("leaky_relu", direction, "float32", SMALL))
        assert set(found) == {"fastact", "numpy"}
        np.testing.assert_allclose(found["fastact"].result(), found["numpy"].result(), rtol=1e-6)


def test_every_variant_measures() -> None:
    for one in cases.every_case(["silu"], case.DIRECTIONS, ("float16",), (SMALL,)):
        cell = measure.measure(one, cases.contenders(one, ("numpy",)), rounds=1, turn=1e-4)
        assert set(cell["ratio"]) == set(cell["seconds"]) - {"fastact"}
        assert cell["ratio"], one
        assert cell["ulp"]["fastact"] <= 1, one


def test_who_fails_or_returns_double_is_left_out() -> None:
    one = case.Case("relu", "forward", "float32", SMALL, "fresh")
    found = cases.contenders(one, ("numpy",))
    wide = case.Contender("x * 1.0", {"x": found["fastact"].names["x"].astype(np.float64)})
    failing = case.Contender("nothing", {})
    cell = measure.measure(one, {**found, "jax": wide, "torch": failing}, rounds=1, turn=1e-4)
    assert set(cell["ratio"]) == {"numpy"}
    assert set(cell["ulp"]) == {"fastact", "numpy"}


def test_targets_judge_cells() -> None:
    cell = {"op": "mish", "direction": "forward", "dtype": "float32", "size": 10_000, "variant": "out", "allocates": []}
    met, missed = ({**cell, "ratio": {"torch": [ratio] * 5}} for ratio in (4.0, 2.0))
    assert "missed" not in targets.report([met])
    assert "missed in 1" in targets.report([met, missed])


def test_every_shape_has_a_target() -> None:
    ratio = {name: [1.0] * 5 for name in ("numpy", "scipy", "torch", "reading")}
    for one in cases.SHAPED:
        cell = {**vars(one), "ratio": ratio, "allocates": []}
        if not one.shape:
            del cell["shape"]
        assert any(target.covers(cell) and target.contender in ratio for target in targets.TARGETS), one
    over_rows = [target for target in targets.TARGETS if target.what.startswith(("loss", "softmax", "log_s", "maxout"))]
    for target in over_rows:
        assert any(target.covers(vars(one)) for one in cases.SHAPED), target


def test_numpy_gradients_of_rows() -> None:
    rng = np.random.default_rng(2)
    hidden, weight, grad = rng.normal(size=(6, 5)), rng.normal(size=(12, 5)), rng.normal(size=(6, 12))
    target = rng.integers(0, 12, 6)
    x, h, pieces = hidden @ weight.T, 1e-6, 4
    r = rowidioms

    def slope(function: Any, at: Any, step: Any) -> Any:
        return np.sum(function(at + h * step) - function(at - h * step)) / (2 * h)

    step = rng.normal(size=x.shape)
    for function, backward in ((r.softmax, r.softmax_backward), (r.log_softmax, r.log_softmax_backward)):
        expected = slope(lambda x, function=function: grad * function(x), x, step)
        np.testing.assert_allclose(np.sum(backward(grad, function(x)) * step), expected, rtol=1e-6)
    loss, grad_x = r.cross_entropy_with_grad(x, target)
    np.testing.assert_allclose(loss, r.cross_entropy(x, target))
    np.testing.assert_allclose(np.sum(grad_x * step), slope(lambda x: r.cross_entropy(x, target), x, step), rtol=1e-6)
    _, grad_hidden, grad_weight = r.linear_cross_entropy_with_grad(hidden, weight, target)
    along_hidden = slope(lambda hidden: r.linear_cross_entropy(hidden, weight, target), hidden, hidden)
    np.testing.assert_allclose(np.sum(grad_hidden * hidden), along_hidden, rtol=1e-6)
    along_weight = slope(lambda weight: r.linear_cross_entropy(hidden, weight, target), weight, weight)
    np.testing.assert_allclose(np.sum(grad_weight * weight), along_weight, rtol=1e-6)
    routed = r.maxout_backward(grad[:, :3], r.maxout_with_index(x, pieces)[1], pieces)
    expected = slope(lambda x: grad[:, :3] * r.maxout(x, pieces), x, step)
    np.testing.assert_allclose(np.sum(routed * step), expected, rtol=1e-6)
    gated = slope(lambda x: grad[:, :6] * r.glu(x), x, step)
    np.testing.assert_allclose(np.sum(r.glu_backward(grad[:, :6], x) * step), gated, rtol=1e-6)


def test_error_functions_beyond_float64() -> None:
    import pytest

    mpmath = pytest.importorskip("mpmath")
    if np.finfo(np.longdouble).nmant < 60:
        pytest.skip("longdouble is float64 here")
    x = np.array([-9.0, -1.6, -1.4, -1e-3, 1e-9, 0.5, 1.4, 1.49, 1.5, 3.0, 8.0])
    maths = accuracy._maths(np.longdouble)
    with mpmath.workdps(40):
        for name in ("erf", "erfc"):
            for at, got in zip(x, getattr(maths, name)(x), strict=True):
                exact, high = getattr(mpmath, name)(at), float(got)
                low = float(got - high)
                assert abs((mpmath.mpf(high) + low - exact) / exact) < 1e-17, (name, at)


PROGRAM = "logistic 20000 x 50"


def test_asv_benchmarks_return_samples(monkeypatch: Any) -> None:
    monkeypatch.setattr(bench_elementwise.Elementwise, "params", (("gelu", "exp"), case.DIRECTIONS, (100,)))
    monkeypatch.setattr(bench_rows, "SHAPES", dict.fromkeys(bench_rows.SHAPES, (4, 8)))
    monkeypatch.setattr(bench_memory, "ROWS", 2)
    monkeypatch.setattr(bench_memory, "CLASSES", 12)
    suite = (bench_elementwise.Elementwise, bench_elementwise.Overhead, bench_rows.Rows, bench_rows.Maxout)
    for benchmark in (benchmark() for benchmark in suite):
        measured = benchmark.setup_cache()
        for combination in itertools.product(*benchmark.params):
            if combination[:2] != ("exp", "backward"):
                benchmark.setup(measured, *combination)
                for track in (benchmark.track_nanoseconds, benchmark.track_ratio):
                    assert min(track(measured, *combination)["samples"]) > 0
    monkeypatch.setattr(bench_programs.Programs, "params", ((PROGRAM,),))
    monkeypatch.setattr(bench_programs, "TURN", 1e-3)
    whole_steps = bench_programs.Programs()
    measured_steps = whole_steps.setup_cache()
    whole_steps.setup(measured_steps, PROGRAM)
    for track in (whole_steps.track_microseconds, whole_steps.track_ratio):
        assert min(track(measured_steps, PROGRAM)["samples"]) > 0
    memory = bench_memory.CrossEntropy()
    memory.setup_cache()
    for function, who in itertools.product(*memory.params):
        memory.setup(function, who)
        memory.peakmem_cross_entropy(function, who)


def test_asv_benchmarks_of_a_commit_without_the_function(monkeypatch: Any) -> None:
    import pytest

    monkeypatch.setattr(bench_elementwise.Elementwise, "params", (("exp",), ("backward",), (10,)))
    monkeypatch.setattr(bench_rows.Rows, "params", (("not_yet",), ("1000 x 1000",)))
    for benchmark in (bench_elementwise.Elementwise(), bench_rows.Rows()):
        (combination,) = itertools.product(*benchmark.params)
        with pytest.raises(NotImplementedError, match="this commit has no"):
            benchmark.setup(benchmark.setup_cache(), *combination)


OLDER = """
import numpy
ops = {}
def softmax(x, out=None):
    e = numpy.exp(x)
    return numpy.divide(e, e.sum(-1, keepdims=True), out=out)
"""
USE = """
import importlib.util, itertools
import fastact
assert importlib.util.find_spec("fastact.bench") is None, fastact.__file__
from benchmarks.bench_rows import Rows
Rows.params = (("softmax", "log_softmax"), ("1000 x 1000",))
rows = Rows()
measured = rows.setup_cache()
print(*(getattr(measured[combination], "keys", lambda: ["n/a"])() for combination in measured))
from benchmarks.bench_programs import Programs
for name in Programs.params[0]:
    Programs.params = ((name,),)
    try:
        Programs().setup(Programs().setup_cache(), name)
    except NotImplementedError as error:
        print(name, "n/a:", error)
for unwanted in ("rich", "pytest"):
    assert unwanted not in __import__("sys").modules, unwanted
"""


def _beside_an_older_fastact(tmp_path: Path, code: str, *arguments: str) -> str:
    """What code prints that finds this checkout's benchmarks and another fastact."""
    (tmp_path / "fastact").mkdir()
    (tmp_path / "fastact" / "__init__.py").write_text(OLDER)
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks", target_is_directory=True)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_asv_benchmarks_beside_an_older_fastact(tmp_path: Path) -> None:
    rows_found, *programs_found = _beside_an_older_fastact(tmp_path, USE).splitlines()
    assert rows_found == "dict_keys(['fastact', 'numpy']) ['n/a']"
    assert f"{PROGRAM} n/a: this commit has no sigmoid" in programs_found
    assert len(programs_found) == len(bench_programs.Programs.params[0])


IMPORT_ALL = """
import pkgutil, sys
known = {*sys.stdlib_module_names, "benchmarks", "fastact", "benchmarks_of_this_checkout", *sys.argv[1:]}
class Environment:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in known:
            raise ModuleNotFoundError(f"asv's environments lack {name}", name=name)
sys.meta_path.insert(0, Environment)
import benchmarks
for module in pkgutil.walk_packages(benchmarks.__path__, "benchmarks."):
    __import__(module.name)
    print(module.name)
for unknown in ("rich", "pytest"):
    try:
        __import__(unknown)
    except ModuleNotFoundError as error:
        print(error)
"""


def _modules_of_asvs_environment() -> set[str]:
    """What can be imported there: the packages that ``asv.conf.json`` asks for, those that they need, and asv's own runner."""
    matrix = json.loads((ROOT / "asv.conf.json").read_text(encoding="utf-8"))["matrix"]["req"]
    packages: set[str] = set()
    unseen = [*matrix, "asv_runner"]
    while unseen:
        package = re.sub("[-_.]+", "-", unseen.pop().lower())
        if package not in packages:
            packages.add(package)
            with contextlib.suppress(metadata.PackageNotFoundError):  # such as hatchling, where nothing is built
                needed = metadata.requires(package) or ()
                unseen += [re.split(r"[^\w.-]", one)[0] for one in needed if "extra ==" not in one]
    return {
        module
        for module, owners in metadata.packages_distributions().items()
        if packages & {re.sub("[-_.]+", "-", owner.lower()) for owner in owners}
    }


def test_asv_imports_every_module_beside_an_older_fastact(tmp_path: Path) -> None:
    """It looks for benchmarks in all of them, scripts included, and one that fails ends the whole run."""
    known = _modules_of_asvs_environment()
    assert {"numpy", "numba", "llvmlite", "scipy"} <= known
    done = _beside_an_older_fastact(tmp_path, IMPORT_ALL, *known).splitlines()
    assert "benchmarks.threads" in done
    assert done[-2:] == ["asv's environments lack rich", "asv's environments lack pytest"]
