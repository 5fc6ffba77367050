"""The same functions in plain NumPy: the oracle of the tests, the documentation of the ops, the baseline of the benchmarks.

Each follows the record's ``reference``, a different and obviously right formula, evaluated in float64. Results are rounded once
to the dtype that the fast function returns.

>>> from fastact import reference
>>> round(float(reference.silu(1.0)), 6)
0.731059
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.functions import activations as _activations
from fastact.functions import gated_units as _gates
from fastact.functions.elementwise import OPS, Op, public_names
from fastact.functions.numpy_maths import numpy_maths
from fastact.functions.rows import row_ops
from fastact.table import FUNCTIONS

__all__ = [*public_names(), *FUNCTIONS, *row_ops()]

del _activations, _gates


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


def glu(x: Any, axis: int = -1) -> Any:
    """The first half of an axis times the sigmoid of the second."""
    value, gate = np.split(np.asarray(x, dtype=np.float64), 2, axis)
    with np.errstate(all="ignore"):
        return (value / (1 + np.exp(-gate))).astype(_result_dtype(x))


def glu_backward(grad: Any, x: Any, axis: int = -1) -> Any:
    """The gradient of `glu`."""
    value, gate = np.split(np.asarray(x, dtype=np.float64), 2, axis)
    with np.errstate(all="ignore"):
        halves = 1 / (1 + np.exp(-gate)), value / (2 + np.exp(gate) + np.exp(-gate))
    return np.concatenate([grad * half for half in halves], axis).astype(_result_dtype(grad, x))


def maxout(x: Any, num_pieces: int, axis: int = -1) -> Any:
    """The largest of each group of neighbours."""
    return maxout_with_index(x, num_pieces, axis)[0]


def maxout_with_index(x: Any, num_pieces: int, axis: int = -1) -> tuple[Any, Any]:
    """The largest of each group of neighbours and its index."""
    x = np.asarray(x).astype(_result_dtype(x))
    axis %= x.ndim
    pieces = x.reshape(*x.shape[:axis], -1, num_pieces, *x.shape[axis + 1 :])
    which = np.argmax(pieces, axis + 1, keepdims=True)
    return np.take_along_axis(pieces, which, axis + 1).squeeze(axis + 1), which.squeeze(axis + 1).astype(np.int32)


def maxout_backward(grad: Any, which: Any, num_pieces: int, axis: int = -1) -> Any:
    """The gradient of `maxout`."""
    which, dtype = np.asarray(which), _result_dtype(grad)
    axis %= which.ndim
    chosen = np.expand_dims(which, axis + 1) == np.arange(num_pieces).reshape(-1, *[1] * (which.ndim - 1 - axis))
    grad = np.expand_dims(np.broadcast_to(np.asarray(grad, dtype), which.shape), axis + 1)
    shape = (*which.shape[:axis], which.shape[axis] * num_pieces, *which.shape[axis + 1 :])
    return np.where(chosen, grad, dtype.type(0)).reshape(shape)


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
            results = row_ops()[name].reference(*wide, **arguments)
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
    if name in row_ops():
        globals()[name] = _over_rows(name)
        return globals()[name]
    more = OPS[stem].arrays - 1
    if name == stem:

        def function(x: Any, *parameters: Any) -> Any:
            return value(stem, x, *parameters).astype(_result_dtype(x, *parameters[:more]))[()]

    else:

        def function(grad: Any, x: Any, *parameters: Any) -> Any:  # type: ignore[misc]
            grad, dtype = np.asarray(grad, dtype=np.float64), _result_dtype(grad, x, *parameters[:more])
            by_x = (grad * sum(derivative_terms(stem, x, *parameters))).astype(dtype)[()]
            if not more:
                return by_x
            return by_x, (grad * value(stem, x, 1.0)).astype(dtype)[()]  # a gated unit is linear in its second array

    function.__name__ = function.__qualname__ = name
    globals()[name] = function
    return function
