"""``examples/transformer.py``: its text, its gradients, the same steps in NumPy, fastact and PyTorch, and what it prints."""

import contextlib
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
def example():
    pytest.importorskip("rich")
    alone = pytest.importorskip("threadpoolctl").threadpool_limits
    # Products so small gain nothing from threads, and beside other tests they would wait for each other.
    with pytest.MonkeyPatch.context() as patch, alone(1), fa.threads(1):
        patch.syspath_prepend(ROOT / "examples")
        yield importlib.import_module("transformer")
    del sys.modules["transformer"]


def small(example, maths):
    size = example.Size(width=16, heads=2, layers=2, context=9, batch=3, steps=5)
    return example.Transformer(11, size, 0, maths)


def rows(seed=0):
    return np.random.default_rng(seed).integers(0, 11, (3, 10))


def test_the_text_is_long_and_readable(example):
    text, alphabet = example.load()
    assert len(text) > 100_000
    assert text.max() == len(alphabet) - 1
    assert "".join(alphabet[i] for i in text).count(" the ") > 500


@pytest.mark.parametrize("kind", ["Plain", "Fast"])
def test_gradients_match_differences(example, kind):
    """In a direction of each parameter."""
    network, rng = small(example, getattr(example, kind)()), np.random.default_rng(1)
    network.vector += 0.1 * rng.standard_normal(network.vector.shape, dtype=np.float32)
    tokens = rows()
    network.backward(network.loss(tokens)[1])
    assert np.isfinite(network.gradient).all()
    for name, value in network.values.items():
        grad, kept = network.grads[name], value.copy()
        direction = grad / np.linalg.norm(grad) + rng.standard_normal(value.shape) / np.sqrt(value.size)
        step = 2.0**-5
        losses = []
        for sign in (1, -1):
            value[...] = kept + sign * step * direction
            losses.append(network.loss(tokens)[0])
        value[...] = kept
        expected = np.sum(grad * direction)
        assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(expected, rel=0.03, abs=1e-4), name


def test_the_same_steps_in_numpy_fastact_and_pytorch(example):
    networks = {kind.__name__: small(example, kind()) for kind in (example.Plain, example.Fast)}
    steps = {name: network.learn for name, network in networks.items()}
    with contextlib.suppress(ImportError):
        steps["PyTorch"] = example.torch_step(networks["Plain"])
    for i in range(10):
        losses = {name: step(rows(i)) for name, step in steps.items()}
        np.testing.assert_allclose(list(losses.values()), losses["Plain"], rtol=1e-4)
    np.testing.assert_allclose(networks["Fast"].vector, networks["Plain"].vector, rtol=1e-3, atol=1e-3)


def test_no_token_sees_later_ones(example):
    network, tokens = small(example, example.Fast()), rows()[:, :9]
    before = network.forward(tokens).copy()
    tokens[:, 5:] = 0
    np.testing.assert_array_equal(network.forward(tokens)[:, :5], before[:, :5])


def test_what_it_prints(example, capsys):
    assert example.main(["--quick", "--steps", "20"]) == 0
    counts, time, bits, title, *_ = capsys.readouterr().out.splitlines()
    assert counts.startswith("400,000 characters of ")
    assert time.startswith("20 steps in ")
    before, after = (float(word) for word in bits.split() if word[0].isdigit())
    assert after < before < 9
    assert title == "It writes:"
    with pytest.raises(SystemExit):
        example.main(["--steps", "0"])
    assert "--steps must be at least 1, got 0" in capsys.readouterr().err


def test_steps_and_their_parts_are_timed(example, capsys):
    assert example.main(["--quick", "--compare", "--steps", "2"]) == 0
    out = capsys.readouterr().out
    assert "fastact:" in out
    assert float(out.split("at most ")[1].split()[0]) < 1e-4, "how far losses are apart"
    table = out.split("ms a step")[-1].splitlines()[1:]
    parts = {line[:20].strip(): [float(x) for x in line[20:].replace("%", "").split()] for line in table}
    assert {"softmax", "rotary", "gelu", "layer_norm", "adam_step", "embedding"} <= set(parts)
    for column in (1, 3):
        assert sum(found[column] for found in parts.values()) == pytest.approx(100, abs=1)
