"""Kill processes while they compile and write kernels, round after round: ``python tools/kill_rounds.py``.

In each round some processes start on an empty kernel cache, the first of which is killed at a random moment between two: it has
begun to compile, and it would put its first file into its place. The others, which start meanwhile, and one that starts afterwards,
must give right answers, and every file that was left must be one that the cache accepts.
``--quick`` takes three rounds; ``--write`` keeps the outcome.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import long_runs
from rich.progress import track

CHILD = """
import numpy as np
import fastact as fa
x = np.linspace(-4, 4, 400_001, dtype="f4")
assert (fa.relu(x) == np.maximum(x, 0)).all()
assert (fa.hard_tanh(x) == np.clip(x, -1, 1)).all()
"""

VICTIM = (
    """
import os, threading
from fastact.runtime import compiler
compile_loop = compiler.compile_loop
def announced(function, **options):
    print("compiling", flush=True)
    return compile_loop(function, **options)
compiler.compile_loop = announced
os.replace = lambda *paths: threading.Event().wait()
"""
    + CHILD
)
"""It says when it begins, and never ends: it is killed in the middle, however busy the machine."""

CHECK = """
import sys
from pathlib import Path
from fastact.runtime import cache
for path in Path(sys.argv[1]).rglob("*.o"):
    assert cache._read(path) is not None, path
"""

LONGEST = 2.0
"""Seconds after which a process that compiles is killed at the latest."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="three rounds")
    parser.add_argument("--write", action="store_true", help=f"keep the outcome in {long_runs.KEPT.name}")
    options = parser.parse_args(arguments)
    rng = random.Random(options.seed)
    rounds = range(3 if options.quick else options.rounds)
    killed = 0
    for _ in track(rounds, "rounds", disable=not sys.stderr.isatty()):
        with tempfile.TemporaryDirectory() as folder:
            killed += _round(Path(folder) / "kernels", options.processes, rng)
    if options.write:
        long_runs.keep("kill_rounds", rounds=len(rounds), processes=options.processes, killed=killed)
    print(
        f"{len(rounds)} rounds of {options.processes} processes, {killed} killed while they compiled; every answer was right"
    )
    return 0


def _round(folder: Path, processes: int, rng: random.Random) -> bool:
    """One round; whether the victim was killed while it compiled."""
    victim = _start(folder, VICTIM)
    assert victim.stdout is not None
    begun = victim.stdout.readline() == "compiling\n"
    others = [_start(folder, CHILD) for _ in range(processes - 1)]
    time.sleep(rng.uniform(0.0, LONGEST))
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    for child in others:
        _, errors = child.communicate()
        if child.returncode:
            sys.exit(f"a survivor failed:\n{errors}")
    after = _start(folder, CHILD)
    _, errors = after.communicate()
    if after.returncode:
        sys.exit(f"a later process failed:\n{errors}")
    check = subprocess.run([sys.executable, "-c", CHECK, str(folder)], env=_environment(folder), check=False)
    if check.returncode:
        sys.exit("a file of the cache is damaged")
    return begun and victim.returncode == -signal.SIGKILL


def _start(folder: Path, code: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code]
    return subprocess.Popen(
        command, env=_environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _environment(folder: Path) -> dict[str, str]:
    root = Path(__file__).resolve().parent.parent
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "FASTACT_CACHE_DIR": str(folder), "PYTHONPATH": path}


if __name__ == "__main__":
    sys.exit(main())
