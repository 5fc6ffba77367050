"""Bring your own: a scalar function becomes the same kind of ufunc as the ones that ship."""

import inspect
from collections.abc import Callable
from typing import Any, overload

from fastact.engine.ufunc import Kernel, attribute_name, make_ufunc
from fastact.registry import with_parameters
from fastact.scalar import scalar


@overload
def elementwise(forward: Callable[..., Any], /) -> Any: ...
@overload
def elementwise(
    *, derivative: Callable[..., Any] | None = None, cost: float = 1.0
) -> Callable[[Callable[..., Any]], Any]: ...
def elementwise(
    forward: Callable[..., Any] | None = None,
    /,
    *,
    derivative: Callable[..., Any] | None = None,
    cost: float = 1.0,
) -> Any:
    """Turn a scalar function into a ufunc: compiled on first call for each dtype, vectorised, threaded, cached.

    Parameters
    ----------
    forward : callable
        A function of one scalar and, if it likes, of parameters, with defaults or without. It may call `fastact` ops,
        the ``math`` module and anything that Numba compiles; what calls `fastact` ops only is vectorised.
    derivative : callable, optional
        The derivative with respect to the first argument, with the same parameters. The result then has an attribute
        ``backward``: a function of ``(grad, x, *parameters)`` that returns ``grad`` times the derivative.
    cost : float, default 1.0
        Nanoseconds per float32 element on one thread, roughly: it decides from which size on threads are used.

    Returns
    -------
    numpy.ufunc or function
        A ufunc if `forward` has one argument, else a function with its signature over a ufunc (its ``ufunc`` attribute).

    Raises
    ------
    TypeError
        If `forward` or `derivative` is not a function of the right number of positional arguments.

    Notes
    -----
    A function is kept in the disk cache if it comes from a file, which is then part of the key: an edit anywhere in the file
    compiles it anew, an edit in another file that it imports from does not. A function that Numba cannot compile raises
    `fastact.CompilationError` when it is first called.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact as fa
    >>> @fa.elementwise(derivative=lambda x, beta: fa.sigmoid(beta * x))
    ... def scaled_softplus(x, beta=2.0):
    ...     return fa.softplus(beta * x) / beta
    >>> scaled_softplus(np.float32([-1.0, 0.0, 1.0])).round(4)
    array([0.0635, 0.3466, 1.0635], dtype=float32)
    >>> scaled_softplus.backward(1.0, 0.0)
    np.float64(0.5)
    """
    if forward is None:
        return lambda function: _make(function, derivative, cost)
    return _make(forward, derivative, cost)


def _make(forward: Callable[..., Any], derivative: Callable[..., Any] | None, cost: float) -> Any:
    parameters = _parameters(forward, "forward")
    if derivative is not None and len(_parameters(derivative, "derivative")) != len(parameters):
        raise TypeError(f"derivative must take as many arguments as forward, which takes {len(parameters)}")
    function = _public(forward, forward, parameters[1:], cost, backward=False)
    if derivative is not None:
        function.backward = _public(forward, derivative, parameters[1:], cost, backward=True)
    return function


def _parameters(function: Any, what: str) -> list[inspect.Parameter]:
    if not inspect.isfunction(function):
        raise TypeError(f"{what} must be a Python function, got {type(function).__name__}")
    parameters = list(inspect.signature(function).parameters.values())
    if not 1 <= len(parameters) <= 3 or any(
        p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters
    ):
        raise TypeError(f"{what} must take one to three positional arguments, got {inspect.signature(function)}")
    return parameters


def _public(named_by: Any, formula: Any, parameters: list[inspect.Parameter], cost: float, *, backward: bool) -> Any:
    suffix = "_backward" if backward else ""
    name = named_by.__name__ + suffix
    kernel = Kernel(
        name=f"custom.{named_by.__module__}.{named_by.__qualname__}{suffix}",
        formula=scalar(formula),
        inputs=1 + backward + len(parameters),
        cost=cost,
        times_gradient=backward,
        salt=_salt(formula),
    )
    doc = inspect.getdoc(named_by) or ""
    if not parameters:
        return make_ufunc(kernel, name, doc, named_by.__module__)
    ufunc: Any = make_ufunc(kernel, attribute_name(name), doc, named_by.__module__)
    function = with_parameters(ufunc, {p.name: p for p in parameters}, 1 + backward)
    function.__name__, function.__qualname__ = name, named_by.__qualname__ + suffix
    function.__module__, function.__doc__, function.ufunc = named_by.__module__, doc, ufunc
    return function


def _salt(function: Any) -> bytes | None:
    """A digest of the function's file and place; ``None`` for a function without a file, and for a closure."""
    import hashlib

    if function.__closure__:
        return None
    try:
        with open(inspect.getfile(function), "rb") as file:
            source = file.read()
    except (OSError, TypeError):
        return None
    # Two lambdas may share a line: the places in it of what they are made of tell them apart.
    return hashlib.sha256(source + repr(list(function.__code__.co_positions())).encode()).digest()
