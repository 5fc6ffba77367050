"""The largest error of a contender's result on the case's own data, in units of the result's last place (ULP).

The exact values are computed in the next wider float: float64, or ``longdouble`` for float64, on the platforms where it is
wider. An elementwise op is measured against its record's reference, a function over rows against NumPy's statement. Where terms
cancel, the last place is that of the largest term, as the functions promise it. Of large arrays a sample is measured.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from . import curvatureidioms, labelledidioms, lovaszidioms, regionidioms, rows, stepidioms
from .case import Case
from .elementwise import parameters_of

SAMPLE = 100_000
"""Elements that are measured, or so: whole rows of a function over rows."""
LARGEST_LOSS = 1 << 25
"""Logits; a mean over rows cannot be sampled."""
OPERANDS = (
    "x",
    "grad",
    "y",
    "which",
    "hidden",
    "weight",
    "target",
    "fake",
    "like",
    "bias",
    "param",
    "m",
    "v",
    "m0",
    "v0",
    "indices",
    "count",
    "residual",
    "k",
)
"""The arrays that statements of functions over rows name."""
LARGEST_PRODUCT = {"float64": 1e7}
"""Multiplications of a linear layer; ``longdouble`` has no quick matrix product."""


@dataclass(frozen=True)
class Exact:
    """What a result should be, part by part, the magnitudes whose last place counts, and which elements were computed."""

    dtype: str
    values: Sequence[Any]
    scales: Sequence[Any]
    sample: Callable[[Any], Any]

    def error(self, results: Sequence[Any]) -> float:
        """The largest error of a result's parts, in units of the last place of the case's dtype."""
        return max(
            ulp(self.sample(result), value, scale, self.dtype)
            for result, value, scale in zip(results, self.values, self.scales, strict=False)
        )


def exact(case: Case, names: Mapping[str, Any]) -> Exact | None:
    """The exact result of a case for the arrays by name; ``None`` where it would take too long, a wider float, or is drawn."""
    if case.name in rows.ROWS and rows.ROWS[case.name].random:
        return None
    wide = np.float64 if case.dtype != "float64" else np.longdouble
    if np.finfo(wide).nmant < np.finfo(case.dtype).nmant + 8:
        return None
    with np.errstate(all="ignore"):
        if case.op in rows.op_names():
            return _of_rows(case, names, wide)
        return _elementwise(case, names, wide)


def parts(result: Any) -> list[Any]:
    """The floating-point arrays of a result: of one array, of a tuple, of a tuple in a tuple; whichever library's."""
    if isinstance(result, (tuple, list)):
        return [array for part in result for array in parts(part)]
    array = np.asarray(result.numpy() if hasattr(result, "numpy") else result)
    return [array] if array.dtype.kind == "f" else []


def ulp(computed: Any, value: Any, scale: Any, dtype: str) -> float:
    """The largest error of computed numbers, where ``scale`` is what the last place is that of."""
    unit = np.spacing(np.clip(scale, 0, np.finfo(dtype).max).astype(dtype)).astype(value.dtype)
    with np.errstate(all="ignore"):
        error = np.abs(computed.astype(value.dtype) - value) / unit
    same = (computed == value) | (np.isnan(computed) & np.isnan(value))
    return float(np.max(np.where(same, 0, np.where(np.isnan(error), np.inf, error)), initial=0))


def _elementwise(case: Case, names: Mapping[str, Any], wide: Any) -> Exact:
    import fastact

    record: Any = fastact.ops[case.op]
    maths = _maths(wide)
    step = max(1, case.size // SAMPLE)
    x, grad = (names[name][::step].astype(wide) for name in ("x", "grad"))
    rounded = [
        p[::step].astype(wide) if isinstance(p, np.ndarray) else float(np.dtype(case.dtype).type(p))
        for p in parameters_of(record, names)
    ]
    if case.direction == "forward":
        values = [record.reference(maths, x, *rounded)]
        return Exact(case.dtype, values, [np.abs(values[0])], lambda result: result[::step])
    # Of several gradients the first: the others are values of the op, or sums over the array.
    terms = record.reference_derivative(maths, x, *rounded)
    largest = np.max([np.broadcast_to(np.abs(term), x.shape) for term in terms], axis=0)
    return Exact(case.dtype, [grad * sum(terms)], [np.abs(grad) * largest], lambda result: result[::step])


def _of_rows(case: Case, names: Mapping[str, Any], wide: Any) -> Exact | None:
    losses = "cross_entropy" in case.op or case.name in rows.OVER_ALL
    if losses and (case.size > LARGEST_LOSS or math.prod(case.shape) > LARGEST_PRODUCT.get(case.dtype, 1e9)):
        return None
    if case.name not in rows.ROWS:
        return _as_recorded(case, names, wide)
    sample = _whole if losses else _sampler(case)
    arrays = {name: sample(names[name]) for name in OPERANDS if name in names}
    arrays = {name: a.astype(wide) if np.asarray(a).dtype.kind == "f" else a for name, a in arrays.items()}
    values = parts(rows.numpy_contender(case, arrays).result())
    scales = [_scale(case, arrays, value, number) for number, value in enumerate(values)]
    return Exact(case.dtype, values, scales, sample)


def _as_recorded(case: Case, names: Mapping[str, Any], wide: Any) -> Exact:
    """By the reference of the function's record."""
    operands = [a.astype(wide) if a.dtype.kind == "f" else a for a in names["operands"]]
    values = parts(names["reference"](*operands, **names["options"]))
    sizes = list(map(np.abs, values))
    if case.op == "rotary":  # of which an element near zero has lost its last places: the length of its pair has not
        axis = names["options"]["axis"]
        sizes = [np.concatenate([np.hypot(*np.split(value, 2, axis))] * 2, axis) for value in values]
    return Exact(case.dtype, values, sizes, _whole)


def _whole(array: Any) -> Any:
    return array


def _sampler(case: Case) -> Callable[[Any], Any]:
    """Some of the rows: along the first axis, or along the last where the rows lie along the first."""
    if len(case.shape) == 1:
        return _whole
    step = max(1, case.size // SAMPLE)
    return (lambda array: array[..., ::step]) if case.setting == "axis=0" else (lambda array: array[::step])


def _scale(case: Case, arrays: Mapping[str, Any], value: Any, number: int) -> Any:
    """The magnitude of each element's largest term, of a result of that number."""
    axis = rows.setting_of(case)["axis"]
    if case.name == "logsumexp":
        return np.maximum(np.abs(value), np.abs(arrays["x"]).max(axis))
    if case.name == "softmax_backward":
        grad, y = arrays["grad"], arrays["y"]
        return y * (np.abs(grad) + np.sum(np.abs(grad * y), axis, keepdims=True))
    if case.name == "log_softmax_backward":
        grad, y = arrays["grad"], arrays["y"]
        return np.abs(grad) + np.exp(y) * np.sum(np.abs(grad), axis, keepdims=True)
    if case.name.endswith("focal_loss_with_grad_hess") and number == 2:
        return curvatureidioms.sizes_of_terms(case.name, arrays["x"], arrays["target"])
    if case.name == "lovasz_softmax_loss_with_grad" and number:
        return lovaszidioms.sizes_of_terms(arrays["x"], arrays["target"])
    if case.name == "entropy_with_logits_with_grad" and number:
        return labelledidioms.sizes_of_entropy(arrays["x"])
    if case.name == "distillation_loss_with_grad" and number:
        return labelledidioms.sizes_of_distillation(arrays["x"], arrays["target"])
    if case.name in stepidioms.STEPS and np.ndim(value):
        return np.maximum(np.abs(value), np.abs(arrays[stepidioms.STEPS[case.name].originals[number]]))
    loss = case.name.removesuffix("_with_grad")
    if loss in regionidioms.WEIGHTS and number:
        return regionidioms.sizes_of_terms(loss, arrays["x"], arrays["target"])
    if case.op.startswith("linear_"):  # sums of products: an element near zero has lost its last places
        return np.broadcast_to(np.max(np.abs(value)), value.shape)
    return np.abs(value)


@cache
def _maths(wide: Any) -> Any:
    """The maths that references are written on, in a wider float."""
    from fastact.functions.numpy_maths import numpy_maths

    if wide == np.float64:
        return numpy_maths
    long = {"erf": _long_erf, "erfc": _long_erfc, "number": np.longdouble, "pi": 4 * np.arctan(np.longdouble(1))}
    return SimpleNamespace(**vars(numpy_maths) | long)


SERIES_BELOW = 1.5
"""Where the series of erf and the continued fraction of erfc meet: so many terms of either are enough there."""
TERMS = 200


def _long_erf(x: Any) -> Any:
    x = np.asarray(x, np.longdouble)
    return np.where(np.abs(x) < SERIES_BELOW, _erf_series(x), np.copysign(1 - _erfc_fraction(np.abs(x)), x))


def _long_erfc(x: Any) -> Any:
    x = np.asarray(x, np.longdouble)
    far = _erfc_fraction(np.abs(x))
    return np.where(np.abs(x) < SERIES_BELOW, 1 - _erf_series(x), np.where(x < 0, 2 - far, far))


def _erf_series(x: Any) -> Any:
    """The series of positive terms, x**(2n+1) 2**n / (2n+1)!!, times exp(-x**2)."""
    near = np.clip(x, -SERIES_BELOW, SERIES_BELOW)
    term = total = near
    for n in range(1, TERMS):
        term = term * near * near / (n + np.longdouble(0.5))
        total = total + term
    return 2 / np.sqrt(_maths(np.longdouble).pi) * np.exp(-near * near) * total


def _erfc_fraction(x: Any) -> Any:
    """Laplace's continued fraction, from its far end; for large x."""
    far = np.maximum(x, SERIES_BELOW)
    tail = far
    for n in range(TERMS, 0, -1):
        tail = far + n / (2 * tail)
    return np.exp(-far * far) / (np.sqrt(_maths(np.longdouble).pi) * tail)
