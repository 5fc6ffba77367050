"""Adagrad: its step."""

from typing import Any

from fastact.calls.checking import knowing_names
from fastact.functions import optimizer_references as references
from fastact.functions.optimizer_steps import decayed, documented_step, numbers, remembered, step_number, step_record
from fastact.functions.record import SHARES, X, register
from fastact.functions.updates import in_order, update
from fastact.kinds.updates import UpdateKernel
from fastact.maths.simd import Scalar, fma, sqrt


def _adagrad(
    param: Scalar, grad: Scalar, state_sum: Scalar, lr: Scalar, weight_decay: Scalar, eps: Scalar
) -> tuple[Scalar, Scalar]:
    T = type(param)
    grad = decayed(grad, param, weight_decay)
    state_sum = fma(grad, grad, state_sum)
    return fma(T(-lr), grad / (sqrt(state_sum) + T(eps)), param), state_sum


ADAGRAD = UpdateKernel(
    "adagrad_step",
    _adagrad,
    "param grad state_sum",
    "param state_sum",
    "lr weight_decay eps",
    state="state_sum",
    cost=0.6,
)


@remembered
def _adagrad_numbers(step: Any, lr: Any, lr_decay: Any, eps: Any, weight_decay: Any) -> Any:
    """The numbers of a step."""
    number = step_number(step)
    given = numbers(lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay)
    given["lr"] /= 1 + (number - 1) * given["lr_decay"]
    return in_order(ADAGRAD, given)


@knowing_names
@documented_step
def adagrad_step(
    param: Any,
    grad: Any,
    state_sum: Any,
    step: int = 1,
    *,
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
) -> Any:
    r"""A step of Adagrad, in place.

    Parameters
    ----------
    <param and grad>
    state_sum : ndarray, or list or dict of ndarray
        The sum of squares of gradients, zeros or more at first: updated in place.
    step : int, default 1
        The number of this step, 1 for the first; it counts only where there is an `lr_decay`.
    lr : float, default 0.01
        The learning rate.
    lr_decay : float, default 0.0
        The learning rate is divided by 1 plus this for each step before.
    eps : float, default 1e-10
        Is added to the root.
    <weight_decay>

    <returns and errors>

    See Also
    --------
    fastact.optim.Adagrad : Keeps the sums, and counts the steps.

    Notes
    -----
    .. math::
        s' = s + g'^2 \qquad \theta' = \theta - \frac{\eta}{1 + (t - 1)\,\gamma} \cdot \frac{g'}{\sqrt{s'} + \epsilon}

    with :math:`g' = g + \lambda\,\theta`. The constant is outside of the root, as PyTorch's is; Keras has it inside, where it is
    the square of ours, and sums that begin at 0.1.

    <precision>

    References
    ----------
    J. Duchi et al., Adaptive Subgradient Methods for Online Learning and Stochastic Optimization, JMLR 12, 2011.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> weight, squares = np.array([1.0, 2.0]), np.zeros(2)
    >>> fa.adagrad_step(weight, np.array([0.5, -4.0]), squares, lr=0.1).round(4)
    array([0.9, 2.1])
    """
    given = _adagrad_numbers(step, lr, lr_decay, eps, weight_decay)
    update(ADAGRAD, {"param": param, "grad": grad, "state_sum": state_sum}, given)
    return param


register(
    step_record(
        adagrad_step, references.adagrad, [X, X, SHARES], {}, {"step": 3, "lr_decay": 0.1, "weight_decay": 0.125}
    )
)
