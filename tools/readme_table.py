"""The tables of speeds in README.md, of programs and of ops, from results of ``fastact bench``.

``python tools/readme_table.py benchmarks/results/FILE.json`` rewrites what stands between the markers of each table; with
``--check`` it only says whether both are fresh. Without a file, and for a table that it has no cells for, it takes from
``benchmarks/results`` the newest that has every column of ops, and the newest of those with most programs, by the date inside.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kept import RESULTS, results
from pages import ROOT, write_or_check

from fastact.bench import programs, tables
from fastact.bench.company import FASTACT, NUMPY, ONE_THREAD
from fastact.bench.report import TITLES, conditions, gelu_note, time
from fastact.bench.results import Result, ResultError

SIZES = {10_000: "1e4", 1_000_000: "1e6", 16_000_000: "16e6"}
COLUMNS = [
    *((direction, peer, size) for direction in ("forward",) for peer in ("torch", "numpy") for size in SIZES),
    ("backward", "torch", 1_000_000),
    ("backward", "numpy", 1_000_000),
]


@dataclass(frozen=True)
class Table:
    """What stands between two markers."""

    name: str
    """In the markers."""
    cells: str
    """The list of a result that it shows."""
    command: str
    """What makes such a result."""
    choose: Callable[[Sequence[Result]], Result | None]
    """Which of some results, the oldest first, it is made from."""
    block: Callable[[Result], str]

    @property
    def markers(self) -> tuple[str, str]:
        """Between which it stands."""
        return f"<!-- {self.name}:begin -->", f"<!-- {self.name}:end -->"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="default: the newest of benchmarks/results")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="write nothing; the exit status is 1 if a table is stale")
    options = parser.parse_args(arguments)
    text = options.readme.read_text(encoding="utf-8") if options.readme.exists() else ""
    for table in TABLES:
        begin, end = table.markers
        if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
            parser.error(f"{options.readme} must hold {begin} and, after it, {end}, once each")
    for table in TABLES:
        begin, end = table.markers
        head, tail = text.split(begin)[0], text.split(end)[1]
        text = f"{head}{begin}\n{table.block(_result(parser, options.file, table))}\n{end}{tail}"
    return int(not write_or_check(options.readme, text, options.check))


def _result(parser: argparse.ArgumentParser, file: Path | None, table: Table) -> Result:
    """The result that a table is made from: that of the file, if it has the cells."""
    try:
        given = results([file]) if file else []
        found = next((result for result in given if result.get(table.cells)), None) or table.choose(results())
    except ResultError as error:
        parser.error(str(error))
    if found is None:
        parser.error(f"no result in {RESULTS} has the {table.cells} of a table: make one with {table.command}")
    return found


def _newest_with_every_column(found: Sequence[Result]) -> Result | None:
    whole = [result for result in found if {cell["size"] for cell in _shown(result)} >= set(SIZES)]
    return whole[-1] if whole else None


def _newest_with_most_programs(found: Sequence[Result]) -> Result | None:
    some = [result for result in found if result.get("programs")]
    return max(reversed(some), key=lambda result: len(result["programs"]), default=None)


def programs_block(result: Result) -> str:
    """The machine, the versions and a row for each program."""
    ratios = [f"{who} / fastact, {kind}" for who in ("NumPy", "one thread") for kind in ("median", "mean")]
    rows = [_program(cell) for cell in result["programs"]]
    lines = [
        "Whole steps of programs (`fastact/bench/programs.py`) with NumPy's maths and with fastact's, between the same matrix",
        "products: the median time, then the time of NumPy, and of fastact on one thread, over fastact's, by medians and by means,",
        f"in which a rare late step counts. {gelu_note(result)}",
        *conditions(result),
    ]
    return "\n".join([*lines, "", tables.table(["one step", "NumPy", "fastact", *ratios], rows, markdown=True)])


def _program(cell: dict[str, Any]) -> list[str]:
    times = (time(cell["seconds"][who]["median"]) for who in (NUMPY, FASTACT))
    ratios = (cell["ratio"][who][kind][2] for who in (NUMPY, ONE_THREAD) for kind in ("median", "mean"))
    return [programs.what(cell["program"]) or cell["program"], *times, *(f"{ratio:.2f}" for ratio in ratios)]


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


TABLES = (
    Table("programs", "programs", "fastact bench --programs --json FILE", _newest_with_most_programs, programs_block),
    Table("bench", "cells", "fastact bench --json FILE", _newest_with_every_column, block),
)


if __name__ == "__main__":
    sys.exit(main())
