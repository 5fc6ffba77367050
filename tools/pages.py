"""What the scripts that write pages of ``docs/`` have in common: write a page, or find that it is stale."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def write_or_check(path: Path, text: str, check: bool) -> bool:
    """Write a page, or only compare; whether it was fresh or has been written. Says so if it is stale."""
    fresh = path.exists() and path.read_text(encoding="utf-8") == text
    if not fresh and check:
        return stale(path)
    if not fresh:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return True


def remove_or_check(path: Path, check: bool) -> bool:
    """Remove a page that nothing generates any more, or say that it is stale."""
    if check:
        return stale(path)
    path.unlink()
    return True


def stale(path: Path) -> bool:
    """Say that a page is stale, and what to do; never true."""
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    print(f"{shown} is stale: run python tools/{Path(sys.argv[0]).name}", file=sys.stderr)
    return False


def main(doc: str | None, write: Callable[[bool], bool]) -> int:
    """Run a script whose ``write(check)`` writes or checks its pages, and return its exit status."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; the exit status is 1 if a page is stale")
    return 0 if write(parser.parse_args().check) else 1
