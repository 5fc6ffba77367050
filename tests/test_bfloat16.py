"""bfloat16: every public function gives what it gives in float32, of the same operands, rounded once."""

import copy
import inspect
import operator
import pickle
import subprocess
import sys

import numpy as np
import pytest

import fastact as fa
from fastact import optim
from fastact.calls.widening import in_float32
from fastact.functions.record import Operand, drawn
from fastact.runtime import bfloat16 as loops
from tests.calls import CALLS, RECORDS, UPDATES

ml_dtypes = pytest.importorskip("ml_dtypes")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
ALL = np.arange(2**16, dtype=np.uint16).view(BFLOAT16)
"""Every value: infinities, subnormals and all NaN's among them."""
BITS = np.uint16
UFUNCS = [name for name, record in RECORDS.items() if isinstance(record.function, np.ufunc)]
OPS = [name for name, record in RECORDS.items() if record.op is not None]
"""Functions of elements."""


def narrow(x):
    """An array of float32 as bfloat16; anything else as it is."""
    return x.astype(BFLOAT16) if getattr(x, "dtype", None) == np.float32 else x


def wide(x):
    """The same values in float32."""
    return x.astype(np.float32) if getattr(x, "dtype", None) == BFLOAT16 else x


def rounded(x):
    with np.errstate(all="ignore"):
        return narrow(x)


def bits(x):
    """The bits of a bfloat16, all NaN's with the same."""
    assert x.dtype == BFLOAT16
    return np.where(np.isnan(x), BITS(0x7FC0), np.asarray(x).view(BITS))


def assert_same(got, expected):
    """Results are equal in every bit, in dtype and in type, what is no bfloat16 too."""
    if isinstance(expected, tuple | list):
        assert type(got) is type(expected)
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_same(one, other)
    elif getattr(expected, "dtype", None) == BFLOAT16:
        assert got.shape == expected.shape
        assert isinstance(got, np.ndarray) == isinstance(expected, np.ndarray)
        np.testing.assert_array_equal(bits(got), bits(expected))
    else:
        assert type(got) is type(expected)
        np.testing.assert_array_equal(got, expected)


def of_results(function, results):
    return type(results)(map(function, results)) if isinstance(results, tuple | list) else function(results)


def fresh(x):
    """A copy of an argument, generators of random numbers too."""
    return copy.deepcopy(x)


def check(function, *operands, **options):
    """Call a function with bfloat16, and compare with float32; return the result."""
    given = [fresh(x) for x in operands]
    got = function(*given, **fresh(options))
    expected = function(*map(wide, fresh(operands)), **{name: wide(x) for name, x in fresh(options).items()})
    assert_same(got, of_results(rounded, expected))
    for x, before in zip(given, operands, strict=True):
        assert np.asarray(x).tobytes() == np.asarray(before).tobytes()
    return got


def draws_slopes(call):
    return call.record.name == "rrelu" and call.options.get("training", False)


@pytest.mark.parametrize("call", [call for call in CALLS if call.record.name != "one_hot"], ids=str)
def test_every_function(call):
    """Of arrays, and of a dtype's numbers among the options, over all axes."""
    if draws_slopes(call):
        pytest.skip("whose slopes are bfloat16 before they are used: a test of their own")
    options = {name: narrow(x) for name, x in call.options.items()}
    check(call.record.function, *map(narrow, call.arrays), **options)


def test_slopes_that_are_drawn_are_those_that_are_returned():
    x = rounded(np.linspace(-4, 4, 999, dtype=np.float32))
    y, slopes = fa.rrelu(x, training=True, rng=3)
    _, drawn_slopes = fa.rrelu(wide(x), training=True, rng=3)
    assert_same(slopes, rounded(drawn_slopes))
    assert_same(y, rounded(np.where(wide(x) > 0, wide(x), wide(x) * wide(slopes))))


@pytest.mark.parametrize("call", UPDATES, ids=str)
@pytest.mark.parametrize("master", [False, True], ids=["narrow", "float32 beside"])
def test_updates_in_place(call, master):
    """All that is written is rounded once; what is float32 beside bfloat16, such as an optimizer's state, stays float32."""
    record = call.record
    operands, options = record.arguments(call.variant, drawn(np.random.default_rng(0)), (6, 10), np.float32)
    first = [narrow(x) if i < 2 or not master else x for i, x in enumerate(operands)]
    named = {name: x if master else narrow(x) for name, x in options.items()}
    given, given_options = fresh(first), fresh(named)
    widened, widened_options = [wide(fresh(x)) for x in first], {name: wide(fresh(x)) for name, x in named.items()}
    returned = record.function(*given, **given_options)
    expected = record.function(*widened, **widened_options)
    for x, other in zip([*given, *given_options.values()], [*widened, *widened_options.values()], strict=True):
        assert_same(x, rounded(other) if getattr(x, "dtype", None) == BFLOAT16 else other)
    if record.updated and 0 in record.updated:
        assert returned is given[0] or not isinstance(returned, np.ndarray) or returned.shape == ()
    written = [key for key in record.updated if isinstance(key, int)]
    assert all(not np.array_equal(given[key], first[key]) for key in written[:1])
    assert not isinstance(expected, tuple) or len(returned) == len(expected)


@pytest.mark.parametrize("name", OPS)
def test_every_value(name):
    """All 65,536 values, with others as further operands."""
    record = RECORDS[name]
    rng = np.random.default_rng(0)
    variant = record.variants[0]
    if any(isinstance(x, Operand) for x in variant.options.values()) or variant.random:
        pytest.skip("takes more than operands")
    operands = [ALL, *(rng.permutation(ALL) for _ in record.operands[1:])]
    check(record.function, *operands, **variant.options)


LENGTHS = [*range(70), 511, 512, 513, 1023, 1025, 4099]


@pytest.mark.parametrize("step", [1, 2, 3, -1])
def test_lengths_and_strides(step):
    for n in LENGTHS:
        x = np.resize(ALL[16000:17000], n * abs(step))[::step]
        for function in (fa.relu, fa.leaky_relu):
            assert_same(function(x), rounded(function(wide(x))))
        grad, memory = np.resize(ALL[::-1], n), np.resize(ALL, 2 * n).copy()
        out, untouched = memory[::2], memory[1::2].copy()
        assert fa.relu_backward(grad, x, out=out) is out
        assert_same(out, rounded(fa.relu_backward(wide(grad), wide(x))))
        assert_same(memory[1::2], untouched)


@pytest.mark.parametrize("n", [3, 600, 5000, 100_000])
@pytest.mark.parametrize("ahead", [0, 1, -1, 7, -7])
@pytest.mark.parametrize("step", [1, 2, -1])
def test_overlap(n, ahead, step):
    """Operands that overlap with the output give what copies of them give."""
    memory = np.resize(ALL[15000:18000], 2 * n + 20).copy()
    first = 10 if step > 0 else 2 * n + 9
    out = memory[first : first + step * n if step > 0 else None : step][:n]
    x = memory[first + ahead : None : step][:n]
    expected = fa.relu(x.copy())
    fa.relu(x, out=out)
    assert_same(out, expected)


def test_reduce_and_accumulate_need_the_element_before():
    x = rounded(np.linspace(0.1, 3, 700, dtype=np.float32))
    total, steps = x[0], [x[0]]
    for element in x[1:]:
        total = fa.hypot(total, element)
        steps.append(total)
    assert_same(fa.hypot.accumulate(x), np.array(steps))
    assert_same(fa.hypot.reduce(x), total)


@pytest.mark.parametrize("name", ["relu", "gelu", "leaky_relu", "hypot", "swiglu_backward"])
def test_large_arrays(name):
    """What the team of threads computes, in place too, at places that are no multiples of anything."""
    record = RECORDS[name]
    with fa.threads(2):
        for n in (300_001, 1_000_000):
            operands = [np.resize(ALL[k:], n + 1)[1:] for k, _ in enumerate(record.operands)]
            expected = of_results(rounded, record.function(*map(wide, operands)))
            for _ in range(3):
                assert_same(record.function(*operands), expected)
            if name != "swiglu_backward":
                record.function(*operands, out=operands[0])
                assert_same(operands[0], expected)


@pytest.mark.parametrize(
    "x", [np.float32([0.5, 2]), np.float64([0.5, 2]), np.float16([0.5, 2]), np.int8([1, 2]), np.float32(2), 2.0, 2]
)
def test_promotion(x):
    """As ml_dtypes defines it for NumPy's own ufuncs."""
    y = rounded(np.float32([1, 3]))
    for ours, theirs in ((fa.hypot, np.hypot), (fa.logaddexp, np.logaddexp)):
        assert ours(y, x).dtype == theirs(y, x).dtype
        assert ours(x, y).dtype == theirs(x, y).dtype


@pytest.mark.parametrize(("beside", "result"), [(np.float32, np.float32), (np.float64, np.float64)])
def test_promotion_of_functions(beside, result):
    """Other arrays of floats widen results, numbers and integers do not."""
    x, more = rounded(np.float32([[1, 3, 2]])), np.array([[0.5, 0.25, 0.25]], beside)
    for function in (fa.softmax_backward, fa.layer_norm_backward, fa.leaky_relu_backward, fa.swiglu):
        found = function(x, more)
        assert (found[0] if isinstance(found, tuple) else found).dtype == result
    assert fa.leaky_relu(x, more).dtype == result
    assert fa.elu(x, 0.3).dtype == fa.elu(x, np.float64(0.3)).dtype == BFLOAT16
    assert fa.cross_entropy(x, [1]).dtype == BFLOAT16
    assert fa.cross_entropy(x, np.array([1])).dtype == BFLOAT16


def test_parameters_are_not_rounded():
    x = np.full(4, -1, BFLOAT16)
    assert wide(rounded(np.float32(0.1))) != np.float32(0.1)
    assert_same(fa.leaky_relu(np.full(4, -255, BFLOAT16), 0.1), rounded(np.full(4, np.float32(-255) * np.float32(0.1))))
    check(fa.elu, x, 0.3)
    check(fa.hard_tanh, ALL, -0.7, 0.7)


def test_out():
    x = rounded(np.random.default_rng(0).normal(size=(7, 40)).astype(np.float32))
    for function in (fa.softmax, fa.log_softmax, fa.gelu, fa.leaky_relu, fa.layer_norm):
        expected = function(x)
        out = np.zeros((40, 7), BFLOAT16).T
        assert function(x, out=out) is out
        assert_same(out, expected)
        own = x.copy()
        assert function(own, out=own) is own
        assert_same(own, expected)
        other = np.zeros(x.shape, np.float32)
        assert function(wide(x), out=out) is out
        assert_same(out, expected)
        function(x, out=other)
        np.testing.assert_array_equal(rounded(other), expected)
    loss, grad = fa.cross_entropy_with_grad(x, np.zeros(7, int), out=out)
    assert grad is out
    assert_same((loss, grad), of_results(rounded, fa.cross_entropy_with_grad(wide(x), np.zeros(7, int))))


WITH_OUT = [call for call in CALLS if "out" in inspect.signature(call.record.function).parameters]
WITH_OUT = [call for call in WITH_OUT if call.record.name != "one_hot" and not draws_slopes(call)]


@pytest.mark.parametrize("call", WITH_OUT, ids=str)
def test_results_over_an_operand(call):
    """What is written may lie over the first operand, in any way."""
    record = call.record
    options = {name: narrow(x) for name, x in call.options.items()}
    first, *others = map(narrow, call.arrays)
    results = of_results(np.asarray, record.function(first, *others, **fresh(options)))
    results = results if isinstance(results, tuple) else (results,)
    places = [results[i] for i in record.written]
    memory = np.zeros(first.size + 1, BFLOAT16)
    x = memory[:-1].reshape(first.shape)
    x[...] = first
    outs = [np.empty_like(place) for place in places]
    if places[0].shape == first.shape:
        outs[0] = memory[1:].reshape(first.shape)
    record.function(x, *others, **fresh(options), out=tuple(outs) if len(outs) > 1 else outs[0])
    assert_same(outs, [np.asarray(place) for place in places])


def test_generators_are_asked_once():
    x = rounded(np.ones((4, 8), np.float32))
    for function, options in (
        (fa.dropout, {"p": 0.5}),
        (fa.alpha_dropout, {"p": 0.5}),
        (fa.softmax_dropout, {"p": 0.5}),
        (fa.rrelu, {"training": True}),
        (fa.sample_categorical, {}),
        (fa.sample_top_p, {"p": 0.5}),
    ):
        generators = np.random.default_rng(1), np.random.default_rng(1)
        function(x, rng=generators[0], **options)
        function(wide(x), rng=generators[1], **options)
        assert generators[0].bit_generator.state == generators[1].bit_generator.state, function.__name__


REFUSED = {
    "softmax": (lambda x: fa.softmax(x, axis=5), np.exceptions.AxisError),
    "an unknown name": (lambda x: fa.softmax(x, dim=0), TypeError),
    "labels": (lambda x: fa.cross_entropy(x, np.array([7, 0])), IndexError),
    "reduction": (lambda x: fa.mse_loss(x, x, reduction="all"), ValueError),
    "another dtype": (lambda x: fa.mse_loss(x, np.zeros((2, 3), complex)), TypeError),
    "a shape": (lambda x: fa.softmax(x, out=np.zeros((3, 3), BFLOAT16)), ValueError),
    "overlap": (lambda x: fa.sgd_step(x[0], x[0][::-1]), ValueError),
    "the same": (lambda x: fa.sgd_step(x, x), ValueError),
    "a number": (lambda x: fa.sgd_step(x, x.copy(), lr=-1.0), ValueError),
    "a state's shape": (lambda x: fa.rmsprop_step(x, x.copy(), np.zeros(2, np.float32)), ValueError),
    "results that overlap": (lambda x: fa.softmax_dropout(x, 0.5, 0, out=(x, x[::-1])), ValueError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_not_written(name):
    """Nor is the error one of another error."""
    call, kind = REFUSED[name]
    x = rounded(np.float32([[1, 2, 3], [4, 5, 6]]))
    before = x.copy()
    with pytest.raises(kind) as caught:
        call(x)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    np.testing.assert_array_equal(x, before)


def test_what_is_read_only_stays():
    x = rounded(np.float32([1, 2, 3]))
    x.flags.writeable = False
    check(fa.softmax, x)
    with pytest.raises(ValueError, match="read-only"):
        fa.sgd_step(x, x.copy())
    with pytest.raises(ValueError, match="read-only"):
        fa.dropout(x.copy(), 0.5, 0, out=x)


def test_errors_of_other_dtypes_are_as_before():
    for call in (lambda: fa.softmax(np.array(["a"])), lambda: fa.mse_loss(np.zeros(2, complex), np.zeros(2))):
        with pytest.raises(TypeError, match="float16, float32 or float64, got"):
            call()
    error = TypeError("as it was")
    with pytest.raises(TypeError, match="as it was") as caught:
        in_float32(fa.softmax, error, (np.zeros(2),), {})
    assert caught.value is error


def test_ufuncs_that_are_part_of_a_function_say_so():
    with pytest.raises(TypeError, match="call the public function"):
        fa.softmax.ufunc(np.ones(3, BFLOAT16))


def test_many_arrays_and_optimizers():
    """Lists and dicts of arrays, of bfloat16 and others; state is float32."""
    rng = np.random.default_rng(0)
    params = {"a": rounded(rng.normal(size=(3, 4)).astype(np.float32)), "b": rng.normal(size=5).astype(np.float32)}
    grads = {name: rounded(rng.normal(size=x.shape).astype(np.float32)) for name, x in params.items()}
    expected = {name: wide(x.copy()) for name, x in params.items()}
    optimizer, other = optim.AdamW(params, lr=0.1), optim.AdamW(expected, lr=0.1)
    assert {x.dtype for kept in optimizer.state.values() for x in kept.values()} == {np.dtype(np.float32)}
    optimizer.step(grads)
    other.step({name: wide(x) for name, x in grads.items()})
    assert_same(params["a"], rounded(expected["a"]))
    np.testing.assert_array_equal(params["b"], expected["b"])
    norm = fa.clip_grad_norm([grads["a"], grads["b"]], 0.5)
    assert wide(np.asarray(norm)) > 0.5
    assert np.linalg.norm([np.linalg.norm(wide(x)) for x in grads.values()]) < 0.51


def test_containers():
    x = rounded(np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32))
    hidden = np.random.default_rng(1).random(x.shape) < 0.3
    for function in (fa.softmax, fa.gelu, fa.logsumexp):
        got, expected = function(np.ma.array(x, mask=hidden)), function(np.ma.array(wide(x), mask=hidden))
        np.testing.assert_array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(expected))
        assert got.dtype == BFLOAT16
        np.testing.assert_array_equal(got.compressed(), rounded(expected.compressed()))
    assert_same(np.asarray(fa.softmax(x.view(np.matrix))), fa.softmax(x))
    assert type(fa.softmax(x.view(np.matrix))) is np.matrix


def test_xarray_and_dask():
    xarray, dask = pytest.importorskip("xarray"), pytest.importorskip("dask.array")
    x = rounded(np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32))
    labels = np.arange(4)
    for function in (fa.softmax, fa.gelu, lambda x: fa.cross_entropy(x, labels, reduction="none")):
        named = function(xarray.DataArray(x, dims=("row", "class")))
        assert named.dims[0] == "row"
        assert_same(named.values, function(x))
        lazy = function(dask.from_array(x, chunks=(2, 6)))
        assert lazy.dtype == BFLOAT16
        assert_same(lazy.compute(scheduler="synchronous"), function(x))


def test_scalars_and_lists():
    x = BFLOAT16.type(0.7)
    for function in (fa.gelu, fa.elu, fa.dropout_backward, fa.logsumexp):
        options = {"p": 0.5, "key": 3} if function is fa.dropout_backward else {}
        assert type(function(x, **options)) is type(x)
    assert_same(fa.softmax([x, x]), fa.softmax(np.array([x, x])))


def test_standins_and_special():
    from fastact import numpy as replaced
    from fastact import special

    for name in ("exp", "log1p", "tanh"):
        with np.errstate(all="ignore"):
            assert_same(getattr(replaced, name)(ALL), rounded(getattr(replaced, name)(wide(ALL))))
            assert getattr(replaced, name)(ALL).dtype == getattr(np, name)(ALL).dtype
    for name in (name for name in replaced.replaced if isinstance(getattr(np, name), np.ufunc)):
        theirs, operands = getattr(np, name), [rounded(np.float32([0.5, 0.25]))] * getattr(np, name).nin
        with np.errstate(all="ignore"):
            assert getattr(replaced, name)(*operands).dtype == theirs(*operands).dtype, name
    many = np.arange(5000).astype(BFLOAT16)
    for name, operands in {
        "sum": (many,),
        "max": (many,),
        "where": (many > 2, many, -many),
        "clip": (many, 1, 2),
    }.items():
        assert_same(getattr(replaced, name)(*operands), getattr(np, name)(*operands))
    with pytest.warns(RuntimeWarning, match="overflow encountered in exp"):
        replaced.exp(np.full(3, 100, BFLOAT16))
    check(special.expit, ALL)
    x = rounded(np.float32([1, 2, 3]))
    check(special.softmax, x)


def test_custom():
    @fa.elementwise
    def doubled(x, by=2.0):
        if x < -100:
            raise ValueError("too small")
        return x * by

    x = rounded(np.linspace(-4, 4, 999, dtype=np.float32))
    check(doubled, x)
    check(doubled, x, 0.1)
    with pytest.raises(ValueError, match="too small"):
        doubled(np.full(3, -101, BFLOAT16))


def test_functions_and_ufuncs_pickle():
    for name in UFUNCS[:3]:
        assert pickle.loads(pickle.dumps(getattr(fa, name))) is getattr(fa, name)
    assert pickle.loads(pickle.dumps(fa.mse_loss)) is fa.mse_loss
    assert pickle.loads(pickle.dumps(fa.dropout)) is fa.dropout


def run(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ml_dtypes_that_is_imported_later():
    """Functions that were there before take bfloat16 all the same; what watched for the import is gone."""
    run("""
import sys
from fastact import gelu, softmax
before = gelu([1.0])
assert "ml_dtypes" not in sys.modules
watching = [finder for finder in sys.meta_path if type(finder).__module__.startswith("fastact")]
assert len(watching) == 1
import numpy as np
import ml_dtypes
assert ml_dtypes.__spec__.loader.get_source("ml_dtypes")
assert not any(type(finder).__module__.startswith("fastact") for finder in sys.meta_path)
x = np.float32([1, 2, 3]).astype(ml_dtypes.bfloat16)
for function in (gelu, softmax):
    got, expected = function(x), function(x.astype(np.float32)).astype(ml_dtypes.bfloat16)
    assert got.dtype == x.dtype and (got == expected).all()
from fastact import relu
assert relu(x).dtype == x.dtype
""")


def test_without_ml_dtypes():
    """Nothing imports it, and its absence is no error of fastact's."""
    run("""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "ml_dtypes":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import fastact as fa
import numpy as np
assert fa.relu(np.float32([-1, 2]))[1] == 2
assert abs(fa.softmax(np.float32([1, 2])).sum() - 1) < 1e-6
for _ in range(2):
    try:
        import ml_dtypes
    except ModuleNotFoundError:
        pass
    else:
        raise AssertionError
assert fa.gelu(0.0) == 0
""")


def test_every_thread_may_be_the_first():
    """Many threads make ufuncs, import ml_dtypes and call at the same time."""
    run("""
import threading
import fastact as fa
import numpy as np
names = ["relu", "gelu", "silu", "exp", "tanh_shrink", "relu6", "selu", "mish"]
start, errors = threading.Barrier(len(names)), []
def work(name):
    try:
        start.wait()
        import ml_dtypes
        x = np.float32([-1, 0.5]).astype(ml_dtypes.bfloat16)
        for _ in range(3):
            assert getattr(fa, name)(x).dtype == x.dtype, name
            assert fa.softmax(x).dtype == x.dtype
    except BaseException as error:
        errors.append(error)
threads = [threading.Thread(target=work, args=(name,)) for name in names]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not errors, errors
""")


def test_torch():
    """Tensors come back as tensors, rounded as PyTorch rounds, ml_dtypes or not."""
    torch = pytest.importorskip("torch")
    x = rounded(np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32))
    tensor = torch.from_numpy(wide(x)).bfloat16()

    def back(found):
        assert found.dtype == torch.bfloat16
        return found.view(torch.uint16).numpy().view(BFLOAT16)

    labels = np.arange(4)
    for function in (
        fa.softmax,
        fa.layer_norm,
        fa.leaky_relu,
        fa.logsumexp,
        lambda x: fa.leaky_relu(x, 0.3),
        lambda x: fa.softmax(x, scale=0.5),
        lambda x: fa.cross_entropy(x, labels, reduction="none"),
        lambda x: fa.mse_loss(x, x * 0, reduction="none"),
        lambda x: fa.dropout(x, 0.5, 3)[0],
        lambda x: fa.rrelu(x, training=True, rng=3)[0],
    ):
        got, expected = function(tensor), function(x)
        if function is not fa.rrelu:
            assert np.max(np.abs(wide(back(got)) - wide(expected))) <= 0.01
    assert_same(back(fa.softmax(tensor)), fa.softmax(x))
    assert_same(back(fa.swiglu_backward(tensor, tensor, tensor)[0]), fa.swiglu_backward(x, x, x)[0])
    mixed = fa.softmax_backward(tensor, torch.from_numpy(wide(x)))
    assert mixed.dtype == torch.float32


def test_no_loop_is_forgotten():
    """Every ufunc that has a loop for float32 has one for bfloat16."""
    fa.gelu(np.ones(1, BFLOAT16))
    assert loops._registered == len(loops._offers)
    assert {operator.attrgetter("ufunc")(offered).__name__ for offered in loops._offers} >= set(UFUNCS)
