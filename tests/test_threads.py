"""How many threads, when they are used, and right answers from threads, forks and pools."""

import asyncio
import os
import sys
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


TOOLS = """
import os, sys, threading, time, numpy as np, fastact as fa
from concurrent.futures import ThreadPoolExecutor
from fastact.engine import records
x = np.linspace(-4, 4, 400_001, dtype="f4")
def account(nanoseconds):
    for i in range(records.DURATIONS):
        records.team[records.ACCOUNTS + i] = nanoseconds
def tickets():
    return [records.team[records.FIRST_CALL + i * records.CALL_FIELDS + records.TICKET] for i in range(records.CALLS)]
def shared_out(n=None, balance=10_000_000):
    \"\"\"Whether a large call is shared out.\"\"\"
    account(balance)
    before = tickets()
    if n is None:
        assert fa.mish(x).tobytes() == expected
    else:
        with fa.threads(n):
            assert fa.mish(x).tobytes() == expected
            fa.set_num_threads(n)
    return tickets() != before
def workers():
    return sorted(task for task in os.listdir("/proc/self/task") if name_of(task) == "fastact")
def name_of(task):
    with open(f"/proc/self/task/{task}/comm") as file:
        return file.read().strip()
def status(task):
    with open(f"/proc/self/task/{task}/status") as file:
        return dict(line.split(":", 1) for line in file)
"""
TEAM = f"""{TOOLS}
with fa.threads(1):
    expected = fa.mish(x).tobytes()
records.team[records.MOST] = 63  # on a machine with fewer processors workers take turns
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="there is a team on Linux only")


@linux
def test_the_driver_uses_the_calling_threads_own_number(python):
    code = """
fa.set_num_threads(1)
assert not shared_out() and not workers()
assert shared_out(3)
assert len(workers()) == 2
assert not shared_out()
fa.set_num_threads(2)
assert shared_out() and not shared_out(1)
with fa.threads(1), ThreadPoolExecutor(1) as pool:
    assert pool.submit(shared_out).result()
    assert not shared_out()
    assert pool.submit(shared_out, 4).result()
assert len(workers()) == 3
import asyncio
async def task(n, waits):
    with fa.threads(n):
        for _ in range(waits):
            await asyncio.sleep(0)
        assert shared_out() == (n > 1)
async def tasks():
    await asyncio.gather(task(3, 3), task(1, 1), task(2, 2))
asyncio.run(tasks())
assert records.team[records.OWN] == 0
fa.set_num_threads(10_000)
assert shared_out()
assert len(workers()) <= 63, "there is an end to it"
print("right")
"""
    assert python(TEAM + code) == "right"


@linux
def test_calls_are_made_alone_where_threads_do_not_pay(python):
    code = """
fa.set_num_threads(2)
assert shared_out()
assert shared_out(balance=0)
assert not shared_out(balance=-10_000_000)
account(-1_000)  # which calls that are made alone pay back with a part of their time
before, waited = tickets(), 0
while tickets() == before:
    fa.mish(x)
    waited += 1
assert 1 < waited < 1000, waited
records.team[records.CALLERS] = 5  # as if so many others were computing
assert not shared_out()
records.team[records.CALLERS] = 0
assert shared_out()
for i in range(records.DURATIONS):
    records.team[records.LATENESS + i] = 1 << 20  # as if every call had been late
assert not shared_out()
print("right")
"""
    assert python(TEAM + code) == "right"


@linux
def test_a_call_that_finds_no_place_is_made_alone(python):
    code = """
fa.set_num_threads(2)
assert shared_out()
for i in range(records.CALLS):
    records.team[records.FIRST_CALL + i * records.CALL_FIELDS + records.OWNED] = 1
assert not shared_out()
print("right")
"""
    assert python(TEAM + code) == "right"


@linux
def test_a_call_that_took_longer_than_alone_is_on_the_account(python):
    code = """
fa.set_num_threads(2)
assert shared_out()
for record in records._records:
    for i in range(records.SIZES):
        record[records.RATES + i] = 1  # as if one thread took no time: no team is as quick
assert shared_out(balance=0)
balances = [records.team[records.ACCOUNTS + i] for i in range(records.DURATIONS)]
assert min(balances) < 0, balances
before = tickets()
fa.mish(x)
assert tickets() == before
print("right")
"""
    assert python(TEAM + code) == "right"


@linux
def test_workers_have_a_name_and_take_no_signals(python):
    code = """
import signal
fa.set_num_threads(4)
assert shared_out()
assert len(workers()) == 3
blocked = [int(status(task)["SigBlk"], 16) for task in workers()]
assert all(mask >> number - 1 & 1 for mask in blocked for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1))
assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append(threading.current_thread()))
for _ in range(20):
    os.kill(os.getpid(), signal.SIGUSR1)
    assert fa.mish(x).tobytes() == expected
assert set(got) == {threading.main_thread()}
print("right")
"""
    assert python(TEAM + code) == "right"


@linux
def test_nobody_computes_while_nobody_calls(python):
    code = """
fa.set_num_threads(3)
assert shared_out()
time.sleep(0.1)
def seconds():
    return sum(os.times()[:2])
before = seconds()
time.sleep(1.5)
assert seconds() - before < 0.05, seconds() - before
assert all(status(task)["State"].strip().startswith("S") for task in workers())
print("right")
"""
    assert python(TEAM + code) == "right"


@linux
def test_a_limit_of_processes(python):
    """Then there are no workers, and calls are made alone."""
    code = """
import resource
fa.set_num_threads(3)
if os.getuid() == 0:
    os.setuid(12_345)  # whoever is root has no limit
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
shared_out()
assert not workers()
assert not shared_out()
print("right")
"""
    assert python(TEAM.replace("with fa.threads(1):", "fa.mish(x[:4])\nwith fa.threads(1):") + code) == "right"


@linux
def test_workers_that_cannot_be_made_for_any_reason(python):
    code = """
from fastact.engine import workers as making
def made(address):
    raise MemoryError
making._made = made
fa.set_num_threads(3)
assert not shared_out()
assert not shared_out()
assert records.team[records.MOST] == 0
print("right")
"""
    assert python(TEAM + code) == "right"


@linux
def test_a_context_that_outlives_its_block(python):
    """Its number goes on to hold for it; for nobody else; and is forgotten with it."""
    code = """
import asyncio, contextvars, gc
fa.set_num_threads(2)
with fa.threads(1):
    context = contextvars.copy_context()
assert shared_out() and not context.run(shared_out)
async def late(begin):
    await begin.wait()
    assert fa.get_num_threads() == 1
    assert not shared_out()
async def main():
    begin = asyncio.Event()
    with fa.threads(1):
        task = asyncio.create_task(late(begin))
    assert shared_out()
    begin.set()
    await task
asyncio.run(main())
def suspended():
    with fa.threads(1):
        yield
generator = suspended()
next(generator)
assert not shared_out()
del generator
assert shared_out()
with fa.threads(5):
    fa.set_num_threads(1)
    assert not shared_out()
del context
gc.collect()
assert records.team[records.OWN] == 0
generator = suspended()
next(generator)  # and to the end of the interpreter
print("right")
"""
    assert python(TEAM + code) == "right"


@linux
@pytest.mark.skipif(sys.platform == "linux" and len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_a_first_call_from_a_thread_with_fewer_processors(python):
    """The process has as many as before, and so have its workers."""
    code = """
expected = b"".join(fa.mish(part).tobytes() for part in np.array_split(x, 1000))  # no large call so far
every = os.sched_getaffinity(0)
one = {min(every)}
def call():
    os.sched_setaffinity(0, one)
    assert fa.get_num_threads() == len(every)
    fa.mish(x)
    fa.mish(x)
thread = threading.Thread(target=call)
thread.start()
thread.join()
shared_out()
assert shared_out()
assert 1 <= len(workers()) < len(every)
assert all(len(os.sched_getaffinity(int(task))) >= len(every) - 1 for task in workers())
print("right")
"""
    assert python(TOOLS + code) == "right"


@linux
@pytest.mark.skipif(sys.platform == "linux" and len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_an_affinity_that_is_set_from_outside(python):
    """As by ``taskset -ap``: workers do not leave the processors they are told to use, and use others again once they may."""
    code = """
every = os.sched_getaffinity(0)
fa.set_num_threads(3)
assert shared_out()
def tell(processors, tasks):
    for task in tasks:
        os.sched_setaffinity(int(task), processors)
def masks():
    return [os.sched_getaffinity(int(task)) for task in workers()]
def call_often():
    for _ in range(100):
        shared_out()
for processor in sorted(every)[:2]:
    tell({processor}, os.listdir("/proc/self/task"))
    call_often()
    assert masks() == [{processor}] * 2, masks()
tell(every, os.listdir("/proc/self/task"))
call_often()
assert all(len(mask) >= len(every) - 1 for mask in masks()), masks()
tell({min(every)}, workers())  # these alone
call_often()
assert masks() == [{min(every)}] * 2, masks()
print("right")
"""
    assert python(TEAM + code) == "right"


@linux
def test_workers_round_as_their_caller(python):
    """Rounding modes and the flushing of subnormals are a thread's own; fast-math programs and SIMD libraries set them."""
    code = """
import ctypes
maths = ctypes.CDLL("libm.so.6")
modes = {"x86_64": (0x400, 0x800, 0xC00), "aarch64": (0x800000, 0x400000, 0xC00000)}
import platform
fa.set_num_threads(4)
ordinary = (ctypes.c_uint32 * 16)()
maths.fegetenv(ordinary)
def settings():
    yield
    for mode in modes[platform.machine()]:
        assert maths.fesetround(mode) == 0
        yield
    maths.fesetenv(ordinary)
    flushing = (ctypes.c_uint32 * 16)(*ordinary)
    if platform.machine() == "x86_64":
        flushing[7] |= 0x8040
    else:
        flushing[0] |= 1 << 24
    maths.fesetenv(flushing)
    yield
    maths.fesetenv(ordinary)
    yield
results = set()
for _ in settings():
    for numbers in (x, x * np.float32(1e-38)):
        with fa.threads(1):
            alone = fa.gelu(numbers).tobytes()
        for _ in range(5):
            account(10_000_000)
            assert fa.gelu(numbers).tobytes() == alone
        results.add(alone)
print(len(results) >= 6)
"""
    assert python(TEAM + code) == "True"


EXITS = {
    "an end with daemon threads in calls": "",
    "os._exit": "sys.stdout.flush(); os._exit(0)",
    "an error": "import atexit; atexit.register(os._exit, 0); raise SystemExit(3)",
    "sys.exit in the middle": "sys.exit(0)",
}


@linux
@pytest.mark.parametrize("end", EXITS)
def test_exit_with_calls_in_flight(end, python):
    code = f"""
fa.set_num_threads(3)
def call():
    while True:
        account(10_000_000)
        fa.mish(x)
for _ in range(3):
    threading.Thread(target=call, daemon=True).start()
time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 0.05)
print("right")
{EXITS[end]}
"""
    for _ in range(3):
        assert python(TEAM + code) == "right"


@linux
def test_more_callers_than_calls_that_can_be_shared_out(python):
    code = """
fa.set_num_threads(40)
start = threading.Barrier(12)
def call(i):
    start.wait()
    for _ in range(30):
        account(10_000_000)
        assert fa.mish(x).tobytes() == expected
with ThreadPoolExecutor(12) as pool:
    list(pool.map(call, range(12)))
assert all(records.team[records.FIRST_CALL + i * records.CALL_FIELDS + records.OWNED] == 0 for i in range(records.CALLS))
assert records.team[records.CALLERS] == 0
print("right")
"""
    assert python(TEAM + code) == "right"


@linux
def test_the_number_changes_while_others_compute(python):
    code = """
stop, wrong = threading.Event(), []
def call():
    while not stop.is_set():
        account(10_000_000)
        if fa.mish(x).tobytes() != expected:
            wrong.append(1)
callers = [threading.Thread(target=call) for _ in range(3)]
for caller in callers:
    caller.start()
for i in range(300):
    fa.set_num_threads(1 + i % 9)
    with fa.threads(1 + i % 4):
        fa.mish(x[: 50_000 + i])
stop.set()
for caller in callers:
    caller.join()
print(wrong)
"""
    assert python(TEAM + code) == "[]"


@linux
def test_calls_of_any_length_are_cut_right(representatives, threads, same_bits):
    """Lengths around every multiple of a chunk, starts at every place of a cache line, and calls too short to be shared out."""
    from fastact.engine import records

    rng = np.random.default_rng(1)
    large = {id(record): record[records.PARALLEL_FROM] for record in records._records}
    operands = {case.name: case.operands(5000, "float32") for case in representatives}
    try:
        for _ in range(150):
            n, first, number = int(rng.integers(1, 4900)), int(rng.integers(0, 40)), int(rng.integers(2, 9))
            case = representatives[int(rng.integers(len(representatives)))]
            given = [a[first : first + n] for a in operands[case.name]]
            with threads(1):
                expected = case.ufunc(*given)
            for record in records._records:
                record[records.PARALLEL_FROM] = 1
            out = np.empty(n + 20, "f4")[first % 17 :][:n]
            outs = (out,) + (None,) * (case.ufunc.nout - 1)
            with threads(number):
                same_bits(
                    case.ufunc(*given, out=outs), expected, f"{case.name} of {n} from {first} on {number} threads"
                )
                logits = operands[case.name][0][: n // 7 * 7].reshape(-1, 7)
                for axis in (0, 1):
                    got = fa.softmax(logits, axis=axis)
                    with threads(1):
                        same_bits(got, fa.softmax(logits, axis=axis))
    finally:
        for record in records._records:
            record[records.PARALLEL_FROM] = large.get(id(record), 10_000)


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
