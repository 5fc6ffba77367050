"""The inner loop of ``RowwiseKernel``: calls the elementwise one for each row."""

from collections.abc import Callable
from typing import Any

from fastact.engine import memory
from fastact.engine.loops import taken_by_team
from fastact.engine.memory import advance, as_address, as_pointer, field, set_integer, set_pointer
from fastact.engine.records import SERIAL
from fastact.engine.templates import clone
from fastact.engine.ufunc import Kernel, specialised

# What specialise() fills in for each clone.
ARGS = 2
elementwise: Any = None
row_pointers: Any = None
row_dims: Any = None
row_steps: Any = None


def rowwise(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Compute ``dims[0]`` rows of ``dims[1]`` elements; the C type is NumPy's inner loop."""
    n, c = dims[0], dims[1]
    if n > 1 and taken_by_team(n * c, args, dims, steps, record):
        return
    serial = field(record, SERIAL)
    if serial == 0:  # this is the serial record
        serial = as_address(record)
    pointers, count, within = row_pointers(), row_dims(), row_steps()
    set_integer(count, 0, c)
    for j in range(ARGS):
        set_integer(within, j, steps[ARGS + j])
    for i in range(n):
        for j in range(ARGS):
            set_pointer(pointers, j, advance(args[j], i * steps[j]))
        elementwise(pointers, count, within, as_pointer(serial))


def specialise(elements: Kernel, dtype: str) -> Callable[..., Any]:
    """Clone ``rowwise`` for one elementwise kernel and dtype."""
    args = elements.inputs + elements.outputs
    scope = {
        "ARGS": args,
        "elementwise": specialised(elements, dtype),
        "row_pointers": memory.stack_pointers(args),
        "row_dims": memory.stack_integers(1),
        "row_steps": memory.stack_integers(args),
    }
    return clone(rowwise, scope)
