"""All of NumPy's names, some of them faster: ``import fastact.numpy as np``.

What is not replaced is NumPy's own object. What is replaced is a `numpy.ufunc` of NumPy's name, whose loops for float16, float32
and float64 are fastact's, and all others NumPy's: signatures, dtypes, promotion, and what `numpy.errstate` makes of results that
are infinite or no numbers, are as there. `replaced` names them. Parts of NumPy are imported from there, as in
``from numpy.random import default_rng``.

The `reductions` are functions of NumPy's names and signatures: `sum`, `mean`, `var`, `std`, `max` (`amax`), `min` (`amin`),
`argmax` and `argmin`. Arrays of float16, float32 and float64 that are large enough are reduced here, over any axis: sums in
float64, with what additions round away, to the same bits on any number of threads. All else, such as small arrays, integers,
`where` or containers, goes to NumPy's own function as it came.

>>> import fastact.numpy as np
>>> np.exp(np.zeros(2, dtype=np.float32))
array([1., 1.], dtype=float32)
>>> import numpy
>>> np.exp is numpy.exp, np.arange is numpy.arange
(False, True)
>>> "exp" in np.replaced
True
>>> tenths = np.full((10**6, 2), 0.1, dtype=np.float32)
>>> np.sum(tenths, axis=0), numpy.sum(tenths, axis=0)
(array([100000., 100000.], dtype=float32), array([100958.34, 100958.34], dtype=float32))
>>> "sum" in np.reductions
True
"""

from typing import Any

import numpy as _numpy

from fastact.runtime.uninterrupted import first_import as _first_import
from fastact.table import stand_ins as _stand_ins

replaced: tuple[str, ...] = tuple(
    sorted(name for name in _stand_ins() if isinstance(getattr(_numpy, name), _numpy.ufunc))
)
"""The names of the ufuncs that are not NumPy's own."""
reductions = ("amax", "amin", "argmax", "argmin", "max", "mean", "min", "std", "sum", "var")
"""The names of the functions that are not NumPy's own and no ufuncs."""
__all__ = [*_numpy.__all__, "reductions", "replaced"]


def __getattr__(name: str) -> Any:
    """Build a ufunc, or import a reduction, when it is first asked for; all else is NumPy's (PEP 562)."""
    if name in replaced:
        globals()[name] = _first_import(lambda: _built(name))
        return globals()[name]
    if name in reductions:
        globals()[name] = _first_import(lambda: _reduction(name))
        return globals()[name]
    try:
        return getattr(_numpy, name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}, nor has numpy") from None


def _built(name: str) -> Any:
    import warnings

    from fastact.runtime.standins import UnknownStructureError, ufunc_like

    known = getattr(_numpy, name)
    try:
        return ufunc_like(known, _stand_ins()[name], __name__)
    except UnknownStructureError as error:
        warnings.warn(f"fastact.numpy.{name} is NumPy's own: {error}", RuntimeWarning, stacklevel=5)
        return known


def _reduction(name: str) -> Any:
    from fastact.functions.numpy_reductions import REDUCTIONS

    return REDUCTIONS[name]


def __dir__() -> list[str]:
    return sorted({*dir(_numpy), "reductions", "replaced"})
