"""Functions that write to the arrays they are given, one or many: everything is checked before anything is written.

Many arrays come as a list, a tuple or a dict. What the first argument is says what the others must be.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

from fastact.calls.checking import checked_out, representable
from fastact.calls.quiet import quietly
from fastact.functions.cross_entropy_requests import as_floats
from fastact.kernels.dtypes import LISTED, NATIVE
from fastact.kinds.updates import UpdateKernel
from fastact.runtime.ufunc import make_ufunc

LARGEST = float(np.finfo(np.float32).max)
"""Numbers up to which are finite in whatever is computed in."""
NOTHING: Mapping[str, Any] = MappingProxyType({})
MOST_WORK = 100_000
"""Of NumPy's search for an element that two views of one array share; who makes views for which that is too little is refused."""


@cache
def ufunc_of(kernel: UpdateKernel) -> Any:
    """The ufunc of a kernel, in which NumPy does what is to do about dtypes and layouts."""
    return make_ufunc(kernel, kernel.name, "Update of several arrays in place.", __name__)


class Numbers(NamedTuple):
    """The numbers of a kernel."""

    values: Any
    """An array of float64, as the kernel takes them."""
    largest: float
    """The largest magnitude of these."""
    named: Sequence[tuple[str, float]]
    """What errors call each of them."""

    def check(self, arrays: Mapping[str, Sequence[Any]]) -> None:
        """``ValueError`` if one of them is infinite in the precision that some arrays are computed in."""
        if self.largest <= LARGEST:
            return
        for each in zip(*arrays.values(), strict=True):
            for name, value in self.named:
                representable(name, value, np.result_type(np.float32, *each))


def in_order(kernel: UpdateKernel, numbers: Mapping[str, float], named: Mapping[str, str] = NOTHING) -> Numbers:
    """The numbers of a kernel as it takes them; ``named`` says from what arguments those follow that are none."""
    found = np.array([numbers[name] for name in kernel.numbers], np.float64)
    found.flags.writeable = False
    known = [(named.get(name, name), numbers[name]) for name in kernel.numbers]
    return Numbers(found, max(abs(value) for _, value in known), known)


def update(
    kernel: UpdateKernel, arrays: Mapping[str, Any], numbers: Numbers, unused: Mapping[str, Any] = NOTHING
) -> None:
    """Run a kernel over arrays, or over many of each, in place.

    Parameters
    ----------
    kernel : UpdateKernel
        Its operands are named as the arrays are.
    arrays : mapping of str to array or to several arrays
        By the names of the public function's parameters, in the order of the kernel's; the first is written.
    numbers : Numbers
        The kernel's numbers, from `in_order`.
    unused : mapping of str to array or to several arrays
        What other numbers would have written: it is checked alike, and neither read nor written.
    """
    given = checked({**arrays, **unused}, (*kernel.writes, *unused))
    numbers.check(given)
    run(kernel, {name: given[name] for name in arrays}, numbers)


def run(kernel: UpdateKernel, arrays: Mapping[str, Sequence[Any]], numbers: Numbers) -> None:
    """Run a kernel over arrays that have been checked."""
    ufunc, count = ufunc_of(kernel), len(arrays)
    for each in zip(*arrays.values(), *(arrays[name] for name in kernel.writes), strict=True):
        if each[0].size:
            quietly(ufunc, *each[:count], numbers.values, out=each[count:], casting="same_kind")


def checked(arrays: Mapping[str, Any], written: Sequence[str]) -> dict[str, list[Any]]:
    """The arrays of each argument; an error says which of them cannot be read, or written to, as they have to be."""
    if _are_plain(arrays, written):
        return {name: [x] for name, x in arrays.items()}
    (first, leader), *_ = arrays.items()
    keys = keys_of(first, leader)
    lists, labels = {name: listed(name, x, first, keys) for name, x in arrays.items()}, labels_of(keys)
    found: dict[str, list[Any]] = {}
    try:
        for name, given in lists.items():
            shapes = [x.shape for x in found.get(first, ())] or [None] * len(given)
            check = _writable if name in written else _readable
            found[name] = [check(f"{name}{k}", x, s) for k, x, s in zip(labels, given, shapes, strict=True)]
    except TypeError:  # perhaps for bfloat16, of which copies will be checked: that these overlap must be said now
        every = [(name, k, x) for name, xs in lists.items() for k, x in zip(labels, xs, strict=True)]
        try:
            refuse_overlaps([one for one in every if isinstance(one[2], np.ndarray)], written)
        except ValueError as error:
            raise error from None
        raise
    refuse_overlaps([(name, k, x) for name, xs in found.items() for k, x in zip(labels, xs, strict=True)], written)
    return found


def _are_plain(arrays: Mapping[str, Any], written: Sequence[str]) -> bool:
    """Whether there is nothing to object to, as far as can be seen at a glance: to look at each takes longer than a small step."""
    given = [*arrays.values()]
    for name, x in arrays.items():
        if type(x) is not np.ndarray or x.shape != given[0].shape:
            return False
        dtype, flags = x.dtype, x.flags
        if dtype.char not in NATIVE or not dtype.isnative or not flags.forc:
            return False
        if name in written and not flags.writeable:
            return False
    share = np.may_share_memory
    return not any(share(x, y) for i, x in enumerate(given) for y in given[:i])


def is_several(given: Any) -> bool:
    """Whether an argument that may also be a list of numbers is a list or dict of arrays."""
    return isinstance(given, Mapping) or (
        isinstance(given, list | tuple) and any(isinstance(x, np.ndarray) for x in given)
    )


def labels_of(keys: list[Any] | None) -> list[str]:
    """What errors say after an argument's name, of each of its arrays."""
    return [""] if keys is None else [f"[{key!r}]" for key in keys]


def like(given: Any, arrays: Sequence[Any]) -> Any:
    """Arrays in a container like that of an argument; a tuple of arrays becomes a list."""
    if isinstance(given, Mapping):
        return dict(zip(given, arrays, strict=True))
    return list(arrays) if isinstance(given, list | tuple) else arrays[0]


def keys_of(name: str, given: Any) -> list[Any] | None:
    """What tells many arrays from each other; ``None`` for one array."""
    if isinstance(given, np.ndarray):
        return None
    if isinstance(given, Mapping):
        return list(given)
    if isinstance(given, list | tuple):
        return list(range(len(given)))
    raise TypeError(f"{name} must be an array, or a list or dict of arrays, got {type(given).__name__}")


def listed(name: str, given: Any, first: str, keys: list[Any] | None) -> list[Any]:
    """The arrays of an argument in the order of the first one's."""
    if keys is None:
        return [given]
    own = None if isinstance(given, np.ndarray) else keys_of(name, given)
    if own is None:
        raise TypeError(f"{name} must be a list or dict of arrays, as {first} is, got {type(given).__name__}")
    if set(own) != set(keys):
        raise ValueError(f"{name} must have the arrays that {first} has, {keys}, got {own}")
    return [given[key] for key in keys]


def _writable(name: str, x: Any, shape: tuple[int, ...] | None) -> Any:
    """An array that will be written to, and has the shape if one is given."""
    checked_out(x, getattr(x, "shape", ()) if shape is None else shape, name)
    masked = isinstance(x, np.ma.MaskedArray)
    if masked or x.dtype.char not in NATIVE:
        raise TypeError(f"{name} must be an array of {LISTED}, got {'a masked array' if masked else x.dtype}")
    if overlaps_itself(x):
        raise ValueError(f"{name} must not hold an element more than once: its strides are {x.strides}")
    return x if type(x) is np.ndarray else np.asarray(x)


def _readable(name: str, x: Any, shape: tuple[int, ...]) -> Any:
    """An array of a shape that will be read."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be a masked array: every element takes part")
    x = as_floats(name, x)
    if x.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, got {x.shape}")
    return x


def overlaps_itself(x: Any) -> bool:
    """Whether several places of an array are the same memory, as far as strides tell."""
    if x.flags.forc or not x.size:
        return False
    reach = x.itemsize
    for stride, n in sorted((abs(s), n) for s, n in zip(x.strides, x.shape, strict=True) if n > 1):
        if stride < reach:
            return True
        reach += stride * (n - 1)
    return False


def refuse_overlaps(arrays: Sequence[tuple[str, str, Any]], written: Sequence[str]) -> None:
    """``ValueError`` if an array that is written shares memory with another one."""
    spans = sorted((*byte_bounds(x), i) for i, (_, _, x) in enumerate(arrays) if x.size)
    reached: list[tuple[int, int]] = []
    for begin, end, i in spans:
        reached = [(last, j) for last, j in reached if last > begin]
        for _, j in reached:
            a, b = sorted((i, j))
            if (arrays[a][0] in written or arrays[b][0] in written) and _share(arrays[a][2], arrays[b][2]):
                (x, k, _), (y, m, _) = arrays[a], arrays[b]
                raise ValueError(f"{y}{m} must not overlap {x}{k}: what is written must have memory of its own")
        reached.append((end, i))


def _share(x: Any, y: Any) -> bool:
    try:
        return np.shares_memory(x, y, max_work=MOST_WORK)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
