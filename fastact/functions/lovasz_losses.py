"""Lovasz losses, which are the Jaccard loss of predicted regions and, between predictions, its convex extension by Lovasz.

A loss is that of the errors of all pixels of a class, the largest first (``kernels/jaccard.py``). The classes' softmax waits in the
gradient's memory until their derivatives take its place; it is computed again, a part of the pixels at a time, for the gradient.
"""

from functools import cache, partial
from typing import Any

import numpy as np

from fastact.calls.checking import first_place, one_of, sole
from fastact.calls.containers import is_container
from fastact.calls.quiet import quietly
from fastact.calls.widening import taking_bfloat16
from fastact.functions import lovasz_reference
from fastact.functions.cross_entropy_requests import as_target, meant, narrowed, rounded
from fastact.functions.lovasz_docs import documented
from fastact.functions.record import LABELS, Function, Operand, Variant, X, register
from fastact.functions.region_containers import of_containers
from fastact.functions.region_requests import Request, checked, gradient_array, slabs
from fastact.functions.softmax import softmax
from fastact.functions.softmax_backward import softmax_backward
from fastact.kinds.jaccard import JaccardKernel
from fastact.runtime.ufunc import make_ufunc

over_classes: Any = softmax
backward: Any = softmax_backward
GROUP = 8
"""Classes whose pixels are copied at a time, where those of a class do not lie side by side."""


@taking_bfloat16
@documented
def lovasz_softmax_loss(
    input: Any,  # noqa: A002 - PyTorch's name
    target: Any,
    *,
    classes: str = "present",
    ignore_index: int | None = None,
    per_image: bool = False,
    reduction: str = "mean",
    axis: int = -1,
    dtype: Any = None,
) -> Any:
    r"""Lovasz-Softmax loss: the Jaccard loss of classes that exclude each other, extended to their probabilities.

    Parameters
    ----------
    <lovasz softmax>
    dtype : dtype, optional
        Of the loss: float16, float32 or float64; that of `input` by default.

    <lovasz results>

    <lovasz errors>

    Notes
    -----
    <lovasz softmax notes>

    Error: at most 8 ULP of 1 (8 in float64).

    <lovasz paper>

    Examples
    --------
    >>> import fastact as fa
    >>> round(float(fa.lovasz_softmax_loss([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]], [0, 1, 1])), 4)
    0.4207
    """
    given = {"classes": classes, "ignore_index": ignore_index, "per_image": per_image, "reduction": reduction}
    return _softmax_loss(lovasz_softmax_loss, input, target, given | {"axis": axis, "dtype": dtype}, {})


@taking_bfloat16
@documented
def lovasz_softmax_loss_with_grad(
    input: Any,  # noqa: A002
    target: Any,
    *,
    classes: str = "present",
    ignore_index: int | None = None,
    per_image: bool = False,
    reduction: str = "mean",
    axis: int = -1,
    dtype: Any = None,
    upstream: Any = None,
    out: Any = None,
) -> Any:
    r"""`lovasz_softmax_loss` and its gradient with respect to `input`.

    Parameters
    ----------
    <lovasz softmax>
    dtype : dtype, optional
        Of the loss: float16, float32 or float64; that of `input` by default.
    <lovasz gradient>

    <lovasz results>
    grad : ndarray
        Of the shape and dtype of `input`.

    <lovasz errors>

    Notes
    -----
    <lovasz softmax notes>

    <lovasz ties>

    Error: at most 8 ULP, of 1 for the loss, and for the gradient of the sum of its terms' magnitudes, given the order of the
    probabilities as they are rounded (8 in float64).

    <lovasz paper>

    Examples
    --------
    >>> import fastact as fa
    >>> loss, grad = fa.lovasz_softmax_loss_with_grad([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]], [0, 1, 1])
    >>> round(float(loss), 4)
    0.4207
    >>> grad.round(4)
    array([[-0.0175,  0.0175],
           [ 0.0655, -0.0655],
           [ 0.1175, -0.1175]])
    """
    given = {"classes": classes, "ignore_index": ignore_index, "per_image": per_image, "reduction": reduction}
    given |= {"axis": axis, "dtype": dtype}
    return _softmax_loss(lovasz_softmax_loss_with_grad, input, target, given, {"upstream": upstream, "out": sole(out)})


@taking_bfloat16
@documented
def lovasz_hinge_loss(
    input: Any,  # noqa: A002
    target: Any,
    *,
    ignore_index: int | None = None,
    per_image: bool = False,
    reduction: str = "mean",
    dtype: Any = None,
) -> Any:
    r"""Lovasz hinge loss: the Jaccard loss of one class, extended to the hinge losses of its logits.

    Parameters
    ----------
    <lovasz hinge>
    dtype : dtype, optional
        Of the loss: float16, float32 or float64; that of `input` by default.

    <lovasz results>

    <lovasz errors>

    Notes
    -----
    <lovasz hinge notes>

    Error: at most 8 ULP of the largest error (8 in float64).

    <lovasz hinge paper>

    Examples
    --------
    >>> import fastact as fa
    >>> round(float(fa.lovasz_hinge_loss([2.0, 0.25, -0.5, -3.0], [1, 1, 0, 0])), 4)
    0.4583
    """
    given = {"ignore_index": ignore_index, "per_image": per_image, "reduction": reduction, "dtype": dtype}
    return _hinge_loss(lovasz_hinge_loss, input, target, given, {})


@taking_bfloat16
@documented
def lovasz_hinge_loss_with_grad(
    input: Any,  # noqa: A002
    target: Any,
    *,
    ignore_index: int | None = None,
    per_image: bool = False,
    reduction: str = "mean",
    dtype: Any = None,
    upstream: Any = None,
    out: Any = None,
) -> Any:
    r"""`lovasz_hinge_loss` and its gradient with respect to `input`.

    Parameters
    ----------
    <lovasz hinge>
    dtype : dtype, optional
        Of the loss: float16, float32 or float64; that of `input` by default.
    <lovasz gradient>

    <lovasz results>
    grad : ndarray
        Of the shape and dtype of `input`.

    <lovasz errors>

    Notes
    -----
    <lovasz hinge notes>

    <lovasz ties>

    Where an error is just 0, its derivative is 0. Error: at most 8 ULP, of the largest error for the loss, and of the gradient,
    given the order of the errors as they are rounded (8 in float64).

    <lovasz hinge paper>

    Examples
    --------
    >>> import fastact as fa
    >>> loss, grad = fa.lovasz_hinge_loss_with_grad([2.0, 0.25, -0.5, -3.0], [1, 1, 0, 0])
    >>> grad.round(4)
    array([ 0.    , -0.5   ,  0.1667,  0.    ])
    """
    given = {"ignore_index": ignore_index, "per_image": per_image, "reduction": reduction, "dtype": dtype}
    return _hinge_loss(lovasz_hinge_loss_with_grad, input, target, given, {"upstream": upstream, "out": sole(out)})


@cache
def _ufunc() -> Any:
    return make_ufunc(JaccardKernel("jaccard"), "jaccard", "Lovasz extensions of classes' Jaccard losses.", __name__)


UNUSED: dict[str, Any] = {"alpha": 0.0, "beta": 0.0, "smooth": 0.0, "weight": None, "absent": "zero"}
"""Of the arguments of other losses of regions."""


def _contained(function: Any, mode: str, x: Any, target: Any, given: Any, more: Any) -> Any:
    """The loss if an operand is a container, else ``NotImplemented``."""
    if not any(map(is_container, (x, target, more.get("upstream"), more.get("out")))):
        return NotImplemented
    options = {"axis": -1, **given, **more, "mode": mode, "from_logits": True}
    return of_containers(
        partial(_named, function, (*given, *more)), {"input": x, "target": target}, options, bool(more)
    )


def _named(function: Any, names: tuple[str, ...], input: Any, target: Any, **given: Any) -> Any:  # noqa: A002
    """Call a function with those of the arguments that it takes."""
    return function(input, target, **{name: given[name] for name in names if name in given})


def _softmax_loss(function: Any, x: Any, target: Any, given: dict[str, Any], more: dict[str, Any]) -> Any:
    """The loss of classes, and its gradient if there is something to say of it."""
    found = _contained(function, "multiclass", x, target, given, more)
    if found is not NotImplemented:
        return found
    one_of("classes", given["classes"], ("present", "all"))
    target = as_target(target, np.ndim(x) - 1)
    if target.dtype.kind not in "iu":
        labels = np.delete(np.shape(x), given["axis"]) if isinstance(given["axis"], int) and np.ndim(x) else ()
        raise TypeError(
            f"target must hold integers (class indices), got {target.dtype}"
            + meant(target, tuple(labels), np.shape(x), given["axis"], floats=False)
        )
    options = {name: value for name, value in given.items() if name != "classes"}
    request = checked(x, target, mode="multiclass", from_logits=True, **UNUSED, **options)
    out = more.get("out")
    place = gradient_array(request, out) if more else None
    labels = request.arranged_target()
    sets = _sets(request, labels)
    counted = np.ones((len(sets), request.classes), bool)
    if given["classes"] == "present":
        counted = np.array([_present(request, labels[images]) for images in sets]).reshape(counted.shape)
    factor = _factor(request, counted, more.get("upstream"))
    work = _softmax_of(request, place)
    planes, losses = request.arranged(work), np.empty(counted.shape)
    for i, images in enumerate(sets):
        _weigh(request, planes[images], labels[images], factor[i], losses[i])
    loss = _reduced(request, losses, counted)
    if place is None:
        return loss
    _through_softmax(request, planes)
    if request.ignored == request.ignored:
        np.copyto(planes, 0, where=labels == request.ignored)
    return loss, _placed(work, place, out)


def _sets(request: Request, labels: Any) -> list[slice]:
    """The images that have a loss together."""
    return [slice(i, i + 1) for i in range(len(labels))] if request.per_image else [slice(None)]


def _present(request: Request, labels: Any) -> Any:
    """Which classes there are pixels of."""
    known = labels if request.ignored != request.ignored else labels[labels != request.ignored]
    return np.bincount(known.reshape(-1).astype(np.intp), minlength=request.classes) > 0


def _factor(request: Request, counted: Any, upstream: Any) -> Any:
    """What the derivative of each loss is multiplied by."""
    factor = counted.astype(np.float64)
    if request.reduction == "mean":
        factor /= np.maximum(1, counted.sum(axis=1, keepdims=True)) * max(1, len(counted))
    if upstream is not None:
        factor = quietly(np.multiply, factor, request.as_losses(upstream))
        factor = np.where(counted, factor, 0.0)
    return factor


def _reduced(request: Request, losses: Any, counted: Any) -> Any:
    """The losses of classes and images, or their sum; or the mean over images of their mean."""
    losses = np.where(counted, losses, 0.0)
    if request.reduction == "none":
        return narrowed(request.of_losses(losses), request.dtype)[()]
    sums = quietly(np.add.reduce, losses, axis=1)
    if request.reduction == "mean":
        sums = quietly(np.divide, sums, np.maximum(1, counted.sum(axis=1)) * max(1, len(counted)))
    return rounded(float(quietly(np.add.reduce, sums)), request.dtype)


def _softmax_of(request: Request, place: Any) -> Any:
    """The softmax of the input, in a gradient's memory if that is precise enough and not the input's own."""
    x, dtype = request.x, request.computed
    usable = place is not None and place.dtype == dtype and place.dtype.isnative and place.flags.aligned
    work = place if usable and not np.may_share_memory(place, x) else np.empty_like(x, dtype)
    source = x
    if x.dtype != dtype:
        quietly(np.copyto, work, x)
        source = work
    quietly(over_classes.ufunc, np.moveaxis(source, request.axis, -1), out=np.moveaxis(work, request.axis, -1))
    return work


def _weigh(request: Request, planes: Any, labels: Any, factor: Any, losses: Any) -> None:
    """Put the derivatives of each class's loss by its probabilities in their place."""
    given = quietly(labels.reshape(-1).astype, request.computed)
    for first in range(0, request.classes, GROUP):
        some = slice(first, first + GROUP)
        chosen = np.moveaxis(planes[:, some], 1, 0)
        flat = np.ascontiguousarray(chosen).reshape(len(chosen), given.size)
        numbers = np.arange(request.classes, dtype=np.float64)[some]
        quietly(_ufunc(), flat, given, numbers, request.ignored, factor[some], out=(flat, losses[some]))
        if not np.may_share_memory(flat, chosen):
            chosen[...] = flat.reshape(chosen.shape)


def _through_softmax(request: Request, planes: Any) -> None:
    """Put the gradient by logits in the place of that by probabilities."""
    x = request.arranged(request.x)
    for slab in slabs(x.shape):
        _part_through_softmax(*(np.moveaxis(a[slab.images, :, slab.lines], 1, -1) for a in (x, planes)))


def _part_through_softmax(logits: Any, slopes: Any) -> None:
    """The same of a part of the pixels, the classes last, whose softmax takes memory until then."""
    p = np.empty_like(logits, slopes.dtype)
    quietly(over_classes.ufunc, quietly(logits.astype, p.dtype, copy=False), out=p)
    quietly(backward.ufunc, slopes, p, out=slopes)


def _placed(work: Any, place: Any, out: Any) -> Any:
    """A gradient where it belongs, rounded."""
    if work is not place:
        quietly(np.copyto, place, work, casting="same_kind")
    if out is not None and place is not out:
        np.copyto(out, place)
    return out if out is not None else place[()]


def _hinge_loss(function: Any, x: Any, target: Any, given: dict[str, Any], more: dict[str, Any]) -> Any:
    """The loss of one class, and its gradient if there is something to say of it."""
    found = _contained(function, "binary", x, target, given, more)
    if found is not NotImplemented:
        return found
    request = checked(x, target, mode="binary", from_logits=True, axis=-1, **UNUSED, **given)
    _check_sides(request.target, request.ignored)
    out = more.get("out")
    place = gradient_array(request, out) if more else None
    labels = request.arranged(request.target)
    sets = len(labels) if request.per_image else 1
    shape = (sets, labels.size // sets if sets else 0)
    truth = quietly(labels.reshape(shape).astype, request.computed)
    values = quietly(request.arranged(request.x).reshape(shape).astype, request.computed)
    own = truth == 1
    quietly(np.add, values, 1, out=values, where=~own)
    counted = np.ones((sets, 1), bool)
    factor = _factor(request, counted, more.get("upstream"))
    losses = np.empty(counted.shape)
    beyond = own & (values >= 1)
    quietly(_ufunc(), values, truth, 1.0, request.ignored, factor[:, 0], out=(values, losses[:, 0]))
    loss = _reduced(request, losses, counted)
    if place is None:
        return loss
    values[beyond] = 0
    quietly(np.copyto, request.arranged(place), values.reshape(labels.shape), casting="same_kind")
    return loss, _placed(place, place, out)


def _check_sides(target: Any, ignored: float) -> None:
    """``ValueError`` for the first number that is neither 0 nor 1, nor ignored."""
    beyond = (target != 0) & (target != 1) & (target != ignored)
    if beyond.any():
        position, where = first_place(beyond)
        also = f" and ignore_index={int(ignored)}" if ignored == ignored else ""
        raise ValueError(f"target must hold 0 and 1{also}, got {target[position]}{where}")


def _reference(name: str, gradient: bool, x: Any, target: Any, **given: Any) -> Any:
    """The loss in plain NumPy, and its gradient."""
    found = getattr(lovasz_reference, name)(x, target, **given)
    return found if gradient else found[0]


SIDES = Operand("labels", below=2)
WAYS: dict[Any, list[Variant]] = {
    "lovasz_softmax": [
        Variant(),
        Variant({"per_image": True, "classes": "all"}),
        Variant({"reduction": "none"}, alike=True),
        Variant({"ignore_index": 1, "reduction": "sum"}, alike=True),
    ],
    "lovasz_hinge": [Variant(), Variant({"per_image": True, "reduction": "none", "ignore_index": 0}, alike=True)],
}

for _name, _functions in (
    ("lovasz_softmax", (lovasz_softmax_loss, lovasz_softmax_loss_with_grad)),
    ("lovasz_hinge", (lovasz_hinge_loss, lovasz_hinge_loss_with_grad)),
):
    for _gradient, _function in enumerate(_functions):
        register(
            Function(
                _function.__name__,
                make=partial(lambda function: function, _function),
                operands=[X, LABELS if _name == "lovasz_softmax" else SIDES],
                reference=partial(_reference, _name, bool(_gradient)),
                ulp=8.0,
                double_ulp=8.0,
                home=__name__,
                family="region-losses",
                variants=[*WAYS[_name], *[Variant({"upstream": 2.5}, alike=True)] * _gradient],
                axis="one" if _name == "lovasz_softmax" else "",
                whole=True,
                written=(1,) if _gradient else (),
            )
        )
