"""Timing whole steps of programs, and single calls, in the company that they keep: matrix products, and busy processes.

The contenders take turns as in ``measure``, but each step is timed singly: a thread that comes late is rare, and shows in the mean
and in the 99th percentile where a median hides it.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .measure import PAUSE, Cell, quartiles, rotated
from .programidioms import Maths, fastact_maths, numpy_maths
from .programs import Program

TURN = 0.25
NUMPY, FASTACT, ONE_THREAD = "numpy", "fastact", "fastact on one thread"
VERSIONS: dict[str, Callable[[], Maths]] = {NUMPY: numpy_maths, FASTACT: fastact_maths, ONE_THREAD: fastact_maths}
"""The contenders; ``fastact`` has as many threads as it takes by itself, or as the caller has set."""
PRODUCT_ALONE, OP_ALONE = "product alone", "op alone on one thread"
"""Those that the two parts of a step are compared with."""

BUSY = (0, 1, 2, 4)
"""Numbers of busy processes that a call runs beside."""
BUSY_LOOP = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print(flush=True)
while True: pass
"""
"""It ends with its parent, whatever ends that: then there is no more to read."""

STATISTICS: dict[str, Callable[[Any], Any]] = {
    "median": np.median,
    "mean": np.mean,
    "p99": lambda times: np.quantile(times, 0.99),
}

Times = Any
"""Seconds, a row for each step of a turn and a column for each part of a step."""


@dataclass(frozen=True)
class Contender:
    """The parts of a step, which are timed one after another."""

    parts: Sequence[Callable[[], object]]
    threads: int | None = None
    """How many fastact computes with, for whole turns: nothing is set between two steps. ``None``: as many as it does anyway."""


def measure(program: Program, rounds: int, turn: float = TURN) -> Cell:
    """Time the contenders of a program.

    Returns
    -------
    dict
        ``program``; ``rounds``; ``steps``, how many of each contender were timed; ``seconds``, of each contender's steps the
        ``median``, the ``mean`` and ``p99``, the 99th percentile; ``ratio``, for each but fastact the minimum, quartiles and
        maximum over the rounds of its ``median`` and of its ``mean`` over fastact's. For a program of two parts ``company``
        as well, with the ``seconds`` of each part, medians, and three of their ratios as ``ratio``, see ``_company``.
    """
    times = take_turns({**contenders(program), **_alone(program)}, rounds, turn)
    steps = {name: [parts.sum(1) for parts in times[name]] for name in VERSIONS}
    ratio = {name: _ratios(steps[name], steps[FASTACT], ("median", "mean")) for name in (NUMPY, ONE_THREAD)}
    cell = {"program": program.name, **_summary(steps), "ratio": ratio}
    return cell if program.parts is None else {**cell, "company": _company(times)}


def contenders(program: Program, names: Sequence[str] = tuple(VERSIONS)) -> dict[str, Contender]:
    """Who takes part in a program, by name; each has arrays of its own."""
    parts = program.parts or (lambda maths: (program.make(maths),))
    return {name: Contender(parts(VERSIONS[name]()), 1 if name == ONE_THREAD else None) for name in names}


def _alone(program: Program) -> dict[str, Contender]:
    """The two parts of a step, each in turns of its own; none of a program that has no parts."""
    if program.parts is None:
        return {}
    product, op = program.parts(fastact_maths())
    return {PRODUCT_ALONE: Contender((product,)), OP_ALONE: Contender((op,), 1)}


def _company(times: Mapping[str, Sequence[Times]]) -> dict[str, Any]:
    """How the parts of a step do beside each other, against each alone: medians of a turn, ratios within a round.

    ``sum`` is the product and the op in turns, with fastact's threads, over the product alone and the op alone on one
    thread; ``product`` the product beside the op over the product alone, and ``product beside one thread`` the same where the op
    has one thread; ``op`` the op on one thread over the op with
    fastact's threads, both beside the product.
    """
    part = {
        "product": [turn[:, 0] for turn in times[FASTACT]],
        "op": [turn[:, 1] for turn in times[FASTACT]],
        "op on one thread": [turn[:, 1] for turn in times[ONE_THREAD]],
        "product beside one thread": [turn[:, 0] for turn in times[ONE_THREAD]],
        **{name: [turn[:, 0] for turn in times[name]] for name in (PRODUCT_ALONE, OP_ALONE)},
    }
    middle = {name: np.array([np.median(turn) for turn in turns]) for name, turns in part.items()}
    ratio = {
        "sum": (middle["product"] + middle["op"]) / (middle[PRODUCT_ALONE] + middle[OP_ALONE]),
        "product": middle["product"] / middle[PRODUCT_ALONE],
        "product beside one thread": middle["product beside one thread"] / middle[PRODUCT_ALONE],
        "op": middle["op on one thread"] / middle["op"],
    }
    return {
        "seconds": {name: float(np.median(np.concatenate(turns))) for name, turns in part.items()},
        "ratio": {name: quartiles(values) for name, values in ratio.items()},
    }


def calls() -> dict[str, Callable[[], object]]:
    """The calls that are measured beside busy processes, by name."""
    import fastact

    rng = np.random.default_rng(1)
    x = rng.standard_normal(1_000_000, dtype=np.float32)
    out, few = np.empty_like(x), 65_536
    rows, rows_out = x[:100_000].reshape(100, 1000), out[:100_000].reshape(100, 1000)
    return {
        "softmax of 100 x 1000": lambda: fastact.softmax(rows, out=rows_out),
        "gelu of 65536": lambda: fastact.gelu(x[:few], out[:few]),
        "gelu of 1000000": lambda: fastact.gelu(x, out),
    }


def measure_beside(name: str, processes: int, rounds: int, turn: float = TURN) -> Cell:
    """Time one of ``calls`` with fastact's threads and on one, beside busy processes.

    Returns
    -------
    dict
        ``call``; ``beside``, the number of processes; ``rounds``, ``steps`` and ``seconds`` as of a program; ``ratio``, of the
        ``median``, the ``mean`` and ``p99`` the minimum, quartiles and maximum over the rounds of fastact's with its threads
        over those on one thread: below 1 where threads pay.
    """
    call = calls()[name]
    with busy_processes(processes):
        found = take_turns({FASTACT: Contender((call,)), ONE_THREAD: Contender((call,), 1)}, rounds, turn)
    times = {name: [turn[:, 0] for turn in turns] for name, turns in found.items()}
    ratio = _ratios(times[FASTACT], times[ONE_THREAD], tuple(STATISTICS))
    return {"call": name, "beside": processes, **_summary(times), "ratio": ratio}


@contextlib.contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that compute without end; all are gone afterwards."""
    command = [sys.executable, "-I", "-S", "-c", BUSY_LOOP]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with contextlib.ExitStack() as running:
        for _ in range(count):
            process = running.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere))
            running.callback(process.kill)  # before it is waited for
            assert process.stdout is not None
            process.stdout.readline()
        yield


def take_turns(contenders: Mapping[str, Contender], rounds: int, turn: float = TURN) -> dict[str, list[Times]]:
    """Seconds of every part of every step, round by round."""
    clocks = {name: _Clock(contender, turn) for name, contender in contenders.items()}
    times: dict[str, list[Times]] = {name: [] for name in clocks}
    for name in rotated(list(clocks), rounds):
        times[name].append(clocks[name].turn())
    return times


class _Clock:
    """A contender, and how many of its steps fill a turn."""

    def __init__(self, contender: Contender, turn: float) -> None:
        self.contender = contender
        self.steps = 1
        self._seconds(1)  # compiles
        while (spent := self._seconds(self.steps).sum()) < turn / 4:
            self.steps *= 2
        self.steps = max(1, round(turn * self.steps / spent))

    def turn(self) -> Times:
        """Seconds of the steps of a turn, after a pause and an untimed step."""
        time.sleep(PAUSE)
        return self._seconds(self.steps, untimed=1)

    def _seconds(self, steps: int, untimed: int = 0) -> Times:
        import fastact

        parts, number, readings = self.contender.parts, self.contender.threads, [0.0]
        with contextlib.nullcontext() if number is None else fastact.threads(number):
            for _ in range(untimed):
                for part in parts:
                    part()
            readings[0] = time.perf_counter()
            for _ in range(steps):
                for part in parts:
                    part()
                    readings.append(time.perf_counter())
        return np.diff(readings).reshape(steps, len(parts))


def _summary(times: Mapping[str, Sequence[Any]]) -> Cell:
    """The rounds, and of each contender how many steps were timed and the statistics over all of them."""
    every = {name: np.concatenate(turns) for name, turns in times.items()}
    return {
        "rounds": len(times[FASTACT]),
        "steps": {name: len(steps) for name, steps in every.items()},
        "seconds": {name: {key: float(of(steps)) for key, of in STATISTICS.items()} for name, steps in every.items()},
    }


def _ratios(theirs: Sequence[Any], ours: Sequence[Any], statistics: Sequence[str]) -> dict[str, list[float]]:
    """The minimum, quartiles and maximum, over the rounds, of the ratio of each statistic."""
    pairs = list(zip(theirs, ours, strict=True))
    return {name: quartiles([STATISTICS[name](a) / STATISTICS[name](b) for a, b in pairs]) for name in statistics}
