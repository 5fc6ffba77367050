"""The records of an elementwise op's public functions: its value and its gradient."""

from functools import cache, partial
from typing import Any

from fastact.functions.elementwise import OPS, Op, public_function
from fastact.functions.numpy_maths import numpy_maths
from fastact.functions.record import Function, Variant, X


def op_functions() -> dict[str, Function]:
    """The records that all ops give, by name."""
    return {record.name: record for op in OPS.values() for record in functions_of(op)}


def op_function(name: str) -> Function | None:
    """The record of one function, if it is an op's."""
    op = OPS.get(name) or OPS.get(name.removesuffix("_backward"))
    return next((record for record in functions_of(op) if record.name == name), None) if op else None


@cache
def functions_of(op: Op) -> list[Function]:
    """One record, or two if the op has a derivative."""
    return [_function(op, backward) for backward in (False, True)[: 1 + (op.derivative is not None)]]


def _function(op: Op, backward: bool) -> Function:
    home, more = op.forward.__module__, op.variants_backward if backward else op.variants
    return Function(
        f"{op.name}_backward" if backward else op.name,
        partial(public_function, op, backward=backward),
        home=home,
        family=home.rpartition(".")[2],
        operands=[X] * (op.arrays + backward),
        reference=partial(_gradient if backward else _value, op),
        ulp=op.promised_ulp("float32", backward=backward),
        double_ulp=op.promised_ulp("float64", backward=backward),
        variants=sorted([*_samples(op, backward), *more], key=lambda variant: variant.alike),
        written=range(op.gradients) if backward else (0,),
        op=op,
    )


def _samples(op: Op, backward: bool) -> list[Variant]:
    """A call with each sample of the parameters, one that names them among these. Of a gradient by a parameter it is an array's."""
    if op.is_ufunc:
        return [Variant()]
    samples = [*op.samples, *([tuple(op.defaults.values())] if not any(op.samples) else [])]
    learnt = backward and op.gradients > 1
    return [
        Variant(dict(zip(op.parameters, sample, strict=False)), alike=learnt or k > 0)
        for k, sample in enumerate(samples)
    ]


def _parameters(op: Op, given: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
    """The parameters in order, those taken out of ``named`` that are there, with the defaults of those that were not given."""
    missing = list(op.parameters)[len(given) :]
    return [*given, *(named.pop(name) if name in named else op.defaults[name] for name in missing)]


def _value(op: Op, x: Any, *given: Any, **named: Any) -> Any:
    return op.reference(numpy_maths, x, *_parameters(op, given, named), **named)


def _gradient(op: Op, grad: Any, x: Any, *given: Any, **named: Any) -> Any:
    parameters = _parameters(op, given, named)
    if op.reference_backward is not None:
        return op.reference_backward(numpy_maths, grad, x, *parameters, **named)
    assert op.reference_derivative is not None
    by_x = grad * sum(op.reference_derivative(numpy_maths, x, *parameters, **named))
    if op.arrays == 1:
        return by_x
    return by_x, grad * op.reference(numpy_maths, x, 1.0)  # a gated unit is linear in its second array
