"""Norms of each image by itself: groups of channels, or each channel."""

from functools import partial
from typing import Any

import numpy as np

from fastact.calls.checking import integer, knowing_names
from fastact.calls.quiet import quietly
from fastact.functions.batch_norms import at_channels
from fastact.functions.channel_requests import Request, checked, contained_channels
from fastact.functions.channel_statistics import Sums, sums_of, write
from fastact.functions.docs import documented
from fastact.functions.record import ALONG_AXIS, Function, Variant, X, register


@knowing_names
@documented
def group_norm(
    x: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    *,
    axis: int = 1,
    eps: float = 1e-5,
    out: Any = None,
) -> Any:
    r"""Groups of each image's channels less their mean, over their standard deviation, times a weight, plus a bias.

    Parameters
    ----------
    <x>
        Its first axis is that of the images, unless that is `axis`: then it is one image.
    num_groups : int
        How many groups of neighbouring channels there are; it must divide their number.
    <channels' weight to out>

    <rows like x>

    <norm errors>

    See Also
    --------
    instance_norm : each channel is a group.

    Notes
    -----
    .. math:: \frac{x - \mu_{ng}}{\sqrt{\sigma_{ng}^2 + \epsilon}} w_c + b_c

    Statistics are of float64, and variances those of distances from a mean: one that is a million times the deviation costs
    float32 no digits. No array is copied that lies densely, with the channels last in memory or next to the images; elements
    are added in the order of memory, so last bits may differ between the two. Error: at most 6 ULP of
    ``abs(y - bias) + abs(bias)`` (32 in float64).

    <limits of a norm>

    References
    ----------
    Y. Wu, K. He, Group Normalization, arXiv:1803.08494.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.group_norm([[1.0, 2.0, 3.0, 7.0]], 2).round(4)
    array([[-1.,  1., -1.,  1.]])
    """
    options = {"axis": axis, "eps": eps, "out": out, "num_groups": num_groups}
    found = contained_channels(group_norm, {"x": x}, {"weight": weight, "bias": bias}, options)
    if found is not NotImplemented:
        return found
    request = checked({"x": x}, axis, weight, bias, eps, out, images_apart=True)
    return quietly(_normed, request, _groups(num_groups, request))


@knowing_names
@documented
def group_norm_backward(
    grad: Any,
    x: Any,
    num_groups: int,
    weight: Any = None,
    *,
    axis: int = 1,
    eps: float = 1e-5,
    out: Any = None,
) -> tuple[Any, Any, Any]:
    r"""Gradients of `group_norm` with respect to its input, weight and bias.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `group_norm`; broadcasts to the shape of `x`.
    x : array_like
        Its input.
    num_groups : int
        As it was given to the forward function.
    <channels' weight to gradients>

    <norm errors>

    Notes
    -----
    As that of `layer_norm`, a group being a row. One pass over both arrays yields all sums, the statistics among them, and a second
    one writes. Error: at most 8 ULP of the sum of the absolute values of the terms (32 in float64).

    <limits of a norm>

    Examples
    --------
    >>> import fastact as fa
    >>> grad_x, grad_weight, grad_bias = fa.group_norm_backward([[1.0, 0.0, 0.0]], [[1.0, 2.0, 4.0]], 1)
    >>> grad_x.round(4), grad_weight.round(4), grad_bias
    (array([[ 0.2291, -0.3436,  0.1145]]), array([-1.069,  0.   ,  0.   ]), array([1., 0., 0.]))
    """
    pixels, options = {"grad": grad, "x": x}, {"axis": axis, "eps": eps, "out": out, "num_groups": num_groups}
    found = contained_channels(group_norm_backward, pixels, {"weight": weight}, options, 3)
    if found is not NotImplemented:
        return found  # type: ignore[no-any-return]
    request = checked(pixels, axis, weight, None, eps, out, images_apart=True)
    gradients: tuple[Any, Any, Any] = quietly(_gradients, request, _groups(num_groups, request))
    return gradients


@knowing_names
@documented
def instance_norm(
    x: Any, weight: Any = None, bias: Any = None, *, axis: int = 1, eps: float = 1e-5, out: Any = None
) -> Any:
    r"""Each image's channels less their mean, over their standard deviation, times a weight, plus a bias.

    Parameters
    ----------
    <x>
        Its first axis is that of the images, unless that is `axis`: then it is one image.
    <channels' weight to out>

    <rows like x>

    <norm errors>

    See Also
    --------
    group_norm : of several channels together.

    Notes
    -----
    .. math:: \frac{x - \mu_{nc}}{\sqrt{\sigma_{nc}^2 + \epsilon}} w_c + b_c

    What `group_norm` gives with a group for each channel. A channel of one element gives its bias; PyTorch refuses it.
    Error: at most 6 ULP of ``abs(y - bias) + abs(bias)`` (32 in float64).

    <limits of a norm>

    References
    ----------
    D. Ulyanov, A. Vedaldi, V. Lempitsky, Instance Normalization: The Missing Ingredient for Fast Stylization, arXiv:1607.08022.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.instance_norm([[[1.0, 2.0], [3.0, 7.0]]]).round(4)
    array([[[-1.,  1.],
            [-1.,  1.]]])
    """
    options = {"axis": axis, "eps": eps, "out": out}
    found = contained_channels(instance_norm, {"x": x}, {"weight": weight, "bias": bias}, options)
    if found is not NotImplemented:
        return found
    request = checked({"x": x}, axis, weight, bias, eps, out, images_apart=True)
    return quietly(_normed, request, request.lay.channels)


@knowing_names
@documented
def instance_norm_backward(
    grad: Any, x: Any, weight: Any = None, *, axis: int = 1, eps: float = 1e-5, out: Any = None
) -> tuple[Any, Any, Any]:
    r"""Gradients of `instance_norm` with respect to its input, weight and bias.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `instance_norm`; broadcasts to the shape of `x`.
    x : array_like
        Its input.
    <channels' weight to gradients>

    <norm errors>

    Notes
    -----
    As that of `layer_norm`, each channel of an image being a row. One pass over both arrays yields all sums, the statistics among
    them, and a second one writes. Error: at most 8 ULP of the sum of the absolute values of the terms (32 in float64).

    <limits of a norm>

    Examples
    --------
    >>> import fastact as fa
    >>> grad_x, grad_weight, grad_bias = fa.instance_norm_backward([[[1.0, 0.0, 0.0]]], [[[1.0, 2.0, 4.0]]])
    >>> grad_x.round(4), grad_weight.round(4), grad_bias
    (array([[[ 0.2291, -0.3436,  0.1145]]]), array([-1.069]), array([1.]))
    """
    pixels, options = {"grad": grad, "x": x}, {"axis": axis, "eps": eps, "out": out}
    found = contained_channels(instance_norm_backward, pixels, {"weight": weight}, options, 3)
    if found is not NotImplemented:
        return found  # type: ignore[no-any-return]
    request = checked(pixels, axis, weight, None, eps, out, images_apart=True)
    gradients: tuple[Any, Any, Any] = quietly(_gradients, request, request.lay.channels)
    return gradients


def _groups(num_groups: Any, request: Request) -> int:
    """The number of groups; ``ValueError`` if it does not divide that of the channels."""
    groups, channels = integer("num_groups", num_groups), request.lay.channels
    if groups < 1 or channels % groups:
        raise ValueError(f"num_groups must be positive and divide the {channels} channels, got {groups}")
    return groups


def _grouped(request: Request, numbers: Any, groups: int) -> Any:
    """Numbers of channels by image, group, and channel of the group."""
    whole = np.broadcast_to(numbers, (request.lay.images, request.lay.channels))
    return whole.reshape(len(whole), groups, -1 if whole.size else 0)


def _statistics(request: Request, sums: Sums, groups: int) -> tuple[Any, Any, int]:
    """The mean of each group, one over its deviation, and the number of its elements."""
    each = request.lay.channels // max(1, groups)
    found = sums.together(request.lay.pixels, (2,))
    count = each * request.lay.pixels
    return found, 1 / np.sqrt(found.squares / count + request.eps), count


def _normed(request: Request, groups: int) -> Any:
    lay, x = request.lay, request.arrays["x"]
    if x.size:
        sums = Sums(*(_grouped(request, numbers, groups) for numbers in sums_of(lay, x)))
        found, inverse, _ = _statistics(request, sums, groups)
        scale = inverse * _grouped(request, request.weight, groups)
        numbers = (_of_channels(request, one) for one in (found.mean, scale))
        write(lay, (x,), (*numbers, request.bias), request.target)
    return request.finished()


def _of_channels(request: Request, grouped: Any) -> Any:
    """Numbers of groups, or of their channels, by image and channel."""
    lay = request.lay
    groups = grouped.shape[1]
    whole = np.broadcast_to(grouped, (lay.images, groups, lay.channels // groups))
    return whole.reshape(lay.images, lay.channels)


def _gradients(request: Request, groups: int) -> tuple[Any, Any, Any]:
    lay, arrays = request.lay, request.arrays
    if not request.target.size:
        nothing = np.zeros(lay.channels, request.dtype)
        return request.finished(), nothing, nothing.copy()
    sums = Sums(*(_grouped(request, one, groups) for one in sums_of(lay, arrays["x"], arrays["grad"])))
    weight = _grouped(request, request.weight, groups)
    found, inverse, count = _statistics(request, sums.times(weight), groups)
    along = found.products / count * inverse * inverse
    known = (found.mean, weight * inverse, along * inverse, found.slopes / count * inverse)
    if count == 1:  # whose result does not depend on it: rounding errors would be divided by the root of eps
        known = (found.mean, *[np.zeros_like(weight)] * 3)
    write(lay, (arrays["grad"], arrays["x"]), [_of_channels(request, one) for one in known], request.target)
    products = inverse * (sums.products + (sums.mean - found.mean) * sums.slopes)
    by_weight, by_bias = (np.sum(_of_channels(request, one), axis=0) for one in (products, sums.slopes))
    return request.finished(), by_weight.astype(request.dtype), by_bias.astype(request.dtype)


def _as_groups(x: Any, num_groups: int, axis: int) -> Any:
    """Images, groups, and a group's elements, of an array whose channels' axis is moved behind that of the images."""
    moved = np.moveaxis(x, axis, 1) if axis % x.ndim else x[None]
    return moved, moved.reshape(len(moved), num_groups, -1)


def _reference(
    x: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    axis: int = 1,
    eps: float = 1e-5,
) -> Any:
    moved, groups = _as_groups(x, num_groups, axis)
    normed = (groups - np.mean(groups, -1, keepdims=True)) / np.sqrt(np.var(groups, -1, keepdims=True) + eps)
    normed = normed.reshape(moved.shape)
    normed = np.moveaxis(normed, 1, axis) if axis % x.ndim else normed[0]
    normed = normed if weight is None else normed * at_channels(x, weight, axis)
    return normed if bias is None else normed + at_channels(x, bias, axis)


def _reference_backward(
    grad: Any, x: Any, num_groups: int, weight: Any = None, axis: int = 1, eps: float = 1e-5
) -> Any:
    g = grad if weight is None else grad * at_channels(x, weight, axis)
    moved, groups = _as_groups(x, num_groups, axis)
    g_groups = _as_groups(g, num_groups, axis)[1]
    deviation = np.sqrt(np.var(groups, -1, keepdims=True) + eps)
    normed = (groups - np.mean(groups, -1, keepdims=True)) / deviation
    means = [np.mean(term, -1, keepdims=True) for term in (g_groups, g_groups * normed)]
    by_x, normed = (
        np.moveaxis(part.reshape(moved.shape), 1, axis) if axis % x.ndim else part.reshape(moved.shape)[0]
        for part in ((g_groups - means[0] - normed * means[1]) / deviation, normed)
    )
    others = tuple(k for k in range(x.ndim) if k != axis % x.ndim)
    return by_x, np.sum(grad * normed, others), np.sum(grad, others)


def _reference_instance(x: Any, weight: Any = None, bias: Any = None, axis: int = 1, eps: float = 1e-5) -> Any:
    return _reference(x, x.shape[axis], weight, bias, axis, eps)


def _reference_instance_backward(grad: Any, x: Any, weight: Any = None, axis: int = 1, eps: float = 1e-5) -> Any:
    return _reference_backward(grad, x, x.shape[axis], weight, axis, eps)


_ONE, _WEIGHT = {"num_groups": 1}, {"weight": ALONG_AXIS}
_norm = partial(
    Function,
    home=__name__,
    family="norms",
    axis="one",
    masked=False,
    whole=True,
    in_memory_order=True,
    double_ulp=32.0,
)
register(
    _norm(
        "group_norm",
        lambda: group_norm,
        [X],
        _reference,
        6.0,
        variants=[Variant(_ONE), Variant(_ONE | _WEIGHT | {"bias": ALONG_AXIS})],
    )
)
register(
    _norm(
        "group_norm_backward",
        lambda: group_norm_backward,
        [X, X],
        _reference_backward,
        8.0,
        variants=[Variant(_ONE), Variant(_ONE | _WEIGHT)],
    )
)
register(
    _norm(
        "instance_norm",
        lambda: instance_norm,
        [X],
        _reference_instance,
        6.0,
        variants=[Variant(), Variant(_WEIGHT | {"bias": ALONG_AXIS})],
    )
)
register(
    _norm(
        "instance_norm_backward",
        lambda: instance_norm_backward,
        [X, X],
        _reference_instance_backward,
        8.0,
        variants=[Variant(), Variant(_WEIGHT)],
    )
)
