"""What the team asks of the processor and of Linux: shared integers, the clock, to wait and to wake.

Every access to an integer that several threads use goes through the first four, and is sequentially consistent: all threads see
all of them happen in one order. That is the order which ``tools/team.pml`` reasons about; plain fields are
written before, and read after, an access that hands them over. It costs nothing that a measurement shows, for there are few.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastact.engine.intrinsics import I32, I64

ORDER = "seq_cst"
CLOCK_MONOTONIC = 1
FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE = 128, 129
FUTEX_NUMBER = {"x86_64": 202}
MASK_WORDS = 16
"""Integers of a mask of 1024 processors."""
OTHER_FUTEX_NUMBER = 98
"""The number of the system call futex: all newer architectures share a table."""


def _place(builder: Any, record: Any, index: Any) -> Any:
    return builder.gep(builder.bitcast(record, I64.as_pointer()), [index])


def _machine(context: Any) -> str:
    return str(context.codegen().magic_tuple()[0]).split("-")[0]


@intrinsic
def load_shared(typing_context: Any, record: Any, index: Any) -> Any:
    """The integer number ``index`` of a record."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load_atomic(_place(builder, *values), ORDER, 8)

    return types.intp(types.voidptr, types.intp), codegen


@intrinsic
def store_shared(typing_context: Any, record: Any, index: Any, value: Any) -> Any:
    """Write an integer of a record."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store_atomic(values[2], _place(builder, *values[:2]), ORDER, 8)
        return context.get_dummy_value()

    return types.void(types.voidptr, types.intp, types.intp), codegen


@intrinsic
def add_shared(typing_context: Any, record: Any, index: Any, amount: Any) -> Any:
    """Add to an integer of a record, and return what it was."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.atomic_rmw("add", _place(builder, *values[:2]), values[2], ORDER)

    return types.intp(types.voidptr, types.intp, types.intp), codegen


@intrinsic
def replace_shared(typing_context: Any, record: Any, index: Any, before: Any, after: Any) -> Any:
    """Write an integer of a record if it still is ``before``; whether it was."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        done = builder.cmpxchg(_place(builder, *values[:2]), values[2], values[3], ORDER, ORDER)
        return builder.extract_value(done, 1)

    return types.boolean(types.voidptr, types.intp, types.intp, types.intp), codegen


@intrinsic
def clock(typing_context: Any) -> Any:
    """Nanoseconds of a clock that only goes forward."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(I32, [I32, I64.as_pointer()])
        time = cgutils.alloca_once(builder, I64, 2)
        builder.call(
            cgutils.get_or_insert_function(builder.module, kind, "clock_gettime"), [I32(CLOCK_MONOTONIC), time]
        )
        seconds, nanoseconds = (builder.load(builder.gep(time, [I32(i)])) for i in (0, 1))
        return builder.add(builder.mul(seconds, I64(1_000_000_000)), nanoseconds)

    return types.intp(), codegen


@intrinsic
def pause(typing_context: Any) -> Any:
    """Tell the processor that this thread waits for another; takes some tens of nanoseconds.

    On AArch64 by a barrier for instructions: ``yield``, made for this, takes no time there.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        name, arguments = (
            ("llvm.x86.sse2.pause", []) if _machine(context) == "x86_64" else ("llvm.aarch64.isb", [I32(15)])
        )
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)
        return context.get_dummy_value()

    return types.void(), codegen


def _futex(context: Any, builder: Any, place: Any, operation: int, value: Any) -> None:
    kind = ir.FunctionType(I64, [I64], var_arg=True)
    call = cgutils.get_or_insert_function(builder.module, kind, "syscall")
    number = FUTEX_NUMBER.get(_machine(context), OTHER_FUTEX_NUMBER)
    builder.call(call, [I64(number), place, I64(operation), value, I64(0), I64(0), I64(0)])


@intrinsic
def wait_while(typing_context: Any, record: Any, index: Any, value: Any) -> Any:
    """Sleep until this integer is rung, or for no reason; not at all if its lower half no longer is that of ``value``."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _futex(context, builder, _place(builder, *values[:2]), FUTEX_WAIT_PRIVATE, values[2])
        return context.get_dummy_value()

    return types.void(types.voidptr, types.intp, types.intp), codegen


@intrinsic
def ring(typing_context: Any, record: Any, index: Any, count: Any) -> Any:
    """Wake up to ``count`` threads that sleep on an integer."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _futex(context, builder, _place(builder, *values[:2]), FUTEX_WAKE_PRIVATE, values[2])
        return context.get_dummy_value()

    return types.void(types.voidptr, types.intp, types.intp), codegen


@intrinsic
def processor(typing_context: Any) -> Any:
    """The number of the processor that this thread is on."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        current = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I32, []), "sched_getcpu")
        return builder.sext(builder.call(current, []), I64)

    return types.intp(), codegen


def _affinity(name: str, builder: Any, mask: Any) -> None:
    kind = ir.FunctionType(I32, [I32, I64, I64.as_pointer()])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [I32(0), I64(8 * MASK_WORDS), mask])


@intrinsic
def read_affinity(typing_context: Any, mask: Any) -> Any:
    """Write to ``MASK_WORDS`` integers, a bit each, which processors this thread may use."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _affinity("sched_getaffinity", builder, values[0])
        return context.get_dummy_value()

    return types.void(types.CPointer(types.intp)), codegen


@intrinsic
def set_affinity(typing_context: Any, mask: Any) -> Any:
    """Let this thread use just these processors; it is moved at once if it has to be."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _affinity("sched_setaffinity", builder, values[0])
        return context.get_dummy_value()

    return types.void(types.CPointer(types.intp)), codegen


@intrinsic
def bit_length(typing_context: Any, number: Any) -> Any:
    """The number of binary digits of a positive number, 0 of 0."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.sub(I64(64), builder.ctlz(values[0], ir.Constant(ir.IntType(1), 0)))

    return types.intp(types.intp), codegen
