"""Choosing among the most probable classes of rows."""

from typing import Any

import numpy as np

from fastact.calls.checking import finite, integer, knowing_names, only_axis
from fastact.calls.containers import is_container, refuse_masked, within
from fastact.calls.layout import Layout
from fastact.calls.quiet import quietly
from fastact.functions import choosing, sampling, softmax
from fastact.functions.record import Function, Operand, Variant, register

best: Any = choosing.top_k
logsumexp: Any = softmax.logsumexp

FEW, MORE = 64, 8
"""Logits that are put in order at first, and by how much more if these do not suffice."""


@knowing_names
def top_k_top_p_mask(logits: Any, *, k: int | None = None, p: float = 1.0, axis: int = -1) -> Any:
    r"""Which classes are among the `k` most probable, and among the few of these that have a probability of `p` together.

    Parameters
    ----------
    logits : array_like
        Unnormalised log-probabilities; float16, float32 or float64; integers and booleans convert as for ``np.exp(x)``.
    k : int, optional
        How many are taken at most; all by default, and if there are no more.
    p : float, default 1.0
        From 0 to 1. Of those as few are taken as have that probability together, or more; one at least.
    axis : int, default -1
        The axis of the classes.

    Returns
    -------
    ndarray of bool
        Of the shape of `logits`.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is not an axis of `logits`.
    ValueError
        If a row is empty, has only -inf, or holds NaN or inf, as for `sample_top_p`; and if `p` or `k` is not allowed.
    TypeError
        For complex, string, object and masked arrays, and an argument of a type that is not allowed.

    See Also
    --------
    sample_top_p : draws from these.

    Notes
    -----
    .. math:: j_i \text{ is taken} \iff i \le k \text{ and } P(j_1) + \dots + P(j_{i - 1}) < p, \quad P(j_1) \ge P(j_2) \ge \dots

    The softmax is that of the `k` best, if `k` is given; of equal logits the first counts as more probable. With ``p=1.0`` all `k`
    are taken. Only as many logits are put in order as it takes.

    References
    ----------
    A. Holtzman et al., The Curious Case of Neural Text Degeneration, 2020.

    Examples
    --------
    >>> import numpy as np, fastact as fa
    >>> fa.top_k_top_p_mask(np.log([0.5, 0.1, 0.3, 0.1]), p=0.7)
    array([ True, False,  True, False])
    """
    if is_container(logits):
        refuse_masked(top_k_top_p_mask, {"logits": logits}, "counts every element")
        layout = Layout({"logits": "...n"}, ("...n",))
        return within(top_k_top_p_mask, layout, {"logits": logits}, {"k": k, "p": p, "axis": axis})
    x = sampling.rows_of(logits, axis)
    mask = np.zeros(x.shape, bool)
    values, places, taken = _nucleus(x, _share(p), _most(k))
    sampling.refuse_rows(~np.isfinite(values[..., 0]))  # NaN is larger than all
    np.put_along_axis(mask, places, taken, -1)
    return np.moveaxis(mask, -1, only_axis(axis, x.ndim))


@knowing_names
def sample_top_p(
    logits: Any,
    rng: Any,
    size: int | tuple[int, ...] | None = None,
    *,
    p: float = 0.9,
    k: int | None = None,
    axis: int = -1,
    temperature: float = 1.0,
) -> Any:
    r"""Draw from the most probable classes, of which as few are taken as have a probability of `p` together.

    Parameters
    ----------
    logits : array_like
        Unnormalised log-probabilities; -inf for what is never drawn. float16, float32 or float64; integers and booleans convert as
        for ``np.exp(x)``.
    rng : numpy.random.Generator, int or None
        As for `sample_categorical`.
    size : int or tuple of int, optional
        The shape of independent draws from each row; one draw by default.
    p : float, default 0.9
        From 0 to 1: with 0 the most probable class is drawn, with 1 any.
    k : int, optional
        Only the `k` most probable classes are taken, before `p` is applied to them; all by default, and if there are no more.
    axis : int, default -1
        The axis of what is drawn from.
    temperature : float, default 1.0
        What logits are divided by before: positive.

    Returns
    -------
    int64 or ndarray of int64
        Indices along `axis`, in the shape that `sample_categorical` gives.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is not an axis of `logits`.
    ValueError
        As for `sample_categorical`, and if `p` is not from 0 to 1, or `k` is less than 1.
    TypeError
        For complex, string, object and masked arrays, and an argument of a type that is not allowed.

    See Also
    --------
    top_k_top_p_mask : which classes are taken.

    Notes
    -----
    .. math:: S = \{j_1, \dots, j_m\}, \quad m = \min \{i : P(j_1) + \dots + P(j_i) \ge p\}, \quad P(j_1) \ge P(j_2) \ge \dots

    The softmax is that of the `k` best, if `k` is given; of equal logits the first counts as more probable. Only as many logits are
    put in order as it takes.

    References
    ----------
    A. Holtzman et al., The Curious Case of Neural Text Degeneration, 2020.

    Examples
    --------
    >>> import numpy as np, fastact as fa
    >>> np.unique(fa.sample_top_p(np.log([0.5, 0.1, 0.3, 0.1]), 0, 1000, p=0.7))
    array([0, 2])
    """
    given = {"p": _share(p), "k": _most(k), "axis": axis, "temperature": temperature}
    return sampling.sampled(sample_top_p, _of_nucleus, logits, rng, size, given)


def _of_nucleus(logits: Any, uniforms: Any, p: float, k: int | None, axis: int, temperature: float) -> Any:
    """Draws by random numbers of which the first axis is that of the draws."""
    x, factor = sampling.rows_of(logits, axis), sampling.factor_of(temperature)
    if factor != 1:
        x = sampling.less_the_largest(x, factor)
    values, places, taken = _nucleus(x, p, k)
    chosen = sampling.drawn(np.where(taken, values, -np.inf), uniforms, 1.0)
    rows = np.broadcast_to(places, (len(uniforms), *places.shape))
    return np.take_along_axis(rows, chosen[..., None], -1)[..., 0]


def _share(p: Any) -> float:
    """A probability."""
    found = finite("p", p)
    if not 0 <= found <= 1:
        raise ValueError(f"p must be from 0 to 1, got {p!r}")
    return found


def _most(k: Any) -> int | None:
    """A number of classes, or None for all."""
    found = None if k is None else integer("k", k, "an integer or None")
    if found is not None and found < 1:
        raise ValueError(f"k must be at least 1, got {found}")
    return found


def _nucleus(x: Any, p: float, k: int | None) -> tuple[Any, Any, Any]:
    """The best logits of each row in order, their places, and which of them are taken."""
    n = x.shape[-1]
    most = n if k is None else min(k, n)
    count = most if k is not None or p == 1 else min(FEW, (n + 1) // 2)
    while True:
        values, places = best(x, count)
        if p == 1:
            return values, places, np.ones(values.shape, bool)
        largest = values[..., :1]
        powers = quietly(np.exp, quietly(np.subtract, values, largest, dtype=np.float64))
        sums = quietly(np.cumsum, powers, axis=-1)
        total = sums[..., -1:]
        if count < most:
            sums_of_all = logsumexp(quietly(x.astype, np.result_type(x.dtype, np.float32), copy=False))[..., None]
            total = quietly(np.exp, quietly(np.subtract, sums_of_all, largest, dtype=np.float64))
        needed = quietly(np.multiply, total, p)
        if count == most or (sums[..., -1:] >= needed).all():
            taken = np.ones(values.shape, bool)
            taken[..., 1:] = sums[..., :-1] < needed
            return values, places, taken
        count = min(MORE * count, most)


def _reference(x: Any, axis: int = -1, k: int | None = None, p: float = 1.0) -> Any:
    x = np.moveaxis(x, axis, -1)
    order = np.argsort(-x, axis=-1, kind="stable")[..., :k]
    powers = np.exp(np.take_along_axis(x, order, -1))
    before = np.cumsum(powers, axis=-1) - powers
    mask = np.zeros(x.shape, bool)
    np.put_along_axis(mask, order, (before < p * powers.sum(axis=-1, keepdims=True)) | (p == 1), -1)
    mask[..., :] |= np.arange(x.shape[-1]) == order[..., :1]
    return np.moveaxis(mask, -1, axis)


register(
    Function(
        "top_k_top_p_mask",
        make=lambda: top_k_top_p_mask,
        operands=[Operand("probabilities")],  # as logits
        reference=_reference,
        ulp=0.0,
        double_ulp=0.0,
        home=__name__,
        family="choosing",
        variants=[Variant({"p": 0.6}), Variant({"k": 3, "p": 0.7}), Variant({"k": 2}, alike=True)],
        axis="one",
        written=(),
        masked=False,
    )
)


def _most_probable(x: Any, rng: Any, axis: int = -1, p: float = 0.9) -> Any:
    """What is drawn with p=0: of any other no reference is drawn alike."""
    return np.argmax(x, axis=axis)


register(
    Function(
        "sample_top_p",
        make=lambda: sample_top_p,
        operands=[Operand("probabilities")],
        reference=_most_probable,
        ulp=0.0,
        double_ulp=0.0,
        home=__name__,
        family="choosing",
        variants=[Variant({"rng": 0}, random=True), Variant({"rng": 0, "p": 0.0}, alike=True)],
        axis="one",
        written=(),
        masked=False,
    )
)
