"""What ``scipy.special`` and fastact have in common, under SciPy's names and with its defaults; SciPy is not needed.

>>> import numpy as np
>>> from fastact import special
>>> special.expit(np.float32([-1, 0, 1])).round(4)
array([0.2689, 0.5   , 0.7311], dtype=float32)
>>> round(float(special.logsumexp([[1.0, 2.0], [3.0, 4.0]])), 4)  # of the whole array, as there
4.4402

Where name, operands and defaults agree with those of a function of ``fastact``, it is that function; the others are ufuncs of the
same kernels. What differs from SciPy: float16 gives float16, and booleans and integers give the dtype of ``np.exp(x)``, so those of
8 and 16 bits float16 and float32, where SciPy has float32 or float64; a result of zero may have the other sign; complex and
``longdouble`` arrays are refused, no floating-point warnings are raised, and errors are smaller. Like ``fastact`` itself
this module builds a function when it is first asked for.
"""

from typing import Any

import numpy as np

from fastact.calls.axes import Axis
from fastact.functions.docs import documented
from fastact.functions.elementwise import OPS, Op, forward_kernel
from fastact.functions.op_docs import docstring
from fastact.runtime.ufunc import make_ufunc
from fastact.runtime.uninterrupted import first_import as _first_import
from fastact.table import function as _function

entr: np.ufunc
erf: np.ufunc
erfc: np.ufunc
expit: np.ufunc
expm1: np.ufunc
huber: np.ufunc
kl_div: np.ufunc
log1p: np.ufunc
log_expit: np.ufunc
log_ndtr: np.ufunc
logit: np.ufunc
ndtr: np.ufunc
pseudo_huber: np.ufunc
rel_entr: np.ufunc
xlog1py: np.ufunc
xlogy: np.ufunc

_CALLED_OTHERWISE = {"expit": "sigmoid", "huber": "huber_terms", "kl_div": "kl_div_terms", "log_expit": "log_sigmoid"}
"""SciPy's names of ops that have others in ``fastact``."""

__all__ = [
    "entr",
    "erf",
    "erfc",
    "expit",
    "expm1",
    "huber",
    "kl_div",
    "log1p",
    "log_expit",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "ndtr",
    "pseudo_huber",
    "rel_entr",
    "softmax",
    "xlog1py",
    "xlogy",
]


@documented
def softmax(x: Any, axis: Axis = None) -> Any:
    """Exponentials divided by their sum, by default that of the whole array.

    Parameters
    ----------
    <x>
    axis : int, tuple of int or None, default None
        What sums to 1: one axis, several together, or the whole array.

    <like x, if there is something to sum>

    Notes
    -----
    `fastact.softmax` has another default, the last axis, and takes `out`, a mask and more.

    Examples
    --------
    >>> from fastact import special
    >>> special.softmax([[1.0, 2.0], [3.0, 4.0]]).round(4)
    array([[0.0321, 0.0871],
           [0.2369, 0.6439]])
    """
    return _of_rows("softmax", x, axis)


@documented
def log_softmax(x: Any, axis: Axis = None) -> Any:
    """Logarithm of softmax, by default of the whole array.

    Parameters
    ----------
    <x>
    axis : int, tuple of int or None, default None
        Over what the exponentials sum to 1: one axis, several together, or the whole array.

    <like x, if there is something to sum>

    Notes
    -----
    `fastact.log_softmax` has another default, the last axis, and takes `out`, a mask and more. Where an element is plus infinity
    all are NaN; SciPy gives minus infinity for those that are finite.

    Examples
    --------
    >>> from fastact import special
    >>> special.log_softmax([1.0, 2.0, 3.0]).round(4)
    array([-2.4076, -1.4076, -0.4076])
    """
    return _of_rows("log_softmax", x, axis)


def logsumexp(a: Any, axis: Axis = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """Logarithm of a sum of exponentials, by default of the whole array, which may be weighted.

    Parameters
    ----------
    a : array_like
        float16, float32 or float64; integers and booleans convert to float64.
    axis : int, tuple of int or None, default None
        Over what is summed: one axis, several together, or the whole array.
    b : array_like, optional
        A weight of each exponential, of any sign; both broadcast. An element whose weight is 0 takes no part.
    keepdims : bool, default False
        Leave the axes that are summed over in the result, with length 1.
    return_sign : bool, default False
        Return the sign of the sum as well, and the logarithm of its magnitude; without it the logarithm of a negative sum is NaN.

    Returns
    -------
    ndarray or scalar
        Without `axis`, and of the dtype of the operands; with `return_sign` a tuple of it and the sign. Minus infinity
        where there is nothing to sum.

    Raises
    ------
    TypeError
        For complex, string and object arrays.

    Notes
    -----
    `fastact.logsumexp` has another default, the last axis, and takes `out`, a mask and more.

    Examples
    --------
    >>> from fastact import special
    >>> value, sign = special.logsumexp([1.0, 2.0], b=[1.0, -1.0], return_sign=True)
    >>> round(float(value), 4), float(sign)
    (1.5413, -1.0)
    """
    function = _function("logsumexp").function
    _refuse_complex("logsumexp", a)
    options = {} if return_sign is False else {"return_sign": return_sign}
    if b is not None:
        _refuse_complex("logsumexp", b)
        options["b"] = b
    dtype = np.result_type(*map(_kind, (a, *([] if b is None else [b]))))
    if dtype.kind in "biu":  # of which SciPy makes float64, however short they are
        dtype = np.dtype(np.float64)
    if _kind(a) != dtype:
        a = a.astype(dtype) if hasattr(a, "astype") else np.asarray(a, dtype)
    return function(a, axis, keepdims, **options)


def _of_rows(name: str, x: Any, axis: Axis) -> Any:
    _refuse_complex(name, x)
    if np.size(x) == 0:
        np.max(x, axis=axis, keepdims=True)  # NumPy says whether something is asked of nothing
    return _function(name).function(x, axis)


def _kind(x: Any) -> Any:
    """What `x` takes part with in NumPy's promotion: a Python number for itself."""
    return x if isinstance(x, (int, float)) else getattr(x, "dtype", None) or np.asarray(x).dtype


def _refuse_complex(name: str, x: Any) -> None:
    if getattr(_kind(x), "kind", "") == "c":
        raise TypeError(f"fastact.special.{name} takes real numbers, got {_kind(x)}; SciPy's takes complex ones")


def __getattr__(name: str) -> Any:
    """Build a ufunc when it is first asked for (PEP 562)."""
    if name not in __all__:
        raise _no_attribute(name)
    globals()[name] = _first_import(lambda: _built(name))
    return globals()[name]


def op_of(name: str) -> Op:
    """What a ufunc of this module computes."""
    return OPS[_CALLED_OTHERWISE.get(name, name)]


def _built(name: str) -> np.ufunc:
    if name not in _CALLED_OTHERWISE:
        found: np.ufunc = _function(name).function
        return found
    op = op_of(name)
    text = docstring(op, backward=False).replace(f"{op.name}(", f"{name}(", 1)
    text = text.replace("import fastact as fa\n", "from fastact import special\n")
    return make_ufunc(forward_kernel(op), name, text.replace(f"fa.{op.name}(", f"special.{name}("), __name__)


def _no_attribute(name: str) -> AttributeError:
    """The error for a name that is not here, which may be one of SciPy's."""
    there = "" if name.startswith("_") else f"; of SciPy's there are {', '.join(sorted(__all__))}"
    return AttributeError(f"module 'fastact.special' has no attribute {name!r}{there}", name=name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
