"""The script that compares machines by digests of results: that it sees what differs, and that AVX2 code gives the same bits."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from fastact import table
from fastact.kernels import target

TOOLS = Path(__file__).parent.parent / "tools"
NAMES = ("gelu_backward", "softmax", "glu")

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason="an installed package has no tools")


@pytest.fixture
def digests(monkeypatch):
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(TOOLS))
    import digests

    yield digests
    for name in set(sys.modules) - before:
        if str(TOOLS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def written(digests, tmp_path):
    file = tmp_path / "here.json"
    assert digests.main(["--quick", "--op", *NAMES, "--write", str(file)]) == 0
    return file


def test_another_processor_gives_the_same_bits(written, python):
    """AVX2 on x86-64; elsewhere the same processor computes again, on one thread."""
    is_x86 = target.cpu()[0].startswith("x86_64")
    other = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""} if is_x86 else {"FASTACT_NUM_THREADS": "1"}
    call = ["--quick", "--op", *NAMES, "--check", str(written)]
    code = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); import digests; sys.exit(digests.main({call}))"
    assert python(code, **other).startswith("3 of 3 digests on ")


def test_what_differs_is_named(digests, written, capsys):
    kept = json.loads(written.read_text())
    kept["digests"]["softmax float32"] = "0" * 16
    written.write_text(json.dumps(kept))
    capsys.readouterr()
    assert digests.main(["--quick", "--op", *NAMES, "--check", str(written)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("2 of 3 digests")
    assert said.splitlines()[1:] == ["softmax float32 differs"]


def test_what_cannot_be_compared(digests, written, capsys):
    for arguments, message in (
        (["--op", "glu"], "was written with --quick"),
        (["--quick", "--op", "gelu"], "does not hold gelu float32"),
    ):
        with pytest.raises(SystemExit):
            digests.main([*arguments, "--check", str(written)])
        assert message in capsys.readouterr().err


def test_every_function_is_compared(digests):
    left_out = {*table.names()} - {*digests.COMPARED}
    assert left_out == {"linear_cross_entropy", "linear_cross_entropy_with_grad"}


def test_inputs_are_of_every_kind(digests):
    for dtype in ("float16", "float32", "float64"):
        x, info = digests.values(20_000, dtype, 0), np.finfo(dtype)
        assert np.isnan(x).any()
        assert np.isposinf(x).any()
        assert np.isneginf(x).any()
        zeros = x[x == 0]
        assert {*np.signbit(zeros)} == {True, False}
        assert ((x != 0) & (abs(x) < info.tiny)).any(), "subnormals"
        assert len({*np.frexp(x[np.isfinite(x)])[1]}) > 0.9 * (info.maxexp - info.minexp)


def test_a_digest(digests):
    """Every NaN is the same; signs of zero, shapes and dtypes are not."""
    nans = np.array([0x7FC00000, 0xFFC00001], np.uint32).view(np.float32)
    given = [nans, np.zeros(2, np.float32), -np.zeros(2, np.float32), np.zeros(2), np.zeros((1, 2))]
    found = [digests.digest(iter([results])) for results in given]
    assert digests.digest(iter([nans[::-1]])) == found[0]
    assert digests.digest(iter([(given[1], given[3])])) == digests.digest(iter([given[1], given[3]]))
    assert len({*found}) == len(given)
