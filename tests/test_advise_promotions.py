"""Each cause for which float32 becomes float64 is named with its line, and what does not is not blamed."""

# ruff: noqa: E501 - programs within programs are as long as they are

import pytest

from fastact.advice import findings, promotions
from fastact.advice.estimates import Estimator
from tests.watched import found_in, watch

X = "x = np.ones((64, 64), np.float32)\n"

CAUSES = {
    "scalar from sqrt": ("y = x * np.sqrt(2)", 2, "`np.sqrt(2)` is an np.float64 scalar"),
    "scalar by a name": (
        "scale = 1 / np.sqrt(64)\ny = x * scale",
        3,
        "`scale` is an np.float64 scalar, set in line 2 by `1 / np.sqrt(64)`",
    ),
    "scalar by an attribute": (
        "class C: pass\nc = C()\nc.d = np.float64(2)\ny = c.d * x",
        5,
        "`c.d` is an np.float64 scalar, set in line 4 by `np.float64(2)`",
    ),
    "scalar inside": (
        "y = x / (2 * np.sqrt(3.0))",
        2,
        "`2 * np.sqrt(3.0)` is an np.float64 scalar: `np.sqrt(3.0)` gives one",
    ),
    "mean of float64": ("w = np.arange(4.0)\ny = x - w.mean()", 3, "`w.mean()` is an np.float64 scalar"),
    "list": ("y = x[0, :3] + [1.0, 2.0, 3.0]", 2, "is a Python list"),
    "list in a function": ("y = np.multiply(x[0, :3], [1.0, 2.0, 3.0])", 2, "`[1.0, 2.0, 3.0]` is a Python list"),
    "zeros": (
        "b = np.zeros(64)\ny = x + b",
        3,
        "`b` is a float64 array, made in line 2 by `np.zeros(64)`, which is float64 without a dtype",
    ),
    "zeros, a part": (
        "b = np.zeros((64, 64))\ny = x + b[0]",
        3,
        "`b[0]` is a float64 array, made in line 2 by `np.zeros((64, 64))`",
    ),
    "zeros, chosen": (
        "b = np.zeros((64, 64))\nt = b[np.arange(64)]\ny = x + t",
        4,
        "`t` is a float64 array, made in line 2 by `np.zeros((64, 64))`, which is float64 without a dtype",
    ),
    "eye": ("t = np.eye(64)[np.arange(64)]\ny = x - t", 3, "`t` is a float64 array, made in line 2"),
    "random": (
        "w = np.random.randn(64, 64)\ny = x @ w",
        3,
        "made in line 2 by `np.random.randn(64, 64)`, which draws float64",
    ),
    "array of a list": (
        "w = np.array([1.0] * 64)\ny = x * w",
        3,
        "made in line 2 by `np.array([1.0] * 64)` from a Python list",
    ),
    "mask": ("m = (x > 0) / 0.5\ny = x * m", 3, "made in line 2 by `(x > 0) / 0.5`: a mask and a number give float64"),
    "index": ("i = np.arange(64)\ny = x * i", 3, "`i` is an array of integers (int64), such as an index or a mask"),
    "mask of integers": (
        "m = np.where(x > 0, 1, 0)\ny = x * m",
        3,
        "`m` is an array of integers (int64), such as an index or a mask, made in line 2",
    ),
    "astype": ("y = x.astype(float)", 2, "`x.astype(float)` asks for float64"),
    "dtype": ("y = np.add(x, 1, dtype=np.float64)", 2, "`dtype=np.float64` asks for float64"),
    "concatenate": ("z = np.zeros((1, 64))\ny = np.concatenate([x, z])", 3, "holds a float64 array, made in line 2"),
    "ufunc": ("b = np.ones(64)\ny = np.maximum(x, b)", 3, "`b` is a float64 array"),
    "argument": (
        "def f(a, b):\n    return a - b\nz = np.zeros(64)\ny = f(x, z)",
        3,
        "`b` is a float64 array, made in line 4",
    ),
    "half": ("h = x.astype(np.float16)\ny = h * np.float64(2)", 3, "`np.float64(2)` is an np.float64 scalar"),
}

INNOCENT = {
    "python number": "y = x * 2.5",
    "mask of bools": "y = x * (x > 0)",
    "math": "import math\ny = x * math.sqrt(2)",
    "float32 scalar": "y = x * np.float32(2)",
    "in place": "x *= np.sqrt(2)",
    "mean of float32": "y = x - x.mean()",
    "where": "y = np.where(x > 0, x, 0.0)",
    "float64 all along": "z = np.ones(3)\ny = z * np.sqrt(2)",
    "indexing": "y = x[np.arange(3)]",
    "argmax": "y = x.argmax(axis=1)",
    "scalars": "y = np.float32(2) * np.float64(3)",
}


@pytest.mark.parametrize("name", CAUSES)
def test_cause_is_named(name):
    text, line, words = CAUSES[name]
    found = found_in(X + text).promotions
    assert [one.site.line for one in found] == [line]
    assert words in found[0].cause
    assert line in found[0].lines
    assert 0 < found[0].seconds <= found[0].downstream
    assert 0 <= found[0].saved <= found[0].downstream


@pytest.mark.parametrize("name", INNOCENT)
def test_innocent_is_not_blamed(name):
    assert not found_in(X + INNOCENT[name]).promotions


def test_all_that_stems_from_it_is_counted():
    text = X + "y = x * np.sqrt(2)\nz = y + 1\nu = z[:3] * 2\nv = x + 1\nw = u.astype(np.float32)\nt = w * 2\n"
    recorder, _ = watch(text)
    (found,) = promotions.find(recorder, Estimator())
    assert found.lines == (2, 3, 4, 6)
    by_line = {line: sum(site.seconds for site in recorder.sites if site.line == line) for line in found.lines}
    assert found.downstream == pytest.approx(sum(by_line.values()))


def test_what_would_do_it_next_is_named():
    text = (
        X
        + "c = np.sqrt(2 / np.pi)\nb = np.zeros(64)\ny = x * np.sqrt(2)\nz = c * y\nu = z + b\nv = u / np.arange(1, 65)\n"
        "o = np.ones(64, dtype=v.dtype)\nw = v - v.mean() + o\ns = v.sum()\nt = w / s\nd = t * 2.5 * (t > 0)\ne = d * np.float32(2) + y\n"
    )
    (found,) = found_in(text).promotions
    expected = {
        5: "`c` is an np.float64 scalar",
        6: "`b` is a float64 array",
        7: "`np.arange(1, 65)` is an array of integers",
    }
    assert [site.line for site, _ in found.behind] == list(expected)
    assert all(cause.startswith(expected[site.line]) for site, cause in found.behind)


def test_masks_and_indices_pass_nothing_on():
    text = X + "y = x * np.sqrt(2)\nm = (y > 0).astype(int)\ni = y.argmax(1)\nz = np.ones(64) * m\nu = x[i] + 1\n"
    (found,) = found_in(text).promotions
    assert found.lines == (2, 3, 4)


def test_consequences_are_no_causes():
    text = X + "w = x\nfor i in range(3):\n    w = w - x * np.float64(0.1)\ny = x @ w\nz = x - y\n"
    (found,) = found_in(text).promotions
    assert found.site.line == 4
    assert {4, 5, 6} <= set(found.lines)


def test_an_array_in_memory_that_was_freed_is_not_taken_for_it():
    text = (
        X
        + "def f():\n    return x * np.sqrt(2)\nfor i in range(50):\n    f()\n    y = np.random.rand(64, 64)\n    z = y + 1\n"
    )
    (found,) = found_in(text).promotions
    assert found.lines == (3,)


def test_savings_are_timed():
    class Fixed(Estimator):
        def in_float32(self, site, sample):  # noqa: ARG002
            return 0.25

    recorder, _ = watch(X + "y = x * np.sqrt(2)\nz = np.exp(y)\n")
    (found,) = promotions.find(recorder, Fixed())
    assert found.saved == pytest.approx(0.75 * found.downstream)


def test_the_share_of_float32_is_of_the_same_operation(monkeypatch):
    """By a clock that shows the square of a result's bytes."""
    monkeypatch.setattr(Estimator, "seconds", lambda self, call: float(call().nbytes) ** 2)
    recorder, _ = watch("x = np.ones((60, 60))\ny = np.exp(x)\nz = x.sum()\nt = x * np.float64(2)\nw = x > 0.5")
    share = {}
    for site in recorder.sites:
        for sample in site.samples.values():
            share[site.line] = Estimator().in_float32(site, sample)
            assert Estimator(0.0).in_float32(site, sample) == 0.5
    assert share == {1: 0.5, 2: 0.25, 3: 0.5, 4: 0.25, 5: 1}, "half by bytes, where the call is not known in full"


def test_estimates_end_with_their_budget():
    estimator, calls = Estimator(0.05), []
    while estimator.seconds(lambda: calls.append(1)) is not None and len(calls) < 10_000_000:
        pass
    assert estimator.budget <= 0
    assert 7 <= len(calls) < 10_000_000
    assert estimator.array((2, 2), "d") is None


def test_float64_from_the_start_is_told_apart():
    text = "x = np.zeros((300, 300))\ny = np.exp(x)\n" + X.replace("x", "z") + "t = z + 1\nw = z * np.float64(2)\n"
    recorder, _ = watch(text)
    seconds, lines = promotions.float64_from_the_start(recorder)
    assert lines == [1]
    assert seconds == pytest.approx(sum(site.seconds for site in recorder.sites if site.line in (1, 2)))
    assert 0 < seconds < sum(site.seconds for site in recorder.sites)
    assert not found_in("x = np.zeros((300, 300))\ny = np.exp(x)\n").promotions
    assert found_in(X + "y = np.exp(x)").float64_seconds == 0


def test_fresh_arrays_are_counted(monkeypatch):
    monkeypatch.setattr(findings, "LEAST", 0.0)  # whatever else the machine does meanwhile
    text = "x = np.ones((1000, 600), np.float32)\nfor i in range(4):\n    y = x + 1\n    z = x[:10] + 1\n    np.add(x, 1, out=y)\n    y += 1\n"
    found = found_in(text)
    assert [one.site.line for one in found.fresh] == [3]
    assert found.fresh[0].size == 1000 * 600 * 4
    assert found.fresh[0].site.calls == 4
    assert isinstance(found, findings.Findings)
