"""Work that must not be torn apart: imports and compilation.

A signal's handler, Ctrl-C's for one, may raise between any two steps of the main thread. Numba and LLVM do not survive that:
modules stay half imported, memory is freed twice. Nor would a child survive that is forked while another thread compiles, nor
compilation the small stack that a server may give its threads.
"""

import _thread
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

T = TypeVar("T")

STACK_BYTES = 2**24
LONGEST = 60.0
"""Seconds that a fork waits at most: a child that cannot compile is better than none."""
LOST_AFTER = 0.1
"""Seconds after which a caller looks whether its worker exists: it does not in a child that a signal's handler has forked."""

_lock = threading.RLock()
_imports = threading.RLock()
_guarded_before_logging = False
_holder = 0
"""The thread that works, by ``threading.get_ident()``."""


def uninterrupted(function: Callable[[], T]) -> T:
    """Call a function, one such call at a time, in a thread of its own, in which no signal's handler runs.

    A caller that is interrupted meanwhile goes on with its exception at once, and the call is finished behind its back.
    """
    with _lock:
        _guard_forks_before_logging()
    if _holder == threading.get_ident() or _importing():
        return _alone(function)
    working = threading.Lock()  # no Event, whose own lock a fork might catch in the worker's hands
    working.acquire()
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(_alone(function))
        except BaseException as error:
            errors.append(error)
        finally:
            working.release()

    def begin() -> None:
        with contextlib.suppress(Exception):  # whatever it is, the caller must not wait
            before = threading.stack_size(STACK_BYTES)
            try:
                threading.Thread(target=work, name="fastact", daemon=False).start()
                return
            finally:
                threading.stack_size(before)
        working.release()

    caller = os.getpid()
    try:
        # Who starts a ``Thread`` waits until it runs: in a child that a signal's handler forks meanwhile, forever.
        _thread.start_new_thread(begin, ())
    except RuntimeError:
        return _alone(function)
    while not working.acquire(timeout=LOST_AFTER):
        if os.getpid() != caller:
            break
    if not results and not errors:
        # This is the child, without the worker; or the system has no thread for us, or the interpreter is about to end.
        return _alone(function)
    for error in errors:
        raise error
    return results[0]


def first_import(function: Callable[[], T]) -> T:
    """Call a function that imports modules; no fork of another thread happens meanwhile, whose child could never import them."""
    with _imports:
        return function()


def _alone(function: Callable[[], T]) -> T:
    global _holder
    with _lock:
        before, _holder = _holder, threading.get_ident()
        try:
            return function()
        finally:
            _holder = before


def _importing() -> bool:
    """Whether the caller is a module that is being imported: another thread that needs this module would wait forever."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _guard_forks() -> None:
    """Let forks of other threads wait until the work is done, first when this module is imported.

    Hooks before a fork run in the reverse order of registration. Those of ``logging``, which Numba writes to, take its locks:
    before the first work ours are registered once more, so as to come before them. (To import ``logging`` takes long, and forks
    have to wait for that as well: the child could never import it again.)
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_wait, after_in_parent=_release, after_in_child=_renew)


def _guard_forks_before_logging() -> None:
    global _guarded_before_logging
    if not _guarded_before_logging:
        import logging  # noqa: F401

        _guard_forks()
        _guarded_before_logging = True


def _wait() -> None:
    before = _guarded_before_logging
    _lock.acquire(timeout=LONGEST)
    _imports.acquire(timeout=LONGEST)
    if _guarded_before_logging and not before:
        # Its hook after the fork, registered meanwhile, will release what its hook before the fork came too late to acquire.
        sys.modules["logging"]._lock.acquire()


def _release() -> None:
    for lock in (_imports, _lock):
        with contextlib.suppress(RuntimeError):  # the forking thread had not got the lock
            lock.release()


def _renew() -> None:
    global _lock, _imports, _holder
    _lock, _imports, _holder = threading.RLock(), threading.RLock(), 0


_guard_forks()
