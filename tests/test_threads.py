"""How many threads, and right answers from threads, forks and pools."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastact as fa

LARGE = 400_001


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


def test_blocks_that_end_in_any_order(threads):
    default = fa.get_num_threads()

    def block(n):
        with threads(n):
            yield

    first, second, third = map(block, (1, 7, 5))
    for generator in (first, second, third):
        next(generator)
    fa.set_num_threads(4)
    assert fa.get_num_threads() == 4
    first.close()
    assert fa.get_num_threads() == 4
    third.close()
    assert fa.get_num_threads() == 7
    second.close()
    assert fa.get_num_threads() == default


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


def test_a_number_of_threads_is_its_tasks_own(threads):
    """Tasks of one thread enter and leave their blocks in any order."""
    default, seen = fa.get_num_threads(), {}

    async def task(n, waits):
        with threads(n):
            for _ in range(waits):
                await asyncio.sleep(0)
            seen[n] = fa.get_num_threads()
            seen[-n] = await asyncio.to_thread(fa.get_num_threads)
        seen[f"after {n}"] = fa.get_num_threads()

    async def all_tasks():
        await asyncio.gather(task(2, 3), task(3, 1), task(4, 7), task(5, 2))

    asyncio.run(all_tasks())
    assert seen == {n: abs(n) for k in range(2, 6) for n in (k, -k)} | {f"after {n}": default for n in range(2, 6)}
    assert fa.get_num_threads() == default


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
    most = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    used = f", of which {most} compute, one for each processor" if most < 7 else ""
    assert f"7 (set_num_threads{used}; default 1: FASTACT_NUM_THREADS=1)" in chosen


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


@pytest.mark.parametrize("cache", ["off", None], ids=["compiled", "as it is"])
def test_a_small_stack(cache, python):
    """Servers with many threads give each 256 KiB: enough for every call, and what compiles has a stack of its own."""
    code = """
import threading, numpy as np, fastact as fa
threading.stack_size(256 * 1024)
results = []
def call(dtype):
    x = np.ones((1000, 300), dtype)
    results.append(fa.mish(x).sum())
    if {all}:
        labels = np.zeros(300, int)
        fa.softmax(x)
        fa.softmax(x, axis=0)
        fa.log_softmax_backward(x, x, axis=0)
        fa.cross_entropy_with_grad(x.T, labels, label_smoothing=0.1)
        fa.cross_entropy_with_grad(x, labels, label_smoothing=0.1, axis=0)
        fa.maxout(x, 3)
for dtype in ("f2", "f4", "f8"):
    thread = threading.Thread(target=call, args=(dtype,))
    thread.start()
    thread.join()
print(len(results))
"""
    places = {} if cache is None else {"FASTACT_CACHE_DIR": cache}
    assert python(code.replace("{all}", str(cache is None)), **places) == "3"


MANY_CODE = """
import threading, numpy as np, fastact as fa
fa.set_num_threads(2)
rng = np.random.default_rng(0)
sizes = [1, 7, 100, 3000, 300_001]
arrays = {n: rng.normal(size=n).astype("f4") for n in sizes}
logits, labels = rng.normal(size=(50, 7)).astype("f4"), np.zeros(50, int)
functions = [fa.gelu, fa.mish, fa.leaky_relu, fa.tanh, fa.softmax, fa.exp, lambda x: fa.maxout(x[: x.size // 2 * 2], 2), fa.silu]
def call(i, x):
    out = functions[i % len(functions)](x)
    return out.tobytes() + fa.cross_entropy(logits, labels).tobytes()
expected = {(i, n): call(i, arrays[n]) for i in range(len(functions)) for n in sizes if not (i == 6 and n == 1)}
wrong = []
def caller(i):
    own = {n: a.copy() for n, a in arrays.items()}
    for k in range(1000):
        n = sizes[-1] if k % 100 == 99 else sizes[(k + i) % 4]
        op = (i + k) % len(functions)
        if (op, n) in expected and call(op, (own if k % 2 else arrays)[n]) != expected[op, n]:
            wrong.append((op, n))
callers = [threading.Thread(target=caller, args=(i,)) for i in range(8)]
for thread in callers: thread.start()
for thread in callers: thread.join()
print(wrong[:5])
"""


def test_a_thousand_calls_from_each_of_eight_threads(python):
    assert python(MANY_CODE) == "[]"


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
def test_forked_children(python):
    assert python(FORK_CODE, flags=["-W", "ignore"]) == "right"


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
    assert out.splitlines()[-1] == "right"


def test_a_call_from_inside_numbas_own_team(python):
    """A user's prange has threads of its own; both keep right answers."""
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


NESTED = {
    "a user's prange": """
import numba
@numba.njit(parallel=True)
def nested(x):
    out = np.empty_like(x)
    for i in numba.prange(x.size):
        out[i] = fa.gelu(x[i])
    return out
got = nested(x)
assert np.abs(got - expected).max() < 1e-6
""",
    "dask's threads": """
import dask.array
got = dask.array.map_blocks(fa.gelu, dask.array.from_array(x, chunks=200_000)).compute(scheduler="threads", num_workers=4)
assert got.tobytes() == expected.tobytes()
""",
    "a pool of threads, each with a team's worth": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    for got in pool.map(lambda i: fa.gelu(x), range(40)):
        assert got.tobytes() == expected.tobytes()
""",
    "PyTorch's pool": """
import torch
def in_pool(grad):
    assert fa.gelu(x).tobytes() == expected.tobytes()
    return grad
t = torch.ones(1_000_000, requires_grad=True)
t.register_hook(in_pool)  # autograd calls it from a thread of its own
(torch.nn.functional.gelu(t) * 2).sum().backward()
for _ in range(5):
    torch.nn.functional.gelu(torch.from_numpy(x))
    assert fa.gelu(x).tobytes() == expected.tobytes()
""",
}


@pytest.mark.parametrize("inside", NESTED)
def test_inside_other_pools(inside, python):
    if "torch" in NESTED[inside]:
        pytest.importorskip("torch")
    start = """
import os, threading, numpy as np, fastact as fa
x = np.random.default_rng(0).normal(size=1_000_000).astype("f4")
fa.set_num_threads(1)
expected = fa.gelu(x)
fa.set_num_threads(2)
"""
    # All callers share one team: no pool makes more threads of ours.
    end = """
tasks = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
for _ in range(20):
    fa.gelu(x)
assert not tasks or len(os.listdir("/proc/self/task")) <= tasks
print("right")
"""
    assert python(start + "fa.gelu(x)\n" + NESTED[inside] + end) == "right"
