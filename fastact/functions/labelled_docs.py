"""The docstrings of the losses of labelled rows, from their records."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastact.functions.docs import ENDINGS, HESS, RAISES, WHAT, numpydoc, options_described, outputs_described

SHOWN = {"values": [[2.0, 1.0, -1.0], [0.5, 0.0, 1.0]], "logarithms": [[-0.5, -1.5, -2.0], [-1.0, -2.0, -0.5]]}
"""What examples are of, by the kind of the input, with the labels 0 and 2."""
LABELS = [0, 2]


def docstring(loss: Any, ending: str) -> str:
    """The numpydoc docstring of one of a loss's functions."""
    sections = {
        "Parameters": _parameters(loss, ending),
        "Returns": _returns(ending),
        "Raises": (
            "IndexError",
            "    If a label is neither a class nor `ignore_index`. Nothing has been written then.",
            *RAISES,
        ),
        "Notes": _notes(loss, ending),
        "References": [loss.paper] if loss.paper else [],
        "Examples": _example(loss, ending),
    }
    return numpydoc(WHAT[ending].format(loss.name) if ending else loss.summary, sections)


def _parameters(loss: Any, ending: str) -> Iterator[str]:
    yield "input : array_like"
    yield f"    {loss.input_meaning} float16, float32 or float64; integers convert as in NumPy."
    yield "target : array_like of int"
    yield "    Class indices of any integer dtype, with the shape of `input` without `axis`."
    yield from options_described(loss.options)
    yield "weight : array_like, optional"
    divisor = "their weights" if loss.weighted_mean else "the number of rows that count"
    yield f"    A factor for each class: that of its label multiplies a row's loss. A mean divides by {divisor}."
    yield "ignore_index : int, default -100"
    yield "    The label of rows that count nothing; it may lie among the classes."
    yield 'reduction : {"mean", "sum", "none"}, default "mean"'
    yield "    Of the rows' losses; the mean of none is NaN."
    yield "axis : int, default -1"
    yield "    The axis of the classes (PyTorch's is 1)."
    yield "dtype : dtype, optional"
    yield "    Of the loss: float16, float32 or float64; that of `input` by default."
    yield from outputs_described(ENDINGS.index(ending), "`input` itself")


def _returns(ending: str) -> Iterator[str]:
    yield "loss : scalar or ndarray"
    yield '    Of `dtype`; with ``reduction="none"`` of the shape of `input` without `axis`.'
    if ending:
        yield "grad : ndarray"
        yield "    Of the shape and dtype of `input`; it lies in memory as `input` does."
    if ending == "_with_grad_hess":
        yield from HESS


def _notes(loss: Any, ending: str) -> Iterator[str]:
    yield from (f".. math:: {loss.formula}", "")
    yield from ("Here y is a row's label and C the number of classes.", "")
    if ending:
        yield from ("The derivative:", "", f".. math:: {loss.derivative_formula}", "")
        yield from [loss.kinks, ""] if loss.kinks else []
    if ending == "_with_grad_hess":
        yield from ("The second derivative:", "", f".. math:: {loss.curvature_formula}", "")
    yield f"Error: at most {loss.ulp:g} ULP of {loss.scale_meaning}{' and of the largest term of each derivative' * bool(ending)}"
    yield f"({loss.double_ulp:g} in float64). Losses are added in float64, in an order that neither layout nor threads change."
    yield from ["", *loss.notes.splitlines()] if loss.notes else []


def _example(loss: Any, ending: str) -> Iterator[str]:
    """A call, and what it prints: the reference's values, to four digits after the point."""
    x = SHOWN[loss.takes.kind]
    hot = np.array(LABELS)[:, None] == np.arange(3)
    options = {name: option.default for name, option in loss.options.items()}
    with np.errstate(all="ignore"):
        value = float(np.mean(loss.reference(np.array(x), hot, **options)).round(4))
        grad = sum(loss.reference_gradient(np.array(x), hot, **options)) / len(x)
    yield ">>> import fastact as fa"
    if not ending:
        yield f">>> round(float(fa.{loss.name}({x}, {LABELS})), 4)"
        yield repr(value + 0.0)
        return
    names = "loss, grad" if ending == "_with_grad" else "loss, grad, hess"
    yield f">>> {names} = fa.{loss.name}{ending}({x}, {LABELS})"
    if ending == "_with_grad":
        yield ">>> grad.round(4)"
        yield from repr(grad.round(4) + 0.0).splitlines()
        return
    with np.errstate(all="ignore"):
        hess = sum(loss.reference_curvature(np.array(x), hot, **options)) / len(x)
    yield ">>> hess.round(4)"
    yield from repr(hess.round(4) + 0.0).splitlines()
