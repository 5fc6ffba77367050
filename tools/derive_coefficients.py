"""Derive every polynomial in ``fastact/maths`` from its definition.

Without options, prints the ``Polynomial(...)`` literals and the errors they attain. ``--check`` compares them with the
literals in the package instead, and fails when any differs.
"""

import argparse
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

from minimax import DECIMAL_DIGITS, Fit, Real, fit_rounded  # noqa: E402

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

    @property
    def name(self) -> str:
        return f"{self.module}.{self.variable}"

    def derive(self) -> Fit:
        return fit_rounded(
            self.function, self.interval, self.degree, self.float_type, weight=self.weight, leading=self.leading
        )

    def in_package(self) -> tuple[float, ...] | None:
        """The coefficients that the package holds, or None when it has no such variable."""
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


def tanh_remainder(w: Real) -> Real:
    """``q`` in ``-expm1(-2 * w) / 2 = w + w * w * q(w)``."""
    return (-mp.expm1(-2 * w) / 2 - w) / w**2


def tanh_weight(w: Real) -> Real:
    return w**2 / (mp.expm1(-2 * w) / 2)


def log1p_remainder(f: Real) -> Real:
    """``q`` in ``log1p(f) = f + f * f * q(f)``."""
    return (mp.log1p(f) - f) / f**2


def log1p_weight(f: Real) -> Real:
    return f**2 / mp.log1p(f)


def exp_derivations(float_type: type[np.floating[Any]], degree: int, scale: float) -> list[Derivation]:
    name = float_type.__name__.upper()
    half, expm1_interval = (-LN2 / 2, LN2 / 2), (mpf("-0.415") * LN2, mpf("0.585") * LN2)
    return [
        Derivation("exp", f"_EXP_{name}", mp.exp, half, degree, float_type, leading=(1, 1)),
        Derivation(
            "exp", f"_SCALED_EXP_{name}", lambda r: scale * mp.exp(r), half, degree, float_type, leading=(scale, scale)
        ),
        Derivation(
            "exp",
            f"_SCALED_EXP_MINUS_{name}",
            lambda v: scale * mp.exp(-v),
            half,
            degree,
            float_type,
            leading=(scale, -scale),
        ),
        Derivation(
            "exp",
            f"_SCALED_EXP_MINUS_HALF_{name}",
            lambda v: scale * mp.exp(-v / 2),
            (-LN2, LN2),
            degree,
            float_type,
            leading=(scale, -scale / 2),
        ),
        Derivation(
            "exp", f"_EXPM1_{name}", expm1_remainder, expm1_interval, degree - 2, float_type, weight=expm1_weight
        ),
        Derivation(
            "exp", f"_EXPM1_NONPOSITIVE_{name}", expm1_remainder, half, degree - 2, float_type, weight=expm1_weight
        ),
    ]


DERIVATIONS = [
    *exp_derivations(np.float32, 6, TWO_TO_MINUS_24),
    *exp_derivations(np.float64, 11, TWO_TO_MINUS_56),
    Derivation("log", "_LOG1P_FLOAT32", log1p_remainder, (-0.25, 0.5), 7, np.float32, weight=log1p_weight),
    Derivation("log", "_LOG1P_FLOAT64", log1p_remainder, (-0.25, 0.5), 19, np.float64, weight=log1p_weight),
    Derivation("log", "_LOG1P_UNIT_FLOAT32", log1p_remainder, (0, 1), 8, np.float32, weight=log1p_weight),
    Derivation("log", "_LOG1P_UNIT_FLOAT64", log1p_remainder, (0, 1), 19, np.float64, weight=log1p_weight),
    Derivation("tanh", "_TANH_FLOAT32", tanh_remainder, (-LN2 / 4, LN2 / 4), 4, np.float32, weight=tanh_weight),
    Derivation("tanh", "_TANH_FLOAT64", tanh_remainder, (-LN2 / 4, LN2 / 4), 9, np.float64, weight=tanh_weight),
]
"""Every polynomial of the package: append a record here, then paste what the script prints."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the package; exit with 1 when it differs")
    parser.add_argument("--only", metavar="NAME", help="only the derivations whose module.variable holds NAME")
    options = parser.parse_args()
    wanted = [d for d in DERIVATIONS if options.only is None or options.only in d.name]
    if not wanted:
        parser.error(f"no derivation is called {options.only!r}")
    differing = 0
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
        print(f"{len(wanted) - differing} of {len(wanted)} polynomials are as derived")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
