"""The records that compiled code reads: one per kernel behind NumPy's ``data``, and the state of the team of threads.

``loops.py`` and ``driver.py`` name the fields. This module needs neither Numba nor llvmlite.
"""

import ctypes

PARALLEL_FROM, ENTRY, TEAM, KERNEL, NARGS, NDIMS, SERIAL, COLUMNS, LABEL, FIELDS = range(10)
"""The record behind ``data``, 64-bit integers: how many elements make threads worth it; the parallel entry that takes over; the
address of the team's state and of this kernel; the number of its operands and of its dimensions; the record that its chunks
are computed with, which never goes parallel; a row kernel's other half, for columns; and the kind of its integer labels."""

LOCK, THREADS, PARALLEL_FOR, BODY, MOST, OWN, INSIDE, RIVALS, REMEMBERED, TEAM_FIELDS = range(10)
"""The team's state, 64-bit integers: the lock, the number of threads that callers get, the layer's entry point, the address of the
compiled ``run_chunk``; how many threads there are; how many pairs may be in use; how many callers are in the driver, how many
others a caller reckons with, and for how many calls more. After these come the pairs: a calling thread that has a number of its
own, and that number."""

MOST_OWN = 256

NEVER = 2**62

Record = ctypes.Array[ctypes.c_int64]

_team: Record = (ctypes.c_int64 * (TEAM_FIELDS + 2 * MOST_OWN))(0, 1, 0, 0, NEVER)
_records: list[Record] = []
_serials: list[Record] = []
_entry = 0


def new_record(nargs: int, parallel_from: int, entry: int, *, ndims: int = 1, label: int = 0) -> Record:
    """A record for a kernel that is still to be compiled; it lives as long as the process, and so does its serial twin."""
    record, serial = ((ctypes.c_int64 * FIELDS)() for _ in range(2))
    record[PARALLEL_FROM], serial[PARALLEL_FROM] = parallel_from, NEVER
    record[ENTRY], record[TEAM], record[SERIAL] = _entry or entry, ctypes.addressof(_team), ctypes.addressof(serial)
    for twin in (record, serial):
        twin[NARGS], twin[NDIMS], twin[LABEL] = nargs, ndims, label
    _records.append(record)
    _serials.append(serial)
    return record


def set_columns(record: Record, address: int) -> None:
    """Tell a row kernel, and the serial twin of its record, where its other half is."""
    record[COLUMNS] = address
    ctypes.cast(record[SERIAL], ctypes.POINTER(ctypes.c_int64))[COLUMNS] = address


def set_entry(entry: int) -> None:
    """Let every kernel, those of ufuncs made later included, enter the parallel driver at ``entry``."""
    global _entry
    _entry = entry
    for record in _records:
        record[ENTRY] = entry


def set_team(parallel_for: int, body: int, most: int) -> None:
    """Tell the driver how to run a team, of how many threads at most."""
    _team[PARALLEL_FOR] = parallel_for
    _team[BODY] = body
    _team[MOST] = min(_team[MOST], most)


def set_threads(n: int) -> None:
    """Set the number of threads that calls from any thread get."""
    _team[THREADS] = n


def own_threads(thread: int) -> int | None:
    """The number of a calling thread's own, if it has one."""
    place = _place_of(thread, _team[OWN])
    return None if place is None else _team[place + 1]


def set_own_threads(thread: int, n: int | None) -> None:
    """Set, or forget, the number of one calling thread, by ``threading.get_ident()``; that thread must be the caller.

    A pair stays where it is while it is in use. The drivers of other threads may read meanwhile, but match only their own.
    """
    place = _place_of(thread, MOST_OWN) or _place_of(0, MOST_OWN)
    if place is None:
        raise RuntimeError(f"at most {MOST_OWN} threads can have a number of threads of their own")
    _team[place + 1] = n or 0
    _team[place] = 0 if n is None else thread
    _team[OWN] = max((1 + k for k in range(MOST_OWN) if _team[TEAM_FIELDS + 2 * k]), default=0)


def _place_of(thread: int, count: int) -> int | None:
    """Where the pair of a thread, or a free one, is among the first ``count``."""
    return next((i for i in range(TEAM_FIELDS, TEAM_FIELDS + 2 * count, 2) if _team[i] == thread), None)


def forget_team() -> None:
    """For a forked child, which has none of its parent's threads."""
    _team[LOCK], _team[MOST], _team[OWN], _team[INSIDE] = 0, 1, 0, 0
