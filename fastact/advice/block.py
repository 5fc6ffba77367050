"""``with fastact.advise():``, which watches a block of a notebook or of a script."""

import ast
import linecache
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from . import findings
from .findings import Findings
from .program import OWN, owned
from .recorder import Recorder

Codes = dict[tuple[str, int], types.CodeType]
"""Code objects by qualified name and first line."""


class advise:  # noqa: N801 - it is called as a function is
    """Watch what a block computes: where float32 becomes float64, and what one call of fastact computes.

    It sees the block's own lines, where the block stands at the top of a notebook's cell or of a module, and the functions and
    methods that it comes to, if they were defined in the same module, in the notebook, or in imported modules of the same folder.
    Of a block in a function it sees only the functions that are called. It does not see what was compiled by Numba, or has no
    source. Results, exceptions and random numbers are as without it.

    Parameters
    ----------
    measure : bool, default False
        Whether to time the calls of fastact that it advises, which may compile them.
    show : bool, default False
        Whether to print the report to stderr when the block ends.

    Returns
    -------
    context manager
        As which the block has the report: ``print(report)`` after the block, or let a notebook show it. ``report.findings`` holds
        what was found, ``report.save(path)`` writes a page.

    Raises
    ------
    RuntimeError
        If it is entered within itself, or a report is asked for before its block has ended.

    See Also
    --------
    fastact.elementwise : Makes a ufunc of a formula that fastact does not have.

    Notes
    -----
    ``fastact advise script.py`` does the same with a whole program, on the command line.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> x = np.ones(1000, np.float32)
    >>> with fa.advise() as report:
    ...     y = x * np.sqrt(2.0)
    >>> print(y.dtype)
    float64
    """

    def __init__(self, *, measure: bool = False, show: bool = False) -> None:
        self.measure, self.shown = measure, show
        self.findings_: Findings | None = None
        self._recorder: Recorder | None = None
        self._trees: dict[str, ast.Module | None] = {}
        self._error: BaseException | None = None
        self._trace: types.TracebackType | None = None
        self._replaced: list[tuple[types.FunctionType, types.CodeType]] = []

    @property
    def findings(self) -> Findings:
        """What was found, once the block has ended."""
        if self.findings_ is None:
            raise RuntimeError("there is no report before the block has ended")
        return self.findings_

    def __str__(self) -> str:
        from .report import text

        return text(self.findings)

    def _repr_html_(self) -> str:
        from .page import body

        return body(self.findings)

    def save(self, path: Any) -> None:
        """Write the report as a page that needs nothing else."""
        from .page import page

        Path(path).write_text(page(self.findings), encoding="utf-8")

    def __enter__(self) -> "advise":
        global _active
        if _active:
            raise RuntimeError("fastact.advise() is watching already")
        frame = sys._getframe(1)
        self._recorder = recorder = Recorder()
        self._trees, self._error = {}, None
        recorder.install()
        self._replace_functions(frame)
        _active = True
        self._name = frame.f_code.co_filename
        self._start = perf_counter()
        if frame.f_locals is frame.f_globals:
            self._run_block(frame)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if self._error is not None and error is self._error:
            self._error.__traceback__ = self._trace  # as if it had been raised where the block stands
        self._end("" if kind in (None, _Skipped) else kind.__name__)
        return kind is _Skipped

    def _end(self, ended_by: str) -> None:
        global _active
        seconds = perf_counter() - self._start
        assert self._recorder is not None
        _active = False
        self._recorder.stop()
        for function, code in self._replaced:
            function.__code__ = code
        self._replaced.clear()
        self.findings_ = findings.assemble(_named(self._name), self._recorder, seconds, ended_by, self.measure)
        self._recorder = None
        if self.shown:
            from .report import show

            show(self.findings_, sys.stderr)

    def _replace_functions(self, frame: types.FrameType) -> None:
        """Give the functions around the block code with hooks."""
        assert self._recorder is not None
        codes: dict[str, Codes] = {}
        for function in _functions(frame):
            file = function.__code__.co_filename
            if file not in codes:
                codes[file] = self._instrumented(file)
            code = codes[file].get((function.__code__.co_qualname, function.__code__.co_firstlineno))
            if code is not None and code.co_freevars == function.__code__.co_freevars:
                self._replaced.append((function, function.__code__))
                function.__code__ = code

    def _instrumented(self, file: str) -> Codes:
        tree = self._tree(file)
        if tree is None:
            return {}
        return {(code.co_qualname, code.co_firstlineno): code for code in _codes(_compiled(tree, file))}

    def _tree(self, file: str) -> ast.Module | None:
        """A file with hooks, once; ``None`` if it is none that Python can read."""
        assert self._recorder is not None
        if file not in self._trees:
            self._trees[file] = None
            text = "".join(linecache.getlines(file))
            try:
                tree = self._recorder.instrumented(file, text) if text else None
                if tree is not None:
                    _compiled(tree, file)
                self._trees[file] = tree
            except (SyntaxError, RecursionError, ValueError):
                self._recorder.sources.pop(file, None)
        return self._trees[file]

    def _run_block(self, frame: types.FrameType) -> None:
        """Run the statements of the block with hooks, and have Python pass over those without."""
        file = frame.f_code.co_filename
        tree = self._tree(file)
        block = None if tree is None else _block_at(tree, frame.f_lineno)
        if block is None or _leaves(block):
            return
        name = block.items[-1].optional_vars
        if isinstance(name, ast.Name):
            frame.f_globals[name.id] = self
        try:
            exec(_compiled(ast.Module(block.body, []), file), frame.f_globals)
        except BaseException as error:
            self._error = error
            self._trace = error.__traceback__.tb_next if error.__traceback__ else None
        _raise_next(frame, self._error or _Skipped())


def _compiled(tree: ast.Module, file: str) -> types.CodeType:
    return compile(tree, file, "exec", dont_inherit=True)


class _Skipped(BaseException):
    """Ends a block that has run already."""


_active = False


def _raise_next(frame: types.FrameType, error: BaseException) -> None:
    """Raise at the next line of a frame: that is the block's first."""
    before = sys.gettrace()

    def skip(*_: Any) -> Any:
        sys.settrace(before)
        frame.f_trace = None
        raise error

    sys.settrace(lambda *_: None)
    frame.f_trace = skip


def _block_at(tree: ast.Module, line: int) -> ast.With | None:
    """The ``with`` statement whose items stand in a line."""
    found = (x for x in ast.walk(tree) if isinstance(x, ast.With) and x.lineno <= line < x.body[0].lineno)
    return next(found, None)


def _leaves(block: ast.With) -> bool:
    """Whether a block jumps out of itself, as it may within a loop."""
    kinds = (ast.Break, ast.Continue, ast.Return, ast.Yield, ast.YieldFrom, ast.Await)
    return len(block.items) > 1 or any(isinstance(node, kinds) for node in ast.walk(block))


def _functions(frame: types.FrameType) -> Iterator[types.FunctionType]:
    """The functions and methods of a frame's module and of other modules of its folder."""
    file = Path(frame.f_code.co_filename)
    folder = file.resolve().parent if file.exists() else Path.cwd()  # of a notebook, whose cells are in no file
    spaces = [frame.f_globals, frame.f_locals]
    for module in list(sys.modules.values()):
        other = getattr(module, "__file__", None)
        if other and owned(Path(other), folder):
            spaces.append(vars(module))
    seen: set[int] = set()
    waiting = [x for space in spaces for x in list(space.values())]
    while waiting:
        x = waiting.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if isinstance(x, staticmethod | classmethod):
            waiting.append(x.__func__)
        elif isinstance(x, property):
            waiting += [f for f in (x.fget, x.fset) if f]
        elif isinstance(x, type) and x.__module__ not in ("builtins", "numpy"):
            if not (getattr(sys.modules.get(x.__module__), "__file__", None) or "").startswith(str(OWN)):
                waiting += list(vars(x).values())
        elif isinstance(x, types.FunctionType):
            own = Path(x.__code__.co_filename)
            if not own.exists() or owned(own, folder):
                yield x
                waiting += [cell.cell_contents for cell in x.__closure__ or () if _filled(cell)]
        elif not isinstance(x, types.ModuleType) and hasattr(type(x), "__dict__") and _is_users(type(x)):
            waiting.append(type(x))


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _is_users(kind: type) -> bool:
    return kind.__module__ == "__main__"


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _codes(constant)


def _named(file: str) -> str:
    return "block" if file.startswith("<") or not Path(file).exists() else f"block of {findings.shown_path(file)}"
