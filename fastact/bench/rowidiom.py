"""What is known of how a function over rows, or a loss, is called, and of what other libraries write for the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = dict[str, Any]


def only_x(x: Any, pieces: int) -> Arrays:
    """No argument beyond ``x``."""
    return {}


def labels(x: Any, pieces: int) -> Arrays:
    """A label for each row of ``x``, whose elements are classes."""
    return {"target": np.random.default_rng(2).integers(0, x.shape[-1], len(x))}


@dataclass(frozen=True)
class RowIdiom:
    """How a function is called, and the statements of the peers for the same."""

    arguments: str
    numpy: str
    out: str = ""
    """An array to write to; empty for a function that always returns a fresh one."""
    arrays: Callable[[Any, int], Arrays] = only_x
    """The arguments beyond ``x``, from ``x`` and the pieces of a group; also ``x`` itself where it is to be another."""
    scipy: str = ""
    torch: str = ""
    jax: str = ""
    onnx: str = ""
    random: bool = False
    """Whether each library draws results of its own, which are then not compared."""
    onnx_attributes: Mapping[str, Any] = field(default_factory=dict)
    changed: str = ""
    """Names of the arrays that are changed in place, of which each contender has copies."""

    @property
    def originals(self) -> list[str]:
        """What the arrays that are changed are copies of."""
        return ["x" if name == "param" else f"{name}0" for name in self.changed.split()]

    def statement(self, peer: str) -> str:
        """What a peer runs; empty where it has no such function. NumExpr has none: it computes no maximum along rows."""
        statements = {"numpy": self.numpy, "torch": self.torch, "jax": self.jax, "onnxruntime": self.onnx}
        return statements.get(peer, "")

    @property
    def prepare(self) -> str:
        """Run before each repetition, with the clock stopped: what was changed is as it was."""
        pairs = zip(self.originals, self.changed.split(), strict=True)
        return "; ".join(f"{name}[...] = {original}" for original, name in pairs)
