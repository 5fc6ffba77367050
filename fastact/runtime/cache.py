"""Compiled kernels on disk: one checked object file per kernel, in a directory per version of everything it depends on.

The directory is ``FASTACT_CACHE_DIR``, else ``NUMBA_CACHE_DIR``, else the user's cache directory; a place that cannot be written,
or that other users can write to, falls back to a per-user temporary directory, then to none. ``FASTACT_CACHE_DIR=off`` keeps
nothing. Kernels of older versions are removed, and of users' own ops those that were made first.
"""

import contextlib
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from fastact.runtime import notice

MAGIC = b"fastact kernel 1\n"
OFF = "off"
VERSION, UNFINISHED = "kernels-", ".writing-"
"""What the names of a version's folder and of a file that is being written begin with."""
MOST_VERSIONS, MOST_SALTED, MOST_UNFINISHED = 4, 500, 100
"""How many versions are kept, how many kernels of users' own ops in each, and how many files of processes that were killed."""
MAKE_NO_KERNEL = ("bench", "cli")
"""Folders of this package that call kernels and are part of none: an edit there need not compile everything anew."""
HARMLESS_SETTINGS = {"NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT", "NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER"}
"""Settings of Numba that no kernel depends on."""


def cached(name: str, build: Callable[[], bytes], salt: bytes = b"") -> bytes:
    """The object file called ``name``: from disk if it is there and intact, else from ``build()``, which is then kept.

    ``salt`` stands for sources outside this package, such as those of a user's own op.
    """
    folder = directory()
    if folder is None:
        return build()
    path = (
        folder / f"{VERSION}{digest()}" / (f"{name}.{hashlib.sha256(salt).hexdigest()[:16]}.o" if salt else f"{name}.o")
    )
    kept = _read(path)
    if kept is not None:
        return kept
    built = build()
    _write(path, built)
    if salt:
        _remove_oldest(path.parent.glob("*.????????????????.o"), MOST_SALTED)
    return built


def loaded(
    name: str, source: Callable[[], Callable[..., Any]], salt: bytes | None = b"", integers: int | None = None
) -> int:
    """The address of the inner loop that ``source()`` makes, compiled or from disk; without salt it is kept nowhere.

    With ``integers`` it makes a function of a record and so many integers, see ``compiler.compile_loop``.
    """
    from fastact.runtime import compiler

    def build() -> bytes:
        with notice.of_compilation():
            options = {} if integers is None else {"integers": integers}
            return compiler.compile_loop(source(), users=salt != b"", **options)

    return compiler.load(build() if salt is None else cached(name, build, salt))


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
        if not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _remove_oldest(path.parent.parent.glob(f"{VERSION}*"), MOST_VERSIONS)
        _remove_oldest(path.parent.glob(f"{UNFINISHED}*"), MOST_UNFINISHED)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(MAGIC + hashlib.sha256(contents).digest() + contents)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)


def _remove_oldest(paths: Iterable[Path], most: int) -> None:
    """Remove all but the newest; another process that still reads one has it open, or makes it anew."""

    def changed(path: Path) -> float:
        with contextlib.suppress(OSError):
            return path.stat().st_mtime
        return 0.0

    for path in sorted(paths, key=changed)[:-most]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def directory() -> Path | None:
    """The cache directory in use, made if need be; ``None`` if there is none."""
    wanted = os.environ.get("FASTACT_CACHE_DIR") or ""
    return None if wanted.lower() == OFF else _writable_directory(wanted, os.environ.get("NUMBA_CACHE_DIR") or "")


@cache
def _writable_directory(fastact_choice: str, numba_choice: str) -> Path | None:
    for candidate in (
        fastact_choice,
        numba_choice and os.path.join(numba_choice, "fastact"),
        _user_cache(),
        _temporary(),
    ):
        if candidate and _is_private(Path(candidate)):
            return Path(candidate)
    return None


def _temporary() -> str:
    with contextlib.suppress(OSError):  # Python looks for a place where it can write a file, and a full disk has none
        return os.path.join(tempfile.gettempdir(), f"fastact-{_user()}")
    return ""


def _is_private(folder: Path) -> bool:
    """Whether a folder, made if need be, is one that this user can write to and no other can."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            reason = _public(folder)
    except OSError:
        return False
    if reason:
        text = f"kernels are not kept in {folder}: {reason}, and what it holds is run as machine code"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    return not reason


def _public(folder: Path) -> str:
    """Who else can write to a folder; empty if nobody, or if the system does not say."""
    if not hasattr(os, "getuid"):
        return ""
    status = folder.stat()
    if status.st_uid != os.getuid():
        return f"it belongs to another user (of number {status.st_uid})"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"other users can write to it (mode {stat.S_IMODE(status.st_mode):03o})"
    return ""


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

    from fastact.kernels import target

    own_version = getattr(sys.modules["fastact"], "__version__", "")
    known = (
        own_version,
        version("numba"),
        version("llvmlite"),
        sys.version_info[:2],
        target.cpu(),
        _numba_settings(),
    )
    total = hashlib.sha256(repr(known).encode())
    for name, contents in sorted(_sources(_package())):
        total.update(name.encode())
        total.update(contents)
    return total.hexdigest()[:24]


def _package() -> Any:
    """The folder of this package, on disk or in a zip file."""
    folder = Path(__file__).parent.parent
    if folder.is_dir():
        return folder
    from importlib import resources

    return resources.files("fastact")


def _sources(folder: Any, within: str = "") -> Iterator[tuple[str, bytes]]:
    """The sources below a folder, or the byte code that is shipped in place of them; nothing of a frozen program."""
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            name = f"{within}{entry.name}"
            if entry.is_file() and entry.name.endswith((".py", ".pyc")):
                yield name, entry.read_bytes()
            elif entry.is_dir() and name not in MAKE_NO_KERNEL and entry.name != "__pycache__":
                yield from _sources(entry, f"{name}/")


def _numba_settings() -> list[Any]:
    """What a user has set of Numba, in the environment or in a file, and that may change machine code."""
    from fastact.kernels.target import NUMBA_FILE

    names = sorted(name for name in os.environ if name.startswith("NUMBA_") and name not in HARMLESS_SETTINGS)
    settings: list[Any] = [(name, os.environ[name]) for name in names if os.environ[name]]
    with contextlib.suppress(OSError):
        settings.append(Path(NUMBA_FILE).read_bytes())
    return settings


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
    sizes = [
        file.stat().st_size for file in folder.glob(f"{VERSION}*/*.o" if all_versions else f"{VERSION}{digest()}/*.o")
    ]
    return Usage(len(sizes), sum(sizes))
