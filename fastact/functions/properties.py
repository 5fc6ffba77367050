"""What textbooks say of an activation, as data: its range, where it saturates, dies and bends, how steep and how smooth it is.

A record states what only a search would find, its `Traits`. `derive` concludes the rest from those, from the record's limits and
kinks, and from a few values. ``tests/test_properties.py`` measures all of it on the compiled function instead.
"""

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, cast

import numpy as np

from fastact.calls.quiet import quietly
from fastact.functions.common import INF
from fastact.functions.numpy_maths import numpy_maths

JUMP = 1e-6
"""A value that is further away from its neighbour in float64 lies on the other side of a jump."""


@dataclass(frozen=True)
class Interval:
    """All numbers between two ends, each of which belongs to it or does not."""

    low: float
    high: float
    low_closed: bool = False
    """Whether `low` belongs to it."""
    high_closed: bool = False
    """Whether `high` belongs to it."""

    def __contains__(self, x: float) -> bool:
        return self.low < x < self.high or (x == self.low and self.low_closed) or (x == self.high and self.high_closed)

    def shown(self, number: Callable[[float], str]) -> str:
        """The interval with brackets at closed ends and parentheses at open ones."""
        start, end = "(["[self.low_closed], ")]"[self.high_closed]
        return f"{start}{number(self.low)}, {number(self.high)}{end}"

    def __str__(self) -> str:
        return self.shown(plain)


@dataclass(frozen=True)
class Traits:
    """What the record of an activation states of its graph, since nothing else in the record tells."""

    turns: tuple[float, ...] = ()
    """Inputs where the function changes from falling to rising, or back."""
    steepest: float | None = None
    """The input with the slope of largest magnitude, if no limit of the slope, slope at 0 or slope beside a kink is as large."""
    smoothness: float = INF
    """How many derivatives are continuous, if there are no kinks."""
    fixed_point: tuple[float, float] | None = None
    """The mean and variance of outputs that wide layers come back to, if each unit's weights sum to 0 and their squares to 1."""


@dataclass(frozen=True)
class Properties:
    """The properties of an activation, in exact arithmetic, with the parameters that its record gives the limits for.

    Those are the defaults, or the record's first sample where a parameter has none (`Op.recorded_at`). Every property is
    ``None`` for an op that is no activation (`Op.is_activation`), so that no filter finds it.
    """

    range: Interval
    """The smallest interval that holds every value; a discontinuous function leaves gaps in it."""
    monotonic: bool
    """Whether it nowhere falls, or nowhere rises."""
    saturates_left: bool
    """Whether it tends to a finite value at -inf, so that its slope vanishes there."""
    saturates_right: bool
    """The same at +inf."""
    zero_centred: bool
    """Whether it is odd, so that outputs have mean 0 wherever inputs are symmetric about 0."""
    at_zero: float
    """Its value at 0."""
    slope_at_zero: float
    """Its derivative at 0; at a kink the one that was chosen."""
    identity_near_zero: bool
    """Whether it leaves small inputs nearly unchanged: value 0 and slope 1 at 0, and no kink there."""
    dead: tuple[Interval, ...]
    """Inputs where the derivative is exactly 0, so that no gradient passes; single points aside."""
    kinks: tuple[float, ...]
    """Inputs where the derivative or the function itself jumps."""
    smoothness: float
    """How many derivatives are continuous: 0 if only the function is, -1 if it jumps itself, inf if all are."""
    lipschitz: float
    """The Lipschitz constant: how many times further apart than two inputs their outputs may be."""
    learnt_parameters: int
    """How many of its parameters are learnt: so many that its backward returns the gradient for."""
    fixed_point: tuple[float, float] | None
    """The mean and variance to which deep layers normalise themselves, if they do: see `Traits.fixed_point`."""

    @property
    def smoothness_class(self) -> str:
        """The smoothness as it is written: C0, C1, C-infinity, or discontinuous."""
        if self.smoothness < 0:
            return "discontinuous"
        return "C-infinity" if self.smoothness == INF else f"C{self.smoothness:.0f}"


NO_ACTIVATION = Properties(**{field.name: cast(Any, None) for field in fields(Properties)})
"""The properties of an op that is no activation: each is ``None``."""


def derive(
    traits: Traits,
    reference: Callable[..., Any],
    reference_derivative: Callable[..., Any],
    parameters: Sequence[float],
    limits: Mapping[float, float],
    slope_limits: Mapping[float, float],
    kinks: Mapping[float, float],
    learnt: int,
) -> Properties:
    """Conclude the properties from the parts of a record, and from values of its references at those parameters."""

    def values(inputs: Sequence[float]) -> dict[float, float]:
        return _by_input(inputs, quietly(reference, numpy_maths, np.array(inputs), *parameters))

    def slopes(inputs: Sequence[float]) -> dict[float, float]:
        return _by_input(inputs, sum(quietly(reference_derivative, numpy_maths, np.array(inputs), *parameters)))

    ends = limits[-INF], limits[INF]
    beside = [math.nextafter(kink, end) for kink in kinks for end in (-INF, INF)]
    value = values([0.0, *kinks, *traits.turns, *beside])
    steepest = () if traits.steepest is None else (traits.steepest,)
    slope = slopes([0.0, *steepest, *beside])
    attained = [value[x] for x in (0.0, *kinks, *traits.turns)]
    low, high = min(*ends, *attained), max(*ends, *attained)
    jumps = any(abs(value[math.nextafter(kink, end)] - value[kink]) > JUMP for kink in kinks for end in (-INF, INF))
    odd = value[0.0] == 0 and ends[0] == -ends[1] and slope_limits[-INF] == slope_limits[INF]
    return Properties(
        range=Interval(low, high, low in attained, high in attained),
        monotonic=not traits.turns,
        saturates_left=math.isfinite(ends[0]),
        saturates_right=math.isfinite(ends[1]),
        zero_centred=odd and {-kink for kink in kinks} == set(kinks),
        at_zero=value[0.0],
        slope_at_zero=kinks.get(0.0, slope[0.0]),
        identity_near_zero=(value[0.0], slope[0.0]) == (0, 1) and 0 not in kinks,
        dead=tuple(_dead(kinks, slopes)),
        kinks=tuple(kinks),
        smoothness=-1 if jumps else 0 if kinks else traits.smoothness,
        lipschitz=INF if jumps else max(abs(s) for s in (*slope_limits.values(), *slope.values())),
        learnt_parameters=learnt,
        fixed_point=traits.fixed_point,
    )


def _by_input(inputs: Sequence[float], results: Any) -> dict[float, float]:
    return dict(zip(inputs, map(float, np.broadcast_to(results, len(inputs))), strict=True))


def _dead(
    kinks: Mapping[float, float], slopes: Callable[[Sequence[float]], Mapping[float, float]]
) -> Iterator[Interval]:
    """The pieces between kinks that have slope 0; a piece that has it at two points has it everywhere."""
    for low, high in pairwise([-INF, *sorted(kinks), INF]) if kinks else ():
        start, end = max(low, min(high, 0.0) - 1), min(high, max(low, 0.0) + 1)
        if not any(slopes([start + (end - start) / 3, start + (end - start) / 2]).values()):
            yield Interval(low, high, kinks.get(low) == 0, kinks.get(high) == 0)


def plain(x: float) -> str:
    """A number in plain text, with six digits."""
    return f"{x:.6g}"


def phrases(properties: Properties, number: Callable[[float], str] = plain) -> list[str]:
    """What the properties of an activation are, in words."""
    p = properties
    saturated = [number(end) for end, at_end in ((-INF, p.saturates_left), (INF, p.saturates_right)) if at_end]
    found = [
        f"range {p.range.shown(number)}{' with gaps' if p.smoothness < 0 else ''}",
        "monotonic" if p.monotonic else "not monotonic",
        f"saturates at {' and '.join(saturated)}" if saturated else "saturates nowhere",
        "zero-centred" if p.zero_centred else "not zero-centred",
        f"{number(p.at_zero)} at 0 with slope {number(p.slope_at_zero)}"
        + (", near the identity" if p.identity_near_zero else ""),
        f"dead on {' and '.join(part.shown(number) for part in p.dead)}" if p.dead else "dead nowhere",
        f"kinks at {' and '.join(map(number, p.kinks))}" if p.kinks else "no kinks",
        p.smoothness_class,
        f"Lipschitz constant {number(p.lipschitz)}",
        f"learnt parameters: {p.learnt_parameters}",
    ]
    if p.fixed_point:
        mean, variance = map(number, p.fixed_point)
        found.append(f"normalises itself to mean {mean} and variance {variance}")
    return found


def paragraph(
    properties: Properties, parameters: Mapping[str, float], number: Callable[[float], str] = plain
) -> list[str]:
    """The same as lines of a docstring, with the parameters that it holds for."""
    at = " and".join(f" {name} = {number(value)}" for name, value in parameters.items())
    return textwrap.wrap(f"Properties{' at' * bool(at)}{at}: {'; '.join(phrases(properties, number))}.", 120)
