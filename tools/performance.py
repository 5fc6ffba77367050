"""Write ``docs/performance.md`` from what ``fastact bench`` kept in ``benchmarks/results``; ``--check`` only compares.

Every measured cell is on the page, those in which a peer is quicker too.
"""

import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from kept import results
from pages import DOCS, main, write_or_check
from reference_pages import families

from fastact import table as fastact_table
from fastact.bench import report, targets
from fastact.bench.case import DTYPES, VARIANT_SIZES
from fastact.bench.results import Result, joined
from fastact.bench.tables import table

PAGE = DOCS / "performance.md"

HEAD = """\
<!-- Written by tools/performance.py from benchmarks/results: do not edit. -->
# Performance

fastact against what people use today: the quickest expression of NumPy and SciPy, NumExpr, PyTorch, JAX and ONNX Runtime, as
far as they were installed. All take turns in one process, with the same number of threads; `fastact/bench/idioms.py` and
`fastact/bench/rows.py` hold what each of them runs. Measure on your own machine:

```sh
pip install "fastact[bench,peers]"
fastact bench --op gelu softmax --size 1e4 1e6
fastact bench --json FILE             # everything below but the shapes: hours
fastact bench --shapes --json FILE    # the shapes that the functions over rows have targets for
fastact bench --programs --json FILE  # whole steps of programs: minutes
fastact bench --targets --json FILE   # the verdicts on what FILE holds
```
"""

VARIANTS = tuple(VARIANT_SIZES)

NOTE = """\
Ratios are a peer's time over fastact's, the median of the rounds with its quartiles: above 1 fastact is quicker; **bold**: the
peer is. *: the peer has no `out=` and allocates. GB/s counts what is read and written, once. ULP is the largest error of the
result, on a sample, in units of its last place. Also: `relu` and `reading`, which only move memory; `np.exp`, the cost of a call;
and for the variants fastact `out-of-place`, `contiguous` and in `float32`."""

OLD = "Ops of earlier versions"


def write(check: bool, path: Path = PAGE) -> bool:
    """Write or check the page; whether it is fresh."""
    return write_or_check(path, page(results()), check)


def page(found: Sequence[Result]) -> str:
    """The page of some results, those of the same machine, versions and threads as one."""
    sections = [section for result in _joined(found) for section in _sections(result)]
    return "\n\n".join([HEAD.strip(), *sections]) + "\n"


def _joined(found: Sequence[Result]) -> list[Result]:
    whole: list[Result] = []
    for result in found:
        for other in whole:
            if all(other[name] == result[name] for name in ("machine", "versions", "threads")):
                other.update(joined(other, result))
                other["busy"] = other["busy"] or result["busy"]
                other["date"] = result["date"]
                break
        else:
            whole.append(dict(result))
    return whole[::-1]


def _sections(result: Result) -> Iterator[str]:
    machine, cells = result["machine"], sorted(result["cells"], key=_position)
    yield f"## {machine['processor']}, {machine['cores']} cores"
    yield "\n".join(report.conditions(result))
    if result.get("programs") or result.get("beside"):
        yield "### Whole steps of programs"
        yield report.report_of_programs(result, markdown=True)
    if not cells:
        return
    yield NOTE
    of_family = _by(cells, _family)
    in_order = {title: of_family[title] for title in dict.fromkeys([*_titles().values(), OLD]) if title in of_family}
    yield "### By family"
    yield _summary(in_order)
    yield "### Targets"
    yield targets.report(cells, markdown=True)
    for title, of_title in in_order.items():
        yield from _family_section(title, of_title)


def _position(cell: Any) -> tuple[Any, ...]:
    """By size, the plainest variant first."""
    return (
        "shape" in cell,
        cell["size"] * ("shape" not in cell),
        DTYPES.index(cell["dtype"]),
        VARIANTS.index(cell["variant"]),
    )


def _summary(families: dict[str, list[Any]]) -> str:
    """How each peer does in each family, in one line."""
    lines = []
    for title, cells in families.items():
        for peer in report.peers_in(cells):
            middles = [cell["ratio"][peer][2] for cell in cells if peer in cell["ratio"]]
            quicker = sum(middle < 1 for middle in middles)
            spread = [f"{value:.2f}" for value in (min(middles), statistics.median(middles), max(middles))]
            lines.append([title, report.TITLES[peer], str(len(middles)), *spread, f"{quicker} of {len(middles)}"])
    head = ["family", "peer", "cells", "least ratio", "median", "greatest", "peer is quicker"]
    return table(head, lines, markdown=True)


def _family_section(title: str, cells: list[Any]) -> Iterator[str]:
    yield f"### {title}"
    for size, of_size in _by(cells, _size).items():
        yield f"#### {title}: {size}"
        peers = report.peers_in(of_size)
        head = ["", "dtype", "variant", "fastact", "GB/s", "ULP", *(report.TITLES[peer] for peer in peers), "also"]
        yield table(head, [_row(cell, peers) for cell in of_size], markdown=True)


def _row(cell: Any, peers: Sequence[str]) -> list[str]:
    op, direction, dtype, size, variant = report.place(cell)
    name, _, setting = op.partition(" ")
    texts = [f"`{name}`", setting, direction * (direction == "backward"), size * ("shape" in cell)]
    ratios = [_ratio(cell, peer) for peer in peers]
    also = ", ".join(f"{name} {_ratio(cell, name)}" for name in cell["ratio"] if name not in report.TITLES)
    return [" ".join(filter(None, texts)), dtype, variant, report.own_time(cell), *report.quality(cell), *ratios, also]


def _ratio(cell: Any, peer: str) -> str:
    if peer not in cell["ratio"]:
        return ""
    _, low, middle, high, _ = cell["ratio"][peer]
    bold = "**" * (middle < 1)
    star = "\\*" if peer in cell["allocates"] else ""
    return f"{bold}{middle:.2f}{bold}{star} ({low:.2f}-{high:.2f})"


@cache
def _titles() -> dict[str, str]:
    """The title of each function's family."""
    found = families()
    return {name: found[record.family].title for name, record in fastact_table.functions().items()}


def _family(cell: Any) -> str:
    """The title of the family that a cell's op belongs to."""
    return _titles().get(cell["op"], OLD)


def _size(cell: Any) -> str:
    return "shapes of their own" if "shape" in cell else f"{cell['size']:,} elements"


def _by(cells: Iterable[Any], key: Callable[[Any], str]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for cell in cells:
        groups.setdefault(key(cell), []).append(cell)
    return groups


if __name__ == "__main__":
    sys.exit(main(__doc__, write))
