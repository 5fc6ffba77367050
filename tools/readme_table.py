"""The table of speeds in README.md, from a result of ``benchmarks/compare.py``.

``python tools/readme_table.py benchmarks/results/FILE.json`` rewrites what stands between the two markers; with
``--check`` it only says whether that is fresh. Without a file it takes the newest of
``benchmarks/results``, by the date inside.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"

SIZES = {10_000: "1e4", 1_000_000: "1e6", 16_000_000: "16e6"}
COLUMNS = [
    *((direction, peer, size) for direction in ("forward",) for peer in ("torch", "numpy") for size in SIZES),
    ("backward", "torch", 1_000_000),
    ("backward", "numpy", 1_000_000),
]
NAMES = {"torch": "PyTorch", "numpy": "NumPy"}


def _read(path: Path) -> dict[str, Any]:
    """What a benchmark kept."""
    result: dict[str, Any] = json.loads(path.read_text())
    return result


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
    if after == before:
        return 0
    if options.check:
        print(
            f"{options.readme} is stale: run python tools/readme_table.py {options.file or ''}".rstrip(),
            file=sys.stderr,
        )
        return 1
    options.readme.write_text(after, encoding="utf-8")
    return 0


def _result(parser: argparse.ArgumentParser, file: Path | None) -> dict[str, Any]:
    try:
        files = [file] if file else sorted(RESULTS.glob("*.json"))
        found = [result for result in map(_read, files) if "cells" in result]  # compare_rows keeps other figures
    except (OSError, ValueError) as error:
        parser.error(f"cannot read the result: {error}")
    if not found:
        parser.error(f"no result in {RESULTS}: make one with python -m benchmarks.compare --json FILE")
    newest: dict[str, Any] = max(found, key=lambda result: str(result["date"]))
    return newest


def block(result: dict[str, Any]) -> str:
    """The machine, the versions and a row for each op that has a float32 ``out=`` cell of a size in ``SIZES``."""
    cells = {
        (cell["op"], cell["direction"], cell["size"]): cell
        for cell in result["cells"]
        # An op whose backward takes no out= is shown with fresh results.
        if cell["dtype"] == "float32" and (cell["variant"] == "out" or _lacks_out(result, cell))
    }
    ops = list(dict.fromkeys(op for op, direction, size in cells if direction == "forward" and size in SIZES))
    titles = [f"{NAMES[peer]} {SIZES[size]}{' backward' * (way == 'backward')}" for way, peer, size in COLUMNS]
    rows = [["", "ns", *titles], [":--", *["--:"] * (1 + len(titles))]]
    for op in ops:
        at_million = cells.get((op, "forward", 1_000_000))
        speed = f"{at_million['seconds']['fastact'] * 1e9 / 1_000_000:.3f}" if at_million else ""
        rows.append([f"`{op}`", speed, *(_ratio(cells.get((op, way, size)), peer) for way, peer, size in COLUMNS)])
    return "\n".join([_conditions(result), "", *(f"| {' | '.join(row)} |" for row in rows)])


def _lacks_out(result: dict[str, Any], cell: dict[str, Any]) -> bool:
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


def _conditions(result: dict[str, Any]) -> str:
    machine, versions = result["machine"], result["versions"]
    caches = ", ".join(f"{name} {size}" for name, size in machine["caches"].items() if "instruction" not in name)
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    threads = f"{result['threads']} thread{'s' * (result['threads'] > 1)}"
    lines = [
        "Nanoseconds per element of fastact at 1e6 elements, then the time of others over fastact's, by size; float32,",
        "written to `out=` (*: the other has no `out=` and allocates). NumPy stands for the best NumPy or SciPy",
        "expression (`benchmarks/idioms.py`). PyTorch's gradients of sigmoid and tanh start from the saved output.",
        f"{result['date']}, {machine['processor']}, {threads} on {machine['cores']} cores ({caches});",
        f"{packages}.",
    ]
    if result["busy"]:
        lines.append("**Other programs were running: do not trust these figures.**")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
