"""The team: worker threads that take chunks of a call off its caller's hands.

A caller publishes how its call is cut into chunks, and computes them itself, from the first on. Workers that have nothing to do
take chunks from the last on, so that a call like the one before finds its arrays in the same processors' caches. When no chunk
is left, the caller waits for those that a worker has in hand, and for nothing else: a worker that sleeps, or has lost its
processor between two chunks, holds nobody up. So there is no number of callers, nesting, fork or missing worker that could stop
a call, and a call that gets no help costs the few atomic operations of a chunk.

Which chunks are left is one integer, the ticket: the chunks ``front`` to ``back - 1`` are nobody's yet, ``seats`` more workers
may join, and ``turn`` tells this call from the one before in the same place. A chunk is taken by replacing the ticket. Only then
are the call's fields read: they stay until that chunk has been finished.

``tools/team.pml`` is a model of this file that a model checker exhausts; who changes one changes the other.
"""

from typing import Any

from fastact.kernels.fields import (
    ARGS,
    BELL,
    CALL_FIELDS,
    CALLED_FROM,
    CALLS,
    CHUNK,
    DIMS,
    FINISHED,
    FIRST_CALL,
    FLAGS,
    FP_CONTROL,
    IDLE,
    KERNEL,
    LEAD,
    NARGS,
    NDIMS,
    OWNED,
    RECORD,
    SLEEPERS,
    STEPS,
    TICKET,
    WAITING,
)
from fastact.kernels.flags import clear_all_fp_flags, raised_all_fp_flags
from fastact.kernels.jit import internal
from fastact.kernels.memory import (
    advance,
    as_address,
    as_integers,
    as_pointer,
    as_pointers,
    call_loop,
    field,
    publish_streamed,
    set_field,
    set_integer,
    set_pointer,
    stack_integers,
    stack_pointers,
)
from fastact.runtime.system import (
    MASK_WORDS,
    add_shared,
    clock,
    fp_control,
    load_shared,
    merge_shared,
    pause,
    processor,
    read_affinity_of_process,
    read_own_affinity,
    replace_shared,
    ring,
    set_affinity,
    set_fp_control,
    store_shared,
    wait_while,
)

MAX_OPERANDS, MAX_DIMS = 16, 8

# The ticket's parts: 16 bits of the first chunk that is left, 16 of the one after the last, 12 of seats, 20 of the turn.
FRONT, BACK, SEAT, TURN = 1, 1 << 16, 1 << 32, 1 << 44
CHUNK_MASK, SEAT_MASK, TURN_MASK = BACK - 1, 0xFFF, 0xFFFFF
MOST_CHUNKS, MOST_SEATS = CHUNK_MASK, SEAT_MASK

SPIN = 10_000
"""Nanoseconds that a worker looks for more work before it sleeps: calls that follow each other closely find it awake."""
PAUSES = 8
"""Pauses from one look to the next."""
PATIENCE = 50_000
"""Nanoseconds that a caller looks whether the last chunks are finished before it sleeps: their worker may need its processor."""

operands = stack_pointers(MAX_OPERANDS)
dimensions = stack_integers(MAX_DIMS)
own_mask, current_mask, process_mask, later_mask = (stack_integers(MASK_WORDS) for _ in range(4))
NOWHERE = -1
"""No processor's number."""


@internal
def front(ticket: Any) -> Any:
    """The first chunk that is left."""
    return ticket & CHUNK_MASK


@internal
def back(ticket: Any) -> Any:
    """The chunk after the last that is left."""
    return ticket >> 16 & CHUNK_MASK


@internal
def seats(ticket: Any) -> Any:
    """How many more workers may join."""
    return ticket >> 32 & SEAT_MASK


@internal
def turn(ticket: Any) -> Any:
    """The number of the call, of those in the same place, modulo ``TURN_MASK + 1``."""
    return ticket >> 44 & TURN_MASK


@internal
def inviting(ticket: Any) -> Any:
    """Whether a worker may join."""
    return front(ticket) < back(ticket) and seats(ticket) > 0


@internal
def place(team: Any, number: Any) -> Any:
    """One of the places in which calls are shared out."""
    return advance(team, 8 * (FIRST_CALL + number * CALL_FIELDS))


# The caller's part.


@internal
def claimed(team: Any) -> Any:
    """The address of a place that nobody uses, now the caller's; 0 if there is none."""
    for number in range(CALLS):
        call = place(team, number)
        if load_shared(call, OWNED) == 0 and replace_shared(call, OWNED, 0, 1):
            return as_address(call)
    return 0


@internal
def publish(team: Any, call: Any, chunks: Any, helpers: Any) -> None:
    """Offer the chunks of a call, whose fields are set, to so many workers, and wake those that are needed."""
    store_shared(team, CALLED_FROM, processor())
    store_shared(call, FINISHED, 0)
    store_shared(call, FLAGS, 0)
    number = turn(load_shared(call, TICKET)) + 1 & TURN_MASK
    store_shared(call, TICKET, chunks * BACK + helpers * SEAT + number * TURN)
    missing = helpers - load_shared(team, IDLE)
    if missing > 0 and load_shared(team, SLEEPERS) > 0:
        add_shared(team, BELL, 1)
        ring(team, BELL, missing)


@internal
def compute_from_front(call: Any) -> Any:
    """Compute chunks until none is left; how many those were."""
    own = 0
    while True:
        ticket = load_shared(call, TICKET)
        if front(ticket) == back(ticket):
            return own
        if replace_shared(call, TICKET, ticket, ticket + FRONT):
            compute(call, front(ticket))
            own += 1


@internal
def await_workers(call: Any, chunks: Any) -> None:
    """Wait until workers have finished their chunks."""
    if load_shared(call, FINISHED) == chunks:
        return
    start = clock()
    while load_shared(call, FINISHED) < chunks:
        if clock() - start < PATIENCE:
            pause()
        else:
            store_shared(call, WAITING, 1)
            finished = load_shared(call, FINISHED)
            if finished < chunks:
                wait_while(call, FINISHED, finished)
    store_shared(call, WAITING, 0)


@internal
def leave(call: Any) -> None:
    """Let another caller have the place."""
    store_shared(call, OWNED, 0)


# The workers' part.


def serve(args: Any, dims: Any, steps: Any, data: Any) -> None:
    """Work for whoever calls, for as long as the process lives.

    The system starts a thread here with one argument, the team, and gets nothing back.
    """
    team, mask = as_pointer(as_address(args)), own_mask()
    allowed = process_mask()
    read_affinity_of_process(allowed)
    keep_to_process(mask, allowed, NOWHERE)  # its maker may have been told to use fewer
    add_shared(team, IDLE, 1)
    since = clock()
    while True:
        if help_somebody(team, mask):
            since = clock()
        elif clock() - since < SPIN:
            for _ in range(PAUSES):
                pause()
        else:
            sleep(team)
            since = clock()


@internal
def help_somebody(team: Any, mask: Any) -> Any:
    """Work for the first call that invites; whether there was one."""
    for number in range(CALLS):
        call = place(team, number)
        if inviting(load_shared(call, TICKET)):
            make_way(team, mask)
            if joined(team, call):
                return True
    return False


@internal
def joined(team: Any, call: Any) -> Any:
    """Compute chunks of a call until none is left; whether there was one to begin with."""
    member, number = False, 0
    while True:
        ticket = load_shared(call, TICKET)
        if front(ticket) == back(ticket):
            break
        after = ticket - BACK
        if not member:
            if seats(ticket) == 0:
                break
            after -= SEAT
        elif turn(ticket) != number:  # the next call in this place, in which this worker has no seat
            break
        if replace_shared(call, TICKET, ticket, after):
            if not member:
                add_shared(team, IDLE, -1)
                member, number = True, turn(ticket)
                set_fp_control(field(call, FP_CONTROL))
            compute(call, back(ticket) - 1)
            hand_over_flags(call)
            add_shared(call, FINISHED, 1)
            if load_shared(call, WAITING) != 0:
                ring(call, FINISHED, 1)
    if member:
        add_shared(team, IDLE, 1)
    return member


@internal
def hand_over_flags(call: Any) -> None:
    """Leave the exception flags of a chunk to the caller, in whose thread NumPy looks for them."""
    flags = raised_all_fp_flags()
    if flags != 0:
        clear_all_fp_flags()
        merge_shared(call, FLAGS, flags)


@internal
def sleep(team: Any) -> None:
    """Sleep until a caller rings."""
    add_shared(team, IDLE, -1)
    add_shared(team, SLEEPERS, 1)
    bell = load_shared(team, BELL)  # before the last look: a caller rings after it has published
    invited = False
    for number in range(CALLS):
        if inviting(load_shared(place(team, number), TICKET)):
            invited = True
    if not invited:
        wait_while(team, BELL, bell)
    add_shared(team, SLEEPERS, -1)
    add_shared(team, IDLE, 1)


@internal
def make_way(team: Any, mask: Any) -> None:
    """Leave the processor of the last caller, and come back on another from now on.

    Where all processors have something to do, if only to spin for the next matrix product, the system likes to wake a thread on
    that of its waker; there it would take turns with the caller whom it should help. The worker keeps to the processors of its
    process, and stays where it is if somebody else has given it others: ``mask`` is what it set last.
    """
    here = processor()
    if here != load_shared(team, CALLED_FROM):
        return
    current, allowed = current_mask(), process_mask()
    read_own_affinity(current)
    read_affinity_of_process(allowed)
    if same(current, mask) or same(current, allowed):
        keep_to_process(mask, allowed, here)


@internal
def keep_to_process(mask: Any, allowed: Any, avoided: Any) -> None:
    """Have this thread use those ``allowed`` to its process, but for one if there are others; and write them to ``mask``.

    Whoever tells all threads of a process, in the middle of this, which processors to use may find this one before it goes by what
    the process had till then. So the process is looked at again afterwards.
    """
    after = later_mask()
    while True:
        others = 0
        for j in range(MASK_WORDS):
            others |= without(allowed[j], j, avoided)
        for j in range(MASK_WORDS):
            set_integer(mask, j, without(allowed[j], j, avoided) if others != 0 else allowed[j])
        set_affinity(mask)
        read_affinity_of_process(after)
        if same(after, allowed):
            break
        allowed, after = after, allowed


@internal
def without(word: Any, number: Any, avoided: Any) -> Any:
    """One word of a mask, which has 64 processors, without one of them."""
    return word & ~(1 << (avoided & 63)) if avoided >> 6 == number else word


@internal
def same(one: Any, other: Any) -> Any:
    """Whether two masks are of the same processors."""
    differing = 0
    for j in range(MASK_WORDS):
        differing |= one[j] ^ other[j]
    return differing == 0


# Both.


@internal
def describe(call: Any, args: Any, dims: Any, steps: Any, record: Any, lead: Any, chunk: Any) -> None:
    """Set the fields of a call: ``lead`` elements before the first boundary, and ``chunk`` between two."""
    set_field(call, ARGS, as_address(args))
    set_field(call, DIMS, as_address(dims))
    set_field(call, STEPS, as_address(steps))
    set_field(call, RECORD, as_address(record))
    set_field(call, LEAD, lead)
    set_field(call, CHUNK, chunk)
    set_field(call, FP_CONTROL, fp_control())


@internal
def compute(call: Any, number: Any) -> None:
    """Compute one chunk of a call: the first reaches up to a boundary, as the last reaches up to the end."""
    args, steps, dims = as_pointers(field(call, ARGS)), as_integers(field(call, STEPS)), as_integers(field(call, DIMS))
    record, lead, chunk = as_pointer(field(call, RECORD)), field(call, LEAD), field(call, CHUNK)
    start = 0 if number == 0 else lead + number * chunk
    shifted, shortened = operands(), dimensions()
    for j in range(field(record, NARGS)):
        set_pointer(shifted, j, advance(args[j], start * steps[j]))
    set_integer(shortened, 0, min(lead + (number + 1) * chunk, dims[0]) - start)
    for j in range(1, field(record, NDIMS)):
        set_integer(shortened, j, dims[j])
    call_loop(field(record, KERNEL), shifted, shortened, steps, record)
    publish_streamed()
