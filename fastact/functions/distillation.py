"""Cross-entropy between the softmaxes of two rows of logits at a temperature: what a student learns from a teacher."""

import math
from typing import Any

import numpy as np

from fastact.calls.checking import number, only_axis, sole
from fastact.calls.containers import is_container, refuse_masked, within
from fastact.calls.layout import Layout
from fastact.calls.lazy import in_one_task, lazily
from fastact.calls.quiet import quietly
from fastact.calls.widening import taking_bfloat16
from fastact.functions.cross_entropy import cross_entropy, cross_entropy_with_grad
from fastact.functions.cross_entropy_reference import cross_entropy_with_grad as reference_gradient
from fastact.functions.cross_entropy_requests import as_floats, check_reduction, loss_dtype, rounded
from fastact.functions.cross_entropy_results import check_gradient_out
from fastact.functions.docs import documented
from fastact.functions.record import Function, X, register, variants
from fastact.functions.softmax import softmax

BLOCK_ELEMENTS = 2**17
"""Number of logits that are computed at a time: both distributions of so many stay in the cache."""


@taking_bfloat16
@documented
def distillation_loss(
    input: Any,  # noqa: A002 - the name that all losses give it
    target: Any,
    *,
    temperature: float = 1.0,
    reduction: str = "mean",
    axis: int = -1,
    dtype: Any = None,
) -> Any:
    r"""Cross-entropy between the softmax of a teacher's logits and that of a student's, at a temperature.

    Parameters
    ----------
    <distillation to axis>
    dtype : dtype, optional
        Of the loss: float16, float32 or float64; that of `input` by default.

    Returns
    -------
    scalar or ndarray
        Of `dtype`; with ``reduction="none"`` of the shape of `input` without `axis`.

    <distillation errors>

    <distillation notes>

    Examples
    --------
    >>> import fastact as fa
    >>> round(float(fa.distillation_loss([[2.0, 0.0, 0.0]], [[3.0, 1.0, 0.0]], temperature=2.0)), 4)
    3.6917
    """
    return _computed(distillation_loss, input, target, temperature, reduction, axis, dtype, None, False)


@taking_bfloat16
@documented
def distillation_loss_with_grad(
    input: Any,  # noqa: A002
    target: Any,
    *,
    temperature: float = 1.0,
    reduction: str = "mean",
    axis: int = -1,
    dtype: Any = None,
    out: Any = None,
) -> Any:
    r"""`distillation_loss` and its gradient with respect to the student's logits.

    Parameters
    ----------
    <distillation to axis>
    dtype : dtype, optional
        Of the loss: float16, float32 or float64; that of `input` by default.
    out : ndarray, optional
        For the gradient, with the shape and dtype of `input`; may be `input` or `target` itself.

    Returns
    -------
    loss : scalar or ndarray
        As `distillation_loss` returns it.
    grad : ndarray
        Of the shape and dtype of `input`.

    <distillation errors>

    <distillation notes>

    Examples
    --------
    >>> import fastact as fa
    >>> loss, grad = fa.distillation_loss_with_grad([[2.0, 0.0, 0.0]], [[3.0, 1.0, 0.0]], temperature=2.0)
    >>> grad.round(4)
    array([[-0.1048, -0.0386,  0.1434]])
    """
    return _computed(distillation_loss_with_grad, input, target, temperature, reduction, axis, dtype, out, True)


def _computed(
    function: Any,
    x: Any,
    target: Any,
    temperature: Any,
    reduction: str,
    axis: Any,
    dtype: Any,
    out: Any,
    gradient: bool,
) -> Any:
    """The loss, and its gradient, a block of rows at a time."""
    check_reduction(reduction)
    if any(map(is_container, (x, target, out))):
        options = {"temperature": temperature, "reduction": reduction, "axis": axis, "dtype": dtype}
        return _of_containers(function, {"input": x, "target": target}, options | ({"out": out} if gradient else {}))
    allowed = "a positive finite number"
    degrees = number("temperature", temperature, allowed)
    if not 0.0 < degrees < math.inf:
        raise ValueError(f"temperature must be {allowed}, got {temperature!r}")
    x, target = as_floats("input", x), as_floats("target", target)
    precision = np.finfo(np.result_type(x, target, np.float32))
    if not float(precision.tiny) <= degrees <= float(precision.max):
        raise ValueError(
            f"temperature must be between {precision.tiny} and {precision.max} for {x.dtype}, got {temperature!r}"
        )
    if not x.ndim:
        raise ValueError("input must have an axis of classes, got a scalar")
    if target.shape != x.shape:
        raise ValueError(f"target must have the shape {x.shape} of the input, got {target.shape}")
    axis, dtype, out = only_axis(axis, x.ndim), loss_dtype(dtype, x.dtype), sole(out)
    if out is not None:
        check_gradient_out(out, x.shape, x.dtype)
    count = x.size // x.shape[axis] if x.size else math.prod(x.shape[:axis] + x.shape[axis + 1 :])
    students, teachers = np.moveaxis(x, axis, -1), np.moveaxis(target, axis, -1)
    overlaps = out is not None and any(np.may_share_memory(out, operand) for operand in (x, target))
    same = out is not None and all(out is operand for operand in (x, target) if np.may_share_memory(out, operand))
    grad = np.empty_like(x) if gradient and (out is None or (overlaps and not same)) else out
    places = None if grad is None else np.moveaxis(grad, axis, -1)
    losses = np.empty(students.shape[:-1])
    scale = degrees * (1.0 / max(1, count) if reduction == "mean" else 1.0)
    for rows in _blocks(students.shape):
        student, teacher = quietly(_cooled, students[rows], degrees), quietly(_cooled, teachers[rows], degrees)
        wanted = softmax(teacher, out=teacher)
        if wanted.dtype != student.dtype:  # whichever is more precise
            both = np.result_type(student.dtype, wanted.dtype)
            student, wanted = student.astype(both), wanted.astype(both)
        if places is None:
            losses[rows] = cross_entropy(student, wanted, reduction="none", dtype=np.float64)
        else:
            losses[rows], slopes = cross_entropy_with_grad(
                student, wanted, reduction="none", dtype=np.float64, out=student
            )
            places[rows] = quietly(_scaled, slopes, scale, grad.dtype)
    losses *= degrees * degrees
    if reduction == "none":
        total = quietly(losses.astype, dtype)[()]
    else:
        whole = float(quietly(np.add.reduce, losses, axis=None))
        divisor = count if reduction == "mean" else 1
        total = rounded(whole / divisor if divisor else math.nan, dtype)
    if not gradient:
        return total
    if out is not None and grad is not out:
        np.copyto(out, grad)
    return total, grad if out is None else out


def _of_containers(function: Any, operands: dict[str, Any], options: dict[str, Any]) -> Any:
    """The loss of operands some of which are containers; masks are refused, which would change both distributions."""
    refuse_masked(function, {**operands, "out": options.get("out")}, "counts every class")
    row = "..." if options["reduction"] == "none" else ""
    results = (row, "...n") if "out" in options else (row,)
    return within(function, Layout({"input": "...n", "target": "...n"}, results), operands, options, lazy=_lazily)


def _lazily(function: Any, layout: Layout, operands: Any, options: Any) -> Any:
    """The loss of dask arrays: those of rows by blocks, a mean or a sum from all rows at once."""
    if layout.results[0]:
        return lazily(function, layout, operands, options)
    x = operands["input"]
    axis = only_axis(options["axis"], max(1, np.ndim(x)))
    small = [n if k == axis else min(n, 1) for k, n in enumerate(np.shape(x))]
    return in_one_task(function, operands, options, dict.fromkeys(operands, small), like="input")


def _blocks(shape: tuple[int, ...]) -> Any:
    """Indices of blocks of rows, each of no more elements than fit a cache where one index alone does not have more."""
    if len(shape) < 2:
        return [()]
    each = max(1, math.prod(shape[1:]))
    step = max(1, BLOCK_ELEMENTS // each)
    return [slice(first, first + step) for first in range(0, shape[0], step)]


def _cooled(logits: Any, degrees: float) -> Any:
    """A block of logits over the temperature, in float32 at least: what a half rounds away would be seen."""
    dtype = np.result_type(logits.dtype, np.float32)
    return np.divide(logits, dtype.type(degrees), dtype=dtype)


def _scaled(slopes: Any, scale: float, dtype: Any) -> Any:
    slopes *= slopes.dtype.type(scale)
    return slopes.astype(dtype, copy=False)


def _reference(gradient: bool, x: Any, target: Any, **given: Any) -> Any:
    axis, degrees = given.get("axis", -1), given.get("temperature", 1.0)
    shifted = target / degrees - np.max(target / degrees, axis=axis, keepdims=True)
    teacher = np.exp(shifted) / np.sum(np.exp(shifted), axis=axis, keepdims=True)
    arguments = {"axis": axis, "reduction": given.get("reduction", "mean")}
    loss, grad = reference_gradient(np.asarray(x, np.float64) / degrees, teacher, **arguments)
    return (degrees**2 * loss, degrees * grad) if gradient else degrees**2 * loss


for _function, _gradient in ((distillation_loss, False), (distillation_loss_with_grad, True)):
    register(
        Function(
            _function.__name__,
            lambda function=_function: function,  # type: ignore[misc]
            operands=[X, X],
            reference=lambda *a, gradient=_gradient, **k: _reference(gradient, *a, **k),
            ulp=8.0,
            double_ulp=8.0,
            home=__name__,
            family="distillation",
            variants=variants({"temperature": 4.0}, {"reduction": "none", "temperature": 0.5}, {"reduction": "sum"}),
            axis="one",
            masked=False,
            written=(1,) if _gradient else (),
        )
    )
