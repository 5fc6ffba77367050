"""LLVM lowering of ``fastact.maths.simd``: one emitter per name, all of them instructions that the loop vectoriser widens."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer, infer_global
from numba.extending import lower_builtin

from fastact.maths import simd

I1, I8, I32, I64 = (ir.IntType(width) for width in (1, 8, 32, 64))
F32, F64 = ir.FloatType(), ir.DoubleType()

INT_LIKE = {types.float32: types.int32, types.float64: types.int64}
FLOAT_LIKE = {integer: floating for floating, integer in INT_LIKE.items()}
MANTISSA_BITS, EXPONENT_BIAS = {32: 23, 64: 52}, {32: 127, 64: 1023}

ANY_INTEGER = "fastact.any"
"""Metadata of a conversion to an integer whose result does not matter where the float is out of range."""


def _call(name: str) -> Callable[..., Any]:
    """An emitter that calls the LLVM intrinsic ``llvm.<name>`` of one operand."""

    def emit(builder: Any, x: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic(f"llvm.{name}", [x.type]), (x,))

    return emit


def _call_of_two(name: str) -> Callable[..., Any]:
    """The same of two operands of one type, which llvmlite would declare with one."""

    def emit(builder: Any, x: Any, y: Any) -> Any:
        return builder.call(_declare(builder.module, name, (x, y)), (x, y))

    return emit


def _declare(module: Any, name: str, operands: Any) -> Any:
    suffix = "f32" if operands[0].type == F32 else "f64"
    full_name = f"llvm.{name}.{suffix}"
    if full_name in module.globals:
        return module.globals[full_name]
    return ir.Function(module, ir.FunctionType(operands[0].type, [x.type for x in operands]), full_name)


def _float_of(i: Any) -> Any:
    return F32 if i.type.width == 32 else F64


def _int_of(x: Any) -> Any:
    return I32 if x.type == F32 else I64


def _to_int(builder: Any, x: Any) -> Any:
    integer = builder.fptosi(x, _int_of(x))
    integer.set_metadata(ANY_INTEGER, builder.module.add_metadata([]))
    return integer


def _exponent_field(builder: Any, n: Any) -> Any:
    width = n.type.width
    biased = builder.add(n, ir.Constant(n.type, EXPONENT_BIAS[width]))
    return builder.shl(biased, ir.Constant(n.type, MANTISSA_BITS[width]))


def _cast(builder: Any, count: Any, like: Any) -> Any:
    if count.type.width == like.type.width:
        return count
    return (builder.trunc if count.type.width > like.type.width else builder.sext)(count, like.type)


def _pick(comparison: str) -> Callable[..., Any]:
    """``y if y <comparison> x else x``: the ordered comparison is false for NaN, so a NaN ``x`` passes through."""

    def emit(builder: Any, x: Any, y: Any) -> Any:
        return builder.select(builder.fcmp_ordered(comparison, y, x), y, x)

    return emit


SAME, AS_INT, AS_FLOAT = "same", "as_int", "as_float"
"""How a primitive's result type follows from its (first float) argument's."""

PRIMITIVES: dict[Callable[..., Any], tuple[Any, Callable[..., Any]]] = {
    simd.fma: (SAME, lambda b, x, y, z: b.fma(x, y, z)),
    simd.rint: (SAME, _call("rint")),
    simd.sqrt: (SAME, _call("sqrt")),
    simd.absolute: (SAME, _call("fabs")),
    simd.copysign: (SAME, _call_of_two("copysign")),
    simd.minimum: (SAME, _pick("<")),
    simd.maximum: (SAME, _pick(">")),
    simd.fmax: (SAME, _call_of_two("maxnum")),
    simd.bits: (AS_INT, lambda b, x: b.bitcast(x, _int_of(x))),
    simd.from_bits: (AS_FLOAT, lambda b, i: b.bitcast(i, _float_of(i))),
    simd.to_int: (AS_INT, _to_int),
    simd.to_float: (AS_FLOAT, lambda b, i: b.sitofp(i, _float_of(i))),
    simd.add: (SAME, lambda b, i, j: b.add(i, j)),
    simd.subtract: (SAME, lambda b, i, j: b.sub(i, j)),
    simd.multiply: (SAME, lambda b, i, j: b.mul(i, _cast(b, j, i))),
    simd.bit_and: (SAME, lambda b, i, j: b.and_(i, j)),
    simd.bit_xor: (SAME, lambda b, i, j: b.xor(i, j)),
    simd.shift_left: (SAME, lambda b, i, count: b.shl(i, _cast(b, count, i))),
    simd.shift_right: (SAME, lambda b, i, count: b.ashr(i, _cast(b, count, i))),
    simd.shift_right_filling: (SAME, lambda b, i, count: b.lshr(i, _cast(b, count, i))),
    simd.pow2: (AS_FLOAT, lambda b, n: b.bitcast(_exponent_field(b, n), _float_of(n))),
    simd.widen: (types.float64, lambda b, x: x if x.type == F64 else b.fpext(x, F64)),
    simd.narrow: (types.float32, lambda b, x: x if x.type == F32 else b.fptrunc(x, F32)),
}


def _result_type(rule: Any, argument: Any) -> Any:
    if rule is SAME:
        return argument
    if rule is AS_INT:
        return INT_LIKE[argument]
    if rule is AS_FLOAT:
        return FLOAT_LIKE[argument]
    return rule


def teach(function: Callable[..., Any], typed: Callable[..., Any], emit: Callable[..., Any]) -> None:
    """Teach Numba to compile a call of ``function`` as instructions in the caller's code.

    There is no function around them, as ``numba.extending.overload`` makes one: Numba takes a thirtieth of a second for each.

    Parameters
    ----------
    function : callable
        Any hashable that formulas call.
    typed : callable
        Makes the signature from Numba's typing context and the types of the arguments.
    emit : callable
        Writes the instructions, given Numba's target context, the builder, the signature and the arguments' values.
    """

    class Typed(AbstractTemplate):  # type: ignore[misc]
        key = function

        def generic(self, arguments: Any, keywords: Any) -> Any:
            return None if keywords else typed(self.context, *map(types.unliteral, arguments))

    infer(Typed)
    infer_global(function, types.Function(Typed))
    lower_builtin(function, types.VarArg(types.Any))(emit)


def _teach_primitive(function: Callable[..., Any], rule: Any, emit: Callable[..., Any]) -> None:
    def typed(context: Any, *arguments: Any) -> Any:
        return _result_type(rule, arguments[0])(*arguments)

    teach(function, typed, lambda context, builder, signature, values: emit(builder, *values))


def register() -> None:
    """Teach Numba every function of ``fastact.maths.simd``."""
    for function, (rule, emit) in PRIMITIVES.items():
        _teach_primitive(function, rule, emit)
    teach(
        simd.select,
        lambda context, condition, a, b: a(types.boolean, a, a),
        lambda context, builder, signature, values: builder.select(*values),
    )


def is_x86(context: Any) -> bool:
    """Whether code is made for x86-64."""
    return bool(context.codegen().magic_tuple()[0].startswith("x86_64"))
