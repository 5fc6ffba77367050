"""Whether a call is shared out over the team of threads, and how it is cut.

A kernel calls ``run_parallel`` for an array of some size. What a second thread gains depends on the machine and on who else
computes: to wake one takes a few microseconds or many, and one that loses its processor with a chunk in hand holds its caller up
for milliseconds. So nothing is assumed, and every call is measured. The record of each kernel knows what an element takes on one
thread; an account for each order of duration knows what the team saved or cost. Calls are shared out while the account is not
overdrawn. Else they are made alone, and each pays back a small share of its time, until the next one is shared out on trial:
so wherever threads do not pay, what trials cost stays below that share.
"""

from typing import Any

from fastact.kernels.fields import (
    ACCOUNTS,
    ASK_OWN,
    CALLERS,
    DURATIONS,
    FLAGS,
    KERNEL,
    LATENESS,
    MOST,
    NARGS,
    NDIMS,
    OWN,
    PARALLEL_FROM,
    RATES,
    SERIAL,
    SERVED,
    SIZES,
    SMALLEST_WORK,
    START,
    STREAM_FROM,
    STREAMED,
    TEAM,
    THREADS,
    WORKERS,
)
from fastact.kernels.flags import raise_fp_flags
from fastact.kernels.jit import internal
from fastact.kernels.memory import (
    as_address,
    as_pointer,
    ask,
    call_loop,
    field,
    publish_streamed,
    set_field,
)
from fastact.runtime.system import add_shared, bit_length, clock, load_shared
from fastact.runtime.team import (
    MOST_CHUNKS,
    MOST_SEATS,
    await_workers,
    claimed,
    compute_from_front,
    describe,
    leave,
    publish,
)

CHUNKS_EACH, MOST_EACH, CHUNK_NANOSECONDS = 4, 64, 20_000
"""Chunks for each thread, at least and at most; in between as many as last so long each."""

LINE_BYTES, NARROW, CHUNK_MULTIPLE = 64, 64, 64
"""Elements, or rows no wider than ``NARROW`` bytes, are cut at multiples of ``CHUNK_MULTIPLE`` from the output's first cache line
on: no two threads write to one line, and each chunk begins where whole vectors do. Wider rows are cut anywhere."""

INSTALMENT = 7
"""Calls made alone pay back 1 / 2**7 of their time: all that was lost, and the next trial's stake."""

STAKE = 1
"""What a trial may lose before it ends, in calls made alone: 2**1. The first of its calls has to wake the workers, the next may
find them awake."""

FEE, FIXED_FEE, AT_ONCE = 3, 5_000, 2_000
"""A call that is shared out must save more than 1 / 2**3 of its time; and so many nanoseconds, unless it begins so soon after the
last one that nothing was computed in between: else workers, who look for more to do before they sleep, may have stood in the way of
BLAS's, and what they had written had to come from their processors' caches."""

MOST_CREDIT, MOST_DEBT = 10_000_000, 4_000_000
"""Nanoseconds that an account holds at most, so that it follows a change soon, and is overdrawn at most: after half a second of
computing, ``MOST_DEBT << INSTALMENT``, there is a new trial whatever happened."""

SLICE = 500_000
"""Nanoseconds by which a call is late, at least, if it waits for a worker that lost its processor: the system gives it back after
milliseconds."""
ONE, MOST_LATE = 1 << 20, 1 << 20 >> 5
"""The unit in which the share of late calls is kept, and its limit: where more are late, other programs compute, and ours waits for
their turns to end whatever the punctual calls save."""
NEWEST, FORGOTTEN = 8, 12
"""The share of late calls counts the last 2**8 that were shared out; after 2**12 made alone it is forgotten."""

CALMER = 2
"""A rate follows each measurement by 1 / 2**2, and no single one by more than its double."""


def run_parallel(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Compute ``dims[0]`` elements, with the team where that has paid of late."""
    team = as_pointer(field(record, TEAM))
    threads = field(team, THREADS)
    if field(team, OWN) > 0:
        own = ask(field(team, ASK_OWN))
        if own > 0:
            threads = own
    helpers, elements = min(threads - 1, field(team, MOST)), number_of_elements(dims, record)
    if helpers > 0:
        helpers -= add_shared(team, CALLERS, 1)  # each other caller keeps a processor busy
        measured(team, helpers, elements, args, dims, steps, record)
        add_shared(team, CALLERS, -1)
    else:
        run_alone(elements, args, dims, steps, record)


@internal
def run_alone(elements: Any, args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Compute all elements on this thread."""
    call_loop(field(record, KERNEL), args, dims, steps, twin(elements, record))
    publish_streamed()


@internal
def number_of_elements(dims: Any, record: Any) -> Any:
    """Of a whole call."""
    elements = dims[0]
    for j in range(1, field(record, NDIMS)):
        elements *= dims[j]
    return elements


@internal
def twin(elements: Any, record: Any) -> Any:
    """The record for the chunks of a call: they go to no team, and write past the caches if the whole is large."""
    streams = elements >= field(record, STREAM_FROM)
    return as_pointer(field(record, STREAMED if streams else SERIAL))


@internal
def measured(team: Any, helpers: Any, elements: Any, args: Any, dims: Any, steps: Any, record: Any) -> None:
    """Compute with up to so many helpers, or alone, and learn from it."""
    known = RATES + min(bit_length(elements), SIZES - 1)
    rate = field(record, known)
    guessed = rate == 0
    if guessed:
        rate = SMALLEST_WORK * 1000 // field(record, PARALLEL_FROM)
    expected = elements * rate // 1000
    duration = min(bit_length(expected), DURATIONS - 1)
    call, lead, chunk, chunks = 0, 0, 0, 1
    if helpers > 0 and field(team, ACCOUNTS + duration) >= 0 and field(team, LATENESS + duration) < MOST_LATE:
        lead, chunk = cut(args, dims, steps, record, expected, helpers + 1)
        chunks = max(1, (dims[0] - lead + chunk - 1) // chunk)
        helpers = min(helpers, chunks - 1, MOST_SEATS)
        if helpers > field(team, WORKERS):
            ask(field(team, START))
            helpers = min(helpers, field(team, WORKERS))
        if helpers > 0:
            call = claimed(team)
    start = clock()
    if call != 0:
        shared = as_pointer(call)
        describe(shared, args, dims, steps, twin(elements, record), lead, chunk)
        publish(team, shared, chunks, helpers)
        begin = clock()
        own = compute_from_front(shared)
        end = clock()
        await_workers(shared, chunks - own)
        raise_fp_flags(load_shared(shared, FLAGS))
        leave(shared)
        last, now = field(team, SERVED), clock()
        set_field(team, SERVED, now)
        together, fee = now - start, FIXED_FEE if start - last > AT_ONCE else 0
        alone = (end - begin) * chunks // own if own > 0 else expected
        if guessed or 2 * alone < expected:
            # The rate was a guess, or that of a first call, which may touch fresh memory: it judges nobody.
            set_field(record, known, max(1, alone * 1000 // max(elements, 1)))
        else:
            judge(team, duration, min(alone, expected), together, fee)
    else:
        run_alone(elements, args, dims, steps, record)
        alone = clock() - start
        pay_back(team, duration, alone)
        sample = alone * 1000 // max(elements, 1)
        if not guessed:
            sample = rate + (min(sample, 2 * rate) - rate >> CALMER)
        set_field(record, known, max(1, sample))


@internal
def judge(team: Any, duration: Any, alone: Any, together: Any, fee: Any) -> None:
    """Put on the account what a call that was shared out has saved, or cost, and whether it was late."""
    account, lateness = ACCOUNTS + duration, LATENESS + duration
    balance = field(team, account) + alone - (alone >> FEE) - fee - together
    if balance < 0:
        balance -= alone << STAKE
    set_field(team, account, max(-MOST_DEBT, min(MOST_CREDIT, balance)))
    late, share = field(team, lateness), ONE if together > alone + SLICE else 0
    set_field(team, lateness, late + (share - late >> NEWEST))


@internal
def pay_back(team: Any, duration: Any, alone: Any) -> None:
    """Let a call that was made alone pay a part of its time back; with the last of the debt comes the stake of a trial."""
    account, lateness = ACCOUNTS + duration, LATENESS + duration
    balance, late = field(team, account), field(team, lateness)
    if balance < 0:
        balance += alone >> INSTALMENT
        set_field(team, account, balance if balance < 0 else min(MOST_CREDIT, alone << STAKE))
    set_field(team, lateness, late - (late >> FORGOTTEN))


@internal
def cut(args: Any, dims: Any, steps: Any, record: Any, expected: Any, threads: Any) -> Any:
    """The elements before the first boundary, and those of a chunk."""
    n, last = dims[0], field(record, NARGS) - 1
    chunks = min(max(expected // CHUNK_NANOSECONDS, CHUNKS_EACH * threads), MOST_EACH * threads, MOST_CHUNKS)
    chunk = (n + chunks - 1) // chunks
    for j in range(last + 1):
        if abs(steps[j]) > NARROW:
            return 0, chunk
    chunk = (chunk + CHUNK_MULTIPLE - 1) // CHUNK_MULTIPLE * CHUNK_MULTIPLE
    size = steps[last]
    lead = -as_address(args[last]) % LINE_BYTES // size if size > 0 else 0
    return lead, chunk
