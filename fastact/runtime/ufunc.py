"""Genuine ``numpy.ufunc`` objects whose inner loops are compiled when they are first called.

Each loop starts as a stub that compiles the kernel, lets NumPy put the kernel's address in its own place, and runs it.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastact.kernels import fields
from fastact.kernels.dtypes import FLOATS
from fastact.kinds.loop import Loop
from fastact.runtime import bfloat16, records, workers
from fastact.runtime.caches import last_cache_bytes
from fastact.runtime.firstcall import FirstCall, enter_team, first_call
from fastact.runtime.numpy_api import api_function

_keep_alive: list[Any] = []


def attribute_name(function: str) -> str:
    """The name of the ufunc behind a function, by which pickle finds it."""
    return f"{function}.ufunc"


def make_ufunc(kernel: Any, name: str, doc: str, module: str, identity: float | None = None) -> np.ufunc:
    """Build the ufunc of a kernel; nothing is compiled yet.

    One with an identity reduces nothing to it, elements that ``where`` leaves out too, and several axes in any order.
    """
    stubs = first_loops(kernel)
    arrays = loop_arrays([(signature_of(loop), stub.address, ctypes.addressof(stub.record)) for loop, stub in stubs])
    label, text, signature = name.encode(), doc.encode(), kernel.signature.encode()
    _keep_alive.append((arrays, label, text, signature))
    counts = (len(stubs), kernel.inputs, kernel.outputs, _NO_IDENTITY)
    ufunc: np.ufunc
    if signature:
        ufunc = _from_func_and_data_and_signature(*arrays, *counts, label, text, 0, signature)
        _allow_in_place(ufunc, signature)
    elif identity is not None:
        counts = (*counts[:3], _IDENTITY_GIVEN)
        ufunc = with_identity(*arrays, *counts, label, text, 0, None, identity)
    else:
        ufunc = _from_func_and_data(*arrays, *counts, label, text, 0)
    for loop, stub in stubs:
        stub.install = installer(ufunc, loop, stub)
    ufunc.__module__, ufunc.__qualname__ = module, name  # type: ignore[misc]
    bfloat16.offer(ufunc, kernel, stubs)
    return ufunc


def loop_arrays(loops: Sequence[tuple[Sequence[int], int, int]]) -> tuple[Any, Any, Any]:
    """What NumPy reads a ufunc's loops from and does not copy: the type numbers of each, its address and what it is handed."""
    signatures, functions, data = zip(*loops, strict=True)
    codes, addresses = b"".join(map(bytes, signatures)), ctypes.c_void_p * len(loops)
    return addresses(*functions), addresses(*data), ctypes.create_string_buffer(codes, len(codes))


def first_loops(kernel: Any) -> list[tuple[Loop, FirstCall]]:
    """What the loops of a kernel are at first, each with a record of its own."""
    stubs = []
    for loop in kernel.loops:
        record = records.new_record(
            kernel.inputs + kernel.outputs,
            workers.parallel_from(kernel.cost * FLOATS[loop.dtype].relative_cost),
            enter_team,
            stream_from=_stream_from(loop),
            ndims=kernel.ndims,
            label=loop.label,
        )
        stubs.append((loop, first_call(kernel, loop.dtype, record)))
    return stubs


def signature_of(loop: Loop) -> tuple[int, ...]:
    """The type numbers of a loop's operands."""
    return tuple(np.dtype(operand).num for operand in loop.operands)


def installer(ufunc: np.ufunc, loop: Loop, stub: FirstCall) -> Callable[[int], None]:
    """A function that puts an address into the place of a ufunc's loop, and of the kernel in its record."""

    def install(address: int) -> None:
        records.set_address(stub.record, fields.KERNEL, address)
        replace_loop(ufunc, address, signature_of(loop))

    return install


def replace_loop(ufunc: np.ufunc, address: int, signature: Sequence[int]) -> None:
    """Let a ufunc call what is at an address in the place of the first loop that has these type numbers."""
    if _replace_loop_by_signature(ufunc, address, (ctypes.c_int * len(signature))(*signature), None) < 0:
        raise ValueError(f"{ufunc.__name__} has no loop of the types {[*signature]}")


def _stream_from(loop: Loop) -> int:
    """Number of elements from which on results are written past the caches: those that fill the last one."""
    return last_cache_bytes() // np.dtype(loop.dtype).itemsize if loop.streams else fields.NEVER


# Of NumPy's public C-API.
_NO_IDENTITY, _IDENTITY_GIVEN = -1, -3
_PYUFUNC_FROM_FUNC_AND_DATA, _PYUFUNC_REPLACE_LOOP_BY_SIGNATURE, _PYUFUNC_FROM_FUNC_AND_DATA_AND_SIGNATURE = 1, 30, 31
_PYUFUNC_FROM_FUNC_AND_DATA_AND_SIGNATURE_AND_IDENTITY = 42


_ARGUMENTS = (*[ctypes.c_void_p] * 3, *[ctypes.c_int] * 4, *[ctypes.c_char_p] * 2, ctypes.c_int)
_from_func_and_data = api_function(_PYUFUNC_FROM_FUNC_AND_DATA, ctypes.py_object, *_ARGUMENTS)
_from_func_and_data_and_signature = api_function(
    _PYUFUNC_FROM_FUNC_AND_DATA_AND_SIGNATURE, ctypes.py_object, *_ARGUMENTS, ctypes.c_char_p
)
with_identity = api_function(
    _PYUFUNC_FROM_FUNC_AND_DATA_AND_SIGNATURE_AND_IDENTITY,
    ctypes.py_object,
    *_ARGUMENTS,
    ctypes.c_char_p,
    ctypes.py_object,
)
"""Makes a ufunc that may have a number as its identity, such as 0 for sums."""
_replace_loop_by_signature = api_function(
    _PYUFUNC_REPLACE_LOOP_BY_SIGNATURE, ctypes.c_int, ctypes.py_object, *[ctypes.c_void_p] * 3
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


def arranged_as_known() -> bool:
    """Whether this NumPy arranges a ufunc's object as it is described here."""
    return bool(_UFuncObject.dict.offset == np.ufunc.__dictoffset__)


def resolve_types_as(ufunc: np.ufunc, known: np.ufunc) -> None:
    """Let a ufunc find the types of results as another one does, such as those of dates, which have units."""
    _UFuncObject.from_address(id(ufunc)).type_resolver = _UFuncObject.from_address(id(known)).type_resolver


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
    if arranged_as_known() and fields.core_signature == signature:
        for j in range(ufunc.nargs):
            fields.op_flags[j] = _OVERLAP_ASSUME_ELEMENTWISE | (_OUTPUT_FLAGS if j >= ufunc.nin else 0)
