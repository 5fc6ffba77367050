"""How the axes of a function's operands and results correspond."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from numpy.lib.array_utils import normalize_axis_tuple

ROWS = "..."


class Layout(NamedTuple):
    """The axes of each operand and result: ``...`` stands for those of its rows, a letter for what `axis` names.

    Without rows, each letter is one axis.
    """

    operands: Mapping[str, str]
    """By the operand's name."""
    results: tuple[str, ...]
    """In a container like the first operand with the same axes that is one, else like the first that has rows."""
    owners: tuple[str, ...] = ()
    """The operands that results belong to, where their axes do not say it."""


def broadcast_axes(full: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes along which something of a shape has been broadcast to a full one."""
    added = len(full) - len(shape)
    return (*range(added), *(added + i for i, n in enumerate(shape) if n == 1 and full[added + i] != 1))


def core_axes(axes: str, ndim: int, axis: Any) -> tuple[int, ...]:
    """Which axes of an array are not those of its rows, counted from the front."""
    letters = axes.removeprefix(ROWS)
    if not axes.startswith(ROWS):
        return tuple(range(ndim))
    if not letters or not ndim:
        return ()
    return tuple(normalize_axis_tuple(range(ndim) if axis is None else axis, ndim, "axis"))
