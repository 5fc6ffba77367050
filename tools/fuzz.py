"""Random calls whose arrays end where memory ends: ``python tools/fuzz.py --minutes 60``.

Every operand and every result lies in pages of its own, flush with the first byte that may not be touched, before it or after
it: a read or a write out of bounds kills the process instead of going unnoticed, as does an endless loop. Results must have the
bits of the same call on plain arrays. Each case follows from its number alone: when the process dies, the parent tells which
number it was, and ``--case`` repeats that. ``--quick`` takes 100 cases; ``--write`` keeps the outcome.
"""

import argparse
import ctypes
import faulthandler
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import long_runs
import numpy as np
from rich.progress import Progress

import fastact as fa

Array = Any
Call = tuple[str, Callable[..., Any], list[Any]]
"""A name, a function of operands and ``out``, which may be None, and the operands."""
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
    dtype = rng.choice(["float16", "float32", "float32", "float64"])
    name, call, operands = KINDS[int(rng.integers(len(KINDS)))](rng, dtype)
    with fa.threads(1):
        expected = call(*(o.copy() for o in operands), None)
    first = expected[0] if isinstance(expected, tuple) else expected
    guarded = [memory.array(rng, o) for o in operands]
    out = None if isinstance(expected, tuple) or not first.ndim else memory.array(rng, np.zeros_like(first))
    with fa.threads(1 + number % 2):
        got = call(*guarded, out)
    shapes = ", ".join(f"{o.dtype}{list(o.shape)}" for o in operands)
    for g, e in zip(*(r if isinstance(r, tuple) else (r,) for r in (got, expected)), strict=True):
        kind = f"u{np.asarray(e).itemsize}"
        same = np.ascontiguousarray(g).view(kind) == np.ascontiguousarray(e).view(kind)
        assert np.all(same | (np.isnan(g) & np.isnan(e))), f"case {number}: {name} of {shapes} differs"
    return f"{name} of {shapes}"


def _elementwise(rng: np.random.Generator, dtype: str) -> Call:
    ops = list(fa.ops.values())
    op = ops[int(rng.integers(len(ops)))]
    backward = op.derivative is not None and op.gradients == 1 and rng.random() < 0.5
    function = getattr(fa, op.name + "_backward" * bool(backward))
    ufunc = getattr(function, "ufunc", function)
    shape = _shape(rng)
    operands = [_values(rng, shape, dtype) for _ in range(ufunc.nin)]
    for j, value in enumerate(op.samples[0] or tuple(op.defaults.values()), ufunc.nin - len(op.parameters)):
        if op.arrays == 1:
            operands[j] = np.full(shape, value, dtype)
    return ufunc.__name__, lambda *a: ufunc(*a[:-1], out=a[-1]), operands


def _over_an_axis(rng: np.random.Generator, dtype: str) -> Call:
    name = str(
        rng.choice(["softmax", "log_softmax", "softmin", "logsumexp", "softmax_backward", "log_softmax_backward"])
    )
    shape = _shape(rng, 2, 3)
    axis = int(rng.integers(-len(shape), len(shape)))
    operands = [_values(rng, shape, dtype) for _ in range(1 + name.endswith("_backward"))]
    return name, lambda *a: getattr(fa, name)(*a[:-1], axis=axis, out=a[-1]), operands


def _of_labels(rng: np.random.Generator, dtype: str) -> Call:
    shape = _shape(rng, 2, 3)
    labels = rng.integers(-1, max(1, min(shape[-1], 128)), shape[:-1])
    labels = np.where(labels < shape[-1], labels, -1).astype(rng.choice(["int8", "int32", "int64"]))
    weight = rng.random(shape[-1]).astype(dtype)
    options: dict[str, Any] = {"ignore_index": -1, "reduction": "none", "return_lse": True, "return_argmax": True}
    options["label_smoothing"] = float(rng.choice([0.0, 0.1]))
    options["softcap"] = rng.choice(np.array([None, 30.0]))
    return (
        "cross_entropy_with_grad",
        lambda x, t, w, out: fa.cross_entropy_with_grad(x, t, weight=w, **options),
        [_values(rng, shape, dtype), labels, weight],
    )


def _of_probabilities(rng: np.random.Generator, dtype: str) -> Call:
    shape = _shape(rng, 2, 3)
    target = rng.random(shape).astype(dtype)
    return (
        "cross_entropy_with_grad of probabilities",
        lambda x, t, out: fa.cross_entropy_with_grad(x, t, reduction="none"),
        [_values(rng, shape, dtype), target],
    )


def _maxout(rng: np.random.Generator, dtype: str) -> Call:
    pieces, shape = int(rng.integers(1, 19)), _shape(rng, 1, 3)
    axis = int(rng.integers(len(shape)))
    x = _values(rng, (*shape[:axis], shape[axis] * pieces, *shape[axis + 1 :]), dtype)
    which = rng.integers(-1, pieces + 1, shape).astype(np.int32)
    kinds: list[Call] = [
        ("maxout", lambda x, out: fa.maxout(x, pieces, axis, out=out), [x]),
        ("maxout_with_index", lambda x, out: fa.maxout_with_index(x, pieces, axis), [x]),
        (
            "maxout_backward",
            lambda g, w, out: fa.maxout_backward(g, w, pieces, axis, out=out),
            [_values(rng, shape, dtype), which],
        ),
    ]
    return kinds[int(rng.integers(len(kinds)))]


def _glu(rng: np.random.Generator, dtype: str) -> Call:
    shape = _shape(rng, 1, 3)
    axis = int(rng.integers(len(shape)))
    x = _values(rng, (*shape[:axis], 2 * shape[axis], *shape[axis + 1 :]), dtype)
    if rng.random() < 0.5:
        return "glu", lambda x, out: fa.glu(x, axis, out=out), [x]
    return "glu_backward", lambda g, x, out: fa.glu_backward(g, x, axis, out=out), [_values(rng, shape, dtype), x]


KINDS = (_elementwise, _over_an_axis, _of_labels, _of_probabilities, _maxout, _glu)


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
