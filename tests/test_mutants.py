"""The faults that tests are tried on: they can still be made, on every floor, and each has been caught."""

import json
import sys
from pathlib import Path

import pytest

import fastact as fa

PACKAGE = Path(fa.__file__).parent
TOOLS = PACKAGE.parent / "tools"

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason="the scripts are not part of an installed package")


@pytest.fixture
def mutants(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    before = set(sys.modules)
    yield __import__("mutants")
    for name in (
        "mutants",
        "mutant_table",
        "loss_mutants",
        "training_mutants",
        "memory_mutants",
        "advice_mutants",
        "mutant",
    ):
        if name not in before:
            sys.modules.pop(name, None)


def test_every_fault_can_be_made_and_its_tests_exist(mutants):
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS) >= 40
    for mutant in mutants.MUTANTS:
        source = (PACKAGE / mutant.file).read_text(encoding="utf-8")
        assert mutants.mutated(source, mutant) != source
        assert all((Path(__file__).parent / name.partition("::")[0]).exists() for name in mutant.tests), mutant.name


def test_every_floor_has_some(mutants):
    floors = {mutant.file.partition("/")[0] for mutant in mutants.MUTANTS}
    assert floors >= {"maths", "kernels", "runtime", "calls", "functions", "advice"}


def test_a_fault_that_cannot_be_made_is_an_error(mutants):
    mutant = mutants.MUTANTS[0]
    for source in ("", mutant.old * 2):
        with pytest.raises(mutants.StaleError, match="not once"):
            mutants.mutated(source, mutant)


def test_every_fault_has_been_caught(mutants):
    kept = json.loads(mutants.KEPT.read_text(encoding="utf-8"))["now"]
    names = {mutant.name for mutant in mutants.MUTANTS}
    assert set(kept) == names, "run python tools/mutants.py NAME --write now"
    assert all(found["caught"] for found in kept.values())


def test_the_quick_form_compiles_nothing(mutants):
    chosen = mutants.chosen([], quick=True)
    assert len(chosen) == 3
    assert not any(mutant.is_in_kernels for mutant in chosen)
