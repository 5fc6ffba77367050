"""``docs/choosing.md``: a row and a picture for every activation, and the networks whose figures it shows."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import fastact as fa

ROOT = Path(fa.__file__).parent.parent
ACTIVATIONS = [op for op in fa.ops.values() if op.is_activation]

pytestmark = pytest.mark.skipif(
    not (ROOT / "tools").exists(), reason="the scripts are not part of an installed package"
)


@pytest.fixture
def script(monkeypatch):
    """``script(name)`` imports a script of ``tools/`` or ``examples/``."""
    pytest.importorskip("threadpoolctl")
    for folder in ("examples", "tools"):
        monkeypatch.syspath_prepend(ROOT / folder)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith((f"{ROOT}/tools", f"{ROOT}/examples")):
            del sys.modules[name]


@pytest.fixture
def network(script):
    """``network(name)`` is a small one."""
    choosing = script("choosing")
    return lambda name: choosing.Network(name, [5, 7, 6, choosing.CLASSES], 2.0, np.random.default_rng(0))


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    return rng.standard_normal((20, 5), np.float32), rng.integers(0, 10, 20)


def test_every_activation_has_a_row_a_figure_and_a_picture(script):
    tool = script("choosing_page")
    page, figures = tool.page(), json.loads(tool.KEPT.read_text())
    rows = tool.table(tool.activations()).splitlines()[2:]
    assert len(rows) == len(ACTIVATIONS) == sum(len(ops) for ops in tool.activations().values())
    for op in ACTIVATIONS:
        assert sum(row.startswith(f"| [`{op.name}`](") for row in rows) == 1
        assert page.count(f"\n| `{op.name}` |") == 2, "run python examples/choosing.py --write"
        assert set(figures["deep"][op.name]) == {"1", "2"}
    assert all(f"images/choosing/{name}.svg" in page for name in (*tool.activations(), "depth"))


def test_a_row(script):
    tool = script("choosing_page")
    assert tool.row(fa.ops["relu6"], "piecewise") == [
        "[`relu6`](reference/piecewise.md#relu6)",
        "[0,\N{NO-BREAK SPACE}6]",
        "yes",
        "\N{MINUS SIGN}\N{INFINITY}, \N{INFINITY}",
        "no",
        "0",
        "0",
        "(\N{MINUS SIGN}\N{INFINITY},\N{NO-BREAK SPACE}0], [6,\N{NO-BREAK SPACE}\N{INFINITY})",
        "0, 6",
        "C0",
        "1",
        "",
    ]


def test_pictures_are_found_stale_without_drawing(script, tmp_path, monkeypatch, capsys):
    tool = script("choosing_pictures")
    monkeypatch.setattr(tool, "IMAGES", tmp_path)
    families, figures = {"some": [fa.ops["relu"], fa.ops["tanh"]]}, {"deep": {}}
    drawn = []
    monkeypatch.setattr(tool, "_svg", lambda draw, mark: drawn.append(mark) or mark.encode())
    assert not tool.write(families, figures, check=True)
    assert not drawn
    assert tool.write(families, figures, check=False)
    assert len(drawn) == 2
    assert tool.write(families, figures, check=True)
    assert not tool.write({"some": [fa.ops["relu"]]}, figures, check=True), "another family"
    assert not tool.write(families, {"deep": {"relu": {}}}, check=True), "other figures"
    (tmp_path / "gone.svg").write_text("")
    assert not tool.write(families, figures, check=True)
    assert "gone.svg is stale" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tanh", "prelu", "softplus"])
def test_gradients_of_networks_match_differences(name, network, data):
    net, (x, labels) = network(name), data
    _, grad = fa.cross_entropy_with_grad(net.scores(x), labels)
    gradients = list(net.gradients(grad))[::-1]
    assert [g.shape for g in gradients] == [sums.shape for sums in net.sums]
    for bias, gradient in zip(net.biases, gradients, strict=True):
        losses = []
        for step in (1e-2, -2e-2):
            bias[0] += step
            losses.append(float(fa.cross_entropy(net.scores(x), labels)))
        bias[0] += 1e-2
        np.testing.assert_allclose(gradient.sum(axis=0)[0], (losses[0] - losses[1]) / 2e-2, rtol=0.02, atol=1e-4)


def test_networks_learn(network, data):
    net, (x, labels) = network("gelu"), data
    before = float(fa.cross_entropy(net.scores(x), labels))
    for _ in range(50):
        net.learn(x, labels, 0.05)
    assert float(fa.cross_entropy(net.scores(x), labels)) < before / 2


def test_dead_units_are_counted(network, data):
    net, (x, _) = network("relu"), data
    assert net.dead(x) == 0
    net.biases[0][:3] = -1e3
    net.biases[1][-1] = -1e3
    assert net.dead(x) == 4
    net.biases[0][:3] = np.nan
    assert net.dead(x) is None
