"""What a compiled activation shows of its properties over float32 inputs, in rising order, and where its record disagrees.

Over every float32 this decides range, turns, dead inputs, kinks, jumps, steepness and symmetry; the tests take a dense grid,
numbers of every binade and what lies next to kinks. ``Op.properties`` are compared with what was found, and not used to find it.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from fastact.functions.elementwise import Op
from tests.mpmaths import exact
from tests.ulp import compute, float32_samples, neighbours, parameters

EPS, LARGEST = float(np.finfo(np.float32).eps), float(np.finfo(np.float32).max)
BLOCK = 1 << 15
"""Inputs at a time: what is computed of them stays in the second-level cache."""
GRID_END, GRID_STEP = 32, 2.0**-12

STEEPEST = 4.0
"""A value that changes by more than so many times the distance of two inputs jumps between them; no slope is half as steep."""
SLOPE_JUMP, CLOSE = 0.01, 1e-3
"""A slope that changes by more than the first between inputs that are closer than the second, absolutely or relatively, jumps."""
NEAR = 8.0
"""Where a minimum or maximum is attained, if it is: a value that is only approached is further from it there than ATTAINED."""
ATTAINED = 1e-7
AT_TURN = 1e-5
"""Relatively so close to a turn, rounding errors may have the slope change its sign to and fro."""


@dataclass(frozen=True)
class Extreme:
    """A number, and an input where it was found."""

    value: float
    at: float


@dataclass
class Run:
    """Consecutive inputs whose slopes have one sign."""

    sign: int
    first: float
    last: float


@dataclass
class Found:
    """What has been measured."""

    low: Extreme = Extreme(math.inf, math.nan)
    high: Extreme = Extreme(-math.inf, math.nan)
    low_near: Extreme = Extreme(math.inf, math.nan)
    high_near: Extreme = Extreme(-math.inf, math.nan)
    """The extremes within NEAR of zero."""
    steepest: Extreme = Extreme(0.0, math.nan)
    runs: list[Run] = field(default_factory=list)
    jumps: list[tuple[float, float, int]] = field(default_factory=list)
    """Neighbours between which the value jumps, and its direction."""
    bends: list[tuple[float, float]] = field(default_factory=list)
    """Neighbours between which the slope jumps."""
    odd: bool = True
    last: tuple[Any, Any, Any] = (np.empty(0, np.float32),) * 3


def samples(op: Op) -> list[Any]:
    """Blocks of finite inputs for the tests, in rising order."""
    grid = np.arange(-GRID_END, GRID_END, GRID_STEP, dtype=np.float32)
    corners = neighbours([*op.kinks, *(op.traits.turns if op.traits else ())], np.float32, 64)
    x = np.unique(np.concatenate([grid, float32_samples(op), corners]))
    return [x[np.isfinite(x)]]


def every_float32(chunks: Iterable[int], of: int) -> Iterator[Any]:
    """All finite inputs in rising order, block by block: some of so many chunks, of which half are below zero."""
    finite, count = 0x7F800000, np.arange(BLOCK, dtype=np.uint32)
    for chunk in chunks:
        start, stop = (2 * finite * i // of - finite for i in (chunk, chunk + 1))
        for at in range(start, stop, BLOCK):
            some = count[: min(BLOCK, stop - at)]
            bits = np.uint32(at) + some if at >= 0 else np.uint32(0x7FFFFFFF - at) - some
            yield bits.view(np.float32)


def measure(op: Op, blocks: Iterable[Any]) -> Found:
    """Measure the float32 kernels, at the parameters that the record's properties are for."""
    found, given = Found(), parameters(op, np.float32)
    for x in blocks:
        y, slope = compute(op.name, x, *given), compute(f"{op.name}_backward", x, *given)
        if found.odd:
            with np.errstate(over="ignore"):
                found.odd = bool((np.abs(compute(op.name, -x, *given) + y) <= 4 * EPS * np.abs(y)).all())
        _extremes(found, x, y, slope)
        x, y, slope = (np.concatenate(pair) for pair in zip(found.last, (x, y, slope), strict=True))
        lowest, highest = slope.min(), slope.max()
        _runs(found, x, np.sign(lowest) if np.sign(lowest) == np.sign(highest) else np.sign(slope))
        _jumps(found, x, y)
        if highest - lowest > SLOPE_JUMP:
            _bends(found, x, slope)
        found.last = x[-1:], y[-1:], slope[-1:]
    return found


def _extremes(found: Found, x: Any, y: Any, slope: Any) -> None:
    near = slice(*np.searchsorted(x, np.array([-NEAR, NEAR], np.float32)))
    for name, sign, where in (
        ("low", -1, slice(None)),
        ("high", 1, slice(None)),
        ("low_near", -1, near),
        ("high_near", 1, near),
    ):
        _extreme(found, name, sign, x[where], y[where])
    if max(slope.max(), -slope.min()) > found.steepest.value:
        _extreme(found, "steepest", 1, x, np.abs(slope))


def _extreme(found: Found, name: str, sign: int, x: Any, y: Any) -> None:
    if not y.size:
        return
    best = float(y.max() if sign > 0 else y.min())
    if sign * best > sign * getattr(found, name).value:
        setattr(found, name, Extreme(best, float(x[y.argmax() if sign > 0 else y.argmin()])))


def _runs(found: Found, x: Any, signs: Any) -> None:
    """Add what the signs of some slopes are, or the one sign of all."""
    edges = np.flatnonzero(signs[1:] != signs[:-1]) if np.ndim(signs) else np.empty(0, np.intp)
    for first, last in zip(np.r_[0, edges + 1], np.r_[edges, len(x) - 1], strict=True):
        sign = int(signs[first] if np.ndim(signs) else signs)
        if found.runs and found.runs[-1].sign == sign and found.runs[-1].last == x[first]:
            found.runs[-1].last = float(x[last])
        else:
            found.runs.append(Run(sign, float(x[first]), float(x[last])))


def _jumps(found: Found, x: Any, y: Any) -> None:
    with np.errstate(over="ignore", invalid="ignore"):  # a slope of more than 1 takes the largest inputs to infinity
        step = np.diff(y)
        if max(step.max(initial=0), -step.min(initial=0)) <= 8 * EPS * min(abs(y[0]), abs(y[-1])):
            return  # unless it turns in between, which costs no more than a closer look
        far = np.flatnonzero(np.abs(step) > STEEPEST * np.diff(x) + 8 * EPS * np.abs(y[1:]))
    found.jumps += [(float(x[i]), float(x[i + 1]), int(np.sign(step[i]))) for i in far]


def _bends(found: Found, x: Any, slope: Any) -> None:
    close = np.diff(x) <= CLOSE * np.maximum(np.abs(x[1:]), 1)
    bent = np.flatnonzero((np.abs(np.diff(slope)) > SLOPE_JUMP) & close)
    found.bends += [(float(x[i]), float(x[i + 1])) for i in bent]


def disagreements(op: Op, found: Found) -> list[str]:
    """What the record's properties say that was not found, or otherwise, in words."""
    if found.steepest.value > STEEPEST / 2:
        return [f"the slope is {found.steepest.value} at {found.steepest.at}: measure with a larger STEEPEST"]
    checks = _of_range, _of_turns, _of_dead, _of_kinks, _of_the_rest
    return [f"{op.name}: {what}" for check in checks for what in check(op, found)]


def _of_range(op: Op, found: Found) -> Iterator[str]:
    reach = op.properties.range
    for end, closed, extreme, near, sign in (
        (reach.low, reach.low_closed, found.low, found.low_near, -1),
        (reach.high, reach.high_closed, found.high, found.high_near, 1),
    ):
        if not math.isfinite(end):
            if closed or end != sign * math.inf or sign * extreme.value < LARGEST / 1000:
                yield f"range {reach}, found {extreme}"
            continue
        if abs(extreme.value - end) > 4 * EPS * max(1, abs(end)):
            yield f"range {reach}, found {extreme}"
        attained = abs(_exact(op, near.at, backward=False) - end) < ATTAINED
        if attained != closed:
            yield f"range {reach}, {end} is {'' if attained else 'not '}attained at {near.at}"


def _of_turns(op: Op, found: Found) -> Iterator[str]:
    p, directions = op.properties, {run.sign for run in found.runs} | {sign for _, _, sign in found.jumps}
    if p.monotonic == ({-1, 1} <= directions):
        yield f"monotonic={p.monotonic}, directions found are {directions}"
    assert op.traits is not None
    sloping = [run for run in found.runs if run.sign]
    changes = [(a.last, b.first) for a, b in pairwise(sloping) if a.sign != b.sign]
    for turn in op.traits.turns:
        before, after = turn - AT_TURN * abs(turn), turn + AT_TURN * abs(turn)
        signs = {run.sign for run in sloping if run.first < before <= run.last or run.first <= after < run.last}
        if signs != {-1, 1}:
            yield f"turns at {turn}, found only slopes of sign {signs} there"
    for a, b in changes:
        if not any(abs(x - turn) <= AT_TURN * abs(turn) for turn in op.traits.turns for x in (a, b)):
            yield f"turns at {op.traits.turns}, found one between {a} and {b}"


def _of_dead(op: Op, found: Found) -> Iterator[str]:
    dead = [(run.first, run.last) for run in found.runs if run.sign == 0 and not _underflows(op, run)]
    stated = [
        (_inner(part.low, part.low_closed, math.inf), _inner(part.high, part.high_closed, -math.inf))
        for part in op.properties.dead
    ]
    if dead != stated:
        yield f"dead {list(map(str, op.properties.dead))}, found {dead}"


def _inner(end: float, closed: bool, inwards: float) -> float:
    """The outermost float32 of an interval."""
    if closed:
        return end
    return float(np.nextafter(np.float32(end), np.float32(inwards)))


def _underflows(op: Op, run: Run) -> bool:
    """Whether slopes that were 0 are too small for a float32 only, or that of a single point, which is no region."""
    return run.first == run.last or all(0 < abs(_exact(op, x, backward=True)) < EPS for x in (run.first, run.last))


def _of_kinks(op: Op, found: Found) -> Iterator[str]:
    p = op.properties
    for name, places in (("kinks", found.bends), ("jumps", [(a, b) for a, b, _ in found.jumps])):
        for a, b in places:
            if not any(a <= kink <= b for kink in p.kinks):
                yield f"kinks {p.kinks}, found one of {name} between {a} and {b}"
    for kink in p.kinks:
        if not any(a <= kink <= b for a, b in found.bends):
            yield f"kinks {p.kinks}, found no jump of the slope at {kink}"
    if (p.smoothness < 0) != bool(found.jumps) or (p.smoothness < 1) != bool(found.bends):
        yield f"{p.smoothness_class}, found jumps at {found.jumps} and of the slope at {found.bends}"


def _of_the_rest(op: Op, found: Found) -> Iterator[str]:
    p, given = op.properties, parameters(op, np.float32)
    steepest = math.inf if found.jumps else found.steepest.value
    if not math.isclose(p.lipschitz, steepest, rel_tol=8 * EPS):
        yield f"Lipschitz constant {p.lipschitz}, found {steepest} at {found.steepest.at}"
    if p.zero_centred != found.odd:
        yield f"zero_centred={p.zero_centred}, found odd={found.odd}"
    ends = np.array([-1e30, 1e30], np.float32)
    flat = (np.abs(compute(op.name, ends, *given)) < 1e20) & (compute(f"{op.name}_backward", ends, *given) < 1e-20)
    if (p.saturates_left, p.saturates_right) != tuple(flat.tolist()):
        yield f"saturates {p.saturates_left, p.saturates_right}, found {flat}"
    zero, small = np.zeros(1, np.float32), np.array([-(2.0**-10), -(2.0**-12), 2.0**-12, 2.0**-10], np.float32)
    for name, said in ((op.name, p.at_zero), (f"{op.name}_backward", p.slope_at_zero)):
        if abs((got := float(compute(name, zero, *given)[0])) - said) > 4 * EPS * abs(said):
            yield f"{name} at zero {said}, found {got}"
    unchanged = bool((np.abs(compute(op.name, small, *given) - small) <= 2 * small**2).all())
    if p.identity_near_zero != unchanged:
        yield f"identity_near_zero={p.identity_near_zero}, found {unchanged}"


def _exact(op: Op, x: float, *, backward: bool) -> Any:
    """The value or the slope in multiple precision."""
    return exact(f"{op.name}_backward" if backward else op.name, x, *parameters(op, np.float64))[0]
