"""fastact: the neural-network maths that NumPy lacks, as genuine ufuncs over compiled SIMD kernels.

>>> import numpy as np
>>> import fastact as fa
>>> fa.relu(np.array([-1.0, 2.0], dtype=np.float32))
array([0., 2.], dtype=float32)

Every op is a record in ``fastact.ops``; ``fastact.reference`` holds the same functions in plain NumPy. Importing this package
imports NumPy and nothing heavier: kernels are compiled, or loaded from the disk cache, when they are first called.
"""

from importlib import import_module
from typing import Any

from fastact.custom import elementwise as elementwise
from fastact.functions.elementwise import OPS as ops
from fastact.runtime.exceptions import CompilationError as CompilationError
from fastact.runtime.threads import get_num_threads as get_num_threads
from fastact.runtime.threads import set_num_threads as set_num_threads
from fastact.runtime.threads import threads as threads
from fastact.runtime.uninterrupted import first_import as _first_import
from fastact.table import function as _function
from fastact.table import names as _names
from fastact.warm import show_config as show_config
from fastact.warm import warmup as warmup

__version__ = "0.1.0"

_NOT_IN_THE_TABLE = (
    "CompilationError",
    "accelerate",
    "accelerated",
    "advise",
    "elementwise",
    "get_num_threads",
    "keep_memory",
    "ops",
    "release_memory",
    "set_num_threads",
    "show_config",
    "threads",
    "warmup",
)


_LATER = {
    "accelerate": "fastact.acceleration",
    "accelerated": "fastact.acceleration",
    "advise": "fastact.advice.block",
    "keep_memory": "fastact.keeping",
    "release_memory": "fastact.keeping",
}
"""Public names that are no functions of the table, and the modules that are imported when they are first asked for."""


def __getattr__(name: str) -> Any:
    """Build or import a public function when it is first asked for, and ``__all__``, which is in the whole table (PEP 562)."""
    if name == "__all__":
        return [*_NOT_IN_THE_TABLE, *_first_import(_names)]
    try:
        if name.startswith("_"):  # which is none of ours, and no reason to import every module
            raise KeyError(name)
        globals()[name] = _first_import(lambda: _found(name))
    except KeyError:
        raise _no_attribute(name) from None
    return globals()[name]


def _found(name: str) -> Any:
    return getattr(import_module(_LATER[name]), name) if name in _LATER else _function(name).function


def _no_attribute(name: str) -> AttributeError:
    """The error for a name that is not public, which may be another library's for one that is."""
    from fastact.calls.checking import no_attribute

    known_as = {alias: op.name for op in ops.values() for alias in op.known_as}
    known = () if name.startswith("_") else __getattr__("__all__")
    return no_attribute(name, known, known_as)


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
