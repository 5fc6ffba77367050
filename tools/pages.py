"""What the scripts that write pages from results share: reading the results, and writing a page or finding it stale."""

import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from fastact.bench.results import Result, read  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"


def read_all(files: Iterable[Path]) -> list[Result]:
    """The results that files hold, the oldest first; ``ResultError`` for a file that holds none."""
    return sorted(map(read, files), key=lambda result: str(result["date"]))


def write_or_check(page: Path, text: str, check: bool, command: str) -> int:
    """Write a page, or only say with exit status 1 that it is stale and which command would write it."""
    before = page.read_text(encoding="utf-8") if page.exists() else ""
    if text == before:
        return 0
    if check:
        print(f"{page} is stale: run {command}", file=sys.stderr)
        return 1
    page.parent.mkdir(exist_ok=True)
    page.write_text(text, encoding="utf-8")
    return 0
