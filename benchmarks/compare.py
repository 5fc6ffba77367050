"""fastact against what people use today, in one process: ``python -m benchmarks.compare --op gelu --size 1e4 1e6``.

Everything takes an hour or more, ``--quick`` some minutes. ``--json FILE`` keeps the cells, and adds to a file that
holds others of the same machine and versions; ``--targets`` says which of the project's targets the cells meet.
"""

import argparse
import contextlib
import datetime
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import cases, targets
from benchmarks.measure import Cell, busy, conditions, equal_terms, measure
from benchmarks.tables import table

PLACE = ("op", "direction", "dtype", "size", "variant")
"""What tells a cell from the others."""
QUICK_SIZES = (1_000, 100_000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _parse(arguments)
    if options.targets and options.json and not _asks_for_cells(options):
        print(targets.report(_read(options.json)["cells"], options.markdown))
        return 0
    if warning := busy():
        print(warning, file=sys.stderr)
    result = conditions(options.threads) | {"date": datetime.date.today().isoformat(), "busy": bool(warning)}
    result["cells"] = []
    before = _before(options.json, result)
    kept, result["busy"] = before["cells"], result["busy"] or before["busy"]
    status = 0
    try:
        _measure_all(options, result["cells"])
    except KeyboardInterrupt:
        status = 130
        print("interrupted; this was measured before:", file=sys.stderr)
    if options.json:
        measured = {_identity(cell) for cell in result["cells"]}
        whole = [cell for cell in kept if _identity(cell) not in measured] + result["cells"]
        options.json.write_text(_dump({**result, "cells": whole}))
    print((targets.report if options.targets else _report)(result["cells"], options.markdown))
    return status


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    import fastact

    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    add = parser.add_argument
    add("--op", nargs="+", metavar="OP", help="default: all")
    add("--direction", nargs="+", choices=cases.DIRECTIONS)
    add("--dtype", nargs="+", choices=cases.DTYPES)
    add("--size", nargs="+", type=lambda text: int(float(text)), metavar="N", help="such as 1e6; default: 10 to 16e6")
    add("--variant", nargs="+", choices=list(cases.VARIANT_SIZES))
    add("--peers", nargs="+", metavar="PEER", help=f"default: {' '.join(cases.PEERS)}")
    add("--rounds", type=int, help="default: 15")
    add("--threads", type=int, default=fastact.get_num_threads(), help="for everyone; default: %(default)s")
    add("--quick", action="store_true", help="few rounds, sizes and dtypes: to see that it works")
    add("--json", type=Path, metavar="FILE", help="keep the cells here")
    add("--markdown", action="store_true", help="print a Markdown table")
    add("--targets", action="store_true", help="print verdicts, not cells; with --json alone, on that file's")
    options = parser.parse_args(arguments)
    for what, known in (("op", cases.op_names()), ("peers", list(cases.PEERS))):
        unknown = [name for name in getattr(options, what) or () if name not in known]
        if unknown:
            parser.error(f"unknown {what} {', '.join(unknown)}; known are {', '.join(known)}")
    return options


def _asks_for_cells(options: argparse.Namespace) -> bool:
    return any((options.op, options.direction, options.dtype, options.size, options.variant, options.quick))


def _measure_all(options: argparse.Namespace, cells: list[Cell]) -> None:
    """Measure the cases that the options ask for and add each to ``cells`` at once, so that an interrupt loses none."""
    quick = options.quick
    wanted = list(
        cases.every_case(
            options.op or cases.op_names(),
            options.direction or cases.DIRECTIONS,
            options.dtype or (cases.DTYPES[:1] if quick else cases.DTYPES),
            options.size or (QUICK_SIZES if quick else None),
            options.variant or (("out", "fresh") if quick else tuple(cases.VARIANT_SIZES)),
        )
    )
    rounds, turn = options.rounds or (3 if quick else 15), 0.001 if quick else 0.003
    with equal_terms(options.threads), _progress(len(wanted)) as step:
        for case in wanted:
            step(str(case))
            cells.append(measure(case, cases.contenders(case, options.peers or cases.PEERS), rounds, turn))


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console
    from rich.progress import Progress

    # The bar's own thread would take a core from the contenders, so it is drawn between cases only.
    with Progress(console=Console(stderr=True), auto_refresh=False, transient=True) as progress:
        task = progress.add_task("", total=total)

        def step(text: str) -> None:
            progress.update(task, description=text, advance=1, refresh=True)

        yield step


def _identity(cell: Cell) -> tuple[Any, ...]:
    return tuple(cell[name] for name in PLACE)


def _read(file: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        sys.exit(f"cannot read {file}: {error}")
    return result


def _before(file: Path | None, now: dict[str, Any]) -> dict[str, Any]:
    """What ``file`` holds already; figures of different machines must not meet in one table."""
    if file is None or not file.exists():
        return {"cells": [], "busy": False}
    before = _read(file)
    for name in ("machine", "versions", "threads"):
        if before[name] != now[name]:
            sys.exit(f"{file} holds results for other {name}: {before[name]}, now {now[name]}; name another file")
    return before


def _dump(result: dict[str, Any]) -> str:
    """JSON with one line per cell and four digits, so that a diff shows what changed."""
    rounded = json.loads(json.dumps(result), parse_float=lambda text: float(f"{float(text):.4g}"))
    cells = ",\n".join(json.dumps(cell) for cell in rounded.pop("cells"))
    return f'{json.dumps(rounded, indent=1)[:-2]},\n "cells": [\n{cells}\n]\n}}\n'


def _report(cells: Iterable[Cell], markdown: bool) -> str:
    rows = []
    for cell in cells:
        row = [cell["op"], cell["direction"], cell["dtype"], f"{cell['size']:,}", cell["variant"]]
        peers = [_ratio(cell, name) if name in cell["ratio"] else "" for name in cases.PEERS]
        also = [f"{name} {_ratio(cell, name)}" for name in cell["ratio"] if name not in cases.PEERS]
        rows.append([*row, _seconds(cell["seconds"]["fastact"]), *peers, ", ".join(also)])
    note = "Time, median of its ratio to fastact's time (quartiles); *: allocates its result, for want of an out."
    return f"{table([*PLACE, 'fastact', *cases.PEERS, 'also'], rows, markdown)}\n\n{note}"


def _ratio(cell: Cell, name: str) -> str:
    """The time of another contender, its ratio to fastact's and the quartiles of that."""
    _, low, middle, high, _ = cell["ratio"][name]
    star = "*" if name in cell["allocates"] else ""
    return f"{_seconds(cell['seconds'][name])}{star}  {middle:.2f} ({low:.2f}-{high:.2f})"


def _seconds(seconds: float) -> str:
    for unit, factor in (("ns", 1e9), ("us", 1e6), ("ms", 1e3)):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


if __name__ == "__main__":
    sys.exit(main())
