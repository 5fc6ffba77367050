"""Findings as a page: one HTML file that needs nothing else, with the tables and the source, a bar at each line."""

from html import escape

from .findings import Findings, Line, shown_path
from .report import Table, seconds, summary, tables

STYLE = """
.fastact-advice { --text: #1c2330; --quiet: #5d6778; --page: #ffffff; --head: #f1f3f7; --line: #dfe3ea; --bar: #d1621d;
  --note: #fdf3ea; font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); padding: 1rem 1.5rem; }
@media (prefers-color-scheme: dark) { .fastact-advice { --text: #e4e8ef; --quiet: #98a2b3; --page: #14181f; --head: #1f2530;
  --line: #2d3542; --bar: #e8894d; --note: #2c2119; } }
.fastact-advice h1 { font-size: 1.5rem; margin: 0 0 .3rem; } .fastact-advice h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
.fastact-advice p { margin: .2rem 0; max-width: 75rem; } .fastact-advice .quiet { color: var(--quiet); }
.fastact-advice table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.fastact-advice th { background: var(--head); text-align: right; } .fastact-advice th:last-child { text-align: left; }
.fastact-advice th, .fastact-advice td { padding: .25rem .7rem; vertical-align: top; border-bottom: 1px solid var(--line); }
.fastact-advice td { text-align: right; white-space: nowrap; }
.fastact-advice td:last-child { text-align: left; white-space: pre-wrap; }
.fastact-advice .source td { border: 0; padding: 0 .5rem; font: 13px/1.5 ui-monospace, monospace; }
.fastact-advice .source td:last-child { white-space: pre; }
.fastact-advice .source td.track { width: 9rem; padding: 0; vertical-align: middle; }
.fastact-advice .bar { display: block; height: .8em; background: var(--bar); border-radius: 2px; min-width: 1px; }
.fastact-advice .source .note td { background: var(--note); color: var(--quiet); white-space: pre-wrap; }
.fastact-advice code { font: 13px/1.5 ui-monospace, monospace; font-weight: 600; }
"""


def page(found: Findings) -> str:
    """The page."""
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fastact advise: {escape(found.program)}</title>
<style>body {{ margin: 0; }}</style>
<body>
{body(found)}
</body>
</html>
"""


def body(found: Findings) -> str:
    """What is between the page's head and its end: a notebook shows it as it is."""
    told = "".join(f"<p{' class=quiet' * bool(i)}>{escape(line)}</p>\n" for i, line in enumerate(summary(found)))
    parts = "\n".join(map(_table, tables(found, 100)))
    sources = "\n".join(_source(found, file) for file in found.texts)
    return f"""<div class="fastact-advice">
<style>{STYLE}</style>
<h1>fastact advise</h1>
{told}{parts}
{sources}
</div>"""


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.head)
    rows = "\n".join(f"<tr>{''.join(map(_cell, row[:-1]))}{_last(row[-1])}</tr>" for row in table.rows)
    note = f"<p class=quiet>{escape(table.note)}</p>" if table.note else ""
    return f"<h2>{escape(table.title)}</h2>\n<table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>\n{note}"


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _last(text: str) -> str:
    code, _, rest = text.partition("\n")
    return f"<td><code>{escape(code)}</code>{escape(chr(10) + rest) if rest else ''}</td>"


def _source(found: Findings, file: str) -> str:
    """A file with the time of each line; one without any is left out."""
    known = {line.number: line for line in found.lines if line.file == file}
    if not known:
        return ""
    longest = max(line.seconds for line in known.values()) or 1.0
    rows = []
    for number, code in enumerate(found.texts[file], 1):
        line = known.get(number, Line(file, number))
        bar = f'<span class="bar" style="width: {line.seconds / longest:.1%}"></span>' if line.seconds else ""
        time = f"{seconds(line.seconds)} {found.share(line.seconds):.0%}" if line.seconds else ""
        rows.append(
            f"<tr><td class=quiet>{number}</td><td>{time}</td><td class=track>{bar}</td><td>{line.dtype}</td>"
            f"<td>{escape(code)}</td></tr>"
        )
        rows += [f"<tr class=note><td colspan=4></td><td>{escape(note)}</td></tr>" for note in line.notes]
    body_of_table = "\n".join(rows)
    return f"<h2>{escape(shown_path(file))}</h2>\n<table class=source><tbody>\n{body_of_table}\n</tbody></table>"
