"""Results on disk: JSON with the conditions and one line per cell."""

import json
from pathlib import Path
from typing import Any

from .measure import Cell

PLACE = ("op", "direction", "dtype", "size", "variant", "shape", "setting")
"""What tells a cell from the others."""

Result = dict[str, Any]


class ResultError(Exception):
    """A file that cannot be read, or written, or that holds what must not be mixed."""


def identity(cell: Cell) -> tuple[Any, ...]:
    """What tells a cell from the others, as something to look it up by."""
    return tuple(str(cell.get(name, "")).replace("[", "(").replace("]", ")") for name in PLACE)


def read(file: Path) -> Result:
    """The result that a file holds."""
    try:
        result: Result = json.loads(file.read_text(encoding="utf-8"))
        result["cells"]
    except (OSError, ValueError) as error:
        raise ResultError(f"cannot read {file}: {error}") from None
    except (KeyError, TypeError):
        raise ResultError(f"{file} holds no result of fastact bench") from None
    return result


def cells_before(file: Path, now: Result) -> list[Cell]:
    """The cells that a file holds already, if any; figures of different machines must not meet in one table."""
    if not file.exists():
        return []
    before = read(file)
    for name in ("machine", "versions", "threads"):
        if before[name] != now[name]:
            raise ResultError(
                f"{file} holds results for other {name}: {before[name]}, now {now[name]}; name another file"
            )
    now["busy"] = now["busy"] or before["busy"]
    kept: list[Cell] = before["cells"]
    return kept


def merged(before: list[Cell], cells: list[Cell]) -> list[Cell]:
    """The cells from before that were not measured anew, and the new ones."""
    measured = {identity(cell) for cell in cells}
    return [cell for cell in before if identity(cell) not in measured] + cells


def dump(result: Result) -> str:
    """JSON with one line per cell and four digits, so that a diff shows what changed."""
    rounded = json.loads(json.dumps(result), parse_float=lambda text: float(f"{float(text):.4g}"))
    cells = ",\n".join(json.dumps(cell) for cell in rounded.pop("cells"))
    return f'{json.dumps(rounded, indent=1)[:-2]},\n "cells": [\n{cells}\n]\n}}\n'
