"""All that was found in a program, put together: what the terminal, the page and JSON show."""

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from . import idioms, promotions
from .estimates import Estimator
from .idioms import Found
from .promotions import Promotion
from .recorder import LARGE, Recorder
from .records import Sample, Site

LEAST = 1e-3
"""Of the time on arrays: what takes less is left out."""
NAMES = {"e": "float16", "f": "float32", "d": "float64", "?": "bool", "l": "int64", "q": "int64", "i": "int32"}


@dataclass
class Fresh:
    """An operation whose large results are memory of their own each time."""

    site: Site
    size: float
    """Bytes of a result."""
    saved: float | None
    """Seconds that an ``out=`` would save, by timing; ``None`` if it was not timed."""


@dataclass
class Line:
    """What a line took, and what is to say of it."""

    file: str
    number: int
    seconds: float = 0.0
    calls: float = 0.0
    dtypes: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    @property
    def dtype(self) -> str:
        """The dtype that most of its time goes to."""
        return self.dtypes.most_common(1)[0][0] if self.dtypes else ""


@dataclass
class Findings:
    """What is known of a program that has ended."""

    program: str
    seconds: float
    ended_by: str
    array_seconds: float
    watching: float
    """Seconds that the hooks took, about."""
    lines: list[Line]
    promotions: list[Promotion]
    idioms: list[Found]
    fresh: list[Fresh]
    float64_seconds: float
    """Of operations in float64 that no promotion led to."""
    float64_lines: list[int]
    texts: dict[str, list[str]]
    """Each file's lines."""
    sampled: list[int]
    """First lines of loops and functions that were watched once in a while."""
    measured: bool = False

    def code(self, file: str, number: int) -> str:
        """A line of a file."""
        lines = self.texts.get(file, [])
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""

    def share(self, seconds: float) -> float:
        """Of the program's time."""
        return seconds / self.seconds if self.seconds else 0.0

    def place(self, file: str, number: int) -> str:
        """A line as it is written in a table; with its file if there are several."""
        return str(number) if len(self.texts) == 1 else f"{shown_path(file)}:{number}"

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, texts and lists."""
        return {
            "program": self.program,
            "seconds": self.seconds,
            "ended_by": self.ended_by,
            "array_seconds": self.array_seconds,
            "watching_seconds": self.watching,
            "lines": [
                {
                    "file": line.file,
                    "line": line.number,
                    "seconds": line.seconds,
                    "calls": line.calls,
                    "dtype": line.dtype,
                    "notes": line.notes,
                }
                for line in self.lines
            ],
            "promotions": [
                {
                    "file": found.site.file,
                    "line": found.site.line,
                    "cause": found.cause,
                    "seconds": found.seconds,
                    "downstream_seconds": found.downstream,
                    "could_save_seconds": found.saved,
                    "float64_lines": list(found.lines),
                    "then": [{"line": site.line, "cause": cause} for site, cause in found.behind],
                }
                for found in self.promotions
            ],
            "idioms": [
                {
                    "file": found.file,
                    "line": found.line,
                    "lines": list(found.lines),
                    "function": found.idiom.name,
                    "call": found.call,
                    "differs": found.idiom.differs,
                    "calls": found.calls,
                    "seconds": found.seconds,
                    "could_save_seconds": found.saved,
                    "shape": list(found.shape),
                    "dtype": NAMES.get(found.dtype, found.dtype),
                }
                for found in self.idioms
            ],
            "fresh": [
                {
                    "file": found.site.file,
                    "line": found.site.line,
                    "bytes": found.size,
                    "calls": found.site.calls,
                    "seconds": found.site.seconds,
                    "could_save_seconds": found.saved,
                }
                for found in self.fresh
            ],
            "float64_from_the_start_seconds": self.float64_seconds,
        }


def assemble(program: str, recorder: Recorder, seconds: float, ended_by: str = "", measure: bool = False) -> Findings:
    """Everything that follows from what a recorder has kept; ``measure`` times fastact's calls, which may compile them."""
    estimator = Estimator()
    total = sum(site.seconds for site in recorder.sites)
    found = [one for one in idioms.find(recorder) if one.seconds >= LEAST * total]
    if measure:
        idioms.time_calls(found, seconds, Estimator())
    promoted = [one for one in promotions.find(recorder, estimator) if one.downstream >= LEAST * total]
    taken = {number for one in found for number in one.sites}
    fresh = _fresh(recorder, taken, seconds, estimator)
    wide, wide_lines = promotions.float64_from_the_start(recorder)
    return Findings(
        program,
        seconds,
        ended_by,
        total,
        recorder.cost * recorder.events,
        _lines(recorder, promoted, found, fresh),
        promoted,
        found,
        fresh,
        wide,
        wide_lines,
        {file: source.text.splitlines() for file, source in recorder.sources.items()},
        sorted({recorder.sites[unit.sites[0]].line for unit in recorder.units if unit.every > 1 and unit.sites}),
        measure,
    )


def shown_path(file: str) -> str:
    """A file's path, from the current folder if it is below it."""
    relative = os.path.relpath(file) if os.path.isabs(file) else file
    return file if relative.startswith("..") else relative


def _fresh(recorder: Recorder, taken: set[int], seconds: float, estimator: Estimator) -> list[Fresh]:
    found = []
    for site in recorder.sites:
        large = [
            sample for sample in site.samples.values() if sample.calls >= 2 and sample.fresh >= LARGE * sample.calls
        ]
        if site.number in taken or not large or site.seconds < LEAST * seconds or site.kind == "item":
            continue
        sample: Sample = max(large, key=lambda sample: sample.seconds)
        kept = estimator.with_out(site, sample)
        if kept is not None:
            found.append(Fresh(site, sample.fresh / sample.calls, site.seconds * (1 - kept)))
    return sorted(found, key=lambda one: -(one.saved or 0.0))


def _lines(recorder: Recorder, promoted: list[Promotion], found: list[Found], fresh: list[Fresh]) -> list[Line]:
    lines: dict[tuple[str, int], Line] = {}
    for site in recorder.sites:
        if not site.calls:
            continue
        line = lines.setdefault((site.file, site.line), Line(site.file, site.line))
        line.seconds += site.seconds
        line.calls = max(line.calls, site.calls)
        for sample in site.samples.values():
            code = sample.result if sample.result != "-" else (sample.codes or ("-",))[0]
            if len(code) > 1 and code[0] in "as":
                line.dtypes[NAMES.get(code[1:], code[1:])] += sample.seconds  # type: ignore[assignment]
    for one in promoted:
        _note(lines, one.site.file, one.site.line, f"float32 becomes float64: {one.cause}")
        for number in one.lines:
            if number != one.site.line:
                _note(lines, one.site.file, number, f"computes in float64 because of line {one.site.line}")
    for idiom in found:
        _note(lines, idiom.file, idiom.line, idiom.call)
    for array in fresh:
        _note(lines, array.site.file, array.site.line, f"a fresh array of {array.size / 2**20:.3g} MiB each time: out=")
    return sorted(lines.values(), key=lambda line: -line.seconds)


def _note(lines: dict[tuple[str, int], Line], file: str, number: int, text: str) -> None:
    line = lines.get((file, number))
    if line is not None and text not in line.notes:
        line.notes.append(text)
