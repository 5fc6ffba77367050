"""Gradients from the saved output: what they are, how far a rounded output leads astray, and which parameters they allow."""

import numpy as np
import pytest

import fastact as fa
from fastact.functions.elementwise import OPS, reference_from_output

NAMES = [name for name, op in OPS.items() if op.from_output is not None]
CALLS = [(name, sample) for name in NAMES for sample in OPS[name].samples if all(p >= 0 for p in sample)]
X = np.concatenate([np.linspace(-45, 45, 20_001), [0.0, -0.0, 1e-38, -1e-38, 1e-44, -1e-44, 80, -80]])
LOST = {
    "sigmoid": (12, 16.6, 2**-23, 32, 36.7, 2**-52),
    "tanh": (6.7, 9, 2**-23, 16.7, 19, 2**-51),
    "elu": (12.7, 16.9, 2**-24, 32.8, 37, 2**-53),
    "selu": (12, 16.9, 2**-22, 32.1, 37, 2**-51),
    "celu": (12.7, 16.9, 2**-24, 32.8, 37, 2**-53),
}
"""As documented: for inputs less than the first number away from 0 the error is below 1 %, below the second the gradient is not 0,
and the third is the largest difference; for float32, then for float64."""


def from_output(name):
    return getattr(fa, f"{name}_backward_from_output")


def test_which_there_are():
    assert {*NAMES} == {"sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "celu", "softplus"}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("name", "sample"), CALLS, ids=str)
def test_of_the_output_it_is_as_promised(name, sample, dtype):
    x = X.astype(dtype)
    output = getattr(fa, name)(x, *sample)
    grad = np.random.default_rng(0).normal(size=x.shape).astype(dtype)
    got = from_output(name)(grad, output, *sample)
    assert got.dtype == dtype
    wide = [np.asarray(a, np.longdouble) for a in (grad, output)]
    parameters = [np.longdouble(np.dtype(dtype).type(p)) for p in sample or OPS[name].defaults.values()]
    with np.errstate(all="ignore"):
        exact = reference_from_output(OPS[name], *wide, *parameters)
    terms = np.maximum(np.abs(exact), np.abs(grad) * 1.76 * (name == "selu"))
    unit = np.spacing(np.maximum(terms, np.finfo(dtype).tiny).astype(dtype))
    # The product with the gradient rounds as well.
    promised = 0.51 if dtype == "float16" else OPS[name].from_output.ulp + 1.0
    assert np.max(np.abs(got - exact) / unit) <= promised


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_lost_in_the_tails_is_as_documented(name, dtype):
    x = X.astype(dtype)
    got = from_output(name)(np.ones_like(x), getattr(fa, name)(x)).astype(np.float64)
    exact = getattr(fa, f"{name}_backward")(np.ones_like(x), x).astype(np.float64)
    away, error = np.abs(x), np.abs(got - exact)
    if name not in LOST:
        assert np.max(error / np.where(exact == 0, 1, exact)) <= 4 * np.finfo(dtype).eps
        return
    sound, zero, most = LOST[name][:3] if dtype == "float32" else LOST[name][3:]
    assert np.max(error[away < sound] / exact[away < sound]) < 0.01
    assert np.max(error[away < sound + 2] / exact[away < sound + 2]) > 0.01
    assert (got[away < zero] > 0).all()
    assert (got[away > zero + 1] == 0).any()
    assert most / 4 < np.max(error) <= most


@pytest.mark.parametrize("name", NAMES)
def test_pytorch_gives_the_same(name):
    torch = pytest.importorskip("torch")
    x = torch.linspace(-5, 5, 1001, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(getattr(torch.nn.functional, name)(x).sum(), x)
    got = from_output(name)(np.ones(1001), getattr(fa, name)(x.detach().numpy()))
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_kinks_nan_and_infinity(name):
    x = np.array([0.0, -0.0, np.nan, np.inf, -np.inf], np.float32)
    got = from_output(name)(np.ones_like(x), getattr(fa, name)(x))
    np.testing.assert_allclose(got, getattr(fa, f"{name}_backward")(np.ones_like(x), x), rtol=1e-6, atol=2e-7)


@pytest.mark.parametrize("size", [1000, 300_000])
@pytest.mark.parametrize("name", NAMES)
def test_in_place(name, size):
    x = np.linspace(-4, 4, size, dtype=np.float32)
    output, grad = getattr(fa, name)(x), x[::-1].copy()
    expected = from_output(name)(grad, output)
    for place in (grad, output):
        given = [grad.copy(), output.copy()]
        mine = given[0] if place is grad else given[1]
        assert from_output(name)(*given, out=mine) is mine
        np.testing.assert_array_equal(mine, expected)


def test_parameters_with_which_the_output_does_not_tell():
    for function, name in (
        (fa.leaky_relu_backward_from_output, "negative_slope"),
        (fa.elu_backward_from_output, "alpha"),
    ):
        out = np.zeros(3)
        with pytest.raises(ValueError, match=f"{name} must not be negative where the output is to tell .* got -0.5"):
            function(np.ones(3), np.ones(3), -0.5, out=out)
        assert not out.any()
    with pytest.raises(ValueError, match="alpha must not be zero"):
        fa.celu_backward_from_output(np.ones(3), np.ones(3), 0.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'dim'"):
        fa.elu_backward_from_output(np.ones(3), np.ones(3), dim=1)


def test_inside_numba():
    numba = pytest.importorskip("numba")

    @numba.njit
    def step(grad, output):
        return fa.tanh_backward_from_output(grad, output) + fa.elu_backward_from_output(grad, output)

    grad, output = np.linspace(-1, 1, 50), np.linspace(-0.9, 0.9, 50)
    expected = fa.tanh_backward_from_output(grad, output) + fa.elu_backward_from_output(grad, output)
    np.testing.assert_array_equal(step(grad, output), expected)
