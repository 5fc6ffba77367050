"""The records of an elementwise op's public functions: its value and its gradient."""

from functools import cache, partial

from fastact.functions.elementwise import OPS, Op, reference_from_output, reference_gradient, reference_value
from fastact.functions.op_calls import backward_from_output, public_function
from fastact.functions.op_docs import FROM_OUTPUT
from fastact.functions.record import Function, Variant, X


def op_functions() -> dict[str, Function]:
    """The records that all ops give, by name: values and gradients, then gradients from outputs."""
    found = [record for op in OPS.values() for record in functions_of(op)]
    return {record.name: record for record in (*found, *filter(None, map(from_output, OPS.values())))}


def op_function(name: str) -> Function | None:
    """The record of one function, if it is an op's."""
    if name.endswith(FROM_OUTPUT):
        op = OPS.get(name.removesuffix(FROM_OUTPUT))
        return from_output(op) if op else None
    op = OPS.get(name) or OPS.get(name.removesuffix("_backward"))
    return next((record for record in functions_of(op) if record.name == name), None) if op else None


@cache
def functions_of(op: Op) -> list[Function]:
    """One record, or two if the op has a derivative."""
    return [_function(op, backward) for backward in (False, True)[: 1 + (op.derivative is not None)]]


@cache
def from_output(op: Op) -> Function | None:
    """The record of an op's gradient from its output, if that tells it."""
    if op.from_output is None:
        return None
    home = op.forward.__module__
    return Function(
        f"{op.name}{FROM_OUTPUT}",
        partial(backward_from_output, op),
        home=home,
        family=home.rpartition(".")[2],
        operands=[X, op.from_output.operand],
        reference=partial(reference_from_output, op),
        ulp=op.from_output.ulp,
        double_ulp=op.from_output.ulp,
        variants=[Variant(), *(Variant(dict(zip(op.parameters, s, strict=False)), alike=True) for s in _allowed(op))],
    )


def _allowed(op: Op) -> list[tuple[float, ...]]:
    """The samples of the parameters with which the output tells the derivative."""
    return [sample for sample in op.samples if sample and all(p >= 0 for p in sample)]


def _function(op: Op, backward: bool) -> Function:
    home, more = op.forward.__module__, op.variants_backward if backward else op.variants
    return Function(
        f"{op.name}_backward" if backward else op.name,
        partial(public_function, op, backward=backward),
        home=home,
        family=home.rpartition(".")[2],
        operands=[X] * (op.arrays + backward),
        reference=partial(reference_gradient if backward else reference_value, op),
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
