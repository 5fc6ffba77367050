"""Memory that NumPy frees is kept for its next arrays: right values, within bounds, and older or younger than it."""

import numpy as np
import pytest

import fastact as fa
from fastact import keeping
from fastact.kernels import keeping as fields
from fastact.runtime import numpy_memory
from tests.kept_memory import MIB, dirty, nothing_left, reused, where_it_can_be_kept  # noqa: F401 - a fixture of each test

pytestmark = where_it_can_be_kept
SIZES = (2**16, 100_000, MIB, 6 * MIB + 8, 20 * MIB)


@pytest.mark.parametrize("size", SIZES)
def test_the_next_array_gets_the_memory(size):
    address = dirty(size)
    with fa.keep_memory():
        before, address = reused(), dirty(size)
        again = np.empty(size, np.uint8)
        assert (again.ctypes.data, reused()) == (address, before + 1)
        assert again.ctypes.data % 64 == 0
        again[:] = 7
        assert (again == 7).all()


def test_values_are_those_without_it():
    rng = np.random.default_rng(0)

    def results(x):
        return [
            np.exp(x) * x + 1,
            x[x > 0],
            np.sort(x),
            np.cumsum(x),
            fa.gelu(x),
            fa.softmax(x.reshape(100, -1)),
            x @ x,
        ]

    arrays = [rng.normal(size=size).astype(np.float32) for size in (20_000, 300_000, 3_000_000)] * 2
    expected = [results(x) for x in arrays]
    with fa.keep_memory():
        before = reused()
        for x, wanted in zip(arrays, expected, strict=True):
            for got, right in zip(results(x), wanted, strict=True):
                np.testing.assert_array_equal(got, right)
        assert reused() > before + 10


@pytest.mark.parametrize("size", [*SIZES, 40 * MIB])
@pytest.mark.parametrize("dtype", ["u1", "f8"])
def test_zeros_are_zeros(size, dtype):
    with fa.keep_memory():
        before = reused()
        dirty(size)
        zeros = np.zeros(size // np.dtype(dtype).itemsize, dtype)
        assert not zeros.any()
        assert reused() == before + 1, "the memory of ones was not wanted"
        zeros += 1
        assert (zeros == 1).all()


def test_a_smaller_array_gets_little_more_than_it_needs():
    with fa.keep_memory():
        address = dirty(10 * MIB)
        assert np.empty(4 * MIB, np.uint8).ctypes.data != address
        assert np.empty(int(9.5 * MIB), np.uint8).ctypes.data == address
        for size in (9 * MIB, 10 * MIB):  # though it was freed as one of fewer bytes
            assert np.empty(size, np.uint8).ctypes.data == address


def test_no_more_is_kept_than_allowed():
    with fa.keep_memory(10 * MIB) as kept:
        for size in (MIB, 3 * MIB, 5 * MIB):
            for array in [np.ones(size, np.uint8) for _ in range(12)]:
                del array
                assert 0 <= kept.bytes <= 10 * MIB
            assert kept.bytes > 4 * MIB
        held = kept.bytes
        dirty(11 * MIB)
        assert kept.bytes == held, "what is larger than all was kept, or other blocks went for it"


def test_the_oldest_go_first():
    with fa.keep_memory(10 * MIB + 2**16):
        first, *others = [np.ones(2 * MIB, np.uint8) for _ in range(6)]
        addresses = [array.ctypes.data for array in others]
        del first
        while others:
            del others[0]
        again = [np.empty(2 * MIB, np.uint8) for _ in addresses]
        assert {array.ctypes.data for array in again} == set(addresses)


def test_many_blocks():
    with fa.keep_memory():
        arrays = [np.ones(2**16, np.uint8) for _ in range(3 * fields.BLOCKS)]
        arrays.clear()
        assert numpy_memory.state[fields.COUNT] == fields.BLOCKS
        arrays = [np.zeros(2**16, np.uint8) for _ in range(3 * fields.BLOCKS)]
        assert len({array.ctypes.data for array in arrays}) == len(arrays)
        assert not any(array.any() for array in arrays)
        assert keeping.kept_bytes() == 0


def test_small_arrays_are_left_alone():
    with fa.keep_memory() as kept:
        dirty(2**16 - 1)
        assert kept.bytes == 0
        dirty(2**16)
        assert kept.bytes >= 2**16


def test_arrays_outlive_it_and_are_older():
    old = np.full(MIB, 3, np.uint8)
    with fa.keep_memory() as kept:
        dirty(MIB)
        made, zeros = np.full(MIB, 5, np.uint8), np.zeros(2 * MIB, np.uint8)
        del old
        assert kept.bytes >= MIB, "what an older array leaves is kept too"
    assert (made == 5).all()
    assert not zeros.any()
    made.resize(3 * MIB, refcheck=False)
    assert (made[:MIB] == 5).all()
    assert not made[MIB:].any()
    del made, zeros
    assert kept.bytes == 0
    assert np.ones(MIB).sum() == MIB


def test_resize():
    x = np.arange(2**18)
    with fa.keep_memory() as kept:
        dirty(4 * MIB)
        assert (np.resize(x, 2**19) == np.concatenate([x, x])).all()
        grown = x.copy()
        for size in (2**20, 2**23, 2**18, 2**14, 10, 2**19):
            held = grown[: min(size, grown.size)].copy()
            grown.resize(size, refcheck=False)
            assert (grown[: held.size] == held).all()
            assert not grown[held.size :].any()
        del grown
        fa.release_memory()
        shrunk = np.ones(8 * MIB, np.uint8)
        shrunk.resize(2 * MIB, refcheck=False)
        del shrunk
        assert 2 * MIB <= kept.bytes < 3 * MIB, "what is kept is counted as what it was"
        assert np.fromiter(range(200_000), float).sum() == 199_999 * 100_000
