"""Machine code of the kernels over rows: every pass is vectorised, in the widest registers, and calls nothing."""

import pytest

from . import machinecode
from .machinecode import MEMORY_AND_FLAGS, THIS
from .test_vectorised import PROCESSORS, processor_called


def both_layouts(*kernels):
    return [f"{kernel}{layout}" for kernel in kernels for layout in ("", ".columns")]


KERNELS = {
    THIS: both_layouts("softmax", "softmax_backward", "cross_entropy.smoothed.gradient.capped"),
    "haswell": both_layouts("softmax"),
    "neoverse-n1": ("logsumexp", "softmax_backward.columns"),
    "neoverse-v1": ("softmax_backward", "logsumexp.columns"),
}
"""Which are compiled: for each of the other processors some. They are made of the same passes."""
SCALAR = {THIS: both_layouts("logsumexp"), "neoverse-n1": ("logsumexp.columns",)}
"""Which are compiled without vectors."""


@pytest.fixture(scope="module")
def code():
    return machinecode.finish({name: machinecode.start("rows", name, *KERNELS[name]) for name in PROCESSORS})


@pytest.fixture(scope="module")
def scalar_code():
    """The same of a kernel, while LLVM does not vectorise loops."""
    processes = {name: machinecode.start("rows", name, *SCALAR[name], NUMBA_LOOP_VECTORIZE="0") for name in SCALAR}
    return machinecode.finish(processes)


def left_scalar(report):
    """Of columns only: in the kernels of rows the loops around unrolled passes inherit the wish, so there it says nothing."""
    return {name for name, facts in report.items() if name.endswith(".columns") and facts["left scalar"]}


def not_fused_in_wide_vectors(report, processor):
    """Where more is fused number by number than in the widest vectors: what remains of a row takes some."""
    fused = {name: facts["fused"] for name, facts in report.items()}
    return {name for name, counts in fused.items() if counts.get(processor.fused[0], 0) < counts.get("f32", 0)}


@pytest.mark.parametrize("name", PROCESSORS)
def test_every_pass_is_vectorised(code, name):
    assert {*code[name]} == {*KERNELS[name]}
    assert not left_scalar(code[name])
    assert not not_fused_in_wide_vectors(code[name], processor_called(name))


@pytest.mark.parametrize("name", SCALAR)
def test_a_scalar_pass_is_seen(scalar_code, name):
    assert left_scalar(scalar_code[name]) == {"logsumexp.columns"}
    assert not_fused_in_wide_vectors(scalar_code[name], processor_called(name)) == {*scalar_code[name]}


@pytest.mark.parametrize("name", PROCESSORS)
def test_registers(code, name):
    processor = processor_called(name)
    for kernel, facts in code[name].items():
        assert processor.vectors[0] in facts["vectors"], f"{name}: {kernel}"
        assert processor.registers[0] in facts["packed"], f"{name}: {kernel}"
    if name == "haswell":
        assert not any("zmm" in facts["registers"] for facts in code[name].values())


@pytest.mark.parametrize("name", PROCESSORS)
def test_no_store_is_masked(code, name):
    """Some processors take many times as long for one: LLVM makes them of a choice between a number in memory and its successor."""
    assert not {kernel for kernel, facts in code[name].items() if facts["masked stores"]}


@pytest.mark.parametrize("name", PROCESSORS)
def test_nothing_is_called(code, name):
    """Kernels of columns allocate a tile."""
    for kernel, facts in code[name].items():
        allowed = MEMORY_AND_FLAGS | ({"malloc", "free"} if kernel.endswith(".columns") else set())
        assert not set(facts["called"]) - allowed, f"{name}: {kernel} calls {facts['called']}"
