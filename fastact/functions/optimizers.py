"""Steps of optimizers: gradient descent and RMSprop, in place and in one pass over memory; others have modules of their own.

A step is a formula of what becomes of an element, and of what is kept of it from step to step. Numbers that are the same for all
elements are computed once, in float64.
"""

from collections.abc import Callable
from typing import Any

from fastact.calls.checking import knowing_names, switch
from fastact.functions import optimizer_references as references
from fastact.functions.optimizer_steps import (
    DERIVED,
    decayed,
    documented_step,
    moving_mean,
    numbers,
    remembered,
    step_record,
)
from fastact.functions.record import SHARES, X, register
from fastact.functions.updates import in_order, update
from fastact.kinds.updates import UpdateKernel
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, fma, maximum, select, sqrt

# Gradient descent.


def _sgd(param: Scalar, grad: Scalar, lr: Scalar, weight_decay: Scalar) -> Scalar:
    return fma(type(param)(-lr), decayed(grad, param, weight_decay), param)


def _sgd_momentum(
    param: Scalar,
    grad: Scalar,
    momentum_buffer: Scalar,
    lr: Scalar,
    weight_decay: Scalar,
    kept: Scalar,
    new: Scalar,
    ahead: Scalar,
) -> tuple[Scalar, Scalar]:
    T = type(param)
    grad = decayed(grad, param, weight_decay)
    buffer = select(kept == 0.0, T(new) * grad, fma(T(kept), momentum_buffer, T(new) * grad))
    direction = select(ahead == 0.0, buffer, fma(T(ahead), buffer, grad))
    return fma(T(-lr), direction, param), buffer


SGD = UpdateKernel("sgd_step", _sgd, "param grad", "param", "lr weight_decay", cost=0.15)
SGD_MOMENTUM = UpdateKernel(
    "sgd_step.momentum",
    _sgd_momentum,
    "param grad momentum_buffer",
    "param momentum_buffer",
    "lr weight_decay kept new ahead",
    state="momentum_buffer",
    cost=0.2,
)


@remembered
def _sgd_numbers(
    lr: Any, momentum: Any, dampening: Any, nesterov: Any, weight_decay: Any, first: Any
) -> tuple[UpdateKernel, Any]:
    """The kernel of a step, and its numbers."""
    given = numbers(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay)
    ahead, fresh = switch("nesterov", nesterov), switch("first", first)
    if ahead and (not given["momentum"] or given["dampening"]):
        raise ValueError(
            f"nesterov must have a momentum above 0 and no dampening, got momentum={momentum}, dampening={dampening}"
        )
    given["kept"] = 0.0 if fresh else given["momentum"]
    given["new"] = 1.0 if fresh else 1.0 - given["dampening"]
    given["ahead"] = given["momentum"] if ahead else 0.0
    kernel = SGD_MOMENTUM if given["momentum"] else SGD
    return kernel, in_order(kernel, given, DERIVED)


@knowing_names
@documented_step
def sgd_step(
    param: Any,
    grad: Any,
    momentum_buffer: Any = None,
    *,
    lr: float = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    first: bool = False,
) -> Any:
    r"""A step of gradient descent, with momentum if there is a buffer for it, in place.

    Parameters
    ----------
    <param and grad>
    <momentum_buffer>
    lr : float, default 0.001
        The learning rate of this step.
    momentum : float, default 0.0
        The share of the last direction that is kept.
    dampening : float, default 0.0
        The share of the gradient that is left out of the buffer.
    nesterov : bool, default False
        Whether to look ahead by one more step of the momentum, which must be above 0, and the dampening 0.
    <weight_decay>
    first : bool, default False
        Whether the buffer holds nothing yet, and takes the gradient without `dampening`, as PyTorch's first step does.

    <returns and errors>

    See Also
    --------
    fastact.optim.SGD : Keeps the buffers, and counts the steps.

    Notes
    -----
    .. math::
        g' &= g + \lambda\,\theta \\
        b' &= \mu\,b + (1 - \tau)\,g' \\
        \theta' &= \theta - \eta\,b' \quad\text{or, by Nesterov,}\quad \theta - \eta\,(g' + \mu\,b')

    As PyTorch's; Keras has the learning rate in the buffer, which differs once that changes.

    <precision>

    References
    ----------
    I. Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> weight, buffer = np.array([1.0, 2.0]), np.zeros(2)
    >>> fa.sgd_step(weight, np.array([0.5, -0.5]), buffer, lr=0.1, momentum=0.9)
    array([0.95, 2.05])
    >>> fa.sgd_step(weight, np.array([0.5, -0.5]), buffer, lr=0.1, momentum=0.9)
    array([0.855, 2.145])
    """
    kernel, given = _sgd_numbers(lr, momentum, dampening, nesterov, weight_decay, first)
    arrays, moves = {"param": param, "grad": grad}, kernel is SGD_MOMENTUM
    used, unused = _buffers(moves, momentum, momentum_buffer)
    update(kernel, arrays | used, given, unused)
    return param


def _buffers(moves: bool, momentum: Any, momentum_buffer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The buffer of a momentum where it is used, and where it is given all the same."""
    if moves and momentum_buffer is None:
        raise ValueError(f"momentum_buffer must be given for a momentum of {momentum}")
    given = {} if momentum_buffer is None else {"momentum_buffer": momentum_buffer}
    return (given, {}) if moves else ({}, given)


# RMSprop.


@scalar
def _squares(param: Scalar, grad: Scalar, square_avg: Scalar, weight_decay: Scalar, alpha: Scalar, new: Scalar) -> Any:
    """The gradient with its decay, and the mean of squares."""
    grad = decayed(grad, param, weight_decay)
    return grad, moving_mean(square_avg, alpha, type(param)(new) * grad * grad)


@scalar
def _variance(grad: Scalar, square_avg: Scalar, grad_avg: Scalar, alpha: Scalar, new: Scalar) -> tuple[Scalar, Scalar]:
    """The mean of gradients, and the mean of squares without its square, which rounding must not make negative."""
    T = type(grad)
    mean = moving_mean(grad_avg, alpha, T(new) * grad)
    return mean, maximum(fma(-mean, mean, square_avg), T(0))


def _rmsprop(
    param: Scalar,
    grad: Scalar,
    square_avg: Scalar,
    lr: Scalar,
    weight_decay: Scalar,
    alpha: Scalar,
    new: Scalar,
    eps: Scalar,
    momentum: Scalar,
) -> tuple[Scalar, Scalar]:
    T = type(param)
    grad, square_avg = _squares(param, grad, square_avg, weight_decay, alpha, new)
    return fma(T(-lr), grad / (sqrt(square_avg) + T(eps)), param), square_avg


def _rmsprop_momentum(
    param: Scalar,
    grad: Scalar,
    square_avg: Scalar,
    momentum_buffer: Scalar,
    lr: Scalar,
    weight_decay: Scalar,
    alpha: Scalar,
    new: Scalar,
    eps: Scalar,
    momentum: Scalar,
) -> tuple[Scalar, Scalar, Scalar]:
    T = type(param)
    grad, square_avg = _squares(param, grad, square_avg, weight_decay, alpha, new)
    buffer = moving_mean(momentum_buffer, momentum, grad / (sqrt(square_avg) + T(eps)))
    return fma(T(-lr), buffer, param), square_avg, buffer


def _rmsprop_centered(
    param: Scalar,
    grad: Scalar,
    square_avg: Scalar,
    grad_avg: Scalar,
    lr: Scalar,
    weight_decay: Scalar,
    alpha: Scalar,
    new: Scalar,
    eps: Scalar,
    momentum: Scalar,
) -> tuple[Scalar, Scalar, Scalar]:
    T = type(param)
    grad, square_avg = _squares(param, grad, square_avg, weight_decay, alpha, new)
    mean, variance = _variance(grad, square_avg, grad_avg, alpha, new)
    return fma(T(-lr), grad / (sqrt(variance) + T(eps)), param), square_avg, mean


def _rmsprop_centered_momentum(
    param: Scalar,
    grad: Scalar,
    square_avg: Scalar,
    grad_avg: Scalar,
    momentum_buffer: Scalar,
    lr: Scalar,
    weight_decay: Scalar,
    alpha: Scalar,
    new: Scalar,
    eps: Scalar,
    momentum: Scalar,
) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    T = type(param)
    grad, square_avg = _squares(param, grad, square_avg, weight_decay, alpha, new)
    mean, variance = _variance(grad, square_avg, grad_avg, alpha, new)
    buffer = moving_mean(momentum_buffer, momentum, grad / (sqrt(variance) + T(eps)))
    return fma(T(-lr), buffer, param), square_avg, mean, buffer


def _rmsprop_kernel(name: str, formula: Callable[..., Any], *more: str) -> UpdateKernel:
    """The kernel of a step that keeps more than the mean of squares."""
    state = " ".join(("square_avg", *more))
    numbers = "lr weight_decay alpha new eps momentum"
    return UpdateKernel(name, formula, f"param grad {state}", f"param {state}", numbers, state=state, cost=0.6)


RMSPROP = {
    (): _rmsprop_kernel("rmsprop_step", _rmsprop),
    ("momentum_buffer",): _rmsprop_kernel("rmsprop_step.momentum", _rmsprop_momentum, "momentum_buffer"),
    ("grad_avg",): _rmsprop_kernel("rmsprop_step.centered", _rmsprop_centered, "grad_avg"),
    ("grad_avg", "momentum_buffer"): _rmsprop_kernel(
        "rmsprop_step.centered.momentum", _rmsprop_centered_momentum, "grad_avg", "momentum_buffer"
    ),
}
"""By what is kept besides."""


@remembered
def _rmsprop_numbers(lr: Any, alpha: Any, eps: Any, weight_decay: Any, momentum: Any) -> tuple[bool, Any]:
    """Whether there is a momentum, and the numbers of a step."""
    given = numbers(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)
    given["new"] = 1 - given["alpha"]
    return given["momentum"] != 0, in_order(RMSPROP[()], given)


@knowing_names
@documented_step
def rmsprop_step(
    param: Any,
    grad: Any,
    square_avg: Any,
    *,
    grad_avg: Any = None,
    momentum_buffer: Any = None,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
) -> Any:
    r"""A step of RMSprop, centered or with momentum if there are arrays for it, in place.

    Parameters
    ----------
    <param and grad>
    square_avg : ndarray, or list or dict of ndarray
        The mean of squares of gradients, zeros at first: updated in place.
    grad_avg : ndarray, or list or dict of ndarray, optional
        The mean of gradients, zeros at first: updated in place, and its square is taken off the mean of squares (centered).
    <momentum_buffer>
    lr : float, default 0.01
        The learning rate of this step.
    alpha : float, default 0.99
        The share of both means that is kept, at least 0 and below 1.
    eps : float, default 1e-08
        Is added to the root.
    <weight_decay>
    momentum : float, default 0.0
        The share of the last direction that is kept.

    <returns and errors>

    See Also
    --------
    fastact.optim.RMSprop : Keeps the means.

    Notes
    -----
    .. math::
        v' &= \alpha\,v + (1 - \alpha)\,g'^2 \qquad m' = \alpha\,m + (1 - \alpha)\,g' \\
        b' &= \mu\,b + \frac{g'}{\sqrt{v' - m'^2} + \epsilon} \qquad \theta' = \theta - \eta\,b'

    with :math:`g' = g + \lambda\,\theta`, and without :math:`m'^2` unless it is centered; a difference that rounding makes negative
    is taken for 0, where PyTorch's is NaN. The constant is outside of the root, as PyTorch's is; Keras has it inside, where it is
    the square of ours, and `rho` of 0.9 in place of `alpha`.

    <precision>

    References
    ----------
    T. Tieleman and G. Hinton, Lecture 6.5: RMSprop, COURSERA: Neural Networks for Machine Learning, 2012.
    A. Graves, Generating Sequences With Recurrent Neural Networks, arXiv:1308.0850 (centered).

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> weight, squares = np.array([1.0, 2.0]), np.zeros(2)
    >>> fa.rmsprop_step(weight, np.array([0.5, -4.0]), squares).round(4)
    array([0.9, 2.1])
    >>> squares
    array([0.0025, 0.16  ])
    """
    moves, given = _rmsprop_numbers(lr, alpha, eps, weight_decay, momentum)
    used, unused = _buffers(moves, momentum, momentum_buffer)
    more = ({"grad_avg": grad_avg} if grad_avg is not None else {}) | used
    update(RMSPROP[tuple(more)], {"param": param, "grad": grad, "square_avg": square_avg, **more}, given, unused)
    return param


register(
    step_record(
        sgd_step,
        references.sgd,
        [X, X, X],
        {"momentum": 0.9},
        {},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.125},
        {"momentum": 0.9, "dampening": 0.5, "first": True},
    )
)
register(
    step_record(
        rmsprop_step,
        references.rmsprop,
        [X, X, SHARES],
        {},
        {"momentum": 0.9, "momentum_buffer": X, "weight_decay": 0.125},
        {"grad_avg": SHARES},
        {"grad_avg": SHARES, "momentum": 0.9, "momentum_buffer": X},
        optional=("grad_avg", "momentum_buffer"),
    )
)
