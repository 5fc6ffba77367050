"""Where the fields are of the memory that compiled code shares, all of them 64-bit integers; see ``fastact.runtime.records``."""

(
    PARALLEL_FROM,
    ENTRY,
    TEAM,
    KERNEL,
    NARGS,
    NDIMS,
    SERIAL,
    STREAM_FROM,
    STREAMED,
    COLUMNS,
    LABEL,
    ON_FAILURE,
    NUMPYS,
    NUMPYS_DATA,
    WIDENED,
    RATES,
) = range(16)
"""The record behind ``data``: how many elements make threads worth a thought; the parallel entry that takes over; the address of
the team's state and of this kernel; the number of its operands and of its dimensions; the record that its chunks are computed
with, which never goes parallel; how many elements make results worth writing past the caches, and the record that chunks of so
large a call are computed with, where it is 0; a row kernel's other half, for columns; the kind of its integer labels; the
function that says what a user's formula has failed at; the loop of NumPy's that a kernel stands in for, and what NumPy gives it; of
a loop of bfloat16 the memory that `COMPUTES` and the fields after it are of; and from there on, for arrays of ``2**(i - 1)`` to
``2**i`` elements, the picoseconds that one thread takes for one, 0 where nothing was measured."""

SMALLEST_WORK = 4_000
"""Nanoseconds that ``PARALLEL_FROM`` elements take one thread, by the costs that the ops state: below, no machine gains by a second
one; calls with more are measured, see ``driver.py``."""

SIZES = 48
FIELDS = RATES + SIZES

COMPUTES, FIRST, INPUTS, SIZES_OF_OPERANDS = range(4)
"""What a loop of bfloat16 knows: the record of the float32 loop that computes its elements; the loop that compiles that one; how
many operands are read; and from there on, the bytes of an element of each operand, 2 for those that are widened."""

MOST_OPERANDS = 8
"""Of a loop of bfloat16."""

LINE = 8
"""Integers in a cache line. What one thread writes while another looks at something else lies on lines of its own."""

THREADS, OWN, ASK_OWN, START, WORKERS, MOST = range(6)
"""The team's state: the number of threads that callers get; how many contexts have a number of their own, and the function that
returns the caller's; the function that starts workers; how many there are, and how many there can be."""

CALLERS, SERVED, BELL, SLEEPERS, IDLE, CALLED_FROM = (LINE, LINE + 1, *range(2 * LINE, 2 * LINE + 4))
"""How many callers are in the driver, and when the last call that was shared out ended; what workers sleep on; how many sleep, or
are about to; how many look for work; and the processor of the last caller."""

DURATIONS = 5 * LINE
ACCOUNTS, LATENESS = 3 * LINE, 3 * LINE + DURATIONS
"""For work of ``2**(i - 1)`` to ``2**i`` nanoseconds: the nanoseconds that the team has saved of late, or cost if negative; and the
share of calls that were held up."""

TICKET, FINISHED, WAITING, OWNED, ARGS, STEPS, DIMS, RECORD, LEAD, CHUNK, FP_CONTROL = (
    0,
    LINE,
    LINE + 1,
    2 * LINE,
    *range(2 * LINE + 1, 2 * LINE + 8),
)
"""A call that is being shared out: which chunks are left, and for whom (``team.py`` packs it); how many chunks workers have
finished, and whether the caller sleeps on that; whether it is in use; NumPy's arguments and the record for chunks; the elements
before the first whole chunk, and those of a chunk; and how the caller's processor rounds."""

FLAGS, CALL_FIELDS, CALLS = 3 * LINE, 4 * LINE, 8
"""Where workers leave the exception flags that their chunks raised; the integers of a call; and the number of calls that can be
shared out at the same time: a further one computes alone."""

FIRST_CALL = LATENESS + DURATIONS
TEAM_FIELDS = FIRST_CALL + CALLS * CALL_FIELDS

NEVER = 2**62
