"""NumPy's default memory handler, in whose functions' place the memory keeper's are put.

A handler that NumPy is given by ``PyDataMem_SetHandler`` holds in one context, and a new thread begins with the default one. So the
functions of the default handler itself are replaced, all four in one public structure of which arrays hold the capsule: then they
serve every thread and context that has chosen no handler, and every array that there is. Either set of functions takes the other's
blocks, so it does not matter when a thread sees which.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from fastact.kernels import keeping
from fastact.runtime import records, workers

_DEFAULT_HANDLER = 306
"""Of NumPy's C-API: where the capsule of the default handler is."""
CAPSULE, NAME, VERSION = b"mem_handler", b"default_allocator", 1
FUNCTIONS = {"malloc": 1, "calloc": 2, "realloc": 2, "free": 2}
"""The functions of a handler, and how many integers each takes."""
LOOK_EVERY, MARK_AFTER, LEAVE_AFTER = 500_000, 1_000_000_000, 10_000_000_000
"""Microseconds from one look at what is kept to the next; nanoseconds that nobody has wanted a block, after which the system may
take its pages, and is given them."""
RAW = 0
"""The interpreter's domain of raw memory, from which newer NumPys take that of arrays."""


class _Handler(ctypes.Structure):
    """NumPy's ``PyDataMem_Handler``, version 1."""

    _fields_ = [
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("ctx", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in FUNCTIONS),
    ]


class _InterpretersAllocator(ctypes.Structure):
    """Python's ``PyMemAllocatorEx``."""

    _fields_ = [("ctx", ctypes.c_void_p), ("functions", ctypes.c_void_p * 4)]


state = records.lasting(keeping.KEEPER_FIELDS)
_holders: set[int] = set()
"""The threads that are forking and have the keeper's list meanwhile: one, but for one that was not patient enough."""


@cache
def default_handler() -> _Handler | None:
    """NumPy's own default handler; ``None`` where it is not as known."""
    get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_IsValid", ctypes.pythonapi)
    )
    table = get_pointer(np._core._multiarray_umath._ARRAY_API, None)  # type: ignore[attr-defined]
    place = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))[_DEFAULT_HANDLER]
    capsule = ctypes.cast(place, ctypes.POINTER(ctypes.py_object))[0]
    if not is_valid(capsule, CAPSULE):
        return None
    handler = _Handler.from_address(get_pointer(capsule, CAPSULE))
    return handler if (handler.name, handler.version) == (NAME, VERSION) else None


def reason_against() -> str:
    """Why memory cannot be kept here; empty if it can."""
    if not workers.supported():
        return f"memory is kept on Linux only, not on {sys.platform}"
    library = ctypes.CDLL(None)
    if not all(hasattr(library, name) for name in ("malloc_usable_size", "aligned_alloc", "madvise")):
        return "the C library does not say how large a block is"
    if _is_debugged():
        return "the interpreter's memory is being debugged"
    if default_handler() is None:
        return f"NumPy {np.__version__} has another default memory handler than the one that is known"
    return ""


def _is_debugged() -> bool:
    """Whether the interpreter's raw memory may be more than the C library's, as with ``PYTHONMALLOC=debug``."""
    if sys.flags.dev_mode or "debug" in os.environ.get("PYTHONMALLOC", ""):
        return True
    allocator = _InterpretersAllocator()
    ctypes.pythonapi.PyMem_GetAllocator(RAW, ctypes.byref(allocator))
    tracing = sys.modules.get("tracemalloc")
    return allocator.ctx is not None and not (tracing and tracing.is_tracing())


@cache
def _code() -> dict[str, int]:
    """The addresses of the keeper's functions, by name, compiled or from disk."""
    from fastact.runtime import cache as disk

    def source(name: str) -> Callable[[], Callable[..., Any]]:
        def find() -> Callable[..., Any]:
            from fastact.runtime import keeper

            function: Callable[..., Any] = getattr(keeper, name)
            return function

        return find

    integers = FUNCTIONS | {"manage": 2}
    found = {name: disk.loaded(f"keeper.{name}", source(name), integers=n) for name, n in integers.items()}
    return found | {"sweep": disk.loaded("keeper.sweep", source("sweep"))}


def load() -> None:
    """Compile the keeper, or load it from disk, and change nothing."""
    _code()


@cache
def _manage() -> Any:
    """The function that tells the keeper what to do; other threads run meanwhile."""
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(_code()["manage"])


def manage(command: int, amount: int = 0) -> int:
    """Tell the keeper what to do, if there is one; what it answers."""
    return int(_manage()(ctypes.addressof(state), command, amount)) if is_prepared() else 0


def is_prepared() -> bool:
    """Whether the keeper is loaded."""
    return bool(state[keeping.SWEEP])


@cache
def prepare() -> None:
    """Load the keeper and tell it all that it has to know; nothing of it is ever freed."""
    handler = default_handler()
    assert handler is not None
    code = _code()
    for name in FUNCTIONS:
        state[getattr(keeping, f"NUMPYS_{name.upper()}")] = getattr(handler, name)
    attributes, signals = workers.thread_attributes(), records.lasting(workers.SIGNAL_SET_BYTES // 8)
    for i in range(len(signals)):
        signals[i] = -1
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        state[keeping.TRIM] = ctypes.cast(library.malloc_trim, ctypes.c_void_p).value or 0
    state[keeping.ATTRIBUTES], state[keeping.SIGNALS] = ctypes.addressof(attributes), ctypes.addressof(signals)
    state[keeping.PERIOD] = LOOK_EVERY
    state[keeping.MARK_AFTER], state[keeping.LEAVE_AFTER] = MARK_AFTER, LEAVE_AFTER
    os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_forget)
    state[keeping.SWEEP] = code["sweep"]


def keep(most_bytes: int) -> None:
    """Let NumPy's memory be kept, up to so many bytes; what is too much now is given back."""
    handler, code = default_handler(), _code()
    assert handler is not None
    state[keeping.HUGE_PAGES] = _huge_pages()
    state[keeping.SWEEPER] = max(state[keeping.SWEEPER], 0)  # the system may have a thread by now
    state[keeping.MOST_BYTES] = most_bytes
    handler.ctx = ctypes.addressof(state)  # for good: NumPy's functions take no notice of it
    for name in FUNCTIONS:
        setattr(handler, name, code[name])
    manage(keeping.RELEASE, most_bytes)


def stop() -> int:
    """Let NumPy do as it did, and give everything back; the number of bytes."""
    handler = default_handler()
    if handler is None or not is_prepared():
        return 0
    for name in FUNCTIONS:
        setattr(handler, name, state[getattr(keeping, f"NUMPYS_{name.upper()}")])
    state[keeping.MOST_BYTES] = 0
    return manage(keeping.RELEASE)


def _huge_pages() -> bool:
    """Whether NumPy advises huge pages."""
    ask = getattr(np._core.multiarray, "_get_madvise_hugepage", None)  # type: ignore[attr-defined]
    return bool(ask()) if ask is not None else True


def _hold() -> None:
    """Before a fork: nobody is in the middle of a change of the list."""
    if manage(keeping.HOLD):
        _holders.add(threading.get_ident())


def _let_go() -> None:
    if threading.get_ident() in _holders:
        _holders.remove(threading.get_ident())
        manage(keeping.LET_GO)


def _forget() -> None:
    """In a forked child, which has no sweeper, and to which writing to its parent's pages costs more than fresh ones."""
    state[keeping.SWEEPER] = min(state[keeping.SWEEPER], 0)
    if threading.get_ident() not in _holders:  # another thread of the parent's was in the middle of something
        state[keeping.COUNT] = state[keeping.BYTES] = 0
    _holders.clear()
    state[keeping.LOCK] = 0
    manage(keeping.RELEASE)
