"""The one loop over contiguous elements that everything is made of: whole kernels, and each pass over a row.

The vectoriser widens it. It is written in LLVM's own terms, because three promises about the loop are what makes that
possible, and neither Python nor Numba has words for them: operands do not partly overlap, several vectors at a time, and how
an element lies in memory as against how it is computed.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastact.kernels.intrinsics import F64, I1, I32, I64
from fastact.kernels.storage import STORAGE

BYTES = ir.IntType(8).as_pointer()
POINTERS = types.CPointer(types.voidptr)

COMPLETE = 2.0
"""Results larger than this are operands that a formula has left, if it has a function that completes it."""

INTERLEAVE = 2
"""Vectors computed at a time. A formula is one long chain of dependent instructions; LLVM thinks that a processor finds the next
vector's by itself, but its scheduler holds too few instructions for that."""


class ElementLoop:
    """The loop ``for i in range(n): writes[i] = formula(*reads[i], *scalars)`` for one formula and given dtypes.

    ``emit`` is called while Numba lowers an intrinsic, where the formula is a compilable function. The loads carry
    ``alias.scope`` metadata saying that inputs and outputs do not overlap. NumPy's ufunc machinery has copied any partial
    overlap before the loop is called, and exact aliasing (``out=x``) is harmless elementwise; without the promise LLVM
    checks at run time and sends in-place calls to a scalar loop.

    Parameters
    ----------
    formula : callable
        Compilable; takes one element of each operand that is read, then the scalars.
    reads, writes : sequence of str
        The operands' dtypes.
    updates : int
        Number of read-write operands: the last of `reads` and the first of `writes`, given once. That a running sum is updated must
        be said, or the compiler might keep its first value in a register through the loop around this one.
    times_gradient : bool
        The first operand is a gradient, which the formula does not see: it multiplies each result.
    multiple : int
        Numbers of elements are multiples of this power of two: said to the compiler, it spares the loops for a remainder.
    constants : int, optional
        Number of operands that hold a row's constants, the last that are only read. With it the formula takes three tuples: of
        elements, of what is updated, and of constants, to which the scalars belong.
    counted : bool
        Whether the formula is also given the element's number, an int32, as the last constant.
    completes : callable, optional
        A compilable function of one result that takes the place of those larger than `COMPLETE` in magnitude, in a second loop
        that is passed over where there is none: what the formula leaves as it is since it is rare and dear.
    """

    def __init__(
        self,
        formula: Any,
        reads: Sequence[str],
        writes: Sequence[str],
        *,
        updates: int = 0,
        times_gradient: bool = False,
        multiple: int = 1,
        constants: int | None = None,
        counted: bool = False,
        completes: Any = None,
    ) -> None:
        self.formula = formula
        self.reads, self.writes = tuple(reads), tuple(writes)
        self.updates = updates
        self.times_gradient = times_gradient
        self.multiple = multiple
        self.constants = constants
        self.counted = counted
        self.completes = completes

    def of(self, formula: Any) -> "ElementLoop":
        """A loop of another formula over the same operands."""
        return ElementLoop(
            formula,
            self.reads,
            self.writes,
            updates=self.updates,
            times_gradient=self.times_gradient,
            multiple=self.multiple,
            constants=self.constants,
            counted=self.counted,
            completes=self.completes,
        )

    def over_operands(self) -> Any:
        """Numba's name for the loop as a function of ``char **operands`` and ``n``."""

        @intrinsic
        def element_loop(typing_context: Any, operands: Any, n: Any) -> Any:
            formula_type, signature = self._resolve(typing_context, ())

            def codegen(context: Any, builder: Any, _: Any, values: Any) -> Any:
                operands, n = values
                count = len(self.reads) + len(self.writes) - self.updates
                pointers = [builder.load(builder.gep(operands, [I64(j)])) for j in range(count)]
                self._emit(context, builder, context.get_function(formula_type, signature), signature, pointers, n, [])
                return context.get_dummy_value()

            return types.void(POINTERS, types.intp), codegen

        return element_loop

    def over_pointers(self) -> Any:
        """Numba's name for the loop as a function of a tuple of pointers, ``n`` and a tuple of scalars."""

        @intrinsic
        def element_loop(typing_context: Any, pointers: Any, n: Any, scalars: Any) -> Any:
            formula_type, signature = self._resolve(typing_context, tuple(scalars))

            def codegen(context: Any, builder: Any, given: Any, values: Any) -> Any:
                addresses = cgutils.unpack_tuple(builder, values[0], len(pointers))
                constants = cgutils.unpack_tuple(builder, values[2], len(scalars))
                formula = context.get_function(formula_type, signature)
                self._emit(context, builder, formula, signature, addresses, values[1], constants)
                return context.get_dummy_value()

            return types.void(pointers, types.intp, scalars), codegen

        return element_loop

    def _resolve(self, typing_context: Any, scalars: tuple[Any, ...]) -> tuple[Any, Any]:
        elements = tuple(STORAGE[dtype].computed for dtype in self.reads[self.times_gradient :])
        if self.completes is not None:
            kind = STORAGE[self.writes[0]].computed
            self._completes_type = typing_context.resolve_value_type(self.completes)
            self._completes_signature = self._completes_type.get_call_type(typing_context, (kind,), {})
        formula_type = typing_context.resolve_value_type(self.formula)
        scalars += (types.int32,) * self.counted
        arguments = elements + scalars
        if self.constants is not None:
            arguments = tuple(types.BaseTuple.from_types(group) for group in self._groups(elements, scalars))
        return formula_type, formula_type.get_call_type(typing_context, arguments, {})

    def _groups(self, elements: Sequence[Any], scalars: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Elements, what is updated, and constants, of what is known of each operand and scalar."""
        updated = len(self.reads) - self.updates
        first = updated - (self.constants or 0)
        return [tuple(elements[:first]), tuple(elements[updated:]), (*elements[first:updated], *scalars)]

    def _emit(
        self, context: Any, builder: Any, formula: Any, signature: Any, pointers: Any, n: Any, scalars: Any
    ) -> None:
        operands = _Operands(builder, pointers, self.reads + self.writes[self.updates :])
        n = builder.and_(n, I64(-self.multiple))
        written = range(len(self.reads) - self.updates, len(operands.base))
        entry = builder.block
        body, done = builder.append_basic_block("elements"), builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", n, I64(0)), body, done)
        builder.position_at_end(body)
        index = builder.phi(I64)
        index.add_incoming(I64(0), entry)
        left = None
        if self.completes is not None:
            left = builder.phi(I1)
            left.add_incoming(I1(0), entry)
        values = [operands.load(j, index, written) for j in range(len(self.reads))]
        scalars = [*scalars, *[builder.trunc(index, I32)] * self.counted]
        arguments = [*values[self.times_gradient :], *scalars]
        own = len(signature.args) - 1
        if self.constants is not None:
            groups = zip(signature.args, self._groups(values, scalars), strict=True)
            arguments = [context.make_tuple(builder, kind, group) for kind, group in groups]
        elif own < len(arguments) - 1:  # the formula takes the others as *rest
            arguments[own:] = [context.make_tuple(builder, signature.args[-1], arguments[own:])]
        results, kinds = [formula(builder, arguments)], [signature.return_type]
        if signature.return_type == types.none:  # it has raised an exception, or forgot to return a number
            with builder.if_then(I1(1)):
                context.call_conv.return_user_exc(builder, TypeError, ())
            results, kinds = [F64(0.0)], [types.float64]
        if isinstance(signature.return_type, types.BaseTuple):
            results, kinds = (
                cgutils.unpack_tuple(builder, results[0], len(self.writes)),
                list(signature.return_type.types),
            )
        for j, value, kind, dtype in zip(written, results, kinds, self.writes, strict=True):
            value = context.cast(builder, value, kind, STORAGE[dtype].computed)
            if self.times_gradient:
                value = builder.fmul(values[0], value)
            operands.store(j, index, value)
        if left is None:
            _repeat(builder, index, n, body, done)
            builder.position_at_end(done)
            return
        some_left, last = builder.or_(left, _is_left(builder, value)), builder.block
        left.add_incoming(some_left, last)
        computed, completed = builder.append_basic_block("computed"), builder.append_basic_block("completed")
        _repeat(builder, index, n, body, computed)
        builder.position_at_end(computed)
        builder.cbranch(some_left, completed, done)
        builder.position_at_end(completed)
        self._complete(context, builder, operands, written[0], n, (computed, completed, done))

    def _complete(self, context: Any, builder: Any, operands: Any, j: int, n: Any, blocks: Any) -> None:
        """The second loop, over results."""
        before, body, done = blocks
        # That there is a vector of elements LLVM forgets behind the first loop: it would keep a loop for less.
        builder.position_at_start(before)
        n = builder.select(builder.icmp_signed(">", n, I64(self.multiple)), n, I64(self.multiple))
        builder.position_at_end(body)
        index = builder.phi(I64)
        index.add_incoming(I64(0), before)
        value = operands.load(j, index, range(0))
        completed = context.get_function(self._completes_type, self._completes_signature)(builder, [value])
        operands.store(j, index, builder.select(_is_left(builder, value), completed, value))
        _repeat(builder, index, n, body, done)
        builder.position_at_end(done)


def _repeat(builder: Any, index: Any, n: Any, body: Any, done: Any) -> None:
    """End the body of a loop over elements."""
    following = builder.add(index, I64(1), flags=["nsw"])
    index.add_incoming(following, builder.block)
    repeat = builder.cbranch(builder.icmp_signed("<", following, n), body, done)
    repeat.set_metadata("llvm.loop", _interleaved(builder.module))


def _is_left(builder: Any, value: Any) -> Any:
    """Whether a result is an operand that the formula has left."""
    size = builder.call(builder.module.declare_intrinsic("llvm.fabs", [value.type]), (value,))
    return builder.fcmp_ordered(">", size, value.type(COMPLETE))


class _Operands:
    """The arrays of one loop, each with a metadata scope of its own: loads and stores of different ones do not overlap."""

    def __init__(self, builder: Any, pointers: Sequence[Any], dtypes: Sequence[str]) -> None:
        self.builder = builder
        self.storage = [STORAGE[dtype] for dtype in dtypes]
        self.base = [
            builder.bitcast(pointer, storage.kind.as_pointer())
            for pointer, storage in zip(pointers, self.storage, strict=True)
        ]
        module = builder.module
        domain = module.add_metadata([ir.MetaDataString(module, f"fastact {len(module.metadata)}")])
        self.scopes = [
            module.add_metadata([ir.MetaDataString(module, f"operand {j}"), domain]) for j in range(len(self.base))
        ]

    def load(self, j: int, index: Any, written: range) -> Any:
        """Element ``index`` of operand ``j``, as it is computed."""
        value = self.builder.load(self.builder.gep(self.base[j], [index], inbounds=True))
        self._promise(value, j, written)
        if self.storage[j].widened:
            value.align = 1
        return self.storage[j].read(self.builder, value)

    def store(self, j: int, index: Any, value: Any) -> None:
        """Write element ``index`` of operand ``j``."""
        value = self.storage[j].written(self.builder, value)
        instruction = self.builder.store(value, self.builder.gep(self.base[j], [index], inbounds=True))
        self._promise(instruction, j, range(len(self.base)))

    def _promise(self, instruction: Any, j: int, others: range) -> None:
        module = self.builder.module
        instruction.set_metadata("alias.scope", module.add_metadata([self.scopes[j]]))
        elsewhere = [self.scopes[k] for k in others if k != j]
        if elsewhere:
            instruction.set_metadata("noalias", module.add_metadata(elsewhere))


def _interleaved(module: Any) -> Any:
    """Loop metadata that asks the vectoriser for ``INTERLEAVE``; such a node names itself first."""
    wish = module.add_metadata([ir.MetaDataString(module, "llvm.loop.interleave.count"), I32(INTERLEAVE)])
    loop = module.add_metadata([wish, ir.MetaDataString(module, f"fastact {len(module.metadata)}")])
    loop.operands = (loop, wish)
    return loop
