"""Expressions in a normal form, in which one thing that users write in many ways is one thing.

Differences are sums with a factor of -1, quotients are products with an inverse, ``x**2``, ``np.square(x)`` and ``x * x`` are a
product, ``np.sum(x, 1)`` and ``x.sum(axis=1, keepdims=True)`` are a sum, and a column ``m[:, None]`` is ``m``. Numbers are
computed. Only the functions that a program did call count, whatever name it has for them.
"""

import ast
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

MOST_NODES = 160


Marks = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Form:
    """A node: what it is, and of what. Two that say the same are equal, wherever they stand."""

    head: str
    args: tuple["Form", ...] = ()
    value: Any = None
    site: int | None = None
    """The site that computes it, if one does."""
    axis: str = ""
    """Of a reduction, as it is written."""
    text: str = ""
    marks: tuple[int, ...] = ()
    """More sites that compute it, of parts that have become one with it."""
    size: int = field(init=False)
    key: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", 1 + sum(arg.size for arg in self.args))
        keys = [arg.key for arg in self.args]
        keys = sorted(keys) if self.head in NARY else keys
        value = f"{self.value:.6g}" if self.head == "const" else self.value
        object.__setattr__(self, "key", hash((self.head, tuple(keys), value)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form) and self.key == other.key

    def __hash__(self) -> int:
        return self.key

    def nodes(self) -> Iterator["Form"]:
        """It and all below it."""
        yield self
        for arg in self.args:
            yield from arg.nodes()

    def own_sites(self) -> tuple[int, ...]:
        """The sites that compute it from what is below it."""
        return self.marks if self.site is None else (self.site, *self.marks)

    def sites(self) -> set[int]:
        """The sites that compute it and what is below it."""
        return {site for node in self.nodes() for site in node.own_sites()}


NARY = ("add", "mul")
Where = int | None


def const(value: float) -> Form:
    """A number; those that differ by rounding are the same."""
    try:
        return Form("const", value=float(value) + 0.0, text=f"{value:.6g}")
    except OverflowError:
        return Form("literal", value=value, text="...")


ONE, MINUS_ONE = const(1.0), const(-1.0)


def add(*terms: Form, site: Where = None, marks: Marks = ()) -> Form:
    """A sum, of one level, in which numbers are added up."""
    return _level("add", sum, 0.0, terms, site, marks)


def mul(*factors: Form, site: Where = None, marks: Marks = ()) -> Form:
    """A product, of one level, in which numbers are multiplied."""
    return _level("mul", math.prod, 1.0, factors, site, marks)


def _level(head: str, total: Any, neutral: float, parts: Sequence[Form], site: Where, marks: Marks) -> Form:
    flat = [inner for part in parts for inner in (part.args if part.head == head else (part,))]
    marks = (*marks, *(number for part in parts if part.head == head for number in part.own_sites()))
    number = const(total(part.value for part in flat if part.head == "const"))
    rest = [part for part in flat if part.head != "const"]
    if not rest:
        return number
    if number.value != neutral:
        rest.append(number)
    if len(rest) > 1:
        return Form(head, tuple(rest), site=site, marks=marks)
    return replace(rest[0], marks=(*rest[0].marks, *marks, *(() if site is None else (site,))))


def negative(x: Form, site: Where = None) -> Form:
    """Minus it."""
    return mul(MINUS_ONE, x, site=site)


def inverse(x: Form, site: Where = None) -> Form:
    """One over it."""
    if x.head == "const" and x.value:
        return const(1 / x.value)
    if x.head == "mul":
        return mul(*map(inverse, x.args), site=site, marks=x.own_sites())
    if x.head == "inv":
        return x.args[0]
    return Form("inv", (x,), site=site)


def power(x: Form, exponent: Form, site: Where = None) -> Form:
    """A power; of whole numbers a product, of a half a root."""
    if exponent.head == "const":
        n = exponent.value
        if x.head == "const":
            return const(x.value**n)
        if n in (2, 3, 4):
            return mul(*[x] * int(n), site=site)
        if n == 0.5:
            return Form("sqrt", (x,), site=site)
        if n == -0.5:
            return inverse(Form("sqrt", (x,)), site=site)
        if n == -1:
            return inverse(x, site)
    return Form("pow", (x, exponent), site=site)


REDUCTIONS = {"sum": "sum", "max": "max", "amax": "max", "mean": "mean", "var": "var", "std": "std", "min": "min"}
REDUCTIONS |= {"argmax": "argmax", "norm": "norm", "average": "mean", "nansum": "sum"}
SAME = {
    "copy",
    "astype",
    "asarray",
    "array",
    "squeeze",
    "expand_dims",
    "ascontiguousarray",
    "float32",
    "float64",
    "float16",
}
"""Functions that give what they are given, as far as formulas go."""
OPERATORS: dict[str, Callable[..., Form]] = {
    "add": add,
    "subtract": lambda a, b, site=None: add(a, negative(b), site=site),
    "multiply": mul,
    "divide": lambda a, b, site=None: mul(a, inverse(b), site=site),
    "negative": negative,
    "reciprocal": inverse,
    "square": lambda x, site=None: mul(x, x, site=site),
    "power": power,
    "float_power": power,
    "matmul": lambda a, b, site=None: Form("matmul", (a, b), site=site),
    "dot": lambda a, b, site=None: Form("matmul", (a, b), site=site),
    "greater": lambda a, b, site=None: comparison("Gt", a, b, site),
    "less": lambda a, b, site=None: comparison("Lt", a, b, site),
    "greater_equal": lambda a, b, site=None: comparison("GtE", a, b, site),
    "less_equal": lambda a, b, site=None: comparison("LtE", a, b, site),
}
AST_OPERATORS = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "power",
    ast.MatMult: "matmul",
}
TURNED = {"Lt": "Gt", "LtE": "GtE"}


def comparison(name: str, a: Form, b: Form, site: Where = None) -> Form:
    """A comparison; less is greater the other way round."""
    if name in TURNED:
        name, a, b = TURNED[name], b, a
    return Form(name, (a, b), site=site)


def function(name: str, args: Sequence[Form], keywords: dict[str, Form], site: Where, texts: dict[str, str]) -> Form:
    """A call of a function of NumPy's."""
    if name in SAME and args:
        return args[0] if site is None else replace(args[0], marks=(*args[0].marks, site))
    if name == "reshape" and args and _column(args[1:]):
        return args[0]
    if name in REDUCTIONS and args:
        axis = texts.get("axis", texts.get("1", "None"))
        keep = (keywords["weights"],) if "weights" in keywords else ()
        return Form(REDUCTIONS[name], (args[0], *keep), site=site, axis=axis)
    if name in OPERATORS and len(args) in (1, 2):
        try:
            return OPERATORS[name](*args, site=site)
        except (TypeError, ZeroDivisionError, OverflowError):
            pass
    if name in ("sqrt", "exp", "log") and len(args) == 1 and args[0].head == "const" and args[0].value > 0:
        return const(getattr(math, name)(args[0].value))
    if name == "abs":
        name = "absolute"
    if name == "random":
        return Form(name, site=site)
    args = list(args)
    if name in ("maximum", "minimum", "logaddexp") and len(args) == 2 and args[0].head == "const":
        args.reverse()
    shown = ("size", "p", "a_min", "a_max", "min", "max")
    return Form(name, (*args, *(keywords[key] for key in shown if key in keywords)), site=site)


def _column(shape: Sequence[Form]) -> bool:
    """Whether a shape ends in one: a number for each row, to be broadcast."""
    if len(shape) == 1 and shape[0].head == "tuple":
        shape = shape[0].args
    return len(shape) > 1 and shape[-1].head == "const" and shape[-1].value == 1


def name_of(called: Any) -> str:
    """What NumPy or SciPy call a function; empty for others'. A method of arrays is given by its name."""
    if isinstance(called, str):
        owner, _, name = called.rpartition(".")
        if not owner:
            return name
        return DRAWS.get(name, name) if owner in ("RandomState", "Generator") else ""
    if called is abs:
        return "absolute"
    if isinstance(called, np.ufunc):
        own = getattr(np, called.__name__, None) is called or type(called).__module__.startswith("scipy")
        return called.__name__ if own or _is_special(called) else ""
    of: Any = getattr(called, "__self__", None)
    if isinstance(of, np.ufunc):
        return f"{of.__name__}_{called.__name__}"
    module = getattr(called, "__module__", None) or ""
    if module.partition(".")[0] in ("numpy", "scipy", "math"):
        return str(getattr(called, "__name__", ""))
    return ""


def _is_special(called: Any) -> bool:
    special = sys.modules.get("scipy.special")
    return special is not None and getattr(special, called.__name__, None) is called


DRAWS = {"rand": "random", "random_sample": "random", "uniform": "random"}
"""Methods of random generators that draw from an interval."""
