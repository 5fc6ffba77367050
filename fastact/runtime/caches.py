"""How much the processor's caches hold."""

import contextlib
from functools import cache
from pathlib import Path

FOLDER = Path("/sys/devices/system/cpu/cpu0/cache")
USUAL = 32 * 2**20
"""Bytes of the last cache where the system does not say."""
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


def sizes() -> dict[tuple[int, str], str]:
    """The size of each cache of the first processor, as Linux writes it, by level and kind."""
    found = {}
    for index in sorted(FOLDER.glob("index*")):
        with contextlib.suppress(OSError, ValueError):
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
            found[int(level), kind.lower()] = size
    return found


@cache
def last_cache_bytes() -> int:
    """Number of bytes of the last cache."""
    with contextlib.suppress(KeyError, ValueError):
        size = max(sizes().items(), default=(0, ""))[1]
        return int(size[:-1]) * UNITS[size[-1:]]
    return USUAL
