"""How many threads: what the user, the system and its quotas say."""

import contextlib
import ctypes
import math
import os
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache
from typing import Any

from fastact.kernels import fields
from fastact.runtime import records

CGROUP, OWN_CGROUPS = "/sys/fs/cgroup", "/proc/self/cgroup"
MANY = 2**31
"""A number of threads that fits where compiled code reads it, and is more than there are."""

_lock = threading.RLock()
_wanted: int | None = None


class _OwnNumber(int):
    """A number of threads of some contexts' own. It lives as long as one of them does, which may be longer than the block."""

    def __new__(cls, n: int) -> "_OwnNumber":
        number = super().__new__(cls, min(n, MANY))
        _count(number, True)
        return number

    def __del__(self) -> None:
        _count(self, False)


_living: set[int] = set()
_own: ContextVar[int] = ContextVar("fastact.threads", default=0)
"""What ``threads`` set in this context, 0 outside of it."""
_blocks: ContextVar[tuple[tuple[object, _OwnNumber], ...]] = ContextVar("fastact.blocks", default=())
"""The blocks of ``threads`` that this context is in, and their numbers; the last one's holds."""


def _set_blocks(blocks: tuple[tuple[object, _OwnNumber], ...]) -> None:
    """Let this context be in these blocks; compiled code asks for the number alone."""
    _blocks.set(blocks)
    _own.set(blocks[-1][1] if blocks else 0)


def _count(number: _OwnNumber, living: bool) -> None:
    """Count the numbers that contexts have of their own; the driver asks only if there are any.

    A finaliser may run between any two steps of another call: the count is then too high for a moment, never too low.
    """
    with _lock:
        (_living.add if living else _living.discard)(id(number))
        records.team[fields.OWN] = len(_living)


def get_num_threads() -> int:
    """Return the number of threads that large arrays are computed with.

    Returns
    -------
    int
        Inside `threads` its number; else the one set by `set_num_threads`; else the number of processors that this
        process may use: its affinity mask, limited by its cgroup's processor quota and by ``FASTACT_NUM_THREADS``.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.get_num_threads() >= 1
    True
    """
    return int(_own.get()) or num_threads_of_all()


def num_threads_of_all() -> int:
    """Number of threads outside of `threads`."""
    return default_num_threads()[0] if _wanted is None else _wanted


def set_num_threads(n: int) -> None:
    """Set the number of threads that large arrays are computed with, whichever thread calls.

    Inside `threads` it sets what holds until the end of the block.

    Parameters
    ----------
    n : int
        At least 1. It is remembered as it is, but no more threads compute than the process has processors: with 100 on two
        processors two do.

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is less than 1.

    Examples
    --------
    >>> import fastact as fa
    >>> before = fa.get_num_threads()
    >>> fa.set_num_threads(1)
    >>> fa.get_num_threads()
    1
    >>> fa.set_num_threads(before)
    """
    global _wanted
    _check(n)
    if _own.get():
        *outer, (block, _) = _blocks.get()
        _set_blocks((*outer, (block, _OwnNumber(n))))
        return
    with _lock:
        _wanted = n
        records.team[fields.THREADS] = min(n, MANY)


@contextlib.contextmanager
def threads(n: int) -> Iterator[None]:
    """Compute with `n` threads inside a ``with`` block.

    This holds in the context (`contextvars.Context`) that entered the block: in this thread, and among the tasks of asyncio in
    this task and those that it starts. Blocks nest.

    Parameters
    ----------
    n : int
        At least 1. It is remembered as it is, but no more threads compute than the process has processors: with 100 on two
        processors two do.

    Examples
    --------
    >>> import fastact as fa
    >>> with fa.threads(1):
    ...     fa.get_num_threads()
    1
    """
    _check(n)
    block = object()
    _answer_for_own()
    _set_blocks((*_blocks.get(), (block, _OwnNumber(n))))
    try:
        yield
    finally:  # of generators and managers, perhaps in another order than they began
        _set_blocks(tuple(entry for entry in _blocks.get() if entry[0] is not block))


@cache
def _answer_for_own() -> Any:
    """Let the driver ask for the caller's own number; the answer is kept for as long as the process lives."""
    answer = ctypes.CFUNCTYPE(ctypes.c_int64)(_own.get)  # no Python code, into which a signal's handler could raise
    records.team[fields.ASK_OWN] = ctypes.cast(answer, ctypes.c_void_p).value or 0
    return answer


def _check(n: int) -> None:
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"n must be an integer, got {type(n).__name__}")
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")


@cache
def default_num_threads() -> tuple[int, str]:
    """The default number of threads and why that many."""
    limits = {}  # of equal ones the first is named: what the user asked for
    text = os.environ.get("FASTACT_NUM_THREADS", "").strip()
    if text:
        if not (text.isascii() and text.isdigit()) or int(text) < 1:
            raise ValueError(f"FASTACT_NUM_THREADS must be a positive integer, got {text!r}")
        limits[f"FASTACT_NUM_THREADS={text}"] = int(text)
    limits[f"affinity of {processors()} processors"] = processors()
    if sys.platform != "linux":
        limits[f"no threads on {sys.platform}"] = 1
    quota = _cgroup_quota()
    if quota is not None:
        limits[f"cgroup quota of {quota:g} processors"] = max(1, math.floor(quota))
    reason = min(limits, key=lambda name: limits[name])
    return limits[reason], reason


def explanation() -> str:
    """Number of threads, and why that many."""
    default, reason = default_num_threads()
    if _own.get():
        return f"{get_num_threads()} (inside threads; default {default}: {reason})"
    if _wanted is None:
        return f"{default} ({reason})"
    used = f", of which {processors()} compute, one for each processor" if _wanted > processors() else ""
    return f"{_wanted} (set_num_threads{used}; default {default}: {reason})"


def processors() -> int:
    """Number of processors that this process may run on: its first thread, for the caller's may have been given fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(os.getpid()))
    return os.cpu_count() or 1


def _cgroup_quota() -> float | None:
    """The processors that the quota of this process's control group, or of one above it, amounts to; ``None`` without a quota."""
    return min(filter(None, map(_quota, cgroups("cpu"))), default=None)


def cgroups(controller: str) -> Iterator[str]:
    """The folders of the process's control groups, of version 2 and of version 1's controller of that name, up to the root.

    A container's own group is the root that it sees, whatever the path is that the system names.
    """
    lines = ["0::/", f"1:{controller}:/"]
    with contextlib.suppress(OSError), open(OWN_CGROUPS) as file:
        lines = file.read().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        folder = os.path.join(CGROUP, controller * bool(controllers), path.strip("/"))
        while folder.startswith(CGROUP):
            yield folder
            folder = os.path.dirname(folder)


def _quota(folder: str) -> float | None:
    """The processors that a control group's own quota amounts to (version 2, then 1)."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = text_of(folder, "cpu.max").split()
        return None if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):
        quota, period = text_of(folder, "cpu.cfs_quota_us"), text_of(folder, "cpu.cfs_period_us")
        return int(quota) / int(period) if int(quota) > 0 else None
    return None


def text_of(folder: str, name: str) -> str:
    """What a file of a control group says."""
    with open(os.path.join(folder, name)) as file:
        return file.read()


def _renew_lock() -> None:
    """In a forked child: another thread of its parent may have held the lock."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
