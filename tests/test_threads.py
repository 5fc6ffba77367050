"""How many threads, and right answers from threads, forks, pools and every threading layer."""

import importlib.util
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastact as fa

LARGE = 400_001
LAYERS = ["workqueue", "omp"] + ["tbb"] * (importlib.util.find_spec("tbb") is not None)


def test_set_get_and_context_manager(threads):
    default = fa.get_num_threads()
    assert default >= 1
    with threads(2):
        assert fa.get_num_threads() == 2
        with threads(1):
            assert fa.get_num_threads() == 1
        assert fa.get_num_threads() == 2
        fa.set_num_threads(3)
    assert fa.get_num_threads() == default
    with pytest.raises(KeyError), threads(5):
        raise KeyError
    assert fa.get_num_threads() == default
    fa.set_num_threads(10_000)
    np.testing.assert_array_equal(fa.relu(np.full(LARGE, 2, np.float32)), 2)


def test_a_number_of_threads_is_the_calling_threads_own(threads):
    default, seen = fa.get_num_threads(), {}
    inside, checked = threading.Barrier(9), threading.Barrier(9)

    def caller(n):
        with threads(n):
            inside.wait()
            with threads(n + 1):
                nested = fa.get_num_threads()
            seen[n] = (fa.get_num_threads(), nested)
            checked.wait()

    callers = [threading.Thread(target=caller, args=(n,)) for n in range(1, 9)]
    for thread in callers:
        thread.start()
    inside.wait()
    assert fa.get_num_threads() == default
    checked.wait()
    for thread in callers:
        thread.join()
    assert seen == {n: (n, n + 1) for n in range(1, 9)}
    assert fa.get_num_threads() == default


def test_the_driver_uses_the_calling_threads_own_number(python):
    out = python(
        """
import ctypes, numpy as np, fastact as fa
from concurrent.futures import ThreadPoolExecutor
from fastact.engine import records
x = np.linspace(-4, 4, 2_000_000, dtype="f4")
fa.set_num_threads(2)
expected = fa.mish(x).tobytes()
asked = []
kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5, *[ctypes.c_int64] * 3)
real = kind(records._team[records.PARALLEL_FOR])
def counting(*arguments):
    asked.append(arguments[-1])
    real(*arguments)
spy = kind(counting)
records._team[records.PARALLEL_FOR] = ctypes.cast(spy, ctypes.c_void_p).value
def computed(n=None):
    asked.clear()
    if n is None:
        assert fa.mish(x).tobytes() == expected
    else:
        with fa.threads(n):
            assert fa.mish(x).tobytes() == expected
            fa.set_num_threads(n)
    return asked[:]
assert computed() == [2]
assert computed(3) == [3], asked
assert computed(1) == []
with fa.threads(3), ThreadPoolExecutor(1) as pool:
    assert pool.submit(computed).result() == [2]
    assert pool.submit(computed, 1).result() == []
    assert computed() == [3]
fa.set_num_threads(10_000)
assert computed() == [3]
print("right")
""",
        NUMBA_NUM_THREADS="3",
    )
    assert out == "right"


def test_environment_variable(python):
    show = "import fastact as fa, numpy as np; print(fa.get_num_threads(), fa.relu(np.ones(400_001, 'f4')).sum())"
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert python(show, FASTACT_NUM_THREADS="1") == "1 400001.0"
    assert python(show, FASTACT_NUM_THREADS=" 2 ").split()[0] == str(min(2, affinity))
    assert python(show, FASTACT_NUM_THREADS="10000").split()[0] == python(show, FASTACT_NUM_THREADS="").split()[0]


def test_config_says_why_that_many_threads(python):
    show = "import fastact; fastact.show_config()"
    assert "1 (FASTACT_NUM_THREADS=1)" in python(show, FASTACT_NUM_THREADS="1")
    chosen = python(f"import fastact; fastact.set_num_threads(7); {show}", FASTACT_NUM_THREADS="1")
    assert "7 (set_num_threads; default 1: FASTACT_NUM_THREADS=1)" in chosen


@pytest.mark.parametrize("shared", [True, False], ids=["shared arrays", "separate arrays"])
def test_concurrent_callers(shared, representatives, threads, same_bits):
    cases = representatives[:6]
    for case in cases:
        sizes = [1, 40, 3000, LARGE]
        with threads(1):
            expected = {n: case.ufunc(*case.operands(n, "float32")) for n in sizes}
        operands = {n: case.operands(n, "float32") for n in sizes}

        def call(i, case=case, operands=operands, sizes=sizes):
            n = sizes[i % len(sizes)]
            given = operands[n] if shared else [o.copy() for o in operands[n]]
            return n, case.ufunc(*given)

        with threads(2), ThreadPoolExecutor(8) as pool:
            for n, got in pool.map(call, range(40)):
                same_bits(got, expected[n], f"{case.name} of {n} elements, called from 8 threads")


def test_first_calls_from_many_threads(python):
    out = python(
        """
import numpy as np, fastact as fa
from concurrent.futures import ThreadPoolExecutor
x = np.linspace(-4, 4, 400_001, dtype="f4")
with ThreadPoolExecutor(8) as pool:
    results = list(pool.map(lambda i: fa.relu(x), range(16)))
print(all((r == np.maximum(x, 0)).all() for r in results))
"""
    )
    assert out == "True"


LAYER_CODE = """
import sys, numpy as np, fastact as fa
from concurrent.futures import ThreadPoolExecutor
from fastact.engine import threads
x = np.linspace(-4, 4, 400_001, dtype="f4")
fa.set_num_threads(1)
expected = fa.elu(x)
fa.set_num_threads(2)
for _ in range(20):
    assert fa.elu(x).tobytes() == expected.tobytes()
with ThreadPoolExecutor(6) as pool:
    assert all(r.tobytes() == expected.tobytes() for r in pool.map(lambda i: fa.elu(x), range(60)))
print(threads.layer_name())
"""


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer(layer, python):
    assert python(LAYER_CODE, NUMBA_THREADING_LAYER=layer) == layer


FORK_CODE = """
import os, sys, numpy as np, fastact as fa
x = np.linspace(-4, 4, 400_001, dtype="f4")
expected = fa.elu(x).tobytes()
def right(depth):
    assert fa.elu(x).tobytes() == expected
    fa.set_num_threads(2)
    with fa.threads(3):
        assert fa.elu(x).tobytes() == expected
    assert fa.silu(x[:100]).tobytes() == fa.silu(x)[:100].tobytes()
    if depth:
        check(depth - 1)
def check(depth):
    child = os.fork()
    if child == 0:
        try:
            right(depth)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
for _ in range(3):
    check(1)
assert fa.elu(x).tobytes() == expected
print("right")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.parametrize("layer", LAYERS)
def test_forked_children(layer, python):
    assert python(FORK_CODE, flags=["-W", "ignore"], NUMBA_THREADING_LAYER=layer) == "right"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_fork_before_the_first_call(python):
    code = FORK_CODE.replace("expected = fa.elu(x).tobytes()", "expected = None", 1)
    code = code.replace("def right(depth):", "def right(depth):\n    expected = fa.elu(x).tobytes()", 1)
    code = code.replace("assert fa.elu(x).tobytes() == expected\nprint", "print")
    assert python(code, flags=["-W", "ignore"]) == "right"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_fork_while_another_thread_computes(python):
    """The child must not wait for a team that only its parent had."""
    out = python(
        """
import os, threading, numpy as np, fastact as fa
x = np.linspace(-4, 4, 3_000_001, dtype="f4")
expected = fa.elu(x).tobytes()
stop = threading.Event()
def work():
    while not stop.is_set():
        fa.elu(x)
worker = threading.Thread(target=work)
worker.start()
for _ in range(5):
    child = os.fork()
    if child == 0:
        os._exit(0 if fa.elu(x).tobytes() == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
worker.join()
print("right")
""",
        flags=["-W", "ignore"],
    )
    assert out == "right"


def test_a_call_from_inside_numbas_own_team(python):
    """A user's prange and fastact share Numba's layer; both keep right answers."""
    out = python(
        """
import numpy as np, numba, fastact as fa
x = np.linspace(-4, 4, 400_001, dtype="f4")
@numba.njit(parallel=True)
def double(x):
    out = np.empty_like(x)
    for i in numba.prange(x.size):
        out[i] = 2 * x[i]
    return out
for _ in range(5):
    assert (fa.relu(double(x)) == np.maximum(2 * x, 0)).all()
    assert (double(fa.relu(x)) == 2 * np.maximum(x, 0)).all()
print("right")
"""
    )
    assert out == "right"
