"""The most probable classes: which are taken, and draws from these."""

import numpy as np
import pytest

import fastact as fa
from fastact.functions import nucleus


def expected(x, k, p):
    """Classes taken one by one, the most probable first."""
    order = sorted(range(len(x)), key=lambda j: (-x[j], j))[:k]
    powers = np.exp(x[order].astype(float) - x.max())
    probabilities, total, taken = powers / powers.sum(), 0.0, []
    for j, probability in zip(order, probabilities, strict=True):
        if taken and p < 1 and total >= p:
            break
        taken.append(j)
        total += probability
    mask = np.zeros(len(x), bool)
    mask[taken] = True
    return mask


@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0])
@pytest.mark.parametrize("k", [None, 1, 7, 500, 5000])
def test_which_classes_are_taken(scale, k, dtype):
    """With few classes put in order, more, and all."""
    x = np.random.default_rng(0).normal(scale=scale, size=(3, 2000)).astype(dtype)
    for p in (0.0, 0.05, 0.5, 0.95, 1.0):
        mask = fa.top_k_top_p_mask(x, k=k, p=p)
        assert (mask.shape, mask.dtype) == (x.shape, bool)
        wanted = np.array([expected(row, k, p) for row in x])
        assert (mask != wanted).sum(axis=-1).max() <= 1, "one class may be just beyond what rounds to p"
        np.testing.assert_array_equal(fa.top_k_top_p_mask(x.T, k=k, p=p, axis=0), mask.T)


def test_of_equal_classes_the_first_are_taken():
    assert fa.top_k_top_p_mask(np.zeros(8), p=0.5).tolist() == [True] * 4 + [False] * 4
    assert fa.top_k_top_p_mask(np.zeros(8), k=3).tolist() == [True] * 3 + [False] * 5
    assert fa.top_k_top_p_mask(np.zeros(8), k=4, p=0.5).tolist() == [True] * 2 + [False] * 6  # of the softmax of four
    assert fa.top_k_top_p_mask([0.0, -np.inf, 0.0], p=0.9).tolist() == [True, False, True]


def test_draws_are_from_these():
    x = np.random.default_rng(1).normal(scale=2, size=(4, 300)).astype(np.float32)
    for options in ({"p": 0.0}, {"p": 0.6}, {"p": 0.9, "k": 5}, {"p": 1.0}, {"p": 0.5, "temperature": 2.0}):
        draws = fa.sample_top_p(x, np.random.default_rng(2), 20_000, **options)
        assert (draws.shape, draws.dtype) == ((20_000, 4), np.int64)
        heat = options.pop("temperature", 1.0)
        mask = fa.top_k_top_p_mask(x / heat, **options)
        for row, taken, drawn in zip(x.astype(float) / heat, mask, draws.T, strict=True):
            powers = np.where(taken, np.exp(row - row.max()), 0)
            often = 20_000 * powers / powers.sum()
            counts = np.bincount(drawn, minlength=300)
            assert not counts[~taken].any()
            assert (abs(counts - often) < 6 * np.sqrt(often) + 6).all()


def test_draws_are_the_same_in_every_layout_and_with_any_threads(threads):
    x = np.random.default_rng(3).normal(size=(40, 4000)).astype(np.float32)
    with threads(1):
        alone = fa.sample_top_p(x, 4, p=0.3)
    with threads(2):
        np.testing.assert_array_equal(fa.sample_top_p(np.asfortranarray(x), 4, p=0.3), alone)
        np.testing.assert_array_equal(fa.sample_top_p(x.T, 4, p=0.3, axis=0), alone)
    assert isinstance(fa.sample_top_p(x[0], 4), np.int64)
    assert fa.sample_top_p(x, 4, (2, 3), k=3).shape == (2, 3, 40)
    assert (fa.sample_top_p(x, 4, 5, temperature=1e-30) == x.argmax(axis=-1)).all()


def test_more_are_put_in_order_where_few_do_not_suffice():
    x = np.zeros((2, 50 * nucleus.FEW))
    x[0, 7] = 50.0
    assert fa.top_k_top_p_mask(x, p=0.99).sum(axis=-1).tolist() == [1, pytest.approx(49.5 * nucleus.FEW, abs=1)]


REFUSED = [
    (lambda: fa.top_k_top_p_mask([1.0], p=1.5), ValueError, "p must be from 0 to 1, got 1.5"),
    (lambda: fa.top_k_top_p_mask([1.0], p=np.nan), ValueError, "p must be a finite number"),
    (lambda: fa.top_k_top_p_mask([1.0], k=0), ValueError, "k must be at least 1, got 0"),
    (lambda: fa.top_k_top_p_mask([1.0], k=1.5), TypeError, "k must be an integer or None"),
    (lambda: fa.top_k_top_p_mask([]), ValueError, "logits must have at least one element along axis"),
    (lambda: fa.sample_top_p([0.0, np.nan], 0), ValueError, "logits must have a number above -inf"),
    (lambda: fa.sample_top_p([0.0], 0, temperature=-1.0), ValueError, "temperature must be positive"),
    (lambda: fa.sample_top_p([0.0], "seed"), TypeError, "rng must be"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("options", [{}, {"k": 1}, {"k": 2, "p": 0.5}, {"p": 0.5}, {"p": 0.0}], ids=str)
@pytest.mark.parametrize("wrong", [[np.nan, 0, 1], [np.inf, 0, 1], [-np.inf] * 3], ids=str)
def test_rows_without_a_distribution_have_no_mask(wrong, options):
    """As there is nothing to draw from."""
    rows = np.array([[0.0, 1.0, 2.0], wrong])
    message = "logits must have a number above -inf in each row, and neither NaN nor inf; the row at position 1 has not"
    for call in (lambda: fa.top_k_top_p_mask(rows, **options), lambda: fa.sample_top_p(rows, 0, **options)):
        with pytest.raises(ValueError, match=message):
            call()
    assert fa.top_k_top_p_mask(rows[:1], **options).any()
