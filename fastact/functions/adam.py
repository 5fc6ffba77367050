"""Adam: its step, and that with weight decay apart from the gradient."""

from functools import partial
from typing import Any

import numpy as np

from fastact.calls.checking import knowing_names
from fastact.functions import optimizer_references as references
from fastact.functions.docs import documented
from fastact.functions.optimizer_steps import (
    DERIVED,
    OPTIONS,
    PIECES,
    decayed,
    moving_mean,
    numbers,
    remembered,
    step_number,
    step_record,
)
from fastact.functions.record import SHARES, X, register
from fastact.functions.updates import in_order, update
from fastact.kinds.updates import UpdateKernel
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, fma, maximum, select, sqrt


@scalar
def _adam_means(
    param: Scalar,
    grad: Scalar,
    m: Scalar,
    v: Scalar,
    weight_decay: Scalar,
    beta1: Scalar,
    new1: Scalar,
    beta2: Scalar,
    new2: Scalar,
) -> tuple[Scalar, Scalar]:
    """The means of gradients and of their squares."""
    T = type(param)
    grad = decayed(grad, param, weight_decay)
    return moving_mean(m, beta1, T(new1) * grad), moving_mean(v, beta2, T(new2) * grad * grad)


@scalar
def _adam_moved(param: Scalar, m: Scalar, v: Scalar, shrink: Scalar, size: Scalar, root: Scalar, eps: Scalar) -> Scalar:
    """The parameter, after its own decay, moved by the mean over the root of the mean of squares."""
    T = type(param)
    param = select(param - param == T(0), fma(T(-shrink), param, param), param)  # an infinite one remains
    return fma(T(-size), m / fma(sqrt(v), T(root), T(eps)), param)


def _adam(
    param: Scalar,
    grad: Scalar,
    m: Scalar,
    v: Scalar,
    weight_decay: Scalar,
    beta1: Scalar,
    new1: Scalar,
    beta2: Scalar,
    new2: Scalar,
    shrink: Scalar,
    size: Scalar,
    root: Scalar,
    eps: Scalar,
) -> tuple[Scalar, Scalar, Scalar]:
    m, v = _adam_means(param, grad, m, v, weight_decay, beta1, new1, beta2, new2)
    return _adam_moved(param, m, v, shrink, size, root, eps), m, v


def _amsgrad(
    param: Scalar,
    grad: Scalar,
    m: Scalar,
    v: Scalar,
    max_v: Scalar,
    weight_decay: Scalar,
    beta1: Scalar,
    new1: Scalar,
    beta2: Scalar,
    new2: Scalar,
    shrink: Scalar,
    size: Scalar,
    root: Scalar,
    eps: Scalar,
) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    m, v = _adam_means(param, grad, m, v, weight_decay, beta1, new1, beta2, new2)
    max_v = maximum(v, max_v)
    return _adam_moved(param, m, max_v, shrink, size, root, eps), m, v, max_v


ADAM_NUMBERS = "weight_decay beta1 new1 beta2 new2 shrink size root eps"
ADAM = UpdateKernel("adam_step", _adam, "param grad m v", "param m v", ADAM_NUMBERS, state="m v", cost=0.6)
AMSGRAD = UpdateKernel(
    "adam_step.max", _amsgrad, "param grad m v max_v", "param m v max_v", ADAM_NUMBERS, state="m v max_v", cost=0.7
)


@remembered
def _adam_numbers(step: Any, lr: Any, beta1: Any, beta2: Any, eps: Any, weight_decay: Any, decoupled: bool) -> Any:
    """The numbers of a step of Adam, whose weight decay changes the gradient, or the parameter if it is decoupled."""
    number = step_number(step)
    given = numbers(lr=lr, eps=eps, weight_decay=weight_decay)
    kept1, kept2 = (OPTIONS["betas"].checked(f"betas[{i}]", beta) for i, beta in enumerate((beta1, beta2)))
    given["shrink"] = given["lr"] * given["weight_decay"] if decoupled else 0.0
    given["weight_decay"] = 0.0 if decoupled else given["weight_decay"]
    given |= {"beta1": kept1, "new1": 1 - kept1, "beta2": kept2, "new2": 1 - kept2}
    given |= {"size": given["lr"] / (1 - kept1**number), "root": (1 - kept2**number) ** -0.5}
    return in_order(ADAM, given, DERIVED)


def _adam_update(
    arrays: dict[str, Any], max_v: Any, step: Any, lr: Any, betas: Any, eps: Any, weight_decay: Any, decoupled: bool
) -> Any:
    """A step of Adam, with the largest mean of squares if there are arrays for it."""
    if not isinstance(betas, tuple | list | np.ndarray) or len(betas) != 2:
        raise TypeError(f"betas must be two numbers, got {betas!r}")
    given = _adam_numbers(step, lr, *betas, eps, weight_decay, decoupled)
    if max_v is None:
        update(ADAM, arrays, given)
    else:
        update(AMSGRAD, {**arrays, "max_v": max_v}, given)
    return arrays["param"]


ADAM_PIECES = PIECES | {
    "means and step": """\
m : ndarray, or list or dict of ndarray
    The mean of gradients, zeros at first: updated in place.
v : ndarray, or list or dict of ndarray
    The mean of their squares, zeros at first: updated in place.
step : int
    The number of this step, 1 for the first.
lr : float, default 0.001
    The learning rate of this step.
betas : tuple of float, default (0.9, 0.999)
    The shares of both means that are kept, each at least 0 and below 1.
eps : float, default 1e-08
    Is added to the root.""",
    "max_v": """\
max_v : ndarray, or list or dict of ndarray, optional
    The largest mean of squares so far, zeros at first: updated in place, and taken in place of the mean (AMSGrad).""",
    "adam notes": r"""As PyTorch's: the constant is outside of the root, and next to the root of the corrected mean. Keras adds it
to the root of the mean before that is corrected, so its `eps` is ours times :math:`\sqrt{1 - \beta_2^t}`, and is
1e-7 by default.""",
}

_documented_adam = partial(documented, pieces=ADAM_PIECES)


@knowing_names
@_documented_adam
def adam_step(
    param: Any,
    grad: Any,
    m: Any,
    v: Any,
    step: int,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    max_v: Any = None,
) -> Any:
    r"""A step of Adam, in place.

    Parameters
    ----------
    <param and grad>
    <means and step>
    <weight_decay>
    <max_v>

    <returns and errors>

    See Also
    --------
    adamw_step : With weight decay apart from the gradient.
    fastact.optim.Adam : Keeps the means, and counts the steps.

    Notes
    -----
    .. math::
        g' &= g + \lambda\,\theta \\
        m' &= \beta_1\,m + (1 - \beta_1)\,g' \qquad v' = \beta_2\,v + (1 - \beta_2)\,g'^2 \\
        \theta' &= \theta - \frac{\eta}{1 - \beta_1^t} \cdot \frac{m'}{\sqrt{v' / (1 - \beta_2^t)} + \epsilon}

    <adam notes>

    <precision>

    References
    ----------
    D. P. Kingma and J. Ba, Adam: A Method for Stochastic Optimization, arXiv:1412.6980.
    S. J. Reddi et al., On the Convergence of Adam and Beyond, arXiv:1904.09237 (AMSGrad).

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> weight, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> fa.adam_step(weight, np.array([0.5, -4.0]), m, v, 1, lr=0.1).round(4)
    array([0.9, 2.1])
    """
    arrays = {"param": param, "grad": grad, "m": m, "v": v}
    return _adam_update(arrays, max_v, step, lr, betas, eps, weight_decay, decoupled=False)


@knowing_names
@_documented_adam
def adamw_step(
    param: Any,
    grad: Any,
    m: Any,
    v: Any,
    step: int,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    max_v: Any = None,
) -> Any:
    r"""A step of AdamW, whose weight decay is apart from the gradient, in place.

    Parameters
    ----------
    <param and grad>
    <means and step>
    weight_decay : float, default 0.01
        Times `lr`, is the share of the parameter that is taken off.
    <max_v>

    <returns and errors>

    See Also
    --------
    adam_step : With weight decay in the gradient.
    fastact.optim.AdamW : Keeps the means, and counts the steps.

    Notes
    -----
    .. math::
        m' &= \beta_1\,m + (1 - \beta_1)\,g \qquad v' = \beta_2\,v + (1 - \beta_2)\,g^2 \\
        \theta' &= (1 - \eta\,\lambda)\,\theta
                  - \frac{\eta}{1 - \beta_1^t} \cdot \frac{m'}{\sqrt{v' / (1 - \beta_2^t)} + \epsilon}

    <adam notes>

    <precision>

    References
    ----------
    I. Loshchilov and F. Hutter, Decoupled Weight Decay Regularization, arXiv:1711.05101.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> weight, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> fa.adamw_step(weight, np.array([0.5, -4.0]), m, v, 1, lr=0.1, weight_decay=0.5).round(4)
    array([0.85, 2.  ])
    """
    arrays = {"param": param, "grad": grad, "m": m, "v": v}
    return _adam_update(arrays, max_v, step, lr, betas, eps, weight_decay, decoupled=True)


WAYS: tuple[dict[str, Any], ...] = ({"step": 3}, {"step": 3, "weight_decay": 0.125, "max_v": SHARES})
register(step_record(adam_step, references.adam, [X, X, X, SHARES], *WAYS, optional=("max_v",)))
register(step_record(adamw_step, references.adamw, [X, X, X, SHARES], *WAYS, optional=("max_v",)))
