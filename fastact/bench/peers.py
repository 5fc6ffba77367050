"""The peers: which are installed, and how each is called on the same arrays."""

import contextlib
import importlib
import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from .case import Contender

PEERS = ("numpy", "numexpr", "torch", "jax", "onnxruntime")
PACKAGES = {
    "numpy": ("numpy", "scipy"),
    "numexpr": ("numexpr",),
    "torch": ("torch",),
    "jax": ("jax", "jaxlib"),
    "onnxruntime": ("onnx", "onnxruntime"),
}
"""What each peer needs; ONNX Runtime's models are made with ``onnx``."""

OPSET, IR_VERSION = 20, 9
"""Of the ONNX models: the first with Gelu, and what every runtime that knows it reads."""

FLOAT = re.compile(r"(?<![\w.])\d+\.\d+(?:e-?\d+)?")


def installed(peer: str) -> bool:
    """Whether everything that a peer needs can be imported; NumPy's expressions do, as far as they go, without SciPy."""
    needed = PACKAGES[peer][:1] if peer == "numpy" else PACKAGES[peer]
    return all(importlib.util.find_spec(package) is not None for package in needed)


@cache
def module(name: str) -> Any:
    """A library, or ``None`` where it is not installed."""
    if name == "jax":
        return _jax()
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _jax() -> Any:
    import fastact

    # Read when JAX makes its pool of threads, which cannot be resized.
    os.environ.setdefault("NPROC", str(fastact.get_num_threads()))
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        import jax
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    return jax


@contextlib.contextmanager
def equal_terms(threads: int, peers: Sequence[str] = PEERS) -> Iterator[None]:
    """The same number of threads for everyone; PyTorch records nothing for autograd; NumPy does not warn."""
    import fastact

    with contextlib.ExitStack() as stack:
        stack.enter_context(np.errstate(all="ignore"))
        stack.enter_context(fastact.threads(threads))
        if "torch" in peers and (torch := module("torch")):
            torch.set_num_threads(threads)
            stack.enter_context(torch.inference_mode())
        if "numexpr" in peers and (numexpr := module("numexpr")):
            numexpr.set_num_threads(min(threads, numexpr.MAX_THREADS))
        yield


def numexpr_contender(expression: str, names: Mapping[str, Any], into_out: bool) -> Contender | None:
    """NumExpr over an expression.

    NumExpr takes a literal such as 0.5 for a double and then computes everything in double: literals become scalars of
    the arrays' dtype.
    """
    numexpr = module("numexpr")
    if numexpr is None:
        return None
    constants: dict[str, Any] = {}

    def constant(match: re.Match[str]) -> str:
        name = f"c{len(constants)}"
        constants[name] = names["x"].dtype.type(match[0])
        return name

    text = FLOAT.sub(constant, expression)
    arrays = {name: names[name] for name in ("x", "grad", "value") if name in names}
    given = {"evaluate": numexpr.evaluate, "text": text, "arrays": arrays | constants}
    call = "evaluate(text, arrays, {}, out)" if into_out else "evaluate(text, arrays, {})"
    return Contender(call, {**names, **given})


def torch_names(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors over the same memory, everything else as it is, and PyTorch's namespaces; nothing without PyTorch."""
    torch = module("torch")
    if torch is None:
        return {}
    names = {name: torch.from_numpy(a) if isinstance(a, np.ndarray) else a for name, a in arrays.items()}
    return names | {"torch": torch, "F": torch.nn.functional, "nn": torch._C._nn, "aten": torch.ops.aten}


def jax_contender(expression: str, arrays: Mapping[str, Any], by: Sequence[str] = ()) -> Contender | None:
    """JAX's compiled function of an expression in the arrays' names; with ``by``, ``grad`` times its derivatives by those."""
    jax = module("jax")
    if jax is None:
        return None
    scope = {"jax": jax, "jnp": jax.numpy, "lax": jax.lax, "nn": jax.nn}
    used = [name for name in arrays if name in by or re.search(rf"\b{name}\b", expression)]
    function = eval(f"lambda {', '.join(used)}: {expression}", scope)
    if by:
        function, used = _gradients(function, used, by), ["grad", *used]
    given = {name: jax.numpy.asarray(arrays[name]) for name in used}
    call = f"f({', '.join(used)})"
    several = isinstance(jax.eval_shape(function, *given.values()), tuple)
    statement = f"wait({call})" if several else f"{call}.block_until_ready()"
    return Contender(statement, {**given, "f": jax.jit(function), "wait": jax.block_until_ready})


def _gradients(function: Callable[..., Any], names: Sequence[str], by: Sequence[str]) -> Callable[..., Any]:
    """The function of ``grad`` and the operands that returns the gradients by some of the operands."""

    def gradients(grad: Any, *operands: Any) -> Any:
        given = dict(zip(names, operands, strict=True))

        def of_variables(*variables: Any) -> Any:
            return function(**given | dict(zip(by, variables, strict=True)))

        found = module("jax").vjp(of_variables, *(given[name] for name in by))[1](grad)
        return found if len(by) > 1 else found[0]

    return gradients


def onnx_contender(
    op: str, attributes: Mapping[str, Any], inputs: Mapping[str, Any], out: Any = None
) -> Contender | None:
    """ONNX Runtime's session over a model of one node, which writes to ``out`` if there is one."""
    onnx, runtime = module("onnx"), module("onnxruntime")
    if onnx is None or runtime is None:
        return None
    import fastact

    helper = onnx.helper

    def described(name: str, array: Any = None) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(next(iter(inputs.values())).dtype if array is None else array.dtype)
        return helper.make_tensor_value_info(name, kind, None if array is None else array.shape)

    node = helper.make_node(op, list(inputs), ["y"], **attributes)
    graph = helper.make_graph([node], op, [described(name, a) for name, a in inputs.items()], [described("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = fastact.get_num_threads()
    try:
        session = runtime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    except Exception:  # of several kinds; there is no kernel of this op for this dtype
        return None
    if out is None:
        return Contender("run(None, feed)[0]", {"run": session.run, "feed": dict(inputs)})
    into_out = session.io_binding()
    for name, array in inputs.items():
        into_out.bind_cpu_input(name, array)
    result = runtime.OrtValue.ortvalue_from_numpy(out)
    into_out.bind_ortvalue_output("y", result)
    return Contender("run(into_out)", {"run": session.run_with_iobinding, "into_out": into_out, "out": result})
