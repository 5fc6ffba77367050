"""The hooks that a rewritten program calls, and what they keep.

An operation is noted by the place where it stands, for the operands' kinds; no operand is kept, for NumPy computes in the memory of
one that nobody else holds. The clock runs from the last operand to the result. What is watched inside a call, such as a function
that NumPy calls back, is taken off its time.

Watching costs a few microseconds for each operation. A loop or a function in which that is more than a share of what its arrays
take is from then on watched once in 61 passes, and what is seen there counts 61 times. So the cost stays bounded, also in loops
that have to do with no array.
"""

import builtins
import itertools
import sys
import threading
import types
import weakref
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from .instrument import PREFIX, Instrumenter
from .records import Sample, Site, Source, Unit

EVERY = 61
"""A prime, lest it fall in with what a program does every so often."""
SHARE = 0.2
"""Of its arrays' time, what watching a unit may cost."""
TRIAL = 2000
"""Operations that are watched in any case."""
MOST_ORIGINS = 20_000
"""Arrays whose makers are remembered."""

PLAIN = frozenset({int, float, bool, str, bytes, type(None), dict, set, range, slice, complex, types.FunctionType})
"""Types of operands that say nothing of arrays."""
C_CALLS = frozenset({types.BuiltinFunctionType, np.ufunc, type(np.sum), types.MethodWrapperType})
NARROW = frozenset({"af", "ae"})
ARRAYS = {char: f"a{char}" for char in "efdg?bBhHiIlLqQFDG"}
NUMBERS = frozenset({int, float, bool})
NUMBER, OTHER = ("-", None, None, None), ("o", None, None, None)
"""What is noted of a number of Python's, and of anything else: kind, shape, maker, promotions."""
MOST_SAMPLES = 20
"""Of a site, told apart by the makers of its operands."""
LARGE = 2**20
"""Bytes of a fresh result from which ``out=`` is worth a word."""
ELEMENTS = 8
"""Of a list, so many elements are looked at."""


class Recorder:
    """The sites of a program, and the hooks that fill them."""

    def __init__(self) -> None:
        self.sites: list[Site] = []
        self.units: list[Unit] = []
        self.sources: dict[str, Source] = {}
        self.gates: list[Callable[[], bool]] = []
        self.weights: list[float] = []
        self.events = 0
        """Operations on arrays that were watched."""
        self._slots: list[Any] = []
        self._starts: list[float] = []
        self._inner: list[float] = []
        self._origins: dict[int, tuple[Any, int, frozenset[int] | None]] = {}
        self._thread = threading.get_ident()
        self._hooks = _hooks(self)
        self.cost = 0.0
        """Seconds that the hooks of an operation take, on this machine and today."""

    def instrumented(self, file: str, text: str) -> Any:
        """The syntax tree of a file, to be compiled under its name, with the hooks of this recorder."""
        import ast

        source = Source(file, text, ast.parse(text))
        tree = Instrumenter(source, self.sites, self.units).module()
        self.sources[file] = source
        added = len(self.sites) - len(self._slots)
        self._slots += [None] * added
        self._starts += [0.0] * added
        self._inner += [0.0] * added
        for unit in self.units[len(self.gates) :]:
            self.gates.append(self._gate(unit))
            self.weights.append(1.0)
        return tree

    def install(self) -> None:
        """Make the hooks known to every module."""
        self.cost = self.cost or _cost()
        self._thread = threading.get_ident()
        for name, hook in self._hooks.items():
            setattr(builtins, f"{PREFIX}{name}", hook)

    def stop(self) -> None:
        """Watch nothing more. Hooks stay, for what still runs, and so does the code without them."""
        for number in range(len(self.gates)):
            self.gates[number] = itertools.repeat(False).__next__

    def _gate(self, unit: Unit) -> Callable[[], bool]:
        """Lets each pass be watched until that is found too dear."""

        def gate() -> bool:
            unit.passes += 1
            watched = unit.passes * len(unit.sites)
            if unit.passes & 15 == 0 and watched > TRIAL:
                seconds = sum(self.sites[number].seconds for number in unit.sites)
                if self.cost * watched > SHARE * seconds:
                    self._watch_seldom(unit)
            return True

        return gate

    def _watch_seldom(self, unit: Unit) -> None:
        unit.every = EVERY
        self.gates[unit.number] = itertools.cycle([True, *[False] * (EVERY - 1)]).__next__
        for other in self.units:
            weight, number = 1.0, other.number
            while number >= 0:
                weight *= self.units[number].every
                number = self.units[number].parent
            self.weights[other.number] = weight

    def users(self, function: Any) -> bool:
        """Whether calling this runs code that is watched by itself."""
        if isinstance(function, type):
            if sys.modules.get(function.__module__) is sys.modules["__main__"]:
                return True
            return _file(vars(function).get("__init__")) in self.sources
        return _file(function) in self.sources or _file(vars(type(function)).get("__call__")) in self.sources


def _file(function: Any) -> str:
    """Where a function's code stands; empty for what is not written in Python."""
    return getattr(getattr(function, "__code__", None), "co_filename", "")


def _cost() -> float:
    """Seconds of the hooks around a sum of two small arrays."""
    trial = Recorder()
    trial.cost = 1.0
    trial.instrumented("", "a + b")
    left, right, leave = (trial._hooks[name] for name in ("left", "right", "leave"))
    a, c = np.ones(2), np.ones(2)
    best = 1.0
    for _ in range(5):
        start = perf_counter()
        for _ in range(40):
            left(0, a)
            right(0, a)
            leave(0, c)
        best = min(best, (perf_counter() - start) / 40)
    return best


def _hooks(recorder: Recorder) -> dict[str, Any]:
    """The hooks as closures, which find their variables quickest."""
    sites, slots, starts, inner = recorder.sites, recorder._slots, recorder._starts, recorder._inner
    origins, weights, ndarray, generic = recorder._origins, recorder.weights, np.ndarray, np.generic
    ref, get_ident = weakref.ref, threading.get_ident
    spent = 0.0

    def describe(x: Any) -> Any:
        """Kind, shape, site that made it, promotions that it stems from."""
        if isinstance(x, ndarray):
            char = x.dtype.char
            if char == "f":
                return "af", x.shape, None, None
            found = origins.get(id(x))
            if found is None or found[0]() is not x:
                found = None if x.base is None else of_base(x.base)
            if found is None:
                return ARRAYS.get(char, "aO"), x.shape, None, None
            return ARRAYS.get(char, "aO"), x.shape, found[1], found[2]
        if isinstance(x, generic):
            return f"s{x.dtype.char}", None, None, None
        if isinstance(x, list | tuple):
            return of_list(x)
        return NUMBER if type(x) in NUMBERS else OTHER

    def of_base(x: Any) -> Any:
        """What is known of the array that one is a part of."""
        for _ in range(4):
            if not isinstance(x, ndarray):
                break
            found = origins.get(id(x))
            if found is not None and found[0]() is x:
                return found
            x = x.base
        return None

    def of_list(x: Any) -> Any:
        """An index of arrays, a list of arrays to be joined, or a list of numbers."""
        parts = [describe(part) for part in x[:ELEMENTS] if isinstance(part, ndarray)]
        if parts:
            code = "t" + "+".join(part[0] for part in parts)
            taint = frozenset().union(*(part[3] for part in parts if part[3]))
            wide = [part for part in parts if part[0] == "ad"] or parts
            return code, tuple(part[1] for part in parts), wide[0][2], taint or None
        while isinstance(x, list | tuple) and x and isinstance(x[0], list | tuple):
            x = x[0]
        numbers = isinstance(x, list) and bool(x) and isinstance(x[0], float | int | generic)
        return ("l" if numbers else "o"), None, None, None

    def left(number: int, x: Any) -> Any:
        slots[number] = None if type(x) in PLAIN else [describe(x)]
        return x

    def right(number: int, x: Any) -> Any:
        nonlocal spent
        slot = slots[number]
        if slot is not False and (slot is not None or type(x) not in PLAIN):
            if slot is None:
                slot = slots[number] = [NUMBER]
            slot.append(describe(x))
        inner[number] = spent
        starts[number] = perf_counter()
        return x

    def first(number: int, x: Any) -> Any:
        slots[number] = None if type(x) in PLAIN else [describe(x)]
        inner[number] = spent
        starts[number] = perf_counter()
        return x

    def function(number: int, f: Any) -> Any:
        if type(f) not in C_CALLS and recorder.users(f):
            slots[number] = False
            return f
        site = sites[number]
        bound = getattr(f, "__self__", None)
        if isinstance(bound, ndarray):
            slots[number] = [describe(bound)]
            site.function = f.__name__
        else:
            slots[number] = []
            # Of another object's method the name, lest the object live longer.
            kept = bound is None or isinstance(bound, types.ModuleType | np.ufunc)
            site.function = f if kept else f"{type(bound).__name__}.{getattr(f, '__name__', '')}"
        return f

    def lone_function(number: int, f: Any) -> Any:
        function(number, f)
        inner[number] = spent
        starts[number] = perf_counter()
        return f

    def operand(number: int, x: Any) -> Any:
        slot = slots[number]
        if slot is not False and slot is not None:
            slot.append(describe(x) if type(x) not in PLAIN else NUMBER)
        return x

    def leave(number: int, result: Any) -> Any:
        slot = slots[number]
        if slot is False or (not slot and not isinstance(result, ndarray)):
            return result
        record(number, slot or (), result, perf_counter())
        return result

    def done(number: int, target: Any) -> None:
        slot = slots[number]
        if slot is None and not isinstance(target, ndarray):
            return
        end = perf_counter()
        record(number, [describe(target), *(slot or ())], None, end)

    def record(number: int, slot: Any, result: Any, end: float) -> None:
        nonlocal spent
        elapsed = end - starts[number] - (spent - inner[number])
        slots[number] = None
        is_array = isinstance(result, ndarray)
        codes, makers, taints = [], [], None
        for code, _, maker, taint in slot:
            codes.append(code)
            makers.append(maker)
            if taint:
                taints = taint if taints is None else taints | taint
        if (not is_array and not any("a" in code for code in codes)) or get_ident() != recorder._thread:
            return
        recorder.events += 1
        if elapsed < 0.0:
            elapsed = 0.0
        spent += elapsed
        if is_array:
            code = ARRAYS.get(result.dtype.char, "aO")
        else:
            code = f"s{result.dtype.char}" if isinstance(result, generic) else "-"
        site = sites[number]
        key = (*codes, code, *makers)
        sample = site.samples.get(key)
        if sample is None:
            if len(site.samples) > MOST_SAMPLES:
                makers = [None] * len(makers)
                key = (*codes, code, *makers)
            sample = site.samples.setdefault(key, Sample(tuple(codes), code, origins=tuple(makers)))
        weight = weights[site.unit] if site.unit >= 0 else 1.0
        seconds = weight * elapsed
        sample.calls += weight
        sample.seconds += seconds
        site.calls += weight
        site.seconds += seconds
        if is_array:
            size = result.nbytes
            if size > sample.largest:
                sample.largest, sample.result_shape = size, result.shape
                sample.shapes = tuple([info[1] for info in slot])
            if size >= LARGE and result.base is None and result.flags.owndata:
                sample.fresh += weight * size
                site.fresh += weight * size
            if code == "ad":
                if promoted(slot):
                    taints = (taints or frozenset()) | {number}
                remember(result, number, taints)
            elif code != "af":
                remember(result, number, None)  # a mask or an index is the same, whatever it was found by
        elif slot and sample.largest < 0:
            sample.largest, sample.shapes = 0, tuple([info[1] for info in slot])
        if taints:
            for taint in taints:
                sites[taint].downstream += seconds
            sample.tainted |= taints

    def promoted(slot: Any) -> bool:
        """Whether an array of float32 went in where float64 came out."""
        for code, shape, _, _ in slot:
            if code == "af" or code == "ae":
                if shape:
                    return True
            elif code[0] == "t" and ("af" in code or "ae" in code):
                return True
        return False

    def remember(result: Any, number: int, taints: frozenset[int] | None) -> None:
        if len(origins) > MOST_ORIGINS:
            for key in [key for key, found in origins.items() if found[0]() is None]:
                del origins[key]
            if len(origins) > MOST_ORIGINS:
                origins.clear()
        found = origins.get(id(result))
        if found is not None and found[0]() is result and found[1] != number and not taints:
            return  # an operation that gave an array that there was before
        origins[id(result)] = (ref(result), number, taints)

    found = (left, right, first, function, lone_function, operand, leave, done)
    return {**{hook.__name__: hook for hook in found}, "gates": recorder.gates, "slice": slice}
