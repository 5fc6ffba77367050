"""Functions of NumPy's public C-API for ufuncs, through the capsule that the C macro import_ufunc() reads."""

import ctypes
from typing import Any

import numpy as np


def api_function(slot: int, result: Any, *argument_types: Any) -> Any:
    """The function at a place of NumPy's table, as a foreign function that keeps the interpreter's lock."""
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    capsule = np._core._multiarray_umath._UFUNC_API  # type: ignore[attr-defined]
    table = ctypes.cast(get_pointer(capsule, None), ctypes.POINTER(ctypes.c_void_p))
    return ctypes.PYFUNCTYPE(result, *argument_types)(table[slot] or 0)
