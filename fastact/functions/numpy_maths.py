"""The maths that references are written on, for float64 arrays; ``tests/mpmaths.py`` holds the same names for mpmath."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np


def _elementwise(function: Callable[[float], float]) -> Callable[[Any], Any]:
    """A function of the C library, which NumPy lacks, over an array."""
    over_objects = np.frompyfunc(function, 1, 1)
    return lambda x: np.asarray(over_objects(x), dtype=np.float64)


numpy_maths = SimpleNamespace(
    exp=np.exp,
    expm1=np.expm1,
    log=np.log,
    log1p=np.log1p,
    exp2=np.exp2,
    log2=np.log2,
    log10=np.log10,
    logaddexp=np.logaddexp,
    logaddexp2=np.logaddexp2,
    power=np.power,
    tanh=np.tanh,
    sinh=np.sinh,
    cosh=np.cosh,
    sin=np.sin,
    cos=np.cos,
    arctan=np.arctan,
    cbrt=np.cbrt,
    hypot=np.hypot,
    sqrt=np.sqrt,
    erf=_elementwise(math.erf),
    erfc=_elementwise(math.erfc),
    where=np.where,
    minimum=np.minimum,
    maximum=np.maximum,
    clip=np.clip,
    pi=np.pi,
    number=float,
    finite=lambda x: np.clip(x, -np.finfo(np.float64).max, np.finfo(np.float64).max),
    tanh_shrink_series_below=0.02,
)
"""What a reference's first argument ``m`` is."""
