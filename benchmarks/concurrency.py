"""What it costs to call from many threads at once: ``python -m benchmarks.concurrency``.

Eight Python threads make a thousand calls each, of different ops on shared and on separate arrays, small and large. One thread
makes the same calls one after another. The two take turns; a figure is the time of the first over that of the second, below 1
where the threads gain. Each of Numba's threading layers has a process of its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from fastact.bench import machine, tables

ROOT = Path(__file__).resolve().parent.parent
THREADS, CALLS, QUICK_CALLS = 8, 1000, 100
SIZES = {"small": (100, 1_000, 10_000), "mixed": (100, 10_000, 300_000), "large": (1_000_000,)}
"""Lengths of the arrays that calls take by turns."""
FEWER = {"large": 20}
"""Where a call takes so much longer, so many times fewer are made."""

Call = Callable[[], Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.concurrency", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help=f"three rounds of {QUICK_CALLS} calls")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    rounds, calls = (3, QUICK_CALLS) if options.quick else (options.rounds, CALLS)
    if options.child:
        print(json.dumps(ratios(*options.child.split(), rounds=rounds, calls=calls)))
        return 0
    rows = []
    for layer in track(machine.threading_layers(), "layers", disable=not sys.stderr.isatty()):
        for sizes in SIZES:
            for arrays in ("shared", "separate"):
                found = _in_a_process(
                    layer, f"{sizes} {arrays}", ["--quick"] if options.quick else ["--rounds", rounds]
                )
                low, middle, high = min(found), statistics.median(found), max(found)
                rows.append((layer, sizes, arrays, f"{middle:.2f}", f"{low:.2f}-{high:.2f}"))
    print(tables.table(("layer", "sizes", "arrays", "ratio", "all rounds"), rows, options.markdown))
    return 0


def _in_a_process(layer: str, case: str, options: Sequence[Any]) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.concurrency", "--child", case, *map(str, options)]
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer}
    done = subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: list[float] = json.loads(done.stdout)
    return found


def ratios(sizes: str, arrays: str, *, rounds: int, calls: int) -> list[float]:
    """In each round the time of the threads together over that of the same calls one after another."""
    calls = max(1, calls // FEWER.get(sizes, 1))
    rng = np.random.default_rng(0)
    all_read = [rng.normal(size=n).astype(np.float32) for n in SIZES[sizes]]
    work = [_calls(all_read if arrays == "shared" else [x.copy() for x in all_read], i, calls) for i in range(THREADS)]
    one_after_another(work)  # compiles what is not in the cache, and starts the team
    together(work)
    found = []
    for _ in range(rounds):
        alone = one_after_another(work)
        found.append(together(work) / alone)
    return found


def _calls(arrays: Sequence[Any], thread: int, count: int) -> list[Call]:
    """One thread's calls. Results go to memory of its own: what fresh memory costs is the system's affair."""
    import fastact as fa

    outs = [np.empty_like(x) for x in arrays]
    ops = (fa.gelu, fa.tanh, fa.mish, fa.silu, fa.relu, fa.softmax, fa.log_softmax, fa.exp)

    def call(k: int) -> Call:
        op, j = ops[(thread + k) % len(ops)], (thread + k // len(ops)) % len(arrays)
        x, out = (a.reshape(-1, 100) if op in (fa.softmax, fa.log_softmax) else a for a in (arrays[j], outs[j]))
        return lambda: op(x, out=out)

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
