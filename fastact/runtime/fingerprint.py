"""What the machine code of a user's function depends on: its own code, and all values that compiling it freezes.

Compiled code holds globals, defaults and the variables of enclosing functions as constants. So a digest of the source file would
not do: two closures of one line differ, and so does one function over a global that an environment variable sets. Nor is a file
needed: functions of a notebook have a fingerprint as well.
"""

import enum
import hashlib
import sys
import types
from collections.abc import Iterable
from typing import Any

import numpy as np

PLAIN = (type(None), type(...), bool, int, float, complex, str, bytes)
KNOWN_MODULES = {"builtins", "cmath", "fastact", "math", "numba", "numpy", "operator"}
"""Top-level packages whose contents follow from versions, which the cache's key holds, and from their own name."""
CODE_FIELDS = (
    "co_code",
    "co_argcount",
    "co_posonlyargcount",
    "co_kwonlyargcount",
    "co_flags",
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_cellvars",
)


class _UnknownError(TypeError):
    """There is a value of which nobody can say what compiled code takes from it."""


def fingerprint(function: types.FunctionType) -> bytes | None:
    """A digest of all that compiled code takes from a function as it is now; ``None`` if that cannot be told."""
    try:
        return _Walk().digest(function)
    except _UnknownError:
        return None


class _Walk:
    """One way through everything that a function refers to."""

    def __init__(self) -> None:
        self.total = hashlib.sha256(np.__version__.encode())
        self.functions: list[types.FunctionType] = []

    def digest(self, function: types.FunctionType) -> bytes:
        self._add_function(function)
        return self.total.digest()

    def note(self, *parts: object) -> None:
        """Take in something whose ``repr`` says all about it."""
        self.total.update(repr(parts).encode())

    def add(self, value: Any, names: Iterable[str] = ()) -> None:
        """Take in a value; of a module what bears one of the names that the code uses."""
        kind = type(value)
        if kind in PLAIN:
            self.note(kind.__name__, value)
        elif isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
            self.note(kind.__name__, value.dtype.str, np.shape(value), value.tobytes())
        elif isinstance(value, tuple | frozenset):
            self.note(kind.__module__, kind.__qualname__, getattr(kind, "_fields", ()), len(value))
            for item in value if isinstance(value, tuple) else sorted(value, key=repr):
                self.add(item)
        elif isinstance(value, types.CodeType):
            self._add_code(value)
        elif isinstance(value, types.ModuleType):
            self._add_module(value, names)
        elif is_known(value):
            self.note("known", getattr(value, "__module__", ""), value.__name__)
        elif isinstance(value, type):
            self._add_class(value)
        elif isinstance(value, types.FunctionType):
            self._add_function(value)
        elif isinstance(getattr(value, "py_func", None), types.FunctionType):  # what Numba has decorated
            self.note(kind.__name__, sorted(getattr(value, "targetoptions", {}).items()))
            self._add_function(value.py_func)
        else:
            raise _UnknownError(kind)

    def _add_function(self, function: types.FunctionType) -> None:
        if function in self.functions:
            self.note("function", self.functions.index(function))
            return
        self.functions.append(function)
        self.add(function.__code__)
        self.add(function.__defaults__)
        self.add(tuple(sorted((function.__kwdefaults__ or {}).items())))
        names = names_in(function.__code__)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self.note(name)
            try:
                value = cell.cell_contents
            except ValueError:
                raise _UnknownError("a variable without a value") from None
            self.add(value, names)
        for name in sorted(names & function.__globals__.keys()):
            self.note(name)
            self.add(function.__globals__[name], names)

    def _add_code(self, code: types.CodeType) -> None:
        self.note(*(getattr(code, field) for field in CODE_FIELDS), getattr(code, "co_exceptiontable", b""))
        self.add(code.co_consts)

    def _add_class(self, value: type) -> None:
        """What compiled code takes from a class; what it takes from others than these nobody can say."""
        self.note("class", value.__module__, value.__qualname__, getattr(value, "_fields", ()))
        if issubclass(value, enum.Enum):
            for member in value:
                self.note(member.name)
                self.add(member.value)
        elif not (issubclass(value, BaseException) or (issubclass(value, tuple) and hasattr(value, "_fields"))):
            raise _UnknownError(value)

    def _add_module(self, module: types.ModuleType, names: Iterable[str]) -> None:
        self.note("module", module.__name__)
        if not is_known(module):
            for name in sorted(set(names) & vars(module).keys()):
                self.note(name)
                self.add(vars(module)[name], names)


def names_in(code: types.CodeType) -> set[str]:
    """The names of globals and attributes that a function's code uses, and the code of functions in it."""
    inner = [names_in(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*inner)


def is_known(value: Any) -> bool:
    """Whether a function, class or module follows from versions that the cache's key holds anyway, and its name leads to it."""
    if isinstance(value, types.ModuleType):
        return value.__name__.partition(".")[0] in KNOWN_MODULES
    name, home = getattr(value, "__name__", None), getattr(value, "__module__", None)
    if isinstance(value, np.ufunc):
        return getattr(np, value.__name__, None) is value or home == "fastact"
    if isinstance(name, str) and isinstance(home, str):
        # Instances have the module of their class, and wrappers that of what they wrap.
        return home.partition(".")[0] in KNOWN_MODULES and getattr(sys.modules.get(home), name, None) is value
    return isinstance(value, types.BuiltinFunctionType)
