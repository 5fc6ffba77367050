"""The benchmarks under pytest: run once as tests, timed with ``pytest benchmarks --benchmark-only --benchmark-enable``.

A group holds the contenders of one case. The test proper: whoever takes part computes the same.
"""

import contextlib
import itertools
from typing import Any

import numpy as np

from benchmarks import bench_elementwise, bench_memory, bench_rows, idioms, rows, targets
from benchmarks.cases import DIRECTIONS, Case, contenders, every_case, op_names
from benchmarks.measure import equal_terms, measure

SMALL, LARGE = 1_000, 1_000_000


def pytest_generate_tests(metafunc: Any) -> None:
    """Parametrise without importing pytest, which asv's environments lack although asv imports this module."""
    if "benchmark" in metafunc.fixturenames:
        timed = metafunc.config.getoption("benchmark_enable")
        sizes = (SMALL, LARGE) if timed else (SMALL,)
        both = every_case(op_names(), DIRECTIONS, ("float32",), sizes, ("fresh", "out"))
        cases = {(case.name, case.size): case for case in both}.values()  # with out= where there is one
        pairs = [(case, name) for case in cases for name in ("fastact", "numpy", "torch")]
        metafunc.parametrize(("case", "name"), pairs, ids=[f"{case.name}-{case.size}-{name}" for case, name in pairs])


def test_contender(benchmark: Any, case: Case, name: str) -> None:
    benchmark.group = f"{case.name} {case.size}"
    found = contenders(case, (name,))
    if name not in found:
        import pytest

        pytest.skip(f"{name} is not installed or has no {case.name}")
    with equal_terms(1 if benchmark.disabled else 2):
        expected = _arrays(found["fastact"].result())
        run = eval(f"lambda: {found[name].statement}", dict(found[name].names))
        for got, wanted in zip(_arrays(benchmark(run)), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=2e-5)


def _arrays(result: Any) -> list[Any]:
    """A result's arrays, or tensors as arrays, copied."""
    parts = result if isinstance(result, tuple) else (result,)
    return [np.copy(part.numpy() if hasattr(part, "numpy") else part) for part in parts]


def test_every_idiom_is_for_an_op() -> None:
    assert set(idioms.IDIOMS) <= set(op_names()), "benchmarks/idioms.py names ops that the registry lacks"


def test_targets_name_ops() -> None:
    assert set(op_names()) >= targets.EXPONENTIAL | targets.RELU_FAMILY


def test_op_without_an_idiom(monkeypatch: Any) -> None:
    monkeypatch.delitem(idioms.IDIOMS, "leaky_relu")
    for direction in DIRECTIONS:
        found = contenders(Case("leaky_relu", direction, "float32", SMALL))
        assert "torch" not in found
        np.testing.assert_allclose(found["fastact"].result(), found["numpy"].result(), rtol=1e-6)


def test_every_variant_measures() -> None:
    for case in every_case(["silu"], DIRECTIONS, ("float16",), (SMALL,)):
        cell = measure(case, contenders(case, ("numpy",)), rounds=1, turn=1e-4)
        assert set(cell["ratio"]) == set(cell["seconds"]) - {"fastact"}
        assert cell["ratio"], case


def test_targets_judge_cells() -> None:
    cell = {"op": "mish", "direction": "forward", "dtype": "float32", "size": 10_000, "variant": "out", "allocates": []}
    met, missed = ({**cell, "ratio": {"torch": [ratio] * 5}} for ratio in (4.0, 2.0))
    assert "missed" not in targets.report([met])
    assert "missed in 1" in targets.report([met, missed])


def test_row_functions_compute_the_same() -> None:
    arrays = rows.row_arrays(6, 12) | rows.hidden_arrays(6, 5, 12)
    for name in (*rows.ROWS, *rows.MAXOUT, *rows.LINEAR):
        with contextlib.suppress(NotImplementedError):  # it comes with a later commit
            found = rows.row_contenders(name, arrays)
            ours, numpys = (_arrays(found[who].result()) for who in ("fastact", "numpy"))
            for got, wanted in zip(ours, numpys, strict=True):
                np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-6, err_msg=name)


def test_numpy_gradients_of_rows() -> None:
    rng = np.random.default_rng(2)
    hidden, weight, grad = rng.normal(size=(6, 5)), rng.normal(size=(12, 5)), rng.normal(size=(6, 12))
    target = rng.integers(0, 12, 6)
    x, h = hidden @ weight.T, 1e-6

    def slope(function: Any, at: Any, step: Any) -> Any:
        return np.sum(function(at + h * step) - function(at - h * step)) / (2 * h)

    step = rng.normal(size=x.shape)
    for function, backward in ((rows.softmax, rows.softmax_backward), (rows.log_softmax, rows.log_softmax_backward)):
        expected = slope(lambda x, function=function: grad * function(x), x, step)
        np.testing.assert_allclose(np.sum(backward(grad, function(x)) * step), expected, rtol=1e-6)
    loss, grad_x = rows.cross_entropy_with_grad(x, target)
    np.testing.assert_allclose(loss, rows.cross_entropy(x, target))
    np.testing.assert_allclose(
        np.sum(grad_x * step), slope(lambda x: rows.cross_entropy(x, target), x, step), rtol=1e-6
    )
    _, grad_hidden, grad_weight = rows.linear_cross_entropy_with_grad(hidden, weight, target)
    along_hidden = slope(lambda hidden: rows.linear_cross_entropy(hidden, weight, target), hidden, hidden)
    np.testing.assert_allclose(np.sum(grad_hidden * hidden), along_hidden, rtol=1e-6)
    along_weight = slope(lambda weight: rows.linear_cross_entropy(hidden, weight, target), weight, weight)
    np.testing.assert_allclose(np.sum(grad_weight * weight), along_weight, rtol=1e-6)
    which = rows.maxout_with_index(x, rows.PIECES)[1]
    routed = rows.maxout_backward(grad[:, :3], which, rows.PIECES)
    expected = slope(lambda x: grad[:, :3] * rows.maxout(x, rows.PIECES), x, step)
    np.testing.assert_allclose(np.sum(routed * step), expected, rtol=1e-6)


def test_asv_benchmarks_return_samples(monkeypatch: Any) -> None:
    import fastact

    monkeypatch.setattr(bench_elementwise.Elementwise, "params", (("gelu", "exp"), DIRECTIONS, (100,)))
    monkeypatch.setattr(bench_rows, "SHAPES", dict.fromkeys(bench_rows.SHAPES, (4, 8)))
    monkeypatch.setattr(bench_memory, "ROWS", 2)
    monkeypatch.setattr(bench_memory, "CLASSES", 12)
    for name, op in {**rows.ROWS, **rows.MAXOUT, **rows.LINEAR}.items():  # as if this commit had them all
        if name not in fastact.__all__:
            monkeypatch.setattr(fastact, name, op.numpy, raising=False)
    suite = (bench_elementwise.Elementwise, bench_elementwise.Overhead, bench_rows.Rows, bench_rows.Maxout)
    for benchmark in (benchmark() for benchmark in suite):
        measured = benchmark.setup_cache()
        for combination in itertools.product(*benchmark.params):
            if combination[:2] != ("exp", "backward"):
                benchmark.setup(measured, *combination)
                for track in (benchmark.track_nanoseconds, benchmark.track_ratio):
                    assert min(track(measured, *combination)["samples"]) > 0
    memory = bench_memory.CrossEntropy()
    memory.setup_cache()
    for function, who in itertools.product(*memory.params):
        memory.setup(function, who)
        memory.peakmem_cross_entropy(function, who)


def test_asv_benchmarks_of_a_commit_without_the_function(monkeypatch: Any) -> None:
    import pytest

    monkeypatch.setitem(rows.ROWS, "not_yet", rows.RowOp("x", rows.softmax))
    monkeypatch.setattr(bench_elementwise.Elementwise, "params", (("exp",), ("backward",), (10,)))
    monkeypatch.setattr(bench_rows.Rows, "params", (("not_yet",), ("1000 x 1000",)))
    for benchmark in (bench_elementwise.Elementwise(), bench_rows.Rows()):
        (combination,) = itertools.product(*benchmark.params)
        with pytest.raises(NotImplementedError, match="this commit has no"):
            benchmark.setup(benchmark.setup_cache(), *combination)
