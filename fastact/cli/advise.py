"""Run a program, and say where it leaves float32 and what one call of fastact computes.

``fastact advise script.py [ARGUMENT ...]`` or ``fastact advise -m module [ARGUMENT ...]``; options of advise come first. The
program runs as it would by itself, to the same output and exit status; what was found follows on stderr: by line, with the time
that it took. Seen are the script and the modules of its folder. With ``--measure``, the calls of fastact that are advised are
timed on random arrays of the same shapes; they may take some seconds to compile.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from fastact.cli import flush_stdout, is_open, require_writable


def add_options(parser: argparse.ArgumentParser) -> None:
    """What to run, and where the report goes."""
    parser.usage = (
        "%(prog)s [OPTION ...] script.py [ARGUMENT ...]\n       %(prog)s [OPTION ...] -m MODULE [ARGUMENT ...]"
    )
    parser.add_argument(
        "-m", dest="module", nargs=argparse.REMAINDER, metavar="MODULE", help="a module, and its arguments"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with the source, a bar at each line")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="rows of a table; default 10")
    parser.add_argument("--measure", action="store_true", help="time the calls that are advised; may compile")
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="script.py [ARGUMENT ...]", help="what to run")


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run the program and report; the exit status is the program's."""
    from fastact import running
    from fastact.advice import program

    as_module = options.module is not None
    if as_module and options.program:
        parser.error("name a script or a module, not both")
    target, *arguments = options.module or options.program or [None]
    if target is None:
        parser.error("name a script, or a module after -m")
    if options.top < 1:
        parser.error("--top must be at least 1")
    files = [file.absolute() for file in (options.html, options.json) if file]
    try:
        for file in files:
            require_writable(file)
    except OSError as error:
        print(f"fastact advise: cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    process, stderr = os.getpid(), sys.stderr  # the program may put another into its place
    try:
        done = program.run(target, arguments, as_module)
    except running.NoProgramError as error:
        print(f"fastact advise: {error}", file=sys.stderr)
        return 2
    if os.getpid() == process:  # and not of a child that the program has forked
        _report(done, options, " ".join(["-m", target] if as_module else [target]), files, stderr)
    return done.status


def _report(done: object, options: argparse.Namespace, name: str, files: list[Path], stderr: Any) -> None:
    from fastact.advice import findings, page, program, report

    assert isinstance(done, program.Run)
    flush_stdout()
    found = findings.assemble(name, done.recorder, done.seconds, done.ended_by, options.measure)
    if is_open(stderr):
        print(file=stderr)
        report.show(found, stderr, options.top)
    if options.html:
        files.pop(0).write_text(page.page(found), encoding="utf-8")
    if options.json:
        files.pop(0).write_text(json.dumps(found.as_json(), indent=1) + "\n", encoding="utf-8")
