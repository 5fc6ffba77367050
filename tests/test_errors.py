"""What is refused: by which error, which words, and that nothing was written."""

import re

import numpy as np
import pytest

import fastact as fa

WRONG_PARAMETERS = {
    "hard_tanh": ({"min_val": 1.0, "max_val": -1.0}, "min_val"),
    "soft_shrink": ({"lambd": -0.5}, "lambd"),
    "hard_shrink": ({"lambd": -0.5}, "lambd"),
    "celu": ({"alpha": 0.0}, "alpha"),
    "squareplus": ({"b": -1.0}, "b"),
    "rrelu": ({"lower": 0.5, "upper": 0.25}, "lower"),
}


@pytest.mark.parametrize(
    "x",
    [
        1j,
        "a",
        b"a",
        None,
        np.ones(3, complex),
        np.ones(3, np.complex64),
        np.array(["a"]),
        np.array([1.0], object),
        np.array(["2020"], "datetime64"),
        np.array([1], "timedelta64[s]"),
        np.ones(2, [("f", float)]),
    ],
    ids=repr,
)
def test_arrays_of_the_wrong_kind(case, x):
    with pytest.raises(TypeError, match=rf"ufunc '{case.name}(\.ufunc)?' not supported for the input types"):
        case.ufunc(*[x] * (1 + case.backward), *map(float, case.parameters()))


def test_wrong_kind_with_out_writes_nothing(case):
    out = np.full(3, 7.0)
    with pytest.raises(TypeError):
        case.ufunc(*[np.ones(3, complex)] * (1 + case.backward), *case.parameters(), out=(out,) * case.ufunc.nout)
    assert (out == 7).all()


def test_every_check_is_tested(checked):
    assert checked.name in WRONG_PARAMETERS, f"add parameters that {checked.name}'s check refuses to WRONG_PARAMETERS"


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_parameters_out_of_range(checked, backward, cases):
    wrong, word = WRONG_PARAMETERS[checked.name]
    case = cases[checked.name + "_backward" * backward]
    arrays = [np.ones(4, np.float32)] * (1 + backward)
    valid = dict(zip(checked.parameters, map(float, case.parameters()), strict=True))
    given = {
        "scalars": wrong,
        "a wrong one among right ones": {name: np.array([valid[name]] * 3 + [wrong[name]]) for name in wrong},
        "float32 arrays": {name: np.full(4, value, np.float32) for name, value in wrong.items()},
        "NumPy scalars": {name: np.float32(value) for name, value in wrong.items()},
        "lists": {name: [value] * 4 for name, value in wrong.items()},
    }
    for how, parameters in given.items():
        out = np.full(4, 7, np.float32)
        with pytest.raises(ValueError, match=rf"\b{word}\b.*got"):
            case.function(*arrays, **parameters, out=out)
        assert (out == 7).all(), f"out was written although {how} were refused"
        with pytest.raises(ValueError, match=rf"\b{word}\b"):
            case.function(*arrays, *parameters.values())


def test_missing_and_unknown_arguments(case):
    with pytest.raises(TypeError):
        case.function()
    x = [np.ones(3)] * (1 + case.backward)
    with pytest.raises(TypeError, match="nonsense"):
        case.function(*x, *case.op.samples[0], nonsense=1)
    required = [name for name in case.op.parameters if name not in case.op.defaults]
    if required and not case.op.is_ufunc:
        with pytest.raises(TypeError, match=required[0]):
            case.function(*x)
    with pytest.raises(TypeError):
        case.function(*x, *case.parameters(), *[np.ones(3)] * 6)


def test_a_parameter_given_twice(parametrised):
    x = [np.ones(3)] * (1 + parametrised.backward)
    name = next(iter(parametrised.op.parameters))
    with pytest.raises(TypeError, match=name):
        parametrised.function(*x, *parametrised.parameters(), **{name: 0.5})


def test_unknown_attributes():
    for name in ("nonsense", "nonsense_backward", "_backward", "exp_backward", "relu_backward_backward", ""):
        with pytest.raises(AttributeError, match=re.escape(repr(name))):
            getattr(fa, name)
        with pytest.raises(AttributeError, match=re.escape(repr(name))):
            getattr(fa.reference if hasattr(fa, "reference") else __import__("fastact.reference").reference, name)


@pytest.mark.parametrize("value", ["0", "-1", "abc", "1.5", "²"])
def test_wrong_environment_variable_is_the_callers_error(python, value):
    out = python(
        """
        import numpy as np, fastact as fa
        for call in (fa.get_num_threads, fa.show_config, lambda: fa.relu(np.ones(400_000, np.float32))):
            try:
                call()
            except ValueError as error:
                print(error)
            else:
                print("nothing raised")
        print(fa.relu(np.float32(-1)))
        """.replace("\n        ", "\n"),
        FASTACT_NUM_THREADS=value,
    )
    *errors, small = out.splitlines()
    assert errors == [f"FASTACT_NUM_THREADS must be a positive integer, got {value!r}"] * 3
    assert small == "0.0", "a small array needs no threads"


@pytest.mark.parametrize("n", [0, -3, "2", True, 1.0, None])
def test_set_num_threads_refuses(n):
    error = ValueError if type(n) is int else TypeError
    before = fa.get_num_threads()
    with pytest.raises(error, match="n must be"):
        fa.set_num_threads(n)
    with pytest.raises(error, match="n must be"), fa.threads(n):
        pass
    assert fa.get_num_threads() == before


def test_warmup_refuses_unknown_names():
    with pytest.raises(ValueError, match=r"unknown name 'nonsense'.*relu"):
        fa.warmup(["nonsense"])
    with pytest.raises(ValueError, match=r"unknown dtype 'float8'.*float32"):
        fa.warmup(["relu"], ["float8"])
