"""What a loss of labelled rows is: a record of its program, from which follow the loss, its gradient and its curvature.

``name(input, target, ...)``, ``name_with_grad(...)`` and ``name_with_grad_hess(...)`` are one kernel over rows each, of
``kinds/labelled.py``, which reads the input once and knows what is at the label.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np

from fastact.calls.checking import refuse_unknown
from fastact.calls.quiet import quietly
from fastact.calls.widening import in_float32
from fastact.functions.cross_entropy_containers import are_contained, loss_of_containers
from fastact.functions.cross_entropy_requests import (
    Request,
    check_labels,
    labelled,
    loss_dtype,
    rounded,
    times_upstream,
    total_weight,
)
from fastact.functions.cross_entropy_results import as_rows, check_out, gradient_array, of_rows, places, row_results
from fastact.functions.docs import ENDINGS, as_loss
from fastact.functions.labelled_docs import docstring
from fastact.functions.options import Option, check_representable
from fastact.functions.record import LABELS, OF_EACH_CLASS, OF_EACH_ROW, Function, Operand, Variant, X
from fastact.functions.record import register as add
from fastact.kernels.limits import LOSS
from fastact.kinds.labelled import LabelledKernel
from fastact.kinds.rows import Formula, Pass
from fastact.runtime.ufunc import make_ufunc

LOSS_ALONE, WITH_GRAD, WITH_GRAD_HESS = ENDINGS


@dataclass(frozen=True, eq=False)
class LabelledLoss:
    """The record of a loss of rows with a label each."""

    name: str
    passes: Sequence[Pass]
    """Of the loss and its gradient: the program of ``LabelledKernel``. It yields ``loss``, which the label's weight ``w_label``
    multiplies already, and ``lse``, any other number of a row; and ``at_label``. ``scale`` multiplies gradients."""
    gradient: Formula
    """The gradient at a class that is not the label's."""
    reference: Callable[..., Any]
    """The losses of rows in plain NumPy: of float64 rows, of a one-hot array of the labels, and of options by keyword."""
    reference_gradient: Callable[..., Any]
    """Their gradient likewise, as a tuple of the terms that add up to it."""
    summary: str
    """One sentence, for the docstring."""
    formula: str
    """LaTeX of a row's loss."""
    derivative_formula: str
    """LaTeX of its derivative by an element."""
    curved: Sequence[Pass] = ()
    """The program of the loss, its gradient and its curvature, which yields ``hess_at_label`` as well."""
    curvature: Formula | None = None
    """The second derivative at a class that is not the label's."""
    reference_curvature: Callable[..., Any] | None = None
    """The second derivative in plain NumPy, as a tuple of terms."""
    curvature_formula: str = ""
    """LaTeX."""
    takes: Operand = X
    """What the input is, for the table."""
    input_meaning: str = "Logits."
    """For the docstring."""
    options: Mapping[str, Option] = field(default_factory=dict)
    weighted_mean: bool = False
    """Whether a mean divides by the weights of the labels' classes, and not by the number of rows."""
    sparse: bool = False
    """Whether the gradient is zero but at the label."""
    scale: Callable[..., Any] | None = None
    """What a loss's error is measured by if not by the loss alone: of the losses, the number of classes, and options by keyword."""
    scale_meaning: str = "the loss"
    """The same in words."""
    kinks: str = ""
    """A sentence on the derivative where there is none."""
    notes: str = ""
    paper: str = ""
    ulp: float = 6.0
    """The promised largest error in float32, in units in the last place of the loss, or of the gradient's largest term."""
    double_ulp: float = 6.0
    cost: float = 0.4
    """Nanoseconds per float32 element on one thread, roughly; decides when threads pay."""
    samples: Sequence[Mapping[str, Any]] = ()
    """Further options to test with."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The defaults of the keyword arguments of the loss."""
        given = {name: option.default for name, option in self.options.items()}
        return given | {"weight": None, "ignore_index": -100, "reduction": "mean", "axis": -1, "dtype": None}


LOSSES: dict[str, LabelledLoss] = {}
"""Every such loss by name, in the order of definition."""


@cache
def _ufunc(loss: LabelledLoss, ending: str) -> Any:
    """The generalised ufunc of one of a loss's functions."""
    curved = ending == WITH_GRAD_HESS
    both = [formula for formula in (loss.gradient, loss.curvature) if formula]
    writes = {LOSS_ALONE: None, WITH_GRAD: loss.gradient, WITH_GRAD_HESS: both}[ending]
    kernel = LabelledKernel(
        f"{loss.name}{ending}",
        loss.curved if curved else loss.passes,
        writes,
        option_names=" ".join(loss.options),
        row_results=1 + curved,
        at_label="at_label hess_at_label" if curved else "at_label",
        sparse=loss.sparse,
        cost=loss.cost,
    )
    return make_ufunc(kernel, kernel.name, loss.summary, __name__)


def register(loss: LabelledLoss, endings: Sequence[str] = (LOSS_ALONE, WITH_GRAD)) -> LabelledLoss:
    """Add the records of a loss's functions to the table; their names become public."""
    LOSSES[loss.name] = loss
    home = loss.gradient.__module__
    alike: list[Mapping[str, Any]] = [{"reduction": "sum", "ignore_index": 1}, {"reduction": "none"}, *loss.samples]
    for ending in endings:
        ways: list[dict[str, Any]] = [{}, {"weight": OF_EACH_CLASS}]
        ways += [{"upstream": OF_EACH_ROW, "reduction": "none"}] if ending else []
        add(
            Function(
                f"{loss.name}{ending}",
                partial(_public, loss, ending),
                operands=[loss.takes, LABELS],
                reference=partial(_reference, loss, ending),
                ulp=loss.ulp,
                double_ulp=loss.double_ulp,
                home=home,
                family=home.rpartition(".")[2].replace("_", "-"),
                variants=[*map(Variant, ways), *(Variant(way, alike=True) for way in alike)],
                axis="one",
                written={LOSS_ALONE: (), WITH_GRAD: (1,), WITH_GRAD_HESS: (1, 2)}[ending],
            )
        )
    return loss


def _public(loss: LabelledLoss, ending: str) -> Any:
    """One of a loss's functions."""
    defaults = loss.arguments | ({"upstream": None, "out": None} if ending else {})

    def function(input: Any, target: Any, **arguments: Any) -> Any:  # noqa: A002 - PyTorch's name
        refuse_unknown(function.__name__, arguments, ("input", "target", *defaults))
        try:
            return _called(loss, function, ending, input, target, {**defaults, **arguments})
        except TypeError as error:
            return in_float32(function, error, (input, target), arguments)

    return as_loss(function, f"{loss.name}{ending}", docstring(loss, ending), defaults)


def _called(loss: LabelledLoss, function: Any, ending: str, x: Any, target: Any, given: dict[str, Any]) -> Any:
    """Compute a loss, after its arguments have been checked."""
    if are_contained(x, target, given["weight"], given.get("upstream"), given.get("out")):
        return loss_of_containers(function, {"input": x, "target": target, **given}, "input", loss.weighted_mean)
    numbers = {name: option.checked(name, given[name]) for name, option in loss.options.items()}
    request = labelled(x, target, given["weight"], given["ignore_index"], given["reduction"], given["axis"])
    check_representable(numbers, request.logits.dtype)
    dtype = loss_dtype(given["dtype"], request.logits.dtype)
    outs = _checked_outs(request, given.get("out"), ending)
    divisor = _divisor(request, check_labels(request), loss.weighted_mean)
    shape = request.logits.shape[:-1]
    scale = times_upstream(1.0 / divisor if divisor else 0.0, given.get("upstream"), request.reduction, shape)
    grads = [_gradient(request, array, loss.sparse) for array in outs]
    operands = request.beside(tuple(numbers.values()), scale, zeroed=loss.sparse)
    found = _ufunc(loss, ending)(*operands, out=(row_results(request.target.shape), *grads))
    results = found[0] if grads else found
    total = _loss_of(request, results, divisor, dtype)
    placed = [_placed(request, grad, array) for grad, array in zip(grads, outs, strict=True)]
    return (total, *placed) if placed else total


def _divisor(request: Request, ignored: int, weighted: bool) -> float:
    """What a mean divides by, of so many rows that are ignored; else 1."""
    if request.reduction != "mean":
        return 1.0
    return total_weight(request, ignored) if weighted else float(request.target.size - ignored)


def _loss_of(request: Request, results: Any, divisor: float, dtype: Any) -> Any:
    """The losses of rows, or their sum or mean."""
    if request.reduction == "none":
        return as_rows(of_rows(results, LOSS, dtype), request)
    total = float(quietly(np.add.reduce, results[..., LOSS].reshape(-1)))
    if not divisor:
        return rounded(total * math.inf, dtype)  # NaN of nothing
    return rounded(total / divisor, dtype)


def _checked_outs(request: Request, out: Any, ending: str) -> list[Any]:
    """Where each derivative is asked to be written, or ``None``."""
    outs = places(out, ENDINGS.index(ending))
    for array in outs:
        check_out(request, array)
    return outs


def _gradient(request: Request, out: Any, sparse: bool) -> Any:
    """The array that a kernel writes a derivative to, the classes last; of zeros already if that is what it counts on."""
    if sparse and out is not None:
        # Zeros must not be written over what is still to be read, nor to a buffer that NumPy has in place of the array.
        reads = request.logits, request.target, request.weight
        direct = out.dtype.isnative and out.flags.aligned and not any(np.may_share_memory(out, x) for x in reads)
        out = out if direct else None
    grad, zeroed = gradient_array(request, out, sparse)
    if sparse and not zeroed:
        grad[...] = 0
    return grad


def _placed(request: Request, grad: Any, out: Any) -> Any:
    """A derivative with the classes where they were, in ``out`` if there is one."""
    grad = np.moveaxis(grad, -1, request.axis)
    if out is not None and not np.may_share_memory(grad, out):
        np.copyto(out, grad)
    return grad if out is None else out


def _reference(loss: LabelledLoss, ending: str, x: Any, target: Any, **given: Any) -> Any:
    """One of a loss's functions in plain NumPy."""
    given = {**loss.arguments, "upstream": None, **given}
    axis, options = given["axis"], {name: given[name] for name in loss.options}
    rows, target = np.moveaxis(np.asarray(x, np.float64), axis, -1), np.asarray(target)
    classes = np.arange(rows.shape[-1])
    counted = target != given["ignore_index"]
    hot = np.where(counted, target, 0)[..., None] == classes
    each = np.ones(len(classes)) if given["weight"] is None else np.asarray(given["weight"], np.float64)
    weight = counted * (hot * each).sum(-1)
    with np.errstate(all="ignore"):
        losses = np.where(weight == 0, 0.0, weight * loss.reference(rows, hot, **options))
        divisor = 1.0
        if given["reduction"] == "mean":
            divisor = weight.sum() if loss.weighted_mean else counted.sum()
        total = losses if given["reduction"] == "none" else losses.sum() / divisor
        if not ending:
            return total
        factor = weight * (1.0 if given["upstream"] is None else given["upstream"]) / divisor
        derivatives = [loss.reference_gradient]
        derivatives += [loss.reference_curvature] if ending == WITH_GRAD_HESS and loss.reference_curvature else []
        terms = [sum(derivative(rows, hot, **options)) * factor[..., None] for derivative in derivatives]
    return total, *(np.moveaxis(term, -1, axis) for term in terms)
