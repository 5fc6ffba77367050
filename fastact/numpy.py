"""All of NumPy's names, some of them faster: ``import fastact.numpy as np``.

What is not replaced is NumPy's own object; `replaced` names the others. Parts of NumPy are imported from there, as in
``from numpy.random import default_rng``.

Most are a `numpy.ufunc` of NumPy's name, whose loops for float16, float32 and float64 are fastact's, and all others NumPy's:
signatures, dtypes, promotion, and what `numpy.errstate` makes of results that are infinite or no numbers, are as there. Where
NumPy's loop of float64 is the quicker one, as some are on processors with AVX-512, it is NumPy's, and several threads share it.

`sum`, `mean`, `var`, `std`, `max` (`amax`), `min` (`amin`), `argmax`, `argmin`, `where`, `select` and `clip` are functions of
NumPy's names and signatures. Arrays of float16, float32 and float64 that are large enough are reduced here, over any axis: sums in
float64, with what additions round away, to the same bits on any number of threads. `where` and `select` take one element or the
other without a branch. All else, such as small arrays, integers, a `where` of a sum or containers, goes to NumPy's own function as
it came.

>>> import fastact.numpy as np
>>> np.exp(np.zeros(2, dtype=np.float32))
array([1., 1.], dtype=float32)
>>> import numpy
>>> np.exp is numpy.exp, np.arange is numpy.arange
(False, True)
>>> "exp" in np.replaced, "sum" in np.replaced
(True, True)
>>> tenths = np.full((10**6, 2), 0.1, dtype=np.float32)
>>> np.sum(tenths, axis=0), numpy.sum(tenths, axis=0)
(array([100000., 100000.], dtype=float32), array([100958.34, 100958.34], dtype=float32))
"""

from typing import Any

import numpy as _numpy

from fastact.runtime.uninterrupted import first_import as _first_import
from fastact.table import stand_ins as _stand_ins

_REDUCTIONS = ("amax", "amin", "argmax", "argmin", "max", "mean", "min", "std", "sum", "var")
_FUNCTIONS = dict.fromkeys(_REDUCTIONS, "numpy_reductions") | dict.fromkeys(
    ("clip", "select", "where"), "numpy_selects"
)
"""The modules of ``fastact.functions`` of those that are no ufuncs, which are imported when one is asked for."""
replaced: tuple[str, ...] = tuple(sorted(_stand_ins() | _FUNCTIONS))
"""The names of what is not NumPy's own."""
__all__ = [*_numpy.__all__, "replaced"]


def __getattr__(name: str) -> Any:
    """Build a ufunc, or import a function, when it is first asked for; all else is NumPy's (PEP 562)."""
    if name in replaced:
        make = _imported if name in _FUNCTIONS else _built
        globals()[name] = function = _first_import(lambda: make(name))
        _tell_numba(name, function)
        return function
    try:
        return getattr(_numpy, name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}, nor has numpy") from None


def _built(name: str) -> Any:
    from fastact.runtime.standins import stand_in

    return stand_in(name, getattr(_numpy, name), _stand_ins()[name], __name__, 5)


def _imported(name: str) -> Any:
    from importlib import import_module

    return getattr(import_module(f"fastact.functions.{_FUNCTIONS[name]}"), name)


def _tell_numba(name: str, function: Any) -> None:
    """What is built before Numba first compiles something it is told of then."""
    import sys

    in_numba = sys.modules.get(f"{__package__}.in_numba")
    if in_numba is not None:
        in_numba.tell_of_numpys(name, function)


def __dir__() -> list[str]:
    return sorted({*dir(_numpy), "replaced"})
