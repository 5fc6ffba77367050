"""Machine code: every loop computes in the widest registers, calls no maths library and nothing of Numba's runtime.

On this machine's processor, and on those of ``machinecode.OTHERS``, which no machine needs to have.
"""

import pytest

import fastact as fa
from fastact.functions.op_functions import op_functions

from . import machinecode
from .machinecode import MEMORY_AND_FLAGS, OTHERS, THIS

DTYPES = ("float32", "float64")
PROCESSORS = (THIS, *OTHERS)
OF_SO_MANY = 12
"""One op of so many is compiled for each other processor."""
SINGLE = {"f16", "f32", "f64"}
"""What follows the name of a fused operation on one number."""


def kernels_of(op):
    given = {"": True, "_backward": op.derivative, "_backward_from_output": op.from_output}
    return [f"{op.name}{ending}" for ending, there in given.items() if there]


def chosen(name):
    """Every kernel in one dtype for this processor, and some in the other dtype for each of the others.

    Whether a formula is vectorised hardly depends on the processor, and whether a processor's code is wide not on the formula:
    to compile all kernels for each would take as many times as long.
    """
    share = PROCESSORS.index(name) - 1
    return [
        f"{kernel}.{DTYPES[(i + k) % 2 == (name == THIS)]}"
        for i, op in enumerate(fa.ops.values())
        for k, kernel in enumerate(kernels_of(op))
        if name == THIS or i % OF_SO_MANY == share
    ]


@pytest.fixture(scope="module")
def code():
    """What the kernels' code holds, by processor."""
    return machinecode.finish({name: machinecode.start("ops", name, *chosen(name)) for name in PROCESSORS})


@pytest.fixture(scope="module")
def scalar_code():
    """The same of a kernel, while LLVM does not vectorise loops."""
    kernels = ("gelu.float32", "gelu_backward.float64")
    return machinecode.finish(
        {
            name: machinecode.start("ops", name, kernels[i % 2], NUMBA_LOOP_VECTORIZE="0")
            for i, name in enumerate(PROCESSORS)
        }
    )


def not_packed(facts, processor, j):
    """A kernel of float32 may compute in float64."""
    return not {*processor.registers[j:]} & {*facts["packed"]} and {"packed in": facts["packed"]}


def not_wide(facts, processor, j):
    """A kernel of float32 may compute in float64."""
    return not {*processor.vectors} & {*facts["vectors"]} and {"vectors": facts["vectors"]}


def fused_one_by_one(facts, processor, j):
    return SINGLE & {*facts["fused"]}


def not_fused_in_wide_vectors(facts, processor, j):
    """In float64, a kernel of float32 computes as many at a time as vectors of float32 hold: in two registers."""
    wide = {*processor.fused, processor.fused[0].replace("f32", "f64")}
    return facts["fused"] and not wide & {*facts["fused"]} and facts["fused"]


def left_scalar(facts, processor, j):
    return facts["left scalar"]


CHECKS = (not_packed, not_wide, fused_one_by_one, not_fused_in_wide_vectors, left_scalar)


def offenders(report, processor, check):
    return {
        kernel: found
        for kernel, facts in report.items()
        if (found := check(facts, processor, DTYPES.index(kernel.rpartition(".")[2])))
    }


def processor_called(name):
    return machinecode.this() if name == THIS else OTHERS[name]


def test_every_kernel_is_covered(code):
    """On this processor in one dtype."""
    assert {kernel.rpartition(".")[0] for kernel in code[THIS]} == {*op_functions()}
    for name, report in code.items():
        assert set(report) == {*chosen(name)}
        assert {kernel.rpartition(".")[2] for kernel in report} == {*DTYPES}, name


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", PROCESSORS)
def test_every_loop_is_vectorised(code, name, check):
    found = offenders(code[name], processor_called(name), check)
    assert not found, f"{name}: these kernels are {check.__name__}: {found}"


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", PROCESSORS)
def test_a_scalar_loop_is_seen(scalar_code, name, check):
    assert set(offenders(scalar_code[name], processor_called(name), check)) == set(scalar_code[name])


@pytest.mark.parametrize("name", PROCESSORS)
def test_polynomials_are_fused(code, name):
    assert sum(bool(facts["fused"]) for facts in code[name].values()) > len(code[name]) / 3


@pytest.mark.parametrize("name", PROCESSORS)
def test_no_library_is_called(code, name):
    for kernel, facts in code[name].items():
        for kind in ("declared", "called"):
            others = {function for function in facts[kind] if not function.startswith("llvm.")}
            assert others <= MEMORY_AND_FLAGS, f"{name}: {kernel} has {kind} {others}"


def test_no_wider_registers_than_the_processor_has(code):
    """Whatever processor this is: a folder of kernels may be made for another."""
    assert {register for facts in code["haswell"].values() for register in facts["registers"]} == {"xmm", "ymm"}
