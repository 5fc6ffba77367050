"""What the system sees of memory that is kept: pages, what goes back to it and when, and where it is short."""

import json

import pytest

from tests.kept_memory import RESIDENT, dirty, nothing_left, where_it_can_be_kept  # noqa: F401 - a fixture of each test

pytestmark = where_it_can_be_kept


def test_large_zeros_are_made_where_they_are_touched(python):
    code = """
with fa.keep_memory() as kept:
    for _ in range(5):
        np.ones(50 * 2**20, np.uint8)
        before, zeros = resident(), np.zeros(50 * 2**20, np.uint8)
        assert resident() < before - 40, "the dirty memory was written to, or still is on the list"
        del zeros
    print(kept.bytes < 120 * 2**20)
"""
    assert python(RESIDENT + code) == "True"


@pytest.mark.parametrize("how", ["fa.release_memory()", "kept.release()", "kept.stop()", "fa.keep_memory(1)"])
def test_the_system_gets_it_back(how, python):
    code = f"""
np.ones(30 * 2**20, np.uint8)  # from now on the C library takes smaller blocks from its heap, between others that live on
kept = fa.keep_memory(2**30)
start = resident()
arrays, small = [np.ones(40 * 2**20, np.uint8) for _ in range(5)], []
for _ in range(80):
    arrays.append(np.ones(2**20, np.uint8))
    small.append(np.ones(3000, np.uint8))
arrays.clear()
full = resident()
{how}
print(full - start > 270, resident() - start < 12, kept.bytes)
"""
    assert python(RESIDENT + code) == "True True 0"


def test_what_nobody_wants_goes_by_itself(python):
    code = """
impatient(0.05, 1.5)
start = resident()
kept = fa.keep_memory()
for _ in range(2):
    np.ones(100 * 2**20, np.uint8)
    np.ones(2**20, np.uint8)
    before, running = resident(), len(os.listdir("/proc/self/task"))
    wait_for(lambda: lazily_freed() > 90)
    held = kept.bytes
    wait_for(lambda: kept.bytes == 0)
    wait_for(lambda: len(os.listdir("/proc/self/task")) == running - 1)  # the sweeper is gone, and comes again
    print(before - start > 90, held > 100e6, resident() - start < 12)
"""
    assert python(RESIDENT + code).splitlines() == ["True True True"] * 2


def test_what_the_system_might_have_taken_is_used_again(python):
    code = """
impatient(0.02, 100)
kept = fa.keep_memory()
x = np.arange(5_000_000.0)
for _ in range(5):
    np.exp(-x)
    wait_for(lambda: lazily_freed() > 30)
    before = state[keeping.REUSED]
    y = x + 1
    assert state[keeping.REUSED] == before + 1
    assert (y - 1 == x).all() and lazily_freed() < 3
    del y
    fa.release_memory()
print("right")
"""
    assert python(RESIDENT + code) == "right"


@pytest.mark.parametrize(
    "wanted",
    [
        "np.empty(200 * 2**20, np.uint8)",
        "np.zeros(200 * 2**20, np.uint8)",
        "small.resize(200 * 2**20, refcheck=False)",
    ],
)
def test_it_makes_room_before_an_allocation_fails(wanted, python):
    code = f"""
import resource
kept, small = fa.keep_memory(2**30), np.ones(2**21, np.uint8)
np.ones(2**16, np.uint8)
time.sleep(0.1)  # the sweeper has its stack
np.ones(150 * 2**20, np.uint8)
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (now + 100 * 2**20, -1))
assert kept.bytes > 150 * 2**20
array = {wanted}
print(kept.bytes)
try:
    np.empty(400 * 2**20, np.uint8)
except MemoryError:
    print("as ever")
"""
    assert python(RESIDENT + code).splitlines() == ["0", "as ever"]


def test_fresh_results_touch_no_fresh_pages(python):
    code = """
import json, resource
x = np.ones(16_000_000, "f4")
def faults():
    fa.exp(x)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        fa.exp(x)
        np.abs(x)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
without = faults()
with fa.keep_memory():
    print(json.dumps([without, faults()]))
"""
    without, kept = json.loads(python(RESIDENT + code))
    assert kept < 50 < without


def test_tracemalloc_counts_arrays(python):
    code = """
import tracemalloc
kept = fa.keep_memory()
x = np.ones(2**20, np.uint8)
tracemalloc.start()
del x
for _ in range(3):
    y = np.ones(2**20, np.uint8)
    before = tracemalloc.get_traced_memory()[0]
    del y
    after = tracemalloc.get_traced_memory()[0]
    assert before > 2**20 > 2 * after, (before, after)
print(kept.active, fa.keep_memory().active)
"""
    assert python(RESIDENT + code) == "True True"
