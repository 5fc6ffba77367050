"""The pages that scripts write from kept results: written once, fresh or stale, and nothing left out."""

import importlib
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
    assert "| Softmax | JAX | 1 | 0.50 | 0.50 | 0.50 | 1 of 1 |" in pages
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
