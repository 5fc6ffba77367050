"""Bring your own: a scalar function becomes the same kind of ufunc as the ones that ship."""

import inspect
from collections.abc import Callable
from typing import Any, overload

from fastact.calls.pickling import Origin, WithParameters
from fastact.functions.op_calls import with_parameters
from fastact.kinds.elementwise import Kernel
from fastact.runtime.ufunc import attribute_name, make_ufunc


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
        the ``math`` module and anything that Numba compiles without memory of its own or the interpreter, so neither arrays, lists
        and strings nor ``print``; what calls `fastact` ops only is vectorised.
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
    Compiled code holds what the function refers to, such as globals, defaults and variables of enclosing functions, as it was at
    the first call for a dtype. That is also the key of the disk cache, along with the function's code and that of the plain
    functions that it calls; what refers to an object of any other kind than numbers, strings, tuples, arrays, modules, functions,
    exceptions, enumerations and named tuples is compiled anew in each process.

    A function that Numba cannot compile raises `fastact.CompilationError` when it is first called. One that raises exceptions
    itself, by ``assert`` for one, is computed element by element on one thread: the first that fails ends the call, with the
    exception that the function raises in Python for that element. What comes after it in `out` is not written; where NumPy
    converts that from another dtype or byte order, it may hold anything.

    Arithmetic raises nothing and warns of nothing; it follows NumPy's rules, at any size of array. Division by zero gives
    infinity or NaN, and so does the ``math`` module where Python raises a ``ValueError`` or an ``OverflowError``. Integers,
    such as ``int(x)``, have 64 bits and wrap around; those that a float is too large for are the nearest, NaN becomes 0. An
    integer divided by zero, by ``//`` or ``%``, is 0, and so is the smallest divided by -1. A power with a negative exponent is
    an integer too, rounded towards zero, that of 0 the smallest. Only complex numbers divided by zero raise a
    ``ZeroDivisionError``, as do functions under ``numba.njit`` with its own ``error_model``.

    The result, its ``ufunc`` and its ``backward`` can be pickled: by name from a module, else by value.

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
    origin = Origin(_make, (forward, derivative, cost))
    function = _public(origin, forward, parameters[1:], backward=False)
    if derivative is not None:
        function.backward = _public(origin, derivative, parameters[1:], backward=True)
    return function


def _teach_numba() -> None:
    """Let users' formulas call the public functions."""
    from fastact import in_numba

    in_numba.register()


def _parameters(function: Any, what: str) -> list[inspect.Parameter]:
    if (
        not inspect.isfunction(function)
        or inspect.iscoroutinefunction(function)
        or inspect.isgeneratorfunction(function)
    ):
        raise TypeError(f"{what} must be a Python function that returns a number, got {function!r}")
    parameters = list(inspect.signature(function).parameters.values())
    if not 1 <= len(parameters) <= 3 or any(
        p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters
    ):
        raise TypeError(f"{what} must take one to three positional arguments, got {inspect.signature(function)}")
    return parameters


def _public(origin: Origin, formula: Any, parameters: list[inspect.Parameter], *, backward: bool) -> Any:
    """The public function of a formula, named after the one that the user has decorated."""
    named_by, _, cost = origin.arguments
    suffix, parts = ("_backward", ("backward",)) if backward else ("", ())
    name, module = named_by.__name__ + suffix, named_by.__module__
    kernel = Kernel(
        name=f"custom.{module}.{named_by.__qualname__}{suffix}",
        formula=formula,
        inputs=1 + backward + len(parameters),
        cost=cost,
        times_gradient=backward,
        users=True,
        parameters=len(parameters),
        before_compiling=_teach_numba,
    )
    doc = inspect.getdoc(named_by) or ""
    if not parameters:
        return origin.mark(make_ufunc(kernel, name, doc, module), *parts)
    ufunc: Any = origin.mark(make_ufunc(kernel, attribute_name(name), doc, module), *parts, "ufunc")
    function: Any = with_parameters(name, ufunc, {p.name: p for p in parameters}, 1 + backward)
    function.__name__, function.__qualname__ = name, ".".join([named_by.__qualname__, *parts])
    function.__module__, function.__doc__ = module, doc
    return origin.mark(WithParameters(function, ufunc), *parts)
