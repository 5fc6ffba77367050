"""The protocol of the team: its model is exhausted, and the machine code keeps the order that the model assumes."""

import re
import shutil
import sys
from pathlib import Path

import pytest

ORDERED = {"ldar", "stlr", "casal", "ldaddal"}
WEAKER = {"ldapr", "stlur", "cas", "casa", "casl", "ldadd", "ldadda", "ldaddl"}
"""AArch64's atomic instructions that keep the order of sequential consistency, and relatives that do not."""

TOOLS = Path(__file__).parent.parent / "tools"


@pytest.mark.skipif(not TOOLS.exists(), reason="an installed package has no tools")
@pytest.mark.skipif(not (shutil.which("spin") and shutil.which("gcc")), reason="takes the model checker spin, and gcc")
def test_the_model_is_right_and_needs_each_of_its_precautions(python):
    code = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); from check_team import main; main(['--quick'])"
    assert python(code).endswith("right")


MODULES = """
from fastact.engine import compiler, driver, system, team
system._machine = {machine}
for function in (driver.run_parallel, team.serve):
    print(compiler.optimised_module(function).get_llvm_str(), end="END")
"""


@pytest.fixture(scope="module")
def modules(python):
    """LLVM's code of the caller's part, and of the workers', by processor."""
    if sys.platform != "linux":
        pytest.skip("there is a team on Linux only")
    machines = {"this": "system._machine", "aarch64": "lambda context: 'aarch64'"}
    return {
        name: python(MODULES.format(machine=machine)).removesuffix("END").split("END")
        for name, machine in machines.items()
    }


def test_shared_integers_are_sequentially_consistent(modules):
    """As ``tools/team.pml`` assumes."""
    for module in modules["this"]:
        shared = re.findall(r".*(?:load atomic|store atomic|cmpxchg|atomicrmw).*", module)
        assert len(shared) >= 10
        assert all("seq_cst" in line for line in shared), shared
        orders = re.findall(r"monotonic|acquire|release|acq_rel|unordered|fence", "\n".join(shared))
        assert not orders, shared


def test_aarch64_keeps_their_order(modules):
    """By loads that acquire, stores that release, and read-modify-write operations that do both.

    There too workers round as their caller does, whose control register they are given.
    """
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    triple = "aarch64-unknown-linux-gnu"
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu="neoverse-n1", opt=3)
    found, control = set(), []
    for module in modules["aarch64"]:
        text = re.sub(r'target (triple|datalayout) = ".*"', "", module)
        text = re.sub(r"(attributes #\d+ = ){.*}", r"\1{ nounwind }", text)
        parsed = llvm.parse_assembly(text)
        parsed.triple = triple
        assembly = machine.emit_assembly(parsed)
        found |= set(re.findall(rf"\b(?:{'|'.join(ORDERED | WEAKER)})\b", assembly))
        control += re.findall(r"\b(mrs|msr)\b.*FPCR", assembly)
    assert found == ORDERED
    assert control == ["mrs", "msr"]
