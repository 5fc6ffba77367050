"""Tuples in kernels: as many operands as a kernel has, each treated alike, and formulas that take by name what they use.

A kernel's templates are written once for any number of operands, sums and constants. Numba knows how long a tuple is, so
nothing of it is left in machine code.
"""

from collections.abc import Callable, Sequence
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastact.kernels.elementloop import POINTERS
from fastact.kernels.intrinsics import I64
from fastact.kernels.memory import INTEGERS, stack_room
from fastact.kernels.storage import STORAGE
from fastact.maths.scalar import parameters, single


def tuple_type(kinds: Sequence[Any]) -> Any:
    """Numba's type of a tuple of these."""
    return types.BaseTuple.from_types(tuple(kinds))


class Each:
    """A function of one element of each of several tuples, applied to all their elements.

    It is called with one tuple of arguments; those that are no tuples are given to each call.

    Parameters
    ----------
    function : callable or str
        The function, or the name of one that instances fill in.
    """

    def __init__(self, function: Callable[..., Any] | str) -> None:
        self.function = function

    def __call__(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """What it computes, in Python."""
        if isinstance(self.function, str):
            raise TypeError(f"{self.function} is known to instances alone")
        (count,) = {len(argument) for argument in arguments if isinstance(argument, tuple)}
        calls = [[a[i] if isinstance(a, tuple) else a for a in arguments] for i in range(count)]
        return tuple(self.function(*call) for call in calls)

    def over_tuples(self, function: Any) -> Any:
        """Numba's name for it, ``function`` being what it knows the function by."""

        @intrinsic
        def each(typing_context: Any, arguments: Any) -> Any:
            called = typing_context.resolve_value_type(function)
            (count,) = {len(kind) for kind in arguments if isinstance(kind, types.BaseTuple)}
            kinds = [[k[i] if isinstance(k, types.BaseTuple) else k for k in arguments] for i in range(count)]
            signatures = [called.get_call_type(typing_context, tuple(k), {}) for k in kinds]
            results = [signature.return_type for signature in signatures]
            nothing = types.none in results

            def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                given = cgutils.unpack_tuple(builder, values[0], len(arguments))
                parts = [
                    cgutils.unpack_tuple(builder, value, count)
                    if isinstance(kind, types.BaseTuple)
                    else [value] * count
                    for kind, value in zip(arguments, given, strict=True)
                ]
                found = [
                    context.get_function(called, own)(builder, [part[i] for part in parts])
                    for i, own in enumerate(signatures)
                ]
                if nothing:
                    return context.get_dummy_value()
                return context.make_tuple(builder, signature.return_type, found)

            return (types.none if nothing else tuple_type(results))(arguments), codegen

        return each


class Named:
    """A formula that takes what it uses by name, from a tuple of elements and one of constants.

    Parameters
    ----------
    formula : callable, Product or sequence of such
        Its parameters are among the names. Of several formulas the results come as one tuple.
    elements, constants : sequence of str
        What the two tuples hold.
    results : sequence of str, optional
        The dtypes that its results are computed in, which come as a tuple; as it returns them if there are none.
    """

    def __init__(
        self,
        formula: Any,
        elements: Sequence[str],
        constants: Sequence[str],
        results: Sequence[str] = (),
    ) -> None:
        def places(names: Sequence[str]) -> list[tuple[int, int]]:
            return [(0, elements.index(n)) if n in elements else (1, constants.index(n)) for n in names]

        self.parts = [(one, places(parameters(one)), places(factors)) for one, factors in single(formula)]
        self.results = results

    def over_tuples(self) -> Any:
        """Numba's name for it as a function of the two tuples."""

        @intrinsic
        def named(typing_context: Any, elements: Any, constants: Any) -> Any:
            formulas, signatures, kinds = [], [], []
            for one, places, _ in self.parts:
                formulas.append(typing_context.resolve_value_type(one))
                given = tuple((elements, constants)[which][i] for which, i in places)
                signatures.append(formulas[-1].get_call_type(typing_context, given, {}))
                own = signatures[-1].return_type
                kinds += list(own.types) if isinstance(own, types.BaseTuple) else [own]
            alone = len(self.parts) == 1 and not self.results
            result = tuple_type([STORAGE[dtype].computed for dtype in self.results] or kinds)

            def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                given = [
                    cgutils.unpack_tuple(builder, value, len(kind))
                    for value, kind in zip(values, (elements, constants), strict=True)
                ]
                found: list[Any] = []
                for formula, own, (_, places, factors) in zip(formulas, signatures, self.parts, strict=True):
                    value = context.get_function(formula, own)(builder, [given[which][i] for which, i in places])
                    for which, i in factors:
                        kind = (elements, constants)[which][i]
                        value = builder.fmul(value, context.cast(builder, given[which][i], kind, own.return_type))
                    several = isinstance(own.return_type, types.BaseTuple) and not alone
                    found += cgutils.unpack_tuple(builder, value, len(own.return_type)) if several else [value]
                if alone:
                    return found[0]
                cast = [context.cast(builder, *pair) for pair in zip(found, kinds, result.types, strict=True)]
                return context.make_tuple(builder, result, cast)

            return (signatures[0].return_type if alone else result)(elements, constants), codegen

        return named


def picked(indices: Sequence[int]) -> Any:
    """An intrinsic that returns the tuple of some elements of a tuple."""

    @intrinsic
    def pick(typing_context: Any, given: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            parts = cgutils.unpack_tuple(builder, values[0], len(given))
            return context.make_tuple(builder, signature.return_type, [parts[i] for i in indices])

        return tuple_type([given[i] for i in indices])(given), codegen

    return pick


def operands_at(indices: Sequence[int]) -> Any:
    """An intrinsic that returns where the row number ``i`` of some operands begins: ``args[j] + i * steps[j]``."""
    result = types.UniTuple(types.voidptr, len(indices))

    @intrinsic
    def places(typing_context: Any, args: Any, steps: Any, i: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            args, steps, i = values
            found = []
            for j in indices:
                step = builder.load(builder.gep(steps, [I64(j)]))
                place = builder.load(builder.gep(args, [I64(j)]))
                found.append(builder.gep(place, [builder.mul(i, step)]))
            return context.make_tuple(builder, result, found)

        return result(POINTERS, INTEGERS, types.intp), codegen

    return places


def integers_at(indices: Sequence[int]) -> Any:
    """An intrinsic that returns some of a row of integers, such as steps."""
    result = types.UniTuple(types.intp, len(indices))

    @intrinsic
    def chosen(typing_context: Any, integers: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return context.make_tuple(
                builder, result, [builder.load(builder.gep(values[0], [I64(j)])) for j in indices]
            )

        return result(INTEGERS), codegen

    return chosen


def stack_spaces(sizes: Sequence[int]) -> Any:
    """An intrinsic that returns several pieces of the caller's stack, of so many bytes each, aligned for vectors."""
    result = types.UniTuple(types.voidptr, len(sizes))

    @intrinsic
    def spaces(typing_context: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return context.make_tuple(builder, result, [stack_room(builder, size) for size in sizes])

        return result(), codegen

    return spaces


def rows_at(offsets: Sequence[int], size: int) -> Any:
    """An intrinsic that returns rows of a tile: each begins so many blocks of elements of ``size`` bytes after the tile."""
    result = types.UniTuple(types.voidptr, len(offsets))

    @intrinsic
    def rows(typing_context: Any, tile: Any, block: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            tile, block = values
            found = [builder.gep(tile, [builder.mul(block, I64(offset * size))]) for offset in offsets]
            return context.make_tuple(builder, result, found)

        return result(types.voidptr, types.intp), codegen

    return rows


def numbers_in(dtypes: Sequence[str], stored: str) -> Any:
    """An intrinsic that returns numbers as they are computed, stored as one dtype so many bytes apart."""
    storage, result = STORAGE[stored], tuple_type([STORAGE[dtype].computed for dtype in dtypes])

    @intrinsic
    def numbers(typing_context: Any, place: Any, step: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            place, step = values
            found = []
            for i, kind in enumerate(result.types):
                address = builder.bitcast(builder.gep(place, [builder.mul(step, I64(i))]), storage.kind.as_pointer())
                number = storage.read(builder, builder.load(address))
                found.append(context.cast(builder, number, storage.computed, kind))
            return context.make_tuple(builder, result, found)

        return result(types.voidptr, types.intp), codegen

    return numbers


@intrinsic
def put_numbers(typing_context: Any, place: Any, step: Any, numbers: Any) -> Any:
    """Store numbers as float64 so many bytes apart."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place, step, numbers_ = values
        for i, number in enumerate(cgutils.unpack_tuple(builder, numbers_, len(numbers))):
            address = builder.gep(place, [builder.mul(step, I64(i))])
            wide = context.cast(builder, number, numbers[i], types.float64)
            builder.store(wide, builder.bitcast(address, context.get_value_type(types.float64).as_pointer()))
        return context.get_dummy_value()

    return types.void(types.voidptr, types.intp, numbers), codegen
