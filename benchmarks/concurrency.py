"""What it costs to call from many threads at once: ``python -m benchmarks.concurrency``.

Eight Python threads make a thousand calls each, of different ops on shared and on separate arrays, small and large. One thread
makes the same calls one after another. The two take turns; a figure is the time of the first over that of the second, below 1
where the threads gain. Beside it NumPy's own functions show what it costs that Python's threads hand its lock to each other: with
small arrays most of the time.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import machine, tables

ROOT = Path(__file__).resolve().parent.parent
WHO = FASTACT, NUMPY = "fastact", "NumPy's own"
THREADS, CALLS, QUICK_CALLS = 8, 1000, 100
SIZES = {"small": (100, 1_000, 10_000), "mixed": (100, 10_000, 300_000), "large": (1_000_000,)}
"""Lengths of the arrays that calls take by turns."""
FEWER = {"large": 20}
"""Where a call takes so much longer, so many times fewer are made."""

Call = Callable[[], Any]
Op = Callable[..., Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from rich.progress import track  # not at the top: asv imports this module in environments without Rich

    from fastact import get_num_threads
    from fastact.cli import require_writable

    parser = argparse.ArgumentParser(prog="python -m benchmarks.concurrency", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help=f"three rounds of {QUICK_CALLS} calls")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all rounds here")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    rounds, calls = (3, QUICK_CALLS) if options.quick else (options.rounds, CALLS)
    if options.child:
        print(json.dumps(ratios(*options.child, rounds=rounds, calls=calls)))
        return 0
    passed_on = ["--quick"] if options.quick else ["--rounds", str(rounds)]
    cases = list(itertools.product(WHO, SIZES, ("shared", "separate")))
    if options.json:
        try:
            require_writable(options.json)
        except OSError as error:
            parser.error(f"--json: {error}")
    result = machine.conditions(get_num_threads(), ())
    result |= {"date": datetime.now(UTC).isoformat(timespec="seconds"), "busy": machine.busy(), "cases": []}
    rows = []
    for case in track(cases, "cases", disable=not sys.stderr.isatty()):
        found = _in_a_process(case, passed_on)
        result["cases"].append(dict(zip(("who", "sizes", "arrays", "ratios"), (*case, found), strict=True)))
        rows.append((*case, f"{statistics.median(found):.2f}", f"{min(found):.2f}-{max(found):.2f}"))
    print(tables.table(("who", "sizes", "arrays", "ratio", "all rounds"), rows, options.markdown))
    if result["busy"]:
        print(f"\n{result['busy']}", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def _in_a_process(case: Sequence[str], options: Sequence[str]) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.concurrency", *options, "--child", *case]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: list[float] = json.loads(done.stdout)
    return found


def ratios(who: str, sizes: str, arrays: str, *, rounds: int, calls: int) -> list[float]:
    """In each round the time of the threads together over that of the same calls one after another."""
    ops = _of_numpy() if who == NUMPY else _of_fastact()
    rng = np.random.default_rng(0)
    given = [rng.normal(size=n).astype(np.float32) for n in SIZES[sizes]]
    work = []
    for i in range(THREADS):
        read = given if arrays == "shared" else [x.copy() for x in given]
        work.append(_calls(ops, read, i, max(1, calls // FEWER.get(sizes, 1))))
    one_after_another(work)  # compiles what is not in the cache, and starts the team
    together(work)
    found = []
    for _ in range(rounds):
        alone = one_after_another(work)
        found.append(together(work) / alone)
    return found


def _of_fastact() -> Sequence[Op]:
    import fastact as fa

    def over_rows(op: Op) -> Op:
        return lambda x, out: op(x.reshape(-1, 100), out=out.reshape(-1, 100))

    return fa.gelu, fa.tanh, fa.mish, fa.silu, fa.relu, over_rows(fa.softmax), over_rows(fa.log_softmax), fa.exp


def _of_numpy() -> Sequence[Op]:
    return np.exp, np.tanh, np.square, np.negative


def _calls(ops: Sequence[Op], arrays: Sequence[Any], thread: int, count: int) -> list[Call]:
    """One thread's calls. Results go to memory of its own: what fresh memory costs is the system's affair."""
    outs = [np.empty_like(x) for x in arrays]

    def call(k: int) -> Call:
        op, j = ops[(thread + k) % len(ops)], (thread + k // len(ops)) % len(arrays)
        return lambda: op(arrays[j], out=outs[j])

    return [call(k) for k in range(count)]


def one_after_another(work: Sequence[Sequence[Call]]) -> float:
    """Seconds for all calls from this thread."""
    start = time.perf_counter()
    for calls in work:
        _make(calls)
    return time.perf_counter() - start


def together(work: Sequence[Sequence[Call]]) -> float:
    """Seconds until each of the threads has made its calls."""
    threads = [threading.Thread(target=_make, args=(calls,)) for calls in work]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def _make(calls: Sequence[Call]) -> None:
    for call in calls:
        call()


if __name__ == "__main__":
    sys.exit(main())
