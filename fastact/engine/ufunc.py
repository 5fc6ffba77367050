"""Genuine ``numpy.ufunc`` objects whose inner loops are compiled when they are first called.

NumPy reads a ufunc's ``functions[]`` and ``data[]`` at every call, and both belong to us: each loop starts as a stub that
compiles the kernel, puts the kernel's address in its own place and runs it.
"""

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastact.engine import records, threads

DTYPES = ("float16", "float32", "float64")
"""Loops in the order in which NumPy tries them, so that integers promote as they do for ``np.exp``."""

LAUNCH_NANOSECONDS = 4000.0
"""Work, on one thread, from which a parallel region pays: a few times what a layer takes to start one."""

RELATIVE_COST = {"float16": 1.2, "float32": 1.0, "float64": 2.5}

_LOOP = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)
_keep_alive: list[Any] = []
_lock = threading.RLock()


class CompilationError(RuntimeError):
    """A kernel could not be compiled; ``__cause__`` says why."""


@dataclass(frozen=True)
class Kernel:
    """What an elementwise inner loop computes.

    Attributes
    ----------
    name : str
        Names the cache entry; unique among kernels of one source.
    formula : callable
        A compilable function of one element of each input (without the gradient, for a backward kernel).
    inputs, outputs : int
        The number of operands.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    times_gradient : bool
        The first input is a gradient that multiplies each result.
    salt : bytes or None
        The sources that `formula` depends on beyond this package's; ``None`` keeps it off the disk.
    """

    name: str
    formula: Callable[..., Any]
    inputs: int
    outputs: int = 1
    cost: float = 0.2
    times_gradient: bool = False
    salt: bytes | None = b""


def make_ufunc(kernel: Kernel, name: str, doc: str, module: str) -> np.ufunc:
    """Build the ufunc of a kernel; nothing is compiled yet."""
    count, nargs = len(DTYPES), kernel.inputs + kernel.outputs
    functions, data = (ctypes.c_void_p * count)(), (ctypes.c_void_p * count)()
    for i, dtype in enumerate(DTYPES):
        parallel_from = int(LAUNCH_NANOSECONDS / (kernel.cost * RELATIVE_COST[dtype]))
        record = records.new_record(nargs, parallel_from, ctypes.cast(_enter_team, ctypes.c_void_p).value or 0)
        functions[i] = _stub(kernel, dtype, record, functions, i)
        data[i] = ctypes.addressof(record)
    codes = b"".join(bytes([np.dtype(dtype).num]) * nargs for dtype in DTYPES)
    types = ctypes.create_string_buffer(codes, len(codes))
    label, text = name.encode(), doc.encode()
    _keep_alive.append((functions, data, types, label, text))
    ufunc: np.ufunc = _from_func_and_data(
        functions, data, types, count, kernel.inputs, kernel.outputs, _NO_IDENTITY, label, text, 0
    )
    ufunc.__module__, ufunc.__qualname__ = module, name  # type: ignore[misc]
    return ufunc


def _stub(kernel: Kernel, dtype: str, record: records.Record, functions: Any, i: int) -> int:
    """A first inner loop for one dtype: compiles, replaces itself, runs."""

    def compile_then_run(args: int, dims: int, steps: int, data: int) -> None:
        try:
            with _lock:
                if not record[records.KERNEL]:
                    record[records.KERNEL] = _compiled(kernel, dtype)
                    functions[i] = record[records.KERNEL]
            _LOOP(record[records.KERNEL])(args, dims, steps, data)
        except BaseException as error:
            _raise_in_caller(error)

    stub = _LOOP(compile_then_run)
    _keep_alive.append(stub)
    return ctypes.cast(stub, ctypes.c_void_p).value or 0


def _compiled(kernel: Kernel, dtype: str) -> int:
    """Compile a kernel, or take it from the cache, and return the address of its inner loop."""
    from fastact.engine import cache, compiler

    def build() -> bytes:
        return compiler.compile_loop(specialised(kernel, dtype))

    try:
        if kernel.salt is None:
            return compiler.load(build())
        return compiler.load(cache.cached(f"{kernel.name}.{dtype}", build, kernel.salt))
    except Exception as error:
        raise CompilationError(f"could not compile {kernel.name} for {dtype}: {error}") from error


def specialised(kernel: Kernel, dtype: str) -> Callable[..., Any]:
    """The inner loop's source for one kernel and dtype, ready to be compiled."""
    from fastact.engine import loops, overloads

    if kernel.salt != b"":
        overloads.register()  # a user's formula may call the public functions
    return loops.specialise(kernel.formula, dtype, kernel.inputs, kernel.outputs, kernel.times_gradient)


@_LOOP
def _enter_team(args: int, dims: int, steps: int, data: int) -> None:
    """The first call that is worth threads: form the team, then let the driver take this and all later ones."""
    try:
        _LOOP(threads.form_team())(args, dims, steps, data)
    except BaseException as error:
        _raise_in_caller(error)


def _raise_in_caller(error: BaseException) -> None:
    """Raise ``error`` where the ufunc was called, as soon as it returns.

    ctypes swallows an exception that leaves a callback, and NumPy does not ask a float loop for one. So the exception is
    left for the interpreter as an asynchronous one, which takes a class that it calls without arguments. The
    interpreter looks for asynchronous exceptions after each *call*, this frame's included; unpacking an iterator is not one.
    """
    base, cause = type(error), error.__cause__

    def initialise(self: BaseException) -> None:
        base.__init__(self, *error.args)
        self.__cause__ = cause

    carried = type(base.__name__, (base,), {"__init__": initialise, "__module__": base.__module__, "_carried": True})
    if getattr(base, "_carried", False):
        carried = base  # through two callbacks: from the team's entry through a kernel's first call
    (_,) = map(_set_async_exception, (threading.get_ident(),), (carried,))


_set_async_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_async_exception.argtypes = [ctypes.c_ulong, ctypes.py_object]
_set_async_exception.restype = ctypes.c_int


# NumPy's public C-API, through the capsule that the C macro import_ufunc() reads.
_NO_IDENTITY = -1
_PYUFUNC_FROM_FUNC_AND_DATA = 1


def _api_function(slot: int, *argument_types: Any) -> Any:
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    capsule = np._core._multiarray_umath._UFUNC_API  # type: ignore[attr-defined]
    table = ctypes.cast(get_pointer(capsule, None), ctypes.POINTER(ctypes.c_void_p))
    return ctypes.PYFUNCTYPE(ctypes.py_object, *argument_types)(table[slot] or 0)


_from_func_and_data = _api_function(
    _PYUFUNC_FROM_FUNC_AND_DATA,
    *[ctypes.c_void_p] * 3,
    *[ctypes.c_int] * 4,
    *[ctypes.c_char_p] * 2,
    ctypes.c_int,
)
