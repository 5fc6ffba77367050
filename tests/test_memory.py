"""Calls leak nothing, and an interrupted one leaves everything usable."""

import json
import os
import signal

import pytest

from fastact import table

RESIDENT = """
import json, os, numpy as np, fastact as fa
from fastact import table
from fastact.functions.record import drawn
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
"""
LEAKS = """
def grown(call):
    found = []
    for _ in range(4):  # whatever is kept for later calls, or happens to be allocated, is not so each time
        before = resident()
        for _ in range(COUNT):
            call()
        found.append(resident() - before)
    return min(found[1:])
left = {}
for record in (record for record in table.functions().values() if record.family == FAMILY):
    for variant in record.variants[:2]:
        operands, options = record.arguments(variant, drawn(np.random.default_rng(0)), (4, 10), "float32")
        results = record.function(*operands, **options)
        results = results if isinstance(results, tuple) else (results,)
        written = [results[i] for i in record.written]
        outs = [np.empty_like(x) for x in written if all(x.ndim for x in written)]
        ways = {"fresh": {}, "out": {"out": tuple(outs) if len(outs) > 1 else outs[0]} if outs else {}}
        for how in ("out",) if variant is not record.variants[0] else ways:
            left[f"{record.name} {variant} {how}"] = grown(lambda: record.function(*operands, **options, **ways[how]))
print(json.dumps(left))
"""
COUNT, MOST = 1_500, 8_000
"""Of so many calls a few bytes each are seen."""
needs_statm = pytest.mark.skipif(
    not os.path.exists("/proc/self/statm"), reason="this system does not show a process's memory so"
)


@needs_statm
@pytest.mark.parametrize("family", dict.fromkeys(record.family for record in table.functions().values()))
def test_no_call_leaks(family, python):
    left = json.loads(python(f"{RESIDENT}\nFAMILY, COUNT = {family!r}, {COUNT}\n{LEAKS}"))
    assert left
    assert not {call: grown for call, grown in left.items() if grown > MOST}, f"bytes that {COUNT} calls have left"


@needs_statm
def test_errors_leak_nothing_and_a_leak_is_seen(python):
    code = f"""
x, one, labels, kept = np.ones((4, 10), "f4"), np.ones(40, "f4"), np.zeros(4, int), []
def fails():
    for wrong in (lambda: fa.gelu(x, one), lambda: fa.cross_entropy(x, labels + 99)):
        try:
            wrong()
        except (ValueError, IndexError):
            pass
FAMILY, COUNT = None, {COUNT}
{LEAKS}
print(json.dumps([grown(fails), grown(lambda: kept.append(bytes(16)))]))
"""
    by_errors, leaked = json.loads(python(RESIDENT + code).splitlines()[-1])
    assert by_errors < MOST < leaked


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
