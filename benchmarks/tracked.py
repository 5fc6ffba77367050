"""What the asv suite tracks: nanoseconds per element, and fastact's time over NumPy's in the same run. Lower is better.

These are ``track_`` benchmarks that take the time themselves. asv runs ``setup`` before each call that a ``time_``
benchmark makes, and so times a single call: for ten elements that is the clock and a cold cache. ``Pair`` computes each
result once before the clock starts, so that no compilation is timed.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.cases import Contender
from benchmarks.measure import take_turns

ROUNDS = 9

Samples = dict[str, Any]
"""As asv's own ``time_`` benchmarks return it: asv then keeps the median with its spread, and compares by both."""


class Pair:
    """fastact and the NumPy idiom, compiled and ready to take turns.

    Parameters
    ----------
    contenders : mapping of str to Contender
        "fastact" and "numpy"; others are left out.
    elements : int
        What to divide by: 1 for the time of a call.
    """

    def __init__(self, contenders: Mapping[str, Contender], elements: int) -> None:
        self._contenders = {name: contenders[name] for name in ("fastact", "numpy")}
        self._elements = elements
        for contender in self._contenders.values():
            contender.result()

    def nanoseconds(self) -> Samples:
        """Nanoseconds per element."""
        times = take_turns({"fastact": self._contenders["fastact"]}, ROUNDS)["fastact"]
        return _samples(1e9 * np.array(times) / self._elements)

    def ratio(self) -> Samples:
        """The ratio of fastact's time to NumPy's, round by round: machines differ less in it than in nanoseconds."""
        times = take_turns(self._contenders, ROUNDS)
        return _samples(np.array(times["fastact"]) / np.array(times["numpy"]))


def function_of(name: str) -> Any:
    """A public function; asv reports n/a for the benchmarks of a commit that lacks it."""
    import fastact

    if not hasattr(fastact, name):
        raise NotImplementedError(f"this commit has no {name}")
    return getattr(fastact, name)


def unit(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a benchmark with the unit of what it returns."""

    def mark(benchmark: Any) -> Callable[..., Any]:
        benchmark.unit = name
        return benchmark  # type: ignore[no-any-return]

    return mark


def _samples(values: Any) -> Samples:
    return {"samples": values.tolist(), "number": 1}
