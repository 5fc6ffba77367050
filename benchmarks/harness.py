"""The ``fastact/bench`` of this checkout, whichever fastact is installed.

asv runs this checkout's benchmarks against older commits, which have no such folder, or another one. So it is loaded by its
path, under a name of its own.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

FOLDER = Path(__file__).resolve().parent.parent / "fastact" / "bench"
NAME = "benchmarks_of_this_checkout"


def _load_package() -> None:
    spec = importlib.util.spec_from_file_location(
        NAME, FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules[NAME] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


def _load(*modules: str) -> list[Any]:
    return [importlib.import_module(f"{NAME}.{module}") for module in modules]


if TYPE_CHECKING:
    from fastact.bench import (
        accuracy,
        biasidioms,
        case,
        cases,
        choiceidioms,
        company,
        dropoutidioms,
        idioms,
        machine,
        measure,
        normidioms,
        peers,
        programidioms,
        programs,
        report,
        rowidioms,
        rows,
        stepidioms,
        tables,
        targets,
    )
else:
    _load_package()
    accuracy, biasidioms, case, cases, choiceidioms, company, dropoutidioms = _load(
        "accuracy", "biasidioms", "case", "cases", "choiceidioms", "company", "dropoutidioms"
    )
    idioms, machine, measure, normidioms, peers = _load("idioms", "machine", "measure", "normidioms", "peers")
    programidioms, programs, report, rowidioms, rows, stepidioms, tables, targets = _load(
        "programidioms", "programs", "report", "rowidioms", "rows", "stepidioms", "tables", "targets"
    )

__all__ = [
    "accuracy",
    "biasidioms",
    "case",
    "cases",
    "choiceidioms",
    "company",
    "dropoutidioms",
    "idioms",
    "machine",
    "measure",
    "normidioms",
    "peers",
    "programidioms",
    "programs",
    "report",
    "rowidioms",
    "rows",
    "stepidioms",
    "tables",
    "targets",
]
