"""What all steps of optimizers share: the numbers that they take, the decay of weights, docstrings, records."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from fastact.calls.checking import integer
from fastact.functions.docs import documented
from fastact.functions.options import Option
from fastact.functions.record import Function, Operand, Variant
from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, fma, select

AT_LEAST_0 = "a finite number of at least 0"
BELOW_1 = "a number of at least 0 and below 1"
MOST_STEPS = 2**53
"""From there on, a float does not tell a step from the next one."""


def _at_least_0(default: float, meaning: str) -> Option:
    return Option(default, meaning, AT_LEAST_0, lambda x: 0 <= x < np.inf)


def _below_1(default: float, meaning: str) -> Option:
    return Option(default, meaning, BELOW_1, lambda x: 0 <= x < 1)


OPTIONS = {
    "lr": _at_least_0(1e-3, "The learning rate of this step."),
    "lr_decay": _at_least_0(0.0, "What `lr` is divided by is 1 plus this for each step before."),
    "weight_decay": _at_least_0(0.0, "Times the parameter, is added to its gradient."),
    "momentum": _at_least_0(0.0, "The share of the last direction that is kept."),
    "dampening": Option(0.0, "The share of the gradient that is left out, from the second step on."),
    "alpha": _below_1(0.99, "The share of the mean of squares that is kept."),
    "eps": _at_least_0(1e-8, "Is added to the root."),
    "betas": _below_1(0.9, "The shares of both means that are kept."),
}

DERIVED = {
    "kept": "momentum",
    "ahead": "momentum",
    "new": "1 - dampening",
    "shrink": "lr * weight_decay",
    "size": "lr / (1 - betas[0]**step)",
}
"""From what arguments the numbers of kernels follow that are none themselves."""

PIECES = {
    "param and grad": """\
param : ndarray, or list or dict of ndarray
    The parameters, float16, float32 or float64 of any layout: updated in place. They must not overlap with any other array.
grad : array_like, or as many in a list or dict
    Their gradients, of the same shapes.""",
    "weight_decay": """\
weight_decay : float, default 0.0
    Times the parameter, is added to its gradient: the gradient of an L2 penalty.""",
    "returns and errors": """\
Returns
-------
ndarray, or list or dict of ndarray
    `param` itself.

Raises
------
ValueError
    If a number is not allowed or infinite in the precision that is computed in, a shape is not allowed, an array is read-only,
    or one that is written overlaps with another. Nothing has been written then, to any array of a list.
TypeError
    If an argument has a type or dtype that is not allowed; what is written must be an array, and not a masked one.""",
    "momentum_buffer": """\
momentum_buffer : ndarray, or list or dict of ndarray, optional
    What the momentum is kept in, zeros at first; needed for a `momentum` other than 0, and updated in place. With a `momentum` of 0
    it is checked alike, but neither read nor written.""",
    "precision": """\
Halves are computed in float32, and what is kept from step to step may be, and should be, float32 beside them: squares of small
gradients are no float16. Operands of several dtypes are computed in the widest of them.

Error: at most 4 ULP of the largest term.""",
}
"""Parts of docstrings, by the name that these give in angle brackets."""

documented_step = partial(documented, pieces=PIECES)


def numbers(**given: Any) -> dict[str, float]:
    """Options as numbers; an error says what is allowed."""
    return {name: OPTIONS[name].checked(name, value) for name, value in given.items()}


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of numbers that remembers what it returns: steps of many arrays, and of many steps, take the same."""
    known = lru_cache(maxsize=256, typed=True)(function)

    def call(*given: Any) -> Any:
        try:
            return known(*given)
        except TypeError:  # of what has no hash, such as an array of one number, or what is no number
            return function(*given)

    return call


def step_number(step: Any) -> int:
    """The number of a step, counted from 1."""
    found = integer("step", step, "the number of this step, an integer")
    if found < 1:
        raise ValueError(f"step must be at least 1, which the first one is, got {found}")
    return min(found, MOST_STEPS)


@scalar
def decayed(grad: Scalar, param: Scalar, weight_decay: Scalar) -> Scalar:
    """The gradient with that of an L2 penalty; without one the parameter does not count, be it infinite."""
    return select(weight_decay == 0.0, grad, fma(type(param)(weight_decay), param, grad))


@scalar
def moving_mean(mean: Scalar, kept: Scalar, new: Scalar) -> Scalar:
    """A moving mean, to which its share has been given to what is new."""
    return fma(type(mean)(kept), mean, new)


def step_record(
    function: Callable[..., Any],
    reference: Callable[..., Any],
    operands: Sequence[Operand],
    *ways: Mapping[str, Any],
    optional: Sequence[str] = (),
) -> Function:
    """The record of a step, and ways to call it; all arrays but the gradient are written, those too that are optional."""
    return Function(
        function.__name__,
        make=lambda: function,
        operands=operands,
        reference=reference,
        ulp=4.0,
        double_ulp=4.0,
        home=function.__module__,
        family="optimizers",
        variants=list(map(Variant, ways)),
        written=(),
        updated=(0, *range(2, len(operands)), *optional),
        masked=False,
    )
