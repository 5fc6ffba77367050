"""The docstrings of the losses of regions."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastact.functions import region_reference

WEIGHTS: dict[str, tuple[float, ...]] = {"dice_loss": (0.5, 0.5), "jaccard_loss": (1.0, 1.0), "tversky_loss": ()}
"""What false and missed pixels count; empty where the caller says so."""

SUMMARIES = {
    "dice_loss": "One less the Dice score, twice what prediction and target have in common over the sum of both.",
    "jaccard_loss": "One less the Jaccard score, the intersection of prediction and target over their union.",
    "tversky_loss": "One less the Tversky score, in which false and missed pixels have weights of their own.",
}
FORMULAS = {
    "dice_loss": r"L = 1 - \frac{I + s}{D},\quad D = \tfrac{1}{2} (P + T) + s",
    "jaccard_loss": r"L = 1 - \frac{I + s}{D},\quad D = P + T - I + s",
    "tversky_loss": r"L = 1 - \frac{I + s}{D},\quad D = I + \alpha\,(P - I) + \beta\,(T - I) + s",
}
SLOPES = {
    "dice_loss": r"\frac{\partial L}{\partial p} = \frac{\tfrac{1}{2} (1 - L) - t}{D}",
    "jaccard_loss": r"\frac{\partial L}{\partial p} = \frac{(1 - L)(1 - t) - t}{D}",
    "tversky_loss": r"\frac{\partial L}{\partial p} = \frac{(1 - L)\,(\alpha + (1 - \alpha - \beta)\,t) - t}{D}",
}
PAPERS = {
    "dice_loss": "F. Milletari et al., V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation,\n"
    "arXiv:1606.04797.",
    "jaccard_loss": "M. A. Rahman, Y. Wang, Optimizing Intersection-Over-Union in Deep Neural Networks for Image\n"
    "Segmentation, 2016.",
    "tversky_loss": "S. S. M. Salehi et al., Tversky loss function for image segmentation using 3D fully convolutional deep\n"
    "networks, arXiv:1706.05721.",
}
SHOWN = [[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]], [0, 1, 1]
"""What examples are of."""

PARAMETERS = """\
input : array_like
    Logits, or probabilities if `from_logits` says so; float16, float32 or float64; integers convert as in NumPy.
target : array_like
    In the mode "multiclass" class indices of any integer dtype, with the shape of `input` without `axis`, or probabilities
    with the shape of `input`. Else numbers between 0 and 1, or booleans, of the shape of `input`.
{weights}mode : {{"multiclass", "multilabel", "binary"}}, default "multiclass"
    Whether classes exclude each other, their probabilities being the softmax along `axis`; or do not, these being sigmoids;
    or there is but one, and no axis of classes.
from_logits : bool, default True
    Whether `input` is logits.
smooth : float, default 0.0
    The number ``s`` in the formula, at least 0.
weight : array_like, optional
    A weight for each class. A mean is then a weighted one.
ignore_index : int, optional
    The label of pixels that count nothing and have the gradient 0; it may lie among the classes. Of a target of probabilities
    it is those, of a class at a pixel, that count nothing.
per_image : bool, default False
    Whether each image has sums, and so a loss, of its own. The first axis but `axis` numbers the images.
absent : {{"zero", "skip", "count"}}, default "zero"
    What becomes of a class that no pixel of the target is of: its loss is 0; or it does not take part in the mean; or the
    formula holds as for any other, and 0/0 is a loss of 0. There is a gradient in the last case alone.
reduction : {{"mean", "sum", "none"}}, default "mean"
    Of the losses of classes and images. If none counts, the mean is 0.
axis : int, default -1
    The axis of the classes (PyTorch's is 1); of no meaning in the mode "binary".
dtype : dtype, optional
    Of the loss: float16, float32 or float64; that of `input` by default."""

TVERSKY = """\
alpha : float, default 0.5
    What counts a pixel that is falsely predicted, at least 0.
beta : float, default 0.5
    What counts a pixel that is missed, at least 0.
"""

GRADIENT = """
upstream : float or array_like, optional
    The gradient with respect to the loss, of its shape; 1 by default.
out : ndarray, optional
    For the gradient, with the shape and dtype of `input`; may be `input` itself."""

RETURNS = """\
loss : scalar or ndarray
    Of `dtype`. With ``reduction="none"`` it has of the axes of `input` that of the classes and, with `per_image`, that of
    the images, in their order."""

RAISES = """\
IndexError
    If a label is neither a class nor `ignore_index`. Nothing has been written then.
ValueError
    If an argument has a shape or value that is not allowed, such as a target outside [0, 1]; likewise.
TypeError
    If an argument has a type or dtype that is not allowed."""

NOTES = """\
For each class, with the probabilities ``p``, the target ``t`` and their sums over all pixels that count ``P`` and ``T``, and
with the sum ``I`` of their products:

.. math:: {formula}
{slope}
Error: at most 8 ULP, of 1 for the loss{gradient}.
Up to 1024 pixels are added in the precision that is computed in, their sums in float64, in an order that neither layout nor
threads change. What probabilities lack of 1 is added up as such, so that also small losses have digits.

The defaults are those of segmentation_models_pytorch. MONAI's losses are those with ``per_image=True``, ``absent="count"``
and a small `smooth`; it divides a weighted mean by the number of classes. Elsewhere the Dice score of soft labels may have the
smaller of ``p`` and ``t`` in place of their product, or half of this `smooth`."""


def docstring(name: str, gradient: bool) -> str:
    """The numpydoc docstring of a loss, or of the loss with its gradient."""
    summary = f"`{name}` and its gradient with respect to `input`." if gradient else SUMMARIES[name]
    slope = f"\nIts derivative, which is that by `input` where that is probabilities:\n\n.. math:: {SLOPES[name]}\n"
    sections = {
        "Parameters": PARAMETERS.format(weights="" if WEIGHTS[name] else TVERSKY) + GRADIENT * gradient,
        "Returns": RETURNS + "\ngrad : ndarray\n    Of the shape and dtype of `input`." * gradient,
        "Raises": RAISES,
        "Notes": NOTES.format(
            formula=FORMULAS[name],
            slope=slope if gradient else "",
            gradient=", and for the gradient of the sum of its terms' magnitudes" * gradient,
        ),
        "References": PAPERS[name],
        "Examples": _example(name, gradient),
    }
    return "\n\n".join([summary, *(f"{title}\n{'-' * len(title)}\n{text}" for title, text in sections.items())])


def _example(name: str, gradient: bool) -> str:
    """A call, and what it prints: the reference's values, to four digits after the point."""
    return "\n".join(_lines(name, gradient))


def _lines(name: str, gradient: bool) -> Iterator[str]:
    x, target = SHOWN
    alpha, beta = WEIGHTS[name] or (0.5, 0.5)
    found: Any = region_reference.region_loss(np.array(x), np.array(target), alpha=alpha, beta=beta)
    yield ">>> import fastact as fa"
    if not gradient:
        yield f">>> round(float(fa.{name}({x}, {target})), 4)"
        yield repr(round(float(found[0]), 4))
        return
    yield f">>> loss, grad = fa.{name}_with_grad({x}, {target})"
    yield ">>> round(float(loss), 4)"
    yield repr(round(float(found[0]), 4))
    yield ">>> grad.round(4)"
    yield repr(found[1].round(4) + 0.0)
