"""The records that compiled code reads: one per kernel behind NumPy's ``data``, and the state of the team of threads.

``loops.py`` and ``driver.py`` name the fields. This module needs neither Numba nor llvmlite.
"""

import ctypes

PARALLEL_FROM, ENTRY, TEAM, KERNEL, NARGS, NDIMS, SERIAL, COLUMNS, LABEL, FIELDS = range(10)
"""The record behind ``data``, 64-bit integers: how many elements make threads worth it; the parallel entry that takes over; the
address of the team's state and of this kernel; the number of its operands and of its dimensions; the record that its chunks
are computed with, which never goes parallel; a row kernel's other half, for columns; and the kind of its integer labels."""

LOCK, THREADS, PARALLEL_FOR, BODY, TEAM_FIELDS = range(5)
"""The team's state, 64-bit integers: the lock, the number of threads, the layer's entry point and the address of the compiled
``run_chunk``."""

NEVER = 2**62

Record = ctypes.Array[ctypes.c_int64]

_team: Record = (ctypes.c_int64 * TEAM_FIELDS)(0, 1, 0, 0)
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


def set_team(parallel_for: int, body: int) -> None:
    """Tell the driver how to run a team."""
    _team[PARALLEL_FOR] = parallel_for
    _team[BODY] = body


def set_threads(n: int) -> None:
    """Set the number of threads of the next parallel call."""
    _team[THREADS] = n


def release_team() -> None:
    """Forget a parallel region that was running when this process was forked."""
    _team[LOCK] = 0
