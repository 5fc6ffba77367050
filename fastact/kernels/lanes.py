"""Numba intrinsics for lanes: a fixed number of running values side by side, wider than any register.

Lanes are added as a tree of halves, written out here, so that the order is the same on every machine.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastact.kernels.elementloop import BYTES
from fastact.kernels.intrinsics import F64, I1, I32, I64
from fastact.kernels.limits import INVALID
from fastact.kernels.storage import STORAGE


def _constant(dtype: str, value: float, count: int) -> Any:
    """A vector of ``count`` times ``value`` by its bits, which carry a NaN's payload, and halves, which llvmlite cannot write."""
    size = np.dtype(dtype).itemsize
    with np.errstate(invalid="ignore"):
        pattern = int(np.array(value, dtype).view(f"u{size}"))
    return ir.Constant(ir.VectorType(ir.IntType(8 * size), count), [pattern] * count)


def fill(dtype: str, value: float, count: int) -> Any:
    """An intrinsic that writes ``count`` times ``value``."""
    constant = _constant(dtype, value, count)

    @intrinsic
    def write(typing_context: Any, place: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            builder.store(constant, builder.bitcast(values[0], constant.type.as_pointer()), align=2)
            return context.get_dummy_value()

        return types.void(types.voidptr), codegen

    return write


def fill_each(dtype: str, values: Sequence[float], count: int) -> Any:
    """An intrinsic that writes, to each of several places, ``count`` times a value of its own."""
    constants = [_constant(dtype, value, count) for value in values]

    @intrinsic
    def write(typing_context: Any, places: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            for place, constant in zip(
                cgutils.unpack_tuple(builder, arguments[0], len(values)), constants, strict=True
            ):
                builder.store(constant, builder.bitcast(place, constant.type.as_pointer()), align=2)
            return context.get_dummy_value()

        return types.void(places), codegen

    return write


def tree(dtype: str, count: int, combine: str) -> Any:
    """An intrinsic that adds ``count`` lanes (``"sum"``) or finds their maximum (``"max"``, or ``"peak"``: NaN), halving them."""
    kind = ir.VectorType(STORAGE[dtype].kind, count)

    @intrinsic
    def reduce(typing_context: Any, lanes: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            total = builder.load(builder.bitcast(values[0], kind.as_pointer()), align=64)
            half = count // 2
            while half:
                low, high = (_part(builder, total, first, half) for first in (0, half))
                if combine == "sum":
                    total = builder.fadd(low, high)
                else:
                    better = builder.fcmp_ordered(">", high, low)
                    if combine == "peak":
                        better = builder.or_(better, builder.fcmp_unordered("uno", high, high))
                    total = builder.select(better, high, low)
                half //= 2
            return builder.extract_element(total, I32(0))

        return STORAGE[dtype].computed(types.voidptr), codegen

    return reduce


def add_widened(dtype: str, count: int, sums: int) -> Any:
    """An intrinsic that adds ``count`` elements to ``sums`` float64 lanes, after halving them as ``tree`` does."""
    kind, wide = ir.VectorType(STORAGE[dtype].kind, count), ir.VectorType(F64, sums)

    @intrinsic
    def add(typing_context: Any, elements: Any, lanes: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            part = builder.load(builder.bitcast(values[0], kind.as_pointer()), align=4)
            half = count // 2
            while half >= sums:
                part = builder.fadd(*(_part(builder, part, first, half) for first in (0, half)))
                half //= 2
            place = builder.bitcast(values[1], wide.as_pointer())
            part = part if dtype == "float64" else builder.fpext(part, wide)
            builder.store(builder.fadd(builder.load(place, align=64), part), place, align=64)
            return context.get_dummy_value()

        return types.void(types.voidptr, types.voidptr), codegen

    return add


def _part(builder: Any, vector: Any, first: int, count: int) -> Any:
    mask = ir.Constant(ir.VectorType(I32, count), [first + i for i in range(count)])
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)


def load(dtype: str) -> Any:
    """An intrinsic that reads one element as it is computed."""
    storage = STORAGE[dtype]

    @intrinsic
    def read(typing_context: Any, place: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return storage.read(builder, builder.load(builder.bitcast(values[0], storage.kind.as_pointer())))

        return storage.computed(types.voidptr), codegen

    return read


def store(dtype: str) -> Any:
    """An intrinsic that writes one element, rounded to how it is stored."""
    storage = STORAGE[dtype]

    @intrinsic
    def write(typing_context: Any, place: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            value = context.cast(builder, values[1], signature.args[1], storage.computed)
            builder.store(storage.written(builder, value), builder.bitcast(values[0], storage.kind.as_pointer()))
            return context.get_dummy_value()

        return types.void(types.voidptr, value), codegen

    return write


def beyond(dtype: str, comparison: str) -> Any:
    """An intrinsic that compares 64 elements with a number: bit i of its result says whether element i is greater, or less."""
    storage = STORAGE[dtype]
    kind = ir.VectorType(storage.kind, 64)

    @intrinsic
    def compare(typing_context: Any, elements: Any, bound: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            place = builder.bitcast(values[0], kind.as_pointer())
            elements = storage.read(builder, builder.load(place, align=np.dtype(dtype).itemsize))
            bound = builder.insert_element(ir.Constant(elements.type, ir.Undefined), values[1], I32(0))
            bound = builder.shuffle_vector(bound, bound, ir.Constant(ir.VectorType(I32, 64), [0] * 64))
            compared = builder.fcmp_unordered if comparison == ">" else builder.fcmp_ordered
            return builder.bitcast(compared(comparison, elements, bound), I64)

        return types.intp(types.voidptr, storage.computed), codegen

    return compare


def _magnitudes(builder: Any, place: Any, dtype: str, count: int = 64) -> Any:
    """Elements as integers without their signs, which grow as the numbers do; a constant of that kind; and infinity as one."""
    size = np.dtype(dtype).itemsize
    kind = ir.VectorType(ir.IntType(8 * size), count)

    def constant(value: int) -> Any:
        return ir.Constant(kind, [value] * count)

    elements = builder.load(builder.bitcast(place, kind.as_pointer()), align=size)
    infinity = int(np.array(np.inf, dtype).view(f"u{size}"))
    return builder.and_(elements, constant(2 ** (8 * size - 1) - 1)), constant, infinity


def _any(builder: Any, mask: Any) -> Any:
    bits = ir.IntType(mask.type.count)
    return builder.icmp_unsigned("!=", builder.bitcast(mask, bits), bits(0))


def unusual(dtype: str, count: int, tiny: bool) -> Any:
    """An intrinsic that tells whether any of so many elements is not finite, or, where ``tiny``, below the least normal number."""

    @intrinsic
    def compare(typing_context: Any, elements: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            found, constant, infinity = _magnitudes(builder, values[0], dtype, count)
            odd = builder.icmp_signed(">=", found, constant(infinity))
            if tiny:
                odd = builder.or_(odd, builder.icmp_signed("<", found, constant(_least_normal(dtype))))
            return _any(builder, odd)

        return types.boolean(types.voidptr), codegen

    return compare


def exceptions(dtype: str, inputs: int, infinite: int, tiny: int) -> Any:
    """An intrinsic that tells which exceptions 64 results may stand for, given what two kinds of result stand for.

    Its argument is a pointer to the elements of each operand, and to the results. NaN from what are numbers is invalid. What an
    infinity from finite numbers means is given, and what a result below the least normal number, of finite numbers that are not 0.
    """

    @intrinsic
    def compare(typing_context: Any, places: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            operands = [builder.load(builder.gep(values[0], [I64(j)])) for j in range(inputs + 1)]
            y, constant, infinity = _magnitudes(builder, operands.pop(), dtype)
            limit, least = constant(infinity), constant(_least_normal(dtype))
            numbers = finite = small = ir.Constant(ir.VectorType(I1, 64), [1] * 64)
            for operand in operands:
                x, _, _ = _magnitudes(builder, operand, dtype)
                numbers = builder.and_(numbers, builder.icmp_signed("<=", x, limit))
                finite = builder.and_(finite, builder.icmp_signed("<", x, limit))
                small = builder.and_(small, builder.icmp_signed(">", x, constant(0)))
            kinds = [
                (INVALID, numbers, builder.icmp_signed(">", y, limit)),
                (infinite, finite, builder.icmp_signed("==", y, limit)),
                (tiny, builder.and_(finite, small), builder.icmp_signed("<", y, least)),
            ]
            total = I64(0)
            for flag, before, after in kinds:
                total = builder.or_(
                    total, builder.select(_any(builder, builder.and_(before, after)), I64(flag), I64(0))
                )
            return total

        return types.intp(types.CPointer(types.voidptr)), codegen

    return compare


def _least_normal(dtype: str) -> int:
    return int(np.array(np.finfo(dtype).tiny).view(f"u{np.dtype(dtype).itemsize}"))


@intrinsic
def first_bit(typing_context: Any, mask: Any) -> Any:
    """The number of the lowest bit that is set, of one at least."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.cttz(values[0], I1(1))

    return types.intp(types.intp), codegen


def _prefetch(writing: int) -> Any:
    @intrinsic
    def fetch(typing_context: Any, place: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kind = ir.FunctionType(ir.VoidType(), [BYTES, I32, I32, I32])
            name = "llvm.prefetch.p0i8"
            declared = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
            builder.call(declared, [values[0], I32(writing), I32(3), I32(1)])
            return context.get_dummy_value()

        return types.void(types.voidptr), codegen

    return fetch


prefetch, prefetch_for_writing = _prefetch(0), _prefetch(1)
"""Ask for the cache line at an address that will be read, or written, soon; any address may be asked for."""
