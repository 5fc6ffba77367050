"""Kernels in the places of NumPy's own inner loops: in ufuncs like NumPy's, and in NumPy's ufuncs themselves.

A ufunc of NumPy's is a list of loops, each with a signature and a pointer that it is given, which NumPy's own loops use and ours
cannot: so in NumPy's ufuncs a few instructions stand before a kernel that hand it its record. Where these lists are is no part of
NumPy's interface: what is read there is compared with what NumPy says of itself, and a loop is tried before it counts as replaced.
"""

import ctypes
import threading
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastact.kernels import fields
from fastact.kinds.loop import Loop
from fastact.runtime import bfloat16, records
from fastact.runtime.domains import share_domain
from fastact.runtime.exceptions import LOOP
from fastact.runtime.firstcall import FirstCall
from fastact.runtime.ufunc import (
    arranged_as_known,
    first_loops,
    installer,
    loop_arrays,
    replace_loop,
    resolve_types_as,
    signature_of,
    with_identity,
)

_keep_alive: list[Any] = []
_lock = threading.RLock()
"""Held while a loop of NumPy's is replaced: a kernel may be compiled, in a thread of its own, while its loop is given back."""


class UnknownStructureError(RuntimeError):
    """NumPy's ufuncs are not as this package knows them."""


class _Parts(ctypes.Structure):
    """The beginning of NumPy's ``PyUFuncObject``."""

    _fields_ = [
        ("head", ctypes.c_ssize_t * 2),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
        ("reserved", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("types", ctypes.POINTER(ctypes.c_ubyte)),
        ("doc", ctypes.c_char_p),
    ]


class NumpyLoop(NamedTuple):
    """One of a ufunc's inner loops as NumPy holds it."""

    signature: tuple[int, ...]
    """The type numbers of its operands."""
    function: int
    data: int


def numpy_loops(ufunc: np.ufunc) -> list[NumpyLoop]:
    """All loops of one of NumPy's ufuncs; ``UnknownStructureError`` if they are not where they are looked for."""
    parts = _Parts.from_address(id(ufunc))
    counts = ("nin", "nout", "nargs", "ntypes")
    if not arranged_as_known() or [getattr(parts, name) for name in counts] != [
        getattr(ufunc, name) for name in counts
    ]:
        raise UnknownStructureError(f"numpy {np.__version__} keeps the loops of ufuncs in another place")
    if parts.name != ufunc.__name__.encode():
        raise UnknownStructureError(f"numpy {np.__version__} keeps the names of ufuncs in another place")
    n = ufunc.nargs
    found = [
        NumpyLoop(tuple(parts.types[i * n : (i + 1) * n]), parts.functions[i] or 0, parts.data[i] or 0)
        for i in range(ufunc.ntypes)
    ]
    chars: dict[int, str] = {kind.num: kind.char for kind in map(np.dtype, np.typecodes["All"])}
    if ["".join(chars.get(code, "?") for code in loop.signature) for loop in found] != [
        text.replace("->", "") for text in ufunc.types
    ]:
        raise UnknownStructureError(f"numpy {np.__version__} keeps the types of ufuncs in another place")
    return found


def ufunc_like(ufunc: np.ufunc, kernel: Any, module: str) -> np.ufunc:
    """A ufunc of the name, the types and the other loops of one of NumPy's, with a kernel's loops for its dtypes."""
    loops, parts = numpy_loops(ufunc), _Parts.from_address(id(ufunc))
    stubs = first_loops(kernel)
    for loop, stub in stubs:
        signature = signature_of(loop)
        i = place_of(signature, loops)
        _know_numpys(stub.record, loops[i])
        loops[i] = NumpyLoop(signature, stub.address, ctypes.addressof(stub.record))
    arrays, label, text = loop_arrays(loops), ufunc.__name__.encode(), (parts.doc or b"")
    _keep_alive.append((arrays, label, text))
    counts = (len(loops), ufunc.nin, ufunc.nout, parts.identity)
    made: np.ufunc = with_identity(*arrays, *counts, label, text, 0, None, ufunc.identity)
    resolve_types_as(made, ufunc)
    for loop, stub in stubs:
        stub.install = installer(made, loop, stub)
    made.__module__, made.__qualname__ = module, ufunc.__name__  # type: ignore[misc]
    bfloat16.offer(made, kernel, stubs)
    share_domain(made, ufunc)
    return made


def stand_in(name: str, ufunc: np.ufunc, kernel: Any, module: str, stacklevel: int) -> np.ufunc:
    """As ``ufunc_like``; with a warning to whom the level says, NumPy's own where NumPy is not as it is known."""
    try:
        return ufunc_like(ufunc, kernel, module)
    except UnknownStructureError as error:
        warnings.warn(f"fastact.numpy.{name} is NumPy's own: {error}", RuntimeWarning, stacklevel=1 + stacklevel)
        return ufunc


def _know_numpys(record: records.Record, loop: NumpyLoop) -> None:
    """Tell a kernel's record which loop it stands in for: it leaves some calls to that."""
    records.set_address(record, fields.NUMPYS, loop.function)
    records.set_address(record, fields.NUMPYS_DATA, loop.data)


def place_of(signature: tuple[int, ...], loops: Sequence[NumpyLoop]) -> int:
    """The number of the first loop of a signature, which is the one that NumPy takes."""
    for i, loop in enumerate(loops):
        if loop.signature == signature:
            return i
    raise UnknownStructureError(f"numpy {np.__version__} has no loop for {signature}")


class Replaced:
    """One loop of one of NumPy's ufuncs that a kernel has replaced.

    Parameters
    ----------
    ufunc : numpy.ufunc
        One of NumPy's.
    loop : Loop
        Which of its loops.
    stub : FirstCall
        What compiles the kernel.
    """

    def __init__(self, ufunc: np.ufunc, loop: Loop, stub: FirstCall) -> None:
        self.ufunc, self.dtype, self.stub = ufunc, loop.dtype, stub
        self.signature = signature_of(loop)
        loops = numpy_loops(ufunc)
        self.place = place_of(self.signature, loops)
        self.before = loops[self.place]
        _know_numpys(stub.record, self.before)
        self.now, self.tried = 0, False
        self.given = stub.address
        """What NumPy is to call while the loop is replaced: what compiles the kernel, later what hands it its record."""
        stub.install = self._compiled

    @property
    def name(self) -> str:
        """What has been replaced, for users."""
        return f"numpy.{self.ufunc.__name__} of {self.dtype}"

    def _compiled(self, address: int) -> None:
        from fastact.runtime.compiler import handing_over

        records.set_address(self.stub.record, fields.KERNEL, address)
        self.given = handing_over(address, ctypes.addressof(self.stub.record))
        with _lock:
            if self.now:
                self._put(self.given)

    def replace(self) -> None:
        """Put the kernel into its place; ``UnknownStructureError``, and all as before, if NumPy goes on calling another loop."""
        with _lock:
            if not self.tried:
                self._try()
                self.tried = True
            self._put(self.given)

    def _try(self) -> None:
        called = []
        before = LOOP(self.before.function)

        def trial(args: Any, dims: Any, steps: Any, data: Any) -> None:
            called.append(True)
            before(args, dims, steps, self.before.data)

        trial_loop = LOOP(trial)
        _keep_alive.append(trial_loop)  # another thread may have looked it up
        self._put(ctypes.cast(trial_loop, ctypes.c_void_p).value or 0)
        try:
            with np.errstate(all="ignore"):
                self.ufunc(*[np.ones(1, self.dtype)] * self.ufunc.nin)
            if not called:
                raise UnknownStructureError(f"numpy {np.__version__} does not call a loop that was replaced")
        finally:
            self.give_back()

    def _put(self, address: int) -> None:
        replace_loop(self.ufunc, address, self.signature)
        self.now = address

    def give_back(self) -> bool:
        """Put NumPy's own loop back; ``False``, and nothing is done, if somebody else has replaced ours since."""
        with _lock:
            ours: bool = _Parts.from_address(id(self.ufunc)).functions[self.place] == self.now
            if ours:
                replace_loop(self.ufunc, self.before.function, self.signature)
            self.now = 0
            return ours
