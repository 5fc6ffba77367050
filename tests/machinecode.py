"""What the machine code of kernels holds, on this processor and on others; as a script, it prints a report as JSON.

LLVM compiles for every processor that it knows, on any machine. Numba reads for which one when it starts, hence a process for each.
"""

import collections
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

THIS = "this"
SECONDS = 1800
MASKED_STORE = r"^\s+v(?:p?maskmov\w+\s+%\w+, %\w+, [^%\n]*\(|mov\w+\s+%[xyz]mm\d+, [^%\n]*\([^\n]*\{%k)"
"""A store under a mask, as x86 writes it."""
MEMORY_AND_FLAGS = {"memcpy", "memmove", "memset", "feclearexcept"}
"""What kernels may call."""


@dataclass(frozen=True)
class Processor:
    """A processor that LLVM knows, and what its widest arithmetic looks like, in float32 and in float64."""

    triple: str
    vectors: tuple[str, str]
    """LLVM's types."""
    fused: tuple[str, str]
    """What follows the names of LLVM's fused operations on them."""
    registers: tuple[str, str]
    """As ``packed`` names them."""

    @property
    def is_x86(self):
        return self.triple.startswith("x86_64")


X86, AARCH64 = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
AVX512 = Processor(X86, ("<16 x float>", "<8 x double>"), ("v16f32", "v8f64"), ("zmm", "zmm"))
AVX2 = Processor(X86, ("<8 x float>", "<4 x double>"), ("v8f32", "v4f64"), ("ymm", "ymm"))
NEON = Processor(AARCH64, ("<4 x float>", "<2 x double>"), ("v4f32", "v2f64"), ("v.4s", "v.2d"))
SVE = Processor(AARCH64, ("<vscale x 4 x float>", "<vscale x 2 x double>"), ("nxv4f32", "nxv2f64"), ("z.s", "z.d"))

OTHERS = {"haswell": AVX2, "neoverse-n1": NEON, "neoverse-v1": SVE}
"""By LLVM's name. No test needs one of them: they are compiled for, and not run."""


def this():
    """The processor that this process compiles for."""
    from fastact.kernels import target

    is_x86 = target.cpu()[0].startswith("x86_64")
    return next(p for p in (AVX512, AVX2, NEON, SVE) if p.vectors[0] == target.vector_type() and p.is_x86 == is_x86)


def start(report, name, *arguments, **environment):
    """A process that makes a report for a processor of ``OTHERS``, or for this one."""
    import fastact
    from fastact.runtime import cache

    chosen = {} if name == THIS else {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ""}
    folder = cache.directory()
    if folder is not None and (chosen or environment):
        # In a folder of their own: of one folder, kernels made under a few settings are kept.
        chosen["FASTACT_CACHE_DIR"] = str(folder / "-".join(["machine-code", name, *environment]))
    path = os.pathsep.join([str(Path(fastact.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, __file__, report, name, *arguments]
    env = {**os.environ, "PYTHONPATH": path, **chosen, **environment}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def finish(processes):
    """What processes report, by the same names."""
    found = {}
    for name, process in processes.items():
        out, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, f"compiling for {name} failed"
        found[name] = json.loads(out)
    return found


def compile_for(name):
    """Let LLVM and Numba compile for a processor of ``OTHERS``, from now on and in the whole process."""
    import llvmlite.binding as llvm

    if name != THIS:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        llvm.get_process_triple = lambda: OTHERS[name].triple


def kept(name, build):
    """What ``build()`` finds out about a kernel, kept for later runs in the cache, whose key holds all that code is made from."""
    from fastact.runtime import cache

    own = Path(__file__).read_bytes()
    return json.loads(cache.cached(f"machine-code.{name}", lambda: json.dumps(build()).encode(), salt=own))


def facts_of_kernel(name, source):
    """The facts of a kernel, whose code then is in the cache for other tests: they need not compile it again."""
    return kept(name, lambda: facts(source(), name))


def facts(function, name):
    """What the machine code of a function of the inner-loop type holds, which is kept under that name.

    A loop that the vectoriser gave up still carries its wish to be interleaved, whatever the processor's vectors look like.
    """
    ir, assembly = code(function, name)
    labels = set(re.findall(r'^"?([^\s":]+)"?:', assembly, re.M))
    targets = re.findall(r'\bcallq?\s+"?([^*%\s"@]+)', assembly)
    targets += re.findall(r'^\s+bl\s+"?([^\s"]+)', assembly, re.M)
    targets += re.findall(r'movabsq\s+\$"?([A-Za-z_.][^\s,"]*)', assembly)
    return {
        "declared": sorted(set(re.findall(r'^declare .*?@"?([^"(]+)"?\(', ir, re.M))),
        "called": sorted(set(targets) - labels),
        "registers": sorted(set(re.findall(r"%([xyz]mm)\d", assembly))),
        "packed": sorted(packed(assembly)),
        "fused": collections.Counter(re.findall(r"call[^@\n]*@llvm\.fma\.(\w+)\(", ir)),
        "vectors": sorted(set(re.findall(r"<(?:vscale x )?\d+ x (?:float|double)>", ir))),
        "masked stores": len(re.findall(MASKED_STORE, assembly, re.M)),
        "left scalar": "llvm.loop.interleave.count" in ir,
    }


def code(function, name):
    """LLVM's code of a function, optimised, and the assembly of the very instructions that are kept and run."""
    import llvmlite.binding as llvm

    from fastact.kernels import target
    from fastact.runtime import cache, compiler

    ir = compiler.optimised_module(function).get_llvm_str()
    module = llvm.parse_assembly(ir)
    cache.cached(name, lambda: target.machine().emit_object(module))
    return ir, target.machine().emit_assembly(llvm.parse_assembly(ir))


def packed(assembly):
    """The kinds of registers in which more than one number is computed at a time."""
    lines = assembly.splitlines()
    arithmetic = r"\s+v(?!mov|maskmov|blend|broadcast|insert|extract|perm|unpck|cvt)\w*p[sd]\s"
    x86 = {kind for line in lines if re.match(arithmetic, line) for kind in re.findall(r"%([xyz]mm)\d", line)}
    # Of SVE, comparisons write predicates: their operands tell.
    aarch64 = re.findall(r"^\s+f(?!mov|dup|cvt)\w+\s+(?:p\d+\.[sd], p\d+/z, )?([vz])\d+(\.\d?[sd])\b", assembly, re.M)
    return x86 | {kind + lanes for kind, lanes in aarch64}


def source(kernel, dtype):
    """The inner loop of an elementwise kernel, ready to be compiled."""
    return kernel.sources(dtype)[kernel.name]()


def ops(names):
    """Of the kernels behind ops, or of some of them, such as ``gelu.float32``."""
    import fastact
    from fastact.functions.elementwise import from_output_kernel, kernels

    every = {
        f"{kernel.name}.{dtype}": (kernel, dtype)
        for op in fastact.ops.values()
        for kernel in (*kernels(op), *([from_output_kernel(op)] if op.from_output else []))
        for dtype in ("float32", "float64")
    }
    return {name: facts_of_kernel(name, lambda name=name: source(*every[name])) for name in names or every}


def rows(names):
    """Of kernels over rows; the others are made of the same passes, and to compile all for each processor would take minutes."""
    import fastact
    from fastact.calls.row_ufuncs import KERNELS
    from fastact.functions.cross_entropy_kernels import entropy_kernel

    kernels = [KERNELS[getattr(fastact, name).ufunc] for name in ("softmax", "logsumexp", "softmax_backward")]
    kernels += [entropy_kernel(True, False, True, False), entropy_kernel(True, True, True, True)]
    sources = {name: source for kernel in kernels for name, source in kernel.sources("float32").items()}
    return {name: facts_of_kernel(f"{name}.float32", sources[name]) for name in names or sources}


def team(_):
    """The code of the caller's part and of the workers'."""
    from fastact.runtime import driver
    from fastact.runtime import team as of_workers

    return {
        name: kept(name, lambda name=name, function=function: code(function, name))
        for name, function in (("run_parallel", driver.run_parallel), ("serve", of_workers.serve))
    }


REPORTS = {"ops": ops, "rows": rows, "team": team}

if __name__ == "__main__":
    _, report, processor, *names = sys.argv
    compile_for(processor)
    print(json.dumps(REPORTS[report](names)))
