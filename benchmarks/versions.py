"""Two versions of fastact against each other, cell by cell: ``python -m benchmarks.versions ../older``.

Each version computes in a process of its own, which imports fastact from its checkout; the cases are this checkout's. The two
take turns, a few milliseconds each, in an order that changes from round to round, and a ratio is formed within a round: what
disturbs the machine disturbs both. A ratio is this checkout's time over the other's, so above 1 this one is slower. A
cell that seems slower than ``--slower`` is measured again, with more rounds each time, before it is believed.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import case, cases, company, machine, measure, programs, tables

ROOT = Path(__file__).resolve().parent.parent
ROUNDS, AGAIN = 11, (31, 101)
"""Rounds of a first measurement, and of those that a cell that seems slower is given."""
STEPS, CALM = 0.1, 0.05
"""Seconds of a program's turn, and of the pause before it: threads of matrix products spin for a while after the last one."""
FIRST_CALLS = ("gelu", "gelu_backward", "swiglu", "softmax", "log_softmax", "cross_entropy_with_grad", "maxout")

WORKER = """
import sys
sys.path.insert(0, {root!r})
from benchmarks.versions import work
sys.path[0] = {checkout!r}
work()
"""
FIRST_CALL = """
import sys, time
sys.path.insert(0, {checkout!r})
import numpy, fastact
x = numpy.ones((8, 64), numpy.float32)
operands = {{"swiglu": (x, x), "cross_entropy_with_grad": (x, numpy.zeros(8, int)), "maxout": (x, 2)}}
operands = operands.get({function!r}, (x, x) if {function!r}.endswith("_backward") else (x,))
start = time.process_time()
getattr(fastact, {function!r})(*operands)
print(time.process_time() - start)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versions", description=__doc__)
    parser.add_argument("other", type=Path, help="the other version's checkout, which holds a folder fastact")
    parser.add_argument(
        "--what", nargs="+", choices=("cells", "programs", "first-calls"), default=["cells", "programs"]
    )
    parser.add_argument("--op", nargs="+", help="ops (default: all that both versions have)")
    parser.add_argument("--dtype", nargs="+", choices=case.DTYPES, default=case.DTYPES)
    parser.add_argument("--size", nargs="+", type=int, help="numbers of elements (default: those of fastact bench)")
    parser.add_argument("--variant", nargs="+", choices=tuple(case.VARIANT_SIZES), default=tuple(case.VARIANT_SIZES))
    parser.add_argument("--slower", type=float, default=1.03, help="what a cell may be at most (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="three rounds of one size, and two programs")
    parser.add_argument("--json", type=Path, help="a file for all ratios")
    options = parser.parse_args(arguments)
    unknown = set(options.op or ()) - set(cases.op_names())
    if unknown:
        parser.error(f"{sorted(unknown)[0]} is no op (a gradient is measured with its function)")
    if not (options.other / "fastact").is_dir():
        parser.error(f"{options.other} holds no folder fastact")
    found: dict[str, list[float]] = {}
    if set(options.what) & {"cells", "programs"}:
        with Version(ROOT) as new, Version(options.other) as old:
            for name, what in _tasks(options, old):
                found[name] = _ratio(new, old, what, options)
                _show(name, found[name], options.slower)
    if "first-calls" in options.what:
        for function in FIRST_CALLS[: 1 if options.quick else None]:
            name = f"first call of {function}"
            found[name] = _first_calls(options.other, function, 1 if options.quick else 5)
            _show(name, found[name], options.slower)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine.machine(), "ratios": found}, indent=1) + "\n")
    _summarise(found, options.slower)
    return 0


class Version:
    """A process that measures what it is told to, with the fastact of a checkout."""

    def __init__(self, checkout: Path) -> None:
        code = WORKER.format(root=str(ROOT), checkout=str(checkout.resolve()))
        command = [sys.executable, "-I", "-c", code]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> "Version":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def ask(self, request: Any) -> Any:
        """Send a request, and wait for what is answered."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def _tasks(options: argparse.Namespace, old: Version) -> Iterator[tuple[str, Any]]:
    """What is measured: a name, and what makes a version ready for it."""
    if "cells" in options.what:
        ops = [op for op in cases.op_names() if not options.op or op in options.op]
        sizes = [1000] if options.quick else options.size
        chosen: Any = {"dtypes": options.dtype, "variants": options.variant}
        each = itertools.chain(cases.every_case(ops, sizes=sizes, **chosen), cases.shaped_cases(ops, **chosen))
        known = set(old.ask({"names": None}))
        for one in itertools.islice(each, 3 if options.quick else None):
            if one.name in known:
                yield str(one), {"case": asdict(one)}
    if "programs" in options.what:
        for program in programs.PROGRAMS[: 2 if options.quick else None]:
            yield program.name, {"program": program.name}


def _ratio(new: Version, old: Version, what: Any, options: argparse.Namespace) -> list[float]:
    """The quartiles of the ratio; of a cell that seems slower, those of the measurement with most rounds."""
    if not (new.ask(what) and old.ask(what)):
        return []
    ratio: list[float] = []
    for rounds in (3,) if options.quick else (ROUNDS, *AGAIN):
        times: dict[Version, list[float]] = {new: [], old: []}
        for i in range(rounds):
            for version in (new, old)[:: 1 if i % 2 else -1]:
                times[version].append(version.ask({"turn": None}))
        ratio = measure.quartiles(np.array(times[new]) / np.array(times[old]))
        if ratio[2] <= options.slower:
            break
    return ratio


def _first_calls(other: Path, function: str, repeat: int) -> list[float]:
    """The quartiles of the ratio of processor times that a function's first call takes with an empty cache."""
    ratio = []
    for i in range(repeat):
        seconds = {}
        for checkout in (ROOT, other)[:: 1 if i % 2 else -1]:
            code = FIRST_CALL.format(checkout=str(checkout.resolve()), function=function)
            with tempfile.TemporaryDirectory() as cache:
                environment = {**os.environ, "FASTACT_CACHE_DIR": cache}
                command = [sys.executable, "-I", "-c", code]
                done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
            seconds[checkout] = float(done.stdout)
        ratio.append(seconds[ROOT] / seconds[other])
    return measure.quartiles(ratio)


def _show(name: str, ratio: Sequence[float], slower: float) -> None:
    if ratio:
        print(f"{name}: {ratio[2]:.3f} [{ratio[1]:.3f}, {ratio[3]:.3f}]{' *' if ratio[2] > slower else ''}", flush=True)
    else:
        print(f"{name}: one of the versions cannot", flush=True)


def _summarise(found: dict[str, list[float]], slower: float) -> None:
    middle = np.array([ratio[2] for ratio in found.values() if ratio])
    above = {name: ratio for name, ratio in found.items() if ratio and ratio[2] > slower}
    rows = [(name, *(f"{value:.3f}" for value in ratio[1:4])) for name, ratio in above.items()]
    if rows:
        print("\n" + tables.table(("slower", "quartile", "median", "quartile"), rows, False))
    if len(middle):
        print(
            f"\n{len(middle)} ratios, geometric mean {np.exp(np.log(middle).mean()):.3f}, {len(above)} above {slower}"
        )
    busy = machine.busy()
    if busy:
        print(busy)


def work() -> None:
    """Answer requests of another process, a line each: make a case ready, take a turn."""
    answers, sys.stdout = sys.stdout, sys.stderr
    take = None
    for line in sys.stdin:
        ((request, value),) = json.loads(line).items()
        answer: Any = True
        if request == "names":
            import fastact

            answer = [name for name in dir(fastact) if callable(getattr(fastact, name))]
        elif request == "turn":
            assert take is not None
            answer = take()
        else:
            take = None  # so that its arrays are gone before others are made
            try:
                take = _turns_of_case(value) if request == "case" else _turns_of_program(value)
            except Exception as error:  # whatever an older version raises at what it cannot do
                print(f"{value}: {type(error).__name__}: {error}", file=sys.stderr)
                answer = False
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _turns_of_case(fields: dict[str, Any]) -> Any:
    """A function that takes a turn of a case and returns the seconds of a repetition."""
    one = case.Case(**{**fields, "shape": tuple(fields["shape"])})
    return measure.Clock(cases.contenders(one, ())["fastact"], measure.TURN).turn


def _turns_of_program(name: str) -> Any:
    """A function that takes steps of a program for a while and returns the median of their seconds."""
    (program,) = (program for program in programs.PROGRAMS if program.name == name)
    (contender,) = company.contenders(program, (company.FASTACT,)).values()

    def step() -> float:
        start = time.perf_counter()
        for part in contender.parts:
            part()
        return time.perf_counter() - start

    def turn() -> float:
        time.sleep(CALM)
        step()
        times = [step()]
        while sum(times) < STEPS:
            times.append(step())
        return float(np.median(times))

    turn()
    return turn


if __name__ == "__main__":
    sys.exit(main())
