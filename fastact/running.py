"""Runs a script or a module as Python itself would: as ``__main__``, with its ``sys.argv`` and ``sys.path``, to its exit status."""

import builtins
import importlib.machinery
import importlib.util
import os
import pkgutil
import sys
import threading
import traceback
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INTERRUPTED = 130


class NoProgramError(Exception):
    """There is no such script or module."""


@dataclass(frozen=True)
class Program:
    """What is to be run."""

    main: types.ModuleType
    """An empty module, with the attributes that ``__main__`` has."""
    name: str
    """``sys.argv[0]``."""
    place: str
    """``sys.path[0]``."""
    file: str
    text: str | None
    """``None`` of a module that is there without its source."""

    def code(self) -> types.CodeType:
        """What Python makes of it."""
        if self.text is not None:
            return compile(self.text, self.file, "exec", dont_inherit=True)
        code: types.CodeType = self.main.__loader__.get_code(self.main.__spec__.name)  # type: ignore[union-attr]
        return code


@dataclass(frozen=True)
class Ended:
    """How a program has ended."""

    status: int
    error: BaseException | None = None
    """What ended it, but for `SystemExit`."""


def find(target: str, as_module: bool = False) -> Program:
    """The program that ``python target`` runs, or ``python -m target``."""
    if as_module:
        return _module(target)
    file = os.path.join(os.getcwd(), target)  # as Python shows it: not normalised
    importer = pkgutil.get_importer(file)
    return _script(target, file) if importer is None else _folder(target, file, importer)


def run(program: Program, arguments: Sequence[str], code: Callable[[], types.CodeType] | None = None) -> Ended:
    """Run a program, with the threads that it leaves behind; ``code`` gives what is run in place of its own code."""
    sys.argv = [program.name, *arguments]
    _set_place(program.place)
    sys.modules["__main__"] = program.main
    try:
        try:
            exec((code or program.code)(), vars(program.main))
        finally:
            for thread in threading.enumerate():
                if thread is not threading.current_thread() and not thread.daemon:
                    thread.join()
    except SystemExit as error:
        return Ended(_exit_status(error))
    except BaseException as error:
        return Ended(INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1, error)
    return Ended(0)


def show(error: BaseException, program: Program) -> None:
    """Print the traceback as Python would: from the program's first line on."""
    shown = error.__traceback__
    while shown is not None and shown.tb_frame.f_globals is not vars(program.main):
        shown = shown.tb_next
    sys.stdout.flush()
    try:
        sys.excepthook(type(error), error.with_traceback(shown), shown)
    except Exception:
        traceback.print_exception(error)


def _set_place(place: str) -> None:
    if not sys.flags.safe_path:
        sys.path[0] = place


def _script(target: str, file: str) -> Program:
    path = Path(target)
    try:
        text = importlib.util.decode_source(path.read_bytes())
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise NoProgramError(f"cannot read {target}: {getattr(error, 'strerror', None) or error}") from None
    loader = importlib.machinery.SourceFileLoader("__main__", file)
    return Program(_main(file, loader), target, str(path.resolve().parent), file, text)


def _folder(target: str, place: str, importer: Any) -> Program:
    """The ``__main__.py`` of a folder or of an archive."""
    spec = importer.find_spec("__main__")
    if spec is None:
        raise NoProgramError(f"cannot find a file __main__.py in {target}")
    return _of(spec, target, place)


def _module(target: str) -> Program:
    place = os.getcwd()
    _set_place(place)
    try:
        spec = importlib.util.find_spec(target)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{target}.__main__")
    except (ImportError, ValueError) as error:
        raise NoProgramError(f"no module named {target}: {error}") from None
    if spec is None:
        raise NoProgramError(f"no module named {target}")
    return _of(spec, spec.origin or target, place)


def _of(spec: importlib.machinery.ModuleSpec, name: str, place: str) -> Program:
    loader: Any = spec.loader
    file = spec.origin or spec.name
    try:
        text = loader.get_source(spec.name)
        known = text is not None or loader.get_code(spec.name) is not None
    except (AttributeError, ImportError) as error:
        raise NoProgramError(f"cannot read {file}: {error}") from None
    if not known:
        raise NoProgramError(f"there is no Python code in {file}")
    return Program(_main(file, loader, spec), name, place, file, text)


def _main(file: str, loader: Any, spec: importlib.machinery.ModuleSpec | None = None) -> types.ModuleType:
    program = types.ModuleType("__main__")
    vars(program).update(
        __file__=file,
        __builtins__=builtins,
        __cached__=spec and spec.cached,
        __loader__=loader,
        __spec__=spec,
        __package__=spec and spec.parent,
        __annotations__={},
    )
    return program


def _exit_status(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code
    print(error.code, file=sys.stderr)
    return 1
