"""The expressions of a program that one call of fastact computes, what they took, and what the call would take."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .estimates import Estimator
from .forms import Form
from .matching import Bindings, match, pattern
from .patterns import IDIOMS, Idiom
from .reading import Reader
from .recorder import Recorder
from .records import Sample, Source

HELPERS = "cekfhw"
"""Letters that stand for what the call computes too: a maximum that is subtracted, a correction, a state."""
NAMES = {"g": "grad", "y": "labels", "t": "targets"}
"""What letters are shown as, where the operand is none that has a short name."""
FLOATS = "efd"
LONGEST = 44
"""Of an operand as it is shown."""
LEAST_SHARE = 0.01
"""Of the program's time: what takes less is not timed."""


@dataclass
class Found:
    """An expression that one call computes."""

    idiom: Idiom
    pattern: str
    root: int
    """The site that gives its result."""
    file: str
    line: int
    whole: bool
    """Whether the expression has no more terms than the pattern."""
    lines: tuple[int, ...]
    """All lines that it takes in."""
    sites: frozenset[int]
    call: str
    calls: float
    seconds: float
    shape: tuple[int, ...] = ()
    dtype: str = ""
    new_seconds: float | None = None
    """Of all calls of the function, if it was timed."""

    @property
    def saved(self) -> float | None:
        """Seconds that the call would save; ``None`` if it was not timed."""
        return None if self.new_seconds is None else max(0.0, self.seconds - self.new_seconds)


def find(recorder: Recorder) -> list[Found]:
    """Each expression once, as part of the largest that one call computes; those that take longest first."""
    candidates = [
        found for source in recorder.sources.values() for found in _without_larger([*_in_source(source, recorder)])
    ]
    rank = {id(idiom): place for place, idiom in enumerate(IDIOMS)}
    candidates.sort(key=lambda found: (-len(found.sites), -pattern(found.pattern).size, rank[id(found.idiom)]))
    taken: set[int] = set()
    kept = []
    for found in candidates:
        if found.sites & taken:
            continue
        taken |= found.sites
        kept.append(found)
    return sorted(kept, key=lambda found: -found.seconds)


def _without_larger(candidates: list[Found]) -> list[Found]:
    """What an earlier statement computes as a whole is not part of one that takes it further."""
    wholes = [one for one in candidates if one.whole]
    return [
        one
        for one in candidates
        if one.whole or not any(less.idiom.name == one.idiom.name and less.sites < one.sites for less in wholes)
    ]


def time_calls(found: list[Found], total: float, estimator: Estimator) -> None:
    """Time the calls that would stand in the place of what takes long; each shape once."""
    from fastact import table

    class Functions:
        def __getattr__(self, name: str) -> Any:
            return table.function(name).function

    timed: dict[Any, float | None] = {}
    for one in found:
        if one.idiom.run is None or not one.shape or one.seconds < LEAST_SHARE * total:
            continue
        key = one.idiom.name, one.shape, one.dtype
        if key not in timed:
            timed[key] = None
            x = estimator.array(one.shape, one.dtype)
            if x is not None:
                run = one.idiom.run
                timed[key] = estimator.seconds(lambda run=run, x=x: run(Functions(), x, estimator.rng), warm=True)  # type: ignore[misc]
        seconds = timed[key]
        one.new_seconds = None if seconds is None else seconds * one.calls


def _in_source(source: Source, recorder: Recorder) -> Iterator[Found]:
    by_head: dict[str, list[tuple[Idiom, str]]] = {}
    for idiom in IDIOMS:
        for text in idiom.patterns:
            by_head.setdefault(pattern(text).head, []).append((idiom, text))
    near = {
        (found.root, found.pattern): found
        for found in _in_reads(Reader(source, recorder.sites, False), by_head, recorder)
    }
    for found in _in_reads(Reader(source, recorder.sites), by_head, recorder):
        # What fits as it stands there is not looked for in the statements before.
        yield near.pop((found.root, found.pattern), found)
    yield from near.values()


def _in_reads(reader: Reader, by_head: dict[str, list[tuple[Idiom, str]]], recorder: Recorder) -> Iterator[Found]:
    seen: set[int] = set()
    for read in reader.read():
        for form in read.form.nodes():
            if id(form) in seen or form.head not in by_head:
                continue
            seen.add(id(form))
            if not any(recorder.sites[number].calls for number in _own_sites(form)):
                continue
            for idiom, text in by_head[form.head]:
                known = match(text, form)
                found = None if known is None else _found(idiom, text, form, known, recorder)
                if found is not None:
                    yield found


def _found(idiom: Idiom, text: str, form: Form, known: Bindings, recorder: Recorder) -> Found | None:
    if any(match(other, form) is not None for other in idiom.unless):
        return None
    if idiom.apart and known[idiom.apart[1]] in known[idiom.apart[0]].nodes():
        return None
    given: set[int] = set()
    for letter, bound in known.items():
        if letter not in HELPERS:
            given |= bound.sites()
    inside = frozenset(number for number in form.sites() - given if recorder.sites[number].calls)
    own = [recorder.sites[number] for number in _own_sites(form) if number in inside]
    if not own:
        return None
    sites = [recorder.sites[number] for number in inside]
    largest = _largest([sample for site in sites for sample in site.samples.values()])
    if largest is None:
        return None
    shape, dtype = largest
    axes = [node.axis for node in form.nodes() if node.axis]
    axis = next((axis for axis in axes if axis != "None"), axes[0] if axes else "")
    if not _fits(idiom, axis, shape, sites):
        return None
    return Found(
        idiom,
        text,
        own[0].number,
        own[0].file,
        own[0].line,
        match(text, form, more=False) is not None,
        tuple(sorted({site.line for site in sites})),
        inside,
        _shown(idiom.call, known, axis, len(shape)),
        max(site.calls for site in own),
        sum(site.seconds for site in sites),
        shape,
        dtype,
    )


def _own_sites(form: Form) -> tuple[int, ...]:
    """The sites of its last operation; of a slice, which takes no time, those of what it is a slice of."""
    return form.own_sites() or (form.args[0].own_sites() if form.head == "item" else ())


def _largest(samples: list[Sample]) -> tuple[tuple[int, ...], str] | None:
    """Shape and dtype of the largest array of floats among operands and results."""
    best: tuple[int, tuple[int, ...], str] | None = None
    for sample in samples:
        arrays = list(zip(sample.codes, sample.shapes, strict=False))
        arrays.append((sample.result, sample.result_shape))
        for code, shape in arrays:
            if code[0] == "a" and code[1:] in FLOATS and shape:
                size = 1
                for length in shape:
                    size *= length
                if best is None or size > best[0]:
                    best = size, tuple(shape), code[1:]
    return None if best is None else best[1:]


def _fits(idiom: Idiom, axis: str, shape: tuple[int, ...], sites: Any) -> bool:
    last = axis in ("-1", str(len(shape) - 1)) or (axis in ("", "None") and len(shape) == 1)
    if idiom.needs == "rows":
        return last
    if idiom.needs == "columns":
        return axis in {2: ("0", "(0,)"), 3: ("(0, 1)",), 4: ("(0, 1, 2)",)}.get(len(shape), ())
    if idiom.needs == "channels":
        return axis in {3: ("(0, 2)",), 4: ("(0, 2, 3)",)}.get(len(shape), ())
    if idiom.needs == "axis":
        return axis not in ("", "None") or len(shape) == 1
    if idiom.needs == "scalar":
        codes = [sample.codes for site in sites for sample in site.samples.values() if site.kind == "binop"]
        return any(code in ("-", "sd", "sf") for pair in codes for code in pair)
    return True


def _shown(call: str, known: Bindings, axis: str, ndim: int) -> str:
    """The call with the operands' names."""
    if axis in ("", "None") and ndim == 1:
        call = call.replace(", axis={axis}", "")
    texts = {letter: _text(bound, letter) for letter, bound in known.items()}
    texts |= {letter: NAMES.get(letter, letter) for letter in "xgyvtpnksbaiLAE" if letter not in texts}
    return call.format(**texts, axis=axis or "None")


def _text(form: Form, letter: str) -> str:
    if form.text and len(form.text) <= LONGEST and form.head in ("name", "const", "item", "called", "attr"):
        return form.text
    return NAMES.get(letter, letter)
