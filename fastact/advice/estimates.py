"""What a saving may be, by timing: an operation on random arrays of the recorded shapes, in other ways than the program has it.

All of it takes no longer than a budget, after the program has ended; what it does not reach is not claimed.
"""

import ast
import operator
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from .records import Sample, Site

MOST_BYTES = 2**27
"""Larger arrays are not made."""
OPERATORS: dict[type[ast.AST] | None, tuple[Any, Any]] = {
    ast.Add: (operator.add, np.add),
    ast.Sub: (operator.sub, np.subtract),
    ast.Mult: (operator.mul, np.multiply),
    ast.Div: (operator.truediv, np.divide),
    ast.Pow: (operator.pow, np.power),
    ast.MatMult: (operator.matmul, np.matmul),
    ast.USub: (operator.neg, np.negative),
    ast.Gt: (operator.gt, np.greater),
    ast.Lt: (operator.lt, np.less),
}
HALF = 0.5
"""Of float64's time, where nothing was timed: half the bytes."""


class Estimator:
    """Times operations until a budget is spent."""

    def __init__(self, budget: float = 1.0) -> None:
        self.budget = budget
        self.rng = np.random.default_rng(0)

    def seconds(self, call: Callable[[], Any], warm: bool = False) -> float | None:
        """The quickest of some calls, not counting a first one, which may compile, if ``warm``; ``None`` without a budget."""
        if self.budget <= 0:
            return None
        best, spent = float("inf"), 0.0
        try:
            with np.errstate(all="ignore"):
                if warm:
                    call()
                for _ in range(7):
                    start = perf_counter()
                    call()
                    took = perf_counter() - start
                    best, spent = min(best, took), spent + took
                    if spent > self.budget / 8:
                        break
        except Exception:  # of an operation that takes other operands than these
            return None
        finally:
            self.budget -= spent
        return best

    def in_float32(self, site: Site, sample: Sample) -> float:
        """The share of an operation's time that float32 would take."""
        call, operands = _call(site), self.operands(sample)
        if call is None or operands is None:
            return HALF
        wide = self.seconds(lambda: call(*operands))
        narrow = [np.float32(x) if isinstance(x, np.float64) else _narrowed(x) for x in operands]
        quick = self.seconds(lambda: call(*narrow))
        return min(1.0, quick / wide) if wide and quick else HALF

    def with_out(self, site: Site, sample: Sample) -> float | None:
        """The share of an operation's time that it would take with an ``out=``."""
        call, operands = _call(site), self.operands(sample)
        ufunc = site.function if isinstance(site.function, np.ufunc) else OPERATORS.get(site.operator, (None, None))[1]
        if call is None or operands is None or ufunc is None:
            return None
        out = call(*operands)
        kept = self.seconds(lambda: ufunc(*operands, out=out))
        fresh = self.seconds(lambda: call(*operands))
        return min(1.0, kept / fresh) if kept and fresh else None

    def operands(self, sample: Sample) -> list[Any] | None:
        """Operands like those of a sample; ``None`` if one is of a kind that cannot be made."""
        made: list[Any] = []
        for code, shape in zip(sample.codes, sample.shapes, strict=False):
            if code[0] == "a" and code[1:] in "efdlib?":
                array = self.array(shape, code[1:])
                if array is None:
                    return None
                made.append(array)
            elif code in ("-", "sd", "sf"):
                made.append({"-": 1.5, "sd": np.float64(1.5), "sf": np.float32(1.5)}[code])
            else:
                return None
        return made if len(made) == len(sample.codes) else None

    def array(self, shape: Any, char: str) -> Any:
        """Random numbers between a half and one."""
        dtype = np.dtype(char)
        if int(np.prod(shape)) * dtype.itemsize > MOST_BYTES or self.budget <= 0:
            return None
        start = perf_counter()
        found = (self.rng.random(shape, np.float32) * 0.5 + 0.5).astype(dtype)
        self.budget -= perf_counter() - start
        return found


def _narrowed(x: Any) -> Any:
    return x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype != bool else x


def _call(site: Site) -> Any:
    """How an operation is done again; ``None`` if that is not known."""
    if site.kind in ("binop", "unary", "compare"):
        return OPERATORS.get(site.operator, (None, None))[0]
    if isinstance(site.function, np.ufunc) and site.function.signature is None:
        return site.function
    return None
