"""Compiled kernels on disk: one checked object file per kernel, in a directory per version of everything it depends on.

The directory is ``FASTACT_CACHE_DIR``, else ``NUMBA_CACHE_DIR``, else the user's cache directory; a place that cannot be written
falls back to a per-user temporary directory, then to none. ``FASTACT_CACHE_DIR=off`` keeps nothing.
"""

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

MAGIC = b"fastact kernel 1\n"
OFF = "off"


def cached(name: str, build: Callable[[], bytes], salt: bytes = b"") -> bytes:
    """The object file called ``name``: from disk if it is there and intact, else from ``build()``, which is then kept.

    ``salt`` stands for sources outside this package, such as those of a user's own op.
    """
    folder = directory()
    if folder is None:
        return build()
    path = folder / digest() / (f"{name}.{hashlib.sha256(salt).hexdigest()[:16]}.o" if salt else f"{name}.o")
    kept = _read(path)
    if kept is not None:
        return kept
    built = build()
    _write(path, built)
    return built


def _read(path: Path) -> bytes | None:
    """The contents of an intact cache file; ``None`` for a missing, truncated or altered one."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    header = len(MAGIC) + 32
    checksum, contents = stored[len(MAGIC) : header], stored[header:]
    if stored.startswith(MAGIC) and hashlib.sha256(contents).digest() == checksum:
        return contents
    return None


def _write(path: Path, contents: bytes) -> None:
    """Write a cache file so that nobody ever sees half of it; a full or read-only disk only costs the file."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(MAGIC + hashlib.sha256(contents).digest() + contents)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)


def directory() -> Path | None:
    """The cache directory in use, made if need be; ``None`` if there is none."""
    wanted = os.environ.get("FASTACT_CACHE_DIR") or ""
    return None if wanted.lower() == OFF else _writable_directory(wanted, os.environ.get("NUMBA_CACHE_DIR") or "")


@cache
def _writable_directory(fastact_choice: str, numba_choice: str) -> Path | None:
    temporary = Path(tempfile.gettempdir()) / f"fastact-{_user()}"
    for candidate in (fastact_choice, numba_choice and os.path.join(numba_choice, "fastact"), _user_cache()):
        if candidate and _can_write(Path(candidate)):
            return Path(candidate)
    return temporary if _can_write(temporary) else None


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _user_cache() -> str:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # Without a home directory "~" stays as it is; a folder of that name in the current directory is nobody's cache.
    return os.path.join(base, "fastact") if os.path.isabs(base) else ""


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


@cache
def digest() -> str:
    """A hash of all that machine code depends on: this package's sources, the compilers and the processor."""
    from importlib.metadata import version

    from fastact.engine import compiler

    total = hashlib.sha256(repr((version("numba"), version("llvmlite"), sys.version_info[:2], compiler.cpu())).encode())
    package = Path(__file__).parent.parent
    for source in sorted(package.rglob("*.py")):
        total.update(str(source.relative_to(package)).encode())
        total.update(source.read_bytes())
    return total.hexdigest()[:24]


class Usage(NamedTuple):
    """How many kernels are kept, and their size."""

    kernels: int
    bytes: int

    def __str__(self) -> str:
        return f"{self.kernels} kernels, {self.bytes / 1e6:.1f} MB"


def usage(*, all_versions: bool = False) -> Usage:
    """What the cache directory holds for these sources, compilers and processor, or for all that it was ever used with."""
    folder = directory()
    if folder is None:
        return Usage(0, 0)
    sizes = [file.stat().st_size for file in folder.glob("*/*.o" if all_versions else f"{digest()}/*.o")]
    return Usage(len(sizes), sum(sizes))
