"""The asv suite of programs: whole steps, as in ``fastact bench --programs``. A commit without a function reports n/a."""

import itertools
from typing import Any

import numpy as np

from benchmarks.harness import company, programs
from benchmarks.tracked import ROUNDS, Compared, Measured, Samples, samples

TURN = 0.1
CONTENDERS = (company.FASTACT, company.NUMPY)


class Programs(Compared):
    """One step, with fastact's own number of threads."""

    version = "1"
    params = (tuple(program.name for program in programs.PROGRAMS),)
    param_names = ("program",)
    unit = "us/step"

    def setup_cache(self) -> Measured:
        return {names: _measure(*names) for names in itertools.product(*self.params)}

    def track_microseconds(self, measured: Any, *combination: Any) -> Samples:
        return samples(measured[combination]["fastact"])


def _measure(name: str) -> dict[str, list[float]] | Exception:
    """The median step of each round in microseconds; what prevented a measurement, so that the others are measured all the same."""
    program = next(program for program in programs.PROGRAMS if program.name == name)
    try:
        times = company.take_turns(company.contenders(program, CONTENDERS), ROUNDS, TURN)
    except Exception as error:
        return error
    return {who: [1e6 * float(np.median(turn.sum(1))) for turn in turns] for who, turns in times.items()}
