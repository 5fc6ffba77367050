"""The docstrings of the losses of single elements, from their records."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastact.functions.docs import ENDINGS, HESS, RAISES, WHAT, numpydoc, options_described, outputs_described

SHOWN = {
    "values": ([-1.5, 0.5, 2.0], [-1.0, 0.0, 4.0]),
    "shares": ([0.125, 0.5, 0.75], [0.0, 0.25, 1.0]),
    "probabilities": ([0.125, 0.5, 0.75], [0.0, 0.25, 1.0]),
    "logarithms": ([-2.0, -1.0, -0.5], [0.0, 0.25, 0.75]),
    "labels": ([0.0, 0.0, 0.0], [0, 1, 1]),
}
"""What examples are of, by the kind of an operand: as input, and as target."""


def docstring(loss: Any, derivatives: int) -> str:
    """The numpydoc docstring of a loss, or of the loss with so many derivatives."""
    sections = {
        "Parameters": _parameters(loss, derivatives),
        "Returns": _returns(derivatives),
        "Raises": RAISES,
        "Notes": _notes(loss, derivatives),
        "References": [loss.paper] if loss.paper else [],
        "Examples": _example(loss, derivatives),
    }
    summary = WHAT[ENDINGS[derivatives]].format(loss.name) if derivatives else loss.summary
    return numpydoc(summary, sections)


def _parameters(loss: Any, derivatives: int) -> Iterator[str]:
    yield "input : array_like"
    yield f"    {loss.input_meaning} float16, float32 or float64; integers convert as in NumPy."
    yield "target : array_like"
    yield f"    {loss.target.meaning} It broadcasts to the shape of `input`."
    yield from options_described(loss.options)
    yield "weight : array_like, optional"
    yield "    A factor of each element's loss; a mean divides by the number of elements."
    for operand, meaning in loss.operands.items():
        yield f"{operand} : array_like, optional"
        yield f"    {meaning}"
    if loss.ignores:
        yield "ignore_index : int, optional"
        yield "    A label that counts nothing: its loss and gradient are 0."
    allowed = ", ".join(f'"{name}"' for name in ("mean", "sum", "none", *loss.reductions))
    yield f'reduction : {{{allowed}}}, default "mean"'
    yield f"    Of the elements' losses.{BATCHMEAN * bool(loss.reductions)}"
    yield "dtype : dtype, optional"
    yield "    Of the loss: float16, float32 or float64; that of `input` by default."
    yield from outputs_described(derivatives, "any operand of these")


BATCHMEAN = ' "batchmean" divides the sum by the length of the first axis.'


def _returns(derivatives: int) -> Iterator[str]:
    yield "loss : scalar or ndarray"
    yield '    Of `dtype`; with ``reduction="none"`` of the shape of `input`.'
    if derivatives:
        yield "grad : ndarray"
        yield "    Of the shape and dtype of `input`."
    if derivatives > 1:
        yield from HESS


def _notes(loss: Any, derivatives: int) -> Iterator[str]:
    yield from (f".. math:: {loss.formula}", "")
    if derivatives:
        yield from ("The derivative:", "", f".. math:: {loss.derivative_formula}", "")
        yield from [loss.kinks, ""] if loss.kinks else []
    if derivatives > 1:
        yield from ("The second derivative:", "", f".. math:: {loss.second_formula}", "")
    yield f"Error: at most {loss.ulp:g} ULP of the loss{' and of the largest term of each derivative' * bool(derivatives)}"
    yield f"({loss.double_ulp:g} in float64). Up to 1024 losses are added in the precision of `input`, or in float32 if that is"
    yield "float16, their sums in float64, in an order that neither layout nor threads change."
    yield from ["", *loss.notes.splitlines()] if loss.notes else []


def _example(loss: Any, derivatives: int) -> Iterator[str]:
    """A call, and what it prints: the reference's values, to four digits after the point."""
    x, target = SHOWN[loss.takes.kind][0], SHOWN[loss.target.operand.kind][1]
    given = {name: option.default for name, option in loss.options.items()} | dict.fromkeys(loss.operands, 1.0)
    arrays = np.array(x), np.array(target, float)
    with np.errstate(all="ignore"):
        value = float(np.mean(loss.reference(*arrays, **given)).round(4))
        grad = sum(loss.reference_derivative(*arrays, **given)) / len(x)
    yield ">>> import fastact as fa"
    if not derivatives:
        yield f">>> round(float(fa.{loss.name}({x}, {target})), 4)"
        yield repr(value + 0.0)
        return
    results = ", ".join(("loss", "grad", "hess")[: derivatives + 1])
    yield f">>> {results} = fa.{loss.name}{ENDINGS[derivatives]}({x}, {target})"
    yield ">>> round(float(loss), 4)"
    yield repr(value + 0.0)
    yield ">>> grad.round(4)"
    yield repr(grad.round(4) + 0.0)
    if derivatives > 1:
        yield ">>> hess.round(4)"
        yield repr((sum(loss.reference_second(*arrays, **given)) / len(x)).round(4) + 0.0)
