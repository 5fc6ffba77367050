"""Findings as text: tables by Rich where it is installed and somebody looks, else in plain columns."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from .findings import Findings

TOP = 10
MOST_BEHIND = 3
"""Of what would make float64 next, so many are named."""
WIDTH = 118
WIDE = 0.25
"""The share of float64 from which it is worth a word, where it does not come from float32."""
GAP = "  "


@dataclass(frozen=True)
class Table:
    """A part of the report. All columns but the last are short."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def tables(found: Findings, top: int = TOP) -> list[Table]:
    """The parts that have something to say."""
    parts = [_promotions(found, top), _idioms(found, top), _fresh(found, top), _lines(found, top)]
    return [part for part in parts if part.rows]


def summary(found: Findings) -> list[str]:
    """What there is to say of the whole."""
    share = found.share(found.array_seconds)
    lines = [
        f"{found.program}: {seconds(found.seconds)}, of which {seconds(found.array_seconds)} ({share:.0%}) on arrays."
    ]
    if found.ended_by:
        lines[0] += f" It was ended by {found.ended_by}: this is what came before."
    if not found.array_seconds:
        lines.append("No operation on arrays was seen in its own files.")
    if not found.promotions:
        lines.append("Nowhere did float32 become float64.")
    if found.float64_seconds > WIDE * found.array_seconds:
        where = ", ".join(map(str, found.float64_lines[:5]))
        made = f" (lines {where} make such arrays)" if where else ""
        lines.append(
            f"{found.float64_seconds / found.array_seconds:.0%} of the time on arrays is float64 from the start{made}: "
            "float32 has half the bytes, and its digits suffice for most networks."
        )
    lines.append(f"Watching took about {seconds(found.watching)} of the time ({found.share(found.watching):.0%}).")
    if found.sampled and found.array_seconds:
        where = ", ".join(map(str, found.sampled[:6])) + (", ..." if len(found.sampled) > 6 else "")
        lines.append(
            f"Loops and functions of small arrays were watched once in 61 passes (at lines {where}); theirs are estimates."
        )
    return lines


def text(found: Findings, top: int = TOP) -> str:
    """The report in plain columns."""
    parts = ["\n".join(textwrap.fill(line, WIDTH) for line in summary(found))]
    parts += [_plain(table) for table in tables(found, top)]
    return "\n\n".join(parts)


def show(found: Findings, stream: TextIO, top: int = TOP) -> None:
    """Print the report, in colours at a terminal if Rich is installed."""
    if stream.isatty():
        try:
            import rich.box
            import rich.console
            import rich.table
            import rich.text
        except ImportError:
            pass
        else:
            console = rich.console.Console(file=stream)
            console.print(rich.text.Text("\n".join(summary(found))))
            for part in tables(found, top):
                console.print()
                console.print(_rich(rich, part))
                if part.note:
                    console.print(rich.text.Text(part.note, style="dim"))
            return
    print(text(found, top), file=stream, flush=True)


def _promotions(found: Findings, top: int) -> Table:
    rows = [
        (
            found.place(one.site.file, one.site.line),
            _time(found, one.downstream),
            _time(found, one.saved),
            f"{found.code(one.site.file, one.site.line)}\n{one.cause}\nin float64 because of it: {_numbers(one.lines)}"
            + "".join(f"\nonce cured, then line {site.line}: {cause}" for site, cause in one.behind[:MOST_BEHIND]),
        )
        for one in found.promotions[:top]
    ]
    note = "time: of all operations on arrays that stem from it; could save: by the same operations on float32 copies"
    return Table("Where float32 becomes float64", ("line", "time", "could save", "why"), rows, note)


def _idioms(found: Findings, top: int) -> Table:
    rows = [
        (
            found.place(one.file, one.line),
            _time(found, one.seconds),
            "" if one.saved is None else _time(found, one.saved),
            f"{found.code(one.file, one.line)}\n{one.call}\n"
            f"{'' if len(one.lines) < 2 else f'in place of lines {_numbers(one.lines)}; '}differs: {one.idiom.differs}",
        )
        for one in found.idioms[:top]
    ]
    head = (
        ("line", "time", "could save", "one call of fastact")
        if found.measured
        else ("line", "time", "one call of fastact")
    )
    if not found.measured:
        rows = [(place, time, what) for place, time, _, what in rows]  # type: ignore[misc]
    note = (
        "could save: by calls on random arrays of that shape" if found.measured else "--measure times these calls, too"
    )
    return Table("What one call computes", head, rows, note)


def _fresh(found: Findings, top: int) -> Table:
    rows = [
        (
            found.place(one.site.file, one.site.line),
            _time(found, one.site.seconds),
            _time(found, one.saved or 0.0),
            f"{one.size / 2**20:.3g} MiB",
            f"{one.site.calls:.0f}",
            found.code(one.site.file, one.site.line),
        )
        for one in found.fresh[:top]
        if (one.saved or 0.0) >= 0.002 * found.seconds
    ]
    head = ("line", "time", "could save", "array", "times", "code")
    return Table("Large fresh arrays that out= would spare", head, rows)


def _lines(found: Findings, top: int) -> Table:
    rows = [
        (
            found.place(line.file, line.number),
            _time(found, line.seconds),
            f"{line.calls:.0f}",
            line.dtype,
            found.code(line.file, line.number),
        )
        for line in found.lines[:top]
        if line.seconds >= 0.001 * found.seconds
    ]
    return Table("Lines by their time on arrays", ("line", "time", "times", "mostly", "code"), rows)


def seconds(x: float) -> str:
    """A duration in three digits."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if x * factor >= 0.9995 or unit == "us":
            return f"{x * factor:.3g} {unit}"
    return ""


def _time(found: Findings, x: float) -> str:
    return f"{seconds(x)} {found.share(x):.0%}"


def _numbers(lines: Iterable[int]) -> str:
    """Line numbers, neighbours as ranges."""
    parts: list[list[int]] = []
    for line in sorted(lines):
        if parts and parts[-1][-1] == line - 1:
            parts[-1].append(line)
        else:
            parts.append([line])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)


def _plain(table: Table) -> str:
    *short, _ = zip(table.head, *([cell.split("\n")[0] for cell in row] for row in table.rows), strict=True)
    widths = [max(map(len, column)) for column in short]
    indent = sum(widths) + len(GAP) * len(widths)
    lines = [table.title, "-" * len(table.title), _joined(table.head[:-1], widths) + table.head[-1]]
    for row in table.rows:
        wrapped = [
            part for text in row[-1].split("\n") for part in textwrap.wrap(text, max(40, WIDTH - indent)) or [""]
        ]
        lines.append(_joined(row[:-1], widths) + wrapped[0])
        lines += [" " * indent + part for part in wrapped[1:]]
    if table.note:
        lines.append(f"({table.note})")
    return "\n".join(lines)


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"{cell:>{width}}{GAP}" for cell, width in zip(cells, widths, strict=True))


def _rich(rich: Any, table: Table) -> Any:
    found = rich.table.Table(title=table.title, title_justify="left", box=rich.box.SIMPLE_HEAD)
    for name in table.head[:-1]:
        found.add_column(name, justify="right", no_wrap=True)
    found.add_column(table.head[-1], overflow="fold")
    for row in table.rows:
        first, _, rest = row[-1].partition("\n")
        last = rich.text.Text.assemble((first, "bold"), *([f"\n{rest}"] if rest else []))
        found.add_row(*map(rich.text.Text, row[:-1]), last)
    return found
