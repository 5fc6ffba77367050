"""Teaches Numba the scalar language of ``fastact.simd`` and ``fastact.scalar``."""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

from fastact import scalar
from fastact.engine import intrinsics

INTERNAL = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""For functions that only compiled code calls: the wrappers would take a third of the time to compile a kernel."""

JIT_OPTIONS = {"error_model": "numpy", "forceinline": True, **INTERNAL}
"""Division by zero gives infinity or NaN as in NumPy. No fast-math flag: formulas ask for each fused operation by
name, so that vector body, scalar tail and every machine round alike."""

_registered: set[int] = set()

internal = register_jitable(**INTERNAL)
"""Marks a part of a kernel, such as a pass over a row."""


def register() -> None:
    """Teach Numba everything registered so far; cheap to call again after more was registered."""
    if not _registered:
        intrinsics.register()
    kinds: tuple[tuple[Sequence[Any], Callable[[Any], Any]], ...] = (
        (scalar.compilable, register_jitable(**JIT_OPTIONS)),
        (scalar.Polynomial.instances, _teach_polynomial),
        (scalar.ByPrecision.instances, _teach_by_precision),
    )
    for kind, teach in kinds:
        for function in kind:
            if id(function) not in _registered:
                teach(function)
                _registered.add(id(function))


def _teach_polynomial(polynomial: scalar.Polynomial) -> None:
    @intrinsic
    def horner(typing_context: Any, x: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            (x,) = values
            total = ir.Constant(x.type, polynomial.coefficients[-1])
            for coefficient in reversed(polynomial.coefficients[:-1]):
                total = builder.fma(total, x, ir.Constant(x.type, coefficient))
            return total

        return x(x), codegen

    overload(polynomial)(lambda x: lambda x: horner(x))


def _teach_by_precision(function: scalar.ByPrecision) -> None:
    float32, float64 = function.float32, function.float64

    def choose(x: Any, *rest: Any) -> Any:
        chosen = float32 if types.unliteral(x) == types.float32 else float64
        return lambda x, *rest: chosen(x, *rest)

    overload(function, strict=False, jit_options=JIT_OPTIONS)(choose)
