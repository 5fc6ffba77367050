"""The softmax family where some elements take no part, or all are multiplied by a number first: a kernel for each function.

What a row's constants are, ``fastact.maths.scaled`` says. Without these arguments the functions of ``softmax.py`` have kernels of
their own, which take less.
"""

from functools import cache
from typing import Any

from fastact.calls.axes import Axis
from fastact.calls.masked_rows import over_masked_rows
from fastact.kinds.masked import MaskedKernel
from fastact.kinds.rows import Once
from fastact.maths import scaled
from fastact.runtime.ufunc import make_ufunc

INFINITY = float("inf")
MASKING: dict[str, Any] = {"where": True, "scale": 1.0, "causal": False}
"""Keyword arguments that the whole family takes."""
WEIGHTING: dict[str, Any] = {"b": None, "return_sign": False}
"""Those of `logsumexp` beside them."""

_LEVEL = Once("p p_rest base base_rest shift floor top", scaled.scaled_level, wide="top")
_SUMS = _LEVEL, scaled.scaled_exp, scaled.unscaled_exp, scaled.tied, "rest ties"
_SIGNED = "result sign_of_sum"
KERNELS = {
    "softmax": MaskedKernel(
        "softmax.masked", *_SUMS, Once("inverse inverse_rest", scaled.scaled_share), writes=scaled.share
    ),
    "log_softmax": MaskedKernel(
        "log_softmax.masked",
        *_SUMS,
        Once("excess", scaled.scaled_excess),
        writes=scaled.scaled_log_share,
        nothing=-INFINITY,
    ),
    "logsumexp": MaskedKernel(
        "logsumexp.masked", *_SUMS, Once("result", scaled.scaled_logsumexp), gives="result", cost=0.4
    ),
    "weighted": MaskedKernel(
        "logsumexp.weighted",
        Once("top at_top", scaled.weighted_level, wide="top at_top"),
        scaled.weighted_exp,
        scaled.weighted_exp,
        scaled.weighted_term,
        "total",
        Once(_SIGNED, scaled.log_of_sum, wide=_SIGNED),
        gives=_SIGNED,
        weighted=True,
        wide=True,
        cost=1.5,
    ),
}


@cache
def _made(name: str) -> tuple[MaskedKernel, Any]:
    kernel = KERNELS[name]
    return kernel, make_ufunc(kernel, kernel.name, "Rows of some of their elements.", __name__)


def masked_softmax(
    function: Any,
    x: Any,
    axis: Axis,
    out: Any,
    arguments: dict[str, Any],
    kernel: str = "softmax",
    sign: float = 1.0,
) -> Any:
    """A function of the family where some elements take no part, or with a scale; or with weights, if that is the kernel."""
    operands = {"x": x}
    if kernel == "weighted":
        b = arguments.pop("b", None)
        if b is None and arguments.get("return_sign", False) is False:  # their defaults
            arguments.pop("return_sign", None)
            kernel = "logsumexp"
        else:
            operands["b"] = 1.0 if b is None else b
    return over_masked_rows(*_made(kernel), function, operands, axis, out, arguments, sign)
