"""Errors about names that fastact does not have, for who knows a function or an argument by another library's name."""

from collections.abc import Iterable, Mapping
from typing import Any

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
