"""Calls leak nothing, and an interrupted one leaves everything usable."""

import os
import signal

import pytest

LEAKS = """
import os, numpy as np, fastact as fa
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
x, out, labels = np.ones((4, 10), "f4"), np.empty((4, 10), "f4"), np.zeros(4, int)
one, result = x.reshape(-1), np.empty(40, "f4")
def calls(n):
    for _ in range(n):
        {call}
calls(20_000)
before = resident()
calls({count})
print(resident() - before)
"""

CALLS = {  # and how often: of so many a few bytes each are seen
    "gelu": ("fa.gelu(one, result)", 100_000),
    "gelu, fresh": ("fa.gelu(one)", 100_000),
    "elu with a parameter": ("fa.elu(one, 0.5, out=result)", 100_000),
    "softmax": ("fa.softmax(x, out=out)", 100_000),
    "softmax, another axis": ("fa.softmax(x, axis=0)", 100_000),
    "cross_entropy": ("fa.cross_entropy(x, labels)", 100_000),
    "cross_entropy_with_grad": ("fa.cross_entropy_with_grad(x, labels, out=out)", 50_000),
    "maxout": ("fa.maxout(x, 2)", 100_000),
}


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not show a process's memory so")
@pytest.mark.parametrize("call", CALLS)
def test_no_call_leaks(call, python):
    code, count = CALLS[call]
    grown = int(python(LEAKS.format(call=code, count=count)))
    assert grown < 2**20, f"{count} calls of {code} left {grown} bytes"


def test_errors_leak_nothing(python):
    code = LEAKS.format(call="fails()", count=50_000).replace(
        "def calls",
        """
def fails():
    for wrong in (lambda: fa.gelu(x, one), lambda: fa.cross_entropy(x, labels + 99)):
        try:
            wrong()
        except (ValueError, IndexError):
            pass
def calls""",
    )
    if os.path.exists("/proc/self/statm"):
        assert int(python(code)) < 2**20


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers on this platform")
def test_interrupted_calls(python):
    """Ctrl-C arrives while large arrays are computed."""
    out = python(
        """
import signal, numpy as np, fastact as fa
x = np.linspace(-4, 4, 3_000_001, dtype="f4")
expected, interrupted = fa.elu(x).tobytes(), 0
signal.signal(signal.SIGALRM, signal.default_int_handler)
for delay in np.linspace(1e-4, 0.1, 40):
    signal.setitimer(signal.ITIMER_REAL, delay)
    try:
        for _ in range(2000):
            fa.elu(x)
    except KeyboardInterrupt:
        interrupted += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert fa.elu(x).tobytes() == expected
print(interrupted)
""",
    )
    assert int(out) == 40


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers on this platform")
@pytest.mark.parametrize("seconds", [0.001, 0.1, 0.5, 1.1])
def test_an_interrupted_first_call(seconds, python):
    """Ctrl-C arrives while Numba is imported, or compiles."""
    out = python(
        f"""
import signal, numpy as np, fastact as fa
x, interrupted = np.linspace(-4, 4, 400_001, dtype="f4"), []
signal.signal(signal.SIGALRM, signal.default_int_handler)
for op in (fa.elu, fa.mish):
    try:
        signal.setitimer(signal.ITIMER_REAL, {seconds})
        op(x)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupted.append(op)
    assert np.isfinite(op(x)).all()
assert interrupted or {seconds} > 0.1
print("right")
""",
        FASTACT_CACHE_DIR="off",
    )
    assert out == "right"


def test_a_failing_compilation_says_why(python):
    out = python(
        """
import numpy as np, fastact as fa
@fa.elementwise
def broken(x):
    return x.nonsense
for _ in range(2):
    try:
        broken(np.ones(3))
    except Exception as error:
        print(type(error).__name__, "broken" in str(error), "nonsense" in str(error))
print(fa.relu(-1.0))
"""
    )
    assert out.splitlines() == ["CompilationError True True"] * 2 + ["0.0"]
