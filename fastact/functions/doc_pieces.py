"""Pieces of docstrings that several functions share, by the name that stands for them in these: what ``docs.py`` fills in."""

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
    "where to causal": """\
where : array_like of bool, default True
    Which elements take part; broadcasts to the shape of `x`. What the others hold does not matter.
scale : float, default 1.0
    What elements are multiplied by, such as one over a temperature; finite.
causal : bool, default False
    The mask of attention: of the keys along `axis`, query ``i`` along axis -2 takes those up to ``i + keys - queries``.""",
    "where to causal of a gradient": """\
where : array_like of bool, default True
    As it was given to the forward function; broadcasts to the shape of both.
scale : float, default 1.0
    Likewise; finite.
causal : bool, default False
    Likewise.""",
    "mask errors of a gradient": """\
    Also if `where` holds no booleans.
ValueError
    If `where` does not broadcast to the shape of both operands, `scale` is not finite in their precision, or `causal` has no axis
    of queries beside `axis`.""",
    "mask errors": """\
    Also if `where` holds no booleans.
ValueError
    If `where` does not broadcast to the shape of `x`, `scale` is not finite in the precision of `x`, or `causal` has no axis of
    queries beside `axis`.""",
    "rows like x": """\
Returns
-------
ndarray
    Of the shape of `x` and its dtype; it lies in memory as ``np.exp(x)`` does, in Fortran's order too.""",
    "like x, if there is something to sum": """\
Returns
-------
ndarray or scalar
    Of the shape and dtype of `x`.

Raises
------
TypeError
    For complex, string and object arrays.
ValueError
    If there is nothing to sum, as in SciPy.""",
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
    "norm axis and eps": """\
axis : int, tuple of int or None, default -1
    The axes of a row: one, several together in the order in which `x` has them, or all.
eps : float, default 1e-5
    Is added to the mean of squares; not negative.""",
    "norm axis to out": """\
axis : int, tuple of int or None, default -1
    The axes of a row: one, several together in the order in which `x` has them, or all.
eps : float, default 1e-5
    Is added to the mean of squares; not negative.
out : ndarray, optional
    Written to and returned; may be `x` itself.""",
    "outs of a norm of a sum": """\
out : tuple of ndarray or None, optional
    For both results; may be the operands themselves.""",
    "out of a norm's gradient": """\
out : ndarray, optional
    For the gradient by the input; may be `grad` or `x` itself.""",
    "channels' weight to out": """\
weight : array_like, optional
    A factor for each channel; 1 by default.
bias : array_like, optional
    What is added to each channel; 0 by default.
axis : int, default 1
    The axis of the channels.
eps : float, default 1e-5
    Is added to the variance; not negative.
out : ndarray, optional
    Written to and returned; may be `x` itself.""",
    "channels' weight to gradients": """\
weight : array_like, optional
    As it was given to the forward function.
axis : int, default 1
    The axis of the channels.
eps : float, default 1e-5
    Is added to the variance; not negative.
out : ndarray, optional
    For the gradient by the input; may be `grad` or `x` itself.

Returns
-------
grad_x : ndarray
    Of the shape of `x` and its dtype.
grad_weight, grad_bias : ndarray
    Of one element for each channel, also where there is no weight or bias.""",
    "limits of a norm": """\
Squares, of distances from the mean where one is taken off, are of the precision that is computed in. Elements below 1e-19 (of
float64: 1e-154) have squares that lose digits or vanish: where `eps` is not well above these, such as 0, the result has lost as
many, or is infinite or NaN. Where squares are infinite, those beyond 1e19 (1e154), a row gives zeros times the weight, plus the
bias; but NaN where a sum of elements or a distance is infinite itself.""",
    "limits of a length": """\
The length is computed in float64: of float32 and float16 no square is too large for it, or too small. Of float64 the squares of
elements beyond 1e154 are infinite, and those of elements below 1e-154 lose digits or vanish: where `eps` is less than these, such
as 0, the result has lost as many, or is infinite or NaN.""",
    "norm of a sum": """\
Returns
-------
normed : ndarray
    Of the broadcast shape of the operands and their dtype.
total : ndarray
    Likewise: the sum.""",
    "norm errors": """\
Raises
------
numpy.exceptions.AxisError
    If `axis` is not an axis of `x`.
ValueError
    If an argument has a shape or value that is not allowed. Nothing has been written then.
TypeError
    If an argument has a type or dtype that is not allowed, such as a masked array.""",
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
    "scores to axis": """\
input : array_like
    Scores of classes, such as logits; float16, float32 or float64. Of `accuracy` and `zero_one_loss` also predicted classes,
    integers with the shape of `target`.
target : array_like of int
    Class indices of any integer dtype, with the shape of `input` without `axis`.
weight : array_like, optional
    A weight for each class: that of its label is what a row counts. A mean divides by their sum.
ignore_index : int, default -100
    The label of rows that count nothing; it may lie among the classes.
reduction : {"mean", "sum", "none"}, default "mean"
    Of the rows; the mean of none is NaN.
axis : int, default -1
    The axis of the classes.""",
    "ohem to axis": """\
input : array_like
    Logits; float16, float32 or float64.
target : array_like of int
    Class indices of any integer dtype, with the shape of `input` without `axis`.
threshold : float, default 0.7
    Rows are kept whose label has less than this probability: whose loss, weighted as it is, exceeds ``-log(threshold)``.
fraction : float, optional
    In place of `threshold`: this share of the rows that are not ignored is kept, rounded up, those with the largest losses.
min_kept : int, default 0
    At least so many rows are kept, if there are as many, those with the largest losses.
preset : {"openmmlab", "bisenet", "deeplab"}, optional
    One of the definitions in use, in place of `min_kept`. OpenMMLab's keeps at least 100,000 rows of each image (the first axis),
    all but one if there are fewer, and divides by the number of all rows, kept or not. BiSeNet's keeps at least a sixteenth of the
    rows that are not ignored. DeepLab's keeps a `fraction` (0.2 by default) of all rows, rounded down, and divides by their number:
    those that are ignored count with a loss of 0.
weight : array_like, optional
    A weight for each class, which multiplies the losses of its rows. The mean divides by the number of rows kept.
ignore_index : int, default -100
    The label of rows that are never kept; it may lie among the classes.
axis : int, default -1
    The axis of the classes (PyTorch's is 1).""",
    "ohem notes": """\
Notes
-----
.. math:: \\frac{1}{|K|} \\sum_{i \\in K} -w_{y_i} \\ln p_{i, y_i}

The losses of all rows take one pass over `input`, the choice a partial select, and the gradient a pass over the rows kept. Which
rows are kept is not differentiated. Of equal losses the first rows are kept; NaN always is. Error: at most 8 ULP of the loss and
of the gradient's larger term (8 in float64). Bootstrapped cross-entropy is ``fraction=0.25``; the bootstrapping of noisy labels
is another thing.

References
----------
A. Shrivastava et al., Training Region-based Object Detectors with Online Hard Example Mining, 2016.
Z. Wu et al., Bridging Category-level and Instance-level Semantic Image Segmentation, 2016.""",
    "entropies with gradient": """\
axis : int, tuple of int or None, default -1
    Over what is summed: one axis, several together, or the whole array.
reduction : {"none", "mean", "sum"}, default "none"
    Of the entropies; the mean of none is NaN.
dtype : dtype, optional
    Of the entropies: float16, float32 or float64; that of `input` by default.
upstream : float or array_like, optional
    The gradient with respect to the value, of its shape; 1 by default.
out : ndarray, optional
    For the gradient, with the shape and dtype of `input`; may be `input` itself.

Returns
-------
value : scalar or ndarray
    Of `dtype`. With ``reduction="none"`` of the shape of `input` without `axis`.
grad : ndarray
    Of the shape and dtype of `input`.

Raises
------
numpy.exceptions.AxisError
    If `axis` is not an axis of `input`.
ValueError
    If an argument has a shape or value that is not allowed. Nothing has been written then.
TypeError
    If an argument has a type or dtype that is not allowed.""",
    "distillation to axis": """\
input : array_like
    The student's logits; float16, float32 or float64.
target : array_like
    The teacher's logits, with the shape of `input`.
temperature : float, default 1.0
    Positive: both logits are divided by it.
reduction : {"mean", "sum", "none"}, default "mean"
    Of the rows' losses.
axis : int, default -1
    The axis of the classes.""",
    "distillation errors": """\
Raises
------
ValueError
    If an argument has a shape or value that is not allowed. Nothing has been written then.
TypeError
    If an argument has a type or dtype that is not allowed, such as a masked array.""",
    "distillation notes": """\
Notes
-----
.. math:: -T^2 \\sum_j q_j \\ln p_j, \\quad p = \\mathrm{softmax}(x / T),\\ q = \\mathrm{softmax}(t / T)

The gradient is :math:`T (p - q)`: the square of the temperature keeps its size. The Kullback-Leibler divergence is the loss less
the teacher's entropy, and has the same gradient. Error: at most 8 ULP of the loss and of the gradient's larger term (8 in float64),
and as many as the largest logit over the temperature, which that quotient's rounding costs. Rows are computed a block at a time:
nothing as large
as `input` is allocated but the gradient.

References
----------
G. Hinton, O. Vinyals, J. Dean, Distilling the Knowledge in a Neural Network, arXiv:1503.02531.""",
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
    What `cross_entropy` calls ``weight``.
sample_weight : array_like, optional
    What each row's loss is multiplied by, z-loss too; it broadcasts to the shape of `target`. A mean divides by these weights
    times those of the labels' classes. A row of weight 0 counts nothing and is not computed.""",
    "shift": """\
shift : int, default 0
    How many places further along the last axis of `target` the label is that a hidden state predicts: 1 for the next token. The
    first labels, which none predicts, and the last hidden states count nothing. Losses and weights lie as the labels do.""",
    "label errors": """\
Raises
------
IndexError
    If a label is neither a class nor `ignore_index`. Nothing has been written then.
ValueError
    If an argument has a shape or value that is not allowed.
TypeError
    If an argument has a type or dtype that is not allowed, such as a boolean in place of a number.""",
    "real to reduction of a discriminator": """\
real : array_like
    The discriminator's outputs for real samples, logits if `kind` is of cross-entropies; float16, float32 or float64,
    integers convert as in NumPy.
fake : array_like
    Its outputs for generated samples, of any shape; with ``reduction="none"`` of the shape of `real`.
kind : {"non_saturating", "saturating", "hinge", "least_squares", "wasserstein"}, default "non_saturating"
    Which loss it is; see below.
label_smoothing : float, default 0.0
    At least 0 and below 1: the target of real samples is less than 1 by so much. Only where `kind` has targets: not for
    "hinge" and "wasserstein".
real_weight : array_like, optional
    A factor of each real sample's loss; a mean divides by the number of elements.
fake_weight : array_like, optional
    A factor of each generated sample's loss.
reduction : {"mean", "sum", "none"}, default "mean"
    Of the losses of real samples, and of those of generated ones, whose reductions are added. With "none" there is a loss for
    each pair of them.
dtype : dtype, optional
    Of the loss: float16, float32 or float64; that of both operands by default.""",
    "fake to dtype of a generator": """\
fake : array_like
    The discriminator's outputs for generated samples, logits if `kind` is of cross-entropies; float16, float32 or float64,
    integers convert as in NumPy.
kind : {"non_saturating", "saturating", "hinge", "least_squares", "wasserstein"}, default "non_saturating"
    Which loss it is; see below.
weight : array_like, optional
    A factor of each sample's loss; a mean divides by the number of elements.
reduction : {"mean", "sum", "none"}, default "mean"
    Of the elements' losses.
dtype : dtype, optional
    Of the loss: float16, float32 or float64; that of `fake` by default.""",
    "gan errors": """\
Raises
------
ValueError
    If an argument has a shape or value that is not allowed. Nothing has been written then.
TypeError
    If an argument has a type or dtype that is not allowed.""",
    "gan papers": """\
References
----------
I. Goodfellow et al., Generative Adversarial Nets, arXiv:1406.2661.
J. H. Lim and J. C. Ye, Geometric GAN, arXiv:1705.02894; T. Miyato et al., Spectral Normalization for Generative Adversarial
Networks, arXiv:1802.05957 (hinge).
X. Mao et al., Least Squares Generative Adversarial Networks, arXiv:1611.04076.
M. Arjovsky et al., Wasserstein GAN, arXiv:1701.07875.
T. Salimans et al., Improved Techniques for Training GANs, arXiv:1606.03498 (smoothing).""",
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
    "rng to out": """\
rng : numpy.random.Generator, int or None
    A generator, of which one number is asked, or a seed of one; ``None`` stands for a fresh one.
training : bool, default True
    Without training nothing is dropped and nothing drawn: `y` is a copy, and `key` is ``None``.
axis : int, tuple of int or None, default None
    The axes along which is drawn. Elements that differ along other axes only are dropped together: with ``(0, 1)`` whole channels
    of images whose channels are along axis 1, with ``(0, -1)`` of those whose channels come last. None stands for all axes.
out : ndarray, optional
    Written to and returned; may be `x` itself.""",
    "key": """\
key : int or None
    What the backward needs to find the same elements: from 0 to 2**63 - 1.""",
    "grad to out of dropout": """\
grad : array_like
    Gradient with respect to the result of the forward function; float16, float32 or float64.
p : float
    As it was given to the forward function.
key : int or None
    What the forward function returned.
axis : int, tuple of int or None, default None
    As it was given to the forward function.
out : ndarray, optional
    Written to and returned; may be `grad` itself.""",
    "dropout errors": """\
Raises
------
numpy.exceptions.AxisError
    If `axis` is not an axis of the operand.
ValueError
    If `p` is not between 0 and 1, or another argument has a value or shape that is not allowed. Nothing has been written then, and
    nothing drawn.
TypeError
    If an argument has a type or dtype that is not allowed.""",
    "draws": """\
Whether an element is dropped follows from its index, counted in C's order along the axes that are drawn along, and from `key`, by
two rounds of a hash of 32 bits, of the kind in C. Wellons, Prospecting for hash functions, 2018. So a seed gives the same elements
in any layout and dtype, on any machine and number of threads, and the backward computes them anew: there is no mask to keep.
Elements whose indices are 2**32 apart are dropped together.""",
    "losses paper": """\
References
----------
E. Wijmans et al., Cut Your Losses in Large-Vocabulary Language Models, 2024.""",
}
"""By the name that a docstring gives in angle brackets, on a line of its own."""
