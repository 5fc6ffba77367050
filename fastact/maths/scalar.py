"""What scalar formulas are written in: plain functions that the engine can compile, and polynomials.

Nothing here needs a compiler: the functions run on NumPy scalars as they stand, and ``fastact.kernels.jit`` teaches
Numba about everything that is registered here.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from fastact.maths.simd import Scalar, fma

F = TypeVar("F", bound=Callable[..., Any])

compilable: list[Callable[..., Any]] = []
"""Every function marked ``@scalar``."""


def scalar(function: F) -> F:
    """Mark a plain function as one that compiled formulas may call."""
    compilable.append(function)
    return function


class Product:
    """A formula's result times numbers that are known by name, such as the weight of an element or the scale of a gradient.

    Parameters
    ----------
    formula : callable
        Compilable.
    factors : str
        Names of the factors.
    """

    def __init__(self, formula: Callable[..., Any], factors: str) -> None:
        self.formula = formula
        self.factors = tuple(factors.split())


def single(formula: Any) -> list[tuple[Callable[..., Any], tuple[str, ...]]]:
    """The compilable functions of a formula, a product or a sequence of such, each with the names of its factors."""
    if isinstance(formula, Product):
        return [(formula.formula, formula.factors)]
    if isinstance(formula, (list, tuple)):
        return [part for one in formula for part in single(one)]
    return [(formula, ())]


def parameters(formula: Any) -> tuple[str, ...]:
    """The names that a formula, a product or a sequence of such takes."""
    names = []
    for function, factors in single(formula):
        code = function.__code__
        names += [*code.co_varnames[: code.co_argcount], *factors]
    return tuple(dict.fromkeys(names))


class Polynomial:
    """A polynomial with constant coefficients, lowest degree first, evaluated by Horner's rule in ``fma``.

    Parameters
    ----------
    *coefficients : float
        Written so that each is exact in the type that the polynomial is evaluated in.
    """

    instances: list["Polynomial"] = []

    def __init__(self, *coefficients: float) -> None:
        self.coefficients = coefficients
        Polynomial.instances.append(self)

    def __call__(self, x: Scalar) -> Scalar:
        """The polynomial's value at ``x``."""
        constant = type(x)
        total = constant(self.coefficients[-1])
        for coefficient in reversed(self.coefficients[:-1]):
            total = fma(total, x, constant(coefficient))
        return total


class ByPrecision:
    """One mathematical function with a formula for each precision; the argument's type chooses."""

    instances: list["ByPrecision"] = []

    def __init__(self, *, float32: Callable[..., Any], float64: Callable[..., Any]) -> None:
        self.float32 = float32
        self.float64 = float64
        self.__name__ = getattr(float32, "__name__", "polynomial")
        self.__doc__ = float32.__doc__
        ByPrecision.instances.append(self)

    def __call__(self, x: Scalar, *rest: Scalar) -> Scalar:
        """The function's value by the formula for the precision of ``x``."""
        return (self.float32 if type(x) is np.float32 else self.float64)(x, *rest)


class Constant:
    """A number with a value for each precision, as a function of anything that has the precision.

    Parameters
    ----------
    float32, float64 : float or int
        A float is rounded to the type that it is for; integers, which count something, stay integers.
    """

    instances: list["Constant"] = []

    def __init__(self, *, float32: float, float64: float) -> None:
        self.float32 = float32
        self.float64 = float64
        Constant.instances.append(self)

    def __call__(self, x: Scalar) -> Scalar:
        """The value for the precision of ``x``."""
        value = self.float32 if type(x) is np.float32 else self.float64
        return value if isinstance(value, int) else type(x)(value)


class Table:
    """Numbers by an index, in float64 only: gathered from memory, so for what few arrays need.

    Parameters
    ----------
    *values : float
        As many as a power of two; an index beyond starts again.
    """

    instances: list["Table"] = []

    def __init__(self, *values: float) -> None:
        self.values = values
        Table.instances.append(self)

    def __call__(self, i: Scalar) -> Scalar:
        """The number at an int64 index."""
        return np.float64(self.values[int(i) % len(self.values)])
