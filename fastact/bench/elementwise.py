"""The contenders of an elementwise op: its record says how fastact is called, its idiom what the peers write."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from . import peers
from .case import Case, Contender
from .idiom import Idiom
from .idioms import IDIOMS, fresh, writes_out

ROOF_FROM = 100_000
"""From this size on relu runs along. It only moves memory: it shows how near an op is to memory's speed."""


def exists(case: Case) -> bool:
    """Whether a case makes sense: the op has a gradient, the variant is for the dtype."""
    import fastact

    record = fastact.ops[case.op]
    if case.variant == "half" and case.dtype != "float16":
        return False
    # Several gradients take a tuple of arrays as their out=, and none of the peers' functions does.
    several = record.gradients > 1 and case.variant != "fresh"
    return case.direction == "forward" or (record.derivative is not None and not several)


def has(peer: str, case: Case) -> bool:
    """Whether a peer, installed or not, has the op; NumPy can write anything."""
    idiom = IDIOMS.get(case.op)
    return peer == "numpy" or (idiom is not None and idiom.statement(peer, case.direction) != "")


def contenders(case: Case, names_of_peers: Sequence[str]) -> dict[str, Contender]:
    """Who takes part in a case, by name; see ``cases.contenders``."""
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
        return found | ({"numpy": _numpy(case, record, strided)} if "numpy" in names_of_peers else {})
    if case.variant == "half":
        singles = _arrays("float32", case.size, _positive(record)) | {"f": names["f"]}
        return {"fastact": Contender(into, names), "float32": Contender(into, singles)}

    found = {"fastact": Contender(into if case.variant == "out" else alone, names)}
    for peer in names_of_peers:
        if contender := _peer(peer, case, record, names):
            found[peer] = contender
    if case.size >= ROOF_FROM and "relu" not in case.name:
        relu = getattr(fastact, case.name.replace(case.op, "relu"))
        call = _call(fastact.ops["relu"], case.direction, "out" if case.variant == "out" else "")
        found["relu"] = Contender(call, names | {"f": relu})
    if case.size <= 10 and case.name == case.op and case.variant == "out" and not record.parameters:
        found["np.exp"] = Contender("exp(x, out)", names | {"exp": np.exp})
    return found


def _peer(peer: str, case: Case, record: Any, names: Mapping[str, Any]) -> Contender | None:
    """A peer's contender; ``None`` where it has no such op or is not installed."""
    if peer == "numpy":
        return _numpy(case, record, names)
    if not has(peer, case):
        return None
    idiom, into_out = IDIOMS[case.op], case.variant == "out"
    statement = idiom.statement(peer, case.direction)
    if peer == "numexpr":
        return peers.numexpr_contender(statement, names, into_out)
    arrays = {name: names[name] for name in ("x", "grad", "value", "out")}
    if peer == "torch":
        return _torch(idiom, case, arrays)
    if peer == "jax":
        arrays["weight"] = np.full((), 0.25, case.dtype)
        operands = ("x", "value" if record.arrays > 1 else "weight")[: record.gradients]
        return peers.jax_contender(statement, arrays, operands if case.direction == "backward" else ())
    return peers.onnx_contender(statement, idiom.onnx_attributes, {"x": names["x"]}, names["out"] if into_out else None)


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
    statement = idiom.statement("numpy", case.direction)
    if case.variant == "fresh":
        statement = fresh(statement)
    elif not statement.startswith("np.maximum"):  # which wants its out by name
        statement = statement.replace("out=out", "out")  # by position, as for fastact: a keyword costs 40 ns
    return Contender(statement, {**names, "special": peers.module("scipy.special")})


def _reference(case: Case, record: Any, names: Mapping[str, Any]) -> Contender:
    """The record's own formula in plain NumPy, for an op that nobody has written an idiom for."""
    from fastact.functions.numpy_maths import numpy_maths

    parameters = parameters_of(record, names)
    formula = {"value": record.reference, "terms": record.reference_derivative, "m": numpy_maths, "p": parameters}
    statement = "value(m, x, *p)" if case.direction == "forward" else "grad * sum(terms(m, x, *p))"
    return Contender(statement, {**names, **formula})


def parameters_of(record: Any, names: Mapping[str, Any]) -> list[Any]:
    """What an op is given beyond ``x`` and ``grad``: the second array, or the parameters with their defaults."""
    given = [names["value"]] if record.arrays > 1 else record.samples[0]
    return [*given, *list(record.defaults.values())[len(given) :]]


def _torch(idiom: Idiom, case: Case, arrays: Mapping[str, Any]) -> Contender | None:
    names, statement = peers.torch_names(arrays), idiom.statement("torch", case.direction)
    if not names:
        return None
    if case.variant != "out" or not writes_out(statement):
        statement = (case.direction == "forward" and idiom.torch_fresh) or fresh(statement)
    names["weight"] = names["torch"].full((1,), 0.25, dtype=names["x"].dtype)
    saved = {"saved": eval(idiom.saved, dict(names))} if idiom.saved else {}
    return Contender(statement, names | saved)


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
