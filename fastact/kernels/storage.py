"""How elements lie in memory, in LLVM's terms, and how formulas get and leave them."""

from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types

from fastact.kernels.intrinsics import F32, F64, I8, I32


@dataclass(frozen=True)
class Storage:
    """A kind of element.

    Attributes
    ----------
    kind : llvmlite.ir.Type
        LLVM's type of an element in memory.
    computed : numba.types.Type
        Numba's type of what a formula computes with.
    widened : llvmlite.ir.Type or None
        LLVM's type of that, if it is another one: elements are widened when they are read, and rounded once when they are written.
    """

    kind: Any
    computed: Any
    widened: Any = None

    def read(self, builder: Any, value: Any) -> Any:
        """What was loaded, an element or a vector of them, as it is computed."""
        return builder.fpext(value, _as_many(self.widened, value)) if self.widened else value

    def written(self, builder: Any, value: Any) -> Any:
        """What was computed, as it is to be stored."""
        return builder.fptrunc(value, _as_many(self.kind, value)) if self.widened else value


def _as_many(kind: Any, value: Any) -> Any:
    return ir.VectorType(kind, value.type.count) if isinstance(value.type, ir.VectorType) else kind


STORAGE = {
    "float16": Storage(ir.HalfType(), types.float32, F32),
    "float32": Storage(F32, types.float32),
    "float64": Storage(F64, types.float64),
    "int32": Storage(I32, types.int32),
    "bool": Storage(I8, types.uint8),
}
