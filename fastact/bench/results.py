"""Results on disk: JSON with the conditions and one line per cell, those of ops, of programs and of calls beside others apart."""

import json
from pathlib import Path
from typing import Any

from .measure import Cell

LISTS = ("programs", "beside", "cells")
"""What a result may hold: cells of programs, of calls beside busy processes (see ``company``), and of ops (see ``measure``)."""
PLACE = ("op", "direction", "dtype", "size", "variant", "shape", "setting", "program", "call", "beside")
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


def before(file: Path, now: Result) -> Result:
    """The result that a file holds already, if any; figures of different machines must not meet in one table."""
    if not file.exists():
        return {"cells": []}
    held = read(file)
    for name in ("machine", "versions", "threads"):
        if held[name] != now[name]:
            raise ResultError(
                f"{file} holds results for other {name}: {held[name]}, now {now[name]}; name another file"
            )
    now["busy"] = now["busy"] or held["busy"]
    return held


def joined(before: Result, now: Result) -> dict[str, list[Cell]]:
    """The cells of two results, list by list; there is always one of ops' cells."""
    both = {name: merged(before.get(name, []), now.get(name, [])) for name in LISTS}
    return {name: cells for name, cells in both.items() if cells or name == "cells"}


def merged(before: list[Cell], cells: list[Cell]) -> list[Cell]:
    """The cells from before that were not measured anew, and the new ones."""
    measured = {identity(cell) for cell in cells}
    return [cell for cell in before if identity(cell) not in measured] + cells


def dump(result: Result) -> str:
    """JSON with one line per cell and four digits, so that a diff shows what changed."""
    rounded = json.loads(json.dumps(result), parse_float=lambda text: float(f"{float(text):.4g}"))
    lists = [f' "{name}": {_lines(rounded.pop(name))}' for name in LISTS if name in rounded]
    return ",\n".join([json.dumps(rounded, indent=1)[:-2], *lists]) + "\n}\n"


def _lines(cells: list[Cell]) -> str:
    return "[\n{}\n]".format(",\n".join(map(json.dumps, cells))) if cells else "[]"
