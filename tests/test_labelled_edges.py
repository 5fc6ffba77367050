"""Losses of labelled rows and accuracies at their edges: parts of blocks, narrow labels, order of sums, scores not finite."""

import numpy as np
import pytest

import fastact as fa
from fastact.functions.labelled_losses import LOSSES

FUNCTIONS = [*LOSSES, "accuracy", "zero_one_loss", "top_k_accuracy", "ohem_cross_entropy"]


def every_form(name):
    """The function and, where there are such, those that return derivatives."""
    forms = [getattr(fa, f"{name}{ending}", None) for ending in ("", "_with_grad", "_with_grad_hess")]
    return [form for form in forms if form is not None]


def listed(results):
    return list(results) if isinstance(results, tuple) else [results]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_any_number_of_columns(name, dtype, same_bits):
    """Rows that lie side by side fill blocks of columns, and parts of one: as they do one after another."""
    rng = np.random.default_rng(0)
    for width in (*range(1, 66), 300):
        for classes in (1, 3):
            x, target = rng.normal(size=(classes, width)).astype(dtype), rng.integers(0, classes, width)
            for form in every_form(name):
                options = {"k": 1} if name == "top_k_accuracy" else {}
                got = listed(form(x, target, axis=0, **options))
                expected = listed(form(np.ascontiguousarray(x.T), target, **options))
                same_bits(np.asarray(got[0]), np.asarray(expected[0]), f"{name} of {width} columns")
                for g, e in zip(got[1:], expected[1:], strict=True):
                    same_bits(g, np.ascontiguousarray(e.T), f"a derivative of {name} of {width} columns")


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("label", "classes"), [("int8", 129), ("int8", 300), ("int16", 70_000)])
def test_negative_labels_of_few_bits(name, label, classes):
    """Of many classes such a label, read as unsigned, is one of them."""
    x = np.linspace(-3, -1, 2 * classes, dtype=np.float32).reshape(2, classes)
    for form in every_form(name):
        with pytest.raises(IndexError, match="label -2 at position 1 is out of range"):
            form(x, np.array([3, -2], label))
        narrow, wide = (listed(form(x, np.array([-1, 3], kind), ignore_index=-1)) for kind in (label, "int64"))
        for n, w in zip(narrow, wide, strict=True):
            np.testing.assert_array_equal(n, w)
        alone = listed(form(x, np.array([-1, -1], label), ignore_index=-1))
        assert np.isnan(alone[0])
        assert not any(np.any(part) for part in alone[1:])


@pytest.mark.parametrize("label", ["int8", "int16"])
def test_negative_labels_of_few_bits_are_seen_before_anything_is_written(label):
    out = np.full((1, 70_000), 7, np.float32)
    with pytest.raises(IndexError, match="label -1 at position 0"):
        fa.cross_entropy_with_grad(np.zeros_like(out), np.array([-1], label), out=out)
    assert (out == 7).all()
    with pytest.raises(IndexError, match="label -1 at position 0"):
        fa.linear_cross_entropy(np.zeros((1, 2)), np.zeros((70_000, 2)), np.array([-1], label))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_sums_do_not_depend_on_the_order_in_memory(name, reduction, weighted, same_bits):
    rng = np.random.default_rng(0)
    for shape in ((17, 2, 3, 5), (40, 7, 30, 4)):
        x, target = -rng.random(shape), rng.integers(0, shape[2], (*shape[:2], shape[3]))
        options = {"weight": rng.random(shape[2])} if weighted else {}
        if name != "ohem_cross_entropy":
            options["reduction"] = reduction
        for form in every_form(name):
            if name == "top_k_accuracy":
                options["k"] = 2
            expected = form(x, target, axis=2, **options)
            got = form(np.asfortranarray(x), np.asfortranarray(target), axis=2, **options)
            same_bits(got, expected, name)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_margins_between_infinite_scores(dtype):
    """Equal scores are equal if they are infinite, too: the loss and its gradient say the same."""
    infinite = np.inf
    for row, of_all, of_largest in (
        ([infinite, infinite, 0], 1 / 3, 1),
        ([-infinite, -infinite, -infinite], 2 / 3, 1),
        ([infinite, 0, 0], 0, 0),
        ([0, infinite, 0], infinite, infinite),
        ([-infinite, 0, 0], infinite, infinite),
    ):
        for x, axis in ((np.array([row], dtype), 1), (np.array([row] * 40, dtype).T, 0)):
            target = np.zeros(x.size // 3, int)
            for name, expected in (("multi_margin_loss", of_all), ("crammer_singer_loss", of_largest)):
                loss, grad = getattr(fa, f"{name}_with_grad")(x, target, axis=axis, reduction="none")
                np.testing.assert_array_equal(loss, np.array(expected).astype(dtype))
                assert np.isfinite(grad).all()
                assert (grad.sum(axis) == 0).all()
                assert bool(np.any(grad)) == (expected > 0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", LOSSES)
def test_nan_is_in_the_loss_and_in_the_gradient(name, dtype):
    for place in (0, 1, 2):
        row = np.array([0.5, -0.25, 1], dtype)
        row[place] = np.nan
        for label in (0, 1):
            if name == "nll_loss" and label != place:
                continue  # which looks at nothing but the label
            for x, axis in ((row[None], 1), (np.array([row] * 40).T, 0)):
                target = np.full(x.size // 3, label)
                for form in every_form(name):
                    loss, *derivatives = listed(form(x, target, axis=axis, reduction="none"))
                    assert np.isnan(loss).all(), (place, label)
                    if name != "nll_loss":
                        assert all(np.isnan(part).any(axis).all() for part in derivatives), (place, label)


def test_temperatures_that_the_precision_does_not_hold():
    x = np.zeros((2, 3), np.float32)
    for temperature in (1e-40, 1e40):
        with pytest.raises(ValueError, match="temperature must be between"):
            fa.distillation_loss(x, x, temperature=temperature)
        assert fa.distillation_loss(x.astype(float), x, temperature=temperature) > 0


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_options_that_are_infinite_in_the_inputs_precision(dtype):
    """Nothing is written; in float64 they are numbers as any."""
    x, labels = np.zeros((2, 3), dtype), [0, 1]
    for function, option in (
        (fa.multi_margin_loss_with_grad, "margin"),
        (fa.crammer_singer_loss_with_grad, "margin"),
        (fa.focal_loss_with_grad, "gamma"),
        (fa.cross_entropy_with_grad, "z_loss"),
    ):
        out = np.full((2, 3), 7, dtype)
        with pytest.raises(ValueError, match=f"{option} must be a finite number of float32, in which is computed, got"):
            function(x, labels, **{option: 1e39}, out=out)
        assert (out == 7).all()
        assert np.isfinite(function(x.astype(float), labels, **{option: 1e39})[0])
    for function in (fa.linear_cross_entropy, fa.linear_cross_entropy_with_grad):
        with pytest.raises(ValueError, match="z_loss must be a finite number of float32"):
            function(x, np.zeros((4, 3), dtype), labels, z_loss=1e39)
