"""Pickling functions that users make, by name where an import finds them, else by value: from a notebook, ``__main__``, a closure.

pickle knows functions and ufuncs by name only. What it cannot find by name travels as the functions that it was made from.
"""

import copyreg
import sys
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

MOST_KNOWN = 256
"""Number of functions that are remembered by value, so that a worker makes each only once."""

_known: dict[bytes, Any] = {}
"""The functions of users by what they are pickled as."""


class Origin(NamedTuple):
    """What a function was made from."""

    make: Callable[..., Any]
    """Makes it; a function of a module."""
    arguments: tuple[Any, ...]
    """What that was given; the first is the function that it is named by."""
    parts: tuple[str, ...] = ()
    """The attributes that lead from what it returned to the function."""

    def mark(self, function: Any, *parts: str) -> Any:
        """Let a function, an attribute of what is made, know where it comes from."""
        function._origin = self._replace(parts=parts)
        return function

    def reduced(self, function: Any) -> str | tuple[Any, ...]:
        """How pickle is to treat a function, see ``object.__reduce__``."""
        named_by = self.arguments[0]
        names = (*named_by.__qualname__.split("."), *self.parts)
        if named_by.__module__ != "__main__" and _found(named_by.__module__, names) is function:
            return ".".join(names)
        from numba import cloudpickle

        value = cloudpickle.dumps(self.arguments)
        return _remade, (self.make, value, self.parts)


def _found(module: str, names: tuple[str, ...]) -> Any:
    return reduce(lambda found, name: getattr(found, name, None), names, sys.modules.get(module))


def _remade(make: Callable[..., Any], value: bytes, parts: tuple[str, ...]) -> Any:
    """The function of an ``Origin``, which is made when its value is first seen."""
    if value not in _known:
        from numba import cloudpickle

        if len(_known) >= MOST_KNOWN:
            _known.pop(next(iter(_known)))
        _known[value] = make(*cloudpickle.loads(value))
    return reduce(getattr, parts, _known[value])


class WithParameters:
    """A function of arrays and parameters over a ufunc, and with it what belongs to it.

    Attributes
    ----------
    ufunc : numpy.ufunc
        Takes all operands as arrays.
    backward : WithParameters
        The gradient, if there is one.
    """

    ufunc: Any
    backward: Any
    _origin: Origin

    def __init__(self, function: Callable[..., Any], ufunc: np.ufunc) -> None:
        self.__wrapped__, self.ufunc = function, ufunc
        self.__name__, self.__qualname__ = function.__name__, function.__qualname__
        self.__module__, self.__doc__ = function.__module__, function.__doc__

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Compute the function."""
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<function {self.__qualname__} over {self.ufunc!r}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return self._origin.reduced(self)


def _reduced_ufunc(ufunc: np.ufunc) -> str | tuple[Any, ...]:
    origin: Origin | None = getattr(ufunc, "_origin", None)
    return _numpys(ufunc) if origin is None else origin.reduced(ufunc)


_numpys: Callable[[np.ufunc], Any] = copyreg.dispatch_table[np.ufunc]
"""NumPy's own way, by name."""
copyreg.pickle(np.ufunc, _reduced_ufunc)
