"""Pictures of ops: a panel each, with the value, the derivative, their limits and their kinks. The same bytes every time."""

import io
import math
import re
from collections.abc import Sequence
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser

from fastact.cli import _curves
from fastact.functions.elementwise import Op

VALUE, DERIVATIVE, OTHERS = "#1f5fa8", "#d1621d", ("#7aa6d6", "#b3cbe6")
"""Blue and orange that readers with any colour vision tell apart, and paler blues for other parameters."""
GREY = "#b0b0b0"

PANEL, DOTS_PER_INCH = (4.4, 3.9), 110
ROW, MOST_COLUMNS = 3, 5
"""So many panels make one row; more of them a square of rows, up to a width."""

UNSPACED = re.compile(r"(?<=[\w)]) (?=\\(?:ln|max|min|tanh)\b)")
"""A factor before a function, which Matplotlib sets without the space that TeX adds."""

STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "mathtext.fontset": "cm",
    "svg.hashsalt": "fastact",
    "figure.dpi": DOTS_PER_INCH,
}


def picture(ops: Sequence[Op], kind: str) -> bytes:
    """The contents of a file of this kind, ``"png"`` or ``"svg"``."""
    file = io.BytesIO()
    with matplotlib.style.context(["default", STYLE]):
        description = f"fastact {' '.join(map(_curves.fingerprint, ops))}"
        undated: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
        _figure(ops).savefig(file, format=kind, metadata={"Description": description, **undated})
    return file.getvalue()


def formula(op: Op) -> str:
    """The op's formula as Matplotlib writes it; empty if it cannot set it."""
    text = op.formula.replace(r"\frac", r"\dfrac").replace(r"\tfrac", r"\frac")
    text = "${}$".format(UNSPACED.sub(lambda _: r"\,", text))
    try:
        MathTextParser("path").parse(text)
    except ValueError:
        return ""
    return text


def _figure(ops: Sequence[Op]) -> Figure:
    columns = len(ops) if len(ops) <= ROW else min(MOST_COLUMNS, math.ceil(math.sqrt(len(ops))))
    rows = math.ceil(len(ops) / columns)
    figure = Figure(figsize=(columns * PANEL[0], rows * PANEL[1]), layout="constrained")
    for i, op in enumerate(ops):
        _panel(figure.add_subplot(rows, columns, i + 1), op)
    return figure


def _panel(axes: Any, op: Op) -> None:
    values, derivative = _curves.value_curves(op), _curves.derivative_curve(op)
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.axvline(0, color=GREY, linewidth=0.6)
    _draw_curve(axes, values[0], VALUE, linewidth=2, zorder=2.4)
    _draw_limits(axes, op, op.limits, VALUE)
    _draw_marks(axes, _curves.value_marks(op), VALUE, size=4)
    if derivative is not None:
        _draw_curve(axes, derivative, DERIVATIVE, linewidth=1.6, zorder=2.2, linestyle="--")
        _draw_limits(axes, op, op.derivative_limits, DERIVATIVE)
        _draw_marks(axes, _curves.derivative_marks(op), DERIVATIVE, size=7)
    for curve, colour in zip(values[1:], OTHERS, strict=False):
        _draw_curve(axes, curve, colour, linewidth=1.2, zorder=2)
    low, high = _curves.interval(op)
    shown = [curve.y for curve in [*values, *([derivative] if derivative else [])]]
    limits = [*op.limits.values(), *op.derivative_limits.values()]
    axes.set(xlim=(low, high), ylim=_range(np.concatenate([*shown, limits]), high), xlabel=op.operands[0])
    below = axes.set_title(formula(op), fontsize=11)
    axes.annotate(op.name, (0.5, 1), (0, 5), xycoords=below, textcoords="offset points", fontsize=12, ha="center")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False)


def _draw_curve(axes: Any, curve: _curves.Curve, colour: str, **style: Any) -> None:
    axes.plot(curve.x, curve.y, color=colour, label=curve.label, **style)


def _draw_limits(axes: Any, op: Op, limits: Any, colour: str) -> None:
    """A dotted line on the side where a finite limit is; the axis shows zero."""
    low, high = _curves.interval(op)
    for at, limit in limits.items():
        if math.isfinite(limit) and limit:
            axes.plot((0, high if at > 0 else low), (limit, limit), color=colour, linewidth=1, linestyle=":")


def _draw_marks(axes: Any, marks: Sequence[_curves.Mark], colour: str, size: float) -> None:
    """Points, a filled one for a value; the smaller of two that coincide lies on top."""
    for mark in marks:
        face = colour if mark.is_value else "white"
        axes.plot(mark.x, mark.y, "o", color=colour, markerfacecolor=face, markersize=size, zorder=3 - 0.01 * size)


def _range(y: Any, bound: float) -> tuple[float, float]:
    """What all of these need, within a square."""
    y = np.clip(y[np.isfinite(y)], -bound, bound)
    margin = 0.06 * (y.max() - y.min())
    return y.min() - margin, y.max() + margin
