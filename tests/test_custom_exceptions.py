"""``fastact.elementwise``: exceptions of the user's function reach the caller as Python raises them, and none is left behind."""

import contextlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import fastact as fa

pytestmark = pytest.mark.usefixtures("overloads")
X = np.linspace(-3, 3, 201, dtype=np.float32)
LARGE = 300_000
"""Elements that are shared out over threads."""


@pytest.mark.parametrize(("size", "dtype"), [(1, "float16"), (10, "float32"), (LARGE + 1, "float64")])
def test_what_numba_cannot_compile_is_the_callers_error(size, dtype):
    @fa.elementwise
    def impossible(x):
        return x.nonsense

    x = np.ones(size, dtype)
    for _ in range(2):
        with pytest.raises(fa.CompilationError, match="impossible") as caught:
            impossible(x)
        assert caught.value.__cause__ is not None, "the cause says what Numba did not like"
    assert isinstance(caught.value, RuntimeError)


def test_what_returns_no_number_is_the_callers_error():
    for wrong in (lambda x: "text", lambda x: (x, x), lambda x: (x, x, x)):
        with pytest.raises(fa.CompilationError):
            fa.elementwise(wrong)(X)
    with pytest.raises(TypeError, match="must return a number, got None"):
        fa.elementwise(lambda x: None)(X)


@pytest.mark.parametrize("error", [NotImplementedError("later"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
@pytest.mark.parametrize("x", [1.0, np.ones(7, np.float32)], ids=["scalar", "array"])
def test_what_only_raises(error, x):
    kind, arguments = type(error), error.args

    def stub(x):
        raise kind(*arguments)

    with pytest.raises(kind) as caught:
        fa.elementwise(stub)(x)
    assert caught.value.args == arguments


def test_an_exception_while_another_is_handled():
    @fa.elementwise
    def small(x):
        if x > 10:
            raise ValueError("large")
        return x

    def in_handler():
        try:
            raise KeyError("first")
        except KeyError:
            small(X + 20)

    def at_exit():
        with contextlib.ExitStack() as stack:
            stack.callback(small, 20.0)
            raise KeyError("first")

    for call in (in_handler, at_exit):
        with pytest.raises(ValueError, match="large") as caught:
            call()
        assert isinstance(caught.value.__context__, KeyError)


LAYOUTS = {
    "one": lambda x: x[-1:],
    "contiguous": lambda x: x,
    "strided": lambda x: np.repeat(x, 2)[::2],
    "two-dimensional": lambda x: np.repeat(x.reshape(-1, 10), 2, axis=1)[:, ::2],
    "converted": lambda x: x.astype(">f4"),
    "buffered integers": lambda x: np.minimum(x, 1e4).astype(np.int32),
}


def root(x):
    """Square root of what is not negative."""
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x**0.5


def asserts(x):
    assert x >= 0, "negative"
    return x + 1


def falls_through(x):  # noqa: RET503 - that it returns nothing else is what is tested
    if x >= 0:
        return x * 2


class OwnError(Exception):
    pass


def raises_own(x):
    for _ in range(3):
        if x < 0:
            raise OwnError
    return x


def slope_of_root(x):
    if x < 0:
        raise ValueError("no slope")
    return 0.5 / x**0.5


RAISE = {
    "ValueError": (fa.elementwise(root), ValueError, "is negative"),
    "assert": (fa.elementwise(asserts), AssertionError, "negative"),
    "no return": (fa.elementwise(falls_through), TypeError, "must return a number, got None"),
    "an exception of its own": (fa.elementwise(raises_own), OwnError, None),
    "from a helper": (fa.elementwise(lambda x: x / 1 if x >= 0 else x / raises_own(x)), OwnError, None),
    "with a parameter": (fa.elementwise(lambda x, p=1.0: asserts(x) * p), AssertionError, "negative"),
    "backward": (fa.elementwise(derivative=slope_of_root)(lambda x: x).backward, ValueError, "no slope"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [10, 30_000, LARGE])
@pytest.mark.parametrize("kind", RAISE)
def test_exceptions_reach_the_caller(kind, size, layout):
    """With their type and message, however often NumPy calls the loop for one call of the ufunc, and wherever the element is."""
    op, error, message = RAISE[kind]
    for place in (-1, size // 2):
        x = np.arange(1, size + 1, dtype=np.float32)
        x[place] = -x[place]
        x = LAYOUTS[layout](x)
        if x.min() >= 0:
            continue
        operands = (x, x) if kind == "backward" else (x,)
        with pytest.raises(error, match=message) as caught:
            op(*operands)
        assert caught.type is error
        assert np.isfinite(op(*map(np.abs, operands))).all(), "the next call is not haunted"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_comes_before_a_failure_is_written(dtype):
    op, out = RAISE["ValueError"][0], np.full(4, 77, dtype)
    with pytest.raises(ValueError, match=r"-1\.0 is negative"):
        op(np.array([4, 9, -1, -2], dtype), out=out)
    np.testing.assert_array_equal(out, np.array([2, 3, 77, 77], dtype))


def test_what_does_not_raise_is_vectorised_as_before():
    from fastact.maths.scalar import scalar
    from fastact.runtime import failing

    assert not failing.can_fail(scalar(lambda x: fa.softplus(x) if x > 0 else x / 0), "float32", 1, False)
    assert failing.can_fail(scalar(asserts), "float32", 1, False)


def test_exceptions_in_several_threads_at_once():
    op = RAISE["ValueError"][0]

    def many(sign):
        x = sign * np.arange(1, 20_001, dtype=np.int64)
        raised = 0
        for _ in range(50):
            try:
                op(x)
            except ValueError:
                raised += 1
        return raised

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(many, [1, -1, 1, -1])) == [0, 50, 0, 50]


@pytest.mark.parametrize("size", [1, 20_000, LARGE + 1])
def test_a_failed_compilation_is_never_lost(size):
    """NumPy calls the loop for each piece of an array that it converts; each time an exception waits to be raised already."""
    op = fa.elementwise(lambda x: x.nonsense)
    for _ in range(3):
        with pytest.raises(fa.CompilationError, match="nonsense"):
            op(np.ones(size, np.int64))


@pytest.mark.parametrize("size", [10, LARGE])
def test_exceptions_come_before_the_rules_of_arithmetic(size):
    """A formula's own exception is raised beside divisions by zero, which raise none; complex numbers divide as in Python."""

    @fa.elementwise
    def checked(x):
        if x < 0:
            raise ValueError("negative")
        return 1 / x

    x = np.zeros(size)
    np.testing.assert_array_equal(checked(x), np.full(size, np.inf))
    x[-1] = -1
    with np.errstate(all="raise"), pytest.raises(ValueError, match="negative"):
        checked(x)
    with pytest.raises(ZeroDivisionError):
        fa.elementwise(lambda x: abs(1j / complex(x, 0.0)))(x)


def test_nothing_is_left_of_what_was_raised(python):
    """The interpreter looks for asynchronous exceptions at every call, but not for ever, and no profiler hangs."""
    code = """
import cProfile, sys
import numpy as np, fastact as fa

def root(x):
    if x < 0:
        raise ValueError("negative")
    return x**0.5

op = fa.elementwise(root)
x = np.arange(-30_000, 30_000)
for profiled in (False, True, True):
    profile = cProfile.Profile()
    if profiled:
        profile.enable()
    for _ in range(3):
        try:
            op(x)
        except ValueError as error:
            assert str(error) == "negative" and type(error) is ValueError
        else:
            raise SystemExit("nothing was raised")
        assert op(np.float64(4)) == 2 and fa.silu(0.0) == 0
    profile.disable()
print("right")
"""
    assert python(code) == "right"


def test_nobody_catches_an_exception(tmp_path):
    """Its type and message are printed at the end of the program."""
    for call in ("op(-1.0)", "op(np.arange(-20_000, 5))"):
        code = "import numpy as np, fastact as fa\nfrom tests.test_custom_exceptions import root\n"
        code += f"op = fa.elementwise(root)\n{call}"
        path = os.pathsep.join([str(Path(fa.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
        env = dict(os.environ, PYTHONPATH=path, FASTACT_CACHE_DIR=str(tmp_path))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=300)
        assert done.returncode == 1
        assert done.stderr.count("Traceback") == 1
        assert re.search(r"^ValueError: -\d+\.0 is negative$", done.stderr, re.M), done.stderr
