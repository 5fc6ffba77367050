"""The parallel driver: one C function that splits any kernel's elements over the threads of Numba's threading layer.

A kernel calls ``run_parallel`` when its array is large. One parallel region runs at a time: a second caller, or a call from
inside a region, computes serially instead, which keeps the ``workqueue`` layer from aborting. And a region leaves a processor to
each other caller of late: on processors that are busy its threads would take turns, and OpenMP's would spin on them.
"""

from typing import Any

from fastact.engine.jit import internal
from fastact.engine.memory import (
    add_to,
    advance,
    as_address,
    as_integers,
    as_pointer,
    as_pointers,
    ask,
    call_loop,
    call_team,
    field,
    set_integer,
    set_pointer,
    stack_integers,
    stack_pointers,
    try_lock,
    unlock,
)
from fastact.engine.records import (
    ASK_OWN,
    BODY,
    INSIDE,
    KERNEL,
    MOST,
    NARGS,
    NDIMS,
    OWN,
    PARALLEL_FOR,
    REMEMBERED,
    RIVALS,
    SERIAL,
    START,
    TEAM,
    THREADS,
)

CALL_ARGS, CALL_STEPS, CALL_DIMS, CALL_CHUNK, CALL_RECORD, CALL_FIELDS = range(6)
"""What ``run_parallel`` tells ``run_chunk``."""

MAX_OPERANDS, MAX_DIMS = 16, 8
CHUNK_MULTIPLE, MANY = 64, 1024
"""Many elements are split at multiples of 64, so that no two threads write to one cache line of an aligned array; few are rows,
each of which may be long, and are split evenly."""

RIVALS_LAST = 32
"""Calls for which other callers are remembered: they have more to compute, as a rule."""

call_fields = stack_pointers(CALL_FIELDS)
operands = stack_pointers(MAX_OPERANDS)
dimensions = stack_integers(MAX_DIMS)


def run_parallel(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Compute ``dims[0]`` elements with the team, or alone when the team is busy or has one member."""
    n = dims[0]
    team = as_pointer(field(record, TEAM))
    threads = field(team, THREADS)
    if field(team, OWN) > 0:
        own = ask(field(team, ASK_OWN))
        if own > 0:
            threads = own
    if min(threads, field(team, MOST)) > 1 and field(team, PARALLEL_FOR) == 0:
        ask(field(team, START))
    threads = min(threads, field(team, MOST)) - rivals(team)
    if threads > 1 and field(team, PARALLEL_FOR) != 0 and try_lock(as_address(team)):
        chunk = (n + threads - 1) // threads
        if n >= MANY:
            chunk = (chunk + CHUNK_MULTIPLE - 1) // CHUNK_MULTIPLE * CHUNK_MULTIPLE
        call = call_fields()
        set_pointer(call, CALL_ARGS, as_pointer(as_address(args)))
        set_pointer(call, CALL_STEPS, as_pointer(as_address(steps)))
        set_pointer(call, CALL_DIMS, as_pointer(as_address(dims)))
        set_pointer(call, CALL_CHUNK, as_pointer(chunk))
        set_pointer(call, CALL_RECORD, record)
        call_team(field(team, PARALLEL_FOR), field(team, BODY), threads, threads, as_pointer(as_address(call)))
        unlock(as_address(team))
    else:
        call_loop(field(record, KERNEL), args, dims, steps, as_pointer(field(record, SERIAL)))
    add_to(team, INSIDE, -1)


@internal
def rivals(team: Any) -> Any:
    """Count a caller in, and return how many others there are, or were in the last calls."""
    fields, others = as_integers(as_address(team)), add_to(team, INSIDE, 1)
    if others >= fields[RIVALS]:
        set_integer(fields, RIVALS, others)
        set_integer(fields, REMEMBERED, RIVALS_LAST)
    elif fields[REMEMBERED] > 0:
        set_integer(fields, REMEMBERED, fields[REMEMBERED] - 1)
    else:
        set_integer(fields, RIVALS, others)
    return fields[RIVALS]


def run_chunk(args: Any, dims: Any, steps: Any, call: Any) -> None:
    """Compute ``dims[0]`` chunks, the first of which has the number ``args[0]``."""
    call_args = as_pointers(field(call, CALL_ARGS))
    call_steps = as_integers(field(call, CALL_STEPS))
    call_dims = as_integers(field(call, CALL_DIMS))
    n = call_dims[0]
    chunk = field(call, CALL_CHUNK)
    record = as_pointer(field(call, CALL_RECORD))
    shifted, shortened = operands(), dimensions()
    for j in range(1, field(record, NDIMS)):
        set_integer(shortened, j, call_dims[j])
    first = as_address(args[0])
    for k in range(first, first + dims[0]):
        start = k * chunk
        count = min(chunk, n - start)
        if count > 0:
            for j in range(field(record, NARGS)):
                set_pointer(shifted, j, advance(call_args[j], start * call_steps[j]))
            set_integer(shortened, 0, count)
            call_loop(field(record, KERNEL), shifted, shortened, call_steps, as_pointer(field(record, SERIAL)))
