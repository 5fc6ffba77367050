"""Maxout's blocks of groups as straight code over vectors, in LLVM's terms.

LLVM's vectoriser takes apart groups of two and of four, but loads those of other sizes one element at a time.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastact.kernels.intrinsics import I32, I64
from fastact.kernels.storage import STORAGE

VECTOR_BYTES, INDEX_SIZE, SHORT_LANES = 64, 4, 8
ZEROED_BYTES = 8192
"""Of many pieces' gradients so much is zeroed before the others are written, well within the first-level cache."""


class Emitter:
    """Makes intrinsics for one dtype: blocks of groups as straight code over vectors.

    Inside, a piece is a pair of what it is and its index, or ``None`` for the latter where nobody asks.
    """

    def __init__(self, dtype: str, index: bool) -> None:
        self.storage = STORAGE[dtype]
        self.computed = self.storage.widened or self.storage.kind
        self.size = np.dtype(dtype).itemsize
        self.index = index
        self.number = self.storage.computed

    # Vectors.

    def load(self, builder: Any, place: Any, count: int) -> Any:
        """A vector of ``count`` elements as they are computed."""
        kind = ir.VectorType(self.storage.kind, count)
        return self.storage.read(builder, builder.load(builder.bitcast(place, kind.as_pointer()), align=self.size))

    def store(self, builder: Any, place: Any, value: Any) -> None:
        """Write a number or a vector as elements are stored."""
        value = self.storage.written(builder, value)
        builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=self.size)

    def store_result(self, builder: Any, y: Any, w: Any, piece: tuple[Any, Any]) -> None:
        """Write what pieces are, and their indices if these are asked for."""
        value, index = piece
        self.store(builder, y, value)
        if self.index:
            builder.store(index, builder.bitcast(w, index.type.as_pointer()), align=INDEX_SIZE)

    def at(self, builder: Any, place: Any, elements: Any) -> Any:
        """A place so many elements, a number or a value, further on."""
        offset = I64(elements * self.size) if isinstance(elements, int) else builder.mul(elements, I64(self.size))
        return builder.gep(place, [offset])

    def larger(self, builder: Any, first: tuple[Any, Any], second: tuple[Any, Any]) -> tuple[Any, Any]:
        """Of two pieces that lie in this order."""
        a, b = first[0], second[0]
        # Unordered or greater, but not because of the first.
        take = builder.and_(builder.fcmp_unordered(">", b, a), builder.fcmp_ordered("ord", a, a))
        return self.chosen(builder, take, first, second)

    def larger_anywhere(self, builder: Any, first: tuple[Any, Any], second: tuple[Any, Any]) -> tuple[Any, Any]:
        """Of two pieces in any order, which their indices tell."""
        (a, i), (b, j) = first, second
        nan = builder.fcmp_unordered("uno", b, b)
        tie = builder.or_(builder.fcmp_ordered("==", b, a), builder.and_(nan, builder.fcmp_unordered("uno", a, a)))
        wins = builder.or_(builder.fcmp_ordered(">", b, a), builder.and_(nan, builder.fcmp_ordered("ord", a, a)))
        take = builder.or_(wins, builder.and_(tie, builder.icmp_signed("<", j, i)))
        return self.chosen(builder, take, first, second)

    def chosen(self, builder: Any, take: Any, first: tuple[Any, Any], second: tuple[Any, Any]) -> tuple[Any, Any]:
        """The second piece where ``take`` holds, else the first."""
        index = None if first[1] is None else builder.select(take, second[1], first[1])
        return builder.select(take, second[0], first[0]), index

    # The forward pass.

    def largest(self, pieces: int, lanes: int) -> Any:
        """An intrinsic for ``lanes`` groups whose pieces lie side by side."""

        @intrinsic
        def block(typing_context: Any, x: Any, k: Any, y: Any, w: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                x, _, y, w = values
                vectors = [(self.load(builder, self.at(builder, x, i * lanes), lanes), None) for i in range(pieces)]
                self.store_result(builder, y, w, self.reduced(builder, vectors, pieces, lanes))
                return context.get_dummy_value()

            return types.void(types.voidptr, types.intp, types.voidptr, types.voidptr), codegen

        return block

    def reduced(self, builder: Any, vectors: list[Any], pieces: int, lanes: int) -> tuple[Any, Any]:
        """The largest piece of each group: of neighbours first while their number is even, then of all that are left."""
        spread, left = 1, pieces
        while left > 1:
            ways = 2 if left % 2 == 0 else left
            merged = []
            for start in range(0, len(vectors), ways):
                parts = [self.every(builder, vectors[start : start + ways], j, ways, lanes) for j in range(ways)]
                if self.index:
                    parts = [self.shifted(builder, part, j * spread, lanes) for j, part in enumerate(parts)]
                best = parts[0]
                for part in parts[1:]:
                    best = self.larger(builder, best, part)
                merged.append(best)
            vectors, left, spread = merged, left // ways, spread * ways
        value, index = vectors[0]
        if self.index and index is None:
            index = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
        return value, index

    def shifted(self, builder: Any, piece: tuple[Any, Any], by: int, lanes: int) -> tuple[Any, Any]:
        """A piece whose index is larger by so many."""
        constant = ir.Constant(ir.VectorType(I32, lanes), [by] * lanes)
        return piece[0], constant if piece[1] is None else builder.add(piece[1], constant)

    def every(self, builder: Any, vectors: list[Any], first: int, ways: int, lanes: int) -> tuple[Any, Any]:
        """Each ``ways``-th piece from ``first`` on of as many vectors side by side."""
        value = _every(builder, [v for v, _ in vectors], first, ways, lanes)
        return value, None if vectors[0][1] is None else _every(builder, [i for _, i in vectors], first, ways, lanes)

    def largest_of_many(self, lanes: int) -> Any:
        """An intrinsic for ``lanes`` groups of ``k >= lanes`` pieces side by side: lanes along each, then across them all."""

        @intrinsic
        def block(typing_context: Any, x: Any, k: Any, y: Any, w: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                x, k, y, w = values
                indices = ir.VectorType(I32, lanes)
                count = ir.Constant(indices, list(range(lanes)))
                floats = ir.VectorType(self.computed, lanes)
                bests = self.room(builder, ir.ArrayType(floats, lanes))
                places = self.room(builder, ir.ArrayType(indices, lanes))
                best, place = self.room(builder, floats), self.room(builder, indices)
                last = builder.sub(k, I64(lanes))
                with cgutils.for_range(builder, I64(lanes), intp=I64) as group:
                    base = self.at(builder, x, builder.mul(group.index, k))
                    builder.store(self.load(builder, base, lanes), best)
                    builder.store(count, place)
                    steps = builder.udiv(builder.sub(k, I64(1)), I64(lanes))
                    with cgutils.for_range(builder, steps, intp=I64) as step:
                        # The last chunk ends where the group ends; what it sees again changes nothing.
                        wanted = builder.mul(builder.add(step.index, I64(1)), I64(lanes))
                        start = builder.select(builder.icmp_signed("<", wanted, last), wanted, last)
                        offset = _splat(builder, builder.trunc(start, I32), lanes)
                        chunk = self.load(builder, self.at(builder, base, start), lanes), builder.add(offset, count)
                        found = self.larger_anywhere(builder, (builder.load(best), builder.load(place)), chunk)
                        builder.store(found[0], best)
                        builder.store(found[1], place)
                    builder.store(builder.load(best), builder.gep(bests, [I64(0), group.index]))
                    builder.store(builder.load(place), builder.gep(places, [I64(0), group.index]))
                vectors = [
                    tuple(builder.load(builder.gep(array, [I64(0), I64(i)])) for array in (bests, places))
                    for i in range(lanes)
                ]
                while len(vectors) > 1:
                    merged = []
                    for i in range(0, len(vectors), 2):
                        even, odd = (self.every(builder, vectors[i : i + 2], j, 2, lanes) for j in (0, 1))
                        merged.append(self.larger_anywhere(builder, even, odd))
                    vectors = merged
                self.store_result(builder, y, w, vectors[0])
                return context.get_dummy_value()

            return types.void(types.voidptr, types.intp, types.voidptr, types.voidptr), codegen

        return block

    def room(self, builder: Any, kind: Any) -> Any:
        """Room on the stack for a value of a type."""
        with builder.goto_entry_block():
            place = builder.alloca(kind)
            place.align = VECTOR_BYTES
            return place

    def largest_columns(self, lanes: int, pieces: int) -> Any:
        """An intrinsic for ``lanes`` groups side by side, whose pieces lie ``core`` bytes apart."""

        @intrinsic
        def block(typing_context: Any, x: Any, core: Any, k: Any, y: Any, w: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                x, core, k, y, w = values
                zero = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)

                def piece(j: Any) -> tuple[Any, Any]:
                    value = self.load(builder, builder.gep(x, [builder.mul(core, j)]), lanes)
                    return value, _splat(builder, builder.trunc(j, I32), lanes) if self.index else None

                best = piece(I64(0))
                if pieces:
                    for j in range(1, pieces):
                        best = self.larger(builder, best, piece(I64(j)))
                else:
                    value, index = self.room(builder, best[0].type), self.room(builder, zero.type)
                    builder.store(best[0], value)
                    builder.store(zero, index)
                    with cgutils.for_range(builder, builder.sub(k, I64(1)), intp=I64) as step:
                        before = builder.load(value), builder.load(index) if self.index else None
                        found = self.larger(builder, before, piece(builder.add(step.index, I64(1))))
                        builder.store(found[0], value)
                        if self.index:
                            builder.store(found[1], index)
                    best = builder.load(value), builder.load(index)
                self.store_result(builder, y, w, best)
                return context.get_dummy_value()

            return types.void(types.voidptr, types.intp, types.intp, types.voidptr, types.voidptr), codegen

        return block

    def largest_one(self) -> Any:
        """An intrinsic for one group, an element at a time."""

        @intrinsic
        def group(typing_context: Any, x: Any, core: Any, k: Any, y: Any, w: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                x, core, k, y, w = values
                best = cgutils.alloca_once_value(builder, self.read(builder, x))
                place = cgutils.alloca_once_value(builder, I32(0))
                with cgutils.for_range_slice(builder, I64(1), k, I64(1), intp=I64) as (j, _):
                    piece = self.read(builder, builder.gep(x, [builder.mul(core, j)])), builder.trunc(j, I32)
                    found = self.larger(builder, (builder.load(best), builder.load(place)), piece)
                    builder.store(found[0], best)
                    builder.store(found[1], place)
                self.write(builder, y, builder.load(best))
                if self.index:
                    builder.store(builder.load(place), builder.bitcast(w, I32.as_pointer()))
                return context.get_dummy_value()

            return types.void(types.voidptr, types.intp, types.intp, types.voidptr, types.voidptr), codegen

        return group

    def read(self, builder: Any, place: Any) -> Any:
        """One element as it is computed."""
        return self.storage.read(builder, builder.load(builder.bitcast(place, self.storage.kind.as_pointer())))

    def write(self, builder: Any, place: Any, value: Any) -> None:
        """Write one element as it is stored."""
        builder.store(self.storage.written(builder, value), builder.bitcast(place, self.storage.kind.as_pointer()))

    # The backward pass. It moves bits, so that integers serve for all dtypes.

    def placed(self, pieces: int, lanes: int) -> Any:
        """An intrinsic for ``lanes`` groups whose pieces lie side by side."""

        @intrinsic
        def block(typing_context: Any, g: Any, w: Any, out: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                g, w, out = values
                gradients, indices = self.load_placed(builder, g, w, lanes)
                zero = ir.Constant(gradients.type, [0] * lanes)
                for i in range(pieces):
                    positions = range(i * lanes, (i + 1) * lanes)
                    of_group = [position // pieces for position in positions]
                    piece = ir.Constant(indices.type, [position % pieces for position in positions])
                    gradient, index = (_shuffled(builder, v, v, of_group) for v in (gradients, indices))
                    value = builder.select(builder.icmp_signed("==", index, piece), gradient, zero)
                    target = builder.bitcast(self.at(builder, out, i * lanes), value.type.as_pointer())
                    builder.store(value, target, align=self.size)
                return context.get_dummy_value()

            return types.void(types.voidptr, types.voidptr, types.voidptr), codegen

        return block

    def load_placed(self, builder: Any, g: Any, w: Any, lanes: int) -> tuple[Any, Any]:
        """Gradients of so many groups as integers, and the index of the piece that each belongs to."""
        kinds = ir.VectorType(ir.IntType(8 * self.size), lanes), ir.VectorType(I32, lanes)
        aligns = self.size, INDEX_SIZE
        gradients, indices = (
            builder.load(builder.bitcast(place, kind.as_pointer()), align=align)
            for place, kind, align in zip((g, w), kinds, aligns, strict=True)
        )
        return gradients, indices

    def placed_columns(self, lanes: int) -> Any:
        """An intrinsic for ``lanes`` groups side by side, whose pieces lie ``core`` bytes apart."""

        @intrinsic
        def block(typing_context: Any, g: Any, w: Any, out: Any, core: Any, k: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                g, w, out, core, k = values
                gradients, indices = self.load_placed(builder, g, w, lanes)
                zero = ir.Constant(gradients.type, [0] * lanes)
                with cgutils.for_range(builder, k, intp=I64) as piece:
                    number = _splat(builder, builder.trunc(piece.index, I32), lanes)
                    value = builder.select(builder.icmp_signed("==", indices, number), gradients, zero)
                    target = builder.gep(out, [builder.mul(core, piece.index)])
                    builder.store(value, builder.bitcast(target, value.type.as_pointer()), align=self.size)
                return context.get_dummy_value()

            return types.void(types.voidptr, types.voidptr, types.voidptr, types.intp, types.intp), codegen

        return block

    def placed_one(self) -> Any:
        """An intrinsic for one group, an element at a time."""
        kind = ir.IntType(8 * self.size)

        @intrinsic
        def group(typing_context: Any, g: Any, w: Any, out: Any, core: Any, k: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                g, w, out, core, k = values
                gradient = builder.load(builder.bitcast(g, kind.as_pointer()))
                index = builder.sext(builder.load(builder.bitcast(w, I32.as_pointer())), I64)
                with cgutils.for_range(builder, k, intp=I64) as piece:
                    value = builder.select(builder.icmp_signed("==", index, piece.index), gradient, kind(0))
                    target = builder.gep(out, [builder.mul(core, piece.index)])
                    builder.store(value, builder.bitcast(target, kind.as_pointer()))
                return context.get_dummy_value()

            return types.void(types.voidptr, types.voidptr, types.voidptr, types.intp, types.intp), codegen

        return group

    def set_piece(self) -> Any:
        """An intrinsic that writes one gradient where its index says, if that is within the group."""
        kind = ir.IntType(8 * self.size)

        @intrinsic
        def write(typing_context: Any, g: Any, w: Any, out: Any, k: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                g, w, out, k = values
                index = builder.sext(builder.load(builder.bitcast(w, I32.as_pointer())), I64)
                with builder.if_then(builder.icmp_unsigned("<", index, k)):
                    target = builder.bitcast(self.at(builder, out, index), kind.as_pointer())
                    builder.store(builder.load(builder.bitcast(g, kind.as_pointer())), target)
                return context.get_dummy_value()

            return types.void(types.voidptr, types.voidptr, types.voidptr, types.intp), codegen

        return write


def _splat(builder: Any, value: Any, lanes: int) -> Any:
    vector = builder.insert_element(ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, I32(0))
    return _shuffled(builder, vector, vector, [0] * lanes)


def _shuffled(builder: Any, a: Any, b: Any, mask: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(mask)), mask))


def _every(builder: Any, vectors: list[Any], first: int, ways: int, lanes: int) -> Any:
    """Each ``ways``-th element from ``first`` on of as many vectors side by side, by shuffles of two vectors at a time.

    A shuffle of one vector as long as all of them would be taken apart into single elements.
    """
    wanted = [first + ways * i for i in range(lanes)]
    found = vectors[0]
    places = [position if position < lanes else 0 for position in wanted]
    for number, vector in enumerate(vectors[1:], 1):
        here = [number * lanes <= position < (number + 1) * lanes for position in wanted]
        mask = [
            lanes + position - number * lanes if inside else place
            for position, inside, place in zip(wanted, here, places, strict=True)
        ]
        found = _shuffled(builder, found, vector, mask)
        places = list(range(lanes))
    return found
