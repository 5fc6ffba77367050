"""Errors in units in the last place (ULP), the inputs to measure them at, and where measurements are kept.

A function is named as the public one is: an op, or an op and ``_backward``. Parameters are those of the record's first
sample, rounded to the dtype, as the kernel gets them. The error of a derivative is measured in units of its largest
term, as near a zero of the derivative every formula cancels.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastact
from fastact import reference, table
from fastact.functions.elementwise import Op

ACCURACY = Path(__file__).parent / "data" / "accuracy.json"
"""The largest error of each function as ``tools/sweep.py --write`` found it, and the inputs where it is largest."""

SAMPLES_PER_BINADE = 300
DENSE_BINADES = range(-30, 11)
"""Where float64 is sampled ``DENSE_SAMPLES`` times per binade, not once: where most functions do something."""
DENSE_SAMPLES = 64


def units(got: Any, expected: Any, scale: Any, dtype: Any) -> float:
    """The largest error in units of the last place of the scale."""
    unit = np.spacing(np.minimum(scale, float(np.finfo(dtype).max)).astype(dtype)).astype(np.longdouble)
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    with np.errstate(all="ignore"):
        return float(np.max(np.where(same, 0, abs(got.astype(np.longdouble) - expected) / unit), initial=0))


def ulp_error(computed: Any, exact: Any, dtype: Any, scale: Any = None) -> Any:
    """Measure how far results are from the exact values, in spacings of ``dtype`` there.

    Two NaNs differ by 0, a NaN and anything else by infinity. Infinity is the right result for what rounds to it, and
    otherwise counts as the next power of two after the largest number. The spacing is that of the binade of the exact
    value, not of its rounded value, and at least the smallest subnormal.

    Parameters
    ----------
    computed : array_like
        Results in ``dtype``.
    exact : array_like of float64
        The exact values, rounded to float64 at most.
    dtype : float16 or float32
        float64 would need values more exact than float64: see ``mpmaths.ulp_error``.
    scale : array_like of float64, optional
        Take the spacing at this magnitude instead of at the exact value.

    Returns
    -------
    ndarray of float64
    """
    info = np.finfo(dtype)
    with np.errstate(invalid="ignore"):  # signalling NaN among the inputs
        wide = np.atleast_1d(computed).astype(np.float64)
    exact = np.atleast_1d(np.asarray(exact, dtype=np.float64))
    magnitude = exact if scale is None else np.atleast_1d(np.asarray(scale, dtype=np.float64))
    # On the bits of float64: frexp and ldexp take ten times as long, which counts over 2**32 inputs.
    exponent = (magnitude.view(np.int64) >> 52) & 0x7FF
    np.clip(exponent, info.minexp + 1023, info.maxexp - 1 + 1023, out=exponent)
    exponent -= 2 * 1023 + info.nmant
    per_spacing = np.left_shift(-exponent, 52).view(np.float64)
    with np.errstate(invalid="ignore"):
        error = wide - exact
    np.abs(error, out=error)
    error *= per_spacing
    special = ~np.isfinite(error)
    if special.any():
        wide, exact, per_spacing = np.broadcast_arrays(wide, exact, per_spacing)
        error[special] = _special_error(wide[special], exact[special], per_spacing[special], info)
    return error


def _special_error(computed: Any, exact: Any, per_spacing: Any, info: Any) -> Any:
    """Give the error where the plain difference is infinite or NaN."""
    beyond = 2.0**info.maxexp
    rounds_to_infinity = np.abs(exact) >= beyond - 2.0 ** (info.maxexp - info.nmant - 2)
    rounded = np.where(rounds_to_infinity, np.copysign(np.inf, exact), exact)
    with np.errstate(invalid="ignore"):
        error = np.abs(np.clip(computed, -beyond, beyond) - exact) * per_spacing
    nans = np.isnan(computed).astype(int) + np.isnan(exact)
    return np.select([nans == 2, nans == 1, computed == rounded], [0.0, np.inf, 0.0], error)


def split(name: str) -> tuple[Op, bool]:
    """Return the record behind a function, and whether the function is its backward."""
    op = table.function(name).op
    return op, op.name != name


def functions() -> list[str]:
    """Name every elementwise function that has a reference, forward and backward."""
    return [name for name, record in table.functions().items() if record.op]


def promised(name: str, dtype: str) -> float:
    """Return the error bound that the record promises."""
    record = table.function(name)
    found = record.ulp if dtype == "float32" else record.double_ulp
    assert found is not None
    return found


def parameters(op: Op, dtype: Any, sample: int = 0) -> tuple[float, ...]:
    """Return the parameters of a sample, completed with the defaults, rounded to ``dtype``."""
    given = op.samples[sample]
    complete = (*given, *(op.defaults[name] for name in list(op.parameters)[len(given) :]))
    return tuple(float(np.dtype(dtype).type(p)) for p in complete)


def halves_rounded_twice(name: str) -> str:
    """The first of all float16 for which a function gives another number than its float32 result rounded; empty if none."""
    op, _ = split(name)
    x = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    params = parameters(op, np.float16)
    with np.errstate(all="ignore"):
        expected = compute(name, x.astype(np.float32), *params).astype(np.float16)
    result = compute(name, x, *params)
    right = (result.view(np.uint16) == expected.view(np.uint16)) | (np.isnan(result) & np.isnan(expected))
    right |= (result == 0) & (expected == 0)
    for i in np.flatnonzero(~right)[:1]:
        return f"{name}({x[i]!r}) is {result[i]!r}, not {expected[i]!r}"
    return "" if result.dtype == np.float16 else f"{name} of float16 is {result.dtype}"


def compute(name: str, x: Any, *params: float) -> Any:
    """Call the compiled function; of a backward, the derivative with respect to ``x``."""
    op, backward = split(name)
    function = getattr(fastact, name)
    if not backward:
        return function(x, *params)
    # The ufunc itself where there are more gradients: the public function sums them.
    result = getattr(function, "ufunc", function)(np.ones_like(x), x, *params)
    return result[0] if op.gradients > 1 else result


def float32_errors(name: str, x: Any, sample: int = 0, maths: Any = reference.numpy_maths) -> Any:
    """Measure the error of a function's float32 kernel at every ``x``, in ULP."""
    params = parameters(split(name)[0], np.float32, sample)
    computed = compute(name, x, *params)
    return ulp_error(computed, *exact(name, x, params, maths))


def exact(name: str, x: Any, params: Sequence[float], maths: Any = reference.numpy_maths) -> tuple[Any, Any, Any]:
    """Return what ``ulp_error`` compares float32 results at ``x`` with: the values in float64, float32, and the scale."""
    op, backward = split(name)
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        if not backward:
            return op.reference(maths, wide, *params), np.float32, None
        assert op.reference_derivative is not None
        first, *rest = op.reference_derivative(maths, wide, *params)
        total, scale = first, np.abs(first)
        for term in rest:
            total = total + term
            scale = np.maximum(scale, np.abs(term))
    return total, np.float32, np.maximum(scale, np.abs(total))


def neighbours(points: Any, dtype: Any, distance: int) -> Any:
    """Return all numbers within ``distance`` steps of any of the points; steps do not cross zero."""
    integer: Any = np.int32 if dtype == np.float32 else np.int64
    bits: Any = np.asarray(list(points), dtype=dtype).view(integer)
    signs, magnitudes = bits & np.iinfo(integer).min, bits & np.iinfo(integer).max
    steps = np.clip(magnitudes[:, None].astype(object) + np.arange(-distance, distance + 1), 0, np.iinfo(integer).max)
    return np.unique(steps.astype(integer) | signs[:, None]).view(dtype)


def float32_samples(op: Op) -> Any:
    """Draw numbers from every binade of either sign, always the same, and add edges, kinks, infinity and NaN."""
    binades = np.arange(512, dtype=np.uint32)[:, None] << 23
    mantissas = np.random.default_rng(1).integers(1 << 23, size=(512, SAMPLES_PER_BINADE), dtype=np.uint32)
    # With a mantissa the last binade of either sign holds NaNs; a few will do.
    patterns = np.where((binades >> 23) % 256 == 255, mantissas % 4, mantissas) | binades
    edges = neighbours(binades.ravel().view(np.float32), np.float32, 2)
    return np.concatenate([patterns.ravel().view(np.float32), edges, neighbours(op.kinks, np.float32, 16)])


def float64_samples(op: Op) -> Any:
    """Draw numbers from every binade of either sign, always the same, and add the finite edges."""
    rng = np.random.default_rng(2)
    exponents = np.repeat(np.arange(2047), [DENSE_SAMPLES if e - 1023 in DENSE_BINADES else 1 for e in range(2047)])
    exponents = np.concatenate([exponents, exponents | 0x800])
    patterns = (exponents.astype(np.uint64) << np.uint64(52)) | rng.integers(
        1 << 52, size=exponents.size, dtype=np.uint64
    )
    largest, smallest = np.finfo(np.float64).max, np.finfo(np.float64).smallest_subnormal
    edges = neighbours([*op.kinks, -0.0, 0.0, 1.0, -1.0], np.float64, 2)
    return np.concatenate([patterns.view(np.float64), edges, [largest, -largest, smallest, -smallest]])


def load_accuracy() -> dict[str, Any]:
    """Read what ``tools/sweep.py --write`` has stored: by function, then by dtype."""
    return dict(json.loads(ACCURACY.read_text())) if ACCURACY.exists() else {}


def stored_inputs(entry: dict[str, Any], dtype: Any) -> Any:
    """Return the inputs with the largest errors that a measurement has stored."""
    return np.array([float.fromhex(x) for x in entry["at"]], dtype=dtype)
