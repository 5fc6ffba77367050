"""Memory that is kept, in many threads and beside forks: nobody waits, and nobody gets what another has."""

import contextvars
import threading

import fastact as fa
from tests.kept_memory import HAMMER, MIB, RESIDENT, dirty, nothing_left, where_it_can_be_kept  # noqa: F401 - a fixture of each test

pytestmark = where_it_can_be_kept


def test_every_thread_and_context():
    with fa.keep_memory() as kept:
        for run in (lambda call: contextvars.Context().run(call), in_a_thread):
            fa.release_memory()
            run(lambda: dirty(MIB))
            assert MIB <= kept.bytes < 2 * MIB


def in_a_thread(call):
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def test_many_threads(python):
    code = """
kept = fa.keep_memory(4 * 2**20)
team, wrong = run(2)
most = 0
while any(thread.is_alive() for thread in team):
    most = max(most, kept.bytes)
    fa.release_memory()
    with fa.keep_memory(2**21):
        time.sleep(0.001)
print(wrong, 2**19 < most <= 4 * 2**20, state[keeping.REUSED] > 100, state[keeping.LOCK])
"""
    assert python(RESIDENT + HAMMER + code) == "[] True True 0"


def test_calls_without_the_interpreters_lock(python):
    """NumPy has it when it calls; others may not."""
    code = """
import ctypes, threading
kept = fa.keep_memory(2**23)
code, place, size_t = numpy_memory._code(), ctypes.addressof(state), ctypes.c_size_t
malloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, size_t)(code["malloc"])
free = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, size_t)(code["free"])
wrong = []
def work(number):
    end, size = time.monotonic() + 2, 2**16
    while time.monotonic() < end:
        blocks = [malloc(place, size) for _ in range(20)]
        for block in blocks:
            ctypes.memset(block, number, 64)
        if any(ctypes.string_at(block, 64) != bytes([number]) * 64 for block in blocks):
            wrong.append(number)
        for block in blocks:
            free(place, block, size)
team = [threading.Thread(target=work, args=(i + 1,)) for i in range(4)]
for thread in team:
    thread.start()
for thread in team:
    thread.join()
print(wrong, state[keeping.REUSED] > 1000, state[keeping.COUNT] * 2**16 <= kept.bytes <= 2**23)
"""
    assert python(RESIDENT + code) == "[] True True"


def test_forks_in_the_middle(python):
    code = """
import gc, signal
impatient(0.01, 1.5)
kept = fa.keep_memory(64 * 2**20)
team, wrong = run(4)
children = 0
while any(thread.is_alive() for thread in team):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        mine = threading.current_thread()
        right = state[keeping.LOCK] == 0 and kept.bytes == 0 and state[keeping.SWEEPER] == 0
        np.ones(2**20, np.uint8)
        right = right and kept.bytes >= 2**20 and state[keeping.SWEEPER] == 1
        before = state[keeping.REUSED]
        right = right and not np.zeros(2**20, np.uint8).any() and state[keeping.REUSED] == before + 1
        if children == 3:
            end = time.monotonic() + 20
            while kept.bytes and time.monotonic() < end:
                time.sleep(0.01)
            right = right and kept.bytes == 0  # by a sweeper of its own
        os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0
    children += 1
np.ones(2**20, np.uint8)
assert kept.bytes > 0
print(wrong, children > 5)
"""
    assert python(RESIDENT + HAMMER + code, flags=["-W", "ignore"]) == "[] True"


def test_a_list_that_is_in_other_hands(python):
    """As that of a thread that has lost its processor: nobody waits for it, not even the child of a fork for what is not there."""
    code = """
kept = fa.keep_memory()
np.ones(2**20, np.uint8)
held, before = kept.bytes, state[keeping.REUSED]
assert numpy_memory.manage(keeping.HOLD) == 1
x, y = np.ones(2**20, np.uint8), np.zeros(2**20, np.uint8)
assert x.all() and not y.any()
del x, y
assert (kept.bytes, state[keeping.REUSED]) == (held, before)
assert fa.release_memory() == 0
state[keeping.COUNT] += 1  # in the middle of a change
state[keeping.FIRST_BLOCK + keeping.BLOCK_FIELDS + keeping.ADDRESS] = 64
child = os.fork()
if child == 0:
    right = state[keeping.LOCK] == 0 and kept.bytes == 0
    np.ones(2**20, np.uint8)
    os._exit(0 if right and kept.bytes >= 2**20 and fa.release_memory() >= 2**20 else 1)
assert os.waitpid(child, 0)[1] == 0
assert state[keeping.LOCK] == 1
state[keeping.COUNT] -= 1
numpy_memory.manage(keeping.LET_GO)
print(fa.release_memory() == held)
"""
    assert python(RESIDENT + code, flags=["-W", "ignore"]) == "True"


def test_a_process_ends_with_it(python):
    code = """
kept = fa.keep_memory()
np.ones(2**24, np.uint8)
class Last:
    array = np.ones(2**22)
    def __del__(self):
        np.zeros(2**22)
last = Last()
team, wrong = run(1)
print(state[keeping.SWEEPER])
"""
    assert python(RESIDENT + HAMMER + code) == "1"
