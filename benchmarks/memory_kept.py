"""What `fastact.keep_memory` saves, and what it holds: ``python -m benchmarks.memory_kept``.

The first table says how many times as long a call takes that returns a fresh array as the same call with ``out=``: as NumPy is,
with two settings of the C library's allocator, and with `keep_memory`. Each is a process of its own, as settings of an allocator
cannot be taken back; within it the two calls take turns, and a figure is the median of the ratios of rounds, with the quartiles.
The second table says how much memory such a process has over time, above what it began with. On Linux.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastact as fa
from benchmarks.harness import machine, measure, tables

ROOT = Path(__file__).resolve().parent.parent
MIB = 2**20

WAYS = NUMPY, THRESHOLD, NO_MAPPING, KEPT = "NumPy as it is", "mallopt, threshold", "mallopt, no mapping", "keep_memory"
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
SETTINGS = {
    THRESHOLD: {M_MMAP_THRESHOLD: 32 * MIB, M_TRIM_THRESHOLD: 2**31 - 1},
    NO_MAPPING: {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1},
}
"""The largest threshold that glibc takes; and no block that is mapped for itself, but a heap that never shrinks."""

MEGABYTES, QUICK_MEGABYTES = (1, 4, 16, 64), (1, 4)
SHORTEST, TURNS = 5e-4, 8
"""Seconds that are measured at a time: shorter calls are repeated, and have up to so many times the turns; other programs, which
take the processor for milliseconds, then disturb few of them."""
MOMENTS = {"half a second idle": 0.5, "3 s idle": 2.5, "12 s idle": 9.0}
"""What happens after a program has computed, and for how many more seconds it does nothing."""

PAGE = """\
<!-- Written by python -m benchmarks.memory_kept --page: do not edit. -->
# Memory that is kept

A result in fresh memory costs a page fault for every page of it, after which the system fills the page with zeros that
nobody reads. The C library gives memory back from some size on, each time, so a program whose arrays are large pays this in
every expression.

```python
import fastact as fa

fa.keep_memory()  # from now on, in the whole process

with fa.keep_memory(max_bytes=500_000_000) as kept:  # or in a block
    ...
    kept.release()  # gives back what no array uses, and goes on

fa.release_memory()  # the same from anywhere
```

What an array leaves, from 64 KiB on, is put on a list, and the next array of about that size gets it: of fastact, of any
NumPy expression, in any thread. It begins at a cache line.

## What it saves

How many times as long a call takes that returns a fresh array as the same call with `out=`: the median over {rounds} rounds
or more in which the two take turns, and the quartiles. An expression is `np.abs((x * 2 + y) - x * y)`, against its five functions
with `out=`.

{speed}

{conditions}

## What it holds

Resident memory in MB above that before the first large array, in a program that computes that expression on arrays of 64 MB,
drops all arrays, and does nothing then. The last column is after `fa.release_memory()`, or after `malloc_trim` where it
keeps nothing.

{resident}

- **Bounded.** No more than `max_bytes` are kept, nor more than 128 blocks; the oldest go first. By default that is a 16th of
  the machine's memory, or of the limit of the process's control group. A block serves arrays that are up to an eighth
  smaller than it.
- **Given back.** What nobody has wanted for a second is marked so that the system may take its pages as soon as memory is
  short (`MADV_FREE`; `LazyFree` in `/proc/self/smaps_rollup`); whoever wants it before that finds it there. After ten
  seconds it is given back. Before an allocation fails, everything is given back and it is tried again.
- **Threads.** The list is locked for as long as it takes to look through it, and nobody waits for it: whoever finds it
  locked goes to the system, as without it. While something is kept, one thread sleeps and looks twice a second; it ends when
  nothing is kept.
- **Forks.** A child begins with nothing kept, because writing to pages that it shares with its parent costs more than fresh
  ones, and goes on keeping. Python 3.12 and later warn of forks in a process of several threads; the one that sleeps counts
  as one.
- **Zeros.** `np.zeros` of less than 32 MiB takes kept memory and fills it with zeros, as the C library does with its own.
  Larger zeros are always fresh: the system makes only those that are touched, which some programs rely on.
- **Arrays live on.** Every block is one of the C library's. Arrays that were made before, meanwhile and afterwards may be
  resized and freed at any time, by whichever functions are in place then.

## Why not the allocator's own settings

`mallopt` was tried. glibc takes no threshold above 32 MiB, so larger arrays are mapped each time as before. Without any
mapping, fresh results are as fast; but then there is no bound, nothing is ever given back but by a call of `malloc_trim`, it
holds for all memory of the process and cannot be ended, and it exists in one C library.

NumPy takes a handler of memory from programs ([NEP 49](https://numpy.org/neps/nep-0049.html)), but for one context: a new
thread begins with the default one. So the functions of the default handler itself are replaced, which every thread and
context uses that has chosen no other, and put back at the end. A handler that somebody else has set is left alone.

## Where it does nothing

Elsewhere than on Linux, with a C library that does not say how large a block is, where the interpreter's memory is debugged
(`python -X dev`, `PYTHONMALLOC=debug`), and should NumPy's default handler not be the one that is known. Then `active` of
what is returned is false and `reason` says why.
"""

Call = Callable[[], Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from rich.progress import track  # not at the top: asv imports this module in environments without Rich

    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory_kept", description=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--quick", action="store_true", help="three rounds of small arrays, and no long pauses")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the tables to FILE as a page")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    rounds = 3 if options.quick else options.rounds
    if options.child:
        way, what = options.child
        prepare(way)
        print(json.dumps(resident(way, options.quick) if what == "resident" else ratios(int(what), rounds)))
        return 0
    why_not = fa.keep_memory(1)
    why_not.stop()
    if why_not.reason:
        print(why_not.reason)
        return 0
    passed_on = ["--quick"] if options.quick else ["--rounds", str(rounds)]
    cases = [str(size) for size in (QUICK_MEGABYTES if options.quick else MEGABYTES)] + ["resident"]
    runs = [(case, way) for case in cases for way in WAYS]
    found: dict[tuple[str, str], Any] = {}
    for case, way in track(runs, "processes", disable=not sys.stderr.isatty()):
        found[case, way] = _in_a_process(way, case, passed_on)
    markdown = options.markdown or options.page is not None
    rows = [
        (f"{name}, {case} MB", *(found[case, way][name] for way in WAYS))
        for case in cases[:-1]
        for name in found[case, KEPT]
    ]
    speed = tables.table(("fresh / out", *WAYS), rows, markdown)
    moments = list(found["resident", KEPT])
    memory = tables.table(
        ("MB", *moments),
        [(way, *(f"{found['resident', way][moment]:.0f}" for moment in moments)) for way in WAYS],
        markdown,
    )
    conditions = _sentence(machine.conditions(fa.get_num_threads(), []))
    busy = machine.busy()
    if busy:
        conditions += " Other programs were running, which widens the quartiles of small arrays most."
    print(f"{speed}\n\n{memory}\n\n{conditions}")
    if options.page is not None:
        text = PAGE.format(rounds=rounds, speed=speed, resident=memory, conditions=conditions)
        options.page.write_text(text, encoding="utf-8")
    if busy:
        print(busy)
    return 0


def _sentence(conditions: dict[str, Any]) -> str:
    """The machine and the versions in words."""
    found, versions = conditions["machine"], conditions["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{found['processor']}, {found['cores']} cores, {found['system']}; {conditions['threads']} threads; {named}."


def _in_a_process(way: str, what: str, options: Sequence[str]) -> Any:
    command = [sys.executable, "-m", "benchmarks.memory_kept", *options, "--child", way, what]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def prepare(way: str) -> None:
    """Let this process do as it is called."""
    if way == KEPT:
        fa.keep_memory()
    for number, value in SETTINGS.get(way, {}).items():
        if ctypes.CDLL(None).mallopt(number, value) != 1:
            raise RuntimeError(f"mallopt does not take {value} for {number}")


def ratios(megabytes: int, rounds: int) -> dict[str, str]:
    """By call, the time of a fresh result over that with ``out=``."""
    return {name: _figure(*pair, rounds) for name, pair in calls(megabytes).items()}


def calls(megabytes: int) -> dict[str, tuple[Call, Call]]:
    """Calls that return fresh arrays of so many million bytes, and the same with ``out=``; cheap ones and dear ones."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, megabytes * 250_000)).astype(np.float32)
    out, other = np.empty_like(x), np.empty_like(x)

    def expression() -> Any:
        return np.abs((x * 2 + y) - x * y)

    def expression_with_out() -> None:
        np.multiply(x, 2, out=out)
        np.add(out, y, out=out)
        np.multiply(x, y, out=other)
        np.subtract(out, other, out=out)
        np.abs(out, out=out)

    return {
        "np.add": (lambda: np.add(x, y), lambda: np.add(x, y, out=out)),
        "np.exp": (lambda: np.exp(x), lambda: np.exp(x, out=out)),
        "fa.relu": (lambda: fa.relu(x), lambda: fa.relu(x, out=out)),
        "fa.exp": (lambda: fa.exp(x), lambda: fa.exp(x, out=out)),
        "fa.gelu": (lambda: fa.gelu(x), lambda: fa.gelu(x, out=out)),
        "expression": (expression, expression_with_out),
    }


def _figure(fresh: Call, given: Call, rounds: int) -> str:
    """The median and the quartiles of the ratios of rounds."""
    pair = {"fresh": fresh, "out": given}
    for call in (*pair.values(), *pair.values()):
        call()
    start = time.perf_counter()
    given()
    seconds = max(1e-7, time.perf_counter() - start)
    repeats, turns = max(1, round(SHORTEST / seconds)), max(1, min(TURNS, round(TURNS * SHORTEST / seconds)))
    times: dict[str, list[float]] = {name: [] for name in pair}
    for name in measure.rotated(list(pair), rounds * turns):
        pair[name]()
        start = time.perf_counter()
        for _ in range(repeats):
            pair[name]()
        times[name].append(time.perf_counter() - start)
    low, median, high = np.quantile(np.array(times["fresh"]) / np.array(times["out"]), (0.25, 0.5, 0.75))
    return f"{median:.2f} ({low:.2f} to {high:.2f})"


def resident(way: str, quick: bool) -> dict[str, float]:
    """By moment, how many million bytes of memory the process has more than at its beginning."""
    calls(1)["expression"][0]()
    _give_back(way)
    begin = _resident()
    made = calls(4 if quick else 64)  # and its arrays
    fresh, _ = made["expression"]
    found = {}
    for _ in range(5):
        result = fresh()
    found["computing"] = _resident() - begin
    del made, fresh, result
    found["all arrays dropped"] = _resident() - begin
    for moment, seconds in MOMENTS.items():
        time.sleep(0.01 if quick else seconds)
        found[moment] = _resident() - begin
    _give_back(way)
    found["released"] = _resident() - begin
    return found


def _give_back(way: str) -> None:
    """Give the system what nobody uses."""
    if way == KEPT:
        fa.release_memory()
    else:
        ctypes.CDLL(None).malloc_trim(0)


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
