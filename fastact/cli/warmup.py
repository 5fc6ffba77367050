"""Compile every kernel ahead of time, for an image of a container or before the first request.

What is in the cache already is only loaded. Set FASTACT_CACHE_DIR, here and where the kernels are used, to keep them in a
directory of your choice; they serve processors of the kind that they were compiled on.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from fastact import warm
from fastact.cli import INTERRUPTED
from fastact.engine import cache
from fastact.engine.ufunc import DTYPES

COMPANIONS = ("_backward", "_with_grad", "_with_index")
"""What is compiled along with an op: the functions named after it."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What to compile."""
    several: dict[str, Any] = {"nargs": "+", "action": "extend"}
    parser.add_argument("--op", **several, metavar="OP", help="ops such as gelu, each with its gradient; default all")
    parser.add_argument("--dtype", **several, metavar="DTYPE", help=f"of {', '.join(DTYPES)}; default all")


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
        advance = _bar(shown, len(names) * len(dtypes))
        _leave_at_once_if_interrupted(shown)
        warm.warmup(names, dtypes, advance)
    after, seconds = cache.usage(), time.perf_counter() - start
    added, functions = after.kernels - before.kernels, f"{len(names)} function{'s' * (len(names) > 1)}"
    print(f"{functions} for {', '.join(dtypes)}: {added} kernels compiled in {seconds:.1f} s; {after} in {directory}")
    return 0


def _names(wanted: list[str] | None, parser: argparse.ArgumentParser) -> list[str]:
    """The functions of some ops, each once."""
    functions = {name: {name, _op(name)} for name in warm.known_names()}
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


def _bar(shown: contextlib.ExitStack, total: int) -> Callable[[str], object] | None:
    """What advances a bar, if anybody is there to see it and Rich is there to draw it."""
    if not sys.stdout.isatty():
        return None
    try:
        from rich.progress import Progress
    except ImportError:
        return None
    bar = shown.enter_context(Progress(transient=True))
    task = bar.add_task("", total=total)
    return lambda name: bar.update(task, advance=1, description=name)


def _leave_at_once_if_interrupted(shown: contextlib.ExitStack) -> None:
    """Let Ctrl-C clear away what is shown and end the process: as an exception it may be lost in a callback from LLVM."""

    def leave(*_: object) -> None:
        shown.close()
        os._exit(INTERRUPTED)

    shown.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, leave))
