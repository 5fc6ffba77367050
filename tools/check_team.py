"""Exhaust ``tools/team.pml``, the model of the team of threads, with the model checker SPIN (Debian: ``spin``, ``gcc``).

Every order in which callers and workers may take their steps is tried, in several small settings; and for each precaution that the
protocol takes, that the checker finds what happens without it. Takes some minutes, ``--quick`` some seconds.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import long_runs
from rich.progress import track

MODEL = Path(__file__).with_name("team.pml")

Setting = dict[str, int]

SMALL: list[Setting] = [
    {"CALLERS": 1, "WORKERS": 1, "CALLS": 2},
    {"CALLERS": 1, "WORKERS": 1, "CALLS": 3, "LAZY": 1},
    {"CALLERS": 2, "WORKERS": 1, "CALLS": 1},
    {"CALLERS": 1, "WORKERS": 2, "CALLS": 2, "LAZY": 1},
]
LARGE: list[Setting] = [
    {"CALLERS": 1, "WORKERS": 2, "CALLS": 2},
    {"CALLERS": 1, "WORKERS": 2, "CALLS": 3, "LAZY": 1},
    {"CALLERS": 1, "WORKERS": 1, "CALLS": 6},
    {"CALLERS": 1, "WORKERS": 1, "CALLS": 3, "CHUNKS": 4},
    {"CALLERS": 1, "WORKERS": 2, "CALLS": 1, "CHUNKS": 3, "HELPERS": 2},
    {"CALLERS": 2, "WORKERS": 1, "CALLS": 2},
    {"CALLERS": 2, "WORKERS": 1, "CALLS": 1, "PLACES": 2},
    {"CALLERS": 2, "WORKERS": 1, "CALLS": 1, "PLACES": 2, "LAZY": 1},
]
BUGS = range(1, 7)
FINDS_BUGS: Setting = {"CALLERS": 1, "WORKERS": 2, "CALLS": 2, "LAZY": 1}
MEGABYTES = 8000


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if the model fails where it should not, or a bug is not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only the smallest settings")
    parser.add_argument("--write", action="store_true", help=f"keep the outcome in {long_runs.KEPT.name}")
    options = parser.parse_args(arguments)
    if options.quick and options.write:
        parser.error("--write keeps whole runs, not --quick ones")
    missing = [program for program in ("spin", "gcc") if shutil.which(program) is None]
    if missing:
        parser.error(f"needs {' and '.join(missing)} (Debian: apt-get install spin gcc)")
    settings = SMALL if options.quick else SMALL + LARGE
    runs = [*settings, *(FINDS_BUGS | {"BUG": bug} for bug in BUGS)]
    states, failed = 0, []
    for run in track(runs, "models", disable=not sys.stderr.isatty()):
        explored, error = check(run, "-O1" if options.quick else "-O2")
        states += explored
        if bool(error) != ("BUG" in run):
            failed.append(f"{run}: {error or 'the bug was not found'}")
    print(
        "\n".join([f"{len(settings)} settings and {len(BUGS)} bugs, {states:,} states: ", *failed])
        + "right" * (not failed)
    )
    if options.write and not failed:
        long_runs.keep("check_team", settings=len(settings), bugs=len(BUGS), states=states)
    return int(bool(failed))


def check(setting: Setting, optimised: str) -> tuple[int, str]:
    """The number of states of a model, and what is wrong in one of them; empty if nothing is. Few states take longer to compile."""
    with tempfile.TemporaryDirectory() as folder:

        def run(*command: str) -> str:
            done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
            return done.stdout + done.stderr

        run("spin", "-a", *(f"-D{name}={value}" for name, value in setting.items()), str(MODEL))
        run("gcc", optimised, "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEGABYTES}", "-o", "pan", "pan.c")
        report = run("./pan", "-m1000000")
    found = re.search(r"([\d.e+]+) states, stored", report)
    if found is None or any(
        limit in report for limit in ("pan: reached", "max search depth too small", "out of memory")
    ):
        raise RuntimeError(f"SPIN did not finish {setting}:\n{report}")
    error = re.search(r"pan:1: (.*)", report)
    return int(float(found[1])), error[1] if error else ""


if __name__ == "__main__":
    sys.exit(main())
