"""Run NumPy's and SciPy's own tests with their functions replaced: ``python tools/others_tests.py --write``.

Each module of tests runs in a process of its own: with `fastact.accelerate`, or with the functions of `fastact.special` in the
place of those of ``scipy.special``. Where something fails it runs once more with nothing replaced. What then passes, and is not
one of the differences that are known, is an error of fastact's: it is printed, and the exit status is 1. RuntimeWarnings count as
failures, as in the projects' own settings. ``--quick`` takes the shortest modules, ``--only TEXT`` those whose name holds a text;
all take about an hour. ``--write`` keeps what was found and writes ``docs/others-tests.md``.
"""

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import long_runs  # noqa: E402
from pages import DOCS, write_or_check  # noqa: E402

PAGE = DOCS / "others-tests.md"
RUN = "others_tests"

ACCELERATED = (
    *(f"numpy._core.tests.test_{name}" for name in ("half", "multiarray", "nep50_promotions", "numeric", "scalarmath")),
    *(f"numpy._core.tests.test_{name}" for name in ("ufunc", "umath", "umath_accuracy", "umath_complex")),
    *(f"numpy.lib.tests.test_{name}" for name in ("function_base", "nanfunctions")),
    "numpy.ma.tests.test_core",
    *(f"scipy.special.tests.test_{name}" for name in ("basic", "data", "logit", "logsumexp", "mpmath", "ndtr")),
    *(f"scipy.stats.tests.test_{name}" for name in ("entropy", "kdeoth", "multivariate")),
)
"""Modules of tests that run with `accelerate`."""

SPECIAL = (
    *(f"scipy.special.tests.test_{name}" for name in ("basic", "data", "erfinv", "logit", "logsumexp", "mpmath")),
    *(f"scipy.special.tests.test_{name}" for name in ("nan_inputs", "ndtr", "ndtri_exp")),
    *(f"scipy.stats.tests.test_{name}" for name in ("entropy", "kdeoth", "multivariate")),
)
"""Modules of tests that run with the functions of `fastact.special`."""

START = "import sys; sys.path.insert(0, sys.argv.pop(1)); import pytest; sys.exit(pytest.main(sys.argv[1:]))"
"""Runs pytest where it finds the plugin."""

QUICK = ("scipy.special.tests.test_logit", "scipy.special.tests.test_ndtr")


@dataclass(frozen=True)
class Known:
    """A difference that is meant: what a test that meets it fails with, and why that is so."""

    error: str
    """A regular expression, found in the name of the test and the first line of its error."""
    reason: str


KNOWN = (
    Known(
        r"fastact\.special\.\w+ takes real numbers, got complex|TypeError: ufunc '\w+' not supported for the input types",
        "`fastact.special` refuses complex numbers and `longdouble`, by a TypeError; SciPy's functions take them.",
    ),
    Known(
        r"test_memoverlap_accumulate_symmetric\[(hypot|logaddexp2?)-",
        "`reduce` and `accumulate` of `hypot`, `logaddexp` and `logaddexp2` are computed by NumPy's loop, as each result is an "
        "operand of the next: the last digit may be another than that of single calls, with which the tests compare.",
    ),
)
"""All differences that are known."""


@dataclass
class Suite:
    """A module of tests, what is replaced meanwhile, and how its tests ended."""

    module: str
    replaced: str
    passed: int = 0
    skipped: int = 0
    known: dict[str, int] = field(default_factory=dict)
    """How many tests met which known difference, by its reason."""
    also_without: int = 0
    """Tests that fail with nothing replaced, too."""
    failed: list[str] = field(default_factory=list)


def every_suite() -> list[Suite]:
    """All of them."""
    return [Suite(module, "accelerate") for module in ACCELERATED] + [Suite(module, "special") for module in SPECIAL]


def run(suite: Suite, says: Callable[[str, int, int], None]) -> None:
    """Run a module with functions replaced, and once more without if anything fails that is no known difference."""
    failures = {}
    for line in outcomes(suite.module, suite.replaced, says):
        if line["outcome"] == "passed":
            suite.passed += 1
        elif line["outcome"] == "skipped":
            suite.skipped += 1
        else:
            failures[line["test"]] = line["error"]
    unknown = {}
    for test, error in failures.items():
        reason = next((known.reason for known in KNOWN if re.search(known.error, f"{test}: {error}")), None)
        if reason is None:
            unknown[test] = error
        else:
            suite.known[reason] = suite.known.get(reason, 0) + 1
    without = (
        {line["test"] for line in outcomes(suite.module, "nothing", says) if line["outcome"] == "failed"}
        if unknown
        else set()
    )
    suite.also_without = len(unknown.keys() & without)
    suite.failed = [f"{test}: {error}" for test, error in unknown.items() if test not in without]


def outcomes(module: str, replaced: str, says: Callable[[str, int, int], None]) -> Iterator[dict[str, str]]:
    """The outcomes of a module's tests as they come in; a process that dies is a failed test."""
    with tempfile.TemporaryDirectory() as folder:
        file, log = Path(folder, "outcomes"), Path(folder, "log")
        file.touch()
        options = ["-p", "others_plugin", f"--replaced={replaced}", f"--outcomes={file}", "-q", "--tb=line"]
        options += ["-p", "no:cacheprovider", "-W", "error::RuntimeWarning", "--pyargs", module]
        command = [sys.executable, "-c", START, str(HERE), *options]
        with log.open("w") as output, file.open(encoding="utf-8") as lines:
            process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
            try:
                tests = done = 0
                ended = False
                while not ended:
                    ended = process.poll() is not None
                    for line in lines:
                        found = json.loads(line)
                        tests = found.get("tests", tests)
                        if "test" in found:
                            done += 1
                            yield found
                        says(f"{module}, {replaced}", done, tests)
                    time.sleep(0.0 if ended else 0.2)
            finally:
                process.kill()
        if process.returncode not in (0, 1):
            end = " ".join(log.read_text(encoding="utf-8", errors="replace").split()[-40:])
            yield {"test": "pytest", "outcome": "failed", "error": f"exit status {process.returncode}: {end}"}


HEADER = "<!-- Written by tools/others_tests.py from what it found: do not edit. -->"
INTRODUCTION = """\
# Tests of others

NumPy's and SciPy's own tests, run by `tools/others_tests.py` with functions replaced. *accelerate* means that
`fastact.accelerate()` was called before the tests were imported, so that every inner loop of NumPy's for which there is one here
is fastact's; *special* that the functions of `fastact.special` stood in the place of those of `scipy.special`. RuntimeWarnings
count as failures. *Known* are the tests that met a difference that is meant, *also without* those that fail with nothing
replaced, too, and *failed* is what is left."""
COLUMNS = ("tests", "replaced", "passed", "skipped", "known", "also without", "failed")


def page(run: dict[str, Any]) -> str:
    """The page, of what is kept."""
    lines = [f"| {' | '.join(COLUMNS)} |", "| :-- | :-- | --: | --: | --: | --: | --: |"]
    total = [0] * 5
    reasons: dict[str, int] = {}
    for kept in run["suites"]:
        suite = Suite(**kept)
        numbers = numbers_of(suite)
        total = [a + b for a, b in zip(total, numbers, strict=True)]
        for reason, count in suite.known.items():
            reasons[reason] = reasons.get(reason, 0) + count
        lines.append(f"| `{suite.module}` | {suite.replaced} | {' | '.join(f'{number:,}' for number in numbers)} |")
    lines.append(f"| **all** | | {' | '.join(f'{number:,}' for number in total)} |")
    known = [f"- {reason} ({count:,} tests)" for reason, count in reasons.items()]
    versions = ", ".join(f"{name} {number}" for name, number in sorted((run["versions"] | run["packages"]).items()))
    closing = (
        f"Run on {run['date']} with {versions}. To run again: `python tools/others_tests.py --write`, in about an hour."
    )
    parts = [
        HEADER + "\n" + INTRODUCTION,
        "\n".join(lines),
        "## Known differences",
        "\n".join(known) or "None.",
        closing,
    ]
    return "\n\n".join(parts) + "\n"


def numbers_of(suite: Suite) -> list[int]:
    """The columns of a suite that are numbers."""
    return [suite.passed, suite.skipped, sum(suite.known.values()), suite.also_without, len(suite.failed)]


def kept_run() -> dict[str, Any]:
    """What earlier runs have found."""
    found: dict[str, Any] = json.loads(long_runs.KEPT.read_text(encoding="utf-8")).get(RUN, {})
    return found


def keep(found: Sequence[Suite]) -> None:
    """Keep what was found, in the place of what these suites gave earlier; others stay."""
    suites = {(suite["module"], suite["replaced"]): suite for suite in kept_run().get("suites", ())}
    suites |= {(suite.module, suite.replaced): asdict(suite) for suite in found}
    order = [(suite.module, suite.replaced) for suite in every_suite()]
    kept = [suites[key] for key in order if key in suites]
    long_runs.keep(RUN, suites=kept, packages={name: metadata.version(name) for name in ("scipy", "pytest")})


def write(check: bool) -> bool:
    """Write the page, or check it; whether it is fresh."""
    return write_or_check(PAGE, page(kept_run()), check)


@contextmanager
def progress(count: int) -> Iterator[Callable[[int, str, int, int], None]]:
    """A function that shows how far a suite is, and how far all are, where somebody is there to see it."""
    if not sys.stdout.isatty():
        yield lambda *_: None
        return
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        every, one = bar.add_task("all", total=count), bar.add_task("", total=None)

        def shown(suites_done: int, what: str, done: int, tests: int) -> None:
            bar.update(every, completed=suites_done)
            bar.update(one, description=what, completed=done, total=tests or None)

        yield shown


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--only", default="", metavar="TEXT", help="only modules whose name holds this")
    parser.add_argument("--replaced", choices=("accelerate", "special"), help="only what is run with this replaced")
    parser.add_argument("--write", action="store_true", help=f"keep what is found, and write {PAGE.name}")
    parser.add_argument("--page", action="store_true", help="run nothing, but write the page")
    options = parser.parse_args()
    if options.page:
        return 0 if write(False) else 1
    wanted = [
        suite
        for suite in every_suite()
        if options.only in suite.module
        and (not options.quick or suite.module in QUICK)
        and options.replaced in (None, suite.replaced)
        and importlib.util.find_spec(suite.module.partition(".")[0])
    ]
    with progress(len(wanted)) as shown:
        for number, suite in enumerate(wanted):
            run(suite, partial(shown, number))
            if options.write:  # at once: all of them take long
                keep([suite])
            print(f"{suite.module}, {suite.replaced}: {report(suite)}", *suite.failed, sep="\n    ", flush=True)
    if options.write:
        write(False)
    return int(not wanted or any(suite.failed for suite in wanted))


def report(suite: Suite) -> str:
    """The numbers of a suite, in one line."""
    return ", ".join(f"{number} {name}" for number, name in zip(numbers_of(suite), COLUMNS[2:], strict=True))


if __name__ == "__main__":
    sys.exit(main())
