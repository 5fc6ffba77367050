"""Child processes of every kind compute right answers; what is killed, full or forbidden costs the cache at most."""

import os
import sys
from pathlib import Path

import pytest

import fastact as fa

LARGE = 400_001

WORK = f"""
import numpy as np, fastact as fa
x = np.linspace(-4, 4, {LARGE}, dtype="f4")
logits = x[:400_000].reshape(400, 1000)
def work(n):
    \"\"\"Small and large arrays, elementwise and over rows; plain NumPy says what is right.\"\"\"
    assert (fa.relu(x[:n]) == np.maximum(x[:n], 0)).all()
    assert np.allclose(fa.silu(x), x / (1 + np.exp(-x)), rtol=1e-5)
    p = fa.softmax(logits)
    assert np.allclose(p.sum(-1), 1, rtol=1e-5)
    return float(fa.cross_entropy(logits, np.zeros(400, int)))
"""

FIRST_CALLS = """
import numpy as np, fastact as fa
x = np.linspace(-4, 4, 1000, dtype="f4")
def work():
    \"\"\"What has to be compiled, as little as will do: a kernel for each of two functions.\"\"\"
    assert (fa.relu(x) == np.maximum(x, 0)).all()
    assert np.allclose(fa.silu(x), x / (1 + np.exp(-x)), rtol=1e-5)
"""

POOLS = {
    "multiprocessing, fork": "multiprocessing.get_context('fork').Pool(2)",
    "multiprocessing, spawn": "multiprocessing.get_context('spawn').Pool(2)",
    "multiprocessing, forkserver": "multiprocessing.get_context('forkserver').Pool(2)",
    "concurrent.futures, spawn": "ProcessPoolExecutor(2, mp_context=multiprocessing.get_context('spawn'))",
    "concurrent.futures, fork": "ProcessPoolExecutor(2, mp_context=multiprocessing.get_context('fork'))",
}


@pytest.mark.skipif(sys.platform != "linux", reason="not every kind of process exists elsewhere")
@pytest.mark.parametrize("pool", POOLS)
def test_pools_after_a_parallel_call(pool, python, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        WORK
        + f"""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    expected = work(10)
    with {POOLS[pool]} as pool:
        assert list(pool.map(work, [0, 1, 10, 1000, x.size, 7])) == [expected] * 6
        assert list(pool.map(fa.gelu, [x[:5]]))[0].tobytes() == fa.gelu(x[:5]).tobytes()
    assert work(10) == expected
    print("right")
"""
    )
    out = python("", script=script, flags=["-W", "ignore"])
    assert out.splitlines()[-1] == "right"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_fork_inside_a_thread(python):
    code = """
import os, threading
expected, statuses = work(10), []
def forks():
    child = os.fork()
    if child == 0:
        try:
            os._exit(work(10) != expected)
        except BaseException:
            os._exit(2)
    statuses.append(os.waitpid(child, 0)[1])
for _ in range(3):
    thread = threading.Thread(target=forks)
    thread.start()
    work(10)
    thread.join()
print(statuses)
"""
    out = python(WORK + code, flags=["-W", "ignore"])
    assert out.splitlines()[-1] == "[0, 0, 0]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_fork_while_another_thread_compiles(python):
    """The child would wait for what only its parent's thread can finish, and the parent must not wait for that thread forever."""
    code = """
import os, threading, time, numpy as np, fastact as fa
from fastact.runtime import compiler
x = np.linspace(-4, 4, 1000)
begun, forking, compiled, compile_loop = threading.Event(), threading.Event(), [], compiler.compile_loop
def compile_during_a_fork(function, **options):
    begun.set()
    forking.wait()
    compiled.append(compile_loop(function, **options))
    return compiled[-1]
compiler.compile_loop = compile_during_a_fork
def compiles(names):
    for name in names:
        getattr(fa, name)(x)
for names in (("mish", "elu"), ("gelu", "softplus")):
    begun.clear()
    forking.clear()
    compiled.clear()
    thread = threading.Thread(target=compiles, args=(names,))
    thread.start()
    if "mish" in names:
        time.sleep(0.05)  # somewhere in the import of Numba
    else:
        begun.wait()
    forking.set()
    child = os.fork()
    if child == 0:
        compiler.compile_loop = compile_loop  # the events may be in the other thread's hands
        os._exit(not np.isfinite(fa.silu(x) + fa.mish(x)).all())
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
    assert len(compiled) == 2, "the fork found nothing to wait for"
print("right")
"""
    assert python(code, flags=["-W", "ignore"], FASTACT_CACHE_DIR="off") == "right"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_fork_in_a_signals_handler_during_a_first_call(python):
    """The child waits for nobody: whom its parent waits for is not there."""
    code = """
import os, signal, time, numpy as np, fastact as fa
x, children = np.linspace(-4, 4, 1000), []
def fork(*_):
    child = os.fork()
    children.append(child)
signal.signal(signal.SIGALRM, fork)
parent = os.getpid()
signal.setitimer(signal.ITIMER_REAL, DELAY)
y = fa.silu(x)
assert np.allclose(y, x / (1 + np.exp(-x)))
while not children:
    time.sleep(0.01)
if os.getpid() != parent:
    os._exit(0)
print(os.waitpid(children[0], 0)[1])
"""
    for delay in (0.005, 0.4):
        assert python(code.replace("DELAY", str(delay)), flags=["-W", "ignore"], FASTACT_CACHE_DIR="off") == "0"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_fork_in_a_signals_handler_before_the_worker_runs(python):
    """The handler comes between the moment at which a thread is made and the one at which it runs."""
    code = """
import _thread, os, signal, sys, threading, numpy as np, fastact as fa
x, children, main = np.linspace(-4, 4, 1000), [], threading.get_ident()
def then_fork(start):
    def started(*args, **options):
        made = start(*args, **options)
        if threading.get_ident() == main and not children:
            children.append(os.fork())
            if not children[0]:
                signal.alarm(100)
        return made
    return started
for module in (_thread, threading):
    for name in ("start_new_thread", "_start_new_thread", "start_joinable_thread", "_start_joinable_thread"):
        if hasattr(module, name):
            setattr(module, name, then_fork(getattr(module, name)))
sys.setswitchinterval(5)  # new threads wait until this one waits
y = fa.silu(x)
sys.setswitchinterval(0.005)
assert np.allclose(y, x / (1 + np.exp(-x)))
if not children[0]:
    os._exit(0)
print(os.waitpid(children[0], 0)[1])
"""
    assert python(code, flags=["-W", "ignore"], FASTACT_CACHE_DIR="off") == "0"


def test_a_call_from_a_module_that_is_being_imported(python, tmp_path):
    """Numba, once it is loaded, imports that module in turn."""
    files = {
        "package/__init__.py": "def init(): pass\nimport numpy as np, fastact as fa\nones = fa.relu(np.ones(3))",
        "package-1.0.dist-info/METADATA": "Name: package\nVersion: 1.0",
        "package-1.0.dist-info/entry_points.txt": "[numba_extensions]\ninit = package:init",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    path = os.pathsep.join([str(Path(fa.__file__).parent.parent), str(tmp_path)])
    assert python("import package; print(package.ones)", PYTHONPATH=path, FASTACT_CACHE_DIR="off") == "[1. 1. 1.]"


def test_joblib(python, tmp_path):
    pytest.importorskip("joblib")
    script = tmp_path / "script.py"
    script.write_text(
        WORK
        + """
from joblib import Parallel, delayed
if __name__ == "__main__":
    expected = work(10)
    for backend in ("loky", "threading"):
        assert Parallel(2, backend=backend)(delayed(work)(n) for n in (1, 10, x.size, 3)) == [expected] * 4
        assert Parallel(2, backend=backend)(delayed(fa.mish)(x[:n]) for n in (1, 2))[1].tobytes() == fa.mish(x[:2]).tobytes()
    print("right")
"""
    )
    out = python("", script=script, flags=["-W", "ignore"])
    assert out.splitlines()[-1] == "right"


def test_everything_public_is_pickled_by_name():
    import pickle

    cloudpickle = pytest.importorskip("cloudpickle")
    for name in fa.__all__:
        public = getattr(fa, name)
        if callable(public):
            for module in (pickle, cloudpickle):
                assert module.loads(module.dumps(public)) is public, name
                if hasattr(public, "ufunc"):  # what dask takes to another process
                    assert module.loads(module.dumps(public.ufunc)) is public.ufunc, name


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no SIGKILL on this platform")
def test_processes_that_are_killed_while_they_compile(python):
    tools = Path(__file__).parent.parent / "tools"
    if not tools.exists():
        pytest.skip("an installed package has no tools")
    code = f"import sys; sys.path.insert(0, {str(tools)!r}); from kill_rounds import main; "
    said = python(code + "main(['--rounds', '1', '--processes', '2'])")
    assert "1 killed while they compiled; every answer was right" in said


def test_files_that_cannot_grow(python, tmp_path):
    pytest.importorskip("resource")
    code = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file can grow any more, as on a full disk
work()
"""
    python(FIRST_CALLS + code + "print('right')", FASTACT_CACHE_DIR=tmp_path)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()], "half a kernel was left"
    python(FIRST_CALLS + "work()", FASTACT_CACHE_DIR=tmp_path)


MOUNTS = """
import ctypes, os, subprocess
CLONE_NEWNS = 0x20000
def mount(*arguments):
    return subprocess.run(["mount", *arguments], stderr=subprocess.DEVNULL).returncode == 0
mounted = ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0 and mount("--make-rprivate", "/")
"""


@pytest.fixture
def own_mounts(python):
    """Code that gives a process mounts that no other sees. Takes a system that lets us."""
    if sys.platform != "linux" or os.getuid() != 0 or python(MOUNTS + "print(mounted)") != "True":
        pytest.skip("mounts take a Linux system and its administrator")
    return MOUNTS


def test_a_disk_that_is_full(own_mounts, python, tmp_path):
    code = f"""
assert mount("-t", "tmpfs", "-o", "size=16k,mode=700", "none", {str(tmp_path)!r})
work()
from pathlib import Path
from fastact.runtime import cache
left = [file for file in Path({str(tmp_path)!r}).rglob("*") if file.is_file()]
assert all(cache._read(file) for file in left), left
assert "silu.float32.o" not in [file.name for file in left], "the disk was not full"
print("right")
"""
    assert python(own_mounts + FIRST_CALLS + code, FASTACT_CACHE_DIR=tmp_path) == "right"


def test_no_place_that_can_be_written(own_mounts, python):
    code = """
assert mount("--bind", "/", "/") and mount("-o", "remount,bind,ro", "/")
with open("/proc/mounts") as file:
    for place in {line.split()[1] for line in file} - {"/"}:
        mount("-o", "remount,bind,ro", place)
os.chdir("/")
"""
    check = """
work()
for place in (os.path.dirname(fa.__file__), os.path.expanduser("~"), "/tmp", "/var/tmp"):
    try:
        open(os.path.join(place, "file"), "w")
    except OSError:
        continue
    raise AssertionError(f"{place} can be written")
from fastact.runtime import cache
print(cache.directory())
"""
    assert python(own_mounts + code + FIRST_CALLS + check, FASTACT_CACHE_DIR=None) == "None"


def test_nothing_is_written_beside_the_package(python, tmp_path):
    package = Path(fa.__file__).parent

    def files():
        return {file for file in package.rglob("*") if "__pycache__" not in file.parts}

    before = files()
    python(FIRST_CALLS + "work()", FASTACT_CACHE_DIR=tmp_path, HOME=tmp_path)
    assert files() == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this platform")
def test_affinity_of_one_processor(python):
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" + WORK
    assert python(code + "work(10); print(fa.get_num_threads())") == "1"


HALF, NONE = "50000 100000", "max 100000"
QUOTAS = {
    "version 2": ("0::/", {"cpu.max": HALF}, 1),
    "version 2, none": ("0::/", {"cpu.max": NONE}, None),
    "version 2, a service's": ("0::/system/web", {"cpu.max": NONE, "system/web/cpu.max": HALF}, 1),
    "version 2, of a group above": ("0::/system/web", {"system/cpu.max": HALF, "system/web/cpu.max": NONE}, 1),
    "version 2, a path from outside": ("0::/docker/0123", {"cpu.max": HALF}, 1),
    "version 1": ("2:cpu,cpuacct:/", {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 1),
    "version 1, none": ("2:cpu,cpuacct:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
    "version 1, another controller's": (
        "2:memory:/a",
        {"cpu/a/cpu.cfs_quota_us": "5", "cpu/a/cpu.cfs_period_us": "100"},
        None,
    ),
    "no control groups": ("", {}, None),
}


@pytest.mark.parametrize("quota", QUOTAS)
def test_quota_of_a_control_group(quota, python, tmp_path):
    own, files, expected = QUOTAS[quota]
    for name, text in (files | {"own": own}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    code = "from fastact.runtime import threads\n"
    code += f"threads.CGROUP, threads.OWN_CGROUPS = {str(tmp_path)!r}, {str(tmp_path / 'own')!r}\n"
    code += WORK + "work(10); print(fa.get_num_threads(), threads.default_num_threads()[1])"
    number, reason = python(code, FASTACT_NUM_THREADS=None).split(" ", 1)
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert int(number) == min(expected or affinity, affinity)
    assert ("quota of 0.5 processors" in reason) == (expected == 1 and affinity > 1)


@pytest.fixture
def half_a_processor():
    """A real control group with that quota: the file that a process joins it by. Takes a system that lets us make one."""
    from fastact.runtime import threads

    for root, name, text in ((threads.CGROUP, "cpu.max", HALF), (f"{threads.CGROUP}/cpu", "cpu.cfs_quota_us", "50000")):
        group = Path(root, f"fastact-test-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            with open(group / name, "r+") as file:  # "r+": only if it is a control group's
                file.write(text)
            yield group / "cgroup.procs"
            return
        except OSError:
            continue
        finally:
            group.rmdir()
    pytest.skip("no control group can be made here")


def test_half_a_processor(half_a_processor, python):
    code = f"import os; open({str(half_a_processor)!r}, 'w').write(str(os.getpid()))\n"
    code += "import numpy as np, fastact as fa; print(fa.relu(np.ones(400_001, 'f4')).sum(), fa.get_num_threads())"
    assert python(code, FASTACT_NUM_THREADS=None) == "400001.0 1"


def test_number_of_threads_in_the_environment(python):
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for wanted in (1, 2, 99):
        code = WORK + "work(10); print(fa.get_num_threads())"
        assert python(code, FASTACT_NUM_THREADS=wanted) == str(min(wanted, affinity))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_forks_while_another_thread_imports(python):
    """The child could never import what a thread of its parent had begun to: the forks wait for that."""
    code = """
import os, signal, threading, numpy as np, fastact as fa
x, logits = np.ones(1 << 20, "f4"), np.ones((2, 8))
def work():
    for name in ("silu", "softmax", "maxout", "cross_entropy"):
        getattr(fa, name)
    fa.silu(x)
thread = threading.Thread(target=work)
thread.start()
statuses = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        fa.silu(x)
        fa.softmax(logits)
        os._exit(0)
    statuses.append(os.waitpid(child, 0)[1])
thread.join()
print(statuses)
"""
    for _ in range(3):
        assert python(code, flags=["-W", "ignore"]) == "[0, 0, 0]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_fork_that_waits_for_the_import_of_logging(python):
    """The hooks of ``logging`` are registered between the first and the last of this fork's own, and complain of nothing."""
    code = """
import os, sys, threading, time, fastact
from fastact.runtime import uninterrupted
assert "logging" not in sys.modules
sys.stderr = sys.stdout
sys.unraisablehook = lambda unraisable: print(unraisable.exc_value)
held = threading.Event()
def import_it():
    with uninterrupted._lock:
        held.set()
        time.sleep(0.5)
        uninterrupted._guard_forks_before_logging()
thread = threading.Thread(target=import_it)
thread.start()
held.wait()
child = os.fork()
if child == 0:
    import logging
    with logging._lock:
        os._exit(0)
print(os.waitpid(child, 0)[1])
thread.join()
import logging
def take():
    print(logging._lock.acquire(timeout=30))
    logging._lock.release()
other = threading.Thread(target=take)
other.start()
other.join()
"""
    assert python(code, flags=["-W", "ignore"]) == "0\nTrue"
