"""Which expressions of a program are recognised, in several spellings, and which that look alike are not."""

# ruff: noqa: E501 - programs within programs are as long as they are

import numpy as np
import pytest

import fastact as fa
from fastact.advice import idioms
from fastact.advice.matching import match, pattern
from fastact.advice.patterns import IDIOMS
from tests.watched import watch

SIGMOID_OF_ROWS = "p = np.exp(x - x.max(1, keepdims=True)); p /= p.sum(1, keepdims=True)\n"

# By name: spellings of it, and what only looks like it. Names are those of `names` below.
TABLE = {
    "sigmoid": (
        [
            "1 / (1 + np.exp(-x))",
            "1.0 / (np.exp(-1 * x) + 1.0)",
            "np.exp(x) / (1 + np.exp(x))",
            "np.reciprocal(1 + np.exp(-x))",
            "e = np.exp(-x)\ns = 1 / (1 + e)",
            "0.5 * (1 + np.tanh(x / 2))",
            "1 / (1 + np.exp(-(x @ W + b)))",
            "z = 0.1 * x\n1 / (1 + np.exp(-z))",
        ],
        ["1 / (2 + np.exp(-x))", "1 / (1 + np.exp(x) * x)", "1 / (1 - np.exp(-x))", "1 + np.exp(-x)"],
    ),
    "log_sigmoid": (
        ["np.log(1 / (1 + np.exp(-x)))", "-np.log(1 + np.exp(-x))"],
        ["np.log(1 / (2 + np.exp(-x)))"],
    ),
    "silu": (
        ["x / (1 + np.exp(-x))", "x * (1 / (1 + np.exp(-x)))", "s = 1 / (1 + np.exp(-x))\ny = s * x"],
        ["g / (1 + np.exp(-x))"],
    ),
    "quick_gelu": (
        ["x / (1 + np.exp(-1.702 * x))", "x * (1 / (1 + np.exp(-1.702 * x)))"],
        ["x / (1 + np.exp(-1.5 * x))"],
    ),
    "gelu": (
        [
            "0.5 * x * (1 + erf(x / np.sqrt(2)))",
            "x * 0.5 * (1.0 + erf(x / math.sqrt(2.0)))",
            "x * (0.5 + 0.5 * erf(x * 0.7071067811865476))",
        ],
        ["0.5 * x * (1 + erf(x))", "0.5 * g * (1 + erf(x / np.sqrt(2)))"],
    ),
    "gelu_tanh": (
        [
            "0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))",
            "x3 = x * x * x\ninner = 0.7978845608 * (x + 0.044715 * x3)\ny = 0.5 * x * (1 + np.tanh(inner))",
            "c = math.sqrt(2 / math.pi)\nx / 2 * (1 + np.tanh(c * (x + 0.044715 * np.power(x, 3))))",
        ],
        ["0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.05 * x**3)))"],
    ),
    "mish": (
        ["x * np.tanh(np.log1p(np.exp(x)))", "np.tanh(np.log(1 + np.exp(x))) * x"],
        ["g * np.tanh(np.log1p(np.exp(x)))"],
    ),
    "softplus": (
        [
            "np.log(1 + np.exp(x))",
            "np.log1p(np.exp(x))",
            "np.logaddexp(0, x)",
            "np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))",
        ],
        ["np.log(2 + np.exp(x))", "np.logaddexp(x, g)"],
    ),
    "softsign": (["x / (1 + np.abs(x))", "x / (abs(x) + 1)"], ["g / (1 + np.abs(x))", "x / (2 + np.abs(x))"]),
    "tanh": (
        ["(np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))", "np.tanh(x)", "2 / (1 + np.exp(-2 * x)) - 1"],
        ["(np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(x))", "np.tan(x)"],
    ),
    "tanh_shrink": (["x - np.tanh(x)", "np.subtract(x, np.tanh(x))"], ["g - np.tanh(x)"]),
    "elu": (
        [
            "np.where(x > 0, x, 0.5 * (np.exp(x) - 1))",
            "np.where(x < 0, np.exp(x) - 1, x)",
            "np.where(x >= 0, x, a * np.expm1(x))",
        ],
        ["np.where(x > 0, x, np.exp(x))", "np.where(x > 0, g, np.exp(x) - 1)"],
    ),
    "leaky_relu": (
        ["np.where(x > 0, x, 0.01 * x)", "np.maximum(0.1 * x, x)", "np.where(x < 0, x * a, x)", "np.maximum(x, a * x)"],
        ["np.where(x > 0, x, 0.01 * g)", "np.maximum(x, g)"],
    ),
    "relu": (
        [
            "np.maximum(0, x)",
            "np.maximum(x, 0.0)",
            "x * (x > 0)",
            "np.where(x > 0, x, 0)",
            "(x + np.abs(x)) / 2",
            "z = x.copy()\nz[z < 0] = 0",
        ],
        ["np.maximum(1, x)", "np.minimum(0, x)", "x * (x < 0)", "np.maximum(0, y)", "z = x.copy()\nz[z > 0] = 0"],
    ),
    "relu6": (["np.clip(x, 0, 6)", "np.minimum(np.maximum(x, 0), 6)"], ["np.clip(x, 1, 6)"]),
    "hard_tanh": (["np.clip(x, -1, 1)", "x.clip(-a, a)"], ["np.clip(y, 0, 1)"]),
    "hard_sigmoid": (["np.clip(x + 3, 0, 6) / 6", "np.clip(x / 6 + 0.5, 0, 1)"], ["np.clip(x + 2, 0, 6) / 6"]),
    "swiglu": (["x / (1 + np.exp(-x)) * g", "s = x / (1 + np.exp(-x))\ng * s"], ["2 * x / (1 + np.exp(-g))"]),
    "relu_backward": (
        ["g * (x > 0)", "np.where(x > 0, g, 0)", "d = g.copy()\nd[x <= 0] = 0", "g * (x > 0).astype(np.float32)"],
        ["g * (x > 1)", "np.where(x > 0, g, 1)", "d = g.copy()\nd[x >= 0] = 0"],
    ),
    "leaky_relu_backward": (
        ["np.where(x > 0, g, 0.01 * g)", "g * np.where(x > 0, 1, 0.01)"],
        ["np.where(x > 0, g, 0.01)"],
    ),
    "sigmoid_backward_from_output": (
        ["g * s * (1 - s)", "s * (1 - s)", "ds = s * (1 - s)\ng * ds"],
        ["g * s * (1 + s)", "g * s * (1 - x)"],
    ),
    "tanh_backward_from_output": (
        ["(1 - s * s) * g", "g * (1 - s**2)", "g * (1 - np.square(s))"],
        ["g * (1 + s * s)", "g * (1 - s * x)"],
    ),
    "softmax_backward": (
        ["s * (g - (g * s).sum(axis=1, keepdims=True))", "s * (g - np.sum(s * g, axis=-1)[:, None])"],
        ["s * (g - (g * x).sum(axis=1, keepdims=True))"],
    ),
    "softmax": (
        [
            "e = np.exp(x - np.max(x, axis=1, keepdims=True))\np = e / np.sum(e, axis=1, keepdims=True)",
            "e = np.exp(x - x.max(-1)[:, np.newaxis])\ne /= e.sum(-1)[:, None]",
            "np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)",
            "z = x - x.max(axis=1, keepdims=True)\nnum = np.exp(z)\nden = np.sum(num, axis=1, keepdims=True)\np = num / den",
            "e = np.exp(x - x.max(1).reshape(-1, 1))\np = e / e.sum(1).reshape(-1, 1)",
            "z = np.subtract(x, x.max(1, keepdims=True))\nnp.exp(z, out=z)\nz /= z.sum(1, keepdims=True)",
        ],
        [
            "e = np.exp(x)\ne / np.max(e, axis=1, keepdims=True)",
            "e = np.exp(x)\nf = np.exp(g)\ne / f.sum(1, keepdims=True)",
            "e = np.exp(x)\nt = e.sum(1, keepdims=True)\ne = e + 1\ne / t",
        ],
    ),
    "log_softmax": (
        [
            "z = x - x.max(1, keepdims=True)\nz - np.log(np.exp(z).sum(1, keepdims=True))",
            "x - np.log(np.sum(np.exp(x), axis=1, keepdims=True))",
            "np.log(np.exp(x) / np.exp(x).sum(1, keepdims=True))",
        ],
        ["g - np.log(np.sum(np.exp(x), axis=1, keepdims=True))"],
    ),
    "logsumexp": (
        ["m = x.max(1)\nm + np.log(np.exp(x - m[:, None]).sum(1))", "np.log(np.sum(np.exp(x), axis=1))"],
        ["np.log(np.mean(np.exp(x), axis=1))", "np.log(np.sum(np.exp(x) ** 2, axis=1))"],
    ),
    "layer_norm": (
        [
            "(x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)",
            "mu = np.mean(x, axis=1, keepdims=True)\nv = np.mean((x - mu)**2, axis=1, keepdims=True)\ny = (x - mu) / np.sqrt(v + eps)",
            "(x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 1e-5)",
        ],
        [
            "(x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)",
            "(x - g.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)",
        ],
    ),
    "batch_norm": (
        [
            "(x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)",
            "mu = np.mean(x, axis=0)\nvar = np.var(x, axis=0)\nh = (x - mu) / np.sqrt(var + eps)",
        ],
        ["(x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)"],
    ),
    "rms_norm": (
        [
            "x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6)",
            "ms = (x * x).mean(-1, keepdims=True)\nx / np.sqrt(ms + eps)",
        ],
        ["x / np.sqrt(np.mean(g**2, axis=-1, keepdims=True) + 1e-6)", "x / np.sqrt(np.mean(x**2, axis=0) + 1e-6)"],
    ),
    "l2_normalize": (
        ["x / np.linalg.norm(x, axis=1, keepdims=True)", "x / np.sqrt((x**2).sum(axis=1, keepdims=True))"],
        ["x / np.linalg.norm(g, axis=1, keepdims=True)", "x / np.linalg.norm(x)"],
    ),
    "cross_entropy": (
        [
            SIGMOID_OF_ROWS + "loss = -np.mean(np.log(p[np.arange(len(y)), y]))",
            "-np.log(p[range(8), y]).mean()",
            "-np.sum(t * np.log(p + 1e-9)) / 8",
            "q = np.clip(p, 1e-7, 1 - 1e-7)\n-np.mean(np.sum(t * np.log(q), axis=1))",
            "logp = np.log(p)\n-logp[np.arange(8), y].mean()",
        ],
        ["-np.mean(np.log(p[:, 0]))", "-np.sum(t * np.exp(p))", "-np.mean(p[np.arange(8), y])"],
    ),
    "cross_entropy_with_grad": (
        ["d = p.copy()\nd[np.arange(8), y] -= 1", SIGMOID_OF_ROWS + "p[range(len(y)), y] -= 1.0"],
        [
            "d = p.copy()\nd[np.arange(8), y] -= 2",
            "d = p.copy()\nd[:, 0] -= 1",
            "d = p.copy()\nd[np.arange(8), y] += 1",
        ],
    ),
    "binary_cross_entropy": (
        [
            "-np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))",
            "-(t * np.log(p + 1e-9) + (1 - t) * np.log(1 - p + 1e-9)).mean()",
            "q = np.clip(p, 1e-9, 1 - 1e-9)\nloss = -np.mean(t * np.log(q) + (1 - t) * np.log(1 - q))",
        ],
        ["-np.mean(t * np.log(p) + (1 + t) * np.log(1 - p))", "-np.mean(t * np.log(p) + (1 - t) * np.log(1 - s))"],
    ),
    "mse_loss": (
        ["np.mean((x - g)**2)", "d = x - g\n(d * d).mean()", "np.square(x - g).mean()"],
        ["np.mean((x - g)**3)", "np.mean((x + g)**2)", "np.mean((x - x.mean())**2)"],
    ),
    "l1_loss": (["np.mean(np.abs(x - g))", "abs(x - g).mean()"], ["np.mean(x - g)"]),
    "hinge_loss": (
        ["np.maximum(0, 1 - t * x).mean()", "m = t * x\nnp.mean(np.maximum(1 - m, 0))"],
        ["np.maximum(0, 2 - t * x).mean()"],
    ),
    "accuracy": (
        ["np.mean(np.argmax(x, axis=1) == y)", "(x.argmax(axis=1) == y).mean()"],
        ["np.mean(np.argmin(x, axis=1) == y)", "np.mean(np.argmax(x, axis=1) != y)"],
    ),
    "entropy": (
        ["-np.sum(p * np.log(p), axis=1)", "-(p * np.log(p + 1e-12)).sum(1)"],
        ["-np.sum(p * np.log(g * g), axis=1)"],
    ),
    "embedding_backward": (
        ["d = np.zeros((20, 16), np.float32)\nnp.add.at(d, y, g)", "np.add.at(np.zeros_like(x), y % 8, x)"],
        ["d = np.zeros((20, 16), np.float32)\nnp.subtract.at(d, y, g)", "n = np.zeros(20)\nnp.add.at(n, y, 1)"],
    ),
    "one_hot": (
        ["np.eye(16)[y]", "np.identity(16, dtype=np.float32)[y]", "h = np.zeros((8, 16))\nh[np.arange(8), y] = 1"],
        ["np.ones((16, 16))[y]", "h = np.zeros((8, 16))\nh[np.arange(8), y] = 2"],
    ),
    "top_k": (["np.argsort(x, axis=1)[:, -5:]", "best = np.argsort(-x)[:, :3]"], ["np.sort(x)[:, -5:]"]),
    "dropout": (
        [
            "mask = rng.random(x.shape) < 0.8\nx * mask / 0.8",
            "x * (np.random.rand(*x.shape) > 0.5)",
            "x * np.random.binomial(1, 0.8, size=x.shape) / 0.8",
        ],
        ["x * (g < 0.8)", "x + (rng.random(x.shape) < 0.8)"],
    ),
    "sample_categorical": (
        [
            "q = p[0].astype(float)\nq /= q.sum()\nrng.choice(16, p=q)",
            "q = p[0].astype(float)\nq /= q.sum()\nnp.random.choice(range(16), p=q)",
        ],
        ["rng.choice(16, size=3)"],
    ),
    "adam_step": (
        [
            "m = 0.9 * m + 0.1 * g\nv = 0.999 * v + 0.001 * g**2\nm_hat = m / (1 - 0.9**3)\nv_hat = v / (1 - 0.999**3)\nW2 -= lr * m_hat / (np.sqrt(v_hat) + 1e-8)",
            "st['m'] = b1 * st['m'] + (1 - b1) * g\nst['v'] = b2 * st['v'] + (1 - b2) * (g * g)\nW2 = W2 - lr * (st['m'] / (1 - b1**k)) / (np.sqrt(st['v'] / (1 - b2**k)) + eps)",
            "m *= b1\nm += (1 - b1) * g\nv *= b2\nv += (1 - b2) * g * g\nW2 -= lr * m / (np.sqrt(v) + eps)",
        ],
        ["W2 -= lr * m / (np.exp(v) + eps)", "m = 0.9 * m + 0.1 * g\nW2 -= lr * m"],
    ),
    "rmsprop_step": (
        [
            "v = 0.99 * v + 0.01 * g**2\nW2 -= lr * g / (np.sqrt(v) + eps)",
            "v *= b2\nv += (1 - b2) * g * g\nW2 -= lr * g / np.sqrt(v + eps)",
        ],
        ["v = 0.99 * v + 0.01 * x**2\nW2 -= lr * g / (np.sqrt(v) + eps)"],
    ),
    "adagrad_step": (
        ["v += g * g\nW2 -= lr * g / (np.sqrt(v) + eps)", "v += g**2\nW2 += -lr * g / np.sqrt(v + 1e-8)"],
        ["v += x * x\nW2 -= lr * g / (np.sqrt(v) + eps)"],
    ),
    "sgd_step": (["W2 -= lr * g", "W2 -= g * 0.1"], ["W2 -= s * g", "W2 *= lr * g"]),
    "exp": (["np.exp(x)", "g + np.exp(x)"], ["np.exp2(x)", "math.exp(2.0)"]),
    "expm1": (["np.expm1(x)", "g * np.expm1(x)"], ["np.exp2(x)"]),
    "log": (["np.log(p)", "z = np.log(np.abs(x) + 1)"], ["np.log2(p)"]),
    "log1p": (["np.log1p(p)", "g - np.log1p(p)"], ["np.log2(p)"]),
    "erf": (["erf(x)", "g * erf(x)"], ["erfc(x)"]),
}


@pytest.fixture(scope="module")
def names():
    special = pytest.importorskip("scipy.special")
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(8, 16)).astype(np.float32) for name in ("x", "g", "m", "W2")}
    p = np.exp(arrays["x"])
    p /= p.sum(1, keepdims=True)
    arrays |= {
        "p": p,
        "s": 1 / (1 + np.exp(-arrays["x"])),
        "v": np.square(arrays["g"]),
        "t": (arrays["x"] > 0).astype(np.float32),
    }
    arrays |= {
        "W": rng.normal(size=(16, 16)).astype(np.float32),
        "b": np.ones(16, np.float32),
        "y": rng.integers(0, 16, 8),
    }
    numbers = {"a": 0.2, "lr": 0.01, "eps": 1e-5, "b1": 0.9, "b2": 0.999, "k": 3, "rng": rng}
    import math

    return lambda: {
        **{name: array.copy() for name, array in arrays.items()},
        **numbers,
        "math": math,
        "erf": special.erf,
        "erfc": special.erfc,
        "st": {"m": arrays["m"].copy(), "v": arrays["v"].copy()},
    }


def recognised(text, names):
    recorder, _ = watch(text, **names)
    return idioms.find(recorder)


SPELLINGS = [(name, text) for name, (texts, _) in TABLE.items() for text in texts]
NEAR_MISSES = [(name, text) for name, (_, texts) in TABLE.items() for text in texts]


@pytest.mark.parametrize(("name", "text"), SPELLINGS)
def test_spelling_is_recognised(name, text, names):
    found = recognised(text, names())
    assert name in [one.idiom.name for one in found], [one.idiom.name for one in found]
    one = next(one for one in found if one.idiom.name == name)
    assert one.line == len(text.splitlines())
    assert one.seconds > 0
    assert one.calls == 1
    assert "{" not in one.call
    assert f"fa.{name}" in one.call


CALLS = {
    "z = (x - x.mean(0)) / (x.std(0) + 1e-6)": "fa.batch_norm(x, training=True, eps=1e-06, axis=-1)",
    "v = 0.9 * v + 0.1 * g**2\nW2 -= lr * g / (np.sqrt(v) + 1e-7)": "fa.rmsprop_step(param, g, v, lr=lr, alpha=alpha, eps=1e-07)",
    "-np.sum(t * np.log(p) + (1 - t) * np.log(1 - p))": 'fa.binary_cross_entropy(p, t, reduction="sum")',
    "-np.sum(np.where(p > 0, p * np.log(p), 0), axis=1)": "fa.entropy(p, axis=1)",
}
"""Calls as they are shown."""


@pytest.mark.parametrize("text", CALLS)
def test_a_call_has_the_numbers_of_the_program(text, names):
    assert CALLS[text] in [one.call for one in recognised(text, names())]


@pytest.mark.parametrize("of_x", ["np.log(x)", "np.sqrt(x)", "x * np.log(x)", "1 / x"])
def test_a_choice_of_what_can_be_computed_is_no_gradient(of_x, names):
    with np.errstate(all="ignore"):
        found = recognised(f"np.where(x > 0, {of_x}, 0)", names())
    assert "relu_backward" not in [one.idiom.name for one in found]


def test_what_goes_further_is_not_part_of_a_call(names):
    """A product with more factors is of later statements, which the call does not compute."""
    text = SIGMOID_OF_ROWS + "q = p * g"
    (one,) = (one for one in recognised(text, names()) if one.idiom.name == "softmax")
    assert one.lines == (1,)
    text = "z = (x - x.mean(0)) / (x.std(0) + 1e-6)\nu = z / np.linalg.norm(z, axis=1, keepdims=True)"
    found = {one.idiom.name: one.line for one in recognised(text, names())}
    assert found == {"batch_norm": 1, "l2_normalize": 2}


def test_what_differs_is_true_of_nan_and_infinity():
    """Of activations that are said to differ in nothing."""
    x = np.float32([np.nan, -np.inf, np.inf, -2, -0.0, 0, 3])
    space = {
        "absolute": np.abs,
        **{name: getattr(np, name) for name in ("where", "maximum", "fmax", "minimum", "clip")},
    }
    for idiom in IDIOMS:
        if idiom.differs == "nothing" and idiom.run is not None and len(idiom.call.split(",")) == 1:
            for text in idiom.patterns:
                with np.errstate(invalid="ignore"):
                    expected = eval(text, {"x": x, **space})
                np.testing.assert_array_equal(getattr(fa, idiom.name)(x), expected, err_msg=text)


@pytest.mark.parametrize(("name", "text"), NEAR_MISSES)
def test_near_miss_is_not(name, text, names):
    assert name not in [one.idiom.name for one in recognised(text, names())]


def test_every_idiom_is_in_the_table():
    assert {idiom.name for idiom in IDIOMS} == set(TABLE)
    for texts, misses in TABLE.values():
        assert len(texts) > 1
        assert misses


@pytest.mark.parametrize("name", list(TABLE))
def test_advised_functions_exist(name):
    assert callable(getattr(fa, name))


@pytest.mark.parametrize("text", sorted({text for idiom in IDIOMS for text in idiom.patterns}))
def test_a_pattern_is_of_itself(text):
    assert match(text, pattern(text)) is not None


def test_the_largest_is_reported_once(names):
    text = "e = np.exp(x - x.max(1, keepdims=True))\np = e / e.sum(1, keepdims=True)\nloss = -np.log(p[np.arange(8), y]).mean()"
    found = recognised(text, names())
    assert [one.idiom.name for one in found] == ["cross_entropy"]
    assert found[0].lines == (1, 2, 3)


def test_operands_are_not_taken_in(names):
    """The time of the product is not that of the sigmoid."""
    (found,) = recognised("1 / (1 + np.exp(-(x @ W)))", names())
    recorder, _ = watch("1 / (1 + np.exp(-(x @ W)))", **names())
    product = next(site for site in recorder.sites if getattr(site.operator, "__name__", "") == "MatMult")
    assert product.calls == 1
    assert product.number not in found.sites


def test_names_stand_for_what_they_were_given_last(names):
    changed = "e = np.exp(x)\nt = e.sum(1, keepdims=True)\nx = g\np = np.exp(x) / t"
    assert "softmax" not in [one.idiom.name for one in recognised(changed, names())]
    in_a_branch = "e = np.exp(x)\nif a > 1:\n    e = e * 2\np = e / e.sum(1, keepdims=True)"
    assert "softmax" not in [one.idiom.name for one in recognised(in_a_branch, names())]


def test_functions_must_be_those_of_numpy(names):
    class Other:
        def exp(self, x):
            return 2**x

    text = "1 / (1 + np.exp(-x))"
    assert [one.idiom.name for one in recognised(text, names())] == ["sigmoid"]
    assert not recognised(text, names() | {"np": Other()})
    renamed = "from numpy import exp as power\n1 / (1 + power(-x))"
    assert [one.idiom.name for one in recognised(renamed, names())] == ["sigmoid"]


def test_functions_of_fastact_are_not_advised_again(names):
    assert not recognised("fa.exp(x), fa.tanh(x)", names() | {"fa": fa})


def test_what_does_not_run_is_not_reported(names):
    assert not recognised("if a > 1:\n    1 / (1 + np.exp(-x))", names())


def test_names_of_operands_are_shown(names):
    texts = {
        "np.where(z > 0, z, 0.2 * z)": "fa.leaky_relu(z, 0.2)",
        "np.exp(z) / np.exp(z).sum(axis=0)": "fa.softmax(z, axis=0)",
        "g * s * (1 - s)": "fa.sigmoid_backward_from_output(g, s)",
        "np.add.at(W2, y, g)": "fa.embedding_backward(g, y, len(W2))",
    }
    for text, call in texts.items():
        given = names()
        assert recognised(text, given | {"z": given["x"], "y": given["y"] % 8})[0].call == call


def test_calls_are_timed_on_request(names, monkeypatch):
    from fastact.advice.estimates import Estimator

    big = names() | {"x": np.ones((500, 400), np.float32)}
    recorder, _ = watch("for i in range(3):\n    np.maximum(x, 0)", **big)
    found = idioms.find(recorder)
    idioms.time_calls(found, found[0].seconds, Estimator())
    assert (found[0].shape, found[0].dtype, found[0].calls) == ((500, 400), "f", 3)
    assert found[0].new_seconds > 0
    assert found[0].saved == max(0.0, found[0].seconds - found[0].new_seconds)
    other = idioms.find(recorder)
    idioms.time_calls(other, found[0].seconds, Estimator(0.0))
    assert other[0].saved is None
