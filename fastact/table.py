"""Every public function that computes, by name, and, of those that are neither elementwise nor over rows, how to call each once.

A module is imported when one of its functions is first asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from fastact.functions import activations, gated_units  # noqa: F401 - each registers its ops
from fastact.functions.elementwise import public_function, public_names
from fastact.functions.rows import NAMES, row_ops

PUBLIC_MODULE = "fastact"

PIECES = range(1, 10)
"""Each number of pieces has kernels of its own, but 9 stands for all from 9 on."""


@dataclass(frozen=True, eq=False, repr=False)
class Function:
    """One public function."""

    module: str
    """Where it is defined."""
    examples: Callable[[Any], Sequence[tuple[Any, ...]]]
    """For a dtype, arguments of calls that together run everything that there is to compile."""
    ulp: float = 0.0
    """The promised largest error in float32 and float64, in units in the last place; 0 for what only chooses."""


def _ones(dtype: Any, *shape: int) -> Any:
    return np.ones(shape, dtype)


def _channels(dtype: Any, pieces: int) -> list[Any]:
    """Arrays that each kernel of maxout takes one of: of one group, and of rows that do not follow each other."""
    return [_ones(dtype, pieces), _ones(dtype, 2, pieces + 1)[:, :-1]]


FUNCTIONS = {
    "glu": Function("fastact.functions.gated_units", lambda t: [(_ones(t, 2),), (_ones(t, 2, 2),)], ulp=3.0),
    "glu_backward": Function(
        "fastact.functions.gated_units",
        lambda t: [(_ones(t, 1), _ones(t, 2)), (_ones(t, 2, 1), _ones(t, 2, 2))],
        ulp=4.0,
    ),
    "maxout": Function("fastact.functions.maxout", lambda t: [(x, k) for k in PIECES for x in _channels(t, k)]),
    "maxout_with_index": Function(
        "fastact.functions.maxout", lambda t: [(x, k) for k in PIECES for x in _channels(t, k)]
    ),
    "maxout_backward": Function(
        "fastact.functions.maxout",
        lambda t: [(x[..., :1], np.zeros(x[..., :1].shape, np.int32), k) for k in PIECES for x in _channels(t, k)],
    ),
}
"""By name."""


def names() -> list[str]:
    """The names of all public functions that compute."""
    return [*public_names(), *FUNCTIONS, *NAMES]


@cache
def function(name: str) -> Any:
    """The public function called ``name``, imported or built when it is first asked for; ``KeyError`` if there is none."""
    if name in NAMES:
        return row_ops()[name].function
    if name not in FUNCTIONS:
        return public_function(name)
    found = getattr(import_module(FUNCTIONS[name].module), name)
    found.__module__ = PUBLIC_MODULE
    return found
