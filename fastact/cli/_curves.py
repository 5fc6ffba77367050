"""What there is to see of an op, from its record: curves over an interval, marks at kinks, limits. Plain NumPy, no drawing."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastact import reference
from fastact.functions.elementwise import Op

HALF_WIDTH, BEYOND_KINKS = 5.0, 2.0
"""An interval reaches from -5 to 5, and so far beyond the last kink."""
POINTS = 2001
MOST_SAMPLES = 3
"""Of the record's parameters so many are drawn; the first are those that its limits and kinks belong to."""
JUMP, STEEPER = 0.05, 10.0
"""Neighbouring points that differ by more than this, and by so many times more than theirs do, are on two sides of a jump."""
BESIDE = 1e-9


@dataclass(frozen=True)
class Curve:
    """A function of an op's first operand."""

    label: str
    x: Any
    y: Any
    """With a NaN where the line is to be interrupted."""


@dataclass(frozen=True)
class Mark:
    """A point at a kink: what the function is there, or what it tends to from one side."""

    x: float
    y: float
    is_value: bool


def interval(op: Op) -> tuple[float, float]:
    """Where an op is drawn."""
    half = max([HALF_WIDTH, *(abs(kink) + BEYOND_KINKS for kink in op.kinks)])
    return -half, half


def value_curves(op: Op) -> list[Curve]:
    """The value for the record's samples of parameters."""
    curves: list[Curve] = []
    for sample in op.samples[:MOST_SAMPLES]:
        given = parameters(op, sample)
        call = f"{op.name}({', '.join([op.operands[0], *map(_number, given.values())])})"
        label = f"{call}; limits {_limits(op.limits)}" if not curves else call
        curves.append(_curve(op, label, lambda x, given=given: _value(op, x, given)))
    return curves


def derivative_curve(op: Op) -> Curve | None:
    """The derivative for the first sample; ``None`` of an op without one."""
    if op.derivative is None:
        return None
    return _curve(op, f"derivative; limits {_limits(op.derivative_limits)}", lambda x: _derivative(op, x))


def value_marks(op: Op) -> list[Mark]:
    """The value at the kinks."""
    given = parameters(op, op.samples[0])
    return [mark for kink in op.kinks for mark in _marks(kink, *_value(op, _around(kink), given))]


def derivative_marks(op: Op) -> list[Mark]:
    """The derivative that was chosen at the kinks, and what it is on both sides."""
    marks = []
    for kink, chosen in op.kinks.items():
        left, _, right = _derivative(op, _around(kink))
        marks += _marks(kink, left, chosen, right)
    return marks


def parameters(op: Op, sample: tuple[float, ...]) -> dict[str, float]:
    """A sample, completed with the defaults, by name."""
    names = list(op.parameters)
    return dict(zip(names, [*sample, *(op.defaults[name] for name in names[len(sample) :])], strict=True))


def fingerprint(op: Op) -> str:
    """What a picture depends on, in short: kept inside it, so that a stale one is found without drawing it anew."""
    facts = op.name, op.formula, op.limits, op.derivative_limits, op.kinks, op.samples, op.defaults, op.operands
    total = hashlib.sha256(repr(facts).encode())
    for name in ("_curves.py", "_drawing.py"):
        total.update(Path(__file__).with_name(name).read_bytes())
    return total.hexdigest()[:16]


def _value(op: Op, x: Any, given: dict[str, float]) -> Any:
    return reference.value(op.name, x, *given.values())


def _derivative(op: Op, x: Any) -> Any:
    total = sum(reference.derivative_terms(op.name, x, *parameters(op, op.samples[0]).values()))
    return np.broadcast_to(np.asarray(total), np.shape(x))


def _curve(op: Op, label: str, function: Any) -> Curve:
    x = np.linspace(*interval(op), POINTS)
    y = function(x)
    with np.errstate(invalid="ignore"):
        step = np.abs(np.diff(y))
        calm = np.maximum(np.r_[0.0, step[:-1]], np.r_[step[1:], 0.0])
        after = np.flatnonzero((step > JUMP) & (step > STEEPER * calm)) + 1
    return Curve(label, np.insert(x, after, np.nan), np.insert(y, after, np.nan))


def _around(kink: float) -> Any:
    return np.array([kink - BESIDE, kink, kink + BESIDE])


def _marks(kink: float, left: float, at: float, right: float) -> list[Mark]:
    sides = {side for side in (left, right) if not math.isclose(side, at, abs_tol=1e-6)}
    return [*(Mark(kink, float(side), False) for side in sorted(sides)), Mark(kink, float(at), True)]


def _limits(limits: Any) -> str:
    return " and ".join(_number(limits[x]) for x in (-math.inf, math.inf))


def _number(y: float) -> str:
    if math.isnan(y):
        return "NaN"
    return f"{y:.4g}".replace("inf", "\N{INFINITY}").replace("-", "\N{MINUS SIGN}")
