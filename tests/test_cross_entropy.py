"""Cross-entropy: combinations of its options against the reference, PyTorch, central differences; edges and errors."""

import functools

import numpy as np
import pytest

import fastact as fa
from fastact import table
from fastact.functions import cross_entropy_reference as reference
from tests.combinations import covering

OPTIONS = {
    "weight": (False, True),
    "ignore_index": (-100, 3),
    "label_smoothing": (0.0, 0.1, 1.0),
    "z_loss": (0.0, 0.01),
    "softcap": (None, 5.0),
    "reduction": ("mean", "sum", "none"),
    "target": ("labels", "probabilities"),
}


def has_a_meaning(options):
    return options["target"] == "labels" or options["ignore_index"] < 0


PAIRS, THREES = (covering(strength, OPTIONS, has_a_meaning) for strength in (2, 3))
"""Of all 216 combinations so many that any two options, or any three, take all their values together."""
LIKE_PYTORCH = covering(5, OPTIONS | {"z_loss": (0.0,), "softcap": (None,)}, has_a_meaning)
SHAPES = [(5, 1000), (40, 11), (3, 2100)]


def problem(options, shape, dtype="float32", seed=0):
    """Logits, target and arguments of one combination; some labels are ignored."""
    rng = np.random.default_rng(seed)
    rows, classes = shape
    logits = (4 * rng.normal(size=shape)).astype(dtype)
    arguments = dict(options)
    if arguments.pop("target") == "labels":
        target = rng.integers(0, classes, rows)
        target[rng.random(rows) < 0.3] = options["ignore_index"]
    else:
        target = rng.dirichlet(np.ones(classes), rows).astype(dtype)
    arguments["weight"] = rng.uniform(0.5, 2, classes).astype(dtype) if options["weight"] else None
    return logits, target, arguments


def more_for_cap(cap):
    """What a cap adds to an error: its derivative's, and two units in a logit's last place, of which exp makes so many."""
    return 4 + 2 * cap if cap else 0


def label(options):
    return "-".join(f"{value}" for value in options.values())


@pytest.mark.parametrize("options", THREES, ids=label)
def test_every_combination_of_three(options, same_bits):
    for shape in SHAPES:
        logits, target, arguments = problem(options, shape)
        loss, grad = fa.cross_entropy_with_grad(logits, target, **arguments)
        same_bits(fa.cross_entropy(logits, target, **arguments), loss)
        expected, expected_grad = reference.cross_entropy_with_grad(logits, target, **arguments)
        largest = reference.largest_terms(logits, target, **arguments)
        promised = table.function("cross_entropy_with_grad").ulp
        allowed = promised + more_for_cap(arguments["softcap"])
        assert np.all(abs(loss - expected) <= promised * np.spacing(np.float32(abs(expected))))
        assert np.all(abs(grad - expected_grad) <= allowed * np.spacing(largest.astype(np.float32)))
        flipped = target if target.ndim == 1 else np.ascontiguousarray(target.T)
        other = fa.cross_entropy_with_grad(np.ascontiguousarray(logits.T), flipped, axis=0, **arguments)
        same_bits(other, (loss, grad.T))


@pytest.mark.parametrize("scale", [0.1, 1, 5, 40])
@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_errors_are_as_promised(dtype, classes, scale):
    """Of the loss in its own units, of the gradient in those of its larger term; also where one class is all but certain."""
    rng = np.random.default_rng(classes)
    rows = np.arange(20_000 // classes)
    logits = (scale * rng.normal(size=(rows.size, classes))).astype(dtype)
    labels = rng.integers(0, classes, rows.size)
    logits[rows[::2], labels[::2]] += np.dtype(dtype).type(scale)
    wide = logits.astype(np.longdouble)
    largest = wide.max(1, keepdims=True)
    others = np.exp(wide - largest)
    others[rows, wide.argmax(1)] = 0
    excess = np.log1p(others.sum(1, keepdims=True))
    exact = (largest[:, 0] - wide[rows, labels]) + excess[:, 0]
    share = np.exp(wide - largest - excess)
    exact_grad, terms = share.copy(), share.copy()
    exact_grad[rows, labels], terms[rows, labels] = np.expm1(-exact), 1
    loss, grad = fa.cross_entropy_with_grad(logits, labels, reduction="none")
    promised = table.function("cross_entropy_with_grad")
    bound = promised.ulp if dtype == "float32" else promised.double_ulp
    assert np.all(abs(loss - exact) <= bound * np.spacing(exact.astype(dtype)))
    assert np.all(abs(grad - exact_grad) <= bound * np.spacing(terms.astype(dtype)))


@pytest.mark.parametrize("cap", [0.7, 5.0, 30.0])
@pytest.mark.parametrize("target", ["labels", "probabilities", "smoothed"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_gradient_of_capped_logits(dtype, target, cap):
    """Where the cap saturates its derivative vanishes, as 1 / cosh**2 does, but not before; at infinity it is 0."""
    rng = np.random.default_rng(int(cap))
    for rows, classes in ((1, 5), (40, 33), (3, 1100)):
        scales = cap * rng.choice([0.1, 1, 5, 20], (rows, classes))
        logits = (scales * rng.normal(size=(rows, classes))).astype(dtype)
        logits[0, :2] = np.inf, -np.inf
        labels = rng.integers(0, classes, rows)
        dense = rng.dirichlet(np.ones(classes), rows).astype(dtype)
        smoothing = 0.25 if target == "smoothed" else 0.0
        given = dense if target == "probabilities" else labels
        _, grad = fa.cross_entropy_with_grad(logits, given, softcap=cap, label_smoothing=smoothing, reduction="sum")
        kind = np.promote_types(dtype, "float32").type
        ratio = logits.astype(np.longdouble) / kind(cap)
        capped = kind(cap) * np.tanh(ratio)
        e = np.exp(capped - capped.max(1, keepdims=True))
        slope = 4 * np.exp(-2 * abs(ratio)) / (1 + np.exp(-2 * abs(ratio))) ** 2
        q = dense if target == "probabilities" else (1 - smoothing) * np.eye(classes)[labels] + smoothing / classes
        share = e / e.sum(1, keepdims=True) * q.astype(np.longdouble).sum(1, keepdims=True)
        unit = np.spacing((np.maximum(share, q) * slope).astype(dtype))
        promised = table.function("cross_entropy_with_grad")
        allowed = more_for_cap(cap) + (promised.double_ulp if dtype == "float64" else promised.ulp)
        assert np.all(abs(grad - (share - q) * slope) <= allowed * unit)
        assert not grad[0, :2].any()
        masked = fa.cross_entropy_with_grad(
            np.ma.array(logits, mask=False), given, softcap=cap, label_smoothing=smoothing, reduction="sum"
        )
        assert np.all(abs(masked[1].data - (share - q) * slope) <= allowed * unit)


@pytest.mark.parametrize("cap", [0.7, 30.0, 100.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses_of_capped_logits(dtype, cap):
    """What tanh leaves of a logit's last digits is an error of the loss, and may be more than the loss."""
    rng, kind = np.random.default_rng(0), np.dtype(dtype).type
    for rows, classes in ((1000, 2), (40, 33), (3, 1100)):
        logits = (2 * cap * rng.normal(size=(rows, classes))).astype(dtype)
        labels = logits.argmax(1)
        loss = fa.cross_entropy(logits, labels, softcap=cap, reduction="none")
        capped = np.longdouble(kind(cap)) * np.tanh(logits.astype(np.longdouble) / kind(cap))
        largest = capped.max(1)
        exact = np.log(np.exp(capped - largest[:, None]).sum(1))
        allowed = table.function("cross_entropy").ulp * np.spacing(exact.astype(dtype)) + 2 * np.spacing(kind(cap))
        assert np.all(abs(loss - exact) <= allowed)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_caps_beyond_the_precision(dtype):
    """Too large a cap is none; too small a one leaves nothing of the logits."""
    logits, labels = np.array([[0.0, 2.0, 3.0], [1.0, 1.0, 0.0]], dtype), [2, 0]
    for cap in (1e39, 1e308) if dtype != "float64" else (1e308,):
        for capped, plain in zip(
            fa.cross_entropy_with_grad(logits, labels, softcap=cap),
            fa.cross_entropy_with_grad(logits, labels),
            strict=True,
        ):
            assert np.allclose(capped, plain, rtol=1e-6)
    for cap in (1e-50, 1e-320, 5e-324):
        loss, grad = fa.cross_entropy_with_grad(logits, labels, softcap=cap, reduction="none")
        assert np.allclose(loss, np.log(3), rtol=1e-3)
        assert not grad[logits != 0].any()


@pytest.mark.parametrize("options", LIKE_PYTORCH, ids=label)
def test_like_pytorch(options):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    logits, target, arguments = problem(options, (40, 11), "float64")
    leaf = torch.tensor(logits, requires_grad=True)
    names = ("ignore_index", "label_smoothing", "reduction")
    weight = None if arguments["weight"] is None else torch.tensor(arguments["weight"])
    expected = torch.nn.functional.cross_entropy(
        leaf, torch.tensor(target), weight=weight, **{name: arguments[name] for name in names}
    )
    expected.sum().backward()
    loss, grad = fa.cross_entropy_with_grad(logits, target, **arguments)
    assert np.allclose(loss, expected.detach().numpy(), rtol=1e-13)
    assert np.allclose(grad, leaf.grad.numpy(), rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("options", PAIRS, ids=label)
def test_gradient_against_differences(options):
    logits, target, arguments = problem(options, (4, 7), "float64", seed=3)
    grad = fa.cross_entropy_with_grad(logits, target, **arguments)[1]
    for i, k in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[i, k] = 1e-5
        high, low = (np.sum(fa.cross_entropy(logits + s, target, **arguments)) for s in (step, -step))
        assert abs(grad[i, k] - (high - low) / 2e-5) < 1e-8


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("labels", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_dtypes(kind, labels, same_bits):
    rng = np.random.default_rng(0)
    for shape in ((30, 100), (3, 100)):
        logits = (4 * rng.normal(size=shape)).astype(kind)
        target = rng.integers(0, 100, shape[0])
        if not labels.startswith("u"):
            target[1] = -100
        expected = fa.cross_entropy_with_grad(logits, target, reduction="none")
        same_bits(fa.cross_entropy_with_grad(logits, target.astype(labels), reduction="none"), expected)
        assert expected[0].dtype == expected[1].dtype == np.dtype(kind)
        loss, grad = reference.cross_entropy_with_grad(logits, target, reduction="none")
        assert np.allclose(expected[0], loss, rtol=4 * float(np.finfo(kind).eps), atol=1e-7)
        assert np.allclose(expected[1], grad, rtol=4 * float(np.finfo(kind).eps), atol=1e-7)


def test_labels_are_not_copied():
    import tracemalloc

    logits, target = np.zeros((200_000, 2), np.float32), np.zeros(200_000, np.uint8)
    fa.cross_entropy(logits, target)
    tracemalloc.start()
    try:
        fa.cross_entropy(logits, target)
        assert tracemalloc.get_traced_memory()[1] < 60 * len(target)  # four results of eight bytes a row; no matrix
    finally:
        tracemalloc.stop()


def test_several_dimensions(same_bits):
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(2, 5, 3, 4)).astype(np.float32), rng.integers(0, 5, (2, 3, 4))
    loss, grad = fa.cross_entropy_with_grad(logits, target, axis=1, reduction="none")
    assert loss.shape == target.shape
    flat = np.moveaxis(logits, 1, -1).reshape(-1, 5)
    expected = fa.cross_entropy_with_grad(flat, target.reshape(-1), reduction="none")
    same_bits(loss.reshape(-1), expected[0])
    same_bits(np.moveaxis(grad, 1, -1).reshape(-1, 5), expected[1])
    same_bits(fa.cross_entropy(logits[0, :, 0, 0], target[0, 0, 0]), loss[0, 0, 0])


def test_in_place_extras_and_threads(same_bits, threads):
    rng = np.random.default_rng(0)
    for shape, axis in (((300, 1100), -1), ((9, 1100), 0), ((5000, 9), -1)):
        logits = rng.normal(size=shape).astype(np.float32)
        target = rng.integers(0, shape[axis], shape[1 + axis if axis == 0 else 0])
        with threads(1):
            expected = fa.cross_entropy_with_grad(logits, target, axis=axis, return_lse=True, return_argmax=True)
        same_bits(expected[2], fa.logsumexp(logits, axis=axis))
        assert np.array_equal(expected[3], np.argmax(logits, axis=axis))
        for n in (2, 3):
            with threads(n):
                got = fa.cross_entropy_with_grad(logits, target, axis=axis, return_lse=True, return_argmax=True)
            same_bits(got, expected)
        loss, grad = fa.cross_entropy_with_grad(logits, target, axis=axis, out=logits)
        assert grad is logits
        same_bits((loss, grad), expected[:2])


def test_in_place_allocates_rows_only():
    import tracemalloc

    logits, target = np.zeros((100, 4000), np.float32), np.zeros(100, int)
    fa.cross_entropy_with_grad(logits, target, out=logits)
    tracemalloc.start()
    try:
        fa.cross_entropy_with_grad(logits, target, out=logits)
        assert tracemalloc.get_traced_memory()[1] < 100 * 200
    finally:
        tracemalloc.stop()


def test_argmax_is_the_first_and_nan_counts():
    for rows in (1, 40):
        logits = np.zeros((rows, 90), np.float32)
        logits[:, [7, 70]] = 1.0
        logits[0, [40, 50]] = np.nan
        argmax = fa.cross_entropy_with_grad(logits, np.zeros(rows, int), return_argmax=True)[2]
        assert np.array_equal(argmax, np.argmax(logits, axis=-1))


def test_a_small_loss_is_precise():
    logits = np.float32([[20, 0, 0]])
    loss, grad = fa.cross_entropy_with_grad(logits, [0])
    exact = np.log1p(2 * np.exp(-20.0))
    assert abs(loss - exact) <= np.spacing(np.float32(exact))
    assert abs(grad[0, 0] - np.expm1(-exact)) <= np.spacing(np.float32(exact))
    assert fa.cross_entropy(logits + np.float32(1e4), [0]) == loss


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


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_linear(dtype, reduction, smoothing):
    rng = np.random.default_rng(0)
    hidden, weight = rng.normal(size=(7, 9, 6)).astype(dtype), rng.normal(size=(50, 6)).astype(dtype)
    target, bias = rng.integers(0, 50, (7, 9)).astype(np.uint8), rng.normal(size=50).astype(dtype)
    options = {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": 3}
    options["class_weight"] = rng.uniform(0.5, 2, 50)
    for extra in ({}, {"bias": bias}):
        got = fa.linear_cross_entropy_with_grad(hidden, weight, target, **options, **extra)
        expected = reference.linear_cross_entropy_with_grad(hidden, weight, target, **options, **extra)
        assert np.array_equal(fa.linear_cross_entropy(hidden, weight, target, **options, **extra), got[0])
        assert len(got) == len(expected)
        for g, e in zip(got, expected, strict=True):
            assert g.dtype == np.dtype(dtype)
            assert np.max(abs(g - e)) <= 40 * np.finfo(dtype).eps * np.max(abs(e))


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


@pytest.mark.parametrize("options", [{}, {"z_loss": 0.1}, {"weighted": True}, {"ignore_index": 7}], ids=str)
def test_a_long_row_is_shared_out_over_threads(options, dtype, same_bits, threads):
    rng = np.random.default_rng(0)
    for classes in (2**19, 2**19 + 77)[bool(options) :]:
        logits = (3 * rng.normal(size=(2, classes))).astype(dtype)
        logits[1, 70_000] = 90  # its maximum is far from where it starts
        target = np.array([7, 70_000])
        given = {"weight": rng.random(classes)} if "weighted" in options else options
        call = functools.partial(fa.cross_entropy_with_grad, return_lse=True, return_argmax=True, **given)
        with threads(1):
            expected, loss = call(logits, target), fa.cross_entropy(logits, target, **given)
        with threads(3):
            same_bits(call(logits, target), expected)
            same_bits(np.asarray(fa.cross_entropy(logits, target, **given)), np.asarray(loss))
            same_bits(call(np.asfortranarray(logits.T), target, axis=0)[0], expected[0])
            before = logits.copy()
            with pytest.raises(IndexError, match=f"label {classes} at position 1"):
                call(logits, np.array([7, classes]), out=logits)
            same_bits(logits, before)
            same_bits(call(logits, target, out=logits), expected)
        assert np.isnan(fa.cross_entropy(np.where(np.arange(classes) == 9, np.nan, before[0]), 3))


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


def test_halves_beside_operands_that_are_none():
    """Soft targets and class weights keep their precision and range."""
    x = np.full((1, 50_000), -20, "f2")
    x[0, 0] = 0
    q = np.full(x.shape, 0.01 / 49_999, "f4")
    q[0, 0] = 0.99
    loss, grad = fa.cross_entropy_with_grad(x, q)
    assert float(loss) == pytest.approx(0.2001, abs=2e-3)
    assert grad.dtype == np.float16
    logits, labels = np.array([[-3, 3], [1, 2]], "f2"), [0, 1]
    expected = fa.cross_entropy(logits.astype("f8"), labels, weight=[1, 2], label_smoothing=0.1)
    for scale in (1, 1e5, 1e-8):
        options = {"weight": [scale, 2 * scale], "label_smoothing": 0.1}
        assert float(fa.cross_entropy(logits, labels, **options)) == pytest.approx(expected, rel=1e-3)
        _, grad = fa.cross_entropy_with_grad(logits, labels, **options)
        _, right = fa.cross_entropy_with_grad(logits.astype("f8"), labels, **options)
        np.testing.assert_allclose(grad, right, rtol=2e-3)


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
