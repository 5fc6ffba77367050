"""Tables of calls that take turns: how many times as long the others take, as a command line prints it, or writes it as a page."""

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastact as fa
from benchmarks.harness import machine, measure, peers, tables

Call = Callable[[], Any]
Cells = dict[str, dict[str, Call]]
"""By what is computed, the calls of each contender; one of them is "fastact"."""
Medians = dict[str, dict[str, float]]
"""By what is computed, how many times as long each of the others took."""

SHORTEST = 2e-3
"""Seconds that are measured at a time: shorter calls are repeated."""
PAUSE = 0.05
"""Seconds before each turn: threads of PyTorch spin for some time after a call, on processors that the next one wants."""


def command(
    prog: str,
    doc: str | None,
    what: str,
    contenders: Sequence[str],
    makers: Callable[[bool], Iterable[Callable[[], Cells]]],
    page: Callable[[bool, Medians], str],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a command line: time the cells that `makers` make, of small arrays if asked, next to each other."""
    parser = argparse.ArgumentParser(prog=prog, description=doc)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--only", default="", help=f"only {what}s whose name holds this")
    parser.add_argument("--quick", action="store_true", help="three rounds of small arrays")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table to FILE as a page")
    options = parser.parse_args(arguments)
    rounds = 3 if options.quick else options.rounds
    rows: list[tuple[str, ...]] = []
    medians: Medians = {}
    for make in makers(options.quick):
        for name, calls in make().items():
            if options.only in name:
                shown, medians[name] = figures(calls, contenders, rounds)
                rows.append((name, *shown))
    head = (what, "fastact", *(f"{name} / fastact" for name in contenders))
    table = tables.table(head, rows, options.markdown or options.page is not None)
    conditions = sentence(machine.conditions(fa.get_num_threads(), ["torch"] if peers.module("torch") else []))
    print(f"{table}\n\n{conditions}")
    if options.page is not None:
        text = page(options.quick, medians).format(rounds=rounds, table=table, conditions=conditions)
        options.page.write_text(text, encoding="utf-8")
    busy = machine.busy()
    if busy:
        print(busy)
    return 0


def sentence(conditions: dict[str, Any]) -> str:
    """The machine and the versions in words."""
    found, versions = conditions["machine"], conditions["versions"]
    threads = "1 thread" if conditions["threads"] == 1 else f"{conditions['threads']} threads"
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{found['processor']}, {found['cores']} cores, {found['system']}; {threads}; {named}."


def figures(calls: dict[str, Call], contenders: Sequence[str], rounds: int) -> tuple[tuple[str, ...], dict[str, float]]:
    """The cells of a row, median time of fastact and medians and quartiles of the ratios of the others, in turns; the medians."""
    repeats = {name: _repeats(call) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for name in measure.rotated(list(calls), rounds):
        time.sleep(PAUSE)
        calls[name]()
        start = time.perf_counter()
        for _ in range(repeats[name]):
            calls[name]()
        times[name].append((time.perf_counter() - start) / repeats[name])
    own = np.array(times["fastact"])
    middle = 1e6 * float(np.median(own))
    shown = [f"{middle / 1e3:.2f} ms" if middle >= 1e3 else f"{middle:.{0 if middle >= 10 else 2}f} us"]
    medians: dict[str, float] = {}
    for name in contenders:
        if name not in times:
            shown.append("")
            continue
        low, median, high = np.quantile(np.array(times[name]) / own, (0.25, 0.5, 0.75))
        shown.append(f"{median:.2f} ({low:.2f} to {high:.2f})")
        medians[name] = float(median)
    return tuple(shown), medians


def _repeats(call: Call) -> int:
    """How many calls take `SHORTEST`; the first of all compiles."""
    call()
    start = time.perf_counter()
    call()
    return max(1, round(SHORTEST / max(1e-7, time.perf_counter() - start)))
