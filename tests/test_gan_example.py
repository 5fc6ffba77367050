"""``examples/gan.py``: its networks' gradients, its optimiser, the same game in PyTorch, and what it prints and draws."""

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
def gan():
    for needed in ("rich", "sklearn"):
        pytest.importorskip(needed)
    alone = pytest.importorskip("threadpoolctl").threadpool_limits
    # Products so small gain nothing from threads, and beside other tests they would wait for each other.
    with pytest.MonkeyPatch.context() as patch, alone(1), fa.threads(1):
        patch.syspath_prepend(ROOT / "examples")
        yield importlib.import_module("gan")
    del sys.modules["gan"]


def small(gan, kind="non_saturating"):
    size = gan.Size(noise=3, hidden=(6, 7), batch=5, steps=10)
    digits = np.random.default_rng(1).uniform(-1, 1, (20, gan.PIXELS)).astype(np.float32)
    return gan.Game(digits, size, kind, seed=0)


def test_gradients_match_differences(gan):
    """By parameters and by inputs."""
    rng = np.random.default_rng(0)
    network = gan.Network((4, 6, 5, 3), 8, rng)
    network.values[...] = rng.normal(size=network.values.shape)
    x, behind = rng.normal(size=(8, 4)).astype(np.float32), rng.normal(size=(8, 3)).astype(np.float32)
    network.forward(x)
    by_inputs = network.backward(behind.copy(), through=True).copy()
    by_values, step = network.grads.copy(), np.float32(2.0**-8)

    def total():
        return np.sum(network.forward(x) * behind, dtype=float)

    for vector, grads in ((network.values, by_values), (x.reshape(-1), by_inputs.reshape(-1))):
        found = []
        for i in range(vector.size):
            kept = vector[i]
            vector[i] = kept + step
            high = total()
            vector[i] = kept - step
            found.append((high - total()) / (2 * step))
            vector[i] = kept
        wrong = abs(np.array(found) - grads) > 0.01 * abs(grads).max()
        assert np.count_nonzero(wrong) <= 2, "but for a kink between the two"


def test_learning_leaves_the_other_alone(gan):
    game = small(gan)
    game.step()
    network = game.discriminator
    network.grads[...] = 7
    network.backward(np.ones((5, 1), np.float32), learn=False, through=True)
    assert (network.grads == 7).all()


@pytest.mark.parametrize("kind", ["non_saturating", "saturating", "hinge", "least_squares"])
def test_as_pytorch(gan, kind):
    """Both have the same losses and parameters after some steps with the same digits and noise."""
    torch = pytest.importorskip("torch")
    game = small(gan, kind)
    other = gan.TorchGame(game)
    for _ in range(20):
        losses = game.step()
        found = other.learn(torch.from_numpy(game.real.copy()), torch.from_numpy(game.noise.copy()))
        np.testing.assert_allclose(found, losses, rtol=1e-4)
    for network, theirs in ((game.generator, other.generator), (game.discriminator, other.discriminator)):
        for i, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
            np.testing.assert_allclose(theirs[2 * i].weight.detach().numpy().T, weight, rtol=1e-3, atol=1e-5)
            np.testing.assert_allclose(theirs[2 * i].bias.detach().numpy(), bias, rtol=1e-3, atol=1e-5)
    averaged = np.concatenate([x.numpy().T.ravel() if x.ndim == 2 else x.numpy() for x in other.averaged])
    np.testing.assert_allclose(averaged, game.averaged, rtol=1e-3, atol=1e-5)


def test_moments(gan):
    assert gan.moments(20_000, 8)[0] == 0
    assert gan.moments(20_000, 8)[-1] == 20_000
    assert gan.moments(1, 8) == [0, 1]
    assert len(gan.moments(20_000, 8)) == 8


def test_what_it_prints_and_draws(gan, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "drawn.png"
    assert gan.main(["--quick", "--steps", "30", "--rows", "4", "--columns", "5", "--picture", str(path)]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["step", "discriminator", "generator", "digits", "drawn", "distance"]
    assert [int(line.split()[0]) for line in lines[:4]] == gan.moments(30, 4)
    assert all(np.isfinite([float(x) for x in line.split()[1:3]]).all() for line in lines[1:4])
    assert lines[4].startswith("30 steps in ")
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit):
        gan.main(["--steps", "0"])
    assert "--steps must be at least 1, got 0" in capsys.readouterr().err


def test_steps_are_timed_next_to_pytorch(gan, capsys):
    pytest.importorskip("torch")
    assert gan.main(["--quick", "--compare"]) == 0
    *contenders, ratio = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].strip() for line in contenders] == ["PyTorch", "fastact"]
    assert ratio.startswith("PyTorch takes ")


def test_it_learns_to_draw(gan):
    """After a few hundred steps what is drawn is nearer to digits than it was."""
    digits = gan.load()
    game = gan.Game(digits, gan.QUICK, "non_saturating", seed=0)
    noise = np.random.default_rng(2).standard_normal((100, gan.QUICK.noise), dtype=np.float32)
    far = [gan._distances(game.draw(noise) * 2 - 1, digits).min(axis=1).mean()]
    for _ in range(gan.QUICK.steps):
        game.step()
    game.averaged[...] = game.generator.values  # of so few steps the mean knows little
    far.append(gan._distances(game.draw(noise) * 2 - 1, digits).min(axis=1).mean())
    assert far[1] < 0.7 * far[0]
