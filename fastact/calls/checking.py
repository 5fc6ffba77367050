"""How public functions are called: ``out`` as NumPy takes it, and errors about names, arguments and values that are not allowed."""

import inspect
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from numbers import Real
from typing import Any, TypeVar

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from fastact.calls.widening import in_float32

Function = TypeVar("Function", bound=Callable[..., Any])

UFUNC_ARGUMENTS = ("where", "casting", "order", "dtype", "subok", "signature")
"""Keyword arguments of every ufunc besides ``out``."""

ARGUMENTS_ELSEWHERE = {
    "dim": "axis",
    "keepdim": "keepdims",
    "input": "x",
    "inplace": "out",
    "grad_output": "grad",
    "alpha": "negative_slope",
    "lambda_": "lambd",
    "num_units": "num_pieces",
    "targets": "target",
    "labels": "target",
    "label": "target",
    "mask": "where",
    "is_causal": "causal",
}
"""What arguments of other libraries are called here."""


def sole(out: Any) -> Any:
    """An ``out`` of a function with one result, which may be given as a tuple of one."""
    if type(out) is not tuple:
        return out
    if len(out) != 1:
        raise ValueError(f"out must be an array or a tuple of one, got a tuple of {len(out)}")
    return out[0]


def checked_out(out: Any, shape: tuple[int, ...], name: str = "out") -> Any:
    """An array to write a result of that shape to; ``TypeError`` and ``ValueError`` say why it is none."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name} must be an array, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{name} is read-only")
    return out


def one_of(name: str, value: Any, allowed: Iterable[str]) -> None:
    """``ValueError`` for what is none of the words that are allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def first_place(wrong: Any) -> tuple[tuple[int, ...], str]:
    """The index of the first element that is wrong, and what an error says of it."""
    position = tuple(int(i) for i in np.argwhere(wrong)[0])
    return position, at_position(position)


def at_position(position: tuple[int, ...]) -> str:
    """What an error says of an element's place; nothing of a scalar."""
    return f" at position {position[0] if len(position) == 1 else position}" if position else ""


def at_one_shape(arrays: Mapping[str, Any]) -> list[Any]:
    """Arrays at the shape that all broadcast to; the error names them."""
    try:
        return list(np.broadcast_arrays(*arrays.values()))
    except ValueError:
        shapes = " and ".join(f"{name} of shape {x.shape}" for name, x in arrays.items())
        raise ValueError(f"{shapes} do not broadcast") from None


def broadcast_to(name: str, x: Any, shape: tuple[int, ...]) -> Any:
    """An operand at the shape that it must broadcast to; ``ValueError`` says which operand does not."""
    try:
        return np.broadcast_to(x, shape)
    except ValueError:
        raise ValueError(f"{name} must broadcast to the shape {shape}, got {x.shape}") from None


def as_integer(value: Any) -> int | None:
    """An integer in any form that Python takes for an index, else ``None``: of booleans, too, which are meant as switches."""
    if type(value) is int:
        return value
    if isinstance(value, bool | np.bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def integer(name: str, value: Any, allowed: str = "an integer") -> int:
    """The argument of that name as an integer; ``TypeError`` says what is allowed."""
    found = as_integer(value)
    if found is None:
        raise TypeError(f"{name} must be {allowed}, got {value!r}")
    return found


def number(name: str, value: Any, allowed: str = "a number") -> float:
    """The argument of that name as a float; ``TypeError`` says what is allowed, as also for booleans, meant as switches."""
    if type(value) is float:
        return value
    if getattr(value, "ndim", None) == 0:  # an array of one number
        value = np.asarray(value)[()]
    is_real = type(value) is not bool and isinstance(value, Real)
    if not is_real:
        raise TypeError(f"{name} must be {allowed}, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def finite(name: str, value: Any) -> float:
    """The argument of that name as a finite float."""
    found = number(name, value, "a finite number")
    if not math.isfinite(found):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return found


def at_least_zero(name: str, value: Any) -> float:
    """The argument of that name as a finite float that is not negative."""
    found = number(name, value, "a finite number of at least 0")
    if not 0.0 <= found < math.inf:
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
    return found


def representable(name: str, value: float, dtype: Any) -> float:
    """A finite float that one of a dtype stands for; ``ValueError`` if it is too large for that."""
    if abs(value) > float(np.finfo(dtype).max):
        raise ValueError(f"{name} must be a finite number of {np.dtype(dtype)}, in which is computed, got {value!r}")
    return value


def switch(name: str, value: Any) -> bool:
    """The argument of that name as True or False, which 1 and 0 stand for too."""
    if type(value) is bool:
        return value
    if isinstance(value, np.bool) or as_integer(value) in (0, 1):
        return bool(value)
    raise TypeError(f"{name} must be True or False, got {value!r}")


def only_axis(axis: Any, ndim: int) -> int:
    """The position from the front of the one axis that a function takes; ``AxisError`` if there is no such axis."""
    return normalize_axis_index(axis if type(axis) is int else integer("axis", axis), ndim)


def knowing_names(function: Function) -> Function:
    """Let the error for an unknown keyword argument say which are known; and let the function take bfloat16, see `in_float32`."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            refuse_unknown(function.__name__, kwargs, inspect.signature(function).parameters)
            return in_float32(function, error, args, kwargs)

    return call  # type: ignore[return-value]


def refuse_unknown(function: str, given: Mapping[str, Any], allowed: Iterable[str]) -> None:
    """Raise ``TypeError`` for the first keyword argument that a public function does not take."""
    allowed = list(allowed)
    for name in given:
        if name not in allowed:
            ours = ARGUMENTS_ELSEWHERE.get(name)
            hint = f", which is called {ours!r} here" if ours in allowed else ""
            raise TypeError(
                f"{function}() got an unexpected keyword argument {name!r}{hint}; allowed are {', '.join(allowed)}"
            )


def no_attribute(name: str, known: Iterable[str], known_as: Mapping[str, str]) -> AttributeError:
    """The error for a name that the package does not have; ``known_as`` tells ours by another library's."""
    ours = _ours(name, list(known), known_as)
    hint = f"; it is called {ours!r} here" if ours else ""
    return AttributeError(f"module 'fastact' has no attribute {name!r}{hint}", name=name)


def _ours(name: str, known: list[str], known_as: Mapping[str, str]) -> str | None:
    stem = _plain(name.removesuffix("_backward"))
    for elsewhere, here in (*known_as.items(), *((one, one) for one in known)):
        ours = here + name[len(name.removesuffix("_backward")) :]
        if _plain(elsewhere) == stem and ours in known:
            return ours
    return None


def _plain(name: str) -> str:
    """A name without what libraries write differently: ``HardTanh`` is ``hard_tanh``."""
    return name.replace("_", "").lower()
