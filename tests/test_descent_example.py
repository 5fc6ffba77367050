"""``examples/descent.py``: its gradients, that NumPy descends as fastact does, and what it prints and draws."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import fastact as fa

ROOT = Path(fa.__file__).parent.parent

pytestmark = pytest.mark.skipif(
    not (ROOT / "examples").exists(), reason="the examples are not part of an installed package"
)


@pytest.fixture(scope="module")
def descent():
    for needed in ("rich", "sklearn", "matplotlib"):
        pytest.importorskip(needed)
    alone = pytest.importorskip("threadpoolctl").threadpool_limits
    # Products so small gain nothing from threads, and beside other tests they would wait for each other.
    with pytest.MonkeyPatch.context() as patch, alone(1), fa.threads(1):
        patch.syspath_prepend(ROOT / "examples")
        yield importlib.import_module("descent")
    del sys.modules["descent"]


@pytest.mark.parametrize("kind", ["Plain", "Fast"])
def test_a_step_goes_down_the_gradient(descent, kind):
    """The loss falls by the squared length of the step over the rate, as far as it is linear."""
    x, labels = descent.load(50)
    network = descent.Network(getattr(descent, kind)(), 0)
    before = [value.copy() for value in network.values]
    rate = 1e-3
    losses = [network.learn(x, labels, rate), network.learn(x, labels, 0.0)]
    length = sum(np.sum(np.square(a - b, dtype=float)) for a, b in zip(before, network.values, strict=True))
    assert losses[0] - losses[1] == pytest.approx(length / rate, rel=0.05)


def test_numpy_takes_the_same_steps(descent):
    x, labels = descent.load(100)
    networks = [descent.Network(maths(), 0) for maths in (descent.Plain, descent.Fast)]
    for first in range(0, 100, 20):
        losses = [network.learn(x[first : first + 20], labels[first : first + 20], 0.1) for network in networks]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for ours, theirs in zip(*(network.values for network in networks), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    assert set(networks[0].clock.seconds) == set(descent.SHARES.values())


def test_kinds_differ_in_what_a_step_sees(descent):
    x, labels = descent.load(60)
    found = {d.kind.name: d for d in descent.run(descent.Fast(), x, labels, 2, 0)}
    assert {name: d.steps for name, d in found.items()} == {"batch": 10, "stochastic": 120, "mini-batch": 4}
    for course in found.values():
        assert len(course.losses) == len(course.seconds)
        assert course.losses[-1] < course.losses[0]
        assert course.seconds == sorted(course.seconds)


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_prints_a_table_and_draws(descent, tmp_path, capsys, monkeypatch, suffix):
    file = tmp_path / f"descent{suffix}"
    monkeypatch.setattr(sys, "argv", ["descent.py", "--quick", "--picture", str(file)])
    assert descent.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["passes", "batch", "stochastic", "mini-batch", "The"]
    assert file.stat().st_size > 10_000


def test_compares_with_numpy(descent, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["descent.py", "--quick", "--compare", "--passes", "1"])
    assert descent.main() == 0
    text = capsys.readouterr().out
    assert text.count("NumPy takes") == 3
    assert "share of matrix products, activation, loss, update" in text


def test_passes_must_be_positive(descent, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["descent.py", "--passes", "0"])
    with pytest.raises(SystemExit):
        descent.main()
    assert "invalid positive value: '0'" in capsys.readouterr().err
