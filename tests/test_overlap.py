"""Results that lie where operands lie, shifted, strided or reversed: as if nothing overlapped, as NumPy documents."""

import functools
import zlib

import numpy as np
import pytest

import fastact as fa
from fastact.kernels import fields
from fastact.runtime import records
from tests.calls import ROW_CALLS
from tests.conftest import CASES

SMALL, LARGE = 300, 70_001
"""Elements: some tiles on one thread, and several chunks for each of many threads."""


@pytest.fixture
def all_shared_out(threads):
    """Large calls are shared out from the first elements on, whatever has been measured."""

    def share_out():
        for i in range(fields.DURATIONS):
            records.team[fields.ACCOUNTS + i], records.team[fields.LATENESS + i] = 10_000_000, 0

    return share_out


def views(rng, buffer, count, n):
    """That many views of ``n`` elements each, which begin in the first half of a buffer that holds 4 n."""
    steps = [int(rng.choice([1, 1, 1, 2, 3, -1, -1, -2])) for _ in range(count)]
    if rng.random() < 0.5:
        steps = [steps[0]] * count
    drawn = []
    for step in steps:
        first = int(rng.choice([0, 1, 2, 3, 7, 64, 1000, n // 2, n // 2 + 1])) % (n // 2 + 2)
        reach = buffer[first : first + (n - 1) * abs(step) + 1]
        drawn.append(reach[:: abs(step)] if step > 0 else reach[::-1][:: abs(step)])
    return drawn


def drawn_for(*names):
    """A generator of each test's own: there are many tests, of which each draws little."""
    return np.random.default_rng(zlib.crc32(" ".join(map(str, names)).encode()))


@functools.lru_cache(maxsize=8)
def operands_of(case, n, dtype):
    return case.operands(n, dtype)


@pytest.mark.parametrize("n", [SMALL, LARGE])
def test_elementwise(case, dtype, n, all_shared_out, threads, same_bits):
    rng = drawn_for(case.name, dtype, n)
    inputs, outputs = case.ufunc.nin, case.ufunc.nout
    rest = operands_of(case, n, dtype)
    plain = np.resize(np.concatenate(rest[: 1 + case.backward]), 4 * n)
    for _ in range(6 if n == SMALL else 2):
        choice = rng.permutation(inputs)[: int(rng.integers(1, inputs + 1))]
        for number in (1, 4):
            buffer = plain.copy()
            shared = views(rng, buffer, len(choice) + 1, n)
            given = [*rest]
            for j, view in zip(choice, shared, strict=False):
                given[j] = view
            with threads(1):
                expected = case.ufunc(*[a.copy() for a in given])
            outs = (shared[-1], *(np.empty(n, dtype) for _ in range(outputs - 1)))
            all_shared_out()
            with threads(number):
                got = case.ufunc(*given, out=outs if outputs > 1 else outs[0])
            strides = [a.strides for a in given], outs[0].strides
            same_bits(got, expected, f"{case.name} of {n} on {number} threads with strides {strides}")


def matrices(rng, buffer, shapes):
    """A view of the buffer for each shape: rows or columns side by side, shifted, some of them reversed or with gaps."""
    drawn = []
    for shape in shapes:
        steps = [int(rng.choice([1, 1, 1, 2, -1])) for _ in shape]
        extent = [size * abs(step) for size, step in zip(shape, steps, strict=True)]
        first = int(rng.choice([0, 1, 3, 64, shape[-1], shape[-1] + 1]))
        transposed = rng.random() < 0.3
        flat = buffer[first : first + int(np.prod(extent))]
        view = flat.reshape(extent[::-1]).T if transposed else flat.reshape(extent)
        drawn.append(view[tuple(slice(None, None, step) for step in steps)])
    return drawn


SHAPES = [(3, 40), (40, 3), (5, 2100), (2500, 30), (30, 2500)]
LONG_ROW = (1, 2**19 + 3)
"""Computed in segments, except by maxout, whose operand would be large."""


@pytest.mark.parametrize(
    ("name", "rows", "length"),
    [
        (name, *shape)
        for name, call in ROW_CALLS.items()
        if len(call.written) == 1
        for shape in [*SHAPES, LONG_ROW]
        if shape != LONG_ROW or not name.startswith("maxout")
    ],
)
def test_rows(name, dtype, rows, length, all_shared_out, threads, same_bits):
    rng, call = drawn_for(name, dtype, rows, length), ROW_CALLS[name]
    some = rng.normal(scale=4, size=100_003)
    for _ in range(4 if rows * length < 1000 else 2 if rows > 1 else 1):
        axis = int(rng.integers(0, 2)) if rows > 1 else 1
        operands, options = call.arguments(rng, (rows, length), axis, dtype)
        (written,) = call.written
        with threads(1):
            result = call(operands, axis, options)[written]
        for number in (1, 4):
            shared = [j for j, a in enumerate(operands) if a.dtype == result.dtype and a.ndim == 2]
            size = max(a.size for a in (*operands, result))
            buffer = np.resize(some.astype(dtype), 5 * size + 200)
            views = matrices(rng, buffer, [np.shape(operands[j]) for j in shared] + [result.shape])
            given = list(operands)
            for j, view in zip(shared, views, strict=False):
                given[j] = view
            with threads(1):
                expected = call([a.copy() for a in given], axis, options)
            all_shared_out()
            with threads(number):
                got = call(given, axis, options, views[-1:])
            strides = [a.strides for a in (*given, views[-1])]
            same_bits(got, expected, f"{name} along axis {axis} on {number} threads with strides {strides}")


def one_by_one(ufunc, start, rest):
    """What ``accumulate`` returns for floats."""
    results = [start]
    for element in rest:
        results.append(ufunc(results[-1], element))
    return np.stack(results)


@fa.elementwise
def add(x, y):
    return x + y


@fa.elementwise
def scaled_difference(x, y):
    return 0.5 * x - y


BINARY = {case.name: case.ufunc for case in CASES if (case.ufunc.nin, case.ufunc.nout) == (2, 1)}
BINARY |= {"add": add.ufunc, "scaled_difference": scaled_difference.ufunc}


@pytest.mark.parametrize("name", BINARY)
def test_reductions(name, dtype, same_bits):
    """What a ufunc's methods return is what its loop means, element after element."""
    ufunc, rng = BINARY[name], np.random.default_rng(0)
    for n in (1, 2, 3, 40, 1500):
        x = rng.uniform(0.5, 1.5, n).astype(dtype)
        expected = one_by_one(ufunc, x[0], x[1:])
        same_bits(ufunc.accumulate(x), expected)
        same_bits(ufunc.reduce(x), expected[-1])
        same_bits(ufunc.reduce(x[::-1][::-1]), expected[-1])
        starts = sorted({0, n // 3, n // 2})
        ends = [*starts[1:], n]
        pieces = [ufunc.reduce(x[a:b]) for a, b in zip(starts, ends, strict=True)]
        same_bits(ufunc.reduceat(x, starts), np.stack(pieces))
    x = rng.uniform(0.5, 1.5, (7, 30)).astype(dtype)
    rows = one_by_one(ufunc, x[0], x[1:])
    same_bits(ufunc.reduce(x, axis=0), rows[-1])
    same_bits(ufunc.accumulate(x, axis=0), rows)
    same_bits(ufunc.accumulate(x.T, axis=1), rows.T)
    same_bits(ufunc.reduce(x.T, axis=1), rows[-1])
    same_bits(
        ufunc.reduce(x[1:], axis=0, keepdims=True, initial=x.dtype.type(0.5), where=x[1:] > 0),
        one_by_one(ufunc, np.full_like(x[0], 0.5), x[1:])[-1:],
    )
    same_bits(ufunc.outer(x[0], x[1]), ufunc(x[0][:, None], x[1][None, :]))
    indices = [3, 3, 0, 29, 3]
    expected = x[0].copy()
    for i, y in zip(indices, x[1], strict=False):
        expected[i] = ufunc(expected[i], y)
    got = x[0].copy()
    ufunc.at(got, indices, x[1][:5])
    same_bits(got, expected)


@pytest.mark.parametrize("name", ["add", "scaled_difference"])
def test_reductions_of_large_arrays(name, dtype, all_shared_out, threads, same_bits):
    ufunc, x = BINARY[name], np.random.default_rng(0).uniform(-1, 1, LARGE).astype(dtype)
    expected = one_by_one(ufunc, x[0], x[1:])
    for number in (1, 4):
        all_shared_out()
        with threads(number):
            same_bits(ufunc.accumulate(x), expected)
            same_bits(ufunc.reduce(x), expected[-1])
            same_bits(ufunc.reduceat(x, [0, 5])[0], expected[4])
            buffer = x.copy()
            ufunc(buffer[:-1], buffer[1:], out=buffer[:-1])  # which NumPy copies where it has to
            same_bits(buffer[:-1], ufunc(x[:-1], x[1:]))


def test_methods_at_single_places(case, dtype, same_bits):
    if case.ufunc.nin > 1:
        with pytest.raises(ValueError, match="reduce only supported"):
            case.ufunc.reduce(np.ones((3, 4), dtype)) if case.ufunc.nin > 2 else np.exp.reduce([1.0])
        return
    x = case.operands(50, dtype)[0]
    expected = x.copy()
    expected[[4, 0]] = case.ufunc(x[[4, 0]])
    case.ufunc.at(x, [4, 0])
    same_bits(x, expected)
