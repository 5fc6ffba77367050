"""The inner loop of users' formulas that may raise exceptions.

Such a formula is computed element by element, in order and on the caller's thread, up to the first that fails. Its
exception is made by Python, which computes that element once more: the same type, message and line as in the interpreter.
"""

from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic

from fastact.kernels import memory
from fastact.kernels.elementloop import POINTERS, ElementLoop
from fastact.kernels.fields import ON_FAILURE
from fastact.kernels.flags import clear_all_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.memory import (
    advance,
    call_loop,
    field,
    set_pointer,
)
from fastact.kernels.templates import FILLED_IN
from fastact.runtime import compiler

# What instances fill in; the values here serve the reader and the type checker.
ARGS = 2
element_pointers = element_loop = computed = FILLED_IN


def kernel(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Compute ``dims[0]`` elements one by one, up to the first that fails."""
    pointers = element_pointers()
    for i in range(dims[0]):
        for j in range(ARGS):
            set_pointer(pointers, j, advance(args[j], i * steps[j]))
        if not computed(pointers):
            call_loop(field(record, ON_FAILURE), pointers, dims, steps, record)
            break
    clear_all_fp_flags()


def element(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Compute one element, to see whether the compiler finds that it can fail."""
    element_loop(args, 1)


def can_fail(formula: Callable[..., Any], dtype: str, inputs: int, times_gradient: bool) -> bool:
    """Whether a formula's code can raise an exception, or return no number."""
    loop = ElementLoop(formula, [dtype] * inputs, [dtype], times_gradient=times_gradient).over_operands()
    return compiler.can_fail(instance(element, {"element_loop": loop}))


def specialise(kind: Any, name: str, dtype: str) -> Callable[..., Any]:
    """The loop of a user's kernel: ``kernel`` if its formula can fail, else that of any other kernel, which is called ``name``."""
    if kind.before_compiling is not None:
        kind.before_compiling()
    formula, inputs, times_gradient = kind.formula, kind.inputs, kind.times_gradient
    if not can_fail(formula, dtype, inputs, times_gradient):
        loop: Callable[..., Any] = kind.sources(dtype)[name]()
        return loop
    loop = ElementLoop(formula, [dtype] * inputs, [dtype], times_gradient=times_gradient).over_operands()
    filled = {
        "ARGS": inputs + 1,
        "element_pointers": memory.stack_pointers(inputs + 1),
        "computed": _whether_computed(instance(_one_element, {"element_loop": loop})),
    }
    return instance(kernel, filled)


def _one_element(pointers: Any) -> None:
    element_loop(pointers, 1)


def _whether_computed(function: Callable[..., Any]) -> Any:
    """An intrinsic that calls a function of pointers and tells whether it has raised nothing."""

    @intrinsic
    def computed(typing_context: Any, pointers: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            called = types.void(POINTERS)
            compiled = context.compile_subroutine(builder, function, called, caching=False)
            status, _ = context.call_internal_no_propagate(builder, compiled.fndesc, called, values)
            return builder.not_(status.is_error)

        return types.boolean(POINTERS), codegen

    return computed
