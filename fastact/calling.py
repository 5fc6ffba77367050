"""How public functions are called: ``out`` as NumPy takes it, and errors about names and arguments that there are not."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, TypeVar

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
}
"""What arguments of other libraries are called here."""


def sole(out: Any) -> Any:
    """An ``out`` of a function with one result, which may be given as a tuple of one."""
    if type(out) is not tuple:
        return out
    if len(out) != 1:
        raise ValueError(f"out must be an array or a tuple of one, got a tuple of {len(out)}")
    return out[0]


def knowing_names(function: Function) -> Function:
    """Let the error for an unknown keyword argument say which are known."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            refuse_unknown(function.__name__, kwargs, inspect.signature(function).parameters)
            raise

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
