"""What the asv suite tracks: fastact's time, and that over NumPy's in the same run. Lower is better.

These are ``track_`` benchmarks that take the time themselves. asv runs ``setup`` before each call that a ``time_``
benchmark makes, and so times a single call: for ten elements that is the clock and a cold cache. Here one process, asv's
``setup_cache``, measures all combinations of a class's parameters, and the ``track_`` methods read the result.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.harness import case, measure

ROUNDS = 9

Samples = dict[str, Any]
"""As asv's own ``time_`` benchmarks return it: asv then keeps the median with its spread, and compares by both."""

Times = dict[str, list[float]]
Measured = dict[tuple[Any, ...], Times | Exception]


def measure_all(
    params: Sequence[Sequence[Any]], contenders: Callable[..., Mapping[str, case.Contender]], per_call: bool = False
) -> Measured:
    """Nanoseconds per element of ``x``, or per call, round by round for every combination of parameters.

    In their place stands what prevented a measurement. Each result is computed once before the clock starts: no
    compilation is timed.
    """
    measured: Measured = {}
    for combination in itertools.product(*params):
        try:
            found = contenders(*combination)
            pair = {name: found[name] for name in ("fastact", "numpy")}
            for contender in pair.values():
                contender.result()
            scale = 1e9 / (1 if per_call else found["fastact"].names["x"].size)
            times = measure.take_turns(pair, ROUNDS)
            measured[combination] = {name: [scale * seconds for seconds in times[name]] for name in pair}
        except Exception as error:  # the other combinations are measured all the same
            measured[combination] = error
    return measured


def function_of(name: str) -> Any:
    """A public function; ``NotImplementedError`` if this commit lacks it."""
    import fastact

    if not hasattr(fastact, name):
        raise NotImplementedError(f"this commit has no {name}")
    return getattr(fastact, name)


class Compared(ABC):
    """The ratio to NumPy for every combination of ``params``. It is abstract, or asv would run it."""

    @abstractmethod
    def setup_cache(self) -> Measured:
        """Measure all combinations. Each class has its own: asv tells them apart by file and line."""

    def setup(self, measured: Measured, *combination: Any) -> None:
        """Raise what prevented a measurement: asv reports n/a for ``NotImplementedError``, a failure for all else."""
        times = measured[combination]
        if isinstance(times, Exception):
            raise times

    def track_ratio(self, measured: Any, *combination: Any) -> Samples:
        """Machines differ less in it than in times."""
        times = measured[combination]
        return samples(ours / numpys for ours, numpys in zip(times["fastact"], times["numpy"], strict=True))

    track_ratio.unit = "fastact's time / NumPy's"  # type: ignore[attr-defined]


class Tracked(Compared):
    """Nanoseconds as well. Abstract too: ``setup_cache`` is to call ``measure_all``."""

    unit = "ns/element"

    def track_nanoseconds(self, measured: Any, *combination: Any) -> Samples:
        return samples(measured[combination]["fastact"])


def samples(values: Iterable[float]) -> Samples:
    """Figures as asv keeps them."""
    return {"samples": [float(f"{value:.4g}") for value in values], "number": 1}  # asv prints every digit
