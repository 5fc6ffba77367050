"""The commands of ``fastact``, a module each: ``add_options(parser)``, ``run(options, parser)`` and a docstring that is its help.

A module whose name begins with an underscore is no command, but what a command is made of.
"""

import pkgutil
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

INTERRUPTED, BROKEN_PIPE = 130, 141
"""Exit statuses: what a shell reports of programs that such a signal ends."""


def require_writable(file: Path) -> None:
    """Raise ``OSError`` now, and not after all the work, if a file cannot be written."""
    existed = file.exists()
    with file.open("a"):
        pass
    if not existed:
        file.unlink()


def is_open(file: Any) -> bool:
    """Whether a standard stream is there to be written to: a program that was run may have closed it, or taken it away."""
    return file is not None and not getattr(file, "closed", False)


def flush_stdout() -> None:
    """Write out what has been printed, as Python does when it exits."""
    if is_open(sys.stdout):
        sys.stdout.flush()


def commands() -> dict[str, ModuleType]:
    """Every command by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return {name: import_module(f"{__name__}.{name}") for name in names}
