"""Compile every kernel ahead of time, for an image of a container or before the first request.

What is in the cache already is only loaded. Set FASTACT_CACHE_DIR, here and where the kernels are used, to keep them in a
directory of your choice; they serve processors of the kind that they were compiled on.
"""

import argparse
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import connection
from typing import Any

from fastact import warm
from fastact.cli import INTERRUPTED
from fastact.kernels.dtypes import DTYPES
from fastact.runtime import cache, threads

LINES = 10
"""How many lines show the progress where there is no terminal."""
COMPANIONS = ("_backward", "_with_grad", "_with_index")
"""What is compiled along with an op: the functions named after it."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What to compile."""
    several: dict[str, Any] = {"nargs": "+", "action": "extend"}
    parser.add_argument("--op", **several, metavar="OP", help="ops such as gelu, each with its gradient; default all")
    parser.add_argument("--dtype", **several, metavar="DTYPE", help=f"of {', '.join(DTYPES)}; default all")
    parser.add_argument(
        "--jobs", type=_positive, metavar="N", help="processes that compile at a time; default one for each processor"
    )


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Compile, and say how much that was."""
    names, dtypes = _names(options.op, parser), list(dict.fromkeys(options.dtype or DTYPES))
    if unknown := [dtype for dtype in dtypes if dtype not in DTYPES]:
        parser.error(f"unknown dtype {', '.join(unknown)}; known are {', '.join(DTYPES)}")
    directory = cache.directory()
    if directory is None:
        print("fastact warmup: nothing can be kept: the cache is off, or no place can be written", file=sys.stderr)
        return 1
    before, start = cache.usage(), time.perf_counter()
    with contextlib.ExitStack() as shown:
        advance = _progress(shown, len(warm.tasks(names, dtypes)))
        _leave_at_once_if_interrupted(shown)
        _compile(names, dtypes, options.jobs or threads.processors(), advance)
    after, seconds = cache.usage(), time.perf_counter() - start
    added, functions = after.kernels - before.kernels, f"{len(names)} function{'s' * (len(names) > 1)}"
    print(f"{functions} for {', '.join(dtypes)}: {added} kernels compiled in {seconds:.1f} s; {after} in {directory}")
    return 0


def _names(wanted: list[str] | None, parser: argparse.ArgumentParser) -> list[str]:
    """The functions of some ops, each once."""
    functions = {name: {name, _op(name)} for name in warm.functions()}
    if wanted is None:
        return list(functions)
    if unknown := set(wanted).difference(*functions.values()):
        known = dict.fromkeys(map(_op, functions))
        parser.error(f"unknown op {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    return [name for name, called in functions.items() if called & set(wanted)]


def _op(function: str) -> str:
    """The op that a function belongs to."""
    for companion in COMPANIONS:
        function = function.removesuffix(companion)
    return function


def _compile(names: list[str], dtypes: list[str], jobs: int, advance: Callable[[str], object]) -> None:
    """Compile functions in several processes, those first that take longest, and then what all have in common."""
    tasks = warm.tasks(reversed(names), dtypes)
    if min(jobs, len(tasks)) == 1:
        warm.warmup(names, dtypes, advance)
        return
    # Not by fork, which would copy what this process holds of Numba and of locks.
    with multiprocessing.get_context("spawn").Pool(min(jobs, len(tasks)), _follow_parent) as pool:
        for task in pool.imap_unordered(_compile_one, tasks):
            advance(" ".join(task).rstrip())
    warm.warmup([], dtypes)


def _compile_one(task: tuple[str, str]) -> tuple[str, str]:
    name, dtype = task
    warm.compile_function(name, dtype)
    return task


def _follow_parent() -> None:
    """End at once and silently when the user or the parent does."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel
        threading.Thread(target=lambda: (connection.wait([sentinel]), os._exit(INTERRUPTED)), daemon=True).start()


def _progress(shown: contextlib.ExitStack, total: int) -> Callable[[str], object]:
    """What shows how much is done: a bar on a terminal, if Rich is there to draw it, else a line for each tenth."""
    if sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            from rich.progress import Progress

            bar = shown.enter_context(Progress(transient=True))
            task = bar.add_task("", total=total)
            return lambda name: bar.update(task, advance=1, description=name)
    done = 0

    def print_line(name: str) -> None:
        nonlocal done
        done += 1
        if done * LINES // total > (done - 1) * LINES // total:
            print(f"{done} of {total}: {name}", flush=True)

    return print_line


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


def _leave_at_once_if_interrupted(shown: contextlib.ExitStack) -> None:
    """Let Ctrl-C clear away what is shown and end the process: as an exception it may be lost in a callback from LLVM."""

    def leave(*_: object) -> None:
        shown.close()
        os._exit(INTERRUPTED)

    shown.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, leave))
