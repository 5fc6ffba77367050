"""Measure fastact against NumPy, NumExpr, PyTorch, JAX and ONNX Runtime, whichever are installed.

Everything takes hours, ``--quick`` some minutes; ``--op gelu --size 1e4 1e6`` is a look. ``--json`` keeps the cells, and adds
to a file that holds others of the same machine and versions. ``--shapes`` measures the arrays that the functions over rows
have targets for; ``--targets`` says which of the project's targets the cells meet. ``--programs`` measures whole steps of
programs with NumPy's maths and with fastact's, in some minutes.
"""

import argparse
import contextlib
import datetime
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastact
from fastact.bench import cases, company, memory, page, programs, report, results, targets
from fastact.bench.case import DIRECTIONS, DTYPES, VARIANT_SIZES, Case
from fastact.bench.machine import busy, conditions
from fastact.bench.measure import Cell, measure
from fastact.bench.peers import PEERS, equal_terms, installed, module
from fastact.cli import INTERRUPTED, require_writable

QUICK_SIZES = (1_000, 100_000)
QUICK_VARIANTS = ("out", "fresh")
QUICK_TURN = 0.01
"""Seconds of a program's turn."""
BESIDE = "beside"
"""What ``--programs`` calls the calls beside busy processes."""
OF_OPS = ("op", "direction", "dtype", "variant", "peers", "html", "targets")
"""Options that do not go with programs, besides those that exclude each other as it is."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("--op", nargs="+", metavar="OP", help="default: all")
    for name, choices in (("direction", DIRECTIONS), ("dtype", DTYPES), ("variant", tuple(VARIANT_SIZES))):
        add(
            f"--{name}", nargs="+", choices=choices, metavar=name.upper(), help=f"of {', '.join(choices)}; default: all"
        )
    arrays = parser.add_mutually_exclusive_group()
    arrays.add_argument("--size", nargs="+", type=_count, metavar="N", help="such as 1e6; default: 10 to 16e6")
    text = "not sizes, but the shapes that functions over rows have targets for"
    arrays.add_argument("--shapes", action="store_true", help=text)
    text = f"whole steps of programs, and calls beside busy processes; of {', '.join(_kinds())}; default: all"
    arrays.add_argument("--programs", nargs="*", metavar="NAME", help=text)
    add("--peers", nargs="+", metavar="PEER", help=f"of {', '.join(PEERS)}; default: those that are installed")
    add("--rounds", type=_count, metavar="N", help="default: 15")
    add("--threads", type=_count, metavar="N", help="for all; default: as many as fastact uses")
    add("--quick", action="store_true", help="few rounds, sizes and dtypes: to see that it works")
    add("--json", type=Path, metavar="FILE", help="keep the cells here")
    add("--html", type=Path, metavar="FILE", help="write a page with the table and the conditions")
    add("--markdown", action="store_true", help="print a Markdown table")
    add("--targets", action="store_true", help="print verdicts, not cells; with --json alone, on that file's")


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run the command; the exit status is 1 for a file that is no good, 130 after an interrupt."""
    of_programs = options.programs is not None
    for what in OF_OPS:
        if of_programs and getattr(options, what):
            parser.error(f"argument --{what}: not allowed with argument --programs")
    for what, known in (("op", cases.op_names()), ("peers", list(PEERS)), ("programs", _kinds())):
        unknown = [name for name in getattr(options, what) or () if name not in known]
        if unknown:
            parser.error(f"unknown {what} {', '.join(unknown)}; known are {', '.join(known)}")
    wanted = [] if of_programs else _cases(options)
    if not wanted and not of_programs:
        parser.error(
            "there is no such case: not every op has a backward, a variant of this kind, or a shape of its own"
        )
    try:
        options.threads = options.threads or fastact.get_num_threads()
    except ValueError as error:  # of FASTACT_NUM_THREADS
        parser.error(str(error))
    try:
        return _run(options, wanted)
    except results.ResultError as error:
        print(error, file=sys.stderr)
        return 1


def _count(text: str) -> int:
    number = float(text)
    if number < 1 or number != int(number):
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1 on")
    return int(number)


def _run(options: argparse.Namespace, wanted: list[Case]) -> int:
    if options.targets and options.json and not _asks_for_cells(options):
        print(targets.report(results.read(options.json)["cells"], options.markdown))
        return 0
    for file in filter(None, (options.json, options.html)):
        try:
            require_writable(file)
        except OSError as error:
            raise results.ResultError(f"cannot write {file}: {error.strerror}") from None
    peers = _peers(["numpy"] if options.programs is not None else options.peers)
    if warning := busy():
        print(warning, file=sys.stderr)
    result = conditions(options.threads, peers) | {"date": datetime.date.today().isoformat(), "busy": bool(warning)}
    before = results.before(options.json, result) if options.json else {}
    found: dict[str, list[Cell]] = {name: [] for name in results.LISTS}
    status = 0
    try:
        if options.programs is not None:
            _measure_programs(options, found)
        else:
            _measure_all(options, wanted, peers, found["cells"])
    except KeyboardInterrupt:
        status = INTERRUPTED
        print("interrupted; this was measured before:", file=sys.stderr)
    except Exception:  # of one case, which must not cost hours of others
        status = 1
        traceback.print_exc()
        print("stopped by this error; this was measured before:", file=sys.stderr)
    if options.json:
        options.json.write_text(results.dump({**result, **results.joined(before, found)}), encoding="utf-8")
    if options.html:
        options.html.write_text(page.page({**result, **found}), encoding="utf-8")
    if options.programs is not None:
        print(report.report_of_programs({**result, **found}, options.markdown))
    else:
        print((targets.report if options.targets else report.report)(found["cells"], options.markdown))
    return status


def _asks_for_cells(options: argparse.Namespace) -> bool:
    chosen = (options.op, options.direction, options.dtype, options.size, options.variant)
    return any(chosen) or options.quick or options.shapes


def _peers(wanted: list[str] | None) -> list[str]:
    """The peers that take part; says which of all, or of those that were asked for, are not installed."""
    found = [peer for peer in PEERS if peer in (wanted or PEERS) and installed(peer)]
    missing = [peer for peer in PEERS if peer in (wanted or PEERS) and peer not in found]
    if "numpy" in found and module("scipy") is None:
        missing.append("scipy, without which NumPy lacks some ops")
    if missing:
        print(f"left out: {', '.join(missing)} (pip install 'fastact[peers]' has all)", file=sys.stderr)
    return found


def _measure_all(options: argparse.Namespace, wanted: list[Case], peers: list[str], cells: list[Cell]) -> None:
    """Measure the cases and add each to ``cells`` at once, so that an interrupt loses none."""
    rounds, turn = options.rounds or (3 if options.quick else 15), 0.001 if options.quick else 0.003
    with equal_terms(options.threads, peers), _progress(len(wanted)) as step:
        for case in wanted:
            step(str(case))
            cell = measure(case, cases.contenders(case, peers), rounds, turn)
            if case in cases.SHAPED and case.op == "linear_cross_entropy_with_grad":
                cell["extra_memory"] = memory.beyond_results(case)
            cells.append(cell)


def _measure_programs(options: argparse.Namespace, found: dict[str, list[Cell]]) -> None:
    """Measure programs, and calls beside busy processes, and add each to ``found`` at once."""
    own_number = options.threads == fastact.get_num_threads()  # then nothing is set, as in a program
    threads = contextlib.nullcontext() if own_number else fastact.threads(options.threads)
    rounds, turn = options.rounds or (3 if options.quick else 15), QUICK_TURN if options.quick else company.TURN
    wanted = programs.named(options.programs)
    calls = company.calls() if BESIDE in (options.programs or [BESIDE]) else ()
    beside = [(name, processes) for name in calls for processes in company.BUSY]
    with threads, _progress(len(wanted) + len(beside)) as step:
        for program in wanted:
            step(program.name)
            found["programs"].append(company.measure(program, rounds, turn))
        for name, processes in beside:
            step(f"{name}, busy processes: {processes}")
            found["beside"].append(company.measure_beside(name, processes, rounds, turn))


def _kinds() -> list[str]:
    """What ``--programs`` may name: a program by the first word of its name."""
    return [*dict.fromkeys(programs.kind(program.name) for program in programs.PROGRAMS), BESIDE]


def _cases(options: argparse.Namespace) -> list[Case]:
    quick, ops = options.quick, options.op or cases.op_names()
    directions, dtypes = options.direction or DIRECTIONS, options.dtype or (DTYPES[:1] if quick else DTYPES)
    variants = options.variant or (QUICK_VARIANTS if quick else tuple(VARIANT_SIZES))
    if options.shapes:
        return list(cases.shaped_cases(ops, directions, dtypes, variants))
    sizes = options.size or (QUICK_SIZES if quick else None)
    return list(cases.every_case(ops, directions, dtypes, sizes, variants))


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    rich = _rich() if sys.stderr.isatty() else None
    if rich is None:
        yield lambda text: None
        return
    # The bar's own thread would take a core from the contenders, so it is drawn between cases only.
    console = rich.console.Console(stderr=True)
    with rich.progress.Progress(console=console, auto_refresh=False, transient=True) as progress:
        task = progress.add_task("", total=total)

        def step(text: str) -> None:
            progress.update(task, description=text, advance=1, refresh=True)

        yield step


def _rich() -> Any:
    """The library of the progress bar; ``None``, with a word about it, where it is not installed."""
    try:
        import rich.console
        import rich.progress
    except ImportError:
        print("no progress bar without rich: pip install 'fastact[bench]'", file=sys.stderr)
        return None
    return rich
