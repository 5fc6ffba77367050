"""Genuine ``numpy.ufunc`` objects whose inner loops are compiled when they are first called.

NumPy reads a ufunc's ``functions[]`` and ``data[]`` at every call, and both belong to us: each loop starts as a stub that
compiles the kernel, puts the kernel's address in its own place and runs it.
"""

import contextlib
import contextvars
import ctypes
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from fastact.engine import records, workers
from fastact.engine.uninterrupted import uninterrupted

DTYPES = ("float16", "float32", "float64")
"""Loops in the order in which NumPy tries them, so that integers promote as they do for ``np.exp``."""

RELATIVE_COST = {"float16": 1.2, "float32": 1.0, "float64": 2.5}

_LOOP = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)
_keep_alive: list[Any] = []


class CompilationError(RuntimeError):
    """A kernel could not be compiled; ``__cause__`` says why."""


class Loop(NamedTuple):
    """One of a ufunc's inner loops."""

    dtype: str
    """What it is compiled for."""
    operands: Sequence[str]
    """The dtypes of the operands, which NumPy converts to."""
    label: int = 0
    """The kind of an integer operand, which the kernel reads as it is."""


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

    signature = ""
    ndims = 1

    @property
    def loops(self) -> list[Loop]:
        """One for each dtype."""
        return [Loop(dtype, [dtype] * (self.inputs + self.outputs)) for dtype in DTYPES]

    def sources(self, dtype: str) -> dict[str, Callable[[], Callable[..., Any]]]:
        """What there is to compile, by name: functions that make the inner loop's source."""
        return {self.name: lambda: specialised(self, dtype)}


def attribute_name(function: str) -> str:
    """The name of the ufunc behind a function, by which pickle finds it."""
    return f"{function}.ufunc"


def make_ufunc(kernel: Any, name: str, doc: str, module: str) -> np.ufunc:
    """Build the ufunc of a kernel; nothing is compiled yet."""
    loops, nargs = kernel.loops, kernel.inputs + kernel.outputs
    functions, data = (ctypes.c_void_p * len(loops))(), (ctypes.c_void_p * len(loops))()
    for i, loop in enumerate(loops):
        parallel_from = _parallel_from(kernel.cost * RELATIVE_COST[loop.dtype])
        record = records.new_record(nargs, parallel_from, _address(_enter_team), ndims=kernel.ndims, label=loop.label)
        functions[i] = _stub(kernel, loop.dtype, record, functions, i)
        data[i] = ctypes.addressof(record)
    codes = b"".join(bytes([np.dtype(operand).num]) for loop in loops for operand in loop.operands)
    types = ctypes.create_string_buffer(codes, len(codes))
    label, text, signature = name.encode(), doc.encode(), kernel.signature.encode()
    _keep_alive.append((functions, data, types, label, text, signature))
    counts = (len(loops), kernel.inputs, kernel.outputs, _NO_IDENTITY)
    ufunc: np.ufunc
    if signature:
        ufunc = _from_func_and_data_and_signature(functions, data, types, *counts, label, text, 0, signature)
        _allow_in_place(ufunc, signature)
    else:
        ufunc = _from_func_and_data(functions, data, types, *counts, label, text, 0)
    ufunc.__module__, ufunc.__qualname__ = module, name  # type: ignore[misc]
    return ufunc


def _parallel_from(cost: float) -> int:
    return max(1, int(records.SMALLEST_WORK / cost)) if workers.supported() else records.NEVER


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _stub(kernel: Any, dtype: str, record: records.Record, functions: Any, i: int) -> int:
    """A first inner loop for one dtype: compiles, replaces itself, runs. A row kernel's second half has one of its own."""
    names = list(kernel.sources(dtype))

    def install_loop(address: int) -> None:
        record[records.KERNEL] = functions[i] = address

    def install_columns(address: int) -> None:
        records.set_columns(record, address)

    stubs = [
        _first_call(kernel, name, dtype, install)
        for name, install in zip(names, (install_loop, install_columns), strict=False)
    ]
    if len(stubs) > 1:
        records.set_columns(record, _address(stubs[1]))
    _keep_alive.append(stubs)
    return _address(stubs[0])


def _first_call(kernel: Any, name: str, dtype: str, install: Callable[[int], None]) -> Any:
    """An inner loop that compiles the real one when it is first called."""

    @cache
    def installed() -> int:
        address = _compiled(kernel, name, dtype)
        install(address)
        return address

    def compile_then_run(args: int, dims: int, steps: int, data: int) -> None:
        try:
            _LOOP(uninterrupted(installed))(args, dims, steps, data)
        except BaseException as error:
            _raise_in_caller(error)

    return _LOOP(compile_then_run)


def _compiled(kernel: Any, name: str, dtype: str) -> int:
    """Compile a kernel, or take it from the cache, and return the address of its inner loop."""
    from fastact.engine import cache, compiler

    def build() -> bytes:
        return compiler.compile_loop(kernel.sources(dtype)[name]())

    try:
        if kernel.salt is None:
            return compiler.load(build())
        return compiler.load(cache.cached(f"{name}.{dtype}", build, kernel.salt))
    except Exception as error:
        raise CompilationError(f"could not compile {name} for {dtype}: {error}") from error


def specialised(kernel: Kernel, dtype: str) -> Callable[..., Any]:
    """The inner loop's source for one kernel and dtype, ready to be compiled."""
    from fastact.engine import loops, overloads

    if kernel.salt != b"":
        overloads.register()  # a user's formula may call the public functions
    return loops.specialise(kernel.formula, dtype, kernel.inputs, kernel.outputs, kernel.times_gradient)


@_LOOP
def _enter_team(args: int, dims: int, steps: int, data: int) -> None:
    """The first call that is worth threads: let the driver take this and all later ones."""
    try:
        _LOOP(uninterrupted(workers.load_driver))(args, dims, steps, data)
    except BaseException as error:
        _raise_in_caller(error)


@ctypes.CFUNCTYPE(ctypes.c_int64)
def _start_workers() -> int:
    """A call that wants more workers than there are; it makes do with those that can be had."""
    try:
        context = contextvars.copy_context()  # whose number of threads counts
        with contextlib.suppress(Exception):
            uninterrupted(lambda: context.run(workers.start_workers))
    except BaseException as error:
        _raise_in_caller(error)
    return 0


records.team[records.START] = _address(_start_workers)


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
_PYUFUNC_FROM_FUNC_AND_DATA, _PYUFUNC_FROM_FUNC_AND_DATA_AND_SIGNATURE = 1, 31


def _api_function(slot: int, *argument_types: Any) -> Any:
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    capsule = np._core._multiarray_umath._UFUNC_API  # type: ignore[attr-defined]
    table = ctypes.cast(get_pointer(capsule, None), ctypes.POINTER(ctypes.c_void_p))
    return ctypes.PYFUNCTYPE(ctypes.py_object, *argument_types)(table[slot] or 0)


_ARGUMENTS = (*[ctypes.c_void_p] * 3, *[ctypes.c_int] * 4, *[ctypes.c_char_p] * 2, ctypes.c_int)
_from_func_and_data = _api_function(_PYUFUNC_FROM_FUNC_AND_DATA, *_ARGUMENTS)
_from_func_and_data_and_signature = _api_function(
    _PYUFUNC_FROM_FUNC_AND_DATA_AND_SIGNATURE, *_ARGUMENTS, ctypes.c_char_p
)


class _UFuncObject(ctypes.Structure):
    """The public part of NumPy's ``PyUFuncObject``, up to the operands' flags."""

    _fields_ = [
        ("head", ctypes.c_ssize_t * 2),
        ("nin_nout_nargs_identity", ctypes.c_int * 4),
        ("functions_data", ctypes.c_void_p * 2),
        ("ntypes_reserved", ctypes.c_int * 2),
        ("name_types_doc", ctypes.c_void_p * 3),
        ("ptr_obj_userloops", ctypes.c_void_p * 3),
        ("core_enabled_num_dim_ix", ctypes.c_int * 2),
        ("core_num_dims_dim_ixs_offsets", ctypes.c_void_p * 3),
        ("core_signature", ctypes.c_char_p),
        ("type_resolver", ctypes.c_void_p),
        ("dict", ctypes.c_void_p),
        ("vectorcall_reserved", ctypes.c_void_p * 2),
        ("op_flags", ctypes.POINTER(ctypes.c_uint32)),
    ]


# Of NumPy's iterator: what it asks of a generalised ufunc's outputs by itself, and the promise that we add.
_WRITEONLY, _ALIGNED, _UPDATEIFCOPY, _ALLOCATE, _NO_SUBTYPE, _NO_BROADCAST = (
    1 << bit for bit in (18, 20, 23, 24, 25, 27)
)
_OUTPUT_FLAGS = _WRITEONLY | _ALIGNED | _UPDATEIFCOPY | _ALLOCATE | _NO_SUBTYPE | _NO_BROADCAST
_OVERLAP_ASSUME_ELEMENTWISE = 1 << 30


def _allow_in_place(ufunc: Any, signature: bytes) -> None:
    """Let NumPy hand a row kernel the same array as input and output: it reads each row before it writes it.

    Otherwise NumPy copies the array first. Should a later NumPy arrange the object differently, it goes on doing so.
    """
    fields = _UFuncObject.from_address(id(ufunc))
    if _UFuncObject.dict.offset == np.ufunc.__dictoffset__ and fields.core_signature == signature:
        for j in range(ufunc.nargs):
            fields.op_flags[j] = _OVERLAP_ASSUME_ELEMENTWISE | (_OUTPUT_FLAGS if j >= ufunc.nin else 0)
