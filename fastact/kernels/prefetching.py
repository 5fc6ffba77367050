"""Asking for memory before it is read or written, for passes that move more of it than they compute."""

from typing import Any

from fastact.kernels.elementwise import LINE_BYTES
from fastact.kernels.lanes import prefetch, prefetch_for_writing
from fastact.kernels.limits import LANES
from fastact.kernels.memory import advance
from fastact.kernels.templates import FILLED_IN  # noqa: F401 - these are templates

# What instances fill in; the value here serves the reader and the type checker.
SIZE = 4


def fetch_ahead(place: Any, distance: Any) -> None:
    """Ask for the LANES elements that lie so many bytes ahead: the processor's own look does not go beyond long formulas."""
    for line in range(distance, distance + LANES * SIZE, LINE_BYTES):
        prefetch(advance(place, line))


def own_ahead(place: Any, distance: Any) -> None:
    """As ``fetch_ahead`` for what will be written."""
    for line in range(distance, distance + LANES * SIZE, LINE_BYTES):
        prefetch_for_writing(advance(place, line))
