"""The example that finds digits in photographs: its scenes, its network, its picture, and what a short run prints."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import fastact as fa

EXAMPLES = Path(fa.__file__).parent.parent / "examples"

pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="the scripts are not part of an installed package")


@pytest.fixture
def example(monkeypatch):
    for module in ("PIL", "rich", "sklearn"):
        pytest.importorskip(module)
    before = set(sys.modules)
    monkeypatch.syspath_prepend(EXAMPLES)
    yield importlib.import_module("segmentation")
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(EXAMPLES)):
            del sys.modules[name]


def test_scenes(example):
    """Every class is there; the same seed makes the same; windows and tiles are of the same pixels."""
    data = example.scenes(3, False, np.random.default_rng(0))
    again = example.scenes(3, False, np.random.default_rng(0))
    np.testing.assert_array_equal(data.images, again.images)
    assert {*np.unique(data.labels)} == {*range(example.CLASSES)}
    assert (data.images >= 0).all()
    assert (data.images <= 1).all()
    margin = (example.WINDOW - example.TILE) // 2
    middle = slice(margin, margin + example.TILE)
    np.testing.assert_array_equal(data.windows()[1, 2, 3, middle, middle], data.images[1, 16:24, 24:32].mean(-1))
    np.testing.assert_array_equal(data.tiles()[1, 2, 3].reshape(8, 8), data.labels[1, 16:24, 24:32])


def test_a_prediction_has_its_pixels_in_place(example, monkeypatch):
    data = example.scenes(1, True, np.random.default_rng(0))
    network = example.Network(4, 0)
    tiles = data.tiles().reshape(-1, example.TILE**2)
    monkeypatch.setattr(network, "scores", lambda windows: np.eye(example.CLASSES)[tiles])
    np.testing.assert_array_equal(network.predict(data), data.labels)


def test_gradients_are_those_of_the_loss(example):
    data = example.scenes(2, False, np.random.default_rng(0))
    windows, labels = next(example.batches(data, np.random.default_rng(0)))
    network = example.Network(5, 0)
    network.weights = [w.astype(np.float64) for w in network.weights]
    network.biases = [b.astype(np.float64) for b in network.biases]
    windows = windows[:20].astype(np.float64)
    labels = labels[:20]
    _, grad = example.both_losses(network.scores(windows), labels)
    for parameter, gradient in zip(network.parameters, network.gradients(grad), strict=True):
        direction = np.random.default_rng(1).normal(size=parameter.shape)
        losses = []
        for step in (1e-6, -2e-6):
            parameter += step * direction
            losses.append(example.both_losses(network.scores(windows), labels)[0])
        parameter += 1e-6 * direction
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(np.sum(gradient * direction), rel=1e-5)


def test_a_step_is_that_of_pytorch(example):
    pytest.importorskip("torch")
    data = example.scenes(4, False, np.random.default_rng(0))
    network = example.Network(16, 0)
    step = example.torch_step(network)
    for batch, _ in zip(example.batches(data, np.random.default_rng(0)), range(2), strict=False):
        theirs = step(*batch)
        assert network.learn(*batch, example.RATE) == pytest.approx(theirs, rel=1e-4)


def test_a_short_run(example, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "scenes.png"
    assert example.main(["--quick", "--picture", str(picture)]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in (*example.NAMES, "mean", "before", "after"))
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_comparing(example, capsys):
    pytest.importorskip("torch")
    assert example.main(["--quick", "--torch"]) == 0
    assert "x as fast, on average" in capsys.readouterr().out
