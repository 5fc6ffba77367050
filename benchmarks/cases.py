"""The cases: every op of the registry, forward and backward, by dtype, size and variant, and the contenders of each.

asv, pytest-benchmark and ``compare.py`` read this. Importing it imports neither fastact nor any other library.
"""

import importlib
import math
import timeit
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.idioms import IDIOMS, Idiom, fresh, writes_out

DIRECTIONS = ("forward", "backward")
DTYPES = ("float32", "float64", "float16")
SIZES = (10, 1_000, 10_000, 100_000, 1_000_000, 16_000_000)
PEERS = ("numpy", "torch")

VARIANT_SIZES = {
    "out": SIZES,
    "fresh": SIZES,
    "in-place": (100_000, 1_000_000),
    "strided": (100_000, 1_000_000),
    "half": SIZES[-1:],
}
"""``half`` is float16 against float32; the sizes are those that are measured by default."""

ROOF_FROM = 100_000
"""From this size on relu runs along. It only moves memory: it shows how near an op is to memory's speed."""


@dataclass(frozen=True)
class Case:
    """One thing to measure."""

    op: str
    direction: str
    dtype: str
    size: int
    variant: str = "out"

    @property
    def name(self) -> str:
        """The public function's name."""
        return self.op if self.direction == "forward" else f"{self.op}_backward"

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} {self.size:.0e} {self.variant}"


@dataclass(frozen=True)
class Contender:
    """A statement to time, and the names in it."""

    statement: str
    names: Mapping[str, Any] = field(repr=False)
    prepare: str = ""
    """Run before each repetition, with the clock stopped."""

    def timer(self) -> timeit.Timer:
        """A timer of the bare statement: no function call stands between it and the clock."""
        return timeit.Timer(self.statement, self.prepare or "pass", globals=dict(self.names))

    def result(self) -> Any:
        """What the statement returns."""
        names = dict(self.names)
        exec(self.prepare, names)
        return eval(self.statement, names)


def op_names() -> list[str]:
    """Every op of the registry."""
    import fastact

    return list(fastact.ops)


def every_case(
    ops: Sequence[str],
    directions: Sequence[str] = DIRECTIONS,
    dtypes: Sequence[str] = DTYPES,
    sizes: Sequence[int] | None = None,
    variants: Sequence[str] = tuple(VARIANT_SIZES),
) -> Iterator[Case]:
    """The cases of some ops. ``sizes=None`` are each variant's own; cases that share their data follow each other."""
    import fastact

    for dtype in dtypes:
        for size in sorted(set(SIZES if sizes is None else sizes)):
            for op in ops:
                for direction in directions:
                    for variant in variants:
                        case = Case(op, direction, dtype, size, variant)
                        if (sizes is not None or size in VARIANT_SIZES[variant]) and _exists(case, fastact.ops[op]):
                            yield case


def _exists(case: Case, record: Any) -> bool:
    if case.variant == "half" and case.dtype != "float16":
        return False
    # Several gradients take a tuple of arrays as their out=, and none of the peers' functions does.
    several = record.gradients > 1 and case.variant != "fresh"
    return case.direction == "forward" or (record.derivative is not None and not several)


def contenders(case: Case, peers: Sequence[str] = PEERS) -> dict[str, Contender]:
    """Who takes part in a case, by name; "fastact" is the first.

    Besides the peers: ``relu``, the memory's roof; ``np.exp``, the overhead of a call; and in the variants that compare
    fastact with itself ``out-of-place``, ``contiguous`` and ``float32``.
    """
    import fastact

    record = fastact.ops[case.op]
    names = _arrays(case.dtype, case.size, _positive(record)) | {"f": getattr(fastact, case.name)}
    into, alone = _call(record, case.direction, "out"), _call(record, case.direction, "")
    if case.variant == "in-place":
        names["buffer"] = np.empty_like(names["x"])
        in_place, elsewhere = (_call(record, case.direction, out, x="buffer") for out in ("buffer", "out"))
        copy = "np.copyto(buffer, x)"
        return {"fastact": Contender(in_place, names, copy), "out-of-place": Contender(elsewhere, names, copy)}
    if case.variant == "strided":
        strided = _strided(names)
        found = {"fastact": Contender(into, strided), "contiguous": Contender(into, names)}
        return found | ({"numpy": _numpy(case, record, strided)} if "numpy" in peers else {})
    if case.variant == "half":
        singles = _arrays("float32", case.size, _positive(record)) | {"f": names["f"]}
        return {"fastact": Contender(into, names), "float32": Contender(into, singles)}

    found = {"fastact": Contender(into if case.variant == "out" else alone, names)}
    if "numpy" in peers:
        found["numpy"] = _numpy(case, record, names)
    if "torch" in peers and (statement := _torch_statement(IDIOMS.get(case.op), case)):
        found["torch"] = Contender(statement, _tensors(names, IDIOMS[case.op].saved))
    if case.size >= ROOF_FROM and "relu" not in case.name:
        relu = getattr(fastact, case.name.replace(case.op, "relu"))
        call = _call(fastact.ops["relu"], case.direction, "out" if case.variant == "out" else "")
        found["relu"] = Contender(call, names | {"f": relu})
    if case.size <= 10 and case.name == case.op and case.variant == "out" and not record.parameters:
        found["np.exp"] = Contender("exp(x, out)", names | {"exp": np.exp})
    return found


def allocates(case: Case, contender: Contender) -> bool:
    """Whether a contender of an ``out`` case returns a fresh array all the same, for want of an ``out``."""
    return case.variant == "out" and "out)" not in contender.statement


def _call(record: Any, direction: str, out: str, x: str = "x") -> str:
    """How fastact is called; an op without parameters is a ufunc, which takes ``out`` by position."""
    arguments = [x] if direction == "forward" else ["grad", x]
    if record.arrays > 1:
        arguments.append("value")
    elif len(record.defaults) < len(record.parameters):
        arguments += [repr(value) for value in record.samples[0]]
    if out:
        arguments.append(out if record.is_ufunc else f"out={out}")
    return f"f({', '.join(arguments)})"


def _numpy(case: Case, record: Any, names: Mapping[str, Any]) -> Contender:
    idiom = IDIOMS.get(case.op)
    if idiom is None:
        return _reference(case, record, names)
    statement = idiom.numpy if case.direction == "forward" else idiom.numpy_backward
    if case.variant == "fresh":
        statement = fresh(statement)
    elif not statement.startswith("np.maximum"):  # which wants its out by name
        statement = statement.replace("out=out", "out")  # by position, as for fastact: a keyword costs 40 ns
    return Contender(statement, {**names, "special": _module("scipy.special")})


def _reference(case: Case, record: Any, names: Mapping[str, Any]) -> Contender:
    """The record's own formula in plain NumPy, for an op that nobody has written an idiom for."""
    from fastact.reference import numpy_maths

    given = [names["value"]] if record.arrays > 1 else record.samples[0]
    parameters = [*given, *list(record.defaults.values())[len(given) :]]
    formula = {"value": record.reference, "terms": record.reference_derivative, "m": numpy_maths, "p": parameters}
    statement = "value(m, x, *p)" if case.direction == "forward" else "grad * sum(terms(m, x, *p))"
    return Contender(statement, {**names, **formula})


def _torch_statement(idiom: Idiom | None, case: Case) -> str:
    if idiom is None or _module("torch") is None:
        return ""
    statement = idiom.torch if case.direction == "forward" else idiom.torch_backward
    if case.variant == "out" and writes_out(statement):
        return statement
    return (case.direction == "forward" and idiom.torch_fresh) or fresh(statement)


def _tensors(arrays: Mapping[str, Any], saved: str) -> dict[str, Any]:
    """Tensors over the same memory, and PyTorch's namespaces; nothing if there is no PyTorch."""
    torch = _module("torch")
    if torch is None:
        return {}
    names = {name: torch.from_numpy(arrays[name]) for name in ("x", "grad", "value", "out")}
    names |= {"torch": torch, "F": torch.nn.functional, "nn": torch._C._nn, "aten": torch.ops.aten}
    names["weight"] = torch.full((1,), 0.25, dtype=names["x"].dtype)
    return names | ({"saved": eval(saved, dict(names))} if saved else {})


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _positive(record: Any) -> bool:
    """Whether an op has no value below zero."""
    return math.isnan(record.limits[-math.inf])


def _arrays(dtype: str, size: int, positive: bool) -> dict[str, Any]:
    x, grad, value, out = _data(dtype, size, positive)
    return {"np": np, "x": x, "grad": grad, "value": value, "out": out}


@lru_cache(maxsize=4)
def _data(dtype: str, size: int, positive: bool) -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(1)
    x = (3 * rng.standard_normal(size, dtype=np.float32)).astype(dtype)
    grad = rng.standard_normal(size, dtype=np.float32).astype(dtype)
    return (np.abs(x) if positive else x), grad, grad[::-1].copy(), np.zeros_like(x)


def _strided(names: Mapping[str, Any]) -> dict[str, Any]:
    """The same arrays as every second element of larger ones."""
    return {**names, **{name: np.repeat(names[name], 2)[::2] for name in ("x", "grad", "value", "out")}}
