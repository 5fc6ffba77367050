"""Write ``docs/reference/``: a page for each family of functions and an index, from the records, docstrings and measured errors."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import numpy as np  # noqa: E402
from numpydoc import formula, markdown, signature  # noqa: E402
from pages import DOCS, main, remove_or_check, write_or_check  # noqa: E402

import fastact  # noqa: E402
from fastact import special, table  # noqa: E402
from fastact.functions.elementwise import Op  # noqa: E402
from fastact.functions.op_docs import docstring  # noqa: E402
from fastact.functions.properties import phrases  # noqa: E402
from fastact.functions.record import Function  # noqa: E402
from tests.ulp import load_accuracy  # noqa: E402

REFERENCE = DOCS / "reference"
SPECIAL = "scipy-names"
"""The page of ``fastact.special``."""

HEADER = "<!-- Written by tools/reference_pages.py from the records and docstrings: do not edit. -->"
HOW_TO_READ = """\
Errors are the largest that were found, in units in the last place, and in parentheses what is promised: over all 2^32 float32
inputs, and over float64 samples of every binade ([accuracy](../accuracy.md)). A derivative's are in units of its largest term.
"""
DTYPES = ("float32", "float64")


@dataclass
class Family:
    """The functions of a page."""

    title: str
    ops: list[Op] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    """Those that are no elementwise op."""


def families() -> dict[str, Family]:
    """Every page by name."""
    found: dict[str, Family] = {}
    for record in table.functions().values():
        if record.family not in found:
            headline = (import_module(record.home).__doc__ or "").partition("\n")[0]
            found[record.family] = Family(headline.partition(":")[0].rstrip("."))
        family = found[record.family]
        if record.op is None:
            family.functions.append(record)
        elif record.op not in family.ops:
            family.ops.append(record.op)
    return found


def write(check: bool) -> bool:
    """Write the pages, or check them; whether all are fresh."""
    found = families()
    texts = {page: family_page(family, load_accuracy()) for page, family in found.items()}
    texts[SPECIAL] = special_page(found)
    texts["index"] = index(found)
    fresh = [write_or_check(REFERENCE / f"{page}.md", text, check) for page, text in texts.items()]
    gone = [path for path in REFERENCE.glob("*.md") if path.stem not in texts]
    return all([*fresh, *(remove_or_check(path, check) for path in gone)])


def family_page(family: Family, accuracy: Mapping[str, Any]) -> str:
    """The page of a family."""
    parts = [HEADER, f"# {family.title}"]
    if family.ops:
        parts += [HOW_TO_READ.rstrip(), *(op_section(op, accuracy) for op in family.ops)]
    parts += [function_section(record) for record in family.functions]
    return "\n\n".join(parts) + "\n"


def op_section(op: Op, accuracy: Mapping[str, Any]) -> str:
    """What the record says about an op, its picture and its errors."""
    names = function_names(op)
    parts = [f"## `{op.name}`", op.summary]
    if op.derivative is not None and op.gradients > 1:
        parts[-1] += f" Its backward returns the gradients of {' and '.join(f'`{name}`' for name in op.operands)}."
    parts += ["\n".join(["```python", *(f"fa.{_call(op, name)}" for name in names), "```"]), formula(op.formula)]
    parts += [f"![The graph of {op.name}](../images/{op.name}.svg)", _table(op, names, accuracy)]
    if op.is_activation:
        at = " and ".join(f"`{name}` = {number(value)}" for name, value in op.recorded_at.items())
        said = "; ".join(phrases(op.properties, number))
        parts += [f"[Properties](../choosing.md){f' at {at}' if at else ''}: {said}."]
    if extra := {**op.extra, **op.extra_backward}:
        parts += ["\n".join(f"- `{name}`: {meaning}" for name, meaning in extra.items())]
    if op.notes:
        parts += [op.notes]
    if op.paper:
        parts += [f"Paper: {op.paper}"]
    return "\n\n".join(parts)


def function_names(op: Op) -> list[str]:
    """The public functions of an op."""
    return [op.name, f"{op.name}_backward"][: 1 + (op.derivative is not None)]


def _call(op: Op, name: str) -> str:
    if op.is_ufunc:  # whose operands NumPy calls x1 and x2
        return docstring(op, backward=name != op.name).partition("\n")[0]
    return signature(name, getattr(fastact, name))


def _table(op: Op, names: Sequence[str], accuracy: Mapping[str, Any]) -> str:
    """Limits, kinks and errors: a row for each function of an op."""
    values = zip(op.parameters, op.samples[0], strict=True) if op.arrays > 1 else ()
    at = "".join(f", `{name}` = {number(value)}" for name, value in values)
    head = ["", *(f"at {number(x)}{at}" for x in op.limits), *(["at kinks"] if op.kinks else []), *DTYPES]
    rows = [head, [":--", *["--:"] * (len(head) - 1)]]
    for name in names:
        backward = name != op.name
        limits = op.derivative_limits if backward else op.limits
        kinks = ", ".join(f"{number(value)} at {number(x)}" for x, value in op.kinks.items() if backward)
        promised = (op.promised_ulp(dtype, backward=backward) for dtype in DTYPES)
        errors = [f"{_measured(accuracy, name, dtype)} ({ulp:g})" for dtype, ulp in zip(DTYPES, promised, strict=True)]
        rows.append([f"`{name}`", *map(number, limits.values()), *([kinks] if op.kinks else []), *errors])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _measured(accuracy: Mapping[str, Any], name: str, dtype: str) -> str:
    stored = accuracy.get(name, {}).get(dtype)
    return f"{stored['max_ulp']:.3g}" if stored else "not measured"


def number(y: float) -> str:
    """A number as pages show it."""
    return "NaN" if y != y else f"{y:.6g}".replace("inf", "\N{INFINITY}").replace("-", "\N{MINUS SIGN}")


def function_section(record: Function) -> str:
    """The docstring of a function that is no elementwise op."""
    shown = signature(record.name, record.function)
    return f"## `{record.name}`\n\n```python\nfa.{shown}\n```\n\n{markdown(record.function)}"


def special_page(found: Mapping[str, Family]) -> str:
    """The page of ``fastact.special``: every name of SciPy's, and what it is here."""
    homes = {op.name: f"{page}.md#{op.name}" for page, family in found.items() for op in family.ops}
    headline, *paragraphs = (special.__doc__ or "").strip().split("\n\n")
    example, *rest = (part.replace("``", "`") for part in paragraphs)
    parts = [HEADER, "# SciPy's names", headline.replace("``", "`"), f"```python\n{example}\n```", *rest]
    parts.append("\n".join(f"- [`{name}`](#{name}): {summary_of_special(name)}" for name in special.__all__))
    parts += [special_section(name, homes) for name in special.__all__]
    return "\n\n".join(parts) + "\n"


def summary_of_special(name: str) -> str:
    """A function's summary; of a ufunc it follows the two lines that say how it is called."""
    function = getattr(special, name)
    described = (function.__doc__ or "").split("\n\n")
    return described[2 if isinstance(function, np.ufunc) else 0].strip().replace("\n", " ")


def special_section(name: str, homes: Mapping[str, str]) -> str:
    """A function of ``fastact.special``: a ufunc with a link to the op that it computes, another by its docstring."""
    function = getattr(special, name)
    if not isinstance(function, np.ufunc):
        return f"## `{name}`\n\n```python\nspecial.{signature(name, function)}\n```\n\n{markdown(function)}"
    op = special.op_of(name)
    call = (function.__doc__ or "").split("\n\n")[1].strip()
    shown = f"[`fastact.{op.name}`]({homes[op.name]})"
    which = f"It is {shown}." if name == op.name else f"{shown} under SciPy's name."
    parts = [f"## `{name}`", f"```python\nspecial.{call}\n```", summary_of_special(name), formula(op.formula), which]
    return "\n\n".join([*parts, *([op.notes] if op.notes else [])])


def index(found: Mapping[str, Family]) -> str:
    """What there is, with links."""
    parts = [HEADER, "# Reference", "`import fastact as fa`; every name below is one of `fa`."]
    for page, family in found.items():
        rows = [(f"{page}.md#{name}", name, summary) for name, summary in _summaries(family)]
        listed = "\n".join(f"- [`{name}`]({link}): {summary}" for link, name, summary in rows)
        parts += [f"## [{family.title}]({page}.md)", listed]
    listed = ", ".join(f"[`{name}`]({SPECIAL}.md#{name})" for name in special.__all__)
    parts += [f"## [SciPy's names]({SPECIAL}.md)", f"`from fastact import special`: {listed}."]
    return "\n\n".join(parts) + "\n"


def _summaries(family: Family) -> list[tuple[str, str]]:
    summaries = [(op.name, docstring(op, backward=False).splitlines()[2]) for op in family.ops]
    return summaries + [(record.name, record.summary) for record in family.functions]


if __name__ == "__main__":
    sys.exit(main(__doc__, write))
