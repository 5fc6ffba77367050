"""Copies of users' functions, and of all functions that they call, with the values that their names have now.

Numba compiles a function once for each type, with the globals of that moment. A copy is compiled anew: two compilations of one
function, the second after a global has changed, must not share what the first has frozen.
"""

import types
from typing import Any

from fastact.runtime.fingerprint import is_known, names_in


def snapshot(function: Any) -> tuple[types.FunctionType, list[types.FunctionType]]:
    """A copy of a function, and all plain functions that it may come to, itself included."""
    copies = _Copies()
    copy = copies.of_function(function)
    return copy, copies.functions


class _Copies:
    """Copies by what they are of."""

    def __init__(self) -> None:
        self.known: dict[int, Any] = {}
        self.functions: list[types.FunctionType] = []

    def of(self, value: Any, names: set[str]) -> Any:
        """A copy of a function or of a module, in which only what bears one of the names counts; other values as they are."""
        if id(value) in self.known:
            return self.known[id(value)]
        if is_known(value):
            return value
        if isinstance(value, types.FunctionType):
            return self.of_function(value)
        if isinstance(value, types.ModuleType):
            return self._of_module(value, names)
        if isinstance(getattr(value, "py_func", None), types.FunctionType):
            import numba

            return numba.jit(**value.targetoptions)(self.of_function(value.py_func))
        return value

    def of_function(self, function: types.FunctionType) -> types.FunctionType:
        """A copy of a function, wherever it is from."""
        names = names_in(function.__code__)
        scope: dict[str, Any] = {
            "__builtins__": function.__globals__.get("__builtins__"),
            "__name__": function.__module__,
        }
        cells = tuple(types.CellType() for _ in function.__closure__ or ())
        copy = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, cells)
        copy.__kwdefaults__, copy.__qualname__ = function.__kwdefaults__, function.__qualname__
        self.known[id(function)] = copy
        self.functions.append(copy)
        scope.update({name: self.of(function.__globals__[name], names) for name in names & function.__globals__.keys()})
        for cell, original in zip(cells, function.__closure__ or (), strict=True):
            cell.cell_contents = self.of(original.cell_contents, names)
        return copy

    def _of_module(self, module: types.ModuleType, names: set[str]) -> types.ModuleType:
        copy = self.known[id(module)] = types.ModuleType(module.__name__)
        vars(copy).update({name: self.of(vars(module)[name], names) for name in names & vars(module).keys()})
        return copy
