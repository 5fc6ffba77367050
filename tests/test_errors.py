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


ELSEWHERE = {
    "swish": "silu",
    "swish_backward": "silu_backward",
    "hardtanh": "hard_tanh",
    "hardswish": "hard_swish",
    "logsigmoid": "log_sigmoid",
    "expit": "sigmoid",
    "LeakyReLU": "leaky_relu",
    "GELU": "gelu",
    "LogSoftmax": "log_softmax",
    "CrossEntropy": "cross_entropy",
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_name_of_another_library(name):
    with pytest.raises(AttributeError, match=f"'{name}'; it is called '{ELSEWHERE[name]}' here"):
        getattr(fa, name)
    assert not hasattr(fa, name)


def test_names_of_other_libraries_are_no_names_of_ours():
    elsewhere = [alias for op in fa.ops.values() for alias in op.known_as]
    assert len(set(elsewhere)) == len(elsewhere)
    assert not set(elsewhere) & set(fa.__all__)
    with pytest.raises(AttributeError, match=r"has no attribute 'nonsense'$"):
        fa.nonsense  # noqa: B018


X = np.ones((2, 4))
UNKNOWN = {
    "softmax, dim": (
        lambda: fa.softmax(X, dim=-1),
        "softmax",
        "'dim', which is called 'axis' here; allowed are x, axis, ",
    ),
    "softmax, where": (lambda: fa.softmax(X, where=X > 0), "softmax", "'where'; allowed are x, axis, out, "),
    "softmax, temperature": (lambda: fa.softmax(X, temperature=2), "softmax", "'temperature'; allowed are x, axis, "),
    "logsumexp, keepdim": (lambda: fa.logsumexp(X, keepdim=True), "logsumexp", "'keepdim', which is called 'keepdims'"),
    "log_softmax_backward": (lambda: fa.log_softmax_backward(X, X, dim=0), "log_softmax_backward", "'axis' here"),
    "leaky_relu, alpha": (lambda: fa.leaky_relu(X, alpha=1), "leaky_relu", "called 'negative_slope' here"),
    "leaky_relu, inplace": (lambda: fa.leaky_relu(X, inplace=True), "leaky_relu", "called 'out' here"),
    "elu_backward": (lambda: fa.elu_backward(X, X, slope=1), "elu_backward", "allowed are alpha, out, where"),
    "glu, dim": (lambda: fa.glu(X, dim=0), "glu", "called 'axis' here; allowed are x, axis, out"),
    "maxout, num_units": (lambda: fa.maxout(X, num_units=2), "maxout", "called 'num_pieces' here"),
    "gelu, approximate": (
        lambda: fa.gelu(X, approximate="tanh"),
        "gelu",
        "'approximate'",
    ),  # NumPy's own, as of all ufuncs
}


@pytest.mark.parametrize("call", UNKNOWN)
def test_an_argument_of_another_library(call):
    function, name, words = UNKNOWN[call]
    with pytest.raises(TypeError) as caught:
        function()
    assert str(caught.value).startswith(f"{name}() got an unexpected keyword argument ")
    assert words in str(caught.value)


WITH_OUT = {
    "gelu": (lambda out: fa.gelu(X, out=out), X.shape),
    "leaky_relu": (lambda out: fa.leaky_relu(X, out=out), X.shape),
    "leaky_relu, given": (lambda out: fa.leaky_relu(X, 0.5, out=out), X.shape),
    "hard_tanh": (lambda out: fa.hard_tanh(X, -1.0, 1.0, out=out), X.shape),
    "elu_backward": (lambda out: fa.elu_backward(X, X, out=out), X.shape),
    "rrelu": (lambda out: fa.rrelu(X, out=out), X.shape),
    "softmax": (lambda out: fa.softmax(X, out=out), X.shape),
    "softmax, axes": (lambda out: fa.softmax(X, axis=None, out=out), X.shape),
    "log_softmax": (lambda out: fa.log_softmax(X, axis=0, out=out), X.shape),
    "softmin": (lambda out: fa.softmin(X, out=out), X.shape),
    "logsumexp": (lambda out: fa.logsumexp(X, out=out), X.shape[:1]),
    "softmax_backward": (lambda out: fa.softmax_backward(X, X, out=out), X.shape),
    "glu": (lambda out: fa.glu(X, out=out), (2, 2)),
    "glu_backward": (lambda out: fa.glu_backward(X[:, :2], X, out=out), X.shape),
    "maxout": (lambda out: fa.maxout(X, 2, out=out), (2, 2)),
    "maxout_backward": (lambda out: fa.maxout_backward(X[:, :2], np.zeros((2, 2), int), 2, out=out), X.shape),
    "cross_entropy_with_grad": (lambda out: fa.cross_entropy_with_grad(X, np.zeros(2, int), out=out)[1], X.shape),
}


@pytest.mark.parametrize("call", WITH_OUT)
def test_out_as_a_tuple_of_one(call):
    """As NumPy's ufuncs take it; a tuple of two is refused where there is one result, and nothing written."""
    function, shape = WITH_OUT[call]
    expected, out = function(None), np.full(shape, 77.0)
    assert function((out,)) is out
    np.testing.assert_array_equal(out, expected)
    out[...] = 77
    with pytest.raises(ValueError, match="out"):
        function((out, out))
    assert (out == 77).all()


def test_what_is_no_array_is_no_out():
    with pytest.raises(TypeError, match="return arrays must be of ArrayType"):  # NumPy's own words, as for np.exp(x, 2)
        fa.softplus(X, 2)
    with pytest.raises(TypeError, match="out must be an array, got int"):
        fa.glu(X, out=3)
