"""Public functions that are no elementwise op: where each is defined, and how to call it once.

A module is imported when one of its functions is first asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

PUBLIC_MODULE = "fastact"

@dataclass(frozen=True)
class Function:
    """One public function."""

    module: str
    """Where it is defined."""
    examples: Callable[[Any], Sequence[tuple[Any, ...]]]
    """For a dtype, arguments of calls that together run everything that there is to compile."""


def _ones(dtype: Any, *shape: int) -> Any:
    return np.ones(shape, dtype)


FUNCTIONS = {
    "glu": Function("fastact.gates", lambda t: [(_ones(t, 2),), (_ones(t, 2, 2),)]),
    "glu_backward": Function("fastact.gates", lambda t: [(_ones(t, 1), _ones(t, 2)), (_ones(t, 2, 1), _ones(t, 2, 2))]),
}
"""By name."""


def function(name: str) -> Any:
    """The function called ``name``; ``KeyError`` if there is none."""
    found = getattr(import_module(FUNCTIONS[name].module), name)
    found.__module__ = PUBLIC_MODULE
    return found
