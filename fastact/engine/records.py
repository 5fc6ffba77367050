"""The records that compiled code reads: one per kernel behind NumPy's ``data``, and the state of the team of threads.

``loops.py`` and ``driver.py`` name the fields. This module needs neither Numba nor llvmlite.
"""

import ctypes

PARALLEL_FROM, ENTRY, TEAM, KERNEL, NARGS, NDIMS, SERIAL, COLUMNS, LABEL, FIELDS = range(10)
"""The record behind ``data``, 64-bit integers: how many elements make threads worth it; the parallel entry that takes over; the
address of the team's state and of this kernel; the number of its operands and of its dimensions; the record that its chunks
are computed with, which never goes parallel; a row kernel's other half, for columns; and the kind of its integer labels."""

LOCK, THREADS, START, PARALLEL_FOR, BODY, MOST, OWN, ASK_OWN, INSIDE, RIVALS, REMEMBERED, TEAM_FIELDS = range(12)
"""The team's state, 64-bit integers: the lock, the number of threads that callers get; the function that starts the threading
layer, the layer's entry point, 0 until then, the compiled ``run_chunk``; how many threads there are; how many contexts have
a number of threads of their own, and the function that returns the caller's, or 0; how many callers are in the driver, how many
others a caller reckons with, and for how many calls more."""

NEVER = 2**62

Record = ctypes.Array[ctypes.c_int64]

_team: Record = (ctypes.c_int64 * TEAM_FIELDS)()
_team[THREADS], _team[MOST] = 1, NEVER
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


def set_driver(entry: int, body: int) -> None:
    """Let every kernel, those of ufuncs made later included, enter the parallel driver at ``entry``; its chunks are ``body``."""
    global _entry
    _entry, _team[BODY] = entry, body
    for record in _records:
        record[ENTRY] = entry


def set_start(address: int) -> None:
    """Tell the driver how to start the threading layer."""
    _team[START] = address


def set_layer(parallel_for: int, most: int) -> None:
    """Tell the driver how to run the threading layer's team, of how many threads at most."""
    _team[MOST] = min(_team[MOST], most)
    _team[PARALLEL_FOR] = parallel_for  # last: other threads' drivers go by it


def set_threads(n: int) -> None:
    """Set the number of threads that calls from any thread get."""
    _team[THREADS] = n


def set_ask_own(address: int) -> None:
    """Tell the driver whom to ask for the number of threads of a caller's own."""
    _team[ASK_OWN] = address


def count_own(change: int) -> None:
    """Count the contexts that have a number of threads of their own; the driver asks only if there are any."""
    _team[OWN] += change


def forget_team() -> None:
    """For a forked child, which has none of its parent's threads."""
    _team[LOCK], _team[MOST], _team[INSIDE] = 0, 1, 0
