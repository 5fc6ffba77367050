"""Calls of ``keep_memory``: within each other, refused, where memory cannot be kept, and NumPy as it was afterwards."""

import contextlib
import os

import numpy as np
import pytest

import fastact as fa
from fastact import keeping
from fastact.kernels import keeping as fields
from fastact.runtime import numpy_memory, threads
from tests.kept_memory import MIB, RESIDENT, dirty, nothing_left, where_it_can_be_kept  # noqa: F401 - a fixture of each test

pytestmark = where_it_can_be_kept


def test_nested_blocks():
    fa.keep_memory(50 * MIB)
    arrays = [np.ones(4 * MIB, np.uint8) for _ in range(8)]
    arrays.clear()
    assert keeping.kept_bytes() > 30 * MIB
    with fa.keep_memory(20 * MIB) as outer:
        assert 16 * MIB <= outer.bytes <= 20 * MIB, "a lower bound holds at once"
        with fa.keep_memory(5 * MIB) as inner:
            assert inner.bytes <= 5 * MIB
            assert bound() == 5 * MIB
            outer.stop()  # in another order
        assert bound() == 50 * MIB
        assert not inner.active
    with outer:
        assert outer.active
        assert bound() == 20 * MIB
    assert bound() == 50 * MIB
    fa.keep_memory(30 * MIB)
    last = fa.keep_memory(40 * MIB)
    assert bound() == 40 * MIB
    last.stop()
    last.stop()
    assert bound() == 0, "calls without a block are one, however many"
    assert not keeping._open


def bound():
    return numpy_memory.state[fields.MOST_BYTES]


def test_numpy_is_as_it_was():
    handler = numpy_memory.default_handler()
    before = [getattr(handler, name) for name in numpy_memory.FUNCTIONS]
    with contextlib.suppress(KeyError), fa.keep_memory():
        during = [getattr(handler, name) for name in numpy_memory.FUNCTIONS]
        raise KeyError
    assert not set(before) & set(during)
    assert [getattr(handler, name) for name in numpy_memory.FUNCTIONS] == before


@pytest.mark.parametrize(
    ("value", "error", "got"),
    [
        (0, ValueError, "0"),
        (-5, ValueError, "-5"),
        (1e9, TypeError, "float"),
        ("1G", TypeError, "str"),
        (True, TypeError, "bool"),
        (np.array([7]), TypeError, "ndarray"),
    ],
)
def test_errors(value, error, got):
    with pytest.raises(error, match=f"^keep_memory: max_bytes must be an integer of at least 1, or None, got {got}$"):
        fa.keep_memory(value)
    assert not keeping._open
    assert fa.keep_memory(np.int32(2**20)).max_bytes == 2**20


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": str(64 * MIB)}, 4 * MIB),
        ({"memory/memory.limit_in_bytes": str(32 * MIB)}, 2 * MIB),
        ({"memory.max": "max"}, None),
        ({"memory/memory.limit_in_bytes": str(2**63 - 4096)}, None),
    ],
)
def test_the_default_is_a_share_of_what_there_is(files, expected, tmp_path, monkeypatch):
    (tmp_path / "memory").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(threads, "CGROUP", str(tmp_path))
    monkeypatch.setattr(threads, "OWN_CGROUPS", str(tmp_path / "none"))
    all_memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert fa.keep_memory().max_bytes == (expected or all_memory // 16)


def test_it_says_what_it_is():
    with fa.keep_memory(10**8) as kept:
        dirty(10**7)
        assert repr(kept) == "<fastact.KeptMemory: 10.0 of at most 100.0 MB>"
        assert kept.release() >= 10**7
        assert kept.active
        assert kept.bytes == 0
    assert repr(kept) == "<fastact.KeptMemory: stopped>"


def test_where_memory_cannot_be_kept(python, monkeypatch):
    code = """
kept = fa.keep_memory()
with kept:
    np.ones(2**24, np.uint8)
    print(kept.active, kept.bytes, fa.release_memory(), repr(kept))
kept.stop()
"""
    none = "<fastact.KeptMemory: none, for the interpreter's memory is being debugged>"
    assert python(RESIDENT + code, PYTHONMALLOC="debug") == f"False 0 0 {none}"
    monkeypatch.setattr(numpy_memory.sys, "platform", "darwin")
    kept = fa.keep_memory()
    assert not kept.active
    assert kept.reason == "memory is kept on Linux only, not on darwin"
    assert not keeping._open


def test_nothing_of_it_is_imported_before(python):
    code = "import sys, fastact as fa; fa.get_num_threads(); print('fastact.keeping' in sys.modules); fa.keep_memory; "
    assert python(code + "print('fastact.keeping' in sys.modules, 'numba' in sys.modules)").split() == [
        "False",
        "True",
        "False",
    ]


def test_warmup_compiles_it_ahead_of_time(python, tmp_path):
    """The command once, whatever the dtypes, and the function; then a new process compiles nothing, and needs no Numba."""
    kept = tmp_path / "kernels"
    command = "import sys; from fastact.__main__ import main; sys.exit(main(['warmup', '--op', 'keep_memory']))"
    assert python(command, FASTACT_CACHE_DIR=kept).startswith("1 of 1: keep_memory\n1 function for ")
    found = {file.name for file in kept.rglob("*.o")}
    assert {f"keeper.{name}.o" for name in (*numpy_memory.FUNCTIONS, "manage", "sweep")} <= found
    seen = "seen = []; fa.warmup(['keep_memory'], ['float32', 'float64'], seen.append); print(seen); "
    code = "import sys, numpy as np, fastact as fa; kept = fa.keep_memory(); np.ones(2**20); "
    code += f"{seen}print(kept.bytes > 2**20, 'fastact.kernels.jit' in sys.modules)"
    assert python(code, FASTACT_CACHE_DIR=kept).splitlines() == ["['keep_memory']", "True False"]
    assert {file.name for file in kept.rglob("*.o")} == found
