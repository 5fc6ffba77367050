"""Optimizers over lists or dicts of arrays, for networks that are written by hand, and schedules of their learning rates.

An optimizer holds the parameters, which it updates in place, what is kept from step to step, and how many steps there have been.
The steps themselves, such as ``fastact.adam_step``, are functions of arrays, and need none of this.

>>> import numpy as np
>>> from fastact import optim
>>> params = {"weight": np.ones((2, 2)), "bias": np.zeros(2)}
>>> optimizer = optim.Adam(params, lr=optim.WarmUp(optim.CosineDecay(0.1, steps=100), steps=10))
>>> optimizer.step({"weight": np.full((2, 2), 0.5), "bias": np.full(2, -0.5)})
>>> params["bias"].round(4)
array([0.0333, 0.0333])
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastact.calls.checking import at_least_zero, integer, switch
from fastact.calls.widening import widened
from fastact.functions.adagrad import adagrad_step
from fastact.functions.adam import adam_step, adamw_step
from fastact.functions.optimizers import rmsprop_step, sgd_step
from fastact.functions.updates import checked, like

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "CosineDecay", "Optimizer", "RMSprop", "StepDecay", "WarmUp"]

Schedule = Callable[[int], float]
"""The learning rate after so many steps."""


class Optimizer:
    """What all optimizers have in common; each of them is one of the classes below.

    Attributes
    ----------
    params : ndarray, or list or dict of ndarray
        The parameters that were given, and are updated in place.
    steps : int
        The number of steps so far.
    lr : float or callable
        The learning rate, or a schedule of it; may be set.
    state : dict
        What is kept from step to step: by name, arrays in containers like that of `params`, of float32 for parameters of float16
        or bfloat16.
    """

    def __init__(self, params: Any, lr: float | Schedule, options: Mapping[str, Any], kept: Sequence[str]) -> None:
        (arrays,) = checked({"params": widened(params)}, ("params",)).values()
        self.params, self.lr, self.options, self.steps = params, lr, dict(options), 0
        self.state = {name: like(params, [_zeros(x) for x in arrays]) for name in kept}
        self._update(
            [], [], {name: [] for name in kept}, 1, self.learning_rate
        )  # of no arrays, which checks the numbers

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return self.lr(self.steps) if callable(self.lr) else self.lr

    def step(self, grads: Any) -> None:
        """Update all parameters by their gradients.

        Parameters
        ----------
        grads : array_like, or as many in a list or dict
            The gradients, of the shapes of the parameters.

        Raises
        ------
        ValueError, TypeError
            If the step refuses an argument: nothing has been written then, and the step does not count.
        """
        self._update(self.params, grads, self.state, self.steps + 1, self.learning_rate)
        self.steps += 1

    def _update(self, params: Any, grads: Any, state: Mapping[str, Any], number: int, lr: float) -> None:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """What a later run needs to go on, as copies: the number of steps and what is kept, not parameters, options and schedule.

        Returns
        -------
        dict
            ``{"steps": ..., "state": {...}}``.
        """
        return {"steps": self.steps, "state": {name: _copied(given) for name, given in self.state.items()}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was called, of an optimizer of the same kind and of parameters of the same shapes.

        Parameters
        ----------
        state_dict : mapping
            What it returned.

        Raises
        ------
        ValueError
            If something is missing or has another shape. Nothing has been changed then.
        TypeError
            If something is of another type, likewise.
        """
        _mapping("state_dict", state_dict)
        if set(state_dict) != {"steps", "state"}:
            raise ValueError(f"state_dict must have steps and state, got {list(state_dict)}")
        steps, given = integer("steps", state_dict["steps"]), state_dict["state"]
        if steps < 0:
            raise ValueError(f"steps must be at least 0, got {steps}")
        _mapping("state", given)
        if set(given) != set(self.state):
            raise ValueError(f"state must hold {list(self.state)}, got {list(given)}")
        pairs = []
        for name, own in self.state.items():
            both = checked({f"the own {name}": own, name: given[name]}, (f"the own {name}",))
            pairs += list(zip(*both.values(), strict=True))
        for own, x in pairs:
            np.copyto(own, x, casting="same_kind")
        self.steps = steps

    def __repr__(self) -> str:
        shown = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"{type(self).__name__}({len(self)} arrays, lr={self.lr!r}{shown}; {self.steps} steps)"

    def __len__(self) -> int:
        """The number of arrays."""
        return 1 if isinstance(self.params, np.ndarray) else len(self.params)


def _mapping(name: str, given: Any) -> None:
    if not isinstance(given, Mapping):
        raise TypeError(f"{name} must be a mapping, got {type(given).__name__}")


def _zeros(x: Any) -> Any:
    """Zeros that lie as the parameters do, as precise as steps are computed."""
    return np.zeros_like(x, np.result_type(x.dtype, np.float32), subok=False)


def _copied(given: Any) -> Any:
    arrays = given.values() if isinstance(given, Mapping) else given
    return given.copy() if isinstance(given, np.ndarray) else like(given, [x.copy() for x in arrays])


class SGD(Optimizer):
    """Gradient descent by `fastact.sgd_step`, with PyTorch's arguments.

    Parameters
    ----------
    params : ndarray, or list or dict of ndarray
        The parameters: float16, float32 or float64.
    lr : float or callable, default 0.001
        The learning rate, or a schedule.
    momentum, dampening, nesterov, weight_decay
        As of `fastact.sgd_step`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastact import optim
    >>> weight = np.array([1.0, 2.0])
    >>> optimizer = optim.SGD(weight, lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimizer.step([0.5, -0.5])
    >>> weight
    array([0.855, 2.145])
    """

    def __init__(
        self,
        params: Any,
        *,
        lr: float | Schedule = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        options = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov, "weight_decay": weight_decay}
        super().__init__(params, lr, options, ("momentum_buffer",) if momentum else ())

    def _update(self, params: Any, grads: Any, state: Mapping[str, Any], number: int, lr: float) -> None:
        sgd_step(params, grads, **state, lr=lr, first=number == 1, **self.options)


class Adam(Optimizer):
    """Adam by `fastact.adam_step`, with PyTorch's arguments.

    Parameters
    ----------
    params : ndarray, or list or dict of ndarray
        The parameters: float16, float32 or float64.
    lr : float or callable, default 0.001
        The learning rate, or a schedule.
    betas, eps, weight_decay
        As of `fastact.adam_step`.
    amsgrad : bool, default False
        Whether to keep the largest mean of squares, and divide by its root.

    Examples
    --------
    >>> import numpy as np
    >>> from fastact import optim
    >>> weights = [np.array([1.0, 2.0]), np.array([0.0])]
    >>> optim.Adam(weights, lr=0.1).step([np.array([0.5, -4.0]), np.array([1.0])])
    >>> weights[0].round(4)
    array([0.9, 2.1])
    """

    _step = staticmethod(adam_step)

    def __init__(
        self,
        params: Any,
        *,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        kept = ("m", "v", *(("max_v",) if switch("amsgrad", amsgrad) else ()))
        super().__init__(params, lr, {"betas": betas, "eps": eps, "weight_decay": weight_decay}, kept)

    def _update(self, params: Any, grads: Any, state: Mapping[str, Any], number: int, lr: float) -> None:
        self._step(params, grads, **state, step=number, lr=lr, **self.options)


class AdamW(Adam):
    """Adam with weight decay apart from the gradient, by `fastact.adamw_step`; arguments are those of `Adam`.

    Parameters
    ----------
    params : ndarray, or list or dict of ndarray
        The parameters: float16, float32 or float64.
    lr, betas, eps, amsgrad
        As of `Adam`.
    weight_decay : float, default 0.01
        Times the learning rate, is the share of the parameters that is taken off at each step.
    """

    _step = staticmethod(adamw_step)

    def __init__(
        self,
        params: Any,
        *,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)


class RMSprop(Optimizer):
    """RMSprop by `fastact.rmsprop_step`, with PyTorch's arguments.

    Parameters
    ----------
    params : ndarray, or list or dict of ndarray
        The parameters: float16, float32 or float64.
    lr : float or callable, default 0.01
        The learning rate, or a schedule.
    alpha, eps, weight_decay, momentum
        As of `fastact.rmsprop_step`.
    centered : bool, default False
        Whether to divide by the standard deviation of the gradients in place of the root of their mean square.
    """

    def __init__(
        self,
        params: Any,
        *,
        lr: float | Schedule = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        options = {"alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        more = {"grad_avg": switch("centered", centered), "momentum_buffer": momentum}
        super().__init__(params, lr, options, ("square_avg", *(name for name, wanted in more.items() if wanted)))

    def _update(self, params: Any, grads: Any, state: Mapping[str, Any], number: int, lr: float) -> None:  # noqa: ARG002
        rmsprop_step(params, grads, **state, lr=lr, **self.options)


class Adagrad(Optimizer):
    """Adagrad by `fastact.adagrad_step`, with PyTorch's arguments.

    Parameters
    ----------
    params : ndarray, or list or dict of ndarray
        The parameters: float16, float32 or float64.
    lr : float or callable, default 0.01
        The learning rate, or a schedule.
    lr_decay, eps, weight_decay
        As of `fastact.adagrad_step`.
    initial_accumulator_value : float, default 0.0
        What the sums of squares begin with, at least 0.
    """

    def __init__(
        self,
        params: Any,
        *,
        lr: float | Schedule = 1e-2,
        lr_decay: float = 0.0,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
    ) -> None:
        first = at_least_zero("initial_accumulator_value", initial_accumulator_value)
        super().__init__(params, lr, {"lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay}, ("state_sum",))
        sums = self.state["state_sum"]
        for x in [sums] if isinstance(sums, np.ndarray) else sums.values() if isinstance(sums, dict) else sums:
            x[...] = first

    def _update(self, params: Any, grads: Any, state: Mapping[str, Any], number: int, lr: float) -> None:
        adagrad_step(params, grads, **state, step=number, lr=lr, **self.options)


# Schedules: any function of the number of steps so far is one.


def _steps(name: str, value: Any) -> None:
    if integer(name, value, "a number of steps, an integer") < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")


@dataclass(frozen=True)
class StepDecay:
    """A learning rate that is multiplied by a factor each so many steps: PyTorch's ``StepLR``.

    Parameters
    ----------
    lr : float
        The first learning rate.
    every : int
        So many steps have the same one.
    factor : float, default 0.1
        What it is multiplied by then.

    Examples
    --------
    >>> from fastact import optim
    >>> [optim.StepDecay(0.5, every=2, factor=0.5)(steps) for steps in range(5)]
    [0.5, 0.5, 0.25, 0.25, 0.125]
    """

    lr: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what makes no schedule."""
        _steps("every", self.every)
        at_least_zero("lr", self.lr)
        at_least_zero("factor", self.factor)

    def __call__(self, steps: int) -> float:
        """The learning rate after so many steps."""
        return float(self.lr * self.factor ** (steps // self.every))


@dataclass(frozen=True)
class CosineDecay:
    """A learning rate that falls as half a cosine, and stays at the end: PyTorch's ``CosineAnnealingLR``, which would rise again.

    Parameters
    ----------
    lr : float
        The first learning rate.
    steps : int
        After so many it is the least.
    least : float, default 0.0
        The last learning rate.

    References
    ----------
    I. Loshchilov and F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, arXiv:1608.03983.

    Examples
    --------
    >>> from fastact import optim
    >>> [round(optim.CosineDecay(1.0, steps=4)(steps), 4) for steps in range(6)]
    [1.0, 0.8536, 0.5, 0.1464, 0.0, 0.0]
    """

    lr: float
    steps: int
    least: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what makes no schedule."""
        _steps("steps", self.steps)
        at_least_zero("lr", self.lr)
        at_least_zero("least", self.least)

    def __call__(self, steps: int) -> float:
        """The learning rate after so many steps."""
        done = min(steps / self.steps, 1.0)
        return self.least + (self.lr - self.least) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class WarmUp:
    """A learning rate that rises along a line before it takes its course: PyTorch's ``LinearLR`` before another one.

    Parameters
    ----------
    after : float or callable
        The learning rate after the warm-up, or its schedule, which begins then.
    steps : int
        How many steps the warm-up takes.
    start : float, default 1 / 3
        What the first learning rate is of that after the warm-up.

    Examples
    --------
    >>> from fastact import optim
    >>> [optim.WarmUp(1.0, steps=4, start=0.0)(steps) for steps in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """

    after: float | Schedule
    steps: int
    start: float = 1 / 3

    def __post_init__(self) -> None:
        """Refuse what makes no schedule."""
        _steps("steps", self.steps)
        at_least_zero("start", self.start)
        if not callable(self.after):
            at_least_zero("after", self.after)

    def __call__(self, steps: int) -> float:
        """The learning rate after so many steps."""
        share = self.start + (1 - self.start) * min(steps / self.steps, 1.0)
        return share * (self.after(max(0, steps - self.steps)) if callable(self.after) else self.after)
