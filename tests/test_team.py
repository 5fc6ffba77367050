"""The protocol of the team: its model is exhausted, and the machine code keeps the order that the model assumes."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from . import machinecode

ORDERED = {"ldar", "stlr", "casal", "ldaddal"}
WEAKER = {"ldapr", "stlur", "cas", "casa", "casl", "ldadd", "ldadda", "ldaddl"}
"""AArch64's atomic instructions that keep the order of sequential consistency, and relatives that do not."""

TOOLS = Path(__file__).parent.parent / "tools"


@pytest.mark.skipif(not TOOLS.exists(), reason="an installed package has no tools")
@pytest.mark.skipif(not (shutil.which("spin") and shutil.which("gcc")), reason="takes the model checker spin, and gcc")
def test_the_model_is_right_and_needs_each_of_its_precautions(python):
    code = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); from check_team import main; main(['--quick'])"
    assert python(code).endswith("right")


@pytest.fixture(scope="module")
def team():
    """LLVM's code and the assembly of the caller's part, and of the workers', by processor."""
    if sys.platform != "linux":
        pytest.skip("there is a team on Linux only")
    found = machinecode.finish({name: machinecode.start("team", name) for name in (machinecode.THIS, "neoverse-n1")})
    assert all(set(functions) == {"run_parallel", "serve"} for functions in found.values())
    return {name: list(functions.values()) for name, functions in found.items()}


def test_shared_integers_are_sequentially_consistent(team):
    """As ``tools/team.pml`` assumes."""
    for ir, _ in team[machinecode.THIS]:
        shared = re.findall(r".*(?:load atomic|store atomic|cmpxchg|atomicrmw).*", ir)
        assert len(shared) >= 10
        assert all("seq_cst" in line for line in shared), shared
        orders = re.findall(r"monotonic|acquire|release|acq_rel|unordered|fence", "\n".join(shared))
        assert not orders, shared


def test_aarch64_keeps_their_order(team):
    """By loads that acquire, stores that release, and read-modify-write operations that do both.

    There too workers round as their caller does, whose control register they are given.
    """
    found, control = set(), []
    for _, assembly in team["neoverse-n1"]:
        found |= set(re.findall(rf"\b(?:{'|'.join(ORDERED | WEAKER)})\b", assembly))
        control += re.findall(r"\b(mrs|msr)\b.*FPCR", assembly)
    assert found == ORDERED
    assert control == ["mrs", "msr"]
