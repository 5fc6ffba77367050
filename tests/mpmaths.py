"""The maths of ``fastact.reference`` in multiple precision: the oracle for float64.

The records' references run on mpmath scalars as they run on arrays. Precision follows the argument, so that a formula
such as ``x - tanh(x)`` keeps enough digits.
"""

from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
from mpmath import mp, mpf

from tests.ulp import compute, parameters, split

LARGEST_EXPONENT = 100_000
"""Larger arguments of ``exp`` are taken for this: e to the 1e300 does not fit into any memory."""
_MAX = mpf(np.finfo(np.float64).max)
_MIN_EXPONENT, _MAX_EXPONENT, _MANTISSA = -1022, 1024, 52


def _bounded(x: Any, bound: float) -> Any:
    return min(max(mpf(x), mpf(-bound)), mpf(bound))


def _log(x: Any) -> Any:
    return mpf("nan") if x < 0 else mp.log(x)


def _log1p(x: Any) -> Any:
    return mpf("nan") if x < -1 else mpf("-inf") if x == -1 else mp.log1p(x)


def _power(x: Any, y: Any) -> Any:
    if x == 0 and y < 0:
        return mpf("inf")
    if x < 0 and y != mp.floor(y):
        return mpf("nan")
    size = mp.exp(_bounded(y * mp.log(abs(x)), LARGEST_EXPONENT)) if x else mpf(y == 0)
    return -size if x < 0 and y % 2 == 1 else size


def _logaddexp(a: Any, b: Any) -> Any:
    return max(a, b) + mp.log1p(mp.exp(-_bounded(abs(mpf(a) - b), LARGEST_EXPONENT)))


def _log_ndtr(x: Any) -> Any:
    if x < -1000:  # by the asymptotic series
        y = 1 / mpf(x) ** 2
        terms = 1 - y * (1 - 3 * y * (1 - 5 * y * (1 - 7 * y * (1 - 9 * y))))
        return -(mpf(x) ** 2) / 2 - mp.log(-x * mp.sqrt(2 * mp.pi)) + mp.log(terms)
    return mp.log1p(-mp.erfc(min(x, 100) / mp.sqrt(2)) / 2) if x > 0 else mp.log(mp.erfc(-x / mp.sqrt(2)) / 2)


mp_maths = SimpleNamespace(
    exp=lambda x: mp.exp(_bounded(x, LARGEST_EXPONENT)),
    expm1=lambda x: mp.expm1(_bounded(x, LARGEST_EXPONENT)),
    log=_log,
    log1p=_log1p,
    exp2=lambda x: mp.power(2, _bounded(x, LARGEST_EXPONENT)),
    log2=lambda x: _log(x) / mp.log(2),
    log10=lambda x: _log(x) / mp.log(10),
    logaddexp=_logaddexp,
    logaddexp2=lambda a, b: _logaddexp(a * mp.log(2), b * mp.log(2)) / mp.log(2),
    power=_power,
    tanh=lambda x: mp.tanh(_bounded(x, LARGEST_EXPONENT)),
    sinh=lambda x: mp.sinh(_bounded(x, LARGEST_EXPONENT)),
    cosh=lambda x: mp.cosh(_bounded(x, LARGEST_EXPONENT)),
    sin=mp.sin,
    cos=mp.cos,
    arctan=mp.atan,
    cbrt=lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    sqrt=mp.sqrt,
    hypot=mp.hypot,
    erf=lambda x: mp.erf(_bounded(x, 100)),
    erfc=lambda x: mp.erfc(_bounded(x, 100)),
    log_ndtr=_log_ndtr,
    where=lambda condition, a, b: a if condition else b,
    minimum=lambda a, b: min(mpf(a), mpf(b)),
    maximum=lambda a, b: max(mpf(a), mpf(b)),
    clip=lambda x, low, high: min(max(mpf(x), mpf(low)), mpf(high)),
    pi=mp.pi,
    number=mpf,
    finite=lambda x: min(max(mpf(x), -_MAX), _MAX),
    tanh_shrink_series_below=0,
    series=False,
)
"""The names of ``fastact.functions.numpy_maths`` for ``mpf`` scalars."""


def exact(name: str, x: float, *params: float) -> tuple[Any, Any]:
    """Compute a function's value at ``x`` in multiple precision, and its largest term.

    Parameters
    ----------
    name : str
        An op, or an op and ``_backward`` for its derivative.
    x : float
        A finite float64.
    *params : float
        All parameters of the op.

    Returns
    -------
    value, largest : mpf
        Of an op, ``largest`` is the magnitude of the value; of a derivative, that or its largest term's.
    """
    op, backward = split(name)
    with mp.workdps(_digits(x)):
        if not backward:
            value = mpf(op.reference(mp_maths, mpf(x), *params))
            return value, abs(value)
        assert op.reference_derivative is not None
        terms = [mpf(term) for term in op.reference_derivative(mp_maths, mpf(x), *params)]
        value = mp.fsum(terms)
        return value, max(abs(value), *map(abs, terms))


def _digits(x: float) -> int:
    """How many digits ``x - tanh(x)`` and ``sqrt(x * x + b) - x`` need near zero and far from it."""
    return 40 + (0 if x == 0 else int(3 * abs(mpmath.log10(abs(x)))))


def ulp_error(computed: float, value: Any, largest: Any) -> float:
    """Measure a float64 result's distance from the exact value in spacings at ``largest``; see ``ulp.ulp_error``."""
    if np.isnan(computed) or mp.isnan(value):
        return 0.0 if np.isnan(computed) and mp.isnan(value) else float("inf")
    beyond = mpf(2) ** _MAX_EXPONENT
    if abs(value) >= beyond - mpf(2) ** (_MAX_EXPONENT - _MANTISSA - 2) and np.isinf(computed):
        return 0.0 if (computed > 0) == (value > 0) else float("inf")
    exponent = min(max(mp.frexp(largest)[1] - 1, _MIN_EXPONENT), _MAX_EXPONENT - 1) if largest else _MIN_EXPONENT
    distance = abs(min(max(mpf(computed), -beyond), beyond) - value)
    return float(distance * mpf(2) ** (_MANTISSA - exponent))


def float64_errors(name: str, x: Any, sample: int = 0) -> Any:
    """Measure the error of a function's float64 kernel at every finite ``x``, in ULP."""
    params = parameters(split(name)[0], np.float64, sample)
    results = compute(name, x, *params)
    return np.array([ulp_error(float(y), *exact(name, float(at), *params)) for at, y in zip(x, results, strict=True)])
