"""What a result holds for: the machine, the versions, and whether other programs were running."""

import contextlib
import os
import platform
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from .peers import PACKAGES


def conditions(threads: int, peers: Sequence[str]) -> dict[str, Any]:
    """The machine and the versions, of the peers that take part too, that a result holds for."""
    import fastact

    versions = {"fastact": fastact.__version__, "python": platform.python_version()}
    for package in ("numpy", "numba", "llvmlite", *(package for peer in peers for package in PACKAGES[peer])):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {"machine": machine(), "versions": versions, "threads": threads}


def busy() -> str:
    """A warning if other programs are running; empty if not.

    They do not merely add noise: an op that PyTorch splits over threads at any size, such as gelu, waits for a thread
    that has no core, and looks hundreds of times slower than it is.
    """
    share = _processor_share(0.5)
    return f"other programs use {share:.0%} of the processors: do not trust these times" if share > 0.1 else ""


def _processor_share(seconds: float) -> float:
    """What share of all processors is in use while this process sleeps; 0 where the system does not say."""

    def used_and_all() -> tuple[int, int]:
        user, nice, system, idle, wait, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
        return user + nice + system + sum(rest), user + nice + system + idle + wait + sum(rest)

    with contextlib.suppress(OSError, ValueError):
        before = used_and_all()
        time.sleep(seconds)
        used, everything = (now - then for now, then in zip(used_and_all(), before, strict=True))
        return used / max(everything, 1)
    return 0.0


def machine() -> dict[str, Any]:
    """The processor and its caches; nothing that names the host."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": _processor(), "cores": usable, "system": platform.system(), "caches": _caches()}


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _caches() -> dict[str, str]:
    from fastact.runtime import caches  # which older versions, beside whom asv runs this module, lack

    return {f"L{level} {kind}": size for (level, kind), size in caches.sizes().items()}
