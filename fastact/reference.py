"""The same functions in plain NumPy: the oracle of the tests, the documentation of the ops, the baseline of the benchmarks.

Each follows the record's ``reference``, a different and obviously right formula, evaluated in float64. Results are rounded once
to the dtype that the fast function returns.

>>> from fastact import reference
>>> round(float(reference.silu(1.0)), 6)
0.731059
"""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastact import activations as _activations
from fastact.registry import OPS, Op, public_names
from fastact.rows import ROW_OPS

__all__ = [*public_names(), *ROW_OPS]

del _activations


def _elementwise(function: Callable[[float], float]) -> Callable[[Any], Any]:
    """A function of the C library, which NumPy lacks, over an array."""
    over_objects = np.frompyfunc(function, 1, 1)
    return lambda x: np.asarray(over_objects(x), dtype=np.float64)


numpy_maths = SimpleNamespace(
    exp=np.exp,
    expm1=np.expm1,
    log=np.log,
    log1p=np.log1p,
    logaddexp=np.logaddexp,
    tanh=np.tanh,
    cosh=np.cosh,
    sqrt=np.sqrt,
    erf=_elementwise(math.erf),
    erfc=_elementwise(math.erfc),
    where=np.where,
    minimum=np.minimum,
    maximum=np.maximum,
    clip=np.clip,
    pi=np.pi,
    number=float,
    finite=lambda x: np.clip(x, -np.finfo(np.float64).max, np.finfo(np.float64).max),
    tanh_shrink_series_below=0.02,
)
"""The maths that a reference is written on; ``tests/mpmaths.py`` holds the same names for mpmath."""


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


def _result_dtype(*operands: Any) -> Any:
    given = np.result_type(*(x if isinstance(x, int | float) else np.asarray(x).dtype for x in operands))
    return np.result_type(given, np.float16)


def _over_rows(name: str) -> Callable[..., Any]:
    """The reference of an op over rows, between the dtypes of its arguments."""

    def function(*arrays: Any, **arguments: Any) -> Any:
        given = [np.asarray(a) for a in arrays]
        floats = [a for a in given if a.dtype.kind == "f"]
        wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in given]
        with np.errstate(all="ignore"):
            results = ROW_OPS[name].reference(*wide, **arguments)
        dtype = np.result_type(*floats) if floats else np.dtype(np.float64)
        rounded = tuple(
            np.asarray(r).astype(dtype)[()] for r in (results if isinstance(results, tuple) else (results,))
        )
        return rounded if isinstance(results, tuple) else rounded[0]

    return function


def __getattr__(name: str) -> Any:
    """Build the reference function called ``name`` when it is first asked for (PEP 562)."""
    stem = name.removesuffix("_backward")
    if name not in __all__:
        raise AttributeError(f"module 'fastact.reference' has no attribute {name!r}")
    if name in ROW_OPS:
        function = _over_rows(name)
    elif name == stem:

        def function(x: Any, *parameters: Any) -> Any:
            return value(stem, x, *parameters).astype(_result_dtype(x))[()]

    else:

        def function(grad: Any, x: Any, *parameters: Any) -> Any:  # type: ignore[misc]
            total = sum(derivative_terms(stem, x, *parameters))
            return (np.asarray(grad, dtype=np.float64) * total).astype(_result_dtype(grad, x))[()]

    function.__name__ = function.__qualname__ = name
    globals()[name] = function
    return function
