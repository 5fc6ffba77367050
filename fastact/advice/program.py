"""Runs a script or a module under a recorder, as Python itself would run it."""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import threading
import traceback
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from .recorder import Recorder

OTHERS = ("site-packages", "dist-packages", ".venv", "venv", ".tox", ".nox")
"""Folders below a program's own in which other people's modules lie."""
OWN = Path(__file__).resolve().parent.parent
INTERRUPTED = 130


@dataclass
class Run:
    """A program that has ended."""

    recorder: Recorder
    seconds: float
    status: int
    ended_by: str = ""
    """The name of the exception that ended it, if one did."""


class NoProgramError(Exception):
    """There is no such script or module."""


def run(target: str, arguments: Sequence[str], as_module: bool = False) -> Run:
    """Run a script, or a module by name, with its arguments; whatever ends it, there is something to report."""
    program, code_of, folder = (_module if as_module else _script)(target)
    recorder = Recorder()
    sys.argv = [program.__file__ or target if as_module else target, *arguments]
    sys.path[0] = os.getcwd() if as_module else str(folder)
    sys.modules["__main__"] = program
    finder = _Finder(recorder, folder)
    sys.meta_path.insert(0, finder)
    recorder.install()
    start = perf_counter()
    status, ended_by = 0, ""
    try:
        try:
            exec(code_of(recorder), vars(program))
        finally:
            for thread in threading.enumerate():
                if thread is not threading.current_thread() and not thread.daemon:
                    thread.join()
    except SystemExit as error:
        status = _exit_status(error)
    except BaseException as error:
        status = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
        ended_by = type(error).__name__
        _show(error)
    seconds = perf_counter() - start
    recorder.stop()
    sys.meta_path.remove(finder)
    return Run(recorder, seconds, status, ended_by)


def compiled(recorder: Recorder, file: str, text: str) -> types.CodeType:
    """A file's code with hooks; without them if they were too much for the compiler."""
    try:
        return compile(recorder.instrumented(file, text), file, "exec", dont_inherit=True)
    except (SyntaxError, RecursionError, ValueError):
        recorder.sources.pop(file, None)
        return compile(text, file, "exec", dont_inherit=True)


def _script(target: str) -> tuple[types.ModuleType, Any, Path]:
    path = Path(target)
    try:
        text = importlib.util.decode_source(path.read_bytes())
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise NoProgramError(f"cannot read {target}: {getattr(error, 'strerror', None) or error}") from None
    file = os.path.abspath(target)
    program = types.ModuleType("__main__")
    vars(program).update(
        __file__=file,
        __builtins__=__builtins__,
        __cached__=None,
        __loader__=importlib.machinery.SourceFileLoader("__main__", file),
        __annotations__={},
    )
    return program, lambda recorder: compiled(recorder, file, text), path.resolve().parent


def _module(target: str) -> tuple[types.ModuleType, Any, Path]:
    sys.path[0] = os.getcwd()
    try:
        spec = importlib.util.find_spec(target)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{target}.__main__")
    except (ImportError, ValueError) as error:
        raise NoProgramError(f"no module named {target}: {error}") from None
    if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
        raise NoProgramError(f"no module named {target} that Python code can be read of")
    file = spec.loader.get_filename()
    text = importlib.util.decode_source(spec.loader.get_data(file))
    program = types.ModuleType("__main__")
    vars(program).update(
        __file__=file,
        __builtins__=__builtins__,
        __cached__=spec.cached,
        __loader__=spec.loader,
        __spec__=spec,
        __package__=spec.parent,
        __annotations__={},
    )
    return program, lambda recorder: compiled(recorder, file, text), Path(file).resolve().parent


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


def _exit_status(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code
    print(error.code, file=sys.stderr)
    return 1


def _show(error: BaseException) -> None:
    """Print the traceback as Python would: from the program's first line on."""
    shown = error.__traceback__
    while shown is not None and Path(shown.tb_frame.f_code.co_filename).resolve().is_relative_to(OWN / "advice"):
        shown = shown.tb_next
    last = shown
    while last is not None and last.tb_next is not None:
        if Path(last.tb_next.tb_frame.f_code.co_filename) == OWN / "advice" / "recorder.py":
            last.tb_next = None  # an interrupt that met a hook
        last = last.tb_next
    sys.stdout.flush()
    try:
        sys.excepthook(type(error), error.with_traceback(shown), shown)
    except Exception:
        traceback.print_exception(error)
