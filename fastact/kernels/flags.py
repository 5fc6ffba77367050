"""Numba intrinsics for floating-point exception flags: what kernels clear, raise, and hand over between threads."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastact.kernels.elementloop import BYTES
from fastact.kernels.intrinsics import I32, I64, is_x86
from fastact.kernels.limits import INVALID

REPORTED_FLAGS_X86, REPORTED_FLAGS_OTHER = 0x1D, 0x0F
"""Invalid, division by zero, overflow and underflow, which NumPy reports. Inexact is up after almost any loop, and to write
MXCSR takes as long as to compute a few hundred elements."""


@intrinsic
def clear_fp_flags(typing_context: Any) -> Any:
    """Clear the floating-point exception flags that code of this package can raise.

    Lanes that a ``select`` throws away raise flags all the same, which NumPy would turn into warnings, or into errors under
    ``np.errstate(all="raise")``. On x86-64 the flags of vector code are in MXCSR: reading it is cheap, so it is written only
    when a flag is up.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if is_x86(context):
            _clear_mxcsr(builder)
        else:
            _call_on_flags(builder, "feclearexcept", REPORTED_FLAGS_OTHER)
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def clear_all_fp_flags(typing_context: Any) -> Any:
    """Clear the floating-point exception flags that any code can raise, such as a C library's.

    On x86-64 there are two sets of them, and NumPy reads both: glibc computes ``fmod``, which is ``%``, on x87, whose flags are in
    its status word. To clear those takes tens of nanoseconds, so it is asked first whether any is up.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        reported = REPORTED_FLAGS_X86 if is_x86(context) else REPORTED_FLAGS_OTHER
        raised = _call_on_flags(builder, "fetestexcept", reported)
        with builder.if_then(builder.icmp_signed("!=", raised, I32(0))):
            _call_on_flags(builder, "feclearexcept", reported)
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def raised_fp_flags(typing_context: Any) -> Any:
    """The exception flags that vector code has put up in this thread."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if not is_x86(context):
            return builder.zext(_call_on_flags(builder, "fetestexcept", REPORTED_FLAGS_OTHER), I64)
        return _as_known(builder, builder.zext(builder.load(_read_mxcsr(builder)), I64))

    return types.intp(), codegen


@intrinsic
def raised_all_fp_flags(typing_context: Any) -> Any:
    """The exception flags that any code has put up in this thread.

    On x86-64 glibc's ``feraiseexcept``, by which NumPy says that halves overflow or underflow, puts some up on x87.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if not is_x86(context):
            return builder.zext(_call_on_flags(builder, "fetestexcept", REPORTED_FLAGS_OTHER), I64)
        return _as_known(builder, builder.zext(_call_on_flags(builder, "fetestexcept", REPORTED_FLAGS_X86), I64))

    return types.intp(), codegen


@intrinsic
def raise_fp_flags(typing_context: Any, flags: Any) -> Any:
    """Put exception flags up in this thread, if any are given, for NumPy to find."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        flags = values[0]
        with builder.if_then(builder.icmp_signed("!=", flags, I64(0)), likely=False):
            if is_x86(context):  # where what is between the first and the second tells of subnormal operands
                later = builder.shl(builder.and_(flags, I64(14)), I64(1))
                bits = builder.trunc(builder.or_(builder.and_(flags, I64(INVALID)), later), I32)
                slot = _read_mxcsr(builder)
                builder.store(builder.or_(builder.load(slot), bits), slot)
                _write_mxcsr(builder, slot)
            else:
                kind = ir.FunctionType(I32, [I32])
                function = cgutils.get_or_insert_function(builder.module, kind, "feraiseexcept")
                builder.call(function, [builder.trunc(flags, I32)])
        return context.get_dummy_value()

    return types.void(types.intp), codegen


def _call_on_flags(builder: Any, name: str, flags: int) -> Any:
    """Call a function of the C library that takes a set of flags."""
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I32, [I32]), name)
    return builder.call(function, [I32(flags)])


def _as_known(builder: Any, flags: Any) -> Any:
    """The flags of x86-64, of which the second tells of subnormal operands, as ``fastact.kernels.limits`` numbers them."""
    return builder.or_(builder.and_(flags, I64(INVALID)), builder.and_(builder.lshr(flags, I64(1)), I64(14)))


def _clear_mxcsr(builder: Any) -> None:
    slot = _read_mxcsr(builder)
    state = builder.load(slot)
    with builder.if_then(builder.icmp_unsigned("!=", builder.and_(state, I32(REPORTED_FLAGS_X86)), I32(0))):
        builder.store(builder.and_(state, I32(~REPORTED_FLAGS_X86 & 0xFFFFFFFF)), slot)
        _write_mxcsr(builder, slot)


def _read_mxcsr(builder: Any) -> Any:
    """A place on the stack with the control and the flags of vector code."""
    slot = cgutils.alloca_once(builder, I32)
    access_mxcsr(builder, "st", slot)
    return slot


def _write_mxcsr(builder: Any, slot: Any) -> None:
    access_mxcsr(builder, "ld", slot)


def access_mxcsr(builder: Any, direction: str, slot: Any) -> None:
    """Store (``"st"``) or load (``"ld"``) the control and the flags of vector code."""
    kind = ir.FunctionType(ir.VoidType(), [BYTES])
    access = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{direction}mxcsr")
    builder.call(access, [builder.bitcast(slot, BYTES)])
