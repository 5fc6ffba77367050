"""What careful users of other libraries write for each elementwise op: the statements that fastact is timed against.

The names in a statement: ``x``, ``grad``, ``out`` (arrays, or tensors over the same memory), ``value`` (a gated unit's other
operand; its gate is ``x``), ``saved`` (what PyTorch keeps from the forward pass), ``weight``; ``np``, ``special`` (SciPy's);
``torch``, ``F``, ``nn`` (PyTorch's C functions) and ``aten``; for JAX ``jnp``, ``lax`` and ``nn`` (``jax.nn``). Without its
``out=out`` a statement returns a fresh array. PyTorch's quickest spelling is taken: ``nn.gelu`` spares the microsecond
that ``aten.gelu.out`` costs.

An op without an entry is compared with its record's reference in NumPy, and with the other libraries not at all.
"""

from .idiom import Idiom
from .mathsidioms import MATHS


def _gradient(name: str, arguments: str = "x", overload: str = "grad_input") -> str:
    return f"aten.{name}_backward.{overload}(grad, {arguments}, {overload}=out)"


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
RRELU = (1 / 8 + 1 / 3) / 2
TANH = "tanh(0.7978845608028654 * x * (1 + 0.044715 * x * x))"
GELU_TANH = f"np.{TANH}"

IDIOMS = {
    "exp": Idiom(
        "np.exp(x, out=out)",
        "torch.exp(x, out=out)",
        numexpr="exp(x)",
        jax="jnp.exp(x)",
        onnx="Exp",
    ),
    "expm1": Idiom(
        "np.expm1(x, out=out)",
        "torch.expm1(x, out=out)",
        numexpr="expm1(x)",
        jax="jnp.expm1(x)",
    ),
    "log": Idiom(
        "np.log(x, out=out)",
        "torch.log(x, out=out)",
        numexpr="log(x)",
        jax="jnp.log(x)",
        onnx="Log",
    ),
    "log1p": Idiom(
        "np.log1p(x, out=out)",
        "torch.log1p(x, out=out)",
        numexpr="log1p(x)",
        jax="jnp.log1p(x)",
    ),
    "erf": Idiom(
        "special.erf(x, out=out)",
        "torch.erf(x, out=out)",
        jax="lax.erf(x)",
        onnx="Erf",
    ),
    "relu": Idiom(
        "np.maximum(x, 0, out=out)",
        "torch.clamp_min(x, 0, out=out)",
        "torch.relu(x)",
        numpy_backward="np.multiply(grad, x > 0, out=out)",
        torch_backward=_gradient("threshold", "x, 0"),
        numexpr="where(x > 0, x, 0)",
        numexpr_backward="where(x > 0, grad, 0)",
        jax="nn.relu(x)",
        onnx="Relu",
    ),
    "relu6": Idiom(
        "np.clip(x, 0, 6, out=out)",
        "nn.hardtanh(x, 0, 6, out=out)",
        "F.relu6(x)",
        numpy_backward="np.multiply(grad, (x > 0) & (x < 6), out=out)",
        torch_backward=_gradient("hardtanh", "x, 0, 6"),
        numexpr="where(x > 0, where(x < 6, x, 6), 0)",
        numexpr_backward="where((x > 0) & (x < 6), grad, 0)",
        jax="nn.relu6(x)",
    ),
    "leaky_relu": Idiom(
        "np.maximum(x, 0.01 * x, out=out)",
        "nn.leaky_relu(x, 0.01, out=out)",
        numpy_backward="np.where(x > 0, grad, 0.01 * grad)",
        torch_backward=_gradient("leaky_relu", "x, 0.01, False"),
        numexpr="where(x > 0, x, 0.01 * x)",
        numexpr_backward="where(x > 0, grad, 0.01 * grad)",
        jax="nn.leaky_relu(x, 0.01)",
        onnx="LeakyRelu",
    ),
    "prelu": Idiom(
        "np.where(x > 0, x, 0.25 * x)",
        "nn.leaky_relu(x, 0.25, out=out)",
        "torch.prelu(x, weight)",
        numpy_backward="(np.where(x > 0, grad, 0.25 * grad), np.sum(grad * np.minimum(x, 0)))",
        torch_backward="((g := aten._prelu_kernel_backward.default(grad, x, weight))[0], g[1].sum())",
        numexpr="where(x > 0, x, 0.25 * x)",
        jax="jnp.where(x > 0, x, weight * x)",
    ),
    "rrelu": Idiom(
        f"np.maximum(x, {RRELU} * x, out=out)",
        f"nn.leaky_relu(x, {RRELU}, out=out)",
        "torch.rrelu(x, training=False)",
        numpy_backward=f"np.where(x > 0, grad, {RRELU} * grad)",
        torch_backward=_gradient("leaky_relu", f"x, {RRELU}, False"),
        numexpr=f"where(x > 0, x, {RRELU} * x)",
        numexpr_backward=f"where(x > 0, grad, {RRELU} * grad)",
        jax=f"nn.leaky_relu(x, {RRELU})",
        onnx="LeakyRelu",
        onnx_attributes={"alpha": RRELU},
    ),
    "hard_tanh": Idiom(
        "np.clip(x, -1, 1, out=out)",
        "nn.hardtanh(x, out=out)",
        numpy_backward="np.multiply(grad, np.abs(x) < 1, out=out)",
        torch_backward=_gradient("hardtanh", "x, -1, 1"),
        numexpr="where(x > -1, where(x < 1, x, 1), -1)",
        numexpr_backward="where(abs(x) < 1, grad, 0)",
        jax="nn.hard_tanh(x)",
    ),
    "hard_sigmoid": Idiom(
        "np.divide(np.clip(x + 3, 0, 6), 6, out=out)",
        "nn.hardsigmoid(x, out=out)",
        numpy_backward="np.multiply(grad / 6, np.abs(x) < 3, out=out)",
        torch_backward=_gradient("hardsigmoid"),
        numexpr="where(x > -3, where(x < 3, (x + 3) / 6, 1), 0)",
        numexpr_backward="where(abs(x) < 3, grad / 6, 0)",
        jax="nn.hard_sigmoid(x)",
        onnx="HardSigmoid",
        onnx_attributes={"alpha": 1 / 6},
    ),
    "hard_swish": Idiom(
        "np.multiply(x, np.clip(x + 3, 0, 6) / 6, out=out)",
        "nn.hardswish(x, out=out)",
        numpy_backward="np.multiply(grad, np.where(x >= 3, 1, np.where(x <= -3, 0, x / 3 + 0.5)), out=out)",
        torch_backward=_gradient("hardswish", overload="out"),
        numexpr="x * where(x > -3, where(x < 3, (x + 3) / 6, 1), 0)",
        numexpr_backward="grad * where(x >= 3, 1, where(x <= -3, 0, x / 3 + 0.5))",
        jax="nn.hard_swish(x)",
        onnx="HardSwish",
    ),
    "soft_shrink": Idiom(
        "np.subtract(x, np.clip(x, -0.5, 0.5), out=out)",
        "nn.softshrink(x, 0.5, out=out)",
        numpy_backward="np.multiply(grad, np.abs(x) > 0.5, out=out)",
        torch_backward=_gradient("softshrink", "x, 0.5"),
        numexpr="where(x > 0.5, x - 0.5, where(x < -0.5, x + 0.5, 0))",
        numexpr_backward="where(abs(x) > 0.5, grad, 0)",
        jax="x - jnp.clip(x, -0.5, 0.5)",
        onnx="Shrink",
        onnx_attributes={"bias": 0.5},
    ),
    "hard_shrink": Idiom(
        "np.multiply(x, np.abs(x) > 0.5, out=out)",
        "torch.hardshrink(x, 0.5, out=out)",
        numpy_backward="np.multiply(grad, np.abs(x) > 0.5, out=out)",
        torch_backward=_gradient("hardshrink", "x, 0.5"),
        numexpr="where(abs(x) > 0.5, x, 0)",
        numexpr_backward="where(abs(x) > 0.5, grad, 0)",
        jax="jnp.where(jnp.abs(x) > 0.5, x, 0)",
        onnx="Shrink",
    ),
    "threshold": Idiom(
        "np.where(x > 0.5, x, -1)",
        "torch.threshold(x, 0.5, -1, out=out)",
        numpy_backward="np.multiply(grad, x > 0.5, out=out)",
        torch_backward=_gradient("threshold", "x, 0.5"),
        numexpr="where(x > 0.5, x, -1)",
        numexpr_backward="where(x > 0.5, grad, 0)",
        jax="jnp.where(x > 0.5, x, -1)",
    ),
    "elu": Idiom(
        "np.add(np.maximum(x, 0), np.expm1(np.minimum(x, 0)), out=out)",
        "nn.elu(x, 1, out=out)",
        numpy_backward="np.multiply(grad, np.exp(np.minimum(x, 0)), out=out)",
        torch_backward=_gradient("elu", "1, 1, 1, False, x"),
        numexpr="where(x > 0, x, expm1(x))",
        numexpr_backward="grad * where(x > 0, 1, exp(x))",
        jax="nn.elu(x)",
        onnx="Elu",
    ),
    "selu": Idiom(
        f"np.multiply({SELU_SCALE}, np.where(x > 0, x, {SELU_ALPHA} * np.expm1(np.minimum(x, 0))), out=out)",
        f"nn.elu(x, {SELU_ALPHA}, {SELU_SCALE}, 1, out=out)",
        "torch.selu(x)",
        numpy_backward=f"np.multiply({SELU_SCALE} * grad, np.where(x > 0, 1, {SELU_ALPHA} * np.exp(np.minimum(x, 0)))"
        ", out=out)",
        torch_backward=_gradient("elu", f"{SELU_ALPHA}, {SELU_SCALE}, 1, False, x"),
        numexpr=f"{SELU_SCALE} * where(x > 0, x, {SELU_ALPHA} * expm1(x))",
        numexpr_backward=f"{SELU_SCALE} * grad * where(x > 0, 1, {SELU_ALPHA} * exp(x))",
        jax="nn.selu(x)",
        onnx="Selu",
    ),
    "celu": Idiom(
        "np.add(np.maximum(x, 0), np.expm1(np.minimum(x, 0)), out=out)",
        "nn.elu(x, 1, out=out)",
        "torch.celu(x)",
        numpy_backward="np.multiply(grad, np.exp(np.minimum(x, 0)), out=out)",
        torch_backward=_gradient("elu", "1, 1, 1, False, x"),
        numexpr="where(x > 0, x, expm1(x))",
        numexpr_backward="grad * where(x > 0, 1, exp(x))",
        jax="nn.celu(x)",
        onnx="Celu",
    ),
    "sigmoid": Idiom(
        "special.expit(x, out=out)",
        "torch.sigmoid(x, out=out)",
        numpy_backward="np.multiply(grad * (s := special.expit(x)), 1 - s, out=out)",
        torch_backward=_gradient("sigmoid", "saved"),
        saved="torch.sigmoid(x)",
        numexpr="1 / (1 + exp(-x))",
        numexpr_backward="grad / ((1 + exp(-x)) * (1 + exp(x)))",
        jax="nn.sigmoid(x)",
        onnx="Sigmoid",
    ),
    "log_sigmoid": Idiom(
        "special.log_expit(x, out=out)",
        "nn.log_sigmoid(x, out=out)",
        numpy_backward="np.multiply(grad, special.expit(-x), out=out)",
        torch_backward=_gradient("log_sigmoid", "x, saved"),
        saved="torch.exp(-torch.abs(x))",
        numexpr="where(x < 0, x, 0) - log1p(exp(-abs(x)))",
        numexpr_backward="grad / (1 + exp(x))",
        jax="nn.log_sigmoid(x)",
    ),
    "softplus": Idiom(
        "np.logaddexp(0, x, out=out)",
        "nn.softplus(x, out=out)",
        numpy_backward="np.multiply(grad, special.expit(x), out=out)",
        torch_backward=_gradient("softplus", "x, 1, 20"),
        numexpr="where(x > 0, x, 0) + log1p(exp(-abs(x)))",
        numexpr_backward="grad / (1 + exp(-x))",
        jax="nn.softplus(x)",
        onnx="Softplus",
    ),
    "tanh": Idiom(
        "np.tanh(x, out=out)",
        "torch.tanh(x, out=out)",
        numpy_backward="np.multiply(grad, 1 - np.square(np.tanh(x)), out=out)",
        torch_backward=_gradient("tanh", "saved"),
        saved="torch.tanh(x)",
        numexpr="tanh(x)",
        numexpr_backward="grad * (1 - tanh(x) ** 2)",
        jax="jnp.tanh(x)",
        onnx="Tanh",
    ),
    "tanh_shrink": Idiom(
        "np.subtract(x, np.tanh(x), out=out)",
        "F.tanhshrink(x)",
        numpy_backward="np.multiply(grad, np.square(np.tanh(x)), out=out)",
        numexpr="x - tanh(x)",
        numexpr_backward="grad * tanh(x) ** 2",
        jax="x - jnp.tanh(x)",
    ),
    "softsign": Idiom(
        "np.divide(x, 1 + np.abs(x), out=out)",
        "F.softsign(x)",
        numpy_backward="np.divide(grad, np.square(1 + np.abs(x)), out=out)",
        numexpr="x / (1 + abs(x))",
        numexpr_backward="grad / (1 + abs(x)) ** 2",
        jax="nn.soft_sign(x)",
        onnx="Softsign",
    ),
    "silu": Idiom(
        "np.multiply(x, special.expit(x), out=out)",
        "nn.silu(x, out=out)",
        numpy_backward="np.multiply(grad * (s := special.expit(x)), 1 + x * (1 - s), out=out)",
        torch_backward=_gradient("silu"),
        numexpr="x / (1 + exp(-x))",
        numexpr_backward="grad * (1 + x / (1 + exp(x))) / (1 + exp(-x))",
        jax="nn.silu(x)",
    ),
    "quick_gelu": Idiom(
        "np.multiply(x, special.expit(1.702 * x), out=out)",
        numpy_backward="np.multiply(grad * (s := special.expit(1.702 * x)), 1 + 1.702 * x * (1 - s), out=out)",
        numexpr="x / (1 + exp(-1.702 * x))",
        numexpr_backward="grad * (1 + 1.702 * x / (1 + exp(1.702 * x))) / (1 + exp(-1.702 * x))",
        jax="x * nn.sigmoid(1.702 * x)",
    ),
    "gelu": Idiom(
        "np.multiply(0.5 * x, 1 + special.erf(x * 0.7071067811865476), out=out)",
        "nn.gelu(x, out=out)",
        numpy_backward="np.multiply(grad, 0.5 + 0.5 * special.erf(x * 0.7071067811865476)"
        " + x * np.exp(-0.5 * x * x) * 0.3989422804014327, out=out)",
        torch_backward=_gradient("gelu"),
        jax="nn.gelu(x, approximate=False)",
        onnx="Gelu",
    ),
    "gelu_tanh": Idiom(
        f"np.multiply(0.5 * x, 1 + {GELU_TANH}, out=out)",
        "nn.gelu(x, approximate='tanh', out=out)",
        numpy_backward=f"np.multiply(grad, 0.5 * (1 + (t := {GELU_TANH}))"
        " + 0.3989422804014327 * x * (1 - t * t) * (1 + 0.134145 * x * x), out=out)",
        torch_backward=_gradient("gelu", "x, approximate='tanh'"),
        numexpr=f"0.5 * x * (1 + {TANH})",
        numexpr_backward=f"0.5 * grad * (1 + {TANH} + 0.7978845608028654 * x * (1 - {TANH} ** 2) * (1 + 0.134145 * x * x))",
        jax="nn.gelu(x, approximate=True)",
        onnx="Gelu",
        onnx_attributes={"approximate": "tanh"},
    ),
    "mish": Idiom(
        "np.multiply(x, np.tanh(np.log1p(np.exp(x))), out=out)",
        "nn.mish(x, out=out)",
        numpy_backward="np.multiply(grad, (t := np.tanh(np.log1p(np.exp(x))))"
        " + x * special.expit(x) * (1 - t * t), out=out)",
        torch_backward="aten.mish_backward.default(grad, x)",
        numexpr="x * tanh(log1p(exp(x)))",
        numexpr_backward="grad * (tanh(log1p(exp(x))) + x * (1 - tanh(log1p(exp(x))) ** 2) / (1 + exp(-x)))",
        jax="nn.mish(x)",
        onnx="Mish",
    ),
    "swiglu": Idiom(
        "np.multiply(x * special.expit(x), value, out=out)",
        "torch.mul(F.silu(x), value, out=out)",
        numpy_backward="((g := grad * (s := special.expit(x))) * value * (1 + x * (1 - s)), g * x)",
        torch_backward="(aten.silu_backward.default(grad * value, x), grad * F.silu(x))",
        numexpr="value * x / (1 + exp(-x))",
        jax="nn.silu(x) * value",
    ),
    "geglu": Idiom(
        "np.multiply(0.5 * x * (1 + special.erf(x * 0.7071067811865476)), value, out=out)",
        "torch.mul(F.gelu(x), value, out=out)",
        numpy_backward="(grad * value * ((p := 0.5 + 0.5 * special.erf(x * 0.7071067811865476))"
        " + x * np.exp(-0.5 * x * x) * 0.3989422804014327), grad * x * p)",
        torch_backward="(aten.gelu_backward.default(grad * value, x), grad * F.gelu(x))",
        jax="nn.gelu(x, approximate=False) * value",
    ),
    "reglu": Idiom(
        "np.multiply(np.maximum(x, 0), value, out=out)",
        "torch.mul(torch.relu(x), value, out=out)",
        numpy_backward="(grad * value * (x > 0), grad * np.maximum(x, 0))",
        torch_backward="(aten.threshold_backward.default(grad * value, x, 0), grad * torch.relu(x))",
        numexpr="where(x > 0, x, 0) * value",
        jax="nn.relu(x) * value",
    ),
    "squareplus": Idiom(
        "np.multiply(0.5, x + np.sqrt(x * x + 4), out=out)",
        numpy_backward="np.multiply(0.5 * grad, 1 + x / np.sqrt(x * x + 4), out=out)",
        numexpr="0.5 * (x + sqrt(x * x + 4))",
        numexpr_backward="0.5 * grad * (1 + x / sqrt(x * x + 4))",
        jax="nn.squareplus(x)",
    ),
} | MATHS


def writes_out(statement: str) -> bool:
    """Whether a statement writes to ``out`` instead of allocating its result."""
    return "=out" in statement


def fresh(statement: str) -> str:
    """The statement without its ``out``."""
    for written, returned in ((".grad_input(", ".default("), (".out(", ".default("), (", grad_input=out", "")):
        statement = statement.replace(written, returned)
    return statement.replace(", out=out", "")
