"""Timing contenders against each other, so that what disturbs the machine disturbs them alike.

The contenders take turns, in an order that rotates from round to round; a ratio is formed within a round, and its
median over the rounds is reported with its spread. A turn begins with a pause and an untimed repetition: the thread
pools of PyTorch and of OpenMP spin for a while after a parallel region, on the cores that the next contender needs.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .accuracy import exact, parts
from .case import Case, Contender, allocates
from .peers import PEERS

PAUSE = 0.002
TURN = 0.003
"""Seconds of a turn."""
LONG = 0.02
"""Seconds for a repetition after which spinning threads no longer matter: it needs no untimed one before it."""

Cell = dict[str, Any]
"""A measured case, as in the JSON: ``op``, ``direction``, ``dtype``, ``size``, ``variant``, for an op over rows ``shape``
and ``setting``; ``rounds``; ``seconds``, the quickest call of each contender; ``spread``, the minimum, quartiles and
maximum of its calls; ``ratio``, for each but fastact the same of its time over fastact's; ``allocates``, who returns a
fresh array where the others write to ``out``; ``bytes``, all arrays that fastact reads and writes, once; and ``ulp``, the
largest error of the results of fastact and its peers, see ``accuracy``."""


def measure(case: Case, contenders: Mapping[str, Contender], rounds: int, turn: float = TURN) -> Cell:
    """Time the contenders of a case; those that fail, or return double for float32, are left out.

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
    present, ulp, moved = _try(case, contenders)
    times = take_turns(present, rounds, turn)
    seconds, ratio = ratios(times)
    return {
        **{name: value for name, value in vars(case).items() if value != () and value != ""},
        "rounds": rounds,
        "seconds": seconds,
        "spread": {name: quartiles(values) for name, values in times.items()},
        "ratio": ratio,
        "allocates": [name for name, contender in present.items() if allocates(case, contender)],
        "bytes": moved,
        "ulp": ulp,
    }


def _try(case: Case, contenders: Mapping[str, Contender]) -> tuple[dict[str, Contender], dict[str, float], int]:
    """Those that work, the errors of fastact's and the peers' results, and the bytes that fastact moves."""
    fastact = contenders["fastact"]
    truth = exact(case, fastact.names)
    results = parts(fastact.result())
    moved = sum(array.nbytes for array in (*_read(fastact), *results))
    if not results:  # a function that only chooses
        truth = None
    present, ulp = {"fastact": fastact}, {} if truth is None else {"fastact": truth.error(results)}
    for name, contender in contenders.items():
        if name == "fastact":
            continue
        try:
            results = parts(contender.result())
        except Exception:  # whatever another library raises: a missing name, a missing kernel
            continue
        # float16 is computed in whatever a library has; double in place of float32 would be no fair comparison.
        if case.dtype == "float32" and any(part.dtype == np.float64 for part in results):
            continue
        present[name] = contender
        if truth is not None and name in PEERS:
            ulp[name] = truth.error(results)
    return present, ulp, moved


def _read(contender: Contender) -> list[Any]:
    """The arrays that a statement reads."""
    named = set(re.findall(r"\w+", contender.statement)) - {"out"}
    return [contender.names[name] for name in named if isinstance(contender.names.get(name), np.ndarray)]


def take_turns(contenders: Mapping[str, Contender], rounds: int, turn: float = TURN) -> dict[str, list[float]]:
    """Seconds per repetition of every contender, round by round."""
    clocks = {name: Clock(contender, turn) for name, contender in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in clocks}
    for name in rotated(list(clocks), rounds):
        times[name].append(clocks[name].turn())
    return times


def rotated(names: Sequence[str], rounds: int) -> Iterator[str]:
    """Whose turn it is: everyone's in each round, and each round begins with the next."""
    for i in range(rounds):
        first = i % len(names)
        yield from (*names[first:], *names[:first])


def ratios(times: Mapping[str, Sequence[float]]) -> tuple[dict[str, float], dict[str, list[float]]]:
    """The quickest call of each contender, and the minimum, quartiles and maximum of its ratios to fastact's."""
    fastact = np.array(times["fastact"])
    ratio = {name: quartiles(np.array(values) / fastact) for name, values in times.items() if name != "fastact"}
    return {name: min(values) for name, values in times.items()}, ratio


def quartiles(values: Any) -> list[float]:
    """The minimum, the quartiles and the maximum."""
    quantiles: list[float] = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
    return quantiles


class Clock:
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
