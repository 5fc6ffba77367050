"""A line for who waits at a terminal or in a notebook while kernels are compiled."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

PATIENCE = 1.0
"""Seconds of compiling, all calls of a process together, after which somebody who waits wants to know why."""
TEXT = "fastact: compiling for this processor, once; `fastact warmup` does that ahead of time"

_compiled = 0.0
_told = False


@contextlib.contextmanager
def of_compilation() -> Iterator[None]:
    """Say once what takes so long, if it does and somebody is there to read it."""
    global _compiled
    if _told or not _is_watched():
        yield
        return
    start = time.perf_counter()
    timer = threading.Timer(max(PATIENCE - _compiled, 0.0), _tell)
    timer.daemon = True
    with contextlib.suppress(RuntimeError):  # the system has no thread for us
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        _compiled += time.perf_counter() - start


@contextlib.contextmanager
def spared() -> Iterator[None]:
    """Say nothing of what is compiled meanwhile: who warms up knows."""
    global _told
    before, _told = _told, True
    try:
        yield
    finally:
        _told = before


def _tell() -> None:
    global _told
    if not _told:
        _told = True
        with contextlib.suppress(OSError, ValueError):
            print(TEXT, file=sys.stderr, flush=True)


def _is_watched() -> bool:
    """Whether what is written to the standard error stream appears in a terminal or in a notebook."""
    if "ipykernel" in sys.modules:
        return True
    with contextlib.suppress(Exception):
        return sys.stderr.isatty()
    return False
