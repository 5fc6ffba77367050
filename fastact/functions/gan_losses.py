"""Losses of generative adversarial networks: what the discriminator, and the generator, are to make small."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastact.calls.checking import knowing_names
from fastact.functions.docs import documented
from fastact.functions.gan_criteria import KINDS
from fastact.functions.gan_elements import adversarial_loss
from fastact.functions.record import SHARES, Function, Variant, X, register


@knowing_names
@documented
def gan_discriminator_loss(
    real: Any,
    fake: Any,
    *,
    kind: str = "non_saturating",
    label_smoothing: float = 0.0,
    real_weight: Any = None,
    fake_weight: Any = None,
    reduction: str = "mean",
    dtype: Any = None,
) -> Any:
    r"""Loss of a generative adversarial network's discriminator, from its outputs for real and for generated samples.

    Parameters
    ----------
    <real to reduction of a discriminator>

    Returns
    -------
    scalar or ndarray
        Of `dtype`; with ``reduction="none"`` of the shape of `real`.

    <gan errors>

    Notes
    -----
    Reductions of the losses of outputs ``r``, for real samples, and of ``f``, for generated ones, are added. They are, by `kind`,

    .. math:: -\ln \sigma(r),\ -\ln \sigma(-f)

    if it is "non_saturating" or "saturating", in which discriminators do not differ,

    .. math:: \max(1 - r, 0),\ \max(1 + f, 0)

    if it is "hinge",

    .. math:: \tfrac{1}{2} (r - 1)^2,\ \tfrac{1}{2} f^2

    if it is "least_squares", and, if it is "wasserstein",

    .. math:: -r,\ f

    With `label_smoothing` those of real samples are

    .. math:: -(1 - s) \ln \sigma(r) - s \ln \sigma(-r),\quad \tfrac{1}{2} (r - 1 + s)^2

    Error: at most 4 ULP of each element's loss. Up to 1024 losses are added in the precision of their operand, or in float32 if
    that is float16, and the sums in float64, in an order that neither layout nor threads change.

    The first two kinds are those of PyTorch's ``binary_cross_entropy_with_logits`` with targets of 1 and 0.

    <gan papers>

    Examples
    --------
    >>> import fastact as fa
    >>> real, fake = [2.0, -1.0], [-3.0, 0.5, 1.0]
    >>> round(float(fa.gan_discriminator_loss(real, fake)), 4)
    1.4987
    >>> round(float(fa.gan_discriminator_loss(real, fake, kind="hinge")), 4)
    2.1667
    """
    operands = {"real": real, "fake": fake, "real_weight": real_weight, "fake_weight": fake_weight}
    options = {"kind": kind, "label_smoothing": label_smoothing, "reduction": reduction, "dtype": dtype}
    return adversarial_loss(gan_discriminator_loss, operands, options)


@knowing_names
@documented
def gan_discriminator_loss_with_grad(
    real: Any,
    fake: Any,
    *,
    kind: str = "non_saturating",
    label_smoothing: float = 0.0,
    real_weight: Any = None,
    fake_weight: Any = None,
    reduction: str = "mean",
    dtype: Any = None,
    upstream: Any = None,
    out: Any = None,
) -> Any:
    r"""`gan_discriminator_loss` and its gradients with respect to `real` and `fake`, in one pass over each.

    Parameters
    ----------
    <real to reduction of a discriminator>
    upstream : float or array_like, optional
        The gradient with respect to the loss, of its shape; 1 by default.
    out : tuple of ndarray or None, optional
        Two arrays for the gradients, which do not overlap, each of its operand's shape and dtype; may be any operands.

    Returns
    -------
    loss : scalar or ndarray
        Of `dtype`; with ``reduction="none"`` of the shape of `real`.
    grad_real : ndarray
        Of the shape and dtype of `real`.
    grad_fake : ndarray
        Of the shape and dtype of `fake`.

    <gan errors>

    Notes
    -----
    The derivatives of the losses of `gan_discriminator_loss` by outputs ``r``, for real samples, and ``f``, for generated ones, are

    .. math:: -\sigma(-r),\ \sigma(f)

    of the kinds "non_saturating" and "saturating",

    .. math:: r < 1\ ?\ {-1} : 0,\quad f > -1\ ?\ 1 : 0

    of "hinge",

    .. math:: r - 1,\ f

    of "least_squares", and -1 and 1 of "wasserstein". At the kinks of "hinge", ``r = 1`` and ``f = -1``, they are 0. A mean divides
    them by the number of elements of their operand. With `label_smoothing` those by ``r`` are

    .. math:: s\,\sigma(r) - (1 - s)\,\sigma(-r),\quad r - 1 + s

    Error: at most 4 ULP of each element's loss, and of the largest term of each gradient.

    <gan papers>

    Examples
    --------
    >>> import fastact as fa
    >>> loss, grad_real, grad_fake = fa.gan_discriminator_loss_with_grad([2.0, -1.0], [-3.0, 0.5, 1.0])
    >>> round(float(loss), 4)
    1.4987
    >>> grad_real.round(4), grad_fake.round(4)
    (array([-0.0596, -0.3655]), array([0.0158, 0.2075, 0.2437]))
    """
    operands = {
        "real": real,
        "fake": fake,
        "real_weight": real_weight,
        "fake_weight": fake_weight,
        "upstream": upstream,
    }
    options = {"kind": kind, "label_smoothing": label_smoothing, "reduction": reduction, "dtype": dtype, "out": out}
    return adversarial_loss(gan_discriminator_loss_with_grad, operands, options)


@knowing_names
@documented
def gan_generator_loss(
    fake: Any,
    *,
    kind: str = "non_saturating",
    weight: Any = None,
    reduction: str = "mean",
    dtype: Any = None,
) -> Any:
    r"""Loss of a generative adversarial network's generator, from the discriminator's outputs for generated samples.

    Parameters
    ----------
    <fake to dtype of a generator>

    Returns
    -------
    scalar or ndarray
        Of `dtype`; with ``reduction="none"`` of the shape of `fake`.

    <gan errors>

    Notes
    -----
    By `kind` the loss of an output ``f`` is, of which the first is what networks are usually trained by, as the second, that of the
    minimax game, changes little where the discriminator is right,

    .. math:: -\ln \sigma(f)

    of "non_saturating",

    .. math:: \ln (1 - \sigma(f))

    of "saturating",

    .. math:: \tfrac{1}{2} (f - 1)^2

    of "least_squares", and of "hinge" and "wasserstein"

    .. math:: -f

    Error: at most 4 ULP of each element's loss. Up to 1024 losses are added in the precision of `fake`, or in float32 if that is
    float16, and the sums in float64, in an order that neither layout nor threads change.

    <gan papers>

    Examples
    --------
    >>> import fastact as fa
    >>> round(float(fa.gan_generator_loss([-3.0, 0.5, 1.0])), 4)
    1.2786
    >>> round(float(fa.gan_generator_loss([-3.0, 0.5, 1.0], kind="saturating")), 4)
    -0.7786
    """
    operands = {"fake": fake, "weight": weight}
    return adversarial_loss(gan_generator_loss, operands, {"kind": kind, "reduction": reduction, "dtype": dtype})


@knowing_names
@documented
def gan_generator_loss_with_grad(
    fake: Any,
    *,
    kind: str = "non_saturating",
    weight: Any = None,
    reduction: str = "mean",
    dtype: Any = None,
    upstream: Any = None,
    out: Any = None,
) -> Any:
    r"""`gan_generator_loss` and its gradient with respect to `fake`, in one pass.

    Parameters
    ----------
    <fake to dtype of a generator>
    upstream : float or array_like, optional
        The gradient with respect to the loss, of its shape; 1 by default.
    out : ndarray, optional
        For the gradient, with the shape and dtype of `fake`; may be any operand of these.

    Returns
    -------
    loss : scalar or ndarray
        Of `dtype`; with ``reduction="none"`` of the shape of `fake`.
    grad : ndarray
        Of the shape and dtype of `fake`.

    <gan errors>

    Notes
    -----
    The derivatives of the losses of `gan_generator_loss` are

    .. math:: -\sigma(-f)

    of "non_saturating",

    .. math:: -\sigma(f)

    of "saturating",

    .. math:: f - 1

    of "least_squares", and -1 of "hinge" and "wasserstein".

    Error: at most 4 ULP of each element's loss, and of the gradient.

    <gan papers>

    Examples
    --------
    >>> import fastact as fa
    >>> loss, grad = fa.gan_generator_loss_with_grad([-3.0, 0.5, 1.0])
    >>> round(float(loss), 4)
    1.2786
    >>> grad.round(4)
    array([-0.3175, -0.1258, -0.0896])
    """
    operands = {"fake": fake, "weight": weight, "upstream": upstream}
    options = {"kind": kind, "reduction": reduction, "dtype": dtype, "out": out}
    return adversarial_loss(gan_generator_loss_with_grad, operands, options)


def _part(
    criterion: Any, x: Any, target: float, weight: Any, upstream: Any, reduction: str, sign: float = 1.0
) -> tuple[Any, Any]:
    """The reduction of the losses of one operand in plain NumPy, and its gradient."""
    weight, upstream = 1.0 if weight is None else weight, 1.0 if upstream is None else upstream
    losses = sign * weight * criterion.reference(x, target)
    slope = sign * weight * upstream * sum(criterion.reference_derivative(x, target))
    if reduction == "none":
        return losses, slope
    divisor = x.size if reduction == "mean" else 1
    return np.sum(losses) / divisor, slope / divisor


def _reference_discriminator(
    gradient: bool,
    real: Any,
    fake: Any,
    kind: str = "non_saturating",
    label_smoothing: float = 0.0,
    real_weight: Any = None,
    fake_weight: Any = None,
    reduction: str = "mean",
    upstream: Any = None,
) -> Any:
    criterion = KINDS[kind].discriminator
    of_real, grad_real = _part(criterion, real, 1.0 - label_smoothing, real_weight, upstream, reduction)
    of_fake, grad_fake = _part(criterion, fake, 0.0, fake_weight, upstream, reduction)
    return (of_real + of_fake, grad_real, grad_fake) if gradient else of_real + of_fake


def _reference_generator(
    gradient: bool,
    fake: Any,
    kind: str = "non_saturating",
    weight: Any = None,
    reduction: str = "mean",
    upstream: Any = None,
) -> Any:
    found = KINDS[kind]
    both = _part(found.generator, fake, found.target, weight, upstream, reduction, found.sign)
    return both if gradient else both[0]


def _register(function: Any, reference: Callable[..., Any], weights: list[str], operands: int, smooths: bool) -> None:
    """Add the record of a loss, or of one with gradients."""
    gradient = function.__name__.endswith("_with_grad")
    ways: list[Variant] = [
        Variant(),
        *(Variant({"kind": kind}, alike=kind != "hinge") for kind in KINDS if kind != "non_saturating"),
    ]
    ways += [Variant({"reduction": "sum"}, alike=True), Variant({"reduction": "none"})]
    ways += [Variant({"label_smoothing": 0.25}, alike=True)] * smooths
    weighed = dict.fromkeys(weights, SHARES)
    ways += [Variant(weighed), Variant({**weighed, "reduction": "none", "kind": "hinge"})]
    ways += [Variant({"upstream": X, "reduction": "none"}), Variant({"upstream": 2.5}, alike=True)] * gradient
    register(
        Function(
            function.__name__,
            lambda: function,
            operands=[X] * operands,
            reference=partial(reference, gradient),
            ulp=4.0,
            double_ulp=4.0,
            home=__name__,
            family="gan-losses",
            variants=ways,
            written=range(1, 1 + operands) if gradient else (),
        )
    )


_register(gan_discriminator_loss, _reference_discriminator, ["real_weight", "fake_weight"], 2, True)
_register(gan_discriminator_loss_with_grad, _reference_discriminator, ["real_weight", "fake_weight"], 2, True)
_register(gan_generator_loss, _reference_generator, ["weight"], 1, False)
_register(gan_generator_loss_with_grad, _reference_generator, ["weight"], 1, False)
