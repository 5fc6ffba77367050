"""What the docstrings of several functions have in common."""

from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])

PIECES = {
    "x": """\
x : array_like
    float16, float32 or float64; integers and booleans convert as for ``np.exp(x)``.""",
    "grad and output": """\
axis : int, tuple of int or None, default -1
    As it was given to the forward function.
out : ndarray, optional
    Written to and returned; may be `grad` or `output` itself.""",
    "ufunc_arguments": """\
**ufunc_arguments
    ``dtype``, ``casting``, ``order``, ``subok``: see `numpy.ufunc`.""",
    "rows like x": """\
Returns
-------
ndarray
    Of the shape of `x` and its dtype; it lies in memory as ``np.exp(x)`` does, in Fortran's order too.""",
    "rows like both": """\
Returns
-------
ndarray
    Of the broadcast shape of the operands and their dtype; it lies in memory as ``grad * output`` does.""",
    "axis and dtype errors": """\
Raises
------
numpy.exceptions.AxisError
    If `axis` is not an axis of the operands.
TypeError
    For complex, string and object arrays, and an `axis` of another type, such as a list.""",
    "logits to softcap": """\
logits : array_like
    Unnormalised log-probabilities; float16, float32 or float64.
target : array_like
    Class indices of any integer dtype, with the shape of `logits` without `axis`; or probabilities with the shape of `logits`.
    An empty list holds indices; booleans are neither.
weight : array_like, optional
    A weight for each class. A mean over class indices is then a weighted one.
ignore_index : int, default -100
    The label of rows that count nothing; it may lie among the classes.
label_smoothing : float, default 0.0
    Between 0 and 1: the part of the target that is spread evenly over all classes.
z_loss : float, default 0.0
    This many times the square of the row's logsumexp is added to its loss.
softcap : float, optional
    Logits are replaced by ``softcap * tanh(logits / softcap)``.""",
    "hidden to class_weight": """\
hidden : array_like, shape (..., features)
    Input of the linear layer; float16, float32 or float64.
weight : array_like, shape (classes, features)
    Its weight.
target : array_like of int, shape (...)
    Class indices.
bias : array_like, shape (classes,), optional
    Its bias.
class_weight : array_like, shape (classes,), optional
    What `cross_entropy` calls ``weight``.""",
    "label errors": """\
Raises
------
IndexError
    If a label is neither a class nor `ignore_index`. Nothing has been written then.
ValueError
    If an argument has a shape or value that is not allowed.
TypeError
    If an argument has a type or dtype that is not allowed, such as a boolean in place of a number.""",
    "scores": """\
Parameters
----------
prediction : array_like
    Class indices of any integer dtype; or booleans, of which the region is where they are true.
target : array_like
    The true ones, of the same shape and kind.
num_classes : int, optional
    The number of classes; one more than the largest index in either by default.
ignore_index : int, optional
    The label of the target's pixels that count nothing; it may lie among the classes.
per_image : bool, default False
    Whether each image, along the first axis, has scores of its own.
empty : float, default nan
    The score of a class that neither holds a pixel of. NaN is left out of the mean.
reduction : {"mean", "none"}, default "mean"
    Of the scores of classes and images. If none is left, the mean is NaN.
dtype : dtype, optional
    Of the result: float16, float32 or, by default, float64.

Returns
-------
scalar or ndarray
    With ``reduction="none"`` of the shape (classes,), with `per_image` (images, classes); of booleans without the classes.

Raises
------
IndexError
    If a label is neither a class nor `ignore_index`.
ValueError
    If an argument has a shape or value that is not allowed.
TypeError
    If an argument has a type or dtype that is not allowed.""",
    "losses paper": """\
References
----------
E. Wijmans et al., Cut Your Losses in Large-Vocabulary Language Models, 2024.""",
}
"""By the name that a docstring gives in angle brackets, on a line of its own."""


def documented(function: Function) -> Function:
    """Fill in the pieces that a docstring names."""
    lines = []
    for line in (function.__doc__ or "").splitlines():
        name = line.strip()
        if name.startswith("<") and name.endswith(">"):
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + piece for piece in PIECES[name[1:-1]].splitlines()]
        else:
            lines.append(line)
    function.__doc__ = "\n".join(lines) or None
    return function
