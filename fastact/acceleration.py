"""Kernels in the places of the inner loops of NumPy's own ufuncs, for everybody in this process who calls these."""

import atexit
import threading
from types import TracebackType
from typing import Any

import numpy as np

from fastact.runtime.standins import Replaced, UnknownStructureError
from fastact.runtime.ufunc import first_loops
from fastact.table import stand_ins

_lock = threading.RLock()
_made: dict[str, list[Replaced]] = {}
"""Every loop that has been replaced once, by the name of its ufunc: others may still call what stood in its place."""
_users = 0
"""Number of accelerations that have not been stopped."""


class Acceleration:
    """What `accelerate` has done, and the end of it.

    Attributes
    ----------
    replaced : tuple of str
        What is computed by fastact, such as ``"numpy.exp of float32"``.
    refused : dict of str to str
        Ufuncs of NumPy's that are left alone, and why.
    """

    replaced: tuple[str, ...]
    refused: dict[str, str]

    def __init__(self, replaced: tuple[str, ...], refused: dict[str, str]) -> None:
        self.replaced, self.refused = replaced, refused
        self._active = True

    def stop(self) -> None:
        """Give NumPy its own loops back, unless another acceleration goes on; a second call does nothing."""
        with _lock:
            if self._active:
                self._active = False
                _release()

    def __enter__(self) -> "Acceleration":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __reduce__(self) -> str:
        raise TypeError("an acceleration belongs to one process: it can be neither pickled nor copied")

    def __repr__(self) -> str:
        state = "active" if self._active else "stopped"
        refused = "".join(f"; {name} refused: {why}" for name, why in self.refused.items())
        return f"<fastact.accelerate: {state}, {', '.join(self.replaced) or 'nothing replaced'}{refused}>"


def accelerate() -> Acceleration:
    """Let NumPy's own functions compute with fastact's kernels, for everybody in this process: SciPy, scikit-learn, pandas.

    The inner loops of ufuncs such as `numpy.exp` are replaced; what calls these is not changed, nor what they take and return, but
    for the last digit. Floating-point exceptions are reported as `numpy.errstate` asks. Whatever the loops are not for, such as
    complex numbers, is computed as before.

    Returns
    -------
    Acceleration
        Tells what has been `replaced`, and what has been `refused` and why. Its method ``stop()`` gives everything back, and so
        does the end of a ``with`` block that it is used in. While several are active, the last one does.

    Notes
    -----
    Nothing is compiled before it is called. Threads may compute meanwhile: a call takes one loop or the other. Processes that are
    started later do not inherit it, unless they are forked.

    NumPy has a function for replacing a loop, but none for asking which there are. Where they are looked for is compared with what
    NumPy says of itself, and each is tried: what is not as it is known here is left alone, and stands in `refused`.

    See Also
    --------
    fastact.numpy : the same for the code that asks for it.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> with fa.accelerate() as acceleration:
    ...     print("numpy.exp of float32" in acceleration.replaced, np.exp(np.zeros(2, np.float32)))
    True [1. 1.]
    """
    global _users
    with _lock:
        refused: dict[str, str] = {}
        if not _users:
            refused |= _replace_all()
        _users += 1
        names = [one.name for loops in _made.values() for one in loops if one.now]
        return Acceleration(tuple(names), refused)


def accelerated() -> Acceleration:
    """As `accelerate`, by the name that reads well in ``with fa.accelerated():``.

    Returns
    -------
    Acceleration
        As of `accelerate`; the end of the block stops it.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> with fa.accelerated():
    ...     float(np.exp(0.0))
    1.0
    """
    return accelerate()


def _replace_all() -> dict[str, str]:
    """Replace what can be; why the rest cannot."""
    refused = {}
    for name, kernel in stand_ins().items():
        ufunc: Any = getattr(np._core.umath, name, None)  # type: ignore[attr-defined]
        try:
            if not isinstance(ufunc, np.ufunc):
                raise UnknownStructureError(f"numpy {np.__version__} has no ufunc of this name")
            if name not in _made:
                _made[name] = [Replaced(ufunc, loop, stub) for loop, stub in first_loops(kernel)]
            for one in _made[name]:
                one.replace()
        except UnknownStructureError as error:
            refused[name] = str(error)
            for one in _made.get(name, ()):
                one.give_back()
    return refused


@atexit.register
def _give_all_back() -> None:
    """At the interpreter's end, when what compiles a kernel is no longer there."""
    global _users
    with _lock:
        _users = min(_users, 1)
        if _users:
            _release()


def _release() -> None:
    """Count one user less, and give everything back with the last."""
    global _users
    _users -= 1
    if not _users:
        for loops in _made.values():
            for one in loops:
                one.give_back()
