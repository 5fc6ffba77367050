"""Draw the pictures of ``docs/choosing.md``: functions and derivatives side by side, and gradients by layer of deep networks.

Like those of ``pictures.py``, each holds a fingerprint of what it depends on, and is drawn anew only where that has changed.
"""

import hashlib
import io
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE), str(HERE.parent / "examples")]

from choosing import relative  # noqa: E402
from pages import DOCS, remove_or_check, stale  # noqa: E402

from fastact.cli import _curves  # noqa: E402
from fastact.functions.elementwise import Op  # noqa: E402

IMAGES = DOCS / "images" / "choosing"
DEPTH = "depth"
"""The name of the picture of gradients by layer."""
SHOWN = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "softplus")
"""The activations in it."""

PAIRS, PANEL = 2, (2.2, 1.75)
DEAD, LINES = "#e4e4e4", ("#1f5fa8", "#d1621d", "#2a8a4a", "#8a4fa3", "#b8860b", "#c2185b", "#5b6b7a", "#17a2a2")
SPACE = 0.055
"""Labels at the ends of lines are at least so far apart, in parts of the axis."""


def write(families: Mapping[str, Sequence[Op]], figures: Any, check: bool) -> bool:
    """Draw what is missing or stale, or find it; whether all are fresh."""
    wanted: dict[str, tuple[str, Callable[[], Any]]] = {
        name: (_mark([_curves.fingerprint(op), str(op.properties)] for op in ops), partial(_pairs, ops))
        for name, ops in families.items()
    }
    wanted[DEPTH] = _mark(json.dumps(figures["deep"])), partial(_depth, figures)
    fresh = True
    for name, (mark, draw) in wanted.items():
        path = IMAGES / f"{name}.svg"
        if path.exists() and mark in path.read_text(encoding="utf-8"):
            continue
        if check:
            fresh = stale(path)
        else:
            IMAGES.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_svg(draw, mark))
    gone = [path for path in IMAGES.glob("*.svg") if path.stem not in wanted]
    return all([fresh, *(remove_or_check(path, check) for path in gone)])


def _mark(facts: Any) -> str:
    """A fingerprint of facts and of how they are drawn."""
    text = facts if isinstance(facts, str) else repr(list(facts))
    return hashlib.sha256(text.encode() + Path(__file__).read_bytes()).hexdigest()[:16]


def _svg(draw: Callable[[], Any], mark: str) -> bytes:
    import matplotlib.style

    from fastact.cli._drawing import STYLE

    file = io.BytesIO()
    with matplotlib.style.context(["default", STYLE, {"font.size": 8}]):
        draw().savefig(file, format="svg", metadata={"Description": f"fastact {mark}", "Date": None})
    return file.getvalue()


def _figure(columns: int, rows: int, size: tuple[float, float]) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(columns * size[0], rows * size[1]), layout="constrained")


def _pairs(ops: Sequence[Op]) -> Any:
    """Two panels for each activation, its function and its derivative."""
    rows = math.ceil(len(ops) / PAIRS)
    figure = _figure(2 * PAIRS, rows, PANEL)
    for i, op in enumerate(ops):
        left, right = (figure.add_subplot(rows, 2 * PAIRS, 2 * i + side) for side in (1, 2))
        _function(left, op)
        _derivative(right, op)
    return figure


def _function(axes: Any, op: Op) -> None:
    from fastact.cli._drawing import VALUE

    _panel(axes, op, _curves.value_curves(op)[0], _curves.value_marks(op), op.limits, VALUE)
    axes.set_title(op.name, fontsize=9)


def _derivative(axes: Any, op: Op) -> None:
    from fastact.cli._drawing import DERIVATIVE

    low, high = _curves.interval(op)
    for part in op.properties.dead:
        axes.axvspan(max(part.low, low), min(part.high, high), color=DEAD, linewidth=0)
    curve = _curves.derivative_curve(op)
    assert curve is not None, "an activation has a derivative"
    _panel(axes, op, curve, _curves.derivative_marks(op), op.derivative_limits, DERIVATIVE)
    axes.set_title("derivative", fontsize=8, color=DERIVATIVE)


def _panel(axes: Any, op: Op, curve: _curves.Curve, marks: Any, limits: Mapping[float, float], colour: str) -> None:
    low, high = _curves.interval(op)
    for line in (axes.axhline, axes.axvline):
        line(0, color="#b0b0b0", linewidth=0.6)
    for end, limit in limits.items():
        if math.isfinite(limit):
            axes.plot((0, high if end > 0 else low), (limit, limit), color=colour, linewidth=0.8, linestyle=":")
    axes.plot(curve.x, curve.y, color=colour, linewidth=1.5)
    for mark in marks:
        face = colour if mark.is_value else "white"
        axes.plot(mark.x, mark.y, "o", color=colour, markerfacecolor=face, markersize=3, zorder=3)
    axes.set(xlim=(low, high))
    axes.margins(y=0.08)


def _depth(figures: Any) -> Any:
    """Gradients by layer over those of the last hidden layer: a panel for each size of weights, a line for each activation."""
    gains = list(next(iter(figures["deep"].values())))
    figure = _figure(len(gains), 1, (4.4, 3.6))
    for i, gain in enumerate(gains):
        axes = figure.add_subplot(1, len(gains), i + 1)
        ends = {}
        for name, colour in zip(SHOWN, LINES, strict=True):
            gradients = relative(figures["deep"][name][gain]["gradients"])
            axes.plot(range(1, len(gradients) + 1), gradients, color=colour, linewidth=1.4)
            ends[name] = gradients[0], colour
        axes.set(yscale="log", xlim=(figures["depth"], 1), xlabel="layer", title=f"weights of variance {gain}/n")
        axes.set_xticks([1, 10, 20, figures["depth"]])
        _label(axes, ends)
    figure.axes[0].set_ylabel(f"gradient, over that of layer {figures['depth']}")
    return figure


def _label(axes: Any, ends: Mapping[str, tuple[float, str]]) -> None:
    """Names beside the ends of lines, moved apart where they would overlap."""
    low, high = map(math.log, axes.get_ylim())
    rising = sorted(ends, key=lambda name: ends[name][0])
    places = [(math.log(ends[name][0]) - low) / (high - low) for name in rising]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + SPACE)
    places[-1] = min(places[-1], 1.0)
    for i in reversed(range(len(places) - 1)):  # back down from the top, where they have been moved beyond it
        places[i] = min(places[i], places[i + 1] - SPACE)
    for name, at in zip(rising, places, strict=True):
        axes.annotate(name, (1.02, at), xycoords="axes fraction", color=ends[name][1], va="center", fontsize=8)
