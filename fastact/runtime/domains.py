"""Where masked arrays know a function to be defined: NumPy's masked arrays mask what is outside, and go by the ufunc itself."""

import sys
from importlib import import_module
from typing import Any

import numpy as np

from fastact.runtime.arrivals import when_imported

HOME = "numpy.ma.core"
_pairs: list[tuple[np.ufunc, np.ufunc]] = []
"""Ufuncs that nobody has asked of yet, and those of NumPy's that they are like."""


def share_domain(ufunc: np.ufunc, known: np.ufunc) -> None:
    """Let masked arrays treat a ufunc as one of NumPy's, from now on or from when somebody has imported them."""
    _pairs.append((ufunc, known))
    if HOME in sys.modules:
        _enter_all()
    else:
        when_imported(HOME, _enter_all)


def _enter_all() -> None:
    core: Any = import_module(HOME)  # which waits until another thread's import has ended
    while _pairs:
        ufunc, known = _pairs.pop()
        if known in core.ufunc_domain:
            core.ufunc_domain[ufunc], core.ufunc_fills[ufunc] = core.ufunc_domain[known], core.ufunc_fills[known]
