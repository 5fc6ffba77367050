"""The records that compiled code reads: one per kernel behind NumPy's ``data``, and the state of the team of threads.

``loops.py`` and ``driver.py`` name the fields. This module needs neither Numba nor llvmlite.
"""

import ctypes

PARALLEL_FROM, ENTRY, TEAM, KERNEL, NARGS, FIELDS = 0, 1, 2, 3, 4, 5
"""The record behind ``data``, 64-bit integers: how many elements make threads worth it, the parallel entry that takes over then,
the address of the team's state, of this kernel, and the number of its operands."""

LOCK, THREADS, PARALLEL_FOR, BODY, SERIAL_RECORD, TEAM_FIELDS = 0, 1, 2, 3, 4, 5
"""The team's state, 64-bit integers: the lock, the number of threads, the layer's entry point, the address of the compiled
``run_chunk``, and a record that never goes parallel."""

NEVER = 2**62

Record = ctypes.Array[ctypes.c_int64]

_serial: Record = (ctypes.c_int64 * FIELDS)(NEVER)
_team: Record = (ctypes.c_int64 * TEAM_FIELDS)(0, 1, 0, 0, ctypes.addressof(_serial))
_records: list[Record] = []
_entry = 0


def new_record(nargs: int, parallel_from: int, entry: int) -> Record:
    """A record for a kernel that is still to be compiled; it lives as long as the process."""
    record: Record = (ctypes.c_int64 * FIELDS)(parallel_from, _entry or entry, ctypes.addressof(_team), 0, nargs)
    _records.append(record)
    return record


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
