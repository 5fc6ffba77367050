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


def _log_ndtr(x: Any) -> Any:
    """The logarithm of ``erfc(-x / sqrt(2)) / 2``: far left by Laplace's continued fraction of Mills' ratio."""
    x = np.asarray(x, dtype=np.float64)
    t = np.maximum(-x, 3.0)
    ratio = t
    for k in range(120, 0, -1):
        ratio = t + k / ratio
    far = -t * t / 2 - np.log(ratio * np.sqrt(2 * np.pi))
    erfc = numpy_maths.erfc
    return np.where(
        x < -3, far, np.where(x < 0, np.log(erfc(-x / np.sqrt(2)) / 2), np.log1p(-erfc(x / np.sqrt(2)) / 2))
    )


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
    log_ndtr=_log_ndtr,
    where=np.where,
    minimum=np.minimum,
    maximum=np.maximum,
    clip=np.clip,
    pi=np.pi,
    number=float,
    finite=lambda x: np.clip(x, -np.finfo(np.float64).max, np.finfo(np.float64).max),
    tanh_shrink_series_below=0.02,
    series=True,
)
"""What a reference's first argument ``m`` is."""
