"""What all tests share: one case per public function, operands for it, comparison by bits, child processes.

A test that takes ``op``, ``differentiable``, ``case`` or ``dtype`` runs for each of them: a new op needs no edit here. With a dtype
too it runs in float32 and float64, and in float16 for ``REPRESENTATIVES`` only: a kernel of halves is that of float32 between two
conversions, which no formula takes part in, and to compile it takes most of a test's time. ``tools/sweep.py --float16`` tries all.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

import fastact as fa
from fastact import reference, table
from fastact.kernels import fields
from fastact.runtime import records, workers

collect_ignore = ["programs"]
"""They are run by themselves."""

PACKAGE = Path(fa.__file__).parent
DTYPES = ("float16", "float32", "float64")


@dataclass(frozen=True)
class Case:
    """One public function: an op's forward or its backward."""

    op: object
    backward: bool

    def __str__(self):
        return self.name

    @property
    def name(self):
        return f"{self.op.name}_backward" if self.backward else self.op.name

    @property
    def function(self):
        return getattr(fa, self.name)

    @property
    def ufunc(self):
        """The ufunc behind the function: it takes every parameter as an operand."""
        return getattr(self.function, "ufunc", self.function)

    def parameters(self, dtype="float64", sample=None):
        """A sample of the op's parameters, else the first one that is complete, rounded to the dtype."""
        sample = self.op.samples[0] if sample is None else sample
        rest = list(self.op.parameters)[len(sample) :]
        return tuple(np.dtype(dtype).type(p) for p in (*sample, *(self.op.defaults[name] for name in rest)))

    def operands(self, shape, dtype, seed=0, sample=None):
        """Contiguous arrays for every input of the ufunc; parameters vary around a sample by up to an eighth."""
        rng = np.random.default_rng(seed)
        arrays = [rng.normal(size=shape)] if self.backward else []
        arrays.append(values(shape, rng, self.op))
        arrays += [p * (1 + rng.random(shape) / 8) for p in self.parameters(sample=sample)]
        return [np.asarray(a).astype(dtype) for a in arrays]

    def at(self, x, sample=None, grad=None):
        """The ufunc's first result at the array ``x``, all operands full arrays; ``grad`` is 1 unless given."""
        x = np.asarray(x)
        operands = [np.full_like(x, 1) if grad is None else np.asarray(grad, x.dtype)] if self.backward else []
        operands += [x, *(np.full_like(x, p) for p in self.parameters(x.dtype, sample))]
        return first(self.ufunc(*operands))

    def terms(self, x, parameters):
        """The reference's value in float64 as terms that add up to it."""
        if self.backward:
            return reference.derivative_terms(self.op.name, x, *map(float, parameters))
        return (reference.value(self.op.name, x, *map(float, parameters)),)


def values(shape, rng, op=None):
    """Values of every sign and size; where the op's limit at -inf is NaN, mostly from its domain."""
    size = int(np.prod(shape))
    kinds = [
        rng.normal(scale=3, size=size),
        rng.uniform(-20, 20, size=size),
        rng.choice([-1, 1], size=size) * 2.0 ** rng.uniform(-14, 15, size=size),
    ]
    x = np.choose(rng.integers(0, 3, size=size), kinds)
    if op is not None and np.isnan(op.limits[-np.inf]):
        x = np.where(rng.random(size) < 0.9, abs(x), x)
    return x.reshape(shape)


def first(results):
    return results[0] if isinstance(results, tuple) else results


CASES = [Case(record.op, name != record.op.name) for name, record in table.functions().items() if record.op]


def _representatives():
    """Two cases of every number of operands."""
    by_arity = {}
    for case in CASES:
        by_arity.setdefault((case.ufunc.nin, case.ufunc.nout), []).append(case)
    return [case for group in by_arity.values() for case in group[:2]]


REPRESENTATIVES = _representatives()


def in_dtypes(name, rows):
    """Rows of a table with the dtypes that each is tried in."""
    of_representatives = {*REPRESENTATIVES, *(case.op for case in REPRESENTATIVES if case.backward)}
    return [(row, dtype) for row in rows for dtype in DTYPES if dtype != "float16" or row in of_representatives]


def names(mark):
    return mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0]


def pytest_generate_tests(metafunc):
    tables = {
        "op": list(fa.ops.values()),
        "differentiable": [op for op in fa.ops.values() if op.derivative is not None],
        "parametrised": [case for case in CASES if not case.op.is_ufunc],
        "checked": [op for op in fa.ops.values() if op.check is not None],
        "case": CASES,
        "dtype": DTYPES,
    }
    marked = {name for mark in metafunc.definition.iter_markers("parametrize") for name in names(mark)}
    asked = [name for name in tables if name in metafunc.fixturenames and name not in marked]
    if "dtype" in asked and asked[0] != "dtype":
        name = asked[0]
        pairs = in_dtypes(name, tables[name])
        metafunc.parametrize(asked, pairs, ids=[f"{row.name}-{dtype}" for row, dtype in pairs])
        return
    for name, rows in tables.items():
        if name in asked:
            metafunc.parametrize(name, rows, ids=[getattr(row, "name", row) for row in rows])


FIRST = ("test_vectorised.py", "test_vectorised_rows.py", "test_cross_entropy.py", "test_softmax.py", "test_maxout.py")
"""These leave kernels that others would compile at the same time, in another process."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


@pytest.fixture(scope="session")
def cases():
    return {case.name: case for case in CASES}


@pytest.fixture(scope="session")
def representatives():
    return REPRESENTATIVES


@pytest.fixture(scope="session")
def same_bits():
    """``same_bits(got, expected)`` fails unless all dtypes, shapes and bits agree; any NaN equals any NaN."""

    def check(got, expected, message="the result depends on more than the element's value"):
        got, expected = (r if isinstance(r, tuple) else (r,) for r in (got, expected))
        assert len(got) == len(expected)
        for g, e in zip(map(np.asarray, got), map(np.asarray, expected), strict=True):
            assert (g.dtype, g.shape) == (e.dtype, e.shape), message
            g, e = np.ascontiguousarray(g).reshape(-1), np.ascontiguousarray(e).reshape(-1)
            integer = f"i{g.itemsize}"
            wrong = np.flatnonzero((g.view(integer) != e.view(integer)) & ~(np.isnan(g) & np.isnan(e)))
            assert not wrong.size, (
                f"{message}: {wrong.size} of {g.size}, at {wrong[:5]}: {g[wrong[:5]]} != {e[wrong[:5]]}"
            )

    return check


@pytest.fixture(scope="session")
def close():
    """``close(case, got, x, parameters, grad)`` fails where a result is further from the reference than a few ULP.

    The promised bounds are the business of ``test_accuracy.py``; this one also has to forgive float64 references.
    """

    def check(case, got, x, parameters, grad=1.0):
        dtype = np.asarray(got).dtype
        with np.errstate(all="ignore"):
            terms = [np.asarray(grad, np.float64) * term for term in case.terms(x, parameters)]
            total = sum(terms)
            expected = np.asarray(total).astype(dtype)
            scale = np.max(np.abs(terms), axis=0)
            eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_subnormal)
            # exp(-x) overflows in a float64 reference where its reciprocal is still a float.
            tolerance = 1e-12 * scale + 1e-300 if dtype == np.float64 else 4 * eps * scale + 4 * tiny
            right = (got == expected) | (abs(got.astype(np.float64) - total) <= tolerance)
            right |= np.isnan(got) & np.isnan(expected)
        wrong = np.flatnonzero(~np.asarray(right))[:5]
        x, got, expected = (np.broadcast_to(a, np.shape(right)).reshape(-1)[wrong] for a in (x, got, expected))
        assert not wrong.size, f"{case.name}{parameters} at {x}: {got}, the reference says {expected}"

    return check


@pytest.fixture(scope="session")
def overloads():
    """Public functions inside compiled code: found by Numba itself once fastact is installed, taught here otherwise."""
    if not any(e.value == "fastact.in_numba:register" for e in entry_points(group="numba_extensions")):
        from fastact import in_numba

        in_numba.register()


@pytest.fixture
def threads():
    """``with threads(n):`` for the tests, in which large calls are shared out; the number is restored after the test."""
    before = fa.get_num_threads()
    if workers.supported():
        workers.load_driver()
        records.team[fields.MOST] = max(7, records.team[fields.MOST])  # however small the machine
    for i in range(fields.DURATIONS):
        records.team[fields.ACCOUNTS + i] = 10_000_000  # nanoseconds that the team seems to have saved
    yield fa.threads
    fa.set_num_threads(before)


@pytest.fixture(scope="session")
def python():
    """``python(code, **environment)`` runs code, or a script, in a fresh interpreter and returns its output.

    An environment variable given as ``None`` is removed. Fails with the child's errors unless it exits with 0.
    """

    def run(code, *, script=None, flags=(), **environment):
        env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]))
        env |= {name: str(value) for name, value in environment.items() if value is not None}
        for name in [name for name, value in environment.items() if value is None]:
            env.pop(name, None)
        command = [sys.executable, *flags, *([str(script)] if script else ["-c", code])]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr[-3000:]}"
        return done.stdout.strip()

    return run
