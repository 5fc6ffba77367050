"""Draw ``docs/images/``, a picture of each op, where the one that is there belongs to another record or another way to draw.

A picture holds a fingerprint of what it depends on, so that checking needs no Matplotlib, and another version of Matplotlib, whose
pictures differ in unseen ways, changes nothing.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from pages import DOCS, main, remove_or_check, stale  # noqa: E402

import fastact  # noqa: E402
from fastact.cli._curves import fingerprint  # noqa: E402

IMAGES = DOCS / "images"


def write(check: bool) -> bool:
    """Draw what is missing or stale, or find it; whether all are fresh."""
    old = [op for op in fastact.ops.values() if not _is_fresh(IMAGES / f"{op.name}.svg", fingerprint(op))]
    fresh = not [stale(IMAGES / f"{op.name}.svg") for op in old if check]
    if old and not check:
        from fastact.cli._drawing import picture

        IMAGES.mkdir(parents=True, exist_ok=True)
        for op in old:
            (IMAGES / f"{op.name}.svg").write_bytes(picture([op], "svg"))
    gone = [path for path in IMAGES.glob("*.svg") if path.stem not in fastact.ops]
    return all([fresh, *(remove_or_check(path, check) for path in gone)])


def _is_fresh(path: Path, mark: str) -> bool:
    return path.exists() and mark in path.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(__doc__, write))
