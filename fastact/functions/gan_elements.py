"""How the losses of generative adversarial networks are computed: in one pass over each operand, in whatever container it is.

A discriminator's loss is the sum of two, of its outputs for real samples and for generated ones, which may be of other shapes.
Where it is to be that of pairs of them, one pass reads both.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache, partial, reduce
from typing import Any, NamedTuple

import numpy as np

from fastact.calls.checking import broadcast_to, checked_out, one_of, sole
from fastact.calls.containers import is_container, masked, whole_owner, within
from fastact.calls.elements import over_elements, rows_dtype
from fastact.calls.layout import Layout
from fastact.calls.lazy import as_lazy, lazily, refuse_out, summed
from fastact.functions.cross_entropy_requests import (
    as_floats,
    as_reals,
    check_reduction,
    loss_dtype,
    narrowed,
    rounded,
    times_upstream,
)
from fastact.functions.gan_criteria import KINDS, Criterion
from fastact.functions.options import Option
from fastact.kinds.pointwise import PointwiseKernel
from fastact.kinds.rows import Formula
from fastact.maths.scalar import Product, scalar
from fastact.maths.simd import Scalar
from fastact.runtime.ufunc import make_ufunc

WEIGHTS = {"real": "real_weight", "fake": "fake_weight"}
"""What the weights of a discriminator's operands are called; a generator has one, ``weight``."""
SMOOTHING = Option(
    0.0,
    "At least 0 and below 1: by so much the target of real samples is less than 1.",
    "a number of at least 0 and below 1",
    lambda s: 0 <= s < 1,
)


class Side(NamedTuple):
    """The discriminator's outputs for samples of one origin."""

    x: Any
    target: float
    """What they are compared with."""
    weight: Any
    """An array, or ``None``."""
    sign: float
    """Of the loss."""
    elements: int
    """How many a mean is of."""


def adversarial_loss(function: Any, operands: Mapping[str, Any], options: dict[str, Any]) -> Any:
    """The loss that a public function returns, and the gradients if it takes an ``out`` for them.

    It is a discriminator's if there is an operand ``real``.
    """
    one_of("kind", options["kind"], KINDS)
    kind = KINDS[options["kind"]]
    check_reduction(options["reduction"])
    smoothing = SMOOTHING.checked("label_smoothing", options.get("label_smoothing", 0.0))
    if smoothing and not kind.smooths:
        raise ValueError(
            f"label_smoothing must be 0 where kind is {options['kind']!r}, which has no targets, got {smoothing!r}"
        )
    operands = {name: x for name, x in operands.items() if x is not None}
    if options["reduction"] == "none" and "real" in operands:
        _check_pairs(np.shape(operands["real"]), np.shape(operands["fake"]))
    if any(map(is_container, (*operands.values(), *_as_tuple(options.get("out"))))):
        of_masked = partial(_of_masked, tuple(options))
        return within(function, _layout(operands, options), operands, options, of_masked, _lazily)
    return _computed(operands, options)


def _check_pairs(real: tuple[Any, ...], fake: tuple[Any, ...]) -> None:
    """``ValueError`` if the shapes differ, as far as dask knows them."""
    if len(real) != len(fake) or any(m != n and not math.isnan(m + n) for m, n in zip(real, fake, strict=True)):
        raise ValueError(f"real and fake must have one shape where reduction is 'none', got {real} and {fake}")


def _weight_of(name: str, operands: Mapping[str, Any]) -> str:
    """What the weight of an operand is called."""
    return WEIGHTS[name] if "real" in operands else "weight"


def _side(name: str, operands: Mapping[str, Any], options: Mapping[str, Any], count: int | None = None) -> Side:
    """One of the checked operands; a mean is of so many elements, which are all unless it is said."""
    x, called = as_floats(name, operands[name]), _weight_of(name, operands)
    weight = operands.get(called)
    weight = None if weight is None else broadcast_to(called, as_reals(called, weight), x.shape)
    count = x.size if count is None else count
    if "real" not in operands:
        kind = KINDS[options["kind"]]
        return Side(x, kind.target, weight, kind.sign, count)
    return Side(x, 1.0 - options["label_smoothing"] if name == "real" else 0.0, weight, 1.0, count)


def _computed(
    operands: Mapping[str, Any], options: Mapping[str, Any], counts: Sequence[int | None] = (None, None)
) -> Any:
    """The loss of arrays, and its gradients."""
    kind, reduction, gradient = KINDS[options["kind"]], options["reduction"], "out" in options
    names = [name for name in WEIGHTS if name in operands]
    sides = [_side(name, operands, options, count) for name, count in zip(names, counts, strict=False)]
    criterion = kind.discriminator if len(sides) > 1 else kind.generator
    dtype = loss_dtype(options["dtype"], np.result_type(*(side.x.dtype for side in sides)))
    upstream = None if operands.get("upstream") is None else as_reals("upstream", operands["upstream"])
    outs = _outs(options["out"], sides) if gradient else [None] * len(sides)
    if reduction == "none":
        upstream = None if upstream is None else broadcast_to("upstream", upstream, sides[0].x.shape)
        loss, grads = _of_elements(criterion, sides, upstream, dtype, gradient, outs)
    else:
        scale = times_upstream(1.0, upstream, reduction, ())
        loss, grads = _summed(criterion, sides, scale, reduction == "mean", dtype, gradient, outs)
    if not gradient:
        return loss
    for grad, out in zip(grads, outs, strict=True):
        if out is not None and grad is not out:
            np.copyto(out, grad)
    return (loss, *(grad[()] if out is None else out for grad, out in zip(grads, outs, strict=True)))


def _outs(out: Any, sides: Sequence[Side]) -> list[Any]:
    """An array, or ``None``, for each gradient."""
    outs = (sole(out),) if len(sides) == 1 else (None, None) if out is None else out
    if not isinstance(outs, tuple) or len(outs) != len(sides):
        given = f"a tuple of {len(out)}" if isinstance(out, tuple) else type(out).__name__
        raise TypeError(f"out must be a tuple of two arrays, got {given}")
    for place, side in zip(outs, sides, strict=True):
        if place is not None:
            if not isinstance(place, np.ndarray) or place.dtype != side.x.dtype:
                given = place.dtype if isinstance(place, np.ndarray) else type(place).__name__
                raise TypeError(f"out must be an array of {side.x.dtype}, got {given}")
            checked_out(place, side.x.shape)
    if len(outs) > 1 and all(isinstance(out, np.ndarray) for out in outs) and np.may_share_memory(*outs):
        raise ValueError("out must be two arrays that do not overlap")
    return list(outs)


def _place(x: Any, out: Any, others: Sequence[Any]) -> Any:
    """Where a gradient is written first: in ``out``, unless that would overwrite what is read later."""
    if out is None:
        return np.empty_like(x)
    same = x.__array_interface__["data"] == out.__array_interface__["data"] and x.strides == out.strides
    in_the_way = (not same and np.may_share_memory(out, x)) or any(np.may_share_memory(out, other) for other in others)
    return np.empty_like(x) if in_the_way else out


def _summed(
    criterion: Criterion,
    sides: Sequence[Side],
    upstream: float,
    mean: bool,
    dtype: Any,
    gradient: bool,
    outs: Sequence[Any],
) -> tuple[Any, list[Any]]:
    """The sum, or the sum of the means, of all sides' losses; and the gradients."""
    operands = [x for side in sides for x in (side.x, side.weight) if x is not None]
    total, grads = 0.0, []
    for side, out in zip(sides, outs, strict=True):
        divisor = side.elements if mean else 1
        weights = {} if side.weight is None else {"weight": side.weight}
        scale = side.sign * upstream / divisor if divisor else 0.0
        numbers = {"target": side.target, "sign": side.sign, "scale": scale}
        ufunc, names = _ufunc(criterion, True, gradient, tuple(weights))
        places = [_place(side.x, out, [x for x in operands if x is not side.x])] if gradient else []
        rows = rows_dtype(side.x.dtype, weights.values())
        options = [numbers.get(name, 1.0) for name in names]
        sums = over_elements(ufunc, [side.x, *weights.values()], side.x.shape, rows, options, places)
        total += float(sums[0]) / divisor if divisor else math.nan
        grads += places
    return rounded(total, dtype), grads


def _of_elements(
    criterion: Criterion, sides: Sequence[Side], upstream: Any, dtype: Any, gradient: bool, outs: Sequence[Any]
) -> tuple[Any, list[Any]]:
    """The losses of single elements, or of pairs, and the gradients."""
    xs, pairs = [side.x for side in sides], len(sides) > 1
    weights = dict(zip(WEIGHTS.values() if pairs else ["weight"], (side.weight for side in sides), strict=True))
    named = weights | ({"upstream": upstream} if gradient else {})
    arrays = {name: x for name, x in named.items() if x is not None}
    ufunc, names = (
        _pairs_ufunc(criterion, gradient, tuple(arrays)) if pairs else _ufunc(criterion, False, gradient, tuple(arrays))
    )
    numbers = {"target": sides[0].target, "sign": sides[0].sign, "scale": sides[0].sign}
    operands = [*xs, *arrays.values()]
    grads = [
        _place(x, out, [other for other in operands if other is not x])
        for x, out in zip(xs, outs, strict=True)
        if gradient
    ]
    loss = np.empty_like(xs[0], dtype)
    rows = np.result_type(rows_dtype(np.result_type(*xs), operands), dtype)
    over_elements(ufunc, operands, loss.shape, rows, [numbers.get(name, 1.0) for name in names], [loss, *grads])
    return loss[()], grads


@cache
def _ufunc(criterion: Criterion, reduced: bool, gradient: bool, arrays: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """The ufunc over outputs and further arrays, and the names of its options."""
    value, slope = Product(criterion.value, "weight sign"), Product(criterion.derivative, "weight upstream scale")
    numbers = ["target", "sign", "scale", *(name for name in ("weight", "upstream") if name not in arrays)]
    kernel = PointwiseKernel(
        _kernel_name(criterion, "sum" * reduced, gradient, arrays),
        " ".join(("x", *arrays)),
        " ".join(numbers),
        writes=[*([] if reduced else [value]), *([slope] if gradient else [])],
        terms=[value] if reduced else [],
        sums="loss" * reduced,
        cost=criterion.cost,
    )
    return make_ufunc(kernel, kernel.name, "", __name__), kernel.options


@cache
def _pairs_ufunc(criterion: Criterion, gradient: bool, arrays: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """The ufunc over pairs of outputs, ``x`` for a real sample and another, and the names of its options."""
    value, of_fake = _formulas_of_pairs(criterion.value, criterion.derivative)
    slopes = [
        Product(criterion.derivative, "real_weight upstream scale"),
        Product(of_fake, "fake_weight upstream scale"),
    ]
    numbers = ["target", "scale", *(name for name in (*WEIGHTS.values(), "upstream") if name not in arrays)]
    kernel = PointwiseKernel(
        _kernel_name(criterion, "pairs", gradient, arrays),
        " ".join(("x", "fake", *arrays)),
        " ".join(numbers),
        writes=[value, *(slopes if gradient else [])],
        cost=2 * criterion.cost,
    )
    return make_ufunc(kernel, kernel.name, "", __name__), kernel.options


def _kernel_name(criterion: Criterion, what: str, gradient: bool, arrays: Sequence[str]) -> str:
    return ".".join(filter(None, [criterion.name, what, "gradient" * gradient, *arrays]))


def _formulas_of_pairs(value: Formula, derivative: Formula) -> tuple[Formula, Formula]:
    """The loss of a pair, and its derivative by the output for the generated sample."""

    @scalar
    def of_both(x: Scalar, fake: Scalar, target: Scalar, real_weight: Scalar, fake_weight: Scalar) -> Scalar:
        T = type(x)
        return T(real_weight) * value(x, target) + T(fake_weight) * value(fake, 0.0)

    @scalar
    def of_fake(fake: Scalar) -> Scalar:
        return derivative(fake, 0.0)

    return of_both, of_fake


def _layout(operands: Mapping[str, Any], options: Mapping[str, Any]) -> Layout:
    """Each gradient belongs to its operand, the loss to whichever is a container."""
    row = "..." if options["reduction"] == "none" else ""
    axes = dict.fromkeys(operands, "...") | ({"upstream": row} if "upstream" in operands else {})
    xs = {name: operands[name] for name in WEIGHTS if name in operands}
    gradients = tuple(xs) if "out" in options else ()
    return Layout(axes, (row, *["..."] * len(gradients)), (*whole_owner(xs), *gradients))


def _of_masked(names: Sequence[str], **arguments: Any) -> Any:
    """The loss as if what any operand hides were not there, given the names of what is no operand."""
    options = {name: arguments.pop(name) for name in names}
    xs, out = [name for name in WEIGHTS if name in arguments], options.get("out")
    hidden = {name: _hidden(name, arguments) for name in xs}
    if options["reduction"] == "none":  # a pair is hidden where either part is
        hidden = dict.fromkeys(xs, reduce(np.logical_or, hidden.values()))
    plain = {name: np.asarray(np.ma.getdata(x)) for name, x in arguments.items()}
    for name, mask in hidden.items():
        called = _weight_of(name, arguments)
        plain[name], plain[called] = _without_hidden(plain[name], plain.get(called), mask)
    if np.ma.isMA(arguments.get("upstream")):
        plain["upstream"] = np.asarray(arguments["upstream"].filled(0))
    if out is not None:
        data = tuple(None if place is None else np.ma.getdata(place) for place in _as_tuple(out))
        options["out"] = data if isinstance(out, tuple) else data[0]
    counts = [mask.size - int(np.count_nonzero(mask)) for mask in hidden.values()]
    loss, *grads = _as_tuple(_computed(plain, options, counts))
    if options["reduction"] == "none":
        loss = masked(loss, hidden[xs[0]], None, arguments[xs[0]])
    outs = (None,) * len(xs) if out is None else _as_tuple(out)
    back = [
        masked(grad, mask, place, arguments[name])
        for grad, place, (name, mask) in zip(grads, outs, hidden.items(), strict=False)
    ]
    return (loss, *back) if back else loss


def _as_tuple(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)


def _hidden(name: str, operands: Mapping[str, Any]) -> Any:
    """Where an operand, its weight or the gradient from behind is masked."""
    mask = np.ma.getmaskarray(operands[name])
    for other in (_weight_of(name, operands), "upstream"):
        if other in operands:
            mask = mask | broadcast_to(other, np.ma.getmaskarray(operands[other]), mask.shape)
    return mask


def _without_hidden(x: Any, weight: Any, mask: Any) -> list[Any]:
    """The operand and its weight, both 0 where a mask hides them."""
    weight = np.ones((), np.float16) if weight is None else np.ma.getdata(weight)
    return [np.where(mask, values.dtype.type(0), values) for values in (np.ma.getdata(x), weight)]


def _lazily(function: Any, layout: Layout, operands: dict[str, Any], options: dict[str, Any]) -> Any:
    """The loss of dask arrays: those of elements by blocks, and their mean or sum as dask reduces."""
    refuse_out(options)
    if options["reduction"] == "none":
        return lazily(function, layout, operands, options)
    xs = [name for name in WEIGHTS if name in operands]
    upstream, gradient = operands.get("upstream", 1.0), "out" in options
    if np.ndim(upstream):
        raise ValueError(f"upstream must be a number where the loss is one, got shape {np.shape(upstream)}")
    dtype = loss_dtype(options["dtype"], np.result_type(*(as_lazy(operands[name]).dtype for name in xs), np.float16))
    total: Any = 0.0
    grads: list[Any] = []
    for name in xs:
        called = _weight_of(name, operands)
        given = {"x": as_lazy(operands[name])} | ({"weight": operands[called]} if called in operands else {})
        of_block = partial(_of_block, name, len(xs) > 1, options, gradient)
        axes = Layout(dict.fromkeys(given, "..."), ("...",) * (2 + gradient))
        losses, counted, *grad = lazily(of_block, axes, given, {})
        divisor = summed(counted) if options["reduction"] == "mean" else 1.0
        total = total + summed(losses) / divisor
        grads += [(g * (upstream / divisor)).astype(g.dtype) for g in grad]
    loss = total.map_blocks(narrowed, dtype, dtype=dtype)
    return (loss, *grads) if gradient else loss


def _of_block(
    name: str, discriminates: bool, options: Mapping[str, Any], gradient: bool, x: Any, weight: Any = None
) -> tuple[Any, ...]:
    """Of a block of one operand the losses in float64, 0 where a mask hides them, which elements count, and the gradient."""
    operands = {name: x} | ({"real": x} if discriminates else {})
    if weight is not None:
        operands[_weight_of(name, operands)] = weight
    mask, hides = _hidden(name, operands), np.ma.isMA(x) or np.ma.isMA(weight)
    if hides:
        operands[name], operands[_weight_of(name, operands)] = _without_hidden(x, weight, mask)
    side, kind = _side(name, operands, options), KINDS[options["kind"]]
    criterion = kind.discriminator if discriminates else kind.generator
    loss, grads = _of_elements(criterion, [side], None, np.dtype(np.float64), gradient, [None])
    return loss, (~mask).astype(np.float64), *(masked(grad, mask, None, x) if hides else grad for grad in grads)
