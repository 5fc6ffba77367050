"""Compiling everything ahead of time, and saying what fastact found on this machine."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastact import table
from fastact.functions.record import drawn
from fastact.kernels.dtypes import DTYPES
from fastact.runtime import notice, numpy_memory, threads, workers
from fastact.runtime.uninterrupted import uninterrupted

KEEPER = "keep_memory"
"""What is no function of the table and has kernels all the same: they take bytes, and no dtype."""
NUMPYS = "numpy."
"""What the names of functions of ``fastact.numpy`` begin with, which `accelerate` takes too."""


def warmup(
    names: Iterable[str] | None = None,
    dtypes: Iterable[str] = DTYPES,
    progress: Callable[[str], object] | None = None,
) -> None:
    """Compile functions for whatever they may be called with, or load them from the cache; also start the threads.

    Parameters
    ----------
    names : iterable of str, optional
        Public function names such as ``"gelu"``, ``"gelu_backward"`` and ``"keep_memory"``, and such as ``"numpy.exp"`` for what
        `fastact.numpy` and `accelerate` put in NumPy's place; all of them by default.
    dtypes : iterable of str, default ("float16", "float32", "float64")
        The dtypes to compile for.
    progress : callable, optional
        Called with ``"name dtype"`` after each one, with ``"keep_memory"`` alone after that.

    Raises
    ------
    ValueError
        If a name or a dtype is unknown.
    TypeError
        If `names` or `dtypes` is one name instead of several, or `progress` is nothing to call.

    Notes
    -----
    Left to a first call are activations of `bias_activation` other than "gelu" and "elu", and large arrays with an array for a
    parameter, but for the slopes of `prelu`.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.warmup(["gelu"], ["float32"])
    """
    known = functions()
    for argument, given in (("names", known if names is None else names), ("dtypes", dtypes)):
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise TypeError(f"{argument} must be an iterable of names, got {given!r}")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be a callable or None, got {progress!r}")
    wanted, kinds = list(known if names is None else names), list(dtypes)
    for what, given, allowed in (("name", wanted, known), ("dtype", kinds, DTYPES)):
        for item in given:
            if item not in allowed:
                raise ValueError(f"unknown {what} {item!r}, allowed are {', '.join(allowed)}")
    with notice.spared():
        for name, dtype in tasks(wanted, kinds):
            compile_function(name, dtype)
            if progress is not None:
                progress(f"{name} {dtype}".rstrip())
        uninterrupted(workers.start)


def functions() -> list[str]:
    """The names of all that there is to compile."""
    from fastact import numpy as numpys

    return [*table.names(), *(f"{NUMPYS}{name}" for name in numpys.replaced), KEEPER]


def tasks(names: Iterable[str], dtypes: Iterable[str]) -> list[tuple[str, str]]:
    """What to give `compile_function`, one after the other."""
    kinds = list(dtypes)
    return [(name, dtype) for name in names for dtype in ([""] if name == KEEPER else kinds)]


ROWS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((1, 2), -1),
    ((200, 2), -1),
    ((2, 64), 0),
    ((2, 64), -1),
    ((64, 2), 0),
)
"""Shapes and an axis: one row, many, in parts of which there are enough to be transposed, many side by side, and few of many
elements, each of which may be a row to what sums over all others; the last are many short planes."""
POOLED = ROWS[1:]
"""The same of what takes statistics, which one element has not."""
SLOPES = (((512, 64), (64,)), ((128, 256), (256,)), ((512, 64), (512, 1)), ((128, 256), (128, 1)))
"""Shapes of large arrays and of their slopes, one for each element of a row, or for each plane; both short and long."""


REDUCED: tuple[tuple[tuple[int, ...], int | None], ...] = (
    ((2**13,), None),
    ((2**20,), None),
    ((1000, 100), -1),
    ((1000, 100), 0),
    ((2**17, 8), -1),
    ((2**17, 8), 0),
    ((32, 2**14), 0),
    ((2**13, 128), 0),
)
"""Shapes and an axis of arrays that are large enough to be reduced here: one row, a long one, rows and columns, both short and
many, and columns so many that they are taken in blocks, or so long that places in them are sought here."""


def compile_function(name: str, dtype: str) -> None:
    """Call a public function in so many ways that there is nothing left to compile for a dtype."""
    from fastact.calls.long_rows import LONG

    if name == KEEPER:
        if not numpy_memory.reason_against():
            uninterrupted(numpy_memory.load)
        return
    if name.startswith(NUMPYS):
        _compile_for_numpy(name.removeprefix(NUMPYS), dtype)
        return
    record, fill = table.function(name), drawn(np.random.default_rng(0))
    for variant in record.variants:
        for shape, axis in ROWS[:1] if record.op is not None else POOLED if record.pools else ROWS:
            operands, options = record.arguments(variant, fill, shape, dtype, axis)
            record.function(*operands, **options)
    if record.op is not None and record.op.gradients > record.op.arrays:
        for shape, slopes in SLOPES:
            x = fill("values", shape, dtype, 1)
            record.function(*[x] * len(record.operands), fill("shares", slopes, dtype, 1))
    if record.in_parts:
        operands, options = record.arguments(record.variants[0], fill, (1, LONG), dtype)
        with threads.threads(2):  # one for each row would take rows whole
            record.function(*operands, **options)


def _compile_for_numpy(name: str, dtype: str) -> None:
    """The same for a function of ``fastact.numpy``."""
    from fastact import numpy as numpys
    from fastact.functions import numpy_selects

    function, x = getattr(numpys, name), np.ones(numpy_selects.CLIP_FROM, dtype)
    if isinstance(function, np.ufunc):
        function(*[x[:1]] * function.nin)
    elif name in numpy_selects.EXAMPLES:
        function(*numpy_selects.EXAMPLES[name](x))
    else:
        with threads.threads(2):  # what waits for memory is left to NumPy on one
            for shape, axis in REDUCED:
                function(np.ones(shape, dtype), axis=axis)


def show_config() -> None:
    """Print versions, the processor, the threads and why that many, and the cache directory.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.show_config()  # doctest: +ELLIPSIS
    fastact ...
    """
    for name, value in config().items():
        print(f"{name:<16} {value}")


def config() -> dict[str, Any]:
    """What `show_config` prints."""
    import platform
    from importlib.metadata import version

    from fastact.kernels import target
    from fastact.runtime import cache

    triple, processor, _ = uninterrupted(target.cpu)
    return {
        "fastact": version("fastact"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": version("numba"),
        "llvmlite": version("llvmlite"),
        "processor": f"{triple.partition('-')[0]} {processor}",
        "vector width": vector_width(target.vector_type()),
        "threads": threads.explanation(),
        "cache directory": cache.directory() or "none",
        "cached": f"{cache.usage()}; {cache.usage(all_versions=True)} with those of other versions",
    }


def vector_width(vector: str) -> str:
    """The width of vectors of LLVM's type ``vector`` of float32."""
    if not vector:
        return "none: kernels compute one element at a time"
    bits = 32 * int(re.findall(r"\d+", vector)[0])
    return f"scalable, a multiple of {bits} bits" if "vscale" in vector else f"{bits} bits"
