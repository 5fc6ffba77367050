"""The benchmarks under pytest: run once as tests, timed with ``pytest benchmarks --benchmark-only --benchmark-enable``.

A group holds the contenders of one case. The test proper: whoever takes part computes the same.
"""

from typing import Any

import numpy as np

from benchmarks import idioms, targets
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
