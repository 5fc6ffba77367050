"""Copies of template functions: plain code, greppable and checked, given other globals and other parameter names."""

from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any


class NotFilledIn:
    """The type of ``FILLED_IN``, which Numba's error for a name that was forgotten shows beside that name."""


FILLED_IN: Any = NotFilledIn()
"""What stands for a template's open names; a copy has them filled in."""


def clone(
    template: Any,
    scope: Mapping[str, Any],
    names: Sequence[str] = (),
    defaults: tuple[Any, ...] = (),
) -> Callable[..., Any]:
    """Copy a function.

    Parameters
    ----------
    template : function
        What to copy.
    scope : mapping
        The globals of the copy; the template's own serve for what it lacks.
    names : sequence of str
        Names for the first parameters, so that they can be given by keyword.
    defaults : tuple
        Defaults of the last positional parameters.
    """
    code = template.__code__
    code = code.replace(co_varnames=(*names, *code.co_varnames[len(names) :]))
    return FunctionType(code, {**template.__globals__, **scope}, template.__name__, defaults)
