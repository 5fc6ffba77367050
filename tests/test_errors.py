"""What is refused: by which error, which words, and that nothing was written."""

import re

import numpy as np
import pytest

import fastact as fa
from tests.calls import CALLS

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
    "softmax, mask": (lambda: fa.softmax(X, mask=X > 0), "softmax", "'mask', which is called 'where' here"),
    "softmax_backward, temperature": (
        lambda: fa.softmax_backward(X, X, temperature=2),
        "softmax_backward",
        "'temperature'; allowed are grad, output, axis, out, where, scale, causal, ",
    ),
    "softmax, temperature": (lambda: fa.softmax(X, temperature=2), "softmax", "'temperature'; allowed are x, axis, "),
    "masked softmax, temperature": (
        lambda: fa.softmax(X, where=X > 0, temperature=2),
        "softmax",
        "'temperature'; allowed are x, axis, out, where, scale, causal, casting, ",
    ),
    "logsumexp, keepdim": (lambda: fa.logsumexp(X, keepdim=True), "logsumexp", "'keepdim', which is called 'keepdims'"),
    "log_softmax_backward": (lambda: fa.log_softmax_backward(X, X, dim=0), "log_softmax_backward", "'axis' here"),
    "leaky_relu, alpha": (lambda: fa.leaky_relu(X, alpha=1), "leaky_relu", "called 'negative_slope' here"),
    "leaky_relu, inplace": (lambda: fa.leaky_relu(X, inplace=True), "leaky_relu", "called 'out' here"),
    "elu_backward": (lambda: fa.elu_backward(X, X, slope=1), "elu_backward", "allowed are grad, x, alpha, out, where"),
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


USUAL = [call for call in CALLS if call.axis in (-1, 0)]
WITH_OUT = [call for call in USUAL if len(call.record.written) == 1]


@pytest.mark.parametrize("call", WITH_OUT, ids=str)
def test_out_as_a_tuple_of_one(call):
    """As NumPy's ufuncs take it; a tuple of two is refused where there is one result, and nothing written."""
    (written,) = call.record.written
    expected = call.results()[written]
    out = np.full(np.shape(expected), 77, np.float32)
    assert call.results(out=(out,))[written] is out
    np.testing.assert_array_equal(out, expected)
    out[...] = 77
    with pytest.raises(ValueError, match="out"):
        call(out=(out, out))
    assert (out == 77).all()


@pytest.mark.parametrize("call", WITH_OUT, ids=str)
@pytest.mark.parametrize("wrong", ["read-only", "shape", "integers"])
def test_an_out_that_cannot_be_written(call, wrong):
    expected = call.results()[call.record.written[0]]
    shape = (*np.shape(expected)[:-1], 4) if wrong == "shape" else np.shape(expected)
    out = np.full(shape, 77, np.int64 if wrong == "integers" else np.float32)
    out.flags.writeable = wrong != "read-only"
    with pytest.raises((TypeError, ValueError)) as caught:
        call(out=out)
    assert (out == 77).all()
    assert wrong != "integers" or names_its_argument(call, caught.value), caught.value


@pytest.mark.parametrize("kind", ["complex64", "object", "U1"])
@pytest.mark.parametrize("call", USUAL, ids=str)
def test_operands_of_the_wrong_kind(call, kind):
    """Each of them, and nothing is written."""
    for k, array in enumerate(call.arrays):
        operands = [*call.arrays[:k], array.astype(kind), *call.arrays[k + 1 :]]
        with pytest.raises(TypeError) as caught:
            call.record.function(*operands, **call.options)
        assert names_its_argument(call, caught.value), caught.value


def names_its_argument(call, error):
    """NumPy's words are for what is one of its ufuncs; a function's own name its arguments, and nothing that is within."""
    return isinstance(call.record.function, np.ufunc) or "ufunc" not in str(error)


@pytest.mark.parametrize("function", [fa.elu, fa.leaky_relu, fa.threshold])
def test_parameters_without_a_check_are_named(function):
    name = next(iter(function.__code__.co_varnames[1:]))
    for x in (np.ones(3), np.ones(3, np.float32), [1.0], 1.0):
        for wrong in ("a", 1j, np.array([None])):
            with pytest.raises(TypeError, match=f"^{name} must be float16, float32 or float64, got "):
                function(x, *[wrong] * (1 + (function is fa.threshold)))
    with pytest.raises(TypeError, match=r"^x must be float16, float32 or float64, got complex64"):
        fa.elu(np.ones(3, np.complex64))
    with pytest.raises(TypeError, match=r"^out must be of a dtype that float32 casts to as 'same_kind', got int32"):
        fa.elu(np.ones(3, np.float32), out=np.zeros(3, np.int32))


@pytest.mark.parametrize("wrong", [np.complex64, object, np.longdouble])
@pytest.mark.parametrize(
    "name", ["layer_norm", "layer_norm_backward", "batch_norm", "group_norm_backward", "l2_normalize"]
)
def test_dtypes_that_norms_refuse(name, wrong):
    function, x = getattr(fa, name), np.ones((2, 4), np.float32)
    training = {"training": True} if name.startswith("batch") else {"num_groups": 2} if "group" in name else {}
    operands = {"grad": x} if "backward" in name else {}
    operands |= {"x": x} | ({} if name == "l2_normalize" else {"weight": np.ones(4, np.float32)})
    operands |= {"bias": np.ones(4, np.float32)} if name in ("layer_norm", "batch_norm") else {}
    for bad in operands:
        given = {key: value.astype(wrong) if key == bad else value for key, value in operands.items()}
        with pytest.raises(TypeError, match=rf"^{bad} must be float16, float32 or float64, got {np.dtype(wrong)}"):
            function(**given, **training)


@pytest.mark.parametrize("call", USUAL, ids=str)
def test_what_all_functions_refuse(call):
    """An argument that none of them has, an operand too few, and an axis that there is not."""
    with pytest.raises(TypeError, match="nonsense"):
        call(nonsense=1)
    with pytest.raises(TypeError):
        call.record.function(*call.arrays[:-1], **call.options)
    if not call.record.axis:
        return
    for axis in (2, -3):
        with pytest.raises(np.exceptions.AxisError):
            call.record.function(*call.arrays, **call.options | {"axis": axis})
    for axis in (0.5, "a", True, [0]):
        with pytest.raises(TypeError, match="axis must be an integer"):
            call.record.function(*call.arrays, **call.options | {"axis": axis})


def test_what_is_no_array_is_no_out():
    with pytest.raises(TypeError, match="return arrays must be of ArrayType"):  # NumPy's own words, as for np.exp(x, 2)
        fa.softplus(X, 2)
    with pytest.raises(TypeError, match="out must be an array, got int"):
        fa.glu(X, out=3)


NUMBERS = ([0.5], np.array([0.5, 1.0]), "a", b"a", None, 1j, True, False, np.True_)
"""None of them is a number."""
NO_INTEGERS = (0.5, 1.0, np.nan, np.float32(1), np.array([0, 1]), np.array(1.0), *NUMBERS)
NO_AXES = tuple(value for value in NO_INTEGERS if value is not None)
NO_SWITCHES = ("a", b"a", None, 0.0, 1.0, 2, -1, [True], np.array([True, False]))
AXES = "axis must be an integer, a tuple of integers or None"
X2, LABELS = np.ones((2, 4), np.float32), np.array([0, 1])
Q2 = np.full((2, 4), 0.25, np.float32)


class Calls:
    """What bad values of an option are tried on: functions of the option and of an array to write to, or ``None``."""

    @staticmethod
    def rows(axis):
        return {
            "softmax": lambda value, out: fa.softmax(X2, **{axis: value}, out=out),
            "softmin": lambda value, out: fa.softmin(X2, **{axis: value}, out=out),
            "log_softmax": lambda value, out: fa.log_softmax(X2, **{axis: value}, out=out),
            "softmax of a list": lambda value, out: fa.softmax(X2.tolist(), **{axis: value}, out=out),
            "softmax of a number": lambda value, out: fa.softmax(1.0, **{axis: value}),
            "softmax of a masked array": lambda value, out: fa.softmax(np.ma.array(X2), **{axis: value}, out=out),
            "softmax_backward": lambda value, out: fa.softmax_backward(X2, X2, **{axis: value}, out=out),
            "log_softmax_backward": lambda value, out: fa.log_softmax_backward(X2, X2[:1], **{axis: value}, out=out),
            "logsumexp": lambda value, out: fa.logsumexp(X2, **{axis: value}),
        }

    @staticmethod
    def halves(axis):
        return {
            "glu": lambda value, out: fa.glu(X2, **{axis: value}, out=None if out is None else out[:, :2]),
            "glu of a masked array": lambda value, out: fa.glu(np.ma.array(X2), **{axis: value}),
            "glu_backward": lambda value, out: fa.glu_backward(1.0, X2, **{axis: value}, out=out),
            "maxout": lambda value, out: fa.maxout(X2, 1, **{axis: value}, out=out),
            "maxout_with_index": lambda value, out: fa.maxout_with_index(X2, 1, **{axis: value}, out=(out, None)),
            "maxout_backward": lambda value, out: fa.maxout_backward(
                1.0, np.zeros((2, 4), int), 1, **{axis: value}, out=out
            ),
            "maxout_backward of a masked array": lambda value, out: fa.maxout_backward(
                np.ma.array(X2), np.zeros((2, 4), int), 1, **{axis: value}
            ),
        }

    @staticmethod
    def losses(option, with_grad_only=False):
        alone = {
            "cross_entropy": lambda value, out: fa.cross_entropy(X2, LABELS, **{option: value}),
            "cross_entropy of rows": lambda value, out: fa.cross_entropy(
                X2, LABELS, **{"reduction": "none", option: value}
            ),
            "cross_entropy of probabilities": lambda value, out: fa.cross_entropy(X2, Q2, **{option: value}),
        }
        both = {
            "cross_entropy_with_grad": lambda value, out: fa.cross_entropy_with_grad(
                X2, LABELS, **{option: value}, out=out
            ),
            "cross_entropy_with_grad of a masked array": lambda value, out: fa.cross_entropy_with_grad(
                np.ma.array(X2), LABELS, **{option: value}, out=out
            ),
        }
        return both if with_grad_only else alone | both

    @staticmethod
    def linear(option):
        return {
            function.__name__: lambda value, out, function=function: function(X2, X2, LABELS % 2, **{option: value})
            for function in (fa.linear_cross_entropy, fa.linear_cross_entropy_with_grad)
        }


def losses(option):
    return Calls.losses(option) | Calls.linear(option)


REFUSED = {
    "axis": (Calls.rows("axis"), AXES, (*NO_AXES, [0, 1], (0, 1.0), (True, 0), ("a",))),
    "one axis": (Calls.halves("axis"), "axis must be an integer", (*NO_INTEGERS, (0, 1), ())),
    "the classes": (Calls.losses("axis"), "axis must be an integer", (*NO_INTEGERS, (0, 1), ())),
    "keepdims": (
        {"logsumexp": lambda value, out: fa.logsumexp(X2, keepdims=value)},
        "keepdims must be True or False",
        NO_SWITCHES,
    ),
    "label_smoothing": (
        losses("label_smoothing"),
        "label_smoothing must be (a number )?between 0 and 1",
        (*NUMBERS, -0.1, 1.5, np.nan, np.inf, 10**400),
    ),
    "z_loss": (losses("z_loss"), "z_loss must be (a )?finite", (*NUMBERS, np.nan, np.inf, -np.inf, 10**400)),
    "softcap": (
        losses("softcap"),
        "softcap must be None or a positive finite number",
        (*(value for value in NUMBERS if value is not None), 0, -1.0, np.nan, np.inf, 10**400),
    ),
    "empty": (losses("empty"), "empty must be a number", NUMBERS),
    "ignore_index": (
        losses("ignore_index"),
        "ignore_index must (be an integer|fit into 64 bits)",
        (*NO_INTEGERS, 2**70),
    ),
    "reduction": (
        losses("reduction"),
        "reduction must be one of 'mean', 'sum', 'none'",
        ("avg", True, None, 0, np.array(["mean", "sum"]), ["mean"]),
    ),
    "dtype": (
        losses("dtype"),
        "dtype must be float16, float32, float64 or None",
        ("int32", int, complex, "nonsense", True, 0, [1.0], np.ones(2)),
    ),
    "return_lse": (Calls.losses("return_lse", True), "return_lse must be True or False", NO_SWITCHES),
    "return_argmax": (Calls.losses("return_argmax", True), "return_argmax must be True or False", NO_SWITCHES),
    "weight": (
        Calls.losses("weight"),
        "^weight must (hold real numbers|have one element for each of the 4 classes)",
        (True, "a", 1.0, [1.0], [True] * 4, ["a"] * 4, [1j] * 4, np.ones((4, 1))),
    ),
    "class_weight": (
        Calls.linear("class_weight"),
        "^class_weight must (hold real numbers|have one element for each of the 2 classes)",
        (True, "a", 1.0, [1.0], [True] * 2, ["a"] * 2, [1j] * 2),
    ),
    "bias": (Calls.linear("bias"), "bias must", (True, "a", 1.0, [1.0], [True] * 2, ["a"] * 2, [1j] * 2)),
    "num_pieces": (
        {
            "maxout": lambda value, out: fa.maxout(X2, value),
            "maxout_with_index": lambda value, out: fa.maxout_with_index(X2, value),
            "maxout_backward": lambda value, out: fa.maxout_backward(X2, np.zeros((2, 4), int), value),
        },
        "num_pieces must be a positive integer",
        (*NO_INTEGERS, 0, -1),
    ),
    "which": (
        {"maxout_backward": lambda value, out: fa.maxout_backward(1.0, value, 1, out=out)},
        "which must be of integers",
        (X2, X2 > 0, X2.astype(str), X2 * 1j, np.zeros(0)),
    ),
    "training": (
        {"rrelu": lambda value, out: fa.rrelu(X2, training=value)},
        "training must be True or False",
        NO_SWITCHES,
    ),
    "names": (
        {"warmup": lambda value, out: fa.warmup(value)},
        "names must be an iterable of names",
        ("gelu", True, 1, 1.0),
    ),
    "dtypes": (
        {"warmup": lambda value, out: fa.warmup(["gelu"], value)},
        "dtypes must be an iterable of names",
        ("float32", None, True, 1),
    ),
    "progress": (
        {"warmup": lambda value, out: fa.warmup([], progress=value)},
        "progress must be a callable or None",
        ("a", True, 1, []),
    ),
}
"""By the option: calls, what each says, and the values that it says that of."""


@pytest.mark.parametrize("option", REFUSED)
def test_options_that_are_refused(option):
    """The error names the argument, what it was and what is allowed; nothing is written."""
    calls, words, bad = REFUSED[option]
    for name, call in calls.items():
        for value in bad:
            out = np.full(X2.shape, 7, np.float32)
            with pytest.raises((TypeError, ValueError), match=words) as caught:
                call(value, out)
            assert caught.type in (TypeError, ValueError), f"{name} of {value!r}"
            assert ", got " in str(caught.value), f"{name} of {value!r}: {caught.value}"
            assert (out == 7).all(), f"{name} wrote to out although {value!r} was refused"


def test_parameters_that_are_no_numbers(checked, cases):
    names, (wrong, _) = list(checked.parameters), WRONG_PARAMETERS[checked.name]
    for backward in (False, True):
        case = cases[checked.name + "_backward" * backward]
        valid = dict(zip(names, map(float, case.parameters()), strict=True))
        for name in wrong:
            for value in ("a", None, [None], {}, 1j):
                out = np.full(4, 7.0)
                with pytest.raises(TypeError, match=f"{name} must be a real number or an array of such, got "):
                    case.function(*[np.ones(4)] * (1 + backward), **{**valid, name: value}, out=out)
                assert (out == 7).all()


@pytest.mark.parametrize("value", [0, np.int8(-1), np.array(1), (np.int64(0),), (0, np.array(-1))], ids=repr)
def test_axes_in_other_forms(value):
    plain = tuple(map(int, value)) if isinstance(value, tuple) else int(value)
    for function in (fa.softmax, fa.logsumexp):
        np.testing.assert_array_equal(function(X, axis=value), function(X, axis=plain))


def test_numbers_in_other_forms():
    expected = fa.cross_entropy(X2, LABELS, label_smoothing=0.5, z_loss=1.0, softcap=2.0, ignore_index=0)
    for half, one, two in ((np.float16(0.5), np.int8(1), 2), (np.array(0.5), 1, np.array(2))):
        options = {"label_smoothing": half, "z_loss": one, "softcap": two, "ignore_index": np.int64(0)}
        assert fa.cross_entropy(X2, LABELS, **options) == expected
    assert fa.cross_entropy(X2, [-100, -100], empty=np.float32(3)) == 3
    assert fa.logsumexp(X2, keepdims=1).shape == (2, 1)


def test_operands_that_do_not_broadcast():
    for function in (fa.softmax_backward, fa.log_softmax_backward):
        with pytest.raises(ValueError, match=r"grad of shape \(2, 4\) and output of shape \(2, 3\) do not broadcast"):
            function(X2, X2[:, :3])
    for call in (lambda: fa.glu_backward(X2, X2), lambda: fa.maxout_backward(X2, np.zeros((2, 2), int), 2)):
        with pytest.raises(ValueError, match=r"grad must broadcast to the shape \(2, 2\), got \(2, 4\)"):
            call()
