"""From a plain function to machine code in memory: Numba compiles, llvmlite loads.

``compile_loop`` returns an object file. ``load`` maps an object file into the process with llvmlite alone, so a process that
finds its kernels in the cache never imports Numba. Both are called by one thread at a time, see ``uninterrupted.py``.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm

from fastact.kernels import target

SYMBOL = "fastact_loop"
"""The one function that an object file exports."""
FAILED = "fastact_failed"
"""What a function calls where it raises an exception, for ``can_fail`` to look for."""

INTERPRETER = ("@PySys_", "@PyErr_")
"""What the names of functions of the interpreter begin with by which compiled code prints, or tells what Python has raised.

They need the environment that Numba gives to a function of its own; a kernel has none, and would hang."""
NUMBAS = b"numba_"
"""What the names of Numba's own functions in C begin with; a user's formula may call them: ``math.gamma`` is ``numba_gamma``."""


def compile_loop(function: Callable[..., Any], users: bool = False, integers: int | None = None) -> bytes:
    """Compile a function of the inner-loop type, perhaps with a user's formula, to an object file that exports it as ``SYMBOL``.

    With ``integers`` the function takes a record and so many integers instead, and returns one.
    """
    with rare_collections():
        code = _optimised(function, users, integers=integers).get_llvm_str()
    if users and any(name in code for name in INTERPRETER):
        raise TypeError("a formula may not use the interpreter, as print and numba.objmode do")
    return _emit(code)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let Python look for cycles less often: a compiler makes many objects that live on, which takes a tenth of its time."""
    before = gc.get_threshold()
    if before[0]:
        gc.set_threshold(max(COLLECT_FROM, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


COLLECT_FROM = 100_000
"""Objects more than there were, from which on Python looks for cycles while a kernel is compiled."""


def optimised_module(function: Callable[..., Any]) -> Any:
    """Numba's code library for a function of the inner-loop type, optimised for the processor of ``target.py``."""
    return _optimised(function, users=False)


def can_fail(function: Callable[..., Any]) -> bool:
    """Whether the optimised code of a function of the inner-loop type with a user's formula in it can come to an exception."""
    return f"call void @{FAILED}" in _optimised(function, users=True, on_failure=FAILED).get_llvm_str()


def _optimised(
    function: Callable[..., Any], users: bool, on_failure: str | None = None, integers: int | None = None
) -> Any:
    """The library of a function; one of the name ``on_failure`` is called where it raises an exception."""
    from llvmlite import ir
    from numba.core import compiler, registry
    from numba.core.compiler_lock import global_compiler_lock

    from fastact.kernels import jit, memory

    with global_compiler_lock, jit.enabled():
        jit.register()
        numbas = registry.cpu_target
        flags = compiler.Flags()
        flags.no_cpython_wrapper = True
        flags.no_cfunc_wrapper = True
        flags.no_compile = True
        flags.error_model = jit.ERROR_MODEL
        flags.nrt = False
        signature, entry_type = memory.entry_types(integers)
        compiled = compiler.compile_extra(
            numbas.typing_context,
            jit.context_of(numbas.target_context),
            function,
            signature.args,
            signature.return_type,
            flags,
            locals={},
        )
        context = compiled.target_context
        library = context.codegen().create_library(SYMBOL)
        library.whole, library.users = True, users
        module = library.create_ir_module(SYMBOL)
        entry = ir.Function(module, entry_type, SYMBOL)
        memory.allow_wide_vectors(entry)
        builder = ir.IRBuilder(entry.append_basic_block())
        callee = context.declare_function(module, compiled.fndesc)
        status, result = context.call_conv.call_function(
            builder, callee, signature.return_type, signature.args, entry.args
        )
        if on_failure:
            failed = ir.Function(module, ir.FunctionType(ir.VoidType(), []), on_failure)
            with builder.if_then(status.is_error):
                builder.call(failed, [])
        # Else the status is dropped: with NumPy's error model and no indexing, a loop has nothing to raise.
        if integers is None:
            builder.ret_void()
        else:
            builder.ret(result)
        library.add_ir_module(module)
        library.add_linking_library(compiled.library)
        library.finalize()
        return library


def load(object_file: bytes) -> int:
    """Map an object file into the process, for good, and return the address of its ``SYMBOL``."""
    if NUMBAS in object_file:
        from numba.core import registry

        _ = registry.cpu_target.target_context  # tells LLVM where they are
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target.machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(object_file))
    engine.finalize_object()
    address = int(engine.get_function_address(SYMBOL))
    engine.detach()  # workers, and daemon threads, may run it while the interpreter ends
    return address


def handing_over(loop: int, record: int) -> int:
    """The address of an inner loop that calls the one at an address, and gives it a record, whatever it is given itself."""
    from llvmlite import ir

    module, pointer = ir.Module(), ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer] * 4)
    function = ir.Function(module, kind, SYMBOL)
    builder = ir.IRBuilder(function.append_basic_block())
    place, given = (ir.Constant(ir.IntType(64), value) for value in (loop, record))
    args, dims, steps, _ = function.args
    callee, handed = builder.inttoptr(place, kind.as_pointer()), builder.inttoptr(given, pointer)
    builder.call(callee, [args, dims, steps, handed], tail=True)
    builder.ret_void()
    return load(_emit(str(module)))


def _emit(assembly: str) -> bytes:
    module = llvm.parse_assembly(assembly)
    module.verify()
    return bytes(target.machine().emit_object(module))
