"""NumPy's maths of two arrays: powers, the hypotenuse and sums of what is given by its logarithm."""

from fastact.functions.common import INF
from fastact.functions.elementwise import Op, StandIn, register
from fastact.kernels.limits import DIVIDE, OVER, UNDER
from fastact.maths.logaddexp import logaddexp, logaddexp2
from fastact.maths.power import power
from fastact.maths.roots import hypot
from fastact.maths.simd import Scalar

NEAR_ZERO = """\
Where the sum of the two is close to 1, and so its logarithm to 0, the error is so many units in the last place of the larger
operand: what the operands do not say is lost. (float32 computes in float64 there, NumPy does not.)"""


def _logaddexp(a: Scalar, b: Scalar) -> Scalar:
    return logaddexp(a, b)


register(
    Op(
        forward=_logaddexp,
        reference=lambda m, x, b: m.logaddexp(x, b),
        summary="Logarithm of the sum of exponentials.",
        formula=r"\ln(e^\mathtt{a} + e^\mathtt{b})",
        limits={-INF: 1.75, INF: INF},
        samples=((1.75,), (0.0,), (30.0,), (-1.0,)),
        arrays=2,
        identity=-INF,
        ulp=1.0,
        cost=2.4,
        notes=NEAR_ZERO,
        stands_in=StandIn("logaddexp", infinite=OVER, tiny=UNDER),
    )
)


def _logaddexp2(a: Scalar, b: Scalar) -> Scalar:
    return logaddexp2(a, b)


register(
    Op(
        forward=_logaddexp2,
        reference=lambda m, x, b: m.logaddexp2(x, b),
        summary="Logarithm to base 2 of the sum of powers of 2.",
        formula=r"\log_2(2^\mathtt{a} + 2^\mathtt{b})",
        limits={-INF: 1.75, INF: INF},
        samples=((1.75,), (0.0,), (30.0,), (-1.5,)),
        arrays=2,
        identity=-INF,
        ulp=1.0,
        cost=2.6,
        notes=NEAR_ZERO,
        stands_in=StandIn("logaddexp2", infinite=OVER, tiny=UNDER),
    )
)


def _power(base: Scalar, exponent: Scalar) -> Scalar:
    return power(base, exponent)


register(
    Op(
        forward=_power,
        reference=lambda m, x, exponent: m.power(x, exponent),
        summary="The first array to the power of the second; NaN for a negative base unless the exponent is whole.",
        formula=r"\mathtt{base}^\mathtt{exponent}",
        limits={-INF: INF, INF: INF},
        samples=((1.75,), (3.0,), (-2.5,), (0.75,), (-1.0,), (20.0,)),
        arrays=2,
        ulp=1.0,
        cost=2.0,
        known_as=("pow",),
        notes="As C has it, ``x**0`` and ``1**x`` are 1 also where x is NaN.",
        stands_in=StandIn("power", infinite=OVER | DIVIDE, tiny=UNDER, wide=True),
    )
)


def _hypot(a: Scalar, b: Scalar) -> Scalar:
    return hypot(a, b)


register(
    Op(
        forward=_hypot,
        reference=lambda m, x, b: m.hypot(x, b),
        summary="Hypotenuse: the root of the sum of two squares, which do not overflow.",
        formula=r"\sqrt{\mathtt{a}^2 + \mathtt{b}^2}",
        limits={-INF: INF, INF: INF},
        samples=((1.75,), (0.0,), (1e-30,), (-1e30,)),
        arrays=2,
        identity=0.0,
        ulp=1.0,
        cost=1.0,
        notes="Infinite if either is, also where the other is NaN.",
        stands_in=StandIn("hypot", infinite=OVER, tiny=UNDER),
    )
)
