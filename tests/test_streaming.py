"""Results written past the caches: the same bits at every length and place, and nothing beside them."""

import numpy as np
import pytest

import fastact as fa
from fastact.functions.elementwise import kernels
from fastact.kernels import fields
from fastact.runtime import caches, records
from fastact.runtime.ufunc import make_ufunc

CHEAP = ("relu", "leaky_relu", "hard_swish", "exp")
ROWS = {
    "layer_norm": lambda x, out: fa.layer_norm(x, out=out),
    "rms_norm": lambda x, out: fa.rms_norm(x, out=out),
    "dropout": lambda x, out: fa.dropout(x, 0.5, np.random.default_rng(5), out=out)[0],
}
LENGTHS = (1, 15, 16, 17, 64, 1000, 1023, 1024, 1025, 2048, 4097, 70_001)


@pytest.fixture(params=[1, 3])
def streamed(request, threads):
    """A function that lets all calls of kernels that have been made write past the caches, or does so no more."""
    before = {}

    def switch(on):
        for record in records._records:
            before.setdefault(id(record), (record[fields.STREAM_FROM], record[fields.PARALLEL_FROM]))
            record[fields.STREAM_FROM], record[fields.PARALLEL_FROM] = (0, 1) if on else before[id(record)]
            # 0 itself would be a chunk's own record: a whole call of one element or more is what is meant.
            record[fields.STREAM_FROM] = max(1, record[fields.STREAM_FROM])

    with threads(request.param):
        yield switch
    switch(False)


def placed(n, first, dtype):
    """A view of ``n`` elements that begins so many behind a cache line, and the buffer around it."""
    buffer = np.full(n + 200, 7, dtype)
    start = -(buffer.ctypes.data // buffer.itemsize) % (64 // buffer.itemsize) + 64 + first
    return buffer[start : start + n], buffer, start


def check(call, x, streamed, same_bits, first):
    """Compare a call's results, and what lies beside them, with the same written as usual."""
    streamed(False)
    expected = call(x, np.empty(x.shape, x.dtype))
    streamed(True)
    out, buffer, start = placed(x.size, first, x.dtype)
    call(x, out.reshape(x.shape))
    same_bits(out, expected.reshape(-1))
    assert (buffer[:start] == 7).all()
    assert (buffer[start + x.size :] == 7).all()


@pytest.mark.parametrize("name", CHEAP)
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_elements(name, kind, streamed, same_bits):
    rng, function = np.random.default_rng(3), getattr(fa, name)
    for n in LENGTHS:
        wide = rng.normal(size=2 * n).astype(kind)
        for x in (wide[:n].copy(), wide[::2], wide[::-2]):
            check(lambda x, out: function(x, out=out), x, streamed, same_bits, n % 23)


@pytest.mark.parametrize("name", CHEAP)
def test_in_place_and_into_strides(name, streamed, same_bits):
    x, function = np.random.default_rng(4).normal(size=9000).astype("f4"), getattr(fa, name)
    streamed(False)
    expected = function(x)
    streamed(True)
    inside, apart = x.copy(), np.zeros(18_000, "f4")
    function(inside, out=inside)
    same_bits(inside, expected)
    function(x, out=apart[::2])
    same_bits(apart[::2], expected)
    assert not apart[1::2].any()


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 65), (9, 100), (5, 1024), (4, 1500), (2, 2048), (3, 2049)])
def test_rows(name, kind, shape, streamed, same_bits):
    x = np.random.default_rng(6).normal(size=shape).astype(kind)
    for first in (0, 1, 13):
        check(ROWS[name], x, streamed, same_bits, first)
        check(ROWS[name], x[:, ::-1], streamed, same_bits, first)


def test_rows_in_place_and_into_strides(streamed, same_bits):
    x = np.random.default_rng(7).normal(size=(9, 1500)).astype("f4")
    for name, call in ROWS.items():
        streamed(False)
        expected = call(x, None)
        streamed(True)
        inside, apart = x.copy(), np.zeros((9, 3000), "f4")
        call(inside, inside)
        same_bits(inside, expected, name)
        call(x, apart[:, ::2])
        same_bits(apart[:, ::2], expected, name)
        assert not apart[:, 1::2].any(), name


@pytest.mark.parametrize(("name", "streams"), [("relu", [True, False]), ("gelu", [False, False])])
def test_what_waits_for_memory_streams_what_the_last_cache_cannot_hold(name, streams):
    for kernel, expected in zip(kernels(fa.ops[name]), streams, strict=True):
        before = len(records._records)
        make_ufunc(kernel, name, "", __name__)
        made = [record[fields.STREAM_FROM] for record in records._records[before:]]
        assert made[:3] == [caches.last_cache_bytes() // size if expected else fields.NEVER for size in (2, 4, 8)]


def test_the_last_cache_is_read_as_linux_writes_it(monkeypatch, tmp_path):
    for number, (level, kind, size) in enumerate([(1, "Data", "32K"), (3, "Unified", "36M"), (2, "Unified", "512K")]):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{text}\n")
    monkeypatch.setattr(caches, "FOLDER", tmp_path)
    assert caches.last_cache_bytes.__wrapped__() == 36 * 2**20
    monkeypatch.setattr(caches, "FOLDER", tmp_path / "none")
    assert caches.last_cache_bytes.__wrapped__() == caches.USUAL
