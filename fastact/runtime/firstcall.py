"""What a ufunc's inner loops are at first: stubs that compile the kernel, put the real loop in their place, and run it."""

import contextlib
import contextvars
import ctypes
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fastact.kernels import fields
from fastact.kernels.dtypes import FLOATS
from fastact.maths.scalar import scalar
from fastact.runtime import records, workers
from fastact.runtime.exceptions import CALLBACK, LOOP, CompilationError, raise_again, raise_in_caller
from fastact.runtime.uninterrupted import uninterrupted

_keep_alive: list[Any] = []


class FirstCall:
    """An inner loop that compiles the real one when it is first called.

    Attributes
    ----------
    install : callable
        Puts the address of the real loop into the place of this one.
    """

    def __init__(self, kernel: Any, name: str, dtype: str, record: records.Record) -> None:
        self.kernel, self.name, self.dtype, self.record = kernel, name, dtype, record
        self.install: Callable[[int], object] = lambda address: None
        self.loop: Any = None
        self.callback = CALLBACK(self.compile_then_run)
        if kernel.users:
            self.explanation = CALLBACK(self.explain_failure)
            record[fields.ON_FAILURE] = address_of(self.explanation)

    @property
    def address(self) -> int:
        """Where the loop begins."""
        return address_of(self.callback)

    def compile_then_run(self, args: Any, dims: int, steps: int, _: int) -> None:
        """Compute; NumPy goes on calling this until its call ends, and who remembers the address for longer."""
        try:
            raise_again()
            if self.loop is None:
                if self.record[fields.NUMPYS] and _numpy_is_being_imported():
                    LOOP(self.record[fields.NUMPYS])(args, dims, steps, self.record[fields.NUMPYS_DATA])
                    return
                uninterrupted(self.compiled)
            self.loop(args, dims, steps, ctypes.addressof(self.record))  # a loop of NumPy's own ufunc is given nothing
        except BaseException as error:
            raise_in_caller(error)

    def compiled(self) -> None:
        """Compile the loop and put it into its place."""
        address = _compiled(self.kernel, self.name, self.dtype)
        self.loop = LOOP(address)
        self.install(address)

    def explain_failure(self, args: Any, *_: int) -> None:
        """Raise what a user's formula raises for the element that its compiled form has failed at."""
        try:
            raise_again()
            places = (ctypes.c_void_p * self.kernel.inputs).from_address(args.value)
            elements = [_element(place, self.dtype) for place in places]
            raise _failure(self.kernel, elements[self.kernel.times_gradient :])
        except BaseException as error:
            raise_in_caller(error)


def _numpy_is_being_imported() -> bool:
    """Whether a part of NumPy is: it may call a function that stands in for NumPy's, whose compiler needs all of NumPy."""
    parts = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "numpy"]
    return any(getattr(getattr(part, "__spec__", None), "_initializing", False) for part in parts)


def first_call(kernel: Any, dtype: str, record: records.Record) -> FirstCall:
    """What a ufunc of one kernel begins with, for one dtype; a row kernel's second half has a place in the record."""
    rows, *columns = [FirstCall(kernel, name, dtype, record) for name in kernel.sources(dtype)]
    for half in columns:
        half.install = lambda address: records.set_address(record, fields.COLUMNS, address)
        half.install(half.address)
    _keep_alive.append((rows, columns))
    return rows


def _element(place: int, dtype: str) -> Any:
    """The number at an address as a formula takes it."""
    kind = np.dtype(dtype)
    number = np.frombuffer(ctypes.string_at(place, kind.itemsize), kind)[0]
    return FLOATS[dtype].computed.type(number)


def _failure(kernel: Any, elements: list[Any]) -> BaseException:
    """What a formula raises for these elements in the interpreter, or what is wrong with what it returns."""
    name = kernel.formula.__name__
    with np.errstate(all="ignore"):
        try:
            value = kernel.formula(*elements)
        except Exception as error:
            return error
    call = f"{name}({', '.join(map(str, elements))})"
    if isinstance(value, float | int | np.generic):
        return RuntimeError(f"{call} raises an exception when it is compiled, though it returns {value} in Python")
    return TypeError(f"{call} must return a number, got {value!r}")


def _compiled(kernel: Any, name: str, dtype: str) -> int:
    """Compile a kernel, or take it from the cache, and return the address of its inner loop."""
    from fastact.runtime import cache as disk

    salt: bytes | None = b""
    try:
        if kernel.users:
            from fastact.runtime.fingerprint import fingerprint
            from fastact.runtime.snapshot import snapshot

            formula, functions = snapshot(kernel.formula)
            list(map(scalar, functions))
            kernel, salt = replace(kernel, formula=formula), fingerprint(formula)
        return disk.loaded(f"{name}.{dtype}", lambda: _source(kernel, name, dtype), salt)
    except Exception as error:
        raise CompilationError(f"could not compile {name} for {dtype}: {error}") from error


def _source(kernel: Any, name: str, dtype: str) -> Callable[..., Any]:
    """The inner loop's source, ready to be compiled."""
    if not kernel.users:
        loop: Callable[..., Any] = kernel.sources(dtype)[name]()
        return loop
    from fastact.runtime import failing

    return failing.specialise(kernel, name, dtype)


@CALLBACK
def _enter_team(args: Any, dims: int, steps: int, data: int) -> None:
    """The first call that is worth threads: let the driver take this and all later ones."""
    try:
        raise_again()
        LOOP(uninterrupted(workers.load_driver))(args, dims, steps, data)
    except BaseException as error:
        raise_in_caller(error)


@ctypes.CFUNCTYPE(ctypes.c_int64)
def _start_workers() -> int:
    """A call that wants more workers than there are; it makes do with those that can be had."""
    try:
        context = contextvars.copy_context()  # whose number of threads counts
        with contextlib.suppress(Exception):
            uninterrupted(lambda: context.run(workers.start_workers))
    except BaseException as error:
        raise_in_caller(error)
    return 0


def address_of(function: Any) -> int:
    """Where a foreign function begins."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


enter_team = address_of(_enter_team)
records.team[fields.START] = address_of(_start_workers)
