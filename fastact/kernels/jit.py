"""Teaches Numba the scalar language of ``fastact.maths.simd`` and ``fastact.maths.scalar``."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import config, typed_passes, untyped_passes
from numba.core import ir as numba_ir
from numba.core.analysis import compute_cfg_from_blocks
from numba.core.codegen import AOTCodeLibrary, JITCPUCodegen
from numba.core.compiler import CompilerBase, DefaultPassBuilder, Flags
from numba.core.compiler_machinery import FunctionPass, PassManager, register_pass
from numba.core.cpu import CPUContext
from numba.core.ir_utils import build_definitions
from numba.core.targetconfig import ConfigStack
from numba.core.untyped_passes import IRProcessing
from numba.extending import register_jitable

from fastact.kernels import intrinsics
from fastact.kernels.defined import defined
from fastact.maths import scalar

Function = TypeVar("Function", bound=Callable[..., Any])

ERROR_MODEL = "numpy"


class KernelLibrary(AOTCodeLibrary):  # type: ignore[misc]
    """Code of a kernel or a part of one: optimised as a whole, not once more at every level of calls."""

    whole, users = False, False
    _final_module: Any

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        if self.whole:
            if self.users:
                self._final_module = llvm.parse_assembly(defined(str(self._final_module)))
            super()._optimize_final_module()


class KernelCodegen(JITCPUCodegen):  # type: ignore[misc]
    """Numba's optimiser for this machine without the machine code: a kernel leaves as an object file, its parts as IR."""

    _library_class = KernelLibrary

    def _add_module(self, module: Any) -> None:
        """Numba would compile it together with the next function that it is asked for."""


MOST_MULTIPLIED = 0x10000
"""The largest integer exponent for which a float is multiplied; the library's ``pow`` is more precise from there on."""


def _power(number: Any) -> Callable[[Any, Any], Any]:
    """Numba's ``a ** b`` of an integer ``b`` and results of a type, for all ``b``: its own raises an exception for the smallest."""

    def multiplied(a: Any, b: Any) -> Any:
        power = number(1)
        while b != 0:
            if b & 1:
                power *= a
            b >>= 1
            a *= a
        return power

    multiplied = internal(multiplied)
    if isinstance(number, types.Integer):
        smallest = number.minval

        def power_of_integer(a: Any, b: Any) -> Any:
            a = number(a)
            if b >= 0:
                return multiplied(a, b)
            if a == 0:
                return number(smallest)
            return multiplied(a, b & 1) if a == 1 or a == -1 else number(0)

        return power_of_integer

    def power_of_float(a: Any, b: Any) -> Any:
        a = number(a)
        if b > MOST_MULTIPLIED or b < -MOST_MULTIPLIED:
            return math.pow(a, float(b))
        return multiplied(a, b) if b >= 0 else 1.0 / multiplied(a, -b)

    return power_of_float


class KernelContext(CPUContext):  # type: ignore[misc]
    """Numba's target context, under NumPy's error model throughout."""

    def _compile_subroutine_no_cache(
        self,
        builder: Any,
        impl: Any,
        sig: Any,
        locals: Any = None,  # noqa: A002 - Numba's name
        flags: Any = None,
    ) -> Any:
        """Compile what an operation of Numba's is made of; left alone, it raises where its caller must not: ``0.0 ** -1``."""
        if impl.__name__ == "int_power":
            impl = _power(sig.return_type)
        if flags is None:
            flags = Flags()
            flags.error_model = ERROR_MODEL
            caller = ConfigStack().top_or_none()
            if caller is not None and caller.is_set("nrt"):
                flags.nrt = caller.nrt
        return super()._compile_subroutine_no_cache(builder, impl, sig, locals, flags)


@cache
def context_of(target_context: Any) -> Any:
    """A ``KernelContext`` with ``KernelCodegen`` that knows what Numba's target context knows.

    Numba takes the Python function that it would make of the machine code for the name of a compiled function; here there is
    neither, and any callable will do that no other equals.
    """
    context = target_context.subtarget(
        _internal_codegen=KernelCodegen("fastact"),
        get_executable=lambda library, description, environment: object().__dir__,
    )
    context.__class__ = KernelContext
    return context


@contextmanager
def enabled() -> Iterator[None]:
    """Let Numba compile, also where ``NUMBA_DISABLE_JIT`` has been set to debug functions of the user's."""
    before, config.DISABLE_JIT = config.DISABLE_JIT, 0
    try:
        yield
    finally:
        config.DISABLE_JIT = before


@register_pass(mutates_CFG=False, analysis_only=False)
class OnlyRaise(FunctionPass):  # type: ignore[misc]
    """Leaves nothing on ways that lead to an exception but an exception of any type.

    What makes its message may be more than Numba can compile, and Python will make the user's own (see ``failing.py``).
    """

    _name = "fastact_only_raise"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Say whether there was such a block."""
        function = state.func_ir
        lost = _blocks_that_raise(function.blocks)
        for label in lost:
            block, place = function.blocks[label], function.blocks[label].body[-1].loc
            error = numba_ir.Var(block.scope, f"$fastact_error.{label}", place)
            named = numba_ir.Global("RuntimeError", RuntimeError, place)
            block.body = [numba_ir.Assign(named, error, place), numba_ir.Raise(error, place)]
        if lost:
            for label in compute_cfg_from_blocks(function.blocks).dead_nodes():
                del function.blocks[label]
            function._definitions = build_definitions(function.blocks)
        return bool(lost)


def _blocks_that_raise(blocks: Any) -> set[Any]:
    """The labels of blocks that end in an exception whichever way is taken from there."""
    lost: set[Any] = set()
    before = -1
    while before < len(lost):
        before = len(lost)
        for label, block in blocks.items():
            last = block.body[-1]
            targets = last.get_targets()
            if isinstance(last, numba_ir.Raise) or (targets and lost.issuperset(targets)):
                lost.add(label)
    return lost


class PartCompiler(CompilerBase):  # type: ignore[misc]
    """Compiles what only compiled code calls."""

    def __init__(self, typing_context: Any, target_context: Any, *rest: Any) -> None:
        super().__init__(typing_context, context_of(target_context), *rest)

    def define_pipelines(self) -> list[Any]:
        """Give Numba's own pipeline one pass more."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(OnlyRaise, IRProcessing)
        passes.finalize()
        return [passes]


class OwnCompiler(PartCompiler):
    """Compiles parts of kernels that this package has written, by the passes of Numba's that these need.

    They have no closures, arrays, ``with`` or ``literal_unroll``; the passes that look for such take a tenth of the time. Branches
    that a constant decides, as many as there are in templates, are pruned before types are inferred.
    """

    def define_pipelines(self) -> list[Any]:
        """The passes."""
        passes = PassManager("fastact")
        for one in OWN_PASSES:
            passes.add_pass(one, one.__name__)
        passes.finalize()
        return [passes]


OWN_PASSES = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.RewriteSemanticConstants,
    untyped_passes.DeadBranchPrune,
    untyped_passes.GenericRewrites,
    untyped_passes.ReconstructSSA,
    untyped_passes.DeadBranchPrune,
    typed_passes.NopythonTypeInference,
    typed_passes.PreLowerStripPhis,
    typed_passes.IRLegalization,
    typed_passes.NativeLowering,
    typed_passes.NoPythonBackend,
)

INTERNAL = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": PartCompiler}
"""For functions that only compiled code calls: wrappers and machine code of their own would take half the time to compile a
kernel."""

JIT_OPTIONS = {"error_model": ERROR_MODEL, "forceinline": True, **INTERNAL}
"""Division by zero gives infinity or NaN as in NumPy. No fast-math flag: formulas ask for each fused operation by
name, so that vector body, scalar tail and every machine round alike."""

OWN = {"pipeline_class": OwnCompiler}
"""For what this package has written."""

_registered: set[int] = set()

parts: set[Callable[..., Any]] = set()
"""Every function marked ``internal``."""


def internal(function: Function) -> Function:
    """Mark a part of a kernel, such as a pass over a row."""
    parts.add(function)
    marked: Function = register_jitable(**INTERNAL | OWN)(function)
    return marked


def register() -> None:
    """Teach Numba everything registered so far; cheap to call again after more was registered."""
    if not _registered:
        intrinsics.register()
    kinds: tuple[tuple[Sequence[Any], Callable[[Any], Any]], ...] = (
        (scalar.compilable, _teach_formula),
        (scalar.Polynomial.instances, _teach_polynomial),
        (scalar.ByPrecision.instances, _teach_by_precision),
        (scalar.Constant.instances, _teach_constant),
        (scalar.Table.instances, _teach_table),
    )
    for kind, teach in kinds:
        for function in kind:
            if id(function) not in _registered:
                teach(function)
                _registered.add(id(function))


def _teach_formula(formula: Any) -> None:
    own = (formula.__module__ or "").startswith(PACKAGE)
    register_jitable(**JIT_OPTIONS | (OWN if own else {}))(formula)


PACKAGE = __name__.partition(".")[0] + "."
"""What names of this package's modules begin with."""


def _teach_polynomial(polynomial: scalar.Polynomial | scalar.ByPrecision) -> None:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        (x,) = values
        coefficients = _of_type(polynomial, signature.return_type).coefficients
        total = ir.Constant(x.type, coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            total = builder.fma(total, x, ir.Constant(x.type, coefficient))
        return total

    intrinsics.teach(polynomial, lambda context, x: x(x), emit)


def _teach_by_precision(function: scalar.ByPrecision) -> None:
    if isinstance(function.float32, scalar.Polynomial):
        _teach_polynomial(function)
        return

    def chosen(typing_context: Any, kinds: Sequence[Any]) -> Any:
        return typing_context.resolve_value_type(_of_type(function, kinds[0]))

    def typed(typing_context: Any, *kinds: Any) -> Any:
        return chosen(typing_context, kinds).get_call_type(typing_context, kinds, {})

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        called = context.get_function(chosen(context.typing_context, signature.args), signature)
        return called(builder, values)

    intrinsics.teach(function, typed, emit)


def _teach_constant(constant: scalar.Constant) -> None:
    is_int = isinstance(constant.float32, int)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return ir.Constant(values[0].type if not is_int else intrinsics.I64, _of_type(constant, signature.args[0]))

    intrinsics.teach(constant, lambda context, x: (types.int64 if is_int else x)(x), emit)


def _teach_table(table: scalar.Table) -> None:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.ArrayType(intrinsics.F64, len(table.values))
        name = f"fastact.table.{scalar.Table.instances.index(table)}"
        found = builder.module.globals.get(name)
        if found is None:
            found = ir.GlobalVariable(builder.module, kind, name)
            found.initializer = ir.Constant(kind, [ir.Constant(intrinsics.F64, value) for value in table.values])
            found.global_constant, found.linkage = True, "internal"
        index = builder.and_(values[0], ir.Constant(values[0].type, len(table.values) - 1))
        return builder.load(builder.gep(found, [intrinsics.I32(0), index], inbounds=True))

    intrinsics.teach(table, lambda context, i: types.float64(i), emit)


def _of_type(function: Any, kind: Any) -> Any:
    """What is chosen for a type of Numba's; a polynomial for all types is its own choice."""
    if isinstance(function, scalar.Polynomial):
        return function
    return function.float32 if kind == types.float32 else function.float64
