"""Cells as a page: one HTML file that needs nothing else, with the conditions and a table."""

import math
from html import escape
from typing import Any

from .measure import Cell
from .report import NOTE, TITLES, conditions, losses, own_time, peers_in, place, quality, ratio, winners
from .results import Result

STYLE = """
:root { color-scheme: light dark; --text: #1c2330; --quiet: #5d6778; --page: #ffffff; --head: #f1f3f7; --line: #dfe3ea;
  --won: #1f8a5b; --lost: #c0392b; --lost-row: #fdf0ee; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ef; --quiet: #98a2b3; --page: #14181f; --head: #1f2530;
  --line: #2d3542; --won: #3fb984; --lost: #f0776a; --lost-row: #33201f; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); margin: 2rem auto;
  max-width: 100rem; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; }
p { color: var(--quiet); margin: .2rem 0; max-width: 70rem; }
p.warning { color: var(--lost); font-weight: 600; }
label { display: block; margin: 1.2rem 0 .6rem; }
input { font: inherit; padding: .3rem .6rem; border: 1px solid var(--line); border-radius: .4rem; min-width: 22rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; white-space: nowrap; }
th { position: sticky; top: 0; background: var(--head); font-weight: 600; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }
td small { color: var(--quiet); display: block; line-height: 1.3; }
td:first-child { font-weight: 600; }
tr.lost { background: var(--lost-row); }
b.won { color: var(--won); }
b.lost { color: var(--lost); }
.bar { display: block; height: 3px; margin: 3px 0 1px auto; border-radius: 2px; background: var(--won); }
.bar.lost { background: var(--lost); }
"""

FILTER = """
document.querySelector("input").addEventListener("input", event => {
  const words = event.target.value.toLowerCase().split(/\\s+/);
  for (const row of document.querySelectorAll("tbody tr"))
    row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
});
"""

HEAD = ("op", "direction", "dtype", "size", "variant", "fastact", "GB/s", "ULP", "slower than")
FULL_BAR = 30.0
"""The ratio, or one over it, whose bar is as wide as its cell."""


def page(result: Result) -> str:
    """The page of a result."""
    cells: list[Cell] = result["cells"]
    peers = peers_in(cells)
    head = "".join(f"<th>{escape(text)}</th>" for text in (*HEAD, *(TITLES[peer] for peer in peers), "also"))
    rows = "\n".join(_row(cell, peers) for cell in cells)
    lost = sum(bool(winners(cell)) for cell in cells)
    told = "".join(_paragraph(line) for line in conditions(result))
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fastact bench</title>
<style>{STYLE}</style>
<h1>fastact bench</h1>
{told}
<p>{len(cells)} measurements; in {lost} of them a peer was quicker than fastact.</p>
<p>{escape(NOTE)}</p>
<label>Show only rows with <input type="search" placeholder="such as: gelu backward float32"></label>
<div class="table">
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
<script>{FILTER}</script>
</html>
"""


def _paragraph(line: str) -> str:
    warning = line.startswith("**")
    return f"<p{' class=warning' * warning}>{escape(line.strip('*'))}</p>"


def _row(cell: Cell, peers: list[str]) -> str:
    slower = winners(cell)
    texts = [*map(escape, place(cell)), escape(own_time(cell)), *quality(cell)]
    texts.append(f"<b class=lost>{escape(losses(cell))}</b>" if slower else "")
    texts += [_ratio(cell, peer) for peer in peers]
    others = (f"{name} {cell['ratio'][name][2]:.2f}" for name in cell["ratio"] if name not in TITLES)
    texts.append(f"<small>{'<br>'.join(map(escape, others))}</small>")
    return f"<tr{' class=lost' * bool(slower)}>{''.join(f'<td>{text}</td>' for text in texts)}</tr>"


def _ratio(cell: Cell, peer: str) -> str:
    """The ratio to a peer with a bar, on a logarithmic scale, and below its time and the quartiles."""
    if peer not in cell["ratio"]:
        return ""
    middle: Any = cell["ratio"][peer][2]
    kind = "lost" if middle < 1 else "won"
    width = min(1.0, abs(math.log(middle)) / math.log(FULL_BAR))
    quick, _, quartiles = ratio(cell, peer).partition("  ")
    detail = f"{escape(quick)}<br>{escape(quartiles.partition(' ')[2])}"
    bar = f'<span class="bar {kind}" style="width: {width:.0%}"></span>'
    return f"<b class={kind}>{middle:.2f}</b> {bar}<small>{detail}</small>"
