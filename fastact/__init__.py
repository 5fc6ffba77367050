"""fastact: the neural-network maths that NumPy lacks, as genuine ufuncs over compiled SIMD kernels.

>>> import numpy as np
>>> import fastact as fa
>>> fa.relu(np.array([-1.0, 2.0], dtype=np.float32))
array([0., 2.], dtype=float32)

Every op is a record in ``fastact.ops``; ``fastact.reference`` holds the same functions in plain NumPy. Importing this package
imports NumPy and nothing heavier: kernels are compiled, or loaded from the disk cache, when they are first called.
"""

from typing import Any

from fastact.custom import elementwise
from fastact.functions.elementwise import OPS as ops
from fastact.runtime.exceptions import CompilationError
from fastact.runtime.threads import get_num_threads, set_num_threads, threads
from fastact.runtime.uninterrupted import first_import as _first_import
from fastact.table import function as _function
from fastact.table import names as _names
from fastact.warm import show_config, warmup

__version__ = "0.1.0"

__all__ = [
    "CompilationError",
    "elementwise",
    "get_num_threads",
    "ops",
    "set_num_threads",
    "show_config",
    "threads",
    "warmup",
    *_names(),
]


def __getattr__(name: str) -> Any:
    """Build or import a public function when it is first asked for (PEP 562)."""
    try:
        globals()[name] = _first_import(lambda: _function(name))
    except KeyError:
        raise _no_attribute(name) from None
    return globals()[name]


def _no_attribute(name: str) -> AttributeError:
    """The error for a name that is not public, which may be another library's for one that is."""
    from fastact.calls.checking import no_attribute

    known_as = {alias: op.name for op in ops.values() for alias in op.known_as}
    return no_attribute(name, __all__, known_as)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
