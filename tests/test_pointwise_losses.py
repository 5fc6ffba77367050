"""Losses of single elements: their precision, special values, layouts, options and refusals, and PyTorch's on the same."""

import numpy as np
import pytest

import fastact as fa
from fastact import reference, table
from fastact.calls.elements import ROW, SLAB
from fastact.functions.pointwise import LOSSES
from fastact.functions.pointwise_containers import OPERANDS
from fastact.functions.record import drawn
from fastact.kinds.pointwise import PointwiseKernel
from tests.calls import LABEL_DTYPES
from tests.placement import ways_to_lie
from tests.ulp import units

DTYPES = ("float16", "float32", "float64")
RECORDS = table.functions()
NAMES = list(LOSSES)
SIZES = (0, 1, 2, 31, 33, 1023, 1025, ROW - 1, ROW, ROW + 1, 3 * ROW + 5, SLAB + 1)


def operands(name, shape, dtype="float64", seed=0):
    record = table.function(name)
    arrays, _ = record.arguments(record.variants[0], drawn(np.random.default_rng(seed)), shape, dtype)
    return arrays


def test_masks_know_every_operand():
    assert {name for loss in LOSSES.values() for name in loss.operands} <= {*OPERANDS}


def test_a_kernel_that_lacks_what_its_formulas_take_is_refused():
    with pytest.raises(ValueError, match=r"tests\.lacking: formulas take \['target'\], known are \('x', 'scale'\)"):
        PointwiseKernel("tests.lacking", "x", "scale", writes=[LOSSES["mse_loss"].value])


def with_grad(name):
    return getattr(fa, f"{name}_with_grad")


def wide_operands(name, dtype):
    """Inputs of every size, each with several targets."""
    loss = LOSSES[name]
    rng = np.random.default_rng(3)
    size = 40_000
    x = rng.normal(size=size) * 10.0 ** rng.uniform(-6, 3, size)
    if loss.takes.kind == "shares":
        x = rng.random(size) ** 3
    if loss.takes.kind == "logarithms":
        x = -abs(x)
    kind, spread = loss.target.operand.kind, 10.0 ** rng.uniform(-3, 2, size)
    made = {"labels": lambda: rng.integers(0, 2, size), "values": lambda: x + rng.normal(size=size) * spread}
    target = made.get(kind, lambda: rng.random(size))()
    if kind in ("shares", "probabilities"):
        target[::3], target[1::3] = 0, 1
    return x.astype(dtype), target.astype(dtype)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision(name, dtype):
    """Of the loss, or of its larger term, and of the larger term of the gradient."""
    loss, (x, target) = LOSSES[name], wide_operands(name, dtype)
    wide = np.longdouble if dtype == "float64" else np.float64
    for options in ({}, *loss.samples):
        numbers = {key: option.default for key, option in loss.options.items()} | options
        got, grad = with_grad(name)(x, target, reduction="none", **options)
        with np.errstate(all="ignore"):
            arrays = {**numbers, **dict.fromkeys(loss.operands, 1.0)}
            expected = loss.reference(x.astype(wide), target.astype(wide), **arrays)
            terms = loss.reference_derivative(x.astype(wide), target.astype(wide), **arrays)
            scale = abs(expected)
            if name == "kl_div":
                scale = np.maximum(scale, abs(target * x))
            if name == "js_div" and dtype == "float64":  # what the formula leaves of a longdouble
                scale = np.maximum(scale, 1e-3 * (x + target))
        assert units(got, expected, scale, dtype) <= loss.ulp
        assert units(grad, sum(terms), np.max(np.broadcast_arrays(*map(abs, terms)), axis=0), dtype) <= loss.ulp
        assert (got == getattr(fa, name)(x, target, reduction="none", **options)).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_are_those_of_the_elements(name, dtype):
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_subnormal)
    for size in SIZES if dtype == "float32" else SIZES[:6]:
        x, target = operands(name, (size,), dtype)
        losses, grads = with_grad(name)(x, target, reduction="none")
        total, grad = with_grad(name)(x, target, reduction="sum", dtype="float64")
        mean, scaled = with_grad(name)(x, target, dtype="float64")
        exact, largest = np.sum(losses, dtype=float), np.sum(abs(losses), dtype=float)
        np.testing.assert_allclose(total, exact, rtol=0, atol=4 * eps * largest)
        np.testing.assert_allclose(mean, total / size if size else np.nan, rtol=1e-13)
        np.testing.assert_array_equal(grad, grads)
        np.testing.assert_allclose(scaled, grads.astype(float) / max(1, size), rtol=2 * eps, atol=tiny)
        assert getattr(fa, name)(x, target, reduction="sum", dtype="float64") == total
        assert (losses.dtype, grad.dtype) == (dtype, dtype)


@pytest.mark.parametrize("name", NAMES)
def test_bits_depend_on_neither_layout_nor_threads(name, same_bits):
    shape = (3, 7, ROW + 13)
    x, target = operands(name, shape, "float32")
    expected = with_grad(name)(x, target)
    for (how, placed), (_, aim) in zip(ways_to_lie(x), ways_to_lie(target), strict=True):
        for given in ((placed, target), (x, aim), (placed, aim)):
            for got, e in zip(with_grad(name)(*given), expected, strict=True):
                same_bits(np.asarray(got), np.asarray(e), how)
    for threads in (1, 2, 3):
        with fa.threads(threads):
            for got, e in zip(with_grad(name)(x, target), expected, strict=True):
                same_bits(np.asarray(got), np.asarray(e), f"{threads} threads")
    weight = np.float32([0.5, 2.0, 0.25])[:, None, None]
    whole = np.ascontiguousarray(np.broadcast_to(weight, shape))
    for got, e in zip(with_grad(name)(x, target, weight=weight), with_grad(name)(x, target, weight=whole), strict=True):
        same_bits(np.asarray(got), np.asarray(e), "a weight that is broadcast")


@pytest.mark.parametrize("name", NAMES)
def test_nan_and_positions(name):
    """A NaN shows where it is, at every position, and nowhere else."""
    for size in (1, 5, 37):
        x, target = operands(name, (size,), "float32")
        whole, slope = with_grad(name)(x, target, reduction="none")
        for k in range(size):
            bad = x.copy()
            bad[k] = np.nan
            losses, grads = with_grad(name)(bad, target, reduction="none")
            unaffected = name == "kl_div"  # whose derivative is the target
            assert np.isnan(losses[k])
            assert np.isnan(grads[k]) or unaffected
            others = np.arange(size) != k
            np.testing.assert_array_equal(losses[others], whole[others])
            np.testing.assert_array_equal(grads[others], slope[others])


LIMITS = {
    # name: (x, target, loss, gradient)
    "binary_cross_entropy_with_logits": [
        (np.inf, 1, 0, 0),
        (np.inf, 0, np.inf, 1),
        (-np.inf, 0, 0, 0),
        (-np.inf, 1, np.inf, -1),
        (-0.0, 1, np.log(2), -0.5),
    ],
    "binary_cross_entropy": [(0, 0, 0, 0), (1, 1, 0, 0), (0, 1, 100, -1e12), (1, 0, 100, 1e12)],
    "logistic_loss": [(np.inf, 1, 0, 0), (-np.inf, 1, np.inf, -1), (np.inf, -1, np.inf, 1), (np.inf, 0, np.inf, 1)],
    "hinge_loss": [(1, 1, 0, 0), (np.inf, 1, 0, 0), (np.inf, 0, np.inf, 1), (-np.inf, -1, 0, 0)],
    "squared_hinge_loss": [(1, 1, 0, 0), (-1, 1, 4, -4), (np.inf, 0, np.inf, np.inf)],
    "sigmoid_focal_loss": [
        (np.inf, 1, 0, 0),
        (np.inf, 0, np.inf, 0.75),
        (-np.inf, 1, np.inf, -0.25),
        (-np.inf, 0, 0, 0),
    ],
    "mse_loss": [(2, 2, 0, 0), (np.inf, 0, np.inf, np.inf), (1e300, -1e300, np.inf, 4e300)],
    "l1_loss": [(2, 2, 0, 0), (-np.inf, 0, np.inf, -1), (-0.0, 0.0, 0, 0)],
    "huber_loss": [(2, 1, 0.5, 1), (np.inf, 0, np.inf, 1), (0, 0.5, 0.125, -0.5)],
    "smooth_l1_loss": [(2, 1, 0.5, 1), (-np.inf, 0, np.inf, -1), (0, 0.5, 0.125, -0.5)],
    "log_cosh": [(0, 0, 0, 0), (np.inf, 0, np.inf, 1), (1e-200, 0, 0, 1e-200), (1000, 0, 1000 - np.log(2), 1)],
    "kl_div": [(-1, 0, 0, 0), (-np.inf, 0, 0, 0), (-np.inf, 0.5, np.inf, -0.5), (-1, -0.5, np.nan, 0.5)],
    "js_div": [(0, 0, 0, 0), (0.5, 0, 0.25 * np.log(2), 0.5 * np.log(2)), (0, 0.5, 0.25 * np.log(2), -np.inf)],
}


@pytest.mark.parametrize("name", NAMES)
def test_limits_and_kinks(name):
    for x, target, loss, slope in LIMITS[name]:
        got = with_grad(name)(x, target)
        np.testing.assert_allclose(got, (loss, slope), rtol=1e-14, err_msg=f"{x} against {target}")


@pytest.mark.parametrize("name", NAMES)
def test_no_operand_is_rounded_to_halves(name):
    loss = LOSSES[name]
    x, target = operands(name, (100,), "float16")
    fine = np.random.default_rng(4).random(100).astype("float32")
    target = target if loss.target.operand.kind == "labels" else fine
    got, grad = with_grad(name)(x, target, weight=fine, reduction="none", dtype="float32")
    expected, slope = with_grad(name)(x.astype("float32"), target, weight=fine, reduction="none")
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(grad, slope.astype("float16"))


BINARY = [name for name in NAMES if LOSSES[name].target.allowed]


@pytest.mark.parametrize("name", BINARY)
def test_labels_of_any_dtype(name):
    x = operands(name, (50,), "float32")[0]
    labels = np.random.default_rng(1).integers(0, 2, 50)
    expected = with_grad(name)(x, labels.astype("float32"))
    for dtype in (*LABEL_DTYPES, "bool", "float64"):
        for got, e in zip(with_grad(name)(x, labels.astype(dtype)), expected, strict=True):
            np.testing.assert_array_equal(got, e)


@pytest.mark.parametrize("name", [name for name in BINARY if LOSSES[name].target.operand.kind == "labels"])
def test_labels_as_signs(name):
    x = operands(name, (50,), "float32")[0]
    labels = np.random.default_rng(1).integers(0, 2, 50)
    for got, e in zip(with_grad(name)(x, 2 * labels - 1), with_grad(name)(x, labels), strict=True):
        np.testing.assert_array_equal(got, e)
    with pytest.raises(ValueError, match="target must hold -1 and 1, or 0 and 1, got -1 as well as 0"):
        getattr(fa, name)(x[:3], [-1, 0, 1])


@pytest.mark.parametrize("name", [name for name in NAMES if LOSSES[name].ignores])
def test_ignored_elements_count_nothing(name):
    x, target = operands(name, (7, 11), "float32")
    target = np.array(target, "float32")
    target[2, 3:] = -100
    x[2, 4] = np.nan
    counted = target != -100
    loss, grad = with_grad(name)(x, target, ignore_index=-100)
    expected, slope = with_grad(name)(x[counted], target[counted])
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    np.testing.assert_array_equal(grad[counted], slope)
    assert (grad[~counted] == 0).all()
    assert np.isnan(getattr(fa, name)(x[2, 4:], target[2, 4:], ignore_index=-100))
    assert (with_grad(name)(x, target, ignore_index=-100, reduction="none")[0][~counted] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_masked_elements_count_nothing(name):
    x, target = operands(name, (7, 11), "float32")
    hidden = np.random.default_rng(5).random((7, 11)) < 0.3
    for given in (
        (np.ma.array(x, mask=hidden), target),
        (x, np.ma.array(target, mask=hidden)),
        (np.ma.array(x, mask=hidden), np.ma.array(target, mask=hidden)),
    ):
        loss, grad = with_grad(name)(*given)
        expected, slope = with_grad(name)(x[~hidden], target[~hidden])
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
        np.testing.assert_allclose(grad[~hidden], slope, rtol=1e-6, atol=1e-30)
        assert (np.ma.getmaskarray(grad) == hidden).all()
        assert getattr(fa, name)(*given) == loss
        losses, _ = with_grad(name)(*given, reduction="none")
        assert (np.ma.getmaskarray(losses) == hidden).all()
        out = np.ma.zeros((7, 11), "float32")
        assert with_grad(name)(*given, out=out)[1] is out
        np.testing.assert_array_equal(out.filled(7), grad.filled(7))
    everything = np.ma.array(x, mask=True)
    assert np.isnan(getattr(fa, name)(everything, target))
    weight = np.ma.array(np.ones((7, 11), "float32"), mask=hidden)
    np.testing.assert_allclose(getattr(fa, name)(x, target, weight=weight), expected, rtol=1e-6)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("wrong", [2.0, -0.5, np.inf])
def test_what_is_no_target_is_refused(name, wrong):
    x, target = operands(name, (3, ROW), "float32")
    target = np.array(target, "float32")
    target[1, 5] = wrong
    out = np.full_like(x, 7)
    for call in (
        lambda: getattr(fa, name)(x, target),
        lambda: getattr(fa, name)(x, target, reduction="none"),
        lambda: with_grad(name)(x, target),
        lambda: with_grad(name)(x, target, out=out),
    ):
        with pytest.raises(ValueError, match=rf"target must hold .*, got {wrong} at position \(1, 5\)"):
            call()
    assert (out == 7).all()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_refused(name):
    x, target = operands(name, (4, 3), "float32")
    function = with_grad(name)
    for error, words, given in (
        (ValueError, r"reduction must be one of 'mean', 'sum', 'none'", {"reduction": "median"}),
        (ValueError, r"weight must broadcast to the shape \(4, 3\), got \(5,\)", {"weight": np.ones(5)}),
        (TypeError, "weight must hold real numbers, got complex", {"weight": 1j}),
        (TypeError, "dtype must be float16, float32, float64 or None", {"dtype": "int8"}),
        (TypeError, rf"{name}_with_grad\(\) got an unexpected keyword argument 'size_average'", {"size_average": True}),
        (ValueError, "upstream must be a number where the loss is one", {"upstream": np.ones((4, 3))}),
        (TypeError, "out must be an array of float32, got float64", {"out": np.ones((4, 3))}),
        (ValueError, r"out must have the shape \(4, 3\)", {"out": np.ones(4, "float32")}),
    ):
        with pytest.raises(error, match=words):
            function(x, target, **given)
    with pytest.raises(ValueError, match=r"target must broadcast to the shape \(4, 3\), got \(4,\)"):
        function(x, target[:, 0])
    with pytest.raises(TypeError, match="input must be float16, float32 or float64, got complex"):
        function(x * 1j, target)
    for option, record in LOSSES[name].options.items():
        with pytest.raises((ValueError, TypeError), match=f"{option} must be {record.allowed}"):
            function(x, target, **{option: np.nan})
        with pytest.raises(TypeError, match=f"{option} must be {record.allowed}"):
            function(x, target, **{option: "much"})


@pytest.mark.parametrize("name", NAMES)
def test_out_may_be_an_operand_or_overlap_one(name, same_bits):
    x, target = operands(name, (5, ROW // 2), "float32")
    target = np.array(target, "float32")
    loss, grad = with_grad(name)(x, target)
    for k in range(2):
        given = [x.copy(), target.copy()]
        got = with_grad(name)(*given, out=given[k])
        assert got[1] is given[k]
        assert got[0] == loss
        same_bits(got[1], grad)
    buffer = np.concatenate([x.ravel(), x.ravel()[:100]])
    inside, moved = buffer[: x.size], buffer[100:]
    buffer[: x.size] = x.ravel()
    expected = with_grad(name)(inside.copy(), target.ravel())[1]
    same_bits(with_grad(name)(inside, target.ravel(), out=moved)[1], expected)


def test_logistic_loss_is_cross_entropy_of_two_classes():
    x, labels = np.random.default_rng(0).normal(size=(2, 1000)) * 4
    labels = (labels > 0).astype(int)
    both = np.stack([np.zeros_like(x), x], -1)
    loss, grad = fa.cross_entropy_with_grad(both, labels)
    for name in ("logistic_loss", "binary_cross_entropy_with_logits"):
        got, slope = with_grad(name)(x, labels)
        np.testing.assert_allclose(got, loss, rtol=1e-14)
        np.testing.assert_allclose(slope, grad[:, 1], rtol=1e-12)
    np.testing.assert_allclose(fa.softmax(both)[:, 1], fa.sigmoid(x), rtol=1e-14)
    np.testing.assert_allclose(fa.sigmoid_focal_loss(x, labels, alpha=-1.0, gamma=0.0), loss, rtol=1e-14)


def test_cross_entropy_is_entropy_plus_divergence():
    rng = np.random.default_rng(0)
    logits, q = rng.normal(size=(20, 7)), fa.softmax(rng.normal(size=(20, 7)))
    entropy = -np.mean(np.sum(q * np.log(q), -1))
    divergence = fa.kl_div(fa.log_softmax(logits), q, reduction="batchmean")
    np.testing.assert_allclose(fa.cross_entropy(logits, q), entropy + divergence, rtol=1e-13)
    np.testing.assert_allclose(
        fa.kl_div(fa.log_softmax(logits), np.log(q), log_target=True, reduction="batchmean"), divergence
    )
    half = (fa.softmax(logits) + q) / 2
    both = sum(fa.kl_div(np.log(half), p, reduction="sum") for p in (q, fa.softmax(logits)))
    np.testing.assert_allclose(fa.js_div(fa.softmax(logits), q, reduction="sum"), both / 2, rtol=1e-12)


def torch_losses(torch):
    functional = torch.nn.functional
    return {
        "binary_cross_entropy_with_logits": (functional.binary_cross_entropy_with_logits, {}),
        "binary_cross_entropy": (functional.binary_cross_entropy, {}),
        "mse_loss": (functional.mse_loss, {}),
        "l1_loss": (functional.l1_loss, {}),
        "huber_loss": (functional.huber_loss, {"delta": 0.5}),
        "smooth_l1_loss": (functional.smooth_l1_loss, {"beta": 0.5}),
        "kl_div": (functional.kl_div, {}),
    }


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # PyTorch's, of kl_div
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_as_pytorch(reduction, weighted):
    torch = pytest.importorskip("torch")
    for name, (function, options) in torch_losses(torch).items():
        if (reduction == "batchmean") != (reduction in LOSSES[name].reductions) and reduction == "batchmean":
            continue
        if weighted and not name.startswith("binary"):
            continue
        x, target = operands(name, (6, 5), "float64")
        weight = {"weight": np.random.default_rng(2).random((6, 5))} if weighted else {}
        if weighted and "logits" in name:
            weight["pos_weight"] = np.linspace(0.5, 2, 5)
        leaf = torch.tensor(x, requires_grad=True)
        tensors = {key: torch.tensor(value) for key, value in weight.items()}
        loss = function(leaf, torch.tensor(target), reduction=reduction, **options, **tensors)
        upstream = np.random.default_rng(3).random(loss.shape)
        loss.backward(torch.tensor(upstream))
        got, grad = with_grad(name)(x, target, reduction=reduction, upstream=upstream, **options, **weight)
        np.testing.assert_allclose(got, loss.detach().numpy(), rtol=1e-12, err_msg=name)
        np.testing.assert_allclose(grad, leaf.grad.numpy(), rtol=1e-10, atol=1e-14, err_msg=name)


def test_references_take_the_same_arguments():
    for name in NAMES:
        x, target = operands(name, (4, 3), "float64")
        got = with_grad(name)(x, target, weight=[1.0, 0.5, 2.0], reduction="sum", upstream=3.0)
        expected = getattr(reference, f"{name}_with_grad")(
            x, target, weight=np.array([1.0, 0.5, 2.0]), reduction="sum", upstream=3.0
        )
        for g, e in zip(got, expected, strict=True):
            np.testing.assert_allclose(g, e, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_out_in_either_byte_order(name):
    x, target = operands(name, (3, ROW), "float32")
    expected = with_grad(name)(x, target)
    out = np.zeros(x.shape, x.dtype.newbyteorder())
    got = with_grad(name)(x, target, out=out)
    assert got[1] is out
    assert got[0] == expected[0]
    np.testing.assert_array_equal(out, expected[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_longer_target_is_refused(name):
    x, target = operands(name, (3, 4), "float32")
    with pytest.raises(TypeError, match="target must be float16, float32, float64, of integers or booleans"):
        with_grad(name)(x, target.astype(np.longdouble))


def test_an_option_beyond_the_inputs_precision_is_refused():
    x = np.array([1.0, -1.0], np.float32)
    with pytest.raises(ValueError, match=r"gamma must be a finite number of float32, in which is computed, got 1e\+39"):
        fa.sigmoid_focal_loss(x, [1, 0], gamma=1e39)
    np.testing.assert_array_equal(fa.sigmoid_focal_loss(x.astype(float), [1, 0], gamma=1e39, reduction="none"), 0)
