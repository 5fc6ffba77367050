"""Imports go down a floor, those inside functions and those for type checkers included, and never in a circle."""

import ast
from pathlib import Path

import pytest

import fastact

PACKAGE = Path(fastact.__file__).parent
FLOORS = (
    ("maths",),
    ("kernels",),
    ("kinds",),
    ("runtime",),
    ("calls",),
    ("functions",),
    (
        "table",
        "in_numba",
        "custom",
        "optim",
        "warm",
        "keeping",
        "reference",
        "special",
        "numpy",
        "acceleration",
        "running",
        "advice",
        "__init__",
    ),
    ("bench",),
    ("cli", "__main__"),
)
"""From the ground up: folders, and modules at the top of the package."""
WITH_NUMBA = {"numba (installed)", "llvmlite (installed)"}


def modules():
    """The syntax tree of every module, by name."""
    paths = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): ast.parse(path.read_text()) for name, path in paths.items()}


def imports(tree, known, home=""):
    """What a module of the package ``home`` imports: names in fastact or the first of others, and whether when it is imported."""
    later = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level < 2
            base = [*(["fastact", home] if node.level else []), *([node.module] if node.module else [])]
            names = [".".join([*base, alias.name]) for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] != "fastact":
                yield f"{parts[0]} (installed)", id(node) not in later  # fastact has a module numpy of its own
                continue
            within = ".".join(parts[1:])
            while within not in known and "." in within:
                within = within.rpartition(".")[0]
            yield (within if within in known else "__init__"), id(node) not in later


@pytest.fixture(scope="module")
def graph():
    trees = modules()
    return {name: set(imports(tree, trees, name.rpartition(".")[0])) for name, tree in trees.items()}


def floor(name):
    """The number of a module's floor."""
    return next(i for i, names in enumerate(FLOORS) if name.partition(".")[0] in names)


def rises(graph):
    """The imports that go up a floor."""
    inside = {(a, b) for a, found in graph.items() for b, _ in found if b in graph}
    return {(a, b) for a, b in inside if floor(a) < floor(b)}


def circles(graph):
    """The modules that come back to themselves."""
    below = {a: {b for b, _ in found if b in graph and b != a} for a, found in graph.items()}
    while leaves := {a for a, found in below.items() if not found}:
        below = {a: found - leaves for a, found in below.items() if a not in leaves}
    return set(below)


def test_every_module_is_on_a_floor(graph):
    known = {name for names in FLOORS for name in names}
    assert {name.partition(".")[0] for name in graph} == known
    assert len(graph) > 80


def test_imports_go_down(graph):
    assert not rises(graph)


def test_there_is_no_circle(graph):
    assert not circles(graph)


def test_a_step_up_and_a_circle_are_found(graph):
    risen = graph | {"maths.simd": graph["maths.simd"] | {("kernels.jit", False)}}
    assert rises(risen) == {("maths.simd", "kernels.jit")}
    assert {"maths.simd", "kernels.jit"} <= circles(risen)
    assert circles(graph | {"maths.exp": {("maths.log", True)}, "maths.log": {("maths.exp", False)}})


@pytest.mark.parametrize(
    "home",
    [
        "maths",
        "kinds",
        "runtime",
        "calls",
        "functions",
        "table",
        "custom",
        "optim",
        "warm",
        "keeping",
        "advice",
        "acceleration",
        "running",
    ],
)
def test_what_needs_no_numba_does_not_import_it(graph, home):
    """Nor do the modules that it imports; what a function imports later is another matter."""
    reached = {name for name in graph if name.partition(".")[0] == home} - COMPILED
    assert reached
    while more := {b for a in reached for b, at_once in graph[a] if at_once and b in graph} - reached:
        reached |= more
    assert not {(a, b) for a in reached for b, at_once in graph[a] if at_once and b == "numba"}


COMPILED = {
    "runtime.allocation",
    "runtime.driver",
    "runtime.failing",
    "runtime.keeper",
    "runtime.system",
    "runtime.team",
}
"""Compiled code on the floor of what runs it: these are imported where something is compiled."""
