"""The inner loop for elements of bfloat16, one for all elementwise kernels: another loop computes them in float32.

A bfloat16 is the upper half of a float32. Operands are widened tile by tile, the kernel's own float32 loop is called, and its
results are rounded once. So nothing is compiled for bfloat16 but this, and results are those of float32, rounded.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastact.kernels import memory
from fastact.kernels.elementwise import taken_by_team
from fastact.kernels.fields import (
    COMPUTES,
    FIRST,
    INPUTS,
    KERNEL,
    MOST_OPERANDS,
    NARGS,
    PARALLEL_FROM,
    SIZES_OF_OPERANDS,
    WIDENED,
)
from fastact.kernels.instance import instance
from fastact.kernels.intrinsics import I32
from fastact.kernels.jit import internal
from fastact.kernels.memory import (
    ALIGNMENT,
    advance,
    as_pointer,
    call_loop,
    field,
    own_function_with_wide_vectors,
    set_integer,
    set_pointer,
)
from fastact.kernels.overlap import ANY_ORDER, ONE_BY_ONE, order_between
from fastact.kernels.templates import FILLED_IN

NARROW, WIDE = 2, 4
"""Bytes of a bfloat16 and of a float32."""
TILE = 512
"""Elements that are widened at a time; a tile of each operand lies on the stack, beside those of the loop that computes them."""
BLOCK = 32
"""Elements that are widened or rounded by one instruction of LLVM's."""

I16 = ir.IntType(16)
SIGN_AWAY, INFINITE, QUIET, BELOW_HALF = 0x7FFFFFFF, 0x7F800000, 0x40, 0x7FFF
"""Of the bits of a float32: all but the sign; those of infinity, which only NaN's exceed. Of a bfloat16's: what makes a NaN quiet;
and one less than half a unit in its last place, as float32 has it."""

tiles = inner_pointers = inner_dims = inner_steps = FILLED_IN


def kernel(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Compute ``dims[0]`` elements; the C type is NumPy's inner loop."""
    n = dims[0]
    loop, count = as_pointer(field(record, WIDENED)), field(record, NARGS)
    inputs = field(loop, INPUTS)
    order = ANY_ORDER
    if n >= field(record, PARALLEL_FROM) or (
        inputs == 2 and count == 3
    ):  # as NumPy defines ``reduce`` and ``accumulate``
        order = strictest_order(args, steps, n, count, loop)
    if order == ANY_ORDER and taken_by_team(n, args, dims, steps, record):
        return
    in_tiles(args, n, steps, loop, count, 1 if order == ONE_BY_ONE else TILE)


@internal
def strictest_order(args: Any, steps: Any, n: Any, count: Any, loop: Any) -> Any:
    """The strictest order that any output needs; an operand wider than it is looked at from both its ends."""
    order = ANY_ORDER
    for k in range(field(loop, INPUTS), count):
        size = field(loop, SIZES_OF_OPERANDS + k)
        for j in range(count):
            if j != k:
                wider = max(0, field(loop, SIZES_OF_OPERANDS + j) - size)
                order = max(order, order_between(args[j], steps[j], args[k], steps[k], n, size))
                order = max(order, order_between(advance(args[j], wider), steps[j], args[k], steps[k], n, size))
    return order


def in_tiles(args: Any, n: Any, steps: Any, loop: Any, count: Any, most: Any) -> None:
    """Compute ``n`` elements, at most so many at a time."""
    space, pointers, inner_n, within = tiles(), inner_pointers(), inner_dims(), inner_steps()
    computes = as_pointer(field(loop, COMPUTES))
    inputs = field(loop, INPUTS)
    for start in range(0, n, most):
        elements = min(most, n - start)
        set_integer(inner_n, 0, elements)
        for j in range(count):
            operand, tile = advance(args[j], start * steps[j]), advance(space, j * TILE * WIDE)
            if field(loop, SIZES_OF_OPERANDS + j) != NARROW:
                set_pointer(pointers, j, operand)
                set_integer(within, j, steps[j])
            else:
                set_pointer(pointers, j, tile)
                if j < inputs and steps[j] == 0:  # one element for all, and for all tiles
                    set_integer(within, j, 0)
                    widen_element(tile, operand)
                else:
                    set_integer(within, j, WIDE)
                    if j < inputs:
                        widen(tile, operand, steps[j], elements)
        compiled = field(computes, KERNEL)
        if compiled == 0:
            compiled = field(loop, FIRST)
        call_loop(compiled, pointers, inner_n, within, computes)
        for j in range(inputs, count):
            if field(loop, SIZES_OF_OPERANDS + j) == NARROW:
                narrow(advance(args[j], start * steps[j]), steps[j], advance(space, j * TILE * WIDE), elements)


def widen(tile: Any, operand: Any, step: Any, count: Any) -> None:
    """Write ``count`` elements that lie ``step`` bytes apart to a tile of float32."""
    own_function_with_wide_vectors()
    whole = count // BLOCK * BLOCK if step == NARROW else 0
    for i in range(0, whole, BLOCK):
        widen_block(advance(tile, i * WIDE), advance(operand, i * NARROW))
    for i in range(whole, count):
        widen_element(advance(tile, i * WIDE), advance(operand, i * step))


def narrow(operand: Any, step: Any, tile: Any, count: Any) -> None:
    """Round ``count`` elements of a tile of float32 to places that lie ``step`` bytes apart."""
    own_function_with_wide_vectors()
    whole = count // BLOCK * BLOCK if step == NARROW else 0
    for i in range(0, whole, BLOCK):
        narrow_block(advance(operand, i * NARROW), advance(tile, i * WIDE))
    for i in range(whole, count):
        narrow_element(advance(operand, i * step), advance(tile, i * WIDE))


def _as_many(kind: Any, count: int) -> Any:
    return kind if count == 1 else ir.VectorType(kind, count)


def _constant(kind: Any, value: int) -> Any:
    return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)


def _widening(count: int) -> Any:
    """An intrinsic that writes so many elements of bfloat16 as float32."""
    narrow, wide = _as_many(I16, count), _as_many(I32, count)

    @intrinsic
    def widen(typing_context: Any, target: Any, source: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            target, source = values
            bits = builder.load(builder.bitcast(source, narrow.as_pointer()), align=NARROW)
            bits = builder.shl(builder.zext(bits, wide), _constant(wide, 16))
            builder.store(bits, builder.bitcast(target, wide.as_pointer()), align=ALIGNMENT if count > 1 else WIDE)
            return context.get_dummy_value()

        return types.void(types.voidptr, types.voidptr), codegen

    return widen


def _narrowing(count: int) -> Any:
    """An intrinsic that rounds so many elements of float32 to the nearest bfloat16, of two to the one whose last bit is 0."""
    narrow, wide = _as_many(I16, count), _as_many(I32, count)

    @intrinsic
    def round_to(typing_context: Any, target: Any, source: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            target, source = values
            sixteen = _constant(wide, 16)
            place = builder.bitcast(source, wide.as_pointer())
            bits = builder.load(place, align=ALIGNMENT if count > 1 else WIDE)
            upper = builder.lshr(bits, sixteen)
            odd = builder.and_(upper, _constant(wide, 1))
            rounded = builder.add(builder.add(bits, _constant(wide, BELOW_HALF)), odd)
            rounded = builder.lshr(rounded, sixteen)
            magnitude = builder.and_(bits, _constant(wide, SIGN_AWAY))
            is_nan = builder.icmp_unsigned(">", magnitude, _constant(wide, INFINITE))
            found = builder.select(is_nan, builder.or_(upper, _constant(wide, QUIET)), rounded)
            found = builder.trunc(found, narrow)
            builder.store(found, builder.bitcast(target, narrow.as_pointer()), align=NARROW)
            return context.get_dummy_value()

        return types.void(types.voidptr, types.voidptr), codegen

    return round_to


widen_element, widen_block = _widening(1), _widening(BLOCK)
narrow_element, narrow_block = _narrowing(1), _narrowing(BLOCK)


def specialise() -> Callable[..., Any]:
    """The loop, ready to be compiled."""
    filled = {
        "tiles": memory.stack_space(MOST_OPERANDS * TILE * WIDE),
        "inner_pointers": memory.stack_pointers(MOST_OPERANDS),
        "inner_dims": memory.stack_integers(1),
        "inner_steps": memory.stack_integers(MOST_OPERANDS),
    }
    return instance(kernel, filled)
