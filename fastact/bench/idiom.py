"""The statements that an op is timed against; see ``idioms.py``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Idiom:
    """The statements for one op."""

    numpy: str
    torch: str = ""
    """Empty where PyTorch has no such op."""
    torch_fresh: str = ""
    """Where it differs from ``torch`` without its ``out``."""
    numpy_backward: str = ""
    torch_backward: str = ""
    saved: str = ""
    """What PyTorch's backward takes from its forward pass, computed before the clock starts."""
    numexpr: str = ""
    """An expression without ``maximum`` and ``minimum``, which compute in double; nothing that overflows may make it NaN."""
    numexpr_backward: str = ""
    jax: str = ""
    """An expression, which is compiled; its gradient is JAX's own."""
    onnx: str = ""
    """The name of ONNX's operator, which has no gradient."""
    onnx_attributes: Mapping[str, Any] = field(default_factory=dict)
    """Where the defaults are not those of fastact."""

    def statement(self, peer: str, direction: str) -> str:
        """What a peer runs; empty where it has no such op."""
        if peer == "jax":
            return self.jax
        if peer == "onnxruntime":
            return self.onnx if direction == "forward" else ""
        statement: str = getattr(self, peer if direction == "forward" else f"{peer}_backward")
        return statement
