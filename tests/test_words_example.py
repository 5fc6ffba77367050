"""``examples/words.py``: its text, its gradients, that NumPy learns the same, and what it prints."""

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
def words():
    pytest.importorskip("rich")
    alone = pytest.importorskip("threadpoolctl").threadpool_limits
    # Products so small gain nothing from threads, and beside other tests they would wait for each other.
    with pytest.MonkeyPatch.context() as patch, alone(1), fa.threads(1):
        patch.syspath_prepend(ROOT / "examples")
        yield importlib.import_module("words")
    del sys.modules["words"], sys.modules["transformer"]


def small(words, maths):
    size = words.Size(letters=0, width=6, batch=30, negatives=3, steps=5, least=1)
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 9, (100, 2))
    text = words.Text([str(i) for i in range(9)], np.full(9, 1 / 9), pairs[:80], pairs[80:])
    return words.Vectors(text, size, 0, maths)


def test_pairs_stand_near_each_other(words):
    text = words.load(words.QUICK, 0)
    assert len(text.words) > 200
    assert len(text.pairs) > 10_000
    assert text.shares.sum() == pytest.approx(1)
    assert np.all(np.diff(text.shares) <= 0), "the most frequent words come first"
    assert 0 <= text.pairs.min() < text.pairs.max() == len(text.words) - 1
    both = {tuple(pair) for pair in np.concatenate([text.pairs, text.held_out])}
    assert all(pair[::-1] in both for pair in both), "each is a neighbour of its neighbours"


@pytest.mark.parametrize("kind", ["Plain", "Fast"])
def test_gradients_match_differences(words, kind):
    """Adagrad's first step goes as far for every element, so the sums are looked at."""
    found = []
    maths = getattr(words, kind)()
    maths.update = lambda values, grads, squares: found.append([grad.copy() for grad in grads])
    vectors = small(words, maths)
    rng = np.random.default_rng(1)
    for value in vectors.values:
        value[...] = rng.normal(size=value.shape)
    batch = vectors.batches(1, rng)[0]
    vectors.learn(*batch)
    (grads,) = found[:1]
    for value, grad in zip(vectors.values, grads, strict=True):
        direction = rng.normal(size=value.shape).astype(np.float32)
        losses = []
        for step in (2**-6, -(2**-5)):
            value += np.float32(step) * direction
            losses.append(vectors.learn(*batch))
        value += np.float32(2**-6) * direction
        slope = (losses[0] - losses[1]) / 2**-5
        assert slope == pytest.approx(float(np.sum(grad * direction)), rel=0.02, abs=1e-4)


def test_numpy_learns_the_same(words):
    ours, theirs = (small(words, maths()) for maths in (words.Fast, words.Plain))
    for batch in ours.batches(5, np.random.default_rng(2)):
        assert ours.learn(*batch) == pytest.approx(theirs.learn(*batch), rel=1e-5)
    for a, b in zip(ours.values, theirs.values, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_neighbours_are_the_nearest(words):
    vectors = small(words, words.Fast())
    unit = vectors.directions()
    order = np.argsort(-(unit @ unit[4]))
    assert vectors.like("4", 3) == [str(i) for i in order if i != 4][:3]


def test_prints_neighbours(words, capsys):
    assert words.main(["--quick", "--like", "file"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].split(":")[0].strip() == "file"
    assert "of the pairs that were held out are nearer" in lines[-1]


def test_compares_with_numpy(words, capsys):
    assert words.main(["--quick", "--compare"]) == 0
    text = capsys.readouterr().out
    assert text.count("ms a step") == 2
    assert "NumPy takes" in text


def test_an_unknown_word_is_an_error(words, capsys):
    with pytest.raises(SystemExit):
        words.main(["--quick", "--like", "xyzzy"])
    assert "the text has no word 'xyzzy'" in capsys.readouterr().err
