"""Parameters that are repeated along axes: rows that the team computes together give what NumPy's own broadcasting gives."""

import numpy as np
import pytest

import fastact as fa
from fastact.calls.spread import LEAST, MANY, spread

SHAPES = [(), (1,), (96,), (32, 1), (8, 1, 1), (8, 1, 96), (16, 1, 1, 1), (16, 8, 1, 1), (1, 8, 32, 1), (16, 1, 32, 1)]
FULL = (16, 8, 32, 96)
FUNCTIONS = {
    "prelu": lambda x, slope, **k: fa.prelu(x, slope, **k),
    "elu": lambda x, slope, **k: fa.elu(x, slope, **k),
    "elu_backward": lambda x, slope, **k: fa.elu_backward(x[::-1].copy(), x, slope, **k),
    "hard_tanh": lambda x, slope, **k: fa.hard_tanh(x, -slope, slope, **k),
    "squareplus": lambda x, slope, **k: fa.squareplus(x, slope, **k),
}


def drawn(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(scale=3, size=FULL).astype(dtype), np.asarray(rng.uniform(0.5, 2, shape).astype(dtype))


def together(monkeypatch):
    """How many calls have computed rows together."""
    found = []

    def counted(*arguments):
        result = spread(*arguments)
        found.append(result is not NotImplemented)
        return result

    monkeypatch.setattr("fastact.functions.op_calls.spread", counted)
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_bits_are_those_of_whole_arrays(name, shape, dtype, same_bits, monkeypatch, threads):
    x, slope = drawn(dtype, shape)
    counts = together(monkeypatch)
    with threads(2):
        got = FUNCTIONS[name](x, slope)
    if slope.size > 1 and FULL[-1] >= LEAST:
        assert any(counts)
    whole = np.ascontiguousarray(np.broadcast_to(slope, FULL))
    same_bits(got, FUNCTIONS[name](x, whole))
    for out in (np.empty_like(x), x.copy(), np.empty(FULL, dtype, order="F")):
        assert FUNCTIONS[name](x, slope, out=out) is out
        same_bits(out, got)
    if name != "elu_backward":
        same_bits(FUNCTIONS[name](x, slope, out=x), got)


def test_what_numpy_does_as_well_is_left_to_it(monkeypatch):
    counts = together(monkeypatch)
    x, slope = drawn("float32", (8, 1, 1))
    few = x[:1, :, :2]
    assert few.size < MANY
    short = x[..., :8].copy()
    assert short.size >= MANY
    assert short.shape[-1] < LEAST
    for arguments in (
        (few, slope),
        (np.asfortranarray(x), slope),
        (short, drawn("float32", (32, 1))[1]),
        (x, slope.astype("float64")),
        (x.astype(">f4"), slope.astype(">f4")),
        (x, np.broadcast_to(slope, FULL)),
    ):
        fa.prelu(*arguments)
        assert not counts[-1]
    overlapping = np.zeros(x.size + 1, "float32")
    overlapping[1:] = x.ravel()
    expected = fa.prelu(x, slope)
    fa.prelu(overlapping[1:].reshape(FULL), slope, out=overlapping[:-1].reshape(FULL))
    assert not counts[-1]
    np.testing.assert_array_equal(overlapping[:-1].reshape(FULL), expected)


def test_shapes_that_do_not_broadcast_are_numpys_error():
    x, _ = drawn("float32", ())
    with pytest.raises(ValueError, match="broadcast"):
        fa.prelu(x, np.ones(95, "float32"))
    with pytest.raises(ValueError, match=r"broadcast|shape"):
        fa.prelu(x, np.ones(96, "float32"), out=np.empty((8, 32, 96), "float32"))


@pytest.mark.parametrize(
    "shape", [(), (1,), (96,), (32, 1), (8, 1, 1), (8, 32, 1), (16, 1, 1, 1), (16, 1, 32, 1)], ids=str
)
def test_gradients_of_prelu_in_one_pass(shape, dtype, same_bits, threads):
    x, weight = drawn(dtype, shape)
    x *= x.dtype.type(0.1)  # whose sums are no infinite halves
    grad = x[::-1].copy()
    with threads(1):
        by_x, by_weight = fa.prelu_backward(grad, x, weight)
    terms = grad.astype(float) * np.where(x > 0, 0.0, x.astype(float))
    padded = (1,) * (4 - len(shape)) + shape
    summed = tuple(k for k, n in enumerate(padded) if n == 1)
    expected, magnitude = (a.sum(summed).reshape(shape) for a in (terms, abs(terms)))
    unit = np.spacing(magnitude.astype(dtype)).astype(float)
    assert np.shape(by_weight) == shape
    assert np.max(abs(by_weight.astype(float) - expected) / unit) <= 4
    whole = np.ascontiguousarray(np.broadcast_to(weight, FULL))
    same_bits(by_x, fa.prelu_backward(grad, x, whole)[0])
    for layout in (np.asfortranarray, lambda a: np.repeat(a, 2, 1)[:, ::2], np.ascontiguousarray):
        with threads(2):
            same_bits(fa.prelu_backward(layout(grad), layout(x), weight), (by_x, by_weight))
    outs = np.empty(FULL, dtype, order="F"), np.empty(shape, dtype)
    same_bits(fa.prelu_backward(grad, x, weight, out=outs), (by_x, by_weight))
