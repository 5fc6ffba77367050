"""Whether a form is of a pattern, and what its letters then stand for."""

import ast
import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from . import forms
from .forms import NARY, Form
from .reading import Reader
from .records import Source

Bindings = dict[str, Form]
ATOMS = ("const", "name", "attr", "literal")


class _Patterns(Reader):
    """Reads a pattern: its functions go by NumPy's names, and statements by those of forms."""

    def _call(self, node: ast.Call) -> Form:
        assert isinstance(node.func, ast.Name)
        args = [self._form(arg) for arg in node.args]
        if node.func.id in ("Eq", "store", "store_sub", "step"):
            return Form(node.func.id, tuple(args))
        return forms.function(node.func.id, args, {}, None, {})

    def _item(self, node: ast.Subscript) -> Form:
        return Form("item", (self._form(node.value), self._index(node.slice)))


@cache
def pattern(text: str) -> Form:
    """The form of a pattern."""
    tree = ast.parse(text)
    reader = _Patterns(Source("", text, tree), [])
    expression = tree.body[0]
    assert isinstance(expression, ast.Expr)
    return reader._form(expression.value)


def match(text: str, form: Form, more: bool = True) -> Bindings | None:
    """What the letters of a pattern stand for in a form, which may have ``more`` terms; ``None`` if it is not of that pattern."""
    found = pattern(text)
    if found.head != form.head:
        return None
    return next(_match(found, form, {}, more), None)


def _match(wanted: Form, form: Form, known: Bindings, whole: bool = False) -> Iterator[Bindings]:
    if wanted.head == "name":
        name: Any = wanted.value[0]
        if name in known:
            if known[name] == form:
                yield known
        elif not name.isupper() or form.head in ATOMS or _small_item(form):
            yield known | {name: form}
        return
    if wanted.head != form.head:
        return
    if wanted.head == "const" and math.isclose(wanted.value, form.value, rel_tol=1e-4, abs_tol=1e-12):
        yield known
        return
    if wanted.value != form.value:
        return
    if wanted.head in NARY:
        yield from _level(list(wanted.args), list(form.args), known, whole, form)
    elif len(wanted.args) == len(form.args):
        yield from _in_turn(wanted.args, form.args, known)


def _in_turn(wanted: Sequence[Form], given: Sequence[Form], known: Bindings) -> Iterator[Bindings]:
    if not wanted:
        yield known
        return
    for found in _match(wanted[0], given[0], known):
        yield from _in_turn(wanted[1:], given[1:], found)


def _level(wanted: list[Form], given: list[Form], known: Bindings, whole: bool, level: Form) -> Iterator[Bindings]:
    """Terms in any order; the last letter takes all that is left over, and at the top something may be."""
    if not wanted:
        if not given or whole:
            yield known
        return
    wanted = _in_order(wanted, known)
    first, rest = wanted[0], wanted[1:]
    if first.head == "name" and first.value[0] not in known and first.value[0].islower() and not rest:
        if given:
            yield known | {first.value[0]: _joined(level.head, given)}
        return
    if first.head == "name" and first.value[0] in known:
        left = _without(given, known[first.value[0]], level.head)
        if left is not None:
            yield from _level(rest, left, known, whole, level)
        return
    for i, one in enumerate(given):
        for found in _match(first, one, known):
            yield from _level(rest, given[:i] + given[i + 1 :], found, whole, level)
    if first.head == "const" and level.head == "mul" and _takes_all(rest, known):
        # The number may be hidden in that of what the letter stands for: -0.1 * z is minus something.
        numbers = [one.value for one in given if one.head == "const"]
        number = forms.const((numbers[0] if numbers else 1.0) / first.value)
        if number.value != 1:
            others = [one for one in given if one.head != "const"]
            yield from _level(rest, [*others, number], known, whole, level)


def _takes_all(rest: Sequence[Form], known: Bindings) -> bool:
    names = [part.value[0] for part in rest if part.head == "name" and part.value[0] not in known]
    return any(name.islower() for name in names)


def _without(given: list[Form], known: Form, head: str) -> list[Form] | None:
    """What is left of terms when those of a known form are taken away; ``None`` if they are not all there."""
    parts = list(known.args) if known.head == head and known not in given else [known]
    left = list(given)
    for part in parts:
        if part in left:
            left.remove(part)
        else:
            return None
    return left


def _in_order(parts: Sequence[Form], known: Bindings) -> list[Form]:
    """What says most, then letters that are known, numbers, and letters for anything last."""

    def rank(part: Form) -> tuple[int, int]:
        if part.head == "const":
            return 2, 0
        if part.head == "name":
            name = part.value[0]
            return (1 if name in known else 3 if name.isupper() else 4), 0
        return 0, -part.size

    return sorted(parts, key=rank)


def _joined(head: str, parts: Sequence[Form]) -> Form:
    return forms.add(*parts) if head == "add" else forms.mul(*parts)


def _small_item(form: Form) -> bool:
    return form.head == "item" and all(arg.head in ATOMS for arg in form.args)
