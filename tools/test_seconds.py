"""What tests cost: the processor time of each file of tests, with that of its processes, and the kernels that it had to compile.

Each file runs in a process of its own, one after the other, as time on a wall says little while others work. With ``--cold`` on an
empty cache that all share, as the first run on a machine; else on the usual one. ``--quick`` takes one file.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
QUICK = ("tests/test_special.py",)
COUNT = "from fastact.runtime import cache; print(cache.usage(all_versions=True).kernels)"


class Cost(NamedTuple):
    """Of one file."""

    seconds: float
    kernels: int
    verdict: str
    """The last line that pytest prints."""


def measure(file: str, environment: dict[str, str]) -> Cost:
    """Run one file."""
    before = kernels(environment)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = process.stdout.read() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(used.ru_utime + used.ru_stime, kernels(environment) - before, said.strip().rpartition("\n")[2])


def kernels(environment: dict[str, str]) -> int:
    """How many kernels the cache holds."""
    done = subprocess.run([sys.executable, "-c", COUNT], cwd=ROOT, env=environment, check=True, capture_output=True)
    return int(done.stdout)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if a test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="default: all of tests/, and the other places that pytest looks in")
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--cold", action="store_true", help="with an empty cache")
    options = parser.parse_args(arguments)
    every = [str(file.relative_to(ROOT)) for file in sorted((ROOT / "tests").glob("test_*.py"))]
    files = list(QUICK) if options.quick else options.files or [*every, "benchmarks", "fastact", "README.md"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    start, costs = time.monotonic(), {}
    with tempfile.TemporaryDirectory() as empty:
        if options.cold:
            environment["FASTACT_CACHE_DIR"] = empty
        for file in track(files, "files", disable=not sys.stderr.isatty()):
            costs[file] = measure(file, environment)
            print(f"{costs[file].seconds:7.1f} s  {file}: {costs[file].verdict}", flush=True)
    table = Table("file", "seconds", "kernels", "outcome")
    for file, cost in sorted(costs.items(), key=lambda item: -item[1].seconds):
        table.add_row(file, f"{cost.seconds:.1f}", str(cost.kernels), cost.verdict)
    total = sum(cost.seconds for cost in costs.values())
    table.add_row(
        "all", f"{total:.1f}", str(sum(c.kernels for c in costs.values())), f"{time.monotonic() - start:.0f} s"
    )
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    return int(any("failed" in cost.verdict or "error" in cost.verdict for cost in costs.values()))


if __name__ == "__main__":
    sys.exit(main())
