"""What others compute for each of our functions, as functions of float32 arrays: for measuring their errors.

The statements are those that the benchmarks time.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastact.bench.idiom import Idiom
from fastact.bench.idioms import IDIOMS, fresh
from tests.ulp import parameters, split

PEERS = {"torch": "PyTorch", "jax": "JAX", "numpy": "NumPy and SciPy"}
"""By the module that they need; SciPy as well for the last."""

PACKAGES = {"torch": ("torch",), "jax": ("jax", "jaxlib"), "numpy": ("numpy", "scipy")}

JAX = (
    "exp",
    "expm1",
    "log",
    "log1p",
    "erf",
    "elu",
    "selu",
    "celu",
    "silu",
    "gelu",
    "gelu_tanh",
    "mish",
    "squareplus",
    "relu",
    "relu6",
    "leaky_relu",
    "prelu",
    "hard_tanh",
    "hard_sigmoid",
    "hard_swish",
    "sigmoid",
    "log_sigmoid",
    "softplus",
    "tanh",
    "softsign",
    "swiglu",
    "geglu",
    "reglu",
)
"""What JAX has a function for; the benchmarks also time expressions of it."""


def computed(peer: str, name: str, x: Any) -> Any:
    """A peer's results in float32 for a function of ours, a backward's with a gradient of ones; ``None`` if it has none."""
    op, backward = split(name)
    arrays = {"x": x, "grad": np.ones_like(x)}
    if op.arrays > 1:
        arrays["value"] = np.full_like(x, parameters(op, np.float32)[0])
    results = COMPUTE[peer](op.name, backward, arrays)
    if results is None:
        return None
    return np.asarray(results[0] if isinstance(results, tuple) else results)


def _numpy(name: str, backward: bool, arrays: Mapping[str, Any]) -> Any:
    idiom = IDIOMS.get(name, Idiom(""))
    statement = idiom.numpy_backward if backward else idiom.numpy
    if not statement:
        return None
    with np.errstate(all="ignore"):
        return eval(fresh(statement), {"np": np, "special": importlib.import_module("scipy.special"), **arrays})


def _torch(name: str, backward: bool, arrays: Mapping[str, Any]) -> Any:
    idiom = IDIOMS.get(name, Idiom(""))
    statement = fresh(idiom.torch_backward if backward else idiom.torch_fresh or idiom.torch)
    if not statement:
        return None
    torch = importlib.import_module("torch")
    names = {"torch": torch, "F": torch.nn.functional, "nn": torch._C._nn, "aten": torch.ops.aten}
    names |= {"weight": torch.full((1,), 0.25), **{key: torch.from_numpy(array) for key, array in arrays.items()}}
    if idiom.saved:
        names["saved"] = eval(idiom.saved, dict(names))
    return eval(statement, names)


def _jax(name: str, backward: bool, arrays: Mapping[str, Any]) -> Any:
    if name not in JAX:
        return None
    jax = importlib.import_module("jax")
    names = {"jnp": jax.numpy, "nn": jax.nn, "lax": jax.lax, "weight": 0.25}
    function: Callable[..., Any] = eval(f"lambda x, value: {IDIOMS[name].jax}", names)
    if backward:
        function = jax.vmap(jax.grad(function))
    return jax.jit(function)(arrays["x"], arrays.get("value", arrays["x"]))


COMPUTE = {"numpy": _numpy, "torch": _torch, "jax": _jax}
