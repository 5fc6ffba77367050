"""Polynomials with the smallest largest error, and with coefficients that a float type can hold.

The minimax problem is solved as a linear programme over a dense grid of Chebyshev points, refined in multiple
precision: each round fits a correction to what the previous rounds left, so that float64 linear programming suffices
for errors far below float64's own. Unlike Remez' exchange this needs no alternation, and so still works after the
leading coefficients have been fixed to values that are not the best ones - which is how the coefficients are rounded:
lowest degree first, each to its nearest representable value, the rest solved for again (as in Brisebarre, Muller and
Tisserand, "Computing machine-efficient polynomial approximations", 2006, but greedily).

To fit a polynomial in another variable (odd functions in ``x * x``, tails in ``1 / x``), pass the function, the weight
and the interval in terms of that variable.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from mpmath import mp, mpf
from scipy.optimize import linprog

Real = Any
"""An ``mpmath.mpf``, or anything that turns into one."""

DECIMAL_DIGITS = 100
NEAR_ZERO = mpf(10) ** -20
"""Stands for an argument of zero: quotients such as ``expm1(x) / x`` have a limit there, but no value."""
POINTS_PER_COEFFICIENT = 24
ROUNDS = 8
SETTLED = mpf(10) ** -9
"""A relative gain below this ends the refinement: tight, so that the coefficients do not depend on the solver."""


@dataclass(frozen=True)
class Fit:
    """A polynomial fitted to a function.

    Attributes
    ----------
    coefficients : tuple of float or mpf
        Lowest degree first, those given as ``leading`` included.
    error : float
        The largest weighted error over the grid.
    """

    coefficients: tuple[Real, ...]
    error: float

    def literal(self) -> str:
        """Write the source text of the ``Polynomial`` with these coefficients; each reads back exactly."""
        return f"Polynomial({', '.join(repr(float(c)) for c in self.coefficients)})"


def fit(
    function: Callable[[Real], Real],
    interval: tuple[Real, Real],
    degree: int,
    *,
    weight: Callable[[Real], Real] | None = None,
    leading: Sequence[Real] = (),
) -> Fit:
    """Minimise the largest ``abs(weight(x) * (function(x) - p(x)))`` over an interval, p a polynomial.

    Parameters
    ----------
    function : callable
        The function to fit, from mpf to mpf. It is never called with an exact zero.
    interval : (real, real)
        Where to fit it.
    degree : int
        The degree of p.
    weight : callable, optional
        What the error is multiplied with. By default ``1 / function(x)``, which makes the error relative; pass
        ``lambda x: 1`` for the absolute error.
    leading : sequence of real
        The coefficients of degree 0, 1, ... that are given and not to be solved for.

    Returns
    -------
    Fit
        With multiple-precision coefficients.
    """
    return _Problem(function, interval, degree, weight).solve(leading)


def fit_rounded(
    function: Callable[[Real], Real],
    interval: tuple[Real, Real],
    degree: int,
    float_type: type[np.floating[Any]],
    *,
    weight: Callable[[Real], Real] | None = None,
    leading: Sequence[Real] = (),
) -> Fit:
    """As :func:`fit`, with every coefficient representable in ``float_type``.

    Rounding one coefficient moves the best values of those after it, so each is rounded in turn, lowest degree first,
    and the rest are solved for again.
    """
    problem = _Problem(function, interval, degree, weight)
    fixed = [float(float_type(c)) for c in leading]
    while len(fixed) <= degree:
        solution = problem.solve(fixed)
        fixed.append(nearest(solution.coefficients[len(fixed)], float_type))
    return problem.solve(fixed)


def nearest(value: Real, float_type: type[np.floating[Any]]) -> float:
    """Round to the ``float_type`` nearest to a multiple-precision number, once."""
    digits = np.finfo(float_type).nmant + 1
    with mp.workprec(digits):
        return float(+mpf(value))


def split(value: Real, float_type: type[np.floating[Any]], *kept_bits: int) -> tuple[float, ...]:
    """Split a constant into a sum of floats: one with each given number of significant bits, then the rest.

    ``split(mp.log(2), np.float32, 15)`` gives a high part whose product with an integer below ``2**9`` is exact, and a
    float32 low part.
    """
    with mp.workdps(DECIMAL_DIGITS):
        rest = mpf(value)
        parts = []
        for count in kept_bits:
            with mp.workprec(count):
                part = +rest
            parts.append(float(part))
            rest -= part
        return (*parts, nearest(rest, float_type))


class _Problem:
    def __init__(
        self,
        function: Callable[[Real], Real],
        interval: tuple[Real, Real],
        degree: int,
        weight: Callable[[Real], Real] | None,
    ) -> None:
        self.degree = degree
        with mp.workdps(DECIMAL_DIGITS):
            low, high = mpf(interval[0]), mpf(interval[1])
            count = POINTS_PER_COEFFICIENT * (degree + 2)
            self.nodes = [-mp.cos(mp.pi * i / (count - 1)) for i in range(count)]
            self.middle, self.radius = (low + high) / 2, (high - low) / 2
            self.points = [self.middle + self.radius * t or NEAR_ZERO for t in self.nodes]
            self.values = [mpf(function(x)) for x in self.points]
            self.weights = (
                [1 / value for value in self.values] if weight is None else [mpf(weight(x)) for x in self.points]
            )

    def solve(self, leading: Sequence[Real]) -> Fit:
        with mp.workdps(DECIMAL_DIGITS):
            coefficients = [mpf(c) for c in leading]
            free = self.degree + 1 - len(coefficients)
            coefficients += [mpf(0)] * free
            residuals, error = self._residuals(coefficients)
            if not free:
                return Fit(tuple(float(c) for c in coefficients), float(error))
            basis, to_monomials = self._basis(len(leading), free)
            for _ in range(ROUNDS):
                step = _best_step(basis, np.array([float(r / error) for r in residuals]))
                correction = [sum((mpf(s) * row[k] for s, row in zip(step, to_monomials, strict=True)), mpf(0))
                              for k in range(free)]  # fmt: skip
                candidate = coefficients[: len(leading)] + [
                    c + error * d for c, d in zip(coefficients[len(leading) :], correction, strict=True)
                ]
                candidate_residuals, candidate_error = self._residuals(candidate)
                settled = candidate_error > error * (1 - SETTLED)
                if candidate_error < error:
                    coefficients, residuals, error = candidate, candidate_residuals, candidate_error
                if settled:
                    break
            return Fit(tuple(coefficients), float(error))

    def _residuals(self, coefficients: Sequence[Real]) -> tuple[list[Real], Real]:
        backwards = list(reversed(coefficients))
        residuals = [
            w * (value - mpmath.polyval(backwards, x))
            for w, value, x in zip(self.weights, self.values, self.points, strict=True)
        ]
        return residuals, max(abs(r) for r in residuals)

    def _basis(self, lowest: int, free: int) -> tuple[np.ndarray[Any, Any], list[list[Real]]]:
        """Tabulate the weighted ``x**lowest * T_j``, scaled to at most 1, and give ``T_j`` so scaled in powers of x."""
        chebyshev = [[mpf(1)], [-self.middle / self.radius, 1 / self.radius]]
        while len(chebyshev) < free:
            last, before = chebyshev[-1], chebyshev[-2]
            following = [mpf(0)] * (len(last) + 1)
            for k, c in enumerate(last):
                following[k] += 2 * c * chebyshev[1][0]
                following[k + 1] += 2 * c * chebyshev[1][1]
            for k, c in enumerate(before):
                following[k] -= c
            chebyshev.append(following)
        columns, scaled = [], []
        for j, row in enumerate(chebyshev[:free]):
            column = [
                w * x**lowest * mp.chebyt(j, t) for w, x, t in zip(self.weights, self.points, self.nodes, strict=True)
            ]
            scale = max(abs(v) for v in column)
            columns.append([float(v / scale) for v in column])
            scaled.append([c / scale for c in row] + [mpf(0)] * (free - len(row)))
        return np.array(columns).T, scaled


def _best_step(basis: np.ndarray[Any, Any], residuals: np.ndarray[Any, Any]) -> list[float]:
    """Find the combination of the basis' columns that is nearest to the residuals in the largest difference."""
    points, free = basis.shape
    level = np.ones((points, 1))
    answer = linprog(
        np.r_[np.zeros(free), 1.0],
        A_ub=np.block([[basis, -level], [-basis, -level]]),
        b_ub=np.r_[residuals, -residuals],
        bounds=[(None, None)] * free + [(0, None)],
        method="highs",
    )
    if answer.x is None:
        raise ArithmeticError(f"the linear programme has no solution: {answer.message}")
    return [float(v) for v in answer.x[:free]]
