"""What a loss of single elements is: a record of its formulas, from which follow the loss and the loss with its gradient.

``name(input, target, ...)`` and ``name_with_grad(input, target, ...)`` are one pass over the elements each, whatever the reduction:
kernels of ``kinds/pointwise.py``, called by ``calls/elements.py``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from fastact.calls.checking import broadcast_to, first_place, integer, refuse_unknown
from fastact.calls.containers import is_container
from fastact.calls.elements import over_elements, rows_dtype
from fastact.calls.widening import in_float32
from fastact.functions.cross_entropy_requests import (
    REDUCTIONS,
    as_floats,
    as_reals,
    check_reduction,
    loss_dtype,
    rounded,
    times_upstream,
)
from fastact.functions.cross_entropy_results import check_gradient_out, places
from fastact.functions.docs import ENDINGS, as_loss
from fastact.functions.options import Option, check_representable
from fastact.functions.pointwise_containers import of_containers
from fastact.functions.pointwise_docs import docstring
from fastact.functions.record import Function, Operand, Variant, X
from fastact.functions.record import register as add
from fastact.kinds.pointwise import PointwiseKernel
from fastact.kinds.rows import Formula
from fastact.maths.scalar import Product, scalar
from fastact.maths.simd import Scalar, select
from fastact.runtime.ufunc import make_ufunc


@scalar
def _beyond_probabilities(target: Scalar) -> Scalar:
    T = type(target)
    return select((target < T(0)) | (target > T(1)), T(1), T(0))


@scalar
def _beyond_signs(target: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    T = type(target)
    negative, zero = target == T(-1), target == T(0)
    known = negative | zero | (target == T(1))
    return select(known, T(0), T(1)), select(negative, T(1), T(0)), select(zero, T(1), T(0))


class Target(NamedTuple):
    """What a target may hold, and how a kernel finds that it holds something else."""

    operand: Operand
    """Such an array, for the table."""
    meaning: str
    """For the docstring."""
    allowed: str = ""
    """What it may hold, for an error; empty if anything goes."""
    sums: str = ""
    """Names of the sums that tell: how many elements are beyond, how many are -1, and how many are 0."""
    formula: Formula | None = None
    """Their terms, of an element of the target."""

    def check(self, sums: Sequence[float], target: Any) -> None:
        """``ValueError`` if the sums over a target say that it holds what it must not."""
        beyond, *both = sums or (0.0,)
        if beyond:
            known = (target >= 0) & (target <= 1) if not both else (target == 0) | (abs(target) == 1)
            position, where = first_place(~known)
            raise ValueError(f"target must hold {self.allowed}, got {target[position]}{where}")
        if both and all(both):
            raise ValueError(f"target must hold {self.allowed}, got -1 as well as 0")


REALS = Target(X, "What `input` should be; any real dtype.")
PROBABILITIES = Target(
    Operand("probabilities"),
    "Between 0 and 1, or booleans: the probability of the positive class.",
    "numbers between 0 and 1",
    "beyond",
    _beyond_probabilities,
)
SIGNS = Target(
    Operand("labels", below=2),
    "Labels of two classes, of any real dtype: -1 and 1, or 0 and 1, or booleans.",
    "-1 and 1, or 0 and 1",
    "beyond negatives zeros",
    _beyond_signs,
)


@dataclass(frozen=True, eq=False)
class PointwiseLoss:
    """The record of a loss of single elements."""

    value: Formula
    """The loss of an element, on ``fastact.maths``: of ``x``, ``target``, and of options and further operands by name."""
    derivative: Formula
    """Its derivative by ``x``, likewise."""
    reference: Callable[..., Any]
    """The loss in plain NumPy on float64 arrays, by a different and obviously right formula: of ``x``, ``target`` and the others
    by keyword."""
    reference_derivative: Callable[..., Any]
    """The derivative in plain NumPy as a tuple of the terms that add up to it."""
    summary: str
    """One sentence, for the docstring."""
    formula: str
    """LaTeX."""
    derivative_formula: str
    """LaTeX."""
    second_derivative: Formula | None = None
    """The second derivative by ``x``; if given, there is a function that returns both."""
    reference_second: Callable[..., Any] | None = None
    """The second derivative in plain NumPy, as a tuple of terms."""
    second_formula: str = ""
    """LaTeX."""
    target: Target = REALS
    takes: Operand = X
    """What the input is, for the table."""
    input_meaning: str = "What was predicted."
    """For the docstring."""
    options: Mapping[str, Option] = field(default_factory=dict)
    operands: Mapping[str, str] = field(default_factory=dict)
    """The meaning of further arrays, each 1 where it is not given."""
    ignores: bool = False
    """Whether a label can be ignored."""
    reductions: Sequence[str] = ()
    """Beside those of all losses: "batchmean"."""
    kinks: str = ""
    """A sentence on the derivative where there is none."""
    notes: str = ""
    paper: str = ""
    ulp: float = 4.0
    """The promised largest error in float32, in units in the last place of the loss, or of the gradient's largest term."""
    double_ulp: float = 4.0
    cost: float = 0.5
    """Nanoseconds per float32 element on one thread, roughly; decides when threads pay."""
    samples: Sequence[Mapping[str, Any]] = ()
    """Further options to test with."""

    @property
    def name(self) -> str:
        """The public name."""
        return self.value.__name__.lstrip("_")

    @property
    def arguments(self) -> dict[str, Any]:
        """The defaults of the keyword arguments of the loss."""
        given = {name: option.default for name, option in self.options.items()}
        given |= {"weight": None, **dict.fromkeys(self.operands)}
        given |= {"ignore_index": None} if self.ignores else {}
        return given | {"reduction": "mean", "dtype": None}


LOSSES: dict[str, PointwiseLoss] = {}
"""Every such loss by name, in the order of definition."""


@cache
def _ufunc(
    loss: PointwiseLoss, reduced: bool, derivatives: int, arrays: tuple[str, ...]
) -> tuple[Any, tuple[str, ...]]:
    """The ufunc for operands beside input and target, and the names of its options."""
    factors = [name for name in ("weight", "upstream") if name in arrays]
    value = Product(loss.value, "weight") if "weight" in arrays else loss.value
    each = [one for one in (loss.derivative, loss.second_derivative) if one]
    slopes = [Product(one, " ".join((*factors, "scale"))) for one in each[:derivatives]]
    numbers = (*loss.options, *(name for name in loss.operands if name not in arrays), "scale")
    kind = ".".join([*(["sum"] if reduced else []), *([], ["gradient"], ["curvature"])[derivatives], *arrays])
    kernel = PointwiseKernel(
        ".".join(filter(None, (loss.name, kind))),
        " ".join(("x", "target", *arrays)),
        " ".join(numbers),
        writes=[*([] if reduced else [value]), *slopes],
        terms=[*([value] if reduced else []), *([loss.target.formula] if loss.target.formula else [])],
        sums=" ".join([*(["loss"] if reduced else []), *loss.target.sums.split()]),
        cost=loss.cost,
    )
    return make_ufunc(kernel, kernel.name, loss.summary, __name__), numbers


@cache
def _checking_ufunc(target: Target) -> Any:
    """The ufunc that only looks whether a target holds what it must not."""
    kernel = PointwiseKernel(
        f"targets.{target.operand.kind}",
        "target",
        "n",
        terms=[*filter(None, [target.formula])],
        sums=target.sums,
        cost=0.1,
    )
    return make_ufunc(kernel, kernel.name, target.meaning, __name__)


def register(loss: PointwiseLoss) -> PointwiseLoss:
    """Add the records of a loss, and of the loss with its derivatives, to the table; their names become public."""
    LOSSES[loss.name] = loss
    home = loss.value.__module__
    for derivatives in range(3 if loss.second_derivative else 2):
        ways: list[dict[str, Any]] = [{}, {"reduction": "none"}, {"weight": Operand("shares")}]
        ways += [{operand: Operand("shares")} for operand in loss.operands]
        ways += [{"upstream": X, "reduction": "none"}] if derivatives else []
        alike: list[Mapping[str, Any]] = [{"reduction": "sum"}, {"weight": Operand("shares"), "reduction": "none"}]
        alike += [*([{"upstream": 2.5}] if derivatives else []), *loss.samples]
        add(
            Function(
                f"{loss.name}{ENDINGS[derivatives]}",
                partial(_public, loss, derivatives),
                operands=[loss.takes, loss.target.operand],
                reference=partial(_reference, loss, derivatives),
                ulp=loss.ulp,
                double_ulp=loss.double_ulp,
                home=home,
                family=home.rpartition(".")[2].replace("_", "-"),
                variants=[*map(Variant, ways), *(Variant(way, alike=True) for way in alike)],
                written=tuple(range(1, 1 + derivatives)),
            )
        )
    return loss


def _public(loss: PointwiseLoss, derivatives: int) -> Any:
    """The loss, or the loss with so many derivatives, as a function."""
    defaults = loss.arguments | ({"upstream": None, "out": None} if derivatives else {})

    def function(input: Any, target: Any, **arguments: Any) -> Any:  # noqa: A002 - PyTorch's name
        refuse_unknown(function.__name__, arguments, ("input", "target", *defaults))
        try:
            return _called(loss, function, derivatives, input, target, {**defaults, **arguments})
        except TypeError as error:
            return in_float32(function, error, (input, target), arguments)

    return as_loss(function, f"{loss.name}{ENDINGS[derivatives]}", docstring(loss, derivatives), defaults)


def _called(loss: PointwiseLoss, function: Any, derivatives: int, x: Any, target: Any, given: dict[str, Any]) -> Any:
    """Compute a loss, after its arguments have been checked."""
    names = ("weight", *loss.operands, *(["upstream"] if derivatives else []))
    arrays = {name: given.pop(name) for name in names if given[name] is not None}
    for name in names:
        given.pop(name, None)
    reduction = given["reduction"]
    check_reduction(reduction, (*REDUCTIONS, *loss.reductions))
    if any(map(is_container, (x, target, *arrays.values(), given.get("out")))):
        return of_containers(function, {"input": x, "target": target, **arrays}, given, derivatives)
    numbers = {name: option.checked(name, given[name]) for name, option in loss.options.items()}
    x = as_floats("input", x)
    check_representable(numbers, x.dtype)
    target = as_reals("target", target)
    if target.dtype.char == "g":
        raise TypeError(f"target must be float16, float32, float64, of integers or booleans, got {target.dtype}")
    if target.shape != x.shape:
        target = broadcast_to("target", target, x.shape)
    arrays = {name: as_reals(name, a) for name, a in arrays.items()}
    dtype, count = loss_dtype(given["dtype"], x.dtype), x.size
    if given.get("ignore_index") is not None:
        x, target, arrays, count = _without_ignored(x, target, arrays, integer("ignore_index", given["ignore_index"]))
    scale = 1.0 if reduction == "none" else times_upstream(1.0, arrays.pop("upstream", None), reduction, ())
    divisor = {"mean": count, "batchmean": x.shape[0] if x.ndim else 1}.get(reduction, 1)
    arrays = {name: broadcast_to(name, a, x.shape) for name, a in arrays.items()}
    numbers |= {"scale": scale / divisor if divisor else 0.0}
    outs = places(given.get("out"), derivatives)
    return _over_elements(loss, x, target, arrays, numbers, reduction, divisor, dtype, outs)


def _over_elements(
    loss: PointwiseLoss,
    x: Any,
    target: Any,
    arrays: dict[str, Any],
    numbers: dict[str, float],
    reduction: str,
    divisor: float,
    dtype: Any,
    outs: list[Any],
) -> Any:
    """The loss of sound operands, and as many derivatives as there are places for."""
    reduced = reduction != "none"
    rows = rows_dtype(x.dtype, (target, *arrays.values()))
    rows = rows if reduced else np.result_type(rows, dtype)

    grads = [gradient_array(x, out, (target, *arrays.values())) for out in outs]
    if any(out is not None for out in outs) and loss.target.sums:  # which must not be written to if the target is bad
        loss.target.check(
            over_elements(_checking_ufunc(loss.target), [target], x.shape, rows, [0.0], []).tolist(), target
        )
    losses = [] if reduced else [np.empty_like(x, dtype)]
    ufunc, options = _ufunc(loss, reduced, len(outs), tuple(arrays))
    given = [numbers.get(name, 1.0) for name in options]
    sums = over_elements(ufunc, [x, target, *arrays.values()], x.shape, rows, given, [*losses, *grads]).tolist()
    loss.target.check(sums[reduced:], target)
    total = losses[0][()] if losses else rounded(sums[0] / divisor if divisor else math.nan, dtype)
    for out, grad in zip(outs, grads, strict=True):
        if out is not None and grad is not out:
            np.copyto(out, grad)
    placed = [grad[()] if out is None else out for out, grad in zip(outs, grads, strict=True)]
    return (total, *placed) if placed else total


def gradient_array(x: Any, out: Any, others: Sequence[Any]) -> Any:
    """Where the gradient is written first: in ``out`` unless that would overwrite what is read later."""
    if out is None:
        return np.empty_like(x)
    check_gradient_out(out, x.shape, x.dtype)
    place = out.__array_interface__["data"], out.strides
    for operand in (x, *others):
        here = operand.__array_interface__["data"], operand.strides
        if np.may_share_memory(out, operand) and (here[0][0], here[1]) != (place[0][0], place[1]):
            return np.empty_like(x)
    return out


def _without_ignored(x: Any, target: Any, arrays: dict[str, Any], ignored: int) -> tuple[Any, Any, dict[str, Any], int]:
    """The operands with nothing to lose where the target is to be ignored, and how many elements count."""
    counted = target != ignored
    count = int(np.count_nonzero(counted))
    if count == x.size:
        return x, target, arrays, count
    weight = np.broadcast_to(arrays.get("weight", np.ones((), x.dtype)), x.shape)
    arrays = {**arrays, "weight": np.where(counted, weight, weight.dtype.type(0))}
    return np.where(counted, x, x.dtype.type(0)), np.where(counted, target, target.dtype.type(0)), arrays, count


def _reference(loss: PointwiseLoss, derivatives: int, x: Any, target: Any, **given: Any) -> Any:
    """The loss in plain NumPy, and so many derivatives."""
    given = {**loss.arguments, "upstream": None, **given}
    numbers = {name: given[name] for name in loss.options}
    numbers |= {name: 1.0 if given[name] is None else given[name] for name in loss.operands}
    counted = np.broadcast_to(target != given.get("ignore_index"), x.shape)
    weight = counted * (1.0 if given["weight"] is None else given["weight"])
    x, target = np.where(counted, x, 0.0), np.where(counted, target, 0.0)
    losses = weight * loss.reference(x, target, **numbers)
    divisor = {"mean": counted.sum(), "batchmean": x.shape[0] if x.ndim else 1}.get(given["reduction"], 1)
    total = losses if given["reduction"] == "none" else np.sum(losses) / divisor
    if not derivatives:
        return total
    upstream = 1.0 if given["upstream"] is None else given["upstream"]
    each = [one for one in (loss.reference_derivative, loss.reference_second) if one]
    return total, *(upstream * weight * sum(one(x, target, **numbers)) / divisor for one in each[:derivatives])
