"""Losses of labelled rows: their precision, ties, special values, layouts, options and refusals, and PyTorch's on the same."""

import numpy as np
import pytest

import fastact as fa
from fastact import table
from fastact.functions.labelled_losses import LOSSES
from tests.calls import LABEL_DTYPES
from tests.combinations import covering
from tests.ulp import units

NAMES = [name for name in LOSSES if name != "cross_entropy"]
CURVED = [name for name, loss in LOSSES.items() if loss.curvature]
SHAPES = ((40, 1), (40, 2), (40, 7), (3, 1500), (1, 5), (300, 10), (70, 130))


def made(name, shape, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) * 3
    if LOSSES[name].takes.kind == "logarithms":
        x = -abs(x)
    return x.astype(dtype), rng.integers(0, shape[-1], shape[:-1])


def with_grad(name):
    return getattr(fa, f"{name}_with_grad")


def options_of(name):
    kept = [
        {key: value for key, value in sample.items() if key in LOSSES[name].options} for sample in LOSSES[name].samples
    ]
    return [{}, *kept]


def numbers_of(name, options):
    return {key: option.default for key, option in LOSSES[name].options.items()} | options


def digits_of_a_power(x, hot, gamma):
    """What the exponent of a power costs beside, in units of the last place of float64."""
    if x.dtype == np.float32 or gamma in (0, 1, 2):
        return 0
    rest = np.logaddexp.reduce(np.where(hot, -np.inf, x), axis=-1)
    left = np.logaddexp(0, np.where(hot, x, 0).sum(-1) - rest)
    return gamma * np.max(left[np.isfinite(left)], initial=0)


def at_a_kink(x, target, margin):
    """Rows with an element whose distance from the label rounds to the margin: whether it is active is up to the rounding."""
    gaps = margin + x - np.take_along_axis(x, target[:, None], -1)
    return np.any(abs(gaps) < 8 * np.finfo(x.dtype).eps * np.maximum(margin, abs(x)), axis=-1)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision(name, dtype):
    """Of the loss, and of the largest term of each derivative, for rows that are certain, wrong, and in between."""
    loss, wide, rng = LOSSES[name], np.longdouble if dtype == "float64" else np.float64, np.random.default_rng(5)
    for shape in SHAPES:
        x, target = made(name, shape, dtype)
        x *= 10.0 ** rng.uniform(-3, 1.5, (shape[0], 1)).astype(dtype)
        rows = slice(0, len(x) // 3)
        np.put_along_axis(x[rows], target[rows][:, None], x[rows].max(-1, keepdims=True) + 1, -1)
        hot = target[:, None] == np.arange(shape[-1])
        for options in options_of(name):
            numbers = numbers_of(name, options)
            derivatives = [loss.reference_gradient, *([loss.reference_curvature] if loss.curvature else [])]
            with np.errstate(all="ignore"):
                expected = loss.reference(x.astype(wide), hot, **numbers)
                terms = [one(x.astype(wide), hot, **numbers) for one in derivatives]
            calls = [getattr(fa, f"{name}{'_with_grad_hess' if loss.curvature else '_with_grad'}")]
            calls += [with_grad(name)] if name != "cross_entropy" else []
            for call in calls:
                got, *slopes = call(x, target, reduction="none", **options)
                scale = loss.scale(expected, shape[-1], **numbers) if loss.scale else abs(expected)
                promised = loss.ulp if dtype == "float32" else loss.double_ulp
                most = promised + (digits_of_a_power(x, hot, numbers["gamma"]) if "gamma" in numbers else 0)
                assert units(got, expected, scale, dtype) <= most, (shape, options)
                clear = ~at_a_kink(x, target, numbers["margin"]) if "margin" in numbers else slice(None)
                for slope, parts in zip(slopes, terms, strict=False):
                    largest = np.max(np.broadcast_arrays(*map(abs, parts)), axis=0)
                    if loss.scale:
                        largest = np.maximum(largest, numbers.get("p", 1) * loss.scale(0.0, shape[-1], **numbers))
                    found, exact = slope[clear], np.broadcast_to(sum(parts), slope.shape)[clear]
                    assert units(found, exact, largest[clear], dtype) <= most, (shape, options)
            if name != "cross_entropy":
                assert (getattr(fa, name)(x, target, reduction="none", **options) == got).all()


@pytest.mark.parametrize("name", LOSSES)
def test_every_layout_and_any_number_of_threads_give_the_same_bits(name, same_bits):
    ending = "_with_grad_hess" if name in CURVED else "_with_grad"
    function = getattr(fa, name + ending)
    for shape in ((5, 9, 13), (700, 260), (3, 70_000), (100_000, 3)):
        x, target = made(name, shape, "float32")
        expected = function(x, target)
        moved = np.moveaxis(x, -1, 0)
        for axis, given in (
            (0, moved),
            (0, np.ascontiguousarray(moved)),
            (-1, np.asfortranarray(x)),
            (-1, np.repeat(x, 2, -1)[..., ::2]),
        ):
            for got, e in zip(function(given, target, axis=axis), expected, strict=True):
                same_bits(np.asarray(np.moveaxis(got, axis, -1) if np.ndim(got) else got), np.asarray(e))
        for threads in (1, 2, 3):
            with fa.threads(threads):
                for got, e in zip(function(x, target), expected, strict=True):
                    same_bits(np.asarray(got), np.asarray(e), f"{threads} threads")


@pytest.mark.parametrize("name", LOSSES)
def test_in_place_and_labels_of_any_dtype(name, same_bits):
    two = name in CURVED
    function = getattr(fa, name + ("_with_grad_hess" if two else "_with_grad"))
    x, target = made(name, (50, 7), "float32")
    expected = function(x, target)
    for kind in LABEL_DTYPES:
        given, other = x.copy(), np.empty_like(x)
        got = function(given, target.astype(kind), out=(given, other) if two else given)
        assert got[1] is given
        for one, e in zip(got, expected, strict=True):
            same_bits(np.asarray(one), np.asarray(e))
    swapped = function(x.astype(">f4"), target.astype(">i8"))
    for one, e in zip(swapped, expected, strict=True):
        same_bits(np.asarray(one), np.asarray(e))


@pytest.mark.parametrize("name", NAMES)
def test_halves_are_computed_in_float32_and_rounded_once(name):
    x, target = made(name, (30, 12), "float16")
    wide = with_grad(name)(x.astype("float32"), target)
    loss, grad = with_grad(name)(x, target, dtype="float32")
    assert loss == wide[0]
    np.testing.assert_array_equal(grad, wide[1].astype("float16"))
    assert grad.dtype == np.float16
    assert getattr(fa, name)(x, target).dtype == np.float16


@pytest.mark.parametrize("name", LOSSES)
def test_weights_ignored_rows_and_reductions(name):
    """The options by threes, against the reference."""
    ending = "_with_grad_hess" if name in CURVED else "_with_grad"
    record = table.function(name + ending)
    rng = np.random.default_rng(1)
    options = {
        "weight": (None, rng.random(6)),
        "ignore_index": (-100, 2),
        "reduction": ("mean", "sum", "none"),
        "axis": (-1, 0, 1),
        "upstream": (None, -1.5),
        "dtype": (None, "float64"),
    }
    for row in covering(3, options):
        x, target = made(name, (4, 5, 6), seed=2)
        given = np.ascontiguousarray(np.moveaxis(x, -1, row["axis"]))
        chosen = {key: value for key, value in row.items() if value is not None}
        got = record.function(given, target, **chosen)
        expected = record.reference(given, target, **{key: value for key, value in chosen.items() if key != "dtype"})
        for g, e in zip(got, expected, strict=True):
            np.testing.assert_allclose(g, e, rtol=1e-12, atol=1e-14, err_msg=str(row))


@pytest.mark.parametrize("name", NAMES)
def test_upstream_of_each_row(name):
    x, target = made(name, (4, 5, 6))
    upstream = np.random.default_rng(3).normal(size=(4, 5))
    _, plain = with_grad(name)(x, target, reduction="none")
    for axis in (-1, 1):
        given = np.moveaxis(x, -1, axis)
        _, grad = with_grad(name)(given, target, reduction="none", upstream=upstream, axis=axis)
        np.testing.assert_allclose(np.moveaxis(grad, axis, -1), plain * upstream[..., None], rtol=1e-15)
    with pytest.raises(ValueError, match=r"upstream must broadcast to the shape \(4, 5\), got \(5, 4\)"):
        with_grad(name)(x, target, reduction="none", upstream=upstream.T)
    with pytest.raises(ValueError, match="upstream must be a number where the loss is one"):
        with_grad(name)(x, target, upstream=upstream)


@pytest.mark.parametrize("name", NAMES)
def test_nan_at_every_position(name):
    for classes in (1, 3, 40, 70):
        x, target = made(name, (1, classes), "float32")
        for k in range(classes):
            bad = x.copy()
            bad[0, k] = np.nan
            loss = getattr(fa, name)(bad, target)
            assert np.isnan(loss) == (name != "nll_loss" or k == target[0]), (classes, k)
    x, target = made(name, (6, 5), "float32")
    x[3, 2] = np.nan
    target[3] = -100
    loss, grad = with_grad(name)(x, target)
    assert np.isfinite(loss)
    assert (grad[3] == 0).all()
    assert np.isnan(getattr(fa, name)(x[:0], target[:0]))


@pytest.mark.parametrize("name", CURVED)
def test_second_derivatives_are_differences_of_the_first(name):
    x, target = made(name, (6, 5))
    function, step = getattr(fa, f"{name}_with_grad_hess"), 2.0**-12
    for options in options_of(name):
        _, _, hess = function(x, target, reduction="sum", **options)
        for j in range(5):
            moved = np.eye(5)[j] * step
            above, below = (function(x + d, target, reduction="sum", **options)[1][:, j] for d in (moved, -moved))
            np.testing.assert_allclose(hess[:, j], (above - below) / (2 * step), rtol=1e-5, atol=1e-7)


def test_ties_and_kinks_of_margins():
    _, grad = fa.multi_margin_loss_with_grad([[1.0, 1.0, 0.0, -5.0]], [0], reduction="sum")
    np.testing.assert_array_equal(grad, [[-0.25, 0.25, 0.0, 0.0]])  # the third is just the margin below
    loss, grad = fa.crammer_singer_loss_with_grad([[1.0, 2.0, 2.0, 0.0]], [0], reduction="sum")
    assert loss == 2.0
    np.testing.assert_array_equal(grad, [[-1.0, 0.5, 0.5, 0.0]])
    loss, grad = fa.crammer_singer_loss_with_grad([[1.0, 1.0, 1.0]], [1], reduction="sum")
    assert loss == 1.0
    np.testing.assert_array_equal(grad, [[0.5, -1.0, 0.5]])
    assert fa.crammer_singer_loss([[3.0]], [0]) == fa.multi_margin_loss([[3.0]], [0]) == 0.0
    assert fa.crammer_singer_loss([[-np.inf, 0.0]], [0]) == np.inf
    assert fa.crammer_singer_loss([[np.inf, 0.0]], [0]) == 0.0
    tiny = fa.multi_margin_loss(np.float64([[1.0, 1e-9, 0.0]]), [0], p=2.0, reduction="sum")
    np.testing.assert_allclose(tiny, 1e-18 / 3, rtol=1e-6)


def test_infinite_logits_of_the_focal_loss():
    loss, grad = fa.focal_loss_with_grad([[np.inf, 0.0], [-np.inf, 0.0], [0.0, -np.inf]], [1, 0, 0], reduction="none")
    assert np.isnan(loss[0])
    assert loss[1] == np.inf
    assert loss[2] == 0
    np.testing.assert_array_equal(grad[1:], [[-1, 1], [0, 0]])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_as_pytorch(reduction, weighted):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    for name, function, options in (
        ("nll_loss", functional.nll_loss, {"ignore_index": 2}),
        ("multi_margin_loss", functional.multi_margin_loss, {}),
        ("multi_margin_loss", functional.multi_margin_loss, {"p": 2, "margin": 0.5}),
    ):
        x, target = made(name, (9, 5))
        weight = np.linspace(0.5, 2.0, 5) if weighted else None
        leaf = torch.tensor(x, requires_grad=True)
        given = {"weight": None if weight is None else torch.tensor(weight), "reduction": reduction}
        loss = function(leaf, torch.tensor(target), **given, **options)
        loss.sum().backward()
        got, grad = with_grad(name)(x, target, weight=weight, reduction=reduction, **options)
        np.testing.assert_allclose(got, loss.detach().numpy(), rtol=1e-12, err_msg=name)
        np.testing.assert_allclose(grad, leaf.grad.numpy(), rtol=1e-12, atol=1e-15, err_msg=name)


def test_the_focal_loss_without_focus_is_cross_entropy_and_of_two_classes_the_sigmoids():
    x, target = made("focal_loss", (200, 7))
    for got, e in zip(
        fa.focal_loss_with_grad(x, target, gamma=0.0), fa.cross_entropy_with_grad(x, target), strict=True
    ):
        np.testing.assert_allclose(got, e, rtol=1e-12, atol=1e-15)
    both = x[:, :2] * [0.0, 1.0]
    labels = target % 2
    for gamma in (0.5, 2.0):
        loss, grad, hess = fa.focal_loss_with_grad_hess(both, labels, gamma=gamma)
        one = fa.sigmoid_focal_loss_with_grad_hess(both[:, 1], labels, alpha=-1.0, gamma=gamma)
        np.testing.assert_allclose(loss, one[0], rtol=1e-12)
        np.testing.assert_allclose(grad[:, 1], one[1], rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(hess[:, 1], one[2], rtol=1e-9, atol=1e-15)


def test_cross_entropy_with_grad_hess_has_the_gradient_of_cross_entropy():
    x, target = made("cross_entropy", (300, 9))
    loss, grad, hess = fa.cross_entropy_with_grad_hess(x, target, reduction="sum")
    expected, slope = fa.cross_entropy_with_grad(x, target, reduction="sum")
    np.testing.assert_allclose(loss, expected, rtol=1e-13)
    np.testing.assert_allclose(grad, slope, rtol=1e-11, atol=1e-15)
    p = fa.softmax(x)
    np.testing.assert_allclose(hess, p * (1 - p), rtol=1e-11)


@pytest.mark.parametrize("name", ["nll_loss_with_grad", "focal_loss_with_grad_hess", "multi_margin_loss"])
def test_what_is_refused(name):
    function = getattr(fa, name)
    x, target = made(name.partition("_with")[0], (4, 3), "float32")
    gradient = "_with_grad" in name
    out = np.full_like(x, 7)
    outs = {"out": (out, np.full_like(x, 7)) if name.endswith("hess") else out} if gradient else {}
    for error, words, labels, given in (
        (IndexError, r"label 3 at position 2 is out of range for 3 classes", [0, 1, 3, 0], outs),
        (TypeError, r"target must hold integers \(class indices\), got float64", [0.0, 1.0, 2.0, 0.0], outs),
        (ValueError, r"target of class indices must have shape \(4,\) for this input, got \(3,\)", [0, 1, 2], outs),
        (ValueError, "reduction must be one of 'mean', 'sum', 'none', got 'median'", target, {"reduction": "median"}),
        (ValueError, "weight must have one element for each of the 3 classes", target, {"weight": np.ones(2)}),
        (TypeError, rf"{name}\(\) got an unexpected keyword argument 'size_average'", target, {"size_average": 1}),
        (TypeError, "dtype must be float16, float32, float64 or None", target, {"dtype": "int8"}),
        (np.exceptions.AxisError, "axis 5 is out of bounds", target, {"axis": 5}),
    ):
        with pytest.raises(error, match=words):
            function(x, labels, **given)
    assert (out == 7).all()
    with pytest.raises(TypeError, match="input must be float16, float32 or float64, got complex"):
        function(x * 1j, target)
    if gradient:
        wrong = np.empty((4, 3))
        with pytest.raises(TypeError, match=r"out must be an array of float32, got float64|out must be a tuple of two"):
            function(x, target, out=wrong)
    if name.endswith("hess"):
        with pytest.raises(ValueError, match="out must be two arrays that do not overlap"):
            function(x, target, out=(out, out))
        with pytest.raises(ValueError, match="gamma must be a finite number of at least 0, got -1"):
            function(x, target, gamma=-1.0)


@pytest.mark.parametrize("name", LOSSES)
def test_masked_rows_and_classes(name):
    """What is hidden is as if it were not there."""
    ending = "_with_grad_hess" if name in CURVED else "_with_grad"
    function = getattr(fa, name + ending)
    x, target = made(name, (8, 6))
    hidden = np.zeros((8, 6), bool)
    hidden[:, 4] = True
    target[target == 4] = 0
    expected = function(np.delete(x, 4, 1), np.where(target > 4, 4, target))
    got = function(np.ma.array(x, mask=hidden), target)
    if name != "multi_margin_loss":  # whose sum is divided by the number of classes
        np.testing.assert_allclose(got[0], expected[0], rtol=1e-12)
        for g, e in zip(got[1:], expected[1:], strict=True):
            np.testing.assert_allclose(np.delete(np.asarray(g), 4, 1), e, rtol=1e-12, atol=1e-15)
            assert np.ma.getmaskarray(g)[:, 4].all()
    rows = np.ma.array(target, mask=np.arange(8) % 3 == 0)
    kept = np.arange(8) % 3 != 0
    weight = np.linspace(1, 2, 6)
    for options in ({}, {"weight": weight}):
        np.testing.assert_allclose(
            function(x, rows, **options)[0], function(x[kept], target[kept], **options)[0], rtol=1e-12
        )
    doubled = function(np.ma.array(x, mask=hidden), target, upstream=2.0)
    np.testing.assert_allclose(np.asarray(doubled[1]), 2 * np.asarray(got[1]), rtol=1e-12)


class TestAccuracies:
    def test_against_sorting(self):
        rng = np.random.default_rng(0)
        for classes in (1, 2, 5, 40, 1500):
            for scores in (rng.normal(size=(300, classes)), rng.integers(0, 3, (300, classes)).astype("float32")):
                target = rng.integers(0, classes, 300)
                order = np.argsort(-scores, axis=1, kind="stable")
                place = np.argmax(order == target[:, None], axis=1)
                for k in (1, 2, 5, 2000):
                    got = fa.top_k_accuracy(scores, target, k=k, reduction="none")
                    np.testing.assert_array_equal(got, place < k)
                assert fa.accuracy(scores, target, dtype="float64") == np.mean(np.argmax(scores, 1) == target)
                assert fa.zero_one_loss(scores, target, reduction="sum") == np.sum(np.argmax(scores, 1) != target)
                weight = rng.random(classes)
                got = fa.zero_one_loss(scores, target, weight=weight, reduction="none", dtype="float64")
                np.testing.assert_array_equal(got, weight[target] * (place > 0))
                moved = np.ascontiguousarray(scores.T)
                assert fa.top_k_accuracy(moved, target, k=2, axis=0, dtype="float64") == np.mean(place < 2)

    def test_nan_is_the_largest(self):
        unknown = np.array([[np.nan, 0.0, np.nan]])
        for label, place in ((0, 0), (1, 2), (2, 1)):
            found = [fa.top_k_accuracy(unknown, [label], k=k) for k in (1, 2, 3, 10**400)]
            np.testing.assert_array_equal(found, [place < k for k in (1, 2, 3, 4)])
            assert fa.zero_one_loss(unknown, [label]) == (np.argmax(unknown) != label)
        scores = np.array([[1.0, np.nan, 0.0], [np.nan, 1.0, 0.0]])
        np.testing.assert_array_equal(fa.accuracy(scores, [0, 1], reduction="none"), [0, 0])
        np.testing.assert_array_equal(fa.top_k_accuracy(scores, [0, 1], k=2, reduction="none"), [1, 1])
        tied = np.array([[1.0, np.nan, 1.0]])  # NaN and the first of equals are before the label
        np.testing.assert_array_equal([fa.top_k_accuracy(tied, [2], k=k) for k in (1, 2, 3)], [0, 0, 1])

    def test_predictions(self):
        assert fa.accuracy([0, 1, 2, 1], [0, 1, 1, 1]) == 0.75
        assert fa.zero_one_loss(np.array([0, 1, 2, 1]), [0, 1, -100, 0]) == 1 / 3
        assert fa.accuracy([0, 1, 1], [0, 1, 0], weight=[3.0, 1.0]) == 4 / 7
        masked = np.ma.array([0, 1, 2], mask=[False, False, True])
        assert fa.accuracy(masked, [0, 1, 0]) == 1.0
        with pytest.raises(ValueError, match=r"target must have the shape \(2,\) of the predictions, got \(3,\)"):
            fa.accuracy([0, 1], [0, 1, 1])
        each = fa.accuracy(masked, [0, 1, 0], reduction="none")
        np.testing.assert_array_equal(each.mask, masked.mask)
        np.testing.assert_array_equal(each[:2], [1, 1])
        hidden = np.ma.array([5.0, 1.0], mask=[True, False])
        assert np.isnan(fa.accuracy([0, 1], [0, 0], weight=hidden)), "a masked weight counts as 0"

    def test_predictions_in_containers(self):
        pandas = pytest.importorskip("pandas")
        found = fa.accuracy(pandas.Series([0, 1, 2], index=[3, 4, 5]), [0, 1, 1], reduction="none")
        assert isinstance(found, pandas.Series)
        assert list(found.index) == [3, 4, 5]
        assert fa.zero_one_loss(pandas.Series([0, 1, 2]), [0, 1, 1]) == 1 / 3

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"ignore_index": "a"}, TypeError, "ignore_index must be an integer, got 'a'"),
            ({"axis": 7}, ValueError, "axis 7 is out of bounds"),
            ({"axis": None}, TypeError, "axis must be an integer, got None"),
            ({"weight": [True, False]}, TypeError, "weight must hold real numbers, got bool"),
            ({"weight": [1.0]}, IndexError, "label 1 at position 1 is out of range for 1 classes"),
            ({"weight": 1.0}, ValueError, "weight must have one element for each"),
        ],
    )
    def test_predictions_are_checked_as_scores_are(self, options, error, message):
        with pytest.raises(error, match=message):
            fa.accuracy([0, 1], [0, 1], **options)

    def test_an_infinite_weight_is_nothing_where_it_does_not_count(self):
        weight = [1, np.inf, 1]
        for predicted in (np.eye(3), np.arange(3)):
            each = fa.accuracy(predicted, [1, 0, 2], weight=weight, reduction="none")
            np.testing.assert_array_equal(each, [0, 0, 1])

    def test_what_counts(self):
        scores, target = np.eye(4)[[0, 1, 2, 0]], np.array([0, 1, 3, -100])
        assert fa.accuracy(scores, target) == 2 / 3
        assert np.isnan(fa.accuracy(scores[3:], target[3:]))
        assert fa.accuracy(scores, target, weight=[1.0, 2.0, 1.0, 5.0]) == 3 / 8
        assert fa.accuracy(scores.astype("float16"), target).dtype == np.float16
        assert fa.accuracy(scores, target, dtype="float32").dtype == np.float32
        assert fa.accuracy(target, target).dtype == np.float64

    def test_what_is_refused(self):
        for k in (0, -1):
            with pytest.raises(ValueError, match=f"k must be an integer of at least 1, got {k}"):
                fa.top_k_accuracy(np.eye(3), [0, 1, 2], k=k)
        with pytest.raises(TypeError, match=r"k must be an integer of at least 1, got 2\.5"):
            fa.top_k_accuracy(np.eye(3), [0, 1, 2], k=2.5)
        with pytest.raises(IndexError, match="label 3 at position 2 is out of range"):
            fa.accuracy(np.eye(3), [0, 1, 3])


@pytest.mark.parametrize("rows", [20, 400])
def test_presets_are_the_definitions_in_use(rows):
    """Written as their authors do: by the labels' probabilities, by sorted losses, and by those of all pixels."""
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(2, rows, 5)), rng.integers(0, 5, (2, rows))
    target[rng.random(target.shape) < 0.2] = -100
    losses = fa.cross_entropy(x, target, reduction="none")
    valid = losses[target >= 0]

    p = np.sort(np.exp(-valid))
    bound = max(p[min(100_000 * 2, len(p) - 1)], 0.3)
    chosen = (target >= 0) & (np.exp(-losses) < bound)
    assert_close = np.testing.assert_allclose
    assert_close(fa.ohem_cross_entropy(x, target, threshold=0.3, preset="openmmlab"), (losses * chosen).mean())

    for threshold in (0.3, 1e-9):
        hard = valid[valid > -np.log(threshold)]
        if len(hard) < len(valid) // 16:
            hard = np.sort(valid)[::-1][: len(valid) // 16]
        assert_close(fa.ohem_cross_entropy(x, target, threshold=threshold, preset="bisenet"), hard.mean())

    for fraction in (0.1, 0.2, 1.0):
        hardest = np.sort(losses, axis=None)[::-1][: int(fraction * losses.size)]
        assert_close(fa.ohem_cross_entropy(x, target, fraction=fraction, preset="deeplab"), hardest.mean())
    default = fa.ohem_cross_entropy(x, target, preset="deeplab")
    assert default == fa.ohem_cross_entropy(x, target, fraction=0.2, preset="deeplab")

    for options in ({"preset": "openmmlab"}, {"preset": "bisenet"}, {"preset": "deeplab"}):
        loss, grad = fa.ohem_cross_entropy_with_grad(x, target, **options)
        assert loss == fa.ohem_cross_entropy(x, target, **options)
        step = 1e-6 * rng.normal(size=x.shape)
        ahead, behind = (fa.ohem_cross_entropy(x + k * step, target, **options) for k in (1, -1))
        assert_close(np.sum(grad * step), (ahead - behind) / 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"preset": "mine"}, "preset must be one of"),
        ({"preset": "bisenet", "min_kept": 3}, "min_kept must be 0"),
        ({"preset": "openmmlab", "fraction": 0.5}, "fraction must be None"),
    ],
)
def test_what_presets_refuse(options, text):
    with pytest.raises(ValueError, match=text):
        fa.ohem_cross_entropy(np.zeros((4, 2)), np.zeros(4, int), **options)


class TestHardExamples:
    def test_against_a_full_sort(self):
        rng = np.random.default_rng(0)
        x, target = rng.normal(size=(50, 40, 6)) * 2, rng.integers(0, 6, (50, 40))
        target[3] = -100
        losses = fa.cross_entropy(x, target, reduction="none")
        ordered = np.sort(losses[target != -100])[::-1]
        for options, kept in (
            ({"fraction": 0.25}, int(np.ceil(0.25 * ordered.size))),
            ({"fraction": 1.0}, ordered.size),
            ({"threshold": 0.5}, np.count_nonzero(ordered > np.log(2))),
            ({"threshold": 1e-9, "min_kept": 300}, 300),
            ({"threshold": 1e-9, "min_kept": 10**9}, ordered.size),
        ):
            loss, grad = fa.ohem_cross_entropy_with_grad(x, target, **options)
            np.testing.assert_allclose(loss, ordered[:kept].mean(), rtol=1e-13)
            assert loss == fa.ohem_cross_entropy(x, target, **options)
            chosen = np.where((losses >= ordered[kept - 1]) & (target != -100), target, -100)
            np.testing.assert_allclose(grad, fa.cross_entropy_with_grad(x, chosen)[1], rtol=1e-12, atol=1e-18)
        assert np.isnan(fa.ohem_cross_entropy(x, target, threshold=1e-12))

    def test_equal_losses_and_nan(self):
        loss, grad = fa.ohem_cross_entropy_with_grad(np.zeros((8, 2)), np.zeros(8, int), fraction=0.5)
        np.testing.assert_allclose(loss, np.log(2))
        np.testing.assert_array_equal(np.any(grad, axis=1), np.arange(8) < 4)
        x = np.zeros((8, 2))
        x[5, 0] = np.nan
        assert np.isnan(fa.ohem_cross_entropy(x, np.zeros(8, int), fraction=0.25))

    def test_gradient_in_place(self):
        x = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
        target = np.arange(30) % 4
        expected = fa.ohem_cross_entropy_with_grad(x, target, fraction=0.5)
        given = x.copy()
        got = fa.ohem_cross_entropy_with_grad(given, target, fraction=0.5, out=given)
        assert got[1] is given
        np.testing.assert_array_equal(given, expected[1])

    def test_what_is_refused(self):
        x, target = np.zeros((4, 3)), np.zeros(4, int)
        for error, words, given in (
            (ValueError, "threshold and fraction must not both be None", {"threshold": None}),
            (ValueError, "fraction must be None or a number above 0 and at most 1, got 0", {"fraction": 0}),
            (ValueError, "threshold must be None or a number above 0 and at most 1, got 1.5", {"threshold": 1.5}),
            (ValueError, "min_kept must be at least 0, got -1", {"min_kept": -1}),
        ):
            with pytest.raises(error, match=words):
                fa.ohem_cross_entropy(x, target, **given)
        with pytest.raises(
            TypeError, match="input must not be a masked array: ohem_cross_entropy chooses among all rows"
        ):
            fa.ohem_cross_entropy(np.ma.array(x), target)


class TestEntropies:
    def test_identities(self):
        rng = np.random.default_rng(0)
        x, teacher = rng.normal(size=(2, 20, 7)) * 3
        p, q = fa.softmax(x), fa.softmax(teacher)
        np.testing.assert_allclose(fa.entropy_with_logits(x), fa.entropy(p), rtol=1e-12)
        loss, grad = fa.distillation_loss_with_grad(x, teacher, reduction="none")
        divergence = fa.kl_div(np.log(p), q, reduction="none").sum(-1)
        np.testing.assert_allclose(loss, fa.entropy(q) + divergence, rtol=1e-12)
        np.testing.assert_allclose(loss, fa.cross_entropy(x, q, reduction="none"), rtol=1e-12)
        np.testing.assert_allclose(grad, p - q, rtol=1e-10, atol=1e-14)

    def test_certain_rows_keep_their_digits(self):
        x = np.array([[0.0, -30.0], [0.0, -700.0], [0.0, -np.inf]])
        e = np.exp([-30.0, -700.0])
        np.testing.assert_allclose(fa.entropy_with_logits(x)[:2], np.log1p(e) + e / (1 + e) * [30, 700], rtol=1e-14)
        assert fa.entropy_with_logits(x)[2] == 0

    def test_temperature(self):
        rng = np.random.default_rng(0)
        x, teacher = rng.normal(size=(2, 9, 5, 4))
        for axis in (0, 1, -1):
            for degrees in (0.5, 1.0, 3.0):
                loss, grad = fa.distillation_loss_with_grad(x, teacher, temperature=degrees, axis=axis)
                q = fa.softmax(teacher / degrees, axis=axis)
                e, slope = fa.cross_entropy_with_grad(x / degrees, q, axis=axis)
                np.testing.assert_allclose(loss, degrees**2 * e, rtol=1e-13)
                np.testing.assert_allclose(grad, degrees * slope, rtol=1e-12, atol=1e-17)
                assert fa.distillation_loss(x, teacher, temperature=degrees, axis=axis) == loss

    def test_blocks_and_places(self, same_bits):
        rng = np.random.default_rng(0)
        x, teacher = rng.normal(size=(2, 3000, 100)).astype("float32")
        expected = fa.distillation_loss_with_grad(x, teacher, temperature=2.0)
        for operand in (0, 1):
            given = [x.copy(), teacher.copy()]
            got = fa.distillation_loss_with_grad(*given, temperature=2.0, out=given[operand])
            assert got[1] is given[operand]
            same_bits(got[1], expected[1])
        halves = fa.distillation_loss_with_grad(x.astype("float16"), teacher, temperature=2.0)
        assert halves[1].dtype == np.float16
        np.testing.assert_allclose(halves[0], expected[0], rtol=1e-3)
        assert np.isnan(fa.distillation_loss(x[:0], teacher[:0]))

    def test_what_is_refused(self):
        for degrees in (0, -1, np.inf, np.nan):
            with pytest.raises(ValueError, match="temperature must be a positive finite number, got"):
                fa.distillation_loss(np.eye(3), np.eye(3), temperature=degrees)
        with pytest.raises(ValueError, match=r"target must have the shape \(3, 3\) of the input, got \(3,\)"):
            fa.distillation_loss(np.eye(3), np.ones(3))
