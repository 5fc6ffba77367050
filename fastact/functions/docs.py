"""What the docstrings of several functions have in common."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from fastact.functions.doc_pieces import PIECES

Function = TypeVar("Function", bound=Callable[..., object])

ENDINGS = ("", "_with_grad", "_with_grad_hess")
"""What is appended to a loss's name: of the loss alone, with its gradient, and with the diagonal of its Hessian as well."""

WHAT = {
    "_with_grad": "`{}` and its gradient with respect to `input`, in one pass.",
    "_with_grad_hess": "`{}`, its gradient, and the diagonal of its Hessian with respect to `input`, in one pass.",
}
"""The first line of the docstring of a function that returns derivatives of a loss."""

RAISES = (
    "ValueError",
    "    If an argument has a shape or value that is not allowed. Nothing has been written then.",
    "TypeError",
    "    If an argument has a type or dtype that is not allowed.",
)
"""Of all losses that are built from records."""


def options_described(options: Mapping[str, Any]) -> Iterator[str]:
    """Lines on the numbers that a loss takes."""
    for name, option in options.items():
        yield f"{name} : {type(option.default).__name__}, default {option.default!r}"
        yield f"    {option.meaning}"


def outputs_described(derivatives: int, may_be: str) -> Iterator[str]:
    """Lines on the arguments that only functions with so many derivatives take; ``may_be`` says what `out` may be."""
    if derivatives:
        yield "upstream : float or array_like, optional"
        yield "    The gradient with respect to the loss, of its shape; 1 by default."
        of_both = " and of the second derivative, a tuple of two" * (derivatives > 1)
        yield f"out : {'tuple of ndarray or None' if of_both else 'ndarray'}, optional"
        yield f"    For the gradient{of_both}, with the shape and dtype of `input`; may be {may_be}."


HESS = ("hess : ndarray", "    Likewise: the second derivatives, as boosting libraries ask for them.")
"""Lines on the last result of a function with two derivatives."""


def numpydoc(summary: str, sections: Mapping[str, Iterable[str]]) -> str:
    """A docstring of a summary and of sections, the lines of each by its title; those without lines are left out."""
    lines = [summary, ""]
    for title, section in sections.items():
        shown = list(section)
        lines += [title, "-" * len(title), *shown, ""] if shown else []
    return "\n".join(lines)


def as_loss(function: Function, name: str, doc: str, defaults: Mapping[str, Any]) -> Function:
    """Name and describe a function of ``input``, ``target`` and keyword arguments with these defaults."""
    both = [inspect.Parameter(own, inspect.Parameter.POSITIONAL_OR_KEYWORD) for own in ("input", "target")]
    named = [inspect.Parameter(own, inspect.Parameter.KEYWORD_ONLY, default=value) for own, value in defaults.items()]
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    function.__signature__ = inspect.Signature([*both, *named])  # type: ignore[attr-defined]
    return function


def documented(function: Function, pieces: Mapping[str, str] = PIECES) -> Function:
    """Fill in the pieces that a docstring names."""
    lines = []
    for line in (function.__doc__ or "").splitlines():
        name = line.strip()
        if name.startswith("<") and name.endswith(">"):
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + piece for piece in pieces[name[1:-1]].splitlines()]
        else:
            lines.append(line)
    function.__doc__ = "\n".join(lines) or None
    return function


def with_keywords(**keywords: object) -> Callable[[Function], Function]:
    """Show keyword arguments, by their defaults, that a function takes among its last, ``**ufunc_arguments``.

    Without them a call is as quick as if there were none.
    """

    def shown(function: Function) -> Function:
        *first, last = inspect.signature(function).parameters.values()
        more = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=value) for n, value in keywords.items()]
        function.__signature__ = inspect.Signature([*first, *more, last])  # type: ignore[attr-defined]
        return function

    return shown
