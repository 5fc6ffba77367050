"""Functions of bfloat16 arrays that are more than a ufunc: computed in float32, from widened copies, and rounded once.

Functions refuse bfloat16 as any dtype that no kernel takes, by a ``TypeError``. Where that is raised they ask here whether bfloat16
was the reason, so that no other call asks. Nothing has been written by then. PyTorch's tensors of bfloat16, which NumPy cannot
read, come here the same way, and are widened and rounded by PyTorch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from itertools import combinations
from typing import Any, TypeVar

import numpy as np

from fastact.kernels.dtypes import BFLOAT16
from fastact.runtime.bfloat16 import NAME, bfloat16

Function = TypeVar("Function", bound=Callable[..., Any])

TENSORS = f"torch.{NAME}"
"""What PyTorch calls the dtype."""
UPDATED: dict[str, Sequence[int | str]] = {}
"""By the names of functions that write to operands, which ones: their numbers, and the names of options."""
MOST_WORK = 100_000
"""Of NumPy's search for an element that two views share; who makes views for which that is too little is refused."""


def taking_bfloat16(function: Function) -> Function:
    """Let a function, which refuses bfloat16 before it writes or draws anything, take it after all."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            return in_float32(function, error, args, kwargs)

    return call  # type: ignore[return-value]


def in_float32(function: Callable[..., Any], error: TypeError, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What a function that has refused its arguments gives for those of bfloat16, in float32, or its error once more.

    Parameters
    ----------
    function : callable
        Writes to ``out``, and to what `UPDATED` says.
    error : TypeError
        What it has raised.
    args, kwargs
        What it was called with.
    """
    if not any(map(_is_bfloat16, _leaves((args, kwargs)))):
        raise error from None
    copies = _Copies()
    named = _named(function, args, kwargs)
    written = _written(function, named)
    if "out" in named:
        _refuse_overlaps(written)
    try:
        results = function(*copies.of(tuple(args)), **copies.of(dict(kwargs)))
    except Exception as again:
        raise again from None
    for x in written.values():
        copies.write_back(x)
    operands = {name: x for name, x in named.items() if name != "out"}
    return copies.back(results, all(map(_is_weak, _leaves(operands))))


class _Copies:
    """The float32 copies of a call's arrays of bfloat16; of one array that is given twice there is one."""

    def __init__(self) -> None:
        self.made: dict[int, tuple[Any, Any]] = {}
        """By the identity of arrays, these and their copies."""

    def of(self, x: Any) -> Any:
        """An argument with copies in place of what is bfloat16."""
        if type(x) in (tuple, list):
            return type(x)(map(self.of, x))
        if isinstance(x, Mapping):
            return {name: self.of(one) for name, one in x.items()}
        if not _is_bfloat16(x):
            return x
        if id(x) not in self.made:
            copy = x.astype(np.float32) if isinstance(x.dtype, np.dtype) else x.float()
            if isinstance(x, np.ndarray) and not x.flags.writeable:
                copy.flags.writeable = False
            self.made[id(x)] = x, copy
        return self.made[id(x)][1]

    def write_back(self, x: Any) -> None:
        """Round what was written to the copy of an array."""
        if id(x) in self.made:
            _, copy = self.made[id(x)]
            x[...] = rounded(copy)

    def back(self, results: Any, narrow: bool) -> Any:
        """Results, with arrays in place of their copies; those of float32 are rounded if they are to be ``narrow``."""
        if isinstance(results, tuple | list):
            found = [self.back(one, narrow) for one in results]
            return type(results)(*found) if hasattr(results, "_fields") else type(results)(found)
        if isinstance(results, Mapping):
            return {name: self.back(one, narrow) for name, one in results.items()}
        for x, copy in self.made.values():
            if results is copy:
                return x
        return rounded(results) if narrow else results


def widened(x: Any) -> Any:
    """Arrays, or lists or dicts of such, with copies of float32 in place of those that are bfloat16."""
    return _Copies().of(x)


def beside_float32(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Operands of a ufunc that takes parameters of float32 beside bfloat16: as float32, if a parameter is an array of that."""
    kinds = [getattr(x, "dtype", None) for x in operands]
    return tuple(map(widened, operands)) if np.float32 in kinds else operands


def rounded(x: Any) -> Any:
    """An array, number or tensor of float32 as bfloat16; anything else as it is."""
    kind, dtype = getattr(x, "dtype", None), bfloat16()
    if not isinstance(kind, np.dtype):
        return x.bfloat16() if str(kind) == "torch.float32" else x
    if kind != np.float32 or dtype is None:
        return x
    with np.errstate(all="ignore"):
        return x.astype(dtype)


def _is_bfloat16(x: Any) -> bool:
    dtype = getattr(x, "dtype", None)
    return dtype.char == BFLOAT16 if isinstance(dtype, np.dtype) else dtype is not None and str(dtype) == TENSORS


def _is_weak(x: Any) -> bool:
    """Whether something leaves results bfloat16: all but other arrays of floats."""
    dtype = getattr(x, "dtype", None)
    if isinstance(dtype, np.dtype):
        return dtype.kind != "f" or isinstance(x, np.generic)
    return not str(dtype).startswith("torch.float")


def _leaves(x: Any) -> Iterator[Any]:
    """What is no list, tuple or mapping, in an argument."""
    if isinstance(x, Mapping):
        x = list(x.values())
    if isinstance(x, list | tuple):
        for one in x:
            yield from _leaves(one)
    else:
        yield x


def _named(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[int | str, Any]:
    """The arguments by their names, or by their numbers where they have none."""
    code = getattr(function, "__code__", None)
    names = [] if code is None else code.co_varnames[: code.co_argcount]
    found: dict[int | str, Any] = dict(zip(names, args, strict=False))
    found.update(list(enumerate(args))[len(names) :])
    found.update(kwargs)
    return found


def _written(function: Callable[..., Any], named: Mapping[int | str, Any]) -> dict[str, Any]:
    """The arrays of bfloat16 that are written to, by what errors call them."""
    names = list(map(str, named))
    keys = ["out", *(names[key] if isinstance(key, int) else key for key in UPDATED.get(function.__name__, ()))]
    return {
        name if count == 1 else f"{name}[{i}]": x
        for name in keys
        for count, found in [_counted(named.get(name))]
        for i, x in enumerate(found)
        if isinstance(x, np.ndarray) and _is_bfloat16(x)
    }


def _counted(x: Any) -> tuple[int, list[Any]]:
    found = list(_leaves(x))
    return len(found), found


def _refuse_overlaps(written: Mapping[str, Any]) -> None:
    """``ValueError`` if results would share memory, which the function would say but for the copies."""
    for x, y in combinations(written.values(), 2):
        if x is not y and _share(x, y):
            raise ValueError("out must be arrays that do not overlap") from None


def _share(x: Any, y: Any) -> bool:
    try:
        return np.shares_memory(x, y, max_work=MOST_WORK)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
