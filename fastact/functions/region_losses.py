"""Losses of regions: how little a prediction and the target overlap, for segmentation.

All three are Tversky's: what is falsely predicted and what is missed count ``alpha`` and ``beta`` times against what both have in
common. One pass sums over the pixels, another writes the gradient (``region_passes.py``).
"""

from functools import partial
from typing import Any

import numpy as np

from fastact.calls.checking import refuse_unknown, sole
from fastact.calls.containers import is_container
from fastact.calls.widening import taking_bfloat16
from fastact.functions import region_reference
from fastact.functions.docs import as_loss
from fastact.functions.record import LABELS, OF_EACH_CLASS, Function, Operand, Variant, X, register
from fastact.functions.region_containers import of_containers
from fastact.functions.region_docs import WEIGHTS, docstring
from fastact.functions.region_passes import class_sums, outcome, write_gradient
from fastact.functions.region_requests import check_shares, checked, gradient_array

DEFAULTS: dict[str, Any] = {
    "mode": "multiclass",
    "from_logits": True,
    "smooth": 0.0,
    "weight": None,
    "ignore_index": None,
    "per_image": False,
    "absent": "zero",
    "reduction": "mean",
    "axis": -1,
    "dtype": None,
}
"""The keyword arguments of all three."""


def _loss(name: str, gradient: bool) -> Any:
    """A public function: a loss, or a loss with its gradient."""
    fixed = dict(zip(("alpha", "beta"), WEIGHTS[name], strict=False))
    defaults = ({} if fixed else {"alpha": 0.5, "beta": 0.5}) | DEFAULTS
    defaults |= {"upstream": None, "out": None} if gradient else {}

    @taking_bfloat16
    def function(input: Any, target: Any, **arguments: Any) -> Any:  # noqa: A002 - PyTorch's name
        refuse_unknown(function.__name__, arguments, ("input", "target", *defaults))
        given = defaults | arguments
        upstream, out = given.pop("upstream", None), sole(given.pop("out", None))
        if any(map(is_container, (input, target, given["weight"], upstream, out))):
            extra = {"upstream": upstream, "out": out} if gradient else {}
            return of_containers(function, {"input": input, "target": target}, given | extra, gradient)
        return _computed(input, target, {**fixed, **given}, gradient, upstream, out)

    return as_loss(function, f"{name}_with_grad" if gradient else name, docstring(name, gradient), defaults)


def _computed(x: Any, target: Any, given: dict[str, Any], gradient: bool, upstream: Any, out: Any) -> Any:
    """The loss of plain arrays, and its gradient."""
    request = checked(x, target, **given)
    if not gradient:
        return outcome(request, class_sums(request), None)[0]
    place = gradient_array(request, out)
    if out is not None and request.kind != "labels":
        check_shares(request.target, request.ignored)  # before anything is written
    upstream = None if upstream is None else request.as_losses(upstream)
    loss, slope, extra = outcome(request, class_sums(request, place), upstream)
    write_gradient(request, slope, extra, place)
    if out is not None and place is not out:
        np.copyto(out, place)
    return loss, out if out is not None else place[()]


def _reference(name: str, gradient: bool, x: Any, target: Any, **given: Any) -> Any:
    """The loss in plain NumPy, and its gradient."""
    fixed = dict(zip(("alpha", "beta"), WEIGHTS[name] or (0.5, 0.5), strict=True))
    loss, grad, _ = region_reference.region_loss(x, target, **{**fixed, **given})
    return (loss, grad) if gradient else loss


ONE_OF_TWO = Operand("probabilities")
WAYS = [
    Variant(),
    Variant({"reduction": "sum", "weight": OF_EACH_CLASS, "absent": "skip"}),
    Variant({"reduction": "none", "smooth": 1.0, "ignore_index": 1, "absent": "count"}),
    Variant({}, [X, ONE_OF_TWO]),
    Variant({"from_logits": False, "smooth": 0.5}, [ONE_OF_TWO, LABELS]),
    Variant({"from_logits": False}, [ONE_OF_TWO, ONE_OF_TWO]),
    Variant({"mode": "multilabel", "per_image": True}, [X, ONE_OF_TWO]),
    Variant({"mode": "binary"}, [X, ONE_OF_TWO]),
]
"""Together every kernel."""
FEW = [Variant(way.options, way.operands, alike=0 < i < len(WAYS) - 1) for i, way in enumerate(WAYS)]
"""The same for losses that have their kernels in common with another."""

for _name in WEIGHTS:
    for _gradient in (False, True):
        own = [Variant({"alpha": 0.3, "beta": 0.7}, alike=True)] if _name == "tversky_loss" else []
        ways = [*own, Variant({"upstream": 2.5}, alike=True)] if _gradient else own
        register(
            Function(
                f"{_name}_with_grad" if _gradient else _name,
                make=partial(_loss, _name, _gradient),
                operands=[X, LABELS],
                reference=partial(_reference, _name, _gradient),
                ulp=8.0,
                double_ulp=8.0,
                home=__name__,
                family="region-losses",
                variants=[*(WAYS if _name == "tversky_loss" else FEW), *ways],
                axis="one",
                whole=True,
                written=(1,) if _gradient else (),
            )
        )
