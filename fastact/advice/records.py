"""What is known of a program's operations: where each stands, how often it ran, on what, and how long."""

import ast
from dataclasses import dataclass, field
from typing import Any

Position = tuple[int, int, int, int]
"""First line, first column, last line, last column, as syntax trees have them."""


@dataclass
class Sample:
    """The calls of an operation whose operands were of the same kinds."""

    codes: tuple[str, ...]
    """Of the operands, as `recorder` writes them."""
    result: str
    calls: float = 0.0
    seconds: float = 0.0
    shapes: tuple[Any, ...] = ()
    """Of the largest of these calls; ``None`` for what is no array."""
    result_shape: tuple[int, ...] = ()
    fresh: float = 0.0
    """Bytes of all results in memory of their own."""
    largest: int = -1
    """Bytes of its result."""
    origins: tuple[int | None, ...] = ()
    """The sites that made the operands, where known."""
    tainted: set[int] = field(default_factory=set)
    """The promotions that its operands stem from."""


@dataclass
class Site:
    """A place where a program computes."""

    number: int
    file: str
    kind: str
    """``binop``, ``unary``, ``compare``, ``call``, ``item``, ``augmented`` or ``store``."""
    position: Position
    unit: int
    operator: type[ast.AST] | None = None
    calls: float = 0.0
    seconds: float = 0.0
    fresh: float = 0.0
    function: Any = None
    """What a call called last, if it was nothing of the program's own; of a method, its name."""
    samples: dict[tuple[Any, ...], Sample] = field(default_factory=dict)
    downstream: float = 0.0
    """Of a promotion: the seconds of all operations on arrays that stem from it, its own included."""

    @property
    def line(self) -> int:
        """Its first line."""
        return self.position[0]


@dataclass
class Unit:
    """A function's or a loop's body, or what a comprehension evaluates for each element: watched as a whole, or not."""

    number: int
    parent: int
    """The unit around it in the same function; -1 for none."""
    sites: list[int] = field(default_factory=list)
    passes: int = 0
    every: int = 1
    """Of so many passes one is watched."""


@dataclass
class Source:
    """A file of the program, or a cell of a notebook."""

    file: str
    text: str
    tree: ast.Module
    sites: dict[tuple[str, Position], int] = field(default_factory=dict)


def position(node: Any) -> Position:
    """Where a node of a syntax tree stands."""
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset
