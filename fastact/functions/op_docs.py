"""The docstrings of an elementwise op's public functions, from its record."""

import inspect
from collections.abc import Iterator
from textwrap import fill
from typing import Any

import numpy as np

from fastact.functions.elementwise import Op, reference_gradient, reference_value
from fastact.functions.properties import paragraph

FROM_OUTPUT = "_backward_from_output"
"""What is appended to an op's name: of its gradient from its output."""
SHOWN_AT = (-2.0, 0.5, 3.0)
"""Where examples show an op; positive ones where it is defined nowhere else."""


def docstring(op: Op, *, backward: bool) -> str:
    """The numpydoc docstring of a public function, from the record."""
    name = f"{op.name}_backward" if backward else op.name
    first, *parameters = op.operands
    arrays = [*(["grad"] if backward else []), *op.operands[: op.arrays]]
    several = backward and op.gradients > 1
    summed = several and not op.is_ufunc
    defaults = {} if backward and op.gradients > 1 else op.defaults
    given = [f"{p}={defaults[p]!r}" if p in defaults else p for p in parameters]
    shown = ", ".join([*(["grad"] if backward else []), first, *given, *(["/"] if op.is_ufunc else [])])
    lines = [f"{name}({shown}, out=None{'' if summed else ', **ufunc_arguments'})", ""]
    lines += [_backward_summary(op) if backward else op.summary, ""]
    lines += ["Parameters", "----------"]
    like = f"{first} * 0.5" if op.parameters else "np.exp(x)"
    if backward:
        lines += ["grad : array_like, any shape", f"    Gradient with respect to the output of `{op.name}`."]
    lines += [
        f"{first} : array_like, any shape",
        f"    float16, float32 or float64; integers and booleans convert as for ``{like}``.",
    ]
    for parameter in op.parameters.values():
        default = "" if parameter.default is inspect.Parameter.empty else f", default {parameter.default!r}"
        kind = "array_like" if op.is_ufunc else "float or array_like"
        weak = "" if op.is_ufunc else " A number, also one of NumPy's, takes part as Python's and widens nothing."
        lines += [f"{parameter.name} : {kind}{default}", f"    Broadcasts against `{first}`.{weak}"]
    for name_and_type, meaning in (op.extra_backward if backward else op.extra).items():
        lines += [name_and_type, f"    {meaning}"]
    *others, last = [f"`{array}`" for array in arrays]
    operands = f"{', '.join(others)} or {last}" if others else f"{last} itself"
    if summed:
        lines += ["out : tuple of ndarray or None, optional"]
        lines += [f"    Written to and returned, each of its operand's shape; may be {operands}."]
    elif several:
        lines += ["out : tuple of ndarray, optional", f"    One for each result; each may be {operands}."]
    else:
        lines += ["out : ndarray, optional", f"    Written to and returned; may be {operands}."]
    if not summed:
        lines += ["**ufunc_arguments"]
        lines += ["    ``where``, ``dtype``, ``casting``, ``order``, ``subok``: see `numpy.ufunc`."]
    lines += ["", "Returns", "-------", *_returns(op, backward=backward), ""]
    lines += ["Raises", "------", "TypeError", "    For complex, string and object arrays."]
    if op.check:
        lines += ["ValueError", "    If a parameter is out of range."]
    lines += ["", "Notes", "-----", *_formulas(op, backward=backward), "", *_notes(op, backward=backward)]
    if op.paper:
        lines += ["", "References", "----------", op.paper]
    return "\n".join([*lines, "", "Examples", "--------", *_example(op, backward=backward)]) + "\n"


def docstring_from_output(op: Op) -> str:
    """The numpydoc docstring of an op's gradient from its output."""
    told = op.from_output
    assert told is not None
    name = f"{op.name}{FROM_OUTPUT}"
    given = [f"{p}={op.defaults[p]!r}" if p in op.defaults else p for p in op.parameters]
    lines = [
        f"{name}({', '.join(['grad', 'output', *given])}, {'' if given else '/, '}out=None, **ufunc_arguments)",
        "",
    ]
    lines += [
        f"Gradient of `{op.name}` from its output: ``grad`` times the derivative where `{op.name}` is ``output``.",
        "",
    ]
    lines += ["Parameters", "----------"]
    lines += ["grad : array_like, any shape", f"    Gradient with respect to the output of `{op.name}`."]
    lines += [
        "output : array_like, any shape",
        f"    That output, not its input, which is what `{op.name}_backward` takes.",
    ]
    for parameter in op.parameters.values():
        lines += [f"{parameter.name} : float or array_like, default {parameter.default!r}"]
        lines += ["    As it was given to the forward function. A number takes part as Python's and widens nothing."]
    lines += ["out : ndarray, optional", "    Written to and returned; may be `grad` or `output` itself."]
    lines += ["**ufunc_arguments", "    ``where``, ``dtype``, ``casting``, ``order``, ``subok``: see `numpy.ufunc`."]
    lines += ["", "Returns", "-------", "ndarray or scalar"]
    lines += ["    Of the broadcast shape of the operands and their dtype; NaN where `output` is NaN.", ""]
    lines += ["Raises", "------", "TypeError", "    For complex, string and object arrays."]
    if told.check or op.check:
        lines += [
            "ValueError",
            "    If a parameter is out of range, or one with which the output does not tell the derivative.",
        ]
    lines += ["", "See Also", "--------", f"{op.name}_backward : From the input, as accurate everywhere.", ""]
    lines += [
        "Notes",
        "-----",
        f"The derivative of `{op.name}` where its value is :math:`y`:",
        "",
        f".. math:: {told.formula}",
    ]
    error = f"at most {told.ulp:g} ULP of the derivative's largest term" if told.ulp else "none"
    said = f"Error: {error} for the `output` that is given; float16 rounds the float32 result once."
    lines += ["", fill(f"{said} {told.accuracy}", 120)]
    x = np.array(SHOWN_AT)
    lines += ["", "Examples", "--------", ">>> import numpy as np", ">>> import fastact as fa"]
    lines += [f">>> output = fa.{op.name}(np.array({x.tolist()}))", f">>> fa.{name}(np.ones(3), output).round(4)"]
    return "\n".join([*lines, _shown(reference_gradient(op, 1.0, x))]) + "\n"


def _backward_summary(op: Op) -> str:
    if op.is_ufunc and op.gradients > 1:
        return f"Gradients of `{op.name}`: ``grad`` times the derivative by each operand, in one pass."
    if op.gradients > 1:
        names = " and ".join(f"`{name}`" for name in op.operands)
        return f"Gradients of `{op.name}` by {names}, each summed over the axes along which its operand was broadcast."
    return f"Gradient of `{op.name}`: ``grad`` times the derivative at ``x``."


def _returns(op: Op, *, backward: bool) -> list[str]:
    if backward and op.gradients > 1:
        names = ", ".join(f"grad_{name}" for name in op.operands)
        shape = "the broadcast shape of the operands" if op.is_ufunc else "the shape of its operand"
        return [f"{names} : tuple of ndarray", f"    Each of {shape}."]
    nan = "an operand" if op.arrays > 1 else "`x`"
    return [
        "ndarray or scalar",
        f"    Of the broadcast shape of the operands and their dtype; NaN where {nan} is NaN.",
    ]


def _formulas(op: Op, *, backward: bool) -> Iterator[str]:
    if not backward:
        yield f".. math:: {op.formula}"
        return
    formulas = [op.derivative_formula] if isinstance(op.derivative_formula, str) else op.derivative_formula
    yield f"The derivative{'s' if len(formulas) > 1 else ''} of `{op.name}`:"
    for name, formula in zip(op.operands, formulas, strict=False):
        variable = name if name == "x" else rf"\mathtt{{{name}}}"
        yield from ("", rf".. math:: \frac{{\partial y}}{{\partial {variable}}} = {formula}")


def _notes(op: Op, *, backward: bool) -> list[str]:
    limits = op.derivative_limits if backward else op.limits
    single, double = (op.promised_ulp(dtype, backward=backward) for dtype in ("float32", "float64"))
    where = ""
    if op.arrays > 1:
        values = ", ".join(f"``{name} = {value:g}``" for name, value in zip(op.parameters, op.samples[0], strict=True))
        where = f" in `{op.operands[0]}` for {values}"
    lines = [f"Limits{where}: " + ", ".join(f"{value:g} at {x:+g}" for x, value in limits.items()) + "."]
    if backward and op.kinks:
        lines += ["Derivative at kinks: " + ", ".join(f"{value:g} at {x:g}" for x, value in op.kinks.items()) + "."]
    measure = " of the derivative's largest term" if backward else ""
    lines += [
        f"Error: at most {single:g} unit{'s' * (single > 1)} in the last place{measure} in float32, {double:g} in float64; float16"
    ]
    lines += ["rounds the float32 result once. No floating-point warnings are raised."]
    lines += ["", *paragraph(op.properties, op.recorded_at)] if op.traits and not backward else []
    return [*lines, *(["", *op.notes.splitlines()] if op.notes else [])]


def _example(op: Op, *, backward: bool) -> Iterator[str]:
    """A call, and what it prints: the reference's values, to four digits after the point."""
    x = np.array(op.shown_at or SHOWN_AT)
    x = np.abs(x) if np.isnan(op.limits[-np.inf]) else x
    given: list[Any] = [op.samples[0][i] for i, name in enumerate(op.parameters) if name not in op.defaults]
    first = op.operands[0]
    yield from (">>> import numpy as np", ">>> import fastact as fa", f">>> {first} = np.array({x.tolist()})")
    if op.arrays > 1:
        given = [np.arange(1.0, len(x) + 1)]
        yield f">>> {op.operands[1]} = np.array({given[0].tolist()})"
    shown = [op.operands[1]] if op.arrays > 1 else list(map(repr, given))
    if not backward:
        yield f">>> fa.{op.name}({', '.join([first, *shown])}).round(4)"
        yield _shown(reference_value(op, x, *given))
        return
    call, found = (
        f"fa.{op.name}_backward({', '.join(['np.ones(3)', first, *shown])})",
        reference_gradient(op, 1.0, x, *given),
    )
    if op.gradients == 1:
        yield f">>> {call}.round(4)"
        yield _shown(found)
        return
    names = [f"by_{name}" for name in op.operands]
    yield f">>> {', '.join(names)} = {call}"
    for name, result in zip(names, found, strict=True):
        yield f">>> {name}.round(4)" if np.ndim(result) else f">>> round(float({name}), 4)"
        yield _shown(result)


def _shown(result: Any) -> str:
    """A reference's result as it is printed, zeros without a sign."""
    rounded = np.round(result, 4) + 0.0
    return repr(rounded if np.ndim(result) else float(rounded))
