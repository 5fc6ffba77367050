"""Every operand keeps its precision and range, whatever the others are, and sums are taken in float64."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest

import fastact as fa
from fastact.functions import cross_entropy_reference as reference
from tests.combinations import covering

KINDS = ("float16", "float32", "float64")
SHAPES = {"few short rows": (3, 12), "rows side by side": (40, 11), "some rows": (5, 1500), "long rows": (2, 70_000)}


def computed_in(logits):
    return np.float64 if logits.dtype == np.float64 else np.float32


def assert_as_reference(logits, target, units=4, **options):
    """The loss, in float64, and the gradient are the reference's, which sees the operands as they are."""
    with np.errstate(all="raise"):
        loss, grad = fa.cross_entropy_with_grad(logits, target, dtype="float64", **options)
        if logits.dtype == np.float32 and len(logits) < 8:
            assert np.array_equal(fa.cross_entropy(logits, target, dtype="float64", **options), loss)
    assert loss.dtype == np.float64
    assert grad.dtype == logits.dtype
    expected, expected_grad = reference.cross_entropy_with_grad(logits, target, **options)
    units *= 1 if computed_in(logits) is np.float32 else 20  # the reference is no more precise
    np.testing.assert_allclose(loss, expected, rtol=units * float(np.finfo(computed_in(logits)).eps))
    largest = reference.largest_terms(logits, target, **options)
    rounding = np.spacing(largest.astype(logits.dtype)).astype(np.float64)
    rounding += units * np.spacing(largest.astype(computed_in(logits)))
    assert np.all(abs(grad.astype(np.float64) - expected_grad) <= rounding)


def soft_target(rng, shape, kind):
    """Probabilities of which most are too small to be told apart from 0 in half precision, where they need not be of it."""
    q = rng.random(shape) ** 8
    return (q / q.sum(-1, keepdims=True)).astype(kind)


def has_kernels(row):
    """Across columns, whose kernels take longest to compile, in single floats only: what a dtype changes is in the passes."""
    return row["dtype"] == "float32" or row["shape"] != "rows side by side"


def by(strength, **options):
    """Combinations in which so many of the options take all their values together, if that compiles few kernels."""
    rows = covering(strength, options, has_kernels)
    return pytest.mark.parametrize(tuple(options), [tuple(row.values()) for row in rows], ids=str)


@by(2, target=KINDS, dtype=KINDS, shape=SHAPES, weight=(None, *KINDS, "int64"))
def test_probabilities_and_weights_of_any_dtype(target, weight, shape, dtype):
    rng, shape = np.random.default_rng(0), SHAPES[shape]
    logits, q = (3 * rng.normal(size=shape)).astype(dtype), soft_target(rng, shape, target)
    w = None if weight is None else (1 + 8 * rng.random(shape[-1])).astype(weight)
    for options in ({}, {"reduction": "none"}, {"label_smoothing": 0.25, "reduction": "sum"}):
        assert_as_reference(logits, q, units=8, weight=w, **options)


@by(2, dtype=KINDS, shape=SHAPES, weight=(*KINDS, "int64"))
def test_labels_and_weights_of_any_dtype(weight, shape, dtype):
    rng, shape = np.random.default_rng(1), SHAPES[shape]
    logits, labels = (3 * rng.normal(size=shape)).astype(dtype), rng.integers(0, shape[-1], shape[0])
    w = (1 + 8 * rng.random(shape[-1])).astype(weight)
    for options in ({}, {"reduction": "none"}, {"label_smoothing": 0.25}, {"label_smoothing": 0.25, "z_loss": 0.01}):
        assert_as_reference(logits, labels, units=8, weight=w, **options)


@pytest.mark.parametrize("rows", [3, 40])
def test_weights_of_float64_keep_their_range(rows):
    """Those that single floats cannot hold: a mean divides by them again."""
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(size=(rows, 5)).astype("f4"), rng.integers(0, 5, rows)
    w = rng.random(5) + 0.5
    expected, _ = reference.cross_entropy_with_grad(logits, labels, weight=w)
    for scale in (1e-60, 1.0, 1e60):
        for x in (logits, logits.T.copy().T):
            assert fa.cross_entropy(x, labels, weight=w * scale) == pytest.approx(expected, rel=1e-6)
            loss = fa.cross_entropy_with_grad(x, labels, weight=w * scale, reduction="sum", dtype="f8")[0]
            assert loss == pytest.approx(
                reference.cross_entropy(logits, labels, weight=w * scale, reduction="sum"), rel=1e-6
            )
    # A weight that takes a probability out of single floats' range, and back.
    q = np.full((rows, 5), 1e-42)
    assert_as_reference(logits, q, units=8, weight=np.full(5, 1e42))


def test_halves_beside_wider_probabilities_in_every_layout(same_bits, threads):
    """Blocks of rows, axes, rows in threads: the same bits as single floats give, rounded."""
    rng = np.random.default_rng(3)
    for shape, axis in (((2000, 300), -1), ((300, 700), 0), ((3, 90, 1200), 1), ((2, 2**19 + 5), -1), ((7,), 0)):
        x = (3 * rng.normal(size=shape)).astype("f2")
        q = np.moveaxis(soft_target(rng, np.moveaxis(x, axis, -1).shape, "f4"), -1, axis)
        options = {"axis": axis, "reduction": "none"}
        with threads(1):
            expected = fa.cross_entropy_with_grad(x.astype("f4"), q, return_lse=True, return_argmax=True, **options)
        with np.errstate(over="ignore"):
            narrow = [np.asarray(a).astype("f2") for a in expected[:3]]
        for n in (1, 3):
            with threads(n):
                got = fa.cross_entropy_with_grad(x, q, return_lse=True, return_argmax=True, **options)
                same_bits(got, (*narrow, expected[3]))
                given = x.copy(order="K")
                assert fa.cross_entropy_with_grad(given, q, out=given, **options)[1] is given
                same_bits(given, narrow[1])


def test_halves_are_widened_by_blocks():
    x, q = np.zeros((4000, 1000), "f2"), np.full((4000, 1000), 1e-3, "f4")
    fa.cross_entropy_with_grad(x, q, out=x)
    tracemalloc.start()
    try:
        fa.cross_entropy_with_grad(x, q, out=x)
        assert tracemalloc.get_traced_memory()[1] < x.nbytes / 2
    finally:
        tracemalloc.stop()


FUNCTIONS = {
    "cross_entropy": lambda x, y, **options: (fa.cross_entropy(x, y, **options),),
    "cross_entropy_with_grad": fa.cross_entropy_with_grad,
    "linear_cross_entropy": lambda x, y, **options: (
        fa.linear_cross_entropy(x, np.eye(x.shape[1], dtype=x.dtype), y, **options),
    ),
    "linear_cross_entropy_with_grad": lambda x, y, **options: fa.linear_cross_entropy_with_grad(
        x, np.eye(x.shape[1], dtype=x.dtype), y, **options
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_dtype_of_the_loss(name, reduction, dtype, same_bits):
    rng = np.random.default_rng(4)
    for rows in (3, 40):
        x, y = (3 * rng.normal(size=(rows, 9))).astype(dtype), rng.integers(0, 9, rows)
        full = FUNCTIONS[name](x, y, reduction=reduction, dtype=float)
        assert FUNCTIONS[name](x, y, reduction=reduction)[0].dtype == np.dtype(dtype)
        for wanted in KINDS:
            got = FUNCTIONS[name](x, y, reduction=reduction, dtype=wanted)
            assert got[0].dtype == np.dtype(wanted)
            assert np.shape(got[0]) == ((rows,) if reduction == "none" else ())
            same_bits(np.asarray(got[0]), np.asarray(full[0].astype(wanted)))
            assert all(g.dtype == np.dtype(dtype) for g in got[1:])
            same_bits(tuple(got[1:]), tuple(full[1:]))
        for wrong in ("int64", "complex64", "longdouble", "nonsense", 3):
            before = x.copy()
            with pytest.raises(TypeError, match="dtype must be float16, float32, float64 or None, got"):
                FUNCTIONS[name](x, y, reduction=reduction, dtype=wrong)
            same_bits(x, before)


def test_a_sum_that_halves_cannot_hold():
    x, y = np.tile(np.array([0, 20], "f2"), (50_000, 1)), np.zeros(50_000, int)
    assert fa.cross_entropy(x, y, reduction="sum") == np.inf
    assert fa.cross_entropy(x, y, reduction="sum", dtype="f4") == 1e6
    loss, grad, lse = fa.cross_entropy_with_grad(x, y, reduction="sum", dtype=np.float32, return_lse=True)
    assert loss == 1e6
    assert grad.dtype == np.float16
    assert lse.dtype == np.float32
    assert lse[0] == np.float32(20 + math.log1p(math.exp(-20)))
    assert fa.cross_entropy(x[0], y[0], dtype="f4").dtype == np.float32


def test_the_losses_of_many_rows_are_summed_in_float64():
    """And a mean is divided by a sum of weights that is."""
    rows = 1_000_000
    x = np.zeros((rows, 2), "f4")
    x[:, 1] = np.float32(0.1)
    y = np.zeros(rows, int)
    w = np.array([0.1, 1.0])
    one = math.log1p(math.exp(float(np.float32(0.1))))
    assert fa.cross_entropy(x, y, reduction="sum", dtype="f8") == pytest.approx(rows * one, rel=2e-7)
    assert fa.cross_entropy(x, y, weight=w, dtype="f8") == pytest.approx(
        fa.cross_entropy(x[:1], y[:1], dtype="f8"), rel=1e-14
    )
    wide = x.astype("f8")
    exact = rows * float(fa.cross_entropy(wide[:1], y[:1]))
    assert fa.cross_entropy(wide, y, reduction="sum") == pytest.approx(exact, rel=1e-14)
    grad = fa.cross_entropy_with_grad(wide, y, weight=w)[1]
    assert grad[0, 1] * rows == pytest.approx(fa.sigmoid(wide[0, 1]), rel=1e-14)


@pytest.mark.parametrize("kinds", list(itertools.product(KINDS, KINDS, (None, *KINDS))), ids=str)
def test_a_linear_layer_of_any_dtypes(kinds):
    rng = np.random.default_rng(5)
    hidden, weight, bias = rng.normal(size=(700, 30)), rng.normal(size=(60, 30)), rng.normal(size=60)
    hidden, weight = hidden.astype(kinds[0]), weight.astype(kinds[1])
    bias = None if kinds[2] is None else bias.astype(kinds[2])
    target, class_weight = rng.integers(0, 60, 700), 1 + rng.random(60)
    target[::3] = -100
    options = {"bias": bias, "class_weight": class_weight, "reduction": "sum"}
    got = fa.linear_cross_entropy_with_grad(hidden, weight, target, dtype="f8", **options)
    expected = reference.linear_cross_entropy_with_grad(hidden, weight, target, **options)
    assert got[0] == fa.linear_cross_entropy(hidden, weight, target, dtype="f8", **options)
    promoted = np.result_type(hidden, weight)
    eps = float(np.finfo(np.result_type(promoted, "f4")).eps)
    assert got[0] == pytest.approx(expected[0], rel=20 * eps)
    for g, e in zip(got[1:], expected[1:], strict=True):
        assert g.dtype == promoted
        rounding = np.spacing(abs(e).astype(promoted)).astype("f8")
        assert np.all(abs(g - e) <= rounding + 40 * eps * np.max(abs(e)))


def test_the_gradient_of_a_bias_is_summed_in_float64():
    rows = 100_000
    hidden, weight = np.zeros((rows, 1), "f4"), np.zeros((3, 1), "f4")
    bias = np.log(np.float32([0.1, 0.2, 0.7]))
    target = np.zeros(rows, np.uint8)
    got = fa.linear_cross_entropy_with_grad(hidden, weight, target, bias=bias, reduction="sum")[3]
    one = fa.linear_cross_entropy_with_grad(hidden[:1], weight, target[:1], bias=bias, reduction="sum")[3]
    np.testing.assert_allclose(got, rows * one.astype("f8"), rtol=1e-7)


def test_a_bias_of_no_numbers_is_refused():
    for wrong in (["a"] * 3, np.ones(3, complex), np.ones(3, bool)):
        with pytest.raises(TypeError, match="bias must hold real numbers, got"):
            fa.linear_cross_entropy(np.ones((2, 4)), np.ones((3, 4)), [0, 1], bias=wrong)


def exact_sums(grad, x, axes):
    """The gradient of PReLU's weight, each sum rounded once."""
    products = np.where(x > 0, 0.0, grad.astype("f8") * x.astype("f8"))
    kept = [i for i in range(x.ndim) if i not in axes]
    rows = products.transpose(*kept, *axes).reshape(math.prod(x.shape[i] for i in kept), -1)
    return np.array([math.fsum(row.tolist()) for row in rows])


@pytest.mark.parametrize(
    ("shape", "weight_shape", "axes"),
    [
        ((300_000, 4), (4,), (0,)),
        ((1_000_003,), (), (0,)),
        ((50, 3, 70, 70), (3, 1, 1), (0, 2, 3)),
        ((2, 600_000), (2, 1), (1,)),
        ((1500, 700), (1, 700), (0,)),
    ],
    ids=str,
)
def test_the_gradient_of_prelu_s_weight(shape, weight_shape, axes, dtype, same_bits):
    rng = np.random.default_rng(6)
    x = (rng.normal(size=shape) - 1).astype(dtype)
    grad = (1 + rng.random(shape)).astype(dtype)
    weight = np.full(weight_shape, 0.25, dtype)
    same_bits(fa.prelu_backward(*map(np.asfortranarray, (grad, x)), weight), fa.prelu_backward(grad, x, weight))
    sums = exact_sums(grad, x, axes).reshape(weight_shape)
    for a, g, expected in ((x, grad, sums), (x[::-1], grad[::-1], sums if 0 in axes else sums[::-1])):
        grad_x, got = fa.prelu_backward(g, a, weight)
        assert grad_x.dtype == got.dtype == np.dtype(dtype)
        with np.errstate(over="ignore"):
            rounded = expected.astype(dtype)
        if dtype == "float64":
            np.testing.assert_allclose(got, expected, rtol=2e-14)
        else:  # but for the rounding of the products to single floats
            allowed = np.spacing(abs(rounded)).astype("f8") if np.isfinite(rounded).all() else 0.0
            assert np.all((got == rounded) | (abs(got.astype("f8") - expected) <= allowed))


def test_products_of_halves_neither_overflow_nor_vanish_in_a_sum(same_bits):
    big = np.array([300, 300, 1], "f2")
    x = np.array([-300, -300, -2], "f2")
    signs = np.array([1, -1, 1], "f2")
    grad_x, grad_weight = fa.prelu_backward(big * signs, x, np.float16(0.25))
    assert grad_weight == -2
    assert grad_x.dtype == grad_weight.dtype == np.float16
    small = np.full(100_000, 1e-4, "f2")
    got = fa.prelu_backward(small, -small, np.array([0.25], "f2"))[1]
    assert got == pytest.approx(-(float(small[0]) ** 2) * 1e5, rel=1e-3)
    out = np.empty_like(small), np.empty(1, "f2")
    assert fa.prelu_backward(small, -small, np.array([0.25], "f2"), out=out)[1] is out[1]
    same_bits(out[1], got)
    same_bits(out[0], fa.prelu_backward(small, -small, np.full(100_000, 0.25, "f2"))[0])
    column = fa.prelu_backward(np.tile(big * signs, (3, 1)).T, np.full((3, 1), -300, "f2"), big)
    assert column[0].dtype == np.float16
    assert column[0].shape == (3, 1)


@pytest.mark.parametrize("kinds", list(itertools.product(KINDS, KINDS)), ids=str)
def test_gradients_of_glu_and_maxout_take_the_wider_dtype(kinds, same_bits):
    rng = np.random.default_rng(7)
    for shape in ((6, 8), (70, 1000)):
        grad, x = rng.normal(size=shape).astype(kinds[0]), rng.normal(size=(shape[0], 2 * shape[1])).astype(kinds[1])
        wide = np.result_type(grad, x)
        got = fa.glu_backward(grad, x)
        assert got.dtype == wide
        same_bits(got, fa.glu_backward(grad.astype(wide), x.astype(wide)))
        out = np.empty(x.shape, kinds[1])
        if np.can_cast(wide, kinds[1], "same_kind"):
            with np.errstate(over="ignore"):
                same_bits(fa.glu_backward(grad, x, out=out), got.astype(kinds[1]))
        which = fa.maxout_with_index(x, 2)[1]
        pieces = fa.maxout_backward(grad, which, 2, out=np.empty(x.shape, wide))
        same_bits(pieces, fa.maxout_backward(grad, which, 2).astype(wide))
        assert pieces.sum() == pytest.approx(float(grad.astype("f8").sum()), rel=1e-2, abs=1)
