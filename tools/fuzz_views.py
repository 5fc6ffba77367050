"""Random calls on views of one buffer, on masked, lazy and repeated operands, and with odd results.

``python tools/fuzz_views.py --minutes 60``. Operands are views of one buffer that overlap each other and, often, the result; some
repeat one element by a stride of 0. Others are masked arrays or dask arrays, or the result is unaligned, of the other byte order
or of another dtype. The reference is the same call on copies; of masked arrays, that on what is left of each row. A result
that cannot be written must raise and leave the array as it was. Each case follows from its number alone, and ``--case`` repeats
one. ``--quick`` takes 30 cases; ``--write`` keeps the outcome.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import fuzz
import long_runs
import numpy as np
from numpy.lib.stride_tricks import as_strided
from rich.progress import Progress

import fastact as fa
from fastact import table

Array = Any
QUICK = 30
SPARE = 64
"""Elements of a buffer beyond those of the largest operand: so far may views be shifted against each other."""


RETURNING = [record for record in fuzz.RECORDS if not record.updated]
"""Functions that leave their operands as they are."""


class Buffer:
    """Memory that all operands of a call are views of."""

    def __init__(self, rng: np.random.Generator, size: int, dtype: str) -> None:
        self.rng = rng
        self.memory = fuzz._values(rng, (8 * size + SPARE,), dtype)

    def view(self, shape: tuple[int, ...], *, writeable: bool) -> Array:
        """A view of a shape, its axes in any order, forwards, backwards or with gaps; one to read may repeat elements."""
        order, steps = self.rng.permutation(len(shape)), np.zeros(len(shape), int)
        reach = 1  # at most eight times the size: gaps double the length of three axes at most
        for k in order:
            gap = int(self.rng.choice([1, 1, 1, 2]))
            steps[k] = reach * gap
            reach += (max(shape[k], 1) - 1) * steps[k]
        if not writeable and shape and self.rng.random() < 0.3:
            steps[int(self.rng.integers(len(shape)))] = 0
        steps *= self.rng.choice([1, 1, 1, -1], len(shape)) if len(shape) else 1
        lowest = sum(min(0, (n - 1) * int(s)) for n, s in zip(shape, steps, strict=True) if n)
        highest = sum(max(0, (n - 1) * int(s)) for n, s in zip(shape, steps, strict=True) if n)
        first = -lowest + int(self.rng.integers(max(1, self.memory.size - highest + lowest)))
        return as_strided(self.memory[first:], shape, steps * self.memory.itemsize)


def _same(got: Array, expected: Array, dtype: Any = None) -> bool:
    """Whether two results have the same bits, but for which NaN it is, once the expected one has been rounded to a dtype."""
    got, expected = np.asarray(got), np.asarray(expected)
    expected = expected.astype(dtype or expected.dtype)
    return got.shape == expected.shape and bool(np.all((got == expected) | (np.isnan(got) & np.isnan(expected))))


def _shared(rng: np.random.Generator, dtype: str) -> tuple[str, bool]:
    """Operands and result are views of one buffer."""
    call = fuzz.drawn(rng, dtype, RETURNING)
    results = call.results(call.arrays)
    buffer = Buffer(rng, max(np.size(x) for x in (*call.arrays, *results)), dtype)
    views = [buffer.view(x.shape, writeable=False) if x.dtype == dtype else x for x in call.arrays]
    with fa.threads(1):
        try:
            expected = call.results([x.copy() for x in views])
        except ValueError as refused:  # what a target must not hold
            return call.name, _refusal(call, views) == str(refused)
    places, out = call.places(expected), None
    if len(places) == 1 and places[0].dtype == dtype:
        out = buffer.view(places[0].shape, writeable=True)
    got = call.results(views, out)
    returned = out is None or call.places(got)[0] is out
    return call.name, returned and all(_same(*pair) for pair in zip(got, expected, strict=True))


def _refusal(call: fuzz.Call, views: list[Array]) -> str:
    """What a call says of operands that it refuses."""
    try:
        call.results(views)
    except ValueError as refused:
        return str(refused)
    return ""


def _odd_out(rng: np.random.Generator, dtype: str) -> tuple[str, bool]:
    """The result goes to an array that is not like others, or cannot be written."""
    call = fuzz.drawn(rng, dtype, RETURNING)
    name, places = call.name, call.places(call.results([x.copy() for x in call.arrays]))
    if len(places) != 1:
        return f"{name} without out", True
    (expected,) = places
    kind = str(rng.choice(["unaligned", "byte order", "wider", "masked", "tuple", "read-only", "shape", "integers"]))
    shape, place = expected.shape, np.dtype(expected.dtype)
    fill: Any = 77
    if kind == "unaligned":
        out = np.zeros(expected.nbytes + 1, np.uint8)[1:].view(place).reshape(shape)
    elif kind == "byte order":
        out = np.zeros(shape, place.newbyteorder())
    elif kind == "wider":
        out = np.zeros(shape, np.float64)
    elif kind == "masked":
        out = np.ma.zeros(shape, place)
    elif kind == "shape":  # one that operands of two elements or more cannot be broadcast to
        out = np.full((*shape[:-1], max(0, shape[-1] - 1)), fill, place)
    elif kind == "integers":
        out = np.full(shape, fill, np.int64)
    else:
        out = np.full(shape, fill, place)
    out.flags.writeable = kind != "read-only"
    try:
        (got,) = call.places(call.results(call.arrays, (out,) if kind == "tuple" else out))
    except (TypeError, ValueError):
        # Of another dtype or byte order only ufuncs take one.
        allowed = kind in ("read-only", "shape", "integers", "byte order", "wider", "unaligned")
        return f"{name} {kind}", allowed and bool(np.all(np.isin(out, (0, fill))))
    if kind in ("read-only", "shape", "integers"):
        return f"{name} {kind}", not out.size
    return f"{name} {kind}", (got is out) and _same(np.ma.getdata(out), expected, out.dtype.newbyteorder("="))


OVER_ROWS = [
    r for r in table.functions().values() if r.axis == "several" and len(r.operands) == 1 and r.written == (0,)
]
"""Functions of which a row's result is that of its elements which are not masked."""


def _masked(rng: np.random.Generator, dtype: str) -> tuple[str, bool]:
    """What a mask hides counts in no row: each row's result is that of what is left."""
    record = OVER_ROWS[int(rng.integers(len(OVER_ROWS)))]
    name, function, shape = record.name, record.function, fuzz._shape(rng, 2, 2)
    x = np.ma.array(fuzz._values(rng, shape, dtype), mask=rng.random(shape) < rng.choice([0.0, 0.1, 0.9]))
    if not x.size:
        return name, function(x).shape == function(x.data).shape
    axis = int(rng.integers(2))
    got = function(x, axis=axis)
    rows, results = (x, got) if axis else (x.T, got.T)
    for row, result in zip(rows, results, strict=True):
        if np.ma.getmaskarray(row).all():
            right = bool(np.ma.getmaskarray(result).all())
        else:
            left = np.asarray(result)[()] if np.ndim(result) == 0 else result.compressed()
            alone = function(row.compressed())
            right = np.allclose(left, alone, rtol=1e-2 if dtype == "float16" else 1e-5, atol=1e-6, equal_nan=True)
        if not right:
            return name, False
    return name, True


def _lazy(rng: np.random.Generator, dtype: str) -> tuple[str, bool]:
    """Dask arrays in any chunks are computed later, and to the same numbers."""
    da: Any = import_module("dask.array")

    call = fuzz.drawn(rng, dtype, RETURNING)
    if call.variant.random or not all(x.size for x in call.arrays):
        return call.name, True
    expected = call.results([x.copy() for x in call.arrays])
    for chunks in (int(rng.integers(1, 50)), -1):
        try:
            got = call.results([da.from_array(x, chunks=chunks) for x in call.arrays])
            break
        except ValueError as error:  # the axis that a function is over must be one chunk
            if "rechunk" not in str(error) or chunks == -1:
                raise
    lazy = all(isinstance(result, da.Array) for result in got)
    tolerance = {"float16": 2e-3, "float32": 1e-6, "float64": 1e-12}[dtype]
    right = (
        np.allclose(g.compute(), e, rtol=tolerance, atol=tolerance, equal_nan=True)
        for g, e in zip(got, expected, strict=True)
    )
    return call.name, lazy and all(right)


MODES: tuple[Callable[[np.random.Generator, str], tuple[str, bool]], ...] = (
    _shared,
    _shared,
    _shared,
    _odd_out,
    _masked,
    _lazy,
)


def case(number: int) -> str:
    """Run one case; returns what it was. Raises ``AssertionError`` if the results differ."""
    rng = np.random.default_rng(number)
    dtype = str(rng.choice(["float16", "float32", "float32", "float64"]))
    mode = MODES[int(rng.integers(len(MODES)))]
    with fa.threads(1 + number % 2), np.errstate(all="ignore"):
        name, right = mode(rng, dtype)
    assert right, f"case {number}: {name} of {dtype}, {mode.__name__.lstrip('_')}, differs"
    return f"{name} of {dtype}, {mode.__name__.lstrip('_')}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="the number of the first case")
    parser.add_argument("--case", type=int, help="one case")
    parser.add_argument("--keep-going", action="store_true", help="print what differs, and go on")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} cases")
    parser.add_argument("--write", action="store_true", help=f"keep the outcome in {long_runs.KEPT.name}")
    options = parser.parse_args(arguments)
    if options.case is not None:
        print(case(options.case))
        return 0
    start, number, wrong = time.monotonic(), options.seed, 0
    last = number + QUICK if options.quick else math.inf
    with Progress(disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("cases", total=QUICK if options.quick else None)
        while number < last and time.monotonic() - start < 60 * options.minutes:
            try:
                case(number)
            except Exception as error:
                if not options.keep_going:
                    raise
                wrong += 1
                print(f"case {number}: {type(error).__name__}: {error}"[:300], flush=True)
            number += 1
            progress.update(task, completed=number - options.seed)
    cases, minutes = number - options.seed, round((time.monotonic() - start) / 60)
    if options.write and not wrong:
        long_runs.keep("fuzz_views", cases=cases, first=options.seed, minutes=minutes)
    print(f"{cases} cases: {f'{wrong} differ' if wrong else 'as on copies'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
