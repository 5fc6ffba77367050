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

from fastact.kernels.flags import access_mxcsr
from fastact.kernels.intrinsics import I32, I64

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
def merge_shared(typing_context: Any, record: Any, index: Any, bits: Any) -> Any:
    """Set bits of an integer of a record."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.atomic_rmw("or", _place(builder, *values[:2]), values[2], ORDER)
        return context.get_dummy_value()

    return types.void(types.voidptr, types.intp, types.intp), codegen


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


ROUNDING_X86, MASKED_X86 = 0xE040, 0x1F80
"""Of MXCSR: the rounding mode and what becomes of subnormals; and that no exception interrupts the program."""
ROUNDING_AARCH64 = 0x7CF0007
"""Of FPCR: the same, and which NaN results; no bit that would make exceptions interrupt."""


@intrinsic
def fp_control(typing_context: Any) -> Any:
    """How this thread's floating-point unit rounds, and whether it flushes subnormals to zero."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if _machine(context) == "x86_64":
            slot = cgutils.alloca_once(builder, I32)
            access_mxcsr(builder, "st", slot)
            return builder.zext(builder.and_(builder.load(slot), I32(ROUNDING_X86)), I64)
        read = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I64, []), "llvm.aarch64.get.fpcr")
        return builder.and_(builder.call(read, []), I64(ROUNDING_AARCH64))

    return types.intp(), codegen


@intrinsic
def set_fp_control(typing_context: Any, control: Any) -> Any:
    """Let this thread's floating-point unit do as that of the thread from which ``fp_control`` had the answer."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if _machine(context) == "x86_64":
            slot = cgutils.alloca_once(builder, I32)
            builder.store(builder.or_(builder.trunc(values[0], I32), I32(MASKED_X86)), slot)
            access_mxcsr(builder, "ld", slot)
        else:
            kind = ir.FunctionType(ir.VoidType(), [I64])
            write = cgutils.get_or_insert_function(builder.module, kind, "llvm.aarch64.set.fpcr")
            builder.call(write, [values[0]])
        return context.get_dummy_value()

    return types.void(types.intp), codegen


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


def _affinity(builder: Any, verb: str, task: Any, mask: Any) -> Any:
    kind = ir.FunctionType(I32, [I32, I64, I64.as_pointer()])
    function = cgutils.get_or_insert_function(builder.module, kind, f"sched_{verb}affinity")
    return builder.call(function, [task, I64(8 * MASK_WORDS), mask])


def _read_affinity(builder: Any, task: Any, mask: Any) -> None:
    """Of a machine with more processors than a mask has, a mask of none is read."""
    failed = builder.icmp_signed("!=", _affinity(builder, "get", task, mask), I32(0))
    with builder.if_then(failed):
        for j in range(MASK_WORDS):
            builder.store(I64(0), builder.gep(mask, [I64(j)]))


@intrinsic
def read_own_affinity(typing_context: Any, mask: Any) -> Any:
    """Write to ``MASK_WORDS`` integers, a bit each, which processors this thread may use."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _read_affinity(builder, I32(0), values[0])
        return context.get_dummy_value()

    return types.void(types.CPointer(types.intp)), codegen


@intrinsic
def read_affinity_of_process(typing_context: Any, mask: Any) -> Any:
    """As ``read_own_affinity``, of the process's first thread: what one asks, or tells, the system about a process."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        own = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I32, []), "getpid")
        _read_affinity(builder, builder.call(own, []), values[0])
        return context.get_dummy_value()

    return types.void(types.CPointer(types.intp)), codegen


@intrinsic
def set_affinity(typing_context: Any, mask: Any) -> Any:
    """Let this thread use just these processors; it is moved at once if it has to be."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _affinity(builder, "set", I32(0), values[0])
        return context.get_dummy_value()

    return types.void(types.CPointer(types.intp)), codegen


@intrinsic
def bit_length(typing_context: Any, number: Any) -> Any:
    """The number of binary digits of a positive number, 0 of 0."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.sub(I64(64), builder.ctlz(values[0], ir.Constant(ir.IntType(1), 0)))

    return types.intp(types.intp), codegen
