"""What the memory keeper asks of the C library, and of functions whose addresses it was given."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastact.kernels.intrinsics import I32, I64


def _emitter(name: str, widths: tuple[Any, ...], result: Any) -> Callable[..., Any]:
    """What calls a function of the C library with integers of these widths, and gives its result as a 64-bit one."""
    kind = ir.FunctionType(result, widths)

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        given = [v if w == I64 else builder.trunc(v, w) for v, w in zip(values, widths, strict=True)]
        found = builder.call(function, given)
        if isinstance(result, ir.VoidType):
            return I64(0)
        return found if result == I64 else builder.sext(found, I64)

    return codegen


@intrinsic
def aligned_block(typing_context: Any, alignment: Any, size: Any) -> Any:
    """The address of fresh memory of the C library's, which its ``free`` takes; 0 if there is none."""
    return types.intp(types.intp, types.intp), _emitter("aligned_alloc", (I64, I64), I64)


@intrinsic
def capacity_of(typing_context: Any, block: Any) -> Any:
    """How many bytes there are in a block of the C library's."""
    return types.intp(types.intp), _emitter("malloc_usable_size", (I64,), I64)


@intrinsic
def give_back(typing_context: Any, block: Any) -> Any:
    """``free(block)``."""
    return types.intp(types.intp), _emitter("free", (I64,), ir.VoidType())


@intrinsic
def advise(typing_context: Any, start: Any, length: Any, advice: Any) -> Any:
    """``madvise(start, length, advice)``."""
    return types.intp(types.intp, types.intp, types.intp), _emitter("madvise", (I64, I64, I32), I32)


@intrinsic
def sleep_microseconds(typing_context: Any, microseconds: Any) -> Any:
    """``usleep(microseconds)``."""
    return types.intp(types.intp), _emitter("usleep", (I32,), I32)


@intrinsic
def let_others_run(typing_context: Any) -> Any:
    """``sched_yield()``."""
    return types.intp(), _emitter("sched_yield", (), I32)


@intrinsic
def set_signal_mask(typing_context: Any, how: Any, signals: Any, before: Any) -> Any:
    """``pthread_sigmask(how, signals, before)``."""
    return types.intp(types.intp, types.intp, types.intp), _emitter("pthread_sigmask", (I32, I64, I64), I32)


@intrinsic
def make_thread(typing_context: Any, place: Any, attributes: Any, function: Any, argument: Any) -> Any:
    """``pthread_create``: 0 if there is one more thread."""
    integers = (types.intp,) * 4
    return types.intp(*integers), _emitter("pthread_create", (I64,) * 4, I32)


@intrinsic
def call_of_two(typing_context: Any, address: Any, first: Any, second: Any) -> Any:
    """What the function at an address returns for two integers or pointers."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address, *arguments = values
        return builder.call(builder.inttoptr(address, ir.FunctionType(I64, [I64] * 2).as_pointer()), arguments)

    return types.intp(types.intp, types.intp, types.intp), codegen


@intrinsic
def call_of_three(typing_context: Any, address: Any, first: Any, second: Any, third: Any) -> Any:
    """The same for three."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address, *arguments = values
        return builder.call(builder.inttoptr(address, ir.FunctionType(I64, [I64] * 3).as_pointer()), arguments)

    return types.intp(types.intp, types.intp, types.intp, types.intp), codegen
