"""Batch normalisation: channels by the mean and variance over all others' axes, or by running statistics."""

from functools import partial
from typing import Any

import numpy as np

from fastact.calls.checking import finite, knowing_names, switch
from fastact.calls.quiet import quietly
from fastact.functions.channel_requests import Request, checked, contained_channels, of_channels
from fastact.functions.channel_statistics import Sums, sums_of, write
from fastact.functions.docs import documented
from fastact.functions.record import ALONG_AXIS, OF_EACH_CLASS, Function, Variant, X, register
from fastact.functions.updates import overlaps_itself


@knowing_names
@documented
def batch_norm(
    x: Any,
    weight: Any = None,
    bias: Any = None,
    running_mean: Any = None,
    running_var: Any = None,
    *,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    axis: int = 1,
    out: Any = None,
) -> Any:
    r"""Channels less their mean, over their standard deviation, times a weight, plus a bias.

    Parameters
    ----------
    <x>
    weight : array_like, optional
        A factor for each channel; 1 by default.
    bias : array_like, optional
        What is added to each channel; 0 by default.
    running_mean, running_var : array_like, optional
        A mean and a variance for each channel. Without `training` they are what is normed by; with it they are updated in
        place, and must be arrays of floats then: both or none.
    training : bool, default False
        Whether the statistics are those of `x`, over all axes but that of the channels.
    momentum : float, default 0.1
        The weight of the new statistics in an update: ``running += momentum * (new - running)``. The new variance has Bessel's
        correction, as in PyTorch; what is normed by has not.
    eps : float, default 1e-5
        Is added to the variance; not negative.
    axis : int, default 1
        The axis of the channels.
    out : ndarray, optional
        Written to and returned; may be `x` itself.

    <rows like x>

    <norm errors>

    See Also
    --------
    instance_norm, group_norm : of each image by itself.

    Notes
    -----
    .. math:: \frac{x - \mu_c}{\sqrt{\sigma_c^2 + \epsilon}} w_c + b_c

    Statistics are of float64, and variances those of distances from a mean: one that is a million times the deviation costs
    float32 no digits. No array is copied that lies densely, with the channels last in memory or not; elements are added in the
    order of memory, so last bits may differ between the two. In training there must be more than one element for each
    channel. Keras' momentum is one less ours. Error: at most 6 ULP of ``abs(y - bias) + abs(bias)`` (32 in float64).

    <limits of a norm>

    References
    ----------
    S. Ioffe, C. Szegedy, Batch Normalization, arXiv:1502.03167.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.batch_norm([[1.0, 2.0], [3.0, 6.0]], training=True).round(4)
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    numbers = {"weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}
    options = {"training": training, "momentum": momentum, "eps": eps, "axis": axis, "out": out}
    found = contained_channels(batch_norm, {"x": x}, numbers, options)
    if found is not NotImplemented:
        return found
    training, momentum = switch("training", training), finite("momentum", momentum)
    request = checked({"x": x}, axis, weight, bias, eps, out, images_apart=False)
    running = _running(running_mean, running_var, request, training)
    return quietly(_batch_norm, request, running, training, momentum)


def _batch_norm(request: Request, running: Any, training: bool, momentum: float) -> Any:
    lay = request.lay
    if training:
        sums, count = _of_batch(request), lay.images * lay.pixels
        mean, variance = sums.mean[0], sums.squares[0] / count
    else:
        mean, variance = (np.asarray(one, np.float64) for one in running)
    scale = request.weight / np.sqrt(variance + request.eps)
    write(lay, (request.arrays["x"],), (mean, scale, request.bias), request.target)
    if training and running is not None:
        for old, new in zip(running, (mean, variance * (count / (count - 1))), strict=True):
            wide = old.astype(np.float64)
            old[...] = wide + momentum * (new - wide)
    return request.finished()


def _of_batch(request: Request) -> Sums:
    """The sums over all images; ``ValueError`` where a channel has a single element."""
    lay = request.lay
    if lay.images * lay.pixels < 2:
        raise ValueError(
            f"x must have more than one element for each channel in training, got {lay.images * lay.pixels}"
        )
    grad = request.arrays.get("grad")
    return sums_of(lay, request.arrays["x"], grad).together(lay.pixels, (0,))


def _running(mean: Any, variance: Any, request: Request, training: bool) -> Any:
    """The running statistics as arrays, or ``None``; in training they are to be written to."""
    named = {"running_mean": mean, "running_var": variance}
    missing = [name for name, one in named.items() if one is None]
    if missing and (not training or len(missing) == 1):
        without = "" if training else " without training"
        raise ValueError(f"running_mean and running_var must both be given{without}, {missing[0]} is missing")
    if missing:
        return None
    for name, one in named.items() if training else ():
        if not isinstance(one, np.ndarray) or one.dtype.kind != "f":
            raise TypeError(f"{name} must be an array of floats, which training updates, got {_described(one)}")
        if not one.flags.writeable:
            raise ValueError(f"{name} is read-only, and training updates it")
        if overlaps_itself(one):
            raise ValueError(f"{name} must not hold an element more than once: its strides are {one.strides}")
    if training:
        others = {"x": request.arrays["x"], "the result": request.result}
        for name, one in named.items():
            for other, array in (others | ({"running_mean": mean} if name == "running_var" else {})).items():
                if np.may_share_memory(one, array):
                    raise ValueError(f"{name} overlaps {other}, and training updates it")
    return [of_channels(name, one, request.lay.channels) for name, one in named.items()]


def _described(x: Any) -> str:
    return f"an array of {x.dtype}" if isinstance(x, np.ndarray) else type(x).__name__


@knowing_names
@documented
def batch_norm_backward(
    grad: Any,
    x: Any,
    weight: Any = None,
    running_mean: Any = None,
    running_var: Any = None,
    *,
    training: bool = False,
    eps: float = 1e-5,
    axis: int = 1,
    out: Any = None,
) -> tuple[Any, Any, Any]:
    r"""Gradients of `batch_norm` with respect to its input, weight and bias.

    Parameters
    ----------
    grad : array_like
        Gradient with respect to the output of `batch_norm`; broadcasts to the shape of `x`.
    x : array_like
        Its input.
    weight : array_like, optional
        As it was given to the forward function.
    running_mean, running_var : array_like, optional
        Likewise; without `training` they are what was normed by, with it they are not used.
    training : bool, default False
        Whether the statistics were those of `x`, which then depend on it.
    eps : float, default 1e-5
        Is added to the variance; not negative.
    axis : int, default 1
        The axis of the channels.
    <out of a norm's gradient>

    Returns
    -------
    grad_x : ndarray
        Of the shape of `x` and its dtype.
    grad_weight, grad_bias : ndarray
        Of one element for each channel, also where there is no weight or bias.

    <norm errors>

    Notes
    -----
    .. math:: \frac{w_c}{s_c} \left(g - \bar{g} - \hat{x} \tfrac{1}{n} \sum g \hat{x}\right), \quad
        \hat{x} = \frac{x - \mu_c}{s_c}, \ s_c = \sqrt{\sigma_c^2 + \epsilon}

    Without training it is :math:`g w_c / s_c`. One pass over both arrays yields all sums, the statistics among them, and a second
    one writes. Error: at most 8 ULP of the sum of the absolute values of the terms (32 in float64).

    <limits of a norm>

    Examples
    --------
    >>> import fastact as fa
    >>> grad_x, grad_weight, grad_bias = fa.batch_norm_backward([[1.0], [0.0], [0.0]], [[1.0], [2.0], [4.0]], training=True)
    >>> grad_x[:, 0].round(4), grad_weight.round(4), grad_bias
    (array([ 0.2291, -0.3436,  0.1145]), array([-1.069]), array([1.]))
    """
    pixels = {"grad": grad, "x": x}
    numbers = {"weight": weight, "running_mean": running_mean, "running_var": running_var}
    options = {"training": training, "eps": eps, "axis": axis, "out": out}
    found = contained_channels(batch_norm_backward, pixels, numbers, options, 3)
    if found is not NotImplemented:
        return found  # type: ignore[no-any-return]
    training = switch("training", training)
    request = checked(pixels, axis, weight, None, eps, out, images_apart=False)
    running = None if training else _running(running_mean, running_var, request, False)
    gradients: tuple[Any, Any, Any] = quietly(_batch_gradients, request, running)
    return gradients


def _batch_gradients(request: Request, running: Any) -> tuple[Any, Any, Any]:
    lay, arrays = request.lay, request.arrays
    count = lay.images * lay.pixels
    if running is None:
        sums = _of_batch(request)
        mean, variance = sums.mean[0], sums.squares[0] / count
        products = sums.products[0]
        inverse = 1 / np.sqrt(variance + request.eps)
        level, along = sums.slopes[0] / count, products / count * inverse * inverse
    else:
        sums = sums_of(lay, arrays["x"], arrays["grad"]).together(lay.pixels, (0,))
        mean, variance = (np.asarray(one, np.float64) for one in running)
        inverse = 1 / np.sqrt(variance + request.eps)
        products = sums.products[0] + (sums.mean[0] - mean) * sums.slopes[0]
        level = along = np.zeros(lay.channels)
    scale = request.weight * inverse
    numbers = mean, scale, along * scale, level * scale
    write(lay, (arrays["grad"], arrays["x"]), numbers, request.target)
    by_weight, by_bias = products * inverse, sums.slopes[0]
    return request.finished(), by_weight.astype(request.dtype), by_bias.astype(request.dtype)


def _others(x: Any, axis: int) -> tuple[int, ...]:
    return tuple(k for k in range(x.ndim) if k != axis % x.ndim)


def at_channels(x: Any, numbers: Any, axis: int) -> Any:
    """A number for each channel at the dimensions of an array."""
    return np.reshape(numbers, [-1 if k == axis % x.ndim else 1 for k in range(x.ndim)])


def _reference(
    x: Any,
    weight: Any = None,
    bias: Any = None,
    running_mean: Any = None,
    running_var: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    axis: int = 1,
) -> Any:
    others = _others(x, axis)
    mean, variance = (np.mean(x, others), np.var(x, others)) if training else (running_mean, running_var)
    normed = (x - at_channels(x, mean, axis)) / np.sqrt(at_channels(x, variance, axis) + eps)
    normed = normed if weight is None else normed * at_channels(x, weight, axis)
    return normed if bias is None else normed + at_channels(x, bias, axis)


def _reference_backward(
    grad: Any,
    x: Any,
    weight: Any = None,
    running_mean: Any = None,
    running_var: Any = None,
    training: bool = False,
    eps: float = 1e-5,
    axis: int = 1,
) -> Any:
    others = _others(x, axis)
    mean, variance = (np.mean(x, others), np.var(x, others)) if training else (running_mean, running_var)
    deviation = np.sqrt(at_channels(x, variance, axis) + eps)
    normed = (x - at_channels(x, mean, axis)) / deviation
    grad_x = grad
    if training:
        grad_x = grad - np.mean(grad, others, keepdims=True) - normed * np.mean(grad * normed, others, keepdims=True)
    grad_x = grad_x / deviation if weight is None else grad_x / deviation * at_channels(x, weight, axis)
    return grad_x, np.sum(grad * normed, others), np.sum(grad, others)


_WEIGHT = {"weight": ALONG_AXIS}
_RUNNING = {"running_mean": ALONG_AXIS, "running_var": OF_EACH_CLASS}
_TRAINING = {"training": True}
_batch = partial(
    Function,
    home=__name__,
    family="norms",
    axis="one",
    masked=False,
    whole=True,
    pools=True,
    in_memory_order=True,
    double_ulp=32.0,
)
register(
    _batch(
        "batch_norm",
        lambda: batch_norm,
        [X],
        _reference,
        6.0,
        variants=[Variant(_TRAINING), Variant(_TRAINING | _WEIGHT | {"bias": ALONG_AXIS}), Variant(_RUNNING)],
    )
)
register(
    _batch(
        "batch_norm_backward",
        lambda: batch_norm_backward,
        [X, X],
        _reference_backward,
        8.0,
        variants=[Variant(_TRAINING), Variant(_TRAINING | _WEIGHT), Variant(_RUNNING)],
    )
)
