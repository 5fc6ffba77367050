"""Docstrings in the numpydoc format as Markdown: sections as bold words, parameters as lists, formulas and examples as blocks."""

import inspect
import re
from typing import Any

LISTS = ("Parameters", "Returns", "Raises", "See Also")
SECTION = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", re.MULTILINE)
MATHS = re.compile(r"^\.\. math:: (.*)$", re.MULTILINE)


def markdown(function: Any) -> str:
    """The docstring of a function."""
    summary, *rest = SECTION.split(inspect.getdoc(function) or "")
    sections = zip(rest[::2], rest[1::2], strict=True)
    return "\n\n".join([summary.strip(), *(_section(title, body.strip("\n")) for title, body in sections)])


def formula(latex: str) -> str:
    """A displayed formula."""
    return f"$$\n{latex}\n$$"


def signature(name: str, function: Any) -> str:
    """How a function is called."""
    parameters = inspect.signature(function).parameters.values()
    plain = [parameter.replace(annotation=parameter.empty) for parameter in parameters]
    return f"{name}{inspect.Signature(plain)}"


def _section(title: str, body: str) -> str:
    if title in LISTS:
        return f"**{title}**\n\n{_items(body)}"
    if title == "Examples":
        return f"```python\n{body}\n```"
    if title == "Notes":
        return MATHS.sub(lambda found: formula(found[1]), body)
    return f"**{title}**\n\n{body}"


def _items(body: str) -> str:
    """A list of what is defined in a section: a name and type, then its meaning, indented."""
    items = []
    for line in body.splitlines():
        if not line.startswith(" "):
            name, colon, kind = line.partition(" : ")
            items.append(f"- `{name}`{': ' * bool(colon)}{kind}")
        else:
            items.append(f"  {line.strip()}")
    return "\n".join(items)
