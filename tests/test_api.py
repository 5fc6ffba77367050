"""Names, documents, pickles, and that one block in ``functions/`` is all that an op needs."""

import doctest
import inspect
import math
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest

import fastact as fa
from fastact import reference, table
from fastact.functions import elementwise
from fastact.functions.elementwise import Op
from tests.conftest import first

EXTRAS = {
    "accelerate",
    "accelerated",
    "CompilationError",
    "advise",
    "elementwise",
    "get_num_threads",
    "keep_memory",
    "ops",
    "release_memory",
    "set_num_threads",
    "show_config",
    "threads",
    "warmup",
}
SECTIONS = ["Parameters", "Returns", "Raises", "See Also", "Notes", "References", "Examples"]


def test_all_is_what_the_records_say():
    names = set(table.names())
    assert set(fa.__all__) == names | EXTRAS
    assert len(fa.__all__) == len(set(fa.__all__))
    assert set(fa.__all__) <= set(dir(fa))
    assert set(reference.__all__) == names
    for name in fa.__all__:
        assert getattr(fa, name) is getattr(fa, name)
    assert all(getattr(fa, name) is record.function for name, record in table.functions().items())


def test_everything_can_be_imported_at_once(python):
    python("from fastact import *; assert softmax([0.0]) == 1 and gelu(0.0) == 0 and ops")


def test_functions_say_where_they_live(case):
    assert (case.function.__name__, case.function.__module__) == (case.name, "fastact")
    assert isinstance(case.ufunc, np.ufunc)
    assert isinstance(case.function, np.ufunc) == (case.op.is_ufunc and case.ufunc.nout == 1)
    assert case.ufunc.types == [f"{c * case.ufunc.nin}->{c * case.ufunc.nout}" for c in "efd"]


def test_pickle_round_trip(case):
    assert pickle.loads(pickle.dumps(case.function)) is case.function


def test_pickle_reaches_another_process(python):
    functions = table.functions()
    payload = pickle.dumps([record.function for record in functions.values()]).hex()
    code = f"import pickle; print(*(f.__name__ for f in pickle.loads(bytes.fromhex({payload!r}))))"
    assert python(code).split() == list(functions)


def test_docstrings_follow_numpydoc(case):
    lines = case.function.__doc__.splitlines()
    assert lines[0].startswith(f"{case.name}(")
    found = [lines[i - 1] for i, line in enumerate(lines) if line and set(line) == {"-"}]
    assert found == [s for s in SECTIONS if s in found], "sections out of order"
    assert {"Parameters", "Returns", "Raises", "Notes", "Examples"} <= set(found)
    for i, line in enumerate(lines):
        if line and set(line) == {"-"}:
            assert len(line) == len(lines[i - 1]), "an underline is as long as its title"
    for name in (*case.op.operands, "out"):
        assert any(line.startswith(f"{name} : ") for line in lines), f"{name} is not documented"
    formulas = case.op.derivative_formula if case.backward else case.op.formula
    shown = [line.removeprefix(".. math:: ") for line in lines if line.startswith(".. math::")]
    if case.backward:
        shown = [line.partition(" = ")[2] for line in shown]
    assert shown == ([formulas] if isinstance(formulas, str) else list(formulas))
    given = [f"`{name}`" for name in (*["grad"] * case.backward, *case.op.operands[: case.op.arrays])]
    out = lines[next(i for i, line in enumerate(lines) if line.startswith("out : ")) + 1]
    assert all(name in out for name in given), "what out may be"


def test_docstring_examples_run(case):
    examples = doctest.DocTestParser().get_doctest(case.function.__doc__, {}, case.name, None, 0)
    assert examples.examples
    output = []
    results = doctest.DocTestRunner(verbose=False).run(examples, out=output.append)
    assert not results.failed, "".join(output)


def test_documented_errors_exist(case):
    """Every name under Raises is one that a reader can catch."""
    import builtins

    lines = case.function.__doc__.split("Raises\n------\n")[1].split("\n\n")[0].splitlines()
    for name in [line for line in lines if not line.startswith(" ")]:
        scope = np if name.startswith("numpy.") else builtins
        for part in name.removeprefix("numpy.").split("."):
            scope = getattr(scope, part, None)
        assert isinstance(scope, type), f"{case.name} documents {name}, which does not exist"


def test_import_is_light(python):
    python("import sys, fastact; heavy = {'numba', 'llvmlite', 'scipy'} & set(sys.modules); assert not heavy, heavy")
    names = "fastact.gelu, fastact.leaky_relu, fastact.swiglu, fastact.glu, fastact.maxout, dir(fastact)"
    python(f"import sys, fastact; {names}; assert 'numba' not in sys.modules")


def test_records_are_complete(op):
    def must(condition, what):
        assert condition, f"the record of {op.name} in fastact/functions/ needs {what}"

    infinities = {-math.inf, math.inf}
    must(op.summary.endswith(".") and "\n" not in op.summary, "summary=: one sentence")
    must(op.formula, "formula=: LaTeX")
    must(set(op.limits) == infinities, "limits={-INF: ..., INF: ...}")
    must(callable(op.reference), "reference=: plain NumPy on the namespace m")
    must(op.cost > 0, "cost=: nanoseconds per float32 element")
    most = 2 if op.arrays == 1 else 3.5  # a product adds its own error, and may double the other in these units
    must(
        0 < op.ulp <= most and 0 < op.derivative_ulp <= 4,
        f"ulp= and derivative_ulp= within the promise of {most} and 4",
    )
    must(op.samples and all(len(s) <= len(op.parameters) for s in op.samples), "samples=: tuples of parameters")
    missing = len(op.parameters) - len(op.defaults)
    must(all(len(s) >= missing for s in op.samples), "samples= that give each parameter without a default")
    if op.derivative is not None:
        must(set(op.derivative_limits) == infinities, "derivative_limits={-INF: ..., INF: ...}")
        must(callable(op.reference_derivative), "reference_derivative=: a tuple of terms")
        names = list(inspect.signature(op.derivative).parameters)
        must(names == list(inspect.signature(op.forward).parameters), "a derivative with the parameters of forward")
    else:
        must(not op.derivative_limits and not op.kinks, "derivative=, or no derivative_limits= and kinks=")
    required = [name for name in op.parameters if name not in op.defaults]
    must(list(op.parameters)[: len(required)] == required, "parameters without a default first")
    reference_names = list(inspect.signature(op.reference).parameters)
    must(reference_names == ["m", "x", *op.parameters], f"reference(m, x{''.join(f', {p}' for p in op.parameters)})")


@pytest.fixture
def temporary_op():
    def _bent(x, slope=0.5):
        T = type(x)
        return x * x * T(slope)

    def _bent_derivative(x, slope):
        T = type(x)
        return T(2) * x * slope

    op = Op(
        forward=_bent,
        derivative=_bent_derivative,
        reference=lambda m, x, slope: slope * x**2,
        reference_derivative=lambda m, x, slope: (2 * slope * x,),
        summary="A bent line.",
        formula="s x^2",
        derivative_formula="2 s x",
        limits={-math.inf: math.inf, math.inf: math.inf},
        derivative_limits={-math.inf: -math.inf, math.inf: math.inf},
    )
    yield elementwise.register(op)
    del elementwise.OPS["bent"]
    for module in (fa, reference):
        for name in ("bent", "bent_backward"):
            vars(module).pop(name, None)


def test_one_block_makes_an_op(temporary_op, monkeypatch):
    monkeypatch.setenv("FASTACT_CACHE_DIR", "off")
    x = np.linspace(-3, 3, 100, dtype=np.float32)
    assert fa.bent is fa.bent
    assert {"bent", "bent_backward"} <= set(table.names()) & set(fa.__all__)
    np.testing.assert_array_equal(fa.bent(x), x * x * np.float32(0.5))
    np.testing.assert_array_equal(fa.bent(x, slope=2.0), x * x * np.float32(2))
    np.testing.assert_array_equal(fa.bent_backward(x, x, 2.0), 4 * x * x)
    assert "A bent line." in fa.bent.__doc__
    assert "slope : float or array_like, default 0.5" in fa.bent.__doc__
    assert fa.bent.__module__ == "fastact"
    assert [kernel.name for kernel in elementwise.kernels(temporary_op)] == ["bent", "bent_backward"]
    assert reference.value("bent", 3.0) == 4.5
    assert reference.derivative_terms("bent", 3.0) == (3.0,)


def test_removed_ops_are_gone():
    assert not hasattr(fa, "bent")


def test_registering_twice_or_half_is_refused():
    relu = fa.ops["relu"]
    with pytest.raises(ValueError, match="relu"):
        elementwise.register(relu)

    def _half(x):
        return x

    for name, nothing in (("reference_derivative", None), ("derivative_formula", "")):
        with pytest.raises(ValueError, match=name):
            elementwise.register(replace(relu, forward=_half, **{name: nothing}))
    assert "half" not in fa.ops


def test_show_config_prints(capsys):
    fa.show_config()
    lines = capsys.readouterr().out.splitlines()
    for name in ("fastact", "numpy", "numba", "processor", "threads", "cache directory"):
        assert any(line.startswith(name) for line in lines), f"{name} is not shown"


def test_warmup_reports_progress():
    seen = []
    fa.warmup(["relu", "elu_backward"], ["float32"], progress=seen.append)
    assert seen == ["relu float32", "elu_backward float32"]


def test_a_module_is_imported_when_one_of_its_functions_is_asked_for(python):
    python(
        "import sys, fastact; loaded = lambda: 'fastact.functions.softmax' in sys.modules; "
        "fastact.gelu, hasattr(fastact, '__wrapped__'); assert not loaded(); fastact.softmax([1.0]); assert loaded()"
    )


@pytest.mark.parametrize("name", [name for name, record in table.functions().items() if not record.op])
def test_functions_that_are_no_ops(name):
    function = getattr(fa, name)
    assert (function.__name__, function.__module__) == (name, "fastact")
    assert pickle.loads(pickle.dumps(function)) is function
    lines = function.__doc__.splitlines()
    found = [lines[i - 1].strip() for i, line in enumerate(lines) if line.strip() and set(line.strip()) == {"-"}]
    assert found == [section for section in SECTIONS if section in found]
    assert {"Parameters", "Returns", "Raises", "Notes"} <= set(found)
    assert "Examples" in found
    # NumPy calls a ufunc's operands x1 and x2.
    for parameter in () if isinstance(function, np.ufunc) else inspect.signature(function).parameters:
        assert any(re.match(rf" *[\w*, ]*\b{parameter}\b[\w, ]* ?(:|$)", line) for line in lines), parameter
    examples = doctest.DocTestParser().get_doctest(function.__doc__, {}, name, None, 0)
    output = []
    assert not doctest.DocTestRunner(verbose=False).run(examples, out=output.append).failed, "".join(output)


def test_scalar_parameters_never_widen(parametrised, same_bits):
    """A scalar of NumPy's takes part as Python's number; an array widens as everywhere in NumPy."""
    values = parametrised.parameters()
    if parametrised.op.gradients > 1 and parametrised.backward:
        pytest.skip("its parameters are arrays")
    for dtype in ("f2", "f4", "f8"):
        arrays = [np.ones(3, dtype)] * (1 + parametrised.backward)
        expected = parametrised.function(*arrays, *map(float, values))
        assert first(expected).dtype == dtype
        for scalar in (np.float64, np.float32, np.float16, np.longdouble):
            given = parametrised.function(*arrays, *map(scalar, values))
            assert first(given).dtype == dtype
        same_bits(parametrised.function(*arrays, *map(np.float64, values)), expected)


def test_the_gradient_of_a_weight_is_summed_precisely():
    halves = np.ones((5000, 4), "f2")
    assert (fa.prelu_backward(halves, -halves, np.full(4, 0.25, "f2"))[1] == -5000).all()
    rng = np.random.default_rng(0)
    x = -rng.random((200_000, 2)).astype("f4")
    got = fa.prelu_backward(np.ones_like(x), x, np.float32([0.25, 0.5]))[1]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, x.astype("f8").sum(axis=0), rtol=1e-7)
    assert fa.prelu_backward(halves, -20 * halves, np.float16(0.25))[1] == -np.inf


def test_the_gradient_of_a_weight_for_other_containers():
    pandas, xarray = pytest.importorskip("pandas"), pytest.importorskip("xarray")
    x = np.array([[1.0, -2.0], [-3.0, 4.0]])
    for given in (pandas.DataFrame(x), xarray.DataArray(x), x.view(np.matrix), np.ma.array(x)):
        grad_x, grad_weight = fa.prelu_backward(given, given, 0.25)
        np.testing.assert_array_equal(np.asarray(grad_x), [[1.0, -0.5], [-0.75, 4.0]])
        assert float(np.asarray(grad_weight)) == 13
    assert float(fa.prelu_backward(np.ma.array(x, mask=x == -3), x, 0.25)[1]) == 4
