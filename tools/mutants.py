"""Do the tests find faults? Put each of ``mutant_table.py`` into a copy of the package, and run the tests that must fail.

Without names all mutants, which takes half an hour of processor time: those in kernels compile them anew, the others take the
kernels that are in the cache, if the tests have been run before. ``--quick`` takes three, of no kernel. ``--suite`` runs the tests
of another checkout, an older one for instance, on the same faults in its own package; ``--by`` what had caught them before. The
exit status is 1 if a mutant survived, or could not be made.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from mutant import Mutant
from mutant_table import MUTANTS
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "tests" / "data" / "mutants.json"
QUICK = ("a damaged kernel is run", "blocks that end in another order", "a switch is an axis")
NEEDED = (
    "fastact",
    "tests",
    "tools",
    "benchmarks",
    "examples",
    "docs",
    "pyproject.toml",
    "README.md",
    "CONTRIBUTING.md",
)
"""What tests read of a checkout."""
SECONDS = 1200
"""A mutant that hangs is caught as well."""
FAILED, COLLECTION_FAILED, NOT_FOUND = 1, 2, 4
"""Exit statuses of pytest."""


class StaleError(ValueError):
    """The text that a mutant replaces is not in its file, or more than once."""


def mutated(source: str, mutant: Mutant) -> str:
    """A file's text with the fault in it."""
    count = source.count(mutant.old)
    if count != 1:
        raise StaleError(f"{mutant.name}: its text is {count} times in {mutant.file}, not once: {mutant.old!r}")
    return source.replace(mutant.old, mutant.new)


def run(mutant: Mutant, suite: Path, tests: Iterable[str] = ()) -> dict[str, Any]:
    """What becomes of a mutant: whether it was caught, by which test, and the seconds of processor time that it took."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder, "copy")
        for name in NEEDED:
            if (suite / name).is_dir():
                shutil.copytree(suite / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
            elif (suite / name).exists():
                shutil.copy(suite / name, copy)
        file = copy / "fastact" / mutant.file
        if not file.exists():
            raise StaleError(f"{mutant.name}: there is no {mutant.file}")
        file.write_text(mutated(file.read_text(encoding="utf-8"), mutant), encoding="utf-8")
        path = os.pathsep.join(filter(None, [str(copy), os.environ.get("PYTHONPATH", "")]))
        environment = {**os.environ, "PYTHONPATH": path}
        if not mutant.is_in_kernels:
            before = kernels(environment, suite)
        environment["FASTACT_CACHE_DIR"] = str(Path(folder, "cache"))
        if not mutant.is_in_kernels and before.is_dir():
            shutil.copytree(before, kernels(environment, copy))
        status, seconds, said = tried(copy, environment, tests or [f"tests/{name}" for name in mutant.tests])
        if status == NOT_FOUND and tests:  # with these parameters
            status, seconds, said = tried(copy, environment, [test.partition("[")[0] for test in tests])
    found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", said, re.M)
    by = (
        "a process that hangs" if status is None else "a process that dies" if status < 0 else found[1] if found else ""
    )
    caught = status is None or status < 0 or (status in (FAILED, COLLECTION_FAILED) and bool(found))
    if status not in (None, 0) and not caught:
        raise RuntimeError(f"{mutant.name}: pytest ended with {status}\n{said[-2000:]}")
    return {"caught": caught, "by": by, "seconds": round(seconds, 1)}


def tried(copy: Path, environment: dict[str, str], tests: Iterable[str]) -> tuple[int | None, float, str]:
    """Run tests up to the first that fails: the exit status, ``None`` if they hung, the processor time, and what was printed."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, cwd=copy, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        status, seconds = finished(process)
        output.seek(0)
        return status, seconds, output.read()


def kernels(environment: dict[str, str], checkout: Path) -> Path:
    """Where a checkout's kernels are kept."""
    code = "from fastact.runtime import cache; print(cache.directory() / f'{cache.VERSION}{cache.digest()}')"
    own = {**environment, "PYTHONPATH": os.pathsep.join([str(checkout), environment["PYTHONPATH"]])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, env=own, check=True, capture_output=True, text=True
    )
    return Path(done.stdout.strip())


def finished(process: "subprocess.Popen[bytes]") -> tuple[int | None, float]:
    """The exit status of a process, ``None`` if it had to be killed, and its processor time with that of its children."""
    end = time.monotonic() + SECONDS
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, used.ru_utime + used.ru_stime
        if time.monotonic() > end:
            os.killpg(process.pid, signal.SIGKILL)
            _, _, used = os.wait4(process.pid, 0)
            process.returncode = -signal.SIGKILL
            return None, used.ru_utime + used.ru_stime
        time.sleep(0.1)


def report(outcomes: dict[str, dict[str, Any]], console: Console) -> None:
    """Print a table."""
    table = Table("mutant", "file", "caught by", "seconds", title=f"{len(outcomes)} mutants")
    for mutant in MUTANTS:
        if mutant.name in outcomes:
            outcome = outcomes[mutant.name]
            by = outcome["by"] if outcome["caught"] else "[bold red]SURVIVED[/]"
            table.add_row(mutant.name, mutant.file, by.replace("tests/", ""), f"{outcome['seconds']:.0f}")
    console.print(table)


def keep(label: str, outcomes: dict[str, dict[str, Any]]) -> None:
    """Write outcomes to the file of those that are kept, beside the others; those of mutants that are gone are dropped."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    names = {mutant.name for mutant in MUTANTS}
    kept[label] = {name: found for name, found in {**kept.get(label, {}), **outcomes}.items() if name in names}
    KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def chosen(names: Iterable[str], quick: bool) -> list[Mutant]:
    """The mutants whose names contain one of these, or all, those that compile nothing first; ``--quick`` takes three."""
    names = QUICK if quick else list(names)
    found = [
        mutant for mutant in MUTANTS if not names or any(name in mutant.name or name == mutant.file for name in names)
    ]
    return sorted(found, key=lambda mutant: mutant.is_in_kernels)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if a mutant survived or could not be made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of mutants, or parts of them, or files that they are in")
    parser.add_argument("--quick", action="store_true", help="three mutants")
    parser.add_argument("--missing", action="store_true", help="those that are not kept under the name of --write yet")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    parser.add_argument("--suite", type=Path, default=ROOT, help="a checkout with other tests")
    parser.add_argument("--by", metavar="LABEL", help="run only the test that is kept as the one that caught it")
    parser.add_argument("--write", metavar="LABEL", help=f"keep the outcomes under this name in {KEPT.name}")
    options = parser.parse_args(arguments)
    console = Console()
    mutants = chosen(options.names, options.quick)
    if options.missing and KEPT.exists():
        caught = json.loads(KEPT.read_text(encoding="utf-8")).get(options.write, {})
        mutants = [mutant for mutant in mutants if mutant.name not in caught]
    if not mutants:
        parser.error(f"no mutant is called {options.names}")
    suite, wrong = options.suite.resolve(), []
    outcomes: dict[str, dict[str, Any]] = {}
    known = json.loads(KEPT.read_text(encoding="utf-8"))[options.by] if options.by else {}
    tests = {name: [found["by"]] for name, found in known.items() if found["by"].startswith("tests/")}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(options.jobs) as pool:
        task = progress.add_task("mutants", total=len(mutants))
        runs = {pool.submit(run, mutant, suite, tests.get(mutant.name, ())): mutant for mutant in mutants}
        for done in as_completed(runs):
            name = runs[done].name
            try:
                outcomes[name] = outcome = done.result()
            except (StaleError, RuntimeError) as error:
                wrong.append(str(error))
                progress.console.print(f"[red]{error}[/]", markup=True)
            else:
                if options.write:
                    keep(options.write, {name: outcome})
                progress.console.print(f"{name}: {outcome['by'] or 'SURVIVED'}", markup=False)
            progress.advance(task)
    report(outcomes, console)
    survived = [name for name, outcome in outcomes.items() if not outcome["caught"]]
    for text in [*wrong, *(f"survived: {name}" for name in survived)]:
        console.print(text, markup=False)
    return int(bool(wrong or survived))


if __name__ == "__main__":
    sys.exit(main())
