"""Kill processes while they compile and write kernels, round after round: ``python tools/kill_rounds.py``.

In each round some processes start at once on an empty kernel cache, and one of them is killed at a random moment. The others, and
one that starts afterwards, must give right answers, and every file that was left must be one that the cache accepts.
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

CHECK = """
import sys
from pathlib import Path
from fastact.engine import cache
for path in Path(sys.argv[1]).rglob("*.o"):
    assert cache._read(path) is not None, path
"""

LONGEST = 4.0
"""Seconds after which a process is killed at the latest: by then it has compiled, however busy the machine."""


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
        f"{len(rounds)} rounds of {options.processes} processes, {killed} killed before they ended; every answer was right"
    )
    return 0


def _round(folder: Path, processes: int, rng: random.Random) -> bool:
    """One round; whether the victim was killed before it ended."""
    children = [_start(folder) for _ in range(processes)]
    victim = rng.choice(children)
    time.sleep(rng.uniform(0.0, LONGEST))
    killed = victim.poll() is None
    victim.send_signal(signal.SIGKILL)
    for child in children:
        _, errors = child.communicate()
        if child is not victim and child.returncode:
            sys.exit(f"a survivor failed:\n{errors}")
    after = _start(folder)
    _, errors = after.communicate()
    if after.returncode:
        sys.exit(f"a later process failed:\n{errors}")
    check = subprocess.run([sys.executable, "-c", CHECK, str(folder)], env=_environment(folder), check=False)
    if check.returncode:
        sys.exit("a file of the cache is damaged")
    return killed


def _start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD]
    return subprocess.Popen(
        command, env=_environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _environment(folder: Path) -> dict[str, str]:
    root = Path(__file__).resolve().parent.parent
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "FASTACT_CACHE_DIR": str(folder), "PYTHONPATH": path}


if __name__ == "__main__":
    sys.exit(main())
