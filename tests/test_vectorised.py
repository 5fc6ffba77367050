"""Machine code: every loop computes in the widest registers, calls no maths library and nothing of Numba's runtime."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastact as fa

# Run in a process of its own for each processor, since Numba reads its target once.
REPORT = """
import json, re, sys
import fastact as fa
from fastact.engine import compiler, ufunc
from fastact.registry import kernels

report = {}
for op in fa.ops.values():
    for kernel in kernels(op):
        for dtype in ("float32", "float64"):
            library = compiler.optimised_module(ufunc.specialised(kernel, dtype))
            ir, assembly = library.get_llvm_str(), library.get_asm_str()
            labels = set(re.findall(r'^"?([^\\s":]+)"?:', assembly, re.M))
            targets = re.findall(r'\\bcallq?\\s+"?([^*%\\s"@]+)', assembly)
            targets += re.findall(r'^\\s+bl\\s+"?([^\\s"]+)', assembly, re.M)
            targets += re.findall(r'movabsq\\s+\\$"?([A-Za-z_.][^\\s,"]*)', assembly)
            report[f"{kernel.name}.{dtype}"] = {
                "declared": sorted(set(re.findall(r'^declare .*?@"?([^"(]+)"?\\(', ir, re.M))),
                "called": sorted(set(targets) - labels),
                "registers": sorted(set(re.findall(r"%([xyz]mm)\\d", assembly))),
                "packed": sorted({
                    register
                    for line in assembly.splitlines()
                    if re.match(r"\\s+v(?!mov|broadcast|insert|extract|perm|unpck|cvt)\\w*p[sd]\\s", line)
                    for register in re.findall(r"%([xyz]mm)\\d", line)
                } | set(re.findall(r"\\sf\\w+\\s+v\\d+\\.(4s|2d)", assembly))),
                "vector fma": sorted(set(re.findall(r"@llvm\\.fma\\.(v\\d+f\\d+)\\(", ir))),
                "scalar fma": bool(re.search(r"call[^@\\n]*@llvm\\.fma\\.f\\d+\\(", ir)),
                "vectors": sorted(set(re.findall(r"<\\d+ x (?:float|double)>", ir))),
            }
print(json.dumps(report))
"""

HASWELL_FEATURES = (
    "64bit avx avx2 bmi bmi2 cmov cx16 cx8 f16c fma fxsr lzcnt mmx movbe popcnt sse sse2 sse3 sse4.1 sse4.2 ssse3 xsave"
)
HASWELL = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": ",".join(f"+{feature}" for feature in HASWELL_FEATURES.split()),
}
MEMORY_AND_FLAGS = {"memcpy", "memmove", "memset", "feclearexcept"}


@pytest.fixture(scope="module")
def code():
    """What the kernels' code holds on this machine's processor and, on x86-64, on one without AVX-512."""
    path = os.pathsep.join([str(Path(fa.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    targets = {"host": os.environ} | ({"haswell": {**os.environ, **HASWELL}} if is_x86() else {})
    command = [sys.executable, "-c", REPORT]
    children = {
        target: subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": path, **env}, stdout=subprocess.PIPE, text=True
        )
        for target, env in targets.items()
    }
    reports = {}
    for target, child in children.items():
        out, _ = child.communicate(timeout=900)
        assert child.returncode == 0, f"compiling for {target} failed"
        reports[target] = json.loads(out)
    return reports


def is_x86():
    from fastact.engine import compiler

    return compiler.cpu()[0].startswith("x86_64")


def widest():
    from fastact.engine import compiler

    if not is_x86():
        return {"float32": "4s", "float64": "2d"}
    features = compiler.cpu()[2].split(",")
    register = "zmm" if "+avx512f" in features else "ymm" if "+avx" in features else "xmm"
    return dict.fromkeys(("float32", "float64"), register)


def offenders(report, wrong):
    return {kernel: found for kernel, facts in report.items() if (found := wrong(kernel, facts))}


def test_every_kernel_is_covered(code):
    expected = {f"{name}.{dtype}" for name in fa.registry.public_names() for dtype in ("float32", "float64")}
    for report in code.values():
        assert set(report) == expected


def test_arithmetic_is_packed_in_the_widest_registers(code):
    register = widest()
    slow = offenders(code["host"], lambda k, facts: register[k[-7:]] not in facts["packed"] and facts["packed"])
    assert not slow, f"these kernels lack packed arithmetic on {set(register.values())}: {slow}"
    none = offenders(code["host"], lambda k, facts: not facts["packed"])
    assert not none, f"these kernels have no packed arithmetic at all: {sorted(none)}"


def test_no_library_is_called(code):
    for target, report in code.items():
        declared = offenders(report, lambda k, facts: [d for d in facts["declared"] if not allowed(d)])
        assert not declared, f"{target}: these kernels declare functions that are no LLVM intrinsics: {declared}"
        called = offenders(report, lambda k, facts: [c for c in facts["called"] if not allowed(c)])
        assert not called, f"{target}: these kernels call out of their own code: {called}"


def allowed(name):
    return name in MEMORY_AND_FLAGS or name.startswith("llvm.")


def test_fused_operations_are_vectors(code):
    for target, report in code.items():
        scalar = offenders(report, lambda k, facts: facts["scalar fma"] and facts["vectors"])
        assert not scalar, f"{target}: these kernels fuse one element at a time: {scalar}"


def test_without_avx512(code):
    if "haswell" not in code:
        pytest.skip("for x86-64")
    report, wide = code["haswell"], {"<8 x float>", "<4 x double>"}  # a float32 kernel may compute in float64
    narrow = offenders(report, lambda k, facts: not wide & set(facts["vectors"]) and [facts["vectors"]])
    assert not narrow, f"these kernels lack vectors of 256 bits: {narrow}"
    slow = offenders(report, lambda k, facts: "ymm" not in facts["packed"] and [facts["packed"]])
    assert not slow, f"these kernels lack packed arithmetic on ymm: {slow}"
    assert not offenders(report, lambda k, facts: "zmm" in facts["registers"]), "zmm on a processor without it"
    fused = [k for k, facts in report.items() if facts["vector fma"]]
    assert len(fused) > 20, "polynomials must compile to fused operations"
    full = {"v8f32", "v4f64"}
    unfused = offenders(report, lambda k, facts: facts["vector fma"] and not full & set(facts["vector fma"]))
    assert not unfused, f"these kernels fuse in vectors below 256 bits: {unfused}"
