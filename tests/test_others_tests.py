"""tools/others_tests.py: replaces functions, and tells its findings from what fails anyway and from what is known."""

import importlib
from pathlib import Path

import pytest

pytest.importorskip("scipy")
TOOLS = Path(__file__).parent.parent / "tools"

MODULE = """
import os, warnings
import numpy as np, pytest, scipy.special
from scipy.special import expit
from fastact import special, acceleration

def test_what_is_replaced():
    assert (expit is special.expit) == (scipy.special._ufuncs.expit is special.expit) == {special}
    assert bool(acceleration._users) == {accelerate}

def test_complex():
    scipy.special.logsumexp([1j])

def test_longdouble():
    expit(np.longdouble(1))

def test_only_with_numpys_own():
    assert expit is not special.expit and not acceleration._users

def test_never():
    warnings.warn("of an overflow", RuntimeWarning)

@pytest.mark.skip
def test_skipped():
    pass
"""


@pytest.fixture
def tool(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(TOOLS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return importlib.import_module("others_tests")


@pytest.mark.parametrize("replaced", ["special", "accelerate"])
def test_outcomes_are_told_apart(tool, tmp_path, replaced):
    source = MODULE.format(special=replaced == "special", accelerate=replaced == "accelerate")
    (tmp_path / "test_made_up.py").write_text(source)
    suite = tool.Suite("test_made_up", replaced)
    shown = []
    tool.run(suite, lambda *progress: shown.append(progress))
    # NumPy warns of nothing here, and SciPy takes complex numbers and longdouble.
    known = {"special": 2, "accelerate": 0}[replaced]
    assert tool.numbers_of(suite) == [1 + 2 - known, 1, known, 1, 1]
    assert suite.failed[0].startswith("test_only_with_numpys_own: AssertionError")
    assert ("test_made_up, nothing", 6, 6) in shown


def test_a_process_that_dies_is_a_failure(tool, tmp_path):
    (tmp_path / "test_made_up.py").write_text("import os\ndef test_one(): pass\ndef test_two(): os._exit(7)\n")
    suite = tool.Suite("test_made_up", "accelerate")
    tool.run(suite, lambda *progress: None)
    assert tool.numbers_of(suite) == [1, 0, 0, 1, 0]


def test_the_page_has_every_suite_and_every_known_difference(tool):
    suites = [
        {"module": "one.of", "replaced": "special", "passed": 1200, "skipped": 3, "known": {"Refused.": 2}},
        {"module": "another", "replaced": "accelerate", "passed": 10, "known": {"Refused.": 3}, "failed": ["test: no"]},
    ]
    page = tool.page({"suites": suites, "versions": {"numpy": "2"}, "packages": {"scipy": "1"}, "date": "2026-01-01"})
    assert "| `one.of` | special | 1,200 | 3 | 2 | 0 | 0 |" in page
    assert "| `another` | accelerate | 10 | 0 | 3 | 0 | 1 |" in page
    assert "| **all** | | 1,210 | 3 | 5 | 0 | 1 |" in page
    assert "- Refused. (5 tests)" in page
    assert "with numpy 2, scipy 1." in page
