"""Runs a script or a module under a recorder, as Python itself would run it."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from fastact import running

from .recorder import Recorder

OTHERS = ("site-packages", "dist-packages", ".venv", "venv", ".tox", ".nox")
"""Folders below a program's own in which other people's modules lie."""
OWN = Path(__file__).resolve().parent.parent


@dataclass
class Run:
    """A program that has ended."""

    recorder: Recorder
    seconds: float
    status: int
    ended_by: str = ""
    """The name of the exception that ended it, if one did."""


def run(target: str, arguments: Sequence[str], as_module: bool = False) -> Run:
    """Run a script, or a module by name, with its arguments; whatever ends it, there is something to report."""
    program = running.find(target, as_module)
    text = program.text
    if text is None:
        raise running.NoProgramError(f"there is no source of {target}")
    recorder = Recorder()
    finder = _Finder(recorder, Path(program.file).resolve().parent)
    sys.meta_path.insert(0, finder)
    recorder.install()
    start = perf_counter()
    ended = running.run(program, arguments, lambda: compiled(recorder, program.file, text))
    if ended.error is not None:
        _end_before_hooks(ended.error)
        running.show(ended.error, program)
    seconds = perf_counter() - start
    recorder.stop()
    sys.meta_path.remove(finder)
    return Run(recorder, seconds, ended.status, type(ended.error).__name__ if ended.error is not None else "")


def compiled(recorder: Recorder, file: str, text: str) -> types.CodeType:
    """A file's code with hooks; without them if they were too much for the compiler."""
    try:
        return compile(recorder.instrumented(file, text), file, "exec", dont_inherit=True)
    except (SyntaxError, RecursionError, ValueError):
        recorder.sources.pop(file, None)
    return compile(text, file, "exec", dont_inherit=True)  # an error of the program's own is the only one


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of a program's own folder, and has them rewritten too."""

    def __init__(self, recorder: Recorder, folder: Path) -> None:
        self.recorder, self.folder = recorder, folder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            return None
        if not spec.origin or not owned(Path(spec.origin), self.folder):
            return None
        spec.loader = _Loader(spec.loader.name, spec.loader.path, self.recorder)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles with hooks, and neither reads nor writes what Python keeps of compiled files."""

    def __init__(self, name: str, path: str, recorder: Recorder) -> None:
        super().__init__(name, path)
        self.recorder = recorder

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return compiled(self.recorder, path, importlib.util.decode_source(self.get_data(path)))


def owned(file: Path, folder: Path) -> bool:
    """Whether a file is a program's own: below its folder, and not among installed packages or fastact's files."""
    file = file.resolve()
    if not file.is_relative_to(folder) or file.is_relative_to(OWN):
        return False
    return not set(OTHERS) & set(file.relative_to(folder).parts)


def _end_before_hooks(error: BaseException) -> None:
    """Take from a traceback the frames of a hook, which an interrupt may have met."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        if Path(last.tb_next.tb_frame.f_code.co_filename) == OWN / "advice" / "recorder.py":
            last.tb_next = None
        last = last.tb_next
