"""fastact: the neural-network maths that NumPy lacks, as genuine ufuncs over compiled SIMD kernels.

>>> import numpy as np
>>> import fastact as fa
>>> fa.relu(np.array([-1.0, 2.0], dtype=np.float32))
array([0., 2.], dtype=float32)

Every op is a record in ``fastact.ops``; ``fastact.reference`` holds the same functions in plain NumPy. Importing this package
imports NumPy and nothing heavier: kernels are compiled, or loaded from the disk cache, when they are first called.
"""

from typing import Any

from fastact import activations as _activations
from fastact import gates as _gates
from fastact.custom import elementwise
from fastact.engine.exceptions import CompilationError
from fastact.engine.threads import get_num_threads, set_num_threads, threads
from fastact.engine.uninterrupted import first_import as _first_import
from fastact.functions import FUNCTIONS as _FUNCTIONS
from fastact.functions import function as _other_function
from fastact.registry import OPS as ops
from fastact.registry import public_function as _public_function
from fastact.registry import public_names as _public_names
from fastact.rows import NAMES as _ROWS
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
    *_public_names(),
    *_FUNCTIONS,
    *_ROWS,
]

del _activations, _gates


def __getattr__(name: str) -> Any:
    """Build an op's function, or import another one, when it is first asked for (PEP 562)."""
    try:
        globals()[name] = _first_import(lambda: _found(name))
    except KeyError:
        raise _no_attribute(name) from None
    return globals()[name]


def _found(name: str) -> Any:
    """Find or build a public function; ``KeyError`` if there is none."""
    if name in _ROWS:
        from fastact.rows import ROW_OPS

        return ROW_OPS[name].function
    return _other_function(name) if name in _FUNCTIONS else _public_function(name)


def _no_attribute(name: str) -> AttributeError:
    """The error for a name that is not public, which may be another library's for one that is."""
    from fastact.calling import no_attribute

    known_as = {alias: op.name for op in ops.values() for alias in op.known_as}
    return no_attribute(name, __all__, known_as)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
