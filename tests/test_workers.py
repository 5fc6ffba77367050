"""When calls are shared out, and what the workers of the team are to a process: their number, signals, affinity, rounding, end."""

import os
import sys

import numpy as np
import pytest

import fastact as fa

TOOLS = """
import contextlib, os, sys, threading, time, numpy as np, fastact as fa
from concurrent.futures import ThreadPoolExecutor
from fastact.kernels import fields
from fastact.runtime import records
x = np.linspace(-4, 4, 400_001, dtype="f4")
def account(nanoseconds):
    for i in range(fields.DURATIONS):
        records.team[fields.ACCOUNTS + i] = nanoseconds
def tickets():
    return [records.team[fields.FIRST_CALL + i * fields.CALL_FIELDS + fields.TICKET] for i in range(fields.CALLS)]
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
    try:
        with open(f"/proc/self/task/{task}/comm") as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):  # it ended after it was listed
        return ""
def status(task):
    with open(f"/proc/self/task/{task}/status") as file:
        return dict(line.split(":", 1) for line in file)
"""
TEAM = f"""{TOOLS}
with fa.threads(1):
    expected = fa.mish(x).tobytes()
records.team[fields.MOST] = 63  # on a machine with fewer processors workers take turns
"""
several_processors = pytest.mark.skipif(
    sys.platform == "linux" and len(os.sched_getaffinity(0)) < 2, reason="needs two processors"
)
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is a team on Linux only")


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
assert records.team[fields.OWN] == 0
fa.set_num_threads(10_000)
assert shared_out()
assert len(workers()) <= 63, "there is an end to it"
print("right")
"""
    assert python(TEAM + code) == "right"


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
records.team[fields.CALLERS] = 5  # as if so many others were computing
assert not shared_out()
records.team[fields.CALLERS] = 0
assert shared_out()
for i in range(fields.DURATIONS):
    records.team[fields.LATENESS + i] = 1 << 20  # as if every call had been late
assert not shared_out()
print("right")
"""
    assert python(TEAM + code) == "right"


def test_a_call_that_finds_no_place_is_made_alone(python):
    code = """
fa.set_num_threads(2)
assert shared_out()
for i in range(fields.CALLS):
    records.team[fields.FIRST_CALL + i * fields.CALL_FIELDS + fields.OWNED] = 1
assert not shared_out()
print("right")
"""
    assert python(TEAM + code) == "right"


def test_a_call_that_took_longer_than_alone_is_on_the_account(python):
    code = """
fa.set_num_threads(2)
assert shared_out()
for record in records._records:
    for i in range(fields.SIZES):
        record[fields.RATES + i] = 1  # as if one thread took no time: no team is as quick
assert shared_out(balance=0)
balances = [records.team[fields.ACCOUNTS + i] for i in range(fields.DURATIONS)]
assert min(balances) < 0, balances
before = tickets()
fa.mish(x)
assert tickets() == before
print("right")
"""
    assert python(TEAM + code) == "right"


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


def test_workers_that_cannot_be_made_for_any_reason(python):
    code = """
from fastact.runtime import workers as making
def made(address):
    raise MemoryError
making._made = made
fa.set_num_threads(3)
assert not shared_out()
assert not shared_out()
assert records.team[fields.MOST] == 0
print("right")
"""
    assert python(TEAM + code) == "right"


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
assert records.team[fields.OWN] == 0
generator = suspended()
next(generator)  # and to the end of the interpreter
print("right")
"""
    assert python(TEAM + code) == "right"


@several_processors
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


@several_processors
def test_an_affinity_that_is_set_from_outside(python):
    """As by ``taskset -ap``: workers do not leave the processors they are told to use, and use others again once they may."""
    code = """
every = os.sched_getaffinity(0)
fa.set_num_threads(3)
assert shared_out()
def tell(processors, tasks):
    for task in tasks:
        with contextlib.suppress(ProcessLookupError):  # a thread that has ended meanwhile, such as one that loaded a kernel
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
assert all(records.team[fields.FIRST_CALL + i * fields.CALL_FIELDS + fields.OWNED] == 0 for i in range(fields.CALLS))
assert records.team[fields.CALLERS] == 0
print("right")
"""
    assert python(TEAM + code) == "right"


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


def test_calls_of_any_length_are_cut_right(representatives, threads, same_bits):
    """Lengths around every multiple of a chunk, starts at every place of a cache line, and calls too short to be shared out."""
    from fastact.kernels import fields
    from fastact.runtime import records

    rng = np.random.default_rng(1)
    large = {id(record): record[fields.PARALLEL_FROM] for record in records._records}
    operands = {case.name: case.operands(5000, "float32") for case in representatives}
    try:
        for _ in range(150):
            n, first, number = int(rng.integers(1, 4900)), int(rng.integers(0, 40)), int(rng.integers(2, 9))
            case = representatives[int(rng.integers(len(representatives)))]
            given = [a[first : first + n] for a in operands[case.name]]
            with threads(1):
                expected = case.ufunc(*given)
            for record in records._records:
                record[fields.PARALLEL_FROM] = 1
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
            record[fields.PARALLEL_FROM] = large.get(id(record), 10_000)
