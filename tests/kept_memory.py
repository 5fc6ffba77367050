"""What the tests of kept memory have in common: code of child processes, and that nothing is left in this one."""

import numpy as np
import pytest

from fastact import keeping
from fastact.kernels import keeping as fields
from fastact.runtime import numpy_memory

REASON = numpy_memory.reason_against()
where_it_can_be_kept = pytest.mark.skipif(bool(REASON), reason=REASON or "none")
MIB = 2**20
RESIDENT = """
import os, time, numpy as np, fastact as fa
from fastact.kernels import keeping
from fastact.runtime import numpy_memory
state = numpy_memory.state
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
def lazily_freed():
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("LazyFree")) / 2**10
def wait_for(condition):
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()
def impatient(mark, leave):
    numpy_memory.prepare()
    state[keeping.PERIOD], state[keeping.MARK_AFTER], state[keeping.LEAVE_AFTER] = 20_000, int(mark * 1e9), int(leave * 1e9)
"""
"""What a child's memory holds, of which kind, and how to wait for it."""
HAMMER = """
import random, threading
def hammer(number, seconds, wrong):
    rng, end, mine = random.Random(number), time.monotonic() + seconds, []
    try:
        while time.monotonic() < end:
            size = rng.choice([2**16, 2**16 + 640, 2**18, 2**20])
            array = np.zeros(size, np.uint8) if rng.random() < 0.5 else np.empty(size, np.uint8)
            if array.base is None and rng.random() < 0.1:
                array.resize(2 * size, refcheck=False)
            array[:] = number
            mine.append(array)
            if len(mine) > rng.randrange(12):
                out = mine.pop(rng.randrange(len(mine)))
                if (out != number).any():
                    wrong.append(number)
                if rng.random() < 0.2 and np.zeros(size, np.uint8).any():
                    wrong.append(-number)
    except BaseException as error:
        wrong.append(repr(error))
def run(seconds):
    wrong = []
    team = [threading.Thread(target=hammer, args=(i + 1, seconds, wrong)) for i in range(6)]
    for thread in team:
        thread.start()
    return team, wrong
"""
"""Threads that fill, check and drop arrays, for a child process."""


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    while keeping._open:
        keeping._open[-1].stop()
    assert keeping.kept_bytes() == 0


def reused():
    return numpy_memory.state[fields.REUSED]


def dirty(size):
    """Free a block of that many bytes, full of ones; its address."""
    array = np.full(size, 255, np.uint8)
    return array.ctypes.data
