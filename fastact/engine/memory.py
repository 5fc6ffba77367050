"""Numba intrinsics for the inner loops: raw memory, the vector loop itself, floating-point flags, foreign calls.

An inner loop works on ``char **args`` and byte strides as NumPy hands them over. Everything typed by element lives
here, so that ``loops.py`` can be written in plain Python.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastact.engine.intrinsics import F32, F64, I32, I64

I8, HALF = ir.IntType(8), ir.HalfType()
BYTES = I8.as_pointer()
POINTERS = types.CPointer(types.voidptr)
INTEGERS = types.CPointer(types.intp)
LOOP_SIGNATURE = types.void(POINTERS, INTEGERS, INTEGERS, types.voidptr)
"""``void loop(char **args, npy_intp *dims, npy_intp *steps, void *data)``, NumPy's inner loop."""
LOOP_LLVM = ir.FunctionType(ir.VoidType(), [BYTES.as_pointer(), I64.as_pointer(), I64.as_pointer(), BYTES])

STORAGE = {"float16": HALF, "float32": F32, "float64": F64}
"""How an element lies in memory."""
COMPUTED_IN = {"float16": types.float32, "float32": types.float32, "float64": types.float64}
"""What a formula computes an element in; float16 widens on load and is rounded once on store."""


class ElementLoop:
    """The contiguous loop ``for i in range(n): outputs[i] = formula(*inputs[i])`` for one formula and one dtype.

    ``emit`` is called while Numba lowers an intrinsic, where the formula is a compilable function. The loads carry
    ``alias.scope`` metadata saying that inputs and outputs do not overlap. NumPy's ufunc machinery has copied any partial
    overlap before the loop is called, and exact aliasing (``out=x``) is harmless elementwise; without the promise LLVM
    checks at run time and sends in-place calls to a scalar loop, 14 times slower.
    """

    def __init__(self, formula: Any, dtype: str, inputs: int, outputs: int, times_gradient: bool) -> None:
        self.formula = formula
        self.times_gradient = times_gradient
        self.storage = STORAGE[dtype]
        self.compute_type = COMPUTED_IN[dtype]
        self.inputs = inputs
        self.outputs = outputs

    def intrinsic(self) -> Any:
        """Numba's name for the loop: a function of the operands' pointers and ``n``."""

        @intrinsic
        def element_loop(typing_context: Any, pointers: Any, n: Any) -> Any:
            formula_type = typing_context.resolve_value_type(self.formula)
            arity = self.inputs - self.times_gradient
            signature = formula_type.get_call_type(typing_context, (self.compute_type,) * arity, {})

            def codegen(context: Any, builder: Any, _: Any, values: Any) -> Any:
                formula = context.get_function(formula_type, signature)
                self._emit(context, builder, formula, signature, *values)
                return context.get_dummy_value()

            return types.void(POINTERS, types.intp), codegen

        return element_loop

    def _emit(self, context: Any, builder: Any, formula: Any, signature: Any, pointers: Any, n: Any) -> None:
        count = self.inputs + self.outputs
        base = [
            builder.bitcast(builder.load(builder.gep(pointers, [I64(j)])), self.storage.as_pointer())
            for j in range(count)
        ]
        reads, writes = _disjoint_scopes(builder.module)
        entry = builder.block
        body, done = builder.append_basic_block("elements"), builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", n, I64(0)), body, done)
        builder.position_at_end(body)
        index = builder.phi(I64)
        index.add_incoming(I64(0), entry)
        values = [self._load(builder, p, index, reads, writes) for p in base[: self.inputs]]
        results, kinds = [formula(builder, values[self.times_gradient :])], [signature.return_type]
        if isinstance(signature.return_type, types.BaseTuple):
            results, kinds = cgutils.unpack_tuple(builder, results[0], self.outputs), signature.return_type.types
        for place, value, kind in zip(base[self.inputs :], results, kinds, strict=True):
            value = context.cast(builder, value, kind, self.compute_type)
            if self.times_gradient:
                value = builder.fmul(values[0], value)
            self._store(builder, place, index, value, reads, writes)
        following = builder.add(index, I64(1), flags=["nsw"])
        index.add_incoming(following, builder.block)
        repeat = builder.cbranch(builder.icmp_signed("<", following, n), body, done)
        repeat.set_metadata("llvm.loop", _interleaved(builder.module))
        builder.position_at_end(done)

    def _load(self, builder: Any, base: Any, index: Any, reads: Any, writes: Any) -> Any:
        value = builder.load(builder.gep(base, [index], inbounds=True))
        value.set_metadata("alias.scope", reads)
        value.set_metadata("noalias", writes)
        value.align = 1 if self.storage == HALF else value.align
        return builder.fpext(value, F32) if self.storage == HALF else value

    def _store(self, builder: Any, base: Any, index: Any, value: Any, reads: Any, writes: Any) -> None:
        if self.storage == HALF:
            value = builder.fptrunc(value, HALF)
        instruction = builder.store(value, builder.gep(base, [index], inbounds=True))
        instruction.set_metadata("alias.scope", writes)
        instruction.set_metadata("noalias", reads)


INTERLEAVE = 2
"""Vectors computed at a time. A formula is one long chain of dependent instructions; LLVM thinks that a processor finds the next
vector's by itself, but its scheduler holds too few instructions for that."""


def _interleaved(module: Any) -> Any:
    """Loop metadata that asks the vectoriser for ``INTERLEAVE``; such a node names itself first."""
    wish = module.add_metadata([ir.MetaDataString(module, "llvm.loop.interleave.count"), I32(INTERLEAVE)])
    loop = module.add_metadata([wish, ir.MetaDataString(module, f"fastact {len(module.metadata)}")])
    loop.operands = (loop, wish)
    return loop


def _disjoint_scopes(module: Any) -> tuple[Any, Any]:
    domain = module.add_metadata([ir.MetaDataString(module, "fastact")])
    scopes = [
        module.add_metadata([module.add_metadata([ir.MetaDataString(module, name), domain])])
        for name in ("reads", "writes")
    ]
    return scopes[0], scopes[1]


WIDE_VECTORS = '"prefer-vector-width"="512"'
"""Attribute of a function that may use the widest registers: LLVM stops at 256 bits on most Intel cores otherwise."""


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
            # Not cgutils.alloca_once, whose zero fill of a large array costs LLVM seconds and every call a memset.
            with builder.goto_entry_block():
                memory = builder.alloca(ir.ArrayType(I8, size))
                memory.align = 64
                return builder.bitcast(memory, BYTES)

        return types.voidptr(), codegen

    return space


def stack_pointers(count: int) -> Any:
    """An intrinsic that returns ``count`` uninitialised pointers on the caller's stack."""

    @intrinsic
    def pointers(typing_context: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            with builder.goto_entry_block():
                return builder.bitcast(builder.alloca(ir.ArrayType(BYTES, count)), BYTES.as_pointer())

        return POINTERS(), codegen

    return pointers


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
def call_loop(typing_context: Any, address: Any, args: Any, n: Any, steps: Any, data: Any) -> Any:
    """Call the inner loop at ``address`` with ``dims = {n}``."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address, args, n, steps, data = values
        dims = cgutils.alloca_once_value(builder, n)
        builder.call(builder.inttoptr(address, LOOP_LLVM.as_pointer()), [args, dims, steps, data])
        return context.get_dummy_value()

    return types.void(types.intp, POINTERS, types.intp, INTEGERS, types.voidptr), codegen


@intrinsic
def try_lock(typing_context: Any, lock: Any) -> Any:
    """Take the lock at an address if it is free; never waits."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = builder.inttoptr(values[0], I64.as_pointer())
        return builder.extract_value(builder.cmpxchg(place, I64(0), I64(1), "acquire", "monotonic"), 1)

    return types.boolean(types.intp), codegen


@intrinsic
def unlock(typing_context: Any, lock: Any) -> Any:
    """Free the lock at an address."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store_atomic(I64(0), builder.inttoptr(values[0], I64.as_pointer()), "release", 8)
        return context.get_dummy_value()

    return types.void(types.intp), codegen


TEAM_LLVM = ir.FunctionType(
    ir.VoidType(), [BYTES, BYTES.as_pointer(), I64.as_pointer(), I64.as_pointer(), BYTES, I64, I64, I64]
)
"""``parallel_for(fn, args, dims, steps, data, inner_ndim, array_count, num_threads)`` of Numba's threading layers."""


@intrinsic
def call_team(typing_context: Any, team: Any, body: Any, chunks: Any, threads: Any, data: Any) -> Any:
    """Run ``body`` over chunk numbers ``0 .. chunks - 1``, shared out over ``threads`` threads; wait for all.

    A threading layer hands each thread ``args[0] + i * steps[0]`` for its chunks ``i``; with a null base and a step of 1 the
    pointer *is* the chunk number.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        team, body, chunks, threads, data = values
        base = cgutils.alloca_once_value(builder, ir.Constant(BYTES, None))
        dims = cgutils.alloca_once_value(builder, chunks)
        step = cgutils.alloca_once_value(builder, I64(1))
        builder.call(
            builder.inttoptr(team, TEAM_LLVM.as_pointer()),
            [builder.inttoptr(body, BYTES), base, dims, step, data, I64(0), I64(1), threads],
        )
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp, types.voidptr), codegen


REPORTED_FLAGS_X86, REPORTED_FLAGS_OTHER = 0x1D, 0x0F
"""Invalid, division by zero, overflow and underflow, which NumPy reports. Inexact is up after almost any loop, and to write
MXCSR takes as long as to compute a few hundred elements."""


@intrinsic
def clear_fp_flags(typing_context: Any) -> Any:
    """Clear the floating-point exception flags.

    Lanes that a ``select`` throws away raise flags all the same, which NumPy would turn into warnings, or into errors under
    ``np.errstate(all="raise")``. On x86-64 the flags of vector code are in MXCSR: reading it is cheap, so it is written only
    when a flag is up.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if context.codegen().magic_tuple()[0].startswith("x86_64"):
            _clear_mxcsr(builder)
        else:
            clear = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I32, [I32]), "feclearexcept")
            builder.call(clear, [I32(REPORTED_FLAGS_OTHER)])
        return context.get_dummy_value()

    return types.void(), codegen


def _clear_mxcsr(builder: Any) -> None:
    access = ir.FunctionType(ir.VoidType(), [BYTES])
    slot = cgutils.alloca_once(builder, I32)
    place = builder.bitcast(slot, BYTES)
    builder.call(cgutils.get_or_insert_function(builder.module, access, "llvm.x86.sse.stmxcsr"), [place])
    state = builder.load(slot)
    with builder.if_then(builder.icmp_unsigned("!=", builder.and_(state, I32(REPORTED_FLAGS_X86)), I32(0))):
        builder.store(builder.and_(state, I32(~REPORTED_FLAGS_X86 & 0xFFFFFFFF)), slot)
        builder.call(cgutils.get_or_insert_function(builder.module, access, "llvm.x86.sse.ldmxcsr"), [place])
