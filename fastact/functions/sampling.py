"""Drawing from the softmax of rows."""

import math
from functools import cache, partial
from typing import Any

import numpy as np

from fastact.calls.checking import finite, first_place, integer, knowing_names, only_axis
from fastact.calls.containers import is_container, refuse_masked, within
from fastact.calls.layout import Layout
from fastact.calls.lazy import refuse_unknown_lengths
from fastact.calls.quiet import quietly
from fastact.functions.cross_entropy_requests import as_floats
from fastact.functions.record import Function, Operand, Variant, register
from fastact.kernels.dtypes import FLOATS
from fastact.kinds.sampling import SamplingKernel
from fastact.runtime.ufunc import make_ufunc


@knowing_names
def sample_categorical(
    logits: Any,
    rng: Any,
    size: int | tuple[int, ...] | None = None,
    *,
    axis: int = -1,
    temperature: float = 1.0,
) -> Any:
    r"""Draw indices whose probabilities are the softmax of logits along an axis.

    Parameters
    ----------
    logits : array_like
        Unnormalised log-probabilities; -inf for what is never drawn. float16, float32 or float64; integers and booleans convert as
        for ``np.exp(x)``.
    rng : numpy.random.Generator, int or None
        Source of the random numbers, of which each draw takes one; or what ``numpy.random.default_rng`` makes one of. Results
        depend neither on the layout of the logits nor on the number of threads.
    size : int or tuple of int, optional
        The shape of independent draws from each row; one draw by default.
    axis : int, default -1
        The axis of what is drawn from.
    temperature : float, default 1.0
        What logits are divided by: positive.

    Returns
    -------
    int64 or ndarray of int64
        Indices along `axis`. Of the shape of `logits` without `axis`, behind `size` if there is one, as for
        ``torch.distributions``; (PyTorch's ``multinomial`` has the draws last).

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is not an axis of `logits`.
    ValueError
        If a row is empty, has only -inf, or holds NaN or inf; and if `size` or `temperature` is not allowed. `rng` may have moved
        on.
    TypeError
        For complex, string, object and masked arrays, and an argument of a type that is not allowed.

    Notes
    -----
    .. math:: P(j) = \frac{e^{x_j / \tau}}{\sum_i e^{x_i / \tau}}

    A random number from 0 to 1 is sought in the running sums of the probabilities. The sums of parts of a row are kept from one
    pass over its exponentials, so that one part is taken again for each draw; for many draws all running sums are kept. An index of
    probability 0 is never drawn. Containers of other libraries are kept where `size` is None.

    References
    ----------
    L. Devroye, Non-Uniform Random Variate Generation, 1986, chapter III.2.

    Examples
    --------
    >>> import numpy as np, fastact as fa
    >>> rng = np.random.default_rng(0)
    >>> fa.sample_categorical([[0.0, 1.0, 2.0], [5.0, -np.inf, -np.inf]], rng)
    array([2, 0])
    >>> np.bincount(fa.sample_categorical(np.log([0.5, 0.25, 0.25]), rng, 1000))
    array([473, 259, 268])
    """
    given = {"axis": axis, "temperature": temperature}
    return sampled(sample_categorical, _of_softmax, logits, rng, size, given)


def sampled(function: Any, draw: Any, logits: Any, rng: Any, size: Any, given: dict[str, Any]) -> Any:
    """Draws for a public function: ``draw(logits, uniforms, **given)``, random numbers of which the first axis is the draws'."""
    factor_of(given["temperature"])
    draws = () if size is None else shape_of(size)
    if is_container(logits):
        refuse_masked(function, {"logits": logits}, "draws from every element")
    shape = np.shape(logits)
    refuse_unknown_lengths("logits", logits, range(len(shape)))
    one = only_axis(given["axis"], len(shape))
    if not is_container(logits):
        logits = as_floats("logits", logits)
    uniforms = np.asarray(_generator(rng).random((*draws, *shape[:one], *shape[one + 1 :])))
    if is_container(logits) and size is None:
        layout = Layout({"logits": "...n", "uniforms": "..."}, ("...",), ("logits",))
        return within(partial(_once, draw), layout, {"logits": logits, "uniforms": uniforms}, given)
    flat = uniforms.reshape(math.prod(draws), *shape[:one], *shape[one + 1 :])
    return draw(logits, flat, **given).reshape(uniforms.shape)[()]


def _once(draw: Any, logits: Any, uniforms: Any, **given: Any) -> Any:
    """One draw from each row by a random number of its own."""
    return draw(logits, np.asarray(uniforms)[None], **given)[0][()]


def _of_softmax(logits: Any, uniforms: Any, axis: int, temperature: float) -> Any:
    """Draws from the softmax of rows."""
    x, factor = rows_of(logits, axis), factor_of(temperature)
    if factor > float(np.finfo(FLOATS[x.dtype.name].computed).max):
        x, factor = less_the_largest(x, factor), 1.0
    return drawn(x, uniforms, factor)


def less_the_largest(x: Any, factor: float) -> Any:
    """Logits less their row's largest, times a factor: of float64, which no small temperature is then too much for."""
    x = quietly(np.subtract, x, np.max(x, axis=-1, keepdims=True, initial=-np.inf), dtype=np.float64)
    return quietly(np.multiply, x, min(factor, 1e300), out=x)


def rows_of(logits: Any, axis: Any) -> Any:
    """Logits as floats, the classes last."""
    x = as_floats("logits", logits)
    x = np.moveaxis(x, only_axis(axis, x.ndim), -1)
    if not x.shape[-1]:
        raise ValueError(f"logits must have at least one element along axis, got the shape {np.shape(logits)}")
    return x


def factor_of(temperature: Any) -> float:
    """What logits are multiplied by."""
    found = finite("temperature", temperature)
    if found <= 0:
        raise ValueError(f"temperature must be positive, got {temperature!r}")
    return 1 / found if found >= 1e-300 else math.inf


def shape_of(size: Any) -> tuple[int, ...]:
    """A size as a shape."""
    found = tuple(integer("size", n) for n in size) if isinstance(size, tuple | list) else (integer("size", size),)
    if any(n < 0 for n in found):
        raise ValueError(f"size must not be negative, got {size!r}")
    return found


def _generator(rng: Any) -> Any:
    """A random generator."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(f"rng must be a numpy.random.Generator, a seed or None, got {rng!r}") from None


@cache
def _ufunc() -> Any:
    kernel = SamplingKernel("sample_categorical")
    return make_ufunc(kernel, kernel.name, "Draws from the softmax of rows.", __name__)


def drawn(x: Any, uniforms: Any, factor: float) -> Any:
    """Draws from the rows of logits by random numbers, the first axis of which is that of the draws."""
    found = np.empty(uniforms.shape, np.int64)
    if not found.size:
        return found
    options = np.array((factor, len(uniforms)))
    quietly(_ufunc(), x, np.moveaxis(uniforms, 0, -1), options, out=np.moveaxis(found, 0, -1))
    refuse_rows(found[0] < 0)
    return found


def refuse_rows(wrong: Any) -> None:
    """``ValueError`` for the first row of logits that is no distribution."""
    if np.any(wrong):
        wanted = "a number above -inf in each row, and neither NaN nor inf"
        raise ValueError(f"logits must have {wanted}; the row{first_place(wrong)[1]} has not")


def _reference(x: Any, rng: Any, axis: int = -1, temperature: float = 1.0, size: Any = None) -> Any:
    """One draw by Gumbel's maximum: of another kind, so that it compares with no draw of ours."""
    gumbel = -np.log(-np.log(np.random.default_rng(rng).random(np.shape(x))))
    return np.argmax(x / temperature + gumbel, axis=axis)


register(
    Function(
        "sample_categorical",
        make=lambda: sample_categorical,
        operands=[Operand("probabilities")],  # as logits, which may be neither NaN nor inf
        reference=_reference,
        ulp=0.0,
        double_ulp=0.0,
        home=__name__,
        family="choosing",
        variants=[
            Variant({"rng": 0}, random=True),
            Variant({"rng": 0, "temperature": 0.5}, random=True, alike=True),
        ],
        axis="one",
        written=(),
        masked=False,
    )
)
