"""The processor that machine code is made for: this one, or what Numba's settings say, and the vectors that LLVM makes for it."""

import os
import re
from functools import cache
from typing import Any

import llvmlite.binding as llvm

NUMBA_FILE = ".numba_config.yaml"
"""Where Numba looks for its settings, in the current folder."""
CHOOSE_PROCESSOR = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX")
"""Numba's settings of the processor, in the environment."""
WIDE_VECTORS = '"prefer-vector-width"="512"'
"""Attribute of a function that may use the widest registers: LLVM stops at 256 bits on most Intel cores otherwise."""

FUSED_LOOP = f"""
define void @fused(ptr noalias %x, i64 %n) {WIDE_VECTORS} {{
entry:
  br label %element
element:
  %i = phi i64 [ 0, %entry ], [ %following, %element ]
  %place = getelementptr float, ptr %x, i64 %i
  %value = load float, ptr %place
  %result = call float @llvm.fma.f32(float %value, float %value, float %value)
  store float %result, ptr %place
  %following = add nsw i64 %i, 1
  %more = icmp slt i64 %following, %n
  br i1 %more, label %element, label %done
done:
  ret void
}}
declare float @llvm.fma.f32(float, float, float)
"""
"""A loop that is vectorised where those of kernels are, and as wide."""


@cache
def cpu() -> tuple[str, str, str]:
    """The triple, name and feature string of the processor that code is made for.

    Numba is asked, and imported for it, only where somebody has set one.
    """
    if os.path.exists(NUMBA_FILE) or any(name in os.environ for name in CHOOSE_PROCESSOR):
        from numba.core import registry

        triple, name, features = registry.cpu_target.target_context.codegen().magic_tuple()
        return str(triple), str(name), str(features)
    return llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def machine() -> Any:
    """LLVM's target machine for that processor."""
    _initialise()
    triple, name, features = cpu()
    target = llvm.Target.from_triple(triple)
    return target.create_target_machine(
        cpu=name, features=features, opt=3, reloc="default", codemodel="jitdefault", jit=True
    )


@cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@cache
def vector_type() -> str:
    """The type of the vectors of float32 that LLVM makes of a loop, such as ``<16 x float>``; empty if it makes none.

    The feature string does not say it: a processor's name implies features, and some that has scalable vectors does better without.
    """
    module = llvm.parse_assembly(FUSED_LOOP)
    module.triple = cpu()[0]
    compiling_for = machine()
    module.data_layout = str(compiling_for.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    passes = llvm.create_pass_builder(compiling_for, options)
    passes.getModulePassManager().run(module, passes)
    found = re.search(r"<(?:vscale x )?\d+ x float>", str(module))
    return found[0] if found else ""
