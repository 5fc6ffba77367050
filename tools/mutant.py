"""What a mutant is, and where there are some in no kernel."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One fault, and the files of tests of which one at least must fail."""

    name: str
    file: str
    """Below the package."""
    old: str
    new: str
    tests: tuple[str, ...]
    """Below ``tests``, files or single tests of them: the one that finds it first."""

    @property
    def is_in_kernels(self) -> bool:
        """Whether machine code is made from the fault: what is not can be run with the kernels that there are."""
        return not self.file.startswith(NO_KERNELS)


NO_KERNELS = (
    "advice/",
    "calls/",
    "functions/batch_norms.py",
    "functions/clipping.py",
    "functions/cross_entropy_requests.py",
    "functions/distillation.py",
    "functions/dropout.py",
    "functions/embedding.py",
    "functions/gan_elements.py",
    "functions/gated_units.py",
    "functions/hard_examples.py",
    "functions/labelled_losses.py",
    "functions/linear.py",
    "functions/numpy_reductions.py",
    "functions/numpy_selects.py",
    "functions/reduction_calls.py",
    "functions/region_passes.py",
    "functions/region_requests.py",
    "functions/region_scores.py",
    "functions/shared_gradients.py",
    "in_numba.py",
    "keeping.py",
    "runtime/cache.py",
    "runtime/exceptions.py",
    "runtime/fingerprint.py",
    "runtime/numpy_memory.py",
    "runtime/threads.py",
    "runtime/uninterrupted.py",
)
"""Where the faults that are tried are in no kernel."""


def _node(test: str) -> str:
    """A file of tests, or what of it compiles one kernel where the whole compiles dozens before the test that fails."""
    return f"test_{test}" if ".py" in test else f"test_{test}.py"


def of(file: str, tests: str, *faults: tuple[str, ...]) -> list[Mutant]:
    """Faults in one file; each may name tests of its own."""
    return [
        Mutant(name, file, old, new, tuple(map(_node, (own[0] if own else tests).split())))
        for name, old, new, *own in faults
    ]
