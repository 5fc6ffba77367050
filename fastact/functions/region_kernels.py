"""The kernels of region losses: what each class has in common with the target, and the gradient of what follows from that.

What is summed is rows, each the pixels of a class, in which the class's ``number`` is one element repeated. Gradients are planes,
whose classes have numbers.
"""

from functools import cache
from typing import Any

from fastact.functions.binary_losses import both_sigmoids
from fastact.kinds.planes import PlanesKernel
from fastact.kinds.rows import RowKernel, Sum
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, select
from fastact.runtime.ufunc import make_ufunc

SUMS = "both missed false"
"""Per class: of the target and the input, of the target without the input, and of the input without the target."""


@scalar
def _own(label: Scalar, number: Scalar, ignored: Scalar) -> tuple[Scalar, Scalar]:
    """1 for a pixel of the class, and 1 for one of another; 0 and 0 if it is ignored."""
    T = type(label)
    counted = select(label == T(ignored), T(0), T(1))
    own = select(label == number, counted, T(0))
    return own, counted - own


@scalar
def part(share: Scalar, value: Scalar) -> Scalar:
    """A share of a value; of none at all, 0 whatever the value."""
    T = type(share)
    return select(share == T(0), T(0), share * value)


def _of_labels(x: Scalar, label: Scalar, number: Scalar, ignored: Scalar) -> tuple[Scalar, ...]:
    own, other = _own(label, number, ignored)
    return part(own, x), part(own, type(x)(1) - x), part(other, x)


@scalar
def _counted(target: Scalar, ignored: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """How much is of the class and how much is not, nothing if ignored; and 1 for what is no probability."""
    T = type(target)
    off = target == T(ignored)
    beyond = select((target < T(0)) | (target > T(1)), T(1), T(0))
    return select(off, T(0), target), select(off, T(0), T(1) - target), select(off, T(0), beyond)


def _of_shares(x: Scalar, target: Scalar, ignored: Scalar) -> tuple[Scalar, ...]:
    own, other, beyond = _counted(target, ignored)
    return part(own, x), part(own, type(x)(1) - x), part(other, x), beyond


def _of_logits(x: Scalar, target: Scalar, ignored: Scalar) -> tuple[Scalar, ...]:
    own, other, beyond = _counted(target, ignored)
    p, rest = both_sigmoids(x)
    return part(own, p), part(own, rest), part(other, p), beyond


TERMS: dict[str, Any] = {"labels": _of_labels, "shares": _of_shares, "logits": _of_logits}
OPERANDS = {"labels": "label number", "shares": "target", "logits": "target"}


@cache
def sums(kind: str) -> Any:
    """The generalised ufunc of a class's sums over pixels: of probabilities with labels or with shares, or of single logits."""
    names = SUMS if kind == "labels" else f"{SUMS} beyond"
    kernel = RowKernel(
        f"region_sums.{kind}",
        [Sum(names, TERMS[kind])],
        gives=names,
        gives_wide=True,
        operands=f"x {OPERANDS[kind]}",
        option_names="ignored",
        cost=0.6 if kind == "logits" else 0.3,
    )
    return make_ufunc(kernel, kernel.name, "Sums per class of region losses.", __name__)


# The derivative of the loss by a probability is its class's slope, and what comes on top of it where the target is that class.


@scalar
def _label_slope(label: Scalar, number: Scalar, slope: Scalar, extra: Scalar, ignored: Scalar) -> Scalar:
    T = type(label)
    found = T(slope) + select(label == T(number), T(extra), T(0))
    return select(label == T(ignored), T(0), found)


@scalar
def _share_slope(target: Scalar, slope: Scalar, extra: Scalar, ignored: Scalar) -> Scalar:
    T = type(target)
    return select(target == T(ignored), T(0), T(slope) + T(extra) * target)


def _label_product(x: Scalar, label: Scalar, number: Scalar, slope: Scalar, extra: Scalar, ignored: Scalar) -> Scalar:
    return part(_label_slope(label, number, slope, extra, ignored), x)


def _share_product(x: Scalar, target: Scalar, slope: Scalar, extra: Scalar, ignored: Scalar) -> Scalar:
    return part(_share_slope(target, slope, extra, ignored), x)


def _softmax_of_labels(
    x: Scalar, label: Scalar, number: Scalar, slope: Scalar, extra: Scalar, ignored: Scalar, total: Scalar
) -> Scalar:
    return part(_label_slope(label, number, slope, extra, ignored) - total, x)


def _softmax_of_shares(
    x: Scalar, target: Scalar, slope: Scalar, extra: Scalar, ignored: Scalar, total: Scalar
) -> Scalar:
    return part(_share_slope(target, slope, extra, ignored) - total, x)


def _logits(x: Scalar, target: Scalar, slope: Scalar, extra: Scalar, ignored: Scalar) -> Scalar:
    p, rest = both_sigmoids(x)
    return part(_share_slope(target, slope, extra, ignored), p * rest)


GRADIENTS: dict[str, Any] = {"labels": _label_slope, "shares": _share_slope, "logits": _logits}
OF_SOFTMAX: dict[str, Any] = {
    "labels": (_label_product, _softmax_of_labels),
    "shares": (_share_product, _softmax_of_shares),
}


@cache
def gradient(kind: str, softmax: bool) -> Any:
    """The generalised ufunc of a gradient: by logits, given their softmax; else by what it is given."""
    term, formula = OF_SOFTMAX[kind] if softmax else (None, GRADIENTS[kind])
    labels = kind == "labels"
    kernel = PlanesKernel(
        ".".join(["region_gradient", kind, *["softmax"] * softmax]),
        formula,
        planes="x" if labels else "x target",
        shared="label" if labels else "",
        number_names="number slope extra" if labels else "slope extra",
        option_names="ignored",
        term=term,
        cost=0.6 if kind == "logits" else 0.4,
    )
    return make_ufunc(kernel, kernel.name, "Gradients of region losses.", __name__)
