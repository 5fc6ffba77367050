"""The linear layer and cross-entropy in one: combinations of all options against the reference, autograd and differences."""

import tracemalloc

import numpy as np
import pytest

import fastact as fa
from fastact.functions import cross_entropy_reference as reference
from fastact.functions import linear
from tests.combinations import covering

OPTIONS = {
    "shape": ((40,), (3, 17), (2, 3, 4)),
    "bias": (False, True),
    "class_weight": (False, True),
    "sample_weight": ("none", "of rows", "of positions", "a number", "zeros and ones"),
    "ignore_index": (-100, 3),
    "label_smoothing": (0.0, 0.1),
    "z_loss": (0.0, 0.01),
    "softcap": (None, 5.0),
    "shift": (0, 1, 3),
    "reduction": ("mean", "sum", "none"),
    "upstream": ("none", "a number", "of rows"),
}
CLASSES, FEATURES = 13, 6


def has_a_meaning(row):
    return row["upstream"] != "of rows" or row["reduction"] == "none"


PAIRS, THREES = (covering(strength, {**OPTIONS, "shape": OPTIONS["shape"][:2]}, has_a_meaning) for strength in (2, 3))


def label(row):
    return "-".join(map(str, row.values()))


def problem(row, dtype="float32"):
    """Hidden states, weight, labels of which some are ignored, and keyword arguments."""
    rng = np.random.default_rng(len(str(row)))
    shape, ignored = row["shape"], row["ignore_index"]
    hidden, weight = (
        rng.normal(size=(*shape, FEATURES)).astype(dtype),
        rng.normal(size=(CLASSES, FEATURES)).astype(dtype),
    )
    y = np.where(rng.random(shape) < 0.2, ignored, rng.integers(0, CLASSES, shape))
    given = {name: row[name] for name in ("ignore_index", "label_smoothing", "z_loss", "softcap", "shift", "reduction")}
    if row["bias"]:
        given["bias"] = rng.normal(size=CLASSES).astype(dtype)
    if row["class_weight"]:
        given["class_weight"] = rng.uniform(0.5, 2, CLASSES)
    of_rows = {
        "none": None,
        "of rows": rng.uniform(0, 2, shape).astype(dtype),
        "of positions": rng.uniform(0.5, 1, shape[-1:]),
        "a number": 1.5,
        "zeros and ones": rng.random(shape) < 0.7,
    }
    given["sample_weight"] = of_rows[row["sample_weight"]]
    return (
        hidden,
        weight,
        y,
        given,
        {"none": None, "a number": -1.5, "of rows": rng.normal(size=shape)}[row["upstream"]],
    )


@pytest.mark.parametrize("row", THREES, ids=label)
def test_combinations(row):
    for dtype in ("float64", "float32"):
        hidden, weight, y, given, upstream = problem(row, dtype)
        got = fa.linear_cross_entropy_with_grad(hidden, weight, y, **given, upstream=upstream)
        expected = reference.linear_cross_entropy_with_grad(hidden, weight, y, **given, upstream=upstream)
        np.testing.assert_array_equal(fa.linear_cross_entropy(hidden, weight, y, **given), got[0])
        assert len(got) == len(expected) == 3 + row["bias"]
        for g, e in zip(got, expected, strict=True):
            assert (g.dtype, g.shape) == (np.dtype(dtype), np.shape(e))
            assert np.max(abs(g - e)) <= 60 * np.finfo(dtype).eps * np.max(abs(e))


@pytest.mark.parametrize("row", PAIRS, ids=label)
def test_halves(row):
    """Computed as single floats, and rounded once."""
    hidden, weight, y, given, upstream = problem(row, "float16")
    got = fa.linear_cross_entropy_with_grad(hidden, weight, y, **given, upstream=upstream)
    wide = hidden.astype("float32"), weight.astype("float32")
    expected = fa.linear_cross_entropy_with_grad(*wide, y, **given, upstream=upstream)
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_array_equal(g, e.astype("float16"))


@pytest.mark.parametrize("row", THREES, ids=label)
def test_like_autograd(row):
    torch = pytest.importorskip("torch")
    hidden, weight, y, given, upstream = problem(row, "float64")
    leaves = [torch.tensor(a, requires_grad=True) for a in (hidden, weight, *([given["bias"]] if row["bias"] else []))]
    logits = torch.nn.functional.linear(*leaves)
    if row["softcap"]:
        logits = row["softcap"] * torch.tanh(logits / row["softcap"])
    shift, target = row["shift"], torch.from_numpy(y)
    logits, target = logits[..., : y.shape[-1] - shift, :], target[..., shift:]
    of_class = (
        torch.from_numpy(given["class_weight"]) if row["class_weight"] else torch.ones(CLASSES, dtype=torch.float64)
    )
    options = {name: row[name] for name in ("ignore_index", "label_smoothing")} | {"reduction": "none"}
    losses = torch.nn.functional.cross_entropy(
        logits.movedim(-1, 1 if target.ndim > 1 else -1), target, of_class, **options
    )
    counted = target != row["ignore_index"]
    losses = losses + torch.where(counted, row["z_loss"] * torch.logsumexp(logits, -1) ** 2, 0.0)
    whole = np.broadcast_to(1.0 if given["sample_weight"] is None else given["sample_weight"], y.shape)
    of_rows = torch.tensor(np.asarray(whole, np.float64))[..., shift:]
    losses = losses * of_rows
    divisor = (of_class[torch.where(counted, target, 0)] * of_rows * counted).sum() if row["reduction"] == "mean" else 1
    behind = torch.from_numpy(np.broadcast_to(1.0 if upstream is None else upstream, y.shape).copy())[..., shift:]
    (losses * behind / divisor).sum().backward()
    loss, *got = fa.linear_cross_entropy_with_grad(hidden, weight, y, **given, upstream=upstream)
    if row["reduction"] == "none":
        np.testing.assert_array_equal(loss[..., :shift], 0)
        np.testing.assert_allclose(loss[..., shift:], losses.detach(), rtol=1e-12, atol=1e-13)
    else:
        np.testing.assert_allclose(loss, (losses.sum() / divisor).detach(), rtol=1e-12)
    for g, leaf in zip(got, leaves, strict=True):
        np.testing.assert_allclose(g, leaf.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("row", PAIRS, ids=label)
def test_gradients_match_differences_of_the_loss(row):
    """In a random direction of everything that is learnt."""
    hidden, weight, y, given, upstream = problem(row, "float64")
    learnt = {"hidden": hidden, "weight": weight} | ({"bias": given.pop("bias")} if row["bias"] else {})
    rng, step = np.random.default_rng(1), 2.0**-17
    directions = {name: rng.normal(size=a.shape) for name, a in learnt.items()}

    def total(distance):
        moved = {name: a + distance * directions[name] for name, a in learnt.items()}
        return np.sum((1.0 if upstream is None else upstream) * fa.linear_cross_entropy(target=y, **moved, **given))

    slope = (total(step) - total(-step)) / (2 * step)
    _, *gradients = fa.linear_cross_entropy_with_grad(**learnt, target=y, **given, upstream=upstream)
    parts = [np.sum(g * directions[name]) for name, g in zip(learnt, gradients, strict=True)]
    assert abs(slope - sum(parts)) <= 1e-6 * (1 + sum(map(abs, parts)))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_rows_that_do_not_count_are_in_no_product(monkeypatch, reduction, same_bits):
    """Ignored, of weight zero, or without a label to predict: whatever they hold, and whatever the label of a first one is."""
    rng = np.random.default_rng(0)
    hidden, weight = rng.normal(size=(4, 25, 6)).astype("f4"), rng.normal(size=(9, 6)).astype("f4")
    y, of_rows = rng.integers(0, 9, (4, 25)), rng.uniform(0.5, 2, (4, 25))
    y[rng.random(y.shape) < 0.3] = -100
    of_rows[rng.random(y.shape) < 0.3] = 0
    y[:, 0] = 1000
    counted = np.zeros(y.shape, bool)
    counted[:, :-1] = (y[:, 1:] != -100) & (of_rows[:, 1:] != 0)
    hidden[~counted] = np.nan
    multiplied, product = [], np.matmul
    monkeypatch.setattr(linear, "quietly", lambda f, *a, **k: multiplied.append((f, a)) or quietly(f, *a, **k))
    quietly = __import__("fastact.calls.quiet", fromlist=["quietly"]).quietly
    options = {"sample_weight": of_rows, "shift": 1, "reduction": reduction}
    loss, grad, grad_weight = fa.linear_cross_entropy_with_grad(hidden, weight, y, **options)
    of_logits = [a for f, a in multiplied if f is product and a[1].shape == (6, 9)]
    assert sum(len(a[0]) for a in of_logits) == np.count_nonzero(counted)
    assert all(np.isfinite(a[0]).all() for a in of_logits)
    left = fa.linear_cross_entropy_with_grad(
        hidden[counted],
        weight,
        y[:, 1:][counted[:, :-1]],
        sample_weight=of_rows[:, 1:][counted[:, :-1]],
        reduction=reduction,
    )
    same_bits(np.asarray(loss[:, 1:][counted[:, :-1]] if loss.ndim else loss), np.asarray(left[0]))
    same_bits((grad[counted], grad_weight), left[1:])
    assert not np.any(grad[~counted])
    assert not loss.ndim or not np.any(loss[:, 1:][~counted[:, :-1]])
    assert not loss.ndim or not np.any(loss[:, 0])


@pytest.mark.parametrize("shift", [0, 1, 5])
def test_no_copy_of_the_hidden_states_is_made(shift):
    """Nor of their gradients: beside results a block of logits, and of the states that belong to it."""
    rng = np.random.default_rng(0)
    rows, features, classes = 480, 600, 700
    for shape in ((rows,), (8, rows // 8)):
        for dtype in ("f4", "f2"):
            hidden, weight = (
                rng.normal(size=(*shape, features)).astype(dtype),
                rng.normal(size=(classes, features)).astype("f4"),
            )
            y = rng.integers(0, classes, shape)
            y[rng.random(shape) < 0.3] = -100
            weight = weight.astype(dtype)
            for function in (fa.linear_cross_entropy, fa.linear_cross_entropy_with_grad):
                function(hidden, weight, y, shift=shift)  # whatever is compiled
                tracemalloc.start()
                try:
                    results = function(hidden, weight, y, shift=shift)
                    kept = sum(np.asarray(r).nbytes for r in (results if isinstance(results, tuple) else (results,)))
                    extra = tracemalloc.get_traced_memory()[1] - kept
                finally:
                    tracemalloc.stop()
                if dtype == "f4":
                    block = 4 * rows // 12 * (classes + 2 * features)
                    most = block + 4 * classes * features * (function is fa.linear_cross_entropy_with_grad)
                    assert extra < 1.2 * most
                else:  # weight, its gradient and a product as single floats
                    assert extra < 3.2 * 4 * classes * features + 1.2 * 4 * rows // 12 * (classes + 2 * features)


def test_a_shift_is_that_of_slices(same_bits):
    rng = np.random.default_rng(0)
    hidden, weight, y = rng.normal(size=(3, 9, 6)), rng.normal(size=(7, 6)), rng.integers(0, 7, (3, 9))
    for shift in range(12):
        kept = max(0, 9 - shift)
        left = hidden[:, :kept], weight, y[:, 9 - kept :]
        for reduction in ("mean", "sum", "none"):
            loss, grad, *rest = fa.linear_cross_entropy_with_grad(hidden, weight, y, shift=shift, reduction=reduction)
            expected = fa.linear_cross_entropy_with_grad(*left, reduction=reduction)
            np.testing.assert_allclose(loss[:, 9 - kept :] if loss.ndim else loss, expected[0], rtol=1e-14)
            np.testing.assert_allclose(grad[:, :kept], expected[1], rtol=1e-12, atol=1e-15)
            np.testing.assert_allclose(rest[0], expected[2], rtol=1e-12, atol=1e-15)
            assert not np.any(grad[:, kept:])
            assert loss.shape == ((3, 9) if reduction == "none" else ())
    assert np.isnan(fa.linear_cross_entropy(hidden, weight, y, shift=9))
    assert fa.linear_cross_entropy(hidden, weight, y, shift=9, empty=0.0) == 0


def test_weights_of_any_size():
    """A mean does not depend on their scale, down to the smallest numbers; of none it is that of no row."""
    rng = np.random.default_rng(0)
    hidden, weight, y = rng.normal(size=(8, 6)), rng.normal(size=(7, 6)), rng.integers(0, 7, 8)
    of_rows, of_class = rng.uniform(1, 2, 8), rng.uniform(1, 2, 7)
    expected = fa.linear_cross_entropy_with_grad(hidden, weight, y, sample_weight=of_rows, class_weight=of_class)
    for scale in (2.0**-1000, 2.0**-500, 2.0**900):
        for other in (1.0, 2.0**-1000):
            got = fa.linear_cross_entropy_with_grad(
                hidden, weight, y, sample_weight=of_rows * scale, class_weight=of_class * other
            )
            for g, e in zip(got, expected, strict=True):
                np.testing.assert_allclose(g, e, rtol=1e-13, atol=1e-16)
    for nothing in (0, np.zeros(8), np.zeros(8, bool)):
        loss, *gradients = fa.linear_cross_entropy_with_grad(hidden, weight, y, sample_weight=nothing, empty=3.0)
        assert loss == fa.linear_cross_entropy(hidden, weight, y, sample_weight=nothing, empty=3.0) == 3
        assert not any(map(np.any, gradients))
    negative = fa.linear_cross_entropy(hidden, weight, y, sample_weight=-of_rows, class_weight=of_class)
    np.testing.assert_allclose(negative, expected[0], rtol=1e-13)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"shift": -1}, ValueError, "shift must be at least 0, got -1"),
        ({"shift": 1.0}, TypeError, "shift must be an integer, got 1.0"),
        ({"shift": True}, TypeError, "shift must be an integer, got True"),
        ({"shift": None}, TypeError, "shift must be an integer, got None"),
        ({"sample_weight": np.ones(3)}, ValueError, r"sample_weight must broadcast to the shape \(2, 4\), got \(3,\)"),
        ({"sample_weight": np.ones((2, 4, 1))}, ValueError, r"sample_weight must broadcast to the shape \(2, 4\), got"),
        ({"sample_weight": ["a"] * 4}, TypeError, "sample_weight must hold real numbers, got <U1"),
        ({"sample_weight": 1j}, TypeError, "sample_weight must hold real numbers, got complex128"),
    ],
    ids=str,
)
def test_refused(given, error, text):
    hidden, weight, y = np.ones((2, 4, 3)), np.ones((5, 3)), np.zeros((2, 4), int)
    for wrap in (lambda a: a, np.ma.array):
        for function in (fa.linear_cross_entropy, fa.linear_cross_entropy_with_grad):
            with pytest.raises(error, match=text):
                function(wrap(hidden), weight, y, **given)
    for upstream, reduction in ((np.ones(4), "mean"), (np.ones(3), "none")):
        with pytest.raises(ValueError, match="upstream must"):
            fa.linear_cross_entropy_with_grad(hidden, weight, y, upstream=upstream, reduction=reduction)


def test_labels_are_named_by_their_place_in_the_target():
    hidden, weight, y = np.ones((2, 4, 3)), np.ones((5, 3)), np.zeros((2, 4), int)
    y[1, 2], y[1, 0] = 7, 9
    for function in (fa.linear_cross_entropy, fa.linear_cross_entropy_with_grad):
        with pytest.raises(IndexError, match=r"label 7 at position \(1, 2\) is out of range for 5 classes"):
            function(hidden, weight, y, shift=1)
        with pytest.raises(IndexError, match="label 7 at position 2 is out of range"):
            function(hidden[1], weight, y[1], shift=2)
        function(hidden, weight, y, shift=3)  # which label is before the first to be predicted does not matter
        with pytest.raises(ValueError, match="shift must be 0 where target has no axis, got 1"):
            function(hidden[0, 0], weight, y[0, 0], shift=1)


@pytest.mark.parametrize("row", PAIRS, ids=label)
def test_dask(row):
    array = pytest.importorskip("dask.array")
    hidden, weight, y, given, upstream = problem(row, "float64")
    rows = (7,) * len(row["shape"])
    chunked = {
        name: array.from_array(a, chunks=rows) if np.shape(a) == row["shape"] and i % 2 == 0 else a
        for i, (name, a) in enumerate({**given, "target": y, "upstream": upstream}.items())
    }
    lazy = array.from_array(hidden, chunks=(*rows, FEATURES))
    expected = fa.linear_cross_entropy_with_grad(hidden, weight, y, **given, upstream=upstream)
    got = fa.linear_cross_entropy_with_grad(lazy, weight, **chunked)
    chunked.pop("upstream")
    for g, e in zip((*got, fa.linear_cross_entropy(lazy, weight, **chunked)), (*expected, expected[0]), strict=True):
        assert isinstance(g, array.Array)
        assert g.shape == np.shape(e)
        np.testing.assert_allclose(g.compute(scheduler="synchronous"), e, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("row", PAIRS, ids=label)
def test_masked(row):
    """A row whose states, label, weight or gradient from behind is masked is none."""
    hidden, weight, y, given, upstream = problem(row, "float64")
    rng, shape, shift = np.random.default_rng(2), row["shape"], row["shift"]
    masks = [rng.random(shape) < 0.15 for _ in range(4)]
    states = np.ma.array(hidden, mask=np.broadcast_to(masks[0][..., None], hidden.shape))
    off = masks[1].copy()
    off[..., shift:] |= masks[0][..., : shape[-1] - shift]
    of_rows = np.broadcast_to(1.0 if given["sample_weight"] is None else given.pop("sample_weight"), shape)
    given["sample_weight"] = np.ma.array(of_rows, mask=masks[2])
    off |= masks[2]
    if np.ndim(upstream):
        upstream = np.ma.array(upstream, mask=masks[3])
        off |= masks[3]
    got = fa.linear_cross_entropy_with_grad(states, weight, np.ma.array(y, mask=masks[1]), **given, upstream=upstream)
    given["sample_weight"] = of_rows
    expected = fa.linear_cross_entropy_with_grad(
        hidden,
        weight,
        np.where(off, row["ignore_index"], y),
        **given,
        upstream=np.ma.getdata(upstream) if np.ndim(upstream) else upstream,
    )
    if row["reduction"] == "none":
        np.testing.assert_array_equal(got[0].mask, off)
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(np.ma.filled(g, 0), e, rtol=1e-12, atol=1e-15)


def test_results_lie_as_their_operands_do(same_bits):
    rng = np.random.default_rng(0)
    hidden, weight, y = rng.normal(size=(3, 5, 6)), rng.normal(size=(7, 6)), rng.integers(0, 7, (3, 5))
    of_rows, upstream = rng.random((3, 5)), rng.normal(size=(3, 5))
    options = {"shift": 1, "reduction": "none"}
    expected = fa.linear_cross_entropy_with_grad(hidden, weight, y, sample_weight=of_rows, upstream=upstream, **options)
    placed = (np.asfortranarray(a) for a in (hidden, weight, y))
    got = fa.linear_cross_entropy_with_grad(
        *placed, sample_weight=np.asfortranarray(of_rows), upstream=upstream[:, ::-1][:, ::-1], **options
    )
    assert got[1].flags.f_contiguous
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-13, atol=1e-15)
