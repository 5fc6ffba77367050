"""Derive every polynomial in ``fastact/maths`` from its definition.

Without options, prints the ``Polynomial(...)`` literals and the errors they attain. ``--check`` compares them with the
literals in the package instead, and fails when any differs.
"""

import argparse
import functools
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import mp, mpf
from rich.progress import track

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from minimax import DECIMAL_DIGITS, Fit, Real, fit_rounded, nearest  # noqa: E402

Function = Callable[[Real], Real]

mp.dps = DECIMAL_DIGITS


@dataclass(frozen=True)
class Derivation:
    """Where a polynomial is kept and what it approximates; the arguments are those of ``minimax.fit_rounded``."""

    module: str
    variable: str
    function: Function
    interval: tuple[Real, Real]
    degree: int
    float_type: type[np.floating[Any]]
    weight: Function | None = None
    leading: Sequence[Real] = ()
    exact: Callable[[], tuple[Real, ...]] | None = None
    """Gives the coefficients when they were found in another way: then they only have to be rounded."""

    @property
    def name(self) -> str:
        """The variable with its module, as ``--only`` and the messages call it."""
        return f"{self.module}.{self.variable}"

    def derive(self) -> Fit:
        """Fit the polynomial."""
        if self.exact is not None:
            return Fit(tuple(nearest(c, self.float_type) for c in self.exact()), float("nan"))
        return fit_rounded(
            self.function, self.interval, self.degree, self.float_type, weight=self.weight, leading=self.leading
        )

    def in_package(self) -> tuple[float, ...] | None:
        """Read the coefficients that the package holds; None when it has no such variable."""
        module = importlib.import_module(f"fastact.maths.{self.module}")
        polynomial = getattr(module, self.variable, None)
        return None if polynomial is None else tuple(polynomial.coefficients)


LN2 = mp.log(2)
TWO_TO_MINUS_24, TWO_TO_MINUS_56 = 2.0**-24, 2.0**-56


def expm1_remainder(r: Real) -> Real:
    """``q`` in ``expm1(r) = r + r * r * q(r)``."""
    return (mp.expm1(r) - r) / r**2


def expm1_weight(r: Real) -> Real:
    return r**2 / mp.expm1(r)


def tanh_remainder(u: Real) -> Real:
    """``q`` in ``tanh(a) = a + a**3 * q(a * a)``."""
    a = mp.sqrt(u)
    return (mp.tanh(a) - a) / (a * u)


def tanh_weight(u: Real) -> Real:
    a = mp.sqrt(u)
    return a * u / mp.tanh(a)


def tanh_shrink_quotient(u: Real) -> Real:
    """``q`` in ``a - tanh(a) = a**3 * q(a * a)``."""
    return -tanh_remainder(u)


def half_exp_twice(w: Real) -> Real:
    return mp.exp(2 * w) / 2


def log1p_remainder(f: Real) -> Real:
    """``q`` in ``log1p(f) = f + f * f * q(f)``."""
    return (mp.log1p(f) - f) / f**2


def log1p_weight(f: Real) -> Real:
    return f**2 / mp.log1p(f)


def logarithm_remainder(base: int) -> tuple[Function, Function]:
    """Give ``q`` in ``log(1 + f, base) = f / log(base) + f * f * q(f)``, and its weight."""
    scale = mp.log(base)
    return lambda f: log1p_remainder(f) / scale, lambda f: f**2 * scale / mp.log1p(f)


def arctan_remainder(u: Real) -> Real:
    """``q`` in ``arctan(t) = t + t**3 * q(t * t)``."""
    t = mp.sqrt(u)
    return (mp.atan(t) - t) / (t * u)


def arctan_weight(u: Real) -> Real:
    t = mp.sqrt(u)
    return t * u / mp.atan(t)


def sinh_remainder(u: Real) -> Real:
    """``q`` in ``sinh(a) = a + a**3 * q(a * a)``."""
    a = mp.sqrt(u)
    return (mp.sinh(a) - a) / (a * u)


def sinh_weight(u: Real) -> Real:
    a = mp.sqrt(u)
    return a * u / mp.sinh(a)


def cosh_remainder(u: Real) -> Real:
    """``q`` in ``cosh(a) = 1 + a**2 * q(a * a)``."""
    return (mp.cosh(mp.sqrt(u)) - 1) / u


def sin_remainder(u: Real) -> Real:
    """``q`` in ``sin(r) = r + r**3 * q(r * r)``."""
    r = mp.sqrt(u)
    return (mp.sin(r) - r) / (r * u)


def sin_weight(u: Real) -> Real:
    r = mp.sqrt(u)
    return r * u / mp.sin(r)


def cos_remainder(u: Real) -> Real:
    """``q`` in ``cos(r) = 1 - r**2 / 2 + r**4 * q(r * r)``."""
    return (mp.cos(mp.sqrt(u)) - 1 + u / 2) / u**2


def cos_weight(u: Real) -> Real:
    return u**2 / mp.cos(mp.sqrt(u))


def atanh_remainder(u: Real) -> Real:
    """``q`` in ``atanh(s) = s + s**3 * (1/3 + s * s * q(s * s))``."""
    s = mp.sqrt(u)
    return ((mp.atanh(s) / s - 1) / u - mpf(1) / 3) / u


def atanh_weight(u: Real) -> Real:
    return u**2


def log2_of_quotient(u: Real) -> Real:
    """``q`` in ``log2((1 + s) / (1 - s)) = s * q(s * s)``."""
    s = mp.sqrt(u)
    return 2 * mp.atanh(s) / s / LN2


def divergence_share(f: Real) -> Real:
    """``q`` in ``(1 + f) * log1p(f) - f = f * f * q(f)``."""
    return ((1 + f) * mp.log1p(f) - f) / f**2


def exp_derivations(
    float_type: type[np.floating[Any]], degree: int, expm1_degrees: tuple[int, int], scale: float
) -> list[Derivation]:
    name = float_type.__name__.upper()
    half, expm1_interval = (-LN2 / 2, LN2 / 2), (mp.log(0.75), mp.log(1.5))
    return [
        Derivation("exp", f"_EXP_{name}", mp.exp, half, degree, float_type, leading=(1, 1)),
        Derivation(
            "exp", f"_SCALED_EXP_{name}", lambda r: scale * mp.exp(r), half, degree, float_type, leading=(scale, scale)
        ),
        Derivation(
            "exp",
            f"_EXPM1_{name}",
            expm1_remainder,
            expm1_interval,
            expm1_degrees[0] - 2,
            float_type,
            weight=expm1_weight,
        ),
        Derivation(
            "exp",
            f"_EXPM1_NONPOSITIVE_{name}",
            expm1_remainder,
            half,
            expm1_degrees[1] - 2,
            float_type,
            weight=expm1_weight,
        ),
    ]


def tanh_derivations(
    float_type: type[np.floating[Any]], near_degree: int, far_degree: int, shrink_degree: int, near: Real
) -> list[Derivation]:
    name = float_type.__name__.upper()
    quarter = (-LN2 / 4, LN2 / 4)
    return [
        Derivation("tanh", f"_NEAR_{name}", tanh_remainder, (0, near**2), near_degree, float_type, weight=tanh_weight),
        Derivation("tanh", f"_HALF_EXP_{name}", half_exp_twice, quarter, far_degree, float_type, leading=(0.5, 1)),
        Derivation("tanh", f"_SHRINK_{name}", tanh_shrink_quotient, (0, mpf("1.02") ** 2), shrink_degree, float_type),
    ]


def erf_remainder(u: Real) -> Real:
    """``p`` in ``erf(x) = x + x * p(x * x)``."""
    x = mp.sqrt(u)
    return mp.erf(x) / x - 1


def erf_weight(u: Real) -> Real:
    return 1 / (1 + erf_remainder(u))


def erfc_root(x: Real) -> Real:
    return mp.root(mp.erfc(x), 4)


def erfc_root_weight(x: Real) -> Real:
    """Give what an error of the root means for ``erf(x) = 1 - root**4``, relative."""
    return 4 * erfc_root(x) ** 3 / mp.erf(x)


@functools.cache
def erfc_eighth_root() -> tuple[Real, ...]:
    """Find the polynomial in ``x - 2.5`` nearest to ``erfc(x)**(1/8)`` on [1.25, 6], for the sake of ``1 - root**8``.

    There the weight falls by 14 powers of ten, too steep for linear programming in float64.
    """
    low, high, count = mpf("-1.25"), mpf("3.5"), 160
    middle, radius = (low + high) / 2, (high - low) / 2
    points = [middle - radius * mp.cos(mp.pi * (i + mpf("0.5")) / count) for i in range(count)]
    values = [mp.root(mp.erfc(s + 2.5), 8) for s in points]
    weights = [8 * v**7 / mp.erf(s + 2.5) for v, s in zip(values, points, strict=True)]
    return lawson([[s**j for s in points] for j in range(17)], values, weights, 40)


def tail_ratio(t: Real) -> Real:
    """``exp(t * t / 2) * Phi(-t)``, which is Mills' ratio over ``sqrt(2 * pi)``."""
    return mp.exp(t * t / 2) * mp.erfc(t / mp.sqrt(2)) / 2


TAIL_OFFSET_FLOAT32, TAIL_OFFSET_FLOAT64 = mpf(7) / 32, mpf(9) / 64
TAIL_END_FLOAT32 = mpf("14.4")
SUBNORMAL_FLOAT32 = mpf("13.15")
"""From here on ``t * Phi(-t)`` is subnormal in float32."""


def tail_float32(v: Real) -> Real:
    """``p`` in ``tail_ratio(t) = (1 + p(v)) * q / 2`` with ``q = 1.25 / (t + 2.5)``, ``v = q - 7/32``."""
    q = v + TAIL_OFFSET_FLOAT32
    return 2 * tail_ratio(mpf("1.25") / q - mpf("2.5")) / q - 1


def tail_float64(v: Real) -> Real:
    """``p`` in ``tail_ratio(t) = (1 + p(v)) * q / 2`` with ``q = 1 / (t + 3)``, ``v = q - 9/64``."""
    q = v + TAIL_OFFSET_FLOAT64
    return 2 * tail_ratio(1 / q - 3) / q - 1


def tail_remainder_float32(v: Real) -> Real:
    return (tail_float32(v) - nearest(tail_float32(mpf(0)), np.float32)) / v


def tail_remainder_float64(v: Real) -> Real:
    return (tail_float64(v) - nearest(tail_float64(mpf(0)), np.float64)) / v


def tail_weight_float32(v: Real) -> Real:
    """Give what an error means relative to ``t * Phi(-t)``, or to the smallest normal float32 if that is larger."""
    t = mpf("1.25") / (v + TAIL_OFFSET_FLOAT32) - mpf("2.5")
    return v / (1 + tail_float32(v)) * min(1, mp.exp((SUBNORMAL_FLOAT32**2 - t**2) / 2))


def tail_weight_float64(v: Real) -> Real:
    return v / (1 + tail_float64(v))


def half_expm1_quotient(v: Real) -> Real:
    """``p`` in ``expm1(-v / 2) = v * p(v)``."""
    return mp.expm1(-v / 2) / v


def half_expm1_remainder(v: Real) -> Real:
    """``q`` in ``expm1(-v / 2) = -v / 2 + v * v * q(v)``."""
    return (mp.expm1(-v / 2) + v / 2) / v**2


def centre(u: Real) -> Real:
    """``p`` in ``Phi(x) = 1/2 + x * p(x * x)``."""
    return mp.erf(mp.sqrt(u / 2)) / (2 * mp.sqrt(u))


def centre_derivative(u: Real) -> Real:
    """Do the same for ``Phi(x) + x * phi(x)``, the derivative of gelu."""
    return centre(u) + mp.exp(-u / 2) / mp.sqrt(2 * mp.pi)


def lawson(
    columns: Sequence[Sequence[Real]], values: Sequence[Real], weights: Sequence[Real], rounds: int
) -> tuple[Real, ...]:
    """Find the combination of columns nearest to the values: by least squares in one round, minimax in many.

    Lawson's iteration (Contributions to the theory of linear least maximum approximation, 1961): each point's share in
    the least squares is multiplied by its error.
    """
    shares = [mpf(1) / len(values)] * len(values)
    best: tuple[Real, tuple[Real, ...]] = (mp.inf, ())
    for _ in range(rounds):
        matrix, right = mp.matrix(len(columns), len(columns)), mp.matrix(len(columns), 1)
        squares = [share * w * w for share, w in zip(shares, weights, strict=True)]
        for i, column in enumerate(columns):
            for j in range(i + 1):
                product = mp.fsum(w * x * y for w, x, y in zip(squares, column, columns[j], strict=True))
                matrix[i, j] = matrix[j, i] = product
            right[i] = mp.fsum(w * x * y for w, x, y in zip(squares, column, values, strict=True))
        solution = tuple(mp.lu_solve(matrix, right))
        errors = [
            abs(w * (mp.fsum(c * column[i] for c, column in zip(solution, columns, strict=True)) - values[i]))
            for i, w in enumerate(weights)
        ]
        best = min(best, (max(errors), solution), key=lambda pair: pair[0])
        total = mp.fsum(share * e for share, e in zip(shares, errors, strict=True))
        shares = [share * e / total for share, e in zip(shares, errors, strict=True)]
    return best[1]


def erf_derivations() -> list[Derivation]:
    single, double = np.float32, np.float64
    return [
        *(
            Derivation(
                "erf",
                f"_ERF_NEAR_{float_type.__name__.upper()}",
                erf_remainder,
                (0, end**2),
                degree,
                float_type,
                weight=erf_weight,
                leading=(nearest(2 / mp.sqrt(mp.pi) - 1, float_type),),
            )
            for float_type, end, degree in ((single, mpf(1), 5), (double, mpf("1.25"), 12))
        ),
        Derivation("erf", "_ERFC_ROOT_FLOAT32", erfc_root, (1, 4), 8, single, weight=erfc_root_weight),
        Derivation(
            "erf",
            "_ERFC_ROOT_FLOAT64",
            lambda s: mp.polyval(erfc_eighth_root()[::-1], s),
            (mpf("-1.25"), mpf("3.5")),
            16,
            double,
            weight=lambda s: mpf(1),
            exact=erfc_eighth_root,
        ),
        Derivation(
            "erf",
            "_HALF_EXPM1_FLOAT32",
            half_expm1_quotient,
            (-LN2, LN2),
            5,
            single,
            weight=lambda v: v * mp.exp(v / 2),
            leading=(-0.5,),
        ),
        Derivation(
            "erf",
            "_HALF_EXPM1_FLOAT64",
            half_expm1_remainder,
            (-LN2, LN2),
            9,
            double,
            weight=lambda v: v * v * mp.exp(v / 2),
        ),
        *(
            Derivation(
                module,
                "_TAIL_FLOAT32",
                tail_remainder_float32,
                (mpf("1.25") / (TAIL_END_FLOAT32 + mpf("2.5")) - TAIL_OFFSET_FLOAT32, mpf("0.5") - TAIL_OFFSET_FLOAT32),
                degree,
                single,
                weight=tail_weight_float32,
            )
            for module, degree in (("erf", 8), ("normal", 9))
        ),
        Derivation(
            "erf",
            "_TAIL_FLOAT64",
            tail_remainder_float64,
            (1 / mpf(42) - TAIL_OFFSET_FLOAT64, 1 / mpf("3.75") - TAIL_OFFSET_FLOAT64),
            21,
            double,
            weight=tail_weight_float64,
        ),
        Derivation("erf", "_CENTRE_FLOAT64", centre, (0, mpf("0.5625")), 9, double),
        Derivation("erf", "_CENTRE_DERIVATIVE_FLOAT64", centre_derivative, (0, mpf("0.5625")), 9, double),
    ]


ROOT_INTERVAL = (mp.sqrt(0.5) - 1, mp.sqrt(2) - 1)
"""Of ``f`` where ``1 + f`` lies between the roots of 1/2 and 2, and of ``((1 + f) - 1) / ((1 + f) + 1)`` squared."""
QUOTIENT_END = (mp.sqrt(2) - 1) ** 4


def numpy_derivations(float_type: type[np.floating[Any]], *degrees: int) -> list[Derivation]:
    """The maths that NumPy has too, in one precision: degrees in the order of what is derived."""
    name = float_type.__name__.upper()
    exp2, log2, log10, arctan, near, far_sinh, far_cosh, sin, cos = degrees
    log2_remainder, log2_weight = logarithm_remainder(2)
    log10_remainder, log10_weight = logarithm_remainder(10)
    reduced, eighth = (0, (LN2 / 2) ** 2), (0, mpf("0.79") ** 2)
    return [
        Derivation("exp", f"_EXP2_{name}", lambda r: mp.power(2, r), (-0.5, 0.5), exp2, float_type, leading=(1,)),
        Derivation("log", f"_LOG2_{name}", log2_remainder, ROOT_INTERVAL, log2, float_type, weight=log2_weight),
        Derivation("log", f"_LOG10_{name}", log10_remainder, ROOT_INTERVAL, log10, float_type, weight=log10_weight),
        Derivation("arctan", f"_ARCTAN_{name}", arctan_remainder, (0, 1), arctan, float_type, weight=arctan_weight),
        Derivation("hyperbolic", f"_SINH_NEAR_{name}", sinh_remainder, (0, 1), near, float_type, weight=sinh_weight),
        Derivation("hyperbolic", f"_SINH_{name}", sinh_remainder, reduced, far_sinh, float_type, weight=sinh_weight),
        Derivation("hyperbolic", f"_COSH_{name}", cosh_remainder, reduced, far_cosh, float_type, weight=lambda u: u),
        Derivation("trigonometric", f"_SIN_{name}", sin_remainder, eighth, sin, float_type, weight=sin_weight),
        Derivation("trigonometric", f"_COS_{name}", cos_remainder, eighth, cos, float_type, weight=cos_weight),
    ]


DERIVATIONS = [
    *numpy_derivations(np.float32, 6, 8, 8, 8, 3, 2, 2, 2, 2),
    *numpy_derivations(np.float64, 11, 19, 19, 19, 7, 4, 4, 5, 5),
    Derivation(
        "logaddexp",
        "_LOG2_UNIT",
        logarithm_remainder(2)[0],
        (0, 1),
        19,
        np.float64,
        weight=logarithm_remainder(2)[1],
    ),
    Derivation("power", "_ATANH", atanh_remainder, (0, QUOTIENT_END), 7, np.float64, weight=atanh_weight),
    Derivation("power", "_LOG2_SINGLE", log2_of_quotient, (0, QUOTIENT_END), 4, np.float64),
    Derivation("power", "_EXP2_SINGLE", lambda r: mp.power(2, r), (-0.5, 0.5), 7, np.float64, leading=(1,)),
    *erf_derivations(),
    *exp_derivations(np.float32, 6, (7, 6), TWO_TO_MINUS_24),
    *exp_derivations(np.float64, 11, (11, 11), TWO_TO_MINUS_56),
    Derivation("log", "LOG1P_FLOAT32", log1p_remainder, (-0.25, 0.5), 8, np.float32, weight=log1p_weight),
    Derivation("log", "LOG1P_FLOAT64", log1p_remainder, (-0.25, 0.5), 19, np.float64, weight=log1p_weight),
    Derivation("log_parts", "DIVERGENCE_FLOAT64", divergence_share, (-0.25, 0.5), 20, np.float64, leading=(0.5,)),
    Derivation("log", "_LOG1P_UNIT_FLOAT32", log1p_remainder, (0, 1), 8, np.float32, weight=log1p_weight),
    Derivation("log", "LOG1P_UNIT_FLOAT64", log1p_remainder, (0, 1), 19, np.float64, weight=log1p_weight),
    *(
        derivation
        for float_type, near_degree, far_degree, shrink_degree, near in (
            (np.float32, 4, 6, 7, mpf("0.625")),
            (np.float64, 9, 11, 15, mpf("0.55")),
        )
        for derivation in tanh_derivations(float_type, near_degree, far_degree, shrink_degree, near)
    ),
]
"""Every polynomial of the package: append a record here, then paste what the script prints."""


def two_over_pi_parts() -> list[tuple[float, ...]]:
    """Give, for each 16 binades from that of 1 on, what of ``2/pi`` counts there modulo 4, as the sum of four numbers.

    A number with the exponent e is a multiple of ``2**(e - 52)``, so what is a multiple of ``2**(54 - e)`` in ``2/pi`` only adds a
    multiple of 4. The rest is scaled by ``2**e``, with the smallest e of the window.
    """
    with mp.workdps(500):
        rows = []
        for window in range(64):
            modulus = mp.ldexp(1, 54 - 16 * window)
            counting = mp.ldexp(mp.fmod(2 / mp.pi, modulus), 16 * window)
            parts = []
            for _ in range(4):
                parts.append(nearest(counting, np.float64))
                counting -= parts[-1]
            rows.append(tuple(parts))
    return rows


def tables() -> dict[str, tuple[float, ...]]:
    """Give every table of ``fastact/maths/two_over_pi.py``."""
    return {f"PART_{k + 1}": column for k, column in enumerate(zip(*two_over_pi_parts(), strict=True))}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the package; exit with 1 when it differs")
    parser.add_argument("--only", metavar="NAME", help="only the derivations whose module.variable holds NAME")
    options = parser.parse_args()
    wanted = [d for d in DERIVATIONS if options.only is None or options.only in d.name]
    wanted_tables = {n: v for n, v in tables().items() if options.only is None or options.only in f"two_over_pi.{n}"}
    if not wanted and not wanted_tables:
        parser.error(f"no derivation is called {options.only!r}")
    differing = 0
    for name, values in wanted_tables.items():
        if not options.check:
            print(f"{name} = Table({', '.join(map(repr, values))})\n")
        elif getattr(importlib.import_module("fastact.maths.two_over_pi"), name).values != values:
            differing += 1
            print(f"two_over_pi.{name} differs")
    for derivation in track(wanted, description="deriving", disable=not sys.stderr.isatty()):
        fit = derivation.derive()
        if not options.check:
            print(f"# fastact/maths/{derivation.module}.py, largest weighted error {fit.error:.3g}")
            print(f"{derivation.variable} = {fit.literal()}\n")
        elif derivation.in_package() != fit.coefficients:
            differing += 1
            print(f"{derivation.name} differs:")
            print(f"- {derivation.in_package()}\n+ {fit.coefficients}")
    if options.check:
        total = len(wanted) + len(wanted_tables)
        print(f"{total - differing} of {total} polynomials and tables are as derived")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
