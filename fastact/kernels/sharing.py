"""The inner loop of a function of NumPy's that waits for memory: NumPy's own, by several threads where elements are many."""

from collections.abc import Callable
from typing import Any

from fastact.kernels.elementwise import taken_by_team
from fastact.kernels.fields import NUMPYS, NUMPYS_DATA, PARALLEL_FROM
from fastact.kernels.instance import instance
from fastact.kernels.memory import as_pointer, call_loop, field
from fastact.kernels.overlap import ANY_ORDER, required_order
from fastact.kernels.templates import FILLED_IN

# What instances fill in; the values here serve the reader and the type checker.
INPUTS, SIZE = FILLED_IN, FILLED_IN


def sharing(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Compute ``dims[0]`` elements. The exceptions are those that NumPy's loop raises, in whichever thread."""
    n = dims[0]
    many = n >= field(record, PARALLEL_FROM)
    if many and required_order(args, steps, n, INPUTS + 1, INPUTS, SIZE) == ANY_ORDER:
        many = taken_by_team(n, args, dims, steps, record)
    else:
        many = False
    if not many:
        call_loop(field(record, NUMPYS), args, dims, steps, as_pointer(field(record, NUMPYS_DATA)))


def specialise(inputs: int, size: int) -> Callable[..., Any]:
    """``sharing`` for functions of so many operands, of elements of so many bytes."""
    return instance(sharing, {"INPUTS": inputs, "SIZE": size})
