"""The memory that compiled code shares: a record per kernel behind NumPy's ``data``, and the state of the team of threads.

``fastact.kernels.fields`` names the fields. This module needs neither Numba nor llvmlite. The memory is never freed: threads may
read it while the interpreter ends.
"""

import ctypes

from fastact.kernels.fields import (
    ENTRY,
    FIELDS,
    LABEL,
    LINE,
    MOST,
    NARGS,
    NDIMS,
    NEVER,
    PARALLEL_FROM,
    SERIAL,
    STREAM_FROM,
    STREAMED,
    TEAM,
    TEAM_FIELDS,
    THREADS,
    WORKERS,
)

Record = ctypes.Array[ctypes.c_int64]

_allocate = ctypes.pythonapi.PyMem_RawCalloc
_allocate.restype, _allocate.argtypes = ctypes.c_void_p, [ctypes.c_size_t, ctypes.c_size_t]


def lasting(fields: int) -> Record:
    """Zeros on cache lines of their own, which outlive the interpreter."""
    line_bytes = 8 * LINE
    address = _allocate(fields + LINE, 8)
    if address is None:
        raise MemoryError
    return (ctypes.c_int64 * fields).from_address((address + line_bytes - 1) // line_bytes * line_bytes)


team = lasting(TEAM_FIELDS)
team[THREADS] = 1
_entry = 0
_records: list[Record] = []


def new_record(
    nargs: int, parallel_from: int, entry: int, *, stream_from: int = NEVER, ndims: int = 1, label: int = 0
) -> Record:
    """A record for a kernel that is still to be compiled; it lives as long as the process, and so do its two twins for chunks."""
    record, serial, streamed = (lasting(FIELDS) for _ in range(3))
    for twin in (record, serial, streamed):
        twin[PARALLEL_FROM], twin[STREAM_FROM] = NEVER, NEVER
        twin[NARGS], twin[NDIMS], twin[LABEL] = nargs, ndims, label
    streamed[STREAM_FROM] = 0
    record[PARALLEL_FROM], record[STREAM_FROM] = parallel_from, stream_from
    record[ENTRY], record[TEAM] = _entry or entry, ctypes.addressof(team)
    record[SERIAL], record[STREAMED] = ctypes.addressof(serial), ctypes.addressof(streamed)
    _records.append(record)
    return record


def set_address(record: Record, field: int, address: int) -> None:
    """Tell a record, and its twins, an address, such as that of compiled code: ``KERNEL``, or ``COLUMNS``."""
    record[field] = address
    for twin in (record[SERIAL], record[STREAMED]):
        ctypes.cast(twin, ctypes.POINTER(ctypes.c_int64))[field] = address


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
