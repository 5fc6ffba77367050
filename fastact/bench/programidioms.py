"""What programs compute with: the best that careful users of NumPy write, and fastact's functions for the same.

Results go to arrays that exist already, no expression is computed twice, and float32 stays float32.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import peers, rowidioms

Array = Any
Value = Callable[[Array, Array, Any], object]
"""``value(x, y, spare)`` writes f(x) to ``y``. ``spare`` is two arrays like ``x``, in which it may leave what the gradient needs
again; where no gradient follows, both may be ``y`` itself."""
Gradient = Callable[[Array, Array, Array, Any], object]
"""``gradient(grad, x, y, spare)`` multiplies ``grad`` by f'(x). It may write over ``y`` and ``spare``."""


@dataclass(frozen=True)
class Maths:
    """The functions in which the two versions of a program differ."""

    gelu: Value
    gelu_backward: Gradient
    gelu_tanh: Value
    leaky_relu: Value
    sigmoid: Value
    sigmoid_backward: Gradient
    tanh: Value
    tanh_backward: Gradient
    softmax: Callable[[Array, Array], object]
    log_softmax: Value
    sigmoid_and_log: Callable[[Array, Array, Array], object]
    """Of ``x``, to the second array and the third."""
    cross_entropy_with_grad: Callable[[Array, Array], Any]
    """Returns the mean loss for logits and labels; the gradient overwrites the logits."""


def has_erf() -> bool:
    """Whether SciPy is there for NumPy's ``gelu``; without it ``gelu`` is the form with tanh, in both versions."""
    return peers.module("scipy.special") is not None


def numpy_maths() -> Maths:
    """NumPy's version, with SciPy's error function."""
    return Maths(
        gelu=_gelu if has_erf() else _gelu_tanh,
        gelu_backward=_gelu_backward if has_erf() else _gelu_tanh_backward,
        gelu_tanh=_gelu_tanh,
        leaky_relu=_leaky_relu,
        sigmoid=_sigmoid,
        sigmoid_backward=_sigmoid_backward,
        tanh=lambda x, y, spare: np.tanh(x, out=y),
        tanh_backward=_tanh_backward,
        softmax=lambda x, y: rowidioms.softmax(x, out=y),
        log_softmax=_log_softmax,
        sigmoid_and_log=_sigmoid_and_log,
        cross_entropy_with_grad=lambda x, labels: rowidioms.cross_entropy_with_grad(x, labels, out=x)[0],
    )


def fastact_maths() -> Maths:
    """One call for each value and one for each gradient, which keeps nothing."""
    gelu = "gelu" if has_erf() else "gelu_tanh"
    softmax, cross_entropy = _function("softmax"), _function("cross_entropy_with_grad")
    sigmoid, log_sigmoid = _value("sigmoid"), _value("log_sigmoid")

    def sigmoid_and_log(x: Array, y: Array, log_y: Array) -> None:
        sigmoid(x, y, None)
        log_sigmoid(x, log_y, None)

    return Maths(
        gelu=_value(gelu),
        gelu_backward=_gradient(gelu),
        gelu_tanh=_value("gelu_tanh"),
        leaky_relu=_value("leaky_relu"),
        sigmoid=sigmoid,
        sigmoid_backward=_gradient("sigmoid"),
        tanh=_value("tanh"),
        tanh_backward=_gradient("tanh"),
        softmax=lambda x, y: softmax(x, out=y),
        log_softmax=_value("log_softmax"),
        sigmoid_and_log=sigmoid_and_log,
        cross_entropy_with_grad=lambda x, labels: cross_entropy(x, labels, out=x)[0],
    )


def _value(name: str) -> Value:
    function = _function(name)
    return lambda x, y, spare: function(x, out=y)


def _gradient(name: str) -> Gradient:
    function = _function(f"{name}_backward")
    return lambda grad, x, y, spare: function(grad, x, out=grad)


def _function(name: str) -> Any:
    """A function of fastact; one that raises ``NotImplementedError`` where an older fastact lacks it."""
    import fastact

    def missing(*_: Any, **__: Any) -> None:
        raise NotImplementedError(f"this commit has no {name}")

    return getattr(fastact, name, missing)


def _gelu(x: Array, y: Array, spare: Any) -> None:
    """``x P(x)``, with the normal distribution function ``P(x) = (1 + erf(x / sqrt(2))) / 2``, which is kept."""
    cdf = np.multiply(x, math.sqrt(0.5), out=spare[0])
    peers.module("scipy.special").erf(cdf, out=cdf)
    cdf += 1
    cdf *= 0.5
    np.multiply(x, cdf, out=y)


def _gelu_backward(grad: Array, x: Array, y: Array, spare: Any) -> None:
    """``P(x) + x p(x)``, with the normal density ``p(x) = exp(-x**2 / 2) / sqrt(2 pi)``."""
    cdf, slope = spare
    np.square(x, out=slope)
    slope *= -0.5
    np.exp(slope, out=slope)
    slope *= 1 / math.sqrt(2 * math.pi)
    slope *= x
    slope += cdf
    grad *= slope


FACTOR, CUBIC = math.sqrt(2 / math.pi), 0.044715


def _gelu_tanh(x: Array, y: Array, spare: Any) -> None:
    """``x (1 + t) / 2``, with ``t = tanh(FACTOR (x + CUBIC x**3))``, which is kept."""
    t = np.square(x, out=spare[0])
    t *= FACTOR * CUBIC
    t += FACTOR
    t *= x
    np.tanh(t, out=t)
    np.add(t, 1, out=y)
    y *= x
    y *= 0.5


def _gelu_tanh_backward(grad: Array, x: Array, y: Array, spare: Any) -> None:
    """``(1 + t + x (1 - t**2) FACTOR (1 + 3 CUBIC x**2)) / 2``."""
    t, slope = spare
    np.square(x, out=slope)
    slope *= 3 * FACTOR * CUBIC
    slope += FACTOR
    slope *= x
    np.square(t, out=y)
    np.subtract(1, y, out=y)
    slope *= y
    slope += t
    slope += 1
    slope *= 0.5
    grad *= slope


def _leaky_relu(x: Array, y: Array, spare: Any) -> None:
    np.multiply(x, 0.01, out=y)
    np.maximum(x, y, out=y)


def _sigmoid(x: Array, y: Array, spare: Any) -> None:
    """``(1 + tanh(x / 2)) / 2``: NumPy has a fast tanh, and it never overflows."""
    np.multiply(x, 0.5, out=y)
    np.tanh(y, out=y)
    y += 1
    y *= 0.5


def _sigmoid_backward(grad: Array, x: Array, y: Array, spare: Any) -> None:
    """``y (1 - y)``."""
    grad *= y
    np.subtract(1, y, out=y)
    grad *= y


def _tanh_backward(grad: Array, x: Array, y: Array, spare: Any) -> None:
    """``1 - y**2``."""
    np.square(y, out=y)
    np.subtract(1, y, out=y)
    grad *= y


def _sigmoid_and_log(x: Array, y: Array, log_y: Array) -> None:
    """``1 / (1 + exp(-x))``: of this form the logarithm is right far below zero too, and takes no exponential of its own."""
    np.negative(x, out=y)
    np.exp(y, out=y)
    y += 1
    np.reciprocal(y, out=y)
    np.log(y, out=log_y)


def _log_softmax(x: Array, y: Array, spare: Any) -> None:
    np.subtract(x, x.max(-1, keepdims=True), out=y)
    exponentials = np.exp(y, out=spare[0])
    y -= np.log(exponentials.sum(-1, keepdims=True))
