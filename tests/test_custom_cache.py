"""``fastact.elementwise``: what a user's kernel is kept by: the function's code, and all values that compiling it freezes."""

import enum
import functools
import math
import sys
import types
from collections import namedtuple

import numba
import numpy as np
import pytest

import fastact as fa
from fastact.runtime.fingerprint import fingerprint

pytestmark = pytest.mark.usefixtures("overloads")
X = np.linspace(-3, 3, 201, dtype=np.float32)


def kept(folder, name):
    return len(list(folder.rglob(f"*{name}*.o")))


def test_closures_keep_their_values_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTACT_CACHE_DIR", str(tmp_path))

    def power(n):
        @fa.elementwise
        def by(x):
            return x**n

        return by

    x = X[:5].astype("f8")
    for n in (2, 3, 2):
        np.testing.assert_allclose(power(n)(x), x**n, rtol=1e-15)
    assert kept(tmp_path, "by") == 2, "one file for each value, and the third finds the first's"


SCALE = 1.0
TABLE = np.array([1.0, 2.0])
PAIR = (1.0, 2)
PointAB, PointBA = namedtuple("Point", "a b"), namedtuple("Point", "b a")
POINT, Point = PointAB(2.0, 3.0), PointAB
Kind = enum.Enum("Kind", {"A": 1.0})


def scaled_by_helper(x):
    return SCALE * x


VALUES = {
    "a global": (lambda: fa.elementwise(lambda x: x * SCALE), "SCALE", [2.0, 3.0]),
    "an array": (lambda: fa.elementwise(lambda x: x * TABLE[0]), "TABLE", [np.array([2.0]), np.array([3.0])]),
    "a tuple": (lambda: fa.elementwise(lambda x: x * PAIR[1]), "PAIR", [(1.0, 2.0), (1.0, 3.0)]),
    "a global of a helper": (lambda: fa.elementwise(lambda x: scaled_by_helper(x)), "SCALE", [2.0, 3.0]),
    "an enumeration": (
        lambda: fa.elementwise(lambda x: x * Kind.A.value),
        "Kind",
        [enum.Enum("Kind", {"A": value}) for value in (2.0, 3.0)],
    ),
    "a named tuple": (
        lambda: fa.elementwise(lambda x: x * POINT.a),
        "POINT",
        [PointAB(2.0, 3.0), PointBA(2.0, 3.0)],
    ),
    "the type of a named tuple": (
        lambda: fa.elementwise(lambda x: x * Point(2.0, 3.0).a),
        "Point",
        [PointAB, PointBA],
    ),
    "an attribute of a module": (lambda: fa.elementwise(lambda x: x * settings.SCALE), "settings.SCALE", [2.0, 3.0]),
}
settings = types.ModuleType("settings")
settings.SCALE = 1.0


@pytest.mark.parametrize("kind", VALUES)
def test_what_compiled_code_holds_is_part_of_the_key(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTACT_CACHE_DIR", str(tmp_path))
    make, place, values = VALUES[kind]
    for value, expected in zip([*values, values[0]], [2.0, 3.0, 2.0], strict=True):
        monkeypatch.setattr(*((settings, "SCALE", value) if "." in place else (sys.modules[__name__], place, value)))
        assert make()(np.float64(1)) == expected
    assert kept(tmp_path, "lambda") == 2


def test_defaults_of_helpers_and_options_of_numba_are_part_of_the_key():
    def helper(x, k=2.0):
        return x * k

    first = fingerprint(lambda x: helper(x))
    helper.__defaults__ = (3.0,)
    assert fingerprint(lambda x: helper(x)) != first
    fast, exact = numba.njit(fastmath=True)(helper), numba.njit(helper)
    assert len({fingerprint(lambda x, f=f: f(x)) for f in (fast, exact)}) == 2
    assert fingerprint(lambda x: x + 1) == fingerprint(lambda x: x + 1), "the place of the code is no part of it"


def test_what_cannot_be_told_is_kept_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTACT_CACHE_DIR", str(tmp_path))
    strange = object()

    @fa.elementwise
    def unknown(x, p=strange):
        return x

    assert fingerprint(unknown.__wrapped__) is None or kept(tmp_path, "unknown") == 0
    cell = []
    assert fingerprint(lambda x: x + len(cell)) is None
    foreign = numba.cfunc("float64(float64)")(lambda x: 2 * x)  # has the module of its class, Numba's
    assert fingerprint(lambda x: foreign(x)) is None


def test_addresses_are_kept_nowhere(tmp_path, monkeypatch):
    """Compiled code holds the address of a foreign function, which another process, or another such function, has not."""
    monkeypatch.setenv("FASTACT_CACHE_DIR", str(tmp_path))

    def times(k):
        @numba.cfunc("float64(float64)")
        def foreign(x):
            return x * k

        return fa.elementwise(lambda x: foreign(x))

    assert [times(k)(2.0) for k in (3.0, 5.0)] == [6.0, 10.0]
    assert kept(tmp_path, "lambda") == 0


def test_what_a_wrapper_says_of_itself_is_not_believed():
    def make(k):
        @functools.wraps(math.sin)
        def helper(x):
            return x * k

        return lambda x: helper(x)

    assert fingerprint(make(2.0)) != fingerprint(make(3.0))
    assert fa.elementwise(make(2.0))(3.0) == 6.0


def test_the_key_of_a_function_without_a_file(python, tmp_path):
    code = """
import sys, numpy as np, fastact as fa
double = fa.elementwise(lambda x: x * 2)
print(double(np.float32(3)), "numba" in sys.modules)
"""
    assert python(code, FASTACT_CACHE_DIR=tmp_path) == "6.0 True"
    assert python(code, FASTACT_CACHE_DIR=tmp_path) == "6.0 False"


def test_lambdas_of_one_line_are_told_apart(tmp_path, monkeypatch):
    """They share file, line and name: all that tells them apart is their code."""
    monkeypatch.setenv("FASTACT_CACHE_DIR", str(tmp_path))
    one, two = fa.elementwise(lambda x: x + 1), fa.elementwise(lambda x: x + 2)
    assert (one(np.float32(1)), two(np.float32(1))) == (2, 3)
    values = [fa.elementwise(f)(np.float32(1)) for f in (lambda x: x * 3, lambda x: x * 4)]
    assert values == [3, 4]


def test_kept_kernels_find_the_functions_of_numba(python, tmp_path):
    """They are functions in C, of which a process that has compiled nothing knows only if somebody tells it."""
    code = "import math, numpy as np, fastact as fa\n"
    for formula in ("math.ldexp(x, 3)", "math.frexp(x)[0]", "np.nextafter(x, 9.0)", "math.gamma(x)"):
        code += f"print(fa.elementwise(lambda x: {formula})(np.ones(3)))\n"
    first, second = (python(code, FASTACT_CACHE_DIR=tmp_path) for _ in range(2))
    assert first == second


def test_an_edit_of_the_users_file_compiles_anew(python, tmp_path):
    script = tmp_path / "mine.py"
    use = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import numpy as np, mine
print(mine.f(np.float32(3)), "numba" in sys.modules)
"""
    for factor in (2, 3):
        script.write_text(f"import fastact as fa\n\n\n@fa.elementwise\ndef f(x):\n    return x * {factor}\n")
        seen = [python(use, FASTACT_CACHE_DIR=tmp_path / "cache", PYTHONDONTWRITEBYTECODE="1") for _ in range(2)]
        assert [line.split()[0] for line in seen] == [f"{factor * 3.0}"] * 2
        assert seen[1].split()[1] == "False", "the second process loads what the first compiled"
