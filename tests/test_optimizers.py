"""Steps of optimizers: their precision, PyTorch's results, arrays of every layout, lists, and what is refused."""

from functools import partial
from itertools import product

import numpy as np
import pytest

import fastact as fa
from fastact import optim, reference
from fastact.functions.record import drawn
from tests.calls import RECORDS, UPDATES, as_tuple

STEPS = [call for call in UPDATES if call.record.family == "optimizers"]
NAMES = list(dict.fromkeys(call.record.name for call in STEPS))
INF = np.inf


def made(call, shape, dtype, seed=0, scale=4.0):
    """Operands and options, of a shape; a mean's square is below the mean of squares."""
    fill = drawn(np.random.default_rng(seed), scale)
    operands, options = call.record.arguments(call.variant, fill, shape, np.dtype(dtype))
    if "grad_avg" in options:
        options["grad_avg"] = np.asarray(options["grad_avg"] * np.sqrt(operands[2]) / 2, dtype)
    return operands, options


def copied(operands, options, wrap=np.copy):
    """The same arrays elsewhere."""
    return [wrap(x) for x in operands], {k: wrap(x) if isinstance(x, np.ndarray) else x for k, x in options.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("call", STEPS, ids=str)
def test_the_promise_is_kept(call, dtype):
    """In units of the last place of the largest of what was, what is, and what has been added."""
    record = call.record
    promised = record.ulp if dtype == "float32" else record.double_ulp
    for seed, scale in enumerate((0.01, 1.0, 30.0)):
        operands, options = made(call, (50_000,), dtype, seed, scale)
        before = copied(operands, options)
        widened = partial(np.asarray, dtype=np.longdouble if dtype == "float64" else np.float64)
        wide, wide_options = copied(operands, options, widened)
        expected = record.reference(*wide, **wide_options)
        written = {**dict(enumerate(before[0])), **before[1]}
        old = [written[key] for key in record.updated if key in written]
        got = record.results(operands, options)
        buffers = [x for key, x in written.items() if key == "momentum_buffer" or (record.name, key) == ("sgd_step", 2)]
        for i, (g, e, o) in enumerate(zip(got, expected, old, strict=True)):
            assert g.dtype == dtype
            largest = np.maximum(np.maximum(abs(o), abs(e)), abs(e - o))
            for buffer in buffers if i == 0 else ():  # which may cancel what the gradient adds
                largest = np.maximum(largest, 0.01 * abs(buffer))
            largest = largest.astype(dtype)
            error = np.max(abs(g - e) / np.spacing(largest))
            assert error <= promised


@pytest.mark.parametrize("call", STEPS, ids=str)
def test_halves_are_computed_in_float32(call):
    """Each result is that of float32, rounded once; what is kept may be of float32 and then is not rounded at all."""
    operands, options = made(call, (777,), "float16")
    wider = copied(operands, options, lambda x: x.astype("f4"))
    expected = call.record.results(*wider)
    mixed = [x if i < 2 else x.astype("f4") for i, x in enumerate(operands)]
    for given in ((mixed, copied([], options, lambda x: x.astype("f4"))[1]), (operands, options)):
        for g, e in zip(call.record.results(*copied(*given)), expected, strict=True):
            np.testing.assert_array_equal(g, e.astype(g.dtype))
    assert call.record.results(*copied(mixed, options))[0].dtype == np.float16


def test_operands_of_several_dtypes():
    """They are computed in the widest, and each is rounded once; integers are floats then, and what is kept may be wider."""
    param, grad, m, v = (np.random.default_rng(0).random(300) for _ in range(4))
    got = [param.astype("f4"), grad.copy(), m.astype(">f8"), v.copy()]
    expected = [param.astype("f4").astype("f8"), grad, m, v]
    fa.adam_step(*got, 1)
    fa.adam_step(*expected, 1)
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_array_equal(g, e.astype(g.dtype))
    weight = np.zeros(3, "f4")
    fa.sgd_step(weight, np.arange(3, dtype="i8"), lr=0.1)
    np.testing.assert_array_equal(weight, -np.float32([0, 0.1, 0.2]))


def views(x):
    """The same elements in other layouts, each in memory of its own."""
    yield np.asfortranarray(x)
    yield np.repeat(x, 3, -1)[..., ::3]
    yield x[::-1, ::-1].copy()[::-1, ::-1]
    yield np.pad(x, 2)[2:-2, 2:-2]
    yield x.astype(x.dtype.newbyteorder())
    yield np.frombuffer(bytearray(x.nbytes + 1), "u1")[1:].view(x.dtype).reshape(x.shape) * 0 + x


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("call", STEPS, ids=str)
def test_the_layout_does_not_matter(call, dtype):
    operands, options = made(call, (37, 53), dtype)
    expected = call.record.results(*copied(operands, options))
    for layouts in product(range(6), repeat=2):
        chosen = iter([*layouts, *layouts[::-1], *layouts, *layouts])
        given = copied(operands, options, lambda x, chosen=chosen: list(views(x))[next(chosen)])
        for g, e in zip(call.record.results(*given), expected, strict=True):
            np.testing.assert_array_equal(g, e)


def test_memory_between_is_left_alone():
    for step in (2, -3):
        whole = np.full(999, 77, np.float32)
        whole[::step] = 1
        fa.sgd_step(whole[::step], np.ones(len(whole[::step]), "f4"), lr=0.5)
        assert (whole[::step] == 0.5).all()
        rest = np.ones(999, bool)
        rest[::step] = False
        assert (whole[rest] == 77).all()


@pytest.mark.parametrize("call", STEPS, ids=str)
def test_the_number_of_threads_does_not_matter(call, threads):
    for dtype, shape in (("float32", (300_001,)), ("float16", (530, 700))):
        operands, options = made(call, shape, dtype)
        found = []
        for count in (1, 2, 4):
            with threads(count):
                found.append(call.record.results(*copied(operands, options)))
        for results in zip(*found, strict=True):
            np.testing.assert_array_equal(results[0], results[1])
            np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("call", STEPS, ids=str)
def test_special_values(call):
    """Each is what plain NumPy's is, alone among ordinary ones; nothing is raised."""
    special = [np.nan, INF, -INF, 0.0, -0.0, 1e-45, -1e-38, 1.0, -2.0]
    operands, options = made(call, (len(special),), "float32", scale=1.0)
    for which in range(len(operands)):
        given = copied(operands, options)
        nonnegative = call.record.operands[which].kind == "shares"
        given[0][which][...] = np.abs(special) if nonnegative else special
        expected = as_tuple(getattr(reference, call.record.name)(*given[0], **given[1]))
        with np.errstate(all="raise"):
            got = call.record.results(*given)
        for g, e in zip(got, expected, strict=True):
            np.testing.assert_allclose(g, e, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("call", STEPS, ids=str)
def test_lists_and_dicts(call):
    """Each array is updated as if it were alone, whatever the shapes; the containers themselves are returned."""
    shapes = [(3, 4), (), (0,), (5,), (1, 1, 600)]
    several = [made(call, shape, "float32", i) for i, shape in enumerate(shapes)]
    alone = [call.record.results(*copied(*one)) for one in several]
    lists = [list(xs) for xs in zip(*(operands for operands, _ in several), strict=True)]
    options = {
        k: [options[k] for _, options in several] if isinstance(x, np.ndarray) else x for k, x in several[0][1].items()
    }
    for wrap in (list, tuple, lambda xs: {f"layer{i}": x for i, x in enumerate(xs)}):
        given = [wrap([x.copy() for x in xs]) for xs in lists]
        more = {k: wrap([y.copy() for y in x]) if isinstance(x, list) else x for k, x in options.items()}
        assert call.record.function(*given, **more) is given[0]
        written = {**dict(enumerate(given)), **more}
        keys = [key for key in call.record.updated if key in written]
        for i in range(len(shapes)):
            for key, expected in zip(keys, alone[i], strict=True):
                held = written[key]
                np.testing.assert_array_equal((list(held.values()) if isinstance(held, dict) else held)[i], expected)


def test_the_order_of_a_dict_does_not_matter():
    a, b = np.ones(2), np.ones(3)
    fa.sgd_step({"a": a, "b": b}, {"b": np.ones(3), "a": np.zeros(2)}, lr=1.0)
    assert a.tolist() == [1, 1]
    assert b.tolist() == [0, 0, 0]
    assert fa.sgd_step([], []) == []


# What is refused: nothing has been written then, to any array of a list.


def refused(error, match, call, arrays):
    """The call fails, and arrays hold what they held."""
    before = [np.array(x, subok=False) for x in arrays]
    with pytest.raises(error, match=match):
        call()
    for x, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(np.asarray(x), old)


@pytest.mark.parametrize("call", STEPS, ids=str)
def test_arrays_that_are_refused(call):
    operands, options = made(call, (4, 6), "float32")
    good = [x.copy() for x in operands]
    first = {name: [x.copy(), x] if isinstance(x, np.ndarray) else x for name, x in options.items()}

    def wrong(i, x, error, match):
        """In the second place of the list, or alone."""
        arrays = [*operands[:i], x, *operands[i + 1 :]]
        lists = [[g.copy(), y] for g, y in zip(good, arrays, strict=True)]
        written = [y for pair in lists for y in pair if isinstance(y, np.ndarray)]
        refused(error, match, lambda: call.record.function(*lists, **first), written)
        refused(error, match, lambda: call.record.function(*arrays, **options), [*arrays])

    for i in range(len(operands)):
        name = list(call.record.function.__wrapped__.__code__.co_varnames)[i]
        x = operands[i]
        if i == 1:
            wrong(i, x[:, :1], ValueError, rf"{name}.* must have the shape \(4, 6\), got \(4, 1\)")
            wrong(i, x.astype(complex), TypeError, f"{name}.* must be float16, float32 or float64, got complex128")
        else:
            frozen = x.copy()
            frozen.flags.writeable = False
            wrong(i, frozen, ValueError, f"{name}.* is read-only")
            wrong(i, x.astype(int), TypeError, f"{name}.* must be an array of float16, .* got int64")
            wrong(i, np.lib.stride_tricks.as_strided(x, strides=(0, 4)), ValueError, "element more than once")
            if i > 1:
                wrong(i, x[:3], ValueError, rf"{name}.* must have the shape \(4, 6\), got \(3, 6\)")
                wrong(i, x.tolist(), TypeError, rf"{name}.* must be an array, got list")
                wrong(i, operands[0], ValueError, rf"{name}.* must not overlap param")
            else:
                wrong(i, operands[1], ValueError, r"grad.* must not overlap param")
        wrong(i, np.ma.array(x), TypeError, f"{name}.* masked array")


def test_views_that_overlap_are_told_from_those_that_do_not():
    whole = np.zeros(20)
    even, odd, half = whole[::2], whole[1::2], whole[5:15]
    fa.sgd_step(even, odd + 1, lr=1.0)
    fa.sgd_step([even, odd], [np.ones(10)] * 2, lr=1.0)
    assert even.tolist() == [-2] * 10
    assert odd.tolist() == [-1] * 10
    for arrays in ([even, half], [odd, odd], [half, odd], [whole[:10], whole[9:]]):
        grads = [np.ones(len(x)) for x in arrays]
        refused(ValueError, r"param\[1\] must not overlap param\[0\]", partial(fa.sgd_step, arrays, grads), arrays)
    shared = np.ones(10)
    fa.sgd_step([even, odd], [shared, shared])  # which is only read


@pytest.mark.parametrize(
    ("param", "grad", "error", "match"),
    [
        (np.ones(2), [np.ones(2)], ValueError, r"grad must have the shape \(2,\), got \(1, 2\)"),
        ([np.ones(2)], np.ones(2), TypeError, "grad must be a list or dict of arrays, as param is, got ndarray"),
        ([np.ones(2)], [np.ones(2)] * 2, ValueError, r"grad must have the arrays that param has, \[0\], got \[0, 1\]"),
        ({"a": np.ones(2)}, {"b": np.ones(2)}, ValueError, r"\['a'\], got \['b'\]"),
        ([np.ones(2), 1.0], [np.ones(2), 1.0], TypeError, r"param\[1\] must be an array, got float"),
        ({"a": None}, {"a": 1.0}, TypeError, r"param\['a'\] must be an array, got NoneType"),
        (1.0, 1.0, TypeError, "param must be an array, or a list or dict of arrays, got float"),
        (np.float32(1), 1.0, TypeError, "param must be an array, or a list or dict of arrays, got float32"),
    ],
)
def test_lists_that_are_refused(param, grad, error, match):
    with pytest.raises(error, match=match):
        fa.sgd_step(param, grad)


NUMBERS = [
    ("sgd_step", {"lr": -1.0}, ValueError, "lr must be a finite number of at least 0, got -1.0"),
    ("sgd_step", {"lr": INF}, ValueError, "lr must be a finite number"),
    ("sgd_step", {"lr": True}, TypeError, "lr must be a finite number of at least 0, got True"),
    ("sgd_step", {"lr": "fast"}, TypeError, "lr must be"),
    ("sgd_step", {"weight_decay": np.nan}, ValueError, "weight_decay must be"),
    ("sgd_step", {"momentum": 0.9}, ValueError, "momentum_buffer must be given for a momentum of 0.9"),
    ("sgd_step", {"nesterov": True}, ValueError, "nesterov must have a momentum above 0"),
    ("sgd_step", {"nesterov": 2}, TypeError, "nesterov must be True or False, got 2"),
    ("sgd_step", {"eps": 2}, TypeError, "unexpected keyword argument 'eps'; allowed are param, grad"),
    ("adam_step", {"step": 0}, ValueError, "step must be at least 1, which the first one is, got 0"),
    ("adam_step", {"step": 1.0}, TypeError, "step must be the number of this step, an integer, got 1.0"),
    (
        "adam_step",
        {"step": 1, "betas": (0.9, 1.0)},
        ValueError,
        r"betas\[1\] must be a number of at least 0 and below 1",
    ),
    ("adam_step", {"step": 1, "betas": 0.9}, TypeError, "betas must be two numbers, got 0.9"),
    ("adamw_step", {"step": 1, "eps": -1e-8}, ValueError, "eps must be"),
    ("rmsprop_step", {"alpha": 1.0}, ValueError, "alpha must be"),
    ("rmsprop_step", {"momentum": 0.5}, ValueError, "momentum_buffer must be given"),
    ("adagrad_step", {"lr_decay": -0.5}, ValueError, "lr_decay must be"),
]


@pytest.mark.parametrize(("name", "options", "error", "match"), NUMBERS)
def test_numbers_that_are_refused(name, options, error, match):
    record = RECORDS[name]
    arrays = [np.ones(3) for _ in record.operands[: 2 if name == "sgd_step" else None]]
    refused(error, match, lambda: record.function(*arrays, **options), arrays)


INFINITE = [
    ("sgd_step", {"lr": 1e39}, "lr"),
    ("sgd_step", {"weight_decay": 1e39}, "weight_decay"),
    ("sgd_step", {"momentum": 1e39}, "momentum"),
    ("sgd_step", {"momentum": 0.5, "dampening": -1e39}, "1 - dampening"),
    ("rmsprop_step", {"lr": 1e39}, "lr"),
    ("rmsprop_step", {"eps": 1e39}, "eps"),
    ("rmsprop_step", {"momentum": 1e39, "momentum_buffer": np.ones(3, "f4")}, "momentum"),
    ("adam_step", {"step": 1, "lr": 1e38}, r"lr / \(1 - betas\[0\]\*\*step\)"),
    ("adamw_step", {"step": 9, "lr": 1e20, "weight_decay": 1e20}, r"lr \* weight_decay"),
    ("adagrad_step", {"eps": 1e39}, "eps"),
]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("name", "options", "word"), INFINITE)
def test_numbers_that_are_infinite_in_the_arrays_precision(name, options, word, dtype):
    """Halves are computed in float32; where one array of a list is of float64, it is another's precision that is too small."""
    record = RECORDS[name]
    match = rf"^{word} must be a finite number of float32, in which is computed, got"
    for wrap in (lambda x: x, lambda x: [x.astype("f8"), x]):
        arrays = [wrap(np.ones(3, dtype)) for _ in record.operands]
        own = {key: wrap(np.ones(3, dtype)) if isinstance(x, np.ndarray) else x for key, x in options.items()}
        refused(ValueError, match, lambda arrays=arrays, own=own: record.function(*arrays, **own), arrays)
    wide = [np.ones(3) for _ in record.operands]
    own = {key: np.ones(3) if isinstance(x, np.ndarray) else x for key, x in options.items()}
    assert np.isfinite(record.function(*wide, **own)).all()


def test_a_number_that_only_overflows_on_the_way():
    arrays = [np.ones(3) for _ in range(4)]
    refused(ValueError, r"^lr / .* of float64, .*got inf", lambda: fa.adam_step(*arrays, 1, lr=1e308), arrays)


def test_a_buffer_without_momentum_is_left_alone():
    for step, others in ((fa.sgd_step, ()), (fa.rmsprop_step, (np.zeros(3),))):
        buffer = np.full(3, 7.0)
        step(np.ones(3), np.ones(3), *others, momentum_buffer=buffer)
        assert (buffer == 7).all()
        for wrong, error, match in (
            ("buffer", TypeError, "momentum_buffer must be an array, got str"),
            (np.ones(2), ValueError, r"momentum_buffer must have the shape \(3,\), got \(2,\)"),
            (np.ones(3, int), TypeError, "momentum_buffer must be an array of float16"),
            (np.broadcast_to(0.0, 3), ValueError, "momentum_buffer is read-only"),
        ):
            param = np.ones(3)
            call = partial(step, param, np.ones(3), *others, momentum_buffer=wrong)
            refused(error, match, call, [param])
        refused(
            ValueError, "must not overlap", partial(step, param, np.ones(3), *others, momentum_buffer=param), [param]
        )


def test_steps_of_any_number():
    for step in (1, 10**6, 2**63, 10**400):
        arrays = [np.ones(3), np.ones(3), np.zeros(3), np.zeros(3)]
        assert np.isfinite(fa.adam_step(*arrays, step)).all()
        assert np.isfinite(fa.adagrad_step(*arrays[:3], step, lr_decay=0.1)).all()


def test_numbers_of_numpy_are_numbers():
    one, other = np.ones(3), np.ones(3)
    fa.sgd_step(one, [1, 2, 3], lr=np.float32(0.5))
    fa.sgd_step(other, np.array([1, 2, 3], "i2"), lr=np.array(0.5))
    assert one.tolist() == other.tolist() == [0.5, 0, -0.5]


# PyTorch's optimizers, over several steps.

PEERS = {
    "SGD": [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ],
    "Adam": [{}, {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}, {"amsgrad": True}],
    "AdamW": [{}, {"weight_decay": 0.3, "amsgrad": True}],
    "RMSprop": [
        {},
        {"alpha": 0.9, "eps": 1e-2, "weight_decay": 0.1},
        {"momentum": 0.9},
        {"centered": True},
        {"momentum": 0.5, "centered": True, "weight_decay": 0.1},
    ],
    "Adagrad": [{}, {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.1}],
}


CLOSE = {"float32": {"rtol": 3e-5, "atol": 1e-6}, "float64": {"rtol": 1e-13, "atol": 1e-14}}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), [(name, options) for name, ways in PEERS.items() for options in ways])
def test_pytorch_computes_the_same(name, options, dtype):
    """A few units of rounding apart after twenty steps, some of gradients that change their sign."""
    torch = pytest.importorskip("torch")
    rng, close = np.random.default_rng(0), CLOSE[dtype]
    ours = {"weight": rng.normal(size=(5, 7)).astype(dtype), "bias": rng.normal(size=7).astype(dtype)}
    theirs = [torch.nn.Parameter(torch.from_numpy(x.copy())) for x in ours.values()]
    peer = getattr(torch.optim, name)(theirs, lr=0.05, **options)
    optimizer = getattr(optim, name)(ours, lr=0.05, **options)
    for _ in range(20):
        grads = {key: rng.normal(0.3, size=x.shape).astype(dtype) for key, x in ours.items()}
        for parameter, grad in zip(theirs, grads.values(), strict=True):
            parameter.grad = torch.from_numpy(grad.copy())
        peer.step()
        optimizer.step(grads)
        for x, parameter in zip(ours.values(), theirs, strict=True):
            np.testing.assert_allclose(x, parameter.detach().numpy(), **close)
