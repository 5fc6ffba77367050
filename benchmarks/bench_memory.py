"""The asv suite of memory: how large a process gets while cross-entropy runs; n/a for a commit without the function.

What a process holds anyway (the interpreter, NumPy, the kernel, the inputs) is the benchmark's "inputs alone".
"""

import contextlib

from benchmarks.harness import case, cases
from benchmarks.tracked import function_of

FUNCTIONS = ("cross_entropy_with_grad", "linear_cross_entropy", "linear_cross_entropy_with_grad")
SMALL, ROWS = 8, 1024
WIDTH, CLASSES = 128, 32_000


def _contenders(function: str, rows: int) -> dict[str, case.Contender]:
    function_of(function)
    shape = (rows, WIDTH, CLASSES) if function.startswith("linear_") else (rows, CLASSES)
    return cases.contenders(case.Case(function, "forward", "float32", rows * CLASSES, "fresh", shape), ("numpy",))


class CrossEntropy:
    """1024 rows of 32000 classes, float32: the logits alone are 131 MB."""

    version = "2"
    params = (FUNCTIONS, ("fastact", "numpy", "inputs alone"))
    param_names = ("function", "who")

    def setup_cache(self) -> None:
        """Fill the disk cache, in a process of its own: compiling takes memory too."""
        for function in FUNCTIONS:
            with contextlib.suppress(NotImplementedError):
                _contenders(function, SMALL)["fastact"].result()

    def setup(self, function: str, who: str) -> None:
        _contenders(function, SMALL)["fastact"].result()
        self.contender = _contenders(function, ROWS).get(who)

    def peakmem_cross_entropy(self, *_: object) -> None:
        if self.contender is not None:
            self.contender.result()
