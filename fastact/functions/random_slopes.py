"""What rrelu does beside its formula: slopes that are drawn, and the gradient for these."""

from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from fastact.calls.checking import UFUNC_ARGUMENTS, refuse_unknown, switch
from fastact.calls.containers import at_one_shape, is_foreign, is_tensor, masked, within
from fastact.calls.layout import Layout
from fastact.calls.lazy import lazily, refuse_out, refuse_unknown_lengths
from fastact.calls.quiet import quietly
from fastact.calls.refusals import translated
from fastact.calls.widening import in_float32
from fastact.functions.common import real, require
from fastact.functions.op_calls import elementwise

RRELU_LOWER, RRELU_UPPER = 1 / 8, 1 / 3


def check_rrelu(lower: Any, upper: Any) -> None:
    require(real("lower", lower) <= real("upper", upper), "lower must not exceed upper", lower, upper)


def public_rrelu(at_mean: Any) -> Any:
    def rrelu(
        x: Any,
        lower: Any = RRELU_LOWER,
        upper: Any = RRELU_UPPER,
        training: bool = False,
        rng: Any = None,
        out: Any = None,
        **ufunc_arguments: Any,
    ) -> Any:
        if ufunc_arguments:
            refuse_unknown("rrelu", ufunc_arguments, _RRELU_KEYWORDS)
        if training is False or not switch("training", training):
            return at_mean(x, lower, upper, out, **ufunc_arguments)
        check_rrelu(lower, upper)
        lower, upper = real("lower", lower), real("upper", upper)
        if is_foreign(x):
            operands, options = {"x": x}, {"lower": lower, "upper": upper, "training": True, "rng": rng, "out": out}
            lazy = partial(_lazy_rrelu, at_mean.ufunc)
            try:
                return within(rrelu, _RRELU, operands, options | ufunc_arguments, lazy=lazy)
            except TypeError as error:
                return in_float32(rrelu, error, (), operands | options | ufunc_arguments)
        x = np.asanyarray(x)
        dtype = np.result_type(x, np.float16) if x.dtype.kind in "biuf" else x.dtype
        draws = np.random.default_rng(rng).random(x.shape, dtype=np.float64 if dtype == np.float64 else np.float32)
        slopes = quietly(_slopes, draws, lower, upper, dtype)
        try:
            result = at_mean.ufunc(x, slopes, slopes, out=out, **ufunc_arguments)
        except TypeError as error:
            raise translated(error, {"x": x}) from None
        return result, masked(slopes, x.mask, None, x) if isinstance(x, np.ma.MaskedArray) else slopes

    return rrelu


_RRELU = Layout({"x": "..."}, ("...", "..."))
_RRELU_KEYWORDS = ("lower", "upper", "training", "rng", "out", *UFUNC_ARGUMENTS)
_RRELU_BACKWARD_KEYWORDS = ("lower", "upper", "slopes", "out", *UFUNC_ARGUMENTS)


def _slopes(draws: Any, lower: Any, upper: Any, dtype: Any) -> Any:
    """Slopes between two bounds, for draws between 0 and 1."""
    return (lower + (upper - lower) * draws).astype(dtype)


def _lazy_rrelu(
    ufunc: Any, function: Any, layout: Layout, operands: dict[str, Any], options: dict[str, Any]
) -> tuple[Any, Any]:
    """Draw slopes for a dask array: each block draws its own slopes, for which the generator is asked once."""
    refuse_out(options)
    x, lower, upper = operands["x"], options["lower"], options["upper"]
    refuse_unknown_lengths("x", x, range(x.ndim))
    seed = np.random.default_rng(options["rng"]).integers(2**63)
    draws = import_module("dask.array").random.default_rng(seed).random(x.shape, chunks=x.chunks)
    of = {"draws": draws, "lower": lower, "upper": upper}
    layout, dtype = Layout(dict.fromkeys(of, "..."), ("...",)), np.result_type(x.dtype, np.float16)
    slopes = lazily(partial(quietly, _slopes), layout, of, {"dtype": dtype})
    return ufunc(x, slopes, slopes), slopes


def public_rrelu_backward(at_mean: Any) -> Any:
    def rrelu_backward(
        grad: Any,
        x: Any,
        lower: Any = RRELU_LOWER,
        upper: Any = RRELU_UPPER,
        slopes: Any = None,
        out: Any = None,
        **ufunc_arguments: Any,
    ) -> Any:
        if ufunc_arguments:
            refuse_unknown("rrelu_backward", ufunc_arguments, _RRELU_BACKWARD_KEYWORDS)
        if slopes is not None and (is_tensor(grad) or is_tensor(x)):
            operands = {"grad": grad, "x": x, "lower": slopes, "upper": slopes}
            return elementwise(at_mean.ufunc, operands, {"out": out, **ufunc_arguments})
        if slopes is not None:
            try:
                return at_mean.ufunc(*at_one_shape(grad, x, slopes, slopes), out=out, **ufunc_arguments)
            except TypeError as error:
                raise translated(error, {"grad": grad, "x": x, "slopes": slopes}) from None
        return at_mean(grad, x, lower, upper, out, **ufunc_arguments)

    return rrelu_backward


def reference_rrelu_backward(m: Any, grad: Any, x: Any, lower: Any, upper: Any, slopes: Any = None) -> Any:
    return grad * m.where(x > 0, 1.0, (lower + upper) / 2 if slopes is None else slopes)
