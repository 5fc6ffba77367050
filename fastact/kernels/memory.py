"""Numba intrinsics for the inner loops: raw memory, the vector loop itself, floating-point flags, foreign calls.

An inner loop works on ``char **args`` and byte strides as NumPy hands them over. Everything typed by element lives
here, so that ``elementwise.py`` can be written in plain Python.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastact.kernels.elementloop import BYTES, POINTERS
from fastact.kernels.intrinsics import I8, I32, I64, is_x86
from fastact.kernels.limits import LABEL_DTYPES
from fastact.kernels.target import WIDE_VECTORS

ALIGNMENT = 64
INTEGERS = types.CPointer(types.intp)
LOOP_SIGNATURE = types.void(POINTERS, INTEGERS, INTEGERS, types.voidptr)
"""``void loop(char **args, npy_intp *dims, npy_intp *steps, void *data)``, NumPy's inner loop."""
LOOP_LLVM = ir.FunctionType(ir.VoidType(), [BYTES.as_pointer(), I64.as_pointer(), I64.as_pointer(), BYTES])


def entry_types(integers: int | None) -> tuple[Any, Any]:
    """Numba's and LLVM's type of an inner loop, or of a function of a record and so many integers that returns one."""
    if integers is None:
        return LOOP_SIGNATURE, LOOP_LLVM
    signature = types.intp(types.voidptr, *[types.intp] * integers)
    return signature, ir.FunctionType(I64, [BYTES, *[I64] * integers])


def allow_wide_vectors(function: Any) -> None:
    """Attach ``WIDE_VECTORS``; llvmlite offers no string attributes but prints any that the set holds."""
    set.add(function.attributes, WIDE_VECTORS)


@intrinsic
def own_function_with_wide_vectors(typing_context: Any) -> Any:
    """Keep the enclosing function out of line and let it use the widest registers."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.function.attributes.add("noinline")
        allow_wide_vectors(builder.function)
        return context.get_dummy_value()

    return types.void(), codegen


def stack_space(size: int) -> Any:
    """An intrinsic that returns ``size`` bytes of the caller's stack, aligned for vectors."""

    @intrinsic
    def space(typing_context: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return stack_room(builder, size)

        return types.voidptr(), codegen

    return space


def stack_room(builder: Any, size: int) -> Any:
    """The address of ``size`` bytes of the stack of the function that is being built, aligned for vectors."""
    # Not cgutils.alloca_once, whose zero fill of a large array costs LLVM seconds and every call a memset.
    with builder.goto_entry_block():
        memory = builder.alloca(ir.ArrayType(I8, size))
        memory.align = ALIGNMENT
        return builder.bitcast(memory, BYTES)


@intrinsic
def allocate(typing_context: Any, size: Any) -> Any:
    """``size`` bytes aligned for vectors, for ``release`` to free: what is too much for the stack of a server's thread."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        malloc = cgutils.get_or_insert_function(builder.module, ir.FunctionType(BYTES, [I64]), "malloc")
        address = builder.ptrtoint(builder.call(malloc, [builder.add(values[0], I64(2 * ALIGNMENT))]), I64)
        aligned = builder.and_(builder.add(address, I64(2 * ALIGNMENT - 1)), I64(-ALIGNMENT))
        place = builder.inttoptr(builder.sub(aligned, I64(8)), I64.as_pointer())
        builder.store(address, place)
        return builder.inttoptr(aligned, BYTES)

    return types.voidptr(types.intp), codegen


@intrinsic
def release(typing_context: Any, memory: Any) -> Any:
    """Free what ``allocate`` gave."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        free = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), [BYTES]), "free")
        place = builder.gep(builder.bitcast(values[0], I64.as_pointer()), [I64(-1)])
        builder.call(free, [builder.inttoptr(builder.load(place), BYTES)])
        return context.get_dummy_value()

    return types.void(types.voidptr), codegen


def stack_pointers(count: int) -> Any:
    """An intrinsic that returns ``count`` uninitialised pointers on the caller's stack."""

    @intrinsic
    def pointers(typing_context: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            with builder.goto_entry_block():
                return builder.bitcast(builder.alloca(ir.ArrayType(BYTES, count)), BYTES.as_pointer())

        return POINTERS(), codegen

    return pointers


def stack_integers(count: int) -> Any:
    """An intrinsic that returns ``count`` uninitialised integers on the caller's stack."""

    @intrinsic
    def integers(typing_context: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            with builder.goto_entry_block():
                return builder.bitcast(builder.alloca(ir.ArrayType(I64, count)), I64.as_pointer())

        return INTEGERS(), codegen

    return integers


@intrinsic
def set_integer(typing_context: Any, integers: Any, index: Any, value: Any) -> Any:
    """``integers[index] = value``."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[2], builder.gep(values[0], [values[1]]))
        return context.get_dummy_value()

    return types.void(INTEGERS, types.intp, types.intp), codegen


@intrinsic
def advance(typing_context: Any, pointer: Any, offset: Any) -> Any:
    """``pointer + offset`` in bytes."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.gep(values[0], [values[1]])

    return types.voidptr(types.voidptr, types.intp), codegen


@intrinsic
def set_pointer(typing_context: Any, pointers: Any, index: Any, value: Any) -> Any:
    """``pointers[index] = value``."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[2], builder.gep(values[0], [values[1]]))
        return context.get_dummy_value()

    return types.void(POINTERS, types.intp, types.voidptr), codegen


def copy_element(size: int) -> Any:
    """An intrinsic that copies one element of ``size`` bytes between addresses aligned to it."""
    kind = ir.IntType(8 * size)

    @intrinsic
    def copy(typing_context: Any, target: Any, source: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            target, source = (builder.bitcast(v, kind.as_pointer()) for v in values)
            builder.store(builder.load(source), target)
            return context.get_dummy_value()

        return types.void(types.voidptr, types.voidptr), codegen

    return copy


def spread_element(size: int) -> Any:
    """An intrinsic that copies the one element of ``size`` bytes at ``source`` to ``count`` places in a row."""
    kind = ir.IntType(8 * size)

    @intrinsic
    def spread(typing_context: Any, target: Any, source: Any, count: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            target, source = (builder.bitcast(v, kind.as_pointer()) for v in values[:2])
            element = builder.load(source)
            with cgutils.for_range(builder, values[2], intp=I64) as loop:
                builder.store(element, builder.gep(target, [loop.index]))
            return context.get_dummy_value()

        return types.void(types.voidptr, types.voidptr, types.intp), codegen

    return spread


@intrinsic
def copy_bytes(typing_context: Any, target: Any, source: Any, count: Any) -> Any:
    """``memcpy(target, source, count)``."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        cgutils.raw_memcpy(builder, *values, itemsize=1)
        return context.get_dummy_value()

    return types.void(types.voidptr, types.voidptr, types.intp), codegen


@intrinsic
def stream_line(typing_context: Any, target: Any, source: Any) -> Any:
    """Copy a cache line from anywhere to the beginning of one, past the caches: what was there is not read first."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        line = ir.VectorType(I32, ALIGNMENT // 4).as_pointer()
        target, source = (builder.bitcast(v, line) for v in values)
        store = builder.store(builder.load(source, align=1), target, align=ALIGNMENT)
        store.set_metadata("nontemporal", builder.module.add_metadata([I32(1)]))
        return context.get_dummy_value()

    return types.void(types.voidptr, types.voidptr), codegen


@intrinsic
def publish_streamed(typing_context: Any) -> Any:
    """Let no later write of this thread be seen before those past the caches: the order of other writes does not hold for them."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def zero_bytes(typing_context: Any, target: Any, count: Any) -> Any:
    """``memset(target, 0, count)``."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        cgutils.memset(builder, *values, 0)
        return context.get_dummy_value()

    return types.void(types.voidptr, types.intp), codegen


ONE = {2: 0x3C00, 4: 0x3F800000, 8: 0x3FF0000000000000}


def fill_with_ones(size: int, count: int) -> Any:
    """An intrinsic that writes ``count`` floats 1.0 of ``size`` bytes: operands that no formula is slow for."""
    kind = ir.VectorType(ir.IntType(8 * size), count)

    @intrinsic
    def fill(typing_context: Any, target: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            ones = ir.Constant(kind, [ONE[size]] * count)
            builder.store(ones, builder.bitcast(values[0], kind.as_pointer()), align=size)
            return context.get_dummy_value()

        return types.void(types.voidptr), codegen

    return fill


def copy_first(size: int, count: int) -> Any:
    """An intrinsic that copies the first ``n`` of ``count`` elements of ``size`` bytes, and writes floats 1.0 after them.

    A load of more than one store has written waits until all of them have reached the cache. So on x86-64 whole vectors are
    written, as they are read later; where there are no masks for that, elements are copied as bytes.
    """
    kind = ir.VectorType(ir.IntType(8 * size), count)

    @intrinsic
    def copy(typing_context: Any, target: Any, source: Any, n: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            target, source, n = values
            place, ones = builder.bitcast(target, kind.as_pointer()), ir.Constant(kind, [ONE[size]] * count)
            if size >= 4 and is_x86(context):
                numbers = ir.VectorType(I32, count)
                limit = builder.insert_element(ir.Constant(numbers, ir.Undefined), builder.trunc(n, I32), I32(0))
                limit = builder.shuffle_vector(limit, limit, ir.Constant(numbers, [0] * count))
                given = builder.icmp_signed("<", ir.Constant(numbers, list(range(count))), limit)
                name = f"llvm.masked.load.v{count}i{8 * size}.p0"
                signature = ir.FunctionType(kind, [kind.as_pointer(), I32, given.type, kind])
                load = cgutils.get_or_insert_function(builder.module, signature, name)
                source = builder.bitcast(source, kind.as_pointer())
                builder.store(builder.call(load, [source, I32(size), given, ones]), place, align=size)
            else:
                builder.store(ones, place, align=size)
                cgutils.raw_memcpy(builder, target, source, n, itemsize=size)
            return context.get_dummy_value()

        return types.void(types.voidptr, types.voidptr, types.intp), codegen

    return copy


@intrinsic
def field(typing_context: Any, record: Any, index: Any) -> Any:
    """The 64-bit integer number ``index`` of a record."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(builder.gep(builder.bitcast(values[0], I64.as_pointer()), [values[1]]))

    return types.intp(types.voidptr, types.intp), codegen


@intrinsic
def as_pointer(typing_context: Any, address: Any) -> Any:
    """An integer as the address it holds."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], BYTES)

    return types.voidptr(types.intp), codegen


@intrinsic
def as_address(typing_context: Any, pointer: Any) -> Any:
    """A pointer of any kind as the integer of its address."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ptrtoint(values[0], I64)

    return types.intp(pointer), codegen


@intrinsic
def as_pointers(typing_context: Any, address: Any) -> Any:
    """An integer as the address of a row of pointers."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], BYTES.as_pointer())

    return POINTERS(types.intp), codegen


@intrinsic
def as_integers(typing_context: Any, address: Any) -> Any:
    """An integer as the address of a row of integers."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], I64.as_pointer())

    return INTEGERS(types.intp), codegen


@intrinsic
def call_loop(typing_context: Any, address: Any, args: Any, dims: Any, steps: Any, data: Any) -> Any:
    """Call the inner loop at ``address``."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address, *arguments = values
        builder.call(builder.inttoptr(address, LOOP_LLVM.as_pointer()), arguments)
        return context.get_dummy_value()

    return types.void(types.intp, POINTERS, INTEGERS, INTEGERS, types.voidptr), codegen


@intrinsic
def load_label(typing_context: Any, place: Any, kind: Any) -> Any:
    """An integer of one of ``LABEL_DTYPES`` as a signed 64-bit one; those too large for that come out as the smallest."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place, kind = values
        done = builder.append_basic_block("label")
        other = builder.append_basic_block("no_label")
        switch = builder.switch(kind, other)
        arms = []
        for number, dtype in enumerate(LABEL_DTYPES):
            arm = builder.append_basic_block(dtype)
            switch.add_case(I64(number), arm)
            builder.position_at_end(arm)
            integer = ir.IntType(8 * np.dtype(dtype).itemsize)
            value = builder.load(builder.bitcast(place, integer.as_pointer()))
            if integer.width < 64:
                value = (builder.sext if dtype.startswith("int") else builder.zext)(value, I64)
            elif dtype == "uint64":
                too_large = builder.icmp_signed("<", value, I64(0))
                value = builder.select(too_large, I64(-(2**63)), value)
            arms.append((value, arm))
            builder.branch(done)
        builder.position_at_end(other)
        builder.unreachable()
        builder.position_at_end(done)
        label = builder.phi(I64)
        for value, arm in arms:
            label.add_incoming(value, arm)
        return label

    return types.intp(types.voidptr, types.intp), codegen


@intrinsic
def set_field(typing_context: Any, record: Any, index: Any, value: Any) -> Any:
    """Write the 64-bit integer number ``index`` of a record."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        record, index, value = values
        builder.store(value, builder.gep(builder.bitcast(record, I64.as_pointer()), [index]))
        return context.get_dummy_value()

    return types.void(types.voidptr, types.intp, types.intp), codegen


@intrinsic
def ask(typing_context: Any, address: Any) -> Any:
    """The 64-bit integer that the function at an address returns."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.call(builder.inttoptr(values[0], ir.FunctionType(I64, []).as_pointer()), [])

    return types.intp(types.intp), codegen
