"""The results that ``fastact bench`` kept, for the scripts that write pages from them."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from pages import ROOT

sys.path.insert(0, str(ROOT))

from fastact.bench.results import Result, read

RESULTS = ROOT / "benchmarks" / "results"


def results(files: Iterable[Path] | None = None) -> list[Result]:
    """The results that files hold, all of ``benchmarks/results`` unless given, the oldest first.

    ``ResultError`` is raised for a file that holds none; in the folder there are figures of other scripts too.
    """
    kept = (file for file in sorted(RESULTS.glob("*.json")) if "cells" in json.loads(file.read_text(encoding="utf-8")))
    found = kept if files is None else files
    return sorted(map(read, found), key=lambda result: str(result["date"]))
