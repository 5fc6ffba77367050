"""The pages and tables that scripts write from kept results: written once, fresh or stale, and nothing left out."""

import importlib
import json
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent.parent / "tools"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module("performance")


def test_written_fresh_and_stale(tool, tmp_path, capsys):
    file = tmp_path / "docs" / "performance.md"
    assert not tool.write(True, file)
    assert "performance.md is stale: run python tools/" in capsys.readouterr().err
    assert not file.exists()
    assert tool.write(False, file)
    assert tool.write(True, file)
    file.write_text(file.read_text().replace("fastact", "slowact"))
    assert not tool.write(True, file)


RESULT = {"machine": {"processor": "one", "cores": 2, "caches": {}}, "versions": {}, "threads": 2, "busy": False}
CELL = {
    "direction": "forward",
    "dtype": "float32",
    "variant": "out",
    "seconds": {"fastact": 1e-6},
    "allocates": ["jax"],
}


def test_every_cell_is_shown_and_losses_are_bold(tool):
    won = {**CELL, "op": "gelu", "size": 1000, "ratio": {"torch": [2.0] * 5}}
    lost = {**CELL, "op": "softmax", "size": 5000, "shape": [5, 1000], "ratio": {"jax": [0.5] * 5}}
    gone = {**CELL, "op": "not_any_more", "size": 1000, "ratio": {"numpy": [3.0] * 5}}
    pages = tool.page([{**RESULT, "date": "2026-01-01", "cells": [won, lost, gone]}])
    assert "| `gelu` | float32 | out | 1 us |  |  | 2.00 (2.00-2.00) |  |" in pages
    assert r"| `softmax` 5 x 1000 | float32 | out | 1 us |  |  | **0.50**\* (0.50-0.50) |  |" in pages
    assert "| The softmax family | JAX | 1 | 0.50 | 0.50 | 0.50 | 1 of 1 |" in pages
    assert "`not_any_more`" in pages


def test_results_of_one_machine_share_a_section(tool):
    older = {
        **RESULT,
        "date": "2026-01-01",
        "cells": [{**CELL, "op": "gelu", "size": 1000, "ratio": {"torch": [2.0] * 5}}],
    }
    newer = {**older, "date": "2026-01-02", "cells": [{**older["cells"][0], "ratio": {"torch": [3.0] * 5}}]}
    page = tool.page([older, newer])
    assert page.count("\n## ") == 1
    assert "3.00 (3.00-3.00)" in page
    assert "2.00 (2.00-2.00)" not in page
    assert tool.page([older, {**newer, "threads": 1}]).count("\n## ") == 2


RATIO = {"median": [1.5] * 5, "mean": [1.25] * 5}
PROGRAM = {
    "program": "decoder 8 x 32000",
    "seconds": {
        name: {"median": seconds, "mean": seconds, "p99": seconds}
        for name, seconds in (("numpy", 3e-6), ("fastact", 2e-6), ("fastact on one thread", 2.5e-6))
    },
    "ratio": {"numpy": RATIO, "fastact on one thread": RATIO},
}
GONE = {**PROGRAM, "program": "not any more"}
OPS = [
    {**CELL, "op": "gelu", "size": size, "allocates": [], "ratio": {"torch": [2.0] * 5, "numpy": [3.0] * 5}}
    for size in (10_000, 1_000_000, 16_000_000)
]


def test_programs_are_on_the_page(tool):
    result = {**RESULT, "date": "2026-01-01", "programs": [PROGRAM], "cells": []}
    page = tool.page([result, {**result, "programs": [GONE]}])
    assert page.count("### Whole steps of programs") == 1
    assert "| decoder 8 x 32000 | 3 us | 2 us | 2 us | 2.5 us | 1.50 (1.50-1.50) | 1.25 (1.25-1.25) |" in page
    assert "| not any more |" in page
    assert "### By family" not in page


@pytest.fixture
def readme(monkeypatch, tmp_path):
    """``readme(text, *results)`` writes tables of results into a file with a text; the exit status, and what it holds then."""
    monkeypatch.syspath_prepend(TOOLS)
    tool, kept = importlib.import_module("readme_table"), importlib.import_module("kept")
    monkeypatch.setattr(kept, "RESULTS", tmp_path / "results")
    (tmp_path / "results").mkdir()

    def write(text, *results, options=()):
        for i, result in enumerate(results):
            (tmp_path / "results" / f"{i}.json").write_text(json.dumps({**RESULT, "cells": [], **result}))
        file = tmp_path / "README.md"
        file.write_text(text)
        status = tool.main(["--readme", str(file), *options])
        return status, file.read_text()

    return write


PROGRAMS_PLACE, OPS_PLACE = (f"<!-- {name}:begin -->\n<!-- {name}:end -->\n" for name in ("programs", "bench"))


def test_tables_of_the_readme(readme, capsys):
    results = (
        {"date": "2026-01-01", "programs": [PROGRAM, GONE]},
        {"date": "2026-01-02", "programs": [GONE]},  # newer, and less
        {"date": "2026-01-03", "cells": OPS},
        {"date": "2026-01-04", "cells": OPS[:1]},
    )
    status, text = readme(f"before\n{PROGRAMS_PLACE}---\n{OPS_PLACE}after\n", *results)
    assert status == 0
    of_programs, of_ops = text.split("\n---\n")
    assert of_programs.startswith("before\n<!-- programs:begin -->\n")
    assert "2026-01-01, one, 2 threads" in of_programs
    row = (
        "| from 8 hidden states of 256 to the log_softmax of 32,000 logits and the best 5 | 3 us | 2 us | 1.50 | 1.25 |"
    )
    assert row in of_programs
    assert "| not any more | 3 us |" in of_programs
    assert "2026-01-03, one, 2 threads" in of_ops
    assert "| `gelu` | 0.001 | 2.0 | 2.0 | 2.0 | 3.0 |" in of_ops
    assert of_ops.endswith("<!-- bench:end -->\nafter\n")
    assert readme(text, options=["--check"]) == (0, text)
    for stale in (text.replace(" 1.25 ", " 1.26 "), text.replace(" 2.0 ", " 2.1 ")):
        assert readme(stale, options=["--check"]) == (1, stale)


@pytest.mark.parametrize(
    ("text", "results", "message"),
    [
        (OPS_PLACE, (), "must hold <!-- programs:begin --> and, after it, <!-- programs:end -->, once each"),
        (PROGRAMS_PLACE, (), "must hold <!-- bench:begin -->"),
        (PROGRAMS_PLACE + OPS_PLACE, ({"date": "2026-01-01", "cells": OPS},), "fastact bench --programs --json FILE"),
        (
            PROGRAMS_PLACE + OPS_PLACE,
            ({"date": "2026-01-01", "programs": [GONE]},),
            "make one with fastact bench --json",
        ),
    ],
)
def test_tables_that_cannot_be_made(readme, capsys, text, results, message):
    with pytest.raises(SystemExit) as stopped:
        readme(text, *results)
    assert stopped.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
