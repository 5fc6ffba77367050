"""Random calls whose arrays end where memory ends: ``python tools/fuzz.py --minutes 60``.

Every operand and every result lies in pages of its own, flush with the first byte that may not be touched, before it or after
it: a read or a write out of bounds kills the process instead of going unnoticed, as does an endless loop. Results must have the
bits of the same call on plain arrays. Each case follows from its number alone: when the process dies, the parent tells which
number it was, and ``--case`` repeats that. ``--quick`` takes 100 cases; ``--write`` keeps the outcome.
"""

import argparse
import ctypes
import faulthandler
import inspect
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import long_runs
import numpy as np
from rich.progress import Progress

import fastact as fa
from fastact import table
from fastact.functions.record import Function, Variant

Array = Any


class Call(NamedTuple):
    """One call of a function."""

    record: Function
    variant: Variant
    arrays: list[Array]
    """The operands and, after them, what keyword arguments take."""
    make: Callable[..., tuple[Any, ...]]
    """Makes the call, of such arrays and ``out``, which may be ``None``."""

    @property
    def name(self) -> str:
        """What it is."""
        return f"{self.record.name} {self.variant}".strip()

    def results(self, arrays: Sequence[Array], out: Any = None) -> tuple[Any, ...]:
        """All results."""
        return self.make(*arrays, out)

    def places(self, results: Sequence[Any]) -> list[Any]:
        """Those of some results that `out` takes; nothing if one of them is a number."""
        found = [results[i] for i in self.record.written]
        return found if all(np.ndim(x) for x in found) else []


PAGE = mmap.PAGESIZE
QUICK = 100
LONGEST = 120
"""Seconds after which a case must be in an endless loop, for it takes milliseconds and at worst compiles."""
PROT_NONE = 0


class Guarded:
    """Memory between two pages that may not be touched; it is kept for as long as the process lives, and used again."""

    def __init__(self, pages: int) -> None:
        self.size = pages * PAGE
        self.map = mmap.mmap(-1, self.size + 2 * PAGE)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.map)) + PAGE
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        for guard in (self.start - PAGE, self.start + self.size):
            if protect(ctypes.c_void_p(guard), ctypes.c_size_t(PAGE), PROT_NONE):
                raise OSError(ctypes.get_errno(), "cannot protect a page")

    def array(self, values: Array, at_end: bool) -> Array:
        """A copy of one-dimensional ``values`` that begins or ends where the memory does."""
        offset = PAGE + (self.size - values.nbytes if at_end else 0)
        placed = np.frombuffer(self.map, values.dtype, values.size, offset)
        placed[...] = values
        return placed


class Memory:
    """One piece of guarded memory for each operand of a call."""

    def __init__(self) -> None:
        self.pieces: dict[tuple[int, int], Guarded] = {}
        self.used = 0

    def array(self, rng: np.random.Generator, values: Array) -> Array:
        """A copy with random strides, in memory of its own."""
        order = rng.permutation(values.ndim)
        steps = rng.choice([1, 1, 1, 2, -1], values.ndim)
        extents = [max(1, (n - 1) * abs(int(step)) + 1) for n, step in zip(values.shape, steps, strict=True)]
        flat = np.zeros(int(np.prod([extents[k] for k in order])), values.dtype)
        pages = -(-flat.nbytes // PAGE) or 1
        if (self.used, pages) not in self.pieces:
            self.pieces[self.used, pages] = Guarded(pages)
        piece = self.pieces[self.used, pages]
        self.used += 1
        base = piece.array(flat, bool(rng.random() < 0.7)).reshape([extents[k] for k in order])
        view = base.transpose(np.argsort(order))[(..., *(slice(None, None, int(step)) for step in steps))]
        view = view[(..., *(slice(0, n) for n in values.shape))]
        view[...] = values
        return view


def case(number: int, memory: Memory) -> str:
    """Run one case; returns what it was. Raises ``AssertionError`` if the results differ."""
    rng = np.random.default_rng(number)
    memory.used = 0
    dtype = str(rng.choice(["float16", "float32", "float32", "float64"]))
    call = drawn(rng, dtype)
    with fa.threads(1):
        expected = call.results([x.copy() for x in call.arrays])
    guarded = [memory.array(rng, x) for x in call.arrays]
    outs = [memory.array(rng, np.zeros_like(x)) for x in call.places(expected)]
    with fa.threads(1 + number % 2):
        got = call.results(guarded, None if not outs else outs[0] if len(outs) == 1 else tuple(outs))
    shapes = ", ".join(f"{x.dtype}{list(x.shape)}" for x in call.arrays)
    for g, e in zip(got, expected, strict=True):
        kind = f"u{np.asarray(e).itemsize}"
        same = np.ascontiguousarray(g).view(kind) == np.ascontiguousarray(e).view(kind)
        assert np.all(same | (np.isnan(g) & np.isnan(e))), f"case {number}: {call.name} of {shapes} differs"
    return f"{call.name} of {shapes}"


RECORDS = [record for record in table.functions().values() if record.ulp is not None and not record.in_memory_order]
IGNORED_BY_DEFAULT = {
    record.name: given["ignore_index"].default
    for record in RECORDS
    if record.op is None and "ignore_index" in (given := inspect.signature(record.function).parameters)
}
"""The label that a function ignores unless it is told otherwise, or ``None``."""
"""All but those of matrix products, whose bits are BLAS's affair."""


def drawn(rng: np.random.Generator, dtype: str, among: Sequence[Function] = RECORDS) -> Call:
    """A call of some function, in some way, with random operands."""
    record = among[int(rng.integers(len(among)))]
    variant = record.variants[int(rng.integers(len(record.variants)))]
    shape = _shape(rng, 1 if record.axis or record.family == "embedding" else 0, 3)
    axis = int(rng.integers(-len(shape), len(shape))) if record.axis else -1
    ignored = variant.options.get("ignore_index", IGNORED_BY_DEFAULT.get(record.name))
    chooses = record.whole or record.family == "choosing"
    if (
        chooses and record.axis and not shape[axis]
    ):  # of no class no label is one, none is ignored, and none is the best
        shape = tuple(n or 1 for n in shape)
    if record.pools and np.prod(shape) == shape[axis]:
        shape, axis = (2, *shape), axis % len(shape) + 1

    def fill(kind: str, shape: tuple[int, ...], dtype: Any, below: int) -> Array:
        if kind == "choices":
            return rng.integers(-1, below + 1, shape).astype(np.int32)
        if kind == "labels":
            labels = rng.integers(0, max(1, min(below, 128)), shape)
            if ignored is not None:
                labels = np.where((rng.random(shape) < 0.1) | (labels >= below), ignored, labels)
            return np.asarray(labels).astype(rng.choice(["int8", "int32", "int64"]))
        if kind == "masks":
            return np.asarray(rng.random(shape) < rng.choice([0.0, 0.1, 0.7, 1.0]))
        if kind in ("shares", "probabilities"):
            return np.asarray(rng.random(shape)).astype(dtype)
        return _values(rng, shape, dtype)

    operands, options = record.arguments(variant, fill, shape, dtype, axis)
    if record.axis == "several" and rng.random() < 0.1:
        options["axis"] = None
    named = {name: options.pop(name) for name in list(options) if isinstance(options[name], np.ndarray)}

    def make(*given: Any) -> Any:
        arrays = dict(zip(named, given[len(operands) : -1], strict=True))
        place = {} if given[-1] is None else {"out": given[-1]}  # as ufuncs of several results want it
        return record.results(given[: len(operands)], {**arrays, **options, **place})

    return Call(record, variant, [*operands, *named.values()], make)


def _shape(rng: np.random.Generator, least: int = 0, most: int = 3) -> tuple[int, ...]:
    """Mostly small, and sometimes around where kernels change their ways."""
    lengths = [0, 1, 2, 3, 7, 15, 16, 17, 31, 33, 63, 64, 65, 100, 257]
    shape = [int(rng.choice(lengths)) for _ in range(int(rng.integers(least, most + 1)))]
    if shape and rng.random() < 0.3:
        shape = [min(n, 9) for n in shape]
        shape[int(rng.integers(len(shape)))] = int(rng.choice([1000, 1023, 1025, 2049, 5000]))
    while np.prod(shape, dtype=float) > 300_000:
        shape[int(np.argmax(shape))] //= 2
    return tuple(shape)


def _values(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> Array:
    values = rng.normal(scale=4, size=shape)
    values = np.where(rng.random(shape) < 0.02, rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40], shape), values)
    return np.asarray(values).astype(dtype)


def _run(first: int, last: int) -> None:
    """A child's part: cases in order, each announced before it runs."""
    memory = Memory()
    with np.errstate(all="ignore"):
        for number in range(first, last):
            os.write(1, f"{number}\n".encode())
            faulthandler.dump_traceback_later(LONGEST, exit=True)
            case(number, memory)
    faulthandler.cancel_dump_traceback_later()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="the number of the first case")
    parser.add_argument("--case", type=int, help="one case, in this process")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} cases")
    parser.add_argument("--write", action="store_true", help=f"keep the outcome in {long_runs.KEPT.name}")
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.case is not None:
        with np.errstate(all="ignore"):
            print(case(options.case, Memory()))
        return 0
    if options.child:
        _run(*options.child)
        return 0
    end = time.monotonic() + 60 * options.minutes
    number = options.seed
    last = number + QUICK if options.quick else sys.maxsize
    with Progress(disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("cases", total=last - number if options.quick else None)
        while number < last and time.monotonic() < end:
            # A child of its own for every thousand cases: memory that is kept for guards does not pile up.
            part = [sys.executable, __file__, "--child", str(number), str(min(last, number + 1000))]
            done = subprocess.run(part, capture_output=True, text=True, check=False)
            if done.returncode:
                reached = (done.stdout.split() or [str(number)])[-1]
                sys.exit(f"case {reached} failed with status {done.returncode}\n{done.stderr[-2000:]}")
            number = min(last, number + 1000)
            progress.update(task, completed=number - options.seed)
    if options.write:
        minutes = round((time.monotonic() - end) / 60 + options.minutes)
        long_runs.keep("fuzz", cases=number - options.seed, first=options.seed, minutes=minutes)
    print(f"{number - options.seed} cases: nothing out of bounds, the same bits")
    return 0


if __name__ == "__main__":
    sys.exit(main())
