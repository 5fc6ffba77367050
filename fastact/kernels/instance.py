"""Kernels from templates: a function and all that it calls, with names filled in.

A template is a function of a module that imports ``FILLED_IN``. Some names of that module are left open, such as a dtype's size, or
the formula in the middle of a loop. Numba takes globals for constants, so a kernel is a copy of its template, and of every
template that it comes to: each has the globals of its own module but for the names that are filled in. There is no order to keep.
"""

from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any

from fastact.kernels import jit
from fastact.kernels.elementloop import ElementLoop
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.tuples import Each, Named
from fastact.maths.scalar import compilable, scalar


def instance(template: Callable[..., Any], filled: Mapping[str, Any]) -> Callable[..., Any]:
    """Copy a template, and every template that it comes to, with names filled in.

    Parameters
    ----------
    template : function
        What to copy.
    filled : mapping
        Values for names of all modules that the templates are from. A template among them is copied too, and so is the formula of
        an ``ElementLoop``, which becomes a function of pointers, and so is what an ``Each`` applies.
    """
    copied: Callable[..., Any] = _Copies(filled).of(template, jit.internal)
    return copied


def shared_parts(templates: Sequence[Callable[..., Any]], filled: Mapping[str, Any]) -> dict[str, Any]:
    """Copies of templates, and of those that they come to, by name: for several kernels, with whom they are compiled once."""
    copies = _Copies(filled)
    return {template.__name__: copies.part(template, jit.internal) for template in templates}


class _Copies:
    """The copies that belong to one kernel, each made once."""

    def __init__(self, filled: Mapping[str, Any]) -> None:
        self.filled = filled
        self.copies: dict[FunctionType, Any] = {}
        self.globals: dict[int, dict[str, Any]] = {}
        """Those of the copies of each module's functions, by the identity of its own."""

    def of(self, template: Any, mark: Callable[[Any], Any]) -> Any:
        """The copy of a template; what it calls is ``mark``ed as something that Numba compiles."""
        if template not in self.copies:
            own = template.__globals__
            names = self.globals.setdefault(id(own), {**own, **self.filled})
            copied = FunctionType(template.__code__, names, template.__name__, template.__defaults__)
            self.copies[template] = copied
            for name in template.__code__.co_names:
                if name in names:
                    names[name] = self._resolved(names[name], mark)
        return self.copies[template]

    def part(self, template: Any, mark: Callable[[Any], Any]) -> Any:
        """The copy of a template that another one calls, marked."""
        return self.copies.get(template) or mark(self.of(template, mark))

    def _resolved(self, value: Any, mark: Callable[[Any], Any]) -> Any:
        if isinstance(value, ElementLoop):
            formula = value.formula
            return value.of(self._resolved(formula, scalar)).over_pointers()
        if isinstance(value, Each):
            known = self.filled[value.function] if isinstance(value.function, str) else value.function
            return value.over_tuples(self._resolved(known, mark))
        if isinstance(value, Named):
            return value.over_tuples()
        if _is_template(value):
            # A copy that several kernels' parts share is filled in under the template's own name.
            return self.filled.get(value.__name__) or self.part(value, mark)
        return value


def _is_template(value: Any) -> bool:
    """Whether a value is a function to copy, and not one that Numba knows as it is."""
    return (
        isinstance(value, FunctionType)
        and value.__globals__.get("FILLED_IN") is FILLED_IN
        and value not in jit.parts
        and value not in compilable
    )
