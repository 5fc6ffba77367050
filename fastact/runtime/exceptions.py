"""Raising exceptions in the caller of an inner loop, which has no way to return one.

ctypes swallows an exception that leaves a callback, and NumPy does not ask a float loop for one. So the exception is left for the
interpreter as an asynchronous one of the caller's thread, which it raises as soon as the ufunc has returned. But NumPy may call the
loop again before that, for the next piece of an array that it converts, or of a strided one. The interpreter would raise the
exception as soon as the callback begins, and ctypes would swallow it. So it is caught before: ctypes makes the callback's first
argument, whose type is ours, and that runs a function of which ``getattr`` forgives the exception. The callback then leaves it once
more.
"""

import ctypes
import sys
import threading
from functools import partial
from typing import Any

_left: dict[int, BaseException] = {}
"""What has been left for each thread, by ``threading.get_ident()``, until the interpreter has raised it in the caller."""

_set_async_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_async_exception.argtypes, _set_async_exception.restype = [ctypes.c_ulong, ctypes.py_object], ctypes.c_int


class _Conductor:
    """What the lightning strikes: an exception that waits is raised when its function begins, as an ``AttributeError``."""

    def __getattr__(self, name: str) -> None:
        return None


class _Entered(ctypes.c_void_p):
    """A pointer; when one is made, no exception waits in this thread any more."""

    __init__: Any = staticmethod(partial(getattr, _Conductor(), "struck", None))


LOOP = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)
"""NumPy's ``void loop(char **args, npy_intp *dims, npy_intp *steps, void *data)``."""
CALLBACK = ctypes.CFUNCTYPE(None, _Entered, *[ctypes.c_void_p] * 3)
"""The type of a loop that may leave an exception."""


class CompilationError(RuntimeError):
    """A kernel could not be compiled; ``__cause__`` says why."""


def raise_in_caller(error: BaseException) -> None:
    """Leave an exception to be raised where the ufunc was called; a callback does so last of all.

    The interpreter looks for asynchronous exceptions after each *call*, those of this function and of the callback included;
    unpacking an iterator is none.
    """
    thread = threading.get_ident()
    _left[thread] = error

    def taken(_: type, *instead: BaseException) -> BaseException:
        if instead:  # while another exception is being handled, the interpreter calls it once more, with what the first call gave
            return instead[0]
        frame = sys._getframe().f_back  # none where nothing is left but to print the exception
        if frame is not None and frame.f_code is _Conductor.__getattr__.__code__:
            return AttributeError()
        _left.pop(thread, None)
        return error

    # The interpreter is given a class, and raises what a call of it returns; some versions call it when somebody looks.
    carrier = type(type(error).__name__, (AttributeError,), {"__new__": taken})
    (_,) = map(_set_async_exception, (thread,), (carrier,))


def raise_again() -> None:
    """Raise what an earlier call of the loop has left in this thread, if nobody has taken it."""
    error = _left.get(threading.get_ident())
    if error is not None:
        raise error
