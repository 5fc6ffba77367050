"""Machine code of the kernels over rows: every pass is vectorised, in the widest registers, and calls nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastact as fa

from .test_vectorised import HASWELL, MEMORY_AND_FLAGS, is_x86, widest

# The others are made of the same passes; to compile all of them for two processors would take minutes.
REPORT = """
import json, re, sys
import fastact as fa
from fastact.engine import compiler
from fastact.rows.cross_entropy import entropy_kernel
from fastact.rows.record import KERNELS

kernels = [KERNELS[getattr(fa, name).ufunc] for name in ("softmax", "logsumexp", "softmax_backward")]
kernels += [entropy_kernel(True, False, True, False), entropy_kernel(True, True, True, True)]
report = {}
for kernel in kernels:
    for name, source in kernel.sources("float32").items():
        library = compiler.optimised_module(source())
        ir, assembly = library.get_llvm_str(), library.get_asm_str()
        labels = set(re.findall(r'^"?([^\\s":]+)"?:', assembly, re.M))
        targets = re.findall(r'\\bcallq?\\s+"?([^*%\\s"@]+)', assembly)
        targets += re.findall(r'movabsq\\s+\\$"?([A-Za-z_.][^\\s,"]*)', assembly)
        report[name] = {
            "called": sorted(set(targets) - labels),
            "registers": sorted(set(re.findall(r"%([xyz]mm)\\d", assembly))),
            "left scalar": len(re.findall(r"llvm.loop.interleave.count", ir)),
        }
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def code():
    path = os.pathsep.join([str(Path(fa.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    targets = {"host": {}} | ({"haswell": HASWELL} if is_x86() else {})
    children = {
        target: subprocess.Popen(
            [sys.executable, "-c", REPORT],
            env={**os.environ, "PYTHONPATH": path, **env},
            stdout=subprocess.PIPE,
            text=True,
        )
        for target, env in targets.items()
    }
    reports = {}
    for target, child in children.items():
        out, _ = child.communicate(timeout=900)
        assert child.returncode == 0, f"compiling for {target} failed"
        reports[target] = json.loads(out)
    return reports


def test_every_pass_is_vectorised(code):
    """A loop that the vectoriser gave up still carries its wish to be interleaved.

    In the kernels of rows the loops around unrolled passes inherit it, so there it says nothing.
    """
    for target, report in code.items():
        columns = {name: facts["left scalar"] for name, facts in report.items() if name.endswith(".columns")}
        assert len(columns) == len(report) / 2
        scalar = {name: count for name, count in columns.items() if count}
        assert not scalar, f"{target}: loops left scalar in {scalar}"


def test_registers(code):
    if is_x86():
        assert all(widest()["float32"] in facts["registers"] for facts in code["host"].values())
        assert all("ymm" in facts["registers"] for facts in code["haswell"].values())
        assert not any("zmm" in facts["registers"] for facts in code["haswell"].values())


def test_nothing_is_called(code):
    """Kernels of columns allocate a tile."""
    for report in code.values():
        for name, facts in report.items():
            allowed = MEMORY_AND_FLAGS | ({"malloc", "free"} if name.endswith(".columns") else set())
            assert not set(facts["called"]) - allowed, f"{name} calls {facts['called']}"
