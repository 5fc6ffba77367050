"""Memory that NumPy frees is kept for the next array of its size: the public functions."""

import contextlib
import operator
import os
import threading
from typing import Any

from fastact.kernels import keeping
from fastact.runtime import numpy_memory, threads
from fastact.runtime.uninterrupted import uninterrupted

SHARE = 16
"""By default a 16th of the memory that the process may use is kept."""
UNLIMITED = 1 << 60
"""More than there is, and less than version 1 of control groups says where nothing is limited."""

_lock = threading.RLock()
_open: list["KeptMemory"] = []
"""Whoever wants memory to be kept, in the order of their calls: what the last one says holds."""
_standing: "KeptMemory | None" = None
"""The one of them that no block ends."""


class KeptMemory:
    """What `keep_memory` returns: says what is kept, gives it back, and ends it.

    Attributes
    ----------
    max_bytes : int
        How much is kept at most, as it was given, or by default.
    reason : str
        Why memory cannot be kept here; empty if it can.
    """

    def __init__(self, max_bytes: int, reason: str) -> None:
        self.max_bytes, self.reason = max_bytes, reason
        self._before: KeptMemory | None = None

    def __repr__(self) -> str:
        if self.reason:
            return f"<fastact.KeptMemory: none, for {self.reason}>"
        state = f"{self.bytes / 1e6:.1f} of at most {self.max_bytes / 1e6:.1f} MB" if self.active else "stopped"
        return f"<fastact.KeptMemory: {state}>"

    @property
    def active(self) -> bool:
        """Whether memory is kept because of this."""
        return not self.reason and self in _open

    @property
    def bytes(self) -> int:
        """How many bytes are kept now and used by no array, whoever asked for it."""
        return kept_bytes()

    def release(self) -> int:
        """Give everything that is kept back to the system and go on; the same as `release_memory`.

        Returns
        -------
        int
            How many bytes that were.
        """
        return release_memory()

    def stop(self) -> None:
        """End this, as leaving its block does: what an earlier call or an outer block says holds again, if there is one.

        If there is none, everything is given back, and NumPy does as it did before. To stop twice does no harm.
        """
        global _standing
        with _lock:
            if self is _standing:
                _drop(self._before)
                _standing = None
            if _drop(self):
                _apply()

    def __enter__(self) -> "KeptMemory":
        global _standing
        with _lock:
            if self is _standing:  # the call was the beginning of this block, and changes nothing beyond it
                _standing, self._before = self._before, None
            elif self not in _open and not self.reason:
                _open.append(self)
                _apply()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


def keep_memory(max_bytes: int | None = None) -> KeptMemory:
    """Keep the memory of NumPy's arrays for the next ones, instead of giving it back to the system each time.

    A result in fresh memory costs a page fault for every page. From 64 KiB on, what an array leaves is kept and given to
    the next array of about its size: not only results of this package, but those of every NumPy expression, in every thread.

    Parameters
    ----------
    max_bytes : int, optional
        How many bytes that no array uses are kept at most, at least 1; the oldest go first. The default is a 16th of the
        machine's memory, or of what the process's control group may use if that is less.

    Returns
    -------
    KeptMemory
        An object with the attributes ``bytes``, which are kept now, ``max_bytes``, ``active`` and ``reason``, and the methods
        ``release()``, which gives all back, and ``stop()``, which also ends it. As a context manager it ends with its block.
        Where memory cannot be kept, ``active`` is false, ``reason`` says why, and nothing has been changed.

    Raises
    ------
    TypeError
        If `max_bytes` is neither an integer nor ``None``.
    ValueError
        If `max_bytes` is less than 1.

    See Also
    --------
    release_memory : Gives back what is kept.

    Notes
    -----
    It holds for the whole process. Another call, or a block, replaces what is said by the one before, until it ends.
    The first call on a machine compiles for some seconds, which `warmup` does ahead of time.

    What nobody has wanted for a second the system may take whenever it is short of memory; after ten seconds it is given back, and
    so is everything before an allocation fails. A forked child begins with nothing kept, and goes on keeping.

    Zeros (`numpy.zeros`) of 32 MiB and more are always fresh, because the system makes only those that are touched. An array that a
    handler of somebody else's has made is left to that handler. Memory is kept on Linux, and not where the interpreter's own memory
    is debugged (``PYTHONMALLOC=debug``, ``python -X dev``). While something is kept there is one more thread, which sleeps.

    Kept memory holds what was in it, as freed memory does: an array of `numpy.empty` may show old numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> x = np.ones(1_000_000)
    >>> with fa.keep_memory(max_bytes=100_000_000) as kept:
    ...     for _ in range(3):
    ...         y = np.exp(x) + 1  # from the second time on in memory that is there
    >>> kept.bytes  # after the block
    0
    """
    global _standing
    wanted = None if max_bytes is None else _checked(max_bytes)
    reason = numpy_memory.reason_against()
    kept = KeptMemory(default_max_bytes() if wanted is None else wanted, reason)
    if not reason:
        with _lock:
            if _standing is not None:  # it may hold again, if this call turns out to be the beginning of a block
                _drop(_standing._before)
                _standing._before = None
            kept._before, _standing = _standing, kept
            _open.append(kept)
            _apply()
    return kept


def release_memory() -> int:
    """Give all memory that `keep_memory` keeps, and what the C library has free, back to the system.

    Arrays are not touched, and memory is kept again from the next one that is freed on.

    Returns
    -------
    int
        How many bytes were kept.

    See Also
    --------
    keep_memory : Keeps memory.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.release_memory()
    0
    """
    return numpy_memory.manage(keeping.RELEASE)


def kept_bytes() -> int:
    """How many bytes are kept and used by no array."""
    return int(numpy_memory.state[keeping.BYTES])


def _checked(max_bytes: Any) -> int:
    allowed = "must be an integer of at least 1, or None"
    try:
        if isinstance(max_bytes, bool):
            raise TypeError
        number = operator.index(max_bytes)
    except TypeError:  # of arrays too, all of which say that they can be an index
        raise TypeError(f"keep_memory: max_bytes {allowed}, got {type(max_bytes).__name__}") from None
    if number < 1:
        raise ValueError(f"keep_memory: max_bytes {allowed}, got {number}")
    return min(number, UNLIMITED)


def _drop(kept: KeptMemory | None) -> bool:
    """Let one hold no more; whether it did."""
    if kept is None or kept not in _open:
        return False
    _open.remove(kept)
    return True


def _apply() -> None:
    """Let what the last one of the open ones says hold."""
    if not _open:
        numpy_memory.stop()
        return
    if not numpy_memory.is_prepared():
        uninterrupted(numpy_memory.prepare)  # which compiles
    numpy_memory.keep(_open[-1].max_bytes)


def default_max_bytes() -> int:
    """How much is kept unless somebody says otherwise."""
    return max(1, min(filter(None, (_memory(), *map(_limit, threads.cgroups("memory")))), default=UNLIMITED) // SHARE)


def _memory() -> int:
    """The machine's memory; 0 where the system does not say."""
    with contextlib.suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 0


def _limit(folder: str) -> int:
    """What a control group may use (version 2, then 1); 0 if that is not limited."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            limit = int(threads.text_of(folder, name))
            return limit if limit < UNLIMITED else 0
    return 0


def _renew_lock() -> None:
    """In a forked child: another thread of its parent may have held the lock."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
