"""Measure the largest error of every function: over all 2**32 float32 inputs, or over float64 samples of every binade.

    python tools/sweep.py gelu gelu_backward        every float32, half a minute per function and core
    python tools/sweep.py --quick                   a million of them, and all the edges
    python tools/sweep.py --float64                 ten thousand numbers, against mpmath
    python tools/sweep.py --jobs 2 --write          keep the result in tests/data/accuracy.json

The tests fail if an error grows beyond what is kept there. float32 is compared with ``fastact.reference`` in float64.
Over all inputs that would take an hour and more. There the function's own float64 kernel, which ``--float64`` compares
with mpmath, screens them: in every binade the reference measures what the screen finds worst, until nothing that it
has not measured can be worse by more than 3e-7. The reference is taken with SciPy's ``erf`` and ``erfc`` where SciPy is
installed (the C library's, one number at a time, are 20 times slower) and with ``logaddexp`` in terms of ``log1p``:
both are right to within 1e-13, a millionth of float32's last place.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fastact
from fastact.functions.numpy_maths import numpy_maths
from fastact.kernels import jit
from fastact.maths.simd import pow2
from tests.mpmaths import float64_errors
from tests.ulp import (
    ACCURACY,
    compute,
    float32_errors,
    float32_samples,
    float64_samples,
    functions,
    halves_rounded_twice,
    load_accuracy,
    neighbours,
    parameters,
    promised,
    split,
)

BLOCK = 1 << 15
"""Inputs measured at a time: what NumPy's temporaries need stays in the second-level cache."""
SCREENED_BLOCK = 1 << 15
CHUNK = 1 << 24
QUICK_STRIDE = 1 << 12
FLOAT64_CHUNK = 500
KEPT = 16
TOP = 16
SCREEN_ERROR = 1e-7
"""More than the error of a float64 kernel, in ULP of float32."""


def _sweep_maths() -> SimpleNamespace:
    """Copy the reference's maths with faster functions in place of its slowest."""

    def logaddexp(a: Any, b: Any) -> Any:
        return np.maximum(a, b) + np.log1p(np.exp(-np.abs(a - b)))

    maths = SimpleNamespace(**vars(numpy_maths))
    maths.logaddexp = logaddexp
    try:
        from scipy import special
    except ImportError:
        return maths
    maths.erf, maths.erfc = special.erf, special.erfc
    return maths


SWEEP_MATHS = _sweep_maths()


@dataclass(frozen=True)
class Task:
    """One function over some inputs: patterns of float32 from ``start`` to ``stop``, or a slice of the samples."""

    name: str
    kind: str
    start: int
    stop: int


@dataclass
class Result:
    """The largest error and its input per sign and binade, and how often NaN or infinity was wrong or missing."""

    worst: dict[int, tuple[float, float]] = field(default_factory=dict)
    wrong_specials: int = 0

    def add(self, binade: int, error: float, x: float) -> None:
        """Keep an input if it is the worst of its binade."""
        if binade not in self.worst or error > self.worst[binade][0]:
            self.worst[binade] = error, x

    def merge(self, other: "Result") -> None:
        """Add what another task found."""
        for binade, (error, x) in other.worst.items():
            self.add(binade, error, x)
        self.wrong_specials += other.wrong_specials

    def top(self) -> list[tuple[float, float]]:
        """List the worst inputs of different binades, largest error first, without those that have none."""
        ordered = sorted(self.worst.values(), key=lambda pair: (-pair[0], abs(pair[1]), pair[1]))
        return [(error, x) for error, x in ordered[:KEPT] if error > 0]

    @property
    def max_ulp(self) -> float:
        """The largest error."""
        return max((error for error, _ in self.worst.values()), default=0.0)

    def entry(self, inputs: str) -> dict[str, Any]:
        """Make the entry for ``accuracy.json``; inputs as hexadecimal floats, which read back exactly."""
        # Rounded up: the test compares with the measurement, and may be no more exact.
        max_ulp = float(np.ceil(self.max_ulp * 1e6) / 1e6)
        return {"at": [float(x).hex() for _, x in self.top()], "inputs": inputs, "max_ulp": max_ulp}


def quick_patterns(name: str) -> Any:
    """Choose one pattern at random of every 4096, those near kinks and binades' edges, and what the tests sample."""
    op, _ = split(name)
    patterns = np.arange(0, 1 << 32, QUICK_STRIDE, dtype=np.uint64)
    patterns += np.random.default_rng(3).integers(QUICK_STRIDE, size=patterns.size, dtype=np.uint64)
    edges = (np.arange(512, dtype=np.uint32) << 23).view(np.float32)
    near = [neighbours(edges, np.float32, 64), neighbours(op.kinks, np.float32, 2048), float32_samples(op)]
    return np.unique(np.concatenate([patterns.astype(np.uint32), *(x.view(np.uint32) for x in near)]))


def tasks(name: str, kind: str) -> list[Task]:
    """Divide the work on one function."""
    chunk = FLOAT64_CHUNK if kind == "float64" else CHUNK
    if kind == "all":
        size = 1 << 32
    else:
        size = (quick_patterns(name) if kind == "quick" else float64_samples(split(name)[0])).size
    return [Task(name, kind, start, min(start + chunk, size)) for start in range(0, size, chunk)]


def run(task: Task) -> Result:
    """Measure one task."""
    fastact.set_num_threads(1)  # processes share the work
    result = Result()
    if task.kind == "float64":
        x = float64_samples(split(task.name)[0])[task.start : task.stop]
        _collect(result, x, x.view(np.int64) >> 52, float64_errors(task.name, x))
        return result
    patterns = quick_patterns(task.name) if task.kind == "quick" else None
    if patterns is None:
        for start in range(task.start, task.stop, SCREENED_BLOCK):
            x = np.arange(start, start + SCREENED_BLOCK, dtype=np.uint32).view(np.float32)
            _collect_screened(result, task.name, x, start >> 23)
        return result
    for start in range(task.start, task.stop, BLOCK):
        block = patterns[start : min(start + BLOCK, task.stop)]
        errors = float32_errors(task.name, block.view(np.float32), maths=SWEEP_MATHS)
        _collect(result, block.view(np.float32), block >> 23, errors)
    return result


def _collect_screened(result: Result, name: str, x: Any, binade: int) -> None:
    """Add the largest error of a block that lies in one binade."""
    params = parameters(split(name)[0], np.float32)
    with np.errstate(all="ignore"):
        computed, exact = compute(name, x, *params), compute(name, x.astype(np.float64), *params)
    bounds = np.empty(x.size)
    _screen(computed.astype(np.float64), exact, exact.view(np.int64), bounds)
    strange = np.flatnonzero(np.isnan(bounds))
    if strange.size:
        bounds[strange] = float32_errors(name, x[strange], maths=SWEEP_MATHS)
        result.wrong_specials += int(np.isinf(bounds[strange]).sum())
    measured = np.zeros(x.size, dtype=bool)
    measured[strange] = True
    many = TOP
    while True:
        worst = int(np.argmax(bounds))
        if bounds[worst] <= result.worst.get(binade, (0.0, 0.0))[0] + 2 * SCREEN_ERROR:
            return
        if measured[worst]:
            result.add(binade, float(bounds[worst]), float(x[worst]))
            return
        top = np.argpartition(bounds, -many)[-many:]
        bounds[top] = float32_errors(name, x[top], maths=SWEEP_MATHS)
        measured[top] = True
        many = min(8 * many, x.size)


jit.register()


@numba.njit
def _screen(computed: Any, exact: Any, exact_bits: Any, bounds: Any) -> None:
    """Bound the errors in ULP of float32; NaN for what only the reference can tell."""
    for i in range(exact.size):
        exponent = max((exact_bits[i] >> 52) & 0x7FF, 1023 - 126) - 1023
        error = abs(computed[i] - exact[i]) * pow2(23 - exponent) + SCREEN_ERROR
        same = computed[i] == exact[i] or (computed[i] != computed[i] and exact[i] != exact[i])
        bounds[i] = 0.0 if same else (error if error < np.inf else np.nan)


def _collect(result: Result, x: Any, binades: Any, errors: Any) -> None:
    """Add the largest error of every run of equal binades."""
    starts = [0, *(np.flatnonzero(np.diff(binades)) + 1).tolist(), x.size]
    for start, stop in itertools.pairwise(starts):
        at = start + int(np.argmax(errors[start:stop]))
        result.add(int(binades[at]), float(errors[at]), float(x[at]))
    result.wrong_specials += int(np.isinf(errors).sum())


def results(todo: list[Task], jobs: int) -> Iterator[tuple[Task, Result]]:
    """Run all tasks, in this process or in several."""
    if jobs == 1:
        yield from ((task, run(task)) for task in todo)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from zip(todo, pool.imap(run, todo), strict=True)


def store(name: str, kind: str, result: Result) -> bool:
    """Merge a result into ``accuracy.json``; a quick sweep does not replace a complete one."""
    stored = load_accuracy()
    entry = stored.setdefault(name, {})
    dtype = dtype_of(kind)
    if kind == "quick" and entry.get(dtype, {}).get("inputs") == "all":
        return False
    entry[dtype] = result.entry("samples" if kind == "float64" else kind)
    ACCURACY.parent.mkdir(exist_ok=True)
    unfinished = ACCURACY.with_suffix(f".{os.getpid()}.tmp")
    unfinished.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
    unfinished.replace(ACCURACY)
    return True


def dtype_of(kind: str) -> str:
    """The dtype that a kind of sweep measures."""
    return "float64" if kind == "float64" else "float32"


def report(name: str, kind: str, result: Result) -> str:
    """Describe a result in one line."""
    bound = promised(name, dtype_of(kind))
    verdict = "" if result.max_ulp <= bound else f"  EXCEEDS {bound:g}"
    wrong = f"  {result.wrong_specials} times NaN or infinity, or not, wrongly" if result.wrong_specials else ""
    at = ", ".join(f"{x!r} ({error:.3g})" for error, x in result.top()[:4])
    return f"{name:22} {result.max_ulp:10.6g} ULP{verdict}{wrong}  at {at or 'no input'}"


def sweep(names: Iterable[str], kind: str, jobs: int, write: bool) -> bool:
    """Measure functions one after the other; return whether all keep their promise."""
    todo = {name: tasks(name, kind) for name in names}
    fine = True
    with _progress() as bar:
        total = bar.add_task("", total=sum(map(len, todo.values()))) if bar else None
        running: dict[str, Result] = {}
        left = {name: len(parts) for name, parts in todo.items()}
        for task, result in results([task for parts in todo.values() for task in parts], jobs):
            name = task.name
            running.setdefault(name, Result()).merge(result)
            left[name] -= 1
            if bar:
                bar.update(total, advance=1, description=name)
            if left[name]:
                continue
            found = running.pop(name)
            _say(bar, report(name, kind, found))
            fine &= found.max_ulp <= promised(name, dtype_of(kind))
            if write and not store(name, kind, found):
                _say(bar, f"{name}: a quick sweep does not replace the complete one that is stored")
    return fine


def sweep_halves(names: Iterable[str]) -> bool:
    """Compute all float16 with functions; return whether each rounds the float32 result once."""
    fine = True
    todo = list(names)
    with _progress() as bar:
        total = bar.add_task("", total=len(todo)) if bar else None
        for name in todo:
            found = halves_rounded_twice(name)
            _say(bar, found or f"{name:22} rounds the float32 result once")
            fine &= not found
            if bar:
                bar.update(total, advance=1, description=name)
    return fine


def _say(bar: Any, line: str) -> None:
    """Print a line, above the progress bar if there is one."""
    if bar:
        bar.console.print(line, highlight=False, soft_wrap=True)
    else:
        print(line, flush=True)


def _progress() -> Any:
    """Make a progress bar if anybody is there to see it."""
    if not sys.stdout.isatty():
        return nullcontext()
    try:
        from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
    except ImportError:
        return nullcontext()
    return Progress(*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="function, such as gelu or gelu_backward; default all")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--quick", action="store_true", help="float32, but one input of 4096, and the edges")
    which.add_argument("--float16", action="store_true", help="all float16 against float32 results, rounded")
    which.add_argument("--float64", action="store_true", help="float64 samples against mpmath")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes, default 1")
    parser.add_argument("--write", action="store_true", help=f"keep the results in {os.path.relpath(ACCURACY)}")
    arguments = parser.parse_args()
    names = arguments.names or functions()
    if unknown := set(names) - set(functions()):
        parser.error(f"no such function: {', '.join(sorted(unknown))}; there are {', '.join(functions())}")
    if arguments.float16:
        return 0 if sweep_halves(names) else 1
    kind = "quick" if arguments.quick else "float64" if arguments.float64 else "all"
    return 0 if sweep(names, kind, arguments.jobs, arguments.write) else 1


if __name__ == "__main__":
    sys.exit(main())
