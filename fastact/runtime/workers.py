"""The team's start: its code is loaded, and its workers are made, when a call first wants them."""

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from fastact.kernels import fields
from fastact.runtime import records, threads

NAME = b"fastact"
"""What ``top -H`` shows."""
STACK_BYTES = 2**20
"""Of a worker's stack; a kernel takes less than a quarter."""
SIGNAL_SET_BYTES, ATTRIBUTE_BYTES, DETACHED = 128, 128, 1
"""Of the C library's ``sigset_t``; of its ``pthread_attr_t``, at most; and ``PTHREAD_CREATE_DETACHED``."""


def supported() -> bool:
    """Whether there is a team on this system: it uses what only Linux has."""
    return sys.platform == "linux"


def parallel_from(cost: float) -> int:
    """How many elements make threads worth a thought, of a kernel that takes so many nanoseconds for one."""
    return max(1, int(fields.SMALLEST_WORK / cost)) if supported() else fields.NEVER


@cache
def _code(name: str) -> int:
    """The address of a compiled function of the team."""
    from fastact.runtime import cache as disk

    def source() -> Callable[..., Any]:
        from fastact.runtime import driver, team

        return {"run_parallel": driver.run_parallel, "serve": team.serve}[name]

    return disk.loaded(f"team.{name}", source)


@cache
def load_driver() -> int:
    """Load the driver, which takes all large arrays from then on; return its address.

    The first large array's inner loop calls this, uninterrupted.
    """
    entry = _code("run_parallel")
    records.team[fields.THREADS] = threads.num_threads_of_all()
    records.team[fields.MOST] = _most()
    records.set_driver(entry)
    return entry


def start() -> None:
    """Load and start all that calls with threads need."""
    if supported():
        load_driver()
        start_workers()  # which compiles what they do also where one thread is enough


def _most() -> int:
    """Number of workers that have a processor beside the caller's: more would take turns."""
    return threads.processors() - 1


def start_workers() -> None:
    """Make as many workers as the caller's number of threads asks for, or as the system allows.

    The driver calls this, uninterrupted, for a call that wants more than there are. If some cannot be had, nobody asks again.
    """
    team, wanted = records.team, min(threads.get_num_threads() - 1, records.team[fields.MOST])
    team[fields.MOST], most = team[fields.WORKERS], team[fields.MOST]
    serve = _code("serve")
    while team[fields.WORKERS] < wanted:
        if not _made(serve):
            return
        team[fields.WORKERS] += 1
        team[fields.MOST] = team[fields.WORKERS]
    team[fields.MOST] = most


@cache
def thread_attributes() -> records.Record:
    """What the C library makes our threads by: with small stacks, and nobody waits for their end; never freed."""
    system, attributes = ctypes.CDLL(None), records.lasting(ATTRIBUTE_BYTES // 8)
    system.pthread_attr_init(attributes)
    system.pthread_attr_setstacksize(attributes, ctypes.c_size_t(STACK_BYTES))
    system.pthread_attr_setdetachstate(attributes, DETACHED)
    return attributes


def _made(address: int) -> bool:
    """Make a thread that runs compiled code for as long as the process lives; whether the system had one for us.

    Python knows nothing of it: it takes no signals, and the interpreter does not wait for it at its exit.
    """
    import signal

    system = ctypes.CDLL(None)
    thread, attributes = ctypes.c_ulong(), thread_attributes()
    every = ctypes.create_string_buffer(b"\xff" * SIGNAL_SET_BYTES, SIGNAL_SET_BYTES)
    before = ctypes.create_string_buffer(SIGNAL_SET_BYTES)
    system.pthread_sigmask(signal.SIG_BLOCK, every, before)  # a thread begins with its maker's
    failed = system.pthread_create(
        ctypes.byref(thread), attributes, ctypes.c_void_p(address), ctypes.byref(records.team)
    )
    system.pthread_sigmask(signal.SIG_SETMASK, before, None)
    if not failed:
        system.pthread_setname_np(thread, NAME)
    return not failed


def _forget_team() -> None:
    """In a forked child, which has none of its parent's workers and makes its own when it wants them."""
    records.forget_team(_most())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_team)
