"""Loops for elements of bfloat16, a dtype of the package ml_dtypes, in ufuncs that have loops for float32.

NumPy lets ufuncs have loops for dtypes that are not its own, by the public ``PyUFunc_RegisterLoopForType``. An elementwise ufunc
gets the one of ``fastact.kernels.widened``, which calls its float32 loop. Every other ufunc belongs to a function that does more
than call it, and would round more than once: its loop for bfloat16 raises a ``TypeError``, on which the function starts again in
float32 (``fastact.calls.widening``). Without such a loop NumPy would convert the operands and return float32.

ml_dtypes is never imported here. Loops are registered when somebody else imports it, or has done so already.
"""

import ctypes
import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastact.kernels import fields
from fastact.kernels.dtypes import FLOATS
from fastact.kinds.elementwise import Kernel
from fastact.kinds.loop import Loop
from fastact.kinds.sharing import SharingKernel
from fastact.runtime import records, workers
from fastact.runtime.arrivals import when_imported
from fastact.runtime.exceptions import CALLBACK, LOOP, raise_again, raise_in_caller
from fastact.runtime.firstcall import FirstCall, address_of, enter_team
from fastact.runtime.numpy_api import api_function
from fastact.runtime.uninterrupted import uninterrupted

HOME, NAME = "ml_dtypes", "bfloat16"
"""The package that defines the dtype, and what it is called there."""
RELATIVE_COST = 1.3
"""Time per element, that of float32 being 1."""

_PYUFUNC_REGISTER_LOOP_FOR_TYPE = 2
_register_loop_for_type = api_function(
    _PYUFUNC_REGISTER_LOOP_FOR_TYPE, ctypes.c_int, ctypes.py_object, ctypes.c_int, *[ctypes.c_void_p] * 3
)

_lock = threading.RLock()
_offers: list["_Offer"] = []
"""All loops, those that are registered first."""
_registered = 0
_address = 0
"""Of the compiled loop, once one has been called."""


class _Offer:
    """A loop for bfloat16 in a ufunc.

    Attributes
    ----------
    operands : list of str or None
        The dtypes of the operands, ``None`` for bfloat16.
    record : array
        What NumPy hands to the loop; ``None`` for one that refuses.
    """

    def __init__(self, ufunc: np.ufunc, kernel: Any, loop: Loop, stub: FirstCall) -> None:
        parameters = kernel.parameters if isinstance(kernel, Kernel) else 0
        elementwise = isinstance(kernel, Kernel | SharingKernel)
        if parameters and kernel.outputs > 1:  # gradients by parameters, which are summed
            elementwise = False
        weak = range(kernel.inputs - parameters, kernel.inputs)
        self.ufunc = ufunc
        self.operands = [
            None if dtype == "float32" and i not in weak else dtype for i, dtype in enumerate(loop.operands)
        ]
        self.record = self._new_record(kernel, stub) if elementwise else None

    def _new_record(self, kernel: Kernel | SharingKernel, stub: FirstCall) -> records.Record:
        never = kernel.users  # whose formulas are computed in order, on the caller's thread
        cost = kernel.cost * FLOATS["float32"].relative_cost * RELATIVE_COST
        parallel_from = fields.NEVER if never else workers.parallel_from(cost)
        record = records.new_record(len(self.operands), parallel_from, enter_team)
        sizes = [2 if dtype is None else np.dtype(dtype).itemsize for dtype in self.operands]
        known = records.lasting(fields.SIZES_OF_OPERANDS + fields.MOST_OPERANDS)
        own = ctypes.addressof(stub.record)
        known[fields.COMPUTES] = own if kernel.users else stub.record[fields.SERIAL]
        known[fields.FIRST], known[fields.INPUTS] = stub.address, kernel.inputs
        for j, size in enumerate(sizes):
            known[fields.SIZES_OF_OPERANDS + j] = size
        records.set_address(record, fields.WIDENED, ctypes.addressof(known))
        return record

    def register(self, dtype: Any) -> None:
        """Let NumPy call the loop, or another one than before."""
        numbers = [(dtype if operand is None else np.dtype(operand)).num for operand in self.operands]
        signature = (ctypes.c_int * len(numbers))(*numbers)
        if self.record is None:
            function, data = address_of(_refuse), None
        else:
            function, data = _address or address_of(_first), ctypes.addressof(self.record)
            records.set_address(self.record, fields.KERNEL, _address)
        _register_loop_for_type(self.ufunc, dtype.num, function, ctypes.addressof(signature), data)


def offer(ufunc: np.ufunc, kernel: Any, stubs: Sequence[tuple[Loop, FirstCall]]) -> None:
    """Let a ufunc take bfloat16, from now on or from when there is such a dtype."""
    with _lock:
        _offers.extend(_Offer(ufunc, kernel, loop, stub) for loop, stub in stubs if loop.dtype == "float32")
        _register_all()


def bfloat16() -> Any:
    """The dtype, if somebody has imported what defines it; else ``None``."""
    kind = getattr(sys.modules.get(HOME), NAME, None)
    return None if kind is None else np.dtype(kind)


def _register_all() -> None:
    """Register what is not yet; or wait for the dtype."""
    global _registered
    with _lock:
        dtype = bfloat16()
        if dtype is None:
            when_imported(HOME, _register_all)
            return
        for made in _offers[_registered:]:
            made.register(dtype)
        _registered = len(_offers)


def _load() -> None:
    """Load the compiled loop, and have NumPy call it in all ufuncs."""
    global _address
    with _lock:
        if not _address:
            _address = _compiled()
            for made in _offers[:_registered]:
                made.register(bfloat16())


def _compiled() -> int:
    from fastact.runtime import cache as disk

    def source() -> Any:
        from fastact.kernels import widened

        return widened.specialise()

    return disk.loaded("bfloat16", source)


@CALLBACK
def _first(args: Any, dims: int, steps: int, data: int) -> None:
    """The loop of all elementwise ufuncs until one of them is called."""
    try:
        raise_again()
        if not _address:
            uninterrupted(_load)
        LOOP(_address)(args, dims, steps, data)
    except BaseException as error:
        raise_in_caller(error)


@CALLBACK
def _refuse(args: Any, dims: int, steps: int, data: int) -> None:
    """The loop of a ufunc that is a part of a function."""
    try:
        raise_again()
        raise TypeError(
            "ufunc is not supported for the input types bfloat16: call the public function that it is a part of"
        )
    except BaseException as error:
        raise_in_caller(error)
