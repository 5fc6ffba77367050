"""Cross-entropy's gradient times the gradient with respect to the loss: of a number, and of each row's own."""

import numpy as np
import pytest

import fastact as fa
from fastact import table
from fastact.functions import cross_entropy_reference as reference
from tests.combinations import covering

SHAPES = {
    "few rows": ((5, 300), -1),
    "short rows": ((70, 6), -1),
    "side by side": ((11, 40), 0),
    "long": ((3, 2100), -1),
    "of three axes": ((4, 9, 5), 1),
    "one row": ((7,), -1),
}
OPTIONS = {
    "shape": SHAPES,
    "target": ("labels", "probabilities"),
    "ignored": (0.0, 0.4, 0.9),
    "weighted": (False, True),
    "label_smoothing": (0.0, 0.1),
    "z_loss": (0.0, 0.01),
    "reduction": ("mean", "sum", "none"),
    "upstream": ("a number", "of rows", "of less"),
}


def has_a_meaning(row):
    return (row["target"] == "labels" or not row["ignored"]) and (
        row["reduction"] == "none" or row["upstream"] == "a number"
    )


ROWS = covering(3, OPTIONS, has_a_meaning)


def label(row):
    return "-".join(map(str, row.values()))


def problem(row, dtype="float32"):
    """Logits, target, keyword arguments, and the gradient with respect to the loss, of several magnitudes."""
    rng = np.random.default_rng(len(str(row)))
    shape, axis = SHAPES[row["shape"]]
    rows, classes = tuple(np.delete(shape, axis)), shape[axis]
    x = (3 * rng.normal(size=shape)).astype(dtype)
    if row["target"] == "labels":
        y = np.where(rng.random(rows) < row["ignored"], -100, rng.integers(0, classes, rows))
    else:
        y = np.moveaxis(rng.dirichlet(np.ones(classes), rows), -1, axis).astype(dtype)
    given = {name: row[name] for name in ("label_smoothing", "z_loss", "reduction")} | {"axis": axis}
    if row["weighted"]:
        given["weight"] = rng.uniform(0.5, 2, classes).astype(dtype)
    whole = {"a number": (), "of rows": rows, "of less": rows[-1:]}[row["upstream"]]
    return x, y, given, rng.normal(size=whole) * 2.0 ** rng.integers(-8, 9, whole)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", ROWS, ids=label)
def test_combinations(row, dtype):
    """The error is that of a gradient without one: in units of the largest term, times the gradient with respect to the loss."""
    x, y, given, upstream = problem(row, dtype)
    loss, grad = fa.cross_entropy_with_grad(x, y, upstream=upstream, **given)
    np.testing.assert_array_equal(loss, fa.cross_entropy(x, y, **given))
    expected = reference.cross_entropy_with_grad(x, y, upstream=upstream, **given)[1]
    largest = reference.largest_terms(x, y, **given)
    behind = np.broadcast_to(upstream, np.shape(loss))
    behind = np.expand_dims(behind, given["axis"]) if np.ndim(behind) else behind
    promised = (
        table.function("cross_entropy_with_grad").ulp if dtype == "float32" else 100
    )  # the reference is of float64
    assert grad.dtype == dtype
    assert np.all(abs(grad - expected) <= promised * np.spacing((largest * abs(behind)).astype(dtype)))


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_like_autograd(row):
    torch = pytest.importorskip("torch")
    x, y, given, upstream = problem(row, "float64")
    axis = given.pop("axis")
    leaf = torch.tensor(np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis]), requires_grad=True)
    target = torch.from_numpy(y.reshape(-1) if y.ndim < x.ndim else np.moveaxis(y, axis, -1).reshape(leaf.shape))
    z_loss, reduction = given.pop("z_loss"), given.pop("reduction")
    if given.pop("weight", None) is not None and reduction == "mean" and y.ndim < x.ndim:
        pytest.skip("the mean of a z-loss is another there")
    losses = torch.nn.functional.cross_entropy(leaf, target, **given, reduction="none")
    counted = target != -100 if y.ndim < x.ndim else torch.ones(len(leaf), dtype=torch.bool)
    losses = losses + torch.where(counted, z_loss * torch.logsumexp(leaf, -1) ** 2, 0.0)
    if reduction == "none":
        losses.backward(torch.from_numpy(np.broadcast_to(upstream, tuple(np.delete(x.shape, axis))).reshape(-1).copy()))
    else:
        total = losses.sum() / (counted.sum() if reduction == "mean" else 1)
        total.backward(torch.tensor(float(upstream), dtype=torch.float64))
    expected = np.moveaxis(leaf.grad.numpy().reshape(np.moveaxis(x, axis, -1).shape), -1, axis)
    if row["weighted"]:
        given["weight"] = None
    got = fa.cross_entropy_with_grad(x, y, upstream=upstream, reduction=reduction, z_loss=z_loss, axis=axis, **given)[1]
    np.testing.assert_allclose(got, np.nan_to_num(expected), rtol=1e-10, atol=1e-12 * np.max(abs(got), initial=1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("target", ["labels", "probabilities"])
def test_halves_are_rounded_once(shape, target):
    """What scales losses in mixed precision is there to keep small gradients: they are none that was zero before."""
    row = {name: next(iter(values)) for name, values in OPTIONS.items()} | {"shape": shape, "target": target}
    for reduction, kind in (("mean", "a number"), ("none", "of rows")):
        x, y, given, upstream = problem({**row, "reduction": reduction, "upstream": kind}, "float16")
        upstream = upstream * 2.0**14
        for smoothing in (0.0, 0.125):
            given["label_smoothing"] = smoothing
            _, grad = fa.cross_entropy_with_grad(x, y, upstream=upstream, **given)
            wide = x.astype("float32"), y if y.dtype.kind == "i" else y.astype("float32")
            _, expected = fa.cross_entropy_with_grad(*wide, upstream=upstream, **given)
            with np.errstate(over="ignore"):
                np.testing.assert_array_equal(grad, expected.astype("float16"))
            assert np.isfinite(grad).any()


@pytest.mark.parametrize("name", SHAPES)
def test_ones_change_nothing_and_powers_of_two_no_digit(name, same_bits):
    row = {key: next(iter(values)) for key, values in OPTIONS.items()}
    row |= {"shape": name, "reduction": "none", "ignored": 0.4}
    x, y, given, _ = problem(row)
    plain = fa.cross_entropy_with_grad(x, y, **given)
    rows = np.shape(plain[0])
    for ones in (1, 1.0, np.ones(rows), np.ones(rows, bool), np.ones(rows, np.float16)):
        same_bits(fa.cross_entropy_with_grad(x, y, upstream=ones, **given), plain)
    powers = 2.0 ** np.random.default_rng(0).integers(-9, 9, rows)
    axis = given["axis"]
    _, grad = fa.cross_entropy_with_grad(x, y, upstream=powers, **given)
    same_bits(grad, (plain[1] * (np.expand_dims(powers, axis) if rows else powers)).astype("float32"))
    zero = fa.cross_entropy_with_grad(x, y, upstream=np.zeros(rows), **given)
    same_bits(np.asarray(zero[0]), np.asarray(plain[0]))
    assert not np.any(zero[1])


def test_large_arrays_on_any_number_of_threads(threads, same_bits):
    rng = np.random.default_rng(0)
    for shape, axis in (((3000, 60), -1), ((40, 9000), 0), ((2, 2**19 + 3), -1)):
        x = rng.normal(size=shape).astype("f4")
        y = rng.integers(0, shape[axis], x.size // shape[axis])
        y[rng.random(y.size) < 0.3] = -100
        upstream, given = rng.normal(size=y.size), {"axis": axis, "reduction": "none"}
        with threads(1):
            expected = fa.cross_entropy_with_grad(x, y, upstream=upstream, **given)
        for i in range(0, y.size, 97):
            one = fa.cross_entropy_with_grad(np.take(x, i, 1 + axis), y[i], upstream=upstream[i], reduction="none")
            same_bits(np.take(expected[1], i, 1 + axis), one[1])
        with threads(3):
            same_bits(fa.cross_entropy_with_grad(x, y, upstream=upstream, **given), expected)
            copy = x.copy()
            same_bits(fa.cross_entropy_with_grad(copy, y, upstream=upstream, out=copy, **given), expected)
            assert copy is not x


@pytest.mark.parametrize(
    ("upstream", "reduction", "error", "text"),
    [
        ([1.0], "mean", ValueError, r"upstream must be a number where the loss is one, got shape \(1,\)"),
        (np.ones(3), "sum", ValueError, r"upstream must be a number where the loss is one, got shape \(3,\)"),
        (np.ones(2), "none", ValueError, r"upstream must broadcast to the shape \(3,\), got \(2,\)"),
        (np.ones((2, 3)), "none", ValueError, r"upstream must broadcast to the shape \(3,\), got \(2, 3\)"),
        (1j, "mean", TypeError, "upstream must hold real numbers, got complex128"),
        ("a", "none", TypeError, "upstream must hold real numbers, got <U1"),
    ],
)
def test_refused(upstream, reduction, error, text):
    x = np.ones((3, 4))
    out = np.full(x.shape, 7.0)
    for wrap in (lambda a: a, np.ma.array):
        with pytest.raises(error, match=text):
            fa.cross_entropy_with_grad(wrap(x), [0, 1, 2], upstream=upstream, reduction=reduction, out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_masked_logits_and_rows(dense, smoothing):
    rng = np.random.default_rng(0)
    x = np.ma.array(rng.normal(size=(6, 5)), mask=rng.random((6, 5)) < 0.2)
    y = rng.dirichlet(np.ones(5), 6) if dense else rng.integers(0, 5, 6)
    upstream = np.ma.array(rng.normal(size=6), mask=[0, 1, 0, 0, 0, 0])
    given = {"reduction": "none", "label_smoothing": smoothing}
    loss, grad = fa.cross_entropy_with_grad(x, y, **given)
    got, scaled = fa.cross_entropy_with_grad(x, y, upstream=upstream, **given)
    np.testing.assert_array_equal(got.mask, loss.mask | upstream.mask)
    np.testing.assert_array_equal(got.compressed(), loss[~upstream.mask].compressed())
    np.testing.assert_allclose(scaled.filled(0), grad.filled(0) * upstream.filled(0)[:, None], rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(scaled.mask, x.mask)
    out = np.empty((6, 5))
    fa.cross_entropy_with_grad(x, y, upstream=upstream, out=out, **given)
    np.testing.assert_array_equal(out[~x.mask], scaled.compressed())
    mean, grad = fa.cross_entropy_with_grad(x, y, label_smoothing=smoothing)
    again, scaled = fa.cross_entropy_with_grad(x, y, upstream=-3.0, label_smoothing=smoothing)
    assert again == mean
    np.testing.assert_allclose(scaled.filled(0), -3 * grad.filled(0), rtol=1e-12)


def test_dask_arrays():
    array = pytest.importorskip("dask.array")
    rng = np.random.default_rng(0)
    x, y, upstream = rng.normal(size=(6, 5)), rng.integers(0, 5, 6), rng.normal(size=6)
    lazy = array.from_array(x, chunks=(2, 5))
    for behind in (upstream, array.from_array(upstream, chunks=3), upstream[:1], 2.5):
        got = fa.cross_entropy_with_grad(lazy, y, upstream=behind, reduction="none")[1]
        expected = fa.cross_entropy_with_grad(x, y, upstream=np.asarray(behind), reduction="none")[1]
        np.testing.assert_allclose(got.compute(scheduler="synchronous"), expected, rtol=1e-12)
    for behind in (2.5, np.array(2), array.from_array(np.array(2.5)), array.ones(4).sum()):
        for reduction in ("mean", "sum"):
            got = fa.cross_entropy_with_grad(lazy, y, upstream=behind, reduction=reduction)[1]
            expected = fa.cross_entropy_with_grad(x, y, upstream=float(behind), reduction=reduction)[1]
            np.testing.assert_allclose(got.compute(scheduler="synchronous"), expected, rtol=1e-12)
    for wrong in (np.ones(2), array.ones(2), array.ones((6, 1))):
        with pytest.raises(ValueError, match="upstream must broadcast"):
            fa.cross_entropy_with_grad(lazy, y, upstream=wrong, reduction="none")
        with pytest.raises(ValueError, match="upstream must be a number where the loss is one"):
            fa.cross_entropy_with_grad(lazy, y, upstream=wrong)
