"""Every figure of accuracy in a text is that of a record, or of a measurement: pages, docstrings, the help of commands.

That the records' figures hold, other tests show.
"""

import inspect
import math
import re
from pathlib import Path

import mpmath
import numpy as np
import pytest

import fastact as fa
from fastact import __main__, table
from fastact.cli import commands
from fastact.maths import scalar
from tests import mpmaths, ulp

ROOT = Path(fa.__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
NUMBER = r"(\d+(?:\.\d+)?)"
ROWS = ("softmax", "cross-entropy")
"""Families whose figures README.md gives together."""
UNITS = rf"{NUMBER} (?:ULP|units? in the last place)"


def words(text):
    return " ".join(text.split())


def listed(names):
    *others, last = [f"`{name}`" for name in names]
    return f"{', '.join(others)} and {last}"


def sentences():
    """What pages say, with the figures of the records."""
    single = [op for op in fa.ops.values() if op.arrays == 1]
    gated = max(op.ulp for op in fa.ops.values() if op.arrays > 1)
    most = max(op.ulp for op in single)
    exacter = [op for op in single if op.ulp < most]
    (least,) = {op.ulp for op in exacter}
    gradients = max(op.derivative_ulp for op in fa.ops.values())
    double = max(op.promised_ulp("float64", backward=False) for op in single)
    over_rows = [record for record in table.functions().values() if record.axis and record.family in ROWS]
    rows, double_rows = (max(getattr(record, kind) for record in over_rows) for kind in ("ulp", "double_ulp"))
    return {
        "README.md": [
            f"at most {most:g} units in the last place (ULP) for values, {least:g} for {listed(op.name for op in exacter)}, "
            f"{gradients:g} for gradients; gated units, which multiply by another array, at most {gated:g}. "
            f"float64: the same but at most {double:g} for all single-operand values",
            f"Rows: at most {rows:g} ({double_rows:g} in float64)",
        ],
        "design.md": [f"{most:g} units in the last place (ULP) for most values and {gradients:g} for gradients"],
    }


@pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="the pages are not part of an installed package")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages(page):
    """They hold no other figure of the kind."""
    text = words(
        re.sub(r"```python\n.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    )  # but for examples
    for sentence in sentences().get(page.name, []):
        assert sentence in text, f"{page.name} does not say what the records do: {sentence}"
        text = text.replace(sentence, "")
    assert not re.findall(UNITS, text)
    accuracy = re.findall(r"## Accuracy (.*?) ## ", text) if page.name == "README.md" else []
    assert not re.findall(rf"at most {NUMBER}", "".join(accuracy))


@pytest.mark.parametrize("name", table.names())
def test_docstrings(name):
    """They state what the record promises, or nothing where there is no error, or that of matrix products."""
    doc, record = words(getattr(fa, name).__doc__), table.function(name)
    op = fa.ops.get(name.removesuffix("_backward_from_output"))
    if op is not None and op.from_output is not None:  # what an output has lost is measured in a file of its own
        doc = doc.replace(words(op.from_output.accuracy), "")
    stated = {float(figure) for figure in re.findall(UNITS, doc)}
    in_double = {float(figure) for figure in re.findall(rf"{NUMBER} in float64", doc)}
    if not record.ulp:
        assert not stated | in_double
    else:
        assert stated == {record.ulp}
        assert in_double == {record.double_ulp} or (record.ulp == record.double_ulp and not in_double)


@pytest.mark.parametrize("command", ["", *commands()])
def test_help_of_commands(command, capsys):
    """Where it has a figure, this is the place to compare it."""
    with pytest.raises(SystemExit):
        __main__.main([*command.split(), "--help"])
    assert not re.findall(UNITS, words(capsys.readouterr().out))


def normal_cdf(x):
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


PUBLIC = {"gelu_derivative": "gelu_backward"} | {
    name: name
    for name in (
        *(
            "exp",
            "exp2",
            "expm1",
            "log",
            "log2",
            "log10",
            "log1p",
            "erf",
            "erfc",
            "gelu",
            "log_ndtr",
            "ndtr",
            "tanh",
            "tanh_shrink",
        ),
        *("sinh", "cosh", "sin", "cos", "arctan", "cbrt", "hypot", "power"),
    )
}
"""Formulas that public functions are, or whose error is theirs."""
PARTS = {
    "exp_nonpositive": (mpmath.exp, lambda rng, least: -rng.uniform(0, -math.log(2.0**least), 600)),
    "expm1_nonpositive": (mpmath.expm1, lambda rng, least: -(2.0 ** rng.uniform(-30, 6, 600))),
    "log_normal": (mpmath.log, lambda rng, least: 2.0 ** rng.uniform(-2, 2, 600)),
    "log1p_nonnegative": (mpmath.log1p, lambda rng, least: 2.0 ** rng.uniform(-30, 30, 600)),
    "log1p_unit": (mpmath.log1p, lambda rng, least: 2.0 ** -rng.exponential(1, 600)),
    "normal_cdf": (normal_cdf, lambda rng, least: rng.uniform(-math.sqrt(-2 * math.log(2.0**least)), 5, 600)),
}
"""Formulas that parts of functions are: what is exact, and inputs, given the exponent of the smallest result."""


def figures():
    """What the docstrings of formulas state, by name and dtype."""
    for function in scalar.compilable:
        doc = words(inspect.getdoc(function) or "")
        # Other sentences say what formulas avoid.
        if not function.__module__.startswith("fastact.maths") or not (stated := re.findall(f": {UNITS}", doc)):
            continue
        name, _, dtype = function.__name__.lstrip("_").partition("_float")
        (figure,) = stated
        yield pytest.param(function, name, f"float{dtype or 32}", float(figure), id=function.__name__)
        for double in re.findall(rf"{NUMBER} in float64", doc):
            yield pytest.param(function, name, "float64", float(double), id=f"{function.__name__}-float64")


@pytest.mark.parametrize(("function", "name", "dtype", "stated"), list(figures()))
def test_docstrings_of_formulas(function, name, dtype, stated):
    """No error is larger than stated, other than by rounding."""
    if name in PUBLIC:
        largest = ulp.load_accuracy()[PUBLIC[name]][dtype]["max_ulp"]
    else:
        exact, inputs = PARTS[name]
        x = inputs(np.random.default_rng(0), np.finfo(dtype).minexp).astype(dtype)
        with np.errstate(all="ignore"), mpmath.mp.workdps(60):
            wanted, got = [exact(mpmath.mpf(float(value))) for value in x], [function(value) for value in x]
            if dtype == "float32":
                largest = ulp.ulp_error(got, [float(value) for value in wanted], np.float32).max()
            else:
                largest = max(
                    mpmaths.ulp_error(float(y), value, abs(value)) for y, value in zip(got, wanted, strict=True)
                )
    assert 0.3 < largest <= stated + 0.005
