"""Cross-entropy at its edges: rows that are ignored, empty or not finite, and what is refused."""

import numpy as np
import pytest

import fastact as fa
from fastact.functions.cross_entropy_results import MANY_ROWS
from fastact.kernels.along import CHUNK


def test_argmax_is_the_first_and_nan_counts():
    for rows in (1, 40):
        logits = np.zeros((rows, 90), np.float32)
        logits[:, [7, 70]] = 1.0
        logits[0, [40, 50]] = np.nan
        argmax = fa.cross_entropy_with_grad(logits, np.zeros(rows, int), return_argmax=True)[2]
        assert np.array_equal(argmax, np.argmax(logits, axis=-1))


@pytest.mark.parametrize("rows", [1, 40])
def test_rows_that_are_not_finite(rows):
    for row in ([np.inf, 0, 1], [-np.inf] * 3, [np.nan, 0, 1], [np.nan, np.inf, 0]):
        logits = np.tile(np.float32(row), (rows, 1))
        loss, grad = fa.cross_entropy_with_grad(logits, np.zeros(rows, int), reduction="none")
        assert np.isnan(loss).all()
        assert np.isnan(grad).all()
        weightless = fa.cross_entropy(logits, np.zeros(rows, int), weight=[0, 1, 1], reduction="none")
        assert np.isnan(weightless).all()
    logits = np.tile(np.float32([-np.inf, 0, 0]), (rows, 1))
    assert np.isinf(fa.cross_entropy(logits, np.zeros(rows, int)))
    assert np.allclose(fa.cross_entropy(logits, np.ones(rows, int)), np.log(2))
    # A masked class that has nothing of the target adds nothing.
    target = np.tile(np.float32([0, 0.5, 0.5]), (rows, 1))
    assert np.allclose(fa.cross_entropy(logits, target), np.log(2))


@pytest.mark.parametrize("rows", [2, 40])
def test_ignored_rows(rows):
    logits = np.full((rows, 4), np.nan, np.float32)
    target = np.full(rows, -100)
    loss, grad = fa.cross_entropy_with_grad(logits, target)
    assert np.isnan(loss)
    assert not grad.any()
    assert fa.cross_entropy(logits, target, empty=0.0) == 0
    assert fa.cross_entropy(logits, target, reduction="sum") == 0
    logits[0], target[0] = 0, 2
    loss, grad = fa.cross_entropy_with_grad(logits, target)
    assert np.allclose(loss, np.log(4))
    assert np.allclose(grad[0], [0.25, 0.25, -0.75, 0.25])
    assert not grad[1:].any()


def test_the_first_class_may_be_the_one_to_ignore():
    logits = np.log(np.float32([[1, 3], [1, 1], [2, 2]]))
    for function in (fa.cross_entropy, lambda *given, **options: fa.cross_entropy_with_grad(*given, **options)[0]):
        assert function(logits, [1, 0, 0], ignore_index=0) == pytest.approx(np.log(4 / 3), rel=1e-6)
    grad = fa.cross_entropy_with_grad(logits, [1, 0, 0], ignore_index=0)[1]
    np.testing.assert_allclose(grad, [[0.25, -0.25], [0, 0], [0, 0]], atol=1e-6)


@pytest.mark.parametrize("rows", [3, 40])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_label_out_of_range_raises_before_anything_is_written(rows, reduction):
    logits, target = np.ones((rows, 4), np.float32), np.zeros(rows, int)
    for bad in (4, -1, -101, 10**9):
        target[2] = bad
        out = np.full_like(logits, 7)
        with pytest.raises(IndexError, match=rf"label {bad} at position 2 is out of range for 4 classes.*0 to 3"):
            fa.cross_entropy(logits, target, reduction=reduction)
        with pytest.raises(IndexError, match=rf"label {bad} at position 2"):
            fa.cross_entropy_with_grad(logits, target, reduction=reduction, out=out)
        assert (out == 7).all()
    with pytest.raises(IndexError, match=r"position \(1, 0\)"):
        fa.cross_entropy(np.ones((2, 3, 4)), [[0, 0, 0], [9, 0, 0]], reduction=reduction)


@pytest.mark.parametrize(
    ("error", "text", "arguments"),
    [
        (ValueError, "target of class indices must have shape", {"target": [0, 1]}),
        (ValueError, "target of class probabilities must have shape", {"target": np.ones((3, 5))}),
        (TypeError, "target must hold integers", {"target": ["a", "b", "c"]}),
        (TypeError, "target must hold integers", {"target": [True, False, True]}),
        (TypeError, "logits must be float", {"logits": np.ones((3, 4), complex)}),
        (ValueError, "axis of classes", {"logits": 1.0, "target": 0}),
        (ValueError, "weight must have one element", {"weight": np.ones(3)}),
        (TypeError, "weight must hold real", {"weight": ["a"] * 4}),
        (ValueError, "label_smoothing must be between 0 and 1, got 1.5", {"label_smoothing": 1.5}),
        (ValueError, "label_smoothing must be between", {"label_smoothing": np.nan}),
        (ValueError, "reduction must be one of 'mean', 'sum', 'none', got 'avg'", {"reduction": "avg"}),
        (ValueError, "softcap must be", {"softcap": 0.0}),
        (ValueError, "z_loss must be finite", {"z_loss": np.inf}),
        (ValueError, "ignore_index must be negative", {"target": np.ones((3, 4)), "ignore_index": 1}),
        (np.exceptions.AxisError, "axis 2", {"axis": 2}),
    ],
)
def test_errors_name_the_argument(error, text, arguments):
    given = {"logits": np.ones((3, 4)), "target": [0, 1, 2]} | arguments
    for function in (fa.cross_entropy, fa.cross_entropy_with_grad):
        with pytest.raises(error, match=text):
            function(
                given["logits"],
                given["target"],
                **{k: v for k, v in arguments.items() if k not in ("logits", "target")},
            )


def test_bad_out():
    logits = np.ones((3, 4), np.float32)
    for error, out in (
        (TypeError, np.ones((3, 4))),
        (TypeError, [1.0]),
        (ValueError, np.ones((4, 3), np.float32)),
        (ValueError, np.broadcast_to(np.float32(1), (3, 4))),
    ):
        with pytest.raises(error, match="out"):
            fa.cross_entropy_with_grad(logits, [0, 1, 2], out=out)


def test_empty():
    assert np.isnan(fa.cross_entropy(np.ones((0, 4)), np.ones(0, int)))
    assert fa.cross_entropy(np.ones((0, 4)), np.ones(0, int), reduction="none").shape == (0,)
    assert fa.cross_entropy_with_grad(np.ones((0, 4)), np.ones(0, int))[1].shape == (0, 4)
    assert fa.cross_entropy(np.ones((3, 1)), np.zeros(3, int)) == 0


def test_linear_errors_and_memory():
    import tracemalloc

    hidden, weight, target = np.ones((64, 8), np.float32), np.ones((3000, 8), np.float32), np.zeros(64, int)
    for error, text, arguments in (
        (ValueError, "weight must have shape", (hidden, weight.T, target)),
        (ValueError, "target must have shape", (hidden, weight, target[1:])),
        (TypeError, "target must hold integers", (hidden, weight, target * 1.0)),
        (TypeError, "hidden must be float", (hidden.astype(int), weight, target)),
        (IndexError, "label 3000 at position 0", (hidden, weight, target + 3000)),
    ):
        with pytest.raises(error, match=text):
            fa.linear_cross_entropy_with_grad(*arguments)
    with pytest.raises(ValueError, match="bias must have shape"):
        fa.linear_cross_entropy(hidden, weight, target, bias=np.ones(4))
    fa.linear_cross_entropy_with_grad(hidden, weight, target)
    tracemalloc.start()
    try:
        results = fa.linear_cross_entropy_with_grad(hidden, weight, target)
        extra = tracemalloc.get_traced_memory()[1] - sum(np.asarray(r).nbytes for r in results)
        assert extra < 0.25 * 64 * 3000 * 4  # a twelfth for the block, and the slice of a product
    finally:
        tracemalloc.stop()


def test_weights_in_the_memory_of_one(same_bits):
    """A stride of 0 is an element that repeats."""
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("f4")
    whole, repeated = np.full(5, 2, "f4"), np.broadcast_to(np.float32(2), 5)
    for target in (np.arange(4), np.full((4, 5), 0.2, "f4")):
        for smoothing in (0, 0.1):
            for reduction in ("mean", "sum", "none"):
                options = {"label_smoothing": smoothing, "reduction": reduction}
                got, expected = (
                    fa.cross_entropy_with_grad(x, target, weight=weight, **options) for weight in (repeated, whole)
                )
                same_bits(got, expected)


def test_what_is_too_large_for_its_dtype_is_infinite_without_a_warning():
    assert fa.cross_entropy(np.array([[0, 60_000]] * 2, "f2"), [0, 0], reduction="sum") == np.inf
    assert fa.cross_entropy(np.array([[-3e38, 3e38]], "f4"), [0]) == np.inf
    assert (fa.cross_entropy(np.array([[-3e38, 3e38]], "f4"), [0], reduction="none") == np.inf).all()


def test_ignored_rows_count_nothing_whatever_they_hold():
    rng = np.random.default_rng(0)
    hidden, weight, bias = rng.normal(size=(40, 6)), rng.normal(size=(9, 6)), rng.normal(size=9)
    target = rng.integers(0, 9, 40)
    ignored = rng.random(40) < 0.6
    target[ignored], hidden[ignored] = -100, np.nan
    for options in ({}, {"bias": bias}, {"reduction": "sum"}, {"class_weight": np.arange(1, 10.0)}):
        loss, grad, *rest = fa.linear_cross_entropy_with_grad(hidden, weight, target, **options)
        left = fa.linear_cross_entropy_with_grad(hidden[~ignored], weight, target[~ignored], **options)
        assert loss == fa.linear_cross_entropy(hidden, weight, target, **options) == pytest.approx(left[0])
        np.testing.assert_allclose(grad[~ignored], left[1], rtol=1e-12)
        assert (grad[ignored] == 0).all()
        for got, expected in zip(rest, left[2:], strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-10)
    rows = fa.linear_cross_entropy(hidden.reshape(5, 8, 6), weight, target.reshape(5, 8), reduction="none")
    assert rows.shape == (5, 8)
    assert (rows.reshape(-1)[ignored] == 0).all()
    assert (rows.reshape(-1)[~ignored] > 0).all()
    assert np.isnan(fa.linear_cross_entropy(hidden, weight, np.full(40, -100)))


MEANT = {
    "one-hot integers": (np.eye(3, dtype=int), ValueError, r"target.argmax\(axis=-1\)"),
    "a one-hot mask": (np.eye(3, dtype=bool), TypeError, r"target.argmax\(axis=-1\)"),
    "float labels": (np.array([0.0, 1.0, 2.0]), ValueError, r"target.astype\(int\)"),
    "a column of labels": (np.array([[0], [1], [2]]), ValueError, r"target\[..., 0\]"),
    "labels of two classes": (np.array([True, False, True]), TypeError, r"two classes.*target.astype\(int\)"),
}


@pytest.mark.parametrize("kind", MEANT)
def test_a_target_of_another_form_is_recognised(kind):
    target, error, advice = MEANT[kind]
    for function in (fa.cross_entropy, fa.cross_entropy_with_grad):
        with pytest.raises(error, match=advice):
            function(np.eye(3), target)
    for function in (fa.linear_cross_entropy, fa.linear_cross_entropy_with_grad):
        with pytest.raises((TypeError, ValueError), match=advice) as caught:
            function(np.ones((3, 2)), np.ones((3, 2)), target)
        assert "or as floats" not in str(caught.value)


def test_no_label():
    """Empty lists are labels of no row, as NumPy takes them for indices; an array says itself what it holds."""
    for shape, target in (((0, 5), []), ((0, 5), ()), ((2, 0, 5), [[], []]), ((0, 0), [])):
        x, options = np.zeros(shape, np.float32), {"reduction": "sum"}
        loss, grad = fa.cross_entropy_with_grad(x, target, **options)
        assert loss == fa.cross_entropy(x, target, **options) == 0
        assert grad.shape == shape
        assert fa.cross_entropy(np.ma.array(x), target, **options) == 0
        weight = np.zeros((3, shape[-1]), np.float32)
        assert fa.linear_cross_entropy(x, weight, target, **options) == 0
        assert fa.linear_cross_entropy_with_grad(x, weight, target, **options)[0] == 0
    with pytest.raises(ValueError, match="class indices are given as integers"):
        fa.cross_entropy(np.zeros((0, 5)), np.zeros(0))
    assert np.isnan(fa.cross_entropy(np.zeros((2, 0)), [[], []], reduction="none")).all()  # probabilities of no class
    assert fa.maxout_backward(1.0, [], 2).shape == (0,)


@pytest.mark.parametrize("target", [[0, 0], [-100, 3]])
def test_no_class(target):
    for function in (fa.cross_entropy, fa.cross_entropy_with_grad):
        with pytest.raises(
            IndexError, match=r"position \d is out of range for 0 classes: allowed is ignore_index=-100$"
        ):
            function(np.zeros((2, 0)), target)
        with pytest.raises(IndexError, match=r"^label 0 is out of range for 0 classes"):
            function(np.zeros(0), 0)
    with pytest.raises(IndexError, match=r"for 0 classes: allowed is ignore_index=-100$"):
        fa.linear_cross_entropy(np.zeros((2, 3)), np.zeros((0, 3)), target)
    assert np.isnan(fa.cross_entropy(np.zeros((2, 0)), [-100, -100]))


def test_labels_and_ignore_index_of_64_bits():
    x = np.eye(3)
    wrapped = np.array([0, 2**64 - 100, 2**63], np.uint64)
    for function in (fa.cross_entropy, fa.cross_entropy_with_grad):
        with pytest.raises(IndexError, match="18446744073709551516 at position 1"):
            function(x, wrapped)
        function(x, np.arange(3), ignore_index=1)
        for wrong, error in ((1.0, TypeError), (1.5, TypeError), (None, TypeError), (2**70, ValueError)):
            for target in ([0, 1, 2], np.arange(3)):
                with pytest.raises(error, match="ignore_index must"):
                    function(x, target, ignore_index=wrong)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 21, 256), (2, 21, 300), (1, CHUNK + 5, 70), (3000, 5)])
def test_ignored_columns_are_zero_whatever_they_hold(dtype, shape):
    """Whole blocks of columns and parts of one, columns of more than one chunk, and short rows, written directly and not."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=shape).astype(dtype)
    labels = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    ignored = rng.random(labels.shape) < 0.3
    labels[ignored] = -100
    for bad in (np.nan, np.inf, -np.inf):
        held = logits.copy()
        np.moveaxis(held, 1, -1)[ignored] = bad
        for options in ({}, {"z_loss": 0.5}, {"label_smoothing": 0.1}, {"softcap": 4.0}):
            expected = fa.cross_entropy_with_grad(logits, labels, axis=1, **options)
            direct = fa.cross_entropy_with_grad(held, labels, axis=1, **options)
            apart = np.full((*shape[:-1], 2 * shape[-1]), 7, dtype)[..., ::2]
            strided = fa.cross_entropy_with_grad(held, labels, axis=1, out=apart, **options)
            for loss, grad in (direct, strided):
                assert loss == expected[0]
                np.testing.assert_array_equal(grad, expected[1])
                assert not np.moveaxis(grad, 1, -1)[ignored].any()
        for name in ("focal_loss", "multi_margin_loss", "crammer_singer_loss", "nll_loss"):
            function = getattr(fa, f"{name}_with_grad")
            np.testing.assert_array_equal(
                function(held, labels, axis=1)[1], function(logits, labels, axis=1)[1], err_msg=name
            )


@pytest.mark.parametrize("rows", [3, MANY_ROWS])
def test_results_that_are_not_asked_for_change_nothing(rows, same_bits):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(rows, 7)), rng.integers(0, 7, rows)
    labels[0] = -100
    loss, grad = fa.cross_entropy_with_grad(logits, labels)
    every = fa.cross_entropy_with_grad(logits, labels, return_lse=True, return_argmax=True)
    same_bits(every[:2], (loss, grad))
    counted = labels >= 0
    np.testing.assert_allclose(every[2], np.where(counted, fa.logsumexp(logits), 0), rtol=1e-14)
    np.testing.assert_array_equal(every[3], np.where(counted, logits.argmax(-1), 0))
    same_bits(fa.cross_entropy_with_grad(logits, labels, return_lse=True)[2], every[2])
    same_bits(fa.cross_entropy_with_grad(logits[1:], labels[1:], return_argmax=True)[2], every[3][1:])
