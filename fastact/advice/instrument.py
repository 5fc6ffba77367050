"""A program's syntax tree with hooks around its operations.

``a + b`` becomes ``leave(7, left(7, a) + right(7, b))``: the hooks hand on what they are given, and the sum is still computed by
the program's own frame. Names are builtins, so that the program's namespaces stay as they are. The body of a function or a loop
is there twice, with hooks and without: ``if gates[3](): ... else: ...``, and a gate decides which of them each pass takes.
"""

import ast
from collections.abc import Callable, Sequence
from typing import Any, cast

from .records import Site, Source, Unit, position

PREFIX = "_fastact_"
"""Of one underscore: names of two would be mangled in classes."""

COMPILERS = ("jit", "vectorize", "elementwise", "numba", "cuda", "stencil", "cfunc", "triton", "compile")
"""What compiles a function has one of these in its name, and takes no function with hooks in it."""
UNSEEN = {
    *("super", "print", "len", "range", "isinstance", "issubclass", "locals", "globals", "vars", "dir", "eval", "exec"),
    *(
        "getattr",
        "setattr",
        "hasattr",
        "enumerate",
        "zip",
        "type",
        "id",
        "repr",
        "str",
        "open",
        "input",
        "iter",
        "next",
    ),
    *("callable", "format", "chr", "ord", "dict", "set", "list", "tuple", "int", "bool", "bytes", "property", "slice"),
}
"""Functions of Python's own whose calls compute no arrays."""
Body = list[ast.stmt]


class Instrumenter:
    """Rewrites the tree of one file; its sites and units are numbered on from those of files before it."""

    def __init__(self, source: Source, sites: list[Site], units: list[Unit]) -> None:
        self.source, self.sites, self.units = source, sites, units
        self.unit = -1
        self.compiled = _compiled_names(source.tree)

    def module(self) -> ast.Module:
        """The tree to compile; the source's own stays as it is."""
        tree = ast.parse(self.source.text)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                _hoist_scopes(node)
        body = self._statements([x for x in tree.body if not isinstance(x, ast.Global | ast.Nonlocal)])
        return ast.Module(body, tree.type_ignores)

    # Statements.

    def _statements(self, body: Sequence[ast.stmt]) -> Body:
        return [new for statement in body for new in self._statement(statement)]

    def _statement(self, node: ast.stmt) -> Body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return [self._function(node)]
            case ast.For() | ast.AsyncFor():
                parts = {"iter": self._expression(node.iter), "body": self._twice(node.body)}
                return [_changed(node, **parts, orelse=self._statements(node.orelse))]
            case ast.While():
                unit = self._enter_unit()
                test = self._choice(unit, self._expression(node.test), node.test)
                body = self._statements(node.body)
                self._leave_unit(unit)
                body = self._gated(unit, body, node.body)
                return [_changed(node, test=test, body=body, orelse=self._statements(node.orelse))]
            case ast.ClassDef():
                outer, self.unit = self.unit, -1
                changed = _changed(node, body=self._statements(node.body))
                self.unit = outer
                return [changed]
            case ast.AnnAssign():
                return [_changed(node, value=node.value and self._expression(node.value))]
            case ast.AugAssign():
                return self._augmented(node)
            case ast.Assign(targets=[ast.Subscript()]):
                return self._store(node)
            case _ if hasattr(ast, "TypeAlias") and isinstance(node, ast.TypeAlias):
                return [node]
        return [self._rebuilt(node)]

    def _function(self, node: Any) -> ast.stmt:
        if node.name in self.compiled or any(map(_compiles, node.decorator_list)):
            return cast("ast.stmt", node)
        outer, self.unit = self.unit, -1
        head = 1 if ast.get_docstring(node, clean=False) is not None else 0
        while head < len(node.body) and isinstance(node.body[head], ast.Global | ast.Nonlocal):
            head += 1
        rest = node.body[head:]
        body = [*node.body[:head], *(self._twice(rest) if rest else [])]
        self.unit = outer
        return cast("ast.stmt", _changed(node, body=body))

    def _twice(self, body: Body) -> Body:
        unit = self._enter_unit()
        watched = self._statements(body)
        self._leave_unit(unit)
        return self._gated(unit, watched, body)

    def _gated(self, unit: Unit, watched: Body, plain: Body) -> Body:
        if not unit.sites and not _holds_units(plain):
            return plain
        return [_at(ast.If(_gate(unit, plain[0]), watched, plain), plain[0])]

    def _enter_unit(self) -> Unit:
        unit = Unit(len(self.units), self.unit)
        self.units.append(unit)
        self.unit = unit.number
        return unit

    def _leave_unit(self, unit: Unit) -> None:
        self.unit = unit.parent

    def _augmented(self, node: ast.AugAssign) -> Body:
        site = self._site("augmented", node, type(node.op))
        value = _hook("first", site, self._expression(node.value))
        whole = ast.Name(node.target.id, ast.Load()) if isinstance(node.target, ast.Name) else None
        changed = _changed(node, target=self._target(node.target), value=value)
        return [changed, _done(site, whole or _base(node.target), node)]

    def _store(self, node: ast.Assign) -> Body:
        target = node.targets[0]
        assert isinstance(target, ast.Subscript)
        site = self._site("store", node)
        value = _hook("first", site, self._expression(node.value))
        return [_changed(node, targets=[self._target(target)], value=value), _done(site, _base(target), node)]

    def _target(self, node: Any) -> Any:
        match node:
            case ast.Subscript():
                return _changed(node, value=self._expression(node.value), slice=self._expression(node.slice))
            case ast.Attribute():
                return _changed(node, value=self._expression(node.value))
        return node

    # Expressions.

    def _expression(self, node: Any) -> Any:
        handler: Callable[[Any], Any] | None = getattr(self, f"_of_{type(node).__name__.lower()}", None)
        if handler is not None:
            return handler(node)
        return self._rebuilt(node)

    def _rebuilt(self, node: Any) -> Any:
        """The node with its parts rewritten."""
        if (
            isinstance(node, ast.JoinedStr | ast.pattern | ast.Constant | ast.Name)
            or node.__class__.__name__ == "TemplateStr"
        ):
            return node
        changes: dict[str, Any] = {}
        for name, value in ast.iter_fields(node):
            if name in ("targets", "target", "optional_vars", "annotation", "returns", "pattern"):
                continue
            if isinstance(value, list):
                changes[name] = [new for part in value for new in self._part(part)]
            elif isinstance(value, ast.AST):
                changes[name] = self._part(value)[0]
        return _changed(node, **changes)

    def _part(self, part: Any) -> list[Any]:
        if isinstance(part, ast.stmt):
            return list(self._statement(part))
        if isinstance(part, ast.expr):
            return [self._expression(part)]
        if isinstance(part, ast.ExceptHandler | ast.withitem | ast.match_case | ast.keyword):
            return [self._rebuilt(part)]
        return [part]

    def _of_binop(self, node: ast.BinOp) -> Any:
        if not any(map(_varies, (node.left, node.right))):
            return node
        site = self._site("binop", node, type(node.op))
        left, right = self._expression(node.left), self._expression(node.right)
        return _hook("leave", site, _changed(node, left=_hook("left", site, left), right=_hook("right", site, right)))

    def _of_unaryop(self, node: ast.UnaryOp) -> Any:
        if not _varies(node.operand) or isinstance(node.op, ast.Not | ast.UAdd):
            return self._rebuilt(node)
        site = self._site("unary", node, type(node.op))
        return _hook("leave", site, _changed(node, operand=_hook("first", site, self._expression(node.operand))))

    def _of_compare(self, node: ast.Compare) -> Any:
        if len(node.ops) > 1 or isinstance(node.ops[0], ast.Is | ast.IsNot | ast.In | ast.NotIn):
            return self._rebuilt(node)
        site = self._site("compare", node, type(node.ops[0]))
        left, right = self._expression(node.left), self._expression(node.comparators[0])
        return _hook(
            "leave", site, _changed(node, left=_hook("left", site, left), comparators=[_hook("right", site, right)])
        )

    def _of_subscript(self, node: ast.Subscript) -> Any:
        index = node.slice
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        if isinstance(node.ctx, ast.Load) and not all(isinstance(x, ast.Slice) or not _varies(x) for x in parts):
            site = self._site("item", node)
            if isinstance(index, ast.Tuple):
                index = _changed(index, elts=[_as_object(self._expression(x)) for x in parts])
            else:
                index = self._expression(index)
            value = _hook("left", site, self._expression(node.value))
            return _hook("leave", site, _changed(node, value=value, slice=_hook("right", site, index)))
        return self._rebuilt(node)

    def _of_call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Name) and node.func.id in UNSEEN:
            return self._rebuilt(node)
        if _compiles(node.func):
            return node
        site = self._site("call", node)
        args, keywords = list(map(self._expression, node.args)), [self._rebuilt(keyword) for keyword in node.keywords]
        args = [_argument(site, arg) for arg in args]
        keywords = [_changed(keyword, value=_hook("operand", site, keyword.value)) for keyword in keywords]
        if keywords:
            last: Any = keywords[-1].value
            last.func.id = f"{PREFIX}right"
        elif args:
            last = args[-1].value if isinstance(args[-1], ast.Starred) else args[-1]
            last.func.id = f"{PREFIX}right"
        function = _hook("function" if args or keywords else "lone_function", site, self._expression(node.func))
        return _hook("leave", site, _changed(node, func=function, args=args, keywords=keywords))

    def _of_lambda(self, node: ast.Lambda) -> Any:
        outer, self.unit = self.unit, -1
        body = self._repeated(node.body)
        self.unit = outer
        return _changed(node, body=body)

    def _of_listcomp(self, node: Any) -> Any:
        return _changed(node, elt=self._repeated(node.elt), generators=self._generators(node))

    _of_setcomp = _of_generatorexp = _of_listcomp

    def _of_dictcomp(self, node: ast.DictComp) -> Any:
        return _changed(node, value=self._repeated(node.value), generators=self._generators(node))

    def _generators(self, node: Any) -> Any:
        first, *others = node.generators
        return [_changed(first, iter=self._expression(first.iter)), *others]

    def _repeated(self, node: Any) -> Any:
        """An expression that is evaluated many times."""
        unit = self._enter_unit()
        watched = self._expression(node)
        self._leave_unit(unit)
        return self._choice(unit, watched, node)

    def _choice(self, unit: Unit, watched: Any, plain: Any) -> Any:
        return _at(ast.IfExp(_gate(unit, plain), watched, plain), plain) if unit.sites else plain

    def _site(self, kind: str, node: Any, operator: type[ast.AST] | None = None) -> Site:
        site = Site(len(self.sites), self.source.file, kind, position(node), self.unit, operator)
        self.sites.append(site)
        self.source.sites[kind, site.position] = site.number
        if self.unit >= 0:
            self.units[self.unit].sites.append(site.number)
        return site


def _at(new: Any, node: Any) -> Any:
    """The new node and those in it that have no place yet, at the place of another."""
    for inner in ast.walk(new):
        if not hasattr(inner, "lineno"):
            ast.copy_location(inner, node)
    return new


def _changed(node: Any, **changes: Any) -> Any:
    new = type(node)(**{**dict(ast.iter_fields(node)), **changes})
    return ast.copy_location(new, node)


def _name(name: str, node: Any) -> Any:
    return ast.copy_location(ast.Name(f"{PREFIX}{name}", ast.Load()), node)


def _hook(name: str, site: Site, value: Any) -> Any:
    number = ast.copy_location(ast.Constant(site.number), value)
    return ast.copy_location(ast.Call(_name(name, value), [number, value], []), value)


def _argument(site: Site, arg: Any) -> Any:
    if isinstance(arg, ast.Starred):
        return _changed(arg, value=_hook("operand", site, arg.value))
    return _hook("operand", site, arg)


def _done(site: Site, target: Any, node: Any) -> Any:
    """What follows a statement that writes to an array."""
    target = ast.Constant(None) if target is None else target
    return _at(ast.Expr(_hook("done", site, ast.copy_location(target, node))), node)


def _base(target: Any) -> Any:
    """The name of the array that is written to; of anything longer none, since to read it again might have effects."""
    if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
        return ast.Name(target.value.id, ast.Load())
    return None


def _gate(unit: Unit, node: Any) -> Any:
    gate = ast.Subscript(ast.Name(f"{PREFIX}gates", ast.Load()), ast.Constant(unit.number), ast.Load())
    return _at(ast.Call(gate, [], []), node)


def _as_object(node: Any) -> Any:
    """A slice among indices as the object that it stands for."""
    if not isinstance(node, ast.Slice):
        return node
    bounds = [bound or ast.Constant(None) for bound in (node.lower, node.upper, node.step)]
    return _at(ast.Call(_name("slice", node), bounds, []), node)


def _varies(node: Any) -> bool:
    """Whether an expression is more than numbers written out."""
    return not all(
        isinstance(x, ast.Constant | ast.UnaryOp | ast.BinOp | ast.operator | ast.unaryop) for x in ast.walk(node)
    )


def _holds_units(body: Body) -> bool:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.For, ast.AsyncFor, ast.While, ast.Lambda, ast.comprehension)
    return any(isinstance(node, kinds) for statement in body for node in ast.walk(statement))


def _hoist_scopes(function: Any) -> None:
    """Put what is declared global or nonlocal at the top, once: each body is there twice, and may declare nothing after a use."""
    found: list[ast.stmt] = []
    _take_scopes(function, found)
    head = 1 if ast.get_docstring(function, clean=False) is not None else 0
    function.body = [*function.body[:head], *found, *function.body[head:]]


def _take_scopes(node: Any, found: list[ast.stmt]) -> None:
    for _, value in ast.iter_fields(node):
        if not isinstance(value, list):
            continue
        for i, part in enumerate(value):
            if isinstance(part, ast.Global | ast.Nonlocal):
                found.append(part)
                value[i] = _at(ast.Pass(), part)
            elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            elif isinstance(part, ast.stmt | ast.ExceptHandler | ast.match_case):
                _take_scopes(part, found)


def _compiles(node: ast.expr) -> bool:
    """Whether an expression names what compiles functions."""
    text = ast.unparse(node).lower()
    return len(text) < 200 and any(word in text for word in COMPILERS)


def _compiled_names(tree: ast.Module) -> set[str]:
    """Functions that something compiles, and those that they call."""
    functions = {x.name: x for x in ast.walk(tree) if isinstance(x, ast.FunctionDef)}
    names = {name for name, node in functions.items() if any(map(_compiles, node.decorator_list))}
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _compiles(call.func):
            names |= {arg.id for arg in call.args if isinstance(arg, ast.Name)}
    found: set[str] = set()
    while names:
        name = names.pop()
        found.add(name)
        inside = ast.walk(functions[name]) if name in functions else ()
        called = {x.id for x in inside if isinstance(x, ast.Name) and x.id in functions}
        names |= called - found
    return found
