"""The same functions in plain NumPy: the oracle of the tests, the documentation of the ops, the baseline of the benchmarks.

Each is the ``reference`` of a record, a different and obviously right formula, evaluated in float64. Results are rounded once
to the dtype that the fast function returns.

>>> from fastact import reference
>>> round(float(reference.silu(1.0)), 6)
0.731059
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact import table
from fastact.functions.elementwise import OPS, Op
from fastact.functions.numpy_maths import numpy_maths as numpy_maths
from fastact.functions.record import INTEGERS, Function

__all__ = table.names()


def value(name: str, x: Any, *parameters: Any) -> Any:
    """The reference value of the op ``name`` in float64; parameters that are not given take their defaults."""
    op = OPS[name]
    with np.errstate(all="ignore"):
        return op.reference(numpy_maths, np.asarray(x, dtype=np.float64), *_complete(op, parameters))


def derivative_terms(name: str, x: Any, *parameters: Any) -> tuple[Any, ...]:
    """The terms in float64 that add up to the derivative of the op ``name``."""
    op = OPS[name]
    if op.reference_derivative is None:
        raise ValueError(f"{name} has no derivative")
    with np.errstate(all="ignore"):
        return tuple(op.reference_derivative(numpy_maths, np.asarray(x, dtype=np.float64), *_complete(op, parameters)))


def _complete(op: Op, parameters: tuple[Any, ...]) -> tuple[Any, ...]:
    """The parameters with the defaults of those that were not given."""
    return (*parameters, *(op.defaults[name] for name in list(op.parameters)[len(parameters) :]))


def _between_dtypes(record: Function) -> Callable[..., Any]:
    """A record's reference, between the dtypes of its operands."""
    integers = [operand.kind in INTEGERS for operand in record.operands]

    def function(*arguments: Any, **options: Any) -> Any:
        operands, rest = arguments[: len(integers)], arguments[len(integers) :]
        pairs = list(zip(operands, integers, strict=False))
        given = [x if isinstance(x, int | float) else np.asarray(x).dtype for x, integer in pairs if not integer]
        dtype = np.result_type(np.result_type(*given), np.float16) if given else None
        wide = [np.asarray(x) if integer else np.asarray(x, np.float64) for x, integer in pairs]
        with np.errstate(all="ignore"):
            results = record.reference(*wide, *rest, **options)
            rounded = tuple(_rounded(r, dtype) for r in (results if isinstance(results, tuple) else (results,)))
        return rounded if isinstance(results, tuple) else rounded[0]

    function.__name__ = function.__qualname__ = record.name
    return function


def _rounded(result: Any, dtype: Any) -> Any:
    """A result in a dtype, if there is one and it is no array of indices."""
    array = np.asarray(result)
    return (array.astype(dtype) if dtype is not None and array.dtype.kind == "f" else array)[()]


def __getattr__(name: str) -> Any:
    """Build the reference function called ``name`` when it is first asked for (PEP 562)."""
    try:
        globals()[name] = _between_dtypes(table.function(name))
    except KeyError:
        raise AttributeError(f"module 'fastact.reference' has no attribute {name!r}") from None
    return globals()[name]
