"""Draws from softmax: frequencies, what is never drawn, the same draws in every layout and on any number of threads, refusals."""

import numpy as np
import pytest

import fastact as fa

UNLIKELY = 1e-6
"""Significance of tests of frequencies: with fixed seeds they pass or fail for good."""


def chi_square_limit(freedom):
    """Above it chi-square of so many degrees of freedom is once in a million times (Wilson and Hilferty, 1931)."""
    part = 2 / (9 * freedom)
    return freedom * (1 - part + 4.753 * np.sqrt(part)) ** 3


def check_frequencies(indices, probabilities):
    """Classes too rare to be counted singly are counted together."""
    expected = probabilities * len(indices)
    counts = np.bincount(indices, minlength=len(probabilities))
    assert len(counts) == len(probabilities)
    assert not counts[probabilities == 0].any()
    often = expected >= 10
    groups = [*zip(counts[often], expected[often], strict=True), (counts[~often].sum(), expected[~often].sum())]
    groups = [(c, e) for c, e in groups if e > 0]
    chi = sum((c - e) ** 2 / e for c, e in groups)
    assert chi < chi_square_limit(max(1, len(groups) - 1))


def softmax(x):
    p = np.exp(x.astype(float) - x.max())
    return p / p.sum()


ROWS = {
    "uniform": np.zeros(7),
    "two": np.log([0.25, 0.75]),
    "one": np.array([3.0]),
    "normal": np.random.default_rng(0).normal(size=900),
    "several chunks": np.random.default_rng(1).normal(size=5000),
    "steep": np.random.default_rng(2).normal(scale=8, size=3000),
    "mostly impossible": np.where(np.arange(4000) % 97 == 5, np.random.default_rng(3).normal(size=4000), -np.inf),
    "large": 3e4 + np.linspace(0, 3, 40),
}


@pytest.mark.parametrize("row", ROWS)
def test_frequencies(row, dtype):
    x = ROWS[row].astype(dtype)
    draws = fa.sample_categorical(x, np.random.default_rng(4), 40_000)
    assert (draws.shape, draws.dtype) == ((40_000,), np.int64)
    check_frequencies(draws, softmax(x))


def test_frequencies_of_single_draws():
    """Of which each takes its part of the row anew."""
    x = np.tile(np.random.default_rng(5).normal(size=2500), (4000, 1)).astype(np.float32)
    check_frequencies(fa.sample_categorical(x, 6), softmax(x[0]))


def test_draws_are_where_running_sums_exceed_random_numbers(dtype):
    x = np.random.default_rng(7).normal(size=(5, 3300)).astype(dtype)
    sums = np.cumsum([softmax(row) for row in x], axis=-1)
    uniforms = np.random.default_rng(8).random((900, 5))
    draws = fa.sample_categorical(x, np.random.default_rng(8), 900)
    below = np.take_along_axis(np.pad(sums, ((0, 0), (1, 0))), draws.T, -1).T
    above = np.take_along_axis(sums, draws.T, -1).T
    slack = 1e-6
    assert ((below <= uniforms + slack) & (uniforms - slack <= above)).all()


class Fixed(np.random.Generator):
    """Gives one number for all that are asked for."""

    def __init__(self, number):
        super().__init__(np.random.PCG64(0))
        self.number = number

    def random(self, size):
        return np.full(size, self.number)


@pytest.mark.parametrize("number", [0.0, 1 - 2**-53, 0.5])
@pytest.mark.parametrize("size", [None, 1000])
def test_what_is_impossible_is_never_drawn(number, size, dtype):
    """At the ends of a row, of a chunk, and in whole chunks, for the smallest random number and the largest."""
    for possible in ([3], [0], [4999], [1023, 1024], [2, 2000, 4990], [1024], list(range(2048, 3072))):
        x = np.full(5000, -np.inf, dtype)
        x[possible] = 1.5
        drawn = np.unique(fa.sample_categorical(x, Fixed(number), size))
        assert len(drawn) == 1
        assert drawn[0] in possible
        expected = {0.0: possible[0], 1 - 2**-53: possible[-1]}.get(number)
        assert expected is None or drawn[0] == expected
    underflow = np.array([0.0, -1e4, -1e4, 0.0, -1e4], dtype)  # whose exponentials are 0
    assert fa.sample_categorical(underflow, Fixed(number)) in (0, 3)


def test_draws_do_not_depend_on_how_many_there_are():
    """One draw for each row, or a row that many draws are made from: the same of the same random number."""
    x = np.random.default_rng(9).normal(size=4000)
    many = fa.sample_categorical(x, np.random.default_rng(10), 500)
    single = fa.sample_categorical(np.tile(x, (500, 1)), np.random.default_rng(10))
    np.testing.assert_array_equal(many, single)


def test_temperature():
    x = np.random.default_rng(11).normal(size=300)
    for temperature in (0.25, 1.0, 4.0):
        draws = fa.sample_categorical(x, 12, 30_000, temperature=temperature)
        check_frequencies(draws, softmax(x / temperature))
    assert (fa.sample_categorical(x, 13, 100, temperature=1e-6) == x.argmax()).all()
    assert (fa.sample_categorical(x.astype("f"), 13, 100, temperature=1e-30) == x.argmax()).all()


def test_layouts_and_shapes(dtype):
    x = np.random.default_rng(14).normal(size=(4, 1100, 3)).astype(dtype)
    expected = fa.sample_categorical(np.ascontiguousarray(np.moveaxis(x, 1, -1)), 15, (2, 5))
    assert expected.shape == (2, 5, 4, 3)
    spread = np.zeros((8, 2200, 3), dtype)[::2, ::-2]
    spread[...] = x
    for lying in (x, np.asfortranarray(x), spread, x.astype(x.dtype.newbyteorder())):
        np.testing.assert_array_equal(fa.sample_categorical(lying, 15, (2, 5), axis=1), expected)
    assert fa.sample_categorical(x, 15, axis=1).shape == (4, 3)
    assert isinstance(fa.sample_categorical(x[0, :, 0], 15), np.int64)
    assert fa.sample_categorical(x, 15, 0, axis=1).shape == (0, 4, 3)
    assert fa.sample_categorical(np.empty((0, 5)), 15).shape == (0,)


def test_the_same_on_any_number_of_threads(threads, dtype):
    x = np.random.default_rng(16).normal(size=(64, 9000)).astype(dtype)
    with threads(1):
        alone = fa.sample_categorical(x, 17), fa.sample_categorical(x, 17, 30)
    for number in (2, 4):
        with threads(number):
            for got, expected in zip(
                (fa.sample_categorical(x, 17), fa.sample_categorical(x, 17, 30)), alone, strict=True
            ):
                np.testing.assert_array_equal(got, expected)


def test_generators_move_on():
    rng = np.random.default_rng(18)
    first, second = (fa.sample_categorical(np.zeros((3, 50)), rng, 20) for _ in range(2))
    assert (first != second).any()
    assert rng.random() == np.random.default_rng(18).random(121)[-1]


REFUSED = [
    (([[0.0, 1.0], [-np.inf, -np.inf]], 0), {}, ValueError, "neither NaN nor inf; the row at position 1 has not"),
    (([0.0, np.nan], 0), {}, ValueError, "logits must have a number above -inf"),
    (([[[0.0, np.inf]]], 0), {}, ValueError, r"the row at position \(0, 0\)"),
    (([], 0), {}, ValueError, "logits must have at least one element along axis"),
    (([0.0], "seed"), {}, TypeError, "rng must be a numpy.random.Generator, a seed or None"),
    (([0.0], -1), {}, ValueError, "rng must be"),
    (([0.0], 0, -1), {}, ValueError, "size must not be negative, got -1"),
    (([0.0], 0, 1.5), {}, TypeError, "size must be an integer, got 1.5"),
    (([0.0], 0), {"temperature": 0.0}, ValueError, "temperature must be positive, got 0.0"),
    (([0.0], 0), {"temperature": np.nan}, ValueError, "temperature must be a finite number"),
    ((["a"], 0), {}, TypeError, "logits must be"),
    (([0.0], 0), {"axis": 1}, np.exceptions.AxisError, "axis 1"),
]


@pytest.mark.parametrize(("operands", "options", "error", "words"), REFUSED)
def test_what_is_refused(operands, options, error, words):
    with pytest.raises(error, match=words):
        fa.sample_categorical(*operands, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_temperature_that_no_precision_holds_the_inverse_of(dtype):
    """What is left are the most probable classes, as for `sample_top_p`."""
    logits = np.array([[1.0, 2.0, -np.inf], [3.0, 3.0, 1.0]], dtype)
    for temperature in (1e-45, 1e-310, 5e-324):
        first, second = fa.sample_categorical(logits, 0, 50, temperature=temperature).T
        assert (first == 1).all()
        assert set(second) == {0, 1}
    with pytest.raises(ValueError, match="the row at position 0 has not"):
        fa.sample_categorical(np.full((1, 2), -np.inf, dtype), 0, temperature=1e-320)
