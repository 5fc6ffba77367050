"""The one table of functions: no record lacks anything, its references are right, and `warmup` compiles all that its calls need."""

import ast
import inspect
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fastact as fa
import fastact.numpy as fnp
from fastact import reference, table
from fastact.functions import record as records
from fastact.functions.record import KINDS, Function, Operand, Variant, X, drawn
from fastact.kernels.dtypes import DTYPES
from tests.calls import RECORDS

SOURCES = Path(fa.__file__).parent


def lacks(record):
    """What is wrong with a record, in words."""
    try:
        function = record.function
        parameters = () if isinstance(function, np.ufunc) else inspect.signature(function).parameters
    except Exception as error:
        return [f"make= makes no function: {error}"]
    given = [*record.operands, *(x for v in record.variants for x in [*(v.operands or ()), *v.options.values()])]
    promised = (record.ulp is None) == (record.double_ulp is None)
    wrong = {
        "name= of its function": function.__name__ != record.name,
        "home= a module of fastact.functions": not record.home.startswith("fastact.functions."),
        "operands= for one call": not record.operands,
        f"operands of {', '.join(KINDS)}": any(isinstance(x, Operand) and x.kind not in KINDS for x in given),
        "variants=, the first of them the usual call": not record.variants or record.variants[0].alike,
        "reference= in plain NumPy": not callable(record.reference),
        "ulp= and double_ulp=": not promised
        or (record.ulp is not None and not 0 <= record.ulp <= record.double_ulp + 4),
        "family= the page of the reference": not record.family,
        "axis= one, several or none": (record.axis not in ("", "one", "several", "drawn"))
        or (bool(record.axis) != ("axis" in parameters)),
        "written= what out= takes": bool(record.written)
        != ("out" in parameters or "outs" in parameters or not parameters),
        "a summary, one sentence with a full stop": not record.summary.endswith("."),
        "variants with the function's keywords": any(set(v.options) - set(parameters) for v in record.variants),
    }
    return [what for what, holds in wrong.items() if holds]


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_lacks_nothing(name):
    record = RECORDS[name]
    assert record.name == name
    assert not lacks(record), f"the record of {name} in {record.home} needs {'; '.join(lacks(record))}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("operands", ()),
        ("reference", None),
        ("ulp", None),
        ("ulp", -1.0),
        ("family", ""),
        ("home", "elsewhere"),
        ("variants", ()),
        ("variants", [Variant({"nonsense": 1})]),
        ("operands", [Operand("nonsense")]),
        ("axis", ""),
        ("written", ()),
        ("name", "other"),
        ("make", lambda: 1 / 0),
    ],
)
def test_what_a_record_lacks_is_found(field, value):
    assert not lacks(RECORDS["softmax"])
    assert len(lacks(replace(RECORDS["softmax"], **{field: value}))) == 1


def test_every_module_with_records_is_in_the_table():
    """Those of ops are imported with the package, the others are named in the table."""
    found = set()
    for path in (SOURCES / "functions").glob("*.py"):
        calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        registers = any(getattr(f, "id", None) == "register" or getattr(f, "attr", None) == "register" for f in calls)
        found |= {path.stem} if registers else set()
    assert {record.home.rpartition(".")[2] for record in RECORDS.values()} == found
    assert set(table.MODULES) <= found


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match=r"'softmax' is registered already: fastact\.functions\.softmax"):
        records.register(RECORDS["softmax"])


def test_a_registered_function_is_public():
    def tripled(x, out=None):
        """Three times its operand."""
        return 3 * np.asarray(x)

    record = Function(
        "tripled", lambda: tripled, [X], lambda x: x * 3, 0.0, 0.0, home="fastact.functions.maxout", family="maxout"
    )
    records.register(record)
    try:
        assert fa.tripled is tripled
        assert tripled.__module__ == "fastact"
        assert "tripled" in fa.__all__
        assert reference.tripled(np.float32(2)) == 6
        assert not lacks(record)
    finally:
        del records.FUNCTIONS["tripled"], fa.tripled, reference.tripled
    assert not hasattr(fa, "tripled")


ROUGHLY = 8 * float(np.finfo(np.float32).eps)


@pytest.mark.parametrize("name", RECORDS)
def test_every_variant_gives_what_the_reference_gives(name):
    """Roughly: that promises of precision are kept, and other dtypes, other tests ask. Shapes and dtypes are the same."""
    record = RECORDS[name]
    for variant in (variant for variant in record.variants if not variant.random):
        for axis in (-1, 0) if record.axis else (-1,):
            operands, options = record.arguments(variant, drawn(np.random.default_rng(0)), (4, 6), "float32", axis)
            given = {option: x for option, x in options.items() if not option.startswith("return_")}
            expected = record.arrays(getattr(reference, name)(*operands, **given))
            got = record.results(operands, options)
            for g, e in zip(got[: len(expected)], expected, strict=True):
                e = e if g.dtype == e.dtype or not record.updated else np.float64(e)  # what an update has found
                assert (g.dtype, g.shape) == (e.dtype, e.shape), variant
                scale = 1 + np.max(abs(e), initial=0, where=np.isfinite(e))
                np.testing.assert_allclose(g, e, rtol=ROUGHLY, atol=ROUGHLY * scale, err_msg=str(variant))


EVERY_CALL = """
import json, sys
import numpy as np
import fastact as fa
from fastact import table, warm
from fastact.calls.long_rows import LONG
from fastact.functions.record import drawn
from fastact.runtime import cache
names, dtypes = json.loads(sys.argv[1])
asked, loaded = [], cache.loaded

def loading(name, *arguments):
    asked.append(name)
    return loaded(name, *arguments)

cache.loaded = loading
warm.warmup(names, dtypes)
warmed, asked[:] = set(asked), []
rng = np.random.default_rng(1)

def fill(kind, shape, dtype, below):
    found = drawn(rng)(kind, shape, dtype, min(below, 100))
    return found.astype(rng.choice(["int8", "uint16", "int32", "uint64"])) if kind == "labels" else found

np.seterr(all="ignore")
for name in names:
    record = table.function(name)
    for dtype in dtypes:
        for variant in record.variants:
            for shape in ((1, 7), (7, 1), (3, 40), (40, 3), (200, 33), (2, 3, 4)):
                for axis in {"": [-1], "one": [-1, 0], "several": [-1, 0, None, (0, 1)], "drawn": [None, 0]}[record.axis]:
                    if record.pools and np.prod(shape) == shape[axis]:
                        continue
                    operands, options = record.arguments(variant, fill, shape, dtype, axis if type(axis) is int else -1)
                    record.function(*operands, **options | ({"axis": axis} if record.axis else {}))
        if record.op is not None and record.op.gradients > record.op.arrays:
            for shape, slopes in (((600, 60), (60,)), ((600, 300), (300,)), ((600, 60), (600, 1)), ((600, 300), (600, 1))):
                x = fill("values", shape, dtype, 1)
                record.function(*[x] * len(record.operands), fill("shares", slopes, dtype, 1))
        if record.in_parts:
            for shape, axis in (((1, LONG + 5), -1), ((LONG, 1), 0)):
                for variant in record.variants:
                    operands, options = record.arguments(variant, fill, shape, dtype, axis)
                    with fa.threads(2):
                        record.function(*operands, **options)
print(json.dumps([sorted(warmed), sorted(set(asked) - warmed)]))
"""


def after_warmup(python, names, dtypes):
    """What `warmup` compiles, or loads, and what calls compile afterwards."""
    code = EVERY_CALL.replace("json.loads(sys.argv[1])", repr([names, dtypes]))
    return json.loads(python(code))


FAMILIES = list(dict.fromkeys(record.family for record in RECORDS.values()))
BY_TURNS = [("cross-entropy", "float16"), *zip((f for f in FAMILIES if f != "cross-entropy"), itertools.cycle(DTYPES))]
"""Each family in one dtype, for what is compiled hardly depends on it; but in halves some losses use kernels of single floats."""


@pytest.mark.parametrize(("family", "dtype"), BY_TURNS)
def test_nothing_is_left_to_compile_after_warmup(python, family, dtype):
    """However a function is called: rows, columns, rows that are computed in parts, labels of any dtype."""
    names = [name for name, record in RECORDS.items() if record.family == family]
    warmed, later = after_warmup(python, names, [dtype])
    assert len(warmed) >= len([name for name in names if RECORDS[name].ulp is not None]), "each has kernels of its own"
    assert not later, f"warmup does not compile {', '.join(later)}"


CALLS_OF_NUMPY = """
import numpy as np
import fastact as fa
import fastact.numpy as fnp
from fastact import warm
from fastact.functions.numpy_selects import EXAMPLES
from fastact.runtime import cache
names, dtype = NAMES
asked, loaded = [], cache.loaded

def loading(name, *arguments):
    asked.append(name)
    return loaded(name, *arguments)

cache.loaded = loading
warm.warmup([f"numpy.{name}" for name in names], [dtype])
warmed, asked[:] = set(asked), []
for name in names:
    function = getattr(fnp, name)
    for shape in ((3,), (3000,), (300_000,), (1_100_000,), (700, 300), (300_000, 7), (40, 20_000), (5, 60, 500), (9000, 90)):
        x = np.ones(shape, dtype)
        if isinstance(function, np.ufunc):
            function(*[x] * function.nin)
            with fa.accelerate():
                getattr(np, name)(*[x[..., ::2]] * function.nin)
        elif name in EXAMPLES:
            function(*EXAMPLES[name](x))
        else:
            for axis in (None, *range(x.ndim)):
                function(x, axis=axis)
print(len(warmed), sorted(set(asked) - warmed))
"""


@pytest.mark.parametrize("share", range(3))
def test_nothing_of_numpys_is_left_to_compile_after_warmup(python, share):
    """Each third of the functions in one dtype."""
    names, dtype = fnp.replaced[share::3], DTYPES[share]
    found = python(CALLS_OF_NUMPY.replace("NAMES", repr((names, dtype))), flags=["-W", "ignore"])
    assert int(found.split()[0]) > len(names) // 2
    assert found.endswith(" []"), f"warmup does not compile {found}"


def test_what_warmup_misses_is_found(python):
    """The kernels of gelu are none of relu's."""
    code = EVERY_CALL.replace("json.loads(sys.argv[1])", repr([["relu", "gelu"], ["float32"]]))
    warmed, later = json.loads(python(code.replace("warm.warmup(names", "warm.warmup(names[:1]")))
    assert "relu.float32" in warmed
    assert later == ["gelu.float32"]


def test_operands_are_filled_by_who_calls():
    """They are told the kind and the shape that the record says."""
    shapes = {}

    def fill(kind, shape, dtype, below):
        shapes[kind] = shape, below
        return np.full(shape, 1.5 if kind == "values" else 0, dtype if kind == "values" else int)

    operands, options = RECORDS["cross_entropy"].arguments(Variant(), fill, (2, 3, 4), "float32", 1)
    assert shapes == {"values": ((2, 3, 4), 3), "labels": ((2, 4), 3)}
    assert options == {"axis": 1}
    assert [x.shape for x in operands] == [(2, 3, 4), (2, 4)]
