"""The table of speeds in README.md, from a result of ``fastact bench``.

``python tools/readme_table.py benchmarks/results/FILE.json`` rewrites what stands between the two markers; with
``--check`` it only says whether that is fresh. Without a file it takes the newest of ``benchmarks/results`` that has
every column, by the date inside.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from kept import RESULTS, results
from pages import ROOT, write_or_check

from fastact.bench.report import TITLES, conditions
from fastact.bench.results import Result, ResultError

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"

SIZES = {10_000: "1e4", 1_000_000: "1e6", 16_000_000: "16e6"}
COLUMNS = [
    *((direction, peer, size) for direction in ("forward",) for peer in ("torch", "numpy") for size in SIZES),
    ("backward", "torch", 1_000_000),
    ("backward", "numpy", 1_000_000),
]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="default: the newest of benchmarks/results")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", help="default: %(default)s")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; the exit status is 1 if the table is stale"
    )
    options = parser.parse_args(arguments)
    before = options.readme.read_text(encoding="utf-8") if options.readme.exists() else ""
    if before.count(BEGIN) != 1 or before.count(END) != 1 or before.index(BEGIN) > before.index(END):
        parser.error(f"{options.readme} must hold {BEGIN} and, after it, {END}, once each")
    head, tail = before.split(BEGIN)[0], before.split(END)[1]
    after = f"{head}{BEGIN}\n{block(_result(parser, options.file))}\n{END}{tail}"
    return int(not write_or_check(options.readme, after, options.check))


def _result(parser: argparse.ArgumentParser, file: Path | None) -> Result:
    try:
        found = results([file] if file else None)
    except ResultError as error:
        parser.error(str(error))
    whole = found if file else [result for result in found if {cell["size"] for cell in _shown(result)} >= set(SIZES)]
    if not whole:
        parser.error(f"no result in {RESULTS}: make one with fastact bench --json FILE")
    return whole[-1]


def _shown(result: Result) -> list[dict[str, Any]]:
    """The float32 cells of elementwise ops; with fresh results where a backward takes no ``out=``."""
    return [
        cell
        for cell in result["cells"]
        if cell["dtype"] == "float32" and "shape" not in cell and (cell["variant"] == "out" or _lacks_out(result, cell))
    ]


def block(result: Result) -> str:
    """The machine, the versions and a row for each op that has a float32 ``out=`` cell of a size in ``SIZES``."""
    cells = {(cell["op"], cell["direction"], cell["size"]): cell for cell in _shown(result)}
    ops = list(dict.fromkeys(op for op, direction, size in cells if direction == "forward" and size in SIZES))
    titles = [f"{TITLES[peer]} {SIZES[size]}{' backward' * (way == 'backward')}" for way, peer, size in COLUMNS]
    rows = [["", "ns", *titles], [":--", *["--:"] * (1 + len(titles))]]
    for op in ops:
        at_million = cells.get((op, "forward", 1_000_000))
        speed = f"{at_million['seconds']['fastact'] * 1e9 / 1_000_000:.3f}" if at_million else ""
        rows.append([f"`{op}`", speed, *(_ratio(cells.get((op, way, size)), peer) for way, peer, size in COLUMNS)])
    return "\n".join([_conditions(result), "", *(f"| {' | '.join(row)} |" for row in rows)])


def _lacks_out(result: Result, cell: dict[str, Any]) -> bool:
    place = ("op", "direction", "dtype", "size")
    return cell["variant"] == "fresh" and not any(
        other["variant"] == "out" and all(other[name] == cell[name] for name in place) for other in result["cells"]
    )


def _ratio(cell: dict[str, Any] | None, peer: str) -> str:
    """How many times fastact's time the peer takes; empty without such a peer, with a star if it has to allocate."""
    if cell is None or peer not in cell["ratio"]:
        return ""
    middle = cell["ratio"][peer][2]
    return f"{middle:.{1 if middle < 100 else 0}f}{'*' * (peer in cell['allocates'])}"


def _conditions(result: Result) -> str:
    lines = [
        "Nanoseconds per element of fastact at 1e6 elements, then the time of others over fastact's, by size; float32,",
        "written to `out=` (*: the other has no `out=` and allocates). NumPy stands for the best NumPy or SciPy",
        "expression (`fastact/bench/idioms.py`). PyTorch's gradients of sigmoid and tanh start from the saved output.",
        *conditions(result),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
