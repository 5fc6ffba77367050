"""The memory that compiled code shares: a record per kernel behind NumPy's ``data``, and the state of the team of threads.

``loops.py``, ``driver.py`` and ``team.py`` name the fields, all of them 64-bit integers. This module needs neither Numba nor
llvmlite. The memory is never freed: threads may read it while the interpreter ends.
"""

import ctypes

PARALLEL_FROM, ENTRY, TEAM, KERNEL, NARGS, NDIMS, SERIAL, COLUMNS, LABEL, ON_FAILURE, RATES = range(11)
"""The record behind ``data``: how many elements make threads worth a thought; the parallel entry that takes over; the address of
the team's state and of this kernel; the number of its operands and of its dimensions; the record that its chunks are computed
with, which never goes parallel; a row kernel's other half, for columns; the kind of its integer labels; the
function that says what a user's formula has failed at; and from there on, for
arrays of ``2**(i - 1)`` to ``2**i`` elements, the picoseconds that one thread takes for one, 0 where nothing was measured."""

SMALLEST_WORK = 4_000
"""Nanoseconds that ``PARALLEL_FROM`` elements take one thread, by the costs that the ops state: below, no machine gains by a second
one; calls with more are measured, see ``driver.py``."""

SIZES = 48
FIELDS = RATES + SIZES

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
finished, and whether the caller sleeps on that; whether it is in use; NumPy's arguments and the record; the elements before the
first whole chunk, and those of a chunk; and how the caller's processor rounds."""

CALL_FIELDS, CALLS = 3 * LINE, 8
"""So many calls can be shared out at the same time; a further one computes alone."""

FIRST_CALL = LATENESS + DURATIONS
TEAM_FIELDS = FIRST_CALL + CALLS * CALL_FIELDS

NEVER = 2**62

Record = ctypes.Array[ctypes.c_int64]

_allocate = ctypes.pythonapi.PyMem_RawCalloc
_allocate.restype, _allocate.argtypes = ctypes.c_void_p, [ctypes.c_size_t, ctypes.c_size_t]


def _lasting(fields: int) -> Record:
    """Zeros on cache lines of their own, which outlive the interpreter."""
    line_bytes = 8 * LINE
    address = _allocate(fields + LINE, 8)
    if address is None:
        raise MemoryError
    return (ctypes.c_int64 * fields).from_address((address + line_bytes - 1) // line_bytes * line_bytes)


team = _lasting(TEAM_FIELDS)
team[THREADS] = 1
_entry = 0
_records: list[Record] = []


def new_record(nargs: int, parallel_from: int, entry: int, *, ndims: int = 1, label: int = 0) -> Record:
    """A record for a kernel that is still to be compiled; it lives as long as the process, and so does its serial twin."""
    record, serial = _lasting(FIELDS), _lasting(FIELDS)
    record[PARALLEL_FROM], serial[PARALLEL_FROM] = parallel_from, NEVER
    record[ENTRY], record[TEAM], record[SERIAL] = _entry or entry, ctypes.addressof(team), ctypes.addressof(serial)
    for twin in (record, serial):
        twin[NARGS], twin[NDIMS], twin[LABEL] = nargs, ndims, label
    _records.append(record)
    return record


def set_columns(record: Record, address: int) -> None:
    """Tell a row kernel, and the serial twin of its record, where its other half is."""
    record[COLUMNS] = address
    ctypes.cast(record[SERIAL], ctypes.POINTER(ctypes.c_int64))[COLUMNS] = address


def set_driver(entry: int) -> None:
    """Let every kernel, those of ufuncs made later included, enter the parallel driver at ``entry``."""
    global _entry
    _entry = entry
    for record in _records:
        record[ENTRY] = entry


def forget_team(most: int) -> None:
    """Let the team have no workers, no calls in the middle of what they do, and ``most`` workers to come."""
    team[WORKERS], team[MOST] = 0, most
    for i in range(LINE, TEAM_FIELDS):
        team[i] = 0
