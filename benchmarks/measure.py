"""Timing contenders against each other, so that what disturbs the machine disturbs them alike.

The contenders take turns, in an order that rotates from round to round; a ratio is formed within a round, and its
median over the rounds is reported with its spread. A turn begins with a pause and an untimed repetition: the thread
pools of PyTorch and of OpenMP spin for a while after a parallel region, on the cores that the next contender needs.
"""

import contextlib
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import Case, Contender, allocates

PAUSE = 0.002
LONG = 0.02
"""Seconds for a repetition after which spinning threads no longer matter: it needs no untimed one before it."""

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "torch")

Cell = dict[str, Any]
"""A measured case, as in the JSON: ``op``, ``direction``, ``dtype``, ``size``, ``variant``; ``seconds``, the quickest
call of each contender; ``ratio``, for each but fastact the minimum, quartiles and maximum of its time over fastact's;
and ``allocates``, who returns a fresh array where the others write to ``out``."""


def measure(case: Case, contenders: Mapping[str, Contender], rounds: int, turn: float = 0.003) -> Cell:
    """Time the contenders of a case; those that fail, for want of a library or of a kernel for the dtype, are left out.

    Parameters
    ----------
    case : Case
        What is measured.
    contenders : mapping of str to Contender
        From ``cases.contenders``; "fastact" must be among them and must work.
    rounds : int
        How many turns each contender gets.
    turn : float
        Seconds that a turn takes; at least one repetition.
    """
    present = {name: contender for name, contender in contenders.items() if name == "fastact" or _works(contender)}
    seconds, ratio = ratios(take_turns(present, rounds, turn))
    return {
        **vars(case),
        "seconds": seconds,
        "ratio": ratio,
        "allocates": [name for name, contender in present.items() if allocates(case, contender)],
    }


def take_turns(contenders: Mapping[str, Contender], rounds: int, turn: float = 0.003) -> dict[str, list[float]]:
    """Seconds per repetition of every contender, round by round."""
    clocks = {name: _Clock(contender, turn) for name, contender in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in clocks}
    order = list(clocks)
    for i in range(rounds):
        for name in order[i % len(order) :] + order[: i % len(order)]:
            times[name].append(clocks[name].turn())
    return times


def ratios(times: Mapping[str, Sequence[float]]) -> tuple[dict[str, float], dict[str, list[float]]]:
    """The quickest call of each contender, and the minimum, quartiles and maximum of its ratios to fastact's."""
    fastact = np.array(times["fastact"])
    ratio = {
        name: np.quantile(np.array(values) / fastact, (0, 0.25, 0.5, 0.75, 1)).tolist()
        for name, values in times.items()
        if name != "fastact"
    }
    return {name: min(values) for name, values in times.items()}, ratio


class _Clock:
    """A contender's timer, and how many repetitions fill a turn."""

    def __init__(self, contender: Contender, turn: float) -> None:
        self.timer = contender.timer()
        self.one_by_one = bool(contender.prepare)
        self.repetitions = 1
        self._seconds(1)
        while (spent := self._seconds(self.repetitions)) < turn / 4:
            self.repetitions *= 2
        self.estimate = spent / self.repetitions
        self.repetitions = max(1, round(turn / self.estimate))

    def turn(self) -> float:
        """Seconds per repetition."""
        time.sleep(PAUSE)
        if self.estimate < LONG:
            self._seconds(1)
        return self._seconds(self.repetitions) / self.repetitions

    def _seconds(self, repetitions: int) -> float:
        if self.one_by_one:
            return sum(self.timer.timeit(1) for _ in range(repetitions))
        return self.timer.timeit(repetitions)


def _works(contender: Contender) -> bool:
    try:
        contender.result()
    except Exception:  # whatever another library raises: a missing name, a missing kernel
        return False
    return True


@contextlib.contextmanager
def equal_terms(threads: int) -> Iterator[None]:
    """The same number of threads for everyone; PyTorch records nothing for autograd; NumPy does not warn."""
    import fastact

    with contextlib.ExitStack() as stack:
        stack.enter_context(np.errstate(all="ignore"))
        stack.enter_context(fastact.threads(threads))
        with contextlib.suppress(ImportError):
            import torch

            torch.set_num_threads(threads)
            stack.enter_context(torch.inference_mode())
        yield


def conditions(threads: int) -> dict[str, Any]:
    """The machine and the versions that a result holds for."""
    import fastact

    versions = {"fastact": fastact.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {"machine": machine(), "versions": versions, "threads": threads}


def busy() -> str:
    """A warning if other programs are running; empty if not.

    They do not merely add noise: an op that PyTorch splits over threads at any size, such as gelu, waits for a thread
    that has no core, and looks hundreds of times slower than it is.
    """
    share = _processor_share(0.5)
    return f"other programs use {share:.0%} of the processors: do not trust these times" if share > 0.1 else ""


def _processor_share(seconds: float) -> float:
    """What share of all processors is in use while this process sleeps; 0 where the system does not say."""

    def used_and_all() -> tuple[int, int]:
        user, nice, system, idle, wait, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
        return user + nice + system + sum(rest), user + nice + system + idle + wait + sum(rest)

    with contextlib.suppress(OSError, ValueError):
        before = used_and_all()
        time.sleep(seconds)
        used, everything = (now - then for now, then in zip(used_and_all(), before, strict=True))
        return used / max(everything, 1)
    return 0.0


def machine() -> dict[str, Any]:
    """The processor and its caches; nothing that names the host."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": _processor(), "cores": usable, "system": platform.system(), "caches": _caches()}


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _caches() -> dict[str, str]:
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        with contextlib.suppress(OSError):
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
            found[f"L{level} {kind.lower()}"] = size
    return found
