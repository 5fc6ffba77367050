"""What users of NumPy write for what one call of fastact computes: an entry for each function.

A pattern is an expression. Small letters stand for anything, the same letter for the same thing; capital ones for a number or a
name. Names of functions are NumPy's; ``store``, ``store_sub`` and ``step`` are the statements ``x[i] = v``, ``x[i] -= v`` and
``p -= v``. A sum or a product may have more terms than the pattern, if that is all of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Run = Callable[[Any, Any, Any], Any]
"""``run(fa, x, rng)`` calls the function for an array of the recorded shape."""


@dataclass(frozen=True)
class Idiom:
    """A function of fastact, and what is written for it."""

    name: str
    call: str
    """With the letters of the patterns in braces, and ``{axis}`` of the pattern's reduction."""
    patterns: Sequence[str]
    differs: str
    """What is not as it was."""
    run: Run | None = None
    needs: str = ""
    """``rows``: a reduction along the last axis or none; ``columns``: along all axes but the last; ``channels``: along all but the
    second; ``axis``: along one that is named; ``scalar``: an operand that is a number."""
    unless: Sequence[str] = ()
    """Patterns of what is something else."""
    apart: str = ""
    """Two letters, of which the first does not come from the second."""


def _unary(name: str) -> Run:
    return lambda fa, x, rng: getattr(fa, name)(x)


def _of_two(name: str) -> Run:
    return lambda fa, x, rng: getattr(fa, name)(x, x)


def _labels(x: Any, rng: Any) -> Any:
    return rng.integers(0, x.shape[-1], x.shape[:-1])


LIKE_NUMPY = "nothing but the last bits; no floating-point warnings"
NO_OVERFLOW = "no overflow for large x; last bits"
STABLE = "no overflow, and so no warning, far from zero; last bits"
REDUCED = "sums are taken in float64; last bits"
TANH = "tanh(0.797885 * (x + 0.044715 * x**3))"
SIGMOIDS = ("1 / (1 + exp(-x))", "exp(x) / (1 + exp(x))", "0.5 * (1 + tanh(0.5 * x))", "expit(x)")
SOFTMAX = "exp(x - c) / sum(exp(x - c))"
CLIP = (
    "probabilities need no clipping: the loss is that of the logits, exact where a probability rounds to 0; it is positive, "
    'and a mean unless `reduction="sum"` is given'
)
EPS = "eps is added to the variance, sums are taken in float64"
NORMALISED = (
    "(x - mean(x)) / sqrt(var(x) + E)",
    "(x - mean(x)) / (std(x) + E)",
    "(x - mean(x)) / sqrt(mean((x - mean(x)) * (x - mean(x))) + E)",
)
MULTIPLIED = "gradients that are infinite or NaN give NaN where x is not positive, and not 0"
RATES = "in place, in one pass over memory; the names and rates of the call are to be yours"


def _elementwise(name: str, patterns: Sequence[str], differs: str = LIKE_NUMPY, call: str = "") -> Idiom:
    return Idiom(name, call or f"fa.{name}({{x}})", patterns, differs, _unary(name))


def _backward(
    name: str, call: str, patterns: Sequence[str], run: Run | None = None, differs: str = "last bits", apart: str = ""
) -> Idiom:
    differs += "; `out=` may be the gradient itself"
    return Idiom(name, call, patterns, differs, run or _of_two(name), apart=apart)


def _over_axis(name: str, patterns: Sequence[str], differs: str) -> Idiom:
    return Idiom(name, f"fa.{name}({{x}}, axis={{axis}})", patterns, differs, _unary(name))


def _binary_cross_entropy(patterns: Sequence[str], given: str = "") -> Idiom:
    return Idiom(
        "binary_cross_entropy",
        f"fa.binary_cross_entropy({{p}}, {{t}}{given})",
        patterns,
        "the loss is positive, its logarithms are bounded by -100 in place of any clipping; of logits, "
        "`binary_cross_entropy_with_logits` is exact and takes the sigmoid in as well",
        lambda fa, x, rng: fa.binary_cross_entropy(0.5 + 0 * x, 0 * x),
    )


def _cross_terms(p: str, q: str) -> str:
    return f"t * log({p}) + (1 - t) * log(1 - {q})"


CROSS_TERMS = [
    *(_cross_terms(p, q) for p, q in (("p", "p"), ("(p + E)", "p"), ("(p + E)", "p + E"))),
    _cross_terms("clip(p, e, f)", "clip(p, e, f)"),
]


IDIOMS = (
    # Activations.
    _elementwise("sigmoid", SIGMOIDS, STABLE),
    _elementwise("log_sigmoid", [f"log({form})" for form in SIGMOIDS] + ["-log(1 + exp(-x))", "log_expit(x)"], STABLE),
    _elementwise("silu", [f"x * ({form})" for form in SIGMOIDS], STABLE),
    _elementwise("quick_gelu", ["x / (1 + exp(-1.702 * x))", "x * expit(1.702 * x)"], STABLE),
    _elementwise(
        "gelu",
        [
            "0.5 * x * (1 + erf(0.707107 * x))",
            "x * 0.5 * (1 + erf(0.707107 * x))",
            "x * (0.5 + 0.5 * erf(0.707107 * x))",
            "x * ndtr(x)",
        ],
    ),
    _elementwise(
        "gelu_tanh", [f"0.5 * x * (1 + {TANH})", "0.5 * x * (1 + tanh(0.797885 * x * (1 + 0.044715 * x * x)))"]
    ),
    _elementwise("mish", ["x * tanh(log(1 + exp(x)))", "x * tanh(log1p(exp(x)))", "x * tanh(logaddexp(x, 0))"], STABLE),
    _elementwise(
        "softplus",
        ["log(1 + exp(x))", "log1p(exp(x))", "logaddexp(x, 0)", "maximum(x, 0) + log1p(exp(-absolute(x)))"],
        STABLE,
    ),
    _elementwise("softsign", ["x / (1 + absolute(x))"]),
    _elementwise(
        "tanh",
        ["(exp(x) - exp(-x)) / (exp(x) + exp(-x))", "(exp(2 * x) - 1) / (exp(2 * x) + 1)", "2 / (1 + exp(-2 * x)) - 1"],
        STABLE,
    ),
    _elementwise("tanh_shrink", ["x - tanh(x)"]),
    Idiom(
        "elu",
        "fa.elu({x}, {A})",
        [
            "where(x > 0, x, A * (exp(x) - 1))",
            "where(x >= 0, x, A * (exp(x) - 1))",
            "where(x > 0, x, A * expm1(x))",
            "where(x >= 0, x, A * expm1(x))",
        ],
        "no overflow in the branch that is not taken; exact near zero",
        _unary("elu"),
    ),
    _elementwise(
        "elu",
        [
            "where(x < 0, exp(x) - 1, x)",
            "where(x <= 0, exp(x) - 1, x)",
            "where(x > 0, x, exp(x) - 1)",
            "where(x >= 0, x, exp(x) - 1)",
            "where(x > 0, x, expm1(x))",
        ],
        "no overflow in the branch that is not taken; exact near zero",
    ),
    Idiom(
        "leaky_relu",
        "fa.leaky_relu({x}, {A})",
        [
            "where(x > 0, x, A * x)",
            "where(x >= 0, x, A * x)",
            "where(x < 0, A * x, x)",
            "where(x <= 0, A * x, x)",
        ],
        "nothing",
        _unary("leaky_relu"),
    ),
    Idiom(
        "leaky_relu",
        "fa.leaky_relu({x}, {A})",
        ["maximum(x, A * x)", "maximum(A * x, x)"],
        "nothing, for slopes up to 1",
        _unary("leaky_relu"),
    ),
    _elementwise(
        "relu",
        [
            "maximum(x, 0)",
            "where(x < 0, 0, x)",
            "where(x <= 0, 0, x)",
        ],
        "nothing",
    ),
    _elementwise("relu", ["where(x > 0, x, 0)", "where(x >= 0, x, 0)", "fmax(x, 0)"], "NaN gives NaN, and not 0"),
    _elementwise(
        "relu", ["x * (x > 0)", "x * (x >= 0)", "0.5 * (x + absolute(x))"], "minus infinity gives 0, and not NaN"
    ),
    Idiom("relu", "fa.relu({x}, out={x})", ["store(x, x < 0, 0)", "store(x, x <= 0, 0)"], "nothing", _unary("relu")),
    _elementwise("relu6", ["clip(x, 0, 6)", "minimum(maximum(x, 0), 6)"], "nothing"),
    Idiom("hard_tanh", "fa.hard_tanh({x}, {a}, {b})", ["clip(x, a, b)"], "nothing", _unary("hard_tanh")),
    _elementwise("hard_sigmoid", ["clip(x + 3, 0, 6) / 6", "clip(x / 6 + 0.5, 0, 1)"], "last bits"),
    Idiom("swiglu", "fa.swiglu({x}, {v})", [f"v * x * ({form})" for form in SIGMOIDS], STABLE, _of_two("swiglu")),
    # Their gradients.
    _backward("relu_backward", "fa.relu_backward({g}, {x})", ["g * (x > 0)"]),
    _backward(
        "relu_backward",
        "fa.relu_backward({g}, {x})",
        ["where(x > 0, g, 0)", "where(x <= 0, 0, g)"],
        differs=MULTIPLIED,
        apart="gx",  # or it chooses where something can be computed
    ),
    _backward(
        "relu_backward",
        "fa.relu_backward({g}, {x}, out={g})",
        ["store(g, x <= 0, 0)", "store(g, x < 0, 0)"],
        differs=MULTIPLIED,
    ),
    _backward(
        "leaky_relu_backward",
        "fa.leaky_relu_backward({g}, {x}, {A})",
        ["where(x > 0, g, A * g)", "g * where(x > 0, 1, A)", "where(x >= 0, g, A * g)"],
    ),
    _backward(
        "sigmoid_backward_from_output",
        "fa.sigmoid_backward_from_output({g}, {s})",
        ["g * s * (1 - s)", "s * (1 - s)", "g * (s - s * s)"],
    ),
    _backward("tanh_backward_from_output", "fa.tanh_backward_from_output({g}, {t})", ["g * (1 - t * t)"]),
    _backward(
        "softmax_backward",
        "fa.softmax_backward({g}, {y}, axis={axis})",
        ["y * (g - sum(g * y))", "y * g - y * sum(g * y)"],
        lambda fa, x, rng: fa.softmax_backward(x, x),
    ),
    # Functions over rows.
    _over_axis("softmax", ["exp(x) / sum(exp(x))"], NO_OVERFLOW),
    _over_axis("softmax", [SOFTMAX, "exp(x - logsumexp(x))"], "last bits"),
    _over_axis(
        "log_softmax",
        [
            "x - c - log(sum(exp(x - c)))",
            "x - log(sum(exp(x)))",
            f"log({SOFTMAX})",
            "log(exp(x) / sum(exp(x)))",
            "x - logsumexp(x)",
        ],
        "no logarithm of a probability that has rounded to 0; last bits",
    ),
    _over_axis("logsumexp", ["log(sum(exp(x)))"], NO_OVERFLOW),
    _over_axis("logsumexp", ["c + log(sum(exp(x - c)))"], "last bits"),
    Idiom(
        "layer_norm",
        "fa.layer_norm({x}, eps={E})",
        NORMALISED,
        f"`weight` and `bias` may go along; {EPS}",
        lambda fa, x, rng: fa.layer_norm(x),
        "rows",
    ),
    Idiom(
        "batch_norm",
        "fa.batch_norm({x}, training=True, eps={E}, axis=-1)",
        NORMALISED,
        EPS,
        lambda fa, x, rng: fa.batch_norm(x, training=True, axis=-1),
        "columns",
    ),
    Idiom(
        "batch_norm",
        "fa.batch_norm({x}, training=True, eps={E})",
        NORMALISED,
        EPS,
        lambda fa, x, rng: fa.batch_norm(x, training=True),
        "channels",
    ),
    Idiom(
        "rms_norm",
        "fa.rms_norm({x}, eps={E})",
        ["x / sqrt(mean(x * x) + E)"],
        "`weight` may go along; sums are taken in float64",
        lambda fa, x, rng: fa.rms_norm(x),
        "rows",
    ),
    Idiom(
        "rms_norm",
        "fa.rms_norm({x})",
        ["x / sqrt(mean(x * x))"],
        "`weight` may go along; eps is 1e-5 unless told otherwise; sums are taken in float64",
        lambda fa, x, rng: fa.rms_norm(x),
        "rows",
    ),
    Idiom(
        "l2_normalize",
        "fa.l2_normalize({x}, axis={axis})",
        ["x / norm(x)", "x / sqrt(sum(x * x))", "x / (norm(x) + E)", "x / sqrt(sum(x * x) + E)"],
        "a row of zeros gives zeros; sums are taken in float64",
        lambda fa, x, rng: fa.l2_normalize(x),
        "axis",
    ),
    # Losses.
    Idiom(
        "entropy",
        "fa.entropy({p}, axis={axis})",
        ["sum(p * log(p))", "sum(p * log(p + E))", "sum(where(p > 0, p * log(p), 0))"],
        "it is positive; 0 log 0 is 0, NaN gives NaN",
        lambda fa, x, rng: fa.entropy(0 * x + 0.5),
    ),
    Idiom(
        "cross_entropy",
        "fa.cross_entropy(logits, {y})",
        [
            f"{mean}(log({p}[arange(n), y] {eps}))"
            for mean in ("mean", "sum")
            for p in (f"({SOFTMAX})", "p")
            for eps in ("", "+ E")
        ]
        + [
            f"{mean}({log}[arange(n), y])"
            for mean in ("mean", "sum")
            for log in ("log(p)", "(x - c - log(sum(exp(x - c))))")
        ]
        + ["mean(log(sum(exp(x))) - x[arange(n), y])", "mean(c + log(sum(exp(x - c))) - x[arange(n), y])"],
        CLIP,
        lambda fa, x, rng: fa.cross_entropy(x, _labels(x, rng)),
    ),
    Idiom(
        "cross_entropy",
        "fa.cross_entropy(logits, {t})",
        [f"{mean}(t * log({p}))" for p in (f"{SOFTMAX}", "p + E", "clip(p, e, f)", "p") for mean in ("sum", "mean")],
        f"{CLIP}. Of targets that are one-hot, the labels will do",
        lambda fa, x, rng: fa.cross_entropy(x, _labels(x, rng)),
    ),
    Idiom(
        "cross_entropy_with_grad",
        "loss, {p} = fa.cross_entropy_with_grad(logits, {y}, out=logits)",
        [f"store_sub({SOFTMAX}, (arange(n), y), 1)", "store_sub(p, (arange(n), y), 1)"],
        "loss and gradient in one pass over the logits, divided by the number of rows",
        lambda fa, x, rng: fa.cross_entropy_with_grad(x, _labels(x, rng)),
    ),
    _binary_cross_entropy([f"mean({terms})" for terms in CROSS_TERMS]),
    _binary_cross_entropy([f"sum({terms})" for terms in CROSS_TERMS], ', reduction="sum"'),
    _binary_cross_entropy([CROSS_TERMS[0], "t * log(p + E) + (1 - t) * log(1 - p + E)"], ', reduction="none"'),
    Idiom(
        "mse_loss",
        "fa.mse_loss({a}, {b})",
        ["mean((a - b) * (a - b))"],
        REDUCED,
        _of_two("mse_loss"),
        unless=("mean((x - mean(x)) * (x - mean(x)))",),
    ),
    Idiom("l1_loss", "fa.l1_loss({a}, {b})", ["mean(absolute(a - b))"], REDUCED, _of_two("l1_loss")),
    Idiom("hinge_loss", "fa.hinge_loss({x}, {t})", ["mean(maximum(1 - t * x, 0))"], REDUCED, _of_two("hinge_loss")),
    Idiom(
        "accuracy",
        "fa.accuracy({x}, {y})",
        ["mean(Eq(argmax(x), y))", "mean(Eq(y, argmax(x)))"],
        "of equal scores the label's must be alone",
        None,
        "axis",
    ),
    # By index.
    Idiom(
        "embedding_backward",
        "fa.embedding_backward({v}, {i}, len({g}))",
        ["add_at(g, i, v)"],
        "gives the sums in an array of their own",
        None,
        unless=("add_at(g, i, 1)",),
    ),
    Idiom(
        "one_hot",
        "fa.one_hot({y}, {k})",
        ["eye(k)[y]", "identity(k)[y]", "store(zeros(s), (arange(n), y), 1)"],
        "float32 unless told otherwise; a loss needs none, it takes the labels",
        None,
    ),
    Idiom(
        "top_k",
        "fa.top_k({x}, k)",
        ["argsort(x)[s]", "argsort(-x)[s]"],
        "values and indices, the largest first; of equal ones the first",
        lambda fa, x, rng: fa.top_k(x, min(5, x.shape[-1])),
    ),
    Idiom(
        "dropout",
        "fa.dropout({x}, p)",
        [
            "x * (random() < k)",
            "x * (random() > k)",
            "x * binomial(n, k, s)",
        ],
        "other random numbers; the mask is drawn again for the gradient, and nobody keeps it",
        None,
    ),
    Idiom("sample_categorical", "fa.sample_categorical(logits, rng)", ["choice(r, p)"], "other random numbers", None),
    # Steps of optimizers.
    Idiom(
        "adam_step",
        "fa.adam_step(param, {g}, m, v, step, lr=lr, betas=betas, eps={e})",
        [f"k * (B * m + c * g) / (sqrt({v}) + e)" for v in ("h * (D * w + f * g * g)", "D * w + f * g * g")],
        RATES,
        lambda fa, x, rng: fa.adam_step(x, x, 0 * x, 0 * x, 1),
    ),
    Idiom(
        "rmsprop_step",
        "fa.rmsprop_step(param, {g}, v, lr=lr, alpha=alpha, eps={E})",
        ["k * g / (sqrt(D * w + f * g * g) + E)", "k * g / sqrt(D * w + f * g * g + E)"],
        f"{RATES}; eps is added to the root",
        lambda fa, x, rng: fa.rmsprop_step(x, x, 0 * x),
    ),
    Idiom(
        "adagrad_step",
        "fa.adagrad_step(param, {g}, v, lr=lr, eps={E})",
        ["k * g / (sqrt(w + g * g) + E)", "k * g / sqrt(w + g * g + E)"],
        f"{RATES}; eps is added to the root",
        lambda fa, x, rng: fa.adagrad_step(x, x, 0 * x),
    ),
    Idiom(
        "adam_step",
        "fa.adam_step(param, grad, m, v, step, lr=lr, betas=betas, eps=eps), or fa.rmsprop_step, fa.adagrad_step",
        ["step(p, k * m / (sqrt(w) + e))", "step(p, k * m / sqrt(w + E))"],
        f"{RATES}; what is kept of the gradients is computed, too",
        lambda fa, x, rng: fa.adam_step(x, x, 0 * x, 0 * x, 1),
    ),
    Idiom(
        "sgd_step",
        "fa.sgd_step({p}, {g}, lr={L})",
        ["step(p, L * g)"],
        "in place, without a temporary array; for lists of arrays too",
        _of_two("sgd_step"),
        "scalar",
    ),
    # Single functions of NumPy's.
    *(_elementwise(name, [f"{name}(x)"]) for name in ("exp", "expm1", "log", "log1p", "tanh", "erf")),
)
"""In the order in which they are tried; of those that fit, the one that takes in the most is reported."""
