"""Reads a file's statements into forms, in which names stand for what they were given last.

Within a straight line of statements a name is replaced by its expression. What a loop or a branch assigns is unknown before and
after it. Arrays that a call changes behind its name are not followed, but for ``out=``.
"""

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import forms
from .forms import MOST_NODES, Form
from .records import Site, Source, position


@dataclass
class Read:
    """A form, and the statement that it stands in."""

    form: Form
    line: int
    target: str = ""
    """The name that it is assigned to."""


class Reader:
    """Reads one file."""

    def __init__(self, source: Source, sites: Sequence[Site], follow: bool = True) -> None:
        self.source, self.sites = source, sites
        self.follow = follow
        """Whether names stand for more than numbers."""
        self.env: dict[str, Form] = {}
        self.versions: dict[str, int] = {}
        self.found: list[Read] = []
        self.constants: dict[str, Form] = {}

    def read(self) -> list[Read]:
        """All statements of the file."""
        self._body(self.source.tree.body, top=True)
        return self.found

    # Statements.

    def _body(self, body: Sequence[ast.stmt], top: bool = False) -> None:
        later: list[Any] = []
        for statement in body:
            if top and isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                later.append(statement)
            else:
                self._statement(statement)
        if top:
            self.constants = {name: form for name, form in self.env.items() if form.head == "const"}
        for statement in later:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                outer = self.env, self.versions
                self.env, self.versions = dict(self.constants), {}
                self._forget(_arguments(node))
                self._body(node.body)
                self.env, self.versions = outer
            case ast.ClassDef():
                self._body(node.body)
            case ast.Assign(targets=[target]):
                self._assign(target, node.value, node)
            case ast.AnnAssign(value=ast.expr() as value):
                self._assign(node.target, value, node)
            case ast.AugAssign():
                self._augment(node)
            case ast.Expr() | ast.Return():
                if node.value is not None:
                    self._note(self._form(node.value), node)
                    self._written_by(node.value)
            case ast.For() | ast.AsyncFor() | ast.While():
                changed = _assigned([*node.body, *([] if isinstance(node, ast.While) else [node.target])])
                self._note(self._form(node.test if isinstance(node, ast.While) else node.iter), node)
                self._forget(changed)
                self._branch(node.body)
                self._branch(node.orelse)
                self._forget(changed)
            case ast.If():
                self._note(self._form(node.test), node)
                self._branch(node.body)
                self._branch(node.orelse)
                self._forget(_assigned([*node.body, *node.orelse]))
            case ast.With() | ast.AsyncWith():
                self._body(node.body)
            case ast.Try():
                self._branch(node.body)
                for handler in node.handlers:
                    self._branch(handler.body)
                self._branch(node.finalbody)
                self._forget(_assigned([node]))
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self._note(self._form(child), node)
                self._forget(_assigned([node]))

    def _branch(self, body: Sequence[ast.stmt]) -> None:
        env = dict(self.env)
        self._body(body)
        self.env = env

    def _assign(self, target: ast.expr, value: ast.expr, node: ast.stmt) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            values = [self._form(part) for part in value.elts]
            for part, form in zip(target.elts, values, strict=True):
                self._set(part, form, node)
            return
        form = self._form(value)
        self._written_by(value)
        if isinstance(target, ast.Subscript) and not _is_key(target):
            site = self.source.sites.get(("store", position(node)))
            index = self._form(target.slice)
            self._note(Form("store", (self._form(target.value), index, form), site=site), node)
            self._forget([ast.unparse(target.value)])
            return
        self._set(target, form, node)

    def _set(self, target: ast.expr, form: Form, node: ast.stmt) -> None:
        if isinstance(target, ast.Starred | ast.Tuple | ast.List):
            self._note(form, node)
            self._forget(_assigned([target]))
            return
        key = ast.unparse(target)
        self._note(form, node, key)
        self._keep(key, form)

    def _keep(self, key: str, form: Form) -> None:
        """Let a name stand for an expression from now on."""
        self._forget([key])
        if form.size <= MOST_NODES and (self.follow or form.head == "const"):
            self.env[key] = form

    def _augment(self, node: ast.AugAssign) -> None:
        site = self.source.sites.get(("augmented", position(node)))
        value = self._form(node.value)
        if isinstance(node.target, ast.Subscript) and not _is_key(node.target):
            head = {ast.Sub: "store_sub", ast.Add: "store_add"}.get(type(node.op), "store_other")
            index = self._form(node.target.slice)
            self._note(Form(head, (self._form(node.target.value), index, value), site=site), node)
            self._forget([ast.unparse(node.target.value)])
            return
        before = self._load(node.target)
        key = ast.unparse(node.target)
        operator = forms.AST_OPERATORS.get(type(node.op))
        after = forms.OPERATORS[operator](before, value, site=site) if operator else None
        if operator in ("subtract", "add"):
            step = value if operator == "subtract" else forms.negative(value)
            self._note(Form("step", (before, step), site=site), node, key)
        elif after is not None:
            self._note(after, node, key)
        self._forget([key])
        if after is not None:
            self._keep(key, after)

    def _written_by(self, value: ast.expr) -> None:
        """What a call writes to its ``out=`` is from then on what that name stands for."""
        if isinstance(value, ast.Call):
            for keyword in value.keywords:
                if keyword.arg == "out" and isinstance(keyword.value, ast.Name):
                    self._keep(keyword.value.id, self._form(value))

    def _note(self, form: Form, node: ast.stmt, target: str = "") -> None:
        self.found.append(Read(form, node.lineno, target))

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self.versions[name] = self.versions.get(name, 0) + 1
            for key in [
                key for key in self.env if key == name or key.startswith((f"{name}.", f"{name}[")) or f"[{name}]" in key
            ]:
                del self.env[key]

    # Expressions.

    def _load(self, node: Any) -> Form:
        key = ast.unparse(node)
        if key in self.env:
            return self.env[key]
        root = node
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        name = root.id if isinstance(root, ast.Name) else ""
        version = (self.versions.get(key, 0), self.versions.get(name, 0))
        return Form("name", value=(key, version), text=key)

    def _form(self, node: Any) -> Form:
        found = self._raw(node)
        if found.size > MOST_NODES:
            return Form("name", value=(ast.unparse(node), id(node)), site=found.site, text=ast.unparse(node))
        return found

    def _raw(self, node: Any) -> Form:
        match node:
            case ast.Constant(value=bool() | None):
                return Form("literal", value=repr(node.value), text=repr(node.value))
            case ast.Constant(value=int() | float() as number):
                return forms.const(number)
            case ast.Name():
                return self._load(node)
            case ast.NamedExpr(target=ast.Name(id=name)):
                form = self._form(node.value)
                self._keep(name, form)
                return form
            case ast.Attribute():
                return forms.const(3.141592653589793) if node.attr == "pi" else self._attribute(node)
            case ast.BinOp() if type(node.op) in forms.AST_OPERATORS:
                parts = self._form(node.left), self._form(node.right)
                operator = forms.OPERATORS[forms.AST_OPERATORS[type(node.op)]]
                try:
                    return operator(*parts, site=self._site("binop", node))
                except (ArithmeticError, TypeError, ValueError):
                    pass
            case ast.UnaryOp(op=ast.USub()):
                return forms.negative(self._form(node.operand), self._site("unary", node))
            case ast.UnaryOp(op=ast.Invert()):
                return Form("invert", (self._form(node.operand),), site=self._site("unary", node))
            case ast.Compare(ops=[operator_], comparators=[right]):
                parts = self._form(node.left), self._form(right)
                return forms.comparison(type(operator_).__name__, *parts, site=self._site("compare", node))
            case ast.Subscript():
                return self._item(node)
            case ast.Tuple():
                return Form("tuple", tuple(map(self._form, node.elts)))
            case ast.Call():
                return self._call(node)
            case ast.IfExp():
                return Form("either", (self._form(node.body), self._form(node.orelse)))
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._note(self._form(child), node if hasattr(node, "lineno") else child)  # type: ignore[arg-type]
        return Form("other", value=ast.dump(node), text=ast.unparse(node) if isinstance(node, ast.expr) else "")

    def _attribute(self, node: ast.Attribute) -> Form:
        inside = self._load(node)
        if inside.head == "name" and not isinstance(node.value, ast.Name):
            return Form("attr", (self._form(node.value),), value=node.attr, text=ast.unparse(node))
        return inside

    def _item(self, node: ast.Subscript) -> Form:
        site = self._site("item", node)
        if _is_column(node.slice):
            return self._form(node.value)
        if _is_key(node) and site is None:
            return self._load(node)
        if _is_key(node) and isinstance(node.value, ast.Name | ast.Attribute):
            loaded = self._load(node)
            if loaded.head != "name":
                return loaded
        return Form("item", (self._form(node.value), self._index(node.slice)), site=site, text=ast.unparse(node))

    def _index(self, node: ast.expr) -> Form:
        if isinstance(node, ast.Slice):
            return Form("slice", value=ast.unparse(node))
        if isinstance(node, ast.Tuple):
            return Form("tuple", tuple(map(self._index, node.elts)))
        return self._form(node)

    def _call(self, node: ast.Call) -> Form:
        number = self._site("call", node)
        args = [self._form(arg) for arg in node.args if not isinstance(arg, ast.Starred)]
        keywords = {keyword.arg: self._form(keyword.value) for keyword in node.keywords if keyword.arg}
        text = ast.unparse(node)
        name = forms.name_of(self.sites[number].function) if number is not None else ""
        if number is None and isinstance(node.func, ast.Name) and node.func.id in ("range", "len", "abs"):
            name = {"range": "arange"}.get(node.func.id, node.func.id)
        if isinstance(node.func, ast.Name) and node.func.id in ("float", "int") and len(args) == 1:
            return args[0]
        if not name:
            return Form("called", tuple(args), value=ast.unparse(node.func), site=number, text=text)
        called = self.sites[number].function if number is not None else None
        method = isinstance(called, str) and "." not in called
        texts = {str(i + method): ast.unparse(arg) for i, arg in enumerate(node.args)}
        texts |= {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg}
        if method and isinstance(node.func, ast.Attribute):
            args.insert(0, self._form(node.func.value))
        elif "x" in keywords and not args:
            args = [keywords.pop("x")]
        try:
            return forms.function(name, args, keywords, number, texts)
        except (ArithmeticError, TypeError, ValueError):
            return Form("called", tuple(args), value=name, site=number, text=text)

    def _site(self, kind: str, node: Any) -> int | None:
        return self.source.sites.get((kind, position(node)))


def _is_key(target: ast.Subscript) -> bool:
    """Whether an item is one of a dictionary or a list, by name: what is read again is what was written."""
    return isinstance(target.slice, ast.Constant | ast.Name | ast.JoinedStr | ast.Attribute | ast.BinOp) and not (
        isinstance(target.slice, ast.Constant) and target.slice.value is None
    )


def _is_column(index: ast.expr) -> bool:
    """Whether an index only adds axes."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    new = [x for x in parts if (isinstance(x, ast.Constant) and x.value is None) or _named(x, "newaxis")]
    whole = [x for x in parts if isinstance(x, ast.Slice) and not (x.lower or x.upper or x.step)]
    ellipses = [x for x in parts if isinstance(x, ast.Constant) and x.value is ...]
    return bool(new) and len(new) + len(whole) + len(ellipses) == len(parts)


def _named(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == name


def _arguments(node: Any) -> list[str]:
    given = node.args
    return [arg.arg for arg in [*given.posonlyargs, *given.args, *given.kwonlyargs]]


def _assigned(nodes: Iterable[ast.AST]) -> list[str]:
    """The names that statements give a new meaning, or whose arrays they write to."""
    found: Mapping[str, None] = {}
    for node in nodes:
        for inner in ast.walk(node):
            targets: list[Any] = []
            if isinstance(inner, ast.Name | ast.Attribute | ast.Subscript) and isinstance(
                inner.ctx, ast.Store | ast.Del
            ):
                targets = [inner]
                if isinstance(inner, ast.Subscript):
                    targets.append(inner.value)
            elif isinstance(inner, ast.keyword) and inner.arg == "out":
                targets = [inner.value]
            found |= {ast.unparse(target): None for target in targets}  # type: ignore[operator]
    return list(found)
