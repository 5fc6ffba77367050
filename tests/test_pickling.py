"""Users' ops travel: by name from a module, else by value."""

import copy
import pickle

import numpy as np
import pytest

import fastact as fa


@fa.elementwise(derivative=lambda x: 2 * x)
def square(x):
    return x * x


@fa.elementwise(derivative=lambda x, p: p)
def scaled(x, p=2.0):
    return p * x


def parts():
    """Every function that the two decorations make, with operands and what it gives for them."""
    return {
        "square": (square, (3.0,), 9.0),
        "square.backward": (square.backward, (2.0, 3.0), 12.0),
        "scaled": (scaled, (3.0,), 6.0),
        "scaled.ufunc": (scaled.ufunc, (3.0, 4.0), 12.0),
        "scaled.backward": (scaled.backward, (2.0, 3.0), 4.0),
        "scaled.backward.ufunc": (scaled.backward.ufunc, (2.0, 3.0, 5.0), 10.0),
    }


@pytest.mark.parametrize("name", parts())
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_by_name_from_a_module(name, protocol):
    function, _, _ = parts()[name]
    assert pickle.loads(pickle.dumps(function, protocol)) is function
    assert copy.deepcopy([function]) == [function]


@pytest.mark.parametrize("kind", ["pickle", "cloudpickle"])
def test_by_value_from_a_closure(kind):
    factor = 3.0

    @fa.elementwise(derivative=lambda x, p: factor * p)
    def local(x, p=1.0):
        return factor * p * x

    plain = fa.elementwise(lambda x: x + factor)
    pickler = pytest.importorskip(kind)
    for function, operands, expected in (
        (local, (2.0,), 6.0),
        (local.ufunc, (2.0, 2.0), 12.0),
        (local.backward, (1.0, 2.0), 3.0),
        (plain, (2.0,), 5.0),
    ):
        assert pickle.loads(pickler.dumps(function))(*operands) == expected


MAIN = """
import sys
import numpy as np, fastact as fa

OFFSET = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0

def helper(x):
    return x + OFFSET

@fa.elementwise(derivative=lambda x, p: p)
def moved(x, p=2.0):
    return p * helper(x)

@fa.elementwise(derivative=lambda x: 2 * x)
def square(x):
    return x * x

CALLS = [(moved, (3.0,), 8.0), (moved.ufunc, (3.0, 1.0), 4.0), (moved.backward, (1.0, 3.0), 2.0),
         (square, (3.0,), 9.0), (square.backward, (1.0, 3.0), 6.0)]

X = np.linspace(-1, 1, 50)
"""
WAYS = {
    "cloudpickle": """
import cloudpickle, os, subprocess
data = cloudpickle.dumps([(f, o) for f, o, _ in CALLS])
code = "import pickle, sys; print([float(f(*o)) for f, o in pickle.load(sys.stdin.buffer)])"
out = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True).stdout
assert eval(out) == [e for _, _, e in CALLS], out
""",
    "loky": """
from joblib import Parallel, delayed
got = Parallel(n_jobs=2, backend="loky")(delayed(f)(*o) for f, o, _ in CALLS)
assert got == [e for _, _, e in CALLS], got
""",
    "dask": """
import dask, dask.array
x = dask.array.from_array(X, chunks=20)
got = dask.compute(square(x), moved(x), scheduler="processes")
assert (got[0] == X * X).all() and (got[1] == 2 * (X + 1)).all()
""",
    "spawn": """
import multiprocessing
context = multiprocessing.get_context("spawn")
with context.Pool(2) as pool:
    got = [pool.apply(f, o) for f, o, _ in CALLS]
assert got == [e for _, _, e in CALLS], got
""",
    "a process pool": """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
    got = [pool.submit(f, *o).result() for f, o, _ in CALLS]
assert got == [e for _, _, e in CALLS], got
""",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", ["a script", "a notebook"])
def test_by_value_from_main(way, place, python, tmp_path):
    """A notebook's cells are in no file: as a program given by ``-c``, where a child does not find ``__main__`` again."""
    if way in ("cloudpickle", "dask"):
        pytest.importorskip(way)
    if way == "loky":
        pytest.importorskip("joblib")
    body = MAIN + "if __name__ == '__main__':\n" + WAYS[way].replace("\n", "\n    ") + "\n    print('right')\n"
    if place == "a script":
        (tmp_path / "program.py").write_text(body)
        assert python(None, script=tmp_path / "program.py") == "right"
    else:
        assert python(body) == "right"


def test_a_worker_makes_each_only_once():
    function = fa.elementwise(lambda x: x + 7)
    value = pickle.dumps(function)
    assert pickle.loads(value) is pickle.loads(value)


def test_numpys_ufuncs_are_pickled_as_before():
    for ufunc in (np.exp, np.add, fa.gelu, fa.leaky_relu.ufunc):
        assert pickle.loads(pickle.dumps(ufunc)) is ufunc
