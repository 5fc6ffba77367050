"""What the docstrings of Lovasz losses have in common."""

from collections.abc import Callable
from typing import Any, TypeVar

from fastact.functions import docs

Function = TypeVar("Function", bound=Callable[..., Any])

PIECES: dict[str, str] = {
    "lovasz softmax": """\
input : array_like
    Logits; float16, float32 or float64; integers convert as in NumPy.
target : array_like of int
    Class indices of any integer dtype, with the shape of `input` without `axis`.
classes : {"present", "all"}, default "present"
    Whether a class that no pixel of the target is of takes part in the mean. If it does, its loss is its largest probability.
ignore_index : int, optional
    The label of pixels that count nothing and have the gradient 0; it may lie among the classes.
per_image : bool, default False
    Whether each image has losses of its own. The first axis but `axis` numbers the images.
reduction : {"mean", "sum", "none"}, default "mean"
    Of the losses of classes and images: the mean is that over images of the mean over their classes. If none counts, it is 0.
axis : int, default -1
    The axis of the classes (PyTorch's is 1).""",
    "lovasz hinge": """\
input : array_like
    Logits of any shape; float16, float32 or float64; integers convert as in NumPy.
target : array_like
    Of the same shape: 1 or True where a pixel is of the class, else 0 or False.
ignore_index : int, optional
    What the target holds of pixels that count nothing and have the gradient 0.
per_image : bool, default False
    Whether each image, along the first axis, has a loss of its own.
reduction : {"mean", "sum", "none"}, default "mean"
    Of the images' losses.""",
    "lovasz gradient": """\
upstream : float or array_like, optional
    The gradient with respect to the loss, of its shape; 1 by default.
out : ndarray, optional
    For the gradient, with the shape and dtype of `input`; may be `input` itself.""",
    "lovasz results": """\
Returns
-------
loss : scalar or ndarray
    Of `dtype`. With ``reduction="none"`` it has of the axes of `input` those of the classes, if there are any, and, with
    `per_image`, that of the images, in their order.""",
    "lovasz errors": """\
Raises
------
IndexError
    If a label is neither a class nor `ignore_index`. Nothing has been written then.
ValueError
    If an argument has a shape or value that is not allowed; likewise.
TypeError
    If an argument has a type or dtype that is not allowed.""",
    "lovasz softmax notes": """\
For each class, with the errors ``m`` of all pixels that count, which are :math:`1 - p` where the label is the class and else ``p``,
from the largest to the smallest:

.. math:: \\sum_i m_i \\left(J_i - J_{i-1}\\right),\\quad J_i = 1 - \\frac{|A \\setminus F_i|}{|A \\cup F_i|}

Here A is the pixels of the class and :math:`F_i` those of the ``i`` largest errors. Pixels that are not of the class and whose
error is below the smallest within it add nothing, and are not sorted. Pixels are sorted by radix. The gradient takes no memory
besides its own but for eight classes' pixels; that of halves, and over the input, an array of single floats, or of its dtype, as
large as `input`, and so does the loss alone.""",
    "lovasz hinge notes": """\
With the errors ``m`` of all pixels that count, which are :math:`1 - x` where the target is 1 and else :math:`1 + x`, from the
largest to the smallest:

.. math:: \\sum_i \\max(0, m_i) \\left(J_i - J_{i-1}\\right),\\quad J_i = 1 - \\frac{|A \\setminus F_i|}{|A \\cup F_i|}

Here A is the pixels of the class and :math:`F_i` those of the ``i`` largest errors. Where no pixel is of the class, it is the
largest error.""",
    "lovasz ties": """\
The derivative by an error is :math:`J_i - J_{i-1}`. Where errors are equal there are several, and pixels of the class share theirs
evenly, and so do the others, as if those of the class came first: the gradient depends on no order. That of others whose
error is 0 is 0.""",
    "lovasz paper": """\
References
----------
M. Berman et al., The Lovasz-Softmax loss: A tractable surrogate for the optimization of the intersection-over-union measure in
neural networks, arXiv:1705.08790.""",
    "lovasz hinge paper": """\
References
----------
J. Yu and M. Blaschko, Learning Submodular Losses with the Lovasz Hinge, 2015; M. Berman et al., The Lovasz-Softmax loss,
arXiv:1705.08790.""",
}
"""By the name that a docstring gives in angle brackets, on a line of its own."""


def documented(function: Function) -> Function:
    """Fill in the pieces that a docstring names."""
    return docs.documented(function, PIECES)
